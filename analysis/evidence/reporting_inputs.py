"""What is said and found elsewhere about who reports crime, read strictly from ``data/reporting.toml``.

Inputs of bounds, alternatives to each other: none is a result of this study, and none is a pass mark. Every entry says
whether it is a stated intention, a finding or an assumption, and how sure its reading is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.codebook import load_codebook
from analysis.base.errors import TableError, nearest
from analysis.base.paths import Paths
from analysis.estimation.panel_inference.reporting import undone

RATE, CHANGE, VICTIMISATION = "reporting_rate", "reporting_change", "victimisation_change"
RATE_RATIO, RISK_RATIO = "rate_ratio", "risk_ratio"
UNIT_OF: Mapping[str, str] = {
    RATE: "percent",
    CHANGE: "percent change",
    VICTIMISATION: "percent change",
    RATE_RATIO: "ratio",
    RISK_RATIO: "ratio",
}
CHANGES = (CHANGE, VICTIMISATION)
KINDS = ("stated_intention", "survey_finding", "police_records", "assumption")
CONFIDENCE = ("seen", "inferred", "from memory")
SEEN_IN = ("primary", "secondary", "nowhere")
CONTRASTS = ("enforcement", "limits")
GROUPS = ("foreign_born", "hispanic", "non_citizen")
WANTED: Mapping[str, str] = {
    "str": "text",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list of text",
}


@dataclass(frozen=True, slots=True)
class Input:
    """One figure, and where it comes from.

    Args:
        id: as it is registered among the published figures; else this file's own.
        registered: whether it is.
        quantity: reporting_rate, reporting_change, victimisation_change, rate_ratio or risk_ratio.
        value: in ``unit``.
        unit: ``percent``, ``percent change`` or ``ratio``, by the quantity.
        population: whom it is about.
        offence: measures of the codebook it holds for; empty for any.
        kind: stated_intention, survey_finding, police_records or assumption.
        source: author, year, where.
        year: of the data.
        confidence: of the reading: seen, inferred (from one that was seen) or from memory.
        seen_in: primary, secondary or nowhere.
        goes_with: id of the finding it was made with, of changes alone; "" for none.
        note: what a reader must know.
        contrast: of changes, what the change goes with: ``enforcement`` or ``limits``.
        group: of changes, which of ``GROUPS`` is nearest to the people it is about.
    """

    id: str
    registered: bool
    quantity: str
    value: float
    unit: str
    population: str
    offence: tuple[str, ...]
    kind: str
    source: str
    year: str
    confidence: str
    seen_in: str
    goes_with: str
    note: str
    contrast: str = ""
    group: str = ""

    def holds_for(self, measure: str) -> bool:
        """Return whether it is about an offence.

        Example:
            >>> [load_inputs().input("gjw2024.reporting").holds_for(m) for m in ("property", "murder")]
            [True, True]
        """
        return not self.offence or measure in self.offence

    @property
    def fraction(self) -> float:
        """The value as a fraction; ratios stay.

        Example:
            >>> load_inputs().input("gjw2024.reporting").fraction
            -0.3
        """
        return self.value if self.unit == "ratio" else self.value / 100

    @property
    def under_limits(self) -> float:
        """The change that a limit on cooperation makes if the input holds as found, a fraction.

        What was found under limits itself; of what was found under enforcement the change that takes it back.

        Example:
            >>> known = load_inputs()
            >>> known.input("jacome2022.reports").under_limits, round(known.input("gjw2024.reporting").under_limits, 4)
            (0.04, 0.4286)
        """
        return self.fraction if self.contrast == "limits" else undone(self.fraction)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Every input, in the order of the file."""

    inputs: tuple[Input, ...]

    def input(self, name: str) -> Input:
        """Return an input by its id; an unknown one raises `TableError`."""
        for one in self.inputs:
            if one.id == name:
                return one
        known = [one.id for one in self.inputs]
        raise TableError(
            f"no input '{name}'{nearest(name, known)}", f"one of {len(known)} ids", "data/reporting.toml"
        )

    def of(self, *quantities: str) -> tuple[Input, ...]:
        """Return the inputs of some quantities."""
        return tuple(one for one in self.inputs if one.quantity in quantities)

    def rate(self, measure: str) -> Input:
        """Return the share of an offence's victimisations that is reported.

        Raises:
            TableError: none is given for the measure.

        Example:
            >>> load_inputs().rate("motor_vehicle_theft").value
            83.0
        """
        for one in self.of(RATE):
            if measure in one.offence:
                return one
        raise TableError(
            f"no reporting rate of '{measure}'", "an entry of quantity reporting_rate", "data/reporting.toml"
        )

    def frame(self) -> pd.DataFrame:
        """Return one row an input, with the columns of `Input`; offences joined by spaces."""
        names = [f.name for f in fields(Input)]
        rows = [
            {name: getattr(one, name) for name in names} | {"offence": " ".join(one.offence)}
            for one in self.inputs
        ]
        return pd.DataFrame(rows, columns=names)


@cache
def load_inputs(path: Path | None = None) -> Inputs:
    """Read the inputs.

    Args:
        path: the TOML file; by default ``data/reporting.toml``.

    Raises:
        TableError: the file is not TOML; an entry lacks a key, holds one too many, or a value that its key does not take;
            two entries of one id; two reporting rates of one offence; a finding that goes with none.

    Example:
        >>> load_inputs().input("wong2018survey.victim").kind
        'stated_intention'
    """
    source = path or Paths().codebook.with_name("reporting.toml")
    where = f"data/{source.name}"
    try:
        raw = tomllib.loads(source.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{source.name} is not TOML: {error}", "a file tomllib can read", where) from None
    for key in raw:
        if key != "inputs":
            raise TableError(f"unknown key '{key}'{nearest(key, ['inputs'])}", "[[inputs]] alone", where)
    entries = raw.get("inputs", [])
    if not isinstance(entries, list) or not entries:
        raise TableError("no entry", "at least one [[inputs]]", where)
    found = tuple(_input(entry, at, where) for at, entry in enumerate(entries, start=1))
    ids = [one.id for one in found]
    rated = [measure for one in found if one.quantity == RATE for measure in one.offence]
    for what, names in (("id", ids), ("reporting rate of", rated)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TableError(f"{what} '{twice[0]}' stands twice", "one entry each", where)
    changes = {one.id: one.quantity for one in found if one.quantity in CHANGES}
    for one in found:
        others = [
            name for name, quantity in changes.items() if one.id in changes and quantity != one.quantity
        ]
        if one.goes_with and one.goes_with not in others:
            raise TableError(
                f"entry '{one.id}': goes_with = '{one.goes_with}'{nearest(one.goes_with, others)}",
                "of a change the id of one of the other quantity, of anything else \"\"", where,
            )  # fmt: skip
    return Inputs(found)


def _input(entry: Mapping[str, Any], at: int, where: str) -> Input:
    place = f"entry '{entry['id']}'" if isinstance(entry.get("id"), str) else f"entry {at}"
    known = {f.name: f for f in fields(Input)}
    for key in entry:
        if key not in known:
            raise TableError(
                f"{place}: unknown key '{key}'{nearest(key, known)}", f"one of {', '.join(known)}", where
            )
    absent = [name for name, f in known.items() if name not in entry and f.default is MISSING]
    if absent:
        raise TableError(f"{place} lacks '{absent[0]}'", f"the key '{absent[0]}'", where)
    values = {
        name: _typed(value, str(known[name].type), f"{place}: {name}", where) for name, value in entry.items()
    }
    one = Input(**values)
    for key, value, options in (
        ("quantity", one.quantity, tuple(UNIT_OF)),
        ("unit", one.unit, (UNIT_OF.get(one.quantity, ""),)),
        ("kind", one.kind, KINDS),
        ("confidence", one.confidence, CONFIDENCE),
        ("seen_in", one.seen_in, SEEN_IN),
        ("contrast", one.contrast, CONTRASTS if one.quantity in CHANGES else ("",)),
        ("group", one.group, GROUPS if one.quantity in CHANGES else ("",)),
        *(("offence", measure, tuple(load_codebook().measures)) for measure in one.offence),
    ):
        if value not in options:
            wanted = (
                f"one of {', '.join(options)}" if options != ("",) else f"no such key of a {one.quantity}"
            )
            raise TableError(f"{place}: {key} = '{value}'{nearest(value, options)}", wanted, where)
    for key in ("id", "population", "source", "year", "note"):
        if not getattr(one, key).strip():
            raise TableError(f"{place}: {key} is empty", "text", where)
    low, high = {"percent": (0.0, 100.0), "percent change": (-100.0, np.inf)}.get(one.unit, (0.0, np.inf))
    if not (low < one.value <= high and np.isfinite(one.value)):
        raise TableError(f"{place}: value = {one.value}", f"a number above {low:g} and up to {high:g}", where)
    if one.quantity == RATE and not one.offence:
        raise TableError(f"{place}: offence = []", "the measures it is the rate of", where)
    if one.kind == "assumption" and one.confidence == "seen":
        raise TableError(
            f"{place}: confidence = 'seen'", "inferred or from memory: nobody found an assumption", where
        )
    if one.confidence == "seen" and one.seen_in == "nowhere":
        raise TableError(
            f"{place}: seen_in = 'nowhere'", "primary or secondary: its confidence is 'seen'", where
        )
    return one


def _typed(value: Any, kind: str, place: str, where: str) -> Any:
    name = kind.split("[")[0]
    made = value
    if name == "float":
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        made = float(value) if good else value
    elif name == "tuple":
        good = isinstance(value, list) and all(isinstance(one, str) for one in value)
        made = tuple(value) if good else value
    else:
        good = isinstance(value, bool if name == "bool" else str)
    if not good:
        raise TableError(f"{place} = {value!r}", WANTED[name], where)
    return made

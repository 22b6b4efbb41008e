"""A specification: TOML in, one frozen `Spec` out, nothing guessed.

A spec states everything an estimate rests on that is not data: outcome, treatment definition, sample,
covariates, estimator, inference. Unknown keys, values of the wrong type or range, keys the chosen estimator
cannot honour and whatever the study's protocol refuses are errors that say what was found, what was wanted
and where to change it. There is no default for inference, comparison group or weights.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from dataclasses import replace as with_fields
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.base.codebook import load_codebook
from analysis.base.errors import ProtocolError, SpecError, nearest
from analysis.base.paths import Paths
from analysis.base.provenance import digest_of, sha256_of
from analysis.design.estimators import ESTIMATORS
from analysis.design.keys import (
    BY_STATE,
    INDEPENDENT,
    OPTIONAL_SECTIONS,
    SECTIONS,
    TOP,
    UNORDERED,
    Key,
    choice,
    is_csv,
    plain_value,
    read_value,
    show,
    toml,
)
from analysis.design.rules import check, notes
from analysis.design.treatment import is_descriptive

# ----------------------------------------------------------------------------------------------------
# The record
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DesignSection:
    """``[design]``: ``kind`` panel or cross_section; ``year`` of a cross-section, None for a panel; ``area`` state where
    counties are added up to their states, None or county otherwise."""

    kind: str
    year: int | None
    area: str | None = None


@dataclass(frozen=True, slots=True)
class OutcomeSection:
    """``[outcome]``: ``measure`` of the codebook, ``scale``, and the rate ``build`` (none for direct
    measures)."""

    measure: str
    scale: str
    build: str


@dataclass(frozen=True, slots=True)
class TreatmentSection:
    """``[treatment]``: whose policy counts, from when, and against whom; ``status_year``, of a cross-section alone, the
    year whose status counts where it is not the outcome's; ``only`` the treated states or counties that stay;
    ``placebo_shift`` years by which adoption is moved back, years from the true one on being dropped; ``exposed``
    neighbours where untreated neighbours of adopters stand for them."""

    definition: str
    onset: str
    upper_bound_dates: str
    anticipation: int
    comparison: str
    status_year: int | None = None
    only: tuple[str, ...] | None = None
    placebo_shift: int | None = None
    exposed: str | None = None


@dataclass(frozen=True, slots=True)
class SampleSection:
    """``[sample]``: years and counties; ``years``, ``balance`` and ``drop_years`` belong to panels alone;
    ``without_neighbours`` leaves out comparison counties that touch a treated one; ``largest_hispanic`` keeps so many
    counties, those with the most Hispanic residents in 2010, and None all; ``hispanic_quartile`` keeps treated counties
    of one quartile of the Hispanic share of 2010, among treated counties and those that touch them, and all others."""

    years: tuple[int, int] | None
    drop_years: tuple[int, ...]
    min_population: int
    min_coverage: float
    balance: str | None
    constant_agencies: bool
    keep_states: tuple[str, ...]
    drop_states: tuple[str, ...]
    drop_counties: tuple[str, ...]
    urban_classes: tuple[str, ...]
    without_neighbours: bool | None = None
    largest_hispanic: int | None = None
    hispanic_quartile: int | None = None


@dataclass(frozen=True, slots=True)
class CovariatesSection:
    """``[covariates]``: names of the codebook, all in one fixed ``vintage`` (``none`` where there are no
    names)."""

    names: tuple[str, ...]
    vintage: str


@dataclass(frozen=True, slots=True)
class ControlsSection:
    """``[controls]``: federal policies held constant as time-varying controls."""

    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EstimatorSection:
    """``[estimator]``: its name, weights, and the keys that estimator takes; the others are None."""

    name: str
    weights: str
    method: str | None = None
    within: str | None = None
    effects: str | None = None
    distance: str | None = None
    neighbours: int | None = None
    replacement: bool | None = None
    caliper: float | None = None
    exact: tuple[str, ...] | None = None
    bias_adjust: bool | None = None
    calipers: tuple[tuple[str, float], ...] | None = None
    order: str | None = None
    estimand: str | None = None
    trim: str | None = None
    regression_adjust: bool | None = None
    short: str | None = None
    max_controls: int | None = None
    loss: str | None = None
    population: int | None = None
    generations: int | None = None
    tolerance: float | None = None
    fine: tuple[str, ...] | None = None
    bins: str | None = None
    cut_points: tuple[tuple[str, tuple[float, ...]], ...] | None = None
    classes: int | None = None
    moments: int | None = None
    match_on: tuple[str, ...] | None = None
    lag_years: int | None = None
    trends: str | None = None
    window: int | None = None
    exposure: str | None = None
    span: tuple[int, int] | None = None
    repeats: str | None = None


@dataclass(frozen=True, slots=True)
class InferenceSection:
    """``[inference]``: variance, cluster level, confidence level, bootstrap draws, seed, all required; ``assignment`` of
    a randomisation test, ``cutoff_km`` and ``kernel`` of spatial errors."""

    vcov: str
    by: str
    level: float
    draws: int
    seed: int
    assignment: str | None = None
    cutoff_km: float | None = None
    kernel: str | None = None


@dataclass(frozen=True, slots=True)
class Also:
    """One ``[[also]]``: a named one-off; ``crossed_with`` names lines of ``[vary]`` it is crossed with as
    well."""

    name: str
    changes: tuple[tuple[str, Any], ...]
    crossed_with: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """One specification, complete and checked; make it with `load_spec`, `parse_spec` or `Spec.replace`.

    Args:
        name: as in the file; an expanded spec appends what it varies, ``main/measure=property``.
        title: one line for people.
        status: ``declared`` (committed before it was run) or ``added``.
        design, outcome, treatment, sample, covariates, controls, estimator, inference: the sections.
        vary: lines of ``[vary]``, each a key and its values; crossed by `expand`.
        also: named one-offs.
        where: name of the file, for messages; no part of the identity.
        folder: folder a csv in ``treatment.definition`` is found from; no part of the identity.
    """

    name: str
    title: str
    status: str
    design: DesignSection
    outcome: OutcomeSection
    treatment: TreatmentSection
    sample: SampleSection
    covariates: CovariatesSection
    controls: ControlsSection
    estimator: EstimatorSection
    inference: InferenceSection
    vary: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    also: tuple[Also, ...] = ()
    where: str = field(default="the spec", compare=False)
    folder: str = field(default="", compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved values as plain nested values; keys that do not apply are left out.

        Example:
            >>> load_spec("main").to_dict()["sample"]["years"]
            [2010, 2017]
        """
        plain: dict[str, Any] = {"name": self.name, "title": self.title, "status": self.status}
        for section in SECTIONS:
            part = getattr(self, section)
            plain[section] = {
                f.name: plain_value(getattr(part, f.name))
                for f in fields(part)
                if getattr(part, f.name) is not None
            }
        if self.vary:
            plain["vary"] = {key: plain_value(values) for key, values in self.vary}
        if self.also:
            plain["also"] = [
                {"name": one.name, "crossed_with": list(one.crossed_with)}
                | {key: plain_value(value) for key, value in one.changes}
                for one in self.also
            ]
        return plain

    def flat(self) -> dict[str, Any]:
        """Return the resolved values as one flat mapping, ``"sample.years" -> [2010, 2017]``."""
        return dict(_flatten(self.to_dict()))

    @property
    def digest(self) -> str:
        """Sixteen digits over the resolved values: formatting, comments, key order and folders do not change
        it.

        A csv of the user's own counts by its bytes, so the digest moves when its dates do.
        """
        return digest_of(self._identity(self.to_dict()))

    @property
    def content_digest(self) -> str:
        """As `digest`, over what decides the numbers alone: not name, title, status, or the grid."""
        return digest_of(self._identity({section: self.to_dict()[section] for section in SECTIONS}))

    def _identity(self, plain: dict[str, Any]) -> dict[str, Any]:
        for section, key in UNORDERED:
            if key in plain[section]:
                plain[section][key] = sorted(plain[section][key])
        if self.definition_path is not None:
            plain["definition_sha256"] = sha256_of(self.definition_path)
        return plain

    @property
    def definition_path(self) -> Path | None:
        """The user's csv of policy dates, or None where the definition is one of the study's."""
        return Path(self.folder, self.treatment.definition) if is_csv(self.treatment.definition) else None

    @property
    def years(self) -> tuple[int, ...]:
        """The years the sample may hold, in order."""
        if self.design.year is not None:
            return (self.design.year,)
        assert self.sample.years is not None
        first, last = self.sample.years
        return tuple(year for year in range(first, last + 1) if year not in self.sample.drop_years)

    @property
    def within(self) -> str:
        """``state`` or ``urban_class`` where counties are compared within theirs, else ``none``."""
        estimator = self.estimator
        by_state = estimator.within == "state" or estimator.effects == "state_by_year"
        if by_state or "state" in (estimator.exact or ()):
            return "state"
        by_class = estimator.within == "urban_class" or estimator.effects == "urban_class_by_year"
        return "urban_class" if by_class else "none"

    @property
    def carries_verdict(self) -> bool:
        """Whether the inference may carry a verdict: state-level only (protocol rule 12), never a list of
        2025."""
        by_state = self.inference.vcov not in INDEPENDENT and self.inference.by in BY_STATE
        return by_state and not is_descriptive(self.treatment.definition)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the protocol wants said beside every number of this spec."""
        return tuple(notes(self))

    def replace(self, changes: Mapping[str, Any]) -> Spec:
        """Return the spec with some keys changed, checked again in full.

        With a new ``estimator.name`` the keys and values of ``[estimator]`` that it does not take are let go, and those
        it needs must be among the changes.

        Args:
            changes: ``"section.key"`` (or ``name``, ``title``, ``status``) to value, as in TOML.

        Raises:
            SpecError: an unknown key or a value the spec cannot hold.

        Example:
            >>> load_spec("main").replace({"outcome.measure": "property"}).outcome.measure
            'property'
        """
        values = self.to_dict()
        _apply(values, changes, self.where)
        values.pop("vary", None)
        values.pop("also", None)
        return _build(values, self.where, self.folder, vary=self.vary, also=self.also, plain_name=False)

    def base(self) -> Spec:
        """Return the file's own values as one specification, without its grid.

        Example:
            >>> load_spec("main").base().vary
            ()
        """
        return with_fields(self, vary=(), also=())

    def expand(self) -> tuple[Spec, ...]:
        """Return every specification the file stands for: ``[vary]`` crossed, then each ``[[also]]``.

        Raises:
            SpecError: one of them breaks a rule.

        Example:
            >>> [s.name for s in load_spec("main").expand()][0]
            'main/measure=violent_ex_rape'
        """
        found = self._every()
        repeated = {name for name, _ in self._repeated(found)}
        return tuple(spec for spec in found if spec.name not in repeated)

    def _every(self) -> list[Spec]:
        """Return every line of the grid, those that repeat another included."""
        bare = self.base()
        varied = dict(self.vary)
        short = _short_keys(varied)
        found = [
            _variant(bare, dict(zip(varied, values, strict=True)), "", short)
            for values in product(*varied.values())
        ]
        for one in self.also:
            lines = {key: varied[key] for key in one.crossed_with}
            for values in product(*lines.values()):
                crossed = dict(zip(lines, values, strict=True))
                found.append(_variant(bare, crossed, one.name, short, dict(one.changes)))
        return found

    def repeated(self) -> tuple[tuple[str, str], ...]:
        """Return the lines of the grid that say what an earlier one says: (name, earlier name); each is run once.

        Someone who copies a spec and changes one of its keys often makes a one-off of it that has that value too.
        """
        return self._repeated(self._every())

    @staticmethod
    def _repeated(found: Sequence[Spec]) -> tuple[tuple[str, str], ...]:
        seen: dict[str, str] = {}
        pairs = [(spec.name, seen.setdefault(spec.content_digest, spec.name)) for spec in found]
        return tuple((name, before) for name, before in pairs if name != before)

    def diff(self, other: Spec) -> pd.DataFrame:
        """Return the keys in which two specs differ.

        Returns:
            columns ``key``, ``left`` (this spec), ``right`` (the other), as text; a key one lacks is
            ``(none)``.

        Example:
            >>> main = load_spec("main")
            >>> main.diff(main.replace({"sample.min_coverage": 0.8})).to_dict("records")
            [{'key': 'sample.min_coverage', 'left': '0.9', 'right': '0.8'}]
        """
        left, right = self.flat(), other.flat()
        rows = [
            {"key": key, "left": show(left.get(key)), "right": show(right.get(key))}
            for key in dict.fromkeys([*left, *right])
            if left.get(key) != right.get(key)
        ]
        return pd.DataFrame(rows, columns=["key", "left", "right"])


def load_spec(name: str | Path) -> Spec:
    """Read a spec and check it, with every specification it expands to.

    Args:
        name: a name in ``analysis/specs`` ("main"), or the path of a TOML file.

    Raises:
        SpecError: no such file, or the first thing wrong in it.
        ProtocolError: the spec asks for what a rule of the protocol refuses.

    Example:
        >>> load_spec("main").inference.by
        'state'
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = Paths().specs / f"{name}.toml"
    if not path.is_file():
        known = spec_names()
        raise SpecError(
            f"no spec '{name}'{nearest(path.stem, known)}",
            f"the path of a TOML file, or one of {', '.join(known)}",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SpecError(f"{path.name} is not UTF-8 text", "a TOML file", path.name) from None
    spec = parse_spec(text, where=path.name, folder=path.parent)
    spec.expand()
    return spec


def spec_names() -> tuple[str, ...]:
    """Return the names of the specs that come with the study."""
    return tuple(sorted(path.stem for path in Paths().specs.glob("*.toml")))


def parse_spec(text: str, where: str = "the spec", folder: str | Path = "") -> Spec:
    """Return the spec in a TOML text; see `load_spec`.

    Args:
        text: TOML.
        where: what messages call it.
        folder: folder from which a csv in ``treatment.definition`` is found.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{where} is not TOML: {error}", _toml_hint(text), where) from None
    # A grid is read by `analysis.design.grid`; the rest of its file is a spec like any other.
    values.pop("grid", None)
    vary = _read_vary(values.pop("vary", {}), where)
    also = _read_also(values.pop("also", []), vary, where)
    return _build(values, where, str(folder), vary=vary, also=also, plain_name=True)


# ----------------------------------------------------------------------------------------------------
# Building and checking a whole spec
# ----------------------------------------------------------------------------------------------------


def _build(
    values: Mapping[str, Any],
    where: str,
    folder: str,
    *,
    vary: tuple[tuple[str, tuple[Any, ...]], ...],
    also: tuple[Also, ...],
    plain_name: bool,
) -> Spec:
    for key in values:
        if key not in TOP and key not in SECTIONS:
            known = [*TOP, *SECTIONS, "vary", "also"]
            raise SpecError(f"unknown key '{key}'{nearest(key, known)}", f"one of {', '.join(known)}", where)
    top = {}
    for key, rule in TOP.items():
        if key not in values:
            raise SpecError(f"{key} is missing", rule.wanted, where)
        read_name = key == "name" and not plain_name
        top[key] = str(values[key]) if read_name else read_value(key, values[key], rule, where)
    parts = {}
    for section, keys in SECTIONS.items():
        given = values.get(section, {} if section in OPTIONAL_SECTIONS else None)
        if given is None:
            raise SpecError(f"section [{section}] is missing", _section_words(section), where)
        if not isinstance(given, Mapping):
            raise SpecError(f"{section} = {given!r}", f"a section [{section}]", where)
        if section == "estimator":
            keys = _estimator_keys(given, where)
        if section == "covariates" and not given.get("names"):
            if given.get("vintage", "none") != "none":
                raise SpecError(
                    f"covariates.vintage = {toml(given['vintage'])} without covariates",
                    "covariates.names to hold some, or no vintage",
                    where,
                )
            given = dict(given) | {"vintage": "none"}
        parts[section] = _read_section(section, given, keys, where)
    if parts["outcome"]["build"] is None:
        direct = load_codebook().measures[parts["outcome"]["measure"]].kind == "direct"
        parts["outcome"]["build"] = "none" if direct else "policed"
    spec = Spec(
        **top,
        design=DesignSection(**parts["design"]),
        outcome=OutcomeSection(**parts["outcome"]),
        treatment=TreatmentSection(**parts["treatment"]),
        sample=SampleSection(**parts["sample"]),
        covariates=CovariatesSection(**parts["covariates"]),
        controls=ControlsSection(**parts["controls"]),
        estimator=EstimatorSection(**parts["estimator"]),
        inference=InferenceSection(**parts["inference"]),
        vary=vary,
        also=also,
        where=where,
        folder=folder,
    )
    check(spec)
    return spec


def _estimator_keys(given: Mapping[str, Any], where: str) -> dict[str, Key]:
    name = choice(*ESTIMATORS)
    if "name" not in given:
        raise SpecError("estimator.name is missing", name.wanted, where)
    chosen = read_value("estimator.name", given["name"], name, where)
    rules = ESTIMATORS[chosen]
    for key in given:
        if key != "name" and key not in rules.keys:
            others = [other for other, r in ESTIMATORS.items() if key in r.keys]
            if others:
                raise ProtocolError(
                    f"rule 11: estimator.{key} cannot be honoured by {chosen}; "
                    f"it belongs to {', '.join(others)}",
                    f"of [estimator] only name, {', '.join(rules.keys)}",
                    where,
                )
    return {"name": name} | dict(rules.keys)


def _read_section(
    section: str, given: Mapping[str, Any], keys: Mapping[str, Key], where: str
) -> dict[str, Any]:
    for key in given:
        if key not in keys:
            raise SpecError(
                f"unknown key {section}.{key}{nearest(key, keys)}", f"one of {', '.join(keys)}", where
            )
    read = {}
    for key, rule in keys.items():
        if key in given:
            read[key] = read_value(f"{section}.{key}", given[key], rule, where)
        elif rule.required:
            raise SpecError(f"{section}.{key} is missing", rule.wanted, where)
        else:
            read[key] = rule.default
    return read


# ----------------------------------------------------------------------------------------------------
# The grid
# ----------------------------------------------------------------------------------------------------


def _read_vary(values: Any, where: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(values, Mapping):
        raise SpecError(f"vary = {values!r}", "a section [vary]", where)
    lines = []
    for key, options in values.items():
        refuse_unknown_key(key, "vary", where)
        if not isinstance(options, list) or len(options) < 2:
            raise SpecError(f'vary."{key}" = {toml(options)}', "a list of two or more values", where)
        lines.append((key, tuple(_frozen(option) for option in options)))
    return tuple(lines)


def _read_also(values: Any, vary: tuple[tuple[str, tuple[Any, ...]], ...], where: str) -> tuple[Also, ...]:
    if not isinstance(values, list) or not all(isinstance(one, Mapping) for one in values):
        raise SpecError("also is not a list of sections", "one [[also]] a one-off", where)
    found: list[Also] = []
    for one in values:
        rest = dict(one)
        name = read_value("also.name", rest.pop("name", None), TOP["name"], where)
        if name in {other.name for other in found}:
            raise SpecError(f"two [[also]] are named '{name}'", "a name of its own for each", where)
        crossed = rest.pop("crossed_with", [])
        varied = [key for key, _ in vary]
        if not isinstance(crossed, list) or any(key not in varied for key in crossed):
            raise SpecError(
                f"also '{name}': crossed_with = {toml(crossed)}",
                f"lines of [vary]: {', '.join(varied)}",
                where,
            )
        for key in rest:
            refuse_unknown_key(key, f"also '{name}'", where)
            if key in crossed:
                raise SpecError(f"also '{name}' sets {key} and crosses it", "one of the two", where)
        if not rest:
            raise SpecError(f"also '{name}' changes nothing", "at least one key to change", where)
        changes = tuple((key, _frozen(value)) for key, value in rest.items())
        found.append(Also(name, changes, tuple(crossed)))
    return tuple(found)


def _all_keys() -> list[str]:
    estimator = dict.fromkeys(["name", *(key for rules in ESTIMATORS.values() for key in rules.keys)])
    sections = {section: list(keys) for section, keys in SECTIONS.items()} | {"estimator": list(estimator)}
    return [f"{section}.{key}" for section, keys in sections.items() for key in keys]


def refuse_unknown_key(key: str, place: str, where: str) -> None:
    """Raise `SpecError` unless ``key`` is a quoted ``section.key`` of a spec, ``title`` or ``status``."""
    known = [*_all_keys(), "title", "status"]
    if key not in known:
        raise SpecError(f"{place}: unknown key '{key}'{nearest(key, known)}", '"section.key", quoted', where)


def _variant(
    base: Spec,
    crossed: Mapping[str, Any],
    also: str,
    short: Mapping[str, str],
    changes: Mapping[str, Any] | None = None,
) -> Spec:
    parts = [base.name, *([also] if also else [])]
    parts += [f"{short[key]}={_slug(value)}" for key, value in crossed.items()]
    name = "/".join(parts)
    try:
        return base.replace({**(changes or {}), **crossed, "name": name})
    except SpecError as error:
        raise type(error)(f"{name}: {error.found}", error.wanted, error.where) from None


def _apply(values: dict[str, Any], changes: Mapping[str, Any], where: str) -> None:
    name = changes.get("estimator.name")
    if isinstance(name, str) and name in ESTIMATORS:
        rules = {"name": choice(*ESTIMATORS)} | dict(ESTIMATORS[name].keys)
        values["estimator"] = {
            k: v for k, v in values["estimator"].items() if k in rules and rules[k].takes(v)
        }
    for key, value in changes.items():
        if key in TOP:
            values[key] = value
            continue
        refuse_unknown_key(key, "replace", where)
        section, part = key.split(".")
        values[section] = dict(values[section]) | {part: plain_value(value)}
    # A kind of design owns its keys: those of the other kind go unless they are asked for.
    kind = changes.get("design.kind")
    if kind == "cross_section":
        for part in ("years", "balance", "drop_years"):
            if f"sample.{part}" not in changes:
                values["sample"].pop(part, None)
    elif kind == "panel" and "design.year" not in changes:
        values["design"].pop("year", None)
    # Without covariates there is no vintage, and "none" is not one to give to those that come.
    names = changes.get("covariates.names", values["covariates"]["names"])
    vintage = values["covariates"].get("vintage")
    if "covariates.vintage" not in changes and (not names or vintage == "none"):
        values["covariates"].pop("vintage", None)
    measure = changes.get("outcome.measure")
    measures = load_codebook().measures
    if isinstance(measure, str) and measure in measures and "outcome.build" not in changes:
        was_direct = values["outcome"].get("build") == "none"
        if was_direct != (measures[measure].kind == "direct"):
            values["outcome"].pop("build", None)


def _short_keys(varied: Mapping[str, Any]) -> dict[str, str]:
    last = [key.split(".")[-1] for key in varied]
    return {key: (part if last.count(part) == 1 else key) for key, part in zip(varied, last, strict=True)}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif key == "also":
            for one in value:
                yield f"also.{one['name']}", {k: v for k, v in one.items() if k != "name"}
        else:
            yield f"{prefix}{key}", value


def _slug(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "-".join(_slug(v) for v in value) or "none"
    return Path(value).stem if isinstance(value, str) and is_csv(value) else show(value)


def _section_words(section: str) -> str:
    keys = list(SECTIONS[section]) or ["name", "weights", "and the keys of that estimator"]
    return f"a section [{section}] with {', '.join(keys)}"


def _toml_hint(text: str) -> str:
    if re.search(r"[\[,=]\s*0\d{4}\b", text):
        return 'TOML, with FIPS codes as quoted text: "06037", not 06037'
    return "a file tomllib can read"

"""The registered figures of the published studies, read strictly from ``data/published.yaml``.

A figure is shown as sure as its reading was: what is "from memory" or "inferred" is never a pass mark. What a reviewer
fills in later (an error, a t, a p, a size) changes the file and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import yaml  # type: ignore[import-untyped]

from analysis.base.errors import TableError, nearest
from analysis.base.paths import Paths
from analysis.estimation.inference import t_quantile
from analysis.evidence.units import LOG_POINTS, RATES, convert, percent_of

VERSION = 1
SEEN, INFERRED, FROM_MEMORY = "verbatim-seen", "inferred", "from memory"
CONFIDENCE: Mapping[str, str] = MappingProxyType(
    {
        SEEN: "the figure itself was read",
        INFERRED: "derived, or read between the lines",
        FROM_MEMORY: "from memory, in no source that was read",
    }
)
"""How sure a reading is, and the same in words."""

DERIVED = "derived"
REQUIRED = ("id", "study", "outcome", "unit", "method", "estimate", "se", "ci", "t", "p", "n", "where", "confidence", "seen_in", "url")  # fmt: skip
OPTIONAL = ("sample", "sign", "notes")
TEXTS = ("id", "study", "outcome", "unit", "method", "where", "confidence", "seen_in")

PERCENT, PROPORTION, POINTS = "percent", "proportion", "percentage_points"
SIGN_ONLY, ODDS_RATIO, COUNT, GROUP_MEAN, SHARE, DOLLARS = "sign_only", "odds_ratio", "count", "group_mean", "share", "dollars"  # fmt: skip
UNIT_CODES: Mapping[str, str] = MappingProxyType(
    {
        "crimes per 10,000 residents, places with a policy less places without": "per_10k",
        "crimes per 10,000 residents, difference": "per_10k",
        "crimes per 10,000": "per_10k",
        "crimes per 100,000 residents, difference": "per_100k",
        "difference, rate per 100,000 (unit from memory)": "per_100k",
        "crimes per 100,000": "per_100k",
        "log points": LOG_POINTS,
        "log incidence-rate coefficient": LOG_POINTS,
        "percent difference": PERCENT,
        "percent change": PERCENT,
        "percent change (low end of the printed 52-62 range)": PERCENT,
        "percent change (high end of the printed 52-62 range)": PERCENT,
        "percent": PERCENT,
        "percent of urban counties": PERCENT,
        "percent (press rounding)": PERCENT,
        "percent (vs 49 for US-born)": PERCENT,
        "proportional change": PROPORTION,
        "percentage points": POINTS,
        "printed as percent; read as percentage points": POINTS,
        "percentage points (16% of a 0.9 pp base)": POINTS,
        "US dollars, difference": DOLLARS,
        "share": SHARE,
        "odds ratio": ODDS_RATIO,
        "group mean (SD given in notes)": GROUP_MEAN,
        "counties": COUNT,
        "cities": COUNT,
        "persons": COUNT,
        "count": COUNT,
        "mean change, year before vs year after adoption (window from memory)": SIGN_ONLY,
        "difference-in-differences": SIGN_ONLY,
        "treatment-control difference": SIGN_ONLY,
        "gap to synthetic California": SIGN_ONLY,
        "multilevel interaction: immigrant concentration x city policy": SIGN_ONLY,
        "state-year association": SIGN_ONLY,
        "interaction": SIGN_ONLY,
        "difference": SIGN_ONLY,
        "change": SIGN_ONLY,
        "rates": SIGN_ONLY,
        "rate": SIGN_ONLY,
        "qualitative": SIGN_ONLY,
    }
)
"""Unit as registered -> code. ``sign_only`` says no scale: such a figure registers a direction and cannot hold a size."""

LEVELS = frozenset({"crimes per 10,000", "crimes per 100,000", "percent of urban counties", "percent (vs 49 for US-born)"})  # fmt: skip
"""Units of a level, not of a change: their number needs no sign."""

WORDED = frozenset({"percent (press rounding)"})
"""Units of a size whose direction the words of the outcome carry ("less likely to …"): their number needs no sign."""

LEVEL, CHANGE, RATIO, WORDED_SIZE, DIRECTION = "level", "change", "ratio", "worded size", "direction"

NULL_WORDS = (
    "not distinguishable from zero", "no detectable", "not significant", "no increase", "no meaningful",
    "little evidence", "no effect", "null not ruled out", "unchanged",
)  # fmt: skip
"""Parts of a sign that say a null in words."""

_NUMBER = r"[+\-−]?(?:\d+(?:\.\d*)?|\.\d+)"
_INTERVAL = re.compile(
    rf"(?:(?P<level>\d+(?:\.\d+)?)\s*%(?:\s*CI)?\s*[:,]?\s*)?[\[(]?\s*(?P<low>{_NUMBER})\s*(?:,|;|to)\s*(?P<high>{_NUMBER})\s*[\])]?"
)
_BOUND = re.compile(r"p?\s*(?P<how><=|>=|<|>|=)\s*(?P<value>0?\.\d+|[01](?:\.\d+)?)(?![\d.])")
_WHOLE = re.compile(r"(?P<value>\d{1,3}(?:,\d{3})+|\d+)(?![\d.,]*\d)(?!\s*%)")
_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_LEVEL = 0.95
_RELATIVE = (LOG_POINTS, PERCENT)


@dataclass(frozen=True, slots=True)
class Figure:
    """One registered figure.

    Args:
        id: stable identifier, the study's short name first.
        study: authors, year, venue.
        outcome: in words.
        unit: as registered.
        unit_code: one of the values of `UNIT_CODES`.
        sample: whom or what it is about; "" where not registered.
        method: in words.
        estimate: in ``unit``; None registers a direction or a null.
        sign: as registered; "" where there is none.
        se: standard error in ``unit``; None where none was read.
        ci: both ends, where a plain interval of the estimate is registered.
        ci_text: as registered.
        ci_level: its level; 0.95 where the registry names none.
        t: t statistic.
        p: p-value, where a number is registered.
        p_text: as registered.
        n: observations, where the entry begins with a whole number.
        n_text: as registered.
        where: place in the source.
        confidence: one of `CONFIDENCE`.
        seen_in: what was read.
        url: "" where there is none.
        notes: what a reader must know.
        decimals: field to the decimals its number is written with in the file.
    """

    id: str
    study: str
    outcome: str
    unit: str
    unit_code: str
    sample: str
    method: str
    estimate: float | None
    sign: str
    se: float | None
    ci: tuple[float, float] | None
    ci_text: str
    ci_level: float
    t: float | None
    p: float | None
    p_text: str
    n: int | None
    n_text: str
    where: str
    confidence: str
    seen_in: str
    url: str
    notes: str
    decimals: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def key(self) -> str:
        """First part of the identifier: which study it is of."""
        return self.id.split(".")[0]

    @property
    def kind(self) -> str:
        """What the number is: level, change, ratio, worded size, or a direction without a size."""
        if self.unit_code == SIGN_ONLY:
            return DIRECTION
        if self.unit_code == ODDS_RATIO:
            return RATIO
        if self.unit in WORDED:
            return WORDED_SIZE
        return LEVEL if self.unit_code in (COUNT, GROUP_MEAN) or self.unit in LEVELS else CHANGE

    @property
    def seen(self) -> bool:
        """Whether the figure itself was read."""
        return self.confidence == SEEN

    @property
    def pass_mark(self) -> bool:
        """Whether anything may be measured against it: read, and not derived here."""
        return self.seen and self.seen_in != DERIVED

    @property
    def direction(self) -> int | None:
        """1 or -1 by the sign's first character; 0 for a null in words; None where no direction is registered."""
        return direction_of(self.sign)

    @property
    def null(self) -> bool:
        """Whether the sign says a null in words."""
        return any(words in self.sign for words in NULL_WORDS)

    @property
    def words_of_confidence(self) -> str:
        """How sure the reading is, in words."""
        return CONFIDENCE[self.confidence]

    @property
    def p_bounds(self) -> tuple[float, float] | None:
        """Lowest and highest p the registered words allow; None where they bound nothing."""
        if self.p is not None:
            return self.p, self.p
        found = _BOUND.match(self.p_text)
        if found is None:
            return None
        value = float(found["value"])
        return (0.0, value) if found["how"].startswith("<") else (value, 1.0)


@dataclass(frozen=True, slots=True)
class Published:
    """Every registered figure, in the order of the file."""

    figures: tuple[Figure, ...]

    def figure(self, id: str) -> Figure:
        """Return a figure by its identifier.

        Raises:
            TableError: no such figure; the nearest identifier is named.
        """
        for one in self.figures:
            if one.id == id:
                return one
        raise TableError(
            f"no registered figure '{id}'{nearest(id, [one.id for one in self.figures])}", "a registered identifier",
            "data/published.yaml",
        )  # fmt: skip

    def frame(self) -> pd.DataFrame:
        """Return a row a figure, raw numbers, missing where nothing is registered.

        Returns:
            Columns `COLUMNS`.
        """
        rows = []
        for one in self.figures:
            low, high = one.ci or (np.nan, np.nan)
            rows.append(
                {
                    "id": one.id, "study": one.study, "key": one.key, "outcome": one.outcome, "unit": one.unit,
                    "unit_code": one.unit_code, "kind": one.kind, "sample": one.sample, "method": one.method,
                    "estimate": one.estimate, "sign": one.sign, "direction": one.direction, "null": one.null, "se": one.se,
                    "ci_low": low, "ci_high": high, "ci_text": one.ci_text, "t": one.t, "p": one.p, "p_text": one.p_text,
                    "n": one.n, "n_text": one.n_text, "where": one.where, "confidence": one.confidence,
                    "words_of_confidence": one.words_of_confidence, "seen": one.seen, "pass_mark": one.pass_mark,
                    "seen_in": one.seen_in, "url": one.url, "notes": one.notes,
                }
            )  # fmt: skip
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        numbers = ["estimate", "direction", "se", "ci_low", "ci_high", "t", "p", "n"]
        return frame.assign(**{name: frame[name].astype(float) for name in numbers})


COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": "identifier",
        "study": "authors, year, venue",
        "key": "first part of the identifier",
        "outcome": "in words",
        "unit": "as registered",
        "unit_code": "one of the values of UNIT_CODES",
        "kind": "level, change, ratio, worded size or direction",
        "sample": "whom or what it is about",
        "method": "in words",
        "estimate": "in `unit`; missing for a direction or a null",
        "sign": "as registered",
        "direction": "1, -1, 0 for a null in words, missing where none is registered",
        "null": "whether the sign says a null in words",
        "se": "standard error in `unit`",
        "ci_low": "lower interval end, where a plain interval is registered",
        "ci_high": "upper interval end, likewise",
        "ci_text": "as registered",
        "t": "t statistic",
        "p": "p-value, where a number is registered",
        "p_text": "as registered",
        "n": "observations, where the entry begins with a whole number",
        "n_text": "as registered",
        "where": "place in the source",
        "confidence": "verbatim-seen, inferred or from memory",
        "words_of_confidence": "the same in words",
        "seen": "whether the figure itself was read",
        "pass_mark": "whether anything may be measured against it",
        "seen_in": "what was read",
        "url": "address",
        "notes": "what a reader must know",
    }
)
"""Columns of `Published.frame`."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A figure in another unit: estimate, standard error and both ends; missing stays missing."""

    unit: str
    estimate: float
    se: float
    low: float
    high: float


def direction_of(sign: str) -> int | None:
    """Return the direction a registered sign states: by its first character, or 0 for a null in words.

    Example:
        >>> direction_of("- (weaker evidence)"), direction_of("no detectable change"), direction_of("largest effects")
        (-1, 0, None)
    """
    if sign.startswith("+"):
        return 1
    if sign.startswith(("-", "−")):
        return -1
    return 0 if any(words in sign for words in NULL_WORDS) else None


def to_unit(figure: Figure, unit: str, baseline: float = np.nan) -> Converted:
    """Return a figure in another unit, with its standard error and interval.

    Args:
        figure: a registered figure.
        unit: ``per_10k``, ``per_100k``, ``log_points``, ``percent``, or ``as_measured`` for its own.
        baseline: mean outcome the change is on, above zero: where the figure is linear in the outcome (a rate, dollars,
            points, a share), in the figure's own unit; where it is relative (log points, per cent), the rate in ``unit``. Not
            looked at between two rates, nor between two relative units.

    Returns:
        Estimate, error by the delta method, and ends: the registered interval, or without one the estimate and 1.96 errors in
        the figure's own unit, converted like the estimate. What is not registered stays missing, and so does everything where
        the baseline that is needed is missing.

    Raises:
        TableError: a unit that has no way into the other, or a figure that is no change; the entry is named.

    Assumption: the baseline is known without error.

    Example:
        >>> wong = load_published().figure("wong2017.crime.all")
        >>> to_unit(wong, "per_100k").estimate, round(to_unit(wong, "percent", baseline=355.0).estimate, 6)
        (-355.0, -10.0)
    """
    own = PERCENT if figure.unit_code == PROPORTION else figure.unit_code
    if unit == "as_measured":
        own = unit = figure.unit_code
    elif unit not in (*RATES, *_RELATIVE):
        known = (*RATES, *_RELATIVE, "as_measured")
        raise TableError(
            f"{figure.id}: wanted in '{unit}'{nearest(unit, known)}", f"one of {', '.join(known)}"
        )
    if not _converts(own, unit, figure.kind):
        raise TableError(
            f"{figure.id}: '{figure.unit}' ({figure.unit_code}, a {figure.kind}) in {unit}", "a unit it converts into",
            "the study's module",
        )  # fmt: skip
    scale = 100.0 if figure.unit_code == PROPORTION and own == PERCENT else 1.0

    def value(x: float | None) -> float:
        return np.nan if x is None or not np.isfinite(x) else _moved(scale * x, own, unit, baseline)

    low, high = _ends(figure)
    slope = (
        np.nan if figure.estimate is None else _slope(scale * figure.estimate, own, unit, baseline) * scale
    )
    return Converted(
        unit,
        value(figure.estimate),
        np.nan if figure.se is None else abs(slope) * figure.se,
        value(low),
        value(high),
    )


def _converts(own: str, unit: str, kind: str) -> bool:
    """Return whether there is a way: between rates always, else for changes alone and not from points or dollars into rates."""
    if own == unit or (own in RATES and unit in RATES):
        return True
    if kind != CHANGE:
        return False
    return own in (*RATES, *_RELATIVE) or (own in (POINTS, DOLLARS, SHARE) and unit == PERCENT)


def _ends(figure: Figure) -> tuple[float, float]:
    if figure.ci is not None:
        return figure.ci
    if figure.estimate is None or figure.se is None:
        return np.nan, np.nan
    half = t_quantile(_LEVEL, np.inf) * figure.se
    return figure.estimate - half, figure.estimate + half


def _moved(value: float, own: str, unit: str, baseline: float) -> float:
    if own == unit:
        return float(value)
    if own == PERCENT:
        share = value / 100
        logs = float(np.log1p(share)) if share > -1 else -np.inf
        if unit == LOG_POINTS:
            return logs
        return baseline * share if baseline > 0 else np.nan
    if unit == PERCENT:
        return percent_of(value, own, baseline)
    return convert(value, own, unit, baseline)


def _slope(value: float, own: str, unit: str, baseline: float) -> float:
    """Return the derivative of the conversion at a value: what a standard error is multiplied by."""
    if own == unit:
        return 1.0
    if own in RATES and unit in RATES:
        return RATES[unit] / RATES[own]
    if own == LOG_POINTS and unit == PERCENT:
        return float(100 * np.exp(value))
    if own == PERCENT and unit == LOG_POINTS:
        return 1 / (100 + value) if value > -100 else np.nan
    if not baseline > 0:
        return np.nan
    if own == LOG_POINTS:
        return float(baseline * np.exp(value))
    if own == PERCENT:
        return baseline / 100
    if unit == PERCENT:
        return 100 / baseline
    return 1 / (baseline + value) if baseline + value > 0 else np.nan


# --------------------------------------------------------------------------------------------------------
# Reading
# --------------------------------------------------------------------------------------------------------


@cache
def load_published(path: Path | None = None) -> Published:
    """Read the registered figures.

    Signs. A figure in a unit of change (rates, log points, per cent, proportions, points, dollars, shares) that holds an
    estimate must hold a sign whose first character is + or - and agrees with the number, log points like all others: a minus
    that was lost in copying cannot be told from a plus otherwise. An odds ratio's sign is that of its distance from 1. Levels
    (counts, group means, the units of `LEVELS`) and sizes whose direction stands in the words of the outcome (`WORDED`) need
    none. A unit of code ``sign_only`` says no scale, so an estimate in it is refused until the unit says one.

    Args:
        path: the YAML file; by default ``data/published.yaml``.

    Raises:
        TableError: a key that is unknown, missing or there twice, an identifier there twice, a value of the wrong type, a
            negative error or count, p outside [0, 1], an interval whose ends are reversed, a confidence or a unit outside the
            lists, an estimate without its sign or against it; each names the entry and the place.

    Example:
        >>> published = load_published()
        >>> len(published.figures), published.figure("biasi.logcrime_dd1.c2").se
        (214, 0.0122)
    """
    source = path or Paths().codebook.with_name("published.yaml")
    name = f"data/{source.name}"
    try:
        raw = yaml.load(source.read_text(encoding="utf-8"), Loader=_Strict)
    except yaml.YAMLError as error:
        raise TableError(
            f"{source.name} is not YAML: {error}", "a file a YAML reader can read", name
        ) from None
    if (
        not isinstance(raw, dict)
        or set(raw) != {"version", "entries"}
        or not isinstance(raw["entries"], list)
    ):
        raise TableError(f"{source.name} does not hold 'version' and a list of 'entries'", "both", name)
    if raw["version"] != VERSION:
        raise TableError(f"version = {raw['version']!r}", str(VERSION), name)
    figures = tuple(_figure(entry, at, name) for at, entry in enumerate(raw["entries"], start=1))
    places: dict[str, int] = {}
    for at, one in enumerate(figures, start=1):
        if one.id in places:
            raise TableError(
                f"{one.id} is registered twice, as entries {places[one.id]} and {at}", "one entry an identifier", name
            )  # fmt: skip
        places[one.id] = at
    return Published(figures)


class _Strict(yaml.SafeLoader):
    """A reader that refuses a key that stands twice and keeps the decimals a number is written with."""


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    keys = [key.value for key, _ in node.value]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        named = next((value.value for key, value in node.value if key.value == "id"), "the file")
        raise TableError(
            f"{named}: the key '{twice[0]}' stands twice", "each key once", f"line {node.start_mark.line + 1} and below",
        )  # fmt: skip
    return {loader.construct_object(key, deep=True): loader.construct_object(value, deep=True) for key, value in node.value}  # fmt: skip


def _decimal(loader: Any, node: Any) -> Any:
    """Return a number with its decimals; what no decimal reads (infinity, base sixty) stays text and is refused as such."""
    text = loader.construct_scalar(node)
    try:
        return Decimal(text.replace("_", ""))
    except InvalidOperation:
        return text


_Strict.add_constructor("tag:yaml.org,2002:map", _mapping)
_Strict.add_constructor("tag:yaml.org,2002:float", _decimal)


def _figure(entry: Any, at: int, name: str) -> Figure:
    if not isinstance(entry, dict):
        raise TableError(f"entry {at} = {entry!r}", "keys and values", name)
    who = str(entry.get("id", f"entry {at}"))
    where = f"{name}, entry {at}"
    known = (*REQUIRED, *OPTIONAL)
    for key in entry:
        if key not in known:
            raise TableError(
                f"{who}: unknown key '{key}'{nearest(str(key), known)}", f"one of {', '.join(known)}", where
            )
    absent = [key for key in REQUIRED if key not in entry]
    if absent:
        raise TableError(
            f"{who} lacks {', '.join(absent)}", "the key, with null where nothing was read", where
        )
    for key in TEXTS:
        _text(entry[key], f"{who}: {key}", where)
    if not _ID.fullmatch(entry["id"]):
        raise TableError(f"{who}: id", "lower-case words, digits and _ with dots between", where)
    for key in (*OPTIONAL, "url"):
        if entry.get(key) is not None:
            _text(entry[key], f"{who}: {key}", where)
    if entry["confidence"] not in CONFIDENCE:
        raise TableError(
            f"{who}: confidence = '{entry['confidence']}'{nearest(entry['confidence'], CONFIDENCE)}",
            f"one of {', '.join(CONFIDENCE)}", where,
        )  # fmt: skip
    unit = entry["unit"]
    if unit not in UNIT_CODES:
        raise TableError(
            f"{who}: the unit '{unit}' cannot be converted{nearest(unit, UNIT_CODES)}",
            "a unit of UNIT_CODES in analysis/evidence/published.py", where,
        )  # fmt: skip
    decimals: dict[str, int] = {}
    numbers = {key: _number(entry[key], key, who, where, decimals) for key in ("estimate", "se", "t")}
    if numbers["se"] is not None and numbers["se"] < 0:
        raise TableError(f"{who}: se = {entry['se']}", "a standard error, not negative", where)
    ci, ci_text, ci_level = _interval(entry["ci"], who, where, decimals)
    p, p_text = _p_value(entry["p"], who, where, decimals)
    n, n_text = _size(entry["n"], who, where)
    made = Figure(
        id=entry["id"], study=entry["study"], outcome=entry["outcome"], unit=unit, unit_code=UNIT_CODES[unit],
        sample=entry.get("sample") or "", method=entry["method"], estimate=numbers["estimate"], sign=entry.get("sign") or "",
        se=numbers["se"], ci=ci, ci_text=ci_text, ci_level=ci_level, t=numbers["t"], p=p, p_text=p_text, n=n, n_text=n_text,
        where=entry["where"], confidence=entry["confidence"], seen_in=entry["seen_in"], url=entry["url"] or "",
        notes=entry.get("notes") or "", decimals=MappingProxyType(decimals),
    )  # fmt: skip
    _signed(made, where)
    return made


def _signed(figure: Figure, where: str) -> None:
    """Refuse an estimate that lacks the sign its unit needs, or stands against it; the rule is that of `load_published`."""
    if figure.estimate is None or figure.kind in (LEVEL, WORDED_SIZE):
        return
    if figure.kind == DIRECTION:
        raise TableError(
            f"{figure.id}: an estimate of {figure.estimate:g} in the unit '{figure.unit}', which says no scale",
            "a unit that does: 'log points', 'percent change', 'crimes per 100,000 residents, difference'", where,
        )  # fmt: skip
    if figure.direction not in (1, -1):
        raise TableError(
            f"{figure.id}: an estimate of {figure.estimate:g} ({figure.unit}) without its sign"
            + (f"; the sign is '{figure.sign}'" if figure.sign else ""),
            "sign: '+' or '-', words after it as needed", where,
        )  # fmt: skip
    if figure.kind == RATIO and not figure.estimate > 0:
        raise TableError(f"{figure.id}: an odds ratio of {figure.estimate:g}", "a number above zero", where)
    distance = figure.estimate - (1.0 if figure.kind == RATIO else 0.0)
    if distance * figure.direction < 0:
        raise TableError(
            f"{figure.id}: the sign '{figure.sign}' stands against the estimate of {figure.estimate:g}",
            "a sign and a number that agree", where,
        )  # fmt: skip


def _text(value: Any, place: str, where: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise TableError(f"{place} = {value!r}", "text", where)


def _number(value: Any, key: str, who: str, where: str, decimals: dict[str, int]) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not np.isfinite(float(value)):
        raise TableError(f"{who}: {key} = {value!r}", "a number, or null", where)
    decimals[key] = _places(value)
    return float(value)


def _places(value: int | Decimal) -> int:
    exponent = Decimal(value).as_tuple().exponent
    return max(0, -int(exponent))


def _interval(
    value: Any, who: str, where: str, decimals: dict[str, int]
) -> tuple[tuple[float, float] | None, str, float]:
    """Return both ends, the text and the level; text that is not a plain interval is kept and gives no ends."""
    if value is None:
        return None, "", _LEVEL
    if isinstance(value, list):
        if len(value) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, Decimal)) for v in value):
            raise TableError(f"{who}: ci = {[str(v) for v in value]}", "[low, high]", where)
        text = f"[{value[0]}, {value[1]}]"
    else:
        _text(value, f"{who}: ci", where)
        text = value
    found = _INTERVAL.fullmatch(text.strip())
    if found is None:
        return None, text, _LEVEL
    low, high = (Decimal(found[end].replace("−", "-")) for end in ("low", "high"))
    if low > high:
        raise TableError(f"{who}: ci = {text}", "the lower end first", where)
    level = float(found["level"]) / 100 if found["level"] else _LEVEL
    if not 0 < level < 1:
        raise TableError(f"{who}: ci = {text}", "a level between 0 and 100 %", where)
    decimals["ci"] = max(_places(low), _places(high))
    return (float(low), float(high)), text, level


def _p_value(value: Any, who: str, where: str, decimals: dict[str, int]) -> tuple[float | None, str]:
    if value is None:
        return None, ""
    if isinstance(value, str):
        found = _BOUND.match(value)
        if found is None or found["how"] != "=":
            _text(value, f"{who}: p", where)
            return None, value
        number: int | Decimal = Decimal(found["value"])
        text = value
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        number, text = value, str(value)
    else:
        raise TableError(f"{who}: p = {value!r}", "a number, text, or null", where)
    if not 0 <= number <= 1:
        raise TableError(f"{who}: p = {text}", "a number in [0, 1]", where)
    decimals["p"] = _places(number)
    return float(number), text


def _size(value: Any, who: str, where: str) -> tuple[int | None, str]:
    if value is None:
        return None, ""
    if isinstance(value, str):
        _text(value, f"{who}: n", where)
        found = _WHOLE.match(value)
        return (int(found["value"].replace(",", "")) if found else None), value
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TableError(f"{who}: n = {value}", "a whole number, text that begins with one, or null", where)
    return value, str(value)

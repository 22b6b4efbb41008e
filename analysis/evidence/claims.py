"""The published claims that head the study: registered facts read strictly from ``data/claims.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from analysis.base.codebook import load_codebook
from analysis.base.errors import TableError, nearest
from analysis.base.paths import Paths
from analysis.estimation.inference import t_quantile
from analysis.evidence.units import LOG_POINTS, UNITS

KINDS = ("null", "sized")
AREAS = ("city", "county", "border_county")
METHOD_FAMILIES = ("matching", "difference_in_differences", "border_difference_in_differences")
COMPARISONS = ("matched", "between", "within")
CONFIDENCE = ("seen", "seen in words", "from memory")
BOUND_KINDS = ("share_of_baseline", "published_size")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound of equivalence, stated before any spec was run.

    Args:
        name: as claims name it.
        kind: ``share_of_baseline`` (of the mean before treatment) or ``published_size``.
        reason: why this one.
        share: of the baseline, for the first kind.
    """

    name: str
    kind: str
    reason: str
    share: float = float("nan")

    def value(self, unit: str, baseline: float, size: float | None = None) -> float:
        """Return the bound in a unit; missing where the baseline is unknown or zero.

        Args:
            unit: ``log_points`` or a unit linear in the outcome.
            baseline: mean outcome in that unit (not looked at for log points).
            size: published size in that unit, for the kind ``published_size``.

        Example:
            >>> five = Bound("five", "share_of_baseline", "…", 0.05)
            >>> five.value("per_100k", 300.0), round(five.value("log_points", 5.7), 4)
            (15.0, 0.0488)
        """
        if self.kind == "published_size":
            return float("nan") if size is None else abs(size)
        if unit == LOG_POINTS:
            return float(np.log1p(self.share))
        return self.share * baseline if baseline > 0 else float("nan")

    @property
    def words(self) -> str:
        """The bound in words."""
        return (
            "the published size" if self.kind == "published_size" else f"{100 * self.share:g} % of the mean"
        )


@dataclass(frozen=True, slots=True)
class Fact:
    """One published figure.

    Args:
        id: identifier under which it is registered.
        outcome: in words.
        unit: ``per_10k``, ``per_100k`` or ``log_points``.
        measures: measures of the codebook that mean the same.
        near_measures: measures that are close; ``near_note`` says how they differ.
        near_note: "" where there is none.
        read_in: where it was read.
        confidence: seen | seen in words | from memory.
        size: published size; None for a null in words.
        std_error: published standard error; None where none was seen, and none is invented.
    """

    id: str
    outcome: str
    unit: str
    measures: tuple[str, ...]
    near_measures: tuple[str, ...]
    near_note: str
    read_in: str
    confidence: str
    size: float | None = None
    std_error: float | None = None

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the published size plus and minus the normal critical value times its error; missing without one.

        Example:
            >>> fact = load_claims().claim("more").facts[0]
            >>> tuple(round(end, 4) for end in fact.interval())
            (0.0109, 0.0587)
        """
        if self.size is None or self.std_error is None:
            return float("nan"), float("nan")
        half = t_quantile(level, np.inf) * self.std_error
        return self.size - half, self.size + half


@dataclass(frozen=True, slots=True)
class Claim:
    """One published claim and what it rests on.

    Args:
        name: ``no_difference``, ``fewer``, ``more``.
        kind: ``null`` or ``sized``.
        bound: bound of equivalence it is read with.
        statement: in words.
        study: authors.
        year: of publication.
        first_public: year it was first public.
        venue: where.
        unit_of_analysis: city | county | border_county.
        policy_list: whose policies counted.
        outcome_years: first and last year of outcomes.
        method: in words.
        method_family: one of ``METHOD_FAMILIES``.
        method_seen: whether its settings were read; where not, no estimate here can be said to share the method.
        answered_by: comparisons of this study that answer it.
        n_treated: treated areas, with its identifier.
        facts: the figures.
        n_total, n_comparison: areas, where registered.
        note: what a reader must know.
    """

    name: str
    kind: str
    bound: Bound
    statement: str
    study: str
    year: int
    first_public: int
    venue: str
    unit_of_analysis: str
    policy_list: str
    outcome_years: tuple[int, int]
    method: str
    method_family: str
    method_seen: bool
    answered_by: tuple[str, ...]
    n_treated: int
    n_treated_id: str
    facts: tuple[Fact, ...]
    note: str = ""
    n_total: int | None = None
    n_total_id: str = ""
    n_comparison: int | None = None
    n_comparison_id: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """Every claim and bound, in the order of the file."""

    claims: tuple[Claim, ...]
    bounds: Mapping[str, Bound] = field(default_factory=dict)

    def claim(self, name: str) -> Claim:
        """Return a claim; an unknown name raises `TableError`."""
        for one in self.claims:
            if one.name == name:
                return one
        raise TableError(
            f"no claim '{name}'{nearest(name, [c.name for c in self.claims])}",
            f"one of {', '.join(c.name for c in self.claims)}", "data/claims.toml",
        )  # fmt: skip

    @property
    def common_bound(self) -> Bound:
        """The bound used wherever no size was published."""
        return next(b for b in self.bounds.values() if b.kind == "share_of_baseline")


@cache
def load_claims(path: Path | None = None) -> Claims:
    """Read the claims.

    Args:
        path: the TOML file; by default ``data/claims.toml``.

    Raises:
        TableError: an unknown or missing key, a value of the wrong kind, a measure that is not in the codebook, a
            null with a size, a sized claim without one.

    Example:
        >>> [claim.name for claim in load_claims().claims]
        ['no_difference', 'fewer', 'more']
    """
    source = path or Paths().codebook.with_name("claims.toml")
    where = f"data/{source.name}"
    try:
        raw = tomllib.loads(source.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{source.name} is not TOML: {error}", "a file tomllib can read", where) from None
    _only_keys(raw, ("bounds", "claims"), "the file", where)
    bounds = {}
    for name, entry in raw.get("bounds", {}).items():
        bound = _record(Bound, {"name": name, **entry}, f"bounds.{name}", where)
        _one_of(bound.kind, BOUND_KINDS, f"bounds.{name}.kind", where)
        if bound.kind == "share_of_baseline" and not 0 < bound.share < 1:
            raise TableError(f"bounds.{name}.share = {bound.share}", "a share between 0 and 1", where)
        bounds[name] = bound
    if not any(b.kind == "share_of_baseline" for b in bounds.values()):
        raise TableError("no bound of kind share_of_baseline", "one", where)
    claims = tuple(_claim(entry, bounds, where) for entry in raw.get("claims", []))
    _unique([c.name for c in claims], "claim", where)
    _unique([f.id for c in claims for f in c.facts], "fact", where)
    return Claims(claims, bounds)


def _claim(entry: Mapping[str, Any], bounds: Mapping[str, Bound], where: str) -> Claim:
    place = f"claim '{entry.get('name', '?')}'"
    facts = tuple(_fact(one, place, where) for one in entry.get("facts", []))
    if not facts:
        raise TableError(f"{place} has no facts", "at least one [[claims.facts]]", where)
    _one_of(entry.get("bound"), tuple(bounds), f"{place}: bound", where)
    made = _record(Claim, {**entry, "facts": facts, "bound": bounds[entry["bound"]]}, place, where)
    _one_of(made.kind, KINDS, f"{place}: kind", where)
    _one_of(made.unit_of_analysis, AREAS, f"{place}: unit_of_analysis", where)
    _one_of(made.method_family, METHOD_FAMILIES, f"{place}: method_family", where)
    for comparison in made.answered_by:
        _one_of(comparison, COMPARISONS, f"{place}: answered_by", where)
    for fact in facts:
        if (fact.size is None) != (made.kind == "null"):
            raise TableError(
                f"{place}, {fact.id}: {'no size in a sized claim' if fact.size is None else 'a size in a null claim'}",
                'kind = "sized" with a size, or kind = "null" without one', where,
            )  # fmt: skip
    if made.kind == "null" and made.bound.kind == "published_size":
        raise TableError(
            f"{place}: bound = the published size of a null", "a bound of kind share_of_baseline", where
        )
    return made


def _fact(entry: Mapping[str, Any], place: str, where: str) -> Fact:
    fact = _record(Fact, entry, f"{place}: fact '{entry.get('id', '?')}'", where)
    _one_of(fact.unit, UNITS, f"{fact.id}: unit", where)
    _one_of(fact.confidence, CONFIDENCE, f"{fact.id}: confidence", where)
    for measure in (*fact.measures, *fact.near_measures):
        _one_of(measure, tuple(load_codebook().measures), f"{fact.id}: measures", where)
    if not fact.measures and not fact.near_measures:
        raise TableError(f"{fact.id}: no measure answers it", "measures or near_measures", where)
    if bool(fact.near_measures) != bool(fact.near_note):
        raise TableError(f"{fact.id}: near_measures and near_note", "both or neither", where)
    if fact.std_error is not None and not fact.std_error > 0:
        raise TableError(
            f"{fact.id}: std_error = {fact.std_error}", "a positive number, or no such key", where
        )
    return fact


def _record(record: type[T], entry: Mapping[str, Any], place: str, where: str) -> T:
    known = {f.name: f for f in fields(record)}  # type: ignore[arg-type]
    _only_keys(entry, tuple(known), place, where)
    absent = [
        n
        for n, f in known.items()
        if n not in entry and f.default is MISSING and f.default_factory is MISSING
    ]
    if absent:
        raise TableError(f"{place} lacks {', '.join(absent)}", "the key", where)
    values = {}
    for name, value in entry.items():
        kind = str(known[name].type)
        values[name] = _typed(value, kind, f"{place}: {name}", where)
    return record(**values)


def _typed(value: Any, kind: str, place: str, where: str) -> Any:
    if kind == "bool":
        good = isinstance(value, bool)
    elif kind == "str":
        good = isinstance(value, str)
    elif kind.startswith("int"):
        good = isinstance(value, int) and not isinstance(value, bool)
    elif kind.startswith("float"):
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if good else value
    elif kind.startswith("tuple[str"):
        good = isinstance(value, list) and all(isinstance(v, str) for v in value)
        value = tuple(value) if good else value
    elif kind.startswith("tuple[int"):
        good = (
            isinstance(value, list)
            and len(value) == 2
            and all(isinstance(v, int) for v in value)
            and value[0] <= value[1]
        )
        value = tuple(value) if good else value
    else:
        good = True
    if not good:
        wanted = {"b": "true or false", "s": "text", "i": "a whole number", "f": "a number"}.get(
            kind[0], "a list: " + kind
        )
        raise TableError(f"{place} = {value!r}", wanted, where)
    return value


def _only_keys(entry: Mapping[str, Any], known: tuple[str, ...], place: str, where: str) -> None:
    for key in entry:
        if key not in known:
            raise TableError(
                f"unknown key '{key}' in {place}{nearest(key, known)}", f"one of {', '.join(known)}", where
            )


def _one_of(value: Any, options: tuple[str, ...], place: str, where: str) -> None:
    if value not in options:
        hint = nearest(value, options) if isinstance(value, str) else ""
        raise TableError(f"{place} = {value!r}{hint}", f"one of {', '.join(options)}", where)


def _unique(names: Iterable[str], what: str, where: str) -> None:
    names = list(names)
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise TableError(f"{what} {', '.join(repeated)} stands twice", "one entry each", where)

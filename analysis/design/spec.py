"""A specification: TOML in, one frozen `Spec` out, nothing guessed.

A spec states everything an estimate rests on that is not data: outcome, treatment definition, sample,
covariates, estimator, inference. Unknown keys, values of the wrong type or range, keys the chosen estimator
cannot honour and whatever the study's protocol refuses are errors that say what was found, what was wanted
and where to change it. There is no default for inference, comparison group or weights.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from analysis.design.treatment import DEFINITIONS, carries, definition_of, is_descriptive

FIRST_YEAR, LAST_YEAR = 2005, 2019
MAIN_WINDOW = (2010, 2017)
RAPE_BREAK = 2013
NEW_YORK_CITY = "36998"
NEW_YORK_CITY_COUNTIES = frozenset({"36005", "36047", "36061", "36081", "36085"})
URBAN_CLASSES = (
    "large_central_metro",
    "large_fringe_metro",
    "medium_metro",
    "small_metro",
    "micropolitan",
    "noncore",
)
BUILDS = ("policed", "county_population", "county_agencies")
OFFENCE_SCALES = ("rate_100k", "rate_10k", "log_rate", "count")
DIRECT_SCALE = "as_measured"
CONTROL_POLICIES = ("secure_communities", "agreement_287g")
# Measures whose total holds rape, and so the break in its definition.
HOLDS_RAPE = frozenset({"violent", "total"})


# ----------------------------------------------------------------------------------------------------
# The record
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DesignSection:
    """``[design]``: ``kind`` panel or cross_section; ``year`` of a cross-section, None for a panel."""

    kind: str
    year: int | None


@dataclass(frozen=True, slots=True)
class OutcomeSection:
    """``[outcome]``: ``measure`` of the codebook, ``scale``, and the rate ``build`` (none for direct
    measures)."""

    measure: str
    scale: str
    build: str


@dataclass(frozen=True, slots=True)
class TreatmentSection:
    """``[treatment]``: whose policy counts, from when, and against whom."""

    definition: str
    onset: str
    upper_bound_dates: str
    anticipation: int
    comparison: str


@dataclass(frozen=True, slots=True)
class SampleSection:
    """``[sample]``: years and counties; ``years``, ``balance`` and ``drop_years`` belong to panels alone."""

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


@dataclass(frozen=True, slots=True)
class InferenceSection:
    """``[inference]``: variance, cluster level, confidence level, bootstrap draws, seed; every key
    required."""

    vcov: str
    by: str
    level: float
    draws: int
    seed: int


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
                f.name: _plain(getattr(part, f.name))
                for f in fields(part)
                if getattr(part, f.name) is not None
            }
        if self.vary:
            plain["vary"] = {key: _plain(values) for key, values in self.vary}
        if self.also:
            plain["also"] = [
                {"name": one.name, "crossed_with": list(one.crossed_with)}
                | {key: _plain(value) for key, value in one.changes}
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
        """``state`` where counties are compared within their state, else ``none``."""
        estimator = self.estimator
        by_state = estimator.within == "state" or estimator.effects == "state_by_year"
        return "state" if by_state or "state" in (estimator.exact or ()) else "none"

    @property
    def carries_verdict(self) -> bool:
        """Whether the inference may carry a verdict: state-level only (protocol rule 12), never a list of
        2025."""
        by_state = self.inference.vcov != "abadie_imbens" and self.inference.by == "state"
        return by_state and not is_descriptive(self.treatment.definition)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the protocol wants said beside every number of this spec."""
        return tuple(_notes(self))

    def replace(self, changes: Mapping[str, Any]) -> Spec:
        """Return the spec with some keys changed, checked again in full.

        With a new ``estimator.name`` the keys of ``[estimator]`` that it does not take are let go, and those
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
    vary = _read_vary(values.pop("vary", {}), where)
    also = _read_also(values.pop("also", []), vary, where)
    return _build(values, where, str(folder), vary=vary, also=also, plain_name=True)


def is_csv(definition: str) -> bool:
    """Return whether a treatment definition is a file of the user's own."""
    return definition.endswith(".csv")


def show(value: Any) -> str:
    """Return a value of a spec as people read it.

    Example:
        >>> show([2010, 2017]), show([]), show(True), show(None)
        ('2010, 2017', 'none', 'true', '(none)')
    """
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "; ".join(f"{key} = {show(v)}" for key, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(show(v) for v in value) or "none"
    return str(value)


# ----------------------------------------------------------------------------------------------------
# Reading one value
# ----------------------------------------------------------------------------------------------------


class _Wrong(Exception):
    """A value is not what its key takes; carries what was found where the value alone does not say it."""


@dataclass(frozen=True, slots=True)
class _Key:
    wanted: str
    read: Callable[[Any], Any]
    default: Any = ...

    @property
    def required(self) -> bool:
        return self.default is ...


def _choice(*options: str, default: Any = ...) -> _Key:
    def read(value: Any) -> str:
        if value not in options:
            raise _Wrong(nearest(value, options) if isinstance(value, str) else "")
        return str(value)

    return _Key(options[0] if len(options) == 1 else f"one of {', '.join(options)}", read, default)


def _whole(low: int, high: int, wanted: str, default: Any = ...) -> _Key:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _Wrong
        return value

    return _Key(wanted, read, default)


def _number(low: float, high: float, wanted: str, default: Any = ..., open_ends: bool = False) -> _Key:
    def read(value: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise _Wrong
        inside = low < value < high if open_ends else low <= value <= high
        if not inside:
            raise _Wrong
        return float(value)

    return _Key(wanted, read, default)


def _flag(default: Any = ...) -> _Key:
    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise _Wrong
        return value

    return _Key("true or false", read, default)


def _text(wanted: str, pattern: str = r".*\S.*") -> _Key:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise _Wrong
        return value

    return _Key(wanted, read)


def _list(wanted: str, one: Callable[[Any], Any], default: Any = ()) -> _Key:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise _Wrong
        items = tuple(one(item) for item in value)
        repeated = sorted({item for item in items if items.count(item) > 1})
        if repeated:
            raise _Wrong(f" holds {show(repeated)} twice")
        return items

    return _Key(wanted, read, default)


def _one_of(options: Sequence[str]) -> Callable[[Any], str]:
    def one(item: Any) -> str:
        if item not in options:
            raise _Wrong(f" holds {item!r}{nearest(item, options) if isinstance(item, str) else ''}")
        return str(item)

    return one


def _state(item: Any) -> str:
    if not isinstance(item, str) or not re.fullmatch("[A-Z]{2}", item):
        raise _Wrong(f" holds {item!r}")
    return item


def _fips(item: Any) -> str:
    if isinstance(item, int) and not isinstance(item, bool):
        raise _Wrong(f" holds {item}, a number")
    if not isinstance(item, str) or not re.fullmatch("[0-9]{5}", item):
        raise _Wrong(f" holds {item!r}")
    if item in NEW_YORK_CITY_COUNTIES:
        raise _Wrong(f' holds "{item}", a county of New York City, which is one area here, "{NEW_YORK_CITY}"')
    return item


def _year(item: Any) -> int:
    if not isinstance(item, int) or isinstance(item, bool) or not FIRST_YEAR <= item <= LAST_YEAR:
        raise _Wrong(f" holds {item!r}")
    return item


def _years(value: Any) -> tuple[int, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise _Wrong
    first, last = _year(value[0]), _year(value[1])
    if first >= last:
        raise _Wrong
    return first, last


def _measure(value: Any) -> str:
    measures = load_codebook().measures
    if value not in measures:
        raise _Wrong(nearest(value, measures) if isinstance(value, str) else "")
    return str(value)


def _definition(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong
    if not is_csv(value) and value not in DEFINITIONS:
        raise _Wrong(nearest(value, DEFINITIONS))
    return value


_YEAR_WORDS = f"between {FIRST_YEAR} and {LAST_YEAR}"

TOP: dict[str, _Key] = {
    "name": _text("a name of letters, digits, - and _", r"[A-Za-z0-9][A-Za-z0-9_-]*"),
    "title": _text("one line of text"),
    "status": _choice("declared", "added"),
}

SECTIONS: dict[str, dict[str, _Key]] = {
    "design": {
        "kind": _choice("panel", "cross_section", default="panel"),
        "year": _whole(FIRST_YEAR, LAST_YEAR, f"a year {_YEAR_WORDS}", default=None),
    },
    "outcome": {
        "measure": _Key("a measure of data/codebook.toml", _measure),
        "scale": _choice(*OFFENCE_SCALES, DIRECT_SCALE),
        "build": _choice(*BUILDS, "none", default=None),
    },
    "treatment": {
        "definition": _Key("a definition of the study, or the path of a csv", _definition),
        "onset": _choice("first_full_year", "adoption_year"),
        "upper_bound_dates": _choice("as_dated", "one_year_earlier", default="as_dated"),
        "anticipation": _whole(0, 5, "a number of years from 0 to 5", default=0),
        "comparison": _choice("not_yet_treated", "never_treated"),
    },
    "sample": {
        "years": _Key(f"[first, last], both {_YEAR_WORDS}, first before last", _years, None),
        "drop_years": _list(f"a list of years {_YEAR_WORDS}", _year),
        "min_population": _whole(0, 20_000_000, "a number of residents"),
        "min_coverage": _number(0.0, 1.0, "a share in [0, 1]"),
        "balance": _choice("every_year", "all_but_two", "none", default=None),
        "constant_agencies": _flag(default=False),
        "keep_states": _list('a list of postal codes, ["CA", "OR"]', _state),
        "drop_states": _list('a list of postal codes, ["CA", "OR"]', _state),
        "drop_counties": _list('FIPS codes as quoted text of five digits, ["06037"]', _fips),
        "urban_classes": _list(f"a list of {', '.join(URBAN_CLASSES)}", _one_of(URBAN_CLASSES)),
    },
    "covariates": {
        "names": _list("a list of covariates of data/codebook.toml", str),
        "vintage": _text("a vintage of data/codebook.toml, such as 2006_2010"),
    },
    "controls": {
        "policies": _list(f"a list of {', '.join(CONTROL_POLICIES)}", _one_of(CONTROL_POLICIES)),
    },
    "estimator": {},
    "inference": {
        "vcov": _choice("cluster", "abadie_imbens", "wild_bootstrap"),
        "by": _choice("state", "county", "none"),
        "level": _number(0.5, 1.0, "a share between 0.5 and 1, such as 0.95", open_ends=True),
        "draws": _whole(0, 1_000_000, "a whole number of draws, 0 for none"),
        "seed": _whole(0, 2**32 - 1, "a whole number from 0"),
    },
}
OPTIONAL_SECTIONS = frozenset({"design", "covariates", "controls"})
# Lists whose order says nothing.
UNORDERED = (
    ("sample", "drop_years"),
    ("sample", "keep_states"),
    ("sample", "drop_states"),
    ("sample", "drop_counties"),
    ("sample", "urban_classes"),
    ("covariates", "names"),
    ("controls", "policies"),
    ("estimator", "exact"),
)


@dataclass(frozen=True, slots=True)
class EstimatorRules:
    """What one estimator can honour (protocol rule 11).

    Args:
        kind: the kind of design it takes.
        keys: its keys of ``[estimator]`` beside ``name``; every one is required.
        vcov: the variances it can give.
        comparisons: the comparison groups it can keep to.
        refuses: key of another section to the reason it cannot be honoured, when it is set.
        needs_covariates: whether it is nothing without covariates.
    """

    kind: str
    keys: Mapping[str, _Key]
    vcov: tuple[str, ...]
    comparisons: tuple[str, ...]
    refuses: Mapping[str, str]
    needs_covariates: bool = False


_WEIGHTS = _choice("population_baseline", "none")

ESTIMATORS: dict[str, EstimatorRules] = {
    "matched_difference": EstimatorRules(
        kind="cross_section",
        keys={
            "distance": _choice("mahalanobis", "propensity"),
            "neighbours": _whole(1, 50, "a number of neighbours from 1 to 50"),
            "replacement": _flag(),
            "caliper": _number(0.0, 100.0, "a distance in standard deviations, 0 for none"),
            "exact": _list(
                "a list of urban_class, state, division", _one_of(("urban_class", "state", "division"))
            ),
            "bias_adjust": _flag(),
            "weights": _WEIGHTS,
        },
        vcov=("abadie_imbens", "cluster"),
        comparisons=("not_yet_treated", "never_treated"),
        refuses={
            "controls.policies": "a cross-section holds no time-varying policy constant",
            "treatment.anticipation": "a cross-section has no years before adoption",
        },
        needs_covariates=True,
    ),
    "two_way": EstimatorRules(
        kind="panel",
        keys={"effects": _choice("county_year", "state_by_year"), "weights": _WEIGHTS},
        vcov=("cluster", "wild_bootstrap"),
        comparisons=("not_yet_treated",),
        refuses={
            "covariates.names": "covariates fixed in time are absorbed by county effects",
            "treatment.anticipation": "one coefficient for all years after adoption leaves no year out",
        },
    ),
    "group_time_att": EstimatorRules(
        kind="panel",
        keys={
            "method": _choice("doubly_robust", "outcome_regression", "inverse_weighting"),
            "within": _choice("none", "state"),
            "weights": _WEIGHTS,
        },
        vcov=("cluster",),
        comparisons=("not_yet_treated", "never_treated"),
        refuses={},
    ),
}


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
        top[key] = str(values[key]) if read_name else _read(key, values[key], rule, where)
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
                    f"covariates.vintage = {_toml(given['vintage'])} without covariates",
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
    _check(spec)
    return spec


def _estimator_keys(given: Mapping[str, Any], where: str) -> dict[str, _Key]:
    name = _choice(*ESTIMATORS)
    if "name" not in given:
        raise SpecError("estimator.name is missing", name.wanted, where)
    chosen = _read("estimator.name", given["name"], name, where)
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
    section: str, given: Mapping[str, Any], keys: Mapping[str, _Key], where: str
) -> dict[str, Any]:
    for key in given:
        if key not in keys:
            raise SpecError(
                f"unknown key {section}.{key}{nearest(key, keys)}", f"one of {', '.join(keys)}", where
            )
    read = {}
    for key, rule in keys.items():
        if key in given:
            read[key] = _read(f"{section}.{key}", given[key], rule, where)
        elif rule.required:
            raise SpecError(f"{section}.{key} is missing", rule.wanted, where)
        else:
            read[key] = rule.default
    return read


def _read(key: str, value: Any, rule: _Key, where: str) -> Any:
    try:
        return rule.read(value)
    except _Wrong as wrong:
        said = str(wrong)
        shown = _toml(value)
        found = f"{key}{said}" if said.startswith(" holds") else f"{key} = {shown}{said}"
        raise SpecError(found, rule.wanted, where) from None


def _check(spec: Spec) -> None:
    _check_kind(spec)
    _check_outcome(spec)
    _check_sample(spec)
    _check_covariates(spec)
    _check_estimator(spec)
    _check_inference(spec)
    _check_definition(spec)
    _check_rape(spec)


def _check_kind(spec: Spec) -> None:
    if spec.design.kind == "panel":
        if spec.design.year is not None:
            raise SpecError(
                f"design.year = {spec.design.year} in a panel", "sample.years instead", spec.where
            )
        for key in ("years", "balance"):
            if getattr(spec.sample, key) is None:
                raise SpecError(f"sample.{key} is missing", SECTIONS["sample"][key].wanted, spec.where)
        return
    if spec.design.year is None:
        raise SpecError("design.year is missing", SECTIONS["design"]["year"].wanted, spec.where)
    for key in ("years", "balance", "drop_years"):
        value = getattr(spec.sample, key)
        if value:
            raise SpecError(
                f"sample.{key} = {_toml(_plain(value))} in a cross-section", "design.year alone", spec.where
            )


def _check_outcome(spec: Spec) -> None:
    measure = load_codebook().measures[spec.outcome.measure]
    if measure.kind == "direct":
        if spec.outcome.scale != DIRECT_SCALE:
            raise SpecError(
                f'outcome.scale = "{spec.outcome.scale}" for {measure.name}, which is {measure.unit}',
                f'"{DIRECT_SCALE}"',
                spec.where,
            )
        if spec.outcome.build != "none":
            raise SpecError(
                f'outcome.build = "{spec.outcome.build}" for {measure.name}, which is no rate of offences',
                '"none"',
                spec.where,
            )
        if spec.sample.min_coverage > 0:
            raise SpecError(
                f"sample.min_coverage = {spec.sample.min_coverage:g} for {measure.name}, "
                "which has no coverage",
                "0.0",
                spec.where,
            )
    else:
        if spec.outcome.scale == DIRECT_SCALE:
            raise SpecError(
                f'outcome.scale = "{DIRECT_SCALE}" for {measure.name}, a count of offences',
                f"one of {', '.join(OFFENCE_SCALES)}",
                spec.where,
            )
        if spec.outcome.build == "none":
            raise SpecError(
                f'outcome.build = "none" for {measure.name}, a count of offences',
                f"one of {', '.join(BUILDS)}",
                spec.where,
            )
    if measure.years is not None and not measure.name.startswith("rape_"):
        first, last = measure.years
        if spec.years[0] < first or spec.years[-1] > last:
            raise SpecError(
                f"{measure.name} in {_span(spec)}",
                f"years within {first}-{last}, where it is measured",
                spec.where,
            )


def _check_sample(spec: Spec) -> None:
    sample = spec.sample
    both = sorted(set(sample.keep_states) & set(sample.drop_states))
    if both:
        raise SpecError(
            f"{show(both)} stands in sample.keep_states and in sample.drop_states",
            "one of the two",
            spec.where,
        )
    if sample.years is not None:
        outside = [year for year in sample.drop_years if not sample.years[0] < year < sample.years[1]]
        if outside:
            raise SpecError(
                f"sample.drop_years holds {show(outside)}",
                f"years inside the window {sample.years[0]}-{sample.years[1]}, not its ends",
                spec.where,
            )


def _check_covariates(spec: Spec) -> None:
    codebook = load_codebook()
    for name in spec.covariates.names:
        if name not in codebook.covariates:
            raise SpecError(
                f"covariates.names holds '{name}'{nearest(name, codebook.covariates)}",
                f"one of {', '.join(codebook.covariates)}",
                spec.where,
            )
        vintages = codebook.covariates[name]
        if spec.covariates.vintage not in vintages:
            raise SpecError(
                f'covariates.vintage = "{spec.covariates.vintage}", in which there is no {name}',
                f"for {name} one of {', '.join(vintages)}",
                spec.where,
            )


def _check_estimator(spec: Spec) -> None:
    name, rules = spec.estimator.name, ESTIMATORS[spec.estimator.name]
    if spec.design.kind != rules.kind:
        raise ProtocolError(
            f'rule 11: {name} cannot honour design.kind = "{spec.design.kind}"', f'"{rules.kind}"', spec.where
        )
    if spec.treatment.comparison not in rules.comparisons:
        raise ProtocolError(
            f'rule 11: {name} cannot honour treatment.comparison = "{spec.treatment.comparison}": '
            "it compares each county with all others",
            " or ".join(f'"{c}"' for c in rules.comparisons),
            spec.where,
        )
    for key, reason in rules.refuses.items():
        section, part = key.split(".")
        value = getattr(getattr(spec, section), part)
        if value:
            raise ProtocolError(
                f"rule 11: {name} cannot honour {key} = {_toml(_plain(value))}: {reason}",
                "[]" if isinstance(value, tuple) else "0",
                spec.where,
            )
    if rules.needs_covariates and not spec.covariates.names:
        raise SpecError(f"covariates.names = [] for {name}", "at least one covariate to match on", spec.where)


def _check_inference(spec: Spec) -> None:
    inference, rules = spec.inference, ESTIMATORS[spec.estimator.name]
    if inference.vcov not in rules.vcov:
        raise ProtocolError(
            f'rule 11: {spec.estimator.name} cannot honour inference.vcov = "{inference.vcov}"',
            " or ".join(f'"{v}"' for v in rules.vcov),
            spec.where,
        )
    clustered = inference.vcov != "abadie_imbens"
    if clustered == (inference.by == "none"):
        raise SpecError(
            f'inference.by = "{inference.by}" with vcov = "{inference.vcov}"',
            '"state" or "county"' if clustered else '"none": that error takes counties as independent',
            spec.where,
        )
    if inference.vcov == "wild_bootstrap" and inference.by == "county" and spec.within == "state":
        raise SpecError(
            'inference.by = "county" with a wild bootstrap under state-by-year effects, which cross counties',
            '"state"',
            spec.where,
        )
    if inference.vcov == "wild_bootstrap" and inference.draws < 99:
        raise SpecError(
            f"inference.draws = {inference.draws} with a wild bootstrap", "at least 99 draws", spec.where
        )
    if inference.vcov == "abadie_imbens" and inference.draws:
        raise SpecError(
            f'inference.draws = {inference.draws} with vcov = "abadie_imbens", a closed form', "0", spec.where
        )


def _check_definition(spec: Spec) -> None:
    path = spec.definition_path
    if path is not None and not path.is_file():
        raise SpecError(
            f'treatment.definition = "{spec.treatment.definition}", '
            "and there is no such file beside the spec",
            "the path of a csv of policy dates, from the folder the spec is in",
            spec.where,
        )
    carried = carries(spec.treatment.definition, spec.design.kind, spec.within)
    if not carried.allowed:
        raise ProtocolError(f"rule 6: {carried.reason}", carried.wanted, spec.where)
    until = definition_of(spec.treatment.definition).outcomes_until
    if until is not None and spec.years[-1] > until:
        raise ProtocolError(
            f"rule 6: {spec.treatment.definition} with outcomes in {_span(spec)}: "
            "the detainer records end on 19 July 2015, and a later 'never' is unknown",
            f"years up to {until}",
            spec.where,
        )


def _check_rape(spec: Spec) -> None:
    if spec.outcome.measure == "rape_legacy" and spec.years[-1] > 2016:
        raise ProtocolError(
            f"rule 3: rape_legacy in {_span(spec)}: the FBI prints no legacy rape after 2016",
            "years up to 2016, and up to 2012 for a main analysis",
            spec.where,
        )
    if spec.outcome.measure == "rape_revised" and spec.years[0] < RAPE_BREAK:
        raise ProtocolError(
            f"rule 3: rape_revised in {_span(spec)}: the definition exists from {RAPE_BREAK}",
            f"years from {RAPE_BREAK}, or rape_legacy up to 2012",
            spec.where,
        )


def _notes(spec: Spec) -> Iterator[str]:
    measure, last = spec.outcome.measure, spec.years[-1]
    if spec.outcome.build == "county_agencies":
        yield (
            "rule 1: offences of sheriffs and county police over all county residents: the two cover different people, "
            "so the rate falls with the share of residents under city police; read it beside build policed"
        )
    if spec.outcome.build == "county_population":
        yield "rule 1: offences of the agencies that report over all county residents: unreported places count as free of crime"
    if measure == "rape_legacy" and last >= RAPE_BREAK:
        yield (
            "rule 3: from 2013 agencies leave the legacy definition of rape one by one; "
            "not a main rape analysis"
        )
    if measure == "rape_revised":
        yield "rule 3: the revised definition of rape covers only the agencies that had adopted it"
    if measure in HOLDS_RAPE and last >= RAPE_BREAK:
        yield (
            f"rule 3: from 2013 {load_codebook().measures[measure].label} holds legacy rape for some "
            "agencies and revised rape for others; read it beside the measure that excludes rape"
        )
    if spec.sample.years is not None and spec.sample.years != MAIN_WINDOW:
        yield f"rule 4: the main window is {MAIN_WINDOW[0]}-{MAIN_WINDOW[1]}; {_span(spec)} is a variation"
    if spec.years[0] < 2010:
        yield "rule 4: Illinois is hardly published before 2010"
    if last > 2017:
        yield "rule 4: Iowa is missing in 2018, most of Alabama, Georgia, Pennsylvania and Missouri in 2019"
    if spec.covariates.names and int(spec.covariates.vintage[-4:]) > 2010:
        yield f"rule 4: covariates of {spec.covariates.vintage.replace('_', '-')} overlap early policies"
    if spec.treatment.onset == "adoption_year":
        yield (
            "rule 5: the adoption year counts as treated though most policies begin in April-October: "
            "its effect is that of part of a year"
        )
    yield from _definition_notes(spec)
    if spec.inference.vcov == "abadie_imbens":
        yield (
            "rule 12: Abadie-Imbens errors are valid if counties were assigned independently; "
            "they carry no verdict"
        )
    elif spec.inference.by == "county":
        yield "rule 12: policies cluster in states; errors clustered by county carry no verdict"


def _definition_notes(spec: Spec) -> Iterator[str]:
    note = carries(spec.treatment.definition, spec.design.kind, spec.within).note
    if note:
        yield f"rule 6: {note}"


# ----------------------------------------------------------------------------------------------------
# The grid
# ----------------------------------------------------------------------------------------------------


def _read_vary(values: Any, where: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(values, Mapping):
        raise SpecError(f"vary = {values!r}", "a section [vary]", where)
    lines = []
    for key, options in values.items():
        _known_key(key, "vary", where)
        if not isinstance(options, list) or len(options) < 2:
            raise SpecError(f'vary."{key}" = {_toml(options)}', "a list of two or more values", where)
        lines.append((key, tuple(_frozen(option) for option in options)))
    return tuple(lines)


def _read_also(values: Any, vary: tuple[tuple[str, tuple[Any, ...]], ...], where: str) -> tuple[Also, ...]:
    if not isinstance(values, list) or not all(isinstance(one, Mapping) for one in values):
        raise SpecError("also is not a list of sections", "one [[also]] a one-off", where)
    found: list[Also] = []
    for one in values:
        rest = dict(one)
        name = _read("also.name", rest.pop("name", None), TOP["name"], where)
        if name in {other.name for other in found}:
            raise SpecError(f"two [[also]] are named '{name}'", "a name of its own for each", where)
        crossed = rest.pop("crossed_with", [])
        varied = [key for key, _ in vary]
        if not isinstance(crossed, list) or any(key not in varied for key in crossed):
            raise SpecError(
                f"also '{name}': crossed_with = {_toml(crossed)}",
                f"lines of [vary]: {', '.join(varied)}",
                where,
            )
        for key in rest:
            _known_key(key, f"also '{name}'", where)
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


def _known_key(key: str, place: str, where: str) -> None:
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
        keep = {"name", *ESTIMATORS[name].keys}
        values["estimator"] = {k: v for k, v in values["estimator"].items() if k in keep}
    for key, value in changes.items():
        if key in TOP:
            values[key] = value
            continue
        _known_key(key, "replace", where)
        section, part = key.split(".")
        values[section] = dict(values[section]) | {part: _plain(value)}
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


# ----------------------------------------------------------------------------------------------------
# Plain values
# ----------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


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


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return "nothing" if value is None else str(value)


def _span(spec: Spec) -> str:
    years = spec.years
    return str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}"


def _section_words(section: str) -> str:
    keys = list(SECTIONS[section]) or ["name", "weights", "and the keys of that estimator"]
    return f"a section [{section}] with {', '.join(keys)}"


def _toml_hint(text: str) -> str:
    if re.search(r"[\[,=]\s*0\d{4}\b", text):
        return 'TOML, with FIPS codes as quoted text: "06037", not 06037'
    return "a file tomllib can read"

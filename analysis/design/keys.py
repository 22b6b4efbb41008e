"""What each key of a spec takes: readers of one value, the sections, and values as people read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from analysis.base.codebook import load_codebook
from analysis.base.errors import SpecError, nearest
from analysis.design.treatment import DEFINITIONS

FIRST_YEAR, LAST_YEAR = 2005, 2019
# The long series of cities begins here; panels of counties do not reach back.
FIRST_CITY_YEAR = 1985
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
BUILDS = ("policed", "county_population", "county_agencies", "outside_cities", "county_file")
OFFENCE_SCALES = ("rate_100k", "rate_10k", "log_rate", "count")
DIRECT_SCALE = "as_measured"
CONTROL_POLICIES = ("secure_communities", "agreement_287g")
# Measures whose total holds rape, and so the break in its definition.
HOLDS_RAPE = frozenset({"violent", "total", "total_with_arson"})
VCOV = (
    "cluster",
    "wild_bootstrap",
    "bootstrap",
    "randomisation",
    "abadie_imbens",
    "abadie_imbens_homoskedastic",
    "estimated_score",
    "cr2",
    "cr3",
    "subcluster_bootstrap",
    "spatial",
    "placebo",
)
BY = (
    "state",
    "county",
    "pair",
    "pair_and_state",
    "none",
    "state_and_year",
    "county_and_year",
    "segment",
    "state_and_segment",
)
# Clusters that hold whole states (protocol rule 12).
BY_STATE = frozenset({"state", "pair_and_state", "state_and_year", "state_and_segment"})
# Errors that take counties as independently assigned (protocol rule 12).
INDEPENDENT = frozenset({"abadie_imbens", "abadie_imbens_homoskedastic", "estimated_score"})


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


def plain_value(value: Any) -> Any:
    """Return a value with lists in place of tuples."""
    return [plain_value(v) for v in value] if isinstance(value, (list, tuple)) else value


def toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml(v) for v in value)}]"
    return "nothing" if value is None else str(value)


def read_value(key: str, value: Any, rule: Key, where: str) -> Any:
    """Return a value as its key's reader gives it.

    Raises:
        SpecError: the key does not take it.
    """
    try:
        return rule.read(value)
    except Wrong as wrong:
        said = str(wrong)
        shown = toml(value)
        found = f"{key}{said}" if said.startswith(" holds") else f"{key} = {shown}{said}"
        raise SpecError(found, rule.wanted, where) from None


class Wrong(Exception):
    """A value is not what its key takes; carries what was found where the value alone does not say it."""


@dataclass(frozen=True, slots=True)
class Key:
    """What one key takes.

    Args:
        wanted: in words.
        read: value as written to value as held; raises `Wrong`.
        default: where it may be left out; ``...`` where it may not.
    """

    wanted: str
    read: Callable[[Any], Any]
    default: Any = ...

    @property
    def required(self) -> bool:
        """Whether the key must be written."""
        return self.default is ...

    def takes(self, value: Any) -> bool:
        """Return whether the key takes a value."""
        try:
            self.read(value)
        except Wrong:
            return False
        return True


def optional(key: Key) -> Key:
    """Return the key as one that may be left out; what that means stands where it is read."""
    return replace(key, default=None)


def choice(*options: str, default: Any = ...) -> Key:
    """Return the reader of one of some words."""

    def read(value: Any) -> str:
        if value not in options:
            raise Wrong(nearest(value, options) if isinstance(value, str) else "")
        return str(value)

    return Key(options[0] if len(options) == 1 else f"one of {', '.join(options)}", read, default)


def whole(low: int, high: int, wanted: str, default: Any = ...) -> Key:
    """Return the reader of a whole number within limits."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Wrong
        return value

    return Key(wanted, read, default)


def number(low: float, high: float, wanted: str, default: Any = ..., open_ends: bool = False) -> Key:
    """Return the reader of a number within limits."""

    def read(value: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise Wrong
        inside = low < value < high if open_ends else low <= value <= high
        if not inside:
            raise Wrong
        return float(value)

    return Key(wanted, read, default)


def flag(default: Any = ...) -> Key:
    """Return the reader of true or false."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise Wrong
        return value

    return Key("true or false", read, default)


def text(wanted: str, pattern: str = r".*\S.*") -> Key:
    """Return the reader of a text of a pattern."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise Wrong
        return value

    return Key(wanted, read)


def listed(wanted: str, one: Callable[[Any], Any], default: Any = ()) -> Key:
    """Return the reader of a list without repeats."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise Wrong
        items = tuple(one(item) for item in value)
        repeated = sorted({item for item in items if items.count(item) > 1})
        if repeated:
            raise Wrong(f" holds {show(repeated)} twice")
        return items

    return Key(wanted, read, default)


def so_many(high: int, wanted: str) -> Key:
    """Return the reader of a number of areas, in which 0 and a key left out both mean all of them."""
    some = whole(0, high, wanted)
    return Key(some.wanted, lambda value: some.read(value) or None, None)


def years_around(wanted: str, most: int) -> Key:
    """Return the reader of a number of years before and one after, each from 1."""

    def read(value: Any) -> tuple[int, int]:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise Wrong
        if any(not isinstance(v, int) or isinstance(v, bool) or not 1 <= v <= most for v in value):
            raise Wrong
        return value[0], value[1]

    return Key(wanted, read)


def one_of(options: Sequence[str]) -> Callable[[Any], str]:
    """Return the reader of one item of a list, from some words."""

    def one(item: Any) -> str:
        if item not in options:
            raise Wrong(f" holds {item!r}{nearest(item, options) if isinstance(item, str) else ''}")
        return str(item)

    return one


def _state(item: Any) -> str:
    if not isinstance(item, str) or not re.fullmatch("[A-Z]{2}", item):
        raise Wrong(f" holds {item!r}")
    return item


def _fips(item: Any) -> str:
    if isinstance(item, int) and not isinstance(item, bool):
        raise Wrong(f" holds {item}, a number")
    if not isinstance(item, str) or not re.fullmatch("[0-9]{5}", item):
        raise Wrong(f" holds {item!r}")
    if item in NEW_YORK_CITY_COUNTIES:
        raise Wrong(f' holds "{item}", a county of New York City, which is one area here, "{NEW_YORK_CITY}"')
    return item


def _state_or_fips(item: Any) -> str:
    return _state(item) if isinstance(item, str) and re.fullmatch("[A-Z]{2}", item) else _fips(item)


def _year(item: Any) -> int:
    if not isinstance(item, int) or isinstance(item, bool) or not FIRST_CITY_YEAR <= item <= LAST_YEAR:
        raise Wrong(f" holds {item!r}")
    return item


def _years(value: Any) -> tuple[int, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise Wrong
    first, last = _year(value[0]), _year(value[1])
    if first >= last:
        raise Wrong
    return first, last


def by_name(wanted: str, one: Callable[[Any], Any]) -> Key:
    """Return the reader of pairs ``[["name", value], ...]``; a name stands once, and may be left out."""

    def read(value: Any) -> tuple[tuple[str, Any], ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise Wrong
        pairs = []
        for item in value:
            if not isinstance(item, (list, tuple)) or len(item) != 2 or not isinstance(item[0], str):
                raise Wrong(f" holds {toml(item)}")
            try:
                pairs.append((item[0], one(item[1])))
            except Wrong:
                raise Wrong(f" holds {toml(item)}") from None
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise Wrong(f" holds {show(repeated)} twice")
        return tuple(sorted(pairs))

    return Key(wanted, read, None)


def width(value: Any) -> float:
    """Read a number above zero."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        raise Wrong
    return float(value)


def rising(value: Any) -> tuple[float, ...]:
    """Read a list of numbers, each above the one before."""
    if not isinstance(value, (list, tuple)) or not value:
        raise Wrong
    if any(not isinstance(v, (int, float)) or isinstance(v, bool) for v in value):
        raise Wrong
    if any(a >= b for a, b in pairwise(value)):
        raise Wrong
    return tuple(float(v) for v in value)


def _measure(value: Any) -> str:
    measures = load_codebook().measures
    if value not in measures:
        raise Wrong(nearest(value, measures) if isinstance(value, str) else "")
    return str(value)


def _definition(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong
    if not is_csv(value) and value not in DEFINITIONS:
        raise Wrong(nearest(value, DEFINITIONS))
    return value


_YEAR_WORDS = f"between {FIRST_YEAR} and {LAST_YEAR}"

TOP: dict[str, Key] = {
    "name": text("a name of letters, digits, - and _", r"[A-Za-z0-9][A-Za-z0-9_-]*"),
    "title": text("one line of text"),
    "status": choice("declared", "added"),
}

SECTIONS: dict[str, dict[str, Key]] = {
    "design": {
        "kind": choice("panel", "cross_section", default="panel"),
        "area": optional(choice("county", "state", "city")),
        "year": whole(FIRST_CITY_YEAR, LAST_YEAR, f"a year {_YEAR_WORDS}", default=None),
    },
    "outcome": {
        "measure": Key("a measure of data/codebook.toml", _measure),
        "scale": choice(*OFFENCE_SCALES, DIRECT_SCALE),
        "build": choice(*BUILDS, "none", default=None),
    },
    "treatment": {
        "definition": Key("a definition of the study, or the path of a csv", _definition),
        "onset": choice("first_full_year", "adoption_year"),
        "upper_bound_dates": choice("as_dated", "one_year_earlier", default="as_dated"),
        "anticipation": whole(0, 5, "a number of years from 0 to 5", default=0),
        "comparison": choice("not_yet_treated", "never_treated"),
        "status_year": whole(FIRST_YEAR, LAST_YEAR, f"a year {_YEAR_WORDS}", default=None),
        "only": optional(
            listed('a list of postal codes or quoted FIPS codes, ["CA", "17031"]', _state_or_fips)
        ),
        "placebo_shift": whole(1, 5, "a number of years from 1 to 5", default=None),
        "exposed": optional(choice("adopters", "neighbours")),
    },
    "sample": {
        "years": Key(f"[first, last], both {_YEAR_WORDS}, first before last", _years, None),
        "drop_years": listed(f"a list of years {_YEAR_WORDS}", _year),
        "min_population": whole(0, 20_000_000, "a number of residents"),
        "min_coverage": number(0.0, 1.0, "a share in [0, 1]"),
        "balance": choice("every_year", "all_but_two", "none", default=None),
        "constant_agencies": flag(default=False),
        "keep_states": listed('a list of postal codes, ["CA", "OR"]', _state),
        "drop_states": listed('a list of postal codes, ["CA", "OR"]', _state),
        "drop_counties": listed('FIPS codes as quoted text of five digits, ["06037"]', _fips),
        "urban_classes": listed(f"a list of {', '.join(URBAN_CLASSES)}", one_of(URBAN_CLASSES)),
        "without_neighbours": optional(flag()),
        "largest_hispanic": so_many(3_200, "a number of counties from 0 to 3200, 0 for all"),
        "hispanic_quartile": whole(1, 4, "a quartile from 1, the lowest, to 4", default=None),
    },
    "covariates": {
        "names": listed("a list of covariates of data/codebook.toml", str),
        "vintage": text("a vintage of data/codebook.toml, such as 2006_2010"),
    },
    "controls": {
        "policies": listed(f"a list of {', '.join(CONTROL_POLICIES)}", one_of(CONTROL_POLICIES)),
    },
    "estimator": {},
    "inference": {
        "vcov": choice(*VCOV),
        "by": choice(*BY),
        "level": number(0.5, 1.0, "a share between 0.5 and 1, such as 0.95", open_ends=True),
        "draws": whole(0, 1_000_000, "a whole number of draws, 0 for none"),
        "seed": whole(0, 2**32 - 1, "a whole number from 0"),
        "assignment": optional(choice("counties_within_states", "whole_states")),
        "cutoff_km": number(1.0, 5_000.0, "a distance in km, such as 200", default=None),
        "kernel": optional(choice("bartlett", "uniform")),
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
    ("estimator", "fine"),
    ("estimator", "match_on"),
    ("treatment", "only"),
)

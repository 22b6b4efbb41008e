"""Numbers and states of evidence as words: one place, so that figure, table and paper say the same thing.

The words follow the study's protocol: reported crime, both ends of an interval, precision before agreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.design.treatment import DEFINITIONS

MINUS = "−"  # the typographic minus
MISSING = "–"  # an en dash stands for a missing cell

COMPARISONS: Mapping[str, str] = {
    "between": "between states",
    "within": "within states",
    "matched": "matched counties",
    "classes": "within urban classes",
    "border": "along borders",
    "adopters": "adopters alone",
    "synthetic": "synthetic area",
    "": "",
}

BUILDS: Mapping[str, str] = {
    "policed": "Residents policed by\nagencies that report",
    "county_population": "All agencies over\nthe whole county",
    "county_agencies": "County agencies over\nthe whole county",
    "outside_cities": "County agencies over\nresidents outside cities",
    "county_file": "County file of\nthe user",
    "none": "Direct measure",
}

CLAIMS: Mapping[str, str] = {
    "no_difference": "2016 claim: no discernible difference in reported crime (cities)",
    "fewer": "2017 claim: fewer reported crimes where cooperation is limited (counties)",
    "more": "2018 claim: more reported crime after adoption (counties along borders)",
}

HEADLINE_DESIGNS: Mapping[str, str] = {
    "": "Across states",
    "without-california": "Without California",
    "within-states": "Within states",
    "counties-alike": "Counties alike",
    "two-way": "Two-way",
    "two-way-within-states": "Two-way, within states",
    "border": "Along borders",
    "matched-2015": "Matched, 2015",
}
"""Variation of the spec of headline estimates -> its design in words; "" is the spec's own values."""

ESTIMATORS: Mapping[str, str] = {
    "matched_difference": "matched difference",
    "optimal_match": "optimal pairs",
    "full_match": "full matching",
    "genetic_match": "genetic matching",
    "cardinality_match": "cardinality matching",
    "coarsened_match": "coarsened exact matching",
    "subclassification": "subclassification",
    "weighting": "weighting",
    "doubly_robust": "augmented weighting",
    "regression_adjustment": "regression adjustment",
    "matched_did": "matched difference-in-differences",
    "imputation": "imputation",
    "two_stage": "two-stage",
    "interaction_weighted": "interaction-weighted",
    "stacked": "stacked by cohort",
    "extended_two_way": "extended two-way",
    "local_projections": "local projections",
    "poisson": "Poisson",
    "two_way": "two-way fixed effects",
    "group_time_att": "group-time effects",
    "border_pairs": "border pairs",
    "synthetic_control": "synthetic control",
    "synthetic_did": "synthetic difference-in-differences",
    "before_after": "after less before",
    "two_by_two": "difference of four means",
}


SMALL = 0.005
"""A fraction below which whole per cent would read as nothing."""


def is_missing(value: Any) -> bool:
    """Return whether a scalar stands for nothing: None, NaN, NA or an empty text."""
    if value is None or value is pd.NA:
        return True
    if isinstance(value, str):
        return not value
    return bool(pd.isna(value))


def number(value: Any, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number for people: thousands separated, a true minus, a dash where it is missing.

    Example:
        >>> number(-12345.678), number(0.04, 3, sign=True), number(float("nan"))
        ('−12,345.7', '+0.040', '–')
    """
    if is_missing(value):
        return MISSING
    if np.isinf(float(value)):
        return f"{MINUS if float(value) < 0 else ''}∞"
    rounded = round(float(value), digits) + 0.0
    text = f"{abs(rounded):,.{digits}f}"
    if rounded < 0:
        return MINUS + text
    return f"+{text}" if sign and rounded > 0 else text


def count(value: Any) -> str:
    """Return a whole number for people.

    Example:
        >>> count(3142), count(None)
        ('3,142', '–')
    """
    return number(value, 0)


def span(values: Any) -> str:
    """Return the range of whole numbers, or the number where they are one.

    Example:
        >>> span([46, 45]), span([9, 9]), span([])
        ('45 to 46', '9', '–')
    """
    present = pd.Series(values, dtype="Float64").dropna()
    if present.empty:
        return MISSING
    low, high = present.min(), present.max()
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def counted(n: Any, one: str, many: str = "") -> str:
    """Return a count with its noun.

    Example:
        >>> counted(1, "state"), counted(1200.0, "treated county", "treated counties")
        ('1 state', '1,200 treated counties')
    """
    return f"{count(n)} {one if n == 1 else many or f'{one}s'}"


def none_or_count(n: Any) -> str:
    """Return a count, or none.

    Example:
        >>> none_or_count(0), none_or_count(1200)
        ('none', '1,200')
    """
    return "none" if n == 0 else count(n)


def capital(text: str) -> str:
    """Return a text that begins with a capital letter, the rest as it was.

    Example:
        >>> capital("reported crime, FBI")
        'Reported crime, FBI'
    """
    return text[:1].upper() + text[1:]


def once(values: Iterable[str], groups: Sequence[str] = ()) -> list[str]:
    """Return texts with a blank where the one above says the same, of the same group where there are groups.

    Example:
        >>> once(["a", "a", "b"]), once(["x", "x"], ["one", "two"])
        (['a', '', 'b'], ['x', 'x'])
    """
    said = list(values)
    keys = list(zip(groups or said, said, strict=True))
    return [value if at == 0 or keys[at] != keys[at - 1] else "" for at, value in enumerate(said)]


def whole_share(share: Any) -> str:
    """Return a share in whole per cent; one that would round to nothing or to all is said so.

    Example:
        >>> whole_share(0.123), whole_share(0.001), whole_share(0.0), whole_share(0.998)
        ('12 %', 'under 1 %', '0 %', 'over 99 %')
    """
    if is_missing(share):
        return MISSING
    if 0 < share < SMALL:
        return "under 1 %"
    return "over 99 %" if 1 - SMALL < share < 1 else percent(share, 0)


def percent(share: Any, digits: int = 1) -> str:
    """Return a share as a percentage.

    Example:
        >>> percent(0.905)
        '90.5 %'
    """
    return MISSING if is_missing(share) else f"{number(100 * float(share), digits)} %"


def digits_for(*values: Any) -> int:
    """Return how many decimals show two significant digits of the smallest number that matters.

    Args:
        values: numbers shown together, such as an estimate and its interval ends.

    Example:
        >>> digits_for(-35.5, -60.2, 10.1), digits_for(0.035, 0.011, 0.059), digits_for(1234.0, 890.0)
        (1, 3, 0)
    """
    sizes = [abs(float(v)) for v in values if not is_missing(v) and np.isfinite(float(v)) and float(v) != 0.0]
    if not sizes:
        return 1
    largest = max(sizes)
    return 0 if largest >= 1000 else 1 if largest >= 10 else 2 if largest >= 1 else 3


def interval(low: Any, high: Any, digits: int | None = None, *, joiner: str = " to ") -> str:
    """Return both ends of an interval, or a dash where there is none.

    Example:
        >>> interval(-10.26, 3.2)
        '−10.3 to 3.2'
    """
    if is_missing(low) or is_missing(high):
        return MISSING
    places = digits_for(low, high) if digits is None else digits
    return f"{number(low, places)}{joiner}{number(high, places)}"


def with_intervals(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of results with both ends of each interval in words, on one line.

    Args:
        rows: estimate, conf_low, conf_high and, where known, percent_of_baseline, percent_low, percent_high.

    Returns:
        The rows with ``estimate (low to high)`` and, where known, ``% of mean (low to high)``.

    Example:
        >>> rows = pd.DataFrame({"estimate": [1.0], "conf_low": [-1.0], "conf_high": [3.0]})
        >>> with_intervals(rows)["estimate (low to high)"].item().split()
        ['1.00', '(−1.00', 'to', '3.00)']
    """
    columns = {
        "estimate (low to high)": ["estimate", "conf_low", "conf_high"],
        "% of mean (low to high)": ["percent_of_baseline", "percent_low", "percent_high"],
    }
    told = {name: ends for name, ends in columns.items() if set(ends) <= set(rows.columns)}
    # Spaces that do not break keep an interval on one line.
    return rows.assign(
        **{
            name: [estimate_text(*row).replace(" ", "\u00a0") for row in rows[ends].to_numpy(dtype=float)]
            for name, ends in told.items()
        }
    )


def estimate_text(estimate: Any, low: Any, high: Any, digits: int | None = None) -> str:
    """Return ``estimate (low to high)``, and the estimate alone where no interval exists.

    Example:
        >>> estimate_text(-35.5, None, None), estimate_text(0.0348, 0.0109, 0.0587)
        ('−35.5', '0.035 (0.011 to 0.059)')
    """
    if is_missing(estimate):
        return MISSING
    places = digits_for(estimate, low, high) if digits is None else digits
    ends = interval(low, high, places)
    return number(estimate, places) if ends == MISSING else f"{number(estimate, places)} ({ends})"


def listing(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    Example:
        >>> listing(["a", "b", "c"])
        'a, b and c'
    """
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def definition_label(name: str) -> str:
    """Return a definition in words; a csv of the user's own keeps its name.

    Example:
        >>> definition_label("policy_full"), definition_label("mine.csv")
        ('Documented full decline', 'mine.csv')
    """
    return DEFINITIONS[name].label if name in DEFINITIONS else name


def definition_rank(name: str) -> int:
    """Return the place of a definition in the study's order; unknown ones come last."""
    order = list(DEFINITIONS)
    return order.index(name) if name in order else len(order)


def inference_words(inference: Any) -> str:
    """Return in words how intervals were made.

    Args:
        inference: record with kind, by, clusters, df, level, draws.

    Example:
        >>> from types import SimpleNamespace
        >>> by_state = SimpleNamespace(kind="cluster", by="state", clusters=46, df=45, level=0.95, draws=999)
        >>> inference_words(by_state)
        '95 % intervals, clustered by state (46 clusters), t with 45 df'
    """
    level = f"{100 * inference.level:g} % intervals"
    kind = str(inference.kind)
    clusters = "" if is_missing(inference.clusters) else f" ({count(inference.clusters)} clusters)"
    if kind == "abadie_imbens":
        return f"{level}, Abadie and Imbens (valid if counties were assigned independently)"
    reference = (
        "normal reference"
        if is_missing(inference.df) or not np.isfinite(float(inference.df))
        else f"t with {count(inference.df)} df"
    )
    if kind == "cluster":
        return f"{level}, clustered by {inference.by}{clusters}, {reference}"
    if kind == "wild_bootstrap":
        return f"{level}, wild cluster bootstrap by {inference.by}{clusters}, {count(inference.draws)} draws"
    return f"{level}, {kind.replace('_', ' ')}{clusters}, {reference}"


LEADS_REJECT = 0.05
"""Joint p-value below which years before adoption speak against a comparison; marked with a dagger."""

DAGGER_NOTE = "† The years before adoption differ from zero jointly (p < 0.05): a warning about the comparison, not a proof."


def leads_reject(row: Mapping[Any, Any]) -> bool:
    """Return whether the joint test of the years before adoption rejects, for a row that has one.

    Example:
        >>> leads_reject({"pretrend_p": 0.01}), leads_reject({"pretrend_p": float("nan")}), leads_reject({})
        (True, False, False)
    """
    value: Any = row.get("pretrend_p")
    return not is_missing(value) and float(value) < LEADS_REJECT


def verdict_words(row: Mapping[Any, Any]) -> str:
    """Return the verdict of a headline row, with its agreement where there is one.

    Example:
        >>> verdict_words({"verdict": "inconclusive", "agreement": ""})
        'inconclusive'
        >>> verdict_words({"verdict": "not consistent", "agreement": "opposite sign"})
        'not consistent: opposite sign'
    """
    verdict, agreement = row.get("verdict"), row.get("agreement")
    if is_missing(verdict):
        return ""
    mark = " †" if leads_reject(row) else ""
    return (f"{verdict}: {agreement}" if not is_missing(agreement) else str(verdict)) + mark


def aligned(frame: pd.DataFrame) -> str:
    """Return a frame as aligned text for a terminal: words to the left, numbers to the right, missing as a dash.

    Example:
        >>> print(aligned(pd.DataFrame({"rule": ["years", "balance"], "areas": [3138, 837]})))
        rule     areas
        years    3,138
        balance    837
    """
    names = [str(name) for name in frame.columns]
    plain = [name in CALENDAR for name in names]
    cells = {n: [_cell(v, p) for v in frame[c]] for n, p, c in zip(names, plain, frame.columns, strict=True)}
    numeric, flag = pd.api.types.is_numeric_dtype, pd.api.types.is_bool_dtype
    right = {n: numeric(frame[c]) and not flag(frame[c]) for n, c in zip(names, frame.columns, strict=True)}
    widths = {name: max([len(name), *map(len, column)]) for name, column in cells.items()}

    def line(values: Sequence[str]) -> str:
        placed = zip(cells, values, strict=True)
        return "  ".join(v.rjust(widths[n]) if right[n] else v.ljust(widths[n]) for n, v in placed).rstrip()

    rows = [line(row) for row in zip(*cells.values(), strict=True)] if len(frame) else []
    return "\n".join([line(list(cells)), *rows])


CALENDAR = frozenset({"year", "time", "cohort", "adoption_year", "transition_year", "last_year"})


def _cell(value: Any, plain: bool) -> str:
    if is_missing(value):
        return MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(int(value)) if plain else f"{int(value):,}".replace("-", MINUS)
    if isinstance(value, (float, np.floating)):
        return number(value, 0 if float(value).is_integer() else digits_for(value))
    return str(value)

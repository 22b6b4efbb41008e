"""Sentences of the paper about the county comparison of 2017, written so that they hold whatever the numbers are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from analysis.evidence.studies.wong2017 import (
    ALL_CRIME,
    CLASS_SIGNS,
    OTHER_SAMPLES,
    SETS,
    SIZES,
    STUDY,
    class_pattern,
    pattern_shares,
    placed,
)
from analysis.report import words
from analysis.report.frames import require
from analysis.report.tables import label_of
from analysis.report.wong_tables import (
    BUILDS,
    DIRECTIONS,
    DOLLARS,
    STUDY_RESULTS,
    class_size,
    wong_classes_table_rows,
    wong_economy_rows,
)

Labels = Mapping[str, str]
Frames = Mapping[str, pd.DataFrame]
Row = Mapping[Any, Any]

NOT_RUN = "The county comparison of 2017 was not run here."
LARGEST = "large central metro"
FULL = "full decline"
LATER = "homeland security list 2025"
SET_WORDS: Mapping[str, str] = {
    "A": "the short set of covariates",
    "B": "the longer one",
    "B in division": "the longer one within divisions",
}
OTHER_WORDS: Mapping[str, str] = {
    "samples": "other coverage and counties of every size",
    "years": "outcomes of 2016",
    "later_covariates": "covariates of the time",
}


def phrases(frames: Frames, labels: Labels) -> dict[str, tuple[str, str]]:
    """Return what was found beside Wong (2017): key to text and the output it stands in.

    Args:
        frames: holds ``study_results`` (`analysis.report.wong_tables.STUDY_RESULTS`); without it, or without rows of the
            study, the sentences say that it was not run.
        labels: measure to words.

    Raises:
        TableError: ``study_results`` lacks a column.
    """
    results = frames.get("study_results")
    if results is None or results.empty:
        ours = pd.DataFrame()
    else:
        table = require(results, STUDY_RESULTS)
        ours = table[table["study"].eq(STUDY.name)]
    said: dict[str, tuple[Callable[[], str], str]] = {
        "study.wong2017.multiverse": (lambda: multiverse_sentences(ours), "figure-30"),
        "study.wong2017.classes": (lambda: classes_sentences(ours), "table-59"),
        "study.wong2017.economy": (lambda: economy_sentences(ours, labels), "table-60"),
    }
    return {key: (NOT_RUN if ours.empty else say(), output) for key, (say, output) in said.items()}


# --- all counties ----------------------------------------------------------------------------------------------------


def multiverse_sentences(results: pd.DataFrame) -> str:
    """Return where the published difference falls among our specifications: over all, by build, by list, in other samples."""
    f = placed(results)
    size = words.number(SIZES[ALL_CRIME], 1)
    whole = f[f["by"].eq("all") & f["n_estimated"].gt(0)]
    if whole.empty:
        return "No specification for all counties under a list dated before the outcomes could be estimated."
    one = whole.iloc[0]
    lines = [
        f"Published: {size} reported offences per 10,000 residents. Of {words.count(one['n_estimated'])} estimates for all "
        f"counties under lists dated before the outcomes, families of methods weighing alike, {words.whole_share(one['share_sign'])} are "
        f"negative and {words.whole_share(one['share_below'])} lie below {size}; {words.whole_share(one['share_holds'])} of the intervals hold it, "
        f"{words.whole_share(one['share_clear'])} exclude zero on its side and {words.whole_share(one['share_opposite'])} on the other. The median is "
        f"{_number(one['median'])}."
    ]
    builds = f[f["by"].eq("build") & f["n_estimated"].gt(0)]
    if len(builds):
        parts = [
            f"{_number(r['median'])} with {BUILDS.get(str(r['build']), str(r['build'])).lower()} ({words.whole_share(r['share_sign'])} "
            f"negative, {words.whole_share(r['share_holds'])} of intervals hold {size})"
            for r in builds.to_dict("records")
        ]
        lines.append(f"By build the median is {'; '.join(parts)}.")
    lists = f[f["by"].eq("definition") & f["n_estimated"].gt(0)]
    dated = lists[~lists["descriptive"].astype(bool)]
    if len(dated):
        lines.append(f"By list it runs from {_ends(dated, 'median', 'definition')}.")
    lines += [
        f"The {_list(str(r['definition']))}, later than every outcome and described alone, gives a median of "
        f"{_number(r['median'])}, {words.whole_share(r['share_sign'])} of the estimates negative."
        for r in lists[lists["descriptive"].astype(bool)].to_dict("records")
    ]
    other = placed(results, OTHER_SAMPLES)
    other = other[other["by"].eq("family") & other["n_estimated"].gt(0)]
    if len(other):
        parts = [
            f"{_number(r['median'])} with {OTHER_WORDS.get(str(r['family']), str(r['family']).replace('_', ' '))}"
            for r in other.to_dict("records")
        ]
        lines.append(f"What else may have been chosen: a median of {words.listing(parts)}.")
    lines.append(
        "Builds and lists that give the published sign or size do not identify what the report did: its list, match and county "
        "totals are not known here."
    )
    return "\n".join(lines)


# --- classes ---------------------------------------------------------------------------------------------------------


def classes_sentences(results: pd.DataFrame) -> str:
    """Return how often the six classes show the published signs, and what each class gives under full declines."""
    rows = wong_classes_table_rows(results)
    dated = rows[~rows["descriptive"].astype(bool) & rows["n_estimated"].gt(0)]
    if dated.empty:
        return "No class of counties could be estimated under a list dated before the outcomes."
    shares = pattern_shares(class_pattern(results))
    lines = [_pattern(shares)]
    largest = dated[dated["urban_class"].eq(LARGEST)]
    if len(largest):
        lines.append(
            f"In large central metropolitan counties, where {words.number(class_size(LARGEST), 1)} was published, the median per "
            f"10,000 residents runs from {_ends(largest, 'median', 'definition')}; "
            f"{_span(largest['n_treated'])} treated counties stand behind it, and "
            f"{words.count(largest['n_informative'].sum())} of {words.count(largest['n'].sum())} settings rest on 20 in six states."
        )
    full = dated[dated["definition"].eq(FULL)]
    parts = [
        f"{r['urban_class']} {_number(r['median'])} ({words.counted(r['n_treated'], 'treated county', 'treated counties')}; published "
        f"{_published(str(r['urban_class']))})"
        for r in full.to_dict("records")
    ]
    if parts:
        lines.append(f"Medians under documented full declines: {'; '.join(parts)}.")
    return "\n".join(lines)


def _published(name: str) -> str:
    size = class_size(name)
    return DIRECTIONS[CLASS_SIGNS[name]] if pd.isna(size) else words.number(size, 1)


def _pattern(shares: pd.DataFrame) -> str:
    whole = shares[shares["definition"].eq("") & shares["build"].eq("")]
    if whole.empty or not whole["n_complete"].iloc[0]:
        return "No setting under a dated list has an estimate in all six classes, so the pattern of signs is not to be had."
    one = whole.iloc[0]
    shown = f"{words.none_or_count(one['n_full'])} {'show' if one['n_full'] > 1 else 'shows'}"
    if one["n_full"]:
        shown += f" ({words.whole_share(one['share_full'])})"
    return (
        f"Published signs by class are lower, higher, higher, lower, lower, lower. Of "
        f"{words.counted(one['n_complete'], 'setting')} with an estimate in all six classes, {shown} all six; fair coins would "
        f"do so in {words.percent(one['chance_full'])} of settings, and signs independent of each other, each with the frequency "
        f"its class shows here, in {words.percent(one['margins_full'])}. On average {words.number(one['mean_agree'])} of six agree, three by chance; five or six in "
        f"{words.whole_share(one['share_five'])} ({words.whole_share(one['chance_five'])} by chance)."
    )


# --- the economy -------------------------------------------------------------------------------------------------------


def economy_sentences(results: pd.DataFrame, labels: Labels) -> str:
    """Return the figures of the economy: published, under full declines with its interval, over lists and settings."""
    f = wong_economy_rows(results)
    lines = []
    for measure, rows in f.groupby("measure", sort=False):
        dated = rows[~rows["descriptive"].astype(bool) & rows["n_estimated"].gt(0)]
        if dated.empty:
            lines.append(f"{label_of(str(measure), labels)}: not estimated.")
            continue
        lines.append(_economy_line(str(measure), dated, labels))
    return "\n".join(lines) if lines else "No figure of the economy was estimated."


def _economy_line(measure: str, rows: pd.DataFrame, labels: Labels) -> str:
    digits = 0 if measure == DOLLARS else 1
    one = rows.iloc[0]
    published = (
        DIRECTIONS[int(one["sign"])]
        if pd.isna(one["published"])
        else words.number(one["published"], digits, sign=True)
    )
    chosen = rows[rows["definition"].eq(FULL) & rows["estimate"].notna()]
    ours = "not estimated under documented full declines"
    if len(chosen):
        r = chosen.iloc[0]
        ours = (
            f"{words.number(r['estimate'], digits, sign=True)} ({words.interval(r['conf_low'], r['conf_high'], digits)}) under "
            f"documented full declines"
        )
    medians = [
        f"{words.number(rows[column].median(), digits, sign=True)} with {SET_WORDS[name]}"
        for name, column in SETS.items()
        if rows[column].notna().any()
    ]
    weight = rows["n_estimated"].astype(float)
    shares = {
        name: float((rows[name].astype(float) * weight).sum() / weight.sum())
        for name in ("share_sign", "share_clear", "share_opposite")
    }
    return (
        f"{label_of(measure, labels)}: published {published}; {ours}; over lists and settings "
        f"{words.interval(rows['lowest'].min(), rows['highest'].max(), digits)}, the median over lists {words.listing(medians)}; "
        f"{words.whole_share(shares['share_sign'])} with the published "
        f"sign, {words.whole_share(shares['share_clear'])} of intervals clear of zero on that side and {words.whole_share(shares['share_opposite'])} on "
        f"the other."
    )


# --- words ---------------------------------------------------------------------------------------------------------------


def _number(value: Any) -> str:
    return words.number(value, 1, sign=True)


def _span(values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return words.MISSING
    low, high = words.count(known.min()), words.count(known.max())
    return low if low == high else f"{low} to {high}"


def _list(name: str) -> str:
    return name.replace("homeland security", "Homeland Security").replace(" list 2025", " list of 2025")


def _ends(rows: pd.DataFrame, column: str, names: str) -> str:
    """Return the lowest and highest of a column with what they are of.

    Example:
        >>> _ends(pd.DataFrame({"m": [3.0, -1.0], "d": ["a", "b"]}), "m", "d"), _ends(pd.DataFrame({"m": [2.0], "d": ["a"]}), "m", "d")
        ('−1.0 (b) to +3.0 (a)', '+2.0 to +2.0 (a alone)')
    """
    known = rows[rows[column].notna()].reset_index(drop=True)
    if known.empty:
        return f"{words.MISSING} to {words.MISSING}"
    low, high = known.iloc[int(known[column].idxmin())], known.iloc[int(known[column].idxmax())]
    first, last = _number(low[column]), _number(high[column])
    if len(known) == 1:
        return f"{first} to {last} ({_list(str(low[names]))} alone)"
    return f"{first} ({_list(str(low[names]))}) to {last} ({_list(str(high[names]))})"

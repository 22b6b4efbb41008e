"""Sentences of the paper about the studies of cities, written so that they hold whatever the numbers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.evidence.matches import NOT_ESTIMATED
from analysis.evidence.studies import gonzalezobrien2019 as of
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NOT_INFORMATIVE
from analysis.report import city_figures, words
from analysis.report.frames import require
from analysis.report.match_numbers import effect
from analysis.report.tables import label_of

Labels = Mapping[str, str]
Frames = Mapping[str, pd.DataFrame]
Row = Mapping[Any, Any]

TABLE = "table-61"
# Lines that are told: named variation, with California or without, and how a sentence calls it.
TOLD: tuple[tuple[str, str, str], ...] = (
    ("", "in", "the year before and the year after"),
    ("big-cities", "in", "the same in cities of 100,000 and more"),
    ("mahalanobis-2015", "in", "the nearest city (2015)"),
    ("genetic-2015", "in", "genetic matching (2015)"),
    ("group-time", "in", "difference-in-differences"),
    ("group-time", "out", "the same without California"),
    ("group-time-within-states", "in", "the same within states"),
)
RAPE: tuple[tuple[str, str, str], ...] = (
    ("rape-2012", "in", "before and after"),
    ("genetic-2012-rape", "in", "genetic matching (2012)"),
)
NONE = "The specifications on cities were not run."
NO_LISTS = "How many cities each list places was not counted."


def phrases(frames: Frames, labels: Labels) -> dict[str, tuple[str, str]]:
    """Return what was found on cities: key to text and the output it stands in.

    Args:
        frames: holds ``study_results`` (`city_figures.STUDY_RESULTS`) and ``city_lists`` (`city_figures.CITY_LISTS`, a report of
            the panel of cities); without one, or without its rows, the sentence says so.
        labels: measure to words.

    Raises:
        TableError: a frame with rows lacks a column.
    """
    found = _estimates(frames.get("study_results"))
    return {
        "study.gonzalezobrien2019.found": (found_sentences(found, labels), TABLE),
        "study.cities.lists": (lists_sentences(frames.get("city_lists"), found), TABLE),
    }


def _estimates(results: pd.DataFrame | None) -> pd.DataFrame:
    if results is None or results.empty:
        return pd.DataFrame(columns=list(of.COLUMNS))
    return of.city_estimates(require(results, city_figures.STUDY_RESULTS))


def found_sentences(found: pd.DataFrame, labels: Labels) -> str:
    """Return a line an outcome with the main estimates, and one with their verdicts and what they could have found.

    Args:
        found: from `gonzalezobrien2019.city_estimates`.
        labels: measure to words.
    """
    rows = found[found["study"].eq(of.NAME) & ~found["definition"].astype(str).str.endswith(".csv")]
    if rows.empty:
        return NONE
    told = [
        line
        for measure in city_figures.OUTCOMES
        if (line := _line(rows[rows["measure"].eq(measure)], measure, TOLD, labels))
    ]
    if rape := _line(rows[rows["measure"].eq("rape_legacy")], "rape_legacy", RAPE, labels):
        told.append(rape)
    head = (
        "The published result is that no difference can be distinguished, in words and without a size. Here, in per cent of the "
        "mean with 95 % intervals by state, a city counting as treated when its county has a documented limit:"
    )
    return "\n\n".join([head, "\n".join(told), _summary(rows)])


def _line(rows: pd.DataFrame, measure: str, told: tuple[tuple[str, str, str], ...], labels: Labels) -> str:
    parts = []
    for line, california, said in told:
        here = rows[rows["line"].eq(line) & rows["california"].eq(california)]
        if here.empty:
            continue
        row = here.iloc[0].to_dict()
        count = "" if row["failure"] else f", {words.count(row['n_treated'])} treated cities"
        before = " †" if words.leads_reject(row) else ""
        parts.append(f"{said} {_effect(row)}{before}{count}")
    name = label_of(measure, labels)
    return f"Reported {name[:1].lower()}{name[1:]}: {'; '.join(parts)}." if parts else ""


def _effect(row: Row) -> str:
    verdict = NOT_ESTIMATED if row["failure"] else row["precision"]
    return effect({**row, "verdict": verdict or "no verdict"})


def _summary(rows: pd.DataFrame) -> str:
    """Say how many intervals fall where, and how large a change the tests could have found."""
    # Over the change of definition an interval says nothing of a policy.
    rows = rows[rows["measure"].ne("rape")]
    judged = rows[rows["failure"].eq("") & rows["precision"].isin([DIFFERENT, EQUIVALENT, INCONCLUSIVE])]
    weak = int(rows["precision"].eq(NOT_INFORMATIVE).sum())
    if judged.empty:
        return "None of the specifications carries a verdict."
    number = judged["precision"].value_counts()
    more = int((judged["precision"].eq(DIFFERENT) & judged["percent"].gt(0)).sum())
    size = judged["detectable_percent"].astype(float)
    said = (
        f"Of {words.count(len(judged))} intervals on these cities that carry a verdict {words.count(number.get(EQUIVALENT, 0))} lie "
        f"inside ±5 % of the mean, {words.count(number.get(DIFFERENT, 0))} exclude zero ({words.count(more)} of them above it) and "
        f"{words.count(number.get(INCONCLUSIVE, 0))} leave both open; the change their tests find four times in five runs from "
        f"{words.number(size.min(), 1)} to {words.number(size.max(), 1)} % of the mean."
    )
    said += f" {words.count(weak)} more are not informative." if weak else ""
    return said + (
        f" {words.DAGGER_NOTE}" if any(words.leads_reject(row) for row in rows.to_dict("records")) else ""
    )


def lists_sentences(lists: pd.DataFrame | None, found: pd.DataFrame) -> str:
    """Return how many cities each list places, how many are treated, and that none is the authors' own.

    Args:
        lists: report ``city_lists`` of the panel of cities.
        found: from `gonzalezobrien2019.city_estimates`.
    """
    if lists is None or lists.empty:
        return NO_LISTS
    parts = []
    early = None
    for row in city_figures.list_rows(lists):
        name = city_figures.SOURCES[row["definition_source"], row["level"]]
        parts.append(
            f"{name} ({words.count(row['placed'])} of {words.count(row['entries'])} entries placed) reach "
            f"{words.count(row['cities_10k'])} cities of 10,000 residents and more, {words.count(row['cities_100k'])} of 100,000 and more"
        )
        if row["definition_source"] == "D2":
            early = row["limited_by_2010"]
    said = [f"The lists at hand: {'; '.join(parts)}. Lists of cities are undated."] if parts else [NO_LISTS]
    own = found["definition"].astype(str).str.endswith(".csv")
    treated = found[found["line"].isin(["", "big-cities"]) & found["study"].eq(of.NAME) & ~own]
    treated = treated[
        treated["california"].eq("in") & treated["measure"].eq("violent") & treated["failure"].eq("")
    ]
    counts = {str(line): number for line, number in zip(treated["line"], treated["n_treated"], strict=True)}
    if "" in counts:
        big = (
            f", {words.count(counts['big-cities'])} of them of 100,000 and more"
            if "big-cities" in counts
            else ""
        )
        said.append(
            f"{words.count(counts[''])} cities have a dated policy of their county and reported violent crime on both sides of "
            f"it{big}; the study had 54 with a policy of their own."
        )
    if early is not None:
        who = "No city's county is" if early == 0 else f"Counties of {words.count(early)} cities are"
        said.append(
            f"{who} known to have limited detainers by 2010, the last year of both studies on the long series."
        )
    if own.any():
        files = ", ".join(sorted({str(name) for name in found.loc[own, "definition"]}))
        said.append(f"Estimates on the lists brought along ({files}) stand in the table.")
    return " ".join(said)

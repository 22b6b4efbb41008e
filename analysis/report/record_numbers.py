"""Sentences of the paper about the detainer records, trust and the other studies, true whatever the numbers are.

Each takes the frames its table is made from. A frame that was not made leaves a sentence that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.checks import detainers as of
from analysis.evidence.studies import trust as of_trust
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NOT_INFORMATIVE
from analysis.report import words
from analysis.report.frames import Frame, held_frame
from analysis.report.other_tables import OTHERS, beside_words, found_words
from analysis.report.record_figures import PLACES, RECORDS, WEEKS, states_in_order

Frames = Mapping[str, pd.DataFrame]
AGREEMENT = Frame("reporting_agreement", of_trust.AGREEMENT)
CONTRACTS: Mapping[str, Frame] = {
    "detainer_records": RECORDS,
    "detainer_weeks": WEEKS,
    "places_counted": PLACES,
    "reporting_agreement": AGREEMENT,
    "others": OTHERS,
}
"""Frames the sentences read, by the names they are handed in under; one that is missing is taken for empty."""

NOT_MADE = "was not made."


def phrases(frames: Frames, labels: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the sentences of these studies: key to text and the output it stands in.

    Args:
        frames: by the names of `CONTRACTS`; one that is missing or has no rows is told as not made.
        labels: measure to words; these sentences need none.

    Raises:
        TableError: a frame with rows lacks a column of its contract.
    """
    del labels
    held = {name: held_frame(frames, name, CONTRACTS[name]) for name in CONTRACTS}
    return {
        "study.records.found": (records_sentences(held), "table-65"),
        "study.records.weeks": (weeks_sentences(held), "table-65"),
        "study.trust.input": (trust_sentences(held), "table-66"),
        "study.others.found": (others_sentences(held), "table-66"),
    }


def _row(rows: pd.DataFrame, **wanted: Any) -> dict[str, Any] | None:
    for column, value in wanted.items():
        rows = rows[rows[column].eq(value)]
    return None if rows.empty else {str(key): value for key, value in rows.iloc[0].items()}


def records_sentences(held: Frames) -> str:
    """Return what the records hold of the published count, where California stands, and how many places decline."""
    weeks, records, places = held["detainer_weeks"], held["detainer_records"], held["places_counted"]
    if weeks.empty or records.empty:
        return f"The table of detainer records {NOT_MADE}"
    everywhere = _row(weeks, kind=of.RECORDED, area=of.EVERYWHERE, what="records from January 2014")
    press = _row(weeks, kind=of.PUBLISHED, area=of.EVERYWHERE)
    if everywhere is None or press is None:
        return f"The published count beside the records {NOT_MADE}"
    share = words.percent(everywhere["declined"] / press["declined"], 0)
    parts = [
        f"The press account counts {words.count(press['declined'])} declined detainers from January 2014 to September 2015; the "
        f"records at hand, which end on 19 July 2015, hold {words.count(everywhere['declined'])}, or {share} of them."
    ]  # fmt: skip
    parts += _first_state(weeks, records)
    if not places.empty:
        parts.append(_places_sentence(places))
    return " ".join(parts)


def _first_state(weeks: pd.DataFrame, records: pd.DataFrame) -> list[str]:
    most = _row(weeks, kind=of.RECORDED, area=of.MOST, what="records from January 2014")
    share = _row(weeks, kind=of.SHARE, area=of.MOST, what="of records with a state")
    after = weeks[weeks["area"].eq(of.NEXT) & weeks["kind"].eq(of.GAP)]["high"].max()
    if most is None or share is None:
        return []
    first = states_in_order(records, 1) == [of.MOST]
    press = _row(weeks, kind=of.SHARE, area=of.MOST, what="as published, almost")
    said = "" if press is None else f" (the press: almost {words.percent(press['declined'], 0)})"
    held = f"California has {words.count(most['declined'])}, {words.percent(share['declined'], 0)} of those that name a state{said}"
    if not first:
        return [f"{held}; another state has more."]
    if np.isnan(after):
        return [f"{held}, the most of any state."]
    lead = "stays" if after < most["declined"] else "need not stay"
    return [
        f"{held}, the most of any state; it {lead} so even if everything that is missing and every record without a state were "
        f"another state's, which would then have {words.count(after)} at most."
    ]  # fmt: skip


def _places_sentence(places: pd.DataFrame) -> str:
    press = places[places["kind"] == "published"]["places"]
    declines = places[places["kind"] == "declines"].sort_values("at_least")
    documented = places[places["kind"] == "documented"]["places"]
    told = [
        f"{words.count(row.places)} counties declined {words.count(row.at_least)} or more"
        for row in declines[declines["at_least"].isin([1, 3, 5])].itertuples(index=False)
    ]
    if press.empty or not told:
        return f"The count of places {NOT_MADE}"
    also = (
        f", and {words.count(documented.iloc[0])} have a documented limit of their own"
        if len(documented)
        else ""
    )
    return (
        f"Beside at least {words.count(press.iloc[0])} cities and counties with a policy: {words.listing(told)}{also}; a policy is "
        "not a decline."
    )


def weeks_sentences(held: Frames) -> str:
    """Return what the weeks after the records can hold, against the records' own paces, and what else may differ."""
    weeks = held["detainer_weeks"]
    gap = None if weeks.empty else _row(weeks, kind=of.GAP, area=of.EVERYWHERE)
    paces = weeks[weeks["kind"].eq(of.HELD)] if not weeks.empty else weeks
    if gap is None or paces.empty:
        return f"What the weeks after the records can hold {NOT_MADE}"
    missing = float(gap["declined"])
    if missing <= 0:
        return (
            f"The records hold no fewer than the press counts ({words.count(-missing)} more), so the weeks after them are left with "
            "none: the two do not count alike."
        )
    least, most = float(paces["declined"].min()), float(paces["declined"].max())
    above = int((paces["declined"] < missing).sum())
    place = (
        "more than any of them" if above == len(paces)
        else "fewer than any of them" if above == 0
        else f"more than {words.count(above)} of the {words.count(len(paces))}"
    )  # fmt: skip
    parts = [
        f"The difference of {words.count(missing)}, or {words.number(gap['per_week'], 0)} a week over the {words.count(gap['days'])} "
        f"days from 20 July to 30 September 2015, is the most those weeks can have held if the press counted every detainer of the "
        f"records. At the records' own paces they would hold {words.count(least)} to {words.count(most)}; the difference is {place}.",
        *_paces(weeks),
        *_late(weeks, missing),
    ]  # fmt: skip
    return " ".join(parts)


def _paces(weeks: pd.DataFrame) -> list[str]:
    full, part = (
        _row(weeks, kind=of.RECORDED, area=of.EVERYWHERE, what=f"records of {year}") for year in (2014, 2015)
    )
    if full is None or part is None:
        return []
    return [
        f"The records have {words.number(full['per_week'], 0)} declines a week in 2014 and {words.number(part['per_week'], 0)} in "
        f"2015, and {words.percent(full['per_issued'], 1)} and {words.percent(part['per_issued'], 1)} of the detainers issued."
    ]  # fmt: skip


def _late(weeks: pd.DataFrame, missing: float) -> list[str]:
    late = _row(weeks, kind=of.LATE)
    if late is None or words.is_missing(late["without_outcome"]):
        return []
    enough = "alone would be enough" if late["declined"] >= missing else "would not be enough"
    return [
        f"Outcomes entered later may also make it up: {words.count(late['without_outcome'])} detainers of the records had none when "
        f"the file was released, and if they were declined as often as the others they {enough}. The counts cannot tell the two "
        "apart."
    ]  # fmt: skip


def trust_sentences(held: Frames) -> str:
    """Return how the registered surveys enter the bounds on reporting, and whether the two files agree."""
    f = held["reporting_agreement"]
    if f.empty:
        return f"The comparison of the reporting bounds' inputs with the registry {NOT_MADE}"
    apart = f[f["relation"].eq(of_trust.APART)]
    agree = (
        "each agrees with its registered figure, as rounded or as its source's own numbers give it"
        if apart.empty
        else f"{words.count(len(apart))} {_disagree(len(apart))} ({words.listing(apart['id'].tolist())})"
    )
    known = f.set_index("id")["value"].to_dict()
    survey = [known.get(f"wong2018survey.{name}") for name in ("witness", "victim")]
    stated = (
        f" Respondents who are told that the police work with immigration agents say they would report a crime they witness "
        f"{words.count(abs(float(survey[0])))} % less often, and one they suffer {words.count(abs(float(survey[1])))} % less often: "
        "stated intentions, of one county."
        if None not in survey and survey[0] is not None and survey[1] is not None
        else ""
    )  # fmt: skip
    return f"{words.count(len(f))} registered figures are inputs of the bounds on reporting; {agree}.{stated} None is a result on crime."


def _disagree(n: int) -> str:
    return (
        "does not agree with its registered figure"
        if n == 1
        else "do not agree with their registered figures"
    )


def others_sentences(held: Frames) -> str:
    """Return how many of the other studies' figures have an estimate beside them, each of those, and the rest's reasons."""
    f = held["others"]
    if f.empty:
        return f"The table of the other studies {NOT_MADE}"
    texts = ("found", "beside", "measure", "value_unit", "precision", "failure", "reason", "label", "outcome")
    f = f.assign(**{name: f[name].astype(object).where(f[name].notna(), "").astype(str) for name in texts})
    asked = f[f["beside"].ne("")]
    counted = f[f["value_unit"].eq("counties") & f["value"].notna()]
    parts = [
        f"Of {words.count(len(f))} figures of {words.count(f['label'].nunique())} sources, an estimate stands beside {words.none_or_count(len(asked))}"
        f" and a count of ours beside {words.none_or_count(len(counted))}; the table gives the reason for the others."
    ]  # fmt: skip
    parts += [_beside_sentence(row) for row in asked.to_dict("records")]
    if len(counted):
        off = counted[counted["value"].ne(counted["estimate"])]
        widest = float((counted["value"] - counted["estimate"]).abs().max())
        parts.append(
            "Every recount of counties by class equals the registered number."
            if off.empty
            else f"Of the recounts of counties by class {words.count(len(counted) - len(off))} equal the registered number, and the "
            f"others differ by {words.count(widest)} at most."
        )
    return " ".join(parts)


_SAID: Mapping[str, str] = {
    DIFFERENT: "its interval excludes zero",
    EQUIVALENT: "its interval lies within ±5 % of the mean",
    INCONCLUSIVE: "inconclusive",
    NOT_INFORMATIVE: "too few areas for a verdict",
}


def _beside_sentence(row: Mapping[Any, Any]) -> str:
    said = _SAID.get(str(row["precision"]), "no verdict")
    if row["failure"] or words.is_missing(row["value"]):
        return f"{row['label']} ({found_words(row)}): {beside_words(row)}."
    return f"{row['label']} ({row['outcome']}: {found_words(row)}): {beside_words(row).rsplit(' (', 1)[0]}; {said}."

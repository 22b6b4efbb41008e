"""Sentences of the paper about two studies of dated policies, written so that they hold whatever the numbers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.evidence.matches import NOT_ESTIMATED
from analysis.evidence.results import DECLINES
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE
from analysis.report import policy_study_tables as of
from analysis.report import words
from analysis.report.design_tables import MAIN_WEIGHTS
from analysis.report.match_numbers import effect
from analysis.report.tables import label_of

Labels = Mapping[str, str]
Frames = Mapping[str, pd.DataFrame]

NAMES: Mapping[str, str] = {of.HAUSMAN: "Hausman 2020", of.MILES_COX: "Miles and Cox 2014"}
# Variation -> how a line of the text calls it, in the order in which it does.
TOLD: Mapping[str, Mapping[str, str]] = {
    of.HAUSMAN: {
        "": "one effect",
        "group-time": "group-time effects",
        "without-california": "one effect without California",
        "group-time-without-california": "group-time effects without it",
        "two-way-state": "within states",
    },
    of.MILES_COX: {
        "": "one effect",
        "group-time": "group-time effects",
        "group-time-class": "group-time effects within urban classes",
        "two-way-state": "one effect within states",
        "without-late-states": "one effect without New Jersey and New York",
        "placebo": "activation moved two years back",
    },
}
HERE = "Here, in per cent of the mean before adoption; one effect is the coefficient of a regression on county and year effects."
TOLD_MEASURES: Mapping[str, tuple[str, ...]] = {
    of.HAUSMAN: ("total", "violent_ex_rape", "property", "murder"),
    of.MILES_COX: of.MEASURES[of.MILES_COX],
}
PUBLISHED: Mapping[str, str] = {
    of.HAUSMAN: "The published result is that crime rates show no detectable change",
    of.MILES_COX: "The published result is that no kind of crime falls meaningfully",
}


def phrases(frames: Frames, labels: Labels) -> dict[str, tuple[str, str]]:
    """Return what was found beside each study: key to text and the output it stands in.

    Args:
        frames: holds ``study_results`` (`policy_study_tables.STUDY_RESULTS`); without it, or without rows of a study, the
            sentence says that it was not run.
        labels: measure to words.

    Raises:
        TableError: the frame lacks a column of its contract.
    """
    return {
        "study.hausman2020.found": (found_sentences(frames, labels, of.HAUSMAN), "table-62"),
        "study.milescox2014.found": (found_sentences(frames, labels, of.MILES_COX), "table-63"),
    }


def found_sentences(frames: Frames, labels: Labels, study: str) -> str:
    """Return what was found beside a study: published words and first stage, a line an offence, and every verdict counted.

    Args:
        frames: see `phrases`.
        labels: measure to words.
        study: ``hausman2020`` or ``milescox2014``.
    """
    results = frames.get("study_results")
    rows = None if results is None or results.empty else of.study_frame(results, study)
    if rows is None or rows.empty:
        return f"The specifications beside {NAMES[study]} were not run."
    crime = rows[rows["measure"] != DECLINES]
    lines = [_line(crime, measure, labels, study) for measure in TOLD_MEASURES[study]]
    body = "\n".join(line for line in lines if line)
    head = " ".join(
        part
        for part in (f"{PUBLISHED[study]}, in words and without a size. {HERE}", _first_stage(rows))
        if part
    )
    closing = " ".join(part for part in (_verdicts(crime), _leads(crime)) if part)
    return "\n\n".join(part for part in (head, body, closing) if part)


def _first_stage(rows: pd.DataFrame) -> str:
    """Return what adoption did to declined detainers in the same counties; "" where it was not asked."""
    told = []
    for variant, said in (("first-stage", ""), ("first-stage-without-california", "without California ")):
        row = of.first_row(rows, measure=DECLINES, variant=variant)
        if row is None:
            continue
        if row["failure"] or words.is_missing(row["estimate"]):
            told.append(f"{said}{NOT_ESTIMATED}")
            continue
        ends = words.interval(row["conf_low"], row["conf_high"], 2)
        mark = f"; {row['verdict']}" if row["verdict"] in (NOT_INFORMATIVE, NO_VERDICT) else ""
        inside = f" ({ends}{mark})" if ends != words.MISSING else ""
        told.append(f"{said}{words.number(row['estimate'], 2, sign=True)}{inside}")
    if not told:
        return ""
    return f"First stage in the same counties, declined detainers per 10,000 residents: {'; '.join(told)}."


def _line(crime: pd.DataFrame, measure: str, labels: Labels, study: str) -> str:
    """Return one offence under the designs the text tells; "" where none was run on it."""
    told = []
    for variant, said in TOLD[study].items():
        row = of.first_row(crime, measure=measure, variant=variant, weights=MAIN_WEIGHTS)
        if row is None:
            continue
        before = " †" if of.has_leads(row) and words.leads_reject(row) else ""
        told.append(f"{said} {effect(row)}{before}")
    name = label_of(measure, labels).split(" (")[0]
    return f"{name}: {'; '.join(told)}." if told else ""


def _verdicts(crime: pd.DataFrame) -> str:
    """Return how many of a study's specifications reach each verdict; placebos are none of them."""
    f = crime[crime["placebo_shift"].isna()]
    if f.empty:
        return ""
    low, high = f["percent_low"], f["percent_high"]
    different = f["verdict"].eq(DIFFERENT)
    said = [
        f"{words.count((different & low.gt(0)).sum())} lie above zero and {words.count((different & high.lt(0)).sum())} below",
        f"{words.count(f['verdict'].eq(EQUIVALENT).sum())} inside ±5 % of the mean",
        f"{words.count(f['verdict'].eq(INCONCLUSIVE).sum())} are inconclusive",
        f"{words.count(f['verdict'].isin([NOT_INFORMATIVE, NO_VERDICT]).sum())} take no verdict",
    ]
    gone = int(f["verdict"].eq(NOT_ESTIMATED).sum())
    said += [f"{words.count(gone)} could not be estimated"] if gone else []
    return (
        f"Of {words.count(len(f))} specifications on reported crime, by their intervals, {words.listing(said)}. "
        "A published null agrees with an estimate only where its interval is inside the bound; one that covers zero and more "
        "agrees with nothing."
    )


def _leads(crime: pd.DataFrame) -> str:
    """Return how often the years before adoption differ, with California and without; "" where nothing tests them."""
    tested = crime[[of.has_leads(row) for row in crime.to_dict("records")]]
    told = []
    for california, said in (("in", "with California"), ("out", "without it")):
        part = tested[tested["california"] == california]
        if len(part):
            told.append(f"{_rejected(part)} of {words.count(len(part))} {said}")
    if not told:
        return ""
    return (
        f"The years before adoption differ jointly from zero (p < 0.05, marked †) in {words.listing(told)}."
    )


def _rejected(rows: pd.DataFrame) -> str:
    records: list[dict[Any, Any]] = rows.to_dict("records")
    return words.count(sum(words.leads_reject(row) for row in records))

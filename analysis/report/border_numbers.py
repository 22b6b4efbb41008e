"""Sentences of the paper about the published border study, written so that they hold whatever the numbers are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.evidence.checks import quarterly as of_quarters
from analysis.evidence.studies.biasi2018 import MAIN_DEFINITION, QUARTILE_DEFINITION, QUARTILES, SPEC, beside
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NOT_INFORMATIVE
from analysis.report import words
from analysis.report.border_figures import OFFENCES, OUTCOMES

Frames = Mapping[str, pd.DataFrame]
Labels = Mapping[str, str]
Row = Mapping[Any, Any]

NOT_MADE = "The border study's design has not been run again here."
SMALLEST = 0.001
QUARTILE_WORDS = {1: "lowest", 2: "second", 3: "third", 4: "highest"}
DEFINITION_WORDS = {
    MAIN_DEFINITION: "full limits by policy",
    QUARTILE_DEFINITION: "five declined detainers or more a year",
}
# In the order in which they are counted in a sentence.
READINGS = {
    DIFFERENT: "different from zero",
    EQUIVALENT: "equivalent to zero",
    INCONCLUSIVE: "inconclusive",
    NOT_INFORMATIVE: "not informative",
    "": "without a verdict",
}


def phrases(frames: Frames, labels: Labels) -> dict[str, tuple[str, str]]:
    """Return every sentence about the border study: key to text and the output it stands in.

    Args:
        frames: ``study_results`` (estimates of every study's specifications), ``published`` (registered figures: id,
            estimate, se) and ``quarterly_loss`` (`analysis.evidence.checks.quarterly.quarterly_loss`); one that is missing
            or has no rows is told as not made.
        labels: measure to words; those of this study's outcomes are its own.

    Raises:
        TableError: a registered effect has no size.
    """
    pairs = _pairs(frames)
    return {
        "study.biasi.found": (
            " ".join(
                part
                for part in (found_sentences(pairs, labels), leads_sentence(frames.get("study_results")))
                if part
            ),
            "table-64",
        ),
        "study.biasi.quartiles": (quartile_sentences(pairs), "figure-33"),
        "study.biasi.quarterly": (quarterly_sentences(frames.get("quarterly_loss")), "table-64"),
    }


def _pairs(frames: Frames) -> pd.DataFrame:
    results, published = frames.get("study_results"), frames.get("published")
    if results is None or published is None or results.empty or published.empty:
        return beside(pd.DataFrame(), pd.DataFrame())
    return beside(results, published)


def _points(value: Any, low: Any, high: Any) -> str:
    """Return log points with both ends of an interval.

    Example:
        >>> _points(0.0348, 0.0109, 0.0587), _points(float("nan"), None, None)
        ('+0.035 (0.011 to 0.059)', '–')
    """
    if words.is_missing(value):
        return words.MISSING
    ends = words.interval(low, high, 3)
    said = words.number(value, 3, sign=True)
    return said if ends == words.MISSING else f"{said} ({ends})"


def _published(row: Row) -> str:
    return _points(row["published"], row["published_low"], row["published_high"])


def _ours(row: Row) -> str:
    if row["failure"] or words.is_missing(row["estimate"]):
        return "not estimated"
    behind = f"{words.counted(row['n_treated'], 'treated county', 'treated counties')} in {words.counted(row['n_states'], 'state')}"
    if row["precision"] == NOT_INFORMATIVE:
        return f"not informative ({behind})"
    verdict = READINGS.get(str(row["precision"]), str(row["precision"]))
    return f"{_points(row['estimate'], row['conf_low'], row['conf_high'])}, {verdict} ({behind})"


def _one(pairs: pd.DataFrame, **wanted: Any) -> dict[Any, Any] | None:
    for column, value in wanted.items():
        pairs = pairs[pairs[column].eq(value)]
    return None if pairs.empty else dict(pairs.iloc[0])


def found_sentences(pairs: pd.DataFrame, labels: Labels) -> str:
    """Say what the headline cell becomes under two treatment definitions, and how the main specifications read.

    Args:
        pairs: from `analysis.evidence.studies.biasi2018.beside`.
        labels: measure to words.
    """
    if pairs.empty:
        return NOT_MADE
    told = []
    for model, name in (
        ("county_year", "effects of counties and years"),
        ("group_by_year", "group effects by year"),
    ):
        cell = {"part": "models", "measure": "total", "model": model, "column": "c2"}
        both = {d: _one(pairs, definition=d, **cell) for d in DEFINITION_WORDS}
        any_one = next((row for row in both.values() if row is not None), None)
        if any_one is None:
            continue
        ours = "; ".join(
            f"under {DEFINITION_WORDS[d]} {_ours(row)}" for d, row in both.items() if row is not None
        )
        told.append(
            f"With {name} and covariates the published change in all reported index offences is {_published(any_one)} log points. "
            f"On annual data: {ours}."
        )
    main = pairs[pairs["main"].eq(True) & pairs["part"].ne("quartiles")]
    told += _readings(main, labels)
    return " ".join(told)


def _readings(main: pd.DataFrame, labels: Labels) -> list[str]:
    if main.empty:
        return []
    made = main[main["failure"].eq("") & main["estimate"].notna()]
    counted = [
        f"{words.count(n)} {'is' if n == 1 else 'are'} {said}"
        for key, said in READINGS.items()
        if (n := int(made["precision"].eq(key).sum()))
    ]
    lost = len(main) - len(made)
    if lost:
        counted.append(f"{words.count(lost)} {'was' if lost == 1 else 'were'} not estimated")
    told = [
        f"Of the {words.count(len(main))} cells for all treated counties and for single offences, each under its main "
        f"specification, {words.listing(counted)}."
    ]
    if len(made):
        alike = int((made["estimate"].astype(float) * made["published"].astype(float) > 0).sum())
        told.append(
            f"The sign is the published one in {words.count(alike)} of {words.count(len(made))}, which says little where "
            "intervals hold both signs."
        )
    different = made[made["precision"].eq(DIFFERENT)]
    if len(different):
        names = dict.fromkeys(
            OFFENCES.get(str(m), labels.get(str(m), str(m))).lower() for m in different["measure"]
        )
        inside = int(different["inside"].eq(True).sum())
        told.append(
            f"Where ours differs from zero ({words.listing(list(names))}), the published size lies inside the interval in "
            f"{words.count(inside)} of {words.count(len(different))}."
        )
    return told


def leads_sentence(results: pd.DataFrame | None) -> str:
    """Say whether adopters and their neighbours moved alike before adoption; "" where it was not run.

    Args:
        results: estimates of every study's specifications.
    """
    if results is None or results.empty:
        return ""
    parts = []
    for effects, said in (
        ("county_year", "effects of counties and years"),
        ("group_by_year", "group effects by year"),
    ):
        rows = results[results["spec"].eq("/".join((SPEC, "leads", "measure=total", f"effects={effects}")))]
        found = pd.to_numeric(rows["pretrend_p"], errors="coerce").dropna()
        if len(found):
            p = float(found.iloc[0])
            shown = f"below {words.number(SMALLEST, 3)}" if p < SMALLEST else words.number(p, 3)
            parts.append(f"{shown} with {said}")
    if not parts:
        return ""
    return (
        "A joint test that adopters under full limits and their neighbours moved alike in the four years before adoption gives, "
        f"for all index offences and with errors by state, a p-value of {words.listing(parts)}."
    )


def quartile_sentences(pairs: pd.DataFrame) -> str:
    """Say what the highest and the lowest quartile of the Hispanic share show, and how many are informative.

    Args:
        pairs: from `analysis.evidence.studies.biasi2018.beside`.
    """
    rows = pairs[pairs["part"].eq("quartiles") & pairs["measure"].isin(list(OUTCOMES))]
    if rows.empty:
        return "The border study's quartiles of the Hispanic share have not been run again here."
    told = []
    for quartile in (QUARTILES[-1], QUARTILES[0]):
        parts = []
        for measure in ("total", "property"):
            row = _one(rows, measure=measure, column="c2", quartile=quartile, definition=QUARTILE_DEFINITION)
            if row is not None:
                parts.append(f"{OUTCOMES[measure].lower()} {_published(row)} published and {_ours(row)} here")
        if parts:
            told.append(
                f"In the {QUARTILE_WORDS[quartile]} quartile of the Hispanic share, with covariates and in log points: "
                f"{'; '.join(parts)}."
            )
    for definition, said in DEFINITION_WORDS.items():
        mine = rows[rows["definition"].eq(definition) & rows["failure"].eq("") & rows["estimate"].notna()]
        if len(mine):
            told.append(
                f"Under {said}, {words.count(int(mine['informative'].eq(True).sum()))} of {words.count(len(mine))} cells by "
                "quartile are informative."
            )
    top = rows[
        rows["quartile"].eq(QUARTILES[-1])
        & rows["definition"].eq(QUARTILE_DEFINITION)
        & rows["measure"].ne("violent")
    ]
    top = top[top["estimate"].notna()]
    if len(top):
        low, high = float(top["estimate"].min()), float(top["estimate"].max())
        told.append(
            f"Over the four columns of the published tables, all offences and property in the highest quartile run from "
            f"{words.number(low, 3, sign=True)} to {words.number(high, 3, sign=True)} here, as covariates and county lines "
            "come and go. More reported crime where Hispanic residents are many would be left by more reporting as by more "
            "crime."
        )
    return " ".join(told)


def quarterly_sentences(loss: pd.DataFrame | None) -> str:
    """Say what years lose against quarters, from arithmetic on made-up worlds.

    Args:
        loss: from `analysis.evidence.checks.quarterly.quarterly_loss`.
    """
    if loss is None or loss.empty:
        return "What annual data lose against quarterly ones was not worked out."
    exact = loss[loss["how"].eq("arithmetic")].set_index(["scenario", "quantity"])["value"].astype(float)

    def of(scenario: str, quantity: str) -> str:
        value = exact.get((scenario, quantity))
        return words.number(value, 2)

    ratios = [float(exact[(noise, "standard error ratio")]) for noise in of_quarters.NOISES]
    return (
        "In worlds made up for the purpose (simulated, no data), years find "
        f"{of(of_quarters.LASTING, 'annual estimate')} of a lasting effect, as quarters do "
        f"({of(of_quarters.LASTING, 'quarterly estimate')}); of one that halves every year {of(of_quarters.FADING, 'annual estimate')} "
        f"against {of(of_quarters.FADING, 'quarterly estimate')}; of one that lasts four quarters "
        f"{of(of_quarters.FIRST_YEAR, 'annual estimate')} against {of(of_quarters.FIRST_YEAR, 'quarterly estimate')}. The annual "
        f"standard error is {words.number(min(ratios), 2)} to {words.number(max(ratios), 2)} times the quarterly one. Policies of "
        "2015 and later have no full year after them in the annual window and fall out; those of 2014 have one year."
    )

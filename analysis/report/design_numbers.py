"""Sentences of the paper about the panel designs, written so that they hold whatever the numbers are.

Each takes the frames its table or figure is made from, and returns text with both ends of every interval.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis.evidence.matches import NOT_ESTIMATED
from analysis.evidence.verdict import DIFFERENT
from analysis.report import design_tables as tables
from analysis.report import words
from analysis.report.frames import require
from analysis.report.match_numbers import JUDGED, effect, excluding, spread
from analysis.report.tables import label_of

Labels = Mapping[str, str]
# What is said of a p-value, alone or adjusted.
SIZE = 0.05


def phrases(
    results: pd.DataFrame, families: pd.DataFrame, capability: pd.DataFrame, labels: Labels
) -> dict[str, tuple[str, str]]:
    """Return every sentence of the panel designs: key to text and the output it stands in.

    Args:
        results: frame under the contract ``designs`` of `analysis.report.design_tables`.
        families: frame under the contract ``families``.
        capability: frame under the contract ``capability``.
        labels: measure to words.
    """
    return {
        "capability": (capability_sentence(capability), "table-20"),
        "ladder": (ladder_sentences(results, labels), "table-21"),
        "designs": (designs_sentences(results, labels), "table-22"),
        "errors": (errors_sentences(results, labels), "table-23"),
        "offences": (offences_sentence(results, families), "table-24"),
        "first_stages": (first_stages_sentence(results), "table-25"),
        "mirror": (designs_sentences(results, labels, tables.MIRROR), "table-26"),
        "regimes": (regimes_sentences(results, labels), "table-27"),
        "rings": (rings_sentences(results), "table-28"),
        "placebo": (placebo_sentence(results), "table-29"),
        "single": (single_sentence(results, labels), "table-30"),
        "rape": (rape_sentence(results), "table-31"),
    }


def capability_sentence(found: pd.DataFrame) -> str:
    """Return how many pairs of definition and design are identified, descriptive or refused, and which are identified."""
    f = require(found, tables.CAPABILITY)
    counts = f["verdict"].value_counts()
    said = words.listing([f"{words.count(counts.get(name, 0))} {name}" for name in tables.VERDICTS])
    able = f[f["verdict"] == tables.IDENTIFIED]
    which = "; ".join(
        f"{str(label).lower()} {words.listing([str(design) for design in part['design']])}"
        for label, part in able.groupby("label", sort=False)
    )
    return f"Of {words.count(len(f))} pairs of definition and design, {said}. Identified: {which or 'none'}."


def ladder_sentences(results: pd.DataFrame, labels: Labels) -> str:
    """Return the steps from a simple comparison to demanding ones, one line an outcome, with California."""
    f = tables.ladder_frame(results)
    lines = []
    for measure, here in f[f["california"] == "in"].groupby("measure", sort=False):
        steps = [
            f"{r['adds']} {effect(r)}, {words.count(r['n_treated'])} treated in {words.count(r['n_states'])} states"
            if r["verdict"] != NOT_ESTIMATED
            else f"{r['adds']} {NOT_ESTIMATED}"
            for r in here.to_dict("records")
        ]
        lines.append(f"{label_of(str(measure), labels)}: {'; '.join(steps)}.")
    return "\n".join(lines) or "No step was estimated."


def designs_sentences(results: pd.DataFrame, labels: Labels, family: str = tables.DESIGNS) -> str:
    """Return what the designs find, one line an outcome: the range of each group, and what intervals exclude.

    Args:
        results: frame under the contract ``designs``.
        labels: measure to words.
        family: name of the spec.
    """
    f = tables.main_weights(tables.design_rows(results, family))
    f = f[f["percent"].notna() & ~f["variant"].isin(tables.THIN)]
    lines = []
    for measure, here in f.groupby("measure", sort=False):
        for inside, said in tables.CALIFORNIA.items():
            part = here[here["california"] == inside]
            if part.empty:
                continue
            groups = "; ".join(
                f"{str(group).lower()} {spread(rows['percent'])}"
                for group, rows in part.groupby("group", sort=False)
            )
            known = part[part["percent_low"].notna() & part["percent_high"].notna()]
            ends = words.interval(known["percent_low"].min(), known["percent_high"].max(), 1)
            name = f"{label_of(str(measure), labels)}, {said if inside == 'in' else 'without California'}"
            lines.append(f"{name}: {groups}; {excluding(part)}, and together they reach from {ends} %.")
    return "\n".join(lines) or "No design gave an estimate."


def errors_sentences(results: pd.DataFrame, labels: Labels) -> str:
    """Return how far a choice of error alone moves the interval of one coefficient, one line a coefficient."""
    f = tables.errors_frame(results)
    f = f[f["estimate"].notna() & f["std_error"].gt(0)]
    lines = []
    for (measure, regression), here in f[f["sample"] == ""].groupby(["measure", "regression"], sort=False):
        low, high = here.loc[here["std_error"].idxmin()], here.loc[here["std_error"].idxmax()]
        out = int(here["verdict"].eq(DIFFERENT).sum())
        judged = int(here["verdict"].isin(JUDGED).sum())
        lines.append(
            f"{label_of(str(measure), labels)}, {regression}: standard errors from {words.number(low['std_error'], 1)} "
            f"({low['error']}) to {words.number(high['std_error'], 1)} ({high['error']}); errors that may "
            f"carry a verdict: {words.count(judged)}, of which {words.count(out)} find a difference from zero."
        )
    return "\n".join(lines) or "No error was computed."


def offences_sentence(results: pd.DataFrame, families: pd.DataFrame) -> str:
    """Return how many tests of single offences reject, alone and with their family."""
    f = tables.offences_frame(results, families)
    f = f[f["tests"] > 0]
    if f.empty:
        return "No single offence was tested."
    alone = int((f["p_value"] < SIZE).sum())
    adjusted = int((pd.Series([tables.adjusted_p(r) for r in f.to_dict("records")]) < SIZE).sum())
    expected = SIZE * len(f)
    # A rejection on too few areas or states is none.
    kept = f[f["verdict"].isin(JUDGED)]
    judged = int(
        (pd.Series([tables.adjusted_p(r) for r in kept.to_dict("records")], dtype=float) < SIZE).sum()
    )
    return (
        f"Of {words.count(len(f))} tests of single offences {words.count(alone)} have a p-value under {SIZE:g}, where chance "
        f"alone would give about {words.number(expected, 0)}; adjusted for the offences of the same definition, comparison, "
        f"sample and weights {words.count(adjusted)} do, {words.count(judged)} of them informative."
    )


def first_stages_sentence(results: pd.DataFrame) -> str:
    """Return what adoption did to declined detainers per 10,000 residents, over designs, with California."""
    f = tables.main_weights(tables.design_rows(results, tables.FIRST_STAGES))
    f = f[(f["measure"] == "declined_detainers") & (f["california"] == "in") & f["estimate"].notna()]
    if f.empty:
        return "No first stage was estimated by design."
    low, high = (words.number(v, 2, sign=True) for v in (f["estimate"].min(), f["estimate"].max()))
    ends = words.interval(f["conf_low"].min(), f["conf_high"].max(), 2)
    # A baseline near zero makes no percentages to read.
    own = f.assign(percent_low=f["conf_low"], percent_high=f["conf_high"])
    return (
        f"Over {words.count(len(f))} designs adoption moved declined detainers per 10,000 residents by {low} to {high}; the "
        f"intervals together reach from {ends}, and {excluding(own)}."
    )


def regimes_sentences(results: pd.DataFrame, labels: Labels) -> str:
    """Return how estimates move when federal policies are held constant or the window is split, one line an outcome."""
    f = tables.regimes_frame(results)
    f = f[(f["california"] == "in") & f["percent"].notna()]
    lines = []
    for measure, here in f.groupby("measure", sort=False):
        said = "; ".join(
            f"{head[:1].lower()}{head[1:]} {spread(part['percent'])} ({excluding(part)})"
            for span, head in tables.SPANS.items()
            if len(part := here[here["span"] == span])
        )
        lines.append(f"{label_of(str(measure), labels)}, with California: {said}.")
    return "\n".join(lines) or "No regime was estimated."


def rings_sentences(results: pd.DataFrame) -> str:
    """Return what moved across the line, beside border designs: one line a question, averaged by residents."""
    f = tables.rings_frame(results)
    f = f[(f["weights"] == tables.MAIN_WEIGHTS) & f["percent"].notna()]
    lines = [
        f"{asked}: {spread(part['percent'])}; {excluding(part)}."
        for asked, part in f.groupby("asked", sort=False)
    ]
    return "\n".join(lines) or "No ring was estimated."


def placebo_sentence(results: pd.DataFrame) -> str:
    """Return how many placebo intervals exclude zero, by kind of placebo."""
    f = tables.main_weights(tables.placebo_frame(results))
    parts = [f"{kind}: {excluding(part)}" for kind, part in f.groupby("kind", sort=False)]
    return f"{'; '.join(parts)}." if parts else "No placebo was run."


def single_sentence(results: pd.DataFrame, labels: Labels) -> str:
    """Return what single areas show, without a verdict."""
    f = tables.single_frame(results)
    f = f[f["percent"].notna()]
    parts = [
        f"{unit}, {label_of(str(measure), labels).lower()} {spread(part['percent'])}"
        for (unit, measure), part in f.groupby(["unit_name", "measure"], sort=False)
    ]
    return (
        f"{'; '.join(parts)}: paths of single areas, without a verdict."
        if parts
        else "No area was taken alone."
    )


def rape_sentence(results: pd.DataFrame) -> str:
    """Return reported rape by how the change of its definition is handled, averaged by residents, with California."""
    f = tables.design_rows(results, tables.RAPE)
    f = f[
        (f["weights"] == tables.MAIN_WEIGHTS)
        & (f["california"] == "in")
        & f["measure"].str.startswith("rape")
    ]
    parts = [
        f"{tables.HANDLED.get(str(r['variant']), str(r['variant']))} {effect(r)}"
        for r in f.to_dict("records")
    ]
    return f"{'; '.join(parts)}." if parts else "No estimate of rape across the change."


def check_phrases(
    left_out: pd.DataFrame, trends: pd.DataFrame, weights: pd.DataFrame, labels: Labels
) -> dict[str, tuple[str, str]]:
    """Return sentences of the checks: key to text and the output it stands in.

    Args:
        left_out, trends, weights: frames under the contracts of `analysis.report.design_tables`.
        labels: measure to words.
    """
    return {
        "left_out": (left_out_sentence(left_out, labels), "table-32"),
        "trends": (trends_sentence(trends), "table-33"),
        "weights": (weights_sentence(weights), "table-34"),
    }


def left_out_sentence(found: pd.DataFrame, labels: Labels) -> str:
    """Return how far one state moves the estimates between states that are averaged by residents."""
    f = tables.left_out_table(found).frame
    f = f[(f["by"] == "state") & (f["within"] == "none") & (f["weights"] == tables.MAIN_WEIGHTS)]
    parts = [
        f"{label_of(str(r['measure']), labels).lower()} lies between {words.number(r['percent_low'], 1, sign=True)} % "
        f"(without {r['lowest_without']}) and {words.number(r['percent_high'], 1, sign=True)} % (without "
        f"{r['highest_without']}), with a jackknife error of {words.number(r['jackknife'], 1)} points beside a clustered one "
        f"of {words.number(r['error'], 1)}"
        for r in f.to_dict("records")
    ]
    return f"With one state left out, {'; '.join(parts)}." if parts else "No state was left out."


def trends_sentence(found: pd.DataFrame) -> str:
    """Return in how many event studies zero is excluded, as the trends allowed to differ grow."""
    f = require(found, tables.TREND_CHECKS)
    f = f[f["conf_low"].notna()]
    if f.empty:
        return "No event study was bounded."

    def out(low: str, high: str) -> str:
        known = f[f[low].notna() & f[high].notna()]
        return (
            f"{words.count(int(((known[low] > 0) | (known[high] < 0)).sum()))} of {words.count(len(known))}"
        )

    return (
        f"Taken as they stand, {out('conf_low', 'conf_high')} event studies have a mean that differs from zero. If trends "
        f"moved after adoption by half their largest yearly move before it, {out('low_0.5', 'high_0.5')} do; by as much, "
        f"{out('low_1', 'high_1')}; by twice as much, {out('low_2', 'high_2')}; and if the straight line through the years "
        f"before adoption simply went on, {out('linear_low', 'linear_high')}."
    )


def weights_sentence(found: pd.DataFrame) -> str:
    """Return how much of two-way coefficients rests on negative weights and on counties treated already."""
    f = require(found, tables.REGRESSION_WEIGHTS)
    if f.empty:
        return "No two-way coefficient was taken apart."
    low, high = (words.percent(v) for v in (f["negative"].min(), f["negative"].max()))
    known = f["already_treated"].dropna()
    already = (
        f" Where the coefficient can be decomposed, at most {words.percent(known.max())} of its weight lies on comparisons "
        "with counties treated already."
        if len(known)
        else ""
    )
    return f"In two-way coefficients {low} to {high} of treated county-years enter with a negative weight.{already}"

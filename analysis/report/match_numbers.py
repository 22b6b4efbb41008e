"""Sentences of the paper about the matched comparisons, written so that they hold whatever the numbers are.

Each takes the frames its table or figure is made from, and returns text with both ends of every interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.design.keys import BUILDS
from analysis.evidence import matches as of
from analysis.evidence.headline import exclusion
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NOT_INFORMATIVE
from analysis.report import match_tables as tables
from analysis.report import words

Labels = Mapping[str, str]
MAIN_DEFINITION = "policy_full"
OUTCOMES = ("violent_ex_rape", "property", "total")
LIMIT = 0.1  # standardized mean difference above which a covariate counts as out of balance
JUDGED = (DIFFERENT, EQUIVALENT, INCONCLUSIVE)
BUILD_WORDS: Mapping[str, str] = {
    "policed": "over the residents policed",
    "county_population": "all agencies over the whole county",
    "county_agencies": "county agencies alone over the whole county",
    "outside_cities": "county agencies over the residents outside cities",
    "county_file": "a county file of the user",
}


def effect(row: Mapping[Any, Any] | None) -> str:
    """Return an estimate with both ends of its interval, in per cent of the comparison mean.

    Example:
        >>> effect({"percent": -14.14, "percent_low": -64.13, "percent_high": 35.84, "verdict": "inconclusive"})
        '−14.1 % (−64.1 to 35.8)'
        >>> effect({"percent": 3.0, "percent_low": 1.0, "percent_high": 5.0, "verdict": "not informative"})
        '+3.0 % (1.0 to 5.0; not informative)'
        >>> effect(None)
        'not estimated'
    """
    if row is None or words.is_missing(row["percent"]):
        return of.NOT_ESTIMATED
    inside = words.interval(row["percent_low"], row["percent_high"], 1)
    verdict = str(row["verdict"])
    said = [inside] if inside != words.MISSING else []
    said += [verdict] if verdict not in JUDGED else []
    ends = f" ({'; '.join(said)})" if said else ""
    return f"{words.number(row['percent'], 1, sign=True)} %{ends}"


def spread(values: pd.Series) -> str:
    """Return the range of estimates in per cent, or the one there is.

    Example:
        >>> spread(pd.Series([2.04, -29.0])), spread(pd.Series([5.0])), spread(pd.Series([], dtype=float))
        ('−29.0 to +2.0 %', '+5.0 %', 'none')
    """
    known = values.dropna()
    if known.empty:
        return "none"
    low, high = (words.number(v, 1, sign=True) for v in (known.min(), known.max()))
    return f"{low} %" if low == high else f"{low} to {high} %"


def excluding(rows: pd.DataFrame) -> str:
    """Return how many of the intervals that may carry a verdict exclude zero.

    Example:
        >>> rows = pd.DataFrame({"percent_low": [1.0, -1.0, 2.0], "percent_high": [3.0, 1.0, 4.0],
        ...                      "verdict": ["different from zero", "inconclusive", "no verdict"]})
        >>> excluding(rows)
        '1 of 2 intervals excludes zero'
    """
    judged = rows[rows["verdict"].isin(JUDGED)]
    out = int(((judged["percent_low"] > 0) | (judged["percent_high"] < 0)).sum())
    noun = "interval" if len(judged) == 1 else "intervals"
    return f"{words.count(out)} of {words.count(len(judged))} {noun} {'excludes' if out == 1 else 'exclude'} zero"


def _pick(rows: pd.DataFrame, **where: Any) -> dict[Any, Any] | None:
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return None if rows.empty else dict(rows.iloc[0])


def _name(measure: str, labels: Labels) -> str:
    return labels.get(measure, measure.replace("_", " ")).replace(" (violent and property)", "")


def balance_sentence(rows: pd.DataFrame, reached: pd.DataFrame) -> str:
    """Return how far the methods balance the covariates.

    Args:
        rows: frame under the contract ``matches``.
        reached: frame under the contract ``match_balance``.
    """
    f = tables.methods_frame(rows, reached)
    f = f[(f["group"] != of.ERRORS) & f["largest"].notna()]
    if f.empty:
        return "No method's balance was found."
    worst = f.groupby("label", sort=False)["largest"].max()
    within = worst[worst <= LIMIT + 1e-9]
    share = words.listing(list(within.index)) if len(within) else "none"
    return (
        f"Of {words.count(len(worst))} methods that make a sample of their own, {words.count(len(within))} leave no covariate "
        f"over a tenth of a standard deviation apart ({share}); the largest difference left runs from "
        f"{words.number(worst.min(), 2)} to {words.number(worst.max(), 2)} ({worst.idxmax()})."
    )


def methods_sentences(rows: pd.DataFrame, labels: Labels) -> str:
    """Return what the methods find, one line an outcome: the range of each group, and what intervals exclude."""
    f = tables.family(rows, of.METHODS)
    f = f[(f["group"] != of.ERRORS) & f["percent"].notna()]
    lines = []
    for measure, here in f.groupby("measure", sort=False):
        groups = "; ".join(
            f"{str(group).lower()} {spread(part['percent'])}"
            for group, part in here.groupby("group", sort=False)
        )
        ends = words.interval(here["percent_low"].min(), here["percent_high"].max(), 1)
        lines.append(
            f"{words.capital(_name(str(measure), labels))}: {groups}; {excluding(here)}, and together they reach from {ends} %."
        )
    return "\n".join(lines) or "No method gave an estimate."


def exclusion_sentence(rows: pd.DataFrame, labels: Labels) -> str:
    """Return what the first method's intervals exclude, in the words of the protocol."""
    f = tables.family(rows, of.METHODS)
    f = f[(f["variant"] == "") & f["verdict"].isin(JUDGED)]
    if f.empty:
        return "The first method's intervals exclude nothing: it is not estimated or not informative."
    f = f.assign(
        measure_label=[_name(str(m), labels) for m in f["measure"]], level=0.95, comparison="matched"
    )
    first = f.iloc[0]
    counts = (
        f"{words.span(f['n_treated'])} treated and {words.span(f['n_comparison'])} comparison counties, "
        f"{words.span(f['n_states'])} states"
    )
    return f"With {first['label']} ({counts}), {exclusion(f)}."


def definitions_sentences(rows: pd.DataFrame, labels: Labels) -> str:
    """Return how definitions and rate builds move the match, one line an outcome."""
    f = tables.family(rows, of.DEFINITIONS)
    f = f[~f["definition"].map(of.is_list).astype(bool)] if len(f) else f
    lines = []
    for measure in OUTCOMES:
        here = f[f["measure"] == measure]
        parts = []
        for build in [b for b in BUILDS if b in set(here["build"])]:
            part = here[here["build"] == build]
            own = _pick(part, definition=MAIN_DEFINITION)
            parts.append(
                f"{BUILD_WORDS[build]} {spread(part.loc[part['verdict'].isin(JUDGED), 'percent'])}, full declines "
                f"{effect(own)}"
            )
        if parts:
            judged = excluding(here)
            lines.append(
                f"{words.capital(_name(measure, labels))}: {'; '.join(parts)}. {words.capital(judged)}."
            )
    return "\n".join(lines) or "No definition gave an estimate."


def years_sentence(rows: pd.DataFrame, labels: Labels) -> str:
    """Return what each year can bear under the dated definitions, and full declines in the years that can."""
    f = tables.family(rows, of.YEARS)
    f = f[~f["definition"].map(of.is_list).astype(bool)] if len(f) else f
    said = []
    for year, here in f.groupby("window", sort=True):
        counts = here["verdict"].value_counts()
        judged = sum(int(counts.get(word, 0)) for word in JUDGED)
        said.append(
            f"in {year}, {words.count(judged)} of {words.count(len(here))} can be judged "
            f"({words.count(counts.get(NOT_INFORMATIVE, 0))} not informative, "
            f"{words.count(counts.get(of.NOT_ESTIMATED, 0))} not estimated)"
        )
    if not said:
        return "No other year was estimated."
    later = f[(f["definition"] == MAIN_DEFINITION) & f["verdict"].isin(JUDGED)]
    parts = []
    for measure in [m for m in OUTCOMES if m in set(later["measure"])]:
        here = later[later["measure"] == measure].to_dict("records")
        parts += [f"{_name(measure, labels)} {effect(row)} in {row['window']}" for row in here]
    tail = f" Full declines: {'; '.join(parts)}." if parts else ""
    return f"Of the estimates under definitions made before the outcomes, {'; '.join(said)}.{tail}"


def classes_sentence(rows: pd.DataFrame) -> str:
    """Return the pattern of signs by class beside the published one, and how little of it is informative."""
    patterns = tables.sign_patterns(rows)
    if patterns.empty:
        return "No class was estimated."
    parts = [
        f"under {words.definition_label(r['definition']).lower()}: {r['signs']} (alike in {words.count(r['alike'])} of "
        f"{words.count(r['known'])})"
        for r in patterns.to_dict("records")
    ]
    known, judged = int(patterns["known"].sum()), int(patterns["informative"].sum())
    return (
        f"The published signs of total crime, from the largest cities to the open country, are "
        f"{patterns['published'].iloc[0]}; here they are, {', '.join(parts)}; of these {words.count(known)} estimates "
        f"{words.count(judged)} {'is' if judged == 1 else 'are'} informative."
    )


def covariates_sentences(rows: pd.DataFrame, labels: Labels) -> str:
    """Return how the set of covariates and their vintage move the match, one line an outcome."""
    f = tables.family(rows, of.COVARIATES)
    lines = []
    for measure in OUTCOMES:
        here = f[(f["measure"] == measure) & f["percent"].notna()]
        first = here[here["vintage"] == "2006_2010"]
        parts = [
            f"{r['covariate_set']} {effect(r)}"
            for r in first.drop_duplicates("covariate_set").to_dict("records")
        ]
        if not parts:
            continue
        wide = here.pivot_table(index="covariate_set", columns="vintage", values="percent", aggfunc="first")
        moved = ""
        if {"2006_2010", "2009_2015"} <= set(wide):
            gap = (wide["2009_2015"] - wide["2006_2010"]).abs().max()
            moved = f"; covariates of the time move these by at most {words.number(gap, 1)} points"
        lines.append(f"{words.capital(_name(measure, labels))}: set {', set '.join(parts)}{moved}.")
    return "\n".join(lines) or "No set of covariates gave an estimate."


def economy_sentence(rows: pd.DataFrame, labels: Labels) -> str:
    """Return the economy of counties with full declines beside their matches, in own units and per cent."""
    f = tables.family(rows, of.ECONOMY)
    own = f[(f["definition"] == MAIN_DEFINITION) & f["percent"].notna() & (f["window"] == "2015")]
    if own.empty:
        return "The economy was not estimated."
    parts = []
    for r in own.to_dict("records"):
        unit = tables.OWN_UNITS.get(str(r["measure"]), ("points", 1))[0]
        parts.append(f"{_name(str(r['measure']), labels)} {tables.own_cell(r)} {unit}")
    dated = f[~f["definition"].map(of.is_list).astype(bool) & (f["window"] != "2012")]
    return f"Full declines, 2015: {'; '.join(parts)}. Under all definitions made before the outcomes, {excluding(dated)}."


def placebo_sentences(rows: pd.DataFrame, labels: Labels) -> str:
    """Return the placebo years beside 2015 for full declines, one line an outcome, then what other definitions show."""
    f = tables.placebo_frame(rows)
    own = f[f["definition"] == MAIN_DEFINITION]
    lines = []
    for measure in [m for m in OUTCOMES if m in set(own["measure"])]:
        here = own[own["measure"] == measure].sort_values("window")
        parts = [f"{effect(r)} in {r['window']}" for r in here.to_dict("records")]
        lines.append(f"{words.capital(_name(measure, labels))}: {', '.join(parts)}.")
    return "\n".join(lines) or "No placebo outcome was estimated."


def placebo_share(rows: pd.DataFrame) -> str:
    """Return, over definitions that may carry a verdict, how much of the difference of 2015 was there in 2008.

    The two differences are of samples that are not quite the same; they are set beside each other, not subtracted.
    """
    f = tables.placebo_frame(rows)
    f = f[~f["definition"].map(of.is_list).astype(bool) & f["measure"].isin(OUTCOMES)] if len(f) else f
    before, now = (f[f["window"] == year].set_index(["definition", "measure"]) for year in ("2008", "2015"))
    both = before.index.intersection(now.index)
    if both.empty:
        return "No placebo outcome stands beside one of 2015."
    then, later = before.loc[both, "percent"], now.loc[both, "percent"]
    alike = int((np.sign(then) == np.sign(later)).sum())
    inside = int(((now.loc[both, "percent_low"] <= then) & (then <= now.loc[both, "percent_high"])).sum())
    return (
        f"Over the {words.count(len(both))} pairs of definition and outcome, {words.count(alike)} differences of 2008 have the "
        f"sign of that of 2015, and {words.count(inside)} lie inside the interval of 2015; {excluding(before.loc[both])} "
        "in 2008."
    )


def did_sentences(rows: pd.DataFrame, labels: Labels) -> str:
    """Return matched difference-in-differences beside the unmatched estimate, one line an outcome."""
    f = tables.did_frame(rows)
    f = f[f["variant"] != "within-states"]
    lines = []
    for measure in OUTCOMES:
        here = f[(f["measure"] == measure) & f["percent"].notna()]
        matched, alone = here[here["match_on"] != ""], _pick(here[here["match_on"] == ""])
        if matched.empty:
            continue
        ends = words.interval(matched["percent_low"].min(), matched["percent_high"].max(), 1)
        tested = matched["pretrend_p"].dropna()
        leads = words.interval(tested.min(), tested.max(), 2) if len(tested) else "not to be had"
        first = _pick(matched[matched["variant"] == ""])
        lines.append(
            f"{words.capital(_name(measure, labels))}: matched on covariates {effect(first)}; over "
            f"{words.count(len(matched))} matches and samples {spread(matched['percent'])}, intervals together "
            f"from {ends}, {excluding(matched)}, p of the leads {leads}; not matched {effect(alone)}."
        )
    return "\n".join(lines) or "No matched difference-in-differences was estimated."


def hidden_sentence(bounds: pd.DataFrame, labels: Labels) -> str:
    """Return how small a hidden bias would do, by outcome, for pairs and full matching."""
    found = bounds[bounds["statistic"] == "critical_gamma"]
    if found.empty:
        return "No bounds were found."
    parts = []
    for measure, here in found.groupby("measure", sort=False):
        each = " and ".join(
            f"{words.number(r['value'], 2)} ({of.method_words(str(r['variant']))[1]})"
            for r in here.to_dict("records")
        )
        parts.append(f"{_name(str(measure), labels)} {each}")
    return (
        "The bias that lifts the test of no difference above one in twenty, as a ratio of odds (one: none is needed), is for "
        f"{'; for '.join(parts)}."
    )


def size_sentence(size: pd.DataFrame, labels: Labels) -> str:
    """Return how intervals by state, and those that take counties as independent, fared on SIMULATED panels."""
    if size.empty:
        return "How often the other methods' intervals hold the truth was not measured."

    def held(rows: pd.DataFrame, column: str) -> str:
        low, high = rows[column].min(), rows[column].max()
        ends = words.percent(low, 0), words.percent(high, 0)
        return ends[0] if ends[0] == ends[1] else f"{ends[0].removesuffix(' %')} to {ends[1]}"

    # Slow inference is run on some panels alone, too few for a share of them to be put in a sentence.
    size = size[size["draws"] >= size["draws"].max() / 2]
    lines = []
    for measure, here in size.groupby("measure", sort=False):
        alone = here["independent"].astype(bool)
        parts = []
        for rows, who in (
            (here[~alone], "with state-level inference"),
            (here[alone], "if counties or pairs count as independent"),
        ):
            if len(rows):
                parts.append(
                    f"{who}, intervals hold the estimator's own average in {held(rows, 'coverage_of_mean')} and the truth in "
                    f"{held(rows, 'coverage')} of SIMULATED panels"
                )
        off = f"on average the estimates there miss the truth by {spread(here['bias_percent'])} of the comparison mean"
        lines.append(f"{words.capital(_name(str(measure), labels))}: {'; '.join([*parts, off])}.")
    return "\n".join(lines)


def overlap_counts(overlap: pd.DataFrame) -> dict[str, tuple[str, float, str]]:
    """Return numbers of overlap: key to text, value and unit.

    Args:
        overlap: from `analysis.evidence.checks.overlap.overlap`.
    """
    rows = overlap[overlap["urban_class"] == "all"]
    value = rows.set_index("statistic")["value"].to_dict()
    n = {arm: int(rows[f"n_{arm}"].iloc[0]) for arm in ("treated", "comparison")}
    found: dict[str, tuple[str, float, str]] = {
        f"{arm}": (words.count(k), float(k), f"{arm} counties") for arm, k in n.items()
    }
    for arm, k in n.items():
        out = round(value[f"{arm}_outside"] * k)
        alone = value[f"{arm}_alone"]
        found[f"outside.{arm}"] = (words.count(out), float(out), f"{arm} counties")
        found[f"alone.{arm}"] = (words.count(alone), float(alone), f"{arm} counties")
    found["overlap"] = (words.percent(value["overlap"], 0), value["overlap"], "overlap coefficient")
    kept = value.get("treated_kept_optimal_for_estimand", np.nan)
    gone = n["treated"] - kept
    found["trimmed.treated"] = (words.count(gone), float(gone), "treated counties")
    return found

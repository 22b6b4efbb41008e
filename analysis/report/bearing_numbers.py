"""Sentences of the paper about what the numbers can bear, written so that they hold whatever the numbers are.

Each takes the frames its table or figure is made from. A frame that was not made, a design that is missing and a row that
failed leave a sentence that says so. Where designs are named they are the headline ones, in the order of the spec; what is
not informative keeps its mark and is left out of counts of intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.checks import california as of_california
from analysis.evidence.checks import coverage_bounds as of_coverage
from analysis.evidence.checks import misclassified as of_labels
from analysis.evidence.checks import nulls as of_nulls
from analysis.evidence.checks import omitted as of_omitted
from analysis.evidence.checks import reporting as of_reporting
from analysis.evidence.curve import ALL, FAILED, FEWER, MORE, NEGATIVE, POSITIVE
from analysis.evidence.matches import variant_of
from analysis.evidence.verdict import EQUIVALENT, INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE
from analysis.report import bias_tables, curve_figures, null_tables, reporting_figures, words
from analysis.report import misclassified_figures as label_figures
from analysis.report.frames import GRID_PLAN, Frame, require

Labels = Mapping[str, str]
Frames = Mapping[str, pd.DataFrame]
Row = Mapping[Any, Any]

# Outcomes and designs the paper's text names; tables hold the others.
MAIN = null_tables.MAIN
ACROSS, WITHOUT, WITHIN, BORDER, MATCHED = "", "without-california", "within-states", "border", "matched-2015"
QUOTED = (ACROSS, WITHOUT, WITHIN, BORDER, MATCHED)
# A year before a number is no year.
BEFORE_NUMBERS: Mapping[str, str] = {MATCHED: "the 2015 match"}
SIZE = 0.05
# True effects of sign errors that are told, per cent; share of labels that is wrong.
TOLD_EFFECTS = (2.0, 5.0)
TOLD_SHARE = 0.1


def _seen(name: str, columns: Iterable[str], where: str) -> Frame:
    return Frame(name, dict.fromkeys(columns, f"see `analysis.evidence.{where}`"))


COVERAGE = _seen("coverage_bounds", of_coverage.COLUMNS, "checks.coverage_bounds")
UNREPORTED = _seen("unreported", of_coverage.COUNTS, "checks.coverage_bounds")
CALIFORNIA = _seen("california", of_california.COLUMNS, "checks.california")
CONTRACTS: Mapping[str, Frame] = {
    "grid_plan": GRID_PLAN,
    "shares": curve_figures.SHARES_FRAME,
    "importance": curve_figures.IMPORTANCE_FRAME,
    "partial_dependence": curve_figures.PARTIAL_FRAME,
    "joint_test": curve_figures.JOINT_FRAME,
    "published_places": curve_figures.PLACES_FRAME,
    "nulls": null_tables.NULLS,
    "equivalence_tests": null_tables.EQUIVALENCE,
    "sign_errors": null_tables.SIGNS,
    "omitted": bias_tables.OMITTED,
    "bias_needed": bias_tables.NEEDED,
    "misclassification_bounds": label_figures.BOUNDS_FRAME,
    "breakdown_shares": label_figures.BREAKDOWNS_FRAME,
    "definition_disagreement": label_figures.DISAGREEMENT_FRAME,
    "relabelled_on_purpose": label_figures.ON_PURPOSE_FRAME,
    "reporting_break_even": reporting_figures.BREAK_EVENS,
    "reporting_implied": reporting_figures.IMPLIEDS,
    "reporting_yardsticks": reporting_figures.BESIDES,
    "coverage_bounds": COVERAGE,
    "unreported": UNREPORTED,
    "california": CALIFORNIA,
}
"""Frames the sentences read, by the names they are handed in under; one that is missing is taken for empty."""

FLAGS = frozenset(
    {"informative", "carries_verdict", "equivalent", "possible", "descriptive", "nearest", "bounds_exclude_zero"}
)  # fmt: skip
TEXTS = frozenset(
    {"spec", "design", "variant", "measure", "family", "label", "reason", "kind", "reading", "of", "choice", "option", "compared"}
    | {"how", "statistic", "fact", "study", "outcome", "unit", "same_outcome", "comparison", "precision", "sentence", "failure"}
    | {"source", "device", "about", "adjusted", "regression", "which", "assumption", "definition", "beside", "relabelling", "end"}
    | {"group", "input", "direction", "yardstick", "sample", "california", "arm", "period", "window", "reference", "note"}
)  # fmt: skip


INTRODUCED = frozenset(
    {
        "moves",
        "joint",
        "found",
        "custody",
        "signs",
        "omitted",
        "needed",
        "labels",
        "reporting",
        "implied",
        "yardsticks",
    }
    | {"coverage"}
)
CLOSED = frozenset(
    {
        "shares",
        "places",
        "equivalence",
        "relabelled",
        "california",
        "found",
        "reporting",
        "yardsticks",
        "coverage",
    }
)


def phrases(frames: Frames, labels: Labels) -> dict[str, tuple[str, str]]:
    """Return every sentence of what the numbers can bear: key to text and the output it stands in.

    Args:
        frames: by the names of `CONTRACTS`; one that is missing or has no rows is told as not made.
        labels: measure to words.

    Raises:
        TableError: a frame with rows lacks a column of its contract.
    """
    held = {name: _held(frames, name) for name in CONTRACTS}
    said = {
        "grid": (grid_sentences(held), "table-35"),
        "shares": (shares_sentences(held, labels), "table-36"),
        "moves": (moves_sentences(held, labels), "table-37"),
        "joint": (joint_sentences(held, labels), "table-38"),
        "places": (places_sentences(held, labels), "table-52"),
        "exclusions": (exclusions_sentences(held), "table-39"),
        "found": (found_sentences(held, labels), "table-39"),
        "custody": (custody_sentences(held, labels), "table-39"),
        "equivalence": (equivalence_sentences(held, labels), "table-40"),
        "signs": (signs_sentences(held, labels), "figure-20"),
        "omitted": (omitted_sentences(held, labels), "table-41"),
        "needed": (needed_sentences(held, labels), "table-42"),
        "labels": (labels_sentences(held, labels), "figure-22"),
        "disagreement": (disagreement_sentences(held), "table-43"),
        "relabelled": (relabelled_sentences(held, labels), "table-44"),
        "reporting": (reporting_sentences(held, labels), "table-45"),
        "implied": (implied_sentences(held, labels), "table-46"),
        "yardsticks": (yardsticks_sentences(held, labels), "table-47"),
        "coverage": (coverage_sentences(held, labels), "table-49"),
        "unreported": (unreported_sentences(held, labels), "table-50"),
        "california": (california_sentences(held, labels), "table-51"),
        "summary": (summary_sentences(held, labels), "table-39"),
    }
    return {
        key: (_apart(text, first=key in INTRODUCED, last=key in CLOSED), output)
        for key, (text, output) in said.items()
    }


def _apart(text: str, *, first: bool, last: bool) -> str:
    """Return lines with a blank one after an introduction, and before what is said of all: those are paragraphs.

    Example:
        >>> _apart("In per cent:\\none\\ntwo", first=True, last=False)
        'In per cent:\\n\\none\\ntwo'
    """
    lines = text.split("\n")
    if len(lines) < 1 + first + last:
        return text
    middle = lines[int(first) : len(lines) - int(last)]
    parts = [lines[:1] if first else [], middle, lines[-1:] if last else []]
    return "\n\n".join("\n".join(part) for part in parts if part)


# --------------------------------------------------------------------------------------------------------
# Frames and words
# --------------------------------------------------------------------------------------------------------


def _held(frames: Frames, name: str) -> pd.DataFrame:
    """Return a frame with its texts and flags, empty where it was not made; a file holds nothing for an empty text."""
    contract = CONTRACTS[name]
    table = frames.get(name)
    if table is None or table.empty:
        table = pd.DataFrame(columns=list(contract.columns))
    table = require(table, contract).reset_index(drop=True)
    made: dict[str, pd.Series] = {}
    for column in contract.columns:
        values = table[column].astype(object)
        if column in FLAGS:
            made[column] = values.isin([True, "True"])
        elif column in TEXTS:
            made[column] = values.where(values.notna(), "").astype(str)
        else:
            made[column] = pd.to_numeric(values, errors="coerce").astype(float)
    out = pd.DataFrame(made)
    return out.assign(design=[variant_of(spec) for spec in out["spec"]]) if "spec" in out else out


def _numbers(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return the finite numbers of a column."""
    values = pd.to_numeric(rows[column], errors="coerce").astype(float)
    return values[np.isfinite(values)]


def _known(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return rows whose columns are finite numbers."""
    for column in columns:
        rows = rows.loc[_numbers(rows, column).index]
    return rows


def _where(rows: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    for column, value in wanted.items():
        rows = rows[rows[column].eq(value)]
    return rows


def _first(rows: pd.DataFrame) -> dict[str, Any] | None:
    return None if rows.empty else {str(k): v for k, v in rows.iloc[0].items()}


def _outcomes(rows: pd.DataFrame, known: Sequence[str] = MAIN) -> list[str]:
    """Return the outcomes that are told: the main ones that are there, or else whichever are."""
    there = [m for m in dict.fromkeys(rows["measure"]) if m and m != ALL]
    return [m for m in known if m in there] or there


def _designs(rows: pd.DataFrame, known: Sequence[str] = QUOTED) -> list[str]:
    there = list(dict.fromkeys(rows["design"]))
    return [d for d in known if d in there] or there


def _reported(measure: str, labels: Labels) -> str:
    """Return an outcome in words, as reported crime.

    Example:
        >>> _reported("property", {"property": "property crime"}), _reported("total", {"total": "total crime (of both kinds)"})
        ('reported property crime', 'reported total crime')
    """
    return f"reported {labels.get(measure, measure.replace('_', ' ')).split(' (')[0]}"


def _design(variant: str) -> str:
    """Return a design in words, in the middle of a sentence and before a number.

    Example:
        >>> _design(""), _design("two-way-within-states"), _design("my-own")
        ('across states', 'two-way within states', 'my own')
    """
    said = BEFORE_NUMBERS.get(variant) or null_tables.design_label(variant).replace(",", "")
    return said[:1].lower() + said[1:]


def _change(value: Any, digits: int = 1) -> str:
    """Return a change in per cent with its sign.

    Example:
        >>> _change(13.144), _change(-0.02), _change(float("nan"))
        ('+13.1 %', '0.0 %', '–')
    """
    text = words.number(value, digits, sign=True)
    return text if text == words.MISSING else f"{text} %"


def _estimate(value: Any, low: Any, high: Any, note: str = "", digits: int = 1) -> str:
    """Return a change in per cent with both ends of its interval.

    Example:
        >>> _estimate(-2.0, -4.25, 0.26), _estimate(1.0, None, None, "not informative")
        ('−2.0 % (−4.2 to 0.3)', '+1.0 % (not informative)')
    """
    inside = [part for part in (words.interval(low, high, digits), note) if part and part != words.MISSING]
    return _change(value, digits) + (f" ({'; '.join(inside)})" if inside else "")


def _between(values: pd.Series, names: Sequence[str], say: Any) -> str:
    """Return a range with the name at either end, or the one value there is.

    Example:
        >>> _between(pd.Series([3.0, 1.0]), ["a", "b"], lambda v: f"{v:g} %"), _between(pd.Series([2.0]), ["a"], str)
        ('1 % (b) to 3 % (a)', '2.0 (a)')
    """
    values = values.reset_index(drop=True)
    low, high = int(values.idxmin()), int(values.idxmax())
    first, last = say(values[low]), say(values[high])
    return f"{first} ({names[low]})" if first == last else f"{first} ({names[low]}) to {last} ({names[high]})"


def _span(values: pd.Series, say: Any) -> str:
    """Return a range, or the one value there is.

    Example:
        >>> _span(pd.Series([3.0, 1.0]), lambda v: f"{v:g}"), _span(pd.Series([2.0, 2.0]), lambda v: f"{v:g}")
        ('1 to 3', '2')
    """
    first, last = say(values.min()), say(values.max())
    return first if first == last else f"{first} to {last}"


def _thin(row: Row) -> str:
    """Return the mark of a row of `nulls` that is no finding."""
    said = str(row["precision"])
    return NOT_INFORMATIVE if said == NOT_INFORMATIVE else "" if said else NO_VERDICT


def _judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `nulls` that have an interval and may carry a verdict."""
    return _known(_able(rows), "percent_low", "percent_high")


def _able(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `nulls` that may carry a verdict."""
    return rows[~rows["precision"].isin(["", NOT_INFORMATIVE])]


def _level(rows: pd.DataFrame) -> float:
    """Return the level of the intervals, that of the study where none is stated."""
    known = _numbers(rows, "level")
    return float(known.iloc[0]) if len(known) else 1 - SIZE


def _out(rows: pd.DataFrame, low: str = "percent_low", high: str = "percent_high") -> int:
    """Return how many intervals exclude zero."""
    return int((_numbers(rows, low).gt(0) | _numbers(rows, high).lt(0)).sum())


def _lines(parts: Iterable[str], nothing: str) -> str:
    return "\n".join(part for part in parts if part) or nothing


# --------------------------------------------------------------------------------------------------------
# The grid
# --------------------------------------------------------------------------------------------------------


def grid_sentences(frames: Frames) -> str:
    """Return the size of the grid, its families, and why cells were left out."""
    plan = _known(frames["grid_plan"], "cells")
    plan = plan[plan["cells"] > 0]
    f, gone = _where(plan, kind="family"), _where(plan, kind="left_out")
    if f.empty:
        return "No grid of specifications was planned here."
    total = int(f["cells"].sum())
    parts = [
        f"{r['label']} {words.count(r['cells'])} ({words.percent(r['cells'] / total, 0)})"
        for r in f.to_dict("records")
    ]
    said = (
        f"The grid holds {words.counted(total, 'specification')} in {words.counted(len(f), 'family', 'families')}: "
        f"{words.listing(parts)}."
    )
    left = int(gone["cells"].sum())
    if not left:
        return f"{said} No combination was left out."
    by_rule = gone["label"].str.startswith("rule ")
    refused = int(gone.loc[by_rule, "cells"].sum())
    rules = gone.groupby("label", sort=False)["cells"].sum()
    return (
        f"{said} {words.counted(left, 'further combination')} {'was' if left == 1 else 'were'} left out before anything was estimated, "
        f"each by a stated rule: {words.count(refused)} by rules of the protocol, {words.count(left - refused)} by rules of the "
        f"grid. The commonest ({words.count(rules.max())}): {rules.idxmax()}."
    )


def shares_sentences(frames: Frames, labels: Labels) -> str:
    """Return what specifications say, one line an outcome, families weighing alike."""
    f = frames["shares"]
    lines = [_shares_line(_where(f, measure=m), m, labels) for m in _outcomes(f, ())]
    if not any(lines):
        return "No grid of specifications was run here."
    note = "Specifications are no sample: shares describe the grid and are no probabilities."
    return _lines([*lines, note], "")


def _shares_line(rows: pd.DataFrame, measure: str, labels: Labels) -> str:
    whole, apart = _where(rows, family=ALL), _known(rows[rows["family"].ne(ALL)], "share")
    if whole.empty:
        return ""

    def share(kind: str, reading: str) -> str:
        part = _numbers(_where(whole, kind=kind, reading=reading), "share")
        return words.whole_share(part.iloc[0]) if len(part) else words.MISSING

    above = _where(apart, kind="sign", reading=POSITIVE)
    names = [curve_figures.family_words(str(name)) for name in above["family"]]
    by_family = (
        f", above zero by family {_between(above['share'].astype(float), names, words.whole_share)}"
        if len(above)
        else ""
    )
    silent = _numbers(_where(whole, kind="verdict", reading=NO_VERDICT), "share").sum()
    return (
        f"{words.capital(_reported(measure, labels))} ({words.counted(whole['n_specs'].iloc[0], 'specification')}, families alike): "
        f"{share('sign', POSITIVE)} of estimates lie above zero and {share('sign', NEGATIVE)} below{by_family}; informative "
        f"intervals lie wholly above zero in {share('verdict', MORE)} and wholly below in {share('verdict', FEWER)}, are "
        f"equivalent to zero in {share('verdict', EQUIVALENT)} and inconclusive in {share('verdict', INCONCLUSIVE)}; "
        f"{share('verdict', NOT_INFORMATIVE)} are not informative{f', {words.whole_share(silent)} take no verdict' if silent else ''} and "
        f"{share('sign', FAILED)} could not be estimated."
    )


def moves_sentences(frames: Frames, labels: Labels) -> str:
    """Return which choices account for most of the variance of ranks, and what single options do."""
    weight = _where(frames["importance"], of="rank", family=ALL)
    weight = _known(weight[_numbers(weight, "options").reindex(weight.index).gt(0)], "shapley", "total")
    partial = _where(frames["partial_dependence"], family=ALL)
    partial = _known(partial[partial["option"].ne(partial["reference"])], "difference", "low", "high")
    lines = []
    for measure in (ALL, *_outcomes(weight)):
        ranked = _where(weight, measure=measure).sort_values("total", ascending=False, kind="stable").head(3)
        if ranked.empty:
            continue
        parts = [
            f"{curve_figures.choice_words(str(r['choice'])).lower().replace('california', 'California')} "
            f"{words.whole_share(r['total'])} ({words.whole_share(r['shapley'])})"
            for r in ranked.to_dict("records")
        ]
        name = "all outcomes together" if measure == ALL else _reported(measure, labels)
        lines.append(
            f"{words.capital(name)}: {words.listing(parts)}.{_options(_where(partial, measure=measure))}"
        )
    if not lines:
        return "No grid of specifications was run here, and no choice can be weighed."
    head = (
        "Choices that move the rank of an estimate most, as the share of the variance lost without the choice and its "
        "interactions (in brackets: its part averaged over all orders of entry), families alike. Then what single options do to "
        "the estimate on average with everything else held fixed, with the range of the middle eight in ten pairs of "
        "specifications."
    )
    return "\n".join([head, *lines])


def _options(rows: pd.DataFrame) -> str:
    """Return the three largest mean differences an option makes, one a choice, and that of leaving California out."""
    rows = rows[rows["choice"].ne("outcome")]
    if rows.empty:
        return ""
    order = rows["difference"].astype(float).abs().sort_values(ascending=False, kind="stable").index
    largest = rows.loc[order].drop_duplicates("choice")
    told = pd.concat([largest.head(3), largest.iloc[3:][largest.iloc[3:]["choice"].eq("california")]])
    parts = [
        f"{words.number(r['difference'], 1, sign=True)} {_option(r)} ({words.interval(r['low'], r['high'], 1)})"
        for r in told.to_dict("records")
    ]
    return f" In points: {'; '.join(parts)}."


def _option(row: Row) -> str:
    if row["choice"] == "california":
        return f"{row['option']} California"
    return f"for '{row['option']}' instead of '{row['reference']}'"


STATISTICS: Mapping[str, str] = {
    "median": "median effect",
    "share": "share different from zero",
    "mean_t": "mean t",
}


def joint_sentences(frames: Frames, labels: Labels) -> str:
    """Return the joint test of each outcome's linear specifications, with how many of its tests are off size."""
    f = _known(frames["joint_test"], "p_value")
    lines = []
    for measure in (*_outcomes(f), ALL):
        rows = _where(f, measure=measure)
        whole = _where(rows, compared=ALL)
        if whole.empty:
            continue
        median = _first(_where(whole, statistic="median"))
        found = f"median effect {_change(median['observed'])}; " if median else ""
        parts = [
            f"{said} {_tests(_where(rows, compared=compared))}"
            for compared, said in (("between", "between states"), ("within", "within states"))
            if len(_where(rows, compared=compared))
        ]
        name = "all outcomes together" if measure == ALL else _reported(measure, labels)
        lines.append(
            f"{words.capital(name)} ({words.counted(whole['n_specs'].iloc[0], 'linear specification')}): {found}"
            f"{'; '.join([_tests(whole), *parts])}."
        )
    if not lines:
        return "No joint test of the specifications was made here."
    measured = _known(f, "size", "size_error")
    off = _off_size(measured)
    head = (
        "Is the curve what no effect at all would give? A linear part of the grid is refitted, all of it in the same draws of whole "
        f"states, by {words.counted(f['statistic'].nunique(), 'statistic')} "
        f"({words.listing([STATISTICS.get(s, s) for s in dict.fromkeys(f['statistic'])])}) and "
        f"{words.counted(f['how'].nunique(), 'way of drawing', 'ways of drawing')}. "
        + (
            f"Measured on simulated panels without an effect, these tests at {words.percent(SIZE, 0)} reject in "
            f"{_span(measured['size'].astype(float), words.whole_share)} of cases; {words.count(len(off))} of "
            f"{words.counted(len(measured), 'test')} {'is' if len(off) == 1 else 'are'} off size, and {'its' if len(off) == 1 else 'their'} "
            "p-values are not to be read alone."
            if len(measured)
            else "The size of these tests was not measured."
        )
    )
    return "\n".join([head, *lines])


def _off_size(rows: pd.DataFrame) -> pd.DataFrame:
    gap = (rows["size"].astype(float) - SIZE).abs()
    return rows[gap > curve_figures.OFF_SIZE * rows["size_error"].astype(float)]


def _rejected(rows: pd.DataFrame) -> tuple[int, int] | None:
    """Return how many of the tests that are of their size reject, and how many there are; None without any."""
    sized = _known(rows, "size", "size_error")
    sound = sized.drop(index=_off_size(sized).index)
    return (int(_numbers(sound, "p_value").lt(SIZE).sum()), len(sound)) if len(sound) else None


def _tests(rows: pd.DataFrame) -> str:
    """Return the range of p-values and how many of the tests that are of their size reject."""
    text = f"p {_span(rows['p_value'].astype(float), _p)}"
    found = _rejected(rows)
    if found is None:
        return f"{text}, no test known to be of its size"
    low, n = found
    return f"{text}, below {words.number(SIZE, 2)} in {words.count(low)} of {words.counted(n, 'test of its size', 'tests of their size')}"


def _p(value: float) -> str:
    return "under 0.001" if value < 0.001 else words.number(value, 3)


UNITS: Mapping[str, str] = {
    "per_10k": "per 10,000 residents",
    "per_100k": "per 100,000 residents",
    "log_points": "log points",
}
BESIDE: Mapping[str, str] = {"same": "", "near": ", the nearest outcome here", "another": ", another outcome"}


def places_sentences(frames: Frames, labels: Labels) -> str:
    """Return where each published number falls among the specifications of its own outcome, families alike."""
    f = frames["published_places"]
    placed = _known(_where(f, family=ALL), "place")
    lines = []
    for _, rows in placed.groupby("fact", sort=False):
        near = next(part for same in BESIDE if len(part := rows[rows["same_outcome"].eq(same)]))
        lines += [_place(r, labels) for r in near.to_dict("records")]
    if not lines:
        return "No published number was placed among specifications here."
    silent = f.loc[f["reason"].ne(""), "fact"].nunique()
    if silent:
        lines.append(
            f"{words.capital(words.counted(silent, 'published result'))} {'has' if silent == 1 else 'have'} no place among them: "
            f"{words.listing(list(dict.fromkeys(f.loc[f['reason'].ne(''), 'reason'])))}."
        )
    return "\n".join(lines)


def _place(row: Row, labels: Labels) -> str:
    size = float(row["published"])
    digits = words.digits_for(size)
    in_percent = f", {_change(row['percent'])}" if not words.is_missing(row["percent"]) else ""
    unit = UNITS.get(str(row["unit"]), str(row["unit"]))
    return (
        f"{row['study']} ({words.number(size, digits, sign=True)} {unit}{in_percent}), among "
        f"{words.counted(row['n_specs'], 'specification')} of {_reported(str(row['measure']), labels)}"
        f"{BESIDE[str(row['same_outcome'])]}: {words.whole_share(row['place'])} of estimates lie below it; {words.whole_share(row['inside'])} of "
        f"intervals hold it, {words.whole_share(row['above'])} lie above it and {words.whole_share(row['below'])} below it."
    )


# --------------------------------------------------------------------------------------------------------
# Nulls
# --------------------------------------------------------------------------------------------------------


def exclusions_sentences(frames: Frames) -> str:
    """Return what each quoted estimate excludes, both ends, one line an outcome and design, with its conditions."""
    f = frames["nulls"]
    f = f[f["sentence"].ne("")]
    lines = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        lines += [
            f"{words.capital(_design(design))}: {sentence[:1].lower()}{sentence[1:]}"
            for design in _designs(rows)
            for sentence in _where(rows, design=design)["sentence"]
        ]
    return _lines(lines, "No estimate was made here, and nothing is excluded.")


def found_sentences(frames: Frames, labels: Labels) -> str:
    """Return the changes the quoted designs could have found, by the formula and in refits."""
    f = frames["nulls"]
    lines = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        parts = []
        for design in _designs(rows):
            row = _first(_known(_where(rows, design=design), "detectable_percent"))
            if row is None:
                parts.append(f"{_design(design)} not known")
                continue
            refits = words.number(row["detectable_simulated_percent"], 1)
            inside = [part for part in (refits, _thin(row)) if part and part != words.MISSING]
            parts.append(
                f"{_design(design)} {words.number(row['detectable_percent'], 1)} %"
                + (f" ({'; '.join(inside)})" if inside else "")
            )
        lines.append(f"{words.capital(_reported(measure, labels))}: {words.listing(parts)}.")
    if not _numbers(f, "detectable_percent").size:
        return "No estimate with an error was made here, and no detectable change is known."
    nominal = words.percent(1 - _level(f), 0)
    head = (
        f"The smallest changes, in per cent of the mean, that a test at {nominal} finds with a chance of "
        f"{words.percent(of_nulls.POWER, 0)}, by the formula and in brackets in refits on the panel's own residuals."
    )
    sizes = _known(f, "size_simulated")
    if sizes.empty:
        return "\n".join([head, *lines])
    names = [
        f"{_design(r['design'])}, {_reported(str(r['measure']), labels)}" for r in sizes.to_dict("records")
    ]
    tail = (
        f"In refits without an effect those tests should reject in {nominal} of cases; over "
        f"{words.counted(len(sizes), 'estimate')} they do in "
        f"{_between(sizes['size_simulated'].astype(float), names, lambda v: words.percent(v, 1))}."
    )
    return "\n".join([head, *lines, tail])


def custody_sentences(frames: Frames, labels: Labels) -> str:
    """Return declined detainers behind the estimates, and the offences a year for each that they would mean."""
    f = _known(frames["nulls"], "declined_per_10k", "offences_per_declined")
    f = f[f["declined_per_10k"].astype(float) > 0]
    if f.empty:
        return "No record of declined detainers stands beside an estimate here."
    quoted = f[f["design"].isin(_designs(f)) & f["measure"].isin(_outcomes(f))]
    lines = [
        f"In the treated areas behind these estimates {_span(quoted['declined_per_10k'].astype(float), lambda v: words.number(v, 2))} "
        "detainers per 10,000 residents were declined in 2014. Reported offences a year for each of them that an estimate would "
        f"mean, with both ends of its interval, and how many would be detectable with a chance of {words.percent(of_nulls.POWER, 0)}:"
    ]
    lowest, highest = min(of_nulls.PER_DETAINER), max(of_nulls.PER_DETAINER)
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        told = [_first(_where(rows, design=design)) for design in _designs(rows)]
        parts = [
            f"{_design(str(r['design']))} "
            f"{_ratio(r['offences_per_declined'], r['offences_per_declined_low'], r['offences_per_declined_high'], _thin(r))}"
            + (
                ""
                if words.is_missing(r["detectable_per_declined"])
                else f", detectable {words.number(r['detectable_per_declined'], 1)}"
            )
            for r in told
            if r
        ]
        size = _known(_able(rows), "detectable_per_declined")
        able = int(size["detectable_per_declined"].astype(float).le(highest).sum())
        close = (
            f"; {words.none_or_count(able)} of {words.counted(len(size), 'informative design')} could detect "
            f"{words.number(highest, 0)}, the upper end of the range of {words.number(lowest, 1)} to {words.number(highest, 0)} "
            "that is stated, not estimated"
            if len(size)
            else ""
        )
        lines.append(f"{words.capital(_reported(measure, labels))}: {'; '.join(parts)}{close}.")
    return "\n".join(lines)


def _ratio(value: Any, low: Any, high: Any, note: str = "") -> str:
    inside = [part for part in (words.interval(low, high, 1), note) if part and part != words.MISSING]
    return words.number(value, 1, sign=True) + (f" ({'; '.join(inside)})" if inside else "")


def equivalence_sentences(frames: Frames, labels: Labels) -> str:
    """Return within which stated bounds effects are shown to lie, and the smallest bound each design would show."""
    f = frames["equivalence_tests"]
    f = f[f["carries_verdict"] & f["failure"].eq("")]
    lines = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        designs = rows["spec"].nunique()
        tested = _known(rows, "p_value")
        parts = [
            _shown(part, str(kind), str(source), designs)
            for (kind, source), part in tested.groupby(["kind", "source"], sort=False)
            if kind != "custody" or source == f"{max(of_nulls.PER_DETAINER):g}"
        ]
        bounds = _known(rows.drop_duplicates("spec"), "smallest_bound_percent")
        close = (
            "; the smallest bound that would be shown runs "
            + _from(
                bounds["smallest_bound_percent"].astype(float), [_design(d) for d in bounds["design"]], " %"
            )
            if len(bounds)
            else ""
        )
        lines.append(
            f"{words.capital(_reported(measure, labels))}, {words.counted(designs, 'design')} that may carry a verdict: shown within "
            f"{'; within '.join(parts) or 'no bound, none being tested'}{close}."
        )
    if not lines:
        return "No estimate that may carry a verdict was tested against a bound here."
    return _lines([*lines, "What is not shown to be small is not shown to be large either."], "")


def _from(values: pd.Series, names: Sequence[str], unit: str) -> str:
    text = _between(values, names, lambda v: f"{words.number(v, 1)}{unit}")
    return f"from {text}" if " to " in text else f"at {text}"


def _shown(rows: pd.DataFrame, kind: str, source: str, designs: int) -> str:
    head = {
        "share_of_mean": f"±{source} of the mean",
        "published": f"the published {null_tables.PUBLISHED.get(source, source)}",
        "custody": f"{source} reported offences a year per declined detainer",
    }.get(kind, f"{kind} {source}")
    passed = rows[rows["equivalent"]]
    names = f" ({words.listing([_design(d) for d in passed['design']])})" if len(passed) else ""
    of = (
        ""
        if len(rows) == designs
        else f" of {words.counted(len(rows), 'design')} where it can be put on the scale"
    )
    chance = _numbers(rows, "chance_if_zero")
    if kind != "share_of_mean" or chance.empty:
        return f"{head} by {words.none_or_count(len(passed))}{of}{names}"
    return (
        f"{head} by {words.none_or_count(len(passed))}{of}{names} (were there no effect, the best design would show it with a chance of "
        f"{words.whole_share(chance.max())})"
    )


def signs_sentences(frames: Frames, labels: Labels) -> str:
    """Return what a significant estimate is worth if the truth is small, over the headline designs."""
    f = _known(frames["sign_errors"], "sign_error", "exaggeration")
    told = [e for e in TOLD_EFFECTS if f["effect_percent"].eq(e).any()] or sorted(
        set(_numbers(f, "effect_percent"))
    )[:2]
    lines = []
    for measure in _outcomes(f):
        parts: list[str] = []
        for effect in told:
            rows = _where(f, measure=measure, effect_percent=effect)
            if rows.empty:
                continue
            names = [_design(design) for design in rows["design"]]
            times = _between(rows["exaggeration"].astype(float), names, lambda v: words.number(v, 1))
            parts.append(
                f"by {words.number(effect, 0)} %, {'' if parts else 'such an estimate would on average be '}{times} times as large, and of the "
                "wrong sign in "
                f"{_span(rows['sign_error'].astype(float), words.whole_share)} of cases"
            )
        lines.append(f"If {_reported(measure, labels)} truly moved {'; '.join(parts)}." if parts else "")
    if not any(lines):
        return "No design with an error was there to ask what a significant estimate would be worth."
    head = "What an estimate that is found different from zero would be worth, by design and by the size of the true effect."
    return _lines([head, *lines], "")


# --------------------------------------------------------------------------------------------------------
# Hidden bias
# --------------------------------------------------------------------------------------------------------


def _value(rows: pd.DataFrame, device: str, statistic: str, **where: Any) -> float:
    return bias_tables.cell_of(rows, statistic, device=device, **where)


def omitted_sentences(frames: Frames, labels: Labels) -> str:
    """Return how strong an omitted variable would have to be for the regressions to be zero."""
    f = frames["omitted"]
    lines = []
    for measure in _outcomes(f[f["device"].ne("")]):
        rows = _where(f, measure=measure)
        held = _where(rows, adjusted=of_omitted.COVARIATES)
        if held.empty:
            held = _where(rows, adjusted=of_omitted.BARE)
        designs = list(dict.fromkeys(held["design"]))
        parts = {design: _where(held, design=design) for design in designs}
        table = pd.DataFrame(
            {
                "design": designs,
                "zero": [_value(p, of_omitted.ROBUSTNESS, "estimate") for p in parts.values()],
                "interval": [_value(p, of_omitted.ROBUSTNESS, "interval") for p in parts.values()],
                "times": [
                    _value(p, of_omitted.BENCHMARK, "multiple", about=of_omitted.ALL) for p in parts.values()
                ],
            }
        )
        lines.append(_omitted_line(table, measure, labels) + _divisions(rows))
    if not any(lines):
        return "No regression was made here, and no omitted variable can be priced."
    return _lines(
        [
            "Group-time effects and the match are no regressions: the nearest one stands in for them, covariates held constant.",
            *lines,
        ],
        "",
    )


def _omitted_line(table: pd.DataFrame, measure: str, labels: Labels) -> str:
    known = _known(table, "zero")
    if known.empty:
        return ""
    names = [_design(design) for design in known["design"]]
    zero = _between(known["zero"], names, lambda v: words.percent(v, 1))
    with_interval = _known(known, "interval")
    inside = int(with_interval["interval"].eq(0).sum())
    beyond = with_interval.loc[with_interval["interval"].gt(0), "interval"]
    of = f"{words.count(inside)} of {words.counted(len(with_interval), 'interval')} by state {'holds' if inside == 1 else 'hold'} zero already"
    more = (
        f", and {_span(beyond, lambda v: words.percent(v, 1))} would do for the rest" if len(beyond) else ""
    )
    times = _known(known, "times")
    enough = int(times["times"].le(1).sum())
    benchmark = (
        f"; one as strong as all covariates together would do for {words.count(enough)} of {words.count(len(times))}"
        if len(times)
        else ""
    )
    return (
        f"{words.capital(_reported(measure, labels))}, {words.counted(len(known), 'regression')}: to bring the estimate to zero an omitted "
        f"variable must explain {zero} of what is left of both policy and outcome; {of}{more}{benchmark}."
    )


def _divisions(rows: pd.DataFrame) -> str:
    """Return what holding the census divisions constant does to the regression across states."""
    design = ACROSS if rows["design"].eq(ACROSS).any() else next(iter(rows["design"]), ACROSS)
    told = []
    for adjusted in (of_omitted.COVARIATES, of_omitted.DIVISIONS):
        part = _where(rows, design=design, adjusted=adjusted)
        base = _value(part, of_omitted.REGRESSION, "baseline")
        value, low, high = (
            100 * _value(part, of_omitted.REGRESSION, name) / base if base > 0 else np.nan
            for name in ("estimate", "conf_low", "conf_high")
        )
        told.append(_estimate(value, low, high))
    if any(text.startswith(words.MISSING) for text in told):
        return ""
    return f" Holding the census divisions constant as well takes the regression {_design(design)} from {told[0]} to {told[1]}."


def needed_sentences(frames: Frames, labels: Labels) -> str:
    """Return what each kind of hidden bias would have to be, a line an outcome, over the quoted designs."""
    f = frames["bias_needed"]
    lines = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        parts = [_needed(_where(rows, design=design), design) for design in _designs(rows)]
        told = [part for part in parts if part]
        lines.append(f"{words.capital(_reported(measure, labels))}: {'; '.join(told)}." if told else "")
    if not any(lines):
        return "No bias was priced here: no estimate, or no device that applies."
    head = (
        "What would bring an estimate to zero: an omitted variable that explains the stated share of what is left of policy and "
        "outcome (in brackets: for the interval of that regression to hold zero); one so many times as strong as all covariates. "
        "What would make the interval hold zero: trends that move in a year by so many times their largest move before adoption; "
        "or odds of a policy that differ so many times within a matched pair (valid if counties were assigned independently). "
        "Zero, or odds of one: zero is inside already."
    )
    return _lines([head, *lines], "")


def _needed(rows: pd.DataFrame, design: str) -> str:
    share, inside = (_value(rows, of_omitted.ROBUSTNESS, name) for name in ("estimate", "interval"))
    times = _value(rows, of_omitted.BENCHMARK, "multiple", about=of_omitted.ALL)
    trends = _value(rows, of_omitted.TRENDS, "interval")
    odds = _value(rows, of_omitted.ODDS, "test")
    said = []
    if np.isfinite(share):
        more = f" ({words.percent(inside, 1)})" if np.isfinite(inside) else ""
        said.append(f"{words.percent(share, 1)}{more}")
    if np.isfinite(times):
        said.append(f"{words.number(times, 2)} times the covariates")
    if np.isfinite(trends):
        said.append(f"trends {words.number(trends, 2)} times")
    if np.isfinite(odds):
        said.append(f"odds {words.number(odds, 2)} times")
    thin = "" if not len(rows) or rows["informative"].any() else f" ({NOT_INFORMATIVE})"
    return f"{_design(design)}{thin} {', '.join(said)}" if said else ""


def labels_sentences(frames: Frames, labels: Labels) -> str:
    """Return the fewest wrong labels that bring estimates to zero, and bounds when a share of them is wrong."""
    zero = _known(frames["breakdown_shares"], "percent")
    bounds = _known(frames["misclassification_bounds"], "percent_low", "percent_high")
    bounds = _where(bounds, assumption="arbitrary", which="both")
    shares = sorted(set(_numbers(bounds, "share")) - {0.0})
    share = TOLD_SHARE if TOLD_SHARE in shares else shares[-1] if shares else np.nan
    lines = []
    for measure in _outcomes(zero):
        rows = _where(zero, measure=measure)
        for design in _designs(rows):
            here = _where(rows, design=design)
            listed, either = (_first(_where(here, which=which)) for which in ("listed", "either"))
            if listed is None:
                continue
            between = _first(_where(bounds, measure=measure, design=design, share=share))
            fewest = ", or ".join(part for part in (_fewest(listed), _either(either)) if part)
            inside = (
                f"; with {words.percent(share, 0)} of either side labelled wrongly it lies between "
                f"{_change(between['percent_low'])} and {_change(between['percent_high'])} at worst"
                if between
                else ""
            )
            lines.append(
                f"{words.capital(_reported(measure, labels))}, {_design(design)} ({_change(listed['percent'])}): {fewest}{inside}."
            )
    if not lines:
        return "No estimate was taken apart by its labels here."
    head = (
        "The fewest labels, those that matter most, that would have to be wrong for an estimate to be zero, covariates of panels "
        "left out, without sampling error. Errors that have nothing to do with outcomes can only make an estimate too small in size."
    )
    return "\n".join([head, *lines])


def _fewest(row: Row) -> str:
    """Return the fewest listed counties that would have to be untreated."""
    open_ = row["open_counties"]
    if words.is_missing(row["counties"]):
        share = row["share_of_weight"]
        if words.is_missing(share):
            return "no share of the listed short of all"
        return f"{words.percent(share, 1)} of listed residents in every state"
    n = row["counties"]
    apart = abs(float(row["weight_of_counties"]) - float(row["share_of_counties"])) > words.SMALL
    held = f" with {words.percent(row['weight_of_counties'], 0)} of listed residents" if apart else ""
    states = "" if words.is_missing(row["states"]) else f" in {words.counted(row['states'], 'state')}"
    return f"{words.count(n)} of {words.counted(open_, 'listed county', 'listed counties')}{states}{held}"


def _either(row: Row | None) -> str:
    if row is None or words.is_missing(row["counties"]):
        return ""
    return f"{words.count(row['counties'])} of {words.counted(row['open_counties'], 'label')} on either side"


def disagreement_sentences(frames: Frames) -> str:
    """Return how the main definition and the others disagree, either way."""
    f = _known(
        frames["definition_disagreement"], "treated", "treated_both", "treated_not", "untreated_treated"
    )
    if f.empty:
        return "No two definitions were set side by side here."
    main = str(f["definition"].iloc[0])
    mine = _where(f, definition=main)
    dated = mine[~mine["descriptive"]]
    beside = next((name for name in of_labels.BESIDE if dated["beside"].eq(name).any()), None)
    first = _first(_where(dated, beside=beside) if beside else dated) or {}
    parts = []
    if first:
        both, apart = first["treated_both"], first["treated_not"]
        years = first["dated_both"]
        parts.append(
            f"Of {words.counted(first['treated'], 'county', 'counties')} under '{words.definition_label(main)}', "
            f"{words.count(both)} are treated under '{words.definition_label(str(first['beside']))}' too, {words.count(apart)} "
            f"are comparison counties there and {words.count(first['treated_unknown'])} neither: of those that both place, "
            f"{words.percent(first['share_not_treated'], 0)}, with {words.percent(first['share_not_treated_residents'], 0)} of "
            f"their residents, are not treated. Of {words.counted(first['untreated'], 'comparison county', 'comparison counties')}, "
            f"{words.count(first['untreated_treated'])} {'is' if first['untreated_treated'] == 1 else 'are'} treated there."
        )
        if years > 0:
            parts.append(
                f"Of {words.count(years)} dated by both, {words.count(first['same_year'])} have the same first treated year and "
                f"{words.count(first['within_one_year'])} one at most a year apart."
            )
    overlap = _known(dated, "jaccard")
    if len(overlap) > 1:
        names = [f"'{words.definition_label(str(name))}'" for name in overlap["beside"]]
        text = _between(overlap["jaccard"].astype(float), names, lambda v: words.percent(v, 0))
        parts.append(
            f"Of counties that it and another dated definition both place and either treats, {text} are treated under both."
        )
    later = _known(mine[mine["descriptive"]], "share_not_treated")
    if len(later):
        names = [f"'{words.definition_label(str(name))}'" for name in later["beside"]]
        text = _between(later["share_not_treated"].astype(float), names, lambda v: words.percent(v, 0))
        parts.append(f"Of its counties that lists drawn up after the outcomes place, {text} are not on them.")
    return " ".join(parts)


def relabelled_sentences(frames: Frames, labels: Labels) -> str:
    """Return what becomes of each quoted estimate when labels are changed where records give a reason to."""
    f = frames["relabelled_on_purpose"]
    known = _known(f, "percent")
    lines = []
    for measure in _outcomes(known):
        rows = _where(known, measure=measure)
        told = [_relabelled(_where(rows, design=design), design) for design in _designs(rows)]
        parts = [part for part in told if part]
        lines.append(f"{words.capital(_reported(measure, labels))}: {'; '.join(parts)}." if parts else "")
    if not any(lines):
        return "No informative estimate was made anew under other labels here."
    failed = int(f["failure"].ne("").sum())
    more = [f"{words.capital(words.counted(failed, 'estimate'))} could not be made anew."] if failed else []
    return _lines([*lines, *more], "")


def _relabelled(rows: pd.DataFrame, design: str) -> str:
    """Return an informative estimate as listed, and its range under other labels."""
    listed = _first(_where(rows, relabelling="as_listed"))
    if listed is None or not listed["informative"]:
        return ""
    text = f"{_design(design)} {_estimate(listed['percent'], listed['percent_low'], listed['percent_high'])} as listed"
    others = rows[rows["relabelling"].ne("as_listed")]
    thin, others = others[~others["informative"]], others[others["informative"]]
    if len(others):
        names = [
            label_figures.RELABELLINGS.get(str(n), str(n).replace("_", " ")).lower()
            for n in others["relabelling"]
        ]
        out = _out(_known(others, "percent_low", "percent_high"))
        text += (
            f", {_between(others['percent'].astype(float), names, _change)} under {words.counted(len(others), 'other set')} of labels, "
            f"of whose intervals {words.none_or_count(out)} {'exclude' if out > 1 else 'excludes'} zero"
        )
    return f"{text} ({words.count(len(thin))} more not informative)" if len(thin) else text


def _plain(frames: Frames) -> pd.DataFrame:
    """Return break-even rows at equal risks and rates of reporting."""
    f = _known(frames["reporting_break_even"], "break_even")
    return f[f["risk_ratio"].eq(1.0) & f["rate_ratio"].eq(1.0)]


def reporting_sentences(frames: Frames, labels: Labels) -> str:
    """Return how far reporting alone would have to move, either way, to be the estimate."""
    every = _known(frames["reporting_break_even"], "break_even")
    plain = _plain(frames)
    lines = []
    for measure in _outcomes(plain):
        rows = _where(plain, measure=measure)
        for design in _designs(rows, (ACROSS, WITHIN)):
            here = _where(rows, design=design)
            parts = [
                part for g in dict.fromkeys(here["group"]) if (part := _group(_where(here, group=g), str(g)))
            ]
            wide = _numbers(_where(every, measure=measure, design=design, end="estimate"), "break_even")
            if parts:
                lines.append(
                    f"{words.capital(_reported(measure, labels))}, {_design(design)} ({_change(here['percent'].iloc[0])}): "
                    f"{words.listing(parts)}; over all stated risks and rates of reporting {_span(wide, lambda v: _change(v, 0))}."
                )
    if not lines:
        return "No estimate was read as reporting alone here."
    head = (
        "By how much the reports of a group (in brackets its share of all reports) would have to change, with both ends, for that "
        "alone to be the estimate: a plus is more willingness to report, a minus less."
    )
    tops = plain[
        plain["end"].eq("estimate") & plain["informative"] & plain["measure"].isin(of_reporting.YARDSTICKS)
    ]
    out = int((~tops["possible"]).sum())
    tail = (
        [
            f"Of {words.counted(len(tops), 'pair')} of a group and an informative estimate of "
            f"{words.listing([_reported(m, labels) for m in dict.fromkeys(tops['measure'])])}, which nearly all come to the "
            f"notice of the police, {words.count(out)} cannot be reporting alone."
        ]
        if len(tops)
        else []
    )
    return "\n".join([head, *lines, *tail])


def _group(rows: pd.DataFrame, group: str) -> str:
    by_end = {str(r["end"]): r for r in rows.to_dict("records")}
    if "estimate" not in by_end:
        return ""
    row = by_end["estimate"]
    ends = sorted(float(by_end[e]["break_even"]) for e in ("conf_low", "conf_high") if e in by_end)
    between = words.interval(ends[0], ends[1], 0) if len(ends) == 2 else ""
    cannot = "" if row["possible"] else "cannot be: beyond reporting everything or nothing"
    inside = "; ".join(part for part in (between, cannot) if part)
    return (
        f"{reporting_figures.GROUP_WORDS.get(group, group.replace('_', ' '))} ({words.whole_share(row['share_of_reports'])}) "
        f"{_change(row['break_even'], 0)}" + (f" ({inside})" if inside else "")
    )


def implied_sentences(frames: Frames, labels: Labels) -> str:
    """Return what would be left of an estimate if reporting moved as surveys state or find, in either direction."""
    f = _known(frames["reporting_implied"], "all", "reporting")
    f = f[f["nearest"] & f["reporting"].ne(0)]
    lines = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        for design in _designs(rows, (ACROSS, WITHIN)):
            here = _where(rows, design=design)
            found, turned = (
                _where(here, direction=way) for way in (of_reporting.AS_FOUND, of_reporting.REVERSED)
            )
            if found.empty and turned.empty:
                continue
            parts = []
            for said, part in (("as found", found), ("the other way round", turned)):
                if len(part):
                    names = [reporting_figures.STUDIES.get(str(n), str(n)) for n in part["input"]]
                    below = int(part["all"].astype(float).lt(0).sum())
                    parts.append(
                        f"{said} {_between(part['all'].astype(float), names, _change)}, below zero by {words.count(below)} of "
                        f"{words.counted(len(part), 'input')}"
                    )
            lines.append(
                f"{words.capital(_reported(measure, labels))}, {_design(design)}, of "
                f"{_change(here['percent'].iloc[0])}: {'; '.join(parts)}."
            )
    if not lines:
        return "No survey's change in reporting was run through an estimate here."
    head = (
        "What would be left of an estimate, as a change in the crime that everybody suffers, if the residents a survey is nearest to "
        "changed their reporting as it states or finds, and if they did the opposite:"
    )
    return "\n".join([head, *lines])


def yardsticks_sentences(frames: Frames, labels: Labels) -> str:
    """Return each outcome beside the two offences that are nearly always reported."""
    f = _known(frames["reporting_yardsticks"], "percent", "yardstick_percent")
    f = f[f["yardstick"].ne("")]
    lines = []
    for design in _designs(f, (ACROSS, WITHIN)) if len(f) else []:
        here = _where(f, design=design)
        own = here.drop_duplicates("yardstick")
        known = [
            f"{_reported(str(r['yardstick']), labels)} "
            f"{_estimate(r['yardstick_percent'], r['yardstick_low'], r['yardstick_high'])}"
            for r in own.to_dict("records")
        ]
        parts = [
            f"{_reported(measure, labels)} less {_reported(str(r['yardstick']), labels).removeprefix('reported ')} "
            f"{_points(r)}"
            for measure in _outcomes(here)
            for r in _where(here, measure=measure).to_dict("records")
        ]
        lines.append(
            f"{words.capital(_design(design))}: {words.listing(known)}; in points, {'; '.join(parts)}."
        )
    if not lines:
        return "No offence was set beside one that is nearly always reported here."
    joint = _known(f[f["informative"]], "difference_low", "difference_high")
    joint = joint[joint["measure"].isin(_outcomes(joint))]
    out = _out(joint, "difference_low", "difference_high")
    tail = (
        [
            f"Over informative designs {words.count(out)} of {words.counted(len(joint), 'such difference')} "
            f"{'excludes' if out == 1 else 'exclude'} zero."
        ]
        if len(joint)
        else []
    )
    head = "Were an estimate reporting alone, offences that nearly always come to the notice of the police would not move with it."
    return "\n".join([head, *lines, *tail])


def _points(row: Row) -> str:
    ends = words.interval(row["difference_low"], row["difference_high"], 1)
    inside = "without a joint error" if ends == words.MISSING else ends
    return f"{words.number(row['difference'], 1, sign=True)} ({inside})"


def coverage_sentences(frames: Frames, labels: Labels) -> str:
    """Return the widest bounds when unreported residents fared as stated, with and without the coverage rule."""
    f = _known(frames["coverage_bounds"], "percent_estimate", "percent_low", "percent_high")
    lines = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        for design in _designs(rows, (ACROSS, WITHOUT, WITHIN)):
            parts = []
            for sample, said in ((of_coverage.COVERED, "under"), (of_coverage.EVERYBODY, "without")):
                here = _where(rows, design=design, sample=sample)
                if here.empty:
                    continue
                low, high = here["percent_low"].min(), here["percent_high"].max()
                ends = words.interval(here["percent_conf_low"].min(), here["percent_conf_high"].max(), 1)
                inside = f" (intervals {ends})" if ends != words.MISSING else ""
                parts.append(
                    f"{said} the coverage rule {_change(here['percent_estimate'].iloc[0])}, and at the worst "
                    f"{_change(low)} to {_change(high)}{inside}"
                )
            if parts:
                lines.append(
                    f"{words.capital(_reported(measure, labels))}, {_design(design)}: {'; '.join(parts)}."
                )
    if not lines:
        return "No estimate was bounded by what unreported residents may have seen here."
    parts = []
    for sample, said in (
        (of_coverage.COVERED, "under the rule"),
        (of_coverage.EVERYBODY, "without it"),
    ):
        here = _where(f[f["assumption"].ne(of_coverage.AS_REPORTED)], sample=sample)
        if len(here):
            parts.append(
                f"in {words.count(int(here['bounds_exclude_zero'].sum()))} of {words.count(len(here))} cases {said}"
            )
    head = "With covariates left out, and residents whose agencies did not report taken to have fared in any of the stated ways, at worst:"
    tail = (
        [
            f"Over all linear designs, outcomes and fills, the bounds themselves exclude zero {words.listing(parts)}."
        ]
        if parts
        else []
    )
    return "\n".join([head, *lines, *tail])


def unreported_sentences(frames: Frames, labels: Labels) -> str:
    """Return how many residents' agencies did not report, by arm, before and after."""
    f = _known(frames["unreported"], "unreported")
    f = f[f["california"].eq("in")] if f["california"].eq("in").any() else f
    told = _outcomes(f)
    if not told:
        return "No sample was asked here who is not reported."
    measure = told[-1]
    rows = _where(f, measure=measure)
    parts = []
    for sample, said in ((of_coverage.COVERED, "under"), (of_coverage.EVERYBODY, "without")):
        here = _where(rows, sample=sample)
        arms = []
        for arm in dict.fromkeys(here["arm"]):
            both = [_first(_where(here, arm=arm, period=period)) for period in ("before", "after")]
            if all(both):
                before, after = (words.percent(one["unreported"], 1) for one in both if one)
                arms.append(f"{arm} areas {before} before and {after} after")
        if not arms:
            continue
        none = int(_numbers(here, "county_years_unknown").sum())
        total = int(_numbers(here, "county_years").sum())
        parts.append(
            f"{said} the coverage rule {words.listing(arms)} (nobody reports in {words.count(none)} of "
            f"{words.counted(total, 'county-year')})"
        )
    if not parts:
        return "No sample was asked here who is not reported."
    return f"Share of residents whose agencies did not report {_reported(measure, labels).removeprefix('reported ')}: {'; '.join(parts)}."


def california_sentences(frames: Frames, labels: Labels) -> str:
    """Return each outcome with California, without it, and the difference, on one scale."""
    f = _known(_where(frames["california"], window=of_california.FULL_WINDOW), "percent_in")
    lines = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        told = [
            part
            for design in _designs(rows, (ACROSS,))
            if (part := _with_and_without(_where(rows, design=design), design))
        ]
        apart = _known(_where(rows, sample=of_california.DIFFERENCE), "percent_in_low", "percent_in_high")
        moved = apart[apart["percent_in"].astype(float).ne(0)]
        if len(moved) > 1:
            names = [_design(design) for design in moved["design"]]
            out = _out(moved, "percent_in_low", "percent_in_high")
            told.append(
                f"over {words.counted(len(moved), 'design')} that hold California the difference runs, in points, from "
                f"{_between(moved['percent_in'].astype(float), names, lambda v: words.number(v, 1, sign=True))}, and "
                f"{words.count(out)} of {words.counted(len(moved), 'interval')} {'excludes' if out == 1 else 'exclude'} zero"
            )
        lines.append(f"{words.capital(_reported(measure, labels))}: {'; '.join(told)}." if told else "")
    if not any(lines):
        return "No estimate was made with and without California here."
    return _lines(
        [
            *lines,
            "Whatever the difference tells of California rests on California alone, and takes no verdict.",
        ],
        "",
    )


def _with_and_without(rows: pd.DataFrame, design: str) -> str:
    found = {
        s: _first(_where(rows, sample=s))
        for s in (of_california.IN, of_california.OUT, of_california.DIFFERENCE)
    }
    whole, rest, apart = found.values()
    if whole is None or rest is None:
        return ""

    def of(row: Row) -> str:
        return _estimate(row["percent_in"], row["percent_in_low"], row["percent_in_high"])

    gap = ""
    if apart:
        ends = words.interval(apart["percent_in_low"], apart["percent_in_high"], 1)
        inside = f" ({ends})" if ends != words.MISSING else ""
        gap = f", a difference of {words.number(apart['percent_in'], 1, sign=True)} points{inside}"
    n = whole["california_treated"]
    held = (
        f"; California's {words.counted(n, 'treated county', 'treated counties')} {'holds' if n == 1 else 'hold'} "
        f"{words.whole_share(whole['california_share'])} of the treated weight"
        if n > 0
        else ""
    )
    return f"{_design(design)} {of(whole)} with California and {of(rest)} without it, in per cent of the mean with it{gap}{held}"


# --------------------------------------------------------------------------------------------------------
# In short
# --------------------------------------------------------------------------------------------------------


def summary_sentences(frames: Frames, labels: Labels) -> str:
    """Return what a reader may quote without the rest: what designs agree on, exclude, could find, and what would turn it."""
    lines = [
        _agree(frames, labels),
        _ends(frames, labels),
        _over_grid(frames, labels),
        _turned(frames, labels),
        _small_bias(frames, labels),
        _findable(frames, labels),
        _in_detainers(frames, labels),
    ]
    return _lines(lines, "Nothing was estimated here, and nothing can be said of how sure it is.")


def _agree(frames: Frames, labels: Labels) -> str:
    f = frames["nulls"]
    parts = []
    for measure in _outcomes(f):
        rows = _known(_judged(_where(f, measure=measure)), "percent")
        if rows.empty:
            continue
        above, out = int(rows["percent"].astype(float).gt(0).sum()), _out(rows)
        parts.append(
            f"{words.count(above)} of {words.counted(len(rows), 'estimate')} of {_reported(measure, labels)} "
            f"{'lies' if above == 1 else 'lie'} above zero ({_span(rows['percent'].astype(float), _change)} of the mean), and "
            f"{words.count(out)} {'has an interval that excludes' if out == 1 else 'have intervals that exclude'} zero"
        )
    return f"Among informative designs, {'; '.join(parts)}." if parts else ""


def _ends(frames: Frames, labels: Labels) -> str:
    """Return what is excluded whichever of the quoted designs is right, panels and the match apart."""
    f = frames["nulls"]
    parts = []
    for measure in _outcomes(f):
        rows = _judged(_where(f, measure=measure))
        rows = rows[rows["design"].isin(QUOTED)]
        told = []
        for part in (rows[rows["comparison"].ne("matched")], rows[rows["comparison"].eq("matched")]):
            if part.empty:
                continue
            low, high = part["percent_low"].astype(float).min(), part["percent_high"].astype(float).max()
            fall = (
                "no fall, and rises" if low <= -of_nulls.MORE_THAN_ALL else f"changes below {_change(low)} or"
            )
            names = [_design(design) for design in part["design"]]
            told.append(f"{fall} above {_change(high)} ({_or(names)})")
        if told:
            parts.append(f"in {_reported(measure, labels)}, {', and '.join(told)}")
    if not parts:
        return ""
    level = words.percent(_level(f), 0)
    return f"At {level} the data exclude, whichever of the designs in brackets holds, if it does: {'; '.join(parts)}."


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _over_grid(frames: Frames, labels: Labels) -> str:
    f, joint = _where(frames["shares"], family=ALL), _known(frames["joint_test"], "p_value")
    parts = []
    total = 0.0
    for measure in _outcomes(f):
        here = _where(f, measure=measure)
        above, more, fewer = (
            _numbers(_where(here, kind=kind, reading=reading), "share")
            for kind, reading in (("sign", POSITIVE), ("verdict", MORE), ("verdict", FEWER))
        )
        if not (len(above) and len(more) and len(fewer)):
            continue
        total += here["n_specs"].iloc[0]
        whole, within = (
            _rejected(_where(joint, measure=measure, compared=compared)) for compared in (ALL, "within")
        )
        tests = ""
        if whole:
            apart = f" (within states {words.count(within[0])} of {words.count(within[1])})" if within else ""
            tests = (
                f", and {words.count(whole[0])} of {words.counted(whole[1], 'joint test')} of a linear part "
                f"{'rejects' if whole[0] == 1 else 'reject'} that there is no effect{apart}"
            )
        parts.append(
            f"{words.whole_share(above.iloc[0])} of estimates of {_reported(measure, labels)} lie above zero, {words.whole_share(more.iloc[0])} of "
            f"intervals wholly above and {words.whole_share(fewer.iloc[0])} wholly below it{tests}"
        )
    if not parts:
        return ""
    return (
        f"Over {words.counted(total, 'specification')} of the grid, families weighing alike, {'; '.join(parts)}: shares describe the "
        "grid and are no probabilities."
    )


def _turned(frames: Frames, labels: Labels) -> str:
    """Return what leaving California out, and comparing within states, make of the estimate across states."""
    f = frames["nulls"]
    choices = _known(_where(frames["importance"], of="rank", family=ALL), "shapley", "total")
    parts = []
    for measure in _outcomes(f):
        rows = _where(f, measure=measure)
        told = [
            f"{_estimate(r['percent'], r['percent_low'], r['percent_high'], _thin(r))} {_design(design)}"
            for design in (ACROSS, WITHOUT, WITHIN)
            if (r := _first(_known(_where(rows, design=design), "percent")))
        ]
        mine = _where(choices, measure=measure)
        most = ""
        if len(mine):
            choice = str(mine.loc[mine["total"].astype(float).idxmax(), "choice"])
            most = f" (over the grid, most by: {curve_figures.choice_words(choice).lower()})"
        if told:
            parts.append(f"{_reported(measure, labels)} {words.listing(told)}{most}")
    return f"By what areas are compared with: {'; '.join(parts)}." if parts else ""


def _small_bias(frames: Frames, labels: Labels) -> str:
    """Return how small a bias of each kind would bring the estimates across states to zero."""
    parts = []
    for measure in _outcomes(frames["nulls"]):
        told = []
        mine = _where(frames["bias_needed"], measure=measure, design=ACROSS)
        share = _value(mine, of_omitted.ROBUSTNESS, "estimate")
        if np.isfinite(share):
            told.append(
                f"an omitted variable that explains {words.percent(share, 0)} of what is left of both policy and outcome"
            )
        wrong = _first(_where(frames["breakdown_shares"], measure=measure, design=ACROSS, which="listed"))
        if wrong and not words.is_missing(wrong["counties"]):
            told.append(
                f"{words.count(wrong['counties'])} of {words.counted(wrong['open_counties'], 'county', 'counties')} listed in error "
                "(those that matter most)"
            )
        rows = _where(_plain(frames), measure=measure, design=ACROSS, end="estimate")
        rows = rows[rows["possible"]]
        least = _first(rows.loc[[rows["break_even"].astype(float).abs().idxmin()]]) if len(rows) else None
        if least:
            group = reporting_figures.GROUP_WORDS.get(str(least["group"]), str(least["group"]))
            told.append(f"a change of {_change(least['break_even'], 0)} in how much {group} report")
        if told:
            parts.append(f"for {_reported(measure, labels)}, {_or(told)}")
    if not parts:
        return ""
    return (
        "Any one of these could by itself bring the estimate across states, or the simpler one that stands in for it, to zero: "
        f"{'; '.join(parts)}."
    )


def _findable(frames: Frames, labels: Labels) -> str:
    f = frames["nulls"]
    parts, sizes = [], []
    for measure in _outcomes(f):
        rows = _known(_judged(_where(f, measure=measure)), "detectable_percent")
        sizes += list(_numbers(rows, "size_simulated"))
        if len(rows):
            names = [_design(design) for design in rows["design"]]
            parts.append(
                f"{_reported(measure, labels)} "
                f"{_between(rows['detectable_percent'].astype(float) / 100, names, words.whole_share)}"
            )
    if not parts:
        return ""
    nominal = words.percent(1 - _level(f), 0)
    level = (
        f", and in refits without an effect the tests reject in {_span(pd.Series(sizes), words.whole_share)} of cases where {nominal} would "
        "be right"
        if sizes
        else ""
    )
    return (
        f"The smallest change the informative designs find with a chance of {words.percent(of_nulls.POWER, 0)}: "
        f"{'; '.join(parts)}; smaller ones, in either direction, can go unseen{level}."
    )


def _in_detainers(frames: Frames, labels: Labels) -> str:
    f = _known(_where(frames["nulls"], design=ACROSS), "declined_per_10k", "offences_per_declined")
    parts = [
        f"{_ratio(r['offences_per_declined'], r['offences_per_declined_low'], r['offences_per_declined_high'], _thin(r))} for "
        f"{_reported(str(r['measure']), labels)}"
        for measure in _outcomes(f)
        if (r := _first(_where(f, measure=measure)))
    ]
    if not parts:
        return ""
    declined = _span(
        f.loc[f["measure"].isin(_outcomes(f)), "declined_per_10k"].astype(float), lambda v: words.number(v, 1)
    )
    return (
        f"Areas that adopted declined about {declined} detainers per 10,000 residents in 2014: read through them alone, the "
        f"estimates across states would mean so many reported offences more, or fewer, a year for each: {'; '.join(parts)}."
    )

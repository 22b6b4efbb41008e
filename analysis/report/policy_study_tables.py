"""Tables of two studies of dated policies: limits where many Hispanic residents live, and activation of its mirror.

Both read the results of the studies' own specifications: rows are designs, columns offences, cells per cent of the mean
before adoption with both ends of the interval and the mark of the verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.matches import variant_of
from analysis.evidence.results import COLUMNS, DECLINES, ONE_EFFECT
from analysis.report import design_tables, words
from analysis.report.frames import Frame, require
from analysis.report.match_tables import cell
from analysis.report.tables import Table, build

HAUSMAN, MILES_COX = "hausman2020", "milescox2014"

STUDY_RESULTS = Frame(
    "study_results",
    {"study": "name of the published study", "family": "family of the specification"}
    | {
        name: COLUMNS[name]
        for name in (
            "spec", "status", "failure", "estimand", "measure", "unit", "scale", "definition", "estimator", "within", "window", "california",
            "weights", "estimate", "conf_low", "conf_high", "n_treated", "n_comparison", "n_states",
            "percent_of_baseline", "percent_low", "percent_high", "precision", "placebo_shift", "pretrend_p",
        )
    },
)  # fmt: skip
FRAME = (
    "study", "group", "design", "variant", "weights", "spec", "status", "measure", "unit", "scale", "definition", "estimator", "within",
    "window", "california", "placebo_shift", "estimate", "conf_low", "conf_high", "percent", "percent_low", "percent_high",
    "precision", "verdict", "n_treated", "n_comparison", "n_states", "pretrend_p", "failure",
)  # fmt: skip

FIRST, ONE, STAGGERED = "First stage", "One effect for all", "Effects may differ by cohort"
COMPARED, POLICIES, SAMPLES = "Compared elsewhere", "Whose policy counts", "Which counties and years"
PLACEBO, OWN = "Placebo", "Variations of your own"
# Variation of a spec -> its group and the design in words; "" is the spec's own values.
COMMON: Mapping[str, tuple[str, str]] = {
    "": (ONE, "two-way"),
    "logs": (ONE, "two-way, log rate"),
    "poisson": (ONE, "Poisson, per resident"),
    "federal-controls": (ONE, "two-way, federal policies held constant"),
    "group-time": (STAGGERED, "group-time effects"),
    "imputation": (STAGGERED, "imputation"),
    "stacked": (STAGGERED, "stacked by cohort"),
    "extended": (STAGGERED, "extended two-way"),
    "two-way-state": (COMPARED, "two-way, within states"),
    "group-time-state": (COMPARED, "group-time effects, within states"),
    "without-california": (COMPARED, "two-way, without California"),
    "group-time-without-california": (COMPARED, "group-time effects, without California"),
    "adoption-year": (SAMPLES, "two-way, year of adoption counted"),
    "group-time-adoption-year": (SAMPLES, "group-time effects, year of adoption counted"),
}
VARIANTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    HAUSMAN: {
        "first-stage": (FIRST, "two-way, 2008-2014"),
        "first-stage-group-time": (FIRST, "group-time effects, 2008-2014"),
        "first-stage-without-california": (FIRST, "two-way, without California"),
        "first-stage-any-limit": (FIRST, "two-way, any limit"),
        "first-stage-verified": (FIRST, "two-way, any limit, verified"),
        "first-stage-state-law": (FIRST, "two-way, state law"),
        **COMMON,
        "group-time-logs": (STAGGERED, "group-time effects, log rate"),
        "any-limit": (POLICIES, "two-way, any limit"),
        "group-time-any-limit": (POLICIES, "group-time effects, any limit"),
        "verified": (POLICIES, "two-way, any limit, verified"),
        "recorded-declines": (POLICIES, "two-way, 25 % of detainers declined"),
        "group-time-recorded-declines": (POLICIES, "group-time effects, 25 % of detainers declined"),
        "state-law": (POLICIES, "two-way, state law"),
        "group-time-state-law": (POLICIES, "group-time effects, state law"),
        "largest-100": (SAMPLES, "two-way, 100 counties"),
        "largest-300": (SAMPLES, "two-way, 300 counties"),
        "all-counties": (SAMPLES, "two-way, every county"),
        "every-year": (SAMPLES, "two-way, counties present every year"),
    },
    MILES_COX: {
        **COMMON,
        "federal-controls": (ONE, "two-way, 287(g) agreements held constant"),
        "to-2012": (SAMPLES, "two-way, to 2012"),
        "group-time-to-2012": (SAMPLES, "group-time effects, to 2012"),
        "group-time-class": (COMPARED, "group-time effects, within urban classes"),
        "without-late-states": (COMPARED, "two-way, without New Jersey and New York"),
        "group-time-without-late-states": (COMPARED, "group-time effects, without New Jersey and New York"),
        "placebo": (PLACEBO, "two-way, activation two years back"),
        "group-time-placebo": (PLACEBO, "group-time effects, activation two years back"),
    },
}
GROUPS = (FIRST, ONE, STAGGERED, COMPARED, POLICIES, SAMPLES, PLACEBO, OWN)
MEASURES: Mapping[str, tuple[str, ...]] = {
    HAUSMAN: ("total", "violent", "violent_ex_rape", "property", "murder"),
    MILES_COX: ("total", "violent", "murder", "rape_legacy", "robbery", "aggravated_assault"),
}
HEADS: Mapping[str, str] = {
    **design_tables.HEADS,
    "total": "All index offences",
    "murder": "Murder",
    "robbery": "Robbery",
    "aggravated_assault": "Aggravated assault",
}
# Rows the paper prints; every row stands in the other files.
PRINTED: Mapping[str, tuple[str, ...]] = {
    HAUSMAN: (
        "first-stage", "first-stage-without-california", "", "poisson", "group-time", "imputation", "stacked", "extended", "two-way-state",
        "without-california", "any-limit", "recorded-declines", "state-law", "largest-100", "all-counties",
    ),
    MILES_COX: (
        "", "poisson", "group-time", "imputation", "stacked", "extended", "two-way-state", "group-time-class", "without-california",
        "without-late-states", "to-2012", "group-time-to-2012", "placebo", "group-time-placebo",
    ),
}  # fmt: skip
ALIKE = ", counties alike"


def study_frame(study_results: pd.DataFrame, study: str) -> pd.DataFrame:
    """Return the one effect of every specification of a study, raw numbers, in the order in which they are read.

    Args:
        study_results: frame under the contract ``STUDY_RESULTS``.
        study: ``hausman2020`` or ``milescox2014``.

    Returns:
        Columns ``FRAME``: a row a specification; group and design in words, percent of the mean before adoption with both
        ends, verdict, counts, the failure of those that could not be estimated. By group, then in the order of ``VARIANTS``,
        weighted by residents before counties alike, offences in the order of ``MEASURES``; own variations come last.
    """
    f = require(study_results, STUDY_RESULTS)
    one = f["estimand"].isin(ONE_EFFECT) | f["failure"].ne("")
    f = design_tables.with_verdict(f[f["study"].eq(study) & one]).reset_index(drop=True)
    known = VARIANTS[study]
    variants = [variant_of(str(name)) for name in f["spec"]]
    placed = [known.get(v, (OWN, v.replace("-", " "))) for v in variants]
    f = f.assign(variant=variants, group=[group for group, _ in placed], design=[said for _, said in placed])
    places = list(dict.fromkeys([*known, *variants]))
    order = pd.DataFrame(
        {
            "group": [GROUPS.index(group) for group in f["group"]],
            "variant": [places.index(v) for v in variants],
            "weights": f["weights"].eq(design_tables.EQUAL_WEIGHTS).astype(int),
            "measure": [_rank(str(m), MEASURES[study]) for m in f["measure"]],
        }
    )
    at = order.sort_values(list(order.columns), kind="stable").index
    return f.loc[at, list(FRAME)].reset_index(drop=True)


def hausman_table(study_results: pd.DataFrame) -> Table:
    """Return limits in the counties with the most Hispanic residents: the first stage, then reported crime by design.

    Args:
        study_results: frame under the contract ``STUDY_RESULTS``.
    """
    return _table(
        study_results,
        HAUSMAN,
        "Limits on detainers in the 200 counties with the most Hispanic residents, 2010-2015",
        [
            "First stage: declined detainers per 10,000 residents in the same counties, the year of adoption counted; removals are "
            "not among the raw files. Published: no detectable change in crime rates, without size or error. Most adopters have "
            "one year after adoption here. The number of counties followed and the list of dates were not seen: 200, and "
            "documented full limits, are ours.",
        ],
    )


def milescox_table(study_results: pd.DataFrame) -> Table:
    """Return activation of Secure Communities and six kinds of reported crime, by design.

    Args:
        study_results: frame under the contract ``STUDY_RESULTS``.
    """
    return _table(
        study_results,
        MILES_COX,
        "Activation of Secure Communities and reported crime, 2006-2011",
        [
            "Activation raised cooperation: an effect of limits would have the opposite sign. Published: no meaningful reduction, "
            "without size or error, from monthly data; years here, so that the year of activation is dropped. By 2011 some "
            "four in ten of the residents left to compare with live in New Jersey and New York, which were activated last; in "
            "2012 a few counties of one state are all that is left. Placebo: activation moved two years back and the "
            "years from the true one on left out; a difference there is none of the policy. Rape: legacy definition.",
        ],
    )


def _table(study_results: pd.DataFrame, study: str, title: str, notes: Sequence[str]) -> Table:
    f = study_frame(study_results, study)
    keys = list(dict.fromkeys(zip(f["group"], f["variant"], f["weights"], strict=True)))
    by = ["group", "variant", "weights"]
    parts = [f[(f[by] == list(key)).all(axis=1)] for key in keys]
    first = [DECLINES] if f["measure"].eq(DECLINES).any() else []
    measures = [*first, *(m for m in MEASURES[study] if f["measure"].eq(m).any())]
    # A model of counts is weighted by them, and has no twin with counties alike.
    often = Counter(variant for _, variant, _ in keys)
    twins = {variant for variant, times in often.items() if times > 1}
    said = [
        str(part["design"].iloc[0]) + (ALIKE if weights == design_tables.EQUAL_WEIGHTS and v in twins else "")
        for part, (_, v, weights) in zip(parts, keys, strict=True)
    ]
    printed = [
        at
        for at, (_, variant, weights) in enumerate(keys)
        if variant in PRINTED[study] and (weights != design_tables.EQUAL_WEIGHTS or variant not in twins)
    ]
    columns: list[tuple[str, str, float, Iterable[str]]] = [
        ("", "l", 1.0, _shown_once([group for group, _, _ in keys])),
        ("Design", "l", 1.5, said),
        *((HEADS.get(m, m), "r", 1.1, [_shown(part, m) for part in parts]) for m in measures),
        ("Treated / compared / states", "r", 1.0, [_counts(part) for part in parts]),
    ]
    return build(
        title,
        f,
        columns,
        [
            design_tables.MARKS_NOTE,
            f"{words.DAGGER_NOTE} Averaged by residents where it says nothing else; errors clustered by state. Treated, compared, "
            "states: of the offence with the most.",
            *notes,
            *_refusals(f),
        ],
        selection=printed or None,
    )


def _shown(part: pd.DataFrame, measure: str) -> str:
    """Return the cell of an outcome; blank where the design is not run on it."""
    rows = part[part["measure"] == measure]
    if rows.empty:
        return ""
    row = rows.iloc[0].to_dict()
    shown = design_tables.own_cell(row) if measure == DECLINES else cell(row)
    return f"{shown} †" if has_leads(row) and words.leads_reject(row) else shown


def has_leads(row: Mapping[Any, Any]) -> bool:
    """Return whether a row's test of the years before adoption says something of its comparison.

    A placebo compares the years before adoption themselves, and its first stage those of records that hardly vary there.

    Example:
        >>> row = {"placebo_shift": None, "measure": "total", "pretrend_p": 0.2}
        >>> has_leads(row), has_leads(row | {"placebo_shift": 2}), has_leads(row | {"measure": "declined_detainers"})
        (True, False, False)
    """
    asked = words.is_missing(row["placebo_shift"]) and row["measure"] != DECLINES
    return bool(asked and not words.is_missing(row["pretrend_p"]))


def _counts(part: pd.DataFrame) -> str:
    """Return treated, compared and states of the outcome that rests on the most treated areas."""
    known = part[part["n_treated"].notna()]
    if known.empty:
        return words.MISSING
    row = known.loc[known["n_treated"].astype(float).idxmax()]
    return " / ".join(words.count(row[name]) for name in ("n_treated", "n_comparison", "n_states"))


def _refusals(rows: pd.DataFrame) -> list[str]:
    gone = rows[rows["failure"].ne("")].drop_duplicates(["design", "failure"])
    said = [f"{r['design']}: {str(r['failure']).split('; expected')[0]}" for r in gone.to_dict("records")]
    return [f"Not estimated for every offence: {'; '.join(said)}."] if said else []


def _shown_once(values: Sequence[str]) -> list[str]:
    return [v if i == 0 or v != values[i - 1] else "" for i, v in enumerate(values)]


def _rank(name: str, known: Sequence[str]) -> int:
    return known.index(name) if name in known else len(known)


def first_row(rows: pd.DataFrame, **where: Any) -> dict[Any, Any] | None:
    """Return the first row in which every column holds the value asked for, and None where there is none.

    Example:
        >>> first_row(pd.DataFrame({"variant": ["", "logs"], "percent": [1.0, 2.0]}), variant="logs")["variant"]
        'logs'
    """
    held = np.ones(len(rows), dtype=bool)
    for name, value in where.items():
        held &= rows[name].eq(value).to_numpy(dtype=bool)
    return None if not held.any() else dict(rows[held].iloc[0])

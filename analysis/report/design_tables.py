"""Tables of the panel designs: all side by side, from simple to demanding, by error, by offence, their placebos.

Every table reads the table of results. Estimates are per cent of the treated areas' mean before adoption unless a column
says otherwise, so that outcomes and scales share one reading; the verdict stands beside each as a mark, made from the
column ``verdict`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimation.panel_inference.families import holm
from analysis.evidence.design_checks import TRENDS as TREND_COLUMNS
from analysis.evidence.design_checks import WEIGHTS as WEIGHT_COLUMNS
from analysis.evidence.designs import CAPABILITY as CAPABILITY_COLUMNS
from analysis.evidence.designs import DESCRIPTIVE, IDENTIFIED, REFUSED
from analysis.evidence.matches import NOT_ESTIMATED, variant_of
from analysis.evidence.results import COLUMNS, ONE_EFFECT
from analysis.evidence.verdict import NO_VERDICT
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.match_tables import MARKS, cell
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]
Column = tuple[str, str, float, Iterable[str]]

# Specs by name.
DESIGNS, ERRORS, OFFENCES, MIRROR = "designs", "errors", "offences", "secure_communities"
FIRST_STAGES, PLACEBO, RINGS = "first_stage_designs", "placebo", "rings"
SINGLE, RAPE, REGIMES = "single_units", "rape_break", "regimes"
SPECS = (DESIGNS, ERRORS, OFFENCES, MIRROR, FIRST_STAGES, PLACEBO, RINGS, SINGLE, RAPE, REGIMES)

# What the outputs read of the table of results, and of what `analysis.evidence.designs.capability` returns.
RESULTS = Frame(
    "designs",
    {
        name: COLUMNS[name]
        for name in (
            "spec", "failure", "estimator", "method", "estimand", "measure", "outcome", "unit", "definition", "comparison",
            "within", "effects", "window", "min_population", "min_coverage", "only", "exposed", "without_neighbours", "placebo_shift", "california",
            "covariates", "controls", "weights", "term", "event_time", "estimate", "std_error", "p_value", "conf_low",
            "conf_high", "band_low", "band_high", "vcov", "by", "clusters", "df", "effective_clusters", "inference",
            "n_treated", "n_comparison", "n_states", "states_identifying", "baseline", "percent_of_baseline",
            "percent_low", "percent_high", "informative", "carries_verdict", "precision", "pretrend_p",
        )
    },
)  # fmt: skip
CAPABILITY = Frame(
    "capability",
    dict.fromkeys(CAPABILITY_COLUMNS, "see `analysis.evidence.designs.capability`"),
)
FAMILIES = Frame(
    "families",
    {
        "spec": "name of the specification",
        "p_romano_wolf": "p-value adjusted for the other members of its family, drawn together",
    },
)

ALL, ALIKE, CLASSES, STATES = (
    "All counties",
    "Counties held alike before",
    "Within urban-rural classes",
    "Within states",
)
BORDERS, ALONE, MIXED = "Along borders", "No comparison group", "Mixtures of other areas"
GROUPS = (ALONE, ALL, ALIKE, CLASSES, STATES, BORDERS, MIXED)
"""What treated counties are compared with, from the least demanding to the most."""
GROUP_OF: Mapping[str, str] = {
    "between": ALL,
    "classes": CLASSES,
    "within": STATES,
    "border": BORDERS,
    "adopters": ALONE,
    "synthetic": MIXED,
    "matched": ALIKE,
}
# Variation of a spec -> the design in words; "" is the spec's own values.
LABELS: Mapping[str, str] = {
    "": "group-time effects",
    "group-time": "group-time effects",
    "two-way": "two-way fixed effects",
    "two-way-dynamic": "two-way, by event time",
    "two-way-balanced": "two-way, any limit, adoption year treated",
    "group-time-never": "group-time, never treated alone",
    "anticipation": "group-time, a year of anticipation",
    "interaction-weighted": "interaction-weighted",
    "imputation": "imputation",
    "two-stage": "two-stage",
    "stacked": "stacked by cohort",
    "stacked-window": "stacked, three years either side",
    "extended": "extended two-way",
    "local-projections": "local projections",
    "local-projections-equal": "local projections, equal weights",
    "two-by-two": "four means",
    "poisson": "Poisson, per resident",
    "poisson-policed": "Poisson, per resident policed",
    "poisson-state": "Poisson, per resident",
    "extended-poisson": "extended two-way, Poisson",
    "adjusted": "augmented weighting",
    "adjusted-regression": "regression on covariates",
    "adjusted-weighting": "inverse weighting",
    "adjusted-doubly-robust": "augmented weighting",
    "matched-did": "matched on covariates",
    "imputation-trends": "imputation, county trends",
    "group-time-class": "group-time effects",
    "within-classes": "group-time effects",
    "two-way-class": "two-way fixed effects",
    "imputation-class": "imputation",
    "group-time-state": "group-time effects",
    "within-states": "group-time effects",
    "two-way-state": "two-way fixed effects",
    "imputation-state": "imputation",
    "stacked-state": "stacked by cohort",
    "extended-state": "extended two-way",
    "interaction-weighted-state": "interaction-weighted",
    "local-projections-state": "local projections",
    "border-segment": "segments of the border",
    "border-pair": "pairs of neighbours",
    "border-same-state": "segments, same state",
    "border-other-state": "segments, another state",
    "before-after": "a year after less a year before",
    "before-after-two-years": "two years after less two before",
    "wild-bootstrap": "two-way, wild bootstrap",
    "to-2012": "group-time effects, to 2012",
    "donut": "adopters against counties that touch none",
    "donut-within-states": "the same, within states",
}
# Run to show what a year with hardly a comparison county does: in its table, and in no range of estimates.
THIN = ("to-2012",)
MAIN_WEIGHTS, EQUAL_WEIGHTS = "population_baseline", "none"
WEIGHTS: Mapping[str, str] = {MAIN_WEIGHTS: "by residents", EQUAL_WEIGHTS: "counties alike"}
CALIFORNIA: Mapping[str, str] = {"in": "with California", "out": "without"}
HEADS: Mapping[str, str] = {
    "violent_ex_rape": "Violent excl. rape",
    "violent": "Violent",
    "property": "Property",
    "declined_detainers": "Declined detainers per 10,000",
    "decline_share": "Share of detainers declined",
    "rape": "Rape",
    "rape_legacy": "Rape (legacy)",
    "rape_revised": "Rape (revised)",
    "unemployment_rate": "Unemployment rate",
    "poverty_rate": "Poverty rate",
    "median_household_income": "Median household income",
}
MARKS_NOTE = (
    "Estimates with 95 % intervals, in per cent of the mean before adoption. * different from zero; = equivalent to zero "
    "(within ±5 % of the mean); without a mark inconclusive; § not informative (fewer than 20 treated areas, or fewer than "
    "six states) and ‡ no verdict: neither is read as a finding; – not estimated."
)
OWN_UNITS_NOTE = MARKS_NOTE.replace(", in per cent of the mean before adoption", "")
FROM_TO_NOTE = (
    "Treated, compared, states: with California, the widest outcome. Worth: state clusters of equal weight that would "
    "carry as much."
)


# --------------------------------------------------------------------------------------------------------
# Rows of the table of results
# --------------------------------------------------------------------------------------------------------


def with_verdict(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of results with ``verdict`` and ``percent``.

    The verdict is the precision; ``no verdict`` where the error carries none; ``not estimated`` where nothing came out.
    """
    missing = rows["failure"].ne("") | rows["estimate"].isna()
    silent = np.where(missing, NOT_ESTIMATED, NO_VERDICT)
    verdict = np.where(rows["precision"].ne("") & ~missing, rows["precision"], silent)
    return rows.assign(verdict=verdict, percent=rows["percent_of_baseline"])


def design_rows(results: pd.DataFrame, family: str) -> pd.DataFrame:
    """Return the one effect of every specification of a spec, with what tells it apart.

    Args:
        results: frame under the contract ``designs``.
        family: name of the spec.

    Returns:
        The rows of results with variant (its named variation, "" for the spec's own values), group (of ``GROUPS``),
        label (the design in words), percent and verdict; by group, then in the order of the spec. Specifications that
        failed keep a row.
    """
    f = require(results, RESULTS)
    one = f["estimand"].isin(ONE_EFFECT) | f["failure"].ne("")
    f = with_verdict(f[one & (f["spec"].astype(str).str.split("/").str[0] == family)])
    f = f.assign(variant=[variant_of(str(name)) for name in f["spec"]])
    f["group"] = [group_of(row) for row in f.to_dict("records")]
    f["label"] = [label_of_variant(str(v)) for v in f["variant"]]
    rank = f["group"].map({name: i for i, name in enumerate(GROUPS)})
    return f.iloc[np.argsort(rank.to_numpy(), kind="stable")].reset_index(drop=True)


def group_of(row: Mapping[Any, Any]) -> str:
    """Return what treated counties are compared with, in words.

    Example:
        >>> group_of({"comparison": "between", "covariates": "", "method": "trends county"})
        'Counties held alike before'
    """
    held = bool(row["covariates"]) or "trends county" in str(row["method"])
    return ALIKE if str(row["comparison"]) == "between" and held else GROUP_OF[str(row["comparison"])]


def label_of_variant(variant: str) -> str:
    """Return a design in words; one's own variation keeps its name.

    Example:
        >>> label_of_variant("two-stage"), label_of_variant("my-own-design")
        ('two-stage', 'my own design')
    """
    return LABELS.get(variant, variant.replace("-", " "))


def main_weights(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows weighted by residents, and of designs that are not run so those with every county alike.

    A count model has the weight of its counts already.
    """
    weighted = rows.groupby("variant")["weights"].transform(lambda w: (w == MAIN_WEIGHTS).any())
    return rows[(rows["weights"] == MAIN_WEIGHTS) | ~weighted.to_numpy(dtype=bool)].reset_index(drop=True)


def _first(rows: pd.DataFrame, **where: Any) -> dict[Any, Any] | None:
    for name, value in where.items():
        rows = rows[rows[name] == value]
    return None if rows.empty else dict(rows.iloc[0])


def _shown_once(values: Sequence[str]) -> list[str]:
    return [v if i == 0 or v != values[i - 1] else "" for i, v in enumerate(values)]


def own_cell(row: Mapping[Any, Any] | None) -> str:
    """Return ``estimate (low to high)`` in the outcome's own unit, with the mark of its verdict.

    Example:
        >>> own_cell({"estimate": 0.75, "conf_low": 0.31, "conf_high": 1.19, "verdict": "different from zero"})
        '0.75 (0.31 to 1.19) *'
    """
    if row is None or words.is_missing(row["estimate"]):
        return words.MISSING
    return (
        words.estimate_text(row["estimate"], row["conf_low"], row["conf_high"]) + MARKS[str(row["verdict"])]
    )


def _counts(parts: Sequence[pd.DataFrame]) -> list[Column]:
    """Return treated, compared, states and effective clusters of each part, with California where it is in."""
    held = [p[p["california"] == "in"] if (p["california"] == "in").any() else p for p in parts]

    def most(column: str, digits: int = 0) -> list[str]:
        return [words.number(p[column].max(), digits) for p in held]

    return [
        ("Treated", "r", 0.6, most("n_treated")),
        ("Compared", "r", 0.7, most("n_comparison")),
        ("States", "r", 0.5, most("n_states")),
        ("Worth", "r", 0.5, most("effective_clusters", 1)),
    ]


def _refusals(rows: pd.DataFrame) -> list[str]:
    """Return why designs were refused, each once."""
    gone = rows[rows["failure"].ne("")].drop_duplicates(["group", "label"])
    said = [
        f"{r['label']} ({str(r['group']).lower()}): {str(r['failure']).split('; expected')[0]}"
        for r in gone.to_dict("records")
    ]
    return [f"Not estimated for every outcome: {'; '.join(said)}."] if said else []


def _by_outcome(parts: Sequence[pd.DataFrame], *, own: bool, width: float) -> list[Column]:
    """Return a column an outcome, with and without California."""
    measures = list(dict.fromkeys(m for part in parts for m in part["measure"]))
    show = own_cell if own else cell
    return [
        (
            f"{HEADS.get(m, m)}, {CALIFORNIA[c]}",
            "r",
            width,
            [show(_first(part, measure=m, california=c)) for part in parts],
        )
        for m in measures
        for c in CALIFORNIA
        if any(((p["measure"] == m) & (p["california"] == c)).any() for p in parts)
    ]


def _side_by_side(title: str, rows: pd.DataFrame, notes: Sequence[str], *, own: bool = False) -> Table:
    """Return designs as rows, outcomes with and without California as columns; the paper shows the main weights."""
    keys = list(dict.fromkeys(zip(rows["weights"], rows["group"], rows["variant"], strict=True)))
    keys.sort(key=lambda key: list(WEIGHTS).index(key[0]) if key[0] in WEIGHTS else len(WEIGHTS))
    by = ["weights", "group", "variant"]
    parts = [rows[(rows[by] == list(key)).all(axis=1)] for key in keys]
    main = set(main_weights(rows)["spec"])
    shown = [i for i, part in enumerate(parts) if part["spec"].isin(main).any()]
    return build(
        title,
        rows,
        [
            ("Compared with", "l", 1.3, _shown_once([group for _, group, _ in keys])),
            ("Design", "l", 1.7, [str(part["label"].iloc[0]) for part in parts]),
            ("Averaged", "l", 0.9, [WEIGHTS.get(w, w) for w, _, _ in keys]),
            *_by_outcome(parts, own=own, width=1.5),
            *_counts(parts),
        ],
        [*notes, *_refusals(rows)],
        selection=shown,
    )


# --------------------------------------------------------------------------------------------------------
# All designs, and the way from a simple one to demanding ones
# --------------------------------------------------------------------------------------------------------


def designs_table(results: pd.DataFrame) -> Table:
    """Return one definition and window under every design, with who identifies each."""
    rows = design_rows(results, DESIGNS)
    return _side_by_side(
        "All designs side by side: full limits on detainers and reported crime, 2010-2017",
        rows,
        [
            MARKS_NOTE,
            f"{FROM_TO_NOTE} Poisson models take counts with residents (or residents policed) as exposure. Border designs "
            "estimate the effect plus what moved across the line, and are read beside the ring test.",
        ],
    )


# Step of the ladder -> what it adds, and what it takes on trust in turn.
STEPS: Mapping[str, tuple[str, str]] = {
    "before-after": (
        "adopters alone, a year after less a year before",
        "nothing else changed in those years",
    ),
    "two-by-two": (
        "never treated counties: adopters' change less theirs, four means",
        "adopters would have changed as much",
    ),
    "two-way": ("every county its own mean, every year its own", "one effect, in every cohort and year"),
    "": ("each cohort and year its own effect, averaged", "parallel trends in every cohort and year"),
    "adjusted-doubly-robust": (
        "comparison counties alike in four covariates before",
        "parallel trends among counties alike",
    ),
    "imputation-trends": (
        "every county its own trend before adoption",
        "trends would have gone on in straight lines",
    ),
    "group-time-class": ("comparison within the urban-rural class", "parallel trends within classes"),
    "group-time-state": (
        "comparison within the state: laws, budgets and state shocks drop out",
        "parallel trends within states",
    ),
    "border-same-state": (
        "comparison with neighbours of the same state",
        "neighbours are untouched by the policy next door",
    ),
}


def ladder_frame(results: pd.DataFrame) -> pd.DataFrame:
    """Return the designs from the simplest to the most demanding: what each step adds and who is left to identify it.

    Args:
        results: frame under the contract ``designs``.

    Returns:
        One row a step, outcome and California, weighted by residents: step (from 1), group, variant, label, adds, trusts, measure,
        california, percent with its ends, change (of percent, from the step before), n_treated, n_comparison, n_states,
        states_identifying, effective_clusters, verdict, pretrend_p, failure, spec.
    """
    rows = main_weights(design_rows(results, DESIGNS))
    there = [variant for variant in STEPS if (rows["variant"] == variant).any()]
    parts = []
    for step, variant in enumerate(there, start=1):
        adds, trusts = STEPS[variant]
        parts.append(rows[rows["variant"] == variant].assign(step=step, adds=adds, trusts=trusts))
    columns = [
        "step", "group", "variant", "label", "adds", "trusts", "measure", "california", "percent", "percent_low", "percent_high", "change",
        "n_treated", "n_comparison", "n_states", "states_identifying", "effective_clusters", "verdict", "pretrend_p",
        "failure", "spec",
    ]  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=columns)
    f = pd.concat(parts, ignore_index=True)
    f["change"] = f.groupby(["measure", "california"])["percent"].diff()
    return f[columns]


def ladder_table(results: pd.DataFrame) -> Table:
    """Return the steps from a simple comparison to demanding ones."""
    f = ladder_frame(results)
    steps = list(dict.fromkeys(f["step"]))
    parts = [f[f["step"] == step] for step in steps]
    return build(
        "From a simple comparison to demanding ones: what each step adds, and who is left",
        f,
        [
            ("Step", "r", 0.35, [words.count(step) for step in steps]),
            ("What it adds", "l", 2.1, [str(part["adds"].iloc[0]) for part in parts]),
            ("What it takes on trust", "l", 1.7, [str(part["trusts"].iloc[0]) for part in parts]),
            *_by_outcome(parts, own=False, width=1.35),
            *_counts(parts),
        ],
        [
            MARKS_NOTE,
            f"{FROM_TO_NOTE} Averaged by residents; each step stands alone, but for what it adds.",
            *_refusals(f),
        ],
    )


# --------------------------------------------------------------------------------------------------------
# Errors
# --------------------------------------------------------------------------------------------------------

REGRESSIONS: Mapping[str, str] = {
    "county_year": "two-way",
    "state_by_year": "two-way, state-by-year",
    "": "group-time effects",
}
KINDS: Mapping[str, str] = {
    "cluster": "clustered by",
    "cr2": "CR2 by",
    "cr3": "CR3 by",
    "wild_bootstrap": "wild bootstrap by",
    "subcluster_bootstrap": "wild bootstrap of counties, errors by",
    "randomisation": "randomisation, studentised by",
}


def error_words(row: Mapping[Any, Any]) -> str:
    """Return an error in a few words.

    Example:
        >>> error_words({"vcov": "cr2", "by": "state", "inference": ""})
        'CR2 by state'
        >>> error_words({"vcov": "spatial", "by": "none", "inference": "95 % intervals, correlated within 300 km"})
        'correlated within 300 km'
    """
    kind, by = str(row["vcov"]), str(row["by"]).replace("_", " ")
    if kind == "randomisation" or kind not in KINDS:
        said = str(row["inference"]).partition(" intervals, ")[2]
        return said.rpartition(", ")[0] if said.endswith(" draws") else said or kind.replace("_", " ")
    return f"{KINDS[kind]} {by}"


def errors_frame(results: pd.DataFrame) -> pd.DataFrame:
    """Return every error of the same coefficients.

    Args:
        results: frame under the contract ``designs``.

    Returns:
        The rows of the spec of errors with regression, sample and error, in words.
    """
    f = design_rows(results, ERRORS)
    f["regression"] = [REGRESSIONS.get(e, e.replace("_", " ")) for e in f["effects"]]
    sample = f["california"].map({"in": "", "out": "without California", "only": "California alone"})
    alike = f["weights"].map({EQUAL_WEIGHTS: "counties alike"}).fillna("")
    law = f["definition"].map({"state_law": "state laws"}).fillna("")
    f["sample"] = [
        ", ".join(part for part in parts if part) for parts in zip(law, sample, alike, strict=True)
    ]
    f["error"] = [
        label_of_variant(str(r["variant"])) if r["failure"] else error_words(r) for r in f.to_dict("records")
    ]
    return f


def p_text(value: Any) -> str:
    """Return a p-value for people.

    Example:
        >>> p_text(0.0412), p_text(0.0000012), p_text(None)
        ('0.041', '< 0.001', '–')
    """
    small = not words.is_missing(value) and float(value) < 0.001
    return "< 0.001" if small else words.number(value, 3)


def errors_table(results: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return the same coefficients under every error: estimate, error, interval, degrees of freedom, verdict."""
    f = errors_frame(results)
    order = ["measure", "regression", "sample"]
    codes = [
        f[name].map({v: i for i, v in enumerate(dict.fromkeys(f[name]))}).to_numpy()
        for name in reversed(order)
    ]
    f = f.iloc[np.lexsort(codes)].reset_index(drop=True)
    heads = [
        ", ".join([label_of(r["measure"], labels), r["regression"], *([r["sample"]] if r["sample"] else [])])
        for r in f.to_dict("records")
    ]
    units = "; ".join(dict.fromkeys(unit for unit in f["unit"] if unit))
    first = [i for i, measure in enumerate(f["measure"]) if measure == f["measure"].iloc[0]]
    return build(
        "One coefficient, every error: full limits on detainers, 2010-2017",
        f,
        [
            ("Coefficient", "l", 2.0, _shown_once(heads)),
            ("Error", "l", 2.0, f["error"]),
            ("Estimate", "r", 0.7, [words.number(v, words.digits_for(v)) for v in f["estimate"]]),
            ("Std. error", "r", 0.7, [words.number(v, words.digits_for(v)) for v in f["std_error"]]),
            ("95 % interval", "r", 1.2, [words.interval(*ends) for ends in zip(f["conf_low"], f["conf_high"], strict=True)]),
            ("p", "r", 0.5, [p_text(v) for v in f["p_value"]]),
            ("df", "r", 0.5, [words.MISSING if not np.isfinite(v) else words.number(v, 1) for v in f["df"]]),
            ("Clusters", "r", 0.6, [words.count(v) for v in f["clusters"]]),
            ("Worth", "r", 0.5, [words.number(v, 1) for v in f["effective_clusters"]]),
            ("Verdict", "l", 1.2, [str(v) for v in f["verdict"]]),
        ],
        [
            f"Estimates in {units or 'the unit of the outcome'}. Worth: clusters of equal weight that would carry as much. "
            "Errors by county or by distance miss what a state's counties share and carry no verdict; so do errors that "
            "take each county as assigned independently. Intervals of the bootstraps and of randomisation hold the "
            "values that their test does not reject, and need not lie around the estimate.",
            *_refusals(f),
        ],
        selection=first,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Offences
# --------------------------------------------------------------------------------------------------------

OFFENCE_ORDER = (
    "violent_ex_rape", "violent", "murder", "rape", "robbery", "aggravated_assault", "property", "burglary", "larceny",
    "motor_vehicle_theft",
)  # fmt: skip
# Sums of others are no tests of their own.
SUMS = ("violent_ex_rape", "violent", "property")
FAMILY = ["definition", "comparison", "california", "weights"]
WAYS: Mapping[tuple[str, str], str] = {
    ("between", "in"): "Between states, with California",
    ("between", "out"): "Between states, without",
    ("within", "in"): "Within states, with California",
    ("within", "out"): "Within states, without",
}


def offences_frame(results: pd.DataFrame, families: pd.DataFrame) -> pd.DataFrame:
    """Return every offence under every definition, with p-values adjusted for the family each is tested in.

    A family is the single offences under one definition, comparison, sample and weights; sums of offences are not
    counted among its tests.

    Args:
        results: frame under the contract ``designs``.
        families: frame under the contract ``families``; may be empty.

    Returns:
        The rows of the spec of offences, with offence (the measure; rape whatever its definition), tests (in the
        family), p_holm (for any dependence) and p_romano_wolf (drawn together; missing where not in ``families``).

    Source: Holm (1979), Scandinavian Journal of Statistics 6(2); Romano and Wolf (2005), Econometrica 73(4).
    """
    f = design_rows(results, OFFENCES)
    f["offence"] = f["measure"].replace({"rape_legacy": "rape", "rape_revised": "rape"})
    single = ~f["offence"].isin(SUMS) & f["p_value"].notna() & f["verdict"].ne(NOT_ESTIMATED)
    f["p_holm"], f["tests"] = np.nan, 0
    for _, part in f[single].groupby(FAMILY, sort=False):
        f.loc[part.index, "p_holm"] = holm(part["p_value"].to_numpy(dtype=float))
        f.loc[part.index, "tests"] = len(part)
    known = require(families, FAMILIES).drop_duplicates("spec").set_index("spec")["p_romano_wolf"]
    f["p_romano_wolf"] = f["spec"].map(known).astype(float)
    rank = f["offence"].map({name: i for i, name in enumerate(OFFENCE_ORDER)}).fillna(len(OFFENCE_ORDER))
    order = np.lexsort([rank.to_numpy(), f["definition"].map(words.definition_rank).to_numpy()])
    return f.iloc[order].reset_index(drop=True)


def adjusted_p(row: Mapping[Any, Any]) -> float:
    """Return the p-value adjusted for its family: Romano and Wolf's where it was drawn, else Holm's.

    Example:
        >>> adjusted_p({"p_romano_wolf": float("nan"), "p_holm": 0.2})
        0.2
    """
    return float(row["p_holm"] if words.is_missing(row["p_romano_wolf"]) else row["p_romano_wolf"])


def offence_label(offence: str, labels: Labels | None = None) -> str:
    """Return an offence in words; rape whatever its definition.

    Example:
        >>> offence_label("rape"), offence_label("motor_vehicle_theft")
        ('Rape', 'Motor vehicle theft')
    """
    return "Rape" if offence == "rape" else label_of(offence, labels)


def offences_table(results: pd.DataFrame, families: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return every offence under every definition; the csv also holds other weights and adjusted p-values."""
    f = offences_frame(results, families)
    rows = main_weights(f)
    keys = list(dict.fromkeys(zip(rows["definition"], rows["offence"], strict=True)))
    parts = [rows[(rows["definition"] == d) & (rows["offence"] == o)] for d, o in keys]

    def shown(part: pd.DataFrame, comparison: str, california: str) -> str:
        row = _first(part, comparison=comparison, california=california)
        text = cell(row)
        if row is None or words.is_missing(row["percent"]) or words.is_missing(adjusted_p(row)):
            return text
        return f"{text} [{words.number(adjusted_p(row), 2)}]"

    drawn = (
        "Romano and Wolf's step-down over joint draws of states"
        if f["p_romano_wolf"].notna().any()
        else "Holm"
    )
    first = [i for i, (definition, _) in enumerate(keys) if definition == keys[0][0]]
    return build(
        "Every offence under every definition that dates counties",
        f,
        [
            ("Definition", "l", 1.6, _shown_once([words.definition_label(d) for d, _ in keys])),
            ("Offence", "l", 1.3, [offence_label(o, labels) for _, o in keys]),
            *(
                (head, "r", 1.75, [shown(part, *way) for part in parts])
                for way, head in WAYS.items()
            ),
            *_counts(parts),
        ],
        [
            MARKS_NOTE,
            "Averaged by residents; every county alike is in the csv. In brackets: p-values adjusted for the single offences "
            f"of one definition, comparison and sample ({drawn}); sums of offences are not counted among them. Marks are "
            "of each interval alone. Rape: legacy definition, to 2012, adoption year counted.",
            *_refusals(rows),
        ],
        selection=first,
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# First stage, the mirror policy, rings
# --------------------------------------------------------------------------------------------------------


def first_stages_table(results: pd.DataFrame) -> Table:
    """Return what adoption did to declined detainers, by every design."""
    rows = design_rows(results, FIRST_STAGES)
    return _side_by_side(
        "First stage by every design: declined detainers, 2008-2014",
        rows,
        [
            OWN_UNITS_NOTE,
            f"{FROM_TO_NOTE} Declined detainers per 10,000 residents, and the share of resolved detainers that were "
            "declined. The adoption year counts as treated.",
        ],
        own=True,
    )


def mirror_table(results: pd.DataFrame) -> Table:
    """Return Secure Communities, which raised cooperation, through the same designs."""
    rows = design_rows(results, MIRROR)
    window = next((str(w) for w in rows["window"] if w), "")
    return _side_by_side(
        f"The mirror policy: activation of Secure Communities and reported crime, {window}".rstrip(", "),
        rows,
        [
            MARKS_NOTE,
            f"{FROM_TO_NOTE} Activation raised cooperation: an effect of limits would show here with the opposite sign. It "
            "came first where many Hispanic residents live and along the border.",
        ],
    )


def rings_frame(results: pd.DataFrame) -> pd.DataFrame:
    """Return neighbours of adopters, adopters against counties that touch none, and the border designs beside them.

    Args:
        results: frame under the contract ``designs``.

    Returns:
        The rows of the spec of rings, then those of the border designs and of the main design, with ``asked`` in words.
    """
    ring = design_rows(results, RINGS)
    ring["asked"] = np.where(
        ring["exposed"] == "neighbours",
        "Neighbours of adopters: what moved across",
        "Adopters against counties that touch none",
    )
    beside = design_rows(results, DESIGNS)
    border = beside[beside["group"] == BORDERS].assign(asked="Adopters against their neighbours: both")
    plain = beside[beside["variant"] == ""].assign(asked="Adopters against all: for comparison")
    return pd.concat([ring, border, plain], ignore_index=True)


def rings_table(results: pd.DataFrame) -> Table:
    """Return the ring test beside the border designs."""
    f = rings_frame(results)
    asked = list(dict.fromkeys(f["asked"]))
    keys = sorted(
        dict.fromkeys(zip(f["weights"], f["asked"], f["group"], f["label"], strict=True)),
        key=lambda k: (list(WEIGHTS).index(k[0]), asked.index(k[1]), GROUPS.index(k[2])),
    )
    by = ["weights", "asked", "group", "label"]
    parts = [f[(f[by] == list(key)).all(axis=1)] for key in keys]
    return build(
        "Rings and borders: what moved across the line, 2010-2017",
        f,
        [
            ("Asked of", "l", 1.5, _shown_once([k[1] for k in keys])),
            ("Compared with", "l", 1.1, [k[2] for k in keys]),
            ("Design", "l", 1.5, [k[3] for k in keys]),
            ("Averaged", "l", 0.8, [WEIGHTS.get(k[0], k[0]) for k in keys]),
            *_by_outcome(parts, own=False, width=1.35),
            *_counts(parts),
        ],
        [
            MARKS_NOTE,
            f"{FROM_TO_NOTE} Treated of the ring test are counties that touch an adopter and have no policy of their own; "
            "adopters are left out. A border design holds the effect plus what moved across the line, and is read with this test.",
            *_refusals(f),
        ],
        selection=[i for i, key in enumerate(keys) if key[0] == MAIN_WEIGHTS],
    )


# --------------------------------------------------------------------------------------------------------
# Placebos
# --------------------------------------------------------------------------------------------------------


def placebo_frame(results: pd.DataFrame) -> pd.DataFrame:
    """Return the placebos: moved dates by years moved, then outcomes that no such policy should move.

    Args:
        results: frame under the contract ``designs``.

    Returns:
        The rows of the spec of placebos with ``kind`` in words.
    """
    f = design_rows(results, PLACEBO)
    shift = f["placebo_shift"]
    moved = shift.notna().to_numpy(dtype=bool)
    f["kind"] = [
        f"Adoption {int(k)} {'year' if k == 1 else 'years'} earlier" if m else "Another outcome"
        for k, m in zip(shift.fillna(0), moved, strict=True)
    ]
    f.loc[~moved, "label"] = LABELS[""]
    order = np.lexsort([shift.fillna(99).to_numpy(dtype=float), ~moved])
    return f.iloc[order].reset_index(drop=True)


def placebo_table(results: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return policies that were not there: moved dates, and outcomes that no limit on detainers should move."""
    f = placebo_frame(results)
    return _long(
        "Placebos: adoption moved back, and outcomes no limit on detainers should move",
        f,
        [("Placebo", 1.3, "kind"), ("Outcome", 1.4, "measure"), ("Compared with", 1.2, "group"), ("Design", 1.3, "label")],
        [
            MARKS_NOTE,
            "Rows from the true year of adoption on are left out where dates are moved. * here speaks against the design, "
            "not for an effect: among many placebos some differ from zero by chance.",
        ],
        labels,
    )  # fmt: skip


def _long(
    title: str,
    f: pd.DataFrame,
    heads: Sequence[tuple[str, float, str]],
    notes: Sequence[str],
    labels: Labels | None,
) -> Table:
    """Return one line for each value of some columns and weights; California side by side."""
    by = [column for _, _, column in heads] + ["weights"]
    keys = list(dict.fromkeys(zip(*(f[column] for column in by), strict=True)))
    parts = [f[(f[by] == list(key)).all(axis=1)] for key in keys]
    main = set(main_weights(f)["spec"])

    def text(column: str, value: Any) -> str:
        return label_of(str(value), labels) if column == "measure" else str(value)

    columns: list[Column] = []
    for at, (head, width, column) in enumerate(heads):
        values = [text(column, key[at]) for key in keys]
        columns.append((head, "l", width, _shown_once(values) if at == 0 else values))
    return build(
        title,
        f,
        [
            *columns,
            ("Averaged", "l", 0.9, [WEIGHTS.get(str(key[-1]), str(key[-1])) for key in keys]),
            *(
                (said[:1].upper() + said[1:], "r", 1.5, [cell(_first(p, california=c)) for p in parts])
                for c, said in CALIFORNIA.items()
            ),
            *_counts(parts),
        ],
        [*notes, *_refusals(f)],
        selection=[i for i, part in enumerate(parts) if part["spec"].isin(main).any()],
    )


# --------------------------------------------------------------------------------------------------------
# Single areas, the break in rape, federal regimes
# --------------------------------------------------------------------------------------------------------

UNITS: Mapping[str, str] = {
    "CA": "California",
    "17031": "Cook County, IL",
    "36998": "New York City",
}
SYNTHETIC: Mapping[str, str] = {
    "synthetic_did": "synthetic difference-in-differences",
    "augmented": "augmented synthetic control",
    "simplex": "synthetic control",
}


def synthetic_words(row: Mapping[Any, Any]) -> str:
    """Return the method of a single area in words.

    Example:
        >>> synthetic_words({"estimator": "synthetic_control", "method": "method augmented"})
        'augmented synthetic control'
    """
    if str(row["estimator"]) == "synthetic_did":
        return SYNTHETIC["synthetic_did"]
    found = next((name for name in ("augmented", "simplex") if f"method {name}" in str(row["method"])), "")
    return SYNTHETIC.get(found) or words.ESTIMATORS.get(str(row["estimator"]), str(row["estimator"]))


def sample_words(row: Mapping[Any, Any]) -> str:
    """Return which areas may enter, in words.

    Example:
        >>> sample_words({"min_coverage": 0.9, "min_population": 300_000.0})
        '90 % covered, 300,000 residents or more'
    """
    least = f", {words.count(row['min_population'])} residents or more" if row["min_population"] > 0 else ""
    return f"{words.percent(row['min_coverage'], 0)} covered{least}"


def single_frame(results: pd.DataFrame) -> pd.DataFrame:
    """Return the areas taken alone, with unit_name and the method in words.

    Args:
        results: frame under the contract ``designs``.
    """
    f = design_rows(results, SINGLE)
    f["unit_name"] = [UNITS.get(str(only), str(only)) for only in f["only"]]
    f["label"] = [synthetic_words(r) for r in f.to_dict("records")]
    codes = [pd.factorize(f[name])[0] for name in ("measure", "unit_name")]
    return f.iloc[np.lexsort(codes)].reset_index(drop=True)


def single_table(results: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return single areas against mixtures of others."""
    f = single_frame(results)
    return build(
        "Single areas against mixtures of untreated ones",
        f,
        [
            ("Area", "l", 1.2, _shown_once(list(f["unit_name"]))),
            ("Outcome", "l", 1.6, [label_of(m, labels) for m in f["measure"]]),
            ("Method", "l", 1.9, f["label"]),
            ("Years", "l", 0.8, f["window"]),
            ("Sample", "l", 1.6, [sample_words(r) for r in f.to_dict("records")]),
            ("Per cent of the mean before", "r", 1.6, [cell(r) for r in f.to_dict("records")]),
            ("p", "r", 0.5, [p_text(v) for v in f["p_value"]]),
            ("Treated", "r", 0.6, [words.count(v) for v in f["n_treated"]]),
            ("Donors", "r", 0.6, [words.count(v) for v in f["n_comparison"]]),
        ],
        [
            "Estimates with 95 % intervals. Errors and p-values come from giving the policy to each donor in turn. A single "
            "area, or the areas of a single state, is not informative by itself (§) whatever its interval: it describes, and "
            "takes no verdict.",
            *_refusals(f.assign(label=f["unit_name"] + ", " + f["label"])),
        ],
    )  # fmt: skip


HANDLED: Mapping[str, str] = {
    "": "each agency's own definition, county effects by definition",
    "one-definition": "as if nothing had changed",
    "one-definition-within-states": "as if nothing had changed, within states",
    "without-rape": "violent crime without rape",
    "legacy": "legacy definition alone, agencies still on it",
    "legacy-to-2012": "legacy definition alone, to 2012, any limit",
    "revised": "revised definition alone",
    "revised-within-states": "revised definition alone, within states",
}


def rape_table(results: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return reported rape across the change of its definition, by how the change is handled."""
    f = design_rows(results, RAPE)
    f["label"] = [HANDLED.get(str(v), label_of_variant(str(v))) for v in f["variant"]]
    order = {name: i for i, name in enumerate(HANDLED)}
    f = f.iloc[np.argsort([order.get(str(v), len(order)) for v in f["variant"]], kind="stable")]
    return _long(
        "Reported rape across the change of its definition",
        f.reset_index(drop=True),
        [("How the change is handled", 2.2, "label"), ("Outcome", 1.4, "measure"), ("Years", 0.8, "window")],
        [
            MARKS_NOTE,
            "From 2013 agencies moved to a wider definition of rape, in different years; a county that moves counts more. "
            "None of these is a main analysis of rape.",
        ],
        labels,
    )


SPANS: Mapping[str, str] = {
    "plain": "2010-2017",
    "held": "Federal policies held constant",
    "to-2014": "To 2014",
    "to-2016": "To 2016",
    "from-2017": "From 2017",
}


def span_of(variant: str) -> tuple[str, str]:
    """Return the years a variation of the regimes covers and the design it is of.

    Example:
        >>> span_of("to-2014-two-way"), span_of("imputation"), span_of("from-2017-group-time")
        (('to-2014', 'two-way'), ('held', 'imputation'), ('from-2017', ''))
    """
    for span in ("to-2014", "to-2016", "from-2017"):
        if variant.startswith(f"{span}-"):
            design = variant[len(span) + 1 :]
            return span, "" if design == "group-time" else design
    return "held", variant


def regimes_frame(results: pd.DataFrame) -> pd.DataFrame:
    """Return every design with federal policies held constant, and split where the federal regime changed.

    Args:
        results: frame under the contract ``designs``.

    Returns:
        Rows of the spec of regimes and of the same designs plain, weighted by residents: span (of ``SPANS``), design
        (the variation of the spec of designs), the columns of results.
    """
    split = design_rows(results, REGIMES)
    spans = [span_of(str(v)) for v in split["variant"]]
    split = split.assign(span=[s for s, _ in spans], design=[d for _, d in spans])
    plain = design_rows(results, DESIGNS).assign(span="plain")
    plain["design"] = plain["variant"]
    plain = plain[plain["design"].isin(set(split["design"]))]
    f = pd.concat([plain, split], ignore_index=True)
    f["label"] = [label_of_variant(str(d)) for d in f["design"]]
    # A group of designs keeps its place whatever is held constant in it.
    f["group"] = f["design"].map(f.drop_duplicates("design").set_index("design")["group"])
    f = main_weights(f)
    rank = f["group"].map({name: i for i, name in enumerate(GROUPS)})
    return f.iloc[np.argsort(rank.to_numpy(), kind="stable")].reset_index(drop=True)


def regimes_table(results: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return federal enforcement in every design."""
    f = regimes_frame(results)
    keys = list(dict.fromkeys(zip(f["measure"], f["california"], f["group"], f["design"], strict=True)))
    measures = list(dict.fromkeys(f["measure"]))
    keys.sort(key=lambda k: (measures.index(k[0]), k[1], GROUPS.index(k[2])))
    by = ["measure", "california", "group", "design"]
    parts = [f[(f[by] == list(key)).all(axis=1)] for key in keys]
    heads = [f"{label_of(m, labels)}, {CALIFORNIA.get(c, c)}" for m, c, _, _ in keys]
    return build(
        "Federal enforcement in every design: held constant, and split where the regime changed",
        f,
        [
            ("Outcome", "l", 1.4, _shown_once(heads)),
            ("Compared with", "l", 1.2, [k[2] for k in keys]),
            ("Design", "l", 1.4, [str(part["label"].iloc[0]) for part in parts]),
            *((head, "r", 1.4, [cell(_first(p, span=span)) for p in parts]) for span, head in SPANS.items()),
            *_counts(parts),
        ],
        [
            MARKS_NOTE,
            "Federal policies: activation of Secure Communities and 287(g) agreements, by county and year; – where a design "
            "holds no time-varying policy. To 2014: before the Priority Enforcement Program; to 2016: with it; from 2017: "
            "adoption's years 2015 and 2016 left out. Averaged by residents.",
            *_refusals(f),
        ],
        selection=[i for i, key in enumerate(keys) if key[1] == "in"],
    )


# --------------------------------------------------------------------------------------------------------
# What a definition can carry
# --------------------------------------------------------------------------------------------------------

VERDICTS = (IDENTIFIED, DESCRIPTIVE, REFUSED)


def capability_table(found: pd.DataFrame) -> Table:
    """Return which definition can carry which design: identified, descriptive or refused, and why."""
    f = require(found, CAPABILITY).reset_index(drop=True)
    carried = [f"{words.count(a)} of {words.count(b)}" if not words.is_missing(b) else words.MISSING
               for a, b in zip(f["treated_identifying"], f["treated_counties"], strict=True)]  # fmt: skip
    counts = f["verdict"].value_counts()
    said = ", ".join(f"{words.count(counts.get(name, 0))} {name}" for name in VERDICTS)
    return build(
        "What each definition can carry: identified, descriptive or refused, and why",
        f,
        [
            ("Definition", "l", 1.5, _shown_once([str(v) for v in f["label"]])),
            ("Design", "l", 1.1, f["design"]),
            ("Years", "l", 0.8, f["window"]),
            ("Verdict", "l", 0.8, f["verdict"]),
            ("Treated with a comparison", "r", 0.9, carried),
            ("States", "r", 0.5, [words.count(v) for v in f["states_identifying"]]),
            ("Compared", "r", 0.7, [words.count(v) for v in f["comparison_counties"]]),
            ("Cohorts", "r", 0.6, [words.count(v) for v in f["cohorts"]]),
            ("Why", "l", 3.6, f["reason"]),
        ],
        [
            f"Of {words.count(len(f))} pairs of definition and design: {said}. Identified: at least 20 treated areas in six "
            "states have something to be compared with. Descriptive: an estimate can be shown and takes no verdict. Refused: "
            "a rule of the protocol forbids it, or nobody is left to compare. Counts are those left by every sample rule.",
        ],
    )


# --------------------------------------------------------------------------------------------------------
# Checks
# --------------------------------------------------------------------------------------------------------

LEFT_OUT = Frame(
    "left_out",
    dict.fromkeys(
        ("spec", "measure", "within", "weights", "by", "left_out", "treated_left_out", "n_treated", "estimate", "change",
         "whole_estimate", "whole_std_error", "whole_jackknife", "baseline", "failure"),
        "see `analysis.evidence.checks.leave_out.left_out_frame`",
    ),
)  # fmt: skip
TREND_CHECKS = Frame(
    "trend_checks", dict.fromkeys(TREND_COLUMNS, "see `analysis.evidence.design_checks.trend_checks`")
)
REGRESSION_WEIGHTS = Frame(
    "regression_weights",
    dict.fromkeys(WEIGHT_COLUMNS, "see `analysis.evidence.design_checks.regression_weights`"),
)
LEFT_OUT_ROWS = (
    "spec", "by", "measure", "within", "weights", "left_out", "not_estimated", "percent", "percent_low", "percent_high",
    "lowest_without", "highest_without", "error", "jackknife",
)  # fmt: skip
WITHIN_WORDS = {"none": "between states", "state": "within states", "urban_class": "within urban classes"}
EFFECT_WORDS = {
    "county_year": "county, year",
    "state_by_year": "county, state by year",
    "urban_class_by_year": "county, class by year",
}


def left_out_table(found: pd.DataFrame) -> Table:
    """Return how far one state or cohort moves an estimate: the range without one, and which moves it most."""
    f = require(found, LEFT_OUT)
    rows = []
    for keys, part in f.groupby(["spec", "by"], sort=False):
        known = part[part["estimate"].notna()]
        if known.empty:
            continue
        low, high = known.loc[known["estimate"].idxmin()], known.loc[known["estimate"].idxmax()]
        line = part.iloc[0]
        share = 100 / float(line["baseline"]) if float(line["baseline"]) > 0 else np.nan
        rows.append(
            {
                "spec": keys[0], "by": keys[1], "measure": line["measure"], "within": line["within"],
                "weights": line["weights"], "left_out": len(part), "not_estimated": int(part["failure"].ne("").sum()),
                "percent": share * line["whole_estimate"], "percent_low": share * low["estimate"],
                "percent_high": share * high["estimate"], "lowest_without": low["left_out"],
                "highest_without": high["left_out"], "error": share * line["whole_std_error"],
                "jackknife": share * line["whole_jackknife"],
            }
        )  # fmt: skip
    r = pd.DataFrame(rows, columns=list(LEFT_OUT_ROWS))

    def percent(column: str) -> list[str]:
        return [words.number(v, 1, sign=True) for v in r[column]]

    return build(
        "Without each state, and without each cohort, in turn",
        r,
        [
            ("Outcome", "l", 1.2, _shown_once([HEADS.get(m, m) for m in r["measure"]])),
            ("Comparison", "l", 1.0, [WITHIN_WORDS[w] for w in r["within"]]),
            ("Weights", "l", 1.0, [WEIGHTS[w] for w in r["weights"]]),
            ("Left out", "l", 0.8, [f"{n} {by}s" for n, by in zip(r["left_out"], r["by"], strict=True)]),
            ("All, %", "r", 0.7, percent("percent")),
            ("Lowest", "r", 0.7, percent("percent_low")),
            ("lowest without", "l", 0.6, r["lowest_without"]),
            ("Highest", "r", 0.7, percent("percent_high")),
            ("highest without", "l", 0.6, r["highest_without"]),
            ("Clustered error", "r", 0.8, [words.number(v, 1) for v in r["error"]]),
            ("Jackknife error", "r", 0.8, [words.number(v, 1) for v in r["jackknife"]]),
        ],
        [
            "Group-time effects of full limits, 2010-2017, in per cent of the mean before adoption; each estimate made anew on "
            "what is left. Jackknife: from leaving out states; where it is far above the clustered error, one state carries "
            "the estimate, and the clustered error does not show it."
        ],
    )


def trends_table(found: pd.DataFrame) -> Table:
    """Return what event studies bear if trends differ, in per cent of the mean before adoption."""
    f = require(found, TREND_CHECKS).reset_index(drop=True)
    share = 100 / f["baseline"].where(f["baseline"] > 0)

    def ends(low: str, high: str) -> list[str]:
        return [
            words.interval(a * s, b * s, 1) if not (np.isnan(a) or np.isnan(b)) else words.MISSING
            for a, b, s in zip(f[low].astype(float), f[high].astype(float), share, strict=True)
        ]

    def value(column: str) -> list[str]:
        return [words.number(v, 1) for v in f[column].astype(float) * share]

    label = [LABELS.get(variant_of(str(spec)), variant_of(str(spec))) for spec in f["spec"]]
    said = dict.fromkeys(str(n) for n in f["note"] if n)
    return build(
        "If trends differ: what the test of the leads could find, and bounds on the mean effect",
        f,
        [
            ("Design", "l", 1.3, label),
            ("Comparison", "l", 1.1, [WITHIN_WORDS[w] for w in f["within"]]),
            ("Outcome", "l", 1.1, [HEADS.get(m, m) for m in f["measure"]]),
            ("Weights", "l", 0.9, [WEIGHTS[w] for w in f["weights"]]),
            ("Interval", "r", 1.0, ends("conf_low", "conf_high")),
            ("p of leads", "r", 0.6, [p_text(p) for p in f["pretrend_p"]]),
            ("Trend found half the time", "r", 0.8, value("slope_50")),
            ("its bias", "r", 0.6, value("bias_50")),
            ("Trend found 4 in 5", "r", 0.8, value("slope_80")),
            ("Bounds, half", "r", 1.0, ends("low_0.5", "high_0.5")),
            ("as large", "r", 1.0, ends("low_1", "high_1")),
            ("twice", "r", 1.0, ends("low_2", "high_2")),
            ("straight line", "r", 1.0, ends("linear_low", "linear_high")),
        ],
        [
            "In per cent of the mean before adoption; trends in per cent a year. Bounds: 95 % intervals of the mean effect if "
            "trends moved after adoption by at most half, once and twice their largest yearly move before it, and if the "
            "straight line through the years before went on (Rambachan and Roth 2023). Trends a test of single leads finds "
            "with power 0.5 and 0.8, and the bias such a trend leaves (Roth 2022). Errors clustered by state: too small with "
            "few treated states, and so are the bounds.",
            *said,
        ],
    )


def weights_table(found: pd.DataFrame) -> Table:
    """Return how county-years enter two-way coefficients, and what those compare."""
    f = require(found, REGRESSION_WEIGHTS).reset_index(drop=True)
    share = [words.percent(v) for v in f["negative"]]
    said = dict.fromkeys(str(n) for n in f["note"] if n)
    return build(
        "What a two-way coefficient compares",
        f,
        [
            ("Outcome", "l", 1.2, _shown_once([HEADS.get(m, m) for m in f["measure"]])),
            ("Effects", "l", 1.2, [EFFECT_WORDS.get(e, e) for e in f["effects"]]),
            ("Weights", "l", 1.0, [WEIGHTS[w] for w in f["weights"]]),
            ("Coefficient", "r", 0.9, [words.number(v, 1, sign=True) for v in f["coefficient"]]),
            ("County-years of negative weight", "r", 1.0, share),
            ("Sum of those weights", "r", 0.9, [words.number(v, 3) for v in f["negative_sum"]]),
            ("Weight on not treated so far", "r", 1.0, [words.number(v, 3) for v in f["clean"]]),
            (
                "Estimate against those",
                "r",
                0.8,
                [words.number(v, 1, sign=True) for v in f["clean_estimate"]],
            ),
            ("Weight on treated already", "r", 1.0, [words.number(v, 3) for v in f["already_treated"]]),
            (
                "Estimate against these",
                "r",
                0.8,
                [words.number(v, 1, sign=True) for v in f["already_estimate"]],
            ),
        ],
        [
            "Full limits, 2010-2017, offences per 100,000 residents policed. Weights of treated county-years sum to one. The "
            "last four columns are Goodman-Bacon's decomposition, where it is exact (protocol rule 14).",
            *said,
        ],
    )

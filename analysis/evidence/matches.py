"""The matched comparisons side by side: methods, definitions, years, classes, covariates, placebo, their balance.

Estimates come from the table of results; balance, overlap and hidden bias are found on the designs anew, since a match
is no estimate and leaves no trace there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SpecError, StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.keys import BY_STATE, INDEPENDENT
from analysis.design.spec import Spec
from analysis.design.treatment import is_descriptive
from analysis.estimation.matched import MatchedSets, match
from analysis.estimation.matching.balance import balance, denominators
from analysis.estimation.matching.overlap import Trimming, trim
from analysis.estimation.matching.sensitivity import NOTE, deviation_within, e_value_difference
from analysis.estimation.matching.weights import effective_sample_size
from analysis.evidence.checks.balance import UNMATCHED
from analysis.evidence.checks.hidden_bias import hidden_bias
from analysis.evidence.checks.overlap import overlap, score_frame
from analysis.evidence.results import ONE_EFFECT
from analysis.evidence.runs import sample_key
from analysis.evidence.verdict import NO_VERDICT

Array = NDArray[np.float64]

METHODS, DEFINITIONS, YEARS = "match_methods", "match_definitions", "match_years"
CLASSES, COVARIATES, ECONOMY = "match_classes", "match_covariates", "match_economy"
PLACEBO, MATCHED_DID, UNMATCHED_PANEL = "match_placebo", "matched_did", "near_nominal"
FAMILIES = (METHODS, DEFINITIONS, YEARS, CLASSES, COVARIATES, ECONOMY, PLACEBO, MATCHED_DID)
"""The specs of the matched comparisons."""

NEAREST, OPTIMAL = "Nearest neighbours", "Optimal, full, genetic, cardinality"
CELLS, WEIGHTS, ERRORS = "Cells and classes", "Weights and models", "Other errors on the same comparison"
OTHERS = "Others"
# Variation of the spec of methods -> its group and its name in words; "" is the spec's own values.
VARIANTS: Mapping[str, tuple[str, str]] = {
    "": (NEAREST, "one neighbour, Mahalanobis distance"),
    "three-neighbours": (NEAREST, "three neighbours"),
    "bias-adjusted": (NEAREST, "one neighbour, bias-adjusted"),
    "rank-distance": (NEAREST, "one neighbour, rank distance"),
    "euclidean-distance": (NEAREST, "one neighbour, Euclidean distance"),
    "propensity": (NEAREST, "one neighbour on the propensity"),
    "calipers": (NEAREST, "one neighbour, three calipers"),
    "without-replacement": (NEAREST, "without replacement"),
    "same-division": (NEAREST, "same Census division"),
    "all-counties-average": (NEAREST, "average over all counties"),
    "trimmed": (NEAREST, "propensity trimmed"),
    "optimal-pairs": (OPTIMAL, "optimal pairs"),
    "full": (OPTIMAL, "full matching"),
    "genetic": (OPTIMAL, "genetic matching"),
    "cardinality": (OPTIMAL, "cardinality matching"),
    "coarsened": (CELLS, "coarsened exact on three covariates"),
    "subclasses": (CELLS, "five classes of the propensity"),
    "inverse-probability": (WEIGHTS, "inverse-probability weights"),
    "entropy": (WEIGHTS, "entropy balancing of means"),
    "covariate-balancing-score": (WEIGHTS, "covariate-balancing score"),
    "overlap-weights": (WEIGHTS, "overlap weights"),
    "entropy-and-variances": (WEIGHTS, "entropy of means and variances"),
    "doubly-robust": (WEIGHTS, "augmented weighting"),
    "regression": (WEIGHTS, "regression adjustment"),
    "independent-counties": (ERRORS, "one neighbour, Abadie-Imbens"),
    "independent-counties-one-variance": (ERRORS, "the same, one variance"),
    "independent-counties-estimated-score": (ERRORS, "on the propensity, Abadie-Imbens"),
    "optimal-pairs-by-pair": (ERRORS, "optimal pairs, by pair"),
    "optimal-pairs-by-pair-and-state": (ERRORS, "optimal pairs, by pair and state"),
    "randomisation": (ERRORS, "one neighbour, randomisation"),
    "entropy-bootstrap": (ERRORS, "entropy, bootstrap of states"),
    "doubly-robust-bootstrap": (ERRORS, "augmented, bootstrap of states"),
}
# Variation of the spec of covariates -> the set's name.
SETS: Mapping[str, str] = {
    "": "A",
    "set-b": "B",
    "set-b-with-non-citizens": "B and non-citizens",
    "set-c": "C",
    "set-d": "D",
}
PUBLISHED_SIGNS: Mapping[str, int] = {
    "large_central_metro": -1,
    "large_fringe_metro": 1,
    "medium_metro": 1,
    "small_metro": -1,
    "micropolitan": -1,
    "noncore": -1,
}
"""Signs of the differences in total crime by class that the county report of 2017 describes in words; the last three
rest on one sentence about smaller and rural counties."""

# Case of the simulation -> the variation of the spec of methods that asks the same of the data; None where none does.
CASES: Mapping[str, tuple[str, str, str | None]] = {
    "nearest": ("nearest neighbour", "by state", ""),
    "nearest_by_county": ("nearest neighbour", "by county", None),
    "nearest_abadie_imbens": ("nearest neighbour", "Abadie-Imbens", "independent-counties"),
    "nearest_one_variance": (
        "nearest neighbour",
        "Abadie-Imbens, one variance",
        "independent-counties-one-variance",
    ),
    "nearest_randomisation": ("nearest neighbour", "randomisation within states", "randomisation"),
    "nearest_adjusted": ("nearest neighbour, bias-adjusted", "by state", "bias-adjusted"),
    "propensity": ("nearest on the propensity", "by state", None),
    "propensity_estimated_score": (
        "nearest on the propensity",
        "Abadie-Imbens, estimated score",
        "independent-counties-estimated-score",
    ),
    "optimal": ("optimal pairs", "by state", "optimal-pairs"),
    "optimal_by_pair": ("optimal pairs", "by pair", "optimal-pairs-by-pair"),
    "optimal_by_pair_and_state": ("optimal pairs", "by pair and state", "optimal-pairs-by-pair-and-state"),
    "full": ("full matching", "by state", "full"),
    "genetic": ("genetic matching, small search", "by state", "genetic"),
    "cardinality": ("cardinality matching", "by state", "cardinality"),
    "coarsened": ("coarsened exact on three covariates", "by state", "coarsened"),
    "subclasses": ("five classes of the propensity", "by state", "subclasses"),
    "subclasses_bootstrap": ("five classes of the propensity", "bootstrap of states", None),
    "inverse_probability": ("inverse-probability weights", "by state", "inverse-probability"),
    "overlap": ("overlap weights", "by state", "overlap-weights"),
    "entropy": ("entropy balancing of means", "by state", "entropy"),
    "entropy_bootstrap": ("entropy balancing of means", "bootstrap of states", "entropy-bootstrap"),
    "balancing_score": ("covariate-balancing score", "by state", "covariate-balancing-score"),
    "doubly_robust": ("augmented weighting", "by state", "doubly-robust"),
    "doubly_robust_bootstrap": ("augmented weighting", "bootstrap of states", "doubly-robust-bootstrap"),
    "regression": ("regression adjustment", "by state", "regression"),
}
SIZE_YEAR = 2015
MEASURED = ("draws", "bias_percent", "bias_percent_mc_error", "ratio", "coverage", "coverage_mc_error",
            "coverage_of_mean", "coverage_of_mean_mc_error", "excludes_zero")  # fmt: skip

# Matches whose hidden bias has bounds: sets that share no county.
BOUNDED = ("optimal-pairs", "full")
# Matches whose E-value is shown: one a kind of method.
MAIN_VARIANTS = ("", "bias-adjusted", "optimal-pairs", "full", "genetic", "entropy", "doubly-robust")
GAMMAS = (1.0, 1.1, 1.2, 1.5, 2.0)
# Treated counties below which there is no deviation to hold a difference against.
FEWEST = 2
NOT_ESTIMATED = "not estimated"

KEPT = (
    "status", "failure", "estimator", "estimand", "measure", "build", "scale", "unit", "definition", "comparison",
    "comparison_group", "window", "status_year", "california", "urban_classes", "term", "estimate", "std_error",
    "conf_low", "conf_high", "p_value", "inference", "vcov", "by", "n_treated", "n_comparison", "n_states",
    "states_identifying", "baseline", "percent_low", "percent_high", "informative", "carries_verdict", "precision",
    "pretrend_p", "spec",
)  # fmt: skip
ADDED = ("family", "variant", "group", "label", "covariate_set", "vintage", "match_on", "percent", "independent",
         "verdict")  # fmt: skip
COLUMNS = (*ADDED, *KEPT)
BALANCE_COLUMNS = (
    "family", "variant", "group", "method", "measure", "covariate", "sample", "mean_treated", "mean_comparison",
    "standardized_mean_difference", "variance_ratio", "ks", "n_treated", "n_comparison", "effective_treated",
    "effective_comparison", "deviation", "estimand", "spec",
)  # fmt: skip


def matches(results: pd.DataFrame) -> pd.DataFrame:
    """Return the one effect of every specification of the matched comparisons, with what tells it apart.

    Args:
        results: from `analysis.evidence.results.results_frame`.

    Returns:
        Columns ``COLUMNS``: family (name of the spec), variant (its variation, "" for its own values), group and label
        (of a method), covariate_set, vintage, match_on (of a matched difference-in-differences), percent (of the
        baseline), independent (whether the error takes counties, or pairs, as assigned independently), verdict (the
        precision; ``no verdict`` where the error or the list carries none; ``not estimated``), then the columns of
        results. Specifications that failed keep a row. Unmatched estimates of the same counties, by group-time
        effects with counties alike, stand last under family ``near_nominal``.
    """
    family = results["spec"].astype(str).str.split("/").str[0]
    one = results["estimand"].isin(ONE_EFFECT) | results["failure"].ne("")
    parts = [results[one & family.eq(name)].assign(family=name) for name in (*FAMILIES, UNMATCHED_PANEL)]
    out = pd.concat(parts, ignore_index=True)
    out["variant"] = [variant_of(str(name)) for name in out["spec"]]
    known = [
        method_words(v) if f == METHODS else ("", "")
        for f, v in zip(out["family"], out["variant"], strict=True)
    ]
    out["group"], out["label"] = [g for g, _ in known], [w for _, w in known]
    out["covariate_set"] = [
        SETS.get(v, v) if f == COVARIATES else "" for f, v in zip(out["family"], out["variant"], strict=True)
    ]
    out["vintage"] = out["covariates"].astype(str).str.extract(r"\((\w+)\)$", expand=False).fillna("")
    out["match_on"] = [matched_on(str(options)) for options in out["method"]]
    out["percent"] = out["percent_of_baseline"]
    out["independent"] = [
        vcov in INDEPENDENT or by not in BY_STATE for vcov, by in zip(out["vcov"], out["by"], strict=True)
    ]
    missing = out["failure"].ne("") | out["estimate"].isna()
    silent = np.where(missing, NOT_ESTIMATED, NO_VERDICT)
    out["verdict"] = np.where(out["precision"].ne("") & ~missing, out["precision"], silent)
    return out[list(COLUMNS)]


def variant_of(spec: str) -> str:
    """Return the named variation in a specification's name, and "" where it is the spec's own values.

    Example:
        >>> variant_of("match_methods/full/measure=property"), variant_of("match_methods/measure=property")
        ('full', '')
    """
    named = [part for part in spec.split("/")[1:] if "=" not in part]
    return named[0] if named else ""


def method_words(variant: str) -> tuple[str, str]:
    """Return the group of a method and its name in words; one's own variation keeps its name.

    Example:
        >>> method_words("full"), method_words("my-caliper")
        (('Optimal, full, genetic, cardinality', 'full matching'), ('Others', 'my caliper'))
    """
    return VARIANTS.get(variant, (OTHERS, variant.replace("-", " ")))


def matched_on(options: str) -> str:
    """Return in words what a matched difference-in-differences was matched on, from the options of its estimator.

    Example:
        >>> matched_on("neighbours 3; exact urban_class; match_on covariates, outcome_lags; lag_years 3")
        'covariates and outcomes of the last 3 years'
        >>> matched_on("neighbours 3")
        ''
    """
    found = re.search(r"match_on ([^;]+)", options)
    if not found:
        return ""
    years = re.search(r"lag_years (\d+)", options)
    span = f"the last {years.group(1)} years" if years else "years before"
    said = {
        "covariates": "covariates",
        "outcome_lags": f"outcomes of {span}",
        "outcome_trend": f"trend of {span}",
    }
    return " and ".join(said[name] for name in said if name in found.group(1).split(", "))


def is_list(definition: str) -> bool:
    """Return whether a definition is a list made after every outcome: shown, and without a verdict (rule 6)."""
    return not definition.endswith(".csv") and is_descriptive(definition)


# --------------------------------------------------------------------------------------------------------
# Balance and hidden bias of many matches
# --------------------------------------------------------------------------------------------------------


def match_balance(panel: Panel, specs: Mapping[str, Spec], *, jobs: int = 1) -> pd.DataFrame:
    """Return the balance that every method, set of covariates and class of counties reaches.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: the specs of methods, covariates and classes by name; those absent are left out.
        jobs: processes.

    Returns:
        Columns ``BALANCE_COLUMNS``, one row a covariate and sample (``before``, ``after`` the match; models have no
        second): differences are over the treated counties' standard deviation before the match, effective sizes
        Kish's, ``deviation`` the outcome's standard deviation within arms of the sample. All methods are held to the
        covariates of the spec itself, whatever they were matched on. Methods for every outcome; sets of covariates
        for the first outcome of their spec, classes for total crime per 10,000. A match that cannot be made, or of
        a single treated county, has no row.

    Source: Stuart (2010), Statistical Science 25(1).
    """
    batches = _batches(specs)
    if jobs > 1 and len(batches) > 1:
        with ProcessPoolExecutor(jobs, initializer=_hold, initargs=(panel,)) as pool:
            parts = list(pool.map(_balance_held, batches))
    else:
        parts = [_balance(panel, batch) for batch in batches]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(BALANCE_COLUMNS))


def _batches(specs: Mapping[str, Spec]) -> list[list[Spec]]:
    """Return specifications to be matched: methods by outcome, each outcome on its own sample; then the others."""
    methods = specs[METHODS].expand() if METHODS in specs else ()
    batches = [
        [spec for spec in methods if spec.outcome.measure == measure]
        for measure in dict.fromkeys(spec.outcome.measure for spec in methods)
    ]
    for name, wanted in ((COVARIATES, None), (CLASSES, "total")):
        if name in specs:
            every = specs[name].expand()
            measure = wanted or every[0].outcome.measure
            batches.append([spec for spec in every if spec.outcome.measure == measure])
    return batches


_PANEL: list[Panel] = []


def _hold(panel: Panel) -> None:
    _PANEL[:] = [panel]


def _balance_held(specs: list[Spec]) -> pd.DataFrame:
    return _balance(_PANEL[0], specs)


def _balance(panel: Panel, specs: Sequence[Spec]) -> pd.DataFrame:
    parts: list[pd.DataFrame] = []
    made: dict[str, pd.DataFrame] = {}
    for spec, design, first in _designs(panel, specs):
        held = first if spec.name.split("/")[0] == METHODS else design
        same = str((sample_key(spec), spec.to_dict()["estimator"]))
        if same not in made:
            try:
                made[same] = _balance_of(design, held)
            except StudyError:
                made[same] = pd.DataFrame()
        if len(made[same]):
            # The same match under another error is the same balance.
            parts.append(made[same].assign(**_about(spec)))
    columns = list(BALANCE_COLUMNS)
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _about(spec: Spec) -> dict[str, str]:
    family, variant = spec.name.split("/")[0], variant_of(spec.name)
    group, label = method_words(variant) if family == METHODS else ("", "")
    return {
        "family": family,
        "variant": variant,
        "group": group,
        "method": label,
        "measure": spec.outcome.measure,
        "spec": spec.name,
    }


def _designs(panel: Panel, specs: Sequence[Spec]) -> Iterator[tuple[Spec, Design, Design]]:
    """Yield each specification with its design and the first design of all; equal samples share one table."""
    made: dict[tuple[str, str, str], Design] = {}
    first: Design | None = None
    for spec in specs:
        key = (sample_key(spec), spec.estimator.weights, spec.within)
        try:
            if key not in made:
                made[key] = make_design(panel, spec)
        except StudyError:
            continue
        design = replace(made[key], spec=spec)
        if design.table["treated"].sum() < FEWEST:
            continue
        first = first or design
        yield spec, design, first


def _balance_of(design: Design, held: Design) -> pd.DataFrame:
    table = held.table.set_index("county_fips").sort_index()
    x = table[list(held.covariates)].to_numpy(dtype=float)
    treated, own = table["treated"].to_numpy(dtype=bool), table["weight"].to_numpy(dtype=float)
    y = table["outcome"].to_numpy(dtype=float)
    sets = match(design)
    after = (
        pd.Series(sets.weights, index=sets.counties).reindex(table.index).fillna(0.0).to_numpy(dtype=float)
    )
    samples = {"before": own}
    # Models compare all counties: their weights are no sample whose balance could be read.
    if design.spec.estimator.name not in UNMATCHED:
        samples["after"] = after
    over = denominators(x, treated, "treated")
    parts = []
    for sample, weights in samples.items():
        found, size = balance(x, treated, weights, over), effective_sample_size(weights, treated)
        parts.append(
            pd.DataFrame(
                {
                    "covariate": list(held.covariates),
                    "sample": sample,
                    "mean_treated": found.mean_treated,
                    "mean_comparison": found.mean_comparison,
                    "standardized_mean_difference": found.standardized_mean_difference,
                    "variance_ratio": found.variance_ratio,
                    "ks": found.ks,
                    "n_treated": int((weights[treated] > 0).sum()),
                    "n_comparison": int((weights[~treated] > 0).sum()),
                    "effective_treated": size.treated,
                    "effective_comparison": size.comparison,
                    "deviation": deviation_within(y, treated, weights > 0),
                }
            )
        )
    return pd.concat(parts, ignore_index=True).assign(estimand=sets.estimand)


def bias_bounds(panel: Panel, spec: Spec, *, jobs: int = 1) -> pd.DataFrame:
    """Return Rosenbaum's bounds of the optimal pairs and of the full match, for every outcome.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: the spec of methods.
        jobs: processes.

    Returns:
        The columns of `analysis.evidence.checks.hidden_bias.hidden_bias`, with variant, measure and spec before them;
        gammas ``GAMMAS``. Every row carries the note that such bounds are valid if counties were assigned
        independently and carry no verdict (rule 12).
    """
    wanted = [one for one in spec.expand() if variant_of(one.name) in BOUNDED]
    if jobs > 1 and len(wanted) > 1:
        with ProcessPoolExecutor(jobs, initializer=_hold, initargs=(panel,)) as pool:
            parts = list(pool.map(_bounds_held, wanted))
    else:
        parts = [_bounds(panel, one) for one in wanted]
    parts = [part for part in parts if len(part)]
    columns = ["variant", "measure", "spec", "method", "gamma", "statistic", "value", "unit", "n_sets", "n_treated",
               "n_comparison", "note"]  # fmt: skip
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _bounds_held(spec: Spec) -> pd.DataFrame:
    return _bounds(_PANEL[0], spec)


def _bounds(panel: Panel, spec: Spec) -> pd.DataFrame:
    try:
        found = hidden_bias(make_design(panel, spec), gammas=GAMMAS)
    except StudyError:
        return pd.DataFrame()
    return found.assign(variant=variant_of(spec.name), measure=spec.outcome.measure, spec=spec.name)


def e_values(rows: pd.DataFrame, reached: pd.DataFrame) -> pd.DataFrame:
    """Return E-values of the main methods: how strong a hidden trait must be to explain a difference away.

    Args:
        rows: from `matches`.
        reached: from `match_balance`, for the outcome's deviation within arms.

    Returns:
        variant, label, measure, spec, risk_ratio, e_value, e_value_interval (of the interval's end nearest to no
        difference; 1 where it covers zero), note. The ratio is exp(0.91 d), d the estimate over the deviation; the
        sample of a model is that before the match.

    Source: VanderWeele and Ding (2017), Annals of Internal Medicine 167(4).
    """
    last = (
        reached[reached["family"] == METHODS]
        .drop_duplicates("spec", keep="last")
        .set_index("spec")["deviation"]
    )
    made = []
    for row in rows[(rows["family"] == METHODS) & rows["variant"].isin(MAIN_VARIANTS)].to_dict("records"):
        spread = float(last.get(row["spec"], np.nan))
        values = np.array([row["estimate"], row["conf_low"], row["conf_high"]], dtype=float)
        if not np.isfinite(values[0]) or not spread > 0:
            continue
        found = e_value_difference(values, spread)
        made.append(
            {
                **{name: row[name] for name in ("variant", "label", "measure", "spec")},
                "risk_ratio": found.ratio,
                "e_value": found.estimate,
                "e_value_interval": found.interval,
                "note": NOTE,
            }
        )
    columns = ["variant", "label", "measure", "spec", "risk_ratio", "e_value", "e_value_interval", "note"]
    return pd.DataFrame(made, columns=columns)


def match_size(rows: pd.DataFrame, size: pd.DataFrame) -> pd.DataFrame:
    """Return how each method's intervals fared on SIMULATED panels, beside its estimate on the data.

    Args:
        rows: from `matches`.
        size: the committed table of the simulation: year, design, outcome, carries_verdict and ``MEASURED``; empty where
            none was made.

    Returns:
        One row a case and outcome of the simulation: design, method, error, measure, independent, ``MEASURED`` (coverage
        is the share of simulated panels whose interval held the truth, coverage_of_mean that held the estimator's own
        average, so that the error alone is judged; bias in per cent of the comparison mean), then percent, percent_low,
        percent_high, verdict, spec of the estimate on the data; missing where the spec does not ask it.
    """
    columns = ["design", "method", "error", "measure", "independent", *MEASURED, "percent", "percent_low",
               "percent_high", "verdict", "spec"]  # fmt: skip
    ours = rows[rows["family"] == METHODS].set_index(["variant", "measure"])
    made = []
    for row in size[size["year"] == SIZE_YEAR].to_dict("records") if len(size) else []:
        design, measure = str(row["design"]), str(row["outcome"])
        method, error, variant = CASES.get(design, (design.replace("_", " "), "", None))
        numbers = dict.fromkeys(("percent", "percent_low", "percent_high"), np.nan)
        about = {"verdict": "", "spec": ""}
        if variant is not None and (variant, measure) in ours.index:
            found = ours.loc[(variant, measure)]
            numbers = {name: found[name] for name in numbers}
            about = {name: found[name] for name in about}
        made.append(
            {"design": design, "method": method, "error": error, "measure": measure}
            | {"independent": not bool(row["carries_verdict"])}
            | {name: row[name] for name in MEASURED}
            | numbers
            | about
        )
    return pd.DataFrame(made, columns=columns)


# --------------------------------------------------------------------------------------------------------
# One sample, for figures
# --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MatchedSample:
    """The sample of the first specification of the methods, county by county: for drawing, never for writing.

    Args:
        scores: from `analysis.evidence.checks.overlap.score_frame`.
        trimming: the trim that is best for the treated counties' average.
        overlap: from `analysis.evidence.checks.overlap.overlap`, which names no county.
        sets: who is matched to whom.
        areas: county_fips, state, urban_class.
    """

    scores: pd.DataFrame
    trimming: Trimming
    overlap: pd.DataFrame
    sets: MatchedSets
    areas: pd.DataFrame


def matched_sample(panel: Panel, spec: Spec) -> MatchedSample:
    """Return scores, overlap and matches of the first specification a spec stands for.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: of a cross-section that matches.

    Raises:
        SpecError: the spec is of a panel.
        SampleError: no counties to compare, or arms that covariates separate.
    """
    one = spec.expand()[0]
    if one.design.kind != "cross_section":
        raise SpecError(f"'{one.name}' is of a {one.design.kind}", "a cross_section", one.where)
    design = make_design(panel, one)
    scores = score_frame(design)
    trimming = trim(
        scores["probability"].to_numpy(dtype=float),
        scores["treated"].to_numpy(dtype=bool),
        "att",
        "optimal_for_estimand",
    )
    areas = design.table[["county_fips", "state", "urban_class"]].reset_index(drop=True)
    return MatchedSample(scores, trimming, overlap(design, scores=scores), match(design), areas)

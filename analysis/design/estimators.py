"""What each estimator can honour: its keys of ``[estimator]``, its variances, what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.design.keys import (
    Key,
    by_name,
    choice,
    flag,
    listed,
    number,
    one_of,
    optional,
    rising,
    whole,
    width,
    years_around,
)


@dataclass(frozen=True, slots=True)
class EstimatorRules:
    """What one estimator can honour (protocol rule 11).

    Args:
        kind: the kind of design it takes.
        keys: its keys of ``[estimator]`` beside ``name``.
        vcov: the variances it can give.
        comparisons: the comparison groups it can keep to.
        refuses: key of another section to the reason it cannot be honoured, when it is set.
        needs_covariates: whether it is nothing without covariates.
        no_bootstrap: why resampling states is not valid for it, where it is not.
        by_pair: whether its sample falls into sets that share no county, so that a set can be a cluster.
    """

    kind: str
    keys: Mapping[str, Key]
    vcov: tuple[str, ...]
    comparisons: tuple[str, ...]
    refuses: Mapping[str, str]
    needs_covariates: bool = False
    no_bootstrap: str = ""
    by_pair: bool = False


_WEIGHTS = choice("population_baseline", "none")
_BOTH = ("not_yet_treated", "never_treated")
_GROUPS = ("urban_class", "state", "division")
_EXACT = listed("a list of urban_class, state, division", one_of(_GROUPS))
DISTANCES = (
    "mahalanobis",
    "robust_mahalanobis",
    "euclidean",
    "scaled_euclidean",
    "propensity",
    "propensity_score",
)
# Left out: the average over treated counties, no trimming, no regression on top.
_ESTIMAND = optional(choice("att", "atc", "ate"))
_TRIM = optional(choice("optimal_for_estimand", "optimal", "tenth"))
_REGRESSION = optional(flag())
_CALIPERS = by_name(
    'pairs of a covariate (or "propensity") and a width in standard deviations, [["log_population", 0.5]]',
    width,
)
_CALIPER = number(0.0, 100.0, "a distance in standard deviations, 0 for none")
_NEIGHBOURS = whole(1, 50, "a number of neighbours from 1 to 50")
_ON_TOP = {"estimand": _ESTIMAND, "trim": _TRIM, "regression_adjust": _REGRESSION}
_BINS = (
    "sturges",
    "scott",
    "freedman_diaconis",
    *(f"quantiles_{number_of}" for number_of in range(2, 21)),
)
_WITHIN = choice("none", "state", "urban_class")
_TRENDS = optional(choice("none", "county"))
_OF_SYNTHETIC = {
    "covariates.names": "weights rest on outcomes before adoption alone",
    "controls.policies": "a synthetic area holds no time-varying policy constant",
}
# Of estimators whose record holds each county's contribution to the error.
_BY_COUNTY = ("cluster", "spatial")
_INDEPENDENT = ("abadie_imbens", "abadie_imbens_homoskedastic")


def _cross_section(
    keys: Mapping[str, Key], vcov: tuple[str, ...], *, no_bootstrap: str = "", by_pair: bool = False
) -> EstimatorRules:
    return EstimatorRules(
        kind="cross_section",
        keys={**keys, "weights": _WEIGHTS},
        vcov=vcov,
        comparisons=_BOTH,
        refuses={
            "controls.policies": "a cross-section holds no time-varying policy constant",
            "treatment.anticipation": "a cross-section has no years before adoption",
        },
        needs_covariates=True,
        no_bootstrap=no_bootstrap,
        by_pair=by_pair,
    )


def _staggered(
    keys: Mapping[str, Key], comparisons: tuple[str, ...], refuses: Mapping[str, str] | None = None
) -> EstimatorRules:
    return EstimatorRules(
        kind="panel",
        keys={**keys, "within": _WITHIN, "weights": _WEIGHTS},
        vcov=_BY_COUNTY,
        comparisons=comparisons,
        refuses=refuses or {},
    )


ESTIMATORS: dict[str, EstimatorRules] = {
    "matched_difference": _cross_section(
        {
            "distance": choice(*DISTANCES),
            "neighbours": _NEIGHBOURS,
            "replacement": flag(),
            "caliper": _CALIPER,
            "calipers": _CALIPERS,
            "exact": _EXACT,
            "order": optional(choice("hardest_first", "closest", "data", "largest", "smallest", "random")),
            "bias_adjust": flag(),
            **_ON_TOP,
        },
        ("abadie_imbens", "abadie_imbens_homoskedastic", "estimated_score", "cluster", "randomisation"),
        no_bootstrap="resampling does not give the error of nearest neighbours (Abadie and Imbens 2008)",
        by_pair=True,
    ),
    "optimal_match": _cross_section(
        {
            "distance": choice(*DISTANCES),
            "neighbours": _NEIGHBOURS,
            "caliper": _CALIPER,
            "calipers": _CALIPERS,
            "exact": _EXACT,
            "short": optional(choice("refuse", "drop")),
            "bias_adjust": flag(),
            **_ON_TOP,
        },
        ("cluster", "randomisation", *_INDEPENDENT),
        no_bootstrap="a county drawn twice competes with itself for its match, which never happens in the sample",
        by_pair=True,
    ),
    "full_match": _cross_section(
        {
            "distance": choice(*DISTANCES),
            "max_controls": whole(0, 1000, "most comparison counties of a treated one, 0 for no limit"),
            "caliper": _CALIPER,
            "calipers": _CALIPERS,
            "exact": _EXACT,
            "bias_adjust": flag(),
            **_ON_TOP,
        },
        ("cluster", "randomisation"),
        no_bootstrap="a county drawn twice joins its own set, which never happens in the sample",
        by_pair=True,
    ),
    "genetic_match": _cross_section(
        {
            "neighbours": _NEIGHBOURS,
            "replacement": flag(),
            "caliper": _CALIPER,
            "calipers": _CALIPERS,
            "exact": _EXACT,
            "loss": choice("p_values", "worst_p_value", "standardized_mean_difference"),
            "population": whole(4, 1000, "weightings a generation, from 4 to 1,000"),
            "generations": whole(1, 1000, "generations from 1 to 1,000"),
            "bias_adjust": flag(),
            **_ON_TOP,
        },
        ("cluster", *_INDEPENDENT),
        no_bootstrap="resampling does not give the error of nearest neighbours (Abadie and Imbens 2008)",
        by_pair=True,
    ),
    "cardinality_match": _cross_section(
        {
            "distance": choice(*DISTANCES),
            "neighbours": _NEIGHBOURS,
            "tolerance": number(
                0.0,
                10.0,
                "largest standardized mean difference allowed, in standard deviations of the treated",
            ),
            "fine": listed("a list of urban_class, state, division", one_of(_GROUPS)),
            "exact": _EXACT,
            "bias_adjust": flag(),
            "trim": _TRIM,
            "regression_adjust": _REGRESSION,
        },
        ("cluster",),
        no_bootstrap="which counties are kept jumps from one resample to the next",
        by_pair=True,
    ),
    "coarsened_match": _cross_section(
        {
            "bins": choice(*_BINS),
            "cut_points": by_name(
                'pairs of a covariate and its cut-points, [["poverty", [0.1, 0.2]]]', rising
            ),
            "exact": _EXACT,
            "bias_adjust": flag(),
            **_ON_TOP,
        },
        ("cluster", "bootstrap", "randomisation"),
        by_pair=True,
    ),
    "subclassification": _cross_section(
        {
            "classes": whole(2, 50, "classes of the fitted probability, from 2 to 50"),
            "exact": _EXACT,
            "bias_adjust": flag(),
            **_ON_TOP,
        },
        ("cluster", "bootstrap", "randomisation"),
        by_pair=True,
    ),
    "weighting": _cross_section(
        {
            "method": choice(
                "inverse_probability",
                "overlap",
                "entropy",
                "covariate_balancing",
                "covariate_balancing_overidentified",
            ),
            "moments": whole(1, 4, "powers of the covariates that are modelled or balanced, from 1 to 4"),
            "estimand": optional(choice("att", "atc", "ate", "ato")),
            "trim": _TRIM,
            "regression_adjust": _REGRESSION,
        },
        ("cluster", "bootstrap", "randomisation"),
    ),
    "doubly_robust": _cross_section(
        {
            "moments": whole(1, 4, "powers of the covariates in both models, from 1 to 4"),
            "estimand": _ESTIMAND,
            "trim": _TRIM,
        },
        ("cluster", "bootstrap", "randomisation"),
    ),
    "regression_adjustment": _cross_section(
        {
            "moments": whole(1, 4, "powers of the covariates in the regressions, from 1 to 4"),
            "estimand": _ESTIMAND,
            "trim": _TRIM,
        },
        ("cluster", "bootstrap", "randomisation"),
    ),
    "matched_did": EstimatorRules(
        kind="panel",
        keys={
            "match_on": listed(
                "a list of covariates, outcome_lags, outcome_trend",
                one_of(("covariates", "outcome_lags", "outcome_trend")),
                default=...,
            ),
            "lag_years": optional(whole(1, 10, "years before adoption that are matched on, from 1 to 10")),
            "distance": choice(*DISTANCES[:-1]),
            "neighbours": _NEIGHBOURS,
            "replacement": flag(),
            "caliper": _CALIPER,
            "exact": _EXACT,
            "weights": _WEIGHTS,
        },
        vcov=("cluster",),
        comparisons=_BOTH,
        refuses={
            "controls.policies": "the match holds nothing constant that varies over time",
        },
    ),
    "two_way": EstimatorRules(
        kind="panel",
        keys={
            "effects": choice(
                "county_year", "state_by_year", "urban_class_by_year", "county_definition_year"
            ),
            "method": optional(choice("post", "event_time")),
            "weights": _WEIGHTS,
        },
        vcov=("cluster", "wild_bootstrap", "cr2", "cr3", "subcluster_bootstrap", "randomisation", "spatial"),
        comparisons=("not_yet_treated",),
        refuses={"covariates.names": "covariates fixed in time are absorbed by county effects"},
    ),
    "imputation": _staggered({"trends": _TRENDS}, ("not_yet_treated",)),
    "two_stage": _staggered({}, ("not_yet_treated",)),
    "interaction_weighted": _staggered(
        {},
        ("never_treated",),
        {"covariates.names": "covariates fixed in time are absorbed by county effects"},
    ),
    "stacked": _staggered(
        {"window": optional(whole(1, 10, "years either side of adoption, from 1 to 10"))},
        _BOTH,
        {
            "covariates.names": "a stack holds no covariates; group_time_att does",
            "controls.policies": "a stack holds no time-varying policy constant",
        },
    ),
    "extended_two_way": _staggered({"method": choice("linear", "poisson")}, ("not_yet_treated",)),
    "local_projections": _staggered(
        {"method": choice("variance_weighted", "equally_weighted")},
        _BOTH,
        {"covariates.names": "projections hold no covariates; group_time_att does"},
    ),
    "poisson": EstimatorRules(
        kind="panel",
        keys={
            "method": choice("post", "event_time"),
            "effects": choice("county_year", "state_by_year", "urban_class_by_year"),
            "exposure": optional(choice("population", "policed")),
            "weights": choice("none"),
        },
        vcov=_BY_COUNTY,
        comparisons=("not_yet_treated",),
        refuses={"covariates.names": "covariates fixed in time are absorbed by county effects"},
    ),
    "group_time_att": EstimatorRules(
        kind="panel",
        keys={
            "method": choice("doubly_robust", "outcome_regression", "inverse_weighting"),
            "within": _WITHIN,
            "weights": _WEIGHTS,
        },
        vcov=_BY_COUNTY,
        comparisons=_BOTH,
        refuses={},
    ),
    "border_pairs": EstimatorRules(
        kind="panel",
        keys={
            "effects": choice("segment_by_year", "pair_by_year", "group_by_year", "county_year"),
            "method": choice("post", "event_time"),
            "neighbours": optional(choice("all", "same_state", "other_state")),
            "span": optional(
                years_around("[years before, years after] adoption, each from 1 to 10: [2, 1]", 10)
            ),
            "trends": _TRENDS,
            "repeats": optional(choice("shared", "whole")),
            "weights": _WEIGHTS,
        },
        vcov=("cluster",),
        comparisons=_BOTH,
        refuses={},
    ),
    "synthetic_control": EstimatorRules(
        kind="panel",
        keys={"method": choice("simplex", "augmented"), "weights": choice("none")},
        vcov=("placebo",),
        comparisons=("never_treated",),
        refuses=_OF_SYNTHETIC,
    ),
    "synthetic_did": EstimatorRules(
        kind="panel",
        keys={"weights": choice("none")},
        vcov=("placebo",),
        comparisons=("never_treated",),
        refuses=_OF_SYNTHETIC,
    ),
    "before_after": EstimatorRules(
        kind="panel",
        keys={
            "lag_years": whole(1, 10, "years either side of adoption that are averaged, from 1 to 10"),
            "weights": _WEIGHTS,
        },
        vcov=_BY_COUNTY,
        comparisons=_BOTH,
        refuses={
            "covariates.names": "a county is compared with itself alone",
            "controls.policies": "a county is compared with itself alone",
        },
    ),
    "two_by_two": EstimatorRules(
        kind="panel",
        keys={"within": _WITHIN, "weights": _WEIGHTS},
        vcov=_BY_COUNTY,
        comparisons=("never_treated",),
        refuses={
            "covariates.names": "four means hold no covariates; group_time_att does",
            "controls.policies": "four means hold no time-varying policy constant",
        },
    ),
}

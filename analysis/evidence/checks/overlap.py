"""Whether treated and comparison areas overlap in their propensity scores, in all and by urban-rural class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.matching.distances import standardised_coordinates
from analysis.estimation.matching.overlap import (
    NEAR,
    RULE_OF_THUMB,
    Estimand,
    Rule,
    common_support,
    linear_overlap,
    trim,
    within_caliper,
)
from analysis.estimation.matching.propensity import fit_logit

Array = NDArray[np.float64]

# The ways of trimming that are shown side by side: name to rule.
RULES: Mapping[str, Rule] = {
    "optimal": "optimal",
    "optimal_for_estimand": "optimal_for_estimand",
    "tenth": RULE_OF_THUMB,
}

_BOUND_OF: Mapping[str, Estimand] = {"att": "att", "atc": "atc", "ate": "ate", "ato": "ate"}


def score_frame(design: Design) -> pd.DataFrame:
    """Return each county's propensity of being treated, given the covariates of the design.

    Args:
        design: a cross-section with covariates.

    Returns:
        One row a county: county_fips, state, urban_class, treated, linear (linear predictor of a logit on the
        covariates, standardised, fitted on all counties, unweighted), probability.

    Raises:
        SpecError: a design that is no cross-section, or without covariates.
        SampleError: a covariate is missing or does not vary, or the covariates separate the arms.

    Assumption: none for reading overlap; as a score to match or weight on, that its logit is linear in the
        covariates.

    Source: Rosenbaum and Rubin (1983), Biometrika 70(1).
    """
    if design.kind != "cross_section" or not design.covariates:
        raise SpecError(
            f"overlap of a {design.kind} with {len(design.covariates)} covariates",
            "a cross_section with some",
            design.spec.where,
        )
    table = design.table.sort_values("county_fips", kind="stable").reset_index(drop=True)
    x = table[list(design.covariates)].to_numpy(dtype=float)
    missing = table.loc[~np.isfinite(x).all(axis=1), "county_fips"].tolist()
    if missing:
        raise SampleError(
            f"{len(missing)} counties without every covariate ({', '.join(missing)})",
            "finite covariates",
            "covariates.names",
        )
    still = [name for name, spread in zip(design.covariates, np.ptp(x, axis=0), strict=True) if spread == 0]
    if still:
        raise SampleError(
            f"{', '.join(still)} does not vary in the sample", "covariates that vary", "covariates.names"
        )
    fit = fit_logit(
        np.column_stack([np.ones(len(x)), standardised_coordinates(x)]), table["treated"].to_numpy(dtype=bool)
    )
    if not fit.converged:
        raise SampleError(
            "the covariates separate treated from comparison counties, or follow from one another",
            "arms that overlap, and fewer covariates",
            "covariates.names",
        )
    return table[["county_fips", "state", "urban_class", "treated"]].assign(
        treated=table["treated"].astype(bool), linear=fit.linear, probability=fit.probability
    )


def overlap(
    design: Design,
    estimand: Estimand | None = None,
    *,
    caliper: float = NEAR,
    scores: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return how far the arms' propensity scores overlap, in all counties and in each urban-rural class.

    The score is fitted once, on all counties; each class is then read by itself, as matching within classes
    meets it.

    Args:
        design: a cross-section with covariates.
        estimand: what is to be estimated, for the bound of trimming and the name of what it leaves; None for
            the spec's. Overlap weights (ato) need no trimming: theirs is read as that of the ate.
        caliper: in standard deviations of the linear predictor over the counties of the row's group.
        scores: from `score_frame`; fitted here if None.

    Returns:
        Tidy table: urban_class (``all`` first), statistic, value, n_treated, n_comparison, estimand (of rows
        about trimming: what is estimated on the counties kept), note (why a value is missing). Statistics:
        support_low, support_high (propensity that both arms reach), treated_outside, comparison_outside
        (shares), overlap (coefficient of the linear predictors), caliper (in the linear predictor),
        treated_near, comparison_near (shares with a county of the other arm within it), treated_alone,
        comparison_alone (counties with none); then for ``optimal``, ``optimal_for_estimand`` and ``tenth``
        (the rule of thumb of 0.1): alpha_, treated_kept_, comparison_kept_ and variance_ratio_ (bound of the
        counties kept over that of all).

    Raises:
        SpecError, SampleError: see `score_frame`.

    Source: Crump, Hotz, Imbens and Mitnik (2009), Biometrika 96(1), for trimming; Dehejia and Wahba (1999) for
        common support; Inman and Bradley (1989) for the overlap coefficient; Austin (2011) for the caliper.

    Example:
        ``overlap(design).query("statistic == 'treated_outside'")`` shows the classes that lack comparisons.
    """
    scores = score_frame(design) if scores is None else scores
    asked = estimand or _BOUND_OF[design.spec.estimator.estimand or "att"]
    groups = [
        ("all", scores),
        *((str(name), part) for name, part in scores.groupby("urban_class", sort=True)),
    ]
    rows = []
    for name, part in groups:
        treated = part["treated"].to_numpy(dtype=bool)
        n = {"n_treated": int(treated.sum()), "n_comparison": int((~treated).sum())}
        note = ""
        if min(n.values()) == 0:
            note = f"no {'treated' if n['n_treated'] == 0 else 'comparison'} county"
        linear, probability = part["linear"].to_numpy(dtype=float), part["probability"].to_numpy(dtype=float)
        found = _statistics(linear, probability, treated, asked, caliper) if not note else iter(())
        listed = [{"statistic": s, "value": v, "estimand": e, "note": w} for s, v, e, w in found] or [
            {"statistic": "overlap", "value": np.nan, "estimand": "", "note": note}
        ]
        rows += [{"urban_class": name, **row, **n} for row in listed]
    columns = ["urban_class", "statistic", "value", "n_treated", "n_comparison", "estimand", "note"]
    return pd.DataFrame(rows)[columns]


def _statistics(
    linear: Array, probability: Array, treated: NDArray[np.bool_], estimand: Estimand, caliper: float
) -> Iterator[tuple[str, float, str, str]]:
    support, near = common_support(probability, treated), within_caliper(linear, treated, caliper)
    plain = {
        "support_low": support.low,
        "support_high": support.high,
        "treated_outside": support.treated_outside,
        "comparison_outside": support.comparison_outside,
        "overlap": linear_overlap(linear, treated),
        "caliper": near.width,
        "treated_near": near.share_treated,
        "comparison_near": near.share_comparison,
        "treated_alone": float((~near.near & treated).sum()),
        "comparison_alone": float((~near.near & ~treated).sum()),
    }
    for statistic, value in plain.items():
        yield statistic, value, "", ""
    for name, rule in RULES.items():
        try:
            kept = trim(probability, treated, estimand, rule)
        except ValueError as error:
            yield f"alpha_{name}", np.nan, "", str(error)
            continue
        yield f"alpha_{name}", kept.alpha, kept.estimand, ""
        yield f"treated_kept_{name}", float((kept.kept & treated).sum()), kept.estimand, ""
        yield f"comparison_kept_{name}", float((kept.kept & ~treated).sum()), kept.estimand, ""
        yield f"variance_ratio_{name}", kept.variance_ratio, kept.estimand, ""

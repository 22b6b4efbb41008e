"""How alike treated and comparison areas are on the covariates of a design, before and after matching."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.design.design import Design
from analysis.estimation.matching.balance import Denominator, denominators
from analysis.estimation.matching.balance import balance as of_arrays

STATISTICS = ("mean_treated", "mean_comparison", "standardized_mean_difference", "variance_ratio", "ks")


def balance(design: Design, denominator: Denominator = "treated") -> pd.DataFrame:
    """Return balance covariate by covariate: all areas, and the matched sample where the spec matches.

    Args:
        design: a cross-section under ``matched_difference``, which is matched here as its spec says; or a panel, whose
            areas are compared once each on covariates fixed before adoption, under the weights of the estimate.
        denominator: whose standard deviation standardises mean differences, always that of the unmatched sample.

    Returns:
        One row a covariate and sample (``before``, ``after``): covariate, sample, mean_treated, mean_comparison,
        standardized_mean_difference, variance_ratio, ks, n_treated, n_comparison (distinct areas with weight).

    Raises:
        StudyError: the design has no covariates.

    Source: Stuart (2010), Statistical Science 25(1).
    """
    if not design.covariates:
        raise StudyError(
            "balance of a design without covariates", "covariates.names in the spec", design.spec.where
        )
    if design.spec.estimator.name == "matched_difference":
        from analysis.estimation.matched import match

        sets = match(design)
        x, treated = sets.covariates, np.asarray(sets.treated)
        own = design.table.set_index("county_fips").loc[sets.counties, "weight"].to_numpy(dtype=float)
        samples = {"before": own, "after": np.asarray(sets.weights)}
    else:
        areas = design.table.groupby("county_fips", sort=True)
        first = areas.first()
        x = first[list(design.covariates)].to_numpy(dtype=float)
        treated = areas["treated"].any().to_numpy(dtype=bool)
        samples = {"before": first["weight"].to_numpy(dtype=float)}
    deviation = denominators(x, treated, denominator)
    parts = []
    for name, weights in samples.items():
        found = of_arrays(x, treated, weights, deviation)
        parts.append(
            pd.DataFrame({"covariate": list(design.covariates), "sample": name})
            .assign(**{statistic: getattr(found, statistic) for statistic in STATISTICS})
            .assign(
                n_treated=int((weights[treated] > 0).sum()), n_comparison=int((weights[~treated] > 0).sum())
            )
        )
    return pd.concat(parts, ignore_index=True)

"""How alike treated and comparison areas are on the covariates of a design, before and after matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, StudyError
from analysis.design.design import Design
from analysis.estimation.matching.balance import Denominator, denominators, tidy_balance
from analysis.estimation.matching.balance import balance as of_arrays

if TYPE_CHECKING:
    from analysis.estimation.matched import MatchedSets

Array = NDArray[np.float64]

STATISTICS = ("mean_treated", "mean_comparison", "standardized_mean_difference", "variance_ratio", "ks")

# Cross-section estimators that neither match nor weight: they have no second sample to compare.
UNMATCHED = ("regression_adjustment", "doubly_robust")


@dataclass(frozen=True, slots=True)
class _Compared:
    """Areas once each, and the weights of each sample; ``after`` is None where nothing is matched."""

    x: Array
    treated: NDArray[np.bool_]
    before: Array
    after: Array | None
    label: str


def balance(
    design: Design, denominator: Denominator = "treated", *, sets: MatchedSets | None = None
) -> pd.DataFrame:
    """Return balance covariate by covariate: all areas, and the matched sample where the spec matches.

    Args:
        design: a cross-section under a matching or weighting estimator, which is matched here as its spec says;
            or a panel, whose areas are compared once each on covariates fixed before adoption, under the
            weights of the estimate.
        denominator: whose standard deviation standardises mean differences, always that of the unmatched
            sample: treated, comparison, pooled or all.
        sets: from ``match(design)``; matched here if None.

    Returns:
        One row a covariate and sample (``before``, ``after``): covariate, sample, mean_treated, mean_comparison,
        standardized_mean_difference, variance_ratio, ks, n_treated, n_comparison (distinct areas with weight).
        `balance_table` has the other statistics, thresholds and a summary.

    Raises:
        StudyError: the design has no covariates.
        SampleError: a covariate is missing, or an arm is empty.

    Source: Stuart (2010), Statistical Science 25(1).
    """
    found = _compared(design, sets)
    deviation = denominators(found.x, found.treated, denominator)
    parts = []
    for name, weights in (("before", found.before), ("after", found.after)):
        if weights is None:
            continue
        try:
            one = of_arrays(found.x, found.treated, weights, deviation)
        except ValueError as error:
            raise _refusal(error, design) from error
        parts.append(
            pd.DataFrame({"covariate": list(design.covariates), "sample": name})
            .assign(**{statistic: getattr(one, statistic) for statistic in STATISTICS})
            .assign(
                n_treated=int((weights[found.treated] > 0).sum()),
                n_comparison=int((weights[~found.treated] > 0).sum()),
            )
        )
    return pd.concat(parts, ignore_index=True)


def balance_table(
    design: Design,
    denominator: Denominator = "treated",
    *,
    sets: MatchedSets | None = None,
    products: bool = False,
    quantiles: bool = False,
) -> pd.DataFrame:
    """Return balance as one tidy table: covariate by sample by statistic, each held against its threshold.

    Args:
        design: as `balance`.
        denominator: as `balance`.
        sets: from ``match(design)``; matched here if None.
        products: whether squares and pairwise products of covariates are rows too.
        quantiles: whether distances between quantile functions are statistics too, in the covariate's unit.

    Returns:
        Columns covariate, sample (``all``; then ``matched`` or ``weighted``), statistic, value, denominator,
        threshold_low, threshold_high, within (True, False or missing). Statistics: mean_treated,
        mean_comparison, standardized_mean_difference (within -0.1 and 0.1), variance_ratio (within 0.5 and 2;
        not held against it for a column of two values), ks (the largest eCDF difference; no threshold),
        ecdf_mean, ecdf_mean_sample, overlap. Rows of covariate ``(all)``: n_treated, n_comparison,
        effective_treated, effective_comparison, largest_ and mean_standardized_mean_difference (of absolute
        values), and the share of covariates within each threshold and within 0.8 and 1.25 for the variance
        ratio.

    Raises:
        StudyError: the design has no covariates.
        SampleError: a covariate is missing, or an arm is empty.

    Source: Stuart (2010), Statistical Science 25(1); for the thresholds Austin (2009), Statistics in Medicine
        28(25), and Rubin (2001), Health Services and Outcomes Research Methodology 2.

    Example:
        ``balance_table(design).query("within == False")`` lists what is out of balance.
    """
    found = _compared(design, sets)
    samples = {"all": found.before}
    if found.after is not None:
        samples[found.label] = found.after
    try:
        columns = tidy_balance(
            found.x,
            found.treated,
            samples,
            design.covariates,
            denominator,
            with_products=products,
            with_quantiles=quantiles,
        )
    except ValueError as error:
        raise _refusal(error, design) from error
    return tidy_frame(columns)


def tidy_frame(columns: dict[str, list[object]]) -> pd.DataFrame:
    """Return the columns of ``tidy_balance`` as a frame whose missing cells are missing.

    Example:
        >>> tidy_frame({"value": [0.2], "within": [None]})["within"].isna().tolist()
        [True]
    """
    kinds = {"threshold_low": "float64", "threshold_high": "float64", "within": "boolean"}
    frame = pd.DataFrame(columns)
    return frame.astype({name: kind for name, kind in kinds.items() if name in frame})


def _compared(design: Design, sets: MatchedSets | None) -> _Compared:
    if not design.covariates:
        raise StudyError(
            "balance of a design without covariates", "covariates.names in the spec", design.spec.where
        )
    if design.kind == "cross_section" and design.spec.estimator.name not in UNMATCHED:
        from analysis.estimation.matched import match

        sets = match(design) if sets is None else sets
        own = design.table.set_index("county_fips").loc[sets.counties, "weight"].to_numpy(dtype=float)
        label = "weighted" if sets.pairs.empty and sets.sets is None else "matched"
        return _Compared(sets.covariates, np.asarray(sets.treated), own, np.asarray(sets.weights), label)
    areas = design.table.groupby("county_fips", sort=True)
    first = areas.first()
    return _Compared(
        first[list(design.covariates)].to_numpy(dtype=float),
        areas["treated"].any().to_numpy(dtype=bool),
        first["weight"].to_numpy(dtype=float),
        None,
        "",
    )


def _refusal(error: ValueError, design: Design) -> SampleError:
    return SampleError(str(error), "complete covariates, and areas of both arms", design.spec.where)

"""Bounds on an estimate when part of what happened was not reported, for estimates that are linear in the outcome.

An estimate that is linear in the outcome, given who is treated when, is a weighted sum of county-years' rates. Of a
county-year whose agencies cover a share c of its policed residents, the rate of all of them is c times the reported rate
plus 1 - c times an unknown one. Where the unknown rate lies between two stated values, the largest and the smallest
estimate put it at one of them, by the sign of the county-year's weight: the ends are sharp, and nothing is searched for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, t

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of an estimate, and the outcomes that give them.

    Args:
        low: smallest estimate.
        high: largest estimate.
        outcome_low: (n,) rates under which the estimate is ``low``.
        outcome_high: (n,) rates under which it is ``high``.
    """

    low: float
    high: float
    outcome_low: Array
    outcome_high: Array


def change_weights(treated: Flags, size: Array, strata: NDArray[np.generic]) -> Array:
    """Return the weight of each county's change in a difference of mean changes within strata.

    Args:
        treated: (n,); every stratum holds both arms.
        size: (n,) positive weights of counties.
        strata: (n,) labels; differences are taken within them and averaged by treated size.

    Returns:
        (n,) weights, positive for treated counties, negative for the others; those of either arm sum to one in size.

    Raises:
        ValueError: a stratum with one arm alone.

    Example:
        >>> change_weights(np.array([True, False, False]), np.array([2.0, 1.0, 3.0]), np.zeros(3)).tolist()
        [1.0, -0.25, -0.75]
    """
    _, at = np.unique(strata, return_inverse=True)
    on, off = (np.bincount(at, size * arm, minlength=int(at.max()) + 1) for arm in (treated, ~treated))
    if not (on > 0).all() or not (off > 0).all():
        raise ValueError("a stratum holds one arm alone; wanted both in each")
    return np.asarray(np.where(treated, size, -size * (on / off)[at]) / on.sum(), dtype=float)


def filled(rate: Array, coverage: Array, unknown: Array) -> Array:
    """Return the rate of all policed residents, given that of those whose agencies did not report.

    Args:
        rate: (n,) reported rates; not looked at where nothing is covered.
        coverage: (n,) shares in [0, 1].
        unknown: (n,) rates of the residents not covered; not looked at where all are.

    Returns:
        (n,) rates, in the unit of ``rate``.

    Raises:
        ValueError: a coverage outside [0, 1], or a rate that is missing where it is needed.

    Example:
        >>> filled(np.array([100.0, np.nan]), np.array([0.9, 0.0]), np.array([0.0, 80.0])).tolist()
        [90.0, 80.0]
    """
    if not ((coverage >= 0) & (coverage <= 1)).all():
        raise ValueError("a coverage that is missing or outside [0, 1]; wanted a share")
    out = np.where(coverage > 0, coverage * np.where(coverage > 0, rate, 0.0), 0.0)
    out = out + np.where(coverage < 1, (1 - coverage) * np.where(coverage < 1, unknown, 0.0), 0.0)
    if not np.isfinite(out).all():
        raise ValueError(f"{int((~np.isfinite(out)).sum())} rates are missing; wanted one where it counts")
    return np.asarray(out, dtype=float)


def sharp_ends(weights: Array, rate: Array, coverage: Array, lowest: Array, highest: Array) -> Ends:
    """Return the smallest and the largest estimate when unreported rates lie anywhere between two values.

    Args:
        weights: (n,) of each county-year in the estimate.
        rate: (n,) reported rates.
        coverage: (n,) shares of policed residents whose agencies reported.
        lowest: (n,) smallest rate of the others.
        highest: (n,) largest rate of the others.

    Returns:
        `Ends`. Both are attained: no narrower bounds hold without knowing more.

    Raises:
        ValueError: ``lowest`` above ``highest``, or as `filled`.

    Assumption: the unreported rates lie within the stated values; weights do not depend on outcomes.

    Source: Manski (2003), Partial Identification of Probability Distributions, chapter 1; Horowitz and Manski (2000),
    Journal of the American Statistical Association 95(449), for outcomes missing in part.

    Example:
        A treated county of which a tenth is unreported, against one that reports in full.

        >>> ends = sharp_ends(np.array([1.0, -1.0]), np.array([100.0, 80.0]), np.array([0.9, 1.0]),
        ...                   np.zeros(2), np.full(2, 200.0))
        >>> ends.low, ends.high
        (10.0, 30.0)
    """
    if (lowest > highest)[coverage < 1].any():
        raise ValueError("a lowest rate above the highest; wanted lowest <= highest")
    low = filled(rate, coverage, np.where(weights > 0, lowest, highest))
    high = filled(rate, coverage, np.where(weights > 0, highest, lowest))
    return Ends(float(weights @ low), float(weights @ high), low, high)


def ratio_to_zero(weights: Array, rate: Array, coverage: Array, moved: Flags) -> float:
    """Return the ratio of unreported to reported rates, in some county-years alone, at which the estimate is zero.

    Everywhere else residents not covered have the reported rate. The estimate is linear in the ratio, so there is one.

    Args:
        weights: (n,).
        rate: (n,) reported rates (where nothing is covered the rate taken in their place).
        coverage: (n,).
        moved: (n,) county-years in which the ratio differs from one, as treated ones after adoption.

    Returns:
        The ratio. Negative where not even no offence at all among those not covered would do it; infinite where nothing
        is unreported in those county-years.

    Example:
        >>> k = ratio_to_zero(np.array([1.0, -1.0]), np.array([100.0, 95.0]), np.array([0.9, 1.0]),
        ...                   np.array([True, False]))
        >>> round(k, 9)
        0.5
    """
    estimate = float(weights @ rate)
    slope = float((weights * (1 - coverage) * rate)[moved].sum())
    if slope == 0:
        return float("inf") if estimate != 0 else 1.0
    return 1 - estimate / slope


def factor_to_zero(weights: Array, rate: Array, coverage: Array) -> float:
    """Return the factor k at which zero enters the bounds, unreported rates lying from 1/k to k times the reported ones.

    Args:
        weights: (n,).
        rate: (n,) reported rates.
        coverage: (n,).

    Returns:
        k, at least 1; infinite where no factor suffices.

    Assumption: the worst arrangement the factor allows, county-year by county-year.

    Example:
        >>> k = factor_to_zero(np.array([1.0, -1.0]), np.array([100.0, 92.5]), np.array([0.9, 0.9]))
        >>> ends = sharp_ends(np.array([1.0, -1.0]), np.array([100.0, 92.5]), np.array([0.9, 0.9]),
        ...                   np.array([100.0, 92.5]) / k, np.array([100.0, 92.5]) * k)
        >>> round(k, 3), round(ends.low, 9) + 0.0
        (1.467, 0.0)
    """
    estimate = float(weights @ rate)
    if estimate == 0:
        return 1.0
    # Towards zero a county-year of the estimate's own sign is lowered, any other raised.
    part = np.sign(estimate) * weights * (1 - coverage) * rate
    lowered, raised = float(part[part > 0].sum()), float(-part[part < 0].sum())
    size = abs(estimate)
    if raised == 0:
        return lowered / (lowered - size) if lowered > size else float("inf")
    # raised k^2 + (lowered - raised - size) k - lowered = 0 has one positive root.
    b = lowered - raised - size
    return float((-b + np.sqrt(b**2 + 4 * raised * lowered)) / (2 * raised))


def imbens_manski(
    low: float, high: float, error_low: float, error_high: float, level: float, df: float = np.inf
) -> tuple[float, float]:
    """Return the interval that holds the parameter at the stated level, wherever between the ends it lies.

    The ends are moved out by one critical value C: the chance that a t variable is below C + (high - low) / s, less that
    it is below -C, is the level, s the larger error. It is the two-sided value where the ends meet and the one-sided one
    where they lie far apart.

    Args:
        low: estimated lower end.
        high: estimated upper end.
        error_low: its standard error.
        error_high: of the upper end.
        level: of the interval.
        df: degrees of freedom; infinite for the normal one.

    Returns:
        Lower and upper limit; missing without errors.

    Raises:
        ValueError: ends in the wrong order, or a level outside (0, 1).

    Assumption: ends normal (t) with errors that are right; ends in order by construction, under which the interval holds
    uniformly (Stoye).

    Source: Imbens and Manski (2004), Econometrica 72(6), section 4; Stoye (2009), Econometrica 77(4).

    Example:
        >>> [round(v, 3) for v in imbens_manski(0.0, 0.0, 1.0, 1.0, 0.95)]
        [-1.96, 1.96]
        >>> [round(v, 3) for v in imbens_manski(0.0, 100.0, 1.0, 1.0, 0.95)]
        [-1.645, 101.645]
    """
    if high < low:
        raise ValueError(f"ends {low:g} and {high:g}; wanted the lower one first")
    if not 0 < level < 1:
        raise ValueError(f"level {level:g}; wanted a share in (0, 1)")
    larger = max(error_low, error_high)
    if not np.isfinite(larger) or not larger > 0:
        return float("nan"), float("nan")
    law = norm if np.isinf(df) else t(df)
    gap = (high - low) / larger
    outer, inner = float(law.ppf((1 + level) / 2)), float(law.ppf(level))
    critical = (
        float(
            brentq(lambda c: law.cdf(c + gap) - law.cdf(-c) - level, inner - 1e-9, outer + 1e-9, xtol=1e-12)
        )
        if gap > 0
        else outer
    )
    return low - critical * error_low, high + critical * error_high

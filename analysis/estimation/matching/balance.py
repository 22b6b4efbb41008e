"""How alike two weighted groups are, covariate by covariate: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Denominator = Literal["treated", "pooled"]


@dataclass(frozen=True, slots=True)
class Balance:
    """Balance of k covariates; every field (k,).

    Args:
        mean_treated: weighted mean of treated rows.
        mean_comparison: weighted mean of comparison rows.
        standardized_mean_difference: their difference over a standard deviation that does not depend on the
            weights.
        variance_ratio: weighted variance of treated over that of comparison rows.
        ks: largest distance between the two weighted distribution functions, in [0, 1].
    """

    mean_treated: Array
    mean_comparison: Array
    standardized_mean_difference: Array
    variance_ratio: Array
    ks: Array


def denominators(x: Array, treated: NDArray[np.bool_], kind: Denominator) -> Array:
    """Return the standard deviations that standardise mean differences, (k,), before any matching or
    weighting.

    Args:
        x: (n, k) covariates of every row, matched or not.
        treated: (n,) bool.
        kind: "treated" for that of treated rows (Stuart 2010), "pooled" for the root of the mean of both
            variances.

    Example:
        >>> x, treated = np.array([[0.0], [2.0], [0.0], [0.0]]), np.array([True, True, False, False])
        >>> denominators(x, treated, "pooled")
        array([1.])
    """
    of_treated = x[treated].var(axis=0, ddof=1)
    if kind == "treated":
        return np.sqrt(of_treated)
    return np.sqrt((of_treated + x[~treated].var(axis=0, ddof=1)) / 2)


def balance(x: Array, treated: NDArray[np.bool_], weights: Array, denominator: Array) -> Balance:
    """Compare treated and comparison rows under weights.

    Args:
        x: (n, k) covariates.
        treated: (n,) bool.
        weights: (n,) non-negative; rows with weight 0 are not in the sample.
        denominator: (k,) from ``denominators``: the same before and after matching, so that a smaller
            standardized mean difference means closer means and not a larger spread.

    Source: Stuart (2010), Statistical Science 25(1); weighted variances as in Austin and Stuart (2015).

    Example:
        >>> x, d = np.array([[1.0], [3.0], [1.0], [3.0]]), np.array([True, True, False, False])
        >>> balance(x, d, np.ones(4), denominators(x, d, "treated")).standardized_mean_difference
        array([0.])
    """
    mean_1, variance_1 = _moments(x[treated], weights[treated])
    mean_0, variance_0 = _moments(x[~treated], weights[~treated])
    with np.errstate(divide="ignore", invalid="ignore"):
        smd = np.where(denominator > 0, (mean_1 - mean_0) / denominator, np.nan)
        ratio = np.where(variance_0 > 0, variance_1 / variance_0, np.nan)
    ks = np.array([_ks(column, treated, weights) for column in x.T])
    return Balance(mean_1, mean_0, smd, ratio, ks)


def _moments(x: Array, w: Array) -> tuple[Array, Array]:
    total = w.sum()
    mean = w @ x / total
    # Reliability weights: for equal weights this is the usual variance with n - 1.
    room = total - (w**2).sum() / total
    variance = w @ (x - mean) ** 2 / room if room > 0 else np.full(x.shape[1], np.nan)
    return mean, variance


def _ks(column: Array, treated: NDArray[np.bool_], weights: Array) -> float:
    values, at = np.unique(column, return_inverse=True)
    of_treated = np.bincount(at, weights * treated, minlength=len(values)).cumsum()
    of_comparison = np.bincount(at, weights * ~treated, minlength=len(values)).cumsum()
    return float(np.abs(of_treated / of_treated[-1] - of_comparison / of_comparison[-1]).max())

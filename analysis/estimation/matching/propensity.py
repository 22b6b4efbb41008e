"""Logit by iteratively reweighted least squares: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Logit:
    """A fitted logit.

    Args:
        coefficients: (k,).
        linear: (n,) linear predictor.
        probability: (n,) fitted probability.
        bread: (k, k) inverse of the (weighted) information matrix.
        converged: False where the arms are separated or the iterations did not settle.
    """

    coefficients: Array
    linear: Array
    probability: Array
    bread: Array
    converged: bool


def fit_logit(
    x: Array, d: NDArray[np.bool_], weights: Array | None = None, tolerance: float = 1e-9, limit: int = 40
) -> Logit:
    """Fit the probability that ``d`` is true by maximum likelihood.

    Args:
        x: (n, k) design matrix; it holds its own constant.
        d: (n,) treated.
        weights: (n,) weights of the likelihood; None for ones.
        tolerance: largest change of a linear predictor at which the iterations stop.
        limit: most iterations.

    Returns:
        The fit; ``converged`` is False under separation instead of raising, so that a caller can drop one
        cell and keep the rest.

    Example:
        >>> x = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
        >>> fit = fit_logit(x, np.array([False, True, True, True]) & np.array([True, True, True, False]))
        >>> fit.probability.round(3)
        array([0.5, 0.5, 0.5, 0.5])
    """
    n, k = x.shape
    w = np.ones(n) if weights is None else weights
    target = d.astype(float)
    # As R's glm starts. From the share common to all, the second step overshoots where one group's own share lies far
    # above it, and a fit that exists would be taken for separation.
    start = (target + 0.5) / 2
    beta, eta = np.zeros(k), np.log(start / (1 - start))
    converged, bread = False, np.full((k, k), np.nan)
    for _ in range(limit):
        p = expit(eta)
        variance = np.maximum(p * (1 - p), 1e-14)
        weighted = x * (w * variance)[:, None]
        try:
            factor = cho_factor(weighted.T @ x)
        except LinAlgError:
            break
        # Newton's step in its least-squares form: it needs no starting coefficients, only a starting
        # predictor.
        beta, before = cho_solve(factor, weighted.T @ (eta + (target - p) / variance)), eta
        eta = x @ beta
        if not np.all(np.isfinite(eta)) or np.abs(eta).max() > 700:
            break
        # Under separation predictors grow by about one a step for ever, however flat the likelihood has
        # become.
        if np.abs(eta - before).max() <= tolerance * (1 + np.abs(eta).max()):
            converged = True
            p = expit(eta)
            bread = np.linalg.inv((x * (w * p * (1 - p))[:, None]).T @ x)
            break
    return Logit(beta, eta, expit(eta), bread, converged)

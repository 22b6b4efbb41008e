"""Moments the simulated panel's parameters are read from: arrays in, a few numbers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr


def lag_concordance(first: np.ndarray, second: np.ndarray, correlation: float) -> np.ndarray:
    """Return the chance that two standard normals of that correlation lie below two thresholds each.

    Args:
        first, second: thresholds, same shape.
        correlation: in [0, 1).

    Example:
        >>> float(lag_concordance(np.zeros(1), np.zeros(1), 0.5).round(3)[0])
        0.333
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    spread = np.sqrt(1 - correlation)
    shared = np.sqrt(correlation) * nodes
    below = [ndtr((np.asarray(a)[..., None] - shared) / spread) for a in (first, second)]
    return np.asarray((below[0] * below[1]) @ weights)


def bisect(f: Callable[[float], float], low: float, high: float, steps: int = 50) -> float:
    """Return where an increasing function crosses zero between two bounds."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return (low + high) / 2


def persistence(moments: Mapping[int, float]) -> tuple[float, float]:
    """Return AR(1) persistence and stationary deviation that reproduce variances of changes over several lags.

    The variance of a change over k years is 2 s^2 (1 - r^k).

    Args:
        moments: variance of k-year changes by k.

    Example:
        >>> r, s = persistence({k: 2 * 0.04 * (1 - 0.6**k) for k in (1, 2, 3, 4)})
        >>> round(r, 2), round(s, 2)
        (0.6, 0.2)
    """
    lags = np.array(sorted(moments))
    values = np.clip([moments[int(k)] for k in lags], 1e-6, None)
    best = (np.inf, 0.0, 0.0)
    for r in np.arange(0.0, 0.96, 0.01):
        shape = 2 * (1 - r**lags)
        variance = float((shape * values).sum() / (shape**2).sum())
        loss = float(((values - variance * shape) ** 2).sum())
        if loss < best[0]:
            best = (loss, float(r), float(np.sqrt(max(variance, 1e-6))))
    return best[1], best[2]


def logistic(y: np.ndarray, x: np.ndarray, steps: int = 30) -> np.ndarray:
    """Return coefficients of a logit fitted by reweighted least squares, with a small ridge against separation."""
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        p = expit(x @ beta)
        w = p * (1 - p)
        hessian = (x * w[:, None]).T @ x + 1e-3 * np.eye(x.shape[1])
        beta = beta + np.linalg.solve(hessian, x.T @ (y - p) - 1e-3 * beta)
    return beta


def reporting_thresholds(
    there: pd.DataFrame, state: pd.Series, people: pd.Series, at: float
) -> dict[str, Any]:
    """Return shares reporting by state and year at a reference size, the size gradient, and how sticky reporting is.

    An agency reports where a standard normal of its own lies below a threshold of its state, year and size; part of
    that normal lasts and part fades.

    Args:
        there: (agencies, years) flags as 0 and 1.
        state: state by agency.
        people: residents by agency.
        at: residents of the agency the shares are stated for.

    Returns:
        lasting_share, fading_persistence, per_log_size, share (state to a share a year).
    """
    flags = there.to_numpy()
    weight = people.reindex(there.index).to_numpy(dtype=float)
    x = np.log(weight / at)
    codes, names = pd.factorize(state.reindex(there.index), sort=True)
    n = np.bincount(codes)[:, None]

    def by_state(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(codes, column) for column in values.T], axis=1)

    target = np.clip(by_state(flags), 0.001 * n, 0.999 * n)

    def solve(slope: float) -> np.ndarray:
        """Thresholds at the reference size that give every state and year its number of reporting agencies."""
        low, high = np.full(target.shape, -6.0), np.full(target.shape, 6.0)
        for _ in range(40):
            middle = (low + high) / 2
            under = by_state(ndtr(middle[codes] + slope * x[:, None])) < target
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2

    def excess(slope: float) -> float:
        """Residents whose agencies would report, beyond those whose agencies do."""
        return float((weight[:, None] * (ndtr(solve(slope)[codes] + slope * x[:, None]) - flags)).sum())

    slope = bisect(excess, 0.0, 0.6, 12)
    index = solve(slope)
    # A few thousand agencies, evenly spaced in the table, say enough about stickiness.
    some = np.arange(0, len(flags), max(len(flags) // 3_000, 1))
    cut = index[codes[some]] + slope * x[some, None]
    correlations = {}
    for k in (1, 2, 4, 7):
        seen = float((flags[some, :-k] * flags[some, k:]).mean())

        def short(r: float, k: int = k, seen: float = seen) -> float:
            return float(lag_concordance(cut[:, :-k], cut[:, k:], r).mean()) - seen

        correlations[k] = bisect(short, 0.0, 0.995, 14)
    lasting, fading = two_parts(correlations)
    share = ndtr(index)
    share = np.where(share > 0.999, 1.0, np.where(share < 0.003, 0.0, share))
    return {
        "lasting_share": round(lasting, 2),
        "fading_persistence": round(fading, 2),
        "per_log_size": round(slope, 2),
        "share": {str(s): [round(float(v), 2) for v in row] for s, row in zip(names, share, strict=True)},
    }


def two_parts(correlations: Mapping[int, float]) -> tuple[float, float]:
    """Return lasting share w and fading persistence r that reproduce correlations w + (1 - w) r^k over lags k."""
    best = (np.inf, 0.0, 0.0)
    for w in np.arange(0.0, 1.0, 0.01):
        for r in np.arange(0.0, 0.96, 0.02):
            loss = sum((w + (1 - w) * r**k - c) ** 2 for k, c in correlations.items())
            if loss < best[0]:
                best = (loss, float(w), float(r))
    return best[1], best[2]

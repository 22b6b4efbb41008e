"""Weighted least squares and Poisson regression with absorbed effects, with each county's part in the error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.panel_arrays.effects import Codes, Effects, Lines, make_effects, residuals

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Of a scaled cross-product's eigenvalues: below it a combination of regressors has no variation of its own.
SINGULAR = 1e-9


@dataclass(frozen=True, slots=True)
class Inverse:
    """The inverse of a cross-product of regressors, and what it cannot tell.

    Args:
        matrix: (k, k) generalised inverse.
        null: (k, q) combinations of regressors without variation of their own.
        length: (k,) size of each regressor, which the combinations are scaled by.
    """

    matrix: Array
    null: Array
    length: Array

    def tells(self, combinations: Array | None = None) -> Flags:
        """Return which coefficients, or which combinations (m, k) of them, the regressors identify."""
        if combinations is None:
            moves, size = np.abs(self.null * self.length[:, None]), 1.0
        else:
            moves = np.abs(combinations @ self.null)
            size = np.abs(combinations / self.length).max(axis=1, initial=1e-300)[:, None]
        return np.asarray((moves < 1e-6 * size).all(axis=1), dtype=bool)


def invert(own: Array, weights: Array, regressors: Array) -> Inverse:
    """Return the inverse of the weighted cross-product of regressors without the effects.

    Args:
        own: (n, k) regressors without the effects.
        weights: (n,).
        regressors: (n, k) before effects were taken out: their size is what rounding is held to.
    """
    size = np.sqrt(weights @ np.square(regressors))
    return invert_gram((own * weights[:, None]).T @ own, size)


def invert_gram(gram: Array, size: Array) -> Inverse:
    """Return the inverse of a cross-product (k, k) of regressors whose lengths were ``size`` with the effects."""
    size = np.where(size > 0, size, 1.0)
    scaled = gram / size / size[:, None]
    root = np.sqrt(np.maximum(np.diag(scaled), 0))
    # What the effects absorb has no length left; the other regressors are scaled to length one.
    unit_length = np.where(root > 1e-6, root, 1.0)
    values, vectors = np.linalg.eigh(scaled / unit_length / unit_length[:, None])
    length = unit_length * size
    good, unit = values > SINGULAR, vectors / length[:, None]
    return Inverse((unit[:, good] / values[good]) @ unit[:, good].T, unit[:, ~good], length)


@dataclass(frozen=True, slots=True)
class Regression:
    """A regression with absorbed effects.

    Args:
        coefficient: (k,), missing where the data do not identify it.
        influence: (C, k) a county's contribution to the error, without a degrees-of-freedom factor; zero where the
            coefficient is missing.
        residual: (n,) weighted sums by county and level are zero.
        solution: (k,) one solution of the normal equations, finite throughout.
        own: (n, k) regressors without the effects.
        inverse: of their weighted cross-product.
        rank: regressors less those combinations of them that have no variation of their own.
    """

    coefficient: Array
    influence: Array
    residual: Array
    solution: Array
    own: Array
    inverse: Inverse
    rank: int


def absorbed_regression(outcome: Array, regressors: Array, effects: Effects | Lines) -> Regression:
    """Regress an outcome on regressors and two sets of effects, or each county's line, by weighted least squares.

    Args:
        outcome: (n,).
        regressors: (n, k), k may be 0.
        effects: two sets, or lines, on the same rows, weights inside.

    Returns:
        A `Regression`. A coefficient that a combination of other regressors and effects can stand in for is missing.

    Example:
        >>> county, year = np.repeat(np.arange(4), 2), np.tile(np.arange(2), 4)
        >>> treated = ((county < 2) & (year == 1)).astype(float)
        >>> outcome = np.array([1.0, 5, 2, 4, 1, 2, 3, 3])  # changes 4, 2 against 1, 0
        >>> effects = make_effects(county, year, np.ones(8), 4, 2)
        >>> absorbed_regression(outcome, treated[:, None], effects).coefficient.round(9).tolist()
        [2.5]
    """
    swept = residuals(effects, np.column_stack([outcome, regressors]))
    y, own = swept[:, 0], swept[:, 1:]
    inverse = invert(own, effects.weights, regressors)
    solution = inverse.matrix @ (own.T @ (effects.weights * y))
    residual = y - own @ solution
    scores = effects.by_county @ (own * (effects.weights * residual)[:, None])
    told = inverse.tells()
    return Regression(
        np.where(told, solution, np.nan),
        np.where(told, scores @ inverse.matrix, 0.0),
        residual,
        solution,
        own,
        inverse,
        own.shape[1] - inverse.null.shape[1],
    )


# --- counts
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PoissonFit:
    """A Poisson regression with absorbed effects and an exposure.

    Args:
        coefficient: (k,) log points, missing where not identified.
        influence: (C, k), without a degrees-of-freedom factor.
        mean: (n,) fitted counts.
        own: (n, k) regressors without the effects, rows weighted by their means.
        converged: whether the largest relative step fell below the tolerance.
        rank: of the regressors.
    """

    coefficient: Array
    influence: Array
    mean: Array
    own: Array
    converged: bool
    rank: int


def poisson_regression(
    count: Array, exposure: Array, regressors: Array, county: Codes, level: Codes, *, tolerance: float = 1e-10
) -> PoissonFit:
    """Fit exp(county effect + level effect + regressors) times exposure to counts, by pseudo-maximum likelihood.

    Args:
        count: (n,) not negative; every county and level has one above zero, and nothing is separated
            (`separated_rows`).
        exposure: (n,) positive.
        regressors: (n, k).
        county: (n,) codes.
        level: (n,) codes.
        tolerance: of the relative change in deviance and of the score.

    Returns:
        A `PoissonFit`; errors are those of a pseudo-likelihood and need no Poisson variance.

    Raises:
        ValueError: a negative or missing count, or an exposure that is not positive.

    Source: Gourieroux, Monfort and Trognon (1984), Econometrica 52(3); Correia, Guimarães and Zylkin (2020), Stata
    Journal 20(1), for the iteration.

    Example:
        >>> county, year = np.repeat(np.arange(2), 2), np.tile(np.arange(2), 2)
        >>> treated = np.array([[0.0], [1.0], [0.0], [0.0]])
        >>> fit = poisson_regression(np.array([10.0, 5, 20, 40]), np.ones(4), treated, county, year)
        >>> bool(np.isclose(np.exp(fit.coefficient[0]), (5 / 10) / (40 / 20)))
        True
    """
    if not (np.isfinite(count).all() and (count >= 0).all()):
        raise ValueError("a count that is missing or negative; wanted counts from 0")
    if not (np.isfinite(exposure).all() and (exposure > 0).all()):
        raise ValueError("an exposure that is not positive; wanted a positive exposure")
    counties, levels = int(county.max()) + 1, int(level.max()) + 1
    offset = np.log(exposure)
    mean = (count + count.mean()) / 2
    deviance, converged = np.inf, False
    for _ in range(100):
        effects = make_effects(county, level, mean, counties, levels)
        working = np.log(mean) - offset + (count - mean) / mean
        fitted = absorbed_regression(working, regressors, effects)
        index = working - fitted.residual + offset
        mean = np.exp(np.clip(index, -40, 40))
        with np.errstate(divide="ignore", invalid="ignore"):
            new = 2 * float(
                np.where(count > 0, count * np.log(count / mean), 0.0).sum() - (count - mean).sum()
            )
        score = np.abs(fitted.own.T @ (count - mean)).max(initial=0) / max(float(count.sum()), 1.0)
        if abs(deviance - new) <= tolerance * (0.1 + abs(new)) and score <= tolerance:
            converged = True
            break
        deviance = new
    effects = make_effects(county, level, mean, counties, levels)
    own = residuals(effects, regressors)
    inverse = invert(own, mean, regressors)
    told = inverse.tells()
    scores = effects.by_county @ (own * (count - mean)[:, None])
    return PoissonFit(
        np.where(told, fitted.solution, np.nan),
        np.where(told, scores @ inverse.matrix, 0.0),
        mean,
        own,
        converged,
        own.shape[1] - inverse.null.shape[1],
    )


def separated_rows(count: Array, regressors: Array, county: Codes, level: Codes) -> Flags:
    """Return rows whose count of zero some combination of regressors and effects fits without limit.

    For them no maximum exists: their fitted mean goes to zero and a coefficient or effect to minus infinity. They
    carry nothing about the other coefficients and are to be left out.

    Args:
        count: (n,).
        regressors: (n, k).
        county: (n,) codes.
        level: (n,) codes.

    Source: Correia, Guimarães and Zylkin (2019), arXiv 1903.01633, the iterative rectifier.

    Example:
        >>> county, year = np.repeat(np.arange(3), 2), np.tile(np.arange(2), 3)
        >>> count = np.array([3.0, 1, 0, 0, 2, 4])
        >>> separated_rows(count, np.zeros((6, 0)), county, year).tolist()
        [False, False, True, True, False, False]
    """
    zero = count == 0
    out = np.zeros(len(count), dtype=bool)
    # Counties and levels without any event are the common case and need no search.
    while True:
        alone = np.zeros_like(out)
        for codes in (county, level):
            total = np.bincount(codes[~out], count[~out], minlength=int(codes.max()) + 1)
            alone |= total[codes] == 0
        if not (alone & ~out).any():
            break
        out |= alone
    left = ~out
    if not (zero & left).any() or not regressors.shape[1]:
        return out
    rows = np.flatnonzero(left)
    _, at = np.unique(county[rows], return_inverse=True)
    _, on = np.unique(level[rows], return_inverse=True)
    nothing = zero[rows]
    # Rows with events are held at zero by a weight so large that rounding decides what is left.
    heavy = 1e5 * np.sqrt(len(rows))
    effects = make_effects(
        at, on, np.where(nothing, 1.0, heavy), int(at.max()) + 1, int(on.max()) + 1
    )  # fmt: skip
    target = nothing.astype(float)
    for _ in range(200):
        fitted = target - absorbed_regression(target, regressors[rows], effects).residual
        fitted[np.abs(fitted) < 1e-6] = 0.0
        if np.abs(np.where(nothing, target - fitted, fitted)).max() < 1e-5:
            out[rows[nothing & (fitted > 1e-5)]] = True
            break
        target = np.where(nothing, np.maximum(fitted, 0.0), 0.0)
        if not target.any():
            break
    return out

"""County effects and one further set of effects (year, or state-by-year), taken out exactly; and a straight line for
each county.

County effects are eliminated in closed form; what is left is one linear system with a row a level, solved by
Cholesky. Counties and levels fall into connected components, in each of which one level is set to zero: that is the
only dependence among two sets of effects, so nothing is iterated and nothing is guessed about rank.

Lines are taken out county by county, in closed form too. Year effects beside them depend on each other in more ways
than by components (a panel without gaps cannot tell a common line from the counties' own), so there they are
regressors like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Effects:
    """Two sets of effects on n rows, factorised.

    Args:
        county: (n,) codes from 0 to C - 1.
        level: (n,) codes from 0 to L - 1 of the other set.
        weights: (n,) positive.
        by_county: (C, n) sparse indicator.
        by_level: (L, n) sparse indicator.
        crossed: (C, L) sparse weights.
        totals: (C,) weight of a county's rows, 1 for a county without rows.
        free: levels that are solved for; the others are zero.
        factor: Cholesky factor of the system in the free levels.
        county_component: (C,) connected component, -1 for a county without rows.
        level_component: (L,) as for counties.
    """

    county: Codes
    level: Codes
    weights: Array
    by_county: sparse.csr_matrix
    by_level: sparse.csr_matrix
    crossed: sparse.csr_matrix
    totals: Array
    free: Codes
    factor: tuple[Array, bool]
    county_component: Codes
    level_component: Codes

    @property
    def rank(self) -> int:
        """Return how many parameters the effects are."""
        return int((self.county_component >= 0).sum()) + len(self.free)


def make_effects(county: Codes, level: Codes, weights: Array, counties: int, levels: int) -> Effects:
    """Return two sets of effects, factorised.

    Args:
        county: (n,) codes below ``counties``.
        level: (n,) codes below ``levels``.
        weights: (n,) positive.
        counties: number of counties; one without rows gets the effect 0.
        levels: number of levels, likewise.

    Raises:
        ValueError: no rows, or a weight that is not positive.

    Example:
        >>> effects = make_effects(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.ones(4), 2, 2)
        >>> effects.rank, residuals(effects, np.array([[1.0], [2.0], [5.0], [6.0]])).ravel().round(9).tolist()
        (3, [0.0, 0.0, 0.0, 0.0])
    """
    n = len(county)
    if n == 0:
        raise ValueError("no rows to take effects out of; wanted at least one")
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("weights that are not positive; wanted positive weights")
    rows, ones = np.arange(n), np.ones(n)
    by_county = sparse.csr_matrix((ones, (county, rows)), shape=(counties, n))
    by_level = sparse.csr_matrix((ones, (level, rows)), shape=(levels, n))
    crossed = sparse.csr_matrix((weights, (county, level)), shape=(counties, levels))
    seen_county = np.bincount(county, minlength=counties) > 0
    seen_level = np.bincount(level, minlength=levels) > 0
    graph = sparse.bmat([[None, crossed], [crossed.T, None]], format="csr")
    labels = connected_components(graph, directed=False)[1]
    county_component = np.where(seen_county, labels[:counties], -1).astype(np.intp)
    level_component = np.where(seen_level, labels[counties:], -1).astype(np.intp)
    observed = np.flatnonzero(seen_level)
    first = observed[np.unique(level_component[observed], return_index=True)[1]]
    free = np.setdiff1d(observed, first).astype(np.intp)
    totals = np.where(seen_county, np.bincount(county, weights, minlength=counties), 1.0)
    part = crossed[:, free]
    system = np.diag(np.bincount(level, weights, minlength=levels)[free])
    system = system - (part.T @ sparse.diags(1 / totals) @ part).toarray()
    factor = cho_factor(system, lower=True) if len(free) else (system, True)
    return Effects(
        county, level, weights, by_county, by_level, crossed, totals, free, factor, county_component,
        level_component,
    )  # fmt: skip


def solve_effects(effects: Effects, county_sums: Array, level_sums: Array) -> tuple[Array, Array]:
    """Return the coefficients that solve the effects' normal equations for given right-hand sides.

    Args:
        effects: from ``make_effects``.
        county_sums: (C, k) and
        level_sums: (L, k): for a least-squares fit the weighted sums of columns by county and level.

    Returns:
        County effects (C, k) and level effects (L, k).
    """
    county_sums = np.where(effects.county_component[:, None] >= 0, county_sums, 0.0)
    level = np.zeros((effects.crossed.shape[1], county_sums.shape[1]))
    if len(effects.free):
        left = level_sums - effects.crossed.T @ (county_sums / effects.totals[:, None])
        level[effects.free] = cho_solve(effects.factor, left[effects.free])
    county = (county_sums - effects.crossed @ level) / effects.totals[:, None]
    return np.where(effects.county_component[:, None] >= 0, county, 0.0), level


def fit_effects(effects: Effects, columns: Array) -> tuple[Array, Array]:
    """Return the effects of columns (n, k) by weighted least squares: (C, k) and (L, k)."""

    def pass_over(left: Array) -> tuple[Array, Array]:
        weighted = effects.weights[:, None] * left
        return solve_effects(effects, effects.by_county @ weighted, effects.by_level @ weighted)

    county, level = pass_over(columns)
    # The second pass takes out what rounding left of the first.
    more = pass_over(columns - county[effects.county] - level[effects.level])
    return county + more[0], level + more[1]


@dataclass(frozen=True, slots=True)
class Lines:
    """A straight line for each county on n rows.

    Args:
        county: (n,) codes from 0 to C - 1.
        time: (n,).
        weights: (n,) positive.
        by_county: (C, n) sparse indicator.
        totals: (C,) weight of a county's rows, 1 for a county without rows.
        centre: (C,) its mean time.
        spread: (C,) its weighted squares of time about the mean, 1 for a county seen at one time alone.
    """

    county: Codes
    time: Array
    weights: Array
    by_county: sparse.csr_matrix
    totals: Array
    centre: Array
    spread: Array


def make_lines(county: Codes, time: Array, weights: Array, counties: int) -> Lines:
    """Return what fits a straight line to each county's rows.

    Args:
        county: (n,) codes below ``counties``.
        time: (n,).
        weights: (n,) positive.
        counties: number of counties; one without rows gets the line 0.

    Example:
        >>> lines = make_lines(np.array([0, 0, 0, 1, 1]), np.array([0.0, 1, 2, 0, 2]), np.ones(5), 2)
        >>> residuals(lines, np.array([[1.0], [4.0], [1.0], [5.0], [9.0]])).ravel().round(9).tolist()
        [-1.0, 2.0, -1.0, 0.0, 0.0]
    """
    by_county = sparse.csr_matrix(
        (np.ones(len(county)), (county, np.arange(len(county)))), shape=(counties, len(county))
    )
    totals = by_county @ weights
    totals = np.where(totals > 0, totals, 1.0)
    centre = (by_county @ (weights * time)) / totals
    spread = by_county @ (weights * (time - centre[county]) ** 2)
    return Lines(
        county, time, weights, by_county, totals, centre, np.where(spread > 1e-12 * totals, spread, 1.0)
    )


def fit_lines(lines: Lines, columns: Array) -> tuple[Array, Array]:
    """Return each county's weighted mean and slope of columns (n, k): (C, k) and (C, k)."""
    weighted = lines.weights[:, None] * columns
    mean = (lines.by_county @ weighted) / lines.totals[:, None]
    away = (lines.time - lines.centre[lines.county])[:, None]
    return mean, (lines.by_county @ (away * weighted)) / lines.spread[:, None]


def along_lines(lines: Lines, fitted: tuple[Array, Array], county: Codes, time: Array) -> Array:
    """Return the lines' values (m, k) at counties and times (m,), from `fit_lines`."""
    mean, slope = fitted
    return np.asarray(mean[county] + slope[county] * (time - lines.centre[county])[:, None], dtype=float)


def residuals(effects: Effects | Lines, columns: Array) -> Array:
    """Return columns (n, k) without the effects, or without each county's line."""
    if isinstance(effects, Lines):
        return columns - along_lines(effects, fit_lines(effects, columns), effects.county, effects.time)
    county, level = fit_effects(effects, columns)
    return np.asarray(columns - county[effects.county] - level[effects.level], dtype=float)


def without_singletons(county: Codes, level: Codes) -> NDArray[np.bool_]:
    """Return which rows are left when those alone in their county or level are dropped, again and again.

    An effect of its own fits such a row, so it tells nothing.

    Example:
        >>> without_singletons(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 2])).tolist()
        [True, True, True, True, False]
    """
    keep = np.ones(len(county), dtype=bool)
    while True:
        alone = np.zeros_like(keep)
        for codes in (county, level):
            counts = np.bincount(codes[keep], minlength=int(codes.max(initial=0)) + 1)
            alone |= counts[codes] == 1
        if not (alone & keep).any():
            return keep
        keep &= ~alone

"""The matched difference, its bias adjustment and its Abadie-Imbens variance: arrays in, arrays out.

Notation: treated row i has weight w_i (sum W) and takes comparison row j with share s_ij. A comparison row
carries K_j = sum_i w_i s_ij and K2_j = sum_i w_i^2 s_ij^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.nearest import TIE_TOLERANCE, Matches, near_pairs

Array = NDArray[np.float64]
Of = Literal["population", "sample"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The average difference of treated rows from their matches.

    Args:
        estimate: the weighted mean of ``effects``.
        effects: (m,) difference of each matched treated row, in the order of ``rows``.
        rows: (m,) matched treated rows.
        weight: (m,) their weights.
        slopes: (q,) coefficients of the bias adjustment; None without it.
    """

    estimate: float
    effects: Array
    rows: NDArray[np.intp]
    weight: Array
    slopes: Array | None


def matched_difference(y: Array, matches: Matches, weights: Array, adjust: Array | None = None) -> Difference:
    """Return the average effect on the treated rows that were matched.

    Args:
        y: (n,) outcome.
        matches: who was matched to whom.
        weights: (n,) weight of a treated row in the average; comparison rows' entries are not read.
        adjust: (n, q) covariates of the bias adjustment: comparison outcomes are moved to the treated row's
            covariates along a regression among matched comparison rows, weighted by K. None for none.

    Source: Abadie and Imbens (2011), Journal of Business and Economic Statistics 29(1).

    Example:
        >>> m = Matches(np.array([0]), np.array([1]), np.array([1.0]), np.array([0.0]), np.array([], int))
        >>> matched_difference(np.array([5.0, 3.0]), m, np.ones(2)).estimate
        2.0
    """
    rows = np.unique(matches.treated)
    effects = y[rows] - matches.averages(y)
    slopes = None
    if adjust is not None:
        slopes = comparison_regression(y, matches.comparison_weights(weights), adjust)[0][1:]
        effects = effects - (adjust[rows] - matches.averages(adjust)) @ slopes
    w = weights[rows]
    return Difference(float(np.average(effects, weights=w)), effects, rows, w, slopes)


def comparison_regression(y: Array, k: Array, adjust: Array) -> tuple[Array, Array, Array]:
    """Regress outcomes on covariates among rows with positive weight K.

    Returns:
        Coefficients (1 + q) with the constant first, the inverse of the weighted Gram matrix, residuals (n,).

    Raises:
        ValueError: fewer matched comparison rows than coefficients, or dependent covariates.
    """
    z = np.column_stack([np.ones(len(y)), adjust])
    used = k > 0
    gram = (z[used] * k[used, None]).T @ z[used]
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    if used.sum() <= z.shape[1] or np.linalg.cond(gram / scale / scale[:, None]) > 1e12:
        raise ValueError("the matched comparison rows cannot carry the bias adjustment")
    inverse = np.asarray(np.linalg.inv(gram), dtype=float)
    beta = inverse @ (z[used] * k[used, None]).T @ y[used]
    return beta, inverse, y - z @ beta


def influence(y: Array, matches: Matches, weights: Array, adjust: Array | None = None) -> Array:
    """Return each row's contribution to the error of the matched difference, (n,), matches taken as given.

    The matched difference is the coefficient of treatment in a regression of the outcome (after the bias
    adjustment) on treatment with weights w for treated and K for comparison rows; these are that regression's
    scores, so that the squared sum over clusters is its cluster-robust variance before any small-sample
    factor.
    """
    difference = matched_difference(y, matches, weights, adjust)
    k = matches.comparison_weights(weights)
    total = difference.weight.sum()
    out = np.zeros(len(y))
    if adjust is None:
        rows, level = difference.rows, float(np.average(y, weights=k))
        out -= k * (y - level) / total
        treated_level = float(np.average(y[rows], weights=difference.weight))
        out[rows] += difference.weight * (y[rows] - treated_level) / total
        return out
    _, inverse, residual = comparison_regression(y, k, adjust)
    z = np.column_stack([np.ones(len(y)), adjust])
    target = np.average(z[difference.rows], axis=0, weights=difference.weight)
    out -= (z @ (inverse @ target)) * k * residual
    gap = residual[difference.rows]
    out[difference.rows] += difference.weight * (gap - difference.estimate) / total
    return out


def abadie_imbens_variance(
    difference: Difference,
    matches: Matches,
    weights: Array,
    conditional: Array | float,
    *,
    of: Of = "population",
    counted: bool = False,
) -> float:
    """Return the variance of the matched difference.

    Args:
        difference: from ``matched_difference``.
        matches: the same matches.
        weights: (n,) the same weights.
        conditional: variance of the outcome given covariates, one for all or (n,); from
            ``homoskedastic_variance`` or ``within_arm_variance``.
        of: "population": the effect on the treated in the population from which rows are drawn; "sample": on
            the treated rows at hand, whose covariates are taken as given (sample = TRUE of Match).
        counted: False: a row is one draw, whatever its weight, so that weights enter squared. True: as the R
            package Matching has it, a treated row of weight w enters as w rows in the spread of effects and in
            K2.

    Returns:
        "population": sum_i w_i^2 (effect_i - estimate)^2 / W^2 + sum_j conditional_j (K_j^2 - K2_j) / W^2, with
        w_i for w_i^2, here and in K2, where ``counted``.
        "sample": sum_i conditional_i w_i^2 / W^2 + sum_j conditional_j K_j^2 / W^2.

    Assumption: counties are assigned independently of each other. Valid with replacement and a fixed number
    of matches; without replacement the second term vanishes and this is the variance of paired differences.

    Source: Abadie and Imbens (2006), Econometrica 74(1), theorems 6 and 7.
    """
    total = difference.weight.sum()
    k = matches.comparison_weights(weights)
    given = np.broadcast_to(conditional, k.shape)
    if of == "sample":
        own = (given[difference.rows] * difference.weight**2).sum()
        return float((own + (given * k**2).sum()) / total**2)
    squares = squared_shares(matches, weights, counted)
    entering = difference.weight if counted else difference.weight**2
    spread = (entering * (difference.effects - difference.estimate) ** 2).sum()
    return float((spread + (given * (k**2 - squares)).sum()) / total**2)


def squared_shares(matches: Matches, weights: Array, counted: bool = False) -> Array:
    """Return K2, (n,): the sum of squared weighted shares of each comparison row.

    Args:
        matches: who was matched to whom.
        weights: (n,) weights of treated rows.
        counted: whether a treated row of weight w is w rows, so that only shares are squared.
    """
    weight = weights[matches.treated]
    taken = matches.share**2 * (weight if counted else weight**2)
    return np.bincount(matches.comparison, taken, minlength=len(weights)).astype(float)


def homoskedastic_variance(
    y: Array, matches: Matches, weights: Array, difference: Difference, adjust: Array | None = None
) -> float:
    """Return half the mean squared deviation of pair differences from the estimate: one variance for all
    rows.

    Twice this over the sum of weights is the variance of paired differences (se.standard of Match, without bias
    adjustment).
    """
    outcome = y if difference.slopes is None or adjust is None else y - adjust @ difference.slopes
    gap = outcome[matches.treated] - outcome[matches.comparison] - difference.estimate
    return float(0.5 * np.average(gap**2, weights=matches.share * weights[matches.treated]))


def within_arm_variance(
    y: Array,
    coordinates: Array,
    treated: NDArray[np.bool_],
    neighbours: int,
    tie_tolerance: float = TIE_TOLERANCE,
    *,
    strata: NDArray[np.intp] | None = None,
    calipers: tuple[Array, Array] | None = None,
    weights: Array | None = None,
) -> Array:
    """Return each row's outcome variance given covariates, (n,), from its nearest rows in its own arm.

    The variance is that of the row and its ``neighbours`` nearest rows of the same arm (ties included) around
    their mean, with their number less one in the denominator.

    Args:
        y: (n,) outcome.
        coordinates: (n, k) as for matching.
        treated: (n,) bool.
        neighbours: rows of the same arm; a row takes those there are if they are fewer.
        tie_tolerance: on squared distance.
        strata: (n,) codes that neighbours share; None for any.
        calipers: values (n, c) and widths (c,), as for matching. Strata and calipers may leave a row alone,
            with variance zero (so does Match, which also sets it to zero with fewer than ``neighbours``).
        weights: (n,): a row counts as ``weights`` rows, itself included, but is no neighbour of its own (as in
            Match); None for one each.

    Raises:
        ValueError: a row and its neighbours weigh no more than one row together.

    Source: Abadie and Imbens (2006), section 4.1; the argument Var.calc of the R package Matching.

    Example:
        >>> y, x = np.array([1.0, 3.0, 9.0, 9.0]), np.array([[0.0], [1.0], [0.0], [1.0]])
        >>> within_arm_variance(y, x, np.array([True, True, False, False]), 1)
        array([2., 2., 0., 0.])
    """
    out = np.zeros(len(y))
    for arm in (treated, ~treated):
        rows = np.flatnonzero(arm)
        if not len(rows):
            continue
        outcome, counted = y[rows], np.ones(len(rows)) if weights is None else weights[rows]
        blocks = near_pairs(
            coordinates[rows],
            coordinates[rows],
            neighbours,
            tie_tolerance=tie_tolerance,
            own=True,
            weights=None if weights is None else counted,
            strata=None if strata is None else (strata[rows], strata[rows]),
            calipers=None if calipers is None else (calipers[0][rows], calipers[0][rows], calipers[1]),
            incomplete=True,
        )
        for at, near, _ in blocks:
            # Deviations from the row's own outcome: no digits are lost to a large mean.
            new = np.diff(at, prepend=-1) != 0
            here, place = at[new], new.cumsum() - 1
            gap, mass = outcome[near] - outcome[at], counted[near]
            total = np.bincount(place, mass) + counted[here]
            if not np.all(total > 1):
                raise ValueError(
                    f"a row and its neighbours weigh {total.min():.3g}; wanted more than one row"
                )
            mean = np.bincount(place, mass * gap) / total
            second = np.bincount(place, mass * (gap - mean[place]) ** 2) + counted[here] * mean**2
            out[rows[here]] = second / (total - 1)
    return out

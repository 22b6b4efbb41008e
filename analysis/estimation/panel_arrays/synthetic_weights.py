"""Weights that mix untreated areas into a synthetic one, and inference by giving the policy to each of them.

Weights on a simplex solve ``min ||target - weights @ donors||^2 + ridge ||weights||^2``, weights from 0 that sum to one,
by active sets, to rounding. Without a ridge many mixtures can reach the same fit (a target inside the donors' hull is
fitted exactly by infinitely many); the one with the smallest sum of squares is returned, which is unique and the limit
of a ridge going to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Of the largest distance between target and donors: a fit below it is exact, a weight's slope below it is none.
EXACT = 1e-9
ROUNDING = 1e-13
# Optimality conditions hold to this, in units of the largest squared distance.
OPTIMAL = 1e-10
# Penalties tried by the augmented method, as in Ben-Michael, Feller and Rothstein's own program: from the largest
# squared singular value down by eight powers of ten.
PENALTIES, SMALLEST_PENALTY = 20, 1e-8
# A fit better than this share of the median counts as that: of areas equally hard to fit one in ten does as well by
# chance in five years, and a target inside the hull is fitted exactly whatever its noise.
BEST_FIT = 0.5


def simplex_weights(donors: Array, target: Array, ridge: float = 0.0) -> Array:
    """Return the weights, from 0 and summing to one, that bring a mixture of donors closest to a target.

    Args:
        donors: (J, T) outcomes, a row a donor.
        target: (T,) outcomes.
        ridge: penalty on the sum of squared weights, in squared units of the outcome. At 0 the best fit with the
            smallest sum of squares.

    Returns:
        (J,) weights.

    Raises:
        ValueError: no donors, missing outcomes, a negative ridge, or no convergence.

    Assumption: none; this is arithmetic. That the mixture tells what the target would have shown is the design's.

    Source: Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association 105(490), section
    2.3, with outcomes before adoption as the only predictors.

    Example:
        A target a quarter of the way between two donors:

        >>> donors = np.array([[0.0, 0.0], [4.0, 8.0]])
        >>> simplex_weights(donors, np.array([1.0, 2.0])).round(9).tolist()
        [0.75, 0.25]
    """
    donors, target = np.asarray(donors, dtype=float), np.asarray(target, dtype=float)
    if donors.ndim != 2 or not len(donors) or donors.shape[1] != len(target):
        raise ValueError(
            f"donors of shape {donors.shape}, a target of {target.shape}; expected (J, T) and (T,)"
        )
    if not (np.isfinite(donors).all() and np.isfinite(target).all()):
        raise ValueError("missing outcomes; expected every donor and the target observed in every year")
    if not ridge >= 0:
        raise ValueError(f"ridge = {ridge}; expected a number from 0")
    apart = donors - target
    size = float(np.abs(apart).max(initial=0.0))
    if size == 0:
        return np.full(len(donors), 1 / len(donors))
    apart = apart / size
    ridge = ridge / size**2
    weights = (
        _polished(apart.T, _least_ridge(apart.T, ridge), ridge) if ridge > 0 else _least_distance(apart.T)
    )
    gap = optimality_gap(apart, np.zeros(len(target)), weights, ridge)
    if not gap <= OPTIMAL:
        raise ValueError(
            f"simplex weights did not converge: optimality is missed by {gap:.2g}; expected {OPTIMAL:g}"
        )
    return weights


def optimality_gap(donors: Array, target: Array, weights: Array, ridge: float = 0.0) -> float:
    """Return by how much weights miss the conditions of the optimum (Karush, Kuhn and Tucker).

    The largest of: the distance of their sum from one, the most negative weight, how far the slope of a used donor lies
    from the common one, and how far that of an unused one lies below it.

    Args:
        donors: (J, T).
        target: (T,).
        weights: (J,).
        ridge: as in `simplex_weights`.

    Returns:
        A number from 0, slopes in squared units of the outcome.

    Example:
        >>> optimality_gap(np.array([[0.0], [2.0]]), np.array([1.0]), np.array([0.5, 0.5]))
        0.0
        >>> optimality_gap(np.array([[0.0], [2.0]]), np.array([1.0]), np.array([1.0, 0.0]))
        2.0
    """
    slope = donors @ (weights @ donors - target) + ridge * weights
    common = float(weights @ slope)
    used = weights > 0
    return float(
        max(
            abs(weights.sum() - 1),
            -weights.min(initial=0.0),
            np.abs(slope[used] - common).max(initial=0.0),
            (common - slope).max(initial=0.0),
        )
    )


def _polished(apart: Array, weights: Array, ridge: float) -> Array:
    """Return weights solved once more on the donors they use, where those are few: a small ridge loses digits before."""
    used = np.flatnonzero(weights > 0)
    if len(used) > len(apart) + 1:
        return weights
    rows = np.vstack([apart[:, used], np.sqrt(ridge) * np.eye(len(used)), np.ones(len(used))])
    loose = np.linalg.lstsq(rows, np.append(np.zeros(len(rows) - 1), 1.0), rcond=None)[0]
    if loose.min() < 0:
        return weights
    out = np.zeros(len(weights))
    out[used] = loose / loose.sum()
    return out


def _least_distance(apart: Array) -> Array:
    """Return simplex weights with the shortest ``apart @ weights``; of several, those with the least sum of squares.

    Args:
        apart: (T, J) donors less target, scaled to at most one.
    """
    # The point of a hull nearest to the origin is a least-squares problem with weights from 0 alone: a row of ones with
    # the value one, and the answer divided by its sum.
    rows = np.vstack([apart, np.ones(apart.shape[1])])
    goal = np.append(np.zeros(len(apart)), 1.0)
    loose, _ = nnls(rows, goal, maxiter=50 * apart.shape[1] + 100)
    weights = loose / loose.sum()
    nearest = apart @ weights
    slope = nearest @ apart - nearest @ nearest
    face = np.flatnonzero((slope <= EXACT * np.abs(nearest).max() + ROUNDING) | (weights > 0))
    if len(face) == np.count_nonzero(weights):
        return np.asarray(weights, dtype=float)
    spread = _least_ridge(apart[:, face] - nearest[:, None], 0.0)
    # On the rim of a face no mixture is interior, and the search for one has no end; the first mixture is as good a fit.
    if np.abs(apart[:, face] @ spread - nearest).max() > OPTIMAL / 10 or abs(spread.sum() - 1) > OPTIMAL / 10:
        return np.asarray(weights, dtype=float)
    out = np.zeros(len(weights))
    out[face] = spread
    return out


def _least_ridge(apart: Array, ridge: float) -> Array:
    """Return simplex weights that minimise ``||apart @ weights||^2 + ridge ||weights||^2``.

    Newton's method on the dual: weights are ``max(0, level - apart.T @ s)`` for T + 1 unknowns (s, level), in which the
    conditions of the optimum are piecewise linear, so that it ends after finitely many steps. With ``ridge = 0`` the
    mixture that hits the origin with the least sum of squares; where there is none the result does not hit it.
    """
    directions, sizes, _ = np.linalg.svd(apart, full_matrices=False)
    keep = sizes > EXACT * 1e-3 * max(float(sizes.max(initial=0.0)), EXACT)
    reduced = directions[:, keep].T @ apart
    rows = np.vstack([-reduced, np.ones(apart.shape[1])])
    penalty = np.append(np.full(len(reduced), ridge), 0.0)
    goal = np.append(np.zeros(len(reduced)), 1.0)
    place = goal / apart.shape[1]
    miss = np.full(len(goal), np.inf)
    weights = np.zeros(apart.shape[1])
    for _ in range(200):
        height = place @ rows
        now = np.maximum(height, 0)
        before, miss = miss, rows @ now + penalty * place - goal
        # One step more than needed takes off what rounding left.
        if np.abs(before).max() < ROUNDING:
            return np.asarray(now if np.abs(miss).max() < np.abs(before).max() else weights, dtype=float)
        weights = now
        used = rows[:, now > 0]
        curve = used @ used.T + np.diag(penalty)
        # Where too few donors are used to fix every unknown, a little of the identity sends the step on to where others
        # come in; the exact search along it keeps it from going too far.
        curve[np.diag_indices_from(curve)] += 1e-12 * curve.trace()
        step = -np.linalg.solve(curve, miss)
        change = step @ rows
        length = 1.0
        if ((height + change > 0) != (now > 0)).any():
            length = _length(height, change, float((penalty * place - goal) @ step), float(penalty @ step**2))
        if not np.isfinite(length):
            break
        place = place + length * step
    return np.asarray(weights, dtype=float)


def _length(start: Array, change: Array, slope: float, bend: float) -> float:
    """Return the t from 0 that minimises ``sum(max(0, start + t change)^2) / 2 + slope t + bend t^2 / 2``, infinite where
    it falls for ever.

    Its derivative is piecewise linear and rises, with a kink where a term comes in or goes out.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        kink = np.where(change != 0, -start / change, np.inf)
    inside = (start > 0) | ((start == 0) & (change > 0))
    later = np.flatnonzero((kink > 0) & np.isfinite(kink))
    later = later[np.argsort(kink[later], kind="stable")]
    sign = np.where(inside[later], -1.0, 1.0)
    level = slope + start[inside] @ change[inside] + np.append(0.0, np.cumsum(sign * (start * change)[later]))
    rise = bend + change[inside] @ change[inside] + np.append(0.0, np.cumsum(sign * change[later] ** 2))
    ends = np.append(kink[later], np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = np.where(rise > 0, -level / rise, np.inf)
    return float(max(zero[int(np.argmax(zero <= ends))], 0.0)) if (zero <= ends).any() else np.inf


def ridge_weights(donors: Array, target: Array, weights: Array, penalties: Array) -> Array:
    """Return weights corrected by a ridge regression for what they leave unexplained of the target.

    Args:
        donors: (J, T) outcomes.
        target: (T,) outcomes.
        weights: (J,) of the simplex.
        penalties: (P,) of the ridge regression, in squared units of the outcome, above zero.

    Returns:
        (P, J) weights that sum to one, some below zero.

    Source: Ben-Michael, Feller and Rothstein (2021), Journal of the American Statistical Association 116(536), lemma 1.

    Example:
        A target no mixture reaches; the correction closes all but penalty / (variation + penalty) of the gap:

        >>> donors = np.array([[0.0], [2.0]])
        >>> found = ridge_weights(donors, np.array([3.0]), np.array([0.0, 1.0]), np.array([2.0]))
        >>> found.round(9).tolist(), round(float(found[0] @ donors[:, 0]), 9)
        ([[-0.25, 1.25]], 2.5)
    """
    centred = donors - donors.mean(axis=0)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    gap = right @ (target - weights @ donors)
    return np.asarray(weights + (sizes * gap / (sizes**2 + penalties[:, None])) @ left.T, dtype=float)


def augmented_weights(donors: Array, target: Array) -> tuple[Array, float]:
    """Return simplex weights augmented by a ridge regression, and its penalty.

    The penalty is the one that best predicts each year from the others (leave one year out, smallest mean squared error,
    the largest such penalty; no rule of one standard error).

    Args:
        donors: (J, T) outcomes, T at least 2.
        target: (T,) outcomes.

    Returns:
        (J,) weights that sum to one, some of which may be negative, and the penalty in squared units of the outcome
        (infinite where donors do not differ, so that there is nothing to correct).

    Raises:
        ValueError: fewer than two years.

    Assumption: outcomes are near linear in those before adoption, so that the bias of an imperfect fit can be
    predicted.

    Source: Ben-Michael, Feller and Rothstein (2021), Journal of the American Statistical Association 116(536).

    Example:
        >>> donors = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 4.0], [0.0, 3.0, 1.0]])
        >>> weights, penalty = augmented_weights(donors, np.array([2.0, 2.5, 4.5]))
        >>> round(float(weights.sum()), 9), penalty > 0
        (1.0, True)
    """
    years = donors.shape[1]
    if years < 2:
        raise ValueError(f"{years} year; expected at least 2, to leave one out")
    weights = simplex_weights(donors, target)
    largest = float(np.linalg.norm(donors - donors.mean(axis=0), 2)) ** 2
    if largest == 0:
        return weights, np.inf
    penalties = largest * SMALLEST_PENALTY ** (np.arange(PENALTIES + 1) / PENALTIES)
    error = np.zeros(len(penalties))
    for year in range(years):
        rest = np.arange(years) != year
        there = simplex_weights(donors[:, rest], target[rest])
        tried = ridge_weights(donors[:, rest], target[rest], there, penalties)
        error += (target[year] - tried @ donors[:, year]) ** 2
    # Errors that differ by rounding alone are one: a target that is fitted exactly leaves nothing to correct.
    best = int(np.argmax(error <= error.min() * (1 + EXACT) + EXACT**2 * largest))
    return ridge_weights(donors, target, weights, penalties[best : best + 1])[0], float(penalties[best])


def did_weights(before: Array, after: Array, target: Array, treated: int) -> tuple[Array, Array, float]:
    """Return the unit and year weights of synthetic difference-in-differences.

    Unit weights bring donors parallel to the treated (an intercept takes up the level) under a ridge of
    ``zeta^2 T``, zeta the standard deviation of donors' yearly changes times (treated units x years after)^(1/4); year
    weights bring the years before to the level of the years after among donors, but for an intercept. The paper's year
    weights carry a ridge of 1e-6 of that deviation, only to make them unique; here its limit at zero is taken.

    Args:
        before: (J, T) donors' outcomes before adoption.
        after: (J, S) donors' outcomes after it.
        target: (T,) mean outcome of the treated before adoption.
        treated: number of treated units.

    Returns:
        (J,) unit weights, (T,) year weights, zeta in units of the outcome.

    Source: Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), American Economic Review 111(12), equations 4-6.

    Example:
        >>> before = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [4.0, 5.0, 6.0]])
        >>> unit, year, zeta = did_weights(before, before[:, 2:] + 1, np.array([0.0, 1.0, 2.0]), treated=1)
        >>> unit.round(9).tolist(), year.round(9).tolist(), round(zeta, 3)
        ([0.4375, 0.125, 0.4375], [0.0, 0.0, 1.0], 0.516)
    """
    zeta = (treated * after.shape[1]) ** 0.25 * float(np.std(np.diff(before, axis=1), ddof=1))
    level = before.mean(axis=1, keepdims=True)
    unit = simplex_weights(before - level, target - target.mean(), zeta**2 * len(target))
    average = after.mean(axis=1)
    year = simplex_weights((before - before.mean(axis=0)).T, average - average.mean())
    return unit, year, zeta


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A treated area, or the mean of several, less its synthetic one.

    Args:
        weights: (J,) of donors.
        year_weights: (T,) of the years before adoption; zero throughout for a synthetic control, whose gaps are no
            changes.
        penalty: of the augmentation, or zeta of synthetic difference-in-differences; 0 for simplex weights.
        gap: (K,) in every year; for synthetic difference-in-differences less the weighted mean of the years before.
        fit: root mean squared gap before adoption, where weights have an intercept about its mean.
    """

    weights: Array
    year_weights: Array
    penalty: float
    gap: Array
    fit: float


METHODS = ("simplex", "augmented", "did")


def synthetic_gap(
    donors: Array, treated: Array, before: NDArray[np.bool_], after: NDArray[np.bool_], method: str
) -> Synthetic:
    """Return the gap between treated areas and their synthetic one in every year.

    Args:
        donors: (J, K) outcomes of untreated areas.
        treated: (N, K) outcomes of areas treated in the same year; their mean is what is mixed.
        before: (K,) the years weights are fitted on.
        after: (K,) the years after adoption.
        method: simplex, augmented (`augmented_weights`) or did (`did_weights`).

    Raises:
        ValueError: no such method.

    Example:
        Two donors, weights a half each, a gap of 3 after adoption:

        >>> donors = np.array([[0.0, 2.0, 1.0], [2.0, 0.0, 3.0]])
        >>> before = np.array([True, True, False])
        >>> found = synthetic_gap(donors, np.array([[1.0, 1.0, 5.0]]), before, ~before, "simplex")
        >>> found.weights.round(9).tolist(), round(float(found.gap[2]), 9), found.fit
        ([0.5, 0.5], 3.0, 0.0)
    """
    target = treated.mean(axis=0)
    year, penalty = np.zeros(int(before.sum())), 0.0
    if method == "simplex":
        weights = simplex_weights(donors[:, before], target[before])
    elif method == "augmented":
        weights, penalty = augmented_weights(donors[:, before], target[before])
    elif method == "did":
        weights, year, penalty = did_weights(
            donors[:, before], donors[:, after], target[before], len(treated)
        )
    else:
        raise ValueError(f"method {method!r}; expected one of {', '.join(METHODS)}")
    gap = target - weights @ donors
    gap = gap - year @ gap[before]
    centre = gap[before].mean() if method == "did" else 0.0
    fit = float(np.sqrt(((gap[before] - centre) ** 2).mean()))
    # What rounding leaves of an exact fit is none.
    apart = float(np.abs(donors[:, before] - target[before]).max())
    return Synthetic(weights, year, penalty, gap, fit if fit > EXACT * apart else 0.0)


def placebo_sets(donors: int, size: int, seed: int) -> Index:
    """Return the sets of donors the policy is given to in turn, each donor once in every seat, (donors, size).

    One treated area: each donor. Several: donors in an order drawn from the seed, each with those that follow it.

    Args:
        donors: number of donors.
        size: number of treated areas.
        seed: of the order.

    Raises:
        ValueError: more treated areas than donors.

    Example:
        >>> placebo_sets(3, 1, seed=1).ravel().tolist()
        [0, 1, 2]
        >>> sorted(placebo_sets(4, 2, seed=1)[:, 1].tolist())
        [0, 1, 2, 3]
    """
    if not 0 < size <= donors:
        raise ValueError(
            f"{size} treated areas, {donors} donors; expected at least one and no more than donors"
        )
    order = np.random.default_rng(seed).permutation(donors)
    sets = order[(np.arange(donors)[:, None] + np.arange(size)) % donors]
    return np.asarray(sets[np.argsort(sets[:, 0])], dtype=np.intp)


def fit_scales(fit: float, placebo_fits: Array) -> Array:
    """Return what each placebo gap is multiplied by to stand on the treated area's scale: the ratio of their fits.

    A fit better than half the median of all counts as that half, so that no gap is divided by nothing; where more than
    half of all fits are exact, nothing is rescaled. Both rules treat the treated area as one of all, so that ranks keep
    their meaning.

    Args:
        fit: root mean squared gap of the treated area before adoption.
        placebo_fits: (B,) of placebos.

    Returns:
        (B,).

    Source: Abadie, Diamond and Hainmueller (2010), section 3.4, compare ratios of errors after and before adoption; the
    floor is this study's.

    Example:
        >>> fit_scales(1.0, np.array([2.0, 1.0, 0.0])).tolist()
        [0.5, 1.0, 2.0]
    """
    median = float(np.median(np.append(placebo_fits, fit)))
    if median <= 0:
        return np.ones(len(placebo_fits))
    floor = BEST_FIT * median
    return np.asarray(max(fit, floor) / np.maximum(placebo_fits, floor), dtype=float)


@dataclass(frozen=True, slots=True)
class PlaceboTest:
    """What estimates are worth against placebos.

    Args:
        p_value: (k,) the share of placebos and the estimate itself that are at least as far from zero.
        half_width: (k,) of the interval of effects the test does not reject; missing with too few placebos.
        band_half_width: (k,) of the band that holds all of them at once.
        vcov: (k, k) variance of the placebos about their mean.
    """

    p_value: Array
    half_width: Array
    band_half_width: Array
    vcov: Array


def placebo_test(estimate: Array, placebos: Array, level: float) -> PlaceboTest:
    """Return p-values, intervals and a band of estimates from placebo estimates of the same rows.

    The interval holds every constant effect the permutation test does not reject at 1 - level: the estimate less such an
    effect lies among the placebos. With fewer placebos than level / (1 - level) the test never rejects, and there is no
    interval.

    Args:
        estimate: (k,), missing where it could not be made.
        placebos: (B, k) estimates with the policy given to untreated areas, on the scale of the estimate.
        level: of the interval.

    Assumption: the treated area could as well have been any of the others (exchangeable gaps).

    Source: Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association 105(490); the
    variance is algorithm 4 of Arkhangelsky et al. (2021), American Economic Review 111(12); intervals by inversion as in
    Firpo and Possebom (2018), Journal of Causal Inference 6(2).

    Example:
        >>> found = placebo_test(np.array([3.0]), np.array([[-4.0], [1.0], [2.0]]), 0.75)
        >>> found.p_value.tolist(), found.half_width.tolist(), found.vcov.round(3).tolist()
        ([0.5], [4.0], [[6.889]])
        >>> placebo_test(np.array([3.0]), np.array([[-4.0], [1.0], [2.0]]), 0.95).half_width.tolist()
        [nan]
    """
    size = np.abs(placebos)
    reached = (size >= np.abs(estimate) * (1 - EXACT)).sum(axis=0)
    p_value = np.where(np.isnan(estimate), np.nan, (1 + reached) / (1 + len(placebos)))
    half = _upper(size, level)
    usable = half > 0
    band = half.copy()
    if usable.any():
        furthest = (size[:, usable] / half[usable]).max(axis=1, keepdims=True)
        band[usable] = half[usable] * np.maximum(_upper(furthest, level), 1.0)
    apart = placebos - placebos.mean(axis=0)
    return PlaceboTest(p_value, half, band, apart.T @ apart / len(placebos))


def _upper(size: Array, level: float) -> Array:
    """Return the smallest value of each column the permutation test rejects nothing below, missing where none."""
    count = len(size)
    place = int(np.ceil(level * (count + 1) - EXACT))
    if place > count:
        return np.full(size.shape[1], np.nan)
    return np.asarray(np.sort(size, axis=0)[place - 1], dtype=float)

"""Variances, tests, bands and the wild cluster bootstrap: arrays in, arrays out.

Convention: an influence row is a county's *contribution* to the error, so the error of an estimate is about
the sum of its column, and a cluster-robust variance is G / (G - 1) times the sum over clusters of squared
cluster sums. Estimators with a regression's degrees-of-freedom correction multiply their rows by its root, so
this one formula reproduces the variance of every estimator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Multiplier = Literal["rademacher", "webb", "mammen"]

# Steps to either side in which the end of an interval is looked for, in standard errors before and after.
SCAN, FARTHEST = 32, 1024.0
# The sample met again among draws differs from itself by rounding at most.
SAME = 1e-9


def cluster_sums(influence: Array, clusters: NDArray[np.generic]) -> Array:
    """Return the influence summed within clusters, (G, k), clusters in sorted order.

    Example:
        >>> cluster_sums(np.array([[1.0], [2.0], [4.0]]), np.array(["IA", "OR", "IA"])).ravel()
        array([5., 2.])
    """
    _, at = np.unique(clusters, return_inverse=True)
    out = np.zeros((at.max() + 1, influence.shape[1]))
    np.add.at(out, at, influence)
    return out


def cluster_variance(influence: Array, clusters: NDArray[np.generic]) -> Array:
    """Return the cluster-robust variance matrix, (k, k): G / (G - 1) times the sum of squared cluster sums.

    Args:
        influence: (n, k) contributions; a column of missing values gives a row and column of missing values.
        clusters: (n,) labels.

    Raises:
        ValueError: fewer than two clusters.

    Assumption: clusters are independent, and many; with few treated clusters it is too small.

    Source: Liang and Zeger (1986); Cameron and Miller (2015), Journal of Human Resources 50(2).

    Example:
        >>> cluster_variance(np.array([[1.0], [-1.0]]), np.array([1, 2]))
        array([[4.]])
    """
    sums = cluster_sums(influence, clusters)
    g = len(sums)
    if g < 2:
        raise ValueError("a cluster-robust variance needs at least two clusters")
    return g / (g - 1) * sums.T @ sums


def t_quantile(level: float, df: float) -> float:
    """Return the two-sided critical value of Student's t; the normal one for infinite ``df``.

    Example:
        >>> round(t_quantile(0.95, np.inf), 4)
        1.96
    """
    return float(stats.norm.ppf((1 + level) / 2) if np.isinf(df) else stats.t.ppf((1 + level) / 2, df))


def two_sided_p(statistic: Array, df: float | Array) -> Array:
    """Return two-sided p-values of t statistics; missing stays missing.

    Args:
        statistic: (k,).
        df: degrees of freedom of all, infinite for normal ones, or (k,) finite ones of each.

    Example:
        >>> two_sided_p(np.array([0.0, np.nan]), np.inf)
        array([ 1., nan])
    """
    size = np.abs(np.asarray(statistic, dtype=float))
    normal = np.ndim(df) == 0 and np.isinf(df)
    return np.asarray(2 * (stats.norm.sf(size) if normal else stats.t.sf(size, df)), dtype=float)


def draw_multipliers(draws: int, clusters: int, rng: np.random.Generator, kind: Multiplier) -> Array:
    """Return multipliers of mean 0 and variance 1, (draws, clusters).

    ``rademacher`` has two points, ``webb`` six (for few clusters), ``mammen`` two with third moment 1.

    Example:
        >>> v = draw_multipliers(4, 3, np.random.default_rng(1), "rademacher")
        >>> bool((abs(v) == 1).all()), v.shape
        (True, (4, 3))
    """
    if kind == "rademacher":
        return rng.choice(np.array([-1.0, 1.0]), size=(draws, clusters))
    if kind == "webb":
        points = np.sqrt(np.array([1.5, 1.0, 0.5]))
        return rng.choice(np.concatenate([-points, points[::-1]]), size=(draws, clusters))
    golden = (1 + np.sqrt(5)) / 2
    return np.where(rng.random((draws, clusters)) < golden / np.sqrt(5), 1 - golden, golden)


def few_cluster_multiplier(clusters: int) -> Multiplier:
    """Return the multiplier used for a number of clusters: Webb's six points up to 12 clusters, else
    Rademacher's two.

    Source: Webb (2023), Canadian Journal of Economics 56(3); with few clusters two points give too few
        distinct draws.
    """
    return "webb" if clusters <= 12 else "rademacher"


def simultaneous_critical_value(
    influence: Array, clusters: NDArray[np.generic], level: float, draws: int, seed: int, df: float
) -> float:
    """Return the critical value of a band that covers all estimates at once with the stated level.

    The quantile of the largest absolute statistic over multiplier draws at cluster level. Each draw is
    divided by the root of a chi-squared draw over its degrees of freedom, as a t statistic is, so that with
    few clusters the band stays wider than the pointwise interval; with many it is the usual one.

    Args:
        influence: (n, k) contributions; columns without variance or with missing values are left out.
        clusters: (n,) labels.
        level: coverage in (0, 1).
        draws: bootstrap draws.
        seed: of the generator.
        df: degrees of freedom of the pointwise interval.

    Source: Callaway and Sant'Anna (2021), Journal of Econometrics 225(2), algorithm 1.

    Example:
        >>> psi = np.random.default_rng(0).normal(size=(40, 3))
        >>> 2.2 < simultaneous_critical_value(psi, np.arange(40), 0.95, 999, 1, 39) < 2.8
        True
    """
    pointwise = t_quantile(level, df)
    sums = cluster_sums(influence, clusters)
    error = np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum(axis=0))
    usable = np.isfinite(error) & (error > 0)
    if draws < 1 or usable.sum() < 2:
        return pointwise
    rng = np.random.default_rng(seed)
    multipliers = draw_multipliers(draws, len(sums), rng, few_cluster_multiplier(len(sums)))
    largest = np.abs(multipliers @ (sums[:, usable] / error[usable])).max(axis=1)
    largest *= np.sqrt(len(sums) / (len(sums) - 1))
    if np.isfinite(df):
        largest /= np.sqrt(rng.chisquare(df, draws) / df)
    return max(pointwise, float(np.quantile(largest, level)))


def joint_critical_value(vcov: Array, level: float, draws: int, seed: int, df: float) -> float:
    """Return the critical value of a band that covers all estimates at once, from their variance matrix alone.

    The quantile of the largest absolute statistic over draws of normal errors with that correlation, over the root
    of a chi-squared draw over its degrees of freedom where these are finite.

    Args:
        vcov: (k, k) with a positive diagonal; what makes it indefinite is left out.
        level: coverage in (0, 1).
        draws: number of draws; with none the pointwise value is returned.
        seed: of the generator.
        df: degrees of freedom of the pointwise interval.

    Source: Montiel Olea and Plagborg-Møller (2019), Journal of Applied Econometrics 34(1).

    Example:
        >>> round(joint_critical_value(np.eye(3), 0.95, 200_000, 1, np.inf), 2)  # (2 * 0.95^(1/3) - 1 quantile)
        2.39
    """
    pointwise = t_quantile(level, df)
    if draws < 1 or len(vcov) < 2:
        return pointwise
    error = np.sqrt(np.diag(vcov))
    values, vectors = np.linalg.eigh(vcov / error / error[:, None])
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    root /= np.sqrt((root**2).sum(axis=1, keepdims=True))
    rng = np.random.default_rng(seed)
    largest = np.abs(rng.normal(size=(draws, len(error))) @ root.T).max(axis=1)
    if np.isfinite(df):
        largest /= np.sqrt(rng.chisquare(df, draws) / df)
    return max(pointwise, float(np.quantile(largest, level)))


def effective_clusters(influence: Array, clusters: NDArray[np.generic]) -> Array:
    """Return how many equal clusters an estimate's error rests on, (k,).

    With v the variance of a cluster's contribution it is (sum of v)^2 over the sum of v^2: the number of clusters
    where all weigh alike, one where a single cluster carries the estimate. A cluster's variance is read off as the
    sum of its members' squared contributions, as if they were independent inside it: single sums of clusters tell too
    little of their variance.

    Args:
        influence: (n, k) contributions of members, several a cluster; a column with missing values gives a missing
            number.
        clusters: (n,) labels.

    Assumption: members of all clusters are correlated alike; where those of large clusters share more, there are fewer.
        What regressors alone say is ``panel_inference.few_clusters.cluster_report``.

    Source: Carter, Schnepel and Steigerwald (2017), Review of Economics and Statistics 99(4), for the number.

    Example:
        >>> psi = np.array([[3.0, 1.0], [-3.0, -1.0], [0.0, 1.0], [0.0, 1.0]])
        >>> effective_clusters(psi, np.array([1, 1, 2, 2])).tolist()
        [1.0, 2.0]
    """
    variances = cluster_sums(influence**2, clusters)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(variances.sum(axis=0) ** 2 / (variances**2).sum(axis=0), dtype=float)


@dataclass(frozen=True, slots=True)
class WildBootstrap:
    """Result of a wild cluster bootstrap of one coefficient.

    Args:
        p_value: of a coefficient of zero, two-sided, symmetric.
        conf_low: lower end of the set of values not rejected; missing where the set has no end.
        conf_high: upper end.
        multiplier: kind of multipliers drawn.
    """

    p_value: float
    conf_low: float
    conf_high: float
    multiplier: Multiplier


def wild_cluster_bootstrap(
    y: Array,
    x: Array,
    z: Array,
    weights: Array,
    clusters: NDArray[np.generic],
    *,
    level: float,
    draws: int,
    seed: int,
    multiplier: Multiplier | None = None,
) -> WildBootstrap:
    """Test one coefficient, and find its interval, by the wild cluster bootstrap with the null imposed.

    The regression is y on x and z; effects that do not cross clusters were swept out of all three before.
    Everything is computed from sums by cluster, so that a draw costs G^2 multiplications however many rows
    there are.

    Args:
        y: (n,) outcome, swept.
        x: (n,) the regressor tested, swept.
        z: (n, q) the other regressors, swept; q may be 0. Dependent columns are allowed.
        weights: (n,) positive.
        clusters: (n,) labels.
        level: of the interval, found by inverting the test with the same draws.
        draws: bootstrap draws; 0 is refused.
        seed: of the generator.
        multiplier: None for ``few_cluster_multiplier``.

    Returns:
        The p-value is (1 + draws at least as extreme) / (1 + draws).

    Raises:
        ValueError: no draws, fewer than two clusters, or x has no variation of its own.

    Assumption: errors independent across clusters. It under-rejects with very few treated clusters.

    Source: Cameron, Gelbach and Miller (2008); Roodman, MacKinnon, Nielsen and Webb (2019), Stata Journal
        19(1).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> g = np.repeat(np.arange(20), 10)
        >>> x = rng.normal(size=200)
        >>> y = x + rng.normal(size=200)
        >>> b = wild_cluster_bootstrap(y, x, np.ones((200, 1)), np.ones(200), g, level=0.9, draws=499, seed=1)
        >>> b.p_value < 0.05 and b.conf_low < 1 < b.conf_high
        True
    """
    if draws < 1:
        raise ValueError("the wild bootstrap needs draws")
    scores = wild_scores(y, x, z, weights, clusters)
    kind = multiplier or few_cluster_multiplier(len(scores.to_beta))
    drawn = wild_draws(scores, draws, np.random.default_rng(seed), kind)

    def p_value(null: float) -> float:
        return share_as_extreme(drawn.statistic(null), (scores.beta - null) / scores.error)

    low, high = (_invert(p_value, scores.beta, side * scores.error, 1 - level) for side in (-1.0, 1.0))
    return WildBootstrap(p_value(0.0), low, high, kind)


@dataclass(frozen=True, slots=True)
class WildScores:
    """What a wild bootstrap of one coefficient needs of the sample: sums by cluster.

    A draw gives each resampled group's residuals one multiplier. The coefficient it finds, and each cluster's
    score, are linear in the multipliers and, with the null imposed, in the null: residuals are those of the
    regression plus (coefficient less null) times the regressor.

    Args:
        beta: the coefficient.
        error: its standard error, the root of summed squared cluster scores, without a factor.
        to_beta: (H, 2) what a group adds to the coefficient, with residuals and with the regressor in their
            place.
        scores: (H, G, 2) what it adds to the scores of clusters, likewise.
        own: variation of the regressor beyond the others.
    """

    beta: float
    error: float
    to_beta: Array
    scores: Array
    own: float


@dataclass(frozen=True, slots=True)
class WildDraws:
    """Draws of a wild bootstrap, as functions of the null.

    Args:
        centre: the coefficient of the sample.
        beta: (draws, 2) the drawn coefficient less the one it was drawn around is the first plus a times the
            second, a the distance of the null below the centre.
        variance: (draws, 3) its variance is the first, plus 2 a times the second, plus a squared times the
            third.
    """

    centre: float
    beta: Array
    variance: Array

    def statistic(self, null: float) -> Array:
        """Return the t statistics of a null, (draws,); missing where an error is zero.

        At the centre they are those without the null imposed.
        """
        # About the centre nothing large is subtracted from anything large.
        a = self.centre - null
        spread = self.variance @ np.array([1.0, 2 * a, a**2])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((self.beta @ np.array([1.0, a])) / np.sqrt(spread), dtype=float)


def wild_scores(
    y: Array,
    x: Array,
    z: Array,
    weights: Array,
    clusters: NDArray[np.generic],
    groups: NDArray[np.generic] | None = None,
) -> WildScores:
    """Return the sums by cluster from which a wild bootstrap draws.

    Args:
        y: (n,) outcome, as in ``wild_cluster_bootstrap``.
        x: (n,) the regressor tested.
        z: (n, q) the other regressors; dependent columns are allowed.
        weights: (n,) positive.
        clusters: (n,) labels by which the error is clustered.
        groups: (n,) labels of what is resampled, inside clusters; None for the clusters.

    Raises:
        ValueError: fewer than two clusters, groups that cross clusters, or x has no variation of its own.

    Source: Roodman, MacKinnon, Nielsen and Webb (2019), Stata Journal 19(1).

    Example:
        >>> s = wild_scores(
        ...     np.array([1.0, 2.0, 4.0]), np.ones(3), np.zeros((3, 0)), np.ones(3), np.array([0, 0, 1])
        ... )
        >>> round(s.beta, 4), s.scores.shape
        (2.3333, (2, 2, 2))
    """
    root = np.sqrt(weights)
    y, x, z = y * root, x * root, z * root[:, None]
    before = float(x @ x)
    if z.shape[1]:
        basis = _orthonormal(z)
        y, x = y - basis @ (basis.T @ y), x - basis @ (basis.T @ x)
    else:
        basis = np.zeros((len(y), 0))
    own = float(x @ x)
    if own <= max(1e-14 * before, 1e-300):
        raise ValueError("the regressor has no variation of its own")
    labels, cluster = np.unique(clusters, return_inverse=True)
    g = len(labels)
    if g < 2:
        raise ValueError("at least two clusters are needed")
    group = cluster if groups is None else np.unique(groups, return_inverse=True)[1]
    h = int(group.max()) + 1
    cluster_of = np.zeros(h, dtype=np.intp)
    cluster_of[group] = cluster
    crossing = len(np.unique(group[cluster_of[group] != cluster]))
    if crossing:
        raise ValueError(f"{crossing} resampled groups cross clusters; wanted groups inside clusters")

    def sums(at: NDArray[np.intp], size: int, column: Array) -> Array:
        return np.bincount(at, column, minlength=size).astype(float)

    def sums_with_basis(at: NDArray[np.intp], size: int, column: Array) -> Array:
        if not basis.shape[1]:
            return np.zeros((size, 0))
        return np.column_stack([sums(at, size, b * column) for b in basis.T])

    basis_x, squares = sums_with_basis(cluster, g, x), sums(cluster, g, x**2)
    beta = float(x @ y) / own
    residual = y - beta * x
    to_beta, scores = np.empty((h, 2)), np.empty((h, g, 2))
    for part, u in enumerate((residual, x)):
        # A group's residual moves its cluster's score, and through coefficients those of all.
        score = sums(group, h, x * u)
        to_beta[:, part] = score / own
        scores[:, :, part] = -sums_with_basis(group, h, u) @ basis_x.T - np.outer(to_beta[:, part], squares)
        scores[np.arange(h), cluster_of, part] += score
    error = float(np.sqrt((sums(cluster, g, x * residual) ** 2).sum())) / own
    return WildScores(beta, error, to_beta, scores, own)


def wild_draws(scores: WildScores, draws: int, rng: np.random.Generator, kind: Multiplier) -> WildDraws:
    """Draw multipliers and return what they do, in blocks that keep memory small.

    Example:
        >>> s = wild_scores(
        ...     np.array([1.0, 2.0, 4.0]), np.ones(3), np.zeros((3, 0)), np.ones(3), np.array([0, 0, 1])
        ... )
        >>> wild_draws(s, 5, np.random.default_rng(0), "webb").statistic(0.0).shape
        (5,)
    """
    h = len(scores.to_beta)
    size = max(1, 1_000_000 // h)
    parts = [
        wild_moments(scores, draw_multipliers(min(size, draws - start), h, rng, kind))
        for start in range(0, draws, size)
    ]
    return WildDraws(
        scores.beta, np.concatenate([p.beta for p in parts]), np.concatenate([p.variance for p in parts])
    )


def wild_moments(scores: WildScores, multipliers: Array) -> WildDraws:
    """Return coefficients and variances under given multipliers, (draws, H).

    Example:
        >>> s = wild_scores(
        ...     np.array([1.0, 2.0, 4.0]), np.ones(3), np.zeros((3, 0)), np.ones(3), np.array([0, 0, 1])
        ... )
        >>> bool(np.isclose(wild_moments(s, np.ones((1, 2))).statistic(0.0)[0], s.beta / s.error))
        True
    """
    of_u, of_x = multipliers @ scores.scores[:, :, 0], multipliers @ scores.scores[:, :, 1]
    products = [np.einsum("dg,dg->d", a, b) for a, b in ((of_u, of_u), (of_u, of_x), (of_x, of_x))]
    return WildDraws(scores.beta, multipliers @ scores.to_beta, np.column_stack(products) / scores.own**2)


def _orthonormal(z: Array) -> Array:
    """Return an orthonormal basis of z's columns, dependent ones left out."""
    q, r = np.linalg.qr(z / np.maximum(np.sqrt((z**2).sum(axis=0)), 1e-300))
    u, s, _ = np.linalg.svd(r, full_matrices=False)
    return np.asarray(q @ u[:, s > 1e-9 * max(s.max(), 1e-300)], dtype=float)


def _invert(p_value: Callable[[float], float], beta: float, step: float, alpha: float) -> float:
    """Return the value away from beta in the direction of step where the p-value falls to alpha."""
    inside, outside = beta, beta + 2 * step
    for _ in range(12):
        if p_value(outside) <= alpha:
            break
        inside, outside = outside, beta + 2 * (outside - beta)
    else:
        return float("nan")
    while abs(outside - inside) > 1e-4 * abs(step):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if p_value(middle) > alpha else (inside, middle)
    return (inside + outside) / 2


def share_as_extreme(drawn: Array, observed: float, *, exact: bool = False) -> float:
    """Return the p-value of a statistic among others, two-sided.

    Args:
        drawn: (B,) statistics of draws or of every assignment; a missing one counts as extreme.
        observed: the statistic of the sample; met again among draws it differs by rounding at most.
        exact: whether ``drawn`` holds every possibility, the one observed among them.

    Returns:
        The share at least as far from zero; of draws (1 + their number) / (1 + B).

    Source: Phipson and Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9(1).

    Example:
        >>> share_as_extreme(np.array([0.5, -2.0, 3.0]), 2.0), share_as_extreme(np.array([2.0, 1.0]), 2.0, exact=True)
        (0.75, 0.5)
    """
    extreme = int(np.count_nonzero(~(np.abs(drawn) < abs(observed) * (1 - SAME))))
    return extreme / len(drawn) if exact else (1 + extreme) / (1 + len(drawn))


def refuse_level(level: float) -> None:
    """Refuse a level that is no share.

    Raises:
        ValueError: it does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level}; wanted a share between 0 and 1")


def outermost(p_value: Callable[[float], float], middle: float, step: float, size: float) -> float:
    """Return the outermost value that a test does not reject on one side of ``middle``.

    Args:
        p_value: of a value; it need not fall steadily away from the middle.
        middle: where the search begins, the estimate.
        step: its unit, a standard error; its sign is the side.
        size: of the test.

    Returns:
        The value, to a ten-millionth of a step; infinite where none is rejected.

    Example:
        >>> round(outermost(lambda value: max(0.0, 1 - abs(value)), 0.0, 0.2, 0.1), 6)
        0.9
    """
    # A share of draws equal to the size must not pass for larger by rounding.
    size += 1e-12
    reach = 1.0
    # Two rejections in a row end the search: a single one may lie inside, for p-values need not fall steadily.
    while not (p_value(middle + reach * step) <= size and p_value(middle + 2 * reach * step) <= size):
        reach *= 2
        if reach > FARTHEST:
            return float(np.copysign(np.inf, step))
    grid = middle + step * np.linspace(0.0, reach, SCAN + 1)
    kept = [i for i, value in enumerate(grid) if p_value(float(value)) > size]
    inside = grid[max(kept)] if kept else middle
    outside = grid[max(kept) + 1] if kept else grid[1]
    while abs(outside - inside) > 1e-7 * abs(step):
        half = (inside + outside) / 2
        inside, outside = (half, outside) if p_value(float(half)) > size else (inside, half)
    return float((inside + outside) / 2)

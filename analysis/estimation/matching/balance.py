"""How alike two weighted groups are, covariate by covariate: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from analysis.estimation.matching.weights import effective_sample_size, refuse_unusable

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Denominator = Literal["treated", "comparison", "pooled", "all"]

# Normand and others (2001), Journal of Clinical Epidemiology 54(4); Austin (2009), Statistics in Medicine 28(25).
SMD_LIMITS = (-0.1, 0.1)
# Rubin (2001), Health Services and Outcomes Research Methodology 2: outside these a variance is "bad"; outside the
# strict ones, four fifths and five fourths, it is "of concern".
VARIANCE_RATIO_LIMITS = (0.5, 2.0)
STRICT_VARIANCE_RATIO_LIMITS = (0.8, 1.25)
LIMITS: Mapping[str, tuple[float, float]] = {
    "standardized_mean_difference": SMD_LIMITS,
    "variance_ratio": VARIANCE_RATIO_LIMITS,
}

STATISTICS = (
    "mean_treated",
    "mean_comparison",
    "standardized_mean_difference",
    "variance_ratio",
    "ks",
    "ecdf_mean",
    "ecdf_mean_sample",
    "overlap",
)
QUANTILE_STATISTICS = ("eqq_mean", "eqq_median", "eqq_max")

# A column with no more distinct values than this has shares, not a density.
FEW_VALUES = 10
# Grid points a bandwidth; and bandwidths by which the grid goes beyond the data, where the kernel is 1e-9.
POINTS, BEYOND = 25, 6
# Widths of probability below this are rounding of cumulative sums.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Balance:
    """Balance of k covariates; every field (k,).

    Args:
        mean_treated: weighted mean of treated rows.
        mean_comparison: weighted mean of comparison rows.
        standardized_mean_difference: their difference over a standard deviation that does not depend on the
            weights.
        variance_ratio: weighted variance of treated over that of comparison rows.
        ks: largest distance between the two weighted distribution functions, in [0, 1]; also known as the
            largest eCDF difference.
        ecdf_mean: mean distance between the two weighted distribution functions over the distinct values of
            all rows, those of weight 0 included (as MatchIt): the same values before and after matching. For
            a two-valued column MatchIt prints the difference of means instead, which is ``ks`` here.
        ecdf_mean_sample: likewise over the distinct values of rows with weight (as Matching).
        overlap: overlap coefficient of the two weighted distributions, in [0, 1]; see ``overlap_coefficient``.
    """

    mean_treated: Array
    mean_comparison: Array
    standardized_mean_difference: Array
    variance_ratio: Array
    ks: Array
    ecdf_mean: Array
    ecdf_mean_sample: Array
    overlap: Array


@dataclass(frozen=True, slots=True)
class QuantileDifferences:
    """Distances between the quantile functions of two arms, in the covariate's unit; every field (k,).

    Args:
        eqq_mean: mean over ranks: the area between the two distribution functions.
        eqq_median: median over ranks.
        eqq_max: largest over ranks.
    """

    eqq_mean: Array
    eqq_median: Array
    eqq_max: Array


@dataclass(frozen=True, slots=True)
class Densities:
    """Densities of both arms at common points.

    Args:
        points: (g,) evenly spaced, in the covariate's unit; or its distinct values.
        treated: (g,) density of treated rows; shares where ``discrete``.
        comparison: (g,) of comparison rows.
        bandwidth: standard deviation of the normal kernel; 0 where ``discrete``.
        discrete: whether the column has too few values for a density.
    """

    points: Array
    treated: Array
    comparison: Array
    bandwidth: float
    discrete: bool


def denominators(x: Array, treated: Bool, kind: Denominator) -> Array:
    """Return the standard deviations that standardise mean differences, (k,), before any matching or
    weighting.

    Args:
        x: (n, k) covariates of every row, matched or not.
        treated: (n,) bool.
        kind: "treated" for that of treated rows (Stuart 2010; for the ATT), "comparison" for that of
            comparison rows (for the ATC), "pooled" for the root of the mean of both variances (Rosenbaum and
            Rubin 1985; for the ATE), "all" for that of both arms together.

    Raises:
        ValueError: another kind.

    Example:
        >>> x, treated = np.array([[0.0], [2.0], [0.0], [0.0]]), np.array([True, True, False, False])
        >>> denominators(x, treated, "pooled")
        array([1.])
    """
    if kind == "all":
        return np.asarray(x.std(axis=0, ddof=1))
    if kind not in ("treated", "comparison", "pooled"):
        raise ValueError(f"denominator = {kind!r}; wanted treated, comparison, pooled or all")
    of_treated, of_comparison = x[treated].var(axis=0, ddof=1), x[~treated].var(axis=0, ddof=1)
    chosen = {
        "treated": of_treated,
        "comparison": of_comparison,
        "pooled": (of_treated + of_comparison) / 2,
    }
    return np.asarray(np.sqrt(chosen[kind]))


def balance(x: Array, treated: Bool, weights: Array, denominator: Array) -> Balance:
    """Compare treated and comparison rows under weights.

    Args:
        x: (n, k) covariates of every row, matched or not.
        treated: (n,) bool.
        weights: (n,) non-negative; rows with weight 0 are not in the sample.
        denominator: (k,) from ``denominators``: the same before and after matching, so that a smaller
            standardized mean difference means closer means and not a larger spread.

    Raises:
        ValueError: a covariate or weight is missing, a weight is negative, or an arm has no weight.

    Source: Stuart (2010), Statistical Science 25(1); weighted variances as in Austin and Stuart (2015),
        Statistics in Medicine 34(28); eCDF differences as in Diamond and Sekhon (2013), Review of Economics and
        Statistics 95(3); overlap as in Franklin and others (2014), Statistics in Medicine 33(10).

    Example:
        >>> x, d = np.array([[1.0], [3.0], [1.0], [3.0]]), np.array([True, True, False, False])
        >>> balance(x, d, np.ones(4), denominators(x, d, "treated")).standardized_mean_difference
        array([0.])
    """
    _check(x, treated, weights)
    mean_1, variance_1 = _moments(x[treated], weights[treated])
    mean_0, variance_0 = _moments(x[~treated], weights[~treated])
    with np.errstate(divide="ignore", invalid="ignore"):
        smd = np.where(denominator > 0, (mean_1 - mean_0) / denominator, np.nan)
        ratio = np.where(variance_0 > 0, variance_1 / variance_0, np.nan)
    ks, mean_all = _ecdf_differences(x, treated, weights)
    used = weights > 0
    mean_sample = mean_all if used.all() else _ecdf_differences(x[used], treated[used], weights[used])[1]
    overlap = np.array([overlap_coefficient(column, treated, weights) for column in x.T])
    return Balance(mean_1, mean_0, smd, ratio, ks, mean_all, mean_sample, overlap)


def quantile_differences(x: Array, treated: Bool, weights: Array) -> QuantileDifferences:
    """Compare the weighted quantile functions of both arms rank by rank.

    Both are step functions of the rank in (0, 1); mean, median and largest distance are exact, over all ranks.
    For pairs they are those of the sorted values; where arms differ in size Matching and MatchIt instead read
    the larger arm at as many ranks as the smaller has rows.

    Args:
        x: (n, k) covariates.
        treated: (n,) bool.
        weights: (n,) non-negative.

    Raises:
        ValueError: as ``balance``.

    Source: Diamond and Sekhon (2013), Review of Economics and Statistics 95(3).

    Example:
        >>> x, d = np.array([[0.0], [1.0], [0.0], [3.0]]), np.array([True, True, False, False])
        >>> quantile_differences(x, d, np.ones(4)).eqq_mean
        array([1.])
    """
    _check(x, treated, weights)
    arms = [(x[arm & (weights > 0)], weights[arm & (weights > 0)]) for arm in (treated, ~treated)]
    return QuantileDifferences(
        *np.array([_rank_distances(*[(v[:, j], w) for v, w in arms]) for j in range(x.shape[1])]).T
    )


def bandwidth_of(column: Array, treated: Bool) -> float:
    """Return the bandwidth of a covariate's densities: one for both arms and for every sample.

    Silverman's rule of thumb, 0.9 times the smaller of standard deviation and interquartile range / 1.34,
    times n to the power -1/5, on the arm with fewer rows, unweighted. With one bandwidth arms that are alike
    have overlap 1, and overlap before and after matching is one measure.

    Example:
        >>> x = np.arange(8.0)
        >>> round(bandwidth_of(x, x < 4), 4)
        0.7635
    """
    few = column[treated] if 2 * treated.sum() <= len(treated) else column[~treated]
    quartiles = np.percentile(few, (25, 75))
    deviation = few.std(ddof=1) if len(few) > 1 else 0.0
    spread = min(deviation, float(quartiles[1] - quartiles[0]) / 1.34) or deviation or column.std(ddof=1)
    return float(0.9 * spread * len(few) ** -0.2)


def densities(column: Array, treated: Bool, weights: Array, bandwidth: float | None = None) -> Densities:
    """Return the weighted density of each arm at common points, by a normal kernel.

    Args:
        column: (n,) covariate of every row; one of at most ten distinct values gets shares instead.
        treated: (n,) bool.
        weights: (n,) non-negative.
        bandwidth: in the covariate's unit; None for ``bandwidth_of``.

    Source: Silverman (1986), Density Estimation, section 3.4.2; binned as in Wand (1994), Journal of
        Computational and Graphical Statistics 3(4).

    Example:
        >>> d = np.array([True, True, False, False])
        >>> densities(np.array([0.0, 1.0, 1.0, 1.0]), d, np.ones(4)).treated
        array([0.5, 0.5])
    """
    values = np.unique(column)
    share = [np.where(arm, weights, 0.0) / weights[arm].sum() for arm in (treated, ~treated)]
    if len(values) <= FEW_VALUES:
        at = np.searchsorted(values, column)
        shares = [np.bincount(at, s, len(values)).astype(float) for s in share]
        return Densities(values, shares[0], shares[1], 0.0, True)
    h = bandwidth_of(column, treated) if bandwidth is None else bandwidth
    low, high = values[0] - BEYOND * h, values[-1] + BEYOND * h
    count = min(int(np.ceil((high - low) / h * POINTS)) + 1, 1 << 16)
    step = (high - low) / (count - 1)
    place = (column - low) / step
    left = np.minimum(place.astype(np.intp), count - 2)
    part = place - left
    reach = int(np.ceil(BEYOND * h / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / h) ** 2)
    kernel /= kernel.sum() * step
    heights = []
    for s in share:
        mass = np.bincount(left, s * (1 - part), count) + np.bincount(left + 1, s * part, count)
        heights.append(np.maximum(fftconvolve(mass, kernel, mode="same"), 0.0))
    return Densities(low + step * np.arange(count), heights[0], heights[1], h, False)


def overlap_coefficient(
    column: Array, treated: Bool, weights: Array | None = None, bandwidth: float | None = None
) -> float:
    """Return the share of probability that two arms have in common: the area under the lower density.

    Args:
        column: (n,) covariate of every row; for at most ten distinct values the sum of the lower shares.
        treated: (n,) bool.
        weights: (n,) non-negative; None for ones.
        bandwidth: of the normal kernel; None for ``bandwidth_of``.

    Returns:
        1 for equal distributions, 0 for distributions that have nothing in common.

    Source: Inman and Bradley (1989), Communications in Statistics 18(10); Franklin and others (2014), Statistics
        in Medicine 33(10), for balance.

    Example:
        >>> d = np.array([True, True, False, False])
        >>> overlap_coefficient(np.array([0.0, 1.0, 1.0, 1.0]), d)
        0.5
    """
    found = densities(column, treated, np.ones(len(column)) if weights is None else weights, bandwidth)
    lower = np.minimum(found.treated, found.comparison)
    step = 1.0 if found.discrete else found.points[1] - found.points[0]
    return float(min(lower.sum() * step, 1.0))


def products(x: Array, names: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """Return squares and pairwise products of covariates, (n, q), with their names.

    Those that are 0 throughout or repeat the first factor (the square of a column of zeros and ones) are left
    out, as in MatchIt.

    Args:
        x: (n, k) covariates, neither centred nor scaled.
        names: of the k covariates.

    Example:
        >>> products(np.array([[1.0, 3.0], [0.0, 2.0]]), ("a", "b"))[1]
        ('a * b', 'b²')
    """
    columns, called = [], []
    tolerance = np.sqrt(np.finfo(float).eps)
    for i, first in enumerate(names):
        for j in range(i, len(names)):
            column = x[:, i] * x[:, j]
            if min(np.abs(column).max(), np.abs(column - x[:, i]).max()) < tolerance:
                continue
            columns.append(column)
            called.append(f"{first}²" if i == j else f"{first} * {names[j]}")
    return (np.column_stack(columns) if columns else np.empty((len(x), 0))), tuple(called)


def tidy_balance(
    x: Array,
    treated: Bool,
    samples: Mapping[str, Array],
    names: Sequence[str],
    denominator: Denominator = "treated",
    *,
    with_products: bool = False,
    with_quantiles: bool = False,
    limits: Mapping[str, tuple[float, float]] = LIMITS,
) -> dict[str, list[Any]]:
    """Return the columns of one tidy table: covariate by sample by statistic.

    Args:
        x: (n, k) covariates of every row, matched or not.
        treated: (n,) bool.
        samples: name of a sample ("all", "matched", "weighted") to its weights (n,).
        names: of the k covariates.
        denominator: of standardized mean differences, see ``denominators``; always from all rows, unweighted.
        with_products: whether squares and pairwise products follow the covariates.
        with_quantiles: whether the distances of ``quantile_differences`` are among the statistics.
        limits: statistic to the lowest and highest value that counts as balanced.

    Returns:
        Equally long lists: covariate, sample, statistic (``STATISTICS``), value, denominator (None where the
        statistic has none), threshold_low, threshold_high (None where there is no limit), within (True, False,
        or None: no limit, no value, or the variance ratio of a two-valued column, which follows from its
        means). Rows of covariate "(all)" follow: n_treated and n_comparison (rows with weight),
        effective_treated and effective_comparison (Kish), the largest and the mean absolute standardized mean
        difference, and the shares of covariates within each limit and within the strict limits of the
        variance ratio. Products do not enter them.

    Raises:
        ValueError: as ``balance`` and ``denominators``.

    Source: Stuart (2010), Statistical Science 25(1); Rubin (2001), Health Services and Outcomes Research
        Methodology 2, for the variance ratio; Austin (2009), Statistics in Medicine 28(25), for the limit of 0.1.

    Example:
        >>> x, d = np.array([[1.0], [3.0], [1.0], [2.0]]), np.array([True, True, False, False])
        >>> found = tidy_balance(x, d, {"all": np.ones(4)}, ["poverty"])
        >>> found["statistic"][2], round(found["value"][2], 3), found["within"][2]
        ('standardized_mean_difference', 0.354, False)
    """
    k = len(names)
    every, called = x, tuple(names)
    if with_products:
        further, more = products(x, names)
        every, called = np.column_stack([x, further]), called + more
    deviation = denominators(every, treated, denominator)
    two_valued = [len(np.unique(column)) == 2 for column in every.T]
    rows: list[tuple[Any, ...]] = []

    def add(covariate: str, sample: str, statistic: str, value: float, *, judged: bool = True) -> bool | None:
        low, high = limits.get(statistic, (None, None))
        within = None
        if low is not None and high is not None and judged and np.isfinite(value):
            within = bool(low <= value <= high)
        stated = denominator if "standardized_mean_difference" in statistic else None
        rows.append((covariate, sample, statistic, float(value), stated, low, high, within))
        return within

    for sample, weights in samples.items():
        found = balance(every, treated, weights, deviation)
        columns = {statistic: getattr(found, statistic) for statistic in STATISTICS}
        if with_quantiles:
            distances = quantile_differences(every, treated, weights)
            columns |= {statistic: getattr(distances, statistic) for statistic in QUANTILE_STATISTICS}
        verdicts: dict[str, list[bool]] = {statistic: [] for statistic in limits}
        for i, covariate in enumerate(called):
            for statistic, values in columns.items():
                judged = statistic != "variance_ratio" or not two_valued[i]
                within = add(covariate, sample, statistic, values[i], judged=judged)
                if i < k and within is not None:
                    verdicts[statistic].append(within)
        size, effective = (
            np.abs(found.standardized_mean_difference[:k]),
            effective_sample_size(weights, treated),
        )
        low, high = STRICT_VARIANCE_RATIO_LIMITS
        ratios = found.variance_ratio[:k][~np.array(two_valued[:k])]
        ratios = ratios[np.isfinite(ratios)]
        summary = {
            "n_treated": (weights[treated] > 0).sum(),
            "n_comparison": (weights[~treated] > 0).sum(),
            "effective_treated": effective.treated,
            "effective_comparison": effective.comparison,
            "largest_standardized_mean_difference": _over(np.max, size[np.isfinite(size)]),
            "mean_standardized_mean_difference": _over(np.mean, size[np.isfinite(size)]),
            **{f"share_within_{name}": _over(np.mean, np.array(v)) for name, v in verdicts.items()},
            "share_within_strict_variance_ratio": _over(np.mean, (ratios >= low) & (ratios <= high)),
        }
        for statistic, value in summary.items():
            add("(all)", sample, statistic, value)
    heads = (
        "covariate",
        "sample",
        "statistic",
        "value",
        "denominator",
        "threshold_low",
        "threshold_high",
        "within",
    )
    return {head: list(column) for head, column in zip(heads, zip(*rows, strict=True), strict=True)}


def _over(what: Any, values: Array) -> float:
    return float(what(values)) if len(values) else float("nan")


def _check(x: Array, treated: Bool, weights: Array) -> None:
    refuse_unusable(x, treated, constant=False, dependent=False)
    if weights.shape != treated.shape:
        raise ValueError(f"weights {weights.shape} for {treated.shape} rows; wanted one a row")
    effective_sample_size(weights, treated)


def _moments(x: Array, w: Array) -> tuple[Array, Array]:
    total = w.sum()
    mean = w @ x / total
    # Reliability weights: for equal weights this is the usual variance with n - 1.
    room = total - (w**2).sum() / total
    variance = w @ (x - mean) ** 2 / room if room > 0 else np.full(x.shape[1], np.nan)
    return mean, variance


def _ecdf_differences(x: Array, treated: Bool, weights: Array) -> tuple[Array, Array]:
    """Return the largest and the mean distance of the arms' distribution functions over distinct values."""
    signed = np.where(treated, weights / weights[treated].sum(), -weights / weights[~treated].sum())
    order = np.argsort(x, axis=0, kind="stable")
    ordered = np.take_along_axis(x, order, axis=0)
    # A distribution function is read where a run of equal values ends.
    ends = np.vstack([ordered[1:] != ordered[:-1], np.ones((1, x.shape[1]), dtype=bool)])
    gap = np.abs(np.cumsum(signed[order], axis=0)) * ends
    return gap.max(axis=0), gap.sum(axis=0) / ends.sum(axis=0)


def _rank_distances(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[float, float, float]:
    values, ranks = [], []
    for column, w in (one, other):
        order = np.argsort(column, kind="stable")
        values.append(column[order])
        ranks.append(np.cumsum(w[order]) / w.sum())
    ends = np.unique(np.concatenate(ranks))
    width = np.diff(ends, prepend=0.0)
    middle = (ends - width / 2)[width > ROUNDING]
    width = width[width > ROUNDING]
    at = [v[np.minimum(np.searchsorted(r, middle), len(v) - 1)] for v, r in zip(values, ranks, strict=True)]
    distance = np.abs(at[0] - at[1])
    order = np.argsort(distance, kind="stable")
    distance, reached = distance[order], np.cumsum(width[order])
    half = int(np.searchsorted(reached, 0.5 - ROUNDING))
    # Where half the ranks lie exactly below, the median is the middle of the two values next to it.
    upper = min(half + 1, len(distance) - 1) if abs(reached[half] - 0.5) < ROUNDING else half
    return float(distance @ width[order]), float(distance[half] + distance[upper]) / 2, float(distance[-1])

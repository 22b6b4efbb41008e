"""How large a hidden bias would have to be: Rosenbaum bounds and E-values on arrays.

Gamma is the most by which two units matched to each other may differ in their odds of treatment. Bounds hold
over every unmeasured covariate u in [0, 1] with log odds of treatment shifted by log(gamma) u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

Array = NDArray[np.float64]
Alternative = Literal["greater", "less"]
Method = Literal["exact", "normal"]
Zeros = Literal["dropped", "ranked"]

NOTE = "valid if counties were assigned independently; it carries no verdict"

# Log of the risk ratio that a difference of one standard deviation stands for.
LOG_RATIO_OF_DEVIATION = 0.91
# Beyond which exponentials leave the range of numbers.
LARGEST_LOG = 700.0

# Pairs up to which the signed-rank distribution is computed exactly when the method is left open.
EXACT_PAIRS = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds under hidden bias, one entry a gamma.

    Args:
        gamma: (g,) bounds on the odds ratio of treatment within a set.
        p_low: (g,) smallest one-sided p-value of no effect.
        p_high: (g,) largest.
        estimate_low: (g,) smallest Hodges-Lehmann estimate of a constant effect, in units of the outcome.
        estimate_high: (g,) largest.
        conf_low: (g,) lower end of the two-sided interval that holds for every bias up to gamma.
        conf_high: (g,) upper end.
        alternative: of the p-values.
        level: of the interval.
        sets: matched sets that tell something.
        note: the assumption, in words to print.
    """

    gamma: Array
    p_low: Array
    p_high: Array
    estimate_low: Array
    estimate_high: Array
    conf_low: Array
    conf_high: Array
    alternative: Alternative
    level: float
    sets: int
    note: str


@dataclass(frozen=True, slots=True)
class EValue:
    """How strongly a confounder must go with treatment and outcome, as risk ratios, to explain an effect away.

    Args:
        estimate: for the estimate.
        interval: for the end of the interval nearest to no effect; 1 where the interval holds it.
        ratio: the risk ratio it was computed from.
        note: the assumption, in words to print.
    """

    estimate: float
    interval: float
    ratio: float
    note: str


# --- pairs ------------------------------------------------------------------------------------------------------


def signed_rank_bounds(
    differences: Array,
    gamma: float,
    alternative: Alternative = "greater",
    method: Method | None = None,
    zeros: Zeros = "dropped",
) -> tuple[float, float]:
    """Return the smallest and largest one-sided p-value of Wilcoxon's signed-rank test under a hidden bias.

    Args:
        differences: (s,) treated less comparison outcome of each pair; ties share ranks.
        gamma: at least 1.
        alternative: "greater": treatment raises the outcome.
        method: "exact" distribution (by convolution, ties included) or "normal" approximation without
            continuity correction; None for exact up to ``EXACT_PAIRS`` pairs.
        zeros: differences of zero are "dropped" before ranking, as Wilcoxon and R have it, or "ranked" and
            then count for neither side, as in Rosenbaum's tables.

    Raises:
        ValueError: gamma below 1, a missing difference, or no difference other than zero.

    Assumption: pairs are assigned independently of each other.

    Source: Rosenbaum (2002), Observational Studies, section 4.3.

    Example:
        >>> low, high = signed_rank_bounds(np.array([1.0, 2.0, 3.0]), 2.0)
        >>> round(low, 4), round(high, 4)
        (0.037, 0.2963)
    """
    d = _differences(differences, gamma)
    d = d if alternative == "greater" else -d
    ranks = rankdata(np.abs(d))
    if zeros == "ranked":
        # All of them lie below the rest and push its ranks up by their number.
        ranks += len(differences) - len(d)
    observed = float(ranks[d > 0].sum())
    share = gamma / (1 + gamma)
    if method == "exact" or (method is None and len(d) <= EXACT_PAIRS):
        return _exact_tail(ranks, observed, 1 - share), _exact_tail(ranks, observed, share)
    spread = np.sqrt(share * (1 - share) * (ranks**2).sum())
    low, high = ((observed - p * ranks.sum()) / spread for p in (1 - share, share))
    return float(norm.sf(low)), float(norm.sf(high))


def pair_bounds(
    differences: Array,
    gammas: Array,
    *,
    alternative: Alternative = "greater",
    level: float = 0.95,
    method: Method | None = None,
) -> Bounds:
    """Return signed-rank p-values, Hodges-Lehmann estimates and intervals of matched pairs under hidden bias.

    Estimates and intervals are quantiles of the averages of two differences (Walsh averages): the effect
    which, taken off, leaves the rank sum at its mean, or at its critical value, under the worst bias.

    Args:
        differences: (s,) treated less comparison outcome of each pair.
        gammas: (g,) each at least 1.
        alternative: of the p-values; estimates and intervals are two-sided.
        level: of the interval (normal approximation without ties).
        method: as in ``signed_rank_bounds``.

    Raises:
        ValueError: as in ``signed_rank_bounds``.

    Assumption: pairs are assigned independently of each other; a constant effect for estimate and interval.

    Source: Rosenbaum (1993), JASA 88(424); (2002), sections 4.3.3 to 4.3.5.

    Example:
        >>> b = pair_bounds(np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0]))
        >>> b.estimate_low[0] == b.estimate_high[0] == 2.75
        np.True_
    """
    d = np.asarray(differences, dtype=float)
    gammas = np.atleast_1d(np.asarray(gammas, dtype=float))
    if not 0 < level < 1:
        raise ValueError(f"level = {level}; wanted a share between 0 and 1")
    p = np.array([signed_rank_bounds(d, gamma, alternative, method) for gamma in gammas])
    first, second = np.triu_indices(len(d))
    walsh = np.sort((d[first] + d[second]) / 2)
    s = len(d)
    total, critical = s * (s + 1) / 2, float(norm.ppf((1 + level) / 2))
    rows = []
    for gamma in gammas:
        share = gamma / (1 + gamma)
        spread = np.sqrt(share * (1 - share) * s * (s + 1) * (2 * s + 1) / 6)
        rows.append(
            [
                _walsh_at(walsh, share * total),
                _walsh_at(walsh, (1 - share) * total),
                _walsh_end(walsh, share * total + critical * spread, upper=False),
                _walsh_end(walsh, (1 - share) * total - critical * spread, upper=True),
            ]
        )
    found = np.array(rows)
    return _bounds(gammas, np.column_stack([p, found]), alternative, level, int((d != 0).sum()))


def _bounds(gammas: Array, found: Array, alternative: Alternative, level: float, sets: int) -> Bounds:
    p_low, p_high, estimate_low, estimate_high, conf_low, conf_high = found.T
    return Bounds(
        gamma=gammas,
        p_low=p_low,
        p_high=p_high,
        estimate_low=estimate_low,
        estimate_high=estimate_high,
        conf_low=conf_low,
        conf_high=conf_high,
        alternative=alternative,
        level=level,
        sets=sets,
        note=NOTE,
    )


def _differences(differences: Array, gamma: float) -> Array:
    if not gamma >= 1:
        raise ValueError(f"gamma = {gamma}; wanted at least 1")
    d = np.asarray(differences, dtype=float)
    if not np.isfinite(d).all():
        raise ValueError(f"{int((~np.isfinite(d)).sum())} pair differences are missing; wanted none")
    if not (d != 0).any():
        raise ValueError("every pair difference is zero; wanted one that is not")
    return d[d != 0]


def _exact_tail(ranks: Array, observed: float, share: float) -> float:
    """Return the chance that a sum of ranks, each counted with chance ``share``, reaches ``observed``."""
    # Shared ranks are halves at most, so doubled ranks are whole.
    steps = np.rint(2 * ranks).astype(int)
    chance = np.zeros(int(steps.sum()) + 1)
    chance[0], top = 1.0, 0
    for step in steps:
        top += int(step)
        moved = share * chance[: top - step + 1]
        chance[: top + 1] *= 1 - share
        chance[step : top + 1] += moved
    return float(min(1.0, chance[round(2 * observed) :].sum()))


def _walsh_at(walsh: Array, wanted: float) -> float:
    """Return the middle of the values at which ``wanted`` Walsh averages lie above."""
    n = len(walsh)
    # Above a value between walsh[i - 1] and walsh[i] lie n - i of them.
    i = n - wanted
    lower, upper = int(np.ceil(i - 1e-9)), int(np.floor(i + 1e-9))
    return float((walsh[max(lower - 1, 0)] + walsh[min(upper, n - 1)]) / 2)


def _walsh_end(walsh: Array, wanted: float, *, upper: bool) -> float:
    """Return the end of the values at which the rank sum is not yet extreme; infinite where there is none."""
    n = len(walsh)
    if upper:
        i = n - int(np.ceil(wanted))
        return float("inf") if i >= n else float(walsh[max(i, 0)])
    i = n - int(np.floor(wanted)) - 1
    return float("-inf") if i < 0 else float(walsh[min(i, n - 1)])


# --- matched sets -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sets:
    """Matched sets in rectangular form: row s holds its set's values, ``chosen`` first; NaN beyond its size."""

    rows: NDArray[np.intp]
    sign: Array
    valid: NDArray[np.bool_]


def set_p_bounds(
    y: Array,
    treated: NDArray[np.bool_],
    sets: NDArray[np.intp],
    gamma: float,
    *,
    scores: Literal["aligned_rank", "mean"] = "aligned_rank",
    alternative: Alternative = "greater",
    effect: float = 0.0,
) -> tuple[float, float]:
    """Return the smallest and largest one-sided p-value of matched sets of any size under a hidden bias.

    The statistic is the sum of treated rows' scores: outcomes less their set's mean ("mean"), or the ranks of
    those among all ("aligned_rank"). In each set the u in {0, 1} that moves the expected score most is taken,
    and the largest variance among such u; the p-value is normal.

    Args:
        y: (n,) outcome.
        treated: (n,) bool.
        sets: (n,) codes, -1 outside; each set has one treated row and others, or one comparison row and
            others, as optimal, k:1 and full matching give.
        gamma: at least 1.
        scores: of the test.
        alternative: "greater": treatment raises the outcome.
        effect: a constant effect taken off treated outcomes first.

    Raises:
        ValueError: gamma below 1, a set with several rows of both arms or of one arm only, a missing outcome,
            or outcomes that do not vary within any set.

    Assumption: sets are assigned independently of each other. The bound is that of large samples: exact in
        its mean, and in its variance as the number of sets grows.

    Source: Gastwirth, Krieger and Rosenbaum (2000), JRSS B 62(3); Rosenbaum (2002), section 4.4; Hodges and
        Lehmann (1962) for aligned ranks.

    Example:
        >>> y = np.array([9.0, 1.0, 2.0, 8.0, 2.0, 1.0])
        >>> d, s = np.array([True, False, False] * 2), np.array([0, 0, 0, 1, 1, 1])
        >>> low, high = set_p_bounds(y, d, s, 1.0)
        >>> low == high < 0.05
        True
    """
    if not gamma >= 1:
        raise ValueError(f"gamma = {gamma}; wanted at least 1")
    shape = _shape(y, treated, sets)
    free = np.where(shape.valid, (y - effect * treated)[shape.rows], np.nan)
    if not (np.nanmax(free, axis=1) > np.nanmin(free, axis=1)).any():
        raise ValueError("outcomes do not vary within any set; wanted some that differ")
    low, high = (
        _deviate(y, treated, shape, gamma, scores, alternative, effect, largest=largest)
        for largest in (True, False)
    )
    return float(norm.sf(high)), float(norm.sf(low))


def set_bounds(
    y: Array,
    treated: NDArray[np.bool_],
    sets: NDArray[np.intp],
    gammas: Array,
    *,
    scores: Literal["aligned_rank", "mean"] = "aligned_rank",
    alternative: Alternative = "greater",
    level: float = 0.95,
) -> Bounds:
    """Return p-values, Hodges-Lehmann estimates and intervals of matched sets of any size under hidden bias.

    Args:
        y: (n,) outcome.
        treated: (n,) bool.
        sets: (n,) codes as in ``set_p_bounds``.
        gammas: (g,) each at least 1.
        scores: of the test.
        alternative: of the p-values; estimates and intervals are two-sided.
        level: of the interval.

    Raises:
        ValueError: as in ``set_p_bounds``.

    Assumption: sets are assigned independently of each other; a constant effect for estimate and interval.

    Source: Rosenbaum (2002), sections 4.3.4 and 4.4; Gastwirth, Krieger and Rosenbaum (2000).

    Example:
        >>> y = np.array([9.0, 1.0, 2.0, 8.0, 2.0, 1.0, 7.0, 3.0, 2.0])
        >>> d, s = np.array([True, False, False] * 3), np.repeat([0, 1, 2], 3)
        >>> b = set_bounds(y, d, s, np.array([1.0, 2.0]), scores="mean")
        >>> bool(b.estimate_low[1] < b.estimate_low[0] == b.estimate_high[0] < b.estimate_high[1])
        True
    """
    gammas = np.atleast_1d(np.asarray(gammas, dtype=float))
    if not 0 < level < 1:
        raise ValueError(f"level = {level}; wanted a share between 0 and 1")
    if not (gammas >= 1).all():
        raise ValueError(f"gamma = {gammas.min()}; wanted at least 1")
    shape = _shape(y, treated, sets)
    critical = float(norm.ppf((1 + level) / 2))
    reach = _reach(y, treated, shape)
    rows = []
    for gamma in gammas:
        p = set_p_bounds(y, treated, sets, gamma, scores=scores, alternative=alternative)

        def above(effect: float, gamma: float = gamma) -> float:
            # How far the statistic lies above its largest expectation: falls as more effect is taken off.
            return _deviate(y, treated, shape, gamma, scores, "greater", effect, largest=True)

        def below(effect: float, gamma: float = gamma) -> float:
            return _deviate(y, treated, shape, gamma, scores, "greater", effect, largest=False)

        rows.append(
            [
                *p,
                _crossing(above, 0.0, reach),
                _crossing(below, 0.0, reach),
                _crossing(above, critical, reach),
                _crossing(below, -critical, reach),
            ]
        )
    return _bounds(gammas, np.array(rows), alternative, level, len(shape.rows))


def _shape(y: Array, treated: NDArray[np.bool_], sets: NDArray[np.intp]) -> _Sets:
    inside = np.flatnonzero(sets >= 0)
    if not np.isfinite(y[inside]).all():
        raise ValueError(f"{int((~np.isfinite(y[inside])).sum())} matched outcomes are missing; wanted none")
    codes, at = np.unique(sets[inside], return_inverse=True)
    if not len(codes):
        raise ValueError("no matched sets")
    size = np.bincount(at)
    arm = np.bincount(at, treated[inside]).astype(int)
    bad = ~((arm == 1) & (size > 1)) & ~((size - arm == 1) & (size > 1))
    if bad.any():
        worst = int(np.argmax(bad))
        raise ValueError(
            f"{int(bad.sum())} sets such as {int(codes[worst])} with {arm[worst]} treated and "
            f"{size[worst] - arm[worst]} comparison rows; wanted one row of either arm and at least one of the other"
        )
    order = np.argsort(at, kind="stable")
    place = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    rows = np.full((len(codes), int(size.max())), -1, dtype=np.intp)
    rows[at[order], place] = inside[order]
    # With several treated rows and one comparison row, the one left out is chosen, and scores turn their sign.
    return _Sets(rows, np.where(arm == 1, 1.0, -1.0), rows >= 0)


def _deviate(
    y: Array,
    treated: NDArray[np.bool_],
    shape: _Sets,
    gamma: float,
    scores: str,
    alternative: str,
    effect: float,
    *,
    largest: bool,
) -> float:
    """Return the statistic's deviate from its largest, or from its smallest, expectation under the bias."""
    if scores not in ("aligned_rank", "mean"):
        raise ValueError(f"scores = {scores!r}; wanted aligned_rank or mean")
    if alternative not in ("greater", "less"):
        raise ValueError(f"alternative = {alternative!r}; wanted greater or less")
    free = y - effect * treated
    values = np.where(shape.valid, free[shape.rows], 0.0)
    size = shape.valid.sum(axis=1)
    aligned = np.where(shape.valid, values - (values.sum(axis=1) / size)[:, None], np.nan)
    if alternative == "less":
        aligned = -aligned
    q = aligned
    if scores == "aligned_rank":
        q = np.full(aligned.shape, np.nan)
        # Rounding of set means must not part aligned outcomes that are equal.
        spread = max(float(np.abs(aligned[shape.valid]).max()), 1e-300)
        q[shape.valid] = rankdata(np.round(aligned[shape.valid] / spread, 11))
    of_treated = np.where(shape.valid, treated[shape.rows], False)
    statistic = float(q[of_treated].sum())
    # A set's sum of scores is fixed, so its several treated rows count as that sum less the comparison row's.
    fixed = float(np.nansum(q[shape.sign < 0]))
    q = shape.sign[:, None] * q
    turn = 1.0 if largest else -1.0
    mean, variance = _worst(turn * q, size, gamma)
    return _over_root(statistic - fixed - turn * mean, variance)


def _over_root(gap: float, variance: float) -> float:
    # Without variance the statistic can only be its expectation: an effect that fits every set exactly.
    return float(gap / np.sqrt(variance)) if variance > 0 else 0.0


def _worst(q: Array, size: NDArray[np.intp], gamma: float) -> tuple[float, float]:
    """Return the sums over sets of the largest expected score and of the variance that goes with it."""
    ordered = np.sort(q, axis=1)  # missing values last
    filled = np.nan_to_num(ordered)
    sums, squares = filled.cumsum(axis=1), (filled**2).cumsum(axis=1)
    width = q.shape[1]
    # Column j - 1: u = 0 for the j smallest scores, 1 for the rest.
    j = np.arange(1, width)
    down = j + gamma * (size[:, None] - j)
    allowed = j < size[:, None]
    down = np.where(allowed, down, 1.0)
    mean = (sums[:, :-1] + gamma * (sums[:, -1:] - sums[:, :-1])) / down
    variance = (squares[:, :-1] + gamma * (squares[:, -1:] - squares[:, :-1])) / down - mean**2
    mean = np.where(allowed, mean, -np.inf)
    best = mean.max(axis=1)
    close = mean >= best[:, None] - 1e-12 * np.maximum(1.0, np.abs(best))[:, None]
    return float(best.sum()), float(np.where(close, variance, -np.inf).max(axis=1).sum())


def _reach(y: Array, treated: NDArray[np.bool_], shape: _Sets) -> tuple[float, float]:
    """Return effects below and above every difference of a treated and a comparison row of one set."""
    values = np.where(shape.valid, y[shape.rows], np.nan)
    arm = np.where(shape.valid, treated[shape.rows], False)
    ones, zeros = np.where(arm, values, np.nan), np.where(arm, np.nan, values)
    low = float(np.min(np.nanmin(ones, axis=1) - np.nanmax(zeros, axis=1)))
    high = float(np.max(np.nanmax(ones, axis=1) - np.nanmin(zeros, axis=1)))
    room = 0.01 * (high - low) + 1e-9 * max(abs(low), abs(high)) + 1e-300
    return low - room, high + room


def _crossing(deviate: Callable[[float], float], wanted: float, reach: tuple[float, float]) -> float:
    """Return the effect at which a deviate that falls in the effect passes ``wanted``; infinite if never.

    Ranks fall in steps: where a step lies at ``wanted`` itself, its middle is returned (Hodges and Lehmann).
    """
    at_low, at_high = deviate(reach[0]), deviate(reach[1])
    if at_low <= wanted:
        return float("-inf")
    if at_high >= wanted:
        return float("inf")
    ends = []
    for slack in (1e-9, -1e-9):
        low, high = reach
        while high - low > 1e-10 * (reach[1] - reach[0]):
            middle = (low + high) / 2
            low, high = (middle, high) if deviate(middle) > wanted + slack else (low, middle)
        ends.append((low + high) / 2)
    return float(sum(ends) / 2)


def critical_gamma(p_high: Callable[[float], float], alpha: float = 0.05, largest: float = 100.0) -> float:
    """Return the gamma at which the largest p-value reaches alpha: 1 if it does so without bias.

    Args:
        p_high: from gamma to the largest p-value, ``lambda g: signed_rank_bounds(d, g)[1]`` for instance.
        alpha: size of the test.
        largest: gamma beyond which none is looked for; infinity is returned then.

    Example:
        >>> d = np.arange(1.0, 21.0)
        >>> g = critical_gamma(lambda g: signed_rank_bounds(d, g)[1])
        >>> round(g / (1 + g), 4) == round(0.05 ** (1 / 20), 4)
        True
    """
    if p_high(1.0) >= alpha:
        return 1.0
    if p_high(largest) < alpha:
        return float("inf")
    return float(brentq(lambda gamma: p_high(gamma) - alpha, 1.0, largest, xtol=1e-10))


# --- E-values ---------------------------------------------------------------------------------------------------


def e_value(ratio: float, low: float, high: float) -> EValue:
    """Return the E-value of a risk or rate ratio and of its interval.

    Args:
        ratio: estimated ratio, positive.
        low: lower end of its interval.
        high: upper end.

    Raises:
        ValueError: a ratio that is not positive, or outside its interval.

    Assumption: none on the confounder; the interval is right without it, which asks for counties assigned
        independently unless it was clustered.

    Source: VanderWeele and Ding (2017), Annals of Internal Medicine 167(4).

    Example:
        >>> found = e_value(3.9, 1.8, 8.7)
        >>> round(found.estimate, 2), round(found.interval, 2)
        (7.26, 3.0)
    """
    if not (0 < low <= ratio <= high):
        raise ValueError(f"ratio {ratio} with interval {low} to {high}; wanted 0 < low <= ratio <= high")
    nearest = low if ratio >= 1 else high
    crossed = low <= 1 <= high
    return EValue(_e(ratio), 1.0 if crossed else _e(nearest), float(ratio), NOTE)


def e_value_logs(logs: Array) -> EValue:
    """Return the E-value of a difference in logarithms and of its interval.

    Args:
        logs: (3,) estimate, lower and upper end of its interval; a missing end bounds nothing.

    Raises:
        ValueError: a missing estimate, or one outside its interval.

    Assumption: as `e_value`.

    Source: VanderWeele and Ding (2017), Annals of Internal Medicine 167(4).

    Example:
        >>> found = e_value_logs(np.log([3.9, 1.8, 8.7]))
        >>> round(found.estimate, 2), round(found.interval, 2)
        (7.26, 3.0)
    """
    ends = np.where(np.isnan(logs), [np.nan, -np.inf, np.inf], logs)
    return e_value(*(float(v) for v in np.exp(np.clip(ends, -LARGEST_LOG, LARGEST_LOG))))


def e_value_difference(values: Array, deviation: float) -> EValue:
    """Return the E-value of a difference in means, through the ratio exp(0.91 d) it stands for roughly.

    Args:
        values: (3,) difference, lower and upper end of its interval, in units of the outcome; a missing end
            bounds nothing.
        deviation: standard deviation of the outcome (pooled over arms) that makes it a standardized
            difference d.

    Raises:
        ValueError: a deviation that is not positive; a missing difference, or one outside its interval.

    Assumption: the outcome is about normal and alike spread in both arms, for the ratio to mean anything.

    Source: VanderWeele and Ding (2017), table 2; Chinn (2000), Statistics in Medicine 19(22).

    Example:
        >>> round(e_value_difference(np.array([0.5, 0.3, 0.7]), 1.0).estimate, 3)
        2.529
    """
    if not deviation > 0:
        raise ValueError(f"deviation = {deviation}; wanted a positive one")
    return e_value_logs(LOG_RATIO_OF_DEVIATION * np.asarray(values, dtype=float) / deviation)


def deviation_within(y: Array, treated: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    """Return the standard deviation of an outcome within arms, pooled over both; missing with too few rows.

    Args:
        y: (n,) outcome.
        treated: (n,) bool.
        inside: (n,) which rows count.

    Example:
        >>> deviation_within(np.array([1.0, 3.0, 5.0, 9.0]), np.arange(4) < 2, np.ones(4, dtype=bool))
        2.23606797749979
    """
    arms = [y[inside & arm] for arm in (treated, ~treated)]
    freedom = sum(len(arm) for arm in arms) - 2
    if min(len(arm) for arm in arms) == 0 or freedom <= 0:
        return float("nan")
    return float(np.sqrt(sum(float(((arm - arm.mean()) ** 2).sum()) for arm in arms) / freedom))


def _e(ratio: float) -> float:
    away = max(ratio, 1 / ratio)
    return float(away + np.sqrt(away * (away - 1)))

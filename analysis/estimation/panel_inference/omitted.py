"""How strong an omitted variable would have to be to move a regression's coefficient: arrays in, arrays out.

Two accounts of the same bias. Cinelli and Hazlett measure a confounder Z by two shares of variance: of treatment,
beyond the covariates (``r2dz``), and of the outcome, beyond covariates and treatment (``r2yz``); the bias is then exact
algebra and needs no error. Oster ties the confounder to the covariates: delta is how much more strongly treatment goes
with what is omitted than with what is measured, per unit of what either explains of the outcome.

All shares and variances are weighted where the regression is. Effects are taken out before: y, d and x arrive as
residuals of them, and ``absorbed`` counts the parameters they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import t as student

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Singular values below this share of the largest are rounding.
RANK = 1e-9
# An R2 that rounding has left at one.
FULL = 1 - 1e-12


@dataclass(frozen=True, slots=True)
class Partialled:
    """One coefficient of a regression, and what a confounder's bias in it is made of.

    Args:
        estimate: coefficient of d.
        std_error: classical, for errors independent with variance one over the weight.
        df: residual degrees of freedom.
        bias_unit: spread of what is left of y over that of d. A confounder's bias is this times
            root(r2yz r2dz / (1 - r2dz)), in the unit of the estimate.
        r2: share of y (beyond the absorbed effects) that d and x explain.
        influence: (n,) of the estimate; sums to zero.
        influence_unit: (n,) of ``bias_unit``; sums to zero.
    """

    estimate: float
    std_error: float
    df: int
    bias_unit: float
    r2: float
    influence: Array
    influence_unit: Array


def partialled(y: Array, d: Array, x: Array, weights: Array, absorbed: int = 0) -> Partialled:
    """Regress y on d and x by weighted least squares.

    Args:
        y: (n,) outcome, without the absorbed effects.
        d: (n,) treatment, likewise.
        x: (n, k) covariates, likewise; columns may depend on each other.
        weights: (n,) positive.
        absorbed: parameters that the effects were (1 for a mean taken out).

    Raises:
        ValueError: no variation in d beyond x, or no degrees of freedom.

    Source: Cinelli and Hazlett (2020), JRSS B 82(1), section 4, for the bias; Chernozhukov, Cinelli, Newey, Sharma and
        Syrgkanis (2022), arXiv 2112.13398, for the influence of ``bias_unit``.

    Example:
        >>> d = np.array([1.0, -1, 1, -1])
        >>> found = partialled(np.array([2.0, -1, 1, -2]), d, np.empty((4, 0)), np.ones(4), absorbed=1)
        >>> found.estimate, found.df, round(found.bias_unit, 4)
        (1.5, 2, 0.5)
    """
    root = np.sqrt(weights)
    basis = _basis(x, root)
    left_y, left_d = (_without(basis, root * column) for column in (y, d))
    own = float(left_d @ left_d)
    if own <= 1e-10 * max(float(weights @ d**2), 1e-300):
        raise ValueError("treatment does not vary beyond covariates and effects; wanted variation of its own")
    df = len(y) - absorbed - basis.shape[1] - 1
    if df < 1:
        raise ValueError(f"{df} degrees of freedom; wanted at least one")
    estimate = float(left_d @ left_y) / own
    residual = left_y - estimate * left_d
    rest = float(residual @ residual)
    unit = sqrt(rest / own)
    share = residual**2 / rest if rest > 0 else np.zeros(len(y))
    return Partialled(
        estimate=estimate,
        std_error=unit / sqrt(df),
        df=df,
        bias_unit=unit,
        r2=1 - rest / float(weights @ y**2),
        influence=left_d * residual / own,
        influence_unit=unit / 2 * (share - left_d**2 / own),
    )


def group_strength(
    y: Array, d: Array, x: Array, weights: Array, group: Sequence[int] | Index
) -> tuple[float, float]:
    """Return how strongly a group of covariates goes with treatment and with the outcome.

    Args:
        y: (n,), d: (n,), x: (n, k), weights: (n,) as in `partialled`.
        group: columns of x.

    Returns:
        The share of d that the group explains beyond the other covariates, and the share of y it explains beyond them
        and d.

    Example:
        >>> x = np.array([[1.0], [1], [-1], [-1]])
        >>> d = np.array([2.0, 0, 0, -2])
        >>> group_strength(np.array([1.0, 2, -1, -2]), d, x, np.ones(4), [0])[0]
        0.5
    """
    root = np.sqrt(weights)
    others = np.delete(x, np.asarray(group, dtype=np.intp), axis=1)
    wide, narrow = _basis(x, root), _basis(others, root)
    of_d = _share(_without(wide, root * d), _without(narrow, root * d))
    wide, narrow = (_basis(np.column_stack([part, d]), root) for part in (x, others))
    return of_d, _share(_without(wide, root * y), _without(narrow, root * y))


def _basis(x: Array, root: Array) -> Array:
    """Return an orthonormal basis of the columns of x scaled by the root of weights."""
    scaled = x * root[:, None]
    size = np.sqrt((scaled**2).sum(axis=0))
    scaled = scaled[:, size > 0] / size[size > 0]
    if not scaled.shape[1]:
        return np.empty((len(x), 0))
    left, values, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(left[:, values > RANK * values[0]])


def _without(basis: Array, column: Array) -> Array:
    once = column - basis @ (basis.T @ column)
    return np.asarray(once - basis @ (basis.T @ once))


def _share(wide: Array, narrow: Array) -> float:
    """Return the share of what the narrow regression leaves that the wide one explains."""
    before = float(narrow @ narrow)
    return max(1 - float(wide @ wide) / before, 0.0) if before > 0 else 0.0


# --- Cinelli and Hazlett
# ----------------------------------------------------------------------------------------------------


def partial_r2(t: float, df: float) -> float:
    """Return the share of the outcome's remaining variance that a regressor explains.

    It is also how much of treatment a confounder would have to explain to bring the estimate to zero if it explained all
    that is left of the outcome.

    Args:
        t: classical t value.
        df: residual degrees of freedom.

    Example:
        The Darfur example of the paper: estimate 0.097, error 0.023, 783 degrees of freedom; 2.2 per cent.

        >>> round(partial_r2(0.0973 / 0.02326, 783), 3)
        0.022
    """
    return t**2 / (t**2 + df)


def equal_strength(ratio: float) -> float:
    """Return the share r with r / root(1 - r) = ``ratio``: r2dz = r2yz = r biases by ratio times the bias unit.

    Example:
        >>> round(equal_strength(0.5 / 0.5**0.5), 12)
        0.5
    """
    # The plain form of the paper, ½ (root(f⁴ + 4 f²) - f²), loses its digits where f is large.
    return 2 * ratio / (ratio + sqrt(ratio**2 + 4)) if ratio > 0 else 0.0


def robustness_value(t: float, df: float, q: float = 1.0, alpha: float | None = None) -> float:
    """Return the robustness value: how much of treatment and of the outcome a confounder must explain, both alike.

    A confounder weaker in both than this cannot take away the share q of the estimate; or, with ``alpha``, cannot bring
    a test of (1 - q) times the estimate above the size alpha.

    Args:
        t: classical t value.
        df: residual degrees of freedom.
        q: share of the estimate to be taken away.
        alpha: size of a two-sided test with the classical error; None for the estimate itself, which needs no error.

    Returns:
        A share; 0 where the test does not reject without a confounder.

    Raises:
        ValueError: df of 1 or less with alpha, alpha outside (0, 1), or a negative q.

    Assumption: with alpha, independent errors of one variance (one over the weight): for clustered errors see
        `clustered_robustness`.

    Source: Cinelli and Hazlett (2020), JRSS B 82(1), section 4. For estimates so strong that the confounder which
        moves the t value most explains less of the outcome than of treatment, the smallest r2dz whatever r2yz.

    Example:
        The Darfur example of the paper: 13.9 and 7.6 per cent.

        >>> t = 0.0973 / 0.02326
        >>> round(robustness_value(t, 783), 3), round(robustness_value(t, 783, alpha=0.05), 3)
        (0.139, 0.076)
    """
    if q < 0 or (alpha is not None and not (0 < alpha < 1 and df > 1)):
        raise ValueError(f"q = {q}, alpha = {alpha}, df = {df}; wanted q from 0, alpha in (0, 1), df above 1")
    f = q * abs(t) / sqrt(df)
    if alpha is None:
        return equal_strength(f)
    critical = float(student.ppf(1 - alpha / 2, df - 1)) / sqrt(df - 1)
    if f <= critical:
        return 0.0
    if f * critical < 1:
        return equal_strength(f - critical)
    return (f**2 - critical**2) / (1 + f**2)


def bias_ratio(r2dz: Array | float, r2yz: Array | float) -> Array:
    """Return a confounder's bias in bias units: root(r2yz r2dz / (1 - r2dz)).

    Args:
        r2dz: share of treatment it explains beyond the covariates, in [0, 1).
        r2yz: share of the outcome it explains beyond covariates and treatment, in [0, 1].

    Raises:
        ValueError: a share outside its range.

    Example:
        >>> float(bias_ratio(0.5, 0.25))
        0.5
    """
    along, of_y = np.asarray(r2dz, dtype=float), np.asarray(r2yz, dtype=float)
    if not ((along >= 0) & (along < 1)).all() or not ((of_y >= 0) & (of_y <= 1)).all():
        raise ValueError(f"r2dz = {r2dz}, r2yz = {r2yz}; wanted shares, r2dz below 1")
    return np.asarray(np.sqrt(of_y * along / (1 - along)))


@dataclass(frozen=True, slots=True)
class Adjusted:
    """What a regression with the confounder in it would have shown: ``estimate``, classical ``std_error``, ``t``."""

    estimate: Array
    std_error: Array
    t: Array


def adjusted(
    estimate: float,
    std_error: float,
    df: float,
    r2dz: Array | float,
    r2yz: Array | float,
    *,
    reduce: bool = True,
) -> Adjusted:
    """Return estimate, error and t value had a confounder of stated strengths been in the regression.

    Args:
        estimate: without it.
        std_error: classical.
        df: residual degrees of freedom without it.
        r2dz: share of treatment it explains beyond the covariates, in [0, 1); any shape.
        r2yz: share of the outcome it explains beyond covariates and treatment, in [0, 1]; broadcasts with r2dz.
        reduce: whether it makes the estimate look further from zero than it is; else nearer.

    Returns:
        `Adjusted`, arrays of the strengths' shape. A grid: r2dz of shape (a,) against r2yz of shape (b, 1).

    Raises:
        ValueError: a share outside its range, or df of 1 or less.

    Source: Cinelli and Hazlett (2020), JRSS B 82(1), section 4.

    Example:
        >>> found = adjusted(0.0973, 0.02326, 783, 0.0092, 0.1246)  # once as strong as the covariate "female"
        >>> round(float(found.estimate), 4), round(float(found.std_error), 4)
        (0.0752, 0.0219)
    """
    if df <= 1:
        raise ValueError(f"df = {df}; wanted above 1")
    along, of_y = np.asarray(r2dz, dtype=float), np.asarray(r2yz, dtype=float)
    bias = bias_ratio(along, of_y) * std_error * sqrt(df)
    left = abs(estimate) - bias if reduce else abs(estimate) + bias
    moved = np.where(estimate < 0, -left, left)
    error = np.sqrt((1 - of_y) / (1 - along) * df / (df - 1)) * std_error
    with np.errstate(divide="ignore", invalid="ignore"):
        return Adjusted(moved, error, moved / error)


def treatment_share_needed(ratio: float, r2yz: float = 1.0) -> float:
    """Return how much of treatment a confounder must explain to bring the estimate to zero, given its share of the outcome.

    Args:
        ratio: size of the estimate in bias units, |t| / root(df).
        r2yz: share of the outcome beyond covariates and treatment that it explains; 1 is the extreme scenario.

    Example:
        >>> treatment_share_needed(1.0), round(treatment_share_needed(1.0, 0.5), 4)
        (0.5, 0.6667)
    """
    return ratio**2 / (ratio**2 + r2yz) if ratio or r2yz else 0.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Strengths of a confounder ``kd`` and ``ky`` times as strong as a group of covariates; missing where none can be.

    Args:
        r2dz: share of treatment beyond all covariates.
        r2yz: share of the outcome beyond all covariates and treatment, at most; 1 where the bound passes 1.
    """

    r2dz: float
    r2yz: float


def benchmark(r2d: float, r2y: float, kd: float = 1.0, ky: float | None = None) -> Benchmark:
    """Return what a confounder as strong as k times a group of measured covariates would explain.

    Args:
        r2d: share of treatment that the group explains beyond the other covariates.
        r2y: share of the outcome that it explains beyond the other covariates and treatment.
        kd: the confounder explains kd times that share of treatment.
        ky: and at most ky times that share of the outcome; kd if None.

    Returns:
        A `Benchmark`: r2dz exact, r2yz the largest possible. The bound holds for groups as for single covariates.

    Raises:
        ValueError: a share outside [0, 1) or a negative multiple.

    Assumption: the confounder is unrelated to the covariates, as the part of any confounder is that they do not explain.

    Source: Cinelli and Hazlett (2020), JRSS B 82(1), section 4 and supplement.

    Example:
        >>> found = benchmark(0.1, 0.2)
        >>> round(found.r2dz, 4), round(found.r2yz, 4)
        (0.1111, 0.3125)
    """
    ky = kd if ky is None else ky
    if not (0 <= r2d < 1 and 0 <= r2y < 1) or kd < 0 or ky < 0:
        raise ValueError(
            f"r2d = {r2d}, r2y = {r2y}, kd = {kd}, ky = {ky}; wanted shares below 1, multiples from 0"
        )
    along = kd * r2d / (1 - r2d)
    if along >= 1:
        return Benchmark(float("nan"), float("nan"))
    within = kd * r2d**2 / ((1 - kd * r2d) * (1 - r2d))
    reach = (sqrt(ky) + sqrt(within)) / sqrt(1 - within)
    return Benchmark(along, min(reach**2 * r2y / (1 - r2y), 1.0))


def multiple_needed(ratio: float, r2d: float, r2y: float) -> float:
    """Return how many times as strong as a group of covariates a confounder must be to bring the estimate to zero.

    Args:
        ratio: size of the estimate in bias units, |t| / root(df).
        r2d: share of treatment that the group explains beyond the other covariates.
        r2y: share of the outcome that it explains beyond the other covariates and treatment.

    Returns:
        The smallest k of `benchmark` whose bound on the bias is the estimate; infinite where the group explains nothing
        of treatment or of the outcome.

    Example:
        >>> k = multiple_needed(0.3, 0.05, 0.1)
        >>> found = benchmark(0.05, 0.1, k)
        >>> round(float(bias_ratio(found.r2dz, found.r2yz)), 9)
        0.3
    """
    if not 0 < r2d < 1 or not 0 < r2y < 1:
        return float("inf") if ratio > 0 else 0.0
    most = (1 - r2d) / r2d

    def short(k: float) -> float:
        found = benchmark(r2d, r2y, k)
        return float(bias_ratio(found.r2dz, found.r2yz)) - ratio

    if ratio <= 0:
        return 0.0
    # At the end of the range treatment is explained in full and the bias has no limit.
    high = most * FULL
    if short(high) < 0:
        return most
    return float(brentq(short, 0.0, high, xtol=1e-13 * most, rtol=1e-13))


@dataclass(frozen=True, slots=True)
class Clustered:
    """A clustered error, as far as a bound on the bias needs it.

    Args:
        std_error: of the estimate.
        df: degrees of freedom of its t.
        sums: (G, 2) a cluster's sum of influences, of the estimate and of the bias unit.
    """

    std_error: float
    df: float
    sums: Array

    def of_bound(self, ratio: float, sign: float) -> float:
        """Return the error of the estimate less ``sign`` times ``ratio`` bias units."""
        plain = float(np.sqrt((self.sums[:, 0] ** 2).sum()))
        if not plain > 0:
            return float("nan")
        moved = self.sums[:, 0] - sign * ratio * self.sums[:, 1]
        return float(np.sqrt((moved**2).sum())) * self.std_error / plain


def clustered(found: Partialled, clusters: Index, std_error: float, df: float) -> Clustered:
    """Return what a clustered interval of a bound needs.

    Args:
        found: from `partialled`.
        clusters: (n,) codes from 0.
        std_error: clustered error of the estimate, by whatever correction for few clusters.
        df: degrees of freedom of its t.

    Example:
        >>> found = partialled(np.array([2.0, -1, 1, -2]), np.array([1.0, -1, 1, -1]), np.empty((4, 0)), np.ones(4))
        >>> clustered(found, np.array([0, 1, 1, 0]), 0.1, 5.0).of_bound(0.0, 1.0)
        0.1
    """
    sums = [np.bincount(clusters, part) for part in (found.influence, found.influence_unit)]
    return Clustered(std_error, df, np.column_stack(sums))


def moved_interval(
    found: Partialled, error: Clustered, ratio: float, alpha: float = 0.05
) -> tuple[float, float, float]:
    """Return estimate and interval once a bias towards larger size of ``ratio`` bias units is taken off.

    Args:
        found: from `partialled`.
        error: from `clustered`.
        ratio: from `bias_ratio`.
        alpha: one less the level.

    Returns:
        Estimate, lower and upper end. The bias unit's own error is in the interval; the confounder's strengths are taken
        as stated. The correction for few clusters is that of the estimate without bias.

    Source: Chernozhukov, Cinelli, Newey, Sharma and Syrgkanis (2022), arXiv 2112.13398, with sums by cluster.

    Example:
        >>> found = partialled(np.array([2.0, -1, 1, -2]), np.array([1.0, -1, 1, -1]), np.empty((4, 0)), np.ones(4))
        >>> error = clustered(found, np.array([0, 1, 1, 0]), 0.1, 5.0)
        >>> round(moved_interval(found, error, 1.0)[0], 9)
        1.0
    """
    sign = float(np.sign(found.estimate)) or 1.0
    moved = found.estimate - sign * ratio * found.bias_unit
    half = float(student.ppf(1 - alpha / 2, error.df)) * error.of_bound(ratio, sign)
    return moved, moved - half, moved + half


def clustered_robustness(found: Partialled, error: Clustered, alpha: float = 0.05) -> float:
    """Return how much of treatment and outcome a confounder must explain, both alike, for the clustered interval to hold zero.

    The interval is `moved_interval`'s: without a confounder the one of the estimate itself.

    Args:
        found: from `partialled`.
        error: from `clustered`.
        alpha: one less the level.

    Returns:
        A share; 0 where the interval holds zero without a confounder; missing without an error.

    Assumption: independent clusters, enough of them for t with these degrees of freedom.

    Source: as `moved_interval`.

    Example:
        >>> found = partialled(np.array([2.0, -1, 1, -2]), np.array([1.0, -1, 1, -1]), np.empty((4, 0)), np.ones(4))
        >>> error = clustered(found, np.array([0, 1, 1, 0]), 0.1, 5.0)
        >>> share = clustered_robustness(found, error)
        >>> ends = moved_interval(found, error, share / (1 - share) ** 0.5)
        >>> abs(round(ends[1], 9))
        0.0
    """
    if not (np.isfinite(error.std_error) and error.std_error > 0 and np.isfinite(error.df)):
        return float("nan")
    size, sign = abs(found.estimate), float(np.sign(found.estimate)) or 1.0
    critical = float(student.ppf(1 - alpha / 2, error.df))

    def inner(ratio: float) -> float:
        return size - ratio * found.bias_unit - critical * error.of_bound(ratio, sign)

    if inner(0.0) <= 0:
        return 0.0
    # The end is concave in the bias, above zero without one and below it where the bound is zero: it crosses once.
    return equal_strength(float(brentq(inner, 0.0, size / found.bias_unit, xtol=1e-14)))


# --- Oster
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selection:
    """A regression without and with covariates, as proportional selection needs it.

    Args:
        short: coefficient of d without covariates.
        short_r2: R2 without them.
        long: coefficient with them.
        long_r2: R2 with them.
        of_y: variance of y.
        of_d: variance of d.
        left: variance of d beyond the covariates.
    """

    short: float
    short_r2: float
    long: float
    long_r2: float
    of_y: float
    of_d: float
    left: float


def selection(y: Array, d: Array, x: Array, weights: Array) -> Selection:
    """Return the coefficients and variances proportional selection is about.

    Args:
        y: (n,), d: (n,), x: (n, k), weights: (n,) as in `partialled`: what every regression holds constant (a mean,
            fixed effects) is taken out before, and R2 are shares of what it leaves.

    Raises:
        ValueError: no variation in d beyond x.

    Example:
        >>> x, d = np.array([[1.0], [1], [-1], [-1]]), np.array([2.0, 0, 0, -2])
        >>> found = selection(2 * d + 3 * x[:, 0], d, x, np.ones(4))
        >>> round(found.short, 6), round(found.long, 6), round(found.long_r2, 6)
        (3.5, 2.0, 1.0)
    """
    short = partialled(y, d, np.empty((len(y), 0)), weights)
    long = partialled(y, d, x, weights)
    total, root = float(weights.sum()), np.sqrt(weights)
    left = _without(_basis(x, root), root * d)
    return Selection(
        short=short.estimate,
        short_r2=short.r2,
        long=long.estimate,
        long_r2=long.r2,
        of_y=float(weights @ y**2) / total,
        of_d=float(weights @ d**2) / total,
        left=float(left @ left) / total,
    )


def highest_r2(long_r2: float, multiple: float = 1.3) -> float:
    """Return R_max, the R2 if everything that matters were measured: the multiple of the long regression's, at most 1.

    Args:
        long_r2: R2 with covariates.
        multiple: 1.3 keeps nine in ten of the randomised results that Oster looked at.

    Source: Oster (2019), Journal of Business & Economic Statistics 37(2).

    Example:
        >>> highest_r2(0.5), highest_r2(0.9)
        (0.65, 1.0)
    """
    return min(multiple * long_r2, 1.0)


def delta_for(found: Selection, r_max: float, beta: float = 0.0) -> float:
    """Return delta: how strong selection on the omitted must be, relative to the measured, for the effect to be ``beta``.

    Args:
        found: from `selection`.
        r_max: R2 if everything that matters were measured, at least the long regression's.
        beta: effect, zero for no effect.

    Returns:
        delta. Negative where what is omitted would have to go with treatment the other way round than what is measured
        does. Missing where nothing is left to be explained. See `direction_kept` for whether it means anything.

    Raises:
        ValueError: r_max below the long regression's R2 or above 1.

    Assumption: the omitted index is unrelated to the covariates, and covariates enter treatment in proportion to how
        they enter the outcome (exact with one covariate).

    Source: Oster (2019), Journal of Business & Economic Statistics 37(2), section 3.

    Example:
        >>> found = Selection(3.0, 0.2, 1.0, 0.6, 10.0, 1.0, 0.8)
        >>> delta = delta_for(found, 0.78)
        >>> round(delta, 4), abs(round(bias_adjusted(found, 0.78, delta), 9))
        (1.7063, 0.0)
    """
    _check_r_max(found, r_max)
    bias = found.long - beta
    of_delta, plain = _polynomials(found, r_max)
    slope = float(np.polyval(of_delta, bias))
    return -float(np.polyval(plain, bias)) / slope if slope else float("nan")


def direction_kept(found: Selection, beta: float = 0.0) -> bool:
    """Return whether, were the effect ``beta``, covariates would go with treatment in the direction they seem to.

    It is the paper's third assumption: without it a delta is an answer of the algebra alone. It fails where covariates
    moved the coefficient away from ``beta`` by less than the bias supposed would have moved it back.

    Args:
        found: from `selection`.
        beta: effect.

    Example:
        >>> direction_kept(Selection(3.0, 0.2, 2.0, 0.4, 10.0, 1.0, 0.8))
        True
        >>> direction_kept(Selection(1.9, 0.2, 2.0, 0.4, 10.0, 1.0, 0.8))
        False
    """
    return bool(_direction(found, np.array([found.long - beta]))[0])


def _direction(found: Selection, bias: Array) -> NDArray[np.bool_]:
    """Return for each bias whether the true index of the covariates goes with treatment as the estimated one does."""
    moved = (found.short - found.long) * found.of_d
    return np.asarray((moved + bias * (found.of_d - found.left)) * moved > 0)


def bias_adjusted(found: Selection, r_max: float, delta: float = 1.0) -> float:
    """Return the effect if selection on the omitted were delta times that on the measured.

    Args:
        found: from `selection`.
        r_max: R2 if everything that matters were measured.
        delta: relative strength of selection; 1 is as strong.

    Returns:
        beta*: of the real roots those under which the true index of the covariates goes with treatment in the direction
        of the estimated one (the paper's third assumption), and of them the nearest to the long coefficient. Missing
        where there is none.

    Raises:
        ValueError: as `delta_for`.

    Assumption: as `delta_for`.

    Source: Oster (2019), Journal of Business & Economic Statistics 37(2), section 3.

    Example:
        >>> round(bias_adjusted(Selection(3.0, 0.2, 2.0, 0.4, 10.0, 1.0, 0.8), 0.4), 9)
        2.0
    """
    _check_r_max(found, r_max)
    if r_max == found.long_r2 or delta == 0:
        return found.long
    of_delta, plain = _polynomials(found, r_max)
    roots = np.roots(np.trim_zeros(delta * of_delta + plain, "f"))
    real = roots[np.abs(roots.imag) <= 1e-9 * np.maximum(np.abs(roots), 1e-300)].real
    allowed = real[_direction(found, real)]
    return found.long - float(allowed[np.abs(allowed).argmin()]) if len(allowed) else float("nan")


def bias_adjusted_restricted(found: Selection, r_max: float, delta: float = 1.0) -> float:
    """Return the paper's approximation of `bias_adjusted`: the move of the coefficient scaled by the move of R2.

    Args:
        found: from `selection`.
        r_max: R2 if everything that matters were measured.
        delta: relative strength of selection.

    Returns:
        long - delta (short - long) (r_max - long_r2) / (long_r2 - short_r2); missing where covariates add nothing.

    Assumption: as `delta_for`, and each covariate's share of the outcome is its share of treatment; near delta = 1.

    Source: Oster (2019), Journal of Business & Economic Statistics 37(2), section 3.

    Example:
        >>> round(bias_adjusted_restricted(Selection(3.0, 0.2, 2.0, 0.4, 10.0, 1.0, 0.8), 0.5), 9)
        1.5
    """
    _check_r_max(found, r_max)
    gain = found.long_r2 - found.short_r2
    if gain <= 0:
        return float("nan")
    return found.long - delta * (found.short - found.long) * (r_max - found.long_r2) / gain


def _polynomials(found: Selection, r_max: float) -> tuple[Array, Array]:
    """Return (4,) coefficients, highest power first, in the bias b: delta times the first plus the second is zero."""
    moved = found.short - found.long
    left, of_d = found.left, found.of_d
    hidden, shown = (r_max - found.long_r2) * found.of_y, (found.long_r2 - found.short_r2) * found.of_y
    cubic, square = left * (of_d - left), left * of_d * moved
    of_delta = np.array([cubic, square, hidden * (of_d - left), hidden * moved * of_d])
    return of_delta, np.array([-cubic, -2 * square, -(shown * left + of_d * left * moved**2), 0.0])


def _check_r_max(found: Selection, r_max: float) -> None:
    if not found.long_r2 - 1e-12 <= r_max <= 1 + 1e-12:
        raise ValueError(f"r_max = {r_max}; wanted from the long regression's R2, {found.long_r2:.6g}, to 1")

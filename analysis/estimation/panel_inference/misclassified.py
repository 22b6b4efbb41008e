"""Treatment that may be mislabelled: sharp bounds, the share that brings an estimate to zero, and SIMEX.

A list of treated counties can name counties that were not treated and leave out counties that were. Throughout, the
truth of a county that was mislabelled is the other arm: a listed county that was never treated belongs to the
comparison, so that its outcome leaves one mean and enters the other. Outcomes are one number a county, a level or a
change; the effect is a difference in weighted means.

Write x for the share of each county that is in truth treated, w for weights, N for their sum, S for the sum of w y,
and T and A for the sums of w x and w x y. The difference in means is

    E = A / T - (S - A) / (N - T) = (N A - S T) / (T (N - T)).

**Bounds.** For a fixed T, E rises with A. At most p of the listed weight leaves and at most q of the unlisted weight
enters, so that A is largest, for a fixed T, with the highest outcomes among those whose label is open: the lowest p of
the listed and the highest q of the unlisted. (Any other choice
that keeps T can be improved by exchanging weight between a county with a higher outcome left out and one with a lower
outcome let in.) So the counties whose label is open enter in order of their outcomes, and E is largest where one of
them has just entered whole, or none, or all. Inside a county of outcome y, E can turn only where y is the mean of the
two arms' means a and b, each weighted by the other arm's weight; its second derivative there has the sign of a - b. If
a > b that is a minimum. And a < y < b cannot be: of an unlisted county, nothing that is still compared has a higher
outcome, and of a listed one, nothing that is treated has a lower. The smallest E is minus the largest of -y. Each bound
is reached by labels within the shares: it is sharp.

**Zero.** E has the sign of N A - S T = N times the sum of w x (y - S / N), which is linear in x. So has the coefficient
of x in any weighted regression on it and other columns, with the residual of y on those columns in place of
y - S / N. The fewest counties that bring it to zero are those of the largest w times residual.

**Errors unrelated to outcomes.** If the outcome of truly treated (untreated) counties does not depend on whether they
are listed, E of the list is (1 - p - q) times the effect, p the share of the listed that is not treated and q the share
of the unlisted that is.

Sources: Horowitz and Manski (1995), Econometrica 63(2); Lee (2009), Review of Economic Studies 76(3); Aigner (1973),
Journal of Econometrics 1(1); Bollinger (1996), Journal of Econometrics 73(2); Lewbel (2007), Econometrica 75(2);
Küchenhoff, Mwalili and Lesaffre (2006), Biometrics 62(1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.intp]
Which = Literal["listed", "unlisted", "either"]

LAMBDAS = (0.5, 1.0, 1.5, 2.0)
DRAWS = 200
# Differences of sums of weighted outcomes are known to about this share of them.
ROUNDING = 1e-12


# --- labels to an effect
# ---------------------------------------------------------------------------------------


def label_effects(
    outcome: Array,
    labels: NDArray[np.generic],
    weights: Array,
    *,
    strata: Codes | None = None,
    others: Array | None = None,
) -> Array:
    """Return the effect that each set of labels gives.

    Args:
        outcome: (n,) level or change of each county.
        labels: (m, n) or (n,) treated or not.
        weights: (n,) positive.
        strata: (n,) codes from 0: differences in means are taken within them and averaged by treated weight; a stratum
            without both arms counts for nothing. None for one stratum.
        others: (n, k) columns of a weighted regression on them and the label, the constant among them, in place of
            strata; its coefficient of the label is returned.

    Returns:
        (m,), missing where labels leave nothing to compare.

    Raises:
        ValueError: shapes that do not fit, a weight that is not positive, or strata and others at once.

    Assumption: none; this is arithmetic.

    Example:
        >>> y, labels = np.array([5.0, 3.0, 1.0, 1.0]), np.array([[True, True, False, False], [True, False, False, False]])
        >>> label_effects(y, labels, np.ones(4)).round(9).tolist()  # 4 less 1; 5 less 5 / 3
        [3.0, 3.333333333]
    """
    y, w = _checked(outcome, weights)
    x = np.atleast_2d(np.asarray(labels)).astype(float)
    if x.shape[1] != len(y):
        raise ValueError(
            f"labels of {x.shape[1]} counties and outcomes of {len(y)}; wanted the same counties"
        )
    if others is not None:
        if strata is not None:
            raise ValueError("strata and other columns at once; wanted one of them")
        basis = _basis(others, w)
        residual = _residual(y, w, basis)
        size = (x**2) @ w - (((x * np.sqrt(w)) @ basis) ** 2).sum(axis=1)
        told = size > ROUNDING * w.sum()
        return np.divide(x @ (w * residual), size, out=np.full(len(x), np.nan), where=told)
    at = np.zeros(len(y), dtype=np.intp) if strata is None else np.asarray(strata)
    total = share = np.zeros(len(x))
    for code in np.unique(at):
        here = at == code
        part, wh, yh = x[:, here], w[here], y[here]
        on, sums = part @ wh, part @ (wh * yh)
        off = wh.sum() - on
        both = (on > ROUNDING * wh.sum()) & (off > ROUNDING * wh.sum())
        gap = sums / np.where(both, on, 1.0) - ((wh @ yh) - sums) / np.where(both, off, 1.0)
        total, share = total + np.where(both, on * gap, 0.0), share + np.where(both, on, 0.0)
    return np.divide(total, share, out=np.full(len(x), np.nan), where=share > 0)


def label_influence(
    outcome: Array,
    treated: Flags,
    weights: Array,
    *,
    strata: Codes | None = None,
    others: Array | None = None,
) -> tuple[float, Array]:
    """Return the effect of one set of labels and each county's contribution to its error.

    Args:
        outcome, weights, strata, others: as in `label_effects`.
        treated: (n,).

    Returns:
        The effect, and (n,) contributions, of which clusters are summed.

    Raises:
        ValueError: as `label_effects`.

    Assumption: counties (or clusters of them) are drawn independently; labels are as they stand.

    Source: Liang and Zeger (1986), Biometrika 73(1).

    Example:
        >>> value, parts = label_influence(np.array([5.0, 3.0, 1.0, 1.0]), np.array([True, True, False, False]), np.ones(4))
        >>> value, parts.tolist()
        (3.0, [0.5, -0.5, -0.0, -0.0])
    """
    y, w = _checked(outcome, weights)
    d = np.asarray(treated, dtype=bool)
    value = float(label_effects(y, d, w, strata=strata, others=others)[0])
    if others is not None:
        basis = _basis(others, w)
        label = _residual(d.astype(float), w, basis)
        left = _residual(y, w, basis) - value * label
        return value, w * label * left / float(w @ label**2)
    at = np.zeros(len(y), dtype=np.intp) if strata is None else np.asarray(strata)
    size = int(at.max()) + 1
    on, off = (np.bincount(at, w * arm, minlength=size) for arm in (d, ~d))
    both = ((on > 0) & (off > 0))[at]
    means = np.bincount(at, w * y * ~d, minlength=size) / np.where(off > 0, off, 1.0)
    gap = np.where(both, y - means[at], 0.0)
    total = on[(on > 0) & (off > 0)].sum()
    share = np.where(d, w, -w * (on / np.where(off > 0, off, 1.0))[at]) / total
    return value, np.where(both, share, 0.0) * (gap - d * value)


# --- bounds
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelBounds:
    """The smallest and largest effect that labels within stated shares allow.

    Args:
        low, high: the bounds.
        low_labels, high_labels: (n,) share of each county that is treated where they are reached.
    """

    low: float
    high: float
    low_labels: Array
    high_labels: Array


def label_bounds(
    outcome: Array,
    treated: Flags,
    weights: Array,
    not_treated: float,
    missed: float,
    *,
    strata: Codes | None = None,
    whole: bool = False,
) -> LabelBounds:
    """Bound a difference in weighted means when some labels are wrong, whatever the reason they are.

    Args:
        outcome: (n,) level or change of each county.
        treated: (n,) as listed.
        weights: (n,) positive; shares are of weight, so of counties with equal weights.
        not_treated: at most this share of the listed is in truth not treated, in [0, 1).
        missed: at most this share of the unlisted is in truth treated, in [0, 1).
        strata: (n,) codes; the shares then hold in every stratum, and strata count by their listed weight, as in the
            estimate. Each holds both arms. None for one stratum.
        whole: counties are mislabelled whole or not at all; equal weights alone. Otherwise a county at the margin may be
            mislabelled in part, which gives wider bounds (or the same).

    Returns:
        `LabelBounds`. With shares of zero both are the difference itself. Wider shares give wider bounds.

    Raises:
        ValueError: shares outside [0, 1), a stratum with one arm, or whole counties of unequal weight.

    Assumption: the shares. Nothing is assumed about which counties are mislabelled or why. With strata, the weights
        of strata are those of the list.

    Source: Horowitz and Manski (1995), Econometrica 63(2); the module's text has the proof.

    Example:
        One of the two listed counties may not be treated. If it is the first, 3 is compared with the mean of 5, 1, 1;
        if the second, 5 with the mean of 3, 1, 1.

        >>> y, listed = np.array([5.0, 3.0, 1.0, 1.0]), np.array([True, True, False, False])
        >>> found = label_bounds(y, listed, np.ones(4), 0.5, 0.0)
        >>> round(found.low, 6), round(found.high, 6)
        (0.666667, 3.333333)
    """
    y, w = _checked(outcome, weights)
    d = np.asarray(treated, dtype=bool)
    for name, share in (("not_treated", not_treated), ("missed", missed)):
        if not 0 <= share < 1:
            raise ValueError(f"{name} = {share}; wanted a share in [0, 1)")
    if whole and not np.allclose(w, w[0], rtol=1e-12):
        raise ValueError("whole counties of unequal weight; wanted equal weights, or whole=False")
    at = np.zeros(len(y), dtype=np.intp) if strata is None else np.asarray(strata)
    low, high, low_labels, high_labels = 0.0, 0.0, d.astype(float), d.astype(float)
    listed = float(w[d].sum())
    for code in np.unique(at):
        here = at == code
        if d[here].all() or not d[here].any():
            raise ValueError("a stratum of one arm; wanted listed and unlisted counties in every stratum")
        share = float(w[here & d].sum()) / listed
        largest, high_labels[here] = _highest(y[here], d[here], w[here], not_treated, missed, whole)
        of_minus, low_labels[here] = _highest(-y[here], d[here], w[here], not_treated, missed, whole)
        low, high = low - share * of_minus, high + share * largest
    return LabelBounds(low, high, low_labels, high_labels)


def _highest(y: Array, d: Flags, w: Array, p: float, q: float, whole: bool) -> tuple[float, Array]:
    """Return the largest difference and the (n,) labels that give it, in one stratum."""
    y = y - float(w @ y / w.sum())  # large levels would cost digits
    leaves, enters = _open(y, d, w, p, whole), _open(-y, ~d, w, q, whole)
    held, length = np.where(d, w - leaves, 0.0), leaves + enters
    order = np.argsort(-y, kind="stable")
    order = order[length[order] > 0]
    size = float(held.sum()) + np.concatenate([[0.0], np.cumsum(length[order])])
    sums = float(held @ y) + np.concatenate([[0.0], np.cumsum((length * y)[order])])
    total, everything = float(w.sum()), float(w @ y)
    found = (total * sums - everything * size) / (size * (total - size))
    best = int(np.argmax(found))
    held[order[:best]] += length[order[:best]]
    return float(found[best]), held / w


def _open(y: Array, arm: Flags, w: Array, share: float, whole: bool) -> Array:
    """Return the weight of each county of an arm that may be relabelled: the share of the arm with the lowest y."""
    out = np.zeros(len(y))
    rows = np.flatnonzero(arm)
    rows = rows[np.argsort(y[rows], kind="stable")]
    if whole:
        # A share such as 0.3 of ten counties is three, whatever the rounding of their product.
        out[rows[: int(np.floor(share * len(rows) + 1e-9))]] = w[0]
        return out
    before = np.concatenate([[0.0], np.cumsum(w[rows])[:-1]])
    out[rows] = np.clip(share * float(w[rows].sum()) - before, 0.0, w[rows])
    return out


# --- zero
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The fewest labels that bring an estimate to zero.

    Args:
        counties: the fewest whole counties that must be mislabelled.
        share_of_counties: of those whose labels are open.
        share_of_weight: the smallest share of their weight, a county counting in part.
        weight_of_counties: share of their weight that those fewest counties hold.
        which: (n,) those counties.
    """

    counties: int
    share_of_counties: float
    share_of_weight: float
    weight_of_counties: float
    which: Flags


def breakdown(
    outcome: Array, treated: Flags, weights: Array, which: Which = "listed", *, others: Array | None = None
) -> Breakdown:
    """Return the fewest labels that must be wrong for the estimate to be zero or of the other sign.

    Args:
        outcome: (n,) level or change of each county.
        treated: (n,) as listed; both arms present.
        weights: (n,) positive.
        which: whose labels are open: ``listed`` (in truth not treated), ``unlisted`` (in truth treated), ``either``.
        others: (n, k) other columns of a weighted regression, the constant among them; None for a difference in means.

    Returns:
        `Breakdown`; an estimate of zero needs none.

    Raises:
        ValueError: one arm alone, an unknown ``which``, or an outcome that ``others`` explain in full.

    Assumption: none. The counties are the worst ones: errors unrelated to outcomes never turn a sign.

    Source: Horowitz and Manski (1995), Econometrica 63(2); the module's text has the proof.

    Example:
        Changes of 5 and 3 against 1 and 1: without the county of 5, which then stands with the others, 3 is still above
        their mean of 7 / 3. Both would have to be mislabelled.

        >>> y, listed = np.array([5.0, 3.0, 1.0, 1.0]), np.array([True, True, False, False])
        >>> found = breakdown(y, listed, np.ones(4))
        >>> found.counties, round(found.share_of_weight, 6)
        (2, 1.0)
    """
    y, w = _checked(outcome, weights)
    d = np.asarray(treated, dtype=bool)
    if d.all() or not d.any():
        raise ValueError("one arm alone; wanted listed and unlisted counties")
    pools = {"listed": d, "unlisted": ~d, "either": np.ones(len(d), dtype=bool)}
    if which not in pools:
        raise ValueError(f"which = {which!r}; wanted one of {', '.join(pools)}")
    basis = _basis(np.ones((len(y), 1)) if others is None else others, w)
    residual = _residual(y, w, basis)
    if not np.abs(residual).max() > 1e-10 * max(1.0, float(np.abs(y).max())):
        raise ValueError("an outcome that the other columns explain in full; wanted one that varies")
    total = float(w[d] @ residual[d])
    # What relabelling a county takes off the sum, towards zero.
    off = np.sign(total) * np.where(d, 1.0, -1.0) * residual
    pool = pools[which]
    needed = abs(total) - ROUNDING * float(w @ np.abs(residual))
    rows = np.flatnonzero(pool & (off > 0))
    whole = rows[np.argsort(-(w * off)[rows], kind="stable")]
    enough = int(np.searchsorted(np.cumsum((w * off)[whole]), needed)) + 1 if needed > 0 else 0
    flags = np.zeros(len(y), dtype=bool)
    flags[whole[:enough]] = True
    part = rows[np.argsort(-off[rows], kind="stable")]
    gained, spent = (np.concatenate([[0.0], np.cumsum(column[part])]) for column in (w * off, w))
    size = float(w[pool].sum())
    return Breakdown(
        int(flags.sum()),
        int(flags.sum()) / int(pool.sum()),
        float(np.interp(max(needed, 0.0), gained, spent)) / size,
        float(w[flags].sum()) / size,
        flags,
    )


def breakdown_in_strata(
    outcome: Array, treated: Flags, weights: Array, strata: Codes, which: Which = "listed"
) -> float:
    """Return the smallest share, the same in every stratum, at which the bounds of `label_bounds` reach zero.

    Args:
        outcome, treated, weights, strata: as in `label_bounds`.
        which: ``either``: the share is that of the listed and that of the unlisted.

    Returns:
        A share in [0, 1); missing where no share short of one brings the estimate to zero.

    Assumption: as in `label_bounds`.

    Example:
        >>> y, listed = np.array([4.0, 2.0, 1.0, 1.0]), np.array([True, True, False, False])
        >>> round(breakdown_in_strata(y, listed, np.ones(4), np.zeros(4, dtype=int), "either"), 4)
        0.3333
    """
    start = label_bounds(outcome, treated, weights, 0.0, 0.0, strata=strata)
    side = "low" if start.low > 0 else "high"

    def left(share: float) -> float:
        shares = (share * (which != "unlisted"), share * (which != "listed"))
        return float(getattr(label_bounds(outcome, treated, weights, *shares, strata=strata), side))

    if start.low == 0:
        return 0.0
    most = 1 - 1e-6
    if left(most) * start.low > 0:
        return float("nan")
    return float(brentq(left, 0.0, most, xtol=1e-9))


# --- errors unrelated to outcomes
# ---------------------------------------------------------------------------------------


def undiluted(difference: float, not_treated: float, missed: float) -> float:
    """Return the effect behind a difference in means when errors of labels have nothing to do with outcomes.

    An interval's ends are treated alike: the shares are taken as known.

    Args:
        difference: of listed and unlisted counties.
        not_treated: share of the listed that is in truth not treated.
        missed: share of the unlisted that is in truth treated.

    Raises:
        ValueError: shares that leave the list with no information, or turn it round (their sum is 1 or more).

    Assumption: outcomes of truly treated counties, and of truly untreated ones, do not depend on being listed.

    Source: Aigner (1973), Journal of Econometrics 1(1); Lewbel (2007), Econometrica 75(2).

    Example:
        >>> undiluted(30.0, 0.2, 0.05)
        40.0
    """
    left = 1 - not_treated - missed
    if not (0 <= not_treated <= 1 and 0 <= missed <= 1 and left > 0):
        raise ValueError(f"shares {not_treated} and {missed}; wanted shares whose sum is below 1")
    return difference / left


def shares_of_list(false_positive: float, false_negative: float, listed: float) -> tuple[float, float]:
    """Return what shares of the listed and the unlisted are mislabelled, from the rates at which errors are made.

    Args:
        false_positive: share of the truly untreated that is listed.
        false_negative: share of the truly treated that is not listed.
        listed: share of all that is listed, between ``false_positive`` and ``1 - false_negative``.

    Returns:
        Share of the listed that is not treated, share of the unlisted that is.

    Raises:
        ValueError: rates that cannot give that share of listed ones.

    Source: Bayes' rule; Bollinger (1996), Journal of Econometrics 73(2).

    Example:
        100 truly treated, 900 not; a tenth of the treated is missed and 2 % of the others are listed: 90 + 18 listed.

        >>> [round(share, 6) for share in shares_of_list(0.02, 0.1, 0.108)]
        [0.166667, 0.011211]
    """
    slope = 1 - false_positive - false_negative
    share = (listed - false_positive) / slope if slope > 0 else np.nan
    if not (slope > 0 and 0 < listed < 1 and -1e-12 <= share <= 1 + 1e-12):
        raise ValueError(
            f"error rates {false_positive} and {false_negative} with {listed} listed; wanted rates below 1 together and a "
            "share listed between the first and one less the second"
        )
    return false_positive * (1 - share) / listed, false_negative * share / (1 - listed)


def error_rates(not_treated: float, missed: float, listed: float) -> tuple[float, float]:
    """Return the rates at which errors are made from the shares of the list that are wrong; undoes `shares_of_list`.

    Args:
        not_treated: share of the listed that is not treated.
        missed: share of the unlisted that is.
        listed: share of all that is listed.

    Returns:
        False positives as a share of the truly untreated, false negatives as a share of the truly treated.

    Raises:
        ValueError: nobody is truly treated, or everybody.

    Example:
        >>> [round(rate, 6) for rate in error_rates(1 / 6, 10 / 892, 0.108)]
        [0.02, 0.1]
    """
    truly = (1 - not_treated) * listed + missed * (1 - listed)
    if not 0 < truly < 1:
        raise ValueError(f"a share of {truly:g} truly treated; wanted one between 0 and 1")
    return not_treated * listed / (1 - truly), missed * (1 - listed) / truly


# --- simulation and extrapolation
# ---------------------------------------------------------------------------------------


def rates_to_power(false_positive: float, false_negative: float, power: float) -> tuple[float, float]:
    """Return the error rates of a misclassification matrix raised to a power.

    The matrix has columns by truth: (1 - a, a) for the untreated, (b, 1 - b) for the treated. Its eigenvalues are 1 and
    1 - a - b, so that the power exists, and is a matrix of shares, for every power from 0 where a + b < 1.

    Raises:
        ValueError: rates that are negative or add up to 1 or more.

    Source: Küchenhoff, Mwalili and Lesaffre (2006), Biometrics 62(1), section 2.

    Example:
        >>> one = np.array([[0.9, 0.2], [0.1, 0.8]])
        >>> a, b = rates_to_power(0.1, 0.2, 2.0)
        >>> bool(np.allclose(one @ one, [[1 - a, b], [a, 1 - b]]))
        True
    """
    both = false_positive + false_negative
    if false_positive < 0 or false_negative < 0 or not both < 1:
        raise ValueError(
            f"error rates {false_positive} and {false_negative}; wanted rates from 0 that add up to less than 1"
        )
    if both == 0:
        return 0.0, 0.0
    grown = (1 - (1 - both) ** power) / both
    return false_positive * grown, false_negative * grown


@dataclass(frozen=True, slots=True)
class Simex:
    """Simulated further misclassification, and where its curve comes from.

    Args:
        lambdas: (L,) how much misclassification was added, 0 first: the estimate itself.
        average: (L,) mean estimate.
        simulation_error: (L,) Monte Carlo error of those means, 0 for the first.
        quadratic, log_linear: the curve read at -1, where nothing is misclassified; the second missing where the means
            change sign.
        quadratic_error, log_linear_error: their Monte Carlo errors.
        quadratic_left, log_linear_left: what each extrapolation leaves of the misclassification's effect even without
            noise, as a share of the true effect: it reads 1 + this where it should read 1. From the exact curve of a
            difference in means with errors unrelated to outcomes.
    """

    lambdas: Array
    average: Array
    simulation_error: Array
    quadratic: float
    log_linear: float
    quadratic_error: float
    log_linear_error: float
    quadratic_left: float
    log_linear_left: float


def simex(
    treated: Flags,
    effects: Callable[[Flags], Array],
    false_positive: float,
    false_negative: float,
    rng: np.random.Generator,
    *,
    weights: Array | None = None,
    lambdas: Sequence[float] = LAMBDAS,
    draws: int = DRAWS,
) -> Simex:
    """Correct an estimate for a misclassified treatment by adding more misclassification and extrapolating back.

    Labels are misclassified once more at rates of the matrix raised to each lambda, the estimate is made again, and a
    quadratic, or the logarithm's straight line, through the means is read at -1.

    Args:
        treated: (n,) as listed.
        effects: labels (m, n) to estimates (m,), as `label_effects` with the rest filled in.
        false_positive: share of the truly untreated that is listed.
        false_negative: share of the truly treated that is not listed.
        rng: of the simulation.
        weights: (n,) for the share listed in the exact curve; None for counties alike.
        lambdas: at least two, positive.
        draws: simulations at each lambda.

    Returns:
        `Simex`.

    Raises:
        ValueError: rates that add up to 1 or more, fewer than two lambdas, or one that is not positive, or rates that
            the share listed refutes.

    Assumption: errors of labels have nothing to do with outcomes, the rates are known, and the curve has the shape of the
        extrapolant; the means of the curve rest on counties being mislabelled independently.

    Source: Küchenhoff, Mwalili and Lesaffre (2006), Biometrics 62(1); Cook and Stefanski (1994), JASA 89(428).

    Example:
        >>> rng = np.random.default_rng(1)
        >>> truth = np.arange(4000) < 1200
        >>> listed = np.where(truth, rng.random(4000) > 0.2, rng.random(4000) < 0.1)
        >>> y = 10.0 * truth + rng.normal(size=4000)
        >>> found = simex(listed, lambda x: label_effects(y, x, np.ones(4000)), 0.1, 0.2, rng, draws=50)
        >>> bool(abs(found.quadratic - 10) < 0.5 * abs(found.average[0] - 10))
        True
    """
    d = np.asarray(treated, dtype=bool)
    grid = np.asarray(lambdas, dtype=float)
    if len(grid) < 2 or not (grid > 0).all():
        raise ValueError(f"lambdas {grid.tolist()}; wanted at least two, all positive")
    w = np.ones(len(d)) if weights is None else np.asarray(weights, dtype=float)
    shares_of_list(false_positive, false_negative, float(w[d].sum() / w.sum()))
    means, errors = [float(effects(d[None, :])[0])], [0.0]
    for power in grid:
        more = rates_to_power(false_positive, false_negative, float(power))
        found = effects(misclassify(d, more[1], more[0], draws, rng))
        found = found[np.isfinite(found)]
        means.append(float(found.mean()))
        errors.append(float(found.std(ddof=1) / np.sqrt(len(found))))
    at = np.concatenate([[0.0], grid])
    average, error = np.array(means), np.array(errors)
    exact = _exact_curve(false_positive, false_negative, float(w[d].sum() / w.sum()), at)
    quadratic, log_linear = extrapolate(at, average)
    return Simex(
        at, average, error, quadratic, log_linear,
        float(np.sqrt(_coefficients(at, 2) ** 2 @ error**2)),
        float(abs(log_linear) * np.sqrt(_coefficients(at, 1) ** 2 @ (error / average) ** 2)),
        *(value - 1 for value in extrapolate(at, exact)),
    )  # fmt: skip


def extrapolate(lambdas: Array, average: Array) -> tuple[float, float]:
    """Return a quadratic, and a straight line of the logarithm, through means, read at -1.

    Args:
        lambdas: (L,), L at least three.
        average: (L,) means; with a change of sign the logarithm's line is missing.

    Example:
        >>> [round(value, 6) for value in extrapolate(np.array([0.0, 1.0, 2.0]), np.array([4.0, 2.0, 1.0]))]
        [7.0, 8.0]
    """
    average = np.asarray(average, dtype=float)
    quadratic = float(_coefficients(lambdas, 2) @ average)
    sign = np.sign(average[0])
    if not (sign * average > 0).all():
        return quadratic, float("nan")
    return quadratic, float(sign * np.exp(_coefficients(lambdas, 1) @ np.log(np.abs(average))))


def _coefficients(lambdas: Array, degree: int) -> Array:
    """Return the (L,) weights of the means in a least-squares polynomial read at -1."""
    columns = np.vander(lambdas, degree + 1, increasing=True)
    return np.asarray(np.linalg.pinv(columns).T @ (-1.0) ** np.arange(degree + 1), dtype=float)


def _exact_curve(false_positive: float, false_negative: float, listed: float, lambdas: Array) -> Array:
    """Return the share of the effect that a difference in means keeps with misclassification raised to 1 + lambda."""
    truly = (listed - false_positive) / (1 - false_positive - false_negative)
    out = []
    for power in 1 + lambdas:
        a, b = rates_to_power(false_positive, false_negative, float(power))
        shown = a * (1 - truly) + (1 - b) * truly
        out.append((1 - a - b) * truly * (1 - truly) / (shown * (1 - shown)))
    return np.array(out)


# --- relabelling
# ---------------------------------------------------------------------------------------


def misclassify(treated: Flags, leave: float, enter: float, draws: int, rng: np.random.Generator) -> Flags:
    """Return labels with errors made county by county, independently.

    Args:
        treated: (n,) labels.
        leave: chance that a treated county loses its label.
        enter: chance that another gains one.
        draws: sets of labels.
        rng: of the draws.

    Returns:
        (draws, n).

    Example:
        >>> made = misclassify(np.array([True, False]), 1.0, 0.0, 3, np.random.default_rng(1))
        >>> made.any(), made.shape
        (np.False_, (3, 2))
    """
    chance = np.where(treated, leave, enter)
    return np.asarray(treated ^ (rng.random((draws, len(treated))) < chance), dtype=bool)


def swap_within(treated: Flags, strata: Codes, leave: float, draws: int, rng: np.random.Generator) -> Flags:
    """Return labels that moved to other counties of their stratum: how many are treated is right, which are is not.

    Args:
        treated: (n,) labels.
        strata: (n,) codes.
        leave: chance that a treated county's label moves to a county of its stratum without one, drawn at random; it
            stays where no such county is left.
        draws: sets of labels.
        rng: of the draws.

    Returns:
        (draws, n), each with as many labels in every stratum as ``treated``.

    Example:
        >>> made = swap_within(np.array([True, False, True]), np.array([0, 0, 1]), 1.0, 2, np.random.default_rng(1))
        >>> made.tolist()
        [[False, True, True], [False, True, True]]
    """
    d = np.asarray(treated, dtype=bool)
    out = np.repeat(d[None, :], draws, axis=0)
    for code in np.unique(strata):
        held, free = (np.flatnonzero(arm & (strata == code)) for arm in (d, ~d))
        chance, lot = rng.random((draws, len(held))), rng.random((draws, len(free)))
        moves = np.minimum((chance < leave).sum(axis=1), len(free))[:, None]
        out[:, held] = _ranks(chance) >= moves
        out[:, free] = _ranks(lot) < moves
    return out


# --- parts
# ---------------------------------------------------------------------------------------


def _checked(outcome: Array, weights: Array) -> tuple[Array, Array]:
    y, w = np.asarray(outcome, dtype=float), np.asarray(weights, dtype=float)
    if y.shape != w.shape or y.ndim != 1:
        raise ValueError(f"outcomes of shape {y.shape} and weights of shape {w.shape}; wanted (n,) and (n,)")
    if not (np.isfinite(y).all() and np.isfinite(w).all() and (w > 0).all()):
        raise ValueError(
            "a missing outcome, or a weight that is not positive; wanted numbers and positive weights"
        )
    return y, w


def _ranks(values: Array) -> NDArray[np.intp]:
    """Return each value's rank in its row, from 0."""
    return np.asarray(np.argsort(np.argsort(values, axis=1), axis=1), dtype=np.intp)


def _basis(others: Array, w: Array) -> Array:
    """Return an orthonormal basis (n, r) of the weighted columns; dependent ones count once."""
    columns = np.asarray(others, dtype=float) * np.sqrt(w)[:, None]
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    left, size, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, size > 1e-10 * size[0]], dtype=float)


def _residual(y: Array, w: Array, basis: Array) -> Array:
    root = np.sqrt(w)
    return np.asarray(y - basis @ (basis.T @ (root * y)) / root, dtype=float)

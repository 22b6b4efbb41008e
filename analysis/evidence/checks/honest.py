"""How far effects hold when trends were not parallel (Rambachan and Roth), and what a test of leads can see (Roth).

Positions are counted from the reference: -P to -1 before it, 1 to Q after. A difference in trends delta is zero at
the reference; the event study estimates effect plus delta. Two restrictions on delta:

* ``smoothness``, bound M: from one year to the next its slope changes by at most M. Interval: the shortest of fixed
  length around an affine estimator, optimal near smooth trends. M = 0 is a straight line through the leads.
* ``relative_magnitude``, bound Mbar: after the reference it moves in a year by at most Mbar times its largest yearly
  move before. Interval: every value that a moment-inequality test (conditional, with a least-favourable first stage)
  does not reject for some year and sign of that largest move.

Both smoothness problems and both tests reduce to small exact ones, given where they are solved; nothing is left to a
general solver except the identified set of smoothness, a linear programme. diff-diff gives the same smoothness
intervals; its relative-magnitude interval is too narrow, a normal half-length around the estimated set as if the
largest earlier move were known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats
from scipy.optimize import brentq, linprog, minimize_scalar
from scipy.stats import qmc

from analysis.base.errors import ProtocolError, StudyError
from analysis.estimation.estimate import Estimate
from analysis.estimation.inference import t_quantile

Array = NDArray[np.float64]
Restriction = Literal["smoothness", "relative_magnitude"]

RESTRICTIONS = ("smoothness", "relative_magnitude")
# The first stage of the hybrid test takes a tenth of the error rate, as Andrews, Roth and Pakes do.
FIRST_STAGE = 0.1
# Directions behind a least-favourable critical value, which they give to about 1e-4: an end of a set then moves by less
# than a ten-thousandth of a standard error. Simulated from 1,000 samples, as is usual, it moves by a tenth.
DIRECTIONS = 2**12


@dataclass(frozen=True, slots=True)
class EventStudy:
    """An event study in positions from its reference.

    Args:
        before: (P,) estimates at positions -P to -1.
        after: (Q,) at positions 1 to Q.
        vcov: (P + Q, P + Q), before first.
        event_times: (P + Q,).
        sizes: (Q,) treated weight behind each later estimate.
        note: what was left out, or "".
    """

    before: Array
    after: Array
    vcov: Array
    event_times: tuple[int, ...]
    sizes: Array
    note: str


def event_study(estimate: Estimate) -> EventStudy:
    """Return an estimate as an event study that bounds can be put on.

    Years at either end that could not be estimated are left out, with a note.

    Raises:
        ProtocolError: no universal base (protocol rule 13).
        StudyError: no event times, a gap in them, or no year on one side of the reference.
    """
    if estimate.estimand != "event_time":
        raise StudyError(
            f"bounds on a {estimate.estimand} estimate", "an event_time estimate", "aggregate(…)"
        )
    if estimate.reference is None:
        raise ProtocolError(
            f"rule 13: honest bounds on {estimate.estimator}, whose estimates have no universal base",
            "an event study with one reference, as of group_time_att, interaction_weighted or local_projections",
            "estimator.name",
        )
    table = estimate.table
    time = table["event_time"].to_numpy(dtype=int)
    order = np.argsort(time)
    known = np.isfinite(table["estimate"].to_numpy(dtype=float)) & np.isfinite(
        table["std_error"].to_numpy(float)
    )
    position = time - estimate.reference
    keep = np.zeros(len(time), dtype=bool)
    for side in (-1, 1):
        step = side
        while (hit := np.flatnonzero((position == step) & known)).size:
            keep[hit] = True
            step += side
    beyond = known & ~keep
    if beyond.any():
        gap = " ".join(str(t) for t in np.sort(time[beyond]))
        raise StudyError(
            f"event times {gap} lie beyond a gap", "an event study without gaps", "sample.years or the call"
        )
    chosen = order[keep[order]]
    pre, post = chosen[position[chosen] < 0], chosen[position[chosen] > 0]
    if not len(pre) or not len(post):
        raise StudyError(
            f"{len(pre)} leads and {len(post)} later years estimated", "at least one of each", "sample.years"
        )
    lost = np.sort(time[~keep])
    notes = [f"not estimated, left out: event times {' '.join(map(str, lost))}"] if len(lost) else []
    values, vcov = table["estimate"].to_numpy(dtype=float), estimate.vcov[np.ix_(chosen, chosen)]
    rank = int(np.linalg.matrix_rank(vcov, hermitian=True))
    if rank < len(chosen):
        notes.append(f"{len(chosen)} event times rest on a variance of rank {rank}")
    return EventStudy(
        values[pre],
        values[post],
        vcov,
        tuple(int(t) for t in time[chosen]),
        np.nansum(estimate.treated[:, post], axis=0),
        "; ".join(notes),
    )


# --- smoothness
# ----------------------------------------------------------------------------------------------------


def folded_quantile(bias: float, level: float) -> float:
    """Return the quantile of the absolute value of a normal variable with a mean and unit variance.

    Example:
        >>> round(folded_quantile(0.0, 0.95), 4), round(folded_quantile(50.0, 0.95) - 50, 4)
        (1.96, 1.6449)
    """
    if bias > 20:
        return float(bias + stats.norm.ppf(level))
    return float(np.sqrt(stats.ncx2.ppf(level, 1, bias**2)))


@dataclass(frozen=True, slots=True)
class FixedLength:
    """A fixed-length interval: ``estimate`` plus and minus ``half``; (P,) weights on leads; bias and error at worst."""

    estimate: float
    half: float
    weights: Array
    bias: float
    error: float


def fixed_length_interval(study: EventStudy, target: Array, bound: float, level: float) -> FixedLength:
    """Return the shortest fixed-length interval for a weighted mean of later effects under smoothness.

    Args:
        study: the event study.
        target: (Q,) weights of the mean.
        bound: M, the largest change of slope a year, in the outcome's unit; from 0.
        level: coverage.

    Returns:
        The estimator is the later mean plus weights on leads that cancel any straight line; its interval has the
        stated coverage, for normal estimates, whatever trend the bound allows.

    Source: Rambachan and Roth (2023), Review of Economic Studies 90(5), section 4.1; Armstrong and Kolesár (2018),
    Econometrica 86(2).

    In terms of how each change of slope enters the bias, the weights on leads are free up to the one that straight
    lines fix, and the worst bias is their sum of absolute values: the frontier of bias and variance is a lasso path,
    followed here from corner to corner.
    """
    p, q = len(study.before), len(study.after)
    spread = _changes_after(q)
    later = spread.T @ target
    line = float(np.arange(1, q + 1) @ target)
    # Column s of `to_weights`: the weights on leads -P..-1 that load one unit on the change of slope s years before
    # the reference (s = 0, at it, to P - 1).
    distance = np.arange(p, 0, -1)
    loads = np.maximum(distance[:, None] - np.arange(p)[None, :], 0).astype(float)
    to_weights = np.linalg.inv(loads.T)
    full: Array = np.zeros((p + q, p))
    full[:p] = to_weights
    fixed = np.concatenate([np.zeros(p), target]) + full[:, 0] * line
    basis = full[:, 1:]
    constant = float(np.abs(later).sum() + abs(line))

    def at(c: Array) -> tuple[float, float, float]:
        v = fixed + basis @ c
        bias, error = (
            bound * (constant + float(np.abs(c).sum())),
            float(np.sqrt(max(float(v @ study.vcov @ v), 0.0))),
        )
        half = error * folded_quantile(bias / error, level) if error > 0 else bias
        return half, bias, error

    gram, linear = basis.T @ study.vcov @ basis, basis.T @ study.vcov @ fixed
    corners = _lasso_corners(gram, linear)
    # Without bias the last corner, least variance, is the best; else the best lies on a corner or between two.
    best = corners[-1]
    if bound > 0:
        best = corners[int(np.argmin([at(c)[0] for c in corners]))]
        for start, end in pairwise(corners):
            move = end - start
            found = minimize_scalar(
                lambda s, start=start, move=move: at(start + s * move)[0], bounds=(0, 1), method="bounded",
                options={"xatol": 1e-12},
            )  # fmt: skip
            between = start + found.x * move
            best = between if at(between)[0] < at(best)[0] else best
    half, bias, error = at(best)
    v = fixed + basis @ best
    value = float(v @ np.concatenate([study.before, study.after]))
    return FixedLength(value, half, v[:p], bias, error)


def _changes_after(q: int) -> Array:
    """Return how changes of slope at positions 1 to q - 1 add to the trend at 1 to q, (q, q - 1)."""
    at, change = np.arange(1, q + 1)[:, None], np.arange(1, q)[None, :]
    return np.maximum(at - change, 0).astype(float)


def _lasso_corners(gram: Array, linear: Array) -> list[Array]:
    """Return the corners of the path of minimisers of c'Gc / 2 + b'c + t |c|, from t where c is zero down to t = 0.

    Source: Osborne, Presnell and Turlach (2000), IMA Journal of Numerical Analysis 20(3); Efron et al. (2004).
    """
    k = len(linear)
    c = np.zeros(k)
    corners = [c.copy()]
    if not k:
        return corners
    gram = gram + 1e-13 * max(float(np.trace(gram)), 1e-300) * np.eye(k)
    penalty = float(np.abs(linear).max())
    active = [int(np.abs(linear).argmax())]
    signs = {active[0]: -np.sign(linear[active[0]])}
    for _ in range(50 * k):
        if penalty <= 0 or not active:
            break
        sign = np.array([signs[j] for j in active])
        inverse = np.linalg.solve(gram[np.ix_(active, active)], np.eye(len(active)))
        offset, slope = -inverse @ linear[active], -inverse @ sign  # c = offset + penalty * slope
        low, event = 0.0, None
        for place, j in enumerate(active):
            if slope[place] != 0:
                t = -offset[place] / slope[place]
                if low < t < penalty * (1 - 1e-12) and np.sign(slope[place] * 1.0) == sign[place]:
                    low, event = t, ("leave", j, 0.0)
        a, b = gram[:, active] @ offset + linear, gram[:, active] @ slope
        for j in set(range(k)) - set(active):
            for side in (-1.0, 1.0):  # gradient a + b t = -side t
                if abs(b[j] + side) > 1e-14:
                    t = -a[j] / (b[j] + side)
                    if low < t < penalty * (1 - 1e-12):
                        low, event = t, ("join", j, side)
        penalty = low
        c = np.zeros(k)
        c[active] = offset + penalty * slope
        corners.append(c)
        if event is None:
            break
        what, j, side = event
        if what == "leave":
            active.remove(j)
        else:
            active.append(j)
            signs[j] = side
    return corners


def smoothness_set(study: EventStudy, target: Array, bound: float) -> tuple[float, float]:
    """Return the identified set of the mean later effect if estimates were exact, missing if no such trend exists."""
    p, q = len(study.before), len(study.after)
    ends = []
    second = np.zeros((p + q - 1, p + q + 1))
    for row in range(p + q - 1):
        second[row, row : row + 3] = (1.0, -2.0, 1.0)
    known = np.concatenate([study.before, [0.0]])
    fixed, free = second[:, : p + 1] @ known, second[:, p + 1 :]
    for sign in (1.0, -1.0):
        found = linprog(
            sign * target, A_ub=np.vstack([free, -free]), b_ub=np.concatenate([bound - fixed, bound + fixed]),
            bounds=[(None, None)] * q, method="highs",
        )  # fmt: skip
        ends.append(float(target @ study.after) - sign * found.fun if found.status == 0 else np.nan)
    return min(ends), max(ends)


# --- relative magnitude
# ----------------------------------------------------------------------------------------------------


def relative_set(study: EventStudy, target: Array, bound: float) -> tuple[float, float]:
    """Return the identified set of the mean later effect if estimates were exact."""
    moves = np.diff(np.concatenate([study.before, [0.0]]))
    reach = bound * float(np.abs(moves).max()) * float(np.abs(_steps(target)).sum())
    centre = float(target @ study.after)
    return centre - reach, centre + reach


def _steps(target: Array) -> Array:
    """Return how each yearly step after the reference enters the mean, (Q,): a step moves every later year."""
    return np.cumsum(target[::-1])[::-1]


@dataclass(frozen=True, slots=True)
class Moments:
    """Inequalities for one year and sign of the largest earlier move, in the vertices of their dual.

    Args:
        loads: (J, P + Q) each vertex as weights on the estimates; at the true value their sum with ``per_value``
            times it has a mean of at most zero.
        per_value: (J,).
        vcov: (J, J).
    """

    loads: Array
    per_value: Array
    vcov: Array


def relative_moments(vcov: Array, p: int, target: Array, bound: float, largest: int, sign: float) -> Moments:
    """Return the moment inequalities of relative magnitude with the effects profiled out.

    Args:
        vcov: (P + Q, P + Q).
        p: leads.
        target: (Q,).
        bound: Mbar.
        largest: which earlier move is largest: 0 from position -P to -P + 1, to P - 1 from -1 to the reference.
        sign: of that move.

    Every later step of the trend is free but for the two inequalities that bound it and for the value tested, so a
    vertex of the dual is a pair that bounds one step from both sides, or all steps together in the direction of the
    target: Q + 2 of them at most, whatever the numbers. That the stated earlier move is the largest is not tested: over all
    years and signs the union is the same set without it. The authors' package leaves it out, too, but where there is one
    later year alone (Q = 1), and its set differs there.

    Source: Rambachan and Roth (2023), Review of Economic Studies 90(5), sections 2.4 and 3; Andrews, Roth and Pakes
    (2023), Review of Economic Studies 90(6).
    """
    q = len(target)
    moves = np.zeros((p + q, p + q))  # yearly moves of the estimates, earlier ones first
    for j in range(p + q):
        left, right = j - 1, j  # positions of the two estimates among before, reference, after
        if j < p:
            moves[j, j] = -1.0
            if j + 1 < p:
                moves[j, j + 1] = 1.0
        else:
            moves[j, right] = 1.0
            if j > p:
                moves[j, left] = -1.0
    top = sign * moves[largest]
    up, down = moves[p:] - bound * top, -moves[p:] - bound * top
    size_up, size_down = (np.sqrt(np.einsum("ij,jk,ik->i", m, vcov, m)) for m in (up, down))
    rows = [((up[t] + down[t]) / (size_up[t] + size_down[t]), 0.0) for t in range(q) if bound > 0]
    steps = _steps(target)
    for side in (1.0, -1.0):
        use = side * steps
        with_up, with_down = np.maximum(use, 0), np.maximum(-use, 0)
        scale = float(with_up @ size_up + with_down @ size_down)
        rows.append(((with_up @ up + with_down @ down) / scale, -side / scale))
    loads = np.array([row[0] for row in rows])
    return Moments(loads, np.array([row[1] for row in rows]), loads @ vcov @ loads.T)


def least_favourable(moments: Moments, share: float, seed: int) -> float:
    """Return what the largest vertex exceeds with a stated probability where all means are zero.

    Args:
        moments: their variance.
        share: the probability, below the chance that some vertex is positive.
        seed: of the scrambled directions.

    Returns:
        The critical value. A normal vector is a direction times an independent length whose square is chi-squared:
        given its direction the probability is exact, and directions alone are averaged over.

    Source: Andrews, Roth and Pakes (2023), section 5, for the test; Genz and Bretz (2009), Computation of Multivariate
    Normal and t Probabilities, section 4.1, for spherical averages.

    Example:
        >>> one = Moments(np.eye(1), np.ones(1), np.array([[4.0]]))
        >>> round(least_favourable(one, 0.025, 1), 4)
        3.9199
    """
    values, vectors = np.linalg.eigh(moments.vcov)
    used = values > 1e-12 * values.max()
    root = vectors[:, used] * np.sqrt(values[used])
    rank = root.shape[1]
    if rank == 1:
        unit = np.array([[1.0], [-1.0]])
    else:
        points = qmc.Sobol(rank, seed=seed).random(DIRECTIONS)
        normal = stats.norm.ppf(np.clip(points, 1e-12, 1 - 1e-12))
        unit = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        unit = np.vstack([unit, -unit])
    reach = (unit @ root.T).max(axis=1)
    reach = reach[reach > 0]

    def exceeds(value: float) -> float:
        return float(special.chdtrc(rank, (value / reach) ** 2).sum() / len(unit))

    high = float(reach.max())
    while exceeds(high) > share:
        high *= 2
    return float(brentq(lambda value: exceeds(value) - share, 0.0, high, xtol=1e-10 * high))


def hybrid_rejects(values: Array, moments: Moments, level: float, critical: float) -> NDArray[np.bool_]:
    """Return which values the hybrid test rejects.

    Args:
        values: (J, n) vertices at the estimates and each of n values.
        moments: their variance.
        level: of the confidence set.
        critical: least-favourable critical value of the first stage.

    Source: Andrews, Roth and Pakes (2023), section 5; Rambachan and Roth (2023), section 3.3.
    """
    alpha = 1 - level
    size = (alpha - FIRST_STAGE * alpha) / (1 - FIRST_STAGE * alpha)
    top = values.argmax(axis=0)
    largest = values.max(axis=0)
    variance = np.diag(moments.vcov)[top]
    slope = moments.vcov[:, top] / np.maximum(variance, 1e-300)  # (J, n): how each moves with the largest
    rest = values - slope * largest
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = rest / (1 - slope)
    gap = 1 - slope
    low = np.where(gap > 1e-10, edge, -np.inf).max(axis=0)
    high = np.minimum(np.where(gap < -1e-10, edge, np.inf).min(axis=0), critical)
    error = np.sqrt(np.maximum(variance, 1e-300))
    p = _upper_share(largest / error, np.minimum(low, largest) / error, high / error)
    return np.asarray((largest > critical) | ((largest > 0) & (p < size)), dtype=bool)


def _upper_share(value: Array, low: Array, high: Array) -> Array:
    """Return the probability above a value of a standard normal variable held between two bounds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        above, below, end = (stats.norm.logsf(x) for x in (value, low, high))
        top = -np.expm1(np.minimum(end - above, 0.0))
        bottom = -np.expm1(np.minimum(end - below, 0.0))
        return np.where(bottom > 0, np.exp(above - below) * top / bottom, 0.0)


def relative_interval(
    study: EventStudy, target: Array, bound: float, level: float, seed: int
) -> tuple[float, float]:
    """Return the confidence set's ends for a weighted mean of later effects under relative magnitude.

    Args:
        study: the event study.
        target: (Q,).
        bound: Mbar, from 0.
        level: coverage.
        seed: of the directions behind the least-favourable critical values.

    Returns:
        The smallest and largest value not rejected for some year and sign of the largest earlier move, each found by
        bisection.
    """
    p = len(study.before)
    beta = np.concatenate([study.before, study.after])
    centre = float(target @ study.after)
    reach = relative_set(study, target, bound)[1] - centre
    # Beyond this every test rejects but in freak samples; where one does not, the search goes on further out.
    span = reach + 10 * (1 + bound) * float(np.abs(_steps(target)).sum() * np.sqrt(np.diag(study.vcov)).max())
    ends: list[float] = []
    alpha = 1 - level
    for largest in range(p):
        # The other sign turns the vertices over: their largest has one distribution.
        plus = relative_moments(study.vcov, p, target, bound, largest, 1.0)
        critical = least_favourable(plus, FIRST_STAGE * alpha, seed)
        for sign in (1.0, -1.0):
            moments = relative_moments(study.vcov, p, target, bound, largest, sign)
            at_beta = moments.loads @ beta

            def keeps(
                value: Array, moments: Moments = moments, critical: float = critical, at: Array = at_beta
            ) -> NDArray[np.bool_]:
                tested = at[:, None] + moments.per_value[:, None] * value
                return ~hybrid_rejects(tested, moments, level, critical)

            for widening in (1, 4, 16):
                grid = centre + widening * np.linspace(-span, span, 2001)
                kept = np.flatnonzero(keeps(grid))
                if not len(kept) or (kept[0] > 0 and kept[-1] < len(grid) - 1):
                    break
            for place, side in ((kept[0], -1), (kept[-1], 1)) if len(kept) else ():
                if place in (0, len(grid) - 1):
                    ends.append(side * np.inf)
                    continue
                inside, outside = grid[place], grid[place + side]
                for _ in range(40):
                    middle = (inside + outside) / 2
                    inside, outside = (middle, outside) if keeps(np.array([middle]))[0] else (inside, middle)
                ends.append(float(inside))
    if not ends:
        return float("nan"), float("nan")
    return min(ends), max(ends)


# --- on an estimate
# ----------------------------------------------------------------------------------------------------


def honest_bounds(
    estimate: Estimate,
    restriction: Restriction = "relative_magnitude",
    bounds: Sequence[float] = (0.5, 1.0, 2.0),
    *,
    event_time: int | None = None,
    level: float | None = None,
) -> pd.DataFrame:
    """Bound an effect when trends may have differed, for each size of difference allowed.

    Args:
        estimate: an event study with one universal base (protocol rule 13).
        restriction: smoothness (bounds in the outcome's unit a year) or relative_magnitude (a multiple of the
            largest yearly move of the leads).
        bounds: sizes from 0.
        event_time: the effect bounded; None for the mean after the reference by treated county-years, event times
            from 0 on.
        level: coverage; None for the estimate's.

    Returns:
        A row a bound: restriction, bound, target, estimate, identified_low, identified_high (if estimates were exact;
        missing where no such trend passes through the leads), conf_low, conf_high, excludes_zero, note. Normal
        critical values, as in the paper; weights of the mean are taken as given.

    Raises:
        ProtocolError: an estimate without a universal base.
        StudyError: a gap in event times, an unknown restriction, a negative bound, an event time that is no row.

    Assumption: the restriction, and estimates that are about normal with the stated variance; with few treated
    clusters the variance is too small, and so are these intervals.

    Source: Rambachan and Roth (2023), Review of Economic Studies 90(5).

    Example:
        ``honest_bounds(fit(design), "smoothness", [0.0, 1.0])``
    """
    if restriction not in RESTRICTIONS:
        raise StudyError(f"restriction = {restriction!r}", " or ".join(RESTRICTIONS), "the call")
    if not len(bounds) or min(bounds) < 0 or not np.isfinite(bounds).all():
        raise StudyError(f"bounds = {list(bounds)}", "sizes from 0", "the call")
    study = event_study(estimate)
    level = estimate.inference.level if level is None else level
    target, words = _target(study, event_time)
    rows = []
    for bound in bounds:
        if restriction == "smoothness":
            low, high = smoothness_set(study, target, bound)
            found = fixed_length_interval(study, target, bound, level)
            conf = (found.estimate - found.half, found.estimate + found.half)
        else:
            low, high = relative_set(study, target, bound)
            conf = relative_interval(study, target, bound, level, estimate.inference.seed)
        rows.append(
            {
                "restriction": restriction, "bound": float(bound), "target": words,
                "estimate": float(target @ study.after), "identified_low": low, "identified_high": high,
                "conf_low": conf[0], "conf_high": conf[1], "excludes_zero": bool(conf[0] > 0 or conf[1] < 0),
                "note": study.note,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def breakdown(
    estimate: Estimate, restriction: Restriction = "relative_magnitude", *, event_time: int | None = None
) -> float:
    """Return the smallest bound at which the interval no longer excludes zero; 0 where it never does.

    Args:
        estimate: as for `honest_bounds`.
        restriction: as there.
        event_time: as there.
    """

    def excludes(bound: float) -> bool:
        return bool(
            honest_bounds(estimate, restriction, [bound], event_time=event_time)["excludes_zero"].item()
        )

    if not excludes(0.0):
        return 0.0
    study = event_study(estimate)
    target, _ = _target(study, event_time)
    high = 1.0 if restriction == "relative_magnitude" else max(abs(float(target @ study.after)), 1e-12)
    low = 0.0
    for _ in range(20):
        if not excludes(high):
            break
        low, high = high, 2 * high
    else:
        return float("inf")
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if excludes(middle) else (low, middle)
    return high


def _target(study: EventStudy, event_time: int | None) -> tuple[Array, str]:
    later = np.array(study.event_times[len(study.before) :])
    if event_time is None:
        weights = np.where(later >= 0, study.sizes, 0.0)
        if not weights.sum() > 0:
            raise StudyError("no event time from 0 on", "years after adoption", "sample.years")
        return weights / weights.sum(), "post"
    if event_time not in later:
        raise StudyError(f"event_time = {event_time}", f"one of {' '.join(map(str, later))}", "the call")
    return (later == event_time).astype(float), f"event_time={event_time}"


# --- the power of a test of leads
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Passing:
    """Passing a test of leads: its probability and the mean of the leads given it, (P,)."""

    probability: float
    mean: Array


def passing(mean: Array, vcov: Array, critical: float, uniforms: Array) -> Passing:
    """Return the probability that no lead is significant, and the leads' mean given that, for normal estimates.

    Args:
        mean: (P,) of the leads.
        vcov: (P, P), positive definite.
        critical: largest absolute t value that passes.
        uniforms: (n, P) points in the unit cube.

    Source: Geweke (1991), Hajivassiliou and McFadden (1998) for the simulation; exact for one lead.

    Example:
        >>> u = qmc.Sobol(2, seed=1).random(4096)
        >>> bool(abs(passing(np.zeros(2), np.eye(2), 1.96, u).probability - 0.95**2) < 1e-4)
        True
    """
    p = len(mean)
    factor = np.linalg.cholesky(vcov)
    bound = critical * np.sqrt(np.diag(vcov))
    draws, weight = np.zeros((len(uniforms), p)), np.ones(len(uniforms))
    for j in range(p):
        centre = mean[j] + draws[:, :j] @ factor[j, :j]
        low, high = (-bound[j] - centre) / factor[j, j], (bound[j] - centre) / factor[j, j]
        # From the tail the interval lies in: the other loses every digit.
        flip = low > 0
        low, high = np.where(flip, -high, low), np.where(flip, -low, high)
        start, end = stats.norm.cdf(low), stats.norm.cdf(high)
        drawn = stats.norm.ppf(np.clip(start + uniforms[:, j] * (end - start), 1e-300, 1 - 1e-16))
        draws[:, j] = np.where(flip, -drawn, drawn)
        weight *= end - start
    total = float(weight.mean())
    if not total > 0:
        return Passing(0.0, np.full(p, np.nan))
    return Passing(total, mean + factor @ (weight @ draws / weight.sum()))


def pretrend_power(
    estimate: Estimate, power: Sequence[float] = (0.5, 0.8), *, event_time: int | None = None
) -> pd.DataFrame:
    """Return the straight trends that a test of the leads finds with stated power, and the bias of passing it.

    Args:
        estimate: an event study with one universal base; the test passes when no lead's interval excludes zero.
        power: probabilities in (0, 1).
        event_time: the effect whose bias is given; None for the mean from adoption on, as in `honest_bounds`.

    Returns:
        A row a power: power, slope (outcome units a year, positive; a falling trend is its mirror image), bias (of
        the effect under that trend), bias_given_pass (the same among samples that pass), size (probability that
        leads of zero fail), estimate, note.

    Raises:
        ProtocolError: an estimate without a universal base.
        StudyError: as many leads as clusters, or a power that leads of zero already exceed.

    Assumption: normal estimates with the stated variance.

    Source: Roth (2022), American Economic Review: Insights 4(3).
    """
    study = event_study(estimate)
    p = len(study.before)
    target, _ = _target(study, event_time)
    vcov = study.vcov[:p, :p]
    scale = np.sqrt(np.diag(vcov))
    if np.linalg.eigvalsh(vcov / scale / scale[:, None]).min() < 1e-10:
        raise StudyError(
            f"{p} leads with a variance of rank {np.linalg.matrix_rank(vcov)}", "fewer leads than clusters",
            "inference.by or sample.years",
        )  # fmt: skip
    if not all(0 < share < 1 for share in power):
        raise StudyError(f"power = {list(power)}", "probabilities between 0 and 1", "the call")
    critical = t_quantile(estimate.inference.level, estimate.inference.df)
    uniforms = qmc.Sobol(p, seed=estimate.inference.seed).random(2**13)
    before, after = -np.arange(p, 0, -1.0), np.arange(1.0, len(study.after) + 1)
    carry = np.linalg.solve(vcov, study.vcov[:p, p:] @ target)

    def fails(slope: float) -> float:
        return 1 - passing(slope * before, vcov, critical, uniforms).probability

    size = fails(0.0)
    rows = []
    for share in power:
        if share <= size:
            raise StudyError(
                f"power = {share:g}", f"more than {size:.3g}, at which leads of zero fail", "the call"
            )
        high = float((scale / np.abs(before)).min())
        while fails(high) < share:
            high *= 2
        slope = float(
            brentq(lambda s, share=share: fails(s) - share, 0.0, high, xtol=1e-12 * high, rtol=1e-10)
        )
        bias = slope * float(after @ target)
        given = passing(slope * before, vcov, critical, uniforms).mean - slope * before
        rows.append(
            {
                "power": float(share), "slope": slope, "bias": bias,
                "bias_given_pass": bias + float(carry @ given), "size": size,
                "estimate": float(target @ study.after), "note": study.note,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)

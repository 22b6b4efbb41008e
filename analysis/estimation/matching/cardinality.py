"""Cardinality matching: the largest sample within stated limits on balance, then paired; arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import csr_matrix, vstack

from analysis.estimation.matching.nearest import Matches
from analysis.estimation.matching.optimal import Measure, optimal_matching

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Rows of each arm that the first integer program leaves free, and the nodes after which it gives way.
FIRST_FREE = 100
NODES = 500


@dataclass(frozen=True, slots=True)
class Cardinality:
    """The largest balanced sample found, and how its rows were paired.

    Args:
        matches: each treated row kept with its ``ratio`` comparison rows, of least total distance; treated
            rows left out are its ``dropped``.
        rows: rows of the sample, sorted.
        size: treated rows in it.
        bound: no sample within the limits has more treated rows.
        gap: bound less size over size; 0 where the sample is proved the largest.
        status: "optimal" (within the gap asked for) or "time_limit", after which another machine may find
            another sample.
        time_limit: seconds allowed.
        gap_allowed: relative gap at which the search may stop.
        difference: (k,) mean of treated less mean of comparison rows in the sample, in the covariates' units.
        limits: (k,) those asked for.
        away_from_target: (2, k) means of treated and of comparison rows less the target; None without one.
    """

    matches: Matches
    rows: Index
    size: int
    bound: int
    gap: float
    status: Literal["optimal", "time_limit"]
    time_limit: float
    gap_allowed: float
    difference: Array
    limits: Array
    away_from_target: Array | None


def cardinality_matching(
    coordinates: Array,
    treated: NDArray[np.bool_],
    x: Array,
    limits: Array,
    *,
    ratio: int = 1,
    target: Array | None = None,
    fine: Index | None = None,
    strata: Index | None = None,
    keep_treated: bool = False,
    measure: Measure = "distance",
    time_limit: float = 60.0,
    gap: float = 0.0,
) -> Cardinality:
    """Find the largest sample whose arms are balanced within limits, then pair it by least total distance.

    Balance is a matter of the sample and not of the pairs: pairs may be far apart in a covariate whose means
    agree. Where treated rows are left out, the estimand is the effect on those kept. Several samples may be
    the largest; which is found is the solver's choice, the same on every run that ends before the time limit.
    The search needs no distances; pairing takes those between the rows kept (320 MB for 6,300 pairs).

    Args:
        coordinates: (n, c) in which kept rows are paired.
        treated: (n,) bool.
        x: (n, k) covariates to balance; squares or products to balance other moments.
        limits: (k,) largest absolute difference of means between arms, in units of ``x`` (a standardised limit
            times its denominator: ``0.1 * denominators(x, treated, "treated")``); with a target, of either
            arm's mean from it.
        ratio: comparison rows a treated row.
        target: (k,) means to which both arms are balanced; None to balance them to each other.
        fine: (n,) or (n, q) codes of nominal covariates whose every level is equally frequent in both arms.
        strata: (n,) codes: equally frequent as by ``fine``, and no pair crosses them.
        keep_treated: whether every treated row must be kept.
        measure: what pairing minimises the sum of: distance, or its square.
        time_limit: seconds for the search.
        gap: relative gap between the sample and the bound at which the search may stop.

    Returns:
        The sample. Limits hold to the tolerance of the solver: 1e-6 standard deviations of a covariate over
        the number of treated rows kept.

    Raises:
        ValueError: shapes that do not fit; an arm is empty; missing values; limits below 0; no sample keeps
            the limits (naming the covariates that none keeps alone); none was found in the time.

    Assumption: given the covariates, treatment is as good as random, and outcomes are additive in the
    functions of them that are balanced (or pairs are close as well).

    Source: Zubizarreta, Paredes and Rosenbaum (2014), Annals of Applied Statistics 8(1); Zubizarreta (2012),
    Journal of the American Statistical Association 107(500); targets (there without a fixed ratio) Cohn and Zubizarreta
    (2022), arXiv:2105.10060.

    Example:
        >>> x = np.array([[0.0], [9.0], [1.0], [0.0], [2.0], [1.0]])
        >>> treated = np.array([True, True, True, False, False, False])
        >>> found = cardinality_matching(x, treated, x, np.array([0.5]))
        >>> found.size, found.rows.tolist()[:2], found.matches.dropped.tolist()
        (2, [0, 2], [1])
    """
    _refuse(coordinates, treated, x, limits, ratio, target, time_limit, gap)
    # An order of the rows' own, so that the answer does not depend on that of the data.
    order = np.lexsort(np.column_stack([x, coordinates]).T[::-1])
    order = np.concatenate([order[treated[order]], order[~treated[order]]])
    n1, n = int(treated.sum()), len(treated)
    spread = x[order].std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    matrix = _limit_rows(x[order] / spread, limits / spread, n1, ratio, target, spread)
    names = np.concatenate([np.repeat(np.arange(x.shape[1]), 2 if target is None else 4)])
    equal = _equal_rows(order, treated, ratio, fine, strata)
    low = np.zeros(n)
    if keep_treated:
        low[:n1] = 1.0
    found = _largest(matrix, equal, low, n1, time_limit, gap)
    if found is None:
        raise ValueError(_why(matrix, names, equal, low, limits, n1, keep_treated))
    if found.chosen is None:
        raise ValueError(
            f"no sample found in {time_limit:g} seconds, and none was ruled out; wanted more time or wider limits"
        )
    rows = np.sort(order[found.chosen])
    kept = np.zeros(n, dtype=bool)
    kept[rows] = True
    one, other = kept & treated, kept & ~treated
    size = int(one.sum())
    bound = max(size, min(found.bound, (n - n1) // ratio))
    pairs = optimal_matching(
        coordinates[rows],
        treated[rows],
        neighbours=ratio,
        strata=None if strata is None else strata[rows],
        measure=measure,
    )
    means = np.array([x[one].mean(axis=0), x[other].mean(axis=0)])
    return Cardinality(
        matches=Matches(
            rows[pairs.treated],
            rows[pairs.comparison],
            pairs.share,
            pairs.distance,
            np.flatnonzero(treated & ~kept),
        ),
        rows=rows,
        size=size,
        bound=bound,
        gap=(bound - size) / size,
        status="optimal" if found.done else "time_limit",
        time_limit=time_limit,
        gap_allowed=gap,
        difference=means[0] - means[1],
        limits=limits.copy(),
        away_from_target=None if target is None else means - target,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search ended with: the rows chosen (None without any), a bound on the size, and whether it finished."""

    chosen: NDArray[np.bool_] | None
    bound: int
    done: bool


def _largest(
    matrix: csr_matrix, equal: csr_matrix, low: Array, n1: int, time_limit: float, gap: float
) -> _Found | None:
    """Return the choice with most of the first ``n1`` rows; None where there is proved to be none.

    The linear relaxation bounds the size, and its vertex has few fractional rows. Integer programs that leave free
    only those and some rows that it is all but indifferent to are small, and mostly reach the bound; if not, more
    rows are free in the next, all in the last.
    """
    n, start = len(low), monotonic()
    cost = np.concatenate([-np.ones(n1), np.zeros(n - n1)])
    relaxed = linprog(
        cost,
        A_ub=vstack([matrix, csr_matrix(cost[None, :])]),
        b_ub=np.append(np.zeros(matrix.shape[0]), -1.0),
        A_eq=equal,
        b_eq=np.zeros(equal.shape[0]),
        bounds=np.column_stack([low, np.ones(n)]),
        method="highs-ds",
        options={"time_limit": time_limit},
    )
    if relaxed.status == 2:
        return None
    if relaxed.status != 0:
        return _Found(None, n1, False)
    # Sizes are whole: a bound of 210.7 says 210.
    bound = int(np.floor(-relaxed.fun + 1e-6))
    vertex = relaxed.x.round()
    # Rows alike to the program are taken from all over the sample, the same ones on every run.
    price = np.abs(relaxed.lower.marginals + relaxed.upper.marginals).round(9)
    settled = np.abs(relaxed.x - vertex) <= 1e-9
    ranked = np.lexsort((np.random.default_rng(0).permutation(n), price, settled))
    arms = ranked[ranked < n1], ranked[ranked >= n1]
    best: NDArray[np.bool_] | None = None
    size, free = 0, FIRST_FREE
    while (bound - size) > gap * size:
        whole = free >= max(n1, n - n1)
        fixed = np.ones(n, dtype=bool)
        for arm in arms:
            fixed[arm[: len(arm) if whole else free]] = False
        found = milp(
            cost,
            integrality=np.ones(n),
            bounds=(np.where(fixed, vertex, low), np.where(fixed, vertex, 1.0)),
            constraints=[
                LinearConstraint(matrix, -np.inf, 0.0),
                LinearConstraint(equal, 0.0, 0.0),
                # Only a larger sample is of interest.
                LinearConstraint(csr_matrix(-cost[None, :]), size + 1.0, np.inf),
            ],
            options={
                "time_limit": max(time_limit - (monotonic() - start), 1e-3),
                "mip_rel_gap": gap,
                # A small program that does not settle makes way for a larger one. Nodes are counted and not
                # seconds, so that every run goes the same way.
                **({} if whole else {"node_limit": NODES}),
            },
        )
        if found.x is not None:
            best = found.x > 0.5
            size = int(best[:n1].sum())
        if whole and found.status == 2:
            return None if best is None else _Found(best, size, True)
        if whole and np.isfinite(found.mip_dual_bound or np.inf):
            bound = max(size, min(bound, int(np.floor(-found.mip_dual_bound + 1e-6))))
        if whole or monotonic() - start >= time_limit:
            return _Found(best, bound, whole and found.status == 0)
        free *= 4
    return _Found(best, bound, True)


def _limit_rows(
    x: Array, limits: Array, n1: int, ratio: int, target: Array | None, spread: Array
) -> csr_matrix:
    """Return rows whose product with the choice is at most 0 where the limits hold.

    Times the number of treated rows kept, each limit on means is linear in who is kept.
    """
    x = x - (x.mean(axis=0) if target is None else target / spread)
    n, lines = len(x), []
    for column, limit in zip(x.T, limits, strict=True):
        sum_1 = np.where(np.arange(n) < n1, column, 0.0)
        sum_0 = np.where(np.arange(n) < n1, 0.0, column / ratio)
        room_1 = np.where(np.arange(n) < n1, limit, 0.0)
        room_0 = np.where(np.arange(n) < n1, 0.0, limit / ratio)
        if target is None:
            lines += [sum_1 - sum_0 - room_1, sum_0 - sum_1 - room_1]
        else:
            lines += [sum_1 - room_1, -sum_1 - room_1, sum_0 - room_0, -sum_0 - room_0]
    return csr_matrix(np.array(lines))


def _equal_rows(
    order: Index, treated: NDArray[np.bool_], ratio: int, fine: Index | None, strata: Index | None
) -> csr_matrix:
    """Return rows whose product with the choice is 0 where arms and levels are in the ratio."""
    sign = np.where(treated[order], float(ratio), -1.0)
    lines = [csr_matrix(sign[None, :])]
    columns = [] if fine is None else list(fine.reshape(len(treated), -1).T)
    columns += [] if strata is None else [strata]
    for column in columns:
        levels, at = np.unique(column[order], return_inverse=True)
        place = np.arange(len(at))
        lines.append(csr_matrix((sign, (at, place)), shape=(len(levels), len(at))))
    return vstack(lines).tocsr()


def _why(
    matrix: csr_matrix, names: Index, equal: csr_matrix, low: Array, limits: Array, n1: int, keep: bool
) -> str:
    """Return what stands in the way: covariates no sample keeps alone, levels, or all together."""

    def possible(lines: csr_matrix | None) -> bool:
        some = csr_matrix(np.concatenate([-np.ones(n1), np.zeros(matrix.shape[1] - n1)])[None, :])
        upper = some if lines is None else vstack([some, lines])
        bound = np.zeros(upper.shape[0])
        bound[0] = -1.0
        return (
            linprog(
                np.zeros(matrix.shape[1]),
                A_ub=upper,
                b_ub=bound,
                A_eq=equal,
                b_eq=np.zeros(equal.shape[0]),
                bounds=np.column_stack([low, np.ones(len(low))]),
                method="highs",
            ).status
            != 2
        )

    who = "every treated row" if keep else "any treated row"
    wanted = "wider limits, fewer groups" + (" or keep_treated = False" if keep else "")
    if not possible(None):
        return f"fine balance, strata and the ratio leave no sample with {who}; wanted {wanted}"
    alone = [int(j) for j in np.unique(names) if not possible(matrix[np.flatnonzero(names == j)])]
    if alone:
        said = ", ".join(f"{j} (limit {limits[j]:.6g})" for j in alone)
        return f"no sample with {who} keeps the limit of column {said}; wanted {wanted}"
    return f"no sample with {who} keeps all {len(limits)} limits together; wanted {wanted}"


def _refuse(
    coordinates: Array,
    treated: NDArray[np.bool_],
    x: Array,
    limits: Array,
    ratio: int,
    target: Array | None,
    time_limit: float,
    gap: float,
) -> None:
    if not treated.any() or treated.all():
        raise ValueError(
            f"{int(treated.sum())} treated and {int((~treated).sum())} comparison rows; wanted some of each"
        )
    for name, values in (("covariates", x), ("coordinates", coordinates)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
            raise ValueError(f"{name} missing or infinite in {len(bad)} rows ({shown}); wanted none")
    shapes = [limits.shape] + ([] if target is None else [target.shape])
    if any(shape != (x.shape[1],) for shape in shapes):
        raise ValueError(f"limits or target of shape {shapes}; wanted ({x.shape[1]},), one a covariate")
    if not (limits >= 0).all():
        raise ValueError(f"limits = {limits.tolist()}; wanted none below 0")
    if ratio < 1 or not time_limit > 0 or not gap >= 0:
        raise ValueError(
            f"ratio = {ratio}, time_limit = {time_limit}, gap = {gap}; wanted ratio of 1 or more, some time, "
            "no negative gap"
        )

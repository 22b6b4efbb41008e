"""Cardinality matching: the largest sample within stated limits on balance, then paired; arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import csr_matrix, vstack

from analysis.estimation.matching.nearest import Matches
from analysis.estimation.matching.optimal import Measure, optimal_matching

Array = NDArray[np.float64]
Index = NDArray[np.intp]


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

    Args:
        coordinates: (n, c) in which kept rows are paired.
        treated: (n,) bool.
        x: (n, k) covariates to balance; squares or products to balance other moments.
        limits: (k,) largest absolute difference of means between arms, in units of ``x``; with a target, of
            either arm's mean from it.
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
    cost = np.concatenate([-np.ones(n1), np.zeros(n - n1)])
    low = np.zeros(n)
    if keep_treated:
        low[:n1] = 1.0
    some = csr_matrix(-cost[None, :])
    found = milp(
        cost,
        integrality=np.ones(n),
        bounds=(low, np.ones(n)),
        constraints=[
            LinearConstraint(matrix, -np.inf, 0.0),
            LinearConstraint(equal, 0.0, 0.0),
            LinearConstraint(some, 1.0, np.inf),
        ],
        options={"time_limit": time_limit, "mip_rel_gap": gap},
    )
    if found.status == 2:
        raise ValueError(_why(matrix, names, equal, low, limits, n1, keep_treated))
    if found.x is None:
        raise ValueError(f"no sample found in {time_limit:g} seconds ({found.message}); wanted more time")
    rows = np.sort(order[found.x > 0.5])
    kept = np.zeros(n, dtype=bool)
    kept[rows] = True
    one, other = kept & treated, kept & ~treated
    size = int(one.sum())
    # Sizes are whole: a bound of 210.7 says 210. The solver's own may be infinite if it stops at once.
    given = -float(found.mip_dual_bound) if np.isfinite(found.mip_dual_bound) else float(n1)
    bound = max(size, min(int(np.floor(given + 1e-6)), n1, (n - n1) // ratio))
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
        status="optimal" if found.status == 0 else "time_limit",
        time_limit=time_limit,
        gap_allowed=gap,
        difference=means[0] - means[1],
        limits=limits.copy(),
        away_from_target=None if target is None else means - target,
    )


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

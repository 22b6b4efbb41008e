"""Matching that minimises the total distance: pairs, k to one, and full matching; arrays in, arrays out.

Pairs are an assignment problem. A full match without limits is a cheapest edge cover, which is an assignment
problem too (see `full_matching`); with limits on the size of sets it is a flow, solved as a linear program
whose vertices are whole numbers. Large problems are solved on the shortest edges only, and more are added
until a bound shows that no edge left out could help: every answer is the optimum and not an approximation. The
dense table is held up to 4,000,000 cells (32 MB), and up to 40,000,000 (320 MB) where more than half of the comparison
rows are to be taken; beyond, none of the methods here holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import bmat, coo_matrix, csr_matrix, identity
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from analysis.estimation.matching.distances import squared_distances
from analysis.estimation.matching.nearest import Matches

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Measure = Literal["distance", "squared"]

# Up to so many cells (32 MB) the whole table of distances is held and solved; beyond, blocks of it are made
# and forgotten.
DENSE_CELLS = 4_000_000
# Where more than half of the comparison rows are to be taken the shortest edges go a short way, and up to so many
# cells (320 MB) the whole table is solved.
CROWDED_CELLS = 40_000_000
# Edges of each row and column with which a problem on the shortest edges begins.
FIRST_EDGES = 5
# HiGHS takes no smaller tolerance on reduced costs; costs are scaled to a mean near one before.
DUAL_TOLERANCE = 1e-10
# Edges whose reduced cost is below this share of the mean distance are let into the next round of a flow.
NEAR = 0.3


@dataclass(frozen=True, slots=True)
class FullMatch:
    """Sets of one treated and several comparison rows, or one comparison and several treated rows.

    Args:
        sets: (n,) number of the row's set, from 0 in the order of their first rows; -1 for a row in none.
        matches: the same sets as pairs: a treated row with each comparison row of its set, in equal shares.
            Its comparison weights are those of the average effect on the treated.
        dropped_comparison: (m,) comparison rows in no set: without an allowed treated row, or omitted.
        total: the sum of distances between treated and comparison rows within sets, in the measure minimised.
    """

    sets: Index
    matches: Matches
    dropped_comparison: Index
    total: float


def optimal_matching(
    coordinates: Array,
    treated: NDArray[np.bool_],
    *,
    neighbours: int = 1,
    strata: Index | None = None,
    calipers: tuple[Array, Array] | None = None,
    measure: Measure = "distance",
    short: Literal["refuse", "drop"] = "refuse",
) -> Matches:
    """Match every treated row to its own ``neighbours`` comparison rows so that the total distance is least.

    No comparison row serves twice. Treated rows that cannot all be served within the calipers: as many as
    possible are, and of all ways to do that the one of least total distance is taken.

    Args:
        coordinates: (n, k), from ``distances`` or a one-column propensity score.
        treated: (n,) bool.
        neighbours: comparison rows a treated row.
        strata: (n,) codes; a match never crosses them.
        calipers: values (n, c) and widths (c,): a match differs by no more than the width in any column.
        measure: what is summed: the distance (as the R package optmatch does) or its square.
        short: a stratum (or the sample) with too few comparison rows for its treated rows: "refuse", or
            "drop" the treated rows whose loss leaves the least total distance (pairs only).

    Returns:
        The matches; ``distance`` is squared whatever the measure. Treated rows not matched are listed.
        Which of several optima is returned does not depend on the order of rows, except among rows that are
        copies of each other.

    Raises:
        ValueError: an arm is empty; ``neighbours`` below 1; missing or infinite values; fewer comparison rows
            than asked for (see ``short``); calipers or strata leave nobody matched, or, with several
            neighbours, treated rows that compete for the same comparison rows (which of them to drop is then
            no assignment problem).

    Assumption: within covariates matched on, treatment is as good as random, and both arms overlap.

    Source: Rosenbaum (1989), Journal of the American Statistical Association 84(408); the assignment by Crouse
    (2016), IEEE Transactions on Aerospace and Electronic Systems 52(4).

    Example:
        >>> x = np.array([[0.0], [1.0], [0.9], [-5.0]])
        >>> m = optimal_matching(x, np.array([True, True, False, False]))
        >>> m.comparison.tolist()  # the nearest match of both is row 2
        [3, 2]
    """
    if neighbours < 1:
        raise ValueError(f"neighbours = {neighbours}; wanted 1 or more")
    groups = _groups(coordinates, treated, strata, calipers, measure)
    surveys = [_survey(g) for g in groups]
    # Rows that cannot be matched whoever else is: they are dropped before anybody is counted.
    open_rows = [s.partners >= neighbours for s in surveys]
    crowded, lacking = False, []
    for group, free in zip(groups, open_rows, strict=True):
        few = int(free.sum()) * neighbours > len(group.pool)
        crowded |= few
        if few or len(group.pool) < neighbours:
            lacking.append(f"{group.name}{len(group.rows)} treated and {len(group.pool)} comparison rows")
    if lacking and (short == "refuse" or (crowded and neighbours > 1)):
        rescue = ', or short = "drop"' if neighbours == 1 or not crowded else ""
        raise ValueError(
            f"{'; '.join(lacking)}; wanted {neighbours} comparison row(s) of its own for every treated row: "
            f"fewer neighbours, wider groups, full matching{rescue}"
        )
    rows: list[Index] = []
    columns: list[Index] = []
    for group, survey, free in zip(groups, surveys, open_rows, strict=True):
        if not free.any():
            continue
        taken = _cheapest_assignment(group, survey, np.flatnonzero(free), neighbours)
        served = (taken >= 0).all(axis=1)
        if neighbours > 1 and not served.all():
            raise ValueError(
                f"{group.name}{int((~served).sum())} treated rows cannot have {neighbours} comparison rows of "
                "their own within the calipers; wanted wider calipers, fewer neighbours or full matching"
            )
        rows.append(np.repeat(group.rows[free][served], neighbours))
        columns.append(group.pool[taken[served].ravel()])
    one, other = _joined(rows), _joined(columns)
    if not len(one):
        raise ValueError(
            "no treated row has an allowed comparison row; wanted wider calipers or fewer strata"
        )
    dropped = np.setdiff1d(np.flatnonzero(treated), one)
    return _matches(coordinates, one, other, np.full(len(one), 1.0 / neighbours), dropped)


def full_matching(
    coordinates: Array,
    treated: NDArray[np.bool_],
    *,
    min_controls: float = 0.0,
    max_controls: float = np.inf,
    omit: float = 0.0,
    strata: Index | None = None,
    calipers: tuple[Array, Array] | None = None,
    measure: Measure = "distance",
) -> FullMatch:
    """Divide the sample into sets of one treated and some comparison rows, or the reverse, of least distance.

    Every row with an allowed partner enters a set; the sum of distances between treated and comparison rows
    within sets is the least there is.

    Args:
        coordinates: (n, k), from ``distances`` or a one-column propensity score.
        treated: (n,) bool.
        min_controls: fewest comparison rows a treated row: 0 for no limit on how many treated rows share one,
            1 / m for at most m of them, or a whole number.
        max_controls: most comparison rows a treated row: a whole number, 1 / m for sets in which at least m
            treated rows share one, or infinity.
        omit: largest share of the comparison rows (of those with an allowed partner) that may be left out,
            in [0, 1); the ones are left out whose loss saves most distance.
        strata: (n,) codes; a set never crosses them.
        calipers: values (n, c) and widths (c,): treated and comparison rows of a set differ by no more than
            the width in any column.
        measure: what is summed: the distance (as the R package optmatch does) or its square.

    Returns:
        The sets. Rows without any allowed partner are in none, and listed.

    Raises:
        ValueError: an arm is empty; missing or infinite values; limits that are not whole numbers or one over
            them; nobody has a partner; no division of a stratum keeps the limits.

    Assumption: within sets treatment is as good as random.

    Source: Rosenbaum (1991), Journal of the Royal Statistical Society B 53(3); Hansen and Klopfer (2006),
    Journal of Computational and Graphical Statistics 15(3). Without limits the sets are a cheapest edge cover:
    every row takes its nearest partner, except that pairs may join where that is cheaper, and which pairs join
    is an assignment (Schrijver 2003, Combinatorial Optimization, chapter 19).

    Example:
        >>> x = np.array([[0.0], [5.0], [5.2], [0.1], [0.2], [5.1]])
        >>> full = full_matching(x, np.array([True, True, True, False, False, False]))
        >>> full.sets.tolist(), round(full.total, 6)
        ([0, 1, 1, 0, 0, 1], 0.5)
    """
    limits = _limits(min_controls, max_controls)
    if not 0 <= omit < 1:
        raise ValueError(f"omit = {omit}; wanted a share in [0, 1)")
    if omit and limits.controls_low > 1:
        raise ValueError(
            f"omit = {omit} with max_controls = {max_controls}; wanted max_controls of 1 or more"
        )
    groups = _groups(coordinates, treated, strata, calipers, measure)
    surveys = [_survey(g) for g in groups]
    entering = [(np.isfinite(s.row_least), np.isfinite(s.column_least)) for s in surveys]
    if not any(rows.any() for rows, _ in entering):
        raise ValueError(
            "no treated row has an allowed comparison row; wanted wider calipers or fewer strata"
        )
    if limits.none and not omit:
        found = [_cheapest_cover(g, s) for g, s in zip(groups, surveys, strict=True)]
    else:
        spare = int(np.floor(omit * sum(int(columns.sum()) for _, columns in entering) + 1e-9))
        _refuse_by_count(groups, entering, limits, spare)
        # Strata are solved one by one, unless they share what may be omitted.
        if spare and len(groups) > 1:
            groups = [_groups(coordinates, treated, strata, calipers, measure, together=True)[0]]
            surveys = [_survey(groups[0])]
        found = [_cheapest_flow(g, s, limits, spare) for g, s in zip(groups, surveys, strict=True)]
    one = _joined([g.rows[at] for g, (at, _) in zip(groups, found, strict=True)])
    other = _joined([g.pool[at] for g, (_, at) in zip(groups, found, strict=True)])
    sets = _stars(one, other, len(treated))
    share = 1.0 / np.bincount(one, minlength=len(treated))[one]
    dropped = np.flatnonzero(treated & (sets < 0))
    matches = _matches(coordinates, one, other, share, dropped)
    lengths = np.sqrt(matches.distance) if measure == "distance" else matches.distance
    return FullMatch(sets, matches, np.flatnonzero(~treated & (sets < 0)), float(lengths.sum()))


# The table of costs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """The rows among which matches are allowed: a stratum, or all.

    Args:
        name: for messages; empty without strata.
        rows, pool: treated and comparison rows, each sorted by coordinates, so that answers do not depend on
            the order of the data.
        blocks: costs of some of the rows, (rows, pool); infinite where a match is not allowed.
    """

    name: str
    rows: Index
    pool: Index
    blocks: Callable[[Index], Array]

    def chunks(self) -> Iterator[tuple[Index, Array]]:
        """Yield places in ``rows`` and their costs, few enough at once to fit in memory."""
        step = max(1, DENSE_CELLS // max(1, len(self.pool)))
        for start in range(0, len(self.rows), step):
            at = np.arange(start, min(start + step, len(self.rows)), dtype=np.intp)
            yield at, self.blocks(at)


@dataclass(frozen=True, slots=True)
class _Survey:
    """Least and greatest allowed costs and numbers of partners, in the order of a group's rows and pool."""

    row_least: Array
    column_least: Array
    partners: Index
    greatest: float


def _groups(
    coordinates: Array,
    treated: NDArray[np.bool_],
    strata: Index | None,
    calipers: tuple[Array, Array] | None,
    measure: Measure,
    together: bool = False,
) -> list[_Group]:
    """Return the strata with their costs; ``together``: one group in which costs across strata are infinite."""
    values = None if calipers is None else calipers[0]
    _refuse_missing(coordinates, "coordinates")
    if values is not None:
        _refuse_missing(values, "caliper values")
    if measure not in ("distance", "squared"):
        raise ValueError(f'measure = "{measure}"; wanted "distance" or "squared"')
    if not treated.any() or treated.all():
        raise ValueError(
            f"{int(treated.sum())} treated and {int((~treated).sum())} comparison rows; wanted some of each"
        )
    order = np.lexsort(coordinates.T[::-1])
    codes = np.zeros(len(treated), dtype=np.intp) if strata is None or together else strata
    groups = []
    for code in np.unique(codes[treated]):
        here = order[codes[order] == code]
        rows, pool = here[treated[here]], here[~treated[here]]
        name = "" if strata is None or together else f"stratum {code}: "
        groups.append(
            _Group(
                name,
                rows,
                pool,
                _costs(coordinates, rows, pool, strata if together else None, calipers, measure),
            )
        )
    return groups


def _costs(
    coordinates: Array,
    rows: Index,
    pool: Index,
    strata: Index | None,
    calipers: tuple[Array, Array] | None,
    measure: Measure,
) -> Callable[[Index], Array]:
    def block(at: Index) -> Array:
        these = rows[at]
        cost = squared_distances(coordinates[these], coordinates[pool])
        if measure == "distance":
            np.sqrt(cost, out=cost)
        if strata is not None:
            cost[strata[these][:, None] != strata[pool][None, :]] = np.inf
        if calipers is not None:
            for column, width in zip(calipers[0].T, calipers[1], strict=True):
                cost[np.abs(column[these][:, None] - column[pool][None, :]) > width] = np.inf
        return cost

    if len(rows) * len(pool) > DENSE_CELLS:
        return block
    whole = block(np.arange(len(rows)))
    return lambda at: whole if len(at) == len(whole) else whole[at]


def _survey(group: _Group) -> _Survey:
    row_least, partners = np.full(len(group.rows), np.inf), np.zeros(len(group.rows), dtype=np.intp)
    column_least, greatest = np.full(len(group.pool), np.inf), 0.0
    for at, cost in group.chunks() if len(group.pool) else ():
        allowed = np.isfinite(cost)
        row_least[at], partners[at] = cost.min(axis=1), allowed.sum(axis=1)
        np.minimum(column_least, cost.min(axis=0), out=column_least)
        if allowed.any():
            greatest = max(greatest, float(cost.max(initial=0.0, where=allowed)))
    return _Survey(row_least, column_least, partners, greatest)


# Assignment --------------------------------------------------------------------------------------------------


def _cheapest_assignment(group: _Group, survey: _Survey, rows: Index, copies: int) -> Index:
    """Return the columns of each row, (rows, copies), -1 for none: as many as can be, then least cost."""
    complete = bool((survey.partners[rows] == len(group.pool)).all())
    enough = complete and len(rows) * copies <= len(group.pool)
    # One more match is always worth more than all distances together, unless everybody is matched anyway.
    most = min(len(rows) * copies, len(group.pool))
    worth = (survey.greatest or 1.0) * (1.0 if enough else most + 1.0) * 1.5

    def gain(at: Index) -> Array:
        return group.blocks(rows[at]) - worth

    return _assign(gain, len(rows), len(group.pool), copies)


def _cheapest_cover(group: _Group, survey: _Survey) -> tuple[Index, Index]:
    """Return the edges of the cheapest edge cover, as places in the group's rows and pool."""
    rows = np.flatnonzero(np.isfinite(survey.row_least))
    if not len(rows):
        return rows, rows

    def gain(at: Index) -> Array:
        # What joining a pair saves against both taking their nearest partner.
        return group.blocks(rows[at]) - survey.row_least[rows[at], None] - _finite(survey.column_least)

    taken = _assign(gain, len(rows), len(group.pool), 1)[:, 0]
    joined = taken >= 0
    lone = rows[~joined]
    free = np.isfinite(survey.column_least)
    free[taken[joined]] = False
    row_nearest, column_nearest = _nearest(group)
    one = np.concatenate([rows[joined], lone, column_nearest[free]])
    other = np.concatenate([taken[joined], row_nearest[lone], np.flatnonzero(free)])
    return _pruned(group, one, other, 1, 1)


def _nearest(group: _Group) -> tuple[Index, Index]:
    row_nearest = np.zeros(len(group.rows), dtype=np.intp)
    column_nearest, least = np.zeros(len(group.pool), dtype=np.intp), np.full(len(group.pool), np.inf)
    for at, cost in group.chunks():
        row_nearest[at] = cost.argmin(axis=1)
        nearest = cost.argmin(axis=0)
        value = cost[nearest, np.arange(len(group.pool))]
        better = value < least
        column_nearest[better], least[better] = at[nearest[better]], value[better]
    return row_nearest, column_nearest


def _assign(gain: Callable[[Index], Array], n: int, columns: int, copies: int) -> Index:
    """Give rows columns of their own so that the sum of ``gain`` is least; a row may take none at 0.

    Returns:
        (n, copies) columns, -1 for none.
    """
    crowded = 2 * n * copies > columns
    if n * copies * columns <= (CROWDED_CELLS if crowded else 2 * DENSE_CELLS):
        wide = np.empty((n * copies, columns))
        for piece in _pieces(n, columns):
            value = np.minimum(gain(piece), 0.0)
            for copy in range(copies):
                wide[piece * copies + copy] = value
        at, chosen = linear_sum_assignment(wide)
        out = np.full(n * copies, -1, dtype=np.intp)
        used = wide[at, chosen] < 0
        out[at[used]] = chosen[used]
        return out.reshape(n, copies)
    return _assign_sparse(gain, n, columns, copies)


def _assign_sparse(gain: Callable[[Index], Array], n: int, columns: int, copies: int) -> Index:
    """As `_assign`, on each row's best columns and a place of its own at the value of the best one left out.

    That place costs no more than what it stands for, so the optimum is a lower bound on the true one; where
    nobody sits there it is the true one. Rows that do get more columns, until none does.
    """
    lists: list[tuple[Index, Array]] = [(np.empty(0, np.intp), np.empty(0))] * n
    beyond = np.zeros(n)
    width = np.full(n, min(columns, (8 if copies == 1 else 32) * copies), dtype=np.intp)
    refresh = np.arange(n)
    while True:
        step = max(1, DENSE_CELLS // columns)
        for start in range(0, len(refresh), step):
            at = refresh[start : start + step]
            for i, value in zip(at, gain(at), strict=True):
                keep = int(width[i])
                if keep < columns:
                    best = np.argpartition(value, keep)[: keep + 1]
                    beyond[i] = min(float(value[best[keep]]), 0.0)
                    best = best[:keep]
                else:
                    best, beyond[i] = np.arange(columns), 0.0
                best = np.sort(best[value[best] < 0])
                lists[i] = best, value[best]
        count = np.array([len(best) for best, _ in lists])
        copy = np.repeat(np.arange(n), copies)
        head = np.repeat(np.arange(n * copies), count[copy])
        tail = np.concatenate([lists[i][0] for i in copy])
        value = np.concatenate([lists[i][1] for i in copy])
        head = np.concatenate([head, np.arange(n * copies)])
        tail = np.concatenate([tail, columns + np.arange(n * copies)])
        value = np.concatenate([value, beyond[copy]])
        # Every row is matched once, so a constant moves all sums alike; an entry of 0 would count as no edge.
        value = value - value.min() + (float(np.ptp(value)) or 1.0)
        graph = csr_matrix((value, (head, tail)), shape=(n * copies, columns + n * copies))
        at, chosen = min_weight_full_bipartite_matching(graph)
        aside = np.zeros(n * copies, dtype=bool)
        aside[at] = chosen >= columns
        refresh = np.unique(copy[aside & (beyond[copy] < 0)])
        if not len(refresh):
            out = np.full(n * copies, -1, dtype=np.intp)
            out[at] = np.where(chosen < columns, chosen, -1)
            return out.reshape(n, copies)
        width[refresh] = np.minimum(columns, width[refresh] * 4)


# Flow --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Limits:
    """Fewest and most partners of a treated row and of a comparison row."""

    treated_low: int
    treated_high: float
    controls_low: int
    controls_high: float

    @property
    def none(self) -> bool:
        return self == _Limits(1, np.inf, 1, np.inf)


def _limits(low: float, high: float) -> _Limits:
    if not 0 <= low <= high or high == 0:
        raise ValueError(
            f"min_controls = {low}, max_controls = {high}; wanted 0 <= min_controls <= max_controls, not both 0"
        )
    for name, value in (("min_controls", low), ("max_controls", high)):
        size = value if value >= 1 else 1 / value if value > 0 else np.inf
        if np.isfinite(size) and abs(size - round(size)) > 1e-6:
            raise ValueError(f"{name} = {value}; wanted a whole number or one over a whole number")
    treated_low, controls_high = (round(low), 1.0) if low >= 1 else (1, np.inf)
    if 0 < low < 1:
        controls_high = float(round(1 / low))
    treated_high, controls_low = (high, 1) if high >= 1 else (1.0, round(1 / high))
    return _Limits(
        treated_low, float(round(treated_high)) if np.isfinite(high) else np.inf, controls_low, controls_high
    )


def _refuse_by_count(
    groups: list[_Group],
    entering: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    limits: _Limits,
    spare: int,
) -> None:
    found = []
    for group, (rows, columns) in zip(groups, entering, strict=True):
        n1, n0 = int(rows.sum()), int(columns.sum())
        # The arms bound each other: between so many and so many comparison rows for so many treated rows.
        if n1 and (
            (limits.treated_low > 1 and n1 * limits.treated_low > n0)
            or n0 - spare > n1 * limits.treated_high
            or n1 > n0 * limits.controls_high
            or (limits.controls_low > 1 and n0 * limits.controls_low > n1)
        ):
            found.append(f"{group.name}{n1} treated and {n0} comparison rows with partners")
    if found:
        raise ValueError(
            f"{'; '.join(found)}; wanted numbers that can be divided into sets with {_say(limits)}: change "
            "min_controls, max_controls or omit"
        )


def _say(limits: _Limits) -> str:
    return (
        f"{limits.treated_low} to {limits.treated_high:g} comparison rows a treated row and "
        f"{limits.controls_low} to {limits.controls_high:g} treated rows a comparison row"
    )


def _cheapest_flow(group: _Group, survey: _Survey, limits: _Limits, spare: int) -> tuple[Index, Index]:
    """Return the cheapest edges that keep the limits, as places in the group's rows and pool.

    The linear program is solved on some edges; those its prices show to be worth adding are added until there
    are none. Its matrix is that of a network, so its vertices are whole numbers.
    """
    rows, columns = (
        np.flatnonzero(np.isfinite(survey.row_least)),
        np.flatnonzero(np.isfinite(survey.column_least)),
    )
    if not len(rows):
        return rows, rows
    n1, n0 = len(rows), len(columns)
    scale = float(survey.row_least[rows].sum() + survey.column_least[columns].sum()) / (n1 + n0)
    scale = scale if scale > 0 else max(survey.greatest, 1.0)

    def cost(at: Index) -> Array:
        found = group.blocks(rows[at])
        return found if n0 == len(group.pool) else found[:, columns]

    # Limits that these edges cannot keep are broken at a price; one that no true price exceeds proves there are
    # no such sets.
    far = max(survey.greatest / scale, 1.0)
    penalty, highest = 4.0 * far, 2.0 * (n1 + n0) * far
    edges = _short_edges(cost, n1, n0, FIRST_EDGES)
    while True:
        one, other, value = edges
        used, broken, price_1, price_0 = _solve_flow(
            one, other, value / scale, n1, n0, limits, spare, min(penalty, highest)
        )
        more = _worth_adding(cost, scale, price_1, price_0, edges)
        if more is not None:
            edges = more
        elif not broken:
            return _pruned(
                group, rows[one[used]], columns[other[used]], limits.treated_low, limits.controls_low
            )
        elif penalty < highest:
            penalty *= 30.0
        else:
            raise ValueError(
                f"{group.name}calipers leave no sets of {n1} treated and {n0} comparison rows with "
                f"{_say(limits)}; wanted wider calipers or limits"
            )


def _short_edges(cost: Callable[[Index], Array], n1: int, n0: int, wide: int) -> tuple[Index, Index, Array]:
    """Return the shortest edges of each row and each column: rows, columns, costs, sorted."""
    keys, values = [], []
    best = np.full((min(wide, n1), n0), np.inf)
    whose = np.zeros(best.shape, dtype=np.intp)
    for at in _pieces(n1, n0):
        block = cost(at)
        near = np.argpartition(block, wide - 1, axis=1)[:, :wide] if wide < n0 else np.arange(n0)[None, :]
        near = np.broadcast_to(near, (len(at), near.shape[1]))
        keys.append((at[:, None] * n0 + near).ravel())
        values.append(np.take_along_axis(block, near, axis=1).ravel())
        # Columns meet their rows over several blocks: of those so far, the nearest stay.
        if len(block) > wide:
            near = np.argpartition(block, wide - 1, axis=0)[:wide]
            block, owners = np.take_along_axis(block, near, axis=0), at[near]
        else:
            owners = np.broadcast_to(at[:, None], block.shape)
        together, owners = np.vstack([best, block]), np.vstack([whose, owners])
        near = np.argpartition(together, len(best) - 1, axis=0)[: len(best)]
        best, whose = np.take_along_axis(together, near, axis=0), np.take_along_axis(owners, near, axis=0)
    keys.append((whose * n0 + np.arange(n0)).ravel())
    values.append(best.ravel())
    key, value = np.concatenate(keys), np.concatenate(values)
    allowed = np.isfinite(value)
    key, first = np.unique(key[allowed], return_index=True)
    return key // n0, key % n0, value[allowed][first]


def _solve_flow(
    one: Index,
    other: Index,
    value: Array,
    n1: int,
    n0: int,
    limits: _Limits,
    spare: int,
    penalty: float,
) -> tuple[NDArray[np.bool_], bool, Array, Array]:
    """Return the edges used, whether limits are broken (at ``penalty`` each), the prices of rows and columns."""
    m = len(one)
    at_1 = coo_matrix((np.ones(m), (one, np.arange(m))), shape=(n1, m)).tocsr()
    at_0 = coo_matrix((np.ones(m), (other, np.arange(m))), shape=(n0, m)).tocsr()
    # Variables: edges; shortfalls of rows, of columns; excesses of both where there are limits; whether a
    # comparison row counts as used, at most ``spare`` of which do not.
    eye_1, eye_0 = identity(n1, format="csr"), identity(n0, format="csr")
    high_1, high_0 = np.isfinite(limits.treated_high), np.isfinite(limits.controls_high)
    counted = eye_0 if spare else None
    low_0 = 0.0 if spare else float(limits.controls_low)
    table = [
        [-at_1, -eye_1, None, None, None, None],
        [-at_0, None, -eye_0, None, None, counted],
    ]
    bound = [np.full(n1, -float(limits.treated_low)), np.full(n0, -low_0)]
    if high_1:
        table.append([at_1, None, None, -eye_1, None, None])
        bound.append(np.full(n1, limits.treated_high))
    if high_0:
        table.append([at_0, None, None, None, -eye_0, None])
        bound.append(np.full(n0, limits.controls_high))
    sizes = [m, n1, n0, n1 if high_1 else 0, n0 if high_0 else 0, n0 if spare else 0]
    if spare:
        table.append([None, None, None, None, None, csr_matrix(-np.ones((1, n0)))])
        bound.append(np.array([-(n0 - spare)], dtype=float))
    kept = [i for i, size in enumerate(sizes) if size]
    found = linprog(
        np.concatenate([value, np.full(sum(sizes[1:5]), penalty), np.zeros(sizes[5])]),
        A_ub=bmat([[line[i] for i in kept] for line in table], format="csc"),
        b_ub=np.concatenate(bound),
        bounds=np.column_stack(
            [np.zeros(sum(sizes)), np.repeat([1.0, np.inf, 1.0], [m, sum(sizes[1:5]), sizes[5]])]
        ),
        method="highs-ds",
        options={"dual_feasibility_tolerance": DUAL_TOLERANCE},
    )
    if found.status != 0 or np.abs(found.x - found.x.round()).max() > 1e-6:
        raise ValueError(f"the flow was not solved ({found.message}); wanted a whole-number optimum")
    price = found.ineqlin.marginals
    price_1, price_0, rest = -price[:n1], -price[n1 : n1 + n0], price[n1 + n0 :]
    if high_1:
        price_1, rest = price_1 + rest[:n1], rest[n1:]
    if high_0:
        price_0 = price_0 + rest[:n0]
    broken = bool((found.x[m : sum(sizes[:5])] > 0.5).any())
    return found.x[:m] > 0.5, broken, price_1, price_0


def _worth_adding(
    cost: Callable[[Index], Array],
    scale: float,
    price_1: Array,
    price_0: Array,
    edges: tuple[Index, Index, Array],
) -> tuple[Index, Index, Array] | None:
    """Return the edges with those added that would lower the cost; None if there are none.

    Those of each row and column that are most worth adding, or nearly worth it, come along: that saves rounds.
    """
    one, other, value = edges
    n1, n0 = len(price_1), len(price_0)
    known = one * n0 + other

    def gap(at: Index) -> Array:
        reduced = cost(at) / scale - price_1[at, None] - price_0[None, :]
        first, last = np.searchsorted(known, [at[0] * n0, (at[-1] + 1) * n0])
        reduced[one[first:last] - at[0], other[first:last]] = np.inf
        reduced[reduced > NEAR] = np.inf
        return reduced

    new_1, new_0, reduced = _short_edges(gap, n1, n0, FIRST_EDGES)
    if not len(reduced) or reduced.min() >= -1e-9:
        return None
    more = np.concatenate([cost(at)[new_1[i:j] - at[0], new_0[i:j]] for at, i, j in _cut(new_1, n1, n0)])
    key, value = np.concatenate([known, new_1 * n0 + new_0]), np.concatenate([value, more])
    order = np.argsort(key, kind="stable")
    return key[order] // n0, key[order] % n0, value[order]


def _cut(one: Index, n1: int, n0: int) -> Iterator[tuple[Index, int, int]]:
    for at in _pieces(n1, n0):
        first, last = np.searchsorted(one, [at[0], at[-1] + 1])
        yield at, int(first), int(last)


def _pieces(n1: int, n0: int) -> Iterator[Index]:
    step = max(1, DENSE_CELLS // max(1, n0))
    for start in range(0, n1, step):
        yield np.arange(start, min(start + step, n1), dtype=np.intp)


# Sets --------------------------------------------------------------------------------------------------------


def _pruned(group: _Group, one: Index, other: Index, low_1: int, low_0: int) -> tuple[Index, Index]:
    """Drop edges that both ends can do without.

    At the optimum such edges cost nothing (identical rows), but they would join two sets into one that is no
    star.
    """
    key = np.unique(one * len(group.pool) + other)
    one, other = key // len(group.pool), key % len(group.pool)
    degree_1, degree_0 = (
        np.bincount(one, minlength=len(group.rows)),
        np.bincount(other, minlength=len(group.pool)),
    )
    keep = np.ones(len(one), dtype=bool)
    for edge in np.flatnonzero((degree_1[one] > low_1) & (degree_0[other] > low_0)):
        if degree_1[one[edge]] > low_1 and degree_0[other[edge]] > low_0:
            keep[edge] = False
            degree_1[one[edge]] -= 1
            degree_0[other[edge]] -= 1
    return one[keep], other[keep]


def _stars(one: Index, other: Index, n: int) -> Index:
    """Return each row's set, (n,), from the edges of stars."""
    centre = np.where(np.bincount(one, minlength=n)[one] > 1, one, other)
    sets = np.full(n, -1, dtype=np.intp)
    sets[one], sets[other] = centre, centre
    inside = sets >= 0
    _, first, label = np.unique(sets[inside], return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.intp)
    place[np.argsort(first, kind="stable")] = np.arange(len(first))
    sets[inside] = place[label]
    return sets


def _matches(coordinates: Array, one: Index, other: Index, share: Array, dropped: Index) -> Matches:
    order = np.lexsort((other, one))
    one, other = one[order], other[order]
    return Matches(
        one, other, share[order], ((coordinates[one] - coordinates[other]) ** 2).sum(axis=1), dropped
    )


def _joined(parts: list[Index]) -> Index:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.intp)


def _finite(values: Array) -> Array:
    # A column nobody may take is infinite in every row: what it saves must not become infinite less infinite.
    return np.where(np.isfinite(values), values, 0.0)


def _refuse_missing(values: Array, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise ValueError(f"{what} missing or infinite in {len(bad)} rows ({shown}); wanted none")

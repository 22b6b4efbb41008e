"""Nearest-neighbour matching of treated to comparison rows: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.distances import squared_distances

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]
Index = NDArray[np.intp]
Unsigned = NDArray[np.unsignedinteger]
Order = Literal["hardest_first", "data", "largest", "smallest", "closest", "random"]
Turns = Literal["all", "one"]

TIE_TOLERANCE = 1e-5
# What summing weights may round off.
COUNTED = 1e-9
# Entries of the distance matrix in memory at a time.
BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Matches:
    """Who was matched to whom; one entry a pair, sorted by treated row, then by comparison row.

    Args:
        treated: (pairs,) row of the treated unit.
        comparison: (pairs,) row of the comparison unit.
        share: (pairs,) share of the comparison unit in the treated unit's match; sums to 1 over its pairs.
        distance: (pairs,) squared distance in the coordinates matched on.
        dropped: (m,) treated rows with fewer than the wanted number of allowed comparison rows.
    """

    treated: Index
    comparison: Index
    share: Array
    distance: Array
    dropped: Index

    def averages(self, values: Array) -> Array:
        """Return the share-weighted mean of ``values`` over each matched treated row's comparisons.

        Rows follow ``np.unique(self.treated)``.
        """
        rows, at = np.unique(self.treated, return_inverse=True)
        taken = self.share[:, None] * values[self.comparison].reshape(len(self.comparison), -1)
        out = np.zeros((len(rows), taken.shape[1]))
        np.add.at(out, at, taken)
        return out.reshape((len(rows), *values.shape[1:]))

    def comparison_weights(self, weights: Array) -> Array:
        """Return each row's weight as a match, (n,): the sum of shares times treated rows' weights."""
        taken = self.share * weights[self.treated]
        return np.bincount(self.comparison, taken, minlength=len(weights)).astype(float)


def nearest_neighbours(
    coordinates: Array,
    treated: NDArray[np.bool_],
    *,
    neighbours: int = 1,
    replacement: bool = True,
    strata: NDArray[np.intp] | None = None,
    calipers: tuple[Array, Array] | None = None,
    tie_tolerance: float = TIE_TOLERANCE,
    order: Order = "hardest_first",
    score: Array | None = None,
    rng: np.random.Generator | None = None,
    turns: Turns = "all",
    incomplete: bool = False,
    weights: Array | None = None,
) -> Matches:
    """Match every treated row to its nearest comparison rows.

    With replacement, all comparison rows within ``tie_tolerance`` of the last neighbour's squared distance
    are taken and share the match (Abadie and Imbens 2006). Without it, matching is greedy: each treated row
    takes its nearest rows still free. Ties, among comparison rows and among treated rows for their turn, are
    then broken by coordinates (then caliper columns, strata, score) and not by place in the data, except with
    ``order = "data"``; rows alike in all of these stand for each other. The distance matrix is never held.

    Args:
        coordinates: (n, k), from ``distances`` or a one-column propensity score.
        treated: (n,) bool.
        neighbours: comparison rows a treated row.
        replacement: whether a comparison row may serve several treated rows.
        strata: (n,) codes; a match never crosses them.
        calipers: values (n, c) and widths (c,): a match differs by no more than the width in any column.
        tie_tolerance: on squared distance, with replacement; the default is that of the R package Matching.
        order: which treated row chooses first without replacement: "hardest_first", the one whose nearest
            comparison row is farthest; "largest" or "smallest" score; "closest", the one whose nearest row still
            free is nearest; "random"; or "data", the order of the data.
        score: (n,) for "largest" and "smallest", usually the propensity score.
        rng: source of "random".
        turns: "all": at its turn a treated row takes all its neighbours; "one": it takes one, and turns go
            round ``neighbours`` times.
        incomplete: whether a treated row with fewer than ``neighbours`` allowed (or free) rows keeps those.
            If not, rows it took in earlier rounds of turns are not given back.
        weights: (n,), with replacement: a comparison row counts as ``weights`` rows towards ``neighbours`` and in
            the shares, as copies of it would; None for one each.

    Returns:
        The matches. A treated row with fewer than ``neighbours`` allowed comparison rows (with none, if
        ``incomplete``) is dropped and listed.

    Raises:
        ValueError: an arm is empty, ``neighbours`` is below 1, coordinates or caliper columns are missing, or ``score``, ``rng`` or
            ``weights`` do not fit the other options.

    Assumption: within covariates matched on, treatment is as good as random, and both arms overlap.

    Source: Abadie and Imbens (2006), Econometrica 74(1). Match of the R package Matching without replacement is
        ``order = "data"``; matchit with method = "nearest" of MatchIt is ``turns = "one", incomplete = True``
        with ``order`` its m.order (and with replacement ``tie_tolerance = 0, incomplete = True``).

    Example:
        >>> x = np.array([[0.0], [1.0], [0.1], [5.0]])
        >>> m = nearest_neighbours(x, np.array([True, True, False, False]))
        >>> m.comparison.tolist(), m.share.tolist()
        ([2, 2], [1.0, 1.0])
        >>> m = nearest_neighbours(x, np.array([True, True, False, False]), replacement=False)
        >>> m.comparison.tolist()
        [3, 2]
    """
    rows, pool = np.flatnonzero(treated), np.flatnonzero(~treated)
    if neighbours < 1 or not len(rows) or not len(pool):
        raise ValueError("at least one neighbour, one treated and one comparison row are needed")
    for name, values in (
        ("coordinates", coordinates),
        ("caliper columns", None if calipers is None else calipers[0]),
    ):
        if values is not None and not np.isfinite(values).all():
            missing = int((~np.isfinite(values)).any(axis=1).sum())
            raise ValueError(f"{missing} rows with missing {name}; wanted none")
    if (order in ("largest", "smallest")) != (score is not None) or (order == "random") != (rng is not None):
        raise ValueError(
            f"order = {order!r} with score {'missing' if score is None else 'given'} and rng "
            f"{'missing' if rng is None else 'given'}; wanted a score for largest and smallest, rng for random"
        )
    if weights is not None and not (replacement and np.all(weights[pool] > 0)):
        raise ValueError(
            "weights count comparison rows matched with replacement; wanted that, and all positive"
        )
    if replacement:
        at, chosen, squared = _with_replacement(
            coordinates, rows, pool, neighbours, strata, calipers, tie_tolerance, incomplete, weights
        )
    else:
        greedy = _Greedy(coordinates, rows, pool, strata, calipers, score, order)
        at, chosen, squared = greedy.match(neighbours, rng, turns, incomplete)
    counted = np.ones(len(chosen)) if weights is None else weights[pool[chosen]]
    share = counted / np.bincount(at, counted, minlength=len(rows))[at]
    dropped = np.ones(len(rows), bool)
    dropped[at] = False
    return Matches(rows[at], pool[chosen], share, squared, rows[dropped])


def near_pairs(
    a: Array,
    b: Array,
    count: int,
    *,
    tie_tolerance: float = TIE_TOLERANCE,
    own: bool = False,
    weights: Array | None = None,
    strata: tuple[Index, Index] | None = None,
    calipers: tuple[Array, Array, Array] | None = None,
    incomplete: bool = False,
) -> Iterator[tuple[Index, Index, Array]]:
    """Yield, block by block, every row of ``a`` with its nearest rows of ``b``, ties included.

    A lower bound of every distance in single precision, with its rounding error taken off, leaves few pairs to
    measure exactly; the result is that of the full matrix in double precision.

    Args:
        a: (m, k) coordinates.
        b: (p, k) coordinates.
        count: neighbours of a row.
        tie_tolerance: rows of b at most this much beyond the last neighbour's squared distance are near too.
        own: a and b are the same rows, and no row is its own neighbour.
        weights: (p,) what a row of b counts towards ``count``; None for one each.
        strata: (m,) and (p,) codes that must be equal.
        calipers: (m, c) and (p, c) values and (c,) widths.
        incomplete: whether a row with fewer than ``count`` allowed rows is yielded with those; else it is left out.

    Returns:
        Blocks of rows of a, rows of b and squared distances, (pairs,) each; all pairs of a row of a are in one
        block, ordered by row of a and row of b within each stratum.

    Example:
        >>> x = np.array([[0.0], [1.0], [3.0]])
        >>> [(at.tolist(), near.tolist()) for at, near, _ in near_pairs(x, x, 1, own=True)]
        [([0, 1, 2], [1, 0, 1])]
    """
    if strata is None:
        yield from _near_blocks(a, b, count, tie_tolerance, own, weights, calipers, incomplete)
        return
    by_a, by_b = np.argsort(strata[0], kind="stable"), np.argsort(strata[1], kind="stable")
    for code in np.intersect1d(strata[0], strata[1]):
        rows, pool = (
            by[slice(*np.searchsorted(codes[by], [code, code + 1]))]
            for by, codes in zip((by_a, by_b), strata, strict=True)
        )
        inside = None if calipers is None else (calipers[0][rows], calipers[1][pool], calipers[2])
        counted = None if weights is None else weights[pool]
        for at, chosen, squared in _near_blocks(
            a[rows], b[pool], count, tie_tolerance, own, counted, inside, incomplete
        ):
            yield rows[at], pool[chosen], squared


def _near_blocks(
    a: Array,
    b: Array,
    count: int,
    tolerance: float,
    own: bool,
    weights: Array | None,
    calipers: tuple[Array, Array, Array] | None,
    incomplete: bool,
) -> Iterator[tuple[Index, Index, Array]]:
    centre, k = b.mean(axis=0), b.shape[1]
    u, v = a - centre, b - centre
    size = max(float(np.abs(u).max(initial=0.0)), float(np.abs(v).max(initial=0.0))) or 1.0
    u, v = u / size, v / size
    # |u|^2 + |v|^2 - 2uv in single precision errs by less than ``error`` times |u|^2 + |v|^2; with as much taken
    # off it is a lower bound. What centring rounds off, and what underflows, is in ``slack``.
    single, double = np.finfo(np.float32).eps, np.finfo(np.float64).eps
    error = 2 * (k + 4) * float(single)
    largest = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
    slack = 8 * np.sqrt(k) * float(double) * (largest / size + 1) + 1e-17
    right = np.empty((k + 1, len(b)), np.float32)
    right[:k], right[k] = v.T, (1 - error) * (v**2).sum(axis=1)
    left = np.ones((len(a), k + 1), np.float32)
    left[:, :k] = -2 * u
    ahead = (1 - error) * (u**2).sum(axis=1)
    reach = None if calipers is None else _Calipers(*calipers)
    step = min(len(a), max(64, BLOCK // len(b)))
    # Held over blocks: asking for fresh memory each time would cost as much as the arithmetic.
    bounds, hits = np.empty((step, len(b)), np.float32), np.empty((step, len(b)), bool)
    for start in range(0, len(a), step):
        here = np.arange(start, min(start + step, len(a)))
        lower, hit = bounds[: len(here)], hits[: len(here)]
        np.matmul(left[here], right, out=lower)
        if own:
            lower[here - start, here] = np.inf
        if reach is not None:
            np.copyto(lower, np.inf, where=reach.outside(here))
        bound = _reach_at_most(lower, a[here], b, count, weights)
        short = np.isinf(bound)
        with np.errstate(invalid="ignore"):
            limit = (np.sqrt(bound + tolerance) / size + slack) ** 2 - ahead[here]
        limit = np.nextafter(limit.astype(np.float32), np.float32(np.inf))
        # An infinite limit would let in what is not allowed.
        limit[short] = np.finfo(np.float32).max if incomplete else -np.inf
        at, chosen = np.divmod(np.flatnonzero(np.less_equal(lower, limit[:, None], out=hit)), len(b))
        squared = _squared(a, b, here[at], chosen)
        counted = None if weights is None else weights[chosen]
        near = squared <= _reach(at, squared, bound, count, counted)[at] + tolerance
        yield here[at[near]], chosen[near], squared[near]


class _Calipers:
    """Who is outside a caliper of whom, read from ranks: |a - b| <= width for a run of sorted values b."""

    def __init__(self, of_a: Array, of_b: Array, widths: Array) -> None:
        self.size = len(of_b)
        self.windows: list[tuple[Unsigned, Unsigned, Unsigned]] = []
        for one, other, width in zip(of_a.T, of_b.T, widths, strict=True):
            values, rank = np.unique(other, return_inverse=True)
            first = np.searchsorted(values, one - width, side="left")
            last = np.searchsorted(values, one + width, side="right") - 1
            # one - width is rounded, |one - other| is what counts: the ends of the run move until that holds.
            first = _moved(first, -1, one, values, width)
            last = _moved(last, 1, one, values, width)
            # An empty run starts where no rank is.
            empty = first > last
            first[empty], last[empty] = len(values), len(values)
            small: type[np.unsignedinteger] = np.uint16 if len(values) < 2**16 else np.uint32
            self.windows.append((rank.astype(small), first.astype(small), (last - first).astype(small)))

    def outside(self, rows: Index) -> NDArray[np.bool_]:
        """Return whether each row of b is outside a caliper of the given rows of a, (rows, p)."""
        out = np.zeros((len(rows), self.size), bool)
        for rank, first, length in self.windows:
            # Unsigned, so that a rank before the run is a large number too.
            out |= rank - first[rows, None] > length[rows, None]
        return out


def _moved(end: Index, outwards: int, one: Array, values: Array, width: float) -> Index:
    """Return the end of each run of values within ``width``, moved outwards or back as exact gaps demand."""
    end = end.copy()

    def inside(at: Index) -> NDArray[np.bool_]:
        exists = (at >= 0) & (at < len(values))
        return exists & (np.abs(one - values[np.clip(at, 0, len(values) - 1)]) <= width)

    while (more := inside(end + outwards)).any():
        end[more] += outwards
    for _ in range(2):
        # A rounded end is at most a value or two too far out.
        end[(end >= 0) & (end < len(values)) & ~inside(end)] -= outwards
    return end


def _reach_at_most(lower: Array32, a: Array, b: Array, count: int, weights: Array | None) -> Array:
    """Return a bound on each row's squared distance to its last neighbour; infinite with too few allowed rows."""
    take, rows = min(count, len(b)), np.arange(len(lower))
    if weights is None and take < count:
        return np.full(len(lower), np.inf)
    while True:
        found, values = _smallest(lower, take)
        squared = np.stack([_squared(a, b, rows, column) for column in found.T], axis=1)
        squared[np.isinf(values)] = np.inf
        if weights is None:
            return squared.max(axis=1)
        ranked = np.argsort(squared, axis=1, kind="stable")
        enough = weights[np.take_along_axis(found, ranked, axis=1)].cumsum(axis=1) >= count - COUNTED
        squared = np.take_along_axis(squared, ranked, axis=1)
        last = np.where(enough.any(axis=1), squared[rows, enough.argmax(axis=1)], np.inf)
        if take == len(b) or enough.any(axis=1).all():
            return last
        take = min(2 * take, len(b))


def _smallest(lower: Array32, take: int) -> tuple[Index, Array32]:
    """Return columns and values of each row's ``take`` smallest entries, (rows, take) each, in no order."""
    rows = np.arange(len(lower))
    if take > 4:
        columns = np.argpartition(lower, take - 1, axis=1)[:, :take]
        return columns, lower[rows[:, None], columns]
    # For a few, looking several times is faster than a partial sort. A row of infinities yields the same column
    # again, so the value is what was seen and not what is there in the end.
    found, values = [], []
    for _ in range(take):
        found.append(lower.argmin(axis=1))
        values.append(lower[rows, found[-1]])
        lower[rows, found[-1]] = np.inf
    for column, value in zip(reversed(found), reversed(values), strict=True):
        lower[rows, column] = value
    return np.stack(found, axis=1), np.stack(values, axis=1)


def _squared(a: Array, b: Array, at: Index, chosen: Index) -> Array:
    """Return squared distances of pairs, summed column by column as in ``squared_distances``."""
    out = np.zeros(len(at))
    for of_a, of_b in zip(a.T, b.T, strict=True):
        out += (of_a[at] - of_b[chosen]) ** 2
    return out


def _reach(at: Index, squared: Array, bound: Array, count: int, weights: Array | None) -> Array:
    """Return each row's squared distance to its last neighbour among pairs, (rows,), infinite if it has fewer.

    It is the bound, unless the pairs nearer than that are enough by themselves.
    """
    nearer = np.flatnonzero(squared < bound[at])
    mass = np.bincount(at[nearer], None if weights is None else weights[nearer], minlength=len(bound))
    pairs = nearer[(mass >= count - COUNTED)[at[nearer]]]
    ranked = pairs[np.lexsort((squared[pairs], at[pairs]))]
    sums = (np.ones(len(ranked)) if weights is None else weights[ranked]).cumsum()
    before = np.append(0.0, sums)[np.searchsorted(at[pairs], np.arange(len(bound)))]
    enough = np.flatnonzero(sums - before[at[ranked]] >= count - COUNTED)[::-1]
    out = bound.copy()
    # Backwards, so that the first pair that is enough is written last.
    out[at[ranked][enough]] = squared[ranked][enough]
    return out


def _with_replacement(
    coordinates: Array,
    rows: Index,
    pool: Index,
    neighbours: int,
    strata: Index | None,
    calipers: tuple[Array, Array] | None,
    tie_tolerance: float,
    incomplete: bool,
    weights: Array | None,
) -> tuple[Index, Index, Array]:
    blocks = list(
        near_pairs(
            coordinates[rows],
            coordinates[pool],
            neighbours,
            tie_tolerance=tie_tolerance,
            weights=None if weights is None else weights[pool],
            strata=None if strata is None else (strata[rows], strata[pool]),
            calipers=None if calipers is None else (calipers[0][rows], calipers[0][pool], calipers[1]),
            incomplete=incomplete,
        )
    )
    if not blocks:
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    at, chosen, squared = (np.concatenate(part) for part in zip(*blocks, strict=True))
    if strata is not None:
        ranked = np.argsort(at, kind="stable")
        at, chosen, squared = at[ranked], chosen[ranked], squared[ranked]
    return at, chosen, squared


class _Greedy:
    """Matching without replacement: a row of the distance matrix at a time."""

    def __init__(
        self,
        coordinates: Array,
        rows: Index,
        pool: Index,
        strata: Index | None,
        calipers: tuple[Array, Array] | None,
        score: Array | None,
        order: Order,
    ) -> None:
        self.a, self.b, self.order = coordinates[rows], coordinates[pool], order
        self.strata = None if strata is None else (strata[rows], strata[pool])
        self.calipers = None if calipers is None else (calipers[0][rows], calipers[0][pool], calipers[1])
        self.reach = None if self.calipers is None else _Calipers(*self.calipers)
        self.score = None if score is None else score[rows]
        self.free = np.ones(len(pool), bool)
        # Distances, and coordinates, closer than rounding can tell apart are ties.
        self.rounding = 1e-12 * (float(np.abs(coordinates).max()) or 1.0)
        if order == "data":
            place = np.arange(len(coordinates))
        else:
            keys: list[NDArray] = [_ranks(column, self.rounding) for column in coordinates.T]
            keys += [] if calipers is None else list(calipers[0].T)
            keys += [key for key in (strata, score) if key is not None]
            place = np.empty(len(coordinates), np.intp)
            place[np.lexsort(keys[::-1])] = np.arange(len(coordinates))
        self.row_place, self.pool_place = place[rows], place[pool]

    def match(
        self,
        neighbours: int,
        rng: np.random.Generator | None,
        turns: Turns,
        incomplete: bool,
    ) -> tuple[Index, Index, Array]:
        rounds, amount = (neighbours, 1) if turns == "one" else (1, neighbours)
        taken: list[tuple[int, int, float]] = []
        got = np.zeros(len(self.a), int)
        sequence = None if self.order == "closest" else self._sequence(rng).tolist()
        for _ in range(rounds):
            for row in self._closest_first() if sequence is None else sequence:
                picked = self._pick(row, amount)
                if picked and (incomplete or len(picked) == amount):
                    taken += [(row, column, squared) for column, squared in picked]
                    got[row] += len(picked)
                    self.free[[column for column, _ in picked]] = False
        at = np.array([row for row, _, _ in taken], np.intp)
        chosen = np.array([column for _, column, _ in taken], np.intp)
        squared = np.array([value for _, _, value in taken])
        kept = np.flatnonzero(got[at] >= (1 if incomplete else neighbours))
        ranked = kept[np.lexsort((chosen[kept], at[kept]))]
        return at[ranked], chosen[ranked], squared[ranked]

    def _sequence(self, rng: np.random.Generator | None) -> Index:
        if self.order == "data":
            return np.arange(len(self.a))
        canonical = np.argsort(self.row_place)
        if rng is not None:
            return rng.permutation(canonical)
        if self.score is not None:
            key = self.score if self.order == "smallest" else -self.score
        else:
            nearest = np.zeros(len(self.a))
            for at, _, squared in near_pairs(
                self.a, self.b, 1, tie_tolerance=0.0, strata=self.strata, calipers=self.calipers
            ):
                nearest[at] = squared
            key = -_ranks(np.sqrt(nearest), self.rounding).astype(float)
        return np.lexsort((self.row_place, key))

    def _distances(self, row: int) -> Array:
        """Return squared distances of a treated row to comparison rows, infinite where not allowed or not free."""
        squared = squared_distances(self.a[row : row + 1], self.b)[0]
        squared[~self.free] = np.inf
        if self.strata is not None:
            squared[self.strata[0][row] != self.strata[1]] = np.inf
        if self.reach is not None:
            squared[self.reach.outside(np.array([row]))[0]] = np.inf
        return squared

    def _pick(self, row: int, amount: int) -> list[tuple[int, float]]:
        """Return a treated row's nearest free comparison rows with their squared distances, at most ``amount``."""
        squared, picked = self._distances(row), []
        for _ in range(amount):
            least = float(squared.min())
            if least == np.inf:
                break
            tied = np.flatnonzero(squared <= (np.sqrt(least) + self.rounding) ** 2)
            column = int(tied[np.argmin(self.pool_place[tied])])
            picked.append((column, float(squared[column])))
            squared[column] = np.inf
        return picked

    def _closest_first(self) -> Iterator[int]:
        """Yield treated rows, the one nearest to a row still free first, as rows are taken between yields."""
        heap: list[tuple[float, int, int, int]] = []

        def push(row: int) -> None:
            for column, squared in self._pick(row, 1):
                # Rounded, so that distances that only rounding tells apart go by place.
                near = float(np.rint(np.sqrt(squared) / self.rounding))
                heappush(heap, (near, int(self.row_place[row]), row, column))

        for row in range(len(self.a)):
            push(row)
        while heap:
            _, _, row, column = heappop(heap)
            if self.free[column]:
                yield row
            else:
                push(row)


def _ranks(values: Array, tolerance: float) -> Index:
    """Return dense ranks in which neighbouring values no further apart than ``tolerance`` share one."""
    ranked = np.argsort(values, kind="stable")
    out = np.empty(len(values), np.intp)
    out[ranked] = np.append(0, (np.diff(values[ranked]) > tolerance).cumsum())
    return out


def pairs_of_sets(sets: Index, treated: NDArray[np.bool_]) -> tuple[Index, Index, Array, Index]:
    """Return sets as pairs: each treated row with every comparison row of its set, in equal shares.

    Args:
        sets: (n,) code of the row's set; negative for a row in none.
        treated: (n,) bool.

    Returns:
        Treated rows, comparison rows and shares, (pairs,) each, sorted by treated row and then by comparison row; and the
        treated rows in no set, or in one without a comparison row.

    Example:
        >>> one, other, share, dropped = pairs_of_sets(np.array([0, 0, 0, -1]), np.array([True, False, False, True]))
        >>> other.tolist(), share.tolist(), dropped.tolist()
        ([1, 2], [0.5, 0.5], [3])
    """
    rows, pool = np.flatnonzero(treated), np.flatnonzero(~treated & (sets >= 0))
    pool = pool[np.argsort(sets[pool], kind="stable")]
    start = np.searchsorted(sets[pool], sets[rows], side="left")
    count = np.where(sets[rows] >= 0, np.searchsorted(sets[pool], sets[rows], side="right") - start, 0)
    at = np.repeat(np.arange(len(rows)), count)
    within = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
    return rows[at], pool[start[at] + within], 1.0 / count[at], rows[count == 0]

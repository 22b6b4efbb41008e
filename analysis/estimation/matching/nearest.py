"""Nearest-neighbour matching of treated to comparison rows: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.distances import squared_distances

Array = NDArray[np.float64]
Index = NDArray[np.intp]

TIE_TOLERANCE = 1e-5


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
    order: Literal["hardest_first", "data"] = "hardest_first",
) -> Matches:
    """Match every treated row to its nearest comparison rows.

    With replacement, all comparison rows within ``tie_tolerance`` of the last neighbour's squared distance
    are taken and share the match equally (Abadie and Imbens 2006). Without it, matching is greedy: each
    treated row takes its nearest rows still free, ties by the comparison row's mean coordinate and not by its
    place in the data.

    Args:
        coordinates: (n, k), from ``distances`` or a one-column propensity score.
        treated: (n,) bool.
        neighbours: comparison rows a treated row.
        replacement: whether a comparison row may serve several treated rows.
        strata: (n,) codes; a match never crosses them.
        calipers: values (n, c) and widths (c,): a match differs by no more than the width in any column.
        tie_tolerance: on squared distance; the default is that of the R package Matching.
        order: which treated row chooses first without replacement: the one whose nearest comparison is
            farthest (does not depend on the order of rows), or the order of the data.

    Returns:
        The matches. A treated row with fewer than ``neighbours`` allowed comparison rows is dropped and
        listed.

    Raises:
        ValueError: an arm is empty or ``neighbours`` is below 1.

    Assumption: within covariates matched on, treatment is as good as random, and both arms overlap.

    Example:
        >>> x = np.array([[0.0], [1.0], [0.1], [5.0]])
        >>> m = nearest_neighbours(x, np.array([True, True, False, False]))
        >>> m.comparison.tolist(), m.share.tolist()
        ([2, 2], [1.0, 1.0])
    """
    rows, pool = np.flatnonzero(treated), np.flatnonzero(~treated)
    if neighbours < 1 or not len(rows) or not len(pool):
        raise ValueError("at least one neighbour, one treated and one comparison row are needed")
    distance = squared_distances(coordinates[rows], coordinates[pool])
    if strata is not None:
        distance[strata[rows][:, None] != strata[pool][None, :]] = np.inf
    if calipers is not None:
        values, widths = calipers
        for column, width in zip(values.T, widths, strict=True):
            distance[np.abs(column[rows][:, None] - column[pool][None, :]) > width] = np.inf
    if replacement:
        taken, kept = _with_replacement(distance, neighbours, tie_tolerance)
    else:
        taken, kept = _without_replacement(distance, neighbours, coordinates[pool].mean(axis=1), order)
    at, chosen = np.nonzero(taken)
    share = 1.0 / taken.sum(axis=1)[at]
    return Matches(rows[at], pool[chosen], share, distance[at, chosen], rows[~kept])


def _with_replacement(
    distance: Array, neighbours: int, tolerance: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if distance.shape[1] < neighbours:
        return np.zeros(distance.shape, bool), np.zeros(len(distance), bool)
    if neighbours == 1:
        last = distance.min(axis=1)
    else:
        last = np.partition(distance, neighbours - 1, axis=1)[:, neighbours - 1]
    kept = np.isfinite(last)
    return (distance <= last[:, None] + tolerance) & kept[:, None], kept


def _without_replacement(
    distance: Array, neighbours: int, place: Array, order: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    taken, kept = np.zeros(distance.shape, bool), np.zeros(len(distance), bool)
    free = distance.copy()
    turns = np.arange(len(distance)) if order == "data" else np.argsort(-distance.min(axis=1), kind="stable")
    for turn in turns:
        choice = np.lexsort((place, free[turn]))[:neighbours]
        if len(choice) < neighbours or not np.isfinite(free[turn, choice]).all():
            continue
        taken[turn, choice], kept[turn] = True, True
        free[:, choice] = np.inf
    return taken, kept


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

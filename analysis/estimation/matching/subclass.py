"""Subclassification on the propensity score: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.weights import Estimand, refuse_estimand, refuse_unusable, stratum_weights

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Subclasses:
    """Rows sorted into classes of similar score.

    Args:
        stratum: (n,) class from 0, lowest scores first; -1 for pruned rows.
        weights: (n,) as ``stratum_weights``; 0 for pruned rows.
        breaks: (classes + 1,) quantiles of the score between which the classes lie; the outer classes are
            open.
        pruned: (m,) rows left out: outside ``eligible``, or in a class that lacks an arm.
        moved: (m,) rows taken into a neighbouring class so that it holds ``minimum`` rows of their arm.
        merged: classes asked for but empty, since scores tie; 0 if none.
        estimand: whom the weights average over.
    """

    stratum: Index
    weights: Array
    breaks: Array
    pruned: Index
    moved: Index
    merged: int
    estimand: Estimand


def subclassify(
    score: Array,
    treated: Bool,
    classes: int | Sequence[float] = 6,
    *,
    estimand: Estimand = "att",
    minimum: int = 1,
    eligible: Bool | None = None,
) -> Subclasses:
    """Sort rows into classes between quantiles of the score and weight both arms to spread alike over them.

    Quantiles are those of treated rows for "att", of comparison rows for "atc", of all rows for "ate". Where a class
    holds fewer than ``minimum`` rows of an arm, the nearest rows of that arm move into it from a neighbouring
    class, as MatchIt does (with a minimum above 1 its moves can leap over a class, so that classes interleave);
    ``minimum = 0`` moves none and prunes classes that lack an arm.

    Args:
        score: (n,) propensity score or its linear predictor.
        treated: (n,) bool.
        classes: their number, or the inner quantiles as shares in [0, 1].
        estimand: whom the classes are averaged over.
        minimum: least rows of each arm in a class.
        eligible: (n,) bool, rows allowed to enter, such as those in common support; None for all.

    Raises:
        ValueError: missing or constant scores, an empty arm, fewer than two classes, shares outside [0, 1],
            fewer rows of an arm than the classes need, scores of the arms that do not overlap at all, or
            all rows pruned.

    Assumption: within a class treatment is as good as random; five or six classes remove most, not all, of
        the bias due to the score.

    Source: Rosenbaum and Rubin (1984), Journal of the American Statistical Association 79(387); breaks,
        moves and weights as in MatchIt's method "subclass".

    Example:
        >>> d = np.array([True, True, False, False, False, False])
        >>> found = subclassify(np.array([0.2, 0.8, 0.1, 0.3, 0.4, 0.9]), d, 2)
        >>> found.stratum.tolist(), found.weights.round(3).tolist()
        ([0, 1, 0, 0, 0, 1], [1.0, 1.0, 0.667, 0.667, 0.667, 2.0])
    """
    refuse_estimand(estimand)
    refuse_unusable(score[:, None], treated, dependent=False)
    shares = _shares(classes)
    asked = len(shares) - 1
    allowed = np.ones(len(score), bool) if eligible is None else eligible
    if not (allowed & treated).any() or not (allowed & ~treated).any():
        raise ValueError("all rows of an arm are pruned; wanted eligible rows in both arms")
    one, other = score[allowed & treated], score[allowed & ~treated]
    if one.min() > other.max() or other.min() > one.max():
        raise ValueError(
            f"no overlap: treated scores lie in [{one.min():.4g}, {one.max():.4g}], comparison scores in "
            f"[{other.min():.4g}, {other.max():.4g}]; wanted ranges that meet"
        )
    # Breaks come from every row, eligible or not, as in MatchIt.
    basis = {"att": treated, "atc": ~treated, "ate": np.ones(len(score), bool)}[estimand]
    breaks = _quantiles(score[basis], shares)
    stratum = np.full(len(score), -1, dtype=np.intp)
    stratum[allowed] = np.clip(np.searchsorted(breaks, score[allowed], side="right") - 1, 0, asked - 1)
    present, packed = np.unique(stratum[allowed], return_inverse=True)
    stratum[allowed] = packed
    before = stratum.copy()
    if minimum == 0:
        both = np.bincount(packed, treated[allowed]).astype(bool) & np.bincount(
            packed, ~treated[allowed]
        ).astype(bool)
        if not both.any():
            raise ValueError("all rows are pruned: no class holds both arms; wanted fewer classes")
        stratum[allowed] = np.where(both, both.cumsum() - 1, -1)[packed]
        moved = np.array([], dtype=np.intp)
    else:
        for arm, name in ((treated, "treated"), (~treated, "comparison")):
            rows = np.flatnonzero(allowed & arm)
            if len(rows) < len(present) * minimum:
                raise ValueError(
                    f"{len(rows)} {name} rows for {len(present)} classes of at least {minimum}; wanted fewer classes"
                )
            stratum[rows] = _filled(stratum[rows], score[rows], len(present), minimum)
        moved = np.flatnonzero(stratum != before)
    return Subclasses(
        stratum=stratum,
        weights=stratum_weights(stratum, treated, estimand),
        breaks=breaks,
        pruned=np.flatnonzero(stratum < 0),
        moved=moved,
        merged=asked - len(present),
        estimand=estimand,
    )


def _quantiles(values: Array, shares: Array) -> Array:
    """Return quantiles, a share that points at a row giving that row to the last bit.

    A share such as 3/5 is not exact, and its product with the number of rows misses a whole number by rounding; the row
    would fall on one side of its own quantile or the other as scores are scaled. R's quantile allows for the same.
    """
    place = shares * (len(values) - 1)
    whole = np.rint(place)
    place = np.where(np.abs(place - whole) < 4 * np.finfo(float).eps * np.maximum(place, 1.0), whole, place)
    below = np.floor(place).astype(np.intp)
    rows = np.sort(values)
    above = rows[np.minimum(below + 1, len(rows) - 1)]
    return np.asarray(rows[below] + (place - below) * (above - rows[below]), dtype=float)


def _shares(classes: int | Sequence[float]) -> Array:
    if isinstance(classes, (int, np.integer)):
        if classes < 2:
            raise ValueError(f"{classes} classes; wanted 2 or more")
        return np.linspace(0, 1, int(classes) + 1)
    shares = np.asarray(classes, dtype=float)
    if shares.ndim != 1 or not len(shares) or not np.all((shares >= 0) & (shares <= 1)):
        raise ValueError(f"quantiles {shares.tolist()}; wanted shares in [0, 1]")
    found = np.unique(np.concatenate([[0.0], shares, [1.0]]))
    if len(found) < 3:
        raise ValueError(f"quantiles {shares.tolist()} make one class; wanted one between 0 and 1")
    return found


def _filled(stratum: Index, score: Array, classes: int, minimum: int) -> Index:
    """Return the classes of one arm's rows after each has taken in ``minimum`` rows.

    An empty class takes its nearest row from the side that has more to spare, discounted by how far off the
    spare rows are; what a neighbour gives up is made good in turn.
    """
    stratum = stratum.copy()
    if len(stratum) == classes:
        # MatchIt deals the rows out in the order of the data; the order of scores does not depend on that.
        stratum[np.argsort(score, kind="stable")] = np.arange(classes)
        return stratum
    count = np.bincount(stratum, minlength=classes)
    for _ in range(minimum):
        while (count == 0).any():
            empty = int(np.flatnonzero(count == 0)[0])
            place = np.arange(classes)
            with np.errstate(divide="ignore", invalid="ignore"):
                spare = np.maximum(count - 1, 0) / np.abs(empty - place)
            left, right = spare[:empty].sum(), spare[empty + 1 :].sum()
            from_left = empty == classes - 1 or (empty != 0 and left >= right)
            holding = np.flatnonzero(count > 0)
            if from_left:
                giver = int(holding[holding < empty].max())
                rows = np.flatnonzero(stratum == giver)
                mover = rows[np.argmax(score[rows])]
            else:
                giver = int(holding[holding > empty].min())
                rows = np.flatnonzero(stratum == giver)
                mover = rows[np.argmin(score[rows])]
            stratum[mover] = empty
            count[giver] -= 1
            count[empty] += 1
        count -= 1
    return stratum

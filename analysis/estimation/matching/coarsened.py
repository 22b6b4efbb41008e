"""Coarsened exact matching and the multivariate L1 imbalance: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.nearest import Matches
from analysis.estimation.matching.optimal import optimal_matching
from analysis.estimation.matching.weights import Estimand, refuse_estimand, refuse_unusable, stratum_weights

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]

# "sturges", "scott", "freedman_diaconis", "quantiles_<number>", "exact", a number of bins of equal width, or
# inner cut-points.
Rule = str | int | Sequence[float] | Array


@dataclass(frozen=True, slots=True)
class CoarsenedMatches:
    """Strata of rows that agree in every coarsened covariate.

    Args:
        stratum: (n,) codes from 0, in the order of the bins, first column first; -1 for pruned rows.
        weights: (n,) as ``stratum_weights``; 0 for pruned rows.
        pruned: (m,) rows whose bins hold one arm alone.
        cuts: inner cut-points of each column; a value equal to one belongs to the bin above it. None for a
            column matched exactly.
        bins: (n, k) bin of each value, from 0.
        imbalance: L1 over these very bins before and after matching (after: 0 up to rounding, for whom the
            estimand averages over).
        estimand: "att", "atc" or "ate", among the rows kept.
        pairs: the rows kept one to one; None without ``pair_in``.
    """

    stratum: Index
    weights: Array
    pruned: Index
    cuts: tuple[Array | None, ...]
    bins: Index
    imbalance: tuple[float, float]
    estimand: Estimand
    pairs: Matches | None


def cut_points(column: Array, rule: Rule) -> Array | None:
    """Return the inner cut-points by which a column is coarsened, ascending; None to match it exactly.

    Args:
        column: (n,) values of all rows.
        rule: "sturges", "scott" or "freedman_diaconis": that many bins of equal width from the smallest to
            the largest value; an integer: as many; "quantiles_5": cut at the fifths; cut-points: taken as
            given; "exact": none.

    Raises:
        ValueError: a rule that is none of these, or cut-points that are missing.

    Source: Sturges (1926); Scott (1979); Freedman and Diaconis (1981), each as R's nclass functions count.

    Example:
        >>> cut_points(np.array([0.0, 1.0, 2.0, 4.0]), 4).tolist(), cut_points(np.arange(5.0), "quantiles_2")
        ([1.0, 2.0, 3.0], array([2.]))
    """
    if isinstance(rule, str):
        if rule == "exact":
            return None
        if rule.startswith("quantiles_") and rule[10:].isdigit() and int(rule[10:]) >= 1:
            shares = np.arange(1, int(rule[10:])) / int(rule[10:])
            return np.unique(np.quantile(column, shares))
        if rule not in _COUNTS:
            raise ValueError(
                f'rule "{rule}"; wanted sturges, scott, freedman_diaconis, quantiles_<number>, exact, a number '
                "of bins or cut-points"
            )
        rule = _COUNTS[rule](column)
    if isinstance(rule, (int, np.integer)):
        if rule < 1:
            raise ValueError(f"{rule} bins; wanted 1 or more")
        return np.linspace(column.min(), column.max(), int(rule) + 1)[1:-1]
    cuts = np.unique(np.asarray(rule, dtype=float))
    if cuts.ndim != 1 or not np.all(np.isfinite(cuts)):
        raise ValueError(f"cut-points {np.asarray(rule).tolist()}; wanted finite numbers")
    return cuts


def coarsened_exact_matching(
    x: Array,
    treated: Bool,
    rules: Rule | Sequence[Rule] = "sturges",
    *,
    estimand: Estimand = "att",
    groups: NDArray[Any] | None = None,
    pair_in: Array | None = None,
) -> CoarsenedMatches:
    """Match rows exactly on coarsened covariates; rows whose stratum lacks an arm are pruned and listed.

    The estimand is that of the rows kept: where treated rows are pruned it is no longer the average effect on
    all treated rows, and moves with the bins.

    Args:
        x: (n, k) covariates.
        treated: (n,) bool.
        rules: one of ``cut_points`` for all columns, or a list or tuple with one a column. Cut-points for a
            single column stand in a list of their own: ``[[0.5, 1.5]]``.
        estimand: whom the strata are averaged over.
        groups: (n,) or (n, g) codes, numbers or text, that must agree exactly besides; None for none.
        pair_in: (n, c) coordinates: in every stratum as many rows of the larger arm are kept as the smaller
            has, those whose pairs lie nearest in total (MatchIt's "k2k", with the least total distance instead
            of turns), and all weights kept are 1; None to keep all.

    Raises:
        ValueError: missing values, a constant covariate, an empty arm, a rule unknown or rules of another
            number than columns; an unknown estimand; all rows pruned.

    Assumption: within a stratum treatment is as good as random; nothing is assumed between strata.

    Source: Iacus, King and Porro (2012), Political Analysis 20(1); weights as in MatchIt's method "cem".

    Example:
        >>> x = np.array([[0.1], [0.2], [0.9], [0.8], [2.0]])
        >>> m = coarsened_exact_matching(x, np.array([True, False, True, False, False]), [[0.5, 1.5]])
        >>> m.stratum.tolist(), m.weights.tolist(), m.pruned.tolist()
        ([0, 0, 1, 1, -1], [1.0, 1.0, 1.0, 1.0, 0.0], [4])
    """
    refuse_estimand(estimand)
    refuse_unusable(x, treated, dependent=False)
    cuts = _cuts(x, rules)
    bins = _bins(x, cuts)
    keys = bins if groups is None else np.column_stack([bins, _group_codes(groups, len(x))])
    cell = _cells(keys)
    both = np.bincount(cell, treated).astype(bool) & np.bincount(cell, ~treated).astype(bool)
    if not both.any():
        raise ValueError(
            f"no overlap: all {len(x)} rows are pruned, since none of {len(both)} strata holds both arms; wanted wider "
            "bins or fewer columns"
        )
    number = np.where(both, both.cumsum() - 1, -1)
    stratum = number[cell]
    pairs = None
    if pair_in is not None:
        stratum, pairs = _paired(stratum, treated, pair_in)
    weights = stratum_weights(stratum, treated, estimand)
    before = _l1(cell, treated, np.ones(len(x)))
    return CoarsenedMatches(
        stratum,
        weights,
        np.flatnonzero(stratum < 0),
        cuts,
        bins,
        (before, _l1(cell, treated, weights)),
        estimand,
        pairs,
    )


def l1_imbalance(
    x: Array, treated: Bool, weights: Array | None = None, rules: Rule | Sequence[Rule] = "scott"
) -> float:
    """Return the multivariate L1 imbalance, in [0, 1]: 0 for equal histograms, 1 for no cell in common.

    Half the sum, over the cells of a k-dimensional histogram, of absolute differences between the arms'
    relative frequencies. It depends on the bins, so compare samples under one set of cut-points made from all
    rows, and not with the bins a matching itself used.

    Args:
        x: (n, k) covariates of every row, matched or not: cut-points come from all of them.
        treated: (n,) bool.
        weights: (n,) of the matched sample; None for ones.
        rules: as in ``coarsened_exact_matching``.

    Raises:
        ValueError: missing values, an empty arm, an unknown rule, or no weight above 0 in an arm.

    Source: Iacus, King and Porro (2011), Journal of the American Statistical Association 106(493).

    Example:
        >>> x, d = np.array([[0.0], [1.0], [0.0], [0.0]]), np.array([True, True, False, False])
        >>> l1_imbalance(x, d, rules="exact")
        0.5
    """
    refuse_unusable(x, treated, constant=False, dependent=False)
    weights = np.ones(len(x)) if weights is None else weights
    if weights.shape != treated.shape or not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise ValueError("a weight is negative or missing; wanted one of 0 or more for every row")
    if not (weights[treated].sum() > 0 and weights[~treated].sum() > 0):
        raise ValueError("all units of an arm are pruned; wanted a weight above 0 in both arms")
    return _l1(_cells(_bins(x, _cuts(x, rules))), treated, weights)


def _sturges(column: Array) -> int:
    return int(np.ceil(np.log2(len(column)) + 1))


def _scott(column: Array) -> int:
    width = 3.5 * column.std(ddof=1) * len(column) ** (-1 / 3)
    return max(1, int(np.ceil(np.ptp(column) / width))) if width > 0 else 1


def _freedman_diaconis(column: Array) -> int:
    # Five significant digits first, and wider quantile gaps where half the values are equal, as R does.
    with np.errstate(divide="ignore"):
        digits = 4 - np.floor(np.log10(np.abs(column, where=column != 0, out=np.ones_like(column))))
    rounded = np.round(column * 10**digits) / 10**digits
    low, high = np.quantile(rounded, [0.25, 0.75])
    width, tail = 2 * (high - low), 1 / 4
    while width == 0 and tail / 2 >= 1 / 512:
        tail /= 2
        low, high = np.quantile(rounded, [tail, 1 - tail])
        width = (high - low) / (1 - 2 * tail)
    if width == 0:
        width = 3.5 * column.std(ddof=1)
    return int(np.ceil(np.ptp(column) / width * len(column) ** (1 / 3))) if width > 0 else 1


_COUNTS = {"sturges": _sturges, "scott": _scott, "freedman_diaconis": _freedman_diaconis}


def _cuts(x: Array, rules: Rule | Sequence[Rule]) -> tuple[Array | None, ...]:
    if isinstance(rules, (str, int, np.integer)):
        return tuple(cut_points(column, rules) for column in x.T)
    if len(rules) != x.shape[1]:
        raise ValueError(f"{len(rules)} rules for {x.shape[1]} columns; wanted one for all or one each")
    return tuple(cut_points(column, rule) for column, rule in zip(x.T, rules, strict=True))


def _bins(x: Array, cuts: tuple[Array | None, ...]) -> Index:
    parts = [
        np.unique(column, return_inverse=True)[1]
        if cut is None
        else np.searchsorted(cut, column, side="right")
        for column, cut in zip(x.T, cuts, strict=True)
    ]
    return np.column_stack(parts).astype(np.intp)


def _paired(stratum: Index, treated: Bool, coordinates: Array) -> tuple[Index, Matches]:
    """Return strata with the rows that are not in a pair taken out, and the pairs."""
    if coordinates.ndim != 2 or len(coordinates) != len(stratum):
        raise ValueError(f"pair_in {coordinates.shape} for {len(stratum)} rows; wanted (n, c)")
    rows = np.flatnonzero(stratum >= 0)
    found = optimal_matching(coordinates[rows], treated[rows], strata=stratum[rows], short="drop")
    one, other = rows[found.treated], rows[found.comparison]
    kept = np.full(len(stratum), -1, dtype=np.intp)
    kept[one], kept[other] = stratum[one], stratum[other]
    dropped = np.setdiff1d(np.flatnonzero(treated), one)
    return kept, Matches(one, other, found.share, found.distance, dropped)


def _group_codes(groups: NDArray[Any], n: int) -> Index:
    if len(groups) != n:
        raise ValueError(f"groups {groups.shape} for {n} rows; wanted one a row")
    columns = groups.reshape(n, -1)
    # Missing values are those that differ from themselves, and None.
    missing = int(((columns != columns) | (columns == None)).any(axis=1).sum())  # noqa: E711 - elementwise
    if missing:
        raise ValueError(f"a group code is missing in {missing} rows; wanted one for every row")
    return np.column_stack([np.unique(c, return_inverse=True)[1] for c in columns.T]).astype(np.intp)


def _cells(keys: Index) -> Index:
    """Return a code for each distinct row of ``keys``, (n,), in lexicographic order."""
    code = np.zeros(len(keys), dtype=np.intp)
    for column in keys.T:
        # Codes are packed after each column, so that the product of bin numbers cannot overflow.
        code = np.unique(code * (int(column.max()) + 1) + column, return_inverse=True)[1]
    return code


def _l1(cell: Index, treated: Bool, weights: Array) -> float:
    of_treated = np.bincount(cell, weights * treated)
    of_comparison = np.bincount(cell, weights * ~treated)
    return float(np.abs(of_treated / of_treated.sum() - of_comparison / of_comparison.sum()).sum() / 2)

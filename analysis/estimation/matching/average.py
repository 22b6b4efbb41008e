"""Matched averages beyond the treated, and matched sets of any shape: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.nearest import Matches, pairs_of_sets
from analysis.estimation.matching.variance import (
    Of,
    comparison_regression,
    matched_difference,
    squared_shares,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AverageEffect:
    """The average effect over all rows, each against its matches in the other arm.

    Args:
        estimate: the weighted mean of ``effects``.
        effects: (m,) of each matched row, treated minus comparison, in the order of ``rows``.
        rows: (m,) matched rows of both arms.
        weight: (m,) their weights.
        reuse: (n,) sum of weighted shares in which a row stands as a match (K).
        squares: (n,) sum of their squares (K2).
        counted: whether a row of weight w enters the variance as w rows, here in ``squares``.
    """

    estimate: float
    effects: Array
    rows: NDArray[np.intp]
    weight: Array
    reuse: Array
    squares: Array
    counted: bool = False


def set_matches(
    sets: NDArray[np.intp], treated: NDArray[np.bool_], coordinates: Array | None = None
) -> Matches:
    """Return matched sets of any shape (pairs, k:1, full matching, cells, subclasses) as matches.

    Each treated row of a set is matched to all of its comparison rows in equal shares, so that
    ``matched_difference`` gives the average over the treated, its bias adjustment and its influence. For the
    average over comparison rows, pass ``~treated`` and turn the sign.

    Args:
        sets: (n,) code of the set; -1 outside.
        treated: (n,) bool.
        coordinates: (n, k) in which the pairs' squared distances are given; None where none was measured.

    Returns:
        Matches, distance missing without coordinates; treated rows outside any set, or in a set without a comparison row,
        are listed as dropped.

    Raises:
        ValueError: no set holds both arms.

    Source: Hansen (2004), JASA 99(467), for weights of full matching over the treated.

    Example:
        >>> m = set_matches(np.array([0, 0, 0, -1]), np.array([True, False, False, True]))
        >>> m.comparison.tolist(), m.share.tolist(), m.dropped.tolist()
        ([1, 2], [0.5, 0.5], [3])
    """
    one, other, share, dropped = pairs_of_sets(sets, treated)
    if not len(one):
        raise ValueError("no set holds a treated and a comparison row")
    if coordinates is None:
        distance = np.full(len(one), np.nan)
    else:
        distance = ((coordinates[one] - coordinates[other]) ** 2).sum(axis=1)
    return Matches(one, other, share, distance, dropped)


def average_effect(
    y: Array,
    of_treated: Matches,
    of_comparison: Matches,
    weights: Array,
    adjust: Array | None = None,
    *,
    counted: bool = False,
) -> AverageEffect:
    """Return the average effect over treated and comparison rows together.

    Args:
        y: (n,) outcome.
        of_treated: matches of treated rows among comparison rows.
        of_comparison: matches of comparison rows among treated rows: the same call with ``~treated``.
        weights: (n,) weights in the average.
        adjust: (n, q) covariates of the bias adjustment, a regression in each arm weighted by K; or None.
        counted: how weights enter the variance, as in ``abadie_imbens_variance``.

    Raises:
        ValueError: an arm cannot carry the bias adjustment, or the two matches are not of opposite arms.

    Assumption: no unmeasured confounding; overlap in both directions. Where rows were dropped the average is
        over those matched, and the estimand must be named so.

    Source: Abadie and Imbens (2006), Econometrica 74(1); (2011), JBES 29(1).

    Example:
        >>> one = Matches(np.array([0]), np.array([1]), np.array([1.0]), np.array([0.0]), np.array([], int))
        >>> two = Matches(np.array([1]), np.array([0]), np.array([1.0]), np.array([0.0]), np.array([], int))
        >>> average_effect(np.array([5.0, 3.0]), one, two, np.ones(2)).estimate
        2.0
    """
    if np.intersect1d(of_treated.treated, of_comparison.treated).size:
        raise ValueError("the same row is treated in both directions; wanted matches of opposite arms")
    up = matched_difference(y, of_treated, weights, adjust)
    down = matched_difference(y, of_comparison, weights, adjust)
    weight = np.concatenate([up.weight, down.weight])
    effects = np.concatenate([up.effects, -down.effects])
    reuse = of_treated.comparison_weights(weights) + of_comparison.comparison_weights(weights)
    squares = squared_shares(of_treated, weights, counted) + squared_shares(of_comparison, weights, counted)
    return AverageEffect(
        float(np.average(effects, weights=weight)),
        effects,
        np.concatenate([up.rows, down.rows]),
        weight,
        reuse,
        squares,
        counted,
    )


def average_effect_variance(
    average: AverageEffect, conditional: Array | float, *, of: Of = "population"
) -> float:
    """Return the Abadie-Imbens variance of the average effect over all rows.

    Args:
        average: from ``average_effect``.
        conditional: variance of the outcome given covariates, one for all or (n,).
        of: "population" from which rows are drawn, or the "sample" at hand, its covariates taken as given.

    Returns:
        "population": sum_i w_i^2 (effect_i - estimate)^2 / W^2
        + sum_j conditional_j (K_j^2 + 2 w_j K_j - K2_j) / W^2. Where weights are ``counted``, as Match has it: w_i
        for w_i^2, here and in K2, and 1 for the w_j that goes with K_j.
        "sample": sum_j conditional_j (w_j + K_j)^2 / W^2.

    Assumption: counties are assigned independently of each other.

    Source: Abadie and Imbens (2006), theorems 6 and 7.
    """
    total = average.weight.sum()
    own = np.zeros(len(average.reuse))
    own[average.rows] = average.weight
    given = np.broadcast_to(conditional, own.shape)
    if of == "sample":
        return float((given * (own + average.reuse) ** 2).sum() / total**2)
    entering = average.weight if average.counted else average.weight**2
    spread = (entering * (average.effects - average.estimate) ** 2).sum()
    beside = (own > 0) if average.counted else own
    room = average.reuse**2 + 2 * beside * average.reuse - average.squares
    return float((spread + (given * room).sum()) / total**2)


def average_homoskedastic_variance(
    y: Array,
    of_treated: Matches,
    of_comparison: Matches,
    weights: Array,
    estimate: float,
    adjust: Array | None = None,
) -> float:
    """Return half the mean squared deviation of pair differences from the estimate: one variance for all.

    Args:
        y: (n,) outcome.
        of_treated: as in ``average_effect``.
        of_comparison: as in ``average_effect``.
        weights: (n,) weights in the average.
        estimate: the average effect.
        adjust: (n, q) covariates of the bias adjustment, so that pair differences are adjusted too; or None.
    """
    gaps, shares = [], []
    for m, sign in ((of_treated, 1.0), (of_comparison, -1.0)):
        outcome = y
        if adjust is not None:
            outcome = y - adjust @ comparison_regression(y, m.comparison_weights(weights), adjust)[0][1:]
        gaps.append(sign * (outcome[m.treated] - outcome[m.comparison]) - estimate)
        shares.append(m.share * weights[m.treated])
    return float(0.5 * np.average(np.concatenate(gaps) ** 2, weights=np.concatenate(shares)))

"""p-values for a declared family of estimates: arrays in, arrays out.

Estimates of a family share counties and states, so they move together. Their joint distribution comes from
draws of one multiplier a state for all of them at once; what a county adds to an estimate whose sample it is not
in is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.inference import (
    Multiplier,
    cluster_sums,
    draw_multipliers,
    few_cluster_multiplier,
    two_sided_p,
)

Array = NDArray[np.float64]
Labels = NDArray[np.generic]

# Draws held at once.
BLOCK = 20_000


@dataclass(frozen=True, slots=True)
class Family:
    """p-values of a family of estimates.

    A missing estimate, or one without an error, has missing p-values and takes no part in the others'.

    Args:
        statistic: (k,) estimate over cluster-robust standard error.
        p_value: (k,) of each alone, two-sided, by Student's t.
        romano_wolf: (k,) adjusted for the family by stepping down through joint draws.
        holm: (k,) adjusted for the family without use of the dependence.
        benjamini_hochberg: (k,) adjusted for the share of false rejections among rejections.
        draws: joint draws.
        clusters: number of clusters of the whole family.
        multiplier: kind of multipliers.
    """

    statistic: Array
    p_value: Array
    romano_wolf: Array
    holm: Array
    benjamini_hochberg: Array
    draws: int
    clusters: int
    multiplier: Multiplier


def align_influence(influences: Sequence[Array], counties: Sequence[Labels]) -> tuple[Array, Labels]:
    """Return contributions of several samples side by side, (n, k), over all counties of any, and those.

    Args:
        influences: (n_j,) or (n_j, k_j) each; their columns follow one another.
        counties: (n_j,) labels each, no label twice.

    Raises:
        ValueError: a county that occurs twice in a sample, or lengths that differ.

    Example:
        >>> psi, counties = align_influence(
        ...     [np.array([1.0, 2.0]), np.array([3.0])], [np.array(["a", "b"]), np.array(["b"])]
        ... )
        >>> psi.tolist(), counties.tolist()
        ([[1.0, 0.0], [2.0, 3.0]], ['a', 'b'])
    """
    union = np.unique(np.concatenate([np.asarray(labels) for labels in counties]))
    columns = []
    for influence, labels in zip(influences, counties, strict=True):
        part = np.asarray(influence, dtype=float).reshape(len(influence), -1)
        if len(part) != len(labels) or len(np.unique(labels)) < len(labels):
            raise ValueError(
                f"{len(part)} contributions of {len(labels)} counties, {len(np.unique(labels))} different; "
                "wanted one a county"
            )
        out = np.zeros((len(union), part.shape[1]))
        out[np.searchsorted(union, labels)] = part
        columns.append(out)
    return np.hstack(columns), union


def joint_statistics(
    influence: Array, clusters: Labels, *, draws: int, seed: int | np.random.Generator, df: float
) -> Array:
    """Return joint draws of t statistics under no effect on any estimate, (draws, k).

    Each draw gives every cluster one multiplier, sums each estimate's contributions with them and divides by its
    standard error; a draw is divided by the root of a chi-squared draw over its degrees of freedom, as a t
    statistic is, so that with few clusters tails are not too short.

    Args:
        influence: (n, k) contributions on one list of counties.
        clusters: (n,) labels.
        draws: number of draws.
        seed: of the generator, or the generator.
        df: degrees of freedom; infinite for none.

    Returns:
        Missing columns for estimates with missing contributions or without variance.

    Raises:
        ValueError: no draws, or fewer than two clusters.

    Assumption: clusters independent, and many beside the number that carry an estimate.

    Example:
        >>> t = joint_statistics(np.eye(30), np.arange(30), draws=5, seed=1, df=29)
        >>> t.shape
        (5, 30)
    """
    if draws < 1:
        raise ValueError("joint statistics need draws")
    sums = cluster_sums(influence, clusters)
    if len(sums) < 2:
        raise ValueError("at least two clusters are needed")
    rng = np.random.default_rng(seed)
    error = np.sqrt((sums**2).sum(axis=0))
    scaled = sums / np.where(error > 0, error, np.nan)
    kind = few_cluster_multiplier(len(sums))
    parts = []
    for start in range(0, draws, BLOCK):
        size = min(BLOCK, draws - start)
        part = draw_multipliers(size, len(sums), rng, kind) @ scaled
        if np.isfinite(df):
            part /= np.sqrt(rng.chisquare(df, size) / df)[:, None]
        parts.append(part)
    return np.concatenate(parts)


def step_down(statistic: Array, drawn: Array) -> Array:
    """Return Romano and Wolf's adjusted p-values, (k,), two-sided.

    The largest statistic is compared with the largest of all in each draw, the next with the largest of those
    not yet passed, and so on; p-values never fall along the way.

    Args:
        statistic: (k,) observed; missing ones take no part.
        drawn: (draws, k) centred at no effect, jointly drawn (``joint_statistics``, a bootstrap, or
            reassignments); a missing draw counts as extreme.

    Returns:
        (1 + draws as extreme) / (1 + draws), made monotone; missing where the statistic is.

    Raises:
        ValueError: shapes that do not fit.

    Assumption: the draws have the joint distribution of the statistics where hypotheses hold; then the chance of
        any false rejection in the family is at most the level, whichever hypotheses are true.

    Source: Romano and Wolf (2005), Econometrica 73(4); (2016), Statistics and Probability Letters 113, for
        p-values.

    Example:
        >>> drawn = np.array([[0.5, 0.1], [2.5, 0.2], [0.3, 1.5]])
        >>> step_down(np.array([2.0, 1.0]), drawn).tolist()
        [0.5, 0.5]
    """
    statistic, drawn = np.asarray(statistic, dtype=float), np.asarray(drawn, dtype=float)
    if drawn.ndim != 2 or drawn.shape[1:] != statistic.shape:
        raise ValueError(f"{statistic.shape} statistics, draws {drawn.shape}; wanted (k,) and (draws, k)")
    out = np.full(len(statistic), np.nan)
    usable = np.flatnonzero(np.isfinite(statistic))
    order = usable[np.argsort(-np.abs(statistic[usable]), kind="stable")]
    size = np.abs(drawn[:, order])
    size[np.isnan(size)] = np.inf
    # Column j: the largest of those from place j on.
    largest = np.maximum.accumulate(size[:, ::-1], axis=1)[:, ::-1]
    extreme = (largest >= np.abs(statistic[order]) * (1 - 1e-12)).sum(axis=0)
    out[order] = np.maximum.accumulate((1 + extreme) / (1 + len(drawn)))
    return out


def holm(p_value: Array) -> Array:
    """Return Holm's adjusted p-values, (k,); missing ones take no part.

    Source: Holm (1979), Scandinavian Journal of Statistics 6(2).

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    out, order = _ordered(p_value)
    n = len(order)
    out[order] = np.minimum(np.maximum.accumulate((n - np.arange(n)) * p_value[order]), 1.0)
    return out


def benjamini_hochberg(p_value: Array) -> Array:
    """Return Benjamini and Hochberg's adjusted p-values, (k,); missing ones take no part.

    Assumption: statistics independent or positively dependent.

    Source: Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57(1).

    Example:
        >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    out, order = _ordered(p_value)
    n = len(order)
    scaled = n / (1 + np.arange(n)) * p_value[order]
    out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out


def _ordered(p_value: Array) -> tuple[Array, NDArray[np.intp]]:
    usable = np.flatnonzero(np.isfinite(p_value))
    return np.full(len(p_value), np.nan), usable[np.argsort(p_value[usable], kind="stable")]


def family(
    estimate: Array,
    influence: Array,
    clusters: Labels,
    *,
    draws: int,
    seed: int,
    df: float,
    std_error: Array | None = None,
) -> Family:
    """Return p-values of a declared family of estimates, alone and adjusted.

    Args:
        estimate: (k,) from samples that may differ.
        influence: (n, k) contributions on one list of counties (``align_influence``), zero outside a sample.
        clusters: (n,) labels.
        draws: joint draws.
        seed: of the generator.
        df: degrees of freedom of Student's t; infinite for the normal.
        std_error: (k,) where it is not the cluster-robust one of ``influence`` (CR2 for instance); None for
            that, with G / (G - 1) and G the clusters that enter the estimate.

    Raises:
        ValueError: as ``joint_statistics``.

    Assumption: clusters independent and many; the family was declared before it was looked at.

    Source: Romano and Wolf (2005, 2016); Holm (1979); Benjamini and Hochberg (1995).

    Example:
        >>> psi = np.random.default_rng(0).normal(size=(60, 3)) / 60
        >>> found = family(np.array([0.6, 0.1, np.nan]), psi, np.arange(60), draws=999, seed=1, df=59)
        >>> bool(found.romano_wolf[0] < 0.05), bool(found.romano_wolf[1] >= found.p_value[1])
        (True, True)
    """
    if std_error is None:
        sums = cluster_sums(influence, clusters)
        inside = (sums != 0).sum(axis=0)
        factor = inside / np.where(inside > 1, inside - 1, np.nan)
        std_error = np.sqrt(factor * (sums**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(std_error > 0, estimate / std_error, np.nan)
    drawn = joint_statistics(influence, clusters, draws=draws, seed=seed, df=df)
    # An estimate whose contributions are missing cannot be drawn.
    statistic = np.where(np.isnan(drawn).all(axis=0), np.nan, statistic)
    p_value = two_sided_p(statistic, df)
    g = len(np.unique(clusters))
    return Family(
        statistic=statistic,
        p_value=p_value,
        romano_wolf=step_down(statistic, drawn),
        holm=holm(p_value),
        benjamini_hochberg=benjamini_hochberg(p_value),
        draws=draws,
        clusters=g,
        multiplier=few_cluster_multiplier(g),
    )

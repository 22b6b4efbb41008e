"""The bootstrap of whole states, where it is valid; a refusal with the reason where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Estimator = Literal[
    "weighting",
    "regression",
    "doubly_robust",
    "subclassification",
    "matched_sample",
    "nearest_with_replacement",
    "rematched_without_replacement",
    "optimal",
    "coarsened_exact",
    "genetic",
    "cardinality",
]

# Asymptotically linear estimators, and a matched sample whose sets are kept together.
VALID: dict[str, str] = {
    "weighting": "smooth in the sample: weights are estimated again in each draw",
    "regression": "smooth in the sample",
    "doubly_robust": "smooth in the sample: both models are estimated again in each draw",
    "subclassification": "smooth in the sample when the strata's bounds are quantiles of a fitted score",
    "matched_sample": "whole matched sets are drawn and not matched again (Abadie and Spiess 2022); the "
    "clusters must not cut a set",
}
REFUSED: dict[str, str] = {
    "nearest_with_replacement": "the number of times a row serves as a match is not reproduced by "
    "resampling: the bootstrap's variance is wrong in any sample size (Abadie and Imbens 2008); use the "
    "Abadie-Imbens variance, or cluster the matched regression by state",
    "rematched_without_replacement": "matching a resample again, where rows occur twice, is not known to "
    "reproduce the error; draw whole matched sets instead (estimator = matched_sample)",
    "optimal": "no result says that matching a resample again reproduces its error; draw whole matched sets "
    "instead (estimator = matched_sample)",
    "coarsened_exact": "rows move in and out of common support from one resample to the next, and with them "
    "the estimand; cluster the weighted regression instead",
    "genetic": "it is nearest-neighbour matching under weights found by search: as with replacement, the "
    "bootstrap is wrong (Abadie and Imbens 2008)",
    "cardinality": "no result says that matching a resample again reproduces its error; draw whole matched "
    "sets instead (estimator = matched_sample)",
}


@dataclass(frozen=True, slots=True)
class StateBootstrap:
    """Draws of an estimate from resampled clusters.

    Args:
        estimates: (draws,) missing where the resample could not be estimated.
        std_error: their standard deviation.
        conf_low: lower percentile bound.
        conf_high: upper percentile bound.
        failed: draws that could not be estimated.
        clusters: clusters resampled.
    """

    estimates: Array
    std_error: float
    conf_low: float
    conf_high: float
    failed: int
    clusters: int


def cluster_bootstrap(
    statistic: Callable[[Index], float],
    clusters: NDArray[np.generic],
    estimator: Estimator,
    *,
    draws: int,
    seed: int,
    level: float = 0.95,
    sets: NDArray[np.intp] | None = None,
    allow_failed: float = 0.05,
) -> StateBootstrap:
    """Resample whole clusters with replacement and estimate again.

    Args:
        statistic: from the rows of a resample (a row may occur several times) to the estimate; it raises
            ValueError where there is none.
        clusters: (n,) labels, states as a rule.
        estimator: what ``statistic`` computes; decides whether the bootstrap is valid.
        draws: resamples, at least 2.
        seed: of the generator.
        level: of the percentile interval.
        sets: (n,) matched sets of a matched sample, -1 outside; a set that two clusters share is refused.
        allow_failed: largest share of draws without an estimate; beyond it the rest are a selected sample.

    Raises:
        ValueError: an estimator for which the bootstrap fails, with the reason; fewer than two draws or
            clusters; matched sets cut by clusters; too many draws without an estimate.

    Assumption: clusters are drawn independently of each other, and are many.

    Source: Abadie and Imbens (2008), Econometrica 76(6); Abadie and Spiess (2022), JASA 117(538); Cameron,
        Gelbach and Miller (2008), Review of Economics and Statistics 90(3).

    Example:
        >>> y, states = np.array([1.0, 2.0, 3.0, 4.0]), np.array(["IA", "IA", "OR", "WA"])
        >>> cluster_bootstrap(lambda rows: y[rows].mean(), states, "regression", draws=99, seed=1).clusters
        3
    """
    if estimator in REFUSED:
        raise ValueError(f"no bootstrap for {estimator}: {REFUSED[estimator]}")
    if estimator not in VALID:
        raise ValueError(f"estimator = {estimator!r}; wanted one of {', '.join(VALID)}")
    labels, at = np.unique(clusters, return_inverse=True)
    if draws < 2 or len(labels) < 2:
        raise ValueError(f"{draws} draws of {len(labels)} clusters; wanted at least two of each")
    if not 0 < level < 1:
        raise ValueError(f"level = {level}; wanted a share between 0 and 1")
    if estimator == "matched_sample":
        _refuse_cut_sets(sets, at)
    members = np.split(np.argsort(at, kind="stable"), np.cumsum(np.bincount(at))[:-1])
    rng = np.random.default_rng(seed)
    found = np.full(draws, np.nan)
    for draw in range(draws):
        chosen = np.concatenate([members[g] for g in rng.integers(len(labels), size=len(labels))])
        try:
            found[draw] = statistic(chosen)
        except ValueError:
            continue
    kept = found[np.isfinite(found)]
    failed = draws - len(kept)
    if failed > allow_failed * draws or len(kept) < 2:
        raise ValueError(
            f"{failed} of {draws} resamples gave no estimate; wanted no more than {allow_failed:.0%}: too few "
            "clusters hold treated rows"
        )
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return StateBootstrap(found, float(kept.std(ddof=1)), float(low), float(high), failed, len(labels))


def _refuse_cut_sets(sets: NDArray[np.intp] | None, at: Index) -> None:
    if sets is None:
        raise ValueError("a matched sample is resampled by its sets; wanted their codes")
    inside = sets >= 0
    pairs = np.unique(np.column_stack([sets[inside], at[inside]]), axis=0)
    cut = len(pairs) - len(np.unique(pairs[:, 0]))
    if cut:
        raise ValueError(
            f"{cut} matched sets reach over several clusters; wanted sets within clusters (match exactly on the "
            "cluster), or the two-way clustered regression"
        )

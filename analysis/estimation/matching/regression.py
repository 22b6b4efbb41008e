"""Regression on a matched or weighted sample, with contributions that can be clustered at any level.

Matches and weights are taken as given. Influence rows follow `analysis.estimation.inference`: a row's
contribution to the error, so that a cluster-robust variance is G / (G - 1) times the squared cluster sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.inference import cluster_variance
from analysis.estimation.matching.nearest import Matches

Array = NDArray[np.float64]
Labels = NDArray[np.generic]
Estimand = Literal["att", "atc", "ate"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect and each row's contribution to its error.

    Args:
        estimate: in units of the outcome.
        influence: (n,) contributions; 0 for rows that do not enter.
        estimand: average over treated rows, over comparison rows, over all; or "coefficient" of a regression
            without interactions, which averages over neither when effects differ.
    """

    estimate: float
    influence: Array
    estimand: Literal["att", "atc", "ate", "coefficient"]


def pair_labels(matches: Matches, n: int) -> NDArray[np.intp]:
    """Return the label of each row's matched set, (n,): its treated row, -1 outside the matched sample.

    Args:
        matches: without replacement.
        n: rows of the sample.

    Raises:
        ValueError: a comparison row serves several treated rows, so that sets are no clusters.

    Example:
        >>> m = Matches(np.array([0]), np.array([2]), np.array([1.0]), np.array([0.0]), np.array([1]))
        >>> pair_labels(m, 4).tolist()
        [0, -1, 0, -1]
    """
    rows, times = np.unique(matches.comparison, return_counts=True)
    if len(rows) and times.max() > 1:
        raise ValueError(
            f"comparison row {int(rows[np.argmax(times)])} serves {int(times.max())} treated rows; errors "
            "clustered by pair are for matching without replacement (Abadie and Spiess 2022)"
        )
    out = np.full(n, -1, dtype=np.intp)
    out[matches.treated] = matches.treated
    out[matches.comparison] = matches.treated
    return out


def matched_regression(
    y: Array, treated: NDArray[np.bool_], weights: Array, covariates: Array | None = None
) -> Effect:
    """Regress the outcome on treatment, and covariates if given, by weighted least squares.

    Args:
        y: (n,) outcome.
        treated: (n,) bool.
        weights: (n,) of the matched sample; rows with weight 0 do not enter.
        covariates: (n, q); None for the plain difference of weighted means.

    Returns:
        The coefficient of treatment. Its influence carries the root of (N - 1) / (N - k), so that
        ``matched_variance`` equals ``vcovCL(type = "HC1")`` of the R package sandwich.

    Raises:
        ValueError: no treated or comparison row has weight, fewer rows than coefficients, dependent
            covariates, a missing value.

    Assumption: within matched sets treatment is as good as random. Clustered by pair, errors are right after
        matching without replacement even where the regression is misspecified; errors that ignore the pairs
        are not. Pairs are assumed independent of one another: cluster by state where counties move together.

    Source: Abadie and Spiess (2022), Journal of the American Statistical Association 117(538).

    Example:
        >>> y, d = np.array([5.0, 3.0, 2.0, 2.0]), np.array([True, True, False, False])
        >>> round(matched_regression(y, d, np.ones(4)).estimate, 9)
        2.0
    """
    used = rows_used(y, treated, weights, covariates)
    z = np.column_stack([treated.astype(float), np.ones(len(y))])
    if covariates is not None:
        z = np.column_stack([z, np.where(used[:, None], covariates, 0.0)])
    y = np.where(used, y, 0.0)
    inverse, beta, residual = weighted_least_squares(z, y, np.where(used, weights, 0.0))
    n, k = int(used.sum()), z.shape[1]
    psi = (z @ inverse[0]) * np.where(used, weights, 0.0) * residual * np.sqrt((n - 1) / (n - k))
    return Effect(float(beta[0]), psi, "coefficient")


def regression_adjustment(
    y: Array,
    treated: NDArray[np.bool_],
    covariates: Array,
    weights: Array | None = None,
    estimand: Estimand = "att",
    averaged: Array | None = None,
) -> Effect:
    """Predict the outcome not seen by a regression in the other arm, and average the difference.

    Args:
        y: (n,) outcome.
        treated: (n,) bool.
        covariates: (n, q), without a constant.
        weights: (n,) of a matched or weighted sample, taken as given; None for ones. They weight the
            regressions.
        estimand: the rows averaged over: treated, comparison or all with weight.
        averaged: (n,) weights of the average, where they are not those of the regressions: a matched sample
            weighs a row for the others it stands for, an average each row for itself. None for ``weights``.

    Returns:
        The effect. The influence counts the fit of the regressions and the sampling of the covariates
        averaged over; no small-sample factor.

    Raises:
        ValueError: as in ``matched_regression``; the regression is refused arm by arm.

    Assumption: no unmeasured confounding, and means linear in the covariates within the arm that predicts
        (or weights that balance the covariates).

    Source: Lin (2013), Annals of Applied Statistics 7(1); Imbens and Wooldridge (2009), JEL 47(1).

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0], [1.0], [2.0]])
        >>> y = np.array([0.0, 1.0, 2.0, 4.0, 5.0])
        >>> round(regression_adjustment(y, np.array([False, False, False, True, True]), x).estimate, 9)
        3.0
    """
    w = np.ones(len(y)) if weights is None else weights
    used = rows_used(y, treated, w, covariates)
    w = np.where(used, w, 0.0)
    # The zeros keep what rows outside miss from spreading.
    y, z = (
        np.where(used, y, 0.0),
        np.column_stack([np.ones(len(y)), np.where(used[:, None], covariates, 0.0)]),
    )
    over = {"att": treated, "atc": ~treated, "ate": np.ones(len(y), dtype=bool)}[estimand] * (
        w if averaged is None else np.where(used, averaged, 0.0)
    )
    if not over.sum() > 0:
        raise ValueError("no row to average over has weight; wanted some")
    total = over.sum()
    middle = over @ z / total
    contrast, psi = np.zeros(len(y)), np.zeros(len(y))
    for arm, sign in ((treated, 1.0), (~treated, -1.0)):
        own = {"att": treated, "atc": ~treated}.get(estimand)
        if own is not None and np.array_equal(own, arm):
            contrast += sign * y
            continue
        inverse, beta, residual = weighted_least_squares(z, y, w * arm)
        contrast += sign * (z @ beta)
        psi += sign * (z @ (inverse @ middle)) * w * arm * residual
    estimate = float(over @ contrast / total)
    return Effect(estimate, psi + over * (contrast - estimate) / total, estimand)


def matched_variance(influence: Array, clusters: Labels, combine: Literal["sum", "largest"] = "sum") -> float:
    """Return the cluster-robust variance of an effect, one- or two-way.

    Args:
        influence: (n,) contributions.
        clusters: (n,) labels, or (n, 2) for two-way clusters: matched pairs that cross states are clustered
            by pair and by state, V_pair + V_state - V_both. Rows whose influence is 0 and whose label is -1
            are outside the sample and form no cluster.
        combine: of two-way clusters: "sum", that of Cameron, Gelbach and Miller, which need not be positive;
            or "largest", the largest of that sum and of the two one-way variances, which always is and errs
            on the large side.

    Raises:
        ValueError: fewer than two clusters, more than two columns, or a two-way sum that is not positive.

    Source: Cameron, Gelbach and Miller (2011), Journal of Business and Economic Statistics 29(2); MacKinnon,
        Nielsen and Webb (2024), arXiv:2406.08880, for the largest.

    Example:
        >>> matched_variance(np.array([1.0, -1.0]), np.array([1, 2]))
        4.0
    """
    labels = clusters[:, None] if clusters.ndim == 1 else clusters
    if labels.shape[1] > 2:
        raise ValueError(f"{labels.shape[1]} columns of clusters; wanted one or two")
    codes = np.column_stack([np.unique(column, return_inverse=True)[1] for column in labels.T])
    inside = (influence != 0) | ~(labels == np.array(-1).astype(labels.dtype)).any(axis=1)
    psi, codes = influence[inside][:, None], codes[inside]
    parts = [float(cluster_variance(psi, column)[0, 0]) for column in codes.T]
    if len(parts) == 1:
        return parts[0]
    both = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
    variance = sum(parts) - float(cluster_variance(psi, both)[0, 0])
    if combine == "largest":
        return max(variance, *parts)
    if not variance > 0:
        raise ValueError(
            f"the two-way variance is {variance:.3g}; wanted a positive one: take the largest of it and the one-way "
            'variances (combine = "largest"), or cluster by the coarser level alone'
        )
    return variance


def rows_used(
    y: Array, treated: NDArray[np.bool_], weights: Array, covariates: Array | None
) -> NDArray[np.bool_]:
    """Return the rows with weight, (n,), after refusing what cannot be estimated on.

    Raises:
        ValueError: negative weights, an arm without weight, a missing outcome or covariate.
    """
    if not (weights >= 0).all():
        raise ValueError(f"{int((~(weights >= 0)).sum())} weights are negative or missing; wanted none")
    used = np.asarray(weights > 0)
    if not (used & treated).any() or not (used & ~treated).any():
        raise ValueError("treated and comparison rows with positive weight are needed in both arms")
    missing = used & ~np.isfinite(y)
    if covariates is not None:
        missing = missing | (used & ~np.isfinite(covariates).all(axis=1))
    if missing.any():
        raise ValueError(f"{int(missing.sum())} rows miss the outcome or a covariate; wanted none")
    return used


def weighted_least_squares(z: Array, y: Array, w: Array) -> tuple[Array, Array, Array]:
    """Return the inverse Gram matrix (k, k), coefficients (k,) and residuals (n,) of weighted least squares.

    Args:
        z: (n, k) regressors with their constant; no value missing.
        y: (n,) outcome.
        w: (n,) weights; residuals of rows with weight 0 are 0.

    Raises:
        ValueError: no more rows than coefficients, or dependent regressors.
    """
    used = w > 0
    gram = (z[used] * w[used, None]).T @ z[used]
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    if used.sum() <= z.shape[1]:
        raise ValueError(f"{int(used.sum())} rows for {z.shape[1]} coefficients; wanted more rows")
    if np.linalg.cond(gram / scale / scale[:, None]) > 1e12:
        raise ValueError("the covariates are constant or linearly dependent where they are used")
    inverse = np.asarray(np.linalg.inv(gram / scale / scale[:, None]), dtype=float) / scale / scale[:, None]
    beta = inverse @ ((z[used] * w[used, None]).T @ y[used])
    return inverse, beta, np.where(used, y - z @ beta, 0.0)

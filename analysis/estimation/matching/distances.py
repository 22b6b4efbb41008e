"""Distances between treated and comparison rows: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

Array = NDArray[np.float64]
Groups = NDArray[np.intp] | NDArray[np.bool_]


def standard_deviations(x: Array, weights: Array | None = None, within: Groups | None = None) -> Array:
    """Return each column's standard deviation over all rows, (k,), with N - 1 in the denominator.

    Args:
        x: (n, k) covariates.
        weights: (n,) weights of the mean and of the mean square, which is then multiplied by N / (N - 1) with N
            the number of rows, as in the R package Matching; None for ones.
        within: (n,) groups (the arms): deviations are from the group's own mean and the denominator is N less
            the number of groups, or N for a column of zeros and ones, as in the R package MatchIt; None for
            one group.

    Raises:
        ValueError: both ``weights`` and ``within`` are given.

    Example:
        >>> standard_deviations(np.array([[0.0], [2.0]])).round(4)
        array([1.4142])
        >>> x = np.array([[0.0], [2.0], [10.0], [12.0]])
        >>> standard_deviations(x, within=np.array([0, 0, 1, 1])).round(4)
        array([1.4142])
    """
    if within is not None:
        if weights is not None:
            raise ValueError("standard deviations within groups are not weighted; wanted weights or within")
        centred, groups = _within(x, within)
        binary = np.all((x == 0) | (x == 1), axis=0)
        return np.sqrt((centred**2).sum(axis=0) / np.where(binary, len(x), len(x) - groups))
    if weights is None:
        return x.std(axis=0, ddof=1)
    mean = np.average(x, axis=0, weights=weights)
    return np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights) * len(x) / (len(x) - 1))


def mahalanobis_coordinates(x: Array, within: Groups | None = None) -> Array:
    """Return coordinates in which plain squared distance is the squared Mahalanobis distance.

    The covariance is that of treated and comparison rows together, with N in the denominator (as in the R
    package Matching), so a tie tolerance means the same here and there.

    Args:
        x: (n, k) covariates.
        within: (n,) groups (the arms) around whose own means the covariance is taken, with N less the number
            of groups in the denominator (as in the R package MatchIt); None for one covariance of all rows.

    Raises:
        ValueError: a column is constant or a combination of others: there is no inverse covariance.

    Source: Rubin (1980), Biometrics 36(2); Abadie and Imbens (2006), Econometrica 74(1).

    Example:
        >>> x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> z = mahalanobis_coordinates(x)
        >>> float(((z[0] - z[3]) ** 2).sum())
        8.0
    """
    centred = x - x.mean(axis=0)
    if within is None:
        return _whitened(centred, centred, len(x))
    residual, groups = _within(x, within)
    return _whitened(centred, residual, len(x) - groups)


def robust_mahalanobis_coordinates(x: Array) -> Array:
    """Return coordinates in which plain squared distance is the squared rank-based Mahalanobis distance.

    Each covariate is replaced by its ranks (ties share their mean rank), and the covariance of ranks is scaled
    so that every column has the variance of untied ranks: a long tail does not swallow the distance, and a
    rare binary covariate does not count for more than another.

    Args:
        x: (n, k) covariates.

    Raises:
        ValueError: a column is constant, or ranks are a combination of others.

    Source: Rosenbaum (2010), Design of Observational Studies, section 8.3; with the sample covariance (N - 1),
        as "robust_mahalanobis" of the R package MatchIt.

    Example:
        >>> x = np.array([[1.0, 5.0], [2.0, 90.0], [4.0, 7.0], [1000.0, 6.0]])
        >>> z, same = robust_mahalanobis_coordinates(x), robust_mahalanobis_coordinates(np.log(x))
        >>> bool(np.allclose(z, same))
        True
    """
    ranks = rankdata(x, axis=0)
    centred = ranks - ranks.mean(axis=0)
    variance = (centred**2).sum(axis=0) / (len(x) - 1)
    if not np.all(variance > 0):
        raise ValueError(f"column {int(np.argmin(variance))} is constant")
    untied = np.sqrt(len(x) * (len(x) + 1) / 12)
    return _whitened(centred, centred * (untied / np.sqrt(variance)), len(x) - 1)


def standardised_coordinates(x: Array, weights: Array | None = None, within: Groups | None = None) -> Array:
    """Return coordinates in which plain squared distance weighs each covariate by its inverse variance.

    Without options this is the distance of the R package Matching with Weight = 1; with ``within`` the arms it
    is "scaled_euclidean" of MatchIt.

    Args:
        x: (n, k) covariates.
        weights: (n,), see ``standard_deviations``.
        within: (n,), see ``standard_deviations``.

    Raises:
        ValueError: a column is constant.

    Example:
        >>> standardised_coordinates(np.array([[0.0], [2.0]])).round(4).ravel()
        array([-0.7071,  0.7071])
    """
    scale = standard_deviations(x, weights, within)
    if not np.all(scale > 0):
        raise ValueError(f"column {int(np.argmin(scale))} is constant")
    return (x - np.average(x, axis=0, weights=weights)) / scale


def euclidean_coordinates(x: Array) -> Array:
    """Return coordinates in which plain squared distance is that of the covariates in their own units.

    Args:
        x: (n, k) covariates in comparable units; the one with the widest spread decides.

    Example:
        >>> euclidean_coordinates(np.array([[0.0, 1.0], [2.0, 5.0]])).tolist()
        [[-1.0, -2.0], [1.0, 2.0]]
    """
    return x - x.mean(axis=0)


def weighted_coordinates(x: Array, matrix: Array, weights: Array | None = None) -> Array:
    """Return coordinates in which plain squared distance is d' W d, d the standardised difference of two rows.

    Args:
        x: (n, k) covariates; they are standardised first, as in ``standardised_coordinates``.
        matrix: (k, k) weights W, symmetric, without negative eigenvalues; a zero leaves a covariate out.
        weights: (n,), see ``standard_deviations``.

    Raises:
        ValueError: W has another shape, is not symmetric or has a negative eigenvalue; a column is constant.

    Source: Diamond and Sekhon (2013), Review of Economics and Statistics 95(3), equation 3; Weight = 3 of the R
        package Matching.

    Example:
        >>> x = np.array([[0.0, 0.0], [2.0, 2.0]])
        >>> z = weighted_coordinates(x, np.diag([1.0, 0.0]))
        >>> float(((z[0] - z[1]) ** 2).sum().round(12))
        2.0
    """
    k = x.shape[1]
    if matrix.shape != (k, k) or not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0):
        raise ValueError(f"a weight matrix of shape {matrix.shape}; wanted a symmetric one of {(k, k)}")
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -1e-10 * max(values[-1], 0.0) or values[-1] <= 0:
        raise ValueError(
            f"a weight matrix with eigenvalue {values[0]:.3g}; wanted none below nought, and one above"
        )
    return standardised_coordinates(x, weights) @ (vectors * np.sqrt(np.maximum(values, 0.0)))


def _within(x: Array, groups: Groups) -> tuple[Array, int]:
    """Return deviations from group means, and the number of groups."""
    _, at = np.unique(groups, return_inverse=True)
    count = np.bincount(at)
    sums = np.stack([np.bincount(at, column) for column in x.T], axis=1)
    return x - (sums / count[:, None])[at], len(count)


def _whitened(values: Array, deviations: Array, denominator: int) -> Array:
    """Return values times an inverse root of the covariance of ``deviations``."""
    scale = np.sqrt((deviations**2).sum(axis=0) / denominator)
    if not np.all(scale > 0):
        raise ValueError(f"column {int(np.argmin(scale))} is constant")
    standard = deviations / scale
    correlation = standard.T @ standard / denominator
    try:
        lower = cholesky(correlation, lower=True)
    except LinAlgError as error:
        raise ValueError("the covariates are linearly dependent") from error
    if np.diag(lower).min() < 1e-6:
        raise ValueError("the covariates are linearly dependent")
    return solve_triangular(lower, (values / scale).T, lower=True).T


def squared_distances(a: Array, b: Array) -> Array:
    """Return squared distances, (rows of a, rows of b), computed from differences and hence exact at zero.

    Example:
        >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[25.,  0.]])
    """
    return cdist(a, b, "sqeuclidean")


COORDINATES: Mapping[str, Callable[[Array], Array]] = {
    "mahalanobis": mahalanobis_coordinates,
    "robust_mahalanobis": robust_mahalanobis_coordinates,
    "euclidean": euclidean_coordinates,
    "scaled_euclidean": standardised_coordinates,
}
"""Distances of the covariates alone, by the names of specs."""

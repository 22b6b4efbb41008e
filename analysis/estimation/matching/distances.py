"""Distances between treated and comparison rows: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]


def standard_deviations(x: Array) -> Array:
    """Return each column's standard deviation over all rows, (k,), with N - 1 in the denominator.

    Example:
        >>> standard_deviations(np.array([[0.0], [2.0]])).round(4)
        array([1.4142])
    """
    return x.std(axis=0, ddof=1)


def mahalanobis_coordinates(x: Array) -> Array:
    """Return coordinates in which plain squared distance is the squared Mahalanobis distance.

    The covariance is that of treated and comparison rows together, with N in the denominator (as in the R
    package Matching), so a tie tolerance means the same here and there.

    Args:
        x: (n, k) covariates.

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
    scale = np.sqrt((centred**2).mean(axis=0))
    if not np.all(scale > 0):
        raise ValueError(f"column {int(np.argmin(scale))} is constant")
    standard = centred / scale
    correlation = standard.T @ standard / len(x)
    try:
        lower = cholesky(correlation, lower=True)
    except LinAlgError as error:
        raise ValueError("the covariates are linearly dependent") from error
    if np.diag(lower).min() < 1e-6:
        raise ValueError("the covariates are linearly dependent")
    return solve_triangular(lower, standard.T, lower=True).T


def standardised_coordinates(x: Array) -> Array:
    """Return coordinates in which plain squared distance weighs each covariate by its inverse variance.

    Example:
        >>> standardised_coordinates(np.array([[0.0], [2.0]])).round(4).ravel()
        array([-0.7071,  0.7071])
    """
    return (x - x.mean(axis=0)) / standard_deviations(x)


def squared_distances(a: Array, b: Array) -> Array:
    """Return squared distances, (rows of a, rows of b), computed from differences and hence exact at zero.

    Example:
        >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]]))
        array([[25.,  0.]])
    """
    return cdist(a, b, "sqeuclidean")

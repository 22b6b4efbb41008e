"""Variances for errors correlated over distance: arrays in, arrays out.

Counties nearer than a cutoff count as dependent, whatever state they lie in, the more the nearer (Bartlett) or
all alike (uniform). Neither kernel in great-circle distance makes the variance positive semidefinite for
certain (Bartlett's would along a line): the smallest eigenvalue is returned, and an error that would be the root
of a negative number is missing.

No small-sample factor is applied: multiply by one where it is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Labels = NDArray[np.generic]
Kernel = Literal["bartlett", "uniform"]

# Mean radius of the earth, km, as in conleyreg.
EARTH = 6371.01


@dataclass(frozen=True, slots=True)
class SpatialVariance:
    """A variance for errors correlated over distance.

    Args:
        vcov: (k, k).
        std_error: (k,); missing where the variance is negative.
        kernel: bartlett | uniform.
        cutoff: km beyond which errors are taken as uncorrelated.
        neighbours: mean number of other counties within the cutoff.
        smallest: smallest eigenvalue of ``vcov``.
        positive: whether ``vcov`` is positive semidefinite up to rounding.
        lags: years over which a county's own errors are correlated; None where contributions were summed over
            years.
    """

    vcov: Array
    std_error: Array
    kernel: Kernel
    cutoff: float
    neighbours: float
    smallest: float
    positive: bool
    lags: int | None


def kernel_matrix(
    latitude: Array, longitude: Array, cutoff: float, kernel: Kernel, *, radius: float = EARTH
) -> sparse.csr_array:
    """Return the weights of pairs of counties by great-circle distance, (n, n) sparse, ones on its diagonal.

    Args:
        latitude: (n,) degrees.
        longitude: (n,) degrees.
        cutoff: km; a pair at the cutoff itself counts under the uniform kernel.
        kernel: "bartlett": one less distance over cutoff; "uniform": one within the cutoff.
        radius: of the sphere, km.

    Raises:
        ValueError: coordinates that are missing or out of range, or a cutoff that is not positive.

    Example:
        >>> k = kernel_matrix(np.array([40.0, 41.0, 60.0]), np.zeros(3), 200.0, "uniform")
        >>> k.toarray().tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    latitude, longitude = np.asarray(latitude, dtype=float), np.asarray(longitude, dtype=float)
    if kernel not in ("bartlett", "uniform"):
        raise ValueError(f'kernel = {kernel!r}; wanted "bartlett" or "uniform"')
    if not cutoff > 0 or not np.isfinite(cutoff):
        raise ValueError(f"cutoff = {cutoff}; wanted a positive number of km")
    bad = int(np.count_nonzero(~((np.abs(latitude) <= 90) & (np.abs(longitude) <= 180))))
    if bad:
        raise ValueError(
            f"{bad} coordinates are missing or out of range; wanted degrees of latitude, longitude"
        )
    n = len(latitude)
    phi, lam = np.radians(latitude), np.radians(longitude)
    points = np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    # A little beyond the chord that belongs to the cutoff; the arc decides.
    chord = 2 * np.sin(min(cutoff / radius, np.pi) / 2)
    pairs = cKDTree(points).query_pairs(chord * (1 + 1e-9) + 1e-12, output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    # The haversine keeps its digits at short distances.
    h = np.sin((phi[i] - phi[j]) / 2) ** 2
    h = h + np.cos(phi[i]) * np.cos(phi[j]) * np.sin((lam[i] - lam[j]) / 2) ** 2
    distance = 2 * radius * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
    near = distance <= cutoff
    i, j, distance = i[near], j[near], distance[near]
    weight = np.ones(len(i)) if kernel == "uniform" else 1 - distance / cutoff
    own = np.arange(n)
    return sparse.csr_array(
        (
            np.concatenate([weight, weight, np.ones(n)]),
            (np.concatenate([i, j, own]), np.concatenate([j, i, own])),
        ),
        shape=(n, n),
    )


def spatial_variance(
    influence: Array, latitude: Array, longitude: Array, *, cutoff: float, kernel: Kernel
) -> SpatialVariance:
    """Return the variance of estimates whose contributions are correlated over distance.

    Contributions of counties already sum over years: a county's years may be correlated at any lag, and so may
    those of its neighbours, which asks more of the data than ``spatial_panel_variance`` and assumes less.

    Args:
        influence: (n, k) a county's contributions to the errors of k estimates; zero where it is not in the
            sample.
        latitude: (n,) degrees.
        longitude: (n,) degrees.
        cutoff: km.
        kernel: "bartlett" or "uniform".

    Raises:
        ValueError: as ``kernel_matrix``, or shapes that do not fit.

    Assumption: counties farther apart than the cutoff are uncorrelated; correlation depends on distance.

    Source: Conley (1999), Journal of Econometrics 92(1).

    Example:
        >>> psi = np.array([[1.0], [1.0], [-2.0]])
        >>> v = spatial_variance(
        ...     psi, np.array([40.0, 41.0, 60.0]), np.zeros(3), cutoff=200.0, kernel="uniform"
        ... )
        >>> v.vcov.tolist(), round(v.neighbours, 3)
        ([[8.0]], 0.667)
    """
    if influence.ndim != 2 or not len(influence) == len(latitude) == len(longitude):
        raise ValueError(
            f"influence {influence.shape}, {len(latitude)} latitudes, {len(longitude)} longitudes; wanted (n, k), n, n"
        )
    near = kernel_matrix(latitude, longitude, cutoff, kernel)
    return _finished(influence.T @ (near @ influence), near, kernel, cutoff, None)


def spatial_panel_variance(
    scores: Array,
    unit: NDArray[np.integer],
    time: NDArray[np.integer],
    latitude: Array,
    longitude: Array,
    *,
    cutoff: float,
    kernel: Kernel,
    lags: int,
) -> SpatialVariance:
    """Return the variance of estimates whose scores are correlated over distance within a year, and over years
    within a county.

    Neighbours' scores of different years count as uncorrelated, as in the usual implementations: where shocks
    both spread and last, use ``spatial_variance`` on contributions summed over years.

    Args:
        scores: (rows, k) a county-year's contributions to the errors of k estimates.
        unit: (rows,) row of the coordinates, 0 to n - 1; a county has at most one row a year.
        time: (rows,) whole years.
        latitude: (n,) degrees.
        longitude: (n,) degrees.
        cutoff: km.
        kernel: "bartlett" or "uniform", over distance.
        lags: years of serial correlation; weights fall by 1 / (lags + 1) a year, whatever the kernel.

    Raises:
        ValueError: as ``kernel_matrix``; two rows of a county in a year; a negative number of lags.

    Assumption: county-years farther apart than the cutoff, or of different counties and years, are
        uncorrelated.

    Source: Conley (1999); Newey and West (1987), Econometrica 55(3); Hsiang (2010), PNAS 107(35), for the two
        together.

    Example:
        >>> v = spatial_panel_variance(
        ...     np.array([[1.0], [1.0], [2.0]]), np.array([0, 0, 1]), np.array([2010, 2011, 2011]),
        ...     np.array([40.0, 40.5]), np.zeros(2), cutoff=200.0, kernel="uniform", lags=1,
        ... )
        >>> v.vcov.tolist()
        [[11.0]]
    """
    if lags < 0:
        raise ValueError(f"lags = {lags}; wanted none or more")
    years, at = np.unique(time, return_inverse=True)
    n, k = len(latitude), scores.shape[1]
    cell = at * n + unit
    if len(np.unique(cell)) < len(cell):
        raise ValueError("a county has several rows in a year; wanted one")
    near = kernel_matrix(latitude, longitude, cutoff, kernel)
    table = np.zeros((len(years), n, k))
    table[at, unit] = scores
    meat = np.zeros((k, k))
    for part in table:
        meat += part.T @ (near @ part)
    for early in range(len(years)):
        for late in range(early + 1, len(years)):
            gap = int(years[late]) - int(years[early])
            if gap <= lags:
                shared = (1 - gap / (lags + 1)) * table[early].T @ table[late]
                meat += shared + shared.T
    return _finished(meat, near, kernel, cutoff, lags)


def _finished(
    vcov: Array, near: sparse.csr_array, kernel: Kernel, cutoff: float, lags: int | None
) -> SpatialVariance:
    vcov = (vcov + vcov.T) / 2
    known = np.isfinite(vcov).all()
    values = np.linalg.eigvalsh(vcov) if known else np.array([np.nan])
    diagonal = np.diag(vcov)
    return SpatialVariance(
        vcov=vcov,
        std_error=np.sqrt(np.where(diagonal >= 0, diagonal, np.nan)),
        kernel=kernel,
        cutoff=float(cutoff),
        neighbours=float(near.nnz / near.shape[0] - 1),
        smallest=float(values.min()),
        positive=bool(values.min() >= -1e-12 * np.abs(values).max()),
        lags=lags,
    )

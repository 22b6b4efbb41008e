"""Spatial variances against all pairs written out, and against diff-diff's."""

from __future__ import annotations

import numpy as np
import pytest
from diff_diff.linalg import solve_ols

from analysis.estimation.inference import cluster_variance
from analysis.estimation.panel_inference.spatial import (
    EARTH,
    kernel_matrix,
    spatial_panel_variance,
    spatial_variance,
)

RNG = np.random.default_rng(21)
N, T = 70, 5
LATITUDE, LONGITUDE = RNG.uniform(31, 47, N), RNG.uniform(-120, -75, N)
PSI = RNG.normal(size=(N, 3)) @ RNG.normal(size=(3, 3))
UNIT, TIME = np.repeat(np.arange(N), T), 2010 + np.tile(np.arange(T), N)
KEEP = np.setdiff1d(np.arange(N * T), [3, 8, 77, 200])
UNIT, TIME = UNIT[KEEP], TIME[KEEP]
SCORES = RNG.normal(size=(len(UNIT), 2)) + RNG.normal(size=(N, 2))[UNIT]


def distances():
    """Great-circle distances of all pairs by the law of cosines."""
    phi, lam = np.radians(LATITUDE), np.radians(LONGITUDE)
    cosine = np.sin(phi)[:, None] * np.sin(phi) + np.cos(phi)[:, None] * np.cos(phi) * np.cos(
        lam[:, None] - lam
    )
    out = EARTH * np.arccos(np.clip(cosine, -1, 1))
    np.fill_diagonal(out, 0.0)
    return out


def weights_of(kernel, cutoff):
    d = distances()
    return (d <= cutoff) * (1.0 if kernel == "uniform" else 1 - d / cutoff)


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
@pytest.mark.parametrize("cutoff", [150.0, 600.0, 25_000.0])
def test_all_pairs_written_out(kernel, cutoff):
    near = weights_of(kernel, cutoff)
    # Closed form; the law of cosines itself loses digits at short distances.
    assert kernel_matrix(LATITUDE, LONGITUDE, cutoff, kernel).toarray() == pytest.approx(near, abs=1e-8)
    found = spatial_variance(PSI, LATITUDE, LONGITUDE, cutoff=cutoff, kernel=kernel)
    assert found.vcov == pytest.approx(PSI.T @ near @ PSI, rel=1e-8)
    assert found.neighbours == pytest.approx((near > 0).sum() / N - 1)
    values = np.linalg.eigvalsh(PSI.T @ near @ PSI)
    assert found.smallest == pytest.approx(values.min(), abs=1e-8 * values.max())


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
@pytest.mark.parametrize("lags", [0, 2, 9])
def test_panel_pairs_written_out(kernel, lags):
    near = weights_of(kernel, 500.0)
    gap = np.abs(TIME[:, None] - TIME)
    same_year, same_county = gap == 0, UNIT[:, None] == UNIT
    full = np.where(same_year, near[np.ix_(UNIT, UNIT)], 0.0)
    full += np.where(same_county & ~same_year & (gap <= lags), 1 - gap / (lags + 1), 0.0)
    order = RNG.permutation(len(UNIT))
    found = spatial_panel_variance(
        SCORES[order], UNIT[order], TIME[order], LATITUDE, LONGITUDE, cutoff=500.0, kernel=kernel, lags=lags
    )
    assert found.vcov == pytest.approx(SCORES.T @ full @ SCORES, rel=1e-8)
    assert found.lags == lags


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
@pytest.mark.parametrize("lags", [0, 3])
@pytest.mark.filterwarnings("ignore:.*eigenvalue")
def test_second_engine(kernel, lags):
    design = np.column_stack([np.ones(len(UNIT)), RNG.normal(size=len(UNIT))])
    y = design @ [1.0, 0.5] + SCORES[:, 0]
    coordinates = np.column_stack([LATITUDE, LONGITUDE])
    _, residual, vcov = solve_ols(
        design, y, vcov_type="conley", conley_coords=coordinates[UNIT], conley_cutoff_km=400.0,
        conley_kernel=kernel, conley_time=TIME, conley_unit=UNIT, conley_lag_cutoff=lags,
    )  # fmt: skip
    scores = design * residual[:, None] @ np.linalg.inv(design.T @ design)
    found = spatial_panel_variance(
        scores, UNIT, TIME, LATITUDE, LONGITUDE, cutoff=400.0, kernel=kernel, lags=lags
    )
    assert found.vcov == pytest.approx(vcov, abs=1e-10)


def test_limits_are_the_familiar_variances():
    apart = spatial_variance(PSI, LATITUDE, LONGITUDE, cutoff=1e-3, kernel="uniform")
    assert apart.vcov == pytest.approx(PSI.T @ PSI) and apart.neighbours == 0
    # Counties of a state at one point: clusters, without G / (G - 1).
    state = np.arange(N) % 9
    together = spatial_variance(PSI, 30 + 2.0 * state, np.full(N, -100.0), cutoff=100.0, kernel="uniform")
    assert together.vcov * 9 / 8 == pytest.approx(cluster_variance(PSI, state))
    assert together.positive
    # A year's scores summed over a single year.
    one = TIME == 2012
    panel = spatial_panel_variance(
        SCORES[one], UNIT[one], TIME[one], LATITUDE, LONGITUDE, cutoff=300.0, kernel="bartlett", lags=4
    )
    psi = np.zeros((N, 2))
    psi[UNIT[one]] = SCORES[one]
    assert panel.vcov == pytest.approx(
        spatial_variance(psi, LATITUDE, LONGITUDE, cutoff=300.0, kernel="bartlett").vcov
    )


def test_a_negative_variance_is_said():
    # Three counties in a row: the outer ones are neighbours of the middle one, not of each other.
    psi, line = np.array([[1.0], [-1.5], [1.0]]), np.array([40.0, 41.0, 42.0])
    found = spatial_variance(psi, line, np.zeros(3), cutoff=150.0, kernel="uniform")
    assert found.vcov[0, 0] == pytest.approx(-1.75)
    assert not found.positive and found.smallest < 0 and np.isnan(found.std_error[0])


def test_the_date_line_is_no_edge():
    near = kernel_matrix(np.array([52.0, 52.0]), np.array([179.9, -179.9]), 20.0, "uniform")
    assert near.toarray().tolist() == [[1, 1], [1, 1]]


def test_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="cutoff = 0"):
        kernel_matrix(LATITUDE, LONGITUDE, 0, "bartlett")
    with pytest.raises(ValueError, match="1 coordinates are missing or out of range"):
        kernel_matrix(np.array([100.0, 40.0]), np.zeros(2), 10.0, "bartlett")
    with pytest.raises(ValueError, match="kernel = 'gauss'"):
        kernel_matrix(LATITUDE, LONGITUDE, 10.0, "gauss")
    with pytest.raises(ValueError, match=r"influence \(69, 3\)"):
        spatial_variance(PSI[1:], LATITUDE, LONGITUDE, cutoff=10.0, kernel="uniform")
    twice = np.zeros(2, dtype=int)
    with pytest.raises(ValueError, match="several rows in a year"):
        spatial_panel_variance(
            np.ones((2, 1)), twice, twice, LATITUDE, LONGITUDE, cutoff=10.0, kernel="uniform", lags=0
        )
    with pytest.raises(ValueError, match="lags = -1"):
        spatial_panel_variance(
            SCORES, UNIT, TIME, LATITUDE, LONGITUDE, cutoff=10.0, kernel="uniform", lags=-1
        )

"""Matching on arrays against R's Matching (values under tests/reference/matching_nn) and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from estimation_cases import reference_counties, reference_values
from scipy.stats import ks_2samp

from analysis.estimation.matching.balance import balance, denominators
from analysis.estimation.matching.distances import mahalanobis_coordinates, standardised_coordinates
from analysis.estimation.matching.nearest import nearest_neighbours
from analysis.estimation.matching.propensity import fit_logit
from analysis.estimation.matching.variance import (
    abadie_imbens_variance,
    homoskedastic_variance,
    influence,
    matched_difference,
    within_arm_variance,
)

# Closed forms: only rounding separates the two programs.
CLOSED = 1e-8

TABLE = reference_counties()
R = reference_values("matching_nn")
X, Y, D = TABLE[["x1", "x2", "x3", "x4"]].to_numpy(), TABLE["outcome"].to_numpy(), TABLE["treated"].to_numpy()
ONES = np.ones(len(Y))
MAHALANOBIS = mahalanobis_coordinates(X)


def error(matches, difference, conditional):
    return abadie_imbens_variance(difference, matches, ONES, conditional) ** 0.5


def same_pairs(matches, stored):
    ours = sorted(
        zip(
            matches.treated.tolist(),
            matches.comparison.tolist(),
            matches.share.round(12).tolist(),
            strict=True,
        )
    )
    theirs = sorted(
        zip(stored["treated"], stored["comparison"], np.round(stored["weight"], 12).tolist(), strict=True)
    )
    return [o[:2] for o in ours] == [t[:2] for t in theirs] and np.allclose(
        [o[2] for o in ours], [t[2] for t in theirs]
    )


@pytest.mark.parametrize(("name", "neighbours"), [("mahalanobis", 1), ("mahalanobis_3", 3)])
def test_mahalanobis_equals_r(name, neighbours):
    m = nearest_neighbours(MAHALANOBIS, D, neighbours=neighbours)
    d = matched_difference(Y, m, ONES)
    assert d.estimate == pytest.approx(R[name]["estimate"], abs=CLOSED)
    assert error(m, d, homoskedastic_variance(Y, m, ONES, d)) == pytest.approx(
        R[name]["std_error"], abs=CLOSED
    )
    if "matches" in R[name]:
        assert same_pairs(m, R[name]["matches"])


@pytest.mark.parametrize(
    ("name", "neighbours", "of_variance"),
    [("mahalanobis_variance_1", 1, 1), ("mahalanobis_variance_2", 2, 2)],
)
def test_heteroskedastic_error_equals_r(name, neighbours, of_variance):
    m = nearest_neighbours(MAHALANOBIS, D, neighbours=neighbours)
    d = matched_difference(Y, m, ONES)
    conditional = within_arm_variance(Y, MAHALANOBIS, D, of_variance)
    assert d.estimate == pytest.approx(R[name]["estimate"], abs=CLOSED)
    assert error(m, d, conditional) == pytest.approx(R[name]["std_error"], abs=CLOSED)


def test_bias_adjustment_equals_r():
    m = nearest_neighbours(MAHALANOBIS, D, neighbours=2)
    d = matched_difference(Y, m, ONES, X)
    assert d.estimate == pytest.approx(R["mahalanobis_adjusted"]["estimate"], abs=CLOSED)
    conditional = homoskedastic_variance(Y, m, ONES, d, X)
    assert error(m, d, conditional) == pytest.approx(R["mahalanobis_adjusted"]["std_error"], abs=CLOSED)
    m = nearest_neighbours(MAHALANOBIS, D)
    d = matched_difference(Y, m, ONES, X)
    stored = R["mahalanobis_adjusted_variance_2"]
    assert d.estimate == pytest.approx(stored["estimate"], abs=CLOSED)
    assert error(m, d, within_arm_variance(Y, MAHALANOBIS, D, 2)) == pytest.approx(
        stored["std_error"], abs=CLOSED
    )


def test_caliper_equals_r():
    stored = R["mahalanobis_caliper"]
    # R measures a caliper in standard deviations with N in the denominator.
    m = nearest_neighbours(MAHALANOBIS, D, neighbours=2, calipers=(X, 0.75 * X.std(axis=0)))
    assert same_pairs(m, stored["matches"])
    assert len(m.dropped) == stored["dropped"] > 0
    assert matched_difference(Y, m, ONES).estimate == pytest.approx(stored["estimate"], abs=CLOSED)


def test_without_replacement_equals_r():
    stored = R["mahalanobis_without"]
    m = nearest_neighbours(MAHALANOBIS, D, replacement=False, order="data")
    d = matched_difference(Y, m, ONES)
    assert same_pairs(m, stored["matches"])
    assert d.estimate == pytest.approx(stored["estimate"], abs=CLOSED)
    # No comparison serves twice, so the variance is that of paired differences.
    assert error(m, d, within_arm_variance(Y, MAHALANOBIS, D, 1)) == pytest.approx(
        stored["std_error_paired"], abs=CLOSED
    )
    assert len(np.unique(m.comparison)) == len(m.comparison)


def test_inverse_variance_and_ties_equal_r():
    m = nearest_neighbours(standardised_coordinates(X), D)
    d = matched_difference(Y, m, ONES)
    assert d.estimate == pytest.approx(R["inverse_variance"]["estimate"], abs=CLOSED)
    grid = np.round(X[:, :2])
    m = nearest_neighbours(standardised_coordinates(grid), D)
    d = matched_difference(Y, m, ONES)
    assert same_pairs(m, R["ties"]["matches"])
    assert len(m.treated) > 3 * D.sum()
    assert d.estimate == pytest.approx(R["ties"]["estimate"], abs=CLOSED)
    assert error(m, d, homoskedastic_variance(Y, m, ONES, d)) == pytest.approx(
        R["ties"]["std_error"], abs=CLOSED
    )


def test_exact_groups_equal_r():
    strata = TABLE["class"].to_numpy()
    m = nearest_neighbours(MAHALANOBIS, D, strata=strata)
    d = matched_difference(Y, m, ONES)
    assert (strata[m.treated] == strata[m.comparison]).all()
    assert same_pairs(m, R["mahalanobis_exact"]["matches"])
    assert d.estimate == pytest.approx(R["mahalanobis_exact"]["estimate"], abs=CLOSED)
    assert error(m, d, homoskedastic_variance(Y, m, ONES, d)) == pytest.approx(
        R["mahalanobis_exact"]["std_error"], abs=CLOSED
    )


def test_logit_and_propensity_match_equal_r():
    fit = fit_logit(np.column_stack([ONES, X]), D)
    # Iterative on both sides; R was run to 1e-14.
    assert fit.coefficients == pytest.approx(R["logit"]["coefficients"], abs=1e-8)
    score = fit.linear[:, None]
    m = nearest_neighbours(standardised_coordinates(score), D)
    d = matched_difference(Y, m, ONES)
    # A change of 1e-8 in the score may not move a match, so the estimate agrees to the closed-form tolerance.
    assert d.estimate == pytest.approx(R["propensity"]["estimate"], abs=CLOSED)
    assert error(m, d, homoskedastic_variance(Y, m, ONES, d)) == pytest.approx(
        R["propensity"]["std_error"], abs=CLOSED
    )
    m = nearest_neighbours(
        standardised_coordinates(score), D, neighbours=3, calipers=(score, 0.2 * score.std(axis=0))
    )
    stored = R["propensity_3_caliper"]
    assert matched_difference(Y, m, ONES).estimate == pytest.approx(stored["estimate"], abs=CLOSED)
    assert len(m.dropped) == stored["dropped"]


def test_separated_arms_are_said_not_fitted():
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    assert not fit_logit(x, np.arange(20) > 9).converged


def test_groups_of_very_unequal_shares_are_no_separation():
    # One group with 1 of 80 treated, another with 2 of 4: the fit is each group's own share.
    groups = np.repeat([0, 1], [80, 4])
    d = np.isin(np.arange(84), [0, 80, 81])
    fit = fit_logit((groups[:, None] == np.arange(2)).astype(float), d)
    assert fit.converged
    np.testing.assert_allclose(fit.probability[[5, 83]], [1 / 80, 1 / 2], rtol=1e-12)
    # So it is whatever the shares, as long as every group holds both arms.
    rng = np.random.default_rng(11)
    for _ in range(200):
        sizes = rng.integers(2, 400, size=4)
        treated = np.array([rng.integers(1, n) for n in sizes])
        at = np.repeat(np.arange(4), sizes)
        d = np.concatenate([np.arange(n) < k for n, k in zip(sizes, treated, strict=True)])
        weights = rng.lognormal(0, 1.5, size=len(at))
        fit = fit_logit((at[:, None] == np.arange(4)).astype(float), d, weights)
        shares = np.bincount(at, weights * d) / np.bincount(at, weights)
        assert fit.converged
        np.testing.assert_allclose(fit.probability, shares[at], rtol=1e-9)


@pytest.mark.parametrize("adjust", [None, X], ids=["plain", "adjusted"])
def test_influence_sums_to_nothing(adjust):
    m = nearest_neighbours(MAHALANOBIS, D, neighbours=2)
    weights = np.where(D, 1.0 + np.arange(len(D)) % 3, 1.0)
    assert influence(Y, m, weights, adjust).sum() == pytest.approx(0, abs=1e-10)


def test_adjusted_influence_is_the_derivative_of_the_reweighted_estimate():
    m = nearest_neighbours(MAHALANOBIS, D, neighbours=2)
    k = m.comparison_weights(ONES)

    def estimate(tilt):
        # Comparison rows count (1 + tilt) times in the regression; treated rows (1 + tilt) times in their
        # mean.
        c = k * (1 + tilt)
        z = np.column_stack([ONES, X])
        beta = np.linalg.solve((z * c[:, None]).T @ z, (z * c[:, None]).T @ Y)
        return np.average((Y - z @ beta)[D], weights=1 + tilt[D])

    psi = influence(Y, m, ONES, X)
    for row in [int(m.treated[3]), int(m.comparison[3]), int(m.comparison[7])]:
        tilt = np.zeros(len(Y))
        tilt[row] = 1e-5
        up = estimate(tilt)
        tilt[row] = -1e-5
        assert psi[row] == pytest.approx((up - estimate(tilt)) / 2e-5, abs=1e-6)


def test_balance_by_hand_and_against_scipy():
    found = balance(X, D, ONES, denominators(X, D, "treated"))
    assert found.mean_treated == pytest.approx(X[D].mean(axis=0))
    assert found.standardized_mean_difference == pytest.approx(
        (X[D].mean(axis=0) - X[~D].mean(axis=0)) / X[D].std(axis=0, ddof=1)
    )
    assert found.variance_ratio == pytest.approx(X[D].var(axis=0, ddof=1) / X[~D].var(axis=0, ddof=1))
    assert found.ks == pytest.approx([ks_2samp(X[D, j], X[~D, j]).statistic for j in range(4)])
    pooled = np.sqrt((X[D].var(axis=0, ddof=1) + X[~D].var(axis=0, ddof=1)) / 2)
    assert denominators(X, D, "pooled") == pytest.approx(pooled)


def test_dependent_covariates_are_refused():
    with pytest.raises(ValueError, match="dependent"):
        mahalanobis_coordinates(np.column_stack([X, X[:, 0] + X[:, 1]]))


def test_without_replacement_does_not_depend_on_row_order():
    rng = np.random.default_rng(3)
    shuffle = rng.permutation(len(Y))
    one = nearest_neighbours(MAHALANOBIS, D, replacement=False)
    two = nearest_neighbours(MAHALANOBIS[shuffle], D[shuffle], replacement=False)
    pairs = set(zip(one.treated.tolist(), one.comparison.tolist(), strict=True))
    assert pairs == set(zip(shuffle[two.treated].tolist(), shuffle[two.comparison].tolist(), strict=True))

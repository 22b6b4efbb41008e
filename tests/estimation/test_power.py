"""Power, equivalence and sign errors: formulas against simulation where their assumptions hold, refits where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.estimation.inference import t_quantile
from analysis.estimation.panel_inference.few_clusters import cluster_variance_small
from analysis.estimation.panel_inference.power import (
    Refits,
    Responses,
    contribution_weights,
    detectable_by_refits,
    detectable_size,
    equivalence_power,
    power_of_test,
    refit,
    share_equivalent,
    share_rejected,
    sign_error,
)

EFFECTS = np.array([-4.0, -2.0, -0.5, 0.0, 1.0, 3.0, 5.0])
TWO_POINTS = 0.02


def normal_refits(df, error=1.3, draws=200_000, seed=3):
    """Estimates that are normal, with errors that are chi: what the formulas assume."""
    rng = np.random.default_rng(seed)
    scale = np.ones(draws) if np.isinf(df) else np.sqrt(rng.chisquare(df, draws) / df)
    return Refits(error * rng.normal(size=draws), error * scale)


@pytest.mark.parametrize("df", [2.13, 5.0, 45.0, np.inf])
def test_power_and_equivalence_agree_with_simulation_where_errors_are_normal(df):
    found, error, bound = normal_refits(df), 1.3, 4.0
    critical, one_sided = t_quantile(0.95, df), t_quantile(0.9, df)
    simulated = share_rejected(found, EFFECTS, critical)
    assert power_of_test(EFFECTS, error, df) == pytest.approx(simulated, abs=0.004)
    inside = share_equivalent(found, EFFECTS, bound, one_sided)
    assert equivalence_power(EFFECTS, error, bound, df) == pytest.approx(inside, abs=0.004)
    size = detectable_size(error, df)
    assert share_rejected(found, np.array([size]), critical)[0] == pytest.approx(0.8, abs=0.004)
    assert detectable_by_refits(found, critical) == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize("df", [3.0, 7.0, 30.0])
def test_power_is_the_non_central_t(df):
    critical, shift = t_quantile(0.95, df), np.array([0.5, 2.0, 4.0])
    exact = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert power_of_test(shift, 1.0, df) == pytest.approx(exact, abs=1e-6)
    assert power_of_test(0.0, 1.0, df) == pytest.approx(0.05, abs=1e-6)
    assert power_of_test(-shift, 1.0, df) == pytest.approx(exact, abs=1e-6)


def test_equivalence_is_never_shown_more_often_than_its_size_at_the_bound_nor_at_all_with_a_large_error():
    for df in (3.0, 20.0, np.inf):
        assert equivalence_power(4.0, 1.3, 4.0, df) <= 0.05 + 1e-6
    assert equivalence_power(0.0, 1.0, 1.5, np.inf) == 0.0
    known = stats.norm.cdf(4 / 1.3 - stats.norm.ppf(0.95) - 0.5 / 1.3) - stats.norm.cdf(
        -4 / 1.3 + stats.norm.ppf(0.95) - 0.5 / 1.3
    )
    assert equivalence_power(0.5, 1.3, 4.0) == pytest.approx(known)


@pytest.mark.parametrize(
    ("effect", "error", "power", "sign", "exaggeration"),
    # The two examples of Gelman and Carlin (2014); the last of each is a simulation there.
    [(0.1, 3.28, 0.05, 0.46, 77.0), (2.0, 8.1, 0.06, 0.24, 9.7)],
)
def test_sign_errors_are_those_of_the_paper(effect, error, power, sign, exaggeration):
    found = sign_error(np.array([effect]), error)
    assert found.power[0] == pytest.approx(power, abs=0.005)
    assert found.sign_error[0] == pytest.approx(sign, abs=0.005)
    assert found.exaggeration[0] == pytest.approx(exaggeration, rel=0.03)


@pytest.mark.parametrize("df", [2.13, 7.0, np.inf])
def test_sign_errors_agree_with_simulation(df):
    rng, draws, error = np.random.default_rng(4), 400_000, 2.0
    noise = rng.normal(size=draws) if np.isinf(df) else rng.standard_t(df, draws)
    effects = np.array([0.5, 2.0, 6.0])
    found = sign_error(effects, error, df)
    for k, effect in enumerate(effects):
        drawn = effect + error * noise
        significant = drawn[np.abs(drawn) > error * t_quantile(0.95, df)]
        n = len(significant)
        assert found.power[k] == pytest.approx(n / draws, abs=4 * np.sqrt(0.25 / draws))
        assert found.sign_error[k] == pytest.approx((significant < 0).mean(), abs=4 * np.sqrt(0.25 / n))
        sizes = np.abs(significant) / effect
        assert found.exaggeration[k] == pytest.approx(sizes.mean(), abs=5 * sizes.std() / np.sqrt(n))
    # A sign of the truth is a label: both sides mirror.
    mirrored = sign_error(-effects, error, df)
    assert mirrored.exaggeration == pytest.approx(found.exaggeration)
    assert mirrored.sign_error == pytest.approx(found.sign_error)


def clustered(clusters=60, members=6, seed=5):
    """Half of equal clusters treated, shared and own errors that are normal, one coefficient."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(clusters), members)
    x = np.column_stack([(g % 2).astype(float), np.ones(len(g))])
    return x, g, rng


def responses(y, x, g):
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    left, inverse = y - x @ beta, np.linalg.inv(x.T @ x)
    states = int(g.max()) + 1
    split = np.where(g[:, None] == np.arange(states), left[:, None], 0.0)
    hat = np.eye(len(y)) - x @ inverse @ x.T
    counts = contribution_weights(x, np.ones(len(y)), g, kind="CR2")
    rows = counts[:, None] * (hat @ split)
    scores = np.array([np.bincount(g, row, minlength=states) for row in rows.T])
    return Responses((inverse @ x.T @ split)[0], (scores,), (1.0,)), beta, left


def test_refits_are_refits():
    x, g, rng = clustered(8)
    y = rng.normal(size=8)[g] + rng.normal(size=len(g))
    found, beta, left = responses(y, x, g)
    multipliers = rng.normal(size=(5, 8))
    errors = np.sqrt(found.variance(multipliers))
    for v, error, estimate in zip(multipliers, errors, multipliers @ found.effect, strict=True):
        again = cluster_variance_small(x @ beta + v[g] * left, x, np.ones(len(y)), g, kind="CR2")
        assert again.std_error[0] == pytest.approx(error, rel=1e-10)
        assert again.coefficients[0] - beta[0] == pytest.approx(estimate, rel=1e-8, abs=1e-10)
    # Whatever the order of rows.
    order = rng.permutation(len(y))
    straight = contribution_weights(x, np.ones(len(y)), g, kind="CR2")
    assert contribution_weights(x[order], np.ones(len(y)), g[order], kind="CR2") == pytest.approx(
        straight[order]
    )
    own = cluster_variance_small(y, x, np.ones(len(y)), g, kind="CR2")
    assert np.sqrt(found.variance(np.ones((1, 8))))[0] == pytest.approx(own.std_error[0])


def test_the_formula_agrees_with_refits_and_with_fresh_outcomes_where_clusters_are_many_and_equal():
    x, g, rng = clustered()
    shared, own = 1.0, 0.7
    true_error = np.sqrt((shared**2 + own**2 / 6) * 4 / 60)
    effects = true_error * np.array([0.0, 1.5, 2.8, 4.0])
    y = shared * rng.normal(size=60)[g] + own * rng.normal(size=len(g))
    fit = cluster_variance_small(y, x, np.ones(len(y)), g, kind="CR2")
    df, error = float(fit.df[0]), float(fit.std_error[0])
    bound, one_sided = 3.5 * error, t_quantile(0.9, df)
    drawn = refit(responses(y, x, g)[0], 40_000, np.random.default_rng(6))
    simulated = share_rejected(drawn, error / true_error * effects, t_quantile(0.95, df))
    analytic = power_of_test(error / true_error * effects, error, df)
    assert np.abs(simulated - analytic).max() < TWO_POINTS
    inside = share_equivalent(drawn, error / true_error * effects, bound, one_sided)
    shown = equivalence_power(error / true_error * effects, error, bound, df)
    assert np.abs(inside - shown).max() < TWO_POINTS
    size = detectable_size(error, df)
    assert share_rejected(drawn, np.array([size]), t_quantile(0.95, df))[0] == pytest.approx(
        0.8, abs=TWO_POINTS
    )
    # And with outcomes drawn anew, each with its own estimated error: group means are all that counts.
    draws = 40_000
    means = shared * rng.normal(size=(draws, 60)) + own / np.sqrt(6) * rng.normal(size=(draws, 60))
    sides = means[:, 1::2], means[:, 0::2]
    difference = sides[0].mean(axis=1) - sides[1].mean(axis=1)
    stated = np.sqrt(sum(side.var(axis=1, ddof=1) / 30 for side in sides))
    fresh = share_rejected(Refits(difference, stated), effects, t_quantile(0.95, df))
    assert np.abs(fresh - power_of_test(effects, true_error, df)).max() < TWO_POINTS


def test_one_state_that_carries_the_estimate_puts_the_formula_off_and_it_shows():
    psi = np.array([6.0, *np.full(20, 0.2)])
    shares = np.full(21, 0.5 / 20)
    shares[0] = 0.5
    scores = np.diag(psi) - np.outer(psi, shares)
    found = Responses(psi, (scores,), (21 / 20,))
    drawn = refit(found, 40_000, np.random.default_rng(1))
    stated = float(np.sqrt(found.variance(np.ones((1, 21))))[0])
    size = share_rejected(drawn, np.zeros(1), t_quantile(0.95, 20))[0]
    assert abs(size - 0.05) > TWO_POINTS and drawn.estimate.std() > 1.5 * stated


def test_a_fitted_part_stays_and_refusals_name_what_was_found():
    psi = np.array([1.0, -1.0, 5.0])
    drawn = refit(Responses(psi, (np.diag(psi),), (1.0,), fixed=1), 30_000, np.random.default_rng(2))
    assert drawn.estimate.mean() == pytest.approx(5.0, abs=0.05)
    with pytest.raises(ValueError, match=r"\[2, 3\] states"):
        Responses(psi, (np.diag(psi[:2]),), (1.0,))
    for call, found in (
        (lambda: power_of_test(1.0, 0.0), "std_error = 0.0"),
        (lambda: detectable_size(1.0, power=0.04), "power = 0.04"),
        (lambda: equivalence_power(0.0, 1.0, -1.0), "bound = -1.0"),
        (lambda: sign_error(np.array([0.0]), 1.0), "wanted effects other than 0"),
        (lambda: refit(Responses(psi, (np.diag(psi),), (1.0,)), 0, np.random.default_rng(0)), "draws = 0"),
    ):
        with pytest.raises(ValueError, match=found):
            call()


def test_errors_two_ways_are_never_below_one_of_them():
    rng = np.random.default_rng(7)
    ways = rng.normal(size=(3, 5, 4))
    found = Responses(rng.normal(size=5), tuple(ways), (1.2, 1.1, -1.0), largest=True)
    v = rng.normal(size=(50, 5))
    parts = [sign * ((v @ way) ** 2).sum(axis=1) for sign, way in zip(found.signs, ways, strict=True)]
    assert found.variance(v) == pytest.approx(np.maximum.reduce([sum(parts), parts[0], parts[1]]))

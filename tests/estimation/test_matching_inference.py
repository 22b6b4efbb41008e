"""Inference on matched samples against R (tests/reference/matching_inference), derivatives and enumeration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from estimation_cases import reference_counties, reference_values
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from analysis.estimation.matching.average import (
    average_effect,
    average_effect_variance,
    average_homoskedastic_variance,
    set_matches,
)
from analysis.estimation.matching.bootstrap import REFUSED, cluster_bootstrap
from analysis.estimation.matching.distances import mahalanobis_coordinates
from analysis.estimation.matching.doubly_robust import augmented_weighting
from analysis.estimation.matching.estimated_score import estimated_score_adjustment
from analysis.estimation.matching.nearest import nearest_neighbours
from analysis.estimation.matching.propensity import fit_logit
from analysis.estimation.matching.randomisation import (
    all_assignments,
    assignment,
    difference_in_means,
    draw_assignments,
    evaluate_assignments,
    randomisation_inference,
    randomisation_test,
    reassign,
    studentised_difference,
)
from analysis.estimation.matching.regression import (
    matched_regression,
    matched_variance,
    pair_labels,
    regression_adjustment,
)
from analysis.estimation.matching.variance import influence, matched_difference, within_arm_variance

# Closed forms: only rounding separates the two programs. The logit is iterative on both sides.
CLOSED, ITERATIVE = 1e-8, 1e-7

TABLE = reference_counties()
R = reference_values("matching_inference")
X, Y, D = TABLE[["x1", "x2", "x3", "x4"]].to_numpy(), TABLE["outcome"].to_numpy(), TABLE["treated"].to_numpy()
D = D.astype(bool)
STATE = TABLE["county_fips"].str[:2].to_numpy()
ONES = np.ones(len(Y))
MAHALANOBIS = mahalanobis_coordinates(X)
PAIRS = nearest_neighbours(MAHALANOBIS, D, replacement=False, order="data")
PAIR = pair_labels(PAIRS, len(Y))
IN_PAIRS = (PAIR >= 0).astype(float)
ESTIMANDS = ("att", "atc", "ate")


def both_ways(neighbours):
    return (
        nearest_neighbours(MAHALANOBIS, D, neighbours=neighbours),
        nearest_neighbours(MAHALANOBIS, ~D, neighbours=neighbours),
    )


# --- averages over all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "neighbours"), [("ate", 1), ("ate_3", 3), ("ate_variance_2", 2)])
def test_average_over_all_equals_r(name, neighbours):
    up, down = both_ways(neighbours)
    found = average_effect(Y, up, down, ONES)
    if name == "ate_variance_2":
        conditional = within_arm_variance(Y, MAHALANOBIS, D, 2)
    else:
        conditional = average_homoskedastic_variance(Y, up, down, ONES, found.estimate)
    assert found.estimate == pytest.approx(R[name]["estimate"], abs=CLOSED)
    assert average_effect_variance(found, conditional) ** 0.5 == pytest.approx(
        R[name]["std_error"], abs=CLOSED
    )


def test_bias_adjusted_average_over_all_equals_r():
    found = average_effect(Y, *both_ways(2), ONES, X)
    assert found.estimate == pytest.approx(R["ate_adjusted"]["estimate"], abs=CLOSED)


def test_average_over_comparison_rows_equals_r():
    m = nearest_neighbours(MAHALANOBIS, ~D, neighbours=2)
    assert -matched_difference(Y, m, ONES).estimate == pytest.approx(R["atc"]["estimate"], abs=CLOSED)


def test_sets_of_any_shape_by_hand():
    # A pair, a 1:2 set, a set of two treated and one comparison row, one row outside.
    y = np.array([5.0, 3.0, 7.0, 1.0, 2.0, 9.0, 6.0, 4.0, 100.0])
    d = np.array([True, False, True, False, False, True, True, False, True])
    sets = np.array([0, 0, 1, 1, 1, 2, 2, 2, -1])
    m = set_matches(sets, d)
    assert m.dropped.tolist() == [8]
    # 5 - 3; 7 - (1 + 2) / 2; 9 - 4; 6 - 4
    assert matched_difference(y, m, np.ones(9)).effects.tolist() == [2.0, 5.5, 5.0, 2.0]
    assert m.comparison_weights(np.ones(9)).tolist() == [0, 1, 0, 0.5, 0.5, 0, 0, 2, 0]
    with pytest.raises(ValueError, match="no set holds"):
        set_matches(np.array([0, 0, 1]), np.array([True, True, False]))
    with pytest.raises(ValueError, match="opposite arms"):
        average_effect(Y, both_ways(1)[0], both_ways(1)[0], ONES)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_bias_adjustment_removes_any_linear_difference(seed):
    # Outcomes linear in the covariates: whatever the sets, what is left is the effect.
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=(40, 2)), rng.random(40) < 0.4
    sets = rng.integers(-1, 6, size=40)
    d[:2], sets[:2] = (True, False), 0
    m = set_matches(sets, d)
    if len(np.unique(m.comparison)) > 4:
        y = 1 + x @ np.array([2.0, -1.0]) + 3 * d
        assert matched_difference(y, m, np.ones(40), x).estimate == pytest.approx(3, abs=1e-8)


# --- regression on the matched sample ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "covariates"), [("pairs_plain", None), ("pairs_covariates", X)])
def test_regression_on_pairs_equals_r(name, covariates):
    stored, found = R[name], matched_regression(Y, D, IN_PAIRS, covariates)
    assert IN_PAIRS.sum() == stored["n"]
    assert found.estimate == pytest.approx(stored["estimate"], abs=CLOSED)
    both = np.column_stack([PAIR, STATE.astype(int)])
    for clusters, key in ((PAIR, "by_pair"), (STATE, "by_state"), (both, "by_both")):
        # States are labels of every row; a pair's label is -1 outside the matched sample.
        inside = IN_PAIRS > 0
        if stored[key] == "NaN":
            # With eight states the two-way sum can be negative; R takes its root, we refuse.
            with pytest.raises(ValueError, match="two-way variance is -"):
                matched_variance(found.influence[inside], clusters[inside])
            largest = matched_variance(found.influence[inside], clusters[inside], "largest")
            assert largest**0.5 == pytest.approx(max(stored["by_pair"], stored["by_state"]), abs=CLOSED)
            continue
        error = matched_variance(found.influence[inside], clusters[inside]) ** 0.5
        assert error == pytest.approx(stored[key], abs=CLOSED)
    assert matched_variance(found.influence, PAIR) ** 0.5 == pytest.approx(stored["by_pair"], abs=CLOSED)


def test_pair_clustering_without_covariates_is_the_variance_of_paired_differences():
    found = matched_regression(Y, D, IN_PAIRS)
    gap = Y[PAIRS.treated] - Y[PAIRS.comparison]
    n, s = 2 * len(gap), len(gap)
    plain = gap.var(ddof=0) / s
    assert matched_variance(found.influence, PAIR) == pytest.approx(plain * s / (s - 1) * (n - 1) / (n - 2))


def test_pairs_with_replacement_are_refused():
    with pytest.raises(ValueError, match=r"serves \d+ treated rows.*Abadie and Spiess"):
        pair_labels(nearest_neighbours(MAHALANOBIS, D), len(Y))


def test_regression_adjustment_and_augmented_weighting_equal_r():
    for estimand in ESTIMANDS:
        found = regression_adjustment(Y, D, X, estimand=estimand)
        assert found.estimate == pytest.approx(R["regression"][estimand], abs=CLOSED)
        double = augmented_weighting(Y, D, X, estimand=estimand)
        assert double.effect.estimate == pytest.approx(R["augmented"][estimand], abs=ITERATIVE)
        assert double.weights[D].sum() == pytest.approx(1) == double.weights[~D].sum()


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_influence_is_the_derivative_in_every_row_weight(estimand):
    # A wrong outcome model and a wrong score, so that no term vanishes by itself.
    outcome, score = X[:, :2] ** 2, X[:, 1:3]
    base = 0.5 + np.arange(len(Y)) % 4

    def moved(function, row):
        up, down = base.copy(), base.copy()
        step = 1e-4 * base[row]
        up[row] += step
        down[row] -= step
        return base[row] * (function(up) - function(down)) / (2 * step)

    def adjusted(w):
        return regression_adjustment(Y, D, outcome, w, estimand)

    def augmented(w):
        return augmented_weighting(Y, D, outcome, estimand=estimand, score_covariates=score, weights=w).effect

    for effect in (adjusted, augmented):
        psi = effect(base).influence
        assert psi.sum() == pytest.approx(0, abs=1e-9)
        for row in (0, 1, 7, 50, 111):
            assert psi[row] == pytest.approx(moved(lambda w, f=effect: f(w).estimate, row), abs=1e-7)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 50), st.sampled_from(ESTIMANDS))
def test_weights_times_a_constant_and_row_order_change_nothing(seed, factor, estimand):
    order = np.random.default_rng(seed).permutation(len(Y))
    one = augmented_weighting(Y, D, X, estimand=estimand).effect
    two = augmented_weighting(Y[order], D[order], X[order], estimand=estimand, weights=factor * ONES).effect
    assert two.estimate == pytest.approx(one.estimate, abs=1e-8)
    assert two.influence == pytest.approx(one.influence[order], abs=1e-8)
    swapped = augmented_weighting(Y, ~D, X, estimand={"att": "atc", "atc": "att", "ate": "ate"}[estimand])
    assert swapped.effect.estimate == pytest.approx(-one.estimate, abs=1e-8)


def test_doubly_robust_with_one_wrong_model():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40_000, 2))
    d = rng.random(40_000) < 1 / (1 + np.exp(-0.8 * x[:, 0]))
    y = 2 * d + 2 * x[:, 0] + rng.normal(size=40_000)
    wrong = x[:, 1:]
    assert matched_regression(y, d, np.ones(40_000)).estimate > 3
    for outcome, score in ((wrong, x), (x, wrong)):
        for estimand in ESTIMANDS:
            found = augmented_weighting(y, d, outcome, estimand=estimand, score_covariates=score).effect
            assert abs(found.estimate - 2) < 4 * (found.influence**2).sum() ** 0.5 < 0.2


def test_bad_regressions_are_named():
    missing = Y.copy()
    missing[3] = np.nan
    few = np.concatenate([np.flatnonzero(D), np.flatnonzero(~D)[:4]])
    cases = [
        (lambda: matched_regression(missing, D, ONES), "1 rows miss"),
        (lambda: matched_regression(Y, D, -ONES), "negative"),
        (lambda: matched_regression(Y, D, D.astype(float)), "both arms"),
        (lambda: matched_regression(Y, D, ONES, X[:, [0, 0]]), "dependent"),
        (lambda: regression_adjustment(Y[few], D[few], X[few]), "4 rows for 5 coefficients"),
        (lambda: augmented_weighting(Y, D, X, score_covariates=ONES[:, None]), "constant"),
        (lambda: augmented_weighting(Y, D, X, score_covariates=D[:, None] * 1.0), "separates"),
        (lambda: matched_variance(Y - Y.mean(), np.zeros(len(Y))), "at least two clusters"),
        (lambda: matched_variance(Y, np.zeros((len(Y), 3))), "one or two"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    # A row outside may miss what it likes.
    outside = np.where(np.arange(len(Y)) == 3, 0.0, 1.0)
    assert np.isfinite(regression_adjustment(missing, D, X, outside).estimate)
    assert np.isfinite(augmented_weighting(missing, D, X, weights=outside).effect.estimate)


# --- estimated score --------------------------------------------------------------------------------------------


def slow_adjustment(y, d, z, fit, estimate, estimand, m, count):
    """The formulas of Abadie and Imbens (2016), theorems 1 and 2, row by row."""
    p, n = fit.probability, len(y)
    f = p * (1 - p)
    information = sum(f[i] * np.outer(z[i], z[i]) for i in range(n)) / n

    def covariance(i, arm):
        near = sorted(np.flatnonzero(d == arm), key=lambda j: abs(p[j] - p[i]))[:count]
        centre, middle = z[near].mean(axis=0), y[near].mean()
        return sum((z[j] - centre) * (y[j] - middle) for j in near) / (count - 1)

    def effect(i, distance):
        near = sorted(np.flatnonzero(d != d[i]), key=lambda j: distance(i, j))[:m]
        return (1 if d[i] else -1) * (y[i] - y[near].mean())

    def level(i, arm):
        rows = [j for j in np.flatnonzero(d == arm) if j != i]
        return y[sorted(rows, key=lambda j: abs(p[j] - p[i]))[:m]].mean()

    inverse = np.linalg.inv(np.cov(z[:, 1:].T, ddof=0))

    def by_covariates(i, j):
        return (z[i, 1:] - z[j, 1:]) @ inverse @ (z[i, 1:] - z[j, 1:])

    c, g = np.zeros(z.shape[1]), np.zeros(z.shape[1])
    for i in range(n):
        if estimand == "ate":
            c += (covariance(i, True) / p[i] + covariance(i, False) / (1 - p[i])) * f[i] / n
        else:
            c += (covariance(i, True) + p[i] / (1 - p[i]) * covariance(i, False)) * f[i] / d.sum()
            c += z[i] * f[i] * (level(i, True) - level(i, False) - estimate) / d.sum()
            g += z[i] * f[i] * (effect(i, by_covariates) - estimate) / d.sum()
    solve = np.linalg.inv(information)
    return (g @ solve @ g - c @ solve @ c) / n


@pytest.mark.parametrize("estimand", ["att", "ate"])
@pytest.mark.parametrize(("m", "count"), [(1, 2), (3, 4)])
def test_estimated_score_adjustment_equals_its_formulas_row_by_row(estimand, m, count):
    z = np.column_stack([ONES, X[:, :3]])
    fit = fit_logit(z, D)
    found = estimated_score_adjustment(
        Y, D, z, fit, 1.3, estimand=estimand, neighbours=m, covariance_neighbours=count
    )
    assert found.change == pytest.approx(slow_adjustment(Y, D, z, fit, 1.3, estimand, m, count), rel=1e-8)
    if estimand == "ate":
        assert found.change < 0


def test_estimated_score_adjustment_refuses_what_it_cannot_carry():
    z = np.column_stack([ONES, X])
    fit = fit_logit(z, D)
    with pytest.raises(ValueError, match="covariance_neighbours = 1"):
        estimated_score_adjustment(Y, D, z, fit, 0.0, estimand="ate", covariance_neighbours=1)
    separated = fit_logit(np.column_stack([ONES, D * 1.0]), D)
    with pytest.raises(ValueError, match="did not converge"):
        estimated_score_adjustment(Y, D, z, separated, 0.0, estimand="ate")


# --- bootstrap --------------------------------------------------------------------------------------------------


def test_bootstrap_refuses_matching_with_replacement_and_says_why():
    with pytest.raises(ValueError, match="Abadie and Imbens 2008"):
        cluster_bootstrap(lambda rows: 0.0, STATE, "matched_difference", draws=99, seed=1)
    for name in REFUSED:
        with pytest.raises(ValueError, match=f"no bootstrap for {name}"):
            cluster_bootstrap(lambda rows: 0.0, STATE, name, draws=99, seed=1)


def test_bootstrap_error_is_near_the_clustered_one():
    rng = np.random.default_rng(2)
    states = np.repeat(np.arange(80), 12)
    x = rng.normal(size=(960, 1))
    d = rng.random(960) < 1 / (1 + np.exp(-0.5 * x[:, 0] - rng.normal(size=80)[states]))
    y = x[:, 0] + rng.normal(size=80)[states] + rng.normal(size=960)

    def statistic(rows):
        return augmented_weighting(y[rows], d[rows], x[rows]).effect.estimate

    found = cluster_bootstrap(statistic, states, "doubly_robust", draws=300, seed=3)
    again = cluster_bootstrap(statistic, states, "doubly_robust", draws=300, seed=3)
    assert np.array_equal(found.estimates, again.estimates)
    analytic = matched_variance(augmented_weighting(y, d, x).effect.influence, states) ** 0.5
    # 300 draws give the standard error to about 4 %.
    assert found.std_error == pytest.approx(analytic, rel=0.15)
    assert found.estimate == statistic(np.arange(960))
    assert found.normal_high - found.estimate == pytest.approx(norm.ppf(0.975) * found.std_error)
    assert found.normal_low + found.normal_high == pytest.approx(2 * found.estimate)
    assert [found.conf_low, found.conf_high] == pytest.approx(np.quantile(found.estimates, [0.025, 0.975]))
    assert found.failed == 0 and found.reasons == ()


def test_bootstrap_runs_the_whole_procedure_on_whole_states():
    # Eight states: every resample holds each drawn state's rows as often as it was drawn, and nothing else.
    seen = []

    def statistic(rows):
        seen.append(np.bincount(rows, minlength=len(Y)))
        return float(Y[rows].mean())

    rng = np.random.default_rng(4)
    found = cluster_bootstrap(statistic, STATE, "weighting", draws=60, seed=rng)
    assert (seen[0] == 1).all() and len(seen) == 61
    for times in seen[1:]:
        by_state = [set(times[state == STATE].tolist()) for state in np.unique(STATE)]
        assert all(len(one) == 1 for one in by_state)
        assert sum(one.pop() for one in by_state) == len(np.unique(STATE))
    again = cluster_bootstrap(statistic, STATE, "weighting", draws=60, seed=np.random.default_rng(4))
    assert np.array_equal(again.estimates, found.estimates)


def test_bootstrap_counts_failures_by_reason_and_raises_other_errors():
    class OddError(Exception):
        pass

    states = np.repeat(np.arange(40), 4)
    outcomes = []

    def statistic(rows):
        if len(set(rows)) == len(states):
            return 0.0
        # The first row tells apart: a third of the draws raise, a third give nothing, a third a number.
        outcomes.append(rows[0] // 4 % 3)
        if outcomes[-1] == 0:
            raise OddError(f"{len(set(rows))} rows in {1.5 * rows[0]} parts")
        return np.nan if outcomes[-1] == 1 else 1.0

    how = {"draws": 200, "seed": 1}
    found = cluster_bootstrap(statistic, states, "weighting", allow_failed=0.9, failures=(OddError,), **how)
    raised, nothing = outcomes.count(0), outcomes.count(1)
    assert dict(found.reasons) == {
        "# rows in # parts": raised,
        "the estimate is missing or infinite": nothing,
    }
    assert found.failed == raised + nothing == np.isnan(found.estimates).sum() > 50
    with pytest.raises(OddError):
        cluster_bootstrap(statistic, states, "weighting", **how)
    with pytest.raises(ValueError, match=rf"{found.failed} of 200 .*wanted no more than 5%"):
        cluster_bootstrap(statistic, states, "weighting", failures=(OddError,), **how)


def test_bootstrap_bad_input_is_named():
    def statistic(rows):
        return matched_regression(Y[rows], D[rows], ONES[rows]).estimate

    with pytest.raises(ValueError, match="reach over several clusters"):
        cluster_bootstrap(statistic, STATE, "matched_sample", draws=9, seed=1, sets=PAIR)
    with pytest.raises(ValueError, match="wanted their codes"):
        cluster_bootstrap(statistic, STATE, "matched_sample", draws=9, seed=1)
    with pytest.raises(ValueError, match="at least two of each"):
        cluster_bootstrap(statistic, np.zeros(len(Y)), "weighting", draws=9, seed=1)
    with pytest.raises(ValueError, match="wanted one of"):
        cluster_bootstrap(statistic, STATE, "guess", draws=9, seed=1)
    # Treated counties in one state of eight: a third of the resamples hold none.
    with pytest.raises(ValueError, match=r"resamples gave no estimate \(\d+ times: treated and comparison"):
        cluster_bootstrap(
            lambda rows: matched_regression(Y[rows], (STATE[0] == STATE)[rows], ONES[rows]).estimate,
            STATE,
            "regression_adjustment",
            draws=50,
            seed=1,
        )


# --- randomisation ----------------------------------------------------------------------------------------------


def test_assignments_are_all_there_once():
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    d = np.array([1, 0, 0, 0, 1, 1, 1, 0, 0], dtype=bool)
    plan = assignment("counties_within_states", d, groups)
    found = all_assignments(plan)
    assert plan.count == 3 * 2 * 6 == len(np.unique(found, axis=0))
    kept = np.array([found[:, groups == g].sum(axis=1) for g in range(3)])
    assert (kept == np.array([[1], [1], [2]])).all()
    drawn = draw_assignments(plan, 20_000, np.random.default_rng(1))
    rows, times = np.unique(drawn, axis=0, return_counts=True)
    assert len(rows) == 36
    # Equally likely: 20,000 / 36 = 556 each, Poisson spread 24.
    assert np.abs(times - 20_000 / 36).max() < 5 * 24


def test_pair_test_is_the_sign_flip_test():
    rng = np.random.default_rng(4)
    gap = rng.normal(0.5, size=9)
    y, d, pair = np.zeros(18), np.tile([True, False], 9), np.repeat(np.arange(9), 2)
    y[::2] = gap
    found = randomisation_test(difference_in_means(y), d, assignment("pairs", d, pair), draws=0, seed=1)
    signs = 2 * ((np.arange(512)[:, None] >> np.arange(9)) & 1) - 1
    expected = np.mean(np.abs(signs @ gap) >= abs(gap.sum()) - 1e-12)
    assert found.exact and found.used == 512
    assert found.p_value == pytest.approx(expected)
    assert "carries no verdict" in found.mechanism


def test_state_test_enumerates_states_and_keeps_counties_together():
    states = np.repeat(np.arange(7), 3)
    d = states < 3
    rng = np.random.default_rng(1)
    y = rng.normal(size=7)[states] + rng.normal(size=21)
    plan = assignment("states", d, states)
    found = randomisation_test(difference_in_means(y), d, plan, draws=0, seed=1)
    by_state = y.reshape(7, 3).mean(axis=1)
    statistics = [
        by_state[list(c)].mean() - np.delete(by_state, list(c)).mean() for c in combinations(range(7), 3)
    ]
    observed = by_state[:3].mean() - by_state[3:].mean()
    assert plan.count == 35
    assert found.p_value == pytest.approx(np.mean(np.abs(statistics) >= abs(observed) - 1e-12))
    moved = reassign(plan, d, all_assignments(plan)).reshape(35, 7, 3)
    assert (moved == moved[:, :, :1]).all()


def test_blocks_and_rows_outside_stay():
    states, division = np.repeat(np.arange(6), 2), np.repeat([0, 1], 6)
    d = np.isin(states, [0, 3])
    assert assignment("states", d, states, division).count == 9
    outside = assignment("pairs", np.array([True, False, True]), np.array([4, 4, -1]))
    moved = reassign(outside, np.array([True, False, True]), all_assignments(outside))
    assert moved.tolist() == [[True, False, True], [False, True, True]]


def test_studentised_statistic_is_the_regression_of_the_reference():
    plain = studentised_difference(Y, STATE, X)(D[None, :])[0]
    found = matched_regression(Y, D, ONES, X)
    # The reference carries the factors (N - 1) / (N - k) and G / (G - 1).
    n, g = len(Y), len(np.unique(STATE))
    error = matched_variance(found.influence, STATE) ** 0.5
    factor = ((n - 1) / (n - 6) * g / (g - 1)) ** 0.5
    assert plain == pytest.approx(found.estimate / error * factor, rel=1e-9)


def test_drawn_p_value_is_near_the_exact_one_and_seeded():
    states = np.repeat(np.arange(10), 4)
    rng = np.random.default_rng(9)
    y, d = rng.normal(size=10)[states] + rng.normal(size=40), states < 4
    plan, statistic = assignment("states", d, states), studentised_difference(y, states)
    exact = randomisation_test(statistic, d, plan, draws=0, seed=1)
    drawn = randomisation_test(statistic, d, plan, draws=4000, seed=1, exact_up_to=10)
    again = randomisation_test(statistic, d, plan, draws=4000, seed=1, exact_up_to=10)
    assert exact.exact and not drawn.exact
    assert drawn.p_value == again.p_value
    assert drawn.p_value == pytest.approx(exact.p_value, abs=4 * (0.25 / 4000) ** 0.5)


def test_exact_test_keeps_its_size_over_the_assignments_themselves():
    # Under no effect, over all assignments, no more than a share a has a p-value of at most a: by counting.
    groups = np.repeat(np.arange(3), 4)
    y = np.random.default_rng(3).normal(size=12)
    start = np.tile([True, True, False, False], 3)
    plan = assignment("counties_within_states", start, groups)
    statistic = studentised_difference(y, np.arange(12))
    values = np.abs(statistic(reassign(plan, start, all_assignments(plan))))
    p = np.array([(values >= v * (1 - 1e-9)).mean() for v in values])
    for size in (0.05, 0.1, 0.3):
        assert (p <= size).mean() <= size
    found = randomisation_test(statistic, start, plan, draws=0, seed=1)
    assert found.p_value == pytest.approx((values >= abs(found.statistic) * (1 - 1e-9)).mean())


def test_impossible_assignments_are_named():
    with pytest.raises(ValueError, match="8 states hold treated and untreated"):
        assignment("states", D, STATE)
    with pytest.raises(ValueError, match="could not have fallen otherwise"):
        assignment("counties_within_states", np.array([True, True, False]), np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="several blocks"):
        assignment("states", np.array([True, True, False]), np.array([0, 0, 1]), np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="wanted one of"):
        assignment("towns", D, STATE)
    plan = assignment("counties_within_states", D, STATE)
    with pytest.raises(ValueError, match="wanted draws"):
        randomisation_test(difference_in_means(Y), D, plan, draws=0, seed=1)


def test_units_that_could_not_fall_otherwise_are_named():
    states = np.array(["IA", "IA", "OR", "OR", "WA", "WA", "WA", "WA"])
    urban = np.array(["metro", "rural", "metro", "metro", "metro", "metro", "rural", "rural"])
    d = np.array([1, 0, 0, 0, 1, 0, 1, 0], dtype=bool)
    plain = assignment("counties_within_states", d, states)
    assert plain.idle == ("OR",) and plain.count == 2 * 6
    within = assignment("counties_within_states", d, states, urban)
    assert within.idle == ("IA, metro", "IA, rural", "OR, metro") and within.count == 4
    assert "within classes of county" in within.mechanism
    moved = reassign(within, d, all_assignments(within))
    assert (moved[:, :4] == d[:4]).all()
    with pytest.raises(ValueError, match="blocks of pairs"):
        assignment("pairs", d, np.repeat(np.arange(4), 2), urban)


# --- re-matching under every assignment -------------------------------------------------------------------------


def small_world(seed, effect=0.0, counties=10, states=3):
    rng = np.random.default_rng(seed)
    state = np.repeat(np.arange(states), counties)
    x = rng.normal(size=(states * counties, 2))
    d = np.concatenate([rng.permutation(counties) < 3 for _ in range(states)])
    y = 5 + x @ np.array([1.0, 0.5]) + rng.normal(size=states * counties) + effect * d
    return y, x, d, state


def rematch(x, state, adjust=None):
    """Nearest neighbours anew for every assignment, with the error clustered by state."""

    def match(treated):
        m = nearest_neighbours(mahalanobis_coordinates(x), treated, strata=state)

        def evaluate(y):
            psi = influence(y, m, np.ones(len(y)), adjust)
            found = matched_difference(y, m, np.ones(len(y)), adjust)
            return found.estimate, (psi**2).sum() ** 0.5

        return evaluate

    return match


@pytest.mark.parametrize("adjusted", [False, True])
def test_interval_is_the_inverted_test_and_needs_no_second_match(adjusted):
    y, x, d, state = small_world(1, effect=1.0)
    match = rematch(x, state, x if adjusted else None)
    plan = assignment("counties_within_states", d, state)
    how = {"draws": 99, "seed": 5, "level": 0.9}
    found = randomisation_inference(match, y, d, plan, **how)
    units = draw_assignments(plan, 99, np.random.default_rng(5))
    moved = reassign(plan, d, units)

    def p_value(effect):
        outcome = y - effect * d
        statistic = [e / s for e, s in (match(one)(outcome) for one in [d, *moved])]
        return (1 + (np.abs(statistic[1:]) >= abs(statistic[0]) * (1 - 1e-9)).sum()) / 100

    assert found.p_value == p_value(0.0)
    assert (found.estimate, found.std_error) == match(d)(y)
    for end, side in ((found.conf_low, -1), (found.conf_high, 1)):
        assert p_value(end - 1e-4 * side) > 0.1 >= p_value(end + 1e-4 * side)
        # Nothing farther out is kept.
        assert all(p_value(end + side * far) <= 0.1 for far in (0.05, 0.3, 1.0, 4.0))
    slow = randomisation_inference(match, y, d, plan, linear=False, **how)
    assert (slow.conf_low, slow.conf_high) == pytest.approx((found.conf_low, found.conf_high), abs=1e-6)
    assert np.array_equal(slow.drawn, found.drawn) and slow.p_value == found.p_value


def test_interval_holds_a_constant_effect_as_often_as_it_says():
    # Over all assignments of one set of outcomes: exact, by counting.
    y0, x, d, state = small_world(3, counties=4, states=2)
    d = np.tile([True, True, False, False], 2)
    plan = assignment("counties_within_states", d, state)
    match = rematch(x, state)

    def covers(treated):
        other = assignment("counties_within_states", treated, state)
        found = randomisation_inference(match, y0 + 2 * treated, treated, other, draws=0, seed=1, level=0.8)
        assert found.exact and found.used == 36
        return found.conf_low <= 2 <= found.conf_high

    held = [covers(one) for one in reassign(plan, d, all_assignments(plan))]
    assert 0.8 <= np.mean(held) < 1


def test_shift_of_the_outcome_shifts_the_interval_and_few_assignments_leave_it_open():
    y, x, d, state = small_world(7)
    match, plan = rematch(x, state), assignment("counties_within_states", d, state)
    one = randomisation_inference(match, y, d, plan, draws=99, seed=1)
    two = randomisation_inference(match, 3 * (y + 4 * d), d, plan, draws=99, seed=1)
    for name in ("estimate", "conf_low", "conf_high"):
        assert getattr(two, name) == pytest.approx(3 * (getattr(one, name) + 4), abs=1e-5)
    few = np.arange(len(y)) < 10
    short = rematch(x[few], state[few])
    # Three of four states: four assignments, no p-value below a quarter.
    whole = np.repeat(np.arange(5), 2)
    found = randomisation_inference(
        short, y[few], whole < 1, assignment("states", whole < 1, whole), draws=0, seed=1
    )
    assert found.assignments == found.used == 5 and found.exact
    assert np.isneginf(found.conf_low) and np.isposinf(found.conf_high)
    assert found.p_value >= 0.2


def test_reassignments_come_one_by_one_and_report_progress():
    y, x, d, state = small_world(2)
    match, plan = rematch(x, state), assignment("counties_within_states", d, state)
    done = []
    found = randomisation_inference(
        match,
        y,
        d,
        plan,
        draws=20,
        seed=3,
        interval=False,
        progress=lambda now, all_: done.append((now, all_)),
    )
    assert done == [(i, 20) for i in range(1, 21)]
    assert np.isnan(found.conf_low) and np.isfinite(found.p_value)
    moved = reassign(plan, d, draw_assignments(plan, 20, np.random.default_rng(3)))
    stream = evaluate_assignments(match, y, d, moved, interval=False)
    first = next(stream)
    assert first.of_outcome / first.variance[0] ** 0.5 == pytest.approx(found.drawn[0])


def test_assignments_without_an_estimate_count_as_extreme_and_are_named():
    y, x, d, state = small_world(4, effect=6.0)
    match, plan = rematch(x, state), assignment("counties_within_states", d, state)
    calls = []

    def sometimes(treated):
        calls.append(None)
        # The first call is the assignment observed.
        if len(calls) in (5, 9):
            raise ValueError(f"{len(calls)} rows short")
        return match(treated)

    found = randomisation_inference(sometimes, y, d, plan, draws=49, seed=1)
    assert found.failed == 2 and found.reasons == (("# rows short", 2),)
    assert found.p_value == pytest.approx(3 / 50)
    calls.clear()
    with pytest.raises(ValueError, match=r"2 of 30 assignments gave no estimate \(2 times: # rows short\)"):
        randomisation_inference(sometimes, y, d, plan, draws=30, seed=1)


def test_what_cannot_be_inverted_is_named():
    y, x, d, state = small_world(5)
    plan = assignment("counties_within_states", d, state)

    def medians(treated):
        return lambda outcome: (np.median(outcome[treated]) - np.median(outcome[~treated]), outcome.std())

    with pytest.raises(ValueError, match="wanted linear = False"):
        randomisation_inference(medians, y, d, plan, draws=9, seed=1)
    found = randomisation_inference(medians, y, d, plan, draws=49, seed=1, linear=False)
    assert found.conf_low < found.estimate < found.conf_high
    with pytest.raises(ValueError, match="an error that is not zero"):
        randomisation_inference(lambda t: lambda o: (1.0, 0.0), y, d, plan, draws=9, seed=1, linear=False)
    with pytest.raises(ValueError, match="wanted draws"):
        randomisation_inference(rematch(x, state), y, d, plan, draws=0, seed=1)
    with pytest.raises(ValueError, match="level = 95"):
        randomisation_inference(rematch(x, state), y, d, plan, draws=9, seed=1, level=95)

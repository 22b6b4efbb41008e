"""What an omitted variable does to a coefficient: closed forms against refits, definitions and lm in R."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from analysis.estimation.panel_inference import omitted as om

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "omitted"
# Estimate, classical error and degrees of freedom printed in Cinelli and Hazlett (2020), section 5.
DARFUR = (0.0973, 0.02326, 783)


def world(seed: int = 3, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    d = x @ [0.5, -0.3, 0.2] + rng.normal(size=n)
    y = 0.7 * d + x @ [0.4, 0.6, -0.2] + rng.normal(size=n)
    weights = rng.uniform(0.5, 2.0, n)
    centred = np.column_stack([y, d, x]) - np.average(np.column_stack([y, d, x]), axis=0, weights=weights)
    return centred[:, 0], centred[:, 1], centred[:, 2:], weights


def refit(y, d, columns, weights):
    """Coefficient of d, residual sum of squares, by another route than the module's."""
    root = np.sqrt(weights)[:, None]
    x = np.column_stack([d, columns]) * root
    beta = np.linalg.lstsq(x, y * root[:, 0], rcond=None)[0]
    return beta[0], float(((y * root[:, 0] - x @ beta) ** 2).sum()), float(np.linalg.inv(x.T @ x)[0, 0])


def confounder(y, d, x, weights, r2dz, r2yz):
    """A variable unrelated to x that explains exactly these shares, making the estimate look too large."""
    rng = np.random.default_rng(0)
    root = np.sqrt(weights)

    def unit(column, *others):
        basis = np.linalg.qr(np.column_stack(others))[0]
        left = column - basis @ (basis.T @ column)
        return left / np.linalg.norm(left)

    scaled = [root[:, None] * x]
    along = unit(root * d, *scaled)
    of_y = unit(root * y, *scaled, along)
    rest = unit(rng.normal(size=len(y)), *scaled, along, of_y)
    beyond = np.sqrt(r2yz) * of_y + np.sqrt(1 - r2yz) * rest
    return (np.sqrt(r2dz) * along + np.sqrt(1 - r2dz) * beyond) / root


@pytest.mark.parametrize(("r2dz", "r2yz"), [(0.05, 0.3), (0.4, 0.1), (0.6, 0.9), (0.0, 0.5), (0.2, 0.0)])
def test_a_confounder_of_stated_strengths_moves_a_refit_by_exactly_this(r2dz, r2yz):
    y, d, x, weights = world()
    found = om.partialled(y, d, x, weights, absorbed=1)
    z = confounder(y, d, x, weights, r2dz, r2yz)
    beta, rest, inverse = refit(y, d, np.column_stack([x, z]), weights)
    told = om.adjusted(found.estimate, found.std_error, found.df, r2dz, r2yz)
    assert float(told.estimate) == pytest.approx(beta, abs=1e-10)
    assert float(told.std_error) == pytest.approx(np.sqrt(rest / (found.df - 1) * inverse), abs=1e-10)
    assert float(told.t) == pytest.approx(float(told.estimate) / float(told.std_error), abs=1e-10)
    bias = float(om.bias_ratio(r2dz, r2yz)) * found.bias_unit
    assert found.estimate - bias == pytest.approx(beta, abs=1e-10)
    away = om.adjusted(found.estimate, found.std_error, found.df, r2dz, r2yz, reduce=False)
    assert float(away.estimate) == pytest.approx(found.estimate + bias, abs=1e-10)


def test_robustness_value_is_where_the_refit_is_zero():
    y, d, x, weights = world()
    found = om.partialled(y, d, x, weights, absorbed=1)
    value = om.robustness_value(found.estimate / found.std_error, found.df)
    z = confounder(y, d, x, weights, value, value)
    assert refit(y, d, np.column_stack([x, z]), weights)[0] == pytest.approx(0, abs=1e-10)
    half = om.robustness_value(found.estimate / found.std_error, found.df, q=0.5)
    z = confounder(y, d, x, weights, half, half)
    assert refit(y, d, np.column_stack([x, z]), weights)[0] == pytest.approx(found.estimate / 2, abs=1e-10)
    # The extreme scenario: all that is left of the outcome.
    extreme = om.treatment_share_needed(abs(found.estimate) / found.bias_unit)
    assert extreme == pytest.approx(om.partial_r2(found.estimate / found.std_error, found.df), abs=1e-12)
    z = confounder(y, d, x, weights, extreme, 1 - 1e-12)
    assert refit(y, d, np.column_stack([x, z]), weights)[0] == pytest.approx(0, abs=1e-5)
    some = om.treatment_share_needed(abs(found.estimate) / found.bias_unit, 0.4)
    assert float(om.bias_ratio(some, 0.4)) * found.bias_unit == pytest.approx(abs(found.estimate), abs=1e-12)


@pytest.mark.parametrize(("t", "df"), [(4.2, 783), (2.2, 30), (9.0, 12), (40.0, 5), (400.0, 3)])
def test_robustness_of_a_test_is_the_weakest_pair_of_strengths_that_undoes_it(t, df):
    value = om.robustness_value(t, df, alpha=0.05)
    critical = student.ppf(0.975, df - 1)
    strengths = np.linspace(0, 1, 2001)

    def least(limit: float) -> float:
        shares = limit * strengths
        return float(om.adjusted(t, 1.0, df, min(limit, 1 - 1e-12), shares).t.min())

    assert 0 < value < 1
    assert least(value - 1e-6) > critical - 1e-9
    assert least(value + 1e-6) <= critical + 1e-4 * t
    assert om.robustness_value(1.5, df, alpha=0.05) == 0.0


def test_printed_numbers_of_the_darfur_example():
    estimate, error, df = DARFUR
    t = estimate / error
    assert round(100 * om.partial_r2(t, df), 1) == 2.2
    assert round(100 * om.robustness_value(t, df), 1) == 13.9
    assert round(100 * om.robustness_value(t, df, alpha=0.05), 1) == 7.6
    # Once, twice and three times as strong as "female": strengths in, estimates out, as printed there.
    for r2dz, r2yz, wanted in ((0.0092, 0.1246, 0.075), (0.0183, 0.2493, 0.053), (0.0275, 0.3741, 0.030)):
        assert round(float(om.adjusted(estimate, error, df, r2dz, r2yz).estimate), 3) == wanted


def test_agrees_with_the_authors_own_software():
    """Values the tests of sensemakr hold for the same example: a confounder once as strong as "female"."""
    r2dz, r2yz, moved, error = 0.00916428667504862, 0.12464092303637, 0.0752202712144491, 0.0218733277437572
    df = DARFUR[2]
    own = error / np.sqrt((1 - r2yz) / (1 - r2dz) * df / (df - 1))
    estimate = moved + float(om.bias_ratio(r2dz, r2yz)) * own * np.sqrt(df)
    assert (round(estimate, 4), round(own, 5)) == DARFUR[:2]
    assert float(om.adjusted(estimate, own, df, r2dz, r2yz).t) == pytest.approx(3.43890386024675, abs=1e-12)
    t = estimate / own
    assert om.partial_r2(t, df) == pytest.approx(0.02187309, abs=5e-9)
    assert om.robustness_value(t, df) == pytest.approx(0.138776, abs=5e-7)
    assert om.robustness_value(t, df, alpha=0.05) == pytest.approx(0.07625797, abs=5e-9)


@pytest.mark.parametrize("case", ["plain", "weighted"])
def test_agrees_with_lm(case):
    told = json.loads((REFERENCE / "values.json").read_text())[case]
    data = pd.read_csv(REFERENCE / "data.csv")
    weights = np.ones(len(data)) if case == "plain" else data["w"].to_numpy()
    area = pd.get_dummies(data["area"]).to_numpy(dtype=float)
    root = np.sqrt(weights)[:, None]
    columns = data[["y", "d", "x1", "x2", "x3"]].to_numpy()
    swept = columns - area @ np.linalg.lstsq(area * root, columns * root, rcond=None)[0]
    y, d, x = swept[:, 0], swept[:, 1], swept[:, 2:]
    found = om.partialled(y, d, x, weights, absorbed=12)
    assert (found.estimate, found.std_error, found.df) == pytest.approx(
        (told["estimate"], told["std_error"], told["df"]), abs=1e-10
    )
    moved = om.adjusted(found.estimate, found.std_error, found.df, told["r2dz"], told["r2yz"])
    assert float(moved.estimate) == pytest.approx(told["adjusted_estimate"], abs=1e-10)
    assert float(moved.std_error) == pytest.approx(told["adjusted_error"], abs=1e-10)
    strengths = om.group_strength(y, d, x, weights, [0, 1])
    assert strengths == pytest.approx((told["r2d_group"], told["r2y_group"]), abs=1e-10)
    made = om.selection(y, d, x, weights)
    for name in ("short", "short_r2", "long_r2", "of_y", "of_d", "left"):
        assert getattr(made, name) == pytest.approx(told[name], abs=1e-10)


def test_nothing_unrelated_to_the_covariates_passes_the_benchmark_and_the_worst_reaches_it():
    y, d, x, weights = world()
    root = np.sqrt(weights)
    group, kd, ky = [1, 2], 0.8, 1.4
    of_d, of_y = om.group_strength(y, d, x, weights, group)
    bound = om.benchmark(of_d, of_y, kd, ky)
    others = np.linalg.qr(root[:, None] * x[:, :1])[0]

    def beyond(column, *more):
        basis = np.linalg.qr(np.column_stack([others, *more]))[0]
        return column - basis @ (basis.T @ column)

    # Without the other covariate: treatment, the group, and the outcome beyond treatment and the group.
    treat, members = beyond(root * d), np.column_stack([beyond(root * x[:, j]) for j in group])
    treat = treat / np.linalg.norm(treat)
    inside = np.linalg.qr(members)[0]
    outcome = beyond(root * y, treat)
    outcome = outcome / np.linalg.norm(outcome)
    rng = np.random.default_rng(1)
    free = np.column_stack([beyond(treat, inside), beyond(outcome, inside), rng.normal(size=(len(y), 40))])
    free = np.linalg.qr(free - inside @ (inside.T @ free) - others @ (others.T @ free))[0]
    along = free[:, 0]
    length = np.sqrt(kd * of_d) / abs(treat @ along)
    worst = 0.0
    for _ in range(400):
        mix = np.zeros(free.shape[1])
        mix[1:] = (
            rng.normal(size=free.shape[1] - 1)
            * np.r_[rng.choice([1.0, 5.0, 30.0]), np.full(free.shape[1] - 2, 1.0)]
        )
        mix /= np.linalg.norm(mix)
        z = length * along + np.sqrt(1 - length**2) * (free @ mix)
        left_z = beyond(z, treat)
        of_outcome = (outcome @ left_z) ** 2 / (left_z @ left_z)
        if of_outcome > ky * of_y:
            continue
        # Shares beyond all covariates.
        full = np.column_stack([inside, treat])
        y_left, z_left = beyond(outcome, full), beyond(z, full)
        r2yz = (y_left @ z_left) ** 2 / (y_left @ y_left) / (z_left @ z_left)
        d_left, z_own = beyond(treat, inside), beyond(z, inside)
        assert (d_left @ z_own) ** 2 / (d_left @ d_left) / (z_own @ z_own) == pytest.approx(
            bound.r2dz, abs=1e-10
        )
        assert r2yz <= bound.r2yz + 1e-10
        worst = max(worst, r2yz)
    assert worst > 0.3 * bound.r2yz
    assert np.isnan(om.benchmark(0.6, 0.1).r2dz)
    assert om.benchmark(0.3, 0.9).r2yz == 1.0


def test_the_bound_of_a_single_covariate_is_reached():
    # Where outcome, covariate and confounder beyond treatment lie in one plane the triangle bound is an equality.
    r, k = 0.25, 1.0
    of_y = 0.2
    bound = om.benchmark(r, of_y, k)
    within = k * r**2 / ((1 - k * r) * (1 - r))
    y_with_x, z_with_x = np.sqrt(of_y), -np.sqrt(within)
    y_with_z = np.sqrt(k * of_y)
    partial = (y_with_z - y_with_x * z_with_x) / np.sqrt((1 - of_y) * (1 - within))
    assert partial**2 == pytest.approx(bound.r2yz, abs=1e-12)
    assert bound.r2dz == pytest.approx(k * r / (1 - r), abs=1e-12)


@pytest.mark.parametrize(("ratio", "of_d", "of_y"), [(0.5, 0.01, 0.02), (0.3, 0.4, 0.1), (2.0, 0.6, 0.5)])
def test_the_multiple_needed_brings_the_estimate_to_zero(ratio, of_d, of_y):
    k = om.multiple_needed(ratio, of_d, of_y)
    found = om.benchmark(of_d, of_y, k)
    assert float(om.bias_ratio(found.r2dz, found.r2yz)) == pytest.approx(ratio, rel=1e-6)
    less = om.benchmark(of_d, of_y, 0.99 * k)
    assert float(om.bias_ratio(less.r2dz, less.r2yz)) < ratio
    assert om.multiple_needed(ratio, 0.0, of_y) == np.inf


def test_influences_are_what_a_little_weight_does():
    y, d, x, weights = world(n=40)
    found = om.partialled(y, d, x, weights)
    for row in (0, 7, 25):
        more, less = weights.copy(), weights.copy()
        more[row] *= 1 + 1e-5
        less[row] *= 1 - 1e-5
        up, down = om.partialled(y, d, x, more), om.partialled(y, d, x, less)
        assert (up.estimate - down.estimate) / 2e-5 == pytest.approx(found.influence[row], abs=1e-7)
        assert (up.bias_unit - down.bias_unit) / 2e-5 == pytest.approx(found.influence_unit[row], abs=1e-7)
    assert abs(found.influence.sum()) < 1e-10 and abs(found.influence_unit.sum()) < 1e-10


def test_the_clustered_value_is_where_the_moved_interval_touches_zero():
    y, d, x, weights = world()
    found = om.partialled(y, d, x, weights, absorbed=1)
    clusters = np.arange(len(y)) % 12
    error = om.clustered(found, clusters, 0.12, 8.0)
    at_rest = om.moved_interval(found, error, 0.0)
    half = student.ppf(0.975, 8) * 0.12
    assert at_rest == pytest.approx((found.estimate, found.estimate - half, found.estimate + half))
    value = om.clustered_robustness(found, error)
    assert 0 < value < om.robustness_value(found.estimate / found.std_error, found.df)
    ratio = float(om.bias_ratio(value, value))
    assert om.moved_interval(found, error, ratio)[1] == pytest.approx(0, abs=1e-9)
    # A falling effect is its mirror image.
    mirrored = om.partialled(-y, d, x, weights, absorbed=1)
    again = om.clustered(mirrored, clusters, 0.12, 8.0)
    assert om.clustered_robustness(mirrored, again) == pytest.approx(value, abs=1e-12)
    assert om.moved_interval(mirrored, again, ratio)[2] == pytest.approx(0, abs=1e-9)
    assert om.clustered_robustness(found, replace(error, std_error=5.0)) == 0.0
    assert np.isnan(om.clustered_robustness(found, replace(error, std_error=np.nan)))


def test_a_bound_with_its_clustered_interval_covers_as_it_should():
    """Errors and treatment share clusters; the confounder's strengths are known and its bias is taken off."""
    rng = np.random.default_rng(11)
    groups, size, draws = 40, 12, 400
    codes = np.repeat(np.arange(groups), size)
    held = 0
    # d = u + e, y = d + 2 u + e': the short coefficient is 1 + 2 var(u) / var(d), all shares known.
    of_u, of_e = 2.0, 3.0
    r2dz = of_u / (of_u + of_e)
    left_y = 4 * of_u * (1 - r2dz) + 2.0
    r2yz = 4 * of_u * (1 - r2dz) / left_y
    ratio = float(om.bias_ratio(r2dz, r2yz))
    for _ in range(draws):
        u = rng.normal(size=groups)[codes] + rng.normal(size=groups * size)
        d = u + rng.normal(size=groups)[codes] + np.sqrt(2.0) * rng.normal(size=groups * size)
        y = d + 2 * u + rng.normal(size=groups)[codes] + rng.normal(size=groups * size)
        y, d = y - y.mean(), d - d.mean()
        found = om.partialled(y, d, np.empty((len(y), 0)), np.ones(len(y)), absorbed=1)
        sums = np.bincount(codes, found.influence)
        error = om.clustered(
            found, codes, float(np.sqrt((sums**2).sum() * groups / (groups - 1))), groups - 1.0
        )
        _, low, high = om.moved_interval(found, error, ratio)
        held += low <= 1.0 <= high
    assert abs(held / draws - 0.95) < 0.035


def vectors(beta, delta, seed):
    """A world in which one covariate and one omitted variable are selected on as stated, all moments exact."""
    rng = np.random.default_rng(seed)
    n = 30
    e = np.linalg.qr(rng.normal(size=(n, 5)) - 0.0)[0]
    shown, hidden = rng.uniform(0.5, 1.5, 2)
    slope = rng.uniform(0.3, 0.9)
    w1, w2 = shown * e[:, 0], hidden * e[:, 1]
    d = slope * shown * e[:, 0] + delta * slope * hidden * e[:, 1] + e[:, 2]
    y = beta * d + w1 + w2 + 0.5 * e[:, 3]
    full = 1 - 0.25 / float(y @ y)
    return y, d, w1[:, None], full


@pytest.mark.parametrize("delta", [0.3, 1.0, 1.7, -0.6])
@pytest.mark.parametrize("seed", range(4))
def test_delta_of_a_world_without_effect_is_found(delta, seed):
    y, d, x, full = vectors(0.0, delta, seed)
    made = om.selection(y, d, x, np.ones(len(y)))
    assert om.delta_for(made, full) == pytest.approx(delta, abs=1e-9)
    assert om.direction_kept(made)
    y, d, x, full = vectors(0.8, delta, seed)
    made = om.selection(y, d, x, np.ones(len(y)))
    assert om.delta_for(made, full, beta=0.8) == pytest.approx(delta, abs=1e-9)


@pytest.mark.parametrize("delta", [1.0, 0.6])
def test_the_effect_of_a_world_is_among_the_roots_and_found_where_it_is_the_nearest(delta):
    exact = 0
    for seed in range(12):
        y, d, x, full = vectors(0.8, delta, seed)
        made = om.selection(y, d, x, np.ones(len(y)))
        star = om.bias_adjusted(made, full, delta)
        assert om.delta_for(made, full, beta=star) == pytest.approx(delta, abs=1e-7)
        exact += abs(star - 0.8) < 1e-8
    # Under equal selection the allowed root is unique: it is the truth every time.
    assert exact == 12 if delta == 1.0 else exact > 6


def test_agrees_with_the_definition_solved_in_r():
    told = json.loads((REFERENCE / "values.json").read_text())["mtcars"]
    made = om.Selection(*(told[n] for n in ("short", "short_r2", "long", "long_r2", "of_y", "of_d", "left")))
    assert om.delta_for(made, told["r_max"]) == pytest.approx(told["delta_zero"], abs=1e-9)
    assert om.delta_for(made, told["r_max"], beta=-2.0) == pytest.approx(told["delta_two"], abs=1e-9)
    assert om.bias_adjusted(made, told["r_max"]) == pytest.approx(told["beta_one"], abs=1e-9)


def test_the_approximation_is_near_where_little_is_hidden():
    made = om.Selection(3.0, 0.2, 2.0, 0.4, 10.0, 1.0, 0.97)
    near = om.highest_r2(0.4, 1.02)
    exact, rough = om.bias_adjusted(made, near), om.bias_adjusted_restricted(made, near)
    assert exact != rough and exact == pytest.approx(rough, abs=0.02)
    assert om.bias_adjusted(made, 0.4) == made.long == om.bias_adjusted(made, 0.9, delta=0.0)


def test_what_makes_no_sense_is_refused():
    y, d, x, weights = world()
    with pytest.raises(ValueError, match="does not vary beyond"):
        om.partialled(y, x[:, 0] - x[:, 2], x, weights)
    with pytest.raises(ValueError, match="degrees of freedom"):
        om.partialled(y, d, x, weights, absorbed=len(y) - 4)
    with pytest.raises(ValueError, match="r2dz below 1"):
        om.bias_ratio(1.0, 0.5)
    with pytest.raises(ValueError, match="wanted from the long"):
        om.delta_for(om.Selection(3.0, 0.2, 2.0, 0.4, 10.0, 1.0, 0.8), 0.3)
    with pytest.raises(ValueError, match="alpha in"):
        om.robustness_value(2.0, 50, alpha=1.5)

"""Labels that may be wrong: bounds against every relabelling, corrections against worlds whose truth is known."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from analysis.estimation.panel_inference.misclassified import (
    breakdown,
    breakdown_in_strata,
    error_rates,
    extrapolate,
    label_bounds,
    label_effects,
    misclassify,
    rates_to_power,
    shares_of_list,
    simex,
    swap_within,
    undiluted,
)


def world(seed: int, n: int = 9, listed: int = 4, effect: float = 1.0):
    rng = np.random.default_rng(seed)
    d = np.arange(n) < listed
    return rng.normal(size=n) + effect * d, d, rng.uniform(0.3, 3.0, n)


def every_relabelling(d, leave, enter):
    """Labels with at most so many listed counties taken out and others let in, both arms left."""
    on, off = np.flatnonzero(d), np.flatnonzero(~d)
    for k, m in product(range(leave + 1), range(enter + 1)):
        for gone, come in product(combinations(on, k), combinations(off, m)):
            x = d.copy()
            x[list(gone)], x[list(come)] = False, True
            yield x


# --- bounds


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("counts", [(1, 0), (0, 2), (2, 1), (3, 3)])
def test_bounds_of_whole_counties_are_those_of_every_relabelling(seed, counts):
    y, d, _ = world(seed, effect=(seed % 3) - 1.0)
    w = np.ones(9)
    labels = np.array(list(every_relabelling(d, *counts)))
    found = label_effects(y, labels, w)
    bounds = label_bounds(y, d, w, counts[0] / 4, counts[1] / 5, whole=True)
    assert (bounds.low, bounds.high) == pytest.approx((found.min(), found.max()), abs=1e-12)
    reached = label_effects(y, np.array([bounds.low_labels, bounds.high_labels]), w)
    assert reached == pytest.approx([bounds.low, bounds.high], abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_bounds_with_counties_in_part_are_those_of_a_linear_programme(seed):
    # For a fixed treated weight the difference is linear in the labels: a programme a size, over a fine grid of sizes.
    y, d, w = world(seed, effect=(seed % 3) - 1.0)
    p, q = 0.35, 0.2
    bounds = label_bounds(y, d, w, p, q)
    total, listed = w.sum(), w[d].sum()
    best, worst = -np.inf, np.inf
    limits = np.array([np.where(d, -w, 0.0), np.where(d, 0.0, w)])
    caps = np.array([p * listed - listed, q * w[~d].sum()])
    for size in np.linspace((1 - p) * listed, listed + q * w[~d].sum(), 121)[1:-1]:
        for sign in (1.0, -1.0):
            solved = linprog(-sign * w * y, A_ub=limits, b_ub=caps, A_eq=w[None], b_eq=[size], bounds=(0, 1))
            sums = -sign * solved.fun
            value = (total * sums - (w @ y) * size) / (size * (total - size))
            best, worst = max(best, value), min(worst, value)
    # The grid of sizes misses the best size by little; the programme never goes beyond the bound.
    assert worst >= bounds.low - 1e-9 and best <= bounds.high + 1e-9
    assert worst == pytest.approx(bounds.low, abs=0.02) and best == pytest.approx(bounds.high, abs=0.02)
    for end, labels in ((bounds.low, bounds.low_labels), (bounds.high, bounds.high_labels)):
        assert label_effects(y, labels, w)[0] == pytest.approx(end, abs=1e-10)
        assert w[d] @ (1 - labels[d]) <= p * listed + 1e-9 and w[~d] @ labels[~d] <= q * w[~d].sum() + 1e-9


def test_strata_are_bounded_one_by_one():
    y, d, w = world(3, n=10, listed=5)
    at = np.array([0, 0, 1, 1, 1, 0, 0, 1, 1, 1])
    bounds = label_bounds(y, d, w, 0.3, 0.1, strata=at)
    share = [w[d & (at == s)].sum() / w[d].sum() for s in (0, 1)]
    alone = [label_bounds(y[at == s], d[at == s], w[at == s], 0.3, 0.1) for s in (0, 1)]
    assert bounds.low == pytest.approx(sum(a * b.low for a, b in zip(share, alone, strict=True)))
    assert bounds.high == pytest.approx(sum(a * b.high for a, b in zip(share, alone, strict=True)))
    assert label_bounds(y, d, w, 0, 0, strata=at).low == pytest.approx(label_effects(y, d, w, strata=at)[0])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), p=st.floats(0, 0.9), q=st.floats(0, 0.9), more=st.floats(0, 1),
    shift=st.floats(-1e3, 1e3), scale=st.floats(0.01, 100),
)  # fmt: skip
def test_bounds_hold_the_estimate_widen_and_follow_the_unit(seed, p, q, more, shift, scale):
    y, d, w = world(seed, n=12, listed=5)
    bounds = label_bounds(y, d, w, p, q)
    estimate = label_effects(y, d, w)[0]
    assert bounds.low <= estimate + 1e-9 and estimate <= bounds.high + 1e-9
    wider = label_bounds(y, d, w, p + more * (0.95 - p), q + more * (0.95 - q))
    assert wider.low <= bounds.low + 1e-9 and bounds.high <= wider.high + 1e-9
    moved = label_bounds(shift + scale * y, d, w * scale, p, q)
    assert moved.low == pytest.approx(scale * bounds.low, abs=1e-7 * max(1, scale))
    assert moved.high == pytest.approx(scale * bounds.high, abs=1e-7 * max(1, scale))
    mirrored = label_bounds(-y, d, w, p, q)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((bounds.low, bounds.high), abs=1e-9)
    # Random labels within the shares never leave the bounds.
    rng = np.random.default_rng(seed)
    x = np.where(d, 1 - p * rng.random((50, 12)), q * rng.random((50, 12)))
    inside = label_effects(y, x, w)
    assert inside.min() >= bounds.low - 1e-9 and inside.max() <= bounds.high + 1e-9


@pytest.mark.parametrize(
    ("change", "words"),
    [({"not_treated": 1.0}, "not_treated = 1.0"), ({"missed": -0.1}, "missed = -0.1"), ({"whole": True}, "unequal weight"),
     ({"strata": np.array([0] * 4 + [1] * 5)}, "one arm")],
)  # fmt: skip
def test_bounds_refuse(change, words):
    y, d, w = world(1)
    with pytest.raises(ValueError, match=words):
        label_bounds(y, d, w, **({"not_treated": 0.1, "missed": 0.1} | change))


# --- zero


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("which", ["listed", "unlisted", "either"])
@pytest.mark.parametrize("covariate", [False, True])
def test_no_smaller_set_of_counties_brings_the_estimate_to_zero(seed, which, covariate):
    y, d, w = world(seed)
    z = np.column_stack([np.ones(9), np.random.default_rng(seed + 99).normal(size=9)])
    others = z if covariate else None
    sign = np.sign(label_effects(y, d, w, others=others)[0])
    found = breakdown(y, d, w, which, others=others)
    pool = np.flatnonzero({"listed": d, "unlisted": ~d, "either": np.ones(9, bool)}[which])

    def reaches(gone):
        x = d.copy()
        x[list(gone)] ^= True
        # With no arm left there is no estimate: the list holds nothing.
        value = label_effects(y, x, w, others=others)[0]
        return not np.isfinite(value) or sign * value <= 1e-12

    fewest = next(k for k in range(len(pool) + 1) if any(reaches(g) for g in combinations(pool, k)))
    assert found.counties == fewest == found.which.sum() and reaches(np.flatnonzero(found.which))
    assert found.share_of_weight <= found.weight_of_counties + 1e-12
    assert found.weight_of_counties == pytest.approx(w[found.which].sum() / w[pool].sum())


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("which", ["listed", "unlisted"])
def test_the_breakdown_share_is_where_the_bound_is_zero(seed, which):
    y, d, w = world(seed, n=14, listed=7, effect=-0.3 if seed % 2 else 0.3)
    share = breakdown(y, d, w, which).share_of_weight
    assert 0 < share < 0.999
    shares = (share, 0.0) if which == "listed" else (0.0, share)
    bounds = label_bounds(y, d, w, *shares)
    assert min(abs(bounds.low), abs(bounds.high)) == pytest.approx(0.0, abs=1e-9)
    assert breakdown_in_strata(y, d, w, np.zeros(14, dtype=int), which) == pytest.approx(share, abs=1e-6)


def test_breakdown_refuses_an_outcome_without_variation():
    _, d, w = world(1)
    with pytest.raises(ValueError, match="explain in full"):
        breakdown(np.ones(9), d, w)
    with pytest.raises(ValueError, match="which"):
        breakdown(np.arange(9.0), d, w, "some")  # type: ignore[arg-type]


# --- errors unrelated to outcomes


def test_errors_unrelated_to_outcomes_dilute_by_the_stated_share():
    rng = np.random.default_rng(5)
    n, effect, a, b = 4000, 2.0, 0.05, 0.3
    truth = rng.random(n) < 0.2
    corrected, plain = [], []
    for _ in range(300):
        listed = np.where(truth, rng.random(n) >= b, rng.random(n) < a)
        y = rng.normal(size=n) + effect * truth
        difference = label_effects(y, listed, np.ones(n))[0]
        p, q = (~truth)[listed].mean(), truth[~listed].mean()
        plain.append(difference)
        corrected.append(undiluted(difference, p, q))
        expected = shares_of_list(a, b, a * 0.8 + (1 - b) * 0.2)
        assert (p, q) == pytest.approx(expected, abs=0.06)
    error = np.std(corrected) / np.sqrt(300)
    assert abs(np.mean(corrected) - effect) < 3 * error
    assert effect - np.mean(plain) > 20 * error


@settings(max_examples=60, deadline=None)
@given(p=st.floats(0, 0.95), q=st.floats(0, 0.9), listed=st.floats(0.02, 0.9))
def test_rates_and_shares_say_the_same(p, q, listed):
    truly = (1 - p) * listed + q * (1 - listed)
    if p + q > 0.95 or not 0.001 < truly < 0.999:
        return
    a, b = error_rates(p, q, listed)
    assert shares_of_list(a, b, listed) == pytest.approx((p, q), abs=1e-8)
    # What labels keep of the effect, by shares of the list and by rates given the truth.
    assert 1 - p - q == pytest.approx((1 - a - b) * truly * (1 - truly) / (listed * (1 - listed)), abs=1e-8)


def test_impossible_shares_are_refused():
    with pytest.raises(ValueError, match="below 1"):
        undiluted(1.0, 0.6, 0.5)
    with pytest.raises(ValueError, match="share listed"):
        shares_of_list(0.2, 0.1, 0.1)
    with pytest.raises(ValueError, match="less than 1"):
        rates_to_power(0.6, 0.5, 1.0)


# --- simulation and extrapolation


@pytest.mark.parametrize("power", [0.5, 1.0, 1.7])
def test_powers_of_the_matrix_add_up(power):
    def matrix(rates):
        a, b = rates
        return np.array([[1 - a, b], [a, 1 - b]])

    made = matrix(rates_to_power(0.07, 0.3, power)) @ matrix(rates_to_power(0.07, 0.3, 2 - power))
    assert made == pytest.approx(np.linalg.matrix_power(matrix((0.07, 0.3)), 2))


def test_one_step_of_simex_is_the_estimate_under_every_further_error():
    # Five counties: the mean over all 32 labels by their chances is what draws at lambda 1 go to.
    y, d, w = np.array([4.0, 2.5, 1.0, 0.0, 0.5]), np.array([True, True, False, False, False]), np.ones(5)
    a, b = 0.1, 0.2
    mean = weight = 0.0
    for x in product([False, True], repeat=5):
        labels = np.array(x)
        value = label_effects(y, labels, w)[0]
        chance = np.prod(np.where(d, np.where(labels, 1 - b, b), np.where(labels, a, 1 - a)))
        if np.isfinite(value):
            mean, weight = mean + chance * value, weight + chance
    rng = np.random.default_rng(3)
    found = simex(d, lambda labels: label_effects(y, labels, w), a, b, rng, lambdas=(1.0, 2.0), draws=40_000)
    assert found.average[0] == label_effects(y, d, w)[0]
    assert abs(found.average[1] - mean / weight) < 4 * found.simulation_error[1]
    # Three points: the quadratic through them at -1 is 3, -3, 1 of them by hand.
    assert found.quadratic == pytest.approx(np.array([3.0, -3.0, 1.0]) @ found.average)


def test_simex_takes_most_of_the_bias_away_and_says_what_it_leaves():
    rng = np.random.default_rng(8)
    n, effect, a, b = 3000, 5.0, 0.04, 0.25
    truth = np.arange(n) < 450
    plain, quadratic, log_linear, left = [], [], [], []
    for _ in range(12):
        listed = np.where(truth, rng.random(n) >= b, rng.random(n) < a)
        y = rng.normal(size=n) + effect * truth
        effects = lambda labels, y=y: label_effects(y, labels, np.ones(n))  # noqa: E731
        found = simex(listed, effects, a, b, rng, draws=60)
        plain.append(found.average[0])
        quadratic.append(found.quadratic)
        log_linear.append(found.log_linear)
        left.append((found.quadratic_left, found.log_linear_left))
    bias = abs(np.mean(plain) - effect)
    stated = np.mean(left, axis=0) * effect
    for values, said in ((quadratic, stated[0]), (log_linear, stated[1])):
        error = np.std(values) / np.sqrt(12)
        assert abs(np.mean(values) - effect) < 0.5 * bias
        # What it leaves is what it says it leaves.
        assert abs(np.mean(values) - effect - said) < 4 * error


def test_simex_without_errors_is_the_estimate():
    y, d, w = world(4, n=40, listed=15)
    rng = np.random.default_rng(1)
    found = simex(d, lambda labels: label_effects(y, labels, w), 0.0, 0.0, rng, draws=5)
    assert found.quadratic == pytest.approx(label_effects(y, d, w)[0]) == pytest.approx(found.log_linear)
    assert (found.quadratic_left, found.log_linear_left) == pytest.approx((0.0, 0.0), abs=1e-12)
    with pytest.raises(ValueError, match="two"):
        simex(d, lambda labels: label_effects(y, labels, w), 0.0, 0.0, rng, lambdas=(1.0,))


def test_means_that_change_sign_have_no_logarithm():
    quadratic, log_linear = extrapolate(np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.2, -0.1]))
    assert np.isfinite(quadratic) and np.isnan(log_linear)


# --- arithmetic of labels


def test_effects_of_labels_are_differences_in_means_and_coefficients():
    y, d, w = world(6, n=12, listed=5)
    at = np.array([0, 1, 0, 1, 2, 0, 1, 0, 1, 1, 0, 1])
    told = at < 2  # the third stratum has no comparison
    parts = [
        (w[d & (at == s)].sum(), np.average(y[d & (at == s)], weights=w[d & (at == s)])
         - np.average(y[~d & (at == s)], weights=w[~d & (at == s)]))
        for s in (0, 1)
    ]  # fmt: skip
    expected = sum(size * gap for size, gap in parts) / sum(size for size, _ in parts)
    assert label_effects(y, d, w, strata=at)[0] == pytest.approx(expected)
    others = (at[:, None] == np.arange(3)).astype(float)
    x = np.column_stack([d, others])
    root = np.sqrt(w)[:, None]
    coefficient = np.linalg.lstsq(x * root, y * root[:, 0], rcond=None)[0][0]
    assert label_effects(y, d, w, others=others)[0] == pytest.approx(coefficient)
    assert label_effects(y[told], d[told], w[told], others=others[told])[0] == pytest.approx(coefficient)
    with pytest.raises(ValueError, match="same counties"):
        label_effects(y, d[:5], w)


def test_errors_fall_where_they_should():
    rng = np.random.default_rng(2)
    d, at = np.arange(60) < 20, np.arange(60) % 4
    made = misclassify(d, 0.3, 0.1, 4000, rng)
    assert (~made[:, d]).mean() == pytest.approx(0.3, abs=0.01)
    assert made[:, ~d].mean() == pytest.approx(0.1, abs=0.01)
    swapped = swap_within(d, at, 0.4, 2000, rng)
    for s in range(4):
        assert (swapped[:, at == s].sum(axis=1) == d[at == s].sum()).all()
    assert (~swapped[:, d]).mean() == pytest.approx(0.4, abs=0.01)

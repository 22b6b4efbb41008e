"""Bounds on what was not reported: sharp by brute force, never without the truth, and breakdowns that break down."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from analysis.estimation.panel_arrays.differences import mean_changes
from analysis.estimation.panel_inference.coverage_bounds import (
    change_weights,
    factor_to_zero,
    filled,
    imbens_manski,
    ratio_to_zero,
    sharp_ends,
)


def _world(seed: int, n: int = 9):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=n)
    rate = rng.uniform(50, 500, n)
    coverage = np.where(rng.random(n) < 0.3, 1.0, rng.uniform(0, 1, n))
    lowest = rng.uniform(0, 200, n)
    return rng, weights, rate, coverage, lowest, lowest + rng.uniform(0, 300, n)


def test_weights_of_changes_are_those_of_the_difference_in_means():
    rng = np.random.default_rng(3)
    n = 40
    strata, size = np.repeat([0, 1, 2, 3], 10), rng.uniform(1, 9, n)
    treated = np.tile([True, False, False, True, False], 8)
    after, before = rng.normal(size=n), rng.normal(size=n)
    weights = change_weights(treated, size, strata)
    wanted, _ = mean_changes(after[:, None], before, treated, size, strata)
    assert float(weights @ (after - before)) == pytest.approx(float(wanted[0]), abs=1e-13)
    # Whatever a stratum shares drops out.
    assert np.bincount(strata, weights) == pytest.approx(np.zeros(4), abs=1e-15)
    with pytest.raises(ValueError, match="one arm alone"):
        change_weights(treated | (strata == 2), size, strata)


@pytest.mark.parametrize("seed", range(6))
def test_ends_are_the_extremes_of_every_corner_and_no_filling_lies_outside(seed):
    rng, weights, rate, coverage, lowest, highest = _world(seed)
    ends = sharp_ends(weights, rate, coverage, lowest, highest)
    corners = [
        float(weights @ filled(rate, coverage, np.where(np.array(corner), highest, lowest)))
        for corner in product([False, True], repeat=len(rate))
    ]
    assert ends.low == pytest.approx(min(corners), abs=1e-9)
    assert ends.high == pytest.approx(max(corners), abs=1e-9)
    assert float(weights @ ends.outcome_low) == pytest.approx(ends.low, abs=1e-12)
    inside = [float(weights @ filled(rate, coverage, rng.uniform(lowest, highest))) for _ in range(500)]
    assert ends.low <= min(inside) and max(inside) <= ends.high


def test_full_coverage_leaves_a_point_and_looks_at_no_unknown_rate():
    weights, rate = np.array([1.0, -2.0]), np.array([3.0, 4.0])
    ends = sharp_ends(weights, rate, np.ones(2), np.full(2, np.nan), np.full(2, np.nan))
    assert ends.low == ends.high == float(weights @ rate)
    # Nor at a rate where nobody reported.
    assert filled(np.array([np.nan]), np.zeros(1), np.array([7.0])).tolist() == [7.0]


@pytest.mark.parametrize(
    ("coverage", "rate", "unknown", "words"),
    [
        (1.2, 1.0, 1.0, "outside"),
        (np.nan, 1.0, 1.0, "outside"),
        (0.5, np.nan, 1.0, "missing"),
        (0.5, 1.0, np.nan, "missing"),
    ],
)
def test_a_rate_or_share_that_is_needed_is_asked_for(coverage, rate, unknown, words):
    with pytest.raises(ValueError, match=words):
        filled(np.array([rate]), np.array([coverage]), np.array([unknown]))


def test_values_in_the_wrong_order_are_refused():
    one = np.ones(1)
    with pytest.raises(ValueError, match="lowest"):
        sharp_ends(one, one, one / 2, 2 * one, one)
    with pytest.raises(ValueError, match="lower one first"):
        imbens_manski(1.0, 0.0, 1.0, 1.0, 0.95)
    with pytest.raises(ValueError, match="level"):
        imbens_manski(0.0, 1.0, 1.0, 1.0, 95)


@pytest.mark.parametrize("seed", range(6))
def test_at_the_ratio_found_the_estimate_is_zero(seed):
    _, weights, rate, coverage, _, _ = _world(seed)
    moved = np.arange(len(rate)) % 2 == 0
    k = ratio_to_zero(weights, rate, coverage, moved)
    unknown = np.where(moved, k * rate, rate)
    assert float(weights @ filled(rate, coverage, unknown)) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("seed", range(12))
def test_at_the_factor_found_zero_is_an_end_and_before_it_is_outside(seed):
    _, weights, rate, coverage, _, _ = _world(seed)
    k = factor_to_zero(weights, rate, coverage)
    assert 1 <= k < np.inf

    def nearest_zero(factor: float) -> float:
        ends = sharp_ends(weights, rate, coverage, rate / factor, rate * factor)
        return ends.low if weights @ rate > 0 else -ends.high

    assert nearest_zero(k) == pytest.approx(0, abs=1e-7)
    assert nearest_zero(1 + 0.99 * (k - 1)) > 0


def test_what_is_reported_in_full_cannot_be_explained_away():
    weights, rate = np.array([1.0, -1.0]), np.array([5.0, 3.0])
    assert ratio_to_zero(weights, rate, np.ones(2), np.array([True, False])) == np.inf
    assert factor_to_zero(weights, rate, np.ones(2)) == np.inf
    # Only the treated one is unreported in part: with no offence among the rest it would be 4 less 3.
    assert factor_to_zero(weights, rate, np.array([0.8, 1.0])) == np.inf
    assert ratio_to_zero(weights, rate, np.array([0.8, 1.0]), np.array([True, False])) < 0
    assert factor_to_zero(weights, rate, np.array([0.2, 1.0])) == pytest.approx(2.0)
    # An estimate of zero needs nothing.
    assert factor_to_zero(weights, np.full(2, 3.0), np.array([0.5, 0.5])) == 1.0


def test_the_critical_value_solves_its_equation_and_lies_between_one_and_two_sided():
    for gap, df in product((0.0, 0.3, 1.0, 4.0, 50.0), (4.0, 45.0)):
        low, high = imbens_manski(0.0, gap, 0.5, 1.0, 0.95, df)
        critical = -low / 0.5
        assert high - gap == pytest.approx(critical)
        assert t.cdf(critical + gap, df) - t.cdf(-critical, df) == pytest.approx(0.95, abs=1e-9)
        assert t.ppf(0.95, df) - 1e-8 <= critical <= t.ppf(0.975, df) + 1e-8
    assert np.isnan(imbens_manski(0.0, 1.0, np.nan, 1.0, 0.95)).all()


@pytest.mark.parametrize("width", [0.0, 0.5, 5.0])
def test_the_interval_holds_the_parameter_at_its_level_wherever_it_lies(width):
    rng = np.random.default_rng(11)
    draws, level = 4000, 0.95
    # Ends that move together, as those of one estimate do, with a little of their own.
    shared = rng.normal(size=draws)
    low, high = shared, shared + width * np.ones(draws)
    limits = np.array([imbens_manski(a, b, 1.0, 1.0, level) for a, b in zip(low, high, strict=True)])
    held = [((limits[:, 0] <= p) & (p <= limits[:, 1])).mean() for p in (0.0, width / 2, width)]
    assert min(held) == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / draws))
    assert held[1] >= min(held)

"""Overlap of propensity scores: brute force, hand-made cases, simulated counties."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from analysis.estimation.matching.overlap import (
    common_support,
    linear_overlap,
    trim,
    variance_bound,
    within_caliper,
)

RNG = np.random.default_rng(20260118)
LINEAR = RNG.normal(-1.5, 1.6, 600)
P = expit(LINEAR)
D = RNG.random(600) < P
ESTIMANDS = ("ate", "att", "atc")


def kept_by(alpha, estimand, p=P):
    """The set a cut-off keeps: both tails cut for the ATE, one for the others."""
    return (p >= (0 if estimand == "att" else alpha)) & (p <= (1 if estimand == "atc" else 1 - alpha))


@pytest.mark.parametrize("estimand", ESTIMANDS)
@pytest.mark.parametrize("seed", range(6))
def test_optimal_cut_off_has_the_lowest_variance_bound_of_all_cut_offs(estimand, seed):
    rng = np.random.default_rng(seed)
    # Rounding makes ties: rows of one score stay or go together.
    p = np.round(expit(rng.normal(rng.normal(), rng.uniform(0.3, 3.5), 250)), 2 + seed % 2).clip(0.005, 0.995)
    d = rng.random(250) < 0.5
    found = trim(p, d, estimand, "optimal_for_estimand")
    assert (found.kept == kept_by(found.alpha, estimand, p)).all()
    tried = np.unique(np.concatenate([[0.0], p, 1 - p]))
    bounds = [
        variance_bound(p, estimand, kept_by(a, estimand, p))
        for a in tried[tried < 0.5 if estimand == "ate" else tried < 1]
        if kept_by(a, estimand, p).any()
    ]
    best = min(bounds)
    assert variance_bound(p, estimand, found.kept) == pytest.approx(best, rel=1e-12)
    assert found.variance_ratio == pytest.approx(best / variance_bound(p, estimand), rel=1e-12)


@pytest.mark.parametrize("estimand", ESTIMANDS)
def test_no_set_whatever_beats_the_optimal_one(estimand):
    rng = np.random.default_rng(3)
    p = expit(rng.normal(0, 3, 11))
    d = np.arange(11) % 2 == 0
    sets = (np.arange(1, 2**11)[:, None] >> np.arange(11)) & 1 == 1
    best = min(variance_bound(p, estimand, s) for s in sets)
    found = trim(p, d, estimand, "optimal_for_estimand")
    assert found.alpha > 0 and variance_bound(p, estimand, found.kept) == pytest.approx(best, rel=1e-12)


def test_cut_off_solves_the_condition_of_the_paper():
    found = trim(P, D, "ate")
    g = 1 / (P * (1 - P))
    assert 1 / (found.alpha * (1 - found.alpha)) == pytest.approx(2 * g[found.kept].mean(), rel=1e-12)
    assert 0 < found.alpha < 0.5 - np.sqrt(1 / 8)
    treated = trim(P, D, "att", "optimal_for_estimand")
    inside = P[treated.kept]
    assert 1 / treated.alpha == pytest.approx(2 * (inside / (1 - inside)).sum() / inside.sum(), rel=1e-12)
    assert treated.low == 0 and trim(P, D, "atc", "optimal_for_estimand").high == 1


def test_nothing_is_trimmed_where_all_rows_are_worth_keeping():
    p = np.linspace(0.3, 0.7, 50)
    d = np.arange(50) % 2 == 0
    for estimand in ESTIMANDS:
        found = trim(p, d, estimand)
        assert found.kept.all() and found.estimand == estimand
        assert (found.alpha, found.low, found.high, found.variance_ratio) == (0, 0, 1, 1)


def test_bound_is_the_variance_of_the_ideal_estimator():
    # Outcome variance 1 everywhere and the true score: the estimator that weighs by it attains the bound.
    rng = np.random.default_rng(5)
    p = rng.choice([0.1, 0.3, 0.6], 4000)
    estimates = []
    for _ in range(400):
        d, noise = rng.random(4000) < p, rng.normal(size=4000)
        cells = [noise[(p == v) & d].mean() - noise[(p == v) & ~d].mean() for v in (0.1, 0.3, 0.6)]
        size = np.array([v * (p == v).sum() for v in (0.1, 0.3, 0.6)])
        estimates.append(size @ cells / size.sum())
    # Monte Carlo error of a variance from 400 draws is 7 %; three of them.
    assert np.var(estimates) == pytest.approx(variance_bound(p, "att"), rel=0.21)


def test_rule_of_thumb_and_the_names_of_what_is_left():
    found = trim(P, D, "att", 0.1)
    assert (found.kept == ((P >= 0.1) & (P <= 0.9))).all()
    assert found.estimand == "att among counties with propensity in [0.1, 0.9]"
    assert trim(P, D, "ate", 0.09).estimand == "ate among counties with propensity in [0.09, 0.91]"
    assert trim(P, D, "ate", 0.004, units="areas").estimand.startswith(
        "ate among areas with propensity in [0.004, 0.996]"
    )
    one_tail = trim(P, D, "att", "optimal_for_estimand").estimand
    assert one_tail.startswith("att among counties with propensity in [0, 0.")
    # Where treatment is rare low scores cost the ATT nothing, and leaving them out makes it less precise.
    rare, d = np.linspace(0.02, 0.3, 200), np.arange(200) % 2 == 0
    assert trim(rare, d, "att", 0.1).variance_ratio > 1
    assert trim(rare, d, "att", "optimal_for_estimand").kept.all()


def test_common_support_by_hand():
    score = np.array([0.2, 0.5, 0.9, 0.1, 0.4, 0.6, 0.7])
    d = np.array([True] * 3 + [False] * 4)
    found = common_support(score, d)
    assert (found.low, found.high) == (0.2, 0.7)
    assert found.inside.tolist() == [True, True, False, False, True, True, True]
    assert (found.treated_outside, found.comparison_outside) == (pytest.approx(1 / 3), 0.25)
    apart = common_support(np.array([0.8, 0.9, 0.1, 0.2]), np.array([True, True, False, False]))
    assert apart.low > apart.high and apart.treated_outside == apart.comparison_outside == 1


def test_near_rows_equal_all_distances():
    found = within_caliper(LINEAR, D, 0.02)
    gap = np.abs(LINEAR[D][:, None] - LINEAR[~D][None, :])
    width = 0.02 * LINEAR.std(ddof=1)
    assert found.width == pytest.approx(width)
    assert (found.near[D] == (gap.min(axis=1) <= width)).all()
    assert (found.near[~D] == (gap.min(axis=0) <= width)).all()
    assert 0 < found.share_treated < 1
    assert (found.share_treated, found.share_comparison) == (found.near[D].mean(), found.near[~D].mean())


def test_overlap_falls_as_arms_part():
    z = np.random.default_rng(1).normal(size=2000)
    d = np.arange(2000) < 1000
    found = [linear_overlap(z + step * d, d) for step in (0.0, 0.5, 1.0, 2.0, 8.0)]
    assert found == sorted(found, reverse=True) and found[0] > 0.93 and found[-1] < 0.001


def test_what_cannot_be_read_is_named():
    with pytest.raises(ValueError, match=r"probabilities are not between 0 and 1 \(rows \[0\]\)"):
        trim(np.array([1.0, 0.5]), np.array([True, False]))
    with pytest.raises(ValueError, match=r"no treated row has a propensity in \[0.1, 0.9\]"):
        trim(np.array([0.95, 0.5]), np.array([True, False]), rule=0.1)
    with pytest.raises(ValueError, match=r"alpha = 0.5; wanted one in \[0, 0.5\)"):
        trim(P, D, rule=0.5)
    with pytest.raises(ValueError, match="wanted optimal"):
        trim(P, D, rule="best")
    with pytest.raises(ValueError, match="wanted att, atc or ate"):
        trim(P, D, "ato", "optimal_for_estimand")
    with pytest.raises(ValueError, match="2 of 2 rows are treated"):
        common_support(np.array([0.4, 0.5]), np.array([True, True]))
    with pytest.raises(ValueError, match=r"1 scores are missing \(rows \[1\]\)"):
        within_caliper(np.array([0.4, np.nan]), np.array([True, False]))
    with pytest.raises(ValueError, match="wanted one above 0"):
        within_caliper(LINEAR, D, 0.0)

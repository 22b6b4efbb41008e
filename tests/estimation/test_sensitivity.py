"""Bounds under hidden bias against enumeration over every u in {0, 1}, scipy, R and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from estimation_cases import reference_values
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata, wilcoxon

from analysis.estimation.matching.sensitivity import (
    NOTE,
    critical_gamma,
    e_value,
    e_value_difference,
    pair_bounds,
    set_bounds,
    set_p_bounds,
    signed_rank_bounds,
)

R = reference_values("matching_inference")["signed_rank"]


def chances(u, gamma):
    """The chance that each row of a set is the treated one, given u and treatment of one row."""
    odds = gamma ** np.asarray(u, dtype=float)
    return odds / odds.sum()


# --- pairs ------------------------------------------------------------------------------------------------------


def test_signed_ranks_without_bias_equal_r_and_scipy():
    d = np.array(R["difference"])
    low, high = signed_rank_bounds(d, 1.0, method="exact")
    assert low == high == pytest.approx(R["p_exact"], rel=1e-10)
    assert pair_bounds(d, np.array([1.0])).estimate_low[0] == pytest.approx(R["estimate"], abs=1e-12)
    assert signed_rank_bounds(np.round(d), 1.0, method="normal")[1] == pytest.approx(
        R["p_normal_ties"], rel=1e-10
    )
    scipys = wilcoxon(-d, alternative="less", method="exact").pvalue
    assert signed_rank_bounds(-d, 1.0, "less", "exact")[1] == pytest.approx(scipys, rel=1e-10)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 4.0])
def test_pair_bounds_equal_every_u_and_every_assignment(gamma):
    # Six pairs, one tie in size: 4^6 values of u, 2^6 assignments, no shortcut.
    d = np.array([0.4, -1.1, 2.0, 2.0, 3.1, -0.7])
    ranks = rankdata(np.abs(d))
    observed = ranks[d > 0].sum()
    signs = np.array(list(product([0, 1], repeat=6)))
    reaches = signs @ ranks >= observed - 1e-9
    # The chance that the row with the higher outcome is treated, for each u of the pair.
    of_u = [chances(u, gamma)[0] for u in product([0, 1], repeat=2)]
    tails = []
    for share in product(sorted(set(of_u)), repeat=6):
        p = np.array(share)
        tails.append(np.where(signs == 1, p, 1 - p).prod(axis=1)[reaches].sum())
    low, high = signed_rank_bounds(d, gamma, method="exact")
    assert low == pytest.approx(min(tails), rel=1e-12)
    assert high == pytest.approx(max(tails), rel=1e-12)


# Lead in the blood of children of battery workers and of their matches (Morton et al. 1982; Rosenbaum 2002, chapter 4).
LEAD = np.array(
    [38, 23, 41, 18, 37, 36, 23, 62, 31, 34, 24, 14, 21, 17, 16, 20, 15, 10, 45, 39, 22, 35, 49, 48, 44, 35, 43, 39,
     34, 13, 73, 25, 27]
)  # fmt: skip
NO_LEAD = np.array(
    [16, 18, 18, 24, 19, 11, 10, 15, 16, 18, 18, 13, 19, 10, 16, 16, 24, 13, 9, 14, 21, 19, 7, 18, 19, 12, 11, 22, 25,
     16, 13, 11, 13]
)  # fmt: skip


def test_published_bounds_of_lead_in_the_blood():
    # Rosenbaum (2002), tables 4.3 and 4.4, to the digits printed; one pair of 33 does not differ and keeps its rank.
    d = (LEAD - NO_LEAD).astype(float)
    printed = {2.0: 0.0018, 3.0: 0.0136, 4.0: 0.0388, 4.25: 0.0468, 5.0: 0.0740}
    for gamma, p in printed.items():
        found = signed_rank_bounds(d, gamma, method="normal", zeros="ranked")
        assert found[1] == pytest.approx(p, abs=5e-5) and found[0] < 1e-4
    b = pair_bounds(d, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert b.estimate_low.tolist() == [15, 10.25, 8, 6.5, 5]
    assert b.estimate_high.tolist() == [15, 19.5, 23, 25, 26.5]
    assert b.conf_low.tolist() == [9.5, 4.5, 1, -1, -3]
    # Without the pair that does not differ: the exact test of R's exactRankTests, 8.037e-07 in two tails.
    assert 2 * signed_rank_bounds(d, 1.0, method="exact")[1] == pytest.approx(8.037e-7, rel=1e-3)


def test_ranked_zeros_count_for_neither_side():
    # Two zeros push the ranks of 1, 2, -3 to 3, 4, 5: sums reach 3 + 4 unless both are lost.
    d, share = np.array([1.0, 0.0, 2.0, -3.0, 0.0]), 2 / 3
    reach = [s for s in product([0, 1], repeat=3) if s @ np.array([3, 4, 5]) >= 7]
    expected = sum(share ** sum(s) * (1 - share) ** (3 - sum(s)) for s in reach)
    assert signed_rank_bounds(d, 2.0, zeros="ranked")[1] == pytest.approx(expected)
    assert signed_rank_bounds(d, 2.0)[1] == signed_rank_bounds(d[d != 0], 2.0)[1]


def test_all_positive_differences_by_hand():
    # Only one assignment is as extreme: (gamma / (1 + gamma))^s.
    low, high = signed_rank_bounds(np.arange(1.0, 8.0), 3.0)
    assert high == pytest.approx(0.75**7)
    assert low == pytest.approx(0.25**7)


def test_exact_and_normal_meet_and_zeros_are_left_out():
    d = np.random.default_rng(1).normal(0.4, size=150)
    for gamma in (1.0, 1.4, 2.0):
        exact = signed_rank_bounds(d, gamma, method="exact")
        assert signed_rank_bounds(d, gamma, method="normal") == pytest.approx(exact, abs=2e-3)
        assert signed_rank_bounds(np.append(d, [0.0, 0.0]), gamma, method="exact") == exact


def rank_sum(d, effect):
    """Positive ranks of what is left of the differences, zeros counting half."""
    left = d - effect
    r = rankdata(np.abs(left))
    return r[left > 0].sum() + r[left == 0].sum() / 2


@pytest.mark.parametrize("gamma", [1.0, 1.3, 2.5])
def test_hodges_lehmann_bounds_solve_their_equations(gamma):
    d = np.random.default_rng(7).normal(1.0, 2.0, size=31)
    b = pair_bounds(d, np.array([gamma]))
    s, share, step = len(d), gamma / (1 + gamma), 1e-7
    total = s * (s + 1) / 2
    spread = (share * (1 - share) * s * (s + 1) * (2 * s + 1) / 6) ** 0.5
    critical = norm.ppf(0.975)
    # Just below a bound the rank sum is above its target, just above it no longer.
    for bound, target in ((b.estimate_low[0], share * total), (b.estimate_high[0], (1 - share) * total)):
        assert rank_sum(d, bound - step) >= target - 1 and rank_sum(d, bound + step) <= target + 1
    low, high = b.conf_low[0], b.conf_high[0]
    assert rank_sum(d, low - step) > share * total + critical * spread >= rank_sum(d, low + step)
    assert rank_sum(d, high - step) >= (1 - share) * total - critical * spread > rank_sum(d, high + step)


def test_interval_and_p_value_agree_under_bias():
    # The interval leaves out an effect exactly when the two-sided test at that bias rejects it.
    d = np.random.default_rng(3).normal(0.6, size=60)
    for gamma in (1.0, 1.2, 1.5, 2.0):
        low = pair_bounds(d, np.array([gamma])).conf_low[0]
        assert (low > 0) == (signed_rank_bounds(d, gamma, method="normal")[1] < 0.025)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.1, 10))
def test_pair_bounds_widen_shift_and_scale(seed, shift, scale):
    d = np.random.default_rng(seed).normal(size=25)
    gammas = np.array([1.0, 1.5, 3.0])
    b, moved = pair_bounds(d, gammas), pair_bounds(scale * d + shift, gammas)
    assert (np.diff(b.p_high) >= 0).all() and (np.diff(b.p_low) <= 0).all()
    assert (np.diff(b.estimate_high) >= 0).all() and (np.diff(b.estimate_low) <= 0).all()
    assert (b.conf_low <= b.estimate_low).all() and (b.estimate_high <= b.conf_high).all()
    for name in ("estimate_low", "estimate_high", "conf_low", "conf_high"):
        assert getattr(moved, name) == pytest.approx(scale * getattr(b, name) + shift, abs=1e-9)
    turned = pair_bounds(-d, gammas, alternative="less")
    assert turned.p_high == pytest.approx(b.p_high)
    assert turned.estimate_low == pytest.approx(-b.estimate_high, abs=1e-12)
    assert turned.conf_high == pytest.approx(-b.conf_low, abs=1e-12)


def test_too_few_pairs_give_an_open_interval():
    b = pair_bounds(np.array([1.0, 2.0, 3.0]), np.array([1.0, 6.0]))
    assert np.isneginf(b.conf_low).all() and np.isposinf(b.conf_high).all()
    assert b.note == NOTE and "carries no verdict" in NOTE


# --- sets -------------------------------------------------------------------------------------------------------


def small_sets(seed, sizes, several_treated=()):
    rng = np.random.default_rng(seed)
    sets = np.repeat(np.arange(len(sizes)), sizes)
    first = np.concatenate([[True], np.diff(sets) > 0])
    treated = np.where(np.isin(sets, several_treated), ~first, first)
    return rng.normal(size=len(sets)) + 0.7 * treated, treated, sets


def scores_of(y, sets, kind):
    aligned = y - np.array([y[sets == s].mean() for s in sets])
    return aligned if kind == "mean" else rankdata(np.round(aligned, 11))


def moments(q, sets, chosen_sign, gamma, every_u):
    """Mean and variance of the sum over sets of the chosen row's score, for every u."""
    means, variances = [], []
    for s, us in enumerate(every_u):
        values = chosen_sign[s] * q[sets == s]
        p = np.array([chances(u, gamma) for u in us])
        means.append(p @ values)
        variances.append(p @ values**2 - (p @ values) ** 2)
    return means, variances


@pytest.mark.parametrize("kind", ["mean", "aligned_rank"])
@pytest.mark.parametrize("gamma", [1.0, 1.6, 3.0])
def test_set_bound_is_the_worst_u_of_each_set_by_enumeration(kind, gamma):
    sizes = [2, 3, 5, 4, 3]
    y, d, sets = small_sets(11, sizes, several_treated=(3,))
    q, sign = scores_of(y, sets, kind), np.array([1, 1, 1, -1, 1])
    every_u = [list(product([0, 1], repeat=size)) for size in sizes]
    means, variances = moments(q, sets, sign, gamma, every_u)
    mean = sum(m.max() for m in means)
    variance = sum(v[m >= m.max() - 1e-12].max() for m, v in zip(means, variances, strict=True))
    statistic = q[d].sum() - q[sets == 3].sum()
    expected = norm.sf((statistic - mean) / variance**0.5)
    low, high = set_p_bounds(y, d, sets, gamma, scores=kind)
    assert high == pytest.approx(expected, rel=1e-9)
    assert low <= high
    assert (low == pytest.approx(high)) == (gamma == 1.0)


@pytest.mark.parametrize("kind", ["mean", "aligned_rank"])
def test_separable_bound_is_near_the_joint_maximum(kind):
    # Every combination of u over eight sets of three: the approximation is below it, and not by much.
    gamma, sizes = 1.5, [3] * 8
    y, d, sets = small_sets(2, sizes)
    q = scores_of(y, sets, kind)
    # u = 0 for the j smallest scores, 1 for the rest, is where the maximum lies: two candidates a set.
    every_u = [[np.argsort(np.argsort(q[sets == s])) >= j for j in (1, 2)] for s in range(8)]
    means, variances = moments(q, sets, np.ones(8), gamma, every_u)
    joint = max(
        norm.sf(
            (q[d].sum() - sum(m[c] for m, c in zip(means, pick, strict=True)))
            / sum(v[c] for v, c in zip(variances, pick, strict=True)) ** 0.5
        )
        for pick in product([0, 1], repeat=8)
    )
    found = set_p_bounds(y, d, sets, gamma, scores=kind)[1]
    assert found <= joint + 1e-12
    assert found == pytest.approx(joint, abs=0.005)


@pytest.mark.parametrize("kind", ["mean", "aligned_rank"])
@pytest.mark.parametrize("gamma", [1.5, 4.0])
def test_no_hidden_covariate_whatever_beats_the_bound_by_much(kind, gamma):
    # All 2^12 values of u on a pair, two sets of three and one of four (several treated), and every assignment.
    y, d, sets = small_sets(21, [2, 3, 3, 4], several_treated=(3,))
    q, sign = scores_of(y, sets, kind), np.where(np.arange(4) == 3, -1.0, 1.0)
    observed = q[d].sum() - q[sets == 3].sum()
    rows = [np.flatnonzero(sets == s) for s in range(4)]
    picks = np.array(list(product(*(range(len(r)) for r in rows))))
    values = np.array([sum(sign[s] * q[rows[s][c]] for s, c in enumerate(pick)) for pick in picks])
    normal, exact = [], []
    for u in product([0, 1], repeat=len(y)):
        p = [chances(np.array(u)[r], gamma) for r in rows]
        weight = np.prod([p[s][picks[:, s]] for s in range(4)], axis=0)
        mean = weight @ values
        normal.append(norm.sf((observed - mean) / (weight @ values**2 - mean**2) ** 0.5))
        exact.append(weight[values >= observed - 1e-9].sum())
    low, high = set_p_bounds(y, d, sets, gamma, scores=kind)
    # The separate worst u of each set, against the joint one: below it, and near.
    assert max(normal) - 0.02 <= high <= max(normal) + 1e-12
    assert min(normal) - 1e-12 <= low <= min(normal) + 0.02
    # Four sets are few for a normal tail; the direction and size are right.
    assert high == pytest.approx(max(exact), abs=0.12) and low <= high


def test_normal_set_bound_is_near_the_exact_tail_under_the_worst_u():
    gamma, sizes = 1.5, [3] * 8
    y, d, sets = small_sets(5, sizes)
    q = scores_of(y, sets, "mean")
    observed = q[d].sum()
    tail = 0.0
    values, p = [], []
    for s in range(8):
        v = q[sets == s]
        options = [np.argsort(np.argsort(v)) >= j for j in (1, 2)]
        best = max(options, key=lambda u, v=v: chances(u, gamma) @ v)
        values.append(v)
        p.append(chances(best, gamma))
    for pick in product(range(3), repeat=8):
        if sum(v[c] for v, c in zip(values, pick, strict=True)) >= observed - 1e-12:
            tail += np.prod([x[c] for x, c in zip(p, pick, strict=True)])
    # Eight sets: the normal approximation itself is off by some points.
    assert set_p_bounds(y, d, sets, gamma, scores="mean")[1] == pytest.approx(tail, abs=0.03)


def test_sets_of_two_without_bias_are_the_paired_permutation_test():
    d = np.random.default_rng(8).normal(0.3, size=40)
    y, treated, sets = np.zeros(80), np.tile([True, False], 40), np.repeat(np.arange(40), 2)
    y[::2] = d
    # Moments of the sign-flip test of the mean.
    expected = norm.sf(d.sum() / (d**2).sum() ** 0.5)
    assert set_p_bounds(y, treated, sets, 1.0, scores="mean")[1] == pytest.approx(expected, rel=1e-10)
    b = set_bounds(y, treated, sets, np.array([1.0]), scores="mean")
    assert b.estimate_low[0] == pytest.approx(d.mean(), abs=1e-8) == b.estimate_high[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.sampled_from(["mean", "aligned_rank"]))
def test_set_bounds_follow_effect_order_and_direction(seed, shift, kind):
    y, d, sets = small_sets(seed, [2, 3, 4, 3, 5, 2, 3, 4], several_treated=(2, 5))
    gammas = np.array([1.0, 1.5, 2.5])
    b = set_bounds(y, d, sets, gammas, scores=kind)
    assert (np.diff(b.p_high) >= -1e-12).all() and (np.diff(b.p_low) <= 1e-12).all()
    assert (np.diff(b.estimate_high) >= -1e-6).all() and (np.diff(b.estimate_low) <= 1e-6).all()
    assert (b.conf_low <= b.estimate_low + 1e-6).all() and (b.estimate_high <= b.conf_high + 1e-6).all()
    order = np.random.default_rng(seed).permutation(len(y))
    again = set_bounds(y[order], d[order], 100 - sets[order], gammas, scores=kind)
    assert again.p_high == pytest.approx(b.p_high, rel=1e-9)
    moved = set_bounds(y + shift * d, d, sets, gammas, scores=kind)
    assert moved.estimate_low == pytest.approx(b.estimate_low + shift, abs=1e-6)
    less = set_p_bounds(-y, d, sets, 1.5, scores=kind, alternative="less")
    assert less == pytest.approx(set_p_bounds(y, d, sets, 1.5, scores=kind))


def test_among_equally_bad_u_the_larger_variance_counts():
    # Outcomes 0, 2, 3 at gamma 2: u = (0, 1, 1) and (0, 0, 1) both expect 2, with variances 1.2 and 1.5.
    y, d = np.array([3.0, 0.0, 2.0]), np.array([True, False, False])
    high = set_p_bounds(y, d, np.zeros(3, dtype=int), 2.0, scores="mean")[1]
    assert high == pytest.approx(norm.sf(1 / 1.5**0.5), rel=1e-9)


def test_arms_exchanged_tell_the_same():
    # One treated and several comparison rows, and the same outcomes with arms named the other way round.
    y, d, sets = small_sets(4, [3, 4, 2, 5, 3, 3])
    for kind in ("mean", "aligned_rank"):
        one = set_p_bounds(y, d, sets, 1.7, scores=kind)
        other = set_p_bounds(y, ~d, sets, 1.7, scores=kind, alternative="less")
        assert other == pytest.approx(one, rel=1e-9)


# --- critical gamma, E-values, bad input ------------------------------------------------------------------------


def test_critical_gamma_solves_its_equation():
    d = np.random.default_rng(3).normal(0.8, size=50)
    gamma = critical_gamma(lambda g: signed_rank_bounds(d, g)[1])
    assert gamma > 1 and signed_rank_bounds(d, gamma)[1] == pytest.approx(0.05, abs=1e-8)
    assert critical_gamma(lambda g: signed_rank_bounds(-d, g)[1]) == 1.0
    assert critical_gamma(lambda g: 0.0) == float("inf")


def test_e_values_of_the_published_example_and_their_definition():
    # VanderWeele and Ding (2017): breastfeeding and respiratory death, 3.9 (1.8 to 8.7): 7.26 and 3.0.
    found = e_value(3.9, 1.8, 8.7)
    assert found.estimate == pytest.approx(7.263, abs=1e-3)
    assert found.interval == pytest.approx(3.0)
    # A confounder with both ratios equal to E has the bounding factor E E / (E + E - 1) = the ratio.
    e = found.estimate
    assert e * e / (2 * e - 1) == pytest.approx(3.9)
    turned = e_value(1 / 3.9, 1 / 8.7, 1 / 1.8)
    assert (turned.estimate, turned.interval) == pytest.approx((found.estimate, found.interval))
    assert e_value(1.2, 0.9, 1.6).interval == 1.0
    assert e_value(1.0, 0.9, 1.1).estimate == 1.0
    assert found.note == NOTE


def test_e_value_of_a_difference_is_that_of_its_ratio():
    values = np.array([3.0, 3 - norm.ppf(0.975), 3 + norm.ppf(0.975)])
    found = e_value_difference(values, 6.0)
    assert found == e_value(*np.exp(0.91 * values / 6))
    open_ended = e_value_difference(np.array([3.0, np.nan, np.nan]), 6.0)
    assert (open_ended.estimate, open_ended.interval) == (found.estimate, 1.0)
    mirrored = e_value_difference(-values[[0, 2, 1]], 6.0)
    assert (mirrored.estimate, mirrored.interval) == pytest.approx((found.estimate, found.interval))


def test_bad_input_is_named():
    y, d, sets = small_sets(1, [2, 3, 3])
    missing = np.where(np.arange(len(y)) == 2, np.nan, y)
    flat = np.zeros(len(y))
    cases = [
        (lambda: signed_rank_bounds(np.array([1.0, 2.0]), 0.5), "gamma = 0.5"),
        (lambda: signed_rank_bounds(np.array([1.0, np.nan]), 2.0), "1 pair differences are missing"),
        (lambda: signed_rank_bounds(np.zeros(3), 2.0), "every pair difference is zero"),
        (lambda: pair_bounds(np.array([1.0, 2.0]), np.array([1.0]), level=95), "level = 95"),
        (lambda: set_p_bounds(missing, d, sets, 2.0), "1 matched outcomes are missing"),
        (lambda: set_p_bounds(flat, d, sets, 2.0), "do not vary"),
        (lambda: set_p_bounds(y, d | True, sets, 2.0), "with 2 treated and 0 comparison"),
        (lambda: set_p_bounds(y, d, sets, 0.9), "gamma = 0.9"),
        (lambda: set_p_bounds(y, d, sets, 2.0, scores="ranks"), "wanted aligned_rank or mean"),
        (lambda: set_p_bounds(y, d, np.full(len(y), -1), 2.0), "no matched sets"),
        (lambda: set_bounds(y, d, sets, np.array([0.5])), "gamma = 0.5"),
        (lambda: e_value(-1.0, -2.0, 3.0), "wanted 0 < low"),
        (lambda: e_value_difference(np.array([1.0, 0.0, 2.0]), 0.0), "wanted a positive"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()

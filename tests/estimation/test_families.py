"""Adjusted p-values of a family against their definitions, known examples and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from analysis.estimation.inference import cluster_variance, two_sided_p
from analysis.estimation.panel_inference.families import (
    align_influence,
    benjamini_hochberg,
    family,
    holm,
    joint_statistics,
    step_down,
)


def test_holm_and_benjamini_hochberg_equal_statsmodels():
    p = np.random.default_rng(1).random(25) ** 2
    p[3] = p[4]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])
    with_gap = np.insert(p, 2, np.nan)
    assert np.isnan(holm(with_gap)[2]) and np.delete(holm(with_gap), 2) == pytest.approx(holm(p))
    assert np.delete(benjamini_hochberg(with_gap), 2) == pytest.approx(benjamini_hochberg(p))


def by_definition(statistic, drawn):
    """Romano and Wolf (2016): step by step, the largest of what is left."""
    left, last = list(np.argsort(-np.abs(statistic))), 0.0
    out = np.empty(len(statistic))
    while left:
        largest = np.abs(drawn[:, left]).max(axis=1)
        p = (1 + np.sum(largest >= abs(statistic[left[0]]))) / (1 + len(drawn))
        last = max(last, p)
        out[left.pop(0)] = last
    return out


def test_step_down_by_definition():
    rng = np.random.default_rng(5)
    drawn = rng.normal(size=(499, 6)) @ rng.normal(size=(6, 6)) / 3
    statistic = np.array([1.5, -4.0, 0.3, 2.5, -2.4, 1.0])
    found = step_down(statistic, drawn)
    assert found == pytest.approx(by_definition(statistic, drawn), rel=1e-12)
    # A missing one takes no part.
    gap = step_down(np.insert(statistic, 1, np.nan), np.insert(drawn, 1, 9.0, axis=1))
    assert np.isnan(gap[1]) and np.delete(gap, 1) == pytest.approx(found)
    order = rng.permutation(6)
    assert step_down(statistic[order], drawn[:, order]) == pytest.approx(found[order])


def test_limits_of_dependence():
    rng = np.random.default_rng(6)
    one = rng.normal(size=(4_999, 1))
    statistic = np.array([2.6, 2.5, 2.4])
    # Copies of one estimate cost nothing.
    alike = step_down(statistic, np.repeat(one, 3, axis=1))
    alone = [(1 + np.sum(np.abs(one) >= t)) / 5_000 for t in statistic]
    assert alike == pytest.approx(alone)
    # Independent ones cost what Sidak says, step by step.
    apart = step_down(statistic, rng.normal(size=(39_999, 3)))
    p = two_sided_p(statistic, np.inf)
    assert apart == pytest.approx(np.maximum.accumulate(1 - (1 - p) ** np.array([3, 2, 1])), rel=0.1)


def samples(seed, effect=(0.0, 0.0, 0.0, 0.0), states=40):
    """Four estimates from three samples of counties in states that share shocks, with their contributions."""
    rng = np.random.default_rng(seed)
    counties = np.array([f"{i:04d}" for i in range(4 * states)])
    shock = np.repeat(rng.normal(size=(states, 1)), 4, axis=0) + np.repeat(
        rng.normal(size=(states, 4)), 4, axis=0
    )
    value = shock + rng.normal(size=(4 * states, 4)) + np.asarray(effect)
    kept = [np.arange(4 * states), np.arange(12, 4 * states), np.flatnonzero(np.arange(4 * states) % 4 < 3)]
    columns = ([0, 1], [2], [3])
    estimates, influences, labels = [], [], []
    for rows, column in zip(kept, columns, strict=True):
        part = value[np.ix_(rows, column)]
        estimates.append(part.mean(axis=0))
        influences.append((part - part.mean(axis=0)) / len(rows))
        labels.append(counties[rows])
    psi, union = align_influence(influences, labels)
    return np.concatenate(estimates), psi, np.array([int(c) // 4 for c in union])


def test_family_of_estimates_from_different_samples():
    estimate, psi, state = samples(3)
    found = family(estimate, psi, state, draws=999, seed=1, df=39)
    inside = [psi[:, j] != 0 for j in range(4)]
    error = np.sqrt([cluster_variance(psi[use][:, [j]], state[use])[0, 0] for j, use in enumerate(inside)])
    assert found.statistic == pytest.approx(estimate / error)
    assert found.p_value == pytest.approx(two_sided_p(estimate / error, 39))
    drawn = joint_statistics(psi, state, draws=999, seed=1, df=39)
    assert found.romano_wolf == pytest.approx(by_definition(found.statistic, drawn), rel=1e-12)
    assert found.holm == pytest.approx(holm(found.p_value))
    # The draws move together as the estimates do: states are shared.
    sums = np.array([psi[state == s].sum(axis=0) for s in range(40)])
    length = np.sqrt((sums**2).sum(axis=0))
    together = joint_statistics(psi, state, draws=40_000, seed=1, df=np.inf)
    assert together.T @ together / 40_000 == pytest.approx(sums.T @ sums / np.outer(length, length), abs=0.03)


def test_missing_estimates_stay_missing():
    estimate, psi, state = samples(3)
    estimate, psi = np.append(estimate, np.nan), np.column_stack([psi, np.full(len(psi), np.nan)])
    found = family(estimate, psi, state, draws=199, seed=1, df=39)
    full = family(estimate[:4], psi[:, :4], state, draws=199, seed=1, df=39)
    assert np.isnan([found.romano_wolf[4], found.holm[4], found.benjamini_hochberg[4]]).all()
    assert found.romano_wolf[:4] == pytest.approx(full.romano_wolf)


def test_false_rejections_in_the_family_are_as_rare_as_stated():
    # 300 families, 40 states, all four effects zero, then two of them zero; 5 %, Monte Carlo error 1.3 points.
    wrong = np.zeros((2, 300), dtype=bool)
    alone = np.zeros(300, dtype=bool)
    for i in range(300):
        for case, effect in enumerate(((0, 0, 0, 0), (2.0, 0, 0, -2.0))):
            estimate, psi, state = samples(1_000 + i, effect)
            found = family(estimate, psi, state, draws=299, seed=i, df=39)
            true = np.asarray(effect) == 0
            wrong[case, i] = (found.romano_wolf[true] <= 0.05).any()
            if case == 0:
                alone[i] = (found.p_value <= 0.05).any()
    assert (wrong.mean(axis=1) < 0.05 + 3 * 0.0126).all()
    assert wrong.mean() > 0.01
    # Without adjustment one is found far more often.
    assert alone.mean() > 0.1


def test_refusals():
    with pytest.raises(ValueError, match="wanted one a county"):
        align_influence([np.ones(2)], [np.array(["a", "a"])])
    with pytest.raises(ValueError, match="wanted \\(k,\\) and \\(draws, k\\)"):
        step_down(np.ones(2), np.ones((5, 3)))
    with pytest.raises(ValueError, match="need draws"):
        joint_statistics(np.eye(3), np.arange(3), draws=0, seed=1, df=2)
    with pytest.raises(ValueError, match="at least two clusters"):
        joint_statistics(np.eye(3), np.zeros(3), draws=9, seed=1, df=2)

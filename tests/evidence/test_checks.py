"""Equivalence, detectable effects, leads and balance against formulas and simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evidence_cases import CROSS_SECTION, estimate, panel, spec
from scipy import stats

from analysis.base.errors import StudyError
from analysis.design.design import make_design
from analysis.evidence.checks.balance import balance
from analysis.evidence.checks.equivalence import detectable_effect, equivalence, two_one_sided
from analysis.evidence.checks.pretrends import pretrends, wald


@pytest.mark.parametrize("df", [5.0, 29.0, np.inf])
@pytest.mark.parametrize("value", [-1.0, 0.0, 2.2])
def test_two_one_sided_tests_reject_exactly_when_the_interval_lies_inside(df, value):
    t = stats.norm if np.isinf(df) else stats.t(df)
    for bound in np.linspace(0.5, 8.0, 40):
        half = t.ppf(0.95)
        inside = -bound < value - half and value + half < bound
        assert (two_one_sided(value, 1.0, bound, df).p_value < 0.05) == inside


def test_two_one_sided_by_hand_and_refusals():
    found = two_one_sided(1.0, 2.0, 5.0)
    assert found.p_below == pytest.approx(stats.norm.sf(3.0)) and found.p_above == pytest.approx(
        stats.norm.sf(2.0)
    )
    assert found.p_value == found.p_above
    for error, bound in ((0.0, 1.0), (1.0, 0.0), (1.0, -1.0)):
        with pytest.raises(StudyError, match="both positive"):
            two_one_sided(0.0, error, bound)


@pytest.mark.parametrize("df", [8.0, 30.0, 200.0])
def test_the_detectable_effect_has_the_power_it_states(df):
    effect = detectable_effect(1.0, df, power=0.8)
    critical = stats.t.ppf(0.975, df)
    power = stats.nct.sf(critical, df, effect) + stats.nct.cdf(-critical, df, effect)
    # t quantiles stand in for the noncentral t: close, and closer with more clusters.
    assert power == pytest.approx(0.8, abs=0.03 if df < 10 else 0.01)


def test_equivalence_of_an_estimate():
    row = equivalence(estimate(spec(), -6.0, 2.0, baseline=300.0), declined_per_10k=2.0).iloc[0]
    assert row["bound"] == 15.0
    assert row["p_equivalence"] == pytest.approx(stats.t.sf(4.5, 29))
    assert row["detectable"] == pytest.approx(2.0 * (stats.t.ppf(0.975, 29) + stats.t.ppf(0.8, 29)))
    assert row["detectable_percent"] == pytest.approx(row["detectable"] / 3.0)
    assert row["detectable_per_declined"] == pytest.approx(row["detectable"] / 10 / 2.0)
    missing = equivalence(estimate(spec(), np.nan)).iloc[0]
    assert np.isnan(missing["p_equivalence"]) and np.isnan(missing["detectable"])


def test_the_joint_test_keeps_its_size_with_few_clusters():
    rng = np.random.default_rng(20260101)
    clusters, leads, draws = 15, 4, 4000
    rejected = chi2 = 0
    for _ in range(draws):
        scores = rng.normal(size=(clusters, leads))
        mean, vcov = scores.mean(axis=0), np.cov(scores.T) / clusters
        _, q, df_2, p = wald(mean, vcov, clusters - 1)
        assert (q, df_2) == (leads, clusters - leads)
        rejected += p < 0.05
        chi2 += stats.chi2.sf(mean @ np.linalg.inv(vcov) @ mean, leads) < 0.05
    # Exact for normal scores: within three Monte Carlo errors of 5 %; the plain Wald test rejects far too often.
    assert abs(rejected / draws - 0.05) < 3 * np.sqrt(0.05 * 0.95 / draws)
    assert chi2 / draws > 0.15


def test_more_leads_than_clusters_give_no_test():
    f, q, _, p = wald(np.ones(5), np.eye(5), 4.0)
    assert np.isnan(p) and np.isnan(f) and q == 5


def test_leads_alone_are_tested_and_matched_years_are_not():
    made = estimate(spec(), [3.0, 2.0, 1.0, 9.0, 9.0], 1.0, event_times=[-4, -3, -2, 0, 1])
    found = pretrends(made)
    assert found.event_times == (-4, -3, -2) and found.df_1 == 3 and found.df_2 == 27.0
    assert found.statistic == pytest.approx(14.0 * 27 / (29 * 3))
    matched = pretrends(made, matched_on=[-4])
    assert matched.event_times == (-3, -2) and "matched on" in matched.note
    gap = pretrends(estimate(spec(), [np.nan, 2.0, 1.0, 9.0], 1.0, event_times=[-4, -3, -2, 0]))
    assert gap.event_times == (-3, -2) and "could not be estimated" in gap.note
    # Treated counties in one state: the variance of that lead is of comparison counties alone.
    table = made.table.assign(std_error=made.table["std_error"].where(made.table["event_time"] != -4))
    alone = pretrends(replace(made, table=table))
    assert alone.event_times == (-3, -2) and "have no error" in alone.note
    with pytest.raises(StudyError, match="none to test"):
        pretrends(made, matched_on=[-4, -3, -2])
    with pytest.raises(StudyError, match="event_time"):
        pretrends(estimate(spec(), 1.0))


def test_balance_before_and_after_the_match():
    made = make_design(panel(), spec(CROSS_SECTION))
    table = balance(made).set_index("sample")
    counties = made.table
    x, treated = counties["hispanic"].to_numpy(), counties["treated"].to_numpy(bool)
    before = table.loc["before"]
    assert before["mean_treated"] == pytest.approx(x[treated].mean())
    gap = x[treated].mean() - x[~treated].mean()
    assert before["standardized_mean_difference"] == pytest.approx(gap / x[treated].std(ddof=1))
    assert (before["n_treated"], before["n_comparison"]) == (treated.sum(), (~treated).sum())
    after = table.loc["after"]
    assert abs(after["standardized_mean_difference"]) < abs(before["standardized_mean_difference"])
    # With replacement, one neighbour each: no more distinct comparison counties than treated ones.
    assert after["n_treated"] == treated.sum() and after["n_comparison"] <= treated.sum()


def test_balance_of_a_panel_counts_each_area_once():
    changes = {"covariates.names": ["hispanic"], "covariates.vintage": "2006_2010"}
    made = make_design(panel(), spec(changes))
    table = balance(made)
    assert table["sample"].tolist() == ["before"]
    # Three adopters in each of eight states; the five others of Washington, which moved as a state, compare with nobody.
    assert (table.loc[0, "n_treated"], table.loc[0, "n_comparison"]) == (24, 35)
    with pytest.raises(StudyError, match="without covariates"):
        balance(make_design(panel(), spec()))

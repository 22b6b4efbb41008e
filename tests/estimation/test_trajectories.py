"""Matching on pre-adoption outcomes, on arrays: by hand, who may serve, and what bad input is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimation.matching.distances import mahalanobis_coordinates, standardised_coordinates
from analysis.estimation.matching.nearest import nearest_neighbours
from analysis.estimation.matching.trajectories import (
    MatchRules,
    Trajectories,
    estimate_cells,
    features,
    fitted_slope,
    match_cohorts,
    matched_change,
)
from analysis.estimation.matching.variance import matched_difference

YEARS = np.arange(2010, 2018)
RULES = MatchRules(("outcome_lags",), 2, "scaled_euclidean", 1, True, 0.0, "never_treated")


def panel_of(outcome, cohort, covariates=None, *, years=YEARS, transition=False, exact=None, weights=None):
    """Return a panel; cohort 0 is never, a cohort after the window is not yet treated in it."""
    outcome, cohort = np.array(outcome, dtype=float), np.asarray(cohort)
    never = cohort == 0
    base = np.where(never, 0, cohort - 1 - transition)
    event_time = np.where(
        years[None, :] >= cohort[:, None], years - cohort[:, None], years - base[:, None] - 1.0
    )
    if transition:
        outcome[:, :] = np.where(years[None, :] == cohort[:, None] - 1, np.nan, outcome)
    event_time = np.where(never[:, None] | np.isnan(outcome), np.nan, event_time)
    x = (
        np.zeros((len(outcome), 0))
        if covariates is None
        else np.array(covariates, dtype=float).reshape(len(outcome), -1)
    )
    return Trajectories(
        years=np.asarray(years), outcome=outcome, event_time=event_time, never=never, cohort=cohort, base=base,
        weights=np.ones(len(outcome)) if weights is None else np.asarray(weights, dtype=float), covariates=x,
        names=tuple(f"x{i + 1}" for i in range(x.shape[1])), exact=exact,
    )  # fmt: skip


def drawn(seed, n=60, cohorts=(2013, 2015), share=0.4, covariates=2):
    rng = np.random.default_rng(seed)
    cohort = np.where(rng.random(n) < share, rng.choice(cohorts, n), 0)
    cohort[: len(cohorts)], cohort[-8:] = cohorts, 0
    outcome = rng.normal(0, 2, (n, 1)) + rng.normal(0, 0.3, (n, 1)) * np.arange(8) + rng.normal(size=(n, 8))
    return panel_of(outcome, cohort, rng.normal(size=(n, covariates)))


def table(cells):
    return {(cell.cohort, cell.time): cell.effect for cell in cells}


def effects(panel, rules=RULES):
    return table(estimate_cells(panel, match_cohorts(panel, rules)))


# --- by hand
# ---------------------------------------------------------------------------------------------------------------


def test_small_panel_by_hand():
    years = np.array([2010, 2011, 2012, 2013])
    outcome = [
        [4, 5, 9, 11],  # adopts in 2012; 2010 and 2011 are like those of the fourth county
        [1, 1, 2, 3],  # adopts in 2012; like the third
        [1, 2, 2, 2],
        [4, 6, 7, 6],
        [9, 9, 9, 0],  # like nobody
    ]
    panel = panel_of(outcome, [2012, 2012, 0, 0, 0], years=years)
    (group,) = match_cohorts(panel, RULES)
    assert group.matches.treated.tolist() == [0, 1] and group.matches.comparison.tolist() == [3, 2]
    assert group.lags.tolist() == [0, 1] and group.base == 2011
    # 2010: (4 - 5) - (4 - 6) = 1 and (1 - 1) - (1 - 2) = 1; 2012: 4 - 1 and 1 - 0; 2013: 6 - 0 and 2 - 0.
    cells = estimate_cells(panel, [group])
    assert table(cells) == {(2012, 2010): 1.0, (2012, 2012): 2.0, (2012, 2013): 4.0}
    assert [cell.event_time for cell in cells] == [-2, 0, 1]
    last = cells[-1]
    # Changes 6 and 2 around their mean 4, and 0 and 0 around theirs, halved.
    assert last.influence.tolist() == [1.0, -1.0, 0.0, 0.0, 0.0]
    assert last.treated[:4].tolist() == [1.0, 1.0, 0.0, 0.0] and np.isnan(last.treated[4])


def test_weights_average_treated_counties_and_leave_the_match():
    years = np.array([2010, 2011, 2012])
    outcome = [[4, 5, 9], [1, 1, 2], [1, 2, 2], [4, 6, 7]]
    panel = panel_of(outcome, [2012, 2012, 0, 0], years=years, weights=[3, 1, 5, 7])
    # Effects of 2012 are 3 and 1, three to one.
    assert effects(panel)[2012, 2012] == pytest.approx(2.5)


def test_trend_matches_slopes_and_not_levels():
    years = np.array([2010, 2011, 2012, 2013])
    outcome = [[10, 12, 14, 20], [10, 10, 10, 10], [0, 2, 4, 6]]
    panel = panel_of(outcome, [2013, 0, 0], years=years)
    lags = match_cohorts(panel, replace(RULES, lag_years=3))[0]
    trend = match_cohorts(panel, replace(RULES, lag_years=3, match_on=("outcome_trend",)))[0]
    assert lags.matches.comparison.tolist() == [1] and trend.matches.comparison.tolist() == [2]
    assert fitted_slope(panel.outcome[:, :3], years[:3]).tolist() == [2.0, 0.0, 2.0]


def test_features_are_named_and_in_one_order():
    panel = drawn(1)
    x, names, _ = features(panel, np.array([1, 2]), ("outcome_trend", "covariates", "outcome_lags"))
    assert names == ("x1", "x2", "outcome in 2011", "outcome in 2012", "outcome trend")
    assert x[:, :2] == pytest.approx(panel.covariates) and x[:, 2:4] == pytest.approx(panel.outcome[:, 1:3])
    assert x[:, 4] == pytest.approx(panel.outcome[:, 2] - panel.outcome[:, 1])


# --- who may serve, and in which years
# ---------------------------------------------------------------------------------------------------------------


def test_each_cohort_is_matched_on_its_own_years():
    first, second = match_cohorts(drawn(2), replace(RULES, lag_years=3))
    assert YEARS[first.lags].tolist() == [2010, 2011, 2012] and YEARS[second.lags].tolist() == [
        2012,
        2013,
        2014,
    ]


def test_later_adopters_serve_only_if_untreated_to_the_end():
    outcome = np.tile(np.arange(5.0)[:, None], (1, 8)) + np.random.default_rng(3).normal(0, 0.01, (5, 8))
    panel = panel_of(outcome, [2013, 2015, 2018, 2020, 0])
    pools = {
        comparison: match_cohorts(panel, replace(RULES, comparison=comparison))[0].pool.tolist()
        for comparison in ("never_treated", "not_yet_treated")
    }
    # The cohort of 2015 is treated in years of the cohort of 2013; those of 2018 and 2020 are not, before 2018.
    assert pools["never_treated"] == [False, False, False, False, True]
    assert pools["not_yet_treated"] == [False, False, True, True, True]
    # With a transition year before it, the cohort of 2018 is no group wholly untreated in 2017.
    panel = panel_of(outcome, [2013, 2015, 2018, 2020, 0], transition=True)
    pool = match_cohorts(panel, replace(RULES, comparison="not_yet_treated"))[0].pool
    assert pool.tolist() == [False, False, False, True, True]


def test_transition_year_is_no_row_and_no_year_matched_on():
    rng = np.random.default_rng(4)
    panel = panel_of(rng.normal(size=(12, 8)), [2014] * 3 + [0] * 9, transition=True)
    (group,) = match_cohorts(panel, RULES)
    assert group.base == 2012 and YEARS[group.lags].tolist() == [2011, 2012]
    cells = estimate_cells(panel, [group])
    assert [cell.time for cell in cells] == [2010, 2011, 2014, 2015, 2016, 2017]
    assert [cell.event_time for cell in cells] == [-3, -2, 0, 1, 2, 3]


def test_gaps_drop_treated_counties_and_set_comparisons_aside():
    panel = drawn(5, n=40, cohorts=(2014,))
    rows, pool = np.flatnonzero(~panel.never), np.flatnonzero(panel.never)
    outcome = panel.outcome.copy()
    outcome[rows[0], 2] = np.nan  # 2012, matched on with two lags of base 2013: kept out
    outcome[rows[1], 3] = np.nan  # the base
    outcome[rows[2], 6] = np.nan  # after adoption: only that year lacks it
    outcome[pool[0], 0] = np.nan  # a lead of every county's rows
    event_time = np.where(np.isnan(outcome), np.nan, panel.event_time)
    gaps = replace(panel, outcome=outcome, event_time=event_time)
    (group,) = match_cohorts(gaps, replace(RULES, lag_years=2))
    assert group.incomplete.tolist() == [int(rows[0]), int(rows[1])] or group.incomplete.tolist() == [
        int(rows[1])
    ]
    assert set(group.matches.treated) == set(rows[2:]) and group.set_aside == 1
    assert pool[0] not in group.matches.comparison
    cells = {cell.time: cell for cell in estimate_cells(gaps, [group])}
    assert np.isnan(cells[2016].treated[rows[2]]) and cells[2015].treated[rows[2]] == 1
    kept = group.matches.treated != rows[2]
    change = outcome[:, 6] - outcome[:, 3]
    by_hand = np.mean(change[group.matches.treated[kept]] - change[group.matches.comparison[kept]])
    assert cells[2016].effect == pytest.approx(by_hand, abs=1e-12)


def test_calipers_and_exact_groups_are_kept_to():
    panel = drawn(6, n=120)
    codes = np.random.default_rng(6).integers(0, 3, 120)
    bound = replace(panel, exact=codes)
    for rules in (
        replace(RULES, caliper=0.4, neighbours=2),
        replace(RULES, caliper=0.4, replacement=False),
        replace(RULES, caliper=0.5, match_on=("covariates",), distance="mahalanobis"),
    ):
        for group in match_cohorts(bound, rules):
            m = group.matches
            assert (codes[m.treated] == codes[m.comparison]).all()
            x, _, _ = features(panel, group.lags, rules.match_on)
            members = group.pool.copy()
            members[np.union1d(m.treated, m.dropped)] = True
            width = rules.caliper * x[members].std(axis=0, ddof=1)
            assert (np.abs(x[m.treated] - x[m.comparison]) <= width + 1e-12).all()
            assert len(m.dropped) and not np.isin(m.dropped, m.treated).any()
            if not rules.replacement:
                assert len(np.unique(m.comparison)) == len(m.comparison)


# --- equal to what is known
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "coordinates"),
    [
        (RULES, standardised_coordinates),
        (
            replace(RULES, match_on=("covariates",), distance="mahalanobis", neighbours=3),
            mahalanobis_coordinates,
        ),
        (replace(RULES, match_on=("covariates", "outcome_trend"), lag_years=3), standardised_coordinates),
    ],
)
def test_equals_nearest_neighbour_on_the_differenced_cross_section(rules, coordinates):
    panel = drawn(7, n=200)
    for group in match_cohorts(panel, rules):
        rows = np.flatnonzero(group.members | panel.never)
        b = int(np.searchsorted(YEARS, group.base))
        at = np.arange(b + 1 - rules.lag_years, b + 1)
        x, _, _ = features(panel, at, rules.match_on)
        m = nearest_neighbours(coordinates(x[rows]), group.members[rows], neighbours=rules.neighbours)
        assert rows[m.comparison].tolist() == group.matches.comparison.tolist()
        for cell in estimate_cells(panel, [group]):
            change = (panel.outcome[:, cell.time - 2010] - panel.outcome[:, b])[rows]
            plain = matched_difference(change, m, np.ones(len(rows))).estimate
            assert cell.effect == pytest.approx(plain, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["euclidean", "scaled_euclidean", "mahalanobis", "robust_mahalanobis", "propensity"]),
)
def test_order_and_year_shifts_do_not_move_it(seed, distance):
    panel = drawn(seed)
    rules = replace(RULES, distance=distance, match_on=("covariates", "outcome_lags"))
    found = effects(panel, rules)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(panel.never))
    mixed = replace(
        panel, outcome=panel.outcome[order], event_time=panel.event_time[order], never=panel.never[order],
        cohort=panel.cohort[order], base=panel.base[order], weights=panel.weights[order],
        covariates=panel.covariates[order],
    )  # fmt: skip
    # What all counties share in a year is in no change relative to others, nor in who is like whom.
    shifted = replace(panel, outcome=panel.outcome + 10 * rng.normal(size=8))
    for other in (effects(mixed, rules), effects(shifted, rules)):
        assert other.keys() == found.keys()
        assert list(other.values()) == pytest.approx(list(found.values()), abs=1e-9, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_county_of_its_own_level_moves_nothing_where_levels_are_not_matched_on(seed):
    panel = drawn(seed)
    own = replace(
        panel, outcome=panel.outcome + np.random.default_rng(seed).normal(0, 5, (len(panel.never), 1))
    )
    for rules in (
        replace(RULES, match_on=("outcome_trend",), lag_years=3),
        replace(RULES, match_on=("covariates",)),
    ):
        assert list(effects(own, rules).values()) == pytest.approx(
            list(effects(panel, rules).values()), abs=1e-9
        )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_mahalanobis_does_not_see_how_outcomes_and_covariates_are_scaled(seed):
    panel = drawn(seed)
    rules = replace(RULES, match_on=("covariates", "outcome_lags"), distance="mahalanobis")
    turn = np.random.default_rng(seed).normal(size=(2, 2)) + 3 * np.eye(2)
    scaled = replace(panel, outcome=7 * panel.outcome, covariates=panel.covariates @ turn + 4)
    seven = [7 * effect for effect in effects(panel, rules).values()]
    assert list(effects(scaled, rules).values()) == pytest.approx(seven, abs=1e-8)


def test_influence_sums_to_zero_and_its_size_is_the_error_of_the_difference():
    panel = drawn(8, n=300)
    (group, _) = match_cohorts(panel, RULES)
    change = panel.outcome[:, 6] - panel.outcome[:, 2]
    effect, contribution, treated = matched_change(change, group.matches, panel.weights)
    assert contribution.sum() == pytest.approx(0, abs=1e-12)
    arm = treated > 0
    assert (contribution**2)[arm].sum() == pytest.approx(change[arm].var() / arm.sum(), rel=1e-12)
    assert np.isfinite(effect) and (contribution[np.isnan(treated)] == 0).all()


# --- bad input
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"match_on": ()}, r"match_on = \[\]"),
        ({"match_on": ("outcomes",)}, "wanted some of covariates, outcome_lags, outcome_trend"),
        ({"distance": "manhattan"}, "wanted one of mahalanobis"),
        ({"neighbours": 0}, "neighbours = 0"),
        ({"lag_years": 0}, "lag_years = 0"),
        ({"lag_years": 1, "match_on": ("outcome_trend",)}, "at least 2 years for a slope"),
        ({"match_on": ("outcome_lags", "outcome_trend"), "distance": "mahalanobis"}, "follows from the lags"),
        ({"match_on": ("outcome_lags", "outcome_trend"), "distance": "propensity"}, "follows from the lags"),
    ],
)
def test_rules_that_cannot_be_followed_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        match_cohorts(drawn(9), replace(RULES, **change))


def test_a_cohort_that_cannot_be_matched_keeps_its_cells_and_says_why():
    panel = drawn(10)
    first, second = match_cohorts(panel, replace(RULES, lag_years=4))
    assert first.matches is None and "3 of 4 years to match on" in first.reason and second.matches is not None
    cells = estimate_cells(panel, [first, second])
    lost = [cell for cell in cells if cell.cohort == 2013]
    assert [cell.time for cell in lost] == [2010, 2011, 2013, 2014, 2015, 2016, 2017]
    assert all(np.isnan(cell.effect) and cell.reason == first.reason for cell in lost)
    assert all(np.isfinite(cell.effect) for cell in cells if cell.cohort == 2015)


def test_each_reason_is_named():
    panel = drawn(11)
    everyone = replace(panel, never=np.zeros_like(panel.never), cohort=np.where(panel.never, 2013, panel.cohort),
                       base=np.where(panel.never, 2012, panel.base))  # fmt: skip
    assert "no comparison county is untreated" in match_cohorts(everyone, RULES)[0].reason
    gone = panel.outcome.copy()
    gone[panel.cohort == 2013, 1] = np.nan
    reason = match_cohorts(replace(panel, outcome=gone), RULES)[0].reason
    assert reason == "no treated county is observed in every year matched on"
    constant = panel.covariates.copy()
    constant[:, 1] = 3.0
    reason = match_cohorts(replace(panel, covariates=constant), replace(RULES, match_on=("covariates",)))[
        0
    ].reason
    assert reason == "x2 does not vary among the cohort and its comparison counties"
    flat = np.tile(panel.outcome[:, :1], (1, 8))
    rules = replace(RULES, match_on=("outcome_trend",), lag_years=3)
    reason = match_cohorts(replace(panel, outcome=flat), rules)[0].reason
    assert reason == "outcome trend does not vary among the cohort and its comparison counties"
    double = panel.covariates[:, [0, 0]]
    rules = replace(RULES, match_on=("covariates",), distance="mahalanobis")
    assert "dependent" in match_cohorts(replace(panel, covariates=double), rules)[0].reason
    apart = np.where(panel.never, 0.0, 10.0)[:, None] + 0.1 * panel.covariates
    rules = replace(RULES, match_on=("covariates",), distance="propensity")
    assert "separates the arms" in match_cohorts(replace(panel, covariates=apart), rules)[0].reason
    rules = replace(RULES, match_on=("covariates",), caliper=0.01)
    assert "within the caliper" in match_cohorts(replace(panel, covariates=apart), rules)[0].reason

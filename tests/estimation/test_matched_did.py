"""Matched differences in differences: by hand, against R, against group-time effects, and what a match brings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    BY_STATE,
    GROUP_TIME,
    REFERENCE,
    make_design_of,
    make_spec,
    reference_values,
    simulated_panel,
    with_table,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.truth.matched_did import (
    COLUMNS,
    DRAWS,
    ESTIMATORS,
    PAGE,
    PLAIN,
    TABLE,
    WORLDS,
    page,
    read_table,
    run,
)

from analysis.base.errors import SampleError, SpecError
from analysis.design.spec import EstimatorSection
from analysis.estimation import aggregate, check_estimate, fit, recluster
from analysis.estimation.group_time import group_time
from analysis.estimation.matched_did import matched_event_times, matched_group_time, matched_pairs
from analysis.evidence.checks.pretrends import pretrends

MATCHED_DID = EstimatorSection(
    "matched_did",
    "none",
    match_on=("outcome_lags",),
    lag_years=2,
    distance="mahalanobis",
    neighbours=1,
    replacement=True,
    caliper=0.0,
    exact=(),
)
R = reference_values("matched_did")
# What reference.R ran under each name.
CASES = {
    "covariates": {"match_on": ("covariates",), "lag_years": None},
    "lags_3": {"lag_years": 3},
    "lags_1_covariates_3_neighbours": {
        "match_on": ("covariates", "outcome_lags"), "lag_years": 1, "neighbours": 3,
    },
    "trend_4_inverse_variance": {
        "match_on": ("covariates", "outcome_trend"), "lag_years": 4, "distance": "scaled_euclidean",
    },
    "lags_and_trend_inverse_variance": {
        "match_on": ("outcome_lags", "outcome_trend"), "lag_years": 3, "distance": "scaled_euclidean",
    },
    "lags_3_caliper": {"lag_years": 3, "caliper": 0.5},
    "lags_2_exact": {"exact": ("urban_class",)},
    "propensity": {"match_on": ("covariates", "outcome_lags"), "lag_years": 3, "distance": "propensity"},
}  # fmt: skip


def r_panel():
    table = pd.read_csv(
        REFERENCE / "matched_did" / "simulated_panel.csv", dtype={"county_fips": str, "state": str}
    )
    table["cohort"] = table["cohort"].astype("Int64")
    table["event_time"] = (table["year"] - table["cohort"]).astype("Int64")
    return table.assign(treated=(table["event_time"] >= 0).fillna(False).astype(bool), weight=1.0)


def design_of(
    table, comparison="never_treated", inference=BY_STATE, anticipation=0, covariates=None, **options
):
    estimator = replace(MATCHED_DID, **options)
    if covariates is None:
        covariates = ("poverty", "log_population") if "covariates" in estimator.match_on else ()
        covariates = tuple(name for name in covariates if name in table)
    spec = make_spec(
        estimator, inference, covariates=covariates, comparison=comparison, anticipation=anticipation
    )
    return make_design_of(table, spec)


def small():
    """Two counties adopt in 2012; each of the first two others was like one of them, the last like neither."""
    paths = {
        "06001": [4, 5, 9, 11], "06003": [1, 1, 2, 3], "08001": [1, 2, 2, 2], "12001": [4, 6, 7, 6], "17001": [9, 9, 9, 0],
    }  # fmt: skip
    rows = [
        (fips, year, pd.NA if fips[:2] != "06" else 2012, value)
        for fips, path in paths.items()
        for year, value in zip(range(2010, 2014), path, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["county_fips", "year", "cohort", "outcome"])
    table["cohort"] = table["cohort"].astype("Int64")
    table["event_time"] = (table["year"] - table["cohort"]).astype("Int64")
    return table.assign(
        treated=(table["event_time"] >= 0).fillna(False).astype(bool),
        weight=1.0,
        outcome=table["outcome"] * 1.0,
    )


def values(estimate):
    return estimate.table["estimate"].to_numpy(dtype=float)


# --- equal to what is known
# ---------------------------------------------------------------------------------------------------------------


def test_small_panel_by_hand():
    estimate = matched_group_time(design_of(small(), distance="scaled_euclidean"))
    check_estimate(estimate)
    # 2010: (4 - 5) - (4 - 6) = 1 and 0 - (1 - 2) = 1; 2012: 4 - 1 and 1 - 0; 2013: 6 - 0 and 2 - 0.
    assert estimate.table["time"].tolist() == [2010, 2012, 2013]
    assert values(estimate) == pytest.approx([1, 2, 4])
    assert estimate.reference == -1 and estimate.estimand == "group_time"
    assert estimate.treated[:4].tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
    assert np.isnan(estimate.treated[4]).all() and (estimate.influence[4] == 0).all()
    assert estimate.table["n_treated"].tolist() == [2, 2, 2] and estimate.table["n_counties"].tolist() == [
        4,
        4,
        4,
    ]
    # Changes 6 and 2 around 4, 0 and 0 around 0, halved; all treated in one state, so no error can be given.
    assert estimate.influence[:, 2].tolist() == [1.0, -1.0, 0.0, 0.0, 0.0]
    assert estimate.table["std_error"].isna().all()
    assert recluster(estimate, "county").table["std_error"].iloc[2] == pytest.approx(np.sqrt(4 / 3 * 2))
    assert values(aggregate(estimate, over="post")) == pytest.approx([3])


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_cell_error_and_pair_equals_r(name):
    design = design_of(r_panel(), **CASES[name])
    cells = matched_group_time(design)
    check_estimate(cells)
    stored = pd.DataFrame(R[name])
    assert sorted(R) == sorted(CASES)
    assert (
        cells.table[["cohort", "time"]].to_numpy().tolist() == stored[["cohort", "time"]].to_numpy().tolist()
    )
    assert values(cells) == pytest.approx(stored["estimate"].to_numpy(), abs=1e-8)
    assert cells.table["n_treated"].tolist() == stored["n_treated"].tolist()
    assert cells.table["n_counties"].tolist() == stored["n_counties"].tolist()
    # R: the regression of the change on treatment in the matched sample, HC0, factor G / (G - 1) with each cell's own
    # G. Ours counts the clusters of all cells.
    for by, column in (("state", "by_state"), ("county", "by_county")):
        own = stored["clusters"] if by == "state" else stored["n_counties"]
        found = recluster(cells, by)
        check_estimate(found)
        g = found.inference.clusters
        errors = found.table["std_error"] / np.sqrt(g / (g - 1)) * np.sqrt(own / (own - 1))
        assert errors.to_numpy() == pytest.approx(stored[column].to_numpy(), rel=1e-8)
    pairs = matched_pairs(design)
    for cell in R[name]:
        if "pairs" in cell:
            ours = pairs[pairs["cohort"].eq(cell["cohort"])]
            theirs = pd.DataFrame(cell["pairs"]).sort_values(["treated", "comparison"])
            assert ours["treated"].tolist() == theirs["treated"].tolist()
            assert ours["comparison"].tolist() == theirs["comparison"].tolist()
            assert ours["share"].to_numpy() == pytest.approx(theirs["weight"].to_numpy(), abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["outcome_lags", "outcome_trend", "covariates"]))
def test_with_every_comparison_county_a_match_it_is_the_group_time_effect(seed, match_on):
    table = simulated_panel(seed, counties=90).drop(columns="transition")
    everyone = int(table.loc[table["cohort"].isna(), "county_fips"].nunique())
    ours = matched_group_time(design_of(table, match_on=(match_on,), neighbours=everyone))
    plain = group_time(make_design_of(table, make_spec(replace(GROUP_TIME, method="outcome_regression"))))
    check_estimate(ours)
    assert ours.table["term"].tolist() == plain.table["term"].tolist()
    for column in ("estimate", "std_error", "conf_low", "n_treated", "n_counties"):
        one, other = ours.table[column].to_numpy(dtype=float), plain.table[column].to_numpy(dtype=float)
        assert one == pytest.approx(other, abs=1e-9, nan_ok=True)
    assert ours.influence == pytest.approx(plain.influence, abs=1e-12)
    np.testing.assert_array_equal(ours.treated, plain.treated)


# --- what must not move it
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("match_on", [("covariates", "outcome_lags"), ("outcome_trend",)])
def test_order_labels_and_common_shifts_do_not_move_it(match_on):
    table = simulated_panel(3, counties=150).drop(columns="transition")
    design = design_of(table, match_on=match_on, lag_years=3)
    found = fit(design)
    rng = np.random.default_rng(0)
    assert values(fit(with_table(design, table.sample(frac=1, random_state=1)))) == pytest.approx(
        values(found)
    )
    codes = sorted(table["county_fips"].unique())
    # New codes in the same states.
    names = {
        code: code[:2] + f"{number:03d}"
        for code, number in zip(codes, rng.permutation(len(codes)), strict=True)
    }
    renamed = fit(with_table(design, table.assign(county_fips=table["county_fips"].map(names))))
    assert values(renamed) == pytest.approx(values(found), abs=1e-10)
    assert renamed.table["std_error"].to_numpy() == pytest.approx(found.table["std_error"].to_numpy())
    shifts = dict(zip(range(2010, 2018), rng.normal(0, 20, 8), strict=True))
    moved = fit(with_table(design, table.assign(outcome=table["outcome"] + 1000 + table["year"].map(shifts))))
    assert values(moved) == pytest.approx(values(found), abs=1e-8)
    assert moved.table["std_error"].to_numpy() == pytest.approx(found.table["std_error"].to_numpy(), rel=1e-8)


def test_weights_average_the_treated_and_do_not_move_the_match():
    table = simulated_panel(4, counties=150).drop(columns="transition")
    alike = design_of(table, lag_years=3)
    weighted = design_of(table, lag_years=3, weights="population_baseline")
    assert matched_pairs(alike)["comparison"].tolist() == matched_pairs(weighted)["comparison"].tolist()
    assert not np.allclose(values(fit(alike)), values(fit(weighted)))
    thrice = fit(with_table(weighted, table.assign(weight=3 * table["weight"])))
    assert values(thrice) == pytest.approx(values(fit(weighted)))
    check_estimate(thrice)
    pairs, cell = matched_pairs(weighted), matched_group_time(weighted).table.iloc[-1]
    wide = table.pivot(index="county_fips", columns="year", values="outcome")
    change = wide[int(cell["time"])] - wide[int(cell["cohort"]) - 1]
    own = pairs[pairs["cohort"].eq(cell["cohort"])]
    gaps = own["treated"].map(change) - own["comparison"].map(change)
    assert cell["estimate"] == pytest.approx(
        np.average(gaps, weights=own["weight"] * own["share"]), abs=1e-10
    )


# --- rows, leads, drops
# ---------------------------------------------------------------------------------------------------------------


def test_leads_matched_on_are_named_and_left_out_of_the_test():
    table = simulated_panel(5).drop(columns="transition")
    design = design_of(table, lag_years=3)
    estimate = fit(design)
    check_estimate(estimate)
    assert estimate.estimand == "event_time"
    assert estimate.table["event_time"].tolist() == [-5, -4, -3, -2, 0, 1, 2, 3, 4]
    assert matched_event_times(design) == (-3, -2, -1)
    assert any(note.startswith("event times matched on: -3, -2, -1; their leads") for note in estimate.notes)
    test = pretrends(estimate, matched_on=matched_event_times(design))
    assert test.event_times == (-5, -4)
    assert matched_event_times(design_of(table, match_on=("covariates",))) == ()
    assert not any("matched on:" in note for note in fit(design_of(table, match_on=("covariates",))).notes)
    for over in ("post", "cohort", "calendar"):
        check_estimate(aggregate(matched_group_time(design), over=over))


def test_transition_years_and_anticipation_move_the_base():
    table = simulated_panel(6, half_year=True)
    table = table[~table["transition"]].drop(columns="transition")
    design = design_of(table, lag_years=2)
    cells = matched_group_time(design)
    check_estimate(cells)
    assert set(matched_pairs(design)["base"] - matched_pairs(design)["cohort"]) == {-2}
    assert not (cells.table["time"] == cells.table["cohort"] - 1).any()
    # The cohort of 2013 has its base in 2011.
    first = cells.table[cells.table["cohort"].eq(2013)]
    assert first["time"].tolist() == [2010, 2013, 2014, 2015, 2016, 2017]
    assert first["event_time"].tolist() == [-2, 0, 1, 2, 3, 4]
    early = design_of(simulated_panel(6).drop(columns="transition"), lag_years=2, anticipation=1)
    assert matched_event_times(early) == (-3, -2)
    ahead = fit(early)
    assert ahead.reference == -2 and -1 in ahead.table["event_time"].tolist()


def test_january_and_mid_year_adopters_of_a_cohort_are_matched_apart():
    table = simulated_panel(7).drop(columns="transition")
    midyear = sorted(table.loc[table["cohort"].eq(2014), "county_fips"].unique())[::2]
    there = table["county_fips"].isin(midyear)
    table = table[~(there & table["year"].eq(2013))].copy()
    before = table["county_fips"].isin(midyear) & table["year"].lt(2013)
    table.loc[before, "event_time"] += 1
    cells = matched_group_time(design_of(table))
    check_estimate(cells)
    assert "cohort=2014, base=2012, time=2015" in cells.table["term"].tolist()
    assert "cohort=2014, base=2013, time=2015" in cells.table["term"].tolist()


def test_a_year_left_out_moves_the_base_and_the_years_matched_on_back():
    table = simulated_panel(7, cohorts=(2014,)).drop(columns="transition")
    design = design_of(table[table["year"].ne(2013)], lag_years=2)
    cells = matched_group_time(design)
    check_estimate(cells)
    assert set(matched_pairs(design)["base"]) == {2012} and matched_event_times(design) == (-3, -2)
    assert cells.table["event_time"].tolist() == [-4, -3, 0, 1, 2, 3]
    assert any("base year is not in the panel" in note for note in cells.notes)


def test_counties_without_a_match_are_dropped_and_named():
    table = simulated_panel(8, counties=200).drop(columns="transition")
    outlier = table.loc[table["cohort"].eq(2014), "county_fips"].min()
    table.loc[table["county_fips"].eq(outlier), "outcome"] += 500
    gap = table.loc[table["cohort"].eq(2015), "county_fips"].max()
    table = table[~(table["county_fips"].eq(gap) & table["year"].eq(2014))]
    estimate = matched_group_time(design_of(table, caliper=1.0))
    check_estimate(estimate)
    noted = [note for note in estimate.notes if note.startswith("dropped,")]
    assert any("fewer allowed comparison counties" in note and outlier in note for note in noted)
    assert any("without an outcome in the base year" in note and note.endswith(gap) for note in noted)
    alone = matched_pairs(design_of(table, caliper=1.0))
    assert not {outlier, gap} & set(alone["treated"])
    lines = estimate.attrition.tail(2)
    assert lines["rule"].tolist() == ["treated counties with a match", "comparison counties used as a match"]
    assert lines["treated"].tolist() == [alone["treated"].nunique()] * 2
    assert lines["counties"].iloc[1] == alone["treated"].nunique() + alone["comparison"].nunique()
    assert (lines["dropped"] >= 0).all()


def test_an_unbalanced_panel_keeps_to_its_rule():
    table = simulated_panel(9, counties=200).drop(columns="transition")
    never, ever = (sorted(table.loc[flag, "county_fips"].unique()) for flag in
                   (table["cohort"].isna(), table["cohort"].eq(2013)))  # fmt: skip
    gaps = (table["county_fips"].eq(never[0]) & table["year"].eq(2017)) | (
        table["county_fips"].eq(ever[0]) & table["year"].eq(2016)
    )
    design = design_of(table[~gaps], match_on=("covariates",))
    estimate = matched_group_time(design)
    check_estimate(estimate)
    assert never[0] not in set(matched_pairs(design)["comparison"])
    assert any(note.startswith("up to 1 untreated counties") for note in estimate.notes)
    at = estimate.counties.get_loc(ever[0])
    there = estimate.table["cohort"].eq(2013)
    entered = {
        int(t): float(w)
        for t, w in zip(estimate.table["time"][there], estimate.treated[at, there], strict=True)
    }
    assert np.isnan(entered[2016]) and entered[2015] == 1.0


def test_later_adopters_serve_where_those_not_yet_treated_may():
    table = simulated_panel(10, cohorts=(2013, 2015, 2019)).drop(columns="transition")
    later = set(table.loc[table["cohort"].eq(2019), "county_fips"])
    never = design_of(table)
    not_yet = design_of(table, comparison="not_yet_treated")
    assert not later & set(matched_pairs(never)["comparison"]) and later & set(
        matched_pairs(not_yet)["comparison"]
    )
    inside = set(table.loc[table["cohort"].isin([2013, 2015]), "county_fips"])
    assert not inside & set(matched_pairs(not_yet)["comparison"])
    check_estimate(fit(not_yet))


# --- bad input
# ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lag_years": 6}, r"3 of 6 years to match on.*4 of 6.*5 of 6"),
        ({"match_on": ("covariates",), "caliper": 1e-9, "covariates": ("poverty",)}, "within the caliper"),
    ],
)
def test_what_cannot_be_matched_is_named(options, words):
    table = simulated_panel(11).drop(columns="transition")
    with pytest.raises(SampleError, match=words):
        matched_group_time(design_of(table, **options))


def test_bad_samples_are_named():
    table = simulated_panel(12).drop(columns="transition")
    with pytest.raises(SampleError, match="no comparison county is untreated and observed"):
        matched_group_time(design_of(table[table["cohort"].notna()]))
    with pytest.raises(SampleError, match="poverty does not vary"):
        matched_group_time(design_of(table.assign(poverty=2.0), match_on=("covariates",)))
    with pytest.raises(SampleError, match="does not vary"):
        matched_group_time(design_of(table.assign(outcome=0.0)))
    gone = table[~(table["cohort"].notna() & table["event_time"].eq(-2).fillna(False))]
    with pytest.raises(SampleError, match="no treated county is observed in every year matched on"):
        matched_group_time(design_of(gone))


def test_one_cohort_without_enough_years_keeps_its_rows():
    table = simulated_panel(13).drop(columns="transition")
    design = design_of(table, lag_years=4)
    cells = matched_group_time(design)
    check_estimate(cells)
    lost = cells.table["cohort"].eq(2013)
    assert cells.table.loc[lost, "estimate"].isna().all() and cells.table.loc[~lost, "estimate"].notna().all()
    assert any("not estimated, 3 of 4 years to match on" in note for note in cells.notes)
    assert any(
        note.startswith("dropped,") and "cohorts that could not be matched" in note for note in cells.notes
    )
    check_estimate(aggregate(cells, over="post"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"match_on": ()}, r"estimator.match_on = \[\]"),
        ({"match_on": ("outcome_trend",), "lag_years": 1}, "at least 2 years for a slope"),
        ({"match_on": ("outcome_lags", "outcome_trend")}, "follows from the lags"),
        ({"distance": "manhattan"}, "estimator.distance = 'manhattan'"),
        ({"match_on": ("covariates",), "covariates": ()}, "match_on holds covariates without any"),
        ({"comparison": "everyone"}, "never_treated or not_yet_treated"),
    ],
)
def test_rules_that_cannot_be_followed_are_named(options, words):
    table = simulated_panel(14, counties=80).drop(columns="transition")
    with pytest.raises(SpecError, match=words):
        matched_group_time(design_of(table, **options))


def test_control_policies_are_refused():
    table = simulated_panel(15, counties=80).drop(columns="transition").assign(secure_communities=0.0)
    spec = make_spec(MATCHED_DID, controls=("secure_communities",))
    with pytest.raises(SpecError, match="holds no time-varying policy constant"):
        matched_group_time(make_design_of(table, spec))


# --- regression to the mean
# ---------------------------------------------------------------------------------------------------------------


def of(table, world, estimator):
    return table.set_index(["world", "estimator"]).loc[(world, estimator)]


def test_page_is_what_the_table_makes():
    table = read_table()
    assert tuple(table.columns) == COLUMNS
    assert list(zip(table["world"], table["estimator"], strict=True)) == [
        (w, e) for w in WORLDS for e in ESTIMATORS
    ]
    assert table["draws"].eq(DRAWS).all() and table["failed"].eq(0).all()
    assert PAGE.read_text(encoding="utf-8") == page(pd.read_csv(TABLE))


def test_committed_table_is_unbiased_where_trends_are_parallel_and_no_outcome_was_matched_on():
    table = read_table()
    held = table[table["world"].isin([name for name, world in WORLDS.items() if world.parallel])]
    held = held[held["estimator"].isin([PLAIN, "covariate"])]
    assert (held["bias"].abs() < 3.5 * held["bias_mc_error"]).all()
    # A match's error takes the matches as given and what the covariate explains of a change for noise.
    assert held["coverage"].between(0.9, 0.99).all()


def test_committed_table_shows_regression_to_the_mean():
    table = read_table()
    shorter = [of(table, world, "outcome, 1 year") for world in ("level_9", "level_5", "level_0")]
    # Biased upward though trends are parallel, and the more the faster shocks fade.
    assert all(line["bias"] > 5 * line["bias_mc_error"] for line in shorter)
    assert shorter[0]["bias"] < shorter[1]["bias"] < shorter[2]["bias"]
    assert of(table, "noise", "outcome, 1 year")["bias"] > shorter[0]["bias"]
    # More years say more of the lasting level.
    years = [of(table, "level_0", f"outcome, {k} year{'s' if k > 1 else ''}")["bias"] for k in (1, 3, 5)]
    assert years[0] > years[1] > years[2] > 0
    # Where the last outcome decides who adopts, matching on it repairs what plain differences get wrong.
    plain, matched = (of(table, "low_outcome", name) for name in (PLAIN, "outcome, 1 year"))
    assert plain["bias"] > 5 * plain["bias_mc_error"] and abs(matched["bias"]) < 0.2 * plain["bias"]
    # Where a passing shock decides, lags hold it only mixed with the level: they help and do not repair.
    plain, *lags = (of(table, "dip", name) for name in (PLAIN, "outcome, 1 year", "outcome, 3 years"))
    assert plain["bias"] > lags[0]["bias"] > lags[1]["bias"] > 5 * lags[1]["bias_mc_error"]


def test_committed_table_shows_what_a_fitted_slope_can_do():
    table = read_table()
    plain, three, five = (of(table, "trends", name) for name in (PLAIN, "trend, 3 years", "trend, 5 years"))
    # Three noisy years say nothing of a slope that goes on, five a little.
    assert abs(three["bias"] - plain["bias"]) < 4 * (three["bias_mc_error"] + plain["bias_mc_error"])
    assert five["bias"] < plain["bias"] - 5 * five["bias_mc_error"] and five["bias"] > 0.5 * plain["bias"]
    # Where trends end, a match on them is off and no match is not.
    assert abs(of(table, "trends_end", PLAIN)["bias"]) < 3.5 * of(table, "trends_end", PLAIN)["bias_mc_error"]
    ended = [of(table, "trends_end", f"trend, {k} years") for k in (3, 5)]
    assert all(line["bias"] > 5 * line["bias_mc_error"] for line in ended)


@pytest.mark.parametrize("world", ["level_0", "low_outcome"])
def test_short_run_agrees_with_the_committed_table(world):
    names = (PLAIN, "covariate", "outcome, 1 year", "trend, 3 years")
    found = run(world, 12, first=10_000, names=names)
    for line in found.to_dict("records"):
        stored = of(read_table(), world, line["estimator"])
        # Twelve panels bound gross mistakes: a wrong sign, base or match, or an error off by a factor of two.
        assert abs(line["bias"] - stored["bias"]) < 4.5 * stored["spread"] / np.sqrt(12)
        assert 0.5 < line["std_error"] / stored["std_error"] < 2


@pytest.mark.slow
@pytest.mark.parametrize("world", list(WORLDS))
def test_committed_table_is_what_the_simulation_gives(world):
    found, stored = run(world, DRAWS), read_table().query("world == @world").reset_index(drop=True)
    pd.testing.assert_frame_equal(found, stored, check_dtype=False, atol=2e-3)

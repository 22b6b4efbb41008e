"""The designs of the panel find known effects, and the committed table and its page say what was found."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from design_truth import (
    ANEW,
    CLUSTER,
    CUTOFF_KM,
    FIRST,
    FOUND,
    KEYS,
    LARGEST,
    METHODS,
    NULLS,
    PAGE,
    SHOWN,
    SPATIAL,
    WORLDS,
    YEARS,
    biased,
    committed,
    design_of,
    draw,
    is_costly,
    lines,
    make_sample,
    one_draw,
    page,
    run,
    truth_of,
)

from analysis.design.spec import InferenceSection
from analysis.estimation import aggregate, fit

BY_STATE = "by state"


@cache
def table():
    return committed()


@cache
def first():
    found = pd.read_csv(FIRST, keep_default_na=False, na_values=[""]).fillna({"option": ""})
    return found.set_index(["world", "seed", *KEYS])


def method(estimator, option):
    return next(one for one in METHODS if (one.estimator, one.option) == (estimator, option))


def same(found, world):
    """Hold draws against those stored: to the seventh digit, for other libraries and machines."""
    for _, row in found.iterrows():
        stored = first().loc[(world, row["seed"], *row[KEYS])]
        for name in FOUND:
            assert row[name] == pytest.approx(stored[name], rel=1e-6, abs=1e-6, nan_ok=True), (
                *row[KEYS],
                name,
            )


# --- the worlds are what they say -----------------------------------------------------------------------------


@pytest.mark.parametrize("world", list(WORLDS))
def test_worlds_have_the_shape_of_the_study(world):
    for seed in (0, 1):
        drawn = draw(world, seed)
        adopts = drawn.cohort > 0
        treated = pd.Series(drawn.state[adopts]).value_counts()
        assert len(treated) == WORLDS[world].treated
        assert (drawn.counties[:-1] < drawn.counties[1:]).all()
        if not WORLDS[world].whole:
            # State-by-year effects and dates dealt within states need an untreated county in each.
            assert set(drawn.state[~adopts]) >= set(treated.index)
            assert 0.04 < adopts.mean() < 0.2
            assert treated.idxmax() == LARGEST or world == "few"
            assert np.bincount(drawn.cohort[adopts]).argmax() == 2015


def test_shocks_have_variance_one_and_spread_across_state_lines_where_said():
    def rest(world, seed):
        drawn = draw(world, seed)
        moved = drawn.outcome - drawn.effect
        moved = moved - moved.mean(axis=0)
        return drawn, moved - moved.mean(axis=1, keepdims=True)

    spread, across = [], {"null": [], "spatial": []}
    for seed in range(0, 40, 10):
        for world, kept in across.items():
            drawn, shock = rest(world, seed)
            # Means over eight years that last take out a part; what is left is near, and below, one.
            spread.append(shock.std())
            one, other = drawn.neighbours.T
            far = drawn.state[one] != drawn.state[other]
            kept.append(np.corrcoef(shock[one[far]].ravel(), shock[other[far]].ravel())[0, 1])
    assert 0.65 < np.mean(spread) < 1
    assert np.mean(across["spatial"]) > np.mean(across["null"]) + 0.3


def test_samples_drop_the_year_of_adoption_and_count_years_without_it():
    drawn = draw("half_year", 0)
    sample = make_sample(drawn, "all")
    early = sample.table[sample.table["cohort"].eq(2015) & sample.table["year"].lt(2015)]
    assert sorted(early["year"].unique()) == [2010, 2011, 2012, 2013]
    assert early.loc[early["year"].eq(2013), "event_time"].eq(-1).all()
    assert np.nanmax(sample.effect) == np.nanmin(sample.effect) == 0.5
    counted = make_sample(drawn, "adoption_year").table
    assert set(counted.loc[counted["cohort"].eq(2014), "year"]) == set(YEARS)


# --- the truth of an estimate -----------------------------------------------------------------------------------


def still(world, kind="all"):
    """Return a sample without shocks: county, year and the policy alone."""
    drawn = draw(world, 0)
    n = len(drawn.counties)
    outcome = 0.01 * np.arange(n)[:, None] + 0.3 * (YEARS - 2010) + drawn.effect
    return make_sample(replace(drawn, outcome=outcome), kind)


@pytest.mark.parametrize(
    ("estimator", "option"),
    [
        ("group_time_att", "no covariate"),
        ("group_time_att", "within states"),
        ("group_time_att", "weighted"),
        ("imputation", ""),
        ("two_stage", ""),
        ("interaction_weighted", ""),
        ("stacked", "widest window"),
        ("stacked", "two years"),
        ("two_by_two", ""),
        ("extended_two_way", "linear"),
        ("local_projections", "equally weighted"),
    ],
)
@pytest.mark.parametrize("world", ["growing", "half_year"])
def test_without_shocks_estimates_are_their_truth(world, estimator, option):
    sample = still(world)
    asked = method(estimator, option)
    inference = CLUSTER if asked.errors[0] == BY_STATE else ANEW[asked.errors[0]]
    fitted = fit(design_of(sample, asked, replace(inference, draws=0), counts=False))
    kept = fitted.table["estimate"].notna().to_numpy()
    np.testing.assert_allclose(fitted.table["estimate"][kept], truth_of(sample, fitted)[kept], atol=1e-8)


def test_two_way_effects_miss_growing_effects_and_the_truth_is_the_mean_of_treated_rows():
    sample = still("growing")
    rows = sample.table
    index = pd.MultiIndex.from_frame(rows[["county_fips", "year"]])
    effect = pd.DataFrame(sample.effect, index=sample.drawn.counties, columns=YEARS).stack(future_stack=True)
    effect = effect.reindex(index).to_numpy()
    treated = rows["treated"].to_numpy()
    for option, weight in (
        ("county and year", np.ones(len(rows))),
        ("county and year, weighted", rows["population_baseline"].to_numpy()),
    ):
        fitted = fit(design_of(sample, method("two_way", option), replace(CLUSTER, draws=0), counts=False))
        wanted = np.average(effect[treated], weights=weight[treated])
        assert truth_of(sample, fitted)[0] == pytest.approx(wanted, abs=1e-10)
        assert abs(fitted.table["estimate"].iloc[0] - wanted) > 0.01


def test_spatial_errors_are_those_a_specification_asks_for():
    sample = make_sample(draw("spatial", 0), "all")
    asked = InferenceSection("spatial", "none", 0.95, 0, 1, cutoff_km=CUTOFF_KM, kernel="bartlett")
    for estimator, option in (("two_way", "county and year"), ("group_time_att", "no covariate")):
        one = method(estimator, option)
        post = aggregate(fit(design_of(sample, one, asked, counts=False)), over="post").table.iloc[0]
        found = one_draw("spatial", 0, [(one, SPATIAL)]).iloc[0]
        assert found["error"] == pytest.approx(post["std_error"], rel=1e-10)
        assert found["covered"] == float(post["conf_low"] <= 0 <= post["conf_high"])


# --- the committed table ------------------------------------------------------------------------------------------


def test_table_holds_every_world_and_line_once():
    keys = list(map(tuple, table()[["world", *KEYS]].to_numpy()))
    assert keys == [(world, one.estimator, one.option, how) for world in WORLDS for one, how in lines(world)]
    assert (table()["draws"] >= SHOWN).all()
    assert (table()["failed"] <= 0.2 * table()["draws"]).all()


def test_page_is_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == page(table())


@pytest.mark.parametrize("world", list(WORLDS))
def test_a_draw_again_is_the_draw_that_was_stored(world):
    same(one_draw(world, 0, [(one, how) for one, how in lines(world) if not is_costly(one, how)]), world)


@pytest.mark.slow
@pytest.mark.parametrize("world", list(WORLDS))
def test_all_stored_draws_again(world):
    same(run(world, range(SHOWN), lines(world)), world)


def rows(world, **wanted):
    found = table()[table()["world"].eq(world)]
    for name, value in wanted.items():
        found = found[found[name].eq(value)]
    assert len(found)
    return found


ACROSS = ("adoption year as treated", "without the largest state", "within states", "state by year")
# Beyond four Monte Carlo errors is not chance, in a table of some hundred lines either.
CHANCE = 4


def test_no_design_finds_an_effect_where_nothing_happens():
    for world in ("null", "few", "whole_states"):
        found = rows(world, variance=BY_STATE)
        assert (found["bias"].abs() < CHANCE * found["bias_mc_error"]).all(), world


def test_half_a_year_is_recovered_in_full_where_the_year_of_adoption_is_dropped():
    found = rows("half_year", variance=BY_STATE)
    counted = found["option"].eq(ACROSS[0])
    full, diluted = found[~counted], found[counted]
    assert (full["bias"].abs() < CHANCE * full["bias_mc_error"]).all()
    assert (diluted["bias"] < -0.05).all()


def test_a_law_of_the_largest_state_is_an_effect_to_whoever_compares_across_states():
    found = rows("california", variance=BY_STATE)
    across = found[~found["option"].isin(ACROSS) & found["estimator"].ne("border_pairs")]
    guarded = found[found["option"].isin(ACROSS)]
    assert len(across) >= 10
    assert (across["bias"] > 0.1).all()
    assert (guarded["bias"].abs() < CHANCE * guarded["bias_mc_error"]).all()


def test_one_coefficient_misses_growing_effects_and_effects_by_cohort_and_year_do_not():
    found = rows("growing", variance=BY_STATE)
    one = found[found["estimator"].eq("two_way") & found["option"].ne("by event time")]
    assert biased(one).any()
    by_cell = found[
        found["estimator"].isin(
            [
                "group_time_att",
                "imputation",
                "two_stage",
                "interaction_weighted",
                "stacked",
                "extended_two_way",
            ]
        )
    ]
    assert (by_cell["bias"].abs() < CHANCE * by_cell["bias_mc_error"]).all()


def test_errors_by_county_are_too_small_where_states_share_shocks_and_policies():
    for world in NULLS:
        by_county = rows(world, variance="by county", estimator="two_way", option="county and year")
        assert (by_county["size"] > 0.1).all()
    whole = table()[table()["world"].eq("whole_states") & table()["variance"].isin(["by county", BY_STATE])]
    size = whole.groupby("variance")["size"].mean()
    assert size["by county"] > 2 * size[BY_STATE]

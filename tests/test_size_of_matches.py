"""Coverage of matched comparisons on simulated panels: the committed table is what the committed draws make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from reference.truth.size_of_matches import (
    CASES,
    DRAW_COLUMNS,
    PAGE,
    PLACEBO_YEAR,
    STATUS_YEAR,
    TABLE,
    TABLE_COLUMNS,
    draw,
    every,
    page,
    read_draws,
    specs,
    summarise,
    true_effect,
    turned,
)

from analysis.base.records import Panel
from analysis.design.design import make_design
from analysis.estimation import fit
from analysis.panel.twin import read_parameters, simulate

KEYS = ["year", "design", "outcome"]


def table():
    return pd.read_csv(TABLE)


@pytest.fixture(scope="module")
def world():
    made = simulate(read_parameters(), 1)
    return made, Panel(made.panel, made.constant, made.policy_events, made.declines, "1", True, made.reports)


def test_table_and_page_are_what_the_draws_make():
    pd.testing.assert_frame_equal(summarise(read_draws()), table(), check_dtype=False, atol=2e-4)
    assert PAGE.read_text(encoding="utf-8") == page(table())


def test_table_holds_every_case_on_the_panels_it_is_run_on():
    found, seeds = table(), read_draws()["seed"].unique()
    assert tuple(found.columns) == TABLE_COLUMNS
    assert list(found[KEYS].itertuples(index=False, name=None)) == list(specs())
    wanted = [sum(seed % every(year, name) == 0 for seed in seeds) for year, name, _ in specs()]
    assert (found["draws"] + found["failed"]).tolist() == wanted
    # A bias and a spread are read from every panel the estimator was run on, whatever inference was.
    assert found.loc[found["design"].eq("entropy_bootstrap"), "panels"].eq(len(seeds)).all()
    assert found[["coverage", "coverage_of_mean", "excludes_zero"]].stack().between(0, 1).all()


def test_truth_is_zero_for_violence_and_before_the_policies_and_two_percent_for_property():
    found = table()
    zero = found["outcome"].eq("violent_ex_rape") | found["year"].eq(PLACEBO_YEAR)
    assert found.loc[zero, "truth"].eq(0).all() and zero.any()
    assert found.loc[zero, "excludes_zero"].to_numpy() == pytest.approx(
        1 - found.loc[zero, "coverage"], abs=2e-4
    )
    drawn = read_draws()
    percent = 100 * drawn["truth"] / drawn["baseline"]
    # Stated effects are 1.6 to 2.4 log points of treated rates, in percent of the rates of comparison counties.
    assert percent[drawn["outcome"].eq("property") & drawn["year"].eq(STATUS_YEAR)].mean() == pytest.approx(
        2, abs=0.6
    )


def test_errors_that_take_counties_or_pairs_as_independent_are_marked():
    marked = table().loc[lambda t: ~t["carries_verdict"], "design"].unique()
    assert set(marked) == {
        "nearest_by_county",
        "nearest_abadie_imbens",
        "nearest_one_variance",
        "propensity_estimated_score",
        "optimal_by_pair",
    }
    text = page(table())
    assert all(f"| {CASES[name].method} | {CASES[name].inference} † |" in text for name in marked)


def test_cases_of_one_estimator_share_its_estimates():
    drawn = read_draws().set_index(["seed", *KEYS])["estimate"].unstack("design")
    for name, case in CASES.items():
        if case.estimator:
            both = drawn[[name, case.estimator]].dropna()
            assert len(both) and both[name].equals(both[case.estimator].rename(name))


def test_summary_of_draws_made_by_hand():
    common = {"year": STATUS_YEAR, "outcome": "violent_ex_rape", "truth": 0.0, "baseline": 50.0}
    counts = {"n_treated": 20, "n_states": 6}
    nearest = {"design": "nearest", "estimate": [4.0, 6.0, 8.0], "std_error": 1.0}
    randomised = {"design": "nearest_randomisation", "estimate": [6.0, 8.0], "std_error": 3.0}
    made = pd.concat(
        [
            pd.DataFrame(
                {"seed": [4, 5, 10], **common, **nearest, "conf_low": [-1.0, 5.0, 7.0], "conf_high": 9.0}
                | counts
            ),
            pd.DataFrame(
                {
                    "seed": [5, 10],
                    **common,
                    **randomised,
                    "conf_low": [3.0, np.nan],
                    "conf_high": [7.0, np.nan],
                }
                | counts
            ),
        ]
    )[list(DRAW_COLUMNS)]
    found = summarise(made).set_index("design")
    line, seldom = found.loc["nearest"], found.loc["nearest_randomisation"]
    # Mean error 6, so 0 lies in one interval of three and 6 in two.
    assert (line["draws"], line["coverage"], line["coverage_of_mean"]) == (3, 0.3333, 0.6667)
    assert (line["bias_percent"], line["bias_over_spread"], line["ratio"]) == (12.0, 3.0, 0.5)
    # Its own average is that of all panels, though only one of its two intervals could be given.
    assert (seldom["draws"], seldom["failed"], seldom["panels"]) == (1, 1, 3)
    assert (seldom["coverage"], seldom["coverage_of_mean"], seldom["ratio"]) == (0.0, 1.0, 1.5)
    # Of the same panel, and not of the other two.
    assert (seldom["coverage_by_state"], seldom["coverage_of_mean_by_state"]) == (0.0, 1.0)


QUICK = ("nearest_abadie_imbens", "nearest_adjusted", "optimal", "full", "coarsened", "subclasses", "overlap", "entropy",
         "doubly_robust", "regression")  # fmt: skip


def test_truth_is_what_each_estimator_makes_of_the_effect_alone_and_draws_are_those_committed(world):
    made, panel = world
    known = specs()
    stored = read_draws().set_index(["seed", *KEYS])
    sample = make_design(panel, known[STATUS_YEAR, "nearest", "property"])
    effect = true_effect(sample, made, "property")
    for name in QUICK:
        design = turned(sample, known[STATUS_YEAR, name, "property"], 1)
        row = stored.loc[1, STATUS_YEAR, name, "property"]
        again = fit(design).table.iloc[0]
        assert [again["estimate"], again["conf_low"]] == pytest.approx(
            [row["estimate"], row["conf_low"]], abs=2e-3
        )
        alone = replace(design, table=design.table.assign(outcome=effect.to_numpy()))
        plain = replace(
            alone, spec=alone.spec.replace({"inference.vcov": "cluster", "inference.by": "state"})
        )
        assert fit(plain).table["estimate"].iloc[0] == pytest.approx(row["truth"], abs=2e-3), name


def test_matching_on_fewer_covariates_loses_no_county(world):
    known = specs()
    fewer, all_of_them = (
        make_design(world[1], known[STATUS_YEAR, name, "property"]) for name in ("coarsened", "nearest")
    )
    assert fewer.table["county_fips"].tolist() == all_of_them.table["county_fips"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("place", [0.0, 1.0])
def test_committed_draws_are_what_the_simulation_gives(place):
    stored = read_draws()
    seeds = np.sort(stored["seed"].unique())
    seed = int(seeds[round(place * (len(seeds) - 1))])
    again, stored = draw(seed), stored[stored["seed"].eq(seed)].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, stored, check_dtype=False, rtol=1e-6, atol=2e-3)

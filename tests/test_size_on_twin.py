"""Coverage of the study's intervals on the simulated panel: the committed table is what the committed draws make."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from reference.truth.size_on_twin import (
    CASES,
    DRAW_COLUMNS,
    OUTCOMES,
    PAGE,
    TABLE,
    TABLE_COLUMNS,
    draw,
    page,
    read_draws,
    specs,
    summarise,
    truth_of,
)

from analysis.base.records import Panel
from analysis.design.design import make_design
from analysis.estimation import aggregate, fit
from analysis.panel.twin import read_parameters, simulate

DYNAMIC = [name for name, case in CASES.items() if case.words.startswith("group-time")]


def table():
    return pd.read_csv(TABLE)


def test_table_and_page_are_what_the_draws_make():
    pd.testing.assert_frame_equal(summarise(read_draws()), table(), check_dtype=False, atol=2e-4)
    assert PAGE.read_text(encoding="utf-8") == page(table())


def test_table_holds_every_design_with_shares_that_are_shares():
    found = table()
    assert tuple(found.columns) == TABLE_COLUMNS
    assert list(zip(found["design"], found["outcome"], strict=True)) == [
        (name, outcome) for outcome in OUTCOMES for name in CASES
    ]
    shares = ["coverage", "excludes_zero", "largest_state", "largest_area"]
    assert found[shares].ge(0).all(axis=None) and found[shares].le(1).all(axis=None)
    assert found["largest_area"].le(found["largest_state"]).all()
    panels = found["draws"] + found["failed"]
    assert panels.eq(panels.iloc[0]).all()
    assert found["draws"].ge(100).all(), "too few draws for a share to be read"
    tested = found["pretrend_rejects"].notna()
    assert set(found.loc[tested, "design"]) == set(DYNAMIC)
    assert found.loc[tested, "coverage_not_rejected"].between(0, 1).all()


def test_truth_is_zero_for_violence_and_two_percent_for_property():
    found = table()
    violent, property_crime = (found[found["outcome"].eq(o)] for o in OUTCOMES)
    assert violent["truth"].eq(0).all()
    # With a truth of zero, leaving out the truth and excluding zero are the same event.
    assert violent["excludes_zero"].to_numpy() == pytest.approx(1 - violent["coverage"], abs=2e-4)
    full = property_crime[property_crime["design"].ne("any_limit_within_states")]
    drawn = read_draws().query("outcome == 'property'").groupby("design")["baseline"].mean()
    percent = 100 * full["truth"] / full["design"].map(drawn)
    # Stated effects are 1.6 to 2.4 log points of rates that move a little after adoption, and a cross-section's
    # baseline is the lower rate of its comparison counties.
    assert percent.between(1.2, 3.0).all()
    partial = property_crime.set_index("design")["truth"]
    assert 0 < partial["any_limit_within_states"] < partial["within_states"]


def test_summary_of_draws_made_by_hand():
    made = pd.DataFrame(
        {
            "seed": range(4), "design": "between", "outcome": "violent_ex_rape",
            "estimate": [1.0, -1.0, 3.0, 3.0], "std_error": 1.0,
            "conf_low": [-1.0, -3.0, 1.0, np.nan], "conf_high": [3.0, 1.0, 5.0, np.nan],
            "truth": 0.0, "baseline": 50.0, "pretrend_p": [0.5, 0.01, 0.5, 0.5],
            "n_treated": [20, 20, 19, 20], "n_states": [6, 6, 6, 6], "largest_state": 0.5, "largest_area": 0.5,
        }
    )[list(DRAW_COLUMNS)]  # fmt: skip
    line = summarise(made).iloc[0]
    assert (line["draws"], line["failed"]) == (3, 1)
    assert line["bias_percent"] == pytest.approx(2.0)
    assert line["spread"] == pytest.approx(2.0) and line["ratio"] == pytest.approx(0.5)
    assert line["coverage"] == pytest.approx(2 / 3, abs=1e-4)
    assert line["excludes_zero"] == pytest.approx(1 / 3, abs=1e-4)
    assert (line["not_rejected_draws"], line["coverage_not_rejected"]) == (2, 0.5)
    assert (line["informative_draws"], line["coverage_informative"]) == (2, 1.0)
    # Errors over reach are 1/2, 1/2 and 3/2.
    assert line["widen"] == pytest.approx(1.4)


@pytest.mark.slow
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_committed_draws_are_what_the_simulation_gives(place):
    stored = read_draws()
    seeds = np.sort(stored["seed"].unique())
    seed = int(seeds[round(place * (len(seeds) - 1))])
    again, stored = draw(seed), stored[stored["seed"].eq(seed)].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, stored, check_dtype=False, rtol=1e-6, atol=2e-3)


@pytest.mark.slow
def test_without_shocks_differences_in_rates_are_off_within_states_and_logs_nearly_right():
    # The page says so of trends that are common in proportion; no shock, gap or confounder is left here.
    rates, logs = [], []
    for seed in (1, 2, 3):
        made = simulate(read_parameters(), seed, quiet=True)
        panel = Panel(
            made.panel, made.constant, made.policy_events, made.declines, "quiet", True, made.reports
        )
        spec = specs()["within_states", "property"]
        design = make_design(panel, spec)
        error = effect(design) - truth_of(design, made, "property")
        rates.append(error / design.baseline)
        stated = read_parameters()["effects"]["log_points"]["burglary"]
        logs.append(effect(make_design(panel, spec.replace({"outcome.scale": "log_rate"}))) - stated)
    assert np.mean(rates) < -0.03
    assert abs(np.mean(logs)) < 0.5 * abs(np.mean(rates))


def effect(design):
    return float(aggregate(fit(design), over="post").table["estimate"].iloc[0])

"""Matched, weighted and adjusted differences find a known effect where their stated assumptions hold."""

from __future__ import annotations

import pandas as pd
import pytest
from matching_truth import DRAWS, ESTIMATORS, TABLE, WORLDS, simulate

KEYS = ["world", "estimator"]


def committed():
    return pd.read_csv(TABLE).set_index(KEYS)


@pytest.mark.parametrize("world", list(WORLDS))
def test_short_run_finds_the_effect(world):
    # Thirty draws bound gross mistakes: a wrong sign or weight, or an error off by a factor of two.
    found = simulate(world, 30, first=10_000)
    kept = found[found["holds"]]
    assert (kept["bias"].abs() < 4.5 * kept["bias_mc_error"]).all()
    assert (kept["coverage"] >= 0.75).all()
    assert kept["std_error_over_spread"].between(0.5, 2).all()


def test_committed_table_is_complete_and_covers_where_assumptions_hold():
    table = committed()
    assert list(table.index) == [(world, name) for world in WORLDS for name in ESTIMATORS]
    assert (table["draws"] == DRAWS).all()
    kept = table[table["holds"]]
    assert (kept["bias"].abs() < 3 * kept["bias_mc_error"]).all()
    # Nominal 0.95, Monte Carlo error 0.007; 600 counties in 40 states are no large sample.
    assert kept["coverage"].between(0.92, 0.98).all()


def test_committed_table_shows_what_broken_assumptions_do():
    table = committed()
    # Errors that take counties for independent are too small where states move together.
    states = table.loc["states"]
    for name in (
        "nearest mahalanobis adjusted, abadie_imbens",
        "pairs with covariates, by pair",
        "pairs, randomisation",
        "pairs, signed ranks",
        "augmented att, rows independent",
        "regression att, rows independent",
    ):
        assert states.loc[name, "coverage"] < 0.95 - 4 * states.loc[name, "coverage_mc_error"]
    # A regression that is not linear is off where arms overlap little; weights that are right repair it.
    poor = table.loc["poor_overlap"]
    assert poor.loc["regression att, by state", "coverage"] < 0.6
    augmented = poor.loc["augmented att, rows independent"]
    assert abs(augmented["bias"]) < 3 * augmented["bias_mc_error"]
    # The estimated score makes matching on it more precise than the known-score variance says.
    even = table.loc["independent"]
    assert even.loc["nearest score att, score as known", "std_error_over_spread"] > 1.15
    assert abs(even.loc["nearest score att, score estimated", "std_error_over_spread"] - 1) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("world", list(WORLDS))
def test_committed_table_is_what_the_simulation_gives(world):
    found, stored = simulate(world, DRAWS).set_index(KEYS), committed().loc[[world]]
    for column in ("bias", "std_error_over_spread", "coverage"):
        assert found[column].to_numpy() == pytest.approx(stored[column].to_numpy(), abs=2e-3, nan_ok=True)

"""Every matched comparison finds a known effect where its stated assumptions hold, with an error of the right size."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matching_truth import (
    COSTLY_DRAWS,
    DRAWS,
    ESTIMATORS,
    METHODS,
    TABLE,
    WORLDS,
    assumption,
    holds,
    is_costly,
    population_effect,
    simulate,
    simulate_counties,
)

from analysis.estimation.matching.comparison import MATCHES, SETS

KEYS = ["world", "estimator"]
FEW = 8


@cache
def committed():
    return pd.read_csv(TABLE).set_index(KEYS)


def line(world, estimator):
    return committed().loc[(world, estimator)]


@pytest.mark.parametrize("world", list(WORLDS))
def test_a_few_draws_agree_with_the_committed_table(world):
    # Seeds the table does not hold. Spread and mean error are those of the table: a wrong sign or weight, or an error
    # off by half, shows in eight draws.
    found = simulate(world, FEW, first=10_000, costly=2).set_index(KEYS)
    stored = committed().loc[[world]]
    gap = (found["bias"] - stored["bias"]).abs()
    assert (gap < 4.5 * stored["spread"] / np.sqrt(found["draws"])).all()
    error = (found["std_error_over_spread"] * found["spread"]) / (
        stored["std_error_over_spread"] * stored["spread"]
    )
    assert error.dropna().between(0.6, 1.6).all()
    kept = found[found["holds"]]
    assert kept.empty or kept["coverage"].mean() > 0.85


def test_committed_table_is_complete_and_says_what_it_is():
    table = committed()
    assert list(table.index) == [(world, name) for world in WORLDS for name in ESTIMATORS]
    assert {method.plan.method for method in METHODS.values()} == MATCHES | SETS | {
        "weighting",
        "doubly_robust",
        "regression_adjustment",
    }
    for (world, name), row in table.iterrows():
        assert row["draws"] == (COSTLY_DRAWS if is_costly(name) else DRAWS)
        assert (row["assumption"], row["holds"]) == (assumption(name), holds(name, world))


def test_committed_table_covers_where_assumptions_hold():
    table = committed()
    kept = table[table["holds"]]
    assert (kept["bias"].abs() < 4 * kept["bias_mc_error"]).all()
    assert (kept["refused"] <= 0.01 * kept["draws"]).all()
    # Where effects vary, errors are those of the population's average and too large for that of the draw's own.
    whole = kept["coverage_population"].fillna(kept["coverage"])
    ratio = kept["std_error_over_spread_population"].fillna(kept["std_error_over_spread"])
    how = kept.index.get_level_values("estimator").map(lambda name: ESTIMATORS[name][1])
    # Nominal 0.95, Monte Carlo error 0.007; 360 counties, 90 of them treated, are no large sample.
    few = ("by state", "by pair and state", "by pair and state, largest", "state bootstrap")
    many = ~how.isin([*few, "score estimated"])
    assert (whole[many] >= 0.91).all()
    assert (ratio[many] >= 0.88).all()
    # Errors from neighbours within an arm, and by set, count effects that vary between the counties compared.
    varying = kept.index.get_level_values("world") == "varying"
    assert (whole[many & ~varying] <= 0.985).all()
    assert (ratio[many & ~varying] <= 1.12).all()
    assert (ratio[many & varying] <= 1.3).all()
    # An error of large samples: too small by a tenth with 90 treated counties.
    assert whole[how == "score estimated"].between(0.88, 0.97).all()
    # Twenty states, the largest twenty times the smallest, are few: errors by state are a twentieth too small.
    assert whole[how == "by state"].between(0.89, 0.985).all()
    assert (ratio[how == "by state"] >= 0.85).all()
    assert (ratio[(how == "by state") & ~varying] <= 1.1).all()
    # The percentiles of states drawn anew do without the quantile of t.
    assert whole[how == "state bootstrap"].between(0.84, 0.98).all()
    assert whole[how == "by pair and state, largest"].between(0.92, 1).all()


def test_effects_that_vary_have_four_averages():
    # The population's averages, against those of a large sample.
    world = WORLDS["varying"]
    drawn = [simulate_counties(world, np.random.default_rng(seed)) for seed in range(300)]
    effect, treated, p = (
        np.concatenate([getattr(c, name) for c in drawn]) for name in ("effect", "treated", "probability")
    )
    weights = {"att": treated, "atc": ~treated, "ate": np.ones(len(p)), "ato": p * (1 - p)}
    found = {name: np.average(effect, weights=w) for name, w in weights.items()}
    for name, value in found.items():
        assert population_effect(world, name) == pytest.approx(value, abs=0.03)
    assert found["att"] > found["ato"] > found["ate"] > found["atc"]
    for name, average in (
        ("augmented att", "att"),
        ("augmented atc", "atc"),
        ("augmented ate", "ate"),
        ("overlap ato", "ato"),
    ):
        assert line("varying", f"{name}, by state")["truth"] == pytest.approx(
            population_effect(world, average), abs=0.02
        )


def test_committed_table_shows_what_broken_assumptions_do():
    # Errors that take counties for independent are too small where states move together.
    for name in (
        "nearest mahalanobis adjusted, abadie_imbens",
        "pairs with covariates, by pair",
        "optimal pairs adjusted, by pair",
        "cardinality with regression, by pair",
        "pairs, signed ranks",
        "entropy att, rows independent",
        "overlap ato, rows independent",
        "covariate balancing ate, rows independent",
        "augmented att, rows independent",
        "regression att, rows independent",
    ):
        row = line("states", name)
        assert row["coverage"] < 0.95 - 4 * row["coverage_mc_error"], name
    # A regression that is not linear is off where arms overlap little; weights that are right repair most of it.
    poor, augmented = (
        line("poor_overlap", "regression att, by state"),
        line("poor_overlap", "augmented att, by state"),
    )
    assert poor["coverage"] < 0.7 < augmented["coverage"]
    assert abs(augmented["bias"]) < abs(poor["bias"]) / 3
    # The estimated score makes matching on it more precise than the known-score variance says.
    assert line("independent", "nearest score ate, score as known")["std_error_over_spread"] > 1.15
    assert abs(line("independent", "nearest score ate, score estimated")["std_error_over_spread"] - 1) < 0.1
    # What matched rows share is counted as error where errors do not go by set and nothing is adjusted.
    for name in (
        "nearest mahalanobis",
        "optimal pairs",
        "full att",
        "coarsened att",
        "subclassification att",
    ):
        assert line("independent", f"{name}, by state")["std_error_over_spread"] > 1.3
    for name in ("optimal pairs, by pair", "full att, by set", "coarsened att, by set"):
        assert abs(line("independent", name)["std_error_over_spread"] - 1) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("world", list(WORLDS))
def test_committed_table_is_what_the_simulation_gives(world):
    found, stored = simulate(world, DRAWS).set_index(KEYS), committed().loc[[world]]
    for column in ("bias", "std_error_over_spread", "coverage", "coverage_population"):
        assert found[column].to_numpy() == pytest.approx(stored[column].to_numpy(), abs=2e-3, nan_ok=True)

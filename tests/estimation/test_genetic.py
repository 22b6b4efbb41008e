"""Genetic matching: the objective against GenMatch (tests/reference/matching_weights), the search by its promises."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from estimation_cases import REFERENCE, reference_values
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from analysis.estimation.matching.balance import balance, denominators
from analysis.estimation.matching.genetic import (
    balance_p_values,
    genetic_coordinates,
    genetic_matching,
    genetic_objective,
)
from analysis.estimation.matching.nearest import nearest_neighbours
from tests.benchmarks.worlds import WORLDS

CLOSED = 1e-8

TABLE = pd.read_csv(REFERENCE / "matching_weights" / "simulated_counties.csv")
R = reference_values("matching_weights")
GENMATCH = json.loads((REFERENCE / "matching_weights" / "genmatch.json").read_text())
X, D = TABLE[["x1", "x2", "x3", "x4"]].to_numpy(float), TABLE["treated"].to_numpy() == 1
CASES = ["equal", "uneven", "zero", "two", "small", "small_uneven"]


@pytest.mark.parametrize("case", CASES)
def test_matches_p_values_and_objective_against_genmatch(case):
    stored = R[f"genetic_{case}"]
    x, d, w = X[: stored["rows"]], D[: stored["rows"]], np.array(stored["weights"], float)
    neighbours = 2 if case == "two" else 1
    m = nearest_neighbours(genetic_coordinates(x, w), d, neighbours=neighbours)
    found = set(zip(m.treated.tolist(), m.comparison.tolist(), m.share.round(12).tolist(), strict=True))
    listed = zip(stored["treated"], stored["comparison"], np.round(stored["share"], 12), strict=True)
    # R's shares of a match add to 1 over its pairs.
    assert found == {(t, c, float(s)) for t, c, s in listed}
    p = balance_p_values(x, m)
    assert p[:4] == pytest.approx(stored["t"], abs=CLOSED)
    assert p[4:7] == pytest.approx(stored["ks"], abs=CLOSED)
    assert p[7] == p[3]
    objective = genetic_objective(w, x, d, neighbours=neighbours)
    assert objective == pytest.approx(stored["objective"], abs=CLOSED)


def test_smallest_p_value_against_genmatch():
    stored = R["genetic_worst"]
    found = genetic_objective(np.array(stored["weights"]), X, D, loss="worst_p_value")
    assert found == pytest.approx([stored["objective"]], abs=CLOSED)


def test_mean_difference_objective_is_that_of_balance():
    w = np.array([2.0, 1.0, 0.3, 5.0])
    m = nearest_neighbours(genetic_coordinates(X, w), D)
    weights = np.where(D, 1.0, m.comparison_weights(np.ones(len(D))))
    found = balance(X, D, weights, denominators(X, D, "treated")).standardized_mean_difference
    objective = genetic_objective(w, X, D, loss="standardized_mean_difference")
    assert objective == pytest.approx([-np.abs(found).max()], abs=1e-12)


@pytest.mark.parametrize("estimand", ["atc", "ate"])
def test_other_estimands_against_genmatch(estimand):
    stored = R[f"genetic_{estimand}"]
    w = np.array(stored["weights"])
    found = genetic_matching(
        X, D, np.random.default_rng(1), starts=[w], estimand=estimand, population=4, generations=0
    )
    assert genetic_objective(w, X, D, estimand=estimand) == pytest.approx(stored["objective"], abs=CLOSED)
    assert tuple(found.objective) >= tuple(stored["objective"]) and found.estimand == estimand
    z = genetic_coordinates(X, w)
    up = [nearest_neighbours(z, D)] if estimand == "ate" else []
    down = nearest_neighbours(z, ~D)
    pairs = {
        (t, c, round(s, 12)) for m in up for t, c, s in zip(m.treated, m.comparison, m.share, strict=True)
    }
    pairs |= {(c, t, round(s, 12)) for t, c, s in zip(down.treated, down.comparison, down.share, strict=True)}
    listed = zip(stored["treated"], stored["comparison"], np.round(stored["share"], 12), strict=True)
    assert pairs == {(t, c, float(s)) for t, c, s in listed}
    # Whom the record says was matched: comparison rows for atc, both for ate.
    assert D[found.matches.treated].all() == (estimand == "ate")
    assert (found.reverse is None) == (estimand == "atc")
    if found.reverse is not None:
        assert np.unique(np.concatenate([found.matches.treated, found.reverse.treated])).tolist() == list(
            range(len(D))
        )


def test_matching_once_in_the_order_of_the_data_against_genmatch():
    stored = R["genetic_once"]
    w = np.array(stored["weights"])
    m = nearest_neighbours(genetic_coordinates(X, w), D, replacement=False, order="data")
    assert list(zip(m.treated.tolist(), m.comparison.tolist(), strict=True)) == sorted(
        zip(stored["treated"], stored["comparison"], strict=True)
    )
    assert genetic_objective(w, X, D, replacement=False) == pytest.approx(stored["objective"], abs=CLOSED)


@pytest.mark.parametrize("world", WORLDS)
def test_objective_at_genmatchs_weights_on_national_cross_sections(world):
    stored, (x, d) = GENMATCH[world], WORLDS[world]()
    found = genetic_objective(np.array(stored["weights"]), x, d)
    assert found == pytest.approx(stored["objective"], abs=CLOSED)
    m = nearest_neighbours(genetic_coordinates(x, np.array(stored["weights"])), d)
    assert len(m.treated) == stored["pairs"]
    weights = np.where(d, 1.0, m.comparison_weights(np.ones(len(d))))
    gap = balance(x, d, weights, denominators(x, d, "treated")).standardized_mean_difference
    assert gap == pytest.approx(stored["standardized_mean_difference"], abs=CLOSED)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 60))
def test_exact_p_value_without_ties_is_that_of_scipy(seed, pairs):
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=(2 * pairs, 1)), np.arange(2 * pairs) < pairs
    m = nearest_neighbours(x, d, replacement=False)
    p = balance_p_values(x, m)[1]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        wanted = ks_2samp(x[d, 0], x[~d, 0], method="exact").pvalue
    # Where its own sum of paths fails, scipy says so and gives a limit instead.
    assume(not said)
    assert p == pytest.approx(wanted, abs=1e-10)


def test_search_promises():
    rows = slice(0, 200)
    x, d = X[rows], D[rows]
    start = np.array([4.0, 1.0, 9.0, 2.0])
    for loss in ("p_values", "worst_p_value", "standardized_mean_difference"):
        found = genetic_matching(
            x, d, np.random.default_rng(2), loss=loss, starts=[start], population=10, generations=6
        )
        again = genetic_matching(
            x,
            d,
            np.random.default_rng(2),
            loss=loss,
            starts=[start],
            population=10,
            generations=6,
            workers=2,
        )
        assert found.weights.tolist() == again.weights.tolist()
        assert found.evaluations == 2 + 16 * 10 + 6 * 10
        assert found.objective == pytest.approx(genetic_objective(found.weights, x, d, loss=loss))
        assert found.at_start == pytest.approx(genetic_objective(np.ones(4), x, d, loss=loss))
        assert tuple(found.objective) >= tuple(found.at_start)
        assert tuple(found.objective) >= tuple(genetic_objective(start, x, d, loss=loss))
        assert (np.diff(found.history) >= 0).all()
        assert found.history[-1] == found.objective[0] > found.at_start[0]
        full = nearest_neighbours(genetic_coordinates(x, found.weights), d)
        assert found.matches.comparison.tolist() == full.comparison.tolist()


def test_another_seed_searches_elsewhere():
    one, two = (genetic_matching(X, D, np.random.default_rng(s), population=6, generations=1) for s in (1, 2))
    assert one.weights.tolist() != two.weights.tolist()


def test_balances_columns_other_than_those_matched_on():
    columns = np.column_stack([X, X[:, 0] * X[:, 1]])
    found = genetic_matching(
        X, D, np.random.default_rng(1), columns=columns, population=8, generations=2, neighbours=2
    )
    assert len(found.objective) == 10
    wanted = genetic_objective(found.weights, X, D, columns=columns, neighbours=2)
    assert found.objective == pytest.approx(wanted)


def test_calipers_strata_and_replacement_are_kept():
    strata = TABLE["class"].to_numpy()
    found = genetic_matching(
        X,
        D,
        np.random.default_rng(1),
        strata=strata,
        calipers=(X[:, :1], np.array([0.4])),
        replacement=False,
        population=6,
        generations=2,
    ).matches
    assert (strata[found.treated] == strata[found.comparison]).all()
    assert (np.abs(X[found.treated, 0] - X[found.comparison, 0]) <= 0.4).all()
    assert len(np.unique(found.comparison)) == len(found.comparison)
    assert len(found.dropped) + len(found.treated) == D.sum()


def test_a_covariate_that_follows_from_others_is_taken():
    # A propensity score's linear predictor among the covariates it was fitted on is common practice.
    x = np.column_stack([X, X @ np.array([0.6, -0.4, 0.3, 0.3])])
    found = genetic_matching(x, D, np.random.default_rng(1), population=6, generations=1)
    assert len(found.weights) == 5


def test_bad_input_is_named():
    rng = np.random.default_rng(1)
    holed = X.copy()
    holed[[3, 9], 1] = np.nan
    with pytest.raises(ValueError, match=r"2 missing or infinite values in columns \[1\], rows \[3, 9\]"):
        genetic_matching(holed, D, rng)
    with pytest.raises(ValueError, match="1 missing or infinite values in the columns to balance"):
        genetic_matching(X, D, rng, columns=np.where(np.arange(len(D)) == 5, np.inf, X[:, 0])[:, None])
    with pytest.raises(ValueError, match=r"columns \[4\] are constant"):
        genetic_matching(np.column_stack([X, np.ones(len(X))]), D, rng)
    with pytest.raises(ValueError, match="0 of 420 rows are treated"):
        genetic_matching(X, np.zeros(len(D), bool), rng)
    with pytest.raises(ValueError, match=f"all {D.sum()} rows to be matched are pruned"):
        genetic_matching(
            X + 100 * D[:, None], D, rng, calipers=(X[:, :1] + 100 * D[:, None], np.array([1.0]))
        )
    with pytest.raises(ValueError, match="population 2"):
        genetic_matching(X, D, rng, population=2)
    with pytest.raises(ValueError, match="workers 0"):
        genetic_matching(X, D, rng, workers=0)
    with pytest.raises(ValueError, match='estimand = "ATT"; wanted att, atc or ate'):
        genetic_matching(X, D, rng, estimand="ATT")
    with pytest.raises(ValueError, match='"ate" without replacement'):
        genetic_matching(X, D, rng, estimand="ate", replacement=False)
    with pytest.raises(ValueError, match=r"200 neighbours of 1\d\d rows"):
        genetic_matching(X, D, rng, estimand="atc", neighbours=200)
    with pytest.raises(ValueError, match='loss = "best"'):
        genetic_matching(X, D, rng, loss="best")
    with pytest.raises(ValueError, match="neighbours of"):
        genetic_matching(X, D, rng, neighbours=1000)
    with pytest.raises(ValueError, match="one of 0 or more each"):
        genetic_objective(np.array([1.0, -1, 1, 1]), X, D)


def test_search_balances_no_worse_than_genmatch_with_population_100():
    stored = R["genetic_search"]
    for seed in (1, 2, 3):
        found = genetic_matching(X, D, np.random.default_rng(seed))
        assert found.objective[0] >= stored["objective"][0] - CLOSED


@pytest.mark.parametrize("world", ["skewed", "apart"])
def test_search_balances_no_worse_than_genmatch_on_worlds_it_was_not_set_up_on(world):
    stored, (x, d) = GENMATCH[world], WORLDS[world]()
    found = genetic_matching(x, d, np.random.default_rng(1))
    assert tuple(found.objective) >= tuple(stored["objective"])
    found = genetic_matching(
        x, d, np.random.default_rng(1), generations=20, loss="standardized_mean_difference"
    )
    assert -found.objective[0] <= np.abs(stored["standardized_mean_difference"]).max()

"""Optimal and full matching against exhaustive search, and set weights against R's MatchIt."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from estimation_cases import reference_counties, reference_values
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimation.matching import optimal
from analysis.estimation.matching.average import set_matches
from analysis.estimation.matching.distances import mahalanobis_coordinates
from analysis.estimation.matching.nearest import nearest_neighbours
from analysis.estimation.matching.optimal import (
    full_matching,
    optimal_matching,
)
from analysis.estimation.matching.variance import matched_difference
from analysis.estimation.matching.weights import stratum_weights

TABLE = reference_counties()
Y, D = TABLE["outcome"].to_numpy(), TABLE["treated"].to_numpy()
Z = mahalanobis_coordinates(TABLE[["x1", "x2", "x3", "x4"]].to_numpy())
ONES = np.ones(len(D))
# The linear program stops at reduced costs of 1e-10 of the mean distance; assignments differ by rounding only.
ROUNDING = 1e-8


def small(seed, n1, n0, grid):
    """A small sample in two columns; on a grid distances tie and rows coincide."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (n1 + n0, 2)).astype(float) if grid else rng.normal(size=(n1 + n0, 2))
    return x, rng.permutation(np.arange(n1 + n0) < n1)


def costs(x, d, squared=False, caliper=None):
    square = ((x[d][:, None] - x[~d][None]) ** 2).sum(axis=2)
    cost = square if squared else np.sqrt(square)
    if caliper is not None:
        cost[(np.abs(x[d][:, None, 0] - x[~d][None, :, 0])) > caliper] = np.inf
    return cost


def best_pairs(cost, k):
    """Most rows with k columns each, then least cost, by trying every choice of every row."""
    best = {0: 0.0}

    def walk(row, free, served, spent):
        if row == len(cost):
            best[served] = min(best.get(served, np.inf), spent)
            return
        walk(row + 1, free, served, spent)
        for choice in combinations(sorted(free), k):
            extra = cost[row, list(choice)].sum()
            if np.isfinite(extra):
                walk(row + 1, free - set(choice), served + 1, spent + extra)

    walk(0, frozenset(range(cost.shape[1])), 0, 0.0)
    most = max(best)
    return most, best[most]


def best_sets(cost, low_1, high_1, low_0, high_0, spare=0):
    """Least cost over every subset of edges that is a division into stars within the limits; inf if none."""
    n1, n0 = cost.shape
    edges = np.array(list(product([False, True], repeat=n1 * n0))).reshape(-1, n1, n0)
    of_1, of_0 = edges.sum(axis=2), edges.sum(axis=1)
    star = ~(edges & (of_1[:, :, None] > 1) & (of_0[:, None, :] > 1)).any(axis=(1, 2))
    fits = ((of_1 >= low_1) & (of_1 <= high_1)).all(axis=1)
    fits &= ((of_0 >= low_0) | (of_0 == 0)).all(axis=1) & (of_0 <= high_0).all(axis=1)
    fits &= (of_0 == 0).sum(axis=1) <= spare
    total = np.where(edges, cost, 0.0).sum(axis=(1, 2))
    return total[star & fits].min(initial=np.inf)


@pytest.fixture(params=["table", "blocks"])
def either_way(request, monkeypatch):
    """Small problems are solved on the whole table; here also as large ones are, in blocks and few edges."""
    if request.param == "blocks":
        monkeypatch.setattr(optimal, "DENSE_CELLS", 1)
        monkeypatch.setattr(optimal, "CROWDED_CELLS", 1)
        monkeypatch.setattr(optimal, "FIRST_EDGES", 1)
    return request.param


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("measure", ["distance", "squared"])
def test_pairs_are_the_best_there_are(seed, measure, either_way):
    x, d = small(seed, 4, 6, grid=seed % 3 == 0)
    for caliper in (None, 0.6):
        cost = costs(x, d, measure == "squared", caliper)
        most, least = best_pairs(cost, 1)
        if not most:
            continue
        m = optimal_matching(
            x,
            d,
            measure=measure,
            calipers=None if caliper is None else (x[:, :1], np.array([caliper])),
        )
        found = m.distance if measure == "squared" else np.sqrt(m.distance)
        assert (len(m.treated), found.sum()) == (most, pytest.approx(least, abs=ROUNDING))
        assert len(m.dropped) == 4 - most and len(np.unique(m.comparison)) == most


@pytest.mark.parametrize("seed", range(8))
def test_two_neighbours_are_the_best_there_are(seed, either_way):
    x, d = small(seed, 3, 7, grid=seed % 4 == 0)
    m = optimal_matching(x, d, neighbours=2)
    most, least = best_pairs(costs(x, d), 2)
    assert most == 3 and np.unique(m.treated, return_counts=True)[1].tolist() == [2, 2, 2]
    assert np.sqrt(m.distance).sum() == pytest.approx(least, abs=ROUNDING)
    assert len(np.unique(m.comparison)) == 6 and (m.share == 0.5).all()


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 4), st.booleans())
@settings(max_examples=50, deadline=None)
def test_full_match_is_the_best_there_is(seed, n1, n0, grid):
    x, d = small(seed, n1, n0, grid)
    full = full_matching(x, d)
    assert full.total == pytest.approx(best_sets(costs(x, d), 1, 9, 1, 9), abs=ROUNDING)
    for number in np.unique(full.sets):
        inside = full.sets == number
        assert min((inside & d).sum(), (inside & ~d).sum()) == 1


LIMITS = {
    "at most two controls": ({"max_controls": 2}, (1, 2, 1, 9)),
    "no sharing": ({"min_controls": 1}, (1, 9, 1, 1)),
    "one or two controls": ({"min_controls": 1, "max_controls": 2}, (1, 2, 1, 1)),
    "two or more controls": ({"min_controls": 2}, (2, 9, 1, 1)),
    "at most two treated share": ({"min_controls": 0.5, "max_controls": 3}, (1, 3, 1, 2)),
    "at least two treated share": ({"max_controls": 0.5}, (1, 1, 2, 9)),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("shape", [(2, 4), (3, 4), (4, 2)])
def test_full_match_within_limits_is_the_best_there_is(name, shape, either_way):
    asked, bounds = LIMITS[name]
    for seed in range(3):
        x, d = small(seed, *shape, grid=seed == 2)
        least = best_sets(costs(x, d), *bounds)
        if np.isinf(least):
            with pytest.raises(ValueError, match=r"treated and .* wanted"):
                full_matching(x, d, **asked)
            continue
        full = full_matching(x, d, **asked)
        assert full.total == pytest.approx(least, abs=ROUNDING)
        assert (full.sets >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_omitting_controls_is_the_best_there_is(seed, either_way):
    x, d = small(seed, 3, 4, grid=seed == 3)
    full = full_matching(x, d, omit=0.5, max_controls=2)
    assert full.total == pytest.approx(best_sets(costs(x, d), 1, 2, 1, 9, spare=2), abs=ROUNDING)
    assert len(full.dropped_comparison) <= 2
    strata = np.zeros(7, dtype=int)
    strata[np.flatnonzero(d)[0]] = strata[np.flatnonzero(~d)[:2]] = 1
    cost = np.where(strata[d][:, None] == strata[~d][None], costs(x, d), np.inf)
    full = full_matching(x, d, omit=0.25, max_controls=2, strata=strata)
    assert full.total == pytest.approx(best_sets(cost, 1, 2, 1, 9, spare=1), abs=ROUNDING)


def test_rows_all_alike_are_matched_all_the_same(either_way):
    x, d = np.zeros((7, 2)), np.arange(7) < 3
    assert len(optimal_matching(x, d).treated) == 3
    for options in ({}, {"max_controls": 2}, {"min_controls": 1}):
        full = full_matching(x, d, **options)
        assert full.total == 0 and (full.sets >= 0).all()
        for number in np.unique(full.sets):
            inside = full.sets == number
            assert min((inside & d).sum(), (inside & ~d).sum()) == 1


def test_calipers_no_sets_keep_are_said_not_solved():
    # Both treated rows can take the first comparison row alone, nobody the other three but the second.
    x = np.array([[0.0], [0.9], [-0.1], [1.5], [1.6], [1.7]])
    d = np.array([True, True, False, False, False, False])
    with pytest.raises(ValueError, match=r"calipers leave no sets .* 1 to 2 comparison"):
        full_matching(x, d, max_controls=2, calipers=(x, np.array([0.85])))


@pytest.mark.parametrize("options", [{}, {"max_controls": 7}, {"min_controls": 1 / 3, "max_controls": 8}])
def test_blocks_and_table_agree_on_a_county_sized_sample(options, monkeypatch):
    strata = (TABLE["class"].to_numpy() > 2).astype(int)
    whole = full_matching(Z, D, strata=strata, **options)
    pairs = optimal_matching(Z, D, strata=strata)
    monkeypatch.setattr(optimal, "DENSE_CELLS", 500)
    monkeypatch.setattr(optimal, "CROWDED_CELLS", 500)
    monkeypatch.setattr(optimal, "FIRST_EDGES", 2)
    assert full_matching(Z, D, strata=strata, **options).total == pytest.approx(whole.total, abs=ROUNDING)
    again = optimal_matching(Z, D, strata=strata)
    assert np.sqrt(again.distance).sum() == pytest.approx(np.sqrt(pairs.distance).sum(), abs=ROUNDING)


def test_optimal_is_no_farther_than_greedy_and_no_looser_limit_is_farther():
    greedy = nearest_neighbours(Z, D, replacement=False)
    best = optimal_matching(Z, D, measure="squared")
    assert best.distance.sum() < greedy.distance.sum()
    totals = [full_matching(Z, D, max_controls=m).total for m in (5, 6, 10, np.inf)]
    assert totals == sorted(totals, reverse=True) and totals[0] > totals[-1]


@pytest.mark.parametrize("options", [{}, {"max_controls": 5}])
def test_strata_and_calipers_always_hold(options):
    strata, width = TABLE["class"].to_numpy(), np.full(4, 2.5)
    full = full_matching(Z, D, strata=strata, calipers=(Z, width))
    m = full.matches
    assert (strata[m.treated] == strata[m.comparison]).all()
    assert (np.abs(Z[m.treated] - Z[m.comparison]) <= width).all()
    # Whoever is left out had nobody, and the pairs are the sets.
    lone = nearest_neighbours(Z, D, strata=strata, calipers=(Z, width)).dropped
    assert full.matches.dropped.tolist() == lone.tolist()
    again = set_matches(full.sets, D, Z)
    for field in ("treated", "comparison", "share", "distance", "dropped"):
        assert np.array_equal(getattr(m, field), getattr(again, field))


def test_row_order_and_shifts_do_not_matter():
    rng = np.random.default_rng(8)
    shuffle = rng.permutation(len(D))
    one, two = optimal_matching(Z, D), optimal_matching(Z[shuffle] + 3.0, D[shuffle])
    pairs = set(zip(one.treated.tolist(), one.comparison.tolist(), strict=True))
    assert pairs == set(zip(shuffle[two.treated].tolist(), shuffle[two.comparison].tolist(), strict=True))
    one, two = full_matching(Z, D, max_controls=6), full_matching(Z[shuffle], D[shuffle], max_controls=6)
    pairs = set(zip(one.matches.treated.tolist(), one.matches.comparison.tolist(), strict=True))
    assert pairs == {
        (int(shuffle[i]), int(shuffle[j]))
        for i, j in zip(two.matches.treated, two.matches.comparison, strict=True)
    }


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_set_weights_equal_r(estimand):
    stored = reference_values("matching_sets")
    weights = stratum_weights(np.array(stored["sets"]), D, estimand)
    assert weights == pytest.approx(np.array(stored[estimand]["weights"]), abs=1e-12)
    difference = np.average(Y[D], weights=weights[D]) - np.average(Y[~D], weights=weights[~D])
    assert difference == pytest.approx(stored[estimand]["estimate"], abs=1e-10)


def test_pairs_of_a_full_match_carry_its_weights():
    full = full_matching(Z, D, min_controls=1 / 3)
    of_pairs, of_sets = full.matches.comparison_weights(ONES), stratum_weights(full.sets, D)
    assert of_pairs[~D] / of_pairs[~D].mean() == pytest.approx(of_sets[~D])
    effect = np.average(Y[D], weights=of_sets[D]) - np.average(Y[~D], weights=of_sets[~D])
    assert matched_difference(Y, full.matches, ONES).estimate == pytest.approx(effect)


def test_too_few_controls_are_named_or_the_costliest_treated_dropped():
    x = np.array([[0.0], [1.0], [9.0], [0.1], [1.1], [5.0], [5.5]])
    d = np.array([True, True, True, False, False, True, False])
    strata = np.array([0, 0, 0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="stratum 0: 3 treated and 2 comparison rows; wanted 1 comparison"):
        optimal_matching(x, d, strata=strata)
    m = optimal_matching(x, d, strata=strata, short="drop")
    assert m.treated.tolist() == [0, 1, 5] and m.dropped.tolist() == [2]
    with pytest.raises(ValueError, match="4 treated and 3 comparison rows; wanted 2"):
        optimal_matching(x, d, neighbours=2, short="drop")
    assert full_matching(x, d, strata=strata).matches.dropped.size == 0


BAD = {
    "missing": (
        lambda x, d: optimal_matching(np.where(x > 2, np.nan, x), d),
        r"missing or infinite in \d+ rows",
    ),
    "one arm": (lambda x, d: full_matching(x, d | True), "10 treated and 0 comparison"),
    "no neighbours": (lambda x, d: optimal_matching(x, d, neighbours=0), "neighbours = 0"),
    "measure": (lambda x, d: full_matching(x, d, measure="city"), 'measure = "city"'),
    "all pruned": (lambda x, d: optimal_matching(x, d, calipers=(x, np.zeros(2))), "no treated row has"),
    "all pruned, full": (lambda x, d: full_matching(x, d, calipers=(x, np.zeros(2))), "no treated row has"),
    "limits reversed": (lambda x, d: full_matching(x, d, min_controls=3, max_controls=2), "min_controls = 3"),
    "limit broken": (
        lambda x, d: full_matching(x, d, max_controls=2.5),
        "max_controls = 2.5; wanted a whole",
    ),
    "omit": (lambda x, d: full_matching(x, d, omit=1.0), "omit = 1.0"),
    "too few": (lambda x, d: full_matching(x, d, min_controls=4), "3 treated and 7 comparison rows"),
    "lone arm": (lambda x, d: stratum_weights(np.where(d, 1, 0), d), "strata .* hold one arm alone"),
    "no set": (lambda x, d: stratum_weights(np.full(10, -1), d), "all rows are pruned"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    call, said = BAD[name]
    rng = np.random.default_rng(1)
    x = rng.normal(size=(10, 2))
    x[0] = 3.0
    with pytest.raises(ValueError, match=said):
        call(x, np.arange(10) < 3)

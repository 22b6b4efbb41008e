"""Coarsened exact matching against MatchIt (tests/reference/matching_weights) and by counting."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from estimation_cases import REFERENCE, reference_values
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimation.matching.coarsened import coarsened_exact_matching, cut_points, l1_imbalance

TABLE = pd.read_csv(REFERENCE / "matching_weights" / "simulated_counties.csv")
R = reference_values("matching_weights")
X, D = TABLE[["x1", "x2", "x3"]].to_numpy(float), TABLE["treated"].to_numpy() == 1
FLAT = np.where(X[:, 2] < 3, 0.0, X[:, 1])


def same_strata(one, two):
    """Whether two codings, -1 for none, divide the rows alike."""
    return len(set(zip(one, two, strict=True))) == len(set(one)) == len(set(two)) and all(
        (a < 0) == (b < 0) for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize(
    ("case", "columns", "rules", "options"),
    [
        ("cem_sturges", X, "sturges", {}),
        ("cem_scott", X, "scott", {}),
        ("cem_fd", X, "freedman_diaconis", {}),
        ("cem_quintiles", X, "quantiles_5", {}),
        ("cem_quintiles_atc", X, "quantiles_5", {"estimand": "atc"}),
        ("cem_quintiles_ate", X, "quantiles_5", {"estimand": "ate"}),
        ("cem_mixed", X, [[-1, 0, 0.5, 1.25], 4, "exact"], {"groups": TABLE["x4"].to_numpy()}),
        (
            "cem_ties",
            np.column_stack([X[:, 0], FLAT, X[:, 2]]),
            ["quantiles_4", "freedman_diaconis", "quantiles_3"],
            {},
        ),
    ],
)
def test_strata_and_weights_against_matchit(case, columns, rules, options):
    found = coarsened_exact_matching(columns, D, rules, **options)
    assert same_strata(found.stratum.tolist(), R[case]["stratum"])
    assert found.weights == pytest.approx(R[case]["weights"], abs=1e-12)
    assert found.pruned.tolist() == np.flatnonzero(np.array(R[case]["stratum"]) < 0).tolist()


def test_numbers_of_bins_against_r():
    for name, column in {"x1": X[:, 0], "x2": X[:, 1], "x3": X[:, 2], "flat": FLAT}.items():
        rules = ("sturges", "scott", "freedman_diaconis")
        assert [len(cut_points(column, rule)) + 1 for rule in rules] == R["counts"][name]


def test_imbalance_against_a_count():
    cuts = [cut_points(column, "scott") for column in X.T]
    cells = list(zip(*[np.digitize(c, cut) for c, cut in zip(X.T, cuts, strict=True)], strict=True))
    w = 1.0 + np.arange(len(D)) % 4
    tally = {arm: Counter() for arm in (True, False)}
    for cell, arm, weight in zip(cells, D.tolist(), w, strict=True):
        tally[arm][cell] += weight
    share = {arm: {c: v / counts.total() for c, v in counts.items()} for arm, counts in tally.items()}
    wanted = sum(abs(share[True].get(c, 0) - share[False].get(c, 0)) for c in set(cells)) / 2
    assert l1_imbalance(X, D, w, "scott") == pytest.approx(wanted, abs=1e-14)


def test_imbalance_at_its_ends():
    assert l1_imbalance(np.tile(X, (2, 1)), np.arange(2 * len(X)) < len(X)) == pytest.approx(0, abs=1e-14)
    assert l1_imbalance(np.where(D, 1.0, 0.0)[:, None], D, rules=2) == 1


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_matching_leaves_no_imbalance_in_its_own_bins(estimand):
    found = coarsened_exact_matching(X, D, "quantiles_4", estimand=estimand)
    before, after = found.imbalance
    assert before == pytest.approx(l1_imbalance(X, D, rules="quantiles_4"))
    assert after < 1e-12 < before
    assert l1_imbalance(X, D, found.weights, "quantiles_4") == pytest.approx(0, abs=1e-12)


RULES = st.sampled_from(["sturges", "scott", "freedman_diaconis", "quantiles_3", 2, 5])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.tuples(RULES, RULES))
def test_a_stratum_holds_both_arms_and_one_bin(seed, rules):
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=(90, 2)).round(1), rng.random(90) < 0.4
    found = coarsened_exact_matching(x, d, rules)
    for s in range(found.stratum.max() + 1):
        rows = found.stratum == s
        assert d[rows].any() and not d[rows].all()
        assert len(np.unique(found.bins[rows], axis=0)) == 1
        # Comparison rows together weigh as the treated rows do, up to the one scale of all.
        scale = found.weights[~d].sum() / found.weights[d].sum()
        assert found.weights[rows & ~d].sum() == pytest.approx(scale * d[rows].sum())
    assert (found.weights[found.pruned] == 0).all()
    kept = {tuple(b) for b in found.bins[d]} & {tuple(b) for b in found.bins[~d]}
    assert len(kept) == found.stratum.max() + 1
    order = rng.permutation(90)
    again = coarsened_exact_matching(x[order], d[order], rules)
    assert again.stratum.tolist() == found.stratum[order].tolist()
    assert again.weights == pytest.approx(found.weights[order])


def test_one_to_one_within_strata_keeps_the_nearest_pairs():
    z = (X - X.mean(axis=0)) / X.std(axis=0)
    whole = coarsened_exact_matching(X, D, "quantiles_5")
    found = coarsened_exact_matching(X, D, "quantiles_5", pair_in=z)
    # MatchIt pairs in turns; how many pairs there are does not depend on that.
    assert len(found.pairs.treated) == R["cem_k2k"]["pairs"]
    assert (found.weights == (found.stratum >= 0)).all() and found.imbalance[1] < 1e-12
    assert (found.stratum[found.pairs.treated] == found.stratum[found.pairs.comparison]).all()
    assert sorted([*found.pairs.treated, *found.pairs.comparison]) == np.flatnonzero(found.weights).tolist()
    assert found.pairs.dropped.tolist() == np.flatnonzero(D & (found.stratum < 0)).tolist()
    tried = 0
    for s in range(whole.stratum.max() + 1):
        one, other = (np.flatnonzero((whole.stratum == s) & arm) for arm in (D, ~D))
        kept = whole.stratum[found.pairs.treated] == s
        assert kept.sum() == min(len(one), len(other))
        few, many = sorted((one, other), key=len)
        if len(many) > 6:
            continue
        tried += 1
        cost = np.sqrt(((z[few][:, None] - z[many][None]) ** 2).sum(axis=2))
        least = min(
            cost[np.arange(len(few)), list(p)].sum() for p in permutations(range(len(many)), len(few))
        )
        assert np.sqrt(found.pairs.distance[kept]).sum() == pytest.approx(least, abs=1e-10)
    assert tried > 20
    with pytest.raises(ValueError, match=r"pair_in \(420,\) for 420 rows"):
        coarsened_exact_matching(X, D, pair_in=z[:, 0])


def test_text_groups_are_those_of_their_codes():
    codes = TABLE["class"].to_numpy()
    names = np.array(["", "rim", "core", "fringe", "outer"])[codes]
    assert same_strata(
        coarsened_exact_matching(X, D, 3, groups=names).stratum.tolist(),
        coarsened_exact_matching(X, D, 3, groups=codes).stratum.tolist(),
    )
    holed = names.astype(object)
    holed[[2, 5]] = None, np.nan
    with pytest.raises(ValueError, match="a group code is missing in 2 rows"):
        coarsened_exact_matching(X, D, 3, groups=holed)
    with pytest.raises(ValueError, match=r"groups \(419,\) for 420 rows"):
        coarsened_exact_matching(X, D, 3, groups=names[1:])


def test_a_value_on_a_cut_point_belongs_above_it():
    x = np.array([[0.0], [1.0], [1.0], [0.5]])
    found = coarsened_exact_matching(x, np.array([True, True, False, False]), [[1.0]])
    assert found.stratum.tolist() == [0, 1, 1, 0]


def test_bad_input_is_named():
    holed = X.copy()
    holed[7, 0] = np.nan
    with pytest.raises(ValueError, match=r"1 missing or infinite values in columns \[0\], rows \[7\]"):
        coarsened_exact_matching(holed, D)
    with pytest.raises(ValueError, match=r"columns \[3\] are constant"):
        coarsened_exact_matching(np.column_stack([X, np.ones(len(X))]), D)
    with pytest.raises(ValueError, match="no overlap: all 420 rows are pruned"):
        coarsened_exact_matching(X + 50.0 * D[:, None], D, 4)
    with pytest.raises(ValueError, match="no overlap: all 420 rows are pruned"):
        coarsened_exact_matching(X, D, 1, groups=D)
    with pytest.raises(ValueError, match="420 of 420 rows are treated"):
        coarsened_exact_matching(X, np.ones(len(D), bool))
    for rule, said in (("fd", 'rule "fd"'), (0, "0 bins"), ("quantiles_", "wanted sturges")):
        with pytest.raises(ValueError, match=said):
            coarsened_exact_matching(X, D, rule)
    with pytest.raises(ValueError, match="2 rules for 3 columns"):
        coarsened_exact_matching(X, D, ["scott", 3])
    with pytest.raises(ValueError, match="finite"):
        coarsened_exact_matching(X, D, [[np.nan], 3, 3])
    with pytest.raises(ValueError, match="an arm are pruned"):
        l1_imbalance(X, D, np.where(D, 1.0, 0.0))


def test_a_covariate_that_follows_from_others_changes_nothing_in_exact_strata():
    d, x = D, X.round()
    plain = coarsened_exact_matching(x, d, "exact")
    more = coarsened_exact_matching(np.column_stack([x, x[:, 0] + x[:, 2]]), d, "exact")
    assert plain.stratum.tolist() == more.stratum.tolist()

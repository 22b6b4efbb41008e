"""Subclassification against MatchIt (tests/reference/matching_weights)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from estimation_cases import REFERENCE, reference_values
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis.estimation.matching.subclass import subclassify

TABLE = pd.read_csv(REFERENCE / "matching_weights" / "simulated_counties.csv")
R = reference_values("matching_weights")
SCORE, D = TABLE["score"].to_numpy(), TABLE["treated"].to_numpy() == 1
LOW, HIGH = max(SCORE[D].min(), SCORE[~D].min()), min(SCORE[D].max(), SCORE[~D].max())
SUPPORT = (LOW <= SCORE) & (SCORE <= HIGH)


@pytest.mark.parametrize(
    ("case", "score", "classes", "options"),
    [
        ("subclass_6", SCORE, 6, {}),
        ("subclass_5_atc", SCORE, 5, {"estimand": "atc"}),
        ("subclass_5_ate", SCORE, 5, {"estimand": "ate"}),
        ("subclass_shares", SCORE, [0.3, 0.8], {}),
        ("subclass_moves", SCORE, 25, {"minimum": 4}),
        ("subclass_moves_ate", SCORE, 30, {"minimum": 3, "estimand": "ate"}),
        ("subclass_pruned", SCORE, 60, {"minimum": 0}),
        ("subclass_support", SCORE, 5, {"eligible": SUPPORT}),
        ("subclass_ties", SCORE.round(), 8, {}),
    ],
)
def test_classes_and_weights_against_matchit(case, score, classes, options):
    found, stored = subclassify(score, D, classes, **options), R[case]
    assert found.stratum.tolist() == stored["stratum"]
    assert found.weights == pytest.approx(stored["weights"], abs=1e-12)
    assert found.breaks == pytest.approx(stored["breaks"], abs=1e-12)
    assert found.pruned.tolist() == np.flatnonzero(np.array(stored["stratum"]) < 0).tolist()


def test_the_cases_move_prune_and_merge():
    # Without these the comparison above would not reach the code for them.
    assert len(subclassify(SCORE, D, 25, minimum=4).moved) > 10
    assert len(subclassify(SCORE, D, 60, minimum=0).pruned) == 17
    assert subclassify(SCORE.round(), D, 8).merged > 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 3), st.sampled_from(["att", "atc", "ate"]))
@example(
    1602, 5, 1, "att"
)  # three fifths of the treated is a whole number, and rounding must not move that row
def test_classes_hold_enough_of_both_arms_in_the_order_of_scores(seed, classes, minimum, estimand):
    rng = np.random.default_rng(seed)
    d = rng.random(120) < 0.4
    score = rng.normal(size=120) + d
    found = subclassify(score, d, classes, minimum=minimum, estimand=estimand)
    assert found.merged == 0
    for arm in (d, ~d):
        assert np.bincount(found.stratum[arm], minlength=classes).min() >= minimum
        # More than one wanted row can make MatchIt's moves, which these are, leap over a class.
        in_order = (np.diff(found.stratum[arm][np.argsort(score[arm])]) >= 0).all()
        assert in_order or minimum > 1
        # Every arm spreads over classes as the rows averaged over do.
        whom = {"att": d, "atc": ~d, "ate": np.ones(120, bool)}[estimand]
        spread = np.bincount(found.stratum, found.weights * arm) / found.weights[arm].sum()
        assert spread == pytest.approx(np.bincount(found.stratum[whom]) / whom.sum())
    order = rng.permutation(120)
    again = subclassify(5 - 3 * -score[order], d[order], classes, minimum=minimum, estimand=estimand)
    assert again.stratum.tolist() == found.stratum[order].tolist()
    assert again.weights == pytest.approx(found.weights[order])


def test_as_many_rows_as_classes_are_dealt_out_by_score():
    score, d = np.array([0.9, 0.5, 0.1, 0.2, 0.3, 0.4, 0.95]), np.array([1, 1, 1, 0, 0, 0, 0]) == 1
    assert subclassify(score, d, 3).stratum[d].tolist() == [2, 1, 0]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"1 missing or infinite values in columns \[0\], rows \[2\]"):
        subclassify(np.where(np.arange(len(D)) == 2, np.nan, SCORE), D)
    with pytest.raises(ValueError, match="constant"):
        subclassify(np.full(len(D), 0.3), D)
    with pytest.raises(ValueError, match="no overlap: treated scores lie in"):
        subclassify(SCORE + 100 * D, D)
    with pytest.raises(ValueError, match="all rows of an arm are pruned"):
        subclassify(SCORE, D, eligible=~D)
    with pytest.raises(ValueError, match="all rows are pruned: no class holds both arms"):
        subclassify(np.array([0.0, 10.0, 5.0]), np.array([True, True, False]), [0.4, 0.6], minimum=0)
    with pytest.raises(ValueError, match="classes of at least 60"):
        subclassify(SCORE, D, 6, minimum=60)
    with pytest.raises(ValueError, match="0 of 420 rows are treated"):
        subclassify(SCORE, np.zeros(len(D), bool))
    for classes, said in ((1, "1 classes"), ([0.5, 1.5], "shares in"), ([0.0, 1.0], "one class")):
        with pytest.raises(ValueError, match=said):
            subclassify(SCORE, D, classes)

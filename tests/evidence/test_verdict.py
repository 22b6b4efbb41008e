"""Precision before agreement, and no verdict where there is none to give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.units import convert, percent_of
from analysis.evidence.verdict import agreement, excludes_zero, informative, precision, verdict

NAN = float("nan")
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
BOUNDS = st.floats(0.001, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("low", "high", "bound", "wanted"),
    [
        (-4.0, 3.0, 5.0, "equivalent to zero"),
        (1.0, 3.0, 5.0, "equivalent to zero"),  # and excludes zero: the bound is asked first
        (-5.0, 3.0, 5.0, "inconclusive"),  # touches the bound
        (2.0, 9.0, 5.0, "different from zero"),
        (-9.0, -2.0, 5.0, "different from zero"),
        (-4.0, 9.0, 5.0, "inconclusive"),
        (-400.0, 900.0, 5.0, "inconclusive"),
        (0.0, 9.0, 5.0, "inconclusive"),  # zero itself is not excluded
        (-1.0, 1.0, NAN, "inconclusive"),  # no bound was stated
        (1.0, 2.0, NAN, "different from zero"),
        (NAN, 4.0, 5.0, "inconclusive"),  # an interval without a lower end lies inside nothing
        (NAN, -4.0, 5.0, "different from zero"),
    ],
)
def test_precision_of_intervals_made_by_hand(low, high, bound, wanted):
    assert precision(low, high, bound) == wanted


def test_ends_in_the_wrong_order_and_negative_bounds_are_refused():
    with pytest.raises(ValueError, match="wrong order"):
        precision(2.0, 1.0, 5.0)
    with pytest.raises(ValueError, match="negative"):
        precision(-1.0, 1.0, -5.0)


@given(NUMBERS, NUMBERS, BOUNDS)
def test_an_interval_wider_than_the_bounds_that_covers_zero_is_inconclusive(a, b, bound):
    low, high = -abs(a) - bound, abs(b) + bound
    assert precision(low, high, bound) == "inconclusive"
    assert agreement(low, high, a, "inconclusive") == ""


@given(NUMBERS, NUMBERS, BOUNDS)
def test_reading_an_effect_with_the_other_sign_changes_no_precision(a, b, bound):
    low, high = min(a, b), max(a, b)
    assert precision(low, high, bound) == precision(-high, -low, bound)


@pytest.mark.parametrize(
    ("treated", "states", "enough"),
    [(20, 6, True), (19, 6, False), (20, 5, False), (500, 5, False), (19, 50, False)],
)
def test_twenty_treated_areas_in_six_states(treated, states, enough):
    assert informative(treated, states) is enough


@pytest.mark.parametrize(
    ("low", "high", "size", "found", "wanted"),
    [
        (-60.0, -10.0, -35.5, "different from zero", "published size inside the interval"),
        (-30.0, -10.0, -35.5, "different from zero", "same sign, another size"),
        (-90.0, -40.0, -35.5, "different from zero", "same sign, another size"),
        (10.0, 60.0, -35.5, "different from zero", "opposite sign"),
        (-20.0, 15.0, -35.5, "equivalent to zero", "another size, sign not determined"),
        (-60.0, 10.0, -35.5, "inconclusive", ""),  # holds the size and agrees with nothing
        (-3.0, 3.0, None, "equivalent to zero", "published null, equivalent to zero here"),
        (2.0, 90.0, None, "different from zero", "published null, different from zero here"),
        (-90.0, 90.0, None, "inconclusive", ""),  # covers zero and agrees with no null
    ],
)
def test_agreement(low, high, size, found, wanted):
    assert agreement(low, high, size, found) == wanted


def judge(low, high, bound, **more):
    given_ = {"size": None, "n_treated": 40, "n_states": 9, "carries": True, "definition": "a list"} | more
    return verdict(low, high, bound, **given_)


def test_words_without_and_with_the_studys_own_data():
    ours = judge(-60.0, -10.0, 35.5, size=-35.5)
    assert ours.sentence.startswith('reanalysis under definition "a list": consistent (')
    assert "reproduced" not in ours.sentence
    assert judge(10.0, 60.0, 35.5, size=-35.5).word == "not consistent"
    own = judge(-60.0, -10.0, 35.5, size=-35.5, own_data=True)
    assert own.word == "reproduced" and "reanalysis" not in own.sentence
    assert judge(10.0, 60.0, 35.5, size=-35.5, own_data=True).word == "not reproduced"


def test_an_interval_between_zero_and_the_bound_says_both():
    both = judge(1.0, 3.0, 5.0)
    assert both.precision == "equivalent to zero" and both.word == "consistent"
    assert "the interval excludes zero" in both.sentence
    assert "excludes zero" not in judge(-1.0, 3.0, 5.0).sentence


@given(NUMBERS, NUMBERS, BOUNDS, st.integers(0, 100), st.integers(0, 50), st.booleans(), st.none() | NUMBERS)
def test_a_verdict_is_never_given_without_enough_areas_or_an_error_that_carries_it(
    a, b, bound, treated, states, carries, size
):
    found = judge(min(a, b), max(a, b), bound, size=size, n_treated=treated, n_states=states, carries=carries)
    if treated < 20 or states < 6:
        assert found.word == found.precision == "not informative" and not found.agreement
    elif not carries:
        assert found.word == "no verdict" and not found.precision and not found.agreement
        assert "valid if counties were assigned independently" in found.sentence
    else:
        # Agreement exactly where the interval is conclusive.
        assert (found.precision == "inconclusive") == (found.agreement == "")
    if size is None and found.word == "consistent":
        assert found.precision == "equivalent to zero"


@given(NUMBERS, NUMBERS, st.floats(0.001, 1e6))
def test_with_the_published_size_as_bound_equivalence_and_agreement_never_contradict(a, b, size):
    low, high = min(a, b), max(a, b)
    for published in (size, -size):
        found = judge(low, high, size, size=published)
        if found.precision == "equivalent to zero":
            assert found.word == "not consistent"


def test_an_interval_with_no_end_at_all_has_no_verdict():
    assert judge(NAN, NAN, 5.0).word == "no verdict"
    assert not excludes_zero(NAN, NAN)


def test_conversions_by_hand():
    assert convert(-355.0, "per_100k", "per_10k") == -35.5
    assert convert(-35.5, "per_10k", "per_100k") == -355.0
    # 15 on a mean of 300 is 5 %: log(1.05).
    assert convert(15.0, "per_100k", "log_points", baseline=300.0) == pytest.approx(0.04879016416943205)
    assert convert(0.04879016416943205, "log_points", "per_100k", baseline=300.0) == pytest.approx(15.0)
    assert convert(-400.0, "per_100k", "log_points", baseline=300.0) == -np.inf
    assert np.isnan(convert(1.0, "per_100k", "log_points"))
    assert percent_of(-15.0, "per_100k", 300.0) == -5.0
    assert percent_of(0.04879016416943205, "log_points", 5.7) == pytest.approx(5.0)
    with pytest.raises(Exception, match="did you mean per_100k"):
        convert(1.0, "per_100", "per_10k")

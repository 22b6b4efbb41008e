"""The synthesis: pooling against hand examples, known meta-analyses and another programme; one scale; what is not pooled."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from analysis.evidence import ledger as ledgers
from analysis.evidence import synthesis as of
from analysis.evidence.published import Published
from analysis.evidence.studies.record import Ask
from tests.evidence.test_ledger import figure, rows, study

# Thirteen trials of the BCG vaccine against tuberculosis (Colditz and others 1994): cases and the rest, vaccinated then not.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
        (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
        (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
    ],
    dtype=float,
)  # fmt: skip


def bcg():
    """Log risk ratios and their variances."""
    a, b, c, d = BCG.T
    return np.log(a / (a + b)) - np.log(c / (c + d)), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def test_the_vaccine_trials_give_the_known_numbers():
    effect, variance = bcg()
    found = of.pool(effect, np.sqrt(variance))
    assert found.q == pytest.approx(152.2330, abs=5e-5)
    assert found.tau2 == pytest.approx(0.3181, abs=5e-5)
    assert found.mean == pytest.approx(-0.7150, abs=1e-4)
    assert found.i2 == pytest.approx(0.9212, abs=5e-5)
    # The moment estimate of the same trials, by the programme the summary is held against below.
    moment = combine_effects(effect, variance, method_re="chi2")
    assert moment.tau2 == pytest.approx(0.3088, abs=5e-5)
    assert moment.mean_effect_re == pytest.approx(-0.7141, abs=5e-5)
    assert moment.sd_eff_w_re == pytest.approx(0.1787, abs=5e-5)


def cases():
    rng = np.random.default_rng(3)
    yield bcg()[0], np.sqrt(bcg()[1])
    for k in (3, 4, 8, 30):
        for between in (0.0, 0.5, 3.0):
            error = rng.uniform(0.2, 2.0, k)
            yield rng.normal(1.0, between, k) + error * rng.normal(size=k), error


@pytest.mark.parametrize("case", list(cases()), ids=range(13))
def test_the_summary_is_that_of_another_programme(case):
    effect, error = case
    found = of.pool(effect, error)
    other = combine_effects(effect, error**2, method_re="iterated", use_t=True, atol=1e-12, maxiter=1000)
    assert found.tau2 == pytest.approx(max(other.tau2, 0.0), rel=1e-6, abs=1e-8)
    if found.tau2 > 0:
        assert found.mean == pytest.approx(other.mean_effect_re, rel=1e-7, abs=1e-9)
        assert found.std_error == pytest.approx(other.sd_eff_w_re, rel=1e-7)
        assert found.std_error_hk == pytest.approx(other.sd_eff_w_re_hksj, rel=1e-7)
        half = stats.t.ppf(0.975, len(effect) - 1) * other.sd_eff_w_re_hksj
        assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), rel=1e-7)


@pytest.mark.parametrize("case", list(cases()), ids=range(13))
def test_the_variance_between_studies_solves_its_equation(case):
    effect, error = case
    tau2 = of.paule_mandel(effect, error**2)

    def spread(value):
        weight = 1 / (error**2 + value)
        return weight @ (effect - weight @ effect / weight.sum()) ** 2

    if tau2 > 0:
        assert spread(tau2) == pytest.approx(len(effect) - 1, rel=1e-9)
    else:
        assert spread(0.0) <= len(effect) - 1


def test_three_effects_by_hand():
    found = of.pool([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])
    # Deviations -1, 0, 1: 2 / (0.01 + tau2) = 2. The mean's usual error is the root of (0.01 + 0.99) / 3.
    assert found.tau2 == pytest.approx(0.99)
    assert found.q == pytest.approx(200.0)
    assert found.i2 == pytest.approx(0.99)
    assert found.std_error == pytest.approx(math.sqrt(1 / 3))
    assert found.std_error_hk == pytest.approx(math.sqrt(1 / 3))
    ends = 4.302652729911275 * math.sqrt(1 / 3)
    assert (found.low, found.high) == pytest.approx((2 - ends, 2 + ends))
    ahead = 12.706204736432095 * math.sqrt(0.99 + 1 / 3)
    assert (found.predicted_low, found.predicted_high) == pytest.approx((2 - ahead, 2 + ahead))


def test_two_effects_have_no_interval_for_a_new_study():
    found = of.pool([1.0, 2.0], [1.0, 1.0])
    assert math.isnan(found.predicted_low)
    assert found.tau2 == 0.0


@pytest.mark.parametrize(
    ("effects", "errors"),
    [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 1.0]), ([1.0, 2.0], [1.0, 0.0])],
)
def test_what_cannot_be_pooled_is_refused(effects, errors):
    with pytest.raises(ValueError, match="effect"):
        of.pool(effects, errors)


@pytest.mark.slow
@pytest.mark.parametrize(("between", "ahead"), [(4.0, (0.93, 0.96)), (1.0, (0.85, 0.93))])
def test_how_often_intervals_hold_the_mean_and_a_new_study(between, ahead):
    """A new study's interval is too short where effects spread about as much as their errors: the spread is often missed."""
    rng = np.random.default_rng(11)
    mean = new = 0
    draws = 4000
    for _ in range(draws):
        error = rng.uniform(0.5, 1.5, 10)
        found = of.pool(rng.normal(2.0, between, 10) + error * rng.normal(size=10), error)
        mean += found.low <= 2.0 <= found.high
        new += found.predicted_low <= rng.normal(2.0, between) <= found.predicted_high
    # Three Monte Carlo errors of 0.95 in 4,000 draws are 0.0103.
    assert abs(mean / draws - 0.95) < 0.0125
    assert ahead[0] < new / draws < ahead[1]


# --------------------------------------------------------------------------------------------------------
# The forest
# --------------------------------------------------------------------------------------------------------


def made(figures, asks, results, name="s2001", **about):
    published, studies = Published(tuple(figures)), [study(name, asks=asks, **about)]
    specs = ledgers.ledger_specifications(results, published, studies)
    return ledgers.ledger(specs, published, studies), specs, published


def test_published_figures_come_onto_one_scale_and_what_is_missing_stays_missing():
    figures = (
        figure("s2001.log", 0.0348, "+", se=0.0122, code="log_points"),
        figure("s2001.rate", -35.5, "-", code="per_10k"),
        figure("s2001.class", -65.4, "-", code="per_10k", confidence="inferred"),
        figure("s2001.class.control_mean", 436.0, code="per_10k", unit="crimes per 10,000"),
        figure("s2001.null", sign="no detectable change"),
        figure("s2001.fall", sign="-"),
        figure("s2001.income", 4353.0, "+", code="dollars"),
    )
    asks = [
        Ask("s2001.log", ("total",), "log_points", "t"), Ask("s2001.rate", ("property",), "per_10k", "p", headline=True),
        Ask("s2001.class", ("total",), "per_10k", "t"), Ask("s2001.null", ("murder",), "per_100k", "m"),
        Ask("s2001.fall", ("robbery",), "per_100k", "r"), Ask("s2001.income", ("median_household_income",), "as_measured", "i"),
    ]  # fmt: skip
    results = rows(
        {"spec": "t", "measure": "total", "baseline": 2500.0}, {"spec": "p", "baseline": 2000.0},
        {"spec": "r", "measure": "robbery"}, {"spec": "m", "measure": "murder", "failure": "no county", "estimate": np.nan},
        {"spec": "i", "measure": "median_household_income", "scale": "as_measured", "unit": "dollars"},
    )  # fmt: skip
    table, specs, published = made(figures, asks, results)
    found = of.forest(table, specs, published)
    theirs = found[found["source"] == "published"].set_index("figure")
    # Robbery and income are no outcome of the synthesis, and a control mean is no effect.
    assert list(theirs.index) == ["s2001.log", "s2001.class", "s2001.rate", "s2001.null"]
    log = theirs.loc["s2001.log"]
    assert log["percent"] == pytest.approx(100 * math.expm1(0.0348))
    assert log["percent_low"] == pytest.approx(100 * math.expm1(0.0348 - 1.959963985 * 0.0122))
    assert log["percent_error"] == pytest.approx(100 * math.exp(0.0348) * 0.0122)
    assert theirs.loc["s2001.rate", "percent"] == pytest.approx(-17.75)
    assert theirs.loc["s2001.rate", "scaled"] == of.OUR_MEAN
    assert theirs.loc["s2001.rate", ["percent_low", "percent_error"]].isna().all()
    assert theirs.loc["s2001.rate", "words"] == "no error published"
    assert theirs.loc["s2001.class", "percent"] == pytest.approx(-15.0)
    assert theirs.loc["s2001.class", "scaled"] == of.THEIR_MEAN
    assert not theirs.loc["s2001.class", "pass_mark"]
    assert math.isnan(theirs.loc["s2001.null", "percent"])
    assert theirs.loc["s2001.null", "words"] == "no discernible difference"
    ours = found[found["source"] == "here, beside it"].set_index("figure")
    # The failed specification has no place; the estimate of 10 in 2,000 is half a per cent.
    assert list(ours.index) == ["s2001.log", "s2001.class", "s2001.rate"]
    assert ours.loc["s2001.rate", "percent"] == pytest.approx(0.5)
    assert list(found.columns) == list(of.FOREST)
    assert theirs["reading"].eq("Reading.").all()


def test_own_designs_stand_beside_by_outcome_without_the_failed_ones():
    table, specs, published = made(
        (figure("s2001.rate", -35.5, "-"),),
        [Ask("s2001.rate", ("property",), "per_10k", "p")],
        rows({"spec": "p"}),
    )
    designs = pd.DataFrame(
        {
            "spec": ["headline/border/measure=murder", "headline/measure=property", "headline/measure=robbery", "headline/x"],
            "measure": ["murder", "property", "robbery", "property"], "comparison": ["border", "between", "between", "between"],
            "percent": [3.0, 4.0, 5.0, np.nan], "percent_low": 1.0, "percent_high": 6.0, "n_treated": 30, "n_states": 8,
            "precision": ["", "inconclusive", "", ""], "failure": ["", "", "", "nobody left"],
        }
    )  # fmt: skip
    found = of.forest(table, specs, published, designs)
    own = found[found["source"] == "here"]
    assert own[["outcome", "design", "percent", "verdict"]].to_numpy().tolist() == [
        ["property", "", 4.0, "inconclusive"],
        ["homicide", "border", 3.0, "no verdict"],
    ]


# --------------------------------------------------------------------------------------------------------
# Summaries
# --------------------------------------------------------------------------------------------------------


def entries(*each, **every):
    usual = dict.fromkeys(of.FOREST, "") | {
        "outcome": "property", "policy": of.LIMITS, "source": "published", "family": "matching", "percent": 1.0,
        "percent_error": 1.0, "pass_mark": True, "headline": False, "data": "a",
    }  # fmt: skip
    return pd.DataFrame([usual | every | one for one in each], columns=list(of.FOREST))


def test_three_independent_data_sets_are_pooled_and_headline_figures_speak_for_theirs():
    frame = entries(
        {"data": "a", "figure": "a.1", "percent": 9.0}, {"data": "a", "figure": "a.2", "percent": 1.0, "headline": True},
        {"data": "b", "figure": "b.1", "percent": 2.0}, {"data": "c", "figure": "c.1", "percent": 3.0},
        {"data": "d", "figure": "d.1", "percent": 50.0, "pass_mark": False}, {"data": "this study", "source": "here"},
        percent_error=0.1,
    )  # fmt: skip
    found = of.summaries(frame)
    assert len(found) == 1
    row = found.iloc[0]
    assert (row["pooled"], row["k"], row["n_published"], row["n_data"], row["n_here"]) == (True, 3, 5, 3, 1)
    assert row["mean"] == pytest.approx(2.0)
    assert row["between"] == pytest.approx(math.sqrt(0.99))
    assert set(row["figures"].split(", ")) == {"a.2", "b.1", "c.1"}
    assert row["reason"] == ""


def test_one_panel_analysed_often_is_pooled_with_nothing():
    same = entries(*({"figure": f"a.{at}"} for at in range(9)))
    ours = entries(*({"figure": f"o.{at}", "source": "here", "data": f"{at}"} for at in range(9)))
    found = of.summaries(pd.concat([same, ours], ignore_index=True))
    assert not found["pooled"].any()
    assert "one data set" in found["reason"].item()
    assert math.isnan(found["mean"].item())


def test_designs_that_ask_another_question_are_kept_apart_with_a_reason_each():
    frame = entries(
        {"data": "a"}, {"data": "b", "policy": of.PROGRAMME}, {"data": "c", "family": "before_after"},
        {"data": "d", "outcome": "violent", "percent_error": np.nan}, {"data": "e", "outcome": "rape", "pass_mark": False},
    )  # fmt: skip
    found = of.summaries(frame)
    assert len(found) == 5
    assert not found["pooled"].any()
    assert found["reason"].ne("").all()
    reasons = dict(zip(found["outcome"], found["reason"], strict=True))
    assert reasons["violent"] == "the published figure has no number with an error"
    assert reasons["rape"] == "figures with an error are from memory or inferred"


def test_nothing_published_gives_no_summary():
    assert of.summaries(entries({"source": "here"})).empty

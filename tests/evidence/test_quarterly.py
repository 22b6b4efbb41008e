"""Years against quarters: by hand, by loops over made-up panels, and the committed table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from quarterly_page import PAGE, TABLE, page

from analysis.evidence.checks import quarterly as q

MONTHS = range(1, 13)


@pytest.fixture(scope="module")
def loss():
    return q.quarterly_loss()


@pytest.mark.parametrize("month", MONTHS)
@pytest.mark.parametrize("path", q.EFFECTS)
def test_expected_estimates_equal_regressions_on_a_panel_without_noise(path, month):
    """Two counties, quarter by quarter: county and time effects, as the published code has them."""
    own = (month - 1) // 3
    frame = pd.DataFrame({"quarter": np.tile(np.arange(-8, 12), 2), "treated": np.repeat([1, 0], 20)})
    since = frame["quarter"] - own - 1
    size = {
        q.LASTING: lambda k: 1.0 if k >= 0 else 0.0,
        q.FADING: lambda k: 0.5 ** (k / 4) if k >= 0 else 0.0,
        q.FIRST_YEAR: lambda k: 1.0 if 0 <= k < 4 else 0.0,
        q.GROWING: lambda k: 0.0 if k < 0 else min((k + 1) / 8, 1.0),
        q.AT_ONCE: lambda k: 1.0 if k >= -1 else 0.0,
    }[path]
    frame["y"] = np.sin(frame["quarter"]) + 3 * frame["treated"] + frame["treated"] * since.map(size)
    near = frame[(frame["quarter"] >= own - 8) & (frame["quarter"] <= own + 4)]
    by_quarter = coefficient(near, near["quarter"], near["quarter"] > own)
    yearly = frame.assign(year=frame["quarter"] // 4).groupby(["treated", "year"], as_index=False)["y"].mean()
    yearly = yearly[yearly["year"].isin([-2, -1, 1])]
    by_year = coefficient(yearly, yearly["year"], yearly["year"] == 1)
    assert q.expected(path, month) == pytest.approx((by_quarter, by_year), abs=1e-10)


def coefficient(rows, time, after):
    z = np.column_stack([rows["treated"] * after, rows["treated"], pd.get_dummies(time)]).astype(float)
    return np.linalg.lstsq(z, rows["y"].to_numpy(), rcond=None)[0][0]


def test_weights_by_hand():
    spring = q.quarterly_weights(4)
    assert spring.quarter[spring.weight > 0].tolist() == [2, 3, 4, 5]
    assert spring.quarter[spring.weight < 0].tolist() == list(range(-7, 2))
    for weights in (spring, q.annual_weights()):
        assert weights.weight.sum() == pytest.approx(0, abs=1e-15)
        assert weights.weight[weights.weight > 0].sum() == pytest.approx(1)


def test_attenuation_by_hand(loss):
    exact = loss[loss["how"] == "arithmetic"].set_index(["scenario", "quantity"])["value"]
    # A year's effect enacted in quarter s leaves s + 1 of its quarters to the next year: (1 + 2 + 3 + 4) / 16.
    assert exact["first year only", "annual estimate"] == pytest.approx(10 / 16)
    assert exact["lasting", "annual over quarterly"] == pytest.approx(1)
    assert exact["lasting", "quarterly estimate"] == pytest.approx(1)
    # Enactment's own quarter counts among nine before.
    assert exact["from enactment on", "quarterly estimate"] == pytest.approx(8 / 9)
    assert exact["growing", "annual over quarterly"] > 1 > exact["fading", "annual over quarterly"]


def test_error_ratios_equal_the_spread_of_plain_draws():
    rng = np.random.default_rng(7)
    quarter = np.arange(q.FIRST, q.LAST + 1)
    for persistence, seasons in ((0.6, 0.0), (0.0, 0.8)):
        noise = rng.normal(size=(20_000, len(quarter)))
        for t in range(1, len(quarter)):
            noise[:, t] = persistence * noise[:, t - 1] + np.sqrt(1 - persistence**2) * noise[:, t]
        noise += seasons * rng.normal(size=(20_000, 4))[:, quarter % 4]
        both = noise @ np.column_stack([q.annual_weights().weight, q.quarterly_weights(8).weight])
        found = both[:, 0].std() / both[:, 1].std()
        # The spread of a ratio of spreads from 20,000 draws is below 1 %.
        assert q.standard_error_ratio(8, persistence, seasons) == pytest.approx(found, rel=0.03)


def test_draws_agree_with_arithmetic_within_their_error(loss):
    keys = ["scenario", "quantity"]
    exact = loss[loss["how"] == "arithmetic"].set_index(keys)["value"]
    drawn = loss[loss["how"] == "drawn"].set_index(keys)
    assert len(drawn) == 2 * len(q.EFFECTS) + len(q.NOISES)
    for key, row in drawn.iterrows():
        # A hundredth for the log of a sum, which is not the mean of logs.
        assert abs(row["value"] - exact[key]) < 4 * row["mc_error"] + 0.01, key


def test_who_falls_out():
    assert q.left_of(2008)[2] == 0 and q.left_of(2009)[2] == 1 and q.left_of(2010)[2] == 2
    assert q.left_of(2014)[1] == 1 and q.left_of(2015)[1] == 0
    # Of a policy of 2016 quarters to the end of 2016 show 3, 2, 1 and 0 of four.
    assert q.left_of(2016)[0] == 1.5
    assert np.mean([q.months_to_the_middle(m) for m in MONTHS], axis=0) == pytest.approx([7.5, 12])


def test_everything_is_marked_as_made_up_and_repeats(loss):
    assert list(loss.columns) == list(q.COLUMNS) and loss["simulated"].all()
    assert set(loss["quantity"]) == set(q.QUANTITIES)
    assert loss.loc[loss["how"] == "arithmetic", "mc_error"].isna().all()
    assert loss.loc[loss["how"] == "drawn", "mc_error"].gt(0).all()
    again = q.quarterly_loss(draws=30, groups=4)
    pd.testing.assert_frame_equal(again, q.quarterly_loss(draws=30, groups=4))
    other = q.quarterly_loss(draws=30, groups=4, seed=3)
    drawn = again["how"] == "drawn"
    assert (again.loc[drawn, "value"] != other.loc[drawn, "value"]).all()


def test_the_committed_table_and_page_are_current(loss):
    stored = pd.read_csv(TABLE)
    pd.testing.assert_frame_equal(
        stored, loss.reset_index(drop=True), check_dtype=False, rtol=1e-9, atol=1e-12
    )
    assert PAGE.read_text(encoding="utf-8") == page(loss)
    assert "SIMULATED DATA" in page(loss)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: q.quarter_of(13), "1 to 12"),
        (lambda: q.effect_path("sudden", 1, np.arange(3)), "lasting"),
        (lambda: q.noise_covariance(np.arange(3), 1.0, 0.0), r"\[0, 1\)"),
        (lambda: q.noise_covariance(np.arange(3), 0.5, -1.0), "from 0"),
        (lambda: q.quarterly_loss(draws=1), "two draws"),
    ],
)
def test_bad_input_says_what_was_wanted(call, words):
    with pytest.raises(ValueError, match=words):
        call()

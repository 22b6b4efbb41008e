"""The audit of registered figures: recomputation against references, granularity against brute force, planted slips."""

from __future__ import annotations

import itertools
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from types import MappingProxyType

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from analysis.evidence.audit import (
    CANNOT,
    COLUMNS,
    CONSISTENT,
    INCONSISTENT,
    STARS,
    audit,
    debit,
    decimals_of,
    difference_t,
    grim,
    grim_bites,
    grim_percent,
    grimmer,
    largest_sd,
    overlap,
    p_range,
    printed_range,
    quartile_contrasts,
    ratio_range,
    recompute,
    recomputed_frame,
)
from analysis.evidence.published import Published, load_published

REGISTRY = load_published()


def exactly(value: float) -> tuple[float, float]:
    return value, value


@pytest.fixture(scope="module")
def regression():
    """A regression on simulated data, whose every number is known without rounding."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=40)
    fitted = sm.OLS(0.4 * x + rng.normal(size=40), sm.add_constant(x)).fit()
    return {
        "estimate": fitted.params[1], "se": fitted.bse[1], "t": fitted.tvalues[1], "p": fitted.pvalues[1],
        "interval": tuple(fitted.conf_int()[1]), "df": fitted.df_resid,
    }  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Recomputation
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [("estimate", "se"), ("estimate", "t"), ("estimate", "p"), ("se", "t"), ("se", "p"), ("interval",),
     ("estimate", "interval"), ("se", "interval")],
)  # fmt: skip
def test_any_two_give_the_rest_of_a_regression(regression, given):
    held = {name: exactly(regression[name]) for name in given if name != "interval"}
    if "interval" in given:
        held["interval"] = tuple(exactly(end) for end in regression["interval"])
    found = recompute(**held, df=regression["df"])
    assert set(found.used) == set(given)
    for name in ("estimate", "se", "t", "p"):
        assert getattr(found, name) == pytest.approx(exactly(regression[name]), rel=1e-8), name
    assert found.low == pytest.approx(exactly(regression["interval"][0]), rel=1e-8)
    assert found.high == pytest.approx(exactly(regression["interval"][1]), rel=1e-8)


def test_mean_standard_deviation_and_n_give_the_one_sample_test():
    values = np.random.default_rng(3).normal(0.3, 1.0, size=25)
    reference = stats.ttest_1samp(values, 0.0)
    found = recompute(estimate=exactly(values.mean()), sd=exactly(values.std(ddof=1)), n=25, df=24)
    assert found.t == pytest.approx(exactly(reference.statistic), rel=1e-10)
    assert found.p == pytest.approx(exactly(reference.pvalue), rel=1e-8)
    ends = reference.confidence_interval(0.95)
    assert (found.low[0], found.high[0]) == pytest.approx((ends.low, ends.high), rel=1e-8)


def test_negative_estimates_keep_their_sign(regression):
    found = recompute(estimate=(-2.1, -1.9), p=(0.04, 0.06))
    assert found.t[1] < 0
    assert found.estimate[1] < 0
    assert recompute(se=(1.0, 1.0), p=(0.05, 0.05), direction=-1).estimate[0] == pytest.approx(-1.959964, abs=1e-6)  # fmt: skip


@pytest.mark.parametrize("held", [{}, {"estimate": (1.0, 1.0)}, {"t": (2.0, 2.0), "p": (0.05, 0.05)}])
def test_fewer_than_two_numbers_are_refused(held):
    with pytest.raises(ValueError, match="expected two of estimate, se, t, p, interval"):
        recompute(**held)


def test_a_mean_without_n_is_refused():
    with pytest.raises(ValueError, match="n = None"):
        recompute(estimate=(1.0, 1.0), sd=(1.0, 1.0))


def test_rounded_truth_is_never_called_inconsistent():
    """Numbers rounded from one calculation fit: whichever pair is given, every other printed number is in reach."""
    rng = np.random.default_rng(11)
    for _ in range(400):
        estimate, se = rng.normal(0, 0.05), rng.uniform(0.003, 0.06)
        t = estimate / se
        half = 1.959963984540054 * se
        truth = {
            "estimate": (estimate, 4),
            "se": (se, 4),
            "t": (t, 2),
            "p": (2 * stats.norm.sf(abs(t)), 3),
        }
        ranges = {name: printed_range(round(value, places), places) for name, (value, places) in truth.items()}  # fmt: skip
        ends = tuple(printed_range(round(end, 4), 4) for end in (estimate - half, estimate + half))
        direction = 1 if estimate > 0 else -1
        for given in (("estimate", "se"), ("estimate", "t"), ("se", "t"), ("se", "p"), ("interval",)):
            held = {"interval": ends} if given == ("interval",) else {name: ranges[name] for name in given}
            found = recompute(**held, direction=direction)
            for name in ("estimate", "se", "t", "p"):
                assert overlap(getattr(found, name), ranges[name]), (given, name, estimate, se)
            assert overlap(found.low, ends[0])
            assert overlap(found.high, ends[1])


def test_ranges_hold_every_value_the_rounding_allows():
    found = recompute(estimate=printed_range(0.037, 3), se=printed_range(0.019, 3))
    tried = [e / s for e in np.linspace(0.0365, 0.0375, 21) for s in np.linspace(0.0185, 0.0195, 21)]
    assert found.t == pytest.approx((min(tried), max(tried)))
    assert found.p == pytest.approx((2 * stats.norm.sf(max(tried)), 2 * stats.norm.sf(min(tried))))


@pytest.mark.parametrize("top", [(-2.0, -1.0), (-1.0, 3.0), (1.0, 2.0)])
def test_quotients_by_brute_force(top):
    tried = [a / b for a in np.linspace(*top, 41) for b in np.linspace(0.5, 4.0, 41)]
    assert ratio_range(top, (0.5, 4.0)) == pytest.approx((min(tried), max(tried)))


def test_normal_and_t_are_told_apart():
    assert p_range(exactly(2.0), 10)[0] == pytest.approx(2 * stats.t.sf(2.0, 10))
    assert p_range(exactly(2.0), 10)[0] > p_range(exactly(2.0))[0]


def test_difference_for_any_correlation_by_brute_force():
    worst, best, independent = difference_t(0.06, 0.02, -0.03, 0.01)
    tried = [0.09 / np.sqrt(0.02**2 + 0.01**2 - 2 * r * 0.02 * 0.01) for r in np.linspace(-1, 1, 201)]
    assert (worst, best) == pytest.approx((min(tried), max(tried)))
    assert independent == pytest.approx(tried[100])


# --------------------------------------------------------------------------------------------------------
# Granularity
# --------------------------------------------------------------------------------------------------------


def rounded(value: Decimal, places: int) -> set[float]:
    step = Decimal(1).scaleb(-places)
    return {float(value.quantize(step, how)) for how in (ROUND_HALF_UP, ROUND_HALF_EVEN)}


@pytest.mark.parametrize("n", [3, 7, 8, 28, 40, 99])
def test_grim_by_brute_force(n):
    """Printed means of two decimals between 0 and 2 are in reach exactly where some total rounds to them."""
    reached = set().union(*(rounded(Decimal(total) / n, 2) for total in range(2 * n + 1)))
    for hundredths in range(201):
        mean = hundredths / 100
        if mean in reached:
            assert grim(mean, n, 2), mean
        elif grim(mean, n, 2):
            # A half can also be rounded down.
            assert any(abs(Decimal(total) / n - Decimal(str(mean))) == Decimal("0.005") for total in range(2 * n + 1))  # fmt: skip


def test_the_example_of_brown_and_heathers():
    assert not grim(5.19, 28, 2)
    assert grim(5.18, 28, 2)
    assert grim(5.21, 28, 2)


def test_grim_bites_below_a_hundred_for_two_decimals():
    for n in (50, 99, 100, 150):
        some_out_of_reach = not all(grim(h / 100, n, 2) for h in range(101))
        assert grim_bites(n, 2) == some_out_of_reach, n


def test_items_multiply_the_sample():
    assert not grim(5.19, 28, 2, items=1)
    assert grim(5.19, 28, 2, items=4) == grim(5.19, 112, 2)


def test_percentages_by_brute_force():
    for n in (7, 13, 60):
        reached = set().union(*(rounded(Decimal(100 * count) / n, 1) for count in range(n + 1)))
        found = {tenths / 10 for tenths in range(1001) if grim_percent(tenths / 10, n, 1)}
        assert reached <= found
        assert len(found) <= len(reached) + n


def test_no_sample_of_whole_numbers_is_called_impossible():
    seen = set()
    for n in (3, 4, 5):
        for values in itertools.combinations_with_replacement(range(6), n):
            mean, sd = np.mean(values), np.std(values, ddof=1)
            printed = (float(round(mean, 2)), float(round(sd, 2)), n)
            seen.add(printed)
            assert grimmer(*printed, 2, 2), values
    # Parity and wholeness leave few of the pairs that could be printed.
    tried = [(mean, sd / 100, 4) for mean in (1.0, 1.25, 2.5) for sd in range(300)]
    possible = {one for one in tried if grimmer(*one, 2, 2)}
    assert {one for one in seen if one in set(tried)} <= possible
    assert len(possible) < len(tried) / 5


def test_grimmer_refuses_what_grim_refuses_and_more():
    assert not grimmer(5.19, 1.2, 28, 2, 1)
    assert grim(2.5, 4, 1)
    assert not grimmer(2.5, 1.25, 4, 1, 2)
    # A sum of squares of 29 would fit the standard deviation, but a total of 10 is even.
    assert np.sqrt((29 - 25) / 3) == pytest.approx(1.15, abs=0.005)
    assert not grimmer(2.5, 1.15, 4, 1, 2)


@pytest.mark.parametrize(("mean", "sd", "n", "possible"), [(0.35, 0.18, 20, False), (0.36, 0.11, 20, False)])
def test_debit_examples_from_its_documentation(mean, sd, n, possible):
    assert debit(mean, sd, n, 2, 2) == possible


def test_debit_by_brute_force():
    for n in (5, 20, 33):
        ones = [np.r_[np.ones(k), np.zeros(n - k)] for k in range(n + 1)]
        pairs = {(float(round(v.mean(), 2)), float(round(v.std(ddof=1), 2))) for v in ones}
        for mean, sd in pairs:
            assert debit(mean, sd, n, 2, 2), (mean, sd, n)
            assert not debit(mean, sd + 0.03, n, 2, 2)


def test_binary_data_pass_both():
    assert debit(0.35, 0.49, 20, 2, 2)
    assert grimmer(0.35, 0.49, 20, 2, 2)


@pytest.mark.parametrize("test", [grimmer, debit])
def test_one_value_has_no_standard_deviation(test):
    with pytest.raises(ValueError, match="n = 1"):
        test(0.5, 0.5, 1, 1, 1)


def test_largest_spread_is_reached_at_the_ends():
    assert largest_sd((0.2, 0.2), 0, 1) == pytest.approx(np.sqrt(0.16))
    weights = np.random.default_rng(5).dirichlet(np.ones(30))
    values = np.random.default_rng(6).uniform(size=30)
    mean = weights @ values
    assert np.sqrt(weights @ (values - mean) ** 2) <= largest_sd((mean, mean), 0, 1)


# --------------------------------------------------------------------------------------------------------
# The registry
# --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    return audit(REGISTRY)


def test_every_figure_has_a_row_and_what_cannot_be_checked_says_what_is_missing(rows):
    assert list(rows.columns) == list(COLUMNS)
    assert list(dict.fromkeys(rows["id"])) == [one.id for one in REGISTRY.figures]
    assert set(rows["status"]) == {CONSISTENT, INCONSISTENT, CANNOT}
    cannot = rows[rows["status"].eq(CANNOT)]
    assert cannot["reason"].str.contains("not registered").all()
    assert rows["reason"].ne("").all()


def test_recomputed_levels_are_those_the_stars_state(rows):
    found = recomputed_frame(REGISTRY)
    assert len(found) == 91
    assert found["stars"].eq(True).all()
    # The classes hold at the printed numbers too, with scipy alone.
    p = 2 * stats.norm.sf(np.abs(found["estimate"] / found["se"]))
    t = 2 * stats.t.sf(np.abs(found["estimate"] / found["se"]), 350)
    assert found["p_normal"].to_numpy() == pytest.approx(p)
    assert found["p_t"].to_numpy() == pytest.approx(t)
    fits = [low <= one < high for one, (low, high) in zip(t, found["p_text"].map(STARS), strict=True)]
    assert all(fits)
    assert rows["check"].eq("stars").sum() == 91


def test_one_level_rests_on_the_degrees_of_freedom():
    """A violent-offence figure of the lowest quartile is below 0.10 by the normal and above by t: the stars follow t."""
    row = recomputed_frame(REGISTRY).set_index("id").loc["biasi.logviolent_byhisp_dd1.hispq1.c1"]
    assert row["p_normal"] < 0.10 < row["p_t"]
    assert row["p_text"] == "p>=0.10"


def test_known_relations_hold(rows):
    exact = rows[rows["exact"] & rows["status"].ne(CANNOT)]
    assert exact["status"].eq(CONSISTENT).all()
    level = rows[rows["check"].eq("gap over percentage")].iloc[0]
    # 65.35 / 0.155 and 65.45 / 0.145
    assert (level["recomputed_low"], level["recomputed_high"]) == pytest.approx((421.6129, 451.3793), abs=1e-4)  # fmt: skip
    base = rows[rows["check"].eq("points over base")].iloc[0]
    assert (base["recomputed_low"], base["recomputed_high"]) == pytest.approx((100 * 0.145 / 0.95, 100 * 0.155 / 0.85))  # fmt: skip


def test_what_does_not_fit_is_what_was_found_by_hand(rows):
    apart = rows[rows["status"].eq(INCONSISTENT)]
    assert sorted(apart["id"]) == sorted(
        [f"biasi.logcrime_byhisp_dd1.hispq{q}.c{c}" for q in (2, 3) for c in (1, 2, 3, 4)]
        + ["gjw2024.elasticity", "gjw2024.reported_crime", "wong2017.small_counties"]
    )
    assert not apart["exact"].any()


def test_decimals_are_those_of_the_table():
    places = decimals_of(REGISTRY)
    assert {places[one.id] for one in REGISTRY.figures if one.se is not None} == {4}
    assert places["wong2017.crime.all"] == 1
    bare = changed("biasi.logcrime_dd1.c4", decimals=MappingProxyType({"estimate": 2, "se": 3}))
    assert decimals_of(bare)["biasi.logcrime_dd1.c4"] == 4


def changed(id: str, **values: object) -> Published:
    return Published(tuple(replace(one, **values) if one.id == id else one for one in REGISTRY.figures))


@pytest.mark.parametrize(
    ("id", "values", "check"),
    [
        ("biasi.logcrime_dd1.c2", {"p_text": "p<0.10"}, "stars"),
        ("biasi.logcrime_dd1.c2", {"p_text": "p<0.05"}, "stars"),
        ("biasi.logcrime_dd1.c2", {"estimate": -0.0348}, "total between its parts"),
        ("biasi.logcrime_dd1.c1", {"estimate": 0.09}, "all between the quartiles"),
        ("biasi.logviolent_dd1.c1", {"n": 7000}, "sample within a sample"),
        ("biasi.balance.dem_share_2008.other", {"notes": "SD 0.56"}, "largest possible spread"),
        ("biasi.logcrime_cleared_dd.c1", {"notes": "mean of outcome 0.7"}, "share between its parts"),
        ("wong2017.crime.large_central_metro.control_mean", {"estimate": 500.0}, "gap over percentage"),
        ("wong2017.crime.large_central_metro", {"estimate": -56.4}, "two scales"),
        ("wong2017.n_sanctuary", {"estimate": 3608.0}, "part of a whole"),
        ("wong2017.n_total", {"estimate": 2492.5}, "whole number"),
        ("nchs2006.n.noncore", {"estimate": 1356.0}, "sum of the classes"),
        ("gjw2024.victimization", {"estimate": 0.25}, "points over base"),
        ("amuedodeza2022.domestic_homicide.low", {"estimate": -65.0}, "ends of a range"),
        ("ciancio2019.substitutes", {"estimate": 81.0, "n": 7}, "granularity of a percentage"),
        ("biasi.logcrime_dd1.c2", {"t": 3.85, "decimals": MappingProxyType({"t": 2})}, "t"),
        ("biasi.logcrime_dd1.c2", {"p": 0.2, "decimals": MappingProxyType({"p": 1})}, "p"),
        ("biasi.logcrime_dd1.c2", {"ci": (0.02, 0.0587), "decimals": MappingProxyType({"ci": 4})}, "interval, lower end"),
        ("biasi.logcrime_dd1.c2", {"ci": (0.0109, 0.08), "decimals": MappingProxyType({"ci": 4})}, "interval, upper end"),
        ("wong2017.crime.all", {"ci": (-70.0, -10.0), "decimals": MappingProxyType({"ci": 1})}, "interval, middle"),
    ],
)  # fmt: skip
def test_a_planted_slip_is_found(rows, id, values, check):
    """Each slip is called inconsistent by the check named, which says nothing of the kind of the registry as it stands."""

    def flagged(frame) -> bool:
        return bool((frame["check"].eq(check) & frame["status"].eq(INCONSISTENT) & frame["id"].isin(related)).any())  # fmt: skip

    related = {id, "nchs2006.n.large_central_metro", "wong2017.crime.large_central_metro.control_mean"}
    assert not flagged(rows)
    assert flagged(audit(changed(id, **values)))


def test_a_filled_in_figure_is_checked_instead_of_missing():
    """An error, t, p and interval that are added to a null are recomputed, with no change of code."""
    figure = REGISTRY.figure("wong2017.crime.all")
    places = MappingProxyType({"estimate": 1, "se": 1, "t": 2, "p": 3, "ci": 1})
    filled = changed(figure.id, se=12.5, t=-2.84, p=0.005, p_text="0.005", ci=(-60.0, -11.0), decimals=places)
    found = audit(filled)
    own = found[found["id"].eq(figure.id)].set_index("check")["status"]
    assert own.to_dict() == dict.fromkeys(("t", "p", "interval, lower end", "interval, upper end"), CONSISTENT)  # fmt: skip
    alone = audit(changed(figure.id, se=12.5))
    row = alone[alone["id"].eq(figure.id)].iloc[0]
    assert (row["status"], row["check"]) == (CANNOT, "t, p and interval")
    assert row["recomputed_low"] < -35.5 / 12.5 < row["recomputed_high"]


def test_a_registry_without_the_partners_of_a_check_is_audited_without_it():
    alone = audit(Published((REGISTRY.figure("biasi.logcrime_dd1.c2"),)))
    assert list(alone["check"]) == ["stars"]
    assert audit(Published(())).empty


def test_gradient_along_hispanic_share():
    found = quartile_contrasts(REGISTRY.frame())
    assert len(found) == 12
    first = found.iloc[0]
    assert first["difference"] == pytest.approx(0.0615 + 0.0335)
    assert first["t_worst"] == pytest.approx(0.095 / (0.0247 + 0.0183))
    assert quartile_contrasts(REGISTRY.frame().iloc[:10]).empty


def test_the_audit_of_one_registry_is_one_frame(rows):
    assert rows.equals(audit(REGISTRY))

"""What is read off a grid of specifications: worlds whose answer is known, and an invented panel run for real."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, panel, spec
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.base.errors import SampleError, SpecError, StudyError, TableError
from analysis.design.design import make_design
from analysis.estimation import aggregate, fit
from analysis.evidence.claims import load_claims
from analysis.evidence.curve import (
    ALL,
    CURVE,
    IMPORTANCE,
    JOINT,
    MORE,
    PARTIAL,
    SHARES,
    SIZES,
    curve,
    decompose,
    grid_test,
    importance,
    is_linear,
    joint_test,
    linear_estimates,
    linear_grid,
    partial_dependence,
    published_places,
    shares,
    state_sums,
)
from analysis.report.curve_figures import (
    curve_plot,
    importance_table,
    joint_table,
    partial_plot,
    partial_rows,
    places_table,
    shares_table,
)

FIRST = {"a": 0.0, "b": 6.0}
SECOND = {"u": 0.0, "v": 1.0, "w": 2.0}


def results(drop=(), noise=0.0, families=("one",), outcomes=("property",)):
    """A grid of two choices, replicated over eight samples, with known effects of each option."""
    rng, rows = np.random.default_rng(1), []
    for family, measure, (a, first), (b, second), sample in product(
        families, outcomes, FIRST.items(), SECOND.items(), range(8)
    ):
        if (a, b) in drop:
            continue
        value = first + second + noise * rng.normal()
        rows.append(
            {
                "spec": f"{family}/{measure}/{a}{b}{sample}", "measure": measure, "family": family, "failure": "",
                "percent_of_baseline": value, "percent_low": value - 3, "percent_high": value + 3,
                "estimate": 3.0 * value, "conf_low": 3.0 * (value - 3), "conf_high": 3.0 * (value + 3),
                "scale": "rate_100k", "baseline": 300.0, "excludes_zero": abs(value) > 3, "informative": True,
                "precision": "different from zero" if abs(value) > 3 else "inconclusive",
                "choice_first": a, "choice_second": b, "choice_sample": str(sample),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def numbers(found, **where):
    for name, value in where.items():
        found = found[found[name].eq(value)]
    assert len(found) == 1
    return found.iloc[0]


# --- variance ---------------------------------------------------------------------------------------------------


def test_a_balanced_additive_grid_divides_into_the_variances_of_its_options():
    found = importance(results())
    # Variances of the options: 9 and 2/3.
    for name, share in (("first", 9 / (9 + 2 / 3)), ("second", (2 / 3) / (9 + 2 / 3)), ("sample", 0.0)):
        line = numbers(found, family=ALL, of="percent", choice=name)
        for column in ("alone", "shapley", "last", "total"):
            assert line[column] == pytest.approx(share, abs=1e-8)
    assert numbers(found, family=ALL, of="percent", choice="additive")["total"] == pytest.approx(1)
    assert tuple(found.columns) == IMPORTANCE


def test_noise_is_left_unexplained_and_an_interaction_is_in_the_total_alone():
    grid = pd.DataFrame(list(product("ab", "uv", range(500))), columns=["one", "two", "copy"])
    apart = np.where(grid["one"].eq("a") == grid["two"].eq("u"), 1.0, -1.0)
    noise = np.random.default_rng(2).normal(size=len(grid))
    found = decompose(apart + noise, grid[["one", "two"]])
    assert found.additive == pytest.approx(0, abs=0.01)
    assert found.two_way == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(found.total, found.two_way, atol=0.01)


def test_choices_that_come_together_share_what_they_explain_once():
    one = np.repeat(["a", "b"], 50)
    choices = pd.DataFrame({"one": one, "same": one, "other": np.tile(["u", "v"], 50), "single": "s"})
    effect = (one == "b") * 2.0
    found = decompose(effect, choices)
    assert found.choices == ("one", "same", "other")
    np.testing.assert_allclose(found.alone, [1, 1, 0], atol=1e-8)
    np.testing.assert_allclose(found.shapley, [0.5, 0.5, 0], atol=1e-8)
    np.testing.assert_allclose(found.last, 0, atol=1e-8)


def test_an_unbalanced_grid_adds_up_and_families_weigh_alike():
    table = pd.concat(
        [results(drop=[("a", "w"), ("b", "u")], noise=1.0), results(families=("two",), noise=1.0)]
    )
    found = importance(table.reset_index(drop=True))
    for family in (ALL, "one", "two"):
        part = found[found["family"].eq(family) & found["of"].eq("percent")]
        additive = numbers(part, choice="additive")["total"]
        assert part["shapley"].sum() == pytest.approx(additive)
        assert additive <= numbers(part, choice="two-way")["total"] + 1e-9
    # The shares of a table are those of weights one over the size of the family.
    weight = 1 / table.groupby("family")["family"].transform("size")
    by_hand = decompose(
        table["percent_of_baseline"].to_numpy(), table.filter(like="choice_"), weight.to_numpy()
    )
    line = numbers(found, family=ALL, of="percent", choice="first")
    assert line["shapley"] == pytest.approx(by_hand.shapley[by_hand.choices.index("choice_first")])


def test_ranks_do_not_follow_an_outlier():
    table = results()
    table.loc[0, "percent_of_baseline"] = -1e6
    found = importance(table)
    assert numbers(found, of="percent", family=ALL, choice="first")["shapley"] < 0.1
    assert numbers(found, of="rank", family=ALL, choice="first")["shapley"] > 0.7


# --- partial dependence -----------------------------------------------------------------------------------------


def test_options_differ_by_what_they_do_however_often_they_occur():
    table = results(drop=[("a", "w"), ("b", "v")])
    found = partial_dependence(table)
    assert tuple(found.columns) == PARTIAL
    line = numbers(found, family="one", choice="first", option="b")
    # Only "u" is left to pair: 8 samples, though means over all rows differ by more.
    assert (line["pairs"], line["difference"], line["spread"]) == (8, 6.0, 0.0)
    assert line["higher"] == 1.0
    line = numbers(found, family="one", choice="second", option="w")
    assert (line["reference"], line["pairs"], line["difference"]) == ("u", 8, 2.0)
    assert numbers(found, family="one", choice="first", option="a")["difference"] == 0


def test_pairs_of_families_weigh_alike_and_an_option_without_a_pair_keeps_its_row():
    one, two = results(), results(families=("two",), drop=[("a", "v"), ("a", "w")])
    two.loc[two["choice_first"].eq("b"), "percent_of_baseline"] += 12
    odd = one.iloc[[0]].assign(choice_first="odd", choice_second="none of these")
    found = partial_dependence(pd.concat([one, two, odd], ignore_index=True))
    # 24 pairs of 6 in one family; in the other 8 of 18; cells of both families are told apart by their samples.
    alone = {f: numbers(found, family=f, choice="first", option="b") for f in ("one", "two")}
    assert [alone[f]["difference"] for f in ("one", "two")] == [6.0, 18.0]
    line = numbers(found, family="one", choice="first", option="odd")
    assert line["pairs"] == 0 and np.isnan(line["difference"])


def test_a_family_without_covariates_is_paired_with_those_that_take_none():
    table = pd.DataFrame(
        {
            "spec": ["s1", "s2", "s3"], "measure": "property", "family": ["staggered", "two_way", "two_way"],
            "failure": "", "percent_of_baseline": [1.0, 4.0, 6.0], "choice_covariates": ["none", "", ""],
            "choice_estimator": ["group-time", "two-way", "other"],
        }
    )  # fmt: skip
    found = partial_dependence(table)
    line = numbers(found, family=ALL, choice="estimator", option="two-way")
    assert (line["reference"], line["pairs"], line["difference"]) == ("group-time", 1, 3.0)


# --- the curve and its shares -----------------------------------------------------------------------------------


def mixed():
    table = results(families=("one", "two"))
    failed = table["spec"].eq("two/property/au0")
    table.loc[failed, ["percent_of_baseline", "estimate"]] = np.nan
    table.loc[failed, "failure"] = "no rows"
    return table.drop(table.index[table["family"].eq("two") & table["choice_second"].eq("w")]).reset_index(
        drop=True
    )


def test_the_curve_is_ordered_and_leaves_out_what_failed():
    found = curve(mixed(), "property")
    assert tuple(found.columns[: len(CURVE)]) == CURVE
    assert len(found) == 48 + 31 and found["rank"].tolist() == list(range(1, 80))
    assert found["percent"].is_monotonic_increasing
    assert set(found["reading"]) == {"inconclusive", MORE}
    with pytest.raises(StudyError, match="murder"):
        curve(mixed(), "murder")


def test_shares_of_all_are_means_of_families_and_count_the_failed():
    found = shares(mixed())
    assert tuple(found.columns) == SHARES
    pick = {"measure": "property", "kind": "verdict"}
    one = numbers(found, family="one", reading=MORE, **pick)
    two = numbers(found, family="two", reading=MORE, **pick)
    assert (one["n"], one["n_specs"], two["n"], two["n_specs"]) == (24, 48, 16, 32)
    both = numbers(found, family=ALL, reading=MORE, **pick)
    assert both["share"] == pytest.approx((one["share"] + two["share"]) / 2)
    assert numbers(found, family="two", reading="failed", **pick)["n"] == 1
    for _, part in found.groupby(["measure", "family", "kind"]):
        # An effect of exactly zero has no sign.
        assert part["share"].sum() <= 1 + 1e-12
    assert found[found["kind"].eq("verdict")].groupby(["measure", "family"])["share"].sum().eq(1).all()


def test_a_table_without_choices_is_refused():
    with pytest.raises(TableError, match="choices"):
        shares(results().drop(columns=["choice_first", "choice_second", "choice_sample"]))


# --- published numbers ------------------------------------------------------------------------------------------


def test_published_numbers_fall_where_arithmetic_says():
    found = published_places(results(outcomes=("total", "property")))
    named = {fact.id for claim in load_claims().claims for fact in claim.facts}
    assert set(found["fact"]) == named, "every published number keeps a row"
    # 0.0348 log points are 3.54 %: above effects of 0, 1 and 2 %, below 6, 7 and 8 %.
    log = numbers(found, fact="biasi.logcrime_dd1.c2", measure="total", family=ALL)
    assert (log["same_outcome"], log["place"], log["n_specs"]) == ("same", 0.5, 48)
    assert log["percent"] == pytest.approx(3.5413, abs=1e-3)
    # Intervals of three points either side: those about 1, 2 and 6 % hold it.
    assert (log["inside"], log["above"], log["below"]) == (0.5, pytest.approx(2 / 6), pytest.approx(1 / 6))
    assert (
        numbers(found, fact="biasi.logcrime_dd1.c2", measure="property", family=ALL)["same_outcome"]
        == "another"
    )
    # 35.5 fewer per 10,000 on a mean of 30 per 10,000 lie below everything, and say nothing of property crime.
    rate = numbers(found, fact="wong2017.crime.all", family=ALL)
    assert (rate["measure"], rate["place"], rate["above"]) == ("total", 0.0, 1.0)
    assert rate["percent"] == pytest.approx(-100 * 35.5 / 30)
    assert found.loc[found["published"].isna(), "reason"].str.contains("null").all()


def test_a_rate_without_its_outcome_keeps_a_row_with_the_reason():
    found = published_places(results())
    assert "no specification of total" in numbers(found, fact="wong2017.crime.all")["reason"]


# --- the joint test ---------------------------------------------------------------------------------------------

TWO_WAY = {"estimator.name": "two_way", "estimator.effects": "county_year"}
SPECS = [
    spec({"outcome.measure": "property", **changes, "sample.balance": "none"}, name=f"s{at}")
    for at, changes in enumerate(
        (
            {},
            {"estimator.within": "state"},
            TWO_WAY,
            {**TWO_WAY, "estimator.effects": "state_by_year"},
            {**TWO_WAY, "estimator.effects": "urban_class_by_year"},
            {"estimator.weights": "population_baseline"},
            {"outcome.scale": "log_rate"},
        )
    )
]


@pytest.fixture(scope="module")
def world():
    return panel(effect=400.0)


def test_every_specification_of_the_sub_grid_is_the_one_run_alone(world):
    found = linear_estimates(linear_grid(world, SPECS)).set_index("spec")
    for one in SPECS:
        line = aggregate(fit(make_design(world, one)), over="post").table.iloc[0]
        assert found.loc[one.name, "estimate"] == pytest.approx(line["estimate"], rel=1e-10)
        assert found.loc[one.name, "std_error"] == pytest.approx(line["std_error"], rel=1e-8)


def test_a_large_effect_is_found_and_the_measured_size_stands_beside_the_p_value(world):
    sizes = pd.DataFrame(
        [(False, "property", "all", how, "median", 0.11, 0.02, 200) for how in ("resampled", "signs")],
        columns=list(SIZES),
    )
    found = joint_test(world, SPECS, draws=199, sizes=sizes)
    assert tuple(found.columns) == JOINT
    median = numbers(found, compared="all", how="signs", statistic="median")
    assert median["p_value"] < 0.05 and median["observed"] > 5
    assert (median["size"], median["size_error"]) == (0.11, 0.02)
    assert np.isnan(numbers(found, compared="all", how="signs", statistic="share")["size"])
    assert (median["null_low"] < 0) and (median["null_high"] > 0) and median["n_specs"] == 7
    again = joint_test(world, SPECS, draws=199, sizes=sizes)
    pd.testing.assert_frame_equal(found, again)


def test_outcomes_are_tested_apart_and_together_and_failures_are_counted(world):
    more = [(one.replace({"outcome.measure": "total", "name": f"b{at}"})) for at, one in enumerate(SPECS[:2])]
    failing = SPECS[0].replace({"name": "nobody", "sample.min_population": 10_000_000})
    linear = linear_grid(world, [*SPECS, *more, failing, spec(CROSS_SECTION, "matched")])
    assert [one.name for one, _ in linear.failures] == ["nobody"]
    found = grid_test(linear, draws=99)
    assert set(found["measure"]) == {"property", "total", ALL}
    of = found[found["how"].eq("resampled") & found["statistic"].eq("median") & found["compared"].eq(ALL)]
    assert dict(zip(of["measure"], of["n_specs"], strict=True)) == {"property": 7, "total": 2, ALL: 9}
    assert dict(zip(of["measure"], of["n_failed"], strict=True)) == {"property": 1, "total": 0, ALL: 1}


def test_only_functions_of_state_sums_enter(world):
    assert all(is_linear(one) for one in SPECS)
    for changes in (
        {"covariates.names": ["poverty"], "covariates.vintage": "2006_2010"},
        {"controls.policies": ["secure_communities"]},
        {"treatment.anticipation": 1},
        {"estimator.within": "urban_class"},
        {**TWO_WAY, "estimator.method": "event_time"},
        CROSS_SECTION,
    ):
        assert not is_linear(spec(changes))
    design = make_design(world, SPECS[0])
    with pytest.raises(SpecError, match="joint test"):
        state_sums(replace(design, spec=spec(CROSS_SECTION)), ["IA"])
    alone = design.table.assign(treated=False, event_time=pd.NA, cohort=pd.NA)
    alone = alone.astype({"event_time": "Int64", "cohort": "Int64"})
    with pytest.raises(SampleError):
        state_sums(replace(design, table=alone), sorted(design.table["state"].unique()))
    with pytest.raises(StudyError, match="no linear"):
        linear_grid(world, [spec(CROSS_SECTION)])


# --- on paper ---------------------------------------------------------------------------------------------------


def texts(figure):
    """Every text of a figure, and a check that none runs off the page."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = [text for axes in figure.axes for text in (*axes.texts, *axes.get_yticklabels())] + figure.texts
    page = figure.bbox
    for text in found:
        if text.get_text().strip() and text.get_visible():
            box = text.get_window_extent(canvas.get_renderer())
            assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text.get_text()
            assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text.get_text()
    return " ".join(text.get_text() for text in found)


def test_the_curve_draws_every_specification_and_option():
    rows = curve(mixed(), "property")
    fig = curve_plot(rows, {"property": "property crime"}, note="A note.")
    said = texts(fig)
    assert "Property crime: 79 specifications" in said and "beyond the scale" not in said
    for option in ("one", "two", "a", "b", "u", "v", "w"):
        assert option in said.split()
    dots = [one for one in fig.axes[0].collections if type(one).__name__ == "PathCollection"]
    assert sum(len(one.get_offsets()) for one in dots) == 79


def test_the_plot_of_options_draws_their_differences():
    table = results().rename(columns={"choice_first": "choice_scale", "choice_second": "choice_build"})
    rows = partial_rows(partial_dependence(table))
    fig = partial_plot(rows, note="A note.")
    said = texts(fig)
    assert "Scale, against a" in said and "Rate build, against u" in said
    marks = [tuple(line.get_xdata()) for line in fig.axes[0].lines if len(line.get_xdata()) == 1]
    assert (6.0,) in marks and (2.0,) in marks


def test_tables_say_what_their_frames_hold(world):
    table = mixed()
    printed = shares_table(shares(table)).cells
    assert printed["More, different from zero"].tolist()[:3] == ["50 %", "50 %", "50 %"]
    moved = importance_table(importance(results()), of="percent").cells
    assert moved.loc[moved["Choice"].eq("First"), "Alone"].tolist()[0] == "93 %"
    assert (
        moved.loc[moved["Choice"].eq("all choices together"), "With its interactions"].tolist()[0] == "100 %"
    )
    sizes = pd.DataFrame(
        [(False, "property", "all", "resampled", "median", 0.11, 0.02, 200),
         (False, "property", "all", "signs", "median", 0.06, 0.02, 200)], columns=list(SIZES)
    )  # fmt: skip
    tested = joint_table(joint_test(world, SPECS, draws=99, sizes=sizes)).cells
    assert tested.iloc[0]["its size"] == "11 % (2), off"
    assert tested.iloc[0]["size of that"] == "6 % (2)"
    placed = places_table(published_places(results(outcomes=("total",)))).cells
    assert placed["Published, %"].tolist()[-1] == "+3.5"
    assert placed["Estimates below it"].tolist()[-1] == "50 %"

"""Bounds on reporting on whole panels: a world whose victims are known gives back the change that made its estimate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, panel, spec

from analysis.base.errors import StudyError, TableError
from analysis.design.design import make_design
from analysis.estimation import recluster
from analysis.evidence.checks.reporting import (
    BESIDE,
    BREAK_EVEN,
    ENDS,
    IMPLIED,
    design_of,
    reporting_break_even,
    reporting_implied,
    reporting_yardsticks,
)
from analysis.evidence.reporting_inputs import GROUPS, load_inputs
from analysis.evidence.runs import one_effect
from analysis.report.reporting_figures import (
    break_even_plot,
    break_even_rows,
    break_even_table,
    implied_table,
    inputs_table,
    yardstick_plot,
    yardstick_rows,
    yardstick_table,
)

WEIGHTED = {"covariates.names": [], "estimator.weights": "population_baseline"}
# Share of victimisations that is reported, by offence, in the simulated world: as in the committed inputs.
RATE = {"property": 0.35, "larceny": 0.33, "murder": 0.99, "motor_vehicle_theft": 0.83}


def world(
    reporting: float = 0.0,
    *,
    suffered: float = 0.0,
    everybody: float = 0.0,
    noise: float = 0.0,
    risk: float = 1.0,
):
    """A panel of offences that are victimisations times reporting: Hispanic residents of adopters report and suffer
    otherwise from 2014 on."""
    given = panel(states=6)
    rng = np.random.default_rng(4)
    table = given.table.copy()
    counties = table["county_fips"].unique()
    level = pd.Series(rng.uniform(0.03, 0.09, len(counties)), index=counties)
    table["foreign_born_2006_2010"] = (
        table["hispanic_2010"].groupby(table["county_fips"]).transform("first") / 2
    )
    table["hispanic_2010"] = table["hispanic_2010"].groupby(table["county_fips"]).transform("first")
    table["non_citizen_2014_2018"] = table["foreign_born_2006_2010"] / 2
    adopters = {event["county_fips"] for event in given.policies.to_dict("records")}
    on = (table["county_fips"].isin(adopters) & (table["year"] >= 2014)).astype(float)
    share = table["hispanic_2010"]
    for measure, rate in RATE.items():
        most = min(reporting, 1 / rate - 1)
        own = share * risk * (1 + on * most) * (1 + on * suffered)
        per_100k = 1e5 * table["county_fips"].map(level) * rate * (1 + on * everybody) * (own + 1 - share)
        shock = noise * rng.normal(size=len(table)) * per_100k
        table[f"rate_policed_{measure}"] = per_100k + shock
        table[f"coverage_{measure}"] = 1.0
    return replace(given, table=table)


def row(frame: pd.DataFrame, **where) -> pd.Series:
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


@pytest.mark.parametrize("reporting", [-0.5, 0.4, 1.5])
@pytest.mark.parametrize("weights", ["population_baseline", "none"])
def test_the_change_that_made_the_estimate_is_found(reporting, weights):
    given = world(reporting)
    one = spec(WEIGHTED | {"estimator.weights": weights}, "all")
    frame = reporting_break_even(given, [one])
    assert list(frame.columns) == list(BREAK_EVEN) and (frame["failure"] == "").all()
    hispanic = row(frame, group="hispanic", risk_ratio=1.0, rate_ratio=1.0, end="estimate")
    assert hispanic["break_even"] == pytest.approx(100 * reporting, abs=1e-8)
    assert hispanic["possible"] and hispanic["headroom"] == pytest.approx(100 * (1 / 0.35 - 1))
    # Half as many people must move twice as far, and quarter as many four times.
    for group, factor in (("foreign_born", 2), ("non_citizen", 4)):
        other = row(frame, group=group, risk_ratio=1.0, rate_ratio=1.0, end="estimate")
        assert other["break_even"] == pytest.approx(100 * reporting * factor, abs=1e-7)
        assert other["possible"] == (-1 <= reporting * factor <= 1 / 0.35 - 1)
    left = reporting_implied(frame)
    assert list(left.columns) == list(IMPLIED)


def test_victims_twice_as_often_are_found_under_that_ratio():
    frame = reporting_break_even(world(0.4, risk=2.0), [spec(WEIGHTED, "all")])
    chosen = frame[(frame["group"] == "hispanic") & (frame["end"] == "estimate")]
    assert row(chosen, risk_ratio=2.0)["break_even"] == pytest.approx(40.0, abs=1e-8)
    assert (
        row(chosen, risk_ratio=0.5)["break_even"]
        > row(chosen, risk_ratio=1.0, rate_ratio=1.0)["break_even"]
        > 40.0
    )


def test_both_ends_of_the_interval_are_priced():
    given, one = world(0.4, noise=0.02), spec(WEIGHTED, "noisy")
    frame = reporting_break_even(given, [one])
    estimate = one_effect(make_design(given, one))
    line = estimate.table.iloc[0]
    for end in ENDS:
        found = row(frame, group="hispanic", risk_ratio=1.0, rate_ratio=1.0, end=end)
        assert found["reported"] == pytest.approx(100 * line[end] / estimate.baseline)
        assert found["break_even"] == pytest.approx(found["reported"] / found["share_of_reports"])
        reach = found["headroom"] / 100 if found["reported"] > 0 else 1.0
        assert found["share_needed"] == pytest.approx(abs(found["reported"]) / 100 / reach)


def test_what_surveys_find_leaves_what_was_suffered():
    # The world does what was found of enforcement, the other way round: reports rise by 43 %, victims fall by 14 %.
    given = world(1 / 0.7 - 1, suffered=1 / 1.16 - 1)
    left = reporting_implied(reporting_break_even(given, [spec(WEIGHTED, "undone")]))
    found = row(left, group="hispanic", input="gjw2024.reporting", direction="as_found")
    assert found["nearest"] and not found["capped"]
    assert (found["reporting"], found["victimisation"]) == pytest.approx(
        (100 * (1 / 0.7 - 1), 100 * (1 / 1.16 - 1))
    )
    assert found["implied"] == pytest.approx(found["percent"], abs=1e-8)
    assert found["affected"] == pytest.approx(100 * (1 / 1.16 - 1), abs=1e-7)
    back = row(left, group="hispanic", input="gjw2024.reporting", direction="reversed")
    assert (back["reporting"], back["victimisation"]) == pytest.approx((-30.0, 16.0))
    assert back["affected"] > found["affected"]


def test_victimisation_of_everybody_is_what_is_left():
    given = world(-0.3, everybody=0.1)
    left = reporting_implied(reporting_break_even(given, [spec(WEIGHTED, "fear")]))
    found = row(left, group="hispanic", input="gjw2024.reporting", direction="reversed")
    assert found["all"] == pytest.approx(10.0, abs=1e-8)


def test_every_input_runs_both_ways_and_none_beyond_all_that_can_be_reported():
    murder = {"outcome.measure": "murder"}
    frame = reporting_break_even(world(0.0), [spec(WEIGHTED, "property"), spec(WEIGHTED | murder, "murder")])
    left = reporting_implied(frame)
    inputs = load_inputs()
    for measure in ("property", "murder"):
        rows = left[(left["measure"] == measure) & (left["group"] == "hispanic")]
        wanted = {one.id for one in inputs.of("reporting_change") if one.holds_for(measure)}
        wanted |= {
            one.id
            for one in inputs.of("victimisation_change")
            if one.holds_for(measure) and not one.goes_with
        }
        assert set(rows["input"]) == wanted and (rows.groupby("input")["direction"].nunique() == 2).all()
        for _, pair in rows.groupby("input"):
            there, back = (row(pair, direction=way)["stated"] / 100 for way in ("as_found", "reversed"))
            assert (1 + there) * (1 + back) == pytest.approx(1.0)
    capped = left[left["capped"]]
    assert len(capped) and (capped["reporting"] <= 100 * (1 / 0.99 - 1) + 1e-9).all()
    assert (left["inside"] == left["implied"].between(left["percent_low"], left["percent_high"])).all()


def test_offences_that_are_reported_anyway_hardly_move_when_reporting_does():
    given = world(1.5, noise=0.01)
    frame = reporting_yardsticks(given, [spec(WEIGHTED, "grid/measure=property")], offences=tuple(RATE))
    assert list(frame.columns) == list(BESIDE)
    moved = frame.drop_duplicates("measure").set_index("measure")["percent"]
    assert moved["murder"] < moved["motor_vehicle_theft"] < moved["property"] / 3
    property_ = row(frame, measure="property", yardstick="murder")
    assert property_["difference_low"] > 0
    assert property_["difference"] == pytest.approx(moved["property"] - moved["murder"])
    # No offence rises by more than what full reporting of the group that moved can give, but for noise.
    assert (frame["percent"] < frame["most_hispanic"] + 2.0).all()
    mirrored = row(frame, measure="motor_vehicle_theft", yardstick="murder")
    there = row(frame, measure="murder", yardstick="motor_vehicle_theft")
    assert (there["difference_low"], there["difference_high"]) == pytest.approx(
        (-mirrored["difference_high"], -mirrored["difference_low"])
    )


def test_the_joint_error_is_that_of_the_two_estimates_stacked():
    given = world(0.5, noise=0.05)
    one, other = (spec(WEIGHTED | {"outcome.measure": m}, f"grid/measure={m}") for m in ("larceny", "murder"))
    frame = reporting_yardsticks(given, [one], offences=("larceny",))
    found = row(frame, yardstick="murder")
    first, second = (one_effect(make_design(given, asked)) for asked in (one, other))
    gap = 100 * (first.influence / first.baseline - second.influence / second.baseline)
    joint = recluster(replace(first, influence=gap), "state")
    half = (found["difference_high"] - found["difference_low"]) / 2
    assert half / joint.table["std_error"].item() == pytest.approx(
        (line := first.table.iloc[0])["conf_high"] / line["std_error"] - line["estimate"] / line["std_error"]
    )


def test_a_specification_that_fails_keeps_its_row_and_the_reason():
    given = world(0.2)
    bad = spec(WEIGHTED | {"sample.keep_states": ["TX"]}, "nobody")
    rare = spec(WEIGHTED | {"outcome.measure": "total"}, "unrated")
    frame = reporting_break_even(given, [bad, spec(WEIGHTED, "fine"), rare]).set_index("spec")
    assert frame.loc["nobody", "failure"] != "" and np.isnan(frame.loc["nobody", "percent"])
    assert "no reporting rate of 'total'" in frame.loc["unrated", "failure"]
    assert np.isfinite(frame.loc["unrated", "percent"])
    assert (frame.loc["fine", "failure"] == "").all()
    assert set(reporting_implied(frame.reset_index())["spec"]) == {"fine"}
    lone = reporting_yardsticks(given, [bad], offences=("property",))
    assert len(lone) == 1 and lone["failure"].item() != "" and lone["design"].item() == "nobody"
    blind = replace(given, table=given.table.drop(columns="non_citizen_2014_2018"))
    assert (
        "no share of residents non_citizen"
        in reporting_break_even(blind, [spec(WEIGHTED, "x")])["failure"].item()
    )


def test_a_cross_section_weighs_counties_as_its_estimate_does():
    given = world(0.0, noise=0.05)
    one = spec(CROSS_SECTION | {"estimator.weights": "none", "design.year": 2015}, "matched")
    frame = reporting_break_even(given, [one])
    treated = make_design(given, one).table.query("treated")["county_fips"]
    shares = given.table.drop_duplicates("county_fips").set_index("county_fips")["hispanic_2010"]
    found = row(frame, group="hispanic", risk_ratio=1.0, rate_ratio=1.0, end="estimate")
    assert found["share_of_reports"] == pytest.approx(shares[treated].mean())
    assert found["share_of_residents"] == pytest.approx(shares[treated].mean())


def test_counties_without_a_known_share_are_counted():
    given = world(0.2)
    counties = sorted({event["county_fips"] for event in given.policies.to_dict("records")})[:4]
    table = given.table.copy()
    table.loc[table["county_fips"].isin(counties), "non_citizen_2014_2018"] = np.nan
    frame = reporting_break_even(replace(given, table=table), [spec(WEIGHTED, "x")])
    held = frame.groupby("group")["share_known"].first()
    assert held["hispanic"] == 1.0 and 0.5 < held["non_citizen"] < 1.0


def test_designs_are_told_apart_by_all_but_the_outcome():
    assert design_of("headline/without-california/measure=murder") == "headline/without-california"
    given = world(0.2)
    asked = [spec(WEIGHTED | {"outcome.measure": m}, f"grid/measure={m}") for m in ("property", "larceny")]
    asked.append(spec(WEIGHTED | {"estimator.within": "state"}, "grid/within/measure=property"))
    frame = reporting_yardsticks(given, asked, offences=("property", "larceny"))
    assert frame.groupby("design").size().to_dict() == {"grid": 4, "grid/within": 4}
    assert set(frame["spec"]) >= {"grid/measure=larceny", "grid/within/measure=larceny"}


# ---------------------------------------------------------------------------------------------------------------
# The inputs
# ---------------------------------------------------------------------------------------------------------------

ENTRY = {
    "id": '"one"', "registered": "false", "quantity": '"reporting_change"', "value": "-30.0",
    "unit": '"percent change"', "population": '"whom"', "offence": "[]", "kind": '"survey_finding"',
    "source": '"where"', "year": '"2010"', "confidence": '"seen"', "seen_in": '"primary"', "goes_with": '""',
    "note": '"n"', "contrast": '"enforcement"', "group": '"hispanic"',
}  # fmt: skip
RATED = ENTRY | {
    "quantity": '"reporting_rate"',
    "unit": '"percent"',
    "value": "50.0",
    "offence": '["murder"]',
}


def written(folder, *entries: dict[str, str], name: str = "inputs.toml", more: str = ""):
    blocks = ["[[inputs]]\n" + "\n".join(f"{k} = {v}" for k, v in e.items()) for e in entries]
    path = folder / name
    path.write_text("\n\n".join([*blocks, more]), encoding="utf-8")
    return path


def without(entry: dict[str, str], *keys: str) -> dict[str, str]:
    return {k: v for k, v in entry.items() if k not in keys}


def test_a_file_of_inputs_reads_back(tmp_path):
    found = load_inputs(written(tmp_path, ENTRY, without(RATED, "contrast", "group") | {"id": '"two"'}))
    assert found.input("one").fraction == -0.3 and found.rate("murder").fraction == 0.5
    assert found.frame()["id"].tolist() == ["one", "two"]


PLAIN = without(RATED, "contrast", "group")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([without(ENTRY, "note")], "entry 'one' lacks 'note'"),
        ([ENTRY | {"notes": '"n"'}], r"entry 'one': unknown key 'notes' \(did you mean note\?\)"),
        ([without(ENTRY, "id")], "entry 1 lacks 'id'"),
        ([ENTRY | {"id": "3"}], "entry 1: id = 3; expected text"),
        ([ENTRY | {"value": '"30"'}], "entry 'one': value = '30'; expected a number"),
        ([ENTRY | {"value": "true"}], "entry 'one': value = True; expected a number"),
        ([ENTRY | {"value": "-100.0"}], "entry 'one': value = -100.0; expected a number above -100"),
        ([ENTRY | {"value": "nan"}], "entry 'one': value = nan"),
        ([ENTRY | {"value": "inf"}], "entry 'one': value = inf"),
        ([PLAIN | {"value": "100.5"}], "a number above 0 and up to 100"),
        ([PLAIN | {"value": "0"}], "a number above 0 and up to 100"),
        ([PLAIN | {"offence": "[]"}], "the measures it is the rate of"),
        ([PLAIN | {"offence": '["homicide"]'}], "entry 'one': offence = 'homicide'"),
        ([PLAIN | {"contrast": '"limits"'}], "contrast = 'limits'; expected no such key of a reporting_rate"),
        ([PLAIN, PLAIN | {"id": '"two"'}], "reporting rate of 'murder' stands twice"),
        ([PLAIN | {"goes_with": '"one"'}], "goes_with = 'one'"),
        ([ENTRY | {"offence": '"murder"'}], "entry 'one': offence = 'murder'; expected a list of text"),
        ([ENTRY | {"unit": '"percent"'}], "entry 'one': unit = 'percent'"),
        ([ENTRY | {"quantity": '"rate"'}], "entry 'one': quantity = 'rate'"),
        ([ENTRY | {"kind": '"survey"'}], "entry 'one': kind = 'survey'"),
        ([ENTRY | {"confidence": '"sure"'}], "entry 'one': confidence = 'sure'"),
        ([ENTRY | {"seen_in": '"nowhere"'}], "entry 'one': seen_in = 'nowhere'"),
        ([ENTRY | {"kind": '"assumption"'}], "nobody found an assumption"),
        ([ENTRY | {"source": '" "'}], "entry 'one': source is empty"),
        ([ENTRY | {"registered": '"yes"'}], "entry 'one': registered = 'yes'; expected true or false"),
        ([without(ENTRY, "contrast")], "entry 'one': contrast = ''"),
        ([without(ENTRY, "group")], "entry 'one': group = ''"),
        ([ENTRY, ENTRY], "id 'one' stands twice"),
        ([ENTRY | {"goes_with": '"nobody"'}], "entry 'one': goes_with = 'nobody'"),
        ([ENTRY | {"goes_with": '"two"'}, ENTRY | {"id": '"two"'}], "the id of one of the other quantity"),
        ([], "no entry"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_refused_by_name_and_key(tmp_path, entries, message):
    with pytest.raises(TableError, match=message):
        load_inputs(written(tmp_path, *entries))


def test_a_bad_file_is_refused(tmp_path):
    with pytest.raises(TableError, match="unknown key 'input'"):
        load_inputs(written(tmp_path, ENTRY, name="a.toml", more="[input]\nx = 1"))
    with pytest.raises(TableError, match="is not TOML"):
        load_inputs(written(tmp_path, more="[[inputs"))


def test_the_committed_inputs_serve_every_offence_and_say_what_they_are():
    inputs = load_inputs()
    for measure in ("murder", "motor_vehicle_theft", "robbery", "aggravated_assault", "burglary", "larceny",
                    "violent", "violent_ex_rape", "property"):  # fmt: skip
        assert 0 < inputs.rate(measure).fraction <= 1
    # The yardsticks are those of which most is reported.
    rates = {one.offence[0]: one.value for one in inputs.of("reporting_rate")}
    assert sorted(rates, key=rates.get)[-2:] == ["motor_vehicle_theft", "murder"]
    # Both directions have an input of their own, and stated intentions are marked as such.
    signs = {np.sign(one.value) for one in inputs.of("reporting_change")}
    assert signs == {-1.0, 1.0}
    assert {one.id for one in inputs.inputs if one.kind == "stated_intention"} == {
        "wong2018survey.witness", "wong2018survey.victim",
    }  # fmt: skip
    assert {one.group for one in inputs.of("reporting_change")} <= set(GROUPS)
    assert {one.value for one in inputs.of("risk_ratio")} == {0.5, 1.0, 2.0}
    assert all(one.note and one.source for one in inputs.inputs)


# ---------------------------------------------------------------------------------------------------------------
# What is shown of it
# ---------------------------------------------------------------------------------------------------------------


def test_figure_and_table_read_the_frame_and_mark_what_cannot_be():
    given = world(0.6, noise=0.001)
    asked = [
        spec(WEIGHTED, "grid/measure=property"),
        spec(WEIGHTED | {"sample.keep_states": ["TX"]}, "grid/lost/measure=property"),
    ]
    frame = reporting_break_even(given, asked)
    rows = break_even_rows(frame, ("property",))
    assert len(rows) == len(GROUPS)
    quarter = row(rows, group="non_citizen")
    found = row(frame, group="non_citizen", risk_ratio=1.0, rate_ratio=1.0, end="conf_high")
    assert quarter["break_even_high"] == found["break_even"] and not quarter["possible"]
    even = frame[(frame["risk_ratio"] == 1.0) & (frame["rate_ratio"] == 1.0)]
    wanted = [int((~even.loc[even["group"] == group, "possible"]).sum()) for group in GROUPS]
    assert wanted[1] == 0 < wanted[2]
    table = break_even_table(frame, measures=("property",))
    marked = table.cells.filter(like="change in reporting").iloc[0]
    assert [text.count("†") for text in marked] == wanted
    assert any("Not estimated: lost" in note for note in table.notes)
    drawn = break_even_plot(rows, note="n")
    # One line an input that is on the scale, in either direction, and the line of no change.
    inputs = load_inputs()
    changes = [one.under_limits for one in inputs.of("reporting_change") if one.holds_for("property")]
    lines = [
        line for line in drawn.axes[0].lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    at = {round(float(line.get_xdata()[0]), 6) for line in lines}
    reach = drawn.axes[0].get_xlim()[1]
    assert {round(100 * change, 6) for change in changes if 100 * change <= reach} <= at


def test_tables_print_what_the_frames_hold():
    given = world(0.4, noise=0.01)
    asked = [spec(WEIGHTED, "grid/measure=property")]
    left = reporting_implied(reporting_break_even(given, asked))
    table = implied_table(left, measures=("property",))
    assert len(table.cells) == int(left["nearest"].sum())
    beside = reporting_yardsticks(
        given, asked, offences=("murder", "motor_vehicle_theft", "larceny", "property")
    )
    assert len(yardstick_table(beside, measures=("property",)).cells) == 2
    shown = yardstick_rows(beside)
    assert shown["measure"].tolist() == ["murder", "motor_vehicle_theft", "larceny"], (
        "sums of offences are not single ones"
    )
    assert yardstick_plot(shown).axes
    printed = inputs_table().cells
    assert (
        len(printed) == len(load_inputs().inputs)
        and printed["Reading"].str.contains("from memory").sum() == 1
    )
    with pytest.raises(StudyError, match="no row of the design 'elsewhere'"):
        implied_table(left, variant="elsewhere")
    with pytest.raises(TableError, match="reporting_break_even lacks group"):
        break_even_rows(
            pd.DataFrame({"spec": ["a"]}).assign(**dict.fromkeys(set(BREAK_EVEN) - {"spec", "group"}, 0))
        )

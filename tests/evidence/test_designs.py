"""What a definition can carry, a walk through designs, and who identifies an estimate: counted by hand on tiny panels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import estimate, panel, spec

from analysis.base.errors import StudyError
from analysis.base.records import Geography
from analysis.design.design import make_design
from analysis.estimation import aggregate, fit
from analysis.evidence.designs import DESIGNS, added, capability, identifying, ladder, who_identifies
from analysis.report.figures import event_frame, event_plot

MAIN = {"covariates.names": []}


def with_neighbours(given, pairs):
    both = [*pairs, *((b, a) for a, b in pairs)]
    neighbours = pd.DataFrame(both, columns=["county_fips", "neighbour_fips"])
    return replace(given, geography=Geography(neighbours=neighbours))


def test_capability_says_who_identifies_and_why_not():
    # Three adopters and five others in each of eight states; Washington moved as a whole and has no comparisons.
    given = with_neighbours(panel(), [("17001", "17007"), ("17003", "19007"), ("19001", "19003")])
    table = capability(given, ["policy_full", "state_law", "dhs_2025"], spec(MAIN)).set_index(
        ["definition", "design"]
    )
    assert table.index.get_level_values("design").unique().tolist() == list(DESIGNS)
    full = table.loc["policy_full"]
    between = full.loc["between states"]
    assert between["verdict"] == "identified"
    assert (between["treated_counties"], between["treated_identifying"], between["states_identifying"]) == (
        24,
        24,
        8,
    )
    assert between["reason"] == "24 treated counties of 24 in 8 states, 1 cohort"
    within = full.loc["within states"]
    # Washington's three have nobody left at home.
    assert (within["treated_identifying"], within["states_identifying"]) == (21, 7) and "WA" not in within[
        "states"
    ]
    assert within["verdict"] == "identified" and within["comparison_counties"] == 35
    border = full.loc["along borders"]
    # Two adopters touch a county that never adopts; the third pair holds two adopters.
    assert (border["treated_identifying"], border["states"]) == (2, "IL")
    assert border["verdict"] == "descriptive"
    assert (
        border["reason"]
        == "rule 7: not informative, 2 treated counties, fewer than 20 and 1 state, fewer than 6"
    )
    assert full.loc["whole states", "verdict"] == "refused" and "rule 6" in full.loc["whole states", "reason"]
    assert pd.isna(full.loc["whole states", "treated_counties"])
    # There is no California in it.
    assert full.loc["without California", "reason"].startswith("sample.drop_states holds CA; expected")
    lists = table.loc["dhs_2025"]
    assert (lists["verdict"] == "refused").all() and lists["reason"].str.startswith("rule 6").all()
    law = table.loc["state_law"]
    # The invented panel has no state law: nothing is treated, and the reason says so.
    assert (law["verdict"] == "refused").all() and "absorb" in law.loc["within states", "reason"]
    assert "treated" in law.loc["between states", "reason"]


def test_capability_counts_as_the_design_does():
    given = panel()
    for within in ("none", "state"):
        design = make_design(given, spec({"estimator.within": within}))
        found, counted = identifying(design), design.counts().iloc[0]
        assert found.treated == counted["treated_counties"]
        assert found.identifying == counted["identifying_treated"]
        assert len(found.states) == counted["states_identifying"]
        assert " ".join(found.states) == counted["identifying_states"]
        assert (found.comparison, found.cohorts) == (counted["comparison_counties"], counted["cohorts"])


def test_urban_classes_without_comparison_do_not_identify():
    given = panel()
    table = given.table.copy()
    alone = table["county_fips"].isin(["17001", "17003", "19001"])
    table["urban_class"] = np.where(alone, "large_central_metro", table["urban_class"])
    made = {"classes": spec({"estimator.within": "urban_class"})}
    row = capability(replace(given, table=table), ["policy_full"], made).iloc[0]
    assert (row["treated_counties"], row["treated_identifying"], row["states_identifying"]) == (24, 21, 8)
    nobody = table.assign(
        urban_class=np.where(table["county_fips"].str[-3:].isin(["001", "003", "005"]), "a", "b")
    )
    row = capability(replace(given, table=nobody), ["policy_full"], made).iloc[0]
    assert row["verdict"] == "refused" and "0 treated counties of 24" in row["reason"]


def test_records_that_end_cut_the_window_and_too_few_take_no_verdict():
    given = panel()
    policies = given.policies[given.policies["state"].isin(["IL", "IA", "MN", "NC", "WI"])]
    few = replace(given, policies=policies.reset_index(drop=True))
    row = capability(few, ["policy_full"], {"between": spec()}).iloc[0]
    assert row["verdict"] == "descriptive"
    assert (
        row["reason"]
        == "rule 7: not informative, 15 treated counties, fewer than 20 and 5 states, fewer than 6"
    )
    row = capability(given, ["declines_5"], {"between": spec()}).iloc[0]
    assert row["window"] == "2010-2015"
    by_county = spec({"inference.by": "county"})
    row = capability(given, ["policy_full"], {"between": by_county}).iloc[0]
    assert row["verdict"] == "descriptive" and "rule 12" in row["reason"]


def test_border_designs_need_a_map_and_keep_to_the_side_asked_for():
    given = with_neighbours(panel(), [("17001", "17007"), ("17003", "19007")])
    border = {
        "estimator.name": "border_pairs", "estimator.effects": "segment_by_year", "estimator.method": "post",
        "estimator.weights": "none",
    }  # fmt: skip
    for side, count in (("all", 2), ("same_state", 1), ("other_state", 1)):
        design = make_design(given, spec(border | {"estimator.neighbours": side}))
        assert identifying(design).identifying == count
    with pytest.raises(StudyError, match="neighbours"):
        identifying(make_design(panel(), spec(border)))
    # A neighbour that adopts later stands for those not yet treated, and for nobody where only the never treated do.
    policies = given.policies.copy()
    policies.loc[policies["county_fips"].eq("19001"), ["date", "year"]] = ["2015-06-15", 2015]
    late = with_neighbours(replace(panel(), policies=policies), [("17001", "19001")])
    for comparison, count in (("not_yet_treated", 1), ("never_treated", 0)):
        design = make_design(late, spec(border | {"treatment.comparison": comparison}))
        assert identifying(design).identifying == count


def test_a_walk_names_what_each_step_adds_and_who_is_left():
    given = panel()
    specs = {
        "two-way": spec({"estimator.name": "two_way", "estimator.effects": "county_year", "estimator.weights": "none"}),
        "group-time": spec(),
        "within states": spec({"estimator.within": "state"}),
    }  # fmt: skip
    designs = {step: make_design(given, one) for step, one in specs.items()}
    estimates = {step: aggregate(fit(design), over="post") for step, design in designs.items()}
    table = ladder(estimates, designs).set_index("step")
    assert table.loc["two-way", "adds"] == ""
    assert table.loc["within states", "adds"] == "within: none to state"
    assert (
        table.loc["group-time", "adds"]
        == "estimator: two_way to group_time_att; no effects; method: outcome_regression"
    )
    for step, one in estimates.items():
        row, line = table.loc[step], one.table.iloc[0]
        assert row["estimate"] == line["estimate"] and row["conf_low"] == line["conf_low"]
        assert row["percent_of_baseline"] == pytest.approx(100 * line["estimate"] / one.baseline)
        assert row["effective_clusters"] == pytest.approx(one.glance()["effective_clusters"].item())
    # Washington stays in the sample and identifies nothing within states.
    assert table.loc["within states", ["treated_in_sample", "n_treated", "n_states"]].tolist() == [24, 21, 7]
    assert table.loc["group-time", ["treated_in_sample", "n_treated", "n_states"]].tolist() == [24, 24, 8]
    assert table["n_comparison"].tolist()[1:] == [35, 35]
    assert ladder(estimates)["treated_in_sample"].isna().all()
    with pytest.raises(StudyError, match="step 'all' has"):
        ladder({"all": fit(designs["group-time"])})
    assert added(specs["two-way"], specs["two-way"].replace({"title": "Another"})) == ""


def test_shares_by_state_by_hand():
    one = estimate(spec(), 1.0, treated_per_state=4, states=3)
    # Illinois counts double.
    treated = one.treated.copy()
    treated[np.asarray(one.counties.str[:2] == "17") & (treated[:, 0] > 0)] *= 2
    found = who_identifies(replace(one, treated=treated))
    assert found.table["state"].tolist() == ["IL", "IA", "MN"]
    assert found.table["share"].tolist() == pytest.approx([0.5, 0.25, 0.25])
    assert found.table["n_treated"].tolist() == [4, 4, 4] and found.table["weight"].tolist() == [
        8.0,
        4.0,
        4.0,
    ]
    assert (found.largest, found.largest_share) == ("IL", 0.5)
    assert found.effective_states == pytest.approx(1 / (0.25 + 2 * 0.0625))
    nobody = who_identifies(replace(one, treated=np.zeros_like(treated)))
    assert nobody.table.empty and np.isnan(nobody.effective_states)


# --- event studies side by side


def dynamic(name, **keys):
    plain = {"estimator.name": name, "estimator.within": "none", "estimator.weights": "none", **keys}
    return fit(make_design(panel(), spec(plain)))


def test_leads_of_imputation_carry_their_own_mark_beside_other_estimators():
    estimates = [
        dynamic("group_time_att", **{"estimator.method": "outcome_regression"}),
        dynamic("stacked"),
        dynamic("imputation"),
    ]
    rows = event_frame(estimates)
    own = rows[rows["own_base"].astype(bool)]
    assert own["estimate_label"].unique().tolist() == ["imputation, between states"]
    assert sorted(own["event_time"]) == [-2, -1]
    figure = event_plot(estimates)
    axes = figure.axes[0]
    half = [line for line in axes.lines if line.get_fillstyle() == "left"]
    assert sum(len(line.get_xdata()) for line in half) == 2
    # Three shapes, and an open mark of the reference for each of the two that have one.
    open_marks = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert len(open_marks) == 2 and all(line.get_ydata()[0] == 0 for line in open_marks)
    full = {
        line.get_marker()
        for line in axes.lines
        if line.get_marker() not in ("None", "", None) and line not in open_marks
    }
    assert len(full) == 3
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "lead on a base of its own" in labels and "reference year, zero by definition" in labels
    # Without the mark a second base is a second base.
    bare = estimates[2].table.assign(term=[f"t={t}" for t in estimates[2].table["event_time"]])
    with pytest.raises(StudyError, match="rule 13"):
        event_plot([estimates[0], replace(estimates[2], table=bare)])
    alone = event_plot([estimates[0]])
    labels = [text.get_text() for legend in alone.legends for text in legend.get_texts()]
    assert "lead on a base of its own" not in labels


def test_ten_estimators_have_ten_shapes_and_an_eleventh_is_refused():
    one = dynamic("group_time_att", **{"estimator.method": "outcome_regression"})
    names = [f"estimator {i}" for i in range(11)]
    figure = event_plot([one] * 10, names[:10])
    shapes = {line.get_marker() for line in figure.axes[0].lines} - {"None", "", None}
    assert len(shapes) == 10
    with pytest.raises(StudyError, match="11 event studies"):
        event_plot([one] * 11, names)

"""Labels made anew and bounds of real designs, on an invented panel whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, INDEPENDENT, spec
from evidence_cases import panel as eight_states
from matplotlib.text import Text

from analysis.base.errors import SpecError, StudyError
from analysis.design.design import make_design
from analysis.design.treatment import assign_treatment
from analysis.estimation.panel_inference.misclassified import label_effects, label_influence
from analysis.evidence.checks.misclassified import (
    BESIDE,
    HOW,
    Failed,
    Reduced,
    breakdown_shares,
    definition_disagreement,
    misclassification_bounds,
    move_dates,
    reduce_design,
    reduce_specs,
    relabel,
    relabelled_at_random,
    relabelled_on_purpose,
    simex_frame,
    without_unverified,
)
from analysis.evidence.runs import one_effect
from analysis.report import misclassified_figures as report

BARE = {"covariates.names": [], "estimator.weights": "none"}
WITHIN = BARE | {"estimator.within": "state"}
TWO_WAY = BARE | {"estimator.name": "two_way", "estimator.effects": "county_year"}
BY_STATE = TWO_WAY | {"estimator.effects": "state_by_year"}
WEIGHTED = {"covariates.names": [], "estimator.weights": "population_baseline"}
YEARS = {"sample.years": [2010, 2015]}
PROPERTY = {"measures": ["property"]}


def panel(seed: int = 1, effect: float = 50.0):
    """The invented panel without Washington, whose unlisted counties are no comparisons: 21 listed, 35 others."""
    given = eight_states(seed, effect=effect)
    table = given.table[given.table["state"] != "WA"].reset_index(drop=True)
    policies = given.policies[given.policies["state"] != "WA"].reset_index(drop=True)
    return replace(given, table=table, constant=table, policies=policies)


def documented(seed: int = 1):
    """The invented panel with recorded declines: of each state's three listed counties the first two are on record, and
    one county without a limit is."""
    given = panel(seed)
    fips = sorted(given.table["county_fips"].unique())
    by_state = pd.Series(fips).groupby([f[:2] for f in fips]).apply(list)
    found = [f for counties in by_state for f in (counties[0], counties[1], counties[5])]
    rows = pd.DataFrame({"county_fips": found})
    rows = rows.assign(
        state=rows["county_fips"].map(given.table.drop_duplicates("county_fips").set_index("county_fips")["state"]),
        year=2013, declined=20, other_outcomes=5.0, decline_share=0.8, n_facilities=1, share_biased_down=False,
    )  # fmt: skip
    rows = rows.astype({"year": "Int64", "declined": "Int64", "n_facilities": "Int64"})
    return replace(given, declines=rows)


# --- one number a county


@pytest.mark.parametrize("changes", [BARE, WEIGHTED, WITHIN, TWO_WAY, BY_STATE])
def test_without_covariates_a_design_and_its_reduction_are_one(changes):
    found = reduce_design(make_design(panel(), spec(changes)))
    value, low, high = found.interval()
    assert value == pytest.approx(found.headline, rel=1e-9)
    assert (found.left_out, int(found.listed.sum())) == (0, 21) and low < value < high


@pytest.mark.parametrize("changes", [BARE, WITHIN])
def test_the_interval_of_the_reduction_is_that_of_the_design(changes):
    design = make_design(panel(), spec(changes))
    line = one_effect(design).table.iloc[0]
    assert reduce_design(design).interval()[1:] == pytest.approx(
        (line["conf_low"], line["conf_high"]), rel=1e-6
    )


def test_another_base_year_keeps_its_distance_from_the_comparison():
    # One county had a partial limit from 2011 on: its base is 2010, and the design gives it its own change.
    given = panel()
    partial = given.policies.iloc[[0]].assign(
        direction="limit_partial", date="2011-05-01", year=2011, event="D2-early"
    )
    given = replace(given, policies=pd.concat([given.policies, partial], ignore_index=True))
    design = make_design(given, spec(BARE))
    found = reduce_design(design)
    assert found.interval()[0] == pytest.approx(one_effect(design).table["estimate"].item(), rel=1e-9)
    assert found.listed.sum() == 21


def test_a_state_whose_comparisons_end_early_is_compared_until_then():
    given = panel()
    law = given.policies.iloc[[0]].assign(
        definition_source="D7",
        level="state",
        state="WI",
        county_fips=None,
        date="2016-01-01",
        year=2016,
        event="D7-1",
    )
    given = replace(given, policies=pd.concat([given.policies, law], ignore_index=True))
    design = make_design(given, spec(WITHIN | {"sample.balance": "all_but_two"}))
    found = reduce_design(design)
    assert found.listed.sum() == 21
    wide = design.table.pivot(index="county_fips", columns="year", values="outcome")
    inside = wide[wide.index.str.startswith("55")]
    expected = inside[[2014, 2015]].mean(axis=1) - inside[2012]
    got = pd.Series(found.outcome, index=found.counties)
    assert got[inside.index].to_numpy() == pytest.approx(expected.to_numpy())


def test_what_cannot_be_one_number_says_why_and_keeps_its_rows():
    ones = [spec(BARE, "bare"), spec(BARE | {"estimator.name": "imputation"}, "imputed")]
    found = reduce_specs(panel(), ones, **PROPERTY)
    assert isinstance(found[0], Reduced) and isinstance(found[1], Failed)
    with pytest.raises(SpecError, match="changes who is compared"):
        reduce_design(make_design(panel(), ones[1]))
    for frame in (misclassification_bounds, breakdown_shares):
        rows = frame(panel(), ones, **PROPERTY)
        assert rows.loc[rows["spec"] == "imputed", "failure"].str.contains("changes who is compared").all()
    assert reduce_specs(panel(), ones, measures=["murder"]) == []


def test_contributions_are_those_of_a_regression():
    rng = np.random.default_rng(4)
    y, d, w = rng.normal(size=30), np.arange(30) % 3 == 0, rng.uniform(1, 5, 30)
    value, parts = label_influence(y, d, w)
    same, others = label_influence(y, d, w, others=np.ones((30, 1)))
    assert value == pytest.approx(same) and parts == pytest.approx(others)
    # The influence is the derivative in the weight of a county.
    for i in (0, 1, 29):
        more = w.copy()
        more[i] *= 1 + 1e-6
        slope = (label_effects(y, d, more)[0] - value) / 1e-6
        assert parts[i] == pytest.approx(slope, abs=1e-5)


# --- bounds and corrections


def test_bounds_of_designs():
    table = misclassification_bounds(
        panel(), [spec(WITHIN, "in"), spec(BY_STATE, "by")], shares=(0.0, 0.1, 0.3), **PROPERTY
    )
    rows = table[(table["spec"] == "in") & (table["assumption"] == "arbitrary")]
    for _, part in rows.groupby("which"):
        assert part["low"].is_monotonic_decreasing and part["high"].is_monotonic_increasing
        assert part.iloc[0][["low", "high"]].tolist() == pytest.approx([part["estimate"].iloc[0]] * 2)
    wide = rows[rows["share"] == 0.3].set_index("which")
    assert wide.loc["both", "low"] <= wide[["low"]].min().item() + 1e-9
    plain = table[(table["spec"] == "in") & (table["assumption"] == "unrelated")].set_index("share")
    assert plain.loc[0.1, "low"] == pytest.approx(plain.loc[0.0, "low"] / 0.8)
    assert plain.loc[0.3, "conf_high"] == pytest.approx(plain.loc[0.0, "conf_high"] / 0.4)
    assert plain.loc[0.1, "percent_low"] == pytest.approx(
        100 * plain.loc[0.1, "low"] / plain.loc[0.1, "baseline"]
    )
    # A third of 21 and of 35 labels wrong, unrelated to outcomes, would mean more than any such labels can give.
    assert plain.loc[0.0, "possible"] and not plain.loc[0.3, "possible"]
    assert wide.loc["both", "high"] < plain.loc[0.3, "low"]
    other = table[(table["spec"] == "by") & (table["assumption"] == "arbitrary")]
    assert len(other) == 1 and "weights of a regression move" in other["failure"].item()


def test_breakdowns_of_designs():
    ones = [spec(BARE, "across"), spec(WITHIN, "within"), spec(BY_STATE, "by-state")]
    table = breakdown_shares(panel(effect=5.0), ones, **PROPERTY).set_index(["spec", "which"])
    across = table.loc[("across", "listed")]
    assert 1 <= across["counties"] <= 21 and across["share_of_counties"] == across["counties"] / 21
    # Alike, a county in part saves less than one county.
    assert across["counties"] - 1 < 21 * across["share_of_weight"] <= across["counties"]
    assert table.loc[("across", "either"), "counties"] <= across["counties"]
    assert (
        pd.isna(table.loc[("within", "listed"), "counties"])
        and 0 < table.loc[("within", "listed"), "share_of_weight"] < 1
    )
    assert table.loc[("by-state", "listed"), "counties"] >= 1


def test_a_matched_comparison_is_read_as_a_regression():
    made = spec(CROSS_SECTION | INDEPENDENT, "matched")
    given = documented()
    found = reduce_design(make_design(given, made))
    table = make_design(given, made).table
    x = np.column_stack([table["treated"], np.ones(len(table)), table["hispanic"]]).astype(float)
    expected = np.linalg.lstsq(x, table["outcome"].to_numpy(), rcond=None)[0][0]
    assert found.effects(found.listed)[0] == pytest.approx(expected)
    rows = misclassification_bounds(given, [made], **PROPERTY)
    assert len(rows) == 1 and "weights of a regression" in rows["failure"].item()


def test_corrections_take_the_other_definition_for_the_truth():
    table = simex_frame(documented(), [spec(BARE, "one")], draws=40, **PROPERTY)
    assert table["beside"].tolist() == list(BESIDE)
    row = table[table["beside"] == "declines_share25"].iloc[0]
    # A third of the listed is not on record; one of each state's five others is.
    assert (row["not_treated"], row["missed"]) == pytest.approx((7 / 21, 7 / 35))
    assert row["undiluted"] == pytest.approx(row["estimate"] / (1 - 7 / 21 - 7 / 35))
    assert (row["false_positive"], row["false_negative"]) == pytest.approx((7 / 35, 7 / 21))
    assert row["estimate"] < row["quadratic"] < row["undiluted"] and -1 < row["quadratic_left"] < 0
    again = simex_frame(documented(), [spec(BARE, "one")], draws=40, **PROPERTY)
    pd.testing.assert_frame_equal(table, again)


# --- labels made anew


def test_disagreement_counts_the_same_counties_either_way():
    table = definition_disagreement(
        documented(), spec(BARE), ["policy_full", "declines_share25"], lists=["dhs_2025"]
    ).set_index(["definition", "beside"])
    one, back = table.loc[("policy_full", "declines_share25")], table.loc[("declines_share25", "policy_full")]
    counts = ["treated", "treated_both", "treated_not", "untreated_treated"]
    assert one[counts].tolist() == [21, 14, 7, 7]
    assert (back["treated_both"], back["treated_not"], back["untreated_treated"]) == (14, 7, 7)
    assert one["jaccard"] == back["jaccard"] == pytest.approx(14 / 28)
    assert one["share_not_treated"] == pytest.approx(7 / 21) and one["share_missed"] == pytest.approx(7 / 35)
    # The county off the record is the third of each state, of 60,000 residents beside 20,000 and 40,000.
    assert one["share_not_treated_residents"] == pytest.approx(0.5)
    # Declines of 2013 and policies of June 2013 both count from 2014 on.
    assert (one["dated_both"], one["same_year"]) == (14, 14)
    assert table.loc[("policy_full", "dhs_2025"), "descriptive"] and not one["descriptive"]


def test_relabelling_moves_exactly_the_counties_that_differ():
    given, one = documented(), spec(BARE)
    listed = assign_treatment(given, one)
    recorded = assign_treatment(given, one.replace({"treatment.definition": "declines_share25", **YEARS}))
    before = listed.table.set_index("county_fips")["status"]
    other = recorded.table.set_index("county_fips")["status"]
    for how, options in HOW.items():
        made = relabel(listed, recorded, **options).table.set_index("county_fips")
        moved = before.index[made["status"] != before]
        expected = set()
        if options.get("leave"):
            expected |= set(before.index[(before == "treated") & (other == "comparison")])
        if options.get("enter"):
            expected |= set(before.index[(before == "comparison") & (other == "treated")])
        assert set(moved) == expected, how
        assert made.loc[made["status"] == "comparison", "cohort"].isna().all()
        assert made.loc[made["status"] == "treated", "cohort"].eq(2014).all()
        assert made["last_year"].isna().all()  # the end of the records is no repeal
    assert listed.table.set_index("county_fips")["status"].equals(before)


def test_counties_without_a_source_of_their_own_leave():
    given = panel()
    events = given.policies.assign(verified=np.arange(len(given.policies)) % 3 > 0)
    listed = assign_treatment(replace(given, policies=events), spec(BARE))
    made = without_unverified(listed).table
    assert made["status"].eq("treated").sum() == 14
    assert made.loc[made["status"] == "treated", "verified"].all()


def test_labels_on_the_wrong_counties_dilute_and_the_right_ones_bring_the_effect_back():
    given = documented()
    table = relabelled_on_purpose(given, [spec(BARE, "one")], beside=["declines_share25"], **PROPERTY)
    rows = table.set_index("relabelling")
    assert (rows.loc["as_listed", ["left", "entered", "dates_moved"]] == 0).all()
    assert (
        rows.loc["as_listed", "estimate"] == pytest.approx(50, abs=8)
        and (rows["as_listed"] == rows.loc["as_listed", "estimate"]).all()
    )
    both = rows.loc["both"]
    # Of the labels, 14 of 21 are right, and of the 35 others 7 were affected: 50 (14 / 21 - 7 / 35).
    assert (both["left"], both["entered"]) == (7, 7) and both["estimate"] == pytest.approx(
        50 * (14 / 21 - 7 / 35), abs=8
    )
    assert (
        rows.loc["listed_not_observed", "n_treated"] == 14
        and rows.loc["observed_not_listed", "n_treated"] == 28
    )
    assert (
        not rows.loc["listed_not_observed", "informative"] and rows.loc["observed_not_listed", "informative"]
    )
    assert rows.loc["a_year_later", "dates_moved"] == 21 == rows.loc["a_year_earlier", "dates_moved"]
    # Too early by a year: 2013, in which nothing had happened yet, is one of five years after.
    assert rows.loc["a_year_earlier", "estimate"] == pytest.approx(40, abs=8)
    assert (rows["failure"] == "").all() and rows.loc["as_listed", "percent"] == pytest.approx(
        100 * rows.loc["as_listed", "estimate"] / rows.loc["as_listed", "baseline"]
    )


def test_a_design_that_new_labels_leave_empty_keeps_its_row():
    given = documented()
    gone = given.declines[given.declines["county_fips"].isin([])]
    table = relabelled_on_purpose(
        replace(given, declines=gone), [spec(BARE, "one")], beside=["declines_share25"], **PROPERTY
    )
    row = table[table["relabelling"] == "listed_not_observed"].iloc[0]
    assert row["failure"] and np.isnan(row["estimate"]) and np.isfinite(row["as_listed"])


def test_errors_at_random_dilute_as_the_shares_say():
    table = relabelled_at_random(documented(), [spec(BARE, "one")], draws=400, **PROPERTY)
    rows = table.set_index(["beside", "scheme"])
    row = rows.loc[("declines_share25", "anywhere")]
    # The list is the truth here; a label is right with the shares of the list after errors.
    kept = 21 * (1 - row["not_treated"])
    listed = kept + 35 * row["missed"]
    right, missed = kept / listed, 21 * row["not_treated"] / (56 - listed)
    assert row["mean"] == pytest.approx(row["estimate"] * (right - missed), abs=1.5)
    within = rows.loc[("declines_share25", "within_states")]
    # In each state, 3 labels on 8 counties, a third of them on one of the other five.
    assert within["mean"] == pytest.approx(within["estimate"] * (2 / 3 - 1 / 5), abs=1.5)
    assert (table["q2.5"] <= table["q50"]).all() and (table["q50"] <= table["q97.5"]).all()
    assert rows.loc[("unverified", "anywhere"), "std"] == 0 and within["movable"] == 1
    assert (table["per"] == "counties").all()  # counties count alike
    weighted = relabelled_at_random(documented(), [spec(WEIGHTED, "one")], draws=5, **PROPERTY)
    assert set(weighted["per"]) == {"counties", "weight"}


def test_dates_move_by_whole_years_and_laws_stay():
    moved = move_dates(panel().policies, 1)
    assert moved["date"].eq("2014-06-15").all() and moved["year"].eq(2014).all()


# --- figures and tables


@pytest.fixture(scope="module")
def frames():
    given = documented()
    ones = [spec(BARE, "headline/measure=property"), spec(WITHIN, "headline/within-states/measure=property")]
    ones.append(spec(BARE | {"estimator.name": "imputation"}, "headline/border/measure=property"))
    return {
        "bounds": misclassification_bounds(given, ones, **PROPERTY),
        "breakdowns": breakdown_shares(given, ones, **PROPERTY),
        "random": relabelled_at_random(given, ones, draws=20, **PROPERTY),
        "purpose": relabelled_on_purpose(given, ones, **PROPERTY),
        "disagreement": definition_disagreement(given, spec(BARE)),
    }


def test_the_figure_of_bounds_holds_designs_with_bounds_and_says_what_turns_them(frames):
    rows = report.bounds_rows(frames["bounds"], frames["breakdowns"])
    assert list(dict.fromkeys(rows["design"])) == ["Across states", "Within states"]
    figure = report.bounds_plot(rows, {"property": "property crime"})
    texts = [text.get_text() for text in figure.findobj(Text)]
    zero = frames["breakdowns"].set_index(["spec", "which"])
    needed = zero.loc[("headline/measure=property", "listed"), "counties"]
    assert f"zero with {needed} of 21\nlisted counties" in texts
    share = zero.loc[("headline/within-states/measure=property", "listed"), "share_of_weight"]
    said = f"zero with {100 * share:.0f} % of listed\nresidents of each state"
    assert (said in texts) if np.isfinite(share) else ("no share brings it to zero" in texts)
    with pytest.raises(StudyError, match="no bounds"):
        report.bounds_plot(rows.iloc[:0])


def test_relabelled_estimates_are_drawn_in_per_cent(frames):
    rows = report.relabelled_rows(frames["random"])
    first = frames["random"].iloc[0]
    assert rows.iloc[0]["q50"] == pytest.approx(100 * first["q50"] / first["baseline"])
    # Every listed county has a source of its own here: there is nothing to draw of it.
    assert not rows["source"].eq("without a source of their own").any()
    assert len(report.relabelled_plot(rows).axes) == 2
    with pytest.raises(StudyError, match="no relabelled"):
        report.relabelled_plot(rows.iloc[:0])


def test_tables_print_what_their_frames_hold(frames):
    table = report.relabelling_table(frames["purpose"], {"property": "property crime"})
    row = frames["purpose"].query("relabelling == 'both'").iloc[0]
    cells = table.cells[table.cells["Labels"] == "Both"].iloc[0]
    assert cells["off / on / moved"] == "7 / 7 / 0" and cells["Treated"] == "21"
    assert cells["Property crime"].startswith(f"{row['percent']:.1f} (")
    off = table.cells[table.cells["Labels"].str.startswith("Listed, not observed")].iloc[0]
    assert off["Property crime"].endswith("§")
    apart = report.disagreement_table(frames["disagreement"])
    pair = (
        frames["disagreement"].query("definition == 'policy_full' and beside == 'declines_share25'").index[0]
    )
    assert apart.cells.loc[pair, "first alone, %"] == "33.3 (50.0)"
    assert apart.selection is not None and pair in apart.selection
    assert apart.cells["Beside"].str.endswith("†").sum() == 12

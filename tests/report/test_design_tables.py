"""Tables of the panel designs say what the results say: verdicts, families of tests, groups, who identifies."""

from __future__ import annotations

import re

import design_cases as cases
import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.estimation.panel_inference.families import holm
from analysis.evidence.matches import NOT_ESTIMATED
from analysis.evidence.verdict import NO_VERDICT, NOT_INFORMATIVE
from analysis.report import design_numbers as say
from analysis.report import design_tables as of
from analysis.report.match_tables import MARKS

LABELS = {"violent_ex_rape": "violent crime excluding rape", "property": "property crime"}


@pytest.fixture(scope="module")
def results():
    return cases.results()


def test_every_variation_of_the_specs_has_a_name_and_a_group(results):
    for family in (of.DESIGNS, of.FIRST_STAGES, of.MIRROR, of.RINGS):
        rows = of.design_rows(results, family)
        assert not set(rows["variant"]) - set(of.LABELS), family
        assert set(rows["group"]) <= set(of.GROUPS)
        # One name a group: two designs under one name could not be told apart.
        named = rows.drop_duplicates("variant")[["group", "label"]]
        assert not named.duplicated().any(), family
    assert set(of.design_rows(results, of.RAPE)["variant"]) == set(of.HANDLED)
    known = set(of.design_rows(results, of.DESIGNS)["variant"])
    assert set(of.STEPS) <= known
    assert {of.span_of(v)[1] for v in of.design_rows(results, of.REGIMES)["variant"]} <= known


def test_groups_follow_what_treated_areas_are_compared_with(results):
    rows = of.design_rows(results, of.DESIGNS).drop_duplicates("variant").set_index("variant")["group"]
    assert rows["two-way"] == of.ALL and rows["poisson-state"] == of.STATES
    assert rows["adjusted-doubly-robust"] == rows["matched-did"] == rows["imputation-trends"] == of.ALIKE
    assert rows["group-time-class"] == of.CLASSES and rows["before-after"] == of.ALONE
    assert rows["border-same-state"] == of.BORDERS


def test_verdicts_are_those_of_the_precision_and_silent_where_there_is_none(results):
    rows = of.design_rows(results, of.ERRORS)
    by_county = rows[rows["by"] == "county"]
    enough = by_county["informative"]
    assert (by_county.loc[enough, "verdict"] == NO_VERDICT).all() and enough.any()
    assert (by_county.loc[~enough, "verdict"] == NOT_INFORMATIVE).all()
    refused = of.design_rows(results, of.DESIGNS)
    refused = refused[refused["failure"] != ""]
    assert len(refused) == 4 and (refused["verdict"] == NOT_ESTIMATED).all()


def test_a_table_prints_each_estimate_once_with_its_own_mark(results):
    made = of.designs_table(results)
    assert len(made.frame) == len(of.design_rows(results, of.DESIGNS))
    row = of.design_rows(results, of.DESIGNS)
    row = row[
        (row["variant"] == "two-stage") & (row["measure"] == "property") & (row["california"] == "out")
        & (row["weights"] == "population_baseline")
    ].iloc[0]  # fmt: skip
    at = made.cells.index[(made.cells["Design"] == "two-stage") & (made.cells["Averaged"] == "by residents")]
    shown = made.cells.loc[at[0], "Property, without"]
    assert shown.startswith(f"{row['percent']:.1f}".replace("-", "−")) and shown.endswith(
        MARKS[row["verdict"]]
    )
    assert made.notes[-1].endswith("0 counties touch an adopter.")
    # The paper prints the main weights, and count models, which have no others.
    assert set(made.cells.loc[list(made.selection), "Averaged"]) == {"by residents", "counties alike"}
    alike = made.cells.loc[list(made.selection)]
    assert alike.loc[alike["Averaged"] == "counties alike", "Design"].str.contains("Poisson").all()


def test_the_ladder_measures_each_step_from_the_one_before(results):
    f = of.ladder_frame(results)
    here = f[(f["measure"] == "violent_ex_rape") & (f["california"] == "in")]
    assert here["step"].tolist() == list(range(1, len(of.STEPS) + 1))
    assert here["change"].iloc[1] == pytest.approx(here["percent"].iloc[1] - here["percent"].iloc[0])
    assert np.isnan(here["change"].iloc[0])
    short = results[~results["spec"].str.contains("two-by-two|border-same-state")]
    assert of.ladder_frame(short)["step"].max() == len(of.STEPS) - 2


def test_families_of_offences_hold_single_offences_alone(results):
    f = of.offences_frame(results, cases.no_families())
    assert f.loc[f["offence"].isin(of.SUMS), "p_holm"].isna().all()
    one = f[
        (f["definition"] == "policy_full") & (f["comparison"] == "within") & (f["california"] == "out")
        & (f["weights"] == "none") & ~f["offence"].isin(of.SUMS)
    ]  # fmt: skip
    assert len(one) == one["tests"].iloc[0] == 7
    np.testing.assert_allclose(one["p_holm"], holm(one["p_value"].to_numpy()))
    drawn = pd.DataFrame({"spec": [one["spec"].iloc[0]], "p_romano_wolf": [0.0123]})
    again = of.offences_frame(results, drawn)
    assert [of.adjusted_p(r) for r in again[again["p_romano_wolf"].notna()].to_dict("records")] == [0.0123]
    assert any("Romano and Wolf" in note for note in of.offences_table(results, drawn, LABELS).notes)
    assert any("(Holm)" in note for note in of.offences_table(results, cases.no_families(), LABELS).notes)


def test_regimes_stand_beside_the_plain_design_of_the_same_name(results):
    f = of.regimes_frame(results)
    two_way = f[(f["design"] == "two-way") & (f["measure"] == "property") & (f["california"] == "in")]
    assert set(two_way["span"]) == set(of.SPANS)
    plain = two_way.loc[two_way["span"] == "plain", "spec"].iloc[0]
    assert plain.startswith(f"{of.DESIGNS}/two-way/")
    assert not (f["weights"].eq("none") & f["estimator"].ne("poisson")).any()


def test_placebos_are_told_apart_by_years_moved(results):
    f = of.placebo_frame(results)
    assert list(dict.fromkeys(f["kind"])) == [
        "Adoption 1 year earlier",
        "Adoption 2 years earlier",
        "Adoption 3 years earlier",
        "Another outcome",
    ]
    other = f[f["kind"] == "Another outcome"]
    assert set(other["measure"]) == {"unemployment_rate", "poverty_rate", "median_household_income"}


@pytest.mark.parametrize(
    ("make", "family"),
    [
        (lambda r: of.errors_table(r, LABELS), of.ERRORS),
        (lambda r: of.offences_table(r, cases.no_families(), LABELS), of.OFFENCES),
        (of.first_stages_table, of.FIRST_STAGES),
        (of.mirror_table, of.MIRROR),
        (lambda r: of.placebo_table(r, LABELS), of.PLACEBO),
        (lambda r: of.single_table(r, LABELS), of.SINGLE),
        (lambda r: of.rape_table(r, LABELS), of.RAPE),
    ],
)
def test_a_table_holds_every_specification_and_prints_every_estimate(results, make, family):
    made = make(results)
    wanted = of.design_rows(results, family)
    assert sorted(made.frame["spec"]) == sorted(wanted["spec"])
    printed = made.cells.to_numpy(dtype=str)
    assert not (printed == "nan").any()
    weighted = of.main_weights(wanted) if family == of.OFFENCES else wanted
    shown = sum(bool(re.search(r"\d to [−\d]", text)) for row in printed for text in row)
    assert shown == weighted["estimate"].notna().sum()


def test_rings_stand_beside_the_border_designs(results):
    made = of.rings_table(results)
    families = made.frame["spec"].str.split("/").str[0]
    assert set(families) == {of.RINGS, of.DESIGNS}
    assert set(made.frame.loc[families == of.DESIGNS, "group"]) == {of.BORDERS, of.ALL}
    ring = made.frame[made.frame["exposed"] == "neighbours"]
    assert set(ring["asked"]) == {"Neighbours of adopters: what moved across"}


def test_capability_counts_its_verdicts_and_prints_what_could_not_be_counted_as_missing():
    made = of.capability_table(cases.capability())
    assert "2 identified, 2 descriptive, 2 refused" in made.notes[0]
    refused = made.cells[made.cells["Verdict"] == "refused"]
    assert (refused["Treated with a comparison"] == "–").all()
    assert made.cells["Treated with a comparison"].iloc[0] == "60 of 62"


def test_a_column_the_results_lack_is_named(results):
    with pytest.raises(TableError, match="frame designs lacks effective_clusters"):
        of.designs_table(results.drop(columns="effective_clusters"))
    with pytest.raises(TableError, match="frame capability lacks reason"):
        of.capability_table(cases.capability().drop(columns="reason"))


def test_sentences_count_what_the_tables_hold(results):
    said = say.phrases(results, cases.no_families(), cases.capability(), LABELS)
    assert all(text and "nan" not in text for text, _ in said.values())
    f = of.offences_frame(results, cases.no_families())
    tests = f[f["tests"] > 0]
    assert (
        f"{len(tests)} tests of single offences {(tests['p_value'] < 0.05).sum()} have" in said["offences"][0]
    )
    first = of.main_weights(of.design_rows(results, of.FIRST_STAGES))
    first = first[(first["measure"] == "declined_detainers") & (first["california"] == "in")]
    assert f"Over {len(first)} designs" in said["first_stages"][0]
    shifted = results.assign(conf_low=results["conf_low"] + 1e4, percent_low=1.0, percent_high=2.0)
    none, every = said["placebo"][0], say.placebo_sentence(shifted)
    assert none != every and all(a == b for a, b in _fractions(every))


def test_sentences_say_so_where_nothing_was_estimated(results):
    empty = results.iloc[0:0]
    for text, _ in say.phrases(empty, cases.no_families(), cases.capability(), LABELS).values():
        assert text and "nan" not in text


def _fractions(text: str) -> list[tuple[str, str]]:
    return re.findall(r"(\d+) of (\d+) intervals", text)


# --- checks
# ----------------------------------------------------------------------------------------------------


def test_the_range_without_a_state_leaves_out_what_could_not_be_made():
    table = of.left_out_table(cases.left_out())
    row = table.frame[(table.frame["measure"] == "property") & (table.frame["by"] == "state")].iloc[0]
    # Iowa could not be made: the range is of the other two, in per cent of a mean of 400.
    assert row["percent_low"] == pytest.approx(2.5) and row["percent_high"] == pytest.approx(4.5)
    assert row["lowest_without"] == "CA" and row["highest_without"] == "OR" and row["not_estimated"] == 1
    assert row["jackknife"] == pytest.approx(1.5) and row["error"] == pytest.approx(0.75)


def test_bounds_are_printed_in_per_cent_and_missing_ones_say_why():
    table = of.trends_table(cases.trend_checks())
    first, second = table.cells.to_dict("records")
    assert (
        first["Interval"] == "0.2 to 1.8"
        and first["twice"] == "−1.5 to 3.5"
        and first["p of leads"] == "0.040"
    )
    assert second["twice"] == "–" and any("rank 2" in note for note in table.notes)


def test_a_coefficient_that_cannot_be_decomposed_says_why():
    table = of.weights_table(cases.regression_weights())
    first, second = table.cells.to_dict("records")
    assert first["Weight on treated already"] == "0.030" and second["Weight on treated already"] == "–"
    assert any("rule 14" in note for note in table.notes)

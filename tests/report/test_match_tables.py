"""Tables, sentences and figures of the matched comparisons: every estimate carries its verdict, and no county is named."""

from __future__ import annotations

import re

import pandas as pd
import pytest
import report_cases as cases
from matplotlib.colors import to_hex

from analysis.base.errors import StudyError
from analysis.evidence import matches as of
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE
from analysis.report import match_numbers, match_tables, tables
from analysis.report.method_figures import balance_frames, methods_plot, methods_rows
from analysis.report.outputs import make_output

ROWS, REACHED = cases.matches(), cases.match_balance()
LABELS = {
    "violent_ex_rape": "violent crime excluding rape",
    "property": "property crime",
    "total": "total crime",
}


def made():
    strengths = of.e_values(ROWS, REACHED)
    return {
        "table-10": match_tables.methods_table(ROWS, REACHED),
        "table-11": match_tables.definitions_builds_table(ROWS),
        "table-12": match_tables.years_table(ROWS),
        "table-13": match_tables.classes_table(ROWS, REACHED),
        "table-14": match_tables.covariates_table(ROWS, REACHED),
        "table-15": match_tables.economy_table(ROWS, LABELS),
        "table-16": match_tables.placebo_table(ROWS, LABELS),
        "table-17": match_tables.did_table(ROWS, LABELS),
        "table-18": match_tables.hidden_table(cases.hidden_bias(), strengths, LABELS),
        "table-19": match_tables.size_table(cases.match_size(), LABELS),
    }


MADE = made()


def cells(name, **where):
    found = MADE[name].cells
    for column, value in where.items():
        found = found[found[column.replace("_", " ")] == value]
    return found


@pytest.mark.parametrize(
    ("verdict", "mark"),
    [
        (DIFFERENT, " *"),
        (EQUIVALENT, " ="),
        (INCONCLUSIVE, ""),
        (NOT_INFORMATIVE, " §"),
        (NO_VERDICT, " ‡"),
        (of.NOT_ESTIMATED, ""),
    ],
)
def test_every_verdict_has_its_mark_and_the_note_explains_it(verdict, mark):
    assert match_tables.mark({"verdict": verdict}) == mark
    assert mark.strip() in match_tables.MARKS_NOTE


def test_an_unknown_verdict_is_not_passed_over():
    with pytest.raises(KeyError):
        match_tables.cell({"percent": 1.0, "percent_low": 0.5, "percent_high": 2.0, "verdict": "significant"})


def test_methods_hold_a_row_each_with_counts_balance_and_errors():
    printed = cells("table-10")
    assert len(printed) == len(cases.METHODS) + 2 and len(MADE["table-10"].frame) == 3 * len(printed)
    alone = cells("table-10", Errors="independent counties").iloc[0]
    assert all(alone[column].endswith("‡") for column in ("Violent excl. rape", "Property", "Total"))
    # 0.7 x 0.04 for each place in the list of methods.
    assert cells("table-10", Method="full matching")["Largest difference"].item() == "0.08"
    assert cells("table-10", Method="full matching")["Worth"].item() == "41"
    model = cells("table-10", Method="regression adjustment").iloc[0]
    assert model["Largest difference"] == "–" and model["Treated"] == "60"
    failed = cells("table-10", Method="augmented, bootstrap of states").iloc[0]
    assert failed["Property"] == "–" and "75 of 499 resamples" in " ".join(MADE["table-10"].notes)
    assert "valid if counties were assigned independently" in " ".join(MADE["table-10"].notes)


def test_definitions_cross_builds_and_the_paper_leaves_out_what_is_not_informative_alone():
    table = MADE["table-11"]
    assert len(table.cells) == 3 * 3
    listed = table.cells.iloc[3:6]
    assert all(text.endswith("‡") for text in listed["Property"])
    assert table.selection == (0, 1, 2, 3, 4, 5)
    printed = tables.cells_of(table)
    assert len(printed["rows"]) == 6 and printed["notes"][-1].startswith("6 of 9 rows")
    assert "§" in tables.to_markdown(table) and "§" not in str(printed["rows"])


def test_years_take_2015_from_the_definitions_and_name_what_is_missing():
    printed = cells("table-12")
    assert printed["Year"].tolist() == ["2012", "2015", "2016"]
    assert printed["Rape"].tolist() == ["–", "−6.0 (−15.0 to 3.0)", "4.0 (−16.0 to 24.0)"]
    assert "documented full decline in 2012" in " ".join(MADE["table-12"].notes)
    assert not MADE["table-12"].frame["build"].isin(["county_population", "county_agencies"]).any()


def test_signs_by_class_are_counted_against_the_published_ones_and_called_exploratory():
    pattern = match_tables.sign_patterns(ROWS).iloc[0]
    # Invented: + - + - + -; published: - + + - - -.
    assert pattern["signs"] == "+ − + − + −" and pattern["published"] == "− + + − − −"
    assert (pattern["alike"], pattern["known"], pattern["informative"]) == (3, 6, 0)
    assert cells("table-13")["Sign here"].tolist() == pattern["signs"].split()
    assert all(text.endswith("§") for text in cells("table-13")["Total"])
    assert "exploratory" in MADE["table-13"].title
    said = match_numbers.classes_sentence(ROWS)
    assert "alike in 3 of 6" in said and "of these 6 estimates 0 are informative" in said


def test_sets_of_covariates_stand_by_vintage():
    printed = cells("table-14")
    assert printed[["Set", "Covariates of"]].values.tolist() == [
        ["A", "2006-10"], ["", "2009-15"], ["D", "2006-10"], ["", "2009-15"],
    ]  # fmt: skip
    assert "at most 1.5 points" in match_numbers.covariates_sentences(ROWS, LABELS)


def test_the_economy_is_in_its_own_unit_and_per_cent_of_the_mean():
    income = cells("table-15").iloc[0]
    assert income["Difference, dollars or points"] == "40 (−360 to 440)"
    assert income["% of the comparison mean"] == "2.0 (−18.0 to 22.0)"
    shown = MADE["table-15"].frame.iloc[list(MADE["table-15"].selection)]
    assert set(shown["window"]) == {"2015"} and set(shown["definition"]) == {"policy_full"}


def test_placebo_stands_beside_the_same_definition_and_outcome_of_2015():
    frame = match_tables.placebo_frame(ROWS)
    assert set(frame["window"]) == {"2008", "2015"} and set(frame["build"]) == {"policed", "none"}
    assert not frame["definition"].eq("doj_2025").any() and not frame["measure"].eq("rape_revised").any()
    own = cells("table-16", Definition="Documented full decline")
    assert own[["2008", "2015"]].values.tolist()[0] == ["−3.0 (−23.0 to 17.0)", "−6.0 (−15.0 to 3.0)"]
    share = match_numbers.placebo_share(ROWS)
    assert "3 differences of 2008 have the sign of that of 2015, and 3 lie inside" in share


def test_matched_changes_say_what_was_matched_on_and_warn_of_leads():
    printed = cells("table-17")
    assert printed["Matched on"].tolist()[::2] == [
        "covariates", "outcomes of the last 3 years", "nothing (group-time effects)",
    ]  # fmt: skip
    warned = printed["Verdict"].str.endswith("†")
    assert warned.tolist() == [False, False, True, True, False, False]
    assert not MADE["table-17"].frame["definition"].eq("policy_any").any()
    assert "p of the leads 0.01 to 0.40" in match_numbers.did_sentences(ROWS, LABELS)


def test_hidden_bias_carries_no_verdict_and_says_when_it_is_valid():
    table = MADE["table-18"]
    assert set(table.cells[""]) == {NO_VERDICT}
    assert "valid if counties were assigned independently" in table.notes[0]
    first = table.cells.iloc[0]
    assert (first["Critical Γ"], first["p without bias"]) == ("1.27", "0.010")
    assert first["Interval, Γ = 2"] == "−50.0 to 180.0"
    assert table.frame["note"].str.contains("carries no verdict").all()
    weighted = table.cells[table.cells["Method"] == "entropy balancing of means"].iloc[0]
    assert weighted["Critical Γ"] == "–" and weighted["E-value"] != "–"


def test_size_is_marked_simulated_and_independent_errors_are_marked():
    table = MADE["table-19"]
    assert "SIMULATED" in table.title and "SIMULATED" in table.notes[0]
    assert table.cells["Errors"].tolist() == ["by state", "Abadie-Imbens ‡"]
    assert table.cells["Property: average held"].tolist() == ["93 %", "70 %"]
    assert table.cells["Property: truth held"].tolist() == ["83 %", "60 %"]
    said = match_numbers.size_sentence(cases.match_size(), LABELS)
    assert (
        "state-level inference, intervals hold the estimator's own average in 93 % and the truth in 83 %"
        in said
    )
    assert (
        "independent, intervals hold the estimator's own average in 70 %" in said and "by +4.2 % of" in said
    )
    few = cases.match_size()
    few.loc[few["independent"], ["draws", "coverage_of_mean"]] = [10, 1.0]
    assert "100 %" not in match_numbers.size_sentence(few, LABELS)
    assert "was not measured" in match_numbers.size_sentence(cases.match_size().iloc[:0], LABELS)


def test_an_empty_simulation_leaves_an_empty_table():
    empty = match_tables.size_table(cases.match_size().iloc[:0], LABELS)
    assert empty.cells.empty and tables.to_markdown(empty)


def test_a_selection_repeats_the_label_of_a_row_left_out():
    frame = pd.DataFrame({"x": range(4)})
    columns = [("Who", "l", 1.0, ["a", "", "b", ""]), ("X", "r", 1.0, ["1", "2", "3", "4"])]
    chosen = tables.build("T", frame, columns, [], selection=[1, 2, 3])
    assert tables.cells_of(chosen)["rows"] == [["a", "2"], ["b", "3"], ["", "4"]]
    assert tables.to_csv(chosen.frame).count("\n") == 5
    with pytest.raises(StudyError, match="beyond its 4 rows"):
        tables.build("T", frame, columns, [], selection=[4])


def test_intervals_that_carry_no_verdict_are_not_counted():
    rows = pd.DataFrame([cases.matched_row("match_methods", "total", 30.0, 5.0, verdict=v) for v in
                         (DIFFERENT, NO_VERDICT, NOT_INFORMATIVE)])  # fmt: skip
    assert match_numbers.excluding(rows) == "1 of 1 interval excludes zero"
    said = match_numbers.methods_sentences(ROWS, LABELS)
    assert "other errors" not in said and said.count("\n") == 2
    assert match_numbers.effect(dict(rows.iloc[2])).endswith("not informative)")


def test_sentences_hold_both_ends_of_intervals_and_keep_to_the_words_of_the_protocol():
    text = "\n".join(
        [
            match_numbers.methods_sentences(ROWS, LABELS),
            match_numbers.exclusion_sentence(ROWS, LABELS),
            match_numbers.definitions_sentences(ROWS, LABELS),
            match_numbers.years_sentence(ROWS, LABELS),
            match_numbers.placebo_sentences(ROWS, LABELS),
            match_numbers.economy_sentence(ROWS, LABELS),
            match_numbers.balance_sentence(ROWS, REACHED),
        ]
    )
    assert "at 95 % the data exclude" in text and "full declines −6.0 % (−15.0 to 3.0)" in text
    assert not re.search(r"naive|survive|sanctuary|significant|nan", text)
    assert "dhs" not in text and "Homeland" not in text


def test_hollow_marks_are_those_that_take_counties_as_independent():
    rows = methods_rows(ROWS, REACHED)
    figure = methods_plot(rows, LABELS, note="A note.")
    marks = [
        line for axes in figure.axes for line in axes.lines
        if line.get_marker() in ("o", "^", "D", "s") and len(line.get_xdata()) == 1 and axes.get_title(loc="left")
    ]  # fmt: skip
    known = rows["percent"].notna().sum()
    hollow = [line for line in marks if to_hex(line.get_markerfacecolor()) == "#ffffff"]
    assert len(marks) == known and len(hollow) == rows["independent"].astype(bool).sum() == 3
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words.count("not estimated") == 3
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "valid if counties were assigned independently: no verdict" in labels
    with pytest.raises(StudyError, match="no estimate of any method"):
        methods_plot(rows.assign(percent=float("nan")))


def test_balance_is_drawn_for_methods_that_make_a_sample():
    frames = balance_frames(REACHED, "property")
    assert "regression adjustment" not in frames and "full matching" in frames
    with pytest.raises(StudyError, match="no balance of a method for 'rape'"):
        balance_frames(REACHED, "rape")


@pytest.mark.parametrize("name", ["figure-8", "figure-9", "figure-10", "figure-11"])
def test_no_county_is_named_in_what_is_committed(tmp_path, name):
    context = cases.context(tmp_path)
    files = make_output(name, context)
    text = next(path for path in files if path.suffix == ".csv").read_text()
    areas = context.get("matched_sample").areas["county_fips"]
    assert not any(re.search(rf"\b{code}\b", text) for code in areas)
    assert not (
        set(pd.read_csv(files[2]).columns) & {"county_fips", "treated", "comparison", "x0", "probability"}
    )
    assert not list(context.paths.panel.glob("*")) if context.paths.panel.exists() else True

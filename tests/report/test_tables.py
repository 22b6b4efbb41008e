"""Tables: three twins of one record, columns that add up, words that follow the frame."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pandas as pd
import pytest
import report_cases as cases

from analysis.base.errors import StudyError
from analysis.report import tables, words


def test_twins_hold_the_same_cells():
    made = tables.headline_table(cases.headline())
    markdown, latex = tables.to_markdown(made), tables.to_latex(made, "table-6")
    body = [line for line in markdown.splitlines() if line.startswith("| ")][1:]
    assert len(body) == len(made.cells) == latex.count(r"\\") - 1 - max(0, len(made.notes) - 1)
    assert latex.count("&") == (len(made.cells) + 1) * (made.cells.shape[1] - 1)
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in latex
    assert "%" not in latex.replace(r"\%", "").split("\n", 1)[1]


def test_csv_reads_back_to_the_same_values():
    frame = cases.headline()
    again = pd.read_csv(io.StringIO(tables.to_csv(frame)))
    assert again["estimate"].tolist()[1:3] == frame["estimate"].tolist()[1:3]
    assert again["estimate"].isna().tolist() == frame["estimate"].isna().tolist()


def test_attrition_adds_up_whatever_its_dropped_column_counts():
    made = tables.attrition_table(cases.attrition())
    for _, rows in made.frame.groupby("spec"):
        assert rows["dropped"].sum() == rows["county_years"].iloc[0] - rows["county_years"].iloc[-1]


def test_definitions_count_every_area_once():
    status = cases.status(cases.panel())
    frame = tables.definitions_frame(status)
    areas = status.groupby("definition").size()
    total = frame.set_index("definition")[["n_treated", "n_comparison", "n_excluded"]].sum(axis=1)
    assert (total == areas[total.index]).all()
    law = frame.set_index("definition").loc["state_law"]
    assert law["within"] == "refused" and law["n_states"] > 0


def test_coverage_never_exceeds_the_residents():
    table = cases.panel()
    made = tables.coverage_table(
        table, {"violent_ex_rape": "violent crime excluding rape", "property": "property crime"}
    )
    assert made.frame["share"].max() <= 1
    first = made.frame[(made.frame["measure"] == "property") & (made.frame["year"] == 2010)].iloc[0]
    here = table[table["year"] == 2010]
    assert first["policed"] == pytest.approx(here[["policed_property", "population"]].min(axis=1).sum())


def test_missing_and_unpublished_are_words_not_numbers():
    cells = tables.headline_table(cases.headline()).cells
    first = cells.iloc[0]
    assert first["Estimate"] == "no size stated" and first["Interval"] == "not published"
    assert words.MISSING in set(cells["Compared"])
    assert "nan" not in tables.to_markdown(tables.headline_table(cases.headline())).lower()


def estimate(name, measure, value):
    table = pd.DataFrame([{"estimate": value, "conf_low": value - 1, "conf_high": value + 1}])
    flat = {"estimator.name": name, "outcome.measure": measure}
    return SimpleNamespace(
        table=table, estimator=name, outcome=measure, spec=SimpleNamespace(flat=lambda: flat)
    )


def test_table_lays_estimates_out_and_refuses_to_hide_one():
    grid = [estimate("two_way", "property", 2.0), estimate("matched_difference", "violent", 3.0)]
    made = tables.table(grid, rows="estimator", columns="outcome")
    assert made.loc["two way", "property"] == "2.00 (1.00 to 3.00)"
    assert made.loc["two way", "violent"] == words.MISSING
    with pytest.raises(StudyError, match="two estimates for"):
        tables.table([*grid, estimate("two_way", "property", 5.0)])
    with pytest.raises(StudyError, match="did you mean estimator"):
        tables.table(grid, rows="estimater")


def test_html_table_shows_title_and_notes():
    html = tables.html_table(tables.first_stage_table(cases.first_stage())).as_raw_html()
    assert "First stage" in html and "half a year" in html

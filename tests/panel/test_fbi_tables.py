"""FBI Tables 8 and 10: what the sheets' traps must not do, what is refused, what the real files hold."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, StudyError, TableError
from analysis.panel.sources import fbi_tables
from analysis.panel.sources.fbi_sheet import blank, read_notes, workbook_rows
from analysis.panel.sources.fbi_tables import (
    parse_state_pages,
    parse_table8,
    parse_table10,
    read_agency_tables,
    read_state_pages,
)
from analysis.panel.sources.fbi_totals import identity_exceptions, rows_with_data

PROPERTY = ["Property\ncrime", "Burglary", "Larceny-\ntheft", "Motor\nvehicle\ntheft"]
VIOLENT = ["Violent \ncrime", "Murder and\nnonnegligent\nmanslaughter"]
LEGACY = [*VIOLENT, "Forcible \nrape", "Robbery", "Aggravated \nassault", *PROPERTY, "Arson1"]
BOTH = [
    *VIOLENT,
    "Rape\n(revised\ndefinition)1",
    "Rape\n(legacy\ndefinition)2",
    "Robbery",
    "Aggravated\nassault",
]
BOTH = [*BOTH, *PROPERTY, "Arson3"]
REVISED = [*VIOLENT, "Rape1", "Robbery", "Aggravated\nassault", *PROPERTY, "Arson2"]

#           violent murder rape robbery assault property burglary larceny theft arson
QUIET = [6.0, 0.0, 1.0, 2.0, 3.0, 9.0, 2.0, 4.0, 3.0, ""]
LOUD = [16.0, 1.0, 3.0, 5.0, 7.0, 90.0, 20.0, 40.0, 30.0, 2.0]
WITHHELD = ["", 1.0, " ", 5.0, 7.0, 90.0, 20.0, 40.0, 30.0, 0.0]

NOTES = [
    ["1 The FBI prints arson for 12 months of data alone."],
    ["2 Because of changes in reporting practices, figures are not comparable to previous years' data."],
    ["3  The agency's data were overreported.  Consequently, those data are not included in this table."],
    ["4Due to an annexation, population and figures may not be comparable to previous years' data."],
]


def sheet8(body, year=2010, offences=LEGACY, notes=NOTES, title="by State by City, {} "):
    return [["Table 8"], [title.format(year)], ["State", "City", "Population", *offences], *body, *notes]


def sheet10(body, year=2010, offences=LEGACY, notes=NOTES):
    title = f"by State by Metropolitan and Nonmetropolitan Counties, {year}"
    return [
        ["Table 10"],
        [title, "", " "],
        ["[Not county totals.]"],
        ["State", "County", *offences],
        *body,
        *notes,
    ]


BODY8 = [
    ["OHIO", "Elm", 900.0, *QUIET],
    ["", "Oak Falls2, 3", 1_900_000, *WITHHELD],
    ["UTAH4 ", "Alpha/Beta", 800.0, *QUIET],
    ["", "Camp 3", 70.0, *LOUD],
]


# --- what the traps must not do --------------------------------------------------------------------


def test_digits_leave_names_and_their_texts_reach_the_rows():
    table = parse_table8(sheet8(BODY8), 2010).agencies
    assert table["agency_name"].tolist() == ["Elm", "Oak Falls", "Alpha/Beta", "Camp 3"]
    assert table["state"].tolist() == ["OH", "OH", "UT", "UT"]
    assert table["footnotes"].isna().tolist() == [True, False, False, False]
    assert "not comparable" in table["footnotes"][1] and "overreported" in table["footnotes"][1]
    assert table["not_comparable"].tolist() == [False, True, True, True], (
        "a state's footnote holds for its agencies"
    )
    assert table["row"].tolist() == [4, 5, 6, 7]


def test_blank_is_missing_and_zero_is_zero():
    row = parse_table8(sheet8(BODY8), 2010).agencies.iloc[1]
    assert np.isnan(row["violent"]) and np.isnan(row["rape_legacy"]) and np.isnan(row["rape_revised"])
    assert row["arson"] == 0.0 and row["population"] == 1_900_000.0


def test_values_follow_labels_not_positions():
    plain = parse_table8(sheet8(BODY8), 2010).agencies
    rows = sheet8(BODY8)
    turned = [[*row[:2], *row[2:][::-1], "", " "] if len(row) == 13 else row for row in rows]
    pd.testing.assert_frame_equal(parse_table8(turned, 2010).agencies, plain)


def test_a_header_that_moves_down_is_found():
    rows = sheet8(BODY8)
    moved = [*rows[:2], [" "], [""], *rows[2:]]
    table = parse_table8(moved, 2010).agencies
    pd.testing.assert_frame_equal(
        table.drop(columns="row"), parse_table8(rows, 2010).agencies.drop(columns="row")
    )


@pytest.mark.parametrize(
    ("year", "offences", "cells", "legacy", "revised", "definition"),
    [
        (2012, LEGACY, [1.0], 1.0, None, "legacy"),
        (2012, LEGACY, [""], None, None, "legacy"),
        (2014, BOTH, [1.0, ""], None, 1.0, "revised"),
        (2014, BOTH, ["", 1.0], 1.0, None, "legacy"),
        (2014, BOTH, ["", ""], None, None, None),
        (2014, BOTH, [0.0, 1.0], 1.0, None, "legacy"),
        (2018, REVISED, [1.0], None, 1.0, "revised"),
        (2018, REVISED, [""], None, None, None),
    ],
)
def test_each_definition_of_rape_has_its_column(year, offences, cells, legacy, revised, definition):
    body = [["OHIO", "Elm", 900.0, 6.0, 0.0, *cells, 2.0, 3.0, *QUIET[5:]]]
    row = parse_table8(sheet8(body, year, offences), year).agencies.iloc[0]
    for column, wanted in (("rape_legacy", legacy), ("rape_revised", revised)):
        assert (np.isnan(row[column]) and wanted is None) or row[column] == wanted
    assert row["rape_definition"] == definition or (pd.isna(row["rape_definition"]) and definition is None)


@pytest.mark.parametrize("separator", ["\ue83a", " - ", "-", "–", " -  "])
def test_county_headings_in_every_spelling(separator):
    body = [
        [f"OHIO{separator}Metropolitan Counties2\n", "Elm", *QUIET],
        ["", "Elm County Police Department", *LOUD],
        [f"NEW YORK{separator}Nonmetropolitan Counties ", "Ash", *QUIET],
    ]
    table = parse_table10(sheet10(body), 2010).agencies
    assert table["state"].tolist() == ["OH", "OH", "NY"]
    assert table["metro"].tolist() == ["metropolitan", "metropolitan", "nonmetropolitan"]
    assert table["county_name"].tolist() == ["Elm", "Elm", "Ash"], "sheriff and police stand under one county"
    assert table["agency_name"].nunique() == 3
    assert table["not_comparable"].tolist() == [True, True, False]


def test_a_state_printed_without_data_is_no_agency_and_is_reported():
    body = [["ALABAMA3", *[""] * 11], ["OHIO-Metropolitan Counties", "Elm", *QUIET]]
    read = parse_table10(sheet10(body), 2010)
    assert read.agencies["state"].tolist() == ["OH"]
    assert read.unread[["state", "row"]].values.tolist() == [["AL", 5]]
    assert "overreported" in read.unread["reason"][0]


def test_csv_pages_of_all_three_layouts_read_alike():
    offences = [cell.replace("\n", " ") for cell in LEGACY]
    body = [
        ["Elm", "1,900", *map(str, QUIET)],
        ["Oak Town,\n   Ash\nCounty2", "70", *["" if c == " " else str(c) for c in WITHHELD]],
    ]
    body = [[cell.removesuffix(".0") for cell in row] for row in body]
    pages = {
        2005: [["City", "Population", *offences], *[[cell or " " for cell in row] for row in body]],
        2007: [["City", "Population", *LEGACY], *body],
        2012: [
            ["Criminal Justice Information Services Division", "Feedback |\nContact Us"],
            ["City", "Population", *[cell.replace("\n", "") for cell in LEGACY]],
            *body,
        ],
    }
    read = {year: parse_state_pages({"New_York": rows, "Maine": []}, year) for year, rows in pages.items()}
    for year, result in read.items():
        table = result.agencies
        assert table["agency_name"].tolist() == ["Elm", "Oak Town, Ash County"]
        assert table["population"].tolist() == [1900.0, 70.0] and table["state"].tolist() == ["NY", "NY"]
        assert np.isnan(table["violent"][1]) and table["burglary"][1] == 20.0
        assert "not on the page" in table["footnotes"][1] and not table["not_comparable"].any()
        assert result.unread["reason"].str.contains("0 bytes").sum() == 1
        assert len(result.unread) == (2 if year == 2012 else 1)


def test_tables_meet_the_codebook_and_inputs_are_left_alone():
    rows = sheet8(BODY8)
    before = copy.deepcopy(rows)
    cities, counties = (
        parse_table8(rows, 2010).agencies,
        sheet10([["OHIO-Metropolitan Counties", "Elm", *QUIET]]),
    )
    both = pd.concat([cities, parse_table10(counties, 2010).agencies], ignore_index=True)
    assert validate(both, "agencies").columns.tolist() == list(fbi_tables.COLUMNS)
    assert rows == before


# --- duplicates ------------------------------------------------------------------------------------


def test_one_agency_printed_twice_is_refused():
    body = [["OHIO", "Elm", 900.0, *QUIET], ["", "Elm2", 900.0, *QUIET]]
    with pytest.raises(TableError, match=r"Elm, OH with the same numbers in rows \[4, 5\]"):
        parse_table8(sheet8(body), 2010)


def test_two_agencies_of_one_name_are_kept_and_marked():
    body = [["OHIO", "Elm", 900.0, *QUIET], ["", "Elm2", 500.0, *LOUD], ["UTAH", "Elm", 900.0, *QUIET]]
    table = parse_table8(sheet8(body), 2010).agencies
    assert len(table) == 3
    assert table["footnotes"].str.contains("two agencies of this name").fillna(False).tolist() == [
        True,
        True,
        False,
    ]


def test_a_known_slip_keeps_the_row_of_the_right_heading(monkeypatch):
    monkeypatch.setattr(fbi_tables, "PRINTED_TWICE", {(2010, "10", "OH", "Elm"): "metropolitan"})
    body = [["OHIO-Nonmetropolitan Counties", "Elm", *QUIET], ["OHIO-Metropolitan Counties", "Elm", *QUIET]]
    read = parse_table10(sheet10(body), 2010)
    assert read.agencies["metro"].tolist() == ["metropolitan"]
    assert "printed twice" in read.agencies["footnotes"][0] and read.unread["row"].tolist() == [5]


# --- what is refused -------------------------------------------------------------------------------


def _without(rows, label):
    at = next(i for i, cell in enumerate(rows[2]) if str(cell).startswith(label))
    return [[cell for i, cell in enumerate(row) if i != at] if len(row) > 3 else row for row in rows]


def _renamed(rows, label, new):
    return [*rows[:2], [new if str(cell).startswith(label) else cell for cell in rows[2]], *rows[3:]]


REFUSED = {
    "another year": (sheet8(BODY8, 2011), "says 'by State by City, 2011'.*expected 'by State by City', 2010"),
    "another table": (
        sheet10([["OHIO-Metropolitan Counties", "Elm", *QUIET]]),
        "lacks population.*unknown column 'County'",
    ),
    "another title": (sheet8(BODY8, title="by Country by City, {}"), "expected 'by State by City'"),
    "missing column": (_without(sheet8(BODY8), "Robbery"), "lacks robbery"),
    "renamed column": (
        _renamed(sheet8(BODY8), "Burglary", "Break-ins"),
        "lacks burglary; has unknown column 'Break-ins'",
    ),
    "column twice": (_renamed(sheet8(BODY8), "Burglary", "Robbery"), "has the column robbery twice"),
    "columns of another year": (sheet8(BODY8, offences=REVISED), "lacks rape_legacy; has rape_revised"),
    "no header": (sheet8(BODY8)[3:], "no header row"),
    "empty sheet": ([["", " "], []], "is empty"),
    "no row at all": ([], "is empty"),
    "no agency": (sheet8([]), "a header and no agency"),
    "negative count": (sheet8([["OHIO", "Elm", 900.0, -6.0, *QUIET[1:]]]), "violent is -6.*row 4"),
    "fraction": (sheet8([["OHIO", "Elm", 900.5, *QUIET]]), "population is 900.5"),
    "text in a count": (sheet8([["OHIO", "Elm", 900.0, "6 2", *QUIET[1:]]]), "violent is '6 2'"),
    "a dash in a count": (sheet8([["OHIO", "Elm", 900.0, "-", *QUIET[1:]]]), "violent is '-'"),
    "no name": (sheet8([["OHIO", "", 900.0, *QUIET]]), "figures without an agency's name.*row 4"),
    "no state": (sheet8([["", "Elm", 900.0, *QUIET]]), "'Elm' under no state"),
    "unknown state": (sheet8([["OIHO", "Elm", 900.0, *QUIET]]), "heading 'OIHO'"),
    "state twice": (sheet8([*BODY8, ["OHIO", "Fir", 9.0, *QUIET]]), "heads OH cities twice"),
    "text on the right": (sheet8([["OHIO", "Elm", 900.0, *QUIET, "", "x"]]), "right of its last column"),
    "a digit without text": (
        sheet8([["OHIO", "Elm9", 900.0, *QUIET]]),
        r"'Elm9' ends in footnote digits of which \[9\]",
    ),
    "a line below the notes": (
        sheet8(BODY8, notes=[*NOTES, ["See also Table 9"]]),
        "has 'See also Table 9' below its footnotes",
    ),
    "a footnote number skipped": (sheet8(BODY8, notes=[*NOTES, ["6 Limited data."]]), "without a gap"),
    "a footnote number twice": (
        sheet8(BODY8, notes=[*NOTES, ["4 Limited data."]]),
        "two texts for footnote 4",
    ),
    "rape in both columns": (
        sheet8([["OHIO", "Elm", 900.0, 6.0, 0.0, 2.0, 1.0, *QUIET[3:]]], 2010, BOTH),
        "has rape_revised",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_sheet_is_refused_with_what_and_where(case):
    rows, message = REFUSED[case]
    with pytest.raises(StudyError, match=message) as refusal:
        parse_table8(rows, 2010, "2010.xls")
    assert refusal.value.wanted and "2010.xls" in str(refusal.value)


def test_both_counts_of_rape_are_refused_unless_the_total_tells():
    body = [["OHIO", "Elm", 900.0, 6.0, 0.0, 2.0, 1.0, *QUIET[3:]]]
    with pytest.raises(TableError, match="both counts of rape"):
        parse_table8(sheet8(body, 2014, BOTH), 2014)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["OHIO3", "Elm", *QUIET]], "'Elm' under OH alone"),
        ([["OHIO - Rural Counties", "Elm", *QUIET]], "heading 'OHIO - Rural Counties'"),
        ([["OHIO-Metropolitan Counties", "Elm", *QUIET]] * 2, "twice"),
    ],
)
def test_a_bad_county_heading_is_refused(rows, message):
    with pytest.raises(SourceError, match=message):
        parse_table10(sheet10(rows), 2010)


@pytest.mark.parametrize(
    ("page", "rows", "message"),
    [
        ("Atlantis", [], "'ATLANTIS'"),
        ("Ohio", [["City", "Population", *LEGACY]], "a header and no agency"),
        (
            "Ohio",
            [["Some banner"], ["City", "Population", *LEGACY], ["Elm", "9", *QUIET]],
            "begins with 'Some banner'",
        ),
        ("Ohio", [["City", "Population", *LEGACY], ["Elm", "9", *QUIET[:-1]]], "has 11 cells"),
        ("Ohio", [["City", "Population", *LEGACY], ["", "9", *QUIET]], "without an agency's name"),
        ("Ohio", [["City", "People", *LEGACY], ["Elm", "9", *QUIET]], "lacks population"),
        ("Ohio", [["City", "Population", *LEGACY], ["Elm", "1,90", *QUIET]], "population is '1,90'"),
    ],
)
def test_a_bad_page_is_refused(page, rows, message):
    with pytest.raises(StudyError, match=message):
        parse_state_pages({page: rows}, 2012)


def test_a_file_that_is_no_workbook_is_refused(tmp_path):
    path = tmp_path / "2010.xls"
    path.write_text("<html>not found</html>")
    with pytest.raises(SourceError, match=r"2010.xls cannot be read as a workbook"):
        workbook_rows(path)


# --- the real files --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(raw):
    return read_agency_tables(raw)


@pytest.mark.real
def test_rows_and_sums_are_the_published_ones(tables):
    sums = rows_with_data(tables.agencies).set_index(["year", "table"])
    wanted = {
        (2012, "8"): (9_491, 891_988, 6_442_918),
        (2016, "8"): (9_579, 962_912, 5_835_163),
        (2018, "8"): (9_251, 900_777, 5_227_856),
        (2017, "10"): (2_517, 215_815, 1_368_849),
        (2018, "10"): (2_356, 190_924, 1_178_936),
    }
    assert {key: tuple(sums.loc[key].astype(int)) for key in wanted} == wanted
    assert len(sums) == 30, "both tables, all of 2005-2019"


@pytest.mark.real
def test_the_pages_of_2012_hold_what_the_workbook_of_2012_holds(raw, tables):
    pages = read_state_pages(raw, 2012).agencies
    book = tables.agencies.query("year == 2012 and table == '8'")
    key = ["state", "agency_name"]
    same = ["population", *fbi_tables.COUNTS]
    pd.testing.assert_frame_equal(
        pages.set_index(key)[same].sort_index(), book.set_index(key)[same].sort_index()
    )
    # Digits on agencies are the same; those on whole states stand in the workbook alone.
    noted = book.set_index(key)["footnotes"].notna() & ~pages.set_index(key)["footnotes"].notna()
    assert set(noted[noted].reset_index()["state"]) == {"MN", "NY"}


@pytest.mark.real
def test_every_line_of_every_workbook_is_accounted_for(raw, tables):
    for table, family in (("8", "fbi_table8"), ("10", "fbi_table10")):
        for path in raw.family(family):
            rows, year = workbook_rows(raw.path(path)), int(path[-8:-4])
            header = next(i for i, row in enumerate(rows) if str(row[0]).strip() == "State")
            lines = rows[header + 1 : read_notes(rows, header, path).row]
            filled = sum(any(not blank(cell) for cell in row) for row in lines)
            read = ((tables.agencies["year"] == year) & (tables.agencies["table"] == table)).sum()
            left = ((tables.unread["year"] == year) & (tables.unread["table"] == table)).sum()
            assert filled == read + left, path


@pytest.mark.real
def test_what_is_left_unread_is_known(tables):
    unread = tables.unread[tables.unread["reason"] != "the site's banner"]
    found = set(unread[["year", "table", "state"]].itertuples(index=False, name=None))
    empty, no_data = (
        {(2007, "8", "CT"), (2007, "8", "RI")},
        {(2018, "8", "IA"), (2018, "10", "IA"), (2019, "10", "AL")},
    )
    assert found == empty | no_data | {(2011, "10", "IA"), (2011, "10", "IN")} and len(unread) == 7


@pytest.mark.real
def test_totals_are_the_sums_of_their_parts_but_for_four_slips_of_the_sheets(tables):
    found = identity_exceptions(tables.agencies)
    assert set(
        found[["year", "table", "state", "agency_name", "total"]].itertuples(index=False, name=None)
    ) == {
        (2008, "8", "AK", "Unalaska", "property"),
        (2008, "8", "GA", "Mount Airy", "property"),
        (2013, "10", "CO", "Jackson", "property"),
        (2015, "8", "MI", "Eastpointe", "property"),
    }


@pytest.mark.real
def test_known_agencies_read_as_the_fbi_describes_them(tables):
    agencies = tables.agencies.set_index(["year", "table", "state", "agency_name"]).sort_index()
    chicago = agencies.xs(("8", "IL", "Chicago"), level=["table", "state", "agency_name"])
    assert chicago["violent"].isna().loc[2005:2013].all() and chicago["violent"].notna().loc[2014:].all()
    assert not agencies.reset_index()["agency_name"].str.contains(r"[A-Za-z.]\d").any()
    toledo = agencies.loc[(2017, "8", "OH", "Toledo"), "footnotes"]
    assert toledo.count("Consequently") == 1 and "not comparable" in toledo and "Fire Department" in toledo
    orlando = agencies.xs(("8", "FL", "Orlando"), level=["table", "state", "agency_name"])["not_comparable"]
    assert orlando[2016] and not orlando[2017], "the murders of 2016 hold one incident, the footnote says"
    shares = tables.agencies.query("2013 <= year <= 2016").groupby("year")["rape_definition"]
    assert [round(part.eq("revised").mean(), 2) for _, part in shares] == [0.59, 0.77, 0.87, 0.89]


@pytest.mark.real
def test_a_sheet_under_another_years_name_is_refused(raw):
    path = "fbi/table8/2011.xls"
    rows = workbook_rows(raw.path(path))
    with pytest.raises(SourceError, match="says 'by State by City, 2011'"):
        parse_table8(rows, 2012, path)

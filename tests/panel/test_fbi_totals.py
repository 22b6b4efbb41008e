"""FBI Tables 5, 6 and 11, estimates, city series: layouts, refusals, agreement with published sums."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import SourceError, StudyError, TableError
from analysis.panel.sources.fbi_areas import parse_table6, parse_table11, read_metro, read_other_agencies
from analysis.panel.sources.fbi_tables import read_agencies
from analysis.panel.sources.fbi_totals import (
    correct_rape,
    identity_exceptions,
    national_shares,
    parse_city_series,
    parse_estimates,
    parse_table5,
    read_city_series,
    read_national_estimates,
    read_state_totals,
)

PROPERTY = ["Property\ncrime", "Burglary", "Larceny- \ntheft", "Motor\nvehicle\ntheft"]
VIOLENT = ["Violent\ncrime1", "Murder and \nnonnegligent \nmanslaughter"]
ONE = [*VIOLENT, "Forcible\nrape", "Robbery", "Aggravated \nassault", *PROPERTY]
TWO = [
    *VIOLENT,
    "Rape\n(revised\ndefinition2) ",
    "Rape\n(legacy\ndefinition3)",
    "Robbery",
    "Aggravated\nassault",
]
TWO = [*TWO, *PROPERTY]
FIGURES = [6.0, 0.0, 1.0, 2.0, 3.0, 9.0, 2.0, 4.0, 3.0]
NONE = [""] * 9


# --- Table 5 ----------------------------------------------------------------------------------


def table5(
    body,
    year=2010,
    offences=ONE,
    notes=("1 Figures are not comparable to previous years' data.", "NOTE:  No arson."),
):
    head = ["State", "Area", "", "Population", *offences]
    return [["Table 5"], [f"by State, {year}", " "], head, *body, *[[note] for note in notes]]


BODY5 = [
    ["NEW YORK1", "Metropolitan Statistical Area", "", 1_000_000, *NONE],
    ["", "", "Area actually reporting", 0.96, *FIGURES],
    ["", "", "Estimated total", 1.0, *FIGURES],
    ["", "Cities outside metropolitan areas", "", "None", *NONE],
    ["", "Nonmetropolitan counties", "", 500.0, *NONE],
    ["", "", "Area actually reporting", 1.0, *FIGURES],
    ["", "State Total", "", 1_000_500, *FIGURES],
    ["", "", "Rate per 100,000 inhabitants", "", *[0.6] * 9],
    ["OHIO", "Total", "", 70.0, *["", *FIGURES[1:]]],
]


def test_states_areas_and_bases():
    table = parse_table5(table5(BODY5), 2010)
    assert table[["state", "area", "basis"]].values.tolist() == [
        ["NY", "metropolitan", "reporting"],
        ["NY", "metropolitan", "estimated"],
        ["NY", "nonmetropolitan", "reporting"],
        ["NY", "state", "estimated"],
        ["OH", "state", "estimated"],
    ]
    assert table["population"].tolist() == [1_000_000.0, 1_000_000.0, 500.0, 1_000_500.0, 70.0]
    assert table["not_comparable"].tolist() == [True] * 4 + [False]
    assert np.isnan(table["violent"][4]) and table["rape_revised"].isna().all()


def test_both_definitions_are_read_from_their_columns():
    body = [["OHIO", "State Total", "", 70.0, 7.0, 0.0, 2.0, 1.0, *FIGURES[3:]]]
    row = parse_table5(table5(body, 2015, TWO), 2015).iloc[0]
    assert (row["rape_revised"], row["rape_legacy"]) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table5(BODY5, 2011), "'by State, 2011'"),
        (table5(BODY5, offences=TWO), "has rape_revised"),
        (table5(BODY5, offences=ONE[:-1]), "lacks motor_vehicle_theft"),
        (table5([]), "no state"),
        ([], "is empty"),
        (table5([["OHIO", "Suburbs", "", 9.0, *NONE]]), "an area 'Suburbs'"),
        (
            table5([*BODY5[:1], ["", "", "Area partly reporting", 0.5, *FIGURES]]),
            "a row 'Area partly reporting'",
        ),
        (table5([["OHIO", "State Total", "", 70.0, -1.0, *FIGURES[1:]]]), "violent is -1"),
        (table5([["", *BODY5[0][1:3], 9.0, *FIGURES]]), "figures on the heading"),
        (table5([["OHIO2", "State Total", "", 70.0, *FIGURES]]), "'OHIO2' ends in footnote digits"),
    ],
)
def test_a_bad_state_table_is_refused(rows, message):
    with pytest.raises(StudyError, match=message):
        parse_table5(rows, 2010)


# --- estimates and city series ----------------------------------------------------------------


def estimate(year, state, violent, legacy, revised):
    parts = {"robbery": 4.0, "aggravated_assault": 5.0, "murder": 1.0}
    return {
        "year": year,
        "state": state,
        "violent": violent,
        "rape_legacy": legacy,
        "rape_revised": revised,
        **parts,
    }


@pytest.mark.parametrize(
    ("row", "legacy", "revised", "definition"),
    [
        (estimate(2012, "US", 17.0, 7.0, np.nan), 7.0, np.nan, "legacy"),
        (estimate(2014, "US", 17.0, 7.0, 9.0), 7.0, 9.0, "legacy"),
        (estimate(2015, "US", 17.0, 9.0, 7.0), 7.0, 9.0, "legacy"),
        (estimate(2014, "OH", 19.0, 7.0, 8.0), 7.0, 9.0, "revised"),
        (estimate(2013, "OH", 19.0, 7.0, np.nan), 7.0, 9.0, "revised"),
        (estimate(2016, "OH", 19.0, 9.0, 7.0), 7.0, 9.0, "revised"),
        (estimate(2015, "HI", 19.0, 7.0, 9.0), 7.0, 9.0, "revised"),
    ],
)
def test_columns_of_rape_are_put_right(row, legacy, revised, definition):
    before = pd.DataFrame([row])
    after = correct_rape(before.copy())
    assert after["rape_legacy"][0] == legacy
    assert after["rape_revised"][0] == revised or np.isnan(revised)
    assert after["violent_definition"][0] == definition
    assert before.equals(pd.DataFrame([row]))


def test_columns_of_rape_that_fit_no_total_are_refused():
    with pytest.raises(SourceError, match="rape in OH, 2015 is 3 and 4"):
        correct_rape(pd.DataFrame([estimate(2015, "OH", 19.0, 3.0, 4.0)]))


def raw_estimates(**changes):
    row = {
        "year": 2010,
        "state_abbr": None,
        "population": 9,
        "violent_crime": 17,
        "homicide": 1,
        "rape_legacy": 7,
    }
    row |= {"rape_revised": None, "robbery": 4, "aggravated_assault": 5, "property_crime": 6, "burglary": 1}
    row |= {"larceny": 2, "motor_vehicle_theft": 3, "caveats": None}
    return pd.DataFrame([row, {**row, "state_abbr": "OH", **changes}])


def test_estimates_name_the_nation():
    table = parse_estimates(raw_estimates())
    assert table["state"].tolist() == ["US", "OH"] and table["murder"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (raw_estimates().drop(columns="burglary"), r"lacks \['burglary'\]"),
        (raw_estimates(state_abbr="XX"), r"states \['XX'\]"),
        (raw_estimates(year=2011), "national rows of"),
        (raw_estimates(robbery=-4), "robbery is -4"),
        (raw_estimates().head(0), "has no row"),
    ],
)
def test_bad_estimates_are_refused(table, message):
    with pytest.raises(StudyError, match=message):
        parse_estimates(table)


def test_a_city_twice_in_a_year_is_refused():
    labels = [
        "Violent Crime rate",
        "Murder",
        "Rape",
        "Robbery",
        "Assault",
        "Property",
        "Burglary",
        "Larceny",
        "Vehicular",
    ]
    row = {
        "Agency": "Elm Police Dept",
        "State": "OH",
        "Population": 100_500.0,
        **dict.fromkeys(labels, 1.5),
        "Year": 1990,
    }
    assert parse_city_series(pd.DataFrame([row]))["rate_motor_vehicle_theft"][0] == 1.5
    with pytest.raises(TableError, match="Elm Police Dept twice"):
        parse_city_series(pd.DataFrame([row, row]))


# --- Table 6 ----------------------------------------------------------------------------------

HEAD6 = [
    "Violent\ncrime",
    "Murder and\nnonnegligent\nmanslaughter",
    "Forcible rape",
    "Robbery",
    "Aggravated assault",
]
HEAD6 = [*HEAD6, "Property crime", "Burglary", "Larceny-theft", "Motor vehicle theft"]
TEXTS = ["1,006", "0", "1", "1002", "3", "9", "2", "4", "3"]
LAYOUTS = {
    2004: [
        ["Metropolitan Statistical Area", "Population", *HEAD6, "", " "],
        ["Elm-Oak, OH M.S.A.1, 2", "1,900", *[" "] * 9],
        ["    (Includes Ash,1 Birch, Cedar,"],
        ["    and Oak Counties.)"],
        ["     City of:"],
        ["     Elm2", "800", *TEXTS],
        ["     Total area actually reporting", "90.5%", *TEXTS],
        ["     Estimated total", "100.0%", *TEXTS],
        ["     Rate per 100,000 inhabitants", "", *TEXTS],
    ],
    2005: [
        ["Metropolitan Statistical Area", "Counties/principal cities", "Population", *HEAD6],
        ["Elm-Oak, OH M.S.A.1, 2", "Ash, Birch, Cedar, and Oak Counties", "1,900"],
        ["", "City of Elm2", "800", *TEXTS],
        ["", "Total area actually reporting", "90.5%", *TEXTS],
        ["", "Estimated total", "100.0%", *TEXTS],
        ["", "Rate per 100,000 inhabitants", "", *TEXTS],
    ],
    2010: [
        ["Metropolitan Statistical Area", "Counties/principal cities", "Population", *HEAD6, "", ""],
        ["Elm-Oak, OH M.S.A.1, 2", "", "1,900"],
        ["", "Includes Ash,1 Birch, Cedar, and Oak Counties", ""],
        ["", "City of Elm2", "800", *TEXTS],
        ["", "Total area actually reporting", "90.5%", *TEXTS],
        [" ", "", "", ""],
        ["", "Estimated total", "100.0%", *TEXTS],
        ["", "Rate per 100,000 inhabitants", "", *TEXTS],
    ],
}
NOTES6 = [
    ["1 The agency's data were overreported."],
    ["2 Figures are not comparable to previous years' data,"],
    ["  so to speak."],
]


def table6(year, body=None):
    return [
        ["Table 6"],
        [f"by Metropolitan Statistical Area, {year}"],
        *(body or LAYOUTS[year]),
        *NOTES6,
        ["", ""],
    ]


@pytest.mark.parametrize("year", LAYOUTS)
def test_the_three_layouts_of_metropolitan_areas_read_alike(year):
    table = parse_table6(table6(year), year)
    assert table["basis"].tolist() == ["city", "reporting", "estimated"]
    assert set(table["metro"]) == {"Elm-Oak, OH"} and set(table["counties"]) == {
        "Ash, Birch, Cedar, and Oak Counties"
    }
    assert table["population"].tolist() == [800.0, 1900.0, 1900.0]
    assert table["share_reporting"].tolist()[1:] == [0.905, 1.0] and table["place"][0] == "Elm"
    assert table["violent"].tolist() == [1006.0] * 3 and table["robbery"].tolist() == [1002.0] * 3
    assert table["not_comparable"].all() and table["footnotes"].str.endswith("so to speak.").all()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([*LAYOUTS[2010][:3], LAYOUTS[2010][1], *LAYOUTS[2010][4:]], "prints no total for Elm-Oak"),
        ([LAYOUTS[2010][0], *LAYOUTS[2010][3:]], "'City of Elm' before any area"),
        ([*LAYOUTS[2010][:2], ["", "Something new", ""], *LAYOUTS[2010][2:]], "the line 'Something new'"),
        (
            [*LAYOUTS[2010][:4], ["", "Total area actually reporting", "190.5%", *TEXTS], *LAYOUTS[2010][7:]],
            "'190.5%'",
        ),
        ([*LAYOUTS[2010][:3], ["", "City of Fir", "-800", *TEXTS], *LAYOUTS[2010][4:]], "population is -800"),
        (LAYOUTS[2010][:1], "no area"),
        (LAYOUTS[2004], "lacks places"),
    ],
)
def test_a_bad_metropolitan_table_is_refused(body, message):
    with pytest.raises(StudyError, match=message):
        parse_table6(table6(2010, body), 2010)


def test_a_metropolitan_table_of_another_year_is_refused():
    with pytest.raises(SourceError, match="Area, 2010"):
        parse_table6(table6(2010), 2011)


# --- Table 11 ---------------------------------------------------------------------------------


def table11(body):
    head = ["State", "State/Tribal/Other Agencies", "Unit/Office", *TWO, "Arson3"]
    title = "by State by State, Tribal, and Other Agencies, 2014"
    return [["Table 11"], [title], head, *body, ["1 Limited."], ["2 Not comparable."], ["3 Arson."]]


FIGURES11 = [6.0, 0.0, "", 1.0, 2.0, 3.0, 9.0, 2.0, 4.0, 3.0, 0.0]


def test_units_carry_their_agency_and_its_digits():
    body = [
        ["OHIO–State Agencies1", "State Police:2", "Elm County", *FIGURES11],
        ["", "", "15th District", *FIGURES11],
        ["", "Port 3", "", *FIGURES11],
        ["UTAH—Tribal Agencies", "Fir Nation", "", *FIGURES11],
        ["PUERTO RICO AND OTHER OUTLYING AREAS", "Guam", "", *FIGURES11],
    ]
    table = parse_table11(table11(body), 2014)
    assert table["state"].tolist() == ["OH", "OH", "OH", "UT", "PR"]
    assert table["kind"].tolist() == ["state", "state", "state", "tribal", "outlying"]
    assert table["agency_name"].tolist() == ["State Police", "State Police", "Port 3", "Fir Nation", "Guam"]
    assert table["footnotes"].tolist()[:3] == ["Not comparable.; Limited."] * 2 + ["Limited."]
    assert table["unit"].fillna("").tolist() == ["Elm County", "15th District", "", "", ""]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([["OHIO–Rural Agencies", "Patrol", "", *FIGURES11]], "heading 'OHIO–Rural Agencies'"),
        ([["", "Patrol", "", *FIGURES11]], "figures without an agency"),
        ([["OHIO–State Agencies", "", "", *FIGURES11]], "figures without an agency"),
        ([["OHIO–State Agencies", "Patrol", "Elm", *[""] * 11]], "unit 'Elm' without figures"),
        ([], "no agency"),
    ],
)
def test_a_bad_table_of_other_agencies_is_refused(body, message):
    with pytest.raises(StudyError, match=message):
        parse_table11(table11(body), 2014)


# --- the real files ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def totals(raw):
    return read_state_totals(raw), read_national_estimates(raw)


@pytest.mark.real
def test_national_figures_are_the_published_ones(totals):
    state_totals, estimates = totals
    nation = estimates[estimates["state"] == "US"].set_index("year")
    assert nation.loc[2012, ["violent", "property", "rape_legacy"]].tolist() == [1_217_057, 9_001_992, 85_141]
    assert (nation.loc[2010, "violent"], nation.loc[2010, "property"]) == pytest.approx(
        (1.251e6, 9.11e6), rel=2e-3
    )
    assert nation.loc[2014, "violent"] == 1_153_022
    states = state_totals.query("area == 'state' and state != 'PR'").groupby("year")
    assert (states.size() == 51).all() and len(states) == 12
    assert states["violent"].sum()[2014] == 1_197_987


@pytest.mark.real
def test_the_corrected_rape_columns_are_those_of_the_state_table(totals):
    state_totals, estimates = totals
    table = state_totals.query("area == 'state' and state != 'PR' and year == 2016").set_index("state")
    ours = estimates.query("year == 2016 and state != 'US'").set_index("state").loc[table.index]
    for column in ("violent", "rape_legacy", "rape_revised"):
        assert ours[column].tolist() == table[column].tolist()
    both = estimates.query("2013 <= year <= 2016")
    assert (both["rape_revised"] >= both["rape_legacy"]).all() and both["rape_revised"].notna().all()
    nation = both[both["state"] == "US"]
    parts = nation[["murder", "rape_legacy", "robbery", "aggravated_assault"]].sum(axis=1)
    assert (parts == nation["violent"]).all()


@pytest.mark.real
def test_agencies_hold_the_stated_shares_of_the_nation(raw, totals):
    shares = national_shares(read_agencies(raw), *totals).set_index("year")
    assert shares["benchmark"].tolist() == ["estimates"] * 3 + ["table_5"] * 12
    percent = (100 * shares[["violent_share", "property_share"]]).round(1)
    stated = {
        2005: (88.5, 89.2),
        2006: (86.8, 88.5),
        2007: (87.1, 88.1),
        2018: (87.7, 89.0),
        2019: (84.0, 83.0),
    }
    assert {year: tuple(percent.loc[year]) for year in stated} == stated
    middle = percent.loc[2008:2017]
    assert (middle.min().tolist(), middle.max().tolist()) == ([88.8, 88.2], [92.3, 91.7])


@pytest.mark.real
def test_parts_add_up_in_the_tables_of_totals(raw, totals):
    others = read_other_agencies(raw)
    assert set(others["year"]) == {2013, 2014, 2015}
    assert identity_exceptions(others.assign(table="11")).empty
    states = totals[0].assign(table="5", agency_name="")
    # Where both counts are printed the violent total holds the revised one.
    states["rape_legacy"] = states["rape_legacy"].where(states["year"] <= 2012)
    exceptions = identity_exceptions(states)
    assert (exceptions["printed"] - exceptions["summed"]).abs().le(2).all(), "rounding alone"


@pytest.mark.real
def test_metropolitan_areas_of_every_year(raw, totals):
    metro = read_metro(raw)
    lines = metro[metro["basis"] == "reporting"]
    assert lines["year"].nunique() == 20 and lines.groupby("year").size().between(260, 400).all()
    assert lines["share_reporting"].between(0, 1).all()
    areas = lines[lines["level"] == "area"].groupby("year")["population"].sum()
    metropolitan = (
        totals[0].query("area == 'metropolitan' and basis == 'reporting'").groupby("year")["population"].sum()
    )
    share = (areas / metropolitan).dropna()
    assert share.le(1.0).all() and share.loc[:2018].ge(0.8).all(), (
        "too little reported: the area is not printed"
    )
    whole = metro[metro["basis"] != "city"]
    parts = whole[["murder", "rape", "robbery", "aggravated_assault"]].sum(axis=1, min_count=4)
    assert (parts - whole["violent"]).abs().max() <= 3, "rounding alone"


@pytest.mark.real
def test_the_city_series_is_whole(raw):
    series = read_city_series(raw)
    assert len(series) == 6_264 and (series["population"] >= 100_000).all()
    assert (series["year"].min(), series["year"].max()) == (1985, 2012)

"""Policy sources: the federal lists, Secure Communities, 287(g), and the one table of events."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.base.errors import SourceError
from analysis.panel.sources.detainers import read_declines
from analysis.panel.sources.jurisdictions import make_gazetteer, one_new_york, read_gazetteer
from analysis.panel.sources.policy import (
    AGREEMENT_YEARS,
    agreements_active,
    make_policy_events,
    parse_dhs_page,
    place_listed,
    read_287g,
    read_287g_roster,
    read_ddor_2017,
    read_detainer_policies,
    read_federal_lists,
    read_secure_communities,
    read_state_laws,
    secure_communities_share,
    tidy_activation,
    tidy_agreements,
)

COUNTIES = pd.DataFrame(
    [("39001", "OH", "Elm County"), ("39003", "OH", "Ash County"), ("51540", "VA", "Ashville city")],
    columns=["county_fips", "state", "county_name"],
)
PLACES = pd.DataFrame(
    [
        ("OH", "Oakton city", "39001", 1.0),
        ("OH", "Pine town", "39003", 1.0),
        ("CO", "Denver city", "08031", 1.0),
    ],
    columns=["state", "place_name", "county_fips", "share"],
)
WHERE = make_gazetteer(COUNTIES, PLACES)


# --- the page of the list of May 2025 -----------------------------------------------------------------------


def test_entries_stand_under_states_and_headings_across_a_page_break():
    page = [
        "Sanctuary Jurisdiction List", "Ohio", "  Counties", "    Elm County", "    Ash County", "Topics",
        "  News",
        "    Ash County", "    Birch County", "  Cities", "    Oakton  ", "Colorado", "  State",
        "    Self-Identification", "  Cities", "    Denver", "Keywords", "IMMIGRATION",
    ]  # fmt: skip
    got = parse_dhs_page([line for line in page if line.strip() != "News"])
    assert got[["jurisdiction", "state", "listed_as"]].values.tolist() == [
        ["Elm County", "OH", "county"], ["Ash County", "OH", "county"], ["Birch County", "OH", "county"],
        ["Oakton", "OH", "city"], ["CO", "CO", "state"], ["Denver", "CO", "city"],
    ]  # fmt: skip
    with pytest.raises(SourceError, match="no state's heading"):
        parse_dhs_page(["nothing", "here"])


def test_listed_names_find_their_true_level_and_county():
    listed = pd.DataFrame(
        [
            ("Elm County", "OH", "county"), ("Elm County", "OH", "city"), ("Pine", "OH", "county"),
            ("Town of Pine", "OH", "city"), ("Denver", "CO", "city"), ("Ashville", "VA", "city"),
            ("Atlantis", "OH", "city"),
        ],
        columns=["jurisdiction", "state", "listed_as"],
    ).assign(note="")  # fmt: skip
    got = place_listed(listed, WHERE)
    assert got["level"].tolist() == ["county", "county", "city", "city", "county", "county", "city"]
    assert got["county_fips"].fillna("").tolist() == [
        "39001",
        "39001",
        "39003",
        "39003",
        "08031",
        "51540",
        "",
    ]


# --- Secure Communities -------------------------------------------------------------------------------------


def test_activation_is_on_current_codes_and_the_earliest_counts():
    file = pd.DataFrame(
        {
            "countyfips": [1001, 46113, 51515, 51019, 36005, 36047, 2013],
            "state": ["AL", "SD", "VA", "VA", "NY", "NY", "AK"],
            "activation_year": [2011.0, 2012.0, 2010.0, 2012.0, 2012.0, 2012.0, None],
            "activation_month": [4.0, 3.0, 6.0, 1.0, 5.0, 5.0, None],
        }
    )
    got = tidy_activation(file).set_index("county_fips")
    assert got.index.tolist() == ["01001", "36998", "46102", "51019"]
    assert got.loc["51019", ["year", "month"]].tolist() == [2010, 6]


@pytest.mark.parametrize(
    ("month", "year", "shares"),
    [
        (1, 2012, [0, 1, 1, 11 / 12, 0]),
        (12, 2012, [0, 1 / 12, 1, 11 / 12, 0]),
        (10, 2008, [1, 1, 1, 11 / 12, 0]),
    ],
)
def test_share_of_months_active_ends_in_november_2014(month, year, shares):
    activation = pd.DataFrame({"county_fips": ["01001"], "year": [year], "month": [month]})
    got = secure_communities_share(activation, range(2011, 2016))
    assert got["secure_communities"].tolist() == pytest.approx(shares)


# --- 287(g) -------------------------------------------------------------------------------------------------


def agreements(*rows: tuple) -> pd.DataFrame:
    frame = pd.DataFrame(
        [
            (state, agency, fips, *("X" if year in years else None for year in AGREEMENT_YEARS))
            for state, agency, fips, years in rows
        ],
        columns=["State", "County", "FIPS", *(f"y{year}" for year in AGREEMENT_YEARS)],
    )
    return tidy_agreements(frame, WHERE)


def test_a_countys_name_is_believed_before_the_lists_code():
    got = agreements(
        ("OHIO", "Elm County Sheriff's Office", "39003", {2010, 2012}), (None, "Ash County Jail", "39003",
        {2012}),
        ("OHIO", "Ohio Department of Corrections", None, {2012}),
        ("OHIO", "City of Oakton Police Department", None, {2012}),
        ("OHIO", "Never Active County", "39001", set()),
    )  # fmt: skip
    assert got.groupby("agency")[["level", "county_fips"]].first().to_dict("index") == {
        "Elm County Sheriff's Office": {"level": "county", "county_fips": "39001"},
        "Ash County Jail": {"level": "county", "county_fips": "39003"},
        "Ohio Department of Corrections": {"level": "state", "county_fips": None},
        "City of Oakton Police Department": {"level": "city", "county_fips": "39001"},
    }
    assert got.loc[got["agency"].str.startswith("Elm"), "year"].tolist() == [2010, 2012]


def test_only_county_agencies_count_and_years_outside_the_list_are_unknown():
    table = pd.DataFrame(
        {"county_fips": ["39001", "39003", None], "level": ["county", "city", "state"], "year": [2012] * 3}
    )
    asked = pd.DataFrame(
        {"county_fips": ["39001", "39001", "39003", "39001"], "year": [2012, 2013, 2012, 2004]}
    )
    got = agreements_active(table, asked)["agreement_287g"]
    assert got.fillna(-1).tolist() == [1, 0, 0, -1]


# --- events -------------------------------------------------------------------------------------------------

NO_LISTS = pd.DataFrame(
    columns=[
        "definition_source",
        "row",
        "jurisdiction",
        "state",
        "level",
        "county_fips",
        "source",
        "source_url",
        "note",
    ]
)


@pytest.fixture(scope="module")
def events():
    return make_policy_events(read_detainer_policies(), read_ddor_2017(), NO_LISTS, read_state_laws())


def test_new_york_city_is_one_area_with_one_event_a_date(events):
    city = events[(events["county_fips"] == "36998") & (events["definition_source"] == "D2")]
    assert city["date"].tolist() == ["2011-11-22", "2013-03-18", "2014-11-14"]
    assert city["rows"].tolist() == [5, 5, 5]
    assert set(city["jurisdiction"]) == {"New York City"}
    assert not events["county_fips"].isin(["36005", "36047", "36061", "36081", "36085"]).any()


def test_events_account_for_every_row(events):
    rows = events.groupby("definition_source")["rows"].sum().to_dict()
    assert rows == {"D1": 48, "D2": 199, "D7": 16}
    d2 = events[events["definition_source"] == "D2"]
    assert len(d2) == 199 - 12
    assert d2["direction"].value_counts().to_dict() == {
        "limit_full": 175,
        "limit_partial": 10,
        "repeal": 1,
        "ordinance": 1,
    }
    # 113 rows are dated by a report, 4 by a list; none of them New York City's.
    assert d2["upper_bound"].sum() == 117
    assert events.loc[events["definition_source"] == "D7", "county_fips"].isna().all()


def test_a_city_whose_government_is_the_countys_stands_at_county_level(events):
    report = events[events["definition_source"] == "D1"].set_index("jurisdiction")["level"]
    assert report[["Philadelphia", "New Orleans", "Baltimore city"]].tolist() == [
        "county",
        "county",
        "county",
    ]
    assert report[["Chicago", "Boston", "Aurora"]].tolist() == ["city", "city", "city"]


# --- raw files ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def where(raw):
    return read_gazetteer(raw)


@pytest.fixture(scope="module")
def lists(raw, where):
    return read_federal_lists(raw, where)


@pytest.mark.real
def test_the_list_of_may_2025_agrees_with_the_table_made_by_hand(raw, lists):
    dhs = lists[lists["definition_source"] == "D5"]
    assert len(dhs) == 605
    assert dhs.loc[dhs["level"] == "county", "county_fips"].nunique() == 409
    assert dhs["county_fips"].nunique() == 443
    assert dhs.loc[dhs["level"] != "state", "county_fips"].notna().all()
    path = raw.folder / "policy" / "d5_dhs_2025_05_list.csv"
    if not path.exists():
        pytest.skip("the table made by hand is not beside the raw files")
    theirs = pd.read_csv(path, dtype=str)
    theirs["county_fips"] = one_new_york(theirs["county_fips"])
    both = dhs.merge(
        theirs, on=["jurisdiction", "state"], suffixes=("", "_theirs"), how="outer", indicator=True
    )
    assert (both["_merge"] == "both").all()
    assert (both["county_fips"].fillna("") == both["county_fips_theirs"].fillna("")).all()
    # Three towns of Virginia are no independent cities; Anchorage, Athens, Louisville and New York are their
    # counties.
    assert sorted(both.loc[both["level"] != both["level_theirs"], "jurisdiction"]) == [
        "Abingdon", "Athens", "City of Anchorage", "Duffield", "Louisville", "New York City", "Tazewell",
    ]  # fmt: skip


@pytest.mark.real
def test_the_list_of_august_2025(lists):
    doj = lists[lists["definition_source"] == "D6"]
    assert (len(doj), doj["county_fips"].nunique()) == (35, 20)


@pytest.mark.real
def test_activation_of_secure_communities(raw):
    table = read_secure_communities(raw)
    # 3,101 counties; New York City's five are one, Bedford city's date is its county's.
    assert len(table) in range(3_096, 3_099)
    assert table["county_fips"].is_unique
    first = table.sort_values(["year", "month"]).iloc[0]
    assert (first["state"], first["year"], first["month"]) == ("TX", 2008, 10)
    assert table.set_index("county_fips").loc["36998", ["year", "month"]].tolist() == [2012, 5]


@pytest.mark.real
def test_agreements_under_287g(raw, where):
    table = read_287g(raw, where)
    counties = table.loc[table["level"] == "county", "county_fips"]
    # The list's own codes cover 138 counties and are wrong for Collier and Liberty, FL.
    assert counties.nunique() in range(136, 146)
    assert counties.notna().all()
    by_agency = table.drop_duplicates("agency").set_index("agency")["county_fips"]
    assert by_agency["Collier County Sheriff's Office"] == "12021"
    assert by_agency["Liberty County Sheriffs Office"] == "12077"
    assert (table["level"] == "state").any()
    roster = read_287g_roster(raw, where)
    assert len(roster) == 832
    assert roster.loc[roster["level"] == "county", "county_fips"].notna().mean() > 0.98


@pytest.mark.real
def test_facts_of_protocol_rule_6(raw, where, lists):
    events = make_policy_events(read_detainer_policies(), read_ddor_2017(), lists, read_state_laws())
    declines, _ = read_declines(raw, where)
    d2 = events[(events["definition_source"] == "D2") & events["direction"].str.startswith("limit")]
    reached = declines[(declines["declined"] >= 5) & (declines["decline_share"] >= 0.25)]
    onset = reached.groupby("county_fips")["year"].min()
    listed = set(
        events.loc[(events["definition_source"] == "D5") & (events["level"] == "county"), "county_fips"]
    )
    verified, often = set(d2.loc[d2["verified"], "county_fips"]), set(onset.index)

    def jaccard(a: set, b: set) -> float:
        return len(a & b) / len(a | b)

    # Published: 0.24, and 0.12-0.13 of either with D5, where New York City counts as five counties.
    assert jaccard(verified, often) == pytest.approx(0.24, abs=0.02)
    assert jaccard(verified, listed) == pytest.approx(0.13, abs=0.01)
    assert jaccard(often, listed) == pytest.approx(0.13, abs=0.01)
    # Published: 49 counties dated by both, years equal in 34, within one in 42; the area of New York City
    # replaces five counties whose years differ by two or three.
    documented = d2.groupby("county_fips")["year"].min()
    both = documented.index.intersection(onset.index)
    apart = (documented[both].astype(int) - onset[both]).abs()
    assert (len(both), int((apart == 0).sum()), int((apart <= 1).sum())) == (45, 34, 42)

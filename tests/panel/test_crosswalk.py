"""Cities find their county by rule; none is placed by the name of a county."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.panel.crosswalk import (
    AgencyDirectory,
    other_departments,
    place_cities,
    place_county_agencies,
    separate_namesakes,
)

COUNTIES = pd.DataFrame(
    [
        ("ZZ", "90001", "Oak County"),
        ("ZZ", "90003", "Elm County"),
        ("ZZ", "90005", "St. Ash County"),
        ("MA", "25001", "Bay County"),
        ("NY", "36061", "New York County"),
    ],
    columns=["state", "county_fips", "county_name"],
)
PLACES = pd.DataFrame(
    [
        ("ZZ", "00100", "Elm city", "90001", 1.0, 5000.0),  # Elm lies in Oak County, not in Elm County
        ("ZZ", "00200", "Split city", "90001", 0.7, 7000.0),
        ("ZZ", "00200", "Split city", "90003", 0.3, 3000.0),
        ("ZZ", "00300", "Twin village", "90001", 1.0, 400.0),
        ("ZZ", "00400", "Twin village", "90003", 1.0, 9000.0),
        ("ZZ", "00500", "Forest City borough", "90003", 1.0, 800.0),
        ("ZZ", "00600", "Forest borough", "90001", 1.0, 900.0),
        ("ZZ", "00700", "DeKalb city", "90003", 1.0, 2000.0),
        ("ZZ", "00800", "Quiet village", "90003", 1.0, 600.0),
        ("ZZ", "00900", "Contract city", "90003", 1.0, 60_000.0),
        ("MA", "01000", "Green CDP", "25999", 1.0, 100.0),
        ("NY", "51000", "New York city", "36061", 1.0, 8_000_000.0),
    ],
    columns=["state", "place_fips", "place_name", "county_fips", "share_of_place", "population_2010"],
)
AGENCIES = pd.DataFrame(
    [
        ("ZZ", "split police department", "local police department", "90001", "00200"),
        (
            "ZZ",
            "mistaken police department",
            "local police department",
            "90003",
            "00100",
        ),  # a wrong place code
        ("ZZ", "quiet police department", "local police department", "90003", "00800"),
        ("ZZ", "contract police department", "local police department", "90003", "00900"),
        ("ZZ", "oak county sheriff's office", "sheriffs office", "90001", "99001"),
    ],
    columns=["state", "agency_name", "agency_type", "county_fips", "place_fips"],
)
SUBDIVISIONS = pd.DataFrame(
    [
        ("MA", "Green town", "25001"),
        ("ZZ", "Hill township", "90001"),
        ("ZZ", "Many township", "90001"),
        ("ZZ", "Many township", "90003"),
    ],
    columns=["state", "name", "county_fips"],
)
HAND = pd.DataFrame(
    [("ZZ", "Joint Police", "90003", None, None, "invented")],
    columns=["state", "agency_name", "county_fips", "place_fips", "same_agency_as", "reason"],
)
DIRECTORY = AgencyDirectory(PLACES, AGENCIES, SUBDIVISIONS, COUNTIES, HAND)


def place(*names, state="ZZ", population=1000.0, directory=DIRECTORY):
    cities = pd.DataFrame({"state": state, "agency_name": list(names), "population": population})
    return place_cities(cities, directory)


def county_of(name, **options):
    shares = place(name, **options).shares
    return dict(zip(shares["county_fips"], shares["share"], strict=True))


def test_a_city_is_never_placed_by_the_name_of_a_county():
    assert county_of("Elm") == {"90001": 1.0}


def test_a_city_that_spans_counties_is_split_and_flagged():
    found = place("Split").shares.set_index("county_fips")
    assert found["share"].to_dict() == {"90001": 0.7, "90003": 0.3}
    assert found["spans_counties"].all()
    assert set(found["main_county"]) == {"90001"}


def test_a_wrong_place_code_of_the_crosswalk_is_not_believed_but_its_county_is():
    found = place("Mistaken").shares
    assert found["county_fips"].tolist() == ["90003"]
    assert found["place_fips"].isna().all()


def test_of_two_places_of_one_name_the_nearer_in_population_is_taken_and_a_far_one_never():
    assert county_of("Twin", population=8000.0) == {"90003": 1.0}
    assert county_of("Twin", population=450.0) == {"90001": 1.0}
    assert place("Twin", population=2000.0).unplaced["agency_name"].tolist() == ["Twin"]


def test_a_name_that_ends_in_city_is_not_another_place():
    assert county_of("Forest City") == {"90003": 1.0}
    assert county_of("Forest") == {"90001": 1.0}


@pytest.mark.parametrize("name", ["Hill Township, Elm County", "Hill Township, Ellm County"])
def test_the_county_printed_behind_a_name_is_believed_even_misspelt(name):
    assert county_of(name) == {"90003": 1.0}


def test_townships_are_looked_up_as_townships_and_ambiguous_ones_are_left_out():
    assert county_of("Hill Township") == {"90001": 1.0}
    assert place("Many Township").unplaced["agency_name"].tolist() == ["Many Township"]


def test_new_england_towns_come_before_smaller_places_of_their_name():
    assert county_of("Green", state="MA") == {"25001": 1.0}


def test_one_word_or_two():
    assert county_of("De Kalb") == {"90003": 1.0}


def test_new_york_city_is_one_area():
    assert county_of("New York", state="NY") == {"36998": 1.0}


def test_shares_of_every_placed_city_sum_to_one_and_nothing_is_lost():
    names = ["Elm", "Split", "Forest", "Joint Police", "Nowhere"]
    found = place(*names)
    sums = found.shares.groupby("agency_name")["share"].sum()
    assert sums.to_dict() == dict.fromkeys(["Elm", "Forest", "Joint Police", "Split"], 1.0)
    assert found.unplaced["agency_name"].tolist() == ["Nowhere"]


def test_unused_rows_of_the_hand_list_are_reported():
    assert place("Elm").hand_unused["agency_name"].tolist() == ["Joint Police"]


def test_a_hand_list_with_an_unknown_county_or_a_repeated_city_is_refused():
    wrong = AgencyDirectory(PLACES, AGENCIES, SUBDIVISIONS, COUNTIES, HAND.assign(county_fips="9003"))
    with pytest.raises(TableError, match="names counties \\['9003'\\]"):
        place("Elm", directory=wrong)
    twice = AgencyDirectory(PLACES, AGENCIES, SUBDIVISIONS, COUNTIES, pd.concat([HAND, HAND]))
    with pytest.raises(TableError, match="repeats"):
        place("Elm", directory=twice)


def test_only_small_unprinted_departments_are_expected():
    known = pd.DataFrame({"agency_id": ["ZZ:90001:split"], "state": ["ZZ"], "place_fips": ["00200"]})
    assert other_departments(DIRECTORY, known)["agency_id"].tolist() == ["ZZ:90003:quiet"]


def test_namesakes_printed_in_one_year_are_two_agencies_and_spellings_of_one_are_not():
    rows = pd.DataFrame(
        [
            ("X:groton", "Groton", 2010),
            ("X:groton", "Groton Town", 2010),
            ("X:berlin", "Berlin", 2010),
            ("X:berlin", "Berlin City", 2011),
        ],
        columns=["agency_id", "agency_name", "year"],
    )
    assert separate_namesakes(rows).tolist() == ["X:groton", "X:groton=township", "X:berlin", "X:berlin"]


def county_rows(*rows):
    return pd.DataFrame(rows, columns=["state", "county_name", "agency_name", "year"])


def test_sheriff_and_county_police_are_two_agencies_only_where_both_are_printed():
    placed, lost = place_county_agencies(
        county_rows(
            ("ZZ", "Oak", "Oak", 2010),
            ("ZZ", "Oak", "Oak County Police Department", 2010),
            ("ZZ", "Elm", "Elm", 2010),
            ("ZZ", "Elm", "Elm County Police Department", 2011),
            ("ZZ", "Birch", "Birch", 2010),
        ),
        COUNTIES,
        pd.DataFrame(columns=["state", "county_name", "county_fips", "reason"]),
    )
    ids = placed.groupby("county_fips")["agency_id"].unique().map(sorted).to_dict()
    assert ids == {
        "90001": ["ZZ:90001:county:police", "ZZ:90001:county:sheriff"],
        "90003": ["ZZ:90003:county"],
    }
    assert lost["county_name"].tolist() == ["Birch"]

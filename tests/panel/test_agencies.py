"""Counts, residents policed and coverage on a county small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.panel.agencies import (
    COUNTS,
    FEWEST_OUTSIDE,
    MEASURES,
    CityAgencies,
    constant_agencies,
    county_years,
    expected_population,
    refuse_mismatched_rates,
    remainder,
    reporting,
    usual_share,
    with_derived_counts,
)


def row(agency, year, population=np.nan, **counts):
    base = dict.fromkeys(MEASURES, 0.0) | {"rape_legacy": 1.0, "rape_revised": np.nan} | counts
    return {"agency_id": agency, "year": year, "population": population, "not_comparable": False, **base}


# A county of 100,000: a city of 40,000 (a quarter of it in the next county), a silent town of 10,000, and the rest.
SHARES = pd.DataFrame(
    [
        ("city", "90001", "90001", 0.75, True),
        ("city", "90003", "90001", 0.25, True),
        ("town", "90001", "90001", 1.0, False),
    ],
    columns=["agency_id", "county_fips", "main_county", "share", "spans_counties"],
)
PRINTED = pd.DataFrame([row("city", 2010, 40_000.0, property=400.0, violent=np.nan)])
EXPECTED = pd.DataFrame({"agency_id": ["city", "town"], "year": 2010, "population": [40_000.0, 10_000.0]})
POPULATION = pd.DataFrame(
    {"county_fips": ["90001", "90003"], "year": 2010, "population": [100_000.0, 5_000.0]}
)
SHERIFF = pd.DataFrame([row("sheriff", 2010, property=60.0) | {"county_fips": "90001"}])
CITIES = CityAgencies(PRINTED, SHARES, EXPECTED)


def panel(cities=CITIES, county=SHERIFF):
    places = remainder(cities.expected, cities.shares, POPULATION)
    parts = usual_share(county)
    return county_years(cities, county, places, parts).set_index("county_fips")


def test_offences_are_divided_by_the_residents_they_were_committed_among():
    one = panel().loc["90001"]
    # 0.75 of the city's 400 and the sheriff's 60, among 30,000 in the city and the 60,000 outside any place with police.
    assert one["property"] == 360.0
    assert one["policed_property"] == 90_000.0
    assert one["rate_policed_property"] == pytest.approx(400.0)
    assert one["rate_county_population_property"] == pytest.approx(360.0)
    assert one["rate_county_agencies_property"] == pytest.approx(60.0)
    assert one["county_policed_property"] == 60_000.0
    assert one["rate_outside_cities_property"] == pytest.approx(100.0)
    assert one["coverage_property"] == pytest.approx(0.9)  # the silent town's tenth is not covered


def test_the_gaps_of_a_county_have_no_rate_of_their_own():
    # All but some hundred residents live in places with their own police, and a sheriff is printed all the same.
    crowded = EXPECTED.assign(population=[40_000.0, 69_500.0])
    one = panel(CityAgencies(PRINTED, SHARES, crowded)).loc["90001"]
    assert 0 < one["county_policed_property"] < FEWEST_OUTSIDE
    assert np.isnan(one["rate_outside_cities_property"])
    assert one["rate_county_agencies_property"] == pytest.approx(60.0)


def test_arson_joins_the_total_only_where_it_is_reported():
    counts = dict.fromkeys(COUNTS, 1.0) | {"violent": 4.0, "property": 3.0}
    rows = with_derived_counts(pd.DataFrame([counts, counts | {"arson": np.nan}]))
    assert rows["total"].tolist() == [7.0, 7.0]
    assert rows["total_with_arson"].iloc[0] == 8.0 and np.isnan(rows["total_with_arson"].iloc[1])


def test_coverage_is_per_outcome():
    one = panel().loc["90001"]
    assert one["violent"] == 0.0  # the city's is blank: only the sheriff's zero counts
    assert one["policed_violent"] == 60_000.0
    assert one["coverage_violent"] == pytest.approx(0.6)


def test_printed_city_populations_above_the_county_leave_no_one_over():
    two = panel().loc["90003"]
    assert two["property"] == 100.0
    assert two["coverage_property"] == 1.0  # 10,000 printed residents in a county of 5,000
    assert two["rate_policed_property"] == pytest.approx(1000.0)


def test_not_reported_is_missing_not_zero():
    silent = CityAgencies(PRINTED.iloc[:0], SHARES, EXPECTED)
    one = panel(silent, SHERIFF.iloc[:0]).loc["90001"]
    assert np.isnan(one["property"]) and np.isnan(one["rate_policed_property"])
    assert one["coverage_property"] == 0.0


def test_two_county_agencies_stand_for_parts_of_the_remainder():
    rows = pd.DataFrame(
        [
            row("police", 2009, property=900.0),
            row("sheriff", 2009, property=100.0),
            row("sheriff", 2010, property=100.0),
        ]
    ).assign(county_fips="90001")
    parts = usual_share(rows)
    assert parts.to_dict() == pytest.approx({"police": 0.9, "sheriff": 0.1})
    places = remainder(EXPECTED, SHARES, POPULATION)
    one = county_years(CITIES, rows, places, parts).set_index("county_fips").loc["90001"]
    # With the police silent in 2010 a tenth of the remainder is covered.
    assert one["policed_property"] == pytest.approx(30_000 + 6_000)


def test_a_city_population_between_printed_years_follows_its_county():
    printed = pd.DataFrame({"agency_id": "city", "year": [2010, 2012], "population": [40_000.0, 60_000.0]})
    resident = pd.DataFrame(
        [[100_000.0, 110_000.0, 100_000.0, 50_000.0]], index=["90001"], columns=[2010, 2011, 2012, 2013]
    )
    filled = expected_population(printed, pd.Series({"city": "90001"}), resident, [2010, 2011, 2012, 2013])
    # Shares .4, then half-way .5, then .6 held.
    assert filled["population"].tolist() == pytest.approx([40_000.0, 55_000.0, 60_000.0, 30_000.0])


def test_constant_agencies_report_in_every_year_of_the_window():
    rows = pd.DataFrame(
        [row("a", 2010), row("a", 2011), row("b", 2010), row("c", 2010), row("c", 2011, property=np.nan)]
    )
    kept = constant_agencies(rows, (2010, 2011))
    assert set(kept["agency_id"]) == {"a"}


def test_who_was_expected_and_who_reported():
    places = remainder(EXPECTED, SHARES, POPULATION)
    who = reporting(CITIES, SHERIFF, places).set_index("county_fips").loc["90001"]
    assert (who["agencies_expected"], who["agencies_reporting"]) == (3, 2)
    assert who["county_policed_share"] == pytest.approx(0.6)
    assert who["county_agency_reports"]
    assert who["spanning_share"] == pytest.approx(1.0)


def test_row_order_changes_nothing():
    shuffled = CityAgencies(PRINTED, SHARES.iloc[::-1], EXPECTED.iloc[::-1])
    pd.testing.assert_frame_equal(panel(shuffled).sort_index(), panel().sort_index())


def test_splitting_a_city_keeps_every_offence():
    both = panel()
    assert both["property"].sum() == PRINTED["property"].sum() + SHERIFF["property"].sum()


def test_a_rate_over_other_people_is_refused():
    table = panel().reset_index().assign(year=2010, population=[100_000.0, 5_000.0])
    refuse_mismatched_rates(table)
    # The county agency's offences, said to be over the residents outside cities alone.
    wrong = table.assign(rate_county_agencies_property=table["county_agency_property"] / 60_000 * 100_000)
    with pytest.raises(
        TableError, match=r"60 offences among 100,000 residents make 60 .* cover different people"
    ):
        refuse_mismatched_rates(wrong)

"""Table 8 and the long series as one city-year panel, on invented cities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.codebook import validate
from analysis.panel.agencies import COUNTS, MEASURES
from analysis.panel.cities import SERIES_RATES, city_panel, counts_from_rates
from analysis.panel.crosswalk import AgencyDirectory, place_cities


def directory() -> AgencyDirectory:
    """Two counties of one state: Elmton spans both, Oakville lies in the second."""
    places = pd.DataFrame(
        [
            ("AL", "00100", "Elmton city", "01001", 0.6, 120_000),
            ("AL", "00100", "Elmton city", "01003", 0.4, 80_000),
            ("AL", "00200", "Oakville city", "01003", 1.0, 150_000),
        ],
        columns=["state", "place_fips", "place_name", "county_fips", "share_of_place", "population_2010"],
    )
    counties = pd.DataFrame(
        {"state": "AL", "county_fips": ["01001", "01003"], "county_name": ["Ash County", "Birch County"]}
    )
    agencies = pd.DataFrame(
        columns=["state", "agency_name", "agency_type", "county_fips", "place_fips"], dtype=str
    )
    subdivisions = pd.DataFrame(columns=["state", "name", "county_fips"], dtype=str)
    hand = pd.DataFrame(
        columns=["state", "agency_name", "county_fips", "place_fips", "same_agency_as", "reason"], dtype=str
    )
    return AgencyDirectory(places, agencies, subdivisions, counties, hand)


def printed(*rows):
    """Rows of Table 8: name, year, robberies; every other count is three."""
    frame = pd.DataFrame(
        [
            dict.fromkeys(COUNTS, 3.0)
            | {"state": "AL", "agency_name": name, "year": year, "robbery": robbery, "population": 200_000.0}
            for name, year, robbery in rows
        ]
    )
    shares = place_cities(
        frame[["state", "agency_name", "population"]].drop_duplicates("agency_name"), directory()
    ).shares
    one = shares.drop_duplicates("agency_name")[["agency_name", "agency_id"]]
    return frame.merge(one, on="agency_name"), shares


def series(*rows):
    """Rows of the long series: name of the police, year, rate of robbery; every other rate is 50."""
    return pd.DataFrame(
        [
            {f"rate_{m}": 50.0 for m in SERIES_RATES}
            | {
                "state": "AL",
                "agency_name": name,
                "year": year,
                "rate_robbery": rate,
                "population": 100_000.0,
            }
            for name, year, rate in rows
        ]
    )


def test_a_rate_becomes_a_count_and_a_missing_one_stays_missing():
    given = series(("Elmton Police Dept", 1990, 12.5), ("Elmton Police Dept", 1991, np.nan))
    given.loc[1, "population"] = 200_000.0
    before = given.copy()
    out = counts_from_rates(given)
    assert out["robbery"].tolist()[0] == 12.5 and np.isnan(out["robbery"][1])
    assert out["property"].tolist() == [50.0, 100.0]
    assert not [column for column in out if column.startswith("rate_")]
    pd.testing.assert_frame_equal(given, before)


def test_the_long_series_continues_a_city_and_never_replaces_what_table_8_prints():
    eight, shares = printed(("Elmton", 2010, 80.0), ("Elmton", 2011, 90.0), ("Oakville", 2011, 7.0))
    long = series(
        ("Elmton Police Dept", 1990, 12.0), ("Elmton Police Dept", 2010, 999.0), ("City Of Oakville Police Department", 1991, 5.0)
    )  # fmt: skip
    table, report = city_panel(eight, shares, long, directory())
    assert not table.duplicated(["agency_id", "year"]).any()
    elmton = table[table["agency_id"].eq("AL:01001:elmton")]
    assert elmton[["year", "robbery", "source"]].to_numpy().tolist() == [
        [1990, 12.0, "city_series"], [2010, 80.0, "table8"], [2011, 90.0, "table8"],
    ]  # fmt: skip
    assert table.groupby("agency_id")["county_fips"].first().to_dict() == {
        "AL:01001:elmton": "01001", "AL:01003:oakville": "01003",
    }  # fmt: skip
    assert table.groupby("agency_id")["spans_counties"].first().to_dict() == {
        "AL:01001:elmton": True, "AL:01003:oakville": False,
    }  # fmt: skip
    assert report["placed"].all() and report["in_table8"].all()
    # Both print property crime of 2010: 50 in the series, 3 in Table 8.
    gaps = report.set_index("city")["largest_gap"]
    assert gaps["Elmton"] == pytest.approx(50 / 3 - 1) and np.isnan(gaps["Oakville"])
    validate(table, "cities")


def test_derived_columns_are_missing_where_a_part_is():
    eight, shares = printed(("Elmton", 2010, 80.0), ("Oakville", 2010, np.nan))
    eight.loc[eight["agency_name"].eq("Elmton"), "violent"] = np.nan
    table, _ = city_panel(eight, shares, series(("Elmton Police Dept", 1990, 12.0)), directory())
    rows = table.set_index(["agency_id", "year"])
    elmton, oakville = rows.loc[("AL:01001:elmton", 2010)], rows.loc[("AL:01003:oakville", 2010)]
    assert elmton["violent_ex_rape"] == 3 + 80 + 3 and np.isnan(elmton["total"])
    assert np.isnan(oakville["violent_ex_rape"]) and oakville["total"] == 6
    assert elmton["rate_robbery"] == 80 / 200_000 * 100_000
    # The series prints no arson and no revised rape: missing, never zero.
    old = rows.loc[("AL:01001:elmton", 1990)]
    assert old[["arson", "rape_revised", "rate_arson"]].isna().all() and old["rate_robbery"] == 12
    assert {f"rate_{m}" for m in MEASURES} < set(table.columns)


def test_a_city_of_the_series_that_no_rule_places_is_reported_and_left_out():
    eight, shares = printed(("Elmton", 2010, 80.0))
    long = series(("Atlantis Police Dept", 1990, 1.0), ("Oakville Police Dept", 1990, 2.0))
    table, report = city_panel(eight, shares, long, directory())
    found = report.set_index("city")
    assert found["placed"].to_dict() == {"Atlantis": False, "Oakville": True}
    assert found["in_table8"].to_dict() == {"Atlantis": False, "Oakville": False}
    assert found["years"].to_dict() == {"Atlantis": 1, "Oakville": 1}
    assert sorted(table["agency_id"]) == ["AL:01001:elmton", "AL:01003:oakville"]
    assert table.set_index("agency_id").loc["AL:01003:oakville", "county_fips"] == "01003"

"""Raw files to the county-year panel, in one place: sources, joins, derived columns, reports.

The chain is raw file, tidy table, panel; each link is a table on disk that opens without this code. A build is
keyed by a digest of everything it reads (raw files by their hashes, our own compilations, the code of this room,
the codebook): while that digest stands, nothing is built again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.base.codebook import load_codebook, validate
from analysis.base.errors import SourceError, StudyError, TableError
from analysis.base.paths import Paths, replacing
from analysis.base.provenance import canonical_json, digest_of, digest_of_sources, digest_of_table, sha256_of
from analysis.base.records import Panel
from analysis.panel import agencies as ag
from analysis.panel.cities import city_panel
from analysis.panel.covariates import fixed_covariates, one_new_york, yearly_covariates
from analysis.panel.crosswalk import (
    NEW_YORK_CITY,
    NEW_YORK_COUNTIES,
    Gazetteer,
    Placement,
    other_departments,
    place_cities,
    place_county_agencies,
    separate_namesakes,
)
from analysis.panel.joins import JoinReport, join
from analysis.panel.sources.raw import RawFiles

YEARS = tuple(range(2005, 2020))
CONSTANT_WINDOW = (2010, 2017)
"""Years in which an agency must report every year to be in the second panel: the main window of the protocol."""

CSV_TWIN_BELOW = 2_000_000
"""A built table gets a csv twin when the csv is smaller than this many bytes."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Counted:
    """Crime on the panel's areas.

    Args:
        table: counts, people policed, coverage and rates by county and year, with who reported.
        constant: the same, counting only agencies that report in every year of `CONSTANT_WINDOW`.
        cities: printed city agencies with identities.
        placement: where city agencies lie.
        reports: name to table.
    """

    table: pd.DataFrame
    constant: pd.DataFrame
    cities: pd.DataFrame
    placement: Placement
    reports: Mapping[str, pd.DataFrame]


def areas(frame: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Return the panel's areas: the 2019 county frame with New York City as one, and their classes.

    Args:
        frame: county_fips, state, county_name, region, division.
        classes: county_fips, nchs_2013, rucc_2013.

    Returns:
        county_fips, state, county_name, division, urban_class, rucc_2013.
    """
    table, _ = join(frame, classes, ["county_fips"], expect="one_to_one", name="county frame to classes", tolerance=0.001)
    inside = table["county_fips"].isin(NEW_YORK_COUNTIES)
    # The city takes the class of New York County (Manhattan), its centre.
    centre = table[table["county_fips"].eq("36061")].assign(county_fips=NEW_YORK_CITY, county_name="New York City")
    table = pd.concat([table[~inside], centre]).rename(columns={"nchs_2013": "urban_class"})
    table["division"] = table["division"].astype(str)
    columns = ["county_fips", "state", "county_name", "division", "urban_class", "rucc_2013"]
    return table[columns].sort_values("county_fips").reset_index(drop=True)


def count_crime(
    agencies: pd.DataFrame, population: pd.DataFrame, counties: pd.DataFrame, gazetteer: Gazetteer, county_hand: pd.DataFrame
) -> Counted:
    """Return crime, people policed and coverage on the panel's areas.

    Args:
        agencies: the tidy table ``agencies``.
        population: county_fips, year, population on the panel's areas.
        counties: state, county_fips, county_name of the 2019 frame.
        gazetteer: where a city is looked up.
        county_hand: county names no rule places.

    Raises:
        TableError: an agency is printed twice in a year.
    """
    agencies = ag.with_derived_counts(agencies)
    city_rows = agencies[agencies["table"].eq("8")]
    names = city_rows.groupby(["state", "agency_name"], as_index=False)["population"].max()
    placement = place_cities(names, gazetteer)
    one = placement.shares.drop_duplicates(["state", "agency_name"])
    printed = city_rows.merge(one[["state", "agency_name", "agency_id"]], on=["state", "agency_name"], how="inner")
    plain = printed["agency_id"]
    printed = printed.assign(agency_id=separate_namesakes(printed))
    _refuse_twins(printed)

    identities = pd.DataFrame({"agency_id": printed["agency_id"], "plain": plain, "state": printed["state"], "agency_name": printed["agency_name"]})
    identities = identities.drop_duplicates(["agency_id", "plain"])
    shares = placement.shares.merge(identities[["state", "agency_name", "agency_id"]].rename(columns={"agency_id": "identity"}), on=["state", "agency_name"])
    shares = shares.drop(columns="agency_id").rename(columns={"identity": "agency_id"}).drop_duplicates(["agency_id", "county_fips"])
    others = other_departments(gazetteer, shares[["agency_id", "state", "place_fips"]])

    resident = population.pivot(index="county_fips", columns="year", values="population")
    main = shares.drop_duplicates("agency_id").set_index("agency_id")["main_county"]
    expected = ag.expected_population(printed[["agency_id", "year", "population"]].dropna(), main, resident, YEARS)
    unprinted = _carry(others, resident)
    all_shares = pd.concat([shares, others], ignore_index=True)[["agency_id", "county_fips", "main_county", "share", "spans_counties"]]
    cities = ag.CityAgencies(printed, all_shares, pd.concat([expected, unprinted], ignore_index=True))

    county_rows, lost = place_county_agencies(agencies[agencies["table"].eq("10")], counties, county_hand)
    _refuse_twins(county_rows)
    places = ag.remainder(cities.expected, cities.shares, population[population["year"].isin(YEARS)])
    parts = ag.usual_share(county_rows)

    who = ag.reporting(cities, county_rows, places)
    table = ag.county_years(cities, county_rows, places, parts).merge(who, on=["county_fips", "year"])
    steady = ag.CityAgencies(ag.constant_agencies(printed, CONSTANT_WINDOW), cities.shares, cities.expected)
    steady_rows = ag.constant_agencies(county_rows, CONSTANT_WINDOW)
    steady_who = ag.reporting(steady, steady_rows, places)
    constant = ag.county_years(steady, steady_rows, places, parts).merge(steady_who, on=["county_fips", "year"])

    placed_people = printed.groupby("year")["population"].sum()
    all_people = city_rows.groupby("year")["population"].sum()
    reports = {
        "unplaced_cities": placement.unplaced,
        "unplaced_county_agencies": lost,
        "placement_rules": one.merge(names, on=["state", "agency_name"]).groupby("how", as_index=False).agg(cities=("agency_id", "size"), population=("population", "sum")),
        "placed_share": (placed_people / all_people).rename("share_of_city_population_placed").reset_index(),
        "departments_never_printed": others.drop_duplicates("agency_id").groupby("state", as_index=False).agg(departments=("agency_id", "size"), population_2010=("population_2010", "sum")),
    }
    return Counted(table, constant, printed, Placement(shares, placement.unplaced, placement.hand_unused), reports)


def _carry(others: pd.DataFrame, resident: pd.DataFrame) -> pd.DataFrame:
    """Return yearly populations of places known from one census: they grow as their main county does."""
    one = others.drop_duplicates("agency_id").set_index("agency_id")
    county = resident.reindex(index=one["main_county"].to_numpy(), columns=list(YEARS)).to_numpy(dtype=float)
    base = resident.reindex(index=one["main_county"].to_numpy(), columns=[2010]).to_numpy(dtype=float)
    grown = pd.DataFrame(one["population_2010"].to_numpy()[:, None] * county / base, index=one.index, columns=pd.Index(YEARS, name="year"))
    return grown.stack().rename("population").reset_index()


def _refuse_twins(rows: pd.DataFrame) -> None:
    twins = rows[rows.duplicated(["agency_id", "year"], keep=False)]
    if len(twins):
        sample = twins[["year", "state", "agency_name", "agency_id"]].head(4).to_dict("records")
        raise TableError(f"{len(twins)} agency rows share an identity and a year, e.g. {sample}", "one row an agency and year", "data/geography/city_hand_list.csv")


def assemble(
    where: pd.DataFrame,
    population: pd.DataFrame,
    crime: pd.DataFrame,
    yearly: Mapping[str, pd.DataFrame],
    fixed: pd.DataFrame,
    policies: Mapping[str, pd.DataFrame],
) -> tuple[pd.DataFrame, list[JoinReport]]:
    """Join everything onto the frame of areas and years.

    Args:
        where: result of `areas`.
        population: county_fips, year, population on the panel's areas.
        crime: result of `count_crime`.
        yearly: tables keyed by county_fips and year.
        fixed: one row an area.
        policies: time-varying policies and recorded declines, keyed by county_fips and year.

    Returns:
        The panel under its contract, and a report a join.
    """
    frame = where.merge(pd.DataFrame({"year": YEARS}), how="cross")
    key = ["county_fips", "year"]
    table, report = join(frame, population, key, expect="one_to_one", name="frame to population", tolerance=0.0)
    reports = [report]
    # Tolerances are what the sources lack: LAUS seven parishes in two years, SAIPE Kalawao, SNAP small areas.
    for name, right, tolerance in (
        ("crime", crime, 0.0),
        *((name, right, 0.02) for name, right in yearly.items()),
        *((name, right, 0.0) for name, right in policies.items()),
    ):
        table, report = join(table, right, key, expect="one_to_one", name=f"panel to {name}", tolerance=tolerance)
        reports.append(report)
    table, report = join(table, fixed, ["county_fips"], expect="many_to_one", name="panel to fixed covariates", tolerance=0.0)
    reports.append(report)
    return validate(table.sort_values(key).reset_index(drop=True), "panel"), reports

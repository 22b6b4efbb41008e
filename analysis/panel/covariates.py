"""County covariates on the panel's areas: New York City's five counties become one, everything else stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from analysis.panel.crosswalk import NEW_YORK_CITY, NEW_YORK_COUNTIES

SUMMED = (
    "population",
    "labour_force",
    "employed",
    "snap_recipients",
    "population_16_24",
    "democratic",
    "republican",
    "total",
    "land_area_sq_miles",
)

FIXED = (
    "log_population_2000",
    "log_population_2010",
    "log_density_2010",
    "foreign_born_2006_2010",
    "foreign_born_2009_2013",
    "hispanic_2000",
    "hispanic_2010",
    "black_2000",
    "black_2010",
    "age_15_24_2010",
    "age_65_over_2000",
    "age_65_over_2010",
    "bachelor_2000",
    "bachelor_2006_2010",
    "owner_occupied_2009_2013",
    "poverty_2000",
    "poverty_2010",
    "unemployment_2000",
    "unemployment_2010",
    "log_income_2010",
    "democratic_vote_2000",
    "democratic_vote_2008",
    "log_population_2015",
    "log_density_2015",
    "hispanic_2014",
    "black_2014",
    "age_16_24_2011_2015",
    "age_65_over_2014",
    "bachelor_2011_2015",
    "non_citizen_2014_2018",
    "poverty_2015",
    "unemployment_2015",
    "log_income_2015",
    "democratic_vote_2012",
)

SURVEY_YEARS = MappingProxyType({"2008_2012": 2012, "2010_2014": 2014, "2011_2015": 2015})
"""Five-year periods of ACS table S2301, each to the panel year it stands in: its last."""

SURVEYED = MappingProxyType(
    {"participation": "labour_force_participation", "employment_population": "employment_population_ratio"}
)
"""Panel columns of S2301 to the variables of the tidy table."""


def one_new_york(table: pd.DataFrame, key: Sequence[str], weight: pd.Series | None) -> pd.DataFrame:
    """Return the table with New York City's five counties as one area.

    Args:
        table: county_fips, the rest of the key, and numeric columns.
        key: key columns, county_fips among them.
        weight: residents by county_fips, for columns that are shares, rates or medians: they become the mean weighted
            by residents, missing if any of the five is. Columns named in `SUMMED` are added.

    Returns:
        The table with the five rows of a key replaced by one under `NEW_YORK_CITY`.

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["36005", "36061", "36063"], "population": [1.0, 2.0, 3.0]})
        >>> one_new_york(rows, ["county_fips"], None).set_index("county_fips")["population"].to_dict()
        {'36063': 3.0, '36998': 3.0}
    """
    inside = table["county_fips"].isin(NEW_YORK_COUNTIES)
    if not inside.any():
        return table
    city, rest = table[inside], table[~inside]
    other = [column for column in key if column != "county_fips"]
    numbers = [column for column in table.select_dtypes("number") if column not in key]
    parts: list[pd.DataFrame] = []
    for values, group in city.groupby(other) if other else [((), city)]:
        row: dict[str, object] = {"county_fips": NEW_YORK_CITY}
        row |= dict(zip(other, values if isinstance(values, tuple) else (values,), strict=True))
        for column in numbers:
            row[column] = _merged(group, column, weight)
        parts.append(pd.DataFrame([row]))
    merged = pd.concat(parts, ignore_index=True).astype({k: table[k].dtype for k in key})
    columns = [*key, *numbers]
    return (
        pd.concat([rest[columns], merged[columns]], ignore_index=True)
        .sort_values(list(key))
        .reset_index(drop=True)
    )


def _merged(group: pd.DataFrame, column: str, weight: pd.Series | None) -> float:
    values = group[column].to_numpy(dtype=float)
    if column in SUMMED:
        return float(values.sum())
    if weight is None:
        return float("nan")
    weights = group["county_fips"].map(weight).to_numpy(dtype=float)
    return float(np.average(values, weights=weights))


def fixed_covariates(
    shares: pd.DataFrame,
    population: pd.DataFrame,
    saipe: pd.DataFrame,
    labour: pd.DataFrame,
    votes: pd.DataFrame,
    acs: pd.DataFrame,
) -> pd.DataFrame:
    """Return the covariates of fixed vintages, one row an area.

    New York City's are recomputed from counts where the source prints counts (population, density, ages 16-24,
    degrees, unemployment, votes); its other shares and its median income are means of the five counties weighted by
    residents, of the 2010 census unless the survey prints its own.

    Args:
        shares: county_fips, census_2010_population, land_area_sq_miles and shares in [0, 1] by vintage.
        population: county_fips, year, population.
        saipe: county_fips, year, poverty_rate in percent, median_household_income in dollars.
        labour: county_fips, year, labour_force, employed.
        votes: county_fips, year, democratic, total.
        acs: the tidy table ``acs``.

    Returns:
        county_fips and the fixed-vintage columns of the panel.
    """
    residents = shares.set_index("county_fips")["census_2010_population"]
    area = one_new_york(shares.drop(columns="census_2010_population"), ["county_fips"], residents).set_index(
        "county_fips"
    )
    people = one_new_york(population, ["county_fips", "year"], None).pivot(
        index="county_fips", columns="year", values="population"
    )
    census = one_new_york(
        shares[["county_fips", "census_2010_population"]].rename(
            columns={"census_2010_population": "population"}
        ),
        ["county_fips"],
        None,
    ).set_index("county_fips")["population"]
    income = {
        year: one_new_york(saipe[saipe["year"].eq(year)], ["county_fips", "year"], residents).set_index(
            "county_fips"
        )
        for year in (2010, 2015)
    }
    work = one_new_york(labour, ["county_fips", "year"], residents)
    idle = (
        (1 - work["employed"] / work["labour_force"].where(work["labour_force"] > 0))
        .to_frame("rate")
        .assign(county_fips=work["county_fips"], year=work["year"])
        .pivot(index="county_fips", columns="year", values="rate")
    )
    ballot = one_new_york(votes, ["county_fips", "year"], residents)
    blue = (
        (ballot["democratic"] / ballot["total"].where(ballot["total"] > 0))
        .to_frame("share")
        .assign(county_fips=ballot["county_fips"], year=ballot["year"])
        .pivot(index="county_fips", columns="year", values="share")
    )

    counties = shares["county_fips"]
    ages = _survey(acs, counties, "2011_2015", {"population_16_24": "s2301", "population": "extract_2015"})
    ages = one_new_york(ages, ["county_fips"], None).set_index("county_fips")
    adults = _survey(acs, counties, "2011_2015", {"bachelor": "b15003", "population_25_over": "b15003"})
    degrees = one_new_york(adults, ["county_fips"], adults.set_index("county_fips")["population_25_over"])
    later = _survey(
        acs, counties, "2014_2018", dict.fromkeys(("noncitizen", "population"), "citizenship_2018")
    )
    citizens = one_new_york(later, ["county_fips"], later.set_index("county_fips")["population"])

    land = area["land_area_sq_miles"]
    index = people.index
    table = area.reindex(index)
    derived = {
        "log_population_2000": np.log(people[2000].where(people[2000] > 0)),
        "log_population_2010": np.log(census.where(census > 0)).reindex(index),
        "log_density_2010": np.log((census / area["land_area_sq_miles"]).where(lambda d: d > 0)).reindex(
            index
        ),
        "poverty_2010": income[2010]["poverty_rate"].reindex(index) / 100,
        "log_income_2010": np.log(income[2010]["median_household_income"]).reindex(index),
        "unemployment_2000": idle[2000].reindex(index),
        "unemployment_2010": idle[2010].reindex(index),
        "democratic_vote_2000": blue[2000].reindex(index),
        "democratic_vote_2008": blue[2008].reindex(index),
        "log_population_2015": np.log(people[2015].where(people[2015] > 0)),
        "log_density_2015": np.log(
            (people[2015] / land.where(land > 0).reindex(index)).where(lambda d: d > 0)
        ),
        "age_16_24_2011_2015": (
            ages["population_16_24"] / ages["population"].where(ages["population"] > 0)
        ).reindex(index),
        "bachelor_2011_2015": degrees.set_index("county_fips")["bachelor"].reindex(index),
        "non_citizen_2014_2018": citizens.set_index("county_fips")["noncitizen"].reindex(index),
        "poverty_2015": income[2015]["poverty_rate"].reindex(index) / 100,
        "log_income_2015": np.log(income[2015]["median_household_income"]).reindex(index),
        "unemployment_2015": idle[2015].reindex(index),
        "democratic_vote_2012": blue[2012].reindex(index),
    }
    table = table.assign(**derived).reset_index()
    return table[["county_fips", *FIXED]]


def _survey(
    acs: pd.DataFrame, counties: pd.Series, vintage: str, variables: Mapping[str, str]
) -> pd.DataFrame:
    """Return variables of one period, each from the named source, one row a county; gaps are missing."""
    rows = acs[acs["vintage"].eq(vintage) & acs["source"].eq(acs["variable"].map(dict(variables)))]
    wide = rows.pivot(index="county_fips", columns="variable", values="value")
    index = pd.Index(counties.unique(), name="county_fips")
    return wide.reindex(index=index, columns=list(variables)).reset_index()


def yearly_covariates(
    population: pd.DataFrame, saipe: pd.DataFrame, labour: pd.DataFrame, snap: pd.DataFrame, acs: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return yearly covariates and economic outcomes on the panel's areas, one table a provider.

    New York City's labour force, employment and SNAP recipients are added up before they are divided; its poverty
    rate and median income are means of the five counties weighted by residents in 2010; its figures of the survey are
    weighted by people of 16 and over, which gives the rate of the five together.

    Args:
        population: county_fips, year, population.
        saipe: county_fips, year, poverty_rate in percent, median_household_income in dollars.
        labour: county_fips, year, labour_force, employed.
        snap: county_fips, year, snap_recipients.
        acs: the tidy table ``acs``; its five-year averages stand in the last year of their period.

    Returns:
        Tables ``saipe``, ``labour``, ``snap`` and ``acs``, keyed by county_fips and year; rates in percent.
    """
    residents = population[population["year"].eq(2010)].set_index("county_fips")["population"]
    key = ["county_fips", "year"]
    people = one_new_york(population[[*key, "population"]], key, None)
    work = one_new_york(labour[[*key, "labour_force", "employed"]], key, None)
    force = work["labour_force"].where(work["labour_force"] > 0)
    work["unemployment_rate"] = 100 * (1 - work["employed"] / force)
    everyone = _residents(work, people)
    work["labour_force_per_resident"] = 100 * work["labour_force"] / everyone
    work["employed_per_resident"] = 100 * work["employed"] / everyone
    food = one_new_york(snap[[*key, "snap_recipients"]], key, None)
    food["snap_share"] = 100 * food["snap_recipients"] / _residents(food, people)
    return {
        "saipe": one_new_york(saipe[[*key, "poverty_rate", "median_household_income"]], key, residents),
        "labour": work,
        "snap": food,
        "acs": people[key].merge(
            _surveyed(acs, population["county_fips"]), on=key, how="left", validate="one_to_one"
        ),
    }


def _residents(table: pd.DataFrame, people: pd.DataFrame) -> np.ndarray:
    """Return residents row for row with a table of county-years; missing where there are none."""
    key = ["county_fips", "year"]
    found = table[key].merge(people, on=key, how="left", validate="one_to_one")["population"]
    return found.where(found > 0).to_numpy(dtype=float)


def _surveyed(acs: pd.DataFrame, counties: pd.Series) -> pd.DataFrame:
    """Return participation and employment of people of 16 and over, in percent, in the last year of each period."""
    parts = []
    for vintage, year in SURVEY_YEARS.items():
        one = _survey(
            acs, counties, vintage, dict.fromkeys(("population_16_over", *SURVEYED.values()), "s2301")
        )
        adults = one.set_index("county_fips")["population_16_over"]
        rates = one[["county_fips"]].assign(**{name: 100 * one[given] for name, given in SURVEYED.items()})
        parts.append(one_new_york(rates, ["county_fips"], adults).assign(year=year))
    return pd.concat(parts, ignore_index=True)

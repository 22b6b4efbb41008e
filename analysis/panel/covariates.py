"""County covariates on the panel's areas: New York City's five counties become one, everything else stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.panel.crosswalk import NEW_YORK_CITY, NEW_YORK_COUNTIES

SUMMED = (
    "population",
    "labour_force",
    "employed",
    "snap_recipients",
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
)


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
) -> pd.DataFrame:
    """Return the covariates of fixed vintages, one row an area.

    Args:
        shares: county_fips, census_2010_population, land_area_sq_miles and shares in [0, 1] by vintage.
        population: county_fips, year, population.
        saipe: county_fips, year, poverty_rate in percent, median_household_income in dollars.
        labour: county_fips, year, labour_force, employed.
        votes: county_fips, year, democratic, total.

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
    income = one_new_york(saipe[saipe["year"].eq(2010)], ["county_fips", "year"], residents).set_index(
        "county_fips"
    )
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

    index = people.index
    table = area.reindex(index)
    derived = {
        "log_population_2000": np.log(people[2000].where(people[2000] > 0)),
        "log_population_2010": np.log(census.where(census > 0)).reindex(index),
        "log_density_2010": np.log((census / area["land_area_sq_miles"]).where(lambda d: d > 0)).reindex(
            index
        ),
        "poverty_2010": income["poverty_rate"].reindex(index) / 100,
        "log_income_2010": np.log(income["median_household_income"]).reindex(index),
        "unemployment_2000": idle[2000].reindex(index),
        "unemployment_2010": idle[2010].reindex(index),
        "democratic_vote_2000": blue[2000].reindex(index),
        "democratic_vote_2008": blue[2008].reindex(index),
    }
    table = table.assign(**derived).reset_index()
    return table[["county_fips", *FIXED]]


def yearly_covariates(
    population: pd.DataFrame, saipe: pd.DataFrame, labour: pd.DataFrame, snap: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return yearly covariates on the panel's areas, one table a provider, each keyed by county_fips and year."""
    residents = population[population["year"].eq(2010)].set_index("county_fips")["population"]
    key = ["county_fips", "year"]
    work = one_new_york(labour[[*key, "labour_force", "employed"]], key, None)
    force = work["labour_force"].where(work["labour_force"] > 0)
    work["unemployment_rate"] = 100 * (1 - work["employed"] / force)
    return {
        "saipe": one_new_york(saipe[[*key, "poverty_rate", "median_household_income"]], key, residents),
        "labour": work,
        "snap": one_new_york(snap[[*key, "snap_recipients"]], key, None),
    }

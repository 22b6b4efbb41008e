"""Cities as the areas of a panel: city-years under the columns that designs read.

What is the city's own: offences, people, and the rates and coverage made of them. What is not: there is no census
table of cities among the raw files, so covariates (but for the logarithm of residents) and federal policies are those of
the county that holds the city; and dated policies are documented for counties, so a city is treated when the county that
holds it has one. The lists of 2017 and 2025 name cities, undated. A list of cities with dates is brought as a csv.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.base.city_names import CityNames, cities_of_events, city_names
from analysis.base.codebook import load_codebook
from analysis.base.errors import TableError
from analysis.base.provenance import digest_of, digest_of_table
from analysis.base.records import Panel
from analysis.panel.agencies import MEASURES

WHOLE_COUNTY = 0.95
"""Share of its county's residents from which a city counts as the county's government too: city-counties, on lists."""

NEAREST_YEARS = 2
"""A city that prints no residents in the year of a covariate takes those of a year at most this far from it."""

OF_COUNTY = ("secure_communities", "agreement_287g", "declined_per_10k")
PER_10K = 10_000


def city_areas(panel: Panel, cities: pd.DataFrame) -> Panel:
    """Return a panel whose areas are cities.

    Args:
        panel: of counties; its policies, covariates, urban classes and divisions are read.
        cities: city-years under the contract ``cities``: Table 8 for 2005-2019 and the long series of cities of about
            100,000 and more for 1985-2012.

    Returns:
        A `Panel` with ``area = "city"``, its table sorted by city and year. ``county_fips`` holds the city's key (the
        county's code, a colon, the name), ``holding_county`` the county; a city that spans counties belongs to the one with
        most of its people. ``population`` and the counts are the city's; ``policed_<measure>`` is its population where it
        reports the measure, ``coverage_<measure>`` 1 or 0, ``rate_policed_<measure>`` per 100,000.
        ``log_population_<year>`` is the city's own, every other covariate the county's. ``policies`` holds documented policies of counties once for each city they hold, and the
        lists' cities under their keys; ``declines`` is empty, since recorded declines are of county jails.
        Reports: ``city_lists`` (see `list_report`) and ``unplaced_cities_of_lists`` (with the reason).

    Raises:
        TableError: the panel is not one of counties, a city's key begins with another state, or a city-year stands twice.

    Assumes:
        a county's policy reaches those its cities' police arrest, since they are booked into the county's jail; the
        residents of a city are like those of its county where covariates stand for it.

    Source:
        FBI, Crime in the United States, Table 8, 2005-2019, and the city series of its data tool, 1985-2012.

    Example:
        >>> panel = city_areas(load_panel(), load_cities())  # doctest: +SKIP
        >>> make_design(panel, load_spec("gonzalezobrien2019"))  # doctest: +SKIP
    """
    if panel.area != "county":
        raise TableError(f"a panel of area '{panel.area}'", "the panel of counties", "city_areas")
    table = _table(panel.table, cities)
    names = city_names(table)
    policies, lost = _policies(panel.policies, names, whole_counties(table, panel.table))
    return Panel(
        table=table,
        constant=table.iloc[:0],
        policies=policies,
        declines=panel.declines.iloc[:0],
        digest=digest_of([panel.digest, digest_of_table(table), digest_of_table(policies.astype(str))]),
        simulated=panel.simulated,
        reports={
            "city_lists": list_report(panel.policies, policies, table),
            "unplaced_cities_of_lists": lost,
        },
        area="city",
    )


def _table(counties: pd.DataFrame, cities: pd.DataFrame) -> pd.DataFrame:
    cities = cities.reset_index(drop=True)
    people = cities["population"].where(cities["population"] > 0)
    reported = {m: cities[m].where(people.notna()) for m in MEASURES}
    made = {"county_fips": cities["agency_id"].str.split(":", n=1).str[1], "population": people, **reported}
    made |= {f"policed_{m}": people.where(n.notna()) for m, n in reported.items()}
    made |= {f"coverage_{m}": n.notna().astype(float) for m, n in reported.items()}
    made |= {f"rate_policed_{m}": cities[f"rate_{m}"].where(n.notna()) for m, n in reported.items()}
    own = ["year", "state", "city_name", "source", "spans_counties"]
    table = pd.concat(
        [cities[own], cities["county_fips"].rename("holding_county"), pd.DataFrame(made)], axis=1
    )
    elsewhere = table["county_fips"].str[:2] != table["holding_county"].str[:2]
    if elsewhere.any():
        key = table.loc[elsewhere, "county_fips"].iloc[0]
        raise TableError(f"the city '{key}' lies in a county of another state", "one state a city", "cities")
    if table.duplicated(["county_fips", "year"]).any():
        key = table.loc[table.duplicated(["county_fips", "year"]), "county_fips"].iloc[0]
        raise TableError(f"the city '{key}' stands twice in a year", "one row a city and year", "cities")
    fixed = counties.drop_duplicates("county_fips").set_index("county_fips")
    of_county = {name: table["holding_county"].map(fixed[name]) for name in _fixed_columns(counties)}
    table = pd.concat([table, pd.DataFrame(of_county)], axis=1)
    yearly = counties.set_index(["county_fips", "year"])[[name for name in OF_COUNTY if name in counties]]
    at = pd.MultiIndex.from_arrays([table["holding_county"], table["year"]])
    table = pd.concat([table, yearly.reindex(at).reset_index(drop=True).set_axis(table.index)], axis=1)
    # As many as the county's number for 10,000 residents makes of the city's, so that means weigh counties by them.
    table["declined_detainers"] = table["declined_per_10k"] * table["population"] / PER_10K
    for name in _log_population():
        table[name] = table["county_fips"].map(log_residents(table, int(name[-4:])))
    return table.sort_values(["county_fips", "year"], ignore_index=True)


def _log_population() -> list[str]:
    return sorted(set(load_codebook().covariates["log_population"].values()))


def _fixed_columns(counties: pd.DataFrame) -> list[str]:
    covariates = {column for held in load_codebook().covariates.values() for column in held.values()}
    named = [name for name in counties if name in covariates and name not in _log_population()]
    return ["division", "urban_class", *named]


def log_residents(table: pd.DataFrame, year: int) -> pd.Series:
    """Return each city's log residents of a year, or of the nearest year within two; of two alike the earlier.

    Args:
        table: ``county_fips`` (a city's key), ``year``, ``population``.
        year: calendar year.

    Returns:
        By city; cities without a number that near are absent.

    Example:
        >>> rows = pd.DataFrame({"county_fips": "39035:euclid", "year": [2008, 2012], "population": [1.0, 9.0]})
        >>> log_residents(rows, 2010).tolist(), log_residents(rows, 2005).tolist()
        ([0.0], [])
    """
    near = table[["county_fips", "year", "population"]].dropna()
    near = near.assign(far=(near["year"] - year).abs())
    near = near[near["far"] <= NEAREST_YEARS].sort_values(["far", "year"], kind="stable")
    first = near.drop_duplicates("county_fips").set_index("county_fips")["population"]
    return pd.Series(np.log(first.to_numpy(dtype=float)), index=first.index)


def whole_counties(table: pd.DataFrame, counties: pd.DataFrame, year: int = 2010) -> frozenset[str]:
    """Return the cities that are their county: at least 95 % of its residents in a year.

    Args:
        table: city-years: ``county_fips`` (key), ``holding_county``, ``year``, ``population``.
        counties: county-years: ``county_fips``, ``year``, ``population``.
        year: calendar year.

    Example:
        >>> held = pd.DataFrame({"county_fips": ["08031:denver"], "holding_county": ["08031"], "year": 2010, "population": [98.0]})
        >>> sorted(whole_counties(held, pd.DataFrame({"county_fips": ["08031"], "year": 2010, "population": [100.0]})))
        ['08031:denver']
    """
    here = table[table["year"].eq(year)].set_index("county_fips")
    people = counties[counties["year"].eq(year)].set_index("county_fips")["population"]
    share = here["population"] / here["holding_county"].map(people)
    return frozenset(share.index[share >= WHOLE_COUNTY])


def _policies(
    events: pd.DataFrame, names: CityNames, whole: frozenset[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Events with cities in place of counties, and the lists' cities that could not be placed."""
    of_city = events["level"].eq("city")
    asked = events.loc[of_city, ["state", "jurisdiction", "county_fips"]].fillna("")
    found = [names.find(*row) for row in asked.itertuples(index=False, name=None)]
    keys = pd.Series("", index=events.index)
    keys[of_city] = [key for key, _ in found]
    why = pd.Series("", index=events.index)
    why[of_city] = [reason for _, reason in found]
    placed = events.assign(key=keys)[why.eq("")]
    out = cities_of_events(placed, names)
    # Where the city is the county, its government is on the list under either name.
    listed = out["direction"].eq("listed") & out["level"].eq("county") & out["county_fips"].isin(whole)
    out = out.assign(level=out["level"].mask(listed, "city"))
    lost = events.loc[why.ne(""), ["definition_source", "state", "jurisdiction"]].assign(
        reason=why[why.ne("")]
    )
    return out, lost.reset_index(drop=True)


def list_report(events: pd.DataFrame, placed: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return how many cities each list of policies reaches.

    Args:
        events: the lists as they are, of counties, cities and states.
        placed: events under the cities' keys.
        table: city-years.

    Returns:
        ``definition_source, level`` (of the entry), ``entries`` (jurisdictions), ``placed`` (entries that reach a city),
        ``cities`` (they reach: of a county all it holds, of a state all of its), ``cities_10k`` and ``cities_100k`` (of them
        those with so many residents in 2010), ``limited_by_2010`` (cities reached by a limit dated in or before 2010).
    """
    then = table[table["year"].eq(2010)].set_index("county_fips")["population"]
    home = table.drop_duplicates("county_fips").set_index("county_fips")["state"]
    rows = []
    unit = ["state", "jurisdiction", "county_fips"]
    for (source, level), part in events.groupby(["definition_source", "level"], sort=True):
        early = part["direction"].isin(["limit_partial", "limit_full"]) & part["year"].le(2010).fillna(False)

        def reached(some: pd.DataFrame, of_state: bool = level == "state") -> pd.Index:
            if of_state:
                return home.index[home.isin(some["state"])]
            return pd.Index(placed.loc[placed["event"].isin(some["event"]), "county_fips"].unique())

        keys = reached(part)
        people = then.reindex(keys)
        there = part["event"].isin(placed["event"])
        rows.append(
            {
                "definition_source": source,
                "level": level,
                "entries": len(part[unit].drop_duplicates()),
                "placed": len(part.loc[there, unit].drop_duplicates()),
                "cities": len(keys),
                "cities_10k": int((people >= 10_000).sum()),
                "cities_100k": int((people >= 100_000).sum()),
                "limited_by_2010": len(reached(part[early])),
            }
        )
    return pd.DataFrame(rows)

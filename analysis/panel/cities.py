"""City-year panel: Table 8 for 2005-2019, joined by the long series of large cities for 1985-2012.

Table 8 prints counts; the long series prints rates per 100,000 and a population, from which counts follow. Where both
have a city and year, Table 8 stands and the long series is used to check it.
"""

from __future__ import annotations

import pandas as pd

from analysis.panel.agencies import COUNTS, MEASURES, PER
from analysis.panel.crosswalk import AgencyDirectory, place_cities

SERIES_RATES = (
    "violent",
    "murder",
    "rape_legacy",
    "robbery",
    "aggravated_assault",
    "property",
    "burglary",
    "larceny",
    "motor_vehicle_theft",
)


def counts_from_rates(series: pd.DataFrame) -> pd.DataFrame:
    """Return the long series with counts in place of rates: rate times population, missing where either is.

    Args:
        series: population and ``rate_<measure>`` per 100,000 residents, for the measures in `SERIES_RATES`.

    Example:
        >>> row = {f"rate_{m}": 50.0 for m in SERIES_RATES} | {"population": 200_000.0}
        >>> counts_from_rates(pd.DataFrame([row]))["robbery"].tolist()
        [100.0]
    """
    people = series["population"] / PER
    counts = {m: series[f"rate_{m}"] * people for m in SERIES_RATES}
    return series.drop(columns=[f"rate_{m}" for m in SERIES_RATES]).assign(**counts)


def city_panel(
    printed: pd.DataFrame, shares: pd.DataFrame, series: pd.DataFrame, directory: AgencyDirectory
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join Table 8 and the long series into one city-year panel.

    Args:
        printed: agency_id, state, agency_name, year, population and counts of Table 8.
        shares: placement of the printed agencies, from `place_cities`.
        series: state, agency_name, year, population and rates per 100,000 of the long series.
        directory: reference tables, to place the cities of the long series by the same rules.

    Returns:
        The panel under the contract ``cities``, and a report with a row for each city of the long series: whether it
        was placed, matched to Table 8, and the largest relative difference in property crime where both print it.
    """
    long = counts_from_rates(series)
    office = r"\s+(?:\(city\)\s+)?(?:city\s+)?(?:metropolitan\s+)?(?:bureau of |dept of )?(?:police|sheriff|public safety).*$"
    long["city"] = (
        long["agency_name"]
        .str.replace(office, "", case=False, regex=True)
        .str.replace(r"^City Of ", "", regex=True)
    )
    names = (
        long.groupby(["state", "city"], as_index=False)["population"]
        .max()
        .rename(columns={"city": "agency_name"})
    )
    placed = place_cities(names, directory).shares.drop_duplicates(["state", "agency_name"])
    long = long.merge(
        placed[["state", "agency_name", "agency_id"]].rename(columns={"agency_name": "city"}),
        on=["state", "city"],
        how="left",
    )
    found = long[long["agency_id"].notna()].drop_duplicates(["agency_id", "year"])
    both = found.merge(
        printed[["agency_id", "year", "property"]], on=["agency_id", "year"], suffixes=("", "_printed")
    )
    gap = (both["property"] / both["property_printed"] - 1).abs().groupby(both["agency_id"]).max()
    report = long.groupby(["state", "city"], as_index=False).agg(
        agency_id=("agency_id", "first"), years=("year", "nunique"), population=("population", "max")
    )
    report["placed"] = report["agency_id"].notna()
    report["in_table8"] = report["agency_id"].isin(set(printed["agency_id"]))
    report["largest_gap"] = report["agency_id"].map(gap)

    extra = found.merge(
        printed[["agency_id", "year"]].assign(known=True), on=["agency_id", "year"], how="left"
    )
    extra = (
        extra[extra["known"].isna()]
        .drop(columns=["known", "agency_name"])
        .rename(columns={"city": "city_name"})
    )
    main = pd.concat([shares, placed]).drop_duplicates("agency_id").set_index("agency_id")
    first = printed.sort_values("year").rename(columns={"agency_name": "city_name"})
    columns = ["agency_id", "year", "state", "city_name", "population", *COUNTS]
    table = pd.concat(
        [first[columns].assign(source="table8"), extra.reindex(columns=columns).assign(source="city_series")],
        ignore_index=True,
    )
    table["county_fips"] = table["agency_id"].map(main["main_county"])
    # A printed identity may carry a suffix that tells a town from its city; its county is that of the plain one.
    plain = table["agency_id"].str.split("=").str[0]
    table["county_fips"] = table["county_fips"].fillna(plain.map(main["main_county"]))
    table["spans_counties"] = plain.map(main["spans_counties"]).eq(True)
    table["rape"] = table["rape_legacy"].fillna(table["rape_revised"])
    table["violent_ex_rape"] = table["murder"] + table["robbery"] + table["aggravated_assault"]
    table["total"] = table["violent"] + table["property"]
    table["total_with_arson"] = table["total"] + table["arson"]
    people = table["population"].where(table["population"] > 0)
    rates = {f"rate_{m}": table[m] / people * PER for m in MEASURES}
    table = (
        pd.concat([table, pd.DataFrame(rates)], axis=1)
        .sort_values(["agency_id", "year"])
        .reset_index(drop=True)
    )
    return table, report

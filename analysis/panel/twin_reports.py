"""The simulated city panel and the reports of the simulated build: names and columns of the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.panel import agencies as ag
from analysis.panel.build import YEARS, coverage_by, nobodys_crime
from analysis.panel.twin_crime import Agencies, Rates
from analysis.panel.twin_frame import BASE


def make_reports(
    parameters: Mapping[str, Any],
    panel: pd.DataFrame,
    cities: pd.DataFrame,
    made: Agencies,
    facilities: pd.DataFrame,
    rng: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """Return the reports the real build writes, by the same names and with the same columns."""
    printed = made.cities.printed
    ever = made.names["agency_id"].isin(set(printed["agency_id"]))
    people = made.cities.expected.query("year == 2010").set_index("agency_id")["population"]
    never = made.names[~ever].assign(population=lambda t: t["agency_id"].map(people))
    series = cities[cities["source"].eq("city_series")]
    first = series.groupby(["state", "city_name", "agency_id"], as_index=False).agg(
        years=("year", "nunique"), population=("population", "max")
    )
    sizes = printed.groupby("agency_id")["population"].max()
    return {
        "unplaced_cities": pd.DataFrame(
            {"state": pd.Series(dtype="str"), "agency_name": pd.Series(dtype="str"), "population": pd.Series(dtype="float64")}
        ),
        "unplaced_county_agencies": pd.DataFrame(
            {"year": pd.Series(dtype="int64")} | {c: pd.Series(dtype="str") for c in ("state", "agency_name", "county_name")}
        ),
        "placement_rules": pd.DataFrame({"how": ["simulated"], "cities": [len(sizes)], "population": [float(sizes.sum())]}),
        "placed_share": pd.DataFrame({"year": list(YEARS), "share_of_city_population_placed": 1.0}),
        "departments_never_printed": never.groupby("state", as_index=False)
        .agg(departments=("agency_id", "size"), population_2010=("population", "sum"))
        .astype({"population_2010": "int64"}),
        "city_series": first.rename(columns={"city_name": "city"}).assign(placed=True, in_table8=lambda t: t["agency_id"].isin(set(printed["agency_id"])), largest_gap=0.0),
        "coverage_by_year": coverage_by(panel, ["year"]),
        "coverage_by_state": coverage_by(panel, ["state", "year"]),
        "national_totals": _national(parameters, panel, made),
        "nobodys_crime": _nobody(parameters, panel, rng),
        "facilities": facilities,
        "unread_rows": pd.DataFrame(
            {"year": pd.Series(dtype="int64"), "table": pd.Series(dtype="str"), "state": pd.Series(dtype="str"), "row": pd.Series(dtype="int64"),
             "content": pd.Series(dtype="str"), "reason": pd.Series(dtype="str")}
        ),
    }  # fmt: skip


def _national(parameters: Mapping[str, Any], panel: pd.DataFrame, made: Agencies) -> pd.DataFrame:
    """Return simulated national totals: what agencies print over the share of the nation they hold."""
    rows = pd.concat(
        [
            made.cities.printed[["year", "violent", "property"]],
            made.county_rows[["year", "violent", "property"]],
        ]
    )
    grouped = rows.groupby("year")
    out = pd.DataFrame({"benchmark": "simulated", "agencies": grouped.size()})
    placed = panel.groupby("year")[["violent", "property"]].sum()
    for m in ("violent", "property"):
        share = pd.Series(parameters[f"{m}_share_by_year"], index=list(YEARS))
        out[f"{m}_agencies"] = grouped[m].sum()
        out[f"{m}_total"] = (out[f"{m}_agencies"] / share).round()
        out[f"{m}_share"] = out[f"{m}_agencies"] / out[f"{m}_total"]
    return out.assign(violent_in_panel=placed["violent"], property_in_panel=placed["property"]).reset_index()


def _nobody(parameters: Mapping[str, Any], panel: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return simulated crime of agencies that serve nobody the panel counts, 2013-2015."""
    shares = parameters["other_agencies_share"]
    rows = panel[panel["year"].between(2013, 2015) & panel["state"].isin(shares)]
    ours = rows.groupby(["state", "year"], as_index=False)[["violent", "property"]].sum()
    for j, m in enumerate(("violent", "property")):
        share = np.array([shares[s][j] for s in ours["state"]])
        ours[m] = rng.poisson(ours[m].to_numpy() * share / (1 - share)).astype(float)
    return nobodys_crime(ours, panel)


def city_table(
    parameters: Mapping[str, Any], made: Agencies, frame: pd.DataFrame, rates: Rates, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the city-year panel: printed city agencies, and before 2005 the large ones carried back along long trends.

    Args:
        parameters: the whole parameter file.
        made: simulated agencies.
        frame: county_fips, row for row with the rates.
        rates: of counties.
        rng: source of draws.
    """
    main = made.cities.shares.drop_duplicates("agency_id").set_index("agency_id")
    named = made.names.set_index("agency_id")
    printed = made.cities.printed.drop(columns="not_comparable")
    table = printed.assign(source="table8")

    part = parameters["agencies"]
    first = made.cities.expected.query("year == @YEARS[0]").set_index("agency_id")["population"]
    big = first[first >= float(part["long_series_cities_of"])]
    series = part["long_series_from_1985"]
    back = len(next(iter(series.values())))
    years = np.arange(YEARS[0] - back, YEARS[0])
    row = (
        pd.Series(np.arange(len(frame)), index=frame["county_fips"])
        .reindex(named.loc[big.index, "county_fips"])
        .to_numpy()
    )
    people = big.to_numpy()[:, None] * np.exp(-0.01 * (YEARS[0] - years))[None]
    long = pd.DataFrame(
        {
            "agency_id": np.repeat(big.index.to_numpy(), back),
            "year": np.tile(years, len(big)),
            "population": np.round(people.ravel()),
        }
    )
    for m, path in series.items():
        rate = rates.observed[row, 0, BASE.index(m)][:, None] * np.exp(np.asarray(path))[None]
        long[m] = rng.poisson(people * rate / ag.PER).ravel().astype(float)
    # The long series has neither.
    long["rape_revised"] = long["arson"] = np.nan
    long["violent"] = long[["murder", "rape_legacy", "robbery", "aggravated_assault"]].sum(axis=1)
    long["property"] = long[["burglary", "larceny", "motor_vehicle_theft"]].sum(axis=1)
    table = pd.concat([table, ag.with_derived_counts(long).assign(source="city_series")], ignore_index=True)

    table["state"] = table["agency_id"].map(named["state"])
    table["city_name"] = table["agency_id"].map(named["agency_name"])
    table["county_fips"] = table["agency_id"].map(main["main_county"])
    table["spans_counties"] = table["agency_id"].map(main["spans_counties"]).eq(True)
    resident = table["population"].where(table["population"] > 0)
    per_head = {f"rate_{m}": table[m] / resident * ag.PER for m in ag.MEASURES}
    return (
        pd.concat([table, pd.DataFrame(per_head)], axis=1)
        .sort_values(["agency_id", "year"])
        .reset_index(drop=True)
    )

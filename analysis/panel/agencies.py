"""Agency-years to county-years: offences, the people policed, coverage.

The coverage measure. Every resident of a county is policed either by the police of a place or by the county's own
agencies. A place has its own police if it was ever printed in Table 8 in 2005-2019, or if the national crosswalk of
agencies lists a local police department for it; everyone else is the *remainder*, policed by the sheriff or the
county police. An agency that is not printed in a year did not report twelve months: its residents are uncovered.
Coverage of an outcome is the share of residents whose agency reports that outcome. Where a county has several
county agencies, each stands for a part of the remainder in proportion to the offences it usually records.

Its limits. Residents are not the only victims or offenders; state, university and tribal police are outside
Tables 8 and 10, so a county policed by the state police looks uncovered in its remainder; an agency list of one
moment cannot date the founding or closing of a department; a sheriff who polices nobody but prints zeros counts as
covering the remainder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.base.errors import TableError

PER = 100_000
"""Rates are per this many residents."""

FEWEST_OUTSIDE = 1_000
"""Residents outside places with their own police below whom no rate of county agencies over them is made: offences of a
sheriff who patrols a whole county over the few dozen residents of its gaps say where a boundary runs."""

MEASURES = (
    "murder",
    "rape_legacy",
    "rape_revised",
    "rape",
    "robbery",
    "aggravated_assault",
    "burglary",
    "larceny",
    "motor_vehicle_theft",
    "arson",
    "violent",
    "violent_ex_rape",
    "property",
    "total",
    "total_with_arson",
)
DERIVED = ("rape", "violent_ex_rape", "total", "total_with_arson")
COUNTS = tuple(measure for measure in MEASURES if measure not in DERIVED)
"""What the FBI prints; the rest is added up here."""


@dataclass(frozen=True, slots=True)
class CityAgencies:
    """City agencies in counties.

    Args:
        printed: agency_id, year, population and the counts of Table 8: one row an agency and year.
        shares: agency_id, county_fips, share, main_county, spans_counties: one row an agency and county.
        expected: agency_id, year, population: every agency in every year, printed or not.
    """

    printed: pd.DataFrame
    shares: pd.DataFrame
    expected: pd.DataFrame


def with_derived_counts(agencies: pd.DataFrame) -> pd.DataFrame:
    """Add rape by either definition, violent crime excluding rape, the total without and with arson; missing where a part is.

    An agency reports rape by one definition a year.

    Example:
        >>> row = dict.fromkeys(COUNTS, 1.0) | {"violent": 4.0, "property": 3.0}
        >>> row |= {"rape_legacy": float("nan"), "rape_revised": 2.0}
        >>> with_derived_counts(pd.DataFrame([row]))[list(DERIVED)].iloc[0].tolist()
        [2.0, 3.0, 7.0, 8.0]
    """
    return agencies.assign(
        rape=agencies["rape_legacy"].fillna(agencies["rape_revised"]),
        violent_ex_rape=agencies["murder"] + agencies["robbery"] + agencies["aggravated_assault"],
        total=agencies["violent"] + agencies["property"],
        total_with_arson=agencies["violent"] + agencies["property"] + agencies["arson"],
    )


def expected_population(
    printed: pd.DataFrame, main_county: pd.Series, county_population: pd.DataFrame, years: Sequence[int]
) -> pd.DataFrame:
    """Return the population of every agency in every year.

    A printed year keeps its printed figure. In the other years the agency's share of its main county is
    interpolated between printed years, and held constant before the first and after the last.

    Args:
        printed: agency_id, year, population.
        main_county: county_fips by agency_id.
        county_population: residents, counties in rows and years in columns.
        years: years wanted.

    Returns:
        agency_id, year, population.
    """
    wide = printed.pivot(index="agency_id", columns="year", values="population").reindex(columns=list(years))
    county = county_population.reindex(index=main_county.reindex(wide.index).to_numpy(), columns=list(years))
    resident = np.maximum(county.to_numpy(dtype=float), 1.0)
    share = (wide / resident).T.interpolate(limit_direction="both").T
    filled = wide.where(wide.notna(), share * resident)
    return filled.rename_axis(columns="year").stack().rename("population").reset_index()


def constant_agencies(rows: pd.DataFrame, window: tuple[int, int]) -> pd.DataFrame:
    """Keep agencies that report violent crime excluding rape and property crime in every year of a window.

    Args:
        rows: agency_id, year and counts.
        window: first and last year.
    """
    years = range(window[0], window[1] + 1)
    full = rows[rows["year"].isin(years) & rows["violent_ex_rape"].notna() & rows["property"].notna()]
    present = full.groupby("agency_id")["year"].nunique()
    return rows[rows["agency_id"].isin(present[present == len(years)].index)]


def remainder(expected: pd.DataFrame, shares: pd.DataFrame, population: pd.DataFrame) -> pd.DataFrame:
    """Return each county-year's residents in places with their own police, and the rest.

    Args:
        expected: agency_id, year, population of every city agency.
        shares: agency_id, county_fips, share.
        population: county_fips, year, population.

    Returns:
        county_fips, year, population, in_places, remainder (never below zero: printed city populations can exceed
        the county's), residents (in_places plus remainder).
    """
    placed = expected.merge(shares[["agency_id", "county_fips", "share"]], on="agency_id")
    placed["in_places"] = placed["population"] * placed["share"]
    inside = placed.groupby(["county_fips", "year"], as_index=False)["in_places"].sum()
    table = population.merge(inside, on=["county_fips", "year"], how="left").fillna({"in_places": 0.0})
    table["remainder"] = (table["population"] - table["in_places"]).clip(lower=0)
    table["residents"] = table["in_places"] + table["remainder"]
    return table


def usual_share(county_rows: pd.DataFrame) -> pd.Series:
    """Return by agency_id the part of its county's remainder a county agency stands for.

    In proportion to the offences it records in an average year in which it is printed; equal parts where all
    record none. Parts of a county sum to one over the agencies ever printed there.
    """
    size = county_rows.assign(size=county_rows[["violent_ex_rape", "property"]].sum(axis=1, min_count=1))
    usual = size.groupby(["county_fips", "agency_id"])["size"].mean().fillna(0.0).rename("size").reset_index()
    total = usual.groupby("county_fips")["size"].transform("sum")
    count = usual.groupby("county_fips")["size"].transform("size")
    usual["part"] = np.where(total > 0, usual["size"] / total.where(total > 0, 1.0), 1.0 / count)
    return usual.set_index("agency_id")["part"]


def county_years(
    cities: CityAgencies,
    county_rows: pd.DataFrame,
    places: pd.DataFrame,
    parts: pd.Series,
    measures: Iterable[str] = MEASURES,
) -> pd.DataFrame:
    """Return counts, people policed, coverage and rates by county and year.

    Args:
        cities: city agencies; ``printed`` decides what is counted, so a subset gives the panel of that subset.
        county_rows: agency_id, county_fips, year and counts of county agencies.
        places: result of `remainder`.
        parts: result of `usual_share`, over every county agency ever printed.
        measures: outcomes.

    Returns:
        county_fips, year and, for each measure, ``m``, ``policed_m``, ``coverage_m``, ``county_agency_m``,
        ``county_policed_m`` (residents outside places with their own police, of the county agencies that report),
        ``rate_policed_m``, ``rate_county_population_m``, ``rate_county_agencies_m``, ``rate_outside_cities_m`` (missing
        among fewer than ``FEWEST_OUTSIDE`` residents).

    Source:
        The FBI's note to Table 10 ("do not reflect county totals") is why offences and residents are matched.
    """
    measures = list(measures)
    key = ["county_fips", "year"]
    split = cities.printed.merge(cities.shares[["agency_id", "county_fips", "share"]], on="agency_id")
    share = split["share"].to_numpy()[:, None]
    resident = np.nan_to_num(split["population"].to_numpy())[:, None]
    counts = split[measures].to_numpy(dtype=float)
    city = pd.DataFrame(counts * share, columns=measures).assign(**{k: split[k] for k in key})
    policed = pd.DataFrame(~np.isnan(counts) * resident * share, columns=measures).assign(
        **{k: split[k] for k in key}
    )
    city_counts = city.groupby(key)[measures].sum(min_count=1)
    city_policed = policed.groupby(key)[measures].sum()

    own = county_rows.merge(parts.rename("part"), left_on="agency_id", right_index=True)
    own_counts = own.groupby(key)[measures].sum(min_count=1)
    reported = own[measures].notna().mul(own["part"], axis=0).assign(**{k: own[k] for k in key})
    own_part = reported.groupby(key)[measures].sum()

    frame = places.set_index(key)
    index = frame.index
    city_counts, city_policed = city_counts.reindex(index), city_policed.reindex(index).fillna(0.0)
    own_counts, own_part = own_counts.reindex(index), own_part.reindex(index).fillna(0.0)
    both = city_counts.add(own_counts, fill_value=0.0)
    outside = own_part.mul(frame["remainder"], axis=0)
    covered = city_policed + outside
    residents = frame["residents"].where(frame["residents"] > 0)
    population = frame["population"].where(frame["population"] > 0)

    columns: dict[str, pd.Series] = {}
    for m in measures:
        people = covered[m].where(covered[m] > 0)
        columns[m] = both[m]
        columns[f"policed_{m}"] = covered[m]
        columns[f"coverage_{m}"] = (covered[m] / residents).clip(upper=1.0)
        columns[f"county_agency_{m}"] = own_counts[m]
        columns[f"county_policed_{m}"] = outside[m]
        columns[f"rate_policed_{m}"] = both[m] / people * PER
        columns[f"rate_county_population_{m}"] = both[m] / population * PER
        columns[f"rate_county_agencies_{m}"] = own_counts[m] / population * PER
        columns[f"rate_outside_cities_{m}"] = (
            own_counts[m] / outside[m].where(outside[m] >= FEWEST_OUTSIDE) * PER
        )
    return pd.DataFrame(columns, index=index).reset_index()


def refuse_mismatched_rates(
    table: pd.DataFrame, measures: Iterable[str] = MEASURES, tolerance: float = 1e-9
) -> None:
    """Refuse a panel whose rates do not divide their offences by the people they were committed among (rule 1).

    Args:
        table: county-years under the contract ``panel``.
        measures: outcomes to check.
        tolerance: relative difference allowed between a rate and offences over residents.

    Raises:
        TableError: a rate is another quotient, or offences stand without residents policed.

    Example:
        >>> row = {"county_fips": "01001", "year": 2010, "population": 2e5, "murder": 2.0, "policed_murder": 1e5,
        ...        "county_agency_murder": 1.0, "rate_policed_murder": 1.0, "rate_county_population_murder": 1.0,
        ...        "rate_county_agencies_murder": 0.5, "county_policed_murder": 5e4, "rate_outside_cities_murder": 2.0}
        >>> refuse_mismatched_rates(pd.DataFrame([row]), ["murder"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.TableError: rate_policed_murder of 01001 in 2010 is 1, but 2 offences among 100,000 ...
    """
    for m in measures:
        for rate, offences, people in (
            (f"rate_policed_{m}", m, f"policed_{m}"),
            (f"rate_county_population_{m}", m, "population"),
            (f"rate_county_agencies_{m}", f"county_agency_{m}", "population"),
            (f"rate_outside_cities_{m}", f"county_agency_{m}", f"county_policed_{m}"),
        ):
            found = table[rate].to_numpy(dtype=float)
            residents = table[people].to_numpy(dtype=float)
            with np.errstate(divide="ignore", invalid="ignore"):
                right = table[offences].to_numpy(dtype=float) / residents * PER
            known = ~np.isnan(found)
            wrong = np.flatnonzero(
                known & ~(np.abs(found - right) <= tolerance * np.maximum(np.abs(right), 1.0))
            )
            if len(wrong):
                row = table.iloc[wrong[0]]
                raise TableError(
                    f"{rate} of {row['county_fips']} in {row['year']} is {row[rate]:g}, but {row[offences]:g} offences "
                    f"among {row[people]:,.0f} residents make {right[wrong[0]]:g} ({len(wrong)} rows): the two cover "
                    "different people",
                    f"{offences} over {people}, per {PER:,}",
                    "the step that makes the rate",
                )


def reporting(cities: CityAgencies, county_rows: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Return who was expected to report and who did, by county and year.

    Returns:
        county_fips, year, agencies_expected, agencies_reporting, county_policed_share, county_agency_reports,
        spanning_share, not_comparable, rape_revised_share.
    """
    key = ["county_fips", "year"]
    main = cities.shares.drop_duplicates("agency_id").set_index("agency_id")["main_county"]
    frame = places.set_index(key)
    city_expected = (
        cities.expected.assign(county_fips=cities.expected["agency_id"].map(main)).groupby(key).size()
    )
    city_printed = (
        cities.printed.assign(county_fips=cities.printed["agency_id"].map(main)).groupby(key).size()
    )
    ever = county_rows.groupby("county_fips")["agency_id"].nunique()
    own_expected = pd.Series(frame.index.get_level_values("county_fips").map(ever), index=frame.index).fillna(
        0
    )
    # A county whose remainder is policed by no printed agency still has one to be expected.
    own_expected = own_expected.where((own_expected > 0) | (frame["remainder"] <= 0), 1)
    own_printed = county_rows.groupby(key)["agency_id"].nunique().reindex(frame.index).fillna(0)

    split = cities.printed.merge(
        cities.shares[["agency_id", "county_fips", "share", "spans_counties"]], on="agency_id"
    )
    people = split["population"].fillna(0.0) * split["share"]
    rape = split["rape_legacy"].notna() | split["rape_revised"].notna()
    sums = (
        pd.DataFrame(
            {
                "people": people,
                "spanning": people * split["spans_counties"],
                "rape": people * rape,
                "revised": people * split["rape_revised"].notna(),
                **{k: split[k] for k in key},
            }
        )
        .groupby(key)
        .sum()
        .reindex(frame.index)
    )
    flags = pd.concat([split[[*key, "not_comparable"]], county_rows[[*key, "not_comparable"]]])
    not_comparable = flags.groupby(key)["not_comparable"].any().reindex(frame.index)
    return pd.DataFrame(
        {
            "agencies_expected": (city_expected.reindex(frame.index).fillna(0) + own_expected).astype(
                "int64"
            ),
            "agencies_reporting": (city_printed.reindex(frame.index).fillna(0) + own_printed).astype("int64"),
            "county_policed_share": (frame["remainder"] / frame["residents"].where(frame["residents"] > 0)),
            "county_agency_reports": own_printed > 0,
            "spanning_share": sums["spanning"] / sums["people"].where(sums["people"] > 0),
            "not_comparable": not_comparable.eq(True),
            "rape_revised_share": sums["revised"] / sums["rape"].where(sums["rape"] > 0),
        },
        index=frame.index,
    ).reset_index()

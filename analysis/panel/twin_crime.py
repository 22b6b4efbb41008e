"""Simulated crime: rates of counties with known effects, agencies that record them, and who reports.

Counties have rates; a county's agencies record them in proportion to the residents they police, cities more per head
than sheriffs; an agency that does not report twelve months is not printed. From there on the tables go through the
same code as the real ones (`analysis.panel.agencies`), so that coverage and rates mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from analysis.panel import agencies as ag
from analysis.panel.build import CONSTANT_WINDOW, YEARS
from analysis.panel.twin_frame import BASE, CLASSES, SIZES, correlation_of, exposure, fading

T = len(YEARS)
M = len(BASE)
RAPE = BASE.index("rape_legacy")
ARSON = BASE.index("arson")
VIOLENT_EX_RAPE = tuple(BASE.index(m) for m in ("murder", "robbery", "aggravated_assault"))
PROPERTY = tuple(BASE.index(m) for m in ("burglary", "larceny", "motor_vehicle_theft"))
SUMS: Mapping[str, tuple[int, ...]] = {
    "violent_ex_rape": VIOLENT_EX_RAPE,
    "violent": (*VIOLENT_EX_RAPE, RAPE),
    "property": PROPERTY,
    "total": (*VIOLENT_EX_RAPE, RAPE, *PROPERTY),
    "total_with_arson": (*VIOLENT_EX_RAPE, RAPE, *PROPERTY, ARSON),
}
"""Measures made from the drawn ones."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of counties before anyone counts.

    Args:
        without: (counties, years, offences) per 100,000 residents had no county limited detainers.
        effect: (counties, years, offences) log points the policies add.
    """

    without: np.ndarray
    effect: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        """Rates with the policies in force."""
        return np.asarray(self.without * np.exp(self.effect))


@dataclass(frozen=True, slots=True)
class Agencies:
    """Simulated agencies, in the form the real ones have.

    Args:
        cities: city agencies with what they print.
        county_rows: what county agencies print.
        names: agency_id, state, agency_name, county_fips of city agencies.
        parts: part of its county's remainder each county agency stands for.
        population: county_fips, year, population.
    """

    cities: ag.CityAgencies
    county_rows: pd.DataFrame
    names: pd.DataFrame
    parts: pd.Series
    population: pd.DataFrame


def cohort_factor(cohorts: list[dict[str, Any]], year: np.ndarray) -> np.ndarray:
    """Return by how much the effect of a cohort differs; 1 outside every stated range.

    Example:
        >>> cohort_factor([{"first": 2014, "last": 2015, "factor": 0.5}], np.array([2013, 2015])).tolist()
        [1.0, 0.5]
    """
    factor = np.ones(len(year))
    for part in cohorts:
        factor = np.where((year >= part["first"]) & (year <= part["last"]), float(part["factor"]), factor)
    return factor


def effects(parameters: Mapping[str, Any], frame: pd.DataFrame, adoptions: pd.DataFrame) -> np.ndarray:
    """Return log points the policies add, by county, year and offence.

    Args:
        parameters: section ``effects``.
        frame: county_fips, row for row with the result.
        adoptions: result of `analysis.panel.twin_frame.spells`.
    """
    county = pd.Series(np.repeat(frame["county_fips"].to_numpy(), T))
    year = pd.Series(np.tile(np.array(YEARS), len(frame)))
    on = exposure(adoptions, county, year, float(parameters["half_year"])).reshape(len(frame), T)
    cohort = adoptions.set_index("county_fips")["cohort"].reindex(frame["county_fips"]).fillna(0).to_numpy()
    size = np.array([parameters["log_points"][m] for m in BASE])
    return np.asarray(on[:, :, None] * cohort_factor(parameters["cohorts"], cohort)[:, None, None] * size)


def county_rates(
    parameters: Mapping[str, Any],
    frame: pd.DataFrame,
    traits: pd.DataFrame,
    adoptions: pd.DataFrame,
    rng: np.random.Generator,
    quiet: bool,
) -> Rates:
    """Return rates of counties: own level, national trend, state-years, county-years, confounders and known effects.

    Args:
        parameters: the whole parameter file.
        frame: county_fips, state.
        traits: log_population_2010 and ``log_rate_*`` of each county.
        adoptions: when documented full limits act.
        rng: source of draws.
        quiet: leave out everything but levels, trends and effects.
    """
    crime = parameters["crime"]
    level = traits[[f"log_rate_{m}" for m in BASE]].to_numpy()
    trend = np.array([crime["trend"][m] for m in BASE]).T
    log = level[:, None, :] + trend[None]
    if not quiet:
        root = np.linalg.cholesky(correlation_of(crime["year_correlation"]))
        states = pd.factorize(frame["state"], sort=True)[0]
        kept = np.array([crime["persistence"][m] for m in BASE])
        state_kept = np.array([crime["state_year_persistence"][m] for m in BASE])
        own = fading(rng, (len(frame), T, M), kept) @ root.T
        shared = fading(rng, (states.max() + 1, T, M), state_kept) @ root.T
        size = np.digitize(np.exp(traits["log_population_2010"].to_numpy()), SIZES) - 1
        spread = np.array([crime["county_year_sd_by_size"][m] for m in BASE]).T[size]
        of_states = np.array([crime["state_year_sd"][m] for m in BASE])
        # Less half the variance, so that rates, not their logs, have the stated means.
        log = (
            log
            + own * spread[:, None, :]
            + shared[states] * of_states
            - (spread[:, None, :] ** 2 + of_states**2) / 2
        )
        for shock in parameters["confounders"]:
            where = frame["state"].eq(shock["state"]).to_numpy()
            when = (np.array(YEARS) >= shock["first"]) & (np.array(YEARS) <= shock["last"])
            which = np.isin(BASE, shock["measures"])
            log = log + float(shock["log_points"]) * (where[:, None, None] & when[None, :, None] & which)
    return Rates(np.exp(log), effects(parameters["effects"], frame, adoptions))


# --- agencies ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cities:
    county: np.ndarray  # row of the frame
    share: np.ndarray  # of the county's residents
    second: np.ndarray  # row of the frame of a second county, or -1
    second_share: np.ndarray  # of the city's residents there
    never: np.ndarray  # exists, and is never printed
    remainder: np.ndarray  # by county: share of residents outside every city


def _draw_cities(
    parameters: Mapping[str, Any],
    frame: pd.DataFrame,
    traits: pd.DataFrame,
    rng: np.random.Generator,
    quiet: bool,
) -> _Cities:
    places, odd = parameters["places"], parameters["odd"]
    n = len(frame)
    code = pd.Categorical(frame["urban_class"], categories=CLASSES).codes
    state = frame["state"].to_numpy()
    mean_size = np.array([parameters["traits"]["mean"][c][0] for c in CLASSES])[code]
    larger = traits["log_population_2010"].to_numpy() - mean_size
    log = (
        np.asarray(places["log_cities_by_class"])[code]
        + float(places["log_cities_per_log_population"]) * larger
        + np.array([places["log_cities_by_state"].get(s, 0.0) for s in state])
        + float(places["log_cities_sd"]) * rng.standard_normal(n)
    )
    number = np.clip(np.round(np.expm1(log)), 1, int(odd["most_cities"])).astype(int)
    number = np.where(rng.random(n) < np.asarray(places["without_cities_by_class"])[code], 0, number)
    rest = (
        np.asarray(places["county_share_by_class"])[code]
        + np.array([places["county_share_by_state"].get(s, 0.0) for s in state])
        + float(places["county_share_sd"]) * rng.standard_normal(n)
    )
    rest = np.clip(rest, 0.0, 0.98)
    fips = frame["county_fips"].to_numpy().astype(str)
    whole = np.isin(fips, odd["one_force"]) | np.isin(
        np.array([f[:3] for f in fips]), odd["one_force_beginning"]
    )
    number, rest = np.where(whole, 1, number), np.where(whole, 0.0, rest)
    number = np.where(np.isin(fips, odd["without_agencies"]), 0, number)
    number = number + np.isin(fips, odd["without_residents"])
    rest = np.where(number == 0, 1.0, rest)

    county = np.repeat(np.arange(n), number)
    size = np.exp(float(places["city_size_sd"]) * rng.standard_normal(len(county)))
    last = np.r_[county[1:] != county[:-1], True] if len(county) else np.zeros(0, dtype=bool)
    size = np.where(last & np.isin(fips[county], odd["without_residents"]), 0.0, size)
    # Departments that are never printed are small ones.
    never = rng.random(len(county)) < float(places["never_printed_per_city"]) / (
        1 + float(places["never_printed_per_city"])
    )
    never &= ~whole[county]
    size = np.where(never, 0.2 * size, size)
    total = np.bincount(county, size, minlength=n)
    share = size / np.maximum(total, 1e-12)[county] * (1 - rest)[county]
    remainder = 1 - np.bincount(county, share, minlength=n)
    second = np.full(len(county), -1)
    if not quiet:
        spans = rng.random(len(county)) < float(places["spanning_share"])
        following = np.minimum(county + 1, n - 1)
        spans &= (
            (state[following] == state[county])
            & (following != county)
            & ~whole[county]
            & ~whole[following]
            & (number[following] > 0)
        )
        second = np.where(spans, following, -1)
    return _Cities(
        county, share, second, np.where(second >= 0, 0.2, 0.0), never, np.clip(remainder, 0.0, 1.0)
    )


def _reports(
    part: Mapping[str, Any],
    state: np.ndarray,
    people: np.ndarray,
    at: float,
    rng: np.random.Generator,
    quiet: bool,
) -> np.ndarray:
    """Return (agencies, years) flags: a normal score, part lasting and part fading, below its state-year's threshold."""
    if quiet:
        return np.ones((len(state), T), dtype=bool)
    names = sorted(set(state))
    table = np.array([part["share"].get(s, [0.0] * T) for s in names], dtype=float)
    # Shares of one and of nothing are rounded ones, but a hole is a hole.
    cut = np.where(table <= 0, -np.inf, ndtri(np.clip(table, 0.003, 0.997)))
    code = np.searchsorted(names, state)
    bar = cut[code] + float(part["per_log_size"]) * np.log(np.maximum(people, 100) / at)[:, None]
    lasting = float(part["lasting_share"])
    score = np.sqrt(lasting) * rng.standard_normal((len(state), 1)) + np.sqrt(1 - lasting) * fading(
        rng, (len(state), T), float(part["fading_persistence"])
    )
    return np.asarray(score < bar)


def make_agencies(
    parameters: Mapping[str, Any],
    frame: pd.DataFrame,
    traits: pd.DataFrame,
    population: pd.DataFrame,
    rates: Rates,
    rng: np.random.Generator,
    quiet: bool,
) -> Agencies:
    """Return agencies with what they print in each year.

    Args:
        parameters: the whole parameter file.
        frame: county_fips, state, urban_class.
        traits: log_population_2010.
        population: county_fips, year, population; sorted by both.
        rates: of counties.
        rng: source of draws.
        quiet: every agency reports every year, and prints what is expected of it.
    """
    state, fips = frame["state"].to_numpy().astype(str), frame["county_fips"].to_numpy().astype(str)
    people = population["population"].to_numpy().reshape(len(frame), T)
    cities = _draw_cities(parameters, frame, traits, rng, quiet)
    spread = float(parameters["agencies"]["agency_sd"])
    premium = np.array([parameters["agencies"]["city_premium"][m] for m in BASE])

    two = rng.random(len(frame)) < float(parameters["odd"]["two_county_agencies"])
    has = (cities.remainder > 0.005) & ~np.isin(fips, parameters["odd"]["without_agencies"])
    owner = np.concatenate([np.flatnonzero(has), np.flatnonzero(has & two)])
    part = np.where(two[owner], np.r_[np.full(has.sum(), 0.8), np.full((has & two).sum(), 0.2)], 1.0)

    a = len(cities.county)
    # What an agency records per resident against its county's rate; parts of a county together give the county's rate.
    weight = np.exp(premium + spread * rng.standard_normal((a, 1)))
    mean = np.stack(
        [np.bincount(cities.county, cities.share * weight[:, m], minlength=len(frame)) for m in range(M)],
        axis=1,
    )
    mean = mean + cities.remainder[:, None]
    resident = cities.share[:, None] * people[cities.county]
    city_expected = (
        resident[:, :, None]
        * rates.observed[cities.county]
        / ag.PER
        * (weight / mean[cities.county])[:, None, :]
    )
    own_expected = (
        (cities.remainder[owner] * part)[:, None, None]
        * people[owner][:, :, None]
        * rates.observed[owner]
        / ag.PER
        / mean[owner][:, None, :]
    )

    city_there = (
        _reports(
            parameters["reporting"]["cities"],
            state[cities.county],
            resident.mean(axis=1),
            5_000.0,
            rng,
            quiet,
        )
        & ~cities.never[:, None]
    )
    own_there = _reports(
        parameters["reporting"]["county_agencies"],
        state[owner],
        (cities.remainder[owner] * people[owner].T).T.mean(axis=1),
        15_000.0,
        rng,
        quiet,
    )
    city_counts = _printed_counts(parameters, city_expected, city_there, state[cities.county], rng, quiet)
    own_counts = _printed_counts(parameters, own_expected, own_there, state[owner], rng, quiet)

    number = pd.Series(np.arange(1, a + 1)).map("{:05d}".format)
    agency_id = (
        state[cities.county]
        + np.array(":")
        + fips[cities.county]
        + np.array(":simulated-city-")
        + number.to_numpy().astype(str)
    )
    names = pd.DataFrame(
        {
            "agency_id": agency_id,
            "state": state[cities.county],
            "agency_name": ("Simulated city " + number).to_numpy(),
            "county_fips": fips[cities.county],
        }
    )
    printed = _rows(names["agency_id"].to_numpy(), city_there, city_counts, parameters, rng)
    where = np.flatnonzero(city_there.ravel())
    printed.insert(
        2, "population", np.round(resident).ravel()[where] if not quiet else resident.ravel()[where]
    )
    shares = _shares(names, cities, fips)
    expected = pd.DataFrame(
        {
            "agency_id": np.repeat(names["agency_id"].to_numpy(), T),
            "year": np.tile(np.array(YEARS), a),
            "population": resident.ravel() if quiet else np.round(resident.ravel()),
        }
    )
    own_id = np.array(
        [
            f"{s}:{f}:{w}"
            for s, f, w in zip(
                state[owner],
                fips[owner],
                np.r_[np.full(has.sum(), "sheriff"), np.full((has & two).sum(), "police")],
                strict=True,
            )
        ]
    )
    county_rows = _rows(own_id, own_there, own_counts, parameters, rng)
    county_rows["county_fips"] = county_rows["agency_id"].str.split(":").str[1]
    parts = pd.Series(part, index=pd.Index(own_id, name="agency_id"), name="part")
    return Agencies(ag.CityAgencies(printed, shares, expected), county_rows, names, parts, population)


def _shares(names: pd.DataFrame, cities: _Cities, fips: np.ndarray) -> pd.DataFrame:
    main = pd.DataFrame(
        {
            "agency_id": names["agency_id"],
            "county_fips": names["county_fips"],
            "main_county": names["county_fips"],
            "share": 1 - cities.second_share,
            "spans_counties": cities.second >= 0,
        }
    )
    over = cities.second >= 0
    other = main[over].assign(county_fips=fips[cities.second[over]], share=cities.second_share[over])
    return pd.concat([main, other], ignore_index=True)


def _printed_counts(
    parameters: Mapping[str, Any],
    expected: np.ndarray,
    there: np.ndarray,
    state: np.ndarray,
    rng: np.random.Generator,
    quiet: bool,
) -> np.ndarray:
    """Return (agencies, years, offences) counts with blanks; the rape column is on whichever definition is printed."""
    if quiet:
        return expected
    reporting = parameters["reporting"]
    counts = rng.poisson(np.where(there[:, :, None], expected, 0.0)).astype(float)
    for m, share in reporting["single_measure_missing"].items():
        counts[:, :, BASE.index(m)] = np.where(
            rng.random(there.shape) < share, np.nan, counts[:, :, BASE.index(m)]
        )
    blank = np.array([reporting["rape_blank"].get(s, [0.0] * T) for s in state]).reshape(len(state), T)
    counts[:, :, RAPE] = np.where(rng.random((len(state), 1)) < blank, np.nan, counts[:, :, RAPE])
    arson = np.array([reporting["arson_missing_by_state"].get(s, 0.0) for s in state])
    counts[:, :, ARSON] = np.where((rng.random(len(state)) < arson)[:, None], np.nan, counts[:, :, ARSON])
    return counts


def _rows(
    agency_id: np.ndarray,
    there: np.ndarray,
    counts: np.ndarray,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return printed rows: agency_id, year, every count, not_comparable."""
    which, when = np.nonzero(there)
    years = np.array(YEARS)[when]
    table = pd.DataFrame({"agency_id": agency_id[which], "year": years})
    picked = counts[which, when]
    for j, m in enumerate(BASE):
        table[m] = picked[:, j]
    uptake = np.asarray(parameters["reporting"]["rape_revised_by_year"], dtype=float)
    revised = rng.random(len(agency_id))[which] < uptake[when]
    rape = picked[:, RAPE]
    more = float(parameters["crime"]["rape_revised_over_legacy"])
    table["rape_revised"] = np.where(
        revised, np.round(rape * more) if not np.any(rape % 1 > 0) else rape * more, np.nan
    )
    table["rape_legacy"] = np.where(revised, np.nan, rape)
    either = table["rape_revised"].fillna(table["rape_legacy"])
    table["violent"] = picked[:, list(VIOLENT_EX_RAPE)].sum(axis=1) + either
    table["property"] = picked[:, list(PROPERTY)].sum(axis=1)
    share = np.asarray(parameters["agencies"]["not_comparable_by_year"], dtype=float)
    table["not_comparable"] = rng.random(len(table)) < share[when]
    return ag.with_derived_counts(table)


def count_crime(made: Agencies) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return crime by county and year, of all agencies and of those that report every year of 2010-2017.

    The same functions as for the real panel, in the same order.
    """
    places = ag.remainder(made.cities.expected, made.cities.shares, made.population)
    table = ag.county_years(made.cities, made.county_rows, places, made.parts).merge(
        ag.reporting(made.cities, made.county_rows, places), on=["county_fips", "year"]
    )
    steady = ag.CityAgencies(
        ag.constant_agencies(made.cities.printed, CONSTANT_WINDOW), made.cities.shares, made.cities.expected
    )
    steady_rows = ag.constant_agencies(made.county_rows, CONSTANT_WINDOW)
    constant = ag.county_years(steady, steady_rows, places, made.parts).merge(
        ag.reporting(steady, steady_rows, places), on=["county_fips", "year"]
    )
    return table, constant

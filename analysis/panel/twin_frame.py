"""The simulated panel's counties: real codes, names, shapes and adoption dates, simulated everything else.

Codes, names and shapes are the Census counties of 2016 that the package plotly-geo carries; adoption dates are this
study's own compilations. Class, size, covariates and policing of a county are drawn from the parameters, so that no
county's values are those of its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from analysis.base.errors import SourceError
from analysis.panel.build import YEARS
from analysis.panel.crosswalk import NEW_YORK_CITY, NEW_YORK_COUNTIES
from analysis.panel.sources.geography import STATE_POSTAL, apply_fips_changes

PARAMETERS = Path(__file__).with_name("twin.toml")

CLASSES = (
    "large_central_metro",
    "large_fringe_metro",
    "medium_metro",
    "small_metro",
    "micropolitan",
    "noncore",
)
BASE = (
    "murder",
    "rape_legacy",
    "robbery",
    "aggravated_assault",
    "burglary",
    "larceny",
    "motor_vehicle_theft",
    "arson",
)
"""Offences that are drawn; every other measure is made from them."""

COVARIATES = (
    "log_population_2010", "growth", "log_density_2010", "foreign_born_2006_2010", "foreign_born_2009_2013", "hispanic_2000",
    "hispanic_2010", "black_2000", "black_2010", "age_15_24_2010", "age_65_over_2000", "age_65_over_2010", "bachelor_2000",
    "bachelor_2006_2010", "owner_occupied_2009_2013", "poverty_2000", "poverty_2010", "unemployment_2000", "unemployment_2010",
    "log_income_2010", "democratic_vote_2000", "democratic_vote_2008",
)  # fmt: skip
TRAITS = (*COVARIATES, *(f"log_rate_{m}" for m in BASE))
ON_THEIR_OWN_SCALE = ("log_population_2010", "growth", "log_density_2010", "log_income_2010")

LATER: Mapping[str, str] = {
    "hispanic_2014": "hispanic_2010",
    "black_2014": "black_2010",
    "age_16_24_2011_2015": "age_15_24_2010",
    "age_65_over_2014": "age_65_over_2010",
    "bachelor_2011_2015": "bachelor_2006_2010",
    "non_citizen_2014_2018": "foreign_born_2009_2013",
    "democratic_vote_2012": "democratic_vote_2008",
}
"""Covariates of about 2015, each with the earlier one it is drawn from."""

SIZES = (0, 10_000, 25_000, 100_000, 500_000)
"""Lower bounds of the classes of size by which persistence is stated, residents in 2010."""

EDGE = 0.002
"""Shares are kept this far from zero and one before their logit."""

DIVISIONS: Mapping[str, str] = {
    "1": "CT ME MA NH RI VT", "2": "NJ NY PA", "3": "IL IN MI OH WI", "4": "IA KS MN MO NE ND SD",
    "5": "DE DC FL GA MD NC SC VA WV", "6": "AL KY MS TN", "7": "AR LA OK TX", "8": "AZ CO ID MT NV NM UT WY", "9": "AK CA HI OR WA",
}  # fmt: skip
"""States of the nine Census divisions."""

_SUFFIX = {
    "06": " County",
    "15": " Parish",
    "04": " Borough",
    "05": " Census Area",
    "12": " Municipality",
    "03": " City and Borough",
    "25": " city",
}
"""Words of the Census codes of legal status."""


def county_file(suffix: str) -> Path:
    """Return a part of the county shapefile of 2016 that plotly-geo installs.

    Raises:
        SourceError: the package is not installed.

    Example:
        >>> county_file("dbf").name
        'cb_2016_us_county_500k.dbf'
    """
    found = find_spec("_plotly_geo")
    if found is None or found.origin is None:
        raise SourceError("plotly-geo is not installed", "the study's environment", "run: make setup")
    return Path(found.origin).parent / "package_data" / f"cb_2016_us_county_500k.{suffix}"


def twin_shapes() -> Any:
    """Return county shapes of the 2016 frame for maps of the simulated panel.

    Returns:
        GeoDataFrame (NAD83, degrees) with county_fips on the 2019 frame and geometry: the fifty states and the
        District of Columbia, New York City still as five counties.

    Source:
        Census Bureau, cb_2016_us_county_500k, as carried by plotly-geo 1.0.

    Example:
        >>> len(twin_shapes())
        3142
    """
    import geopandas as gpd

    shapes = gpd.read_file(county_file("shp"))[["GEOID", "geometry"]].rename(columns={"GEOID": "county_fips"})
    # The package leaves out the projection file; the Census draws these in NAD83.
    shapes = shapes.set_crs("EPSG:4269", allow_override=True)
    inside = shapes["county_fips"].str[:2].isin(STATE_POSTAL)
    return apply_fips_changes(shapes[inside]).sort_values("county_fips", ignore_index=True)


def touching(shapes: Any) -> pd.DataFrame:
    """Return pairs of counties that share a point, both ways (contract ``adjacency``).

    Counties of one edition of the boundaries share their corners exactly. Neighbours across open water, which the
    Census lists too, are not found.

    Args:
        shapes: GeoDataFrame with county_fips and geometry.

    Example:
        >>> import geopandas as gpd
        >>> from shapely.geometry import box
        >>> row = gpd.GeoDataFrame({"county_fips": list("abc")}, geometry=[box(i, 0, i + 1, 1) for i in range(3)])
        >>> touching(row).to_numpy().tolist()
        [['a', 'b'], ['b', 'a'], ['b', 'c'], ['c', 'b']]
    """
    county_fips = shapes["county_fips"].to_numpy()
    one, other = shapes.sindex.query(shapes.geometry, predicate="intersects")
    apart = one != other
    pairs = pd.DataFrame(
        {"county_fips": county_fips[one[apart]], "neighbour_fips": county_fips[other[apart]]}
    )
    return pairs.sort_values(["county_fips", "neighbour_fips"], ignore_index=True)


def twin_counties() -> pd.DataFrame:
    """Return the panel's areas by code, with real names: county_fips, state, county_name, division.

    Example:
        >>> frame = twin_counties().set_index("county_fips")
        >>> len(frame), frame.loc["36998", "county_name"], frame.loc["46102", "state"]
        (3138, 'New York City', 'SD')
    """
    import geopandas as gpd

    rows = pd.DataFrame(gpd.read_file(county_file("dbf"), ignore_geometry=True))
    rows = rows[rows["GEOID"].str[:2].isin(STATE_POSTAL)].rename(columns={"GEOID": "county_fips"})
    rows = apply_fips_changes(rows)
    names = rows["NAME"].str.strip() + rows["LSAD"].map(_SUFFIX).fillna("")
    rows = rows.assign(county_name=names, state=rows["county_fips"].str[:2].map(STATE_POSTAL))
    city = rows["county_fips"].isin(NEW_YORK_COUNTIES)
    one = pd.DataFrame({"county_fips": [NEW_YORK_CITY], "county_name": ["New York City"], "state": ["NY"]})
    table = pd.concat([rows.loc[~city, ["county_fips", "county_name", "state"]], one], ignore_index=True)
    division = {state: code for code, states in DIVISIONS.items() for state in states.split()}
    table["division"] = table["state"].map(division)
    return table.sort_values("county_fips", ignore_index=True)[
        ["county_fips", "state", "county_name", "division"]
    ]


# --- adoption ---------------------------------------------------------------------------------------------------


def spells(policies: pd.DataFrame) -> pd.DataFrame:
    """Return when each county's documented full limit on detainers acts: the treatment of the simulated panel.

    Args:
        policies: table ``policy_events``.

    Returns:
        county_fips, adoption_year, cohort (first full year: the next, or the same for a limit of 1 January),
        last_year (the year before a repeal or before a state law that requires cooperation, else missing).

    Example:
        >>> events = pd.DataFrame({"definition_source": ["D2"], "level": ["county"], "state": ["WI"], "county_fips": ["55001"],
        ...     "direction": ["limit_full"], "date": ["2014-04-16"], "year": [2014], "precision": ["day"]})
        >>> spells(events)[["county_fips", "adoption_year", "cohort"]].values.tolist()
        [['55001', 2014, 2015]]
    """
    dated = policies[policies["year"].notna()].sort_values(["date", "direction"], kind="stable")
    documented = dated[dated["definition_source"].eq("D2") & dated["level"].eq("county")]
    full = documented[documented["direction"].eq("limit_full")].drop_duplicates("county_fips")
    required = (
        dated[dated["definition_source"].eq("D7") & dated["direction"].eq("require")]
        .groupby("state")["year"]
        .min()
    )
    repeals = documented[documented["direction"].eq("repeal")]
    rows = []
    for row in full.itertuples(index=False):
        year = int(row.year)
        first_of_january = row.precision == "day" and str(row.date).endswith("-01-01")
        later = repeals[repeals["county_fips"].eq(row.county_fips) & repeals["date"].gt(row.date)]
        ends = [int(y) - 1 for y in later["year"].head(1)]
        if row.state in required.index:
            ends.append(int(required[row.state]) - 1)
        rows.append(
            (str(row.county_fips), year, year if first_of_january else year + 1, min(ends) if ends else None)
        )
    table = pd.DataFrame(rows, columns=["county_fips", "adoption_year", "cohort", "last_year"])
    return table.astype({"adoption_year": "int64", "cohort": "int64", "last_year": "Int64"}).sort_values(
        "county_fips", ignore_index=True
    )


def exposure(adoptions: pd.DataFrame, county_fips: pd.Series, year: pd.Series, half: float) -> np.ndarray:
    """Return how much of a policy acts in each county-year: 0 before, ``half`` in the adoption year, 1 in full years.

    Args:
        adoptions: result of `spells`.
        county_fips, year: (n,) county-years.
        half: share of the effect in the adoption year.

    Returns:
        (n,) shares, again 0 after the policy's last year.

    Example:
        >>> one = pd.DataFrame({"county_fips": ["55001"], "adoption_year": [2014], "cohort": [2015], "last_year": [2016]})
        >>> exposure(one, pd.Series(["55001"] * 5), pd.Series(range(2013, 2018)), 0.5).tolist()
        [0.0, 0.5, 1.0, 1.0, 0.0]
    """
    when = adoptions.set_index("county_fips").reindex(county_fips.to_numpy())
    y = year.to_numpy(dtype=float)
    first, cohort = when["adoption_year"].to_numpy(dtype=float), when["cohort"].to_numpy(dtype=float)
    last = when["last_year"].to_numpy(dtype=float, na_value=np.nan)
    on = np.where(y >= cohort, 1.0, np.where((y >= first) & (cohort > first), half, 0.0))
    return np.where(y > last, 0.0, on)


# --- traits -----------------------------------------------------------------------------------------------------


def to_normal(name: str, values: pd.Series) -> pd.Series:
    """Return a covariate on the scale it is drawn on: itself for logs, the logit for shares."""
    if name in ON_THEIR_OWN_SCALE or name.startswith("log_rate_"):
        return values.astype(float)
    return pd.Series(logit(values.astype(float).clip(EDGE, 1 - EDGE)), index=values.index)


def from_normal(name: str, values: np.ndarray) -> np.ndarray:
    """Return a drawn value on the covariate's own scale; undoes `to_normal`."""
    return values if name in ON_THEIR_OWN_SCALE or name.startswith("log_rate_") else np.asarray(expit(values))


def correlation_of(rows: list[list[float]]) -> np.ndarray:
    """Return the nearest valid correlation matrix to a lower triangle of rounded correlations.

    Example:
        >>> correlation_of([[0.5]]).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    n = len(rows) + 1
    matrix = np.eye(n)
    for i, row in enumerate(rows, start=1):
        matrix[i, :i] = matrix[:i, i] = row
    values, vectors = np.linalg.eigh(matrix)
    if values.min() >= 1e-6:
        return matrix
    fixed = (vectors * np.clip(values, 1e-6, None)) @ vectors.T
    scale = np.sqrt(np.diag(fixed))
    return np.asarray(fixed / np.outer(scale, scale))


def draw_classes(
    parameters: Mapping[str, Any], frame: pd.DataFrame, adopters: set[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Return the frame with an urban-rural class for each county: each state's own mix, adopters the more urban ones.

    Args:
        parameters: section ``classes``.
        frame: result of `twin_counties`.
        adopters: counties with a documented limit.
        rng: source of draws.

    Returns:
        The frame with urban_class and rucc_2013.
    """
    odds = np.asarray(parameters["odds_among_adopters"], dtype=float)
    classes = np.empty(len(frame), dtype=object)
    documented = frame["county_fips"].isin(adopters).to_numpy()
    states = frame["state"].to_numpy().astype(str)
    for state in np.unique(states):
        order = rng.permutation(np.flatnonzero(states == state))
        listed = documented[order]
        pool = np.array(parameters["by_state"][state])
        for i in order[listed]:
            weight = pool * odds
            weight = weight if weight.sum() > 0 else pool.astype(float)
            drawn = rng.choice(len(CLASSES), p=weight / weight.sum())
            pool[drawn] -= 1
            classes[i] = CLASSES[drawn]
        classes[order[~listed]] = np.repeat(CLASSES, pool)
    # The city of New York is no draw.
    city = frame["county_fips"].eq(NEW_YORK_CITY).to_numpy()
    swapped = classes[city][0]
    if swapped != CLASSES[0]:
        others = np.flatnonzero(frame["state"].eq("NY").to_numpy() & (classes == CLASSES[0]) & ~city)
        if len(others):
            classes[others[0]] = swapped
        classes[city] = CLASSES[0]
    codes = np.zeros(len(frame), dtype="int64")
    for name in CLASSES:
        inside = classes == name
        share = np.asarray(parameters["rucc"][name], dtype=float)
        codes[inside] = rng.choice(np.arange(1, 10), size=inside.sum(), p=share / share.sum())
    return frame.assign(urban_class=classes.astype(str), rucc_2013=codes)


def draw_traits(
    parameters: Mapping[str, Any],
    frame: pd.DataFrame,
    adopters: set[str],
    city_population: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return fixed covariates and log offence rates of each county, row for row with the frame.

    A trait is its class's mean and deviation times a normal score that neighbours in a state share in part, and that
    is shifted for counties with a documented limit: they differ before they adopt, as real ones do. The typical size
    of a state's counties is stated.

    Args:
        parameters: section ``traits``.
        frame: with urban_class.
        adopters: counties with a documented limit.
        city_population: residents of New York City in 2010.
        rng: source of draws.
    """
    root = np.linalg.cholesky(correlation_of(parameters["correlation"]) + 1e-9 * np.eye(len(TRAITS)))
    states = pd.factorize(frame["state"], sort=True)[0]
    share = np.asarray(parameters["state_share"], dtype=float)
    shared = rng.standard_normal((states.max() + 1, len(TRAITS))) @ root.T
    own = rng.standard_normal((len(frame), len(TRAITS))) @ root.T
    z = np.sqrt(share) * shared[states] + np.sqrt(1 - share) * own
    by_state = frame["state"].map(parameters["log_population_by_state"]).to_numpy(dtype=float)
    z = np.clip(z, -3.0, 3.0)
    z[:, 0] = by_state + float(parameters["log_population_sd_within_states"]) * z[:, 0]
    listed = frame["county_fips"].isin(adopters).to_numpy()
    z = z + listed[:, None] * np.asarray(parameters["shift_of_adopters"], dtype=float)
    mean = np.stack([parameters["mean"][c] for c in CLASSES])
    deviation = np.stack([parameters["sd"][c] for c in CLASSES])
    code = pd.Categorical(frame["urban_class"], categories=CLASSES).codes
    values = mean[code] + deviation[code] * z
    ends = np.array([parameters["log_population_percentiles"][c] for c in CLASSES])[code]
    values[:, 0] = np.clip(values[:, 0], ends[:, 0], ends[:, 1])
    table = pd.DataFrame(
        {name: from_normal(name, values[:, j]) for j, name in enumerate(TRAITS)}, index=frame.index
    )
    city = frame["county_fips"].eq(NEW_YORK_CITY)
    table.loc[city, "log_population_2010"] = np.log(city_population)
    table["log_population_2000"] = table["log_population_2010"] - 10 * table["growth"]
    absent = frame["state"].isin(parameters["missing"]["democratic_vote_states"])
    table.loc[absent, ["democratic_vote_2000", "democratic_vote_2008"]] = np.nan
    return table


def draw_population(
    parameters: Mapping[str, Any], frame: pd.DataFrame, traits: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Return yearly residents: county_fips, year, population.

    Args:
        parameters: section ``population``.
        frame: county_fips.
        traits: log_population_2010 and growth.
        rng: source of draws.
    """
    years = np.array(YEARS)
    at = traits["log_population_2010"].to_numpy()[:, None]
    sd = np.asarray(parameters["change_sd_by_size"])[np.digitize(np.exp(at[:, 0]), SIZES) - 1]
    steps = np.asarray(parameters["national_growth"]) + sd[:, None] * rng.standard_normal(
        (len(frame), len(years))
    )
    path = np.cumsum(steps, axis=1)
    path = path - path[:, [list(YEARS).index(2010)]]
    log = at + traits["growth"].to_numpy()[:, None] * (years - 2010) + path
    people = np.maximum(np.round(np.exp(log)), 60.0)
    return pd.DataFrame(
        {
            "county_fips": np.repeat(frame["county_fips"].to_numpy(), len(years)),
            "year": np.tile(years, len(frame)),
            "population": people.ravel(),
        }
    )


def fading(
    rng: np.random.Generator, shape: tuple[int, ...], persistence: float | np.ndarray, axis: int = 1
) -> np.ndarray:
    """Return stationary first-order autoregressions with unit variance along an axis.

    Example:
        >>> x = fading(np.random.default_rng(0), (4000, 10), 0.5)
        >>> round(float((x[:, 1:] * x[:, :-1]).mean()), 1), round(float(x.std()), 1)
        (0.5, 1.0)
    """
    noise = np.moveaxis(rng.standard_normal(shape), axis, 0)
    fresh = np.sqrt(1 - np.square(persistence))
    out = np.empty_like(noise)
    out[0] = noise[0]
    for t in range(1, len(noise)):
        out[t] = persistence * out[t - 1] + fresh * noise[t]
    return np.moveaxis(out, 0, axis)

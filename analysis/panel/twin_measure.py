"""What the simulated panel takes from the real one beyond crime and covariates: aggregates of tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from analysis.base.records import Panel
from analysis.panel.build import YEARS
from analysis.panel.covariates import SURVEY_YEARS
from analysis.panel.twin_frame import BASE, CLASSES, LATER, to_normal
from analysis.panel.twin_moments import logistic, persistence, reporting_thresholds

WINDOW = (2010, 2017)
FULL = 0.9
CITY_AT, COUNTY_AT = 5_000.0, 15_000.0
"""Residents of the agency for which shares reporting are stated."""

LONG_SERIES = (
    "murder",
    "rape_legacy",
    "robbery",
    "aggravated_assault",
    "burglary",
    "larceny",
    "motor_vehicle_theft",
)


def rounded(values: Any, digits: int) -> list[float]:
    """Return values as a list of rounded numbers."""
    return [round(float(v), digits) + 0.0 for v in values]


def by_year(series: pd.Series, digits: int) -> list[float]:
    """Return a series by year as a list over the panel's years, zero where missing."""
    return rounded(series.reindex(list(YEARS)).fillna(0.0), digits)


def documented(policies: pd.DataFrame) -> set[str]:
    """Return counties with a documented limit on detainers, in part or in full."""
    d2 = policies[
        policies["definition_source"].eq("D2") & policies["direction"].isin(["limit_full", "limit_partial"])
    ]
    return set(d2["county_fips"].dropna())


def measure_places(table: pd.DataFrame, cities: pd.DataFrame) -> dict[str, Any]:
    """Return how many cities counties have, and the share of residents outside every one of them."""
    one = table[table["year"].eq(2010)].set_index("county_fips")
    printed = cities[cities["source"].eq("table8")]
    named = printed.groupby("county_fips")["agency_id"].nunique().reindex(one.index).fillna(0)
    groups = one["urban_class"]
    none = named.eq(0)
    count = np.log1p(named.where(~none))
    size = one["log_population_2010"] - groups.map(one["log_population_2010"].groupby(groups).mean())
    inner = count - groups.map(count.groupby(groups).mean())
    slope = float((size * inner).sum() / (size**2)[~none].sum())
    inner = inner - slope * size
    by_state = inner.groupby(one["state"]).mean()
    rest = inner - one["state"].map(by_state)
    share = one["county_policed_share"].clip(0, 1)
    ordinary = share.lt(0.995) & share.gt(0.005)
    centred = share - groups.map(share.groupby(groups).mean())
    share_state = centred.groupby(one["state"]).mean()
    share_rest = (centred - one["state"].map(share_state))[ordinary]
    largest = np.log(
        printed.groupby("agency_id")
        .agg(county=("county_fips", "first"), people=("population", "max"))["people"]
        .clip(lower=50)
    )
    within = largest - largest.groupby(printed.groupby("agency_id")["county_fips"].first()).transform("mean")
    spanning = printed.groupby("agency_id")["spans_counties"].first()
    agencies = table[table["year"].eq(2015)].set_index("county_fips")
    never = float((agencies["agencies_expected"].sum() - named.sum() - len(agencies)) / named.sum())
    return {
        "without_cities_by_class": rounded(none.groupby(groups).mean().reindex(list(CLASSES)), 3),
        "log_cities_by_class": rounded(count.groupby(groups).mean().reindex(list(CLASSES)), 2),
        "log_cities_per_log_population": round(slope, 2),
        "log_cities_sd": round(float(rest.std()), 2),
        "log_cities_by_state": {str(s): round(float(v), 2) for s, v in by_state.items() if np.isfinite(v)},
        "county_share_by_class": rounded(
            share[~none].groupby(groups[~none]).mean().reindex(list(CLASSES)), 2
        ),
        "county_share_sd": round(float(share_rest.std()), 2),
        "county_share_by_state": {str(s): round(float(v), 2) for s, v in share_state.items()},
        "city_size_sd": round(float(within.std()), 2),
        "spanning_share": round(float(spanning.mean()), 3),
        "never_printed_per_city": round(max(never, 0.0), 2),
    }


def measure_agencies(table: pd.DataFrame, cities: pd.DataFrame) -> dict[str, Any]:
    """Return how recording differs between agencies of a county, and the long series before 2005."""
    rows = table[
        table["year"].between(*WINDOW)
        & table["county_policed_share"].between(0.1, 0.9)
        & table["coverage_property"].ge(FULL)
    ]
    remainder = (rows["county_policed_share"] * rows["population"]).sum()
    inside = (
        (rows["policed_property"] - rows["county_policed_share"] * rows["population"]).clip(lower=0).sum()
    )
    premium = {}
    for m in BASE:
        own = rows[f"county_agency_{m}"].sum() / remainder
        premium[m] = float(np.log(((rows[m] - rows[f"county_agency_{m}"]).sum() / inside) / own))
    big = cities[
        cities["source"].eq("table8") & cities["year"].between(*WINDOW) & cities["population"].ge(10_000)
    ]
    mean = big.groupby(["agency_id", "county_fips"])["rate_property"].mean()
    log = np.log(mean[mean > 0])
    inner = log - log.groupby("county_fips").transform("mean")
    long = cities[cities["source"].eq("city_series") & cities["year"].lt(YEARS[0])]
    first = cities[cities["agency_id"].isin(long["agency_id"]) & cities["year"].eq(YEARS[0])]
    series = {}
    for m in LONG_SERIES:
        sums = long[long[m].notna()].groupby("year")[[m, "population"]].sum()
        ends = first[first[m].notna()]
        base = ends[m].sum() / ends["population"].sum()
        series[m] = rounded(np.log(sums[m] / sums["population"] / base), 2)
    return {
        "city_premium": {m: round(v, 2) for m, v in premium.items()},
        "agency_sd": round(float(inner.std()), 2),
        "not_comparable_by_year": by_year(
            table.groupby("year")["not_comparable"].mean()
            / table.groupby("year")["agencies_reporting"].mean(),
            4,
        ),
        "long_series_from_1985": series,
        "long_series_cities_of": 100_000,
    }


def measure_reporting(table: pd.DataFrame, cities: pd.DataFrame) -> dict[str, Any]:
    """Return who reports: shares by state and year, blanks of single measures."""
    printed = cities[cities["source"].eq("table8")]
    who = printed.groupby("agency_id").agg(state=("state", "first"), people=("population", "max"))
    there = (
        printed.assign(there=1.0)
        .pivot(index="agency_id", columns="year", values="there")
        .reindex(columns=list(YEARS))
        .fillna(0.0)
    )
    city = reporting_thresholds(there, who["state"], who["people"].clip(lower=100).fillna(100), CITY_AT)
    own = table[table["county_policed_share"].gt(0.02)]
    flags = (
        own.pivot(index="county_fips", columns="year", values="county_agency_reports")
        .reindex(columns=list(YEARS))
        .dropna()
        .astype(float)
    )
    people = (
        (own["county_policed_share"] * own["population"])
        .groupby(own["county_fips"])
        .mean()
        .reindex(flags.index)
    )
    state = table.drop_duplicates("county_fips").set_index("county_fips")["state"].reindex(flags.index)
    county = reporting_thresholds(flags, state, people.clip(lower=100), COUNTY_AT)
    weight = table["population"]
    arson = (
        1
        - (table["coverage_arson"] * weight).groupby(table["state"]).sum()
        / (table["coverage_violent_ex_rape"] * weight).groupby(table["state"]).sum()
    )
    sums = (
        table.assign(a=table["coverage_violent"] * weight, b=table["coverage_violent_ex_rape"] * weight)
        .groupby(["state", "year"])[["a", "b"]]
        .sum()
    )
    blank = (
        (1 - sums["a"] / sums["b"].where(sums["b"] > 0))
        .clip(lower=0)
        .fillna(0.0)
        .unstack()
        .reindex(columns=list(YEARS))
    )
    both = printed[
        printed["year"].between(2013, 2019)
        & (printed["rape_legacy"].notna() | printed["rape_revised"].notna())
    ]
    uptake = both.groupby("year")["rape_revised"].apply(lambda s: float(s.notna().mean()))
    single = {
        m: round(float((printed[m].isna()).mean()), 4)
        for m in BASE
        if not m.startswith("rape") and m != "arson"
    }
    return {
        "cities": city,
        "county_agencies": county,
        "arson_missing_by_state": {str(s): round(float(max(v, 0.0)), 2) for s, v in arson.items()},
        "rape_blank": {
            str(s): rounded(r, 2)
            for s, r in zip(blank.index, blank.to_numpy(), strict=True)
            if r.max() > 0.05
        },
        "rape_revised_by_year": by_year(uptake, 2),
        "single_measure_missing": single,
    }


def measure_yearly(table: pd.DataFrame) -> dict[str, Any]:
    """Return national paths of yearly covariates and counties' own deviations."""
    out: dict[str, Any] = {}
    for name, change in (
        ("poverty_rate", lambda s: logit((s / 100).clip(0.005, 0.95))),
        ("unemployment_rate", lambda s: logit((s / 100).clip(0.005, 0.95))),
        ("median_household_income", np.log),
    ):
        wide = table.assign(v=change(table[name])).pivot(index="county_fips", columns="year", values="v")
        path = wide.sub(wide[2010], axis=0).mean()
        rest = wide.sub(path, axis=1)
        rest = rest.sub(rest.mean(axis=1), axis=0)
        moments = {k: float(np.nanvar(rest.diff(k, axis=1).iloc[:, k:])) for k in (1, 2, 3, 4, 5)}
        kept, spread = persistence(moments)
        out[name] = {"path": by_year(path, 3), "persistence": round(kept, 2), "sd": round(spread, 3)}
    rate = (table["snap_recipients"] / table["population"]).clip(0.002, 0.9)
    y, x = logit(rate), logit((table["poverty_rate"] / 100).clip(0.005, 0.95))
    ok = y.notna() & x.notna()
    slope = float(np.cov(x[ok], y[ok])[0, 1] / x[ok].var())
    path = (y - slope * x)[ok].groupby(table["year"]).mean()
    rest = (y - slope * x)[ok] - table["year"].map(path)[ok]
    out["snap"] = {
        "per_logit_poverty": round(slope, 2),
        "level": by_year(path, 2),
        "sd": round(float(rest.std()), 2),
    }
    force = (table["labour_force"] / table["population"])[table["year"].eq(2010)]
    out["labour_force_share"] = {"mean": round(float(force.mean()), 2), "sd": round(float(force.std()), 2)}
    out["missing"] = {
        name: round(float(table[name].isna().mean()), 4)
        for name in ("poverty_rate", "unemployment_rate", "snap_recipients")
    }
    return out


def measure_later(table: pd.DataFrame) -> dict[str, Any]:
    """Return how covariates of about 2015 follow from earlier ones, and the survey's figures from yearly ones.

    Lines between scales near the normal: slope, level, deviation around the line.
    """
    one = table[table["year"].eq(2010)].set_index("county_fips")
    out: dict[str, Any] = {}
    for name, earlier in LATER.items():
        x, y = to_normal(earlier, one[earlier]), to_normal(name, one[name])
        slope = _slope(x, y)
        rest = y - slope * x
        found = rounded((slope, rest.mean(), rest.std()), 2)
        out[name] = dict(zip(("slope", "level", "sd"), found, strict=True))
    rows = table[table["year"].isin(SURVEY_YEARS.values())].set_index(["county_fips", "year"])
    in_work = rows["employment_population"] / rows["participation"]
    for name, x, y in (
        ("participation", rows["labour_force_per_resident"] / 100, rows["participation"] / 100),
        ("employment_population", 1 - rows["unemployment_rate"] / 100, in_work),
    ):
        x, y = (to_normal(name, v.where(x.notna() & y.notna())) for v in (x, y))
        # Within years: the recession moves both, and by other lines than counties differ.
        slope = _slope(*(v - v.groupby("year").transform("mean") for v in (x, y)))
        rest = y - slope * x
        years = rest.groupby("year").mean()
        own = (rest - rest.groupby("year").transform("mean")).groupby("county_fips").mean()
        out[name] = {
            "slope": round(slope, 2),
            "level_by_year": rounded(years, 2),
            "sd": round(float(own.std()), 2),
        }
    out["missing"] = {
        "non_citizen_states": sorted(
            str(s) for s, g in one.groupby("state") if g["non_citizen_2014_2018"].isna().all()
        )
    }
    return out


def _slope(x: pd.Series, y: pd.Series) -> float:
    ok = x.notna() & y.notna()
    return float(np.cov(x[ok], y[ok])[0, 1] / x[ok].var())


def measure_federal(table: pd.DataFrame, policies: pd.DataFrame) -> dict[str, Any]:
    """Return the pace of Secure Communities and of 287(g) agreements, and shares on the list of 2025."""
    wide = table.pivot(index="county_fips", columns="year", values="secure_communities")
    known = wide.dropna()
    started = (known > 0).cummax(axis=1).mean()
    first = (known > 0).idxmax(axis=1)
    hispanic = table[table["year"].eq(2010)].set_index("county_fips")["hispanic_2010"].reindex(first.index)
    rank = float(-first.rank().corr(hispanic.rank()))
    deal = table.pivot(index="county_fips", columns="year", values="agreement_287g")
    before = deal.shift(1, axis=1).fillna(0)
    entry = ((before == 0) & (deal == 1)).sum() / (before == 0).sum()
    exit_ = ((before == 1) & (deal == 0)).sum() / (before == 1).sum().clip(lower=1)
    states = table.drop_duplicates("county_fips").set_index("county_fips")["state"]
    ever = deal.max(axis=1).groupby(states).mean()
    listed = policies[policies["definition_source"].eq("D5")]
    counties = set(listed.loc[listed["level"].eq("county"), "county_fips"])
    d2 = documented(policies)
    laws = policies[policies["definition_source"].eq("D7") & policies["direction"].eq("limit_full")]
    lawful = set(laws["state"])
    frame = states.to_frame("state")
    named = frame.index.isin(counties)
    on_paper = frame.index.isin(d2)
    inside = frame["state"].isin(lawful).to_numpy()
    return {
        "secure_communities_started": by_year(started, 3),
        "secure_communities_rank_hispanic": round(rank, 2),
        "secure_communities_absent": round(float(1 - len(known) / len(wide)), 3),
        "agreement_287g_entry": by_year(entry, 4),
        "agreement_287g_exit": by_year(exit_, 2),
        "agreement_287g_by_state": {str(s): round(float(v), 2) for s, v in ever.items() if v > 0},
        "list_2025": {
            "documented": round(float(named[on_paper].mean()), 2),
            "state_limits": round(float(named[~on_paper & inside].mean()), 2),
            "elsewhere": round(float(named[~on_paper & ~inside].mean()), 3),
            "cities": int(listed["level"].eq("city").sum()),
        },
    }


def measure_declines(table: pd.DataFrame, declines: pd.DataFrame, adopted: np.ndarray) -> dict[str, Any]:
    """Return how recorded declines depend on size, Hispanic share, year and adoption (from the adoption year on)."""
    years = list(range(2007, 2016))
    rows = table.assign(adopted=adopted)
    rows = rows[rows["year"].isin(years)].merge(
        declines.drop(columns="state"), on=["county_fips", "year"], how="left", suffixes=("", "_d3")
    )
    size = np.log(rows["population"].to_numpy() / 30_000)
    hispanic = to_normal("hispanic_2010", rows["hispanic_2010"]).to_numpy() + 3.0
    dummies = np.stack([rows["year"].eq(y).to_numpy(dtype=float) for y in years], axis=1)
    on = rows["adopted"].to_numpy()
    x = np.column_stack([dummies, size, hispanic, on])
    y = rows["declined"].notna().to_numpy(dtype=float)
    beta = logistic(y, x)
    got = y > 0
    amount = np.log(rows["declined"].to_numpy(dtype=float)[got])
    late = rows["year"].to_numpy() >= 2014
    z = np.column_stack(
        [np.ones(got.sum()), size[got], hispanic[got], on[got], on[got] * size[got], late[got]]
    )
    gamma, *_ = np.linalg.lstsq(z, amount, rcond=None)
    rest = amount - z @ gamma
    share = logit(rows["decline_share_d3"].to_numpy(dtype=float)[got].clip(0.002, 0.99))
    w = np.column_stack([np.ones(got.sum()), on[got], late[got]])
    delta, *_ = np.linalg.lstsq(w, share, rcond=None)
    return {
        "first_year": years[0],
        "any_by_year": rounded(beta[: len(years)], 2),
        "any_per_log_size": round(float(beta[-3]), 2),
        "any_per_logit_hispanic": round(float(beta[-2]), 2),
        "any_on_adoption": round(float(beta[-1]), 2),
        "log_number": round(float(gamma[0]), 2),
        "log_number_per_log_size": round(float(gamma[1]), 2),
        "log_number_per_logit_hispanic": round(float(gamma[2]), 2),
        "log_number_on_adoption": round(float(gamma[3]), 2),
        "log_number_on_adoption_per_log_size": round(float(gamma[4]), 2),
        "log_number_from_2014": round(float(gamma[5]), 2),
        "log_number_sd": round(float(rest[on[got] == 0].std()), 2),
        "log_number_sd_on_adoption": round(float(rest[on[got] > 0].std()), 2),
        "logit_share": round(float(delta[0]), 2),
        "logit_share_on_adoption": round(float(delta[1]), 2),
        "logit_share_from_2014": round(float(delta[2]), 2),
        "logit_share_sd": round(float((share - w @ delta).std()), 2),
        "share_biased_down": round(float(declines["share_biased_down"].mean()), 2),
    }


def measure_totals(panel: Panel) -> dict[str, Any]:
    """Return shares of national totals that city and county agencies hold."""
    national = panel.reports["national_totals"].set_index("year")
    nobody = panel.reports["nobodys_crime"]
    nobody = nobody[nobody["state"].isin(panel.table["state"])]
    known = nobody.groupby("state")[["share_violent", "share_property"]].mean().fillna(0.0)
    return {
        "violent_share_by_year": by_year(national["violent_share"], 3),
        "property_share_by_year": by_year(national["property_share"], 3),
        "other_agencies_share": {
            str(s): rounded(r, 3) for s, r in zip(known.index, known.to_numpy(), strict=True)
        },
    }

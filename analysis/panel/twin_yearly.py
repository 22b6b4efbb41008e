"""Simulated covariates by year, recorded declines, federal programmes, and the policies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtr

from analysis.base.codebook import validate
from analysis.base.paths import Paths
from analysis.panel.build import YEARS
from analysis.panel.covariates import SURVEY_YEARS
from analysis.panel.sources import detainers, policy
from analysis.panel.twin_crime import Rates
from analysis.panel.twin_frame import LATER, exposure, fading, from_normal, to_normal

T = len(YEARS)
KEY = ["county_fips", "year"]
SIMULATED = "SIMULATED DATA"


@dataclass(frozen=True, slots=True)
class Counties:
    """Simulated counties before agencies and covariates by year, row for row with the frame.

    Args:
        frame: county_fips, state, county_name, division, urban_class, rucc_2013.
        policies: table ``policy_events``.
        adoptions: when documented full limits act.
        traits: fixed covariates and log rates.
        population: county_fips, year, population.
        rates: of offences, with and without the policies.
    """

    frame: pd.DataFrame
    policies: pd.DataFrame
    adoptions: pd.DataFrame
    traits: pd.DataFrame
    population: pd.DataFrame
    rates: Rates


def draw_policies(
    listed: Mapping[str, Any], frame: pd.DataFrame, paths: Paths, rng: np.random.Generator
) -> pd.DataFrame:
    """Return policy events: D1, D2, D6 and D7 as compiled, and a simulated list in place of D5."""
    d2 = policy.read_detainer_policies(paths.compiled_policy)
    laws = policy.read_state_laws(paths.compiled_policy)
    doj = policy.read_compiled(paths.compiled_policy, "doj_list")
    doj = doj.assign(definition_source="D6", county_fips=policy.one_new_york(doj["county_fips"]))
    limits = d2["policy_type"].map(dict(policy.DIRECTION_OF)).isin(["limit_full", "limit_partial"])
    documented = frame["county_fips"].isin(set(policy.one_new_york(d2.loc[limits, "county_fips"]))).to_numpy()
    lawful = set(laws.loc[laws["policy_type"].map(dict(policy.DIRECTION_OF)).eq("limit_full"), "state"])
    inside = frame["state"].isin(lawful).to_numpy()
    chance = np.where(
        documented, listed["documented"], np.where(inside, listed["state_limits"], listed["elsewhere"])
    )
    counties = frame[rng.random(len(frame)) < chance]
    seats = frame[inside].sample(n=int(listed["cities"]), replace=True, random_state=rng)
    columns = [
        "definition_source",
        "jurisdiction",
        "state",
        "level",
        "county_fips",
        "source",
        "source_url",
        "note",
    ]
    made = pd.concat(
        [
            counties.assign(level="county", jurisdiction=counties["county_name"]),
            seats.assign(
                level="city",
                jurisdiction=[f"Simulated listed city {i:03d}" for i in range(1, len(seats) + 1)],
            ),
            pd.DataFrame({"state": sorted(lawful)}).assign(
                level="state", county_fips=None, jurisdiction=sorted(lawful)
            ),
        ]
    ).assign(definition_source="D5", source=f"{SIMULATED}: no list", source_url="", note=SIMULATED)
    lists = pd.concat([made[columns], doj[columns]], ignore_index=True)
    return policy.make_policy_events(d2, policy.read_ddor_2017(paths.compiled_policy), lists, laws)


def draw_yearly(
    parameters: Mapping[str, Any], base: Counties, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Return yearly covariates: each county's own level of 2010, the national path, a fading deviation.

    The order of draws is part of the simulated panel: what comes later has streams of its own.
    """
    n = len(base.frame)
    start = list(YEARS).index(2010)

    def path(name: str, level: np.ndarray) -> np.ndarray:
        part = parameters[name]
        own = fading(rng, (n, T), float(part["persistence"]))
        return np.asarray(
            level[:, None] + np.asarray(part["path"]) + float(part["sd"]) * (own - own[:, [start]])
        )

    def blank(values: np.ndarray, name: str) -> np.ndarray:
        return np.where(rng.random(values.shape) < float(parameters["missing"][name]), np.nan, values)

    poverty = 100 * expit(
        path("poverty_rate", to_normal("poverty_2010", base.traits["poverty_2010"]).to_numpy())
    )
    idle = 100 * expit(
        path("unemployment_rate", to_normal("unemployment_2010", base.traits["unemployment_2010"]).to_numpy())
    )
    income = np.exp(path("median_household_income", base.traits["log_income_2010"].to_numpy()))
    people = base.population["population"].to_numpy().reshape(n, T)
    share = np.clip(
        rng.normal(parameters["labour_force_share"]["mean"], parameters["labour_force_share"]["sd"], n),
        0.25,
        0.7,
    )
    force = np.round(share[:, None] * people)
    part = parameters["snap"]
    on_snap = np.asarray(part["level"]) + float(part["per_logit_poverty"]) * logit(poverty / 100)
    recipients = np.round(people * expit(on_snap + float(part["sd"]) * rng.standard_normal((n, 1))))
    poverty = blank(np.round(poverty, 1), "poverty_rate")
    absent = rng.random((n, T)) < float(parameters["missing"]["unemployment_rate"])
    employed = np.round(force * (1 - idle / 100))
    recipients = blank(recipients, "snap_recipients")
    key = base.population[KEY]
    return {
        "saipe": key.assign(
            poverty_rate=poverty.ravel(),
            median_household_income=np.where(np.isnan(poverty), np.nan, np.round(income)).ravel(),
        ),
        "labour": key.assign(
            labour_force=np.where(absent, np.nan, force).ravel(),
            employed=np.where(absent, np.nan, employed).ravel(),
            unemployment_rate=np.where(absent, np.nan, 100 * (1 - employed / np.maximum(force, 1))).ravel(),
            labour_force_per_resident=np.where(absent, np.nan, 100 * force / people).ravel(),
            employed_per_resident=np.where(absent, np.nan, 100 * employed / people).ravel(),
        ),
        "snap": key.assign(
            snap_recipients=recipients.ravel(), snap_share=(100 * recipients / people).ravel()
        ),
    }


def draw_survey(
    parameters: Mapping[str, Any], yearly: Mapping[str, pd.DataFrame], rng: np.random.Generator
) -> pd.DataFrame:
    """Return participation and employment of people of 16 and over, in percent, in the years the survey stands in.

    Args:
        parameters: section ``later``.
        yearly: result of `draw_yearly`.
        rng: source of draws: one deviation a county, kept over the three overlapping periods.
    """
    work = yearly["labour"]
    n = len(work) // T
    years = [list(YEARS).index(year) for year in SURVEY_YEARS.values()]

    def figure(name: str, given: pd.Series) -> np.ndarray:
        part = parameters[name]
        x = to_normal(name, given).to_numpy().reshape(n, T)
        # A year without a figure takes the county's mean of the others.
        x = np.where(np.isnan(x), np.nanmean(x, axis=1, keepdims=True), x)[:, years]
        own = float(part["sd"]) * rng.standard_normal((n, 1))
        return from_normal(name, np.asarray(part["level_by_year"]) + float(part["slope"]) * x + own)

    active = figure("participation", work["labour_force_per_resident"] / 100)
    busy = figure("employment_population", 1 - work["unemployment_rate"] / 100)
    both = np.full((2, n, T), np.nan)
    both[:, :, years] = 100 * np.stack([active, active * busy])
    return work[KEY].assign(participation=both[0].ravel(), employment_population=both[1].ravel())


def draw_later(
    parameters: Mapping[str, Any],
    base: Counties,
    yearly: Mapping[str, pd.DataFrame],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return covariates of about 2015, row for row with the frame.

    Population, density, poverty, unemployment and income are those of the simulated year 2015; the rest follow
    earlier traits with a deviation of their own.

    Args:
        parameters: section ``later``.
        base: simulated counties.
        yearly: result of `draw_yearly`.
        rng: source of draws.
    """
    table = pd.DataFrame(index=base.frame.index)
    for name, earlier in LATER.items():
        part = parameters[name]
        x = to_normal(earlier, base.traits[earlier]).to_numpy()
        own = float(part["sd"]) * rng.standard_normal(len(x))
        table[name] = from_normal(name, float(part["level"]) + float(part["slope"]) * x + own)
    absent = base.frame["state"].isin(parameters["missing"]["non_citizen_states"])
    table.loc[absent, "non_citizen_2014_2018"] = np.nan
    here = base.population["year"].eq(2015).to_numpy()
    people = np.log(base.population["population"].to_numpy()[here])
    saipe, work = yearly["saipe"][here], yearly["labour"][here]
    return table.assign(
        log_population_2015=people,
        log_density_2015=base.traits["log_density_2010"] + people - base.traits["log_population_2010"],
        poverty_2015=saipe["poverty_rate"].to_numpy() / 100,
        log_income_2015=np.log(saipe["median_household_income"].to_numpy()),
        unemployment_2015=work["unemployment_rate"].to_numpy() / 100,
    )


def draw_declines(
    parameters: Mapping[str, Any], base: Counties, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return recorded declines and the facilities behind them; declines rise on adoption."""
    years = np.arange(
        int(parameters["first_year"]), int(parameters["first_year"]) + len(parameters["any_by_year"])
    )
    rows = base.population[base.population["year"].isin(years)].merge(
        base.frame[["county_fips", "state"]], on="county_fips", how="left"
    )
    on = exposure(base.adoptions, rows["county_fips"], rows["year"], half=1.0)
    size = np.log(rows["population"].to_numpy() / 30_000)
    logit_hispanic = to_normal("hispanic_2010", base.traits["hispanic_2010"]).to_numpy() + 3.0
    hispanic = rows["county_fips"].map(pd.Series(logit_hispanic, index=base.frame["county_fips"])).to_numpy()
    by_year = np.asarray(parameters["any_by_year"])[rows["year"].to_numpy() - years[0]]
    any_ = expit(
        by_year
        + parameters["any_per_log_size"] * size
        + parameters["any_per_logit_hispanic"] * hispanic
        + parameters["any_on_adoption"] * on
    )
    mean = (
        parameters["log_number"] + parameters["log_number_per_log_size"] * size
        + parameters["log_number_per_logit_hispanic"] * hispanic + parameters["log_number_on_adoption"] * on
        + parameters["log_number_on_adoption_per_log_size"] * on * size + parameters["log_number_from_2014"] * (rows["year"].to_numpy() >= 2014)
    )  # fmt: skip
    spread = np.where(on > 0, parameters["log_number_sd_on_adoption"], parameters["log_number_sd"])
    number = np.maximum(np.round(np.exp(mean + spread * rng.standard_normal(len(rows)))), 1)
    # No county declines more than one detainer for every hundred residents in a year.
    number = np.minimum(number, np.maximum(np.round(rows["population"].to_numpy() / 100), 1)).astype("int64")
    share = expit(
        parameters["logit_share"] + parameters["logit_share_on_adoption"] * on + parameters["logit_share_from_2014"] * (rows["year"].to_numpy() >= 2014)
        + parameters["logit_share_sd"] * rng.standard_normal(len(rows))
    )  # fmt: skip
    other = np.round(number * (1 - share) / share)
    biased = rng.random(len(rows)) < parameters["share_biased_down"]
    picked = rng.random(len(rows)) < any_
    table = pd.DataFrame(
        {
            "county_fips": rows["county_fips"], "state": rows["state"], "year": rows["year"].astype("int64"), "declined": number,
            "other_outcomes": other, "decline_share": number / (number + other),
            "n_facilities": np.where(number >= 50, 2, 1).astype("int64"), "share_biased_down": biased,
        }
    )[picked].sort_values(KEY, ignore_index=True)  # fmt: skip
    declines = validate(table, "declines")
    sums = (
        declines.groupby("county_fips")
        .agg(state=("state", "first"), declined=("declined", "sum"))
        .reset_index()
    )
    words = pd.Series(np.arange(1, len(sums) + 1)).map("{:03d}".format)
    facilities = sums.assign(
        facility="SIMULATED FACILITY " + words,
        city="Simulated city",
        how="simulated",
        runs="local",
        counted=True,
    )[["facility", "city", "state", "county_fips", "how", "runs", "counted", "declined"]]
    return declines, facilities.sort_values("declined", ascending=False, kind="stable", ignore_index=True)


def draw_federal(
    parameters: Mapping[str, Any], base: Counties, declines: pd.DataFrame, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Return Secure Communities, 287(g) agreements and declines by county and year, as the real build joins them."""
    n = len(base.frame)
    started = np.asarray(parameters["secure_communities_started"], dtype=float)
    hispanic = base.traits["hispanic_2010"].rank(pct=True).to_numpy() - 0.5
    tie = float(parameters["secure_communities_rank_hispanic"])
    rank = ndtr(np.sqrt(1 - tie**2) * rng.standard_normal(n) - tie * hispanic * np.sqrt(12))
    ends = np.array(YEARS) + 1.0
    # Month of activation: the share active by the end of each year, read backwards.
    rising = np.maximum.accumulate(started) + 1e-9 * np.arange(T)
    start = np.round(np.interp(rank, rising, ends) * 12) / 12
    stop = 2014 + 11 / 12
    year = np.array(YEARS)[None, :]
    active = np.clip(np.minimum(year + 1, stop) - np.maximum(year, start[:, None]), 0.0, 1.0)
    absent = rng.random(n) < float(parameters["secure_communities_absent"])
    active = np.where(absent[:, None], np.nan, np.round(active * 12) / 12)
    key = base.population[KEY]

    by_state = base.frame["state"].map(parameters["agreement_287g_by_state"]).fillna(0.0).to_numpy()
    ready = by_state / max(by_state.mean(), 1e-9)
    entry, leave = parameters["agreement_287g_entry"], parameters["agreement_287g_exit"]
    agreed = np.zeros((n, T))
    for t in range(T):
        before = agreed[:, t - 1] if t else np.zeros(n)
        comes = rng.random(n) < np.minimum(float(entry[t]) * ready, 0.5)
        goes = rng.random(n) < float(leave[t])
        agreed[:, t] = np.where(before > 0, ~goes, comes)

    recorded = detainers.declines_panel(declines, key)
    recorded["declined_per_10k"] = (
        recorded["declined_detainers"].to_numpy() / base.population["population"].to_numpy() * 10_000
    )
    return {
        "Secure Communities": key.assign(secure_communities=active.ravel()),
        "287(g) agreements": key.assign(agreement_287g=agreed.ravel()),
        "declined detainers": recorded,
    }

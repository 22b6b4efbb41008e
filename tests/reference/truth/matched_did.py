"""Matched differences in differences on simulated panels in which the policy does nothing: what a match brings.

Every number other than zero is an artefact of who adopts and of whom they are matched to. Worlds and estimators were
set down before they were run and are not tuned; the table reports what was found.

Run as a script (a minute or two a world; worlds in the table with as many draws are not run again):
    python tests/reference/truth/matched_did.py --draws 500
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.base.paths import ROOT, replacing
from analysis.base.provenance import make_stamp
from analysis.design.design import Design
from analysis.design.spec import Spec, load_spec
from analysis.estimation import aggregate, fit
from analysis.estimation.estimate import STATE_OF_PREFIX
from analysis.estimation.matched_did import matched_event_times
from analysis.evidence.checks.pretrends import pretrends

HERE = Path(__file__).resolve().parent
TABLE = HERE / "matched_did.csv"
PAGE = ROOT / "docs" / "matched_did.md"

DRAWS = 500
YEARS = np.arange(2006, 2018)
COUNTIES = 400
LEVEL, REJECTS = 0.95, 0.05
COLUMNS = (
    "world", "estimator", "draws", "failed", "bias", "bias_mc_error", "spread", "std_error", "std_error_over_spread",
    "coverage", "coverage_mc_error", "pretrend_rejects", "n_treated", "n_comparison",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """How outcomes come about and who adopts; shocks have a standard deviation of 1 within a county.

    A county's outcome is its lasting level, its slope, a yearly shock and what all counties share. Levels spread with
    a standard deviation of 1.1, of which 1 goes with the covariate.

    Args:
        short: heads the column of the page.
        words: for people.
        parallel: whether adopters and others would have changed alike after adoption, on average.
        persistence: share of a shock that is left a year later.
        level: by how much adopters' lasting level lies above that of others; half of it goes with the covariate.
        noise: standard deviation of what is added to each year's outcome on its own.
        slope: by how much adopters' yearly slope lies above that of others.
        slopes: standard deviation of slopes between counties.
        until: last year of all slopes.
        adopts_on: what decides who adopts: chance | shock | outcome (of the last year before).
        cohorts: first treated years.
    """

    short: str
    words: str
    parallel: bool
    persistence: float = 0.5
    level: float = 0.0
    noise: float = 0.0
    slope: float = 0.0
    slopes: float = 0.0
    until: int = 2017
    adopts_on: str = "chance"
    cohorts: tuple[int, ...] = (2012, 2014)


WORLDS: dict[str, World] = {
    "level_0": World(
        "levels differ, shocks last a year",
        "adopters' lasting level is 1.5 higher; shocks are gone after a year",
        True, persistence=0.0, level=1.5,
    ),
    "level_5": World(
        "levels differ, half of a shock lasts",
        "adopters' lasting level is 1.5 higher; half of a shock is left a year later",
        True, level=1.5,
    ),
    "level_9": World(
        "levels differ, shocks last long",
        "adopters' lasting level is 1.5 higher; nine tenths of a shock are left a year later",
        True, persistence=0.9, level=1.5,
    ),
    "noise": World(
        "levels differ, noisy measure",
        "adopters' lasting level is 1.5 higher; lasting shocks, and noise of twice their size in each year's measure",
        True, persistence=0.9, level=1.5, noise=2.0,
    ),
    "dip": World(
        "adopts after a dip",
        "counties adopt after a year whose shock was low; shocks are gone after a year",
        False, persistence=0.0, adopts_on="shock", cohorts=(2013,),
    ),
    "low_outcome": World(
        "adopts on the last outcome",
        "counties adopt on their outcome of the last year, the lower the likelier; half of a shock is left a year later",
        False, adopts_on="outcome", cohorts=(2013,),
    ),
    "trends": World(
        "trends differ and go on",
        "adopters' slope is 0.3 a year higher, before and after",
        False, slope=0.3, slopes=0.3,
    ),
    "trends_end": World(
        "trends differ and end",
        "adopters' slope is 0.3 a year higher up to the last year before adoption; then all slopes end",
        True, slope=0.3, slopes=0.3, until=2012, cohorts=(2013,),
    ),
}  # fmt: skip

_MATCH = {
    "estimator.name": "matched_did", "estimator.neighbours": 1, "estimator.replacement": True, "estimator.caliper": 0.0,
    "estimator.exact": [], "estimator.weights": "none",
}  # fmt: skip


def _matched(
    match_on: Sequence[str], lag_years: int | None, distance: str = "scaled_euclidean"
) -> dict[str, Any]:
    years = {} if lag_years is None else {"estimator.lag_years": lag_years}
    fixed = {} if "covariates" in match_on else {"covariates.names": [], "covariates.vintage": "none"}
    return _MATCH | {"estimator.match_on": list(match_on), "estimator.distance": distance} | years | fixed


PLAIN, LAST = "group-time, unmatched", "outcome, 1 year"
THREE, FIVE = "outcome, 3 years", "outcome, 5 years"
WITH = "covariate and outcome, 3 years"
ESTIMATORS: dict[str, dict[str, Any]] = {
    PLAIN: {
        "estimator.name": "group_time_att", "estimator.method": "outcome_regression", "estimator.within": "none",
        "estimator.weights": "none", "covariates.names": [], "covariates.vintage": "none",
    },
    "covariate": _matched(["covariates"], None),
    LAST: _matched(["outcome_lags"], 1),
    THREE: _matched(["outcome_lags"], 3),
    FIVE: _matched(["outcome_lags"], 5),
    "outcome, 5 years, mahalanobis": _matched(["outcome_lags"], 5, "mahalanobis"),
    "trend, 3 years": _matched(["outcome_trend"], 3),
    "trend, 5 years": _matched(["outcome_trend"], 5),
    "outcome and trend, 3 years": _matched(["outcome_lags", "outcome_trend"], 3),
    "outcome and trend, 5 years": _matched(["outcome_lags", "outcome_trend"], 5),
    WITH: _matched(["covariates", "outcome_lags"], 3),
}  # fmt: skip


@lru_cache
def spec_of(estimator: str) -> Spec:
    """Return the specification of an estimator: counties alike, never treated to compare with, errors by county."""
    common = {
        "treatment.comparison": "never_treated", "treatment.onset": "adoption_year",
        "sample.years": [int(YEARS[0]), int(YEARS[-1])], "covariates.names": ["poverty"], "inference.by": "county",
        "inference.level": LEVEL, "inference.draws": 0,
    }  # fmt: skip
    return load_spec("main").base().replace(common | ESTIMATORS[estimator])


# --- one draw ---------------------------------------------------------------------------------------------------


def simulate(world: World, seed: int) -> pd.DataFrame:
    """Return a simulated panel in the columns of a design: 400 counties, 2006 to 2017, a quarter to a third adopt."""
    rng = np.random.default_rng([seed, list(WORLDS.values()).index(world)])
    n, years = COUNTIES, len(YEARS)
    shock = rng.normal(size=(n, years))
    for t in range(1, years):
        left = world.persistence
        shock[:, t] = left * shock[:, t - 1] + np.sqrt(1 - left**2) * shock[:, t]
    covariate, own, slope, chance, pick, noise = (
        rng.normal(size=n), 0.5 * rng.normal(size=n), world.slopes * rng.normal(size=n), rng.random(n),
        rng.integers(0, len(world.cohorts), n), world.noise * rng.normal(size=(n, years)),
    )  # fmt: skip
    last = int(np.searchsorted(YEARS, world.cohorts[0])) - 1
    # Between one standard deviation of what decides and the next the odds change by a factor of e.
    pull = {
        "chance": np.zeros(n),
        "shock": shock[:, last],
        "outcome": (covariate + own + shock[:, last]) / np.sqrt(2.25),
    }[world.adopts_on]
    # The constant makes a quarter to a third adopt.
    odds = np.log(1 / 3) - pull
    adopts = chance < 1 / (1 + np.exp(-odds))
    covariate = covariate + adopts * world.level / 2
    level = covariate + own + adopts * world.level / 2
    running = np.minimum(YEARS, world.until) - YEARS[0]
    path = level[:, None] + (slope + world.slope * adopts)[:, None] * running + shock + noise
    path = path + rng.normal(size=years)
    cohort = np.where(adopts, np.array(world.cohorts)[pick], 0)
    prefixes = np.array(sorted(STATE_OF_PREFIX))[np.arange(n) % 40]
    fips = np.array([f"{prefix}{2 * i + 1:03d}" for i, prefix in enumerate(prefixes)])
    order = np.argsort(fips)

    def long(values: np.ndarray) -> np.ndarray:
        return np.repeat(values[order], years)

    event_time = (YEARS[None, :] - cohort[:, None])[order].ravel()
    never = long(cohort == 0)
    return pd.DataFrame(
        {
            "county_fips": long(fips), "year": np.tile(YEARS, n), "state": long(prefixes), "urban_class": "small_metro",
            "division": "all", "cohort": pd.array(np.where(never, 0, long(cohort)), dtype="Int64"),
            "event_time": pd.array(event_time, dtype="Int64"), "treated": ~never & (event_time >= 0),
            "outcome": path[order].ravel(), "weight": 1.0, "stratum": "all", "poverty": long(covariate),
        }
    ).assign(
        cohort=lambda t: t["cohort"].mask(never), event_time=lambda t: t["event_time"].mask(never)
    )  # fmt: skip


def design_of(table: pd.DataFrame, spec: Spec) -> Design:
    """Return the design of a simulated panel under a specification."""
    adopters = table.loc[table["cohort"].notna(), "county_fips"].nunique()
    attrition = pd.DataFrame(
        {"rule": ["panel as given"], "counties": [COUNTIES], "county_years": [len(table)], "treated": [adopters], "dropped": [0]}
    )  # fmt: skip
    return Design(
        table=table, spec=spec, kind="panel", covariates=spec.covariates.names, controls=(), unit="standard deviations",
        outcome_label="A simulated outcome", baseline=0.0, attrition=attrition,
        stamp=make_stamp("0" * 16, True, spec.digest), notes=(),
    )  # fmt: skip


@lru_cache
def matched_leads(world: World, estimator: str) -> tuple[int, ...]:
    """Return the event times an estimator matches on in a world; the same on every panel of it."""
    spec = spec_of(estimator)
    return () if estimator == PLAIN else matched_event_times(design_of(simulate(world, 0), spec))


def draw(world: World, seed: int, names: Sequence[str] = tuple(ESTIMATORS)) -> pd.DataFrame:
    """Return what each estimator finds on one panel: estimate, error, interval, p-value of leads not matched on."""
    table = simulate(world, seed)
    whole, rows = design_of(table, spec_of(PLAIN)), []
    for name in names:
        spec = spec_of(name)
        design = replace(whole, spec=spec, covariates=spec.covariates.names)
        row: dict[str, Any] = {"seed": seed, "estimator": name}
        try:
            fitted = fit(design)
            post = aggregate(fitted, over="post")
            line = post.table.iloc[0]
            row |= {key: float(line[key]) for key in ("estimate", "std_error", "conf_low", "conf_high")}
            row |= {
                "pretrend_p": pretrends(fitted, matched_on=matched_leads(world, name)).p_value,
                "n_treated": int(line["n_treated"]),
                "n_comparison": int(line["n_counties"] - line["n_treated"]),
            }
        except StudyError:
            row["estimate"] = np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def run(name: str, draws: int, first: int = 0, names: Sequence[str] = tuple(ESTIMATORS)) -> pd.DataFrame:
    """Return the rows of one world: columns ``COLUMNS``, a row an estimator.

    ``bias`` is the mean estimate, since the truth is zero; ``spread`` its standard deviation over panels, ``std_error``
    the mean one; ``pretrend_rejects`` the share of panels in which the joint test of leads not matched on rejects at
    5 %; ``failed`` counts panels without an estimate.
    """
    made = pd.concat(
        [draw(WORLDS[name], seed, names) for seed in range(first, first + draws)], ignore_index=True
    )
    lines = []
    for estimator, group in made.groupby("estimator", sort=False):
        found = group[group["estimate"].notna()]
        covered = (found["conf_low"] <= 0) & (found["conf_high"] >= 0)
        spread, n = float(found["estimate"].std(ddof=1)), len(found)
        lines.append(
            {
                "world": name, "estimator": estimator, "draws": draws, "failed": draws - n,
                "bias": found["estimate"].mean(), "bias_mc_error": spread / np.sqrt(n), "spread": spread,
                "std_error": found["std_error"].mean(), "std_error_over_spread": found["std_error"].mean() / spread,
                "coverage": covered.mean(), "coverage_mc_error": np.sqrt(covered.mean() * (1 - covered.mean()) / n),
                "pretrend_rejects": (found["pretrend_p"] < REJECTS).mean(),
                "n_treated": found["n_treated"].mean(), "n_comparison": found["n_comparison"].mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(lines)[list(COLUMNS)].round(4)


# --- the page ---------------------------------------------------------------------------------------------------


def page(table: pd.DataFrame) -> str:
    """Return the page in words."""
    found = table.set_index(["world", "estimator"])
    lines = [
        "<!-- Generated by `python tests/reference/truth/matched_did.py`; a test holds it to the table. -->",
        "",
        "# Matching on what counties did before",
        "",
        "A matched difference-in-differences (`name = \"matched_did\"` in a spec's `[estimator]`) compares how each "
        "adopting county changed with how counties that were like it before changed. `match_on` says what *like it* "
        "means: fixed traits (`covariates`), the outcome itself in the last `lag_years` years wholly before adoption "
        "(`outcome_lags`), or its slope in those years (`outcome_trend`). Matching on the outcome makes the curves "
        "before adoption lie on each other. That looks like proof and is not: they were chosen to.",
        "",
        "**Regression to the mean.** Say adopters have lastingly more crime than others. Among the others, those with "
        "as much crime last year are mostly counties that had an unusually bad year, and the next year takes them back "
        "down. Against them, adopters seem to rise, and nothing happened at all. Fixed traits do not move back, and a "
        "lasting difference in level drops out of a difference-in-differences anyway. But where a bad or good year "
        "itself brings adoption, it is the unmatched comparison that mistakes the way back for an effect, and matching "
        "on the outcome that helps. No estimator is right in every world; what is known about how policies came to be "
        "adopted has to decide.",
        "",
        f"Below, the policy does nothing: every number other than zero is an artefact. {int(table['draws'].iloc[0])} "
        f"simulated panels a world, {COUNTIES} counties in {YEARS[0]}-{YEARS[-1]}, "
        f"{100 * table['n_treated'].min() / COUNTIES:.0f} to {_percent(table['n_treated'].max() / COUNTIES)} adopt; one neighbour, "
        "with replacement, standardised distance (or Mahalanobis where named); 95 % intervals clustered by county, as "
        "counties are drawn one by one here. Worlds were set down before they were run and not tuned.",
        "",
        *(f"- **{world.short}**: {world.words}." for world in WORLDS.values()),
        "",
        "Bias in standard deviations of a county's yearly shock, and how many 95 % intervals hold the true zero (Monte "
        f"Carlo errors up to {table['bias_mc_error'].max():.2f} and {100 * table['coverage_mc_error'].max():.0f} points):",
        "",
        "| matched on | " + " | ".join(world.short for world in WORLDS.values()) + " |",
        "|---" * (len(WORLDS) + 1) + "|",
        *(
            f"| {estimator} | " + " | ".join(_cell(found.loc[(world, estimator)]) for world in WORLDS) + " |"
            for estimator in ESTIMATORS
        ),
        "",
        *(f"- {line}" for line in _findings(table)),
        "",
        "**In use.** Decide from the history of adoption, not from the curves: lasting differences between places speak "
        "for fixed traits, a year that brought the policy about speaks for lags. Of lags, several years do less harm than "
        "one where levels differ. Show the matched estimate beside the unmatched one; where they part, regression to "
        "the mean, in one or the other, is the first suspect. Leads that were matched on are near zero by "
        "construction: test `pretrends(estimate, matched_on=matched_event_times(design))`, which leaves them out.",
        "",
        "Each cohort is matched once, on its own years, to counties untreated and observed in all years it has rows "
        "for; adopters without an outcome in a matched year or without an allowed match are dropped, named in the notes "
        "and counted in the attrition table.",
        "",
        "Read on: Daw and Hatfield (2018), *Health Services Research* 53(6), on matching and regression to the mean; "
        "Chabé-Ferret (2015), *Journal of Econometrics* 185(1), and Ham and Miratrix (2022), arXiv:2205.08644, on when "
        "matching on outcomes helps; Heckman, Ichimura and Todd (1997), *Review of Economic Studies* 64(4), and Imai, "
        "Kim and Wang (2023), *American Journal of Political Science* 67(3), on the estimator.",
        "",
        "All columns: `tests/reference/truth/matched_did.csv`.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _cell(line: pd.Series) -> str:
    return f"{line['bias']:+.2f} ({_percent(line['coverage'])})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _span(values: pd.Series, form: str = "{:+.2f}") -> str:
    """Return the range of some numbers in words, one number where they print alike."""
    low, high = form.format(values.min()), form.format(values.max())
    return low if low == high else f"{low} to {high}"


def _findings(table: pd.DataFrame) -> Iterator[str]:
    def of(world: str, estimator: str) -> pd.Series:
        return table[table["world"].eq(world) & table["estimator"].eq(estimator)].iloc[0]

    def bias(world: str, estimator: str) -> str:
        return f"{of(world, estimator)['bias']:+.2f}"

    level = table[table["world"].isin(["level_0", "level_5", "level_9", "noise"])]
    fixed = level[level["estimator"].isin([PLAIN, "covariate"])]
    yield (
        "**Lasting differences in level.** Unmatched, or matched on the covariate, the bias is "
        f"{_span(fixed['bias'])}. Matched on the last outcome it is {bias('level_0', LAST)} where shocks fade in a "
        f"year, {bias('level_5', LAST)} where half of a shock is left, {bias('level_9', LAST)} where nine tenths are, "
        f"and {bias('noise', LAST)} with a noisy measure; five years bring it to "
        f"{_span(level.loc[level['estimator'].eq(FIVE), 'bias'])}. Adding the covariate to three years of outcomes "
        f"leaves {_span(level.loc[level['estimator'].eq(WITH), 'bias'])}."
    )
    yield (
        "**A dip, or the last outcome, brings adoption.** Unmatched, the way back is taken for an effect of "
        f"{bias('dip', PLAIN)} and {bias('low_outcome', PLAIN)}. Where the last outcome itself decides, matching on "
        f"it leaves {bias('low_outcome', LAST)}, on five years {bias('low_outcome', FIVE)}. Where the shock in it decides, "
        f"one year cannot tell shock from level ({bias('dip', LAST)}), and more years only in part (three "
        f"{bias('dip', THREE)}, five {bias('dip', FIVE)})."
    )
    yield (
        f"**Trends that go on.** Unmatched {bias('trends', PLAIN)}; matched on the slope of three years "
        f"{bias('trends', 'trend, 3 years')}, of five {bias('trends', 'trend, 5 years')}; on outcome and trend of five "
        f"{bias('trends', 'outcome and trend, 5 years')}. A slope fitted on a few noisy years tells little of the "
        f"lasting one. **Trends that end**: unmatched {bias('trends_end', PLAIN)}, matched on the slope of three years "
        f"{bias('trends_end', 'trend, 3 years')}, of five {bias('trends_end', 'trend, 5 years')}: the match finds "
        "slopes that were shocks, and shocks go back."
    )
    matched = table[~table["estimator"].isin([PLAIN, "covariate"])]
    off = matched[matched["bias"].abs() > 3 * matched["bias_mc_error"]]
    passed = off[off["pretrend_rejects"] < 2 * REJECTS]
    yield (
        "**The test of leads is a weak guard.** On years not matched on, at 5 %, it rejects in "
        f"{_percent(of('level_0', LAST)['pretrend_rejects'])} of panels matched on the last outcome where shocks fade "
        f"in a year, but of the {len(off)} matched rows of the table that are off by more than three Monte Carlo "
        f"errors, {len(passed)} have a test that rejects in fewer than {_percent(2 * REJECTS)} of panels."
    )
    yield (
        "**Errors** take the matches as given and do not see that a match on outcomes makes pairs move together: mean "
        f"standard error over spread is {_span(matched['std_error_over_spread'], '{:.2f}')} there, "
        f"{_span(table.loc[table['estimator'].isin([PLAIN, 'covariate']), 'std_error_over_spread'], '{:.2f}')} otherwise. "
        "Where it is above 1, intervals are longer than they need be and coverage flatters a biased estimate."
    )


# --- files ------------------------------------------------------------------------------------------------------


def read_table() -> pd.DataFrame:
    """Return the committed table."""
    return pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=list(COLUMNS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the worlds that are missing, each added to the table when it is done, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="simulated panels a world")
    asked = parser.parse_args(arguments)
    for name in WORLDS:
        done = read_table()
        if done.loc[done["world"].eq(name), "draws"].eq(asked.draws).sum() == len(ESTIMATORS):
            continue
        parts = dict(list(done.groupby("world"))) | {name: run(name, asked.draws)}
        with replacing(TABLE) as path:
            pd.concat([parts[world] for world in WORLDS if world in parts]).to_csv(path, index=False)
    with replacing(PAGE) as path:
        path.write_text(page(read_table()), encoding="utf-8")


if __name__ == "__main__":
    main()

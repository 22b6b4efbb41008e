"""How often the joint test of a specification curve rejects where no policy does anything.

Who adopted, where and when, which county-years report and how many people live there are the real panel's; every county
keeps its own mean rate of each offence. What moves is drawn anew for each simulated panel by the study's own simulation
(`analysis.panel.twin_crime.county_rates` with the committed ``analysis/panel/twin.toml``): the nation's trend, state-year
and county-year shocks with persistence and size as measured on the real panel, correlated across offences, and Poisson
counts of the people policed. No policy has an effect, and no state a shock of its own making beyond those drawn, so that
California's changes of law play no part. Nothing was tuned.

Run as a script, with the raw files at hand and the panel built, to write docs/size_of_curve.csv and docs/size_of_curve.md
(it takes up where it stopped, from the draws in ``--folder``):

    python tests/estimation/curve_size.py --panels 400 --folder draws
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.paths import ROOT, replacing
from analysis.base.records import Panel
from analysis.design.design import PER_100K, Design, baseline_mean, make_design
from analysis.design.spec import Spec, load_spec
from analysis.estimation.panel_inference.curve import (
    STATISTICS,
    curve_test,
    draw_states,
    null_curve,
    observed_curve,
)
from analysis.evidence.curve import HOWS, SIZES, Linear, groups_of, state_sums
from analysis.panel.build import YEARS
from analysis.panel.twin import read_parameters
from analysis.panel.twin_crime import SUMS, county_rates
from analysis.panel.twin_frame import BASE

TABLE: Path = ROOT / "docs" / "size_of_curve.csv"
PAGE: Path = ROOT / "docs" / "size_of_curve.md"

MEASURES = ("violent_ex_rape", "property")
DRAWS, SEED, LEVEL = 399, 20260101, 0.05
# One specification with its own t test, for the joint test to be held against.
SINGLE = ("alone", "t")
ESTIMATORS: Mapping[str, Mapping[str, Any]] = {
    "group-time": {"estimator.method": "outcome_regression"},
    "group-time, within states": {"estimator.method": "outcome_regression", "estimator.within": "state"},
    "two-way": {"estimator.name": "two_way", "estimator.effects": "county_year"},
    "two-way, state by year": {"estimator.name": "two_way", "estimator.effects": "state_by_year"},
    "two-way, class by year": {"estimator.name": "two_way", "estimator.effects": "urban_class_by_year"},
}
WORDS: Mapping[str, str] = {"median": "median", "share": "share", "mean_t": "mean t"}
HOW_WORDS: Mapping[str, str] = {"resampled": "states drawn anew", "signs": "signs of states"}
MEASURE_WORDS: Mapping[str, str] = {
    "violent_ex_rape": "violent, excluding rape",
    "property": "property",
    "all": "both",
}
COMPARED_WORDS: Mapping[str, str] = {"all": "all", "between": "between states", "within": "within states"}
DRAW_COLUMNS = ("panel", "trend", "measure", "compared", "how", "statistic", "observed", "p_value", "refused")


def specs() -> Iterator[Spec]:
    """Yield the specifications: estimators, definitions, California, weights, scales, outcomes crossed."""
    main = load_spec("main").base()
    options = (MEASURES, ("rate_100k", "log_rate"), ("policy_full", "policy_any"), ((), ("CA",)),
               ("none", "population_baseline"), ESTIMATORS.items())  # fmt: skip
    for at, (measure, scale, definition, dropped, weights, (_, changes)) in enumerate(product(*options)):
        yield main.replace(
            {
                "name": f"size-{at}",
                "covariates.names": [],
                "inference.draws": 0,
                "outcome.measure": measure,
                "outcome.scale": scale,
                "treatment.definition": definition,
                "sample.drop_states": list(dropped),
                "estimator.weights": weights,
                **changes,
            }
        )


@dataclass(frozen=True, slots=True)
class World:
    """The real designs, and what outcomes are drawn from.

    Args:
        designs: one a specification.
        rows: county and year of each of their rows, as codes of ``frame`` and ``YEARS``.
        states: postal codes that any of them holds.
        frame: county_fips, state.
        traits: log_population_2010 and log_rate_* of every county.
        policed: (C, T) people policed by agencies that report, by measure.
    """

    designs: tuple[Design, ...]
    rows: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]
    states: tuple[str, ...]
    frame: pd.DataFrame
    traits: pd.DataFrame
    policed: Mapping[str, NDArray[np.float64]]


def make_world(panel: Panel) -> World:
    """Return the real designs and every county's own level."""
    table = panel.table.sort_values(["county_fips", "year"], kind="stable")
    frame = table.drop_duplicates("county_fips")[["county_fips", "state"]].reset_index(drop=True)
    shape = (len(frame), len(YEARS))
    trend = read_parameters()["crime"]["trend"]
    people = table["population"].to_numpy(dtype=float).reshape(shape)
    traits = {"log_population_2010": np.log(people[:, YEARS.index(2010)])}
    for offence in BASE:
        count, policed = (
            table[name].to_numpy(dtype=float, na_value=np.nan).reshape(shape)
            for name in (offence, f"policed_{offence}")
        )
        known = np.isfinite(count) & (policed > 0)
        expected = np.where(known, policed * np.exp(np.array(trend[offence]))[None], 0.0).sum(axis=1)
        found = np.where(known, count, 0.0).sum(axis=1)
        # Counties that record none keep a rate: half an offence in all their years; those without agencies, the median.
        rate = PER_100K * np.maximum(found, 0.5) / np.where(expected > 0, expected, np.nan)
        traits[f"log_rate_{offence}"] = np.log(np.where(np.isfinite(rate), rate, np.nanmedian(rate)))
    policed_by = {
        measure: table[f"policed_{measure}"].to_numpy(dtype=float, na_value=np.nan).reshape(shape)
        for measure in MEASURES
    }
    made: dict[str, Design] = {}
    designs = []
    for spec in specs():
        key = str((spec.outcome, spec.treatment, spec.sample, spec.estimator.weights, spec.within))
        if key not in made:
            made[key] = make_design(panel, spec)
        designs.append(replace(made[key], spec=spec))
    where = pd.Index(frame["county_fips"])
    rows = tuple(
        (
            where.get_indexer(design.table["county_fips"]).astype(np.intp),
            np.searchsorted(np.array(YEARS), design.table["year"].to_numpy(dtype=int)).astype(np.intp),
        )
        for design in designs
    )
    states = tuple(sorted({state for design in designs for state in design.table["state"].unique()}))
    return World(tuple(designs), rows, states, frame, pd.DataFrame(traits), policed_by)


def outcomes(
    world: World, rng: np.random.Generator, trend: bool
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return rates per 100,000 and their logs by county and year, by (measure, scale), where no policy does anything.

    Without the nation's trend adopters and others move alike in rates and in logs. With it they move alike in proportion
    alone: where adopters have higher rates, falling crime takes a difference in rates down.
    """
    parameters = {**read_parameters(), "confounders": []}
    if not trend:
        flat = {offence: [0.0] * len(YEARS) for offence in BASE}
        parameters["crime"] = {**parameters["crime"], "trend": flat}
    nobody = pd.DataFrame(
        {
            "county_fips": pd.Series(dtype=str),
            "cohort": [],
            "adoption_year": [],
            "last_year": [],
            "half_year": [],
        }
    )
    rates = county_rates(parameters, world.frame, world.traits, nobody, rng, quiet=False).without
    out = {}
    for measure in MEASURES:
        rate = rates[:, :, list(SUMS[measure])].sum(axis=2)
        people = np.where(np.isfinite(world.policed[measure]), world.policed[measure], 0.0)
        count = rng.poisson(rate * people / PER_100K)
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = np.where(people > 0, PER_100K * count / people, np.nan)
            out[measure, "rate_100k"], out[measure, "log_rate"] = (
                seen,
                np.where(seen > 0, np.log(seen), np.nan),
            )
    return out


def simulate(world: World, number: int, trend: bool) -> Linear:
    """Return the sub-grid on one simulated panel."""
    drawn = outcomes(world, np.random.default_rng([SEED, number]), trend)
    sums, baseline, specs_of = [], [], []
    for design, (county, year) in zip(world.designs, world.rows, strict=True):
        spec = design.spec
        table = design.table.assign(outcome=drawn[spec.outcome.measure, spec.outcome.scale][county, year])
        sums.append(state_sums(replace(design, table=table), world.states))
        baseline.append(baseline_mean(table.dropna(subset=["outcome"]), "panel"))
        specs_of.append(spec)
    logs = np.array([spec.outcome.scale == "log_rate" for spec in specs_of])
    return Linear(tuple(specs_of), tuple(sums), np.array(baseline), logs, world.states, ())


def draw(world: World, number: int, trend: bool) -> pd.DataFrame:
    """Return the p-value of every test on one simulated panel, columns ``DRAW_COLUMNS``."""
    linear = simulate(world, number, trend)
    size = len(linear.states)
    seen, estimate, _ = observed_curve(linear.sums, linear.baseline, linear.logs, size)
    known = np.isfinite(estimate)
    rows: list[tuple[Any, ...]] = []
    for how in HOWS:
        numbers = draw_states(size, DRAWS, np.random.default_rng([SEED, number, HOWS.index(how)]), how)
        null = null_curve(linear.sums, estimate, linear.baseline, linear.logs, numbers, how)
        for measure, compared, chosen in groups_of(linear):
            test = curve_test(seen, null, how, chosen & known)
            for j, statistic in enumerate(STATISTICS):
                rows.append(
                    (
                        number,
                        trend,
                        measure,
                        compared,
                        how,
                        statistic,
                        test.observed[j],
                        test.p_value[j],
                        test.refused,
                    )
                )
    for measure, compared, chosen in groups_of(linear):
        # Share of specifications that reject by their own t test.
        alone = float((seen.sign[0, chosen & known] != 0).mean())
        rows.append((number, trend, measure, compared, *SINGLE, np.nan, alone, 0))
    return pd.DataFrame(rows, columns=list(DRAW_COLUMNS))


def summarise(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return how often each test rejects at 5 %: ``SIZES``; ``error`` is the Monte Carlo error of ``rejects``.

    Of single specifications ``rejects`` is the mean share of them that do.
    """
    rows = []
    for place, part in drawn.groupby(["trend", "measure", "compared", "how", "statistic"], sort=False):
        single = place[3] == SINGLE[0]
        rejects = (
            part["p_value"].to_numpy(dtype=float)
            if single
            else (part["p_value"] <= LEVEL).to_numpy(dtype=float)
        )
        error = rejects.std(ddof=1) / np.sqrt(len(rejects))
        rows.append((*place, round(float(rejects.mean()), 4), round(float(error), 4), len(rejects)))
    return pd.DataFrame(rows, columns=list(SIZES))


def draws(world: World, folder: Path, panels: int, trend: bool) -> None:
    """Draw what is not in the folder yet, a file a panel."""
    for number in range(panels):
        path = folder / f"{'trend' if trend else 'level'}_{number:04d}.csv"
        if not path.exists():
            with replacing(path) as temporary:
                draw(world, number, trend).to_csv(
                    temporary, index=False, float_format="%.6g", lineterminator="\n"
                )


def read_draws(folder: Path) -> pd.DataFrame:
    """Return every draw of a folder."""
    return pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.csv"))], ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw panels, then write the table and the page."""
    from analysis import load_panel

    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--panels", type=int, default=400, help="without the nation's trend")
    asked.add_argument("--trending", type=int, default=200, help="with it")
    asked.add_argument("--folder", type=Path, required=True, help="where draws are kept")
    given = asked.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    world = make_world(load_panel())
    draws(world, given.folder, given.panels, trend=False)
    draws(world, given.folder, given.trending, trend=True)
    write(given.folder)


def _cell(table: pd.DataFrame, **where: Any) -> str:
    for name, value in where.items():
        table = table[table[name].eq(value)]
    return (
        f"{100 * table['rejects'].iloc[0]:.0f} % ({100 * table['error'].iloc[0]:.1f})" if len(table) else ""
    )


def _lines(table: pd.DataFrame) -> Iterator[str]:
    columns = [SINGLE, *product(HOWS, STATISTICS)]
    heads = [
        "one specification, t",
        *(f"{HOW_WORDS[how]}: {WORDS[statistic]}" for how, statistic in columns[1:]),
    ]
    yield "| outcome | compared | " + " | ".join(heads) + " |"
    yield "|---|---|" + "---:|" * len(columns)
    for measure, compared in dict.fromkeys(zip(table["measure"], table["compared"], strict=True)):
        cells = [
            _cell(table, measure=measure, compared=compared, how=how, statistic=statistic)
            for how, statistic in columns
        ]
        names = (MEASURE_WORDS[measure], COMPARED_WORDS[compared])
        yield "| " + " | ".join((*names, *cells)) + " |"


def _where_off(table: pd.DataFrame) -> Iterator[str]:
    for how in HOWS:
        part = table[table["how"].eq(how)]
        gap = (part["rejects"] - LEVEL) / part["error"].where(part["error"] > 0)
        more, fewer = part[gap > 2], part[gap < -2]
        span = f"{100 * part['rejects'].min():.0f} to {100 * part['rejects'].max():.0f} %"
        words = [f"{len(part)} tests reject a true null in {span} of panels"]
        words.append(
            f"{len(more)} more often than 5 % by over two Monte Carlo errors, {len(fewer)} less often"
        )
        yield f"- **{HOW_WORDS[how][:1].upper() + HOW_WORDS[how][1:]}**: {'; '.join(words)}."
    alone = table[table["how"].eq(SINGLE[0])]
    yield (
        f"- **One specification by its own t test** rejects in {100 * alone['rejects'].min():.0f} to "
        f"{100 * alone['rejects'].max():.0f} % of cases, averaged over specifications and panels."
    )


def page(table: pd.DataFrame) -> str:
    """Return the page that says what the table holds."""
    level, trend = table[~table["trend"]], table[table["trend"]]
    parts = [
        "<!-- Generated by `python tests/estimation/curve_size.py`; a test holds it to the table. -->",
        "",
        "# How often the joint test of a specification curve rejects a true null",
        "",
        f"{level['panels'].max()} simulated panels. Who adopted, where and when, which county-years report, how many people live "
        "there and every county's own mean rate are the real panel's. State-year and county-year shocks, with size and "
        "persistence as measured on the real panel and correlated across offences, and Poisson counts are drawn anew for "
        "each panel; no policy does anything, and no trend is left that could set adopters apart. Each panel is tested with "
        f"{len(list(specs()))} linear specifications (two outcomes, two scales, two definitions, with and without California, two "
        f"weightings, five estimators) in {DRAWS} draws of whole states a test. Shocks are as measured, nothing was tuned.",
        "",
        "Share of panels in which a test at 5 % rejects (Monte Carlo error, points):",
        "",
        *_lines(level),
        "",
        *_where_off(level),
        "- Treatment is concentrated in few states, so that states drawn anew often leave the large ones out or count them "
        "twice. Simulated shocks are symmetric and independent between states, which a test by signs leans on. A test that is "
        "off size is printed with its size, and its p-value is not read alone; the rates show the "
        "order of a distortion under this geography and are no correction of a particular p-value.",
        "",
    ]
    if len(trend):
        parts += [
            f"With the nation's trend in each offence ({trend['panels'].max()} panels), adopters and others move alike in "
            "proportion and not in rates; what is rejected then is that both scales hold parallel trends:",
            "",
            *_lines(trend),
            "",
        ]
    parts.append("All columns: `docs/size_of_curve.csv`.")
    return "\n".join(parts) + "\n"


def write(folder: Path) -> None:
    """Write table and page from the draws of a folder."""
    table = summarise(read_draws(folder))
    with replacing(TABLE) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    with replacing(PAGE) as temporary:
        temporary.write_text(page(pd.read_csv(TABLE)), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The twin: a simulated panel with known effects, under exactly the contract of the real one.

It stands in where the raw files are not to be had, and it is what estimators are held against: its effects are stated
in ``twin.toml``. County codes, names and shapes are real, and so are the adoption dates, which are this study's own
compilations; everything else is drawn, so that no county's numbers are its own. Every table of it is stamped
simulated, goes below ``simulated/``, and names its cities "Simulated city".
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import StudyError
from analysis.base.paths import Paths
from analysis.base.provenance import digest_of, digest_of_sources, sha256_of
from analysis.base.records import Geography, Panel
from analysis.panel.build import (
    YEARS,
    Progress,
    _is_current,
    _unmatched,
    assemble,
    load_panel,
    write_panel,
)
from analysis.panel.places import make_geography
from analysis.panel.twin_crime import (
    SUMS,
    Rates,
    count_crime,
    county_rates,
    make_agencies,
)
from analysis.panel.twin_frame import (
    BASE,
    PARAMETERS,
    county_file,
    draw_classes,
    draw_population,
    draw_traits,
    spells,
    touching,
    twin_counties,
    twin_shapes,
)
from analysis.panel.twin_reports import city_table, make_reports
from analysis.panel.twin_yearly import (
    Counties,
    draw_declines,
    draw_federal,
    draw_later,
    draw_policies,
    draw_survey,
    draw_yearly,
)

__all__ = ["make_twin", "read_parameters", "simulate", "truth", "twin_shapes"]

T = len(YEARS)
MAIN_YEARS = (2010, 2017)
MAIN_POPULATION = 10_000


@dataclass(frozen=True, slots=True)
class Simulated:
    """A simulated panel in memory.

    Args:
        panel, constant, cities, policy_events, declines: tables under the contracts of the real ones.
        reports: name to table, as the real build writes them.
        frame: county_fips, state, county_name, division, urban_class, rucc_2013, one row an area.
        population: county_fips, year, population.
        rates: rates of counties with and without the policies.
        adoptions: when documented full limits act.
        geography: centres and neighbours of the areas, from their real shapes.
    """

    panel: pd.DataFrame
    constant: pd.DataFrame
    cities: pd.DataFrame
    policy_events: pd.DataFrame
    declines: pd.DataFrame
    reports: Mapping[str, pd.DataFrame]
    frame: pd.DataFrame
    population: pd.DataFrame
    rates: Rates
    adoptions: pd.DataFrame
    geography: Geography


def read_parameters(path: Path = PARAMETERS) -> dict[str, Any]:
    """Return the parameter file as plain values.

    Example:
        >>> read_parameters()["effects"]["log_points"]["burglary"]
        0.02
    """
    return tomllib.loads(path.read_text(encoding="utf-8"))


def make_twin(
    paths: Paths | None = None,
    *,
    seed: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Panel:
    """Build the simulated panel below ``simulated/``, unless what it is made from has not changed.

    Args:
        paths: a simulated tree; by default the study's.
        seed: of the draws; by default the one in ``twin.toml``. The same seed gives the same bytes.
        force: build even when nothing has changed.
        progress: called with the name of each step.

    Returns:
        The panel, as `analysis.panel.build.load_panel` reads it from the same tree.

    Raises:
        StudyError: the tree is the real one, where nothing simulated may go.

    Example:
        >>> make_twin().simulated  # doctest: +SKIP
        True
    """
    paths = paths or Paths(simulated=True)
    if not paths.simulated:
        raise StudyError(
            "make_twin was given the real tree",
            "Paths(simulated=True): nothing simulated goes beside real results",
            "paths",
        )
    parameters = read_parameters()
    seed = int(parameters["seed"]) if seed is None else seed
    inputs = _inputs(paths, seed)
    if not force and _is_current(paths, inputs):
        return load_panel(paths)
    made = simulate(parameters, seed, paths=paths, progress=progress)
    if progress:
        progress("writing")
    parts = {
        "panel": made.panel,
        "constant": made.constant,
        "policy_events": made.policy_events,
        "declines": made.declines,
        "places": made.geography.places,
        "neighbours": made.geography.neighbours,
    }
    return write_panel(parts, made.cities, made.reports, inputs, paths)


def simulate(
    parameters: Mapping[str, Any],
    seed: int,
    *,
    paths: Paths | None = None,
    quiet: bool = False,
    progress: Progress | None = None,
) -> Simulated:
    """Return a simulated panel in memory.

    Args:
        parameters: as in ``twin.toml``.
        seed: of the draws.
        paths: where the study's own compilations of policies lie.
        quiet: no shocks, no confounders, no counting noise and no gaps in reporting: levels, national trends and the
            known effects alone, so that a sound estimator finds them exactly.
        progress: called with the name of each step.

    Returns:
        Every table of a panel, and the rates behind it.

    Assumption:
        Reported offences are Poisson around a county's rate, and whether an agency reports has nothing to do with its
        crime: the twin bears no effect of a policy on reporting.

    Example:
        >>> made = simulate(read_parameters(), seed=1)  # doctest: +SKIP
    """

    def step(words: str) -> None:
        if progress:
            progress(words)

    paths = paths or Paths(simulated=True)
    streams = _streams(seed)
    step("simulated counties")
    base = _counties(parameters, streams, paths, quiet)
    step("simulated agencies")
    made = make_agencies(
        parameters, base.frame, base.traits, base.population, base.rates, streams["agencies"], quiet
    )
    table, constant = count_crime(made)
    step("simulated covariates, declines and policies")
    yearly = draw_yearly(parameters["yearly"], base, streams["yearly"])
    declines, facilities = draw_declines(parameters["declines"], base, streams["declines"])
    federal = draw_federal(parameters["federal"], base, declines, streams["federal"])
    yearly["acs"] = draw_survey(parameters["later"], yearly, streams["survey"])
    fixed = pd.concat(
        [
            base.frame[["county_fips"]],
            base.traits.drop(columns=["growth", *(f"log_rate_{m}" for m in BASE)]),
            draw_later(parameters["later"], base, yearly, streams["later"]),
        ],
        axis=1,
    )
    panel, joins = assemble(base.frame, base.population, table, yearly, fixed, federal)
    steady, _ = assemble(base.frame, base.population, constant, yearly, fixed, federal)
    step("simulated cities")
    cities = validate(city_table(parameters, made, base.frame, base.rates, streams["cities"]), "cities")
    reports = make_reports(parameters["totals"], panel, cities, made, facilities, streams["reports"])
    reports["joins"] = pd.DataFrame([report.row() for report in joins])
    reports["unmatched"] = _unmatched(joins)
    shapes = twin_shapes()
    geography, reports["neighbours"] = make_geography(shapes, touching(shapes), base.frame["county_fips"])
    return Simulated(
        panel,
        steady,
        cities,
        base.policies,
        declines,
        reports,
        base.frame,
        base.population,
        base.rates,
        base.adoptions,
        geography,
    )


def truth(parameters: Mapping[str, Any], seed: int | None = None, paths: Paths | None = None) -> pd.DataFrame:
    """Return what a documented full limit does to reported crime in the simulated panel.

    Means over treated counties of at least 10,000 residents and their full treated years in 2010-2017, before any
    rule of coverage, weighted by residents in 2010, and alike.

    Args:
        parameters: as in ``twin.toml``.
        seed: of the draws; by default the one of the file.
        paths: where the study's own compilations of policies lie.

    Returns:
        A row a measure: ``measure``, ``log_points`` (of the rate), ``rate_100k`` (offences per 100,000 residents
        policed), ``baseline`` (the rate without the policy), each weighted by residents, and ``log_points_alike``,
        ``rate_100k_alike``, ``baseline_alike`` with counties weighted alike; ``counties``.

    Example:
        >>> found = truth(read_parameters()).set_index("measure")
        >>> float(found.loc["violent_ex_rape", "rate_100k"]), bool(found.loc["property", "rate_100k"] > 0)
        (0.0, True)
    """
    paths = paths or Paths(simulated=True)
    base = _counties(
        parameters, _streams(int(parameters["seed"]) if seed is None else seed), paths, quiet=False
    )
    when = base.adoptions.set_index("county_fips").reindex(base.frame["county_fips"])
    years = np.array(YEARS)[None, :]
    cohort = when["cohort"].to_numpy(dtype=float)[:, None]
    last = when["last_year"].to_numpy(dtype=float, na_value=np.inf)[:, None]
    people = (
        base.population["population"].to_numpy().reshape(len(base.frame), T)[:, YEARS.index(MAIN_YEARS[0])]
    )
    # An onset before the window leaves no year before adoption to compare with.
    entered = when["adoption_year"].to_numpy(dtype=float)[:, None] > MAIN_YEARS[0]
    on = (
        (years >= np.maximum(cohort, MAIN_YEARS[0]))
        & (years <= np.minimum(last, MAIN_YEARS[1]))
        & entered
        & (people >= MAIN_POPULATION)[:, None]
    )
    rows = []
    for measure, parts in {**{m: (BASE.index(m),) for m in BASE}, **SUMS}.items():
        before = base.rates.without[:, :, list(parts)].sum(axis=2)[on]
        after = base.rates.observed[:, :, list(parts)].sum(axis=2)[on]
        row: dict[str, Any] = {"measure": measure}
        for suffix, weight in (
            ("", np.broadcast_to(people[:, None], on.shape)[on]),
            ("_alike", np.ones(int(on.sum()))),
        ):
            row[f"log_points{suffix}"] = float(np.average(np.log(after / before), weights=weight))
            row[f"rate_100k{suffix}"] = float(np.average(after - before, weights=weight))
            row[f"baseline{suffix}"] = float(np.average(before, weights=weight))
        rows.append({**row, "counties": int(on.any(axis=1).sum())})
    return pd.DataFrame(rows)


# --- stages -----------------------------------------------------------------------------------------------------


def _streams(seed: int) -> dict[str, np.random.Generator]:
    """One stream of draws a stage, so that a change in one leaves the others as they were; new ones come last."""
    names = (
        "lists",
        "frame",
        "traits",
        "population",
        "rates",
        "agencies",
        "yearly",
        "federal",
        "declines",
        "cities",
        "reports",
        "survey",
        "later",
    )
    return dict(
        zip(names, map(np.random.default_rng, np.random.SeedSequence(seed).spawn(len(names))), strict=True)
    )


def _counties(
    parameters: Mapping[str, Any], streams: Mapping[str, np.random.Generator], paths: Paths, quiet: bool
) -> Counties:
    frame = twin_counties()
    policies = draw_policies(parameters["federal"]["list_2025"], frame, paths, streams["lists"])
    documented = policies[
        policies["definition_source"].eq("D2") & policies["direction"].isin(["limit_full", "limit_partial"])
    ]
    adopters = set(documented["county_fips"].dropna())
    frame = draw_classes(parameters["classes"], frame, adopters, streams["frame"])
    traits = draw_traits(
        parameters["traits"],
        frame,
        adopters,
        float(parameters["new_york_city_population"]),
        streams["traits"],
    )
    population = draw_population(parameters["population"], frame, traits, streams["population"])
    adoptions = spells(policies)
    rates = county_rates(parameters, frame, traits, adoptions, streams["rates"], quiet)
    return Counties(frame, policies, adoptions, traits, population, rates)


# --- whether anything changed -----------------------------------------------------------------------------------


def _inputs(paths: Paths, seed: int) -> str:
    """Digest of all the twin is made from: parameters, seed, our own compilations, codebook, shapes, code."""
    compiled = {
        path.relative_to(paths.root).as_posix(): sha256_of(path)
        for folder in (paths.compiled_policy, paths.compiled_geography)
        for path in sorted(folder.glob("*.csv"))
    }
    package = Path(__file__).parent
    code = [digest_of_sources(package), digest_of_sources(package.parent / "base")]
    return digest_of(
        [seed, compiled, sha256_of(paths.codebook), *map(sha256_of, map(county_file, ("dbf", "shp"))), *code]
    )

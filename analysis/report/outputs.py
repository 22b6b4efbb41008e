"""The registry: every figure and table of the study, once, with what it needs and how it is written.

A figure is written as pdf, png, csv (the plotted numbers) and json (stamp); a table as csv, Markdown, LaTeX
and json.
The json holds a key over everything the output was made from, so that `make` does nothing when nothing
changed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.base.codebook import Codebook
from analysis.base.errors import StudyError, nearest
from analysis.base.paths import Paths, replacing
from analysis.base.provenance import (
    canonical_json,
    code_digest,
    digest_of,
    digest_of_table,
    make_stamp,
    package_versions,
    sha256_of,
)
from analysis.base.records import Panel
from analysis.design.design import FEWEST_TREATED
from analysis.design.treatment import DEFINITIONS, definition_of, make_treatment
from analysis.estimation.estimate import Estimate
from analysis.evidence import curve
from analysis.evidence import matches as of
from analysis.evidence.bearing import FRAMES as BEARING_FRAMES
from analysis.evidence.studies.frames import FRAMES as STUDY_FRAMES
from analysis.report import (
    bias_figures,
    bias_tables,
    coverage_figures,
    curve_figures,
    design_figures,
    design_tables,
    figures,
    maps,
    match_figures,
    match_tables,
    method_figures,
    misclassified_figures,
    null_figures,
    null_tables,
    reporting_figures,
    tables,
    words,
)
from analysis.report.frames import CONTRACTS, require
from analysis.report.style import SIMULATED, save, stamp_simulated
from analysis.report.tables import Table

MAPPED = (
    "policy_any",
    "policy_full",
    "policy_verified",
    "declines_share25",
    "declines_5",
    "state_law",
    "dhs_2025",
)
TREND_YEARS = (2010, 2017)
TREND_COHORTS = (2014, 2015)
TREND_DEFINITION = "policy_full"
TREND_COVERAGE = 0.9
EVENT_MEASURES = ("violent_ex_rape", "property")
# Specs by name, and the specs whose attrition is printed: the first specification of each.
MAIN, MATCHED, FIRST_STAGE = "main", "cross_section_2015", "first_stage"
HEADLINES, GRID = "headline", "multiverse"
GRID_MEASURES = ("violent_ex_rape", "property")


# --------------------------------------------------------------------------------------------------------
# What outputs are made from
# --------------------------------------------------------------------------------------------------------

INGREDIENTS = (
    "panel",
    "estimates",
    "movement",
    "headline",
    "first_stage",
    "balance",
    "attrition",
    "status",
    "totals",
    "trust",
    "reporting",
    "geometry",
    "matches",
    "match_balance",
    "hidden_bias",
    "match_size",
    "matched_sample",
    "designs",
    "families",
    "capability",
    "left_out",
    "trend_checks",
    "regression_weights",
    "reporting_inputs",
    *BEARING_FRAMES,
    "multiverse",
    "joint_test",
    "grid_plan",
    *STUDY_FRAMES,
)


@dataclass(frozen=True)
class Context:
    """Everything the registered outputs may read; each ingredient is a value or a function that returns it.

    Args:
        paths: where outputs go.
        codebook: labels and units.
        data: digest of the panel behind every number.
        simulated: whether that panel is the simulated one; must agree with ``paths``.
        specs: spec name to digest.
        panel: the panel.
        estimates: spec name to its estimates, the spec itself first, then its variations.
        movement, headline, first_stage, balance, attrition, status, totals, trust, reporting, matches, match_balance,
            hidden_bias, match_size: frames under the contracts of `analysis.report.frames`.
        geometry: county shapes (GeoDataFrame).
        matched_sample: scores and matches county by county, for drawing alone; its digest must be handed in.
        designs, families, capability, left_out, trend_checks, regression_weights: frames under the contracts of `analysis.report.design_tables`.
        more: ingredients beside those above, by name: the grid's results, plan and joint test, inputs on reporting, and
            the frames of `analysis.evidence.bearing`.
        digests: ingredient to digest where it is known without loading the ingredient; the rest is computed.
    """

    paths: Paths
    codebook: Codebook
    data: str
    simulated: bool
    specs: Mapping[str, str] = field(default_factory=dict)
    panel: Panel | Callable[[], Panel] | None = None
    estimates: Mapping[str, Sequence[Estimate]] | Callable[[], Mapping[str, Sequence[Estimate]]] | None = None
    movement: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    headline: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    first_stage: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    balance: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    attrition: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    status: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    totals: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    trust: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    reporting: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    geometry: Any = None
    matches: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    match_balance: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    hidden_bias: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    match_size: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    matched_sample: of.MatchedSample | Callable[[], of.MatchedSample] | None = None
    designs: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    families: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    capability: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    left_out: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    trend_checks: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    regression_weights: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    more: Mapping[str, pd.DataFrame | Callable[[], pd.DataFrame]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    _loaded: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse simulated numbers in the real tree, and the other way round."""
        if self.simulated != self.paths.simulated:
            raise StudyError(
                f"numbers that are {'simulated' if self.simulated else 'real'} for the "
                f"{'simulated' if self.paths.simulated else 'real'} folders",
                "both simulated or both real",
            )

    def has(self, name: str) -> bool:
        """Return whether an ingredient was handed in."""
        return self._handed_in(name) is not None

    def _handed_in(self, name: str) -> Any:
        return self.more[name] if name in self.more else getattr(self, name, None)

    def get(self, name: str) -> Any:
        """Return an ingredient, loaded once and held to its contract; an absent one raises `StudyError`."""
        if name not in INGREDIENTS:
            raise StudyError(
                f"no ingredient '{name}'{nearest(name, INGREDIENTS)}", f"one of {', '.join(INGREDIENTS)}"
            )
        if name not in self._loaded:
            value = self._handed_in(name)
            if value is None:
                raise StudyError(
                    f"'{name}' was not handed in",
                    "every ingredient the output needs",
                    "the step that makes it",
                )
            value = value() if callable(value) else value
            self._loaded[name] = require(value, CONTRACTS[name]) if name in CONTRACTS else value
        return self._loaded[name]

    def digest(self, name: str) -> str:
        """Return the digest of an ingredient, without loading it where ``digests`` already holds it."""
        if name in self.digests:
            return self.digests[name]
        value = self.get(name)
        if isinstance(value, Panel):
            return value.digest
        if name == "estimates":
            return digest_of(
                {k: [[e.spec.digest, digest_of_table(e.table)] for e in es] for k, es in value.items()}
            )
        if name == "geometry":
            return digest_of(
                [
                    digest_of_table(pd.DataFrame(value.drop(columns="geometry"))),
                    [g.hex() for g in value.geometry.to_wkb()],
                ]
            )
        return digest_of_table(value)

    def labels(self) -> dict[str, str]:
        """Return measure and covariate names in words, from the codebook."""
        measures = {name: m.label for name, m in self.codebook.measures.items()}
        return {**measures, **self.codebook.covariate_labels}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure with its plotted numbers; ``built_only``: county-level values, never committed."""

    figure: Figure
    numbers: pd.DataFrame
    built_only: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """One registered output.

    Args:
        name: id such as ``figure-1``.
        title: one line.
        uses: specs it reports on.
        needs: ingredients it reads.
        make: from a context to a `Drawing` or a `Table`.
    """

    name: str
    title: str
    uses: tuple[str, ...]
    needs: tuple[str, ...]
    make: Callable[[Context], Drawing | Table]

    @property
    def kind(self) -> str:
        """``figure`` or ``table``."""
        return self.name.split("-")[0]


OUTPUTS: dict[str, Output] = {}


def output(
    name: str, *, title: str, uses: Iterable[str] = (), needs: Iterable[str]
) -> Callable[[Callable[[Context], Drawing | Table]], Callable[[Context], Drawing | Table]]:
    """Register a function as an output; the same name twice, or an unknown ingredient, is an error."""

    def register(make: Callable[[Context], Drawing | Table]) -> Callable[[Context], Drawing | Table]:
        wanted = tuple(needs)
        if name in OUTPUTS:
            raise StudyError(f"output '{name}' registered twice", "one function an output")
        if unknown := [n for n in wanted if n not in INGREDIENTS]:
            raise StudyError(
                f"output '{name}' needs '{unknown[0]}'{nearest(unknown[0], INGREDIENTS)}",
                "a known ingredient",
            )
        OUTPUTS[name] = Output(name, title, tuple(uses), wanted, make)
        return make

    return register


def find_output(name: str) -> Output:
    """Return a registered output; an unknown name raises `StudyError` with the nearest one.

    Example:
        >>> find_output("figure-5").kind
        'figure'
    """
    if name not in OUTPUTS:
        raise StudyError(f"no output '{name}'{nearest(name, OUTPUTS)}", f"one of {', '.join(OUTPUTS)}")
    return OUTPUTS[name]


def status_frame(panel: Panel, definitions: Iterable[str] = tuple(DEFINITIONS)) -> pd.DataFrame:
    """Return who is treated, comparison or excluded under each definition: the frame ``status``.

    Dated definitions are assigned as the main panel designs assign them; the federal lists, which cannot
    carry a panel,
    as a cross-section of 2015.

    Args:
        panel: the panel.
        definitions: which definitions, in what order; by default all of the study.
    """
    parts = []
    for name in definitions:
        listed = definition_of(name).kind == "list"
        made = make_treatment(
            panel.table, panel.policies, panel.declines, name, onset="first_full_year",
            upper_bound_dates="as_dated", comparison="not_yet_treated",
            kind="cross_section" if listed else "panel", year=2015 if listed else None,
        )  # fmt: skip
        part = made.table[["county_fips", "state", "status", "cohort"]].copy()
        part.insert(0, "definition", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


# --------------------------------------------------------------------------------------------------------
# Making and writing
# --------------------------------------------------------------------------------------------------------


def folder_of(one: Output, paths: Paths) -> Path:
    """Return the folder an output is written to."""
    return paths.figures if one.kind == "figure" else paths.paper / "tables"


def output_key(name: str, context: Context) -> str:
    """Return the digest of everything an output is made from: ingredients, code, package versions.

    The code is that of the whole package, which the stamp holds too, so that no stamp lags behind its output.
    """
    one = find_output(name)
    return digest_of(
        {
            "output": name,
            "inputs": {need: context.digest(need) for need in one.needs},
            "code": code_digest(),
            "versions": dict(package_versions()),
            "simulated": context.simulated,
        }
    )


def stale(name: str, context: Context) -> bool:
    """Return whether an output must be made: a file absent or altered, or an input changed."""
    one = find_output(name)
    stamp = folder_of(one, context.paths) / f"{name}.json"
    try:
        held = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    if held.get("key") != output_key(name, context):
        return True
    for file, digest in held.get("files", {}).items():
        path = stamp.parent / file
        if not path.is_file() or sha256_of(path) != digest:
            return True
    return any(not (context.paths.panel / file).is_file() for file in held.get("built_only", []))


def make_output(name: str, context: Context, *, force: bool = False) -> list[Path]:
    """Write an output's files and return them; those that are up to date are left as they are.

    Args:
        name: a registered output.
        context: what it is made from.
        force: make it even if nothing changed.

    Raises:
        StudyError: an unknown name, or an ingredient that was not handed in.
    """
    one = find_output(name)
    folder = folder_of(one, context.paths)
    suffixes = (".pdf", ".png", ".csv", ".json") if one.kind == "figure" else (".csv", ".md", ".tex", ".json")
    files = [folder / f"{name}{suffix}" for suffix in suffixes]
    if not force and not stale(name, context):
        return files
    made = one.make(context)
    facts = {
        "output": name,
        "title": one.title,
        "key": output_key(name, context),
        "inputs": {need: context.digest(need) for need in one.needs},
        "specs": {spec: context.specs[spec] for spec in one.uses if spec in context.specs},
        "stamp": make_stamp(context.data, context.simulated).to_dict(),
    }
    if isinstance(made, Table):
        write_table(made, folder, name, facts, simulated=context.simulated)
        return files
    for file, frame in made.built_only.items():
        _write_text(context.paths.panel / file, tables.to_csv(frame))
    facts["built_only"] = sorted(made.built_only)
    write_figure(made.figure, made.numbers, folder, name, facts, simulated=context.simulated)
    return files


def difference(name: str, context: Context, tolerance: float = 1e-6) -> pd.DataFrame:
    """Return where an output's numbers, made anew, differ from its csv as written before.

    Args:
        name: a registered output.
        context: what it is made from.
        tolerance: relative size under which two numbers count as equal; machines differ in their last bits.

    Returns:
        Rows row, column, written, new; empty where nothing differs. Rows are matched by place, since their order is
        part of an output.

    Raises:
        StudyError: an unknown name, or no csv to compare with.
    """
    one = find_output(name)
    path = folder_of(one, context.paths) / f"{name}.csv"
    if not path.is_file():
        raise StudyError(
            f"no {path.name} to compare with", "the output made once", f"python -m analysis make {name}"
        )
    made = one.make(context)
    numbers = made.frame if isinstance(made, Table) else made.numbers
    if context.simulated:
        numbers = numbers.assign(data=SIMULATED)
    return csv_difference(path.read_text(encoding="utf-8"), tables.to_csv(numbers), tolerance)


def csv_difference(written: str, new: str, tolerance: float = 1e-6) -> pd.DataFrame:
    """Return the cells in which two csv texts differ: row, column, written, new.

    Args:
        written: the text as it was.
        new: the text as it is.
        tolerance: relative size under which two numbers count as equal.

    Example:
        >>> csv_difference("a,b\\n1,x\\n", "a,b\\n1.0000000001,y\\n")
           row column written new
        0    0      b       x   y
    """
    old, now = (pd.read_csv(io.StringIO(t), dtype=str, keep_default_na=False) for t in (written, new))
    rows = []
    for column in dict.fromkeys([*old.columns, *now.columns]):
        if column not in old or column not in now:
            there = "column present"
            rows.append((-1, column, there if column in old else "", there if column in now else ""))
            continue
        for at in range(max(len(old), len(now))):
            left = old[column].iloc[at] if at < len(old) else "no row"
            right = now[column].iloc[at] if at < len(now) else "no row"
            if left != right and not _equal(left, right, tolerance):
                rows.append((at, column, left, right))
    return pd.DataFrame(rows, columns=["row", "column", "written", "new"])


def _equal(left: str, right: str, tolerance: float) -> bool:
    try:
        a, b = float(left), float(right)
    except ValueError:
        return False
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


def write_figure(
    figure: Figure,
    numbers: pd.DataFrame,
    folder: Path,
    name: str,
    facts: Mapping[str, Any],
    *,
    simulated: bool,
) -> list[Path]:
    """Write a figure as pdf, png, csv and json; one made from simulated data is marked on its face.

    Args:
        figure: what to write.
        numbers: the plotted numbers.
        folder: where.
        name: file name without suffix.
        facts: what the json holds beside the files' hashes.
        simulated: whether the numbers are simulated.
    """
    if simulated:
        stamp_simulated(figure)
        numbers = numbers.assign(data=SIMULATED)
    paths = [save(figure, folder / f"{name}.pdf"), save(figure, folder / f"{name}.png")]
    paths.append(_write_text(folder / f"{name}.csv", tables.to_csv(numbers)))
    return [*paths, _write_stamp(folder, name, facts, paths)]


def write_table(
    made: Table, folder: Path, name: str, facts: Mapping[str, Any], *, simulated: bool
) -> list[Path]:
    """Write a table as csv, Markdown, LaTeX and json; the json also holds the printed cells."""
    frame = made.frame.assign(data=SIMULATED) if simulated else made.frame
    paths = [
        _write_text(folder / f"{name}.csv", tables.to_csv(frame)),
        _write_text(folder / f"{name}.md", tables.to_markdown(made, simulated=simulated)),
        _write_text(folder / f"{name}.tex", tables.to_latex(made, name, simulated=simulated)),
    ]
    return [*paths, _write_stamp(folder, name, {**facts, "cells": tables.cells_of(made)}, paths)]


def _write_text(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def _write_stamp(folder: Path, name: str, facts: Mapping[str, Any], paths: Iterable[Path]) -> Path:
    return _write_text(
        folder / f"{name}.json", canonical_json({**facts, "files": {p.name: sha256_of(p) for p in paths}})
    )


# --------------------------------------------------------------------------------------------------------
# The outputs
# --------------------------------------------------------------------------------------------------------


@output("table-1", title="Treatment definitions", needs=("status",))
def _definitions(context: Context) -> Table:
    return tables.definitions_table(context.get("status"))


@output("figure-1", title="Who is treated under each definition", needs=("status", "geometry"))
def _map(context: Context) -> Drawing:
    status = context.get("status")
    mapped = status[status["definition"].isin(MAPPED)]
    shapes = maps.prepare_shapes(context.get("geometry"))
    absent = sorted(set(status["county_fips"]) - set(shapes["area_fips"]))
    note = (
        "Areas of the panel; New York City is one area of five counties. Albers equal-area projections; "
        "Alaska at about a third of the scale.\nA definition's counts stand under its map"
        + (f"; {len(absent)} area(s) have no shape and are counted, not drawn." if absent else ".")
        + " Descriptive: drawn up after every outcome."
    )
    drawn = maps.map_plot(shapes, mapped, note=note)
    return Drawing(drawn, maps.status_counts(mapped), {"figure-1-areas.csv": status})


def trend_groups(status: pd.DataFrame, definition: str = TREND_DEFINITION) -> pd.DataFrame:
    """Return county_fips, group, role for the trends: cohorts at the peak of adoption, comparison areas."""
    rows = status[status["definition"] == definition]
    first, last = TREND_COHORTS
    cohort = rows["cohort"].astype("Float64").between(first, last).fillna(False).to_numpy(dtype=bool)
    treated = rows[rows["status"].eq("treated").to_numpy() & cohort].assign(
        group=f"First full year {first}-{str(last)[2:]}", role="treated"
    )
    comparison = rows[rows["status"] == "comparison"].assign(group="Comparison", role="comparison")
    return pd.concat([treated, comparison], ignore_index=True)[["county_fips", "group", "role"]]


@output("figure-2", title="Trends of reported crime by group", needs=("panel", "status"))
def _trends(context: Context) -> Drawing:
    labels = context.labels()
    first, last = TREND_YEARS
    windows = {
        "violent_ex_rape": (labels["violent_ex_rape"], first, last),
        "property": (labels["property"], first, last),
        "rape_legacy": (labels["rape_legacy"], first, 2012),
    }
    groups = trend_groups(context.get("status"))
    series = figures.trend_series(context.get("panel").table, groups, windows, min_coverage=TREND_COVERAGE)
    note = (
        f"Definition: {words.definition_label(TREND_DEFINITION).lower()}. Offences of reporting agencies "
        "over the residents they police, so large areas count for more.\n"
        f"Only areas with coverage of {words.percent(TREND_COVERAGE, 0)} or more in every year of a "
        "panel's window. Other cohorts are not shown. Axes do not start at zero."
    )
    return Drawing(figures.trend_plot(series, note=note), series)


@output("figure-3", title="Balance before and after the match", uses=[MATCHED], needs=("balance",))
def _love(context: Context) -> Drawing:
    balance = context.get("balance")
    return Drawing(figures.love_plot(balance, context.codebook.covariate_labels), balance)


@output("table-2", title="Balance of the match", uses=[MATCHED], needs=("balance",))
def _balance(context: Context) -> Table:
    return tables.balance_table(context.get("balance"), context.codebook.covariate_labels)


def headline_attrition(attrition: pd.DataFrame) -> pd.DataFrame:
    """Return the attrition of the first specification of the main, matched and first-stage specs.

    Args:
        attrition: frame under the contract ``attrition``, specs in the order they were run.
    """
    family = attrition["spec"].astype(str).str.split("/").str[0]
    first = attrition.groupby(family, sort=False)["spec"].transform("first")
    rows = attrition[(attrition["spec"] == first) & family.isin([MAIN, MATCHED, FIRST_STAGE])]
    return rows if len(rows) else attrition[attrition["spec"] == attrition["spec"].iloc[0]]


@output("table-3", title="Attrition", uses=[MAIN, MATCHED, FIRST_STAGE], needs=("attrition",))
def _attrition(context: Context) -> Table:
    return tables.attrition_table(headline_attrition(context.get("attrition")))


@output("table-4", title="National totals against the FBI's own", needs=("totals",))
def _totals(context: Context) -> Table:
    return tables.totals_table(context.get("totals"))


@output("table-5", title="Coverage by year", needs=("panel",))
def _coverage_table(context: Context) -> Table:
    labels = context.labels()
    names = ("violent_ex_rape", "property", "rape_legacy")
    return tables.coverage_table(context.get("panel").table, {m: labels[m] for m in names})


@output("figure-7", title="Coverage by state and year", needs=("panel",))
def _coverage(context: Context) -> Drawing:
    coverage = figures.coverage_by_state(context.get("panel").table)
    note = (
        "Coverage of a state: residents policed by city and county agencies that report, over all "
        "residents. Numbers stand in cells under 80 %.\n"
        "A place that only the state police serve counts as uncovered; so does a department that closed."
    )
    label = context.labels()["violent_ex_rape"]
    return Drawing(figures.coverage_plot(coverage, measure_label=label, note=note), coverage)


@output("table-7", title="First stage: declined detainers", uses=[FIRST_STAGE], needs=("first_stage",))
def _first_stage(context: Context) -> Table:
    return tables.first_stage_table(context.get("first_stage"), context.labels())


@output(
    "table-8",
    title="How often intervals hold the truth on SIMULATED panels, beside the estimates",
    uses=[MAIN, "near_nominal", "two_way", MATCHED],
    needs=("trust",),
)
def _trust(context: Context) -> Table:
    return tables.trust_table(context.get("trust"), context.labels())


@output("table-9", title="Reporting as an outcome: coverage", uses=["coverage"], needs=("reporting",))
def _reporting(context: Context) -> Table:
    return tables.reporting_table(context.get("reporting"))


def event_studies(estimates: Mapping[str, Sequence[Estimate]], spec: str = MAIN) -> list[Estimate]:
    """Return the dynamic estimates to plot: the first between and within states, for each main outcome.

    Args:
        estimates: spec name to estimates; variations of a spec carry its name and a slash, and come after it.
        spec: which.

    Raises:
        StudyError: the spec is absent or holds no dynamic estimate of a main outcome.
    """
    # By name first: a mapping may run a spec only when it is asked for.
    family = [e for name in estimates if name.split("/")[0] == spec for e in estimates[name]]
    if not family:
        raise StudyError(
            f"no estimates of spec '{spec}'{nearest(spec, estimates)}", "the main spec's estimates"
        )
    chosen: dict[tuple[str, str], Estimate] = {}
    for estimate in family:
        measure = estimate.spec.outcome.measure
        if estimate.estimand == "event_time" and measure in EVENT_MEASURES:
            chosen.setdefault((measure, figures.role_of(estimate)), estimate)
    if not chosen:
        raise StudyError(
            f"spec '{spec}' holds no dynamic estimate of {' or '.join(EVENT_MEASURES)}",
            "event-time estimates",
        )
    order = [(m, r) for m in EVENT_MEASURES for r in ("between", "within")]
    return [chosen[key] for key in order if key in chosen]


@output("figure-4", title="Event study of reported crime", uses=[MAIN], needs=("estimates",))
def _event_study(context: Context) -> Drawing:
    rows = figures.event_frame(event_studies(context.get("estimates")))
    return Drawing(figures.event_plot_from(rows), rows)


def claim_rows(headline: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the published claims; the first stage has its own table."""
    return headline[headline["claim"] != "first_stage"].reset_index(drop=True)


_FOREST_NOTE = (
    "Lines: intervals at 95 %, from state-level inference for this study's estimates (green: matched counties, blue: between "
    "states, red: within states), from the published standard error where there is one. Diamonds: published figures. Not "
    "informative: under 20 treated areas, or under six states that identify. A verdict compares with the published figure.\n"
    + words.DAGGER_NOTE
)


@output(
    "figure-5",
    title="Three claims beside this study's estimates",
    uses=[MAIN, MATCHED],
    needs=("headline",),
)
def _forest(context: Context) -> Drawing:
    headline = claim_rows(context.get("headline"))
    return Drawing(figures.forest_plot(headline, note=_FOREST_NOTE), headline)


@output(
    "table-6", title="Three claims beside this study's estimates", uses=[MAIN, MATCHED], needs=("headline",)
)
def _headline(context: Context) -> Table:
    return tables.headline_table(claim_rows(context.get("headline")))


def movement_rows(movement: pd.DataFrame) -> pd.DataFrame:
    """Return the panel estimates of the main outcomes, California in and out: what figure-6 holds."""
    rows = movement[
        movement["measure"].isin(EVENT_MEASURES) & movement["comparison"].isin(["between", "within"])
    ]
    return rows[rows["california"].isin(["in", "out"])].reset_index(drop=True)


@output("figure-6", title="How the answer moves", uses=[MAIN], needs=("movement",))
def _variation(context: Context) -> Drawing:
    rows = movement_rows(context.get("movement"))
    note = (
        "Intervals at 95 %, from state-level inference. Faint: not informative (under 20 treated areas, "
        "or under six states that identify). Arrows: the interval goes on. A definition without a mark has "
        f"no estimate, or no interval, of that kind. Treated areas: {words.span(rows['n_treated'])}."
    )
    return Drawing(figures.variation_plot(rows, labels=context.labels(), note=note), rows)


# --------------------------------------------------------------------------------------------------------
# Matched comparisons
# --------------------------------------------------------------------------------------------------------

METHOD_MEASURE = "violent_ex_rape"
_METHODS_NOTE = (
    "Counties that decline detainers in full against counties that do not, 2015; covariates of 2006-10. Intervals at 95 %; "
    "arrows: the interval goes on. Grey: within ±5 % of the mean, the bound of equivalence. Treated: counties behind the "
    "outcomes' estimates. Largest difference: the largest absolute standardized mean difference left in any covariate and "
    "any outcome's sample (over 0.1 in colour); models make no sample of their own. Averages are over treated counties, "
    "but for the average over all counties and overlap weights. By pair and state, bootstrap and randomisation also let "
    "counties of a state move as one."
)


@output(
    "figure-8",
    title="One question, every method of matching",
    uses=[of.METHODS],
    needs=("matches", "match_balance"),
)
def _methods(context: Context) -> Drawing:
    rows = method_figures.methods_rows(context.get("matches"), context.get("match_balance"))
    return Drawing(method_figures.methods_plot(rows, context.labels(), note=_METHODS_NOTE), rows)


@output("figure-9", title="Balance by method of matching", uses=[of.METHODS], needs=("match_balance",))
def _love_grid(context: Context) -> Drawing:
    frames = method_figures.balance_frames(context.get("match_balance"), METHOD_MEASURE)
    note = (
        f"Sample for {context.labels()[METHOD_MEASURE]}; all methods are held to the covariates of the spec, also "
        "where fewer were matched on. Differences are over the treated counties' standard deviation before the match."
    )
    drawn = match_figures.love_grid(frames, context.labels(), note=note)
    return Drawing(drawn, match_figures.love_grid_frame(frames))


@output(
    "figure-10",
    title="Overlap of treated and comparison counties",
    uses=[of.METHODS],
    needs=("matched_sample",),
)
def _support(context: Context) -> Drawing:
    sample = context.get("matched_sample")
    drawn = match_figures.support_plot(sample.scores, sample.trimming)
    return Drawing(drawn, match_figures.support_frame(sample.scores))


@output("figure-11", title="Who is matched to whom", uses=[of.METHODS], needs=("matched_sample", "geometry"))
def _match_map(context: Context) -> Drawing:
    sample = context.get("matched_sample")
    shapes = maps.prepare_shapes(context.get("geometry"))
    note = "One neighbour, Mahalanobis distance, same urban-rural class, with replacement. Lines: colour of the class."
    drawn = match_figures.match_map(sample.sets, sample.areas, shapes, note=note)
    lines = match_figures.match_lines(sample.sets, sample.areas, shapes)
    return Drawing(drawn, match_figures.match_counts(lines))


@output(
    "table-10",
    title="Methods of matching and weighting",
    uses=[of.METHODS],
    needs=("matches", "match_balance"),
)
def _methods_table(context: Context) -> Table:
    return match_tables.methods_table(context.get("matches"), context.get("match_balance"))


@output(
    "table-11",
    title="Matched counties: definitions and rate builds",
    uses=[of.DEFINITIONS],
    needs=("matches",),
)
def _definitions_builds(context: Context) -> Table:
    return match_tables.definitions_builds_table(context.get("matches"))


@output("table-12", title="Matched counties: years", uses=[of.YEARS, of.DEFINITIONS], needs=("matches",))
def _years(context: Context) -> Table:
    return match_tables.years_table(context.get("matches"))


@output(
    "table-13",
    title="Matched counties: urban-rural classes",
    uses=[of.CLASSES],
    needs=("matches", "match_balance"),
)
def _classes(context: Context) -> Table:
    return match_tables.classes_table(context.get("matches"), context.get("match_balance"))


@output(
    "table-14",
    title="Matched counties: sets of covariates",
    uses=[of.COVARIATES],
    needs=("matches", "match_balance"),
)
def _covariates(context: Context) -> Table:
    return match_tables.covariates_table(context.get("matches"), context.get("match_balance"))


@output("table-15", title="Matched counties: the economy", uses=[of.ECONOMY], needs=("matches",))
def _economy(context: Context) -> Table:
    return match_tables.economy_table(context.get("matches"), context.labels())


@output(
    "table-16",
    title="Matched counties: placebo outcomes before the policies",
    uses=[of.PLACEBO, of.DEFINITIONS, of.ECONOMY],
    needs=("matches",),
)
def _placebo(context: Context) -> Table:
    return match_tables.placebo_table(context.get("matches"), context.labels())


@output(
    "table-17",
    title="Matched difference-in-differences",
    uses=[of.MATCHED_DID, of.UNMATCHED_PANEL],
    needs=("matches",),
)
def _matched_did(context: Context) -> Table:
    return match_tables.did_table(context.get("matches"), context.labels())


@output(
    "table-18",
    title="Hidden bias of the matched comparisons",
    uses=[of.METHODS],
    needs=("matches", "match_balance", "hidden_bias"),
)
def _hidden_bias(context: Context) -> Table:
    strengths = of.e_values(context.get("matches"), context.get("match_balance"))
    return match_tables.hidden_table(context.get("hidden_bias"), strengths, context.labels())


@output(
    "table-19",
    title="How often intervals of matched comparisons hold what they should on SIMULATED panels, beside the estimates",
    uses=[of.METHODS],
    needs=("match_size",),
)
def _match_size(context: Context) -> Table:
    return match_tables.size_table(context.get("match_size"), context.labels())


# --------------------------------------------------------------------------------------------------------
# Panel designs
# --------------------------------------------------------------------------------------------------------

_DESIGNS_NOTE = (
    "Counties that decline detainers in full against counties that do not, 2010-2017. Intervals at 95 %, clustered by state, "
    "along borders by state and segment; arrows: the interval goes on. Grey: within ±5 % of the mean, the bound of equivalence. Faint: not informative (under 20 "
    "treated areas, or under six states that identify). Treated areas and states that identify: with California, over both "
    "outcomes. Averaged by residents; Poisson models take counts with residents as exposure. Border designs hold the effect "
    "plus what moved across the line."
)
_EVENTS_NOTE = (
    "Thick bars: pointwise intervals at 95 %, clustered by state; thin bars: simultaneous bands. Bars are cut at the edge of a "
    f"panel. Faint: fewer than {FEWEST_TREATED} treated areas. Hollow: the last year wholly before adoption, zero "
    "by definition. Crosses: leads of imputation and two-stage, which have no such year and are a test, not a path; extended "
    "two-way fits no leads, and in the window that all cohorts share stacks have none. With California, averaged by residents; the year of adoption has no row."
)
_OFFENCES_NOTE = (
    "Intervals at 95 %, clustered by state; arrows: the interval goes on. Grey: within ±5 % of the mean. Faint: not informative "
    "(under 20 treated areas, or under six states that identify). Group-time effects averaged by residents, 2010-2017; "
    "recorded declines to 2015; rape under its legacy definition, to 2012. p-values adjusted for the family of offences "
    "stand in the table."
)
_GAPS_NOTE = (
    "Each area less a weighted mean of areas that never adopt, weights fitted before adoption. Bars: 95 % intervals from "
    "giving the policy to each of the other areas in turn. Before adoption the gap shows how well the mixture fits. One "
    "area, or one state, carries no verdict: the path describes."
)


@output(
    "figure-12",
    title="Event studies of estimators side by side",
    uses=[design_tables.DESIGNS],
    needs=("designs",),
)
def _design_events(context: Context) -> Drawing:
    rows = design_figures.event_rows(context.get("designs"))
    return Drawing(design_figures.event_grid(rows, context.labels(), note=_EVENTS_NOTE), rows)


@output("figure-13", title="All designs laid side by side", uses=[design_tables.DESIGNS], needs=("designs",))
def _designs(context: Context) -> Drawing:
    rows = design_figures.designs_rows(context.get("designs"))
    return Drawing(design_figures.designs_plot(rows, context.labels(), note=_DESIGNS_NOTE), rows)


@output(
    "figure-14",
    title="Every offence under every definition",
    uses=[design_tables.OFFENCES],
    needs=("designs", "families"),
)
def _offences(context: Context) -> Drawing:
    rows = design_figures.offences_rows(context.get("designs"), context.get("families"))
    return Drawing(design_figures.offences_plot(rows, context.labels(), note=_OFFENCES_NOTE), rows)


@output(
    "figure-15",
    title="Single areas less mixtures of others",
    uses=[design_tables.SINGLE],
    needs=("designs",),
)
def _gaps(context: Context) -> Drawing:
    rows = design_figures.gaps_rows(context.get("designs"))
    return Drawing(design_figures.gaps_plot(rows, context.labels(), note=_GAPS_NOTE), rows)


@output(
    "table-20",
    title="What each definition can carry",
    uses=[MAIN],
    needs=("capability",),
)
def _capability(context: Context) -> Table:
    return design_tables.capability_table(context.get("capability"))


@output(
    "table-21",
    title="From a simple comparison to demanding ones",
    uses=[design_tables.DESIGNS],
    needs=("designs",),
)
def _ladder(context: Context) -> Table:
    return design_tables.ladder_table(context.get("designs"))


@output("table-22", title="All designs side by side", uses=[design_tables.DESIGNS], needs=("designs",))
def _designs_table(context: Context) -> Table:
    return design_tables.designs_table(context.get("designs"))


@output("table-23", title="One coefficient, every error", uses=[design_tables.ERRORS], needs=("designs",))
def _errors(context: Context) -> Table:
    return design_tables.errors_table(context.get("designs"), context.labels())


@output(
    "table-24",
    title="Every offence under every definition",
    uses=[design_tables.OFFENCES],
    needs=("designs", "families"),
)
def _offences_table(context: Context) -> Table:
    return design_tables.offences_table(context.get("designs"), context.get("families"), context.labels())


@output(
    "table-25",
    title="First stage by every design",
    uses=[design_tables.FIRST_STAGES],
    needs=("designs",),
)
def _first_stages(context: Context) -> Table:
    return design_tables.first_stages_table(context.get("designs"))


@output(
    "table-26",
    title="The mirror policy: Secure Communities",
    uses=[design_tables.MIRROR],
    needs=("designs",),
)
def _mirror(context: Context) -> Table:
    return design_tables.mirror_table(context.get("designs"))


@output(
    "table-27",
    title="Federal enforcement in every design",
    uses=[design_tables.REGIMES, design_tables.DESIGNS],
    needs=("designs",),
)
def _regimes(context: Context) -> Table:
    return design_tables.regimes_table(context.get("designs"), context.labels())


@output(
    "table-28",
    title="Rings and borders",
    uses=[design_tables.RINGS, design_tables.DESIGNS],
    needs=("designs",),
)
def _rings(context: Context) -> Table:
    return design_tables.rings_table(context.get("designs"))


@output("table-29", title="Placebo dates and outcomes", uses=[design_tables.PLACEBO], needs=("designs",))
def _placebo_designs(context: Context) -> Table:
    return design_tables.placebo_table(context.get("designs"), context.labels())


@output(
    "table-30",
    title="Single areas against mixtures of others",
    uses=[design_tables.SINGLE],
    needs=("designs",),
)
def _single(context: Context) -> Table:
    return design_tables.single_table(context.get("designs"), context.labels())


@output(
    "table-31",
    title="Rape across the change of its definition",
    uses=[design_tables.RAPE],
    needs=("designs",),
)
def _rape(context: Context) -> Table:
    return design_tables.rape_table(context.get("designs"), context.labels())


@output(
    "table-32",
    title="Without each state and cohort",
    uses=[design_tables.DESIGNS],
    needs=("left_out",),
)
def _left_out(context: Context) -> Table:
    return design_tables.left_out_table(context.get("left_out"))


@output(
    "table-33",
    title="If trends differ: power of the leads and honest bounds",
    uses=[design_tables.DESIGNS],
    needs=("trend_checks",),
)
def _trend_checks(context: Context) -> Table:
    return design_tables.trends_table(context.get("trend_checks"))


@output(
    "table-34",
    title="What a two-way coefficient compares",
    uses=[design_tables.DESIGNS],
    needs=("regression_weights",),
)
def _regression_weights(context: Context) -> Table:
    return design_tables.weights_table(context.get("regression_weights"))


# --------------------------------------------------------------------------------------------------------
# What the numbers can bear: every specification at once
# --------------------------------------------------------------------------------------------------------

_CURVE_NOTE = (
    "Every specification of one outcome in the order of its effect, in per cent of the mean; colour says what its interval says, "
    "grey is its interval, cut at the scale. Below: the darker, the larger the share of specifications at that place with that "
    "reading or option; right, the option's median. A distribution over choices, not over chances."
)
_PARTIAL_NOTE = (
    "What an option adds to the effect against another, everything else equal: mean over pairs of specifications that differ in "
    "that choice alone, bar from the 10th to the 90th percentile of the pairs; marks are families. All outcomes."
)


@output("figure-16", title="Every specification: reported property crime", uses=[GRID], needs=("multiverse",))
def _curve_property(context: Context) -> Drawing:
    rows = curve.curve(context.get("multiverse"), "property")
    return Drawing(curve_figures.curve_plot(rows, context.labels(), note=_CURVE_NOTE), rows)


@output(
    "figure-17",
    title="Every specification: reported violent crime excluding rape",
    uses=[GRID],
    needs=("multiverse",),
)
def _curve_violent(context: Context) -> Drawing:
    rows = curve.curve(context.get("multiverse"), "violent_ex_rape")
    return Drawing(curve_figures.curve_plot(rows, context.labels(), note=_CURVE_NOTE), rows)


@output("figure-18", title="What each option adds", uses=[GRID], needs=("multiverse",))
def _partial(context: Context) -> Drawing:
    rows = curve_figures.partial_rows(curve.partial_dependence(context.get("multiverse")))
    return Drawing(curve_figures.partial_plot(rows, note=_PARTIAL_NOTE), rows)


@output("table-35", title="The grid of specifications", uses=[GRID], needs=("grid_plan",))
def _grid_plan(context: Context) -> Table:
    return tables.grid_table(context.get("grid_plan"))


@output("table-36", title="What specifications find, by family", uses=[GRID], needs=("multiverse",))
def _shares(context: Context) -> Table:
    return curve_figures.shares_table(curve.shares(context.get("multiverse")), context.labels())


@output("table-37", title="Which choice moves the answer", uses=[GRID], needs=("multiverse",))
def _importance(context: Context) -> Table:
    found = curve.importance(context.get("multiverse"), GRID_MEASURES)
    return curve_figures.importance_table(found, context.labels())


@output("table-53", title="What each option adds", uses=[GRID], needs=("multiverse",))
def _partial_table(context: Context) -> Table:
    found = curve.partial_dependence(context.get("multiverse"), GRID_MEASURES)
    return curve_figures.partial_table(found, context.labels())


@output("table-38", title="Is the curve what no effect would give", uses=[GRID], needs=("joint_test",))
def _joint(context: Context) -> Table:
    return curve_figures.joint_table(context.get("joint_test"), context.labels())


@output("table-52", title="Where published numbers fall", uses=[GRID], needs=("multiverse",))
def _places(context: Context) -> Table:
    return curve_figures.places_table(curve.published_places(context.get("multiverse")), context.labels())


# --------------------------------------------------------------------------------------------------------
# What the numbers can bear: nulls
# --------------------------------------------------------------------------------------------------------

_POWER_NOTE = (
    "Chance that the test at 5 % rejects no effect, by the true effect. Lines: by formula (non-central t with the stated error "
    "and degrees of freedom); dots: by refitting on the panel's own residuals, whole states at a time. Where they part, the "
    "formula is off; dots of the match keep its imbalance."
)
_SIGNS_NOTE = (
    "What a significant estimate is worth if the truth is small (Gelman and Carlin 2014): how many times too large it would be "
    "on average, and how often of the wrong sign, errors taken as stated. An understated error flatters every line."
)


@output("figure-19", title="What each design could have found", uses=[HEADLINES], needs=("power_curves",))
def _power(context: Context) -> Drawing:
    rows = null_figures.power_rows(context.get("power_curves"))
    return Drawing(null_figures.power_plot(rows, context.labels(), note=_POWER_NOTE), rows)


@output("figure-20", title="Significant estimates of small effects", uses=[HEADLINES], needs=("sign_errors",))
def _signs(context: Context) -> Drawing:
    rows = null_figures.sign_rows(context.get("sign_errors"))
    return Drawing(null_figures.sign_plot(rows, context.labels(), note=_SIGNS_NOTE), rows)


@output(
    "table-39",
    title="What the data exclude, and what they could have found",
    uses=[HEADLINES],
    needs=("nulls",),
)
def _exclusions(context: Context) -> Table:
    return null_tables.exclusions_table(context.get("nulls"), context.labels())


@output(
    "table-40",
    title="Equivalence against every stated bound",
    uses=[HEADLINES],
    needs=("equivalence_tests",),
)
def _equivalence(context: Context) -> Table:
    return null_tables.equivalence_table(context.get("equivalence_tests"), context.labels())


# --------------------------------------------------------------------------------------------------------
# What the numbers can bear: hidden bias
# --------------------------------------------------------------------------------------------------------

_CONTOUR_NOTE = (
    "What the estimate becomes if a variable of stated strength was left out: the share it explains of what is left of "
    "treatment (across) and of the outcome (up), on scales of roots. Heavy line: an estimate of zero; dashed: beyond it the "
    "interval by state holds zero. Dots: once as strong as each covariate by year; hollow: what the census divisions, not held "
    "constant here, explain. The lines assume the worst direction."
)
_BREAK_EVEN_NOTE = (
    "Change in a group's reporting that would alone be the estimate, with 95 % intervals, if what its residents suffer did not "
    "move and their risks and reporting rates equalled those of others. Grey and hollow: cannot be, since nobody reports more "
    "than everything. Faint: not informative. Lines: what surveys state and find, in both directions."
)
_YARDSTICK_NOTE = (
    "Offences ordered by the national share reported to the police (in brackets), 95 % intervals by state. Bars: the most that "
    "full reporting by one group of residents could add. Orange: the yardsticks, reported nearly whoever the victim is."
)


@output(
    "figure-21", title="How strong an omitted variable would have to be", uses=[HEADLINES], needs=("omitted",)
)
def _contours(context: Context) -> Drawing:
    rows = bias_tables.contour_rows(context.get("omitted"))
    return Drawing(bias_figures.contour_plot(rows, context.labels(), note=_CONTOUR_NOTE), rows)


@output(
    "table-41", title="How strong an omitted variable would have to be", uses=[HEADLINES], needs=("omitted",)
)
def _omitted(context: Context) -> Table:
    return bias_tables.omitted_table(context.get("omitted"), context.labels())


@output(
    "table-42", title="How strong a hidden bias would have to be", uses=[HEADLINES], needs=("bias_needed",)
)
def _needed(context: Context) -> Table:
    return bias_tables.needed_table(context.get("bias_needed"), context.labels())


_LABELS_NOTE = (
    "Smallest and largest estimate if at most this share of listed residents (of listed counties, where counties count alike) "
    "was in truth not treated, of unlisted ones was, or both; within states, in every state. No sampling error. Dotted: errors "
    "unrelated to outcomes, as far as labels within those shares can give them. Cross: the share of the list that can bring the "
    "estimate to zero. Covariates are left out."
)
_RELABELLED_NOTE = (
    "500 sets of labels at each documented rate of error: thick half of them, thin 95 %, dot the median; black line: the "
    "estimate as listed, covariates left out."
)


@output(
    "figure-22",
    title="What wrong labels could do",
    uses=[HEADLINES],
    needs=("misclassification_bounds", "breakdown_shares"),
)
def _label_bounds(context: Context) -> Drawing:
    rows = misclassified_figures.bounds_rows(
        context.get("misclassification_bounds"), context.get("breakdown_shares")
    )
    return Drawing(misclassified_figures.bounds_plot(rows, context.labels(), note=_LABELS_NOTE), rows)


@output(
    "figure-23",
    title="Estimates with labels changed at random",
    uses=[HEADLINES],
    needs=("relabelled_at_random",),
)
def _relabelled(context: Context) -> Drawing:
    rows = misclassified_figures.relabelled_rows(context.get("relabelled_at_random"))
    return Drawing(misclassified_figures.relabelled_plot(rows, context.labels(), note=_RELABELLED_NOTE), rows)


@output("table-43", title="How definitions disagree", uses=[HEADLINES], needs=("definition_disagreement",))
def _disagreement(context: Context) -> Table:
    return misclassified_figures.disagreement_table(context.get("definition_disagreement"))


@output(
    "table-44",
    title="Labels changed where the records disagree",
    uses=[HEADLINES],
    needs=("relabelled_on_purpose",),
)
def _on_purpose(context: Context) -> Table:
    return misclassified_figures.relabelling_table(context.get("relabelled_on_purpose"), context.labels())


@output(
    "figure-24",
    title="How far reporting would have to move",
    uses=[HEADLINES],
    needs=("reporting_break_even",),
)
def _break_even(context: Context) -> Drawing:
    rows = reporting_figures.break_even_rows(context.get("reporting_break_even"))
    return Drawing(
        reporting_figures.break_even_plot(rows, labels=context.labels(), note=_BREAK_EVEN_NOTE), rows
    )


@output(
    "figure-25",
    title="Offences by how completely they are reported",
    uses=[HEADLINES],
    needs=("reporting_yardsticks",),
)
def _yardsticks(context: Context) -> Drawing:
    rows = reporting_figures.yardstick_rows(context.get("reporting_yardsticks"))
    return Drawing(reporting_figures.yardstick_plot(rows, context.labels(), note=_YARDSTICK_NOTE), rows)


@output(
    "table-45",
    title="How far reporting would have to move",
    uses=[HEADLINES],
    needs=("reporting_break_even",),
)
def _break_even_table(context: Context) -> Table:
    return reporting_figures.break_even_table(context.get("reporting_break_even"), context.labels())


@output(
    "table-46",
    title="What is left if reporting moved as surveys say",
    uses=[HEADLINES],
    needs=("reporting_implied",),
)
def _implied(context: Context) -> Table:
    return reporting_figures.implied_table(context.get("reporting_implied"), context.labels())


@output(
    "table-47",
    title="Offences beside those that are nearly always reported",
    uses=[HEADLINES],
    needs=("reporting_yardsticks",),
)
def _yardstick_table(context: Context) -> Table:
    return reporting_figures.yardstick_table(context.get("reporting_yardsticks"), context.labels())


@output("table-48", title="What is known elsewhere of who reports crime", needs=("reporting_inputs",))
def _reporting_inputs(context: Context) -> Table:
    return reporting_figures.inputs_table(None, context.labels())


@output("figure-26", title="What unreported residents could do", uses=[HEADLINES], needs=("coverage_bounds",))
def _coverage_bounds(context: Context) -> Drawing:
    rows = coverage_figures.bounds_rows(context.get("coverage_bounds"))
    return Drawing(coverage_figures.bounds_plot(rows, context.labels()), rows)


@output(
    "table-49",
    title="What unreported residents could do to each estimate",
    uses=[HEADLINES],
    needs=("coverage_bounds", "coverage_breaks"),
)
def _coverage_bounds_table(context: Context) -> Table:
    return coverage_figures.bounds_table(
        context.get("coverage_bounds"), context.get("coverage_breaks"), context.labels()
    )


@output("table-50", title="Who is not reported", uses=[HEADLINES], needs=("unreported",))
def _unreported(context: Context) -> Table:
    return coverage_figures.counts_table(context.get("unreported"), context.labels())


@output("figure-27", title="With California and without it", uses=[HEADLINES], needs=("california",))
def _california(context: Context) -> Drawing:
    rows = coverage_figures.california_rows(context.get("california"))
    return Drawing(coverage_figures.california_plot(rows, context.labels()), rows)


@output("table-51", title="With California and without it", uses=[HEADLINES], needs=("california",))
def _california_table(context: Context) -> Table:
    return coverage_figures.california_table(context.get("california"), context.labels())


# Outputs of the published studies register themselves: a module of their own, since this one holds too many already.
from analysis.report import study_outputs  # noqa: E402, F401

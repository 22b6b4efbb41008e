"""The command line of the study: one function a verb, each thin."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

# Before numpy loads: threads of numeric libraries beside our own processes are slower on two cores, and the order of
# their sums would move last digits between runs.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import typer  # noqa: E402
from rich.console import Console  # noqa: E402

from analysis.base.errors import SourceError, StudyError, nearest  # noqa: E402

app = typer.Typer(
    name="analysis",
    help="Do policies that limit immigration detainers change reported crime? Panel, estimates, figures, paper, "
    "from raw files.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

SpecName = Annotated[
    str,
    typer.Argument(help="A spec that comes with the study (main, two_way, ...) or a path to a TOML file."),
]
Simulated = Annotated[
    bool,
    typer.Option(
        "--simulated", help="Work on the simulated twin, in simulated/, even where real data are at hand."
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Make everything anew, even what nothing has changed for.")
]


@app.command()
def reproduce(
    simulated: Simulated = False,
    force: Force = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never download.")] = False,
) -> None:
    """Rebuild the whole study and print its answer.

    Raw files, panel, main specs, data/results/estimates.csv, figures, tables, notebooks, paper. Missing raw files are
    downloaded first. Where they cannot be had, the study runs on its simulated twin in simulated/ and says so on every
    output. What nothing has changed for is left as it is.
    """
    from analysis.base.paths import Paths
    from analysis.study import Clock, Study, find_source
    from analysis.study import reproduce as run_all

    clock = Clock()
    paths = Paths(simulated=True) if simulated else find_source(err.print, fetch_missing=not offline)
    title = "SIMULATED DATA: the twin, not any place" if paths.simulated else "real data"
    out.print(f"Rebuilding the study from {title}.\n")
    with err.status("panel") as status:
        study = Study(paths, force=force, say=status.update)

        def line(name: str, words: str) -> None:
            out.print(f"  {name:<28} {clock.lap():6.1f} s  {words}")
            status.update("next output")

        frame = run_all(study, line)
    out.print(f"  {'all':<28} {clock.total():6.1f} s\n")
    from analysis.evidence.headline import headline_text, movement
    from analysis.evidence.trust import trust_text

    moves = movement(study.answers, ["violent_ex_rape", "property"])
    out.print(headline_text(frame, moves, short=True), markup=False)
    out.print(trust_text(study.trust), markup=False)
    full = (paths.results / "answer.txt").relative_to(paths.root).as_posix()
    out.print(f"In full, with what every interval excludes: {full}", markup=False)


@app.command()
def fetch() -> None:
    """Download the raw files that are missing, checking every hash.

    Official address first where it serves the same bytes, then the pinned copy. A broken download resumes; a file
    appears under its name only when its hash is right. With CRIME_STUDY_DATA set, that folder is checked and never
    written to. Exit status 1 if a file is still missing.
    """
    from analysis.base.paths import Paths
    from analysis.panel.sources.download import fetch as download
    from analysis.panel.sources.raw import load_manifest

    report = download(Paths().raw, load_manifest(), console=err)
    for line in report.summary_lines():
        out.print(line, markup=False)
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def verify(simulated: Simulated = False) -> None:
    """Check environment, raw files, compilations, panel, results, outputs and the paper's numbers.

    One line a check. Exit status 1 if one fails; a check that does not apply here says why.
    """
    from analysis.verify import checks

    failed = 0
    for check in checks(simulated):
        mark = {"ok": "ok  ", "failed": "FAIL", "skipped": "--  "}[check.state]
        out.print(f"  {mark}  {check.name:<22} {check.words}", markup=False)
        failed += check.state == "failed"
    raise typer.Exit(1 if failed else 0)


@app.command()
def check(spec: SpecName, simulated: Simulated = False) -> None:
    """Say in words what a spec would estimate, on how many counties, and what is dropped.

    Nothing is estimated. A key that is misspelt or that breaks a rule is an error that says where to change it
    (exit status 1).

    Example: cp analysis/specs/main.toml my_rule.toml, change it, then python -m analysis check my_rule.toml
    """
    from analysis.design.design import make_design
    from analysis.design.spec import load_spec
    from analysis.design.words import describe

    loaded = load_spec(spec)
    panel = _panel(simulated, loaded.design.area)
    out.print(describe(loaded, make_design(panel, loaded.expand()[0])), markup=False)
    if panel.simulated:
        out.print("\nSIMULATED DATA: counted on the twin.")


@app.command()
def run(
    spec: SpecName,
    to: Annotated[
        Path, typer.Option("--out", help="Folder for estimates, figures and the one-page summary.")
    ],
    simulated: Simulated = False,
    county_file: Annotated[
        Path | None,
        typer.Option(
            "--county-file", help="County file of crimes (NACJD DS0004), for outcome.build = county_file."
        ),
    ] = None,
    county_file_year: Annotated[
        int | None, typer.Option("--county-file-year", help="The year of that file.")
    ] = None,
) -> None:
    """Run a spec: estimates.csv, attrition.csv, the standard figures and a one-page summary, into a folder.

    Specifications that cannot be estimated stay in estimates.csv with the reason. Exit status 1 if none could be.

    Example: python -m analysis run my_rule.toml --out my_rule/
    """
    if (county_file is None) != (county_file_year is None):
        raise SourceError("one of --county-file and --county-file-year", "both, or neither", "the options")
    from analysis.base.codebook import load_codebook
    from analysis.design.spec import load_spec
    from analysis.evidence.results import write_results
    from analysis.evidence.runs import run_specs
    from analysis.report.page import write_page

    loaded = load_spec(spec)
    panel = _panel(simulated, loaded.design.area)
    if county_file is not None and county_file_year is not None:
        from analysis.panel.county_file import add_county_file, load_county_file

        panel = add_county_file(panel, load_county_file(county_file, county_file_year))
    with err.status(loaded.name) as status:
        runs = run_specs(
            panel, [loaded], progress=lambda done, n, name: status.update(f"{done}/{n} {name}"), jobs=2
        )
    to.mkdir(parents=True, exist_ok=True)
    write_results(runs.results, to / "estimates.csv")
    _write_csv(runs.attrition, to / "attrition.csv")
    files = write_page(loaded, runs, panel, to, load_codebook())
    for name, reason in runs.failures.itertuples(index=False):
        err.print(f"{name}: {reason}", markup=False)
    out.print(f"{loaded.title}\n", markup=False)
    _print_answers(runs.results)
    out.print(
        f"\nWritten to {to}: estimates.csv, attrition.csv, {', '.join(path.name for path in files)}",
        markup=False,
    )
    raise typer.Exit(1 if len(runs.failures) == len(runs.runs) else 0)


@app.command()
def compare(
    left: SpecName,
    right: Annotated[str, typer.Argument(help="The other spec.")],
    simulated: Simulated = False,
) -> None:
    """Show which keys differ between two specs, and how the answers move.

    Specifications of two grids are paired by what they vary; where one spec has no grid, by outcome.

    Example: python -m analysis compare main my_rule.toml
    """
    from analysis.design.spec import load_spec
    from analysis.evidence.compare import compare as side_by_side

    with err.status("both specs") as status:
        both = load_spec(left), load_spec(right)
        areas = [one.design.area or "county" for one in both]
        if ("city" in areas) and len(set(areas)) > 1:
            raise StudyError(
                f"{left} is of areas '{areas[0]}', {right} of '{areas[1]}'", "two specs of one kind of area"
            )
        found = side_by_side(
            *both,
            _panel(simulated, both[0].design.area),
            progress=lambda done, n, name: status.update(f"{done}/{n} {name}"),
            jobs=2,
        )
    grid = found.keys["key"].str.startswith(("vary.", "also."))
    _print_frame(found.keys[~grid], f"Keys that differ: {left} and {right}")
    if grid.any():
        out.print(f"and {grid.sum()} lines of the grids, [vary] and [[also]]", markup=False)
    out.print()
    from analysis.report.words import estimate_text, number

    rows = found.answers
    shown = rows[["variant"]].assign(
        **{
            side: [
                estimate_text(*ends)
                for ends in rows[[f"{side}_estimate", f"{side}_conf_low", f"{side}_conf_high"]].to_numpy(
                    float
                )
            ]
            for side in ("left", "right")
        },
        difference=[number(value, 1, sign=True) for value in rows["difference"]],
        unit=[unit.replace(" policed by the agencies that report", " policed") for unit in rows["unit"]],
    )
    _print_frame(shown, "Answers, with both ends of each interval; the two rest on overlapping counties")


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="An output: figure-1, table-2, ..., or all.")],
    simulated: Simulated = False,
    force: Force = False,
) -> None:
    """Make one output and only what it needs.

    Figures are written as pdf, png, csv (the plotted numbers) and json (what they were made from), tables as csv,
    Markdown, LaTeX and json. docs/outputs.md lists them all.

    Example: python -m analysis make figure-3
    """
    from analysis.report.outputs import OUTPUTS, find_output, make_output

    study = _study(simulated)
    names = list(OUTPUTS) if name == "all" else [find_output(name).name]
    for one in names:
        with err.status(one):
            files = make_output(one, study.context, force=force)
        out.print(
            f"{one}: " + ", ".join(path.relative_to(study.paths.root).as_posix() for path in files),
            markup=False,
        )


@app.command()
def diff(
    name: Annotated[str, typer.Argument(help="An output such as figure-3.")], simulated: Simulated = False
) -> None:
    """Make an output's numbers anew and set them beside the committed csv.

    Exit status 0 if they agree to a relative 1e-6, 1 if they differ.

    Example: python -m analysis diff figure-3
    """
    from analysis.report.outputs import OUTPUTS, difference, find_output

    find_output(name)
    study = _study(simulated)
    with err.status(name):
        rows = difference(name, study.context)
    if rows.empty:
        out.print(f"{name}: new numbers equal the committed csv ({OUTPUTS[name].title})", markup=False)
        raise typer.Exit(0)
    _print_frame(rows.head(40), f"{name}: {len(rows)} values differ from the committed csv")
    raise typer.Exit(1)


@app.command()
def ledger(
    figure: Annotated[
        str,
        typer.Argument(help="A registered figure such as wong2017.crime.all: every specification beside it."),
    ] = "",
    short: Annotated[bool, typer.Option("--short", help="Headline figures and counts alone.")] = False,
    simulated: Simulated = False,
) -> None:
    """Print published findings beside ours: every registered figure, what stands beside it, and the verdict.

    What is missing is run first, from raw files where there is no panel yet. With a figure, every specification that
    answers it. Lists of the authors' own in data/lists are run too; docs/published.md says how a figure is filled in.

    Example: python -m analysis ledger --short
    """
    from analysis.evidence.ledger import ledger_text
    from analysis.evidence.studies.all import HEADED

    study = _study(simulated)
    with err.status("ledger") as status:
        beside = replace(study, say=status.update).beside
        table = beside.frame("ledger")
    if not figure:
        shares, moves = beside.frame("verdict_shares"), beside.frame("class_moves")
        first = [one.name for one in HEADED]
        out.print(ledger_text(table, shares, moves, short=short, first=first), markup=False)
        return
    if figure not in set(table["figure"]):
        known = list(table["figure"])
        raise StudyError(
            f"no registered figure '{figure}'{nearest(figure, known)}", "an id of data/published.yaml"
        )
    rows = beside.specifications
    rows = rows[rows["figure"].eq(figure)]
    columns = ["spec", "estimate", "conf_low", "conf_high", "n_treated", "n_states", "verdict", "agreement"]
    if table["simulated"].eq(True).any():
        out.print("SIMULATED DATA: effects were built in.")
    title = f"{figure}: {len(rows):,} specifications, in the unit of the figure"
    _print_frame(rows[columns].round(3), title)
    reason = table.loc[table["figure"].eq(figure), "reason"].iloc[0]
    if reason:
        out.print(f"\n{reason}", markup=False)


@app.command()
def trace(
    name: Annotated[str, typer.Argument(help="An output such as figure-3.")], simulated: Simulated = False
) -> None:
    """Walk from an output back to the raw files it rests on, and their hashes.

    Figure or table, then the specs and estimates it reports, the panel, our own compilations, and every raw file.

    Example: python -m analysis trace figure-3
    """
    from analysis.trace import trace_lines

    for line in trace_lines(name, _study(simulated)):
        out.print(line, markup=False)


grids = typer.Typer(
    help="A declared grid of specifications: see what it would run, then run it.", no_args_is_help=True
)
app.add_typer(grids, name="multiverse")

GridName = Annotated[
    str,
    typer.Argument(help="A spec file with a [grid]: multiverse, or a path to a TOML file."),
]
Jobs = Annotated[int, typer.Option("--jobs", help="Processes of this machine.")]


@grids.command(name="plan")
def plan_grid(spec: GridName = "multiverse", jobs: Jobs = 2, simulated: Simulated = False) -> None:
    """Say how many specifications a grid holds, what they would cost, and which cells are left out and why.

    No estimate is shown or kept; the cost is timed on a few cells of each family.

    Example: python -m analysis multiverse plan
    """
    from analysis.design.grid import load_grid
    from analysis.evidence.multiverse import plan, seconds_a_cell

    grid = load_grid(spec)
    with err.status("counting cells"):
        found = plan(grid)
    panel = _panel(simulated)
    with err.status("timing a few cells of each family"):
        cost = seconds_a_cell(panel, grid)
    rows = found.families.assign(
        seconds=[round(cost[name] * n, 1) for name, n in found.families[["family", "cells"]].to_numpy()],
        share=[f"{100 * share:.0f} %" for share in found.families["share"]],
    )
    out.print(
        f"{grid.base.title}\n{found.cells:,} specifications on {found.samples:,} samples\n", markup=False
    )
    _print_frame(rows, "Families; seconds of one process, timed on a few cells")
    total = float(rows["seconds"].sum())
    out.print(f"\nAbout {total / jobs:,.0f} s with {jobs} processes.\n", markup=False)
    left = found.left_out.assign(cells=[f"{n:,}" for n in found.left_out["cells"]])
    _print_frame(left[["family", "cells", "reason"]], "Cells left out, by rule")


@grids.command(name="run")
def run_grid_of(
    spec: GridName = "multiverse",
    to: Annotated[
        Path | None,
        typer.Option("--out", help="Parquet file of the results; by default the study's own."),
    ] = None,
    jobs: Jobs = 2,
    engine: Annotated[str, typer.Option("--engine", help="local, or dask for a cluster.")] = "local",
    scheduler: Annotated[
        str, typer.Option("--scheduler", help="Address of the Dask scheduler, tcp://host:8786.")
    ] = "",
    simulated: Simulated = False,
) -> None:
    """Run every specification of a grid, one row each, into one parquet file.

    What is finished is kept: interrupted or killed, the same command goes on where it was, and ends with the same bytes.
    Specifications that cannot be estimated are rows with the reason.

    Example: python -m analysis multiverse run --engine dask --scheduler tcp://127.0.0.1:8786
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from analysis.design.grid import load_grid
    from analysis.evidence.multiverse import Engine

    study = _study(simulated)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
    ) as bar:
        task = bar.add_task("combinations of options", total=None)
        path, rows = study.run_grid(
            load_grid(spec),
            to,
            Engine(engine, jobs, scheduler),
            lambda done, everything: bar.update(task, completed=done, total=everything),
        )
    if study.paths.simulated:
        out.print("SIMULATED DATA: run on the twin.")
    out.print(f"{rows:,} specifications: {path}", markup=False)


def _study(simulated: bool):  # type: ignore[no-untyped-def]
    from analysis.base.paths import Paths
    from analysis.study import Study

    return Study(Paths(simulated=simulated or _only_simulated()), say=lambda words: None)


def _panel(simulated: bool, area: str | None = None):  # type: ignore[no-untyped-def]
    """Return the panel at hand: built real one, else built from raw, else the twin; of cities where a spec's areas are."""
    study = _study(simulated)
    return study.beside.cities if area == "city" else study.panel


def _only_simulated() -> bool:
    """Say whether no real panel is built here and no raw file could make one."""
    from analysis.base.paths import Paths
    from analysis.panel.sources.raw import have_everything, load_manifest

    paths = Paths()
    if have_everything(paths.raw, load_manifest()):
        return False
    err.print("No raw files here: working on the SIMULATED twin. To have them: python -m analysis fetch")
    return True


def _print_answers(results) -> None:  # type: ignore[no-untyped-def]
    rows = results[results["estimand"].ne("event_time")]
    shown = rows[["spec", "estimate", "conf_low", "conf_high", "unit", "n_treated", "n_states", "precision"]]
    _print_frame(shown.round(2), "Estimates with 95 % intervals")


def _print_frame(frame, title: str) -> None:  # type: ignore[no-untyped-def]
    from analysis.report.words import aligned

    out.print(title, markup=False)
    out.print(aligned(frame), markup=False)


def _write_csv(frame, path: Path) -> None:  # type: ignore[no-untyped-def]
    from analysis.base.paths import replacing

    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def main() -> None:
    """Run a verb; an error a person can act on is one message, not a traceback."""
    try:
        app()
    except StudyError as error:
        err.print(f"error: {error}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("interrupted: what was finished is kept; run the same command again to go on")
        sys.exit(130)


if __name__ == "__main__":
    main()

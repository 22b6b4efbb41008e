"""The declared grid, measured: its cells a minute beside a plain loop's, its memory and disk, and what more cells would cost.

``python -m tests.benchmarks.grids run 0`` runs a part of the grid in two processes, into a folder that is thrown away;
``python -m tests.benchmarks.grids families`` times each family in one. Both print JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

from analysis.base.paths import DATA_VARIABLE, Paths, replacing
from analysis.base.records import Panel
from analysis.design.grid import Grid, load_grid
from analysis.evidence.multiverse import Engine, Parcel, assemble, parcels, plan, run_grid, run_parcel
from analysis.evidence.runs import Workshop
from tests.benchmarks.plain_loop import Timed
from tests.benchmarks.watch import Memory, watched

# Cells in a minute that two processes are to reach, and how many times a plain loop's throughput.
CELLS_A_MINUTE, TIMES = 5_000, 20.0
PROCESSES = 2
# What the grid is cut to: one outcome and one definition, one outcome, and nothing.
ONE_OUTCOME = ("violent excluding rape",)
PARTS: tuple[dict[str, Sequence[str]], ...] = (
    {"outcome": ONE_OUTCOME, "definition": ("full decline",)},
    {"outcome": ONE_OUTCOME},
    {},
)
# Parcels of each family that are timed, spread over it.
SPREAD = 3
PLANNED = 100_000
# Cells between two looks at the memory they leave.
COUNTED = 64
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

Line = tuple[str, ...]


def declared() -> Grid:
    """Return the study's grid."""
    return load_grid("multiverse")


def raw_at_hand() -> bool:
    """Say whether there are raw files to make the real panel from."""
    return bool(os.environ.get(DATA_VARIABLE)) or Paths().raw.is_dir()


def panel_at_hand() -> Panel:
    """Return the real panel where raw files are at hand, else the simulated twin."""
    from analysis.study import Study

    return Study(Paths(simulated=not raw_at_hand()), say=lambda words: None).panel


# --- in a process of its own --------------------------------------------------------------------------------


def run_part(part: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Run a part of the grid from nothing to its table; return cells, samples, seconds, and bytes on disk."""
    panel, grid = panel_at_hand(), declared().only(**part)
    with tempfile.TemporaryDirectory() as folder:
        store, table = Path(folder) / "store", Path(folder) / "table.parquet"
        start = time.perf_counter()
        ran = run_grid(panel, grid, store, key="measured", engine=Engine(jobs=PROCESSES))
        cells = assemble(ran, store, table)
        seconds = time.perf_counter() - start
        kept = [one.stat().st_size for one in store.iterdir()]
        size = table.stat().st_size
    return {
        "cells": cells,
        "samples": plan(grid).samples,
        "seconds": seconds,
        "parcels": len(kept),
        "store_bytes": sum(kept),
        "table_bytes": size,
        "simulated": panel.simulated,
    }


def time_families(grid: Grid) -> list[dict[str, Any]]:
    """Return by family its cells and seconds a cell of one process, over parcels spread evenly through it."""
    held: dict[str, list[Parcel]] = {}
    for parcel in parcels(grid):
        held.setdefault(parcel.cells[0].family, []).append(parcel)
    shop, found = Workshop(panel_at_hand()), []
    for family in grid.families:
        of_family = held[family.name]
        chosen = [of_family[(2 * i + 1) * len(of_family) // (2 * SPREAD)] for i in range(SPREAD)]
        start = time.perf_counter()
        for parcel in chosen:
            run_parcel(shop, parcel)
        seconds = (time.perf_counter() - start) / sum(len(parcel.cells) for parcel in chosen)
        cells = sum(len(parcel.cells) for parcel in of_family)
        found.append({"label": family.label, "cells": cells, "seconds": seconds})
    return found


def bytes_a_cell(grid: Grid) -> float:
    """Return what cells of the first family leave in memory while its later ones are made, in bytes a cell."""
    one = replace(grid, families=grid.families[:1])
    kept, counted, first, last = 0, 0, 0, 0
    tracemalloc.start()
    try:
        for cell in one.cells():
            kept += cell.spec is not None
            if kept > counted + COUNTED or not first:
                # What waits to be collected is no part of what is held; the first cell makes what all share.
                gc.collect()
                counted, last = kept, tracemalloc.get_traced_memory()[0]
                first = first or last
    finally:
        tracemalloc.stop()
    return (last - first) / max(counted, 1)


# --- what is said of it -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """A part of the grid, run: what `run_part` returns, and its peak memory."""

    found: dict[str, Any]
    memory: Memory

    @property
    def a_minute(self) -> float:
        """Cells a minute."""
        return float(60 * self.found["cells"] / self.found["seconds"])


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything measured on the grid.

    Args:
        runs: parts of it, the smallest first, the whole last.
        families: each timed in one process: label, cells, seconds a cell.
        held: see `bytes_a_cell`.
        loop: the plain loop, a line a kind of cell.
        differ: cells whose estimates differ in the loop.
    """

    runs: tuple[Run, ...]
    families: tuple[dict[str, Any], ...]
    held: float
    loop: tuple[Timed, ...]
    differ: tuple[str, ...]

    @property
    def whole(self) -> Run:
        """The run of every cell."""
        return self.runs[-1]

    def loop_seconds(self, *names: str) -> float:
        """Return seconds a cell of the loop over the grid's own mix: the sum of some of rows, rows_kept, calls."""
        total = sum(line.cells for line in self.loop)
        return sum(line.cells * sum(getattr(line, name) for name in names) for line in self.loop) / total

    @property
    def loop_error(self) -> float:
        """Return the standard error of seconds a cell of the loop, rows and calls."""
        total = sum(line.cells for line in self.loop)
        return sqrt(sum((line.cells / total) ** 2 * line.variance / line.timed for line in self.loop))

    def times(self, *names: str) -> float:
        """Return how many times the loop's throughput two processes reach; see `loop_seconds`."""
        return self.whole.a_minute / 60 * self.loop_seconds(*names)

    @property
    def met(self) -> bool:
        """Return whether both targets were met, and the loop gave the grid's estimates."""
        return (
            self.whole.a_minute >= CELLS_A_MINUTE and self.times("rows", "calls") >= TIMES and not self.differ
        )


def measure_grid() -> Measured:
    """Measure everything, each part in fresh processes, one after the other."""
    runs = []
    for number, part in enumerate(PARTS):
        print(f"measuring: the grid{', one ' + ' and one '.join(part) if part else ''} ...", file=sys.stderr)
        runs.append(Run(*watched(["tests.benchmarks.grids", "run", str(number)])))
    print("measuring: families of the grid, one process ...", file=sys.stderr)
    alone = watched(["tests.benchmarks.grids", "families"])[0]
    print("measuring: a plain loop over some of its cells ...", file=sys.stderr)
    loop = watched(["tests.benchmarks.plain_loop"])[0]
    lines = tuple(Timed(**line) for line in loop["lines"])
    return Measured(tuple(runs), tuple(alone["families"]), alone["held"], lines, tuple(loop["differ"]))


def run_lines(measured: Measured) -> list[Line]:
    """Return the table of runs."""
    lines: list[Line] = [
        ("cells", "samples", "seconds", "cells a minute", "target", "MB, first", "MB, worker", "MB, all")
    ]
    for run in measured.runs:
        target = f"{CELLS_A_MINUTE:,}" if run is measured.whole else ""
        lines.append(
            (
                f"{run.found['cells']:,}",
                f"{run.found['samples']:,}",
                f"{run.found['seconds']:.1f}",
                f"{run.a_minute:,.0f}",
                target,
                f"{run.memory.first:.0f}",
                f"{run.memory.worker:.0f}",
                f"{run.memory.together:.0f}",
            )
        )
    return lines


def loop_lines(measured: Measured) -> list[Line]:
    """Return the table of the plain loop, milliseconds a cell."""
    lines: list[Line] = [
        ("estimator", "cells", "timed", "rows ms", "rows, kept ms", "calls ms", "same estimate")
    ]
    lines += [
        (
            one.kind,
            f"{one.cells:,}",
            str(one.timed),
            *(f"{1000 * seconds:.0f}" for seconds in (one.rows, one.rows_kept, one.calls)),
            f"{one.agree} of {one.timed}",
        )
        for one in measured.loop
    ]
    lines.append(
        (
            "the grid's mix",
            f"{sum(one.cells for one in measured.loop):,}",
            str(sum(one.timed for one in measured.loop)),
            *(f"{1000 * measured.loop_seconds(name):.0f}" for name in ("rows", "rows_kept", "calls")),
            f"{sum(one.agree for one in measured.loop)} of {sum(one.timed for one in measured.loop)}",
        )
    )
    return lines


def verdict(measured: Measured) -> str:
    """Return the ratio of throughputs as one line, then what it rests on."""
    ours = measured.whole.a_minute / 60
    whole, kept, calls = (
        measured.times(*names) for names in (("rows", "calls"), ("rows_kept", "calls"), ("calls",))
    )
    seconds = measured.loop_seconds("rows", "calls")
    words = (
        f"{PROCESSES} processes {ours:.1f} cells a second, one plain loop {1 / seconds:.1f}: {whole:.0f} times "
        f"(target {TIMES:.0f}), {whole / PROCESSES:.0f} a process; against a loop that keeps who is treated {kept:.0f} "
        f"times, {kept / PROCESSES:.0f} a process; against the estimation calls alone, rows for nothing, {calls:.1f} "
        f"times, {calls / PROCESSES:.1f} a process.\n\n"
        f"Standard error of the loop's {1000 * seconds:.0f} ms a cell: {1000 * measured.loop_error:.0f} ms."
    )
    if measured.differ:
        words += f" Estimates differ in {len(measured.differ)} cells: {', '.join(measured.differ)}."
    return words + "\n"


def paper(measured: Measured, cells: int = PLANNED) -> str:
    """Return what so many cells of the same mix would cost, as the block of a page."""
    whole, total = measured.whole, sum(one["cells"] for one in measured.families)
    factor = cells / total
    mean = sum(one["cells"] * one["seconds"] for one in measured.families) / total
    wall = PROCESSES * whole.found["seconds"] / whole.found["cells"]
    small = measured.runs[0]
    few, many = (f"{run.found['cells']:,} cells" for run in (small, whole))
    largest = max(one["cells"] for one in measured.families)
    more = measured.held * largest * (factor - 1) / 1e6
    store, table = (whole.found[name] / whole.found["cells"] for name in ("store_bytes", "table_bytes"))
    panel = "the SIMULATED twin" if whole.found["simulated"] else "the real panel"
    lines = [
        f"Measured on {panel}. Seconds a cell of one process, over {SPREAD} parcels spread through each family:",
        "",
        f"| family | cells | seconds a cell | cells of {cells:,} | hours of one process |",
        "|---|---:|---:|---:|---:|",
    ]
    for one in measured.families:
        share = one["cells"] * factor
        lines.append(
            f"| {one['label']} | {one['cells']:,} | {one['seconds']:.4f} | {share:,.0f} | "
            f"{share * one['seconds'] / 3600:.2f} |"
        )
    lines += [
        f"| all | {total:,} | {mean:.4f} | {cells:,} | {cells * mean / 3600:.2f} |",
        "",
        f"The whole grid, run by {PROCESSES} processes from an empty store to the finished table, took "
        f"{whole.found['seconds']:.0f} s: {wall:.4f} s of a process a cell, with everything that is not estimation.",
        "",
        "| what | measured | for " + f"{cells:,} cells |",
        "|---|---|---|",
        f"| time | {wall:.4f} s of a process a cell | {cells * wall / PROCESSES / 60:.0f} minutes of {PROCESSES} "
        f"processes, {cells * wall / 16 / 60:.0f} of 16 |",
        f"| samples | {whole.found['cells'] / whole.found['samples']:.2f} cells a sample | "
        f"{cells * whole.found['samples'] / whole.found['cells']:,.0f} |",
        f"| the store | {store:.0f} bytes a cell, {whole.found['cells'] / whole.found['parcels']:.0f} cells a file | "
        f"{cells * store / 1e6:.0f} MB in {cells * whole.found['parcels'] / whole.found['cells']:,.0f} files |",
        f"| the table | {table:.0f} bytes a cell | {cells * table / 1e6:.0f} MB |",
        f"| memory of the first process | {small.memory.first:.0f} MB with {few}, {whole.memory.first:.0f} MB with {many}; "
        f"{measured.held:.0f} bytes a cell of the family it is at | {more:.0f} MB more |",
        f"| memory of a worker | {small.memory.worker:.0f} MB with {few}, {whole.memory.worker:.0f} MB with {many} | "
        "the same |",
    ]
    return "\n".join(lines) + "\n"


def put_in(page: Path, block: str) -> None:
    """Write a block between the two marks of a page.

    Raises:
        ValueError: a page without the marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no marks; wanted {BEGIN.strip()} and {END.strip()}")
    with replacing(page) as temporary:
        temporary.write_text(before + BEGIN + "\n" + block + "\n" + END + after, encoding="utf-8")


def main() -> None:
    """Print what one part measured."""
    if sys.argv[1] == "run":
        print(json.dumps(run_part(PARTS[int(sys.argv[2])])))
        return
    grid = declared()
    print(json.dumps({"families": time_families(grid), "held": bytes_a_cell(grid.only(**PARTS[1]))}))


if __name__ == "__main__":
    main()

"""Time the steps, each in fresh processes, and print a table; ``--write docs/benchmarks.md`` keeps it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from analysis.base.paths import replacing
from tests.benchmarks import grids
from tests.benchmarks.steps import STEPS, Step
from tests.benchmarks.watch import watched

Align = Callable[[str, int], str]

PAGE = """# Benchmarks

What `make bench` measured on two cores, Python 3.11. Each step runs in fresh processes, with one thread for numeric
libraries. A step with one call a process counts what loading libraries takes; of several calls the first, which loads
them, is dropped. Memory is the largest sum over the process and its workers. The panel is to be built from raw files
in under 12 s and under 1 GB. The fastest call is held against the target, and memory of such a step against 1 GB.

"""
MEGABYTES = 1000.0
MATCHING = "matching"
GRID = "multiverse"
MATCHING_FILE = Path(__file__).with_name("test_matching_speed.py")
MATCHING_PAGE = """
## Matching

What tests/benchmarks/test_matching_speed.py measured, with pytest-benchmark, on simulated cross-sections. The fastest
call is held against the target. In brackets what R took: Match of Matching, MatchIt and ebal on such a machine, GenMatch
with population 100 as stored in tests/reference/matching_weights/genmatch.json. Genetic matching is also held against
the balance GenMatch reached; its search was set up on the worlds even and leaning, and not on skewed and apart. Each call
on 30,000 rows has a process of its own, and its memory is the largest that process held, libraries and data included.

"""
GRID_PAGE = """
## The declared grid

What tests/benchmarks/grids.py measured: every cell of analysis/specs/multiverse.toml on {panel}, in two processes, from
an empty store to the finished table; and parts of it (one outcome; one outcome and one definition), for memory: the most
that the first process, a worker, and all together held. A minute of two processes is to hold {minute:,} cells.

"""
LOOP_PAGE = """
The same grid as a plain loop over pyfixest, statsmodels and scipy (tests/benchmarks/plain_loop.py), one cell after the
other, timed on a random sample in the grid's proportions, in milliseconds a cell: *rows* from the panel with nothing
kept, *rows, kept* in a loop that assigns each definition's treatments once, and the *calls*. The rows are made by this
package's own code, and a loop that made them otherwise would take another time; the calls are the loop's own. The loop
does less: no years before adoption, no test of trends, and no error for the mean of several fits. Its estimates are held
against the grid's.

"""


def timed(name: str) -> list[float]:
    """Return the seconds of each call of a step, measured in this process."""
    step = STEPS[name]
    with tempfile.TemporaryDirectory() as folder:
        call = step.prepare(Path(folder) / "tree")
        seconds = []
        for _ in range(step.calls):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return seconds[1:] if len(seconds) > 1 else seconds


def measured(name: str) -> tuple[list[float], float]:
    """Return seconds of every timed call of a step and its peak memory in MB, over fresh processes."""
    seconds: list[float] = []
    peak = 0.0
    for _ in range(STEPS[name].processes):
        found, memory = watched(["tests.benchmarks", "--step", name])
        seconds, peak = [*seconds, *found], max(peak, memory.together)
    return seconds, peak


def row(step: Step, seconds: list[float], peak: float) -> tuple[str, ...]:
    """Return one line of the table as text."""
    digits = 1 if median(seconds) >= 1 else 3
    spread = f"{min(seconds):.{digits}f}-{max(seconds):.{digits}f}"
    target = "" if step.target is None else f"{step.target:g}"
    return (
        step.label,
        f"{median(seconds):.{digits}f}",
        spread,
        target,
        str(len(seconds)),
        f"{peak:.0f}",
        step.unit,
    )


def missed(step: Step, seconds: list[float], peak: float) -> bool:
    """Return whether a step with a target missed it, in time or memory."""
    return step.target is not None and (min(seconds) >= step.target or peak >= MEGABYTES)


def matching() -> tuple[list[tuple[str, ...]], bool]:
    """Return the lines of the matching table, and whether every target and balance was met."""
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "benchmarks.json"
        command = [sys.executable, "-m", "pytest", str(MATCHING_FILE), "-q", "-p", "no:cacheprovider"]
        command += [
            "--benchmark-disable-gc",
            f"--benchmark-json={stored}",
            "--benchmark-columns=min,median,rounds",
        ]
        # Its report goes to stderr, as all progress does; the table alone to stdout.
        done = subprocess.run(command, stdout=sys.stderr)
        # 1: some test failed, which the table shows; anything else is no measurement.
        if done.returncode not in (0, 1) or not stored.is_file():
            sys.exit("matching could not be measured; the message stands above")
        found = json.loads(stored.read_text(encoding="utf-8"))["benchmarks"]
    lines = [("step", "fastest s", "median s", "calls", "peak MB", "target (R, s)", "one call")]
    for one in found:
        info, stats = one["extra_info"], one["stats"]
        fastest, middle = stats["min"], stats["median"]
        if "seconds" in info:
            fastest = middle = info["seconds"]
        target = " ".join(part for part in (info["target"], f"({info['r']})" if info["r"] else "") if part)
        lines.append(
            (
                info["step"],
                f"{fastest:.2g}" if fastest < 1 else f"{fastest:.1f}",
                f"{middle:.2g}" if middle < 1 else f"{middle:.1f}",
                str(stats["rounds"]),
                f"{info['peak']:.0f}" if "peak" in info else "",
                target,
                info["unit"],
            )
        )
    return lines, done.returncode == 0


def printed(rows: list[tuple[str, ...]], aligns: tuple[Align, ...]) -> str:
    """Print a table in columns and return it as a page has it."""
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    cells = [
        [put(cell, width) for put, cell, width in zip(aligns, line, widths, strict=True)] for line in rows
    ]
    print("\n".join("  ".join(line).rstrip() for line in cells))
    rule = [
        ("-" * w if put is str.ljust else "-" * (w - 1) + ":") for put, w in zip(aligns, widths, strict=True)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [cells[0], rule, *cells[1:]]) + "\n"


def grid_section(found: grids.Measured) -> str:
    """Print what was measured on the grid and return it as a page has it."""
    runs, loop = grids.run_lines(found), grids.loop_lines(found)
    panel = "the simulated twin" if found.whole.found["simulated"] else "the real panel"
    section = GRID_PAGE.format(panel=panel, minute=grids.CELLS_A_MINUTE)
    section += printed(runs, tuple(str.rjust for _ in runs[0]))
    print()
    section += LOOP_PAGE + printed(loop, (str.ljust, *(str.rjust for _ in loop[0][1:])))
    print(f"\n{grids.verdict(found)}")
    return f"{section}\n{grids.verdict(found)}"


def main() -> None:
    """Measure every step, matching and the grid, or what is named."""
    names = [*STEPS, MATCHING, GRID]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="STEP", help=f"any of {', '.join(names)}; by default all")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table as a page")
    parser.add_argument(
        "--cost",
        type=Path,
        metavar="FILE",
        help="also write what a larger grid costs between the marks of a page",
    )
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(timed(asked.step)))
        return
    if unknown := [name for name in asked.only if name not in names]:
        parser.error(f"no step '{unknown[0]}'; expected any of {', '.join(names)}")
    if asked.cost and asked.only and GRID not in asked.only:
        parser.error(f"--cost is of the step {GRID}, which is not named")
    chosen = [name for name in asked.only or names if name in STEPS]
    of_grid = not asked.only or GRID in asked.only
    raw = grids.raw_at_hand()
    if raw and (of_grid or not all(STEPS[name].simulated for name in chosen)):
        # In a process of its own, so that no step's memory holds a build that was due.
        subprocess.run([sys.executable, "-c", "import analysis; analysis.make_panel()"], check=True)
    rows = [("step", "median s", "min-max s", "target s", "calls", "peak MB", "one call")]
    slow = []
    for name in chosen:
        if not raw and not STEPS[name].simulated:
            print(f"left out, needs the raw files: {STEPS[name].label}", file=sys.stderr)
            continue
        print(f"measuring: {STEPS[name].label} ...", file=sys.stderr)
        seconds, peak = measured(name)
        rows.append(row(STEPS[name], seconds, peak))
        if missed(STEPS[name], seconds, peak):
            slow.append(STEPS[name].label)
    page = PAGE
    if chosen:
        page += printed(rows, (str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust))
    if not asked.only or MATCHING in asked.only:
        lines, met = matching()
        print()
        page += MATCHING_PAGE + printed(
            lines, (str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust, str.ljust)
        )
        if not met:
            slow.append("matching; the report above names what")
    if of_grid:
        found = grids.measure_grid()
        print()
        page += grid_section(found)
        if not found.met:
            slow.append("the declared grid; the tables above show which target, or which estimates differ")
        if asked.cost:
            grids.put_in(asked.cost, grids.paper(found))
    if asked.write:
        with replacing(asked.write) as temporary:
            temporary.write_text(page, encoding="utf-8")
    if slow:
        print(f"missed the target: {', '.join(slow)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

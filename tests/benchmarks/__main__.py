"""Time the steps, each in fresh processes, and print a table; ``--write docs/benchmarks.md`` keeps it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from analysis.base.paths import DATA_VARIABLE, Paths, replacing
from tests.benchmarks.steps import STEPS, Step

PAGE = """# Benchmarks

What `make bench` measured on two cores, Python 3.11. Each step runs in fresh processes, with one thread for numeric
libraries. A step with one call a process counts what loading libraries takes; of several calls the first, which loads
them, is dropped. Memory is the largest sum over the process and its workers. The panel is to be built from raw files
in under 12 s and under 1 GB.

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


def resident(root: int) -> float:
    """Return the memory of a process and its descendants, in MB (Linux; 0 elsewhere)."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            pages[int(folder.name)] = int((folder / "statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    total, queue = 0, [root]
    while queue:
        process = queue.pop()
        total += pages.get(process, 0)
        queue += children.get(process, [])
    return total * os.sysconf("SC_PAGE_SIZE") / 1e6


def measured(name: str) -> tuple[list[float], float]:
    """Return seconds of every timed call of a step and its peak memory in MB, over fresh processes."""
    seconds: list[float] = []
    peak = 0.0
    for _ in range(STEPS[name].processes):
        command = [sys.executable, "-m", "tests.benchmarks", "--step", name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
        output = process.communicate()[0]
        if process.returncode:
            sys.exit(f"the step '{name}' failed; its message stands above")
        seconds += json.loads(output.splitlines()[-1])
    return seconds, peak


def row(step: Step, seconds: list[float], peak: float) -> tuple[str, ...]:
    """Return one line of the table as text."""
    digits = 1 if median(seconds) >= 1 else 3
    spread = f"{min(seconds):.{digits}f}-{max(seconds):.{digits}f}"
    return step.label, f"{median(seconds):.{digits}f}", spread, str(len(seconds)), f"{peak:.0f}", step.unit


def main() -> None:
    """Measure every step, or the steps named."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="STEP", help=f"any of {', '.join(STEPS)}; by default all")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table as a page")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(timed(asked.step)))
        return
    if unknown := [name for name in asked.only if name not in STEPS]:
        parser.error(f"no step '{unknown[0]}'; expected any of {', '.join(STEPS)}")
    chosen = asked.only or list(STEPS)
    raw = bool(os.environ.get(DATA_VARIABLE)) or Paths().raw.is_dir()
    if raw and not all(STEPS[name].simulated for name in chosen):
        # In a process of its own, so that no step's memory holds a build that was due.
        subprocess.run([sys.executable, "-c", "import analysis; analysis.make_panel()"], check=True)
    rows = [("step", "median s", "min-max s", "calls", "peak MB", "one call")]
    for name in chosen:
        if not raw and not STEPS[name].simulated:
            print(f"left out, needs the raw files: {STEPS[name].label}", file=sys.stderr)
            continue
        print(f"measuring: {STEPS[name].label} ...", file=sys.stderr)
        rows.append(row(STEPS[name], *measured(name)))
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    aligns = (str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust)
    cells = [
        [put(cell, width) for put, cell, width in zip(aligns, line, widths, strict=True)] for line in rows
    ]
    print("\n".join("  ".join(line).rstrip() for line in cells))
    if asked.write:
        rule = [
            ("-" * w if put is str.ljust else "-" * (w - 1) + ":")
            for put, w in zip(aligns, widths, strict=True)
        ]
        table = "\n".join(f"| {' | '.join(line)} |" for line in [cells[0], rule, *cells[1:]])
        with replacing(asked.write) as temporary:
            temporary.write_text(PAGE + table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

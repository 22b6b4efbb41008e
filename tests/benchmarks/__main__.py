"""Time the steps, each in fresh processes, and print a table; ``--write docs/benchmarks.md`` keeps it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from analysis.base.paths import DATA_VARIABLE, Paths, replacing
from tests.benchmarks.steps import STEPS, Step

Align = Callable[[str, int], str]

PAGE = """# Benchmarks

What `make bench` measured on two cores, Python 3.11. Each step runs in fresh processes, with one thread for numeric
libraries. A step with one call a process counts what loading libraries takes; of several calls the first, which loads
them, is dropped. Memory is the largest sum over the process and its workers. The panel is to be built from raw files
in under 12 s and under 1 GB. The fastest call is held against the target, and memory of such a step against 1 GB.

"""
MEGABYTES = 1000.0
MATCHING = "matching"
MATCHING_FILE = Path(__file__).with_name("test_matching_speed.py")
MATCHING_PAGE = """
## Matching

What tests/benchmarks/test_matching_speed.py measured, with pytest-benchmark, on simulated cross-sections. The fastest
call is held against the target. In brackets what R took: Match of Matching, MatchIt and ebal on such a machine, GenMatch
with population 100 as stored in tests/reference/matching_weights/genmatch.json. Genetic matching is also held against
the balance GenMatch reached; its search was set up on the worlds even and leaning, and not on skewed and apart. Each call
on 30,000 rows has a process of its own, and its memory is the largest that process held, libraries and data included.

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


def main() -> None:
    """Measure every step and matching, or the steps named."""
    names = [*STEPS, MATCHING]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="STEP", help=f"any of {', '.join(names)}; by default all")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table as a page")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        print(json.dumps(timed(asked.step)))
        return
    if unknown := [name for name in asked.only if name not in names]:
        parser.error(f"no step '{unknown[0]}'; expected any of {', '.join(names)}")
    chosen = [name for name in asked.only or names if name != MATCHING]
    raw = bool(os.environ.get(DATA_VARIABLE)) or Paths().raw.is_dir()
    if raw and not all(STEPS[name].simulated for name in chosen):
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
    page, met = PAGE, True
    if chosen:
        page += printed(rows, (str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust))
    if not asked.only or MATCHING in asked.only:
        lines, met = matching()
        print()
        page += MATCHING_PAGE + printed(
            lines, (str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust, str.ljust)
        )
    if asked.write:
        with replacing(asked.write) as temporary:
            temporary.write_text(page, encoding="utf-8")
    if slow:
        print(f"missed the target: {', '.join(slow)}", file=sys.stderr)
    if not met:
        print("a matching target was missed; the report above names it", file=sys.stderr)
    if slow or not met:
        sys.exit(1)


if __name__ == "__main__":
    main()

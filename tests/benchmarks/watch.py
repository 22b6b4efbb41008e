"""A command in a process of its own, and the memory it held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in MB: of the process itself, of the largest process it started, and of all together."""

    first: float = 0.0
    worker: float = 0.0
    together: float = 0.0

    def at_least(self, other: Memory) -> Memory:
        """Return the larger of each."""
        return Memory(
            max(self.first, other.first),
            max(self.worker, other.worker),
            max(self.together, other.together),
        )


def resident(root: int) -> Memory:
    """Return what a process and its descendants hold now (Linux; 0 elsewhere)."""
    children: dict[int, list[int]] = {}
    pages: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            pages[int(folder.name)] = int((folder / "statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    workers, queue = [0], [*children.get(root, [])]
    while queue:
        process = queue.pop()
        workers.append(pages.get(process, 0))
        queue += children.get(process, [])
    size, first = os.sysconf("SC_PAGE_SIZE") / 1e6, pages.get(root, 0)
    return Memory(first * size, max(workers) * size, (first + sum(workers)) * size)


def watched(arguments: Sequence[str]) -> tuple[Any, Memory]:
    """Run a Python module; return the JSON of its last line, and its peak memory.

    Args:
        arguments: the module and what it is given.
    """
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    peak = Memory()
    while process.poll() is None:
        peak = peak.at_least(resident(process.pid))
        time.sleep(0.1)
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed; its message stands above")
    return json.loads(output.splitlines()[-1]), peak

"""A command in a process of its own, and the memory it held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def resident(root: int) -> tuple[float, float]:
    """Return the memory of a process, and that of it and its descendants together, in MB (Linux; 0 elsewhere)."""
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
    size = os.sysconf("SC_PAGE_SIZE") / 1e6
    return pages.get(root, 0) * size, total * size


def watched(arguments: Sequence[str]) -> tuple[Any, float, float]:
    """Run a Python module and return the JSON of its last line, and its peak memory alone and with workers, in MB.

    Args:
        arguments: the module and what it is given.
    """
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    alone = together = 0.0
    while process.poll() is None:
        one, several = resident(process.pid)
        alone, together = max(alone, one), max(together, several)
        time.sleep(0.1)
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} failed; its message stands above")
    return json.loads(output.splitlines()[-1]), alone, together

"""A tree of its own for a build: everything the build reads, nothing built."""

from __future__ import annotations

import shutil
from pathlib import Path

from analysis.base.paths import ROOT, Paths


def copied_tree(folder: Path) -> Paths:
    """Return the paths of a new tree at ``folder``; edits of the checkout do not reach it."""
    for name in ("manifest.toml", "codebook.toml"):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "data" / name, folder / "data" / name)
    for name in ("data/policy", "data/geography", "analysis"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return Paths(folder)

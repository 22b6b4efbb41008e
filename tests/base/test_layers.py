"""The rooms of the house import downwards only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "analysis"

MAY_IMPORT = {
    "base": {"base"},
    "panel": {"panel", "base"},
    "design": {"design", "base"},
    "estimation": {"estimation", "design", "base"},
    "evidence": {"evidence", "estimation", "design", "base"},
    "report": {"report", "evidence", "estimation", "design", "base"},
}
ENGINES = {"pyfixest", "diff_diff", "linearmodels", "statsmodels"}
ARRAYS_ONLY = {
    "__future__",
    "numpy",
    "scipy",
    "dataclasses",
    "collections",
    "typing",
    "math",
    "functools",
    "itertools",
    "heapq",
    "re",
    "types",
    # Threads that share out a search, and the clock of a search that may stop.
    "concurrent",
    "time",
}


def imports(path: Path) -> set[str]:
    """Return the dotted names a module imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room they come from"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE)


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_module_imports_only_from_the_rooms_below(path):
    room = path.relative_to(PACKAGE).parts[0]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "analysis" and len(parts) > 1:
            assert parts[1] in MAY_IMPORT[room], f"{room} must not import {name}"
        if parts[0] in ENGINES:
            in_checks = path.relative_to(PACKAGE).as_posix().startswith("evidence/checks/")
            assert room == "estimation" or in_checks, f"{name} is imported outside estimation"
        if room in {"evidence", "report"}:
            assert not name.startswith("analysis.panel"), f"{room} must not read the panel room"


@pytest.mark.parametrize(
    "path",
    [
        *sorted((PACKAGE / "estimation" / "matching").glob("*.py")),
        *sorted((PACKAGE / "estimation" / "panel_inference").glob("*.py")),
        PACKAGE / "estimation" / "inference.py",
    ],
    ids=lambda p: p.name,
)
def test_algorithms_see_arrays_only(path):
    for name in imports(path):
        inside = name.startswith(
            (
                "analysis.estimation.matching",
                "analysis.estimation.panel_inference",
                "analysis.estimation.inference",
            )
        )
        assert inside or name.split(".")[0] in ARRAYS_ONLY, f"{path.name} imports {name}"


def test_no_estimator_imports_another():
    shared = {"estimate", "inference", "matching", "__init__"}
    estimators = {p.stem for p in (PACKAGE / "estimation").glob("*.py")} - shared
    for stem in estimators:
        for name in imports(PACKAGE / "estimation" / f"{stem}.py"):
            for other in estimators - {stem}:
                assert not name.startswith(f"analysis.estimation.{other}"), f"{stem} imports {other}"


def test_only_paths_knows_folders_and_nothing_knows_a_machine():
    for path in modules():
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                somewhere = re.match(r"(?:/[A-Za-z]+/|\.\./|[A-Z]:\\)", node.value)
                assert not somewhere, f"{path}: {node.value[:40]!r} is a place on some machine"
        if path.name != "paths.py":
            assert "parents[" not in text, f"{path}: folders are known by analysis.base.paths alone"


def test_the_check_itself_sees_a_breach(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from analysis.report import style\n")
    assert any(name.startswith("analysis.report") for name in imports(bad))

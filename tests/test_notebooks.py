"""The notebooks run on the twin, and what is committed of them is fit to be read."""

from __future__ import annotations

import ast
import base64
import json
import re

import nbformat
import pytest

from analysis.base.paths import ROOT, Paths
from analysis.study import Study, notebook_names, run_notebook

NAMES = notebook_names(Paths())
LARGEST = 900_000  # bytes: what hosts still draw at once
# Numbers that prose may hold, because a rule, a file or a date fixes them; every other number belongs in an output.
FIXED = {"0.1", "5", "20", "90", "287", "10,000", "100,000"}
YEARS = {str(year) for year in range(2000, 2026)}
EXAMPLE_PLACES = 10  # five pairs of counties
PLACE = re.compile(r"[A-Z][\w.' -]* (?:County|Parish|Borough|Municipality|Census Area|City|city), [A-Z]{2}\b")
ADDRESS = re.compile(r" at 0x[0-9a-f]+|object at")


def texts(output) -> str:
    """Return what an output says, pictures left out."""
    if output.output_type == "stream":
        return output.text
    return "\n".join(value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))


def code_of(book) -> str:
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    return "\n".join(line for cell in cells for line in cell.splitlines() if not line.startswith("%"))


@pytest.fixture(scope="module")
def twin():
    study = Study(Paths(simulated=True))
    assert study.panel.simulated
    return study


@pytest.mark.parametrize("name", NAMES)
def test_runs_on_the_twin_and_says_so(twin, name):
    target = twin.paths.notebooks / f"{name}.ipynb"
    target.unlink(missing_ok=True)  # an executed copy that still holds would not be run again
    committed = (ROOT / "notebooks" / f"{name}.ipynb").read_bytes()
    assert run_notebook(twin, name)
    assert (ROOT / "notebooks" / f"{name}.ipynb").read_bytes() == committed, (
        "a simulated run wrote into the real tree"
    )
    book = nbformat.read(target, as_version=4)
    assert book.metadata["study"]["simulated"] is True
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert "SIMULATED DATA" in texts(code[0].outputs[-1])
    for cell in code:
        for output in cell.outputs:
            assert output.get("name") != "stderr", f"{cell.id} warns: {output.text}"
            assert not ADDRESS.search(texts(output)), f"{cell.id} prints a memory address"
            assert str(ROOT) not in texts(output), f"{cell.id} prints a path"
            if "image/png" in output.get("data", {}):
                assert "stamp_simulated" in cell.source, f"{cell.id} draws a figure that is not marked"


@pytest.mark.parametrize("name", NAMES)
def test_is_committed_with_the_outputs_of_the_real_run(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert path.stat().st_size < LARGEST
    assert set(book.metadata) == {"kernelspec", "language_info", "study"}
    assert book.metadata["study"]["simulated"] is False
    assert set(book.metadata["language_info"]) == {"name"}
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    ids = [cell.id for cell in book.cells]
    assert ids == [f"{ids[0].split('-')[0]}-{i:02d}" for i in range(1, len(ids) + 1)]
    for cell in code:
        assert cell.outputs, f"{cell.id} shows nothing"
        for output in cell.outputs:
            shown = texts(output)
            assert output.output_type != "error" and output.get("name") != "stderr", cell.id
            assert "SIMULATED" not in shown and not ADDRESS.search(shown) and str(ROOT) not in shown, cell.id
            places = set(PLACE.findall(re.sub(r"<[^>]*>", "\n", shown)))
            assert len(places) <= EXAMPLE_PLACES, f"{cell.id} prints a table of counties"
            picture = output.get("data", {}).get("image/png")
            assert picture is None or base64.b64decode(picture).startswith(b"\x89PNG"), cell.id


@pytest.mark.parametrize("name", NAMES)
def test_prose_holds_no_result(name):
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    for cell in book.cells:
        if cell.cell_type != "markdown":
            continue
        prose = re.sub(r"\]\([^)]*\)|`[^`]*`", "", cell.source)
        numbers = set(re.findall(r"\d+(?:[.,]\d+)*", prose)) - FIXED - YEARS
        assert not numbers, f"{cell.id} types {sorted(numbers)}: a rerun may contradict it"
        assert not re.search(r"\b(sanctuary|naive|naïve)\b", prose, re.IGNORECASE), cell.id


@pytest.mark.parametrize("name", NAMES)
def test_tells_the_story_and_leaves_the_work_to_the_package(name):
    tree = ast.parse(code_of(nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.FunctionDef | ast.ClassDef), "functions live in the package"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("analysis"):
            assert not any(alias.name.startswith("_") for alias in node.names), node.module
            assert not node.module.startswith(("analysis.panel", "analysis.estimation")), node.module
        if isinstance(node, ast.Attribute | ast.Name):
            called = node.attr if isinstance(node, ast.Attribute) else node.id
            assert called != "open" and not called.startswith(("read_", "to_csv", "to_parquet")), (
                f"{called} goes by path"
            )
            assert not (isinstance(node, ast.Attribute) and called.startswith("_")), f"{called} is private"


def test_notebooks_are_listed_in_the_order_of_the_story():
    assert NAMES == [
        "01_panel",
        "02_matched_comparison",
        "03_difference_in_differences",
        "04_choosing_a_match",
        "05_simple_to_demanding",
        "06_how_sure_are_we",
        "07_wong_2017",
    ]
    for name in NAMES:
        book = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
        assert book["cells"][0]["cell_type"] == "markdown" and "".join(book["cells"][0]["source"]).startswith(
            "# "
        )

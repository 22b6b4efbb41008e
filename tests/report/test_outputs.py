"""The registry writes what was asked, where it belongs, once; nothing simulated or county-level goes astray."""

from __future__ import annotations

import json
import re

import design_cases
import pandas as pd
import pytest
import report_cases as cases

from analysis.base.errors import StudyError, TableError
from analysis.base.paths import ROOT, Paths
from analysis.report import outputs
from analysis.report.outputs import (
    OUTPUTS,
    Context,
    csv_difference,
    difference,
    event_studies,
    find_output,
    folder_of,
    make_output,
    stale,
)


def whole(root):
    """A context with every ingredient."""
    return cases.context(
        root,
        designs=design_cases.few(),
        families=design_cases.no_families(),
        capability=design_cases.capability(),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every output of an invented context, made once."""
    context = whole(tmp_path_factory.mktemp("study"))
    return context, {name: make_output(name, context) for name in OUTPUTS}


def test_every_output_writes_its_four_files(made):
    _, files = made
    for name, paths in files.items():
        wanted = (
            {".pdf", ".png", ".csv", ".json"}
            if name.startswith("figure")
            else {".csv", ".md", ".tex", ".json"}
        )
        assert {p.suffix for p in paths} == wanted
        assert all(p.is_file() and p.stat().st_size > 0 for p in paths), name


def test_a_second_tree_holds_the_same_bytes(made, tmp_path):
    first, files = made
    second = whole(tmp_path)
    for name in OUTPUTS:
        for old, new in zip(files[name], make_output(name, second), strict=True):
            assert old.read_bytes() == new.read_bytes(), new.name
    assert first.paths.root != second.paths.root


def test_what_is_up_to_date_is_left_alone_and_what_is_not_is_made(tmp_path):
    context = cases.context(tmp_path)
    assert stale("table-2", context)
    csv = make_output("table-2", context)[0]
    before = csv.stat().st_mtime_ns
    assert not stale("table-2", context)
    make_output("table-2", context)
    assert csv.stat().st_mtime_ns == before
    changed = cases.context(tmp_path, balance=cases.balance(seed=9))
    assert stale("table-2", changed)
    csv.write_text(csv.read_text() + "tampered\n")
    assert stale("table-2", context)
    make_output("table-2", context)
    assert "tampered" not in csv.read_text()


def test_a_stamp_never_lags_behind_the_code(tmp_path, monkeypatch):
    context = cases.context(tmp_path)
    stamp = make_output("table-2", context)[-1]
    monkeypatch.setattr("analysis.base.provenance.code_digest", lambda: "of another day")
    monkeypatch.setattr(outputs, "code_digest", lambda: "of another day")
    assert stale("table-2", context)
    make_output("table-2", context)
    held = stamp.read_bytes()
    assert json.loads(held)["stamp"]["code"] == "of another day"
    # What a forced run writes is what an unforced one left.
    make_output("table-2", context, force=True)
    assert stamp.read_bytes() == held


def test_staleness_asks_no_ingredient_whose_digest_is_known(tmp_path):
    def never():
        raise AssertionError("loaded although its digest was known")

    digests = {"balance": "same"}
    make_output("table-2", cases.context(tmp_path, digests=digests))
    assert not stale("table-2", cases.context(tmp_path, balance=never, digests=digests))


def test_stamps_say_what_stands_behind_an_output(made):
    context, files = made
    facts = json.loads(files["figure-4"][-1].read_text())
    assert facts["stamp"]["data"] == "invented" and facts["stamp"]["simulated"] is False
    assert facts["specs"] == {"main": "0123456789abcdef"}
    assert set(facts["files"]) == {"figure-4.pdf", "figure-4.png", "figure-4.csv"}
    assert str(context.paths.root) not in json.dumps(facts)


def test_a_committed_map_csv_holds_no_county(made):
    context, files = made
    committed = files["figure-1"][2].read_text()
    areas = context.get("status")["county_fips"].unique()
    assert not any(re.search(rf"\b{code}\b", committed) for code in areas)
    built = context.paths.panel / "figure-1-areas.csv"
    assert set(pd.read_csv(built, dtype=str)["county_fips"]) == set(areas)
    counts = pd.read_csv(files["figure-1"][2])
    assert counts["areas"].sum() == len(context.get("status"))


def test_simulated_outputs_say_so_and_go_to_their_own_tree(tmp_path):
    context = cases.context(tmp_path, simulated=True)
    for name in ("figure-3", "table-2", "table-6"):
        for path in make_output(name, context):
            assert path.relative_to(tmp_path).parts[0] == "simulated"
            if path.suffix in {".csv", ".md", ".tex"}:
                assert "SIMULATED DATA" in path.read_text(), path.name
            if path.suffix == ".json":
                assert json.loads(path.read_text())["stamp"]["simulated"] is True
    from pypdf import PdfReader

    page = PdfReader(tmp_path / "simulated" / "figures" / "figure-3.pdf").pages[0].extract_text()
    assert "SIMULATED DATA" in page


def test_simulated_numbers_are_refused_in_the_real_tree(tmp_path):
    with pytest.raises(StudyError, match="numbers that are simulated for the real folders"):
        Context(Paths(tmp_path), codebook=None, data="", simulated=True)


def test_unknown_names_and_absent_ingredients_are_named(tmp_path):
    with pytest.raises(StudyError, match="did you mean figure-3"):
        find_output("figure3")
    with pytest.raises(StudyError, match="'balance' was not handed in"):
        make_output("table-2", cases.context(tmp_path, balance=None))
    broken = cases.context(tmp_path, headline=cases.headline().drop(columns="verdict"))
    with pytest.raises(TableError, match="frame headline lacks verdict"):
        make_output("table-6", broken)


def test_a_failed_output_leaves_nothing_half_written(tmp_path):
    with pytest.raises(TableError):
        make_output("figure-5", cases.context(tmp_path, headline=cases.headline().drop(columns="unit")))
    assert not list(tmp_path.rglob("figure-5*"))


def test_difference_finds_a_moved_number_and_no_other(tmp_path):
    context = cases.context(tmp_path)
    make_output("table-7", context)
    assert difference("table-7", context).empty
    moved = cases.first_stage()
    moved.loc[2, "estimate"] += 0.01
    found = difference("table-7", cases.context(tmp_path, first_stage=moved))
    assert found[["row", "column"]].values.tolist() == [[2, "estimate"]]


def test_csv_difference_tolerates_last_bits_and_reports_rows_and_columns():
    assert csv_difference("a\n0.1\n", "a\n0.10000000000001\n").empty
    assert csv_difference("a\n1\n", "a\n1\n2\n")["written"].tolist() == ["no row"]
    assert csv_difference("a\n1\n", "b\n1\n")["column"].tolist() == ["a", "b"]


def test_event_studies_take_the_spec_before_its_variations():
    first, later = cases.event_estimate(seed=1), cases.event_estimate(seed=2)
    chosen = event_studies({"main": [first, later], "main/other": [later]})
    assert chosen == [first]
    with pytest.raises(StudyError, match="did you mean main"):
        event_studies({"main": [first]}, spec="mian")


def test_folders_and_the_paper_agree_on_every_output():
    text = (ROOT / "paper" / "main.typ").read_text(encoding="utf-8")
    assert sorted(re.findall(r'#display\("([^"]+)"', text)) == sorted(OUTPUTS)
    assert folder_of(find_output("table-1"), Paths(ROOT)) == ROOT / "paper" / "tables"

"""The one page of a run: the answer with both ends, what was dropped, what must be said; marked when simulated."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
import report_cases as cases

from analysis.base.codebook import load_codebook
from analysis.base.errors import StudyError
from analysis.design.spec import load_spec
from analysis.report.page import MOST_ROWS, single_plot, write_page
from analysis.report.words import aligned


def results(n=1):
    """Single estimates as a results frame holds them, and one dynamic row that is no answer."""
    one = {
        "spec": "main", "design": "panel", "outcome": "Reported property crime", "estimand": "att", "estimate": 4.2,
        "conf_low": -10.0, "conf_high": 18.4, "unit": "offences per 100,000 residents", "baseline": 2600.0,
        "n_treated": 60, "n_comparison": 820, "n_states": 7, "states_identifying": "CO IA OR", "precision": "inconclusive",
        "inference": "95 % intervals, clustered by state (40 clusters), t with 39 df",
    }  # fmt: skip
    return pd.DataFrame([*[one | {"spec": f"main/{i}"} for i in range(n)], one | {"estimand": "event_time"}])


def write(folder, *, simulated=False, failure="", n=1):
    spec = load_spec("main")
    single = spec.expand()[0]
    dynamic = cases.event_estimate()
    run = SimpleNamespace(
        failure=failure, spec=single, estimates={"event_time": dynamic}, attrition=cases.attrition().head(3)
    )
    runs = SimpleNamespace(results=results(n) if not failure else results(n).iloc[0:0], runs=(run,))
    panel = SimpleNamespace(digest="invented", simulated=simulated)
    return write_page(spec, runs, panel, folder, load_codebook())


def test_page_holds_both_ends_areas_states_attrition_and_the_pilot_notice(tmp_path):
    files = {p.name for p in write(tmp_path)}
    assert {"summary.md", "summary.pdf", "answers.csv", "event_study.png", "event_study.json"} <= files
    text = (tmp_path / "summary.md").read_text()
    for wanted in (
        "−10.0 to 18.4",
        "60 treated and 820 comparison",
        "CO IA OR",
        "| estimated on | 830 |",
        "Pilot estimates",
    ):
        assert wanted in text
    assert "SIMULATED" not in text
    assert len(pd.read_csv(tmp_path / "answers.csv")) == 1


def test_page_repeats_byte_for_byte_and_says_simulated(tmp_path):
    from pypdf import PdfReader

    first = {p.name: p.read_bytes() for p in write(tmp_path / "a", simulated=True)}
    assert {p.name: p.read_bytes() for p in write(tmp_path / "b", simulated=True)} == first
    assert "SIMULATED DATA" in PdfReader(tmp_path / "a" / "summary.pdf").pages[0].extract_text()
    assert "SIMULATED DATA" in (tmp_path / "a" / "answers.csv").read_text()


def test_a_long_grid_is_cut_on_the_page_and_whole_in_the_csv(tmp_path):
    write(tmp_path, n=MOST_ROWS + 6)
    assert "6 more estimates stand in estimates.csv" in (tmp_path / "summary.md").read_text()
    assert len(pd.read_csv(tmp_path / "answers.csv")) == MOST_ROWS + 6


def test_a_run_that_failed_throughout_writes_no_page(tmp_path):
    assert write(tmp_path, failure="no treated county left") == []
    with pytest.raises(StudyError, match="no single estimate"):
        single_plot(results().iloc[0:0])


def test_aligned_keeps_years_plain_and_numbers_right():
    text = aligned(
        pd.DataFrame({"year": [2014], "areas": [3138], "share": [0.5], "ok": [True], "note": [None]})
    )
    assert text.splitlines()[1].split() == ["2014", "3,138", "0.500", "yes", "–"]

"""Figure, table and sentences of the border study, on invented results and on none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import StudyError
from analysis.design.spec import load_spec
from analysis.evidence.checks.quarterly import quarterly_loss
from analysis.evidence.published import load_published
from analysis.evidence.studies.biasi2018 import STUDY
from analysis.report import border_figures as figures
from analysis.report.border_numbers import phrases
from analysis.report.tables import to_latex, to_markdown

KEYS = {
    "study.biasi.found": "table-64",
    "study.biasi.quartiles": "figure-33",
    "study.biasi.quarterly": "table-64",
}
HEADLINE = next(ask.main for ask in STUDY.asks if ask.headline)
PUBLISHED = load_published().frame()


def invented(**changed):
    """A result for every specification: the number of its place, an interval of one either way."""
    specs = load_spec("biasi2018").expand()
    place = np.arange(len(specs)) / 1000
    rows = pd.DataFrame(
        {
            "study": "biasi",
            "spec": [spec.name for spec in specs],
            "measure": [spec.outcome.measure for spec in specs],
            "definition": [spec.treatment.definition for spec in specs],
            "estimand": "att", "estimate": place, "conf_low": place - 1, "conf_high": place + 1, "level": 0.95,
            "n_treated": 30, "n_comparison": 60, "n_states": 9, "informative": True, "precision": "inconclusive",
            "failure": "", "simulated": False, "pretrend_p": np.nan,
        }
    )  # fmt: skip
    return rows.assign(**changed)


def test_the_figure_holds_what_its_rows_hold():
    results = invented()
    rows = figures.quartile_rows(results, PUBLISHED)
    # Three outcomes, four quartiles, four columns, two definitions.
    assert len(rows) == 3 * 4 * 4 * 2
    fig = figures.quartiles_figure(results, PUBLISHED, note="A note.")
    assert len(fig.axes) == 12
    panel = fig.axes[1]  # all offences, covariates
    drawn = {round(float(line.get_xdata()[0]), 6) for line in panel.lines if line.get_marker() == "D"}
    wanted = rows[rows["measure"].eq("total") & rows["column"].eq("c2")]
    assert drawn == set(wanted["published"].round(6))
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == [
        "lowest",
        "second",
        "third",
        "highest",
    ]


def test_what_is_not_informative_is_hollow_and_what_lies_outside_is_an_arrow():
    results = invented(estimate=0.1, conf_low=0.05, conf_high=0.9, informative=False)
    panel = figures.quartiles_figure(results, PUBLISHED).axes[0]
    squares = [line for line in panel.lines if line.get_marker() == "s"]
    assert len(squares) == 4 and all(line.get_markerfacecolor() == "white" for line in squares)
    arrows = [line for line in panel.lines if line.get_marker() == ">"]
    assert len(arrows) == 8 and all(line.get_xdata()[0] == figures.REACH for line in arrows)


def test_nothing_to_draw_is_said():
    with pytest.raises(StudyError, match="quartile"):
        figures.quartiles_figure(invented().assign(study="other"), PUBLISHED)


def test_the_table_prints_both_and_says_agreement_only_where_precision_allows():
    results = invented()
    at = results["spec"].eq(HEADLINE)
    results.loc[at, ["estimate", "conf_low", "conf_high", "precision"]] = [
        0.05,
        0.01,
        0.09,
        "different from zero",
    ]
    table = figures.borders_table(results, PUBLISHED)
    frame, cells = table.frame, table.cells
    assert len(frame) == len(cells) == 288
    row = cells[frame["spec"].eq(HEADLINE)].iloc[0]
    assert (row["Published"], row["Ours"]) == ("0.035 (0.011 to 0.059)", "0.050 (0.010 to 0.090)*")
    assert row["Published inside"] == "yes" and row["Treated, comparison"] == "30, 60"
    assert (cells.loc[~frame["spec"].eq(HEADLINE), "Published inside"] == "–").all()
    printed = frame.iloc[list(table.selection)]
    # Three outcomes and violent without rape, two models, two definitions; column c4 of the main one; seven offences.
    assert len(printed) == 4 * 2 * 2 + 3 * 2 + 7 and not printed["part"].eq("quartiles").any()
    for text in (to_markdown(table), to_latex(table, "x")):
        assert "0.035" in text
    failed = invented()
    failed.loc[at, ["failure", "estimate", "conf_low", "conf_high"]] = ["nobody", np.nan, np.nan, np.nan]
    assert (
        figures.borders_table(failed, PUBLISHED).cells.loc[frame["spec"].eq(HEADLINE), "Ours"].item() == "–"
    )


def test_sentences_hold_whatever_the_numbers_are():
    loss = quarterly_loss(draws=2, groups=1)
    said = phrases({"study_results": invented(), "published": PUBLISHED, "quarterly_loss": loss}, {})
    assert {key: output for key, (_, output) in said.items()} == KEYS
    assert "+0.035 (0.011 to 0.059)" in said["study.biasi.found"][0]
    assert (
        "31 are inconclusive" in said["study.biasi.found"][0]
        and "differs from zero" not in said["study.biasi.found"][0]
    )
    assert "+0.043 (0.013 to 0.073) published" in said["study.biasi.quartiles"][0]
    assert (
        "0.62 against 0.79" in said["study.biasi.quarterly"][0]
        and "simulated" in said["study.biasi.quarterly"][0]
    )
    few = phrases(
        {"study_results": invented(informative=False, precision="not informative"), "published": PUBLISHED},
        {},
    )
    assert "not informative (30 treated counties in 9 states)" in few["study.biasi.found"][0]
    assert "0 of 48 cells" in few["study.biasi.quartiles"][0]
    lost = phrases(
        {"study_results": invented(failure="no pair", estimate=np.nan, precision=""), "published": PUBLISHED},
        {},
    )
    assert "31 were not estimated" in lost["study.biasi.found"][0] and "nan" not in str(lost)
    clear = invented(
        estimate=0.04, conf_low=0.02, conf_high=0.06, precision="different from zero", pretrend_p=0.0004
    )
    told = phrases({"study_results": clear, "published": PUBLISHED}, {})["study.biasi.found"][0]
    assert "31 are different from zero" in told and "p-value of below 0.001 with effects" in told


@pytest.mark.parametrize("frames", [{}, {"study_results": pd.DataFrame(), "published": PUBLISHED}])
def test_sentences_without_runs_say_so(frames):
    said = phrases(frames, {})
    assert {key: output for key, (_, output) in said.items()} == KEYS
    assert all("not" in text for text, _ in said.values())

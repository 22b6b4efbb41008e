"""Outputs of the ledger: what a figure draws and leaves empty, what tables hold and mark, sentences on full and empty frames."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis.base.errors import StudyError, TableError
from analysis.evidence import ledger as ledgers
from analysis.evidence import synthesis
from analysis.evidence.published import Published
from analysis.evidence.studies.record import Ask
from analysis.report import ledger_figures as figures
from analysis.report import ledger_numbers as say
from analysis.report import ledger_tables as tables
from analysis.report import words
from analysis.report.style import ROLES
from analysis.report.tables import cells_of, to_latex, to_markdown
from tests.evidence.test_ledger import figure, rows, study

LABELS = {"property": "property crime", "total": "total crime (violent and property)", "murder": "murder"}


@cache
def world():
    """Three studies: a rate without an error, a null in words, log points with an error, one from memory, one apart."""
    entries = (
        figure("s2001.fall", -35.5, "-"), figure("s2001.memory", sign="no detectable change", confidence="from memory"),
        figure("s2001.n", 54.0, code="count", unit="cities"), figure("t2002.logs", 0.0348, "+", se=0.0122, code="log_points"),
        figure("u2003.null", sign="no detectable change"), figure("v2004.survey", 61.0, code="percent", unit="percent (press rounding)"),
    )  # fmt: skip
    studies = (
        study(asks=[Ask("s2001.fall", ("property",), "per_10k", "s/main", headline=True),
                    Ask("s2001.memory", ("property",), "per_10k", "s/main", headline=True)]),
        study("t2002", asks=[Ask("t2002.logs", ("total",), "log_points", "t/main", headline=True)]),
        study("u2003", asks=[Ask("u2003.null", ("total",), "per_100k", "u/main", headline=True)]),
        study("v2004"),
    )  # fmt: skip
    results = rows(
        {"spec": "s/main", "estimate": 20.0, "conf_low": -30.0, "conf_high": 70.0, "baseline": 2000.0},
        {"spec": "s/grid", "family": "grid", "choice_build": "policed", "estimate": -340.0, "conf_low": -400.0, "conf_high": -300.0,
         "baseline": 2000.0},
        {"spec": "s/other", "family": "grid", "choice_build": "county", "estimate": 20.0, "conf_low": 10.0, "conf_high": 30.0,
         "baseline": 2000.0},
        {"study": "t2002", "spec": "t/main", "measure": "total", "n_states": 4, "baseline": 2500.0},
        {"study": "u2003", "spec": "u/main", "measure": "total", "failure": "nobody is left", "estimate": np.nan},
    )  # fmt: skip
    published = Published(entries)
    specs = ledgers.ledger_specifications(results, published, studies)
    table = ledgers.ledger(specs, published, studies)
    designs = pd.DataFrame(
        {
            "spec": ["headline/measure=property", "headline/border/measure=property", "headline/two-way/measure=property"],
            "measure": "property", "comparison": ["between", "border", "between"], "percent": [13.0, 3.0, 15.0],
            "percent_low": [7.0, -5.0, 6.0], "percent_high": [19.0, 11.0, 24.0], "n_treated": [45, 15, 49],
            "n_states": [11, 9, 13], "precision": ["different from zero", "not informative", "different from zero"], "failure": "",
        }
    )  # fmt: skip
    forest = synthesis.forest(table, specs, published, designs)
    frames = {
        "ledger": table, "verdict_shares": ledgers.verdict_shares(specs), "class_moves": ledgers.class_moves(specs),
        "forest": forest, "summaries": synthesis.summaries(forest),
    }  # fmt: skip
    return frames, studies


def frame(name):
    return world()[0][name].copy()


# --------------------------------------------------------------------------------------------------------
# The figure
# --------------------------------------------------------------------------------------------------------


def marks(axes, ink):
    """Marks of one colour on a panel: place, height, hollow."""
    found = []
    for line in axes.lines:
        if line.get_marker() in ("D", "o") and to_hex(line.get_color()).upper() == ink.upper():
            hollow = to_hex(line.get_markerfacecolor()) == "#ffffff"
            found.append((float(line.get_xdata()[0]), float(line.get_ydata()[0]), hollow))
    return found


def test_the_forest_draws_errors_where_there_are_some_and_hollow_marks_where_there_are_none():
    drawn = figures.forest_figure(frame("forest"), note="Invented.")
    totals, properties = drawn.axes
    # In per cent: exactly 3.54 with an interval; the null in words has no mark.
    published = marks(totals, ROLES["published"])
    assert [(round(x, 2), hollow) for x, _, hollow in published] == [(3.54, False)]
    # The rate is put over the mean of 200 per 10,000 beside it, and has no interval; the figure from memory has no number.
    assert marks(properties, ROLES["published"]) == [(-17.75, -0.2, True)]
    spans = [c for c in properties.collections if to_hex(c.get_color()[0]) == ROLES["published"].lower()]
    assert spans == []
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert "◇ no discernible difference °" in texts
    # Two-way is among the rows of the frame and none of the quoted designs.
    assert [text for text in texts if text.startswith("This study")] == [
        "This study, across states",
        "This study, along borders",
    ]
    assert {text.get_text() for text in drawn.texts} >= {"All reported crime", "Property crime"}


def test_an_estimate_that_is_not_informative_is_faint():
    drawn = figures.forest_figure(frame("forest"))
    inks = {figures.INKS["border"]: figures.FAINT, figures.INKS["between"]: 1.0}
    for ink, alpha in inks.items():
        lines = [
            one
            for one in drawn.axes[1].lines
            if to_hex(one.get_color()).upper() == ink.upper() and one.get_marker() == "o"
        ]
        assert [one.get_alpha() for one in lines] == [alpha]


def test_rows_of_the_figure_are_headline_figures_and_quoted_designs():
    forest = frame("forest")
    shown = figures.forest_rows(forest)
    assert set(shown.loc[shown["source"] == "here", "design"]) == {"", "border"}
    assert figures.forest_rows(forest.assign(headline=False)).empty
    with pytest.raises(StudyError, match="no published figure"):
        figures.forest_figure(forest.iloc[:0])
    with pytest.raises(TableError, match="percent"):
        figures.forest_rows(forest.drop(columns="percent"))


# --------------------------------------------------------------------------------------------------------
# Tables
# --------------------------------------------------------------------------------------------------------


def all_tables():
    return {
        "ledger": tables.ledger_table(frame("ledger")),
        "shares": tables.shares_table(frame("verdict_shares"), frame("ledger")),
        "moves": tables.moves_table(frame("class_moves"), frame("ledger")),
        "registry": tables.registry_table(frame("ledger")),
        "summaries": tables.summaries_table(frame("summaries")),
    }


@pytest.mark.parametrize("name", ["ledger", "shares", "moves", "registry", "summaries"])
def test_tables_print_in_every_form(name):
    table = all_tables()[name]
    assert len(table.cells) > 0
    assert "nan" not in to_markdown(table)
    assert "nan" not in to_latex(table, "x")
    assert cells_of(table)["rows"]


def test_headline_figures_stand_beside_estimates_with_verdict_and_marks():
    cells = tables.ledger_table(frame("ledger")).cells
    assert list(cells["Published"]) == [
        "−35.5", "no discernible difference °", "0.035 (0.011 to 0.059)", "no discernible difference",
    ]  # fmt: skip
    assert list(cells["Here"]) == [
        "2.00 (−3.00 to 7.00)",
        "2.00 (−3.00 to 7.00)",
        "0.004 (−0.002 to 0.010)",
        "–",
    ]
    assert list(cells["Verdict"]) == [
        "not consistent: another size, sign not determined", "consistent: published null, equivalent to zero here", "not informative", "not estimated",
    ]  # fmt: skip
    assert cells["Study"].tolist()[1] == ""


def test_the_registry_has_a_line_a_study_for_paper_and_every_figure_below():
    table = tables.registry_table(frame("ledger"))
    assert len(table.frame) == 6
    assert table.selection == (0, 1, 2, 3)
    assert len(table.cells) == 4 + 6
    first = table.cells.iloc[0]
    assert first["Figure"] == "3 registered, 2 with an estimate beside"
    assert first["Read"] == "1 in doubt °"
    assert "1 beside a figure in doubt" in first.iloc[4]
    assert table.cells.iloc[6]["Figure"] == "s2001.n"
    assert table.cells.iloc[6].iloc[4] == "no data here"


def test_shares_and_moves_are_those_of_their_frames():
    shares = tables.shares_table(frame("verdict_shares"), frame("ledger"))
    first = shares.cells.iloc[0]
    # One family holds one specification (not consistent), the other two (one of them consistent).
    assert (first["Family"], first["Consistent"], first["Not consistent"], first["Inconclusive"]) == (
        "all families", "25 %", "75 %", "",
    )  # fmt: skip
    moves = tables.moves_table(frame("class_moves"), frame("ledger"))
    whole = moves.cells.iloc[list(moves.selection)]
    assert whole["Choice"].tolist() == ["Rate build"]
    assert whole["Most frequent move"].tolist() == [
        "policed to county: consistent to not consistent (1 pairs)"
    ]


def test_a_group_that_is_not_pooled_gives_its_reason():
    cells = tables.summaries_table(frame("summaries")).cells
    assert (cells["Mean, %"] == words.MISSING).all()
    assert (cells["Why none"] != words.MISSING).all()
    pooled = frame("summaries").assign(pooled=True, mean=2.0, mean_low=1.0, mean_high=3.0, predicted_low=-1.0, predicted_high=5.0,
                                       reason="")  # fmt: skip
    assert tables.summaries_table(pooled).cells["A new study's effect, %"].eq("−1.0 to 5.0").all()


# --------------------------------------------------------------------------------------------------------
# Sentences
# --------------------------------------------------------------------------------------------------------

KEYS = {
    "ledger.headline": "table-54",
    "ledger.shares": "table-55",
    "ledger.moves": "table-56",
    "ledger.registry": "table-67",
    "synthesis.forest": "figure-28",
    "synthesis.pooled": "table-68",
}


def phrases(frames):
    return say.phrases(frames, LABELS, world()[1])


def test_every_key_stands_on_full_and_on_empty_frames():
    for frames in (world()[0], {}, {name: table.iloc[:0] for name, table in world()[0].items()}):
        said = phrases(frames)
        assert {key: output for key, (_, output) in said.items() if not key.startswith("study.")} == KEYS
        for name in ("s2001", "t2002", "u2003", "v2004"):
            output = "table-66" if name == "v2004" else "table-54"
            assert {said[f"study.{name}.{part}"][1] for part in ("about", "known", "chosen", "verdict")} == {
                output
            }
        for key, (text, _) in said.items():
            assert text.strip(), key
            assert not re.search(r"\bnan\b|None\b(?! of)|  |\{|no effect|prove", text), (key, text)


def test_missing_frames_are_said_to_be_missing():
    said = phrases({})
    assert said["ledger.headline"][0] == "The ledger was not made here."
    assert "not put on one scale" in said["synthesis.forest"][0]
    assert said["study.s2001.verdict"][0] == "The ledger was not made here."
    with pytest.raises(TableError, match="verdict"):
        phrases({"ledger": frame("ledger").drop(columns="verdict")})


def test_headline_sentences_count_marks_alone_and_give_both_ends():
    text = phrases(world()[0])["ledger.headline"][0]
    assert text.startswith("4 headline figures of 3 studies stand in the ledger.")
    assert (
        "Of 3 figures that were read and have an estimate beside them, the verdicts are 1 not consistent, 1 not informative and"
        in text
    )
    assert (
        "published −35.5, without an error; here 2.00 (−3.00 to 7.00), 40 treated areas, 9 states: reanalysis under"
        in text
    )
    assert "(from memory: no mark)" in text
    assert "not estimated: nobody is left." in text


def test_the_registry_sentence_counts_what_was_read_and_what_was_not():
    text = phrases(world()[0])["ledger.registry"][0]
    assert "holds 6 figures of 4 sources: 4 with a number, 1 of them with an error" in text
    assert "1 from memory: such figures are shown as such" in text
    assert "Beside 4 stands an estimate of this study, and for the other 2" in text


def test_the_forest_sentence_tells_missing_errors_and_borrowed_means():
    text = phrases(world()[0])["synthesis.forest"][0]
    assert (
        "2 have a number and so a place on the scale, 1 of these without an error; 2 were stated in words."
        in text
    )
    assert "1 rate is put over this study's mean" in text
    assert "−17.8 % (no error published)" in text or "−17.7 % (no error published)" in text
    assert "+3.5 % (1.1 to 6.0)" in text
    # The border is not informative and is counted with no interval that excludes zero.
    assert (
        "3 designs of this study on property crime, estimates from +3.0 to +15.0 %, 2 of the intervals without zero"
        in text
    )


def test_pooling_is_told_with_its_reason_or_its_numbers():
    assert phrases(world()[0])["synthesis.pooled"][0].startswith("No summary is made.")
    pooled = (
        frame("summaries")
        .iloc[:1]
        .assign(
            pooled=True, mean=-2.0, mean_low=-3.0, mean_high=-1.0, predicted_low=-6.0, predicted_high=2.0, k=3
        )
    )
    text = phrases({"summaries": pooled})["synthesis.pooled"][0]
    assert "−2.0 % (−3.0 to −1.0) over 3 studies; a new study's effect would lie in −6.0 to 2.0 %." in text


def test_a_study_tells_its_verdicts_and_why_nothing_stands_beside_the_rest():
    said = phrases(world()[0])
    text = said["study.s2001.verdict"][0]
    assert text.startswith(
        "3 figures of Somebody 2001 are registered; an estimate of this study stands beside 2."
    )
    assert "Beside 1 figure nothing stands: no data here." in text
    assert "stands beside none." in said["study.v2004.verdict"][0]
    assert "Places with a policy: a list." in said["study.s2001.about"][0]
    assert said["study.s2001.reading"][0] == "Reading."


def test_frames_read_back_from_files_say_the_same(tmp_path):
    read = {}
    for name, table in world()[0].items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        read[name] = pd.read_csv(tmp_path / f"{name}.csv")
    assert phrases(read) == phrases(world()[0])

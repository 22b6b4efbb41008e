"""Figure, table and sentences on cities, from invented estimates and from none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import StudyError, TableError
from analysis.design.spec import load_spec
from analysis.evidence.results import Found, results_frame
from analysis.evidence.studies import gonzalezobrien2019 as of
from analysis.report import city_figures as drawn
from analysis.report import city_numbers as said
from analysis.report.tables import to_latex, to_markdown
from tests.evidence.evidence_cases import estimate

FAIL = "published"
LABELS = {
    "violent": "violent crime",
    "violent_ex_rape": "violent crime excluding rape",
    "property": "property crime",
}


@pytest.fixture(scope="module")
def results():
    """Every specification of the three studies with an invented estimate; those of published years fail."""
    rng = np.random.default_rng(4)
    parts = []
    for study in of.CITY_STUDIES:
        rows = []
        for spec in load_spec(study).expand():
            if FAIL in spec.name:
                rows.append(
                    Found(
                        spec,
                        None,
                        failure="no treated county is left after the rule 'x' (9 before it); expected y",
                    )
                )
                continue
            one = spec.replace({"inference.vcov": "cluster"})
            rows.append(Found(spec, estimate(one, float(rng.normal(0, 15)), 8.0, baseline=300.0)))
        parts.append(results_frame(rows).assign(study=study))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def lists():
    return pd.DataFrame(
        [("D2", "county", 180, 162, 1160, 603, 97, 0), ("D5", "city", 178, 170, 170, 143, 49, 0)],
        columns=list(drawn.CITY_LISTS.columns),
    )


def test_every_line_of_the_specs_has_words(results):
    rows = of.city_estimates(results)
    assert set(zip(rows["study"], rows["line"], strict=True)) == set(drawn.LINES)
    assert {line for line, _ in drawn.DRAWN} <= {line for study, line in drawn.LINES if study == of.NAME}
    assert {line for line, _, _ in (*said.TOLD, *said.RAPE)} <= {
        line for study, line in drawn.LINES if study == of.NAME
    }


def test_the_figure_shows_each_line_once_an_outcome(results):
    rows = drawn.cities_rows(results)
    assert not rows.duplicated(["position", "measure"]).any()
    assert len(rows) == sum(
        len(results.query("study == @of.NAME and measure == @m and california == @c")["spec"].loc[
            lambda s, line=line: s.str.split("/").str[1].fillna("").where(lambda t: ~t.str.contains("="), "").eq(line)])
        for line, c in drawn.DRAWN for m in drawn.OUTCOMES
    )  # fmt: skip
    assert rows["compared"].drop_duplicates().tolist() == list(drawn.INKS)


def test_the_figure_marks_what_takes_no_verdict_and_counts_the_treated(results):
    fig = drawn.cities_figure(results, LABELS, note="Invented.")
    assert [axes.get_title(loc="left") for axes in fig.axes] == ["Violent", "Violent excl. rape", "Property"]
    rows = drawn.cities_rows(results)
    for axes, measure in zip(fig.axes, drawn.OUTCOMES, strict=True):
        here = rows[rows["measure"].eq(measure)]
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert len(points) == len(here)
        hollow = sum(line.get_markerfacecolor() == "white" for line in points)
        assert hollow == here["precision"].isin(["", "not informative"]).sum() > 0
        told = {float(line.get_ydata()[0]): float(line.get_xdata()[0]) for line in points}
        drawn_at = np.clip(here["percent"].to_numpy(), -drawn.REACH, drawn.REACH)
        assert sorted(told.values()) == pytest.approx(sorted(drawn_at))
        assert sum(text.get_text() == "24" for text in axes.texts) == len(here)


def test_without_an_estimate_there_is_no_figure(results):
    with pytest.raises(StudyError, match="no estimate on cities"):
        drawn.cities_figure(results.iloc[:0])
    with pytest.raises(TableError):
        drawn.cities_figure(results.drop(columns="percent_low"))


def test_the_table_holds_every_row_and_prints_the_main_ones(results, lists):
    table = drawn.cities_table(results, lists, LABELS)
    ones = of.city_estimates(results)
    assert len(table.frame) == len(table.cells) == len(ones)
    printed = table.frame.iloc[list(table.selection)]
    assert 20 < len(printed) < 45
    failed = printed[printed["failure"].ne("")]
    # A line that could not be estimated is told once.
    assert failed.groupby(["study", "line"]).size().eq(1).all() and len(failed) == 2
    said_ = next(note for note in table.notes if note.startswith("Not estimated."))
    assert (
        "Otsu, the published years; Martinez-Schuldt and Martinez, the published years: no treated city is left"
        in said_
    )
    assert any("162 of 180 entries placed" in note for note in table.notes)
    assert "Cities with a policy" in to_markdown(table) and to_latex(table, "tab:cities")


def test_cells_say_estimate_interval_and_mark(results):
    table = drawn.cities_table(results)
    cells = table.cells["Change, %"]
    rows = table.frame
    assert (cells[rows["failure"].ne("")] == "–").all()
    no_verdict = rows["precision"].eq("") & rows["failure"].eq("")
    assert no_verdict.any() and cells[no_verdict].str.endswith(" ‡").all()
    different = rows["precision"].eq("different from zero")
    assert different.any() and cells[different].str.endswith(" *").all()
    assert (table.cells.loc[no_verdict, "p of ±5 %"] == "–").all()
    one = int(np.flatnonzero(different)[0])
    first = rows.iloc[one]
    assert cells[one].replace("−", "-").startswith(f"{first['percent']:.1f} ({first['percent_low']:.1f} to ")
    pairs = rows["compared"].eq("before and after")
    assert (table.cells.loc[pairs, "Others"] == "–").all()


def test_sentences_tell_the_numbers(results, lists):
    told = said.phrases({"study_results": results, "city_lists": lists}, LABELS)
    assert set(told) == {"study.gonzalezobrien2019.found", "study.cities.lists"}
    assert {output for _, output in told.values()} == {"table-61"}
    text = told["study.gonzalezobrien2019.found"][0]
    ones = of.city_estimates(results)
    first = ones[ones["spec"].eq(f"{of.NAME}/measure=violent/drop_states=none")].iloc[0]
    assert (
        f"the year before and the year after {'+' if first['percent'] > 0 else '−'}{abs(first['percent']):.1f} %"
        in text
    )
    judged = ones[ones["study"].eq(of.NAME) & ones["measure"].ne("rape")]
    n = judged["precision"].isin(["different from zero", "equivalent to zero", "inconclusive"]).sum()
    assert f"Of {n} intervals" in text
    counted = told["study.cities.lists"][0]
    assert "documented policies of counties (162 of 180 entries placed) reach 603 cities" in counted
    assert "24 cities have a dated policy of their county" in counted
    assert "No city's county is known to have limited detainers by 2010" in counted


def test_sentences_hold_without_frames_and_with_other_counts(results, lists):
    for frames in ({}, {"study_results": results.iloc[:0], "city_lists": lists.iloc[:0]}):
        told = said.phrases(frames, LABELS)
        assert told["study.gonzalezobrien2019.found"][0] == said.NONE
        assert told["study.cities.lists"][0] == said.NO_LISTS
    early = said.lists_sentences(lists.assign(limited_by_2010=3), of.city_estimates(results))
    assert (
        "3 cities' county are known" not in early
        and "Counties of 3 cities are known to have limited" in early
    )


def test_a_list_of_the_users_own_is_drawn_apart_and_named(results):
    own = results[results["spec"].eq(f"{of.NAME}/measure=violent/drop_states=none")].assign(
        definition="gonzalezobrien2019.csv", spec=f"{of.NAME}/measure=violent/drop_states=none/own-list"
    )
    both = pd.concat([results, own], ignore_index=True)
    table = drawn.cities_table(both)
    assert table.cells["Line"].str.endswith(", own list").sum() == 1
    at = int(np.flatnonzero(table.cells["Line"].str.endswith(", own list"))[0])
    assert at in table.selection
    assert len(drawn.cities_rows(both)) == len(drawn.cities_rows(results)) + 1
    # The main sentence stays that of the definitions at hand.
    assert said.found_sentences(of.city_estimates(both), LABELS) == said.found_sentences(
        of.city_estimates(results), LABELS
    )
    counts = pd.DataFrame([("D2", "county", 1, 1, 1, 1, 1, 0)], columns=list(drawn.CITY_LISTS.columns))
    assert "(gonzalezobrien2019.csv)" in said.lists_sentences(counts, of.city_estimates(both))

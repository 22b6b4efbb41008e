"""Figures, tables and sentences of the county comparison of 2017, from invented estimates of its own grid."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.base.codebook import load_codebook
from analysis.base.errors import StudyError, TableError
from analysis.design.grid import load_grid
from analysis.evidence.multiverse import CHOICE_COLUMNS
from analysis.evidence.studies import wong2017 as of
from analysis.report.tables import cells_of
from analysis.report.wong_figures import (
    wong_classes_figure,
    wong_classes_rows,
    wong_multiverse_figure,
    wong_multiverse_rows,
)
from analysis.report.wong_numbers import NOT_RUN, phrases
from analysis.report.wong_tables import (
    wong_classes_table,
    wong_classes_table_rows,
    wong_economy_rows,
    wong_economy_table,
)

KEYS = {
    "study.wong2017.multiverse": "figure-30",
    "study.wong2017.classes": "table-59",
    "study.wong2017.economy": "table-60",
}
LABELS = {name: measure.label for name, measure in load_codebook().measures.items()}


@cache
def _invented():
    """Estimates of a part of the grid that say where they belong: noise around −20, economy around the published sizes."""
    grid = load_grid("wong2017").only(
        ["nearest", "regression", "years", "classes", "economy"], coverage=["95 %", "80 %"], covariates=["A", "B", "B in division"]
    )  # fmt: skip
    rng = np.random.default_rng(5)
    kept = [cell for cell in grid.cells() if cell.spec is not None]
    middle = [
        {measure: of.SIZES.get(figure, 1.0) for figure, measure in of.ECONOMY_FIGURES.items()}.get(
            cell.spec.outcome.measure, -20.0
        )
        for cell in kept
    ]
    value = np.array(middle) + rng.normal(0, 1, len(kept)) * np.abs(middle) / 2
    treated = rng.integers(15, 60, len(kept))
    rows = [
        {"study": "wong2017", "family": cell.family}
        | {name: cell.options.get(name.removeprefix("choice_"), "") for name in CHOICE_COLUMNS}
        | {
            "spec": cell.spec.name, "failure": "", "measure": cell.spec.outcome.measure, "scale": cell.spec.outcome.scale,
            "definition": cell.spec.treatment.definition, "unit": "invented unit", "precision": "inconclusive",
        }
        for cell in kept
    ]  # fmt: skip
    half = np.abs(middle) * 1.5
    return pd.DataFrame(rows).assign(
        estimate=value, conf_low=value - half, conf_high=value + half, baseline=300.0, n_treated=treated, n_comparison=2 * treated,
        n_states=8, informative=treated >= 20,
    )  # fmt: skip


@pytest.fixture
def results():
    return _invented().copy()


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return [text.get_text() for axes in figure.axes for text in (axes.title, *axes.texts)], canvas


def inside(figure, canvas):
    """Whether every title and text lies on the sheet, and no title meets the next panel's."""
    sheet = figure.bbox
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in figure.texts if text.get_text()]
    titles = [
        axes._left_title.get_window_extent(canvas.get_renderer())
        if axes._left_title.get_text()
        else axes.title.get_window_extent(canvas.get_renderer())
        for axes in figure.axes
    ]
    held = all(box.x0 >= -1 and box.x1 <= sheet.x1 + 1 and box.y0 >= -1 for box in [*boxes, *titles])
    apart = not any(
        a.overlaps(b) for at, a in enumerate(titles) for b in titles[at + 1 :] if a.width and b.width
    )
    return held and apart


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_multiverse_has_a_panel_a_build_and_a_line_a_list(results):
    rows = wong_multiverse_rows(results)
    assert set(rows["by"]) == {"build", "build, definition"} and len(rows) == 4 + 4 * 7
    figure = wong_multiverse_figure(results, note="A note. " * 40)
    assert len(figure.axes) == 4
    _, canvas = drawn(figure)
    assert inside(figure, canvas)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[0] == "All dated lists" and len(names) == 8
    # The dashed line stands at the published difference.
    assert any(np.allclose(line.get_xdata(), -35.5) for line in figure.axes[0].lines)
    shares = [text.get_text() for text in figure.axes[0].texts]
    first = rows[rows["build"].eq("all agencies, residents policed")]
    assert f"{100 * first['share_holds'].iloc[0]:.0f} %" in shares


def test_classes_have_a_panel_each_and_say_what_was_published(results):
    r = results
    gone = r["choice_urban_class"].eq("noncore") & r["choice_definition"].eq("state law")
    r.loc[gone, ["conf_low", "conf_high"]] = np.nan  # estimates without any interval
    rows = wong_classes_rows(r)
    assert not (rows["urban_class"].eq("noncore") & rows["definition"].eq("state law")).any()
    figure = wong_classes_figure(r, note="A note. " * 40)
    texts, canvas = drawn(figure)
    assert len(figure.axes) == 6 and inside(figure, canvas)
    assert texts.count("published: higher, no size seen") == 2
    assert texts.count("published: lower, no size seen") == 3 and "published: −65.4" in texts


def test_hollow_marks_stand_where_no_setting_is_informative(results):
    figure = wong_classes_figure(results.assign(informative=False))
    marks = [line for axes in figure.axes for line in axes.lines if line.get_marker() in "osv^"]
    assert marks and all(line.get_markerfacecolor() == "white" for line in marks)
    firm = wong_classes_figure(results.assign(informative=True))
    marks = [line for axes in firm.axes for line in axes.lines if line.get_marker() in "osv^"]
    assert marks and not any(line.get_markerfacecolor() == "white" for line in marks)


def test_nothing_to_draw_is_said(results):
    with pytest.raises(StudyError, match="no estimate to draw"):
        wong_multiverse_figure(results[results["family"].eq("economy")])
    with pytest.raises(StudyError, match="no estimate to draw"):
        wong_classes_figure(results[results["family"].eq("economy")])
    with pytest.raises(TableError, match="choice_build"):
        wong_multiverse_rows(results.drop(columns="choice_build"))


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_table_of_classes_holds_every_list_and_prints_some(results):
    table = wong_classes_table(results)
    assert len(table.cells) == 6 * 7 and len(cells_of(table)["rows"]) == 6 * 4
    f = wong_classes_table_rows(results)
    part = results[
        results["choice_urban_class"].eq("noncore") & results["choice_definition"].eq("full decline")
    ]
    row = f[f["urban_class"].eq("noncore") & f["definition"].eq("full decline")].iloc[0]
    assert row["n"] == len(part) and row["share_sign"] == pytest.approx((part["estimate"] < 0).mean())
    build = part[part["choice_build"].eq("county agencies, whole county")]["estimate"]
    assert row["median, county agencies, whole county"] == np.quantile(build, 0.5, method="inverted_cdf")
    # A class and what was published of it are said once.
    assert [c for c in table.cells["Class"] if c] == [name[:1].upper() + name[1:] for name in of.CLASS_SIGNS]
    assert [c for c in table.cells["Published"] if c][:2] == ["−65.4", "higher, no size seen"]


def test_the_table_of_the_economy_keeps_units_and_signs_apart(results):
    table = wong_economy_table(results, LABELS)
    f = wong_economy_rows(results)
    assert len(table.cells) == len(f) == 42
    assert [c for c in table.cells["Published"] if c] == [
        "+4,353",
        "−2.3",
        "−1.1",
        "+2.5",
        "higher, no size seen",
        "−0.9",
    ]
    later = f["definition"].eq("homeland security list 2025")
    assert set(table.cells.loc[later, "Interval alone"]) == {"described alone"}
    assert all("." not in cell for cell in table.cells["Difference"][:7])
    failed = results.assign(
        failure=results["failure"].where(results["spec"] != of.main_of_economy("poverty_rate"), "why")
    )
    failed.loc[failed["failure"].eq("why"), ["estimate", "conf_low", "conf_high"]] = np.nan
    cells = wong_economy_table(failed).cells
    assert cells.loc[7, "Interval alone"] == "not estimated" and cells.loc[7, "Difference"] == "–"


# --- sentences -------------------------------------------------------------------------------------------------------


def test_sentences_say_that_nothing_was_run():
    for frames in ({}, {"study_results": pd.DataFrame()}):
        assert phrases(frames, LABELS) == {key: (NOT_RUN, output) for key, output in KEYS.items()}
    other = _invented().assign(study="another")
    assert {text for text, _ in phrases({"study_results": other}, LABELS).values()} == {NOT_RUN}


def test_sentences_hold_the_numbers_of_the_frames(results):
    said = {key: text for key, (text, _) in phrases({"study_results": results}, LABELS).items()}
    whole = of.placed(results)[lambda f: f["by"].eq("all")].iloc[0]
    assert f"Of {whole['n_estimated']:,} estimates" in said["study.wong2017.multiverse"]
    assert f"{100 * whole['share_holds']:.0f} % of the intervals hold it" in said["study.wong2017.multiverse"]
    assert "do not identify what the report did" in said["study.wong2017.multiverse"]
    assert "outcomes of 2016" in said["study.wong2017.multiverse"]
    complete = of.pattern_shares(of.class_pattern(results)).iloc[0]
    assert f"Of {complete['n_complete']} settings" in said["study.wong2017.classes"]
    economy = said["study.wong2017.economy"].split("\n")
    assert len(economy) == 6 and economy[0].startswith("Median household income: published +4,353; ")
    for text in said.values():
        assert "nan" not in text and "–" not in text
        assert not {"naive", "survives", "sanctuary"} & set(text.lower().split())


def test_sentences_hold_when_estimates_or_families_are_missing(results):
    nothing = results.assign(estimate=np.nan, conf_low=np.nan, conf_high=np.nan)
    said = {key: text for key, (text, _) in phrases({"study_results": nothing}, LABELS).items()}
    assert said["study.wong2017.multiverse"].startswith("No specification for all counties")
    assert said["study.wong2017.classes"].startswith("No class of counties")
    assert said["study.wong2017.economy"].count("not estimated.") == 6
    few = results[results["family"].eq("regression")]
    said = {key: text for key, (text, _) in phrases({"study_results": few}, LABELS).items()}
    assert "What else may have been chosen" not in said["study.wong2017.multiverse"]
    assert said["study.wong2017.economy"] == "No figure of the economy was estimated."
    gone = results["choice_urban_class"].eq("noncore")
    said = phrases({"study_results": results[~gone]}, LABELS)["study.wong2017.classes"][0]
    assert said.startswith("No setting under a dated list")


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_sentences_follow_the_sign(results, shift):
    crime = results["family"].isin(["nearest", "regression", "years", "classes"])
    for column in ("estimate", "conf_low", "conf_high"):
        results.loc[crime, column] += shift
    text = phrases({"study_results": results}, LABELS)["study.wong2017.multiverse"][0]
    share = "100 % are negative" if shift < 0 else "0 % are negative"
    assert f"weighing alike, {share}" in text

"""Figures of the panel designs draw what their csv holds, where it belongs, and nothing over the edge of the page."""

from __future__ import annotations

import design_cases as cases
import numpy as np
import pytest

from analysis.base.errors import StudyError
from analysis.report import design_figures as fig
from analysis.report import design_tables as of

LABELS = {"violent_ex_rape": "violent crime excluding rape", "property": "property crime"}


@pytest.fixture(scope="module")
def results():
    return cases.results()


@pytest.fixture(scope="module")
def drawn(results):
    """Each figure with its rows."""
    events, designs = fig.event_rows(results), fig.designs_rows(results)
    offences, gaps = fig.offences_rows(results, cases.no_families()), fig.gaps_rows(results)
    note = "Intervals at 95 %, clustered by state."
    return {
        "events": (fig.event_grid(events, LABELS, note=note), events),
        "designs": (fig.designs_plot(designs, LABELS, note=note), designs),
        "offences": (fig.offences_plot(offences, LABELS, note=note), offences),
        "gaps": (fig.gaps_plot(gaps, LABELS, note=note), gaps),
    }


def texts(figure):
    return [text.get_text() for text in cases.written(figure)]


@pytest.mark.parametrize("name", ["events", "designs", "offences", "gaps"])
def test_no_text_leaves_the_page_or_covers_another(drawn, name):
    figure, _ = drawn[name]
    cases.assert_legible(figure)


def test_designs_are_drawn_once_an_outcome_and_california(drawn):
    figure, rows = drawn["designs"]
    keys = rows[["variant", "measure", "california"]]
    assert not keys.duplicated().any()
    known = rows[rows[list(fig.PERCENT)].notna().all(axis=1)]
    panels = figure.axes[: rows["measure"].nunique()]
    for axes, measure in zip(panels, dict.fromkeys(rows["measure"]), strict=True):
        here = known[known["measure"] == measure]
        reach = axes.get_xlim()[1] / 1.04
        inside = int((here["percent"].abs() <= reach).sum())
        beyond = int((here["percent_low"] < -reach).sum() + (here["percent_high"] > reach).sum())
        marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
        assert len(marks) == inside + beyond
        assert len(axes.collections) == len(here)
    said = texts(figure)
    assert all(group in said for group in dict.fromkeys(rows["group"]))
    # Refused for one outcome: named in its panel alone.
    assert said.count("not estimated") == 1


def test_counts_at_the_margin_are_those_with_california(drawn):
    figure, rows = drawn["designs"]
    row = rows[(rows["variant"] == "two-stage") & (rows["california"] == "in")]
    low, high = row["n_treated"].min(), row["n_treated"].max()
    assert f"{low}-{high}" in texts(figure)


def test_event_rows_hold_one_reference_where_there_is_a_common_base(drawn):
    _, rows = drawn["events"]
    held = rows[rows["variant"] == "stacked"]
    assert held.groupby("measure")["reference"].sum().tolist() == [1, 1]
    assert (held.loc[held["reference"], "event_time"] == -1).all()
    assert held.loc[held["reference"], "estimate"].eq(0).all()
    # Leads of imputation have no base in common with the rest: a mark of their own, and no reference.
    own = rows[rows["variant"] == "imputation"]
    assert not own["reference"].any()
    assert (own["own_base"] == (own["event_time"] < 0)).all()


def test_event_panels_share_their_axes_by_outcome(drawn):
    figure, rows = drawn["events"]
    per = len(rows.drop_duplicates(["group", "variant"]))
    assert len(figure.axes) == per * rows["measure"].nunique()
    for start in range(0, len(figure.axes), per):
        column = figure.axes[start : start + per]
        assert len({axes.get_ylim() for axes in column}) == len({axes.get_xlim() for axes in column}) == 1


def test_offences_stand_on_their_lines_by_definition(drawn):
    figure, rows = drawn["offences"]
    definitions = rows["definition"].nunique()
    assert len(figure.axes) == definitions
    labels = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "Violent crime excluding rape" and "Rape" in labels
    laws = figure.axes[-1]
    drawn_at = {round(float(line.get_ydata()[0]) % 1, 2) for line in laws.lines if len(line.get_ydata()) == 1}
    assert drawn_at == {0.73, 0.91}  # a state law has no comparison within its state


def test_gaps_keep_areas_and_methods_apart_and_endless_intervals_on_the_page(results):
    rows = fig.gaps_rows(results)
    assert not rows.duplicated(["unit_name", "label", "measure", "event_time"]).any()
    assert list(dict.fromkeys(rows["unit_name"])) == list(of.UNITS.values())
    endless = rows.copy()
    endless.loc[endless.index[0], "conf_high"] = np.inf
    figure = fig.gaps_plot(endless, LABELS)
    assert all(np.isfinite(axes.get_ylim()).all() for axes in figure.axes)


def test_nothing_to_draw_is_said(results):
    none = results[results["spec"].str.startswith(of.ERRORS)]
    with pytest.raises(StudyError, match="no event times of 'designs'"):
        fig.event_rows(none)
    with pytest.raises(StudyError, match="no event times of 'single_units'"):
        fig.gaps_rows(none)
    with pytest.raises(StudyError, match="no estimate of any design"):
        fig.designs_plot(fig.designs_rows(none))
    with pytest.raises(StudyError, match="no estimate of any offence"):
        fig.offences_plot(fig.offences_rows(none, cases.no_families()))

"""Figures say what their frames hold: numbers, counts, units, marks; and the same numbers give the same bytes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import report_cases as invented

from analysis.base.errors import StudyError, TableError
from analysis.report import figures, style
from analysis.report.figures import (
    coverage_by_state,
    coverage_plot,
    event_frame,
    event_plot,
    forest_panels,
    forest_plot,
    love_plot,
    trend_plot,
    trend_series,
    variation_plot,
)


def words_of(figure):
    """Every text a reader sees."""
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts]
        found += [axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left"), axes.get_title()]
        found += [t.get_text() for t in [*axes.get_xticklabels(), *axes.get_yticklabels()]]
    return "\n".join(found)


def test_event_frame_adds_the_reference_once_and_keeps_every_estimate():
    estimates = [invented.event_estimate(), invented.event_estimate(within="state", seed=5)]
    rows = event_frame(estimates)
    assert rows.groupby("estimate_label")["reference"].sum().tolist() == [1, 1]
    assert len(rows) == sum(len(e.table) + 1 for e in estimates)
    assert (rows.loc[rows["reference"], "estimate"] == 0).all()
    assert set(rows["role"]) == {"between", "within"}


def test_event_plot_prints_treated_areas_units_baseline_and_inference():
    text = words_of(event_plot([invented.event_estimate()]))
    for wanted in (
        "treated areas",
        "41",
        "per 100,000 residents",
        "301.4",
        "clustered by state (38 clusters), t with 37 df",
    ):
        assert wanted in text.replace("\n", " ")


def test_event_plot_leaves_out_what_rests_on_one_area_and_says_so():
    estimate = invented.event_estimate()
    last = estimate.table.index[-1]
    estimate.table.loc[last, ["estimate", "conf_low", "conf_high", "n_treated"]] = [900.0, 899.0, 901.0, 1]
    figure = event_plot([estimate])
    assert figure.axes[0].get_ylim()[1] < 200
    assert "one treated area" in words_of(figure) and "event time 3" in words_of(figure)
    assert 900.0 in event_frame([estimate])["estimate"].tolist()


def test_event_plot_refuses_a_mixed_base_and_an_estimate_without_event_times():
    with pytest.raises(StudyError, match="rule 13"):
        event_plot([invented.event_estimate(), invented.event_estimate(reference=-2)])
    single = invented.event_estimate()
    single.table = single.table.assign(event_time=pd.NA)
    with pytest.raises(StudyError, match="no event times"):
        event_plot([single])


def test_love_plot_orders_by_imbalance_before_and_draws_the_threshold():
    frame = invented.balance()
    figure = love_plot(frame, {"poverty": "poverty rate"}, threshold=0.1)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    before = frame[frame["sample"] == "before"].set_index("covariate")["standardized_mean_difference"].abs()
    assert labels[-1].lower().replace(" ", "_") == before.idxmax()
    assert "Poverty rate" in labels
    assert "60 treated and 48 comparison areas" in words_of(figure)


def test_a_frame_without_a_column_is_refused_by_name():
    with pytest.raises(TableError, match="frame balance lacks n_treated"):
        love_plot(invented.balance().drop(columns="n_treated"))


def test_trend_series_weighs_by_residents_and_keeps_one_set_of_areas():
    table = pd.DataFrame(
        {
            "county_fips": ["1", "1", "2", "2", "3", "3"],
            "year": [2010, 2011] * 3,
            "violent": [10.0, 20.0, 90.0, 80.0, 500.0, 900.0],
            "policed_violent": [1000.0, 1000.0, 9000.0, 9000.0, 5000.0, 5000.0],
            "coverage_violent": [1.0, 1.0, 0.95, 0.95, 1.0, 0.2],  # the third area loses its agency
        }
    )
    groups = pd.DataFrame({"county_fips": ["1", "2", "3"], "group": "All", "role": "treated"})
    series = trend_series(table, groups, {"violent": ("violent crime", 2010, 2011)})
    assert series["n"].tolist() == [2, 2]
    assert series["rate"].tolist() == pytest.approx([1000.0, 1000.0])


def test_trend_plot_names_every_line_with_its_areas_and_marks_the_break():
    table = invented.panel()
    status = invented.status(table)
    chosen = status[(status["definition"] == "policy_full") & (status["status"] != "excluded")]
    groups = pd.DataFrame(
        {"county_fips": chosen["county_fips"], "group": chosen["status"], "role": chosen["status"]}
    )
    windows = {"property": ("property crime", 2010, 2017), "rape_legacy": ("rape", 2010, 2012)}
    series = trend_series(table, groups, windows)
    text = words_of(trend_plot(series, note="who"))
    n = series[(series["measure"] == "property") & (series["role"] == "treated")]["n"].iloc[0]
    assert f"treated\n{n} areas" in text and "redefined from 2013" in text and "per 100,000" in text


def test_forest_prints_both_ends_and_invents_no_interval():
    headline = invented.headline()
    text = words_of(forest_plot(headline, note="a note"))
    assert "−35.5 (no interval)" in text
    assert "no size published" in text
    assert "0.035 (0.011 to 0.059)" in text
    assert "8.3 (−22.7 to 39.3)" in text
    published = next(p for claim, p, _ in forest_panels(headline) if claim == "fewer")
    assert published[["conf_low", "conf_high"]].iloc[0].isna().all()


def test_forest_leaves_what_is_not_informative_to_the_table_and_counts_it():
    panels = {claim: (rows, omitted) for claim, rows, omitted in forest_panels(invented.headline())}
    rows, omitted = panels["fewer"]
    assert omitted == 1 and "policy_verified" not in set(rows["definition"])
    assert "1 more estimate is not informative" in words_of(forest_plot(invented.headline()))


def test_variation_plot_cuts_long_intervals_with_an_arrow_and_fades_the_uninformative():
    frame = invented.movement()
    frame.loc[0, "percent_high"] = 4000.0
    figure = variation_plot(frame, labels={"property": "property crime"})
    assert max(axes.get_xlim()[1] for axes in figure.axes) < 1000
    assert any(line.get_marker() == ">" for axes in figure.axes for line in axes.lines)
    assert any((line.get_alpha() or 1) < 0.5 for axes in figure.axes for line in axes.lines)


def test_coverage_is_policed_over_residents_and_low_cells_are_printed():
    table = pd.DataFrame(
        {
            "state": ["AA", "AA", "BB"], "year": 2010, "population": [100.0, 300.0, 50.0],
            "policed_violent_ex_rape": [100.0, 100.0, 60.0],
        }
    )  # fmt: skip
    coverage = coverage_by_state(table)
    assert coverage["coverage"].tolist() == [0.5, 1.0]
    assert "50" in words_of(coverage_plot(coverage, measure_label="violent crime"))


def test_same_numbers_same_bytes_and_another_number_other_bytes(tmp_path):
    def written(name, frame):
        figure = love_plot(frame)
        return [style.save(figure, tmp_path / f"{name}{s}").read_bytes() for s in (".pdf", ".png", ".svg")]

    frame = invented.balance()
    first, again = written("a", frame), written("b", frame)
    assert first == again
    moved = frame.assign(standardized_mean_difference=frame["standardized_mean_difference"] + 0.2)
    assert all(a != b for a, b in zip(first, written("c", moved), strict=True))


def test_drawing_leaves_frames_and_the_callers_style_alone():
    import matplotlib as mpl

    before = mpl.rcParams["axes.titlesize"]
    headline, moves = invented.headline(), invented.movement()
    kept = headline.copy(), moves.copy()
    forest_plot(headline), variation_plot(moves)
    pd.testing.assert_frame_equal(headline, kept[0])
    pd.testing.assert_frame_equal(moves, kept[1])
    assert mpl.rcParams["axes.titlesize"] == before


def test_no_text_of_a_figure_leaves_the_page():
    drawings = [
        event_plot([invented.event_estimate(), invented.event_estimate(within="state", seed=5)]),
        love_plot(invented.balance()),
        forest_plot(invented.headline(), note="n " * 120),
        variation_plot(invented.movement(), note="n " * 120),
    ]
    for figure in drawings:
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        texts = [*figure.texts, *(t for axes in figure.axes for t in axes.texts)]
        texts += [
            t for axes in figure.axes for t in [axes.xaxis.label, axes.yaxis.label, *axes.get_yticklabels()]
        ]
        for legend in figure.legends:
            texts += legend.get_texts()
        for text in texts:
            if text.get_text() and text.get_visible():
                box = text.get_window_extent()
                inside = box.x0 >= -2 and box.x1 <= width + 2 and box.y0 >= -2 and box.y1 <= height + 2
                assert inside, f"{text.get_text()!r} leaves the page: {np.round(box.bounds)}"


def test_unknown_role_is_refused():
    with pytest.raises(StudyError, match="no colour for role 'treatd'"):
        style.colour("treatd")
    assert figures.role_of(invented.event_estimate(within="state")) == "within"


def test_event_plot_says_from_which_year_a_policy_counts():
    estimate = invented.event_estimate()
    adoption = invented.event_estimate()
    adoption.spec.treatment.onset = "adoption_year"
    assert "First" not in axis_label(adoption) and "0 = year of adoption" in axis_label(adoption)
    assert "0 = first full year" in axis_label(estimate)


def axis_label(estimate):
    return [axes.get_xlabel() for axes in event_plot([estimate]).axes][-1]

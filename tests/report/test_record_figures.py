"""The detainer records drawn and told, and the other studies in a table: what is printed is what the frames hold."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analysis.base.errors import StudyError, TableError
from analysis.evidence.checks import detainers as of
from analysis.evidence.published import load_published
from analysis.evidence.studies import ice_records2016, others, trust
from analysis.report import other_tables, tables
from analysis.report import record_figures as draw
from analysis.report import record_numbers as say

STUDIES = (ice_records2016.STUDY, *trust.STUDIES, *others.STUDIES)
PUBLISHED = load_published().frame()
KEYS = {
    "study.records.found": "table-65", "study.records.weeks": "table-65", "study.trust.input": "table-66",
    "study.others.found": "table-66",
}  # fmt: skip


def records(more=None):
    """Declines of three states and of none, two years, one place each."""
    table = {("CA", 2014): 600, ("CA", 2015): 100, ("NY", 2014): 150, ("NY", 2015): 50, ("TX", 2013): 7, ("TX", 2014): 3,
             ("", 2014): 80, ("", 2015): 20} | (more or {})  # fmt: skip
    rows = [(year, state, of.COUNTY if state else of.NO_STATE, n, 2) for (state, year), n in table.items()]
    return pd.DataFrame(rows, columns=list(of.RECORDS))


def weeks(published=1_300, table=None, share=None):
    figures = {of.PRESS_DECLINED: float(published)} | ({} if share is None else {of.PRESS_SHARE: share})
    registered = pd.DataFrame({"id": list(figures), "estimate": list(figures.values())})
    months = [str(month) for month in pd.period_range("2014-01", "2015-07", freq="M")]
    issued = pd.DataFrame({"year_month": months, "count": [1_000] * 18 + [380]})
    outcomes = pd.DataFrame(
        [(2014, of.DECLINED_OUTCOME, 833), (2014, "Lifted", 5_000), (2015, of.DECLINED_OUTCOME, 170), (2015, "Lifted", 2_000)],
        columns=["year", "lift_reason", "count"],
    )  # fmt: skip
    return of.detainer_weeks(records() if table is None else table, issued, outcomes, registered)


def places():
    rows = [("published", np.nan, 165, 0), ("declines", 1.0, 404, 239), ("declines", 3.0, 184, 19), ("declines", 5.0, 124, -41),
            ("documented", np.nan, 175, 10)]  # fmt: skip
    return pd.DataFrame(rows, columns=list(of.PLACES_COUNTED))


def beside(**more):
    row = {
        "spec": "kubrinbartos2020/measure=violent", "measure": "violent", "estimand": "att", "failure": "",
        "outcome": "Reported violent crime", "estimate": 25.0, "conf_low": -48.0, "conf_high": 98.0, "unit": "per 100,000",
        "percent_of_baseline": -5.5, "p_value": 0.2, "n_treated": 1, "n_comparison": 24, "precision": "not informative",
    }  # fmt: skip
    counts = pd.DataFrame(
        {"figure": ["nchs2013.n.noncore", "nchs2013.n.medium_metro"], "counties": [1_335, 372]}
    )
    return others.others_frame(PUBLISHED, STUDIES, pd.DataFrame([row | more]), counts)


# --- figure ----------------------------------------------------------------------------------------


def test_bars_are_the_records_of_each_state_and_the_gap_is_the_line():
    rows = draw.records_rows(records(), weeks())
    assert list(rows.columns) == list(draw.PLOTTED)
    states = rows[rows["panel"] == draw.BY_STATE].pivot_table(index="label", columns="year", values="value")
    assert states.loc["CA"].tolist() == [600, 100] and states.loc[draw.NO_STATE].tolist() == [80, 20]
    assert states.to_numpy().sum() == records().query("year >= 2014")["declined"].sum()
    fig = draw.records_figure(rows, note="A note.")
    left, right = fig.axes
    widths = [bar.get_width() for bar in left.patches]
    assert sorted(widths) == sorted(states.to_numpy().ravel())
    line = next(line for line in right.lines if line.get_linestyle() == "--")
    assert list(line.get_xdata()) == [297.0, 297.0]
    assert sorted(bar.get_width() for bar in right.patches) == sorted(
        rows[(rows["panel"] == draw.IN_WEEKS) & (rows["label"] != draw.GAP_LABEL)]["value"]
    )


def test_no_label_of_the_figure_leaves_its_sheet_or_meets_another():
    fig = draw.records_figure(draw.records_rows(records(), weeks()))
    renderer = FigureCanvasAgg(fig).get_renderer()
    fig.draw(renderer)
    sheet = fig.bbox
    for axes in fig.axes:
        ticks = [label.get_window_extent(renderer) for label in axes.get_yticklabels()]
        texts = [*ticks, axes.title.get_window_extent(renderer), axes._left_title.get_window_extent(renderer)]
        assert all(box.x0 >= 0 and box.x1 <= sheet.x1 and box.y1 <= sheet.y1 for box in texts)
        assert not any(one.overlaps(two) for at, one in enumerate(ticks) for two in ticks[at + 1 :])
    left, right = fig.axes
    assert min(label.get_window_extent(renderer).x0 for label in right.get_yticklabels()) > left.bbox.x1


def test_nothing_to_draw_is_said():
    rows = draw.records_rows(records(), weeks())
    with pytest.raises(StudyError, match="no detainer records"):
        draw.records_figure(rows[rows["panel"] == draw.BY_STATE])


def test_states_come_by_their_declines_and_a_file_without_an_empty_text_reads_alike():
    assert draw.states_in_order(records()) == ["CA", "NY", "TX"] and draw.states_in_order(records(), 1) == [
        "CA"
    ]
    read = records().assign(state=records()["state"].where(records()["state"].ne("")))
    pd.testing.assert_frame_equal(draw.by_state(read), draw.by_state(records()))


# --- table-65 --------------------------------------------------------------------------------------


def test_the_table_adds_up_and_prints_bounds_with_both_ends():
    table = draw.records_table(records(), weeks(), places())
    cells = table.cells.set_index(table.cells.columns[0])
    assert cells.loc["All", draw.SINCE] == "1,003" and cells.loc["CA", draw.SINCE] == "700"
    assert cells.loc["All", "2014"] == "833" and cells.loc["All", "2013"] == "7"
    assert cells.loc["Published less recorded", draw.SINCE] == "297"
    assert (
        cells.loc["California with none or all of the gap and of the records without a state", draw.SINCE]
        == "700 to 1,097"
    )
    assert cells.loc["California, share of the published count", draw.SINCE] == "54 % to 84 %"
    assert cells.loc["Counties with 5 or more from January 2014", draw.SINCE] == "124"
    published = draw.records_table(records(), weeks(share=60.0), places()).cells.set_index(
        table.cells.columns[0]
    )
    assert published.loc["California, share as published, almost", draw.SINCE] == "60 %"
    long = table.frame
    assert list(long.columns) == list(draw.TABLED)
    by_row = long[(long["section"] == draw.BY_STATE) & (long["column"] == draw.SINCE)].set_index("row")[
        "value"
    ]
    assert by_row.drop("All").sum() == by_row["All"]
    printed = tables.to_markdown(table)
    assert "nan" not in printed and "sanctuary" not in printed.lower()


# --- sentences -------------------------------------------------------------------------------------


def held(**more):
    inputs = pd.DataFrame(
        {
            "id": ["wong2018survey.witness", "wong2018survey.victim"], "registered": True, "quantity": "reporting_change",
            "value": [-60.8, -42.9], "unit": "percent change", "contrast": "enforcement",
        }
    )  # fmt: skip
    return {
        "detainer_records": records(), "detainer_weeks": weeks(), "places_counted": places(), "others": beside(),
        "reporting_agreement": trust.reporting_agreement(inputs, PUBLISHED),
    } | more  # fmt: skip


def test_every_key_has_a_sentence_and_an_output():
    said = say.phrases(held(), {})
    assert {key: output for key, (_, output) in said.items()} == KEYS
    for text, _ in said.values():
        assert text.endswith(".") and not re.search(
            r"\bnan\b|sanctuary|naive|surviv|prove|no effect|\n", text, re.IGNORECASE
        )


def test_what_was_not_made_is_said():
    for text, output in say.phrases({}, {}).values():
        assert text.endswith("was not made.") and output in KEYS.values()
    with pytest.raises(TableError, match="places_counted lacks at_least"):
        say.phrases(held(places_counted=places().drop(columns="at_least")), {})


def test_the_records_sentence_counts_what_is_there_and_california_may_lose_its_place():
    text = say.records_sentences(held())
    assert "counts 1,300 declined detainers" in text and "hold 1,003, or 77 % of them" in text
    assert "California has 700" in text and "it stays so even if" in text and "597 at most" in text
    assert "(the press: almost 60 %), the most of any state" in say.records_sentences(
        held(detainer_weeks=weeks(share=60.0))
    )
    wide = say.records_sentences(held(detainer_weeks=weeks(published=9_000)))
    assert "it need not stay so even if" in wide
    second = records({("NY", 2014): 900})
    assert "another state has more" in say.records_sentences(
        held(detainer_records=second, detainer_weeks=weeks(table=second))
    )


def test_the_weeks_sentence_follows_the_size_of_the_gap():
    paces = weeks().query("kind == 'held at a pace'")["declined"]
    assert "more than any of them" in say.weeks_sentences(held(detainer_weeks=weeks(published=5_000)))
    assert "fewer than any of them" in say.weeks_sentences(
        held(detainer_weeks=weeks(published=1_003 + int(paces.min()) - 5))
    )
    middle = weeks(published=1_003 + int(np.median(paces)))
    assert re.search(
        r"the difference is more than [123] of the 4\.", say.weeks_sentences(held(detainer_weeks=middle))
    )
    less = say.weeks_sentences(held(detainer_weeks=weeks(published=900)))
    assert "no fewer than the press counts (103 more)" in less and "do not count alike" in less
    assert "they alone would be enough" in say.weeks_sentences(held())
    assert "they would not be enough" in say.weeks_sentences(held(detainer_weeks=weeks(published=90_000)))


def test_the_trust_sentence_names_an_input_that_differs():
    assert "2 registered figures" in say.trust_sentences(held()) and "61 % less often" in say.trust_sentences(
        held()
    )
    f = held()["reporting_agreement"].assign(relation=["differs", "rounded"])
    text = say.trust_sentences(held(reporting_agreement=f))
    assert "1 does not agree with its registered figure (wong2018survey.witness)" in text


def test_the_others_sentence_holds_for_a_failure_and_for_every_reading():
    text = say.others_sentences(held())
    assert "an estimate stands beside 3 and a count of ours beside 2" in text
    assert "reported violent crime: −5.5 % of the mean; too few areas for a verdict." in text
    assert "1 equal the registered number, and the others differ by 1 at most" in text
    for precision, said in (
        ("different from zero", "excludes zero"),
        ("equivalent to zero", "within ±5 %"),
        ("", "no verdict"),
    ):
        assert said in say.others_sentences(held(others=beside(precision=precision)))
    failed = say.others_sentences(held(others=beside(failure="no donor", estimate=np.nan)))
    assert "not estimated: no donor." in failed


# --- table-66 --------------------------------------------------------------------------------------


def test_every_study_stands_once_and_every_figure_in_the_csv():
    table = other_tables.others_table(beside())
    names = [name for name in table.cells["Study"] if name]
    assert names == [study.label for study in STUDIES] and len(set(names)) == len(names)
    assert table.frame["figure"].nunique() == len(table.frame)
    printed = tables.to_markdown(table)
    assert "sanctuary" not in printed.lower() and "nan" not in printed
    assert "−5.5 % of the mean (p = 0.20; 1 treated, 24 compared; not informative)" in printed
    assert "from memory" in printed and "not run" not in printed.split("Kubrin")[0].split("Goncalves")[0]


def test_numbers_keep_their_sign_and_what_is_no_change_has_none():
    rows = beside().set_index("figure")
    told = {name: other_tables.found_words(row) for name, row in rows.iterrows()}
    assert told["amuedodeza2022.domestic_homicide.low"] == "−52 %" and told["amuedoarenas.vawa"] == "+2.24 %"
    assert (
        told["context.declined_18646"] == "18,646"
        and told["ciancio2019.substitutes"] == "80 % of urban counties"
    )
    assert told["nchs2013.n.noncore"] == "1,335, from memory"

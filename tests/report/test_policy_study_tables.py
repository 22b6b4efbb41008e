"""Tables and sentences of two studies of dated policies: places, cells, marks, counts, and what is said when nothing was made."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.design.spec import load_spec
from analysis.evidence.matches import NOT_ESTIMATED, variant_of
from analysis.evidence.results import Found, results_frame
from analysis.report import policy_study_numbers as say
from analysis.report import policy_study_tables as of
from analysis.report.design_tables import MAIN_WEIGHTS
from analysis.report.tables import to_csv, to_latex, to_markdown

STUDIES = (of.HAUSMAN, of.MILES_COX)
TABLES = {of.HAUSMAN: of.hausman_table, of.MILES_COX: of.milescox_table}
KEYS = {of.HAUSMAN: "study.hausman2020.found", of.MILES_COX: "study.milescox2014.found"}
LABELS = {"total": "total crime (violent and property)", "violent_ex_rape": "violent crime excluding rape"}
COUNT_HEAD = "Treated / compared / states"


@cache
def _results() -> pd.DataFrame:
    """Every specification with a drawn estimate; one refused, one of too few areas."""
    parts = [
        results_frame([Found(one, None) for one in load_spec(study).expand()]).assign(study=study, family="")
        for study in STUDIES
    ]
    f = pd.concat(parts, ignore_index=True)
    rng = np.random.default_rng(11)
    n = len(f)
    value, error = rng.normal(0, 8, n), rng.uniform(1, 5, n)
    low, high = value - 2 * error, value + 2 * error
    inside, apart = (low > -5) & (high < 5), (low > 0) | (high < 0)
    few = rng.random(n) < 0.1
    verdict = np.select(
        [few, inside, apart], ["not informative", "equivalent to zero", "different from zero"], "inconclusive"
    )
    own = f["measure"].eq("declined_detainers")
    f = f.assign(
        estimand="att", term="post", estimate=value / 10, conf_low=low / 10, conf_high=high / 10, n_treated=rng.integers(5, 90, n),
        n_comparison=rng.integers(100, 1500, n), n_states=rng.integers(3, 16, n), percent_of_baseline=np.where(own, np.nan, value),
        percent_low=low, percent_high=high, precision=verdict, failure="", simulated=True,
        pretrend_p=np.where(f["estimator"].isin(["group_time_att", "imputation"]), rng.uniform(0, 0.12, n), np.nan),
        unit=np.where(own, "declined detainers per 10,000 residents", "offences per 100,000 residents"),
    )  # fmt: skip
    f.loc[f["spec"].str.contains("group-time-placebo"), "pretrend_p"] = 0.001
    gone = f["spec"].eq("hausman2020/imputation/measure=murder")
    f.loc[
        gone,
        [
            "estimate",
            "conf_low",
            "conf_high",
            "percent_of_baseline",
            "percent_low",
            "percent_high",
            "n_treated",
        ],
    ] = np.nan
    f.loc[gone, ["estimand", "term", "precision"]] = ""
    f.loc[gone, "failure"] = "no comparison county is left after a rule; expected one; change it in somewhere"
    dynamic = f[f["estimator"].eq("group_time_att")].assign(
        estimand="event_time", term="event_time=0", estimate=99.0
    )
    return pd.concat([f, dynamic], ignore_index=True)


@pytest.fixture
def results() -> pd.DataFrame:
    return _results().copy()


def frames(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"study_results": table}


# --- places and rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", STUDIES)
def test_every_variation_has_a_place_and_every_place_a_variation(study):
    variants = {variant_of(one.name) for one in load_spec(study).expand()}
    assert variants == set(of.VARIANTS[study])
    assert set(of.PRINTED[study]) <= variants and set(say.TOLD[study]) <= variants
    named = list(of.VARIANTS[study].values())
    assert len(set(named)) == len(named), "two designs under one name could not be told apart"
    assert {group for group, _ in named} <= set(of.GROUPS)
    measures = {one.outcome.measure for one in load_spec(study).expand()} - {"declined_detainers"}
    assert measures == set(of.MEASURES[study])


@pytest.mark.parametrize("study", STUDIES)
def test_the_frame_holds_every_specification_once_and_no_event_time(study, results):
    f = of.study_frame(results, study)
    assert sorted(f["spec"]) == sorted(one.name for one in load_spec(study).expand())
    assert tuple(f.columns) == of.FRAME and not f["estimate"].eq(99.0).any()
    ranks = [of.GROUPS.index(group) for group in f["group"]]
    assert ranks == sorted(ranks)
    held = f[f["failure"] == ""]
    assert (held["percent"].isna() == held["measure"].eq("declined_detainers")).all()


def test_row_order_changes_nothing_and_the_input_is_left_alone(results):
    before = results.copy()
    one = of.study_frame(results, of.HAUSMAN)
    two = of.study_frame(results.sample(frac=1.0, random_state=5), of.HAUSMAN)
    pd.testing.assert_frame_equal(one, two)
    pd.testing.assert_frame_equal(results, before)


def test_a_variation_of_ones_own_comes_last_under_its_name(results):
    own = results[results["spec"] == "hausman2020/every-year/measure=total"]
    more = pd.concat([results, own.assign(spec="hausman2020/my-rule/measure=total")], ignore_index=True)
    last = of.study_frame(more, of.HAUSMAN).iloc[-1]
    assert (last["group"], last["design"]) == (of.OWN, "my rule")
    made = of.hausman_table(more)
    assert made.cells["Design"].iloc[-1] == "my rule" and made.cells.iloc[-1, 0] == of.OWN


def test_a_missing_column_is_named(results):
    with pytest.raises(TableError, match="pretrend_p"):
        of.hausman_table(results.drop(columns="pretrend_p"))


# --- cells ----------------------------------------------------------------------------------------------------------


def cell_of(made, design: str, column: str) -> str:
    return made.cells.loc[made.cells["Design"] == design, column].iloc[0]


def test_the_first_stage_stands_above_in_its_own_unit_and_alone(results):
    made = of.hausman_table(results)
    first = made.cells.iloc[:6]
    assert (
        first.iloc[0, 0] == of.FIRST
        and first["Declined detainers per 10,000"].str.contains(r"\(.* to .*\)").all()
    )
    assert (first[[of.HEADS[m] for m in of.MEASURES[of.HAUSMAN]]] == "").all().all()
    assert (made.cells["Declined detainers per 10,000"].iloc[6:] == "").all()
    row = results[results["spec"] == "hausman2020/first-stage"].iloc[0]
    shown = [
        float(v.replace("−", "-"))
        for v in re.findall(r"[−\d.]+", first["Declined detainers per 10,000"].iloc[0])
    ]
    assert shown == pytest.approx([row["estimate"], row["conf_low"], row["conf_high"]], abs=0.006)
    assert "Declined detainers per 10,000" not in of.milescox_table(results).cells


@pytest.mark.parametrize(
    ("study", "design", "variant"),
    [(of.HAUSMAN, "stacked by cohort", "stacked"), (of.MILES_COX, "two-way, to 2012", "to-2012")],
)
def test_a_cell_is_its_own_estimate_with_its_own_mark(study, design, variant, results):
    made = TABLES[study](results)
    marks = {
        "different from zero": " *",
        "equivalent to zero": " =",
        "inconclusive": "",
        "not informative": " §",
    }
    for measure in of.MEASURES[study]:
        row = results[results["spec"] == f"{study}/{variant}/measure={measure}"].iloc[0]
        numbers = [
            f"{v:.1f}".replace("-0.0", "0.0").replace("-", "−")
            for v in (row["percent_of_baseline"], row["percent_low"], row["percent_high"])
        ]
        wanted = f"{numbers[0]} ({numbers[1]} to {numbers[2]}){marks[row['precision']]}"
        assert cell_of(made, design, of.HEADS[measure]) == wanted


def test_the_dagger_follows_the_leads_and_no_placebo_has_one(results):
    made = of.milescox_table(results)
    for measure in of.MEASURES[of.MILES_COX]:
        row = results[results["spec"] == f"milescox2014/group-time-class/measure={measure}"].iloc[0]
        shown = cell_of(made, "group-time effects, within urban classes", of.HEADS[measure])
        assert shown.endswith("†") == (row["pretrend_p"] < 0.05)
    placebo = made.cells[made.cells["Design"].str.contains("two years back")]
    assert not placebo.apply(lambda column: column.str.contains("†")).any().any()


def test_counts_are_those_of_the_offence_with_the_most(results):
    rows = results[results["spec"].str.startswith("hausman2020/state-law/") & results["estimand"].eq("att")]
    most = rows.loc[rows["n_treated"].idxmax()]
    # The first stage has a row of that name above.
    made = of.hausman_table(results)
    shown = made.cells.loc[made.cells["Design"] == "two-way, state law", COUNT_HEAD].iloc[-1]
    assert shown == f"{most['n_treated']:.0f} / {most['n_comparison']:,} / {most['n_states']}"


def test_what_could_not_be_estimated_keeps_its_row_and_is_told(results):
    made = of.hausman_table(results)
    assert cell_of(made, "imputation", "Murder") == "–"
    assert any("imputation: no comparison county is left after a rule" in note for note in made.notes)
    failed = made.frame[made.frame["failure"] != ""]
    assert len(failed) == 1 and failed["verdict"].item() == NOT_ESTIMATED
    alone = of.hausman_table(results[results["failure"] != ""])
    assert alone.cells[COUNT_HEAD].tolist() == ["–"]


@pytest.mark.parametrize("study", STUDIES)
def test_counties_alike_are_said_where_there_is_a_twin_alone(study, results):
    said = TABLES[study](results).cells["Design"].tolist()
    assert {
        "two-way",
        "two-way, counties alike",
        "group-time effects",
        "group-time effects, counties alike",
    } <= set(said)
    # A model of counts has its own weights.
    assert "Poisson, per resident" in said and not any("Poisson" in name and "alike" in name for name in said)


@pytest.mark.parametrize("study", STUDIES)
def test_the_paper_prints_some_rows_and_the_files_hold_all(study, results):
    made = TABLES[study](results)
    printed = made.cells.iloc[list(made.selection)]
    assert len(printed) == len(of.PRINTED[study]) < len(made.cells)
    assert not printed["Design"].str.contains("alike").any()
    text = to_markdown(made)
    assert text.count("\n| ") == len(made.cells) + 1
    assert to_csv(made.frame).count("\n") == len(made.frame) + 1
    assert "\\toprule" in to_latex(made, "x")


# --- sentences --------------------------------------------------------------------------------------------------


def test_keys_and_outputs():
    said = say.phrases({}, LABELS)
    assert {key: output for key, (_, output) in said.items()} == {
        KEYS[of.HAUSMAN]: "table-62",
        KEYS[of.MILES_COX]: "table-63",
    }


@pytest.mark.parametrize(
    "held", [{}, {"study_results": None}, {"study_results": "empty"}, {"study_results": "another"}]
)
def test_without_rows_the_sentence_says_that_nothing_was_run(held, results):
    tables = {"empty": results.iloc[:0], "another": results.assign(study="another2010")}
    given = {name: tables.get(value, value) for name, value in held.items()}
    for study, key in KEYS.items():
        assert (
            say.phrases(given, LABELS)[key][0]
            == f"The specifications beside {say.NAMES[study]} were not run."
        )


@pytest.mark.parametrize("study", STUDIES)
def test_every_specification_is_counted_once(study, results):
    text = say.phrases(frames(results), LABELS)[KEYS[study]][0]
    pattern = (
        r"Of (\d+) specifications on reported crime, by their intervals, (\d+) lie above zero and (\d+) below, (\d+) inside ±5 % "
        r"of the mean, (\d+) are inconclusive(?:,| and) (\d+) take no verdict(?: and (\d+) could not be estimated)?\."
    )
    found = re.search(pattern, text)
    assert found is not None, text
    total, *parts = (int(v or 0) for v in found.groups())
    assert total == sum(parts)
    rows = results[results["study"].eq(study) & results["estimand"].ne("event_time")]
    rows = rows[rows["measure"].ne("declined_detainers") & rows["placebo_shift"].isna()]
    different = rows["precision"].eq("different from zero")
    assert parts == [
        (different & rows["percent_low"].gt(0)).sum(), (different & rows["percent_high"].lt(0)).sum(),
        rows["precision"].eq("equivalent to zero").sum(), rows["precision"].eq("inconclusive").sum(),
        rows["precision"].eq("not informative").sum(), rows["failure"].ne("").sum(),
    ]  # fmt: skip


@pytest.mark.parametrize("study", STUDIES)
def test_a_line_an_offence_with_both_ends_of_each_interval(study, results):
    text = say.phrases(frames(results), LABELS)[KEYS[study]][0]
    head, body, closing = text.split("\n\n")
    lines = body.split("\n")
    assert len(lines) == len(say.TOLD_MEASURES[study]) and head.startswith(say.PUBLISHED[study])
    for line in lines:
        assert line.count(";") >= len(say.TOLD[study]) - 1 and line.endswith(".")
        assert len(re.findall(r"\([−\d.]+ to [−\d.]+", line)) == len(say.TOLD[study])
    assert ("First stage" in head) == (study == of.HAUSMAN)
    assert "with California" in closing and "without it" in closing


def test_leads_that_reject_are_counted_by_california(results):
    text = say.phrases(frames(results), LABELS)[KEYS[of.HAUSMAN]][0]
    rows = results[
        results["study"].eq(of.HAUSMAN) & results["estimand"].ne("event_time") & results["pretrend_p"].notna()
    ]
    rows = rows[rows["measure"].ne("declined_detainers")]
    told = {
        c: (rows.loc[rows["california"] == c, "pretrend_p"].lt(0.05).sum(), rows["california"].eq(c).sum())
        for c in ("in", "out")
    }
    assert (
        f"in {told['in'][0]} of {told['in'][1]} with California and {told['out'][0]} of {told['out'][1]} without it."
        in text
    )


def test_failures_and_designs_that_are_missing_are_told_or_left_out(results):
    gone = results["spec"].eq(f"hausman2020/measure=total/weights={MAIN_WEIGHTS}") | results["spec"].eq(
        "hausman2020/first-stage"
    )
    broken = results.copy()
    broken.loc[gone, "failure"] = "it broke"
    numbers = [
        "estimate",
        "conf_low",
        "conf_high",
        "percent_of_baseline",
        "percent_low",
        "percent_high",
        "pretrend_p",
    ]
    broken.loc[gone, numbers] = np.nan
    text = say.phrases(frames(broken), LABELS)[KEYS[of.HAUSMAN]][0]
    assert (
        "per 10,000 residents: not estimated; without California" in text
        and "Total crime: one effect not estimated;" in text
    )
    fewer = results[
        ~results["spec"].str.contains("first-stage|two-way-state|measure=murder|group-time|imputation")
    ]
    text = say.phrases(frames(fewer), LABELS)[KEYS[of.HAUSMAN]][0]
    assert (
        "First stage" not in text
        and "within states" not in text
        and "Murder" not in text
        and "years before" not in text
    )


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_words_hold_whatever_the_signs_are(flip, results):
    turned = results.assign(
        estimate=flip * results["estimate"], percent_of_baseline=flip * results["percent_of_baseline"],
        percent_low=np.minimum(flip * results["percent_low"], flip * results["percent_high"]),
        percent_high=np.maximum(flip * results["percent_low"], flip * results["percent_high"]),
    )  # fmt: skip
    for text, _ in say.phrases(frames(turned), LABELS).values():
        assert not re.search(
            r"sanctuary|naive|prove|no effect|surviv|causes|\bnan\b|None", text, flags=re.IGNORECASE
        )
    made = [table(turned) for table in TABLES.values()]
    for one in made:
        words = " ".join([one.title, *one.notes, *one.cells["Design"]])
        assert not re.search(r"sanctuary|naive|prove|no effect|surviv|county [A-Z]", words)

"""The answer: which rows stand, in whose unit, with which verdict and in which words."""

from __future__ import annotations

import numpy as np
import pytest
from evidence_cases import CROSS_SECTION, DIRECT, found

from analysis.evidence.headline import FIRST_STAGE, headline, headline_text, movement
from analysis.evidence.results import results_frame

TOTAL = {"outcome.measure": "total"}
VIOLENT = {"outcome.measure": "violent"}
WITHOUT = {"sample.drop_states": ["CA"]}
WITHIN = {"estimator.within": "state"}


def answer(*items):
    return headline(results_frame(items))


def ours(frame, claim: str):
    return frame[frame["claim"].eq(claim) & ~frame["published"].astype(bool)]


def test_the_first_stage_stands_first_then_each_claim_with_its_published_row_first():
    frame = answer(found(TOTAL, name="total"), found(DIRECT, name="stage"), found(name="property"))
    assert frame["claim"].iloc[0] == FIRST_STAGE
    assert list(dict.fromkeys(frame["claim"])) == [FIRST_STAGE, "no_difference", "fewer", "more"]
    for _, rows in frame[frame["claim"] != FIRST_STAGE].groupby("claim"):
        assert bool(rows["published"].iloc[0])
    published = frame[frame["published"].eq(True)]
    assert published["precision"].eq("").all() and published["verdict"].eq("").all()


def test_estimates_stand_in_the_unit_of_the_claim():
    frame = answer(found(TOTAL, name="total", value=-300.0, error=20.0, baseline=3000.0))
    fewer, more = ours(frame, "fewer").iloc[0], ours(frame, "more").iloc[0]
    assert (fewer["estimate"], fewer["conf_low"], fewer["conf_high"]) == pytest.approx((-30.0, -34.0, -26.0))
    assert fewer["baseline"] == pytest.approx(300.0) and fewer["bound"] == 35.5
    assert (more["estimate"], more["conf_low"]) == pytest.approx((np.log(0.9), np.log(1 - 340 / 3000)))
    assert more["note"] == "converted at the baseline mean" and "converted" not in fewer["note"]
    assert more["verdict"] == "not consistent" and more["agreement"] == "opposite sign"


def test_both_axes_for_a_published_size():
    def word(value, error):
        row = ours(answer(found(TOTAL, name="t", value=value, error=error, baseline=3000.0)), "fewer").iloc[0]
        return row["precision"], row["verdict"], row["agreement"]

    # In tens: -40 ± 20, -20 ± 4, +10 ± 4, +60 ± 8, -20 ± 40.
    assert word(-400.0, 100.0) == ("different from zero", "consistent", "published size inside the interval")
    assert word(-200.0, 20.0) == ("equivalent to zero", "not consistent", "same sign, another size")
    assert word(10.0, 200.0)[:2] == ("inconclusive", "inconclusive")
    assert word(10.0, 100.0) == ("equivalent to zero", "not consistent", "another size, sign not determined")
    assert word(600.0, 40.0) == ("different from zero", "not consistent", "opposite sign")
    assert word(-200.0, 200.0) == ("inconclusive", "inconclusive", "")


def test_a_published_null_agrees_only_through_equivalence():
    def word(value, error):
        row = ours(answer(found(name="p", value=value, error=error, baseline=2000.0)), "no_difference").iloc[
            0
        ]
        return row["precision"], row["verdict"]

    assert word(10.0, 20.0) == ("equivalent to zero", "consistent"), "inside ± 100"
    assert word(10.0, 80.0) == ("inconclusive", "inconclusive"), "covers zero, and much else"
    assert word(300.0, 80.0) == ("different from zero", "not consistent")


def test_rows_without_a_verdict():
    frame = answer(
        found(TOTAL, name="thin", value=-300.0, error=1.0, states=5, baseline=3000.0),
        found(
            TOTAL | CROSS_SECTION | {"inference.vcov": "abadie_imbens", "inference.by": "none"},
            name="independent",
        ),
        found(TOTAL | CROSS_SECTION | {"treatment.definition": "dhs_2025"}, name="later-list"),
    )
    rows = ours(frame, "fewer").set_index("spec")
    assert rows.loc["thin", "verdict"] == rows.loc["thin", "precision"] == "not informative"
    assert rows.loc["independent", "verdict"] == "no verdict" and rows.loc["independent", "precision"] == ""
    assert "later-list" not in rows.index, "a list drawn up after the outcomes has no place in the headline"


def test_one_row_a_definition_and_comparison_the_main_one():
    frame = answer(
        found(TOTAL | WITHOUT, name="without-california"),
        found(TOTAL | {"outcome.build": "county_population"}, name="another-build"),
        found(TOTAL, name="main"),
        found(TOTAL | {"outcome.scale": "log_rate"}, name="logs", value=0.05, error=0.01, baseline=8.0),
        found(TOTAL | WITHIN, name="within"),
        found(TOTAL | {"treatment.definition": "policy_any"}, name="any"),
    )
    assert ours(frame, "fewer")["spec"].tolist() == ["any", "main", "within"], (
        "definitions in the study's order"
    )
    assert ours(frame, "more")["spec"].tolist() == ["any", "logs", "within"], (
        "its own unit before a converted one"
    )
    alone = ours(answer(found(TOTAL | WITHOUT, name="without-california")), "fewer").iloc[0]
    assert "without California" in alone["note"], "a variation that stands for the main one says so"


def test_violent_crime_stands_beside_violent_crime_excluding_rape():
    frame = answer(found(VIOLENT, name="v"), found({"outcome.measure": "violent_ex_rape"}, name="ex"))
    rows = ours(frame, "no_difference").set_index("spec")
    assert set(rows.index) == {"v", "ex"}
    assert "outcome: same" in rows.loc["v", "comparability"]
    assert (
        "outcome: another" in rows.loc["ex", "comparability"] and "rape is left out" in rows.loc["ex", "note"]
    )


def test_comparability_stands_on_every_row_and_nothing_is_reproduced():
    frame = answer(
        found(TOTAL | CROSS_SECTION, name="match"), found(TOTAL, name="panel"), found(VIOLENT, name="v")
    )
    rows = frame[~frame["published"].astype(bool)]
    assert (
        rows["comparability"].ne("").all()
        and rows["sentence"].str.startswith("reanalysis under definition").all()
    )
    fewer = ours(frame, "fewer").set_index("spec")["comparability"]
    assert (
        fewer["match"]
        == "list: another; area: same; unit: same; outcome: another; years: same; method: not known"
    )
    assert fewer["panel"].endswith("years: another; method: another")


def test_movement_changes_one_thing_at_a_time():
    table = movement(
        results_frame(
            [
                found(TOTAL, name="main", value=90.0, baseline=3000.0),
                found(TOTAL | WITHOUT, name="out", value=30.0, baseline=3000.0),
                found(TOTAL | WITHIN, name="within"),
                found(TOTAL | WITHIN | WITHOUT, name="both"),
                found(TOTAL | {"treatment.definition": "policy_any"}, name="any"),
                found(TOTAL | {"estimator.weights": "population_baseline"}, name="another-weight"),
                found(DIRECT, name="stage"),
            ]
        )
    ).set_index("spec")
    assert table.loc["main", "moved"] == "" and table.loc["main", "percent"] == pytest.approx(3.0)
    assert table.loc["out", "moved"] == "California" and table.loc["out", "percent"] == pytest.approx(1.0)
    assert table.loc["any", "moved"] == "definition" and table.loc["within", "moved"] == "comparison"
    assert table.loc["both", "moved"] == "California, comparison"
    assert set(table.index) == {"main", "out", "any", "within", "both"}


def test_the_words():
    results = results_frame(
        [
            found(TOTAL, name="main", value=-120.0, error=60.0, baseline=3000.0),
            found(TOTAL | WITHOUT, name="out", baseline=3000.0),
            found(DIRECT, name="stage", value=0.5, error=0.1),
        ]
    )
    text = headline_text(headline(results), movement(results))
    flat = " ".join(text.split())
    assert (
        flat.index("First stage") < flat.index("Three published claims") < flat.index("How the answer moves")
    )
    assert (
        "at 95 % the data exclude changes in reported total crime (violent and property) below −24.0 or above 0.0"
        in flat
    )
    assert "(−8.0 and 0.0 % of the mean), if reported crime would have moved alike" in flat
    assert "+0.500 (0.300 to 0.700)" in text
    for word in ("naive", "naïve", "survive", "sanctuary", "reproduced", "robust to"):
        assert word not in text.lower()
    assert "SIMULATED" not in text


def test_leads_that_reject_stand_beside_the_interval_they_speak_against():
    items = [
        found(TOTAL, name="main", value=300.0, baseline=3000.0, pretrend_p=0.0004),
        found(name="p", pretrend_p=0.4),
    ]
    frame = answer(*items)
    assert ours(frame, "fewer")["pretrend_p"].tolist() == [0.0004]
    text = " ".join(headline_text(frame).split())
    assert (
        "The joint test of the years before adoption rejects (p): total crime (violent and property) < 0.001."
        in text
    )
    assert "property crime 0.400" not in text and " 0.400 " in text


def test_simulated_results_say_so_first():
    results = results_frame([found(TOTAL, name="main")]).assign(simulated=True)
    assert headline_text(headline(results)).startswith("SIMULATED DATA")


def test_nothing_to_say_is_said():
    text = headline_text(headline(results_frame([found({"outcome.measure": "murder"}, name="m")])))
    assert "no estimate here answers it" in text and "no estimate of declined detainers" in text

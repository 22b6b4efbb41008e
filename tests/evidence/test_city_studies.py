"""Studies of cities: every registered figure has an answer or a reason, and estimates on cities are set on one scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from analysis.base.errors import StudyError
from analysis.base.paths import Paths
from analysis.design.spec import load_spec
from analysis.evidence.results import results_frame
from analysis.evidence.studies import gonzalezobrien2019 as of
from analysis.evidence.studies import martinezschuldt2019, otsu2021
from tests.evidence.evidence_cases import found

STUDIES = (of.STUDY, otsu2021.STUDY, martinezschuldt2019.STUDY)
CITY = {"design.area": "city"}
MATCHED = {
    "design.kind": "cross_section", "design.year": 2015, "covariates.names": ["log_population"],
    "covariates.vintage": "2006_2010", "estimator.name": "matched_difference", "estimator.distance": "mahalanobis",
    "estimator.neighbours": 1, "estimator.replacement": True, "estimator.caliper": 0.0, "estimator.exact": [],
    "estimator.bias_adjust": False,
}  # fmt: skip


def results(*rows, study=of.NAME):
    return results_frame(rows).assign(study=study)


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_every_registered_figure_is_answered_or_has_a_reason(study):
    registry = yaml.safe_load((Paths().root / "data" / "published.yaml").read_text(encoding="utf-8"))
    ids = [str(entry["id"]) for entry in registry["entries"]]
    own = [name for name in ids if study.owns(name)]
    assert own
    for name in own:
        assert (study.ask(name) is None) == bool(study.reason(name)), name
    # Nothing is answered or explained that is not registered.
    assert {ask.figure for ask in study.asks} | set(study.apart) <= set(own)


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_the_main_lines_are_specifications_on_cities(study):
    specs = {spec.name: spec for name in study.specs for spec in load_spec(name).expand()}
    for ask in study.asks:
        spec = specs[ask.main]
        assert spec.design.area == "city" and spec.carries_verdict
        assert spec.outcome.measure in ask.measures
        for column, values in ask.only.items():
            assert getattr(spec.estimator, {"estimator": "name"}[column]) in values


def test_published_directions_and_nulls():
    kinds = {ask.figure: (ask.null, ask.sign) for study in STUDIES for ask in study.asks}
    assert all(
        kinds[f"{of.NAME}.{way}.{what}"] == (True, 0) for way in ("match", "prepost") for what in of.OUTCOMES
    )
    assert kinds["otsu2021.property"] == kinds["otsu2019draft.robbery"] == (False, -1)
    assert kinds["martinezschuldt2019.robbery"] == (False, -1)
    assert kinds["martinezschuldt2019.homicide"] == (True, 0)
    assert all("from memory" in ask.note for ask in of.STUDY.asks if ".prepost." in ask.figure)


def test_pairs_answer_the_paired_test_and_nothing_else_does():
    pairs = found(
        {**CITY, "estimator.name": "before_after", "estimator.lag_years": 1, "outcome.measure": "violent"},
        "a",
    )
    matched = found({**CITY, **MATCHED, "outcome.measure": "violent"}, "b")
    rows = results(pairs, matched)
    ask = of.STUDY.ask(f"{of.NAME}.prepost.violent")
    assert ask.rows(rows)["spec"].tolist() == ["a"]
    assert of.STUDY.ask(f"{of.NAME}.match.violent").rows(rows)["spec"].tolist() == ["b"]


def test_estimates_are_in_per_cent_of_the_mean():
    rows = results(found(CITY, f"{of.NAME}/two-years/measure=property", 30.0, 10.0, baseline=300.0))
    one = of.city_estimates(rows).iloc[0]
    assert one[["line", "compared", "cities"]].tolist() == ["two-years", "difference-in-differences", 10_000]
    assert one["percent"] == pytest.approx(10.0) and one["bound_percent"] == pytest.approx(5.0)
    df = rows["df"].iloc[0]
    t = stats.t(df)
    assert one["detectable_percent"] == pytest.approx((t.ppf(0.975) + t.ppf(0.8)) * 10 / 3)
    # The farther of two one-sided tests: of an effect of +5 % where 10 % was estimated.
    assert one["p_equivalence"] == pytest.approx(t.sf((15.0 - 30.0) / 10.0))


def test_log_points_become_per_cent_and_the_smaller_way_is_told():
    rows = results(found({**CITY, "outcome.scale": "log_rate"}, f"{of.NAME}/x", 0.1, 0.02, baseline=5.7))
    one = of.city_estimates(rows).iloc[0]
    assert one["percent"] == pytest.approx(100 * np.expm1(0.1))
    assert one["bound_percent"] == pytest.approx(5.0)
    t = stats.t(rows["df"].iloc[0])
    size = (t.ppf(0.975) + t.ppf(0.8)) * 0.02
    assert one["detectable_percent"] == pytest.approx(100 * (1 - np.exp(-size)))


def test_a_test_of_that_power_finds_what_it_says():
    found_ = of.detectable({"scale": "rate_100k", "unit": "", "std_error": 2.0, "df": np.inf, "level": 0.95,
                            "estimate": 0.0, "baseline": 100.0, "bound": 5.0})  # fmt: skip
    draws = np.random.default_rng(1).normal(found_["detectable_percent"], 2.0, 200_000)
    assert np.mean(np.abs(draws) > 1.959964 * 2.0) == pytest.approx(0.8, abs=0.005)


def test_areas_that_are_no_cities_and_other_studies_are_left_out():
    rows = pd.concat(
        [
            results(found({}, "county")),
            results(found(CITY, "other"), study="hausman2020"),
            results(found(CITY, "here")),
        ]
    )
    assert of.city_estimates(rows)["spec"].tolist() == ["here"]


def test_a_line_that_failed_keeps_its_reason_and_a_list_of_2025_describes():
    from analysis.evidence.results import Found

    rows = results(
        Found(found(CITY, f"{of.NAME}/published-window").spec, None, failure="no treated county is left"),
        found({**CITY, **MATCHED, "treatment.definition": "dhs_2025"}, f"{of.NAME}/listed"),
    )
    out = of.city_estimates(rows).set_index("line")
    assert out.loc["published-window", "failure"] and np.isnan(out.loc["published-window", "percent"])
    assert np.isnan(out.loc["published-window", "detectable_percent"])
    assert out.loc["listed", "descriptive"] and out.loc["listed", "precision"] == ""
    assert not out.loc["published-window", "descriptive"]


def test_an_estimator_without_a_name_is_refused():
    rows = results(found({**CITY, "estimator.name": "imputation", "estimator.within": "none"}, "x"))
    with pytest.raises(StudyError, match="imputation"):
        of.city_estimates(rows)

"""Running a grid: every specification is accounted for, and how it is run changes no number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, SPEC, panel, spec

from analysis.base.errors import SpecError, StudyError
from analysis.design.design import make_design
from analysis.design.spec import parse_spec
from analysis.estimation import aggregate, check_estimate, fit
from analysis.evidence.checks.pretrends import pretrends
from analysis.evidence.compare import compare
from analysis.evidence.runs import fit_all, run_specs

TWO_WAY = {"estimator.name": "two_way", "estimator.effects": "county_year"}
GRID = (
    SPEC
    + """
[vary]
"outcome.measure" = ["property", "total"]
[[also]]
name = "within"
"estimator.within" = "state"
[[also]]
name = "by-county"
"inference.by" = "county"
[[also]]
name = "nobody"
"sample.min_population" = 900_000
"""
)


@pytest.fixture(scope="module")
def cases():
    return panel()


@pytest.fixture(scope="module")
def runs(cases):
    return run_specs(cases, [parse_spec(GRID, where="grid.toml")])


def test_every_specification_is_there_and_the_failed_one_says_why(runs):
    names = [f"case/{n}" for n in ("measure=property", "measure=total", "within", "by-county", "nobody")]
    assert [run.spec.name for run in runs.runs] == names
    assert list(dict.fromkeys(runs.results["spec"])) == names
    assert runs.failures["spec"].tolist() == ["case/nobody"]
    assert "no treated county is left" in runs["case/nobody"].failure
    row = runs.results.set_index("spec").loc["case/nobody"]
    assert np.isnan(row["estimate"]) and row["failure"] == runs["case/nobody"].failure
    with pytest.raises(SpecError, match="no treated county is left"):
        runs.estimate("case/nobody")
    with pytest.raises(SpecError, match="did you mean case/within"):
        runs["case/wihtin"]


def test_a_run_finds_the_effect_that_was_put_in_and_counts_who_it_rests_on(runs):
    row = runs.results[runs.results["estimand"].eq("att")].set_index("spec").loc["case/measure=property"]
    assert row["conf_low"] < 50.0 < row["conf_high"] and row["conf_low"] > 0
    # Washington moved as a state: its five other counties compare with nobody.
    assert (row["n_treated"], row["n_comparison"], row["n_states"]) == (24, 35, 8)
    assert row["treated_states"] == "IA IL MD MN NC NY WA WI" and row["simulated"]
    # Four detainers for every 20,000 residents of a treated county in 2014.
    assert row["declined_per_10k"] == pytest.approx(2.0)
    assert row["pretrend_p"] == pretrends(runs.estimate("case/measure=property", "event_time")).p_value
    assert runs.attrition["rule"].iloc[0] == "panel as given"


def test_designs_shared_between_specs_change_no_number(runs, cases):
    for name in ("case/measure=property", "case/within", "case/by-county"):
        run = runs[name]
        alone = aggregate(fit(make_design(cases, run.spec)), over="post")
        shared = runs.estimate(name)
        check_estimate(shared)
        pd.testing.assert_frame_equal(shared.table, alone.table)
        assert shared.spec == run.spec and shared.stamp == alone.stamp and shared.baseline == alone.baseline
        assert shared.notes == alone.notes


def test_processes_change_nothing(runs, cases):
    side_by_side = run_specs(cases, [parse_spec(GRID, where="grid.toml")], jobs=2)
    pd.testing.assert_frame_equal(side_by_side.results, runs.results)


def test_progress_is_told_and_names_are_unique(cases):
    told = []
    run_specs(cases, [spec(name="a"), spec(TWO_WAY, name="b")], progress=lambda *all: told.append(all))
    assert told == [(1, 2, "a"), (2, 2, "b")]
    with pytest.raises(SpecError, match="two specifications are named 'a'"):
        run_specs(cases, [spec(name="a"), spec(TWO_WAY, name="a")])


def test_a_fault_of_ours_is_no_failed_specification(cases, monkeypatch):
    def broken(design):
        raise IndexError("boolean index did not match")

    monkeypatch.setattr("analysis.evidence.runs.fit", broken)
    with pytest.raises(IndexError) as caught:
        run_specs(cases, [spec(name="a")])
    assert "while running the spec 'a'" in "".join(caught.value.__notes__)


def test_fit_all_gives_one_effect_each_and_hides_no_failure(cases):
    made = fit_all(cases, [spec(name="a"), spec(TWO_WAY, name="b"), spec(CROSS_SECTION, name="c")])
    assert [e.estimand for e in made] == ["att", "att", "difference"] and all(len(e.table) == 1 for e in made)
    with pytest.raises(StudyError, match="no treated county"):
        fit_all(cases, [spec({"sample.min_population": 900_000}, name="d")])


def test_compare_pairs_variants_and_names_the_keys(cases):
    left = parse_spec(GRID, where="grid.toml")
    right = left.replace({"name": "mine", "sample.years": [2010, 2016]})
    found = compare(left, right, cases)
    assert found.keys["key"].tolist() == ["name", "sample.years"]
    rows = found.answers.set_index("variant")
    assert set(rows.index) == {"measure=property", "measure=total", "within", "by-county", "nobody"}
    row = rows.loc["measure=property"]
    assert (
        row["difference"] == pytest.approx(row["right_estimate"] - row["left_estimate"])
        and row["difference"] != 0
    )
    assert row["difference_percent"] == pytest.approx(
        100 * row["difference"] / found.left.estimate("case/measure=property").baseline
    )
    assert "no treated county" in rows.loc["nobody", "left_failure"]


def test_compare_finds_a_single_spec_in_a_grid_by_its_outcome(cases):
    found = compare(
        parse_spec(GRID, where="grid.toml"), spec({"sample.years": [2010, 2016]}, name="mine"), cases
    )
    row = found.answers.set_index("variant").loc["property"]
    assert np.isfinite(row["difference"])
    other = compare(spec(name="a"), spec({"outcome.scale": "log_rate"}, name="b"), cases)
    assert np.isnan(other.answers["difference"]).all(), "units that differ have no difference"

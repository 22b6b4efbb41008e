"""What the matched comparisons are told apart by, and balance and hidden bias that agree with the checks they rest on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, INDEPENDENT, SPEC, found, panel

from analysis.base.errors import SpecError
from analysis.design.design import make_design
from analysis.design.spec import load_spec, parse_spec
from analysis.estimation.matched import match
from analysis.evidence import matches as of
from analysis.evidence.checks.balance import balance, balance_table
from analysis.evidence.checks.hidden_bias import hidden_bias
from analysis.evidence.results import results_frame
from analysis.evidence.runs import run_specs

PANEL = panel(effect=400.0)
ALSO = """
[[also]]
name = "optimal-pairs"
"estimator.name" = "optimal_match"
"estimator.distance" = "mahalanobis"
"estimator.neighbours" = 1
"estimator.short" = "drop"
"estimator.caliper" = 0.0
"estimator.exact" = []
"estimator.bias_adjust" = false
[[also]]
name = "optimal-pairs-by-pair"
"estimator.name" = "optimal_match"
"estimator.distance" = "mahalanobis"
"estimator.neighbours" = 1
"estimator.short" = "drop"
"estimator.caliper" = 0.0
"estimator.exact" = []
"estimator.bias_adjust" = false
"inference.by" = "pair"
[[also]]
name = "regression"
"estimator.name" = "regression_adjustment"
"estimator.moments" = 1
[[also]]
name = "entropy"
"estimator.name" = "weighting"
"estimator.method" = "entropy"
"estimator.moments" = 1
"""


def methods():
    text = SPEC.replace('name = "case"', 'name = "match_methods"', 1)
    text = text.replace("[outcome]", '[design]\nkind = "cross_section"\nyear = 2015\n[outcome]')
    text = text.replace("years = [2010, 2017]\n", "").replace('balance = "every_year"\n', "")
    text = text.replace("names = []", 'names = ["hispanic"]\nvintage = "2006_2010"')
    start, end = text.index("[estimator]"), text.index("[inference]")
    plain = (
        '[estimator]\nname = "matched_difference"\ndistance = "mahalanobis"\nneighbours = 1\nreplacement = true\n'
        'caliper = 0.0\nexact = []\nbias_adjust = false\nweights = "none"\n'
    )
    return parse_spec(text[:start] + plain + text[end:] + ALSO, where="match_methods.toml")


METHODS = methods()


@pytest.fixture(scope="module")
def reached():
    return of.match_balance(PANEL, {of.METHODS: METHODS})


@pytest.fixture(scope="module")
def estimates():
    return of.matches(run_specs(PANEL, [METHODS]).results)


def test_every_variation_of_the_committed_spec_has_words():
    named = {of.variant_of(spec.name) for spec in load_spec(of.METHODS).expand()}
    assert named == set(of.VARIANTS), "a method without words, or words without a method"
    assert {of.variant_of(s.name) for s in load_spec(of.COVARIATES).expand()} == set(of.SETS)
    known = {variant for _, _, variant in of.CASES.values() if variant is not None}
    assert known <= named and set(of.BOUNDED) <= named and set(of.MAIN_VARIANTS) <= named


def test_rows_keep_failures_and_say_which_errors_carry_no_verdict(estimates):
    by = estimates.set_index("variant")
    assert (
        by["verdict"]
        .isin(["inconclusive", "different from zero", "no verdict", "not estimated", "equivalent to zero"])
        .all()
    )
    assert by["independent"].to_dict() == {
        "": False, "optimal-pairs": False, "optimal-pairs-by-pair": True, "regression": False, "entropy": False,
    }  # fmt: skip
    assert by.loc["optimal-pairs-by-pair", "verdict"] == "no verdict"
    assert by.loc["", "group"] == of.NEAREST and by.loc["optimal-pairs-by-pair", "group"] == of.ERRORS
    assert (by["percent"] == 100 * by["estimate"] / by["baseline"]).all()


def test_other_specs_and_event_times_are_left_out_and_few_areas_take_no_verdict():
    few = found({**CROSS_SECTION}, "match_years/definition=policy_full", states=3)
    other = found({}, "main/measure=property")
    alone = found({**CROSS_SECTION, **INDEPENDENT}, "match_definitions/measure=property")
    rows = of.matches(results_frame([other, few, alone])).set_index("family")
    assert set(rows.index) == {of.DEFINITIONS, of.YEARS}
    assert rows.loc[of.YEARS, "verdict"] == "not informative"
    assert rows.loc[of.DEFINITIONS, "verdict"] == "no verdict" and rows.loc[of.DEFINITIONS, "independent"]


def test_balance_of_each_method_is_that_of_the_check(reached):
    design = make_design(PANEL, METHODS.expand()[0])
    for variant in ("", "optimal-pairs", "entropy"):
        spec = next(s for s in METHODS.expand() if of.variant_of(s.name) == variant)
        own = make_design(PANEL, spec)
        sets = match(own)
        expected = balance(own, sets=sets)
        mine = reached[reached["variant"] == variant].reset_index(drop=True)
        columns = [
            "covariate",
            "sample",
            "standardized_mean_difference",
            "variance_ratio",
            "ks",
            "n_treated",
            "n_comparison",
        ]
        pd.testing.assert_frame_equal(mine[columns], expected[columns])
        tidy = balance_table(own, sets=sets).set_index(["covariate", "sample", "statistic"])["value"]
        after = "weighted" if variant == "entropy" else "matched"
        assert mine["effective_comparison"].iloc[-1] == pytest.approx(
            tidy[("(all)", after, "effective_comparison")]
        )
    assert list(reached["covariate"].unique()) == list(design.covariates)


def test_models_have_no_second_sample_and_another_error_is_the_same_match(reached):
    assert reached.loc[reached["variant"] == "regression", "sample"].tolist() == ["before"]
    pair = reached[reached["variant"] == "optimal-pairs-by-pair"].reset_index(drop=True)
    same = reached[reached["variant"] == "optimal-pairs"].reset_index(drop=True)
    numbers = [c for c in reached.columns if c not in ("variant", "group", "method", "spec")]
    pd.testing.assert_frame_equal(pair[numbers], same[numbers])
    assert pair["method"].iloc[0] != same["method"].iloc[0]


def test_every_method_is_held_to_the_covariates_of_the_spec():
    table = PANEL.table.assign(black_2010=np.random.default_rng(5).uniform(0, 0.5, len(PANEL.table)))
    wide = type(PANEL)(table, table, PANEL.policies, PANEL.declines, "1" * 16, simulated=True)
    text = METHODS.replace({"covariates.names": ["hispanic", "black"]})
    fewer = [
        text.expand()[0],
        text.replace({"name": "match_methods/fewer", "covariates.names": ["hispanic"]}).expand()[0],
    ]
    found_ = of._balance(wide, fewer)
    assert found_.groupby("spec")["covariate"].nunique().tolist() == [2, 2]


def test_bounds_and_e_values_are_those_of_the_check(reached, estimates):
    bounds = of.bias_bounds(PANEL, METHODS)
    spec = next(s for s in METHODS.expand() if of.variant_of(s.name) == "optimal-pairs")
    expected = hidden_bias(make_design(PANEL, spec), gammas=of.GAMMAS)
    pd.testing.assert_series_equal(bounds["value"], expected["value"])
    assert bounds["note"].str.contains("assigned independently").all()
    mine = of.e_values(estimates, reached).set_index("variant").loc["optimal-pairs"]
    by = expected.set_index("statistic")["value"]
    for statistic in ("risk_ratio", "e_value", "e_value_interval"):
        assert mine[statistic] == pytest.approx(by[statistic], rel=1e-7)


def test_frames_do_not_depend_on_the_number_of_processes(reached):
    pd.testing.assert_frame_equal(of.match_balance(PANEL, {of.METHODS: METHODS}, jobs=2), reached)


def test_size_stands_beside_the_estimate_that_asks_the_same(estimates):
    row = {"year": 2015, "design": "nearest", "outcome": "property", "carries_verdict": True} | dict.fromkeys(
        of.MEASURED, 0.9
    )
    others = [row | {"design": "nearest_by_county", "carries_verdict": False}, row | {"year": 2008}]
    size = of.match_size(estimates, pd.DataFrame([row, *others]))
    assert size["design"].tolist() == ["nearest", "nearest_by_county"] and size["independent"].tolist() == [
        False,
        True,
    ]
    one = estimates[estimates["variant"] == ""].iloc[0]
    assert size["percent"].iloc[0] == one["percent"] and np.isnan(size["percent"].iloc[1])
    assert of.match_size(estimates, pd.DataFrame()).empty


def test_a_sample_is_of_a_cross_section():
    sample = of.matched_sample(PANEL, METHODS)
    assert len(sample.scores) == len(sample.areas) == len(sample.sets.counties)
    assert set(sample.overlap["urban_class"]) == {"all", "noncore"}
    with pytest.raises(SpecError, match="a cross_section"):
        of.matched_sample(PANEL, parse_spec(SPEC, where="case.toml"))

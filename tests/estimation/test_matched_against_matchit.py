"""Effects and errors on matched samples equal those of R's MatchIt, lm and sandwich."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from estimation_cases import (
    BY_STATE,
    MATCHED,
    make_design_of,
    make_spec,
    reference_counties,
    reference_values,
)

from analysis.design.spec import EstimatorSection
from analysis.estimation import fit
from analysis.estimation.matched import balance_table, match
from analysis.estimation.matching.regression import matched_regression, matched_variance

R = reference_values("matchit_effects")
TABLE = reference_counties()
PLAIN = {"bias_adjust": False, "weights": "none"}
COARSENED = EstimatorSection("coarsened_match", bins="sturges", exact=("urban_class",), **PLAIN)
SUBCLASSES = EstimatorSection("subclassification", classes=5, exact=(), **PLAIN)
ALL = ("x1", "x2", "x3", "x4")
CUTS = tuple((name, tuple(cuts)) for name, cuts in R["cem"]["cut_points"].items())
CASES = {
    "exact": (replace(COARSENED, cut_points=(("x1", (0.0,)),)), ("x1",)),
    "exact_ate": (replace(COARSENED, cut_points=(("x1", (0.0,)),), estimand="ate"), ("x1",)),
    "cem": (replace(COARSENED, cut_points=CUTS), ("x1", "x2")),
    "subclass": (SUBCLASSES, ALL),
    "subclass_ate": (replace(SUBCLASSES, estimand="ate"), ALL),
}


def design_of(section, covariates, inference=BY_STATE):
    return make_design_of(TABLE, make_spec(section, inference, covariates=covariates))


@pytest.mark.parametrize("case", CASES)
def test_estimate_error_and_weights_are_those_of_matchit(case):
    design = design_of(*CASES[case])
    stored, sets = R[case], match(design)
    theirs = np.array([stored["weights"][county] for county in sets.counties])
    for arm in (sets.treated, ~sets.treated):
        mine = sets.weights[arm] / sets.weights[arm].sum()
        assert mine == pytest.approx(theirs[arm] / theirs[arm].sum(), abs=1e-8)
    found = fit(design).table.iloc[0]
    # The subclasses' score is fitted here and in R apart; both end far closer than the classes' bounds lie to a county.
    assert found["estimate"] == pytest.approx(stored["estimate"], abs=1e-8)
    assert found["std_error"] == pytest.approx(stored["by_state"], abs=1e-8)
    assert (found["n_counties"], found["n_treated"]) == (stored["n"], stored["n_treated"])


def test_errors_by_state_and_by_pair_on_the_same_matched_sample():
    stored = R["nearest"]
    table = TABLE.sort_values("county_fips")
    weights = np.array([stored["weights"][county] for county in table["county_fips"]], dtype=float)
    sets = np.array([stored["sets"].get(county, -1) for county in table["county_fips"]])
    states = table["county_fips"].str[:2].to_numpy()
    effect = matched_regression(table["outcome"].to_numpy(), table["treated"].to_numpy(), weights)
    assert effect.estimate == pytest.approx(stored["estimate"], abs=1e-8)
    assert np.sqrt(matched_variance(effect.influence, sets)) == pytest.approx(stored["by_set"], abs=1e-8)
    used = weights > 0
    assert np.sqrt(matched_variance(effect.influence[used], states[used])) == pytest.approx(
        stored["by_state"], abs=1e-8
    )


def test_the_genetic_search_balances_at_least_as_well():
    section = EstimatorSection(
        "genetic_match", neighbours=1, replacement=True, caliper=0.0, exact=(), population=20, generations=40,
        loss="standardized_mean_difference", **PLAIN,
    )  # fmt: skip
    design = design_of(section, ALL)
    found = balance_table(design).query("sample == 'matched' and statistic == 'standardized_mean_difference'")
    assert found["value"].abs().max() <= R["genetic"]["largest_difference"]
    nearest = balance_table(design_of(MATCHED, ALL))
    before = nearest.query("sample == 'matched' and statistic == 'standardized_mean_difference'")
    assert found["value"].abs().max() < before["value"].abs().max()

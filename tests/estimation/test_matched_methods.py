"""Every method of matched comparison on designs: one record, its properties, its inference, its refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    BY_STATE,
    MATCHED,
    make_design_of,
    make_spec,
    reference_counties,
    with_table,
)

from analysis.base.errors import SampleError, SpecError
from analysis.design.estimators import ESTIMATORS
from analysis.design.spec import EstimatorSection
from analysis.estimation import check_estimate, fit, recluster
from analysis.estimation.matched import MOST_NAMED, match
from analysis.estimation.matching.doubly_robust import augmented_weighting
from analysis.estimation.matching.regression import (
    matched_regression,
    matched_variance,
    regression_adjustment,
)

TABLE = reference_counties()
NAMES = ("x1", "x2", "x3", "x4")
PLAIN = {"weights": "none"}
NEAR = {
    "distance": "mahalanobis",
    "neighbours": 1,
    "caliper": 0.0,
    "exact": (),
    "bias_adjust": False,
    **PLAIN,
}
SECTIONS = {
    "matched_difference": MATCHED,
    "optimal_match": EstimatorSection("optimal_match", **NEAR),
    "full_match": EstimatorSection(
        "full_match",
        distance="mahalanobis",
        max_controls=0,
        caliper=0.0,
        exact=(),
        bias_adjust=False,
        **PLAIN,
    ),
    "genetic_match": EstimatorSection(
        "genetic_match",
        neighbours=1,
        replacement=True,
        caliper=0.0,
        exact=(),
        bias_adjust=False,
        loss="p_values",
        population=6,
        generations=3,
        **PLAIN,
    ),
    "cardinality_match": EstimatorSection("cardinality_match", tolerance=0.1, fine=(), **NEAR),
    "coarsened_match": EstimatorSection(
        "coarsened_match", bins="quantiles_3", exact=(), bias_adjust=False, **PLAIN
    ),
    "subclassification": EstimatorSection(
        "subclassification", classes=5, exact=(), bias_adjust=False, **PLAIN
    ),
    "weighting": EstimatorSection("weighting", method="inverse_probability", moments=1, **PLAIN),
    "doubly_robust": EstimatorSection("doubly_robust", moments=1, **PLAIN),
    "regression_adjustment": EstimatorSection("regression_adjustment", moments=1, **PLAIN),
}
CASES = {
    **SECTIONS,
    **{
        f"matched_difference {distance}": replace(MATCHED, distance=distance)
        for distance in ("robust_mahalanobis", "scaled_euclidean", "propensity", "propensity_score")
    },
    "matched_difference ate": replace(MATCHED, estimand="ate"),
    "matched_difference ate adjusted": replace(MATCHED, estimand="ate", bias_adjust=True),
    "matched_difference atc": replace(MATCHED, estimand="atc", neighbours=2),
    "matched_difference calipers": replace(MATCHED, calipers=(("propensity", 0.5), ("x1", 1.0))),
    "matched_difference largest": replace(MATCHED, replacement=False, order="largest"),
    "matched_difference trimmed": replace(MATCHED, trim="optimal"),
    "matched_difference regression": replace(MATCHED, regression_adjust=True),
    "optimal_match adjusted": replace(SECTIONS["optimal_match"], bias_adjust=True),
    "full_match ate": replace(SECTIONS["full_match"], estimand="ate"),
    "full_match atc": replace(SECTIONS["full_match"], estimand="atc", max_controls=8),
    "coarsened_match ate exact": replace(SECTIONS["coarsened_match"], estimand="ate", exact=("urban_class",)),
    "coarsened_match cut": replace(SECTIONS["coarsened_match"], cut_points=(("x1", (-0.5, 0.5)),)),
    "subclassification ate exact": replace(
        SECTIONS["subclassification"], estimand="ate", exact=("urban_class",), classes=3
    ),
    "cardinality_match fine": replace(SECTIONS["cardinality_match"], fine=("urban_class",)),
    **{
        f"weighting {method} {estimand}": replace(
            SECTIONS["weighting"], method=method, estimand=estimand, weights="population_baseline"
        )
        for method in ("inverse_probability", "entropy", "covariate_balancing")
        for estimand in ("att", "atc", "ate")
    },
    "weighting overidentified": replace(
        SECTIONS["weighting"], method="covariate_balancing_overidentified", estimand="ate"
    ),
    "genetic_match ate": replace(SECTIONS["genetic_match"], estimand="ate"),
    "weighting overlap": replace(SECTIONS["weighting"], method="overlap", estimand="ato"),
    "weighting entropy variances": replace(SECTIONS["weighting"], method="entropy", moments=2),
    "weighting trimmed": replace(SECTIONS["weighting"], trim="tenth", estimand="ate"),
    "weighting regression": replace(SECTIONS["weighting"], regression_adjust=True),
    "doubly_robust ate": replace(SECTIONS["doubly_robust"], estimand="ate", trim="optimal"),
    "regression_adjustment atc": replace(SECTIONS["regression_adjustment"], estimand="atc", moments=2),
}


def test_every_estimator_of_a_cross_section_is_among_the_cases():
    assert set(SECTIONS) == {name for name, rules in ESTIMATORS.items() if rules.kind == "cross_section"}


def design_of(section, table=TABLE, inference=BY_STATE, covariates=NAMES):
    return make_design_of(table, make_spec(section, inference, covariates=covariates))


def numbers(estimate):
    return estimate.table[["estimate", "std_error"]].to_numpy().ravel()


@pytest.mark.parametrize("case", CASES)
def test_record_and_properties(case):
    table = TABLE.assign(weight=1.0 + np.arange(len(TABLE)) % 7)
    design = design_of(CASES[case], table)
    base = fit(design)
    check_estimate(base)
    row = base.table.iloc[0]
    assert row["term"] == (CASES[case].estimand or "att")
    assert base.notes[len(design.notes)].startswith("estimand: average over")
    assert base.attrition["county_years"].iloc[-1] == row["n_counties"]
    assert base.attrition["treated"].iloc[-1] == row["n_treated"]
    # The effect in the simulation is 1.5 for every county; no method here leaves it by more than its noise.
    assert row["estimate"] == pytest.approx(1.5, abs=max(5 * row["std_error"], 0.6))

    def same(changed, factor=1.0):
        found = fit(with_table(design, changed))
        assert numbers(found) == pytest.approx(numbers(base) * factor, rel=1e-6)

    same(table.sample(frac=1, random_state=1))
    same(table.assign(outcome=table["outcome"] + 1000))
    same(table.assign(outcome=table["outcome"] * 10), 10)
    same(table.assign(weight=table["weight"] * 1e3))


# Balancing scores and entropy balancing give one arm the same weights (Zhao and Percival 2017).
ALIKE = {f"weighting entropy {arm}": f"weighting covariate_balancing {arm}" for arm in ("att", "atc")}
DISTINCT = [case for case in CASES if case not in ALIKE]


def test_every_option_moves_the_answer():
    table = TABLE.assign(weight=1.0 + np.arange(len(TABLE)) % 7)
    found = {case: round(fit(design_of(CASES[case], table)).table["estimate"].item(), 8) for case in CASES}
    for one, other in ALIKE.items():
        assert found[one] == pytest.approx(found[other], abs=1e-6)
    assert len({found[case] for case in DISTINCT}) == len(DISTINCT)


@pytest.mark.parametrize(
    "name",
    [
        "matched_difference",
        "full_match",
        "coarsened_match",
        "weighting",
        "doubly_robust",
        "regression_adjustment",
        "optimal_match",
    ],
)
def test_the_average_over_comparison_counties_is_that_over_treated_ones_with_the_arms_exchanged(name):
    # Twice as many on the side that has to find partners of its own.
    table = TABLE if name != "optimal_match" else TABLE[TABLE["treated"] | (np.arange(len(TABLE)) % 8 == 0)]
    assert name != "optimal_match" or (~table["treated"]).sum() < table["treated"].sum()
    over_comparison = fit(design_of(replace(SECTIONS[name], estimand="atc"), table))
    exchanged = fit(design_of(SECTIONS[name], table.assign(treated=~table["treated"])))
    assert numbers(over_comparison) == pytest.approx(numbers(exchanged) * [-1, 1], rel=1e-7)


def test_methods_are_those_of_the_array_functions():
    x = TABLE[list(NAMES)].to_numpy()
    y, d = TABLE["outcome"].to_numpy(), TABLE["treated"].to_numpy()
    assert fit(design_of(SECTIONS["doubly_robust"])).table["estimate"].item() == pytest.approx(
        augmented_weighting(y, d, x).effect.estimate
    )
    assert fit(design_of(SECTIONS["regression_adjustment"])).table["estimate"].item() == pytest.approx(
        regression_adjustment(y, d, x).estimate
    )
    for case in ("full_match ate", "coarsened_match", "weighting entropy variances", "optimal_match"):
        design = design_of(CASES[case])
        sets = match(design)
        table = design.table.set_index("county_fips").loc[sets.counties]
        plain = matched_regression(table["outcome"].to_numpy(), sets.treated, sets.weights)
        assert fit(design).table["estimate"].item() == pytest.approx(plain.estimate), case


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.startswith(("doubly", "regression_adj"))]
)
def test_weights_stand_for_those_averaged_over_and_everybody_is_accounted_for(case):
    design = design_of(CASES[case])
    sets = match(design)
    w, d = sets.weights, sets.treated
    assert (w >= 0).all() and (w > 0).any()
    if sets.compared.of_treated is not None or sets.compared.of_comparison is not None:
        assert w[d].sum() == pytest.approx(w[~d].sum())
    assert len(sets.pruned) == (w == 0).sum()
    assert set(sets.pruned["county_fips"]) == set(sets.counties[w == 0])
    assert set(sets.dropped) == set(sets.pruned.loc[sets.pruned["reason"] == "no match", "county_fips"])
    lines = fit(design).attrition["rule"]
    for county in sets.dropped[:MOST_NAMED]:
        assert lines.str.contains(county).any(), f"{county} was pruned and is named nowhere"


def test_sets_share_no_county_and_keep_to_exact_groups_and_calipers():
    for case in ("optimal_match", "full_match", "cardinality_match", "matched_difference largest"):
        section = replace(CASES[case], exact=("urban_class",), caliper=1.0)
        if case == "cardinality_match":
            section = replace(section, caliper=0.0)
        if case == "optimal_match":
            section = replace(section, short="drop")
        sets = match(design_of(section))
        assert sets.sets is not None
        home = TABLE.set_index("county_fips")
        one, other = sets.pairs["treated"], sets.pairs["comparison"]
        assert (home.loc[one, "urban_class"].to_numpy() == home.loc[other, "urban_class"].to_numpy()).all()
        if section.caliper:
            gap = home.loc[one, list(NAMES)].to_numpy() - home.loc[other, list(NAMES)].to_numpy()
            assert (np.abs(gap) <= home[list(NAMES)].std(ddof=1).to_numpy() + 1e-12).all()
        label = pd.Series(sets.sets, index=sets.counties)
        assert (label[one].to_numpy() == label[other].to_numpy()).all()
        if case != "full_match":
            assert other.is_unique


# --- inference --------------------------------------------------------------------------------------


def test_errors_by_pair_are_those_of_the_matched_regression_clustered_by_pair():
    section = SECTIONS["optimal_match"]
    by_pair = fit(design_of(section, inference=replace(BY_STATE, by="pair")))
    check_estimate(by_pair)
    sets = match(design_of(section))
    y = TABLE.set_index("county_fips").loc[sets.counties, "outcome"].to_numpy()
    effect = matched_regression(y, sets.treated, sets.weights)
    expected = matched_variance(effect.influence, sets.sets)
    assert by_pair.table["std_error"].item() == pytest.approx(np.sqrt(expected))
    # Within pairs the difference is all there is: the error is that of paired differences.
    pairs = sets.pairs
    at = pd.Series(y, index=sets.counties)
    gaps = at[pairs["treated"]].to_numpy() - at[pairs["comparison"]].to_numpy()
    n = 2 * len(gaps)
    factor = np.sqrt((n - 1) / (n - 2))
    assert by_pair.table["std_error"].item() == pytest.approx(
        gaps.std(ddof=1) / np.sqrt(len(gaps)) * factor, rel=1e-9
    )
    assert by_pair.inference.df == len(gaps) - 1
    both = fit(design_of(section, inference=replace(BY_STATE, by="pair_and_state")))
    check_estimate(both)
    by_state = fit(design_of(section))
    assert recluster(by_pair, "state").table["std_error"].item() == pytest.approx(
        by_state.table["std_error"].item()
    )
    assert both.table["estimate"].item() == by_state.table["estimate"].item()


def test_bootstrap_of_states_repeats_and_is_near_the_cluster_error():
    inference = replace(BY_STATE, vcov="bootstrap", draws=199)
    for name in ("weighting", "regression_adjustment", "doubly_robust"):
        found = fit(design_of(SECTIONS[name], inference=inference))
        check_estimate(found)
        again = fit(design_of(SECTIONS[name], inference=inference))
        pd.testing.assert_frame_equal(found.table, again.table)
        clustered = fit(design_of(SECTIONS[name])).table["std_error"].item()
        assert 0.6 < found.table["std_error"].item() / clustered < 1.7, name
        other = fit(design_of(SECTIONS[name], inference=replace(inference, seed=3)))
        assert other.table["std_error"].item() != found.table["std_error"].item()


def test_randomisation_states_its_mechanism_and_rejects_an_effect_that_is_there():
    inference = replace(BY_STATE, vcov="randomisation", draws=199)
    for case in ("matched_difference", "weighting", "optimal_match"):
        found = fit(design_of(CASES[case], inference=inference))
        check_estimate(found)
        row = found.table.iloc[0]
        assert any("counties were assigned within their state" in note for note in found.notes)
        assert row["p_value"] == pytest.approx(1 / 200), "an effect of 1.5 is never matched by chance"
        assert row["conf_low"] < row["estimate"] < row["conf_high"]
        # Without the effect in the data the test does not reject.
        without = TABLE.assign(outcome=TABLE["outcome"] - 1.5 * TABLE["treated"])
        assert fit(design_of(CASES[case], without, inference)).table["p_value"].item() > 0.05


def test_the_estimated_score_changes_the_abadie_imbens_error():
    section = replace(MATCHED, distance="propensity")
    known = fit(design_of(section, inference=replace(BY_STATE, vcov="abadie_imbens", by="none", draws=0)))
    fitted = fit(design_of(section, inference=replace(BY_STATE, vcov="estimated_score", by="none", draws=0)))
    check_estimate(fitted)
    assert fitted.table["std_error"].item() != known.table["std_error"].item()
    assert fitted.table["estimate"].item() == known.table["estimate"].item()
    one = fit(
        design_of(
            MATCHED, inference=replace(BY_STATE, vcov="abadie_imbens_homoskedastic", by="none", draws=0)
        )
    )
    check_estimate(one)
    assert any("carries no verdict" in note for note in one.notes)


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SECTIONS)
def test_what_cannot_be_compared_is_named(name):
    section = SECTIONS[name]
    with pytest.raises(SampleError, match="flat does not vary"):
        fit(design_of(section, TABLE.assign(flat=1.0), covariates=("x1", "flat")))
    with pytest.raises(SampleError, match="copy follows from the covariates before"):
        fit(
            design_of(
                section, TABLE.assign(copy=2 * TABLE["x1"] + TABLE["x2"]), covariates=("x1", "x2", "copy")
            )
        )
    missing = TABLE.assign(x1=TABLE["x1"].where(np.arange(len(TABLE)) > 2))
    with pytest.raises(SampleError, match="3 counties miss x1"):
        fit(design_of(section, missing))
    with pytest.raises(SampleError, match=r"0 of .* counties are treated"):
        fit(design_of(section, TABLE.assign(treated=False)))


@pytest.mark.parametrize("name", ["subclassification", "weighting", "doubly_robust"])
def test_arms_that_do_not_overlap_are_named(name):
    apart = TABLE.assign(x1=TABLE["x1"] + 100.0 * TABLE["treated"])
    with pytest.raises(SampleError, match=r"no overlap|separates|no comparison row|no treated row"):
        fit(design_of(SECTIONS[name], apart))
    with pytest.raises(SampleError, match="no overlap"):
        fit(design_of(replace(SECTIONS["weighting"], method="entropy"), apart))
    with pytest.raises(SampleError, match=r"no overlap|pruned"):
        fit(design_of(replace(SECTIONS["coarsened_match"], bins="sturges"), apart))


def test_more_treated_than_comparison_counties_and_emptied_strata_are_named():
    many = TABLE[TABLE["treated"] | (np.arange(len(TABLE)) % 8 == 0)]
    with pytest.raises(SampleError, match="comparison row"):
        fit(design_of(SECTIONS["optimal_match"], many))
    dropped = fit(design_of(replace(SECTIONS["optimal_match"], short="drop"), many))
    assert any("those with a match" in note for note in dropped.notes)
    fewer = fit(design_of(replace(MATCHED, replacement=False), many))
    assert fewer.table["n_treated"].item() < many["treated"].sum()
    alone = TABLE.assign(urban_class=np.where(TABLE["treated"], "one", "other"))
    for name in ("matched_difference", "full_match", "coarsened_match", "subclassification"):
        with pytest.raises(
            SampleError, match=r"pruned|no class holds both arms|allowed comparison row|no overlap"
        ):
            fit(design_of(replace(SECTIONS[name], exact=("urban_class",)), alone))
    with pytest.raises(SampleError, match=r"pruned|allowed comparison row"):
        fit(design_of(replace(SECTIONS["full_match"], caliper=1e-9)))
    with pytest.raises(SpecError):
        fit(replace(design_of(MATCHED), kind="panel"))

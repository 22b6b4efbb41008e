"""The matched difference on designs: records, properties, refusals."""

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
    reference_values,
    with_table,
)

from analysis.base.errors import SampleError, SpecError
from analysis.estimation import aggregate, check_estimate, fit, recluster
from analysis.estimation.matched import balance_table, match

R = reference_values("matching_nn")
TABLE = reference_counties()
NAMES = ("x1", "x2", "x3", "x4")
INDEPENDENT = replace(BY_STATE, vcov="abadie_imbens", by="none", draws=0)


def design_of(table=TABLE, inference=BY_STATE, covariates=NAMES, **options):
    return make_design_of(table, make_spec(replace(MATCHED, **options), inference, covariates=covariates))


def numbers(estimate):
    return estimate.table[["estimate", "std_error"]].to_numpy().ravel()


def test_cluster_error_is_that_of_the_matched_regression_in_r():
    found = fit(design_of())
    check_estimate(found)
    stored = R["matched_regression"]
    assert numbers(found) == pytest.approx([stored["estimate"], stored["std_error"]], abs=1e-8)
    assert found.inference.clusters == stored["clusters"]
    assert found.glance()["n_counties"].item() == stored["n"]


def test_abadie_imbens_error_equals_r_and_carries_its_label():
    found = fit(design_of(inference=INDEPENDENT, neighbours=2))
    check_estimate(found)
    stored = R["mahalanobis_variance_2"]
    assert numbers(found) == pytest.approx([stored["estimate"], stored["std_error"]], abs=1e-8)
    assert any(
        "valid if counties were assigned independently; it carries no verdict" in note for note in found.notes
    )
    assert found.influence is None
    with pytest.raises(SpecError):
        recluster(found, "state")


OPTIONS = [
    {},
    {"neighbours": 3},
    {"replacement": False},
    {"caliper": 0.75},
    {"exact": ("urban_class",)},
    {"bias_adjust": True},
    {"distance": "propensity", "caliper": 0.2, "neighbours": 2},
    {"weights": "population_baseline", "bias_adjust": True},
]


@pytest.mark.parametrize("inference", [BY_STATE, INDEPENDENT], ids=["cluster", "abadie_imbens"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_record_and_properties(options, inference):
    table = TABLE.assign(weight=1.0 + np.arange(len(TABLE)) % 7)
    design = design_of(table, inference, **options)
    base = fit(design)
    check_estimate(base)
    assert aggregate(base, over="post") is base
    assert base.attrition["county_years"].iloc[-1] == base.table["n_counties"].item()

    def same(changed, factor=1.0):
        found = fit(with_table(design, changed))
        check_estimate(found)
        assert numbers(found) == pytest.approx(numbers(base) * factor, rel=1e-9)

    same(table.sample(frac=1, random_state=1))
    same(table.assign(outcome=table["outcome"] + 1000))
    same(table.assign(outcome=table["outcome"] * 10), 10)
    same(table.assign(weight=table["weight"] * 1e5))
    same(table.assign(county_fips=table["county_fips"].map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")))
    # Covariates in other units: Mahalanobis distance, score and calipers in standard deviations do not see
    # them.
    same(table.assign(x1=table["x1"] * 1000, x2=table["x2"] - 50))


def test_every_option_moves_the_answer():
    table = TABLE.assign(weight=1.0 + np.arange(len(TABLE)) % 7)
    found = [round(fit(design_of(table, **options)).table["estimate"].item(), 9) for options in OPTIONS]
    assert len(set(found)) == len(found)


def test_sets_name_counties_and_account_for_all():
    sets = match(design_of(caliper=0.75, neighbours=2))
    treated = TABLE.loc[TABLE["treated"], "county_fips"]
    assert set(sets.pairs["treated"]) | set(sets.dropped) == set(treated)
    assert set(sets.pairs["treated"]).isdisjoint(sets.dropped)
    assert len(sets.dropped) == R["mahalanobis_caliper"]["dropped"]
    assert sets.pairs.groupby("treated")["share"].sum().to_numpy() == pytest.approx(1.0)
    w = pd.Series(sets.weights, index=sets.counties)
    assert w[treated].sum() == pytest.approx(w[~w.index.isin(treated)].sum())
    assert any("dropped" in note for note in sets.notes)


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        ("propensity", "the linear predictor of a logit"),
        ("propensity_score", "the fitted probability of a logit"),
    ],
)
def test_notes_name_the_score_that_was_matched_on(distance, said):
    notes = match(design_of(distance=distance)).notes
    assert [n for n in notes if n.startswith("matched on")] == [
        f"matched on {said}; its estimation is not in the error"
    ]
    assert not any(n.startswith("matched on") for n in match(design_of()).notes)


def test_matching_does_not_look_at_outcomes():
    rng = np.random.default_rng(0)
    one, two = match(design_of()), match(design_of(TABLE.assign(outcome=rng.normal(size=len(TABLE)))))
    pd.testing.assert_frame_equal(one.pairs, two.pairs)


def test_exact_groups_are_kept_apart():
    sets = match(design_of(exact=("urban_class",)))
    group = TABLE.set_index("county_fips")["urban_class"]
    assert (group[sets.pairs["treated"]].to_numpy() == group[sets.pairs["comparison"]].to_numpy()).all()


def test_balance_table_uses_one_denominator_before_and_after():
    design = design_of()
    found = balance_table(design).set_index(["covariate", "sample", "statistic"])["value"]
    x, d = TABLE["x1"], TABLE["treated"]
    assert found["x1", "all", "standardized_mean_difference"] == pytest.approx(
        (x[d].mean() - x[~d].mean()) / x[d].std()
    )
    sets = match(design)
    w = pd.Series(sets.weights, index=sets.counties)[TABLE["county_fips"]].to_numpy()
    after = np.average(x[~d], weights=w[~d])
    assert found["x1", "matched", "standardized_mean_difference"] == pytest.approx(
        (x[d].mean() - after) / x[d].std()
    )
    smd = (
        balance_table(design)
        .query("statistic == 'standardized_mean_difference'")
        .set_index(["sample"])["value"]
        .abs()
    )
    assert smd["matched"].mean() < smd["all"].mean() / 2


def test_what_cannot_be_matched_is_said():
    with pytest.raises(SampleError, match="flat does not vary"):
        fit(design_of(TABLE.assign(flat=1.0), covariates=("x1", "flat")))
    with pytest.raises(SampleError, match="copy follows from the covariates before"):
        fit(design_of(TABLE.assign(copy=2 * TABLE["x1"]), covariates=("x1", "copy")))
    with pytest.raises(SampleError, match="all are pruned"):
        fit(design_of(caliper=1e-9))
    with pytest.raises(SampleError, match="separates"):
        fit(design_of(TABLE.assign(x1=TABLE["treated"] + 0.0), covariates=("x1",), distance="propensity"))


def test_effect_is_found_where_covariates_explain_adoption():
    # Outcomes are a smooth function of the covariates plus 1.5 for treated counties (the R script's line).
    raw = TABLE.loc[TABLE["treated"], "outcome"].mean() - TABLE.loc[~TABLE["treated"], "outcome"].mean()
    found = fit(design_of(neighbours=2, bias_adjust=True)).table.iloc[0]
    assert abs(raw - 1.5) > 2 * found["std_error"]
    assert found["estimate"] == pytest.approx(1.5, abs=found["std_error"])

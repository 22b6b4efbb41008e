"""Leaving out states and cohorts: against designs made without them, and the jackknife against CR3."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, panel, spec

from analysis.base.errors import SampleError, StudyError
from analysis.design.design import make_design
from analysis.estimation import aggregate, fit
from analysis.estimation.panel_inference.few_clusters import cluster_variance_small
from analysis.evidence.checks.leave_out import leave_out

TWO_WAY = {"estimator.name": "two_way", "estimator.effects": "county_year", "estimator.weights": "none"}


def two_cohorts(seed=1, late="2015-06-15"):
    """The invented panel with the adopters of some states a year later."""
    made = panel(seed)
    policies = made.policies.copy()
    later = policies["state"].isin(["IL", "IA", "NC"])
    policies.loc[later, "date"] = late
    policies.loc[later, "year"] = int(late[:4])
    return replace(made, policies=policies)


def test_each_state_left_out_equals_a_design_without_it():
    given = two_cohorts()
    design = make_design(given, spec())
    found = leave_out(design)
    whole = aggregate(fit(design), over="post")
    assert found.whole.table["estimate"].item() == whole.table["estimate"].item()
    assert found.table["left_out"].tolist() == sorted(design.table["state"].unique())
    for row in found.table.to_dict("records"):
        without = make_design(given, spec({"sample.drop_states": [row["left_out"]]}))
        again = aggregate(fit(without), over="post").table.iloc[0]
        for name in ("estimate", "std_error", "conf_low", "conf_high"):
            assert row[name] == pytest.approx(again[name], rel=1e-12)
        assert row["n_treated"] == again["n_treated"] and row["n_states"] == whole.glance()["n_treated_states"].item() - (row["treated_left_out"] > 0)  # fmt: skip
        assert row["n_treated"] + row["treated_left_out"] == whole.table["n_treated"].item()
        assert row["change"] == pytest.approx(again["estimate"] - whole.table["estimate"].item(), rel=1e-9)
        assert row["failure"] == ""
    assert found.reach == (found.table["estimate"].min(), found.table["estimate"].max())


def test_each_cohort_left_out_keeps_the_comparison_counties():
    given = two_cohorts()
    design = make_design(given, spec())
    found = leave_out(design, "cohort")
    assert found.table["left_out"].tolist() == ["2014", "2016"] and np.isnan(found.jackknife)
    gone = given.policies.loc[given.policies["date"].eq("2015-06-15"), "county_fips"].tolist()
    again = aggregate(fit(make_design(given, spec({"sample.drop_counties": gone}))), over="post").table.iloc[
        0
    ]
    late = found.table.set_index("left_out").loc["2016"]
    assert late["estimate"] == pytest.approx(again["estimate"], rel=1e-12)
    assert late["n_treated"] == again["n_treated"] == found.whole.table["n_treated"].item() - len(gone)
    # All that never adopt are still there.
    assert (found.table["n_comparison"] == found.whole.glance()["n_comparison"].item()).all()


@pytest.mark.parametrize("weights", ["none", "population_baseline"])
def test_the_jackknife_of_a_regression_is_its_cr3(weights):
    design = make_design(two_cohorts(), spec(TWO_WAY | {"estimator.weights": weights}))
    found = leave_out(design)
    rows = design.table
    small = cluster_variance_small(
        rows["outcome"].to_numpy(float), rows["treated"].to_numpy(float)[:, None], rows["weight"].to_numpy(float),
        rows["state"].to_numpy(str), kind="CR3",
        effects=(rows["county_fips"].to_numpy(str), rows["year"].to_numpy()),
    )  # fmt: skip
    g = rows["state"].nunique()
    assert found.jackknife == pytest.approx(np.sqrt((g - 1) / g) * small.std_error[0], rel=1e-8)


def test_one_state_behind_the_answer_shows():
    given = two_cohorts()
    table = given.table.copy()
    table.loc[table["state"].eq("IA") & table["year"].ge(2014), "rate_policed_property"] -= 900.0
    policies = given.policies
    moved = (
        table["state"].eq("IA") & table["year"].ge(2014) & table["county_fips"].isin(policies["county_fips"])
    )
    table.loc[moved, "rate_policed_property"] -= 900.0
    found = leave_out(make_design(replace(given, table=table), spec()))
    sizes = found.table.set_index("left_out")["change"].abs()
    assert sizes.idxmax() == "IA" and sizes["IA"] > 3 * sizes.drop("IA").max()
    assert found.jackknife > 0.8 * sizes["IA"]


def test_what_cannot_be_estimated_stays_a_row_with_the_reason():
    given = panel()
    # Adopters of one state alone.
    policies = given.policies[given.policies["state"].isin(["IA", "MN"])]
    design = make_design(replace(given, policies=policies.reset_index(drop=True)), spec())
    by_state = leave_out(design)
    assert (by_state.table["failure"] == "").all()

    def stubborn(made):
        if "IA" not in set(made.table["state"]):
            raise SampleError("no county of Iowa", "one", "sample")
        return aggregate(fit(made), over="post")

    found = leave_out(design, fit=stubborn)
    row = found.table.set_index("left_out").loc["IA"]
    assert "no county of Iowa" in row["failure"] and np.isnan(row["estimate"]) and pd.isna(row["n_treated"])
    assert row["treated_left_out"] == 3 and np.isnan(found.jackknife)
    one = design.table[~design.table["state"].eq("MN")]
    alone = leave_out(replace(design, table=one.reset_index(drop=True)))
    lost = alone.table.set_index("left_out").loc["IA"]
    assert "no treated" in lost["failure"] and np.isnan(lost["estimate"])


def test_a_cross_section_has_states_and_no_cohorts():
    design = make_design(panel(), spec(CROSS_SECTION))
    found = leave_out(design)
    assert found.table["estimate"].notna().all() and found.table["change"].abs().max() > 0
    with pytest.raises(StudyError, match="cohorts of a cross_section"):
        leave_out(design, "cohort")


def test_refusals():
    design = make_design(panel(), spec())
    with pytest.raises(StudyError, match="by = 'county'"):
        leave_out(design, "county")
    with pytest.raises(StudyError, match="rows"):
        leave_out(design, fit=fit)
    with pytest.raises(SampleError, match="1 cohort"):
        leave_out(design, "cohort")

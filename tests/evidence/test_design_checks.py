"""Checks of panel designs as tables: each number is the one its own function gives, and what cannot be had says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evidence_cases import panel, spec

from analysis.base.errors import SpecError, StudyError
from analysis.design.design import make_design
from analysis.design.spec import Also
from analysis.estimation import aggregate, fit
from analysis.evidence.checks.decomposition import bacon, residual_weights
from analysis.evidence.checks.families import family_table
from analysis.evidence.checks.honest import honest_bounds, pretrend_power
from analysis.evidence.checks.leave_out import leave_out, left_out_frame
from analysis.evidence.checks.pretrends import pretrends
from analysis.evidence.design_checks import named, regression_weights, trend_checks
from analysis.evidence.designs import by_design, offence_families
from analysis.evidence.runs import one_effect, run_specs

BARE = {"covariates.names": [], "estimator.weights": "none"}
TWO_WAY = BARE | {"estimator.name": "two_way", "estimator.effects": "county_year"}


def test_trends_are_those_of_the_event_study_itself():
    given, one = panel(), spec(BARE, "trend")
    row = trend_checks(given, [one]).iloc[0]
    dynamic = fit(make_design(given, one))
    assert row["pretrend_p"] == pytest.approx(pretrends(dynamic).p_value)
    power = pretrend_power(dynamic, (0.5, 0.8))
    assert [row["slope_50"], row["slope_80"]] == pytest.approx(power["slope"].tolist())
    assert [row["bias_50"], row["bias_80"]] == pytest.approx(power["bias"].tolist())
    bounds = honest_bounds(dynamic, "relative_magnitude", [2.0]).iloc[0]
    assert (row["low_2"], row["high_2"]) == pytest.approx((bounds["conf_low"], bounds["conf_high"]))
    assert row["low_2"] < row["low_1"] < row["low_0.5"] and row["high_0.5"] < row["high_1"] < row["high_2"]
    assert row["estimate"] == pytest.approx(aggregate(dynamic, over="post").table["estimate"].item())


def test_an_event_study_without_a_base_keeps_its_row_and_the_reason():
    imputed = BARE | {"estimator.name": "imputation", "estimator.within": "none"}
    row = trend_checks(panel(), [spec(imputed, "imputed")]).iloc[0]
    assert np.isfinite(row["estimate"]) and np.isnan(row["low_1"]) and "rule 13" in row["note"]


def test_a_coefficient_is_taken_apart_where_that_is_exact_and_says_why_elsewhere():
    given = panel()
    kept = spec(TWO_WAY | {"treatment.onset": "adoption_year"}, "kept")
    table = regression_weights(given, [kept, spec(TWO_WAY, "dropped")])
    exact, weighted = table.iloc[0], table.iloc[1]
    design = make_design(given, kept)
    parts = bacon(design)
    assert exact["clean"] + exact["already_treated"] == pytest.approx(1.0)
    total = exact["clean"] * exact["clean_estimate"]
    total += exact["already_treated"] * np.nan_to_num(exact["already_estimate"])
    assert total == pytest.approx(parts.two_way) == pytest.approx(exact["coefficient"])
    assert exact["negative"] == residual_weights(design).negative
    # The dropped adoption year unbalances the panel.
    assert np.isnan(weighted["clean"]) and "rule 14" in weighted["note"]
    assert weighted["coefficient"] == pytest.approx(
        fit(make_design(given, spec(TWO_WAY))).table["estimate"].item()
    )


def test_families_hold_single_offences_of_one_sample():
    given = panel()
    noise = np.random.default_rng(2).normal(0, 5, (2, len(given.table)))
    columns = {
        f"{kind}_{name}": given.table["rate_policed_property"] / 10 + noise[at]
        if kind == "rate_policed"
        else 1.0
        for at, name in enumerate(("murder", "robbery"))
        for kind in ("rate_policed", "coverage")
    }
    given = replace(given, table=given.table.assign(**columns))
    measures = ["murder", "robbery", "property"]
    ones = [spec(BARE | {"outcome.measure": m}, f"{m}/none") for m in measures]
    ones += [
        spec(BARE | {"outcome.measure": m, "estimator.within": "state"}, f"{m}/state") for m in measures[:2]
    ]
    runs = run_specs(given, ones).runs
    table = offence_families(runs, draws=199, seed=3).set_index("spec")
    # Sums of offences are no tests of their own; each comparison is a family of its own.
    assert sorted(table.index) == ["murder/none", "murder/state", "robbery/none", "robbery/state"]
    assert (table["tests"] == 2).all()
    alone = family_table([run.estimates["post"] for run in runs[:2]], draws=199, seed=3)
    assert table.loc["murder/none", "p_romano_wolf"] == alone["p_romano_wolf"].iloc[0]
    assert offence_families([], draws=9, seed=1).empty


def test_states_left_out_stand_beside_the_whole():
    given, one = panel(), spec(BARE, "whole")
    table = left_out_frame(given, [one])
    found = leave_out(make_design(given, one), "state")
    by_state = table[table["by"] == "state"]
    assert by_state["estimate"].tolist() == found.table["estimate"].tolist()
    assert (by_state["whole_jackknife"] == found.jackknife).all()
    assert (by_state["whole_estimate"] == found.whole.table["estimate"].item()).all()
    # All adopt in one year: there is no cohort to leave out, and the row says so.
    cohort = table[table["by"] == "cohort"]
    assert len(cohort) == 1 and "1 cohort to leave out" in cohort["failure"].item()


def test_a_name_no_specification_has_is_refused():
    with pytest.raises(StudyError, match="no specification nowhere"):
        named([spec(BARE, "here")], ["here", "nowhere"])


def test_one_spec_line_by_line_is_what_each_line_gives_alone():
    given = panel()
    grid = replace(
        spec(BARE, "grid"),
        vary=(("outcome.measure", ("property", "total")),),
        also=(Also("within", (("estimator.within", "state"),), ("outcome.measure",)),),
    )
    rows = by_design(given, grid, "property", "none")
    assert rows.index.tolist() == ["as declared", "within"]
    for name, changes in (("as declared", {}), ("within", {"estimator.within": "state"})):
        alone = one_effect(make_design(given, spec(BARE | changes, name)))
        assert rows.loc[name, "estimate"] == pytest.approx(alone.table["estimate"].item())
    with pytest.raises(SpecError, match="no line of murder, weights none"):
        by_design(given, grid, "murder", "none")

"""The record: what `check_estimate` refuses, dispatch, and that every option of the group-time estimator bites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    GROUP_TIME,
    MATCHED,
    TWO_WAY,
    make_design_of,
    make_spec,
    reference_counties,
    reference_panel,
)

from analysis.base.errors import SpecError, StudyError
from analysis.estimation import aggregate, check_estimate, fit, treated_states
from analysis.estimation.inference import draw_multipliers, simultaneous_critical_value, t_quantile

PANEL = reference_panel("group_time")
COVARIATES = ("poverty", "log_population")


def dynamic(**changes):
    estimator = replace(
        GROUP_TIME, **{k: v for k, v in changes.items() if k in ("method", "within", "weights")}
    )
    rest = {k: v for k, v in changes.items() if k in ("comparison", "covariates", "anticipation")}
    return fit(make_design_of(PANEL, make_spec(estimator, **{"covariates": COVARIATES} | rest)))


def with_cell(table, column, value, row=0):
    changed = table.copy()
    changed.loc[row, column] = value
    return changed


def broken(e):
    """Return records each of which breaks one invariant."""
    yield "columns are", replace(e, table=e.table.drop(columns="p_value"))
    yield "terms are unique", replace(e, table=with_cell(e.table, "term", e.table["term"].iloc[1]))
    yield "the estimand is", replace(e, estimand="effect")
    yield "vcov is square", replace(e, vcov=e.vcov[:, :-1])
    yield "vcov is symmetric", replace(e, vcov=e.vcov + np.triu(np.ones_like(e.vcov), 1))
    yield "vcov is positive semidefinite", replace(e, vcov=-e.vcov)
    yield "standard errors are the root", replace(e, table=with_cell(e.table, "std_error", 9.0))
    yield "influence is .counties", replace(e, influence=e.influence[:-1])
    yield "influence reproduces", replace(e, influence=2 * e.influence)
    yield "treated is .counties", replace(e, treated=e.treated[:, :-1])
    yield "n_treated counts", replace(e, table=with_cell(e.table, "n_treated", 1))
    yield "n_counties counts", replace(e, table=with_cell(e.table, "n_counties", 1))
    yield "the reference is not a row", replace(e, reference=0)
    yield "a missing error", replace(e, table=with_cell(e.table, "estimate", np.nan))
    yield "low end is below", replace(e, table=with_cell(e.table, "conf_low", 99.0))
    yield "the band holds", replace(e, table=with_cell(e.table, "band_low", 99.0))
    yield "counties are unique and sorted", replace(e, counties=e.counties[::-1])
    yield "clusters are counted", replace(e, inference=replace(e.inference, clusters=3))
    yield "df is clusters", replace(e, inference=replace(e.inference, df=np.inf))
    yield "the stamp is", replace(e, stamp=replace(e.stamp, spec="f" * 16))


@pytest.mark.parametrize("claim", [claim for claim, _ in broken(dynamic())])
def test_a_broken_record_is_refused(claim):
    e = dynamic()
    check_estimate(e)
    with pytest.raises(StudyError, match=f"not true that.*{claim}"):
        check_estimate(dict(broken(e))[claim])


def test_fit_goes_by_name_and_refuses_others():
    counties = reference_counties()
    designs = {
        "event_time": make_design_of(PANEL, make_spec(GROUP_TIME)),
        "att": make_design_of(PANEL, make_spec(TWO_WAY)),
        "difference": make_design_of(counties, make_spec(MATCHED, covariates=("x1", "x2"))),
    }
    for estimand, design in designs.items():
        found = fit(design)
        check_estimate(found)
        assert found.estimand == estimand
        assert found.estimator == design.spec.estimator.name
        assert (found.unit, found.baseline) == (design.unit, design.baseline)
        assert "a test" in found.notes
        assert list(found.attrition.columns) == ["rule", "counties", "county_years", "treated", "dropped"]
        with pytest.raises(SpecError):
            aggregate(found, over="calendar")
    other = replace(designs["att"], spec=make_spec(replace(TWO_WAY, name="two_wya")))
    with pytest.raises(SpecError, match="did you mean two_way"):
        fit(other)


def test_every_option_of_group_time_changes_the_answer():
    changes = [
        {},
        {"method": "outcome_regression"},
        {"method": "inverse_weighting"},
        {"within": "state"},
        {"weights": "population_baseline"},
        {"comparison": "not_yet_treated"},
        {"covariates": ("poverty",)},
        {"anticipation": 1},
    ]
    found = [aggregate(dynamic(**change)).table["estimate"].item() for change in changes]
    assert len({round(value, 9) for value in found}) == len(changes)


def test_states_are_those_of_treated_counties():
    assert treated_states(dynamic()) == ("CA", "CO", "IA", "IL", "MN", "NY", "OR", "TX", "WA", "WI")


def test_few_treated_states_are_noted():
    few = PANEL[PANEL["cohort"].isna() | PANEL["state"].isin(["06", "19", "41"])]
    found = fit(make_design_of(few, make_spec(GROUP_TIME)))
    assert any("lie in 3 states" in note for note in found.notes)
    assert not any("states:" in note and "too small" in note for note in dynamic().notes)


@pytest.mark.parametrize("kind", ["rademacher", "webb", "mammen"])
def test_multipliers_have_mean_zero_and_variance_one(kind):
    v = draw_multipliers(200_000, 1, np.random.default_rng(1), kind)
    assert v.mean() == pytest.approx(0, abs=0.01)
    assert v.var() == pytest.approx(1, abs=0.01)
    assert (v**3).mean() == pytest.approx(1.0 if kind == "mammen" else 0.0, abs=0.03)


def test_a_band_covers_all_of_them_at_its_level():
    # Gaussian truth: share of draws in which every one of six correlated errors lies inside.
    rng = np.random.default_rng(4)
    mix, inside = rng.normal(size=(6, 6)), []
    for seed in range(300):
        psi = rng.normal(size=(30, 6)) @ mix / 30
        error = np.sqrt(30 / 29 * (psi**2).sum(axis=0))
        critical = simultaneous_critical_value(psi, np.arange(30), 0.9, 299, seed, 29)
        inside.append((np.abs(psi.sum(axis=0) / error) <= critical).all())
    assert np.mean(inside) == pytest.approx(0.9, abs=3 * np.sqrt(0.09 / 300))
    assert critical > t_quantile(0.9, 29)


def test_tidy_is_a_copy():
    e = dynamic()
    before, tidy = e.table.copy(), e.tidy()
    tidy.loc[0, "estimate"] = 0.0
    pd.testing.assert_frame_equal(e.table, before)

"""The shared arithmetic of panels against dense matrices and other engines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from estimation_cases import simulated_panel

from analysis.base.errors import SampleError
from analysis.estimation.panel_arrays.effects import (
    along_lines,
    fit_effects,
    fit_lines,
    make_effects,
    make_lines,
    residuals,
    without_singletons,
)
from analysis.estimation.panel_arrays.panel import make_cells, read_panel, treated_cells
from analysis.estimation.panel_arrays.regression import (
    absorbed_regression,
    poisson_regression,
    separated_rows,
)


def unbalanced(seed=1, counties=30, levels=6, drop=0.3):
    """Codes and weights of an invented unbalanced panel of two unconnected halves."""
    rng = np.random.default_rng(seed)
    county, year = np.repeat(np.arange(counties), levels), np.tile(np.arange(levels), counties)
    level = year + levels * (county >= counties // 2)
    keep = rng.random(len(county)) > drop
    return county[keep], level[keep], rng.uniform(0.2, 5.0, keep.sum()), rng


def dummies(*codes):
    return np.hstack([(code[:, None] == np.unique(code)).astype(float) for code in codes])


def test_residuals_rank_and_effects_equal_dummies():
    county, level, w, rng = unbalanced()
    x = rng.normal(size=(len(county), 3)) + county[:, None]
    effects = make_effects(county, level, w, 31, 12)  # county 30 has no row
    z = dummies(county, level)
    root = np.sqrt(w)[:, None]
    fitted = z @ np.linalg.lstsq(z * root, x * root, rcond=None)[0]
    assert residuals(effects, x) == pytest.approx(x - fitted, abs=1e-10)
    assert effects.rank == np.linalg.matrix_rank(z)
    assert len(np.unique(effects.county_component[:30])) == 2 and effects.county_component[30] == -1
    by_county, by_level = fit_effects(effects, x)
    assert by_county[county] + by_level[level] == pytest.approx(fitted, abs=1e-10)


def test_regression_and_its_influence_equal_dummies():
    county, level, w, rng = unbalanced(2)
    x = rng.normal(size=(len(county), 2))
    x = np.column_stack([x, x[:, 0] + 1.0 * (level < 6), county == 3])
    y = x[:, 0] - 2 * x[:, 1] + rng.normal(size=len(county)) + county
    found = absorbed_regression(y, x, make_effects(county, level, w, 30, 12))
    # Column 2 is column 0 plus an effect, column 3 is an effect: neither 0, 2 nor 3 is told.
    assert np.isnan(found.coefficient).tolist() == [True, False, True, True]
    assert found.rank == 2
    z = np.column_stack([x[:, 1], x[:, 0], dummies(county, level)])
    root = np.sqrt(w)
    beta = np.linalg.lstsq(z * root[:, None], y * root, rcond=None)[0]
    assert found.coefficient[1] == pytest.approx(beta[0], abs=1e-10)
    assert found.residual == pytest.approx(y - z @ beta, abs=1e-9)
    bread = np.linalg.pinv((z * w[:, None]).T @ z)
    score = z * (w * (y - z @ beta))[:, None]
    by_county = np.array([score[county == c].sum(axis=0) for c in range(30)]) @ bread
    assert found.influence[:, 1] == pytest.approx(by_county[:, 0], abs=1e-10)
    assert (found.influence[:, [0, 2, 3]] == 0).all()


def test_poisson_equals_the_dummy_regression_of_another_engine():
    import statsmodels.api as sm

    county, level, w, rng = unbalanced(3, drop=0.2)
    x = rng.normal(size=(len(county), 2))
    count = rng.poisson(w * np.exp(0.5 + 0.4 * x[:, 0] + 0.05 * county)).astype(float)
    found = poisson_regression(count, w, x, county, level)
    assert found.converged
    z = np.hstack([x, dummies(county), dummies(level)[:, 1:6], dummies(level)[:, 7:]])
    peer = sm.GLM(count, z, family=sm.families.Poisson(), offset=np.log(w)).fit(tol=1e-13, maxiter=200)
    assert found.coefficient == pytest.approx(peer.params[:2], abs=1e-8)
    assert found.mean == pytest.approx(peer.fittedvalues, rel=1e-7)
    bread = np.linalg.inv((z * peer.fittedvalues[:, None]).T @ z)
    score = z * (count - peer.fittedvalues)[:, None]
    by_county = np.array([score[county == c].sum(axis=0) for c in range(30)]) @ bread
    # Iterative: both stop within 1e-8 of the maximum.
    assert found.influence == pytest.approx(by_county[:, :2], abs=1e-6)


def test_what_has_no_maximum_is_found():
    county, year = np.repeat(np.arange(12), 4), np.tile(np.arange(4), 12)
    rng = np.random.default_rng(4)
    count = 1.0 + rng.poisson(3.0, 48)
    count[county == 5] = 0
    treated = (county < 4) & (year >= 2)
    count[treated & (year == 3)] = 0
    x = np.column_stack([treated & (year == 2), treated & (year == 3)]).astype(float)
    apart = separated_rows(count, x, county, year)
    assert (apart == ((county == 5) | (treated & (year == 3)))).all()
    # A single zero is no separation where others of its kind have events.
    count[treated & (year == 3)] = [0, 0, 0, 2]
    assert (separated_rows(count, x, county, year) == (county == 5)).all()
    # A regressor of several values that is positive only where nothing happened, less plain than an indicator.
    count = 1.0 + rng.poisson(3.0, 48)
    slope = np.where(year >= 2, 0.0, rng.uniform(1, 2, 48)) * (county < 4)
    count[slope > 0] = 0
    found = separated_rows(count, slope[:, None], county, year)
    assert (found == (slope > 0)).all()


def test_singletons_are_dropped_until_none_is_left():
    county = np.array([0, 0, 1, 1, 2, 2, 3])
    level = np.array([0, 1, 0, 1, 0, 2, 3])
    # Level 2 is alone; without it county 2 is; county 3 is alone from the start.
    assert without_singletons(county, level).tolist() == [True] * 4 + [False] * 3


def test_a_panel_is_read_and_what_is_wrong_with_it_named():
    table = simulated_panel(5, counties=24).assign(stratum="all")
    panel = read_panel(table)
    assert panel.notes == () and len(panel.outcome) == 192
    assert (panel.base[~panel.never] == panel.cohort[~panel.never] - 1).all()
    cells = make_cells(panel, ~panel.untreated)
    inside = cells.code >= 0
    assert (inside == (panel.event_time >= 0)).all()
    assert (cells.time[cells.code[inside]] == panel.years[panel.year[inside]]).all()
    off = table.copy()
    off.loc[off.index[off["treated"]][0], "treated"] = True
    last = off.index[off["treated"] & (off["year"] == 2017)][0]
    off.loc[last, "treated"] = False
    with pytest.raises(SampleError, match="switches off in 1 counties"):
        read_panel(off)
    with pytest.raises(SampleError, match="two rows"):
        read_panel(pd.concat([table, table.iloc[:1]]))
    with pytest.raises(SampleError, match="negative or missing"):
        read_panel(table.assign(weight=-1.0))
    with pytest.raises(SampleError, match="no county-year"):
        read_panel(table.assign(weight=0.0))
    holes = table.drop(index=table.index[[1, 2, 12]]).assign(
        weight=lambda t: np.where(t["county_fips"] == t["county_fips"].iloc[-1], 0.0, t["weight"])
    )
    notes = " ".join(read_panel(holes).notes)
    assert "8 county-years of weight zero" in notes and "2 counties have gaps" in notes
    assert read_panel(table.sample(frac=1, random_state=1)).county.tolist() == panel.county.tolist()


def test_a_transition_year_is_no_gap():
    table = simulated_panel(6, counties=60, half_year=True).assign(stratum="all")
    panel = read_panel(table[~table["transition"]])
    assert not any("gaps" in note for note in panel.notes)
    assert (panel.base[~panel.never] == panel.cohort[~panel.never] - 2).all()


def test_lines_equal_dummies_county_by_county():
    county, level, w, rng = unbalanced(4)
    time = 2010.0 + level % 6
    x = rng.normal(size=(len(county), 3)) + county[:, None] * (time[:, None] - 2000)
    lines = make_lines(county, time, w, 31)  # county 30 has no row
    own = dummies(county)
    z = np.hstack([own, own * (time[:, None] - 2012)])
    root = np.sqrt(w)[:, None]
    fitted = z @ np.linalg.lstsq(z * root, x * root, rcond=None)[0]
    assert residuals(lines, x) == pytest.approx(x - fitted, abs=1e-9)
    # Drawn on to another year: two points of each line are enough to tell.
    found = fit_lines(lines, x)
    once = np.bincount(county, minlength=31) == 1
    first, second = (along_lines(lines, found, county, np.full(len(county), t)) for t in (2010.0, 2030.0))
    expected = first + (second - first) * ((time - 2010) / 20)[:, None]
    several = ~once[county]
    assert expected[several] == pytest.approx(fitted[several], abs=1e-8)
    y = x[:, 0] - 2 * x[:, 1] + rng.normal(size=len(county))
    z = np.column_stack([x[:, 1:], z])
    found = absorbed_regression(y, x[:, 1:], lines)
    beta = np.linalg.lstsq(z * root, y * root[:, 0], rcond=None)[0]
    assert found.coefficient == pytest.approx(beta[:2], abs=1e-9)


def test_groups_are_cohorts_by_base_year_and_need_both_sides():
    table = simulated_panel(5, counties=24).assign(stratum="all")
    panel = read_panel(table)
    cohorts = sorted(set(panel.cohort[~panel.never].tolist()))
    assert [(cohort, base) for cohort, base, _ in panel.groups()] == [(g, g - 1) for g in cohorts]
    assert all(panel.adopters[members].all() for _, _, members in panel.groups())
    early = read_panel(table[table["year"] < 2014])
    assert [cohort for cohort, _, _ in early.groups()] == [2013]
    with pytest.raises(SampleError, match="before and after adoption"):
        treated_cells(read_panel(table[table["cohort"].isna()]))
    controls = read_panel(table.assign(a=table["year"], b=1.0), controls=("a", "b"))
    assert controls.wide(controls.controls).shape == (24, 8, 2)
    assert (controls.wide(controls.controls)[:, 3, 0] == 2013).all()

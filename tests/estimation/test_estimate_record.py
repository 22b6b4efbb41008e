"""The record: what `check_estimate` refuses, dispatch, and that every option of the group-time estimator bites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    BY_STATE,
    GROUP_TIME,
    MATCHED,
    TWO_WAY,
    make_design_of,
    make_spec,
    reference_counties,
    reference_panel,
)

from analysis.base.errors import SampleError, SpecError, StudyError
from analysis.base.records import Geography
from analysis.design.spec import EstimatorSection
from analysis.estimation import aggregate, check_estimate, fit, recluster, treated_states
from analysis.estimation.estimate import cell_rows
from analysis.estimation.group_time import group_time
from analysis.estimation.inference import (
    draw_multipliers,
    effective_clusters,
    joint_critical_value,
    outermost,
    simultaneous_critical_value,
    t_quantile,
)
from analysis.estimation.panel_inference.spatial import kernel_matrix

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


# --- errors by distance
# ----------------------------------------------------------------------------------------

STAGGERED = {
    "group_time_att": GROUP_TIME,
    "imputation": EstimatorSection("imputation", "none", within="none"),
    "two_stage": EstimatorSection("two_stage", "none", within="none"),
    "interaction_weighted": EstimatorSection("interaction_weighted", "none", within="none"),
    "stacked": EstimatorSection("stacked", "none", within="none"),
    "extended_two_way": EstimatorSection("extended_two_way", "none", method="linear", within="none"),
    "local_projections": EstimatorSection(
        "local_projections", "none", method="variance_weighted", within="none"
    ),
}


def places_of(table, seed=2):
    codes, rng = sorted(table["county_fips"].unique()), np.random.default_rng(seed)
    latitude, longitude = rng.uniform(30, 45, len(codes)), rng.uniform(-120, -80, len(codes))
    return pd.DataFrame({"county_fips": codes, "latitude": latitude, "longitude": longitude})


def spatial_design(estimator, kernel="bartlett", cutoff=300.0, places=None, draws=99):
    asked = replace(BY_STATE, vcov="spatial", by="none", cutoff_km=cutoff, kernel=kernel, draws=draws)
    alone = estimator.name in ("imputation", "two_stage", "extended_two_way")
    comparison = "not_yet_treated" if alone else "never_treated"
    design = make_design_of(PANEL, make_spec(estimator, asked, comparison=comparison))
    return replace(design, geography=Geography(places=places_of(PANEL) if places is None else places))


@pytest.mark.parametrize("kernel", ["bartlett", "uniform"])
@pytest.mark.parametrize("name", list(STAGGERED))
def test_every_estimator_with_influence_takes_spatial_errors(name, kernel):
    found = fit(spatial_design(STAGGERED[name], kernel))
    check_estimate(found)
    assert (found.inference.kind, found.inference.by, found.inference.df) == ("spatial", "none", np.inf)
    places = places_of(PANEL).set_index("county_fips").loc[found.counties]
    near = kernel_matrix(places["latitude"].to_numpy(), places["longitude"].to_numpy(), 300.0, kernel)
    pairs = np.diag(found.influence.T @ (near @ found.influence))
    alone = ((np.nan_to_num(found.treated) > 0).sum(axis=0) < 2) | ~(pairs > 0)
    error = np.where(alone, np.nan, np.sqrt(np.maximum(pairs, 0)))
    assert found.table["std_error"].to_numpy() == pytest.approx(error, rel=1e-9, nan_ok=True)
    post = aggregate(found, over="post")
    check_estimate(post)
    assert post.table["std_error"].item() > 0
    assert any(f"300 km ({kernel} kernel)" in note for note in post.notes)
    with pytest.raises(SpecError, match="recluster of spatial errors"):
        recluster(found, "state")


def test_a_spatial_variance_that_is_not_positive_gives_no_error_and_a_note():
    cells = group_time(spatial_design(GROUP_TIME, "uniform", 900.0))
    check_estimate(cells)
    lost = (np.diag(cells.vcov) <= 0).sum()
    assert lost > 0
    assert cells.table["std_error"].isna().sum() >= lost
    assert cells.table.loc[np.diag(cells.vcov) <= 0, "conf_low"].isna().all()
    assert any(f"{lost} of {len(cells.table)} estimates have a spatial variance" in n for n in cells.notes)
    assert any("not positive semidefinite" in note for note in cells.notes)


def test_a_county_without_a_place_is_named():
    with pytest.raises(SampleError, match="1 counties without a place"):
        fit(spatial_design(GROUP_TIME, places=places_of(PANEL).iloc[1:]))


@pytest.mark.parametrize(
    "change",
    [lambda e: replace(e, coordinates=None), lambda e: replace(e, coordinates=e.coordinates[::-1])],
)
def test_a_broken_spatial_record_is_refused(change):
    with pytest.raises(StudyError, match=r"spatial errors come with|influence reproduces"):
        check_estimate(change(fit(spatial_design(GROUP_TIME))))


# --- effective clusters, bands, ends
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_effective_clusters_are_those_of_the_variances(spread):
    # 40 states of 60 counties each.
    rng = np.random.default_rng(3)
    v, state = np.exp(spread * rng.normal(size=40)), np.repeat(np.arange(40), 60)
    truth = v.sum() ** 2 / (v**2).sum()
    psi = rng.normal(size=(2_400, 300)) * np.sqrt(v[state])[:, None]
    found = effective_clusters(psi, state)
    assert found.mean() == pytest.approx(truth, rel=0.05)
    assert effective_clusters(psi * 7, state) == pytest.approx(found)


def test_effective_clusters_are_printed():
    found = fit(make_design_of(PANEL, make_spec(TWO_WAY)))
    number = found.effective_clusters().item()
    assert 1 < number <= found.inference.clusters
    assert found.glance()["effective_clusters"].item() == number
    assert f"effective number of clusters: {number:.1f} of {found.inference.clusters}" in found.summary()
    several = dynamic()
    each = several.effective_clusters()
    assert several.glance()["effective_clusters"].item() == np.nanmin(each)
    low, high = np.nanmin(each), np.nanmax(each)
    assert f"effective number of clusters: {low:.1f} to {high:.1f} of" in several.summary()
    by_county = recluster(found, "county")
    assert "effective number" not in by_county.summary()
    assert np.isnan(by_county.glance()["effective_clusters"].item())
    matched = fit(make_design_of(reference_counties(), make_spec(MATCHED, covariates=("x1", "x2"))))
    assert np.isfinite(matched.glance()["effective_clusters"].item())


def test_a_band_from_the_matrix_is_that_from_influence():
    rng = np.random.default_rng(6)
    psi = rng.normal(size=(2_000, 5)) @ rng.normal(size=(5, 5))
    from_influence = simultaneous_critical_value(psi, np.arange(2_000), 0.95, 40_000, 1, np.inf)
    vcov = psi.T @ psi
    # Both are quantiles of 40,000 draws.
    assert joint_critical_value(vcov, 0.95, 40_000, 2, np.inf) == pytest.approx(from_influence, abs=0.03)
    assert joint_critical_value(vcov, 0.95, 0, 2, np.inf) == t_quantile(0.95, np.inf)
    assert joint_critical_value(vcov, 0.95, 999, 2, 5.0) > t_quantile(0.95, 5.0)


def test_ends_of_a_test_that_turns_more_than_once():
    def p_value(value):
        return 0.5 if abs(value) < 1 or 1.4 < value < 1.6 else 0.01

    assert outermost(p_value, 0.0, -1.0, 0.05) == pytest.approx(-1, abs=1e-6)
    assert outermost(p_value, 0.0, 0.4, 0.05) == pytest.approx(1.6, abs=1e-6)
    assert outermost(lambda value: 1.0, 0.0, -1.0, 0.05) == -np.inf
    # A share of draws equal to the size is a rejection, whatever 1 - 0.9 is in binary.
    assert outermost(lambda value: 0.1 if abs(value) > 1 else 0.5, 0.0, 1.0, 1 - 0.9) == pytest.approx(1)


def test_rows_of_cells():
    rows = cell_rows([2013, 2014], [2012, 2012], [2013, 2015], [0, 1], np.array([1.0, np.nan]))
    assert rows["term"].tolist() == ["cohort=2013, time=2013", "cohort=2014, time=2015"]
    assert rows["estimate"].isna().tolist() == [False, True]
    assert list(rows.columns) == ["term", "cohort", "time", "event_time", "estimate"]

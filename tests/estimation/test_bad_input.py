"""Bad input, case by case and estimator by estimator: refused by name, or said in notes with cells kept as rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import BY_STATE, make_design_of, make_spec, simulated_panel

from analysis.base.errors import SampleError, StudyError
from analysis.design.spec import EstimatorSection
from analysis.estimation import aggregate, check_estimate, fit

PANEL = simulated_panel(31, counties=96, states=8).assign(
    population=lambda t: t["weight"],
    urban_class=lambda t: np.where(t["county_fips"].str[2:].astype(int) // 16 % 2, "noncore", "small_metro"),
)
COUNT = np.round(30 * np.exp(0.05 * (PANEL["outcome"] - 40)))

# name -> estimator, keys beside the strata, comparison, whether it takes strata
MATCH = {"match_on": ("outcome_lags",), "lag_years": 1, "distance": "mahalanobis", "neighbours": 1, "replacement": True, "caliper": 0.0}  # fmt: skip
NOT_YET, NEVER = "not_yet_treated", "never_treated"
KINDS = {
    "imputation": ("imputation", {}, NOT_YET, True),
    "imputation with trends": ("imputation", {"trends": "county"}, NOT_YET, False),
    "two_stage": ("two_stage", {}, NOT_YET, True),
    "interaction_weighted": ("interaction_weighted", {}, NEVER, True),
    "stacked": ("stacked", {"window": 2}, NOT_YET, True),
    "stacked, never treated": ("stacked", {"window": 1}, NEVER, True),
    "extended_two_way": ("extended_two_way", {"method": "linear"}, NOT_YET, True),
    "extended_two_way of counts": ("extended_two_way", {"method": "poisson"}, NOT_YET, False),
    "local_projections": ("local_projections", {"method": "variance_weighted"}, NOT_YET, True),
    "local_projections, equally": ("local_projections", {"method": "equally_weighted"}, NEVER, True),
    "group_time_att": ("group_time_att", {"method": "doubly_robust"}, NOT_YET, True),
    "group_time_att, never treated": ("group_time_att", {"method": "outcome_regression"}, NEVER, True),
    "matched_did": ("matched_did", MATCH, NOT_YET, False),
    "two_by_two": ("two_by_two", {}, NEVER, True),
    "before_after": ("before_after", {"lag_years": 2}, NEVER, False),
    "poisson": ("poisson", {"method": "post"}, NOT_YET, True),
    "poisson, event times": ("poisson", {"method": "event_time"}, NOT_YET, True),
    "two_way": ("two_way", {}, NOT_YET, True),
}
EFFECTS = {"none": "county_year", "state": "state_by_year", "urban_class": "urban_class_by_year"}
COUNTED = ("poisson", "extended_two_way of counts")
STRATIFIED = [kind for kind, (*_, strata) in KINDS.items() if strata]
EVERY = list(KINDS)
SHARED = [kind for kind in KINDS if kind != "two_way"]  # what asks for a base year, and tells of gaps


def design_of(kind, table, within="none", weights="none", **more):
    name, keys, comparison, strata = KINDS[kind]
    counts = kind.startswith(COUNTED)
    keys = dict(keys)
    if name in ("poisson", "two_way"):
        keys["effects"] = EFFECTS[within]
    elif strata or name in ("imputation", "extended_two_way"):
        keys["within"] = within
    elif name == "matched_did":
        keys["exact"] = () if within == "none" else (within,)
    section = EstimatorSection(name, "none" if counts else weights, **keys)
    spec = make_spec(section, comparison=comparison, **more)
    if counts:
        spec = replace(spec, outcome=replace(spec.outcome, scale="count"))
        table = table.assign(outcome=COUNT.reindex(table.index).fillna(10.0))
    return make_design_of(table, spec)


def said(estimate, *words):
    return any(all(word in note for word in words) for note in estimate.notes)


def same(one, two):
    columns = ["estimate", "std_error"]
    merged = one.table.merge(two.table, on="term")
    assert len(merged) == len(one.table) == len(two.table)
    for column in columns:
        assert merged[f"{column}_x"].to_numpy() == pytest.approx(
            merged[f"{column}_y"].to_numpy(), rel=1e-6, abs=1e-8, nan_ok=True
        )


@pytest.mark.parametrize("kind", EVERY)
def test_gaps_in_a_countys_years(kind):
    table = PANEL[np.random.default_rng(1).random(len(PANEL)) > 0.05]
    found = fit(design_of(kind, table))
    check_estimate(found)
    assert np.isfinite(found.table["estimate"]).any()
    if kind in SHARED:
        gaps = sum(
            bool(set(range(years.min(), years.max() + 1)) - set(years))
            for _, years in table.groupby("county_fips")["year"]
        )
        assert said(found, f"{gaps} counties have gaps in their years")


@pytest.mark.parametrize("kind", SHARED)
def test_a_treated_county_without_a_year_before_adoption(kind):
    adopters = PANEL.loc[PANEL["cohort"].notna(), "county_fips"].unique()
    late = PANEL["county_fips"].isin(adopters[:3]) & ~PANEL["treated"]
    found = fit(design_of(kind, PANEL[~late]))
    check_estimate(found)
    assert said(found, "3 counties have no year wholly before adoption")
    same(found, fit(design_of(kind, PANEL[~PANEL["county_fips"].isin(adopters[:3])])))


@pytest.mark.parametrize("kind", SHARED)
def test_nobody_with_a_year_before_adoption(kind):
    table = PANEL[PANEL["treated"] | PANEL["cohort"].isna()]
    with pytest.raises(SampleError):
        fit(design_of(kind, table))
    with pytest.raises(SampleError):
        fit(design_of(kind, PANEL[PANEL["cohort"].isna()]))


@pytest.mark.parametrize("within", ["state", "urban_class"])
@pytest.mark.parametrize("kind", STRATIFIED)
def test_a_cohort_without_comparison_counties_in_its_stratum(kind, within):
    # In one stratum everybody left adopted in 2013, and nobody else did anywhere.
    here = (
        PANEL["county_fips"].str.startswith("27") if within == "state" else PANEL["urban_class"] == "noncore"
    )
    first = (PANEL["cohort"] == 2013).fillna(False)
    table = PANEL[here == first]
    lost = table.loc[here, "county_fips"].unique()
    assert len(lost) > 1
    found = fit(design_of(kind, table, within))
    check_estimate(found)
    others = fit(design_of(kind, PANEL[~here & ~first], within))
    # They move nothing that is estimated; what is theirs alone is a missing row.
    known = found.table.dropna(subset="estimate").set_index("term")["estimate"]
    expected = others.table.dropna(subset="estimate").set_index("term")["estimate"]
    assert known.to_dict() == pytest.approx(expected.to_dict(), rel=1e-6)
    entered = found.counties[~np.isnan(found.treated).all(axis=1)]
    assert not set(entered) & set(lost)
    treated = PANEL.loc[~here & ~first & PANEL["cohort"].notna(), "county_fips"].nunique()
    assert found.attrition["treated"].iloc[-1] == treated
    if kind.startswith(("imputation", "two_stage", "interaction", "stacked", "extended", "group_time")):
        assert said(found, "not estimated", "cohort 2013, base 2012")
    elif kind == "two_by_two":
        assert said(found, f"no comparison county in their stratum: {len(lost)} treated")


@pytest.mark.parametrize("kind", EVERY)
def test_all_counties_treated_by_the_end(kind):
    table = PANEL[PANEL["cohort"].notna()]
    comparison = KINDS[kind][2]
    if comparison == NEVER and kind not in ("interaction_weighted", "before_after"):
        with pytest.raises(SampleError, match=r"compar|never treated|stacked"):
            fit(design_of(kind, table))
        return
    # A match serves in every year of its cohort; event times of adopters alone hold a straight line too many.
    if kind in ("matched_did", "poisson, event times"):
        with pytest.raises(SampleError, match=r"no comparison county|does not vary"):
            fit(design_of(kind, table))
        return
    found = fit(design_of(kind, table))
    check_estimate(found)
    if kind in ("poisson", "two_way"):
        # Early and late cohorts are compared with each other, treated ones among them.
        assert said(found, "weights may be negative")
    elif kind == "interaction_weighted":
        assert said(found, "cohort 2015 is the comparison")
    elif kind == "before_after":
        assert said(found, "no comparison group")
    else:
        # Nobody is untreated from 2015 on: the last cohort has no effect, the first two none from then on.
        assert found.table.loc[found.table["event_time"] >= 2, "estimate"].isna().all()
        assert said(found, "not estimated")
        assert np.isfinite(found.table["estimate"]).any()


@pytest.mark.parametrize("kind", EVERY)
def test_a_policy_that_switches_off_is_refused(kind):
    off = PANEL.copy()
    off.loc[off["treated"] & (off["year"] == 2017) & off["county_fips"].str.startswith("06"), "treated"] = (
        False
    )
    with pytest.raises(SampleError, match=r"switches off in \d+ counties \(06"):
        fit(design_of(kind, off))


@pytest.mark.parametrize("kind", EVERY)
def test_clusters_of_one_county(kind):
    # Every state but two keeps one county: the clusters are as small as clusters get.
    home = PANEL["county_fips"].str[:2]
    single = PANEL.groupby(home)["county_fips"].transform("min")
    table = PANEL[home.isin(["06", "08", "12"]) | (PANEL["county_fips"] == single)]
    found = fit(design_of(kind, table))
    check_estimate(found)
    entered = found.counties[~np.isnan(found.treated).all(axis=1)]
    clusters = {county[:2] for county in entered}
    assert found.inference.clusters == len(clusters) and found.inference.df == len(clusters) - 1
    if kind not in ("matched_did", "before_after"):  # those take some of the counties alone
        assert len(clusters) == 8 and len(entered) == 3 * 12 + 5


@pytest.mark.parametrize("within", ["state", "urban_class"])
@pytest.mark.parametrize("kind", STRATIFIED)
def test_strata_of_one_county_tell_nothing(kind, within):
    if within == "state":
        home = PANEL["county_fips"].str[:2]
        single = PANEL["county_fips"] == PANEL.groupby(home)["county_fips"].transform("min")
        table = PANEL[home.isin(["06", "08", "12"]) | single]
        rest = PANEL[home.isin(["06", "08", "12"])]
    else:
        one = PANEL["county_fips"] == PANEL["county_fips"].iloc[0]
        table = PANEL.assign(urban_class=PANEL["urban_class"].mask(one, "micropolitan"))
        rest = PANEL[~one]
    found = fit(design_of(kind, table, within))
    check_estimate(found)
    # States of one county are clusters of one county: they do not enter, and are not counted.
    same(found, fit(design_of(kind, rest, within)))


@pytest.mark.parametrize("kind", EVERY)
def test_treated_counties_of_one_cluster_have_no_error(kind):
    table = PANEL[PANEL["cohort"].isna() | PANEL["county_fips"].str.startswith("06")]
    if kind == "before_after":
        with pytest.raises(StudyError, match="1 cluster"):
            fit(design_of(kind, table))
        return
    found = aggregate(fit(design_of(kind, table)), over="post")
    check_estimate(found)
    assert np.isfinite(found.table["estimate"]).all() and found.table["std_error"].isna().all()
    assert said(found, "no error can be given")


@pytest.mark.parametrize("kind", EVERY)
def test_one_cluster_is_refused(kind):
    table = PANEL[PANEL["county_fips"].str.startswith("06")]
    with pytest.raises(StudyError, match="1 cluster"):
        fit(design_of(kind, table))
    found = fit(design_of(kind, table, inference=replace(BY_STATE, by="county")))
    check_estimate(found)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if not kind.startswith(COUNTED)])
def test_weights_of_zero(kind):
    some = PANEL["county_fips"].unique()[::7]
    idle = PANEL.assign(weight=np.where(PANEL["county_fips"].isin(some), 0.0, PANEL["weight"]))
    found = fit(design_of(kind, idle, weights="population_baseline"))
    check_estimate(found)
    assert said(found, f"{8 * len(some)} county-years of weight zero are left out")
    absent = PANEL[~PANEL["county_fips"].isin(some)]
    same(found, fit(design_of(kind, absent, weights="population_baseline")))
    for weight, match in (
        (0.0, "no county-year with an outcome and a weight"),
        (-1.0, "negative or missing"),
    ):
        with pytest.raises(SampleError, match=match):
            fit(design_of(kind, PANEL.assign(weight=weight), weights="population_baseline"))


@pytest.mark.parametrize("kind", EVERY)
def test_two_rows_of_a_county_and_year_are_refused(kind):
    with pytest.raises(SampleError, match="two rows of one county and year"):
        fit(design_of(kind, pd.concat([PANEL, PANEL.iloc[:1]])))


@pytest.mark.parametrize("kind", [kind for kind in EVERY if not kind.startswith(COUNTED)])
def test_missing_outcomes_are_left_out_by_name(kind):
    table = PANEL.assign(outcome=PANEL["outcome"].mask(PANEL.index.isin([5, 77, 301])))
    found = fit(design_of(kind, table))
    check_estimate(found)
    assert said(found, "3 county-years without an outcome are left out")
    same(found, fit(design_of(kind, PANEL[~PANEL.index.isin([5, 77, 301])])))


@pytest.mark.parametrize(
    "kind",
    [kind for kind in SHARED if KINDS[kind][2] == NOT_YET and kind not in ("stacked", "group_time_att")],
)
def test_adopters_after_the_last_year_are_no_treated_county(kind):
    table = PANEL[PANEL["year"] < 2015]
    later = table["cohort"].eq(2015).fillna(False)
    found = fit(design_of(kind, table))
    check_estimate(found)
    treated = table.loc[table["cohort"].notna() & ~later, "county_fips"].nunique()
    assert found.attrition["treated"].iloc[-1] == treated

"""Two by two and before-and-after: by hand, against R and scipy, and what is not to move them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    BY_STATE,
    TWO_WAY,
    make_design_of,
    make_spec,
    reference_panel,
    reference_values,
    simulated_panel,
    with_table,
)
from scipy import stats

from analysis.base.errors import SampleError, SpecError
from analysis.design.spec import EstimatorSection
from analysis.estimation import before_after, check_estimate, fit, recluster, two_by_two

R = reference_values("small_designs")
REFERENCE = reference_panel("small_designs")
PANEL = simulated_panel(7, counties=144)
CLASSES = ("large_central_metro", "small_metro", "noncore")
CLASSED = PANEL.assign(
    urban_class=(PANEL["county_fips"].str[2:].astype(int) // 24 % 3).map(dict(enumerate(CLASSES)))
)
TWO_YEARS = {"06001": (2015, 1, 5), "06003": (2015, 2, 4), "19001": (None, 1, 2), "19003": (None, 3, 3), "19005": (None, 2, 4)}  # fmt: skip


def four_means(table, weights="none", within="none", **more):
    estimator = EstimatorSection("two_by_two", weights, within=within)
    return make_design_of(table, make_spec(estimator, **more))


def paired(table, lag_years=2, weights="none", **more):
    estimator = EstimatorSection("before_after", weights, lag_years=lag_years)
    return make_design_of(table, make_spec(estimator, **more))


def of_counties(rows):
    """A panel of 2014 and 2015 from county -> (cohort or None, outcome, outcome)."""
    table = pd.DataFrame(
        [
            {"county_fips": county, "year": 2014 + t, "cohort": cohort, "outcome": float(value), "weight": 1.0,
             "event_time": None if cohort is None else 2014 + t - cohort, "treated": cohort is not None and t == 1}
            for county, (cohort, *values) in rows.items() for t, value in enumerate(values)
        ]
    )  # fmt: skip
    return table.astype({"cohort": "Int64", "event_time": "Int64"})


def numbers(estimate):
    return estimate.table[["estimate", "std_error"]].to_numpy()


# --- two by two
# ----------------------------------------------------------------------------------------------------


def test_four_means_by_hand():
    found = fit(four_means(of_counties(TWO_YEARS)))
    check_estimate(found)
    # Treated 1.5 to 4.5, comparison 2 to 3.
    assert found.table["estimate"].item() == pytest.approx(2.0)
    assert found.table[["n_counties", "n_treated"]].iloc[0].tolist() == [5, 2]
    # Changes 4 and 2 about 3, and 1, 0 and 2 about 1: (1 + 1) / 4 + (1 + 1) / 9 = 13 / 18, times 5 / 4.
    by_county = recluster(found, "county").table["std_error"].item()
    assert by_county**2 == pytest.approx(13 / 18 * 5 / 4)
    assert (
        "means: treated 1.5 before and 4.5 after (2 counties), comparison 2 before and 3 after (3 counties)"
        in found.notes
    )
    assert "years before against years after: cohort 2015 (base 2014): 2014 against 2015" in found.notes


@pytest.mark.parametrize("weights", ["unweighted", "weighted"])
def test_four_means_and_errors_equal_r(weights):
    stored = R[f"two_by_two.{weights}"]
    chosen = "population_baseline" if weights == "weighted" else "none"
    found = two_by_two.fit(four_means(REFERENCE, chosen))
    check_estimate(found)
    assert found.table["estimate"].item() == pytest.approx(stored["estimate"], abs=1e-10)
    # R's have no factor; ours is G / (G - 1).
    for by, count in (("state", 8), ("county", 72)):
        error = recluster(found, by).table["std_error"].item()
        assert error == pytest.approx(stored[f"by_{by}"] * np.sqrt(count / (count - 1)), rel=1e-9)
    told = next(note for note in found.notes if note.startswith("means"))
    for mean in stored["means"]:
        assert f"{mean:,.6g}" in told
    within = two_by_two.fit(four_means(REFERENCE, chosen, "urban_class"))
    check_estimate(within)
    assert within.table["estimate"].item() == pytest.approx(stored["within_urban_class"], abs=1e-10)


def test_in_two_years_and_one_cohort_it_is_the_two_way_coefficient():
    table = PANEL[PANEL["year"].isin([2013, 2014]) & (PANEL["cohort"].isna() | (PANEL["cohort"] == 2014))]
    for weights in ("none", "population_baseline"):
        found = two_by_two.fit(four_means(table, weights))
        two_way = fit(
            make_design_of(table, make_spec(replace(TWO_WAY, weights=weights), comparison="not_yet_treated"))
        )
        # The engine demeans by iteration, to 1e-10 of the outcome.
        assert found.table["estimate"].item() == pytest.approx(two_way.table["estimate"].item(), abs=1e-10)
        # Its error carries (N - 1) / (N - k), k of treatment and two years.
        factor = (len(table) - 1) / (len(table) - 3)
        assert found.table["std_error"].item() * np.sqrt(factor) == pytest.approx(
            two_way.table["std_error"].item(), rel=1e-8
        )


@pytest.mark.parametrize("within", ["none", "state", "urban_class"])
@pytest.mark.parametrize("weights", ["none", "population_baseline"])
def test_several_cohorts_and_strata_from_the_definition(within, weights):
    rng = np.random.default_rng(3)
    table = CLASSED[rng.random(len(CLASSED)) > 0.1]
    found = two_by_two.fit(four_means(table, weights, within))
    check_estimate(found)
    first = table.drop_duplicates("county_fips").set_index("county_fips")
    w = first["weight"] if weights != "none" else pd.Series(1.0, first.index)
    strata = {
        "none": pd.Series("all", first.index), "state": first.index.to_series().str[:2],
        "urban_class": first["urban_class"],
    }[within]  # fmt: skip
    total, size, means = 0.0, 0.0, np.zeros(4)
    for cohort in (2013, 2014, 2015):
        # Nobody's years but the cohort's own: all of them somebody has.
        halves = [table[table["year"] < cohort], table[table["year"] >= cohort]]
        before, after = (half.groupby("county_fips")["outcome"].mean() for half in halves)
        both = before.index.intersection(after.index)
        for one in strata.unique():
            here = both[(strata[both] == one).to_numpy()]
            on = here[(first.loc[here, "cohort"] == cohort).fillna(False).to_numpy(dtype=bool)]
            off = here[first.loc[here, "cohort"].isna().to_numpy()]
            if len(on) and len(off):
                four = [
                    np.average(side[arm], weights=w[arm]) for arm in (on, off) for side in (before, after)
                ]
                total += w[on].sum() * (four[1] - four[0] - four[3] + four[2])
                size += w[on].sum()
                means += w[on].sum() * np.array(four)
    assert found.table["estimate"].item() == pytest.approx(total / size, abs=1e-9)
    told = next(note for note in found.notes if note.startswith("means"))
    for mean in means / size:
        assert f"{mean:,.6g}" in told
    # The error is that of resampling counties: scores sum to zero and have the jackknife's size.
    jack = []
    counties = sorted(table["county_fips"].unique())
    for county in counties[::12]:
        left = table[table["county_fips"] != county]
        jack.append(two_by_two.fit(four_means(left, weights, within)).table["estimate"].item())
    scores = found.influence[:, 0][[found.counties.get_loc(c) for c in counties[::12]]]
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)
    # Leaving one out moves the estimate by its score, to the order of its share of its stratum.
    moved = found.table["estimate"].item() - np.array(jack)
    assert np.corrcoef(moved, scores)[0, 1] > (0.98 if within != "state" else 0.9)


def test_a_stratum_without_both_arms_is_left_out_by_a_line():
    table = CLASSED.assign(
        urban_class=np.where(CLASSED["cohort"].eq(2013).fillna(False), "noncore", CLASSED["urban_class"])
    )
    table = table[~(table["urban_class"].eq("noncore") & table["cohort"].isna())]
    found = two_by_two.fit(four_means(table, within="urban_class"))
    check_estimate(found)
    lost = table[table["urban_class"] == "noncore"].drop_duplicates("county_fips")
    line = found.attrition.iloc[-1]
    assert line["rule"] == "two by two: with both arms, before and after"
    assert line["treated"] == table.loc[table["cohort"].notna(), "county_fips"].nunique() - len(lost)
    assert any(f"no comparison county in their stratum: {len(lost)}" in note for note in found.notes)
    rest = two_by_two.fit(four_means(table[table["urban_class"] != "noncore"], within="urban_class"))
    assert numbers(found) == pytest.approx(numbers(rest))


# --- before and after
# ----------------------------------------------------------------------------------------------------


def test_before_and_after_is_the_paired_t_test():
    stored = R["before_after"]
    by_county = replace(BY_STATE, by="county")
    found = fit(paired(REFERENCE, inference=by_county))
    check_estimate(found)
    adopters = REFERENCE[REFERENCE["cohort"].notna()]
    after, before = (
        adopters[adopters["year"].isin(years)].groupby("county_fips")["outcome"].mean()
        for years in ((2014, 2015), (2012, 2013))
    )
    test = stats.ttest_rel(after, before)
    line = found.table.iloc[0]
    assert line["estimate"] == pytest.approx((after - before).mean(), abs=1e-12)
    # n / (n - 1) of the sum of squared scores is the variance of the differences over n: no conversion.
    assert line["statistic"] == pytest.approx(test.statistic, rel=1e-12)
    assert line["p_value"] == pytest.approx(test.pvalue, rel=1e-9)
    assert found.inference.df == len(after) - 1 == stored["n"] - 1
    assert line["std_error"] == pytest.approx(stored["std_error"], rel=1e-12)
    assert [line["conf_low"], line["conf_high"]] == pytest.approx(stored["conf"], abs=1e-10)
    assert (
        f"of {len(after)} adopters {stored['fell']} fell, {len(after) - stored['fell']} rose and 0 stayed"
        in found.notes
    )
    assert any("everything that happened" in note for note in found.notes)
    assert found.glance()["n_comparison"].item() == 0
    weighted = fit(paired(REFERENCE, weights="population_baseline"))
    assert weighted.table["estimate"].item() == pytest.approx(stored["weighted"], abs=1e-10)
    g = adopters["state"].nunique()
    expected = stored["weighted_by_state"] * np.sqrt(g / (g - 1))
    assert weighted.table["std_error"].item() == pytest.approx(expected, rel=1e-9)


def test_adopters_that_lack_a_year_are_left_out_by_a_line():
    adopters = PANEL.loc[PANEL["cohort"].notna(), "county_fips"].unique()
    gone = (PANEL["county_fips"] == adopters[0]) & (PANEL["event_time"] == -2).fillna(False)
    found = before_after.fit(paired(PANEL[~gone]))
    check_estimate(found)
    assert found.attrition["treated"].iloc[-2:].tolist() == [len(adopters), len(adopters) - 1]
    assert any("lacking one of these years: 1 adopter" in note for note in found.notes)
    rest = before_after.fit(paired(PANEL[PANEL["county_fips"] != adopters[0]]))
    assert numbers(found) == pytest.approx(numbers(rest))
    # Cohort 2015 has three years after adoption, cohort 2013 three before: four are nobody's but 2014's.
    four = before_after.fit(paired(PANEL, 4))
    cohort = PANEL.drop_duplicates("county_fips")["cohort"]
    assert four.table["n_treated"].item() == (cohort == 2014).sum()
    with pytest.raises(SampleError, match="5 years before and 5 after"):
        before_after.fit(paired(PANEL, 5))
    with pytest.raises(SpecError, match="lag_years"):
        before_after.fit(paired(PANEL, None))


def test_anticipation_moves_the_years_before():
    table = PANEL.assign(
        outcome=np.where((PANEL["event_time"] == -1).fillna(False), 100.0, PANEL["year"] * 1.0)
    )
    found = before_after.fit(paired(table, 1, anticipation=1))
    assert found.table["estimate"].item() == pytest.approx(2.0)  # year g less year g - 2
    expected = two_by_two.fit(four_means(table, anticipation=1)).table["estimate"].item()
    assert abs(expected) < 5  # the year between is in neither mean


# --- both
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "design",
    [
        four_means(CLASSED, "population_baseline"),
        four_means(CLASSED, "none", "state"),
        four_means(CLASSED, "none", "urban_class"),
        paired(CLASSED, 2, "population_baseline"),
    ],
    ids=["four_means", "within_states", "within_classes", "paired"],
)
def test_properties(design):
    base = fit(design)
    check_estimate(base)
    check_estimate(recluster(base, "county"))

    def same(table, factor=1.0):
        found = fit(with_table(design, table))
        check_estimate(found)
        assert numbers(found) == pytest.approx(numbers(base) * factor, rel=1e-9)
        return found

    before = design.table.copy()
    same(CLASSED.sample(frac=1, random_state=1))
    same(CLASSED.assign(outcome=CLASSED["outcome"] * 10), 10)
    same(CLASSED.assign(outcome=CLASSED["outcome"] + 1000.0))
    same(CLASSED.assign(weight=CLASSED["weight"] * 1e6))
    same(CLASSED.assign(county_fips=CLASSED["county_fips"].map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")))
    common = CLASSED.assign(outcome=CLASSED["outcome"] + 7 * (CLASSED["year"] - 2010))
    if design.spec.estimator.name == "two_by_two":
        same(common)  # a year all share is in both arms' changes
    else:
        # Two years on: a trend of seven a year moves the paired change by fourteen.
        found = fit(with_table(design, common)).table["estimate"].item()
        assert found == pytest.approx(base.table["estimate"].item() + 14)
    always = CLASSED[CLASSED["county_fips"] == CLASSED["county_fips"].iloc[0]].assign(
        county_fips="06998", cohort=2005, event_time=lambda t: t["year"] - 2005, treated=True,
        outcome=lambda t: t["outcome"] * 9,
    )  # fmt: skip
    found = same(pd.concat([CLASSED, always.astype({"cohort": "Int64", "event_time": "Int64"})]))
    assert any("no year wholly before adoption" in note for note in found.notes)
    pd.testing.assert_frame_equal(design.table, before)


@pytest.mark.parametrize("make", [four_means, paired])
def test_keys_that_cannot_be_honoured_are_refused(make):
    table = PANEL.assign(secure_communities=0.0)
    for keys in ({"covariates": ("poverty",)}, {"controls": ("secure_communities",)}):
        with pytest.raises(SpecError, match=r"covariates\.names or controls\.policies"):
            fit(make(table, **keys))
    if make is four_means:
        with pytest.raises(SpecError, match="comparison"):
            fit(make(table, comparison="not_yet_treated"))

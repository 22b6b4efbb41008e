"""Group-time effects: by hand, against R and diff-diff, and what must not move them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    BY_STATE,
    GROUP_TIME,
    make_design_of,
    make_spec,
    reference_panel,
    reference_values,
    simulated_panel,
    with_table,
)

from analysis.base.errors import SampleError, SpecError
from analysis.estimation import aggregate, check_estimate, recluster
from analysis.estimation.group_time import METHODS, fit, group_time, prepare_cell

R = reference_values("group_time")
PANEL = reference_panel("group_time")
COVARIATES = ("poverty", "log_population")


def design_of(
    table,
    method="doubly_robust",
    weights="none",
    within="none",
    covariates=(),
    comparison="never_treated",
    **more,
):
    estimator = replace(GROUP_TIME, method=method, weights=weights, within=within)
    return make_design_of(table, make_spec(estimator, covariates=covariates, comparison=comparison, **more))


def effects(estimate):
    table = estimate.table
    return {
        (int(c), int(t)): float(e)
        for c, t, e in zip(table["cohort"], table["time"], table["estimate"], strict=True)
    }


@pytest.mark.parametrize("name", sorted(R))
def test_every_cell_and_error_equals_r(name):
    method, comparison, weighted, covariates, within = name.split(".")
    design = design_of(
        PANEL,
        method,
        "population_baseline" if weighted == "weighted" else "none",
        "state" if within == "within" else "none",
        COVARIATES if covariates == "covariates" else (),
        comparison,
    )
    cells = group_time(design)
    check_estimate(cells)
    stored = pd.DataFrame(R[name]["cells"])
    assert (
        cells.table[["cohort", "time"]].to_numpy().tolist() == stored[["cohort", "time"]].to_numpy().tolist()
    )
    assert cells.table["n_counties"].tolist() == stored["n_counties"].tolist()
    assert cells.table["n_treated"].tolist() == stored["n_treated"].tolist()
    # The propensity score is iterative, the rest closed; R's errors come from numerical derivatives of the
    # estimating equations (five points), which carry about nine digits.
    assert cells.table["estimate"].to_numpy() == pytest.approx(stored["estimate"].to_numpy(), abs=1e-8)
    assert cells.table["std_error"].to_numpy() == pytest.approx(
        stored["std_error_by_state"].to_numpy(), rel=1e-6
    )
    by_county = recluster(cells, "county")
    check_estimate(by_county)
    assert by_county.table["std_error"].to_numpy() == pytest.approx(
        stored["std_error_by_county"].to_numpy(), rel=1e-6
    )
    post = aggregate(cells, over="post")
    check_estimate(post)
    assert post.table["estimate"].item() == pytest.approx(R[name]["post"]["estimate"], abs=1e-8)
    assert post.table["std_error"].item() == pytest.approx(R[name]["post"]["std_error_by_state"], rel=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
def test_cells_and_averages_equal_diff_diff(method, comparison):
    from diff_diff import CallawaySantAnna

    names = {"doubly_robust": "dr", "outcome_regression": "reg", "inverse_weighting": "ipw"}
    # With covariates its doubly robust weights are not normalised: the next test converts.
    covariates = () if method == "doubly_robust" else COVARIATES
    frame = PANEL.assign(first=PANEL["cohort"].fillna(0).astype(int))
    peer = CallawaySantAnna(
        control_group=comparison, estimation_method=names[method], base_period="universal", pscore_trim=1e-6
    ).fit(
        frame, "outcome", "county_fips", "year", "first", covariates=list(covariates) or None, aggregate="all"
    )
    cells = group_time(design_of(PANEL, method, covariates=covariates, comparison=comparison))
    ours = cells.table.set_index(["cohort", "time"])
    # diff-diff sums squared contributions by county without our factor n / (n - 1).
    n = PANEL["county_fips"].nunique()
    by_county = recluster(cells, "county")
    errors = by_county.table.set_index(["cohort", "time"])["std_error"] * np.sqrt((n - 1) / n)
    for (cohort, year), found in peer.group_time_effects.items():
        if (cohort, year) in ours.index and np.isfinite(found["se"]):
            assert ours.loc[(cohort, year), "estimate"] == pytest.approx(found["effect"], abs=1e-7)
            assert errors.loc[(cohort, year)] == pytest.approx(found["se"], rel=1e-6)
    dynamic = aggregate(by_county, over="event_time").table.set_index("event_time")
    for event_time, found in peer.event_study_effects.items():
        if event_time in dynamic.index:
            assert dynamic.loc[event_time, "estimate"] == pytest.approx(found["effect"], abs=1e-7)
            error = dynamic.loc[event_time, "std_error"] * np.sqrt((n - 1) / n)
            assert error == pytest.approx(found["se"], rel=1e-6)
    post = aggregate(by_county, over="post").table
    assert post["estimate"].item() == pytest.approx(peer.overall_att, abs=1e-7)
    assert post["std_error"].item() * np.sqrt((n - 1) / n) == pytest.approx(peer.overall_se, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_doubly_robust_differs_from_diff_diff_by_the_normalisation_alone():
    from diff_diff import CallawaySantAnna

    frame = PANEL.assign(first=PANEL["cohort"].fillna(0).astype(int))
    peer = CallawaySantAnna(estimation_method="dr", base_period="universal", pscore_trim=1e-6).fit(
        frame, "outcome", "county_fips", "year", "first", covariates=list(COVARIATES)
    )
    wide = PANEL.pivot_table(index="county_fips", columns="year", values="outcome")
    first = PANEL.drop_duplicates("county_fips").set_index("county_fips")
    ours = effects(group_time(design_of(PANEL, covariates=COVARIATES)))
    for (cohort, year), effect in ours.items():
        use = ((first["cohort"] == cohort) | first["cohort"].isna()).fillna(False).to_numpy(dtype=bool)
        d, change = first["cohort"][use].notna().to_numpy(), (wide[year] - wide[cohort - 1])[use].to_numpy()
        cell = prepare_cell(
            d,
            np.ones(len(d)),
            np.zeros(len(d), int),
            first.loc[use, list(COVARIATES)].to_numpy(),
            "doubly_robust",
        )
        residual = change - cell.x @ (cell.gram_inverse @ (cell.x[~d].T @ change[~d]))
        odds = cell.odds * ~d
        assert effect == pytest.approx(residual[d].mean() - odds @ residual / odds.sum())
        theirs = residual[d].mean() - odds @ residual / d.sum()
        assert peer.group_time_effects[cohort, year]["effect"] == pytest.approx(theirs, abs=1e-6)


def test_two_by_two_by_hand():
    outcome = {"06001": (1, 5), "06003": (2, 4), "19001": (1, 2), "19003": (3, 3), "19005": (2, 4)}
    table = pd.DataFrame(
        [
            {
                "county_fips": county, "year": year, "outcome": float(value), "weight": 1.0,
                "cohort": 2015 if county < "07" else pd.NA,
                "event_time": year - 2015 if county < "07" else pd.NA,
                "treated": county < "07" and year == 2015,
            }
            for county, values in outcome.items()
            for year, value in zip((2014, 2015), values, strict=True)
        ]
    )  # fmt: skip
    table["cohort"], table["event_time"] = (
        table["cohort"].astype("Int64"),
        table["event_time"].astype("Int64"),
    )
    found = aggregate(fit(design_of(table)), over="post")
    # Treated changes 4 and 2, comparison changes 1, 0 and 2: 3 - 1.
    assert found.table["estimate"].item() == pytest.approx(2.0)
    assert found.table[["n_counties", "n_treated"]].iloc[0].tolist() == [5, 2]
    by_county = recluster(found, "county")
    # Contributions: (4-3)/2, (2-3)/2; 0, 1/3, -1/3: sum of squares 13/18, times 5/4.
    assert by_county.table["std_error"].item() ** 2 == pytest.approx(13 / 18 * 5 / 4)


def by_strata(table, cohort, year, weights):
    """Treated-weighted mean over states of two-by-two differences, from the definition."""
    wide = table.pivot_table(index="county_fips", columns="year", values="outcome")
    first = table.drop_duplicates("county_fips").set_index("county_fips")
    change, state = wide[year] - wide[cohort - 1], first.index.str[:2]
    w = first["weight"] if weights else pd.Series(1.0, index=first.index)
    total, weight = 0.0, 0.0
    for one in sorted(set(state)):
        here = state == one
        d, c = (
            here & (first["cohort"] == cohort).fillna(False).to_numpy(),
            here & first["cohort"].isna().to_numpy(),
        )
        if d.any() and c.any():
            total += w[d].sum() * (np.average(change[d], weights=w[d]) - np.average(change[c], weights=w[c]))
            weight += w[d].sum()
    return total / weight


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weights", ["none", "population_baseline"])
def test_within_states_without_covariates_is_the_mean_of_two_by_twos(method, weights):
    found = effects(group_time(design_of(PANEL, method, weights, "state")))
    for (cohort, year), effect in found.items():
        assert effect == pytest.approx(by_strata(PANEL, cohort, year, weights != "none"), abs=1e-8)


def test_within_states_takes_out_whatever_a_state_and_year_share():
    rng = np.random.default_rng(5)
    shock = {
        key: rng.normal(0, 20)
        for key in sorted({(f[:2], y) for f, y in zip(PANEL["county_fips"], PANEL["year"], strict=True)})
    }
    moved = PANEL.assign(
        outcome=PANEL["outcome"]
        + [shock[f[:2], y] for f, y in zip(PANEL["county_fips"], PANEL["year"], strict=True)]
    )
    for method in METHODS:
        one = fit(design_of(PANEL, method, within="state", covariates=COVARIATES)).table["estimate"]
        two = fit(design_of(moved, method, within="state", covariates=COVARIATES)).table["estimate"]
        assert one.to_numpy() == pytest.approx(two.to_numpy(), abs=1e-7)


VARIANTS = [(method, within) for method in METHODS for within in ("none", "state")]


@pytest.mark.parametrize(("method", "within"), VARIANTS)
def test_properties(method, within):
    design = design_of(PANEL, method, "population_baseline", within, COVARIATES, "not_yet_treated")
    base = fit(design)
    check_estimate(base)
    numbers = base.table[["estimate", "std_error"]].to_numpy()

    def same(table, factor=1.0):
        found = fit(with_table(design, table))
        check_estimate(found)
        assert found.table[["estimate", "std_error"]].to_numpy() == pytest.approx(
            numbers * factor, rel=1e-7, abs=1e-9
        )
        return found

    same(PANEL.sample(frac=1, random_state=1))
    same(PANEL.assign(outcome=PANEL["outcome"] + 1000.0 + 7 * (PANEL["year"] - 2010)))
    same(PANEL.assign(outcome=PANEL["outcome"] * 10), 10)
    same(PANEL.assign(weight=PANEL["weight"] * 1e6))
    renamed = PANEL["county_fips"].map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")
    same(PANEL.assign(county_fips=renamed))
    always = PANEL[PANEL["county_fips"] == PANEL["county_fips"].iloc[0]].assign(
        county_fips="06998",
        cohort=2005,
        event_time=lambda t: t["year"] - 2005,
        treated=True,
        outcome=lambda t: t["outcome"] * 9,
    )
    always["cohort"], always["event_time"] = (
        always["cohort"].astype("Int64"),
        always["event_time"].astype("Int64"),
    )
    with_always = same(pd.concat([PANEL, always]))
    assert any("no year wholly before adoption" in note for note in with_always.notes)
    assert with_always.attrition["dropped"].iloc[-1] == 7


def test_inputs_are_not_changed():
    design = design_of(PANEL, covariates=COVARIATES)
    before = design.table.copy()
    aggregate(fit(design))
    pd.testing.assert_frame_equal(design.table, before)


def test_averages_agree_whichever_way_they_are_taken():
    for comparison in ("never_treated", "not_yet_treated"):
        cells = group_time(
            design_of(PANEL, "doubly_robust", "population_baseline", "none", COVARIATES, comparison)
        )
        direct, through = (
            aggregate(cells, over="post"),
            aggregate(aggregate(cells, over="event_time"), over="post"),
        )
        assert through.table["estimate"].item() == pytest.approx(direct.table["estimate"].item())
        assert through.table["std_error"].item() == pytest.approx(direct.table["std_error"].item())
        for over in ("cohort", "calendar"):
            part = aggregate(cells, over=over)
            check_estimate(part)
            assert part.estimand == "att"
            weights = np.nansum(part.treated, axis=0)
            assert np.average(part.table["estimate"], weights=weights) == pytest.approx(
                direct.table["estimate"].item()
            )
    with pytest.raises(SpecError, match="event times"):
        aggregate(aggregate(cells, over="event_time"), over="cohort")
    assert aggregate(direct, over="post") is direct


def test_half_year_effect_in_the_adoption_year_is_recovered_in_full():
    # Protocol rule 5. No noise, no trends: the answer is exact.
    table = simulated_panel(11, counties=120, half_year=True, growth=0.0, effect=-2.0)
    noise_free = table.assign(
        outcome=np.where(table["treated"], -2.0, np.where(table["transition"], -1.0, 0.0))
        + 0.3 * (table["year"] - 2010)
    )
    dropped = noise_free[~noise_free["transition"]].drop(columns="transition")
    found = fit(design_of(dropped, comparison="not_yet_treated"))
    check_estimate(found)
    after = found.table["event_time"] >= 0
    assert found.table.loc[after, "estimate"].to_numpy() == pytest.approx(-2.0)
    assert found.table.loc[~after, "estimate"].to_numpy() == pytest.approx(0.0, abs=1e-12)
    assert -1 not in found.table["event_time"].tolist()
    # Counting the adoption year as untreated instead halves nothing but moves the base: the effect is too
    # small.
    kept = noise_free.assign(event_time=(noise_free["year"] - noise_free["cohort"]).astype("Int64")).drop(
        columns="transition"
    )
    late = fit(design_of(kept, comparison="not_yet_treated")).table
    assert (late.loc[late["event_time"] >= 0, "estimate"] > -1.5).all()


def test_january_and_midyear_adopters_of_one_cohort_have_bases_of_their_own():
    midyear = simulated_panel(3, counties=80, cohorts=(2014,), half_year=True)
    midyear = midyear[~midyear["transition"]]
    january = simulated_panel(4, counties=80, cohorts=(2014,))
    january = january.assign(
        county_fips=january["county_fips"].map(lambda f: f[:2] + f"{int(f[2:]) + 500:03d}")
    )
    cells = group_time(design_of(pd.concat([midyear, january]).drop(columns="transition")))
    check_estimate(cells)
    terms = cells.table["term"].tolist()
    assert "cohort=2014, base=2012, time=2015" in terms
    assert "cohort=2014, base=2013, time=2015" in terms
    assert "cohort=2014, base=2012, time=2013" not in terms
    assert (
        cells.table.loc[cells.table["term"] == "cohort=2014, base=2012, time=2011", "event_time"].item() == -2
    )
    # Each base gives what its own counties give alone, against the same never-treated ones.
    never = pd.concat([midyear, january]).query("cohort.isna()")
    alone = pd.concat([midyear[midyear["cohort"].notna()], never]).drop(columns="transition")
    alone = group_time(design_of(alone))
    one = cells.table.set_index("term").loc["cohort=2014, base=2012, time=2015", "estimate"]
    assert one == pytest.approx(alone.table.set_index("term").loc["cohort=2014, time=2015", "estimate"])


def test_cells_without_comparison_stay_as_rows():
    # Everyone adopts: after the last cohort nobody is left to compare with.
    everyone = PANEL[PANEL["cohort"].notna()]
    cells = group_time(design_of(everyone, comparison="not_yet_treated"))
    check_estimate(cells)
    gone = cells.table["estimate"].isna()
    assert gone.sum() > 0
    assert set(cells.table.loc[gone & (cells.table["cohort"] == 2015), "time"]) >= {2015, 2016}
    note = next(note for note in cells.notes if "no comparison county" in note)
    assert "cohort 2015, base 2014: 2010 2011 2012 2013 2015 2016" in note
    dynamic = aggregate(cells, over="event_time")
    check_estimate(dynamic)
    assert len(dynamic.table) == len(set(cells.table["event_time"]))
    with pytest.raises(SampleError, match="no comparison"):
        fit(design_of(everyone, comparison="never_treated"))


def test_unbalanced_cells_use_counties_seen_in_both_years():
    rng = np.random.default_rng(8)
    table = PANEL[rng.random(len(PANEL)) > 0.08]
    cells = group_time(design_of(table))
    check_estimate(cells)
    wide = table.pivot_table(index="county_fips", columns="year", values="outcome")
    cohort = table.drop_duplicates("county_fips").set_index("county_fips")["cohort"].reindex(wide.index)
    for _, row in cells.table.iterrows():
        change = (wide[row["time"]] - wide[row["cohort"] - 1]).dropna()
        d = (cohort.reindex(change.index) == row["cohort"]).fillna(False).to_numpy(dtype=bool)
        c = cohort.reindex(change.index).isna().to_numpy()
        assert row["estimate"] == pytest.approx(change[d].mean() - change[c].mean())
        assert (row["n_treated"], row["n_counties"]) == (d.sum(), d.sum() + c.sum())


def test_too_few_comparisons_for_covariates_and_separated_arms_are_said():
    few = PANEL[
        PANEL["cohort"].notna()
        | PANEL["county_fips"].isin(PANEL.loc[PANEL["cohort"].isna(), "county_fips"].unique()[:2])
    ]
    with pytest.raises(SampleError, match="too few comparison"):
        fit(design_of(few, "outcome_regression", covariates=COVARIATES))
    apart = PANEL.assign(poverty=PANEL["cohort"].fillna(0).astype(float))
    with pytest.raises(SampleError, match="separates"):
        fit(design_of(apart, "inverse_weighting", covariates=COVARIATES))


def test_anticipation_moves_the_base_back():
    cells = group_time(design_of(PANEL, anticipation=1))
    check_estimate(cells)
    assert cells.reference == -2
    assert set(cells.table["event_time"]) >= {-1, 0}
    assert -2 not in set(cells.table["event_time"])
    wide = PANEL.pivot_table(index="county_fips", columns="year", values="outcome")
    first = PANEL.drop_duplicates("county_fips").set_index("county_fips")["cohort"]
    change = wide[2013] - wide[2012]
    expected = change[(first == 2014).fillna(False)].mean() - change[first.isna()].mean()
    assert effects(cells)[2014, 2013] == pytest.approx(expected)


def test_control_policies_enter_as_changes_since_the_base():
    rng = np.random.default_rng(2)
    start = {f: 2011 + rng.integers(0, 5) for f in PANEL["county_fips"].unique()}
    active = (PANEL["year"] >= PANEL["county_fips"].map(start)).astype(float)
    table = PANEL.assign(secure_communities=active, outcome=PANEL["outcome"] + 50 * active)
    plain = fit(design_of(PANEL, "outcome_regression", controls=()))
    held = fit(design_of(table, "outcome_regression", controls=("secure_communities",)))
    again = fit(
        design_of(
            PANEL.assign(secure_communities=active), "outcome_regression", controls=("secure_communities",)
        )
    )
    # An effect of the control of any size is taken out exactly, whatever the answer without it.
    assert held.table["estimate"].to_numpy() == pytest.approx(again.table["estimate"].to_numpy(), abs=1e-7)
    assert not np.allclose(held.table["estimate"], plain.table["estimate"], atol=1e-4)
    assert any("secure_communities" in note for note in held.notes)


def test_bands_hold_the_whole_path_and_depend_on_the_seed_alone():
    one, two = fit(design_of(PANEL)), fit(design_of(PANEL))
    pd.testing.assert_frame_equal(one.table, two.table)
    assert (one.table["band_low"] < one.table["conf_low"]).all()
    other = make_design_of(PANEL, make_spec(GROUP_TIME, replace(BY_STATE, seed=5)))
    assert not np.allclose(fit(other).table["band_low"], one.table["band_low"])
    none = make_design_of(PANEL, make_spec(GROUP_TIME, replace(BY_STATE, draws=0)))
    found = fit(none).table
    assert found["band_low"].to_numpy() == pytest.approx(found["conf_low"].to_numpy())


def test_glance_and_summary_say_who_stands_behind_it():
    found = aggregate(fit(design_of(PANEL)))
    line = found.glance().iloc[0]
    first = PANEL.drop_duplicates("county_fips")
    assert line["n_treated"] == first["cohort"].notna().sum()
    assert line["n_comparison"] == first["cohort"].isna().sum()
    assert line["treated_states"] == "CA CO IA IL MN NY OR TX WA WI"
    assert (line["clusters"], line["df"]) == (10, 9)
    assert "SIMULATED DATA" in found.summary()
    assert "10 clusters" in found.summary()


def test_speed():
    table = simulated_panel(
        1, counties=3100, years=range(2000, 2020), cohorts=tuple(range(2008, 2014)), share=0.15
    )
    design = design_of(table.drop(columns="transition"), covariates=("poverty",))
    start = time.perf_counter()
    fit(design)
    # About 0.3 s on a quiet core; a shared machine gets room.
    assert time.perf_counter() - start < 3

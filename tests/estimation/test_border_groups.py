"""Groups of adopters with all their neighbours: by hand, against dense matrices, with known truths, and what must bite."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_border_pairs import NEIGHBOURS, PANEL, both_ways, design_of, fitted, gridded, hand_made

from analysis.base.errors import SampleError, SpecError
from analysis.estimation import border_pairs

GROUPS = ("group_by_year", "county_year")


def stacked(table, neighbours, comparison="never_treated", span=None, fewest=0):
    """The panel of groups as rows, made one adopter and neighbour at a time."""
    by = dict(tuple(table.groupby("county_fips")))
    parts = []
    for a, b in neighbours.itertuples(index=False):
        left, right = by[a], by[b]
        first, second = left["cohort"].iloc[0], right["cohort"].iloc[0]
        if pd.isna(first) or not (pd.isna(second) or (comparison == "not_yet_treated" and second > first)):
            continue
        time = dict(zip(left["year"], left["event_time"].astype(int), strict=True))
        years = set(left["year"]) & set(right.loc[~right["treated"], "year"])
        near = {y for y in years if span is None or -span[0] <= time[y] < span[1]}
        if len({time[y] >= 0 for y in near}) < 2 or sum(time[y] < 0 for y in years) < fewest:
            continue
        if fewest:
            near |= {y for y in years if time[y] < 0}
        parts += [
            side[side["year"].isin(near)].assign(
                group=a, own=side is left, time=lambda d, t=time: d["year"].map(t)
            )
            for side in (left, right)
        ]
    rows = pd.concat(parts).drop_duplicates(["group", "county_fips", "year"]).reset_index(drop=True)
    rows["D"] = (rows["own"] & rows["treated"]) * 1.0
    rows["share"] = 1 / rows.groupby("county_fips")["group"].transform("nunique")
    return rows


def dense(rows, effects, weight, more=()):
    """Coefficient of D and its parts by row, from one dense matrix."""
    level = rows["year"].astype(str) + (rows["group"] if effects == "group_by_year" else "")
    z = np.hstack(
        [
            rows[["D"]].to_numpy(float),
            *(np.asarray(m, dtype=float).reshape(len(rows), -1) for m in more),
            pd.get_dummies(rows["county_fips"]).to_numpy(float),
            pd.get_dummies(level).to_numpy(float),
        ]
    )
    solve = np.linalg.pinv(z * np.sqrt(weight)[:, None], rcond=1e-11) * np.sqrt(weight)
    beta = solve @ rows["outcome"].to_numpy(float)
    return beta[0], solve[0] * (rows["outcome"].to_numpy(float) - z @ beta)


@pytest.mark.parametrize("effects", GROUPS)
@pytest.mark.parametrize("repeats", ["whole", "shared"])
@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("span", [None, (2, 1)])
def test_estimates_and_errors_equal_a_dense_regression(effects, repeats, comparison, span):
    rows = stacked(PANEL, NEIGHBOURS, comparison, span)
    weight = (rows["weight"] * (1 if repeats == "whole" else rows["share"])).to_numpy()
    estimate, parts = dense(rows, effects, weight / weight.mean())
    keys = {
        "effects": effects,
        "repeats": repeats,
        "comparison": comparison,
        "span": span,
        "weights": "population_baseline",
    }
    found = fitted(**keys)
    assert found.table["estimate"].item() == pytest.approx(estimate, abs=1e-8)
    state = rows["county_fips"].str[:2].to_numpy()
    g = len(np.unique(state))
    crossing = rows.groupby("group")["county_fips"].transform(lambda c: c.str[:2].nunique()) > 1
    level = (rows["group"] + rows["year"].astype(str))[crossing].nunique()
    counted = 1 + (rows["year"].nunique() if effects == "county_year" else max(1, level))
    scale = (len(rows) - 1) / (len(rows) - counted) * g / (g - 1)
    expected = (pd.Series(parts).groupby(state).sum() ** 2).sum() * scale
    assert found.vcov[0, 0] == pytest.approx(expected, rel=1e-6)
    # Clusters of groups are what stands for segments.
    both = fitted(**keys, by="segment")
    counted = 1 + (rows["year"].nunique() if effects == "county_year" else 1)
    groups = rows["group"].nunique()
    scale = (len(rows) - 1) / (len(rows) - counted) * groups / (groups - 1)
    expected = (pd.Series(parts).groupby(rows["group"].to_numpy()).sum() ** 2).sum() * scale
    assert both.vcov[0, 0] == pytest.approx(expected, rel=1e-6)
    assert both.inference.clusters == groups


@pytest.mark.parametrize("effects", GROUPS)
def test_covariates_have_their_own_effect_in_every_year(effects):
    rng = np.random.default_rng(5)
    share = pd.Series(rng.random(PANEL["county_fips"].nunique()), index=PANEL["county_fips"].unique())
    table = PANEL.assign(hispanic=PANEL["county_fips"].map(share))
    design = design_of(table, effects=effects, comparison="never_treated", repeats="whole")
    from dataclasses import replace

    found = border_pairs.fit(replace(design, covariates=("hispanic",)))
    rows = stacked(table, NEIGHBOURS)
    year = pd.get_dummies(rows["year"]).to_numpy(float)[:, 1:]
    estimate, _ = dense(rows, effects, np.ones(len(rows)), (rows["hispanic"].to_numpy()[:, None] * year,))
    assert found.table["estimate"].item() == pytest.approx(estimate, abs=1e-8)
    assert found.table["estimate"].item() != pytest.approx(
        border_pairs.fit(design).table["estimate"].item(), abs=1e-6
    )
    assert any("own effect in every year: hispanic" in note for note in found.notes)


@pytest.mark.parametrize("effects", [*GROUPS, "pair_by_year"])
def test_a_line_of_each_county_is_fitted_before_adoption_and_taken_off(effects):
    table, geography = gridded(4, cohorts=(2014,), years=range(2009, 2017))
    rng = np.random.default_rng(2)
    slope = pd.Series(rng.normal(size=table["county_fips"].nunique()), index=table["county_fips"].unique())
    treated = table["treated"].astype(float)
    own = table["county_fips"].map(slope) * (table["year"] - 2000)
    table["outcome"] = own + 3.0 * treated
    bent = fitted(table, geography, effects=effects)
    straight = fitted(table, geography, effects=effects, trends="county")
    assert straight.table["estimate"].item() == pytest.approx(3.0, abs=1e-8)
    assert bent.table["estimate"].item() != pytest.approx(3.0, abs=0.01)
    # Near adoption alone, with the line of all years before it.
    near = fitted(table, geography, effects=effects, trends="county", span=(2, 1))
    assert near.table["estimate"].item() == pytest.approx(3.0, abs=1e-8)
    assert any("a line of each county" in note for note in near.notes)
    # An effect of the years after adoption does not reach the lines; what is no line stays.
    table["outcome"] += 5.0 * (table["year"] == 2016) * treated
    late = fitted(table, geography, effects=effects, trends="county")
    assert late.table["estimate"].item() == pytest.approx(3 + 5 / 3, abs=1e-8)


@pytest.mark.parametrize("effects", GROUPS)
def test_lines_by_hand_with_gaps(effects):
    rng = np.random.default_rng(8)
    table = PANEL.assign(outcome=PANEL["outcome"] + rng.normal(size=len(PANEL)))
    rows = stacked(table, NEIGHBOURS, fewest=border_pairs.FEWEST_LINE_YEARS, span=(2, 2))
    outcome = rows["outcome"].to_numpy(float).copy()
    for _, part in rows.groupby(["group", "county_fips"]):
        before = part[part["time"] < 0]
        fit = np.polyfit(before["year"], before["outcome"].astype(float), 1)
        outcome[part.index] -= fit[0] * (part["year"] - before["year"].max()).to_numpy()
    rows = rows.assign(outcome=outcome)[rows["time"].between(-2, 1)].reset_index(drop=True)
    estimate, _ = dense(rows, effects, np.ones(len(rows)))
    found = fitted(
        table, effects=effects, comparison="never_treated", repeats="whole", trends="county", span=(2, 2)
    )
    assert found.table["estimate"].item() == pytest.approx(estimate, abs=1e-8)


def test_two_years_make_no_line():
    rows = {
        "06001": (2016, (1, 2, 6)),
        "06003": (None, (1, 2, 3)),
        "19001": (2016, (4, 4, 7)),
        "19003": (None, (1, 1, 2)),
    }
    touch = both_ways(("06001", "06003"), ("19001", "19003"))
    assert fitted(hand_made(rows), touch, effects="county_year").table["n_treated"].item() == 2
    with pytest.raises(SampleError, match="observed 3 years before and after"):
        border_pairs.fit(design_of(hand_made(rows), touch, effects="county_year", trends="county"))


def test_a_county_in_two_groups_by_hand():
    # 06003 touches two adopters: with its whole weight in each it weighs twice in the mean change of neighbours.
    table = hand_made(
        {
            "06001": (2015, (0, 9)), "19001": (2015, (0, 3)), "06003": (None, (0, 1)), "06005": (None, (0, 4)),
        }
    )  # fmt: skip
    touch = both_ways(("06001", "06003"), ("19001", "06003"), ("06001", "06005"))
    whole = fitted(table, touch, effects="county_year", repeats="whole")
    assert whole.table["estimate"].item() == pytest.approx(6 - (1 + 1 + 4) / 3)
    shared = fitted(table, touch, effects="county_year", repeats="shared")
    assert shared.table["estimate"].item() == pytest.approx(6 - (1 + 4) / 2)
    assert "in each: who borders often counts often" in " ".join(whole.notes)
    assert "2 groups (an adopter with all its neighbours)" in " ".join(whole.notes)


@pytest.mark.parametrize("effects", GROUPS)
def test_the_truth_is_found_and_every_key_bites(effects):
    table, geography = gridded(11, share=0.2, cohorts=(2013, 2014), years=range(2010, 2017))
    rng = np.random.default_rng(3)
    county = table["county_fips"].map(
        dict(zip(table["county_fips"].unique(), rng.normal(size=999), strict=False))
    )
    common = table["year"].map(dict(zip(range(2010, 2017), rng.normal(size=7), strict=True)))
    exact = table.assign(outcome=county + common + 2.0 * table["treated"])
    keys = {"effects": effects, "repeats": "whole", "span": (2, 1)}
    assert fitted(exact, geography, **keys).table["estimate"].item() == pytest.approx(2.0, abs=1e-9)
    dynamic = fitted(exact, geography, **keys | {"method": "event_time"})
    assert dynamic.table["event_time"].tolist() == [-2, 0]
    assert dynamic.table["estimate"].to_numpy() == pytest.approx([0.0, 2.0], abs=1e-9)
    noisy = exact.assign(outcome=exact["outcome"] + rng.normal(size=len(exact)), weight=1 + county.abs())
    base = fitted(noisy, geography, **keys, weights="population_baseline").table["estimate"].item()
    for change in ({"span": (3, 1)}, {"span": (2, 2)}, {"repeats": "shared"}, {"trends": "county"},
                   {"effects": GROUPS[effects == GROUPS[0]]}, {"span": None}):  # fmt: skip
        again = (
            fitted(noisy, geography, **keys | change, weights="population_baseline").table["estimate"].item()
        )
        assert again != pytest.approx(base, abs=1e-6), change


def test_errors_hold_the_lines_own_uncertainty():
    rng = np.random.default_rng(20)
    table, geography = gridded(
        6, side=(2, 2), states=(4, 3), share=0.25, cohorts=(2014,), years=range(2010, 2017)
    )
    estimates, errors = [], []
    for _ in range(150):
        noisy = table.assign(outcome=rng.normal(size=len(table)))
        found = fitted(noisy, geography, effects="county_year", repeats="whole", trends="county", span=(2, 1))
        estimates.append(found.table["estimate"].item())
        errors.append(found.table["std_error"].item())
    # Monte Carlo error of a spread from 150 draws is about 6 %; few clusters make errors a little small.
    assert 0.75 < np.mean(errors) / np.std(estimates) < 1.2
    assert abs(np.mean(estimates)) < 3.5 * np.std(estimates) / np.sqrt(150)


def test_what_groups_refuse():
    for effects in GROUPS:
        with pytest.raises(SpecError, match="segment"):
            border_pairs.fit(design_of(effects=effects, by="county"))
    with pytest.raises(SampleError, match="observed before and after"):
        rows = {"06001": (2016, (None, 2, 6)), "06003": (None, (1, None, 3))}
        border_pairs.fit(design_of(hand_made(rows), both_ways(("06001", "06003")), effects="county_year"))

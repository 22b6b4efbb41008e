"""Options of the staggered estimators: urban classes as strata, county trends, windows, exposure, marked leads."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    GROUP_TIME,
    TWO_WAY,
    make_design_of,
    make_spec,
    simulated_panel,
)

from analysis.base.errors import SampleError, SpecError
from analysis.design.spec import EstimatorSection
from analysis.estimation import aggregate, check_estimate, fit, imputation, recluster, stacked
from analysis.estimation.estimate import LEAD
from analysis.estimation.group_time import METHODS
from analysis.estimation.group_time import group_time as group_time_att

CLASSES = ("large_central_metro", "small_metro", "noncore")
PANEL = simulated_panel(21, counties=144).assign(
    urban_class=lambda t: (t["county_fips"].str[2:].astype(int) // 24 % 3).map(dict(enumerate(CLASSES)))
)
KEEP = np.random.default_rng(6).random(len(PANEL)) > 0.08
HOLES = PANEL[KEEP].assign(secure_communities=lambda t: (t["year"] >= 2011 + t["county_fips"].str[2:].astype(int) % 5) * 1.0)  # fmt: skip
COUNTS = PANEL.assign(
    population=PANEL["weight"],
    outcome=np.random.default_rng(0)
    .poisson(PANEL["weight"] / 20_000 * np.exp(0.02 * (PANEL["outcome"] - 40) - 0.3 * PANEL["treated"]))
    .astype(float),
)
# name -> the other keys of its section, its comparison
SECTIONS = {
    "imputation": ({}, "not_yet_treated"),
    "two_stage": ({}, "not_yet_treated"),
    "interaction_weighted": ({}, "never_treated"),
    "stacked": ({}, "not_yet_treated"),
    "extended_two_way": ({"method": "linear"}, "not_yet_treated"),
    "local_projections": ({"method": "equally_weighted"}, "not_yet_treated"),
    **{f"group_time_att.{method}": ({"method": method}, "not_yet_treated") for method in METHODS},
}


def design_of(name, table, weights="none", within="none", **more):
    keys, comparison = SECTIONS[name]
    sections = {
        key: more.pop(key) for key in ("inference", "covariates", "controls", "anticipation") if key in more
    }
    estimator = EstimatorSection(name.split(".")[0], weights, within=within, **{**keys, **more})
    return make_design_of(table, make_spec(estimator, comparison=comparison, **sections))


def counts_of(name, table=COUNTS, **keys):
    keys = {"effects": "county_year", "method": "post", **keys} if name == "poisson" else keys
    spec = make_spec(EstimatorSection(name, "none", **keys), comparison="not_yet_treated")
    return make_design_of(table, replace(spec, outcome=replace(spec.outcome, scale="count")))


def cells_of(name, *args, **more):
    """The finest rows an estimator gives."""
    design = design_of(name, *args, **more)
    if name.startswith("group_time_att"):
        return group_time_att(design)
    if name == "local_projections":
        return fit(design)
    module = __import__(
        f"analysis.estimation.{'imputation' if name == 'two_stage' else name}", fromlist=["x"]
    )
    return module.group_time(design, *([(2, 1)] if name == "stacked" else []))


def root_factor(estimate):
    """The root of (N - 1) / (N - k) of a regression, from its note; 1 for the others."""
    said = [re.search(r"N = ([\d,]+), k = (\d+)", note) for note in estimate.notes]
    counted = [tuple(int(part.replace(",", "")) for part in found.groups()) for found in said if found]
    return np.sqrt((counted[0][0] - 1) / (counted[0][0] - counted[0][1])) if counted else 1.0


# --- within urban classes
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["none", "population_baseline"])
@pytest.mark.parametrize("name", list(SECTIONS))
def test_within_urban_classes_it_is_the_average_of_the_classes(name, weights):
    whole = cells_of(name, HOLES, weights, "urban_class")
    check_estimate(whole)
    parts = [cells_of(name, HOLES[HOLES["urban_class"] == one], weights) for one in CLASSES]
    for k, row in whole.table.iterrows():
        lines = [part.table.set_index("term") for part in parts]
        at = [line.index.get_loc(row["term"]) if row["term"] in line.index else None for line in lines]
        known = [
            (part, i)
            for part, i in zip(parts, at, strict=True)
            if i is not None and np.isfinite(part.table["estimate"].iloc[i])
        ]
        if not known:
            assert np.isnan(row["estimate"])
            continue
        if row["term"].startswith(LEAD):
            continue  # leads of all classes share one coefficient
        sizes = np.array([np.nansum(part.treated[:, i]) for part, i in known])
        effects = np.array([part.table["estimate"].iloc[i] for part, i in known])
        assert row["estimate"] == pytest.approx(sizes @ effects / sizes.sum(), abs=1e-8)
        assert row["n_treated"] == sum(part.table["n_treated"].iloc[i] for part, i in known)
        if name == "imputation":
            continue  # deviations are from a mean over all classes
        # Classes share no county, so contributions stand side by side, and the shares' error with them.
        expected = pd.Series(0.0, whole.counties)
        for (part, i), effect in zip(known, effects, strict=True):
            own = np.nan_to_num(part.treated[:, i])
            expected[part.counties] += (
                sizes.sum() ** -1 * np.nansum(own) * part.influence[:, i] / root_factor(part)
                + own * (effect - row["estimate"]) / sizes.sum()
            )
        bare = whole.influence[:, k] / root_factor(whole)
        assert bare == pytest.approx(expected.to_numpy(), abs=1e-8)
    assert any("urban class" in note or "urban-class" in note for note in whole.notes)
    assert not any("within states" in note or "state-by-year" in note for note in whole.notes)
    check_estimate(recluster(whole, "county"))


@pytest.mark.parametrize("name", ["interaction_weighted", "extended_two_way"])
def test_class_by_year_effects_are_counted_where_clusters_are_states(name):
    # Classes cross states, so no year effect of theirs lies within a cluster: three classes by eight years.
    cells = cells_of(name, PANEL, within="urban_class")
    crossing = int(np.isfinite(cells.table["estimate"]).sum())
    by_class = [cells_of(name, PANEL[PANEL["urban_class"] == one]) for one in CLASSES]
    rank = sum(int(np.isfinite(part.table["estimate"]).sum()) for part in by_class)
    assert crossing == by_class[0].table["estimate"].notna().sum()
    assert any(f"N = 1,152, k = {rank + 24}" in note for note in cells.notes)
    # State by year they do: one constant.
    within = cells_of(name, PANEL, within="state")
    k = int(next(note for note in within.notes if "error factor" in note).rsplit(" ", 1)[1])
    by_county = cells_of(name, PANEL, within="state", inference=replace(within.spec.inference, by="county"))
    assert any(f"k = {k - 1 + 12 * 8}" in note for note in by_county.notes)


@pytest.mark.filterwarnings("ignore")
def test_poisson_with_class_by_year_effects_equals_pyfixest():
    import pyfixest as pf

    found = fit(counts_of("poisson", effects="urban_class_by_year"))
    check_estimate(found)
    data = COUNTS.assign(
        D=COUNTS["treated"] * 1.0, state=COUNTS["county_fips"].str[:2], log_people=np.log(COUNTS["population"]),
        class_year=COUNTS["urban_class"] + COUNTS["year"].astype(str),
    )  # fmt: skip
    peer = pf.fepois(
        "outcome ~ D | county_fips + class_year", data, vcov={"CRV1": "state"}, offset="log_people", iwls_tol=1e-12,
        ssc=pf.ssc(k_adj=True, k_fixef="nonnested", G_adj=True, G_df="min"),
        demeaner=pf.MapDemeaner(fixef_tol=1e-12, fixef_maxiter=100_000),
    )  # fmt: skip
    # Iterative on both sides. Class-by-year effects cross states and are counted.
    assert found.table["estimate"].item() == pytest.approx(peer.coef()["D"], abs=1e-6)
    assert np.sqrt(found.vcov[0, 0]) == pytest.approx(peer.se()["D"], rel=1e-5)
    assert any("county and urban-class-by-year effects" in note for note in found.notes)


@pytest.mark.parametrize("name", list(SECTIONS))
def test_whatever_an_urban_class_and_year_share_drops_out(name):
    rng = np.random.default_rng(5)
    key = HOLES["urban_class"] + HOLES["year"].astype(str)
    shock = key.map(dict(zip(sorted(set(key)), rng.normal(0, 20, key.nunique()), strict=True)))
    one = cells_of(name, HOLES, within="urban_class").table[["estimate", "std_error"]].to_numpy()
    moved = HOLES.assign(outcome=HOLES["outcome"] + shock)
    two = cells_of(name, moved, within="urban_class").table[["estimate", "std_error"]].to_numpy()
    assert two == pytest.approx(one, rel=1e-7, abs=1e-9, nan_ok=True)
    across = cells_of(name, moved).table["estimate"].to_numpy()
    assert np.nanmax(np.abs(across - cells_of(name, HOLES).table["estimate"].to_numpy())) > 1


def test_counts_cannot_be_compared_within_classes_in_the_extended_form():
    with pytest.raises(SpecError, match="urban_class"):
        fit(counts_of("extended_two_way", method="poisson", within="urban_class"))


# --- county trends
# ----------------------------------------------------------------------------------------------------


SOME = HOLES[HOLES["county_fips"].str[:2].isin(["06", "12", "17", "19"])].reset_index(drop=True)


def with_lines(table):
    """Dummies of county, county times year, and year."""
    county = pd.get_dummies(table["county_fips"]).to_numpy(dtype=float)
    time = (table["year"] - 2013).to_numpy(dtype=float)
    return np.hstack([county, county * time[:, None], pd.get_dummies(table["year"]).to_numpy(dtype=float)])


@pytest.mark.parametrize("controls", [(), ("secure_communities",)])
@pytest.mark.parametrize("weights", ["none", "population_baseline"])
def test_county_trends_equal_a_regression_with_dummies_on_untreated_years(weights, controls):
    found = imputation.group_time(design_of("imputation", SOME, weights, trends="county", controls=controls))
    check_estimate(found)
    d = make_design_of(SOME, found.spec).table
    untreated = d.groupby("county_fips")["treated"].transform(lambda t: (~t).sum())
    d = d[untreated >= 3].reset_index(drop=True)
    z = np.hstack([with_lines(d), d[list(controls)].to_numpy(dtype=float)])
    y, w, on = d["outcome"].to_numpy(), d["weight"].to_numpy(), d["treated"].to_numpy()
    root = np.sqrt(w[~on])
    solve = np.linalg.pinv(z[~on] * root[:, None], rcond=1e-11) * root
    gap = y - z @ (solve @ y[~on])
    told = np.abs(z @ (np.eye(z.shape[1]) - np.linalg.pinv(z[~on], rcond=1e-11) @ z[~on])).max(axis=1) < 1e-7
    checked = 0
    for k, row in found.table[found.table["event_time"] >= 0].iterrows():
        cell = on & (d["cohort"] == row["cohort"]).fillna(False) & (d["year"] == row["time"])
        cell = (cell & told).to_numpy()
        if not cell.any():
            assert np.isnan(row["estimate"])
            continue
        checked += 1
        share = w * cell / w[cell].sum()
        # Closed form against a pseudo-inverse of a hundred columns: 1e-8 of outcomes near 40.
        assert row["estimate"] == pytest.approx(share @ gap, abs=1e-7)
        v = np.zeros(len(y))
        v[~on] = -(solve.T @ (z.T @ share))
        residual = np.where(on, gap - (share**2 @ gap) / (share**2).sum(), gap)
        parts = (share + v) * residual
        by = np.array([parts[(d["county_fips"] == c).to_numpy()].sum() for c in found.counties])
        assert found.influence[:, k] == pytest.approx(by, abs=1e-7)
    assert checked >= 10


@pytest.mark.filterwarnings("ignore")
def test_county_trends_and_their_leads_equal_pyfixest():
    import pyfixest as pf

    table = SOME.loc[SOME["county_fips"].isin(SOME["county_fips"].unique()[:30])].copy()
    found = imputation.group_time(design_of("imputation", table, trends="county"))
    check_estimate(found)
    untreated = table.groupby("county_fips")["treated"].transform(lambda t: (~t).sum())
    data = table[untreated >= 3].reset_index(drop=True)
    slopes = []
    for county in sorted(data["county_fips"].unique()):
        data[f"slope_{county}"] = (data["county_fips"] == county) * (data["year"] - 2013.0)
        slopes.append(f"slope_{county}")
    treated = data.index[data["treated"]]
    for row in treated:
        data[f"row_{row}"] = (data.index == row) * 1.0
    names = [f"row_{row}" for row in treated]
    options = {"ssc": pf.ssc(k_adj=False, G_adj=False), "fixef_rm": "none", "demeaner": pf.MapDemeaner(fixef_tol=1e-12, fixef_maxiter=100_000)}  # fmt: skip
    # An indicator of its own for every treated row: its coefficient is the gap to the untreated rows' prediction.
    peer = pf.feols(f"outcome ~ {' + '.join(names + slopes)} | county_fips + year", data, **options)
    gaps = peer.coef().reindex(names).to_numpy()
    cells = data.loc[treated].assign(gap=gaps).groupby(["cohort", "year"])["gap"].mean()
    after = found.table[found.table["event_time"] >= 0].dropna(subset="estimate")
    expected = [cells[c, t] for c, t in zip(after["cohort"], after["time"], strict=True)]
    # The engine demeans by iteration.
    assert after["estimate"].to_numpy() == pytest.approx(np.array(expected), abs=1e-6)
    leads = found.table[found.table["term"].str.startswith(LEAD)]
    # Two years are left for a line: one lead of the first cohort's three years, two and three of the later ones.
    assert leads.groupby("cohort").size().tolist() == [1, 2, 3]
    early, names = data[~data["treated"]].copy(), []
    for _, row in leads.iterrows():
        name = f"lead_{row['cohort']}_{row['time']}"
        here = (early["cohort"] == row["cohort"]) & (early["year"] == row["time"])
        early[name] = here.fillna(False) * 1.0
        names.append(name)
    peer = pf.feols(
        f"outcome ~ {' + '.join(names + slopes)} | county_fips + year",
        early,
        vcov={"CRV1": "county_fips"},
        **options,
    )
    assert leads["estimate"].to_numpy() == pytest.approx(peer.coef()[names].to_numpy(), abs=1e-6)
    labelled = recluster(found, "county")
    g = labelled.inference.clusters
    ours = labelled.table["std_error"].to_numpy()[leads.index] * np.sqrt((g - 1) / g)
    assert ours == pytest.approx(peer.se()[names].to_numpy(), rel=1e-4)


def test_county_lines_are_taken_out_in_full_and_others_are_not():
    rng = np.random.default_rng(8)
    slope = dict(zip(sorted(set(PANEL["county_fips"])), rng.normal(0, 2, 144), strict=True))
    lines = PANEL["county_fips"].map(slope) * (PANEL["year"] - 2010)
    # Adopters' slopes are steeper: what county and year effects alone take for an effect.
    lines += np.where(PANEL["cohort"].notna(), 0.8, 0.0) * (PANEL["year"] - 2010)
    bumps = (PANEL["year"] % 3 == 0) * 4.0
    table = PANEL.assign(outcome=PANEL["effect"] + PANEL["poverty"] + lines + bumps)
    found = imputation.fit(design_of("imputation", table, trends="county"))
    check_estimate(found)
    for _, row in found.table.iterrows():
        time = row["event_time"]
        assert row["estimate"] == pytest.approx(-2.0 - 0.5 * time if time >= 0 else 0.0, abs=1e-8)
    plain = aggregate(imputation.fit(design_of("imputation", table)), over="post")
    truth = PANEL.loc[PANEL["treated"], "effect"].mean()
    assert plain.table["estimate"].item() > truth + 0.5
    assert any("a straight line for each county" in note for note in found.notes)


def test_counties_too_short_for_a_line_are_left_out_by_a_line():
    short = sorted(PANEL.loc[PANEL["cohort"] == 2013, "county_fips"].unique())[:3]
    table = PANEL[~(PANEL["county_fips"].isin(short) & (PANEL["year"] == 2011))]
    found = imputation.group_time(design_of("imputation", table, trends="county"))
    check_estimate(found)
    lines = found.attrition.set_index("rule")
    rule = "county trends: at least 3 untreated years"
    assert lines.loc[rule, "counties"] == 144 - 3 and lines.loc[rule, "dropped"] == 3 * 7
    assert any("no line of their own, left out: 3 counties" in note for note in found.notes)
    rest = imputation.group_time(
        design_of("imputation", PANEL[~PANEL["county_fips"].isin(short)], trends="county")
    )
    for column in ("estimate", "std_error"):
        assert found.table[column].to_numpy() == pytest.approx(rest.table[column].to_numpy(), abs=1e-9)
    with pytest.raises(SampleError, match="before and after adoption"):
        fit(design_of("imputation", PANEL[PANEL["year"] >= 2013], trends="county"))


def test_trends_are_for_imputation_across_the_country():
    for name, within in (("two_stage", "none"), ("imputation", "state"), ("imputation", "urban_class")):
        with pytest.raises(SpecError, match="trends"):
            fit(design_of(name, PANEL, within=within, trends="county"))
    # "none" is to leave them out.
    one, two = (fit(design_of("imputation", HOLES, **keys)).table for keys in ({}, {"trends": "none"}))
    pd.testing.assert_frame_equal(one, two)


# --- windows, exposure, leads
# ----------------------------------------------------------------------------------------------------


def test_a_window_of_years_either_side():
    found = fit(design_of("stacked", PANEL, window=2))
    check_estimate(found)
    # Two untreated years, the base among them, and two treated ones.
    assert found.table["event_time"].tolist() == [-2, 0, 1]
    pd.testing.assert_frame_equal(found.table, stacked.fit(design_of("stacked", PANEL), (2, 1)).table)
    assert any("window: event times -2 to 1" in note for note in found.notes)
    narrow = fit(design_of("stacked", PANEL, window=1))
    assert narrow.table["event_time"].tolist() == [0]
    # Ending in 2017, cohort 2015 has three treated years.
    wide = stacked.group_time(design_of("stacked", PANEL, window=4))
    lost = wide.table[wide.table["estimate"].isna()]
    assert set(lost["cohort"]) == {2013, 2015} and any(
        "whole window: cohort 2015" in note for note in wide.notes
    )
    with pytest.raises(SampleError, match="no cohort can be stacked"):
        fit(design_of("stacked", PANEL, window=6))


@pytest.mark.parametrize("method", ["post", "event_time"])
def test_exposure_may_be_the_people_policed(method):
    share = 0.4 + 0.5 * np.random.default_rng(1).random(len(COUNTS))
    table = COUNTS.assign(exposure=np.round(COUNTS["population"] * share))
    found = fit(counts_of("poisson", table, method=method, exposure="policed"))
    check_estimate(found)
    swapped = fit(counts_of("poisson", table.assign(population=table["exposure"]), method=method))
    numbers = ["estimate", "std_error"]
    assert found.table[numbers].to_numpy() == pytest.approx(swapped.table[numbers].to_numpy(), nan_ok=True)
    residents = fit(counts_of("poisson", table, method=method, exposure="population"))
    plain = fit(counts_of("poisson", table, method=method))
    pd.testing.assert_frame_equal(residents.table, plain.table)
    assert abs(found.table["estimate"] - plain.table["estimate"]).max() > 1e-4
    assert any("people policed by the agencies that report as exposure" in note for note in found.notes)
    assert any("residents as exposure" in note for note in plain.notes)


def test_exposure_that_is_not_there_is_named():
    with pytest.raises(SampleError, match="without exposure, the people policed"):
        fit(counts_of("poisson", exposure="policed"))
    for nobody in (0.0, np.nan):
        with pytest.raises(SampleError, match="a county-year without people policed"):
            fit(counts_of("poisson", COUNTS.assign(exposure=nobody), exposure="policed"))
    with pytest.raises(SpecError, match="exposure"):
        fit(counts_of("poisson", exposure="visitors"))


@pytest.mark.parametrize("keys", [{}, {"within": "urban_class"}, {"trends": "county"}])
def test_leads_of_another_regression_are_marked_in_their_term(keys):
    for name in ("imputation", *([] if "trends" in keys else ["two_stage"])):
        design = design_of(name, HOLES, **keys)
        for found in (imputation.group_time(design), imputation.fit(design)):
            marked = found.table["term"].str.startswith(LEAD)
            assert marked.any() and (marked == (found.table["event_time"] < 0)).all()
            assert found.reference is None
    for name in ("interaction_weighted", "stacked", "local_projections", "group_time_att.doubly_robust"):
        assert not fit(design_of(name, HOLES)).table["term"].str.startswith(LEAD).any()


# --- a half-year effect in the adoption year (protocol rule 5)
# ----------------------------------------------------------------------------------------------------


HALF = simulated_panel(11, counties=120, half_year=True, growth=0.0)
HALF = HALF.assign(
    urban_class=(HALF["county_fips"].str[2:].astype(int) // 24 % 3).map(dict(enumerate(CLASSES))),
    path=np.where(HALF["treated"], -2.0, np.where(HALF["transition"], -1.0, 0.0)),
)


@pytest.mark.parametrize("within", ["none", "state", "urban_class"])
@pytest.mark.parametrize("name", [*SECTIONS, "two_by_two", "imputation with trends"])
def test_half_year_effect_is_recovered_in_full(name, within):
    if name == "imputation with trends" and within != "none":
        return
    table = HALF.assign(outcome=HALF["path"] + 0.3 * HALF["year"])[~HALF["transition"]]
    if name == "two_by_two":
        design = make_design_of(table, make_spec(EstimatorSection("two_by_two", "none", within=within)))
    else:
        keys = {"trends": "county"} if "trends" in name else {}
        design = design_of(name.split()[0], table, within=within, **keys)
    found = fit(design)
    check_estimate(found)
    after = ~(found.table["event_time"] < 0).fillna(False)
    assert found.table.loc[after, "estimate"].dropna().to_numpy() == pytest.approx(-2.0)
    assert aggregate(found, over="post").table["estimate"].item() == pytest.approx(-2.0)
    assert found.table.loc[~after, "estimate"].dropna().to_numpy() == pytest.approx(0.0, abs=1e-9)
    assert not any("gaps" in note for note in found.notes)


def test_half_year_effect_is_recovered_in_full_by_the_others():
    table = HALF.assign(outcome=HALF["path"] + 0.3 * HALF["year"])[~HALF["transition"]]
    matched = EstimatorSection(
        "matched_did", "none", match_on=("outcome_lags",), lag_years=1, distance="mahalanobis", neighbours=1,
        replacement=True, caliper=0.0, exact=(),
    )  # fmt: skip
    level = np.random.default_rng(2).normal(0, 3, 120)
    levels = table["county_fips"].map(dict(zip(sorted(set(table["county_fips"])), level, strict=True)))
    designs = [
        make_design_of(table.assign(outcome=table["outcome"] + levels), make_spec(matched)),
        make_design_of(table, make_spec(TWO_WAY, comparison="not_yet_treated")),
        # No comparison group: without the trend of all.
        make_design_of(
            table.assign(outcome=table["path"]),
            make_spec(EstimatorSection("before_after", "none", lag_years=2)),
        ),
        make_design_of(table, make_spec(replace(GROUP_TIME, within="state"), comparison="not_yet_treated")),
    ]
    for design in designs:
        found = aggregate(fit(design), over="post")
        assert found.table["estimate"].item() == pytest.approx(-2.0), design.spec.estimator.name
    # Counts: half of the fall in logs in the adoption year, all of it from then on.
    counts = HALF.assign(
        population=1000.0, outcome=200 * np.exp(HALF["path"] / 4 + 0.05 * (HALF["year"] - 2010))
    )[~HALF["transition"]]
    for name, keys in (
        ("poisson", {"method": "post"}),
        ("poisson", {"method": "event_time"}),
        ("extended_two_way", {"method": "poisson", "within": "none"}),
    ):
        found = aggregate(fit(counts_of(name, counts, **keys)), over="post")
        # Iterative.
        assert found.table["estimate"].item() == pytest.approx(-0.5, abs=1e-6)

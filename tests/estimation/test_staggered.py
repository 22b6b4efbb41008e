"""Estimators of staggered adoption: by hand, against other engines and dense matrices, and what must not move them."""

from __future__ import annotations

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
from analysis.design.spec import EstimatorSection
from analysis.estimation import (
    aggregate,
    check_estimate,
    extended_two_way,
    group_time,
    imputation,
    interaction_weighted,
    local_projections,
    poisson,
    recluster,
    stacked,
)
from analysis.estimation.estimate import cluster_labels

PANEL = simulated_panel(1, counties=144, states=12)
N = 144
KEEP = np.random.default_rng(2).random(len(PANEL)) > 0.08
HOLES = PANEL[KEEP].assign(secure_communities=lambda t: (t["year"] >= 2011 + t["county_fips"].str[2:].astype(int) % 5) * 1.0)  # fmt: skip
COUNTS = PANEL.assign(
    population=PANEL["weight"],
    outcome=np.random.default_rng(0)
    .poisson(PANEL["weight"] / 50_000 * np.exp(0.02 * (PANEL["outcome"] - 40) - 0.3 * PANEL["treated"]))
    .astype(float),
)

# name -> module, its spec keys, its comparison
KINDS = {
    "imputation": (imputation, {"within": "none"}, "not_yet_treated"),
    "two_stage": (imputation, {"within": "none"}, "not_yet_treated"),
    "interaction_weighted": (interaction_weighted, {"within": "none"}, "never_treated"),
    "stacked": (stacked, {"within": "none"}, "not_yet_treated"),
    "extended_two_way": (extended_two_way, {"within": "none", "method": "linear"}, "not_yet_treated"),
    "local_projections": (
        local_projections, {"within": "none", "method": "variance_weighted"}, "not_yet_treated",
    ),
}  # fmt: skip
DYNAMIC = [name for name in KINDS if name != "two_stage"]


def design_of(name, table=PANEL, weights="none", comparison=None, **more):
    _, keys, usual = KINDS.get(name, (None, {}, "not_yet_treated"))
    sections = {
        key: more.pop(key) for key in ("inference", "covariates", "controls", "anticipation") if key in more
    }
    estimator = EstimatorSection(name, weights, **{**keys, **more})
    return make_design_of(table, make_spec(estimator, comparison=comparison or usual, **sections))


def counts_of(name, table=COUNTS, scale="count", **keys):
    design = design_of(name, table, **keys)
    spec = replace(design.spec, outcome=replace(design.spec.outcome, scale=scale))
    return make_design_of(table, spec)


def fitted(name, *args, **keys):
    return KINDS[name][0].fit(design_of(name, *args, **keys))


def frame(table=PANEL):
    return table.assign(
        first=table["cohort"].fillna(0).astype(int),
        D=table["treated"].astype(float),
        state=table["county_fips"].str[:2],
    )


def by_county(estimate):
    """Errors clustered by county, without the factor of the number of clusters."""
    found = recluster(estimate, "county")
    g = found.inference.clusters
    return found.table["std_error"].to_numpy() * np.sqrt((g - 1) / g)


# --- by hand
# ----------------------------------------------------------------------------------------------------


def hand_made(rows):
    """A panel from county -> (cohort or None, outcomes), years 2014 on."""
    table = pd.DataFrame(
        [
            {
                "county_fips": county, "year": 2014 + t, "outcome": float(value), "weight": 1.0,
                "cohort": cohort, "event_time": None if cohort is None else 2014 + t - cohort,
                "treated": cohort is not None and 2014 + t >= cohort,
            }
            for county, (cohort, values) in rows.items()
            for t, value in enumerate(values)
        ]
    )  # fmt: skip
    return table.astype({"cohort": "Int64", "event_time": "Int64", "treated": bool})


@pytest.mark.parametrize("name", list(KINDS))
def test_two_by_two_by_hand(name):
    table = hand_made(
        {
            "06001": (2015, (1, 5)), "06003": (2015, (2, 4)),
            "19001": (None, (1, 2)), "19003": (None, (3, 3)), "19005": (None, (2, 4)),
        }
    )  # fmt: skip
    found = aggregate(fitted(name, table), over="post")
    check_estimate(found)
    # Treated changes 4 and 2, comparison changes 1, 0 and 2: 3 - 1.
    assert found.table["estimate"].item() == pytest.approx(2.0)
    assert found.table[["n_counties", "n_treated"]].iloc[0].tolist() == [5, 2]
    # Contributions (4-3)/2, (2-3)/2; 0, 1/3, -1/3: their squares sum to 13/18. Regressions multiply by
    # (N - 1) / (N - k), N = 10 county-years and k = 3, or N = 5 changes and k = 2.
    factor = {"interaction_weighted": 9 / 7, "extended_two_way": 9 / 7, "local_projections": 4 / 3}.get(
        name, 1
    )
    assert by_county(found).item() ** 2 == pytest.approx(13 / 18 * factor)


def test_three_groups_by_hand():
    # Early adopters gain 2 then 4, late ones 10; years add 1 each; nothing else happens.
    table = hand_made(
        {
            "06001": (2015, (5, 8, 11)), "06003": (2015, (0, 3, 6)),
            "17001": (2016, (7, 8, 19)), "17003": (2016, (2, 3, 14)),
            "19001": (None, (1, 2, 3)), "19003": (None, (3, 4, 5)),
        }
    )  # fmt: skip
    for name in ("imputation", "interaction_weighted", "extended_two_way"):
        cells = KINDS[name][0].group_time(design_of(name, table)).table
        after = cells[(cells["event_time"] >= 0)].set_index(["cohort", "time"])["estimate"]
        assert after.to_dict() == pytest.approx({(2015, 2015): 2.0, (2015, 2016): 4.0, (2016, 2016): 10.0})
    # At event time 0 the early pair has four clean counties, the late pair two: variances 2x4/6 and 2x2/4, so
    # weights 4/7 and 3/7; or half each.
    for method, expected in (("equally_weighted", 6.0), ("variance_weighted", (2 * 4 + 10 * 3) / 7)):
        found = fitted("local_projections", table, method=method).table.set_index("event_time")["estimate"]
        assert found.to_dict() == pytest.approx({-2: 0.0, 0: expected, 1: 4.0})
    window = stacked.fit(design_of("stacked", table)).table
    # The late cohort has one year after adoption: event time 0 alone, (2 + 10) / 2.
    assert window[["event_time", "estimate"]].to_numpy().tolist() == [[0, 6.0]]


# --- other engines and dense matrices
# ----------------------------------------------------------------------------------------------------


R = reference_values("staggered")


@pytest.mark.parametrize("name", sorted(R))
def test_estimates_and_errors_equal_r(name):
    stored = R[name]
    panel = reference_panel("staggered")
    kind, *options = name.split(".")
    if kind == "poisson":
        table = panel.assign(outcome=panel["count"].astype(float))
        found = poisson.fit(counts_of("poisson", table, method=options[0], effects="county_year"))
        k = len(np.atleast_1d(stored["estimate"])) + panel["year"].nunique()
    else:
        weights = "population_baseline" if options[0] == "weighted" else "none"
        controls = ("secure_communities",) if options[1] == "controls" else ()
        found = KINDS[kind][0].group_time(design_of(kind, panel, weights, controls=controls))
        k = len(stored["estimate"]) + len(controls) + panel["year"].nunique()
    check_estimate(found)
    table = found.table
    if kind == "imputation":
        table = table[table["event_time"] >= 0]
    if "cohort" in stored and kind != "poisson":
        assert table["cohort"].tolist() == stored["cohort"] and table["time"].tolist() == stored["time"]
    # Closed forms; for counts both iterations stop at the maximum of a concave function to more than 1e-9.
    assert table["estimate"].to_numpy() == pytest.approx(np.atleast_1d(stored["estimate"]), abs=1e-8)
    if "std_error" in stored:
        # R's have no factor; ours (N - 1) / (N - k) x G / (G - 1), k regressors and years, over eight states.
        factor = (stored["n"] - 1) / (stored["n"] - k) * 8 / 7
        expected = np.atleast_1d(stored["std_error"]) * np.sqrt(factor)
        assert np.sqrt(np.diag(found.vcov)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.filterwarnings("ignore")
def test_imputation_equals_diff_diff_and_two_stage_equals_two_engines():
    import pyfixest as pf
    from diff_diff import ImputationDiD, TwoStageDiD

    cells = imputation.group_time(design_of("imputation"))
    check_estimate(cells)
    dynamic, post = aggregate(cells, over="event_time"), aggregate(cells, over="post")
    peer = ImputationDiD().fit(frame(), "outcome", "county_fips", "year", "first", aggregate="all")
    # Iterative engine: 1e-6.
    assert post.table["estimate"].item() == pytest.approx(peer.overall_att, abs=1e-6)
    # Their errors take shares as given: ours without the term that aggregation adds for them.
    labels = cluster_labels(cells.counties, "county")
    assert len(set(labels)) == N
    after = (cells.table["event_time"] >= 0).to_numpy()
    sizes = np.nansum(cells.treated, axis=0)
    plain = cells.influence[:, after] @ (sizes[after] / sizes[after].sum())
    assert np.sqrt((plain**2).sum()) == pytest.approx(peer.overall_se, rel=1e-6)
    for time, found in peer.event_study_effects.items():
        if time >= 0:
            row = dynamic.table.set_index("event_time").loc[time]
            assert row["estimate"] == pytest.approx(found["effect"], abs=1e-6)
            here = (cells.table["event_time"] == time).to_numpy()
            plain = cells.influence[:, here] @ (sizes[here] / sizes[here].sum())
            assert np.sqrt((plain**2).sum()) == pytest.approx(found["se"], rel=1e-6)
    two = aggregate(imputation.group_time(design_of("two_stage")), over="post")
    check_estimate(two)
    assert two.table["estimate"].item() == post.table["estimate"].item()
    gardner = TwoStageDiD().fit(frame(), "outcome", "county_fips", "year", "first")
    assert by_county(two).item() == pytest.approx(gardner.overall_se, rel=1e-6)
    did2s = pf.did2s(
        frame(), yname="outcome", first_stage="~ 0 | county_fips + year", second_stage="~ D", treatment="D",
        cluster="state",
    )  # fmt: skip
    # Theirs has an intercept of the untreated, which imputation sets to zero exactly, and no factor.
    assert did2s.coef()["D"] == pytest.approx(two.table["estimate"].item(), abs=1e-6)
    states = recluster(two, "state").table["std_error"].item() * np.sqrt(11 / 12)
    assert did2s.se()["D"] == pytest.approx(states, rel=1e-4)


@pytest.mark.parametrize("within", ["none", "state"])
def test_imputation_and_its_errors_equal_dense_matrices(within):
    table = HOLES[HOLES["county_fips"].str[:2].isin(["06", "12", "17", "19"])].reset_index(drop=True)
    for controls in ((), ("secure_communities",)):
        design = design_of("imputation", table, "population_baseline", within=within, controls=controls)
        found = imputation.group_time(design)
        check_estimate(found)
        d = design.table
        second = d["year"].astype(str) if within == "none" else d["stratum"] + d["year"].astype(str)
        z = np.hstack([pd.get_dummies(d["county_fips"]), pd.get_dummies(second), d[list(controls)]]).astype(
            float
        )
        y, w, on = d["outcome"].to_numpy(), d["weight"].to_numpy(), d["treated"].to_numpy()
        solve = np.linalg.pinv((z[~on] * w[~on, None]).T @ z[~on]) @ (z[~on] * w[~on, None]).T
        beta = solve @ y[~on]
        gap = y - z @ beta
        # Predicted only where untreated rows identify it: where the row lies in their row space.
        told = np.abs(z @ (np.eye(z.shape[1]) - np.linalg.pinv(z[~on]) @ z[~on])).max(axis=1) < 1e-8
        for k, row in found.table[found.table["event_time"] >= 0].iterrows():
            cell = on & (d["cohort"] == row["cohort"]).fillna(False) & (d["year"] == row["time"])
            cell = (cell & told).to_numpy()
            if not cell.any():
                assert np.isnan(row["estimate"])
                continue
            share = w * cell / w[cell].sum()
            assert row["estimate"] == pytest.approx(share @ gap, abs=1e-8)
            v = np.zeros(len(y))
            v[~on] = -(solve.T @ (z.T @ share))
            # The paper's average of a cohort and year: by squared weights.
            residual = np.where(on, gap - (share**2 @ gap) / (share**2).sum(), gap)
            parts = (share + v) * residual
            by = np.array([parts[(d["county_fips"] == c).to_numpy()].sum() for c in found.counties])
            assert found.influence[:, k] == pytest.approx(by, abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_leads_of_imputation_equal_a_regression_on_untreated_years():
    import pyfixest as pf

    found = imputation.group_time(design_of("imputation", HOLES))
    leads = found.table[found.table["term"].str.startswith("lead")]
    assert (leads["event_time"] < 0).all() and found.reference is None
    # Two of the first cohort's three years before adoption, three of the others' four and five.
    assert leads.groupby("cohort").size().tolist() == [2, 3, 3]
    early = frame(HOLES)[~HOLES["treated"]].copy()
    names = []
    for _, row in leads.iterrows():
        name = f"lead_{row['cohort']}_{row['time']}"
        early[name] = ((early["cohort"] == row["cohort"]) & (early["year"] == row["time"])).fillna(
            False
        ) * 1.0
        names.append(name)
    peer = pf.feols(
        f"outcome ~ {' + '.join(names)} | county_fips + year", early, vcov={"CRV1": "county_fips"},
        ssc=pf.ssc(k_adj=False, G_adj=False), fixef_rm="none",
    )  # fmt: skip
    assert leads["estimate"].to_numpy() == pytest.approx(peer.coef()[names].to_numpy(), abs=1e-6)
    assert by_county(found)[leads.index] == pytest.approx(peer.se()[names].to_numpy(), rel=1e-4)
    dynamic = imputation.fit(design_of("imputation", HOLES))
    check_estimate(dynamic)
    marked = dynamic.table["term"].str.startswith("lead")
    assert (marked == (dynamic.table["event_time"] < 0)).all()
    assert any("another base" in note for note in dynamic.notes)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["interaction_weighted", "extended_two_way"])
@pytest.mark.parametrize("weights", ["none", "population_baseline"])
def test_saturated_cells_equal_pyfixest(name, weights):
    import pyfixest as pf

    module = KINDS[name][0]
    for controls in ((), ("secure_communities",)):
        found = module.group_time(design_of(name, HOLES, weights, controls=controls))
        check_estimate(found)
        data = frame(HOLES)
        names = []
        for _, row in found.table.iterrows():
            column = f"c{row['cohort']}_{row['time']}"
            data[column] = ((data["cohort"] == row["cohort"]) & (data["year"] == row["time"])).fillna(
                False
            ) * 1.0
            names.append(column)
        peer = pf.feols(
            f"outcome ~ {' + '.join([*names, *controls])} | county_fips + year", data, vcov={"CRV1": "state"},
            weights=None if weights == "none" else "weight",
            ssc=pf.ssc(k_adj=True, k_fixef="nonnested", G_adj=True, G_df="min"),
            demeaner=pf.MapDemeaner(fixef_tol=1e-12, fixef_maxiter=100_000),
        )  # fmt: skip
        assert found.table["estimate"].to_numpy() == pytest.approx(peer.coef()[names].to_numpy(), abs=1e-8)
        # Same convention: (N - 1) / (N - k) x G / (G - 1), county effects nested in states.
        assert np.sqrt(np.diag(found.vcov)) == pytest.approx(peer.se()[names].to_numpy(), rel=1e-6)


@pytest.mark.parametrize("within", ["none", "state"])
@pytest.mark.parametrize("weights", ["none", "population_baseline"])
def test_on_a_balanced_panel_estimators_meet(within, weights):
    keys = {"within": within, "weights": weights}
    reference = make_design_of(
        PANEL, make_spec(replace(GROUP_TIME, method="outcome_regression", within=within, weights=weights))
    )
    never = group_time.group_time(reference)
    saturated = interaction_weighted.group_time(design_of("interaction_weighted", **keys))
    # Sun and Abraham's cells are Callaway and Sant'Anna's against never treated counties, errors but for the factor.
    assert saturated.table["estimate"].to_numpy() == pytest.approx(
        never.table["estimate"].to_numpy(), abs=1e-9
    )
    ratio = saturated.table["std_error"] / never.table["std_error"]
    assert ratio.to_numpy() == pytest.approx(ratio.iloc[0], rel=1e-9)
    later = make_design_of(PANEL, replace(reference.spec, treatment=replace(reference.spec.treatment, comparison="not_yet_treated")))  # fmt: skip
    cells = group_time.fit(later)
    projected = fitted("local_projections", method="equally_weighted", **keys)
    check_estimate(projected)
    for column in ("estimate", "std_error"):
        assert projected.table[column].to_numpy() == pytest.approx(cells.table[column].to_numpy(), abs=1e-9)
    experiments = stacked.group_time(design_of("stacked", comparison="never_treated", **keys))
    check_estimate(experiments)
    both = experiments.table.merge(never.table, on=["cohort", "time"])
    assert len(both) == len(experiments.table) == 15  # three cohorts, five years besides the base
    for column in ("estimate", "std_error"):
        assert both[f"{column}_x"].to_numpy() == pytest.approx(both[f"{column}_y"].to_numpy(), abs=1e-9)
    if weights == "none" and within == "none":
        imputed = imputation.group_time(design_of("imputation", **keys)).table
        imputed = imputed[imputed["event_time"] >= 0]
        wooldridge = extended_two_way.group_time(design_of("extended_two_way", **keys)).table
        assert wooldridge["estimate"].to_numpy() == pytest.approx(imputed["estimate"].to_numpy(), abs=1e-9)


def stack_of(window):
    """The stacked panel as rows, with the corrected weights, for cohorts 2013 to 2015."""
    before, after = window
    never, parts = PANEL["cohort"].isna(), []
    for cohort in (2013, 2014, 2015):
        time = PANEL["year"] - cohort
        own = (PANEL["cohort"] == cohort).fillna(False)
        clean = never | (PANEL["cohort"] > cohort + after).fillna(False)
        here = PANEL[(own | clean) & time.between(-before, after)].assign(sub=cohort, time=time, on=own * 1.0)
        parts.append(here)
    stack = pd.concat(parts)
    size = stack[stack["time"] == 0].groupby(["sub", "on"]).size()
    treated = size.xs(1.0, level="on").sum()
    control = size.xs(0.0, level="on").sum()
    q = {s: (size[s, 1.0] / treated) / (size[s, 0.0] / control) for s in (2013, 2014, 2015)}
    return stack.assign(q=np.where(stack["on"] == 1, 1.0, stack["sub"].map(q)))


@pytest.mark.filterwarnings("ignore")
def test_stacking_equals_the_regression_with_corrected_weights():
    import pyfixest as pf

    window = (3, 1)
    found = stacked.fit(design_of("stacked"), window)
    check_estimate(found)
    stack = stack_of(window)
    times = [t for t in range(-3, 2) if t != -1]
    for t in times:
        stack[f"x{t + 3}"] = stack["on"] * (stack["time"] == t)
    names = [f"x{t + 3}" for t in times]
    peer = pf.feols(
        f"outcome ~ {' + '.join(names)} | on + time", stack, weights="q", vcov={"CRV1": "county_fips"},
        ssc=pf.ssc(k_adj=False, G_adj=False),
    )  # fmt: skip
    assert found.table["event_time"].tolist() == times
    assert found.table["estimate"].to_numpy() == pytest.approx(peer.coef()[names].to_numpy(), abs=1e-8)
    # Its errors leave differences between experiments in the residual of one pooled path. Ours are those of a path
    # for each experiment: the same stack, saturated, averaged, and the error of the shares on top.
    cells = stacked.group_time(design_of("stacked"), window)
    stack["unit"] = stack["county_fips"] + stack["sub"].astype(str)
    stack["when"] = stack["time"].astype(str) + "_" + stack["sub"].astype(str)
    columns = []
    for k, row in cells.table.iterrows():
        stack[f"c{k}"] = stack["on"] * ((stack["sub"] == row["cohort"]) & (stack["year"] == row["time"]))
        columns.append(f"c{k}")
    saturated = pf.feols(
        f"outcome ~ {' + '.join(columns)} | unit + when", stack, vcov={"CRV1": "county_fips"},
        ssc=pf.ssc(k_adj=False, G_adj=False),
    )  # fmt: skip
    assert cells.table["estimate"].to_numpy() == pytest.approx(saturated.coef()[columns].to_numpy(), abs=1e-8)
    assert by_county(cells) == pytest.approx(saturated.se()[columns].to_numpy(), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_local_projections_equal_diff_diff():
    from diff_diff import LPDiD

    for method, reweight in (("variance_weighted", False), ("equally_weighted", True)):
        found = fitted("local_projections", method=method)
        check_estimate(found)
        peer = LPDiD(pre_window=3, post_window=3, reweight=reweight).fit(
            frame().assign(D=lambda t: t["D"].astype(int)), "outcome", "county_fips", "year", "D"
        )
        peer = peer.to_dataframe().set_index("horizon")
        ours = found.table.set_index("event_time")["estimate"]
        for h in (-3, -2, 0, 1, 2, 3):
            assert ours[h] == pytest.approx(peer.loc[h, "coefficient"], abs=1e-8)


@pytest.mark.filterwarnings("ignore")
def test_local_projections_and_their_errors_equal_the_regression():
    import pyfixest as pf

    found = fitted("local_projections", HOLES, "population_baseline", controls=("secure_communities",))
    check_estimate(found)
    wide = HOLES.pivot(index="county_fips", columns="year", values="outcome")
    active = HOLES.pivot(index="county_fips", columns="year", values="secure_communities")
    first = HOLES.drop_duplicates("county_fips").set_index("county_fips")
    cohort, weight = first["cohort"].fillna(9999).astype(int), first["weight"]
    for h in (-3, 0, 2):
        parts = []
        for g in (2013, 2014, 2015):
            if g + h not in wide:
                continue
            clean = cohort > max(g + h, g - 1)
            here = (cohort == g) | (clean & (cohort != g))
            part = (
                pd.DataFrame(
                    {
                        "y": wide[g + h] - wide[g - 1], "d": (cohort == g) * 1.0, "g": g, "w": weight,
                        "s": active[g + h] - active[g - 1], "state": wide.index.str[:2],
                    }, index=wide.index,
                )
            )  # fmt: skip
            parts.append(part[here])
        rows = pd.concat(parts).dropna()
        peer = pf.feols(
            "y ~ d + s | g", rows, weights="w", vcov={"CRV1": "state"},
            ssc=pf.ssc(k_adj=True, k_fixef="nonnested", G_adj=True, G_df="min"),
        )  # fmt: skip
        line = found.table.set_index("event_time").loc[h]
        assert line["estimate"] == pytest.approx(peer.coef()["d"], abs=1e-8)
        at = found.table.index[found.table["event_time"] == h][0]
        labels = cluster_labels(found.counties, "state")
        # All twelve states hold counties of every event time, so both count the same clusters.
        assert len(set(labels)) == 12
        assert np.sqrt(found.vcov[at, at]) == pytest.approx(peer.se()["d"], rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_poisson_equals_pyfixest():
    import pyfixest as pf

    data = frame(COUNTS).assign(state_year=lambda t: t["state"] + t["year"].astype(str), exposure=lambda t: np.log(t["population"]))  # fmt: skip
    options = {
        "vcov": {"CRV1": "state"}, "offset": "exposure", "iwls_tol": 1e-12,
        "ssc": pf.ssc(k_adj=True, k_fixef="nonnested", G_adj=True, G_df="min"),
        "demeaner": pf.MapDemeaner(fixef_tol=1e-12, fixef_maxiter=100_000),
    }  # fmt: skip
    for effects, second in (("county_year", "year"), ("state_by_year", "state_year")):
        found = poisson.fit(counts_of("poisson", method="post", effects=effects))
        check_estimate(found)
        peer = pf.fepois(f"outcome ~ D | county_fips + {second}", data, **options)
        # Iterative on both sides.
        assert found.table["estimate"].item() == pytest.approx(peer.coef()["D"], abs=1e-6)
        assert np.sqrt(found.vcov[0, 0]) == pytest.approx(peer.se()["D"], rel=1e-5)
    found = poisson.fit(counts_of("poisson", method="event_time", effects="county_year"))
    check_estimate(found)
    assert found.reference == -1 and -1 not in found.table["event_time"].tolist()
    names = []
    for t in found.table["event_time"]:
        data[f"t{t + 9}"] = (data["event_time"] == t).fillna(False) * 1.0
        names.append(f"t{t + 9}")
    peer = pf.fepois(f"outcome ~ {' + '.join(names)} | county_fips + year", data, **options)
    assert found.table["estimate"].to_numpy() == pytest.approx(peer.coef()[names].to_numpy(), abs=1e-6)
    assert np.sqrt(np.diag(found.vcov)) == pytest.approx(peer.se()[names].to_numpy(), rel=1e-5)
    cells = extended_two_way.group_time(counts_of("extended_two_way", method="poisson"))
    check_estimate(cells)
    names = []
    for _, row in cells.table.iterrows():
        column = f"c{row['cohort']}_{row['time']}"
        data[column] = ((data["cohort"] == row["cohort"]) & (data["year"] == row["time"])).fillna(False) * 1.0
        names.append(column)
    peer = pf.fepois(f"outcome ~ {' + '.join(names)} | county_fips + year", data, **options)
    assert cells.table["estimate"].to_numpy() == pytest.approx(peer.coef()[names].to_numpy(), abs=1e-6)
    assert np.sqrt(np.diag(cells.vcov)) == pytest.approx(peer.se()[names].to_numpy(), rel=1e-5)


def test_poisson_two_by_two_by_hand_and_exposure():
    table = hand_made({"06001": (2015, (10, 5)), "17001": (2015, (30, 15)), "19001": (None, (20, 40)), "27001": (None, (5, 10))})  # fmt: skip
    found = poisson.fit(
        counts_of("poisson", table.assign(population=1000.0), method="post", effects="county_year")
    )
    # Treated counts halve, the others double: a ratio of a quarter.
    assert np.exp(found.table["estimate"].item()) == pytest.approx(0.25)
    # Twice the residents in the treated year: the rate falls to an eighth.
    people = np.where(table["treated"], 2000.0, 1000.0)
    found = poisson.fit(
        counts_of("poisson", table.assign(population=people), method="post", effects="county_year")
    )
    assert np.exp(found.table["estimate"].item()) == pytest.approx(0.125)
    assert found.unit.startswith("log points")


def test_poisson_names_what_is_separated():
    empty = COUNTS["county_fips"] == COUNTS["county_fips"].iloc[0]
    gone = (COUNTS["event_time"] == 4).fillna(False)
    table = COUNTS.assign(outcome=np.where(empty | gone, 0.0, COUNTS["outcome"] + 1))
    found = poisson.fit(counts_of("poisson", table, method="event_time", effects="county_year"))
    check_estimate(found)
    missing = found.table[found.table["estimate"].isna()]
    assert missing["event_time"].tolist() == [4]
    notes = " ".join(found.notes)
    assert "1 counties without any event" in notes and "not estimated, no event among adopters" in notes
    alone = poisson.fit(
        counts_of("poisson", table[~(empty | gone)], method="event_time", effects="county_year")
    )
    rest = found.table["event_time"] != 4
    assert found.table.loc[rest, "estimate"].to_numpy() == pytest.approx(
        alone.table["estimate"].to_numpy(), abs=1e-8
    )


# --- what must not move them
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", ["none", "state"])
@pytest.mark.parametrize("name", list(KINDS))
def test_properties(name, within):
    design = design_of(name, HOLES, "population_baseline", within=within)
    module = KINDS[name][0]
    window = {"window": (2, 1)} if name == "stacked" else {}
    base = module.fit(design, **window)
    check_estimate(base)
    post = aggregate(base, over="post")
    check_estimate(post)
    check_estimate(recluster(base, "county"))
    numbers = base.table[["estimate", "std_error"]].to_numpy()
    assert np.isfinite(numbers).any()

    def same(table, factor=1.0):
        found = module.fit(with_table(design, table), **window)
        check_estimate(found)
        assert found.table[["estimate", "std_error"]].to_numpy() == pytest.approx(
            numbers * factor, rel=1e-7, abs=1e-9, nan_ok=True
        )
        return found

    before = design.table.copy()
    same(HOLES.sample(frac=1, random_state=1))
    same(HOLES.assign(outcome=HOLES["outcome"] + 1000.0 + 7 * (HOLES["year"] - 2010)))
    same(HOLES.assign(outcome=HOLES["outcome"] * 10), 10)
    same(HOLES.assign(weight=HOLES["weight"] * 1e6))
    same(HOLES.assign(county_fips=HOLES["county_fips"].map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")))
    always = PANEL[PANEL["county_fips"] == PANEL["county_fips"].iloc[0]].assign(
        county_fips="06998", cohort=2005, event_time=lambda t: t["year"] - 2005, treated=True,
        outcome=lambda t: t["outcome"] * 9,
    )  # fmt: skip
    with_always = same(pd.concat([HOLES, always.astype({"cohort": "Int64", "event_time": "Int64"})]))
    assert any("no year wholly before adoption" in note for note in with_always.notes)
    # A county of weight zero is as good as absent.
    idle = PANEL[PANEL["county_fips"] == PANEL["county_fips"].iloc[9]].assign(county_fips="06996", weight=0.0)
    assert any("weight zero" in note for note in same(pd.concat([HOLES, idle])).notes)
    if within == "state":  # whatever a state and year share drops out
        rng = np.random.default_rng(5)
        key = HOLES["county_fips"].str[:2] + HOLES["year"].astype(str)
        shock = dict(zip(sorted(set(key)), rng.normal(0, 20, key.nunique()), strict=True))
        same(HOLES.assign(outcome=HOLES["outcome"] + key.map(shock)))
    pd.testing.assert_frame_equal(design.table, before)


@pytest.mark.parametrize("effects", ["county_year", "state_by_year"])
def test_properties_of_poisson(effects):
    design = counts_of("poisson", method="event_time", effects=effects)
    base = poisson.fit(design)
    check_estimate(base)
    numbers = base.table[["estimate", "std_error"]].to_numpy()

    def same(table):
        found = poisson.fit(with_table(design, table))
        check_estimate(found)
        assert found.table[["estimate", "std_error"]].to_numpy() == pytest.approx(numbers, rel=1e-6, abs=1e-8)

    same(COUNTS.sample(frac=1, random_state=1))
    same(COUNTS.assign(outcome=COUNTS["outcome"] * 10))  # scale moves the county effects alone
    same(COUNTS.assign(population=COUNTS["population"] * 1e3))
    same(COUNTS.assign(county_fips=COUNTS["county_fips"].map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")))


@pytest.mark.parametrize("name", DYNAMIC)
def test_effects_that_differ_are_recovered_without_noise(name):
    true = PANEL["effect"]
    table = PANEL.assign(outcome=true + 0.3 * (PANEL["year"] - 2010) + PANEL["poverty"])
    found = fitted(name, table, **({"method": "equally_weighted"} if name == "local_projections" else {}))
    check_estimate(found)
    for _, row in found.table.iterrows():
        time = row["event_time"]
        assert row["estimate"] == pytest.approx(-2.0 - 0.5 * time if time >= 0 else 0.0, abs=1e-9)


@pytest.mark.parametrize("name", DYNAMIC)
def test_half_year_effect_in_the_adoption_year_is_recovered_in_full(name):
    # Protocol rule 5: the transition year has no row, and the year before it is the base.
    table = simulated_panel(11, counties=120, half_year=True, growth=0.0)
    table = table.assign(
        outcome=np.where(table["treated"], -2.0, np.where(table["transition"], -1.0, 0.0))
        + 0.3 * table["year"]
    )[~table["transition"]].drop(columns="transition")
    found = fitted(name, table)
    check_estimate(found)
    after = found.table["event_time"] >= 0
    assert found.table.loc[after, "estimate"].to_numpy() == pytest.approx(-2.0)
    assert found.table.loc[~after, "estimate"].to_numpy() == pytest.approx(0.0, abs=1e-9)
    assert not any("gaps" in note for note in found.notes)


@pytest.mark.parametrize("name", DYNAMIC)
def test_anticipation_moves_the_base_and_keeps_the_years_apart(name):
    moved = PANEL.assign(
        outcome=PANEL["effect"] + 0.3 * PANEL["year"]
        + np.where((PANEL["event_time"] == -1).fillna(False), 5.0, 0.0)
    )  # fmt: skip
    found = fitted(name, moved, anticipation=1)
    check_estimate(found)
    rows = found.table.set_index("event_time")["estimate"]
    assert rows[-1] == pytest.approx(5.0) and rows[0] == pytest.approx(-2.0)
    assert aggregate(found, over="post").table["estimate"].item() < -2.0
    if found.reference is not None:
        assert found.reference == -2 and -2 not in rows.index


# --- bad input, each by name
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DYNAMIC)
def test_bad_input_is_named(name):
    module = KINDS[name][0]
    off = PANEL.copy()
    off.loc[off["treated"] & (off["year"] == 2017), "treated"] = False
    with pytest.raises(SampleError, match="switches off"):
        fitted(name, off)
    nobody = PANEL[PANEL["cohort"].isna()]
    with pytest.raises(SampleError, match=r"before and after adoption|both sides|no cohort"):
        fitted(name, nobody)
    with pytest.raises(SampleError):
        fitted(name, PANEL[PANEL["treated"] | PANEL["cohort"].isna()])  # no county has a year before adoption
    wrong = "not_yet_treated" if name == "interaction_weighted" else "never_treated"
    if name in ("imputation", "interaction_weighted", "extended_two_way"):
        with pytest.raises(SpecError, match="comparison"):
            module.fit(design_of(name, comparison=wrong))
    if name in ("interaction_weighted", "stacked", "local_projections"):
        with pytest.raises(SpecError, match="covariates"):
            fitted(name, covariates=("poverty",))


def test_when_all_are_treated_by_the_end_later_cells_are_missing_rows():
    table = PANEL[PANEL["cohort"].notna()]
    for name in ("imputation", "extended_two_way"):
        found = KINDS[name][0].group_time(design_of(name, table))
        check_estimate(found)
        lost = found.table[found.table["estimate"].isna() & (found.table["event_time"] >= 0)]
        # From 2015 on nobody is untreated.
        assert (lost["time"] >= 2015).all() and len(lost) == 9
        assert any("not estimated" in note for note in found.notes)
        known = found.table.dropna(subset="estimate")
        assert {(2013, 2013), (2013, 2014), (2014, 2014)} <= set(
            zip(known["cohort"], known["time"], strict=True)
        )
    last = interaction_weighted.group_time(design_of("interaction_weighted", table))
    check_estimate(last)
    assert set(last.table["cohort"]) == {2013, 2014} and last.table["time"].max() == 2014
    assert any("cohort 2015 is the comparison" in note for note in last.notes)
    projected = fitted("local_projections", table)
    check_estimate(projected)
    assert projected.table.set_index("event_time")["estimate"].isna().to_dict()[4]
    assert any("no clean comparison" in note for note in projected.notes)


def test_a_cohort_without_comparison_in_its_state_is_a_missing_row():
    odd = PANEL["county_fips"].str[:2].isin(["06"]) & (PANEL["cohort"] != 2013).fillna(True)
    only = PANEL["cohort"].isna() | PANEL["county_fips"].str[:2].isin(["06"])
    table = PANEL[only & ~odd]  # adopters of 2013 in California, where nobody else is left
    others = PANEL[(PANEL["cohort"] == 2014).fillna(False) & PANEL["county_fips"].str[:2].isin(["17", "19"])]
    table = pd.concat([table, others])
    for name in ("imputation", "interaction_weighted", "extended_two_way"):
        found = KINDS[name][0].group_time(design_of(name, table, within="state"))
        check_estimate(found)
        alone = found.table[found.table["cohort"] == 2013]
        assert len(alone) and alone["estimate"].isna().all()
        assert found.table.loc[found.table["cohort"] == 2014, "estimate"].notna().any()
        assert any("cohort 2013" in note for note in found.notes)
    window = stacked.group_time(design_of("stacked", table, within="state"))
    check_estimate(window)
    assert any("no clean comparison county" in note and "2013" in note for note in window.notes)


def test_stacking_names_cohorts_outside_the_window():
    found = stacked.group_time(design_of("stacked"), (4, 2))
    check_estimate(found)
    assert found.table.loc[found.table["cohort"] == 2013, "estimate"].isna().all()
    assert any("does not hold its whole window: cohort 2013" in note for note in found.notes)
    with pytest.raises(SpecError, match="window"):
        stacked.fit(design_of("stacked"), (0, 2))
    with pytest.raises(SampleError, match="no cohort can be stacked"):
        stacked.fit(design_of("stacked"), (7, 7))


def test_keys_that_cannot_be_honoured_are_refused():
    for keys, match in (
        ({"method": "post", "effects": "county_year", "weights": "population_baseline"}, "weights"),
        ({"method": "post", "effects": "other"}, "effects"),
        ({"method": "other", "effects": "county_year"}, "method"),
        ({"method": "post", "effects": "county_year", "anticipation": 1}, "anticipation"),
        ({"method": "post", "effects": "county_year", "scale": "rate_100k"}, "scale"),
    ):
        with pytest.raises(SpecError, match=match):
            poisson.fit(counts_of("poisson", **keys))
    with pytest.raises(SampleError, match="negative count"):
        poisson.fit(counts_of("poisson", COUNTS.assign(outcome=-1.0), method="post", effects="county_year"))
    with pytest.raises(SampleError, match="residents"):
        poisson.fit(counts_of("poisson", COUNTS.assign(population=0.0), method="post", effects="county_year"))
    with pytest.raises(SpecError, match="method"):
        extended_two_way.fit(design_of("extended_two_way", method="other"))
    with pytest.raises(SpecError, match="Poisson"):
        extended_two_way.fit(counts_of("extended_two_way", method="poisson", within="state"))
    with pytest.raises(SpecError, match="equally_weighted"):
        fitted("local_projections", HOLES, method="equally_weighted", controls=("secure_communities",))


def test_covariates_take_out_a_trend_that_follows_them():
    table = PANEL.assign(
        outcome=PANEL["effect"] + 2.0 * PANEL["poverty"] * (PANEL["year"] - 2010) + 0.3 * PANEL["year"]
    )
    for name in ("imputation", "extended_two_way"):
        plain = aggregate(fitted(name, table), over="post").table["estimate"].item()
        held = aggregate(fitted(name, table, covariates=("poverty",)), over="post")
        check_estimate(held)
        truth = PANEL.loc[PANEL["treated"], "effect"].mean()
        assert held.table["estimate"].item() == pytest.approx(truth, abs=1e-8)
        assert abs(plain - truth) > 0.5


def test_intervals_cover_where_assumptions_hold():
    # State shocks are within what clustering by state allows for; 12 clusters, so a little below nominal is expected
    # of every cluster-robust interval, and t with 11 degrees of freedom mends most of it.
    hits, draws = dict.fromkeys(KINDS, 0), 60
    quick = replace(BY_STATE, draws=0)
    for seed in range(draws):
        table = simulated_panel(1000 + seed, counties=120, selection=0.0, trend_on_covariate=0.0)
        for name in KINDS:
            dynamic = fitted(name, table, inference=quick)
            after = (dynamic.table["event_time"] >= 0).to_numpy()
            weight = np.nansum(dynamic.treated, axis=0)[after]
            truth = np.average(
                -2.0 - 0.5 * dynamic.table.loc[after, "event_time"].astype(float), weights=weight
            )
            line = aggregate(dynamic, over="post").table.iloc[0]
            hits[name] += bool(line["conf_low"] <= truth <= line["conf_high"])
    for name, count in hits.items():
        # Three Monte Carlo errors of 95 % in 60 draws are 8 points.
        assert count / draws > 0.86, name

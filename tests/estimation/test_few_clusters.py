"""Variances for few clusters against clubSandwich, estimatr, sandwich and refitting (tests/reference/few_clusters),
and against the definition: what a variance estimate is, as a quadratic form of the errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from estimation_cases import REFERENCE, reference_values
from reference.truth.few_clusters import DRAWS, METHODS, WORLDS, read_table, simulate

from analysis.estimation.panel_inference.few_clusters import (
    cluster_report,
    cluster_variance_small,
    two_way_variance,
)

# Closed forms: only rounding separates the programs.
CLOSED = 1e-8

R = reference_values("few_clusters")
TABLE = pd.read_csv(
    REFERENCE / "few_clusters" / "simulated_panel.csv", dtype={"county_fips": str, "state": str}
)
Y, W = TABLE["outcome"].to_numpy(), TABLE["weight"].to_numpy()
X = TABLE[["treated", "control"]].to_numpy(dtype=float)
ONES = np.ones(len(Y))
WITH_CONSTANT = np.column_stack([X, ONES])
STATE, COUNTY = TABLE["state"].to_numpy(dtype=str), TABLE["county_fips"].to_numpy(dtype=str)
YEAR = TABLE["year"].to_numpy()
STATE_YEAR = (TABLE["state"] + TABLE["year"].astype(str)).to_numpy(dtype=str)
BY_YEAR, BY_STATE_YEAR = (COUNTY, YEAR), (COUNTY, STATE_YEAR)

CASES = {
    **{f"plain_{kind}": (WITH_CONSTANT, ONES, STATE, (), "equal", kind) for kind in ("CR0", "CR1", "CR2", "CR3")},
    **{f"weighted_equal_{kind}": (WITH_CONSTANT, W, STATE, (), "equal", kind) for kind in ("CR0", "CR1", "CR2", "CR3")},
    **{
        f"weighted_inverse_{kind}": (WITH_CONSTANT, W, STATE, (), "inverse_weights", kind)
        for kind in ("CR0", "CR1", "CR2", "CR3")
    },
    "within_by_county_CR2": (X, ONES, COUNTY, BY_YEAR, "inverse_weights", "CR2"),
    "within_by_state_CR2": (X, ONES, STATE, BY_YEAR, "inverse_weights", "CR2"),
    "dummies_by_state_CR2": (X, ONES, STATE, BY_YEAR, "equal", "CR2"),
    "dummies_weighted_equal_by_state_CR2": (X, W, STATE, BY_YEAR, "equal", "CR2"),
    "dummies_weighted_equal_by_county_CR2": (X, W, COUNTY, BY_YEAR, "equal", "CR2"),
    "dummies_weighted_inverse_by_state_CR2": (X, W, STATE, BY_YEAR, "inverse_weights", "CR2"),
    "state_by_year_by_state_CR2": (X, ONES, STATE, BY_STATE_YEAR, "equal", "CR2"),
    "state_by_year_by_county_CR2": (X, ONES, COUNTY, BY_STATE_YEAR, "equal", "CR2"),
    "state_by_year_weighted_equal_by_county_CR2": (X, W, COUNTY, BY_STATE_YEAR, "equal", "CR2"),
    "estimatr_plain": (WITH_CONSTANT, ONES, STATE, (), "equal", "CR2"),
    "estimatr_weighted": (WITH_CONSTANT, W, STATE, (), "equal", "CR2"),
    "estimatr_within": (X, ONES, STATE, BY_YEAR, "equal", "CR2"),
    "jackknife_county_year": (X, W, STATE, BY_YEAR, "inverse_weights", "CR3"),
    "jackknife_state_by_year": (X, W, COUNTY, BY_STATE_YEAR, "equal", "CR3"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_variance_and_degrees_of_freedom_equal_r(name):
    x, w, clusters, effects, working, kind = CASES[name]
    found = cluster_variance_small(Y, x, w, clusters, kind=kind, effects=effects, working=working)
    wanted = R[name]
    assert found.coefficients[:2] == pytest.approx(wanted["coefficients"], abs=CLOSED)
    if "vcov" in wanted:
        assert found.vcov[:2, :2] == pytest.approx(np.array(wanted["vcov"]), abs=CLOSED)
    if "std_error" in wanted:
        assert found.std_error[:2] == pytest.approx(wanted["std_error"], abs=CLOSED)
    if "df" in wanted:
        assert found.df[:2] == pytest.approx(wanted["df"], abs=CLOSED)
    g = len(np.unique(clusters))
    assert found.vcov == pytest.approx(
        (g / (g - 1) if kind == "CR1" else 1) * found.contributions.T @ found.contributions
    )


def test_every_reference_is_used():
    assert set(R) == set(CASES) | {"sandwich_HC2", "sandwich_HC3", "two_way", "contrast"}


@pytest.mark.parametrize(("name", "kind"), [("sandwich_HC2", "CR2"), ("sandwich_HC3", "CR3")])
def test_sandwich_differs_by_a_factor(name, kind):
    # sandwich multiplies both by (G - 1) / G, G = 12 states.
    found = cluster_variance_small(Y, WITH_CONSTANT, ONES, STATE, kind=kind)
    assert found.vcov[:2, :2] * 11 / 12 == pytest.approx(np.array(R[name]["vcov"]), abs=CLOSED)


def test_contrast_equals_r():
    found = cluster_variance_small(
        Y, WITH_CONSTANT, ONES, STATE, kind="CR2", contrasts=np.array([[1.0, -2.0, 0.0]])
    )
    assert [found.estimate[0], found.std_error[0], found.df[0]] == pytest.approx(
        [R["contrast"][key] for key in ("estimate", "std_error", "df")], abs=CLOSED
    )


def test_two_way_equals_r():
    found = two_way_variance(Y, WITH_CONSTANT, ONES, STATE, YEAR)
    assert found.vcov[:2, :2] == pytest.approx(np.array(R["two_way"]["vcov"]), abs=CLOSED)
    assert found.df_fewest == 5 and found.positive


# --- by definition ----------------------------------------------------------------------------------------------


def small_panel(seed=3):
    rng = np.random.default_rng(seed)
    state = np.repeat(np.arange(5), [8, 12, 4, 16, 8])
    county, year = np.arange(48) // 4, np.tile(np.arange(4), 12)
    x = np.column_stack([(county % 3 == 0) * (year >= 2) + 0.0, rng.normal(size=48)])
    w = rng.uniform(0.3, 3, 48)
    keep = np.setdiff1d(np.arange(48), [5, 30])
    return tuple(a[keep] for a in (state, county, year, x, w))


def as_linear_maps(x, w, clusters, effects, working, kind):
    """Return each cluster's contribution to the first coefficient as a function of the outcome, (G, n)."""
    n = len(w)
    return np.array(
        [
            cluster_variance_small(
                unit, x, w, clusters, kind=kind, effects=effects, working=working
            ).contributions[:, 0]
            for unit in np.eye(n)
        ]
    ).T


@pytest.mark.parametrize("working", ["inverse_weights", "equal"])
@pytest.mark.parametrize("effects_of", ["county_year", "state_year", "year_alone", "none"])
def test_unbiased_under_the_working_model_with_the_degrees_of_freedom_stated(working, effects_of):
    state, county, year, x, w = small_panel()
    effects = {
        "county_year": (county, year),
        "state_year": (county, state * 10 + year),
        "year_alone": (year,),
        "none": (),
    }[effects_of]
    if effects_of == "none":
        x = np.column_stack([x, np.ones(len(w))])
    maps = as_linear_maps(x, w, state, effects, working, "CR2")
    omega = np.diag(1 / w) if working == "inverse_weights" else np.eye(len(w))
    between = maps @ omega @ maps.T
    dummies = [np.equal.outer(e, np.unique(e)).astype(float) for e in effects]
    design = np.column_stack([x, *dummies])
    estimator = (np.linalg.pinv(design * np.sqrt(w)[:, None]) * np.sqrt(w))[0]
    # The variance of the coefficient is what CR2 finds on average: bias-reduced means unbiased here.
    truth = float(estimator @ omega @ estimator)
    if working == "equal" and effects_of in ("county_year", "state_year"):
        # Effects fitted by one cluster alone, weights that are not inverse variances: not exactly.
        assert np.trace(between) == pytest.approx(truth, rel=0.1)
        assert np.trace(between) != pytest.approx(truth, rel=1e-4)
    else:
        assert np.trace(between) == pytest.approx(truth, rel=1e-8)
    found = cluster_variance_small(
        np.zeros(len(w)), x, w, state, kind="CR2", effects=effects, working=working
    )
    assert found.df[0] == pytest.approx(np.trace(between) ** 2 / (between**2).sum(), rel=1e-8)


@pytest.mark.parametrize("working", ["inverse_weights", "equal"])
@pytest.mark.parametrize("kind", ["CR0", "CR3"])
def test_degrees_of_freedom_of_the_other_kinds(working, kind):
    state, county, year, x, w = small_panel()
    maps = as_linear_maps(x, w, state, (county, year), working, kind)
    omega = np.diag(1 / w) if working == "inverse_weights" else np.eye(len(w))
    between = maps @ omega @ maps.T
    found = cluster_variance_small(
        np.zeros(len(w)), x, w, state, kind=kind, effects=(county, year), working=working
    )
    assert found.df[0] == pytest.approx(np.trace(between) ** 2 / (between**2).sum(), rel=1e-8)


def test_two_way_degrees_of_freedom_by_definition():
    state, county, year, x, w = small_panel()
    maps, signs = [], []
    for clusters, sign in ((state, 1), (year, 1), (state * 10 + year, -1)):
        part = as_linear_maps(x, w, clusters, (), "inverse_weights", "CR0")
        maps.append(part)
        signs += [sign * len(part) / (len(part) - 1)] * len(part)
    maps, signs = np.concatenate(maps), np.array(signs)
    between = maps @ np.diag(1 / w) @ maps.T
    wanted = (signs @ np.diag(between)) ** 2 / (signs @ between**2 @ signs)
    found = two_way_variance(x @ [1.0, 2.0] + year, x, w, state, year)
    assert found.df[0] == pytest.approx(wanted, rel=1e-8)
    # Effects, whichever is swept by means, change nothing but the design.
    swept = two_way_variance(x[:, 0] + county, x, w, state, year, effects=(county, year))
    dummies = np.column_stack(
        [x, np.equal.outer(county, np.unique(county)), np.equal.outer(year, np.arange(1, 4))]
    ).astype(float)
    explicit = two_way_variance(x[:, 0] + county, dummies, w, state, year)
    assert swept.df == pytest.approx(explicit.df[:2], rel=1e-6)
    y = np.random.default_rng(1).normal(size=len(w))
    assert two_way_variance(y, x, w, state, year, effects=(county, year)).std_error == pytest.approx(
        two_way_variance(y, dummies, w, state, year).std_error[:2], rel=1e-8
    )


def test_leverage_and_effective_clusters_by_definition():
    state, county, year, x, w = small_panel()
    found = cluster_report(x, w, state, (county, year))
    root = np.sqrt(w)
    design = np.column_stack([x, *(np.equal.outer(e, np.unique(e)) for e in (county, year))]) * root[:, None]
    hat = design @ np.linalg.pinv(design)
    assert found.leverage == pytest.approx([np.trace(hat[np.ix_(state == g, state == g)]) for g in range(5)])
    others = np.delete(design, 0, axis=1)
    own = design[:, 0] - others @ np.linalg.pinv(others) @ design[:, 0]
    share = np.array([(own[state == g] ** 2).sum() for g in range(5)]) / (own**2).sum()
    assert found.partial_leverage[:, 0] == pytest.approx(share)
    assert found.effective[0] == pytest.approx(5 / (1 + share.var() / share.mean() ** 2))
    # State effects make regressors sum to zero in states: a shock shared by a state does not matter.
    assert np.isnan(found.effective_correlated).all()
    assert found.rows.sum() == len(w)
    # A hand-made case: two equal clusters and an idle one count as two.
    x = np.array([[1.0], [-1.0], [1.0], [-1.0], [0.0], [0.0]])
    assert cluster_report(x, np.ones(6), np.repeat([1, 2, 3], 2)).effective[0] == pytest.approx(2.0)


def test_a_single_treated_cluster_is_named():
    state, county, year, _, w = small_panel()
    x = ((state == 2) & (year >= 2)).astype(float)[:, None]
    y = np.random.default_rng(0).normal(size=len(w))
    for kind in ("CR1", "CR2", "CR3"):
        found = cluster_variance_small(y, x, w, state, kind=kind, effects=(county, year))
        assert found.alone == ("2",)
        assert np.isnan(found.std_error[0]) == np.isnan(found.vcov[0, 0]) == (kind != "CR1")
    # Two treated states: nothing is lost.
    x = (((state == 2) | (state == 3)) & (year >= 2)).astype(float)[:, None]
    assert cluster_variance_small(y, x, w, state, kind="CR3", effects=(county, year)).alone == ()


def test_order_labels_and_units_do_not_matter():
    rng = np.random.default_rng(5)
    order = rng.permutation(len(Y))
    plain = cluster_variance_small(Y, X, W, STATE, kind="CR2", effects=BY_YEAR, working="equal")
    moved = cluster_variance_small(
        3 * Y[order] + 7,
        X[order] * [1, 10],
        W[order] * 5,
        np.char.add("s", STATE[order]),
        kind="CR2",
        effects=(COUNTY[order], YEAR[order] + 100),
        working="equal",
    )
    assert moved.std_error == pytest.approx(plain.std_error * [3, 0.3], rel=1e-9)
    assert moved.df == pytest.approx(plain.df, rel=1e-9)


def test_bad_input_is_refused_in_words():
    def fit(**changes):
        given = {"y": Y, "x": X, "weights": W, "clusters": STATE, "kind": "CR2", "effects": BY_YEAR} | changes
        y, x, w, g = (given.pop(key) for key in ("y", "x", "weights", "clusters"))
        return cluster_variance_small(y, x, w, g, **given)

    with pytest.raises(ValueError, match=r"kind = 'CR4'; wanted"):
        fit(kind="CR4")
    with pytest.raises(ValueError, match="at least two clusters"):
        fit(clusters=np.zeros(len(Y)))
    with pytest.raises(ValueError, match="3 weights are not positive"):
        fit(weights=np.where(np.arange(len(Y)) < 3, 0.0, W))
    with pytest.raises(ValueError, match=r"regressors \[2\] have no variation"):
        fit(x=np.column_stack([X, 2 * X[:, 0] + YEAR]))
    with pytest.raises(ValueError, match="missing values"):
        fit(y=np.where(np.arange(len(Y)) == 0, np.nan, Y))
    with pytest.raises(ValueError, match="contrasts of 3 coefficients; wanted 2"):
        fit(contrasts=np.ones((1, 3)))
    with pytest.raises(ValueError, match="working = "):
        fit(working="iid")


# --- how often they reject --------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", list(WORLDS))
def test_a_few_draws_agree_with_the_committed_table(world):
    # Seeds the table does not hold. A wrong variance or a wrong null shows in a dozen panels.
    stored = read_table().query("world == @world").set_index("method")
    assert list(stored.index) == list(METHODS) and stored["draws"].eq(DRAWS).all()
    found = simulate(world, 12, first=10_000).set_index("method")
    known = stored["failed"].eq(0)
    assert found["failed"].eq(0).equals(known)
    error = np.sqrt(stored["rejects"] * (1 - stored["rejects"]) / 12)
    assert ((found["rejects"] - stored["rejects"]).abs() < 4.5 * error + 1 / 12)[known].all()
    assert (
        found.loc[known, "std_error_over_spread"]
        .div(stored["std_error_over_spread"])
        .dropna()
        .between(0.45, 2.2)
        .all()
    )
    assert found["effective_clusters"].div(stored["effective_clusters"]).between(0.8, 1.25).all()


def test_the_table_says_what_few_treated_clusters_do():
    table = read_table().set_index(["world", "method"])
    rejects, error = table["rejects"].unstack(), np.sqrt(0.05 * 0.95 / DRAWS)
    # Many states alike: all methods are near nominal.
    assert (rejects.loc["even_40"] - 0.05).abs().max() < 3 * error
    # CR2 with its degrees of freedom errs on the safe side; one treated cluster has neither CR2 nor CR3.
    assert (rejects["CR2, Satterthwaite"].dropna() < 0.05 + 2 * error).all()
    gone = table["failed"].unstack().gt(0)
    assert gone.loc["laws_1"].sum() == 3 and gone.to_numpy().sum() == 3
    # Few treated states: the cluster bootstrap never rejects with the null imposed, far too often without it;
    # by county both come nearer, and with one treated state neither helps.
    for world in ("laws_2", "laws_1"):
        assert rejects.loc[world, "CR1, t(G - 1)"] > 0.2
        assert (
            rejects.loc[world, "wild, null imposed"] < 0.01 < 0.15 < rejects.loc[world, "wild, unrestricted"]
        )
    assert 0.02 < rejects.loc["laws_2", "wild by county, null imposed"] < 0.06
    assert rejects.loc["laws_1", "wild by county, unrestricted"] > 0.1
    # Randomisation is right where the mechanism is and treatment does not change the size of shocks.
    right = rejects["randomisation"].drop("laws_2_noisy")
    assert (right - 0.05).abs().max() < 3 * error < rejects.loc["laws_2_noisy", "randomisation"] - 0.05

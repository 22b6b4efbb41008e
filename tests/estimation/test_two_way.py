"""Two-way fixed effects against R (values under tests/reference/two_way), linearmodels, and themselves."""

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
    with_table,
)

from analysis.base.errors import SampleError, SpecError
from analysis.estimation import aggregate, check_estimate, recluster
from analysis.estimation.inference import draw_multipliers, wild_cluster_bootstrap
from analysis.estimation.two_way import fit

R = reference_values("two_way")
PANEL = reference_panel("two_way")
WILD = replace(BY_STATE, vcov="wild_bootstrap", draws=999)
# Closed forms on both sides; R solves with dummies.
CLOSED = 1e-8

OPTIONS = {
    "county_year": {},
    "county_year_by_county": {"by": "county"},
    "county_year_weighted": {"weights": "population_baseline"},
    "county_year_control": {"controls": ("secure_communities",)},
    "state_by_year": {"effects": "state_by_year"},
    "state_by_year_weighted_control": {
        "effects": "state_by_year", "weights": "population_baseline", "controls": ("secure_communities",),
    },
}  # fmt: skip


def design_of(table, effects="county_year", weights="none", by="state", controls=(), inference=BY_STATE):
    estimator = replace(TWO_WAY, effects=effects, weights=weights)
    return make_design_of(
        table,
        make_spec(estimator, replace(inference, by=by), controls=controls, comparison="not_yet_treated"),
    )


def numbers(estimate):
    return estimate.table[["estimate", "std_error"]].to_numpy().ravel()


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_coefficient_and_error_equal_r(name):
    stored, options = R[name], OPTIONS[name]
    found = fit(design_of(PANEL, **options))
    check_estimate(found)
    assert found.table["estimate"].item() == pytest.approx(stored["estimate"], abs=CLOSED)
    # R's number is without any factor. Ours: (N - 1)/(N - k), k = regressors + year effects (or one constant
    # where all effects are nested in clusters), times G/(G - 1), G without the two states in which nobody
    # adopts where nothing of them is left (effects by state and year, no control).
    n, g = stored["n"], stored["clusters"] - (2 if name == "state_by_year" else 0)
    assert "FL" not in found.glance()["treated_states"].item()
    regressors = 1 + len(options.get("controls", ()))
    k = regressors + (1 if options.get("effects") == "state_by_year" else PANEL["year"].nunique())
    factor = (n - 1) / (n - k) * g / (g - 1)
    assert found.table["std_error"].item() == pytest.approx(
        stored["std_error_no_factor"] * factor**0.5, rel=CLOSED
    )
    assert found.inference.df == g - 1
    assert any(f"k = {k}:" in note for note in found.notes)


def test_conversion_to_estimatr_which_counts_nested_effects():
    stored, ours = R["estimatr"], fit(design_of(PANEL)).table
    n, k = R["county_year"]["n"], R["county_year"]["rank"]
    # Stata's factor counts county effects in k as well.
    convert = ((n - 1 - PANEL["year"].nunique()) / (n - k)) ** 0.5
    assert ours["estimate"].item() == pytest.approx(stored["estimate"], abs=CLOSED)
    assert ours["std_error"].item() * convert == pytest.approx(stored["std_error"], rel=CLOSED)


@pytest.mark.filterwarnings("ignore")
def test_linearmodels_agrees():
    from linearmodels.panel import PanelOLS

    data = PANEL.assign(treated=PANEL["treated"].astype(float)).set_index(["county_fips", "year"])
    codes = pd.DataFrame({"state": pd.factorize(data["state"])[0]}, index=data.index)
    peer = PanelOLS(
        data["outcome"], data[["treated"]], entity_effects=True, time_effects=True, weights=data["weight"]
    ).fit(cov_type="clustered", clusters=codes, group_debias=True, debiased=False)
    ours = fit(design_of(PANEL, weights="population_baseline"))
    assert ours.table["estimate"].item() == pytest.approx(float(peer.params["treated"]), abs=CLOSED)
    # It counts every effect and no regressor, (N - 1)/(N - effects), we the year effects and the regressor.
    n, years, counties = len(PANEL), PANEL["year"].nunique(), PANEL["county_fips"].nunique()
    factor = ((n - (counties + years - 1)) / (n - 1 - years)) ** 0.5
    assert ours.table["std_error"].item() == pytest.approx(
        float(peer.std_errors["treated"]) * factor, rel=CLOSED
    )


@pytest.mark.parametrize("effects", ["county_year", "state_by_year"])
def test_properties(effects):
    options = {"effects": effects, "weights": "population_baseline", "controls": ("secure_communities",)}
    design = design_of(PANEL, **options)
    base = numbers(fit(design))

    def same(table, factor=1.0):
        found = fit(with_table(design, table))
        check_estimate(found)
        assert numbers(found) == pytest.approx(base * factor, rel=1e-6)

    same(PANEL.sample(frac=1, random_state=1))
    same(PANEL.assign(outcome=PANEL["outcome"] + 1000 + 7 * PANEL["year"]))
    same(PANEL.assign(outcome=PANEL["outcome"] * 10), 10)
    same(PANEL.assign(weight=PANEL["weight"] * 1e6))
    same(PANEL.assign(county_fips=PANEL["county_fips"].map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")))


def test_state_shocks_drop_out_with_state_by_year_effects_and_not_without():
    rng = np.random.default_rng(1)
    shock = {key: rng.normal(0, 5) for key in sorted(set(zip(PANEL["state"], PANEL["year"], strict=True)))}
    moved = PANEL.assign(
        outcome=PANEL["outcome"] + [shock[key] for key in zip(PANEL["state"], PANEL["year"], strict=True)]
    )
    one, two = (fit(design_of(t, effects="state_by_year")) for t in (PANEL, moved))
    assert numbers(one) == pytest.approx(numbers(two), rel=1e-6)
    # States where nobody adopts tell nothing, and are not counted as standing behind the number.
    assert "FL" not in one.glance()["treated_states"].item()
    assert (
        one.table["n_counties"].item()
        == PANEL.loc[~PANEL["state"].isin(["12", "37"]), "county_fips"].nunique()
    )
    assert one.attrition["rule"].iloc[-1].startswith("two-way: in a state")
    assert not np.allclose(numbers(fit(design_of(PANEL))), numbers(fit(design_of(moved))), rtol=0.05)


def test_recluster_and_aggregate():
    by_state = fit(design_of(PANEL))
    again = recluster(by_state, "county")
    check_estimate(again)
    assert numbers(again) == pytest.approx(numbers(fit(design_of(PANEL, by="county"))), rel=1e-8)
    assert aggregate(by_state, over="post") is by_state


def test_counties_seen_once_are_left_out_and_counted():
    once = PANEL[(PANEL["county_fips"] != PANEL["county_fips"].iloc[0]) | (PANEL["year"] == 2012)]
    found = fit(design_of(once))
    check_estimate(found)
    assert found.attrition["dropped"].iloc[-1] == 1
    gone = fit(design_of(PANEL[PANEL["county_fips"] != PANEL["county_fips"].iloc[0]]))
    assert numbers(found) == pytest.approx(numbers(gone), rel=1e-7)


def test_no_variation_is_an_error():
    everyone = PANEL.assign(treated=PANEL["year"] >= 2014)
    with pytest.raises(SampleError, match="does not vary"):
        fit(design_of(everyone))


def test_keys_it_cannot_honour_are_refused():
    with pytest.raises(SpecError, match="anticipation"):
        fit(make_design_of(PANEL, make_spec(TWO_WAY, anticipation=1)))
    with pytest.raises(SpecError, match="county"):
        fit(design_of(PANEL, effects="state_by_year", by="county", inference=WILD))


# --- wild cluster bootstrap
# ----------------------------------------------------------------------------------------


def by_brute_force(y, x, z, w, g, null, v):
    """Wild cluster bootstrap statistics by refitting every draw with full matrices."""
    root = np.sqrt(w)
    y, x, z = y * root, x * root, z * root[:, None]
    labels = np.unique(g)
    full = np.column_stack([x, z])

    def statistic(outcome, null):
        beta, *_ = np.linalg.lstsq(full, outcome, rcond=None)
        residual = outcome - full @ beta
        own = x - z @ np.linalg.lstsq(z, x, rcond=None)[0]
        scores = np.array([(own * residual)[g == label].sum() for label in labels])
        return (beta[0] - null) / (np.sqrt((scores**2).sum()) / (own @ own))

    restricted, *_ = np.linalg.lstsq(z, y - null * x, rcond=None)
    fitted = null * x + z @ restricted
    residual = y - fitted
    drawn = [statistic(fitted + residual * row[np.searchsorted(labels, g)], null) for row in v]
    observed = statistic(y, null)
    return (1 + np.count_nonzero(np.abs(drawn) >= abs(observed) * (1 - 1e-9))) / (1 + len(v))


def test_bootstrap_equals_refitting_every_draw():
    rng = np.random.default_rng(12)
    n, clusters = 160, 14
    g = rng.integers(0, clusters, n)
    z = np.column_stack([np.ones(n), rng.normal(size=n)])
    x = (g < 5) * rng.random(n) + 0.3 * z[:, 1]
    y = 0.4 * x + rng.normal(size=clusters)[g] + rng.normal(size=n)
    w = rng.uniform(0.5, 2, n)
    for kind in ("rademacher", "webb", "mammen"):
        found = wild_cluster_bootstrap(y, x, z, w, g, level=0.9, draws=299, seed=7, multiplier=kind)
        v = draw_multipliers(299, clusters, np.random.default_rng(7), kind)
        assert found.p_value == by_brute_force(y, x, z, w, g, 0.0, v)
        # The interval's ends are where the test turns. The p-value is a step function of the null with small
        # reversals at its steps, so it is read a little inside and a little outside.
        width = found.conf_high - found.conf_low
        for end, outward in ((found.conf_low, -1), (found.conf_high, 1)):
            assert by_brute_force(y, x, z, w, g, end - outward * 0.03 * width, v) > 0.1
            assert by_brute_force(y, x, z, w, g, end + outward * 0.03 * width, v) <= 0.1


@pytest.mark.parametrize("effects", ["county_year", "state_by_year"])
def test_bootstrap_of_the_panel_equals_dummies(effects):
    design = design_of(
        PANEL,
        effects,
        "population_baseline",
        controls=("secure_communities",),
        inference=replace(WILD, draws=99),
    )
    found = fit(design)
    check_estimate(found)
    assert found.inference.kind == "wild_bootstrap"
    second = (
        PANEL["year"].astype(str) if effects == "county_year" else PANEL["state"] + PANEL["year"].astype(str)
    )
    dummies = pd.get_dummies(pd.DataFrame({"county": PANEL["county_fips"], "second": second})).to_numpy(
        dtype=float
    )
    z = np.column_stack([PANEL["secure_communities"].to_numpy(dtype=float), dummies])
    direct = wild_cluster_bootstrap(
        PANEL["outcome"].to_numpy(),
        PANEL["treated"].to_numpy(dtype=float),
        z,
        PANEL["weight"].to_numpy(dtype=float),
        PANEL["state"].to_numpy(dtype=str),
        level=0.95,
        draws=99,
        seed=BY_STATE.seed,
    )
    line = found.table.iloc[0]
    assert line["p_value"] == direct.p_value
    assert (line["conf_low"], line["conf_high"]) == pytest.approx(
        (direct.conf_low, direct.conf_high), rel=1e-3
    )
    assert any("wild cluster bootstrap" in note for note in found.notes)


def test_bootstrap_by_county():
    found = fit(design_of(PANEL, by="county", inference=replace(WILD, draws=199)))
    check_estimate(found)
    assert found.inference.clusters == PANEL["county_fips"].nunique()
    plain = fit(design_of(PANEL, by="county")).table.iloc[0]
    # With 216 clusters both intervals say the same.
    assert found.table["conf_low"].item() == pytest.approx(
        plain["conf_low"], abs=0.1 * abs(plain["estimate"])
    )

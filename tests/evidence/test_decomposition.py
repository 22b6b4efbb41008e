"""What a two-way coefficient averages: by hand, against an engine, and to the coefficient itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import STATES, spec

from analysis.base.errors import ProtocolError, SampleError, SpecError, StudyError
from analysis.base.provenance import make_stamp
from analysis.design.design import Design
from analysis.estimation import two_way
from analysis.evidence.checks.decomposition import bacon, residual_weights, two_by_twos


def invented(seed=1, *, counties=80, always=False, never=True):
    """A staggered panel of invented counties, balanced, with effects that grow."""
    rng = np.random.default_rng(seed)
    homes = list(STATES)
    rows = []
    for i in range(counties):
        cohort = rng.choice([2009, 2012, 2014] if always else [2012, 2014, 2015])
        adopts = rng.random() < 0.5 or not never
        level, size = rng.normal(50, 5), np.round(np.exp(rng.normal(10, 1)))
        for year in range(2010, 2018):
            on = adopts and year >= cohort
            rows.append(
                {
                    "county_fips": f"{homes[i % 8]}{2 * i + 1:03d}", "year": year,
                    "cohort": cohort if adopts else pd.NA, "event_time": year - cohort if adopts else pd.NA,
                    "treated": on, "weight": size, "agreement": float(year >= 2011 + i % 5),
                    "outcome": level + 0.3 * (year - 2010) + (2 + (year - cohort)) * on + rng.normal(),
                }
            )  # fmt: skip
    return pd.DataFrame(rows).astype({"cohort": "Int64", "event_time": "Int64"})


EFFECTS = {
    "county_year": None, "state_by_year": "state", "urban_class_by_year": "urban_class", "county_definition_year": None,
}  # fmt: skip


def design_of(table, *, weighted=False, effects="county_year", controls=(), covariates=()):
    table = table.sort_values(["county_fips", "year"]).reset_index(drop=True)
    number = table["county_fips"].str[2:].astype(int)
    table = table.assign(
        weight=table["weight"] if weighted else 1.0,
        state=table["county_fips"].str[:2],
        urban_class=np.array(["large", "medium", "small"])[number % 3],
        definition_spell=np.where(table["year"] >= 2013 + number % 4, "revised", "legacy"),
    )
    stratum = EFFECTS[effects]
    table["stratum"] = "all" if stratum is None else table[stratum]
    weights = "population_baseline" if weighted else "none"
    of_rape = {"outcome.measure": "violent"} if effects == "county_definition_year" else {}
    made = spec(
        {"estimator.name": "two_way", "estimator.effects": effects, "estimator.weights": weights, **of_rape}
    )
    attrition = pd.DataFrame(
        {"rule": ["given"], "counties": [1], "county_years": [len(table)], "treated": [1], "dropped": [0]}
    )
    stamp = make_stamp("0" * 16, True, made.digest)
    return Design(table, made, "panel", covariates, controls, "unit", "Outcome", 1.0, attrition, stamp, ())


def test_three_groups_by_hand():
    # Years 0 to 2. Early adopts in year 1, late in year 2, the third never; one county each.
    mean = np.array([[0.0, 2.0, 2.0], [0.0, 0.0, 6.0], [0.0, 1.0, 1.0]])
    found = {(k, other): (weight, value) for k, other, weight, value in two_by_twos(mean, np.ones(3), np.array([1, 2, 3]))}  # fmt: skip
    # Shares of time treated 2/3 and 1/3: weights 2/9, 2/9 against the never treated, 1/9 and 1/9 against each other.
    assert {pair: round(w * 6, 9) for pair, (w, _) in found.items()} == {
        (0, 1): 1,
        (0, 2): 2,
        (1, 0): 1,
        (1, 2): 2,
    }
    assert found[0, 2][1] == pytest.approx(1.0)  # 2 - 1
    assert found[1, 2][1] == pytest.approx(6.0 - 0.5)  # 6 less 0, against 1 less the mean of 0 and 1
    assert found[0, 1][1] == pytest.approx(2.0)  # year 1 against year 0
    assert found[1, 0][1] == pytest.approx(6.0)  # year 2 against year 1, the early one standing still


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("never", [False, True])
def test_the_decomposition_is_the_two_way_coefficient(always, never):
    table = invented(always=always, never=never)
    design = design_of(table)
    found = bacon(design)
    assert found.table["weight"].sum() == pytest.approx(1.0, abs=1e-12)
    assert (found.table["weight"] > 0).all()
    # Closed form on both sides but for the engine's own demeaning.
    assert found.two_way == pytest.approx(two_way.fit(design).table["estimate"].item(), abs=1e-10)
    kinds = set(found.table["kind"])
    assert ("later_and_always" in kinds) == always and ("treated_and_untreated" in kinds) == never
    by_kind = found.by_kind()
    assert by_kind["weight"] @ by_kind["estimate"] == pytest.approx(found.two_way)


@pytest.mark.filterwarnings("ignore")
def test_every_comparison_equals_diff_diff():
    from diff_diff import BaconDecomposition

    table = invented(3)
    frame = table.assign(first=table["cohort"].fillna(0).astype(int))
    peer = BaconDecomposition(weights="exact").fit(frame, "outcome", "county_fips", "year", "first")
    found = bacon(design_of(table)).table
    ours = {(r.treated, 0 if r.comparison is pd.NA else r.comparison): (r.weight, r.estimate) for r in found.itertuples()}  # fmt: skip
    assert len(peer.comparisons) == len(ours)
    for one in peer.comparisons:
        never = not np.isfinite(one.control_group) if not isinstance(one.control_group, str) else True
        weight, estimate = ours[
            int(one.treated_group), 0 if never or one.control_group == 0 else int(one.control_group)
        ]
        assert (weight, estimate) == pytest.approx((one.weight, one.estimate), abs=1e-8)


def test_where_it_is_not_exact_it_is_refused():
    table = invented()
    for design, word in (
        (design_of(table.drop(index=3)), "unbalanced"),
        (design_of(table, weighted=True), "weights"),
        (design_of(table, controls=("agreement",)), "control policies"),
        (design_of(table.assign(poor=1.0), covariates=("poor",)), "covariates"),
        (design_of(table, effects="state_by_year"), "state-by-year"),
        (design_of(table, effects="urban_class_by_year"), "urban-class-by-year"),
        (design_of(table, effects="county_definition_year"), "county and definition"),
    ):
        with pytest.raises(ProtocolError, match=rf"rule 14.*{word}.*residual_weights"):
            bacon(design)
    off = table.assign(treated=table["treated"] & (table["year"] < 2017))
    with pytest.raises(SampleError, match="switches off"):
        bacon(design_of(off))
    with pytest.raises(SampleError, match="no two groups"):
        bacon(design_of(table[table["cohort"].isna()]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("effects", EFFECTS)
@pytest.mark.parametrize("controls", [(), ("agreement",)])
def test_residual_weights_sum_to_the_coefficient(weighted, effects, controls):
    table = invented(5).sample(frac=0.93, random_state=2)
    design = design_of(table, weighted=weighted, effects=effects, controls=controls)
    found = residual_weights(design)
    fitted = two_way.fit(design).table["estimate"].item()
    assert found.two_way == pytest.approx(fitted, abs=1e-10)
    on = found.table["treated"]
    assert found.table.loc[on, "weight"].sum() == pytest.approx(1.0, abs=1e-10)
    assert found.table["weight"].sum() == pytest.approx(0.0, abs=1e-10)
    if not np.isnan(found.treated_sum):
        # The same number out of treated county-years alone, each with the effect that imputation finds for it.
        assert found.treated_sum == pytest.approx(fitted, abs=1e-9)
        assert found.table.loc[on, "effect"].notna().any()
    else:
        # A state in which all are treated in a year, or a county's definition seen after adoption alone.
        assert effects in ("state_by_year", "county_definition_year")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("effects", EFFECTS)
def test_weights_by_cohort_and_event_time_add_up(weighted, effects):
    found = residual_weights(design_of(invented(6, always=True), weighted=weighted, effects=effects))
    on = found.table[found.table["treated"]]
    for over in ("cohort", "event_time"):
        table = found.by(over)
        assert table[over].tolist() == sorted(on[over].unique())
        assert table["county_years"].sum() == len(on)
        assert table["weight"].sum() == pytest.approx(1.0, abs=1e-10)
        assert table["negative_sum"].sum() == pytest.approx(found.negative_sum, abs=1e-12)
        assert np.average(table["negative"], weights=table["county_years"]) == pytest.approx(found.negative)
    if effects == "county_year":
        # Negative ones lie late on early cohorts, as the formula of two-way weights says.
        late, early = found.by("event_time").iloc[-1], found.by("event_time").iloc[0]
        assert late["negative"] > early["negative"] and late["weight"] < early["weight"]
    known = residual_weights(design_of(invented(5), effects="county_year"))
    parts = known.by("cohort")
    assert parts["weight"] @ parts["effect"] == pytest.approx(known.two_way, abs=1e-9)
    with pytest.raises(StudyError, match="over = 'year'"):
        known.by("year")


def test_residual_weights_find_the_coefficient_of_any_effects():
    table = invented(6, never=False, always=True)
    design = design_of(table)
    found = residual_weights(design)
    assert found.negative > 0 and found.negative_sum < 0
    assert np.isnan(found.treated_sum)  # counties treated throughout have no effect to impute
    plain = invented(6)
    on = plain["treated"]
    moved = residual_weights(
        design_of(plain.assign(outcome=np.where(on, plain["event_time"].fillna(0) * 1.0, 0.0)))
    )
    weights = moved.table.loc[moved.table["treated"]]
    assert moved.two_way == pytest.approx(
        float(weights["weight"] @ weights["event_time"].astype(float)), abs=1e-10
    )
    assert moved.table.loc[moved.table["treated"], "effect"].to_numpy() == pytest.approx(
        weights["event_time"].to_numpy(dtype=float), abs=1e-9
    )


def test_what_does_not_vary_is_refused():
    table = invented()
    with pytest.raises(SampleError, match="does not vary"):
        residual_weights(design_of(table[table["cohort"].isna()]))
    with pytest.raises(SpecError, match="panel"):
        residual_weights(replace(design_of(table), kind="cross_section"))

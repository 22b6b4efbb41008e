"""The joint test of a specification curve: exact refits from sums over states, and what the test says of known worlds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from curve_size import DRAW_COLUMNS, PAGE, SINGLE, TABLE, page, summarise
from estimation_cases import TWO_WAY, make_design_of, make_spec, simulated_panel

from analysis.design.keys import URBAN_CLASSES
from analysis.design.spec import EstimatorSection
from analysis.estimation import aggregate, fit
from analysis.estimation.panel_inference.curve import (
    CellSums,
    Curve,
    RatioSums,
    curve_test,
    draw_states,
    level_sums,
    null_curve,
    observed_curve,
    within_state_sums,
)
from analysis.evidence.curve import SIZES, state_sums

STATES = 12
GROUP_TIME = EstimatorSection("group_time_att", "none", method="outcome_regression", within="none")
ESTIMATORS = {
    "between": GROUP_TIME,
    "within": replace(GROUP_TIME, within="state"),
    "county_year": TWO_WAY,
    "urban_class_by_year": replace(TWO_WAY, effects="urban_class_by_year"),
    "state_by_year": replace(TWO_WAY, effects="state_by_year"),
}
CASES = [(name, weights) for name in ESTIMATORS for weights in ("none", "population_baseline")]


def design(name, weights="none", seed=1, **more):
    """A panel with gaps, transition years and urban classes, under one estimator."""
    table = simulated_panel(seed, counties=240, states=STATES, half_year=True, state_shock=1.0, **more)
    rng = np.random.default_rng(seed)
    classes = table["county_fips"].map(
        dict(zip(table["county_fips"].unique(), rng.choice(URBAN_CLASSES, 240), strict=True))
    )
    table = table.assign(urban_class=classes, population=table["weight"])[~table["transition"]]
    table = table[rng.random(len(table)) > 0.05]
    return make_design_of(
        table, make_spec(replace(ESTIMATORS[name], weights=weights), comparison="not_yet_treated")
    )


def states_of(made):
    return sorted(made.table["state"].unique())


def resampled(made, counts):
    """The design on states as often as drawn, each copy a state of its own."""
    parts = []
    for state, count in zip(states_of(made), counts, strict=True):
        own = made.table[made.table["state"].eq(state)]
        for _ in range(int(count)):
            label = f"{len(parts):02d}"
            stratum = own["stratum"].where(own["stratum"].eq("all"), label)
            parts.append(
                own.assign(county_fips=label + own["county_fips"].str[2:], state=label, stratum=stratum)
            )
    table = pd.concat(parts).sort_values(["county_fips", "year"]).reset_index(drop=True)
    return replace(made, table=table)


def effect(made):
    line = aggregate(fit(made), over="post").table.iloc[0]
    return float(line["estimate"]), float(line["std_error"])


@pytest.mark.parametrize(("name", "weights"), CASES)
def test_refit_from_state_sums_is_the_estimator_on_the_resampled_design(name, weights):
    made = design(name, weights)
    counts = draw_states(STATES, 3, np.random.default_rng(5), "resampled")
    found = state_sums(made, states_of(made)).refit(np.vstack([np.ones(STATES), counts]))
    assert effect(made) == pytest.approx((found.estimate[0], found.std_error[0]), rel=1e-10)
    for j, row in enumerate(counts):
        assert effect(resampled(made, row)) == pytest.approx(
            (found.estimate[j + 1], found.std_error[j + 1]), rel=1e-8
        )


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_taking_the_estimate_off_treated_rows_centres_every_draw_and_leaves_errors(name):
    made = design(name)
    counts = draw_states(STATES, 20, np.random.default_rng(6), "resampled")
    own = effect(made)[0]
    null = replace(made, table=made.table.assign(outcome=made.table["outcome"] - own * made.table["treated"]))
    plain, centred = (state_sums(one, states_of(made)).refit(counts) for one in (made, null))
    np.testing.assert_allclose(centred.estimate, plain.estimate - own, atol=1e-9)
    np.testing.assert_allclose(centred.std_error, plain.std_error, rtol=1e-8)


def residual_design(made, signs, effects):
    """The design whose outcome is what effects without treatment leave of it, times a state's sign."""
    table = made.table
    county = pd.factorize(table["county_fips"])[0]
    columns = [county == c for c in range(county.max() + 1)]
    levels = table["year"].astype(str)
    if effects == "state_by_year":
        levels = table["state"] + levels
    elif effects == "urban_class_by_year":
        levels = table["urban_class"] + levels
    codes = pd.factorize(levels)[0]
    columns += [codes == one for one in range(codes.max() + 1)]
    x, root = np.column_stack(columns).astype(float), np.sqrt(table["weight"].to_numpy())
    y = table["outcome"].to_numpy()
    left = y - x @ np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
    sign = table["state"].map(dict(zip(states_of(made), signs, strict=True))).to_numpy()
    # Fitted values are taken out by every estimator here, so that signed residuals alone are what it sees.
    return replace(made, table=table.assign(outcome=left * sign))


@pytest.mark.parametrize(("name", "weights"), [c for c in CASES if c[1] == "population_baseline"])
def test_signs_refit_is_the_estimator_on_signed_residuals(name, weights):
    made = design(name, weights)
    effects = {"between": "county_year", "within": "state_by_year"}.get(name, name)
    signs = draw_states(STATES, 2, np.random.default_rng(7), "signs")
    found = state_sums(made, states_of(made)).flip(signs)
    for j, row in enumerate(signs):
        assert effect(residual_design(made, row, effects)) == pytest.approx(
            (found.estimate[j], found.std_error[j]), rel=1e-8
        )


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_states_a_specification_lacks_add_nothing_and_can_be_taken_away(name):
    made = design(name)
    known = states_of(made)
    sums = state_sums(made, ["00", *known, "99"])
    one = np.ones((1, STATES))
    more, less = sums.refit(np.array([[3.0, *one[0], 7.0]])), sums.take(np.arange(1, STATES + 1)).refit(one)
    assert more.estimate[0] == pytest.approx(less.estimate[0], rel=1e-12)
    assert more.std_error[0] == pytest.approx(less.std_error[0], rel=1e-12)
    assert more.df[0] == less.df[0]


@pytest.mark.parametrize("name", ["between", "within", "county_year", "state_by_year"])
def test_copies_of_one_state_are_no_second_witness(name):
    made = design(name)
    known = states_of(made)
    ever = made.table.groupby("state")["treated"].sum()
    one_state = np.zeros((1, STATES))
    one_state[0, known.index(str(ever.idxmax()))] = STATES
    found = state_sums(made, known).refit(one_state)
    assert np.isnan(found.estimate[0]) and np.isnan(found.std_error[0])


def test_a_draw_without_comparisons_in_a_cell_averages_the_cells_that_are_left():
    change, size = (
        np.array([[2.0, 3.0], [4.0, 5.0], [0.0, 0.0], [0.0, 0.0]]),
        np.array([[1.0, 1.0], [1.0, 1.0], [0, 0], [0, 0]]),
    )
    other, others = (
        np.array([[0.0, 0], [0, 0], [1.0, 0.0], [0.0, 2.0]]),
        np.array([[0.0, 0], [0, 0], [1.0, 0], [0.0, 1.0]]),
    )
    sums = CellSums(change, size, other, others, np.zeros(2))
    found = sums.refit(np.array([[1.0, 1, 1, 1], [2.0, 1, 1, 0]]))
    # Both cells: 3 - 1 and 4 - 2; then the first alone: (2 * 2 + 4) / 3 - 1.
    np.testing.assert_allclose(found.estimate, [2.0, 5 / 3])


def test_statistics_of_a_curve_made_by_hand():
    nan = np.nan
    percent = np.array([[1.0, 3.0, -2.0, nan], [nan, nan, nan, 5.0]])
    t = np.array([[1.0, 3.0, -2.0, nan], [nan, nan, nan, 4.0]])
    sign = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    found = Curve(percent, t, sign).statistics()
    np.testing.assert_allclose(found[0], [1.0, 1 / 3, 2 / 3])
    assert np.isnan(found[1]).all(), "a draw that estimates one of four has no statistics"


def test_a_draw_without_statistics_counts_as_extreme():
    seen = Curve(np.full((1, 2), 3.0), np.full((1, 2), 2.5), np.ones((1, 2)))
    drawn = Curve(np.array([[0.0, 0.0], [np.nan, np.nan], [9.0, -9.0]]), np.zeros((3, 2)), np.zeros((3, 2)))
    test = curve_test(seen, drawn, "resampled")
    assert (test.refused, test.missing, test.draws) == (1, 2, 3)
    np.testing.assert_allclose(test.p_value, [0.5, 0.5, 0.5])


def test_logs_are_read_exactly_and_rates_by_their_mean():
    sums = [RatioSums(np.array([0.1, 0.3, 0.2]), np.ones(3))] * 2
    seen, own, _ = observed_curve(sums, np.array([4.0, 5.0]), np.array([False, True]), 3)
    np.testing.assert_allclose(own, 0.2)
    np.testing.assert_allclose(seen.percent[0], [5.0, 100 * np.expm1(0.2)])


@pytest.mark.parametrize("how", ["resampled", "signs"])
def test_size_is_right_with_many_alike_states_and_an_effect_is_found(how):
    rng, size, plain, none = np.random.default_rng(3), 40, np.full(6, 10.0), np.zeros(6, dtype=bool)
    p_null, p_effect = [], []
    for _ in range(150):
        common = rng.normal(size=(size, 1))
        over = 0.7 * common + 0.7 * rng.normal(size=(size, 6))
        numbers = draw_states(size, 199, rng, how)
        for shift, kept in ((0.0, p_null), (0.6, p_effect)):
            sums = [RatioSums(column + shift, np.ones(size)) for column in over.T]
            seen, own, _ = observed_curve(sums, plain, none, size)
            kept.append(curve_test(seen, null_curve(sums, own, plain, none, numbers, how), how).p_value)
    rejects = (np.array(p_null) <= 0.05).mean(axis=0)
    # Three Monte Carlo errors of 150 draws about 5 %.
    assert (rejects < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)).all()
    assert ((np.array(p_effect) <= 0.05).mean(axis=0) > 0.8).all()


def test_what_cannot_be_estimated_is_refused():
    county, year = np.repeat(np.arange(4), 2), np.tile(np.arange(2), 4)
    y = np.arange(8.0)
    with pytest.raises(ValueError, match="does not vary"):
        level_sums(y, (county < 2).astype(float), np.ones(8), county, year, county, 4)
    with pytest.raises(ValueError, match="not positive"):
        level_sums(y, (county < 2) * year * 1.0, np.zeros(8), county, year, county, 4)
    with pytest.raises(ValueError, match="never differs"):
        within_state_sums(y, (county < 2) * year * 1.0, np.ones(8), county, year, county // 2, 2)


# --- the measured size ------------------------------------------------------------------------------------------


def test_the_page_is_what_the_table_says():
    assert PAGE.read_text(encoding="utf-8") == page(pd.read_csv(TABLE))


def test_the_table_holds_every_test_with_shares_that_are_shares():
    found = pd.read_csv(TABLE)
    assert tuple(found.columns) == SIZES
    assert found["rejects"].between(0, 1).all() and found["panels"].ge(200).all()
    assert not found.duplicated(list(SIZES[:5])).any()
    tests = found[found["how"].ne(SINGLE[0])]
    expected = np.sqrt(tests["rejects"] * (1 - tests["rejects"]) / (tests["panels"] - 1))
    np.testing.assert_allclose(tests["error"], expected, atol=2e-4)


def test_summary_of_draws_made_by_hand():
    rows = [
        (n, False, "property", "all", *place, 0.0, p, 0)
        for place, values in ((("signs", "median"), (0.01, 0.05, 0.06, 0.5)), (SINGLE, (0.2, 0.4, 0.0, 0.0)))
        for n, p in enumerate(values)
    ]
    found = summarise(pd.DataFrame(rows, columns=list(DRAW_COLUMNS)))
    assert found["rejects"].tolist() == [0.5, 0.15]
    assert found["panels"].tolist() == [4, 4]

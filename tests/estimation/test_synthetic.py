"""Synthetic areas: by hand, against other solvers and engines, under placebos, and what must not move them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from estimation_cases import (
    BY_STATE,
    make_design_of,
    make_spec,
    simulated_panel,
    with_spec,
    with_table,
)
from scipy.optimize import minimize, nnls

from analysis.base.errors import SampleError, SpecError
from analysis.design.spec import EstimatorSection, InferenceSection
from analysis.estimation import aggregate, check_estimate, fit, synthetic
from analysis.estimation.panel_arrays.synthetic_weights import (
    BEST_FIT,
    PENALTIES,
    augmented_weights,
    did_weights,
    fit_scales,
    optimality_gap,
    placebo_sets,
    placebo_test,
    ridge_weights,
    simplex_weights,
    synthetic_gap,
)

PLACEBO = InferenceSection("placebo", "none", 0.9, 0, 20260101)
KINDS = {
    "simplex": EstimatorSection("synthetic_control", "none", method="simplex"),
    "augmented": EstimatorSection("synthetic_control", "none", method="augmented"),
    "did": EstimatorSection("synthetic_did", "none"),
}


def of_cohorts(cohorts, *, counties=40, years=range(2008, 2018), seed=1, transition=False):
    """A simulated panel in which the first counties are treated from the years given and no other ever is."""
    table = simulated_panel(seed, counties=counties, years=years, share=1e-9, effect=0.0, growth=0.0)
    table = table.drop(columns=["cohort", "event_time", "treated"])
    codes = sorted(table["county_fips"].unique())[: len(cohorts)]
    first = table["county_fips"].map(dict(zip(codes, cohorts, strict=True)))
    table["cohort"] = first.astype("Int64")
    since = (table["year"] - table["cohort"]).astype("Int64")
    if transition:
        table, since = table[(since != -1).fillna(True)], since[(since != -1).fillna(True)]
        since = since.mask((since < 0).fillna(False), since + 1)
    return table.assign(event_time=since, treated=(since >= 0).fillna(False).astype(bool)).reset_index(
        drop=True
    )


ONE = of_cohorts([2014])


def design_of(kind, table=ONE, *, inference=PLACEBO, **more):
    return make_design_of(table, make_spec(KINDS[kind], inference, **more))


def fitted(kind, *args, **keys):
    found = synthetic.fit(design_of(kind, *args, **keys))
    check_estimate(found)
    return found


def by_time(estimate, column="estimate"):
    return estimate.table.set_index("event_time")[column].astype(float)


def factor_panel(rng, units, years, noise=1.0):
    """Outcomes of exchangeable units: levels, two common factors and noise, (units, years)."""
    factors = rng.normal(size=(2, years)).cumsum(axis=1)
    return (
        rng.normal(40, 4, (units, 1))
        + rng.normal(size=(units, 2)) @ factors
        + rng.normal(0, noise, (units, years))
    )


# --- weights: by hand and against other solvers
# ----------------------------------------------------------------------------------------------------


def test_two_donors_by_hand():
    # Target (3, 5, 4): distance to a mixture with share w of the first donor is least at the projection onto the line
    # through them: donors (0, 4, 2) and (4, 4, 6) less the target are (-3, -1, -2) and (1, -1, 2); w = 7 x ... / 32.
    donors = np.array([[0.0, 4.0, 2.0], [4.0, 4.0, 6.0]])
    target = np.array([3.0, 5.0, 4.0])
    # d/dw of ||(1 - 4w, -1, 2 - 4w)||^2 = 0: 32 w = 12.
    assert simplex_weights(donors, target) == pytest.approx([0.375, 0.625], abs=1e-12)
    # A ridge of 16 adds 16 (w^2 + (1 - w)^2): 64 w = 28.
    assert simplex_weights(donors, target, 16.0) == pytest.approx([28 / 64, 36 / 64], abs=1e-12)
    # Beyond the second donor the nearest point is the donor itself.
    assert simplex_weights(donors, np.array([9.0, 4.0, 9.0])).tolist() == [0.0, 1.0]


def enumerated(donors, target):
    """The best fit over every set of at most T + 1 donors: equality-constrained least squares, weights above zero."""
    best, weights = np.inf, None
    count, years = donors.shape
    for size in range(1, min(count, years + 1) + 1):
        for chosen in map(list, combinations(range(count), size)):
            x = donors[chosen].T
            left = np.block([[x.T @ x, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
            found = np.linalg.lstsq(left, np.append(x.T @ target, 1.0), rcond=None)[0][:size]
            miss = float(((x @ found - target) ** 2).sum())
            if found.min() >= 0 and miss < best - 1e-12:
                best, weights = miss, np.bincount(chosen, found, count)
    return best, weights


def test_simplex_weights_equal_every_set_of_donors_and_slsqp():
    rng = np.random.default_rng(5)
    for _ in range(12):
        donors, target = rng.normal(size=(7, 5)), rng.normal(size=5)
        weights = simplex_weights(donors, target)
        assert optimality_gap(donors, target, weights) < 1e-12 * np.abs(donors - target).max() ** 2
        best, exact = enumerated(donors, target)
        assert ((weights @ donors - target) ** 2).sum() == pytest.approx(best, abs=1e-10)
        if best < 1e-9:
            continue
        assert weights == pytest.approx(exact, abs=1e-8)
        peer = minimize(
            lambda w, x=donors, y=target: ((w @ x - y) ** 2).sum(), np.full(7, 1 / 7), method="SLSQP",
            jac=lambda w, x=donors, y=target: 2 * x @ (w @ x - y), bounds=[(0, 1)] * 7,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(7)},
            options={"ftol": 1e-16, "maxiter": 1000},
        )  # fmt: skip
        assert weights == pytest.approx(peer.x, abs=1e-8)


@pytest.mark.parametrize(("count", "years"), [(3, 6), (30, 4), (120, 9)])
def test_ridge_weights_of_the_simplex_equal_nonnegative_least_squares(count, years):
    rng = np.random.default_rng(count)
    for ridge in (1e-3, 1.0, 50.0):
        donors, target = rng.normal(40, 3, (count, years)), rng.normal(41, 3, years)
        weights = simplex_weights(donors, target, ridge)
        assert optimality_gap(donors, target, weights, ridge) < 1e-12 * np.abs(donors - target).max() ** 2
        # The nearest point of a hull as one regression with weights from 0: rows of the distances, of the ridge, and of
        # ones; divided by its sum.
        rows = np.vstack([(donors - target).T, np.sqrt(ridge) * np.eye(count)])
        loose, _ = nnls(
            np.vstack([rows, np.ones(count)]), np.append(np.zeros(len(rows)), 1.0), maxiter=10_000
        )
        assert weights == pytest.approx(loose / loose.sum(), abs=1e-8)


def test_of_many_exact_mixtures_the_one_of_least_squares():
    rng = np.random.default_rng(8)
    donors, target = rng.normal(size=(60, 4)), rng.normal(0, 0.1, 4) + np.array([0.9, 0.0, 0.0, 0.0])
    weights = simplex_weights(donors, target)
    assert weights @ donors == pytest.approx(target, abs=1e-12)
    # Certificate: there are multipliers with weights = max(0, level + donors @ s), so no other mixture is smaller.
    used = weights > 0
    terms = np.column_stack([donors, np.ones(60)])
    s = np.linalg.lstsq(terms[used], weights[used], rcond=None)[0]
    assert terms[used] @ s == pytest.approx(weights[used], abs=1e-11)
    assert (terms[~used] @ s).max() < 1e-11
    # The limit of a ridge going to zero.
    near = simplex_weights(donors, target, 1e-9)
    assert np.abs(near - weights).max() < 1e-6
    # Degenerate: the target is a donor on the hull's corner, twice in the pool.
    corner = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert corner.T @ simplex_weights(corner, np.zeros(2)) == pytest.approx(np.zeros(2), abs=1e-12)
    assert simplex_weights(np.ones((4, 3)), np.ones(3)).tolist() == [0.25] * 4


def test_augmented_weights_equal_dense_matrices():
    rng = np.random.default_rng(2)
    donors, target = rng.normal(40, 3, (12, 6)), rng.normal(44, 3, 6)
    weights, penalty = augmented_weights(donors, target)

    def corrected(x, y, lam):
        # Ben-Michael, Feller and Rothstein's formula, outcomes centred on the donors' mean.
        simplex = simplex_weights(x, y)
        c = x - x.mean(axis=0)
        return simplex + (y - simplex @ x) @ np.linalg.inv(c.T @ c + lam * np.eye(len(y))) @ c.T

    assert weights == pytest.approx(corrected(donors, target, penalty), abs=1e-9)
    assert weights.sum() == pytest.approx(1.0) and weights.min() < 0
    top = np.linalg.svd(donors - donors.mean(axis=0))[1][0] ** 2
    grid = [top * 1e-8 ** (k / PENALTIES) for k in range(PENALTIES + 1)]
    errors = [
        sum(
            (target[t] - corrected(np.delete(donors, t, 1), np.delete(target, t), lam) @ donors[:, t]) ** 2
            for t in range(6)
        )
        for lam in grid
    ]
    assert penalty == pytest.approx(grid[int(np.argmin(errors))])
    # From no correction at all to an exact fit.
    ends = ridge_weights(donors, target, simplex_weights(donors, target), np.array([1e15, 1e-12]))
    assert ends[0] == pytest.approx(simplex_weights(donors, target), abs=1e-9)
    assert ends[1] @ donors == pytest.approx(target, abs=1e-8)


# --- synthetic difference-in-differences: the regression it is, and another engine
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("treated", [1, 3])
def test_synthetic_did_is_a_weighted_two_way_regression(treated):
    outcomes = factor_panel(np.random.default_rng(4), 15 + treated, 9)
    before = np.arange(9) < 6
    found = synthetic_gap(outcomes[treated:], outcomes[:treated], before, ~before, "did")
    unit = np.concatenate([np.full(treated, 1 / treated), found.weights])
    year = np.concatenate([found.year_weights, np.full(3, 1 / 3)])
    weight = np.outer(unit, year).ravel()
    rows = np.zeros((outcomes.size, len(outcomes) + 9 + 1))
    at = np.arange(outcomes.size)
    rows[at, at // 9] = rows[at, len(outcomes) + at % 9] = 1.0
    rows[:, -1] = (at // 9 < treated) & (at % 9 >= 6)
    root = np.sqrt(weight)[:, None]
    effect = np.linalg.lstsq(rows * root, outcomes.ravel() * root[:, 0], rcond=None)[0][-1]
    assert found.gap[~before].mean() == pytest.approx(effect, abs=1e-8)
    # Levels of units and of years are taken up, whatever they are.
    moved = outcomes + np.linspace(0, 50, len(outcomes))[:, None] + np.arange(9) ** 2
    again = synthetic_gap(moved[treated:], moved[:treated], before, ~before, "did")
    # The ridge rests on changes over years, so adding them to all areas leaves their deviation as it is.
    assert again.gap[~before].mean() == pytest.approx(
        synthetic_gap(
            outcomes[treated:] + np.arange(9) ** 2, outcomes[:treated] + np.arange(9) ** 2, before, ~before, "did"
        ).gap[~before].mean(),
        abs=1e-8,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_weights_and_effects_equal_diff_diff():
    from diff_diff import SyntheticControl, SyntheticDiD

    outcomes = factor_panel(np.random.default_rng(3), 21, 10, noise=0.5)
    outcomes[0] = outcomes[1:5].mean(axis=0) + np.random.default_rng(1).normal(0, 1, 10)
    before = np.arange(10) < 7
    data = pd.DataFrame(
        {"u": np.repeat(np.arange(21), 10), "t": np.tile(np.arange(10), 21), "y": outcomes.ravel()}
    )
    data["group"] = (data["u"] == 0).astype(int)
    data["on"] = data["group"] * (data["t"] >= 7)
    ours = synthetic_gap(outcomes[1:], outcomes[:1], before, ~before, "did")
    peer = SyntheticDiD(seed=1, n_bootstrap=2).fit(data, "y", "group", "u", "t", post_periods=[7, 8, 9])
    assert ours.penalty == pytest.approx(peer.zeta_omega, rel=1e-12)
    theirs = np.array([peer.unit_weights[u] for u in range(1, 21)])
    # Theirs is the paper's Frank-Wolfe search, which stops when a step gains little: to three digits, and never below our
    # minimum.
    assert ours.weights == pytest.approx(theirs, abs=5e-3)
    assert ours.gap[~before].mean() == pytest.approx(peer.att, abs=5e-3)

    def loss(weights):
        gap = (weights @ outcomes[1:] - outcomes[0])[before]
        return ((gap - gap.mean()) ** 2).sum() + ours.penalty**2 * 7 * (weights**2).sum()

    assert loss(ours.weights) <= loss(theirs) + 1e-12
    control = synthetic_gap(outcomes[1:], outcomes[:1], before, ~before, "simplex")
    peer = SyntheticControl(v_method="custom", custom_v=np.ones(7), standardize="none").fit(
        data, "y", "on", "u", "t", pre_period_outcomes="all"
    )
    # One exact solver against another.
    assert control.gap[~before].mean() == pytest.approx(peer.att, abs=1e-8)


# --- placebos
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_placebos_by_hand(kind):
    found = fitted(kind)
    wide = ONE.pivot(index="county_fips", columns="year", values="outcome").to_numpy()
    before = np.arange(2008, 2018) < 2014
    treated, donors = wide[:1], wide[1:]
    effect = synthetic_gap(donors, treated, before, ~before, kind)
    assert found.table["estimate"].to_numpy() == pytest.approx(effect.gap, abs=1e-10)
    rest = [
        synthetic_gap(np.delete(donors, j, axis=0), donors[j : j + 1], before, ~before, kind)
        for j in range(len(donors))
    ]
    fits = np.array([one.fit for one in rest])
    floor = BEST_FIT * np.median(np.append(fits, effect.fit))
    scale = (
        np.ones(len(fits))
        if kind != "simplex" or floor == 0
        else max(effect.fit, floor) / np.maximum(fits, floor)
    )
    placebos = scale[:, None] * np.array([one.gap for one in rest])
    assert found.influence[1:] == pytest.approx(placebos, abs=1e-10) and (found.influence[0] == 0).all()
    # Algorithm 4: the placebos' variance about their mean, none of them drawn twice.
    assert found.vcov == pytest.approx(np.cov(placebos.T, ddof=0), abs=1e-9)
    share = [(1 + (np.abs(placebos[:, k]) >= abs(effect.gap[k])).sum()) / 40 for k in range(6, 10)]
    assert found.table["p_value"].to_numpy()[6:] == pytest.approx(share)
    post = aggregate(found, over="post").table.iloc[0]
    assert post["estimate"] == pytest.approx(effect.gap[6:].mean(), abs=1e-10)
    assert aggregate(found, over="post").vcov.item() == pytest.approx(
        np.var(placebos[:, 6:].mean(axis=1)), abs=1e-9
    )


def test_intervals_hold_the_effects_the_test_does_not_reject():
    rng = np.random.default_rng(6)
    estimate, placebos = rng.normal(size=3), rng.normal(size=(30, 3))
    for level in (0.5, 0.8, 0.9, 0.95):
        half = placebo_test(estimate, placebos, level).half_width
        for inside, share in ((True, 0.999), (False, 1.001)):
            p = placebo_test(half * share, placebos, level).p_value
            assert ((p > 1 - level + 1e-12) == inside).all()
        band = placebo_test(estimate, placebos, level).band_half_width
        held = (np.abs(placebos) <= band * (1 + 1e-9)).all(axis=1).mean()
        assert (band >= half).all() and held >= level - 1e-9
    assert np.isnan(placebo_test(estimate, placebos[:18], 0.95).half_width).all()
    assert np.isfinite(placebo_test(estimate, placebos[:19], 0.95).half_width).all()


def test_scales_and_sets_of_placebos():
    # A fit of 1 among fits 4, 1, 0: the median of all four is 1.
    assert fit_scales(1.0, np.array([4.0, 1.0, 0.0])).tolist() == [0.25, 1.0, 2.0]
    assert fit_scales(0.0, np.array([0.0, 3.0, 0.0])).tolist() == [1.0, 1.0, 1.0]
    sets = placebo_sets(9, 3, seed=4)
    assert all(sorted(seat) == list(range(9)) for seat in sets.T)
    assert all(len(set(one)) == 3 for one in sets)
    assert (sets != placebo_sets(9, 3, seed=5)).any() and (sets == placebo_sets(9, 3, seed=4)).all()


@pytest.mark.parametrize("kind", ["simplex", "did"])
def test_placebo_p_values_are_uniform_and_effects_unbiased_among_exchangeable_areas(kind):
    rng = np.random.default_rng(11)
    runs, units, before = 400, 20, np.arange(9) < 6
    p, effects = np.empty(runs), np.empty(runs)
    for r in range(runs):
        outcomes = factor_panel(rng, units, 9)
        outcomes[0, ~before] += 2.0
        made = synthetic_gap(outcomes[1:], outcomes[:1], before, ~before, kind)
        null = outcomes[1:]
        rest = [
            synthetic_gap(np.delete(null, j, 0), null[j : j + 1], before, ~before, kind)
            for j in range(units - 1)
        ]
        scale = np.ones(units - 1) if kind == "did" else fit_scales(made.fit, np.array([o.fit for o in rest]))
        placebos = scale[:, None] * np.array([[o.gap[~before].mean()] for o in rest])
        effects[r] = made.gap[~before].mean()
        p[r] = placebo_test(np.array([effects[r] - 2.0]), placebos, 0.95).p_value[0]
    # Within three Monte Carlo errors. A placebo has one donor fewer than the treated area, which is nothing here.
    for level in (0.05, 0.1, 0.25, 0.5):
        assert abs((p <= level + 1e-9).mean() - level) < 3 * np.sqrt(level * (1 - level) / runs)
    assert abs(effects.mean() - 2.0) < 3 * effects.std() / np.sqrt(runs)


def test_an_area_with_its_own_trend_is_followed_where_a_difference_in_differences_is_not():
    rng = np.random.default_rng(12)
    runs, units = 200, 40
    before = np.arange(16) < 12
    found = {"simplex": [], "augmented": [], "did": [], "plain": []}
    for _ in range(runs):
        # One factor that grows; the treated area loads on it more than most donors do.
        load = rng.uniform(0, 2, units)
        load[0] = 1.6
        outcomes = 40 + load[:, None] * np.arange(16) + rng.normal(0, 0.5, (units, 16))
        for kind in KINDS:
            found[kind].append(
                synthetic_gap(outcomes[1:], outcomes[:1], before, ~before, kind).gap[~before].mean()
            )
        change = outcomes[:, ~before].mean(axis=1) - outcomes[:, before].mean(axis=1)
        found["plain"].append(change[0] - change[1:].mean())
    bias = {kind: float(np.mean(values)) for kind, values in found.items()}
    # A difference in differences is off by 0.6 x 8 years; weights on years before adoption take all but noise of it, year
    # weights with the ridge's spread of donors most of it.
    assert bias["plain"] == pytest.approx(4.8, abs=0.5)
    for kind in ("simplex", "augmented"):
        assert abs(bias[kind]) < 0.1 + 3 * np.std(found[kind]) / np.sqrt(runs)
    assert abs(bias["did"]) < 0.15 * bias["plain"]


# --- shape, options and properties
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_several_areas_average_what_each_shows(kind):
    table = of_cohorts([2013, 2014, 2014], transition=True)
    found = fitted(kind, table)
    assert found.reference is None and found.estimand == "event_time"
    assert found.inference.kind == "placebo" and found.inference.clusters == 37
    codes = found.counties[:3]
    kept = [table[~table["county_fips"].isin(codes.delete(i))] for i in range(3)]
    if kind == "did":
        # One synthetic area for the two of 2014.
        kept = [kept[0], table[table["county_fips"] != codes[0]]]
    parts = [by_time(fitted(kind, one)) for one in kept]
    sizes = [1, 2] if kind == "did" else [1, 1, 1]
    for time, estimate in by_time(found).items():
        here = [(n, part[time]) for n, part in zip(sizes, parts, strict=True) if time in part]
        expected = sum(n * value for n, value in here) / sum(n for n, _ in here)
        assert estimate == pytest.approx(expected, abs=1e-8)
    # Years before: four of the early adopter's and five of the others'; after: five and four.
    assert by_time(found, "n_treated").tolist() == [2, *[3] * 4, *[3] * 4, 1]
    again = fitted(kind, table, inference=replace(PLACEBO, seed=5))
    assert again.table["estimate"].equals(found.table["estimate"])
    assert not np.allclose(again.vcov, found.vcov)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_must_not_move_it(kind):
    found = fitted(kind)
    columns = ["estimate", "std_error", "p_value", "conf_low", "conf_high", "band_low", "band_high"]
    base = found.table[columns].to_numpy()

    def same(table, factor=1.0):
        expected = base * np.where(np.array(columns) == "p_value", 1.0, factor)
        # Gaps that rounding alone keeps from zero have no order, so no p-value.
        solid = np.abs(base[:, 0]) > 1e-9
        got = fitted(kind, table).table[columns].to_numpy()
        low, high = columns.index("conf_low"), columns.index("conf_high")
        if factor < 0:
            got[:, [low, high, low + 2, high + 2]] = got[:, [high, low, high + 2, low + 2]]
            expected[:, 1] *= -1
        assert got[solid] == pytest.approx(expected[solid], rel=1e-7, abs=1e-9)

    shuffled = ONE.sample(frac=1, random_state=1)
    same(shuffled)
    same(ONE.assign(outcome=ONE["outcome"] + 100.0))
    same(ONE.assign(outcome=ONE["outcome"] * 8.0), 8.0)
    # What all areas share in a year is in the synthetic area too; only the ridge of two methods sees it.
    if kind == "simplex":
        same(ONE.assign(outcome=ONE["outcome"] + (ONE["year"] - 2008) ** 2))
    codes = sorted(ONE["county_fips"].unique())
    other = dict(zip(codes, [codes[0], *codes[:0:-1]], strict=True))
    same(ONE.assign(county_fips=ONE["county_fips"].map(other)))
    same(ONE.assign(weight=ONE["weight"] * 3))


def test_a_donor_twice_changes_no_fit():
    table = of_cohorts([2014], counties=12)
    wide = table.pivot(index="county_fips", columns="year", values="outcome").to_numpy().copy()
    # Outside the hull, so that the nearest mixture is one point.
    wide[0] += 20
    before = np.arange(10) < 6
    once = synthetic_gap(wide[1:], wide[:1], before, ~before, "simplex")
    heavy = 1 + int(np.argmax(once.weights))
    twice = synthetic_gap(np.vstack([wide[1:], wide[heavy]]), wide[:1], before, ~before, "simplex")
    assert once.fit > 1 and twice.gap == pytest.approx(once.gap, abs=1e-9)
    # The smallest sum of squares shares the weight between the two.
    assert twice.weights[-1] == pytest.approx(once.weights.max() / 2, abs=1e-9)
    assert twice.weights[heavy - 1] == pytest.approx(twice.weights[-1], abs=1e-12)


def test_options_bite():
    found = {kind: fitted(kind, of_cohorts([2014], counties=12)) for kind in KINDS}
    assert len({round(float(by_time(one)[0]), 6) for one in found.values()}) == 3
    wider = fitted("simplex", inference=replace(PLACEBO, level=0.95)).table
    assert (wider["conf_high"] - wider["conf_low"] >= 0).all()
    assert by_time(fitted("simplex", inference=replace(PLACEBO, level=0.95)), "conf_low")[3] < by_time(
        fitted("simplex"), "conf_low"
    )[3]  # fmt: skip
    early = fitted("simplex", anticipation=2)
    assert any("2008-2011 (4 years)" in note for note in early.notes)
    assert by_time(early)[2] != by_time(fitted("simplex"))[2]
    assert fit(design_of("did")).estimator == "synthetic_did"


def test_notes_name_donors_fit_gaps_and_what_cannot_be_said():
    table = of_cohorts([2014], counties=16)
    codes = sorted(table["county_fips"].unique())
    table.loc[table["county_fips"] == codes[0], "outcome"] += 30
    table = table[~((table["county_fips"] == codes[5]) & (table["year"] == 2010))]
    found = fitted("simplex", table, inference=replace(PLACEBO, level=0.95))
    text = "\n".join(found.notes)
    assert f"are no donors ({codes[5]})" in text and "14 in all" in text
    assert "outside the donors' hull" in text and "poor fit" in text
    assert "too few for intervals at 95 %" in text and found.table["conf_low"].isna().all()
    weights = simplex_weights(
        *(lambda w: (w[1:], w[0]))(
            table[~table["county_fips"].isin([codes[5]])]
            .pivot(index="county_fips", columns="year", values="outcome")
            .to_numpy()[:, :6]
        )
    )
    heavy = [c for c in codes[1:] if c != codes[5]][int(np.argmax(weights))]
    assert f"donors above 1 %: {heavy} {weights.max():.2f}" in text
    assert "rank" in text and "permutation p" in text
    assert found.attrition.iloc[-1][["counties", "county_years", "treated"]].tolist() == [15, 150, 1]
    did = "\n".join(fitted("did", table).notes)
    assert "year weights 20" in did and "zeta" in did
    # Short of years before adoption: named, not used.
    short = "\n".join(fitted("simplex", of_cohorts([2014, 2010])).notes)
    assert f"({sorted(ONE['county_fips'].unique())[1]}: 2)" in short


def test_refusals():
    with pytest.raises(SampleError, match=r"3 years before adoption \(06001: 2\)"):
        fitted("simplex", of_cohorts([2010]))
    with pytest.raises(SampleError, match="4 never treated areas"):
        fitted("did", of_cohorts([2014], counties=5))
    with pytest.raises(SampleError, match="6 never treated areas observed in every year used, 5 treated"):
        fitted("simplex", of_cohorts([2014] * 5, counties=11))
    design = design_of("simplex")
    for changes, match in (
        ({"estimator": replace(KINDS["simplex"], weights="population_baseline")}, "estimator.weights"),
        ({"estimator": replace(KINDS["simplex"], method="linear")}, "estimator.name"),
        ({"inference": BY_STATE}, "inference.vcov"),
        ({"treatment": replace(design.spec.treatment, comparison="not_yet_treated")}, "treatment.comparison"),
    ):
        with pytest.raises(SpecError, match=match):
            synthetic.fit(with_spec(design, **changes))
    with pytest.raises(SpecError, match="outcomes alone"):
        synthetic.fit(design_of("did", covariates=("poverty",)))
    double = pd.concat([ONE, ONE.iloc[:1]])
    with pytest.raises(SampleError, match="two rows"):
        synthetic.fit(with_table(design, double))
    for bad, match in (
        (lambda: simplex_weights(np.ones((2, 3)), np.ones(2)), "expected"),
        (lambda: simplex_weights(np.full((2, 2), np.nan), np.ones(2)), "missing outcomes"),
        (lambda: simplex_weights(np.ones((2, 2)), np.ones(2), -1.0), "ridge"),
        (lambda: augmented_weights(np.ones((2, 1)), np.ones(1)), "at least 2"),
        (
            lambda: synthetic_gap(np.ones((2, 2)), np.ones((1, 2)), np.ones(2, bool), np.ones(2, bool), "x"),
            "method",
        ),
        (lambda: placebo_sets(2, 3, 1), "no more than donors"),
    ):
        with pytest.raises(ValueError, match=match):
            bad()


def test_year_weights_with_more_years_than_donors_are_the_shortest():
    outcomes = factor_panel(np.random.default_rng(9), 5, 14)
    _, year, _ = did_weights(outcomes[1:, :11], outcomes[1:, 11:], outcomes[0, :11], 1)
    centred = outcomes[1:, :11] - outcomes[1:, :11].mean(axis=0)
    goal = outcomes[1:, 11:].mean(axis=1)
    near = simplex_weights(
        centred.T, goal - goal.mean(), (1e-4 * np.std(np.diff(outcomes[1:, :11]), ddof=1)) ** 2
    )
    assert year == pytest.approx(near, abs=1e-4) and year.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_average_after_adoption_keeps_its_placebos(kind):
    found = fitted(kind)
    post = aggregate(found, over="post")
    check_estimate(post)
    after = (found.table["event_time"] >= 0).to_numpy()
    placebos = found.influence[1:][:, after].mean(axis=1)
    assert post.table["estimate"].iloc[0] == pytest.approx(found.table["estimate"][after].mean(), abs=1e-10)
    reached = np.count_nonzero(np.abs(placebos) >= abs(post.table["estimate"].iloc[0]))
    assert post.table["p_value"].iloc[0] == pytest.approx((1 + reached) / (1 + len(placebos)))
    assert post.table["std_error"].iloc[0] == pytest.approx(placebos.std(), abs=1e-9)
    assert post.table["conf_low"].isna().all() == (len(placebos) < 19)

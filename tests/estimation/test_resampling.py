"""The wild bootstrap and randomisation inference for panels, held against refitting every draw with dummies."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from analysis.estimation.inference import draw_multipliers, wild_cluster_bootstrap
from analysis.estimation.panel_inference.resampling import (
    Paths,
    cohort_paths,
    draw_reassignments,
    every_reassignment,
    panel_randomisation,
    reassignment,
    wild_bootstrap,
)


def fit(y, design, w, clusters, null=0.0):
    """Return coefficient less null over cluster error for the first column, and both, by least squares."""
    root = np.sqrt(w)
    beta = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    residual = y - design @ beta
    others = design[:, 1:] * root[:, None]
    x = design[:, 0] * root
    own = x - others @ np.linalg.lstsq(others, x, rcond=None)[0]
    scores = own * root * residual / (own @ own)
    _, at = np.unique(clusters, return_inverse=True)
    error = np.sqrt((np.bincount(at, scores) ** 2).sum())
    return (beta[0] - null) / error, beta[0], error, residual


def wild_data():
    rng = np.random.default_rng(12)
    n, g = 90, rng.integers(0, 7, 90)
    groups = g * 4 + rng.integers(0, 3, n)
    z = np.column_stack([np.ones(n), rng.normal(size=n)])
    x = (g < 2) * rng.random(n) + 0.2 * z[:, 1]
    y = 0.4 * x + rng.normal(size=7)[g] + rng.normal(size=n)
    return y, x, z, rng.uniform(0.5, 2, n), g, groups


def refitted(y, x, z, w, clusters, groups, v, null, imposed):
    """Return the share of draws as extreme, (extreme, draws), each refitted."""
    design = np.column_stack([x, z])
    at = np.unique(groups, return_inverse=True)[1]
    observed, beta, _, residual = fit(y, design, w, clusters, null)
    if imposed:
        root = np.sqrt(w)
        short = np.linalg.lstsq(z * root[:, None], (y - null * x) * root, rcond=None)[0]
        centre, residual, around = null * x + z @ short, y - null * x - z @ short, null
    else:
        centre, around = y - residual, beta
    drawn = np.array([fit(centre + residual * row[at], design, w, clusters, around)[0] for row in v])
    return int((np.abs(drawn) >= abs(observed) * (1 - 1e-9)).sum()), len(v)


@pytest.mark.parametrize("imposed", [True, False])
@pytest.mark.parametrize("level_of", ["clusters", "groups", "rows"])
@pytest.mark.parametrize("kind", ["rademacher", "webb"])
def test_wild_bootstrap_equals_refitting_every_draw(imposed, level_of, kind):
    y, x, z, w, g, groups = wild_data()
    at = {"clusters": g, "groups": groups, "rows": np.arange(len(y))}[level_of]
    h = len(np.unique(at))
    draws = 120 if kind == "rademacher" and level_of == "clusters" else 199
    found = wild_bootstrap(
        y, x, z, w, g, level=0.8, draws=draws, seed=7, groups=at, null_imposed=imposed, multiplier=kind
    )
    exact = level_of == "clusters" and kind == "rademacher" and 2**h <= draws
    assert found.exact == exact and (found.clusters, found.groups) == (7, h)
    if exact:
        v = np.array(list(product([-1.0, 1.0], repeat=h)))
    else:
        v = draw_multipliers(draws, h, np.random.default_rng(7), kind)
    extreme, used = refitted(y, x, z, w, g, at, v, 0.0, imposed)
    assert found.p_value == (extreme / used if exact else (1 + extreme) / (1 + used))
    width = found.conf_high - found.conf_low
    if np.isfinite(width):
        for end, outward in ((found.conf_low, -1), (found.conf_high, 1)):
            outside, _ = refitted(y, x, z, w, g, at, v, end + outward * 1e-4 * width, imposed)
            inside, _ = refitted(y, x, z, w, g, at, v, end - outward * 1e-4 * width, imposed)
            shares = [(e if exact else 1 + e) / (used if exact else 1 + used) for e in (outside, inside)]
            assert shares[0] <= 0.2 + 1e-9 < shares[1]


def test_all_sets_of_multipliers_are_listed_when_they_are_no_more_than_the_draws():
    y, x, z, w, g, _ = wild_data()
    found = wild_bootstrap(y, x, z, w, g, level=0.9, draws=128, seed=1, multiplier="rademacher")
    assert found.exact and found.draws == 2**7
    v = np.array(list(product([-1.0, 1.0], repeat=7)))
    assert found.p_value == refitted(y, x, z, w, g, g, v, 0.0, True)[0] / 128
    # Six points to the seventh are too many; and Mammen's are not equally likely.
    assert not wild_bootstrap(y, x, z, w, g, level=0.9, draws=999, seed=1, multiplier="webb").exact
    assert not wild_bootstrap(y, x, z, w, g, level=0.9, draws=999, seed=1, multiplier="mammen").exact


def test_wild_bootstrap_is_the_one_of_two_way_effects():
    y, x, z, w, g, _ = wild_data()
    ours = wild_bootstrap(y, x, z, w, g, level=0.9, draws=999, seed=3, multiplier="webb")
    theirs = wild_cluster_bootstrap(y, x, z, w, g, level=0.9, draws=999, seed=3, multiplier="webb")
    assert ours.p_value == theirs.p_value


def test_wild_bootstrap_moves_with_the_outcome():
    y, x, z, w, g, _ = wild_data()
    options = {"level": 0.8, "draws": 499, "seed": 3, "multiplier": "webb"}
    plain = wild_bootstrap(y, x, z, w, g, **options)
    moved = wild_bootstrap(2 * (y + 1.5 * x) + z @ [3.0, 1.0], x, z, 4 * w, g, **options)
    assert [moved.estimate, moved.conf_low, moved.conf_high] == pytest.approx(
        [2 * (end + 1.5) for end in (plain.estimate, plain.conf_low, plain.conf_high)], rel=1e-5
    )


def test_wild_bootstrap_refuses():
    y, x, z, w, g, _ = wild_data()
    with pytest.raises(ValueError, match="resampled groups cross clusters"):
        wild_bootstrap(y, x, z, w, g, level=0.9, draws=9, seed=1, groups=np.arange(90) % 11)
    with pytest.raises(ValueError, match="needs draws"):
        wild_bootstrap(y, x, z, w, g, level=0.9, draws=0, seed=1)
    with pytest.raises(ValueError, match="level = 95"):
        wild_bootstrap(y, x, z, w, g, level=95, draws=9, seed=1)
    with pytest.raises(ValueError, match="no variation of its own"):
        wild_bootstrap(y, z[:, 1], z, w, g, level=0.9, draws=9, seed=1)


# --- randomisation ----------------------------------------------------------------------------------------------

YEARS = np.arange(2010, 2016)


def panel(seed=4):
    rng = np.random.default_rng(seed)
    state = np.repeat(np.arange(4), [6, 5, 7, 6])
    cohort = np.full(24, np.nan)
    cohort[[0, 1, 2, 6, 11, 12]] = [2012, 2013, 2013, 2014, 2012, 2013]
    w = rng.uniform(0.5, 2, (24, 6))
    w[rng.random((24, 6)) < 0.06] = 0.0
    y = rng.normal(size=(24, 1)) + rng.normal(size=(4, 6))[state] + 0.5 * rng.normal(size=(24, 6))
    return y, w, cohort, state, rng.normal(size=(24, 6, 2))


def by_dummies(y, w, exposure, effect, state, others, keep, by_state, taus=(0.0,)):
    """Return t statistics of the outcome less tau times the effect, with dummies for everything."""
    use = (w > 0) & keep
    county, year = (a[use] for a in np.indices(w.shape))
    second = year + 10 * state[county] * by_state
    design = np.column_stack(
        [
            exposure[use],
            others[use],
            np.equal.outer(county, np.unique(county)),
            np.equal.outer(second, np.unique(second)),
        ]
    ).astype(float)
    return [fit(y[use] - tau * effect[use], design, w[use], state[county])[0] for tau in taus]


@pytest.mark.parametrize("transition", [False, True])
@pytest.mark.parametrize("by_state", [False, True])
@pytest.mark.parametrize("with_others", [False, True])
def test_statistics_equal_refitting_with_dummies(transition, by_state, with_others):
    y, w, cohort, state, others = panel()
    others = others if with_others else others[:, :, :0]
    paths, code = cohort_paths(cohort, YEARS, transition=transition)
    plan = reassignment("counties_within_states", code, state)
    found = panel_randomisation(
        np.where(w > 0, y, np.nan), w, paths, plan, state, draws=60, seed=5, level=0.8,
        year_blocks=state if by_state else None, others=others, exact_up_to=10,
    )  # fmt: skip
    dealt = list(draw_reassignments(plan, 60, np.random.default_rng(5)))
    taus = (0.0, found.conf_low - 1e-3, found.conf_low + 1e-3, found.conf_high - 1e-3, found.conf_high + 1e-3)

    def statistics(codes):
        return by_dummies(
            y, w, paths.exposure[codes], paths.effect[code], state, others, paths.keep[codes], by_state, taus
        )

    observed = np.array(statistics(code))
    drawn = np.array([statistics(codes) for codes in dealt])
    factor = np.sqrt(3 / 4)
    assert found.estimate / found.std_error == pytest.approx(observed[0] * factor, rel=1e-8)
    assert found.drawn == pytest.approx(drawn[:, 0] * factor, rel=1e-8)
    shares = (1 + (np.abs(drawn) >= np.abs(observed) * (1 - 1e-9)).sum(axis=0)) / 61
    assert found.p_value == shares[0]
    assert shares[1] <= 0.2 < shares[2] and shares[3] > 0.2 >= shares[4]
    assert not found.exact and found.failed == 0 and found.idle == ("3",)


def test_exact_enumeration_of_whole_states():
    rng = np.random.default_rng(9)
    state = np.repeat(np.arange(6), 3)
    law = np.array([2012, 2013, np.nan, np.nan, np.nan, np.nan])[state]
    paths, code = cohort_paths(law, YEARS, transition=False)
    plan = reassignment("states", code, state)
    y = rng.normal(size=(18, 6)) + 1.0 * paths.exposure[code]
    w = np.ones((18, 6))
    found = panel_randomisation(y, w, paths, plan, state, draws=0, seed=1)
    assert found.exact and found.used == plan.count == 30
    # Every order of the six states' paths, each assignment met 4! times.
    kinds = plan.path
    others, keep = np.zeros((18, 6, 0)), np.ones((18, 6), dtype=bool)
    ordered = {tuple(kinds[list(order)]) for order in permutations(range(6))}
    drawn = [
        by_dummies(y, w, paths.exposure[np.array(p)[state]], y, state, others, keep, 0)[0] for p in ordered
    ]
    observed = by_dummies(y, w, paths.exposure[code], y, state, others, keep, 0)[0]
    assert found.p_value == np.mean(np.abs(drawn) >= abs(observed) * (1 - 1e-9))
    assert len(ordered) == 30
    # 29 others: nothing below 1/30 can be had, and at 99 % no effect is ever rejected.
    wide = panel_randomisation(y, w, paths, plan, state, draws=0, seed=1, level=0.99)
    assert (wide.conf_low, wide.conf_high) == (-np.inf, np.inf)


def test_dealing_keeps_what_the_mechanism_keeps():
    _, _, cohort, state, _ = panel()
    _, code = cohort_paths(cohort, YEARS, transition=False)
    blocks = np.arange(24) % 2
    plan = reassignment("counties_within_states", code, state, blocks)
    for dealt in draw_reassignments(plan, 20, np.random.default_rng(0)):
        for s, b in product(range(4), range(2)):
            inside = (state == s) & (blocks == b)
            assert sorted(dealt[inside]) == sorted(code[inside])
    assert "3, 0" in plan.idle and "0, 0" not in plan.idle
    # 6 counties with one early and two later adopters, 5 with one, 7 with one of each of two.
    whole = reassignment("counties_within_states", code, state)
    assert whole.count == 60 * 5 * 42
    small = reassignment("counties_within_states", code[:11], state[:11])
    every = {tuple(p) for p in every_reassignment(small)}
    assert len(every) == small.count == 300
    with pytest.raises(ValueError, match="3 states hold counties on different paths"):
        reassignment("states", code, state)
    with pytest.raises(ValueError, match="could not have fallen otherwise"):
        reassignment("counties_within_states", code, np.arange(24))
    with pytest.raises(ValueError, match="a state lies in several blocks"):
        reassignment("states", state, state, np.arange(24))


def test_interval_moves_with_a_constant_effect():
    y, w, cohort, state, _ = panel()
    for transition in (False, True):
        paths, code = cohort_paths(cohort, YEARS, transition=transition)
        plan = reassignment("counties_within_states", code, state)
        options = {"draws": 99, "seed": 2, "level": 0.8}
        plain = panel_randomisation(y, w, paths, plan, state, **options)
        moved = panel_randomisation(5 * (y + 2 * paths.effect[code]) + 3, w, paths, plan, state, **options)
        assert [moved.estimate, moved.conf_low, moved.conf_high] == pytest.approx(
            [5 * (end + 2) for end in (plain.estimate, plain.conf_low, plain.conf_high)], abs=1e-4
        )


def test_policies_that_switch_off_are_paths_too():
    y, w, _, state, _ = panel()
    exposure = np.array([[0, 0, 1, 1, 0, 0], [0, 0, 0, 0.5, 1, 1], [0] * 6], dtype=float)
    paths = Paths(exposure, np.ones((3, 6), dtype=bool), exposure, ("repealed", "phased", "never"))
    code = np.where(np.arange(24) % 3 == 0, 0, np.where(np.arange(24) % 5 == 0, 1, 2))
    plan = reassignment("counties_within_states", code, state)
    found = panel_randomisation(y, w, paths, plan, state, draws=99, seed=1)
    statistic = by_dummies(
        y, w, exposure[code], y, state, np.zeros((24, 6, 0)), np.ones((24, 6), dtype=bool), 0
    )[0]
    assert found.estimate / found.std_error == pytest.approx(statistic * np.sqrt(3 / 4), rel=1e-8)


def test_randomisation_refuses():
    y, w, cohort, state, _ = panel()
    paths, code = cohort_paths(cohort, YEARS, transition=False)
    plan = reassignment("counties_within_states", code, state)
    with pytest.raises(ValueError, match="too many to look at all; wanted draws"):
        panel_randomisation(y, w, paths, plan, state, draws=0, seed=1)
    with pytest.raises(ValueError, match="same counties and years"):
        panel_randomisation(y[:, :5], w[:, :5], paths, plan, state, draws=9, seed=1)
    with pytest.raises(ValueError, match="weights that are negative or missing"):
        panel_randomisation(y, -w, paths, plan, state, draws=9, seed=1)
    with pytest.raises(ValueError, match="outcomes are missing where the weight is positive"):
        panel_randomisation(np.full_like(y, np.nan), w, paths, plan, state, draws=9, seed=1)
    with pytest.raises(ValueError, match="wanted codes of these paths"):
        panel_randomisation(y, w, replace(paths, exposure=paths.exposure[:2]), plan, state, draws=9, seed=1)
    # Whole states under state-by-year effects: nothing is left of treatment.
    by_law = cohort_paths(np.where(state < 2, 2012.0, np.nan), YEARS, transition=False)
    with pytest.raises(ValueError, match="no coefficient or no error under the assignment observed"):
        panel_randomisation(
            y, w, by_law[0], reassignment("states", by_law[1], state), state,
            draws=9, seed=1, year_blocks=state,
        )  # fmt: skip


def test_size_where_dates_are_dealt_within_states():
    # 200 panels in which dates were dealt at random: the test rejects a true null as often as it says.
    rng = np.random.default_rng(77)
    state = np.repeat(np.arange(6), 5)
    base = np.where(np.arange(30) % 5 < 2, np.where(state % 2 == 0, 2012.0, 2014.0), np.nan)
    p_values = []
    for _ in range(200):
        cohort = base.copy()
        for s in range(6):
            cohort[state == s] = rng.permutation(cohort[state == s])
        y = rng.normal(size=(6, 6))[state] * 2 + rng.normal(size=(30, 6)).cumsum(axis=1)
        paths, code = cohort_paths(cohort, YEARS, transition=False)
        plan = reassignment("counties_within_states", code, state)
        p_values.append(
            panel_randomisation(
                y, np.ones((30, 6)), paths, plan, state, draws=79, seed=rng, interval=False
            ).p_value
        )
    for level in (0.1, 0.25, 0.5):
        assert abs(np.mean(np.array(p_values) <= level) - level) < 3.3 * np.sqrt(level * (1 - level) / 200)

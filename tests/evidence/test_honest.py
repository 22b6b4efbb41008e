"""Bounds and power of leads: against three other implementations, linear programmes, enumeration and simulation."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from evidence_cases import estimate, panel, spec
from scipy import stats
from scipy.optimize import linprog, minimize

from analysis.base.errors import ProtocolError, StudyError
from analysis.design.design import make_design
from analysis.estimation import fit
from analysis.evidence.checks.honest import (
    EventStudy,
    breakdown,
    event_study,
    fixed_length_interval,
    folded_quantile,
    honest_bounds,
    hybrid_rejects,
    least_favourable,
    passing,
    pretrend_power,
    relative_interval,
    relative_moments,
    relative_set,
    smoothness_set,
)

# The worked example in the documentation of HonestDiD.jl, a port held against the R package: three leads, five later
# years, correlations 0.6 to the power of the distance.
BETA = np.array([0.02, -0.01, 0.03, 0.15, 0.20, 0.25, 0.22, 0.18])
ERROR = np.array([0.060, 0.050, 0.055, 0.050, 0.052, 0.060, 0.065, 0.070])
VCOV = np.outer(ERROR, ERROR) * 0.6 ** np.abs(np.subtract.outer(range(8), range(8)))
PRINTED_SMOOTHNESS = {
    0.0: (0.03849, 0.23376), 0.01: (0.027367, 0.2422), 0.02: (0.0061132, 0.25851), 0.03: (-0.01481, 0.27416),
    0.04: (-0.028729, 0.294), 0.05: (-0.041775, 0.31396), 0.06: (-0.054089, 0.33366),
}  # fmt: skip
PRINTED_RELATIVE = {
    0.5: (0.031031, 0.28328), 1.0: (-0.003003, 0.33734), 1.5: (-0.053053, 0.39339), 2.0: (-0.10511, 0.45345),
}  # fmt: skip


def study(beta=BETA, vcov=VCOV, p=3):
    q = len(beta) - p
    return EventStudy(beta[:p], beta[p:], vcov, (*range(-p - 1, -1), *range(q)), np.ones(q), "")


def made(beta=BETA, vcov=VCOV, p=3):
    """An Estimate with the given leads and later years."""
    times = [*range(-p - 1, -1), *range(len(beta) - p)]
    one = estimate(spec(), list(beta), 1.0, event_times=times)
    table = one.table.assign(std_error=np.sqrt(np.diag(vcov)))
    return replace(one, table=table, vcov=vcov)


FIRST, MEAN = np.eye(5)[0], np.full(5, 0.2)


def test_smoothness_equals_the_printed_example():
    for bound, printed in PRINTED_SMOOTHNESS.items():
        found = fixed_length_interval(study(), FIRST, bound, 0.95)
        # Five digits are printed.
        assert (found.estimate - found.half, found.estimate + found.half) == pytest.approx(printed, abs=1e-5)


def test_relative_magnitude_equals_the_printed_example():
    for bound, printed in PRINTED_RELATIVE.items():
        # Their ends lie on a grid of step 0.002 and their first stage on 1,000 draws; ours do neither.
        assert relative_interval(study(), FIRST, bound, 0.95, 1) == pytest.approx(printed, abs=0.0025)


REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "honest_bounds" / "values.json").read_text()
)


def published_study():
    beta, vcov = np.array(REFERENCE["beta"]), np.array(REFERENCE["vcov"])
    return study(beta, vcov, REFERENCE["leads"])


def accepted(one, target, bound, grid, criticals):
    """Which values of a grid the hybrid test keeps with given critical values, by year and sign of the largest move."""
    beta = np.concatenate([one.before, one.after])
    kept = np.zeros(len(grid), dtype=bool)
    signs = [(largest, sign) for largest in range(len(one.before)) for sign in (1.0, -1.0)]
    for (largest, sign), critical in zip(signs, criticals, strict=True):
        moments = relative_moments(one.vcov, len(one.before), target, bound, largest, sign)
        values = (moments.loads @ beta)[:, None] + moments.per_value[:, None] * grid
        kept |= ~hybrid_rejects(values, moments, 0.95, critical)
    return grid[kept]


def test_relative_magnitude_is_that_of_the_authors_package_but_for_its_draws_and_grid():
    one, first = published_study(), np.eye(4)[0]
    error = np.sqrt(one.vcov[4, 4])
    grid = np.linspace(-20 * error, 20 * error, 1000)
    printed = REFERENCE["published"]["relative_magnitude"]
    for row, low, high in zip(REFERENCE["again"]["rows"], printed["low"], printed["high"], strict=True):
        # With its own 1,000 draws the ends are the very points of its grid, to the ten digits the data are printed with.
        kept = accepted(one, first, row["bound"], grid, row["criticals"])
        assert (kept[0], kept[-1]) == pytest.approx((low, high), abs=1e-10)
        # Ours have no grid and an exact first stage: a step of that grid and what 1,000 draws miss lie between.
        ours = relative_interval(one, first, row["bound"], 0.95, 1)
        assert ours[0] == pytest.approx(low, abs=1e-3)
        if kept[-1] < grid[-1]:  # at Mbar = 2 their grid ends before their set does
            assert ours[1] == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize("case", REFERENCE["fine"], ids=["weighted", "mean", "last"])
def test_relative_magnitude_equals_brute_force_over_every_basis(case):
    one = study(np.array(case["beta"]), np.array(case["vcov"]), case["leads"])
    target = np.array(case["target"])
    for row in case["rows"]:
        # Its grid ends at 1e-6 or a ten-thousandth of the step.
        fine = np.linspace(-1e-4, 1e-4, 201)
        for end, place in (("low", 0), ("high", -1)):
            kept = accepted(one, target, row["bound"], row[end] + fine, row["criticals"])
            assert kept[place] == pytest.approx(row[end], abs=3e-6)
        # 200,000 draws leave the critical values 0.011 of Monte Carlo error; an end moves by a fraction of that.
        for largest in range(case["leads"]):
            plus = relative_moments(one.vcov, case["leads"], target, row["bound"], largest, 1.0)
            assert least_favourable(plus, 0.005, 1) == pytest.approx(row["criticals"][2 * largest], abs=0.04)
        ours = relative_interval(one, target, row["bound"], 0.95, 1)
        assert ours == pytest.approx((row["low"], row["high"]), abs=1e-3)


def test_the_first_stage_is_exact_and_does_not_hang_on_the_seed():
    one = published_study()
    target = np.full(4, 0.25)
    moments = relative_moments(one.vcov, 4, target, 1.0, 2, 1.0)
    found = [least_favourable(moments, 0.005, seed) for seed in (1, 2, 3)]
    assert np.ptp(found) < 1e-3
    draws = np.random.default_rng(1).multivariate_normal(np.zeros(8), one.vcov, 400_000) @ moments.loads.T
    share = (draws.max(axis=1) > found[0]).mean()
    assert share == pytest.approx(0.005, abs=4 * np.sqrt(0.005 / 400_000))
    ends = np.array([relative_interval(one, target, 1.0, 0.95, seed) for seed in (1, 2, 3)])
    assert np.ptp(ends, axis=0).max() < 1e-4 * np.sqrt(target @ one.vcov[4:, 4:] @ target)


def test_smoothness_equals_the_authors_package():
    one = published_study()
    printed = REFERENCE["published"]["smoothness"]
    for bound, low, high in zip(printed["bound"], printed["low"], printed["high"], strict=True):
        found = fixed_length_interval(one, np.eye(4)[0], bound, 0.95)
        # Its folded normal quantile is simulated and its weights come from a grid; where the optimum is flat the
        # centre moves and the length does not.
        assert (found.estimate - found.half, found.estimate + found.half) == pytest.approx(
            (low, high), abs=1e-3
        )
        assert 2 * found.half == pytest.approx(high - low, abs=1.3e-4)


WITHIN = {"estimator.within": "none", "estimator.weights": "none"}
BOUNDED = {
    "group_time_att": WITHIN | {"estimator.method": "outcome_regression"},
    "interaction_weighted": WITHIN | {"treatment.comparison": "never_treated"},
    "stacked": WITHIN,
    "local_projections": WITHIN | {"estimator.method": "variance_weighted"},
    "two_way": {
        "estimator.effects": "county_year", "estimator.method": "event_time", "estimator.weights": "none",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
def test_event_studies_of_every_estimator_with_a_universal_base(name):
    dynamic = fit(make_design(panel(), spec({"estimator.name": name, **BOUNDED[name]})))
    assert dynamic.estimand == "event_time" and dynamic.reference == -1
    for restriction in ("smoothness", "relative_magnitude"):
        table = honest_bounds(dynamic, restriction, [0.0, 1.0])
        assert np.isfinite(table[["conf_low", "conf_high"]].to_numpy()).all()
        assert (table["conf_low"] < table["conf_high"]).all()
        assert table.eval("conf_high - conf_low").is_monotonic_increasing
    power = pretrend_power(dynamic)
    assert (power["slope"] > 0).all() and power["power"].tolist() == [0.5, 0.8]
    assert power["slope"].is_monotonic_increasing


@pytest.mark.parametrize("name", ["imputation", "two_stage", "extended_two_way"])
def test_leads_on_another_base_and_no_leads_are_refused(name):
    method = {"estimator.method": "linear"} if name == "extended_two_way" else {}
    dynamic = fit(make_design(panel(), spec({"estimator.name": name, **WITHIN, **method})))
    for check in (honest_bounds, pretrend_power, breakdown):
        with pytest.raises(ProtocolError, match="rule 13"):
            check(dynamic)


@pytest.mark.filterwarnings("ignore")
def test_smoothness_equals_diff_diff_whose_relative_interval_is_too_narrow():
    from diff_diff.honest_did import HonestDiD, _compute_optimal_flci

    for target in (FIRST, MEAN):
        for bound in (0.0, 0.01, 0.05):
            low, high = _compute_optimal_flci(BETA[:3], BETA[3:], VCOV, target, 3, 5, bound, 0.05)
            found = fixed_length_interval(study(), target, bound, 0.95)
            assert (found.estimate - found.half, found.estimate + found.half) == pytest.approx(
                (low, high), abs=1e-4
            )
    # Its interval under relative magnitude adds a normal half-length to the estimated set, as if the leads' largest
    # move were known: narrower than ours and than the printed one, which allow for it.
    for bound in (0.5, 1.0, 2.0):
        peer = HonestDiD(method="relative_magnitude", M=bound)._compute_rm_bounds(
            BETA[:3], BETA[3:], VCOV, VCOV[3:, 3:], FIRST, 3, 5, bound, [-4, -3, -2], None
        )
        assert relative_set(study(), FIRST, bound) == pytest.approx(peer[:2])
        low, high = relative_interval(study(), FIRST, bound, 0.95, 1)
        assert high - low > peer[3] - peer[2] + 0.01
        assert PRINTED_RELATIVE[bound][1] - PRINTED_RELATIVE[bound][0] > peer[3] - peer[2] + 0.01


def test_no_curvature_is_linear_extrapolation():
    found = fixed_length_interval(study(), MEAN, 0.0, 0.95)
    # Generalised least squares on a straight line through the reference and free later effects.
    x = np.zeros((8, 6))
    x[:, 0] = np.concatenate([np.arange(-3, 0), np.arange(1, 6)])
    x[3:, 1:] = np.eye(5)
    inverse = np.linalg.inv(VCOV)
    bread = np.linalg.inv(x.T @ inverse @ x)
    slope_and_effects = bread @ x.T @ inverse @ BETA
    t = np.concatenate([[0.0], MEAN])
    assert found.estimate == pytest.approx(t @ slope_and_effects, abs=1e-9)
    assert found.error == pytest.approx(np.sqrt(t @ bread @ t), abs=1e-9)
    assert found.half == pytest.approx(stats.norm.ppf(0.975) * found.error, abs=1e-9)
    # Leads on a line and no error: the set is the effect less the line.
    straight = np.concatenate([0.1 * np.arange(-3, 0), 0.1 * np.arange(1, 6) + 1.0])
    assert smoothness_set(study(straight), MEAN, 0.0) == pytest.approx((1.0, 1.0), abs=1e-8)


def worst_bias(weights, target, bound):
    """Largest bias of weights on leads and later years, by a linear programme over trends."""
    p, q = len(weights), len(target)
    second = np.zeros((p + q - 1, p + q + 1))
    for row in range(p + q - 1):
        second[row, row : row + 3] = (1.0, -2.0, 1.0)
    second = np.delete(second, p, axis=1)  # the reference is zero
    found = linprog(
        -np.concatenate([weights, target]), A_ub=np.vstack([second, -second]), b_ub=np.full(2 * (p + q - 1), bound),
        bounds=[(None, None)] * (p + q),
    )  # fmt: skip
    return -found.fun if found.status == 0 else np.inf


@pytest.mark.parametrize("target", [FIRST, MEAN, np.array([0.0, 0, 1, -1, 0])])
def test_the_shortest_interval_is_the_shortest(target):
    rng = np.random.default_rng(1)
    for bound in (0.005, 0.02, 0.1):
        found = fixed_length_interval(study(), target, bound, 0.95)
        assert found.bias == pytest.approx(worst_bias(found.weights, target, bound), abs=1e-8)

        def half(free, bound=bound):
            # The last weight cancels straight lines.
            line = np.arange(1, 6) @ target - np.array([3.0, 2.0]) @ free
            weights = np.append(free, line)
            v = np.append(weights, target)
            error = np.sqrt(v @ VCOV @ v)
            return error * folded_quantile(worst_bias(weights, target, bound) / error, 0.95)

        assert half(found.weights[:2]) == pytest.approx(found.half, rel=1e-7)
        best = min(
            minimize(half, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10}).fun
            for start in (found.weights[:2], found.weights[:2] + rng.normal(0, 0.5, 2))
        )
        assert found.half <= best * (1 + 1e-6)


def test_identified_sets_equal_programmes_over_trends():
    rng = np.random.default_rng(2)
    for _ in range(5):
        beta = rng.normal(0, 0.1, 6)
        target = rng.dirichlet(np.ones(4))
        one = study(beta, np.eye(6), p=2)
        path = np.concatenate([beta[:2], [0.0]])
        # Trends over the four later years, steps at most bound times the largest earlier step.
        steps = np.eye(4) - np.eye(4, k=-1)
        largest = np.abs(np.diff(path)).max()
        for bound in (0.0, 0.7, 2.0):
            ends = [
                target @ beta[2:] - sign * linprog(
                    sign * target, A_ub=np.vstack([steps, -steps]), b_ub=np.full(8, bound * largest),
                    bounds=[(None, None)] * 4,
                ).fun
                for sign in (1, -1)
            ]  # fmt: skip
            assert relative_set(one, target, bound) == pytest.approx((min(ends), max(ends)), abs=1e-8)
        curve = abs(path[0] - 2 * path[1] + path[2])
        assert np.isnan(smoothness_set(one, target, 0.9 * curve)).all()
        low, high = smoothness_set(one, target, 1.5 * curve)
        # First differences start from the last lead's and change by at most the bound a year.
        slope, move = -path[1], 1.5 * curve
        k = np.arange(1, 5)
        centre = target @ (beta[2:] - slope * k)
        assert (low, high) == pytest.approx((centre - move * target @ (k * (k + 1) / 2), centre + move * target @ (k * (k + 1) / 2)))  # fmt: skip


def inequalities(vcov, p, bound, largest, sign, q):
    """The inequalities of relative magnitude on trends, (2Q, P + Q), from the definition."""
    step = np.zeros((p + q, p + q + 1))
    for j in range(p + q):
        step[j, j : j + 2] = (-1.0, 1.0)
    top = sign * step[largest]
    both = np.vstack([step[p:] - bound * top, -step[p:] - bound * top])
    return np.delete(both, p, axis=1)


def test_vertices_are_all_vertices_and_solve_the_programme():
    rng = np.random.default_rng(3)
    p, q = 2, 3
    root = rng.normal(size=(5, 5))
    vcov = root @ root.T / 50
    for target in (np.array([1.0, 0, 0]), np.full(3, 1 / 3), np.array([0.5, -1.0, 0.2])):
        for largest, sign in ((0, 1.0), (1, -1.0)):
            moments = relative_moments(vcov, p, target, 1.3, largest, sign)
            a = inequalities(vcov, p, 1.3, largest, sign, q)
            size = np.sqrt(np.diag(a @ vcov @ a.T))
            # Effects with a given mean: one of them and directions that leave it alone.
            through = target / (target @ target)
            leave = np.linalg.svd(target[None])[2][1:].T
            for _ in range(20):
                beta, value = rng.normal(0, 0.3, 5), rng.normal()
                y = a @ beta - a[:, p:] @ through * value
                solved = linprog(
                    np.append(np.zeros(2), 1.0), A_ub=np.column_stack([-a[:, p:] @ leave, -size]), b_ub=-y,
                    bounds=[(None, None)] * 3,
                )  # fmt: skip
                assert (moments.loads @ beta + moments.per_value * value).max() == pytest.approx(
                    solved.fun, abs=1e-9
                )
            # Every basis of the dual that is feasible is a vertex: none is missing and none is invented.
            constraint = np.vstack([(a[:, p:] @ leave).T, size])
            found = set()
            for basis in combinations(range(2 * q), 3):
                square = constraint[:, basis]
                if abs(np.linalg.det(square)) < 1e-12:
                    continue
                weight = np.linalg.solve(square, [0.0, 0.0, 1.0])
                if (weight > -1e-10).all():
                    found.add(tuple(np.round(weight @ a[list(basis)], 7) + 0.0))
            rows = {tuple(np.round(row, 7) + 0.0) for row in moments.loads}
            # With a target of one year that year's pair lies between two vertices; it binds nowhere.
            assert found == rows if np.count_nonzero(np.cumsum(target[::-1])) > 1 else found < rows


def test_the_hybrid_test_truncates_where_another_vertex_takes_over():
    rng = np.random.default_rng(4)
    target = np.array([0.5, 0.5])
    vcov = np.cov(rng.normal(size=(4, 40))) / 10
    moments = relative_moments(vcov, 2, target, 1.0, 0, 1.0)
    critical, level = 3.0, 0.95
    alpha = 0.05
    size = (alpha - alpha / 10) / (1 - alpha / 10)
    for _ in range(200):
        values = rng.normal(0, 1, len(moments.loads)) * np.sqrt(np.diag(moments.vcov)) + 0.4
        top = int(values.argmax())
        slope = moments.vcov[:, top] / moments.vcov[top, top]
        # Where the largest stays largest, found by walking along the line it moves on.
        line = np.linspace(-8, 8, 160_001)
        stays = ((values - slope * values[top])[:, None] + slope[:, None] * line <= line + 1e-9).all(axis=0)
        low, high = line[stays][0], min(line[stays][-1], critical)
        error = np.sqrt(moments.vcov[top, top])
        cdf = lambda x, error=error: stats.norm.cdf(x / error)  # noqa: E731
        share = (cdf(high) - cdf(values[top])) / (cdf(high) - cdf(low))
        rejects = values[top] > critical or (values[top] > 0 and share < size)
        if abs(share - size) > 1e-3:
            assert hybrid_rejects(values[:, None], moments, level, critical)[0] == rejects


@pytest.mark.parametrize(("p", "q", "target"), [(1, 1, [1.0]), (3, 2, [0.5, 0.5]), (2, 4, [0.25] * 4)])
def test_intervals_cover_at_the_edge_of_the_restriction(p, q, target):
    rng = np.random.default_rng(5)
    root = rng.normal(size=(p + q, p + q)) + 2 * np.eye(p + q)
    vcov = root @ root.T / 400
    target = np.array(target)
    draws = 2000
    # Relative magnitude: one early step, then the worst that Mbar = 1 allows. Smoothness: a parabola of curvature M.
    step = 0.3
    early = np.concatenate([np.full(p, -step), step * np.arange(1, q + 1)])
    at = np.concatenate([np.arange(-p, 0), np.arange(1, q + 1)])
    curved = 0.05 * at**2
    noise = rng.multivariate_normal(np.zeros(p + q), vcov, draws)
    kept = np.zeros(draws, dtype=bool)
    for largest in range(p):
        for sign in (1.0, -1.0):
            moments = relative_moments(vcov, p, target, 1.0, largest, sign)
            free = rng.multivariate_normal(np.zeros(p + q), vcov, 20_000) @ moments.loads.T
            critical = np.quantile(free.max(axis=1), 0.995)
            kept |= ~hybrid_rejects(moments.loads @ (early + noise).T, moments, 0.95, critical)
    one = fixed_length_interval(study(curved, vcov, p), target, 0.1, 0.95)
    weights = np.concatenate([one.weights, target])
    inside = np.abs((curved + noise) @ weights) <= one.half
    # At least the stated 95 %, less three Monte Carlo errors, and not everything.
    floor = 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws)
    assert kept.mean() > floor and inside.mean() > floor
    assert inside.mean() < 0.999
    low, high = relative_interval(study(early + noise[0], vcov, p), target, 1.0, 0.95, 1)
    assert (low <= 0 <= high) == kept[0]


def test_on_an_estimate():
    one = made()
    table = honest_bounds(one, "smoothness", [0.0, 0.02], event_time=0)
    assert table.loc[0, ["conf_low", "conf_high"]].tolist() == pytest.approx(
        PRINTED_SMOOTHNESS[0.0], abs=1e-5
    )
    assert table["excludes_zero"].tolist() == [True, True]
    table = honest_bounds(one, "relative_magnitude", [1.0], event_time=0)
    assert not table["excludes_zero"].item()
    assert table["identified_low"].item() == pytest.approx(0.15 - 0.04)
    mean = honest_bounds(one, "smoothness", [0.01])
    assert mean["target"].item() == "post" and mean["estimate"].item() == pytest.approx(BETA[3:].mean())
    # Wider with the bound, and the breakdown value lies where zero comes in.
    for restriction, bounds in (("smoothness", [0, 0.01, 0.05]), ("relative_magnitude", [0, 0.5, 1, 2])):
        widths = honest_bounds(one, restriction, bounds).eval("conf_high - conf_low")
        assert widths.is_monotonic_increasing
        edge = breakdown(one, restriction, event_time=0)
        inside, outside = honest_bounds(one, restriction, [0.99 * edge, 1.01 * edge], event_time=0)[
            "excludes_zero"
        ]
        assert inside and not outside
    assert breakdown(made(BETA * 0.1)) == 0.0
    again = honest_bounds(one, "relative_magnitude", [1.0], event_time=0)
    assert again.equals(table)


def test_scale_and_sign_carry_through():
    base = honest_bounds(made(), "relative_magnitude", [1.0])
    ten = honest_bounds(made(10 * BETA, 100 * VCOV), "relative_magnitude", [1.0])
    assert ten[["conf_low", "conf_high"]].to_numpy() == pytest.approx(10 * base[["conf_low", "conf_high"]].to_numpy(), rel=1e-6)  # fmt: skip
    flipped = honest_bounds(made(-BETA), "smoothness", [0.02])
    plain = honest_bounds(made(), "smoothness", [0.02])
    assert flipped["conf_low"].item() == pytest.approx(-plain["conf_high"].item())


def test_what_cannot_be_bounded_is_refused():
    one = made()
    with pytest.raises(ProtocolError, match="rule 13"):
        honest_bounds(replace(one, reference=None))
    with pytest.raises(StudyError, match="att"):
        honest_bounds(replace(one, estimand="att"))
    with pytest.raises(StudyError, match="restriction"):
        honest_bounds(one, "other")
    with pytest.raises(StudyError, match="bounds"):
        honest_bounds(one, "smoothness", [-1.0])
    with pytest.raises(StudyError, match="event_time = 9"):
        honest_bounds(one, "smoothness", [0.0], event_time=9)
    with pytest.raises(StudyError, match="gap"):
        holes = one.table.assign(estimate=one.table["estimate"].where(one.table["event_time"] != 1))
        honest_bounds(replace(one, table=holes))
    with pytest.raises(StudyError, match="0 leads"):
        late = one.table["event_time"] >= 0
        honest_bounds(replace(one, table=one.table[late], vcov=VCOV[3:, 3:], treated=one.treated[:, 3:]))
    ends = one.table.assign(estimate=one.table["estimate"].where(one.table["event_time"] != -4))
    assert "event times -4" in honest_bounds(replace(one, table=ends), "smoothness", [0.1])["note"].item()
    assert event_study(one).event_times == (-4, -3, -2, 0, 1, 2, 3, 4)


def test_passing_equals_the_normal_distribution():
    from scipy.stats import qmc

    points = qmc.Sobol(3, seed=1).random(2**13)
    mean = np.array([0.05, -0.02, 0.06])
    found = passing(mean, VCOV[:3, :3], 1.96, points)
    bound = 1.96 * ERROR[:3]
    peer = stats.multivariate_normal(mean, VCOV[:3, :3], seed=1).cdf(bound, lower_limit=-bound)
    assert found.probability == pytest.approx(peer, abs=1e-4)
    draws = np.random.default_rng(1).multivariate_normal(mean, VCOV[:3, :3], 400_000)
    kept = draws[(np.abs(draws) < bound).all(axis=1)]
    assert found.mean == pytest.approx(kept.mean(axis=0), abs=4e-4)
    # Far out both tails lose nothing.
    far = passing(np.array([0.6]), np.array([[0.0025]]), 1.96, points[:, :1])
    assert far.probability == pytest.approx(stats.norm.sf(12 - 1.96) - stats.norm.sf(12 + 1.96), rel=1e-6)


def test_power_of_one_lead_by_formula_and_bias_by_simulation():
    vcov = VCOV[np.ix_([2, 3], [2, 3])]
    one = made(BETA[[2, 3]], vcov, p=1)
    table = pretrend_power(one).set_index("power")
    critical = stats.t.ppf(0.975, 29)
    for share in (0.5, 0.8):
        z = table.loc[share, "slope"] / ERROR[2]
        assert stats.norm.sf(critical - z) + stats.norm.cdf(-critical - z) == pytest.approx(share, abs=1e-6)
        assert table.loc[share, "bias"] == pytest.approx(table.loc[share, "slope"])
    # Passing selects samples in which noise hid the trend, and with it moves the correlated later estimate.
    slope = table.loc[0.5, "slope"]
    draws = np.random.default_rng(2).multivariate_normal([-slope, slope], vcov, 400_000)
    kept = draws[np.abs(draws[:, 0]) < critical * ERROR[2]]
    assert table.loc[0.5, "bias_given_pass"] == pytest.approx(kept[:, 1].mean(), abs=5e-4)
    assert table.loc[0.5, "size"] == pytest.approx(2 * stats.norm.sf(critical), abs=1e-6)


def test_power_grows_with_leads_and_refuses_what_has_no_answer():
    three, one = pretrend_power(made()), pretrend_power(made(BETA[2:], VCOV[2:, 2:], p=1))
    assert (three["slope"] < one["slope"]).all()
    assert three["slope"].is_monotonic_increasing
    with pytest.raises(StudyError, match="at which leads of zero fail"):
        pretrend_power(made(), [0.05])
    singular = VCOV.copy()
    singular[:2, :2] = VCOV[0, 0]
    singular[0, 2:] = singular[1, 2:]
    singular[2:, 0] = singular[2:, 1]
    with pytest.raises(StudyError, match="rank 2"):
        pretrend_power(made(vcov=singular))
    with pytest.raises(ProtocolError, match="rule 13"):
        pretrend_power(replace(made(), reference=None))

"""Weights on arrays: against their own moment conditions, the shape the optimum must have, and R."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from estimation_cases import REFERENCE, reference_values
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import chi2

from analysis.estimation.matching.propensity import fit_logit
from analysis.estimation.matching.weights import (
    covariate_balancing_weights,
    effective_sample_size,
    entropy_balancing,
    inverse_probability_weights,
    moment_columns,
    overidentified_balancing_weights,
    overlap_weights,
    probability_of,
    refuse_unusable,
    stratum_weights,
)

CLOSED = 1e-8
MOMENT = 1e-10

TABLE = pd.read_csv(REFERENCE / "matching_weights" / "simulated_counties.csv")
R = reference_values("matching_weights")
X, D = TABLE[["x1", "x2", "x3", "x4"]].to_numpy(float), TABLE["treated"].to_numpy() == 1
SPREAD = X.std(axis=0)
BASE = 0.5 + np.arange(len(D)) % 5


def means(x, w):
    return w @ x / w.sum()


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("base", [None, BASE], ids=["plain", "based"])
@pytest.mark.parametrize("powers", [1, 2])
def test_entropy_balancing_meets_its_moments_at_the_least_entropy(estimand, base, powers):
    columns = moment_columns(X, powers)
    found = entropy_balancing(columns, D, estimand, base=base)
    q = np.ones(len(D)) if base is None else base
    target = {"att": D, "atc": ~D, "ate": np.ones(len(D), bool)}[estimand]
    goal = means(columns[target], q[target])
    arms = {"att": [~D], "atc": [D], "ate": [D, ~D]}[estimand]
    for i, arm in enumerate(arms):
        w = found.weights[arm]
        assert np.abs(means(columns[arm], w) - goal).max() <= MOMENT * columns.std(axis=0).max()
        assert w.sum() == pytest.approx(q[target].sum())
        assert w.min() > 0
        # Moment conditions and log weights linear in the columns: the unique optimum of a convex problem.
        z = (columns[arm] - columns.mean(axis=0)) / columns.std(axis=0)
        line = found.constants[i] + z @ found.coefficients[i]
        assert np.log(w / q[arm]) == pytest.approx(line, abs=CLOSED)
    rest = ~np.logical_or.reduce(arms)
    assert (found.weights[rest] == q[rest]).all()
    assert found.worst <= MOMENT


def test_entropy_weights_against_another_solver():
    # The quasi-Newton reference stops at a gradient near 1e-8.
    columns = np.column_stack([X, X[:, :3] ** 2])
    assert entropy_balancing(columns, D).weights[~D] == pytest.approx(R["entropy"]["weights"], abs=1e-6)


def test_higher_moments_are_those_of_the_covariate_itself():
    w = entropy_balancing(moment_columns(X, 3, interactions=True), D).weights[~D]
    for power in (1, 2, 3):
        wanted = (X[D] ** power).mean(axis=0)
        assert means(X[~D] ** power, w) == pytest.approx(wanted, rel=1e-9)
    assert means(X[~D][:, 0] * X[~D][:, 1], w) == pytest.approx((X[D][:, 0] * X[D][:, 1]).mean(), rel=1e-9)


def test_a_column_of_two_values_has_one_moment():
    assert moment_columns(X, 4).shape[1] == 4 + 3 * 3
    with pytest.raises(ValueError, match="powers = 0"):
        moment_columns(X, 0)


@pytest.mark.parametrize("base", [None, BASE], ids=["plain", "based"])
def test_covariate_balancing_att_is_entropy_balancing(base):
    for estimand in ("att", "atc"):
        one = covariate_balancing_weights(X, D, estimand, base=base).weights
        assert one == pytest.approx(entropy_balancing(X, D, estimand, base=base).weights, abs=CLOSED)


def test_covariate_balancing_ate_equates_the_arms():
    fit = covariate_balancing_weights(X, D, "ate")
    w = fit.weights
    assert w[D].sum() == pytest.approx(w[~D].sum(), rel=1e-10)
    assert np.abs((means(X[D], w[D]) - means(X[~D], w[~D])) / SPREAD).max() <= MOMENT
    p = probability_of(fit, X)
    assert p == pytest.approx(R["cbps_ate"]["probability"], abs=CLOSED)
    assert w == pytest.approx(inverse_probability_weights(p, D, "ate"), rel=1e-10)


@pytest.mark.parametrize("estimand", ["att", "atc"])
def test_score_of_the_balancing_fit_gives_its_weights(estimand):
    fit = covariate_balancing_weights(X, D, estimand)
    assert fit.weights == pytest.approx(
        inverse_probability_weights(probability_of(fit, X), D, estimand), rel=1e-9
    )


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_overidentified_score_against_another_solver(estimand):
    found, stored = overidentified_balancing_weights(X, D, estimand), R[f"cbps_over_{estimand}"]
    # The quasi-Newton reference stops at a slope near 1e-7.
    assert found.probability == pytest.approx(stored["probability"], abs=1e-6)
    assert found.statistic == pytest.approx(stored["statistic"], abs=1e-8)
    assert found.df == 5 and found.p_value == pytest.approx(chi2.sf(found.statistic, 5), abs=1e-12)
    assert found.weights == pytest.approx(inverse_probability_weights(found.probability, D, estimand))
    standard = (X - X.mean(axis=0)) / SPREAD
    line = found.constants[0] + standard @ found.coefficients[0]
    assert np.log(found.probability / (1 - found.probability)) == pytest.approx(line)
    gap = means(standard[D], found.weights[D]) - means(standard[~D], found.weights[~D])
    assert found.worst == pytest.approx(np.abs(gap).max(), abs=1e-12)


@pytest.mark.parametrize("estimand", ["att", "ate"])
@pytest.mark.parametrize("base", [None, BASE], ids=["plain", "based"])
def test_overidentified_criterion_is_least_where_found(estimand, base):
    found = overidentified_balancing_weights(X[:, :2], D, estimand, base=base)
    b = np.ones(len(D)) if base is None else base / base.mean()
    z = np.column_stack([np.ones(len(D)), (X[:, :2] - X[:, :2].mean(axis=0)) / SPREAD[:2]])
    share = len(D) / b[D].sum() if estimand == "att" else 1.0

    def conditions(p):
        p = p.clip(1e-12, 1 - 1e-12)
        fit = D - p
        level = D / p - ~D / (1 - p) if estimand == "ate" else share * (D - ~D * p / (1 - p))
        return np.hstack([z * (b * fit)[:, None], z * (b * level)[:, None]])

    # The variance by its definition: over both outcomes of every row's treatment at its own probability.
    p = fit_logit(z, D, b).probability
    variance = np.zeros((6, 6))
    for outcome, chance in ((1.0, p), (0.0, 1 - p)):
        level = (
            outcome / p - (1 - outcome) / (1 - p)
            if estimand == "ate"
            else share * (outcome - (1 - outcome) * p / (1 - p))
        )
        g = np.hstack([z * (b * (outcome - p))[:, None], z * (b * level)[:, None]])
        variance += (g * chance[:, None]).T @ g / len(D)

    def statistic(beta):
        g = conditions(expit(z @ beta)).mean(axis=0)
        return len(D) * g @ np.linalg.solve(variance, g)

    beta = np.concatenate([found.constants, found.coefficients[0]])
    assert statistic(beta) == pytest.approx(found.statistic, rel=1e-9)
    rng = np.random.default_rng(1)
    starts = [beta + rng.normal(scale=s, size=3) for s in (0.1, 0.5, 1.0, 2.0)]
    assert min(minimize(statistic, s).fun for s in starts) >= found.statistic - 1e-9
    if base is not None:
        again = overidentified_balancing_weights(X[:, :2], D, estimand, base=7 * base)
        assert again.statistic == pytest.approx(found.statistic)


@pytest.mark.parametrize("estimand", ["att", "ate"])
def test_overidentification_is_seldom_rejected_where_the_logit_is_right_and_often_where_it_is_not(estimand):
    rng = np.random.default_rng(20260103)
    rejected = {0.0: 0, 0.7: 0}
    for curve in rejected:
        for _ in range(100):
            x = rng.normal(size=(800, 2))
            d = rng.random(800) < 1 / (1 + np.exp(0.3 - x @ np.array([0.6, -0.4]) - curve * x[:, 0] ** 2))
            rejected[curve] += overidentified_balancing_weights(x, d, estimand).p_value < 0.05
    # Below 5 % in a sample of this size; three Monte Carlo standard errors above it would be 12.
    assert rejected[0.0] < 12 and rejected[0.7] > 30


def test_overidentification_statistic_has_its_degrees_of_freedom_in_large_samples():
    rng, statistics = np.random.default_rng(4), []
    for _ in range(60):
        x = rng.normal(size=(20_000, 2))
        d = rng.random(20_000) < 1 / (1 + np.exp(0.3 - x @ np.array([0.6, -0.4])))
        statistics.append(overidentified_balancing_weights(x, d, "ate").statistic)
    # Three Monte Carlo standard errors of a mean of 60 draws with variance 2 x 3.
    assert np.mean(statistics) == pytest.approx(3, abs=3 * np.sqrt(6 / 60))


def test_overidentified_score_refuses_arms_apart_and_conditions_alike():
    ranked = np.sort(X[:, :1], axis=0)
    with pytest.raises(ValueError, match="no overlap: a combination of the columns separates the arms"):
        overidentified_balancing_weights(ranked, np.arange(len(X)) > len(X) / 2)
    even = np.tile([0.0, 1.0], 50)[:, None]
    with pytest.raises(ValueError, match="score and balance conditions say the same"):
        overidentified_balancing_weights(even, np.repeat([True, False], 50), "ate")


def test_overidentified_score_where_no_exact_balance_exists():
    # The treated mean lies beyond every comparison row: nothing balances exactly, and the criterion has a least.
    x = np.array([0.0, 1.0, 2.0, 3.0, 2.9, 4.0, 5.0])[:, None]
    d = np.array([0, 0, 0, 0, 1, 1, 1]) == 1
    with pytest.raises(ValueError, match="outside the range"):
        covariate_balancing_weights(x, d)
    found = overidentified_balancing_weights(x, d)
    assert found.weights.min() > 0 and found.worst > 0


def test_score_weights_against_regressions_in_r():
    p = np.array(R["score"]["probability"])
    logit = fit_logit(np.column_stack([np.ones(len(X)), X]), D)
    assert logit.probability == pytest.approx(p, abs=CLOSED)
    for name, w in {
        "overlap": overlap_weights(p, D),
        "ate": inverse_probability_weights(p, D, "ate"),
        "att": inverse_probability_weights(p, D, "att"),
    }.items():
        gap = means(X[D, 0], w[D]) - means(X[~D, 0], w[~D])
        assert gap == pytest.approx(R["score"][f"{name}_difference"], abs=CLOSED)
    mirrored = inverse_probability_weights(1 - p, ~D, "att")
    assert inverse_probability_weights(p, D, "atc") == pytest.approx(mirrored)
    # With a logit's own probabilities overlap weights equate every mean, not that of x1 alone.
    w = overlap_weights(logit.probability, D)
    assert means(X[D], w[D]) == pytest.approx(means(X[~D], w[~D]), abs=1e-9)
    assert overlap_weights(p, D, base=BASE) == pytest.approx(BASE * overlap_weights(p, D))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-50, 50), st.floats(0.01, 100))
def test_weights_follow_rows_and_ignore_units(seed, shift, scale):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(D))
    mixing = np.eye(4) + 0.3 * rng.uniform(-1, 1, (4, 4))
    moved = (X[order] @ mixing) * scale + shift
    for method in (entropy_balancing, covariate_balancing_weights):
        for estimand in ("att", "ate"):
            w = method(X, D, estimand).weights
            assert method(moved, D[order], estimand).weights == pytest.approx(w[order], rel=1e-6)


def test_a_row_of_twice_the_base_weight_is_a_row_twice():
    base = np.ones(len(D))
    base[~D] = np.where(np.arange((~D).sum()) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(len(D)), base.astype(int))
    for method in (entropy_balancing, covariate_balancing_weights):
        w = method(X, D, base=base).weights
        split = np.bincount(twice, method(X[twice], D[twice]).weights)
        assert split == pytest.approx(w, abs=CLOSED)


def test_effective_sample_size():
    equal = effective_sample_size(np.ones(len(D)), D)
    assert (equal.treated, equal.comparison) == (D.sum(), (~D).sum())
    w = entropy_balancing(X, D).weights
    assert effective_sample_size(7 * w, D).comparison == pytest.approx(w[~D].sum() ** 2 / (w[~D] ** 2).sum())
    with pytest.raises(ValueError, match="no comparison row"):
        effective_sample_size(np.where(D, 1.0, 0.0), D)
    with pytest.raises(ValueError, match="negative or missing"):
        effective_sample_size(np.where(D, 1.0, np.nan), D)


def test_stratum_weights_by_hand():
    stratum, d = np.array([0, 0, 0, 1, 1, 1, -1]), np.array([1, 0, 0, 1, 1, 0, 1]) == 1
    # ATE: 3/1, 3/2, 3/2 and 3/2, 3/2, 3/1 before each arm's weights are scaled to mean 1.
    assert stratum_weights(stratum, d, "ate") == pytest.approx([1.5, 0.75, 0.75, 0.75, 0.75, 1.5, 0])
    with pytest.raises(ValueError, match=r"strata \[1\] hold one arm"):
        stratum_weights(np.array([0, 0, 1]), np.array([True, False, True]))
    with pytest.raises(ValueError, match="all rows are pruned"):
        stratum_weights(np.full(7, -1), d)


SOLVERS = [entropy_balancing, covariate_balancing_weights, overidentified_balancing_weights]


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_unusable_covariates_are_named(solve, estimand):
    holed = X.copy()
    holed[[3, 9], 1] = np.nan
    with pytest.raises(ValueError, match=r"2 missing or infinite values in columns \[1\], rows \[3, 9\]"):
        solve(holed, D, estimand)
    with pytest.raises(ValueError, match=r"columns \[4\] are constant"):
        solve(np.column_stack([X, np.full(len(X), 0.1)]), D, estimand)
    with pytest.raises(ValueError, match=r"columns \[4\] follow from those before"):
        solve(np.column_stack([X, X[:, 0] - 2 * X[:, 2]]), D, estimand)
    with pytest.raises(ValueError, match="0 of 420 rows are treated"):
        solve(X, np.zeros(len(D), bool), estimand)
    with pytest.raises(ValueError, match="base weight"):
        solve(X, D, estimand, base=np.zeros(len(D)))


@pytest.mark.parametrize("solve", [entropy_balancing, covariate_balancing_weights])
def test_no_overlap_is_named(solve):
    apart = X.copy()
    apart[D, 2] += 100
    for estimand in ("att", "atc", "ate"):
        with pytest.raises(ValueError, match=r"no overlap.*\[2\]"):
            solve(apart, D, estimand)
    # Every range overlaps, but the sum of two columns separates the arms.
    rng = np.random.default_rng(5)
    x = rng.normal(size=(80, 2))
    d = x.sum(axis=1) > 0
    x[d] += 0.2
    with pytest.raises(ValueError, match=r"convex hull"):
        solve(x, d, "att")
    with pytest.raises(ValueError, match=r"convex hull|combination of the columns separates"):
        solve(x, d, "ate")


def test_an_unknown_estimand_is_named():
    p = np.array(R["score"]["probability"])
    for call in (
        lambda e: inverse_probability_weights(p, D, e),
        lambda e: stratum_weights(D * 0, D, e),
        *(lambda e, solve=solve: solve(X, D, e) for solve in SOLVERS),
    ):
        with pytest.raises(ValueError, match='estimand = "ATT"; wanted att, atc or ate'):
            call("ATT")


def test_wrong_shapes_and_probabilities_are_named():
    with pytest.raises(ValueError, match="wanted \\(n, k\\)"):
        refuse_unusable(X, D[:-1])
    p = np.array(R["score"]["probability"])
    p[4] = 1.0
    for weigh in (inverse_probability_weights, overlap_weights):
        with pytest.raises(ValueError, match=r"rows \[4\]"):
            weigh(p, D)
        with pytest.raises(ValueError, match="one a row"):
            weigh(p[:-1], D)
        with pytest.raises(ValueError, match="base weight"):
            weigh(np.full(len(D), 0.5), D, base=BASE[:-1])

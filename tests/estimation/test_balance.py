"""Balance statistics against R's Matching and MatchIt (values under tests/reference/match_balance), and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from estimation_cases import REFERENCE, reference_values
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, wasserstein_distance

from analysis.estimation.matching.balance import (
    balance,
    bandwidth_of,
    denominators,
    densities,
    overlap_coefficient,
    products,
    quantile_differences,
    tidy_balance,
)

# Closed forms: only rounding separates the programs.
CLOSED = 1e-8
# Rows are spread over grid points a twenty-fifth of a bandwidth apart; R evaluates each kernel exactly.
BINNED = 1e-5

TABLE = pd.read_csv(REFERENCE / "match_balance" / "simulated_counties.csv")
R = reference_values("match_balance")
NAMES = ("x1", "x2", "x3", "x4")
X, D = TABLE[list(NAMES)].to_numpy(dtype=float), TABLE["treated"].to_numpy() == 1
ONES = np.ones(len(D))
CONTINUOUS = [0, 1, 2]


def numbers(stored):
    return np.array([np.nan if v is None else v for v in stored], dtype=float)


def paired_weights(stored, by):
    """Weights of rows that repeat in pairs; Matching's distribution functions ignore the pairs' own weights."""
    w = np.zeros(len(D))
    np.add.at(w, stored["treated"], by)
    np.add.at(w, stored["comparison"], by)
    return w


def test_before_matching_equals_matchbalance():
    found, stored = balance(X, D, ONES, denominators(X, D, "treated")), R["before"]
    assert found.mean_treated == pytest.approx(numbers(stored["mean_treated"]), abs=CLOSED)
    assert found.mean_comparison == pytest.approx(numbers(stored["mean_comparison"]), abs=CLOSED)
    assert 100 * found.standardized_mean_difference == pytest.approx(numbers(stored["percent"]), abs=CLOSED)
    assert found.variance_ratio == pytest.approx(numbers(stored["variance_ratio"]), abs=CLOSED)
    assert found.ks == pytest.approx(numbers(stored["ecdf_max"]), abs=CLOSED)
    assert found.ks[CONTINUOUS] == pytest.approx(numbers(stored["ks"])[CONTINUOUS], abs=CLOSED)
    assert found.ecdf_mean_sample == pytest.approx(numbers(stored["ecdf_mean"]), abs=CLOSED)
    pooled = balance(X, D, ONES, denominators(X, D, "pooled")).standardized_mean_difference
    assert 100 * pooled == pytest.approx(numbers(stored["percent_pooled"]), abs=CLOSED)


@pytest.mark.parametrize("case", ["pairs", "replaced", "ties"])
def test_pairs_equal_matchbalance(case):
    stored = R[case]
    by = np.array(stored["weight"])
    w = paired_weights(stored, by)
    # Matching divides by the spread of the matched treated rows, each as often as it is matched.
    mean = np.average(X[D], axis=0, weights=w[D])
    total = w[D].sum()
    spread = np.sqrt(w[D] @ (X[D] - mean) ** 2 / (total - 1))
    found = balance(X, D, w, spread)
    assert found.mean_treated == pytest.approx(numbers(stored["mean_treated"]), abs=CLOSED)
    assert found.mean_comparison == pytest.approx(numbers(stored["mean_comparison"]), abs=CLOSED)
    assert 100 * found.standardized_mean_difference == pytest.approx(numbers(stored["percent"]), abs=CLOSED)
    # Its variances have the sum of weights below; ours are unbiased under them.
    bias = [1 - (v**2).sum() / v.sum() ** 2 for v in (w[D], w[~D])]
    assert found.variance_ratio * bias[0] / bias[1] == pytest.approx(
        numbers(stored["variance_ratio"]), abs=CLOSED
    )
    counted = balance(X, D, paired_weights(stored, np.ones(len(by))), spread)
    assert counted.ks == pytest.approx(numbers(stored["ecdf_max"]), abs=CLOSED)
    assert counted.ecdf_mean_sample == pytest.approx(numbers(stored["ecdf_mean"]), abs=CLOSED)
    distances = quantile_differences(X, D, paired_weights(stored, np.ones(len(by))))
    for name in ("eqq_mean", "eqq_median", "eqq_max"):
        assert getattr(distances, name) == pytest.approx(numbers(stored[name]), abs=CLOSED), name


@pytest.mark.parametrize(
    ("case", "kind"),
    [("nearest", "treated"), ("coarse", "treated"), ("coarse_atc", "comparison"), ("coarse_ate", "pooled")],
)
@pytest.mark.parametrize("sample", ["all", "matched"])
def test_weighted_samples_equal_summary_of_matchit(case, kind, sample):
    stored = R[case][sample]
    # MatchIt lists the distance first where it matched on one.
    at = [i for i, row in enumerate(stored["rows"]) if row != "distance"]
    further, called = products(X, NAMES)
    x = np.column_stack([X, further])
    assert [*NAMES, *called] == [stored["rows"][i] for i in at]
    w = ONES if sample == "all" else np.array(R[case]["weights"], dtype=float)
    found = balance(x, D, w, denominators(x, D, kind))

    def theirs(key):
        return numbers(stored[key])[at]

    binary = NAMES.index("x4")
    many = np.arange(len(at)) != binary
    assert found.mean_treated == pytest.approx(theirs("mean_treated"), abs=CLOSED)
    assert found.mean_comparison == pytest.approx(theirs("mean_comparison"), abs=CLOSED)
    assert found.standardized_mean_difference[many] == pytest.approx(theirs("difference")[many], abs=CLOSED)
    # A variance of zeros and ones is p (1 - p) there, with n - 1 below it here.
    arms = {"treated": [D], "comparison": [~D], "pooled": [D, ~D]}[kind]
    theirs_spread = np.sqrt(np.mean([X[arm, binary].var() for arm in arms]))
    assert found.standardized_mean_difference[binary] * denominators(x, D, kind)[
        binary
    ] / theirs_spread == pytest.approx(theirs("difference")[binary], abs=CLOSED)
    assert found.variance_ratio[many] == pytest.approx(theirs("variance_ratio")[many], abs=CLOSED)
    assert found.ks == pytest.approx(theirs("max"), abs=CLOSED)
    assert found.ecdf_mean[many] == pytest.approx(theirs("mean")[many], abs=CLOSED)


def test_quantile_distances_equal_matchit_for_pairs_and_wasserstein_for_weights():
    stored = R["nearest"]["raw"]
    keep = [i for i, row in enumerate(stored["rows"]) if row in ("x1", "x2")]
    found = quantile_differences(X, D, np.array(R["nearest"]["weights"], dtype=float))
    assert found.eqq_mean[:2] == pytest.approx(numbers(stored["mean"])[keep], abs=CLOSED)
    assert found.eqq_max[:2] == pytest.approx(numbers(stored["max"])[keep], abs=CLOSED)
    w = np.random.default_rng(1).exponential(size=len(D))
    area = [wasserstein_distance(c[D], c[~D], w[D], w[~D]) for c in X.T]
    assert quantile_differences(X, D, w).eqq_mean == pytest.approx(area, abs=1e-12)


@pytest.mark.parametrize("sample", ["all", "matched"])
def test_overlap_of_densities_equals_exact_kernels_in_r(sample):
    w = ONES if sample == "all" else np.array(R["coarse"]["weights"], dtype=float)
    assert [bandwidth_of(X[:, j], D) for j in (0, 1)] == pytest.approx(R["overlap"]["bandwidth"], abs=CLOSED)
    found = [overlap_coefficient(X[:, j], D, w) for j in (0, 1)]
    assert found == pytest.approx(R["overlap"][sample], abs=BINNED)


def test_overlap_of_normal_arms_is_that_of_the_formula():
    # Inman and Bradley: two normal distributions of one variance, a distance d apart, share 2 Phi(-d / 2).
    z = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    d = np.repeat([True, False], 20_000)
    column = np.concatenate([z + 1.2, z])
    h = 0.05
    smoothed = 2 * norm.cdf(-1.2 / np.sqrt(1 + h**2) / 2)
    assert overlap_coefficient(column, d, bandwidth=h) == pytest.approx(smoothed, abs=1e-4)


def test_overlap_of_shares_and_densities_that_integrate_to_one():
    w = np.random.default_rng(2).exponential(size=len(D))
    shares = [np.array([np.average(X[a, 2] == v, weights=w[a]) for v in range(9)]) for a in (D, ~D)]
    found = balance(X, D, w, denominators(X, D, "all"))
    assert found.overlap[2] == pytest.approx(np.minimum(*shares).sum())
    curve = densities(X[:, 1], D, w)
    step = curve.points[1] - curve.points[0]
    assert (curve.treated.sum() * step, curve.comparison.sum() * step) == pytest.approx((1.0, 1.0), abs=1e-9)
    assert curve.treated @ curve.points * step == pytest.approx(found.mean_treated[1], abs=1e-9)


def test_denominators_are_of_the_unweighted_sample():
    for kind, wanted in {
        "treated": X[D].std(axis=0, ddof=1),
        "comparison": X[~D].std(axis=0, ddof=1),
        "all": X.std(axis=0, ddof=1),
        "pooled": np.sqrt((X[D].var(axis=0, ddof=1) + X[~D].var(axis=0, ddof=1)) / 2),
    }.items():
        assert denominators(X, D, kind) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="wanted treated, comparison, pooled or all"):
        denominators(X, D, "control")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_units_order_and_scale_of_weights_do_not_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    x, d = np.column_stack([rng.normal(size=60), rng.integers(0, 3, 60)]), np.arange(60) < 20
    w = rng.integers(0, 4, 60).astype(float)
    w[[0, 30]] = 1.0
    order = rng.permutation(60)
    one = balance(x, d, w, denominators(x, d, "treated"))
    moved = scale * x + shift
    # Equal values must stay equal for the distribution functions to be comparable.
    moved[:, 1] = x[:, 1]
    two = balance(moved[order], d[order], 3 * w[order], denominators(moved, d, "treated"))
    for name in ("standardized_mean_difference", "variance_ratio", "ks", "ecdf_mean", "ecdf_mean_sample"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), abs=1e-8, nan_ok=True), name
    assert two.overlap == pytest.approx(one.overlap, abs=1e-4)
    # Rows with a whole weight are rows that stand several times.
    times = w.astype(int)
    again = balance(
        np.repeat(x, times, axis=0), np.repeat(d, times), np.ones(times.sum()), denominators(x, d, "treated")
    )
    assert again.standardized_mean_difference == pytest.approx(one.standardized_mean_difference)
    assert again.ks == pytest.approx(one.ks)
    assert again.ecdf_mean == pytest.approx(one.ecdf_mean_sample)


def test_equal_arms_have_no_difference():
    x, d = np.repeat(X, 2, axis=0), np.tile([True, False], len(X))
    found = balance(x, d, np.ones(len(d)), denominators(x, d, "all"))
    for name in ("standardized_mean_difference", "ks", "ecdf_mean"):
        assert getattr(found, name) == pytest.approx(np.zeros(4), abs=1e-12)
    assert found.overlap == pytest.approx(np.ones(4), abs=1e-9)
    assert found.variance_ratio == pytest.approx(np.ones(4))


def test_tidy_table_holds_each_statistic_against_its_limit():
    w = np.array(R["coarse"]["weights"], dtype=float)
    table = pd.DataFrame(tidy_balance(X, D, {"all": ONES, "matched": w}, NAMES, with_products=True))
    by = table.set_index(["covariate", "sample", "statistic"])
    assert by.index.is_unique
    found = balance(X, D, w, denominators(X, D, "treated"))
    for j, name in enumerate(NAMES):
        row = by.loc[(name, "matched", "standardized_mean_difference")]
        assert row["value"] == found.standardized_mean_difference[j]
        assert row["within"] == (abs(row["value"]) <= 0.1) and row["denominator"] == "treated"
        assert (row["threshold_low"], row["threshold_high"]) == (-0.1, 0.1)
    assert by.loc[("x4", "all", "variance_ratio"), "within"] is None
    assert by.loc[("x1", "all", "variance_ratio"), "within"]
    assert table.loc[table["statistic"] == "ks", "within"].isna().all()
    # Of the four covariates alone, products left aside.
    size = np.abs(found.standardized_mean_difference)
    ratio = found.variance_ratio[CONTINUOUS]
    effective = R["coarse"]["effective"]
    for statistic, wanted in {
        "n_treated": (w[D] > 0).sum(),
        "n_comparison": (w[~D] > 0).sum(),
        "effective_treated": effective[0],
        "effective_comparison": effective[1],
        "largest_standardized_mean_difference": size.max(),
        "mean_standardized_mean_difference": size.mean(),
        "share_within_standardized_mean_difference": (size <= 0.1).mean(),
        "share_within_variance_ratio": ((ratio >= 0.5) & (ratio <= 2)).mean(),
        "share_within_strict_variance_ratio": ((ratio >= 0.8) & (ratio <= 1.25)).mean(),
    }.items():
        assert by.loc[("(all)", "matched", statistic), "value"] == pytest.approx(wanted, abs=CLOSED), (
            statistic
        )


def test_what_cannot_be_compared_is_named():
    deviation = denominators(X, D, "treated")
    gap = X.copy()
    gap[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"1 missing or infinite values in columns \[1\], rows \[3\]"):
        balance(gap, D, ONES, deviation)
    with pytest.raises(ValueError, match="no comparison row has a weight above 0"):
        balance(X, D, D.astype(float), deviation)
    with pytest.raises(ValueError, match="wanted one a row"):
        balance(X, D, ONES[1:], deviation)
    constant = np.column_stack([X, ONES])
    found = balance(constant, D, ONES, denominators(constant, D, "treated"))
    assert np.isnan(found.standardized_mean_difference[4]) and np.isnan(found.variance_ratio[4])
    assert (found.ks[4], found.overlap[4]) == (pytest.approx(0, abs=1e-12), pytest.approx(1))

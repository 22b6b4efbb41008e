"""Cardinality matching against every subset of small samples, and its limits on a larger one."""

from __future__ import annotations

import numpy as np
import pytest
from estimation_cases import reference_counties
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.estimation.matching.cardinality import cardinality_matching
from analysis.estimation.matching.distances import mahalanobis_coordinates
from analysis.estimation.matching.optimal import optimal_matching
from tests.benchmarks.worlds import WORLDS

TABLE = reference_counties()
X, D = TABLE[["x1", "x2", "x3", "x4"]].to_numpy(), TABLE["treated"].to_numpy()
Z, CLASS = mahalanobis_coordinates(X), TABLE["class"].to_numpy()
SD = X[D].std(axis=0, ddof=1)


def largest(x, d, limits, ratio, codes=None, target=None, margin=1e-6):
    """Most treated rows of any subset within the limits, or 0; ``margin`` widens or narrows them."""
    n, best = len(d), 0
    for code in range(1, 2**n):
        kept = (code >> np.arange(n)) & 1 == 1
        one, other = kept & d, kept & ~d
        size = one.sum()
        if size <= best or ratio * size != other.sum():
            continue
        if codes is not None and any(
            ratio * (codes[one] == c).sum() != (codes[other] == c).sum() for c in np.unique(codes)
        ):
            continue
        means = x[one].mean(axis=0), x[other].mean(axis=0)
        gaps = [means[0] - means[1]] if target is None else [m - target for m in means]
        if all((np.abs(g) <= limits + margin).all() for g in gaps):
            best = int(size)
    return best


@given(
    st.integers(0, 10_000),
    st.sampled_from([0.02, 0.2, 0.6]),
    st.integers(1, 2),
    st.sampled_from(["", "fine", "target"]),
)
@settings(max_examples=30, deadline=None)
def test_sample_is_the_largest_there_is(seed, limit, ratio, extra):
    rng = np.random.default_rng(seed)
    d = rng.permutation(np.arange(10) < 4)
    x = rng.normal(size=(10, 2)) + 0.5 * d[:, None]
    limits = np.full(2, limit)
    codes = rng.integers(0, 2, 10) if extra == "fine" else None
    target = x.mean(axis=0) if extra == "target" else None
    wide, narrow = (largest(x, d, limits, ratio, codes, target, m) for m in (1e-5, -1e-5))
    if not wide:
        with pytest.raises(ValueError, match="no sample with any treated row"):
            cardinality_matching(x, d, x, limits, ratio=ratio, fine=codes, target=target)
        return
    if not narrow:
        return
    found = cardinality_matching(x, d, x, limits, ratio=ratio, fine=codes, target=target)
    assert narrow <= found.size <= wide
    assert (found.status, found.gap, found.bound) == ("optimal", 0.0, found.size)


def test_limits_hold_and_pairs_are_the_closest_of_the_sample():
    limits = 0.05 * SD
    found = cardinality_matching(Z, D, X, limits, strata=CLASS)
    assert (np.abs(found.difference) <= limits + 1e-6 * X.std(axis=0)).all()
    m = found.matches
    assert (CLASS[m.treated] == CLASS[m.comparison]).all()
    assert sorted(np.concatenate([m.treated, m.comparison]).tolist()) == found.rows.tolist()
    assert len(m.dropped) == D.sum() - found.size
    within = optimal_matching(Z[found.rows], D[found.rows], strata=CLASS[found.rows])
    assert np.sqrt(m.distance).sum() == pytest.approx(np.sqrt(within.distance).sum())
    averaged = X[m.treated].mean(axis=0) - m.averages(X).mean(axis=0)
    assert averaged == pytest.approx(found.difference)


def test_fine_balance_is_exact_and_tighter_limits_never_give_more():
    sizes = [cardinality_matching(Z, D, X, t * SD, fine=CLASS).size for t in (0.01, 0.1, 0.5)]
    assert sizes == sorted(sizes)
    found = cardinality_matching(Z, D, X, 0.1 * SD, fine=CLASS)
    levels = [np.bincount(CLASS[rows]).tolist() for rows in (found.matches.treated, found.matches.comparison)]
    assert levels[0] == levels[1]


def test_keeping_all_treated_keeps_them_or_says_why_not():
    found = cardinality_matching(Z, D, X, 0.3 * SD, keep_treated=True)
    assert found.size == D.sum() and not len(found.matches.dropped)
    far = X.copy()
    far[D, 2] += 50
    with pytest.raises(ValueError, match="every treated row keeps the limit of column 2"):
        cardinality_matching(Z, D, far, 0.3 * SD, keep_treated=True)
    with pytest.raises(ValueError, match="any treated row keeps the limit of column 2"):
        cardinality_matching(Z, D, far, 0.3 * SD)
    with pytest.raises(ValueError, match="fine balance, strata and the ratio leave no sample"):
        cardinality_matching(Z, D, X, 0.3 * SD, fine=D.astype(int))


def test_both_arms_meet_a_target():
    target = X[D].mean(axis=0)
    found = cardinality_matching(Z, D, X, 0.1 * SD, target=target)
    assert (np.abs(found.away_from_target) <= 0.1 * SD + 1e-5).all()


def test_row_order_does_not_matter():
    shuffle = np.random.default_rng(5).permutation(len(D))
    one = cardinality_matching(Z, D, X, 0.02 * SD)
    two = cardinality_matching(Z[shuffle], D[shuffle], X[shuffle], 0.02 * SD)
    assert one.rows.tolist() == sorted(shuffle[two.rows].tolist())


def test_a_search_cut_short_says_so():
    x, d = WORLDS["apart"]()
    limits = 0.02 * x[d].std(axis=0, ddof=1)
    found = cardinality_matching(x, d, x, limits, time_limit=1.0)
    assert found.status == "time_limit" and found.time_limit == 1.0
    assert found.bound > found.size and found.gap == pytest.approx((found.bound - found.size) / found.size)
    assert (np.abs(found.difference) <= limits + 1e-5).all()
    # Done as soon as the gap asked for is reached.
    near = cardinality_matching(x, d, x, limits, gap=0.05)
    assert near.status == "optimal" and 0 < near.gap <= 0.05
    with pytest.raises(ValueError, match=r"no sample found in 0\.001 seconds"):
        cardinality_matching(x, d, x, limits, time_limit=0.001)


def test_a_national_sample_within_limits_is_proved_the_largest():
    x, d = WORLDS["skewed"]()
    # Two classes are balanced exactly besides.
    classes = x[:, 5:7].astype(int)
    found = cardinality_matching(x, d, x, 0.1 * x[d].std(axis=0, ddof=1), ratio=2, fine=classes)
    assert found.status == "optimal" and found.gap == 0 and found.size == found.bound < d.sum()
    one, other = (classes[found.rows[arm[found.rows]]] for arm in (d, ~d))
    assert (2 * one.sum(axis=0) == other.sum(axis=0)).all()


def test_limits_no_whole_sample_keeps_are_said():
    # One half and one half of the comparison rows balance the treated row; whole rows do not.
    x, d = np.array([[0.0], [1.0], [-1.0]]), np.array([True, False, False])
    with pytest.raises(ValueError, match="any treated row keeps all 1 limits together"):
        cardinality_matching(x, d, x, np.array([0.5]))


BAD = {
    "shape": ({"limits": np.ones(3)}, "wanted \\(4,\\)"),
    "negative": ({"limits": np.array([1.0, -1.0, 1.0, 1.0])}, "none below 0"),
    "ratio": ({"ratio": 0}, "ratio = 0"),
    "time": ({"time_limit": 0.0}, "time_limit = 0"),
    "missing": ({"x": np.where(np.arange(len(D))[:, None] == 5, np.nan, X)}, r"in 1 rows \(5\)"),
    "one arm": ({"treated": np.zeros(len(D), dtype=bool)}, "0 treated and 320"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    change, said = BAD[name]
    given_ = {"coordinates": Z, "treated": D, "x": X, "limits": SD, **change}
    with pytest.raises(ValueError, match=said):
        cardinality_matching(**given_)

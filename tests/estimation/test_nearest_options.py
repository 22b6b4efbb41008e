"""Nearest-neighbour matching with every option against R's Matching and MatchIt, by brute force and by properties.

Values are under tests/reference/match_options and tests/reference/matchit_nearest, with the scripts that made them.
"""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from estimation_cases import REFERENCE, reference_values
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from analysis.estimation.matching import nearest
from analysis.estimation.matching.average import (
    average_effect,
    average_effect_variance,
    average_homoskedastic_variance,
)
from analysis.estimation.matching.distances import (
    euclidean_coordinates,
    mahalanobis_coordinates,
    robust_mahalanobis_coordinates,
    standard_deviations,
    standardised_coordinates,
    weighted_coordinates,
)
from analysis.estimation.matching.nearest import nearest_neighbours
from analysis.estimation.matching.variance import (
    abadie_imbens_variance,
    homoskedastic_variance,
    matched_difference,
    within_arm_variance,
)

# Closed forms: only rounding separates the programs.
CLOSED = 1e-8


def table_of(case):
    return pd.read_csv(REFERENCE / case / "simulated_counties.csv")


# --- Match ------------------------------------------------------------------------------------------------------

MATCH = reference_values("match_options")
COUNTIES = table_of("match_options")
Y, D = COUNTIES["outcome"].to_numpy(), COUNTIES["treated"].to_numpy() == 1
X = COUNTIES[["x1", "x2", "x3"]].to_numpy()
Z = X[:, :2]
CLASS = COUNTIES["class"].to_numpy()
COVARIATES = {
    "X": X,
    "XC": COUNTIES[["x1", "x2", "x3", "class"]].to_numpy(dtype=float),
    "G": np.round(X[:, :2]),
    "score": np.array(MATCH["score"])[:, None],
}


def match_coordinates(case, x, weights):
    if case["distance"] == 1:
        return standardised_coordinates(x, weights)
    if case["distance"] == 3:
        return weighted_coordinates(x, np.array(MATCH["matrix"]), weights)
    if weights is None:
        return mahalanobis_coordinates(x)
    # With weights Match centres on the weighted mean but takes an unweighted mean of squares around it.
    standard = standardised_coordinates(x, weights)
    return weighted_coordinates(x, np.linalg.inv(standard.T @ standard / len(x)), weights)


def match_options(case, x, weights):
    """Return strata and calipers as Match reads them: widths in standard deviations around the weighted mean."""
    strata = calipers = None
    if "exact" in case:
        strata = CLASS
    if "caliper" in case:
        mean = np.average(x, axis=0, weights=weights)
        total = len(x) if weights is None else weights.sum()
        calipers = (
            x,
            np.broadcast_to(case["caliper"], x.shape[1]) * np.sqrt(((x - mean) ** 2).sum(axis=0) / total),
        )
    return strata, calipers


def allowed_in_arm(strata, calipers):
    near = (D[:, None] == D) & ~np.eye(len(D), dtype=bool)
    if strata is not None:
        near &= strata[:, None] == strata
    if calipers is not None:
        near &= (np.abs(calipers[0][:, None] - calipers[0]) <= calipers[1]).all(axis=2)
    return near


def match_variances(case, z, strata, calipers, weights):
    found = within_arm_variance(
        Y,
        z,
        D,
        case["variance_neighbours"],
        case["tolerance"],
        strata=strata,
        calipers=calipers,
        weights=weights,
    )
    # Match gives a row with too few neighbours inside the caliper a variance of zero; here it takes those it has.
    reach = allowed_in_arm(strata, calipers) @ (np.ones(len(D)) if weights is None else weights)
    return np.where(reach >= case["variance_neighbours"], found, 0.0)


def as_match(case):
    """Return our estimate, error, unadjusted estimate, paired error and pairs with Match's options."""
    x = COVARIATES[case["covariates"]]
    given = COUNTIES["weight"].to_numpy() if case["weights"] else None
    w = np.ones(len(Y)) if given is None else given
    z = match_coordinates(case, x, given)
    strata, calipers = match_options(case, x, given)
    adjust = Z if case["adjust"] else None
    of = "sample" if case["sample"] else "population"

    def match(arm):
        return nearest_neighbours(
            z,
            arm,
            neighbours=case["neighbours"],
            replacement=case["replacement"],
            strata=strata,
            calipers=calipers,
            tie_tolerance=case["tolerance"],
            order="hardest_first" if case["replacement"] else "data",
            weights=given,
        )

    conditional = match_variances(case, z, strata, calipers, given) if case["variance_neighbours"] else None
    if case["estimand"] == "ATE":
        up, down = match(D), match(~D)
        found = average_effect(Y, up, down, w, adjust, counted=True)
        plain = average_effect(Y, up, down, w).estimate
        half = average_homoskedastic_variance(Y, up, down, w, plain)
        if conditional is None:
            conditional = average_homoskedastic_variance(Y, up, down, w, found.estimate, adjust)
        variance = average_effect_variance(found, conditional, of=of)
        dropped, reuse = np.concatenate([up.dropped, down.dropped]), found.reuse
        one = np.concatenate([up.treated, down.comparison])
        other = np.concatenate([up.comparison, down.treated])
        share = np.concatenate([m.share * w[m.treated] for m in (up, down)])
        arm, sign = np.ones(len(Y), bool), 1.0
    else:
        arm, sign = (D, 1.0) if case["estimand"] == "ATT" else (~D, -1.0)
        m = match(arm)
        found, bare = matched_difference(Y, m, w, adjust), matched_difference(Y, m, w)
        plain, half = sign * bare.estimate, homoskedastic_variance(Y, m, w, bare)
        if conditional is None:
            conditional = homoskedastic_variance(Y, m, w, found, adjust)
        variance = abadie_imbens_variance(found, m, w, conditional, of=of, counted=True)
        dropped, reuse, share = m.dropped, m.comparison_weights(w), m.share * w[m.treated]
        one, other = (m.treated, m.comparison) if sign > 0 else (m.comparison, m.treated)
    # Match divides by all rows of the estimand, pruned ones included, and counts these in the variance with an
    # effect of zero. Its formula, from ours:
    total, matched = w[arm].sum(), found.weight.sum()
    given_each = np.broadcast_to(conditional, len(Y))[dropped]
    both = 2 * reuse[dropped] if case["estimand"] == "ATE" else 0.0
    if case["sample"]:
        extra = (given_each * (w[dropped] ** 2 + both * w[dropped])).sum()
    else:
        extra = (w[dropped] * found.estimate**2 + given_each * both).sum()
    error = np.sqrt((variance * matched**2 + extra) / total**2)
    return sign * found.estimate, error, plain, np.sqrt(2 * half / share.sum()), (one, other, share)


def in_order(one, other, share):
    ranked = np.lexsort((np.asarray(share).round(9), other, one))
    return np.asarray(one)[ranked], np.asarray(other)[ranked], np.asarray(share)[ranked]


@pytest.mark.parametrize("name", list(MATCH["sets"]))
def test_match_with_each_option_equals_r(name):
    """Estimate, Abadie-Imbens error, paired error and matched sets.

    Of Match's options ``ties = FALSE`` draws among ties at random and ``restrict`` names single pairs: neither is
    offered. ``CommonSupport`` drops rows before matching, which is left to the caller; ``V`` is not read by Match.
    """
    cases = [case for case in MATCH["cases"] if case["set"] == name]
    for case in cases:
        estimate, error, plain, paired, pairs = as_match(case)
        assert estimate == pytest.approx(case["estimate"], abs=CLOSED)
        assert plain == pytest.approx(case["unadjusted"], abs=CLOSED)
        assert paired == pytest.approx(case["std_error_paired"], abs=CLOSED)
        if "std_error" in case:
            assert error == pytest.approx(case["std_error"], abs=CLOSED)
    stored = MATCH["sets"][name]
    one, other, share = in_order(*pairs)
    r_one, r_other, r_share = in_order(stored["treated"], stored["comparison"], stored["weight"])
    assert (one.tolist(), other.tolist()) == (r_one.tolist(), r_other.tolist())
    assert share == pytest.approx(r_share, abs=CLOSED)


# --- matchit ----------------------------------------------------------------------------------------------------

MATCHIT = reference_values("matchit_nearest")
POOL = table_of("matchit_nearest")
TREATED = POOL["treated"].to_numpy() == 1
COLUMNS = POOL[["x1", "x2", "x3", "x4"]].to_numpy(dtype=float)
SCORE = np.array(MATCHIT["score"])
LINEAR = np.log(SCORE / (1 - SCORE))
MATCHIT_COORDINATES = {
    "score": SCORE[:, None],
    "linear": LINEAR[:, None],
    "mahalanobis": mahalanobis_coordinates(COLUMNS, within=TREATED),
    "robust_mahalanobis": robust_mahalanobis_coordinates(COLUMNS),
    "euclidean": euclidean_coordinates(COLUMNS),
    "scaled_euclidean": standardised_coordinates(COLUMNS, within=TREATED),
}


def label(case):
    return "-".join(
        str(case[key])
        for key in ("distance", "estimand", "replacement", "ratio", "order", "exact", "std")
        if key in case
    ) + ("-caliper" if "caliper" in case else "")


@pytest.mark.parametrize("case", MATCHIT["cases"], ids=label)
def test_matchit_nearest_equals_r(case):
    """Matched sets exactly, weights to rounding.

    ``m.order = "closest"`` came with a later version of MatchIt and is tested by brute force below; its random order
    comes from R's generator, so that order is fed in. matchit takes the first of several rows at the same distance;
    these data have none.
    """
    arm = TREATED if case["estimand"] == "ATT" else ~TREATED
    score = LINEAR if case["distance"] == "linear" else SCORE
    calipers = None
    if "caliper" in case:
        named = dict(zip(["", "x1", "x2", "x3"], np.column_stack([score, COLUMNS[:, :3]]).T, strict=True))
        values = np.column_stack([named[name] for name in case["caliper"]["names"]])
        widths = np.array(case["caliper"]["widths"], dtype=float)
        calipers = values, widths * standard_deviations(values) if case["std"] else widths
    order = case.get("order", "hardest_first")
    if order == "random":
        score, order = np.full(len(arm), np.inf), "smallest"
        score[case["turn"]] = np.arange(len(case["turn"]))
    m = nearest_neighbours(
        MATCHIT_COORDINATES[case["distance"]],
        arm,
        neighbours=case["ratio"],
        replacement=case["replacement"],
        strata=np.unique(POOL["class"], return_inverse=True)[1] if case["exact"] else None,
        calipers=calipers,
        tie_tolerance=0.0,
        order=order,
        score=score if order in ("largest", "smallest") else None,
        turns="one",
        incomplete=True,
    )
    one, other, _ = in_order(case["one"], case["other"], np.zeros(len(case["one"])))
    assert (m.treated.tolist(), m.comparison.tolist()) == (one.tolist(), other.tolist())
    weights = m.comparison_weights(np.ones(len(arm)))
    # matchit scales weights of matched rows of the other arm to their number.
    weights *= (weights > 0).sum() / weights.sum()
    weights[np.unique(m.treated)] = 1.0
    assert weights == pytest.approx(np.array(case["weights"]), abs=CLOSED)


# --- brute force ------------------------------------------------------------------------------------------------


def lattice(seed, rows=60, columns=2):
    """Return covariates with many ties, arms, strata and a score without ties."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 5, size=(rows, columns)).astype(float)
    d = rng.random(rows) < 0.35
    d[:2] = True, False
    return x, d, rng.integers(0, 3, rows), rng.permutation(rows) / rows


def allowed(d, strata, calipers):
    out = np.ones((d.sum(), (~d).sum()), bool)
    if strata is not None:
        out &= strata[d][:, None] == strata[~d]
    if calipers is not None:
        out &= (np.abs(calipers[0][d][:, None] - calipers[0][~d]) <= calipers[1]).all(axis=2)
    return out


def full_matrix(z, d, strata, calipers):
    distance = cdist(z[d], z[~d], "sqeuclidean")
    distance[~allowed(d, strata, calipers)] = np.inf
    return distance


def by_full_matrix(z, d, neighbours, tolerance, strata, calipers, weights, incomplete):
    """Return pairs with replacement from the whole distance matrix, one treated row at a time."""
    distance = full_matrix(z, d, strata, calipers)
    rows, pool = np.flatnonzero(d), np.flatnonzero(~d)
    mass, pairs = np.ones(len(d)) if weights is None else weights, []
    for row, line in zip(rows, distance, strict=True):
        ranked = np.argsort(line, kind="stable")
        ranked = ranked[np.isfinite(line[ranked])]
        enough = np.flatnonzero(mass[pool[ranked]].cumsum() >= neighbours - 1e-9)
        if len(enough):
            near = np.flatnonzero(line <= line[ranked[enough[0]]] + tolerance)
        elif incomplete:
            near = np.sort(ranked)
        else:
            continue
        pairs += [(row, pool[j], mass[pool[j]] / mass[pool[near]].sum(), line[j]) for j in near]
    return pairs


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    tied=st.booleans(),
    neighbours=st.integers(1, 7),
    tolerance=st.sampled_from([0.0, 1e-5, 0.5]),
    stratified=st.booleans(),
    width=st.sampled_from([None, 0.0, 1.0, 1.7]),
    weighted=st.booleans(),
    incomplete=st.booleans(),
    far=st.sampled_from([0.0, 1e6]),
)
def test_blocks_find_what_the_full_matrix_finds(
    seed, tied, neighbours, tolerance, stratified, width, weighted, incomplete, far
):
    x, d, codes, _ = lattice(seed, rows=200)
    rng = np.random.default_rng(seed)
    if not tied:
        # Long tails: where single precision can say least.
        x = rng.standard_cauchy((200, 3)) + far
    strata = codes if stratified else None
    calipers = None if width is None else (x[:, :2], np.array([width, 2.0]))
    weights = rng.uniform(0.2, 3, 200) if weighted else None
    m = nearest_neighbours(
        x,
        d,
        neighbours=neighbours,
        strata=strata,
        calipers=calipers,
        tie_tolerance=tolerance,
        weights=weights,
        incomplete=incomplete,
    )
    wanted = by_full_matrix(x, d, neighbours, tolerance, strata, calipers, weights, incomplete)
    assert list(zip(m.treated.tolist(), m.comparison.tolist(), strict=True)) == [pair[:2] for pair in wanted]
    assert m.share == pytest.approx([pair[2] for pair in wanted], abs=1e-12)
    assert m.distance.tolist() == [pair[3] for pair in wanted]
    assert set(m.dropped.tolist()) == set(np.flatnonzero(d).tolist()) - {pair[0] for pair in wanted}


def test_a_caliper_is_met_as_its_difference_rounds():
    # In floating point 0.8 - 0.5 is above 0.3, though 0.8 is not above 0.5 + 0.3.
    x = np.concatenate([np.arange(60), np.arange(60)]) / 10
    d = np.arange(120) < 60
    for width in (0.1, 0.3, 0.7):
        m = nearest_neighbours(
            x[:, None], d, neighbours=60, calipers=(x[:, None], np.array([width])), incomplete=True
        )
        inside = np.abs(x[d][:, None] - x[~d]) <= width
        assert np.column_stack([m.treated, m.comparison - 60]).tolist() == np.argwhere(inside).tolist()


def test_many_blocks_are_one(monkeypatch):
    rng = np.random.default_rng(8)
    z, d, y = rng.normal(size=(900, 4)), np.arange(900) < 300, rng.normal(size=900)
    one, variance = nearest_neighbours(z, d, neighbours=3), within_arm_variance(y, z, d, 2)
    monkeypatch.setattr(nearest, "BLOCK", 1)
    two = nearest_neighbours(z, d, neighbours=3)
    assert one.comparison.tolist() == two.comparison.tolist()
    assert within_arm_variance(y, z, d, 2).tolist() == variance.tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), neighbours=st.integers(1, 4), tied=st.booleans(), narrow=st.booleans())
def test_variance_within_arms_from_the_full_matrix(seed, neighbours, tied, narrow):
    x, d, codes, _ = lattice(seed, rows=80)
    rng = np.random.default_rng(seed)
    x, y = (x if tied else rng.normal(size=(80, 2))), rng.normal(size=80) + 1e4
    strata, calipers = (codes, (x, np.array([1.0, 2.0]))) if narrow else (None, None)
    found = within_arm_variance(y, x, d, neighbours, strata=strata, calipers=calipers)
    for row in range(80):
        mates = (d == d[row]) & (np.arange(80) != row)
        if narrow:
            mates &= (codes == codes[row]) & (np.abs(x - x[row]) <= [1.0, 2.0]).all(axis=1)
        mates = np.flatnonzero(mates)
        distance = ((x[mates] - x[row]) ** 2).sum(axis=1)
        last = np.sort(distance)[min(neighbours, len(mates)) - 1] if len(mates) else 0.0
        near = np.append(mates[distance <= last + 1e-5], row)
        assert found[row] == pytest.approx(y[near].var(ddof=1) if len(near) > 1 else 0.0, abs=1e-7)


def by_turns(distance, place, turns, amount, rounds, incomplete):
    """Return greedy pairs, positions in the arms, for a stated sequence (or the closest first if None)."""
    free, pairs = np.ones(distance.shape[1], bool), []
    for _ in range(rounds):
        waiting = list(range(len(distance))) if turns is None else list(turns)
        while waiting:
            if turns is None:
                lines = np.where(free, distance[waiting], np.inf)
                row = waiting.pop(int(np.argmin(lines.min(axis=1))))
            else:
                row = waiting.pop(0)
            line = np.where(free, distance[row], np.inf)
            near = [j for j in np.lexsort((place, line))[:amount] if np.isfinite(line[j])]
            if near and (incomplete or len(near) == amount):
                pairs += [(row, int(j)) for j in near]
                free[near] = False
    count = np.bincount([i for i, _ in pairs], minlength=len(distance)) if pairs else np.zeros(len(distance))
    return sorted(pair for pair in pairs if incomplete or count[pair[0]] == amount * rounds)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    order=st.sampled_from(["hardest_first", "data", "largest", "smallest", "closest"]),
    neighbours=st.integers(1, 3),
    turns=st.sampled_from(["all", "one"]),
    incomplete=st.booleans(),
    narrow=st.booleans(),
)
def test_greedy_orders_by_brute_force(seed, order, neighbours, turns, incomplete, narrow):
    rng = np.random.default_rng(seed)
    _, d, codes, score = lattice(seed)
    z = rng.normal(size=(60, 2))
    strata, calipers = (codes, (z, np.array([1.0, 1.5]))) if narrow else (None, None)
    m = nearest_neighbours(
        z,
        d,
        neighbours=neighbours,
        replacement=False,
        strata=strata,
        calipers=calipers,
        order=order,
        score=score if order in ("largest", "smallest") else None,
        turns=turns,
        incomplete=incomplete,
    )
    distance = full_matrix(z, d, strata, calipers)
    nearest_row = distance.min(axis=1)
    sequence = {
        "hardest_first": np.argsort(-np.where(np.isinf(nearest_row), 0.0, nearest_row), kind="stable"),
        "data": np.arange(d.sum()),
        "largest": np.argsort(-score[d]),
        "smallest": np.argsort(score[d]),
        "closest": None,
    }[order]
    amount, rounds = (1, neighbours) if turns == "one" else (neighbours, 1)
    pairs = by_turns(distance, np.arange((~d).sum()), sequence, amount, rounds, incomplete)
    rows, pool = np.flatnonzero(d), np.flatnonzero(~d)
    assert list(zip(m.treated.tolist(), m.comparison.tolist(), strict=True)) == [
        (rows[i], pool[j]) for i, j in pairs
    ]


def test_thirty_thousand_rows_without_the_matrix():
    """The whole matrix of 6,000 by 24,000 takes 1.2 GB; a tenth of that must do, errors included."""
    rng = np.random.default_rng(4)
    x, d = rng.normal(size=(30_000, 8)), np.arange(30_000) < 6_000
    y = x.sum(axis=1) + rng.normal(size=30_000)
    tracemalloc.start()
    try:
        z = mahalanobis_coordinates(x)
        m = nearest_neighbours(z, d, neighbours=2, calipers=(x, np.full(8, 2.0)))
        conditional = within_arm_variance(y, z, d, 2)
        pairs = nearest_neighbours(z, d, replacement=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120e6
    assert len(pairs.treated) == len(np.unique(pairs.comparison)) == 6_000
    assert 0.5 < conditional.mean() < 8
    for row in (0, 17, 5_999):
        gap = ((z[6_000:] - z[row]) ** 2).sum(axis=1)
        gap[(np.abs(x[6_000:] - x[row]) > 2).any(axis=1)] = np.inf
        assert m.comparison[m.treated == row].tolist() == sorted((6_000 + np.argsort(gap)[:2]).tolist())


# --- properties -------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    order=st.sampled_from(["with", "hardest_first", "largest", "smallest", "closest", "random"]),
    neighbours=st.integers(1, 2),
    turns=st.sampled_from(["all", "one"]),
    robust=st.booleans(),
)
def test_row_order_does_not_matter(seed, order, neighbours, turns, robust):
    # Ties in every distance; two rows alike in all that is matched on stand for each other, so what is compared
    # are the values of the pairs. The score is the same for many.
    x, d, codes, _ = lattice(seed)
    score = codes.astype(float)
    rng = np.random.default_rng(seed)
    other, shuffle = rng.integers(0, 4, len(d)).astype(float), rng.permutation(len(d))

    def values(x, d, codes, score, other):
        z = robust_mahalanobis_coordinates(x) if robust else mahalanobis_coordinates(x)
        m = nearest_neighbours(
            z,
            d,
            neighbours=neighbours,
            replacement=order == "with",
            strata=codes if seed % 2 else None,
            calipers=(np.column_stack([x[:, 0], other]), np.array([2.0, 1.0])),
            order="hardest_first" if order == "with" else order,
            score=score if order in ("largest", "smallest") else None,
            rng=np.random.default_rng(5) if order == "random" else None,
            turns=turns,
            incomplete=True,
        )
        strata = codes if seed % 2 else np.zeros_like(codes)
        scores = score if order in ("largest", "smallest") else np.zeros(len(d))
        key = np.column_stack([x, other, strata, scores])
        return sorted(
            map(tuple, np.column_stack([key[m.treated], key[m.comparison], m.share.round(9)]).tolist())
        )

    assert values(x, d, codes, score, other) == values(*(v[shuffle] for v in (x, d, codes, score, other)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), replacement=st.booleans(), within=st.booleans())
def test_mahalanobis_matches_do_not_see_an_affine_change(seed, replacement, within):
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=(60, 3)), np.arange(60) < 20
    change = rng.normal(size=(3, 3)) + 3 * np.eye(3)
    arms = d if within else None

    def matched(x):
        return nearest_neighbours(mahalanobis_coordinates(x, arms), d, neighbours=2, replacement=replacement)

    one, two = matched(x), matched(x @ change + rng.normal(size=3))
    assert one.comparison.tolist() == two.comparison.tolist()
    # Ranks do not see any increasing change of a covariate.
    one, two = (nearest_neighbours(robust_mahalanobis_coordinates(v), d) for v in (x, np.exp(3 * x)))
    assert one.comparison.tolist() == two.comparison.tolist()


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    replacement=st.booleans(),
    neighbours=st.integers(1, 3),
    width=st.floats(0.0, 3.0),
    incomplete=st.booleans(),
)
def test_constraints_hold_and_strata_are_only_names(seed, replacement, neighbours, width, incomplete):
    x, d, codes, _ = lattice(seed)
    widths = np.array([width, 1.0])

    def matched(strata):
        return nearest_neighbours(
            x,
            d,
            neighbours=neighbours,
            replacement=replacement,
            strata=strata,
            calipers=(x, widths),
            incomplete=incomplete,
        )

    m, renamed = matched(codes), matched(np.array([700, -3, 12])[codes])
    assert (codes[m.treated] == codes[m.comparison]).all()
    assert (np.abs(x[m.treated] - x[m.comparison]) <= widths).all()
    assert d[m.treated].all() and not d[m.comparison].any()
    if not replacement:
        assert len(np.unique(m.comparison)) == len(m.comparison)
        assert np.bincount(m.treated, minlength=1).max() <= neighbours
    if not incomplete:
        assert (np.bincount(m.treated)[np.unique(m.treated)] >= neighbours).all()
    assert np.bincount(m.treated, m.share)[np.unique(m.treated)] == pytest.approx(1.0)
    assert set(m.dropped) == set(np.flatnonzero(d)) - set(m.treated)
    if replacement:
        assert m.comparison.tolist() == renamed.comparison.tolist()
    else:
        # Among ties the order of names decides between strata only, never within one.
        assert sorted(x[m.comparison].tolist()) == sorted(x[renamed.comparison].tolist())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), neighbours=st.integers(1, 4), tied=st.booleans())
def test_weights_are_copies(seed, neighbours, tied):
    rng = np.random.default_rng(seed)
    x, d, _, _ = lattice(seed, rows=40)
    x = x if tied else rng.normal(size=(40, 2))
    y, copies = rng.normal(size=40), rng.integers(1, 4, 40)
    at = np.repeat(np.arange(40), copies)
    w, ones = copies.astype(float), np.ones(len(at))
    if copies[~d].sum() < neighbours or copies[d].sum() < neighbours:
        return
    kept = {"neighbours": neighbours}
    up, down = (nearest_neighbours(x, arm, weights=w, **kept) for arm in (d, ~d))
    long_up, long_down = (nearest_neighbours(x[at], arm[at], **kept) for arm in (d, ~d))
    one, two = matched_difference(y, up, w), matched_difference(y[at], long_up, ones)
    assert one.estimate == pytest.approx(two.estimate, abs=1e-10)
    assert up.comparison_weights(w) == pytest.approx(
        np.bincount(at, long_up.comparison_weights(ones), minlength=40), abs=1e-10
    )
    assert average_effect(y, up, down, w).estimate == pytest.approx(
        average_effect(y[at], long_up, long_down, ones).estimate, abs=1e-10
    )
    # Copies of treated rows alone: counted weights give the variance of the longer data as well.
    at = np.repeat(np.arange(40), np.where(d, copies, 1))
    ones = np.ones(len(at))
    up, long_up = nearest_neighbours(x, d), nearest_neighbours(x[at], d[at])
    sigma = rng.uniform(1, 2, 40)
    short = abadie_imbens_variance(matched_difference(y, up, w), up, w, sigma, counted=True)
    assert short == pytest.approx(
        abadie_imbens_variance(matched_difference(y[at], long_up, ones), long_up, ones, sigma[at]), rel=1e-9
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), neighbours=st.integers(1, 3), adjusted=st.booleans())
def test_labels_swapped_turn_the_sign(seed, neighbours, adjusted):
    rng = np.random.default_rng(seed)
    x, d, y = rng.normal(size=(50, 2)), np.arange(50) < 20, rng.normal(size=50)
    w, adjust = rng.uniform(0.5, 2, 50), x if adjusted else None
    up, down = (nearest_neighbours(x, arm, neighbours=neighbours) for arm in (d, ~d))
    ate, swapped = average_effect(y, up, down, w, adjust), average_effect(y, down, up, w, adjust)
    att, atc = matched_difference(y, up, w, adjust).estimate, -matched_difference(y, down, w, adjust).estimate
    assert swapped.estimate == pytest.approx(-ate.estimate, abs=1e-12)
    assert ate.estimate * w.sum() == pytest.approx(att * w[d].sum() + atc * w[~d].sum(), abs=1e-10)
    # The treated's effect with labels swapped is that on comparison rows, sign turned: outcomes turned over say so.
    assert matched_difference(-y, down, w, adjust).estimate == pytest.approx(atc, abs=1e-12)
    for of in ("population", "sample"):
        assert average_effect_variance(ate, 1.3, of=of) == pytest.approx(
            average_effect_variance(swapped, 1.3, of=of)
        )


def test_sample_error_is_the_regression_weights_times_the_variance():
    # The estimate is linear in outcomes: sum_i c_i y_i; given covariates its variance is sum_i c_i^2 sigma_i^2.
    rng = np.random.default_rng(2)
    x, d, w = rng.normal(size=(40, 2)), np.arange(40) < 15, rng.uniform(0.5, 2, 40)
    up, down = (nearest_neighbours(x, arm, neighbours=2) for arm in (d, ~d))
    sigma, y = rng.uniform(1, 2, 40), rng.normal(size=40)
    att = [matched_difference(unit, up, w).estimate for unit in np.eye(40)]
    ate = [average_effect(unit, up, down, w).estimate for unit in np.eye(40)]
    found = abadie_imbens_variance(matched_difference(y, up, w), up, w, sigma, of="sample")
    assert found == pytest.approx((np.square(att) * sigma).sum())
    assert average_effect_variance(average_effect(y, up, down, w), sigma, of="sample") == pytest.approx(
        (np.square(ate) * sigma).sum()
    )


def test_random_order_is_drawn_and_repeats():
    rng = np.random.default_rng(11)
    z, d = rng.normal(size=(80, 2)), np.arange(80) < 35

    def matched(seed):
        m = nearest_neighbours(z, d, replacement=False, order="random", rng=np.random.default_rng(seed))
        return m.comparison.tolist()

    assert matched(1) == matched(1)
    assert any(one != two for one, two in pairwise(matched(seed) for seed in range(4)))


def test_bad_input_is_named():
    z, d = np.arange(8.0)[:, None], np.arange(8) < 3
    with pytest.raises(ValueError, match="2 rows with missing coordinates"):
        nearest_neighbours(np.where(z > 5, np.nan, z), d)
    with pytest.raises(ValueError, match="1 rows with missing caliper columns"):
        nearest_neighbours(z, d, calipers=(np.where(z > 6, np.nan, z), np.ones(1)))
    with pytest.raises(ValueError, match="'largest' with score missing"):
        nearest_neighbours(z, d, replacement=False, order="largest")
    with pytest.raises(ValueError, match="wanted a score"):
        nearest_neighbours(z, d, replacement=False, score=z[:, 0])
    with pytest.raises(ValueError, match="rng missing"):
        nearest_neighbours(z, d, replacement=False, order="random")
    with pytest.raises(ValueError, match="matched with replacement"):
        nearest_neighbours(z, d, replacement=False, weights=np.ones(8))
    with pytest.raises(ValueError, match="weigh"):
        within_arm_variance(z[:, 0], z, d, 1, weights=np.full(8, 0.1))
    for make in (standardised_coordinates, mahalanobis_coordinates, robust_mahalanobis_coordinates):
        with pytest.raises(ValueError, match="column 1 is constant"):
            make(np.column_stack([z, np.ones(8)]))
    with pytest.raises(ValueError, match="dependent"):
        robust_mahalanobis_coordinates(np.column_stack([z, np.exp(z)]))
    with pytest.raises(ValueError, match="symmetric"):
        weighted_coordinates(z, np.eye(2))
    with pytest.raises(ValueError, match="eigenvalue"):
        weighted_coordinates(np.column_stack([z, z**2]), np.diag([1.0, -1.0]))
    with pytest.raises(ValueError, match="weights or within"):
        standard_deviations(z, np.ones(8), d)


def test_more_treated_than_comparison_rows_lists_who_is_left():
    z, d = np.array([[0.0], [1.0], [2.0], [0.9], [2.05]]), np.array([True, True, True, False, False])
    m = nearest_neighbours(z, d, replacement=False)
    assert (m.treated.tolist(), m.comparison.tolist(), m.dropped.tolist()) == ([0, 1], [3, 4], [2])


def test_a_row_with_one_allowed_row_does_not_count_it_twice():
    # The only allowed row stands first, where a search among rows none of which is allowed ends too.
    z, d = np.array([[0.0], [0.0], [9.0], [9.0]]), np.array([False, True, False, False])
    m = nearest_neighbours(z, d, neighbours=2, calipers=(z, np.ones(1)))
    assert m.treated.tolist() == [] and m.dropped.tolist() == [1]
    assert nearest_neighbours(
        z, d, neighbours=2, calipers=(z, np.ones(1)), incomplete=True
    ).share.tolist() == [1.0]

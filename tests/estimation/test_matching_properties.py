"""What every method of the matched comparisons owes whatever the data: Hypothesis on arrays, one plan at a time.

Each property names the methods that owe it; where one does not, the reason stands beside it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analysis.estimation.matching.comparison import (
    MATCHES,
    SETS,
    Arms,
    Plan,
    compare,
    effect_of,
    independent_variance,
)
from analysis.estimation.matching.distances import standard_deviations

NEAREST, WEIGHTING = Plan("matched_difference"), Plan("weighting", weighting="inverse_probability")
PAIRS = replace(NEAREST, replacement=False)
OPTIMAL, FULL, CARDINALITY = (
    Plan("optimal_match"),
    Plan("full_match"),
    Plan("cardinality_match", tolerance=0.3),
)
GENETIC = Plan("genetic_match", population=4, generations=1)
COARSENED, CLASSES = Plan("coarsened_match", bins="quantiles_2"), Plan("subclassification", classes=3)
ROBUST, REGRESSION = Plan("doubly_robust"), Plan("regression_adjustment")
CUTS = (("a", (-0.5, 0.6)), ("b", (0.1,)))

PLANS: dict[str, Plan] = {
    "nearest": NEAREST,
    "nearest, 2": replace(NEAREST, neighbours=2),
    "nearest ate": replace(NEAREST, estimand="ate"),
    "nearest ate adjusted": replace(NEAREST, estimand="ate", adjust="bias"),
    "nearest atc adjusted": replace(NEAREST, estimand="atc", adjust="bias"),
    "nearest with regression": replace(NEAREST, adjust="regression"),
    "nearest robust": replace(NEAREST, distance="robust_mahalanobis"),
    "nearest scaled": replace(NEAREST, distance="scaled_euclidean"),
    "nearest euclidean": replace(NEAREST, distance="euclidean"),
    "nearest propensity": replace(NEAREST, distance="propensity", caliper=0.5),
    "nearest propensity_score": replace(NEAREST, distance="propensity_score"),
    "nearest calipers": replace(NEAREST, calipers=(("propensity", 0.7), ("a", 1.5))),
    "nearest exact": replace(NEAREST, exact=("region",)),
    "nearest trimmed": replace(NEAREST, trimming="optimal"),
    "pairs": PAIRS,
    "pairs largest": replace(PAIRS, order="largest"),
    "pairs exact": replace(PAIRS, exact=("region",), caliper=1.5),
    "optimal": OPTIMAL,
    "optimal exact": replace(OPTIMAL, exact=("region",), caliper=1.5, short="drop"),
    "optimal adjusted": replace(OPTIMAL, adjust="bias"),
    "full": FULL,
    "full ate": replace(FULL, estimand="ate", max_controls=6),
    "full exact": replace(FULL, exact=("region",), caliper=1.5),
    "full with regression": replace(FULL, adjust="regression"),
    "genetic": GENETIC,
    "genetic without replacement": replace(GENETIC, replacement=False, exact=("region",)),
    "cardinality": CARDINALITY,
    "cardinality fine": replace(CARDINALITY, fine=("region",)),
    "coarsened": COARSENED,
    "coarsened ate exact": replace(COARSENED, estimand="ate", exact=("region",)),
    "coarsened cut": replace(COARSENED, cut_points=CUTS),
    "subclassification": CLASSES,
    "subclassification ate exact": replace(CLASSES, estimand="ate", exact=("region",)),
    "inverse probability": WEIGHTING,
    "inverse probability ate": replace(WEIGHTING, estimand="ate"),
    "inverse probability trimmed": replace(WEIGHTING, estimand="ate", trimming="tenth"),
    "inverse probability with regression": replace(WEIGHTING, adjust="regression"),
    "overlap": replace(WEIGHTING, weighting="overlap", estimand="ato"),
    "entropy": replace(WEIGHTING, weighting="entropy"),
    "entropy ate": replace(WEIGHTING, weighting="entropy", estimand="ate"),
    "entropy variances": replace(WEIGHTING, weighting="entropy", moments=2),
    "covariate balancing": replace(WEIGHTING, weighting="covariate_balancing"),
    "covariate balancing ate": replace(WEIGHTING, weighting="covariate_balancing", estimand="ate"),
    "covariate balancing overidentified": replace(WEIGHTING, weighting="covariate_balancing_overidentified"),
    "doubly robust": ROBUST,
    "doubly robust ate": replace(ROBUST, estimand="ate"),
    "regression": REGRESSION,
    "regression ate": replace(REGRESSION, estimand="ate"),
    "regression squares": replace(REGRESSION, moments=2),
}
# The solver says which of several largest samples it takes; sizes are what a cardinality match owes.
SAMPLE_IS_FREE = {name for name, plan in PLANS.items() if plan.method == "cardinality_match"}
# Distances in covariates' own units, one by one: other directions are other distances, bins and powers.
ONE_BY_ONE = {
    *(name for name, plan in PLANS.items() if plan.method in ("genetic_match", "coarsened_match")),
    *(name for name, plan in PLANS.items() if plan.caliper or plan.calipers or plan.moments > 1),
    *SAMPLE_IS_FREE,
    "nearest robust",
    "nearest scaled",
    "nearest euclidean",
}
# Samples are random throughout: an example found is as small as it gets, and shrinking its seed helps nobody.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
FEW = settings(max_examples=6, deadline=None, phases=PHASES)
MORE = settings(max_examples=25, deadline=None, phases=PHASES)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def samples(draw, tied: bool = False):
    """Return outcomes and arms that overlap: 48 to 72 rows, a third of them treated, weights of several sizes."""
    rng = np.random.default_rng(draw(SEEDS))
    n = draw(st.integers(48, 72))
    x = rng.normal(size=(n, 2))
    if tied:
        x = np.round(x)
    treated = rng.permutation(np.arange(n) < n // 3)
    x[treated] += np.array([0.5, -0.3]) if not tied else np.array([1.0, 0.0])
    y = x @ np.array([1.0, -1.0]) + treated * (1 + x[:, 0]) + rng.normal(size=n)
    weights = rng.choice([0.5, 1.0, 2.5], size=n) if draw(st.booleans()) else np.ones(n)
    return y, Arms(x, ("a", "b"), treated, weights, {"region": rng.integers(3, size=n)})


def answer(y, arms, plan):
    """Return estimate, influence and weights; the refusal in words where there is one."""
    try:
        compared = compare(arms, plan)
        effect = effect_of(y, arms, plan, compared)
    except ValueError as refused:
        return str(refused)
    return effect.estimate, effect.influence, compared.weights


def agree(found, base, *, sign=1.0, at=slice(None), factor=1.0, only_estimate=False):
    """Hold one answer against another; a refusal answers a refusal."""
    if isinstance(base, str) or isinstance(found, str):
        assert isinstance(base, str) and isinstance(found, str), (base, found)
        return
    assert found[0] == pytest.approx(sign * base[0], rel=1e-6, abs=1e-6)
    if not only_estimate:
        assert found[1] == pytest.approx(sign * base[1][at], rel=1e-5, abs=1e-6)
        assert found[2] == pytest.approx(factor * base[2][at], rel=1e-5, abs=1e-6)


def same_size(found, base):
    """Hold the sizes of two cardinality matches against each other."""
    if isinstance(base, str) or isinstance(found, str):
        assert isinstance(base, str) and isinstance(found, str), (base, found)
    else:
        assert (found[2] > 0).sum() == (base[2] > 0).sum()


def test_samples_are_seldom_refused():
    # Otherwise the properties would hold for want of anything to hold them against.
    rng = np.random.default_rng(0)
    refused = dict.fromkeys(PLANS, 0)
    for _ in range(4):
        n = 60
        x = rng.normal(size=(n, 2))
        treated = np.arange(n) < n // 3
        x[treated] += [0.5, -0.3]
        arms = Arms(x, ("a", "b"), treated, np.ones(n), {"region": rng.integers(3, size=n)})
        for name, plan in PLANS.items():
            refused[name] += isinstance(answer(x[:, 0], arms, plan), str)
    assert max(refused.values()) <= 1, {name: times for name, times in refused.items() if times}


def test_every_method_is_among_the_plans():
    everything = MATCHES | SETS | {"weighting", "doubly_robust", "regression_adjustment"}
    assert {plan.method for plan in PLANS.values()} == everything


# A genetic match without replacement goes through rows in the order of the data, as GenMatch does.
@pytest.mark.parametrize("name", [name for name in PLANS if name != "genetic without replacement"])
@given(samples(), SEEDS)
@FEW
def test_row_order_changes_nothing(name, sample, seed):
    y, arms = sample
    at = np.random.default_rng(seed).permutation(len(y))
    base, found = answer(y, arms, PLANS[name]), answer(y[at], arms.rows(at), PLANS[name])
    if name in SAMPLE_IS_FREE:
        same_size(found, base)
    else:
        agree(found, base, at=at)


WITH_TIES = [
    name
    for name, plan in PLANS.items()
    if plan.method
    in ("matched_difference", "coarsened_match", "weighting", "doubly_robust", "regression_adjustment")
    and plan.replacement
]


# Without replacement, in sets of least distance, and where a class that lacks an arm takes its nearest row, rows alike
# in every covariate stand for one another.
@pytest.mark.parametrize("name", WITH_TIES)
@given(samples(tied=True), SEEDS)
@FEW
def test_row_order_changes_nothing_where_rows_tie(name, sample, seed):
    y, arms = sample
    at = np.random.default_rng(seed).permutation(len(y))
    agree(answer(y[at], arms.rows(at), PLANS[name]), answer(y, arms, PLANS[name]), at=at)


@pytest.mark.parametrize(
    "name", [name for name in PLANS if name not in {"nearest euclidean", "coarsened cut"}]
)
@given(samples(), st.floats(0.01, 1000), st.floats(0.01, 1000), st.floats(-50, 50))
@FEW
def test_units_and_origins_of_covariates_change_nothing(name, sample, one, other, shift):
    y, arms = sample
    changed = replace(arms, x=arms.x * [one, other] + [shift * one, -shift])
    base, found = answer(y, arms, PLANS[name]), answer(y, changed, PLANS[name])
    if name in SAMPLE_IS_FREE:
        same_size(found, base)
    else:
        agree(found, base)


@pytest.mark.parametrize("name", [name for name in PLANS if name not in ONE_BY_ONE])
@given(samples(), SEEDS, st.floats(0.2, 5))
@FEW
def test_affine_change_of_covariates_changes_nothing(name, sample, seed, stretch):
    y, arms = sample
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(2, 2)))[0]
    changed = replace(arms, x=arms.x @ turn @ np.diag([stretch, -1.0]) + [3.0, -7.0])
    agree(answer(y, changed, PLANS[name]), answer(y, arms, PLANS[name]))


@pytest.mark.parametrize("name", [name for name, plan in PLANS.items() if plan.exact or plan.fine])
@given(samples(), st.permutations([11, 4, 7]))
@FEW
def test_names_of_groups_change_nothing(name, sample, codes):
    y, arms = sample
    renamed = replace(arms, groups={"region": np.array(codes)[arms.groups["region"]]})
    base, found = answer(y, arms, PLANS[name]), answer(y, renamed, PLANS[name])
    if name in SAMPLE_IS_FREE:
        same_size(found, base)
    else:
        agree(found, base)


# Quantiles lie elsewhere among twice as many values, and standard deviations with N - 1 make calipers narrower.
DOUBLED = [
    name
    for name, plan in PLANS.items()
    if name == "coarsened cut"
    or (
        (plan.method == "matched_difference" and plan.replacement and plan.neighbours == 1)
        and not plan.caliper
        and not plan.calipers
    )
    or plan.method in ("weighting", "doubly_robust", "regression_adjustment")
]


@pytest.mark.parametrize("name", DOUBLED)
@given(samples())
@FEW
def test_every_row_twice_changes_no_estimate(name, sample):
    y, arms = sample
    twice = np.repeat(np.arange(len(y)), 2)
    base, found = answer(y, arms, PLANS[name]), answer(y[twice], arms.rows(twice), PLANS[name])
    agree(found, base, only_estimate=True)
    if not isinstance(base, str) and name != "coarsened cut":
        # A row that ties with its copy shares its place with it.
        halves = np.bincount(twice, found[2])
        total = base[2].sum() / halves.sum()
        assert halves * total == pytest.approx(base[2], rel=1e-5, abs=1e-6)


# Mahalanobis and scaled distances are those of rows, whatever they weigh, and so are cut-offs of trimming; a cell's
# comparison rows count alike. Weights enter the variance of overidentified conditions squared, as sampling weights do.
WEIGHED = [
    name
    for name, plan in PLANS.items()
    if (plan.method in ("weighting", "doubly_robust", "regression_adjustment") or name == "nearest euclidean")
    and plan.moments == 1
    and not plan.trimming
    and plan.weighting != "covariate_balancing_overidentified"
]


@pytest.mark.parametrize("name", WEIGHED)
@given(samples(), SEEDS)
@FEW
def test_a_weight_of_two_is_a_row_twice(name, sample, seed):
    y, arms = sample
    again = np.random.default_rng(seed).random(len(y)) < 0.4
    heavy = replace(arms, weights=arms.weights * np.where(again, 2.0, 1.0))
    rows = np.repeat(np.arange(len(y)), np.where(again, 2, 1))
    found = answer(y[rows], arms.rows(rows), PLANS[name])
    agree(found, answer(y, heavy, PLANS[name]), only_estimate=True)


@pytest.mark.parametrize("name", PLANS)
@given(samples(), st.floats(-1e3, 1e3), st.floats(0.1, 50), st.floats(0.01, 100))
@FEW
def test_outcomes_shift_and_scale_and_weights_have_no_unit(name, sample, shift, scale, unit):
    y, arms = sample
    plan = PLANS[name]
    base = answer(y, arms, plan)
    found = answer(y * scale + shift, replace(arms, weights=arms.weights * unit), plan)
    if isinstance(base, str):
        assert isinstance(found, str)
        return
    assert found[0] == pytest.approx(scale * base[0], rel=1e-6, abs=1e-6 * scale)
    assert found[1] == pytest.approx(scale * base[1], rel=1e-5, abs=1e-6 * scale)
    # Overlap and balancing weights are on a scale of their own.
    assert found[2] / found[2].sum() == pytest.approx(base[2] / base[2].sum(), rel=1e-5, abs=1e-9)


EXCHANGED = {"att": "atc", "atc": "att", "ate": "ate", "ato": "ato"}
# A cardinality match has one direction; rows on the border of two classes go to the one with higher scores.
ONE_WAY = ("cardinality_match", "subclassification")


@pytest.mark.parametrize("name", [name for name, plan in PLANS.items() if plan.method not in ONE_WAY])
@given(samples())
@FEW
def test_arms_exchanged_give_the_other_average_with_the_sign_turned(name, sample):
    y, arms = sample
    plan = PLANS[name]
    # Rows that are scarce in one direction are not in the other; whoever is left over is dropped.
    plan = replace(plan, short="drop", max_controls=0)
    # Both sides name a score's largest first: the other direction's is its smallest.
    mirrored = replace(plan, estimand=EXCHANGED[plan.estimand])
    if plan.order == "largest":
        mirrored = replace(mirrored, order="smallest")
    agree(answer(y, replace(arms, treated=~arms.treated), mirrored), answer(y, arms, plan), sign=-1.0)


@pytest.mark.parametrize("name", PLANS)
@given(samples(), st.floats(-5, 5))
@FEW
def test_an_effect_that_is_all_there_is_is_found(name, sample, effect):
    _, arms = sample
    found = answer(effect * arms.treated, arms, PLANS[name])
    if not isinstance(found, str):
        assert found[0] == pytest.approx(effect, abs=1e-8)
        assert found[1] == pytest.approx(0.0, abs=1e-7)


ADJUSTED = [
    name
    for name, plan in PLANS.items()
    if plan.adjust or plan.method in ("doubly_robust", "regression_adjustment")
    or plan.weighting in ("overlap", "entropy", "covariate_balancing")
]  # fmt: skip


@pytest.mark.parametrize("name", ADJUSTED)
@given(samples(), st.floats(-5, 5), st.floats(-5, 5))
@FEW
def test_outcomes_that_are_linear_leave_adjusted_estimates_nothing_to_miss(name, sample, one, other):
    _, arms = sample
    y = 4 + arms.x @ [one, other] + 2.0 * arms.treated
    found = answer(y, arms, PLANS[name])
    if not isinstance(found, str):
        assert found[0] == pytest.approx(2.0, abs=1e-6)


CLOSED = ("abadie_imbens", "abadie_imbens_homoskedastic")


def closed_form(y, arms, plan, kind):
    return independent_variance(y, arms, plan, compare(arms, plan), kind)


@pytest.mark.parametrize("kind", [*CLOSED, "estimated_score"])
@pytest.mark.parametrize("adjust", ["", "bias"])
@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@given(samples(), SEEDS, st.floats(-1e3, 1e3), st.floats(0.1, 50))
@FEW
def test_closed_form_errors_follow_outcomes_and_not_rows(estimand, adjust, kind, sample, seed, shift, scale):
    y, arms = sample
    distance = "propensity" if kind == "estimated_score" else "mahalanobis"
    plan = replace(NEAREST, distance=distance, estimand=estimand, adjust=adjust)
    if kind == "estimated_score" and estimand == "atc":
        with pytest.raises(ValueError, match="for att or ate"):
            closed_form(y, arms, plan, kind)
        return
    try:
        base = closed_form(y, arms, plan, kind)
    except ValueError as refused:
        assert "adjusted variance is" in str(refused)
        return
    assert base > 0
    at = np.random.default_rng(seed).permutation(len(y))
    assert closed_form(y[at], arms.rows(at), plan, kind) == pytest.approx(base, rel=1e-6)
    found = closed_form(y * scale + shift, arms, plan, kind)
    assert found == pytest.approx(scale**2 * base, rel=1e-5)
    if adjust and kind == "abadie_imbens_homoskedastic":
        # What the adjustment takes out of the estimate it takes out of its error.
        steeper = y + arms.x @ [2.0, -3.0]
        assert closed_form(steeper, arms, plan, kind) == pytest.approx(base, rel=1e-6)


MATCHED = [name for name, plan in PLANS.items() if plan.method in MATCHES | SETS]


def matches_of(compared):
    return [m for m in (compared.of_treated, compared.of_comparison) if m is not None]


@pytest.mark.parametrize("name", MATCHED)
@given(samples())
@FEW
def test_arms_of_a_matched_sample_weigh_alike_and_stand_for_those_averaged_over(name, sample):
    _, arms = sample
    plan = PLANS[name]
    try:
        compared = compare(arms, plan)
    except ValueError:
        return
    w, d = compared.weights, arms.treated
    assert w[d].sum() == pytest.approx(w[~d].sum())
    averaged = {"att": d, "atc": ~d, "ate": np.ones(len(d), dtype=bool)}[plan.estimand]
    within = averaged & compared.kept & ~compared.pruned
    assert w[d].sum() == pytest.approx(arms.weights[within].sum())
    assert (w[compared.pruned] == 0).all() or plan.estimand == "ate"
    assert (w[~compared.kept] == 0).all()
    for m in matches_of(compared):
        assert np.bincount(m.treated, m.share)[np.unique(m.treated)] == pytest.approx(1.0)
        assert (d[m.treated] != d[m.comparison]).all()
        assert len(np.unique(d[m.treated])) == 1


@pytest.mark.parametrize("method", [NEAREST, PAIRS, OPTIMAL, FULL, GENETIC], ids=lambda plan: plan.method)
@pytest.mark.parametrize("estimand", ["att", "atc"])
@given(samples(), st.floats(0.2, 2), st.floats(0.2, 2))
@FEW
def test_calipers_and_exact_groups_are_kept_and_nobody_is_dropped_without_need(
    method, estimand, sample, width, own
):
    _, arms = sample
    plan = replace(
        method, estimand=estimand, caliper=width, calipers=(("b", own),), exact=("region",), short="drop"
    )
    spread = standard_deviations(arms.x)
    gap = np.abs(arms.x[:, None] - arms.x[None, :])
    allowed = (gap <= spread * [width, min(width, own)] + 1e-9).all(axis=2)
    region = arms.groups["region"]
    allowed &= region[:, None] == region[None, :]
    allowed &= arms.treated[:, None] != arms.treated[None, :]
    chooses = arms.treated if estimand == "att" else ~arms.treated
    try:
        compared = compare(arms, plan)
    except ValueError:
        if plan.replacement and method is not OPTIMAL:
            assert not allowed.any()
        return
    (m,) = matches_of(compared)
    assert allowed[m.treated, m.comparison].all()
    free = chooses & allowed.any(axis=1)
    if plan.replacement and method is not OPTIMAL:
        # Those without an allowed partner, and nobody else.
        assert np.array_equal(np.flatnonzero(compared.pruned), np.flatnonzero(chooses & ~free))
    else:
        # Nobody who was left over could still be matched to one who was left over.
        over = compared.weights == 0
        assert not allowed[np.ix_(over & chooses, over & ~chooses)].any()


WITHOUT_REPLACEMENT = [
    *(
        replace(plan, estimand=estimand, short="drop")
        for plan in (
            PAIRS,
            replace(PAIRS, neighbours=2),
            *(replace(PAIRS, order=order) for order in ("closest", "smallest", "random", "data")),
            OPTIMAL,
            replace(GENETIC, replacement=False),
        )
        for estimand in ("att", "atc")
    ),
    replace(OPTIMAL, neighbours=2),
    CARDINALITY,
    replace(CARDINALITY, neighbours=2),
]


@pytest.mark.parametrize(
    "plan",
    WITHOUT_REPLACEMENT,
    ids=lambda plan: f"{plan.method} {plan.order} {plan.neighbours} {plan.estimand}",
)
@given(samples())
@FEW
def test_nobody_is_used_twice_without_replacement(plan, sample):
    _, arms = sample
    try:
        compared = compare(arms, plan)
    except ValueError:
        return
    (m,) = matches_of(compared)
    assert len(np.unique(m.comparison)) == len(m.comparison)
    assert (np.bincount(m.treated)[np.unique(m.treated)] == plan.neighbours).all()
    # Sets are the matches, and share nobody.
    assert compared.sets is not None
    assert np.array_equal(compared.sets[m.treated], compared.sets[m.comparison])
    assert (compared.sets >= 0).sum() == len(np.unique(m.treated)) + len(m.comparison)


@pytest.mark.parametrize("name", ["coarsened", "coarsened ate exact", "coarsened cut"])
@given(samples(tied=True))
@MORE
def test_cells_hold_all_rows_alike_and_both_arms(name, sample):
    _, arms = sample
    try:
        sets = compare(arms, PLANS[name]).sets
    except ValueError:
        return
    assert sets is not None
    for label in np.unique(sets[sets >= 0]):
        assert len(np.unique(arms.treated[sets == label])) == 2
    keys = np.column_stack([arms.x, arms.groups["region"]]) if PLANS[name].exact else arms.x
    for key in np.unique(keys, axis=0):
        assert len(np.unique(sets[(keys == key).all(axis=1)])) == 1

"""Randomisation inference at a declared level of assignment: arrays in, arrays out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.inference import outermost, refuse_level, share_as_extreme
from analysis.estimation.matching.bootstrap import without_numbers

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Level = Literal["pairs", "states", "counties_within_states"]
# From an outcome (n,) to an estimate and its standard error, the match being made.
Evaluate = Callable[[Array], tuple[float, float]]

# Reassignments handed to the statistic at once.
BLOCK = 256

WORDS: dict[str, str] = {
    "pairs": "which county of a matched set was treated is as good as random, independently of other sets; "
    "valid if counties were assigned independently; it carries no verdict",
    "states": "whole states were assigned, as many as were treated",
    "counties_within_states": "counties were assigned within their state, as many in each as were treated",
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A mechanism of assignment: in every stratum as many units as were treated, all choices equally likely.

    Args:
        level: its name.
        unit: (n,) code of each row's unit of assignment, 0 to U - 1; -1 for rows outside, which stay as they
            are.
        stratum: (U,) code of each unit's stratum.
        treated: (U,) units treated in fact.
        count: number of possible assignments.
        mechanism: in words.
        idle: strata whose units were all treated or all not: they could not have fallen otherwise, and
            contribute nothing; named by their labels.
    """

    level: Level
    unit: Index
    stratum: Index
    treated: NDArray[np.bool_]
    count: int
    mechanism: str
    idle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RandomisationTest:
    """A test of no effect on any county.

    Args:
        statistic: observed.
        p_value: two-sided; exact, or (1 + draws as extreme) / (1 + draws).
        exact: whether every assignment was looked at.
        assignments: assignments possible.
        used: assignments looked at or drawn.
        drawn: (used,) the statistic under each.
        mechanism: the assignment the test rests on, in words.
    """

    statistic: float
    p_value: float
    exact: bool
    assignments: int
    used: int
    drawn: Array
    mechanism: str


def assignment(
    level: Level,
    treated: NDArray[np.bool_],
    groups: NDArray[np.generic],
    blocks: NDArray[np.generic] | None = None,
) -> Assignment:
    """Declare how treatment could have fallen otherwise.

    Args:
        level: "pairs": within matched sets; "states": whole groups; "counties_within_states": within groups.
        treated: (n,) bool.
        groups: (n,) matched sets for "pairs" (integer codes, -1 outside), states otherwise.
        blocks: (n,) for "states", the larger areas within which states are exchanged, divisions for instance;
            for "counties_within_states", classes within which a state's counties are exchanged, urban classes
            for instance; None for all alike.

    Raises:
        ValueError: a state with both kinds of county under "states"; blocks that cut a state; blocks of
            pairs; or nothing that could have fallen otherwise.

    Example:
        >>> d = np.array([True, False, True, False])
        >>> assignment("pairs", d, np.array([0, 0, 1, 1])).count
        4
        >>> states = np.array(["IA", "IA", "OR", "OR", "OR"])
        >>> plan = assignment("counties_within_states", np.array([1, 0, 1, 1, 1], dtype=bool), states)
        >>> plan.count, plan.idle
        (2, ('OR',))
    """
    n = len(treated)
    if level not in WORDS:
        raise ValueError(f"level = {level!r}; wanted one of {', '.join(WORDS)}")
    words = WORDS[level]
    if level == "states":
        names, unit = np.unique(groups, return_inverse=True)
        u = int(unit.max()) + 1
        share = np.bincount(unit, treated, minlength=u) / np.bincount(unit, minlength=u)
        mixed = int(((share > 0) & (share < 1)).sum())
        if mixed:
            raise ValueError(
                f"{mixed} states hold treated and untreated counties; whole states were not assigned: wanted "
                'level = "counties_within_states"'
            )
        stratum, names = np.zeros(u, dtype=np.intp), np.array(["all states"])
        if blocks is not None:
            words += ", within blocks of states"
            names, codes = np.unique(blocks, return_inverse=True)
            stratum[unit] = codes
            if not np.array_equal(stratum[unit], codes):
                raise ValueError("a state lies in several blocks; wanted blocks of whole states")
        of_unit = share == 1
    else:
        if level == "pairs" and blocks is not None:
            raise ValueError("blocks of pairs; a pair is a block already: wanted none")
        inside = np.asarray(groups != -1) if level == "pairs" else np.ones(n, dtype=bool)
        unit = np.full(n, -1, dtype=np.intp)
        unit[inside] = np.arange(int(inside.sum()))
        names, stratum = np.unique(groups[inside], return_inverse=True)
        if blocks is not None:
            words += ", within classes of county"
            classes, code = np.unique(blocks, return_inverse=True)
            cells, stratum = np.unique(stratum * len(classes) + code, return_inverse=True)
            names = np.array([f"{names[c // len(classes)]}, {classes[c % len(classes)]}" for c in cells])
        of_unit = treated[inside]
    stratum = stratum.astype(np.intp)
    sizes = np.bincount(stratum)
    taken = np.bincount(stratum, of_unit, minlength=len(sizes)).astype(int)
    count = prod(comb(int(size), int(m)) for size, m in zip(sizes, taken, strict=True))
    if count < 2:
        raise ValueError("treatment could not have fallen otherwise: no stratum holds both kinds of unit")
    idle = tuple(str(name) for name in names[(taken == 0) | (taken == sizes)])
    return Assignment(
        level, unit.astype(np.intp), stratum, np.asarray(of_unit, dtype=bool), count, words, idle
    )


def reassign(plan: Assignment, treated: NDArray[np.bool_], units: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return rows' treatment, (draws, n), from that of units, (draws, U)."""
    out = np.broadcast_to(treated, (len(units), len(treated))).copy()
    inside = plan.unit >= 0
    out[:, inside] = units[:, plan.unit[inside]]
    return out


def all_assignments(plan: Assignment) -> NDArray[np.bool_]:
    """Return every possible assignment of units, (count, U).

    Example:
        >>> all_assignments(assignment("pairs", np.array([True, False]), np.array([0, 0]))).tolist()
        [[True, False], [False, True]]
    """
    choices = []
    for stratum in range(int(plan.stratum.max()) + 1):
        members = np.flatnonzero(plan.stratum == stratum)
        choices.append(list(combinations(members.tolist(), int(plan.treated[members].sum()))))
    out = np.zeros((plan.count, len(plan.stratum)), dtype=bool)
    for row, chosen in enumerate(product(*choices)):
        for part in chosen:
            out[row, list(part)] = True
    return out


def draw_assignments(plan: Assignment, draws: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return assignments of units drawn at random, (draws, U)."""
    u = len(plan.stratum)
    order = np.argsort(plan.stratum, kind="stable")
    sizes = np.bincount(plan.stratum)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    wanted = np.repeat(np.bincount(plan.stratum, plan.treated, minlength=len(sizes)).astype(int), sizes)
    # Sorting on stratum plus noise shuffles units within strata; the first m places of each are treated.
    shuffled = np.argsort(plan.stratum[order] + rng.random((draws, u)), axis=1)
    out = np.zeros((draws, u), dtype=bool)
    np.put_along_axis(out, order[shuffled], (np.arange(u) - first < wanted)[None, :], axis=1)
    return out


def randomisation_test(
    statistic: Callable[[NDArray[np.bool_]], Array],
    treated: NDArray[np.bool_],
    plan: Assignment,
    *,
    draws: int,
    seed: int,
    exact_up_to: int = 20_000,
) -> RandomisationTest:
    """Test that treatment changed no outcome, by reassigning it as the declared mechanism could have.

    Args:
        statistic: from treatment (draws, n) to statistics (draws,); ``studentised_difference`` makes one. A
            missing value counts as at least as extreme.
        treated: (n,) bool, in fact.
        plan: from ``assignment``.
        draws: random assignments if there are too many to look at all.
        seed: of the generator.
        exact_up_to: assignments up to which every one is looked at.

    Raises:
        ValueError: no draws where they are needed, or an observed statistic that is missing.

    Assumption: the mechanism declared; nothing about the outcomes. With a studentised statistic the test also
        keeps its size, in large samples, for no effect on average.

    Source: Fisher (1935); Wu and Ding (2021), JASA 116(536), for studentising; Phipson and Smyth (2010) for
        the p-value of draws.

    Example:
        >>> y, d = np.array([3.0, 1.0, 5.0, 2.0]), np.array([True, False, True, False])
        >>> test = randomisation_test(
        ...     difference_in_means(y), d, assignment("pairs", d, np.array([0, 0, 1, 1])), draws=0, seed=1
        ... )
        >>> test.exact, test.p_value
        (True, 0.5)
    """
    observed = float(statistic(treated[None, :])[0])
    if not np.isfinite(observed):
        raise ValueError("the observed statistic is missing: the arms do not vary or an error is zero")
    exact = plan.count <= exact_up_to
    if not exact and draws < 1:
        raise ValueError(f"{plan.count} assignments are too many to look at all; wanted draws")
    units = all_assignments(plan) if exact else draw_assignments(plan, draws, np.random.default_rng(seed))
    drawn = np.concatenate(
        [
            statistic(reassign(plan, treated, units[start : start + BLOCK]))
            for start in range(0, len(units), BLOCK)
        ]
    )
    # The observed assignment, met again, differs by rounding at most.
    extreme = int(np.count_nonzero(~(np.abs(drawn) < abs(observed) * (1 - 1e-9))))
    p = extreme / len(drawn) if exact else (1 + extreme) / (1 + len(drawn))
    return RandomisationTest(observed, p, exact, plan.count, len(drawn), drawn, plan.mechanism)


def difference_in_means(y: Array, weights: Array | None = None) -> Callable[[NDArray[np.bool_]], Array]:
    """Return the statistic: weighted mean outcome of treated less that of other rows.

    Example:
        >>> difference_in_means(np.array([3.0, 1.0]))(np.array([[True, False]]))
        array([2.])
    """
    w = np.ones(len(y)) if weights is None else weights

    def statistic(d: NDArray[np.bool_]) -> Array:
        of_treated = d @ w
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(d @ (w * y) / of_treated - ~d @ (w * y) / (w.sum() - of_treated), dtype=float)

    return statistic


def studentised_difference(
    y: Array,
    clusters: NDArray[np.generic],
    others: Array | None = None,
    weights: Array | None = None,
) -> Callable[[NDArray[np.bool_]], Array]:
    """Return the statistic: the coefficient of treatment over its cluster-robust error.

    Args:
        y: (n,) outcome.
        clusters: (n,) labels: the units of assignment or coarser.
        others: (n, q) other regressors, covariates or stratum effects; a constant is added. Dependent columns
            are allowed.
        weights: (n,) that do not depend on who was treated; None for ones.

    Example:
        >>> y, pair = np.array([3.0, 1.0, 5.0, 2.0]), np.array([0, 0, 1, 1])
        >>> studentised_difference(y, pair)(np.array([[True, False, True, False]])).round(3)
        array([7.071])
    """
    n = len(y)
    root = np.sqrt(np.ones(n) if weights is None else weights)
    z = np.ones((n, 1)) if others is None else np.column_stack([np.ones(n), others])
    u, s, _ = np.linalg.svd(z * root[:, None], full_matrices=False)
    basis = u[:, s > 1e-10 * s.max()]
    swept = y * root - basis @ (basis.T @ (y * root))
    _, at = np.unique(clusters, return_inverse=True)
    order = np.argsort(at, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(at))[:-1]])

    def statistic(d: NDArray[np.bool_]) -> Array:
        x = d * root
        x = x - (x @ basis) @ basis.T
        own = (x**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = np.where(own > 1e-10 * n, x @ swept / own, np.nan)
            scores = x * (swept - beta[:, None] * x)
            sums = np.add.reduceat(scores[:, order], start, axis=1)
            return np.asarray(beta * own / np.sqrt((sums**2).sum(axis=1)), dtype=float)

    return statistic


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One assignment, matched and estimated.

    An estimate linear in the outcome, with a variance quadratic in it, is known at every outcome y - tau d
    from five numbers; that is how an interval needs no further match.

    Args:
        of_outcome: the estimate at the outcome itself.
        of_treatment: the estimate with the treatment observed in fact, d, in place of the outcome.
        variance: (3,) a, b, c: the variance at y - tau d is a - 2 b tau + c tau^2.
        evaluate: the estimate as a function of the outcome; None where the five numbers stand for it.
        reason: why there is no estimate; empty where there is.
    """

    of_outcome: float
    of_treatment: float
    variance: tuple[float, float, float]
    evaluate: Evaluate | None
    reason: str


@dataclass(frozen=True, slots=True)
class RandomisationInference:
    """A re-randomised, studentised test of no effect, and the constant effects it does not reject.

    Args:
        estimate: observed.
        std_error: observed; it studentises, and no normal quantile is put on it.
        p_value: two-sided, of no effect; exact, or (1 + draws as extreme) / (1 + draws).
        conf_low: smallest constant effect not rejected at 1 - level; infinite where the test never rejects
            on that side, missing where no interval was asked for.
        conf_high: largest.
        level: of the interval.
        exact: whether every assignment was looked at.
        assignments: assignments possible.
        used: assignments looked at or drawn.
        failed: of these, those without an estimate; they count as extreme as the one observed.
        reasons: why, with their number, the most frequent first; numbers in messages read as #.
        drawn: (used,) estimate over standard error under each, for no effect; missing where it failed.
        idle: strata that could not have fallen otherwise and contribute nothing, by name.
        mechanism: the assignment the test rests on, in words.
    """

    estimate: float
    std_error: float
    p_value: float
    conf_low: float
    conf_high: float
    level: float
    exact: bool
    assignments: int
    used: int
    failed: int
    reasons: tuple[tuple[str, int], ...]
    drawn: Array
    idle: tuple[str, ...]
    mechanism: str


def evaluate_assignments(
    match: Callable[[NDArray[np.bool_]], Evaluate],
    y: Array,
    treated: NDArray[np.bool_],
    assignments: NDArray[np.bool_],
    *,
    linear: bool = True,
    interval: bool = True,
    failures: tuple[type[Exception], ...] = (ValueError,),
) -> Iterator[Evaluated]:
    """Match and estimate under one assignment after the other; stop when you like and keep what came.

    Args:
        match: from treatment (n,) to a function of the outcome: it matches anew, and what it returns
            estimates on that match.
        y: (n,) outcome.
        treated: (n,) bool, in fact.
        assignments: (draws, n) bool, from ``reassign``.
        linear: the estimate is linear in the outcome given the match and its variance quadratic, which is
            checked at every assignment.
        interval: whether effects other than none will be tested.
        failures: exceptions that stand for an assignment without an estimate; any other is raised.

    Raises:
        ValueError: under ``linear``, an estimate or variance that is not of that form.

    Example:
        >>> y, d = np.array([3.0, 1.0, 5.0, 2.0]), np.array([True, False, True, False])
        >>> def match(treated):
        ...     return lambda outcome: (outcome[treated].mean() - outcome[~treated].mean(), outcome.std())
        >>> [float(e.of_outcome) for e in evaluate_assignments(match, y, d, d[None, :])]
        [2.5]
    """
    d = treated.astype(float)
    # A third outcome gives the covariance of the two, and a fourth checks the form.
    scale = float(np.std(y)) or 1.0
    for assigned in assignments:
        try:
            evaluate = match(assigned)
            estimate, error = evaluate(y)
            if not interval or not linear:
                yield Evaluated(
                    estimate, np.nan, (error**2, np.nan, np.nan), evaluate if interval else None, ""
                )
                continue
            of_d, error_d = evaluate(d)
            _, error_less = evaluate(y - scale * d)
            check, error_check = evaluate(y + 2 * scale * d)
        except failures as failure:
            yield Evaluated(np.nan, np.nan, (np.nan,) * 3, None, str(failure))
            continue
        a, c = error**2, error_d**2
        b = (a + c * scale**2 - error_less**2) / (2 * scale)
        wanted = (estimate + 2 * scale * of_d, a + 4 * scale * b + 4 * scale**2 * c)
        size = (abs(estimate) + 2 * scale * abs(of_d) + error, a + 4 * scale**2 * c)
        if abs(check - wanted[0]) > 1e-7 * size[0] or abs(error_check**2 - wanted[1]) > 1e-7 * size[1]:
            raise ValueError(
                f"at the outcome plus twice its deviation times treatment the estimate is {check:.10g} "
                f"(error {error_check:.10g}); a linear one would be {wanted[0]:.10g}: wanted linear = False"
            )
        yield Evaluated(estimate, of_d, (a, b, c), None, "")


def randomisation_inference(
    match: Callable[[NDArray[np.bool_]], Evaluate],
    y: Array,
    treated: NDArray[np.bool_],
    plan: Assignment,
    *,
    draws: int,
    seed: int | np.random.Generator,
    level: float = 0.95,
    interval: bool = True,
    linear: bool = True,
    exact_up_to: int = 2_000,
    allow_failed: float = 0.05,
    failures: tuple[type[Exception], ...] = (ValueError,),
    progress: Callable[[int, int], None] | None = None,
) -> RandomisationInference:
    """Test and bound a constant effect by matching and estimating anew under other assignments.

    The statistic is the estimate over its standard error. Under an effect tau on every treated row the
    outcome without treatment is y - tau d, whoever was treated; the test of tau compares the statistic on
    that outcome, under the assignment observed, with that under the others. The interval holds the effects
    not rejected: its ends are the outermost of them.

    Args:
        match: from treatment (n,) to a function of the outcome that returns estimate and standard error: it
            matches anew (scores, distances, pairs), what it returns estimates on that match. Where only a
            test is wanted, ``lambda d: lambda y: statistic(d)`` serves, with ``interval = False``.
        y: (n,) outcome.
        treated: (n,) bool, in fact.
        plan: the mechanism, from ``assignment``.
        draws: random assignments if there are too many to look at all.
        seed: of the generator, or the generator.
        level: of the interval.
        interval: whether to invert the test; p-values alone need one estimate an assignment, not four.
        linear: the estimate is linear in the outcome given the match, and its variance quadratic: differences
            of means, matched differences with or without a bias adjustment, weighting, regression, with
            cluster-robust or Abadie-Imbens variances. Checked; False estimates anew at every effect tried.
        exact_up_to: assignments up to which every one is looked at.
        allow_failed: largest share of assignments without an estimate; each counts as extreme.
        failures: exceptions that stand for an assignment without an estimate; any other is raised.
        progress: called with assignments done and all.

    Raises:
        ValueError: no estimate or error for the assignment observed; no draws where they are needed; too many
            assignments without an estimate, with the reasons; an estimate that is not linear as declared.

    Assumption: the mechanism declared; for the interval, one effect for all treated rows. With few
        assignments the smallest p-value is 1 over their number, and below it no effect can be rejected.

    Source: Fisher (1935), The Design of Experiments; Rosenbaum (2002), Observational Studies, chapter 2,
        for the interval; Wu and Ding (2021), JASA 116(536), for studentising; Phipson and Smyth (2010),
        Statistical Applications in Genetics and Molecular Biology 9(1), for the p-value of draws.

    Example:
        >>> y = np.array([5.0, 1.0, 6.0, 2.0, 4.0, 0.0, 7.0, 4.0, 3.0, 1.0])
        >>> d, pair = np.tile([True, False], 5), np.repeat(np.arange(5), 2)
        >>> def match(treated):
        ...     def evaluate(outcome):
        ...         gap = (outcome * np.where(treated, 1, -1)).reshape(5, 2).sum(axis=1)
        ...         return gap.mean(), gap.std(ddof=1) / 5**0.5
        ...     return evaluate
        >>> found = randomisation_inference(
        ...     match, y, d, assignment("pairs", d, pair), draws=0, seed=1, level=0.9
        ... )
        >>> found.p_value, round(found.conf_low, 2), round(found.conf_high, 2)
        (0.0625, 2.0, 4.0)
    """
    refuse_level(level)
    exact = plan.count <= exact_up_to
    if not exact and draws < 1:
        raise ValueError(f"{plan.count} assignments are too many to look at all; wanted draws")
    units = all_assignments(plan) if exact else draw_assignments(plan, draws, np.random.default_rng(seed))
    how = {"linear": linear, "interval": interval}
    observed = next(evaluate_assignments(match, y, treated, treated[None, :], failures=(), **how))
    error = float(np.sqrt(observed.variance[0]))
    if not (np.isfinite(observed.of_outcome) and error > 0):
        raise ValueError(
            f"estimate {observed.of_outcome} with error {error} under the assignment observed; wanted both, "
            "and an error that is not zero"
        )
    found: list[Evaluated] = []
    for unit in units:
        found.extend(
            evaluate_assignments(
                match, y, treated, reassign(plan, treated, unit[None]), failures=failures, **how
            )
        )
        if progress is not None:
            progress(len(found), len(units))
    reasons = Counter(without_numbers(e.reason) for e in found if e.reason)
    failed = sum(reasons.values())
    if failed > allow_failed * len(found):
        why = "; ".join(f"{count} times: {reason}" for reason, count in reasons.most_common(3))
        raise ValueError(
            f"{failed} of {len(found)} assignments gave no estimate ({why}); wanted no more than "
            f"{allow_failed:.0%}"
        )

    def p_value(effect: float) -> float:
        own = _statistic([observed], y, treated, effect)[0]
        drawn = _statistic(found, y, treated, effect)
        return share_as_extreme(drawn, own, exact=exact)

    low = high = float("nan")
    if interval:
        low, high = (outermost(p_value, observed.of_outcome, side * error, 1 - level) for side in (-1.0, 1.0))
    return RandomisationInference(
        estimate=observed.of_outcome,
        std_error=error,
        p_value=p_value(0.0),
        conf_low=low,
        conf_high=high,
        level=level,
        exact=exact,
        assignments=plan.count,
        used=len(found),
        failed=failed,
        reasons=tuple(reasons.most_common()),
        drawn=_statistic(found, y, treated, 0.0),
        idle=plan.idle,
        mechanism=plan.mechanism,
    )


def _statistic(found: list[Evaluated], y: Array, treated: NDArray[np.bool_], effect: float) -> Array:
    """Return estimate over error on the outcome less an effect on the treated, (draws,)."""
    if effect and any(e.evaluate is not None for e in found):
        outcome = y - effect * treated
        pairs = [(np.nan, np.nan) if e.evaluate is None else e.evaluate(outcome) for e in found]
        estimate, error = np.array(pairs, dtype=float).T
        variance = error**2
    else:
        estimate, slope = (
            np.array([getattr(e, name) for e in found]) for name in ("of_outcome", "of_treatment")
        )
        variance, b, c = np.array([e.variance for e in found]).T
        if effect:
            estimate = estimate - effect * slope
            # Rounding may take a variance of zero just below it.
            variance = np.maximum(variance - 2 * b * effect + c * effect**2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(estimate / np.sqrt(variance), dtype=float)

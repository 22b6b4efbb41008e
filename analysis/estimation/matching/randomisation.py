"""Randomisation inference at a declared level of assignment: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Level = Literal["pairs", "states", "counties_within_states"]

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
    """

    level: Level
    unit: Index
    stratum: Index
    treated: NDArray[np.bool_]
    count: int
    mechanism: str


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
            None for all alike.

    Raises:
        ValueError: a state with both kinds of county under "states"; blocks that cut a state; or nothing that
            could have fallen otherwise.

    Example:
        >>> d = np.array([True, False, True, False])
        >>> assignment("pairs", d, np.array([0, 0, 1, 1])).count
        4
    """
    n = len(treated)
    if level not in WORDS:
        raise ValueError(f"level = {level!r}; wanted one of {', '.join(WORDS)}")
    if level == "states":
        _, unit = np.unique(groups, return_inverse=True)
        u = int(unit.max()) + 1
        share = np.bincount(unit, treated, minlength=u) / np.bincount(unit, minlength=u)
        mixed = int(((share > 0) & (share < 1)).sum())
        if mixed:
            raise ValueError(
                f"{mixed} states hold treated and untreated counties; whole states were not assigned: wanted "
                'level = "counties_within_states"'
            )
        stratum = np.zeros(u, dtype=np.intp)
        if blocks is not None:
            _, codes = np.unique(blocks, return_inverse=True)
            stratum[unit] = codes
            if not np.array_equal(stratum[unit], codes):
                raise ValueError("a state lies in several blocks; wanted blocks of whole states")
        of_unit = share == 1
    else:
        inside = np.asarray(groups != -1) if level == "pairs" else np.ones(n, dtype=bool)
        unit = np.full(n, -1, dtype=np.intp)
        unit[inside] = np.arange(int(inside.sum()))
        _, stratum = np.unique(groups[inside], return_inverse=True)
        of_unit = treated[inside]
    stratum = stratum.astype(np.intp)
    sizes = np.bincount(stratum)
    taken = np.bincount(stratum, of_unit, minlength=len(sizes)).astype(int)
    count = prod(comb(int(size), int(m)) for size, m in zip(sizes, taken, strict=True))
    if count < 2:
        raise ValueError("treatment could not have fallen otherwise: no stratum holds both kinds of unit")
    return Assignment(
        level, unit.astype(np.intp), stratum, np.asarray(of_unit, dtype=bool), count, WORDS[level]
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

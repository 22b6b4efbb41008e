"""The wild bootstrap at any level of resampling, and randomisation inference for panels: arrays in, arrays out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import factorial, log, prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.inference import (
    Multiplier,
    few_cluster_multiplier,
    outermost,
    refuse_level,
    share_as_extreme,
    wild_draws,
    wild_moments,
    wild_scores,
)

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Labels = NDArray[np.generic]
Level = Literal["counties_within_states", "states"]

# Points of each kind of multiplier that are equally likely, so that all draws can be listed.
POINTS: dict[str, tuple[float, ...]] = {
    "rademacher": (-1.0, 1.0),
    "webb": (-(1.5**0.5), -1.0, -(0.5**0.5), 0.5**0.5, 1.0, 1.5**0.5),
}
WORDS: dict[str, str] = {
    "counties_within_states": "what treatment did over the years was dealt anew among the counties of each "
    "state",
    "states": "what treatment did over the years was dealt anew among whole states",
}


# --- the wild bootstrap -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WildTest:
    """A wild bootstrap test of one coefficient and the values it does not reject.

    Args:
        estimate: the coefficient.
        std_error: cluster-robust, with G / (G - 1) and no other factor.
        p_value: of a coefficient of zero, two-sided, symmetric.
        conf_low: smallest value not rejected; infinite where the test never rejects on that side.
        conf_high: largest.
        level: of the interval.
        multiplier: kind of multipliers.
        null_imposed: whether residuals were those under the null.
        exact: whether every set of multipliers was looked at.
        draws: sets of multipliers looked at or drawn.
        clusters: clusters of the error.
        groups: groups that were given one multiplier each.
    """

    estimate: float
    std_error: float
    p_value: float
    conf_low: float
    conf_high: float
    level: float
    multiplier: Multiplier
    null_imposed: bool
    exact: bool
    draws: int
    clusters: int
    groups: int


def wild_bootstrap(
    y: Array,
    x: Array,
    z: Array,
    weights: Array,
    clusters: Labels,
    *,
    level: float,
    draws: int,
    seed: int | np.random.Generator,
    groups: Labels | None = None,
    null_imposed: bool = True,
    multiplier: Multiplier | None = None,
) -> WildTest:
    """Test one coefficient, and find its interval, by the wild cluster or subcluster bootstrap.

    Errors are clustered by ``clusters``; multipliers are drawn for ``groups`` inside them. With few treated
    clusters the cluster bootstrap with the null imposed hardly ever rejects, and without it far too often;
    smaller groups (counties, or single rows) bring both nearer the nominal size, at the price of drawing errors
    that are not correlated between groups.

    Args:
        y: (n,) outcome; effects that do not cross clusters were swept out of it, and of x and z.
        x: (n,) the regressor tested, swept.
        z: (n, q) the other regressors, swept; q may be 0. Dependent columns are allowed.
        weights: (n,) positive.
        clusters: (n,) labels.
        level: of the interval: with the null imposed by inverting the test, otherwise the estimate and the
            quantile of the statistic times its error.
        draws: bootstrap draws. If all sets of equally likely multipliers are no more, each is taken once
            instead.
        seed: of the generator, or the generator.
        groups: (n,) labels inside clusters, counties or row numbers for instance; None for clusters. Effects
            swept out must lie within clusters, not within groups: sums of scores by cluster do not see them;
            others belong in z.
        null_imposed: residuals of the regression under the null (as a rule) or of the regression as it is.
        multiplier: None for ``few_cluster_multiplier`` of the number of groups.

    Raises:
        ValueError: no draws; a level outside (0, 1); fewer than two clusters; groups that cross clusters; x
            without variation of its own.

    Assumption: errors independent across clusters. Subclusters work when treated clusters are few if errors
        are alike in treated and other clusters; if treated ones differ, no bootstrap repairs one or two of
        them.

    Source: Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90(3); MacKinnon and Webb
        (2018), Econometrics Journal 21(2), for subclusters.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> g = np.repeat(np.arange(8), 10)
        >>> x = (g < 4) * rng.random(80)
        >>> y = x + 0.3 * rng.normal(size=80)
        >>> found = wild_bootstrap(y, x, np.ones((80, 1)), np.ones(80), g, level=0.9, draws=999, seed=1,
        ...                        multiplier="rademacher")
        >>> found.exact, found.draws, found.conf_low < 1 < found.conf_high
        (True, 256, True)
    """
    if draws < 1:
        raise ValueError("the wild bootstrap needs draws")
    refuse_level(level)
    scores = wild_scores(y, x, z, weights, clusters, groups)
    h, g = scores.scores.shape[:2]
    kind = multiplier or few_cluster_multiplier(h)
    points = POINTS.get(kind, ())
    exact = bool(points) and h * log(len(points)) <= log(draws) + 1e-12
    if exact:
        drawn = wild_moments(scores, np.array(list(product(points, repeat=h))))
    else:
        drawn = wild_draws(scores, draws, np.random.default_rng(seed), kind)
    used = len(drawn.beta)

    free = np.abs(drawn.statistic(scores.beta))

    def p_value(null: float) -> float:
        compared = drawn.statistic(null) if null_imposed else free
        return share_as_extreme(compared, (scores.beta - null) / scores.error, exact=exact)

    size = 1 - level
    if null_imposed:
        low, high = (outermost(p_value, scores.beta, side * scores.error, size) for side in (-1.0, 1.0))
    else:
        # The test of any null compares its distance with the same draws: the interval is symmetric.
        reached = np.sort(np.where(np.isnan(free), np.inf, free))[::-1]
        # The largest distance at which more than the size of the draws are as extreme.
        allowed = int(np.floor(size * used + 1e-9)) if exact else int(np.floor(size * (1 + used) + 1e-9)) - 1
        reach = float(reached[allowed]) if 0 <= allowed < used else float("inf")
        low, high = scores.beta - reach * scores.error, scores.beta + reach * scores.error
    return WildTest(
        estimate=scores.beta,
        std_error=scores.error * float(np.sqrt(g / (g - 1))),
        p_value=p_value(0.0),
        conf_low=float(low),
        conf_high=float(high),
        level=level,
        multiplier=kind,
        null_imposed=null_imposed,
        exact=exact,
        draws=used,
        clusters=g,
        groups=h,
    )


# --- randomisation inference for panels ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paths:
    """What treatment does over the years: a row a kind of path.

    Args:
        exposure: (K, T) value of the regressor.
        keep: (K, T) bool: whether the year enters the regression of a county on that path; a transition year
            does not.
        effect: (K, T) share of a constant effect that the outcome of a county on that path carries, in years
            that are left out too.
        labels: (K,) names.
    """

    exposure: Array
    keep: NDArray[np.bool_]
    effect: Array
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reassignment:
    """A mechanism: the paths of each stratum's units could have been dealt among them in any order.

    Args:
        level: its name.
        unit: (N,) code of each county's unit, 0 to U - 1.
        stratum: (U,) code of each unit's stratum.
        path: (U,) code of its path in fact.
        count: number of possible assignments.
        mechanism: in words.
        idle: strata whose units all had the same path: they could not have fallen otherwise, and contribute
            nothing.
    """

    level: Level
    unit: Index
    stratum: Index
    path: Index
    count: int
    mechanism: str
    idle: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PanelRandomisation:
    """A re-randomised, studentised test of no effect in a panel, and the constant effects it does not reject.

    Args:
        estimate: the coefficient observed.
        std_error: cluster-robust with G / (G - 1); it studentises, and no normal quantile is put on it.
        p_value: two-sided, of no effect; exact, or (1 + draws as extreme) / (1 + draws).
        conf_low: smallest constant effect not rejected; infinite where the test never rejects on that side,
            missing where no interval was asked for.
        conf_high: largest.
        level: of the interval.
        exact: whether every assignment was looked at.
        assignments: assignments possible.
        used: assignments looked at or drawn.
        failed: of these, those without a statistic; they count as extreme as the one observed.
        drawn: (used,) estimate over standard error under each, for no effect; missing where it failed.
        idle: strata that contribute nothing.
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
    drawn: Array
    idle: tuple[str, ...]
    mechanism: str


def cohort_paths(
    cohorts: Array, years: Array, *, transition: bool, partial: float = 0.5
) -> tuple[Paths, Index]:
    """Return the paths of counties that adopt once and for all, and which county is on which.

    Args:
        cohorts: (N,) first fully treated year; missing for never.
        years: (T,) ascending.
        transition: whether the year before the cohort is a transition year, left out for that county.
        partial: share of a constant effect that a transition year carries; it matters for intervals alone.

    Returns:
        ``Paths`` with never last, and (N,) codes.

    Example:
        >>> paths, code = cohort_paths(np.array([2012.0, np.nan]), np.arange(2010, 2014), transition=True)
        >>> paths.exposure.tolist(), paths.keep[0].tolist(), code.tolist()
        ([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]], [True, False, True, True], [0, 1])
    """
    years = np.asarray(years, dtype=float)
    filled = np.where(np.isnan(cohorts), np.inf, cohorts)
    kinds, code = np.unique(np.append(filled, np.inf), return_inverse=True)
    exposure = (years[None, :] >= kinds[:, None]).astype(float)
    between = (years[None, :] == kinds[:, None] - 1) & transition
    return (
        Paths(
            exposure,
            ~between,
            np.where(between, partial, exposure),
            tuple("never" if np.isinf(kind) else f"{kind:g}" for kind in kinds),
        ),
        code[:-1].astype(np.intp),
    )


def reassignment(level: Level, code: Index, states: Labels, blocks: Labels | None = None) -> Reassignment:
    """Declare how paths could have fallen otherwise.

    Args:
        level: "counties_within_states": a state's paths are dealt among its counties (county policies);
            "states": paths are dealt among whole states (state laws).
        code: (N,) path of each county.
        states: (N,) labels.
        blocks: (N,) for "states", larger areas within which states are exchanged; for
            "counties_within_states", classes within which a state's counties are, urban classes for instance;
            None for all alike.

    Raises:
        ValueError: a state with several paths under "states"; blocks that cut a state; nothing that could
            have fallen otherwise.

    Assumption: none here; the test rests on the mechanism declared.

    Example:
        >>> states = np.array(["IA", "IA", "IA", "OR", "OR"])
        >>> plan = reassignment("counties_within_states", np.array([0, 1, 1, 1, 1]), states)
        >>> plan.count, plan.idle
        (3, ('OR',))
    """
    if level not in WORDS:
        raise ValueError(f"level = {level!r}; wanted one of {', '.join(WORDS)}")
    words = WORDS[level]
    if level == "states":
        names, unit = np.unique(states, return_inverse=True)
        path, stratum = np.zeros(len(names), dtype=np.intp), np.zeros(len(names), dtype=np.intp)
        path[unit] = code
        mixed = len(np.unique(unit[path[unit] != code]))
        if mixed:
            raise ValueError(
                f"{mixed} states hold counties on different paths; whole states were not assigned: wanted "
                'level = "counties_within_states"'
            )
        names = np.array(["all states"])
        if blocks is not None:
            words += ", within blocks of states"
            names, block = np.unique(blocks, return_inverse=True)
            stratum[unit] = block
            if not np.array_equal(stratum[unit], block):
                raise ValueError("a state lies in several blocks; wanted blocks of whole states")
    else:
        unit, path = np.arange(len(code)), np.asarray(code)
        names, stratum = np.unique(states, return_inverse=True)
        if blocks is not None:
            words += ", within classes of county"
            classes, block = np.unique(blocks, return_inverse=True)
            cells, stratum = np.unique(stratum * len(classes) + block, return_inverse=True)
            names = np.array([f"{names[c // len(classes)]}, {classes[c % len(classes)]}" for c in cells])
    ways = [_orders(path[stratum == s]) for s in range(len(names))]
    if prod(ways) < 2:
        raise ValueError("treatment could not have fallen otherwise: no stratum holds two kinds of path")
    return Reassignment(
        level,
        unit.astype(np.intp),
        stratum.astype(np.intp),
        path.astype(np.intp),
        prod(ways),
        words,
        tuple(str(name) for name, way in zip(names, ways, strict=True) if way == 1),
    )


def _orders(path: Index) -> int:
    """Return in how many different orders paths can be dealt."""
    return factorial(len(path)) // prod(factorial(n) for n in Counter(path.tolist()).values())


def every_reassignment(plan: Reassignment) -> Iterator[Index]:
    """Yield the paths of units, (U,), under every possible assignment, each once.

    Example:
        >>> plan = reassignment("states", np.array([0, 1, 1]), np.array(["CA", "OR", "WA"]))
        >>> [paths.tolist() for paths in every_reassignment(plan)]
        [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    members = [np.flatnonzero(plan.stratum == s) for s in range(int(plan.stratum.max()) + 1)]
    for dealt in product(*(list(_deals(sorted(plan.path[m].tolist()))) for m in members)):
        out = plan.path.copy()
        for member, paths in zip(members, dealt, strict=True):
            out[member] = paths
        yield out


def _deals(paths: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield the different orders of a sorted list, in lexical order."""
    a = list(paths)
    while True:
        yield tuple(a)
        i = next((i for i in range(len(a) - 2, -1, -1) if a[i] < a[i + 1]), None)
        if i is None:
            return
        j = next(j for j in range(len(a) - 1, i, -1) if a[j] > a[i])
        a[i], a[j] = a[j], a[i]
        a[i + 1 :] = a[i + 1 :][::-1]


def draw_reassignments(plan: Reassignment, draws: int, rng: np.random.Generator) -> Iterator[Index]:
    """Yield the paths of units, (U,), dealt at random within strata."""
    order = np.argsort(plan.stratum, kind="stable")
    dealt = plan.path[order]
    for _ in range(draws):
        out = np.empty_like(plan.path)
        out[order[np.argsort(plan.stratum[order] + rng.random(len(order)))]] = dealt
        yield out


def panel_randomisation(
    y: Array,
    weights: Array,
    paths: Paths,
    plan: Reassignment,
    clusters: Labels,
    *,
    draws: int,
    seed: int | np.random.Generator,
    level: float = 0.95,
    interval: bool = True,
    year_blocks: Labels | None = None,
    others: Array | None = None,
    exact_up_to: int = 2_000,
) -> PanelRandomisation:
    """Test and bound a constant effect in a panel by dealing the paths of treatment anew.

    The statistic is the coefficient of two-way effects over its cluster-robust error. Outcome and other
    regressors are freed of effects once, the regressor again under each assignment; if paths leave out years,
    all are. Under an effect tau the outcome without treatment is y less tau times the share of the effect that
    the observed path carries; the test of tau compares the statistic on that outcome under the assignment
    observed with that under the others. The interval holds the effects not rejected.

    Args:
        y: (N, T) outcome by county and year. Years that the observed path leaves out belong here too: another
            assignment would have used them. Anything where the weight is zero.
        weights: (N, T) zero where there is no row.
        paths: from ``cohort_paths``, or others (repeals, exposures between 0 and 1).
        plan: from ``reassignment``, whose codes are rows of ``paths``.
        clusters: (N,) labels of counties: the units of assignment or coarser.
        draws: random assignments if there are too many to look at all.
        seed: of the generator, or the generator.
        level: of the interval.
        interval: whether to invert the test.
        year_blocks: (N,) labels of areas that have year effects of their own, states for state-by-year
            effects; None for one set of year effects.
        others: (N, T, q) other regressors that vary over time.
        exact_up_to: assignments up to which every one is looked at.

    Raises:
        ValueError: arrays that do not fit; a level outside (0, 1); no draws where they are needed; no
            coefficient or error under the assignment observed.

    Assumption: the mechanism declared; for the interval, one effect for all treated rows. With few
        assignments the smallest p-value is 1 over their number. With a studentised statistic the test also
        keeps its size, in large samples, for no effect on average.

    Source: Fisher (1935), The Design of Experiments; MacKinnon and Webb (2020), Journal of Econometrics
        218(2), for panels with few treated clusters; Wu and Ding (2021), JASA 116(536), for studentising;
        Phipson and Smyth (2010) for the p-value of draws.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> cohorts = np.where(np.arange(40) % 4 == 0, 2013.0, np.nan)
        >>> years, states = np.arange(2010, 2016), np.repeat(np.arange(5), 8)
        >>> paths, code = cohort_paths(cohorts, years, transition=False)
        >>> y = 2 * paths.exposure[code] + rng.normal(size=(40, 6))
        >>> found = panel_randomisation(
        ...     y, np.ones((40, 6)), paths, reassignment("counties_within_states", code, states), states,
        ...     draws=199, seed=1,
        ... )
        >>> found.p_value < 0.05, found.conf_low < 2 < found.conf_high
        (True, True)
    """
    refuse_level(level)
    others = np.zeros((*y.shape, 0)) if others is None else others
    _check_panel(y, weights, paths, plan, clusters, others)
    exact = plan.count <= exact_up_to
    if not exact and draws < 1:
        raise ValueError(f"{plan.count} assignments are too many to look at all; wanted draws")
    _, cluster = np.unique(clusters, return_inverse=True)
    _, block = np.unique(np.zeros(len(y)) if year_blocks is None else year_blocks, return_inverse=True)
    code = plan.path[plan.unit]
    seen = np.where(weights > 0, y, 0.0)
    panel = _Panel(seen, weights, paths.effect[code], others, block, cluster, paths)
    observed = panel.moments(code)
    own = _statistics(observed[None, :], 0.0)[0]
    if not np.isfinite(own):
        raise ValueError(
            "no coefficient or no error under the assignment observed; wanted treatment that varies beyond "
            "effects and other regressors, in at least two clusters"
        )
    units = (
        every_reassignment(plan) if exact else draw_reassignments(plan, draws, np.random.default_rng(seed))
    )
    found = np.array([panel.moments(unit[plan.unit]) for unit in units])

    def p_value(effect: float) -> float:
        own = _statistics(observed[None, :], effect)[0]
        return share_as_extreme(_statistics(found, effect), own, exact=exact)

    error, g = float(np.sqrt(observed[2])), int(cluster.max()) + 1
    low = high = float("nan")
    if interval:
        low, high = (outermost(p_value, float(observed[0]), side * error, 1 - level) for side in (-1.0, 1.0))
    factor = float(np.sqrt(g / (g - 1)))
    drawn = _statistics(found, 0.0) / factor
    return PanelRandomisation(
        estimate=float(observed[0]),
        std_error=error * factor,
        p_value=p_value(0.0),
        conf_low=low,
        conf_high=high,
        level=level,
        exact=exact,
        assignments=plan.count,
        used=len(found),
        failed=int(np.isnan(drawn).sum()),
        drawn=drawn,
        idle=plan.idle,
        mechanism=plan.mechanism,
    )


class _Panel:
    """A panel's outcome freed of effects, to meet one assignment after another."""

    def __init__(
        self,
        y: Array,
        weights: Array,
        effect: Array,
        others: Array,
        block: Index,
        cluster: Index,
        paths: Paths,
    ) -> None:
        self.weights, self.block, self.cluster, self.paths = weights, block, cluster, paths
        self.fixed = np.concatenate([y[:, :, None], effect[:, :, None], others], axis=2)
        self.once = _Freed(self.fixed, weights, block) if bool(paths.keep.all()) else None

    def moments(self, code: Index) -> Array:
        """Return what statistics need, (5,): coefficients of outcome and of the effect, three of variance.

        The variance at the outcome less tau times the effect is a - 2 tau b + tau^2 c. Missing where treatment
        has no variation of its own.
        """
        freed = self.once or _Freed(self.fixed, self.weights * self.paths.keep[code], self.block)
        exposure = self.paths.exposure[code]
        x = freed.regressor(exposure)
        weighted = freed.weights * x
        squares = (weighted * x).sum(axis=1)
        own = float(squares.sum())
        if own <= 1e-10 * float((freed.weights * exposure**2).sum()):
            return np.full(5, np.nan)
        by_county = np.column_stack([(weighted * freed.y).sum(axis=1), (weighted * freed.effect).sum(axis=1)])
        beta = by_county.sum(axis=0) / own
        scores = by_county - squares[:, None] * beta
        sums = np.column_stack([np.bincount(self.cluster, column) for column in scores.T]) / own
        a, b, c = (sums.T @ sums)[[0, 0, 1], [0, 1, 1]]
        return np.array([beta[0], beta[1], a, b, c])


class _Freed:
    """Columns without county and year effects, and the means to free another column of them."""

    def __init__(self, columns: Array, weights: Array, block: Index) -> None:
        self.weights, self.block = weights, block
        total = weights.sum(axis=1)
        self.total = np.where(total > 0, total, 1.0)
        t, blocks = weights.shape[1], int(block.max()) + 1
        # Years beyond counties, by block: normal equations of T dummies freed of county means.
        normal = np.zeros((blocks, t, t))
        scaled = weights / np.sqrt(self.total)[:, None]
        order = np.argsort(block, kind="stable")
        for member in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
            part = scaled[member]
            normal[block[member[0]]] = np.diag(weights[member].sum(axis=0)) - part.T @ part
        self.inverse = np.linalg.pinv(normal, rcond=1e-11, hermitian=True)
        freed = [self.free(columns[:, :, j]) for j in range(columns.shape[2])]
        root = np.sqrt(weights)
        self.basis = np.zeros((weights.size, 0))
        if len(freed) > 2:
            scaled_others = np.column_stack([(root * column).ravel() for column in freed[2:]])
            u, s, _ = np.linalg.svd(scaled_others, full_matrices=False)
            self.basis = u[:, s > 1e-9 * max(float(s.max()), 1e-300)]
        self.root = root
        self.y, self.effect = (self.without_others(column) for column in freed[:2])

    def free(self, column: Array) -> Array:
        """Return a column (N, T) less its county and year effects."""
        w = self.weights
        column = column - ((w * column).sum(axis=1) / self.total)[:, None]
        weighted = w * column
        if len(self.inverse) == 1:
            effect = (weighted.sum(axis=0) @ self.inverse[0])[None, :]
            of_county = (w @ effect[0]) / self.total
        else:
            sums = np.zeros((len(self.inverse), w.shape[1]))
            np.add.at(sums, self.block, weighted)
            effect = np.einsum("bt,bts->bs", sums, self.inverse)[self.block]
            of_county = (w * effect).sum(axis=1) / self.total
        return np.asarray(column - effect + of_county[:, None], dtype=float)

    def without_others(self, column: Array) -> Array:
        """Return a freed column (N, T) less its projection on the other regressors."""
        if not self.basis.shape[1]:
            return column
        fitted = (self.basis @ (self.basis.T @ (self.root * column).ravel())).reshape(column.shape)
        # Where there is no row, the weight is zero and the value does not count.
        return np.asarray(column - fitted / np.where(self.root > 0, self.root, 1.0), dtype=float)

    def regressor(self, exposure: Array) -> Array:
        """Return treatment (N, T) beyond effects and other regressors."""
        return self.without_others(self.free(exposure))


def _statistics(moments: Array, effect: float) -> Array:
    """Return estimate over error on the outcome less an effect, (draws,)."""
    estimate = moments[:, 0] - effect * moments[:, 1]
    variance = moments[:, 2] - 2 * effect * moments[:, 3] + effect**2 * moments[:, 4]
    # What rounding leaves of a variance of zero is none.
    floor = 1e-13 * (moments[:, 2] + effect**2 * moments[:, 4])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(estimate / np.sqrt(np.where(variance > floor, variance, np.nan)), dtype=float)


def _check_panel(
    y: Array, weights: Array, paths: Paths, plan: Reassignment, clusters: Labels, others: Array
) -> None:
    n, t = y.shape
    shapes = (weights.shape, others.shape[:2], (len(clusters), t), (len(plan.unit), paths.exposure.shape[1]))
    if any(shape != (n, t) for shape in shapes):
        raise ValueError(
            f"outcome {y.shape}, weights {weights.shape}, other regressors {others.shape}, {len(clusters)} "
            f"clusters, {len(plan.unit)} counties in the plan, paths of {paths.exposure.shape[1]} years; "
            "wanted the same counties and years"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("weights that are negative or missing; wanted zero where there is no row")
    missing = int(np.count_nonzero(~np.isfinite(y) & (weights > 0)))
    if missing:
        raise ValueError(
            f"{missing} outcomes are missing where the weight is positive; wanted a weight of zero"
        )
    if int(plan.path.max()) >= len(paths.exposure):
        raise ValueError(f"path {int(plan.path.max())} of {len(paths.exposure)}; wanted codes of these paths")

"""Genetic matching: the distance whose matches balance best, found by an evolutionary search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr

from analysis.estimation.matching.nearest import Matches, nearest_neighbours
from analysis.estimation.matching.weights import Estimand, refuse_estimand, refuse_unusable

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]
Each = Callable[[Callable[[Array], Array], list[Array]], Iterable[Array]]
Loss = Literal["p_values", "worst_p_value", "standardized_mean_difference"]

# As GenMatch: largest weight, and what is added to all if one is below it.
LARGEST = 1000.0
SMALLEST = float(np.sqrt(np.finfo(float).eps))
# The search: its smallest weight; how many times larger its first generation is, and the share of it drawn evenly
# over weights (the rest over their logarithms); how widely it starts (in logarithms), the generations without gain
# after which it starts anew, and how far from where it started before. Chosen on two of the simulated worlds of
# tests/benchmarks/worlds.py, "even" and "leaning".
LOWEST = 0.1
WIDER = 16
EVENLY = 0.25
SPREAD = 0.5
PATIENCE = 12
APART = 1.0
# Pairs from which R's ks.test leaves the exact distribution (fewer than 10,000 products of arm sizes).
EXACT_BELOW = 100


@dataclass(frozen=True, slots=True)
class GeneticMatches:
    """The best weights found and the matches they make.

    Args:
        weights: (k,) weight of each standardised covariate in the squared distance.
        matches: who is matched to whom under them: treated to comparison rows; for "atc" comparison to treated
            rows, as ``nearest_neighbours`` gives them for ``~treated``.
        reverse: for "ate" the matches of comparison rows among treated rows; None otherwise.
        estimand: whose matches they are.
        objective: (c,) criteria, the first decides and the next break ties; larger is better.
        at_start: (c,) the same at equal weights.
        loss: what the criteria are.
        evaluations: weightings tried.
        generations: generations run.
        history: (generations + 1,) first criterion of the best so far.
    """

    weights: Array
    matches: Matches
    reverse: Matches | None
    estimand: Estimand
    objective: Array
    at_start: Array
    loss: Loss
    evaluations: int
    generations: int
    history: Array


def genetic_coordinates(x: Array, weights: Array) -> Array:
    """Return coordinates in which plain squared distance is the weighted sum of squared standardised gaps.

    Args:
        x: (n, k) covariates.
        weights: (k,) 0 or more; where one is below 1.5e-8 that number is added to all, as in GenMatch.

    Raises:
        ValueError: weights are negative, missing or not one a covariate, or a covariate is constant.

    Example:
        >>> z = genetic_coordinates(np.array([[0.0], [2.0]]), np.array([4.0]))
        >>> float(((z[0] - z[1]) ** 2).sum().round(10))
        8.0
    """
    if weights.shape != x.shape[1:] or not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise ValueError(
            f"weights {weights.tolist()} for {x.shape[1]} covariates; wanted one of 0 or more each"
        )
    spread = x.std(axis=0, ddof=1)
    if not np.all(spread > 0):
        raise ValueError(
            f"columns {np.flatnonzero(~(spread > 0)).tolist()} are constant; wanted ones that vary"
        )
    return (x - x.mean(axis=0)) / spread * np.sqrt(_lifted(weights))


def balance_p_values(columns: Array, matches: Matches) -> Array:
    """Return p values of paired t tests and of Kolmogorov-Smirnov tests, (2 q,), one of each a column.

    The t test is of the pair differences weighted by share, with the number of matched treated rows less one
    degrees of freedom. The Kolmogorov-Smirnov test takes the list of pairs as two samples, each pair once
    whatever its share; a column with fewer than three values has its t test's p value in its place. These are
    measures of balance; the pairs of a matched sample are not the draws that would make them tests.

    Args:
        columns: (n, q) to be balanced.
        matches: who is matched to whom.

    Source: GenBalance of the R package Matching (Sekhon 2011, Journal of Statistical Software 42(7)), with
        the distribution of R's ks.test: exact given ties below 100 pairs, else its series, cut where R cuts it.

    Example:
        >>> m = Matches(np.array([0, 1]), np.array([2, 3]), np.ones(2), np.zeros(2), np.array([], int))
        >>> balance_p_values(np.array([[1.0], [3.0], [0.0], [0.0]]), m).round(4)
        array([0.2163, 0.3333])
    """
    return _Criteria(columns).p_values(matches.treated, matches.comparison, matches.share)


def genetic_objective(
    weights: Array,
    x: Array,
    treated: Bool,
    *,
    columns: Array | None = None,
    estimand: Estimand = "att",
    neighbours: int = 1,
    replacement: bool = True,
    strata: Index | None = None,
    calipers: tuple[Array, Array] | None = None,
    loss: Loss = "p_values",
) -> Array:
    """Return the criteria of given weights, (c,), the first deciding: larger is better.

    Args:
        weights: (k,) weight of each standardised covariate.
        x: (n, k) covariates matched on.
        treated: (n,) bool.
        columns: (n, q) to be balanced; None for x.
        estimand: whose matches are balanced: treated rows', comparison rows', or those of both, as one list of
            pairs.
        neighbours: comparison rows a treated row.
        replacement: see ``genetic_matching``.
        strata: see ``genetic_matching``.
        calipers: see ``genetic_matching``.
        loss: "p_values": the p values of ``balance_p_values`` from the smallest up, compared in that order
            (GenMatch's default, ``fit.func = "pvals", loss = 1``); "worst_p_value": the smallest alone
            (``loss = 2``); "standardized_mean_difference": minus the largest absolute one, with the standard
            deviation before matching of treated rows ("atc": of comparison rows; "ate": root of the mean of
            both variances).

    Raises:
        ValueError: see ``genetic_matching``.

    Example:
        >>> x, d = np.array([[0.0], [1.0], [0.1], [1.1], [9.0]]), np.array([True, True, False, False, False])
        >>> genetic_objective(np.ones(1), x, d, loss="standardized_mean_difference").round(4)
        array([-0.1414])
    """
    search = _Search(x, treated, columns, estimand, neighbours, replacement, strata, calipers, loss)
    return search.criteria(weights)


def genetic_matching(
    x: Array,
    treated: Bool,
    rng: np.random.Generator,
    *,
    columns: Array | None = None,
    estimand: Estimand = "att",
    neighbours: int = 1,
    replacement: bool = True,
    strata: Index | None = None,
    calipers: tuple[Array, Array] | None = None,
    loss: Loss = "p_values",
    starts: Iterable[Array] = (),
    population: int = 20,
    generations: int = 100,
    workers: int = 1,
) -> GeneticMatches:
    """Search the diagonal weights of a generalised Mahalanobis distance for the best balanced matches.

    The search is an evolution strategy with an adapted covariance over the logarithms of the weights: a first,
    larger generation over the whole range, then generations around what does best, anew from elsewhere when
    they stop gaining. It compares criteria by rank alone, so lexical order needs no scale. The best weighting
    ever tried is returned; it is never worse than equal weights, nor than any of ``starts``; another seed may
    find a better one, since the criteria jump from one set of matches to the next. The distance matrix is never
    held.

    Args:
        x: (n, k) covariates matched on; a propensity score's linear predictor may be among them.
        treated: (n,) bool.
        rng: source of the search; the same state gives the same matches, however many the workers.
        columns: (n, q) to be balanced; None for x.
        estimand: "att" matches treated rows, "atc" comparison rows, "ate" both under one weighting, with
            replacement only.
        neighbours: comparison rows a treated row.
        replacement: whether a comparison row may serve several treated rows; without, greedily in the order
            of the data, as in GenMatch (some ten times slower).
        strata: (n,) codes; a match never crosses them.
        calipers: as ``nearest_neighbours``.
        loss: the criteria, as ``genetic_objective`` says.
        starts: further weights (k,) to try first.
        population: weightings a generation; the first has sixteen times as many.
        generations: generations after the first.
        workers: threads that share a generation.

    Returns:
        The best weights found, with their matches and criteria.

    Raises:
        ValueError: missing values, an empty arm or a constant covariate; an unknown estimand, or "ate" without
            replacement; more neighbours than rows to match to; population below 4 or no worker; all rows pruned
            (calipers or strata, or no row left to match to).

    Assumption: within covariates matched on, treatment is as good as random, and both arms overlap.

    Source: Diamond and Sekhon (2013), Review of Economics and Statistics 95(3); Hansen and Ostermeier (2001),
        Evolutionary Computation 9(2), for the search.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> x, d = rng.normal(size=(60, 2)), np.arange(60) < 15
        >>> found = genetic_matching(x, d, rng, population=8, generations=3)
        >>> bool(found.objective[0] >= found.at_start[0]), found.evaluations
        (True, 153)
    """
    if population < 4 or generations < 0 or workers < 1:
        raise ValueError(
            f"population {population}, generations {generations}, workers {workers}; wanted at least 4, 0 and 1"
        )
    search = _Search(x, treated, columns, estimand, neighbours, replacement, strata, calipers, loss)
    first = [np.ones(x.shape[1]), *(np.array(s, dtype=float) for s in starts)]
    if workers == 1:
        return _evolve(search, first, rng, population, generations, map)
    with ThreadPoolExecutor(workers) as pool:
        return _evolve(search, first, rng, population, generations, pool.map)


class _Cloud:
    """Where the search draws logarithms of weights: a normal cloud that learns from what does best.

    The updates and their rates are those of Hansen and Ostermeier's covariance matrix adaptation.
    """

    def __init__(self, mean: Array, population: int) -> None:
        size, parents = len(mean), population // 2
        share = np.log(parents + 0.5) - np.log(np.arange(1, parents + 1))
        self.share = share / share.sum()
        effective = float(1 / (self.share**2).sum())
        self.c_sigma = (effective + 2) / (size + effective + 5)
        self.d_sigma = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (size + 1)) - 1) + self.c_sigma
        self.c_path = (4 + effective / size) / (size + 4 + 2 * effective / size)
        self.c_one = 2 / ((size + 1.3) ** 2 + effective)
        self.c_rank = min(1 - self.c_one, 2 * (effective - 2 + 1 / effective) / ((size + 2) ** 2 + effective))
        self.expected = np.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))
        self.effective, self.population, self.age = effective, population, 0
        self.mean, self.sigma, self.covariance = mean, SPREAD, np.eye(size)
        self.path, self.path_sigma = np.zeros(size), np.zeros(size)

    def draw(self, rng: np.random.Generator) -> Array:
        # Kept for ``learn``, which measures the move in the axes of this draw.
        values, self.axes = np.linalg.eigh(self.covariance)
        self.values = np.sqrt(np.maximum(values, 1e-20))
        steps = rng.standard_normal((self.population, len(self.mean))) * self.values
        return _in_range(self.mean + self.sigma * steps @ self.axes.T)

    def learn(self, ranked: Array) -> None:
        """Move towards the better half of the points drawn, best first."""
        self.age += 1
        size = len(self.mean)
        taken = (ranked[: len(self.share)] - self.mean) / self.sigma
        move = self.share @ taken
        self.mean = self.mean + self.sigma * move
        white = self.axes @ ((self.axes.T @ move) / self.values)
        room = np.sqrt(self.c_sigma * (2 - self.c_sigma) * self.effective)
        self.path_sigma = (1 - self.c_sigma) * self.path_sigma + room * white
        norm = float(np.linalg.norm(self.path_sigma))
        grown = norm / np.sqrt(1 - (1 - self.c_sigma) ** (2 * self.age))
        settled = grown < (1.4 + 2 / (size + 1)) * self.expected
        room = np.sqrt(self.c_path * (2 - self.c_path) * self.effective)
        self.path = (1 - self.c_path) * self.path + settled * room * move
        keep = 1 - self.c_one - self.c_rank + (not settled) * self.c_one * self.c_path * (2 - self.c_path)
        self.covariance = (
            keep * self.covariance
            + self.c_one * np.outer(self.path, self.path)
            + self.c_rank * (taken * self.share[:, None]).T @ taken
        )
        change = self.c_sigma / self.d_sigma * (norm / self.expected - 1)
        self.sigma = float(np.clip(self.sigma * np.exp(change), 1e-3, 3.0))


def _in_range(points: Array) -> Array:
    """Return logarithms of weights with the largest at its limit: matches depend on ratios (ties apart)."""
    return (points - points.max(axis=1, keepdims=True) + np.log(LARGEST)).clip(np.log(LOWEST))


def _evolve(
    search: _Search,
    first: list[Array],
    rng: np.random.Generator,
    population: int,
    generations: int,
    each: Each,
) -> GeneticMatches:
    # The first generation is spread over the whole range, stratified in every weight.
    many = WIDER * population
    strata = rng.permuted(np.tile(np.arange(many), (search.size, 1)), axis=1).T
    share = (strata + rng.random((many, search.size))) / many
    evenly = int(many * EVENLY)
    points = _in_range(
        np.vstack(
            [np.log(LARGEST * share[:evenly]), np.log(LOWEST) + np.log(LARGEST / LOWEST) * share[evenly:]]
        )
    )
    batch = [*first, *np.exp(points)]
    criteria = list(each(search.criteria, batch))
    at_start, evaluations = criteria[0], len(batch)
    order = sorted(range(len(batch)), key=lambda i: tuple(-criteria[i]))
    best, reached = batch[order[0]], criteria[order[0]]
    centres = list(_in_range(np.log(np.array([_lifted(batch[i]) for i in order]))))
    history = [float(reached[0])]
    used: list[Array] = []
    cloud: _Cloud | None = None
    here: tuple[float, ...] = ()
    still = 0
    for _ in range(generations):
        if cloud is None or still >= PATIENCE:
            # Anew from the best of the first generation that lies apart from where the search has been.
            apart = [c for c in centres if all(np.abs(c - u).max() > APART for u in used)]
            centre = (
                apart[0] if apart else _in_range(np.log(LARGEST / LOWEST) * rng.random((1, search.size)))[0]
            )
            used.append(centre)
            cloud, here, still = _Cloud(centre, population), (-np.inf,), 0
        points = cloud.draw(rng)
        batch = list(np.exp(points))
        criteria = list(each(search.criteria, batch))
        evaluations += population
        order = sorted(range(population), key=lambda i: tuple(-criteria[i]))
        top = tuple(criteria[order[0]])
        here, still = (top, 0) if top > here else (here, still + 1)
        if top > tuple(reached):
            best, reached = batch[order[0]], criteria[order[0]]
        history.append(float(reached[0]))
        cloud.learn(points[order])
    found = search.match(best)
    return GeneticMatches(
        weights=best,
        matches=found[0],
        reverse=found[1] if len(found) > 1 else None,
        estimand=search.estimand,
        objective=reached,
        at_start=at_start,
        loss=search.loss,
        evaluations=evaluations,
        generations=generations,
        history=np.array(history),
    )


class _Search:
    """The criteria as a function of weights alone; everything that does not depend on them is made once."""

    def __init__(
        self,
        x: Array,
        treated: Bool,
        columns: Array | None,
        estimand: Estimand,
        neighbours: int,
        replacement: bool,
        strata: Index | None,
        calipers: tuple[Array, Array] | None,
        loss: Loss,
    ) -> None:
        refuse_estimand(estimand)
        refuse_unusable(x, treated, dependent=False)
        columns = x if columns is None else columns
        if columns.ndim != 2 or len(columns) != len(x):
            raise ValueError(f"columns {columns.shape} for {len(x)} rows; wanted (n, q)")
        if not np.all(np.isfinite(columns)):
            raise ValueError(
                f"{int((~np.isfinite(columns)).sum())} missing or infinite values in the columns to balance; "
                "wanted finite numbers"
            )
        if loss not in ("p_values", "worst_p_value", "standardized_mean_difference"):
            raise ValueError(
                f'loss = "{loss}"; wanted p_values, worst_p_value or standardized_mean_difference'
            )
        if estimand == "ate" and not replacement:
            raise ValueError(
                'estimand = "ate" without replacement: the larger arm has no match for every row; wanted '
                "replacement, att or atc, or full matching"
            )
        self.arms = {"att": [treated], "atc": [~treated], "ate": [treated, ~treated]}[estimand]
        for arm in self.arms:
            if neighbours < 1 or neighbours > (~arm).sum():
                raise ValueError(f"{neighbours} neighbours of {int((~arm).sum())} rows; wanted 1 to all")
        self.size, self.estimand, self.loss = x.shape[1], estimand, loss
        self.neighbours, self.replacement, self.strata, self.calipers = (
            neighbours,
            replacement,
            strata,
            calipers,
        )
        self.standard = genetic_coordinates(x, np.ones(x.shape[1]))
        self.balance = _Criteria(columns)
        variances = {
            "att": columns[treated].var(axis=0, ddof=1),
            "atc": columns[~treated].var(axis=0, ddof=1),
        }
        deviation = np.sqrt(
            variances[estimand] if estimand in variances else (variances["att"] + variances["atc"]) / 2
        )
        # A column that does not vary among those rows is measured in its overall standard deviation.
        deviation = np.where(deviation > 0, deviation, columns.std(axis=0, ddof=1))
        self.scaled = columns / np.where(deviation > 0, deviation, 1.0)

    def match(self, weights: Array) -> list[Matches]:
        coordinates = self.standard * np.sqrt(_lifted(weights))
        found = [
            nearest_neighbours(
                coordinates,
                arm,
                neighbours=self.neighbours,
                replacement=self.replacement,
                strata=self.strata,
                calipers=self.calipers,
                order="hardest_first" if self.replacement else "data",
            )
            for arm in self.arms
        ]
        for m in found:
            if not len(m.treated):
                raise ValueError(
                    f"all {len(m.dropped)} rows to be matched are pruned; wanted wider calipers or fewer strata"
                )
        return found

    def criteria(self, weights: Array) -> Array:
        if weights.shape != (self.size,) or not np.all(np.isfinite(weights)) or weights.min() < 0:
            raise ValueError(
                f"weights {weights.tolist()} for {self.size} covariates; wanted one of 0 or more each"
            )
        found = self.match(weights)
        # One list of pairs: those of the other direction are turned round.
        one = np.concatenate([found[0].treated, *(m.comparison for m in found[1:])])
        other = np.concatenate([found[0].comparison, *(m.treated for m in found[1:])])
        share = np.concatenate([m.share for m in found])
        if self.loss == "standardized_mean_difference":
            gap = share @ (self.scaled[one] - self.scaled[other]) / share.sum()
            return np.array([-np.abs(gap).max()])
        p = np.sort(self.balance.p_values(one, other, share))
        return p if self.loss == "p_values" else p[:1]


class _Criteria:
    """P values of balance; ranks of every column are taken once."""

    def __init__(self, columns: Array) -> None:
        self.columns = columns
        ranks, distinct = [], []
        for column in columns.T:
            values, at = np.unique(column, return_inverse=True)
            ranks.append(at)
            distinct.append(len(values))
        self.distinct = np.array(distinct)
        self.width = int(self.distinct.max())
        # Each column's ranks in a block of their own: one count for all columns.
        self.cells = np.stack(ranks, axis=1) + self.width * np.arange(columns.shape[1])

    def p_values(self, treated: Index, comparison: Index, share: Array) -> Array:
        t = self._t(treated, comparison, share)
        several = self.distinct >= 3
        ks = t.copy()
        if several.any():
            ks[several] = self._ks(treated, comparison, several)
        out = np.append(t, ks)
        # A difference of 0/0 has no p value; GenMatch counts it as best.
        return np.where(np.isnan(out), 2.0, out)

    def _t(self, treated: Index, comparison: Index, share: Array) -> Array:
        gap = self.columns[treated] - self.columns[comparison]
        total = share.sum()
        mean = share @ gap / total
        variance = share @ (gap - mean) ** 2 / total**2
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * stdtr(total - 1, -np.abs(mean / np.sqrt(variance)))
        return np.where((mean == 0) & (variance == 0), 1.0, p)

    def _ks(self, treated: Index, comparison: Index, columns: Bool) -> Array:
        pairs, q = len(treated), self.columns.shape[1]
        length = self.width * q
        of_treated = np.bincount(self.cells[treated].ravel(), minlength=length).reshape(q, -1)
        of_comparison = np.bincount(self.cells[comparison].ravel(), minlength=length).reshape(q, -1)
        gap = np.abs((of_treated - of_comparison)[columns].cumsum(axis=1)).max(axis=1)
        if pairs >= EXACT_BELOW:
            return _series(np.sqrt(pairs / 2) * gap / pairs)
        return _exact(gap, (of_treated + of_comparison)[columns], pairs)


def _series(statistic: Array) -> Array:
    """Return the upper tail of the Kolmogorov distribution as R's ks.test sums it (to 1e-6)."""
    out = np.ones(len(statistic))
    for i, s in enumerate(statistic.tolist()):
        if s <= 0:
            continue
        if s < 1:
            # R keeps one term of this series.
            out[i] = 1 - np.exp(-(np.pi**2) / (8 * s * s) - np.log(s)) * np.sqrt(2 * np.pi)
            continue
        z, sign, k, old, new = -2 * s * s, -1.0, 1, 0.0, 1.0
        while abs(old - new) > 1e-6:
            old = new
            new += 2 * sign * np.exp(z * k * k)
            sign, k = -sign, k + 1
        out[i] = 1 - new
    return np.clip(out, 0, 1)


def _exact(gap: NDArray[np.intp], ties: NDArray[np.intp], pairs: int) -> Array:
    """Return the probability of a largest gap of at least ``gap`` / pairs between two samples of ``pairs``.

    Args:
        gap: (q,) largest difference of counts.
        ties: (q, values) rows of both samples at each value: the probability is given these.
        pairs: rows in each sample.
    """
    # Paths from (0, 0) to (pairs, pairs), a step a row; where a tie ends the gap must be smaller.
    ends = np.zeros((len(gap), 2 * pairs + 1), bool)
    np.put_along_axis(ends, ties.cumsum(axis=1), True, axis=1)
    ways = np.zeros((len(gap), pairs + 1))
    ways[:, 0] = 1.0
    first = np.arange(pairs + 1)
    for step in range(1, 2 * pairs + 1):
        ways[:, 1:] += ways[:, :-1].copy()
        if step > pairs:
            ways[:, : step - pairs] = 0.0
        ways[(np.abs(2 * first - step) >= gap[:, None]) & ends[:, step, None]] = 0.0
    total = gammaln(2 * pairs + 1) - 2 * gammaln(pairs + 1)
    return np.clip(1 - ways[:, pairs] / np.exp(total), 0, 1)


def _lifted(weights: Array) -> Array:
    return weights + SMALLEST if weights.min() < SMALLEST else weights

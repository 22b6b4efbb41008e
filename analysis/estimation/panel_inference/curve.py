"""One test of many specifications at once, by drawing whole states: arrays in, arrays out.

The estimators here are exact functions of sums over states, so a draw is one vector of numbers, a number a state, for
all specifications together, and each is refitted from its sums without touching a county-year again:

* two-way effects of county and year, or of county and urban-class-by-year: once county effects are out, cross-products
  of outcome, treatment and level indicators add up over states (`LevelSums`);
* county and state-by-year effects, and group-time effects within states: a ratio of two sums over states (`RatioSums`);
* group-time effects across states without covariates: means of treated and of comparison counties by cell (`CellSums`).

Two ways of drawing. **Resampled** states: drawn with replacement, a state drawn twice counts as two clusters. Each
specification's own estimate is taken off its treated county-years first; every estimator here moves by exactly what is
taken off and its error not at all, so that the null is imposed by centring the refitted estimate. **Signs**: outcomes
are replaced by what two-way effects without treatment leave of them, times +1 or -1 for a whole state, and refitted; for
the regressions this is the wild cluster bootstrap with the null imposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from analysis.estimation.inference import share_as_extreme, t_quantile

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.intp]
How = Literal["resampled", "signs"]

STATISTICS = ("median", "share", "mean_t")
LEVEL = 0.95
# Share of the specifications a draw must be able to estimate; one that cannot counts as extreme.
FEWEST = 0.5
# Of the largest: below it a state's treatment has no variation of its own.
NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Refit:
    """One specification refitted in every draw.

    Args:
        estimate: (R,), missing where it cannot be estimated.
        std_error: (R,), clustered by state; missing with the estimate, and where fewer than two different states hold
            treated counties: copies of one state are no second witness.
        df: (R,) clusters less one.
    """

    estimate: Array
    std_error: Array
    df: Array


class StateSums(Protocol):
    """What a specification needs of each state, on one list of S states for all specifications."""

    def refit(self, counts: Array) -> Refit:
        """Return the specification on states counted as often as ``counts`` (R, S) says."""

    def flip(self, signs: Array) -> Refit:
        """Return the specification on null-imposed residuals times ``signs`` (R, S) of +1 and -1."""

    def take(self, states: Codes) -> StateSums:
        """Return the sums of some states, or of all in another order."""


# --- regressions with year effects across states ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """Level indicators that some county connects, once county effects are out, by state.

    Args:
        treatment: (S, m) cross-products with treatment.
        outcome: (S, m) with the outcome.
        gram: (S, m * m) with one another.
        present: (S, m) rows of a level.
    """

    treatment: Array
    outcome: Array
    gram: Array
    present: Array


@dataclass(frozen=True, slots=True)
class LevelSums:
    """A regression on treatment with county effects and one other set of effects, by state.

    Args:
        treated: (S,) weighted squares of treatment, county effects out.
        crossed: (S,) weighted products of treatment and outcome, likewise.
        blocks: of levels.
        rows: (S,) county-years.
        holds: (S,) whether a state has a treated county-year.
    """

    treated: Array
    crossed: Array
    blocks: tuple[Block, ...]
    rows: Array
    holds: Flags

    def refit(self, counts: Array) -> Refit:
        """Return the regression on states counted ``counts`` (R, S) times."""
        product, square = self._products(counts)
        moves = square > NOTHING * self.treated.max(initial=0.0)
        total = (counts * np.where(moves, square, 0.0)).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = (counts * np.where(moves, product, 0.0)).sum(axis=1) / total
            scores = np.where(moves, product - estimate[:, None] * square, 0.0)
        n = counts @ self.rows
        levels = sum(((counts @ block.present) > 0).sum(axis=1) for block in self.blocks)
        return _finish(
            estimate, scores / _positive(total)[:, None], counts, moves, moves & self.holds, n, 1 + levels
        )

    def flip(self, signs: Array) -> Refit:
        """Return the regression on residuals of the effects alone times ``signs`` (R, S)."""
        one = np.ones((1, signs.shape[1]))
        product, square = (values[0] for values in self._products(one))
        moves = square > NOTHING * self.treated.max(initial=0.0)
        total = square[moves].sum()
        estimate = signs @ np.where(moves, product, 0.0) / total
        scores = signs * product
        for block in self.blocks:
            m = block.present.shape[1]
            gram = block.gram.reshape(-1, m, m)
            inverse = _inverse(gram.sum(axis=0)[None])[0]
            slope, level = inverse @ block.treatment.sum(axis=0), inverse @ block.outcome.sum(axis=0)
            # What levels take up of signed residuals, and how far own treatment is from being free of them in a state.
            taken = signs @ (block.outcome - gram @ level) @ inverse
            scores = scores - taken @ (block.treatment - gram @ slope).T
        scores = np.where(moves, scores - estimate[:, None] * square, 0.0)
        n = np.full(len(signs), self.rows.sum())
        levels = sum(int((block.present.sum(axis=0) > 0).sum()) for block in self.blocks)
        return _finish(
            estimate,
            scores / total,
            np.ones_like(signs),
            moves[None],
            (moves & self.holds)[None],
            n,
            1 + levels,
        )

    def take(self, states: Codes) -> LevelSums:
        """Return the sums of some states."""
        blocks = tuple(
            Block(one.treatment[states], one.outcome[states], one.gram[states], one.present[states])
            for one in self.blocks
        )
        treated, crossed = self.treated[states], self.crossed[states]
        return LevelSums(treated, crossed, blocks, self.rows[states], self.holds[states])

    def _products(self, counts: Array) -> tuple[Array, Array]:
        """Return a state's products of own treatment with own outcome and with itself in every draw, (R, S) each."""
        product = np.repeat(self.crossed[None], len(counts), axis=0)
        square = np.repeat(self.treated[None], len(counts), axis=0)
        for block in self.blocks:
            m = block.present.shape[1]
            inverse = _inverse((counts @ block.gram).reshape(-1, m, m))
            slope = np.einsum("rij,rj->ri", inverse, counts @ block.treatment)
            level = np.einsum("rij,rj->ri", inverse, counts @ block.outcome)
            product -= slope @ block.outcome.T + level @ block.treatment.T
            product += (slope[:, :, None] * level[:, None, :]).reshape(-1, m * m) @ block.gram.T
            square -= 2 * slope @ block.treatment.T
            square += (slope[:, :, None] * slope[:, None, :]).reshape(-1, m * m) @ block.gram.T
        return product, square


def level_sums(
    outcome: Array, treated: Array, weight: Array, county: Codes, level: Codes, state: Codes, states: int
) -> LevelSums:
    """Return a regression on treatment, county effects and effects of levels as sums over states.

    Args:
        outcome: (n,) a row a county-year.
        treated: (n,).
        weight: (n,) positive; only their ratios count.
        county: (n,) codes.
        level: (n,) codes of year, or of urban class and year.
        state: (n,) codes below ``states``; a county lies in one.
        states: S, of the list common to all specifications.

    Raises:
        ValueError: a weight that is not positive, or treatment that does not vary.

    Assumption: rows alone in a level stay in the count of rows, as a level in the count of effects; a draw does not look
    for new ones.

    Example:
        >>> county, year = np.repeat(np.arange(4), 2), np.tile(np.arange(2), 4)
        >>> treated = ((county < 2) & (year == 1)).astype(float)
        >>> outcome = np.array([1.0, 5, 2, 4, 1, 2, 3, 3])  # changes 4, 2 against 1, 0
        >>> sums = level_sums(outcome, treated, np.ones(8), county, year, county, 4)
        >>> sums.refit(np.ones((1, 4))).estimate.round(9).tolist()
        [2.5]
    """
    if not (weight > 0).all():
        raise ValueError("weights that are not positive; wanted positive ones")
    county = np.unique(county, return_inverse=True)[1]
    level = np.unique(level, return_inverse=True)[1]
    weight = weight / weight.mean()
    c, k = int(county.max()) + 1, int(level.max()) + 1
    crossing = sparse.coo_matrix((np.ones(len(county)), (county, c + level)), shape=(c + k, c + k))
    component = connected_components(crossing, directed=False)[1][c:]
    total = np.bincount(county, weight)

    def free(values: Array) -> Array:
        return np.asarray(values - (np.bincount(county, weight * values) / total)[county], dtype=float)

    y, d = free(outcome), free(treated.astype(float))

    def by_state(values: Array) -> Array:
        return np.asarray(np.bincount(state, values, minlength=states), dtype=float)

    square = by_state(weight * d * d)
    if not square.sum() > NOTHING * len(d):
        raise ValueError("treatment that does not vary within counties; wanted years of both kinds")
    place = np.zeros(k, dtype=np.intp)
    order = np.argsort(component[level], kind="stable")
    ends = np.searchsorted(component[level][order], np.arange(component.max() + 2))
    blocks = []
    for one in np.unique(component):
        members = np.flatnonzero(component == one)
        m = len(members)
        place[members] = np.arange(m)
        rows = order[ends[one] : ends[one + 1]]
        at, s, w = place[level[rows]], state[rows], weight[rows]
        cell = s * m + at

        def by_level(values: Array, cell: Codes = cell, m: int = m) -> Array:
            return np.asarray(np.bincount(cell, values, minlength=states * m), dtype=float).reshape(states, m)

        # County effects out of the indicators: less the outer product of a county's weights by level over its total.
        seen, first, home = np.unique(county[rows], return_index=True, return_inverse=True)
        mass = np.bincount(home * m + at, w, minlength=len(seen) * m).reshape(len(seen), m)
        outer = (mass[:, :, None] * (mass / total[seen][:, None])[:, None, :]).reshape(len(seen), m * m)
        belongs = sparse.coo_matrix(
            (np.ones(len(seen)), (s[first], np.arange(len(seen)))), (states, len(seen))
        )
        gram = np.asarray(-(belongs @ outer), dtype=float)
        gram[:, np.arange(m) * (m + 1)] += by_level(w)
        blocks.append(Block(by_level(w * d[rows]), by_level(w * y[rows]), gram, by_level(np.ones(len(rows)))))
    holds = by_state(treated.astype(float)) > 0
    return LevelSums(square, by_state(weight * d * y), tuple(blocks), by_state(np.ones(len(y))), holds)


def _inverse(gram: Array) -> Array:
    """Return generalised inverses of (R, m, m) cross-products: levels absent or not told apart get the smallest effects."""
    values, vectors = np.linalg.eigh(gram)
    good = values > NOTHING * np.maximum(values[:, -1:], 1e-300)
    with np.errstate(divide="ignore"):
        turned = vectors * np.where(good, 1 / np.where(good, values, 1.0), 0.0)[:, None, :]
    return np.asarray(turned @ vectors.transpose(0, 2, 1), dtype=float)


# --- ratios of two sums -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RatioSums:
    """An estimate that is one sum over states over another.

    Args:
        over: (S,) what a state adds above the line.
        under: (S,) below it; zero for a state that tells nothing.
        rows: (S,) county-years that the error factor of a regression counts; None for no such factor.
    """

    over: Array
    under: Array
    rows: Array | None = None

    def refit(self, counts: Array) -> Refit:
        """Return the ratio on states counted ``counts`` (R, S) times."""
        total = counts @ self.under
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = (counts @ self.over) / total
            scores = (self.over - estimate[:, None] * self.under) / total[:, None]
        return self._finish(estimate, scores, counts)

    def flip(self, signs: Array) -> Refit:
        """Return the ratio with what a state adds above the line times ``signs`` (R, S)."""
        total = self.under.sum()
        estimate = signs @ self.over / total
        scores = (signs * self.over - estimate[:, None] * self.under) / total
        return self._finish(estimate, scores, np.ones_like(signs))

    def take(self, states: Codes) -> RatioSums:
        """Return the sums of some states."""
        return RatioSums(
            self.over[states], self.under[states], None if self.rows is None else self.rows[states]
        )

    def _finish(self, estimate: Array, scores: Array, counts: Array) -> Refit:
        tells = (self.under > 0)[None]
        n = None if self.rows is None else counts @ self.rows
        return _finish(estimate, scores, counts, tells, tells, n, 2)


def within_state_sums(
    outcome: Array, treated: Array, weight: Array, county: Codes, year: Codes, state: Codes, states: int
) -> RatioSums:
    """Return a regression on treatment with county and state-by-year effects as sums over states.

    Args:
        outcome: (n,) a row a county-year.
        treated: (n,).
        weight: (n,) positive.
        county: (n,) codes.
        year: (n,) codes.
        state: (n,) codes below ``states``.
        states: S.

    Raises:
        ValueError: as in `level_sums`, and where treatment never differs within a state and year.

    Example:
        >>> county, year = np.repeat(np.arange(4), 2), np.tile(np.arange(2), 4)
        >>> treated = np.isin(county, [0, 2]) & (year == 1)
        >>> outcome = np.array([1.0, 5, 2, 4, 1, 2, 3, 3])  # changes 4 less 2, and 1 less 0
        >>> sums = within_state_sums(outcome, treated, np.ones(8), county, year, county // 2, 2)
        >>> sums.refit(np.ones((1, 2))).estimate.round(9).tolist()
        [1.5]
    """
    span = int(year.max()) + 1
    sums = level_sums(outcome, treated, weight, county, state * span + year, state, states)
    # Levels of a state are in no other, so that each state's own regression stands alone.
    product, square = (values[0] for values in sums._products(np.ones((1, states))))
    tells = square > NOTHING * sums.treated.max()
    if not tells.any():
        raise ValueError("treatment that never differs within a state and year; wanted states with both arms")
    return RatioSums(np.where(tells, product, 0.0), np.where(tells, square, 0.0), sums.rows)


# --- group-time effects -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CellSums:
    """Group-time effects across states after adoption, by state and cell of cohort, base year and year.

    Args:
        change: (S, K) weighted changes of treated counties.
        size: (S, K) their weights.
        other_change: (S, K) weighted changes of comparison counties.
        other_size: (S, K) their weights.
        moved: (K,) how much year effects without treatment move from the base year to the year.
    """

    change: Array
    size: Array
    other_change: Array
    other_size: Array
    moved: Array

    def refit(self, counts: Array) -> Refit:
        """Return the average effect on states counted ``counts`` (R, S) times."""
        own, other = counts @ self.change, counts @ self.other_change
        return self._finish(own, other, counts, None)

    def flip(self, signs: Array) -> Refit:
        """Return the average effect on residual changes times ``signs`` (R, S)."""
        left = self.change - self.size * self.moved
        other = self.other_change - self.other_size * self.moved
        return self._finish(signs @ left, signs @ other, np.ones_like(signs), (signs, left, other))

    def take(self, states: Codes) -> CellSums:
        """Return the sums of some states."""
        parts = (self.change, self.size, self.other_change, self.other_size)
        change, size, other_change, other_size = (part[states] for part in parts)
        return CellSums(change, size, other_change, other_size, self.moved)

    def _finish(
        self, own: Array, other: Array, counts: Array, signed: tuple[Array, Array, Array] | None
    ) -> Refit:
        a, b = counts @ self.size, counts @ self.other_size
        valid = (a > 0) & (b > 0)
        some_a, some_b = np.where(valid, a, 1.0), np.where(valid, b, 1.0)
        mean = np.where(valid, other / some_b, 0.0)
        share = np.where(valid, a / some_b, 0.0)
        use = valid.astype(float)
        n = (a * use).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate = ((own / some_a - mean) * a * use).sum(axis=1) / n
            # A state's part: treated changes less the comparison mean and the average effect, less its part in that mean.
            if signed is None:
                parts = use @ self.change.T - share @ self.other_change.T
            else:
                signs, left, others = signed
                parts = signs * (use @ left.T - share @ others.T)
            parts -= (mean * use) @ self.size.T + estimate[:, None] * (use @ self.size.T)
            parts += (share * mean) @ self.other_size.T
            scores = parts / n[:, None]
        entered = use @ (self.size + self.other_size).T > 0
        holds = use @ self.size.T > 0
        return _finish(estimate, scores, counts, entered, holds, None, 0)


def group_time_sums(
    outcome: Array,
    untreated: Flags,
    cohort: NDArray[np.int64],
    base: NDArray[np.int64],
    years: NDArray[np.int64],
    weight: Array,
    state: Codes,
    states: int,
    *,
    within: bool = False,
    never_treated: bool = False,
) -> CellSums | RatioSums:
    """Return the average of group-time effects over years from adoption on, without covariates, as sums over states.

    Every method is then the same difference of two changes. Cells average by the weight of their treated counties.

    Args:
        outcome: (C, T), missing where a county-year has no row.
        untreated: (C, T) years wholly before adoption, or of a never treated county.
        cohort: (C,) first treated year, 0 for never.
        base: (C,) last year wholly before adoption, 0 where there is none.
        years: (T,) sorted.
        weight: (C,) positive.
        state: (C,) codes below ``states``.
        states: S.
        within: compare within states; a cell then holds states with both arms.
        never_treated: compare with counties that never adopt alone.

    Raises:
        ValueError: no cell has both arms.

    Assumption: parallel trends, no anticipation.

    Source: Callaway and Sant'Anna (2021), Journal of Econometrics 225(2).

    Example:
        >>> outcome = np.array([[1.0, 5], [2, 4], [1, 2], [3, 3]])
        >>> untreated = np.array([[True, False]] * 2 + [[True, True]] * 2)
        >>> sums = group_time_sums(outcome, untreated, np.array([2014, 2014, 0, 0]), np.array([2013, 2013, 0, 0]),
        ...     np.array([2013, 2014]), np.ones(4), np.arange(4), 4)
        >>> sums.refit(np.ones((1, 4))).estimate.round(9).tolist()
        [2.5]
    """
    observed = np.isfinite(outcome)
    untreated = untreated & observed
    adopts = (cohort > 0) & (base > 0)
    cells: list[tuple[Array, Array, Array, Array]] = []
    places: list[tuple[int, int]] = []
    for g, b_year in sorted(set(zip(cohort[adopts].tolist(), base[adopts].tolist(), strict=True))):
        group = adopts & (cohort == g) & (base == b_year)
        b = int(np.searchsorted(years, b_year))
        arm_of = (cohort == 0) if never_treated else (cohort != g)
        for t in range(len(years)):
            treated = group & observed[:, t] & observed[:, b]
            if years[t] < g or not treated.any():
                continue
            arm = arm_of & untreated[:, t] & untreated[:, b]
            change = outcome[:, t] - outcome[:, b]
            sums = [
                np.bincount(state[rows], values, minlength=states).astype(float)
                for rows in (treated, arm)
                for values in (weight[rows] * change[rows], weight[rows])
            ]
            if within:
                both = (sums[1] > 0) & (sums[3] > 0)
                sums = [np.where(both, one, 0.0) for one in sums]
            if sums[1].any() and sums[3].any():
                cells.append((sums[0], sums[1], sums[2], sums[3]))
                places.append((b, t))
    if not cells:
        raise ValueError(
            "no cell with treated and comparison counties; wanted both arms before and after adoption"
        )
    change, size, other_change, other_size = (np.column_stack(part) for part in zip(*cells, strict=True))
    if within:
        mean = np.divide(other_change, other_size, out=np.zeros_like(size), where=other_size > 0)
        return RatioSums((change - size * mean).sum(axis=1), size.sum(axis=1))
    effects = year_effects(outcome, weight)
    moved = np.array([effects[t] - effects[b] for b, t in places])
    return CellSums(change, size, other_change, other_size, moved)


def year_effects(outcome: Array, weight: Array) -> Array:
    """Return year effects beside county effects, by weighted least squares, (T,); their mean is zero.

    Args:
        outcome: (C, T), missing where a county-year has no row.
        weight: (C,).

    Example:
        >>> year_effects(np.array([[1.0, 3.0], [5.0, np.nan], [2.0, 6.0]]), np.ones(3)).round(9).tolist()
        [-1.5, 1.5]
    """
    seen = np.isfinite(outcome)
    w = np.where(seen, weight[:, None], 0.0)
    total = w.sum(axis=1)
    total = np.where(total > 0, total, 1.0)
    filled = np.where(seen, outcome, 0.0)
    gram = np.diag(w.sum(axis=0)) - (w / total[:, None]).T @ w
    free = filled - ((w * filled).sum(axis=1) / total)[:, None]
    return np.asarray(_inverse(gram[None])[0] @ (w * free).sum(axis=0), dtype=float)


# --- errors -------------------------------------------------------------------------------------------------------


def _positive(values: Array) -> Array:
    return np.where(values > 0, values, np.nan)


def _finish(
    estimate: Array,
    scores: Array,
    counts: Array,
    entered: Flags,
    holds: Flags,
    rows: Array | None,
    counted: int | Array,
) -> Refit:
    """Return estimates with errors by state, each copy of a state a cluster.

    Args:
        estimate: (R,).
        scores: (R, S) a state's contribution.
        counts: (R, S).
        entered: (R, S) or (1, S) states that enter.
        holds: likewise, states that hold treated counties among those.
        rows: (R,) county-years of the factor (N - 1) / (N - k), or None for none.
        counted: k.
    """
    drawn = counts > 0
    clusters = (counts * entered).sum(axis=1)
    usable = np.isfinite(estimate) & ((drawn & holds).sum(axis=1) >= 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (counts * np.where(entered, scores, 0.0) ** 2).sum(axis=1) * clusters / (clusters - 1)
        if rows is not None:
            variance = variance * (rows - 1) / (rows - counted)
        error = np.sqrt(variance)
    usable &= error > 0
    return Refit(np.where(usable, estimate, np.nan), np.where(usable, error, np.nan), clusters - 1.0)


# --- the curve ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Curve:
    """Specifications refitted in the same draws.

    Args:
        percent: (R, n) effect in per cent of the mean, missing where it cannot be estimated.
        t: (R, n) effect over its error.
        sign: (R, n) -1 or 1 where the effect differs from zero at 5 %, else 0.
    """

    percent: Array
    t: Array
    sign: Array

    def statistics(self, chosen: Flags | None = None) -> Array:
        """Return the statistics of every draw over the chosen specifications, (R, 3) as in ``STATISTICS``.

        A specification that a draw cannot estimate leaves that draw's statistics; a draw that cannot estimate half of
        them has none, and a test counts it as extreme.
        """
        use = np.ones(self.percent.shape[1], dtype=bool) if chosen is None else chosen
        percent, t, sign = self.percent[:, use], self.t[:, use], self.sign[:, use]
        known = np.isfinite(percent)
        n = known.sum(axis=1)
        out = np.full((len(percent), len(STATISTICS)), np.nan)
        enough = n >= max(FEWEST * percent.shape[1], 1)
        n = np.maximum(n, 1)
        if enough.any():
            out[enough, 0] = np.nanmedian(percent[enough], axis=1)
        share = np.maximum((sign > 0).sum(axis=1), (sign < 0).sum(axis=1)) / n
        out[enough, 1] = share[enough]
        out[enough, 2] = (np.nansum(t, axis=1) / n)[enough]
        return out


@dataclass(frozen=True, slots=True)
class CurveTest:
    """A joint test of the null that no specification has an effect.

    Args:
        how: resampled (states with replacement) or signs (of whole states).
        draws: number of draws.
        specifications: number tested together.
        observed: (3,) the statistics of ``STATISTICS``: median effect in per cent of the mean; share of specifications
            that differ from zero at 5 % in the direction in which more do; mean of t.
        p_value: (3,) two-sided.
        drawn: (B, 3) the statistics under the null; missing in a draw that cannot estimate half of the specifications.
        missing: pairs of draw and specification without an estimate.
        refused: draws without statistics; they count as extreme.
    """

    how: str
    draws: int
    specifications: int
    observed: Array
    p_value: Array
    drawn: Array
    missing: int
    refused: int


def draw_states(states: int, draws: int, rng: np.random.Generator, how: How) -> Array:
    """Return numbers a state in every draw, (draws, states): how often it is drawn, or its sign.

    Example:
        >>> draw_states(4, 1, np.random.default_rng(1), "resampled").sum()
        np.float64(4.0)
    """
    if how == "resampled":
        return rng.multinomial(states, np.full(states, 1 / states), size=draws).astype(float)
    return rng.choice([-1.0, 1.0], size=(draws, states))


def observed_curve(
    sums: Sequence[StateSums], baseline: Array, logs: Flags, states: int
) -> tuple[Curve, Array, Array]:
    """Return the specifications as they stand: a curve of one draw, their estimates (n,) and errors (n,).

    Args:
        sums: (n) specifications.
        baseline: (n,) mean each effect is a per cent of; not looked at in logs.
        logs: (n,) effects in log points.
        states: S.
    """
    found = [one.refit(np.ones((1, states))) for one in sums]
    estimate = np.array([float(one.estimate[0]) for one in found])
    error = np.array([float(one.std_error[0]) for one in found])
    return _curve(found, np.zeros(len(found)), baseline, logs), estimate, error


def null_curve(
    sums: Sequence[StateSums], estimate: Array, baseline: Array, logs: Flags, numbers: Array, how: How
) -> Curve:
    """Return the specifications under the null in every draw.

    Args:
        sums: (n) specifications.
        estimate: (n,) their own, taken off where states are resampled.
        baseline: (n,) as in `observed_curve`.
        logs: (n,).
        numbers: (R, S) from `draw_states`, the same for all specifications.
        how: of those numbers.
    """
    found = [one.refit(numbers) if how == "resampled" else one.flip(numbers) for one in sums]
    centre = estimate if how == "resampled" else np.zeros(len(estimate))
    return _curve(found, centre, baseline, logs)


def _curve(found: Sequence[Refit], centre: Array, baseline: Array, logs: Flags) -> Curve:
    effect = np.column_stack([one.estimate for one in found]) - centre
    error = np.column_stack([one.std_error for one in found])
    df = np.column_stack([one.df for one in found])
    t = effect / error
    whole = np.maximum(df, 1).astype(int)
    critical = np.array([t_quantile(LEVEL, d) for d in range(1, int(whole.max()) + 1)])[whole - 1]
    percent = np.where(
        logs, 100 * np.expm1(np.where(logs, effect, 0.0)), 100 * effect / np.where(logs, 1.0, baseline)
    )
    return Curve(percent, t, np.where(np.abs(t) > critical, np.sign(t), 0.0))


def curve_test(observed: Curve, drawn: Curve, how: How, chosen: Flags | None = None) -> CurveTest:
    """Return the joint test of the chosen specifications.

    Args:
        observed: from `observed_curve`.
        drawn: from `null_curve`.
        how: of the draws.
        chosen: (n,) specifications; all by default.

    Returns:
        A `CurveTest`. p-values are (1 + draws at least as extreme) / (1 + draws).

    Assumption: states are independent and many enough; with treatment in few states the test rejects a true null more
    often than it says, by how much is for a simulation on the panel at hand to tell.

    Source: Simonsohn, Simmons and Nelson (2020), Nature Human Behaviour 4.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> sums = [RatioSums(rng.normal(0.2, 1.0, 30), np.ones(30)) for _ in range(5)]
        >>> plain, none = np.ones(5), np.zeros(5, dtype=bool)
        >>> seen, own, _ = observed_curve(sums, plain, none, 30)
        >>> numbers = draw_states(30, 99, rng, "resampled")
        >>> test = curve_test(seen, null_curve(sums, own, plain, none, numbers, "resampled"), "resampled")
        >>> test.specifications, test.refused, bool((test.p_value > 0.01).all())
        (5, 0, True)
    """
    use = np.ones(observed.percent.shape[1], dtype=bool) if chosen is None else chosen
    if not use.any():
        raise ValueError("no specification; wanted at least one")
    seen, null = observed.statistics(use)[0], drawn.statistics(use)
    p_value = np.array(
        [share_as_extreme(null[:, j], float(seen[j])) if np.isfinite(seen[j]) else np.nan for j in range(3)]
    )
    return CurveTest(
        how=how,
        draws=len(null),
        specifications=int(use.sum()),
        observed=seen,
        p_value=p_value,
        drawn=null,
        missing=int(np.isnan(drawn.percent[:, use]).sum()),
        refused=int(np.isnan(null[:, 0]).sum()),
    )

"""Matching counties on what they did before adoption, one match a cohort: arrays in, arrays out.

Each adopting cohort is matched once, and the same pairs carry all of its years. A comparison county may therefore
serve a cohort only if it is untreated and observed in every year in which the cohort has a row: leads and effects
then rest on the same counties, and no path bends because its comparison changed. The price is that a county that
adopts later within the window serves no cohort; one that adopts after the window may.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.distances import (
    COORDINATES,
    mahalanobis_coordinates,
    standard_deviations,
    standardised_coordinates,
)
from analysis.estimation.matching.nearest import Matches, nearest_neighbours
from analysis.estimation.matching.propensity import fit_logit
from analysis.estimation.matching.variance import influence, matched_difference

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.intp]

MATCH_ON = ("covariates", "outcome_lags", "outcome_trend")
DISTANCES = ("mahalanobis", "robust_mahalanobis", "euclidean", "scaled_euclidean", "propensity")
# A column whose spread is below this share of its largest entry varies by rounding alone.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Trajectories:
    """A staggered panel as arrays: n counties in rows, T years in columns.

    Args:
        years: (T,) sorted.
        outcome: (n, T), missing where not observed.
        event_time: (n, T), missing where never treated or not observed.
        never: (n,).
        cohort: (n,) first treated year, 0 for never.
        base: (n,) last year wholly before adoption and anticipation; 0 where unknown.
        weights: (n,) of treated counties in the average.
        covariates: (n, p) fixed in time.
        names: of the p covariates.
        exact: (n,) codes a match never crosses, or None.
    """

    years: NDArray[np.int64]
    outcome: Array
    event_time: Array
    never: Flags
    cohort: NDArray[np.int64]
    base: NDArray[np.int64]
    weights: Array
    covariates: Array
    names: tuple[str, ...]
    exact: Index | None


@dataclass(frozen=True, slots=True)
class MatchRules:
    """How a cohort is matched.

    Args:
        match_on: some of MATCH_ON.
        lag_years: years up to the base year whose outcomes, or whose fitted slope, are matched on.
        distance: one of DISTANCES; euclidean takes columns as they are, scaled_euclidean in standard deviations.
        neighbours: comparison counties a treated county.
        replacement: whether a comparison county may serve several treated counties of a cohort; it may always
            serve several cohorts.
        caliper: largest difference, in standard deviations of each column (of the linear predictor for
            propensity); 0 for none.
        comparison: never_treated | not_yet_treated.
    """

    match_on: tuple[str, ...]
    lag_years: int
    distance: str
    neighbours: int
    replacement: bool
    caliper: float
    comparison: str


@dataclass(frozen=True, slots=True)
class CohortMatch:
    """One cohort with one base year, and its match.

    Args:
        cohort: first treated year.
        base: year its changes are counted from.
        members: (n,) treated counties of the cohort with this base.
        columns: columns of the panel in which the cohort has rows, the base among them.
        lags: columns matched on, the base last; empty where outcomes are not matched on.
        pool: (n,) comparison counties that may serve.
        incomplete: (m,) members that lack an outcome in a year needed for the match.
        set_aside: comparison counties untreated throughout but not observed in every year of the cohort.
        matches: over all n rows, or None where there is no match.
        reason: why there is none, or "".
    """

    cohort: int
    base: int
    members: Flags
    columns: Index
    lags: Index
    pool: Flags
    incomplete: Index
    set_aside: int
    matches: Matches | None
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """The effect on one cohort in one year: its place, and (n,) influence and treated weights."""

    cohort: int
    base: int
    time: int
    event_time: int
    effect: float
    influence: Array
    treated: Array
    reason: str


def fitted_slope(outcome: Array, years: Sequence[int] | NDArray[np.int64]) -> Array:
    """Return the least-squares slope of each row's outcomes on the years, (n,), in outcome units a year.

    Args:
        outcome: (n, L).
        years: (L,), at least two different ones.

    Raises:
        ValueError: fewer than two years.

    Example:
        >>> fitted_slope(np.array([[1.0, 3.0, 5.0], [4.0, 4.0, 4.0]]), [2010, 2011, 2012])
        array([2., 0.])
    """
    centred = np.asarray(years, dtype=float) - np.mean(years)
    if not (centred**2).sum() > 0:
        raise ValueError(f"a slope over {len(centred)} year; wanted at least two different years")
    return (outcome - outcome.mean(axis=1, keepdims=True)) @ centred / (centred**2).sum()


def features(
    panel: Trajectories, lags: Index, match_on: Sequence[str]
) -> tuple[Array, tuple[str, ...], Array]:
    """Return what a cohort is matched on.

    Args:
        panel: n counties.
        lags: columns of the matched years, the base last.
        match_on: some of MATCH_ON; columns come in the order of MATCH_ON.

    Returns:
        Columns (n, k), missing where an outcome is; their names; and (k,) the size of the numbers each is made
        of, against which its spread is judged.

    Example:
        >>> panel = Trajectories(
        ...     np.array([2010, 2011]), np.array([[1.0, 3.0]]), np.full((1, 2), np.nan),
        ...     np.ones(1, bool), np.zeros(1, int), np.zeros(1, int), np.ones(1), np.array([[7.0]]), ("poverty",), None)
        >>> x, names, _ = features(panel, np.array([0, 1]), ("covariates", "outcome_lags", "outcome_trend"))
        >>> x.tolist(), names
        ([[7.0, 1.0, 3.0, 2.0]], ('poverty', 'outcome in 2010', 'outcome in 2011', 'outcome trend'))
    """
    path, years = panel.outcome[:, lags], panel.years[lags]
    parts: list[Array] = []
    names: list[str] = []
    sizes: list[Array] = []
    level = np.nanmax(np.abs(path), initial=0.0)
    if "covariates" in match_on:
        parts.append(panel.covariates)
        names += panel.names
        sizes.append(np.abs(panel.covariates).max(axis=0, initial=0.0))
    if "outcome_lags" in match_on:
        parts.append(path)
        names += [f"outcome in {year}" for year in years]
        sizes.append(np.full(len(years), level))
    if "outcome_trend" in match_on:
        parts.append(fitted_slope(path, years)[:, None])
        names.append("outcome trend")
        sizes.append(np.array([level]))
    return np.hstack(parts), tuple(names), np.concatenate(sizes)


def match_coordinates(x: Array, treated: Flags, distance: str) -> tuple[Array, Array]:
    """Return coordinates of a distance, and the columns a caliper applies to.

    Args:
        x: (n, k).
        treated: (n,), read by the propensity score alone.
        distance: one of DISTANCES.

    Raises:
        ValueError: dependent columns, or a propensity model that separates the arms.

    Source: Rubin (1980), Biometrics 36(2), for the Mahalanobis distance; Rosenbaum and Rubin (1985), American
    Statistician 39(1), for the linear predictor.

    Example:
        >>> match_coordinates(np.array([[0.0], [2.0]]), np.array([True, False]), "scaled_euclidean")[0].round(4).ravel()
        array([-0.7071,  0.7071])
    """
    if distance in COORDINATES:
        return COORDINATES[distance](x), x
    # The logit is fitted on uncorrelated columns: what it predicts is the same, and dependence has a name.
    fit = fit_logit(np.column_stack([np.ones(len(x)), mahalanobis_coordinates(x)]), treated)
    if not fit.converged:
        raise ValueError("the propensity model separates the arms")
    linear = fit.linear[:, None]
    return standardised_coordinates(linear), linear


def cohorts(panel: Trajectories) -> Iterator[tuple[int, int, Flags]]:
    """Yield cohort, base year and (n,) members of each group that is observed after adoption.

    A base year that is not among the panel's years is replaced by the nearest earlier one that is; counties
    without one have no base and belong to no group.
    """
    after = (np.nan_to_num(panel.event_time, nan=-1.0) >= 0).any(axis=1)
    place = np.searchsorted(panel.years, panel.base, side="right") - 1
    base = np.where(place >= 0, panel.years[np.maximum(place, 0)], 0)
    usable = ~panel.never & (panel.base > 0) & (place >= 0)
    for cohort, year in sorted(
        {(int(c), int(b)) for c, b in zip(panel.cohort[usable], base[usable], strict=True)}
    ):
        members = usable & (panel.cohort == cohort) & (base == year)
        if (after & members).any():
            yield cohort, year, members


def matched_columns(panel: Trajectories, base: int, rules: MatchRules) -> Index:
    """Return the columns of the last ``lag_years`` years of the panel up to the base, the base last.

    Empty where outcomes are not matched on.

    Raises:
        ValueError: fewer years before adoption than that.
    """
    if not {"outcome_lags", "outcome_trend"} & set(rules.match_on):
        return np.array([], dtype=np.intp)
    b = int(np.searchsorted(panel.years, base))
    if b + 1 < rules.lag_years:
        raise ValueError(f"{b + 1} of {rules.lag_years} years to match on lie in the window before adoption")
    return np.arange(b + 1 - rules.lag_years, b + 1)


def match_cohorts(panel: Trajectories, rules: MatchRules) -> list[CohortMatch]:
    """Match each cohort to comparison counties on what both were before the cohort adopted.

    A treated county needs an outcome in the base year and in every year matched on; a comparison county one in
    every year in which the cohort has a row, all of them untreated. Each group of a cohort and a base year is
    matched for itself, on its own years: means, variances, ranks and propensity are those of its treated
    counties and the comparison counties that may serve it.

    Args:
        panel: n counties.
        rules: see `MatchRules`.

    Returns:
        A `CohortMatch` a group, by cohort and base; one that cannot be matched says why.

    Raises:
        ValueError: nothing or something unknown to match on, no neighbour, a trend over one year, or a trend
            beside the lags it follows from where the distance cannot hold both.

    Assumption: counties alike in what they were matched on would have changed alike. Where adopters differ from
    others in lasting level, matching on outcomes picks counties whose last years were unlike them, which then
    move back: a bias that plain differences in differences do not have.

    Source: Heckman, Ichimura and Todd (1997), Review of Economic Studies 64(4), for matching with differences in
    differences; Imai, Kim and Wang (2023), American Journal of Political Science 67(3), for matching on outcome
    paths in panels; Daw and Hatfield (2018), Health Services Research 53(6), Chabé-Ferret (2015), Journal of
    Econometrics 185(1), and Ham and Miratrix (2022), arXiv:2205.08644, for the bias.

    Example:
        Counties 0 adopts in 2012; of 1 and 2, which never do, 2 is nearer in 2010 and 2011.

        >>> y = np.array([[5.0, 6.0, 9.0], [1.0, 1.0, 2.0], [5.0, 5.5, 6.0]])
        >>> never, nan = np.array([False, True, True]), np.nan
        >>> panel = Trajectories(
        ...     np.array([2010, 2011, 2012]), y, np.array([[-2.0, -1, 0], [nan] * 3, [nan] * 3]),
        ...     never, np.array([2012, 0, 0]), np.array([2011, 0, 0]),
        ...     np.ones(3), np.zeros((3, 0)), (), None)
        >>> rules = MatchRules(("outcome_lags",), 2, "euclidean", 1, True, 0.0, "never_treated")
        >>> found = match_cohorts(panel, rules)[0]
        >>> found.matches.comparison.tolist(), [cell.effect for cell in estimate_cells(panel, [found])]
        ([2], [-0.5, 2.5])
    """
    _check(rules)
    return [_match_cohort(panel, rules, *group) for group in cohorts(panel)]


def _check(rules: MatchRules) -> None:
    unknown = [name for name in rules.match_on if name not in MATCH_ON]
    if unknown or not rules.match_on:
        raise ValueError(f"match_on = {list(rules.match_on)}; wanted some of {', '.join(MATCH_ON)}")
    if rules.distance not in DISTANCES:
        raise ValueError(f"distance = {rules.distance!r}; wanted one of {', '.join(DISTANCES)}")
    if rules.neighbours < 1 or rules.lag_years < 1:
        raise ValueError(
            f"neighbours = {rules.neighbours}, lag_years = {rules.lag_years}; wanted at least 1 of each"
        )
    if "outcome_trend" in rules.match_on and rules.lag_years < 2:
        raise ValueError("lag_years = 1 with outcome_trend; wanted at least 2 years for a slope")
    both = {"outcome_lags", "outcome_trend"} <= set(rules.match_on)
    if both and rules.distance in ("mahalanobis", "propensity"):
        raise ValueError(
            f"outcome_trend beside outcome_lags with distance = {rules.distance}: the slope follows from the lags "
            "and adds nothing; wanted one of the two, or another distance"
        )


def _match_cohort(
    panel: Trajectories, rules: MatchRules, cohort: int, base: int, members: Flags
) -> CohortMatch:
    observed = np.isfinite(panel.outcome)
    columns = np.flatnonzero(observed[members].any(axis=0))
    # A later adopter serves where its own base year is not before the cohort's last year.
    through = panel.never | (panel.base >= panel.years[columns[-1]])
    if rules.comparison == "never_treated":
        through = panel.never
    pool = through & observed[:, columns].all(axis=1)
    aside = int((through & ~pool).sum())
    b = int(np.searchsorted(panel.years, base))
    lags = np.array([], dtype=np.intp)
    incomplete = np.flatnonzero(members & ~observed[:, b])
    matches = None
    reason = ""
    try:
        lags = matched_columns(panel, base, rules)
        incomplete = np.flatnonzero(members & ~(observed[:, b] & observed[:, lags].all(axis=1)))
        matches = _match(panel, rules, members, incomplete, pool, lags)
    except ValueError as error:
        reason = str(error)
    return CohortMatch(cohort, base, members, columns, lags, pool, incomplete, aside, matches, reason)


def _match(
    panel: Trajectories, rules: MatchRules, members: Flags, incomplete: Index, pool: Flags, lags: Index
) -> Matches:
    treated = members.copy()
    treated[incomplete] = False
    if not treated.any():
        raise ValueError("no treated county is observed in every year matched on")
    if not pool.any():
        raise ValueError("no comparison county is untreated and observed in every year of the cohort")
    rows = np.flatnonzero(treated | pool)
    x, names, sizes = features(panel, lags, rules.match_on)
    x, d = x[rows], treated[rows]
    flat = [
        name
        for name, spread, size in zip(names, x.std(axis=0), sizes, strict=True)
        if spread <= ROUNDING * size
    ]
    if flat:
        raise ValueError(f"{', '.join(flat)} does not vary among the cohort and its comparison counties")
    coordinates, measured = match_coordinates(x, d, rules.distance)
    found = nearest_neighbours(
        coordinates,
        d,
        neighbours=rules.neighbours,
        replacement=rules.replacement,
        strata=None if panel.exact is None else panel.exact[rows],
        calipers=(measured, rules.caliper * standard_deviations(measured)) if rules.caliper > 0 else None,
    )
    if not len(found.treated):
        raise ValueError(
            "no treated county has enough comparison counties within the caliper and exact groups"
        )
    return Matches(
        rows[found.treated], rows[found.comparison], found.share, found.distance, rows[found.dropped]
    )


def matched_change(change: Array, matches: Matches, weights: Array) -> tuple[float, Array, Array]:
    """Return how much more treated counties changed than their matches, and what each county adds to the error.

    Args:
        change: (n,) outcome in the year less that in the base year; treated counties with a missing one are left
            out together with their matches' shares.
        matches: who was matched to whom; taken as given.
        weights: (n,) of treated counties.

    Returns:
        The effect (missing where no treated county is left), (n,) influence, and (n,) weight of treated counties,
        0 for matches, missing for others.

    Source: Heckman, Ichimura and Todd (1997), Review of Economic Studies 64(4); Imai, Kim and Wang (2023),
    American Journal of Political Science 67(3).

    Example:
        >>> m = Matches(np.array([0, 0]), np.array([1, 2]), np.array([0.5, 0.5]), np.zeros(2), np.array([], int))
        >>> effect, _, treated = matched_change(np.array([4.0, 1.0, 2.0, 9.0]), m, np.ones(4))
        >>> effect, treated.tolist()
        (2.5, [1.0, 0.0, 0.0, nan])
    """
    kept = np.isfinite(change[matches.treated])
    if not kept.any():
        empty = np.full(len(change), np.nan)
        return float("nan"), empty, empty
    there = Matches(
        matches.treated[kept],
        matches.comparison[kept],
        matches.share[kept],
        matches.distance[kept],
        matches.dropped,
    )
    # Rows that do not enter have weight zero; a missing value times zero would still be missing.
    y = np.nan_to_num(change)
    treated = np.full(len(change), np.nan)
    treated[there.comparison] = 0.0
    treated[there.treated] = weights[there.treated]
    return matched_difference(y, there, weights).estimate, influence(y, there, weights), treated


def estimate_cells(panel: Trajectories, matched: Sequence[CohortMatch]) -> list[Cell]:
    """Return the effect on each cohort in each year other than its base, by cohort, base and year.

    A cohort without a match keeps its cells, with missing effects and the reason.

    Args:
        panel: n counties.
        matched: from `match_cohorts`.
    """
    empty = np.full(len(panel.never), np.nan)
    cells: list[Cell] = []
    for group in matched:
        b = int(np.searchsorted(panel.years, group.base))
        for t in group.columns:
            if t == b:
                continue
            event_time = int(np.nanmax(panel.event_time[group.members, t]))
            place = (group.cohort, group.base, int(panel.years[t]), event_time)
            if group.matches is None:
                cells.append(Cell(*place, np.nan, empty, empty, group.reason))
                continue
            change = panel.outcome[:, t] - panel.outcome[:, b]
            effect, contribution, treated = matched_change(change, group.matches, panel.weights)
            reason = "" if np.isfinite(effect) else "no matched treated county is observed"
            cells.append(Cell(*place, effect, contribution, treated, reason))
    return cells

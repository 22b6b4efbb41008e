"""Border pairs: adopters against the untreated counties they touch, and against nobody else.

Along a border two counties share much that moves crime and that no covariate holds: an economy, a housing market, a
court, a television station. Every pair of an adopter and an untreated neighbour is a small panel of its own, and so is
every border segment: an adopter with all its untreated neighbours in one state (its own, or one across the line; an
adopter at a corner has several segments). Effects by pair or segment and year leave only the difference between the
adopter and its neighbours in a year, effects of each county in a pair or segment only how that difference changes.

Neighbours are also where a policy's effect would go: what it drives across the border is taken for an effect of the
opposite sign on the other side. So the estimate is the effect plus the displacement (protocol rule 15).

A group is an adopter with all its untreated neighbours, in whatever state. Groups are the rows of two regressions more, as
Arellano-Bover and Biasi (2018) run them: one effect of each county, however many groups it is in, beside effects of the
year (``county_year``) or of the group in a year (``group_by_year``).

A county repeats as often as it borders. A row weighs the county's weight over the number of pairs (or segments, or groups)
the county is in, so each county counts as it would anywhere else in the study; or, where asked, its whole weight in each.
What repeats is no new information, so errors never treat pairs as independent: they are clustered by the state of the row's
county, by segment (of groups: by group), or by both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import (
    FEW_TREATED_CLUSTERS,
    Estimate,
    Inference,
    cluster_labels,
    make_estimate,
    record,
    tabulate,
)
from analysis.estimation.inference import cluster_variance, simultaneous_critical_value, t_quantile
from analysis.estimation.panel_arrays.effects import Codes, fit_lines, make_effects, make_lines, residuals
from analysis.estimation.panel_arrays.panel import LongPanel, read_design
from analysis.estimation.panel_arrays.regression import Inverse, invert

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

EFFECTS = {
    "pair_by_year": "pair",
    "segment_by_year": "segment",
    "group_by_year": "group",
    "county_year": "group",
}
# Effects beside which a county has one effect, however many groups it is in.
ONE_EFFECT_A_COUNTY = ("group_by_year", "county_year")
# Two years make a line that fits them exactly and tells nothing of its own error.
FEWEST_LINE_YEARS = 3
METHODS = ("post", "event_time")
NEIGHBOURS = {
    "all": "in its own state or another",
    "same_state": "in its own state",
    "other_state": "in another state",
}
BY = ("state", "segment", "state_and_segment")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Adopters and untreated counties they touch.

    Args:
        adopter: (P,) codes of the panel's counties.
        neighbour: (P,) likewise; never treated, or of a later cohort.
        segment: (P,) codes from 0: the adopter and the neighbour's state.
        usable: (P, T) years in which both are observed and the neighbour is untreated.
    """

    adopter: Codes
    neighbour: Codes
    segment: Codes
    usable: Flags

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.adopter)


@dataclass(frozen=True, slots=True)
class Borders:
    """The panel of pairs or of segments, called groups: a row a group, county and year.

    Args:
        row: (n,) row of the panel.
        group: (n,) codes from 0 to G - 1.
        member: (n,) codes of group and county, from 0.
        level: (n,) codes of group and year, from 0.
        segment: (n,) codes; of groups the group.
        own: (n,) whether the row is the adopter's.
        time: (n,) event time of the group's adopter.
        weight: (n,) the county's weight over the number of groups it is in, or the whole of it.
    """

    row: Codes
    group: Codes
    member: Codes
    level: Codes
    segment: Codes
    own: Flags
    time: Array
    weight: Array

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.row)

    def rows(self, keep: Flags) -> Borders:
        """Return some of the rows, codes from 0 again."""
        group, member, level, segment = (
            np.unique(codes[keep], return_inverse=True)[1].astype(np.intp)
            for codes in (self.group, self.member, self.level, self.segment)
        )
        return Borders(
            self.row[keep], group, member, level, segment, self.own[keep], self.time[keep], self.weight[keep]
        )


def fit(design: Design) -> Estimate:
    """Estimate the effect on adopters, beside the untreated counties they touch.

    Args:
        design: a panel with ``geography``. ``estimator.effects`` pair_by_year or segment_by_year, beside an effect of
            each county in a pair or segment; group_by_year or county_year, beside one effect of each county;
            ``estimator.method`` post (one coefficient) or event_time; ``estimator.neighbours`` all, same_state or
            other_state; ``estimator.span`` years before and after adoption that are kept; ``estimator.trends`` county (a
            line of each county in a group, fitted on the years before adoption, is taken off); ``estimator.repeats``
            shared or whole weights of counties in several groups; ``treatment.comparison`` never_treated or
            not_yet_treated (a pair of two adopters then ends when the second adopts); ``controls.policies``;
            covariates, each with its own effect in every year.

    Returns:
        An Estimate of estimand ``att`` (one row) or ``event_time``, the last year wholly before adoption the base.
        Without controls the one coefficient averages the pairs' own before-after differences with weights that are
        never negative: a later adopter is never what an earlier one is held against, once treated. Errors are
        clustered by the state of the row's county, by segment, or by both (Cameron, Gelbach and Miller; where that is
        below one of the two alone, the largest). ``treated`` marks adopters; a later adopter that is only a neighbour
        is a comparison county. ``influence`` is given by state alone: a county lies in several segments.

    Raises:
        SpecError: a key it cannot honour.
        SampleError: no table of neighbours, or no pair observed together before and after adoption.

    Assumption: on the two sides of a border crime would have changed alike, and the policy moves nothing across it; if
    it does, the estimate is the effect plus what moved.

    Source: Dube, Lester and Reich (2010), Review of Economics and Statistics 92(4); Arellano-Bover and Biasi (2018).

    Example:
        ``fit(design.replace({"estimator.neighbours": "other_state"}))``: across state lines alone.
    """
    _refuse(design)
    spec = design.spec
    panel = read_design(design)
    which = _which(design)
    pairs = find_pairs(
        panel, design.geography.neighbours, which, never_alone=spec.treatment.comparison == "never_treated"
    )
    asked = spec.estimator
    effects = asked.effects or ""
    dynamic = asked.method == "event_time"
    reference = -1 - panel.anticipation
    lines = asked.trends == "county"
    borders = make_borders(
        panel, pairs, EFFECTS[effects], every_year=dynamic, span=asked.span, lines=lines, whole=asked.repeats == "whole"
    )  # fmt: skip
    if not len(borders):
        before = f" {FEWEST_LINE_YEARS} years" if lines else ""
        raise SampleError(
            f"no pair of an adopter and an untreated neighbour {NEIGHBOURS[which]} is observed{before} before and after "
            "adoption",
            "adopters that touch a comparison county",
            "sample, treatment or estimator.neighbours",
        )
    outcome = panel.outcome[borders.row]
    if lines:
        outcome = without_lines(
            outcome,
            borders.member,
            panel.years[panel.year[borders.row]],
            borders.time,
            borders.weight,
            reference,
        )
        near = _near(borders.time, asked.span, panel.anticipation)
        borders, outcome = borders.rows(near), outcome[near]
    time = np.where(borders.own, panel.event_time[borders.row], np.nan)
    times = np.array([t for t in np.unique(time[np.isfinite(time)]).astype(int) if t != reference], dtype=int)
    columns = time[:, None] == times if dynamic else (time >= 0)[:, None]
    found = _regress(panel, borders, outcome, columns, effects)
    if np.isnan(found.coefficient).all():
        raise SampleError(
            "treatment does not vary beyond the controls and covariates",
            "fewer of them, or more pairs",
            "controls.policies or covariates.names",
        )
    county = panel.county[borders.row]
    states = cluster_labels(panel.counties, "state")[county]
    nested = spec.inference.by != "state"
    crossing = _crosses(borders, states)
    if effects == "county_year":
        loose = len(np.unique(panel.year[borders.row]))
    else:
        loose = 1 if nested or not crossing.any() else len(np.unique(borders.level[crossing]))
    counted = found.rank + loose
    scores = found.scores * np.sqrt((len(borders) - 1) / (len(borders) - counted))
    seats = np.full((len(panel.counties), columns.shape[1]), np.nan)
    seats[np.unique(county)] = 0.0
    np.add.at(seats, county, panel.weight.mean() * borders.weight[:, None] * columns)
    seats[:, np.isnan(found.coefficient)] = np.nan
    rows = pd.DataFrame(
        {
            "term": [f"event_time={t}" for t in times] if dynamic else ["treated"],
            "cohort": pd.NA,
            "time": pd.NA,
            "event_time": times if dynamic else pd.NA,
            "estimate": found.coefficient,
        }
    )
    notes = [*panel.notes, *_notes(design, panel, pairs, borders, crossing, counted)]
    if np.isnan(found.coefficient).any():
        lost = ", ".join(str(t) for t in times[np.isnan(found.coefficient)])
        notes.append(f"not estimated, no variation beyond effects and controls: event times {lost}")
    estimand, base = ("event_time", reference) if dynamic else ("att", None)
    dropped = _dropped(panel, pairs, borders)
    if spec.inference.by == "state":
        influence = np.zeros_like(seats)
        np.add.at(influence, county, scores)
        return make_estimate(
            design, rows=rows, counties=panel.counties, influence=influence, treated=seats, estimand=estimand,
            reference=base, notes=notes, dropped=dropped,
        )  # fmt: skip
    table, vcov, inference, more = _by_segment(design, rows, scores, columns, seats, states, borders.segment)
    return record(
        design, table=table, vcov=vcov, influence=None, counties=panel.counties, treated=seats, estimand=estimand,
        reference=base, inference=inference, notes=[*notes, *more], dropped=dropped,
    )  # fmt: skip


def _refuse(design: Design) -> None:
    spec = design.spec
    asked = spec.estimator
    for found, wrong, wanted, where in (
        (f"border_pairs on a {design.kind}", design.kind != "panel", "a panel", "design.kind"),
        (f"estimator.effects = {asked.effects!r}", asked.effects not in EFFECTS, " or ".join(EFFECTS),
         "estimator.effects"),
        (f"estimator.method = {asked.method!r}", asked.method not in METHODS, " or ".join(METHODS),
         "estimator.method"),
        (f"estimator.neighbours = {asked.neighbours!r}", asked.neighbours not in (None, *NEIGHBOURS),
         " or ".join(NEIGHBOURS), "estimator.neighbours"),
        (f'inference.vcov = "{spec.inference.vcov}" with border_pairs', spec.inference.vcov != "cluster", '"cluster"',
         "inference.vcov"),
        (f'inference.by = "{spec.inference.by}" with border_pairs, whose counties repeat', spec.inference.by not in BY,
         " or ".join(BY), "inference.by"),
        ("states as areas with border_pairs", spec.design.area == "state", "counties", "design.area"),
    ):  # fmt: skip
        if wrong:
            raise SpecError(found, wanted, where)
    if design.geography.neighbours.empty:
        raise SampleError(
            "a panel without a table of neighbours",
            "one built with it",
            "the panel; run: python -m analysis reproduce",
        )


def _which(design: Design) -> str:
    return str(design.spec.estimator.neighbours or "all")


# --- pairs and segments
# ----------------------------------------------------------------------------------------------------


def find_pairs(panel: LongPanel, neighbours: pd.DataFrame, which: str, *, never_alone: bool) -> Pairs:
    """Return every adopter with each untreated county it touches.

    Args:
        panel: the panel.
        neighbours: county_fips, neighbour_fips, each pair both ways.
        which: all | same_state | other_state: where the neighbour lies.
        never_alone: whether never treated counties alone are neighbours; else also adopters of a later cohort, in the
            years before they adopt (or anticipate).
    """
    first = panel.counties.get_indexer(neighbours["county_fips"])
    other = panel.counties.get_indexer(neighbours["neighbour_fips"])
    inside = (first >= 0) & (other >= 0)
    listed = np.unique(np.column_stack([first, other])[inside], axis=0)
    a, b = listed[:, 0].astype(np.intp), listed[:, 1].astype(np.intp)
    clean = panel.never[b] if never_alone else panel.never[b] | (panel.cohort[b] > panel.cohort[a])
    states = cluster_labels(panel.counties, "state")
    if which != "all":
        clean = clean & ((states[a] == states[b]) == (which == "same_state"))
    keep = panel.adopters[a] & clean & (a != b)
    a, b = a[keep], b[keep]
    observed = np.isfinite(panel.wide(panel.outcome))
    untreated = panel.wide(panel.untreated.astype(float)) == 1
    home = np.unique(states, return_inverse=True)[1]
    segment = np.unique(a * (home.max(initial=0) + 1) + home[b], return_inverse=True)[1].astype(np.intp)
    return Pairs(a, b, segment, observed[a] & untreated[b])


def make_borders(
    panel: LongPanel,
    pairs: Pairs,
    group: str,
    *,
    every_year: bool,
    span: tuple[int, int] | None = None,
    lines: bool = False,
    whole: bool = False,
) -> Borders:
    """Return the panel of pairs, segments or groups, from pairs observed together before and after adoption.

    Args:
        panel: the panel.
        pairs: from `find_pairs`.
        group: pair | segment | group.
        every_year: False leaves out the years in which an adopter may already anticipate.
        span: years before and after adoption in which a pair must be observed, and others are left out; None for all.
        lines: True keeps earlier years too, and pairs with enough years before adoption for a line alone.
        whole: True gives a county its whole weight in each group.
    """
    time = panel.wide(panel.event_time)[pairs.adopter]
    before, after = time <= -1 - panel.anticipation, time >= 0
    usable = pairs.usable if every_year else pairs.usable & (before | after)
    near = _near(time, span, panel.anticipation)
    # A pair seen on one side of adoption tells nothing of a change.
    sides = [(usable & near & side).any(axis=1, keepdims=True) for side in (before, after)]
    usable = usable & sides[0] & sides[1] & (near | (before & lines))
    if lines:
        usable &= (usable & before).sum(axis=1, keepdims=True) >= FEWEST_LINE_YEARS
    p, year = np.nonzero(usable)
    code = {"segment": pairs.segment, "group": pairs.adopter}.get(group, np.arange(len(pairs), dtype=np.intp))
    of_pair = pairs.adopter if group == "group" else pairs.segment
    size, length = len(panel.counties), len(panel.years)
    # The adopter stands in a segment once a year, however many neighbours it has there.
    keys = np.concatenate(
        [(code[p] * size + who[p]) * length + year for who in (pairs.adopter, pairs.neighbour)]
    )
    keys, at = np.unique(keys, return_index=True)
    own, segment = np.repeat([True, False], len(p))[at], np.tile(of_pair[p], 2)[at]
    of_adopter = np.tile(time[p, year], 2)[at]
    member, year = keys // length, (keys % length).astype(np.intp)
    group_of, county = member // size, member % size
    at_row = np.full((size, length), -1, dtype=np.intp)
    at_row[panel.county, panel.year] = np.arange(len(panel.county))
    shared = np.bincount(np.unique(member) % size, minlength=size)
    row = at_row[county, year]
    weight = panel.weight[row] / (1 if whole else shared[county])
    member_code, group_code, level, segment_code = (
        np.unique(codes, return_inverse=True)[1].astype(np.intp)
        for codes in (member, group_of, group_of * length + year, segment)
    )
    # About one, so that the arithmetic keeps its digits.
    scale = panel.weight.mean() if len(row) else 1.0
    return Borders(row, group_code, member_code, level, segment_code, own, of_adopter, weight / scale)


def _near(time: Array, span: tuple[int, int] | None, anticipation: int) -> Flags:
    """Return which event times lie within so many years before adoption (and its anticipation) and after it."""
    if span is None:
        return np.isfinite(time)
    return np.asarray((time >= -span[0] - anticipation) & (time < span[1]), dtype=bool)


def without_lines(
    outcome: Array, member: Codes, year: NDArray[np.int64], time: Array, weight: Array, reference: int
) -> Array:
    """Return an outcome without the slope each county in a group had before adoption.

    Args:
        outcome: (n,).
        member: (n,) codes of county and group, from 0.
        year: (n,) calendar years.
        time: (n,) event time of the group's adopter.
        weight: (n,) positive.
        reference: event time of the last year before adoption and its anticipation; the line is fitted up to it, and
            takes nothing off there.

    Returns:
        (n,).

    Assumption: the slope of those years would have gone on in a straight line.

    Example:
        >>> year = np.array([2010, 2011, 2012, 2014])
        >>> grown = np.array([1.0, 2.0, 3.0, 9.0])  # by 1 a year, and 4 more after adoption in 2013
        >>> without_lines(grown, np.zeros(4, int), year, np.array([-3.0, -2, -1, 0]), np.ones(4), -1).round(9).tolist()
        [3.0, 3.0, 3.0, 7.0]
    """
    before = time <= reference
    calendar = year.astype(float)
    members = int(member.max(initial=-1)) + 1
    lines = make_lines(member[before], calendar[before], weight[before], members)
    slope = fit_lines(lines, outcome[before, None])[1][:, 0]
    last = np.full(members, -np.inf)
    np.maximum.at(last, member[before], calendar[before])
    return np.asarray(outcome - slope[member] * (calendar - last[member]), dtype=float)


def _crosses(borders: Borders, states: NDArray[np.str_]) -> Flags:
    """Return which rows lie in a pair or segment of two states, (n,)."""
    both = np.unique(np.column_stack([borders.group, np.unique(states, return_inverse=True)[1]]), axis=0)
    return np.asarray(np.bincount(both[:, 0])[borders.group] > 1)


# --- the regression
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fitted:
    """Coefficients of treatment, (k,), missing where not identified; each row's score of them, (n, k); the rank."""

    coefficient: Array
    scores: Array
    rank: int


def _regress(panel: LongPanel, borders: Borders, outcome: Array, columns: Flags, effects: str) -> _Fitted:
    x = np.hstack([columns.astype(float), panel.controls[borders.row], _by_year(panel, borders)])
    swept = _swept(panel, borders, np.column_stack([outcome, x]), effects)
    y, own = swept[:, 0], swept[:, 1:]
    inverse: Inverse = invert(own, borders.weight, x)
    solution = inverse.matrix @ (own.T @ (borders.weight * y))
    scores = (own * (borders.weight * (y - own @ solution))[:, None]) @ inverse.matrix
    k = columns.shape[1]
    told = inverse.tells()[:k]
    return _Fitted(
        np.where(told, solution[:k], np.nan),
        np.where(told, scores[:, :k], 0.0),
        x.shape[1] - inverse.null.shape[1],
    )


def _by_year(panel: LongPanel, borders: Borders) -> Array:
    """Return the covariates in each year but the first, (n, p times years less one): a share may matter more by year."""
    held = panel.covariates[panel.county[borders.row]]
    year = panel.year[borders.row]
    return np.hstack([held[:, :0], *(held * (year == t)[:, None] for t in np.unique(year)[1:])])


def _swept(panel: LongPanel, borders: Borders, columns: Array, effects: str) -> Array:
    """Return columns (n, k) without the effects."""
    if effects not in ONE_EFFECT_A_COUNTY:
        return without_effects(columns, borders.group, borders.member, borders.level, borders.weight)
    county = np.unique(panel.county[borders.row], return_inverse=True)[1].astype(np.intp)
    level = borders.level
    if effects == "county_year":
        level = np.unique(panel.year[borders.row], return_inverse=True)[1].astype(np.intp)
    made = make_effects(county, level, borders.weight, int(county.max()) + 1, int(level.max()) + 1)
    return residuals(made, columns)


def without_effects(columns: Array, group: Codes, member: Codes, level: Codes, weight: Array) -> Array:
    """Return columns without effects of each county in a group and of each group in a year, by weighted least squares.

    Groups share no effect, so each is a small system of its own, solved exactly; all are solved together.

    Args:
        columns: (n, k).
        group: (n,) codes of pairs or segments, from 0.
        member: (n,) codes of county and group, from 0.
        level: (n,) codes of group and year, from 0, those of a group one after the other. Every year of a group has its
            adopter's row, so a group falls into no parts.
        weight: (n,) positive.

    Returns:
        (n, k).

    Example:
        >>> group, member, level = np.zeros(4, dtype=int), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        >>> changes = np.array([[1.0], [5.0], [1.0], [2.0]])  # by 4 and by 1
        >>> without_effects(changes, group, member, level, np.ones(4)).ravel().round(9).tolist()
        [-0.75, 0.75, 0.75, -0.75]
    """
    n, k = columns.shape
    groups, members, levels = (int(codes.max()) + 1 for codes in (group, member, level))
    group_of_member, group_of_level = np.zeros(members, dtype=np.intp), np.zeros(levels, dtype=np.intp)
    group_of_member[member], group_of_level[level] = group, group
    first = np.searchsorted(group_of_level, np.arange(groups))
    place = np.arange(levels) - first[group_of_level]
    width = int(place.max()) + 1
    wide = np.zeros((members, width))
    wide[member, place[level]] = weight
    total = wide.sum(axis=1)
    system, size = np.zeros((groups, width, width)), np.zeros((groups, width))
    np.add.at(system, group_of_member, -wide[:, :, None] * (wide / total[:, None])[:, None, :])
    np.add.at(size, group_of_member, wide)
    # County effects take up a group's level: its year effects are set to add up to zero.
    there = size > 0
    pin = size.sum(axis=1) / there.sum(axis=1)
    system += pin[:, None, None] * (there[:, :, None] & there[:, None, :])
    system[:, np.arange(width), np.arange(width)] += size + ~there
    rows = np.arange(n)
    by_member = sparse.csr_matrix((weight, (member, rows)), shape=(members, n))
    by_level = sparse.csr_matrix((weight, (level, rows)), shape=(levels, n))
    crossed = sparse.csr_matrix((weight, (member, level)), shape=(members, levels))
    # The second pass takes out what rounding left of the first.
    for _ in range(2):
        mean = (by_member @ columns) / total[:, None]
        right = np.zeros((groups, width, k))
        right[group_of_level, place] = by_level @ columns - crossed.T @ mean
        of_level = np.linalg.solve(system, right)[group_of_level, place]
        of_member = mean - (crossed @ of_level) / total[:, None]
        columns = columns - of_member[member] - of_level[level]
    return columns


# --- errors
# ----------------------------------------------------------------------------------------------------


def two_way_variance(scores: Array, one: Codes, other: Codes) -> Array:
    """Return the variance matrix of estimates whose errors are clustered two ways, (k, k).

    V_one + V_other - V_both. No variance is below what one of the two alone gives: where it would be, it is the larger
    of them; where the matrix is not positive semidefinite, its correlations are those of V_one + V_other.

    Args:
        scores: (n, k) contributions.
        one: (n,) labels.
        other: (n,) labels.

    Raises:
        ValueError: fewer than two clusters of either kind.

    Source: Cameron, Gelbach and Miller (2011), Journal of Business and Economic Statistics 29(2); MacKinnon, Nielsen
        and Webb (2024), arXiv:2406.08880, for the largest.

    Example:
        >>> two_way_variance(np.array([[1.0], [-1.0], [2.0]]), np.array([0, 1, 1]), np.array([0, 0, 1]))
        array([[8.]])
    """
    both = np.unique(np.column_stack([one, other]), axis=0, return_inverse=True)[1].ravel()
    first, second, crossed = (cluster_variance(scores, labels) for labels in (one, other, both))
    summed = first + second - crossed
    largest = np.maximum(np.diag(summed), np.maximum(np.diag(first), np.diag(second)))
    values = np.linalg.eigvalsh(summed)
    if values.min() < -1e-10 * max(values.max(), 0.0) or (np.diag(summed) <= 0).any():
        summed = first + second
    size = np.sqrt(np.divide(largest, np.diag(summed), out=np.ones_like(largest), where=np.diag(summed) > 0))
    return np.asarray(summed * size[:, None] * size, dtype=float)


def _by_segment(
    design: Design,
    rows: pd.DataFrame,
    scores: Array,
    columns: Flags,
    seats: Array,
    states: NDArray[np.str_],
    segment: Codes,
) -> tuple[pd.DataFrame, Array, Inference, list[str]]:
    """Return table, variance, inference and notes of errors by segment, or by state and segment."""
    asked = design.spec.inference
    state = np.unique(states, return_inverse=True)[1]
    labels = [segment] if asked.by == "segment" else [state, segment]
    counts = [len(np.unique(codes)) for codes in labels]
    if min(counts) < 2:
        raise SampleError(
            f"{min(counts)} cluster, clustered by {asked.by}", "at least two clusters", "sample or inference.by"
        )  # fmt: skip
    missing = rows["estimate"].isna().to_numpy()
    vcov = cluster_variance(scores, segment) if len(labels) == 1 else two_way_variance(scores, state, segment)
    inference = Inference(
        "cluster", asked.by, min(counts), min(counts) - 1.0, asked.level, asked.draws, asked.seed
    )
    behind = np.array([[len(np.unique(codes[on])) for on in columns.T] for codes in labels]).min(axis=0)
    alone = ~missing & (behind < 2)
    error = np.where(alone | missing, np.nan, np.sqrt(np.diag(vcov)))
    usable = np.isfinite(error) & (error > 0)
    if len(labels) == 1:
        band = simultaneous_critical_value(
            scores[:, usable], segment, asked.level, asked.draws, asked.seed, inference.df
        )
    else:
        band = _normal_band(vcov[np.ix_(usable, usable)], inference)
    vcov[missing, :] = vcov[:, missing] = np.nan
    table = tabulate(rows, error, seats, inference.df, t_quantile(asked.level, inference.df), band)
    notes = []
    if asked.by == "state_and_segment":
        notes.append(
            f"errors clustered by state ({counts[0]}) and by segment ({counts[1]}), the largest of the two and of both "
            "together; degrees of freedom from the fewer clusters"
        )
    treated_states = len(np.unique(states[columns.any(axis=1)]))
    if asked.by == "state_and_segment" and treated_states < FEW_TREATED_CLUSTERS:
        notes.append(
            f"treated counties lie in {treated_states} states: cluster-robust errors are too small with so few"
        )
    if alone.any():
        notes.append(
            f"{int(alone.sum())} estimates have their treated counties in one state or segment: no error can be given "
            "for them"
        )
    return table, vcov, inference, notes


def _normal_band(vcov: Array, inference: Inference) -> float:
    """Return the critical value of a band: of two-way errors no draw by cluster gives one, joint normality does."""
    pointwise = t_quantile(inference.level, inference.df)
    if inference.draws < 1 or len(vcov) < 2:
        return pointwise
    error = np.sqrt(np.diag(vcov))
    values, vectors = np.linalg.eigh(vcov / error / error[:, None])
    rng = np.random.default_rng(inference.seed)
    draws = rng.standard_normal((inference.draws, len(values))) * np.sqrt(np.maximum(values, 0.0))
    largest = np.abs(draws @ vectors.T).max(axis=1)
    largest /= np.sqrt(rng.chisquare(inference.df, inference.draws) / inference.df)
    return max(pointwise, float(np.quantile(largest, inference.level)))


# --- what is said
# ----------------------------------------------------------------------------------------------------


def _notes(
    design: Design, panel: LongPanel, pairs: Pairs, borders: Borders, crossing: Flags, counted: int
) -> list[str]:
    spec = design.spec
    group = EFFECTS[spec.estimator.effects or ""]
    county = panel.county[borders.row]
    adopters, others = (len(np.unique(county[who])) for who in (borders.own, ~borders.own))
    members = np.unique(np.column_stack([borders.group, county]), axis=0)
    beside = np.unique(np.column_stack([borders.group, county])[~borders.own], axis=0)
    often = np.unique(members[:, 1], return_counts=True)[1]
    segments = len(np.unique(borders.segment))
    weighted = "one" if spec.estimator.weights == "none" else "its baseline population"
    whole = spec.estimator.repeats == "whole"
    shared_out = (
        "in each: who borders often counts often"
        if whole
        else "over their number, so each county counts once"
    )
    held = {
        "county_year": "the year and of each county",
        "group_by_year": "group by year and of each county",
    }.get(spec.estimator.effects or "", f"{group} by year and of each county in a {group}")
    loose = (
        "the years"
        if spec.estimator.effects == "county_year"
        else f"a constant or the {group}-years not nested in clusters"
    )
    notes = [
        f"{len(beside)} pairs of {adopters} adopters and {others} untreated neighbours {NEIGHBOURS[_which(design)]}, in "
        + (
            f"{segments} groups (an adopter with all its neighbours), which stand for segments in the errors"
            if group == "group"
            else f"{segments} segments (an adopter with its neighbours in one state)"
        ),
        f"{int((often > 1).sum())} of {len(often)} counties are in several {group}s, up to {int(often.max())}; a row weighs "
        f"the county's weight ({weighted}) {shared_out}",
        f"effects of {held}; error factor (N - 1) / (N - k) x G / (G - 1), N = {len(borders):,}, k = {counted}: "
        f"regressors, and {loose}",
    ]
    if spec.estimator.span is not None:
        notes.append(
            f"years from {spec.estimator.span[0]} before adoption to {spec.estimator.span[1]} after alone"
        )
    if spec.estimator.trends == "county":
        notes.append(
            f"a line of each county in a {group}, fitted on its years before adoption (at least {FEWEST_LINE_YEARS}), is "
            "taken off; it is part of what varies between clusters, so the errors hold it"
        )
    if design.covariates:
        notes.append(f"each covariate has its own effect in every year: {', '.join(design.covariates)}")
    if spec.estimator.method == "event_time":
        notes.append(
            f"universal base: the last year wholly before adoption (event time {-1 - panel.anticipation})"
        )
        notes.append("event times are shared by cohorts: where effects differ by cohort they mix event times")
    elif panel.anticipation:
        notes.append("years in which an adopter may anticipate are left out")
    without = int((panel.adopters & ~np.isin(np.arange(len(panel.counties)), pairs.adopter)).sum())
    if without:
        notes.append(f"{without} adopters touch no such county of the sample and are left out")
    later = ~panel.never[np.unique(county[~borders.own])]
    if later.any():
        notes.append(f"{int(later.sum())} neighbours adopt later: their pairs end before that year")
    if crossing.any():
        across = len(np.unique(borders.group[crossing]))
        words = f"{across} of {len(np.unique(borders.group))} {group}s cross a state line"
        if spec.inference.by == "state":
            words += ": errors by state take its two sides as independent; state_and_segment does not"
        notes.append(words)
    return notes


def _dropped(panel: LongPanel, pairs: Pairs, borders: Borders) -> list[tuple[str, int, int, int]]:
    beside = np.isin(np.arange(len(panel.counties)), np.concatenate([pairs.adopter, pairs.neighbour]))
    county = panel.county[borders.row]
    _, counties, years, _ = panel.line("", beside)
    return [
        (
            "border pairs: an adopter and an untreated neighbour",
            counties,
            years,
            len(np.unique(pairs.adopter)),
        ),
        (
            "border pairs: observed together before and after adoption",
            len(np.unique(county)),
            len(np.unique(borders.row)),
            len(np.unique(county[borders.own])),
        ),
    ]

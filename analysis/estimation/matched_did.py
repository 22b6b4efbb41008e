"""Matched differences in differences: adopting counties against counties that were like them before.

Each cohort is matched once, on fixed covariates, on outcomes of its last years wholly before adoption, or on their
trend; then the change of its counties since the base year is compared with that of their matches, year by year.
Whom later adopters may serve, and what an unbalanced panel does, is stated in
``analysis.estimation.matching.trajectories``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, aggregate, cell_rows, make_estimate
from analysis.estimation.matching.trajectories import (
    Cell,
    CohortMatch,
    MatchRules,
    Trajectories,
    cohorts,
    estimate_cells,
    match_cohorts,
    matched_columns,
)
from analysis.estimation.panel_arrays.panel import LongPanel, read_design

Array = NDArray[np.float64]
COMPARISONS = ("never_treated", "not_yet_treated")


def matched_group_time(design: Design) -> Estimate:
    """Estimate the effect on each cohort in each year, against its matches.

    Args:
        design: a panel.

    Returns:
        An Estimate of estimand ``group_time``: a row a cohort, base year and year other than the base, the mean
        over treated counties (weighted as ``estimator.weights`` says) of their change since the base year less
        the share-weighted mean change of their matches. A cohort that cannot be matched keeps its rows, with
        missing values and the reason in a note. Errors by cluster of the influence, matches taken as given,
        factor G / (G - 1), t with G - 1 degrees of freedom; bands over all rows.

    Raises:
        SpecError: a design that is no panel, control policies, an unknown comparison, or ``match_on``,
            ``lag_years`` and ``distance`` that do not go together.
        SampleError: no cohort can be matched; the reason is named.

    Assumption: counties alike in what they were matched on would have changed alike since the base year; no
    anticipation beyond the stated years; policies stay once adopted. Where groups differ in lasting level and the
    match is on outcomes, regression to the mean breaks the first (docs/matched_did.md).

    Source: Heckman, Ichimura and Todd (1997), Review of Economic Studies 64(4); Imai, Kim and Wang (2023),
    American Journal of Political Science 67(3); Daw and Hatfield (2018), Health Services Research 53(6).

    Example:
        ``aggregate(matched_group_time(design), over="cohort")``: a row a cohort.
    """
    long, panel, rules = _inputs(design)
    counties = long.counties
    matched = _matched(panel, rules)
    cells = estimate_cells(panel, matched)
    if not any(np.isfinite(cell.effect) for cell in cells):
        why = "; ".join(sorted({cell.reason for cell in cells}))
        raise SampleError(
            f"no matched effect can be estimated: {why or 'no treated county is observed before and after adoption'}",
            "a cohort with years before adoption and comparison counties to match",
            "estimator, covariates.names or sample",
        )
    rows = cell_rows(
        [c.cohort for c in cells],
        [c.base for c in cells],
        [c.time for c in cells],
        [c.event_time for c in cells],
        [c.effect for c in cells],
    )
    treated = np.column_stack([c.treated for c in cells])
    return make_estimate(
        design,
        rows=rows,
        counties=counties,
        influence=np.column_stack([c.influence for c in cells]),
        treated=treated,
        estimand="group_time",
        reference=-1 - design.spec.treatment.anticipation,
        notes=[*long.notes, *_notes(design, panel, rules, counties, matched, cells)],
        dropped=_dropped(panel, matched, treated),
    )


def fit(design: Design) -> Estimate:
    """Estimate matched group-time effects and average them by event time.

    See `matched_group_time` and `analysis.estimation.aggregate`.

    Returns:
        An Estimate of estimand ``event_time``. ``aggregate(estimate, over="post")`` averages its event times from
        0 on. Leads that were matched on are near zero by construction: test
        ``pretrends(estimate, matched_on=matched_event_times(design))``.
    """
    return aggregate(matched_group_time(design), over="event_time")


def matched_event_times(design: Design) -> tuple[int, ...]:
    """Return the event times whose outcomes any cohort was matched on, the reference among them, sorted.

    Empty where outcomes were not matched on. They are not to be tested as leads (protocol rule 13).

    Raises:
        SpecError: see `matched_group_time`.
    """
    _, panel, rules = _inputs(design)
    return _event_times(panel, rules)


def matched_pairs(design: Design) -> pd.DataFrame:
    """Return who was matched to whom: a row a treated county and comparison county.

    Returns:
        cohort, base, treated, comparison (county codes), share (of the comparison county in the match), weight
        (of the treated county), distance (squared, in the cohort's coordinates).

    Raises:
        SpecError: see `matched_group_time`.
    """
    long, panel, rules = _inputs(design)
    counties = long.counties
    parts = [
        pd.DataFrame(
            {
                "cohort": group.cohort,
                "base": group.base,
                "treated": counties[group.matches.treated],
                "comparison": counties[group.matches.comparison],
                "share": group.matches.share,
                "weight": panel.weights[group.matches.treated],
                "distance": group.matches.distance,
            }
        )
        for group in _matched(panel, rules)
        if group.matches is not None
    ]
    columns = ["cohort", "base", "treated", "comparison", "share", "weight", "distance"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def trajectories(design: Design, panel: LongPanel) -> Trajectories:
    """Return a design's panel as a match reads it.

    Args:
        design: names the covariates and what a match never crosses.
        panel: of its table.
    """
    exact = list(design.spec.estimator.exact or ())
    first = design.table.drop_duplicates("county_fips").set_index("county_fips").loc[panel.counties]
    groups = first.groupby(exact, sort=True, observed=True, dropna=False).ngroup() if exact else None
    return Trajectories(
        years=panel.years,
        outcome=panel.wide(panel.outcome),
        event_time=panel.wide(panel.event_time),
        never=panel.never,
        cohort=panel.cohort,
        base=panel.base,
        weights=panel.size,
        covariates=panel.covariates,
        names=design.covariates,
        exact=None if groups is None else groups.to_numpy(dtype=np.intp),
    )


def _inputs(design: Design) -> tuple[LongPanel, Trajectories, MatchRules]:
    options, comparison = design.spec.estimator, design.spec.treatment.comparison
    if design.kind != "panel":
        raise SpecError(f"matched differences in differences of a {design.kind}", "a panel", "design.kind")
    if comparison not in COMPARISONS:
        raise SpecError(
            f'treatment.comparison = "{comparison}"', " or ".join(COMPARISONS), "treatment.comparison"
        )
    if design.controls:
        raise SpecError(
            f"controls.policies = {', '.join(design.controls)}: a match holds no time-varying policy constant",
            "no control policies",
            "controls.policies",
        )
    match_on = tuple(options.match_on or ())
    if "covariates" in match_on and not design.covariates:
        raise SpecError(
            "estimator.match_on holds covariates without any", "covariates.names", "covariates.names"
        )
    rules = MatchRules(
        match_on=match_on,
        lag_years=options.lag_years or 1,  # without outcomes among match_on nothing is read from it
        distance=options.distance or "",
        neighbours=options.neighbours or 0,
        replacement=bool(options.replacement),
        caliper=options.caliper or 0.0,
        comparison=comparison,
    )
    panel = read_design(design)
    return panel, trajectories(design, panel), rules


def _matched(panel: Trajectories, rules: MatchRules) -> list[CohortMatch]:
    try:
        return match_cohorts(panel, rules)
    except ValueError as error:
        found, _, wanted = str(error).partition("; wanted ")
        raise SpecError(f"estimator.{found}", wanted, "estimator") from error


def _event_times(panel: Trajectories, rules: MatchRules) -> tuple[int, ...]:
    times: set[int] = set()
    for _, base, members in cohorts(panel):
        try:
            lags = matched_columns(panel, base, rules)
        except ValueError:
            continue  # too few years before adoption: the cohort is matched on nothing
        seen = panel.event_time[np.ix_(members, lags)]
        times |= {int(time) for time in seen[np.isfinite(seen)]}
    return tuple(sorted(times))


def _dropped(
    panel: Trajectories, matched: list[CohortMatch], treated: Array
) -> list[tuple[str, int, int, int]]:
    years = np.isfinite(panel.outcome).sum(axis=1)
    entered = np.asarray(~np.isnan(treated).all(axis=1), dtype=bool)
    adopters = np.any([group.members for group in matched], axis=0)
    arm = entered & adopters
    pool = np.any([group.pool for group in matched], axis=0) & ~adopters
    lines = []
    for rule, kept in (
        ("treated counties with a match", arm | pool),
        ("comparison counties used as a match", entered),
    ):
        lines.append((rule, int(kept.sum()), int(years[kept].sum()), int(arm.sum())))
    return lines


def _notes(
    design: Design,
    panel: Trajectories,
    rules: MatchRules,
    counties: pd.Index,
    matched: list[CohortMatch],
    cells: list[Cell],
) -> list[str]:
    notes = [
        f"universal base: the last year wholly before adoption (event time {-1 - design.spec.treatment.anticipation})",
        f"each cohort matched once on {', '.join(_said(rules, design.covariates))}; errors take the matches as given",
        "comparison counties are untreated and observed in every year in which the cohort has a row",
    ]
    times = _event_times(panel, rules)
    if times:
        notes.append(
            f"event times matched on: {', '.join(map(str, times))}; their leads are near zero by construction and are "
            "not tested"
        )
        notes.append(
            "matched on outcomes: where adopters differ in lasting level, matches move back to their own mean after "
            "the match, and that movement is in the estimate (docs/matched_did.md)"
        )
    if design.covariates and "covariates" not in rules.match_on:
        notes.append(f"not matched on, they decide the sample alone: {', '.join(design.covariates)}")
    found = [group.matches for group in matched if group.matches is not None]
    pairs = sum(len(m.treated) for m in found)
    rows = sum(len(np.unique(m.treated)) for m in found)
    used = len(np.unique(np.concatenate([m.comparison for m in found])))
    notes.append(f"{rows} treated counties matched to {used} comparison counties, {pairs} pairs")
    if pairs > rows * rules.neighbours:
        notes.append(
            f"{pairs - rows * rules.neighbours} further comparisons tie with the last neighbour and share its place"
        )
    if not rules.replacement:
        notes.append("without replacement within a cohort, greedily, the county hardest to match first")
    if rules.distance == "propensity":
        notes.append(
            "matched on the linear predictor of a logit for each cohort; its estimation is not in the error"
        )
    if design.spec.estimator.weights != "none":
        notes.append(
            "treated counties are averaged by baseline population; matches within a county count alike"
        )
    notes += _unmatched(panel, counties, matched)
    for reason in sorted({c.reason for c in cells if c.reason}):
        years: dict[tuple[int, int], list[int]] = {}
        for cell in cells:
            if cell.reason == reason:
                years.setdefault((cell.cohort, cell.base), []).append(cell.time)
        where = "; ".join(f"cohort {g}, base {b}: {' '.join(map(str, t))}" for (g, b), t in years.items())
        notes.append(f"not estimated, {reason}: {where}")
    return notes


def _unmatched(panel: Trajectories, counties: pd.Index, matched: list[CohortMatch]) -> list[str]:
    """Return notes naming treated counties that have no match, and counting others that could not serve."""
    incomplete = [row for group in matched for row in group.incomplete]
    alone = [row for group in matched if group.matches is not None for row in group.matches.dropped]
    failed = [
        row for group in matched if group.matches is None
        for row in np.setdiff1d(np.flatnonzero(group.members), group.incomplete)
    ]  # fmt: skip
    placed = np.any([group.members for group in matched], axis=0)
    later = panel.base >= panel.years[-1]
    outside = np.flatnonzero(~panel.never & ~placed & ~later)
    notes = []
    for rows, why in (
        (incomplete, "without an outcome in the base year or a year matched on"),
        (alone, "with fewer allowed comparison counties than neighbours"),
        (failed, "of cohorts that could not be matched"),
        (list(outside), "not observed before and after adoption"),
    ):
        if rows:
            names = " ".join(sorted(counties[row] for row in rows))
            notes.append(f"dropped, {len(rows)} treated counties {why}: {names}")
    aside = max((group.set_aside for group in matched), default=0)
    if aside:
        notes.append(
            f"up to {aside} untreated counties a cohort miss one of its years and cannot serve as a match"
        )
    return notes


def _said(rules: MatchRules, covariates: tuple[str, ...]) -> list[str]:
    years = rules.lag_years
    words = {
        "covariates": ", ".join(covariates),
        "outcome_lags": f"the outcome in the last {years} years before adoption"
        if years > 1
        else "the last outcome before adoption",
        "outcome_trend": f"its trend over {years} years",
    }
    return [words[name] for name in words if name in rules.match_on]

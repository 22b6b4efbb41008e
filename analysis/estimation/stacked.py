"""Stacked comparisons by cohort with the corrected weights of Wing, Freedman and Hollingsworth.

Every cohort is a small experiment of its own: its counties, and counties untreated in every year of a window around
adoption, all observed in every year of it. Only cohorts whose whole window the panel holds take part, so each event
time averages the same cohorts. Within an experiment effects are differences in mean changes since the base year;
across experiments they are averaged by treated counties (by their weight), which is what the corrected weights do to
the pooled regression and what that regression without them does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, aggregate, cell_rows, make_estimate
from analysis.estimation.panel_arrays.differences import mean_changes
from analysis.estimation.panel_arrays.panel import STRATA, LongPanel, read_design

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

COMPARISONS = ("never_treated", "not_yet_treated")


@dataclass(frozen=True, slots=True)
class Experiment:
    """One cohort's sample.

    Args:
        cohort: its first treated year.
        base: its base year.
        years: (m,) positions of the window's years.
        event_time: (m,) of those years.
        treated: (C,) its counties, observed throughout.
        comparison: (C,) clean counties, observed throughout, in a stratum with a treated one.
        incomplete: its counties that miss a year of the window.
        reason: why it tells nothing, or "".
    """

    cohort: int
    base: int
    years: NDArray[np.intp]
    event_time: NDArray[np.int64]
    treated: Flags
    comparison: Flags
    incomplete: int
    reason: str


def experiments(panel: LongPanel, before: int, after: int, comparison: str) -> list[Experiment]:
    """Return every cohort's experiment, also of cohorts that tell nothing, with the reason.

    Args:
        panel: the panel.
        before: untreated years of the window, the base year among them, at least 1.
        after: years after the first treated one.
        comparison: never_treated | not_yet_treated (untreated, without anticipation, in every year of the window).
    """
    observed = np.isfinite(panel.wide(panel.outcome))
    event_time = panel.wide(panel.event_time)
    clean = panel.wide(panel.untreated.astype(float)) == 1
    found = []
    for cohort, base, group in panel.groups():
        members = group & panel.adopters
        times = _times(event_time[members])
        wanted = set(range(-panel.anticipation - before, after + 1))
        years = np.array([t for t, time in enumerate(times) if time in wanted], dtype=np.intp)
        times = times[years]
        nobody = np.zeros(len(members), dtype=bool)
        if len(set(times.tolist()) & wanted) < len(wanted):
            found.append(
                Experiment(
                    cohort, base, years, times, nobody, nobody, 0, "the panel does not hold its whole window"
                )
            )
            continue
        complete = observed[:, years].all(axis=1)
        pool = panel.never if comparison == "never_treated" else panel.never | (panel.cohort != cohort)
        pool = pool & ~members & complete & clean[:, years].all(axis=1)
        treated = members & complete
        both = np.intersect1d(panel.stratum[treated], panel.stratum[pool])
        inside = np.isin(panel.stratum, both)
        reason = "" if len(both) else "no clean comparison county observed throughout"
        if not treated.any():
            reason = "no county of the cohort is observed throughout"
        found.append(
            Experiment(
                cohort,
                base,
                years,
                times,
                treated & inside,
                pool & inside,
                int((members & ~complete).sum()),
                reason,
            )
        )
    return found


def widest_window(panel: LongPanel) -> tuple[int, int]:
    """Return the widest window (untreated years, years after the first treated one) that every cohort has.

    Raises:
        SampleError: no cohort is observed on both sides of adoption.
    """
    if not panel.adopters.any():
        raise SampleError(
            "no treated county is observed before and after adoption", "such counties", "sample.years"
        )
    event_time = panel.wide(panel.event_time)
    spans = []
    for _, _, group in panel.groups():
        times = _times(event_time[group & panel.adopters])
        times = times[times > -(10**6)]
        spans.append((-int(times.min()) - panel.anticipation, int(times.max())))
    return min(span[0] for span in spans), min(span[1] for span in spans)


def group_time(design: Design, window: tuple[int, int] | None = None) -> Estimate:
    """Estimate the effect on each cohort in each year of its window.

    Args:
        design: a panel; ``treatment.comparison`` never_treated or not_yet_treated, ``estimator.within`` none, state
            or urban_class, ``estimator.window`` k: the last k untreated years and the first k treated ones.
        window: untreated years (the base year among them) and years after the first treated one; None for the
            design's, or the widest that every cohort has.

    Returns:
        An Estimate of estimand ``group_time``: a row a cohort, base year and year of the window other than the base.
        A cohort that tells nothing keeps its rows, missing, with the reason. A county that serves several cohorts is
        one county in the error.

    Raises:
        SpecError: a design that is no panel, covariates or control policies, a window without an untreated year.
        SampleError: no cohort can be estimated.

    Assumption: parallel trends with clean counties since the base year, no anticipation beyond the stated years,
    policies stay.

    Source: Wing, Freedman and Hollingsworth (2024), NBER working paper 32054.

    Example:
        ``aggregate(group_time(design, window=(3, 2)), over="event_time")``: event times -3 to 2, the same cohorts in
        each.
    """
    spec = design.spec
    if design.kind != "panel" or design.covariates or design.controls:
        raise SpecError(
            f"stacked on a {design.kind} with {len(design.covariates)} covariates and {len(design.controls)} control "
            "policies",
            "a panel without either: means are compared",
            "covariates.names or controls.policies",
        )
    if spec.treatment.comparison not in COMPARISONS:
        raise SpecError(
            f'treatment.comparison = "{spec.treatment.comparison}"', " or ".join(COMPARISONS), "treatment.comparison"
        )  # fmt: skip
    panel = read_design(design)
    asked = spec.estimator.window
    before, after = window or ((asked, asked - 1) if asked is not None else widest_window(panel))
    if before < 1 or after < 0:
        raise SpecError(
            f"a window of {before} untreated and {after} later years", "at least 1 and 0", "window"
        )
    stack = experiments(panel, before, after, spec.treatment.comparison)
    if not any(one.treated.any() and not one.reason for one in stack):
        why = "; ".join(f"cohort {one.cohort}: {one.reason}" for one in stack) or "no cohort"
        raise SampleError(
            f"no cohort can be stacked: {why}", "a narrower window or more years", "sample.years"
        )
    places: list[tuple[int, int, int, int]] = []
    estimate, influence, treated = [], [], []
    outcome = panel.wide(panel.outcome)
    empty = np.full(len(panel.counties), np.nan)
    for one in stack:
        members = np.flatnonzero(one.treated | one.comparison)
        b = int(np.searchsorted(panel.years, one.base))
        use = one.years != b
        if not one.reason:
            arm, weight = one.treated[members], panel.size[members]
            effects, parts = mean_changes(
                outcome[np.ix_(members, one.years[use])],
                outcome[members, b],
                arm,
                weight,
                panel.stratum[members],
            )
        for j, (t, event_time) in enumerate(zip(one.years[use], one.event_time[use], strict=True)):
            places.append((one.cohort, one.base, int(panel.years[t]), int(event_time)))
            estimate.append(np.nan if one.reason else float(effects[j]))
            contribution, seats = empty.copy(), empty.copy()
            if not one.reason:
                contribution = np.zeros(len(panel.counties))
                contribution[members], seats[members] = parts[:, j], np.where(arm, weight, 0.0)
            influence.append(contribution)
            treated.append(seats)
    cohorts, bases, times, event_times = zip(*places, strict=True)
    seats = np.column_stack(treated)
    entered = np.asarray(~np.isnan(seats).all(axis=1), dtype=bool)
    return make_estimate(
        design,
        rows=cell_rows(cohorts, bases, times, event_times, estimate),
        counties=panel.counties,
        influence=np.column_stack(influence),
        treated=seats,
        estimand="group_time",
        reference=-1 - panel.anticipation,
        notes=[*panel.notes, *_notes(design, stack, before, after)],
        dropped=[panel.line("stacked: in a cohort's experiment", entered)],
    )


def fit(design: Design, window: tuple[int, int] | None = None) -> Estimate:
    """Estimate the cohorts' experiments and average them by event time; see `group_time` and `aggregate`."""
    return aggregate(group_time(design, window), over="event_time")


def _times(event_time: Array) -> NDArray[np.int64]:
    """Return the event time of each year for a cohort, -10**6 in a year in which it has no row."""
    seen = np.isfinite(event_time).any(axis=0)
    out = np.full(event_time.shape[1], -(10**6), dtype=np.int64)
    out[seen] = np.nanmax(event_time[:, seen], axis=0)
    return out


def _notes(design: Design, stack: list[Experiment], before: int, after: int) -> list[str]:
    anticipation = design.spec.treatment.anticipation
    used = [one for one in stack if not one.reason]
    notes = [
        f"universal base: the last year wholly before adoption (event time {-1 - anticipation})",
        f"window: event times {-before - anticipation} to {after}; counties observed in every year of it",
        f"{len(used)} cohorts stacked, averaged by treated counties: the corrected weights",
    ]
    within = STRATA.get(design.spec.within, "")
    if within:
        notes.append(f"compared within {within}: experiments hold {within} with both arms")
    incomplete = sum(one.incomplete for one in used)
    if incomplete:
        notes.append(f"{incomplete} treated counties miss a year of their window and are left out")
    notes += [
        f"not estimated, {one.reason}: cohort {one.cohort}, base {one.base}" for one in stack if one.reason
    ]
    return notes

"""Interaction-weighted event studies (Sun and Abraham): one regression with an effect of every cohort at every event
time but the reference, averaged by treated county-years.

Every other cell of an adopting county has an indicator, so never treated counties alone say what a year would have
brought. Without them the last cohort stands in, with its treated years left out. In a balanced panel without
weights the cells equal the group-time differences from never treated counties; in an unbalanced one a county counts
in every year it is observed, not only when its base year is.

Within states (or urban classes) the regression is run state by state and cells are averaged by treated county-years,
so no state counts for more because treatment varies more in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, aggregate, make_estimate
from analysis.estimation.panel_arrays.panel import Cells, LongPanel, make_cells, read_design
from analysis.estimation.panel_arrays.saturated import (
    Saturated,
    factor_note,
    sample_notes,
    saturated_effects,
    singleton_notes,
)

Array = NDArray[np.float64]


def group_time(design: Design) -> Estimate:
    """Estimate the effect on each cohort in each year by a regression saturated in cohort and event time.

    Args:
        design: a panel; ``estimator.within`` none, state or urban_class.

    Returns:
        An Estimate of estimand ``group_time``: a row a cohort, base year and year other than the base. Errors by
        cluster with the factor (N - 1) / (N - k), k counting cells, controls and the year effects not nested in
        clusters, times G / (G - 1). A cell without comparison counties is a missing row.

    Raises:
        SpecError: a design that is no panel, covariates, or a comparison with counties not yet treated, whose years
            before adoption have effects of their own here.
        SampleError: no cohort is observed on both sides of adoption with a comparison.

    Assumption: parallel trends with never treated counties (within their stratum), no anticipation beyond the stated
    years, policies stay once adopted.

    Source: Sun and Abraham (2021), Journal of Econometrics 225(2).

    Example:
        ``aggregate(group_time(design), over="event_time")``: the interaction-weighted event study.
    """
    spec = design.spec
    if design.kind != "panel" or design.covariates:
        raise SpecError(
            f"interaction_weighted on a {design.kind} with {len(design.covariates)} covariates",
            "a panel, no covariates: county effects absorb what is fixed in time",
            "covariates.names",
        )
    if spec.treatment.comparison != "never_treated":
        raise SpecError(
            f'treatment.comparison = "{spec.treatment.comparison}" with interaction_weighted',
            '"never_treated"',
            "treatment.comparison",
        )
    anticipation = spec.treatment.anticipation
    panel = read_design(design)
    panel, notes = _comparison(panel)
    adopts = panel.adopters
    panel = panel.rows((adopts | panel.never)[panel.county])
    home = panel.county
    cells = make_cells(panel, adopts[home] & (panel.years[panel.year] != panel.base[home]))
    if not len(cells):
        raise SampleError(
            "no treated county is observed before and after adoption", "such counties", "sample.years"
        )
    found = saturated_effects(panel, cells)
    if np.isnan(found.effect).all():
        raise SampleError(
            "no cohort has a never treated county to compare with", "comparison counties", "sample"
        )
    nested = spec.estimator.within == "state" and spec.inference.by == "state"
    entered = np.asarray(~np.isnan(found.treated).all(axis=1), dtype=bool)
    return make_estimate(
        design,
        rows=cells.frame(found.effect),
        counties=panel.counties,
        influence=found.influence * np.sqrt(found.factor(nested)),
        treated=found.treated,
        estimand="group_time",
        reference=-1 - anticipation,
        notes=[*panel.notes, *notes, *_notes(design, cells, found, nested)],
        dropped=[panel.line("interaction-weighted: in a cell or a comparison", entered)],
    )


def fit(design: Design) -> Estimate:
    """Estimate saturated effects and average them by event time; see `group_time` and `aggregate`.

    Returns:
        An Estimate of estimand ``event_time`` with one universal base.
    """
    return aggregate(group_time(design), over="event_time")


def _comparison(panel: LongPanel) -> tuple[LongPanel, list[str]]:
    """Return the panel with never treated counties, or the last cohort up to its adoption in their place."""
    seen = np.bincount(panel.county, minlength=len(panel.counties)) > 0
    if (panel.never & seen).any():
        return panel, []
    last = int(panel.cohort.max())
    theirs = panel.cohort == last
    first = panel.years[panel.year[theirs[panel.county] & ~panel.untreated]]
    end = int(first.min()) if len(first) else int(panel.years[-1]) + 1
    kept = panel.rows(panel.years[panel.year] < end)
    event_time = np.where(theirs[kept.county], np.nan, kept.event_time)
    note = (
        f"no county is never treated: cohort {last} is the comparison, and years from {end} on are left out"
    )
    return replace(kept, event_time=event_time, cohort=np.where(theirs, 0, panel.cohort)), [note]


def _notes(design: Design, cells: Cells, found: Saturated, nested: bool) -> list[str]:
    reference = -1 - design.spec.treatment.anticipation
    notes = [
        f"universal base: the last year wholly before adoption (event time {reference})",
        factor_note(found, nested),
        *sample_notes(design.spec.within, design.controls),
        *singleton_notes(found),
    ]
    missing = np.isnan(found.effect)
    if missing.any():
        notes.append(f"not estimated, no never treated county to compare with: {cells.where(missing)}")
    return notes

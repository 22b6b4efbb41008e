"""Imputation: what untreated county-years say a treated one would have been, and the gap to what it was.

County and year effects (or county and state-by-year effects, ``within = "state"``, or urban-class-by-year ones),
control policies and covariates times year are fitted on untreated county-years alone. Each treated county-year's
effect is its outcome less the prediction; a cell of cohort and year is their weighted mean. With ``trends = "county"``
(``imputation`` alone) every county has a straight line of its own, fitted on its untreated years alone (protocol rule
13) and drawn on into the years after adoption. Two names share the estimates and differ in errors:

* ``imputation`` (Borusyak, Jaravel and Spiess): deviations of treated county-years from their cohort-and-year mean,
  in which county-years count by the square of their weight, as in the paper.
* ``two_stage`` (Gardner): deviations from the cell's own effect, which is the error of the second regression.

Unweighted they are one. In an aggregate the record adds the error of cohort shares, which makes ``two_stage`` over
all years after adoption the generalised method of moments error of a second stage with one treatment indicator.
Neither has a degrees-of-freedom factor beside G / (G - 1).

Leads come from another regression: untreated county-years alone, on the effects and an indicator for each cohort in
each of its last untreated years. They compare with a cohort's earlier years, not with its last one, so they stand on
another base than the effects, begin with ``lead`` in their term, and the record has no reference (protocol rule 13).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, aggregate, make_estimate
from analysis.estimation.panel_arrays.effects import (
    Codes,
    along_lines,
    fit_effects,
    fit_lines,
    make_effects,
    make_lines,
    solve_effects,
)
from analysis.estimation.panel_arrays.panel import (
    BY_YEAR,
    STRATA,
    Cells,
    LongPanel,
    cell_weights,
    make_cells,
    read_design,
    treated_cells,
)
from analysis.estimation.panel_arrays.regression import absorbed_regression

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

NAMES = ("imputation", "two_stage")
# Leads of a cohort: its last untreated years, as long as earlier ones are left to compare with.
LEADS = 3
# Untreated years that a county's own line needs to be more than drawn through its points.
LINE_YEARS = 3


@dataclass(frozen=True, slots=True)
class Imputed:
    """Effects of cells against a prediction.

    Args:
        effect: (K,), missing where the prediction is not identified for any of its county-years.
        influence: (C, K).
        treated: (C, K) weight of a treated county in the cell, 0 for one that helps to predict, missing outside.
        unpredicted: treated county-years without a prediction.
    """

    effect: Array
    influence: Array
    treated: Array
    unpredicted: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What untreated rows say of others.

    Args:
        gap: (n,) outcome less prediction; of untreated rows the residual.
        goal: (m,) rows that can be predicted.
        component: (m,) which connected part of the panel predicts them.
        county_component: (C,) the part a county's untreated rows lie in, -1 for a county without any.
        carried: takes cells (m,) and weights (m,) of the predicted rows in them; returns what untreated rows
            contribute to the error of each cell's mean gap, (C, K).
    """

    gap: Array
    goal: Codes
    component: Codes
    county_component: Codes
    carried: Callable[[Codes, Array, int], Array]


def predict(panel: LongPanel, goal: Codes, regressors: Array) -> Prediction:
    """Predict rows from county and level effects and regressors, fitted on untreated rows.

    Args:
        panel: with untreated rows.
        goal: rows to predict.
        regressors: (n, q) beside the effects.
    """
    fit = np.flatnonzero(panel.untreated)
    counties, levels = len(panel.counties), int(panel.levels.max()) + 1
    county, level, weight = panel.county, panel.levels, panel.weight
    effects = make_effects(county[fit], level[fit], weight[fit], counties, levels)
    model = absorbed_regression(panel.outcome[fit], regressors[fit], effects)
    net = panel.outcome - regressors @ model.solution
    by_county, by_level = fit_effects(effects, np.column_stack([net, regressors])[fit])
    gap = net - by_county[county, 0] - by_level[level, 0]
    # A treated row's regressors as the untreated rows see them: what is left of them moves the prediction.
    own = regressors[goal] - by_county[county[goal], 1:] - by_level[level[goal], 1:]
    component = effects.county_component[county[goal]]
    known = (component >= 0) & (component == effects.level_component[level[goal]])
    known &= model.inverse.tells(own) if regressors.shape[1] else True
    goal, own = goal[known], own[known]
    # A county's weighted residuals sum to zero, so its own effect drops out.
    residual = sparse.diags(weight[fit] * model.residual)

    def carried(code: Codes, share: Array, count: int) -> Array:
        # Each cell's effect as weights on untreated outcomes: the normal equations once more, from the other side.
        right_county, right_level = np.zeros((counties, count)), np.zeros((levels, count))
        np.add.at(right_county, (county[goal], code), share)
        np.add.at(right_level, (level[goal], code), share)
        _, on_level = solve_effects(effects, right_county, right_level)
        out = -np.asarray((effects.by_county @ residual @ effects.by_level.T) @ on_level)
        if regressors.shape[1]:
            moved = np.zeros((count, regressors.shape[1]))
            np.add.at(moved, code, own * share[:, None])
            out -= (effects.by_county @ (residual @ model.own)) @ (model.inverse.matrix @ moved.T)
        return out

    return Prediction(gap, goal, component[known], effects.county_component, carried)


def predict_along_lines(panel: LongPanel, goal: Codes, regressors: Array) -> Prediction:
    """Predict rows from a line for each county, year effects and regressors, fitted on untreated rows.

    Args:
        panel: with untreated rows, in one stratum.
        goal: rows to predict.
        regressors: (n, q) beside lines and year effects.
    """
    fit, county, time = np.flatnonzero(panel.untreated), panel.county, panel.years[panel.year].astype(float)
    counties = len(panel.counties)
    lines = make_lines(county[fit], time[fit], panel.weight[fit], counties)
    x = np.hstack([year_effects(panel), regressors])
    model = absorbed_regression(panel.outcome[fit], x[fit], lines)
    net = panel.outcome - x @ model.solution
    gap = net - along_lines(lines, fit_lines(lines, net[fit, None]), county, time)[:, 0]
    own = x[goal] - along_lines(lines, fit_lines(lines, x[fit]), county[goal], time[goal])
    seen = np.bincount(county[fit], minlength=counties) > 0
    # What two straight lines and the year effects share is no obstacle; a year nobody untreated saw is one.
    known = seen[county[goal]] & model.inverse.tells(own)
    goal, own = goal[known], own[known]
    scores = lines.by_county @ (model.own * (lines.weights * model.residual)[:, None])

    def carried(code: Codes, share: Array, count: int) -> Array:
        # A county's weighted residuals are orthogonal to its own line, which drops out.
        moved = np.zeros((count, x.shape[1]))
        np.add.at(moved, code, own * share[:, None])
        return np.asarray(-scores @ (model.inverse.matrix @ moved.T))

    component = np.where(seen, 0, -1).astype(np.intp)
    return Prediction(gap, goal, component[county[goal]], component, carried)


def year_effects(panel: LongPanel) -> Array:
    """Return an indicator of every year, (n, T)."""
    return (panel.year[:, None] == np.arange(len(panel.years))).astype(float)


def impute(
    panel: LongPanel, cells: Cells, regressors: Array, *, own_mean: bool, lines: bool = False
) -> Imputed:
    """Fit untreated county-years, predict the others and average the gaps by cell.

    Args:
        panel: with untreated and treated rows.
        cells: of the treated rows.
        regressors: (n, q) beside county and level effects.
        own_mean: whether deviations are from the cell's effect (two-stage), not from the mean by squared weights.
        lines: whether counties have straight lines of their own, not a constant; then in one stratum.

    Raises:
        SampleError: no untreated rows.

    Source: Borusyak, Jaravel and Spiess (2024), Review of Economic Studies 91(6), theorems 1 and 3; Gardner (2022),
    arXiv 2207.05943.
    """
    if not panel.untreated.any():
        raise SampleError("no untreated county-year", "county-years before adoption", "sample.years")
    found = (predict_along_lines if lines else predict)(panel, np.flatnonzero(cells.code >= 0), regressors)
    gap, goal, home = found.gap, found.goal, panel.county[found.goal]
    count, code = len(cells), cells.code[goal]
    share = panel.weight[goal].copy()
    size = np.bincount(code, share, minlength=count)
    share /= size[code]
    effect = np.where(size > 0, np.bincount(code, share * gap[goal], minlength=count), np.nan)
    centre = effect
    if not own_mean:
        square = np.bincount(code, share**2, minlength=count)
        with np.errstate(invalid="ignore"):
            centre = np.bincount(code, share**2 * gap[goal], minlength=count) / square
    influence = found.carried(code, share, count)
    np.add.at(influence, (home, code), share * (gap[goal] - centre[code]))
    seats = np.zeros((len(panel.counties), count))
    np.add.at(seats, (home, code), panel.weight[goal])
    reached = np.zeros((int(found.county_component.max()) + 1, count), dtype=bool)
    reached[found.component, code] = True
    helps = (found.county_component >= 0)[:, None] & (
        reached[np.maximum(found.county_component, 0)] if not regressors.shape[1] else True
    )
    treated = np.where(helps & (size > 0), seats, np.nan)
    influence = np.where(helps, influence, 0.0)
    influence[:, size == 0] = np.nan
    return Imputed(effect, influence, treated, int((cells.code >= 0).sum()) - len(goal))


def lead_effects(panel: LongPanel, cells: Cells, regressors: Array, *, lines: bool = False) -> Imputed:
    """Regress untreated outcomes on effects, regressors and an indicator of every lead cell.

    Args:
        panel: any rows; the untreated ones are fitted.
        cells: of untreated rows of cohorts.
        regressors: (n, q).
        lines: see `impute`.

    Source: Borusyak, Jaravel and Spiess (2024), section 4.4: the test of trends uses untreated county-years alone.
    """
    fit = panel.untreated
    here = panel.rows(fit)
    code = cells.code[fit]
    counties, count = len(panel.counties), len(cells)
    x = np.hstack([(code[:, None] == np.arange(count)).astype(float), regressors[fit]])
    if lines:
        own = make_lines(here.county, here.years[here.year].astype(float), here.weight, counties)
        model = absorbed_regression(here.outcome, np.hstack([x, year_effects(here)]), own)
    else:
        levels = int(panel.levels.max()) + 1
        effects = make_effects(here.county, here.levels, here.weight, counties, levels)
        model = absorbed_regression(here.outcome, x, effects)
    effect, influence = model.coefficient[:count], model.influence[:, :count]
    # Where effects stand in for the indicators (a stratum of one cohort), a county tells nothing of leads.
    moves, tells = (
        np.bincount(here.county, (np.abs(columns) > 1e-8).any(axis=1), minlength=counties) > 0
        for columns in (model.own, model.own[:, :count])
    )
    seats = cell_weights(here, replace(cells, code=code)) * tells[:, None]
    used = moves[:, None] & np.isfinite(effect)
    influence = np.where(np.isfinite(effect), np.where(moves[:, None], influence, 0.0), np.nan)
    return Imputed(effect, influence, np.where(used, seats, np.nan), 0)


def group_time(design: Design) -> Estimate:
    """Estimate the effect on each cohort in each year, and its leads, by imputation.

    Args:
        design: a panel; ``estimator.name`` imputation or two_stage, ``estimator.within`` none, state or urban_class,
            ``estimator.trends`` none or county (imputation, across the country).

    Returns:
        An Estimate of estimand ``group_time``: a row a cohort, base year and year from adoption (less anticipation)
        on, and marked rows of leads. No reference. A cell no untreated county-year can stand in for (all counties
        treated by then, or all of the stratum) is a missing row. With county trends, counties with fewer than three
        untreated years are left out.

    Raises:
        SpecError: a design that is no panel, a comparison with never treated counties alone, which it cannot keep
            to (years before adoption are what it fits), or county trends where they cannot be had.
        SampleError: nothing can be predicted.

    Assumption: untreated outcomes are county plus year (stratum-by-year) effects, plus a straight line for each
    county with ``trends = "county"``, plus controls, plus covariates times year; no anticipation beyond the stated
    years; policies stay. Errors are conservative where effects differ within a cohort and year.

    Source: Borusyak, Jaravel and Spiess (2024), Review of Economic Studies 91(6); Gardner (2022), arXiv 2207.05943.

    Example:
        ``aggregate(group_time(design), over="cohort")``: a row a cohort.
    """
    _refuse(design)
    spec = design.spec
    panel = read_design(design)
    lines, short = spec.estimator.trends == "county", np.zeros(len(panel.counties), dtype=bool)
    if lines:
        panel, short = _long_enough(panel)
    panel, cells = treated_cells(panel)
    regressors = _regressors(panel)
    found = impute(panel, cells, regressors, own_mean=spec.estimator.name == "two_stage", lines=lines)
    if np.isnan(found.effect).all():
        raise SampleError(
            "no treated county-year has an untreated one to be predicted from",
            "comparison counties",
            "sample",
        )
    early = make_cells(panel, _lead_rows(panel, 2 if lines else 1))
    parts, frames = [found], [cells.frame(found.effect)]
    if len(early):
        leads = lead_effects(panel, early, regressors, lines=lines)
        parts.append(leads)
        frames.append(early.frame(leads.effect, np.ones(len(early), dtype=bool)))
    rows = pd.concat(frames, ignore_index=True)
    rows["base"] = np.concatenate([cells.base, early.base])
    order = rows.sort_values(["cohort", "base", "time"], kind="stable").index.to_numpy()
    treated = np.hstack([part.treated for part in parts])[:, order]
    entered = np.asarray(~np.isnan(treated).all(axis=1), dtype=bool)
    return make_estimate(
        design,
        rows=rows.loc[order].drop(columns="base").reset_index(drop=True),
        counties=panel.counties,
        influence=np.hstack([part.influence for part in parts])[:, order],
        treated=treated,
        estimand="group_time",
        reference=None,
        notes=[*panel.notes, *_notes(design, cells, found, early, parts[1:], panel.counties[short])],
        dropped=[
            *([panel.line(_ENOUGH, _seen(panel))] if lines else []),
            panel.line("imputation: with untreated county-years", entered),
        ],
    )


def fit(design: Design) -> Estimate:
    """Estimate effects by imputation and average them by event time; see `group_time` and `aggregate`.

    Returns:
        An Estimate of estimand ``event_time`` without a reference; terms of leads begin with ``lead, ``.
    """
    return aggregate(group_time(design), over="event_time")


def _refuse(design: Design) -> None:
    spec = design.spec
    if design.kind != "panel" or spec.estimator.name not in NAMES:
        raise SpecError(
            f"imputation on a {design.kind}, estimator {spec.estimator.name!r}",
            f"a panel; one of {', '.join(NAMES)}",
            "estimator.name",
        )
    if spec.treatment.comparison != "not_yet_treated":
        raise SpecError(
            f'treatment.comparison = "{spec.treatment.comparison}" with {spec.estimator.name}, which fits every '
            "untreated county-year",
            '"not_yet_treated"',
            "treatment.comparison",
        )
    if spec.estimator.trends == "county" and (spec.estimator.name != "imputation" or spec.within != "none"):
        raise SpecError(
            f'estimator.trends = "county" with {spec.estimator.name}, within = "{spec.within}"',
            'imputation across the country, within = "none"',
            "estimator.trends",
        )


_ENOUGH = f"county trends: at least {LINE_YEARS} untreated years"


def _seen(panel: LongPanel) -> Flags:
    return np.asarray(np.bincount(panel.county, minlength=len(panel.counties)) > 0, dtype=bool)


def _long_enough(panel: LongPanel) -> tuple[LongPanel, Flags]:
    """Return the panel without counties that have too few untreated years for a line, and which they are, (C,)."""
    untreated = np.bincount(panel.county[panel.untreated], minlength=len(panel.counties))
    short = _seen(panel) & (untreated < LINE_YEARS)
    return panel.rows(~short[panel.county]), short


def _regressors(panel: LongPanel) -> Array:
    """Return control policies, and covariates times each year but the first."""
    columns = [panel.controls]
    x = panel.covariates[panel.county]
    columns += [x * (panel.year == year)[:, None] for year in range(1, len(panel.years))]
    return np.hstack(columns)


def _lead_rows(panel: LongPanel, earlier: int) -> Flags:
    """Return the last untreated years of cohorts observed after adoption, leaving each group some earlier years."""
    early = panel.untreated & ~np.isnan(panel.event_time)
    early &= panel.adopters[panel.county]
    out = np.zeros(len(early), dtype=bool)
    group = panel.cohort * 10_000 + panel.base
    for one in np.unique(group[panel.county[early]]):
        rows = early & (group[panel.county] == one)
        times = np.unique(panel.event_time[rows])
        last = times[-min(LEADS, len(times) - earlier) :] if len(times) > earlier else times[:0]
        out |= rows & np.isin(panel.event_time, last)
    return out


def _notes(
    design: Design, cells: Cells, found: Imputed, early: Cells, leads: list[Imputed], short: pd.Index
) -> list[str]:
    within, lines = design.spec.within, design.spec.estimator.trends == "county"
    notes = [
        f"county and {BY_YEAR[within]} effects fitted on untreated county-years"
        + (", with weights" if design.spec.estimator.weights != "none" else "")
    ]
    if lines:
        notes.append(
            "a straight line for each county, fitted on its untreated years alone and drawn on: the further from "
            "adoption, the more of the effect is the line's"
        )
    if len(short):
        notes.append(
            f"fewer than {LINE_YEARS} untreated years, no line of their own, left out: {len(short)} counties"
        )
    if design.controls:
        notes.append(f"control policies in the prediction: {', '.join(design.controls)}")
    if design.covariates:
        notes.append(f"covariates times year in the prediction: {', '.join(design.covariates)}")
    if design.spec.estimator.name == "two_stage":
        notes.append("estimates are those of imputation; errors are of the second regression")
    missing = np.isnan(found.effect)
    if missing.any():
        notes.append(
            "not estimated, no untreated county-year to predict from"
            f"{f' in their {STRATA[within]}' if within in STRATA else ''}: {cells.where(missing)}"
        )
    if found.unpredicted:
        notes.append(f"{found.unpredicted} treated county-years have no prediction and are in no cell")
    if leads:
        notes.append(
            f"leads (up to {LEADS} years) compare untreated county-years with the cohort's earlier ones: another base "
            "than the effects', not to be joined to them or bounded with them"
        )
        lost = np.isnan(leads[0].effect)
        if lost.any():
            notes.append(f"leads not estimated, no comparison or earlier year: {early.where(lost)}")
    return notes

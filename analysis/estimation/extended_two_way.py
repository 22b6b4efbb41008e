"""Extended two-way effects (Wooldridge): county and year effects with an indicator for every cohort in every year
from adoption on.

County-years before adoption carry no indicator, so they and counties not yet treated are what effects are compared
with. Without covariates and in a balanced unweighted panel the linear form equals imputation; in an unbalanced one
treated county-years, too, help to place a county, and the two part. Covariates enter times year, and in deviations
from their cell's treated mean times the cell's indicator, so that a cell's coefficient stays its average effect.

``method = "poisson"`` fits the same cells to counts by Poisson pseudo-maximum likelihood with residents as exposure:
effects are then log points, and ``aggregate`` averages log points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, aggregate, make_estimate
from analysis.estimation.panel_arrays.effects import without_singletons
from analysis.estimation.panel_arrays.panel import (
    STRATA,
    Cells,
    LongPanel,
    cell_weights,
    read_design,
    treated_cells,
)
from analysis.estimation.panel_arrays.regression import poisson_regression, separated_rows
from analysis.estimation.panel_arrays.saturated import (
    Saturated,
    factor_note,
    sample_notes,
    saturated_effects,
    singleton_notes,
)

Array = NDArray[np.float64]

METHODS = ("linear", "poisson")


def group_time(design: Design) -> Estimate:
    """Estimate the effect on each cohort in each year from adoption on.

    Args:
        design: a panel; ``estimator.method`` linear or poisson, ``estimator.within`` none, state or urban_class
            (linear alone).

    Returns:
        An Estimate of estimand ``group_time``: a row a cohort, base year and year from adoption (less anticipation)
        on; no leads and no reference, since all years before adoption together are the base. Errors by cluster with
        the factor (N - 1) / (N - k), k counting regressors and the year effects not nested in clusters, times
        G / (G - 1). A cell with nobody left untreated is a missing row.

    Raises:
        SpecError: a design that is no panel, an unknown method, never treated counties alone as comparison, or a
            Poisson form of something other than unweighted counts across the country.
        SampleError: no cohort is observed on both sides of adoption with a comparison.

    Assumption: parallel trends (of logs for counts) among adopters before adoption and counties not yet treated, in
    all years before adoption; no anticipation beyond the stated years; policies stay.

    Source: Wooldridge (2021), SSRN 3906345; Wooldridge (2023), Econometrics Journal 26(3), for counts.

    Example:
        ``aggregate(group_time(design), over="calendar")``: a row a year.
    """
    _refuse(design)
    spec = design.spec
    panel = read_design(design)
    panel, cells = treated_cells(panel)
    nested = spec.estimator.within == "state" and spec.inference.by == "state"
    counts = spec.estimator.method == "poisson"
    found, more = _poisson(panel, cells) if counts else (_linear(panel, cells), [])
    if np.isnan(found.effect).all():
        raise SampleError(
            "no cohort has an untreated county to compare with", "comparison counties", "sample"
        )
    entered = np.asarray(~np.isnan(found.treated).all(axis=1), dtype=bool)
    estimate = make_estimate(
        design,
        rows=cells.frame(found.effect),
        counties=panel.counties,
        influence=found.influence * np.sqrt(found.factor(nested)),
        treated=found.treated,
        estimand="group_time",
        reference=None,
        notes=[*panel.notes, *more, *_notes(design, cells, found, nested)],
        dropped=[panel.line("extended two-way: in a cell or a comparison", entered)],
    )
    return replace(estimate, unit=f"log points of {design.unit}") if counts else estimate


def fit(design: Design) -> Estimate:
    """Estimate the effects of cells and average them by event time; see `group_time` and `aggregate`."""
    return aggregate(group_time(design), over="event_time")


def _refuse(design: Design) -> None:
    spec = design.spec
    method = spec.estimator.method
    if design.kind != "panel" or method not in METHODS:
        raise SpecError(
            f"extended_two_way on a {design.kind}, method {method!r}", f"a panel; one of {', '.join(METHODS)}",
            "estimator.method",
        )  # fmt: skip
    if spec.treatment.comparison != "not_yet_treated":
        raise SpecError(
            f'treatment.comparison = "{spec.treatment.comparison}" with extended_two_way',
            '"not_yet_treated"; interaction_weighted compares with never treated counties alone',
            "treatment.comparison",
        )
    if method == "poisson":
        for found, wrong, where in (
            (f'outcome.scale = "{spec.outcome.scale}"', spec.outcome.scale != "count", "outcome.scale"),
            (f'estimator.weights = "{spec.estimator.weights}"', spec.estimator.weights != "none", "estimator.weights"),
            (f'estimator.within = "{spec.within}"', spec.within != "none", "estimator.within"),
            ("covariates.names", bool(design.covariates), "covariates.names"),
        ):  # fmt: skip
            if wrong:
                raise SpecError(
                    f"{found} with Poisson effects",
                    "counts with residents as exposure, unweighted, across the country, without covariates",
                    where,
                )


def _linear(panel: LongPanel, cells: Cells) -> Saturated:
    p = panel.covariates.shape[1]
    if not p:
        return saturated_effects(panel, cells)
    x, inside = panel.covariates[panel.county], cells.code >= 0
    weights = cell_weights(panel, cells)
    mean = (weights.T @ panel.covariates) / weights.sum(axis=0)[:, None]
    columns = [panel.controls]
    columns += [x * (panel.year == year)[:, None] for year in range(1, len(panel.years))]
    for cell in range(len(cells)):
        here = inside & (cells.code == cell)
        columns.append((x - mean[cell]) * here[:, None])
    return saturated_effects(replace(panel, controls=np.hstack(columns)), cells)


def _poisson(panel: LongPanel, cells: Cells) -> tuple[Saturated, list[str]]:
    if not (np.isfinite(panel.people).all() and (panel.people > 0).all()):
        raise SampleError("a county-year without residents", "a positive population as exposure", "sample")
    if (panel.outcome < 0).any():
        raise SampleError("a negative count", "counts from 0", "outcome")
    x = np.hstack([(cells.code[:, None] == np.arange(len(cells))).astype(float), panel.controls])
    apart = separated_rows(panel.outcome, x, panel.county, panel.year)
    kept = ~apart & _paired(panel, ~apart)
    notes = []
    if apart.any():
        notes.append(
            f"separated, {int(apart.sum())} county-years of no events that effects fit without limit are left out: "
            f"{len(np.unique(panel.county[apart]))} counties"
        )
    here, code = panel.rows(kept), cells.code[kept]
    seen = np.bincount(code[code >= 0], minlength=len(cells)) > 0
    x = x[kept][:, np.concatenate([seen, np.ones(panel.controls.shape[1], dtype=bool)])]
    _, county = np.unique(here.county, return_inverse=True)
    _, year = np.unique(here.year, return_inverse=True)
    fitted = poisson_regression(here.outcome, here.people, x, county, year)
    if not fitted.converged:
        raise SampleError(
            "the Poisson iteration did not settle", "counts that vary within counties", "sample"
        )
    effect = np.full(len(cells), np.nan)
    effect[seen] = fitted.coefficient[: int(seen.sum())]
    influence = np.full((len(panel.counties), len(cells)), np.nan)
    entered = np.unique(here.county)
    told = np.flatnonzero(np.isfinite(effect))
    influence[:, told] = 0.0
    influence[np.ix_(entered, told)] = fitted.influence[:, : int(seen.sum())][:, np.isfinite(effect[seen])]
    treated = np.full_like(influence, np.nan)
    treated[np.ix_(entered, told)] = cell_weights(here, replace(cells, code=code))[np.ix_(entered, told)]
    found = Saturated(
        effect, influence, treated, fitted.rank, int(year.max()) + 1, len(here.outcome), int((~kept & ~apart).sum())
    )  # fmt: skip
    notes.append("Poisson pseudo-maximum likelihood on counts, residents as exposure; effects are log points")
    return found, notes


def _paired(panel: LongPanel, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out = np.zeros(len(keep), dtype=bool)
    out[keep] = without_singletons(panel.county[keep], panel.year[keep])
    return out


def _notes(design: Design, cells: Cells, found: Saturated, nested: bool) -> list[str]:
    notes = [
        "all years before adoption together are the base",
        factor_note(found, nested),
        *sample_notes(design.spec.within, design.controls),
    ]
    within = STRATA.get(design.spec.within, "")
    if design.covariates:
        notes.append(
            f"covariates times year and, less their treated mean, times cell: {', '.join(design.covariates)}; "
            "errors take the means as given"
        )
    notes += singleton_notes(found)
    missing = np.isnan(found.effect)
    if missing.any():
        notes.append(
            "not estimated, nobody untreated to compare with or no event in the cell: "
            f"{cells.where(missing)}{f' (within {within})' if within else ''}"
        )
    return notes

"""Group-time average treatment effects (Callaway and Sant'Anna), across the country or within strata.

The arithmetic is our own, on arrays, and not diff-diff's: that engine keeps a cell's influence function in a
private attribute; takes the last period before adoption as base for a whole cohort, whereas here a county
that adopted in mid-year has no row for that year and goes back one year further than a January adopter of the
same cohort; compares across the whole country only; clips propensity scores at 0.01; and does not normalise
the weights of its doubly robust estimator, as Sant'Anna and Zhao do. Where the two do the same thing they
agree to 1e-7, errors included (tests/estimation), and both agree with R (tests/reference/group_time).

Each cell compares the change from a base year b to year t of counties first treated in cohort g with that of
comparison counties untreated in both years:

* b is one base for every t: the last year wholly before adoption (less the years of anticipation).
* A cell rests on counties observed in both years, so an unbalanced panel gives each cell its own counts.
* Counties treated in all years they are observed have no base; they enter no cell, as treated or as
  comparison.
* Counties that adopt after the window are comparison counties where those not yet treated may be.
* Control policies enter as their change between b and t beside the covariates.
* Within strata, a cell is restricted to strata that hold both arms, stratum indicators join both nuisance
  models, and inverse weights are normalised within strata. Whatever a stratum's counties share in a year then
  drops out exactly, and without covariates every method is the treated-weighted mean of within-stratum
  differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, aggregate, cell_rows, make_estimate
from analysis.estimation.matching.propensity import fit_logit
from analysis.estimation.panel_arrays.panel import STRATA, LongPanel, read_design

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

METHODS = ("doubly_robust", "outcome_regression", "inverse_weighting")
# Comparison counties with a higher propensity score are left out of the weights, as in the R package DRDID.
TRIM = 0.995


# --- one cell, on arrays
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nuisance:
    """What a cell needs beside outcomes; the same for every year with the same counties.

    Args:
        x: (n, k) design matrix, constant or stratum indicators first, dependent columns left out.
        odds: (n,) propensity odds of comparison rows, 0 where trimmed; 1 where no propensity is used.
        probability: (n,) propensity score, or None.
        bread: (k, k) inverse information of the propensity model, or None.
        gram_inverse: (k, k) inverse of the comparison rows' weighted Gram matrix, or None.
        cells: (n,) codes from 0 within which inverse weights are normalised.
        trimmed: comparison rows left out for a propensity score of TRIM or more.
    """

    x: Array
    odds: Array
    probability: Array | None
    bread: Array | None
    gram_inverse: Array | None
    cells: NDArray[np.intp]
    trimmed: int


class CellError(ValueError):
    """A cell cannot be estimated; the text is the reason."""


def prepare_cell(
    d: Flags, weights: Array, strata: NDArray[np.intp], covariates: Array, method: str
) -> Nuisance:
    """Fit what the cell's method needs that does not depend on outcomes.

    Args:
        d: (n,) treated.
        weights: (n,).
        strata: (n,) codes; each holds both arms.
        covariates: (n, p), p may be 0.
        method: one of METHODS.

    Raises:
        CellError: too few comparison counties for the regression, or a propensity model that separates the
            arms.
    """
    codes, at = np.unique(strata, return_inverse=True)
    indicators = (at[:, None] == np.arange(len(codes))).astype(float)
    centre, scale = covariates.mean(axis=0), covariates.std(axis=0)
    x = _independent(np.hstack([indicators, (covariates - centre) / np.where(scale > 0, scale, 1)]))
    n, k = x.shape
    odds, probability, bread, inverse, trimmed = np.ones(n), None, None, None, 0
    if method != "outcome_regression":
        if covariates.shape[1]:
            fit = fit_logit(x, d, weights)
            if not fit.converged:
                raise CellError("the propensity model separates the arms")
            probability, bread = fit.probability, fit.bread
        else:
            # Of strata alone the fit is each one's own share.
            sizes, hit = np.bincount(at, weights), np.bincount(at, weights * d)
            probability, bread = (hit / sizes)[at], np.diag(1 / (hit * (1 - hit / sizes)))
        probability = np.minimum(probability, 1 - 1e-6)
        odds = np.where(probability < TRIM, probability / (1 - probability), 0.0)
        trimmed = int(np.count_nonzero(~d & (odds == 0)))
        if not np.bincount(at, ~d & (odds > 0)).all():
            raise CellError("no comparison county has a propensity score below the trimming bound")
    if method != "inverse_weighting":
        gram = (x[~d] * weights[~d, None]).T @ x[~d]
        root = np.sqrt(np.maximum(np.diag(gram), 1e-300))
        if np.count_nonzero(~d) < k or np.linalg.cond(gram / root / root[:, None]) > 1e12:
            raise CellError("too few comparison counties for the covariates")
        inverse = np.asarray(np.linalg.inv(gram), dtype=float)
    # The regression's indicators already take out what a stratum shares; weights alone need it of their own.
    cells = at if method == "inverse_weighting" else np.zeros(n, dtype=np.intp)
    return Nuisance(x, odds, probability, bread, inverse, cells, trimmed)


def cell_effect(change: Array, d: Flags, weights: Array, nuisance: Nuisance) -> tuple[float, Array]:
    """Return one cell's average effect on the treated and each county's contribution to its error.

    With a regression and a propensity score this is the (traditional) doubly robust estimator, with one of
    them outcome regression or normalised inverse weighting.

    Args:
        change: (n,) outcome in the year less outcome in the base year.
        d: (n,) treated.
        weights: (n,).
        nuisance: from ``prepare_cell``.

    Assumption: given covariates (and stratum), treated and comparison counties would have changed alike.

    Source: Sant'Anna and Zhao (2020), Journal of Econometrics 219(1), sections 2-3; Heckman, Ichimura and
    Todd (1997); Abadie (2005).

    Example:
        >>> change, d, w = np.array([5.0, 3.0, 1.0, 1.0]), np.array([True, True, False, False]), np.ones(4)
        >>> cell = prepare_cell(d, w, np.zeros(4, int), np.zeros((4, 0)), "doubly_robust")
        >>> float(round(cell_effect(change, d, w, cell)[0], 6))
        3.0
    """
    x, c = nuisance.x, ~d
    treated_weight, comparison_weight = weights * d, weights * c * nuisance.odds
    residual = change
    if nuisance.gram_inverse is not None:
        beta = nuisance.gram_inverse @ (x.T @ (weights * c * change))
        residual = change - x @ beta
    total = treated_weight.sum()
    if nuisance.probability is None:
        # Outcome regression alone: the comparison arm is the regression's prediction for the treated.
        effect = float(treated_weight @ residual / total)
        target = x.T @ treated_weight / total
        scores = (x @ (nuisance.gram_inverse @ target)) * weights * c * residual
        return effect, treated_weight * (residual - effect) / total - scores
    at = nuisance.cells
    sizes = np.bincount(at, comparison_weight)
    gap = residual - (np.bincount(at, comparison_weight * residual) / sizes)[at]
    effect = float(treated_weight @ gap / total)
    # A comparison county's weight in the effect: its share of its stratum's, times the stratum's share of the
    # treated.
    share = comparison_weight * (np.bincount(at, treated_weight) / total / sizes)[at]
    out = treated_weight * (gap - effect) / total - share * gap
    # Error of the propensity coefficients: their scores times how the comparison means move with them.
    out -= (x @ (nuisance.bread @ (x.T @ (share * gap)))) * weights * (d - nuisance.probability)
    if nuisance.gram_inverse is not None:
        # Error of the regression coefficients: the imbalance that the propensity weights leave.
        left = x.T @ (treated_weight / total - share)
        out -= (x @ (nuisance.gram_inverse @ left)) * weights * c * residual
    return effect, out


def _independent(x: Array) -> Array:
    """Return x without columns that are combinations of columns before them."""
    diagonal = np.zeros(x.shape[1])
    found = np.abs(np.diag(qr(x, mode="r", check_finite=False)[0]))
    diagonal[: len(found)] = found  # with fewer rows than columns the rest are combinations
    return x[:, diagonal > 1e-8 * np.sqrt(len(x))]


# --- all cells of a panel
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its place, its effect, and (n,) influence and treated weights over all counties."""

    cohort: int
    base: int
    time: int
    event_time: int
    effect: float
    influence: Array
    treated: Array
    reason: str
    trimmed: int


def estimate_cells(panel: LongPanel, method: str, comparison: str) -> list[Cell]:
    """Estimate every cell of a panel.

    Args:
        panel: the panel.
        method: one of METHODS.
        comparison: never_treated | not_yet_treated.

    Returns:
        Cells by cohort, base and year, without the base year itself; a cell that cannot be estimated has a
        missing effect and a reason.
    """
    cells: list[Cell] = []
    known: dict[tuple[bytes | str, ...], Nuisance | CellError] = {}
    empty = np.full(len(panel.counties), np.nan)
    outcome, event_times = panel.wide(panel.outcome), panel.wide(panel.event_time)
    controls, observed = panel.wide(panel.controls), np.isfinite(outcome)
    untreated = panel.wide(panel.untreated.astype(float)) == 1
    for cohort, base, group in panel.groups():
        b = int(np.searchsorted(panel.years, base))
        eligible = panel.never if comparison == "never_treated" else panel.cohort != cohort
        for t, year in enumerate(panel.years):
            treated = group & observed[:, t]
            if t == b or not treated.any():
                continue  # the base itself, or the transition year, which has no row
            event_time = int(event_times[treated, t].max())
            place = (cohort, base, int(year), event_time)
            treated &= observed[:, b]
            arm = eligible & ~group & untreated[:, t] & untreated[:, b]
            both = np.intersect1d(panel.stratum[treated], panel.stratum[arm])
            members = np.flatnonzero((treated | arm) & np.isin(panel.stratum, both))
            if not len(members):
                reason = "no comparison county observed in both years" + (
                    " in their strata" if arm.any() else ""
                )
                cells.append(Cell(*place, np.nan, empty, empty, reason, 0))
                continue
            d, w = treated[members], panel.size[members]
            shifts = controls[members, t] - controls[members, b]
            key = (method, members.tobytes(), d.tobytes(), shifts.tobytes())
            if key not in known:
                x = np.hstack([panel.covariates[members], shifts])
                try:
                    known[key] = prepare_cell(d, w, panel.stratum[members], x, method)
                except CellError as error:
                    known[key] = error
            nuisance = known[key]
            if isinstance(nuisance, CellError):
                cells.append(Cell(*place, np.nan, empty, empty, str(nuisance), 0))
                continue
            change = outcome[members, t] - outcome[members, b]
            effect, contribution = cell_effect(change, d, w, nuisance)
            influence, weight = np.zeros(len(panel.counties)), empty.copy()
            influence[members], weight[members] = contribution, np.where(d, w, 0.0)
            cells.append(Cell(*place, effect, influence, weight, "", nuisance.trimmed))
    return cells


# --- design in, estimate out
# -----------------------------------------------------------------------------------


def group_time(design: Design) -> Estimate:
    """Estimate the effect of each cohort in each year.

    Args:
        design: a panel.

    Returns:
        An Estimate of estimand ``group_time``: a row a cohort, base year and year other than the base. Errors
        by cluster of the influence, clusters as ``inference.by`` says, factor G / (G - 1), t with G - 1
        degrees of freedom; bands over all rows.

    Raises:
        SpecError: an unknown method or comparison, or a design that is no panel.
        SampleError: no cohort is observed on both sides of adoption with a comparison.

    Assumption: parallel trends given covariates (within strata), no anticipation beyond the stated years,
    policies stay once adopted.

    Source: Callaway and Sant'Anna (2021), Journal of Econometrics 225(2).
    """
    estimator, treatment = design.spec.estimator, design.spec.treatment
    if design.kind != "panel" or estimator.method not in METHODS:
        raise SpecError(
            f"group-time effects of a {design.kind}, method {estimator.method!r}",
            f"a panel; one of {METHODS}",
        )
    if treatment.comparison not in ("never_treated", "not_yet_treated"):
        raise SpecError(
            f"treatment.comparison = {treatment.comparison!r}", "never_treated or not_yet_treated"
        )
    panel = read_design(design)
    cells = estimate_cells(panel, estimator.method, treatment.comparison)
    if not any(np.isfinite(cell.effect) for cell in cells):
        why = (
            "; ".join(sorted({cell.reason for cell in cells}))
            or "no treated county is observed before and after adoption"
        )
        raise SampleError(
            f"no group-time effect can be estimated: {why}", "treated and comparison counties", "sample"
        )
    rows = cell_rows(
        [c.cohort for c in cells],
        [c.base for c in cells],
        [c.time for c in cells],
        [c.event_time for c in cells],
        [c.effect for c in cells],
    )
    treated = np.column_stack([c.treated for c in cells])
    influence = np.column_stack([np.where(np.isnan(c.effect), np.nan, c.influence) for c in cells])
    entered = np.asarray(~np.isnan(treated).all(axis=1), dtype=bool)
    return make_estimate(
        design,
        rows=rows,
        counties=panel.counties,
        influence=influence,
        treated=treated,
        estimand="group_time",
        reference=-1 - treatment.anticipation,
        notes=[*panel.notes, *_notes(design, panel, cells, treated)],
        dropped=[]
        if entered.all()
        else [panel.line("group-time cells: observed before and after, with a comparison", entered)],
    )


def fit(design: Design) -> Estimate:
    """Estimate group-time effects and average them by event time; see `group_time` and `aggregate`.

    Returns:
        An Estimate of estimand ``event_time``. ``aggregate(estimate, over="post")`` averages its event times
        from 0 on, weighted by treated county-years, which is the same as averaging the group-time effects
        themselves.
    """
    return aggregate(group_time(design), over="event_time")


def _notes(design: Design, panel: LongPanel, cells: list[Cell], treated: Array) -> list[str]:
    reference = -1 - design.spec.treatment.anticipation
    notes = [f"universal base: the last year wholly before adoption (event time {reference})"]
    for reason in sorted({c.reason for c in cells if c.reason}):
        years: dict[tuple[int, int], list[int]] = {}
        for cell in cells:
            if cell.reason == reason:
                years.setdefault((cell.cohort, cell.base), []).append(cell.time)
        where = "; ".join(f"cohort {g}, base {b}: {' '.join(map(str, t))}" for (g, b), t in years.items())
        notes.append(f"not estimated, {reason}: {where}")
    lost = panel.adopters & ~(np.nan_to_num(treated) > 0).any(axis=1)
    if lost.any():
        notes.append(
            f"{int(lost.sum())} counties observed before and after adoption are in no estimated cell"
        )
    alone = int(((np.nan_to_num(treated) > 0).sum(axis=0) == 1).sum())
    if alone:
        notes.append(
            f"{alone} cells rest on one treated county: their own errors hold comparison counties alone"
        )
    trimmed = sum(c.trimmed for c in cells)
    if trimmed:
        notes.append(
            f"comparison counties with a propensity score of {TRIM} or more are left out ({trimmed} times)"
        )
    within = STRATA.get(design.spec.within, "")
    if within:
        notes.append(f"compared within {within}: cells hold {within} with both arms")
    if design.controls:
        notes.append(f"held constant by their change since the base year: {', '.join(design.controls)}")
    return notes

"""Local projections: one regression an event time, of the change since the base year on adoption, among clean
counties alone.

At event time h a cohort's change from its base year to its year h is compared with the change over the same years of
counties untreated throughout: never treated, or not yet treated by the later of the two years (anticipation
included). Cohorts are stacked with an effect for each cohort and base year, and two averages are to be had:

* ``variance_weighted``: the regression's own, in which a cohort counts by the variance of adoption in its sample.
* ``equally_weighted``: every treated county counts alike (by its weight), the average effect on the treated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, make_estimate
from analysis.estimation.panel_arrays.panel import STRATA, LongPanel, read_design
from analysis.estimation.panel_arrays.regression import invert

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

METHODS = ("variance_weighted", "equally_weighted")
COMPARISONS = ("never_treated", "not_yet_treated")


@dataclass(frozen=True, slots=True)
class Projection:
    """One event time: its effect, and each county's contribution and treated weight, (C,)."""

    event_time: int
    effect: float
    influence: Array
    treated: Array
    cells: int
    reason: str


@dataclass(frozen=True, slots=True)
class LongDifferences:
    """Long differences of one event time: a row a county and cell.

    Args:
        county: (n,) codes.
        cell: (n,) codes of cohort, base year and stratum.
        d: (n,) of the cohort.
        change: (n,) outcome less outcome in the base year.
        shifts: (n, q) the same of control policies.
        weight: (n,).
    """

    county: NDArray[np.intp]
    cell: NDArray[np.intp]
    d: Flags
    change: Array
    shifts: Array
    weight: Array


def project(
    sample: LongDifferences, counties: int, event_time: int, *, equally: bool, clustered_factor: bool
) -> Projection:
    """Regress long differences on adoption with an effect for each cell.

    Args:
        sample: rows; a cell without one of the arms tells nothing and is left out.
        counties: number of counties.
        event_time: of the differences.
        equally: whether treated counties count alike, rather than cells by their variance.
        clustered_factor: whether the influence carries the regression's (N - 1) / (N - k).

    Source: Dube, Girardi, Jordà and Taylor (2025), Journal of Applied Econometrics 40(7) (NBER working paper 31184),
    equations 11 to 14.
    """
    nothing = np.full(counties, np.nan)
    size = int(sample.cell.max(initial=-1)) + 1
    both = np.bincount(sample.cell, sample.d, minlength=size) > 0
    both &= np.bincount(sample.cell, ~sample.d, minlength=size) > 0
    keep = both[sample.cell]
    if not keep.any():
        return Projection(event_time, np.nan, nothing, nothing, 0, "no clean comparison county")
    county, d, change, w = sample.county[keep], sample.d[keep], sample.change[keep], sample.weight[keep]
    _, cell = np.unique(sample.cell[keep], return_inverse=True)
    shifts = sample.shifts[keep]
    cells = int(cell.max()) + 1
    out, seats = np.zeros(counties), np.zeros(counties)
    np.add.at(seats, county[d], w[d])
    treated = np.full(counties, np.nan)
    treated[county] = seats[county]
    if equally:
        on, off = (np.bincount(cell, w * flag, minlength=cells) for flag in (d, ~d))
        mean_on, mean_off = (
            np.bincount(cell, w * flag * change, minlength=cells) / total
            for flag, total in ((d, on), (~d, off))
        )
        gap = mean_on - mean_off
        effect = float(on @ gap / on.sum())
        # Treated deviate from the overall effect: the error of the cells' shares is theirs.
        part = np.where(
            d, w * (change - mean_off[cell] - effect), -w * (change - mean_off[cell]) * (on / off)[cell]
        )
        np.add.at(out, county, part / on.sum())
        return Projection(event_time, effect, out, treated, cells, "")
    total = np.bincount(cell, w, minlength=cells)

    def swept(column: Array) -> Array:
        return column - (np.bincount(cell, w * column, minlength=cells) / total)[cell]

    raw = np.column_stack([d.astype(float), shifts])
    x = np.column_stack([swept(column) for column in raw.T])
    y = swept(change)
    inverse = invert(x, w, raw)
    if not inverse.tells()[0]:
        return Projection(event_time, np.nan, nothing, nothing, 0, "control policies stand in for adoption")
    beta = inverse.matrix @ (x.T @ (w * y))
    k = x.shape[1] - inverse.null.shape[1] + cells
    factor = (len(y) - 1) / (len(y) - k) if clustered_factor else 1.0
    np.add.at(out, county, np.sqrt(factor) * w * (y - x @ beta) * (x @ inverse.matrix[:, 0]))
    return Projection(event_time, float(beta[0]), out, treated, cells, "")


def fit(design: Design) -> Estimate:
    """Estimate the effect at each event time by local projections on clean counties.

    Args:
        design: a panel; ``estimator.method`` variance_weighted or equally_weighted, ``estimator.within`` none, state
            or urban_class. Control policies enter as their change since the base year, with ``variance_weighted``
            alone.

    Returns:
        An Estimate of estimand ``event_time`` with one universal base, the last year wholly before adoption (less
        anticipation). Errors by cluster; with ``variance_weighted`` they carry (N - 1) / (N - k), k counting
        regressors and cell effects. Across event times contributions are aligned, so that ``aggregate`` holds.

    Raises:
        SpecError: a design that is no panel, an unknown method or comparison, a key it cannot honour.
        SampleError: no event time can be estimated.

    Assumption: parallel trends since the base year with clean counties, no anticipation beyond the stated years,
    policies stay; with ``variance_weighted`` and effects that differ by cohort, a weighted average with positive
    weights.

    Source: Dube, Girardi, Jordà and Taylor (2025), Journal of Applied Econometrics 40(7).

    Example:
        ``aggregate(fit(design), over="post")``: the event times from 0 on, by treated county-years.
    """
    _refuse(design)
    spec = design.spec
    reference = -1 - spec.treatment.anticipation
    panel = read_design(design)
    equally = spec.estimator.method == "equally_weighted"
    samples = _samples(panel, spec.treatment.comparison)
    found = [
        project(samples[h], len(panel.counties), h, equally=equally, clustered_factor=not equally)
        for h in sorted(samples)
        if h != reference
    ]
    if not any(np.isfinite(one.effect) for one in found):
        why = (
            "; ".join(sorted({one.reason for one in found}))
            or "no county is observed on both sides of adoption"
        )
        raise SampleError(
            f"no local projection can be estimated: {why}", "clean comparison counties", "sample"
        )
    treated = np.column_stack([one.treated for one in found])
    entered = np.asarray(~np.isnan(treated).all(axis=1), dtype=bool)
    return make_estimate(
        design,
        rows=pd.DataFrame(
            {
                "term": [f"event_time={one.event_time}" for one in found],
                "cohort": pd.NA,
                "time": pd.NA,
                "event_time": [one.event_time for one in found],
                "estimate": [one.effect for one in found],
            }
        ),
        counties=panel.counties,
        influence=np.column_stack([one.influence for one in found]),
        treated=treated,
        estimand="event_time",
        reference=reference,
        notes=[*panel.notes, *_notes(design, panel, found)],
        dropped=[panel.line("local projections: observed in the base year and another, clean", entered)],
    )


def _refuse(design: Design) -> None:
    spec = design.spec
    if design.kind != "panel" or spec.estimator.method not in METHODS:
        raise SpecError(
            f"local_projections on a {design.kind}, method {spec.estimator.method!r}",
            f"a panel; one of {', '.join(METHODS)}",
            "estimator.method",
        )
    if spec.treatment.comparison not in COMPARISONS:
        raise SpecError(
            f'treatment.comparison = "{spec.treatment.comparison}"', " or ".join(COMPARISONS), "treatment.comparison"
        )  # fmt: skip
    if design.covariates:
        raise SpecError(
            "covariates.names with local_projections", "no covariates: group_time_att holds them", "covariates.names"
        )  # fmt: skip
    if design.controls and spec.estimator.method == "equally_weighted":
        raise SpecError(
            "controls.policies with equally_weighted", 'none, or "variance_weighted"', "controls.policies"
        )


def _samples(panel: LongPanel, comparison: str) -> dict[int, LongDifferences]:
    """Return the long differences of every event time; comparison counties stay in their stratum."""
    outcome, event_time = panel.wide(panel.outcome), panel.wide(panel.event_time)
    controls = panel.wide(panel.controls)
    clean = panel.wide(panel.untreated.astype(float)) == 1
    parts: dict[int, list[tuple[NDArray[np.intp], int, Flags, Array, Array]]] = {}
    number = 0
    for cohort, base, group in panel.groups():
        b = int(np.searchsorted(panel.years, base))
        members = group & panel.adopters
        pool = panel.never if comparison == "never_treated" else (panel.cohort != cohort)
        for t in range(len(panel.years)):
            there = members & np.isfinite(outcome[:, t])
            if t == b or not there.any():
                continue
            h = int(np.nanmax(event_time[there, t]))
            d = there & np.isfinite(outcome[:, b])
            arm = pool & ~members & clean[:, t] & clean[:, b]
            parts.setdefault(h, [])
            for stratum in np.unique(panel.stratum[d]):
                here = np.flatnonzero((d | arm) & (panel.stratum == stratum))
                shifts = controls[here, t] - controls[here, b]
                parts[h].append((here, number, d[here], outcome[here, t] - outcome[here, b], shifts))
                number += 1
    samples = {}
    for h, rows in parts.items():
        county = np.concatenate([r[0] for r in rows]) if rows else np.zeros(0, dtype=np.intp)
        samples[h] = LongDifferences(
            county,
            np.concatenate([np.full(len(r[0]), r[1]) for r in rows]) if rows else county,
            np.concatenate([r[2] for r in rows]) if rows else np.zeros(0, dtype=bool),
            np.concatenate([r[3] for r in rows]) if rows else np.zeros(0),
            np.vstack([r[4] for r in rows]) if rows else np.zeros((0, panel.controls.shape[1])),
            panel.size[county],
        )
    return samples


def _notes(design: Design, panel: LongPanel, found: list[Projection]) -> list[str]:
    reference = -1 - design.spec.treatment.anticipation
    notes = [f"universal base: the last year wholly before adoption (event time {reference})"]
    if design.spec.estimator.method == "equally_weighted":
        notes.append("treated counties count alike; errors allow for estimated shares")
    else:
        notes.append(
            "cohorts count by the variance of adoption among their clean counties, as in the regression"
        )
    within = STRATA.get(design.spec.within, "")
    if within:
        notes.append(f"compared within {within}: each has an effect for each cohort and base year")
    if design.controls:
        notes.append(f"held constant by their change since the base year: {', '.join(design.controls)}")
    for reason in sorted({one.reason for one in found if one.reason}):
        times = " ".join(str(one.event_time) for one in found if one.reason == reason)
        notes.append(f"not estimated, {reason}: event times {times}")
    return notes

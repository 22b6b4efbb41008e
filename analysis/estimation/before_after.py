"""Before and after, in adopters alone: the paired test of the city study.

Gonzalez O'Brien, Collingwood and El-Khatib compared adopters' crime in the year before with that in the year after by
paired t tests. Each adopter's number is its mean over ``lag_years`` years from adoption on less its mean over as many
years wholly before adoption; the estimate is the mean over adopters. There is no comparison group: whatever else
happened in those years, a national fall in crime included, is in it.

Clustered by county, without weights, the error is that of the paired t test: sums of squares of (d_i - mean) / n times
n / (n - 1) are the variance of the differences over n, with n - 1 degrees of freedom.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design, many
from analysis.estimation.estimate import Estimate, make_estimate
from analysis.estimation.panel_arrays.panel import LongPanel, read_design

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def paired_changes(panel: LongPanel, lag_years: int) -> Array:
    """Return each county's mean after adoption less its mean before, (C,), missing where a year lacks.

    Args:
        panel: adopters and others.
        lag_years: years on each side; before is wholly before adoption and anticipation.
    """
    size, last = len(panel.counties), -1 - panel.anticipation
    means = []
    for low, high in ((last - lag_years + 1, last), (0, lag_years - 1)):
        inside = (panel.event_time >= low) & (panel.event_time <= high)
        home = panel.county[inside]
        total = np.bincount(home, panel.outcome[inside], minlength=size)
        complete = np.bincount(home, minlength=size) == lag_years
        means.append(np.where(complete, total / lag_years, np.nan))
    return np.asarray(means[1] - means[0], dtype=float)


def fit(design: Design) -> Estimate:
    """Estimate the mean change of adopters from before to after adoption.

    Args:
        design: a panel; ``estimator.lag_years`` years on each side, all of which an adopter must have. Its
            comparison counties are not read.

    Returns:
        An Estimate of estimand ``att`` with one row, on adopters alone. Errors by cluster, factor G / (G - 1): by
        county without weights those of the paired t test.

    Raises:
        SpecError: a design that is no panel, covariates or control policies, or no ``lag_years``.
        SampleError: no adopter has all the years.

    Assumption: without adoption the mean of these counties would not have changed. It has nothing to stand on while
    crime moves for other reasons.

    Source: Gonzalez O'Brien, Collingwood and El-Khatib (2019), Urban Affairs Review 55(1).

    Example:
        An adopter of June 2014 with ``lag_years = 1``: 2015 less 2013.

        >>> from analysis.estimation.panel_arrays.panel import read_panel
        >>> table = pd.DataFrame({
        ...     "county_fips": ["06001"] * 2 + ["19001"] * 2, "year": [2013, 2015] * 2, "stratum": "all",
        ...     "outcome": [5.0, 4.0, 7.0, 7.5], "cohort": [2015] * 4, "event_time": [-1, 0] * 2,
        ...     "treated": [False, True] * 2, "weight": 1.0,
        ... })
        >>> paired_changes(read_panel(table), 1).tolist()
        [-1.0, 0.5]
    """
    lag_years = _refuse(design)
    spec = design.spec
    panel = read_design(design)
    change = paired_changes(panel, lag_years)
    entered = np.isfinite(change)
    if not entered.any():
        raise SampleError(
            f"no adopter has {lag_years} years before and {lag_years} after adoption",
            "a shorter span, or more years",
            "estimator.lag_years or sample.years",
        )
    weight = np.where(entered, panel.size, 0.0)
    total = weight.sum()
    effect = float(weight[entered] @ change[entered] / total)
    influence = np.where(entered, weight * (np.nan_to_num(change) - effect) / total, 0.0)
    rows = pd.DataFrame(
        {
            "term": ["after less before"],
            "cohort": pd.NA,
            "time": pd.NA,
            "event_time": pd.NA,
            "estimate": [effect],
        }
    )
    return make_estimate(
        design,
        rows=rows,
        counties=panel.counties,
        influence=influence[:, None],
        treated=np.where(entered, weight, np.nan)[:, None],
        estimand="att",
        reference=None,
        notes=[*panel.notes, *_notes(panel, change, lag_years, spec.estimator.weights)],
        dropped=[
            panel.line("before and after: adopters observed on both sides", panel.adopters),
            panel.line(f"before and after: with {many(lag_years, 'year')} on each side", entered),
        ],
    )


def _refuse(design: Design) -> int:
    if design.kind != "panel" or design.covariates or design.controls:
        raise SpecError(
            f"before_after on a {design.kind} with {len(design.covariates)} covariates and {len(design.controls)} "
            "control policies",
            "a panel without either: a county is compared with itself alone",
            "covariates.names or controls.policies",
        )
    lag_years = design.spec.estimator.lag_years
    if lag_years is None or lag_years < 1:
        raise SpecError(
            f"estimator.lag_years = {lag_years}", "a number of years from 1", "estimator.lag_years"
        )
    return lag_years


def _notes(panel: LongPanel, change: Array, lag_years: int, weights: str) -> list[str]:
    last, known = -1 - panel.anticipation, change[np.isfinite(change)]
    fell, rose = int((known < 0).sum()), int((known > 0).sum())
    lacking = int((panel.adopters & ~np.isfinite(change)).sum())
    notes = [
        "no comparison group: everything that happened between these years counts as the policy's effect",
        f"event times 0 to {lag_years - 1} against {last - lag_years + 1} to {last}, "
        + ("adopters counted alike" if weights == "none" else "adopters by their baseline population"),
        f"of {many(len(known), 'adopter')} {fell} fell, {rose} rose and {len(known) - fell - rose} stayed",
        "clustered by county and without weights the error is that of a paired t test",
    ]
    if lacking:
        notes.append(f"left out, lacking one of these years: {many(lacking, 'adopter')}")
    return notes

"""Poisson pseudo-maximum likelihood for counts: county and year effects, people as exposure.

Effects are log points: exp(effect) - 1 is the relative change in offences a head, of residents or (``exposure =
"policed"``) of the people policed by the agencies that report the offence (protocol rule 1). Nothing is added to a count of
zero. What has no maximum is left out by name: counties (or state-years) without any event, and county-years that a
combination of indicators fits without limit, such as an event time in which no adopter saw an event.

One coefficient for all years after adoption (``method = "post"``) shares what two-way effects do to effects that
differ by cohort or year, and so do event times across cohorts (``method = "event_time"``); the extended two-way form
for counts gives every cohort and year its own. Counties without a year before adoption are left out: they could only
serve others as a treated comparison.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, make_estimate
from analysis.estimation.panel_arrays.effects import without_singletons
from analysis.estimation.panel_arrays.panel import BY_YEAR, LongPanel, read_design
from analysis.estimation.panel_arrays.regression import PoissonFit, poisson_regression, separated_rows

Array = NDArray[np.float64]

METHODS = ("post", "event_time")
EFFECTS = ("county_year", "state_by_year", "urban_class_by_year")
# estimator.exposure: the column of the table, and in words.
EXPOSURE = {
    "population": ("population", "residents"),
    "policed": ("exposure", "people policed by the agencies that report"),
}


def fit(design: Design) -> Estimate:
    """Estimate log-point effects of adoption on counts.

    Args:
        design: a panel whose outcome is a count and whose table has ``population`` (``exposure`` where
            ``estimator.exposure`` is policed); ``estimator.method`` post or event_time, ``estimator.effects``
            county_year, state_by_year or urban_class_by_year.

    Returns:
        An Estimate in log points: of estimand ``att`` with one row, or of estimand ``event_time`` with a row an
        event time but the reference, the last year wholly before adoption (less anticipation). Errors by cluster
        of the pseudo-likelihood's scores with (N - 1) / (N - k) x G / (G - 1), k counting regressors and those
        effects not nested in clusters. An event time without an event, or that effects absorb, is a missing row.

    Raises:
        SpecError: a design that is no panel, an outcome that is no count, weights, covariates, an unknown method, or
            anticipation with ``post``.
        SampleError: a county-year without exposure, nothing varies, or the iteration does not settle.

    Assumption: parallel trends of log means (within states or urban classes), effects alike across cohorts (and years, with
    ``post``). The counts need not be Poisson.

    Source: Gourieroux, Monfort and Trognon (1984), Econometrica 52(3); Santos Silva and Tenreyro (2006), Review of
    Economics and Statistics 88(4); Correia, Guimarães and Zylkin (2019), arXiv 1903.01633, on separation.

    Example:
        ``np.exp(fit(design).table["estimate"]) - 1``: relative changes.
    """
    _refuse(design)
    spec = design.spec
    column, people = EXPOSURE[spec.estimator.exposure or "population"]
    if column not in design.table:
        raise SampleError(
            f"a table without {column}, the {people}", f"a column {column} of each county-year", "the panel"
        )
    panel = read_design(design, people=column)
    panel = panel.rows(panel.never[panel.county] | (panel.base[panel.county] > 0))
    if not (np.isfinite(panel.people).all() and (panel.people > 0).all()):
        raise SampleError(
            f"a county-year without {people}", f"a positive {column} in every county-year", "sample"
        )
    if (panel.outcome < 0).any():
        raise SampleError("a negative count", "counts from 0", "outcome")
    reference = -1 - spec.treatment.anticipation
    dynamic = spec.estimator.method == "event_time"
    seen = np.unique(panel.event_time[np.isfinite(panel.event_time)]).astype(int)
    times = np.array([t for t in seen if t != reference], dtype=int) if dynamic else np.zeros(1, dtype=int)
    columns = panel.event_time[:, None] == times if dynamic else (panel.event_time >= 0)[:, None]
    x = np.hstack([columns.astype(float), panel.controls])
    apart = separated_rows(panel.outcome, x, panel.county, panel.levels)
    kept = ~apart
    kept[kept] = without_singletons(panel.county[kept], panel.levels[kept])
    here = panel.rows(kept)
    if not len(here.outcome):
        raise SampleError("every county-year is separated", "counties with events", "sample")
    county, level = (np.unique(codes, return_inverse=True)[1] for codes in (here.county, here.levels))
    fitted = poisson_regression(here.outcome, here.people, x[kept], county, level)
    if not fitted.converged:
        raise SampleError(
            "the Poisson iteration did not settle", "counts that vary within counties", "sample"
        )
    k = len(times)
    effect = fitted.coefficient[:k]
    if np.isnan(effect).all():
        raise SampleError(
            "treatment does not vary within the effects", "states or years with both arms", "sample"
        )
    nested = spec.estimator.effects == "state_by_year" and spec.inference.by == "state"
    counted = fitted.rank + (1 if nested else len(np.unique(level)))
    n = len(here.outcome)
    influence, treated = _spread(panel, here, fitted, effect, columns[kept])
    entered = np.asarray(~np.isnan(treated).all(axis=1), dtype=bool)
    estimate = make_estimate(
        design,
        rows=pd.DataFrame(
            {
                "term": [f"event_time={t}" for t in times] if dynamic else ["treated"],
                "cohort": pd.NA,
                "time": pd.NA,
                "event_time": times if dynamic else pd.NA,
                "estimate": effect,
            }
        ),
        counties=panel.counties,
        influence=influence * np.sqrt((n - 1) / (n - counted)),
        treated=treated,
        estimand="event_time" if dynamic else "att",
        reference=reference if dynamic else None,
        notes=[*panel.notes, *_notes(design, panel, apart, kept, effect, times, n, counted)],
        dropped=[here.line("Poisson: not separated, treatment varies", entered)],
    )
    return replace(estimate, unit=f"log points of {design.unit}")


def _refuse(design: Design) -> None:
    spec = design.spec
    estimator = spec.estimator
    for found, wrong, wanted, where in (
        (f"poisson on a {design.kind}", design.kind != "panel", "a panel", "design.kind"),
        (f"estimator.method = {estimator.method!r}", estimator.method not in METHODS, " or ".join(METHODS),
         "estimator.method"),
        (f"estimator.effects = {estimator.effects!r}", estimator.effects not in EFFECTS, " or ".join(EFFECTS),
         "estimator.effects"),
        (f"estimator.exposure = {estimator.exposure!r}", estimator.exposure not in {None, *EXPOSURE},
         " or ".join(EXPOSURE), "estimator.exposure"),
        (f'outcome.scale = "{spec.outcome.scale}" with poisson', spec.outcome.scale != "count", '"count"',
         "outcome.scale"),
        (f'estimator.weights = "{estimator.weights}" with poisson', estimator.weights != "none",
         '"none": exposure does the weighing', "estimator.weights"),
        ("covariates.names with poisson", bool(design.covariates),
         "none: county effects absorb what is fixed in time", "covariates.names"),
        (f'treatment.comparison = "{spec.treatment.comparison}" with poisson',
         spec.treatment.comparison != "not_yet_treated", '"not_yet_treated"', "treatment.comparison"),
        ("treatment.anticipation with one coefficient", estimator.method == "post" and spec.treatment.anticipation > 0,
         '0, or estimator.method = "event_time"', "treatment.anticipation"),
    ):  # fmt: skip
        if wrong:
            raise SpecError(found, wanted, where)


def _spread(
    panel: LongPanel, here: LongPanel, fitted: PoissonFit, effect: Array, columns: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Return influence and treated weights over all counties; where nothing varies a county does not enter."""
    k, size = len(effect), len(panel.counties)
    inside, at = np.unique(here.county, return_inverse=True)
    moves = np.bincount(at, (np.abs(fitted.own) > 1e-8).any(axis=1)) > 0
    seats = np.zeros((len(inside), k))
    np.add.at(seats, at, columns.astype(float))
    told = np.isfinite(effect)
    influence, treated = np.full((size, k), np.nan), np.full((size, k), np.nan)
    influence[:, told] = 0.0
    influence[np.ix_(inside, told)] = np.where(moves[:, None], fitted.influence[:, :k][:, told], 0.0)
    treated[np.ix_(inside, told)] = np.where(moves[:, None], seats[:, told], np.nan)
    return influence, treated


def _notes(
    design: Design,
    panel: LongPanel,
    apart: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    effect: Array,
    times: NDArray[np.int_],
    n: int,
    counted: int,
) -> list[str]:
    spec = design.spec
    _, people = EXPOSURE[spec.estimator.exposure or "population"]
    notes = [
        f"Poisson pseudo-maximum likelihood, county and {BY_YEAR[spec.within]} effects, {people} as exposure; log points",
        f"error factor (N - 1) / (N - k) x G / (G - 1), N = {n:,}, k = {counted}",
    ]
    if spec.estimator.method == "post":
        notes.append(
            "one coefficient for all years after adoption: where effects differ by cohort or year it is a weighted "
            "average whose weights may be negative"
        )
    else:
        reference = -1 - spec.treatment.anticipation
        notes.append(f"universal base: the last year wholly before adoption (event time {reference})")
        notes.append("event times are shared by cohorts: where effects differ by cohort they mix event times")
    if apart.any():
        without = np.bincount(panel.county, panel.outcome, minlength=len(panel.counties)) == 0
        without &= np.bincount(panel.county, minlength=len(panel.counties)) > 0
        others = int((apart & ~without[panel.county]).sum())
        notes.append(
            f"separated: {int(without.sum())} counties without any event and {others} other county-years that effects "
            "fit without limit are left out"
        )
    alone = int((~kept & ~apart).sum())
    if alone:
        notes.append(f"{alone} county-years alone in their county or level are left out")
    missing = np.isnan(effect)
    if missing.any():
        notes.append(
            "not estimated, no event among adopters or absorbed by the effects: event times "
            + " ".join(str(t) for t in times[missing])
        )
    if design.controls:
        notes.append(f"control policies: {', '.join(design.controls)}")
    return notes

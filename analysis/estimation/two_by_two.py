"""Two by two: adopting and never treated counties, before and after, four means anyone can check by hand.

A treated county's two numbers are its means over its own years before and after adoption. Comparison counties are
averaged over the same calendar years, cohort by cohort, and cohorts count by the weight of their treated counties. The
effect is the treated change less the comparison change. With one cohort that is exactly four means; with several, the
comparison means are the cohorts' averages, so that the four still add up to the estimate.

By hand: two adopters of 2015 go from 1 to 5 and from 2 to 4, three other counties from 1 to 2, 3 to 3 and 2 to 4. The
means are 1.5 and 4.5 against 2 and 3, and the effect (4.5 - 1.5) - (3 - 2) = 2.

A county counts once however many years it has, so where years are missing the average over years is not that of a
regression. In a balanced panel of two years it is the two-way coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, make_estimate
from analysis.estimation.panel_arrays.differences import mean_changes
from analysis.estimation.panel_arrays.panel import STRATA, LongPanel, read_design

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Each county's means before and after a cohort's adoption: a row a county and cohort.

    Args:
        county: (n,) codes.
        stratum: (n,) codes of cohort, base year and stratum.
        treated: (n,) of the cohort.
        before: (n,) mean outcome before.
        after: (n,) mean outcome after.
        size: (n,) weight of the county.
        years: cohort, years before and years after, in words, a text a cohort.
        reached: (C,) adopters with a mean before and after.
    """

    county: NDArray[np.intp]
    stratum: NDArray[np.intp]
    treated: Flags
    before: Array
    after: Array
    size: Array
    years: tuple[str, ...]
    reached: Flags


def before_and_after(panel: LongPanel) -> BeforeAfter:
    """Return the means of each cohort's counties, and of never treated counties over the same calendar years.

    Args:
        panel: before is wholly before adoption and anticipation, after from the first treated year on.

    Raises:
        SampleError: no adopter is observed before and after.
    """
    outcome, event_time = panel.wide(panel.outcome), panel.wide(panel.event_time)
    early, late = panel.wide(panel.untreated.astype(float)) == 1, event_time >= 0
    reached = np.zeros(len(panel.counties), dtype=bool)
    parts, years = [], []
    for number, (cohort, base, group) in enumerate(panel.groups()):
        members = group & early.any(axis=1) & late.any(axis=1)
        if not members.any():
            continue  # years before adoption without an outcome
        span = [flags[members].any(axis=0) for flags in (early, late)]
        own = members[:, None]
        before, after = (
            _means(np.where(np.where(own, flags, ~own & time), outcome, np.nan))
            for flags, time in zip((early, late), span, strict=True)
        )
        rows = np.flatnonzero((members | panel.never) & np.isfinite(before) & np.isfinite(after))
        reached |= members
        stratum = number * (int(panel.stratum.max()) + 1) + panel.stratum[rows]
        parts.append((rows, stratum, members[rows], before[rows], after[rows]))
        first, second = (_spoken(panel.years[time]) for time in span)
        years.append(f"cohort {cohort} (base {base}): {first} against {second}")
    if not parts:
        raise SampleError(
            "no treated county is observed before and after adoption", "such counties", "sample.years"
        )
    county, stratum, treated, before, after = (np.concatenate(column) for column in zip(*parts, strict=True))
    return BeforeAfter(county, stratum, treated, before, after, panel.size[county], tuple(years), reached)


def fit(design: Design) -> Estimate:
    """Estimate the effect of adoption by the change of four means.

    Args:
        design: a panel; ``treatment.comparison`` never_treated, ``estimator.within`` none, state or urban_class.

    Returns:
        An Estimate of estimand ``att`` with one row; the four means, the counties behind them and the years they
        cover are in the notes. Errors by cluster of each county's change, factor G / (G - 1). A stratum without
        both arms is left out, with a line of attrition.

    Raises:
        SpecError: a design that is no panel, covariates, control policies, or another comparison.
        SampleError: no adopter with years before and after, or none with a comparison county.

    Assumption: without adoption the treated mean would have changed as the comparison mean did (within strata); no
    anticipation beyond the stated years; policies stay.

    Source: Card and Krueger (1994), American Economic Review 84(4); Angrist and Pischke (2009), Mostly Harmless
    Econometrics, section 5.2.

    Example:
        ``[note for note in fit(design).notes if note.startswith("means")]``: the four numbers.
    """
    _refuse(design)
    within = design.spec.within
    panel = read_design(design)
    found = before_and_after(panel)
    size = int(found.stratum.max()) + 1
    both = np.bincount(found.stratum, found.treated, minlength=size) > 0
    both &= np.bincount(found.stratum, ~found.treated, minlength=size) > 0
    use = both[found.stratum]
    if not use.any():
        raise SampleError(
            "no treated county has a never treated one to compare with"
            + (f" in its {STRATA[within]}" if within in STRATA else ""),
            "comparison counties observed before and after",
            "sample",
        )
    county, d, weight = found.county[use], found.treated[use], found.size[use]
    effect, parts = mean_changes(found.after[use, None], found.before[use], d, weight, found.stratum[use])
    influence, seats = np.zeros(len(panel.counties)), np.zeros(len(panel.counties))
    np.add.at(influence, county, parts[:, 0])
    np.add.at(seats, county[d], weight[d])
    entered = np.isin(np.arange(len(panel.counties)), county)
    rows = pd.DataFrame(
        {"term": ["treated"], "cohort": pd.NA, "time": pd.NA, "event_time": pd.NA, "estimate": effect}
    )
    told = found.reached | panel.never
    return make_estimate(
        design,
        rows=rows,
        counties=panel.counties,
        influence=influence[:, None],
        treated=np.where(entered, seats, np.nan)[:, None],
        estimand="att",
        reference=None,
        notes=[*panel.notes, *_notes(found, use, within), *_lost(panel, found, entered)],
        dropped=[
            panel.line("two by two: adopters with years before and after", told),
            panel.line("two by two: with both arms, before and after", entered),
        ],
    )


def _refuse(design: Design) -> None:
    if design.kind != "panel" or design.covariates or design.controls:
        raise SpecError(
            f"two_by_two on a {design.kind} with {len(design.covariates)} covariates and {len(design.controls)} "
            "control policies",
            "a panel without either: four means are compared",
            "covariates.names or controls.policies",
        )
    if design.spec.treatment.comparison != "never_treated":
        raise SpecError(
            f'treatment.comparison = "{design.spec.treatment.comparison}" with two_by_two',
            '"never_treated"',
            "treatment.comparison",
        )


def _means(values: Array) -> Array:
    """Return the mean of each row's known values, missing where there is none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def _spoken(years: NDArray[np.int64]) -> str:
    """Return years in words.

    Example:
        >>> _spoken(np.array([2010, 2011, 2012])), _spoken(np.array([2010, 2012])), _spoken(np.array([2014]))
        ('2010-2012', '2010 2012', '2014')
    """
    first, last = int(years[0]), int(years[-1])
    if len(years) > 2 and last - first == len(years) - 1:
        return f"{first}-{last}"
    return " ".join(str(int(year)) for year in years)


def _notes(found: BeforeAfter, use: Flags, within: str) -> list[str]:
    d, weight, at = found.treated[use], found.size[use], found.stratum[use]
    on, off = (np.bincount(at, weight * arm) for arm in (d, ~d))
    # A comparison county counts in the mean as it does in the estimate.
    share = np.where(d, weight, weight * on[at] / np.where(off > 0, off, 1.0)[at]) / on.sum()
    treated, comparison = (
        tuple(float(share[arm] @ values[use][arm]) for values in (found.before, found.after))
        for arm in (d, ~d)
    )
    counts = [len(np.unique(found.county[use][arm])) for arm in (d, ~d)]
    notes = [
        f"means: treated {treated[0]:,.6g} before and {treated[1]:,.6g} after ({counts[0]:,} counties), comparison "
        f"{comparison[0]:,.6g} before and {comparison[1]:,.6g} after ({counts[1]:,} counties)",
        f"years before against years after: {'; '.join(found.years)}",
        "a county's years are averaged first, so each county counts once (by its weight)",
    ]
    if within in STRATA:
        notes.append(f"compared within {STRATA[within]}: those with both arms, by their treated counties")
    if len(found.years) > 1:
        notes.append(
            f"{len(found.years)} cohorts by base year, averaged by treated counties: comparison means are averages of "
            "each cohort's own years"
        )
    return notes


def _lost(panel: LongPanel, found: BeforeAfter, entered: Flags) -> list[str]:
    notes = []
    early = int((panel.adopters & ~found.reached).sum())
    if early:
        notes.append(f"left out, without a year before or after adoption: {early} treated counties")
    alone = int((found.reached & ~entered).sum())
    if alone:
        notes.append(f"left out, no comparison county in their stratum: {alone} treated counties")
    return notes

"""Two-way fixed effects: one coefficient for all treated county-years, or one an event time.

Effects are county and year, county and state-by-year, county and urban-class-by-year, or county by definition of rape
and year. They are taken out exactly (`panel_arrays.effects`), so that each county-year's part in the error is at hand.

Clustered errors carry a stated factor: (N - 1) / (N - k) times G / (G - 1), where k counts regressors and those
effects that are not nested in clusters (county effects are never counted; year effects are, unless years are one way
of clustering; state-by-year effects are not where clusters are states, one constant is then). PanelOLS and estimatr
count nested effects too, so their errors are a known multiple. CR2 and CR3 need no factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import floor, log10
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import STATE_OF_PREFIX, Estimate, Inference, make_estimate, tabulate
from analysis.estimation.inference import (
    cluster_variance,
    joint_critical_value,
    t_quantile,
    wild_cluster_bootstrap,
)
from analysis.estimation.panel_arrays.effects import (
    Codes,
    Effects,
    make_effects,
    residuals,
    without_singletons,
)
from analysis.estimation.panel_arrays.panel import refuse_rows
from analysis.estimation.panel_arrays.regression import Regression, absorbed_regression
from analysis.estimation.panel_inference.few_clusters import cluster_variance_small
from analysis.estimation.panel_inference.resampling import (
    Level,
    Paths,
    panel_randomisation,
    reassignment,
    wild_bootstrap,
)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
T = TypeVar("T")

WORDS = {
    "county_year": "county and year",
    "state_by_year": "county and state-by-year",
    "urban_class_by_year": "county and urban-class-by-year",
    "county_definition_year": "county-by-definition and year",
}
# What a county-year can be alone in, and what has to hold both arms.
ALONE = {
    "urban_class_by_year": "county or urban class and year",
    "county_definition_year": "county and definition, or year",
}
BLOCK = {"state_by_year": "a state", "urban_class_by_year": "an urban class"}
METHODS = (None, "post", "event_time")
ASSIGNMENTS = ("counties_within_states", "whole_states")


def fit(design: Design) -> Estimate:
    """Estimate coefficients of treatment with two-way effects.

    Args:
        design: a panel; ``estimator.effects`` names the effects, ``controls.policies`` time-varying regressors.
            ``estimator.method`` is "post", the same as none, or "event_time". Effects of county and definition need
            a column ``definition_spell`` in the table.

    Returns:
        An Estimate. Under "post" it is of estimand ``att`` with one row: with effects that differ by cohort or time
        a weighted average of them in which weights may be negative; the notes say so. Under "event_time" it is of
        estimand ``event_time`` with a row an event time but the reference, the last year wholly before adoption
        (less anticipation); never treated counties count as that reference in every year, and counties without a
        year before adoption are left out. An event time that effects or other event times stand in for is a missing
        row.

        ``inference.vcov`` is "cluster", by state or county or by one of them and year (the sum of both less that of
        their cells; where that is not positive, the larger of both); "cr2" or "cr3" with degrees of freedom of each
        coefficient; "spatial"; and for one coefficient "wild_bootstrap", "subcluster_bootstrap" (multipliers for
        counties, errors by state) or "randomisation", whose p-value and interval replace those of the cluster-robust
        error, which stays.

    Raises:
        SpecError: a key it cannot honour.
        SampleError: treatment does not vary once effects are taken out, or could not have fallen otherwise.

    Assumption: parallel trends (within states, urban classes), effects alike across cohorts (and years).

    Source: de Chaisemartin and D'Haultfoeuille (2020); Goodman-Bacon (2021) on what the coefficient averages; Sun and
        Abraham (2021) on event times; Cameron, Gelbach and Miller (2011) on two ways of clustering; Bell and
        McCaffrey (2002); MacKinnon and Webb (2018, 2020).

    Example:
        ``fit(design.replace({"inference.vcov": "cr2"}))``: the same coefficient with another error.
    """
    _refuse(design)
    found = _regress(design)
    asked = design.spec.inference
    estimate = _clustered(found)
    if asked.by in ("state_and_year", "county_and_year"):
        return _two_ways(estimate, found)
    if asked.vcov in ("cr2", "cr3"):
        return _few_clusters(estimate, found)
    if asked.vcov in ("wild_bootstrap", "subcluster_bootstrap"):
        return _bootstrapped(estimate, found)
    return _reassigned(estimate, found) if asked.vcov == "randomisation" else estimate


def _refuse(design: Design) -> None:
    spec = design.spec
    if design.kind != "panel" or spec.estimator.effects not in WORDS or spec.estimator.method not in METHODS:
        raise SpecError(
            f"two_way on a {design.kind} with effects {spec.estimator.effects!r}, method {spec.estimator.method!r}",
            f"a panel; effects one of {', '.join(WORDS)}; method post or event_time",
        )
    dynamic = spec.estimator.method == "event_time"
    if spec.treatment.anticipation and not dynamic:
        raise SpecError(
            f"treatment.anticipation = {spec.treatment.anticipation} with two_way",
            '0, or estimator.method = "event_time"',
            "the spec",
        )
    asked = spec.inference
    if dynamic and asked.vcov in ("wild_bootstrap", "subcluster_bootstrap", "randomisation"):
        raise SpecError(
            f'inference.vcov = "{asked.vcov}" with event times, which tests one coefficient',
            'estimator.method = "post"',
            "inference.vcov",
        )
    if asked.vcov in ("subcluster_bootstrap", "randomisation") and asked.by != "state":
        raise SpecError(f'inference.by = "{asked.by}" with vcov = "{asked.vcov}"', '"state"', "inference.by")
    crossing = spec.estimator.effects in BLOCK and asked.by != "state"
    if asked.vcov == "wild_bootstrap" and crossing:
        words = WORDS[spec.estimator.effects].removeprefix("county and ")
        raise SpecError(
            f'inference.by = "county" for a wild bootstrap under {words} effects, which cross counties',
            '"state"',
            "inference.by",
        )


# --- the sample and its regression ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """County-years as arrays.

    Args:
        counties: (C,) sorted codes.
        states: (C,) their states' two digits.
        years: (T,) sorted.
        county: (n,) codes of ``counties``.
        unit: (n,) codes of the effects that stand for counties: counties, or counties by definition.
        year: (n,) codes of ``years``.
        block: (n,) codes of areas with year effects of their own, 0 where there is one set.
        outcome: (n,).
        weight: (n,) with mean one: coefficients do not change and the arithmetic keeps its digits.
        treated: (n,).
        cohort: (n,) first treated year, missing for never.
        event_time: (n,) missing for never treated.
        controls: (n, q) that vary at all.
    """

    counties: pd.Index
    states: NDArray[np.str_]
    years: NDArray[np.int64]
    county: Codes
    unit: Codes
    year: Codes
    block: Codes
    outcome: Array
    weight: Array
    treated: Flags
    cohort: Array
    event_time: Array
    controls: Array

    @property
    def second(self) -> Codes:
        """Return codes of the effects beside those of counties, (n,)."""
        return np.asarray(np.unique(self.block * len(self.years) + self.year, return_inverse=True)[1])

    def keep(self, rows: Flags) -> _Rows:
        """Return some county-years, counties and units coded anew."""
        seen, county = np.unique(self.county[rows], return_inverse=True)
        controls = self.controls[rows]
        return _Rows(
            counties=self.counties[seen],
            states=self.states[seen],
            years=self.years,
            county=county.astype(np.intp),
            unit=np.unique(self.unit[rows], return_inverse=True)[1].astype(np.intp),
            year=self.year[rows],
            block=self.block[rows],
            outcome=self.outcome[rows],
            weight=self.weight[rows],
            treated=self.treated[rows],
            cohort=self.cohort[rows],
            event_time=self.event_time[rows],
            controls=controls[:, np.ptp(controls, axis=0) > 0] if len(controls) else controls,
        )

    def line(self, rule: str, kept: Flags) -> tuple[str, int, int, int]:
        """Return a line of attrition: the rule, and counties, county-years and treated counties that remain."""
        ever = np.bincount(self.county, self.treated, minlength=len(self.counties)) > 0
        return rule, int(kept.sum()), int(kept[self.county].sum()), int((ever & kept).sum())


@dataclass(frozen=True, slots=True)
class _Found:
    """A regression, and what every kind of error starts from.

    Args:
        design: what was estimated on.
        rows: the county-years behind it.
        x: (n, k) the columns whose coefficients are wanted.
        effects: taken out.
        regression: of ``x`` and then the controls.
        told: (k,) which coefficients are identified.
        influence: (C, k) without a factor, missing where not identified.
        treated: (C, k) as in `Estimate`.
        table: term, cohort, time, event_time, estimate.
        reference: event time that is zero by construction.
        notes: so far.
        dropped: lines of attrition.
    """

    design: Design
    rows: _Rows
    x: Array
    effects: Effects
    regression: Regression
    told: Flags
    influence: Array
    treated: Array
    table: pd.DataFrame
    reference: int | None
    notes: tuple[str, ...]
    dropped: tuple[tuple[str, int, int, int], ...]

    @property
    def entered(self) -> Flags:
        """Return which counties treatment varies in beyond effects and controls, (C,)."""
        return np.asarray(~np.isnan(self.treated).all(axis=1), dtype=bool)

    @property
    def counted(self) -> int:
        """Return k of the error factor."""
        by = self.design.spec.inference.by
        nested = by.endswith("_and_year") or (
            self.design.spec.estimator.effects == "state_by_year" and by == "state"
        )
        return self.regression.rank + (1 if nested else int(self.rows.second.max()) + 1)

    @property
    def factor(self) -> float:
        """Return (N - 1) / (N - k)."""
        n = len(self.rows.outcome)
        return (n - 1) / (n - self.counted)


def _read(design: Design) -> tuple[_Rows, list[str]]:
    table, effects = design.table, design.spec.estimator.effects
    refuse_rows(table)
    outcome = table["outcome"].to_numpy(dtype=float, na_value=np.nan)
    weight = table["weight"].to_numpy(dtype=float, na_value=np.nan)
    kept = np.isfinite(outcome) & (weight > 0)
    if not kept.any():
        raise SampleError("no county-year with an outcome and a weight", "a panel with outcomes", "sample")
    notes = []
    for words, without in (("of weight zero", weight == 0), ("without an outcome", np.isnan(outcome))):
        if without.any():
            notes.append(f"{int(without.sum())} county-years {words} are left out")
    county, counties = pd.factorize(table["county_fips"], sort=True)
    states = np.array([str(code)[:2] for code in counties])
    year, years = pd.factorize(table["year"], sort=True)
    unit, block = county, np.zeros(len(table), dtype=np.intp)
    if effects == "state_by_year":
        block = np.unique(states, return_inverse=True)[1][county]
    elif effects == "urban_class_by_year":
        block = _column(table, "urban_class", effects)
    elif effects == "county_definition_year":
        spell = _column(table, "definition_spell", effects)
        unit = np.unique(county * (int(spell.max(initial=0)) + 1) + spell, return_inverse=True)[1]
    rows = _Rows(
        counties=pd.Index(counties, name="county_fips"),
        states=states,
        years=np.asarray(years, dtype=np.int64),
        county=county.astype(np.intp),
        unit=unit.astype(np.intp),
        year=year.astype(np.intp),
        block=block.astype(np.intp),
        outcome=outcome,
        weight=weight / weight.mean(),
        treated=table["treated"].to_numpy(dtype=bool),
        cohort=_numbers(table, "cohort"),
        event_time=_numbers(table, "event_time"),
        controls=table[list(design.controls)].to_numpy(dtype=float),
    )
    return rows.keep(kept), notes


def _column(table: pd.DataFrame, name: str, effects: str) -> Codes:
    """Return codes of a text column that effects need."""
    if name not in table:
        raise SampleError(
            f'no column {name} under effects = "{effects}"', f"{name} of every county-year", "the design"
        )
    missing = int(table[name].isna().sum())
    if missing:
        raise SampleError(
            f'{missing} county-years without {name} under effects = "{effects}"', "one of each", "the design"
        )
    return np.asarray(pd.factorize(table[name], sort=True)[0], dtype=np.intp)


def _numbers(table: pd.DataFrame, name: str) -> Array:
    if name not in table:
        return np.full(len(table), np.nan)
    return np.asarray(table[name].to_numpy(dtype=float, na_value=np.nan), dtype=float)


def _regress(design: Design) -> _Found:
    spec = design.spec
    effects_name = spec.estimator.effects or ""
    dynamic = spec.estimator.method == "event_time"
    reference = -1 - spec.treatment.anticipation
    rows, notes = _read(design)
    dropped = []
    if dynamic:
        before = np.bincount(rows.county, rows.event_time <= reference, minlength=len(rows.counties)) > 0
        never = np.bincount(rows.county, np.isnan(rows.event_time), minlength=len(rows.counties)) > 0
        based = before | never
        if not based.all():
            notes.append(
                f"{int((~based).sum())} counties have no year wholly before adoption: they are left out"
            )
            dropped.append(rows.line("two-way: a year wholly before adoption", based))
            if not based.any():
                raise SampleError("no county with a year before adoption", "earlier years", "sample.years")
            rows = rows.keep(based[rows.county])
    alone = ~without_singletons(rows.unit, rows.second)
    if alone.any():
        notes.append(
            f"{int(alone.sum())} county-years alone in their {ALONE.get(effects_name, 'county or state-year')} are "
            "left out: an effect fits them"
        )
        if alone.all():
            raise SampleError(
                "every county-year is alone in its effects", "counties seen in several years", "sample"
            )
        rows = rows.keep(~alone)
        dropped.append(
            rows.line("two-way: not alone in its effects", np.ones(len(rows.counties), dtype=bool))
        )
    seen = np.unique(rows.event_time[np.isfinite(rows.event_time)]).astype(int)
    times = seen[seen != reference] if dynamic else np.zeros(1, dtype=int)
    x = (rows.event_time[:, None] == times if dynamic else rows.treated[:, None]).astype(float)
    second = rows.second
    effects = make_effects(rows.unit, second, rows.weight, int(rows.unit.max()) + 1, int(second.max()) + 1)
    regression = absorbed_regression(rows.outcome, np.hstack([x, rows.controls]), effects)
    k = x.shape[1]
    told = np.isfinite(regression.coefficient[:k])
    # Treatment's variation beyond effects alone, and beyond controls too.
    plain = regression.own[:, :k]
    own = _beyond(plain, regression.own[:, k:], rows.weight)
    if not told.any() or (
        not dynamic and float(rows.weight @ own[:, 0] ** 2) <= 1e-10 * float(rows.weight.sum())
    ):
        raise SampleError(
            "treatment does not vary within the effects", "states or years with both arms", "sample"
        )
    size = len(rows.counties)
    # Where treatment never differs between a state's counties, state-by-year effects leave nothing of it: such
    # counties do not enter, or only to hold the controls constant.
    moves, tells = (
        np.bincount(rows.county, (np.abs(v) > 1e-8).any(axis=1), minlength=size) > 0 for v in (own, plain)
    )
    by_county = np.column_stack(
        [np.bincount(rows.county, rows.weight * column, minlength=size) for column in x.T]
    )
    treated = np.where(moves[:, None] & told, by_county * tells[:, None], np.nan)
    influence = _by_county(rows, regression.influence[:, :k])
    influence = np.where(moves[:, None], influence, 0.0)
    influence[:, ~told] = np.nan
    if not moves.all():
        differs = BLOCK.get(effects_name, "effects")
        dropped.append(rows.line(f"two-way: in {differs} where treatment differs", moves))
    return _Found(
        design=design,
        rows=rows,
        x=x,
        effects=effects,
        regression=regression,
        told=told,
        influence=influence,
        treated=treated,
        table=pd.DataFrame(
            {
                "term": [f"event_time={t}" for t in times] if dynamic else ["treated"],
                "cohort": pd.NA,
                "time": pd.NA,
                "event_time": times if dynamic else pd.NA,
                "estimate": regression.coefficient[:k],
            }
        ),
        reference=reference if dynamic else None,
        notes=(*notes, *_event_notes(times[~told])),
        dropped=tuple(dropped),
    )


def _beyond(columns: Array, others: Array, weight: Array) -> Array:
    """Return columns less their weighted projection on others."""
    if not others.shape[1]:
        return columns
    root = np.sqrt(weight)[:, None]
    slopes = np.linalg.lstsq(others * root, columns * root, rcond=1e-9)[0]
    return np.asarray(columns - others @ slopes, dtype=float)


def _by_county(rows: _Rows, of_units: Array) -> Array:
    """Return what units contribute (U, k), added up to counties (C, k)."""
    home = np.zeros(len(of_units), dtype=np.intp)
    home[rows.unit] = rows.county
    out = np.zeros((len(rows.counties), of_units.shape[1]))
    np.add.at(out, home, of_units)
    return out


# --- errors -----------------------------------------------------------------------------------------------------


def _clustered(found: _Found) -> Estimate:
    """Return the record with errors by cluster or by distance."""
    return make_estimate(
        found.design,
        rows=found.table,
        counties=found.rows.counties,
        influence=found.influence * np.sqrt(found.factor),
        treated=found.treated,
        estimand="att" if found.reference is None else "event_time",
        reference=found.reference,
        notes=[*found.notes, *_notes(found)],
        dropped=found.dropped,
    )


def _two_ways(estimate: Estimate, found: _Found) -> Estimate:
    """Return the record with errors clustered by place and by year."""
    rows, made = found.rows, estimate.inference
    inside = found.entered[rows.county]
    county, year = rows.county[inside], rows.year[inside]
    place = np.unique(rows.states, return_inverse=True)[1][county] if made.by == "state_and_year" else county
    cell = place * len(rows.years) + year
    regression, k = found.regression, found.x.shape[1]
    scores = regression.own * (rows.weight * regression.residual)[:, None]
    scores = scores[inside] @ regression.inverse.matrix[:, :k][:, found.told] * np.sqrt(found.factor)
    if len(np.unique(year)) < 2:
        raise SampleError("one year", "several years to cluster by", "inference.by")
    ways = [cluster_variance(scores, labels) for labels in (place, year)]
    told, notes = ways[0] + ways[1] - cluster_variance(scores, cell), []
    first, second = made.by.split("_and_")
    notes.append(
        f"errors by {first} and by year: their sum less that by {first} and year together, each with its own "
        "G / (G - 1); degrees of freedom of the fewer clusters"
    )
    values, vectors = np.linalg.eigh(told)
    if (np.diag(told) <= 1e-13 * np.abs(np.diag(ways[0]))).any():
        larger = int(np.trace(ways[1]) > np.trace(ways[0]))
        told = ways[larger]
        notes.append(
            f"the sum by {first} and by year is not positive: errors are those by {(first, second)[larger]}, the larger"
        )
    elif values.min() < 0:
        # Its diagonal is positive; what is negative in other directions is set to zero (Cameron, Gelbach and Miller).
        told = (vectors * np.maximum(values, 0.0)) @ vectors.T
        notes.append("negative eigenvalues of the two-way variance matrix are set to zero")
    fewest = min(len(np.unique(labels)) for labels in (place, year))
    vcov = np.full(estimate.vcov.shape, np.nan)
    vcov[np.ix_(found.told, found.told)] = told
    made = replace(made, clusters=fewest, df=float(fewest - 1))
    error = np.sqrt(np.diag(vcov))
    # Treated counties of one cluster have no error either way.
    error[np.isnan(estimate.table["std_error"].to_numpy(dtype=float))] = np.nan
    df = np.full(len(error), made.df)
    return _with_errors(estimate, found, error, df, vcov, made, notes)


def _few_clusters(estimate: Estimate, found: _Found) -> Estimate:
    """Return the record with CR2 or CR3 errors and degrees of freedom of each coefficient."""
    rows, made = found.rows, estimate.inference
    kind = "CR2" if found.design.spec.inference.vcov == "cr2" else "CR3"
    x = np.hstack([found.x, rows.controls])
    k = found.x.shape[1]
    chosen = _independent(found.regression.own, x, rows.weight, np.flatnonzero(found.told))
    labels = rows.states[rows.county] if made.by == "state" else rows.county
    of_clusters = _named(
        lambda: cluster_variance_small(
            rows.outcome,
            x[:, chosen],
            rows.weight,
            labels,
            kind="CR2" if kind == "CR2" else "CR3",
            effects=(rows.unit, rows.second),
        )
    )
    m = int(found.told.sum())
    vcov, error, df = np.full((k, k), np.nan), np.full(k, np.nan), np.full(k, np.nan)
    # Taken from the contributions, so that it is finite where one cluster alone identifies a coefficient.
    parts = of_clusters.contributions[:, :m]
    vcov[np.ix_(found.told, found.told)] = parts.T @ parts
    error[found.told], df[found.told] = of_clusters.std_error[:m], of_clusters.df[:m]
    error[np.isnan(estimate.table["std_error"].to_numpy(dtype=float))] = np.nan
    known = np.isfinite(error)
    fewest = float(df[known].min()) if known.any() else made.df
    effective = of_clusters.report.effective[:m]
    notes = [
        f"{kind} errors, Satterthwaite degrees of freedom {_span(df[known])}, both for errors whose variance is one over "
        f"the weight; effective number of clusters by leverage {_span(effective)} of {len(of_clusters.report.labels)}"
    ]
    if of_clusters.alone:
        notes.append(
            f"some coefficients rest on {' '.join(of_clusters.alone)} alone: no error can be given for them"
        )
    inference = replace(made, kind=kind.lower(), df=fewest)
    estimate = replace(estimate, influence=found.influence)
    return _with_errors(estimate, found, error, df, vcov, inference, notes)


def _independent(own: Array, x: Array, weight: Array, first: Codes) -> list[int]:
    """Return columns none of which the effects and the others stand in for, those of ``first`` before others."""
    root = np.sqrt(weight)
    chosen: list[int] = []
    basis = np.zeros((len(x), 0))
    for j in [*first, *np.setdiff1d(np.arange(x.shape[1]), first)]:
        left = own[:, j] * root
        for _ in range(2):
            left = left - basis @ (basis.T @ left)
        length = float(np.sqrt(left @ left))
        if length > 1e-6 * float(np.sqrt(weight @ x[:, j] ** 2)):
            basis, chosen = np.column_stack([basis, left / length]), [*chosen, int(j)]
    return chosen


def _with_errors(
    estimate: Estimate,
    found: _Found,
    error: Array,
    df: Array,
    vcov: Array,
    inference: Inference,
    notes: Sequence[str],
) -> Estimate:
    """Return the record with other errors; bands cover all rows that have one."""
    use = np.isfinite(error) & (error > 0)
    critical = np.array([t_quantile(inference.level, d) if np.isfinite(d) else np.nan for d in df])
    band = joint_critical_value(
        vcov[np.ix_(use, use)], inference.level, inference.draws, inference.seed, inference.df
    )
    table = tabulate(found.table, error, found.treated, df, critical, np.fmax(critical, band))
    return replace(estimate, table=table, vcov=vcov, inference=inference, notes=(*estimate.notes, *notes))


def _span(values: Array) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "unknown"
    low, high = (f"{value:.1f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


# --- tests of one coefficient -----------------------------------------------------------------------------------


def _bootstrapped(estimate: Estimate, found: _Found) -> Estimate:
    """Return the record with p-value and interval of a wild bootstrap of clusters, or of counties inside states."""
    rows, asked = found.rows, found.design.spec.inference
    columns = np.column_stack([rows.outcome, found.x, rows.controls])
    if found.design.spec.estimator.effects == "state_by_year":
        columns = residuals(found.effects, columns)
    else:
        dummies = pd.get_dummies(rows.second, drop_first=True).to_numpy(dtype=float)
        columns = _demean(np.hstack([columns, dummies]), rows.unit, rows.weight)
    y, x, z = columns[:, 0], columns[:, 1], columns[:, 2:]
    clusters = rows.states[rows.county] if asked.by == "state" else rows.county
    if asked.vcov == "wild_bootstrap":
        result = wild_cluster_bootstrap(
            y, x, z, rows.weight, clusters, level=asked.level, draws=asked.draws, seed=asked.seed
        )
        note = (
            f"p-value and interval by wild cluster bootstrap, null imposed, {result.multiplier} multipliers, "
            f"{asked.draws} draws; the standard error is the cluster-robust one"
        )
        return _tested(estimate, asked.vcov, result.p_value, result.conf_low, result.conf_high, [note])
    found_by = _named(
        lambda: wild_bootstrap(
            y, x, z, rows.weight, clusters,
            level=asked.level, draws=asked.draws, seed=asked.seed, groups=rows.county,
        )
    )  # fmt: skip
    note = (
        f"p-value and interval by wild bootstrap of {found_by.groups:,} counties, errors by state, null imposed, "
        f"{found_by.multiplier} multipliers, {'all' if found_by.exact else 'random'} {found_by.draws:,} draws; the standard "
        "error is the cluster-robust one"
    )
    return _tested(estimate, asked.vcov, found_by.p_value, found_by.conf_low, found_by.conf_high, [note])


def _reassigned(estimate: Estimate, found: _Found) -> Estimate:
    """Return the record with p-value and interval from dealing the dates of adoption anew."""
    rows, asked = found.rows, found.design.spec.inference
    if asked.assignment not in ASSIGNMENTS:
        raise SpecError(
            f"inference.assignment = {asked.assignment!r}", " or ".join(ASSIGNMENTS), "inference.assignment"
        )
    paths, code = _paths(rows)
    names = np.array([STATE_OF_PREFIX.get(state, state) for state in rows.states])
    level: Level = "states" if asked.assignment == "whole_states" else "counties_within_states"
    plan = _named(lambda: reassignment(level, code, names))
    # A county's spells under several definitions are dealt together.
    home = np.zeros(int(rows.unit.max()) + 1, dtype=np.intp)
    home[rows.unit] = rows.county
    block = np.zeros(len(home), dtype=np.intp)
    block[rows.unit] = rows.block
    if (block[rows.unit] != rows.block).any():
        raise SampleError("counties that change their urban class", "one class a county", "estimator.effects")
    shape = (len(home), len(rows.years))

    def wide(values: Array) -> Array:
        out = np.zeros(shape)
        out[rows.unit, rows.year] = values
        return out

    drawn = _named(
        lambda: panel_randomisation(
            wide(rows.outcome),
            wide(rows.weight),
            paths,
            replace(plan, unit=plan.unit[home]),
            rows.states[home],
            draws=asked.draws,
            seed=asked.seed,
            level=asked.level,
            year_blocks=block,
            others=np.stack([wide(column) for column in rows.controls.T], axis=2)
            if rows.controls.shape[1]
            else None,
        )
    )
    possible = f"{plan.count:,}" if plan.count < 10**6 else f"about 10^{floor(log10(plan.count))}"
    notes = [
        f"p-value and interval by randomisation, studentised by state: {drawn.mechanism}; "
        f"{'all' if drawn.exact else f'{drawn.used:,} random'} of {possible} assignments; the standard error is the "
        "cluster-robust one"
    ]
    if drawn.idle:
        notes.append(
            f"{len(drawn.idle)} states could not have fallen otherwise and contribute nothing to the test: "
            f"{', '.join(drawn.idle)}"
        )
    if not paths.keep.all():
        notes.append("the transition year of a county in fact has no row under any assignment")
    if drawn.failed:
        notes.append(f"{drawn.failed} assignments without an estimate count as extreme")
    return _tested(estimate, "randomisation", drawn.p_value, drawn.conf_low, drawn.conf_high, notes)


def _paths(rows: _Rows) -> tuple[Paths, Codes]:
    """Return what treatment does over the years by kind of path, and each county's kind, (C,)."""
    size, years = len(rows.counties), rows.years
    cohort = np.full(size, np.inf)
    cohort[rows.county] = np.where(np.isnan(rows.cohort), np.inf, rows.cohort)
    if (rows.treated != (years[rows.year] >= cohort[rows.county])).any():
        raise SampleError(
            "treatment that is not that of a county's cohort", "policies that stay once adopted", "treatment"
        )
    # Any row before adoption tells the base year: event time runs without a gap up to -1 there.
    base = np.full(size, -np.inf)
    before = rows.event_time <= -1
    np.maximum.at(base, rows.county[before], years[rows.year[before]] - rows.event_time[before] - 1)
    exposure = years >= cohort[:, None]
    between = (years > base[:, None]) & (years < cohort[:, None]) & np.isfinite(base)[:, None]
    kinds, code = np.unique(np.hstack([exposure, ~between]), axis=0, return_inverse=True)
    t = len(years)
    first = [f"{years[path[:t]][0]}" if path[:t].any() else "never" for path in kinds]
    paths = Paths(kinds[:, :t].astype(float), kinds[:, t:], kinds[:, :t].astype(float), tuple(first))
    return paths, np.asarray(code, dtype=np.intp).ravel()


def _tested(
    estimate: Estimate, kind: str, p_value: float, low: float, high: float, notes: Sequence[str]
) -> Estimate:
    table = estimate.table.assign(p_value=p_value, conf_low=low, conf_high=high, band_low=low, band_high=high)
    return replace(
        estimate,
        table=table,
        inference=replace(estimate.inference, kind=kind),
        notes=(*estimate.notes, *notes),
    )


def _demean(columns: Array, codes: Codes, weights: Array) -> Array:
    total = np.bincount(codes, weights)
    means = np.column_stack([np.bincount(codes, weights * column) / total for column in columns.T])
    return columns - means[codes]


def _named(made: Callable[[], T]) -> T:
    """Return what is made, its refusal in the words of a study."""
    try:
        return made()
    except ValueError as error:
        found, _, wanted = str(error).partition("; wanted ")
        raise SampleError(found, wanted or "a sample that carries this error", "inference.vcov") from error


# --- words ------------------------------------------------------------------------------------------------------


def _notes(found: _Found) -> list[str]:
    spec = found.design.spec
    weighted = "unweighted" if spec.estimator.weights == "none" else "weighted by baseline population"
    n, k, by_cluster = len(found.rows.outcome), found.counted, spec.inference.by != "none"
    words = f"{WORDS[spec.estimator.effects or '']} effects, {weighted}"
    if spec.inference.vcov not in ("cr2", "cr3"):
        words += (
            f"; error factor (N - 1) / (N - k){' x G / (G - 1)' if by_cluster else ''}, N = {n:,}, k = {k}: regressors, "
            f"and a constant or the effects not nested in {'clusters' if by_cluster else 'counties'}"
        )
    if found.reference is None:
        return [
            words,
            "one coefficient for all years after adoption: where effects differ by cohort or year it is a weighted "
            "average whose weights may be negative",
        ]
    return [
        words,
        f"universal base: the last year wholly before adoption (event time {found.reference})",
        "event times are shared by cohorts: where effects differ by cohort they mix event times",
    ]


def _event_notes(missing: NDArray[np.int_]) -> tuple[str, ...]:
    if not len(missing):
        return ()
    return (
        "not estimated, absorbed by the effects or other event times: event times "
        + " ".join(str(t) for t in missing),
    )

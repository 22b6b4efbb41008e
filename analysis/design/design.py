"""Panel and spec in, `Design` out: the only thing estimators accept.

A design is a plain table with outcome, treatment, weight and strata already made, and the account of how the
sample came about. Estimators read it; none of them sees the panel, a policy file or a sample rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.codebook import Measure, load_codebook
from analysis.base.errors import SampleError, SpecError, TableError
from analysis.base.provenance import Stamp, make_stamp
from analysis.base.records import Geography, Panel
from analysis.design import sample
from analysis.design.spec import Spec
from analysis.design.treatment import Treatment, adopters_touched, assign_treatment, first_affected

PER_100K, PER_10K = 100_000, 10_000
# Counties are ranked by their residents of the year to which the earliest shares belong.
RANKING_YEAR = 2010
# Before nearly all dated policies, and counted, not sampled.
QUARTILE_SHARE = "hispanic_2010"
# Protocol rule 7.
FEWEST_TREATED, FEWEST_STATES = 20, 6
BASE_COLUMNS = (
    "county_fips",
    "year",
    "state",
    "urban_class",
    "division",
    "population",
    "population_baseline",
    "cohort",
    "event_time",
    "treated",
    "outcome",
    "weight",
    "stratum",
)
POPULATIONS = {
    "policed": "offences per {per} residents policed by the agencies that report",
    "county_population": "offences of all reporting agencies per {per} county residents",
    "county_agencies": "offences of county agencies per {per} county residents",
    "outside_cities": "offences of county agencies per {per} residents outside places with their own police",
    "county_file": "offences of the county file brought by the user per {per} residents it names",
}
# People policed by agencies on either definition of rape (protocol rule 3).
RAPE_POLICED = ("policed_rape_legacy", "policed_rape_revised")
# What each direct measure is a share of, so that its mean over counties with these weights is the state's.
STATE_WEIGHTS = {
    "declined_detainers": "population",
    "coverage": "population",
    "poverty_rate": "population",
    "unemployment_rate": "labour_force",
    "snap_share": "population",
    "labour_force_per_resident": "population",
    "employed_per_resident": "population",
}
_SIXTEEN = "the panel holds no residents of 16 and over to weigh counties by"
STATE_REFUSALS = {
    "decline_share": "the panel holds no resolved detainers to weigh counties by",
    "median_household_income": "medians of counties do not add up to a state's",
    "participation": _SIXTEEN,
    "employment_population": _SIXTEEN,
}
COUNTS = {
    "policed": "offences recorded by reporting agencies",
    "county_population": "offences recorded by reporting agencies",
    "county_agencies": "offences recorded by county agencies",
    "outside_cities": "offences recorded by county agencies",
    "county_file": "offences of the county file brought by the user",
}
# Builds that count what sheriffs and county police recorded.
OF_COUNTY_AGENCIES = ("county_agencies", "outside_cities")


@dataclass(frozen=True, slots=True)
class Design:
    """One row a county(-year), with outcome, treatment and weight made as the spec says.

    Args:
        table: sorted by county_fips, year. Columns county_fips, year, state, urban_class, division,
            population (residents that year), population_baseline (residents in the first year of the
            window), cohort (Int64, first treated year, which may lie after the window; <NA> never),
            event_time (Int64; -1 is the last year wholly before adoption, 0 the first treated one; <NA> as
            cohort), treated (bool: year >= cohort; in a cross-section the treated group), outcome (float, in
            the spec's scale), weight (float; 1.0 unweighted, else population_baseline), stratum (text: the
            state where comparison stays within states, else "all"), then the covariates under their names in
            the spec, then the control policies, then what the estimator asks for: ``exposure`` (people policed by
            the agencies that report the measure), ``definition_spell`` (text: legacy, revised or mixed, the
            definition of rape the county's agencies use that year).
        spec: the spec it was made under.
        kind: ``panel`` or ``cross_section``.
        covariates: covariate columns of ``table``.
        controls: control columns of ``table``.
        unit: unit of the outcome, in words.
        outcome_label: outcome in words.
        baseline: mean outcome of treated counties before treatment (cross-section: of comparison counties),
            in ``unit``, weighted as the estimate is.
        attrition: rule, counties, county_years, treated, dropped; first the panel as given, last what is
            estimated on.
        stamp: digests of spec and data, real or simulated.
        notes: what must be said beside every number.
        geography: where the panel's areas lie, for border designs and spatial errors.
        sample_notes: those of the notes that came with the sample, and stand whatever the estimator.
    """

    table: pd.DataFrame
    spec: Spec
    kind: str
    covariates: tuple[str, ...]
    controls: tuple[str, ...]
    unit: str
    outcome_label: str
    baseline: float
    attrition: pd.DataFrame
    stamp: Stamp
    notes: tuple[str, ...]
    geography: Geography = field(default_factory=Geography)
    sample_notes: tuple[str, ...] = ()

    def replace(self, changes: Mapping[str, Any]) -> Design:
        """Return the same sample under a spec whose [estimator] or [inference] differs.

        Args:
            changes: ``"estimator.key"`` or ``"inference.key"`` (or name, title, status) to value.

        Raises:
            SpecError: a key that needs a new sample, or a spec that breaks a rule.

        Example:
            ``design.replace({"estimator.method": "outcome_regression"})``
        """
        for key in changes:
            if key.split(".")[0] not in {"estimator", "inference", "name", "title", "status"}:
                raise SpecError(
                    f"design.replace changes {key}, which needs a new sample",
                    "keys of [estimator] and [inference]",
                    "make_design(panel, spec.replace(...))",
                )
        spec = self.spec.replace(changes)
        if _asked_columns(spec) != _asked_columns(self.spec):
            raise SpecError(
                f"design.replace changes {', '.join(changes)}, which needs a new sample",
                "keys of [estimator] that ask for the same columns",
                "make_design(panel, spec.replace(...))",
            )
        return self._under(spec, _arms(self.table))

    def _under(self, spec: Spec, arms: _Arms) -> Design:
        table = self.table.assign(weight=_weights(self.table, spec), stratum=_strata(self.table, spec))
        return with_fields(
            self,
            table=table,
            spec=spec,
            baseline=_baseline(table, self.kind, arms),
            stamp=with_fields(self.stamp, spec=spec.digest),
            notes=tuple(dict.fromkeys([*self.sample_notes, *_derived_notes(arms, spec)])),
        )

    def counts(self) -> pd.DataFrame:
        """Return one row with who stands behind the estimate (protocol rule 7).

        Returns:
            columns treated_counties, comparison_counties, county_years, states_treated (number with a treated
            county), states_identifying (number of states whose treated counties have something to be
            compared with: within states those with both arms, otherwise every state with a treated county),
                identifying_treated
            (treated counties in them), states_both_arms (number with treated and comparison counties),
            cohorts, identifying_states (their postal codes).
        """
        return pd.DataFrame([_counts(_arms(self.table), self.spec)])

    @property
    def informative(self) -> bool:
        """False with fewer than 20 treated counties, or treated ones in fewer than six states (protocol
        rule 7)."""
        found = _counts(_arms(self.table), self.spec)
        return found["identifying_treated"] >= FEWEST_TREATED and found["states_identifying"] >= FEWEST_STATES


@dataclass(slots=True)
class Shared:
    """What the designs of one panel have in common, kept while many are made in turn; it belongs to that panel alone.

    Args:
        treatments: who is treated, by `treatment_key`.
        samples: the rows that the rules before the outcome's leave, with their lines; the latest few.
    """

    treatments: dict[tuple[object, ...], Treatment] = field(default_factory=dict)
    samples: dict[tuple[object, ...], tuple[pd.DataFrame, list[sample.Line]]] = field(default_factory=dict)


KEPT_SAMPLES = 4
"""Samples kept at once: neighbours in a grid share one, and each takes some megabytes."""


def make_design(panel: Panel, spec: Spec, shared: Shared | None = None) -> Design:
    """Return the design of a spec on a panel.

    The rules run in one order, each with a line in the attrition table: years; states, counties and classes
    the spec names; what the treatment definition cannot place; adoption outside the window; treated areas the
    spec leaves out, those of other quartiles of the Hispanic share, comparisons that touch a treated one; transition years; status unknown; population; coverage;
    a missing outcome, covariate or control; balance. Where areas are states, counties are added up first.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: one specification; of a spec with a grid its own values are taken, ``spec.expand()`` gives the
            others.
        shared: what designs made before on this very panel left to share; what is missing is added.

    Returns:
        The `Design`.

    Raises:
        SampleError: a rule took the last treated or the last comparison county; neighbours asked of a panel that
            carries none; ``treatment.only`` holds what treats nobody.
        SpecError: a measure that cannot be added up to states; a spec of cities on a panel of counties, or the other
            way round.
        TableError: the panel lacks a column the spec needs.

    Assumes:
        outcomes of comparison counties tell what treated ones would have shown; the sample is chosen by
        coverage and population alone, never by the size of an outcome.
    """
    spec = spec.base()
    _require_area(panel, spec)
    by_county = panel
    if spec.design.area == "state":
        panel = _of_states(panel, spec)
        # Counties added up are another panel.
        shared = None
    shared = Shared() if shared is None else shared
    key = treatment_key(spec)
    if key not in shared.treatments:
        shared.treatments[key] = assign_treatment(panel, spec)
    treatment = shared.treatments[key]
    whole_panel = [_of_area(f"before the sample rules: {note}", spec) for note in treatment.notes]
    if panel is not by_county:
        number, states = (made.table["county_fips"].nunique() for made in (by_county, panel))
        whole_panel.append(f"areas are states: {many(number, 'county')} added up to {states}")
    before = _before_outcome(spec)
    if before not in shared.samples:
        found = _places_and_years(_rows(panel, spec, treatment), spec)
        while len(shared.samples) >= KEPT_SAMPLES:
            del shared.samples[next(iter(shared.samples))]
        shared.samples[before] = found
    placed, before_lines = shared.samples[before]
    rows, after_lines, notes = _with_outcome(_add_outcome(placed, panel, spec), spec)
    notes = [_of_area(note, spec) for note in notes]
    lines = [*before_lines, *after_lines]
    kind = spec.design.kind
    table = _design_table(rows, spec)
    arms = _arms(table)
    measure = load_codebook().measures[spec.outcome.measure]
    return Design(
        table=table,
        spec=spec,
        kind=kind,
        covariates=spec.covariates.names,
        controls=spec.controls.policies,
        unit=unit_of(measure, spec.outcome.scale, spec.outcome.build),
        outcome_label=label_of(measure, spec.outcome.scale),
        baseline=_baseline(table, kind, arms),
        attrition=sample.attrition(lines),
        stamp=make_stamp(panel.digest, panel.simulated, spec.digest),
        notes=tuple(dict.fromkeys([*whole_panel, *notes, *_derived_notes(arms, spec)])),
        geography=panel.geography,
        sample_notes=tuple(dict.fromkeys([*whole_panel, *notes])),
    )


def turned(design: Design, specs: Iterable[Spec]) -> Iterator[Design | None]:
    """Yield a design under other specs of the same sample, as `Design.replace` does; None where the sample differs.

    Args:
        design: made from a spec whose sections beside ``[estimator]`` and ``[inference]`` are those of the others.
        specs: without grids.
    """
    arms = _arms(design.table)
    asked = _asked_columns(design.spec)
    for spec in specs:
        yield design._under(spec, arms) if _asked_columns(spec) == asked else None


def treatment_key(spec: Spec) -> tuple[object, ...]:
    """Return what two specifications share when `assign_treatment` gives them the same on one panel.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> main = load_spec("main")
        >>> treatment_key(main) == treatment_key(main.replace({"outcome.measure": "property"}))
        True
        >>> treatment_key(main) == treatment_key(main.replace({"treatment.definition": "policy_any"}))
        False
    """
    # A ring test alone reads the sample's named areas.
    named = spec.sample if spec.treatment.exposed else None
    return (spec.treatment, spec.design, spec.folder, named)


# ----------------------------------------------------------------------------------------------------
# Pure parts
# ----------------------------------------------------------------------------------------------------


def count_event_time(year: np.ndarray, cohort: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return event time: 0 in the first treated year, -1 in the last year wholly before adoption.

    A transition year lies between the two and has no row, so the count skips it.

    Args:
        year: (n,) calendar years.
        cohort: (n,) first treated year, NaN for never.
        before: (n,) last year wholly before adoption, NaN for never.

    Returns:
        (n,) floats, NaN where ``cohort`` is.

    Example:
        Adoption in June 2014: 2013 is -1, 2015 is 0.

        >>> count_event_time(np.array([2012, 2013, 2015]), np.full(3, 2015.0), np.full(3, 2013.0)).tolist()
        [-2.0, -1.0, 0.0]

        Adoption on 1 January 2014: no transition year.

        >>> count_event_time(np.array([2013, 2014]), np.full(2, 2014.0), np.full(2, 2013.0)).tolist()
        [-1.0, 0.0]
    """
    return np.where(year >= cohort, year - cohort, year - before - 1.0)


def definition_spell(legacy: np.ndarray, revised: np.ndarray) -> np.ndarray:
    """Return which definition of rape a county's agencies use in a year.

    Args:
        legacy: (n,) people policed by agencies that report legacy rape; an agency has one definition a year.
        revised: (n,) people policed by agencies that report revised rape.

    Returns:
        (n,) texts: legacy, revised or mixed; None where nobody is policed by an agency that reports rape.

    Example:
        >>> definition_spell(np.array([9.0, 4.0, 0.0, 0.0]), np.array([0.0, 5.0, 9.0, 0.0])).tolist()
        ['legacy', 'mixed', 'revised', None]
    """
    some, others = np.asarray(legacy) > 0, np.asarray(revised) > 0
    spell = np.full(some.shape, None, dtype=object)
    spell[some & ~others], spell[others & ~some], spell[some & others] = "legacy", "revised", "mixed"
    return spell


def add_up_to_states(table: pd.DataFrame, measure: Measure, controls: Sequence[str] = ()) -> pd.DataFrame:
    """Return a panel of states: offences and people added up, rates divided again, shares weighted by residents.

    Args:
        table: county-years under the contract ``panel``.
        measure: the outcome.
        controls: federal policies; a state's is the share of its residents under them.

    Returns:
        One row a state and year: ``county_fips`` (the state's code and 000), ``urban_class`` (state), ``division``,
        ``population``, the measure's columns, the controls.

    Raises:
        SpecError: a measure whose county values do not add up to a state's.
        TableError: the panel lacks a column.

    Assumes:
        agencies that do not report resemble those of their state that do; coverage says how many there are.

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["55001", "55003"], "year": 2010, "state": "WI", "division": "3",
        ...     "population": [200.0, 300.0], "unemployment_rate": [5.0, 10.0], "labour_force": [100.0, 150.0]})
        >>> add_up_to_states(rows, load_codebook().measures["unemployment_rate"])[
        ...     ["county_fips", "population", "unemployment_rate"]].to_numpy().tolist()
        [['55000', 500.0, 8.0]]
    """
    key = ["state", "year"]
    if measure.kind == "direct":
        means = {measure.column: _state_weight(measure)}
        sums: list[str] = []
    else:
        means = {f"coverage_{measure.name}": "population"}
        sums = [f"{of}{measure.name}" for of in ("", "policed_", "county_agency_", "county_policed_")]
        sums += [name for name in RAPE_POLICED if name in table and name not in sums]
    means |= dict.fromkeys(controls, "population")
    _require_columns(table, [*key, "county_fips", "division", "population", *sums, *means, *means.values()])
    numbers = table[sorted({"population", *sums, *means, *means.values()})].astype(float).join(table[key])
    grouped = numbers.groupby(key, sort=True)
    out = grouped[["population", *sums]].sum(min_count=1)
    for name, weight in means.items():
        # What no agency of a county reports is covered by none; a rate that is not known has no weight.
        known = numbers[name].notna() | name.startswith("coverage_")
        people = numbers[weight].where(known).groupby([numbers[k] for k in key]).sum(min_count=1)
        parts = (numbers[name] * numbers[weight]).groupby([numbers[k] for k in key]).sum(min_count=1)
        out[name] = parts / people.where(people > 0)
    if sums:
        for build, count, people in (
            ("policed", measure.name, f"policed_{measure.name}"),
            ("county_population", measure.name, "population"),
            ("county_agencies", f"county_agency_{measure.name}", "population"),
            ("outside_cities", f"county_agency_{measure.name}", f"county_policed_{measure.name}"),
        ):
            out[f"rate_{build}_{measure.name}"] = out[count] / out[people].where(out[people] > 0) * PER_100K
    first = table.drop_duplicates("state").set_index("state")
    out = out.reset_index()
    return out.assign(
        county_fips=out["state"].map(first["county_fips"]).str[:2] + "000",
        division=out["state"].map(first["division"]),
        urban_class="state",
    )


def _state_weight(measure: Measure) -> str:
    """What a state's value of a direct measure weighs its counties by."""
    if measure.name not in STATE_WEIGHTS:
        raise SpecError(
            f'outcome.measure = "{measure.name}" with design.area = "state": {STATE_REFUSALS[measure.name]}',
            f"an offence, or one of {', '.join(STATE_WEIGHTS)}",
            "outcome.measure",
        )
    return STATE_WEIGHTS[measure.name]


def scale_rate(rate: np.ndarray, scale: str) -> np.ndarray:
    """Return a rate per 100,000 in the spec's scale; the logarithm of zero is missing, never a made-up
    number.

    Args:
        rate: (n,) offences per 100,000.
        scale: ``rate_100k``, ``rate_10k`` or ``log_rate``.

    Example:
        >>> scale_rate(np.array([0.0, 100.0]), "rate_10k").tolist()
        [0.0, 10.0]
        >>> scale_rate(np.array([0.0, 1.0]), "log_rate").tolist()
        [nan, 0.0]
    """
    if scale == "rate_100k":
        return rate
    if scale == "rate_10k":
        return rate * (PER_10K / PER_100K)
    return np.log(rate, out=np.full(rate.shape, np.nan), where=rate > 0)


def unit_of(measure: Measure, scale: str, build: str) -> str:
    """Return the unit of an outcome in words.

    Example:
        >>> unit_of(load_codebook().measures["property"], "rate_100k", "policed")
        'offences per 100,000 residents policed by the agencies that report'
    """
    if measure.kind == "direct":
        return measure.unit
    if scale == "count":
        return COUNTS[build]
    per = f"{PER_10K:,}" if scale == "rate_10k" else f"{PER_100K:,}"
    words = POPULATIONS[build].format(per=per)
    return f"log points of {words}" if scale == "log_rate" else words


def label_of(measure: Measure, scale: str) -> str:
    """Return an outcome in words.

    Example:
        >>> label_of(load_codebook().measures["property"], "log_rate")
        'Log reported property crime'
    """
    if measure.kind == "direct":
        return measure.label[:1].upper() + measure.label[1:]
    return f"Log reported {measure.label}" if scale == "log_rate" else f"Reported {measure.label}"


def many(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> many(1, "state"), many(1200, "treated county")
        ('1 state', '1,200 treated counties')
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def baseline_mean(table: pd.DataFrame, kind: str) -> float:
    """Return the mean outcome a change is read against, weighted as the estimate is.

    Args:
        table: table of a `Design`.
        kind: in a panel the county-years of treated counties before adoption are averaged; in a
            cross-section the comparison counties.
    """
    return _baseline(table, kind, _arms(table))


def _baseline(table: pd.DataFrame, kind: str, arms: _Arms) -> float:
    rows = ~arms.treated & arms.adopter[arms.of_county] if kind == "panel" else ~arms.treated
    weight, outcome = (table[name].to_numpy(dtype=float)[rows] for name in ("weight", "outcome"))
    return float(np.average(outcome, weights=weight)) if weight.sum() > 0 else float("nan")


# ----------------------------------------------------------------------------------------------------
# Steps
# ----------------------------------------------------------------------------------------------------


def _before_outcome(spec: Spec) -> tuple[object, ...]:
    """What two specifications share when the rules before the outcome's leave them the same rows."""
    asked = with_fields(spec.sample, min_coverage=0.0, balance=None)
    return (treatment_key(spec), spec.treatment, asked)


def _rows(panel: Panel, spec: Spec, treatment: Treatment) -> pd.DataFrame:
    """Return the rows of the panel with who is treated, and in ``position`` where they stand in it."""
    source = _source(panel, spec)
    columns = ["county_fips", "division", "population", "state", "urban_class", "year"]
    _require_columns(source, columns)
    rows = pd.DataFrame({name: source[name] for name in columns})
    rows["position"] = np.arange(len(rows))
    if spec.sample.largest_hispanic:
        rows["largest"] = rows["county_fips"].isin(largest_hispanic(source, spec.sample.largest_hispanic))
    if spec.sample.hispanic_quartile is not None:
        _require_columns(source, [QUARTILE_SHARE])
        rows["hispanic"] = source[QUARTILE_SHARE]
    if spec.sample.without_neighbours or spec.sample.hispanic_quartile is not None:
        rows["touches"] = rows["county_fips"].isin(_touch_treated(panel, treatment, spec.years[-1]))
    rows = rows.merge(_assignment(treatment), on="county_fips", how="left", validate="many_to_one")
    unplaced = rows["status"].isna()
    rows["excluded_for"] = rows["excluded_for"].mask(unplaced, "county unknown to the definition")
    rows["adopts"] = rows["status"].eq("treated").fillna(False).to_numpy(dtype=bool)
    first = rows.loc[rows["year"].eq(spec.years[0])].set_index("county_fips")["population"]
    rows["population_baseline"] = rows["county_fips"].map(first).astype(float)
    rows = rows.sort_values(["county_fips", "year"], kind="stable").reset_index(drop=True)
    # Rules drop rows a dozen times: texts are held once each.
    return rows.astype(dict.fromkeys(_TEXTS, "category"))


def largest_hispanic(table: pd.DataFrame, asked: int) -> list[str]:
    """Return the counties with the most Hispanic residents in 2010, the largest first.

    Args:
        table: county-years with ``county_fips, year, population`` (residents) and ``hispanic_2010`` (share of residents,
            Census 2010).
        asked: how many.

    Returns:
        County codes; of two alike the lower one comes first.

    Raises:
        SampleError: fewer counties have both numbers.
        TableError: the panel lacks a column.

    Assumes:
        the share of 2006-2010 holds for the residents of 2010; both are older than the dated policies.

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["06037", "48201", "17031"], "year": 2010,
        ...                      "population": [9.8e6, 4.1e6, 5.2e6], "hispanic_2010": [0.48, 0.4, 0.23]})
        >>> largest_hispanic(rows, 2)
        ['06037', '48201']
    """
    _require_columns(table, ["county_fips", "year", "population", "hispanic_2010"])
    then = table[table["year"] == RANKING_YEAR]
    residents = then["population"].to_numpy(dtype=float, na_value=np.nan)
    residents = residents * then["hispanic_2010"].to_numpy(dtype=float, na_value=np.nan)
    found = sample.most_of(then["county_fips"].to_numpy(dtype=str), residents, asked)
    if len(found) < asked:
        raise SampleError(
            f"sample.largest_hispanic = {asked}, and {many(len(found), 'county')} of the panel have residents and a Hispanic "
            f"share in {RANKING_YEAR}",
            "no more than there are, or 0 for all",
            "sample.largest_hispanic",
        )
    return [str(code) for code in found]


_TEXTS = ("county_fips", "state", "urban_class", "division", "status", "excluded_for")


def _source(panel: Panel, spec: Spec) -> pd.DataFrame:
    return panel.constant if spec.sample.constant_agencies else panel.table


def _add_outcome(rows: pd.DataFrame, panel: Panel, spec: Spec) -> pd.DataFrame:
    """Return rows with what the outcome, the covariates and the estimator ask of the panel."""
    source = _source(panel, spec)
    measure = load_codebook().measures[spec.outcome.measure]
    outcome = _outcome_column(measure, spec)
    wanted: dict[str, str] = {"recorded": outcome}
    if measure.kind == "offences":
        of_file = "county_file_" if spec.outcome.build == "county_file" else ""
        wanted["coverage"] = f"coverage_{of_file}{measure.name}"
    for name in spec.covariates.names:
        wanted[name] = load_codebook().covariate_column(name, spec.covariates.vintage)
    wanted |= {name: name for name in spec.controls.policies}
    asked_for = _asked_columns(spec)
    if "exposure" in asked_for:
        wanted["exposure"] = f"policed_{measure.name}"
    spells = RAPE_POLICED if "definition_spell" in asked_for else ()
    _require_columns(source, [*wanted.values(), *spells])
    position = rows["position"].to_numpy()

    def column(name: str) -> np.ndarray:
        return source[name].to_numpy(dtype=float, na_value=np.nan)[position]

    out = {name: column(held) for name, held in wanted.items()}
    scaled = spec.outcome.scale in _RATES
    out["outcome"] = scale_rate(out["recorded"], spec.outcome.scale) if scaled else out["recorded"]
    if spells:
        out["definition_spell"] = definition_spell(*(column(name) for name in spells))
    return rows.assign(**out)


def _require_columns(source: pd.DataFrame, wanted: Iterable[str]) -> None:
    absent = sorted(set(wanted) - set(source.columns))
    if any("county_file_" in name for name in absent):
        raise TableError(
            f"the panel lacks {', '.join(absent)}: it carries no county file with this measure",
            "a panel to which the file was added",
            "run: python -m analysis run SPEC --county-file PATH --county-file-year YEAR",
        )
    if absent:
        raise TableError(
            f"the panel lacks {', '.join(absent)}", "the columns of its codebook entry", "data/codebook.toml"
        )


def _asked_columns(spec: Spec) -> tuple[str, ...]:
    """Columns of a design beyond those every estimator reads."""
    asked = (
        ("exposure", spec.estimator.exposure == "policed"),
        ("definition_spell", spec.estimator.effects == "county_definition_year"),
    )
    return tuple(name for name, wanted in asked if wanted)


def _require_area(panel: Panel, spec: Spec) -> None:
    """Refuse a spec of cities on a panel of counties, and the other way round."""
    asked = "city" if spec.design.area == "city" else "county"
    if panel.area != asked:
        held = {"county": "counties", "city": "cities"}[panel.area]
        raise SpecError(
            f'design.area = "{spec.design.area or "county"}" on a panel of {held}',
            "the panel of cities, from city_areas" if asked == "city" else "the panel of counties",
            spec.where,
        )


def _of_area(words: str, spec: Spec) -> str:
    """Return words on counties as those on cities where these are the areas."""
    if spec.design.area != "city":
        return words
    return words.replace("counties", "cities").replace("county", "city")


def _touch_treated(panel: Panel, treatment: Treatment, last: int) -> list[str]:
    """Counties that touch a treated one: in a panel one whose adoption begins by the last year of the sample."""
    table = treatment.table
    if treatment.kind == "panel":
        table = table[first_affected(table).le(last).fillna(False)]
    return sorted(adopters_touched(table, panel.geography.neighbours)["county_fips"].unique())


def _of_states(panel: Panel, spec: Spec) -> Panel:
    """The panel with its counties added up to states; neighbours and places are of counties, and stay behind."""
    measure, controls = load_codebook().measures[spec.outcome.measure], spec.controls.policies
    return with_fields(
        panel,
        table=add_up_to_states(panel.table, measure, controls),
        constant=add_up_to_states(panel.constant, measure, controls),
        geography=Geography(),
    )


_RATES = frozenset({"rate_100k", "rate_10k", "log_rate"})


def _outcome_column(measure: Measure, spec: Spec) -> str:
    if measure.kind == "direct":
        return measure.column
    if spec.outcome.scale == "count":
        if spec.outcome.build in OF_COUNTY_AGENCIES:
            return f"county_agency_{measure.name}"
        return f"county_file_{measure.name}" if spec.outcome.build == "county_file" else measure.name
    return f"rate_{spec.outcome.build}_{measure.name}"


@dataclass(slots=True)
class _Rules:
    """Rules run one after the other, with the line of each."""

    rows: pd.DataFrame
    spec: Spec
    lines: list[sample.Line] = field(default_factory=list)

    def run(self, rule: Callable[..., sample.Kept], *values: Any) -> None:
        """Apply one rule; refuse a sample it leaves without an arm."""
        kept = rule(self.rows, *values)
        sample.require_both_arms(kept, self.rows, self.spec.treatment.comparison, self.spec.where)
        self.lines.append(kept.line)
        self.rows = kept.table


def _places_and_years(rows: pd.DataFrame, spec: Spec) -> tuple[pd.DataFrame, list[sample.Line]]:
    """Apply the rules that read no outcome: who, where, when."""
    asked, comparison = spec.sample, spec.treatment.comparison
    panel = spec.design.kind == "panel"
    first, last = spec.years[0], spec.years[-1]
    start = sample.FIRST_RULE
    if asked.constant_agencies:
        start += ", agencies present in every year of 2010-2017"
    rules = _Rules(rows, spec, [sample.count(rows, start)])
    run = rules.run
    run(sample.in_years, spec.years)
    if asked.keep_states:
        run(sample.in_states, asked.keep_states)
    if asked.drop_states:
        run(sample.without_states, asked.drop_states)
    if asked.drop_counties:
        run(sample.without_counties, asked.drop_counties)
    if asked.urban_classes:
        run(sample.in_classes, asked.urban_classes)
    if asked.largest_hispanic:
        run(sample.largest, asked.largest_hispanic)
    for reason in sorted(rules.rows["excluded_for"].dropna().unique()):
        run(sample.not_excluded, reason)
    if panel:
        run(sample.adopts_in_time, last, comparison)
        run(sample.adopts_after_first, first, spec.treatment.anticipation)
        # In a ring test the adopters it names have settled who is exposed.
        if spec.treatment.only and spec.treatment.exposed != "neighbours":
            run(sample.only_adopters, spec.treatment.only)
    if asked.hispanic_quartile is not None:
        run(sample.in_hispanic_quartile, asked.hispanic_quartile)
    if asked.without_neighbours:
        run(sample.apart_from_treated)
    if panel:
        run(sample.outside_transition)
        if spec.treatment.placebo_shift is not None:
            run(sample.before_true_adoption)
        run(sample.up_to_last_year)
    run(sample.populous, asked.min_population, first)
    return rules.rows, rules.lines


def _with_outcome(rows: pd.DataFrame, spec: Spec) -> tuple[pd.DataFrame, list[sample.Line], list[str]]:
    """Apply the rules that read the outcome, its coverage or a covariate."""
    asked = spec.sample
    rules = _Rules(rows, spec)
    run = rules.run
    if asked.min_coverage > 0:
        run(sample.covered, "coverage", asked.min_coverage)
    run(sample.present, ["recorded"], "outcome missing")
    if spec.outcome.scale == "log_rate":
        run(sample.present, ["outcome"], "log of a zero rate")
    if spec.covariates.names:
        run(sample.present, list(spec.covariates.names), "covariate missing")
    if spec.controls.policies:
        run(sample.present, list(spec.controls.policies), "control policy missing")
    if "exposure" in rows:
        run(sample.policed)
    if "definition_spell" in rows:
        run(sample.present, ["definition_spell"], "definition of rape unknown")
    if spec.design.kind == "panel":
        run(sample.balanced, spec.years, asked.balance)
        run(sample.both_sides)
    rules.lines.append(sample.count(rules.rows, sample.LAST_RULE))
    notes = _onset_notes(rules.rows, spec)
    if spec.outcome.build in OF_COUNTY_AGENCIES and asked.min_coverage > 0:
        notes.append(
            "coverage counts city and county agencies, so that every rate build is held to the same rule"
        )
    return rules.rows, rules.lines, notes


def _onset_notes(rows: pd.DataFrame, spec: Spec) -> list[str]:
    treated = rows[rows["adopts"]].drop_duplicates("county_fips")
    notes = []
    bounds = int(treated["upper_bound"].sum())
    if bounds and spec.treatment.upper_bound_dates == "as_dated":
        notes.append(f"rule 5: the dates of {bounds} of {len(treated)} treated counties are upper bounds")
    if spec.design.kind == "panel":
        between = int((treated["drop_from"].le(spec.years[-1]) & treated["drop_to"].ge(spec.years[0])).sum())
        if between:
            notes.append(
                "rule 5: the years between the last one before any limit and the first treated one "
                f"are dropped in {many(between, 'treated county')}"
            )
    return notes


def _design_table(rows: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    table = rows.assign(**{name: _as_text(rows[name]) for name in _TEXTS if name in BASE_COLUMNS})
    year = table["year"].to_numpy(dtype=float)
    cohort = table["cohort"].to_numpy(dtype=float, na_value=np.nan)
    before = table["before"].to_numpy(dtype=float, na_value=np.nan)
    counted = np.where(np.isnan(cohort), np.nan, count_event_time(year, cohort, before))
    table["event_time"] = pd.array(counted, dtype="Float64").astype("Int64")
    table["treated"] = year >= cohort if spec.design.kind == "panel" else table["adopts"].to_numpy(dtype=bool)
    table["weight"] = _weights(table, spec)
    table["stratum"] = _strata(table, spec)
    columns = [*BASE_COLUMNS, *spec.covariates.names, *spec.controls.policies, *_asked_columns(spec)]
    return table[columns].reset_index(drop=True)


def _as_text(held: pd.Series) -> Any:
    """Return categories as the texts they stand for; none is missing."""
    return held.cat.categories.array.take(held.cat.codes.to_numpy())


def _weights(table: pd.DataFrame, spec: Spec) -> np.ndarray:
    if spec.estimator.weights == "none":
        return np.ones(len(table))
    return table["population_baseline"].to_numpy(dtype=float)


def _strata(table: pd.DataFrame, spec: Spec) -> np.ndarray:
    if spec.within == "none":
        return np.full(len(table), "all", dtype=object)
    return table[spec.within].to_numpy(dtype=object)


@dataclass(frozen=True, slots=True)
class _Arms:
    """One row a county of a design, sorted by county, and its county-years: what counts and notes are read from.

    Args:
        names: postal codes of states, sorted.
        state: (counties,) which of them.
        adopter: (counties,) whether the county is treated in some row.
        cohort: (counties,) first treated year, missing for never.
        urban_class: (counties,) texts.
        of_year: (n,) year of each row.
        of_county: (n,) county of each row.
        treated: (n,) flags.
    """

    names: np.ndarray
    state: np.ndarray
    adopter: np.ndarray
    cohort: np.ndarray
    urban_class: np.ndarray
    of_year: np.ndarray
    of_county: np.ndarray
    treated: np.ndarray

    @property
    def by_state(self) -> tuple[np.ndarray, np.ndarray]:
        """Treated and comparison counties of each state."""
        both = np.bincount(self.state, minlength=len(self.names))
        treated = np.bincount(self.state[self.adopter], minlength=len(self.names))
        return treated, both - treated


def _arms(table: pd.DataFrame) -> _Arms:
    code = pd.factorize(table["county_fips"], sort=True)[0]
    counties = int(code.max(initial=-1)) + 1
    first = np.full(counties, len(code))
    np.minimum.at(first, code, np.arange(len(code)))
    treated = table["treated"].to_numpy(dtype=bool)
    adopter = np.bincount(code[treated], minlength=counties) > 0
    names, state = np.unique(table["state"].to_numpy(dtype=str)[first], return_inverse=True)
    return _Arms(
        names=names,
        state=state,
        adopter=adopter,
        cohort=table["cohort"].to_numpy(dtype=float, na_value=np.nan)[first],
        urban_class=table["urban_class"].to_numpy(dtype=object)[first],
        of_year=table["year"].to_numpy(dtype=int),
        of_county=code,
        treated=treated,
    )


def _counts(arms: _Arms, spec: Spec) -> dict[str, Any]:
    treated, comparison = arms.by_state
    identified = arms.adopter & _identified(arms, spec)
    identifying = np.bincount(arms.state[identified], minlength=len(arms.names))
    cohorts = arms.cohort[arms.adopter]
    return {
        "treated_counties": int(treated.sum()),
        "comparison_counties": int(comparison.sum()),
        "county_years": len(arms.treated),
        "states_treated": int((treated > 0).sum()),
        "states_identifying": int((identifying > 0).sum()),
        "identifying_treated": int(identifying.sum()),
        "states_both_arms": int(((treated > 0) & (comparison > 0)).sum()),
        "cohorts": len(np.unique(cohorts[~np.isnan(cohorts)])),
        "identifying_states": " ".join(arms.names[identifying > 0]),
    }


def _identified(arms: _Arms, spec: Spec) -> np.ndarray:
    """Return (counties,) whether treated counties of the county's stratum have something to be compared with."""
    if spec.within == "none":
        return np.ones(len(arms.state), dtype=bool)
    by_state = spec.within == "state"
    stratum = arms.state if by_state else pd.factorize(arms.urban_class, sort=True)[0]
    found = np.zeros(len(stratum), dtype=bool)
    # Counties of one stratum that adopt in different years serve each other until the later one adopts.
    staggered = spec.design.kind == "panel" and spec.treatment.comparison == "not_yet_treated"
    for one in np.unique(stratum):
        here = stratum == one
        arm = arms.adopter[here]
        cohorts = arms.cohort[here & arms.adopter]
        several = len(np.unique(cohorts[~np.isnan(cohorts)])) > 1
        found[here] = (arm.any() and not arm.all()) or (staggered and several)
    return found


FEW_COMPARISONS = 3
"""Fewer comparison counties than this in a state, and a comparison within it rests on what happened to them."""


def _derived_notes(arms: _Arms, spec: Spec) -> list[str]:
    found = _counts(arms, spec)
    notes: list[str] = []
    treated, others = arms.by_state
    here = treated > 0
    shown = ", ".join(
        f"{state} {number}" for state, number in zip(arms.names[here], treated[here], strict=True)
    )
    notes.append(f"treated counties by state: {shown}")
    if "CA" in arms.names[here]:
        number_here = many(int(treated[arms.names == "CA"][0]), "treated county")
        notes.append(f"rule 8: with {number_here} in California; read beside the sample without it")
    if spec.within == "state":
        pairs = list(zip(arms.names[here], treated[here], others[here], strict=True))
        shown = ", ".join(f"{state} {number} and {other}" for state, number, other in pairs if other)
        if shown:
            notes.append(f"treated and comparison counties in the states that identify: {shown}")
        thin = [state for state, number, other in pairs if 0 < other < FEW_COMPARISONS]
        if thin:
            notes.append(
                f"the counties of {', '.join(thin)} are compared with fewer than {FEW_COMPARISONS} others each: what "
                "moved in those few is in the estimate"
            )
        one_arm = (treated > 0) != (others > 0)
        if one_arm.any():
            alone = int((treated + others)[one_arm].sum())
            notes.append(
                f"treated or comparison counties alone in {many(int(one_arm.sum()), 'state')}: their "
                f"{many(alone, 'county')} identify nothing within states"
            )
    if spec.within == "urban_class":
        classes = sorted(set(arms.urban_class))
        shown = ", ".join(
            f"{str(name).replace('_', ' ')} {int((arms.adopter & (arms.urban_class == name)).sum())} and "
            f"{int((~arms.adopter & (arms.urban_class == name)).sum())}"
            for name in classes
        )
        notes.append(f"treated and comparison counties by urban class: {shown}")
    if spec.design.kind == "panel" and spec.within == "none":
        notes += _thin_years(arms)
    few = []
    if found["identifying_treated"] < FEWEST_TREATED:
        few.append(f"{many(found['identifying_treated'], 'treated county')}, fewer than {FEWEST_TREATED}")
    if found["states_identifying"] < FEWEST_STATES:
        states = many(found["states_identifying"], "state")
        few.append(f"treated counties in {states}, fewer than {FEWEST_STATES}")
    if few:
        notes.append(f"rule 7: not informative, takes no verdict: {'; '.join(few)}")
    return [*spec.notes, *(_of_area(note, spec) for note in notes)]


def _thin_years(arms: _Arms) -> list[str]:
    """Say in which years too few counties, or counties of too few states, are left to compare with.

    The counts of protocol rule 7 are of treated counties; a year with hardly a comparison county is as thin.
    """
    notes = []
    for year in np.unique(arms.of_year[arms.treated]):
        free = arms.of_county[~arms.treated & (arms.of_year == year)]
        counties, states = len(np.unique(free)), len(np.unique(arms.state[free]))
        if counties and (counties < FEWEST_TREATED or states < FEWEST_STATES):
            notes.append(
                f"in {year} only {many(counties, 'county')} of {many(states, 'state')} are left to compare "
                "with: what moved there is in the estimate"
            )
    return notes


def _assignment(treatment: Treatment) -> pd.DataFrame:
    counties = treatment.table
    cohort = counties["cohort"].astype("Int64")
    start = counties["drop_from_year"].astype("Int64")
    return pd.DataFrame(
        {
            "county_fips": counties["county_fips"],
            "status": counties["status"],
            "excluded_for": counties["reason"].where(counties["status"].eq("excluded")),
            "cohort": cohort,
            "before": first_affected(counties) - 1,
            "drop_from": start,
            "drop_to": counties["drop_to_year"].astype("Int64"),
            "known_to": counties["last_year"].astype("Int64"),
            "upper_bound": counties["upper_bound"].astype(bool),
        }
    )

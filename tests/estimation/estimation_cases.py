"""Small invented designs for the tests of estimators: no panel, no files beyond tests/reference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.provenance import make_stamp
from analysis.design.design import Design
from analysis.design.estimators import ESTIMATORS
from analysis.design.spec import (
    ControlsSection,
    CovariatesSection,
    DesignSection,
    EstimatorSection,
    InferenceSection,
    OutcomeSection,
    SampleSection,
    Spec,
    TreatmentSection,
)
from analysis.estimation.estimate import STATE_OF_PREFIX

REFERENCE = Path(__file__).parents[1] / "reference"
PREFIXES = ("06", "08", "12", "17", "19", "27", "36", "37", "41", "48", "53", "55")

GROUP_TIME = EstimatorSection("group_time_att", "none", method="doubly_robust", within="none")
TWO_WAY = EstimatorSection("two_way", "none", effects="county_year")
MATCHED = EstimatorSection(
    "matched_difference",
    "none",
    distance="mahalanobis",
    neighbours=1,
    replacement=True,
    caliper=0.0,
    exact=(),
    bias_adjust=False,
)
BY_STATE = InferenceSection("cluster", "state", 0.95, 199, 20260101)


def make_spec(
    estimator: EstimatorSection,
    inference: InferenceSection = BY_STATE,
    covariates: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
    comparison: str = "never_treated",
    anticipation: int = 0,
) -> Spec:
    """Return a spec of the test's own; only what estimators read matters."""
    cross = estimator.name in ESTIMATORS and ESTIMATORS[estimator.name].kind == "cross_section"
    return Spec(
        name="test",
        title="An invented design",
        status="added",
        design=DesignSection("cross_section" if cross else "panel", 2015 if cross else None),
        outcome=OutcomeSection("violent_ex_rape", "rate_100k", "policed"),
        treatment=TreatmentSection("policy_full", "first_full_year", "as_dated", anticipation, comparison),
        sample=SampleSection(
            None if cross else (2010, 2017), (), 0, 0.0, None if cross else "none", False, (), (), (), ()
        ),
        covariates=CovariatesSection(covariates, "2006_2010" if covariates else "none"),
        controls=ControlsSection(controls),
        estimator=estimator,
        inference=inference,
    )


def make_design_of(table: pd.DataFrame, spec: Spec) -> Design:
    """Return a Design holding a table of counties; fills in the columns a case does not care about."""
    table = table.sort_values(["county_fips", "year"]).reset_index(drop=True)
    weighted = spec.estimator.weights != "none"
    state = table["county_fips"].str[:2]
    strata = {"none": "all", "state": state, "urban_class": table.get("urban_class")}
    table = table.assign(
        weight=table["weight"].astype(float) if weighted else 1.0,
        stratum=strata[spec.within],
        state=state,
    )
    kind = spec.design.kind
    ever = table["treated"] if kind == "cross_section" else table["cohort"].notna()
    attrition = pd.DataFrame(
        {
            "rule": ["panel as given"],
            "counties": [table["county_fips"].nunique()],
            "county_years": [len(table)],
            "treated": [table.loc[ever, "county_fips"].nunique()],
            "dropped": [0],
        }
    )
    return Design(
        table=table,
        spec=spec,
        kind=kind,
        covariates=spec.covariates.names,
        controls=spec.controls.policies,
        unit="offences per 100,000 residents",
        outcome_label="Reported violent crime",
        baseline=float(table["outcome"].mean()),
        attrition=attrition,
        stamp=make_stamp("0" * 16, True, spec.digest),
        notes=("a test",),
    )


def with_table(design: Design, table: pd.DataFrame) -> Design:
    """Return the design on another table."""
    return make_design_of(table, design.spec)


def with_spec(design: Design, **changes: Any) -> Design:
    """Return the design under a spec with other sections."""
    return make_design_of(design.table, replace(design.spec, **changes))


def reference_panel(case: str) -> pd.DataFrame:
    """Return a simulated panel of tests/reference in the columns of a Design."""
    table = pd.read_csv(REFERENCE / case / "simulated_panel.csv", dtype={"county_fips": str, "state": str})
    table["cohort"] = table["cohort"].astype("Int64")
    table["event_time"] = (table["year"] - table["cohort"]).astype("Int64")
    table["treated"] = (table["event_time"] >= 0).fillna(False).astype(bool)
    return table


def reference_counties() -> pd.DataFrame:
    """Return the simulated cross-section of tests/reference."""
    table = pd.read_csv(
        REFERENCE / "matching_nn" / "simulated_counties.csv", dtype={"county_fips": str, "state": str}
    )
    return table.assign(
        year=2015,
        treated=table["treated"].astype(bool),
        weight=1.0,
        urban_class=table["class"],
        division=(np.arange(len(table)) % 3).astype(str),
    )


def reference_values(case: str) -> dict[str, Any]:
    """Return what R found."""
    values: dict[str, Any] = json.loads((REFERENCE / case / "values.json").read_text())
    return values


def simulated_panel(
    seed: int,
    *,
    counties: int = 300,
    states: int = 12,
    years: range = range(2010, 2018),
    cohorts: tuple[int, ...] = (2013, 2014, 2015),
    share: float = 0.35,
    effect: float = -2.0,
    growth: float = -0.5,
    half_year: bool = False,
    trend_on_covariate: float = 0.3,
    selection: float = 0.6,
    state_shock: float = 0.6,
    state_pull: float = 0.0,
) -> pd.DataFrame:
    """Return an invented staggered panel whose effect at event time e is ``effect + growth * e`` (column
    ``effect``).

    Adoption depends on a covariate on which trends depend too (``selection``, ``trend_on_covariate``); states
    share yearly shocks (``state_shock``); with ``state_pull`` states on a steeper trend adopt more. With
    ``half_year`` a county adopts in the middle of the year before its cohort, that year holds half of the
    first effect and is marked as ``transition``; the column ``event_time`` counts as a design does.
    """
    rng = np.random.default_rng(seed)
    names = np.array(sorted(STATE_OF_PREFIX) if states > len(PREFIXES) else PREFIXES)[:states]
    home = np.arange(counties) % states
    fips = np.array([f"{prefix}{2 * i + 1:03d}" for i, prefix in enumerate(names[home])])
    poverty, pull = rng.normal(size=counties), rng.normal(size=states)
    score = selection * poverty + (pull[home] if state_pull else 0.0)
    adopts = rng.random(counties) < 1 / (1 + np.exp(-np.log(share / (1 - share)) - score))
    cohort = np.where(adopts, rng.choice(cohorts, counties), 0)
    weight = np.round(np.exp(rng.normal(11, 0.7, counties)))
    level = rng.normal(40, 6, counties) + 3 * poverty
    shock = rng.normal(0, state_shock, (states, len(years)))[home]
    noise = rng.normal(0, 1, (counties, len(years)))
    for t in range(1, len(years)):
        noise[:, t] = 0.5 * noise[:, t - 1] + np.sqrt(0.75) * noise[:, t]
    since = np.where(cohort[:, None] > 0, np.array(years)[None, :] - cohort[:, None], -99)
    transition = half_year & (since == -1)
    true = np.where(since >= 0, effect + growth * since, np.where(transition, effect / 2, 0.0))
    slope = 0.2 + trend_on_covariate * poverty + state_pull * pull[home]
    outcome = level[:, None] + slope[:, None] * np.arange(len(years)) + shock + noise + true
    table = pd.DataFrame(
        {
            "county_fips": np.repeat(fips, len(years)),
            "year": np.tile(np.array(years), counties),
            "cohort": np.repeat(cohort, len(years)),
            "event_time": np.where(half_year & (since < 0), since + 1, since).ravel(),
            "treated": (since >= 0).ravel(),
            "transition": transition.ravel(),
            "weight": np.repeat(weight, len(years)),
            "poverty": np.repeat(poverty, len(years)),
            "effect": true.ravel(),
            "outcome": outcome.ravel(),
        }
    )
    never = table["cohort"] == 0
    for name in ("cohort", "event_time"):
        table[name] = table[name].astype("Int64").mask(never)
    return table


def simulated_counties(
    seed: int,
    *,
    counties: int = 600,
    states: int = 40,
    by_state: bool = False,
    state_shock: float = 0.0,
    effect: float = 0.0,
) -> pd.DataFrame:
    """Return an invented cross-section: adoption and outcome depend on two covariates; ``effect`` is the
    truth.

    With ``by_state`` whole states lean towards adoption; ``state_shock`` is what a state's outcomes share.
    """
    rng = np.random.default_rng(seed)
    home = np.arange(counties) % states
    x1, x2, lean = rng.normal(size=counties), rng.normal(size=counties), rng.normal(size=states)
    score = -1.4 + 0.5 * x1 + 0.3 * x2 + (2 * lean[home] if by_state else 0.0)
    treated = rng.random(counties) < 1 / (1 + np.exp(-score))
    outcome = (
        30
        + 2 * x1
        - x2
        + effect * treated
        + rng.normal(0, state_shock, states)[home]
        + rng.normal(size=counties)
    )
    fips = [f"{prefix}{2 * i + 1:03d}" for i, prefix in enumerate(np.array(sorted(STATE_OF_PREFIX))[home])]
    return pd.DataFrame(
        {
            "county_fips": fips,
            "year": 2015,
            "treated": treated,
            "weight": 1.0,
            "x1": x1,
            "x2": x2,
            "outcome": outcome,
        }
    )

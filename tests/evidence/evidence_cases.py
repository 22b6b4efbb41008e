"""Invented estimates and an invented panel for the tests of evidence: no number stands for anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.base.provenance import make_stamp
from analysis.base.records import Panel
from analysis.design.spec import Spec, parse_spec
from analysis.estimation.estimate import COLUMNS, Estimate, Inference
from analysis.evidence.results import Found

# Two digits of a state's codes -> its postal code.
STATES = {"17": "IL", "19": "IA", "27": "MN", "37": "NC", "53": "WA", "55": "WI", "36": "NY", "24": "MD"}

SPEC = """
name = "case"
title = "Invented"
status = "added"
[outcome]
measure = "property"
scale = "rate_100k"
build = "policed"
[treatment]
definition = "policy_full"
onset = "first_full_year"
comparison = "not_yet_treated"
[sample]
years = [2010, 2017]
min_population = 10_000
min_coverage = 0.9
balance = "every_year"
[covariates]
names = []
[estimator]
name = "group_time_att"
method = "outcome_regression"
within = "none"
weights = "none"
[inference]
vcov = "cluster"
by = "state"
level = 0.95
draws = 0
seed = 1
"""

DIRECT = {"outcome.measure": "declined_detainers", "outcome.scale": "as_measured", "outcome.build": "none",
          "sample.min_coverage": 0.0, "sample.years": [2008, 2014], "treatment.onset": "adoption_year"}  # fmt: skip
CROSS_SECTION = {
    "design.kind": "cross_section", "design.year": 2015, "covariates.names": ["hispanic"],
    "covariates.vintage": "2006_2010", "estimator.name": "matched_difference", "estimator.distance": "mahalanobis",
    "estimator.neighbours": 1, "estimator.replacement": True, "estimator.caliper": 0.0, "estimator.exact": [],
    "estimator.bias_adjust": False,
}  # fmt: skip
INDEPENDENT = {"inference.vcov": "abadie_imbens", "inference.by": "none"}


def spec(changes: dict | None = None, name: str = "case") -> Spec:
    return parse_spec(SPEC, where="case.toml").replace({**(changes or {}), "name": name})


def estimate(
    of: Spec,
    value: float | list[float],
    error: float = 1.0,
    *,
    treated_per_state: int = 4,
    states: int = 6,
    comparisons: int = 30,
    baseline: float = 300.0,
    event_times: list[int] | None = None,
) -> Estimate:
    """An Estimate of made-up numbers: intervals are plus and minus twice the error."""
    values = np.atleast_1d(np.asarray(value, dtype=float))
    k = len(values)
    prefixes = list(STATES)[:states]
    treated = [f"{p}{i:03d}" for p in prefixes for i in range(treated_per_state)]
    counties = pd.Index(sorted([*treated, *(f"{list(STATES)[i % 8]}{500 + i}" for i in range(comparisons))]))
    members = np.repeat(np.isin(counties, treated).astype(float)[:, None], k, axis=1)
    one = event_times is None
    table = pd.DataFrame(
        {
            "term": ["post"] if one else [f"event_time={t}" for t in event_times],
            "cohort": pd.array([pd.NA] * k, dtype="Int64"),
            "time": pd.array([pd.NA] * k, dtype="Int64"),
            "event_time": pd.array([pd.NA] * k if one else event_times, dtype="Int64"),
            "estimate": values,
            "std_error": error,
            "statistic": values / error,
            "p_value": 0.5,
            "conf_low": values - 2 * error,
            "conf_high": values + 2 * error,
            "band_low": values - 3 * error,
            "band_high": values + 3 * error,
            "n_counties": len(counties),
            "n_treated": len(treated),
        }
    )[list(COLUMNS)]
    table.loc[table["estimate"].isna(), list(COLUMNS[4:12])] = np.nan
    independent = of.inference.vcov == "abadie_imbens"
    matched = of.estimator.name == "matched_difference"
    return Estimate(
        table=table,
        vcov=np.eye(k) * error**2,
        influence=None,
        counties=counties,
        treated=members,
        estimand="difference" if matched else "att" if one else "event_time",
        outcome="Reported property crime",
        unit="offences per 100,000 residents",
        baseline=baseline,
        reference=None if one else -1,
        estimator=of.estimator.name,
        inference=Inference(
            of.inference.vcov, of.inference.by, 30, np.inf if independent else 29.0, 0.95, 0, 1
        ),
        attrition=pd.DataFrame(
            {"rule": ["panel as given"], "counties": [1], "county_years": [1], "treated": [1], "dropped": [0]}
        ),
        spec=of,
        stamp=make_stamp("0" * 16, False, of.digest),
        notes=("invented",),
    )


def found(
    changes: dict | None = None, name: str = "case", value: float = 1.0, error: float = 1.0, **more
) -> Found:
    """One specification with one invented estimate."""
    declined, leads = more.pop("declined_per_10k", 2.0), more.pop("pretrend_p", float("nan"))
    made = spec(changes, name)
    return Found(made, estimate(made, value, error, **more), ("IA", "WI"), declined, pretrend_p=leads)


def panel(seed: int = 1, *, states: int = 8, per_state: int = 8, effect: float = 50.0) -> Panel:
    """A panel in which three counties of every state adopt in mid-2013 and gain ``effect`` from 2014 on."""
    rng = np.random.default_rng(seed)
    rows, events = [], []
    for prefix, state in list(STATES.items())[:states]:
        for i in range(per_state):
            fips = f"{prefix}{2 * i + 1:03d}"
            adopts = i < 3
            level = rng.normal(2500.0, 300.0)
            if adopts:
                events.append(_event(fips, state))
            for year in range(2008, 2018):
                rate = (
                    level
                    - 20 * (year - 2010)
                    + rng.normal(0, 15)
                    + (effect if adopts and year >= 2014 else 0.0)
                )
                rows.append(
                    {
                        "county_fips": fips,
                        "year": year,
                        "state": state,
                        "urban_class": "noncore",
                        "division": "3",
                        "population": 20_000.0 * (i + 1),
                        "rate_policed_property": rate,
                        "rate_policed_total": rate * 1.1,
                        "rate_county_population_property": rate * 0.9,
                        "coverage_property": 1.0,
                        "coverage_total": 1.0,
                        "declined_detainers": (4.0 * (i + 1) if adopts and year >= 2013 else 0.0)
                        if year <= 2014
                        else np.nan,
                        "declined_per_10k": (2.0 + rng.normal(0, 0.1) if adopts and year >= 2013 else 0.0)
                        if year <= 2014
                        else np.nan,
                        "hispanic_2010": rng.uniform(0.0, 0.5),
                        "secure_communities": 1.0,
                        "agreement_287g": 0.0,
                    }
                )
    table = pd.DataFrame(rows)
    declines = pd.DataFrame(
        {
            "county_fips": pd.Series(dtype="str"), "state": pd.Series(dtype="str"), "year": pd.Series(dtype="Int64"),
            "declined": pd.Series(dtype="Int64"), "other_outcomes": pd.Series(dtype=float),
            "decline_share": pd.Series(dtype=float), "n_facilities": pd.Series(dtype="Int64"),
            "share_biased_down": pd.Series(dtype=bool),
        }
    )  # fmt: skip
    return Panel(table, table, pd.DataFrame(events), declines, "0" * 16, simulated=True)


def _event(fips: str, state: str) -> dict:
    return {
        "event": f"D2-{fips}", "definition_source": "D2", "jurisdiction": fips, "state": state, "level": "county",
        "county_fips": fips, "direction": "limit_full", "date": "2013-06-15", "year": 2013, "month": 6, "precision": "day",
        "basis": "enacted", "upper_bound": False, "verified": True, "rows": 1, "source": "invented", "source_url": "",
        "note": "",
    }  # fmt: skip


def with_notes(one: Estimate, *notes: str) -> Estimate:
    return replace(one, notes=notes)

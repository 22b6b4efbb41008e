"""Contracts of the frames figures, tables and paper numbers are made from.

Figure and table of one claim read the same frame. `require` refuses a frame that lacks a column, so that a
renamed column upstream stops the output that needs it and is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.base.errors import TableError, nearest


@dataclass(frozen=True, slots=True)
class Frame:
    """Columns a frame must hold, each with its meaning and unit.

    Args:
        name: name of the frame in the output context.
        columns: column to meaning.
    """

    name: str
    columns: Mapping[str, str]


MOVEMENT = Frame(
    "movement",
    {
        "measure": "outcome measure of the codebook",
        "definition": "treatment definition",
        "build": "rate build: policed, county_population, county_agencies, outside_cities, county_file",
        "california": "in, out or only",
        "comparison": "between (across states), within (within states) or matched",
        "percent": "estimate in per cent of the mean before adoption",
        "percent_low": "lower interval end, likewise",
        "percent_high": "upper interval end, likewise",
        "n_treated": "treated areas",
        "n_states": "states that identify the estimate",
        "precision": "equivalent to zero, different from zero, inconclusive, not informative, or ''",
        "spec": "name of the specification",
    },
)

HEADLINE = Frame(
    "headline",
    {
        "claim": "first_stage, or the name of a published claim",
        "published": "True for the row that holds the published figure",
        "label": "row label: the study, or the definition in words",
        "definition": "treatment definition, '' for a published row",
        "measure": "outcome measure",
        "comparison": "between, within or matched; '' for a published row",
        "estimate": "in `unit`; missing where a study states a direction or a null and no size",
        "conf_low": "lower interval end; missing where no uncertainty was published",
        "conf_high": "upper interval end; missing where no uncertainty was published",
        "unit": "unit in words",
        "n_treated": "treated areas; missing where unknown",
        "n_comparison": "comparison areas; missing where unknown",
        "n_states": "states that identify the estimate; missing where unknown",
        "states_identifying": "their postal codes",
        "precision": "equivalent to zero, different from zero, inconclusive, not informative, or ''",
        "agreement": "agreement with the published figure, in words, or ''",
        "verdict": "consistent, not consistent, inconclusive, not informative, no verdict, or '' (published)",
        "level": "confidence level",
        "percent_low": "lower interval end in per cent of the mean before adoption",
        "percent_high": "upper interval end, likewise",
        "comparability": "what is and is not shared with the published estimate, in words",
    },
)

FIRST_STAGE = Frame(
    "first_stage",
    {
        "definition": "treatment definition",
        "measure": "declined_detainers or decline_share",
        "comparison": "between or within",
        "california": "in or out",
        "window": "outcome years",
        "estimate": "in `unit`",
        "conf_low": "lower interval end",
        "conf_high": "upper interval end",
        "unit": "unit in words",
        "n_treated": "treated areas",
        "n_comparison": "comparison areas",
        "n_states": "states that identify the estimate",
        "informative": "False below 20 treated areas or six states",
    },
)

BALANCE = Frame(
    "balance",
    {
        "covariate": "name in the spec",
        "sample": "before or after (the match)",
        "mean_treated": "in the covariate's unit",
        "mean_comparison": "in the covariate's unit",
        "standardized_mean_difference": "difference over the treated standard deviation before the match",
        "n_treated": "treated areas",
        "n_comparison": "comparison areas (distinct, after the match)",
    },
)

STATUS = Frame(
    "status",
    {
        "definition": "treatment definition",
        "county_fips": "area, five characters",
        "state": "postal code",
        "status": "treated, comparison or excluded",
        "cohort": "first fully treated year; missing if never treated or undated",
    },
)

ATTRITION = Frame(
    "attrition",
    {
        "spec": "name of the spec",
        "rule": "sample rule",
        "counties": "areas left",
        "county_years": "area-years left",
        "treated": "treated areas left",
        "dropped": "area-years dropped by the rule",
    },
)

TOTALS = Frame(
    "totals",
    {
        "year": "calendar year",
        "measure": "violent or property",
        "panel": "offences in the panel",
        "published": "the FBI's own total",
        "share": "panel over published",
        "benchmark": "which published table the total is from",
    },
)

TRUST = Frame(
    "trust",
    {
        "design": "key of the design in the simulation",
        "label": "in words",
        "measure": "outcome measure",
        "coverage": "share of SIMULATED panels whose 95 % interval held the truth",
        "coverage_mc_error": "its Monte Carlo error",
        "ratio": "mean standard error over the spread of estimates, on simulated panels",
        "draws": "simulated panels",
        "near_nominal": "True within two Monte Carlo errors of 95 %",
        "percent": "estimate on the data, per cent of the mean before adoption",
        "percent_low": "lower interval end",
        "percent_high": "upper interval end",
        "n_treated": "treated areas",
        "n_states": "states that identify",
    },
)

REPORTING = Frame(
    "reporting",
    {
        "comparison": "between or within",
        "california": "in or out",
        "weights": "none (every county alike) or population_baseline (every resident alike)",
        "estimate": "change in coverage, share of residents",
        "conf_low": "lower interval end",
        "conf_high": "upper interval end",
        "pretrend_p": "joint test of the years before adoption",
        "n_treated": "treated areas",
        "n_comparison": "comparison areas",
        "n_states": "states that identify",
        "precision": "verdict of the interval alone",
    },
)

MATCHES = Frame(
    "matches",
    {
        "family": "spec the row belongs to: match_methods, match_definitions, ..., matched_did, near_nominal",
        "variant": "its named variation, '' for the spec's own values",
        "group": "group of methods, in words",
        "label": "method in words",
        "covariate_set": "A, B, C, D, or '' outside match_covariates",
        "vintage": "years the covariates are of",
        "match_on": "what a matched difference-in-differences was matched on, in words",
        "measure": "outcome measure",
        "build": "rate build",
        "definition": "treatment definition",
        "window": "outcome year or years",
        "status_year": "year whose treatment status counts, of a placebo; missing otherwise",
        "urban_classes": "urban-rural class the sample is limited to, '' for all",
        "term": "whom the estimate averages over: att, atc, ate, ato; post of a panel",
        "estimate": "in `unit`; missing where it could not be estimated",
        "conf_low": "lower interval end",
        "conf_high": "upper interval end",
        "unit": "unit in words",
        "percent": "estimate in per cent of the comparison mean (panels: of the mean before adoption)",
        "percent_low": "lower interval end, likewise",
        "percent_high": "upper interval end, likewise",
        "n_treated": "treated areas",
        "n_comparison": "comparison areas",
        "n_states": "states that identify the estimate",
        "inference": "how the interval was made, in words",
        "vcov": "kind of error",
        "by": "what a cluster is",
        "independent": "True where the error takes counties, or pairs, as assigned independently",
        "verdict": "the precision; 'no verdict' or 'not estimated' where there is none",
        "pretrend_p": "joint test of leads that were not matched on",
        "failure": "why it could not be estimated, or ''",
        "spec": "name of the specification",
    },
)

MATCH_BALANCE = Frame(
    "match_balance",
    {
        "family": "match_methods, match_covariates or match_classes",
        "variant": "as in matches",
        "method": "method in words; '' outside match_methods",
        "measure": "outcome whose sample it is",
        "covariate": "name in the spec",
        "sample": "before or after (the match)",
        "standardized_mean_difference": "over the treated areas' standard deviation before the match",
        "n_treated": "treated areas in the sample",
        "n_comparison": "comparison areas in the sample",
        "effective_comparison": "comparison areas of equal weight that would tell as much (Kish)",
        "deviation": "standard deviation of the outcome within arms of the sample",
        "spec": "name of the specification",
    },
)

HIDDEN_BIAS = Frame(
    "hidden_bias",
    {
        "variant": "optimal-pairs or full",
        "measure": "outcome measure",
        "gamma": "most by which two areas of one set may differ in their odds of treatment; missing where none applies",
        "statistic": "p_low, p_high, conf_low, conf_high, critical_gamma, ...",
        "value": "in `unit`",
        "n_sets": "matched sets",
        "note": "what must be said beside it (rule 12)",
    },
)

MATCH_SIZE = Frame(
    "match_size",
    {
        "design": "case of the simulation",
        "method": "in words",
        "error": "kind of error, in words",
        "measure": "outcome measure",
        "independent": "True where the error takes counties, or pairs, as assigned independently",
        "draws": "simulated panels with an interval",
        "bias_percent": "mean error of the estimate, per cent of the comparison mean",
        "ratio": "mean standard error over the spread of estimates",
        "coverage": "share of SIMULATED panels whose 95 % interval held the truth",
        "coverage_of_mean": "share whose interval held the estimator's own average",
        "coverage_of_mean_mc_error": "its Monte Carlo error",
        "percent": "estimate on the data, per cent of the comparison mean; missing where none was asked",
        "percent_low": "lower interval end",
        "percent_high": "upper interval end",
        "verdict": "of the estimate, as in matches; '' where none was asked",
    },
)

GRID_PLAN = Frame(
    "grid_plan",
    {
        "kind": "family, or left_out",
        "family": "family of specifications",
        "label": "of the family; for cells left out, the rule",
        "cells": "specifications, or cells left out",
        "share": "of all specifications; missing for cells left out",
        "samples": "designs the family rests on; missing likewise",
    },
)

CONTRACTS = {
    frame.name: frame
    for frame in (
        MOVEMENT,
        HEADLINE,
        FIRST_STAGE,
        BALANCE,
        STATUS,
        ATTRITION,
        TOTALS,
        TRUST,
        REPORTING,
        MATCHES,
        MATCH_BALANCE,
        HIDDEN_BIAS,
        MATCH_SIZE,
        GRID_PLAN,
    )
}


def held_frame(frames: Mapping[str, pd.DataFrame], name: str, frame: Frame) -> pd.DataFrame:
    """Return a frame under its contract, rows counted from 0; empty where it was not made or holds no row.

    Args:
        frames: by name.
        name: the one wanted.
        frame: its contract.

    Example:
        >>> held_frame({}, "movement", MOVEMENT).empty
        True
    """
    table = frames.get(name)
    if table is None or table.empty:
        return pd.DataFrame(columns=list(frame.columns))
    return require(table, frame).reset_index(drop=True)


def require(table: pd.DataFrame, contract: Frame) -> pd.DataFrame:
    """Return the table unchanged if it holds every column of the contract.

    Args:
        table: the frame handed in; further columns are welcome.
        contract: what it must hold.

    Raises:
        TableError: a column is absent; the message names the nearest one present.

    Example:
        >>> require(pd.DataFrame({"spec": ["main"]}), ATTRITION)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.TableError: frame attrition lacks rule...
    """
    absent = [column for column in contract.columns if column not in table]
    if absent:
        hint = nearest(absent[0], [str(column) for column in table.columns])
        raise TableError(
            f"frame {contract.name} lacks {', '.join(absent)}{hint}",
            "the columns of its contract",
            f"analysis/report/frames.py ({contract.name}) or the step that makes it",
        )
    return table

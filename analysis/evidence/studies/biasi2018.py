"""Arellano-Bover and Biasi 2018: counties that hold nobody for the federal authorities, beside those they touch.

Slides, tables and code of December 2017 to January 2018, unpublished. Every table was read. Its design is re-done on annual
data: `analysis.estimation.border_pairs` with groups of an adopter and all its untreated neighbours, under the specifications
of ``analysis/specs/biasi2018.toml``. What annual data lose against quarterly ones is measured in
`analysis.evidence.checks.quarterly`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import TableError
from analysis.evidence.results import ONE_EFFECT
from analysis.evidence.studies.record import Ask, PublishedStudy

SPEC = "biasi2018"
MAIN_DEFINITION = "policy_full"
# A quarter of the counties with a full limit is fewer than the twenty of protocol rule 7; chosen before any run.
QUARTILE_DEFINITION = "declines_5"
DEFINITIONS = (MAIN_DEFINITION, "policy_any", "declines_share25", "declines_5")
QUARTILES = (1, 2, 3, 4)
COVARIATES = "black-hispanic-log_income-unemployment"

MODELS: Mapping[str, str] = MappingProxyType({"dd1": "county_year", "dd2": "group_by_year"})
"""Their two models: counties and time; counties, time and each group in time."""

COLUMNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "c1": ("none", "none"),
        "c2": ("none", COVARIATES),
        "c3": ("county", "none"),
        "c4": ("county", COVARIATES),
    }
)
"""Columns of their tables: county lines taken off, and covariates, as names of specifications say them."""

OUTCOMES: Mapping[str, str] = MappingProxyType(
    {"logcrime": "total", "logproperty": "property", "logviolent": "violent"}
)
OFFENCES: Mapping[str, str] = MappingProxyType(
    {
        "murder": "murder",
        "rape": "rape",
        "robbery": "robbery",
        "aggravated_assault": "aggravated_assault",
        "burglary": "burglary",
        "larceny": "larceny",
        "auto_theft": "motor_vehicle_theft",
    }
)
VARIANTS = (
    "main-window", "shared-weights", "unweighted", "county-population", "same-state", "without-california",
    "federal-programmes", "one-year-earlier", "by-state",
)  # fmt: skip
"""What their design leaves open, run beside the column with covariates."""

NEAR: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "violent": (
            (
                "violent_ex_rape",
                "without rape, whose definition changed from 2013, when most policies began",
            ),
        ),
        "rape": (("rape_legacy", "on the legacy definition alone, which agencies leave from 2013"),),
    }
)

ANNUAL = (
    "years for quarters: two before adoption, its own year left out, the first full year after, where theirs run from eight "
    "quarters before to four after"
)
SHARES = (
    "quartiles of a county's own Hispanic share, each run apart; theirs are four terms of one regression, cut over treated and "
    "bordering counties once a group and quarter"
)


def spec_name(measure: str, model: str, column: str, definition: str) -> str:
    """Return the specification that answers a cell of their tables.

    Args:
        measure: of the codebook.
        model: dd1 or dd2.
        column: c1 to c4.
        definition: treatment definition.

    Example:
        >>> spec_name("total", "dd1", "c1", "policy_full")
        'biasi2018/measure=total/effects=county_year/trends=none/names=none/definition=policy_full'
    """
    trends, names = COLUMNS[column]
    return f"{SPEC}/measure={measure}/effects={MODELS[model]}/trends={trends}/names={names}/definition={definition}"


def quartile_name(measure: str, quartile: int, column: str, definition: str) -> str:
    """Return the specification of one quartile of the Hispanic share.

    Example:
        >>> quartile_name("property", 4, "c1", "declines_5")
        'biasi2018/declines-hispanic-4/measure=property/trends=none/names=none'
    """
    trends, names = COLUMNS[column]
    lead = "" if definition == MAIN_DEFINITION else "declines-"
    return f"{SPEC}/{lead}hispanic-{quartile}/measure={measure}/trends={trends}/names={names}"


def offence_name(measure: str, definition: str) -> str:
    """Return the specification of one offence.

    Example:
        >>> offence_name("motor_vehicle_theft", "policy_full")
        'biasi2018/motor-vehicle-theft/definition=policy_full'
    """
    return f"{SPEC}/{measure.replace('_', '-')}/definition={definition}"


def _measures(measure: str) -> tuple[str, ...]:
    return (measure, *(near for near, _ in NEAR.get(measure, ())))


def _only(names: Sequence[str]) -> Mapping[str, tuple[Any, ...]]:
    return MappingProxyType({"spec": tuple(names)})


def _cells() -> tuple[Ask, ...]:
    asks = []
    for (table, measure), (model, effects), column in product(OUTCOMES.items(), MODELS.items(), COLUMNS):
        names = [
            spec_name(m, model, column, definition)
            for m, definition in product(_measures(measure), DEFINITIONS)
        ]
        if column == "c2":
            names += [
                f"{SPEC}/{variant}/measure={m}/effects={effects}"
                for variant, m in product(VARIANTS, _measures(measure))
            ]
        if column == "c1" and model == "dd1":
            names += [f"{SPEC}/within-states/measure={m}" for m in _measures(measure)]
        asks.append(
            Ask(
                figure=f"biasi.{table}_{model}.{column}",
                measures=(measure,),
                unit="log_points",
                main=spec_name(measure, model, column, MAIN_DEFINITION),
                near=NEAR.get(measure, ()),
                only=_only(names),
                headline=(table, column) == ("logcrime", "c2"),
                note=ANNUAL,
            )
        )
    return tuple(asks)


def _quartiles() -> tuple[Ask, ...]:
    return tuple(
        Ask(
            figure=f"biasi.{table}_byhisp_dd1.hispq{quartile}.{column}",
            measures=(measure,),
            unit="log_points",
            main=quartile_name(measure, quartile, column, QUARTILE_DEFINITION),
            near=NEAR.get(measure, ()),
            only=_only(
                [
                    quartile_name(m, quartile, column, definition)
                    for m, definition in product(_measures(measure), (MAIN_DEFINITION, QUARTILE_DEFINITION))
                ]
            ),
            note=f"{ANNUAL}; {SHARES}",
        )
        for (table, measure), quartile, column in product(OUTCOMES.items(), QUARTILES, COLUMNS)
    )


def _offences() -> tuple[Ask, ...]:
    return tuple(
        Ask(
            figure=f"biasi.logcrime_bytype.{name}",
            measures=(measure,),
            unit="log_points",
            main=offence_name(measure, MAIN_DEFINITION),
            near=NEAR.get(measure, ()),
            only=_only(
                [offence_name(m, definition) for m, definition in product(_measures(measure), DEFINITIONS)]
            ),
            note=f"{ANNUAL}; the log of a zero rate drops a county-year in both",
        )
        for name, measure in OFFENCES.items()
    )


_CLEARANCES = "a share of offences cleared by arrest: no clearances are at hand by county"
_MEANS = "a mean of county characteristics before the policies, not an effect"

STUDY = PublishedStudy(
    name="biasi",
    authors="Arellano-Bover and Biasi",
    year=2018,
    first_public=2017,
    venue="unpublished slides, tables and code, December 2017 to January 2018",
    area="county",
    policy_list="counties on the federal list of those that honour no detainer, by dated enactment of 2008-2014",
    outcome_years=(2006, 2016),
    method_family="border_difference_in_differences",
    method_seen=True,
    design=(
        "A hundred counties with a policy enacted in 2008-2014 stand beside 251 counties that touch them and were never on the "
        "list. A group is one treated county and its untreated neighbours, so a neighbour of several appears in each of their "
        "groups, with its whole weight. Reported index offences without arson, by county and quarter, are taken as logs of "
        "rates per 100,000 from eight quarters before enactment to four after; treatment begins in the quarter after "
        "enactment. Model 1 has effects of counties and of quarters, model 2 effects of each group in time besides. Columns "
        "add covariates (shares of Black and Hispanic residents and in-migration by time, income, unemployment) and take off "
        "a county line fitted before enactment. Weights are residents of the first year; errors are clustered by county, in two "
        "columns of model 2 by group and quarter."
    ),
    known=(
        "Every coefficient, standard error and number of rows of the tables was read.",
        "Quartiles of the Hispanic share are of the county's own share in the first year of the covariates, cut over all rows "
        "of treated and bordering counties, and enter one regression as four terms; untreated counties serve all four.",
        "In the version of the code that was read the rows with the lowest hundredth of total rates are dropped, and group effects "
        "are by calendar year beside quarter effects; its line is of the county, over all its rows before enactment.",
        "Property tables are older than the last cleaning of the data.",
    ),
    chosen=(
        "Years for quarters, as no offences by quarter are at hand: two years before adoption and the first full year after it, the "
        "year of adoption left out.",
        "A full limit on detainers, by documented policy, stands for their list; any limit, and detainers declined on record, stand "
        "beside it.",
        "By quartile the main specification treats counties that declined five detainers or more in a year: a quarter of those with "
        "a full limit is fewer than twenty.",
        "Quartiles are run apart, cut over treated counties and those that touch them, each counted once.",
        "Covariates are the Black and Hispanic shares, log income and unemployment of 2006-10, each with an effect in every year; "
        "in-migration is not at hand.",
        "The county line is fitted on the years before adoption since 2008, at least three, in each group, and only its slope is "
        "taken off.",
        "Errors are clustered by state and by group, degrees of freedom from the fewer: by county, as printed, they carry no "
        "verdict here (protocol rules 12 and 15).",
        "No rates are dropped for their size, as no rule of a sample here looks at an outcome.",
        "Rates divide by residents policed by agencies that report, and 90 % of residents must be; theirs divide by county "
        "residents, which is run beside it.",
    ),
    reading=(
        "More reported crime where Hispanic residents are many is what more reporting would leave, and what more crime would "
        "leave: the tables cannot tell the two apart, and a border comparison adds what moved across the line."
    ),
    specs=(SPEC,),
    asks=(*_cells(), *_quartiles(), *_offences()),
    apart=MappingProxyType(
        {
            "biasi.logcrime_cleared_dd.*": _CLEARANCES,
            "biasi.lognonviolent_cleared_dd.*": _CLEARANCES,
            "biasi.logviolent_cleared_dd.*": _CLEARANCES,
            "biasi.balance.*": _MEANS,
        }
    ),
    prefixes=("biasi.",),
)

# --- beside each other
# ----------------------------------------------------------------------------------------------------

BESIDE: Mapping[str, str] = MappingProxyType(
    {
        "figure": "identifier in data/published.yaml",
        "part": "models (all treated counties), offences, or quartiles of the Hispanic share",
        "measure": "outcome measure of the codebook",
        "model": "county_year or group_by_year",
        "column": "column of their table; c4 for single offences",
        "quartile": "quartile of the Hispanic share; empty where all treated counties stay",
        "published": "published estimate, log points",
        "published_error": "printed standard error, clustered as printed",
        "published_low": "published estimate less 1.96 printed errors",
        "published_high": "published estimate plus 1.96 printed errors",
        "definition": "treatment definition of ours",
        "spec": "name of our specification",
        "main": "whether it is the one the ledger shows",
        "estimate": "log points",
        "conf_low": "lower end of our interval",
        "conf_high": "upper end of our interval",
        "level": "its confidence level",
        "n_treated": "treated counties",
        "n_comparison": "comparison counties",
        "n_states": "states that identify it",
        "informative": "False below 20 treated counties or six states",
        "precision": "equivalent to zero, different from zero, inconclusive, not informative, or empty",
        "inside": "whether the published size lies inside our interval",
        "failure": "why there is no estimate; empty otherwise",
        "simulated": "True where the panel is the simulated one",
    }
)
"""Columns of `beside`."""

NORMAL = 1.96


def beside(study_results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return every registered effect with each of our specifications that re-does its cell, a row a pair.

    Args:
        study_results: estimates of every study's specifications; those of ``study`` biasi are read.
        published: registered figures with ``id``, ``estimate`` and ``se``, log points.

    Returns:
        Columns of `BESIDE`, in the order of their tables: published numbers repeat over our definitions. Variants that no
        cell of theirs has are left out; a specification that failed stays with its reason. Without results there are no rows.

    Raises:
        TableError: a registered figure is missing, or has no number.
    """
    if study_results.empty:
        return pd.DataFrame(columns=list(BESIDE))
    own = study_results[study_results["study"] == STUDY.name]
    own = own.assign(failure=own["failure"].fillna("").astype(str))
    own = (
        own[own["estimand"].isin(ONE_EFFECT) | own["failure"].ne("")]
        .drop_duplicates("spec")
        .set_index("spec")
    )
    for flag in ("informative", "simulated"):
        own[flag] = own[flag].isin([True, "True"])
    sizes = published.set_index("id")
    rows = []
    for ask in STUDY.asks:
        if ask.figure not in sizes.index or pd.isna(sizes.loc[ask.figure, "estimate"]):
            raise TableError(
                f"{ask.figure} has no registered size", "the study's tables", "data/published.yaml"
            )
        size = float(sizes.loc[ask.figure, "estimate"])
        error = float(pd.to_numeric(sizes.loc[ask.figure, "se"]))
        for measure, definition, name in _answers(ask):
            if name not in own.index:
                continue
            found = own.loc[name]
            low, high = float(found["conf_low"]), float(found["conf_high"])
            rows.append(
                {
                    "figure": ask.figure,
                    **_place(ask),
                    "measure": measure,
                    "published": size,
                    "published_error": error,
                    "published_low": size - NORMAL * error,
                    "published_high": size + NORMAL * error,
                    "definition": definition,
                    "spec": name,
                    "main": name == ask.main,
                    **{
                        key: found[key]
                        for key in (
                            "estimate", "conf_low", "conf_high", "level", "n_treated", "n_comparison", "n_states",
                            "informative", "precision", "failure", "simulated",
                        )
                    },
                    "inside": bool(np.isfinite(low) and low <= size <= high),
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(BESIDE))


def _place(ask: Ask) -> dict[str, Any]:
    table, *rest = ask.figure.split(".")[1:]
    if table.endswith("bytype"):
        return {"part": "offences", "model": MODELS["dd2"], "column": "c4", "quartile": pd.NA}
    if "byhisp" in table:
        return {
            "part": "quartiles", "model": MODELS["dd1"], "column": rest[1], "quartile": int(rest[0].removeprefix("hispq")),
        }  # fmt: skip
    return {"part": "models", "model": MODELS[table.rsplit("_", 1)[1]], "column": rest[0], "quartile": pd.NA}


def _answers(ask: Ask) -> list[tuple[str, str, str]]:
    """Return measure, definition and name of the specifications that re-do a cell itself."""
    place = _place(ask)
    model = next(key for key, effects in MODELS.items() if effects == place["model"])
    found = []
    for measure in _measures(ask.measures[0]):
        if place["part"] == "quartiles":
            found += [
                (measure, d, quartile_name(measure, place["quartile"], place["column"], d))
                for d in (QUARTILE_DEFINITION, MAIN_DEFINITION)
            ]
        elif place["part"] == "offences":
            found += [(measure, d, offence_name(measure, d)) for d in DEFINITIONS]
        else:
            found += [(measure, d, spec_name(measure, model, place["column"], d)) for d in DEFINITIONS]
    return found

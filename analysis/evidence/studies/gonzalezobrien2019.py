"""Gonzalez O'Brien, Collingwood and El-Khatib 2019: cities with a policy, before and after it and matched with others.

The authors' list of 54 cities comes with no data at hand. A csv of it in ``data/lists/gonzalezobrien2019.csv`` is used in
place of the definitions here, on the panel of cities: one row a city with ``level`` city, ``state``, ``jurisdiction`` (the
name as the FBI's Table 8 prints it) and ``date``; ``county_fips`` may be left out unless two cities of a state share a name.
A name that cannot be placed stops the run and is named.

`city_estimates` sets every estimate on cities on one scale, of this study and of the two on the long city series.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.design.treatment import is_descriptive
from analysis.evidence.checks.equivalence import detectable_effect, two_one_sided
from analysis.evidence.results import ONE_EFFECT
from analysis.evidence.studies.record import Ask, PublishedStudy
from analysis.evidence.units import LOG_POINTS, UNIT_OF_SCALE, percent_of

NAME = "gonzalezobrien2019"
# Outcome of the registry -> measure, the specification of pairs, that of before and after.
OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "violent": ("violent", f"{NAME}/genetic-2015/measure=violent/drop_states=none", f"{NAME}/measure=violent/drop_states=none"),
    "rape": ("rape_legacy", f"{NAME}/genetic-2012-rape", f"{NAME}/rape-2012"),
    "property": ("property", f"{NAME}/genetic-2015/measure=property/drop_states=none", f"{NAME}/measure=property/drop_states=none"),
}  # fmt: skip
NEAR: Mapping[str, tuple[tuple[str, str], ...]] = {
    "violent": (("violent_ex_rape", "without rape, whose definition changed from 2013 on"),),
    "rape": (("rape", "over the change of definition from 2013 on: what it shows is that change"),),
}
_COUNTIES = (
    "Their cities have ordinances of their own; here a city counts as treated when the county that holds it has a documented "
    "limit on detainers, because no list at hand dates the policies of cities."
)
_MATCH_NOTE = (
    f"{_COUNTIES} The row is of 2015; by the end of 2012, the published year, five counties had one, and those pairs are not "
    "informative."
)
_MATCH_RAPE_NOTE = (
    f"{_COUNTIES} Rape is compared in 2012, before its definition changed: pairs of cities in few counties."
)
_MEMORY = "That this test was made, and its window, is from memory, so agreement with it is no pass mark."


def _ending(outcome: str, measure: str) -> str:
    return "-rape" if outcome == "rape" else f"/measure={measure}"


STUDY = PublishedStudy(    name=NAME,
    authors="Gonzalez O'Brien, Collingwood and El-Khatib",
    year=2019,
    first_public=2016,
    venue="Urban Affairs Review 55(1), 3-40",
    area="city",
    policy_list=(
        "54 cities in 19 states and the District of Columbia on a list of the National Immigration Law Center, with an ordinance "
        "or resolution of 2002 or later"
    ),
    outcome_years=(2000, 2014),
    method_family="matching",
    method_seen=False,
    design=(
        "Cities whose ordinance or resolution forbids officials to ask about immigration status, or to cooperate. Two readings: the "
        "adopters' violent, rape and property rates in the year before adoption against the year after, by paired tests; and "
        "each adopter matched with a similar city without a policy on census and political variables, its offences compared "
        "in one year, recalled as 2012. A figure shows both groups from 2000 to 2014."
    ),
    known=(
        "No difference distinguishable from zero in violent crime, rape or property crime; read in the abstract.",
        "54 cities, from a press account of the working paper; 55 is recalled as well.",
        "In levels the cities with a policy stood above their matches, as critics read the figure; the authors call the gap within "
        "sampling error. A gap in levels is no effect of a policy.",
        "The paired tests, genetic matching on variables of 2000 and the matched year are recalled, not seen; nor were sizes, "
        "errors, calipers, ratios or the balance of the match.",
    ),
    chosen=(
        _COUNTIES + " A city that is its own county has that county's policy.",
        "There is no census table of cities among the raw files: residents are the city's own, every other covariate is that of "
        "the county that holds it, of 2006-10, and earlier crime of the city is matched on in one variation.",
        "Cities of 10,000 residents or more that the FBI's Table 8 prints, each alike; the same for 100,000 and more.",
        "Before and after: the last year wholly before adoption against the first one wholly after, and two years on each side. "
        "Matches: one nearest city by Mahalanobis distance, and by weights a genetic search finds, with replacement.",
        "Legacy rape to 2012. One line goes over the change of definition to show what it does to a comparison of years.",
        "Cities on the list of May 2025 against other cities of 2012 and 2015: undated and made after the outcomes, so a "
        "description without verdict.",
        "Difference-in-differences on the same cities, which the study did not make, asks the question of the paired tests with "
        "a comparison.",
        "Errors are clustered by state and carry the verdicts; the paired t test's own error takes cities as independent, stands "
        "beside them and carries none.",
    ),
    reading=(
        "Crime as reported: fewer offences reported by immigrants under one rule, or more under another, would look the same as a "
        "change in crime. Ordinances on asking for status bear on trust in the city's police; limits on detainers, tested here, "
        "on who is released from the county's jail."
    ),
    specs=(NAME,),
    asks=(
        *(
            Ask(
                figure=f"{NAME}.match.{outcome}",
                measures=(measure,),
                unit="per_100k",
                main=match,
                near=NEAR.get(outcome, ()),
                only=MappingProxyType({"estimator": ("genetic_match", "matched_difference", "matched_did", "group_time_att")}),
                headline=True,
                null=True,
                note=_MATCH_RAPE_NOTE if outcome == "rape" else _MATCH_NOTE,
                own_list=(match, *(f"{NAME}/{method}-2012{_ending(outcome, measure)}" for method in ("mahalanobis", "genetic"))),
            )
            for outcome, (measure, match, _) in OUTCOMES.items()
        ),
        *(
            Ask(
                figure=f"{NAME}.prepost.{outcome}",
                measures=(measure,),
                unit="per_100k",
                main=pairs,
                near=NEAR.get(outcome, ()),
                only=MappingProxyType({"estimator": ("before_after",)}),
                null=True,
                note=f"{_MEMORY} {_COUNTIES}",
            )
            for outcome, (measure, _, pairs) in OUTCOMES.items()
        ),
    ),
    apart=MappingProxyType(
        {
            f"{NAME}.n_treated": (
                "a count of the authors' list, which is not at hand; how many cities ours place stands in the table of cities"
            ),
            f"{NAME}.levels_2000_2014": (
                "a figure of levels by year whose values were not seen; a gap in levels is no effect of a policy"
            ),
        }
    ),
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------------
# Every estimate on cities on one scale
# ------------------------------------------------------------------------------------------------------------

CITY_STUDIES = (NAME, "otsu2021", "martinezschuldt2019")
BIG = 100_000
DESIGNS: Mapping[str, str] = {
    "before_after": "before and after",
    "matched_difference": "matched pairs",
    "genetic_match": "matched pairs",
    "group_time_att": "difference-in-differences",
    "matched_did": "difference-in-differences",
    "two_way": "two-way fixed effects",
    "poisson": "Poisson of counts",
}
"""What an estimate compares, by its estimator."""

COLUMNS: Mapping[str, str] = {
    "study": "whose design it follows",
    "spec": "name of the specification",
    "line": "its named variation; empty for the spec's own values",
    "compared": "before and after, matched pairs, difference-in-differences, two-way fixed effects, Poisson of counts",
    "cities": "fewest residents of a city in the first year",
    "measure": "outcome measure",
    "definition": "treatment definition",
    "window": "outcome years",
    "california": "in, out or only",
    "within": "state where cities are compared within theirs, else none",
    "by": "what a cluster is",
    "descriptive": "True under an undated list made after the outcomes",
    "estimate": "in its own unit",
    "percent": "in per cent of the mean: of treated cities before adoption, of matched pairs of comparison cities",
    "percent_low": "lower end of the interval",
    "percent_high": "upper end",
    "level": "of the interval",
    "detectable_percent": "change found four times in five by a test with this error, the smaller way of the two on a log scale",
    "bound_percent": "bound of equivalence, in per cent",
    "p_equivalence": "of two one-sided tests that the effect is as large as the bound; empty where no error carries them",
    "n_treated": "treated cities",
    "n_comparison": "comparison cities",
    "n_states": "states that identify it",
    "pretrend_p": "p-value of the leads being jointly zero; empty without leads",
    "precision": "verdict on precision; empty where none is carried",
    "failure": "why there is no estimate",
    "simulated": "True on the simulated panel",
}


def city_estimates(study_results: pd.DataFrame) -> pd.DataFrame:
    """Return every one-effect estimate on cities in per cent of a mean, with what its test could have found.

    Args:
        study_results: ``study`` and the columns of `analysis.evidence.results.COLUMNS`; rows of other areas are left out.

    Returns:
        Columns `COLUMNS`, in the order of the results; specifications that failed keep their row and reason.

    Raises:
        StudyError: an estimator without a name in `DESIGNS`.

    Assumes:
        the error would be the same under the effect, and the mean is known.

    Source:
        Detectable effects: Bloom (1995), Evaluation Review 19(5). Equivalence: Schuirmann (1987).

    Example:
        >>> city_estimates(pd.DataFrame(columns=["study", "area", "estimand", "failure"])).empty
        True
    """
    kept = study_results["area"].eq("city") & study_results["study"].isin(CITY_STUDIES)
    kept &= study_results["estimand"].isin(ONE_EFFECT) | study_results["failure"].ne("")
    rows = [_row(row) for row in study_results[kept].to_dict("records")]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    estimator = str(row["estimator"])
    if estimator not in DESIGNS:
        raise StudyError(
            f"{row['spec']}: estimator '{estimator}'", f"one of {', '.join(DESIGNS)}", "the spec"
        )
    parts = str(row["spec"]).split("/")[1:]
    kept = ("study", "spec", "measure", "definition", "window", "california", "within", "by", "estimate", "level",
            "pretrend_p", "percent_low", "percent_high", "precision", "failure", "simulated")  # fmt: skip
    return (
        {name: row[name] for name in kept}
        | {
            "line": parts[0] if parts and "=" not in parts[0] else "",
            "compared": DESIGNS[estimator],
            "cities": row["min_population"],
            "descriptive": is_descriptive(str(row["definition"])),
            "percent": row["percent_of_baseline"],
            **{name: np.nan if pd.isna(row[name]) else float(row[name]) for name in ("n_treated", "n_comparison", "n_states")},
        }
        | detectable(row)
    )  # fmt: skip


def detectable(row: Mapping[Any, Any], power: float = 0.8) -> dict[str, float]:
    """Return what a test with an estimate's error could find, and whether the effect is shown to be small.

    Args:
        row: ``scale, unit, std_error, df, level, estimate, baseline, bound`` of results.
        power: chance of rejecting no effect.

    Returns:
        ``detectable_percent``, ``bound_percent``, ``p_equivalence``; missing without an error or a mean.

    Example:
        >>> found = detectable({"scale": "rate_100k", "unit": "", "std_error": 1.0, "df": np.inf, "level": 0.95,
        ...                     "estimate": 0.0, "baseline": 100.0, "bound": 5.0})
        >>> round(found["detectable_percent"], 2), found["bound_percent"], found["p_equivalence"] < 0.001
        (2.8, 5.0, True)
    """
    error, df, bound = (float(row[name]) for name in ("std_error", "df", "bound"))
    none = {"detectable_percent": np.nan, "bound_percent": np.nan, "p_equivalence": np.nan}
    if not error > 0:
        return none
    unit = (
        LOG_POINTS if str(row["unit"]).startswith("log points") else UNIT_OF_SCALE.get(str(row["scale"]), "")
    )
    size = detectable_effect(error, np.inf if np.isnan(df) else df, power, float(row["level"]))
    # On a log scale a fall of the same size is the smaller change in per cent.
    found = none | {"detectable_percent": -percent_of(-size, unit, float(row["baseline"]))}
    if bound > 0:
        found["bound_percent"] = percent_of(bound, unit, float(row["baseline"]))
        found["p_equivalence"] = two_one_sided(
            float(row["estimate"]), error, bound, np.inf if np.isnan(df) else df
        ).p_value
    return found

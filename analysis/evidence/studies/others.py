"""The other registered studies: what each did, and what stands beside it here, or why nothing does.

One of them is re-done in design: the synthetic California of 2020. The rest need victims, tracts, petitions, deaths by sex or
a model that the files at hand do not hold; each figure carries its reason. Context figures (counts of counties by class, of
jurisdictions on a list) are no estimates: they are recomputed where a file of ours holds the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from analysis.evidence.studies.record import Ask, PublishedStudy

_KUBRIN = "kubrinbartos2020"
_ONE_YEAR = (
    "One state and one year after the law: a case, never a verdict (rule 7). Thirteen years before it here, 48 there; their "
    "donors and settings were not seen."
)

KUBRIN = PublishedStudy(
    name=_KUBRIN,
    authors="Kubrin and Bartos",
    year=2020,
    first_public=2020,
    venue="Justice Evaluation Journal 3(2), 115-133",
    area="state",
    policy_list="one state's law: California's Values Act (SB 54), in force on 1 January 2018",
    outcome_years=(1970, 2018),
    method_family="synthetic_control",
    method_seen=False,
    design=(
        "A synthetic California of other states, fitted to its violent and property crime rates before the law; the gap of 2018, "
        "the one year after it, is read as the law's effect, with placebo and sensitivity tests."
    ),
    known=(
        "Neither gap holds up in every check, and neither is large enough to rule out that there was none.",
        "Read in the abstract: no size, weights, donors or placebo ranks were seen.",
    ),
    chosen=(
        "States from 2005 on, counties of the printed tables added up, at least 70 % of residents under reporting agencies in "
        "every year; Iowa is hardly printed in 2018 and falls out.",
        "Donors are states without a law of their own by the end of 2018 in this study's table of laws; a one-off takes every "
        "state. The definition of state laws dates California from 2014, so the one date of 2018 comes as a csv "
        "(sb54_2018.csv).",
        "Synthetic control, its augmented form, and synthetic difference-in-differences; p-values give the law to each donor in "
        "turn. The law set two years early shows what the method finds where there is nothing to find.",
    ),
    reading=(
        "The law changed a state that had limited detainers since 2014 in part, and whose counties had mostly ended them: little "
        "was left to change, in crime or in reporting."
    ),
    specs=(_KUBRIN,),
    asks=(
        Ask(
            figure=f"{_KUBRIN}.violent",
            measures=("violent",),
            unit="per_100k",
            main=f"{_KUBRIN}/measure=violent",
            near=(("violent_ex_rape", "without rape, whose definition changed from 2013 on"),),
            headline=True,
            null=True,
            note=_ONE_YEAR,
        ),
        Ask(
            figure=f"{_KUBRIN}.property",
            measures=("property",),
            unit="per_100k",
            main=f"{_KUBRIN}/measure=property",
            headline=True,
            null=True,
            note=_ONE_YEAR,
        ),
    ),
)

_NO_VICTIMS = (
    "no file at hand says who the victim was or who killed: murders of everybody in a county are run elsewhere in this study "
    "and are no answer"
)
DEZA = PublishedStudy(
    name="amuedodeza2022",
    authors="Amuedo-Dorantes and Deza",
    year=2022,
    first_public=2020,
    venue="American Law and Economics Review 24(1), 116-170",
    area="county",
    policy_list="counties' policies, as coded by the authors",
    outcome_years=(2000, 2016),
    method_family="difference_in_differences",
    method_seen=False,
    design=(
        "Domestic homicides by sex and ethnicity of the victim, before and after a county adopts a limit, against counties that "
        "do not; homicide because it seldom goes unrecorded. White women and men stand as groups without an expected effect."
    ),
    known=(
        "52 to 62 % fewer Hispanic women killed at home in the working paper's summary; no change for white women or for men.",
        "No error was seen. The window given here is from memory.",
    ),
    chosen=(
        "Nothing is run: domestic homicides by victim are a supplementary return that is not among the raw files.",
    ),
    reading=(
        "Homicide escapes the doubt about reporting, so this would be crime and not reporting; the counts are small, and no error "
        "of theirs was seen here."
    ),
    apart=MappingProxyType({"amuedodeza2022.*": _NO_VICTIMS}),
)

VAWA = PublishedStudy(
    name="amuedoarenas",
    authors="Amuedo-Dorantes and Arenas-Arroyo",
    year=2020,
    first_public=2019,
    venue="working paper, Center for Growth and Opportunity",
    area="state",
    policy_list="states' and localities' limits, as coded by the authors",
    outcome_years=(2000, 2016),
    method_family="regression",
    method_seen=False,
    design=(
        "Petitions of abused spouses for papers of their own under the Violence Against Women Act, on the adoption of limits and "
        "on enforcement, 2000 to 2016."
    ),
    known=(
        "2.24 % more petitions after adoption.",
        "No error was seen; the working paper cites work of 2020.",
    ),
    chosen=("Nothing is run: petitions are not among the raw files.",),
    reading="More petitions are more readiness to come forward: reporting, not crime.",
    apart=MappingProxyType({"amuedoarenas.vawa": "petitions are not among the raw files"}),
)

LYONS = PublishedStudy(
    name="lyons2013",
    authors="Lyons, Velez and Santoro",
    year=2013,
    first_public=2013,
    venue="American Sociological Review 78(4)",
    area="tract",
    policy_list="cities with a limit about 2000",
    outcome_years=(1999, 2001),
    method_family="regression",
    method_seen=False,
    design=(
        "Robberies and homicides of tracts in large cities about 2000, on immigrant concentration and its product with the city's "
        "limit, in a multilevel count model. One cross-section: no policy is dated."
    ),
    known=(
        "Where more immigrants live there is less robbery and homicide, and more so in cities with a limit: signs alone were "
        "read, in another study's account. Tracts, cities and years are from memory.",
    ),
    chosen=("Nothing is run: no offences by tract are at hand.",),
    reading="It compares places, not times: a city's limit stands for whatever else such cities have.",
    apart=MappingProxyType(
        {"lyons2013.*": "offences by tract are not among the raw files, and the model dates no policy"}
    ),
)

CIANCIO = PublishedStudy(
    name="ciancio2019",
    authors="Ciancio and Garcia-Jimeno",
    year=2019,
    first_public=2019,
    venue="working paper 25766, National Bureau of Economic Research",
    area="county",
    policy_list="none: what local agencies did with each federal request",
    outcome_years=(2008, 2014),
    method_family="description",
    method_seen=False,
    design=(
        "Each step from arrest to removal under Secure Communities, 2008 to 2014, in a model of federal effort and local "
        "cooperation that answer each other."
    ),
    known=(
        "In 80 % of urban counties local agencies do less where federal ones do more; federal effort goes where local agencies "
        "help. No crime rate is estimated.",
    ),
    chosen=("Nothing is run: a structural model of records that are not at hand.",),
    reading=(
        "A limit comes with a change of federal effort: an estimate here is of both, and runs that hold Secure Communities and "
        "287(g) agreements constant are the nearest to parting them."
    ),
    apart=MappingProxyType(
        {
            "ciancio2019.substitutes": "no crime rate is estimated there; the records of each arrest are not at hand"
        }
    ),
)

BOYLE = PublishedStudy(
    name="boyle2025",
    authors="Boyle, Shaiman, Valencia Gonzalez and Regoeczi",
    year=2025,
    first_public=2025,
    venue="article on state policies and female homicide, 2016-2021",
    area="state",
    policy_list="statewide limits, as coded by the authors",
    outcome_years=(2016, 2021),
    method_family="regression",
    method_seen=False,
    design=(
        "Killings of women by ethnicity and by who killed, from the violent-death reporting system, in 244 state-years, on "
        "whether the state limits cooperation."
    ),
    known=("Never higher; lower for Hispanic and white women killed by strangers. No size was seen.",),
    chosen=("Nothing is run: deaths by sex are not among the raw files, and the panel ends in 2019.",),
    reading="States with a law beside states without one: what else they differ in is in the association.",
    apart=MappingProxyType(
        {"boyle2025.female_homicide": "deaths by sex are not among the raw files, and the panel ends in 2019"}
    ),
)

_CLASSES = (
    "a count of counties, not an estimate: recomputed from the file of classes, in the table of other studies"
)
CLASSES = PublishedStudy(
    name="nchs",
    authors="National Center for Health Statistics",
    year=2013,
    first_public=2006,
    venue="urban-rural classification scheme for counties, versions of 2006 and 2013",
    area="county",
    policy_list="none",
    outcome_years=(2006, 2013),
    method_family="description",
    method_seen=True,
    design="Counties by class of an urban-rural scheme: six classes, from large central metropolitan to noncore.",
    known=("Counts of the 2006 version were read in a reprint; those of 2013 are from memory.",),
    chosen=(
        "Both versions are counted over this study's frame of 2019, whose counties are not quite those of either year.",
    ),
    reading="None: the classes are how Wong (2017) divides counties.",
    apart=MappingProxyType({"nchs2006.*": _CLASSES, "nchs2013.*": _CLASSES}),
    prefixes=("nchs2006.", "nchs2013."),
)

_LISTS = "a count of places on a list that is not at hand; lists at hand are compared with each other in their own table"
_OTHER_COUNTS = (
    "a count of detainers, not an estimate, of another extract of the records than the one at hand"
)
CONTEXT = PublishedStudy(
    name="context",
    authors="Counts of places",
    year=2018,
    first_public=2015,
    venue="testimony and press releases",
    area="county",
    policy_list="the counter's own",
    outcome_years=(2014, 2018),
    method_family="records",
    method_seen=False,
    design="How many places limited cooperation, by whose count: the agency's in 2014, a legal resource centre's in 2017 and 2018.",
    known=("Counts alone were read, in secondary accounts.",),
    chosen=("Nothing is run.",),
    reading="The counts differ several times over: there is no official definition.",
    apart=MappingProxyType({"context.*": _LISTS, "context.trac_*": _OTHER_COUNTS}),
    prefixes=("context.ice_276", "context.ilrc_", "context.trac_"),
)

STUDIES = (KUBRIN, DEZA, VAWA, LYONS, CIANCIO, BOYLE, CLASSES, CONTEXT)
"""Those of this module."""

# ------------------------------------------------------------------------------------------------------------
# What was found, and what stands beside it
# ------------------------------------------------------------------------------------------------------------

FOUND: Mapping[str, str] = {
    "kubrinbartos2020.violent": "gap of 2018 not robust; none at all is not ruled out",
    "kubrinbartos2020.property": "gap of 2018 not robust; none at all is not ruled out",
    "amuedodeza2022.white_women_and_men": "no discernible change",
    "lyons2013.robbery": "lower where immigrants concentrate, more so in cities with a limit",
    "lyons2013.homicide": "lower where immigrants concentrate, more so in cities with a limit",
    "wong2020trust.safe": "lower",
    "wong2020trust.confidential": "lower",
    "wong2020trust.rights": "lower",
    "wong2020trust.abuse": "lower",
    "gjw2024.reported_crime": "unchanged",
    "boyle2025.female_homicide": "never higher; lower for strangers' killings of Hispanic and white women",
    "martinezschuldt2021.reporting": "higher after adoption",
}
"""Directions and nulls of these studies in words of ours, where no size is registered."""

OTHERS: Mapping[str, str] = {
    "study": "short name",
    "label": "authors and year",
    "design": "what a row of its data is, its method and years",
    "figure": "identifier of the registered figure",
    "outcome": "as registered",
    "found": "direction or null in words; '' where a size is registered",
    "estimate": "registered size in `unit`; missing where none is",
    "unit": "as registered",
    "confidence": "how sure the reading is",
    "beside": "specification whose estimate stands beside it; '' where none does",
    "measure": "its outcome in words",
    "value": "that estimate, in `value_unit`; for a count recomputed here, the count",
    "low": "its lower interval end",
    "high": "its upper interval end",
    "value_unit": "unit of value",
    "percent": "that estimate in per cent of the baseline mean",
    "p_value": "its p-value",
    "n_treated": "treated areas it rests on",
    "n_comparison": "comparison areas",
    "precision": "its precision",
    "failure": "why it could not be estimated, or ''",
    "reason": "why no estimate stands beside it; '' where one does",
}


def others_frame(
    published: pd.DataFrame,
    studies: Sequence[PublishedStudy],
    results: pd.DataFrame | None = None,
    counts: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return every registered figure of some studies, with the estimate or the count that stands beside it, or the reason.

    Args:
        published: the registry: ``id, outcome, unit, estimate, sign, confidence``.
        studies: whose figures are told, in the order of the rows.
        results: estimates of their specifications (`analysis.evidence.results.COLUMNS`); None before any was run.
        counts: classes recomputed (`analysis.evidence.checks.detainers.class_counts`); None where they were not.

    Returns:
        Columns ``OTHERS``, a row a figure. ``value`` is in the unit of the specification, not converted.

    Raises:
        StudyError: a study neither asks beside a figure of its own nor says why not.

    Example:
        >>> published = pd.DataFrame({"id": ["amuedoarenas.vawa"], "outcome": ["petitions"], "unit": ["percent change"],
        ...     "estimate": [2.24], "sign": ["+"], "confidence": ["verbatim-seen"]})
        >>> others_frame(published, [VAWA])[["estimate", "beside", "reason"]].values.tolist()
        [[2.24, '', 'petitions are not among the raw files']]
    """
    counted = {} if counts is None else counts.set_index("figure")["counties"].to_dict()
    rows = []
    for study in studies:
        for figure in published[[study.owns(str(name)) for name in published["id"]]].to_dict("records"):
            name = str(figure["id"])
            ask, count = study.ask(name), counted.get(name, np.nan)
            sized = pd.notna(figure["estimate"])
            found = "" if sized else FOUND.get(name, str(figure["sign"]))
            rows.append(
                {
                    "study": study.name, "label": study.label,
                    "design": f"{study.area}, {study.method_family}, {_years(study)}", "figure": name,
                    "outcome": figure["outcome"], "found": found, "estimate": figure["estimate"] if sized else np.nan,
                    "unit": figure["unit"], "confidence": figure["confidence"], "beside": "" if ask is None else ask.main,
                    **_beside(ask, results, count), "reason": study.reason(name),
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(OTHERS))


def _years(study: PublishedStudy) -> str:
    first, last = study.outcome_years
    return str(first) if first == last else f"{first}-{last}"


def _beside(ask: Ask | None, results: pd.DataFrame | None, count: float) -> dict[str, object]:
    """Return the estimate beside a figure, or the count of ours, as cells of the frame."""
    none: dict[str, object] = dict.fromkeys(
        ("value", "low", "high", "percent", "p_value", "n_treated", "n_comparison"), np.nan
    )
    none |= {"measure": "", "value_unit": "", "precision": "", "failure": ""}
    if ask is None:
        return none if np.isnan(count) else none | {"value": float(count), "value_unit": "counties"}
    if results is None:
        return none
    rows = ask.rows(results)
    rows = rows[rows["spec"] == ask.main]
    if rows.empty:
        return none | {"failure": "not run"}
    row = rows.iloc[0]
    return {
        "measure": row["outcome"], "value": row["estimate"], "low": row["conf_low"], "high": row["conf_high"], "value_unit": row["unit"],
        "percent": row["percent_of_baseline"], "p_value": row["p_value"], "n_treated": row["n_treated"],
        "n_comparison": row["n_comparison"], "precision": row["precision"], "failure": row["failure"],
    }  # fmt: skip

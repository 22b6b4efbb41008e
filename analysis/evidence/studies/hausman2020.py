"""Hausman 2020: deportations and crime in the counties with the largest Hispanic populations, 2010-2015."""

from __future__ import annotations

from types import MappingProxyType

from analysis.evidence.studies.record import Ask, PublishedStudy

NAME = "hausman2020"
MAIN = f"{NAME}/measure=total/weights=population_baseline"
NO_REMOVALS = "removals by county are not among the raw files; declined detainers, the step before a removal, are the first stage"

STUDY = PublishedStudy(
    name=NAME,
    authors="Hausman",
    year=2020,
    first_public=2020,
    venue="PNAS 117(44), 27262",
    area="county",
    policy_list="start dates of policies in 140 counties, 2010-2015, put together by the author; the list was not seen",
    outcome_years=(2010, 2015),
    method_family="difference_in_differences",
    method_seen=False,
    design=(
        "Counties with the largest Hispanic populations are followed through the dates at which policies that limit "
        "cooperation began. Removals come from the records of the immigration authorities, November 2008 to December 2015, "
        "crime from the FBI, 2010-2015. Adopters are compared with counties that have not adopted, before and after, with "
        "effects of county and of time, and plots by time since adoption; that form is recalled, not read."
    ),
    known=(
        "Removals of people fingerprinted by states or counties fall by about a third, those without a conviction by about "
        "half, and those with a violent conviction show no change.",
        "Crime rates show no detectable change, and neither do arrests per reported crime.",
        "The dates of 140 counties enter; removals avoided in 2013-2015 are put at 22,300, of which 3,300 of people never "
        "convicted.",
        "Neither coefficients, errors, the number of counties followed, nor the covariates were seen.",
    ),
    chosen=(
        "200 counties with the most Hispanic residents of 2010, because the published number was not seen; 100, 300 and every "
        "county are run beside it.",
        "Five dated definitions of ours stand for the list of dates, which was not seen; documented full limits lead.",
        "Policies count from their first full year, and the year of adoption is dropped: most begin in April-October 2014, so "
        "that the window holds one year after adoption for them; counting the year of adoption is run beside it.",
        "Counties missing in up to two of the six years stay, because the rule of every year would cost a sample of large "
        "counties most of its adopters; that rule is run beside it.",
        "A rate of all offences of the FBI's index leads, because the abstract says crime rates; violent, property and murder "
        "are near it, and logarithms and counts are run beside rates.",
        "Errors are clustered by state, which carry the verdict.",
    ),
    reading=(
        "A null on reported crime fits policies without an effect on crime, and fits as well a fall in crime that more "
        "reporting hides, or a rise that less reporting hides. More reported crime after adoption is what either more crime or "
        "more reporting gives; murder, which is nearly always recorded, is the check, at the price of wide intervals."
    ),
    specs=(NAME,),
    asks=(
        Ask(
            figure="hausman2020.crime",
            measures=("total",),
            near=(
                ("violent", "violent offences alone"),
                ("violent_ex_rape", "violent offences without rape, whose definition changes in 2013"),
                ("property", "property offences alone"),
                ("murder", "one offence, nearly always recorded"),
            ),
            unit="percent",
            main=MAIN,
            headline=True,
            null=True,
            note=(
                "A null in words: size and error were not seen, so agreement takes an interval of ours inside ±5 % of the mean. "
                "Dates, number of counties and form of the regression are ours."
            ),
        ),
    ),
    apart=MappingProxyType(
        {
            "hausman2020.deport.*": NO_REMOVALS,
            "hausman2020.prevented*": f"a count worked out from the effect on removals: {NO_REMOVALS}",
            "hausman2020.clearance": "neither arrests nor clearances are among the raw files",
            "hausman2020.n_policy": "a count of the author's list, and no estimate; ours stands beside each estimate",
        }
    ),
)

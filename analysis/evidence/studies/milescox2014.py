"""Miles and Cox 2014: activation of Secure Communities, a policy of more cooperation, and crime in counties."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from analysis.evidence.studies.record import Ask, PublishedStudy

NAME = "milescox2014"
# Offence of the registry -> measure of the codebook.
OFFENCES: Mapping[str, str] = {
    "fbi_index_crime": "total",
    "violent_crime": "violent",
    "homicide": "murder",
    "rape": "rape_legacy",
    "robbery": "robbery",
    "aggravated_assault": "aggravated_assault",
}
HEADLINES = ("fbi_index_crime", "violent_crime")
NOTE = (
    "A null in words: no size or error was seen, so agreement takes an interval of ours inside ±5 % of the mean. Annual "
    "offences here, monthly ones there. Activation raised cooperation, so a limit's effect would have the opposite sign."
)


STUDY = PublishedStudy(
    name=NAME,
    authors="Miles and Cox",
    year=2014,
    first_public=2014,
    venue="Journal of Law and Economics 57(4)",
    area="county",
    policy_list="dates at which Secure Communities was switched on in each county, 2008-2013, as published by its agency",
    outcome_years=(2008, 2013),
    method_family="difference_in_differences",
    method_seen=False,
    design=(
        "Secure Communities sent the fingerprints of everyone booked into a jail to the immigration authorities. It was "
        "switched on county by county from October 2008 to January 2013, and its date is the policy: monthly offence rates of "
        "more than 3,000 counties are regressed on activation with effects of county and of month, and on the detentions that "
        "followed, as an elasticity. More cooperation, not less: the mirror of a limit."
    ),
    known=(
        "No meaningful reduction of the FBI's index rate, of the violent rate, or of the rates of homicide, rape, robbery and "
        "aggravated assault.",
        "No size, error, p-value or number of observations was seen; nor were controls, weights, the treatment of agencies that "
        "do not report, or the years of the offences: those given here are of the roll-out.",
    ),
    chosen=(
        "Annual offences, because the printed tables are annual: a county's year of activation is part before and part after, "
        "so it is dropped; what the first months hold, and the contrast between counties activated months apart within one "
        "year, most of what a monthly panel compares, is lost.",
        "The window ends in 2011, when several hundred counties are still to be activated; in 2012 a few of one state are left. "
        "That was known from results of ours when the file was written, so all of it is marked as added; 2006-2012 is run "
        "beside it.",
        "New Jersey and New York, activated last, hold some four in ten of the residents left to compare with in 2011, and are "
        "left out in a variation.",
        "Counties of 10,000 people or more with agencies that police 90 % of their residents, missing in up to two years.",
        "Rape by the legacy definition, which every agency used to 2012.",
        "No elasticity with respect to detentions: detentions by county are not among the raw files.",
        "A placebo moves activation two years back; it answers no figure.",
        "Errors are clustered by state, which carry the verdict.",
    ),
    reading=(
        "Less reported crime after activation is what either less crime or less reporting gives: where victims fear that police "
        "contact leads to removal, they may report less. Murder, nearly always recorded, is the check. Activation came first "
        "where many Hispanic residents live and along the border, where reported crime may have fallen anyway."
    ),
    specs=(NAME,),
    asks=tuple(
        Ask(
            figure=f"{NAME}.{offence}",
            measures=(measure,),
            unit="percent",
            main=f"{NAME}/measure={measure}/weights=population_baseline",
            headline=offence in HEADLINES,
            null=True,
            note=NOTE,
        )
        for offence, measure in OFFENCES.items()
    ),
    apart=MappingProxyType({}),
)

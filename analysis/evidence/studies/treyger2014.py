"""Treyger, Chalfin and Loeffler 2014, and Kang and Song: Secure Communities in cities, and in counties with neighbours.

Both stand in the registry beside Miles and Cox and have no estimate of ours: the reasons are given figure by figure.
"""

from __future__ import annotations

from types import MappingProxyType

from analysis.evidence.studies.record import PublishedStudy

STUDY = PublishedStudy(
    name="treyger2014",
    authors="Treyger, Chalfin and Loeffler",
    year=2014,
    first_public=2014,
    venue="Criminology & Public Policy 13(2), 285-322",
    area="city",
    policy_list="dates at which Secure Communities was switched on in the county of each municipality",
    outcome_years=(2008, 2013),
    method_family="difference_in_differences",
    method_seen=False,
    design=(
        "The staggered activation of Secure Communities across municipalities, before and after, for crime and for what police "
        "do: arrests. Known from its research summary alone."
    ),
    known=(
        "Little evidence of an effect on crime, and little of one on arrests.",
        "No size, error, number of cities or window was seen; the outcome years given here are those of the roll-out.",
    ),
    chosen=("Nothing is run: which municipalities, years and offences entered was not seen.",),
    reading=(
        "A null on city crime fits a policy without an effect, and fits less crime that less reporting adds to or hides; arrests "
        "say whether police practice changed, which offences do not."
    ),
    apart=MappingProxyType(
        {
            "treyger2014.crime": (
                "municipalities, whose list and years were not seen; no specification of cities under activation is run, and "
                "the counties asked about beside Miles and Cox are no cities"
            ),
            "treyger2014.arrests": "arrests are not among the raw files",
        }
    ),
)

KANG_SONG = PublishedStudy(
    name="kangsong2021",
    authors="Kang and Song",
    year=2021,
    first_public=2021,
    venue="Journal of Law, Economics, and Organization 38(2)",
    area="county",
    policy_list="dates at which Secure Communities was switched on in each county and in its neighbours",
    outcome_years=(2008, 2013),
    method_family="difference_in_differences",
    method_seen=False,
    design=(
        "Activation of Secure Communities in a county and in the counties around it, so that effects may cross the line. The "
        "article was not read."
    ),
    known=(
        "Two accounts by others disagree: one calls the result a null, the other a fall where neighbours activate too.",
        "No size, error or window was seen; the outcome years given here are those of the roll-out.",
    ),
    chosen=("Nothing is run: a figure whose very sign is disputed cannot be compared with.",),
    reading="Without the article no reading of it is offered.",
    prefixes=("kangsong2021",),
    apart=MappingProxyType(
        {
            "kangsong2021": (
                "two accounts by others disagree whether it is a null or a fall, and the article was not read; it is not cited as "
                "either"
            )
        }
    ),
)
STUDIES = (STUDY, KANG_SONG)
"""Those of this module, in the order of the registry."""

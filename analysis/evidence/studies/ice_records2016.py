"""The press account of 2016 of detainers that agencies declined: counts, beside the agency's own records at hand.

Nothing here is estimated: `analysis.evidence.checks.detainers` sets the counts side by side and bounds what the weeks hold
that the records lack.
"""

from __future__ import annotations

from types import MappingProxyType

from analysis.evidence.studies.record import PublishedStudy

_COUNT = "a count, not an estimate: it stands beside the records' own counts, by year and state, and no specification answers it"

STUDY = PublishedStudy(
    name="ice_records2016",
    authors="Texas Tribune",
    year=2016,
    first_public=2016,
    venue="newspaper analysis of the agency's detainer records, retold in a fact check of September 2016",
    area="county",
    policy_list="cities and counties with a policy, as the agency's records have them",
    outcome_years=(2014, 2015),
    method_family="records",
    method_seen=False,
    design=(
        "A count of detainers whose recorded outcome is that the local agency declined, from January 2014 to September 2015, and "
        "of the cities and counties that had a policy."
    ),
    known=(
        "18,646 declined detainers from January 2014 to September 2015, read in accounts of the analysis.",
        "California had the most by far, almost 60 % in a copy of the article itself; at least 165 cities and counties had a "
        "policy.",
        "Which extract of the records was counted, and when it was drawn, was not seen.",
    ),
    chosen=(
        "Set beside the facility file (October 2007 to 19 July 2015), the only records at hand with places; it has years and no "
        "months.",
        "The last ten weeks are bounded, not filled in: an outcome may be entered long after its detainer, and half of the "
        "detainers issued in 2014 had none on record when the file was released.",
        "A policy is not a decline: counties are counted by how many detainers they declined, at several thresholds.",
    ),
    reading=(
        "Detainers declined say what a policy did in the jail. They say nothing of offences, nor of who reports them: they are "
        "the first stage of every estimate of crime here."
    ),
    apart=MappingProxyType(
        {
            "context.declined_18646": _COUNT,
            "context.texas_tribune_165": _COUNT,
            "context.declined_california_share": _COUNT,
        }
    ),
    prefixes=("context.declined_", "context.texas_tribune_165"),
)

"""Martinez-Schuldt and Martinez 2019: 107 cities in 1990, 2000 and 2010, counts of robberies and homicides, in design.

None of the dated policies at hand began by 2010. The lines ``published-years`` of the specification keep the three years and
fail with the count; a csv of the authors' cities in ``data/lists/martinezschuldt2019.csv`` (``level`` city, ``state``,
``jurisdiction``, ``date``) fills the place.
"""

from __future__ import annotations

from types import MappingProxyType

from analysis.evidence.studies.record import Ask, PublishedStudy

NAME = "martinezschuldt2019"
_YEARS = "Policies dated 2011-2014 and a fourth year, 2017, here; policies before 2010 there. The city's county stands for the city."

STUDY = PublishedStudy(
    name=NAME,
    authors="Martinez-Schuldt and Martinez",
    year=2019,
    first_public=2017,
    venue="Justice Quarterly 36(4), 567-593",
    area="city",
    policy_list="cities with a policy among 107 large ones, adopted by 2010",
    outcome_years=(1990, 2010),
    method_family="regression",
    method_seen=False,
    design=(
        "Homicides and robberies of 107 cities in 1990, 2000 and 2010, by a negative binomial with fixed effects of cities, on "
        "having a policy and on the share of unauthorised Mexican immigrants, alone and together."
    ),
    known=(
        "Fewer robberies after a policy; homicides not distinguishable from no change.",
        "Where that share rises, homicides fall in cities with a policy alone.",
        "Read in the abstract: signs, no sizes and errors. The conditional form of the model and residents as exposure are from "
        "memory.",
    ),
    chosen=(
        "Poisson with fixed effects and people as exposure: the conditional negative binomial lets fixed effects into the spread "
        "and not the mean, so that it is no fixed-effects estimator; Poisson is one, whatever the spread, with errors by state.",
        "Cities of 100,000 residents or more in 1990 with counts in every year used.",
        "A city counts as treated when the county that holds it has a documented limit on detainers. The earliest is of 2011, so "
        "2017 is added as a fourth year, and every year of 1990-2017 stands beside; the published years stand as a line without "
        "an estimate.",
    ),
    reading=(
        "Homicides are nearly all recorded, robberies not: fewer recorded robberies alone may be fewer reports. The great fall of "
        "crime since 1990 runs through these years, and cities that fell most need not be like those that did not."
    ),
    specs=(NAME,),
    asks=(
        Ask(
            figure=f"{NAME}.robbery",
            measures=("robbery",),
            unit="log_points",
            main=f"{NAME}/measure=robbery/drop_states=none",
            headline=True,
            sign=-1,
            note=_YEARS,
            own_list=(f"{NAME}/published-years/measure=robbery",),
        ),
        Ask(
            figure=f"{NAME}.homicide",
            measures=("murder",),
            unit="log_points",
            main=f"{NAME}/measure=murder/drop_states=none",
            headline=True,
            null=True,
            note=_YEARS,
            own_list=(f"{NAME}/published-years/measure=murder",),
        ),
    ),
    apart=MappingProxyType(
        {
            f"{NAME}.homicide_x_unauth": "no count of unauthorised immigrants by city and decade is among the raw files"
        }
    ),
)

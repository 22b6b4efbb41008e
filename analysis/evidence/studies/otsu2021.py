"""Otsu 2021: large cities 1999-2010, two-way fixed effects and an event study, in design on the long city series.

None of the dated policies at hand began between 1999 and 2010. The lines ``published-window`` of the specification keep the
published years and fail with the count; a csv of the author's 42 cities in ``data/lists/otsu2021.csv`` (``level`` city,
``state``, ``jurisdiction``, ``date``) fills the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from analysis.evidence.studies.record import Ask, PublishedStudy

NAME = "otsu2021"
# Identifier -> measure, direction published, whether the study is known for it.
FIGURES: Mapping[str, tuple[str, int, bool]] = {
    f"{NAME}.total": ("total", 0, True),
    f"{NAME}.property": ("property", -1, True),
    "otsu2019draft.robbery": ("robbery", -1, False),
    "otsu2019draft.burglary": ("burglary", -1, False),
}
_WINDOW = (
    "Policies dated 2011-2014 with outcomes to 2017 here, policies of the 2000s with outcomes to 2010 there: no policy at hand "
    "that is dated began between 1999 and 2010. The city's county stands for the city."
)
_NO_INCREASE = (
    "Published as no increase, which leaves a decrease open; read here as a null, the stricter of the two. "
)

STUDY = PublishedStudy(
    name=NAME,
    authors="Otsu",
    year=2021,
    first_public=2019,
    venue="Journal of Economic Behavior and Organization",
    area="city",
    policy_list="42 cities with formal policies by 2010",
    outcome_years=(1999, 2010),
    method_family="difference_in_differences",
    method_seen=False,
    design=(
        "Reported crime of cities, 1999-2010, regressed on having a formal policy with effects of city and of year, and an event "
        "study around adoption; held constant are how effective local government is and other immigration policies."
    ),
    known=(
        "No increase in crime; weaker evidence of less property crime, which grows after adoption.",
        "The draft of October 2019 names robbery and burglary among what fell.",
        "42 treated cities. Read in summaries and abstracts: no size, error, list of cities or controls was seen.",
    ),
    chosen=(
        "Cities of 100,000 residents or more in 1999: the long series of large cities to 2004 and the FBI's Table 8 from 2005.",
        "A city counts as treated when the county that holds it has a documented limit on detainers, in part or in full. The "
        "earliest is of 2011, so the window is carried on to 2017; the published window stands as a line without an estimate.",
        "Logarithms of rates, cities alike, no controls: the published unit, weights and controls were not seen. Rates as they are "
        "stand beside.",
        "The two-way regression as published, its event study, and group-by-time effects, which do not compare adopters with "
        "earlier ones.",
        "Oregon has limited cooperation by law since 1987 in all its cities: no change of policy within either window.",
    ),
    reading=(
        "A city's limit on detainers, adopted by its county around 2014, is another policy in other years than an ordinance of the "
        "2000s. Agreement would say that two different limits went with similar crime; disagreement need not be about either study."
    ),
    specs=(NAME,),
    asks=tuple(
        Ask(
            figure=figure,
            measures=(measure,),
            unit="percent",
            main=f"{NAME}/measure={measure}/drop_states=none",
            headline=headline,
            null=not sign,
            sign=sign,
            note=("" if sign else _NO_INCREASE) + _WINDOW,
            own_list=(f"{NAME}/published-window/measure={measure}",),
        )
        for figure, (measure, sign, headline) in FIGURES.items()
    ),
    apart=MappingProxyType({}),
    prefixes=(f"{NAME}.", "otsu2019draft."),
)

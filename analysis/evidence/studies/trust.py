"""Trust and reporting: what people say they would do, and what victims did, where the police work with immigration agents.

None is a result on crime. Their figures enter the bounds on reporting (``data/reporting.toml``) as inputs, alternatives to
each other; `reporting_agreement` holds that file to the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.evidence.studies.record import Ask, PublishedStudy

_INPUT = "not a result on crime: an input of the bounds on reporting (data/reporting.toml), one among several"
_STATED = (
    "not a result on crime: an answer to a survey, of services or trust, and no input of the bounds either"
)

TRUST = PublishedStudy(
    name="wong2020trust",
    authors="Wong, Kang, Valdivia, Espino, Gonzalez and Peralta",
    year=2020,
    first_public=2019,
    venue="Perspectives on Politics; working paper of April 2019",
    area="person",
    policy_list="none: respondents were told at random that local police do, or do not, work with immigration agents",
    outcome_years=(2019, 2019),
    method_family="survey",
    method_seen=False,
    design=(
        "A survey experiment among 512 undocumented residents, drawn with known chances: some were told that the local police work "
        "with federal immigration agents, others that they do not, and all were asked how far they trust the police."
    ),
    known=(
        "Trust is lower on all four items: safety, confidentiality of witnesses, equal rights, protection from abuse.",
        "No size or error was seen. The year of the interviews was not seen: that of the working paper stands for it.",
    ),
    chosen=("Nothing is run: no survey is at hand.",),
    reading="Less trust is a reason to expect less reporting where police cooperate; it is no measure of reporting or of crime.",
    apart=MappingProxyType({"wong2020trust.*": _STATED}),
)

SURVEY = PublishedStudy(
    name="wong2018survey",
    authors="Wong, Shklyan, Isorena and Peng",
    year=2019,
    first_public=2018,
    venue="working paper; in short form Wong and Shklyan 2024, Journal of Race, Ethnicity and Politics",
    area="person",
    policy_list="none: respondents were told at random that local police do, or do not, work with immigration agents",
    outcome_years=(2018, 2018),
    method_family="survey",
    method_seen=False,
    design=(
        "The sister survey: 594 undocumented Mexican nationals of one county, told at random that the local police do or do not "
        "work with immigration agents, say what they would do: report a crime witnessed or suffered, use services, leave "
        "children in care."
    ),
    known=(
        "61 % less likely to report a crime they witness and 43 % one they suffer, as the press rounded it.",
        "Stated intentions, of one county and one nationality: what people say they would do.",
    ),
    chosen=(
        "Both enter the bounds on reporting as relative changes of the reporting of non-citizens, to a decimal more than the press "
        "printed, from the abstract of the working paper.",
    ),
    reading=(
        "If intentions were acts, limits on cooperation would raise reported crime among those they concern without any change "
        "in crime."
    ),
    apart=MappingProxyType(
        {
            "wong2018survey.witness": _INPUT,
            "wong2018survey.victim": _INPUT,
            "wong2018survey.services": _STATED,
            "wong2018survey.childcare": _STATED,
        }
    ),
)

CIS = PublishedStudy(
    name="cis2021",
    authors="Vaughan, Camarota and Zeigler",
    year=2021,
    first_public=2021,
    venue="Center for Immigration Studies",
    area="person",
    policy_list="none: the public survey has no place codes",
    outcome_years=(2017, 2019),
    method_family="description",
    method_seen=False,
    design=(
        "Shares of serious violent offences that victims say were reported, from the public victimisation survey of 2017 to "
        "2019: Hispanic immigrants beside residents born in the country."
    ),
    known=(
        "65 % of such offences against Hispanic immigrants were reported, against 49 % of those against residents born in the "
        "country, as read in a press account.",
        "Without places there is no contrast of policies.",
    ),
    chosen=(
        "The ratio of both shares enters the bounds on reporting as one of three ratios before a policy.",
    ),
    reading="Where immigrants already report more often than others there is less room for reporting to rise.",
    apart=MappingProxyType({"cis2021.reporting_rate": _INPUT}),
)

MARTINEZ_SCHULDT = PublishedStudy(
    name="martinezschuldt2021",
    authors="Martinez-Schuldt and Martinez",
    year=2021,
    first_public=2019,
    venue="American Sociological Review 86(1), 154-185",
    area="person",
    policy_list="places that adopted a limit, as coded by the authors",
    outcome_years=(1980, 2004),
    method_family="regression",
    method_seen=False,
    design=(
        "Whether a victim of violence told the police, in metropolitan areas of a victimisation survey, 1980 to 2004: a "
        "multilevel logit on adoption of a limit by the place."
    ),
    known=(
        "Latino victims report violence more often after adoption.",
        "The registry holds the sign alone; an account of the article has 12 % more likely, of odds or of chances unseen.",
    ),
    chosen=(
        "The 12 % enter the bounds on reporting as a change of chances; the registry's sign is held against theirs.",
    ),
    reading="If so, recorded violence rises after adoption with no change in violence.",
    apart=MappingProxyType({"martinezschuldt2021.reporting": _INPUT}),
)

GONCALVES = PublishedStudy(
    name="gjw2024",
    authors="Goncalves, Jacome and Weisburst",
    year=2024,
    first_public=2024,
    venue="working paper 32109, National Bureau of Economic Research; forthcoming in the American Economic Review",
    area="person",
    policy_list="dates at which Secure Communities was switched on in each county",
    outcome_years=(2008, 2013),
    method_family="difference_in_differences",
    method_seen=False,
    design=(
        "Restricted files of the national victimisation survey, with counties: what Hispanic residents suffered and what they "
        "told the police, before and after Secure Communities was switched on, by the interaction-weighted estimator, the last "
        "quarter of counties to join as comparisons."
    ),
    known=(
        "Hispanic victims report 30 % less and suffer 16 % more, and the number of offences reported does not move, for the two "
        "offset each other.",
        "A fall of reporting by 10 % raises offending by 7.9 %.",
        "No standard error was seen; whether the count that does not move is the survey's or the police's was not seen either.",
    ),
    chosen=(
        "The survey's restricted files are not at hand. Nearest to offences reported that do not move are the police's counts of "
        "all residents' offences in the same counties under the same policy (secure_communities.toml): asked as a near answer, "
        "for violent and property offences apart, since that file has no total.",
        "Changes in reporting and in victimisation enter the bounds on reporting, together.",
    ),
    reading=(
        "The central doubt about any null on recorded offences: more crime and less reporting add up to no change on record, and "
        "so may less crime and more reporting under limits."
    ),
    specs=("secure_communities",),
    asks=(
        Ask(
            figure="gjw2024.reported_crime",
            measures=(),
            unit="percent",
            main="secure_communities/measure=property/weights=population_baseline/drop_states=none",
            near=(
                (
                    "property",
                    "offences on the police's record, of all residents; theirs are of victims in a survey",
                ),
                (
                    "violent",
                    "violent offences on the police's record, of all residents; theirs are of victims in a survey",
                ),
            ),
            null=True,
            note=(
                "A null in words. Activation raised cooperation, so that a limit's effect would have the opposite sign; window, "
                "comparisons and estimator differ from theirs."
            ),
        ),
    ),
    apart=MappingProxyType(
        {
            "gjw2024.reporting": _INPUT,
            "gjw2024.victimization": _INPUT,
            "gjw2024.elasticity": "a ratio of two changes in a restricted survey that is not at hand; no input of the bounds",
        }
    ),
)

STUDIES = (TRUST, SURVEY, CIS, MARTINEZ_SCHULDT, GONCALVES)
"""Those of this module, in the order of the registry."""

# ------------------------------------------------------------------------------------------------------------
# The bounds' inputs beside the registry
# ------------------------------------------------------------------------------------------------------------

US_BORN = 49.0
"""Per cent of serious violent offences against residents born in the country that were reported, in the words of the unit of
``cis2021.reporting_rate``."""
BASE_VICTIMISATION = 0.9
"""Per cent of Hispanic residents who were victims in a month, in the words of the unit of ``gjw2024.victimization``."""
SAME, ROUNDED, DERIVED, SIGN, APART = "same", "rounded", "derived", "sign alone", "differs"
AGREEMENT: Mapping[str, str] = {
    "id": "identifier, in both files",
    "value": "in data/reporting.toml, in its unit",
    "unit": "percent change, percent or ratio",
    "registered": "estimate in data/published.yaml, in its own unit; missing for a sign",
    "expected": "what the registered estimate is in the unit of the input; missing for a sign",
    "relation": "same, rounded (equal to whole per cent), derived (equal within the rounding of what it is worked out of), sign alone, or differs",
    "contrast": "what the change goes with: enforcement, limits, or '' for a level",
    "confidence": "how sure the registered figure is",
}


def reporting_agreement(inputs: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return every registered input of the bounds on reporting beside its registered figure.

    Args:
        inputs: ``id, registered, quantity, value, unit, contrast`` (`analysis.evidence.reporting_inputs.load_inputs`).
        published: the registry: ``id, outcome, estimate, sign, confidence``.

    Returns:
        Columns ``AGREEMENT``, in the order of the inputs. "less likely" of the outcome makes a registered size a fall.

    Raises:
        StudyError: an input says it is registered and is not.

    Example:
        >>> inputs = pd.DataFrame({"id": ["a.b"], "registered": [True], "quantity": ["reporting_change"], "value": [-42.9],
        ...     "unit": ["percent change"], "contrast": ["enforcement"]})
        >>> published = pd.DataFrame({"id": ["a.b"], "outcome": ["less likely to report"], "estimate": [43.0], "sign": [None],
        ...     "confidence": ["verbatim-seen"]})
        >>> reporting_agreement(inputs, published)["relation"].tolist()
        ['rounded']
    """
    known = published.set_index("id")
    rows = []
    for one in inputs[inputs["registered"].astype(bool)].to_dict("records"):
        figure = str(one["id"])
        if figure not in known.index:
            raise StudyError(
                f"{figure} is marked as registered",
                "an identifier of data/published.yaml",
                "data/reporting.toml",
            )
        there = known.loc[figure]
        estimate = float(there["estimate"]) if pd.notna(there["estimate"]) else np.nan
        value, expected = float(one["value"]), _expected(figure, estimate, str(there["outcome"]))
        rows.append(
            (figure, value, one["unit"], estimate, expected, _relation(value, str(one["unit"]), expected, there["sign"], estimate),
             one["contrast"], there["confidence"])
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(AGREEMENT))


def _expected(figure: str, estimate: float, outcome: str) -> float:
    if figure == "cis2021.reporting_rate":
        return estimate / US_BORN
    if figure == "gjw2024.victimization":
        return 100.0 * estimate / BASE_VICTIMISATION
    return -estimate if "less likely" in outcome else estimate


def _relation(value: float, unit: str, expected: float, sign: object, estimate: float) -> str:
    if np.isnan(expected):
        words = str(sign)
        agrees = (words.startswith("+") and value > 0) or (words.startswith("-") and value < 0)
        return SIGN if agrees else APART
    if value == expected:
        return SAME
    if abs(expected) == abs(estimate):
        return ROUNDED if round(value) == round(expected) else APART
    # What is worked out of printed numbers carries their rounding: a whole per cent, or two decimals of a ratio.
    close = round(value, 2) == round(expected, 2) if unit == "ratio" else abs(value - expected) < 1.0
    return DERIVED if close else APART

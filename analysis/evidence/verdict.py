"""What an interval can bear: precision first, then agreement with a published figure, then the words.

Pure functions of numbers, after rules 7, 12, 19 and 20 of the study's protocol. Nothing here knows a spec or a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.design.design import FEWEST_STATES, FEWEST_TREATED

Precision = Literal["equivalent to zero", "different from zero", "inconclusive"]
EQUIVALENT: Precision = "equivalent to zero"
DIFFERENT: Precision = "different from zero"
INCONCLUSIVE: Precision = "inconclusive"

NOT_INFORMATIVE = "not informative"
INDEPENDENT = "valid if counties were assigned independently"
NO_VERDICT = "no verdict"

INSIDE = "published size inside the interval"
ANOTHER_SIZE = "same sign, another size"
OPPOSITE = "opposite sign"
SIGN_OPEN = "another size, sign not determined"
NULL_AGREES = "published null, equivalent to zero here"
NULL_DIFFERS = "published null, different from zero here"
SIGN_AGREES = "published sign"
SIGN_NOTHING = "published sign, equivalent to zero here"

RECOVERS = "recovers the known effect"
DOES_NOT_RECOVER = "does not recover the known effect"


def excludes_zero(conf_low: float, conf_high: float) -> bool:
    """Return whether zero lies outside the interval; a missing end is an interval without that end.

    Example:
        >>> excludes_zero(0.1, 2.0), excludes_zero(-1.0, 2.0), excludes_zero(0.1, float("nan"))
        (True, False, True)
    """
    return bool(conf_low > 0 or conf_high < 0)


def precision(conf_low: float, conf_high: float, bound: float) -> Precision:
    """Return what the interval alone says, in the order of rule 19.

    ``equivalent to zero``: it lies inside ± bound, ends not touching it; else ``different from zero``: it excludes zero;
    else ``inconclusive``. An interval that does both (all of it between zero and the bound) is equivalent, because that
    question comes first; `excludes_zero` then says the rest, and `verdict` puts both into words.

    Args:
        conf_low: lower end, in the unit of the bound; missing where the interval has no such end.
        conf_high: upper end.
        bound: positive; missing or zero where no bound was stated, and nothing is then equivalent.

    Raises:
        ValueError: the ends are in the wrong order, or the bound is negative.

    Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6); a 95 % interval inside the bound
    is two one-sided tests at 2.5 % each, stricter than the customary 5 %.

    Example:
        >>> precision(-4.0, 3.0, 5.0), precision(2.0, 9.0, 5.0), precision(-4.0, 9.0, 5.0)
        ('equivalent to zero', 'different from zero', 'inconclusive')
    """
    if conf_low > conf_high:
        raise ValueError(f"interval ends {conf_low} and {conf_high} are in the wrong order")
    if bound < 0:
        raise ValueError(f"a bound of {bound} is negative")
    if conf_low > -bound and conf_high < bound:
        return EQUIVALENT
    return DIFFERENT if excludes_zero(conf_low, conf_high) else INCONCLUSIVE


def informative(n_treated: int, n_states: int) -> bool:
    """Return whether an estimate rests on enough to take a verdict (rule 7): 20 treated areas in six states.

    Args:
        n_treated: treated areas it rests on.
        n_states: states that identify it.

    Example:
        >>> informative(20, 6), informative(19, 6), informative(300, 5)
        (True, False, False)
    """
    return bool(n_treated >= FEWEST_TREATED and n_states >= FEWEST_STATES)


def agreement(conf_low: float, conf_high: float, size: float | None, found: Precision) -> str:
    """Return how an interval stands to a published figure, and "" where it is inconclusive (rule 19).

    A published null (``size`` None) agrees only through equivalence: an interval that covers zero and much else
    agrees with nothing. A published size agrees where it lies inside the interval. Otherwise the interval's sign is
    compared; one that covers zero has none.

    Args:
        conf_low: lower end, in the unit of the published size.
        conf_high: upper end.
        size: published size, or None for a published null.
        found: from `precision`.

    Example:
        >>> agreement(-60.0, -10.0, -35.5, "different from zero")
        'published size inside the interval'
        >>> agreement(-60.0, 10.0, None, "inconclusive")
        ''
    """
    if found == INCONCLUSIVE:
        return ""
    if size is None or np.isnan(size):
        return NULL_AGREES if found == EQUIVALENT else NULL_DIFFERS
    if not (size < conf_low or size > conf_high):
        return INSIDE
    if not excludes_zero(conf_low, conf_high):
        return SIGN_OPEN
    return ANOTHER_SIZE if (conf_low > 0) == (size > 0) else OPPOSITE


def sign_agreement(conf_low: float, conf_high: float, sign: int, found: Precision) -> str:
    """Return how an interval stands to a published direction without a size, and "" where it is inconclusive.

    An interval that excludes zero has the published sign or the opposite one; one equivalent to zero has neither,
    whichever side of zero it lies on, because equivalence is asked first (rule 19).

    Args:
        conf_low: lower end.
        conf_high: upper end.
        sign: 1 or -1, as published.
        found: from `precision`.

    Raises:
        ValueError: another sign.

    Example:
        >>> sign_agreement(-60.0, -10.0, -1, "different from zero"), sign_agreement(-2.0, 3.0, -1, "equivalent to zero")
        ('published sign', 'published sign, equivalent to zero here')
    """
    if sign not in (1, -1):
        raise ValueError(f"a published sign of {sign}; 1 or -1")
    if found == INCONCLUSIVE:
        return ""
    if found == EQUIVALENT:
        return SIGN_NOTHING
    return SIGN_AGREES if (conf_low > 0) == (sign > 0) else OPPOSITE


def recovery(conf_low: float, conf_high: float, known: float, bound: float) -> str:
    """Return whether an interval recovers an effect that was built into a simulated world: an axis of its own.

    It does not where the known effect lies outside. It does where the effect lies inside an interval that is
    informative: one whose half-length is at most the bound. A longer interval that holds the effect is
    ``inconclusive``, because it holds many others too.

    Args:
        conf_low: lower end; missing where the interval has no such end.
        conf_high: upper end.
        known: effect built in, same unit.
        bound: stated bound of equivalence, positive, same unit: the longest half that is informative.

    Raises:
        ValueError: the ends are in the wrong order, or the bound is not positive.

    Example:
        >>> recovery(2.0, 8.0, 5.0, 4.0), recovery(6.0, 8.0, 5.0, 4.0), recovery(-20.0, 30.0, 5.0, 4.0)
        ('recovers the known effect', 'does not recover the known effect', 'inconclusive')
    """
    if conf_low > conf_high:
        raise ValueError(f"interval ends {conf_low} and {conf_high} are in the wrong order")
    if not bound > 0:
        raise ValueError(f"a bound of {bound} is not positive")
    if known < conf_low or known > conf_high:
        return DOES_NOT_RECOVER
    return RECOVERS if (conf_high - conf_low) / 2 <= bound else INCONCLUSIVE


def reproduces(estimate: float, published: float, digits: int) -> bool:
    """Return whether an estimate is the published number within the rounding of its printed digits.

    Args:
        estimate: computed on the study's own data.
        published: as printed.
        digits: decimals printed; negative where tens or hundreds were.

    Example:
        >>> reproduces(-35.46, -35.5, 1), reproduces(-35.44, -35.5, 1), reproduces(float("nan"), -35.5, 1)
        (True, False, False)
    """
    # Decimal fractions are not exact in binary: a hair more than half a digit is half a digit.
    return bool(abs(estimate - published) <= 0.5 * 10.0**-digits * (1 + 1e-9) + 1e-12 * abs(published))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Both axes and the sentence.

    Args:
        precision: `Precision`, ``not informative``, or "" where the error carries no verdict.
        agreement: from `agreement`, or "".
        word: consistent | not consistent | inconclusive | reproduced | not reproduced | not informative | no verdict.
        sentence: what is printed.
    """

    precision: str
    agreement: str
    word: str
    sentence: str


def verdict(
    conf_low: float,
    conf_high: float,
    bound: float,
    *,
    size: float | None,
    n_treated: int,
    n_states: int,
    carries: bool,
    definition: str,
    own_data: bool = False,
    sign: int = 0,
) -> Verdict:
    """Return the verdict on one estimate beside one published figure (rules 7, 12, 19, 20).

    Args:
        conf_low: lower end, in the unit of the published figure.
        conf_high: upper end.
        bound: stated bound of equivalence, same unit.
        size: published size, None for a published null.
        n_treated: treated areas.
        n_states: states that identify the estimate.
        carries: whether its error may carry a verdict: state-level inference does, errors that take counties as
            independent do not, nor does a list made after the outcomes.
        definition: treatment definition in words.
        own_data: whether list and method are the study's own; only then is anything "reproduced".
        sign: 1 or -1 where a direction was published and no size; 0 otherwise.

    Example:
        >>> verdict(-90.0, 40.0, 35.5, size=-35.5, n_treated=44, n_states=9, carries=True,
        ...         definition="documented policy").sentence
        'reanalysis under definition "documented policy": inconclusive'
    """
    lead = "" if own_data else f'reanalysis under definition "{definition}": '
    if not informative(n_treated, n_states):
        areas = "1 treated area" if n_treated == 1 else f"{n_treated} treated areas"
        counts = f"{areas}, {'1 state identifies' if n_states == 1 else f'{n_states} states identify'}"
        return Verdict(NOT_INFORMATIVE, "", NOT_INFORMATIVE, f"{lead}{NOT_INFORMATIVE} ({counts})")
    if not carries:
        return Verdict("", "", NO_VERDICT, f"{lead}{NO_VERDICT}; {INDEPENDENT}")
    if np.isnan(conf_low) and np.isnan(conf_high):
        return Verdict("", "", NO_VERDICT, f"{lead}{NO_VERDICT}; no interval")
    found = precision(conf_low, conf_high, bound)
    agrees = (
        sign_agreement(conf_low, conf_high, sign, found)
        if sign
        else agreement(conf_low, conf_high, size, found)
    )
    if found == INCONCLUSIVE:
        return Verdict(found, "", INCONCLUSIVE, f"{lead}{INCONCLUSIVE}")
    same = agrees in (INSIDE, NULL_AGREES, SIGN_AGREES)
    word = {(False, True): "consistent", (False, False): "not consistent",
            (True, True): "reproduced", (True, False): "not reproduced"}[own_data, same]  # fmt: skip
    both = (
        ", though the interval excludes zero"
        if found == EQUIVALENT and excludes_zero(conf_low, conf_high)
        else ""
    )
    return Verdict(found, agrees, word, f"{lead}{word} ({agrees}{both})")


def same_or_not(same: bool | None) -> str:
    """Return ``same``, ``another`` or ``not known``."""
    return "not known" if same is None else "same" if same else "another"


@dataclass(frozen=True, slots=True)
class Comparability:
    """What an estimate shares with a published one (rule 20); None where the study does not say.

    Args:
        policy_list: same list of places with a policy.
        area: same kind of area (city, county, border county).
        unit: same unit, without a conversion.
        outcome: same outcome.
        years: same outcome years.
        method: same family of methods.
    """

    policy_list: bool | None
    area: bool | None
    unit: bool | None
    outcome: bool | None
    years: bool | None
    method: bool | None

    @property
    def words(self) -> str:
        """Every aspect with ``same``, ``another`` or ``not known``, always in one order.

        Example:
            >>> Comparability(False, True, True, False, True, None).words
            'list: another; area: same; unit: same; outcome: another; years: same; method: not known'
        """
        parts = {
            "list": self.policy_list,
            "area": self.area,
            "unit": self.unit,
            "outcome": self.outcome,
            "years": self.years,
            "method": self.method,
        }
        return "; ".join(f"{name}: {same_or_not(same)}" for name, same in parts.items())

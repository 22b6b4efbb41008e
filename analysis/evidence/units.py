"""Units of an estimate and the way from one to another.

Rates convert exactly: ten per 100,000 are one per 10,000. Between rates and log points the way runs over the baseline
mean, taken as known: a change of b on a mean of m is log(1 + b / m) log points. Both ends of an interval convert like
the estimate; an end at or below minus the baseline, offences that would be negative, is minus infinity in log points.
"""

from __future__ import annotations

import numpy as np

from analysis.base.errors import StudyError, nearest

# Residents an offence is counted over, by unit.
RATES = {"per_100k": 100_000.0, "per_10k": 10_000.0}
LOG_POINTS = "log_points"
UNITS = (*RATES, LOG_POINTS)
# Scale of a spec's outcome -> unit; a scale that is not here (counts, direct measures) converts into nothing.
UNIT_OF_SCALE = {"rate_100k": "per_100k", "rate_10k": "per_10k", "log_rate": LOG_POINTS}
WORDS = {
    "per_100k": "reported offences per 100,000 residents",
    "per_10k": "reported offences per 10,000 residents",
    LOG_POINTS: "log points",
}


def convert(value: float, unit: str, to: str, baseline: float = np.nan) -> float:
    """Return a change in another unit.

    Args:
        value: change in ``unit``; missing stays missing.
        unit: ``per_100k``, ``per_10k`` or ``log_points``.
        to: one of the same.
        baseline: mean outcome the change is on, needed between rates and log points alone: of a rate in ``unit``, of log
            points the rate in ``to``.

    Raises:
        StudyError: an unknown unit.

    Assumption: the baseline is known without error.

    Example:
        >>> convert(-355.0, "per_100k", "per_10k")
        -35.5
        >>> round(convert(0.0348, "log_points", "per_10k", baseline=300.0), 3)
        10.624
    """
    for name in (unit, to):
        if name not in UNITS:
            raise StudyError(f"unit '{name}'{nearest(name, UNITS)}", f"one of {', '.join(UNITS)}")
    if unit == to:
        return float(value)
    if unit in RATES and to in RATES:
        return float(value) * RATES[to] / RATES[unit]
    if not baseline > 0:
        return float("nan")
    if to == LOG_POINTS:
        share = float(value) / baseline
        return float(np.log1p(share)) if not share <= -1 else -np.inf
    return float(baseline * np.expm1(value))


def percent_of(value: float, unit: str, baseline: float) -> float:
    """Return a change in per cent of the baseline; of log points the exact 100 (exp(b) - 1).

    Args:
        value: change.
        unit: as in `convert`, or any other unit linear in the outcome.
        baseline: mean outcome in ``unit``; not looked at for log points.

    Example:
        >>> percent_of(-15.0, "per_100k", 300.0), round(percent_of(0.0348, "log_points", float("nan")), 2)
        (-5.0, 3.54)
    """
    if unit == LOG_POINTS:
        return float(100 * np.expm1(value))
    return float(100 * value / baseline) if baseline > 0 else float("nan")


def level_of(baseline: float, unit: str) -> float:
    """Return the baseline as a level: the mean of logs becomes the geometric mean, everything else stays.

    Example:
        >>> round(level_of(5.703782, "log_points"), 2), level_of(300.0, "per_100k")
        (300.0, 300.0)
    """
    return float(np.exp(baseline)) if unit == LOG_POINTS else float(baseline)

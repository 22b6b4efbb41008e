"""Whether registered figures agree with themselves and with each other, as far as their rounding lets one see.

A printed 0.037 stands for every number from 0.0365 to 0.0375: what is recomputed from it is a range, and it disagrees with
another printed number only where the two ranges have nothing in common. Agreement says that the numbers can have come from
one calculation, not that the calculation was right; what cannot be checked says what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.estimation.inference import t_quantile
from analysis.evidence.published import COUNT, GROUP_MEAN, LEVEL, PERCENT, WORDED_SIZE, Figure, Published

Range = tuple[float, float]
Row = dict[str, Any]

CONSISTENT, INCONSISTENT, CANNOT = "consistent", "inconsistent", "cannot be checked"

STARS: Mapping[str, Range] = MappingProxyType(
    {"p<0.01": (0.0, 0.01), "p<0.05": (0.01, 0.05), "p<0.10": (0.05, 0.10), "p>=0.10": (0.10, 1.0)}
)
"""Registered words of stars -> the p-values they stand for: a figure carries the strongest level it reaches."""

CLUSTERS: Mapping[str, int] = MappingProxyType({"biasi": 100 + 251})
"""First part of an identifier -> clusters at most, by its registered sample: t has one degree of freedom fewer."""

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "id": "identifier of the figure",
        "study": "authors, year, venue",
        "check": "what was checked",
        "exact": "whether arithmetic allows no exception; False where the relation holds only about, or under stated conditions",
        "given": "what it was recomputed from",
        "recomputed_low": "lowest value the rounding of what is given allows",
        "recomputed_high": "highest, likewise",
        "printed": "as registered",
        "status": "consistent, inconsistent or cannot be checked",
        "reason": "why, and what is missing",
    }
)
"""Columns of `audit`."""

_TINY = 1e-12


# --------------------------------------------------------------------------------------------------------
# From two numbers to the others
# --------------------------------------------------------------------------------------------------------


def printed_range(value: float, decimals: int) -> Range:
    """Return the numbers that are printed as a value with so many decimals, both ends included.

    Example:
        >>> low, high = printed_range(0.037, 3)
        >>> round(low, 4), round(high, 4)
        (0.0365, 0.0375)
    """
    half = 0.5 * 10.0**-decimals
    return value - half, value + half


def overlap(one: Range, other: Range) -> bool:
    """Return whether two ranges share a number, up to rounding of the machine.

    Example:
        >>> overlap((1.0, 2.0), (2.0, 3.0)), overlap((1.0, 2.0), (2.1, 3.0))
        (True, False)
    """
    slack = _TINY * max(1.0, *(abs(end) for end in (*one, *other) if np.isfinite(end)))
    return one[0] <= other[1] + slack and other[0] <= one[1] + slack


def sizes(values: Range) -> Range:
    """Return the range of absolute values.

    Example:
        >>> sizes((-2.0, 1.0)), sizes((-3.0, -2.0))
        ((0.0, 2.0), (2.0, 3.0))
    """
    low, high = values
    if low <= 0 <= high:
        return 0.0, max(-low, high)
    return min(abs(low), abs(high)), max(abs(low), abs(high))


def ratio_range(top: Range, bottom: Range) -> Range:
    """Return the range of quotients over a bottom that is not negative; one that may be zero gives infinite ends.

    Example:
        >>> ratio_range((0.9, 1.1), (0.5, 1.0)), ratio_range((-1.0, 1.0), (0.0, 1.0))
        ((0.9, 2.2), (-inf, inf))
    """
    least, most = max(bottom[0], 0.0), bottom[1]

    def divided(x: float, by: float) -> float:
        return x / by if by > 0 else (0.0 if x == 0 else float(np.copysign(np.inf, x)))

    return divided(top[0], most if top[0] > 0 else least), divided(top[1], least if top[1] > 0 else most)


def p_range(t: Range, df: float = np.inf) -> Range:
    """Return two-sided p-values of a range of t statistics, normal or with ``df`` degrees of freedom.

    Example:
        >>> [round(p, 4) for p in p_range((1.959964, 1.959964))]
        [0.05, 0.05]
    """
    least, most = sizes(t)
    law = stats.norm if np.isinf(df) else stats.t(df)
    return float(2 * law.sf(most)), float(2 * law.sf(least))


def t_size_range(p: Range, df: float = np.inf) -> Range:
    """Return the sizes of t that two-sided p-values stand for; p of zero gives an infinite end.

    Example:
        >>> [round(t, 3) for t in t_size_range((0.05, 0.10))]
        [1.645, 1.96]
    """
    law = stats.norm if np.isinf(df) else stats.t(df)
    return float(law.isf(min(p[1], 1.0) / 2)), float(law.isf(max(p[0], 0.0) / 2))


def se_of_interval(low: Range, high: Range, level: float = 0.95, df: float = np.inf) -> Range:
    """Return the standard errors an interval of the form estimate plus and minus a quantile times the error stands for.

    Example:
        >>> [round(se, 3) for se in se_of_interval((-1.96, -1.96), (1.96, 1.96))]
        [1.0, 1.0]
    """
    width = 2 * t_quantile(level, df)
    return max(high[0] - low[1], 0.0) / width, (high[1] - low[0]) / width


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What two registered numbers imply, each as a range.

    Args:
        used: names of the numbers it rests on.
        estimate, se, t, p: ranges; t carries the estimate's sign.
        low, high: ranges of the interval's ends.
    """

    used: tuple[str, ...]
    estimate: Range
    se: Range
    t: Range
    p: Range
    low: Range
    high: Range


def recompute(
    *,
    estimate: Range | None = None,
    se: Range | None = None,
    t: Range | None = None,
    p: Range | None = None,
    interval: tuple[Range, Range] | None = None,
    sd: Range | None = None,
    n: int | None = None,
    df: float = np.inf,
    level: float = 0.95,
    direction: int = 1,
) -> Recomputed:
    """Recompute estimate, standard error, t, p and interval from any two of them.

    Args:
        estimate, se, t, p: ranges, as `printed_range` gives them.
        interval: ranges of its lower and its upper end.
        sd, n: standard deviation and size of a sample whose mean is the estimate: together they stand for its error.
        df: degrees of freedom of t; infinite for the normal, n - 1 for a mean.
        level: of the interval.
        direction: sign of the estimate where neither it nor t is given.

    Returns:
        Ranges that hold every value the rounding allows. With more than two given, the first of these pairs is used:
        estimate and error; estimate, sd and n; estimate and interval; interval alone; estimate and t; estimate and p; error and
        t; error and p.

    Raises:
        ValueError: fewer than two numbers, or a mean with a standard deviation and no sample size.

    Assumption: the interval is symmetric and p two-sided, both from one t statistic.

    Example:
        >>> found = recompute(estimate=printed_range(0.0348, 4), se=printed_range(0.0122, 4))
        >>> [round(end, 2) for end in found.t], [round(end, 3) for end in found.p]
        ([2.84, 2.87], [0.004, 0.005])
    """
    if se is None and sd is not None and estimate is not None:
        if n is None or n < 1:
            raise ValueError(
                f"a mean with a standard deviation and n = {n}; expected a sample size above zero"
            )
        used: tuple[str, ...] = ("estimate", "sd", "n")
        se = (sd[0] / np.sqrt(n), sd[1] / np.sqrt(n))
    elif estimate is not None and se is not None:
        used = ("estimate", "se")
    elif interval is not None:
        se_found = se_of_interval(*interval, level=level, df=df)
        middle = ((interval[0][0] + interval[1][0]) / 2, (interval[0][1] + interval[1][1]) / 2)
        used = ("estimate", "interval") if estimate else ("se", "interval") if se else ("interval",)
        estimate, se = estimate or middle, se or se_found
    elif t is not None and (estimate is not None or se is not None):
        if estimate is not None:
            used, se = ("estimate", "t"), ratio_range(sizes(estimate), sizes(t))
        else:
            assert se is not None
            used = ("se", "t")
            products = [a * b for a in t for b in se]
            estimate = (min(products), max(products))
    elif p is not None and (estimate is not None or se is not None):
        size = t_size_range(p, df)
        if estimate is not None:
            used, se = ("estimate", "p"), ratio_range(sizes(estimate), size)
        else:
            assert se is not None
            used = ("se", "p")
            least, most = size[0] * se[0], size[1] * se[1]
            estimate = (least, most) if direction > 0 else (-most, -least)
    else:
        given = {"estimate": estimate, "se": se, "t": t, "p": p, "interval": interval}
        held = [name for name, value in given.items() if value is not None]
        raise ValueError(f"{' and '.join(held) or 'nothing'} given; expected two of {', '.join(given)}")
    assert estimate is not None and se is not None
    if used[-1] == "t" and t is not None:
        statistic = t
    elif used[-1] == "p":
        least, most = t_size_range(p, df) if p is not None else (0.0, np.inf)
        statistic = (least, most) if estimate[0] + estimate[1] >= 0 else (-most, -least)
    else:
        statistic = ratio_range(estimate, se)
    quantile = t_quantile(level, df)
    return Recomputed(
        used, estimate, se, statistic, p_range(statistic, df),
        (estimate[0] - quantile * se[1], estimate[1] - quantile * se[0]),
        (estimate[0] + quantile * se[0], estimate[1] + quantile * se[1]),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Granularity
# --------------------------------------------------------------------------------------------------------


def _exact(value: float, decimals: int) -> tuple[Fraction, Fraction]:
    """Return both ends of what a printed number stands for, as fractions, so that no end is lost to the machine."""
    middle, half = Fraction(str(round(float(value), decimals))), Fraction(1, 2 * 10**decimals)
    return middle - half, middle + half


def _totals(mean: float, n: int, decimals: int, items: int) -> range:
    low, high = _exact(mean, decimals)
    return range(ceil(low * n * items), floor(high * n * items) + 1)


def grim(mean: float, n: int, decimals: int, items: int = 1) -> bool:
    """Return whether whole numbers can have a mean printed so (granularity-related inconsistency of means).

    Args:
        mean: as printed.
        n: sample size.
        decimals: of the printed mean; halves may have been rounded up or down.
        items: whole-numbered items averaged for each of the n.

    Returns:
        False where no total of n x items whole numbers gives the printed mean. True says little where n x items reaches
        10 to the decimals: `grim_bites`.

    Follows Brown and Heathers 2017, whose example is a mean of 5.19 of 28.

    Example:
        >>> grim(5.19, 28, 2), grim(5.18, 28, 2)
        (False, True)
    """
    return len(_totals(mean, n, decimals, items)) > 0


def grim_bites(n: int, decimals: int, items: int = 1) -> bool:
    """Return whether some printed mean of so many decimals is out of reach of n whole numbers.

    Example:
        >>> grim_bites(28, 2), grim_bites(594, 2)
        (True, False)
    """
    return n * items < 10**decimals


def grim_percent(percent: float, n: int, decimals: int) -> bool:
    """Return whether a count of n whole units can be printed as this percentage.

    Example:
        >>> grim_percent(15.0, 7, 0), grim_percent(14.0, 7, 0), grim_percent(14.5, 7, 1)
        (False, True, False)
    """
    low, high = _exact(percent, decimals)
    return ceil(low * n / 100) <= floor(high * n / 100)


def grimmer(mean: float, sd: float, n: int, decimals: int, sd_decimals: int, items: int = 1) -> bool:
    """Return whether whole numbers can have this mean and this sample standard deviation, both as printed.

    Args:
        mean, sd: as printed; the standard deviation with n - 1.
        n: sample size, at least 2.
        decimals, sd_decimals: of each.
        items: whole-numbered items averaged for each of the n.

    Returns:
        False where for every total the mean allows no sum of squares fits: it must be whole, and odd or even as the total is.

    Raises:
        ValueError: n below 2.

    Follows Anaya 2016 in the analytic form of Allard 2018.

    Example:
        >>> grimmer(2.5, 1.29, 4, 1, 2), grimmer(2.5, 1.25, 4, 1, 2)
        (True, False)
    """
    if n < 2:
        raise ValueError(f"n = {n}; expected at least 2 for a standard deviation")
    low, high = (max(end, Fraction(0)) * items for end in _exact(sd, sd_decimals))
    for total in _totals(mean, n, decimals, items):
        centre = Fraction(total * total, n)
        least, most = ceil((n - 1) * low**2 + centre), floor((n - 1) * high**2 + centre)
        first = least if (least - total) % 2 == 0 else least + 1
        if first <= most:
            return True
    return False


def debit(mean: float, sd: float, n: int, decimals: int, sd_decimals: int) -> bool:
    """Return whether zeros and ones can have this mean and this sample standard deviation, both as printed.

    Args:
        mean, sd: as printed; the standard deviation with n - 1.
        n: sample size, at least 2.
        decimals, sd_decimals: of each.

    Raises:
        ValueError: n below 2.

    Follows Heathers and Brown 2019; the mean is held to counts that n allows.

    Example:
        >>> debit(0.36, 0.11, 20, 2, 2), debit(0.35, 0.49, 20, 2, 2)
        (False, True)
    """
    if n < 2:
        raise ValueError(f"n = {n}; expected at least 2 for a standard deviation")
    low, high = (max(end, Fraction(0)) for end in _exact(sd, sd_decimals))
    return any(
        low**2 <= Fraction(ones * (n - ones), n * (n - 1)) <= high**2
        for ones in _totals(mean, n, decimals, 1)
        if 0 <= ones <= n
    )


def largest_sd(mean: Range, lowest: float, highest: float) -> float:
    """Return the largest standard deviation numbers between two bounds can have around a mean, weighted or not.

    Follows Bhatia and Davis 2000: the variance is at most (highest - mean)(mean - lowest).

    Example:
        >>> largest_sd((0.5, 0.5), 0.0, 1.0)
        0.5
    """
    middle = (lowest + highest) / 2
    at = min(max(middle, mean[0]), mean[1])
    return float(np.sqrt(max((highest - at) * (at - lowest), 0.0)))


# --------------------------------------------------------------------------------------------------------
# The registry
# --------------------------------------------------------------------------------------------------------


def audit(published: Published) -> pd.DataFrame:
    """Return a row a registered figure and check.

    Args:
        published: the registry.

    Returns:
        Columns `COLUMNS`, figures in the order of the file; each has at least one row, and one that cannot be checked says
        what is missing.

    Example:
        >>> from analysis.evidence.published import load_published
        >>> found = audit(load_published())
        >>> int(found["id"].nunique())
        214
    """
    by = {one.id: one for one in published.figures}
    places = decimals_of(published)
    related: dict[str, list[Row]] = {}
    for relation in RELATIONS:
        for row in relation(by):
            related.setdefault(row["id"], []).append(row)
    rows = []
    for one in published.figures:
        own = [*_own_checks(one, places[one.id]), *related.get(one.id, [])]
        rows += [{**row, "study": one.study} for row in own]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def decimals_of(published: Published) -> dict[str, int]:
    """Return the decimals each estimate and its error are printed with, by identifier.

    A file of numbers drops closing zeros. Where a figure has an error, both are taken to be printed with the most decimals
    that any estimate or error of its table is registered with: a table prints one format.

    Example:
        >>> from analysis.evidence.published import load_published
        >>> decimals_of(load_published())["biasi.logcrime_byhisp_dd1.hispq4.c4"]
        4
    """
    tables: dict[tuple[str, str], int] = {}
    for one in published.figures:
        if one.se is not None:
            most = max(one.decimals.get(name, 0) for name in ("estimate", "se"))
            tables[_table_of(one)] = max(most, tables.get(_table_of(one), 0))
    return {
        one.id: tables[_table_of(one)] if one.se is not None else one.decimals.get("estimate", 0)
        for one in published.figures
    }


def recomputed_frame(published: Published) -> pd.DataFrame:
    """Return t, p and interval of every figure that has an estimate and an error.

    Args:
        published: the registry.

    Returns:
        Columns id, study, key, estimate, se, n, t (at the printed numbers), t_low, t_high (as rounding allows), p_normal,
        p_low, p_high (of the normal), df (missing where unknown), p_t (with df), conf_low, conf_high (95 %, normal), p_text as
        registered, and stars: whether the registered stars fit (None without stars).

    Example:
        >>> from analysis.evidence.published import load_published
        >>> frame = recomputed_frame(load_published()).set_index("id")
        >>> round(float(frame.loc["biasi.logcrime_dd1.c2", "t"]), 2)
        2.85
    """
    places = decimals_of(published)
    rows = []
    for one in published.figures:
        if one.estimate is None or not one.se:
            continue
        found = recompute(
            estimate=printed_range(one.estimate, places[one.id]), se=printed_range(one.se, places[one.id])
        )
        t, df = one.estimate / one.se, degrees_of_freedom(one)
        half = t_quantile(0.95, np.inf) * one.se
        stars = STARS.get(one.p_text)
        rows.append(
            {
                "id": one.id, "study": one.study, "key": one.key, "estimate": one.estimate, "se": one.se,
                "n": np.nan if one.n is None else one.n, "t": t, "t_low": found.t[0], "t_high": found.t[1],
                "p_normal": p_range((t, t))[0], "p_low": found.p[0], "p_high": found.p[1],
                "df": np.nan if df is None else df, "p_t": np.nan if df is None else p_range((t, t), df)[0],
                "conf_low": one.estimate - half, "conf_high": one.estimate + half, "p_text": one.p_text,
                "stars": None if stars is None else any(overlap(p, stars) for p in _p_ranges(found.t, df)),
            }
        )  # fmt: skip
    names = ["id", "study", "key", "estimate", "se", "n", "t", "t_low", "t_high", "p_normal", "p_low", "p_high", "df", "p_t", "conf_low", "conf_high", "p_text", "stars"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def degrees_of_freedom(figure: Figure) -> int | None:
    """Return clusters less one where the study's are known, else n - 1, else None.

    Example:
        >>> from analysis.evidence.published import load_published
        >>> degrees_of_freedom(load_published().figure("biasi.logcrime_dd1.c2"))
        350
    """
    if figure.key in CLUSTERS:
        return CLUSTERS[figure.key] - 1
    return figure.n - 1 if figure.n is not None and figure.n > 1 else None


def difference_t(one: float, se_one: float, other: float, se_other: float) -> tuple[float, float, float]:
    """Return t of one estimate less another: smallest and largest in size for any correlation, and that of independent ones.

    Args:
        one, other: estimates.
        se_one, se_other: their standard errors, above zero.

    Returns:
        (at the largest error, at the smallest error, independent), each with the difference's sign; equal errors that cancel
        give an infinite second.

    Example:
        >>> [round(t, 2) for t in difference_t(0.06, 0.02, -0.03, 0.01)]
        [3.0, 9.0, 4.02]
    """
    gap = one - other
    smallest = abs(se_one - se_other)
    return (
        gap / (se_one + se_other), gap / smallest if smallest > 0 else float(np.copysign(np.inf, gap)),
        gap / float(np.hypot(se_one, se_other)),
    )  # fmt: skip


def quartile_contrasts(registry: pd.DataFrame) -> pd.DataFrame:
    """Return the border study's top less its lowest quartile of Hispanic share, and t for any correlation of the two.

    Args:
        registry: `Published.frame`.

    Returns:
        Columns outcome, column, difference (log points), t_worst, t_best (for any correlation), t_independent; a row an outcome
        and column whose figures are registered.

    Assumption: none about the correlation; it is not published.

    Example:
        >>> from analysis.evidence.published import load_published
        >>> len(quartile_contrasts(load_published().frame()))
        12
    """
    sized = registry[registry["estimate"].notna() & registry["se"].gt(0)].set_index("id")
    rows = []
    for name in (_TOTAL, *_PARTS):
        for column in _COLUMNS_OF:
            top, low = (f"biasi.{name}_byhisp_dd1.hispq{q}.{column}" for q in (4, 1))
            if top in sized.index and low in sized.index:
                pair = sized.loc[[top, low], ["estimate", "se"]].to_numpy(float)
                worst, best, independent = difference_t(*pair[0], *pair[1])
                rows.append((name, column, pair[0, 0] - pair[1, 0], worst, best, independent))
    names = ["outcome", "column", "difference", "t_worst", "t_best", "t_independent"]
    return pd.DataFrame(rows, columns=names)


def _table_of(figure: Figure) -> tuple[str, str]:
    return figure.key, figure.where.split(", column")[0]


def _p_ranges(t: Range, df: int | None) -> list[Range]:
    """Return p-values of the normal, then with the degrees of freedom where they are known."""
    return [p_range(t, at) for at in ([np.inf] if df is None else [np.inf, df])]


def _row(
    figure: Figure,
    check: str,
    given: str,
    found: Range | None,
    printed: str,
    status: str,
    reason: str,
    *,
    exact: bool = True,
) -> Row:
    low, high = found or (np.nan, np.nan)
    return {
        "id": figure.id, "check": check, "exact": exact, "given": given, "recomputed_low": low, "recomputed_high": high, "printed": printed,
        "status": status, "reason": reason,
    }  # fmt: skip


def _judged(fits: bool) -> str:
    return CONSISTENT if fits else INCONSISTENT


def _shown(*parts: tuple[str, float | None]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in parts if value is not None)


def _own_checks(figure: Figure, decimals: int) -> list[Row]:
    """Return the checks a figure allows by itself: at least one row."""
    if figure.unit_code == COUNT and figure.estimate is not None:
        return [_counted(figure)]
    if figure.unit_code == GROUP_MEAN and figure.estimate is not None:
        return [_spread(figure)]
    if figure.unit_code == PERCENT and figure.kind in (LEVEL, WORDED_SIZE) and figure.estimate is not None:
        return [_granular(figure)]
    return _statistics(figure, decimals)


def _statistics(figure: Figure, decimals: int) -> list[Row]:
    check = "t, p and interval"
    held = {"standard error": figure.se or None, "t": figure.t, "p": figure.p, "interval": figure.ci}
    there = [name for name, value in held.items() if value is not None]
    if figure.estimate is None or not there:
        lacking = [] if figure.estimate is not None else ["an estimate"]
        lacking += [] if there else ["a standard error, t, p or interval"]
        said = f"; of p the source says: {figure.p_text}" if figure.p_text and figure.p is None else ""
        return [
            _row(figure, check, _shown(("estimate", figure.estimate)), None, figure.p_text, CANNOT,
                 f"not registered: {' nor '.join(lacking)}{said}")
        ]  # fmt: skip

    def seen(name: str, value: float | None) -> Range | None:
        return None if value is None else printed_range(value, figure.decimals.get(name, decimals))

    estimate = printed_range(figure.estimate, decimals)
    se = None if not figure.se else printed_range(figure.se, decimals)
    t, p = seen("t", figure.t), seen("p", figure.p)
    ends = None
    if figure.ci is not None:
        at = figure.decimals.get("ci", decimals)
        ends = (printed_range(figure.ci[0], at), printed_range(figure.ci[1], at))
    df = degrees_of_freedom(figure)
    laws = [np.inf] if df is None else [np.inf, df]
    found = [
        recompute(estimate=estimate, se=se, t=t, p=p, interval=ends, df=at, level=figure.ci_level)
        for at in laws
    ]
    names = ("estimate", "se", "t", "p", "interval")
    values: Mapping[str, str] = {
        "estimate": f"{figure.estimate:g}", "se": "" if figure.se is None else f"{figure.se:g}",
        "t": "" if figure.t is None else f"{figure.t:g}", "p": figure.p_text, "interval": figure.ci_text,
    }  # fmt: skip
    used = found[0].used
    given = ", ".join(f"{name} {values[name]}" for name in names if name in used)
    rows = []

    def compared(what: str, ranges: Sequence[Range], registered: Range, printed: str) -> None:
        fits = [overlap(one, registered) for one in ranges]
        law = (
            f"; only with t on {df} degrees of freedom, not with the normal"
            if len(fits) > 1 and fits[1] and not fits[0]
            else ""
        )
        near = min(
            range(len(ranges)),
            key=lambda at: max(ranges[at][0] - registered[1], registered[0] - ranges[at][1]),
        )
        reason = "within rounding" if any(fits) else "outside what rounding allows"
        rows.append(_row(figure, what, given, ranges[near], printed, _judged(any(fits)), reason + law))

    if t is not None and "t" not in used:
        compared("t", [one.t for one in found], t, values["t"])
    if p is not None and "p" not in used:
        compared("p", [one.p for one in found], p, figure.p_text)
    if p is None and figure.p_text in STARS:
        compared("stars", [one.p for one in found], STARS[figure.p_text], figure.p_text)
    elif p is None and figure.p_bounds is not None:
        compared("p", [one.p for one in found], figure.p_bounds, figure.p_text)
    if ends is not None and "interval" not in used:
        compared("interval, lower end", [one.low for one in found], ends[0], figure.ci_text)
        compared("interval, upper end", [one.high for one in found], ends[1], figure.ci_text)
    if ends is not None and "interval" in used and figure.ci is not None:
        middle = ((ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2)
        fits = overlap(middle, estimate)
        rows.append(
            _row(figure, "interval, middle", f"interval {figure.ci_text}", middle, values["estimate"], _judged(fits),
                 "the estimate is its middle" if fits else "the estimate is not its middle: not symmetric, or misread")
        )  # fmt: skip
    if not rows:
        rows.append(
            _row(figure, check, given, found[0].t, "", CANNOT, "not registered: a t, p, stars or interval; t is recomputed")
        )  # fmt: skip
    return rows


def _counted(figure: Figure) -> Row:
    value = float(figure.estimate or 0.0)
    whole = value >= 0 and value.is_integer()
    most = figure.n if figure.n is not None else None
    fits = whole and (most is None or value <= most)
    said = "a whole number, not negative" + (
        "" if most is None else f", at most the {most:,} it is one part of"
    )
    return _row(
        figure, "whole number", _shown(("n", most)), (0.0, np.inf if most is None else float(most)), f"{value:g}",
        _judged(fits), said if fits else f"expected {said}",
    )  # fmt: skip


def _granular(figure: Figure) -> Row:
    check, value = "granularity of a percentage", float(figure.estimate or 0.0)
    decimals = figure.decimals.get("estimate", 0)
    if figure.n is None:
        return _row(
            figure, check, "", None, f"{value:g}", CANNOT, "not registered: the number it is a percentage of"
        )
    given = _shown(("n", figure.n))
    if not grim_bites(figure.n, decimals + 2):
        return _row(
            figure, check, given, None, f"{value:g}", CANNOT,
            f"every percentage of {decimals} decimals can be reached with {figure.n}; not registered: the size of each arm",
        )  # fmt: skip
    fits = grim_percent(value, figure.n, decimals)
    return _row(
        figure, check, given, None, f"{value:g}", _judged(fits),
        "a count gives it" if fits else "no count of whole units gives it",
    )  # fmt: skip


_SD = re.compile(r"SD\s+(?P<value>\d+(?:\.(?P<decimals>\d+))?)")


def _spread(figure: Figure) -> Row:
    check, value = "largest possible spread", float(figure.estimate or 0.0)
    found = _SD.search(figure.notes)
    if found is None:
        return _row(
            figure, check, _shown(("mean", value)), None, "", CANNOT, "not registered: a standard deviation"
        )
    printed = f"SD {found['value']}"
    highest = (
        100.0 if "percent" in figure.outcome else 1.0 if re.search(r"share|rate", figure.outcome) else None
    )
    if highest is None:
        return _row(
            figure, check, _shown(("mean", value)), None, printed, CANNOT,
            "not registered: the number of counties and their weights; the outcome has no upper bound",
        )  # fmt: skip
    most = largest_sd(printed_range(value, figure.decimals.get("estimate", 0)), 0.0, highest)
    least = printed_range(float(found["value"]), len(found["decimals"] or ""))[0]
    return _row(
        figure, check, f"mean {value:g} between 0 and {highest:g}", (0.0, most), printed, _judged(least <= most + _TINY),
        "a bound for weighted and unweighted means; the number of counties is not registered, so granularity is not tested",
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Figures beside each other
# --------------------------------------------------------------------------------------------------------

Figures = Mapping[str, Figure]


def _sized(by: Figures, *ids: str) -> list[Figure]:
    """Return the figures, or none of them where one is not registered or has no size."""
    found = [by[id] for id in ids if id in by and by[id].estimate is not None]
    return found if len(found) == len(ids) else []


def _span(figure: Figure, scale: float = 1.0) -> Range:
    """Return what the printed estimate stands for, as a size."""
    low, high = sizes(printed_range(float(figure.estimate or 0.0), figure.decimals.get("estimate", 0)))
    return low * scale, high * scale


def _wong_level(by: Figures) -> Iterable[Row]:
    """The gap and the percentage it is said to be give the mean it is on."""
    base = "wong2017.crime.large_central_metro"
    if found := _sized(by, base, f"{base}.pct", f"{base}.control_mean"):
        gap, share, level = found
        mean = ratio_range(_span(gap), _span(share, 0.01))
        yield _row(
            level, "gap over percentage", _shown(("gap", gap.estimate), ("per cent", share.estimate)), mean,
            f"{level.estimate:g}", _judged(overlap(mean, _span(level))), "derived: the percentage is rounded to a whole one",
        )  # fmt: skip


_PER_100K = re.compile(r"(?P<value>\d[\d,]*(?:\.(?P<decimals>\d+))?) per 100,000")


def _two_scales(by: Figures) -> Iterable[Row]:
    """One gap printed per 10,000 and, elsewhere, per 100,000."""
    for figure in by.values():
        found = _PER_100K.search(figure.seen_in)
        if figure.unit_code != "per_10k" or figure.estimate is None or found is None:
            continue
        other = printed_range(float(found["value"].replace(",", "")), len(found["decimals"] or ""))
        scaled = (other[0] / 10, other[1] / 10)
        yield _row(
            figure, "two scales", f"{found['value']} per 100,000 in another account", scaled, f"{figure.estimate:g}",
            _judged(overlap(scaled, _span(figure))), "ten per 100,000 are one per 10,000",
        )  # fmt: skip


_OF_BASE = re.compile(r"(?P<share>\d+)% of a (?P<base>\d+(?:\.(?P<decimals>\d+))?) pp base")


def _share_of_base(by: Figures) -> Iterable[Row]:
    """Points, and the percentage of a base they are said to be."""
    for figure in by.values():
        found = _OF_BASE.search(figure.unit)
        if found is None or figure.estimate is None:
            continue
        base = printed_range(float(found["base"]), len(found["decimals"] or ""))
        ratio = tuple(100 * end for end in ratio_range(_span(figure), base))
        yield _row(
            figure, "points over base", f"{figure.estimate:g} on {found['base']}", (ratio[0], ratio[1]), f"{found['share']} %",
            _judged(overlap((ratio[0], ratio[1]), printed_range(float(found["share"]), 0))), "both are rounded hard",
        )  # fmt: skip


_PARTS_OF: Mapping[str, str] = MappingProxyType(
    {
        "wong2017.n_sanctuary": "wong2017.n_total",
        "hausman2020.prevented.no_conviction": "hausman2020.prevented",
    }
)


def _parts(by: Figures) -> Iterable[Row]:
    """A count of some is at most the count of all."""
    for some, all_ in _PARTS_OF.items():
        if pair := _sized(by, some, all_):
            part, whole = pair
            share = 100 * float(part.estimate or 0.0) / float(whole.estimate or 1.0)
            yield _row(
                part, "part of a whole", f"{whole.id} {whole.estimate:g}", (0.0, float(whole.estimate or 0.0)),
                f"{part.estimate:g}", _judged(share <= 100), f"{share:.1f} % of the whole",
            )  # fmt: skip


def _gradient(by: Figures) -> Iterable[Row]:
    """Effects said to be largest in the smallest counties, beside the gap of the largest class."""
    largest, smallest, everyone = (
        "wong2017.crime.large_central_metro",
        "wong2017.small_counties",
        "wong2017.crime.all",
    )
    if smallest not in by or not (pair := _sized(by, largest, everyone)):
        return
    at_large, overall = pair
    told = "largest" in at_large.notes
    yield _row(
        by[smallest], "gradient by size",
        f"gap of the largest class {at_large.estimate:g}, of all counties {overall.estimate:g}; {at_large.notes}".rstrip("; "),
        None, by[smallest].sign, INCONSISTENT if told else CANNOT,
        "of reported crime the statement cannot hold beside the largest gap in the largest class; of the economic outcomes it is "
        "not checked" if told else "not registered: the gap of the smallest class",
        exact=False,
    )  # fmt: skip


def _ends_of_a_range(by: Figures) -> Iterable[Row]:
    """The low end of a printed range is the smaller in size."""
    base = "amuedodeza2022.domestic_homicide"
    if pair := _sized(by, f"{base}.low", f"{base}.high"):
        low, high = pair
        yield _row(
            low, "ends of a range", f"high end {high.estimate:g}", (0.0, abs(float(high.estimate or 0.0))),
            f"{low.estimate:g}", _judged(abs(low.estimate or 0.0) <= abs(high.estimate or 0.0)), "in size",
        )  # fmt: skip


def _class_sums(by: Figures) -> Iterable[Row]:
    """Classes of a scheme add up to its counties."""
    for scheme in ("nchs2006", "nchs2013"):
        members = [one for one in by.values() if one.id.startswith(f"{scheme}.n.")]
        if not members or any(one.estimate is None for one in members):
            continue
        total = sum(float(one.estimate or 0.0) for one in members)
        first, stated = members[0], members[0].n
        if stated is None:
            yield _row(
                first, "sum of the classes", f"{len(members)} classes", (total, total), "", CANNOT,
                "not registered: the total; the counts are from memory",
            )  # fmt: skip
        else:
            yield _row(
                first, "sum of the classes", f"{len(members)} classes", (total, total), f"{stated:,}",
                _judged(total == stated), "every county is in one class",
            )  # fmt: skip


def _reporting(by: Figures) -> Iterable[Row]:
    """Reporting, victimisation, reported crime and the response to reporting: what three of them imply of the others."""
    found = _OF_BASE.search(by["gjw2024.victimization"].unit) if "gjw2024.victimization" in by else None
    if found is None or not _sized(by, "gjw2024.reporting"):
        return
    fall, rise = (
        _span(by["gjw2024.reporting"], 0.01),
        tuple(end / 100 for end in printed_range(float(found["share"]), 0)),
    )
    given = f"reporting {by['gjw2024.reporting'].estimate:g} %, victimisation +{found['share']} %"
    apart = "the article was not read, and the figures may be of different groups, periods or offences"
    if "gjw2024.reported_crime" in by:
        change = (100 * ((1 - fall[1]) * (1 + rise[0]) - 1), 100 * ((1 - fall[0]) * (1 + rise[1]) - 1))
        yield _row(
            by["gjw2024.reported_crime"], "reporting times victimisation", given, change, by["gjw2024.reported_crime"].sign,
            _judged(overlap(change, (-1.0, 1.0))),
            f"of one group and one period the two would move reported crime by so many per cent, not by none (taken as within "
            f"1 %); {apart}", exact=False,
        )  # fmt: skip
    if response := _sized(by, "gjw2024.elasticity"):
        implied = ratio_range((10 * rise[0], 10 * rise[1]), fall)
        yield _row(
            response[0], "victimisation over reporting", given, implied, f"{response[0].estimate:g}",
            _judged(overlap(implied, _span(response[0]))),
            f"the ratio of the two, per 10 % of reporting, as a response of victimisation to reporting alone; {apart}",
            exact=False,
        )  # fmt: skip


_COLUMNS_OF = ("c1", "c2", "c3", "c4")
_TOTAL, _PARTS = "logcrime", ("logviolent", "logproperty")
_BY_TYPE = "biasi.logcrime_bytype"
_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "biasi.logviolent_dd2.c4": ("murder", "rape", "robbery", "aggravated_assault"),
        "biasi.logproperty_dd2.c4": ("burglary", "larceny", "auto_theft"),
    }
)
_ABOUT = (
    "about: a change in the log of a sum is near a weighted mean of the changes of its parts; samples, winsorising and dropped "
    "zeros differ between tables"
)


def _between(whole: Figure, parts: Sequence[Figure], decimals: int, check: str, reason: str) -> Row:
    spans = [printed_range(float(one.estimate or 0.0), decimals) for one in parts]
    found = (min(low for low, _ in spans), max(high for _, high in spans))
    own = printed_range(float(whole.estimate or 0.0), decimals)
    return _row(
        whole, check, ", ".join(f"{one.id.split('.', 1)[1]} {one.estimate:g}" for one in parts), found,
        f"{whole.estimate:g}", _judged(overlap(found, own)), reason, exact=False,
    )  # fmt: skip


def _border_parts(by: Figures) -> Iterable[Row]:
    """Log changes of all offences beside those of violent and property offences, and of those beside their kinds."""
    models = ["dd1", "dd2", *(f"byhisp_dd1.hispq{quartile}" for quartile in range(1, 5))]
    for model in models:
        for column in _COLUMNS_OF:
            names = [f"biasi.{name}_{model}.{column}" for name in (_TOTAL, *_PARTS)]
            if found := _sized(by, *names):
                yield _between(found[0], found[1:], 4, "total between its parts", _ABOUT)
    for whole, kinds in _KINDS.items():
        if found := _sized(by, whole, *(f"{_BY_TYPE}.{kind}" for kind in kinds)):
            yield _between(found[0], found[1:], 4, "total between its parts", _ABOUT)


def _border_quartiles(by: Figures) -> Iterable[Row]:
    """The effect on all counties beside those by quartile."""
    for name in (_TOTAL, *_PARTS):
        for column in _COLUMNS_OF:
            names = [f"biasi.{name}_dd1.{column}", *(f"biasi.{name}_byhisp_dd1.hispq{q}.{column}" for q in range(1, 5))]  # fmt: skip
            if found := _sized(by, *names):
                yield _between(
                    found[0], found[1:], 4, "all between the quartiles",
                    "about: one effect for all is near a weighted mean of those by quartile, if the tables share their data",
                )  # fmt: skip


def _border_counts(by: Figures) -> Iterable[Row]:
    """A sample without zeros of a part is at most the sample of the whole."""

    def nested(part: Figure, whole: Figure) -> Row:
        most = float(whole.n or 0)
        return _row(
            part, "sample within a sample", f"{whole.id.split('.', 1)[1]} n {whole.n}", (0.0, most), f"n {part.n}",
            _judged(part.n is not None and part.n <= most), "the log of a part is missing wherever that of the whole is",
        )  # fmt: skip

    pairs = [(f"biasi.{name}_{model}.{column}", f"biasi.{_TOTAL}_{model}.{column}")
             for model in ("dd1", "dd2") for name in _PARTS for column in _COLUMNS_OF]  # fmt: skip
    pairs += [(f"{_BY_TYPE}.{kind}", whole) for whole, kinds in _KINDS.items() for kind in kinds]
    for part, whole in pairs:
        if part in by and whole in by and by[part].n is not None and by[whole].n is not None:
            yield nested(by[part], by[whole])


_MEAN = re.compile(r"mean of outcome (?P<value>\d+\.(?P<decimals>\d+))")


def _cleared_means(by: Figures) -> Iterable[Row]:
    """The share cleared of all offences lies between those of violent and property offences."""
    for column in _COLUMNS_OF:
        names = [f"biasi.{name}_cleared_dd.{column}" for name in ("logcrime", "logviolent", "lognonviolent")]
        found = [_MEAN.search(by[name].notes) if name in by else None for name in names]
        if any(one is None for one in found):
            continue
        whole, violent, other = (
            printed_range(float(one["value"]), len(one["decimals"])) for one in found if one is not None
        )
        low, high = min(violent[0], other[0]), max(violent[1], other[1])
        middle = [sum(span) / 2 for span in (whole, violent, other)]
        weight = (middle[0] - middle[2]) / (middle[1] - middle[2])
        yield _row(
            by[names[0]], "share between its parts", f"violent {middle[1]:.4f}, property {middle[2]:.4f}", (low, high),
            f"{middle[0]:.4f}", _judged(overlap(whole, (low, high))),
            f"gives violent offences a weight of {100 * weight:.0f} %: so much only if the share of all offences counts others too, "
            "or is a mean of shares", exact=False,
        )  # fmt: skip


RELATIONS: tuple[Callable[[Figures], Iterable[Row]], ...] = (
    _wong_level, _two_scales, _share_of_base, _parts, _gradient, _ends_of_a_range, _class_sums, _reporting, _border_parts,
    _border_quartiles, _border_counts, _cleared_means,
)  # fmt: skip
"""Checks of registered figures beside each other; one whose figures are not all registered gives no row."""

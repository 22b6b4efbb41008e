"""Named sample rules: each takes rows, returns the rows kept and one line of the attrition table.

Every rule is a function of a table and of plain values, and none looks at an outcome beyond whether it is
there.
The lines add up: rows of one line less the rows its successor drops are the rows of the successor.

The table a rule works on has one row a county and year with at least ``county_fips``, ``year``, ``state`` and
``adopts`` (True for every row of a county the treatment definition counts as treated).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.base.errors import SampleError

ATTRITION = ("rule", "counties", "county_years", "treated", "dropped")
FIRST_RULE, LAST_RULE = "panel as given", "estimated on"
ALLOWED_GAPS = {"every_year": 0, "all_but_two": 2}


@dataclass(frozen=True, slots=True)
class Line:
    """What one rule left: counties, county-years, treated counties among them, and the county-years it
    dropped."""

    rule: str
    counties: int
    county_years: int
    treated: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows a rule kept, and its line."""

    table: pd.DataFrame
    line: Line


def count(table: pd.DataFrame, rule: str, before: int | None = None) -> Line:
    """Return the line of a table under a rule; ``before`` is the number of rows that came in, by default the
    same.

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["01001"] * 2, "year": [2010, 2011], "adopts": True})
        >>> count(rows, "panel as given")
        Line(rule='panel as given', counties=1, county_years=2, treated=1, dropped=0)
    """
    code, adopts = _codes(table["county_fips"]), table["adopts"].to_numpy(dtype=bool)
    return Line(
        rule,
        _distinct(code),
        len(table),
        _distinct(code[adopts]),
        0 if before is None else before - len(table),
    )


def _codes(texts: pd.Series) -> np.ndarray:
    """Return whole numbers from 0 that stand for texts, those of a column of categories as they are."""
    if isinstance(texts.dtype, pd.CategoricalDtype):
        return texts.cat.codes.to_numpy().astype(np.intp)
    return pd.factorize(texts)[0]


def _distinct(code: np.ndarray) -> int:
    return int((np.bincount(code) > 0).sum()) if len(code) else 0


def keep(table: pd.DataFrame, mask: pd.Series | np.ndarray, rule: str) -> Kept:
    """Return the rows where ``mask`` is True, under a rule's name.

    Args:
        table: (n,) rows.
        mask: (n,) flags, no missing ones.
        rule: what the attrition table calls it.
    """
    kept = table.loc[np.asarray(mask, dtype=bool)]
    return Kept(kept, count(kept, rule, before=len(table)))


def in_years(table: pd.DataFrame, years: Sequence[int]) -> Kept:
    """Keep the years of the window (or the year of a cross-section).

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["01001"] * 2, "year": [2009, 2010], "adopts": False})
        >>> in_years(rows, (2010, 2011)).line.dropped
        1
    """
    first, last = min(years), max(years)
    missing = [year for year in range(first, last + 1) if year not in years]
    words = f"year {first}" if first == last else f"years {first}-{last}"
    if missing:
        words += f" without {', '.join(map(str, missing))}"
    return keep(table, table["year"].isin(list(years)), words)


def in_states(table: pd.DataFrame, states: Collection[str]) -> Kept:
    """Keep the named states alone."""
    _refuse_unknown("sample.keep_states", states, table["state"])
    return keep(table, table["state"].isin(list(states)), f"only {', '.join(sorted(states))}")


def without_states(table: pd.DataFrame, states: Collection[str]) -> Kept:
    """Drop the named states."""
    _refuse_unknown("sample.drop_states", states, table["state"])
    return keep(table, ~table["state"].isin(list(states)), f"without {', '.join(sorted(states))}")


def without_counties(table: pd.DataFrame, counties: Collection[str]) -> Kept:
    """Drop the named counties."""
    _refuse_unknown("sample.drop_counties", counties, table["county_fips"])
    words = f"without {len(counties)} named {'county' if len(counties) == 1 else 'counties'}"
    return keep(table, ~table["county_fips"].isin(list(counties)), words)


def in_classes(table: pd.DataFrame, classes: Collection[str]) -> Kept:
    """Keep the named urban-rural classes."""
    return keep(table, table["urban_class"].isin(list(classes)), f"only {', '.join(sorted(classes))}")


def most_of(code: np.ndarray, number: np.ndarray, asked: int) -> np.ndarray:
    """Return the codes of the areas with the largest numbers, the largest first; of two alike the lower code.

    Args:
        code: (n,) texts, each once.
        number: (n,) what they are ranked by, missing where it is not known; such an area is never among them.
        asked: how many.

    Returns:
        (min(asked, areas with a number),) codes.

    Example:
        >>> most_of(np.array(["b", "a", "c", "d"]), np.array([5.0, 5.0, np.nan, 9.0]), 2).tolist()
        ['d', 'a']
    """
    code, number = np.asarray(code), np.asarray(number, dtype=float)
    known = np.isfinite(number)
    order = np.lexsort((code[known], -number[known]))
    return code[known][order[:asked]]


def largest(table: pd.DataFrame, asked: int) -> Kept:
    """Keep the counties with the most Hispanic residents in 2010, a ranking over the whole panel.

    No other rule of the sample moves the ranking, so a sample without a state holds those of the counties that lie
    elsewhere, and no other in their place.

    Args:
        table: has ``largest``: whether the county is among them.
        asked: how many the ranking holds.
    """
    words = f"not among the {asked:,} counties with the most Hispanic residents in 2010"
    return keep(table, table["largest"].to_numpy(dtype=bool), words)


def not_excluded(table: pd.DataFrame, reason: str) -> Kept:
    """Drop counties the treatment definition can call neither treated nor comparison, for one reason.

    Args:
        table: has ``excluded_for``: the reason, or missing.
        reason: the one to drop.
    """
    return keep(table, table["excluded_for"].ne(reason).fillna(True), f"definition: {reason}")


def in_areas(table: pd.DataFrame, areas: Collection[str]) -> np.ndarray:
    """Return which rows lie in one of the named states and counties.

    Args:
        table: rows of treated counties: ``county_fips, state``.
        areas: postal codes and county codes of ``treatment.only``.

    Returns:
        (n,) flags.

    Raises:
        SampleError: an area none of the rows lies in.

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["17031", "06037"], "state": ["IL", "CA"]})
        >>> in_areas(rows, ["CA"]).tolist()
        [False, True]
    """
    absent = sorted(set(areas) - set(table["county_fips"]) - set(table["state"]))
    if absent:
        raise SampleError(
            f"treatment.only holds {', '.join(absent)}, where no county of this sample is treated",
            "states and counties with a treated one",
            "treatment.only",
        )
    return (table["county_fips"].isin(list(areas)) | table["state"].isin(list(areas))).to_numpy(dtype=bool)


def only_adopters(table: pd.DataFrame, areas: Collection[str]) -> Kept:
    """Drop treated counties outside the named states and counties; comparison counties stay.

    Args:
        table: rows in which `adopts_in_time` has settled who is treated.
        areas: postal codes and county codes.

    Raises:
        SampleError: an area without a treated county.
    """
    adopts = table["adopts"].to_numpy(dtype=bool)
    kept = ~adopts
    kept[adopts] = in_areas(table[adopts], areas)
    return keep(table, kept, f"treated outside {', '.join(sorted(areas))}")


def in_hispanic_quartile(table: pd.DataFrame, quartile: int) -> Kept:
    """Drop treated counties outside one quartile of the Hispanic share; comparison counties stay.

    Quartiles are cut over treated counties and those that touch one, each counted once, and a county belongs to the
    quartile of its own share: a value at a cut lies below it.

    Args:
        table: rows in which `adopts_in_time` has settled who is treated; has ``hispanic`` (share of residents) and
            ``touches`` (whether the county touches a treated one).
        quartile: 1, the lowest, to 4.

    Raises:
        SampleError: no county is treated or touches one.

    Source: Arellano-Bover and Biasi (2018), whose cuts count a county once a group and quarter.

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["01", "03", "05", "07"], "year": 2010, "touches": True,
        ...                      "adopts": [True, True, False, False], "hispanic": [0.05, 0.4, 0.1, 0.2]})
        >>> in_hispanic_quartile(rows, 4).table["county_fips"].tolist()
        ['03', '05', '07']
    """
    first = table.drop_duplicates("county_fips")
    beside = first["adopts"].to_numpy(dtype=bool) | first["touches"].to_numpy(dtype=bool)
    shares = first["hispanic"].to_numpy(dtype=float, na_value=np.nan)[beside]
    shares = shares[np.isfinite(shares)]
    if not len(shares):
        raise SampleError(
            "no county with a known Hispanic share is treated or touches a treated one", "such counties",
            "sample.hispanic_quartile",
        )  # fmt: skip
    own = table["hispanic"].to_numpy(dtype=float, na_value=np.nan)
    found = 1 + np.searchsorted(np.quantile(shares, (0.25, 0.5, 0.75)), own, side="left")
    kept = ~table["adopts"].to_numpy(dtype=bool) | (np.isfinite(own) & (found == quartile))
    return keep(table, kept, f"treated outside quartile {quartile} of the Hispanic share")


def apart_from_treated(table: pd.DataFrame) -> Kept:
    """Drop comparison counties that touch a treated one.

    Args:
        table: has ``touches``: whether the county touches one whose adoption begins by the sample's last year.
    """
    adopts = table["adopts"].to_numpy(dtype=bool)
    return keep(
        table, adopts | ~table["touches"].to_numpy(dtype=bool), "comparison that touches a treated county"
    )


def before_true_adoption(table: pd.DataFrame) -> Kept:
    """Drop the years of a placebo's treated counties from their true adoption on.

    Args:
        table: has ``known_to``, the last year before the true adoption.
    """
    after = table["year"].gt(table["known_to"]).fillna(False).to_numpy(dtype=bool)
    return keep(table, ~(after & table["adopts"].to_numpy(dtype=bool)), "placebo: from the true adoption on")


def adopts_in_time(table: pd.DataFrame, last: int, comparison: str) -> Kept:
    """Settle counties whose first treated year comes after the sample's last.

    Under ``not_yet_treated`` they stay and count as comparison counties: every row they keep comes before
    treatment. Under ``never_treated`` they go.

    Args:
        table: has ``cohort`` (Int64).
        last: last year of the sample.
        comparison: ``treatment.comparison`` of the spec.

    Returns:
        rows kept; where they stay, ``adopts`` is False and ``cohort`` as it was.
    """
    late = table["cohort"].gt(last).fillna(False).to_numpy(dtype=bool)
    if comparison == "never_treated":
        return keep(table, ~late, f"treated after {last} only, not never treated")
    settled = table.assign(adopts=table["adopts"].to_numpy(dtype=bool) & ~late)
    return keep(settled, np.ones(len(table), dtype=bool), f"treated after {last} only: comparison")


def adopts_after_first(table: pd.DataFrame, first: int, anticipation: int = 0) -> Kept:
    """Drop treated counties without a year of the window wholly before adoption, and before its anticipation.

    Args:
        table: has ``before``: the last year wholly before adoption, missing for counties never treated.
        first: first year of the window.
        anticipation: years before adoption in which the policy may already act.
    """
    early = table["before"].sub(anticipation).lt(first).fillna(False).to_numpy(dtype=bool)
    return keep(
        table,
        ~(early & table["adopts"].to_numpy(dtype=bool)),
        f"no year wholly before adoption since {first}",
    )


def outside_transition(table: pd.DataFrame) -> Kept:
    """Drop the rows of years neither wholly before any limit nor treated: adoption's own, or an uncounted
    limit's.

    Args:
        table: has ``drop_from`` and ``drop_to`` (Int64, closed range, missing for none).
    """
    inside = table["year"].ge(table["drop_from"]) & table["year"].le(table["drop_to"])
    return keep(table, ~inside.fillna(False), "transition years")


def up_to_last_year(table: pd.DataFrame) -> Kept:
    """Drop the rows after the last year in which a county's status is known.

    Args:
        table: has ``known_to`` (Int64, missing for no end).
    """
    return keep(table, ~table["year"].gt(table["known_to"]).fillna(False), "status unknown or policy ended")


def populous(table: pd.DataFrame, minimum: int, year: int) -> Kept:
    """Keep counties with at least ``minimum`` residents in the baseline year.

    Args:
        table: has ``population_baseline``, residents in ``year``.
        minimum: residents.
        year: baseline year, for the rule's name.
    """
    enough = table["population_baseline"].ge(minimum).fillna(False)
    return keep(table, enough, f"population {year} below {minimum:,}")


def covered(table: pd.DataFrame, column: str, minimum: float) -> Kept:
    """Keep county-years whose coverage reaches the threshold; a missing coverage is below any.

    Args:
        table: has ``column``, the share of residents policed by an agency that reports the measure.
        column: coverage column.
        minimum: share in (0, 1].
    """
    return keep(table, table[column].ge(minimum).fillna(False), f"coverage below {minimum:g}")


def policed(table: pd.DataFrame) -> Kept:
    """Keep county-years in which a reporting agency polices somebody.

    Args:
        table: has ``exposure``: people policed by the agencies that report the measure.
    """
    return keep(table, table["exposure"].gt(0).fillna(False), "nobody policed by an agency that reports")


def present(table: pd.DataFrame, columns: Sequence[str], rule: str) -> Kept:
    """Keep rows in which none of the columns is missing."""
    there = np.ones(len(table), dtype=bool)
    for column in columns:
        there &= table[column].notna().to_numpy()
    return keep(table, there, rule)


def balanced(table: pd.DataFrame, years: Sequence[int], rule: str) -> Kept:
    """Keep counties present in all (or all but two) of the years they could be present in.

    A county's own transition years are no gap: it could not be there. Nor are years after its status is
    unknown.

    Args:
        table: has ``drop_from``, ``drop_to``, ``known_to``.
        years: years of the sample.
        rule: ``every_year``, ``all_but_two`` or ``none``.

    Example:
        >>> rows = pd.DataFrame({"county_fips": ["01001"] * 2 + ["01003"], "year": [2010, 2011, 2010],
        ...                      "adopts": False, "drop_from": pd.NA, "drop_to": pd.NA, "known_to": pd.NA})
        >>> balanced(rows, (2010, 2011), "every_year").table["county_fips"].unique().tolist()
        ['01001']
    """
    if rule == "none":
        return keep(table, np.ones(len(table), dtype=bool), "balance: none asked")
    code, span = _codes(table["county_fips"]), np.asarray(sorted(years))[None, :]
    counties, first, of_row = np.unique(code, return_index=True, return_inverse=True)
    start, stop, known = (
        table[name].to_numpy(dtype=float, na_value=np.nan)[first][:, None]
        for name in ("drop_from", "drop_to", "known_to")
    )
    # Comparisons with a missing bound are False: such a county has no transition, or no end.
    impossible = ((span >= start) & (span <= stop)) | (span > known)
    owed = (~impossible).sum(axis=1)
    place, year = np.unique(table["year"].to_numpy(), return_inverse=True)
    seen = np.zeros((len(counties), len(place)), dtype=bool)
    seen[of_row, year] = True
    gaps = (owed - seen.sum(axis=1))[of_row]
    words = {"every_year": "missing in a year", "all_but_two": "missing in more than two years"}[rule]
    return keep(table, gaps <= ALLOWED_GAPS[rule], f"balance: {words}")


def both_sides(table: pd.DataFrame) -> Kept:
    """Drop treated counties left without a row before adoption, or without one after it.

    Args:
        table: has ``cohort`` (Int64, missing for counties never treated).
    """
    adopts = table["adopts"].to_numpy(dtype=bool)
    code = _codes(table["county_fips"])
    # Never treated: the comparison with a missing year is False.
    after = table["year"].to_numpy() >= table["cohort"].to_numpy(dtype=float, na_value=np.nan)
    has_after, has_before = (np.bincount(code, weights=rows)[code] > 0 for rows in (after, ~after))
    return keep(table, ~adopts | (has_after & has_before), "treated, with rows on one side of adoption alone")


def attrition(lines: Sequence[Line]) -> pd.DataFrame:
    """Return the attrition table: rule, counties, county_years, treated, dropped (county-years).

    Raises:
        ValueError: the lines do not add up.
    """
    for before, after in pairwise(lines):
        if before.county_years - after.dropped != after.county_years:
            raise ValueError(f"attrition does not add up at '{after.rule}'")
    return pd.DataFrame(
        [{name: getattr(line, name) for name in ATTRITION} for line in lines], columns=list(ATTRITION)
    )


def require_both_arms(kept: Kept, before: pd.DataFrame, comparison: str, where: str) -> None:
    """Raise `SampleError` where a rule took the last treated or the last comparison county.

    Args:
        kept: rows after the rule, and its line.
        before: rows before it.
        comparison: ``treatment.comparison``: under ``not_yet_treated`` two cohorts can serve each other.
        where: file of the spec.
    """
    for arm in ("treated", "comparison"):
        left, had = _arm(kept.table, arm, comparison), _arm(before, arm, comparison)
        if left == 0:
            raise SampleError(
                f"no {arm} county is left after the rule '{kept.line.rule}' ({had:,} before it)",
                "at least one treated and one comparison county",
                f"[sample] or [treatment] of {where}",
            )


def _arm(table: pd.DataFrame, arm: str, comparison: str) -> int:
    code, treated = _codes(table["county_fips"]), table["adopts"].to_numpy(dtype=bool)
    if arm == "treated":
        return _distinct(code[treated])
    never = _distinct(code[~treated])
    if never == 0 and comparison == "not_yet_treated":
        later = table["cohort"].gt(table["cohort"].min()).fillna(False).to_numpy(dtype=bool)
        return _distinct(code[later])
    return never


def _refuse_unknown(key: str, asked: Collection[str], known: pd.Series) -> None:
    absent = sorted(set(asked) - set(known.unique()))
    if absent:
        raise SampleError(f"{key} holds {', '.join(absent)}", "what the panel holds", key)

"""Joins that state their cardinality and report what did not match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.base.errors import TableError

Expect = Literal["one_to_one", "many_to_one"]


@dataclass(frozen=True, slots=True)
class JoinReport:
    """What one join did.

    Args:
        name: what was joined to what.
        expect: stated cardinality.
        left_rows: rows of the left table.
        matched: left rows that found a partner.
        unmatched_left: keys of left rows without one.
        unused_right: keys of right rows that no left row asked for.
    """

    name: str
    expect: Expect
    left_rows: int
    matched: int
    unmatched_left: pd.DataFrame
    unused_right: pd.DataFrame

    def row(self) -> dict[str, object]:
        """Return the report as one row of a table."""
        return {
            "join": self.name,
            "expect": self.expect,
            "left_rows": self.left_rows,
            "matched": self.matched,
            "unmatched_left": len(self.unmatched_left),
            "unused_right": len(self.unused_right),
        }


def join(
    left: pd.DataFrame,
    right: pd.DataFrame,
    on: Sequence[str],
    *,
    expect: Expect,
    name: str,
    tolerance: float,
) -> tuple[pd.DataFrame, JoinReport]:
    """Left-join two tables and say what did not match.

    Args:
        left, right: tables; never mutated. Columns outside ``on`` must differ.
        on: key columns, of equal kind on both sides.
        expect: ``one_to_one`` or ``many_to_one``; the right key is unique in either.
        name: what is joined to what, for messages and the report.
        tolerance: largest share of left rows that may stay without a partner.

    Returns:
        The joined table, left rows in order, and the report.

    Raises:
        TableError: a key repeats where it must not, columns collide, kinds differ, or more rows than tolerated
            found no partner; a text key whose codes lost a zero is named as such.

    Example:
        >>> left = pd.DataFrame({"county_fips": ["01001", "01003"], "x": [1, 2]})
        >>> right = pd.DataFrame({"county_fips": ["01001"], "y": [5.0]})
        >>> table, report = join(left, right, ["county_fips"], expect="one_to_one", name="x to y", tolerance=0.5)
        >>> report.matched, list(report.unmatched_left["county_fips"])
        (1, ['01003'])
    """
    key = list(on)
    for side, table in (("left", left), ("right", right)):
        absent = [column for column in key if column not in table]
        if absent:
            raise TableError(f"join {name}: the {side} table lacks {absent}", f"the key {key}")
        if table[key].isna().to_numpy().any():
            raise TableError(f"join {name}: the {side} table has missing values in {key}", "a complete key")
    collide = [column for column in right if column in left and column not in key]
    if collide:
        raise TableError(f"join {name}: both tables hold {collide}", "columns that differ outside the key")
    for column in key:
        if pd.api.types.is_numeric_dtype(left[column]) != pd.api.types.is_numeric_dtype(right[column]):
            raise TableError(
                f"join {name}: {column} is {left[column].dtype} on the left and {right[column].dtype} on the right",
                "one kind on both sides; codes are text",
            )
    _refuse_repeats(right, key, f"join {name}: the right table")
    if expect == "one_to_one":
        _refuse_repeats(left, key, f"join {name}: the left table")

    joined = left.merge(right, on=key, how="left", indicator="_found", validate="many_to_one")
    found = joined["_found"].eq("both")
    unmatched = joined.loc[~found, key].drop_duplicates().reset_index(drop=True)
    asked = right[key].merge(left[key].drop_duplicates(), on=key, how="left", indicator=True)
    unused = asked.loc[asked["_merge"].eq("left_only"), key].reset_index(drop=True)
    report = JoinReport(name, expect, len(left), int(found.sum()), unmatched, unused)
    share = 1 - found.mean() if len(found) else 0.0
    if share > tolerance:
        raise TableError(
            f"join {name}: {share:.1%} of {len(left):,} rows found no partner, e.g. {unmatched.head(3).to_dict('records')}"
            f"{_lost_zero(unmatched, right, key)}",
            f"at most {tolerance:.1%}",
        )
    return joined.drop(columns="_found"), report


def _refuse_repeats(table: pd.DataFrame, key: list[str], what: str) -> None:
    repeated = table.duplicated(key, keep=False)
    if repeated.any():
        sample = table.loc[repeated, key].head(3).to_dict("records")
        raise TableError(
            f"{what} repeats its key {key} in {int(repeated.sum())} rows, e.g. {sample}", "a unique key"
        )


def _lost_zero(unmatched: pd.DataFrame, right: pd.DataFrame, key: list[str]) -> str:
    for column in key:
        if column.endswith("fips") and (unmatched[column].astype(str).str.len() == 4).any():
            return f" ({column} holds four-character codes: a leading zero was lost when the file was read as numbers)"
        if column.endswith("fips") and (right[column].astype(str).str.len() == 4).any():
            return f" ({column} of the right table lost its leading zeros)"
    return ""

"""County codes: states, the changes of codes, and what becomes of a code that is not on the study's frame.

The frame is the 3,142 counties of the Census Bureau's vintage 2019, with New York City's five as one area.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from analysis.base.codebook import validate
from analysis.base.paths import Paths

NEW_YORK_CITY = "36998"
NEW_YORK_COUNTIES = ("36005", "36047", "36061", "36081", "36085")
_STATES = (
    "01AL 02AK 04AZ 05AR 06CA 08CO 09CT 10DE 11DC 12FL 13GA 15HI 16ID 17IL 18IN 19IA 20KS 21KY 22LA 23ME 24MD "
    "25MA 26MI 27MN 28MS 29MO 30MT 31NE 32NV 33NH 34NJ 35NM 36NY 37NC 38ND 39OH 40OK 41OR 42PA 44RI 45SC 46SD "
    "47TN 48TX 49UT 50VT 51VA 53WA 54WV 55WI 56WY"
)
# The fifty states and the District of Columbia.
STATE_POSTAL: Mapping[str, str] = MappingProxyType({word[:2]: word[2:] for word in _STATES.split()})
# Policy sources also name Puerto Rico and Guam.
STATE_OF_FIPS: Mapping[str, str] = MappingProxyType({**STATE_POSTAL, "72": "PR", "66": "GU"})


def load_fips_changes(path: Path | None = None) -> pd.DataFrame:
    """Return the study's table of county code changes (``data/geography/fips_changes.csv``).

    Args:
        path: another such table.

    Returns:
        One row a change, under the contract ``fips_changes``: codes before and after, date, type, how it is
        handled, and for merges the census populations that weight rates.

    Raises:
        TableError: the table breaks its contract.

    Example:
        >>> changes = load_fips_changes()
        >>> changes.loc[changes["old_fips"] == "46113", "new_fips"].tolist()
        ['46102']
    """
    return _read_changes(path or Paths().compiled_geography / "fips_changes.csv").copy()


@cache
def _read_changes(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str)
    for column in ("population_old", "population_new", "census"):
        if column in frame:
            frame[column] = pd.to_numeric(frame[column]).astype("Int64")
    return validate(frame, "fips_changes")


def codes_of(text: Any) -> list[str]:
    """Return the codes of a cell of the table of changes, without what is said of them.

    Example:
        >>> codes_of("02275(part);02195")
        ['02275', '02195']
    """
    return [] if pd.isna(text) else [part[:5] for part in str(text).split(";")]


def recodes(changes: pd.DataFrame) -> dict[str, str]:
    """Return code to code for every change that has one answer: renames, merges, and splits after the frame.

    Example:
        >>> recodes(load_fips_changes())["51515"]
        '51019'
    """
    out: dict[str, str] = {}
    for row in changes.itertuples(index=False):
        if row.type in {"rename", "merge"}:
            out[str(row.old_fips)] = str(row.new_fips)
        elif row.type == "split_later":
            out.update(dict.fromkeys(codes_of(row.new_fips), str(row.old_fips)))
    return out


def refusals(changes: pd.DataFrame) -> dict[str, str]:
    """Return code to reason for every code that has no one place on the 2019 frame.

    Example:
        >>> refusals(load_fips_changes())["09110"][:26]
        'Census products use Connec'
    """
    out: dict[str, str] = {}
    for row in changes.itertuples(index=False):
        codes = (
            codes_of(row.old_fips)
            if row.type == "split"
            else codes_of(row.new_fips)
            if row.type == "replace"
            else []
        )
        out.update(dict.fromkeys(codes, f"{row.what} ({row.effective}): {row.how_handled}"))
    return out

"""Dates and places of policies: the checks that the study's own tables and a user's csv have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.base.errors import SourceError, TableError, nearest

NEW_YORK_CITY = "36998"
NEW_YORK_COUNTIES = ("36005", "36047", "36061", "36081", "36085")
LEVELS = ("county", "city", "state")
DIRECTIONS = ("limit_partial", "limit_full", "repeal", "require", "listed", "ordinance")
# No detainer policy is older, and no panel of the study reaches past the later one: a date outside is a slip.
EARLIEST_YEAR, LATEST_YEAR = 1980, 2026
PRECISIONS = {"year": r"\d{4}", "month": r"\d{4}-\d{2}", "day": r"\d{4}-\d{2}-\d{2}"}
STATE_OF_FIPS = dict(
    zip(
        [
            "01",
            "02",
            "04",
            "05",
            "06",
            "08",
            "09",
            "10",
            "11",
            "12",
            "13",
            "15",
            "16",
            "17",
            "18",
            "19",
            "20",
            "21",
            "22",
            "23",
            "24",
            "25",
            "26",
            "27",
            "28",
            "29",
            "30",
            "31",
            "32",
            "33",
            "34",
            "35",
            "36",
            "37",
            "38",
            "39",
            "40",
            "41",
            "42",
            "44",
            "45",
            "46",
            "47",
            "48",
            "49",
            "50",
            "51",
            "53",
            "54",
            "55",
            "56",
            "72",
            "66",
        ],
        [
            "AL",
            "AK",
            "AZ",
            "AR",
            "CA",
            "CO",
            "CT",
            "DE",
            "DC",
            "FL",
            "GA",
            "HI",
            "ID",
            "IL",
            "IN",
            "IA",
            "KS",
            "KY",
            "LA",
            "ME",
            "MD",
            "MA",
            "MI",
            "MN",
            "MS",
            "MO",
            "MT",
            "NE",
            "NV",
            "NH",
            "NJ",
            "NM",
            "NY",
            "NC",
            "ND",
            "OH",
            "OK",
            "OR",
            "PA",
            "RI",
            "SC",
            "SD",
            "TN",
            "TX",
            "UT",
            "VT",
            "VA",
            "WA",
            "WV",
            "WI",
            "WY",
            "PR",
            "GU",
        ],
        strict=True,
    )
)


def parse_date(text: str, precision: str, where: str) -> tuple[int, int | None]:
    """Return the year and month of a date as precise as it is known.

    Args:
        text: ``2014``, ``2014-04`` or ``2014-04-16``.
        precision: ``year``, ``month`` or ``day``; must agree with the text.
        where: what to name in an error.

    Raises:
        TableError: text and precision disagree, no such day, before 1980, or in the future.

    Example:
        >>> parse_date("2014-04-16", "day", "row 1"), parse_date("1987", "year", "row 2")
        ((2014, 4), (1987, None))
    """
    pattern = PRECISIONS.get(precision)
    if pattern is None or not re.fullmatch(pattern, text):
        raise TableError(
            f"{where}: date '{text}' of precision '{precision}'",
            "2014 (year), 2014-04 (month) or 2014-04-16 (day)",
        )
    full = pd.to_datetime(
        text + {"year": "-01-01", "month": "-01", "day": ""}[precision], errors="coerce", format="%Y-%m-%d"
    )
    if pd.isna(full):
        raise TableError(f"{where}: '{text}' is no day of the calendar", "a date that exists")
    if full.year < EARLIEST_YEAR:
        raise TableError(
            f"{where}: date '{text}' lies before {EARLIEST_YEAR}",
            f"a year from {EARLIEST_YEAR} to {LATEST_YEAR}",
        )
    if full.year > LATEST_YEAR:
        raise TableError(
            f"{where}: date '{text}' lies in the future", f"a year from {EARLIEST_YEAR} to {LATEST_YEAR}"
        )
    return int(full.year), None if precision == "year" else int(full.month)


def precision_of(text: str) -> str:
    """Return the precision a date is written in, or "" for none of the three.

    Example:
        >>> precision_of("2014-04"), precision_of("April 2014")
        ('month', '')
    """
    return next((name for name, pattern in PRECISIONS.items() if re.fullmatch(pattern, text)), "")


def check_place(level: str, fips: str, here: str) -> None:
    """Refuse a level or county code that cannot be right: ``here`` names the row.

    Raises:
        TableError: an unknown level, a state's row with a county code, a code that is not five digits of a
            state.

    Example:
        >>> check_place("county", "01001", "row 1")
    """
    if level not in LEVELS:
        raise TableError(f"{here}: level '{level}'{nearest(level, LEVELS)}", f"one of {', '.join(LEVELS)}")
    if level == "state" and fips:
        raise TableError(f"{here}: a state policy carries the county code '{fips}'", "no county code")
    if level != "state" and not re.fullmatch(r"\d{5}", fips):
        lost = " (a leading zero is lost)" if re.fullmatch(r"\d{4}", fips) else ""
        raise TableError(f"{here}: county code '{fips}'", f"five digits{lost}")
    if level != "state" and fips[:2] not in STATE_OF_FIPS:
        raise TableError(f"{here}: county code '{fips}' begins with no state's code", "a code such as 01001")


def read_user_policies(path: Path) -> pd.DataFrame:
    """Return a user's own policy dates, ready for `make_policy_events` and a design.

    The csv has the columns ``county_fips`` (five digits, quoted in a spreadsheet so that the zero stays),
    ``date`` (2014, 2014-04 or 2014-04-16); optional: ``jurisdiction``, ``state``, ``level`` (county, city,
    state; county if absent), ``direction`` (limit_full if absent; limit_partial, repeal, require),
    ``upper_bound`` and ``verified`` (yes or no), ``source``, ``source_url``, ``note``. A state's row has
    ``level = state``, no county code, a state.

    Raises:
        SourceError: no such file, or a column is missing or unknown.
        TableError: a bad code, level, direction or date; the row is named.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mine.csv"
        >>> _ = path.write_text("county_fips,date\\n01001,2014-04-16\\n")
        >>> read_user_policies(path)[["county_fips", "state", "direction", "year"]].values.tolist()
        [['01001', 'AL', 'limit_full', 2014]]
    """
    if not path.exists():
        raise SourceError(f"there is no file '{path}'", "a csv of policy dates", "treatment.definition")
    given = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    return check_user_policies(given, path.name)


def check_user_policies(given: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the rows of a user's csv with every column filled and checked; see `read_user_policies`.

    Example:
        >>> dates = pd.DataFrame({"county_fips": ["01001"], "date": ["1914"]})
        >>> check_user_policies(dates, "mine.csv")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.TableError: mine.csv, row 1: date '1914' lies before 1980; expected a year ...
    """
    defaults = {
        "jurisdiction": "", "state": "", "level": "county", "direction": "limit_full", "upper_bound": "no",
        "verified": "no", "source": where, "source_url": "", "note": "",
    }  # fmt: skip
    known = ["county_fips", "date", *defaults]
    absent = [column for column in ("county_fips", "date") if column not in given]
    if absent:
        raise SourceError(f"{where} lacks {', '.join(absent)}", "the columns county_fips and date", where)
    unknown = [str(column) for column in given if column not in known]
    if unknown:
        raise SourceError(
            f"{where} has the column '{unknown[0]}'{nearest(unknown[0], known)}",
            f"only {', '.join(known)}",
            where,
        )
    table = given.assign(**{name: value for name, value in defaults.items() if name not in given})
    rows = [{str(name): str(value) for name, value in row.items()} for row in table.to_dict("records")]
    checked = [_user_row(row, f"{where}, row {number}") for number, row in enumerate(rows, start=1)]
    return pd.DataFrame(checked).assign(definition_source="user")


def _user_row(row: Mapping[str, str], here: str) -> dict[str, object]:
    check_place(row["level"], row["county_fips"], here)
    if row["direction"] not in DIRECTIONS:
        raise TableError(
            f"{here}: direction '{row['direction']}'{nearest(row['direction'], DIRECTIONS)}",
            f"one of {', '.join(DIRECTIONS)}",
        )
    state = row["state"] or STATE_OF_FIPS.get(row["county_fips"][:2], "")
    if state not in STATE_OF_FIPS.values():
        raise TableError(
            f"{here}: state '{state}'", "a postal code, or a county code that begins with a state's"
        )
    precision = precision_of(row["date"])
    year, month = parse_date(row["date"], precision, here)
    flags = {name: _yes(row[name], f"{here}: {name}") for name in ("upper_bound", "verified")}
    return {
        **row, **flags, "state": state, "jurisdiction": row["jurisdiction"] or row["county_fips"] or state,
        "county_fips": row["county_fips"] or None, "year": year, "month": month, "precision": precision,
        "basis": "reported_by" if flags["upper_bound"] else "stated",
    }  # fmt: skip


def _yes(text: str, here: str) -> bool:
    if text not in ("yes", "no"):
        raise TableError(f"{here} '{text}'", "yes or no")
    return text == "yes"

"""Dates and places of policies: the checks that the study's own tables and a user's csv have in common."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, TableError, nearest
from analysis.base.fips import (
    NEW_YORK_CITY,
    NEW_YORK_COUNTIES,
    STATE_OF_FIPS,
    STATE_POSTAL,
    load_fips_changes,
    recodes,
    refusals,
)

LEVELS = ("county", "city", "state")
USER_DIRECTIONS = ("limit_full", "limit_partial", "repeal", "require")
# No detainer policy is older, and no panel of the study reaches past the later one: a date outside is a slip.
EARLIEST_YEAR, LATEST_YEAR = 1980, 2026
PRECISIONS = {"year": r"\d{4}", "month": r"\d{4}-\d{2}", "day": r"\d{4}-\d{2}-\d{2}"}
# The names of the study's own compilation, accepted beside those of the documented format.
POLICY_NAMES: Mapping[str, str] = MappingProxyType(
    {"policy_date": "date", "policy_type": "direction", "individually_verified": "verified"}
)
POLICY_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "detainer_decline_without_judicial_warrant_or_probable_cause": "limit_full",
        "full_decline": "limit_full",
        "detainer_partial_limit": "limit_partial",
        "partial_limit": "limit_partial",
        "REPEAL": "repeal",
    }
)
UPPER_BOUNDS = ("reported_by", "listed_by")
BASES = ("enacted", "signed", "effective", "announced", "statewide_inference", *UPPER_BOUNDS)
USER_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "jurisdiction": "", "state": "", "level": "county", "direction": "limit_full", "upper_bound": "no",
        "verified": "no", "source": "", "source_url": "", "note": "",
    }
)  # fmt: skip
_EVENT = ("county_fips", "state", "level", "jurisdiction", "date", "direction")


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


def read_user_policies(path: Path, known: Collection[str] | None = None) -> pd.DataFrame:
    """Return a user's csv of policy dates (contract ``user_policies``); ``docs/user_files.md`` says what it may hold.

    Args:
        path: the csv; UTF-8, with or without a byte-order mark.
        known: county codes of the frame; without it only the state part of a code is checked.

    Raises:
        SourceError: no such file, no readable csv; and as `check_user_policies`.
        TableError: as `check_user_policies`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "mine.csv"
        >>> _ = path.write_text("county_fips,date\\n01001,2014-04-16\\n")
        >>> read_user_policies(path)[["county_fips", "state", "direction", "year"]].values.tolist()
        [['01001', 'AL', 'limit_full', 2014]]
    """
    return check_user_policies(read_user_text(path), known, path.name)


def read_user_text(path: Path) -> pd.DataFrame:
    """Return a user's csv as text, unchecked.

    Raises:
        SourceError: no such file, or no readable csv.
    """
    if not path.exists():
        raise SourceError(f"there is no file '{path.name}'", "a csv of policy dates", "treatment.definition")
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SourceError(
            f"{path.name} is no readable csv ({str(error).strip()})",
            "comma-separated text in UTF-8 with one line of column names",
            path.name,
        ) from None


def check_user_policies(
    given: pd.DataFrame, known: Collection[str] | None = None, where: str = "policies"
) -> pd.DataFrame:
    """Return a user's policy dates, checked, under the contract ``user_policies``; rows are counted from one.

    Args:
        given: the csv as text. Columns ``county_fips`` and ``date``, and optionally ``jurisdiction, state,
            level, direction, upper_bound, verified, source, source_url, note``. The names of the study's own
            table are accepted too: ``policy_date``, ``policy_type`` (full_decline, partial_limit, repeal),
            ``individually_verified`` and ``date_basis`` (reported_by and listed_by make an upper bound).
        known: county codes of the frame; without it only the state part of a code is checked.
        where: the file's name, for errors.

    Returns:
        One row an event, codes those of the 2019 frame; New York City's counties keep their own codes.

    Raises:
        SourceError: no rows; a column missing or unknown (with the nearest name); a county code that cannot
            be right; one event twice; an unknown date basis.
        TableError: a date before 1980, in the future or not of the calendar; an unknown level or direction.

    Example:
        >>> dates = pd.DataFrame({"county_fips": ["01001"], "date": ["1914"]})
        >>> check_user_policies(dates, where="mine.csv")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.TableError: mine.csv, row 1: date '1914' lies before 1980; expected a year ...
    """
    table = check_policy_counties(_user_columns(given, where), known, where)
    rows = [{str(name): str(value) for name, value in row.items()} for row in table.to_dict("records")]
    checked = [_user_row(row, f"{where}, row {number}") for number, row in enumerate(rows, start=1)]
    out = pd.DataFrame(checked).assign(definition_source="user")
    _refuse_repeated_events(out, where)
    return validate(
        out.assign(
            month=pd.array([pd.NA if pd.isna(m) else int(m) for m in out["month"]], dtype="Int64"),
            county_fips=out["county_fips"].astype(object),
        ),
        "user_policies",
    )


def check_policy_counties(
    given: pd.DataFrame, known: Collection[str] | None = None, where: str = "policies"
) -> pd.DataFrame:
    """Return the rows of a policy csv with county codes of the 2019 frame, or say which code is wrong and why.

    Args:
        given: text with a column ``county_fips``, empty for state policies.
        known: county codes of the frame; without it only the state part is checked. New York City may stand
            under its area's code or those of its counties, whichever of them the frame holds.
        where: the file's name, for errors.

    Raises:
        SourceError: a code that lost its zero, a Connecticut planning region, a county split before 2019, or
            a code that is no county; the row is named.

    Example:
        >>> check_policy_counties(pd.DataFrame({"county_fips": ["46113"]}))["county_fips"].tolist()
        ['46102']
    """
    frame = None if known is None else {*known, NEW_YORK_CITY, *NEW_YORK_COUNTIES}
    changes = load_fips_changes()
    reasons, answers = refusals(changes), recodes(changes)
    for row, written in enumerate(given["county_fips"], start=1):
        here = f"{where}, row {row}: county code '{written}'"
        if re.fullmatch(r"\d{4}", written):
            raise SourceError(
                f"{here} lost its leading zero, as numbers do",
                f"'0{written}': format the column as text before typing, or export it as text",
                where,
            )
        if written in reasons:
            raise SourceError(f"{here}: {reasons[written]}", "a county of the 2019 frame", where)
        code = answers.get(written, written)
        if not re.fullmatch(r"\d{5}", code):
            continue  # empty for a state; anything else is refused with the level beside it
        if code[:2] not in STATE_POSTAL if frame is None else code not in frame:
            near = [] if frame is None else sorted(other for other in frame if other[:2] == code[:2])
            raise SourceError(
                f"{here} is no county{nearest(code, near)}", "a county of the 2019 frame", where
            )
    return given.assign(county_fips=given["county_fips"].replace(answers))


def _user_columns(given: pd.DataFrame, where: str) -> pd.DataFrame:
    """Text columns under the names of the documented format, absent ones filled with their defaults."""
    given = given.rename(columns=str.strip)
    for alias, name in POLICY_NAMES.items():
        if alias in given and name in given:
            raise SourceError(
                f"{where} has both '{alias}' and '{name}'", f"one of them, best '{name}'", where
            )
    given = given.rename(columns=dict(POLICY_NAMES))
    known = ["county_fips", "date", *USER_DEFAULTS]
    absent = [column for column in ("county_fips", "date") if column not in given]
    if absent:
        raise SourceError(f"{where} lacks {', '.join(absent)}", "the columns county_fips and date", where)
    # How precise a date is can be read from it.
    unknown = [str(name) for name in given if name not in (*known, "date_basis", "date_precision")]
    if unknown:
        raise SourceError(
            f"{where} has the column '{unknown[0]}'{nearest(unknown[0], known)}",
            f"only {', '.join(known)}",
            where,
        )
    if given.empty:
        raise SourceError(f"{where} has column names and no rows", "one row an event", where)
    text = given.apply(lambda column: column.fillna("").astype(str).str.strip())
    if "direction" in text:
        text = text.assign(direction=text["direction"].replace(dict(POLICY_TYPES)))
    if "date_basis" in text:
        text = text.assign(upper_bound=_bounds(text, where))
    defaults = {**USER_DEFAULTS, "source": where}
    # An empty cell of an optional column means its default, as an absent column does.
    table = text.reindex(columns=known, fill_value="")
    return table.assign(
        **{name: table[name].where(table[name] != "", value) for name, value in defaults.items()}
    )


def _bounds(text: pd.DataFrame, where: str) -> pd.Series:
    """Whether each date is an upper bound, by its basis; a column that says otherwise is refused."""
    bound = text["date_basis"].isin(UPPER_BOUNDS).map({True: "yes", False: "no"})
    stated = text.get("upper_bound", bound)
    for row, (basis, implied, said) in enumerate(
        zip(text["date_basis"], bound, stated, strict=True), start=1
    ):
        if basis not in (*BASES, ""):
            raise SourceError(
                f"{where}, row {row}: date_basis '{basis}'{nearest(basis, BASES)}",
                f"one of {', '.join(BASES)}",
                where,
            )
        if said not in ("", implied):
            raise SourceError(
                f"{where}, row {row}: upper_bound '{said}' beside date_basis '{basis}'",
                "two columns that agree, or one of them",
                where,
            )
    return bound


def _refuse_repeated_events(events: pd.DataFrame, where: str) -> None:
    # Cities of one county are told apart by their jurisdiction; a county is one whatever it is called.
    unit = events["jurisdiction"].where(events["level"] == "city", "")
    key = events[list(_EVENT)].assign(jurisdiction=unit, county_fips=events["county_fips"].fillna(""))
    repeated = key.duplicated(keep=False)
    if repeated.any():
        first = key[repeated].iloc[0]
        rows = [str(row + 1) for row in np.flatnonzero((key == first).all(axis=1))]
        place = first["county_fips"] or first["state"]
        raise SourceError(
            f"{where}, rows {' and '.join(rows)}: '{first['direction']}' of {place} on {first['date']} twice",
            "one row an event (renamed and merged counties count under their code of 2019)",
            where,
        )


def _user_row(row: Mapping[str, str], here: str) -> dict[str, object]:
    check_place(row["level"], row["county_fips"], here)
    if row["direction"] not in USER_DIRECTIONS:
        raise TableError(
            f"{here}: direction '{row['direction']}'{nearest(row['direction'], USER_DIRECTIONS)}",
            f"one of {', '.join(USER_DIRECTIONS)}",
        )
    of_code = STATE_OF_FIPS.get(row["county_fips"][:2], "")
    state = row["state"] or of_code
    if of_code and state != of_code:
        raise TableError(
            f"{here}: state '{state}' beside county code '{row['county_fips']}', which is in {of_code}",
            "two columns that agree, or the county code alone",
        )
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

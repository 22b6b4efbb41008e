"""FBI *Crime in the United States*, Tables 8 and 10: offences by city agency and by county agency, 2005-2019.

Table 8 lists every city agency with twelve complete months, Table 10 sheriffs and county police (in the 2016
edition they are Tables 6 and 8). Years 2005 and 2007 of Table 8 come as one csv page a state, 2012 as both.

What the reader keeps apart: a blank cell is missing, never zero; the legacy and the revised count of rape
have a column each; ``violent`` and ``property`` stay as printed. What it takes off: footnote digits on names
and states, whose texts go to the rows that carry them. What it cannot know: the csv pages carry digits
without texts, so their rows say so in ``footnotes`` and are never flagged as not comparable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, TableError
from analysis.panel.sources.fbi_sheet import (
    LABELS,
    OFFENCES,
    Header,
    Notes,
    Rows,
    blank,
    check_title,
    clean,
    csv_rows,
    find_header,
    offence_columns,
    read_notes,
    says_not_comparable,
    split_digits,
    state_code,
    texts,
    to_numbers,
    workbook_rows,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

YEARS = range(2005, 2020)
COUNTS = (*OFFENCES, "arson")
COLUMNS = (
    "year",
    "table",
    "state",
    "agency_name",
    "county_name",
    "metro",
    "population",
    *COUNTS,
    "rape_definition",
    "footnotes",
    "not_comparable",
    "row",
)

# One agency, printed under both kinds of county with the same numbers: the row of the kind the county is
# in (Clark belongs to the Louisville metropolitan area, Story to Ames) is kept, the other goes to `unread`.
PRINTED_TWICE = {
    (2011, "10", "IN", "Clark"): "metropolitan",
    (2011, "10", "IA", "Story"): "metropolitan",
}

# The sheet's spelling of a county, and the county's own; the last four name a joint government of city and
# county.
COUNTY_SPELLING = {
    ("IN", "Bartholemew"): "Bartholomew",
    ("KS", "Pottawattamie"): "Pottawatomie",
    ("MD", "Allegheny"): "Allegany",
    ("MI", "Allegany"): "Allegan",
    ("NV", "Story"): "Storey",
    ("NY", "Duchess"): "Dutchess",
    ("NY", "Putman"): "Putnam",
    ("GA", "Augusta-Richmond"): "Richmond",
    ("MT", "Butte-Silver Bow"): "Silver Bow",
    ("TN", "Hartsville-Trousdale"): "Trousdale",
    ("TN", "Hartsville/Trousdale"): "Trousdale",
}

_STRAY = "a 0 under the revised definition of rape is not read: the printed total holds the legacy count"
_LABELS_8 = {**LABELS, "city": "agency_name"}
_LABELS_10 = {**LABELS, "county": "agency_name"}
_HEADING_10 = re.compile(r"(.+?)\s*[-–—\ue83a]\s*(Metropolitan|Nonmetropolitan) Counties\s*(\d[\d, ]*)?")
_POLICE = re.compile(
    r"(?: County)?(?: Unified)? (?:Police Department|Bureau of Police|Public Safety)$| County$"
)


@dataclass(frozen=True, slots=True)
class AgencyTables:
    """Agencies read, and every other line that carries something and is no title, header or footnote.

    Args:
        agencies: one row an agency and year; columns of the codebook's ``agencies``.
        unread: year, table, state, row, content, reason. Empty pages and states printed without data stand
            here, and the second of two identical rows.
    """

    agencies: pd.DataFrame
    unread: pd.DataFrame


@dataclass(slots=True)
class _Lines:
    """Lines of one sheet on their way to a table; `cells` holds the source row of each agency."""

    at: list[int]
    cells: list[Sequence[Any]]
    state: list[str]
    metro: list[str | None]
    name: list[str]
    digits: list[tuple[int, ...]]
    unread: list[dict[str, Any]]

    @classmethod
    def none(cls) -> _Lines:
        return cls([], [], [], [], [], [], [])


def county_name_of(state: str, agency: str) -> str:
    """Return the county a Table 10 agency belongs to: its name without the words for a police force.

    Example:
        >>> county_name_of("GA", "Gwinnett County Police Department")
        'Gwinnett'
        >>> county_name_of("VA", "Charles City")
        'Charles City'
    """
    name = _POLICE.sub("", agency)
    return COUNTY_SPELLING.get((state, name), name)


# --- one sheet ------------------------------------------------------------------------------


def parse_table8(rows: Rows, year: int, where: str = "Table 8") -> AgencyTables:
    """Return the city agencies of a Table 8 workbook.

    Args:
        rows: rows of the sheet, cells as a workbook gives them (numbers as floats).
        year: the year asked for; the title must say the same.
        where: the file, for messages.

    Raises:
        SourceError: another year or table, a column missing, unknown or repeated, an unknown state, an empty
            sheet.
        TableError: a negative or broken number, figures without a name, a footnote digit without a text, one
            agency printed twice.

    Example:
        >>> head = ["State", "City", "Population", "Violent crime", "Murder and nonnegligent manslaughter",
        ...         "Forcible rape", "Robbery", "Aggravated assault", "Property crime", "Burglary",
        ...         "Larceny-theft", "Motor vehicle theft", "Arson1"]
        >>> rows = [["by State by City, 2010"], head,
        ...         ["OHIO", "Elm2", 900.0, "", 0.0, "", 1.0, 2.0, 9.0, 3.0, 4.0, 2.0, " "],
        ...         ["1 Arson needs 12 months."], ["2 Figures are not comparable to previous years' data."]]
        >>> table = parse_table8(rows, 2010).agencies
        >>> table[["state", "agency_name", "violent", "robbery", "not_comparable"]].values.tolist()
        [['OH', 'Elm', nan, 1.0, True]]
    """
    header = find_header(rows, "state", _LABELS_8, _wanted(year, "state", "agency_name", "population"), where)
    check_title(rows, header.row, year, "by State by City", where)
    return _parse_workbook(rows, year, "8", header, where)


def parse_table10(rows: Rows, year: int, where: str = "Table 10") -> AgencyTables:
    """Return the county agencies of a Table 10 workbook; arguments and errors as in `parse_table8`.

    The sheet heads each state twice, for metropolitan and nonmetropolitan counties, and prints no population.
    """
    header = find_header(rows, "state", _LABELS_10, _wanted(year, "state", "agency_name"), where)
    check_title(rows, header.row, year, "by State by Metropolitan and Nonmetropolitan Counties", where)
    return _parse_workbook(rows, year, "10", header, where)


def parse_state_pages(pages: Mapping[str, Rows], year: int, where: str = "Table 8 by state") -> AgencyTables:
    """Return the city agencies of Table 8's csv pages, one page a state.

    Args:
        pages: state name as in the file's name (``New_York``) to the rows of its page; no row at all is a
            page of 0 bytes, which says that no agency of the state was published.
        year: the year asked for. A page prints none: only the file's hash holds it to its year.
        where: the folder, for messages.

    Raises:
        SourceError: a column missing, unknown or repeated, an unknown state, a page with a header and no
            agency, or a line before the header that is not the site's own banner.
        TableError: as in `parse_table8`.

    Example:
        >>> parse_state_pages({"Rhode_Island": []}, 2007).unread[["state", "reason"]].values.tolist()
        [['RI', 'page of 0 bytes: no agency of this state was published']]
    """
    wanted = _wanted(year, "agency_name", "population")
    tables, unread = [], []
    for page in sorted(pages):
        rows, here = pages[page], f"{where}/{page}.csv"
        state = state_code(page.replace("_", " ").upper(), here)
        if not rows:
            reason = "page of 0 bytes: no agency of this state was published"
            unread.append(_line(year, "8", state, 0, "", reason))
            continue
        header = find_header(rows, "city", _LABELS_8, wanted, here)
        lines = _page_lines(rows, year, state, header, here)
        if not lines.at:
            raise SourceError(f"{here} has a header and no agency", "agencies, or a page of 0 bytes", here)
        unread += lines.unread
        tables.append(_frame(lines, year, "8", header, Notes({}, len(rows), known=False), here))
    return _finished(tables, unread, year, "8", where)


def _wanted(year: int, *keys: str) -> tuple[str, ...]:
    return (*keys, *offence_columns(year), "arson")


def _line(year: int, table: str, state: str, row: int, content: str, reason: str) -> dict[str, Any]:
    return {"year": year, "table": table, "state": state, "row": row, "content": content, "reason": reason}


def _parse_workbook(rows: Rows, year: int, table: str, header: Header, where: str) -> AgencyTables:
    notes = read_notes(rows, header.row, where)
    lines = _workbook_lines(rows, year, table, header, notes, where)
    if not lines.at:
        raise SourceError(f"{where} has a header and no agency", "rows of agencies", where)
    return _finished([_frame(lines, year, table, header, notes, where)], lines.unread, year, table, where)


def _workbook_lines(rows: Rows, year: int, table: str, header: Header, notes: Notes, where: str) -> _Lines:
    lines, seen = _Lines.none(), set()
    name_at, width = header.columns["agency_name"], header.width
    state, metro = "", None
    state_digits: tuple[int, ...] = ()
    for at in range(header.row + 1, notes.row):
        row = rows[at]
        here = f"{where}, row {at + 1}"
        if len(row) > width and any(not blank(cell) for cell in row[width:]):
            raise TableError(f"{where} has text right of its last column", "blank cells", here)
        headed = row[0] != "" and not blank(row[0])
        if headed:
            state, metro, state_digits = _heading(clean(row[0]), table, notes, here)
            if (state, metro) in seen:
                raise SourceError(f"{where} heads {state} {metro or 'cities'} twice", "each once", here)
            seen.add((state, metro))
        name = clean(row[name_at])
        if name:
            if not state:
                raise SourceError(f"{where} has the agency {name!r} under no state", "a heading", here)
            if table == "10" and metro is None:
                raise SourceError(f"{where} has {name!r} under {state} alone", "the kind of county too", here)
            name, digits = split_digits(name, notes, here)
            if all(blank(cell) for cell in row[name_at + 1 : width]):
                lines.unread.append(_line(year, table, state, at + 1, name, "agency printed without figures"))
                continue
            lines.at.append(at)
            lines.cells.append(row)
            lines.state.append(state)
            lines.metro.append(metro)
            lines.name.append(name)
            lines.digits.append(digits + state_digits)
        elif any(not blank(cell) for cell in row[1:width]):
            raise TableError(f"{where} has figures without an agency's name", "a name", here)
        elif headed:
            reason = f"state printed without data: {notes.text(state_digits) or 'no footnote'}"
            lines.unread.append(_line(year, table, state, at + 1, clean(row[0]), reason))
    return lines


def _heading(cell: str, table: str, notes: Notes, where: str) -> tuple[str, str | None, tuple[int, ...]]:
    cell, digits = split_digits(cell, notes, where)
    if table == "8":
        return state_code(cell, where), None, digits
    match = _HEADING_10.fullmatch(cell)
    if match is None:
        return state_code(cell, where), None, digits
    return state_code(match[1], where), match[2].lower(), digits


def _page_lines(rows: Rows, year: int, state: str, header: Header, where: str) -> _Lines:
    lines = _Lines.none()
    for at, row in enumerate(rows[: header.row]):
        if any(not blank(cell) for cell in row):
            content = " / ".join(clean(cell) for cell in row)
            if "Criminal Justice Information Services" not in content:
                raise SourceError(
                    f"{where} begins with {content[:60]!r}", "its header", f"{where}, row {at + 1}"
                )
            lines.unread.append(_line(year, "8", state, at + 1, content, "the site's banner"))
    name_at, width = header.columns["agency_name"], header.width
    unknown = Notes({}, len(rows), known=False)
    for at in range(header.row + 1, len(rows)):
        row = rows[at]
        if all(blank(cell) for cell in row):
            continue
        if len(row) != width:
            raise TableError(f"{where} has {len(row)} cells", f"{width} cells", f"{where}, row {at + 1}")
        name, digits = split_digits(clean(row[name_at]), unknown, f"{where}, row {at + 1}")
        if not name:
            raise TableError(
                f"{where} has figures without an agency's name", "a name", f"{where}, row {at + 1}"
            )
        if all(blank(cell) for cell in row[name_at + 1 :]):
            lines.unread.append(_line(year, "8", state, at + 1, name, "agency printed without figures"))
            continue
        lines.at.append(at)
        lines.cells.append(row)
        lines.state.append(state)
        lines.metro.append(None)
        lines.name.append(name)
        lines.digits.append(digits)
    return lines


def _frame(lines: _Lines, year: int, table: str, header: Header, notes: Notes, where: str) -> pd.DataFrame:
    size = len(lines.at)
    columns = list(zip(*lines.cells, strict=True)) if size else []
    numbers = {
        name: to_numbers(columns[index], name, lines.at, where)
        for name, index in header.columns.items()
        if name not in ("state", "agency_name")
    }
    note_of = {digits: notes.text(digits) for digits in set(lines.digits)}
    flag_of = {digits: notes.known and says_not_comparable(text) for digits, text in note_of.items()}
    footnotes = [note_of[digits] for digits in lines.digits]
    nowhere = np.full(size, np.nan)
    if "rape_legacy" in numbers and "rape_revised" in numbers:
        stray = stray_zeros(numbers)
        numbers["rape_revised"] = np.where(stray, np.nan, numbers["rape_revised"])
        for index in np.flatnonzero(stray):
            footnotes[index] = _and(footnotes[index], _STRAY)
    definition = rape_definition(
        year, numbers.get("rape_legacy", nowhere), numbers.get("rape_revised", nowhere)
    )
    county = (
        [county_name_of(state, name) for state, name in zip(lines.state, lines.name, strict=True)]
        if table == "10"
        else [None] * size
    )
    return pd.DataFrame(
        {
            "year": year,
            "table": texts([table] * size),
            "state": texts(lines.state),
            "agency_name": texts(lines.name),
            "county_name": texts(county),
            "metro": texts(lines.metro),
            "population": numbers.get("population", nowhere),
            **{name: numbers.get(name, nowhere) for name in COUNTS},
            "rape_definition": texts(definition),
            "footnotes": texts(footnotes),
            "not_comparable": np.array([flag_of[digits] for digits in lines.digits], dtype=bool),
            "row": np.array(lines.at, dtype="int64") + 1,
        }
    )


def rape_definition(year: int, legacy: np.ndarray, revised: np.ndarray) -> list[str | None]:
    """Return the definition each row's count of rape follows: ``legacy``, ``revised`` or None.

    Up to 2012 there is one definition, so a blank cell has it too; from 2013 the filled column says which.

    Args:
        year: year of the sheet.
        legacy, revised: counts, missing where blank, at most one of them present in a row, (n,).

    Example:
        >>> import numpy as np
        >>> rape_definition(2014, np.array([np.nan, 2.0, np.nan]), np.array([3.0, np.nan, np.nan]))
        ['revised', 'legacy', None]
    """
    if year <= 2012:
        return ["legacy"] * len(legacy)
    filled = zip((~np.isnan(legacy)).tolist(), (~np.isnan(revised)).tolist(), strict=True)
    return ["legacy" if old else "revised" if new else None for old, new in filled]


def stray_zeros(numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return which rows carry a 0 under the revised definition beside the legacy count that the total holds.

    Three county agencies of 2015 do; read as it stands, the 0 would say that nothing was reported.

    Args:
        numbers: column name to counts, missing where blank, (n,) each.

    Returns:
        Flags, (n,).

    Raises:
        TableError: a row fills both columns in any other way.

    Example:
        >>> import numpy as np
        >>> row = dict(violent=9.0, murder=1.0, rape_legacy=3.0, rape_revised=0.0, robbery=5.0,
        ...            aggravated_assault=0.0)
        >>> stray_zeros({name: np.array([value]) for name, value in row.items()}).tolist()
        [True]
    """
    both = ~np.isnan(numbers["rape_legacy"]) & ~np.isnan(numbers["rape_revised"])
    summed = sum(numbers[part] for part in ("murder", "rape_legacy", "robbery", "aggravated_assault"))
    stray = both & (numbers["rape_revised"] == 0) & (numbers["violent"] == summed)
    if (both & ~stray).any():
        raise TableError(
            f"{int((both & ~stray).sum())} agencies have both counts of rape", "one definition an agency"
        )
    return stray


# --- duplicates ------------------------------------------------------------------------------


def _and(printed: Any, ours: str) -> str:
    return f"{printed}; {ours}" if isinstance(printed, str) else ours


def _finished(
    tables: list[pd.DataFrame], unread: list[dict[str, Any]], year: int, table: str, where: str
) -> AgencyTables:
    report = pd.DataFrame(unread, columns=["year", "table", "state", "row", "content", "reason"])
    if not tables:
        return AgencyTables(pd.DataFrame(columns=list(COLUMNS)), report)
    agencies = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    agencies, dropped = _without_twins(agencies, year, table, where)
    return AgencyTables(agencies, pd.concat([report, dropped], ignore_index=True) if len(dropped) else report)


def _without_twins(
    agencies: pd.DataFrame, year: int, table: str, where: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two rows of one name: identical numbers are one agency printed twice, other numbers are two agencies.

    The first is refused unless `PRINTED_TWICE` names it; the second is kept, and a footnote of ours says so.
    """
    repeated = agencies.duplicated(["state", "agency_name"], keep=False).to_numpy()
    if not repeated.any():
        return agencies, pd.DataFrame()
    agencies, lines, drop = agencies.copy(), [], []
    for (state, name), twins in agencies[repeated].groupby(["state", "agency_name"], sort=True):
        rows = twins["row"].tolist()
        if not twins.duplicated(["population", *COUNTS]).any():
            for index, printed in twins["footnotes"].items():
                agencies.loc[index, "footnotes"] = _and(
                    printed, "two agencies of this name in the year's table"
                )
            continue
        keep = PRINTED_TWICE.get((year, table, str(state), str(name)))
        if keep is None or (twins["metro"] == keep).sum() != 1:
            raise TableError(
                f"{where} prints {name}, {state} with the same numbers in rows {rows}",
                "each agency once (a known slip of the sheet belongs in PRINTED_TWICE)",
                f"{where}, rows {rows}",
            )
        ours = f"printed twice with the same numbers, rows {rows}"
        for index, twin in twins.iterrows():
            if twin["metro"] == keep:
                agencies.loc[index, "footnotes"] = _and(twin["footnotes"], ours)
            else:
                drop.append(index)
                reason = f"{ours}; the {keep} row is kept"
                lines.append(_line(year, table, str(state), int(twin["row"]), str(name), reason))
    return agencies.drop(index=drop).reset_index(drop=True), pd.DataFrame(lines)


# --- all years ------------------------------------------------------------------------------


def read_agency_tables(raw: RawFiles, years: Iterable[int] = YEARS) -> AgencyTables:
    """Read Tables 8 and 10 of these years.

    Args:
        raw: the folder of raw files, held against the manifest.
        years: years from 2005 to 2019.

    Returns:
        Agencies, validated against the codebook and sorted by year, table, state and row, and what was not
        read.

    Raises:
        SourceError: a file is missing, damaged or another one, or a year has no file.
        TableError: a sheet breaks its contract.
    """
    parts: list[AgencyTables] = []
    for year in sorted(set(years)):
        workbook = f"fbi/table8/{year}.xls"
        if workbook in raw.family("fbi_table8"):
            parts.append(parse_table8(workbook_rows(raw.path(workbook)), year, workbook))
        else:
            parts.append(read_state_pages(raw, year))
        county = f"fbi/table10/{year}.xls"
        if county not in raw.family("fbi_table10"):
            raise SourceError(
                f"no Table 10 of {year} is listed", f"{county} in the family fbi_table10", "the manifest"
            )
        parts.append(parse_table10(workbook_rows(raw.path(county)), year, county))
    agencies = pd.concat([part.agencies for part in parts], ignore_index=True)
    agencies = agencies.sort_values(["year", "table", "state", "row"], kind="stable", ignore_index=True)
    unread = pd.concat([part.unread for part in parts if len(part.unread)], ignore_index=True)
    return AgencyTables(validate(agencies, "agencies"), unread)


def read_agencies(raw: RawFiles, years: Iterable[int] = YEARS) -> pd.DataFrame:
    """Return the agencies of `read_agency_tables` alone: the tidy table ``agencies`` of the codebook."""
    return read_agency_tables(raw, years).agencies


def read_state_pages(raw: RawFiles, year: int) -> AgencyTables:
    """Return one year's Table 8 from its csv pages; 2012 has these and a workbook, a check on the parser.

    Raises:
        SourceError: the year has no page.
    """
    folder = f"fbi/table8_by_state/{year}"
    listed = [PurePosixPath(path) for path in raw.family("fbi_table8_by_state")]
    pages = {path.stem: csv_rows(raw.path(str(path))) for path in listed if str(path.parent) == folder}
    if not pages:
        wanted = f"fbi/table8/{year}.xls, or pages in {folder}"
        raise SourceError(f"no Table 8 of {year} is listed", wanted, "the manifest")
    return parse_state_pages(pages, year, folder)

"""What every FBI sheet shares: titles, headers that move, footnote digits, state headings, strict numbers.

All functions take lists of rows as they come out of a workbook or a csv file, so that a test needs no file.
Rows and columns are counted from 0 inside and named from 1 in messages, as a spreadsheet shows them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.base.errors import SourceError, TableError

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

Row = Sequence[Any]
Rows = Sequence[Row]

_STATE_LIST = (
    "ALABAMA AL,ALASKA AK,ARIZONA AZ,ARKANSAS AR,CALIFORNIA CA,COLORADO CO,CONNECTICUT CT,"
    "DELAWARE DE,DISTRICT OF COLUMBIA DC,FLORIDA FL,GEORGIA GA,HAWAII HI,IDAHO ID,ILLINOIS IL,"
    "INDIANA IN,IOWA IA,KANSAS KS,KENTUCKY KY,LOUISIANA LA,MAINE ME,MARYLAND MD,MASSACHUSETTS MA,"
    "MICHIGAN MI,MINNESOTA MN,MISSISSIPPI MS,MISSOURI MO,MONTANA MT,NEBRASKA NE,NEVADA NV,"
    "NEW HAMPSHIRE NH,NEW JERSEY NJ,NEW MEXICO NM,NEW YORK NY,NORTH CAROLINA NC,NORTH DAKOTA ND,"
    "OHIO OH,OKLAHOMA OK,OREGON OR,PENNSYLVANIA PA,RHODE ISLAND RI,SOUTH CAROLINA SC,SOUTH DAKOTA SD,"
    "TENNESSEE TN,TEXAS TX,UTAH UT,VERMONT VT,VIRGINIA VA,WASHINGTON WA,WEST VIRGINIA WV,"
    "WISCONSIN WI,WYOMING WY,PUERTO RICO PR"
)
STATES = {pair.rsplit(" ", 1)[0]: pair.rsplit(" ", 1)[1] for pair in _STATE_LIST.split(",")}

OFFENCES = (
    "violent",
    "murder",
    "rape_legacy",
    "rape_revised",
    "robbery",
    "aggravated_assault",
    "property",
    "burglary",
    "larceny",
    "motor_vehicle_theft",
)

LABELS = {
    "violentcrime": "violent",
    "murderandnonnegligentmanslaughter": "murder",
    "forciblerape": "rape_legacy",
    "rape(legacydefinition)": "rape_legacy",
    "rape(reviseddefinition)": "rape_revised",
    "rape": "rape_revised",
    "robbery": "robbery",
    "aggravatedassault": "aggravated_assault",
    "propertycrime": "property",
    "burglary": "burglary",
    "larcenytheft": "larceny",
    "motorvehicletheft": "motor_vehicle_theft",
    "arson": "arson",
    "population": "population",
    "state": "state",
}

_NOTE = re.compile(r"\s*(\d{1,2})\s*([A-Za-z].*)", re.DOTALL)
_DIGITS = re.compile(r"(.*[^\s\d,])((?:\d{1,2})(?:\s*,\s*\d{1,2})*)", re.DOTALL)
_NOT_COMPARABLE = re.compile(r"\bnot (?:be )?comparable\b")
_HEADER_DEPTH = 15


def offence_columns(year: int) -> tuple[str, ...]:
    """Return the offence columns a sheet of that year carries, by the definition of rape in force.

    Example:
        >>> [c for year in (2012, 2014, 2017) for c in offence_columns(year) if c.startswith("rape")]
        ['rape_legacy', 'rape_legacy', 'rape_revised', 'rape_revised']
    """
    absent = {"rape_revised"} if year <= 2012 else {"rape_legacy"} if year >= 2017 else set()
    return tuple(column for column in OFFENCES if column not in absent)


def blank(cell: Any) -> bool:
    """Return whether a cell holds nothing but space."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def clean(cell: Any) -> str:
    """Return a cell's text with line breaks and runs of space made one space, and no space at the ends."""
    return " ".join(cell.split()) if isinstance(cell, str) else "" if cell is None else str(cell)


# --- files ------------------------------------------------------------------------------


def workbook_rows(path: Path) -> list[list[Any]]:
    """Return the rows of a workbook's first sheet, from its first cell on.

    Args:
        path: an ``.xls`` or ``.xlsx`` file.

    Raises:
        SourceError: it is no workbook, or its first sheet holds nothing.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        rows = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    except (CalamineError, OSError, ValueError, IndexError) as error:
        raise SourceError(
            f"{path.name} cannot be read as a workbook: {error}", "an Excel workbook", str(path)
        ) from error
    return list(rows)


def csv_rows(path: Path) -> list[list[Any]]:
    """Return the rows of a csv file in UTF-8 (with or without a mark); a file of 0 bytes has none.

    Raises:
        SourceError: the bytes are not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path.name} is not UTF-8 text: {error}", "a csv file in UTF-8", str(path)
        ) from error
    return list(csv.reader(io.StringIO(text, newline="")))


# --- title and header ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """Where a sheet's columns are.

    Args:
        row: index of the header row.
        columns: column name to index; names as in the codebook.
        width: columns up to and including the last labelled one; nothing may stand right of it.
    """

    row: int
    columns: Mapping[str, int]
    width: int


def label_of(cell: Any) -> str:
    """Return a header label without footnote digits, line breaks, hyphens and case.

    Example:
        >>> label_of("Rape\\n(revised\\ndefinition2) "), label_of("Larceny-\\ntheft"), label_of("Arson1")
        ('rape(reviseddefinition)', 'larcenytheft', 'arson')
    """
    return re.sub(r"[\d\s–—-]+", "", clean(cell)).lower()


def find_header(
    rows: Rows,
    first: str,
    known: Mapping[str, str],
    wanted: Iterable[str],
    where: str,
    unlabelled: Iterable[int] = (),
) -> Header:
    """Return where the header row is and which column holds what.

    Args:
        rows: rows of the sheet.
        first: label of the header's first cell, as `label_of` gives it.
        known: label to column name.
        wanted: column names that must be there, each once, and no other.
        where: the file, for messages.
        unlabelled: indices of columns that carry values under a blank label.

    Raises:
        SourceError: no header row, a column missing, unknown or repeated.
    """
    if not any(not blank(cell) for row in rows for cell in row):
        raise SourceError(f"{where} is empty", "a sheet with a title, a header and rows", where)
    at = next((i for i, row in enumerate(rows[:_HEADER_DEPTH]) if row and label_of(row[0]) == first), None)
    if at is None:
        found = next(clean(cell) for row in rows for cell in row if not blank(cell))
        raise SourceError(
            f"{where} has no header row (its first text is {found[:60]!r})",
            f"a row that begins with '{first}' among the first {_HEADER_DEPTH}",
            where,
        )
    columns: dict[str, int] = {}
    for index, cell in enumerate(rows[at]):
        label = label_of(cell)
        if not label:
            continue
        name = known.get(label, f"unknown column '{clean(cell)}'")
        if name in columns:
            raise SourceError(
                f"{where} has the column {name} twice", "each column once", f"{where}, row {at + 1}"
            )
        columns[name] = index
    absent = [name for name in wanted if name not in columns]
    unknown = [name for name in columns if name not in set(wanted)]
    if absent or unknown:
        found = "; ".join([*(f"lacks {name}" for name in absent), *(f"has {name}" for name in unknown)])
        raise SourceError(
            f"the header of {where} {found}", f"the columns {', '.join(wanted)}", f"{where}, row {at + 1}"
        )
    return Header(at, columns, max([*columns.values(), *unlabelled]) + 1)


def check_title(rows: Rows, header: int, year: int, words: str, where: str) -> None:
    """Raise SourceError unless the rows above the header name this table and this year, and no other year.

    Args:
        rows: rows of the sheet.
        header: index of the header row.
        year: the year asked for.
        words: what the title must say, e.g. ``by State by City``.
        where: the file, for messages.

    Example:
        >>> rows = [["Table 8"], ["by State by City, 2011 "], ["State"]]
        >>> check_title(rows, 2, 2012, "by State by City", "2012.xls")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.SourceError: the title of 2012.xls says 'by State by City, 2011'; ...
    """
    lines = [clean(cell) for row in rows[:header] for cell in row if not blank(cell)]
    line = next((line for line in lines if line.startswith(words)), " / ".join(lines))
    if not line.startswith(words + ",") or set(re.findall(r"\b(?:19|20)\d\d\b", line)) != {str(year)}:
        raise SourceError(f"the title of {where} says {line[:120]!r}", f"'{words}', {year}", where)


# --- footnotes ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notes:
    """Footnotes of a sheet.

    Args:
        texts: digit to text; empty on a page that carries digits without their texts.
        row: index of the first footnote row, or the number of rows.
        known: whether the sheet prints its texts at all.
    """

    texts: Mapping[int, str]
    row: int
    known: bool = True

    def text(self, digits: Sequence[int]) -> str | None:
        """Return the texts of these digits joined by ``; ``, or None for no digit."""
        if not digits:
            return None
        if not self.known:
            return "; ".join(f"footnote {digit}, its text is not on the page" for digit in digits)
        return "; ".join(dict.fromkeys(self.texts[digit] for digit in digits))


def read_notes(rows: Rows, header: int, where: str) -> Notes:
    """Return the footnotes at a sheet's end.

    A footnote row holds one cell, the first, that begins with a number; so does everything below the first
    one, but for blank rows and a line that begins with ``NOTE:``.

    Raises:
        SourceError: a digit has two texts, or another kind of row stands below the footnotes.

    Example:
        >>> rows = [["State"], ["ALABAMA2"], ["1 Blank is not zero."], ["2Limited data."]]
        >>> notes = read_notes(rows, 0, "x.xls")
        >>> notes.row, dict(notes.texts)
        (2, {1: 'Blank is not zero.', 2: 'Limited data.'})
    """
    start, texts = len(rows), {}
    for index in range(len(rows) - 1, header, -1):
        row = rows[index]
        if all(blank(cell) for cell in row):
            continue
        alone = all(blank(cell) for cell in row[1:])
        match = _NOTE.fullmatch(row[0]) if alone and isinstance(row[0], str) else None
        if match is None:
            if alone and isinstance(row[0], str) and row[0].startswith("NOTE:"):
                start = index
                continue
            above = [other for other in rows[header + 1 : index] if _is_note(other)]
            if above:
                raise SourceError(
                    f"{where} has {clean(row[0])[:60]!r} below its footnotes",
                    "footnotes",
                    f"{where}, row {index + 1}",
                )
            break
        digit = int(match[1])
        if digit in texts:
            raise SourceError(
                f"{where} has two texts for footnote {digit}",
                "one text a footnote",
                f"{where}, row {index + 1}",
            )
        texts[digit] = clean(match[2])
        start = index
    if texts and sorted(texts) != list(range(1, len(texts) + 1)):
        raise SourceError(
            f"{where} prints footnotes {sorted(texts)}",
            f"1 to {max(texts)} without a gap",
            f"{where}, row {start + 1}",
        )
    return Notes(dict(sorted(texts.items())), start)


def _is_note(row: Row) -> bool:
    return (
        bool(row)
        and isinstance(row[0], str)
        and row[0][:1].isdigit()
        and all(blank(cell) for cell in row[1:])
    )


def split_digits(text: str, notes: Notes, where: str) -> tuple[str, tuple[int, ...]]:
    """Return a name without the footnote digits that stick to it, and the digits.

    A footnote digit is glued to the name's last letter and has a text on the sheet. A number after a space
    (``Region 2``) or at the front (``15th Circuit``) belongs to the name.

    Args:
        text: a cleaned cell.
        notes: the sheet's footnotes.
        where: file and row, for messages.

    Raises:
        TableError: a digit sticks to the name and no footnote explains it.

    Example:
        >>> notes = Notes({6: "a", 8: "b", 10: "c"}, 99)
        >>> split_digits("Toledo6, 8, 10", notes, "x.xls"), split_digits("Region 6", notes, "x.xls")
        (('Toledo', (6, 8, 10)), ('Region 6', ()))
    """
    if not text or not text[-1].isdigit():
        return text, ()
    match = _DIGITS.fullmatch(text)
    if match is None:
        return text, ()
    digits = tuple(int(digit) for digit in match[2].split(","))
    strange = [digit for digit in digits if notes.known and digit not in notes.texts]
    if strange:
        raise TableError(
            f"{text!r} ends in footnote digits of which {strange} have no text",
            f"one of the footnotes {list(notes.texts)}",
            where,
        )
    return match[1].rstrip(), digits


def says_not_comparable(text: str | None) -> bool:
    """Return whether a footnote says that figures are, or may be, not comparable to earlier years.

    Example:
        >>> says_not_comparable("Figures may not be comparable to previous years' data.")
        True
    """
    return bool(text and _NOT_COMPARABLE.search(text))


def state_code(name: str, where: str) -> str:
    """Return the postal code of a state's name in capitals; an unknown name raises SourceError."""
    code = STATES.get(name)
    if code is None:
        raise SourceError(f"{where} has a heading {name!r}", "the name of a state in capitals", where)
    return code


# --- numbers ------------------------------------------------------------------------------


def to_numbers(
    cells: Sequence[Any], column: str, rows: Sequence[int], where: str, whole: bool = True
) -> np.ndarray:
    """Return cells as float64, missing where blank.

    Args:
        cells: numbers, blanks, or texts of digits with thousands commas.
        column: its name, for messages.
        rows: index of each cell's row, for messages.
        where: the file, for messages.
        whole: whether only whole numbers are counts.

    Raises:
        TableError: a negative number, a fraction where counts belong, or text that is no number. A blank is
            never read as zero, and digits are never taken out of other text.

    Example:
        >>> to_numbers([3.0, " ", "1,234"], "burglary", [4, 5, 6], "x.xls").tolist()
        [3.0, nan, 1234.0]
    """
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        if type(cell) is float or type(cell) is int:
            values[index] = cell
        elif blank(cell):
            values[index] = np.nan
        else:
            values[index] = _number(cell, column, rows[index], where)
    with np.errstate(invalid="ignore"):
        wrong = (values < 0) | ((values != np.floor(values)) & ~np.isnan(values) if whole else False)
    if wrong.any():
        at = int(np.argmax(wrong))
        wanted = "a count of 0 or more" if whole else "a number of 0 or more"
        raise TableError(f"{column} is {values[at]:g}", wanted, f"{where}, row {rows[at] + 1}")
    return values


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(r"-?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?")


def _number(cell: Any, column: str, row: int, where: str) -> float:
    text = clean(cell)
    if isinstance(cell, bool) or not _pattern().fullmatch(text):
        raise TableError(f"{column} is {text!r}", "a number or a blank cell", f"{where}, row {row + 1}")
    return float(text.replace(",", ""))


def texts(values: Iterable[str | None]) -> pd.api.extensions.ExtensionArray:
    """Return texts as pandas' string type, missing where None, also when all are missing."""
    return pd.array(list(values), dtype="str")


def read_yearly(
    raw: RawFiles,
    family: str,
    table: str,
    name: str,
    years: Iterable[int],
    parse: Callable[[Rows, int, str], pd.DataFrame],
) -> pd.DataFrame:
    """Return the sheets of some years, one file each, under one another.

    Args:
        raw: the folder of raw files.
        family: family of the manifest the files must stand in.
        table: the table's name, for messages.
        name: relative path with ``{year}`` in it; a csv or a workbook by its ending.
        years: editions.
        parse: from rows, year and path to a tidy table.

    Raises:
        SourceError: a file is missing, damaged or another one, or a year has no file.
    """
    tables = []
    for year in sorted(set(years)):
        path = name.format(year=year)
        if path not in raw.family(family):
            raise SourceError(
                f"no {table} of {year} is listed", f"{path} in the family {family}", "the manifest"
            )
        rows = csv_rows if path.endswith(".csv") else workbook_rows
        tables.append(parse(rows(raw.path(path)), year, path))
    return pd.concat(tables, ignore_index=True)

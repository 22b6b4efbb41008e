"""FBI Table 6 (metropolitan areas, 2000-2019) and Table 11 (state, tribal and other agencies, 2013-2015).

Table 6 says which counties an area holds and which share of its people the reporting agencies police; Table
11 holds crime that Tables 8 and 10 leave out, state police above all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    Row,
    Rows,
    blank,
    check_title,
    clean,
    find_header,
    offence_columns,
    read_notes,
    read_yearly,
    says_not_comparable,
    split_digits,
    state_code,
    texts,
    to_numbers,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

METRO_YEARS = range(2000, 2020)
OTHER_YEARS = range(2013, 2016)
METRO_COUNTS = (
    "violent",
    "murder",
    "rape",
    "robbery",
    "aggravated_assault",
    "property",
    "burglary",
    "larceny",
    "motor_vehicle_theft",
)

_METRO_LABELS = {
    **{label: name for label, name in LABELS.items() if not name.startswith("rape")},
    "forciblerape": "rape",
    "rape": "rape",
    "metropolitanstatisticalarea": "metro",
    "counties/principalcities": "places",
    "murderandnonnegligentmanslaughter": "murder",
    "crimeindextotal": "crime_index",
    "crimeindex": "crime_index",
    "modifiedcrimeindextotal": "modified_index",
    "modifiedcrimeindex": "modified_index",
}
_AREA = re.compile(r"(.+?),? (M\.?S\.?A|M\.?D)\.?")
_COUNTIES = re.compile(r"\(?Include[sd]? |\(?Metropolitan Divisions of ")
_BASES = {"Total area actually reporting": "reporting", "Estimated total": "estimated"}
_RATE = "Rate per 100,000 inhabitants"
_OTHER_KINDS = {"State": "state", "Tribal": "tribal", "Other": "other"}
_OTHER_HEADING = re.compile(r"(.+?)\s*[–—-]\s*(State|Tribal|Other) Agencies")
_ALONE = {"PUERTO RICO AND OTHER OUTLYING AREAS": ("PR", "outlying"), "FEDERAL AGENCIES": ("US", "federal")}


# --- Table 6 ----------------------------------------------------------------------------------


def parse_table6(rows: Rows, year: int, where: str = "Table 6") -> pd.DataFrame:
    """Return metropolitan areas and divisions with their counties, share reporting and offences.

    Three layouts: to 2004 one column of labels (area, counties in brackets, cities, totals), in 2005 counties
    beside the area's name, from 2006 counties on a line of their own. To 2002 also the crime index and arson,
    which are not read; in 2000 a dash is a zero, as the sheet says.

    Args:
        rows: rows of the csv file.
        year: the year asked for; the title must say the same.
        where: the file, for messages.

    Returns:
        One row an area and basis: ``reporting`` (recorded by reporting agencies, with the share of residents
        they police), ``estimated`` (the FBI's estimate, printed where that share is below 1) and ``city`` (a
        principal city, named in ``place``). Population is the area's, or the city's.

    Raises:
        SourceError: another year or table, a column missing, unknown or repeated, an area without a total.
        TableError: a broken number, or a line that is none of the above.

    Example:
        >>> head = ["Metropolitan Statistical Area", "Counties/principal cities", "Population",
        ...         "Violent crime", "Murder and nonnegligent manslaughter", "Forcible rape", "Robbery",
        ...         "Aggravated assault", "Property crime", "Burglary", "Larceny-theft",
        ...         "Motor vehicle theft"]
        >>> rows = [["by Metropolitan Statistical Area, 2010"], head, ["Elm, OH M.S.A.", "", "1,000"],
        ...         ["", "Includes Ash and Oak Counties"],
        ...         ["", "Total area actually reporting", "90.0%"] + list("620229333"),
        ...         ["", "Rate per 100,000 inhabitants", ""] + list("620229333")]
        >>> parse_table6(rows, 2010)[["metro", "counties", "share_reporting", "violent"]].values.tolist()
        [['Elm, OH', 'Ash and Oak Counties', 0.9, 6.0]]
    """
    wanted = ["metro", "population", *METRO_COUNTS]
    wanted += ["places"] if year >= 2005 else []
    wanted += ["crime_index", "modified_index", "arson"] if year <= 2002 else []
    header = find_header(rows, "metropolitanstatisticalarea", _METRO_LABELS, wanted, where)
    check_title(rows, header.row, year, "by Metropolitan Statistical Area", where)
    rates = (i for i, row in enumerate(rows) if any(row) and _RATE in (clean(cell) for cell in row[:2]))
    last = max(rates, default=header.row)
    notes = _metro_notes(rows, last, where)
    size, at_population = header.width, header.columns["population"]
    lines: list[dict[str, Any]] = []
    at: list[int] = []
    area: dict[str, Any] = {}
    open_bracket = False
    for index in range(header.row + 1, last + 1):
        row = rows[index]
        if not any(row) or all(blank(cell) for cell in row):
            continue
        here = f"{where}, row {index + 1}"
        labels = [clean(cell) for cell in row[:at_population]]
        label, digits = split_digits(next((text for text in reversed(labels) if text), ""), notes, here)
        name, name_digits = split_digits(labels[0], notes, here)
        if any(not blank(cell) for cell in row[size:]):
            raise TableError(f"{where} has text right of its last column", "blank cells", here)
        figures = [cell for cell in row[at_population + 1 : size] if not blank(cell)]
        match = _AREA.fullmatch(name)
        if match and not figures:
            if area and not area["totals"]:
                raise SourceError(
                    f"{where} prints no total for {area['metro']}", "a line of what was reported", here
                )
            beside = labels[1] if len(labels) > 1 else ""
            level = "division" if match[2].replace(".", "") == "MD" else "area"
            population = to_numbers([row[at_population]], "population", [index], where)[0]
            area = {
                "metro": match[1],
                "level": level,
                "counties": _counties(beside),
                "population": population,
            }
            area |= {"digits": name_digits, "totals": 0}
            open_bracket = False
        elif not area:
            raise TableError(f"{where} has {label!r} before any area", "an area", here)
        elif label == _RATE:
            continue
        elif label in _BASES:
            share = _share(row[at_population], here)
            lines.append({**area, "basis": _BASES[label], "place": None, "share_reporting": share})
            at.append(index)
            area["totals"] += 1
        elif figures:
            place = label.removeprefix("City of ")
            city = {"place": place, "share_reporting": np.nan, "digits": digits}
            city["population"] = to_numbers([row[at_population]], "population", [index], where)[0]
            lines.append({**area, "basis": "city", **city})
            at.append(index)
        elif _COUNTIES.match(label) or open_bracket:
            area["counties"] = _counties(f"{area['counties'] or ''} {label}")
            open_bracket = ("(" in label or open_bracket) and ")" not in label
        elif not re.fullmatch(r"Cit(?:y|ies) of ?:", label):
            raise TableError(
                f"{where} has the line {label!r}", "an area, its counties, a city or a total", here
            )
    if not lines:
        raise SourceError(f"{where} has a header and no area", "rows of areas", where)
    return _metro_frame(rows, lines, at, year, header, notes, where)


def _counties(text: str) -> str | None:
    text = clean(_COUNTIES.sub("", text.replace("(", "").replace(")", ""), count=1))
    return re.sub(r"(?<=[A-Za-z.,;])\d+(?:, ?\d+)*", "", text).rstrip(". ") or None


def _share(cell: Any, where: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", clean(cell))
    if match is None or float(match[1]) > 100:
        raise TableError(f"the share reporting is {clean(cell)!r}", "a percentage", where)
    return float(match[1]) / 100


def _metro_notes(rows: Rows, last: int, where: str) -> Notes:
    found: dict[int, str] = {}
    digit = 0
    for index in range(last + 1, len(rows)):
        row = rows[index]
        if not any(row) or all(blank(cell) for cell in row):
            continue
        if any(not blank(cell) for cell in row[1:]):
            raise TableError(
                f"{where} has a line below its last area", "footnotes", f"{where}, row {index + 1}"
            )
        text = clean(row[0])
        match = re.fullmatch(r"(\d{1,2})\s*([A-Za-z].*)", text)
        if match:
            digit = int(match[1])
            found[digit] = match[2]
        elif digit and not text.startswith(("NOTE", "Dashes", "Due to rounding")):
            found[digit] += f" {text}"
    return Notes(found, last + 1)


def _metro_frame(
    rows: Rows,
    lines: list[dict[str, Any]],
    at: list[int],
    year: int,
    header: Header,
    notes: Notes,
    where: str,
) -> pd.DataFrame:
    def cell(row: Row, column: int) -> Any:
        text = row[column]
        return 0 if year == 2000 and isinstance(text, str) and text.strip() == "-" else text

    footnotes = [notes.text(line["digits"]) for line in lines]
    definition = "legacy" if year <= 2012 else "mixed" if year <= 2016 else "revised"
    numbers = {
        name: to_numbers([cell(rows[index], header.columns[name]) for index in at], name, at, where)
        for name in METRO_COUNTS
    }
    return pd.DataFrame(
        {
            "year": year,
            "metro": texts(line["metro"] for line in lines),
            "level": texts(line["level"] for line in lines),
            "basis": texts(line["basis"] for line in lines),
            "place": texts(line["place"] for line in lines),
            "counties": texts(line["counties"] for line in lines),
            "population": np.array([line["population"] for line in lines], dtype=float),
            "share_reporting": np.array([line["share_reporting"] for line in lines], dtype=float),
            **numbers,
            "rape_definition": definition,
            "footnotes": texts(footnotes),
            "not_comparable": np.array([says_not_comparable(text) for text in footnotes], dtype=bool),
            "row": np.array(at, dtype="int64") + 1,
        }
    )


def read_metro(raw: RawFiles, years: Iterable[int] = METRO_YEARS) -> pd.DataFrame:
    """Return Table 6 of these years (Table 4 in the 2016 edition): the tidy table ``metro``.

    Raises:
        SourceError: a file is missing, damaged or another one, or a year has no file.
    """
    table = read_yearly(
        raw, "fbi_table6_metro", "Table 6", "fbi/table6_metro/MSA{year}.csv", years, parse_table6
    )
    return validate(table, "metro")


# --- Table 11 ---------------------------------------------------------------------------------


def parse_table11(rows: Rows, year: int, where: str = "Table 11") -> pd.DataFrame:
    """Return state, tribal, federal and other agencies, with the unit where an agency reports by unit.

    A heading that ends in a colon (``State Police:``) names the agency of every unit below it, and its
    footnote digits go to all of them.

    Args:
        rows: rows of the sheet.
        year: the year asked for, 2013 or later; the title must say the same.
        where: the file, for messages.

    Raises:
        SourceError: another year or table, a column missing, unknown or repeated, an unknown heading.
        TableError: a broken number, or figures without an agency.

    Example:
        >>> head = ["State", "State/Tribal/Other Agencies", "Unit/Office", "Violent crime",
        ...         "Murder and nonnegligent manslaughter", "Rape (revised definition)1",
        ...         "Rape (legacy definition)2", "Robbery", "Aggravated assault", "Property crime",
        ...         "Burglary", "Larceny-theft", "Motor vehicle theft", "Arson3"]
        >>> rows = [["by State by State, Tribal, and Other Agencies, 2014"], head,
        ...         ["OHIO–State Agencies", "Patrol:", "Elm County", 1.0, 0.0, "", 0.0, 1.0] + [0.0] * 6,
        ...         ["", "", "Oak County", 2.0, 0.0, 2.0, "", 0.0] + [0.0] * 6]
        >>> parse_table11(rows, 2014)[["state", "kind", "agency_name", "unit"]].values.tolist()
        [['OH', 'state', 'Patrol', 'Elm County'], ['OH', 'state', 'Patrol', 'Oak County']]
    """
    labels = {**LABELS, "state/tribal/otheragencies": "agency_name", "unit/office": "unit"}
    counts = (*offence_columns(year), "arson")
    header = find_header(rows, "state", labels, ("state", "agency_name", "unit", *counts), where)
    check_title(rows, header.row, year, "by State by State, Tribal, and Other Agencies", where)
    notes = read_notes(rows, header.row, where)
    heading: tuple[str, str, tuple[int, ...]] = ("", "", ())
    agency = ""
    agency_digits: tuple[int, ...] = ()
    keys: list[tuple[Any, ...]] = []
    at: list[int] = []
    for index in range(header.row + 1, notes.row):
        row, here = rows[index], f"{where}, row {index + 1}"
        if any(not blank(cell) for cell in row[header.width :]):
            raise TableError(f"{where} has text right of its last column", "blank cells", here)
        if not blank(row[0]):
            heading, agency = _other_heading(clean(row[0]), notes, here), ""
        name, unit = clean(row[header.columns["agency_name"]]), clean(row[header.columns["unit"]])
        figures = any(not blank(cell) for cell in row[header.width - len(counts) : header.width])
        if name:
            agency, agency_digits = split_digits(name, notes, here)
        if not figures:
            if unit:
                raise TableError(f"{where} has the unit {unit!r} without figures", "figures", here)
            continue
        if not heading[0] or not agency or not (name or unit):
            raise TableError(f"{where} has figures without an agency", "a state, an agency or a unit", here)
        unit, unit_digits = split_digits(unit, notes, here)
        digits = tuple(dict.fromkeys((*unit_digits, *agency_digits, *heading[2])))
        keys.append((heading[0], heading[1], agency.removesuffix(":").strip(), unit or None, digits))
        at.append(index)
    if not keys:
        raise SourceError(f"{where} has a header and no agency", "rows of agencies", where)
    return _other_frame(rows, keys, at, year, header, notes, where)


def _other_heading(cell: str, notes: Notes, where: str) -> tuple[str, str, tuple[int, ...]]:
    name, digits = split_digits(cell, notes, where)
    if name in _ALONE:
        return (*_ALONE[name], digits)
    match = _OTHER_HEADING.fullmatch(name)
    if match is None:
        raise SourceError(f"{where} has a heading {name!r}", "a state and a kind of agency", where)
    return state_code(match[1], where), _OTHER_KINDS[match[2]], digits


def _other_frame(
    rows: Rows,
    keys: Sequence[tuple[Any, ...]],
    at: list[int],
    year: int,
    header: Header,
    notes: Notes,
    where: str,
) -> pd.DataFrame:
    state, kind, agency, unit, digits = zip(*keys, strict=True)
    footnotes = [notes.text(each) for each in digits]
    numbers = {
        name: to_numbers([rows[index][header.columns[name]] for index in at], name, at, where)
        if name in header.columns
        else np.full(len(at), np.nan)
        for name in (*OFFENCES, "arson")
    }
    return pd.DataFrame(
        {
            "year": year,
            "state": texts(state),
            "kind": texts(kind),
            "agency_name": texts(agency),
            "unit": texts(unit),
            **numbers,
            "footnotes": texts(footnotes),
            "not_comparable": np.array([says_not_comparable(text) for text in footnotes], dtype=bool),
            "row": np.array(at, dtype="int64") + 1,
        }
    )


def read_other_agencies(raw: RawFiles, years: Iterable[int] = OTHER_YEARS) -> pd.DataFrame:
    """Return Table 11 of these years: the tidy table ``other_agencies``.

    Raises:
        SourceError: a file is missing, damaged or another one, or a year has no file.
    """
    table = read_yearly(
        raw, "fbi_table11", "Table 11", "fbi/table11/table11_{year}.xls", years, parse_table11
    )
    return validate(table, "other_agencies")

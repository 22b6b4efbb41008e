"""FBI totals the agency tables are held against: Table 5 by state and the file of estimates 1995-2016.

Also the long series of large cities. Table 6 (metropolitan areas) and Table 11 (state, tribal and other
agencies) are read in `fbi_areas`.

Rape in the totals. Table 5 is on the legacy definition to 2012, on both in 2013-16, where its violent total
holds the revised count, and on the revised one after. In the file of estimates the violent total of the
*nation* holds the legacy count in 2013-16, that of the *states* the revised one; `correct_rape` says what
else is wrong there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, TableError
from analysis.panel.sources.fbi_sheet import (
    LABELS,
    OFFENCES,
    STATES,
    Notes,
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
    from pathlib import Path

    from analysis.panel.sources.raw import RawFiles

YEARS = range(2008, 2020)
_ESTIMATES = "fbi/estimated/estimated_state_1995_2016.csv"
_CITIES = "fbi/cities/ucr_cities_1985_2012.csv"

_AREAS = {
    "Metropolitan Statistical Area": "metropolitan",
    "Cities outside metropolitan areas": "cities_outside",
    "Nonmetropolitan counties": "nonmetropolitan",
    "State Total": "state",
    "Total": "state",
}
_BASES = {"Area actually reporting": "reporting", "Estimated total": "estimated"}
_RATE = "Rate per 100,000 inhabitants"

_ESTIMATE_COLUMNS = {
    "year": "year",
    "state_abbr": "state",
    "population": "population",
    "violent_crime": "violent",
    "homicide": "murder",
    "rape_legacy": "rape_legacy",
    "rape_revised": "rape_revised",
    "robbery": "robbery",
    "aggravated_assault": "aggravated_assault",
    "property_crime": "property",
    "burglary": "burglary",
    "larceny": "larceny",
    "motor_vehicle_theft": "motor_vehicle_theft",
    "caveats": "caveats",
}
_CITY_COLUMNS = {
    "Agency": "agency_name",
    "State": "state",
    "Population": "population",
    "Violent Crime rate": "rate_violent",
    "Murder": "rate_murder",
    "Rape": "rate_rape_legacy",
    "Robbery": "rate_robbery",
    "Assault": "rate_aggravated_assault",
    "Property": "rate_property",
    "Burglary": "rate_burglary",
    "Larceny": "rate_larceny",
    "Vehicular": "rate_motor_vehicle_theft",
    "Year": "year",
}


# --- Table 5 ------------------------------------------------------------------------------


def parse_table5(rows: Rows, year: int, where: str = "Table 5") -> pd.DataFrame:
    """Return a state table: reported and estimated offences by state and kind of area.

    Args:
        rows: rows of the sheet.
        year: the year asked for; the title must say the same.
        where: the file, for messages.

    Returns:
        One row a state, area (``metropolitan``, ``cities_outside``, ``nonmetropolitan``, ``state``) and basis
        (``reporting``: what the reporting agencies recorded; ``estimated``: the FBI's estimate for the area,
        printed only where less than all of it reports). State totals are estimates. Population is the area's,
        on both its rows. Rates are not read: they follow from the rest.

    Raises:
        SourceError: another year or table, a column missing, unknown or repeated, an unknown state or label.
        TableError: a broken number, or a figure in a row that is no part of the table.

    Example:
        >>> head = ["State", "Area", "", "Population", "Violent crime",
        ...         "Murder and nonnegligent manslaughter", "Forcible rape", "Robbery", "Aggravated assault",
        ...         "Property crime", "Burglary", "Larceny-theft", "Motor vehicle theft"]
        >>> rows = [["by State, 2010"], head,
        ...         ["OHIO", "Metropolitan Statistical Area", "", 1000.0] + [""] * 9,
        ...         ["", "", "Area actually reporting", 0.9, 6.0, 1.0, 2.0, 2.0, 1.0, 9.0, 3.0, 3.0, 3.0]]
        >>> parse_table5(rows, 2010)[["state", "area", "basis", "share_reporting"]].values.tolist()
        [['OH', 'metropolitan', 'reporting', 0.9]]
    """
    offences = offence_columns(year)
    known = {**LABELS, "area": "area"}
    header = find_header(
        rows, "state", known, ("state", "area", "population", *offences), where, unlabelled=(2,)
    )
    check_title(rows, header.row, year, "by State", where)
    notes = read_notes(rows, header.row, where)
    first = header.columns["population"]
    state, area, population = "", "", np.nan
    digits: tuple[int, ...] = ()
    keys: list[tuple[Any, ...]] = []
    at: list[int] = []
    for index in range(header.row + 1, notes.row):
        row, here = rows[index], f"{where}, row {index + 1}"
        cells = row[first + 1 : header.width]
        if not blank(row[0]):
            name, digits = split_digits(clean(row[0]), notes, here)
            state = state_code(name, here)
        label, basis = clean(row[1]), clean(row[2])
        if len(row) > header.width and any(not blank(cell) for cell in row[header.width :]):
            raise TableError(f"{where} has text right of its last column", "blank cells", here)
        if label:
            if label not in _AREAS or basis:
                raise SourceError(f"{where} has an area {label!r}", f"one of {', '.join(_AREAS)}", here)
            area = _AREAS[label]
            empty = clean(row[first]) == "None"
            population = np.nan if empty else to_numbers([row[first]], "population", [index], where)[0]
            if area == "state":
                keys.append((state, area, "estimated", population, np.nan, digits))
                at.append(index)
            elif any(not blank(cell) for cell in cells):
                raise TableError(f"{where} has figures on the heading {label!r}", "figures below it", here)
        elif basis in _BASES:
            share = to_numbers([row[first]], "share_reporting", [index], where, whole=False)[0]
            keys.append((state, area, _BASES[basis], population, share, digits))
            at.append(index)
        elif basis != _RATE and any(not blank(cell) for cell in row[: header.width]):
            raise SourceError(f"{where} has a row {basis!r}", f"one of {', '.join([*_BASES, _RATE])}", here)
    if not keys:
        raise SourceError(f"{where} has a header and no state", "rows of states", where)
    return _state_frame(rows, keys, at, year, header.columns, notes, where)


def _state_frame(
    rows: Rows,
    keys: list[tuple[Any, ...]],
    at: list[int],
    year: int,
    columns: Any,
    notes: Notes,
    where: str,
) -> pd.DataFrame:
    state, area, basis, population, share, digits = zip(*keys, strict=True)
    footnotes = [notes.text(each) for each in digits]
    numbers = {
        name: to_numbers([rows[index][columns[name]] for index in at], name, at, where)
        if name in columns
        else np.full(len(at), np.nan)
        for name in OFFENCES
    }
    return pd.DataFrame(
        {
            "year": year,
            "state": texts(state),
            "area": texts(area),
            "basis": texts(basis),
            "population": np.array(population, dtype=float),
            "share_reporting": np.array(share, dtype=float),
            **numbers,
            "footnotes": texts(footnotes),
            "not_comparable": np.array([says_not_comparable(text) for text in footnotes], dtype=bool),
            "row": np.array(at, dtype="int64") + 1,
        }
    )


def read_state_totals(raw: RawFiles, years: Iterable[int] = YEARS) -> pd.DataFrame:
    """Return Table 5 of these years (Table 3 in the 2016 edition): the tidy table ``state_totals``.

    Raises:
        SourceError: a file is missing, damaged or another one, or a year has no file.
    """
    table = read_yearly(raw, "fbi_table5", "Table 5", "fbi/table5/{year}.xls", years, parse_table5)
    return validate(table, "state_totals")


# --- the file of estimates ------------------------------------------------------------------------------


def correct_rape(estimates: pd.DataFrame) -> pd.DataFrame:
    """Return the file of estimates with the columns of rape put right for 2013-2016.

    The printed violent total tells which count is which: the nation's holds the legacy count, a state's the
    revised one. What is wrong in the file, and what is done:

    - 2015-16: the two columns are swapped (but for Hawaii 2015). They are swapped back.
    - 2013-14, states: from Illinois to Wyoming ``rape_revised`` is one year late (missing in 2013, the 2013
      count in 2014). It is recomputed as violent less murder, robbery and aggravated assault; the column of
      legacy counts is right.

    Args:
        estimates: year, state (``US`` or a postal code), violent, murder, rape_legacy, rape_revised, robbery,
            aggravated_assault.

    Returns:
        A copy, with ``violent_definition``: the definition of rape the violent total holds.

    Raises:
        SourceError: the columns of 2015-16 hold the total's count in neither, or a legacy count is larger
            than the revised one in a national row: the file is then another than the one described here.

    Example:
        >>> import pandas as pd
        >>> row = dict(year=2016, state="OH", violent=20.0, murder=1.0, rape_legacy=9.0, rape_revised=6.0,
        ...            robbery=4.0, aggravated_assault=6.0)
        >>> correct_rape(pd.DataFrame([row]))[["rape_legacy", "rape_revised"]].values.tolist()
        [[6.0, 9.0]]
    """
    table = estimates.copy()
    legacy = table["rape_legacy"].to_numpy(dtype=float, na_value=np.nan)
    revised = table["rape_revised"].to_numpy(dtype=float, na_value=np.nan)
    year = table["year"].to_numpy()
    nation = (table["state"] == "US").to_numpy()
    parts = table[["murder", "robbery", "aggravated_assault"]].to_numpy(dtype=float)
    held = table["violent"].to_numpy(dtype=float) - parts.sum(axis=1)

    both = (year >= 2013) & (year <= 2016)
    late = both & (year >= 2015)
    strange = late & (held != legacy) & (held != revised) | both & ~late & nation & (held != legacy)
    if strange.any():
        at = int(np.argmax(strange))
        raise SourceError(
            f"rape in {table['state'].iloc[at]}, {year[at]} is {legacy[at]:g} and {revised[at]:g}",
            f"{held[at]:g}, what the violent total leaves",
            _ESTIMATES,
        )
    other = np.where(held == legacy, revised, legacy)
    new_legacy = np.where(late, np.where(nation, held, other), legacy)
    new_revised = np.where(both, np.where(nation, np.where(late, other, revised), held), revised)
    if (new_legacy[both & nation] > new_revised[both & nation]).any():
        raise SourceError(
            "a national legacy count of rape exceeds the revised one", "the contrary", _ESTIMATES
        )
    table["rape_legacy"], table["rape_revised"] = new_legacy, new_revised
    table["violent_definition"] = texts(np.where(both & ~nation, "revised", "legacy").tolist())
    return table


def parse_estimates(table: pd.DataFrame, where: str = _ESTIMATES) -> pd.DataFrame:
    """Return the FBI's estimates for the nation (state ``US``) and the states, with rape put right.

    Args:
        table: the csv file as pandas reads it.
        where: the file, for messages.

    Raises:
        SourceError: a column missing or unknown, an unknown state, no national row in a year, rape columns
            that `correct_rape` does not know.
        TableError: a negative or broken count.
    """
    table = _renamed(table, _ESTIMATE_COLUMNS, where)
    table["state"] = table["state"].fillna("US")
    unknown = sorted(set(table["state"]) - {"US", *STATES.values()})
    years = table.loc[table["state"] == "US", "year"]
    if unknown or years.duplicated().any() or set(years) != set(table["year"]):
        found = f"the states {unknown}" if unknown else f"national rows of {sorted(years)}"
        raise SourceError(f"{where} has {found}", "postal codes, and one national row a year", where)
    for name in ("population", *OFFENCES):
        table[name] = to_numbers(table[name].tolist(), name, range(1, len(table) + 1), where)
    return correct_rape(table)


def read_national_estimates(raw: RawFiles) -> pd.DataFrame:
    """Return the FBI's estimates 1995-2016, nation and states: the tidy table ``national_estimates``."""
    return validate(parse_estimates(_csv(raw.path(_ESTIMATES))), "national_estimates")


# --- long city series ------------------------------------------------------------------------------


def parse_city_series(table: pd.DataFrame, where: str = _CITIES) -> pd.DataFrame:
    """Return the police departments of large cities, 1985-2012: population and offences per 100,000.

    Args:
        table: the csv file as pandas reads it.
        where: the file, for messages.

    Raises:
        SourceError: a column missing or unknown.
        TableError: a negative rate, or one department twice in a year.
    """
    table = _renamed(table, _CITY_COLUMNS, where)
    for name in [name for name in _CITY_COLUMNS.values() if name not in ("agency_name", "state", "year")]:
        table[name] = to_numbers(table[name].tolist(), name, range(1, len(table) + 1), where, whole=False)
    repeated = table.duplicated(["year", "state", "agency_name"])
    if repeated.any():
        row = int(np.argmax(repeated.to_numpy()))
        raise TableError(
            f"{where} has {table['agency_name'].iloc[row]} twice in a year", "once", f"row {row + 2}"
        )
    return table


def read_city_series(raw: RawFiles) -> pd.DataFrame:
    """Return the long series of cities of about 100,000 and more: the tidy table ``city_series``."""
    return validate(parse_city_series(_csv(raw.path(_CITIES))), "city_series")


def _csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False, na_values=[""])
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SourceError(f"{path.name} cannot be read: {error}", "a csv file in UTF-8", str(path)) from error


def _renamed(table: pd.DataFrame, columns: dict[str, str], where: str) -> pd.DataFrame:
    absent = [name for name in columns if name not in table]
    unknown = [name for name in table if name not in columns]
    if absent or unknown or not len(table):
        found = f"lacks {absent} and has {unknown}" if absent or unknown else "has no row"
        raise SourceError(f"{where} {found}", f"rows under the columns {', '.join(columns)}", where)
    return table.rename(columns=columns)


# --- shares ------------------------------------------------------------------------------


def national_shares(
    agencies: pd.DataFrame, state_totals: pd.DataFrame, national_estimates: pd.DataFrame
) -> pd.DataFrame:
    """Return which share of the FBI's national totals the agencies of Tables 8 and 10 hold, by year.

    The benchmark is the sum of Table 5's state totals (50 states and the District of Columbia) where there is
    one, otherwise the national row of the file of estimates. Agencies' violent totals lack those of agencies
    whose total is blank; from 2013 they mix definitions of rape while Table 5 is on the revised one.

    Args:
        agencies, state_totals, national_estimates: tidy tables of the codebook.

    Returns:
        One row a year: year, benchmark (``table_5`` or ``estimates``), agencies (rows), violent_agencies,
        violent_total, violent_share, property_agencies, property_total, property_share. Offences, and shares
        in [0, 1]; missing where neither source has the year.

    Example:
        >>> import pandas as pd
        >>> held = pd.DataFrame(dict(year=[2006, 2006], violent=[30.0, None], property=[50.0, 40.0]))
        >>> nation = pd.DataFrame(dict(year=[2006], state=["US"], violent=[40.0], property=[100.0]))
        >>> no = pd.DataFrame(dict(year=[], state=[], area=[], violent=[], property=[]))
        >>> national_shares(held, no, nation)[["violent_share", "property_share"]].values.tolist()
        [[0.75, 0.9]]
    """
    measures = ["violent", "property"]
    held = agencies.groupby("year")[measures].sum()
    held.insert(0, "agencies", agencies.groupby("year").size())
    states = state_totals[(state_totals["area"] == "state") & (state_totals["state"] != "PR")]
    sums = states.groupby("year")[measures].sum(min_count=1)
    nation = national_estimates[national_estimates["state"] == "US"].set_index("year")[measures]
    shares = held.add_suffix("_agencies").rename(columns={"agencies_agencies": "agencies"})
    shares.insert(0, "benchmark", np.where(shares.index.isin(sums.index), "table_5", "estimates"))
    for measure in measures:
        total = sums[measure].reindex(shares.index).fillna(nation[measure].reindex(shares.index))
        shares[f"{measure}_total"] = total
        shares[f"{measure}_share"] = shares[f"{measure}_agencies"] / total
    columns = [f"{measure}_{kind}" for measure in measures for kind in ("agencies", "total", "share")]
    return shares.reset_index()[["year", "benchmark", "agencies", *columns]]


# --- checks ------------------------------------------------------------------------------


def identity_exceptions(agencies: pd.DataFrame) -> pd.DataFrame:
    """Return the agencies whose printed totals are not the sum of their printed parts.

    Violent crime is murder, rape (of either definition), robbery and aggravated assault; property crime is
    burglary, larceny and motor-vehicle theft. A row with a blank part or total is not compared.

    Args:
        agencies: columns of the codebook's ``agencies``.

    Returns:
        year, table, state, agency_name, total, printed, summed, footnotes; a row an exception.

    Example:
        >>> import pandas as pd
        >>> row = dict(year=2010, table="8", state="OH", agency_name="Elm", murder=0.0, rape_legacy=1.0,
        ...            rape_revised=None, robbery=2.0, aggravated_assault=3.0, violent=6.0, burglary=1.0,
        ...            larceny=1.0, motor_vehicle_theft=1.0, property=4.0, footnotes=None)
        >>> identity_exceptions(pd.DataFrame([row]))[["total", "printed", "summed"]].values.tolist()
        [['property', 4.0, 3.0]]
    """
    rape = agencies["rape_legacy"].astype("float64").fillna(agencies["rape_revised"].astype("float64"))
    sums = {
        "violent": agencies["murder"] + rape + agencies["robbery"] + agencies["aggravated_assault"],
        "property": agencies["burglary"] + agencies["larceny"] + agencies["motor_vehicle_theft"],
    }
    found = []
    for total, summed in sums.items():
        off = (agencies[total] - summed).abs() > 0.5
        part = agencies.loc[off, ["year", "table", "state", "agency_name", "footnotes"]]
        found.append(part.assign(total=total, printed=agencies.loc[off, total], summed=summed[off]))
    columns = ["year", "table", "state", "agency_name", "total", "printed", "summed", "footnotes"]
    return pd.concat(found)[columns].sort_values(columns[:5], ignore_index=True)


def rows_with_data(agencies: pd.DataFrame) -> pd.DataFrame:
    """Return rows and the sums of violent and property crime, by year and table."""
    groups = agencies.groupby(["year", "table"], sort=True)
    return groups.agg(
        rows=("row", "size"), violent=("violent", "sum"), property=("property", "sum")
    ).reset_index()

"""Recorded declines of detainers (definition D3): ICE's facility records to a county-year table.

The records count, by facility and year, detainers whose outcome is "declined by the law-enforcement agency",
from October 2007 to 19 July 2015. Where a facility lies is a rule; `data/policy/facility_hand_list.csv`
places the few it cannot. Nothing is dropped: `read_declines` returns, beside the table, what became of every
facility.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, TableError
from analysis.base.paths import Paths
from analysis.panel.sources.jurisdictions import (
    Gazetteer,
    name_key,
    one_new_york,
    state_code,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

RAW_FILE = "policy/raw/ice_declined_vs_everythingelse.csv"
HAND_LIST = "facility_hand_list.csv"
FIRST_FULL_YEAR, LAST_FULL_YEAR = 2008, 2014
RAW_HEADER = ["year", "det_facility", "city", "state", "count", "det_facility", "year", "count"]

# Facilities that answer to no county or city. A county's name before the word county (co, cnty, cty, parish)
# makes a facility local unless it is for juveniles or a state jail.
_COUNTY_WORD = r"(?:COUNTYY?|CO|CNTY|CTY|PARISH)"
_FEDERAL = re.compile(
    r"\bUS MARSHALS?\b|\bFED(?:ERAL)?\b|\bF ?C ?I\b|\bFDC\b|\bMDC\b|\bMCC\b|\bU ?S ?P\b|\bU S PEN\b|\bSPC\b|"
    r"\bHOLD ROOM\b|\bDRO HOLD\b|\bFIELD OFFICE\b|\bCCA\b|\bCI (?:EDEN|WILLACY)\b|\bBSCC\b|\bHOLD$"
)
_STATE_PRISON = re.compile(
    r"\bSTATE (?:PRISON|P|JAIL)\b|\bD O C (?=[A-Z]{3})|\bDEPT OF CORRECTIO|\bCORR(?:ECTIONAL)? INST|"
    r"\bCSP\b|\bCMF\b|"
    r"\bCCF\b|\bASPC\b|\bSCI\b|\bTDC\b|\bMCI\b|\bMEN COLONY\b|\bRECEPT|\bMEDICAL CLASSIF|\bCORRECTIONAL$|"
    r"\bN M C F\b|"
    r"\bCORR(?:EC|ECTIONAL)? (?:FAC|FACILITY|CTR|CENTER|CENTE)$|\bC ?F\b|\bSTATEVILLE\b"
)
_YOUTH = re.compile(r"\bJUVENILE\b|\bYOUTH\b|\bGREEN HILL SCHOOL\b")
_MUNICIPAL = re.compile(r"\bPOLICE\b|\bCITY (?:JAIL|DET|OF)|\bREG(?:IONAL)? JAIL\b")
# Without county jails: what the state's correction department runs there is the local jail.
UNIFIED_STATES = frozenset({"AK", "CT", "DC", "DE", "HI", "RI", "VT"})


def read_facility_records(raw: RawFiles) -> pd.DataFrame:
    """Return the facility records: one row a facility, city, state and year with at least one decline.

    The file is two tables side by side, declines (facility, city, state, year) and all other outcomes
    (facility, year, no state), already joined on facility and year; the right-hand one is blank where it has
    no such row.

    Args:
        raw: the folder of raw files.

    Returns:
        ``year, facility, city, state_name, state, declined, other_outcomes`` (missing where the file has
        none).

    Raises:
        SourceError: another header, or a right-hand row of another facility or year.

    Example:
        >>> records = read_facility_records(raw)  # doctest: +SKIP
        >>> int(records["declined"].sum())  # doctest: +SKIP
        20240
    """
    return tidy_facility_records(pd.read_csv(raw.path(RAW_FILE), header=None, dtype="string"), RAW_FILE)


def tidy_facility_records(cells: pd.DataFrame, where: str = RAW_FILE) -> pd.DataFrame:
    """Return the cells of the facility file, header in the first row, as typed columns; see
    `read_facility_records`.

    Example:
        >>> cells = pd.DataFrame([RAW_HEADER, ["2014", "ELM CO JAIL", "OAK", "OHIO", "6", "ELM CO JAIL",
        ...     "2014", "18"]])
        >>> tidy_facility_records(cells)[["facility", "state", "declined", "other_outcomes"]].values.tolist()
        [['ELM CO JAIL', 'OH', 6, 18.0]]
    """
    header = cells.iloc[0].tolist()
    if header != RAW_HEADER:
        raise SourceError(f"{where} has the columns {header}", f"{RAW_HEADER}", "the download of that file")
    body = cells.iloc[1:].reset_index(drop=True)
    body.columns = pd.Index(
        ["year", "facility", "city", "state_name", "declined", "facility_2", "year_2", "other_outcomes"]
    )
    present = body["facility_2"].notna()
    wrong = present & (
        (body["facility_2"] != body["facility"])
        | (body["year_2"].astype("Float64") != body["year"].astype("Float64"))
    )
    if wrong.any():
        raise SourceError(
            f"{where}: {int(wrong.sum())} row(s) join different facilities or years, "
            f"first '{body.loc[wrong, 'facility'].iloc[0]}'",
            "both halves of a row about one facility and year",
        )
    text = {
        name: body[name].astype("object").where(body[name].notna(), None)
        for name in ("facility", "city", "state_name")
    }
    declined = pd.to_numeric(body["declined"]).astype("int64")
    if (declined < 1).any():
        raise SourceError(
            f"{where}: {int((declined < 1).sum())} row(s) with no decline", "at least one a row"
        )
    return pd.DataFrame(
        {
            "year": pd.to_numeric(body["year"]).astype("int64"),
            "facility": text["facility"],
            "city": text["city"],
            "state_name": text["state_name"],
            "state": text["state_name"].map(lambda name: state_code(name) if isinstance(name, str) else None),
            "declined": declined,
            "other_outcomes": pd.to_numeric(body["other_outcomes"]).astype("float64"),
        }
    )


def jurisdiction_of(facility: str, state: str) -> str:
    """Return who runs a facility by its name: ``local``, ``federal``, ``state prison`` or ``youth``.

    A rule of words. A county's or city's own name for its jail makes it local; so does a state that has no
    county jails (its corrections department runs them). What names no one is local.

    Args:
        facility: name as recorded.
        state: postal code.

    Example:
        >>> [jurisdiction_of(name, "CA") for name in ("FRESNO COUNTY JAIL", "LOMPOC FCI", "CSP-SAN QUENTIN")]
        ['local', 'federal', 'state prison']
        >>> jurisdiction_of("HARTFORD CORR CENTER", "CT"), jurisdiction_of("MONTEREY CO JUVENILE HALL", "CA")
        ('local', 'youth')
    """
    name = " ".join(re.sub(r"[^A-Z0-9]+", " ", facility.upper()).split())
    if _YOUTH.search(name):
        return "youth"
    if _FEDERAL.search(name):
        return "federal"
    if (
        re.search(rf"\b{_COUNTY_WORD}\b(?! STATE JAIL)", name)
        or _MUNICIPAL.search(name)
        or state in UNIFIED_STATES
    ):
        return "local"
    return "state prison" if _STATE_PRISON.search(name) else "local"


def county_named(facility: str, state: str, where: Gazetteer) -> str | None:
    """Return the county whose name the facility carries before the word county (co, cnty, cty, parish), or
    None.

    A state written behind the name ("LANCASTER CNTY JAIL, PA") must not contradict the state's column, and
    the county must exist in that state.

    Example:
        >>> from analysis.panel.sources.jurisdictions import make_gazetteer
        >>> counties = pd.DataFrame({"county_fips": ["39001"], "state": ["OH"],
        ...     "county_name": ["De Witt County"]})
        >>> nowhere = pd.DataFrame(columns=["state", "place_name", "county_fips", "share"])
        >>> index = make_gazetteer(counties, nowhere)
        >>> county_named("DEWITT CO. JAIL", "OH", index), county_named("ELM COUNTY JAIL", "OH", index)
        ('39001', None)
    """
    words = name_key(facility).split()
    for position, word in enumerate(words):
        if position and re.fullmatch(_COUNTY_WORD, word):
            for start in range(position):
                found = where.county(state, " ".join(words[start:position]))
                if found:
                    return found
    return None


def place_facilities(records: pd.DataFrame, where: Gazetteer, hand: pd.DataFrame) -> pd.DataFrame:
    """Return where each facility lies and who runs it.

    The hand list comes first; then the county in the facility's name; then the county that holds most of its
    city.

    Args:
        records: with ``facility, city, state`` (postal).
        where: names of counties and places.
        hand: ``facility, city, state, county_fips, local, why``.

    Returns:
        One row a facility, city and state: ``facility, city, state, county_fips`` (missing where not placed;
            New
        York City is 36998), ``how`` (hand list, county name, city, no state, unmatched), ``runs`` (local,
        federal, state prison, youth).

    Raises:
        TableError: the hand list names a facility that the records do not hold, or one twice.

    Example:
        >>> from analysis.panel.sources.jurisdictions import make_gazetteer
        >>> counties = pd.DataFrame({"county_fips": ["39001"], "state": ["OH"],
        ...     "county_name": ["Elm County"]})
        >>> places = pd.DataFrame({"state": ["OH"], "place_name": ["Oak"], "county_fips": ["39001"],
        ...     "share": [1.0]})
        >>> records = pd.DataFrame({"facility": ["ELM CO JAIL", "CITY JAIL"], "city": ["X", "OAK"],
        ...     "state": ["OH", "OH"]})
        >>> empty = pd.DataFrame(columns=["facility", "city", "state", "county_fips", "local", "why"])
        >>> place_facilities(records, make_gazetteer(counties, places), empty)["how"].tolist()
        ['city', 'county name']
    """
    key = ["facility", "city", "state"]
    facilities = (
        records[key]
        .drop_duplicates()
        .sort_values(key, na_position="first", kind="stable")
        .reset_index(drop=True)
    )
    by_hand = _hand_index(hand, facilities)
    placed = [_place(row, where, by_hand) for row in facilities.itertuples(index=False)]
    out = facilities.assign(
        county_fips=pd.Series([fips for fips, _, _ in placed], dtype="object"),
        how=[how for _, how, _ in placed],
        runs=[runs for _, _, runs in placed],
    )
    return out.assign(county_fips=one_new_york(out["county_fips"]))


def _hand_index(
    hand: pd.DataFrame, facilities: pd.DataFrame
) -> Mapping[tuple[str, str, str], tuple[str, str]]:
    key = ["facility", "city", "state"]
    if hand.duplicated(key).any():
        raise TableError(
            f"'{hand.loc[hand.duplicated(key), 'facility'].iloc[0]}' stands twice",
            "one row a facility",
            HAND_LIST,
        )
    unknown = hand.merge(facilities, on=key, how="left", indicator=True).query("_merge == 'left_only'")
    if len(unknown):
        raise TableError(
            f"'{unknown['facility'].iloc[0]}' is in no record",
            "a facility as the records write it",
            HAND_LIST,
        )
    return {
        (str(facility), str(city), str(state)): (str(fips), str(local))
        for facility, city, state, fips, local in hand[[*key, "county_fips", "local"]].itertuples(index=False)
    }


def _place(
    row: tuple[Any, ...], where: Gazetteer, by_hand: Mapping[tuple[str, str, str], tuple[str, str]]
) -> tuple[str | None, str, str]:
    facility, city, state = row
    if not isinstance(state, str):
        return None, "no state", "local"
    runs = jurisdiction_of(facility, state)
    if (facility, city, state) in by_hand:
        fips, local = by_hand[facility, city, state]
        return fips, "hand list", {"yes": "local", "no": "state prison"}.get(local, runs)
    named = county_named(facility, state, where)
    if named:
        return named, "county name", runs
    held = where.place(state, city) if isinstance(city, str) else None
    return (held, "city", runs) if held else (None, "unmatched", runs)


def county_declines(records: pd.DataFrame, facilities: pd.DataFrame, where: Gazetteer) -> pd.DataFrame:
    """Return recorded declines by county and year (table ``declines``), of local facilities that were placed.

    The other outcomes come by facility name and year without a state. A name that stands for counties of
    several states ("WASHINGTON COUNTY JAIL") therefore brings the outcomes of all of them: the share of
    declines is too low, and ``share_biased_down`` says where that can be.

    Args:
        records: facility records.
        facilities: from `place_facilities`.
        where: for the county names that occur in several states.

    Returns:
        ``county_fips, state, year, declined, other_outcomes, decline_share, n_facilities,
        share_biased_down``.

    Raises:
        TableError: a record's facility stands twice, or not at all, in ``facilities``.

    Example:
        >>> from analysis.panel.sources.jurisdictions import make_gazetteer
        >>> counties = pd.DataFrame({"county_fips": ["39001"], "state": ["OH"],
        ...     "county_name": ["Elm County"]})
        >>> places = pd.DataFrame(columns=["state", "place_name", "county_fips", "share"])
        >>> where = make_gazetteer(counties, places)
        >>> records = pd.DataFrame({"year": [2014], "facility": ["ELM CO JAIL"], "city": ["X"],
        ...     "state": ["OH"],
        ...                         "declined": [6], "other_outcomes": [18.0]})
        >>> empty = pd.DataFrame(columns=["facility", "city", "state", "county_fips", "local", "why"])
        >>> county_declines(records, place_facilities(records, where, empty), where)["decline_share"].tolist()
        [0.25]
    """
    key = ["facility", "city", "state"]
    joined = records.merge(facilities, on=key, how="left", validate="many_to_one", indicator=True)
    if (joined["_merge"] != "both").any():
        raise TableError(
            "a record's facility was never looked up", "every facility placed or listed as unmatched"
        )
    kept = joined[joined["county_fips"].notna() & (joined["runs"] == "local")]
    named = {fips: key in where.shared_names for (_, key), fips in where.counties.items()}
    kept = kept.assign(shared=kept["county_fips"].map(named).eq(True) & (kept["how"] == "county name"))
    groups = kept.groupby(["county_fips", "year"], sort=True)
    table = groups.agg(
        state=("state", "first"), declined=("declined", "sum"), other_outcomes=("other_outcomes", "sum"),
        n_facilities=("facility", "nunique"), share_biased_down=("shared", "any"),
    ).reset_index()  # fmt: skip
    table["decline_share"] = table["declined"] / (table["declined"] + table["other_outcomes"])
    return validate(table, "declines")


def declines_report(records: pd.DataFrame, facilities: pd.DataFrame) -> pd.DataFrame:
    """Return what became of every facility: declines, where placed and how, and why a facility is not
    counted.

    Returns:
        ``facility, city, state, county_fips, how, runs, counted, declined``; most declines first. The
        declines sum to those of the records.

    Example:
        >>> records = pd.DataFrame({"facility": ["X"], "city": ["Y"], "state": ["OH"], "declined": [3]})
        >>> facilities = pd.DataFrame({"facility": ["X"], "city": ["Y"], "state": ["OH"],
        ...     "county_fips": [None],
        ...                            "how": ["unmatched"], "runs": ["local"]})
        >>> declines_report(records, facilities)[["declined", "counted"]].values.tolist()
        [[3, False]]
    """
    key = ["facility", "city", "state"]
    totals = records.groupby(key, dropna=False)["declined"].sum().reset_index()
    out = totals.merge(facilities, on=key, how="left", validate="one_to_one")
    out["counted"] = out["county_fips"].notna() & (out["runs"] == "local")
    columns = [*key, "county_fips", "how", "runs", "counted", "declined"]
    return (
        out[columns]
        .sort_values(["declined", "facility", "city"], ascending=[False, True, True])
        .reset_index(drop=True)
    )


def read_hand_list(folder: Path | None = None) -> pd.DataFrame:
    """Return the facilities placed by hand, with the reason for each.

    Args:
        folder: by default ``data/policy``.

    Example:
        >>> read_hand_list().columns.tolist()
        ['facility', 'city', 'state', 'county_fips', 'local', 'why']
    """
    return pd.read_csv((folder or Paths().compiled_policy) / HAND_LIST, dtype=str, keep_default_na=False)


def read_declines(
    raw: RawFiles, where: Gazetteer, folder: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table ``declines`` and the report on every facility.

    Args:
        raw: the folder of raw files.
        where: names of counties and places, from `make_gazetteer`.
        folder: where the hand list lies; by default ``data/policy``.

    Example:
        >>> declines, report = read_declines(raw, where)  # doctest: +SKIP
    """
    records = read_facility_records(raw)
    facilities = place_facilities(records, where, read_hand_list(folder))
    return county_declines(records, facilities, where), declines_report(records, facilities)


def declines_panel(declines: pd.DataFrame, county_years: pd.DataFrame) -> pd.DataFrame:
    """Return recorded declines for every county-year asked for.

    A county-year absent from the records had no recorded decline: zero, in the years the records cover in
    full (2008-2014). 2007 (October to December alone) and 2015 (to 19 July) are not whole years and stay
    missing, as do all others; the share of declines is missing where nothing is recorded.

    Args:
        declines: table ``declines``.
        county_years: ``county_fips, year``, unique.

    Returns:
        ``county_fips, year, declined_detainers, decline_share``, row for row with ``county_years``.

    Raises:
        TableError: ``county_years`` holds a pair twice.

    Example:
        >>> declines = pd.DataFrame({"county_fips": ["01001"], "year": [2014], "declined": [6],
        ...     "decline_share": [0.25]})
        >>> asked = pd.DataFrame({"county_fips": ["01001", "01001", "01001"], "year": [2013, 2014, 2015]})
        >>> declines_panel(declines, asked)["declined_detainers"].tolist()
        [0.0, 6.0, nan]
    """
    if county_years.duplicated(["county_fips", "year"]).any():
        raise TableError("county-years repeat", "one row a county and year")
    key = ["county_fips", "year"]
    asked = county_years[key].reset_index(drop=True)
    out = asked.merge(
        declines[[*key, "declined", "decline_share"]], on=key, how="left", validate="one_to_one"
    )
    covered = out["year"].between(FIRST_FULL_YEAR, LAST_FULL_YEAR)
    out["declined_detainers"] = np.where(covered, out["declined"].fillna(0).astype("float64"), np.nan)
    out["decline_share"] = out["decline_share"].where(covered)
    return out[[*key, "declined_detainers", "decline_share"]]

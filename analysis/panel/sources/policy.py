"""Policies on immigration detainers and the federal programmes around them: files to tidy tables, and one
table of events.

The study's own compilations (D1, D2, D6, D7) are read from ``data/policy``; the federal list of May 2025
(D5), the activation of Secure Communities and the 287(g) agreements from raw files. `make_policy_events`
brings the policies under one contract. Recorded declines (D3) have a module of their own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, TableError, nearest
from analysis.base.fips import STATE_OF_FIPS
from analysis.base.paths import Paths
from analysis.base.policy_dates import UPPER_BOUNDS, check_place, parse_date
from analysis.panel.sources.jurisdictions import (
    CONSOLIDATED,
    NEW_YORK_CITY,
    RETIRED,
    STATES,
    Gazetteer,
    name_key,
    one_new_york,
    place_key,
    state_code,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

FILES = {
    "ddor_2017": "d1_declined_detainer_report_2017.csv",
    "detainer_policies": "d2_detainer_policies.csv",
    "doj_list": "d6_doj_list_2025.csv",
    "state_laws": "d7_state_laws.csv",
}
COMPILED = (
    "jurisdiction",
    "state",
    "level",
    "county_fips",
    "policy_date",
    "policy_type",
    "source",
    "source_url",
    "note",
)
DATED = (*COMPILED, "date_precision", "date_basis", "individually_verified")
DIRECTION_OF: Mapping[str, str] = {
    "detainer_decline_without_judicial_warrant_or_probable_cause": "limit_full",
    "detainer_partial_limit": "limit_partial",
    "REPEAL": "repeal",
    "sanctuary_ordinance": "ordinance",
    "law_limiting_cooperation": "limit_full",
    "law_limiting_cooperation_partial": "limit_partial",
    "directive_limiting_cooperation": "limit_full",
    "ruling_limiting_cooperation": "limit_full",
    "practice_all_sheriffs": "limit_full",
    "practice_all_jails": "limit_full",
    "DDOR_state_row": "limit_full",
    "law_requiring_cooperation": "require",
    "DDOR_secI_top10": "listed",
    "DDOR_secIII": "listed",
    "DHS_2025_designation": "listed",
    "DOJ_2025_designation": "listed",
}
DHS_PDF = "policy/raw/dhs_2025_05_list.pdf"
DHS_SOURCE = (
    'DHS "Sanctuary Jurisdictions Defying Federal Immigration Law" list, 29 May 2025, capture of 31 May 2025'
)
DHS_URL = "https://web.archive.org/web/20250531/https://www.dhs.gov/sanctuary-jurisdictions"
ACTIVATION_FILE = "policy/raw/secure_communities_activation.dta"
AGREEMENTS_FILE = "policy/raw/287g_curated_2019.xlsx"
ROSTER_FILE = "policy/raw/287g_roster_2025_07_18.xlsx"
SECURE_COMMUNITIES_END = (2014, 11)
AGREEMENT_YEARS = range(2005, 2020)
# Agencies whose county the name does not give: they run the county's jail.
_AGENCY_COUNTY = {
    ("CA", "SAN BERNADINO COUNTY SHERIFFS DEPARTMENT"): "06071",
    ("FL", "JACKSONVILLE SHERIFFS OFFICE"): "12031",
    ("NV", "LAS VEGAS METROPOLITAN POLICE DEPARTMENT"): "32003",
    ("OK", "OKMULGEE COUNTY CRIMINAL JUSTICE AUTHORITY"): "40111",
    ("VA", "PRINCE WILLIAM MANASSAS REGIONAL ADULT DETENTION CENTER"): "51153",
}
# Entries of the lists that are no county's and no place's name: a consolidated government, a prison's post
# office.
_LISTED_COUNTY = {
    ("CA", "REPRESA"): ("city", "06067"),
    ("DC", "DISTRICT OF COLUMBIA"): ("county", "11001"),
    ("GA", "ATHENS CLARKE COUNTY"): ("county", "13059"),
}
_STATE_AGENCY = re.compile(
    r"DEPARTMENT OF (CORRECTIONS|PUBLIC SAFETY)|DEPT OF CORRECTIONS|STATE POLICE|HIGHWAY PATROL"
)


# --- the study's own compilations ---------------------------------------------------------------------------


def read_compiled(folder: Path, name: str) -> pd.DataFrame:
    """Return one of the study's compilations as it stands, checked row by row.

    Args:
        folder: ``data/policy``.
        name: ``ddor_2017``, ``detainer_policies``, ``doj_list`` or ``state_laws``.

    Returns:
        ``row`` (from 1), the common columns, ``date_precision``, ``date_basis`` (missing where undated) and
        ``verified``.

    Raises:
        SourceError: the file or a column is missing.
        TableError: a county code that is not five digits or not of the state, an unknown level or type of
            policy, a date that contradicts its precision, before 1980 or in the future.

    Example:
        >>> len(read_compiled(Paths().compiled_policy, "detainer_policies"))
        199
    """
    path = folder / FILES[name]
    if not path.exists():
        raise SourceError(
            f"{path.name} is missing",
            f"the study's own table in {folder.name}/",
            "a fresh checkout of data/policy",
        )
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    wanted = COMPILED if name == "doj_list" else DATED
    absent = [column for column in wanted if column not in table]
    if absent:
        raise SourceError(
            f"{path.name} lacks {', '.join(absent)}", f"the columns {', '.join(wanted)}", path.name
        )
    return check_compiled(table.reindex(columns=list(DATED), fill_value=""), path.name)


def check_compiled(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return a compilation's text columns as a tidy table; see `read_compiled` for what is refused.

    Example:
        >>> row = {"jurisdiction": "Elm County", "state": "ZZ", "level": "county", "county_fips": "1001",
        ...        "policy_date": "2014", "policy_type": "REPEAL", "source": "", "source_url": "", "note": "",
        ...        "date_precision": "year", "date_basis": "enacted", "individually_verified": "yes"}
        >>> check_compiled(pd.DataFrame([row]), "mine.csv")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.TableError: mine.csv, row 1 (Elm County): county code '1001'; expected five ...
    """
    for number, row in enumerate(table.itertuples(index=False), start=1):
        here = f"{where}, row {number} ({row.jurisdiction})"
        check_place(str(row.level), str(row.county_fips), here)
        if row.policy_type not in DIRECTION_OF:
            raise TableError(
                f"{here}: policy_type '{row.policy_type}'{nearest(str(row.policy_type), DIRECTION_OF)}",
                "a known type",
            )
        if row.policy_date:
            parse_date(str(row.policy_date), str(row.date_precision), here)
    missing = table[["county_fips", "policy_date", "date_precision", "date_basis"]].replace("", np.nan)
    return table.assign(
        **missing, verified=table["individually_verified"].eq("yes"), row=np.arange(1, len(table) + 1)
    ).drop(columns="individually_verified")


def read_detainer_policies(folder: Path | None = None) -> pd.DataFrame:
    """Return the documented county policies (D2): table ``detainer_policies``, one row an event of a county.

    Example:
        >>> read_detainer_policies()["county_fips"].nunique()
        184
    """
    return validate(
        read_compiled(folder or Paths().compiled_policy, "detainer_policies"), "detainer_policies"
    )


def read_ddor_2017(folder: Path | None = None) -> pd.DataFrame:
    """Return the first Declined Detainer Outcome Report of 2017 as far as it could be had (D1):
    ``ddor_2017``.

    Example:
        >>> int(read_ddor_2017()["policy_date"].notna().sum())
        11
    """
    return validate(read_compiled(folder or Paths().compiled_policy, "ddor_2017"), "ddor_2017")


def read_state_laws(folder: Path | None = None) -> pd.DataFrame:
    """Return laws, rulings and practice of whole states (D7): table ``state_laws``.

    Example:
        >>> len(read_state_laws())
        16
    """
    return validate(read_compiled(folder or Paths().compiled_policy, "state_laws"), "state_laws")


# --- federal lists of 2025 ----------------------------------------------------------------------------------


def read_federal_lists(raw: RawFiles, where: Gazetteer, folder: Path | None = None) -> pd.DataFrame:
    """Return the lists of the Department of Homeland Security (D5, from its page) and of Justice (D6, ours).

    A jurisdiction is placed by its name: a county, a city that is county-level itself, a place within a
    county (the county holding most of it), or the state.

    Args:
        raw: the folder of raw files.
        where: names of counties and places.
        folder: by default ``data/policy``.

    Returns:
        Table ``federal_lists``: one row an entry of a list.

    Raises:
        SourceError: the page holds no state's heading.

    Example:
        >>> lists = read_federal_lists(raw, where)  # doctest: +SKIP
        >>> lists["definition_source"].value_counts().to_dict()  # doctest: +SKIP
        {'D5': 605, 'D6': 35}
    """
    dhs = place_listed(parse_dhs_page(_pdf_lines(raw.path(DHS_PDF))), where)
    dhs = dhs.assign(definition_source="D5", source=DHS_SOURCE, source_url=DHS_URL)
    doj = read_compiled(folder or Paths().compiled_policy, "doj_list")
    doj = doj.assign(definition_source="D6", placed=True, county_fips=one_new_york(doj["county_fips"]))
    columns = [
        "definition_source",
        "jurisdiction",
        "state",
        "level",
        "county_fips",
        "source",
        "source_url",
        "note",
    ]
    both = pd.concat([dhs[columns], doj[columns]], ignore_index=True)
    return validate(both.assign(row=both.groupby("definition_source").cumcount() + 1), "federal_lists")


def _pdf_lines(path: Path) -> list[str]:
    import pypdf

    quiet = logging.getLogger("pypdf")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        pages = [page.extract_text(extraction_mode="layout") for page in pypdf.PdfReader(path).pages]
    finally:
        quiet.setLevel(level)
    return [line for page in pages for line in page.splitlines()]


def parse_dhs_page(lines: Iterable[str]) -> pd.DataFrame:
    """Return the entries of the department's page: ``jurisdiction, state, listed_as, note``.

    The page is a list of states, under each the headings State, Counties and Cities. Text before the first
    state and the page's furniture carry no heading and fall away; in a state's own section the line is a
    reason.

    Raises:
        SourceError: no state's heading is found.

    Example:
        >>> parse_dhs_page(["Ohio", "", "  Cities", "    Elm", "Keywords", "Search"]).values.tolist()
        [['Elm', 'OH', 'city', '']]
    """
    headings = {"State": "state", "County": "county", "Counties": "county", "Cities": "city"}
    rows: list[tuple[str, str, str, str]] = []
    state = heading = ""
    for line in lines:
        text = " ".join(line.split())
        if text in STATES:
            state, heading = STATES[text], ""
        elif text in headings:
            heading = headings[text]
        elif text.startswith(("Topics", "Keywords", "Return to top")):
            # The end of a page: the next one goes on under the same heading, or under a state's name.
            state, heading = (state, heading) if text.startswith("Topics") else ("", "")
        elif state and heading and text and not _furniture(text):
            rows.append(
                (state, state, heading, text)
                if heading == "state"
                else (_entry(text, state), state, heading, "")
            )
    # An entry cut by the page break is printed on both pages.
    rows = list(dict.fromkeys(rows))
    if not rows:
        raise SourceError(
            "the page of the 2025 list holds no state's heading", "headings of states in its text", DHS_PDF
        )
    return pd.DataFrame(rows, columns=["jurisdiction", "state", "listed_as", "note"])


def _entry(text: str, state: str) -> str:
    return "District of Columbia" if state == "DC" and text.startswith("Self-Identification") else text


def _furniture(text: str) -> bool:
    return bool(re.search(r"https?://|captures$|About this capture|Wayback|^\d|APR|archive|🐦|❎|⍰", text))


def place_listed(listed: pd.DataFrame, where: Gazetteer) -> pd.DataFrame:
    """Return listed jurisdictions with their true level and county.

    The heading is not always the level: cities that are county-level themselves stand under Cities, and a
    heading was swapped for one state.

    Args:
        listed: ``jurisdiction, state, listed_as, note``.
        where: names of counties and places.

    Returns:
        The same with ``level`` and ``county_fips`` (missing for states and for what no name places).

    Example:
        >>> from analysis.panel.sources.jurisdictions import make_gazetteer
        >>> counties = pd.DataFrame({"county_fips": ["39001"], "state": ["OH"],
        ...     "county_name": ["Elm County"]})
        >>> places = pd.DataFrame({"state": ["OH"], "place_name": ["Oak"], "county_fips": ["39001"],
        ...     "share": [1.0]})
        >>> listed = pd.DataFrame({"jurisdiction": ["City of Oak"], "state": ["OH"], "listed_as": ["city"],
        ...     "note": [""]})
        >>> place_listed(listed, make_gazetteer(counties, places))[["level", "county_fips"]].values.tolist()
        [['city', '39001']]
    """
    placed = [
        _place_listed(str(r.jurisdiction), str(r.state), str(r.listed_as), where)
        for r in listed.itertuples(index=False)
    ]
    levels, codes = (
        [level for level, _ in placed],
        pd.Series([fips for _, fips in placed], index=listed.index, dtype="object"),
    )
    return listed.assign(level=levels, county_fips=one_new_york(codes))


def _place_listed(name: str, state: str, listed_as: str, where: Gazetteer) -> tuple[str, str | None]:
    if listed_as == "state":
        return "state", None
    if (state, name_key(name)) in _LISTED_COUNTY:
        return _LISTED_COUNTY[state, name_key(name)]
    bare = re.sub(r"^(City|Town) of ", "", name).split("/")[0]
    bare = re.sub(r" (Village|Township)$", "", bare)
    named_county = name.endswith((" County", " Parish"))
    county = (
        where.county(state, name)
        if named_county or (listed_as == "county" and not where.place(state, bare))
        else None
    )
    if county:
        return "county", county
    own = where.county_city(state, bare) or where.county_city(state, re.sub(r" City$", "", bare))
    if own:
        return "county", own
    return "city", where.place(state, bare) or where.place(state, re.sub(r" City$", "", bare))


# --- Secure Communities -------------------------------------------------------------------------------------


def read_secure_communities(raw: RawFiles) -> pd.DataFrame:
    """Return the month in which Secure Communities was activated (table ``secure_communities``).

    Rows without a date (Puerto Rico, most of Alaska, retired units) are left out: their activation is
    unknown.

    Example:
        >>> read_secure_communities(raw)["county_fips"].is_unique  # doctest: +SKIP
        True
    """
    return tidy_activation(pd.read_stata(raw.path(ACTIVATION_FILE)))


def tidy_activation(file: pd.DataFrame) -> pd.DataFrame:
    """Return the activation file as ``county_fips, state, year, month``, on the codes of the 2019 frame.

    Where a retired code and its successor, or New York City's five counties, are both dated, the earliest
    counts.

    Raises:
        SourceError: a column is missing.

    Example:
        >>> file = pd.DataFrame({"countyfips": [46113, 1001], "state": ["SD", "AL"],
        ...     "activation_year": [2011.0, None],
        ...                      "activation_month": [3.0, None]})
        >>> tidy_activation(file).values.tolist()
        [['46102', 'SD', 2011, 3]]
    """
    wanted = ["countyfips", "state", "activation_year", "activation_month"]
    absent = [column for column in wanted if column not in file]
    if absent:
        raise SourceError(f"{ACTIVATION_FILE} lacks {', '.join(absent)}", f"the columns {', '.join(wanted)}")
    dated = file[file["activation_year"].notna() & file["activation_month"].notna()]
    fips = dated["countyfips"].astype("int64").map("{:05d}".format).replace(dict(RETIRED))
    table = pd.DataFrame(
        {
            "county_fips": one_new_york(fips).astype("object"),
            "state": dated["state"].astype("object"),
            "year": dated["activation_year"].astype("int64"),
            "month": dated["activation_month"].astype("int64"),
        }
    )
    first = table.sort_values(["county_fips", "year", "month"], kind="stable").drop_duplicates("county_fips")
    return validate(first, "secure_communities")


def secure_communities_share(activation: pd.DataFrame, years: Iterable[int]) -> pd.DataFrame:
    """Return the share of each year's months in which Secure Communities was active.

    The month of activation counts in full, the last month is November 2014; zero before and after.

    Args:
        activation: table ``secure_communities``.
        years: calendar years.

    Returns:
        ``county_fips, year, secure_communities`` (0-1), for the counties of the table.

    Example:
        >>> activation = pd.DataFrame({"county_fips": ["01001"], "year": [2012], "month": [10]})
        >>> secure_communities_share(activation, [2011, 2012, 2013, 2014,
        ...     2015])["secure_communities"].tolist()
        [0.0, 0.25, 1.0, 0.9166666666666666, 0.0]
    """
    frame = activation[["county_fips", "year", "month"]].rename(
        columns={"year": "from_year", "month": "from_month"}
    )
    frame = frame.merge(pd.DataFrame({"year": sorted(years)}), how="cross")
    first = (frame["from_year"] * 12 + frame["from_month"] - 1).to_numpy()
    last = SECURE_COMMUNITIES_END[0] * 12 + SECURE_COMMUNITIES_END[1] - 1
    january = (frame["year"] * 12).to_numpy()
    months = np.clip(np.minimum(last, january + 11) - np.maximum(first, january) + 1, 0, 12)
    return frame.assign(secure_communities=months / 12)[["county_fips", "year", "secure_communities"]]


# --- 287(g) agreements --------------------------------------------------------------------------------------


def read_287g(raw: RawFiles, where: Gazetteer) -> pd.DataFrame:
    """Return 287(g) agreements by agency and active year, 2005-2019 (table ``agreements_287g``).

    Example:
        >>> read_287g(raw, where)["year"].max()  # doctest: +SKIP
        2019
    """
    return tidy_agreements(pd.read_excel(raw.path(AGREEMENTS_FILE), dtype=str, engine="calamine"), where)


def tidy_agreements(file: pd.DataFrame, where: Gazetteer) -> pd.DataFrame:
    """Return the curated list as ``state, agency, level, county_fips, year``.

    A county's name in the agency's is believed before the list's own code, which is wrong for some; agencies
    of states keep level ``state`` and have no county, city police have the county that holds most of the
    city.

    Raises:
        SourceError: a year's column is missing.

    Example:
        >>> from analysis.panel.sources.jurisdictions import make_gazetteer
        >>> counties = pd.DataFrame({"county_fips": ["39001"], "state": ["OH"],
        ...     "county_name": ["Elm County"]})
        >>> where = make_gazetteer(counties, pd.DataFrame(columns=["state", "place_name", "county_fips",
        ...     "share"]))
        >>> file = pd.DataFrame({"State": ["OHIO"], "County": ["Elm County Sheriff's Office"],
        ...     "FIPS": ["30051"],
        ...                      **{f"y{year}": ["X" if year == 2012 else None] for year in AGREEMENT_YEARS}})
        >>> tidy_agreements(file, where).values.tolist()
        [['OH', "Elm County Sheriff's Office", 'county', '39001', 2012]]
    """
    named = file.rename(columns=str.strip)
    columns = {f"y{year}": year for year in AGREEMENT_YEARS}
    absent = [column for column in ("State", "County", "FIPS", *columns) if column not in named]
    if absent:
        raise SourceError(
            f"{AGREEMENTS_FILE} lacks {', '.join(absent)}", "State, County, FIPS and y2005 to y2019"
        )
    named = named.assign(State=named["State"].ffill(), FIPS=named["FIPS"].fillna(""))
    active = named.melt(["State", "County", "FIPS"], list(columns), var_name="column", value_name="mark")
    active = active[active["mark"].fillna("").str.strip().str.upper().eq("X")]
    agencies = active[["State", "County", "FIPS"]].drop_duplicates()
    placed = {
        (state, agency, fips): _place_agency(state, agency, fips, where)
        for state, agency, fips in agencies.itertuples(index=False, name=None)
    }
    keys = list(zip(active["State"], active["County"], active["FIPS"], strict=True))
    table = pd.DataFrame(
        {
            "state": [placed[key][0] for key in keys],
            "agency": [str(key[1]).strip() for key in keys],
            "level": [placed[key][1] for key in keys],
            "county_fips": pd.Series([placed[key][2] for key in keys], dtype="object"),
            "year": active["column"].map(columns).to_numpy(),
        }
    )
    table = table.drop_duplicates(["state", "agency", "year"]).sort_values(
        ["state", "agency", "year"], kind="stable"
    )
    return validate(table, "agreements_287g")


def _place_agency(state_name: str, agency: str, fips: str, where: Gazetteer) -> tuple[str, str, str | None]:
    state = state_code(state_name)
    if state is None:
        raise SourceError(f"{AGREEMENTS_FILE}: state '{state_name}'", "a state's name")
    key = name_key(agency)
    if (state, key) in _AGENCY_COUNTY:
        return state, "county", _AGENCY_COUNTY[state, key]
    if _STATE_AGENCY.search(key):
        return state, "state", None
    found = re.match(r"^(.*?) (?:COUNTY|PARISH)\b", key)
    county = where.county(state, found.group(1)) if found else None
    if county:
        return state, "county", county
    if "POLICE" not in key and STATE_OF_FIPS.get(fips.zfill(5)[:2]) == state:
        return state, "county", fips.zfill(5)
    city = re.sub(r"^CITY OF | (CITY |COUNTY )?(METROPOLITAN )?POLICE.*$| SHERIFF.*$| CITY$", "", key)
    return state, "city", where.place(state, city)


def agreements_active(agreements: pd.DataFrame, county_years: pd.DataFrame) -> pd.DataFrame:
    """Return 1 for a county-year in which a county agency had a 287(g) agreement, 0 otherwise.

    Agreements of states and of city police bind no county jail and are not counted.

    Args:
        agreements: table ``agreements_287g``.
        county_years: ``county_fips, year``; years outside 2005-2019 are missing.

    Returns:
        ``county_fips, year, agreement_287g``, row for row with ``county_years``.

    Example:
        >>> agreements = pd.DataFrame({"county_fips": ["39001"], "level": ["county"], "year": [2012]})
        >>> asked = pd.DataFrame({"county_fips": ["39001", "39001"], "year": [2012, 2013]})
        >>> agreements_active(agreements, asked)["agreement_287g"].tolist()
        [1.0, 0.0]
    """
    held = agreements.loc[agreements["level"] == "county", ["county_fips", "year"]].drop_duplicates()
    asked = county_years[["county_fips", "year"]].reset_index(drop=True)
    out = asked.merge(
        held.assign(agreement_287g=1.0), on=["county_fips", "year"], how="left", validate="many_to_one"
    )
    known = out["year"].isin(list(AGREEMENT_YEARS))
    return out.assign(agreement_287g=out["agreement_287g"].fillna(0.0).where(known))


def read_287g_roster(raw: RawFiles, where: Gazetteer) -> pd.DataFrame:
    """Return the department's roster of 287(g) agreements of 18 July 2025 (table ``roster_287g_2025``):
    current only.

    Example:
        >>> len(read_287g_roster(raw, where))  # doctest: +SKIP
        832
    """
    return tidy_roster(pd.read_excel(raw.path(ROSTER_FILE), dtype=str, engine="calamine"), where)


def tidy_roster(file: pd.DataFrame, where: Gazetteer) -> pd.DataFrame:
    """Return the roster as ``row, state, agency, level, county_fips, model, signed``.

    Example:
        >>> from analysis.panel.sources.jurisdictions import make_gazetteer
        >>> counties = pd.DataFrame({"county_fips": ["39001"], "state": ["OH"],
        ...     "county_name": ["Elm County"]})
        >>> where = make_gazetteer(counties, pd.DataFrame(columns=["state", "place_name", "county_fips",
        ...     "share"]))
        >>> file = pd.DataFrame({"STATE": ["OHIO"], "LAW ENFORCEMENT AGENCY": ["Elm Sheriff"],
        ...     "TYPE": ["County"],
        ...                      "COUNTY": ["Elm County"], "SUPPORT TYPE": ["Task Force Model"],
        ...     "SIGNED": ["2025-06-25 00:00:00"]})
        >>> tidy_roster(file, where)[["county_fips", "signed"]].values.tolist()
        [['39001', '2025-06-25']]
    """
    names = {"LAW ENFORCEMENT AGENCY": "agency", "SUPPORT TYPE": "model"}
    wanted = ["STATE", "TYPE", "COUNTY", "SIGNED", *names]
    absent = [column for column in wanted if column not in file]
    if absent:
        raise SourceError(f"{ROSTER_FILE} lacks {', '.join(absent)}", f"the columns {', '.join(wanted)}")
    state = file["STATE"].map(lambda name: state_code(str(name)))
    kinds = {"county": "county", "state agency": "state", "state": "state"}
    level = file["TYPE"].fillna("").str.strip().str.lower().map(lambda kind: kinds.get(kind, "city"))
    county = [
        where.county(code, name)
        if isinstance(name, str) and isinstance(code, str) and kind != "state"
        else None
        for code, name, kind in zip(state, file["COUNTY"], level, strict=True)
    ]
    signed = pd.to_datetime(file["SIGNED"], errors="coerce", format="mixed").dt.strftime("%Y-%m-%d")
    table = file.rename(columns=names)[["agency", "model"]].apply(lambda column: column.str.strip())
    table = table.assign(
        state=state, level=level, county_fips=one_new_york(pd.Series(county, dtype="object")), signed=signed
    )
    return validate(table.assign(row=np.arange(1, len(table) + 1)), "roster_287g_2025")


# --- events -------------------------------------------------------------------------------------------------


def make_policy_events(
    detainer_policies: pd.DataFrame,
    ddor_2017: pd.DataFrame,
    federal_lists: pd.DataFrame,
    state_laws: pd.DataFrame,
) -> pd.DataFrame:
    """Return every policy and listing under one contract (table ``policy_events``).

    New York City's five counties become the one area 36998, and rows that say the same of one unit (source,
    level, county or state, date, direction) become one event; ``rows`` counts them. A city whose government
    is the county's stands at level county, all others keep level city.

    Args:
        detainer_policies, ddor_2017, federal_lists, state_laws: the tables of that name.

    Returns:
        ``event`` (key), ``definition_source`` (D1, D2, D5, D6, D7), ``jurisdiction, state, level,
        county_fips`` (missing for states), ``direction, date, year, month, precision`` (missing where
        undated), ``basis, upper_bound, verified, rows, source, source_url, note``.

    Example:
        >>> events = make_policy_events(read_detainer_policies(), read_ddor_2017(), lists,
        ...     read_state_laws())  # doctest: +SKIP
        >>> events[events["county_fips"] == "36998"]["date"].dropna().tolist()  # doctest: +SKIP
        ['2011-11-22', '2013-03-18', '2014-11-14']
    """
    parts = [
        _dated_events(ddor_2017, "D1"),
        _dated_events(detainer_policies, "D2"),
        _listed_events(federal_lists),
        _dated_events(state_laws, "D7"),
    ]
    columns = [
        "definition_source", "jurisdiction", "state", "level", "county_fips", "direction", "date", "year",
        "month",
        "precision", "basis", "upper_bound", "verified", "source", "source_url", "note",
    ]  # fmt: skip
    events = pd.concat([part.reindex(columns=columns).astype("object") for part in parts], ignore_index=True)
    merged = _merge_equal(_county_level(events))
    numbers = merged.groupby("definition_source").cumcount() + 1
    merged.insert(0, "event", merged["definition_source"] + "-" + numbers.map("{:03d}".format))
    typed = merged.astype(
        {"year": "Int64", "month": "Int64", "upper_bound": bool, "verified": bool, "rows": "int64"}
    )
    return validate(typed, "policy_events")


def _dated_events(table: pd.DataFrame, source: str) -> pd.DataFrame:
    dates = [
        parse_date(str(date), str(precision), f"{source}, {name}") if isinstance(date, str) else (None, None)
        for date, precision, name in zip(
            table["policy_date"], table["date_precision"], table["jurisdiction"], strict=True
        )
    ]
    return table.rename(
        columns={"policy_date": "date", "date_precision": "precision", "date_basis": "basis"}
    ).assign(
        definition_source=source,
        direction=table["policy_type"].map(dict(DIRECTION_OF)),
        year=pd.array([year for year, _ in dates], dtype="Int64"),
        month=pd.array([month for _, month in dates], dtype="Int64"),
        upper_bound=table["date_basis"].isin(UPPER_BOUNDS),
    )


def _listed_events(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(direction="listed", upper_bound=False, verified=True)


def _county_level(events: pd.DataFrame) -> pd.DataFrame:
    codes = one_new_york(events["county_fips"])
    independent = codes.notna() & codes.fillna("").str.startswith(("515", "516", "517", "518"))
    own = [
        CONSOLIDATED.get((state, place_key(name))) == fips
        for state, name, fips in zip(events["state"], events["jurisdiction"].astype(str), codes, strict=True)
    ]
    county = (events["level"] == "city") & (independent | np.array(own, dtype=bool))
    names = events["jurisdiction"].mask(codes == NEW_YORK_CITY, "New York City")
    return events.assign(county_fips=codes, level=events["level"].mask(county, "county"), jurisdiction=names)


def _merge_equal(events: pd.DataFrame) -> pd.DataFrame:
    # Cities of one county stay apart: each is its own jurisdiction.
    unit = events["jurisdiction"].where(
        events["level"] == "city", events["county_fips"].fillna(events["state"])
    )
    keyed = events.assign(unit=unit, key_date=events["date"].fillna(""))
    key = ["definition_source", "state", "level", "unit", "key_date", "direction"]
    ordered = keyed.sort_values(
        [*key, "verified", "note"], ascending=[True] * 6 + [False, True], kind="stable", na_position="last"
    )
    groups = ordered.groupby(key, sort=True)
    first = groups.head(1).set_index(key)
    first = first.assign(rows=groups.size(), verified=groups["verified"].any())
    return first.reset_index()[[*events.columns, "rows"]]

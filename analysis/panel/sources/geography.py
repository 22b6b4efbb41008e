"""Geography: county codes and their changes, boundaries, neighbours, places, agencies, county subdivisions.

Everything comes out on one frame, the 3,142 counties of the Census Bureau's vintage 2019 (Connecticut's eight
counties, Kusilvak 02158, Oglala Lakota 46102, Valdez-Cordova 02261, Bedford city within 51019).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, TableError, nearest
from analysis.base.fips import STATE_POSTAL, codes_of, load_fips_changes, recodes, refusals

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

# The FBI's agency identifiers write some states otherwise than the post.
ORI_POSTAL: Mapping[str, str] = MappingProxyType({"NB": "NE", "GM": "GU"})
SQUARE_METRES_PER_SQUARE_MILE = 2_589_988.110336
ADJACENCY = "geography/county_adjacency.txt"
BOUNDARIES = "geography/cb_2018_us_county_20m"
CROSSWALK = "geography/agency_crosswalk.rds"
GEOCODES = "geography/all-geocodes-v2016.xlsx"
GEOCORR = "geography/geocorr2018_county_place.csv"
REMAINDER = "99999"


# ----------------------------------------------------------------------------------------------------------
# Reading text: what every county reader needs
# ----------------------------------------------------------------------------------------------------------


def read_columns(
    path: Path, columns: Sequence[str], where: str, *, encoding: str = "latin-1", **options: Any
) -> pd.DataFrame:
    """Return some columns of a delimited file as text, or say which it lacks.

    Args:
        path: the file.
        columns: names wanted, in the order they come out.
        where: the file's name as a reader of the error should see it.
        encoding: most Census files are Latin-1, not UTF-8.
        options: further options of `pandas.read_csv` (``header``, ``sep``, ``lineterminator``).

    Raises:
        SourceError: a column is missing or renamed; the message names the nearest column there is.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "t.csv"
        >>> _ = path.write_text("FIPS,Pop\\n01001,5\\n")
        >>> read_columns(path, ["FIPS"], "t.csv").iloc[0].tolist()
        ['01001']
        >>> read_columns(path, ["FIPSs"], "t.csv")
        Traceback (most recent call last):
        ...
        analysis.base.errors.SourceError: t.csv lacks column FIPSs (did you mean FIPS?); expected FIPSs
    """
    present = pd.read_csv(path, nrows=0, encoding=encoding, **options).columns
    refuse_missing_columns(present, columns, where)
    frame = pd.read_csv(
        path, dtype=str, keep_default_na=False, encoding=encoding, usecols=list(columns), **options
    )
    return frame[list(columns)]


def refuse_missing_columns(present: Collection[str], wanted: Sequence[str], where: str) -> None:
    """Raise `SourceError` where a wanted column is not there, naming the nearest one that is."""
    absent = [column for column in wanted if column not in present]
    if absent:
        listed = ", ".join(f"{name}{nearest(name, map(str, present))}" for name in absent[:4])
        more = f" and {len(absent) - 4} more" if len(absent) > 4 else ""
        raise SourceError(
            f"{where} lacks column{'s' if len(absent) > 1 else ''} {listed}{more}", ", ".join(wanted[:8])
        )


def county_codes(values: pd.Series, where: str, *, padded: bool) -> pd.Series:
    """Return county FIPS codes as five-character text.

    Args:
        values: codes as the file has them, text.
        where: the file's name, for the error.
        padded: whether the file prints five characters; then four are an error, because a code that lost its
            zero says that the file was resaved as numbers. A file published with codes as numbers is
            filled up.

    Raises:
        SourceError: a code that is no number, is too long, or lost its zero.

    Example:
        >>> county_codes(pd.Series(["1001", "56045"]), "t.csv", padded=False).tolist()
        ['01001', '56045']
        >>> county_codes(pd.Series(["1001"]), "t.csv", padded=True)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.SourceError: t.csv, row 1: county code '1001' lost its leading zero; ...
    """
    text = values.astype(str).str.strip()
    digits = text.str.fullmatch(r"\d{5}" if padded else r"\d{4,5}")
    if not digits.all():
        row = int(np.flatnonzero(~digits.to_numpy())[0])
        bad = text.iloc[row]
        if re.fullmatch(r"\d{4}", bad):
            raise SourceError(
                f"{where}, row {row + 1}: county code '{bad}' lost its leading zero", f"'0{bad}'"
            )
        raise SourceError(f"{where}, row {row + 1}: county code '{bad}'", "five digits, e.g. 01001")
    return text.str.zfill(5)


def join_codes(state: pd.Series, county: pd.Series, where: str) -> pd.Series:
    """Return county codes from a state column and a county column, padded or printed as numbers.

    Raises:
        SourceError: a part that is no number of one or two (state), one to three (county) digits.

    Example:
        >>> join_codes(pd.Series(["1", "06"]), pd.Series(["1", "037"]), "t.csv").tolist()
        ['01001', '06037']
    """
    state, county = state.astype(str).str.strip(), county.astype(str).str.strip()
    right = state.str.fullmatch(r"\d{1,2}") & county.str.fullmatch(r"\d{1,3}")
    if not right.all():
        row = int(np.flatnonzero(~right.to_numpy())[0])
        raise SourceError(
            f"{where}, row {row + 1}: state code '{state.iloc[row]}', county code '{county.iloc[row]}'",
            "a state code of two digits and a county code of three",
        )
    return state.str.zfill(2) + county.str.zfill(3)


def to_numbers(
    values: pd.Series, where: str, *, missing: Collection[str] = ("",), minimum: float | None = 0.0
) -> pd.Series:
    """Return text as numbers; thousands commas are dropped, only the stated words mean missing.

    Args:
        values: text; its name says which column an error speaks of.
        where: the file's name, for the error.
        missing: texts that mean not published, after spaces are trimmed.
        minimum: smallest value allowed, or None for any: a negative count is an error.

    Raises:
        SourceError: text that is neither a number nor a stated word for missing, or a value below the
        minimum.

    Example:
        >>> to_numbers(pd.Series(["1,200", ""], name="people"), "t.csv").tolist()
        [1200.0, nan]
        >>> to_numbers(pd.Series(["-3"], name="people"), "t.csv")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.SourceError: t.csv, row 1, column people: -3 is below 0; ...
    """
    text = values.astype(str).str.strip()
    blank = text.isin(list(missing))
    numbers = pd.to_numeric(text.mask(blank).str.replace(",", "", regex=False), errors="coerce").astype(float)
    odd = (numbers.isna() & ~blank) | np.isinf(numbers)
    if odd.any():
        row = int(np.flatnonzero(odd.to_numpy())[0])
        raise SourceError(
            f"{where}, row {row + 1}, column {values.name}: '{text.iloc[row]}' is not a number", "a number"
        )
    if minimum is not None and (numbers < minimum).any():
        row = int(np.flatnonzero((numbers < minimum).to_numpy())[0])
        raise SourceError(
            f"{where}, row {row + 1}, column {values.name}: {text.iloc[row]} is below {minimum:g}",
            f"a number of at least {minimum:g}",
        )
    return numbers


def refuse_repeated(frame: pd.DataFrame, key: Sequence[str], where: str) -> None:
    """Raise `SourceError` where rows repeat their key: they would be added up as if they were parts of a
    county.
    """
    repeated = frame.duplicated(list(key), keep=False)
    if repeated.any():
        rows = frame.loc[repeated, list(key)].head(3).to_dict("records")
        raise SourceError(
            f"{where} has {int(repeated.sum())} rows that repeat {', '.join(key)}: {rows}", "one row each"
        )


def in_states(codes: pd.Series) -> pd.Series:
    """Return whether each county code lies in one of the fifty states or the District of Columbia."""
    return codes.str[:2].isin(STATE_POSTAL)


# ----------------------------------------------------------------------------------------------------------
# Changes of county codes
# ----------------------------------------------------------------------------------------------------------


def apply_fips_changes(
    frame: pd.DataFrame,
    column: str = "county_fips",
    changes: pd.DataFrame | None = None,
    splits: str = "refuse",
) -> pd.DataFrame:
    """Return the frame with county codes of the 2019 frame; rows are recoded, never added up or dropped.

    Args:
        frame: any rows with a county code; never mutated.
        column: the column of five-character codes; missing codes stay missing.
        changes: by default the study's table.
        splits: what becomes of a code whose county was split before 2019, so that its people belong to
            several counties: ``refuse`` raises, ``keep`` leaves the old code (the panel's joins then
                report it unmatched).

    Raises:
        TableError: a split code under ``refuse``; a Connecticut planning region under either.

    Assumption:
        Codes are matched whatever the year of the row: none of them was ever given to another county.

    Example:
        >>> apply_fips_changes(pd.DataFrame({"county_fips": ["46113", "06037"]}))["county_fips"].tolist()
        ['46102', '06037']
        >>> apply_fips_changes(pd.DataFrame({"county_fips": ["02201"]}))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        analysis.base.errors.TableError: county_fips holds 02201 in 1 row(s): Prince of Wales...
    """
    if splits not in {"refuse", "keep"}:
        raise TableError(f"splits = '{splits}'", "'refuse' or 'keep'")
    table = load_fips_changes() if changes is None else changes
    codes = frame[column]
    reasons = refusals(table)
    replaced = {
        code
        for row in table.itertuples(index=False)
        if row.type == "replace"
        for code in codes_of(row.new_fips)
    }
    refused = [code for code in reasons if splits == "refuse" or code in replaced]
    bad = codes[codes.isin(refused)]
    if len(bad):
        code = str(bad.iloc[0])
        raise TableError(
            f"{column} holds {code} in {int((bad == code).sum())} row(s): {reasons[code]}",
            "codes of the 2019 county frame",
        )
    return frame.assign(**{column: codes.replace(recodes(table))})


def merge_weights(codes: pd.Series, changes: pd.DataFrame | None = None) -> pd.Series:
    """Return the census population of each county of a merge, one for every other county.

    The weights only matter within a merged county: rates of Bedford city (6,222 people in 2010) and
    Bedford County (68,676) are averaged with them.

    Example:
        >>> merge_weights(pd.Series(["51515", "51019", "06037"])).tolist()
        [6222.0, 68676.0, 1.0]
    """
    table = load_fips_changes() if changes is None else changes
    merges = table[table["type"] == "merge"]
    weights = {
        **dict(zip(merges["new_fips"], merges["population_new"], strict=True)),
        **dict(zip(merges["old_fips"], merges["population_old"], strict=True)),
    }
    return codes.map(weights).astype(float).fillna(1.0)


def combine_counties(
    frame: pd.DataFrame,
    key: Sequence[str],
    *,
    sums: Sequence[str] = (),
    means: Sequence[str] = (),
    weight: str | None = None,
) -> pd.DataFrame:
    """Return one row a key: counts added up, rates averaged by population.

    Args:
        frame: rows after `apply_fips_changes`; repeats of a key are parts of one county.
        key: key columns.
        sums: columns of counts; a part without a count adds nothing, no part with one leaves it missing.
        means: columns of rates or shares, averaged over the parts that have one.
        weight: column of weights for the means (people).

    Returns:
        Columns key, sums, means, sorted by key.

    Assumption:
        The average of a median (household income) is not the median of the union; it is used for Bedford
        alone.

    Example:
        >>> parts = pd.DataFrame({"c": ["a", "a", "b"], "r": [0.1, 0.4, 0.9], "w": [2, 1, 7]})
        >>> combine_counties(parts, ["c"], means=["r"], weight="w")["r"].round(3).tolist()
        [0.2, 0.9]
    """
    names = [*key, *sums, *means]
    if means and weight is None:
        raise TableError("combine_counties averages rates without a weight", "weight = the column of people")
    repeated = frame.duplicated(list(key), keep=False)
    parts = frame[repeated]
    if parts.empty:
        return frame[names].sort_values(list(key), ignore_index=True)
    by = [parts[name] for name in key]
    columns = {name: parts[name].groupby(by).sum(min_count=1) for name in sums}
    for name in means:
        people = parts[weight].where(parts[name].notna()).astype(float)
        total = people.groupby(by).sum(min_count=1)
        columns[name] = (parts[name] * people).groupby(by).sum(min_count=1) / total
    whole = pd.DataFrame(columns).reset_index()
    both = pd.concat([frame.loc[~repeated, names], whole[names]], ignore_index=True)
    return both.sort_values(list(key), ignore_index=True)


# ----------------------------------------------------------------------------------------------------------
# Boundaries and neighbours
# ----------------------------------------------------------------------------------------------------------


def read_boundaries(raw: RawFiles) -> Any:
    """Return county shapes as a GeoDataFrame (NAD83, degrees), for maps, not for areas.

    Args:
        raw: the raw files; the Census cartographic boundary file of 2018, 1:20,000,000.

    Returns:
        Columns of the contract ``boundaries`` (county_fips, state, county_name, land_area_sq_miles) and
        geometry.

    Raises:
        SourceError: a part of the shapefile is missing or has other columns.

    Source:
        Census Bureau, cb_2018_us_county_20m.
    """
    import geopandas as gpd

    for suffix in (".shx", ".dbf", ".prj", ".cpg"):
        raw.path(BOUNDARIES + suffix)
    shapes = gpd.read_file(raw.path(BOUNDARIES + ".shp"))
    refuse_missing_columns(shapes.columns, ["GEOID", "NAME", "ALAND", "geometry"], BOUNDARIES)
    shapes = shapes.assign(county_fips=county_codes(shapes["GEOID"], BOUNDARIES, padded=True))
    shapes = apply_fips_changes(shapes[in_states(shapes["county_fips"])])
    shapes = shapes.assign(
        state=shapes["county_fips"].str[:2].map(STATE_POSTAL),
        county_name=shapes["NAME"],
        land_area_sq_miles=shapes["ALAND"] / SQUARE_METRES_PER_SQUARE_MILE,
    ).sort_values("county_fips", ignore_index=True)
    table = validate(
        pd.DataFrame(shapes[["county_fips", "state", "county_name", "land_area_sq_miles"]]), "boundaries"
    )
    return gpd.GeoDataFrame(table, geometry=shapes["geometry"], crs=shapes.crs)


def tidy_adjacency(lines: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of neighbouring counties, both directions, without a county and itself.

    Args:
        lines: text columns ``county``, ``neighbour``; the county stands only on its first line, as the
            file has it.

    Raises:
        SourceError: the first line names no county, or a code is not five digits.

    Example:
        >>> pairs = pd.DataFrame({"county": ["01001", "", "01003"], "neighbour": ["01001", "01003", "01001"]})
        >>> tidy_adjacency(pairs).to_numpy().tolist()
        [['01001', '01003'], ['01003', '01001']]
    """
    if lines.empty or not str(lines["county"].iloc[0]).strip():
        raise SourceError(
            f"{ADJACENCY}: the first line names no county", "a county name and code on the first line"
        )
    county = lines["county"].str.strip().mask(lambda s: s == "").ffill()
    pairs = pd.DataFrame(
        {
            "county_fips": county_codes(county, ADJACENCY, padded=True),
            "neighbour_fips": county_codes(lines["neighbour"], ADJACENCY, padded=True),
        }
    )
    pairs = pairs[in_states(pairs["county_fips"]) & in_states(pairs["neighbour_fips"])]
    pairs = apply_fips_changes(apply_fips_changes(pairs), "neighbour_fips")
    pairs = pairs[pairs["county_fips"] != pairs["neighbour_fips"]].drop_duplicates()
    return validate(pairs.sort_values(["county_fips", "neighbour_fips"], ignore_index=True), "adjacency")


def adjacency_report(pairs: pd.DataFrame, counties: Collection[str] = ()) -> pd.DataFrame:
    """Return what is odd in a table of neighbours: pairs without their mirror, counties without a neighbour.

    Args:
        pairs: contract ``adjacency``.
        counties: the county frame, to find counties without any neighbour.

    Returns:
        Columns ``finding`` (``one_way`` or ``no_neighbour``), ``county_fips``, ``neighbour_fips``.

    Example:
        >>> lone = pd.DataFrame({"county_fips": ["01001"], "neighbour_fips": ["01003"]})
        >>> adjacency_report(lone, ["01001", "01003"])["finding"].tolist()
        ['one_way', 'no_neighbour']
    """
    mirror = pairs.rename(columns={"county_fips": "neighbour_fips", "neighbour_fips": "county_fips"})
    merged = pairs.merge(mirror, how="left", indicator=True)
    one_way = merged.loc[merged["_merge"] == "left_only", ["county_fips", "neighbour_fips"]]
    alone = sorted(set(counties) - set(pairs["county_fips"]))
    return pd.concat(
        [one_way.assign(finding="one_way"), pd.DataFrame({"county_fips": alone, "finding": "no_neighbour"})],
        ignore_index=True,
    ).reindex(columns=["finding", "county_fips", "neighbour_fips"])


def read_adjacency(raw: RawFiles) -> pd.DataFrame:
    """Return pairs of neighbouring counties (contract ``adjacency``) from the Census file of 2010.

    Neighbours may share only water or a point. The file marks a county by its first line alone.

    Raises:
        SourceError: a line without four tab-separated cells.

    Source:
        Census Bureau, county_adjacency.txt.
    """
    lines = pd.read_csv(
        raw.path(ADJACENCY), sep="\t", header=None, dtype=str, keep_default_na=False, encoding="latin-1"
    )
    if lines.shape[1] != 4:
        raise SourceError(f"{ADJACENCY} has {lines.shape[1]} tab-separated cells a line", "four")
    return tidy_adjacency(lines.rename(columns={1: "county", 3: "neighbour"})[["county", "neighbour"]])


# ----------------------------------------------------------------------------------------------------------
# Places, subdivisions, agencies
# ----------------------------------------------------------------------------------------------------------

GEOCORR_COLUMNS = ("county14", "state", "placefp14", "placenm14", "pop10", "AFACT2")


def tidy_place_county(table: pd.DataFrame) -> pd.DataFrame:
    """Return how the people of each place of 2014 spread over counties (2010 census).

    Args:
        table: the allocation file as text, its second label row included.

    Returns:
        Contract ``place_county``. The share is computed from the populations, so that a place's shares add
        up to exactly one; the printed factor has four decimals and must agree to 0.0001. Rows of place
        99999 are the parts of counties outside every place, flagged ``remainder``.

    Raises:
        SourceError: columns missing, the label row gone, a code without its zero, a share that disagrees.

    Example:
        >>> rows = [["County code", "State", "Place", "Name", "Population", "Factor"],
        ...         ["01001", "01", "00100", "Elm city, AL", "30", "0.75 "],
        ...         ["01003", "01", "00100", "Elm city, AL", "10", "0.25 "]]
        >>> tidy_place_county(pd.DataFrame(rows, columns=list(GEOCORR_COLUMNS)))["share_of_place"].tolist()
        [0.75, 0.25]
    """
    refuse_missing_columns(table.columns, GEOCORR_COLUMNS, GEOCORR)
    if len(table) == 0 or str(table["county14"].iloc[0])[:1].isdigit():
        raise SourceError(
            f"{GEOCORR}: the second row holds no labels", "the layout of Geocorr 2018: names, then labels"
        )
    body = table.iloc[1:].reset_index(drop=True)
    frame = pd.DataFrame(
        {
            "state_fips": body["state"].str.strip(),
            "place_fips": county_codes(body["placefp14"], GEOCORR, padded=True),
            "place_name": body["placenm14"]
            .str.strip()
            .str.replace(r", [A-Z]{2}$", "", regex=True)
            .mask(lambda s: s == ""),
            "county_fips": county_codes(body["county14"], GEOCORR, padded=True),
            "population_2010": to_numbers(body["pop10"], GEOCORR),
            "printed": to_numbers(body["AFACT2"], GEOCORR),
        }
    )
    refuse_repeated(frame, ["state_fips", "place_fips", "county_fips"], GEOCORR)
    frame = apply_fips_changes(frame[in_states(frame["county_fips"])])
    frame["remainder"] = frame["place_fips"] == REMAINDER
    total = frame.groupby(["state_fips", "place_fips"])["population_2010"].transform("sum")
    frame["share_of_place"] = frame["population_2010"] / total.where(total > 0)
    off = (frame["share_of_place"] - frame["printed"]).abs() > 1e-4
    if off.any():
        row = frame[off].iloc[0]
        raise SourceError(
            f"{GEOCORR}: place {row['state_fips']}{row['place_fips']} in {row['county_fips']} has factor "
            f"{row['printed']}, its population says {row['share_of_place']:.4f}",
            "a factor that agrees with the population to 0.0001",
        )
    frame["population_2010"] = frame["population_2010"].astype(np.int64)
    frame = frame.drop(columns="printed").sort_values(["state_fips", "place_fips", "county_fips"])
    return validate(frame, "place_county")


def read_place_county(raw: RawFiles) -> pd.DataFrame:
    """Return the place-to-county allocation (contract ``place_county``).

    Source:
        Missouri Census Data Center, Geocorr 2018: places of 2014, counties of 2014, population of 2010.
    """
    return tidy_place_county(read_columns(raw.path(GEOCORR), GEOCORR_COLUMNS, GEOCORR))


CROSSWALK_COLUMNS = (
    "ori", "fips_state_code", "fips_state_county_code", "fips_place_code", "agency_type",
    "crosswalk_agency_name",
    "census_name",
)  # fmt: skip


def tidy_agency_crosswalk(table: pd.DataFrame) -> pd.DataFrame:
    """Return agencies with their county and place.

    Args:
        table: the crosswalk as read, text with missing values.

    Returns:
        Contract ``agency_crosswalk``. The state is that of the agency identifier (NB is Nebraska). A
        county is missing where the file gives none (999, or no number), one outside the states, or one in
        another state than the identifier; a place of the 99000s is the county itself and comes out missing.

    Raises:
        SourceError: columns missing or an identifier twice.

    Example:
        >>> row = {"ori": "NB00100", "fips_state_code": "31", "fips_state_county_code": "31001",
        ...        "fips_place_code": "99001", "agency_type": "sheriffs office",
        ...        "crosswalk_agency_name": "elm county", "census_name": "elm county"}
        >>> tidy_agency_crosswalk(pd.DataFrame([row]))[["state", "county_fips"]].iloc[0].tolist()
        ['NE', '31001']
    """
    refuse_missing_columns(table.columns, CROSSWALK_COLUMNS, CROSSWALK)
    refuse_repeated(table, ["ori"], CROSSWALK)
    short = table["fips_state_county_code"].dropna().astype(str)
    lost = short[short.str.fullmatch(r"\d{4}")]
    # '20na' is how the file writes a missing county; four digits would be a lost zero.
    if len(lost):
        raise SourceError(
            f"{CROSSWALK}: county code '{lost.iloc[0]}' lost its leading zero", f"'0{lost.iloc[0]}'"
        )
    prefix = table["ori"].str[:2]
    state = prefix.replace(dict(ORI_POSTAL))
    county = table["fips_state_county_code"]
    placed = (
        county.str.fullmatch(r"\d{5}").fillna(False)
        & (county.str[2:] != "999")
        & (county.str[:2].map(STATE_POSTAL) == state)
    )
    place = table["fips_place_code"]
    frame = pd.DataFrame(
        {
            "ori": table["ori"],
            "state": state,
            "county_fips": county.where(placed),
            "place_fips": place.where(
                placed & place.str.fullmatch(r"\d{5}").fillna(False) & ~place.str.startswith("99", na=False)
            ),
            "agency_type": table["agency_type"],
            "agency_name": table["crosswalk_agency_name"],
            "census_name": table["census_name"],
        }
    )
    return validate(apply_fips_changes(frame).sort_values("ori"), "agency_crosswalk")


def read_agency_crosswalk(raw: RawFiles) -> pd.DataFrame:
    """Return the crosswalk of 23,916 law-enforcement agencies (contract ``agency_crosswalk``).

    Source:
        Law Enforcement Agency Identifiers Crosswalk, as compiled by J. Kaplan; an R data file.
    """
    import pyreadr

    table = next(iter(pyreadr.read_r(str(raw.path(CROSSWALK))).values()))
    return tidy_agency_crosswalk(table)


GEOCODE_COLUMNS = (
    "Summary Level", "State Code (FIPS)", "County Code (FIPS)", "County Subdivision Code (FIPS)",
    "Place Code (FIPS)",
    "Area Name (including legal/statistical area description)",
)  # fmt: skip


def _geocodes(table: pd.DataFrame, level: str) -> pd.DataFrame:
    refuse_missing_columns(table.columns, GEOCODE_COLUMNS, GEOCODES)
    frame = table[list(GEOCODE_COLUMNS)].set_axis(
        ["level", "state", "county", "subdivision", "place", "name"], axis=1
    )
    state = frame["state"].astype(str)
    if not state.str.fullmatch(r"\d{2}").all():
        bad = state[~state.str.fullmatch(r"\d{2}")].iloc[0]
        raise SourceError(f"{GEOCODES}: state code '{bad}'", "two digits as text")
    return frame[(frame["level"] == level) & frame["state"].isin(STATE_POSTAL)]


def tidy_county_subdivisions(table: pd.DataFrame) -> pd.DataFrame:
    """Return townships, New England towns and other county subdivisions with their county.

    Args:
        table: the geocode sheet as text, with its column names.

    Returns:
        Contract ``county_subdivisions``; names keep their description ("Bethel town"). The file lists
        functioning subdivisions of 20 states only, and gives none of them a place code.

    Raises:
        SourceError: columns missing, a code without its zeros, a subdivision twice.

    Example:
        >>> rows = [["061", "09", "001", "04720", "00000", "Elm town"]]
        >>> tidy_county_subdivisions(pd.DataFrame(rows, columns=list(GEOCODE_COLUMNS)))["county_fips"][0]
        '09001'
    """
    towns = _geocodes(table, "061")
    frame = pd.DataFrame(
        {
            "state_fips": towns["state"],
            "county_fips": county_codes(towns["state"] + towns["county"].astype(str), GEOCODES, padded=True),
            "subdivision_fips": county_codes(towns["subdivision"], GEOCODES, padded=True),
            "subdivision_name": towns["name"],
        }
    )
    key = ["county_fips", "subdivision_fips"]
    refuse_repeated(frame, key, GEOCODES)
    return validate(apply_fips_changes(frame).sort_values(key), "county_subdivisions")


def read_county_subdivisions(raw: RawFiles) -> pd.DataFrame:
    """Return county subdivisions (contract ``county_subdivisions``).

    Source:
        Census Bureau, all-geocodes-v2016.xlsx.
    """
    from python_calamine import CalamineWorkbook

    rows = CalamineWorkbook.from_path(str(raw.path(GEOCODES))).get_sheet_by_index(0).to_python()
    header = next((i for i, row in enumerate(rows[:12]) if row and row[0] == "Summary Level"), None)
    if header is None:
        raise SourceError(f"{GEOCODES}: no row starts with 'Summary Level'", "the layout of vintage 2016")
    return tidy_county_subdivisions(pd.DataFrame(rows[header + 1 :], columns=rows[header]))

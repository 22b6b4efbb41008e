"""Census Bureau tables: the county frame, population, poverty and income, food assistance, fixed-vintage
shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.base.codebook import load_codebook, validate
from analysis.base.errors import SourceError
from analysis.base.fips import STATE_POSTAL, load_fips_changes, recodes, refusals
from analysis.panel.sources.geography import (
    SQUARE_METRES_PER_SQUARE_MILE,
    apply_fips_changes,
    combine_counties,
    county_codes,
    in_states,
    join_codes,
    merge_weights,
    read_columns,
    refuse_missing_columns,
    refuse_repeated,
    to_numbers,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

INTERCENSAL = "census/co-est00int-tot.csv"
VINTAGE_2019 = "census/co-est2019-alldata.csv"
SAIPE = "census/saipe_county_1989_2017.csv"
SAIPE_2018 = "census/ers_poverty_2018.csv"
SAIPE_2019 = "census/saipe_est19all.xls"
SNAP = "census/saipe_cntysnap.csv"
SF1 = "census/census2010_sf1_county.csv"
OEPS_2000 = "census/oeps_county_2000.csv"
OEPS_2010 = "census/oeps_county_2010.csv"
QUICKFACTS = "census/quickfacts2015_county_facts.csv"
MOBILITY = "acs/opportunity_insights_cty_covariates.csv"

_PLACE = ("SUMLEV", "STATE", "COUNTY")
INTERCENSAL_YEARS = tuple(range(2000, 2010))
VINTAGE_YEARS = tuple(range(2010, 2020))
INTERCENSAL_COLUMNS = (*_PLACE, *(f"POPESTIMATE{year}" for year in INTERCENSAL_YEARS))
VINTAGE_COLUMNS = (
    *_PLACE, "REGION", "DIVISION", "CTYNAME", "CENSUS2010POP",
    *(f"POPESTIMATE{year}" for year in VINTAGE_YEARS),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------------------
# County frame and population
# ----------------------------------------------------------------------------------------------------------


def tidy_county_frame(vintage: pd.DataFrame) -> pd.DataFrame:
    """Return the counties of vintage 2019, the frame every table of the study stands on.

    Args:
        vintage: the vintage 2019 file as text, states and counties.

    Returns:
        Contract ``county_frame``: county_fips, state (postal code), county_name, region, division.

    Raises:
        SourceError: columns missing, an unknown state, a county twice.

    Example:
        >>> row = dict.fromkeys(VINTAGE_COLUMNS, "5") | {"SUMLEV": "50", "STATE": "1", "COUNTY": "1",
        ...     "REGION": "3", "DIVISION": "6", "CTYNAME": "Elm County"}
        >>> tidy_county_frame(pd.DataFrame([row])).iloc[0].tolist()
        ['01001', 'AL', 'Elm County', '3', '6']
    """
    counties = _county_rows(vintage, VINTAGE_COLUMNS, VINTAGE_2019)
    frame = pd.DataFrame(
        {
            "county_fips": counties["county_fips"],
            "state": counties["county_fips"].str[:2].map(STATE_POSTAL),
            "county_name": counties["CTYNAME"].str.strip(),
            "region": counties["REGION"].str.strip(),
            "division": counties["DIVISION"].str.strip(),
        }
    )
    return validate(frame.sort_values("county_fips"), "county_frame")


def read_county_frame(raw: RawFiles) -> pd.DataFrame:
    """Return the 3,142 counties of vintage 2019 (contract ``county_frame``).

    Source:
        Census Bureau, co-est2019-alldata.csv.
    """
    return tidy_county_frame(read_columns(raw.path(VINTAGE_2019), VINTAGE_COLUMNS, VINTAGE_2019))


def tidy_population(intercensal: pd.DataFrame, vintage: pd.DataFrame) -> pd.DataFrame:
    """Return county populations on 1 July: intercensal estimates to 2009, vintage 2019 from 2010.

    Args:
        intercensal: co-est00int-tot as text (counties of 2010, states).
        vintage: co-est2019-alldata as text.

    Returns:
        Contract ``population``: every county of the 2019 frame in every year 2000-2019. Bedford city is
        added to Bedford County; Broomfield stands from 2000, because the intercensal series is on the
        boundaries of 2010.

    Raises:
        SourceError: columns missing, a county twice or in one file alone, counties that do not add up to
            their states, a negative population.

    Assumption:
        The two series are not chained: 2009 and 2010 differ by the vintage's revision as well as by growth.

    Example:
        >>> place = {"SUMLEV": "50", "STATE": "1", "COUNTY": "1"}
        >>> early = pd.DataFrame([dict.fromkeys(INTERCENSAL_COLUMNS, "7") | place])
        >>> late = pd.DataFrame([dict.fromkeys(VINTAGE_COLUMNS, "9") | place])
        >>> tidy_population(early, late)["population"].tolist()[8:12]
        [7, 7, 9, 9]
    """
    parts = [
        _population_long(intercensal, INTERCENSAL_COLUMNS, INTERCENSAL_YEARS, INTERCENSAL),
        _population_long(vintage, VINTAGE_COLUMNS, VINTAGE_YEARS, VINTAGE_2019),
    ]
    early, late = (set(part["county_fips"]) for part in parts)
    if early != late:
        raise SourceError(
            f"{INTERCENSAL} and {VINTAGE_2019} hold different counties: {sorted(early ^ late)[:6]}",
            "the same counties once codes are those of the 2019 frame",
            "data/geography/fips_changes.csv",
        )
    table = combine_counties(
        pd.concat(parts, ignore_index=True), ["county_fips", "year"], sums=["population"]
    )
    table["population"] = table["population"].astype(np.int64)
    return validate(table, "population")


def read_population(raw: RawFiles) -> pd.DataFrame:
    """Return county populations 2000-2019 (contract ``population``).

    Source:
        Census Bureau, intercensal estimates 2000-2010 and estimates of vintage 2019.
    """
    return tidy_population(
        read_columns(raw.path(INTERCENSAL), INTERCENSAL_COLUMNS, INTERCENSAL),
        read_columns(raw.path(VINTAGE_2019), VINTAGE_COLUMNS, VINTAGE_2019),
    )


def _county_rows(table: pd.DataFrame, columns: Sequence[str], where: str) -> pd.DataFrame:
    refuse_missing_columns(table.columns, columns, where)
    level = table["SUMLEV"].str.strip().str.lstrip("0")
    counties = table[level == "50"]
    counties = counties.assign(county_fips=join_codes(counties["STATE"], counties["COUNTY"], where))
    unknown = counties[~in_states(counties["county_fips"])]
    if len(unknown):
        raise SourceError(
            f"{where}: county {unknown['county_fips'].iloc[0]} lies in no state", "the fifty states and DC"
        )
    refuse_repeated(counties, ["county_fips"], where)
    return counties


def _population_long(
    table: pd.DataFrame, columns: Sequence[str], years: Sequence[int], where: str
) -> pd.DataFrame:
    counties = _county_rows(table, columns, where)
    names = [f"POPESTIMATE{year}" for year in years]
    numbers = counties[names].apply(to_numbers, where=where)
    states = table[table["SUMLEV"].str.strip().str.lstrip("0") == "40"]
    if len(states):
        wanted, found = states[names].apply(to_numbers, where=where).sum(), numbers.sum()
        if (wanted != found).any():
            name = str((wanted != found).idxmax())
            raise SourceError(
                f"{where}: counties add up to {found[name]:,.0f} in {name}, states to {wanted[name]:,.0f}",
                "one total",
            )
    wide = apply_fips_changes(counties[["county_fips"]].join(numbers.set_axis(list(years), axis=1)))
    long = wide.melt("county_fips", var_name="year", value_name="population")
    return long.astype({"year": np.int64})


# ----------------------------------------------------------------------------------------------------------
# Poverty and income; food assistance
# ----------------------------------------------------------------------------------------------------------

SAIPE_COLUMNS = ("fips", "year", "medianHI", "povertyR")
SAIPE_2018_COLUMNS = ("FIPStxt", "PCTPOVALL_2018", "MEDHHINC_2018")
SAIPE_2019_COLUMNS = (
    "State FIPS Code", "County FIPS Code", "Poverty Percent, All Ages", "Median Household Income",
)  # fmt: skip


def tidy_saipe(compiled: pd.DataFrame, of_2018: pd.DataFrame, of_2019: pd.DataFrame) -> pd.DataFrame:
    """Return poverty rates and median household incomes.

    Args:
        compiled: estimates 1989-2017 as text (fips, year, medianHI, povertyR).
        of_2018: the 2018 estimates as the USDA republished them, text, states and the nation included.
        of_2019: the official 2019 sheet as text, states and the nation included.

    Returns:
        Contract ``saipe``. Years 1989, 1993, 1995 and 1997-2019 (and the District of Columbia alone in 1996).
        The source changed from the Current Population Survey to the American Community Survey between 2004
        and 2005: the two stretches are not comparable in level. Incomes are nominal. Merged counties are
        averaged with census populations (Bedford, Clifton Forge, South Boston). Alaska's census areas split
        before 2019 stay under their old codes in their years.

    Raises:
        SourceError: columns missing, a county-year twice, a rate that is no number, an unpadded code in 2018.

    Example:
        >>> early = pd.DataFrame([["1001", "2010", "50000", "12.5"]], columns=list(SAIPE_COLUMNS))
        >>> mid = pd.DataFrame([["01001", "13.8", "59,338"]], columns=list(SAIPE_2018_COLUMNS))
        >>> late = pd.DataFrame([["01", "001", "12.1", "58233.0"]], columns=list(SAIPE_2019_COLUMNS))
        >>> tidy_saipe(early, mid, late)["poverty_rate"].tolist()
        [12.5, 13.8, 12.1]
    """
    refuse_missing_columns(compiled.columns, SAIPE_COLUMNS, SAIPE)
    refuse_missing_columns(of_2018.columns, SAIPE_2018_COLUMNS, SAIPE_2018)
    refuse_missing_columns(of_2019.columns, SAIPE_2019_COLUMNS, SAIPE_2019)
    codes_2019 = join_codes(of_2019["State FIPS Code"], of_2019["County FIPS Code"], SAIPE_2019)
    parts = [
        _saipe_part(
            county_codes(compiled["fips"], SAIPE, padded=False), compiled["year"], compiled["povertyR"],
            compiled["medianHI"], SAIPE,
        ),
        _saipe_part(
            county_codes(of_2018["FIPStxt"], SAIPE_2018, padded=True), "2018", of_2018["PCTPOVALL_2018"],
            of_2018["MEDHHINC_2018"], SAIPE_2018,
        ),
        _saipe_part(
            codes_2019, "2019", of_2019["Poverty Percent, All Ages"], of_2019["Median Household Income"],
            SAIPE_2019,
        ),
    ]  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    refuse_repeated(table, ["county_fips", "year"], f"{SAIPE}, {SAIPE_2018} and {SAIPE_2019} together")
    table["people"] = merge_weights(table["county_fips"])
    table = apply_fips_changes(table, splits="keep")
    table = combine_counties(
        table, ["county_fips", "year"], means=["poverty_rate", "median_household_income"], weight="people"
    )
    return validate(table, "saipe")


def _saipe_part(
    codes: pd.Series, year: pd.Series | str, poverty: pd.Series, income: pd.Series, where: str
) -> pd.DataFrame:
    counties = ~codes.str.endswith("000") & in_states(codes)
    years = (
        to_numbers(year, where) if isinstance(year, pd.Series) else pd.Series(float(year), index=codes.index)
    )
    part = pd.DataFrame(
        {
            "county_fips": codes,
            "year": years.astype(np.int64),
            "poverty_rate": to_numbers(poverty, where, missing=("", ".")),
            "median_household_income": to_numbers(income, where, missing=("", ".")),
        }
    )
    return part[counties].dropna(subset=["poverty_rate", "median_household_income"], how="all")


def read_saipe(raw: RawFiles) -> pd.DataFrame:
    """Return county poverty rates (percent) and median household incomes (nominal dollars), contract
    ``saipe``.

    Source:
        Census Bureau, Small Area Income and Poverty Estimates.
    """
    from python_calamine import CalamineWorkbook

    rows = CalamineWorkbook.from_path(str(raw.path(SAIPE_2019))).get_sheet_by_index(0).to_python()
    header = next((i for i, row in enumerate(rows[:8]) if row and row[0] == SAIPE_2019_COLUMNS[0]), None)
    if header is None or "2019" not in str(rows[1][0]):
        raise SourceError(
            f"{SAIPE_2019} is not the sheet of 2019", "a title with 2019 and column names in row 4"
        )
    sheet = pd.DataFrame(rows[header + 1 :], columns=[str(name) for name in rows[header]])
    # The confidence bounds share two names; the wanted columns are unique.
    sheet = sheet.loc[:, ~sheet.columns.duplicated()]
    refuse_missing_columns(sheet.columns, SAIPE_2019_COLUMNS, SAIPE_2019)
    return tidy_saipe(
        read_columns(raw.path(SAIPE), SAIPE_COLUMNS, SAIPE),
        read_columns(raw.path(SAIPE_2018), SAIPE_2018_COLUMNS, SAIPE_2018, header=4),
        sheet[list(SAIPE_2019_COLUMNS)].astype(str),
    )


SNAP_YEARS = (1989, 1993, 1995, *range(1997, 2020))
SNAP_COLUMNS = ("State FIPS code", "County FIPS code", *(f"Jul-{year}" for year in SNAP_YEARS))


def tidy_snap(table: pd.DataFrame) -> pd.DataFrame:
    """Return people who received food assistance (SNAP) in July.

    Args:
        table: the SAIPE input file as text, states included.

    Returns:
        Contract ``snap``, to 2019. A county-year without a figure has a row with a missing value where the
        county stands on the 2019 frame; codes retired before 2019 have rows only where they have a figure.

    Raises:
        SourceError: columns missing, a county twice, a negative count.

    Example:
        >>> row = dict.fromkeys(SNAP_COLUMNS, "1,000") | {"State FIPS code": "1", "County FIPS code": "1"}
        >>> tidy_snap(pd.DataFrame([row]))["snap_recipients"].sum()
        np.float64(26000.0)
    """
    refuse_missing_columns(table.columns, SNAP_COLUMNS, SNAP)
    codes = join_codes(table["State FIPS code"], table["County FIPS code"], SNAP)
    names = [f"Jul-{year}" for year in SNAP_YEARS]
    numbers = table[names].apply(to_numbers, where=SNAP, missing=("", "-"))
    wide = numbers.set_axis(list(SNAP_YEARS), axis=1).assign(county_fips=codes)
    wide = wide[~codes.str.endswith("000") & in_states(codes)]
    refuse_repeated(wide, ["county_fips"], SNAP)
    long = wide.melt("county_fips", var_name="year", value_name="snap_recipients").astype({"year": np.int64})
    retired = long["county_fips"].isin(_retired_codes())
    long = apply_fips_changes(long[~retired | long["snap_recipients"].notna()], splits="keep")
    return validate(combine_counties(long, ["county_fips", "year"], sums=["snap_recipients"]), "snap")


def _retired_codes() -> set[str]:
    changes = load_fips_changes()
    return set(recodes(changes)) | set(refusals(changes))


def read_snap(raw: RawFiles) -> pd.DataFrame:
    """Return SNAP recipients in July by county (contract ``snap``).

    Source:
        Census Bureau, SAIPE model input data, county SNAP benefits recipients.
    """
    return tidy_snap(read_columns(raw.path(SNAP), SNAP_COLUMNS, SNAP, header=3))


# ----------------------------------------------------------------------------------------------------------
# Shares of fixed vintage
# ----------------------------------------------------------------------------------------------------------

_MALE_15_24 = tuple(f"SF1_P01200{i:02d}" for i in range(6, 11))
_FEMALE_15_24 = tuple(f"SF1_P01200{i:02d}" for i in range(30, 35))
_MALE_65 = tuple(f"SF1_P01200{i:02d}" for i in range(20, 26))
_FEMALE_65 = tuple(f"SF1_P01200{i:02d}" for i in range(44, 50))
SF1_COLUMNS = (
    "Geo_FIPS", "Geo_AREALAND", "SF1_P0050001", "SF1_P0050004", "SF1_P0050010", "SF1_P0050012",
    "SF1_P0120001",
    *_MALE_15_24, *_FEMALE_15_24, *_MALE_65, *_FEMALE_65,
)  # fmt: skip
OEPS_2000_COLUMNS = ("FIPS", "TotPop", "HispP", "BlackP", "Ovr65P", "BachelorsP", "GradSclP", "PovP")
OEPS_2010_COLUMNS = ("FIPS", "TotPop", "BachelorsP", "GradSclP", "HispP", "BlackP", "Ovr65P")
QUICKFACTS_COLUMNS = (
    "fips", "POP010210", "POP645213", "EDU685213", "HSG445213", "PVY020213", "LND110210", "RHI725214",
    "RHI225214", "AGE775214",
)  # fmt: skip
MOBILITY_COLUMNS = (
    "state", "county", "foreign_share2010", "frac_coll_plus2000", "frac_coll_plus2010", "poor_share2000",
    "share_hisp2000", "share_black2000", "share_hisp2010",
)  # fmt: skip
# The 2000 file spreads Census 2000 over the counties of 2010 by area. For Broomfield, formed in 2001, it
# gives 31,139 people where the census base says 39,202, and twice its Hispanic share: such a guess is left
# missing.
FORMED_AFTER_2000 = ("08014",)


def tidy_census_2010(table: pd.DataFrame) -> pd.DataFrame:
    """Return population, land area and shares of the 2010 census, indexed by county.

    Args:
        table: Summary File 1, tables P5 and P12, as text.

    Returns:
        census_2010_population, land_area_sq_miles, hispanic_2010, black_2010 (Black alone, Hispanic or not),
        age_15_24_2010, age_65_over_2010. Counts are added up before they are divided.

    Raises:
        SourceError: columns missing, a code without its zero, a county twice, two totals that differ.
    """
    refuse_missing_columns(table.columns, SF1_COLUMNS, SF1)
    codes = county_codes(table["Geo_FIPS"], SF1, padded=True)
    counts = table[list(SF1_COLUMNS[1:])].apply(to_numbers, where=SF1)
    if not counts["SF1_P0050001"].equals(counts["SF1_P0120001"].rename("SF1_P0050001")):
        row = int(np.flatnonzero(counts["SF1_P0050001"] != counts["SF1_P0120001"])[0])
        raise SourceError(
            f"{SF1}: county {codes.iloc[row]} has one total by race and another by age", "one total"
        )
    parts = pd.DataFrame(
        {
            "county_fips": codes,
            "people": counts["SF1_P0050001"],
            "land": counts["Geo_AREALAND"],
            "hispanic": counts["SF1_P0050010"],
            "black": counts["SF1_P0050004"] + counts["SF1_P0050012"],
            "young": counts[[*_MALE_15_24, *_FEMALE_15_24]].sum(axis=1),
            "old": counts[[*_MALE_65, *_FEMALE_65]].sum(axis=1),
        }
    )
    refuse_repeated(parts, ["county_fips"], SF1)
    parts = apply_fips_changes(parts[in_states(parts["county_fips"])])
    names = ["people", "land", "hispanic", "black", "young", "old"]
    whole = combine_counties(parts, ["county_fips"], sums=names).set_index("county_fips")
    return pd.DataFrame(
        {
            "census_2010_population": whole["people"].astype(np.int64),
            "land_area_sq_miles": whole["land"] / SQUARE_METRES_PER_SQUARE_MILE,
            "hispanic_2010": whole["hispanic"] / whole["people"],
            "black_2010": whole["black"] / whole["people"],
            "age_15_24_2010": whole["young"] / whole["people"],
            "age_65_over_2010": whole["old"] / whole["people"],
        }
    )


def tidy_percentages(
    table: pd.DataFrame,
    columns: Mapping[str, Sequence[str]],
    people: str,
    where: str,
    codes: pd.Series,
    scale: float,
) -> pd.DataFrame:
    """Return shares in [0, 1], indexed by county of the 2019 frame.

    Args:
        table: the file as text.
        columns: share to the columns that are added up to it (bachelor's and graduate degrees).
        people: column that weights the parts of a merged county.
        where: the file's name.
        codes: county codes, row for row; codes ending in 000 are states and are left out.
        scale: what the file prints for all of the people, 100 or 1.

    Raises:
        SourceError: columns missing, a county twice, a share outside [0, 1].

    Example:
        >>> table = pd.DataFrame({"p": ["10"], "a": ["12.5"], "b": ["7.5"]})
        >>> codes = pd.Series(["01001"])
        >>> tidy_percentages(table, {"share": ["a", "b"]}, "p", "t.csv", codes, 100)["share"].tolist()
        [0.2]
    """
    wanted = [name for names in columns.values() for name in names]
    refuse_missing_columns(table.columns, [*wanted, people], where)
    counties = ~codes.str.endswith("000") & in_states(codes)
    parts = {"county_fips": codes, "people": to_numbers(table[people], where)}
    for share, names in columns.items():
        numbers = table[list(names)].apply(to_numbers, where=where)
        parts[share] = numbers.sum(axis=1, skipna=False) / scale
    frame = pd.DataFrame(parts)[counties]
    refuse_repeated(frame, ["county_fips"], where)
    for share in columns:
        if (frame[share] > 1).any():
            row = frame[frame[share] > 1].iloc[0]
            raise SourceError(
                f"{where}: {share} is {row[share]:g} in {row['county_fips']}", "a share in [0, 1]"
            )
    frame = apply_fips_changes(frame)
    return combine_counties(frame, ["county_fips"], means=list(columns), weight="people").set_index(
        "county_fips"
    )


def tidy_shares(
    census_2010: pd.DataFrame, oeps_2000: pd.DataFrame, oeps_2010: pd.DataFrame, quickfacts: pd.DataFrame,
    mobility: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    """Return shares of fixed vintage, one row a county of the 2010 census on the 2019 frame.

    Args:
        census_2010: Summary File 1, P5 and P12, as text.
        oeps_2000: Census 2000 as the Opioid Environment Policy Scan tabulates it, text.
        oeps_2010: the same for 2010; only its education is taken, which is of ACS 2006-10.
        quickfacts: QuickFacts 2015 (ACS 2009-13, and population estimates of July 2014), text.
        mobility: Opportunity Insights county covariates, text; foreign-born of ACS 2006-10.

    Returns:
        Contract ``shares``; a county a file lacks is missing, never filled from another file.

    Raises:
        SourceError: as the parts raise.
    """
    parts = [
        tidy_census_2010(census_2010),
        _oeps_2000(oeps_2000),
        _oeps_2010(oeps_2010, {"bachelor_2006_2010": ["BachelorsP", "GradSclP"]}),
        _quickfacts(quickfacts),
        _mobility(mobility, census_2010, {"foreign_born_2006_2010": ["foreign_share2010"]}),
    ]
    wide = pd.concat([parts[0], *(part.reindex(parts[0].index) for part in parts[1:])], axis=1).reset_index()
    names = [column.name for column in load_codebook().table("shares").columns]
    return validate(wide[names].sort_values("county_fips"), "shares")


def _oeps_2000(table: pd.DataFrame) -> pd.DataFrame:
    refuse_missing_columns(table.columns, OEPS_2000_COLUMNS, OEPS_2000)
    columns = {
        "hispanic_2000": ["HispP"], "black_2000": ["BlackP"], "age_65_over_2000": ["Ovr65P"],
        "bachelor_2000": ["BachelorsP", "GradSclP"], "poverty_2000": ["PovP"],
    }  # fmt: skip
    codes = county_codes(table["FIPS"], OEPS_2000, padded=False)
    wide = tidy_percentages(table, columns, "TotPop", OEPS_2000, codes, 100)
    wide.loc[wide.index.isin(FORMED_AFTER_2000)] = np.nan
    return wide


def _oeps_2010(table: pd.DataFrame, columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    refuse_missing_columns(table.columns, OEPS_2010_COLUMNS, OEPS_2010)
    codes = county_codes(table["FIPS"], OEPS_2010, padded=False)
    return tidy_percentages(table, columns, "TotPop", OEPS_2010, codes, 100)


def _quickfacts(table: pd.DataFrame) -> pd.DataFrame:
    refuse_missing_columns(table.columns, QUICKFACTS_COLUMNS, QUICKFACTS)
    columns = {
        "foreign_born_2009_2013": ["POP645213"], "bachelor_2009_2013": ["EDU685213"],
        "owner_occupied_2009_2013": ["HSG445213"], "poverty_2009_2013": ["PVY020213"],
        "hispanic_2014": ["RHI725214"], "black_2014": ["RHI225214"], "age_65_over_2014": ["AGE775214"],
    }  # fmt: skip
    code = table["fips"].str.strip()
    # The nation is printed as 0; states as 1000, 2000, ...
    counties = table[code != "0"].reset_index(drop=True)
    codes = county_codes(counties["fips"], QUICKFACTS, padded=False)
    return tidy_percentages(counties, columns, "POP010210", QUICKFACTS, codes, 100)


def _mobility(
    table: pd.DataFrame, census_2010: pd.DataFrame, columns: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    refuse_missing_columns(table.columns, MOBILITY_COLUMNS, MOBILITY)
    codes = join_codes(table["state"], table["county"], MOBILITY)
    people = dict(zip(census_2010["Geo_FIPS"], census_2010["SF1_P0050001"], strict=True))
    # Kusilvak stands twice: an empty row under the new code, the values under the old one.
    weighted = table.assign(people=codes.map(people).fillna("1"))
    return tidy_percentages(weighted, columns, "people", MOBILITY, codes, 1)


def _share_files(raw: RawFiles) -> dict[str, pd.DataFrame]:
    return {
        "census_2010": read_columns(raw.path(SF1), SF1_COLUMNS, SF1, encoding="utf-8"),
        "oeps_2000": read_columns(raw.path(OEPS_2000), OEPS_2000_COLUMNS, OEPS_2000),
        "oeps_2010": read_columns(raw.path(OEPS_2010), OEPS_2010_COLUMNS, OEPS_2010),
        "quickfacts": read_columns(raw.path(QUICKFACTS), QUICKFACTS_COLUMNS, QUICKFACTS),
        "mobility": read_columns(raw.path(MOBILITY), MOBILITY_COLUMNS, MOBILITY),
    }


def read_shares(raw: RawFiles) -> pd.DataFrame:
    """Return fixed-vintage shares, one row a county (contract ``shares``).

    Source:
        Census 2010 Summary File 1; Census 2000 and ACS 2006-10 by the Opioid Environment Policy Scan;
        QuickFacts 2015; Opportunity Insights county covariates (ACS 2006-10).
    """
    return tidy_shares(**_share_files(raw))


def read_share_alternates(raw: RawFiles) -> pd.DataFrame:
    """Return second sources of the shares, indexed by county, to compare with; no estimate uses them.

    Returns:
        Columns ``<share>__<source>``: Hispanic, Black and elderly shares of the 2010 file that should
        equal the 2010 census; Hispanic, Black, poverty and education of 2000 and 2006-10 by Opportunity
        Insights, which computes them from census tracts; land area by QuickFacts.
    """
    files = _share_files(raw)
    oeps = _oeps_2010(
        files["oeps_2010"],
        {
            "hispanic_2010__oeps": ["HispP"],
            "black_2010__oeps": ["BlackP"],
            "age_65_over_2010__oeps": ["Ovr65P"],
        },
    )
    mobility = _mobility(
        files["mobility"],
        files["census_2010"],
        {
            "hispanic_2000__mobility": ["share_hisp2000"], "black_2000__mobility": ["share_black2000"],
            "poverty_2000__mobility": ["poor_share2000"], "bachelor_2000__mobility": ["frac_coll_plus2000"],
            "bachelor_2006_2010__mobility": ["frac_coll_plus2010"],
            "hispanic_2010__mobility": ["share_hisp2010"],
        },
    )  # fmt: skip
    facts = files["quickfacts"]
    codes = facts["fips"].str.strip().str.zfill(5)
    land = pd.DataFrame(
        {"county_fips": codes, "land_area_sq_miles__quickfacts": to_numbers(facts["LND110210"], QUICKFACTS)}
    )
    land = apply_fips_changes(land[~codes.str.endswith("000")])
    area = combine_counties(land, ["county_fips"], sums=["land_area_sq_miles__quickfacts"]).set_index(
        "county_fips"
    )
    return oeps.join([mobility, area], how="outer")

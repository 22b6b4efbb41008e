"""Crime files a user may bring: the NACJD county file, Kaplan's yearly agency file.

They cannot come with the study (registration, no redistribution). ``docs/user_files.md`` describes each format;
a csv of one's own policy dates is read by `analysis.base.policy_dates.read_user_policies`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, nearest
from analysis.base.fips import NEW_YORK_CITY, STATE_POSTAL
from analysis.panel.sources.geography import (
    apply_fips_changes,
    combine_counties,
    in_states,
    join_codes,
    refuse_missing_columns,
    refuse_repeated,
    to_numbers,
)

# Texts that statistical packages write for a missing value.
MISSING = ("", ".", "NA", "NaN", "nan", "None", "<NA>")

NACJD_COUNTS = MappingProxyType(
    {
        "murder": "MURDER", "rape": "RAPE", "robbery": "ROBBERY", "aggravated_assault": "AGASSLT",
        "burglary": "BURGLRY", "larceny": "LARCENY", "motor_vehicle_theft": "MVTHEFT", "arson": "ARSON",
    }
)  # fmt: skip
# Files before 2009 carry INDEX and MODINDX where later ones carry these two.
NACJD_TOTALS = MappingProxyType({"violent": "VIOL", "property": "PROPERTY"})
NACJD_COLUMNS = ("FIPS_ST", "FIPS_CTY", "CPOPCRIM", "COVIND", *NACJD_COUNTS.values())

# Each count and the names Kaplan's versions have given it; later ones spell the words out.
KAPLAN_COUNTS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "murder": ("actual_murder",),
        "rape": ("actual_rape_total",),
        "robbery": ("actual_robbery_total",),
        "aggravated_assault": ("actual_assault_aggravated",),
        "burglary": ("actual_burg_total", "actual_burglary_total"),
        "larceny": ("actual_theft_total",),
        "motor_vehicle_theft": ("actual_mtr_veh_theft_total", "actual_motor_vehicle_theft_total"),
    }
)
KAPLAN_COLUMNS = ("ori", "year", "fips_state_code", "fips_county_code", "population")
MONTHS = MappingProxyType(
    {
        name: number
        for number, name in enumerate(
            (
                "no months reported", "january", "february", "march", "april", "may", "june", "july",
                "august",
                "september", "october", "november", "december",
            )
        )
    }
)  # fmt: skip


def _text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return columns as text, whole numbers without a decimal point, missing values as ""."""
    out = {}
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_float_dtype(values):
            whole = values.dropna().mod(1).eq(0).all()
            values = values.astype("Int64") if whole else values
        out[name] = values.astype("string").fillna("").astype(object)
    return pd.DataFrame(out, index=frame.index)


def _read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a csv, tsv, parquet, R or Stata file with every column as text; names as the file has them."""
    if not path.exists():
        raise SourceError(f"there is no file {path.name}", "a file that exists", "the path given")
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv", ".tab", ".txt"}:
        separator = "," if suffix == ".csv" else "\t"
        wanted = None if columns is None else (lambda name: name in columns)
        return pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig",
            encoding_errors="replace", usecols=wanted,
        )  # fmt: skip
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        held = pq.read_schema(path).names
        chosen = held if columns is None else [name for name in held if name in columns]
        return _text(pd.read_parquet(path, columns=chosen))
    if suffix in {".rds", ".rda", ".rdata"}:
        import pyreadr

        return _text(next(iter(pyreadr.read_r(str(path)).values())))
    if suffix == ".dta":
        return _text(pd.read_stata(path, convert_categoricals=False))
    raise SourceError(f"{path.name} is of no kind known here", "csv, tsv, tab, txt, parquet, rds, rda or dta")


def _refuse_unknown(codes: pd.Series, known: Collection[str] | None, where: str) -> None:
    right = in_states(codes) if known is None else codes.isin(set(known) | {NEW_YORK_CITY})
    unknown = codes[~right]
    if len(unknown):
        listed = sorted(set(unknown))
        raise SourceError(
            f"{where}: {len(listed)} code(s) are no county of the 2019 frame, e.g. {', '.join(listed[:4])}",
            "counties; name codes that stand for state-wide rows in 'leave_out'",
            where,
        )


# ----------------------------------------------------------------------------------------------------------
# NACJD county file
# ----------------------------------------------------------------------------------------------------------


def tidy_nacjd_counties(
    table: pd.DataFrame,
    year: int,
    known: Collection[str] | None = None,
    leave_out: Collection[str] = (),
    where: str = "NACJD DS0004",
) -> pd.DataFrame:
    """Return the county file of crimes reported.

    Args:
        table: the file as text, columns named as in its codebook; further columns are passed over.
        year: its year; a column YEAR, where there is one, must agree.
        known: county codes of the 2019 frame; without it only the state part is checked.
        leave_out: codes of rows that stand for no county (state-wide agencies), to be left out knowingly.
        where: the file's name, for errors.

    Returns:
        Contract ``nacjd_counties``. Where the coverage indicator is 0 nothing was reported: the file
        prints zeros, which come out missing. Counts hold NACJD's imputation for agencies that report part
        of a year.

    Raises:
        SourceError: columns missing, another year, a county twice, a code that is no county, a negative
            count, a coverage indicator beyond 100.

    Assumption:
        A zero under a positive coverage indicator is a true zero, as NACJD's codebook says.

    Source:
        NACJD, Uniform Crime Reporting Program Data: County-Level Detailed Arrest and Offense Data.

    Example:
        >>> row = dict.fromkeys(NACJD_COLUMNS, "0") | {"FIPS_ST": "1", "FIPS_CTY": "1"}
        >>> tidy_nacjd_counties(pd.DataFrame([row]), 2014)["murder"].isna().tolist()
        [True]
    """
    refuse_missing_columns(table.columns, NACJD_COLUMNS, where)
    if "YEAR" in table:
        years = set(to_numbers(table["YEAR"], where, missing=MISSING).dropna())
        if years - {float(year)}:
            raise SourceError(
                f"{where} holds the year {min(years - {float(year)}):g}", f"the year {year}", "the year given"
            )
    codes = join_codes(table["FIPS_ST"], table["FIPS_CTY"], where)
    frame = pd.DataFrame({"county_fips": codes, "year": int(year)})
    frame["population"] = to_numbers(table["CPOPCRIM"], where, missing=MISSING)
    frame["coverage"] = to_numbers(table["COVIND"], where, missing=MISSING)
    if (frame["coverage"] > 100).any():
        row = int(np.flatnonzero(frame["coverage"] > 100)[0])
        raise SourceError(
            f"{where}, row {row + 1}: coverage indicator {frame['coverage'].iloc[row]:g}", "0 to 100"
        )
    reported = ~(frame["coverage"] == 0)
    for name, column in NACJD_COUNTS.items():
        frame[name] = to_numbers(table[column], where, missing=MISSING).where(reported)
    for name, column in NACJD_TOTALS.items():
        there = column in table
        frame[name] = to_numbers(table[column], where, missing=MISSING).where(reported) if there else np.nan
    refuse_repeated(frame, ["county_fips"], where)
    frame = frame[~frame["county_fips"].isin(set(leave_out))]
    frame = apply_fips_changes(frame, splits="keep" if known is None else "refuse")
    _refuse_unknown(frame["county_fips"], known, where)
    sums = ["population", *NACJD_COUNTS, *NACJD_TOTALS]
    weight = frame["population"].fillna(0).clip(lower=1)
    table_out = combine_counties(
        frame.assign(people=weight), ["county_fips", "year"], sums=sums, means=["coverage"], weight="people"
    )
    return validate(table_out, "nacjd_counties")


def read_nacjd_counties(
    path: Path,
    year: int,
    known: Collection[str] | None = None,
    layout: Mapping[str, tuple[int, int]] | None = None,
    leave_out: Collection[str] = (),
) -> pd.DataFrame:
    """Return the NACJD county file of crimes reported, DS0004 (contract ``nacjd_counties``).

    Args:
        path: csv, tsv, Stata or R file, or a text file of fixed columns.
        year: its year.
        known: county codes of the 2019 frame.
        layout: for fixed columns, name to first and last column counted from one, as the file's codebook
            prints them; it differs between years.
        leave_out: codes of rows that stand for no county.

    Raises:
        SourceError: as `tidy_nacjd_counties`; a layout that lacks a column.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "DS0004.csv"
        >>> _ = path.write_text(",".join(NACJD_COLUMNS) + "\\n1,1,500,100," + ",".join("12345678") + "\\n")
        >>> read_nacjd_counties(path, 2014)[["county_fips", "murder", "arson"]].to_numpy().tolist()
        [['01001', 1.0, 8.0]]
    """
    if layout is None:
        table = _read_table(path)
        return tidy_nacjd_counties(
            table.rename(columns=str.upper), year, known=known, leave_out=leave_out, where=path.name
        )
    refuse_missing_columns(layout, NACJD_COLUMNS, f"the layout of {path.name}")
    if not path.exists():
        raise SourceError(f"there is no file {path.name}", "a file that exists", "the path given")
    lines = pd.Series([line for line in path.read_text(encoding="latin-1").splitlines() if line.strip()])
    table = pd.DataFrame(
        {name: lines.str.slice(first - 1, last).str.strip() for name, (first, last) in layout.items()}
    )
    return tidy_nacjd_counties(table, year, known=known, leave_out=leave_out, where=path.name)


# ----------------------------------------------------------------------------------------------------------
# Kaplan's yearly agency file
# ----------------------------------------------------------------------------------------------------------


def _one_of(table: pd.DataFrame, names: Sequence[str], where: str) -> pd.Series:
    found = [name for name in names if name in table]
    if not found:
        raise SourceError(
            f"{where} lacks column {names[0]}{nearest(names[0], map(str, table.columns))}", " or ".join(names)
        )
    return table[found[0]]


def _months(table: pd.DataFrame, where: str) -> tuple[pd.Series, str]:
    if "number_of_months_missing" in table:
        missed = to_numbers(table["number_of_months_missing"], where, missing=MISSING)
        return 12 - missed, "months_missing"
    if "last_month_reported" in table:
        words = table["last_month_reported"].astype(str).str.strip().str.lower()
        months = words.map(MONTHS).astype(float)
        odd = months.isna() & ~words.isin([word.lower() for word in MISSING])
        if odd.any():
            raise SourceError(
                f"{where}: last month '{words[odd].iloc[0]}'", "a month, or 'no months reported'"
            )
        return months, "last_month_reported"
    hint = nearest("number_of_months_missing", map(str, table.columns))
    raise SourceError(
        f"{where} lacks column number_of_months_missing{hint}",
        "number_of_months_missing or last_month_reported",
    )


def tidy_kaplan_agencies(
    table: pd.DataFrame,
    years: Collection[int] | None = None,
    negative: str = "refuse",
    where: str = "Kaplan's yearly file",
) -> pd.DataFrame:
    """Return agencies' yearly offences known.

    Args:
        table: the file as text; further columns are passed over.
        years: years to keep, or None for all.
        negative: what becomes of a negative count (an agency took back more offences than it recorded):
            ``refuse`` raises, ``missing`` leaves it missing.
        where: the file's name, for errors.

    Returns:
        Contract ``kaplan_agencies``. Counts of agencies that reported no month come out missing: the file
        prints zeros. Months are 12 less the months missing, or, in files without that column, the last month
        reported, which says nothing of gaps before it; ``months_basis`` tells which. A county is missing
        where the file gives none or one outside the states.

    Raises:
        SourceError: columns missing or renamed, an agency-year twice, a county code without its zeros, a
            negative count under ``refuse``, months beyond 12.

    Source:
        Jacob Kaplan's Concatenated Files: Uniform Crime Reporting Program Data: Offenses Known and
        Clearances by Arrest (Return A), yearly.

    Example:
        >>> row = dict.fromkeys([names[0] for names in KAPLAN_COUNTS.values()], "4") | {
        ...     "ori": "AL00100", "year": "2014", "fips_state_code": "01", "fips_county_code": "001",
        ...     "population": "500", "number_of_months_missing": "0"}
        >>> tidy_kaplan_agencies(pd.DataFrame([row]))[["county_fips", "months_reported"]].to_numpy().tolist()
        [['01001', 12.0]]
    """
    if negative not in {"refuse", "missing"}:
        raise SourceError(f"negative = '{negative}'", "'refuse' or 'missing'")
    refuse_missing_columns(table.columns, KAPLAN_COLUMNS, where)
    table = table.reset_index(drop=True)
    year = to_numbers(table["year"], where, missing=()).astype(np.int64)
    if years is not None:
        table, year = (
            table[year.isin(list(years))].reset_index(drop=True),
            year[year.isin(list(years))].reset_index(drop=True),
        )
    months, basis = _months(table, where)
    if ((months < 0) | (months > 12)).any():
        row = int(np.flatnonzero((months < 0) | (months > 12))[0])
        raise SourceError(f"{where}, row {row + 1}: {months.iloc[row]:g} months reported", "0 to 12")
    state, county = (table[name].astype(str).str.strip() for name in ("fips_state_code", "fips_county_code"))
    # Text keeps its zeros; a file resaved as numbers has lost them, and state + county would be misread.
    right = (state.isin(MISSING) | state.str.fullmatch(r"\d{2}")) & (
        county.isin(MISSING) | county.str.fullmatch(r"\d{3}")
    )
    if not right.all():
        row = int(np.flatnonzero(~right.to_numpy(dtype=bool))[0])
        raise SourceError(
            f"{where}, row {row + 1}: state code '{state.iloc[row]}', county code '{county.iloc[row]}' "
            "(a lost leading zero?)",
            "codes such as '01' and '001': read and save them as text",
        )
    codes = (state + county).where(
        state.isin(STATE_POSTAL) & county.str.fullmatch(r"\d{3}") & ~county.isin(["000", "999"])
    )
    frame = pd.DataFrame(
        {"ori": table["ori"].astype(str).str.strip().str.upper(), "year": year, "county_fips": codes}
    )
    for name, column in (("state", "state_abb"), ("agency_name", "agency_name")):
        there = column in table
        frame[name] = table[column].astype(str).str.strip().mask(lambda s: s.isin(MISSING)) if there else None
    # The FBI writes Nebraska as NB.
    frame["state"] = frame["state"].astype("object").str.upper().replace({"NB": "NE"})
    frame["agency_name"] = frame["agency_name"].astype("object")
    frame["population"] = to_numbers(table["population"], where, missing=MISSING)
    frame["months_reported"] = months
    frame["months_basis"] = basis
    for name, names in KAPLAN_COUNTS.items():
        printed = _one_of(table, names, where)
        counts = to_numbers(printed, where, missing=MISSING, minimum=0.0 if negative == "refuse" else None)
        frame[name] = counts.where(counts >= 0).where(~(months == 0))
    refuse_repeated(frame, ["ori", "year"], where)
    return validate(apply_fips_changes(frame, splits="keep").sort_values(["ori", "year"]), "kaplan_agencies")


def read_kaplan_agencies(
    path: Path, years: Collection[int] | None = None, negative: str = "refuse"
) -> pd.DataFrame:
    """Return Kaplan's yearly agency file (contract ``kaplan_agencies``).

    Args:
        path: csv, parquet, rds or dta.
        years: years to keep, or None for all.
        negative: see `tidy_kaplan_agencies`.

    Raises:
        SourceError: as `tidy_kaplan_agencies`; a file of another kind.

    Example: see `tidy_kaplan_agencies`.
    """
    wanted = [
        *KAPLAN_COLUMNS, "state_abb", "agency_name", "number_of_months_missing", "last_month_reported",
        *(name for names in KAPLAN_COUNTS.values() for name in names),
    ]  # fmt: skip
    return tidy_kaplan_agencies(_read_table(path, wanted), years=years, negative=negative, where=path.name)

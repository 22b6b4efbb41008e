"""Bureau of Labor Statistics: labour force and unemployment by county, annual averages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError
from analysis.panel.sources.geography import (
    apply_fips_changes,
    combine_counties,
    in_states,
    refuse_repeated,
    to_numbers,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

YEARS = tuple(range(2000, 2020))
NOT_PUBLISHED = "N.A."
_LINE = re.compile(
    r"^CN(\d{5})\d{8}[ ]+(\d{2})[ ]+(\d{3})[ ]+\S.*?[ ]{2,}(\d{4})"
    r"[ ]+(\S+)[ ]+(\S+)[ ]+(\S+)[ ]+(\S+)[ ]*\r?$",
    re.MULTILINE,
)


def file_name(year: int) -> str:
    """Return the raw file of a year.

    Example:
        >>> file_name(2005)
        'bls/laucnty2005.txt'
    """
    return f"bls/laucnty{year}.txt"


def parse_labour(text: str, year: int) -> pd.DataFrame:
    """Return the county lines of one year's file as text columns.

    Args:
        text: the whole file: title, headings, one line a county, footer with the source and the date.
        year: the year it should be of.

    Returns:
        county_fips, year, labour_force, employed, unemployed, unemployment_rate, all text.

    Raises:
        SourceError: no county line, a county line of another shape, another year's file, two codes that
        disagree.

    Example:
        >>> line = "CN0100100000000   01     001   Elm County, AL   2005    23,949   23,037   912   3.8"
        >>> parse_labour(line, 2005).iloc[0].tolist()
        ['01001', '2005', '23,949', '23,037', '912', '3.8']
    """
    where = file_name(year)
    rows = _LINE.findall(text)
    lines = len(re.findall(r"^CN", text, re.MULTILINE))
    if not rows or len(rows) != lines:
        raise SourceError(
            f"{where}: {lines} county lines, of which {len(rows)} can be read",
            "lines of an identifier, state and county code, name, year and four figures",
        )
    names = ["id", "state", "county", "year", "labour_force", "employed", "unemployed", "unemployment_rate"]
    frame = pd.DataFrame(rows, columns=names)
    other = frame[frame["year"] != str(year)]
    if len(other):
        raise SourceError(f"{where} holds figures of {other['year'].iloc[0]}", f"figures of {year}")
    frame["county_fips"] = frame["state"] + frame["county"]
    unlike = frame[frame["county_fips"] != frame["id"]]
    if len(unlike):
        row = unlike.iloc[0]
        raise SourceError(
            f"{where}: identifier {row['id']} stands beside code {row['county_fips']}", "one code"
        )
    return frame[["county_fips", "year", "labour_force", "employed", "unemployed", "unemployment_rate"]]


def tidy_labour(texts: Mapping[int, str]) -> pd.DataFrame:
    """Return labour force, employment and unemployment by county and year.

    Args:
        texts: year to the content of its file.

    Returns:
        Contract ``labour``. The rate is the printed one, in percent, to one decimal; a national rate is made
        from the counts. Seven Louisiana parishes have no figures in 2005 and 2006 (hurricane). Three Alaska
        census areas split in 2007-08 stand under their old codes to 2009. Puerto Rico is left out.

    Raises:
        SourceError: as `parse_labour`, a county twice, a negative count.

    Source:
        BLS, Local Area Unemployment Statistics, annual averages.

    Example:
        >>> line = "CN2205100000000   22     051   Elm Parish, LA    2005     N.A.     N.A.     N.A.     N.A."
        >>> tidy_labour({2005: line})["labour_force"].isna().tolist()
        [True]
    """
    frame = pd.concat([parse_labour(text, year) for year, text in texts.items()], ignore_index=True)
    where = "bls/laucntyYYYY.txt"
    frame = frame[in_states(frame["county_fips"])].reset_index(drop=True)
    refuse_repeated(frame, ["county_fips", "year"], where)
    counts = ["labour_force", "employed", "unemployed"]
    numbers = frame[[*counts, "unemployment_rate"]].apply(to_numbers, where=where, missing=(NOT_PUBLISHED,))
    table = frame[["county_fips"]].assign(year=frame["year"].astype(np.int64)).join(numbers)
    table = apply_fips_changes(table, splits="keep")
    combined = combine_counties(
        table, ["county_fips", "year"], sums=counts, means=["unemployment_rate"], weight="labour_force"
    )
    return validate(combined, "labour")


def read_labour(raw: RawFiles) -> pd.DataFrame:
    """Return the labour force by county, 2000-2019 (contract ``labour``).

    Source:
        BLS, Local Area Unemployment Statistics, files as published in March 2016 (2000-2009) and April 2020.
    """
    return tidy_labour({year: raw.path(file_name(year)).read_text(encoding="latin-1") for year in YEARS})

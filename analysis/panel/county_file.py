"""A county crime file that the user brings, added to the panel as a build of its own (``outcome.build = "county_file"``).

The file's offences and residents are its own, with whatever it imputes; nothing the panel held before changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import TableError
from analysis.base.fips import NEW_YORK_CITY, NEW_YORK_COUNTIES
from analysis.base.provenance import digest_of, digest_of_table
from analysis.base.records import Panel
from analysis.panel.joins import JoinReport, join
from analysis.panel.sources.user_files import NACJD_COUNTS, NACJD_TOTALS, read_nacjd_counties

KEY = ("county_fips", "year")
PER = 100_000
# The measures made of others, as everywhere in the study; the file says nothing of the definition of rape.
SUMS: Mapping[str, tuple[str, ...]] = {
    "violent": ("murder", "rape", "robbery", "aggravated_assault"),
    "property": ("burglary", "larceny", "motor_vehicle_theft"),
    "violent_ex_rape": ("murder", "robbery", "aggravated_assault"),
    "total": ("violent", "property"),
    "total_with_arson": ("violent", "property", "arson"),
}
MEASURES = (*NACJD_COUNTS, *SUMS)
COUNT, RATE, COVERAGE = "county_file_{}", "rate_county_file_{}", "coverage_county_file_{}"
JOIN, UNMATCHED = "county_file", "county_file_unmatched"


def add_county_file(panel: Panel, table: pd.DataFrame) -> Panel:
    """Return a panel that also carries a county file, so that specs with ``outcome.build = "county_file"`` run on it.

    Args:
        panel: see `analysis.base.records.Panel`; never changed.
        table: county-years under the contract ``nacjd_counties``, of one year or several; from `load_county_file` or
            `analysis.panel.sources.user_files.tidy_nacjd_counties`. New York City's five counties may stand apart.

    Returns:
        The panel whose ``table`` and ``constant`` have, for each measure of ``MEASURES``, ``county_file_{m}``
        (offences), ``rate_county_file_{m}`` (per 100,000 residents the file names) and ``coverage_county_file_{m}`` (its
        coverage indicator as a share). County-years the file lacks are missing. Violent and property crime are the
        file's own, or the sum of their offences where it holds none. In ``reports``: ``county_file`` (what the join did,
        one row) and ``county_file_unmatched`` (side, county_fips, year: ``panel`` for counties without a row in a year
        of the file, ``file`` for rows of no county of the panel, ``new_york`` for a city with fewer than five counties
        there). The digest is new.

    Raises:
        TableError: a table under another contract, a county-year twice, a panel that carries a county file already, or a
            file of which no row is in the panel.

    Assumption: the residents the file names are those its offences were committed among. A file that imputes agencies
        without reports says so in its coverage; ``sample.min_coverage`` is held to it.

    Source: Maltz and Targonski (2002), Journal of Quantitative Criminology 18(3), on what county files impute.

    Example:
        ``add_county_file(load_panel(), load_county_file(Path("37059-0004-Data.tsv"), 2016))``
    """
    carried = [column for column in panel.table if column.startswith(COUNT.format(""))]
    if carried:
        raise TableError(
            f"the panel carries a county file already ({carried[0]} and {len(carried) - 1} more)",
            "a panel without one; several years go into one table",
            "the call of add_county_file",
        )
    table = validate(table, "nacjd_counties")
    city, torn = one_city(table)
    columns = file_columns(city)
    made = {}
    for name in ("table", "constant"):
        held = getattr(panel, name)
        joined, report = join(
            held[list(KEY)], columns, KEY, expect="one_to_one", name=f"county file to {name}", tolerance=1.0
        )
        if not report.matched:
            years = ", ".join(map(str, sorted(columns["year"].unique())))
            raise TableError(
                f"none of the {len(columns):,} rows of the county file ({years}) is a county-year of the panel",
                f"counties of the panel, in years {held['year'].min()}-{held['year'].max()}",
                "the file, or the year given with it",
            )
        added = joined.drop(columns=list(KEY)).set_axis(held.index)
        made[name] = pd.concat([held, added], axis=1)
        if name == "table":
            reports = {JOIN: pd.DataFrame([report.row()]), UNMATCHED: _unmatched(report, columns, torn)}
    return replace(
        panel,
        **made,
        digest=digest_of([panel.digest, digest_of_table(columns)]),
        reports={**panel.reports, **reports},
    )


def load_county_file(
    path: Path,
    year: int,
    known: Collection[str] | None = None,
    layout: Mapping[str, tuple[int, int]] | None = None,
    leave_out: Collection[str] = (),
) -> pd.DataFrame:
    """Return an NACJD county file of crimes reported (DS0004) as `add_county_file` takes it.

    Args:
        path: csv, tsv, Stata or R file, or a text file of fixed columns.
        year: its year.
        known: county codes of the 2019 frame; without it, rows of no county are left for `add_county_file` to report.
        layout: for fixed columns, name to first and last column counted from one.
        leave_out: codes of rows that stand for no county.

    Raises:
        SourceError: see `analysis.panel.sources.user_files.read_nacjd_counties`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "DS0004.csv"
        >>> head = "FIPS_ST,FIPS_CTY,CPOPCRIM,COVIND,MURDER,RAPE,ROBBERY,AGASSLT,BURGLRY,LARCENY,MVTHEFT,ARSON"
        >>> _ = path.write_text(head + "\\n1,1,70000,100,1,2,3,4,5,6,7,8\\n")
        >>> file_columns(load_county_file(path, 2014))[["county_file_total", "rate_county_file_total"]].to_numpy().tolist()
        [[28.0, 40.0]]
    """
    return read_nacjd_counties(Path(path), year, known=known, layout=layout, leave_out=leave_out)


def one_city(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the file with New York City's five counties as one area, and the years in which fewer than five are there.

    Args:
        table: contract ``nacjd_counties``.

    Returns:
        The file: offences and residents added up, coverage averaged over residents; a number one of the five lacks is
        missing, since what is not reported is not zero. And county_fips, year of a city that is not whole, whose numbers
        are missing.

    Raises:
        TableError: a year with both the city and one of its counties.

    Example:
        >>> rows = pd.DataFrame({"county_fips": list(NEW_YORK_COUNTIES), "year": 2014, "population": [1.0] * 5,
        ...     "coverage": [100.0] * 4 + [50.0], **{name: 2.0 for name in [*NACJD_COUNTS, *NACJD_TOTALS]}})
        >>> one_city(rows)[0][["county_fips", "population", "coverage", "murder"]].to_numpy().tolist()
        [['36998', 5.0, 90.0, 10.0]]
    """
    inside = table["county_fips"].isin(NEW_YORK_COUNTIES)
    sums = ["population", *NACJD_COUNTS, *NACJD_TOTALS]
    columns = [*KEY, *sums, "coverage"]
    rows, torn = [], []
    for year, part in table[inside].groupby("year"):
        if (table["county_fips"].eq(NEW_YORK_CITY) & table["year"].eq(year)).any():
            raise TableError(
                f"the county file of {year} holds New York City ({NEW_YORK_CITY}) and counties of it",
                "the city or its five counties",
                "the file",
            )
        whole = len(part) == len(NEW_YORK_COUNTIES)
        added = part[sums].sum(skipna=False) if whole else pd.Series(np.nan, index=sums)
        people = part["population"].to_numpy(dtype=float)
        share = (
            (part["coverage"].to_numpy(dtype=float) * people).sum() / people.sum()
            if people.sum() > 0
            else np.nan
        )
        rows.append(
            {"county_fips": NEW_YORK_CITY, "year": year, **added, "coverage": share if whole else np.nan}
        )
        if not whole:
            torn.append({"county_fips": NEW_YORK_CITY, "year": year})
    city = pd.DataFrame(rows, columns=columns)
    out = table.loc[~inside, columns]
    if rows:
        out = pd.concat([out, city.astype(out.dtypes.to_dict())], ignore_index=True)
    return out.sort_values(list(KEY), ignore_index=True), pd.DataFrame(torn, columns=list(KEY))


def file_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the panel's columns of a county file: offences, rates per 100,000 residents, coverage as a share.

    Args:
        table: contract ``nacjd_counties``, New York City as one area.

    Returns:
        county_fips, year, and three columns for each measure of ``MEASURES``. A sum is missing where one of its parts
        is, a rate where the file names no residents, a coverage where the file has none.
    """
    counts = {name: table[name].astype(float) for name in NACJD_COUNTS}
    for name, parts in SUMS.items():
        added = sum((counts[part] for part in parts[1:]), counts[parts[0]])
        counts[name] = table[name].astype(float).fillna(added) if name in NACJD_TOTALS else added
    people = table["population"].astype(float)
    people = people.where(people > 0)
    share = table["coverage"].astype(float) / 100
    columns: dict[str, pd.Series] = {key: table[key] for key in KEY}
    for name in MEASURES:
        columns[COUNT.format(name)] = counts[name]
        columns[RATE.format(name)] = counts[name] / people * PER
        columns[COVERAGE.format(name)] = share
    return pd.DataFrame(columns)


def _unmatched(report: JoinReport, columns: pd.DataFrame, torn: pd.DataFrame) -> pd.DataFrame:
    years = set(columns["year"])
    left = report.unmatched_left
    parts = [
        left[left["year"].isin(years)].assign(side="panel"),
        report.unused_right.assign(side="file"),
        torn.assign(side="new_york"),
    ]
    found = pd.concat(
        [part.astype(object) for part in parts if len(part)] or [pd.DataFrame(columns=[*KEY, "side"])]
    )
    return found[["side", *KEY]].reset_index(drop=True)

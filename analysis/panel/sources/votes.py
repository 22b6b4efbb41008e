"""Presidential votes by county, 2000-2016."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import SourceError
from analysis.panel.sources.geography import (
    apply_fips_changes,
    combine_counties,
    county_codes,
    in_states,
    read_columns,
    refuse_missing_columns,
    refuse_repeated,
    to_numbers,
)

if TYPE_CHECKING:
    from analysis.panel.sources.raw import RawFiles

VOTES = "votes/countypres_2000-2016.csv"
VOTES_COLUMNS = (
    "year", "state", "county", "FIPS", "office", "candidate", "party", "candidatevotes", "totalvotes",
)  # fmt: skip
# Kansas City counts its votes apart from the rest of Jackson County; the file gives it the code of a New
# York area.
KANSAS_CITY, JACKSON = "36000", "29095"


def tidy_votes(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return votes by county and year, and what was left out or put right.

    Args:
        table: the file as text, one row a candidate.

    Returns:
        The table under the contract ``votes``: votes for the Democratic and the Republican candidate and for
        all candidates (added up, because the printed total is wrong in four counties of 2016); and a
        report, one row a finding: ``what``, ``year``, ``state``, ``area``, ``votes``.

        Alaska returns votes by house district, under codes that look like county codes (02013 is District 13,
        and also Aleutians East): the whole state is left out. State-wide rows (Connecticut write-ins, Maine
        overseas ballots, Rhode Island federal precincts) belong to no county. Kansas City is added to Jackson
        County, Missouri.

    Raises:
        SourceError: columns missing, an office other than President, a candidate twice, negative votes.

    Source:
        MIT Election Data and Science Lab, County Presidential Election Returns 2000-2016, version 20191203.

    Example:
        >>> votes = {"democrat": "10", "republican": "15", "NA": "5"}
        >>> start, rest = ["2016", "Alabama", "Elm", "1001", "President"], ["30"]
        >>> rows = [[*start, party, party, votes[party], *rest] for party in votes]
        >>> tidy_votes(pd.DataFrame(rows, columns=list(VOTES_COLUMNS)))[0].to_numpy().tolist()
        [['01001', 2016, 10, 15, 30]]
    """
    refuse_missing_columns(table.columns, VOTES_COLUMNS, VOTES)
    other = table[table["office"] != "President"]
    if len(other):
        raise SourceError(f"{VOTES} holds votes for {other['office'].iloc[0]}", "votes for President alone")
    refuse_repeated(table, ["year", "state", "county", "FIPS", "candidate", "party"], VOTES)
    votes = to_numbers(table["candidatevotes"], VOTES, missing=())
    frame = pd.DataFrame(
        {
            "year": to_numbers(table["year"], VOTES, missing=()).astype(np.int64),
            "state": table["state"],
            "area": table["county"],
            "democratic": votes.where(table["party"] == "democrat", 0.0),
            "republican": votes.where(table["party"] == "republican", 0.0),
            "total": votes,
            "printed": to_numbers(table["totalvotes"], VOTES, missing=()),
        }
    )
    county_like = table["FIPS"].str.strip().str.zfill(5)
    nowhere = table["FIPS"].str.strip().isin(["", "NA"])
    # The last house district carries no postal code, so the state is told by its name or its code.
    alaska = (table["state"] == "Alaska") | county_like.str.startswith("02")
    placed = frame[~nowhere & ~alaska].assign(
        county_fips=county_codes(table.loc[~nowhere & ~alaska, "FIPS"], VOTES, padded=False)
    )
    missouri = (placed["county_fips"] == KANSAS_CITY) & (placed["state"] == "Missouri")
    kansas_city = placed[missouri]
    placed = placed.assign(county_fips=placed["county_fips"].mask(missouri, JACKSON))
    wrong = placed[~in_states(placed["county_fips"])]
    if len(wrong):
        raise SourceError(f"{VOTES}: code {wrong['county_fips'].iloc[0]} lies in no state", "county codes")
    sums = ["democratic", "republican", "total"]
    by = ["year", "state", "area"]
    checked = placed.groupby(["county_fips", *by], as_index=False).agg({"total": "sum", "printed": "first"})
    findings = [
        _finding(frame[alaska], by, "Alaska house district: no county returns"),
        _finding(frame[nowhere], by, "state-wide row: belongs to no county"),
        _finding(kansas_city, by, "Kansas City: added to Jackson County 29095"),
        _finding(
            checked[checked["total"] != checked["printed"]],
            by,
            "printed total differs from the sum of candidates",
        ),
    ]
    columns = ["county_fips", "year", *sums]
    areas = placed.groupby(["county_fips", *by], as_index=False)[sums].sum()
    table_out = combine_counties(apply_fips_changes(areas)[columns], ["county_fips", "year"], sums=sums)
    table_out = table_out[table_out["total"] > 0].astype(dict.fromkeys(sums, np.int64))
    return validate(table_out, "votes"), pd.concat(findings, ignore_index=True)


def _finding(rows: pd.DataFrame, by: list[str], what: str) -> pd.DataFrame:
    counted = rows.groupby(by)["total"].sum().rename("votes").reset_index()
    return counted.assign(what=what)[["what", *by, "votes"]].astype({"votes": np.int64})


def read_votes(raw: RawFiles) -> pd.DataFrame:
    """Return presidential votes by county in 2000, 2004, 2008, 2012 and 2016 (contract ``votes``)."""
    return read_votes_and_report(raw)[0]


def read_votes_and_report(raw: RawFiles) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return presidential votes by county, and the report of what was left out or put right (see
    `tidy_votes`).
    """
    return tidy_votes(read_columns(raw.path(VOTES), VOTES_COLUMNS, VOTES))

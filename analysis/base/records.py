"""Records that cross rooms: the panel as it is handed to a design, and where its areas lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True, slots=True)
class Geography:
    """Where the areas of a panel lie.

    Args:
        places: one row an area under the contract ``places``: county_fips, latitude, longitude (degrees, of its centre).
        neighbours: one row an ordered pair of areas that touch, under the contract ``adjacency``: county_fips,
            neighbour_fips; each pair both ways, no area with itself.
    """

    places: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {
                "county_fips": pd.Series(dtype=str),
                "latitude": pd.Series(dtype=float),
                "longitude": pd.Series(dtype=float),
            }
        )
    )
    neighbours: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {"county_fips": pd.Series(dtype=str), "neighbour_fips": pd.Series(dtype=str)}
        )
    )


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything a design is made from, read once and never changed.

    Args:
        table: county-year rows under the contract ``panel`` of the codebook.
        constant: the same contract, counting only agencies present in every year of 2010-2017.
        policies: dated policies under the contract ``policy_events``: one row a county (or state) and event.
        declines: recorded declines under the contract ``declines``: one row a county and year.
        digest: digest of these four tables and the two of `geography`.
        simulated: whether this is the simulated twin.
        geography: where its areas lie; empty tables where nobody asked.
        reports: name to table: joins, unmatched rows, national totals, coverage.
        area: what a row of `table` is in a year: ``county``, or ``city`` (then ``county_fips`` holds the city's key).
    """

    table: pd.DataFrame
    constant: pd.DataFrame
    policies: pd.DataFrame
    declines: pd.DataFrame
    digest: str
    simulated: bool
    reports: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    geography: Geography = field(default_factory=Geography)
    area: str = "county"

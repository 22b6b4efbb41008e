"""Records that cross rooms: the panel as it is handed to a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything a design is made from, read once and never changed.

    Args:
        table: county-year rows under the contract ``panel`` of the codebook.
        constant: the same contract, counting only agencies present in every year of 2010-2017.
        policies: dated policies under the contract ``policy_events``: one row a county (or state) and event.
        declines: recorded declines under the contract ``declines``: one row a county and year.
        digest: digest of the four tables.
        simulated: whether this is the simulated twin.
        reports: name to table: joins, unmatched rows, national totals, coverage.
    """

    table: pd.DataFrame
    constant: pd.DataFrame
    policies: pd.DataFrame
    declines: pd.DataFrame
    digest: str
    simulated: bool
    reports: Mapping[str, pd.DataFrame] = field(default_factory=dict)

"""The tables of detainers behind the recorded declines: facility by facility, month by month, outcome by outcome."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.base.paths import Paths
from analysis.base.records import Panel
from analysis.panel.build import geography_names
from analysis.panel.sources.classes import read_urban_classes
from analysis.panel.sources.detainers import place_facilities, read_facility_records, read_hand_list
from analysis.panel.sources.jurisdictions import make_gazetteer
from analysis.panel.sources.raw import RawFiles

MONTHS = "policy/raw/ice_detainers_by_year_and_month.csv"
OUTCOMES = "policy/raw/ice_detainers_by_lift_reason_and_year.csv"
DECLINED = "Detainer Declined by LEA"


@dataclass(frozen=True, slots=True)
class DetainerTables:
    """What the press count of declined detainers is held against.

    Args:
        records: year, facility, city, state, declined: one row a facility and year of the detainer records.
        facilities: facility, city, state, county_fips, runs: where each lies and who runs it.
        months: year_month (2014-01), count: detainers issued.
        outcomes: year, lift_reason, count: detainers that have an outcome on record.
        classes: county_fips, urban_class_2006, urban_class_2013.
    """

    records: pd.DataFrame
    facilities: pd.DataFrame
    months: pd.DataFrame
    outcomes: pd.DataFrame
    classes: pd.DataFrame


def detainer_tables(paths: Paths, panel: Panel) -> DetainerTables:
    """Return the tables from the raw files, or for a simulated panel those that its own declines add up to.

    Args:
        paths: the tree; its tidy tables must have been built.
        panel: the tree's panel.

    Raises:
        SourceError: a raw file is missing or damaged.
    """
    if panel.simulated:
        return simulated_tables(panel)
    raw = RawFiles(paths.raw)
    names = ("county_frame", "place_county", "county_subdivisions")
    tidy = {name: pd.read_parquet(paths.tidy / f"{name}.parquet") for name in names}
    records = read_facility_records(raw)
    gazetteer = make_gazetteer(tidy["county_frame"], geography_names(tidy))
    return DetainerTables(
        records,
        place_facilities(records, gazetteer, read_hand_list()),
        pd.read_csv(raw.path(MONTHS)),
        pd.read_csv(raw.path(OUTCOMES)),
        read_urban_classes(raw),
    )


def simulated_tables(panel: Panel) -> DetainerTables:
    """Return tables of a simulated panel: one facility a county, detainers issued evenly over the months of a year.

    Args:
        panel: whose ``declines`` hold ``declined`` and ``other_outcomes``.

    Example:
        >>> declines = pd.DataFrame({"county_fips": ["01001"], "state": ["AL"], "year": [2014], "declined": [3],
        ...     "other_outcomes": [21.0]})
        >>> table = pd.DataFrame({"county_fips": ["01001"], "urban_class": ["noncore"]})
        >>> simulated_tables(Panel(table, table, table, declines, "0", True)).months["count"].sum().item()
        24
    """
    rows = panel.declines.assign(declined=panel.declines["declined"].astype(int))
    records = pd.DataFrame(
        {
            "year": rows["year"].astype(int),
            "facility": "SIMULATED JAIL OF " + rows["county_fips"],
            "city": "SIMULATED",
            "state": rows["state"],
            "declined": rows["declined"],
            "county_fips": rows["county_fips"],
        }
    )
    facilities = records.drop_duplicates("facility").assign(runs="local")
    by_year = rows.groupby("year")[["declined", "other_outcomes"]].sum().astype(int)
    parts = [
        (f"{year}-{month:02d}", int(whole * month // 12 - whole * (month - 1) // 12))
        for year, whole in by_year.sum(axis=1).items()
        for month in range(1, 13)
    ]
    months = pd.DataFrame(parts, columns=["year_month", "count"])
    outcomes = pd.concat(
        [
            pd.DataFrame(
                {
                    "year": by_year.index.astype(int),
                    "lift_reason": reason,
                    "count": by_year[column].to_numpy(),
                }
            )
            for reason, column in ((DECLINED, "declined"), ("SIMULATED OTHER OUTCOME", "other_outcomes"))
        ],
        ignore_index=True,
    )
    first = panel.table.drop_duplicates("county_fips")
    classes = pd.DataFrame(
        {
            "county_fips": first["county_fips"],
            "urban_class_2006": first["urban_class"],
            "urban_class_2013": first["urban_class"],
        }
    )
    keys = ["facility", "city", "state", "county_fips", "runs"]
    return DetainerTables(records.drop(columns="county_fips"), facilities[keys], months, outcomes, classes)

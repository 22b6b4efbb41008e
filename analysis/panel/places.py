"""Where the panel's areas lie: the centre of each, and which ones touch."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.base.codebook import validate
from analysis.base.errors import TableError
from analysis.base.fips import NEW_YORK_CITY, NEW_YORK_COUNTIES
from analysis.base.records import Geography
from analysis.panel.sources.geography import adjacency_report

EQUAL_AREA = "EPSG:5070"
"""Albers' equal-area projection of the United States. It bends Alaska: a centre there moves by up to seven kilometres
against a projection centred on its own borough, in boroughs hundreds of kilometres wide."""


def make_geography(
    shapes: Any, pairs: pd.DataFrame, county_fips: pd.Series
) -> tuple[Geography, pd.DataFrame]:
    """Return where the areas of a panel lie, and what was lost on the way.

    Args:
        shapes: GeoDataFrame with county_fips and geometry, New York City still as five counties.
        pairs: contract ``adjacency`` on the same counties.
        county_fips: codes of the panel's areas, New York City as one.

    Returns:
        The geography: ``places`` under its contract, ``neighbours`` under ``adjacency``; and the report of `neighbours`.

    Raises:
        TableError: an area without a shape.

    Source:
        Census Bureau: cb_2018_us_county_20m, county_adjacency.txt.

    Example:
        >>> import geopandas as gpd
        >>> from shapely.geometry import box
        >>> shapes = gpd.GeoDataFrame({"county_fips": ["20001", "20003"]}, crs="EPSG:4269",
        ...     geometry=[box(-98, 38, -97, 39), box(-97, 38, -96, 39)])
        >>> pairs = pd.DataFrame({"county_fips": ["20001", "20003"], "neighbour_fips": ["20003", "20001"]})
        >>> found, lost = make_geography(shapes, pairs, shapes["county_fips"])
        >>> found.places.round(1).to_numpy().tolist(), len(found.neighbours), len(lost)
        ([['20001', 38.5, -97.5], ['20003', 38.5, -96.5]], 2, 0)
    """
    touching, lost = neighbours(pairs, county_fips)
    return Geography(places(shapes, county_fips), touching), lost


def places(shapes: Any, county_fips: pd.Series) -> pd.DataFrame:
    """Return the centre of each area (contract ``places``): its centroid in an equal-area projection.

    Args:
        shapes, county_fips: as in `make_geography`.

    Raises:
        TableError: an area without a shape.

    Assumption:
        The centre of the land stands for the area; where a county is long or in parts, few people may live there.
    """
    areas = sorted(set(county_fips))
    whole = shapes.assign(county_fips=as_area(shapes["county_fips"]))[["county_fips", "geometry"]]
    absent = sorted(set(areas) - set(whole["county_fips"]))
    if absent:
        raise TableError(
            f"{len(absent)} areas without a shape, e.g. {', '.join(absent[:4])}",
            "a shape for every area of the panel",
            "the boundaries of counties",
        )
    # Areas add up in this projection, so several counties of one area have one centroid together.
    flat = whole[whole["county_fips"].isin(areas)].to_crs(EQUAL_AREA).dissolve("county_fips")
    centre = flat.geometry.centroid.to_crs("EPSG:4269")
    table = pd.DataFrame(
        {
            "county_fips": flat.index.to_numpy(),
            "latitude": centre.y.to_numpy().round(6),
            "longitude": centre.x.to_numpy().round(6),
        }
    )
    return validate(table.sort_values("county_fips", ignore_index=True), "places")


def neighbours(pairs: pd.DataFrame, county_fips: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return which areas of the panel touch, each pair both ways, and what was lost or added.

    Args:
        pairs: contract ``adjacency``, by county.
        county_fips: codes of the panel's areas, New York City as one.

    Returns:
        Pairs under the contract ``adjacency``; and a report with columns ``finding`` (``outside_panel``: a pair left
        out; ``within_area``: a pair inside New York City; ``one_way``: a pair whose mirror was added;
        ``no_neighbour``: an area, with no neighbour_fips), ``county_fips``, ``neighbour_fips``.

    Example:
        >>> rows = [["36061", "36005"], ["36005", "36119"], ["36119", "36005"], ["36119", "09001"]]
        >>> found, lost = neighbours(pd.DataFrame(rows, columns=["county_fips", "neighbour_fips"]),
        ...     pd.Series(["36119", "36998"]))
        >>> found.to_numpy().tolist(), lost["finding"].tolist()
        ([['36119', '36998'], ['36998', '36119']], ['within_area', 'outside_panel'])
    """
    areas = set(county_fips)
    columns = ["county_fips", "neighbour_fips"]
    merged = pairs.assign(**{column: as_area(pairs[column]) for column in columns})[columns]
    inside = merged["county_fips"].isin(areas) & merged["neighbour_fips"].isin(areas)
    itself = merged["county_fips"].eq(merged["neighbour_fips"])
    kept = merged[inside & ~itself].drop_duplicates(ignore_index=True)
    both = pd.concat([kept, kept.rename(columns=dict(zip(columns, columns[::-1], strict=True)))])
    both = both.drop_duplicates().sort_values(columns, ignore_index=True)
    report = pd.concat(
        [
            pairs.loc[itself, columns].assign(finding="within_area"),
            merged[~inside].assign(finding="outside_panel"),
            adjacency_report(kept, areas),
        ],
        ignore_index=True,
    )
    report = report[["finding", *columns]].astype(dict.fromkeys(("finding", *columns), "str"))
    return validate(both, "adjacency"), report


def as_area(county_fips: pd.Series) -> pd.Series:
    """Return codes of the panel's areas for codes of counties: New York City's five are one.

    Example:
        >>> as_area(pd.Series(["36061", "36059"])).tolist()
        ['36998', '36059']
    """
    return county_fips.mask(county_fips.isin(NEW_YORK_COUNTIES), NEW_YORK_CITY)

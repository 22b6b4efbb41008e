"""Where areas lie and which touch: by hand on a few squares, and the real and simulated panels against the map."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from shapely.geometry import box
from shapely.ops import unary_union

from analysis.base.codebook import validate
from analysis.base.errors import SourceError, StudyError, TableError
from analysis.base.paths import Paths
from analysis.base.records import Geography
from analysis.panel.build import load_panel
from analysis.panel.places import make_geography, neighbours, places
from analysis.panel.twin_frame import touching, twin_counties, twin_shapes

CITY = ["36005", "36047", "36061", "36081", "36085"]


def squares(**at):
    """Counties one degree wide, from code to the corner (longitude, latitude) or a list of corners."""
    corners = {code[1:]: [xy] if isinstance(xy, tuple) else xy for code, xy in at.items()}
    shapes = [unary_union([box(x, y, x + 1, y + 1) for x, y in of]) for of in corners.values()]
    return gpd.GeoDataFrame({"county_fips": list(corners)}, geometry=shapes, crs="EPSG:4269")


def both(*pairs):
    rows = [*pairs, *((b, a) for a, b in pairs)]
    return pd.DataFrame(rows, columns=["county_fips", "neighbour_fips"]).astype("str")


def test_a_centre_is_that_of_the_area_not_of_the_degrees():
    found = places(squares(c20001=(-98, 38), c20003=(-90, 60)), pd.Series(["20001", "20003"]))
    assert found["longitude"].tolist() == pytest.approx([-97.5, -89.5], abs=0.01)
    # The northern half of a square of degrees is the smaller one, the more so in the north.
    assert 38.49 < found["latitude"][0] < 38.5 and 60.47 < found["latitude"][1] < found["latitude"][0] + 22


def test_new_york_is_one_area_with_one_centre_and_the_neighbours_of_all_five():
    shapes = squares(
        c36005=(-75, 41),
        c36047=(-75, 39),
        c36061=(-75, 40),
        c36081=(-74, 40),
        c36085=(-76, 40),
        c36059=(-73, 40),
    )
    pairs = both(("36061", "36081"), ("36005", "36061"), ("36059", "36081"), ("36059", "36005"))
    areas = pd.Series(["36059", "36998"])
    found, lost = make_geography(shapes, pairs, areas)
    assert found.places["county_fips"].tolist() == ["36059", "36998"]
    assert found.places["longitude"][1] == pytest.approx(-74.5, abs=0.01)
    assert found.places["latitude"][1] == pytest.approx(40.5, abs=0.02)
    assert found.neighbours.to_numpy().tolist() == [["36059", "36998"], ["36998", "36059"]]
    assert lost["finding"].tolist() == ["within_area"] * 4


def test_what_is_lost_or_added_is_reported():
    pairs = both(("20001", "20003"), ("20001", "20005")).iloc[:3]  # 20005 is not listed as touching 20001
    found, lost = neighbours(pairs, pd.Series(["20001", "20003", "20005", "20007"]))
    assert found.to_numpy().tolist() == [
        ["20001", "20003"],
        ["20001", "20005"],
        ["20003", "20001"],
        ["20005", "20001"],
    ]
    assert lost.fillna("").to_numpy().tolist() == [
        ["one_way", "20001", "20005"],
        ["no_neighbour", "20005", ""],
        ["no_neighbour", "20007", ""],
    ]
    _, lost = neighbours(pairs, pd.Series(["20001", "20003"]))
    assert lost["finding"].tolist() == ["outside_panel"]
    with pytest.raises(TableError, match=r"1 areas without a shape, e\.g\. 20009"):
        places(squares(c20001=(-98, 38)), pd.Series(["20001", "20009"]))


def check_geography(geography, areas):
    """Hold both tables to their contracts and to what a map is."""
    for name, table in (("places", geography.places), ("adjacency", geography.neighbours)):
        pd.testing.assert_frame_equal(validate(table, name), table)
    assert geography.places["county_fips"].tolist() == sorted(areas)
    at = geography.places.set_index("county_fips")
    assert at["latitude"].between(18.9, 71.4).all() and at["longitude"].between(-179.2, -66.9).all()
    contiguous = ~at.index.str[:2].isin(["02", "15"])
    assert at.loc[contiguous, "latitude"].between(24.5, 49.4).all()
    assert at.loc[contiguous, "longitude"].between(-124.8, -66.9).all()
    pairs = set(geography.neighbours.itertuples(index=False, name=None))
    assert all((b, a) in pairs and a != b for a, b in pairs)
    assert {a for a, _ in pairs} <= set(areas)
    assert not {county for pair in pairs for county in pair} & set(CITY)
    for a, b in (
        ("17031", "17043"),  # Cook and DuPage
        ("17031", "18089"),  # Cook and Lake, Indiana
        ("36998", "36059"),  # New York City and Nassau
        ("36998", "36119"),  # and Westchester
        ("51019", "51009"),  # Bedford, which holds the former city
        ("46102", "46007"),  # Oglala Lakota, under its new code
    ):
        assert (a, b) in pairs
    assert ("17031", "06037") not in pairs
    # Neighbours lie near each other: outside Alaska the farthest two are large counties of the desert.
    ends = geography.neighbours[~geography.neighbours["county_fips"].str[:2].eq("02")]
    one, other = (at.loc[ends[column]].to_numpy() for column in ("county_fips", "neighbour_fips"))
    north, east = (one - other).T
    kilometres = 111.2 * np.hypot(north, east * np.cos(np.radians(one[:, 0])))
    assert kilometres.max() < 300 and 20 < np.median(kilometres) < 60
    degree = geography.neighbours.groupby("county_fips").size()
    assert 5 < degree.mean() < 7 and degree.median() == 6


def test_the_simulated_panel_has_the_map_of_its_shapes():
    shapes = twin_shapes()
    areas = twin_counties()["county_fips"]
    found, lost = make_geography(shapes, touching(shapes), areas)
    check_geography(found, areas)
    assert set(lost["finding"]) == {"within_area", "no_neighbour"}
    assert set(lost.loc[lost["finding"].eq("no_neighbour"), "county_fips"]) >= {"15001", "15003", "15007"}
    # The mainland hangs together: no county is cut off by a rounded corner.
    mainland = found.neighbours[~found.neighbours["county_fips"].str[:2].isin(["02", "15"])]
    names = sorted(set(mainland["county_fips"]))
    at = {code: i for i, code in enumerate(names)}
    rows, columns = (mainland[column].map(at).to_numpy() for column in ("county_fips", "neighbour_fips"))
    parts = connected_components(csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(at), len(at))))[
        1
    ]
    assert np.bincount(parts).max() == len(at)


def test_a_panel_of_an_older_build_is_named(tmp_path):
    paths = Paths(root=tmp_path, simulated=True)
    paths.panel.mkdir(parents=True)
    stamp = '{"digest": "0", "files": {"panel": "0", "constant": "0", "policy_events": "0", "declines": "0"}}'
    (paths.panel / "stamp.json").write_text(stamp)
    with pytest.raises(SourceError, match="no places and no neighbours: an older build"):
        load_panel(paths)


@pytest.fixture(scope="module")
def real():
    try:
        return load_panel(Paths())
    except StudyError as reason:
        pytest.skip(f"no real panel is built: {reason}")


@pytest.mark.real
def test_the_real_panel_lies_where_the_map_has_it(real):
    areas = real.table["county_fips"].unique()
    check_geography(real.geography, areas)
    assert len(areas) == 3_138
    # Los Angeles County with its islands; New York City's centre lies in Brooklyn, not in Manhattan.
    at = real.geography.places.set_index("county_fips")
    assert at.loc["06037"].tolist() == pytest.approx([34.32, -118.23], abs=0.1)
    assert at.loc["36998"].tolist() == pytest.approx([40.68, -73.94], abs=0.05)


@pytest.mark.real
def test_what_the_real_neighbours_lost_is_new_york_and_hawaiis_islands(real):
    lost = real.reports["neighbours"]
    assert set(lost["finding"]) == {"within_area", "no_neighbour"}
    inside = lost[lost["finding"].eq("within_area")]
    assert set(inside["county_fips"]) | set(inside["neighbour_fips"]) == set(CITY)
    assert lost.loc[lost["finding"].eq("no_neighbour"), "county_fips"].tolist() == ["15001", "15003", "15007"]


@pytest.mark.real
def test_the_census_and_the_shapes_agree_on_who_touches(real):
    # The Census also lists neighbours across open water; the shapes are those of another year.
    shapes = twin_shapes()
    drawn, _ = neighbours(touching(shapes), real.geography.places["county_fips"])
    listed, drawn = (set(t.itertuples(index=False, name=None)) for t in (real.geography.neighbours, drawn))
    assert len(drawn - listed) < 60 and len(listed - drawn) < 400


def test_an_empty_geography_has_its_columns():
    empty = Geography()
    assert empty.places.columns.tolist() == ["county_fips", "latitude", "longitude"]
    assert empty.neighbours.columns.tolist() == ["county_fips", "neighbour_fips"]

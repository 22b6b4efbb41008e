"""Maps: New York City as one area, Alaska and Hawaii as insets, territories left out, status where it belongs."""

from __future__ import annotations

import pandas as pd
import pytest
import report_cases as cases

from analysis.base.errors import TableError
from analysis.report.maps import map_plot, prepare_shapes, status_counts


def corners():
    """One square a place: New York City's counties, a mainland county, Alaska, Hawaii, Puerto Rico."""
    import geopandas as gpd
    from shapely.geometry import box

    places = {
        "36005": (-74.0, 40.8), "36047": (-74.2, 40.8), "36061": (-74.0, 41.0), "36081": (-73.8, 40.8),
        "36085": (-74.4, 40.8), "31001": (-98.0, 40.0), "02020": (-150.0, 61.0), "15001": (-156.0, 19.5),
        "72001": (-66.7, 18.2),
    }  # fmt: skip
    squares = [box(x, y, x + 0.2, y + 0.2) for x, y in places.values()]
    return gpd.GeoDataFrame({"GEOID": list(places)}, geometry=squares, crs="EPSG:4269")


def test_shapes_carry_the_area_key_and_leave_territories_out():
    shapes = prepare_shapes(corners())
    assert (shapes["area_fips"] == "36998").sum() == 5
    assert "72001" not in set(shapes["county_fips"])


def test_insets_stand_south_west_of_the_mainland():
    shapes = prepare_shapes(corners()).set_index("county_fips")
    for inset in ("02020", "15001"):
        assert shapes.loc[inset, "geometry"].centroid.y < shapes.loc["31001", "geometry"].centroid.y
        assert -2_500_000 < shapes.loc[inset, "geometry"].centroid.x < 0


def test_shapes_without_codes_or_coordinates_are_refused():
    with pytest.raises(TableError, match="one of county_fips, GEOID"):
        prepare_shapes(corners().rename(columns={"GEOID": "name"}))
    with pytest.raises(TableError, match="coordinate system"):
        prepare_shapes(corners().set_crs(None, allow_override=True))


def test_map_prints_the_counts_of_each_definition():
    table = cases.panel()
    status = cases.status(table)
    figure = map_plot(cases.shapes(table), status)
    text = "\n".join(t.get_text() for t in figure.texts)
    n = status[status["definition"] == "policy_full"]["status"].value_counts()
    assert f"{n['treated']} treated   {n['comparison']} comparison   {n['excluded']} excluded" in text
    assert "Documented full decline" in text
    assert len(figure.axes) == status["definition"].nunique()


def test_map_refuses_codes_of_another_frame():
    table = cases.panel()
    status = cases.status(table).assign(county_fips="00000")
    with pytest.raises(TableError, match="no area of definition"):
        map_plot(cases.shapes(table), status)


def test_counts_hold_every_area_and_no_code():
    status = cases.status(cases.panel())
    counts = status_counts(status)
    assert list(counts.columns) == ["definition", "state", "status", "areas"]
    assert counts["areas"].sum() == len(status)
    assert pd.Series(counts["definition"].unique()).tolist()[0] == "policy_any"

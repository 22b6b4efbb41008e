"""Maps of treatment status: equal-area projections, Alaska and Hawaii inset, one small map a definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.base.errors import TableError
from analysis.design.keys import NEW_YORK_CITY, NEW_YORK_CITY_COUNTIES
from analysis.design.treatment import DEFINITIONS, is_descriptive
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import STATUS, require

MAIN_CRS = "EPSG:5070"  # Albers equal area, conterminous United States
ALASKA_CRS = "EPSG:3338"  # Albers equal area, Alaska
HAWAII_CRS = "+proj=aea +lat_1=8 +lat_2=18 +lat_0=13 +lon_0=-157 +datum=NAD83 +units=m"

ALASKA, HAWAII = "02", "15"
STATES_AND_DC = frozenset(f"{code:02d}" for code in range(1, 57)) - {"03", "07", "14", "43", "52"}
CODE_COLUMNS = ("county_fips", "GEOID", "FIPS", "geoid", "fips")

DETAIL = 2_500.0

# Where the insets go, in metres of the main projection, and how much smaller than the main map they are
# drawn.
ALASKA_AT, ALASKA_SCALE = (-2_330_000.0, 260_000.0), 0.34
HAWAII_AT, HAWAII_SCALE = (-1_020_000.0, 240_000.0), 1.0

# Light for the many, dark for the few: the order also holds in grey.
FILL: Mapping[str, str] = {"treated": look.ROLES["treated"], "comparison": "#F8DFA8", "excluded": "#ABABAB"}
NO_AREA = "#FFFFFF"


def prepare_shapes(geometry: Any) -> Any:
    """Return county shapes ready to draw: one row a county, projected, insets in place.

    Args:
        geometry: GeoDataFrame of counties in any stated coordinate system, with a five-character code
            in one of the
            columns county_fips, GEOID, FIPS; other columns are ignored.

    Returns:
        GeoDataFrame with county_fips (as in the shapes), area_fips (the area key of the panel: New York
        City's five counties
        carry one), state_fips and geometry in metres; territories are left out.

    Raises:
        TableError: no code column, or no coordinate system.
    """
    import geopandas as gpd

    code = next((c for c in CODE_COLUMNS if c in geometry.columns), None)
    if code is None:
        raise TableError(
            f"county shapes with columns {', '.join(map(str, geometry.columns))}",
            f"one of {', '.join(CODE_COLUMNS)}",
        )
    if geometry.crs is None:
        raise TableError("county shapes without a coordinate system", "shapes that state theirs (.crs)")
    fips = geometry[code].astype(str).str.zfill(5)
    shapes = gpd.GeoDataFrame(
        {
            "county_fips": fips.to_numpy(),
            "area_fips": np.where(fips.isin(NEW_YORK_CITY_COUNTIES), NEW_YORK_CITY, fips),
            "state_fips": fips.str[:2].to_numpy(),
        },
        geometry=geometry.geometry.to_numpy(),
        crs=geometry.crs,
    )
    shapes = (
        shapes[shapes["state_fips"].isin(STATES_AND_DC)].sort_values("county_fips").reset_index(drop=True)
    )
    placed = []
    for states, crs, at, scale in (
        (None, MAIN_CRS, None, 1.0),
        (ALASKA, ALASKA_CRS, ALASKA_AT, ALASKA_SCALE),
        (HAWAII, HAWAII_CRS, HAWAII_AT, HAWAII_SCALE),
    ):
        own = (
            ~shapes["state_fips"].isin([ALASKA, HAWAII]) if states is None else shapes["state_fips"] == states
        )
        if not own.any():
            continue
        part = shapes[own].to_crs(crs)
        if at is not None:
            part = part.set_geometry(_inset(part.geometry, at, scale))
        # At two inches a map, detail under DETAIL metres is invisible and only makes the file large.
        part = part.set_geometry(part.geometry.simplify_coverage(DETAIL))
        placed.append(part.set_crs(MAIN_CRS, allow_override=True))
    return pd.concat(placed, ignore_index=True)


def _inset(shapes: Any, at: tuple[float, float], scale: float) -> Any:
    """Return shapes shrunk and moved so that the lower left corner of their bounds stands at ``at``."""
    left, bottom, _, _ = shapes.total_bounds
    return shapes.translate(-left, -bottom).scale(scale, scale, origin=(0, 0)).translate(*at)


def _merged(shapes: Any) -> Any:
    """Return one shape for many neighbours; falls back where the shapes do not tile exactly."""
    try:
        return shapes.union_all(method="coverage")
    except Exception:  # shapely raises several kinds for an invalid coverage
        return shapes.union_all()


def state_borders(shapes: Any) -> Any:
    """Return the outline of each state of `prepare_shapes`, as a GeoSeries."""
    import geopandas as gpd

    merged = {state: _merged(rows.geometry) for state, rows in shapes.groupby("state_fips")}
    return gpd.GeoSeries(merged, crs=shapes.crs).boundary


def status_counts(status: pd.DataFrame) -> pd.DataFrame:
    """Return areas by definition, state and status, the committed numbers of the map (no county-level value).

    Args:
        status: frame under the contract ``status``.
    """
    require(status, STATUS)
    counts = (
        status.groupby(["definition", "state", "status"], sort=False).size().rename("areas").reset_index()
    )
    rank = counts["definition"].map(words.definition_rank)
    return (
        counts.assign(rank=rank)
        .sort_values(["rank", "state", "status"])
        .drop(columns="rank")
        .reset_index(drop=True)
    )


KEY_WIDTH = 2.0
"""Inches the key takes beside a map."""


def map_plot(
    shapes: Any,
    status: pd.DataFrame,
    *,
    definitions: Sequence[str] | None = None,
    columns: int = 3,
    note: str = "",
) -> Figure:
    """Draw who is treated, comparison or excluded under each definition, one small map a definition.

    Args:
        shapes: county shapes, raw or from `prepare_shapes`.
        status: frame under the contract ``status``.
        definitions: which, and in what order; by default all in the study's order.
        columns: maps in a row.
        note: printed below.

    Raises:
        TableError: no area of a definition has a shape.
    """
    require(status, STATUS)
    if "area_fips" not in shapes.columns:
        shapes = prepare_shapes(shapes)
    names = list(definitions or sorted(dict.fromkeys(status["definition"]), key=words.definition_rank))
    borders = state_borders(shapes)
    nation = _merged(shapes.geometry)
    left, bottom, right, top = shapes.total_bounds
    ratio = (top - bottom) / (right - left)
    cells = len(names) + (1 if len(names) % columns else columns)
    rows = -(-cells // columns) if len(names) % columns else len(names) // columns
    titles = [_two_lines(_map_title(name)) for name in names]
    gap, head, foot = 0.08, 0.32 if any("\n" in t for t in titles) else 0.2, 0.24
    width = (look.WIDTH - gap * (columns - 1)) / columns
    cell = width * ratio + head + foot
    # The key stands in the place of a map where the last row has one to spare, otherwise in a row of its own.
    beside = bool(len(names) % columns) and width > KEY_WIDTH
    if not beside:
        rows = -(-len(names) // columns)
    key = 0.0 if beside else 0.62
    below = look.note_height(note)
    height = rows * cell + key + below
    with look.style():
        fig = look.figure(height)
        for i, name in enumerate(names):
            x = (i % columns) * (width + gap)
            y = height - (i // columns + 1) * cell + foot
            axes = fig.add_axes((x / look.WIDTH, y / height, width / look.WIDTH, width * ratio / height))
            here = status[status["definition"] == name]
            drawn = shapes.merge(
                here[["county_fips", "status"]].rename(columns={"county_fips": "area_fips"}),
                on="area_fips",
                how="left",
            )
            if drawn["status"].notna().sum() == 0:
                raise TableError(
                    f"no area of definition {name} has a shape",
                    "county codes of one frame",
                    "the shapes handed in",
                )
            _draw_status(axes, drawn, borders, nation)
            axes.set_xlim(left, right)
            axes.set_ylim(bottom, top)
            axes.set_axis_off()
            fig.text(x / look.WIDTH + 0.004, (y + width * ratio + 0.04) / height,
                     titles[i], fontsize=7.3, fontweight="bold", va="bottom", linespacing=1.1)  # fmt: skip
            n = here["status"].value_counts()
            counts = "   ".join(f"{words.count(n.get(s, 0))} {s}" for s in FILL)
            fig.text(
                x / look.WIDTH + 0.004, (y - 0.03) / height, counts, fontsize=6.3, color="#333333", va="top"
            )
        handles = [
            Patch(facecolor=FILL[s], edgecolor="#8A8A8A", linewidth=0.3, label=_STATUS_WORDS[s]) for s in FILL
        ]
        handles.append(Patch(facecolor=NO_AREA, edgecolor="#8A8A8A", linewidth=0.3, label="not in the panel"))
        if beside:
            x = (len(names) % columns) * (width + gap) / look.WIDTH + 0.03
            fig.legend(
                handles=handles,
                loc="upper left",
                bbox_to_anchor=(x, (below + cell - 0.15) / height),
                fontsize=7,
                labelspacing=0.7,
            )
        else:
            fig.legend(
                handles=handles, loc="lower left", bbox_to_anchor=(0.0, below / height), ncols=2, fontsize=7
            )
        look.footnote(fig, note)
    return fig


def _map_title(name: str) -> str:
    """Return a definition's name, with a mark on those drawn up after the outcomes."""
    late = name in DEFINITIONS and is_descriptive(name)
    return f"{words.definition_label(name)} (descriptive)" if late else words.definition_label(name)


_STATUS_WORDS: Mapping[str, str] = {
    "treated": "treated: a policy that limits\ncooperation, under the definition",
    "comparison": "comparison: no such policy,\nand clean under the definition",
    "excluded": "excluded: neither treated\nnor a clean comparison",
}


def _draw_status(axes: Axes, drawn: Any, borders: Any, nation: Any) -> None:
    import geopandas as gpd

    axes.set_aspect("equal")
    for name, ink in FILL.items():
        part = drawn[drawn["status"] == name]
        if len(part):
            gpd.GeoSeries([_merged(part.geometry)], crs=drawn.crs).plot(
                ax=axes, color=ink, edgecolor="none", linewidth=0, aspect=None
            )
    borders.plot(ax=axes, color="white", linewidth=0.35, aspect=None)
    gpd.GeoSeries([nation], crs=drawn.crs).boundary.plot(
        ax=axes, color="#7A7A7A", linewidth=0.25, aspect=None
    )


def _two_lines(text: str, width: int = 38) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:2])

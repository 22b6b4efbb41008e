"""The county comparison of 2017 on paper: where its figure falls among our specifications, and its classes of counties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.base.errors import StudyError
from analysis.evidence.studies.wong2017 import ALL_CRIME, CLASS_FIGURES, CLASS_SIGNS, SIZES, by_class, placed
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import require
from analysis.report.wong_tables import BUILDS, DIRECTIONS, STUDY_RESULTS, list_words

BUILD_INKS: Mapping[str, str] = {
    "all agencies, residents policed": look.OKABE_ITO["blue"],
    "all agencies, whole county": look.OKABE_ITO["sky"],
    "county agencies, whole county": look.OKABE_ITO["vermilion"],
    "county agencies, residents outside cities": look.OKABE_ITO["orange"],
}
BUILD_MARKS: Mapping[str, str] = {
    "all agencies, residents policed": "o",
    "all agencies, whole county": "s",
    "county agencies, whole county": "^",
    "county agencies, residents outside cities": "v",
}
# Share of the ends of bars that a scale holds; arrows mark those that go on.
REACH = 0.95


def wong_multiverse_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `wong_multiverse_figure`, as `analysis.evidence.studies.wong2017.placed` gives them.

    Args:
        results: estimates of the studies, one row a specification.

    Returns:
        A row a build, and a row a build and list of places.
    """
    f = placed(require(results, STUDY_RESULTS))
    return f[f["by"].isin(["build", "build, definition"]) & f["n_estimated"].gt(0)].reset_index(drop=True)


def wong_multiverse_figure(results: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw our estimates for all counties by build and list of places, beside the published difference.

    Args:
        results: estimates of the studies, one row a specification.
        note: printed below.

    Returns:
        The figure: a panel a build; on each line the middle half and the middle nine tenths of the estimates, their median, and the
        median interval behind them; at the right the share of intervals that hold the published difference.

    Raises:
        StudyError: nothing to draw.
    """
    rows = wong_multiverse_rows(results)
    builds = _in_order(rows["build"], BUILDS)
    if not builds:
        raise StudyError("no estimate to draw", "estimates of the grid wong2017", "study_results")
    lists = ["", *dict.fromkeys(rows.loc[rows["definition"].ne(""), "definition"])]
    published = SIZES[ALL_CRIME]
    low, high = _span(rows, ("conf_low", "conf_high"), (published,))
    across, line, head, gap, axis = 2, 0.185, 0.56, 0.46, 0.42
    down = -(-len(builds) // across)
    left, right, between = 1.5, 0.34, 0.5
    below = look.note_height(note)
    panel = line * len(lists) + 0.08
    height = head + down * panel + (down - 1) * gap + axis + below
    width = (look.WIDTH - left - right - between * (across - 1)) / across
    with look.style():
        fig = look.figure(height)
        for at, build in enumerate(builds):
            at_line, column = divmod(at, across)
            x = left + column * (width + between)
            y = below + axis + (down - 1 - at_line) * (panel + gap)
            axes = fig.add_axes((x / look.WIDTH, y / height, width / look.WIDTH, panel / height))
            _distributions(axes, rows[rows["build"] == build], lists, (low, high), published)
            axes.set_title(_broken(BUILDS.get(build, build)), fontsize=7.2, pad=3)
            axes.tick_params(labelleft=column == 0, labelbottom=at + across >= len(builds))
            axes.text(1.02, 1.03, "hold it", transform=axes.transAxes, fontsize=5.8, ha="left", va="bottom")
        fig.text((left + width + between / 2) / look.WIDTH, (below + 0.06) / height,
                 "Difference in reported offences per 10,000 residents, 2015", ha="center", va="bottom", fontsize=7.2)  # fmt: skip
        ink = look.ROLES["between"]
        handles = [
            Line2D([], [], color=look.ROLES["published"], linestyle=(0, (3, 2)), linewidth=1,
                   label=f"published {words.number(published, 1)}"),
            Line2D([], [], marker="o", color=ink, linestyle="", markersize=3.6, label="median estimate"),
            Line2D([], [], color=ink, linewidth=3.6, label="middle half"),
            Line2D([], [], color=ink, linewidth=1.2, label="middle nine tenths"),
            Patch(color="#DDDDDD", label="median interval"),
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=5, fontsize=6.6, columnspacing=1.4,
                   handlelength=1.8, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def wong_classes_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `wong_classes_figure`, as `analysis.evidence.studies.wong2017.by_class` gives them.

    Args:
        results: estimates of the studies, one row a specification.

    Returns:
        A row a class, list of places and build that has an interval.
    """
    f = by_class(require(results, STUDY_RESULTS))
    # A point without an interval would look more certain than one with it.
    return f[f["build"].ne("") & f["conf_low"].notna()].reset_index(drop=True)


def wong_classes_figure(results: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw our estimates for the six classes of counties by list of places and build, beside what was published.

    Args:
        results: estimates of the studies, one row a specification.
        note: printed below.

    Returns:
        The figure: a panel a class, shaded on the published side; medians over settings with the median interval; hollow marks
        where no setting rests on 20 treated counties in six states.

    Raises:
        StudyError: nothing to draw.
    """
    rows = wong_classes_rows(results)
    classes = _in_order(rows["urban_class"], CLASS_SIGNS)
    if not classes:
        raise StudyError("no estimate to draw", "estimates of the grid wong2017", "study_results")
    lists, builds = list(dict.fromkeys(rows["definition"])), _in_order(rows["build"], BUILDS)
    low, high = _span(
        rows[rows["n_informative"].gt(0)] if rows["n_informative"].gt(0).any() else rows,
        ("conf_low", "conf_high"),
        tuple(rows["published"].dropna()),
    )
    across, line, head, gap, axis = 3, 0.3, 0.62, 0.36, 0.42
    down = -(-len(classes) // across)
    left, right, between = 1.5, 0.1, 0.14
    below = look.note_height(note)
    panel = line * len(lists)
    height = head + down * panel + (down - 1) * gap + axis + below
    width = (look.WIDTH - left - right - between * (across - 1)) / across
    with look.style():
        fig = look.figure(height)
        for at, name in enumerate(classes):
            at_line, column = divmod(at, across)
            x = left + column * (width + between)
            y = below + axis + (down - 1 - at_line) * (panel + gap)
            axes = fig.add_axes((x / look.WIDTH, y / height, width / look.WIDTH, panel / height))
            _class_panel(axes, rows[rows["urban_class"] == name], lists, builds, (low, high))
            size = SIZES.get(CLASS_FIGURES[name])
            said = DIRECTIONS[CLASS_SIGNS[name]] if size is None else words.number(size, 1)
            axes.set_title(f"{name[:1].upper()}{name[1:]}\n", fontsize=7.4, pad=3)
            axes.text(
                0,
                1.02,
                f"published: {said}",
                transform=axes.transAxes,
                fontsize=6.4,
                ha="left",
                va="bottom",
            )
            axes.tick_params(labelleft=column == 0, labelbottom=at + across >= len(classes))
        fig.text((left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.06) / height,
                 "Difference in reported offences per 10,000 residents, 2015", ha="center", va="bottom", fontsize=7.2)  # fmt: skip
        handles = [
            Line2D([], [], marker=BUILD_MARKS.get(b, "o"), color=BUILD_INKS.get(b, look.ROLES["mark"]), linestyle="-",
                   linewidth=1, markersize=3.4, label=BUILDS.get(b, b))
            for b in builds
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=6.5, columnspacing=1.6,
                   handlelength=1.8, borderaxespad=0.2, labelspacing=0.3)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _broken(text: str) -> str:
    """Return a title on two lines.

    Example:
        >>> _broken("All agencies over residents policed")
        'All agencies over\\nresidents policed'
    """
    return text.replace(" over ", " over\n", 1)


def _in_order(values: pd.Series, known: Mapping[str, Any]) -> list[str]:
    """Return the options that are there, those of the study first and in its order."""
    found = [str(v) for v in dict.fromkeys(values) if v]
    return [name for name in known if name in found] + [name for name in found if name not in known]


def _span(rows: pd.DataFrame, ends: tuple[str, str], held: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a scale that holds most interval ends, zero and what was published."""
    low, high = (rows[name].to_numpy(dtype=float) for name in ends)
    low, high = low[np.isfinite(low)], high[np.isfinite(high)]
    first = float(np.quantile(low, 1 - REACH)) if len(low) else -1.0
    last = float(np.quantile(high, REACH)) if len(high) else 1.0
    first, last = min(first, 0.0, *held), max(last, 0.0, *held)
    room = 0.05 * (last - first)
    return first - room, last + room


def _lines(axes: Axes, lists: Sequence[str], span: tuple[float, float]) -> None:
    look.zero_line(axes, vertical=True)
    axes.set_xlim(*span)
    axes.set_ylim(len(lists) - 0.5, -0.5)
    axes.set_yticks(range(len(lists)), [list_words(name) for name in lists])
    axes.tick_params(axis="y", length=0, labelsize=6.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))


def _distributions(
    axes: Axes, rows: pd.DataFrame, lists: Sequence[str], span: tuple[float, float], published: float
) -> None:
    _lines(axes, lists, span)
    axes.axvline(published, color=look.ROLES["published"], linestyle=(0, (3, 2)), linewidth=0.9, zorder=2)
    for at, name in enumerate(lists):
        here = rows[rows["definition"] == name]
        if here.empty:
            continue
        one = here.iloc[0]
        faint = bool(one["descriptive"]) or int(one["n_informative"]) == 0
        ink = (
            look.OKABE_ITO["black"]
            if not name
            else look.ROLES["excluded"]
            if faint
            else look.ROLES["between"]
        )
        for names, shade, width, order in (
            (("conf_low", "conf_high"), "#DDDDDD", 6.5, 1),
            (("low", "high"), ink, 1.1, 3),
            (("quarter", "three_quarters"), ink, 3.4, 3),
        ):
            ends = (float(one[names[0]]), float(one[names[1]]))
            look.cut_span(axes, at, ends, span, shade, width=width, arrow=2.4, zorder=order)
        if span[0] <= one["median"] <= span[1]:
            axes.plot([one["median"]], [at], marker="o", markersize=4.2, color=ink, markeredgecolor="white",
                      markeredgewidth=0.6, zorder=5)  # fmt: skip
        axes.text(1.02, at, words.percent(one["share_holds"], 0), transform=axes.get_yaxis_transform(), fontsize=6, va="center",
                  ha="left")  # fmt: skip


def _class_panel(
    axes: Axes, rows: pd.DataFrame, lists: Sequence[str], builds: Sequence[str], span: tuple[float, float]
) -> None:
    _lines(axes, lists, span)
    sign = int(rows["sign"].iloc[0])
    axes.axvspan(*((span[0], 0) if sign < 0 else (0, span[1])), color="#F3EFE2", zorder=0)
    for size in dict.fromkeys(rows["published"].dropna()):
        axes.axvline(size, color=look.ROLES["published"], linestyle=(0, (3, 2)), linewidth=0.9, zorder=2)
    step = 0.8 / max(len(builds), 1)
    for at, name in enumerate(lists):
        for k, build in enumerate(builds):
            here = rows[rows["definition"].eq(name) & rows["build"].eq(build)]
            if here.empty:
                continue
            one = here.iloc[0]
            y = at + (k - (len(builds) - 1) / 2) * step
            ink = BUILD_INKS.get(build, look.ROLES["mark"])
            firm = int(one["n_informative"]) > 0
            ends = (float(one["conf_low"]), float(one["conf_high"]))
            look.cut_span(axes, y, ends, span, ink, width=0.8, alpha=0.9 if firm else 0.35, arrow=1.8)
            if span[0] <= one["median"] <= span[1]:
                axes.plot([one["median"]], [y], marker=BUILD_MARKS.get(build, "o"), markersize=2.9, color=ink,
                          markerfacecolor=ink if firm else "white", markeredgewidth=0.6, zorder=4)  # fmt: skip

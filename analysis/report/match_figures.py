"""Figures of a match: distributions before and after, common support, who is matched to whom, several methods.

Each plot reads a frame that the function beside it makes, so that figure and csv agree; frames to be written hold
no value of a single county.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.base.errors import StudyError, TableError
from analysis.design.keys import URBAN_CLASSES
from analysis.estimation.matching.balance import SMD_LIMITS, balance, denominators, densities
from analysis.estimation.matching.overlap import Trimming, common_support
from analysis.report import maps, words
from analysis.report import style as look
from analysis.report.frames import BALANCE, require

if TYPE_CHECKING:
    from analysis.estimation.matched import MatchedSets

Array = NDArray[np.float64]

ARMS = ("treated", "comparison")
DASHES: Mapping[str, Any] = {"before": (0, (3, 1.6)), "after": "solid"}
POINTS = 201
PANELS_A_ROW = 3
LOVE_A_ROW = 5

# --------------------------------------------------------------------------------------------------------
# Distributions
# --------------------------------------------------------------------------------------------------------


def ecdf_frame(sets: MatchedSets, before: Array | None = None, *, points: int = POINTS) -> pd.DataFrame:
    """Return the weighted distribution functions of every covariate, by arm, before and after the match.

    Args:
        sets: from ``match(design)``.
        before: (n,) weights of all counties; None for ones.
        points: evenly spaced values at which the functions are read.

    Returns:
        One row a covariate, sample (``before``, ``after``), arm and value: covariate, sample, arm, value (the
        covariate's unit), share (of the arm at or below it), ks (largest distance of the two arms, over all
        values).
    """
    parts = []
    for name, column, sample, weights in _samples(sets, before):
        grid = np.linspace(column.min(), column.max(), points)
        x = column[:, None]
        ks = float(balance(x, sets.treated, weights, denominators(x, sets.treated, "all")).ks[0])
        for arm in ARMS:
            rows = sets.treated == (arm == "treated")
            order = np.argsort(column[rows], kind="stable")
            reached = np.append(0.0, np.cumsum(weights[rows][order]) / weights[rows].sum())
            share = reached[np.searchsorted(column[rows][order], grid, side="right")]
            parts.append(
                pd.DataFrame(
                    {"covariate": name, "sample": sample, "arm": arm, "value": grid, "share": share, "ks": ks}
                )
            )
    return pd.concat(parts, ignore_index=True)


def density_frame(sets: MatchedSets, before: Array | None = None, *, points: int = POINTS) -> pd.DataFrame:
    """Return the weighted densities of every covariate, by arm, before and after the match.

    Args:
        sets: from ``match(design)``.
        before: (n,) weights of all counties; None for ones.
        points: evenly spaced values at which densities are read, over the range of the covariate.

    Returns:
        One row a covariate, sample, arm and value: covariate, sample, arm, value, density (per unit of the
        covariate; the share of the arm where ``discrete``), discrete (a covariate of at most ten values),
        bandwidth (of the normal kernel: one for both arms and both samples), overlap (coefficient of the two
        arms).

    Source: Inman and Bradley (1989), Communications in Statistics 18(10).
    """
    parts = []
    for name, column, sample, weights in _samples(sets, before):
        found = densities(column, sets.treated, weights)
        lower = np.minimum(found.treated, found.comparison)
        step = 1.0 if found.discrete else found.points[1] - found.points[0]
        grid = found.points if found.discrete else np.linspace(column.min(), column.max(), points)
        for arm in ARMS:
            height = getattr(found, arm)
            if not found.discrete:
                height = np.interp(grid, found.points, height)
            parts.append(
                pd.DataFrame(
                    {
                        "covariate": name,
                        "sample": sample,
                        "arm": arm,
                        "value": grid,
                        "density": height,
                        "discrete": found.discrete,
                        "bandwidth": found.bandwidth,
                        "overlap": min(float(lower.sum() * step), 1.0),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def _samples(sets: MatchedSets, before: Array | None) -> list[tuple[str, Array, str, Array]]:
    weights = {"before": np.ones(len(sets.treated)) if before is None else before, "after": sets.weights}
    return [
        (name, sets.covariates[:, j], sample, w)
        for j, name in enumerate(sets.names)
        for sample, w in weights.items()
    ]


def ecdf_plot(curves: pd.DataFrame, labels: Mapping[str, str] | None = None, *, note: str = "") -> Figure:
    """Draw the distribution functions of each covariate: treated and comparison, before and after the match.

    Args:
        curves: from `ecdf_frame`.
        labels: covariate to words.
        note: printed below, after what the lines are.

    Raises:
        TableError: a column is absent.
    """
    said = (
        "Share of counties at or below each value. D: the largest vertical distance between treated and comparison "
        "(Kolmogorov-Smirnov), before and after the match."
    )
    return _curves(curves, "share", "ks", "D", labels, "Share at or below", f"{said}\n{note}".strip())


def density_plot(curves: pd.DataFrame, labels: Mapping[str, str] | None = None, *, note: str = "") -> Figure:
    """Draw the densities of each covariate: treated and comparison, before and after the match.

    Args:
        curves: from `density_frame`.
        labels: covariate to words.
        note: printed below, after what the lines are.

    Raises:
        TableError: a column is absent.
    """
    said = (
        "Normal kernel, one bandwidth for both arms and both samples, drawn over the range of the values; covariates of "
        "few values are shown as shares. O: overlap of treated and comparison, the area under the lower line, before and after the match."
    )
    return _curves(curves, "density", "overlap", "O", labels, "Density", f"{said}\n{note}".strip())


def _curves(
    curves: pd.DataFrame,
    height_of: str,
    statistic: str,
    letter: str,
    labels: Mapping[str, str] | None,
    axis: str,
    note: str,
) -> Figure:
    _need(curves, ("covariate", "sample", "arm", "value", height_of, statistic))
    names = list(dict.fromkeys(curves["covariate"]))
    columns = 2 if len(names) in (2, 4) else min(PANELS_A_ROW, len(names))
    rows = -(-len(names) // columns)
    left, gap, panel, head, foot, top = 0.58, 0.2, 1.15, 0.2, 0.3, 0.24
    below = look.note_height(note)
    height = top + rows * (head + panel + foot) + below
    width = (look.WIDTH - left - 0.06 - gap * (columns - 1)) / columns
    with look.style():
        fig = look.figure(height)
        for i, name in enumerate(names):
            x = left + (i % columns) * (width + gap)
            y = height - top - (i // columns) * (head + panel + foot) - head - panel
            axes = fig.add_axes((x / look.WIDTH, y / height, width / look.WIDTH, panel / height))
            here = curves[curves["covariate"] == name]
            _draw_curves(axes, here, height_of)
            axes.set_title(_clip(_label(name, labels), 34), fontsize=7.4, pad=3)
            values = [
                words.number(here.loc[here["sample"] == s, statistic].iloc[0], 2)
                for s in ("before", "after")
                if (here["sample"] == s).any()
            ]
            axes.text(
                0.985, 0.05 if height_of == "share" else 0.95, f"{letter} {' → '.join(values)}",
                transform=axes.transAxes, fontsize=6.6, ha="right",
                va="bottom" if height_of == "share" else "top",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
            )  # fmt: skip
            axes.xaxis.set_major_locator(MaxNLocator(4))
            if height_of == "share":
                axes.set_ylim(0, 1.02)
                axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"] if i % columns == 0 else ["", "", ""])
            else:
                axes.set_ylim(0, None)
                axes.set_yticks([])
                axes.spines["left"].set_visible(False)
            if i % columns == 0:
                axes.set_ylabel(axis)
        handles = [
            Line2D([], [], color=look.ROLES[arm], linewidth=1.4, label=f"{arm}, after the match")
            for arm in ARMS
        ]
        handles.append(
            Line2D(
                [], [], color=look.ROLES["comparison"], linewidth=1.1, linestyle=DASHES["before"],
                label="comparison, all before the match",
            )
        )  # fmt: skip
        if _treated_move(curves, height_of):
            handles.append(
                Line2D(
                    [], [], color=look.ROLES["treated"], linewidth=1.1, linestyle=DASHES["before"],
                    label="treated, all before the match",
                )
            )  # fmt: skip
        fig.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(left / look.WIDTH - 0.01, 1.0), ncols=4,
            columnspacing=1.2, handlelength=2.0, fontsize=6.8, borderaxespad=0.2,
        )  # fmt: skip
        look.footnote(fig, note)
    return fig


def _draw_curves(axes: Axes, here: pd.DataFrame, height_of: str) -> None:
    discrete = "discrete" in here and bool(here["discrete"].iloc[0])
    values = np.sort(here["value"].unique())
    room = np.diff(values).min() if discrete and len(values) > 1 else 1.0
    for sample, thick in (("before", 1.1), ("after", 1.4)):
        for arm, side in zip(ARMS, (-1, 1), strict=True):
            one = here[(here["sample"] == sample) & (here["arm"] == arm)]
            if sample == "before" and arm == "treated" and not _treated_move(here, height_of):
                continue
            ink = look.ROLES[arm]
            if discrete:
                at = one["value"] + side * room * (0.1 if sample == "after" else 0.22)
                axes.vlines(
                    at, 0, one[height_of], color=ink, linewidth=2.2 if sample == "after" else 1.2,
                    linestyle=DASHES[sample],
                )  # fmt: skip
                continue
            kind = "steps-post" if height_of == "share" else "default"
            axes.plot(
                one["value"],
                one[height_of],
                color=ink,
                linewidth=thick,
                linestyle=DASHES[sample],
                drawstyle=kind,
            )
    axes.grid(visible=False)


def _treated_move(curves: pd.DataFrame, height_of: str) -> bool:
    """Return whether the match changed the treated counties or their weights."""
    treated = curves[curves["arm"] == "treated"]
    one, two = (treated.loc[treated["sample"] == s, height_of].to_numpy() for s in ("before", "after"))
    return len(one) == len(two) and not np.allclose(one, two, rtol=1e-6, atol=1e-9)


# --------------------------------------------------------------------------------------------------------
# Common support
# --------------------------------------------------------------------------------------------------------


def support_frame(scores: pd.DataFrame, *, bins: int = 40) -> pd.DataFrame:
    """Return counties by linear predictor of the propensity: each arm, and the treated of each state.

    Args:
        scores: one row a county: state, treated, linear; from ``score_frame``.
        bins: of equal width over the range of the linear predictor.

    Returns:
        One row a group and bin: panel (``arms``, ``states``), group (treated, comparison; postal code), low,
        high (bounds of the bin), counties, share (of the group).
    """
    _need(scores, ("state", "treated", "linear"))
    edges = np.linspace(scores["linear"].min(), scores["linear"].max(), bins + 1)
    treated = scores["treated"].astype(bool)
    groups = [("arms", arm, scores[treated == (arm == "treated")]) for arm in ARMS]
    states = scores[treated].groupby("state", sort=True)
    groups += [("states", str(state), part) for state, part in states]
    parts = []
    for panel, group, part in groups:
        counted = np.histogram(part["linear"], edges)[0]
        parts.append(
            pd.DataFrame(
                {
                    "panel": panel,
                    "group": group,
                    "low": edges[:-1],
                    "high": edges[1:],
                    "counties": counted,
                    "share": counted / len(part),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


PROPENSITIES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


def support_plot(
    scores: pd.DataFrame, trimming: Trimming | None = None, *, bins: int = 40, note: str = ""
) -> Figure:
    """Draw both arms' propensity scores, their common support, the trimmed tails, and the treated by state.

    Args:
        scores: one row a county: state, treated, linear, probability; from ``score_frame``.
        trimming: from ``trim``, whose tails are marked; None for none.
        bins: as `support_frame`, which gives the numbers drawn.
        note: printed below, after the counts.

    Raises:
        StudyError: ``trimming`` is of another number of counties, or an arm is empty.
    """
    _need(scores, ("state", "treated", "linear", "probability"))
    treated = scores["treated"].to_numpy(dtype=bool)
    if trimming is not None and len(trimming.kept) != len(scores):
        raise StudyError(
            f"trimming of {len(trimming.kept)} counties for {len(scores)} scores", "one of the same"
        )
    try:
        support = common_support(scores["linear"].to_numpy(dtype=float), treated)
    except ValueError as error:
        raise StudyError(str(error), "scores of both arms") from error
    frame = support_frame(scores, bins=bins)
    arms = frame[frame["panel"] == "arms"]
    lone = scores.loc[treated & ~support.inside]
    states = scores[treated].groupby("state").size().sort_values(ascending=False, kind="stable")
    said = _support_note(scores, treated, support.inside, trimming, lone)
    note = f"{said}\n{note}".strip()
    below, axis, head, upper = look.note_height(note), 0.36, 0.62, 1.75
    lower = 0.135 * len(states) + 0.1
    height = head + upper + 0.22 + lower + axis + below
    with look.style():
        fig = look.figure(height)
        x, width = 0.115, 0.78
        top = fig.add_axes((x, (height - head - upper) / height, width, upper / height))
        under = fig.add_axes((x, (below + axis) / height, width, lower / height), sharex=top)
        for axes in (top, under):
            _mark_support(axes, support.low, support.high, frame, trimming)
            axes.grid(visible=False)
        wide = frame["high"].iloc[0] - frame["low"].iloc[0]
        for arm, sign in zip(ARMS, (1, -1), strict=True):
            one = arms[arms["group"] == arm]
            top.bar(
                one["low"], sign * 100 * one["share"], width=wide, align="edge", color=look.ROLES[arm],
                edgecolor="white", linewidth=0.3, zorder=3,
            )  # fmt: skip
            top.text(
                1.01, 0.5 + sign * 0.25, f"{arm}\n{words.count(int((treated == (arm == 'treated')).sum()))}",
                transform=top.transAxes, fontsize=6.8, color="#333333", va="center",
            )  # fmt: skip
        look.zero_line(top)
        reach = 108 * float(arms["share"].max())
        top.set_ylim(-reach, reach)
        top.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        top.yaxis.set_major_formatter(lambda v, _: f"{abs(v):.0f} %")
        top.set_ylabel("Share of the arm")
        top.tick_params(axis="x", labelbottom=False)
        by_state = frame[frame["panel"] == "states"]
        for i, state in enumerate(states.index):
            one = by_state[(by_state["group"] == state) & (by_state["counties"] > 0)]
            under.scatter(
                (one["low"] + one["high"]) / 2, np.full(len(one), i), s=5 + 4.5 * one["counties"],
                color=look.ROLES["treated"], alpha=0.75, linewidths=0, zorder=3,
            )  # fmt: skip
            under.text(1.01, i, words.count(states[state]), transform=under.get_yaxis_transform(), fontsize=6,
                       va="center", color="#333333")  # fmt: skip
        under.set_yticks(range(len(states)), list(states.index), fontsize=6.2)
        under.set_ylim(len(states) - 0.4, -0.6)
        under.tick_params(axis="y", length=0)
        under.set_ylabel("Treated counties, by state")
        under.set_xlabel("Linear predictor of the propensity (log odds)")
        low, high = frame["low"].min(), frame["high"].max()
        pad = 0.02 * (high - low)
        top.set_xlim(low - pad, high + pad)
        at = [p for p in PROPENSITIES if low - pad <= np.log(p / (1 - p)) <= high + pad]
        shown = top.secondary_xaxis("top")
        shown.set_xticks([np.log(p / (1 - p)) for p in at], [f"{p:g}" for p in at])
        shown.set_xlabel("Propensity", labelpad=3)
        shown.tick_params(length=2)
        fig.legend(
            handles=_support_key(trimming), loc="upper left", bbox_to_anchor=(x - 0.01, 1.0), ncols=4,
            fontsize=6.8, columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip
        look.footnote(fig, note)
    return fig


def _mark_support(
    axes: Axes, low: float, high: float, frame: pd.DataFrame, trimming: Trimming | None
) -> None:
    if low <= high:
        axes.axvspan(low, high, color="#EFEFEF", zorder=0)
    if trimming is None or trimming.alpha == 0:
        return
    ends = frame["low"].min(), frame["high"].max()
    pad = ends[1] - ends[0]
    for bound, outer in ((trimming.low, ends[0] - pad), (trimming.high, ends[1] + pad)):
        if not 0 < bound < 1:
            continue
        at = float(np.log(bound / (1 - bound)))
        axes.axvspan(min(at, outer), max(at, outer), facecolor="none", edgecolor="#C2C2C2", hatch="///",
                     linewidth=0, zorder=1)  # fmt: skip
        axes.axvline(at, color=look.ROLES["mark"], linewidth=0.8, linestyle=(0, (4, 2)), zorder=4)


def _support_key(trimming: Trimming | None) -> list[Any]:
    key: list[Any] = [Patch(facecolor=look.ROLES[arm], label=arm) for arm in ARMS]
    key.append(Patch(facecolor="#EFEFEF", edgecolor="#BDBDBD", linewidth=0.4, label="common support"))
    if trimming is not None and trimming.alpha > 0:
        key.append(Patch(facecolor="none", edgecolor="#C2C2C2", hatch="///", linewidth=0, label="trimmed"))
    return key


def _support_note(
    scores: pd.DataFrame,
    treated: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    trimming: Trimming | None,
    lone: pd.DataFrame,
) -> str:
    outside = int((~inside & ~treated).sum())
    lines = [
        f"Outside common support: {words.count(len(lone))} treated{_of_states(lone)} and {words.count(outside)} "
        "comparison counties."
    ]
    if trimming is not None and trimming.alpha > 0:
        gone = scores.loc[treated & ~trimming.kept]
        left = int((~trimming.kept & ~treated).sum())
        lines.append(
            f"Trimmed: {words.count(len(gone))} treated{_of_states(gone)} and {words.count(left)} comparison "
            f"counties; what is left estimates the {trimming.estimand.replace('att', 'ATT', 1)}."
        )
    lines.append("Circles: treated counties in a bin, their area in proportion to the number.")
    return "\n".join(lines)


def _of_states(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    counts = rows.groupby("state").size().sort_values(ascending=False, kind="stable")
    return f" ({', '.join(f'{state} {n}' for state, n in counts.items())})"


# --------------------------------------------------------------------------------------------------------
# Map
# --------------------------------------------------------------------------------------------------------


def match_lines(sets: MatchedSets, areas: pd.DataFrame, shapes: Any) -> pd.DataFrame:
    """Return one line a pair, from the treated county to its comparison county.

    Args:
        sets: from ``match(design)``; it holds pairs.
        areas: one row a county: county_fips, state, urban_class; such as ``design.table``.
        shapes: county shapes, raw or from ``maps.prepare_shapes``.

    Returns:
        treated, comparison (county codes), share, distance (root of the squared distance matched on),
        treated_state, comparison_state, urban_class (of the treated county), x0, y0, x1, y1 (metres of the map).
        It names counties: for drawing, not for writing; `match_counts` sums it up.

    Raises:
        TableError: counties of the match have no shape.
        StudyError: the method makes no pairs.
    """
    _need(areas, ("county_fips", "state", "urban_class"))
    if sets.pairs.empty:
        raise StudyError(
            "a sample without pairs (weights or strata)", "a method that matches county to county"
        )
    if "area_fips" not in shapes.columns:
        shapes = maps.prepare_shapes(shapes)
    # An area of several counties stands at the mean of their middles, weighted by size.
    size = shapes.geometry.area
    spots = pd.DataFrame(
        {
            "area_fips": shapes["area_fips"],
            "size": size,
            "x": shapes.geometry.centroid.x * size,
            "y": shapes.geometry.centroid.y * size,
        }
    )
    sums = spots.groupby("area_fips")[["size", "x", "y"]].sum()
    x, y = sums["x"] / sums["size"], sums["y"] / sums["size"]
    pairs = sets.pairs
    absent = sorted((set(pairs["treated"]) | set(pairs["comparison"])) - set(sums.index))
    if absent:
        raise TableError(
            f"{len(absent)} matched counties without a shape ({', '.join(absent[:5])})",
            "county codes of one frame",
            "the shapes handed in",
        )
    known = areas.drop_duplicates("county_fips").set_index("county_fips")
    return pd.DataFrame(
        {
            "treated": pairs["treated"],
            "comparison": pairs["comparison"],
            "share": pairs["share"],
            "distance": np.sqrt(pairs["distance"]),
            "treated_state": known["state"].reindex(pairs["treated"]).to_numpy(),
            "comparison_state": known["state"].reindex(pairs["comparison"]).to_numpy(),
            "urban_class": known["urban_class"].reindex(pairs["treated"]).to_numpy(),
            "x0": x.reindex(pairs["treated"]).to_numpy(),
            "y0": y.reindex(pairs["treated"]).to_numpy(),
            "x1": x.reindex(pairs["comparison"]).to_numpy(),
            "y1": y.reindex(pairs["comparison"]).to_numpy(),
        }
    )


def match_counts(lines: pd.DataFrame) -> pd.DataFrame:
    """Return pairs by the states of their two counties, the numbers of the map without any county.

    Args:
        lines: from `match_lines`.

    Returns:
        treated_state, comparison_state, pairs, share (sum of shares: treated counties' worth of comparison),
        median_distance; most pairs first.
    """
    _need(lines, ("treated_state", "comparison_state", "share", "distance"))
    return (
        lines.groupby(["treated_state", "comparison_state"], sort=True)
        .agg(pairs=("share", "size"), share=("share", "sum"), median_distance=("distance", "median"))
        .reset_index()
        .sort_values(["pairs", "treated_state", "comparison_state"], ascending=[False, True, True])
        .reset_index(drop=True)
    )


def match_map(
    sets: MatchedSets,
    areas: pd.DataFrame,
    shapes: Any,
    *,
    colour_by: Literal["urban_class", "distance"] = "urban_class",
    note: str = "",
) -> Figure:
    """Draw who is matched to whom: each treated county joined to its comparison counties.

    Args:
        sets: from ``match(design)``; it holds pairs.
        areas: one row a county: county_fips, state, urban_class; such as ``design.table``.
        shapes: county shapes, raw or from ``maps.prepare_shapes``.
        colour_by: what the colour of a line says: urban-rural class of the treated county, or the distance
            of the match.
        note: printed below, after the counts.

    Raises:
        TableError: counties of the match have no shape.
        StudyError: another ``colour_by``, or a method that makes no pairs.
    """
    if colour_by not in ("urban_class", "distance"):
        raise StudyError(f'colour_by = "{colour_by}"', "urban_class or distance")
    if "area_fips" not in shapes.columns:
        shapes = maps.prepare_shapes(shapes)
    lines = match_lines(sets, areas, shapes)
    used = set(lines["comparison"])
    role = pd.Series("unused", index=sets.counties)
    role[sets.treated] = "unmatched"
    role[[c for c in role.index if c in used]] = "comparison"
    role[lines["treated"].unique()] = "treated"
    drawn = shapes.assign(role=shapes["area_fips"].map(role))
    counts = role.value_counts()
    own = int((lines["treated_state"] == lines["comparison_state"]).sum())
    said = (
        f"{words.count(len(lines))} pairs: {words.count(counts.get('treated', 0))} treated counties and "
        f"{words.count(counts.get('comparison', 0))} distinct comparison counties; "
        f"{words.count(counts.get('unmatched', 0))} treated counties in no pair; {words.count(own)} pairs "
        "within one state. Alaska and Hawaii are inset, not to scale."
    )
    note = f"{said}\n{note}".strip()
    left, bottom, right, top = shapes.total_bounds
    ratio = (top - bottom) / (right - left)
    below, key = look.note_height(note), 0.5
    height = look.WIDTH * ratio + key + below
    with look.style():
        fig = look.figure(height)
        axes = fig.add_axes((0, (below + key) / height, 1, look.WIDTH * ratio / height))
        axes.set_aspect("equal")
        for name, ink in ROLE_FILL.items():
            part = drawn[drawn["role"] == name]
            if len(part):
                part.plot(ax=axes, color=ink, edgecolor="none", aspect=None)
        maps.state_borders(shapes).plot(ax=axes, color="#8A8A8A", linewidth=0.3, aspect=None)
        segments = lines[["x0", "y0", "x1", "y1"]].to_numpy().reshape(-1, 2, 2)
        thin = float(np.clip(8 / np.sqrt(max(len(lines), 1)), 0.3, 0.9))
        drawing = LineCollection(list(segments), linewidths=thin, alpha=0.85, zorder=5)
        classes = [c for c in URBAN_CLASSES if c in set(lines["urban_class"])]
        if colour_by == "urban_class":
            inks = dict(zip(URBAN_CLASSES, CLASS_INKS, strict=True))
            drawing.set_color([inks[c] for c in lines["urban_class"]])
        else:
            scale = Normalize(0, float(lines["distance"].quantile(0.95)) or 1.0)
            drawing.set_color(DISTANCE_INKS(scale(lines["distance"].to_numpy())))
        axes.add_collection(drawing)
        for ends, ink in (("0", look.ROLES["treated"]), ("1", look.ROLES["comparison"])):
            axes.scatter(
                lines[f"x{ends}"],
                lines[f"y{ends}"],
                s=6,
                color=ink,
                edgecolor="white",
                linewidth=0.3,
                zorder=6,
            )
        pad = 0.008 * (right - left)
        axes.set_xlim(left - pad, right + pad)
        axes.set_ylim(bottom - pad, top + pad)
        axes.set_axis_off()
        handles = [
            Patch(facecolor=ink, edgecolor="#8A8A8A", linewidth=0.3, label=ROLE_WORDS[name])
            for name, ink in ROLE_FILL.items()
            if counts.get(name, 0)
        ]
        handles.append(
            Patch(facecolor=maps.NO_AREA, edgecolor="#8A8A8A", linewidth=0.3, label="not in the sample")
        )
        fig.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0.0, (below + key) / height), fontsize=6.8,
            ncols=4, columnspacing=1.4, handlelength=1.2, borderaxespad=0.2,
        )  # fmt: skip
        if colour_by == "urban_class":
            fig.legend(
                handles=[Line2D([], [], color=inks[c], linewidth=1.8, label=c.replace("_", " ")) for c in classes],
                loc="upper left", bbox_to_anchor=(0.0, (below + key - 0.2) / height), fontsize=6.8, ncols=6,
                columnspacing=1.2, handlelength=1.2, borderaxespad=0.2,
            )  # fmt: skip
        else:
            bar = fig.add_axes((0.3, (below + 0.2) / height, 0.3, 0.07 / height))
            fig.colorbar(
                ScalarMappable(scale, DISTANCE_INKS), cax=bar, orientation="horizontal", extend="max"
            )
            bar.tick_params(labelsize=6, length=2)
            fig.text(0.008, (below + 0.235) / height, "Distance of the match (darker: farther)", fontsize=6.8,
                     va="center")  # fmt: skip
        look.footnote(fig, note)
    return fig


ROLE_FILL: Mapping[str, str] = {
    "unused": "#ECECEC",
    "comparison": maps.FILL["comparison"],
    "treated": "#8FC1E3",
    "unmatched": "#F2B79B",
}
ROLE_WORDS: Mapping[str, str] = {
    "unused": "in the sample, not used",
    "comparison": "matched comparison",
    "treated": "treated",
    "unmatched": "treated, in no pair",
}
# From the largest cities to the open country, dark to light, as far as a thin line can be read on white.
CLASS_INKS: Sequence[str] = [
    to_hex(colormaps["viridis"](v)) for v in np.linspace(0.0, 0.86, len(URBAN_CLASSES))
]
DISTANCE_INKS = ListedColormap(colormaps["cividis_r"](np.linspace(0.25, 1.0, 256)))

# --------------------------------------------------------------------------------------------------------
# Several methods
# --------------------------------------------------------------------------------------------------------


def love_grid_frame(frames: Mapping[str, pd.DataFrame], *, threshold: float = SMD_LIMITS[1]) -> pd.DataFrame:
    """Return the standardized mean differences of several methods in one frame.

    Args:
        frames: method, in words, to its frame under the contract ``balance``.
        threshold: size above which a difference counts as imbalance.

    Returns:
        method, covariate, before, after (standardized mean differences), within (|after| at most the
        threshold), n_treated, n_comparison (after); methods in the order given, covariates in that of their
        largest difference before, largest first.

    Raises:
        TableError: a frame lacks a column, or a sample, or holds other covariates than the first.
        StudyError: no frame.
    """
    if not frames:
        raise StudyError("no method to draw", "one frame a method")
    parts = []
    for method, frame in frames.items():
        require(frame, BALANCE)
        absent = {"before", "after"} - set(frame["sample"])
        if absent:
            raise TableError(f"{method} lacks sample {', '.join(sorted(absent))}", "samples before and after")
        by = {s: frame[frame["sample"] == s].set_index("covariate") for s in ("before", "after")}
        parts.append(
            pd.DataFrame(
                {
                    "method": method,
                    "before": by["before"]["standardized_mean_difference"],
                    "after": by["after"]["standardized_mean_difference"],
                    "n_treated": by["after"]["n_treated"],
                    "n_comparison": by["after"]["n_comparison"],
                }
            )
            .rename_axis("covariate")
            .reset_index()
        )
    first = set(parts[0]["covariate"])
    for method, part in zip(frames, parts, strict=True):
        if set(part["covariate"]) != first:
            raise TableError(
                f"{method} has covariates {', '.join(sorted(part['covariate']))}",
                f"those of the other methods: {', '.join(sorted(first))}",
            )
    joined = pd.concat(parts, ignore_index=True)
    joined["within"] = joined["after"].abs() <= threshold
    largest = joined.assign(size=joined["before"].abs()).groupby("covariate")["size"].max()
    rank = {c: i for i, c in enumerate(largest.sort_values(ascending=False, kind="stable").index)}
    place = {m: i for i, m in enumerate(frames)}
    joined = joined.assign(place=joined["method"].map(place), rank=joined["covariate"].map(rank))
    columns = ["method", "covariate", "before", "after", "within", "n_treated", "n_comparison"]
    return joined.sort_values(["place", "rank"])[columns].reset_index(drop=True)


def love_grid(
    frames: Mapping[str, pd.DataFrame],
    labels: Mapping[str, str] | None = None,
    *,
    threshold: float = SMD_LIMITS[1],
    note: str = "",
) -> Figure:
    """Draw the balance that several methods reach, side by side on one scale, with the threshold marked.

    Args:
        frames: method, in words, to its frame under the contract ``balance``.
        labels: covariate to words.
        threshold: size above which a difference counts as imbalance; 0.1 by convention.
        note: printed below.

    Returns:
        The figure: a panel a method, covariates in one order; `love_grid_frame` gives its numbers. Differences
        beyond the scale, which is that of the matched samples, are drawn as arrows at its end.

    Raises:
        TableError, StudyError: see `love_grid_frame`.
    """
    rows = love_grid_frame(frames, threshold=threshold)
    methods, names = list(frames), list(dict.fromkeys(rows["covariate"]))
    columns = min(LOVE_A_ROW, len(methods))
    lines = -(-len(methods) // columns)
    titles = {m: _wrap(m[:1].upper() + m[1:], 15 if columns > 3 else 30) for m in methods}
    title = max(t.count("\n") + 1 for t in titles.values())
    reach = float(np.clip(1.25 * rows["after"].abs().max(), 3 * threshold, 8 * threshold))
    said = (
        f"Grey band: standardized mean differences of at most {threshold:g} in size. Under a method's name: treated and "
        "distinct comparison areas, and covariates within the band. Arrows: beyond the scale."
    )
    note = f"{said}\n{note}".strip()
    left, gap, row, head, foot = 1.74, 0.11, 0.155, 0.16 + 0.125 * (title + 1), 0.24
    below, top = look.note_height(note) + 0.16, 0.22
    panel = row * len(names) + 0.06
    height = top + lines * (head + panel + foot) + below
    width = (look.WIDTH - left - 0.05 - gap * (columns - 1)) / columns
    with look.style():
        fig = look.figure(height)
        for i, method in enumerate(methods):
            x = left + (i % columns) * (width + gap)
            y = height - top - (i // columns) * (head + panel + foot) - head - panel
            axes = fig.add_axes((x / look.WIDTH, y / height, width / look.WIDTH, panel / height))
            here = rows[rows["method"] == method]
            _love_panel(axes, here, threshold, reach)
            axes.set_yticks(
                range(len(names)),
                [_clip(_label(c, labels), 32) for c in names] if i % columns == 0 else [""] * len(names),
                fontsize=6.6,
            )
            inside = f"{int(here['within'].sum())} of {len(names)} within"
            size = f"{words.count(here['n_treated'].iloc[0])} and {words.count(here['n_comparison'].iloc[0])}"
            axes.set_title(titles[method], fontsize=6.2, pad=20, linespacing=1.1)
            axes.text(0, 1.0, f"{size}\n{inside}", transform=axes.transAxes, fontsize=5.9, color="#333333",
                      va="bottom", linespacing=1.2)  # fmt: skip
        fig.text(
            (left + (look.WIDTH - left) / 2) / look.WIDTH, (below - 0.12) / height,
            "Standardized mean difference, treated minus comparison (standard deviations)", fontsize=7,
            ha="center", va="bottom",
        )  # fmt: skip
        handles = [
            Line2D([], [], marker="o", linestyle="none", markersize=3.6, markerfacecolor="white",
                   markeredgecolor="#6E6E6E", markeredgewidth=0.8, label="before"),
            Line2D([], [], marker="D", linestyle="none", markersize=3.6, color=look.ROLES["after"],
                   label="after, within"),
            Line2D([], [], marker="X", linestyle="none", markersize=4.4, color=look.OKABE_ITO["vermilion"],
                   markeredgewidth=0, label="after, beyond"),
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(left / look.WIDTH - 0.01, 1.0), ncols=3,
                   handletextpad=0.3, columnspacing=1.2, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _love_panel(axes: Axes, here: pd.DataFrame, threshold: float, reach: float) -> None:
    y = np.arange(len(here))
    axes.axvspan(-threshold, threshold, color="#E9E9E9", zorder=0)
    look.zero_line(axes, vertical=True)
    before, after = here["before"].to_numpy(dtype=float), here["after"].to_numpy(dtype=float)
    within = here["within"].to_numpy(dtype=bool)
    end = 0.94 * reach
    axes.hlines(
        y, np.clip(before, -end, end), np.clip(after, -end, end), color="#C4C4C4", linewidth=0.7, zorder=2
    )
    shown = np.abs(before) <= end
    axes.scatter(
        before[shown], y[shown], s=11, facecolor="white", edgecolor="#6E6E6E", linewidth=0.8, zorder=3
    )
    kinds = (
        (within, "D", look.ROLES["after"], 11),
        (~within & (np.abs(after) <= end), "X", look.OKABE_ITO["vermilion"], 17),
    )
    for values, ink in ((before, "#6E6E6E"), (after, look.OKABE_ITO["vermilion"])):
        for sign, marker in ((1, ">"), (-1, "<")):
            out = sign * values > end
            axes.scatter(np.full(out.sum(), sign * end), y[out], s=11, marker=marker, color=ink, linewidths=0,
                         zorder=3)  # fmt: skip
    for which, marker, ink, size in kinds:
        axes.scatter(after[which], y[which], s=size, marker=marker, color=ink, linewidths=0, zorder=4)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(len(here) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.hlines(y, -reach, reach, color="#F2F2F2", linewidth=0.5, zorder=0.5)
    axes.tick_params(axis="y", length=0)
    # Two ticks and the zero: names of ticks of neighbouring panels would touch.
    mark = next(m for m in (1.0, 0.5, 0.25, 0.2, 0.1, 0.05, 0.01, 0.0) if m < 0.85 * reach)
    axes.set_xticks([-mark, 0.0, mark])
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}".replace("-", "−"))
    axes.tick_params(axis="x", labelsize=6)


# --------------------------------------------------------------------------------------------------------


def _need(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    absent = [c for c in columns if c not in frame]
    if absent:
        raise TableError(f"a frame without {', '.join(absent)}", f"columns {', '.join(columns)}")


def _label(name: str, labels: Mapping[str, str] | None) -> str:
    text = (labels or {}).get(name, name.replace("_", " "))
    return text[:1].upper() + text[1:]


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip(" ,") + "…"


def _wrap(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width, break_long_words=False))

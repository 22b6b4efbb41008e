"""One question under every method of matching: estimates of several outcomes side by side, sample and balance beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.base.errors import StudyError
from analysis.evidence import matches as of
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, NOT_INFORMATIVE
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import BALANCE, MATCH_BALANCE, require
from analysis.report.match_tables import methods_frame

# Methods whose balance is drawn: those that make a sample of their own, one a kind.
DRAWN = (
    "",
    "three-neighbours",
    "rank-distance",
    "propensity",
    "calipers",
    "without-replacement",
    "same-division",
    "optimal-pairs",
    "full",
    "genetic",
    "cardinality",
    "coarsened",
    "subclasses",
    "inverse-probability",
    "entropy",
)
SHAPES: Mapping[str, str] = {DIFFERENT: "D", EQUIVALENT: "s"}
REACH = 0.97  # share of interval ends that the scale of figure-8 holds; arrows mark those that go on


def methods_rows(rows: pd.DataFrame, reached: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `methods_plot`: one row a method and outcome, in the order of the spec.

    Args:
        rows: frame under the contract ``matches``.
        reached: frame under the contract ``match_balance``.
    """
    columns = [
        "group", "variant", "label", "measure", "term", "percent", "percent_low", "percent_high", "n_treated",
        "n_comparison", "n_states", "effective_comparison", "largest", "largest_before", "independent", "vcov", "by",
        "verdict", "failure", "spec",
    ]  # fmt: skip
    return methods_frame(rows, reached)[columns]


def methods_plot(rows: pd.DataFrame, labels: Mapping[str, str] | None = None, *, note: str = "") -> Figure:
    """Draw one question under every method: estimates with intervals, outcomes side by side.

    Filled marks and solid lines: intervals from state-level inference. Hollow marks and dashed lines: intervals that
    are valid only if counties were assigned independently. Beside each method stand its treated counties and the
    largest standardized mean difference it leaves.

    Args:
        rows: from `methods_rows`.
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: no estimate to draw.
    """
    if rows["percent"].notna().sum() == 0:
        raise StudyError("no estimate of any method", "the spec of methods run")
    measures = list(dict.fromkeys(rows["measure"]))
    places, titles, end = _places(rows)
    line, head, axis = 0.153, 0.66, 0.42
    below = look.note_height(note)
    panel = line * end
    height = head + panel + axis + below
    left, gap, right = 2.78, 0.1, 0.06
    width = (look.WIDTH - left - right - gap * (len(measures) - 1)) / len(measures)
    ends = rows.loc[~rows["independent"].astype(bool), ["percent_low", "percent_high"]].to_numpy(float)
    reach = float(np.nanquantile(np.abs(ends), REACH)) if np.isfinite(ends).any() else 50.0
    with look.style():
        fig = look.figure(height)
        bottom = (below + axis) / height
        for i, measure in enumerate(measures):
            x = (left + i * (width + gap)) / look.WIDTH
            axes = fig.add_axes((x, bottom, width / look.WIDTH, panel / height))
            _panel(axes, rows[rows["measure"] == measure], places, reach)
            axes.set_ylim(end - 0.5, -0.5)
            title = (labels or {}).get(measure, measure.replace("_", " "))
            axes.set_title(words.capital(title.replace(" (violent and property)", "")).replace(" excluding", ",\nexcluding"),
                           fontsize=7, pad=4, linespacing=1.1)  # fmt: skip
        side = fig.add_axes((0.0, bottom, left / look.WIDTH, panel / height))
        side.set_xlim(0, left)
        side.set_ylim(end - 0.5, -0.5)
        side.axis("off")
        _side(side, rows, places, titles, left)
        fig.text(
            (left + (look.WIDTH - left) / 2) / look.WIDTH, (below + 0.1) / height,
            "Difference in reported crime, % of the mean of comparison counties", ha="center", va="bottom", fontsize=7.2,
        )  # fmt: skip
        fig.legend(
            handles=_key({SHAPES.get(str(v), "^") for v in rows["verdict"]}), loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=6.7, columnspacing=1.6,
            handlelength=2.4, borderaxespad=0.2,
        )  # fmt: skip
        look.footnote(fig, note)
    return fig


def _places(rows: pd.DataFrame) -> tuple[dict[str, float], list[tuple[float, str]], float]:
    """Return each method's line, each group's title line, and how many lines there are."""
    places: dict[str, float] = {}
    titles: list[tuple[float, str]] = []
    at = 0.0
    for group, part in rows.drop_duplicates("variant").groupby("group", sort=False):
        at += 0.25 if titles else 0.0
        titles.append((at, str(group)))
        at += 1
        for variant in part["variant"]:
            places[str(variant)] = at
            at += 1
    return places, titles, at


def _side(
    axes: Axes,
    rows: pd.DataFrame,
    places: Mapping[str, float],
    titles: Sequence[tuple[float, str]],
    width: float,
) -> None:
    for at, title in titles:
        axes.text(0.04, at, title, fontsize=6.8, fontweight="bold", va="center")
    columns = {"treated": width - 0.55, "difference": width - 0.1}
    for name, x in columns.items():
        axes.text(x, -0.62, {"treated": "treated", "difference": "largest\ndifference"}[name], fontsize=6, ha="right",
                  va="bottom", color="#333333", linespacing=1.0)  # fmt: skip
    for variant, part in rows.groupby("variant", sort=False):
        at = places[str(variant)]
        axes.text(0.12, at, str(part["label"].iloc[0]), fontsize=6.5, va="center")
        treated = words.span(part["n_treated"]).replace(" to ", "-")
        axes.text(columns["treated"], at, treated, fontsize=6.2, ha="right", va="center", color="#333333")
        left = part["largest"].max()
        axes.text(
            columns["difference"], at, words.number(left, 2), fontsize=6.2, ha="right", va="center",
            color=look.OKABE_ITO["vermilion"] if left > 0.1 + 1e-9 else "#333333",
        )  # fmt: skip


def _panel(axes: Axes, rows: pd.DataFrame, places: Mapping[str, float], reach: float) -> None:
    look.zero_line(axes, vertical=True)
    axes.axvspan(-5, 5, color="#EDEDED", zorder=0)
    edge = reach * 1.06
    for r in rows.to_dict("records"):
        at = places[str(r["variant"])]
        if words.is_missing(r["percent"]):
            axes.text(0, at, "not estimated", fontsize=5.8, ha="center", va="center", color="#6E6E6E",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
            continue
        independent = bool(r["independent"])
        ink = look.OKABE_ITO["vermilion"] if independent else look.ROLES["matched"]
        alpha = 0.4 if str(r["verdict"]) == NOT_INFORMATIVE else 1.0
        low, high = float(r["percent_low"]), float(r["percent_high"])
        if np.isfinite(low) and np.isfinite(high):
            axes.hlines(at, max(low, -edge), min(high, edge), color=ink, linewidth=1.1, alpha=alpha, zorder=3,
                        linestyle=(0, (2, 1.2)) if independent else "solid")  # fmt: skip
            for beyond, marker, x in ((low < -edge, "<", -edge), (high > edge, ">", edge)):
                if beyond:
                    axes.plot([x], [at], marker=marker, color=ink, markersize=3, alpha=alpha, clip_on=False)
        shape = "o" if independent else SHAPES.get(str(r["verdict"]), "^")
        axes.plot(
            [np.clip(r["percent"], -edge, edge)], [at], marker=shape, markersize=4.0, color=ink, alpha=alpha, zorder=4,
            markerfacecolor="white" if independent else ink, markeredgewidth=0.9 if independent else 0,
        )  # fmt: skip
    axes.set_xlim(-edge, edge)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    for at in places.values():
        axes.axhline(at, color="#F3F3F3", linewidth=0.5, zorder=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}".replace("-", words.MINUS))
    axes.tick_params(axis="x", labelsize=6.3)
    ticks = [t for t in axes.get_xticks() if abs(t) < 0.9 * edge]
    axes.set_xticks(ticks)


def _key(shapes: set[str]) -> list[Any]:
    state, alone = look.ROLES["matched"], look.OKABE_ITO["vermilion"]
    said = {"^": "inconclusive", "D": DIFFERENT, "s": EQUIVALENT}
    there = [shape for shape in said if shape in shapes]
    key = [
        Line2D([], [], color=state, marker=shape, markersize=4, linewidth=1.1, label=f"state-level inference: {said[shape]}")
        for shape in there
    ]  # fmt: skip
    key.append(
        Line2D(
            [], [], color=alone, marker="o", markersize=4, linewidth=1.1, linestyle=(0, (2, 1.2)),
            markerfacecolor="white", label="valid if counties were assigned independently: no verdict",
        )
    )  # fmt: skip
    return key


def balance_frames(reached: pd.DataFrame, measure: str) -> dict[str, pd.DataFrame]:
    """Return the balance of the methods drawn, as `analysis.report.match_figures.love_grid` takes it.

    Args:
        reached: frame under the contract ``match_balance``.
        measure: outcome whose sample is shown.

    Returns:
        Method, in words, to its frame under the contract ``balance``; methods without a sample are left out.

    Raises:
        StudyError: no method has a balance.
    """
    f = require(reached, MATCH_BALANCE)
    f = f[(f["family"] == of.METHODS) & (f["measure"] == measure)]
    out = {}
    for variant in DRAWN:
        part = f[f["variant"] == variant]
        if {"before", "after"} <= set(part["sample"]):
            out[str(part["method"].iloc[0])] = require(part, BALANCE)
    if not out:
        raise StudyError(f"no balance of a method for '{measure}'", "the spec of methods matched")
    return out

"""Figure of hidden bias: what an estimate becomes under an omitted variable of every strength."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from analysis.base.errors import StudyError
from analysis.estimation.panel_inference.omitted import bias_ratio
from analysis.evidence.checks import omitted as of
from analysis.report import style as look
from analysis.report import words
from analysis.report.bias_tables import HELD_KIND, variant_words

Labels = Mapping[str, str]

# Part of a scale beyond the strongest mark.
ROOM = 1.15
STEPS = 240
# Characters of the key under a panel.
KEY_WIDTH = 62
TICKS = (0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
SHORT: Mapping[str, str] = {
    of.ALL: "all covariates together",
    of.POLICIES: "both policies",
    of.CLASSES: "urban class",
    of.DIVISION: "census divisions",
    "secure_communities": "Secure Communities",
    "agreement_287g": "287(g)",
}


def contour_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw the estimate after the bias of an omitted variable, over what it explains of treatment and of the outcome.

    Args:
        rows: from `analysis.report.bias_tables.contour_rows`.
        labels: measure or covariate to words.
        note: printed below.

    Returns:
        The figure: a panel a regression; lines of equal estimate, in per cent of the mean before adoption; the line of zero
        heavy, the line at which the interval by state holds zero dashed; a mark for a variable once as strong as each
        covariate or group, and a hollow one for what the census divisions explain. Both scales are of roots.

    Raises:
        StudyError: nothing to draw.
    """
    variants = list(dict.fromkeys(rows["variant"]))
    if not variants:
        raise StudyError("no regression to draw", "rows of `contour_rows`", "the frame of omitted variables")
    below = look.note_height(note)
    axis, panel, head = 0.86, 2.35, 0.52
    height = head + panel + axis + below
    left, gap, right = 0.52, 0.6, 0.1
    width = (look.WIDTH - left - right - gap * (len(variants) - 1)) / len(variants)
    with look.style():
        fig = look.figure(height)
        for i, variant in enumerate(variants):
            start, bottom = (left + i * (width + gap)) / look.WIDTH, (below + axis) / height
            axes = fig.add_axes((start, bottom, width / look.WIDTH, panel / height))
            key = _panel(axes, rows[rows["variant"] == variant], labels)
            fig.text(start, (below + axis - 0.42) / height, textwrap.fill(key, KEY_WIDTH), fontsize=6, va="top",
                     linespacing=1.3)  # fmt: skip
        handles = [
            Line2D([], [], color=look.ROLES["mark"], linewidth=0.7, label="estimate, %"),
            Line2D([], [], color=look.ROLES["within"], linewidth=1.6, label="estimate zero"),
            Line2D([], [], color=look.ROLES["within"], linewidth=1.0, linestyle=(0, (4, 2)),
                   label="interval by state holds zero beyond"),
            Line2D([], [], color=look.ROLES["between"], marker="o", linestyle="", label="once as strong as"),
            Line2D([], [], color=look.ROLES["between"], marker="D", markerfacecolor="white", linestyle="",
                   label="not held constant"),
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=5, fontsize=6.4,
                   columnspacing=1.4, handlelength=1.8, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _panel(axes: Axes, rows: pd.DataFrame, labels: Labels | None) -> str:
    """Draw one regression; return the key of its numbered marks."""
    one = rows[rows["kind"] == of.REGRESSION].iloc[0]
    estimate, unit = float(one["percent"]), float(one["bias_unit"])
    marks = rows[rows["kind"].isin([of.BENCHMARK, HELD_KIND]) & rows["r2dz"].notna()]
    shares = rows[rows["kind"].isin([of.ROBUSTNESS, "interval"])].set_index("kind")["r2dz"]
    reach = [
        min(ROOM * max(float(marks[n].max()), float(shares.max()), 0.05), 0.99) for n in ("r2dz", "r2yz")
    ]
    along, of_y = (end * np.linspace(0, 1, STEPS) ** 2 for end in reach)
    ratio = bias_ratio(along[None, :], of_y[:, None])
    moved = estimate - np.sign(estimate) * unit * ratio
    drawn = axes.contour(along, of_y, moved, levels=_levels(moved), colors=look.ROLES["mark"], linewidths=0.6,
                         linestyles="solid")  # fmt: skip
    for kind, width, line in ((of.ROBUSTNESS, 1.6, "solid"), ("interval", 1.0, "dashed")):
        share = float(shares.get(kind, np.nan))
        if share > 0:
            axes.contour(along, of_y, ratio, levels=[share / np.sqrt(1 - share)], colors=look.ROLES["within"],
                         linewidths=width, linestyles=line)  # fmt: skip
    axes.set_xscale("function", functions=(_root, np.square))
    axes.set_yscale("function", functions=(_root, np.square))
    axes.set(xlim=(0, reach[0]), ylim=(0, reach[1]))
    for axis, end in ((axes.xaxis, reach[0]), (axes.yaxis, reach[1])):
        axis.set_ticks([0, *(t for t in TICKS if t <= end)])
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
    places = [_place(abs(estimate - level) / unit, reach) for level in drawn.levels]
    axes.clabel(
        drawn, fmt=lambda v: words.number(v, 0, sign=True), fontsize=6, inline_spacing=3, manual=places
    )
    axes.grid(visible=False)
    axes.tick_params(labelsize=6.2)
    axes.set_xlabel("Share of what is left of treatment that it explains", fontsize=6.8)
    axes.set_ylabel("Share of what is left of the outcome", fontsize=6.8)
    without = words.number(estimate, 1, sign=True)
    axes.set_title(f"{variant_words(str(one['variant']))}: {without} %", fontsize=7.6, pad=4)
    marks = marks.sort_values(["r2dz", "r2yz"])
    sides = _sides(np.sqrt(marks[["r2dz", "r2yz"]].to_numpy(dtype=float) / reach))
    key = []
    for i, (r, (right, up)) in enumerate(zip(marks.to_dict("records"), sides, strict=True), start=1):
        held = r["kind"] == HELD_KIND
        axes.plot([r["r2dz"]], [r["r2yz"]], "D" if held else "o", color=look.ROLES["between"], markersize=3.4,
                  markerfacecolor="white" if held else look.ROLES["between"], zorder=5)  # fmt: skip
        axes.annotate(str(i), (r["r2dz"], r["r2yz"]), xytext=(5.5 * right, 5 * up), textcoords="offset points",
                      ha="center", va="center", fontsize=6.2, zorder=6)  # fmt: skip
        name = SHORT.get(str(r["about"])) or (labels or {}).get(
            str(r["about"]), str(r["about"]).replace("_", " ")
        )
        key.append(
            f"{i} {name}" + (f" (with them {words.number(r['percent'], 1, sign=True)} %)" if held else "")
        )
    return "; ".join(key)


def _place(ratio: float, reach: list[float]) -> tuple[float, float]:
    """Return where on the line of a bias its number stands: half-way up, or near the right edge."""
    height = 0.55 * reach[1]
    along = ratio**2 / (ratio**2 + height)
    if along < 0.85 * reach[0]:
        return along, height
    along = 0.85 * reach[0]
    return along, ratio**2 * (1 - along) / along


def _sides(places: np.ndarray) -> list[tuple[int, int]]:
    """Return on which side of each mark (n, 2), in shares of the panel, its number is farthest from everything else."""
    taken: list[np.ndarray] = []
    out = []
    for i, place in enumerate(places):
        others = [*np.delete(places, i, axis=0), *taken]

        def room(
            side: tuple[int, int], place: np.ndarray = place, others: list[np.ndarray] = others
        ) -> float:
            at = place + 0.033 * np.array(side)
            return min((float(np.abs(at - other).max()) for other in others), default=1.0)

        best = max(((1, 1), (-1, 1), (1, -1), (-1, -1)), key=lambda side: min(room(side), 0.06))
        taken.append(place + 0.033 * np.array(best))
        out.append(best)
    return out


def _root(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.maximum(values, 0)))


def _levels(moved: np.ndarray) -> list[float]:
    """Return about eight round levels between the extremes, zero left to its own line."""
    low, high = float(np.quantile(moved, 0.02)), float(moved.max())
    steps = [s * 10.0**p for p in range(-2, 4) for s in (1, 2, 5)]
    step = next((s for s in steps if (high - low) / s <= 8), steps[-1])
    found = [step * k for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
    return [level for level in found if level != 0] or [high]

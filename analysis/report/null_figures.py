"""Figures of what designs could have found, and of what a finding of theirs would have been worth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.base.errors import StudyError
from analysis.report import style as look
from analysis.report import words
from analysis.report.design_tables import HEADS
from analysis.report.frames import require
from analysis.report.null_tables import CURVES, DESIGNS, MAIN, SIGNS, design_label
from analysis.report.tables import label_of

Labels = Mapping[str, str]

INKS = (look.ROLES["within"], look.ROLES["between"])
# Across states blue, within vermilion, borders orange, matched green; lines tell apart what shares a colour.
LINES: Mapping[str, tuple[str, str]] = {
    "": (look.OKABE_ITO["blue"], "-"),
    "without-california": (look.OKABE_ITO["blue"], "--"),
    "counties-alike": (look.OKABE_ITO["blue"], ":"),
    "two-way": (look.OKABE_ITO["sky"], "-"),
    "within-states": (look.OKABE_ITO["vermilion"], "-"),
    "two-way-within-states": (look.OKABE_ITO["vermilion"], "--"),
    "border": (look.OKABE_ITO["orange"], "-"),
    "matched-2015": (look.OKABE_ITO["green"], "-"),
}
POWER, SIZE = 0.8, 0.05
# The exaggeration drawn at most: above it a significant estimate says hardly more than its sign.
FARTHEST = 30.0


def power_rows(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `power_plot`: chances of rejecting no effect, of the outcomes the figure shows.

    Args:
        curves: frame under the contract ``power_curves``.
    """
    f = require(curves, CURVES)
    kept = f["question"].eq("difference") & f["measure"].isin(MAIN)
    return f.loc[kept].reset_index(drop=True)


def power_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw the chance of finding an effect against its true size, a panel a design: formula and refits.

    Args:
        rows: from `power_rows`.
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: nothing to draw.
    """
    designs = _designs(rows)
    if not designs:
        raise StudyError("no power curve", "designs that have an error", "the headline spec")
    measures = [m for m in MAIN if (rows["measure"] == m).any()]
    across = min(4, len(designs))
    down = -(-len(designs) // across)
    head, axis, panel, gap, between = 0.3, 0.42, 1.18, 0.38, 0.12
    left, right = 0.52, 0.08
    below = look.note_height(note)
    height = head + down * panel + (down - 1) * gap + 0.2 + axis + below
    width = (look.WIDTH - left - right - between * (across - 1)) / across
    with look.style():
        fig = look.figure(height)
        for at, design in enumerate(designs):
            line, column = divmod(at, across)
            bottom = below + axis + (down - 1 - line) * (panel + gap)
            axes = fig.add_axes(
                ((left + column * (width + between)) / look.WIDTH, bottom / height, width / look.WIDTH, panel / height)
            )  # fmt: skip
            _power_panel(axes, rows[rows["design"] == design], measures)
            axes.set_title(design_label(design), fontsize=7.2, pad=3)
            axes.tick_params(labelleft=column == 0, labelbottom=at + across >= len(designs))
        fig.text(0.5, (below + 0.06) / height, "True change in reported crime, % of the mean", ha="center", va="bottom",
                 fontsize=7.2)  # fmt: skip
        fig.text(0.004, (below + axis + (height - head - axis - below) / 2) / height, "Chance of rejecting no effect",
                 rotation=90, ha="left", va="center", fontsize=7.2)  # fmt: skip
        handles = [
            Line2D([], [], color=ink, label=_outcome(m, labels))
            for m, ink in zip(measures, INKS, strict=False)
        ]
        handles += [
            Line2D([], [], color=look.ROLES["mark"], label="by the formula"),
            Line2D(
                [], [], color=look.ROLES["mark"], linestyle="", marker="o", markersize=2.6, label="in refits"
            ),
        ]
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=len(handles), fontsize=6.7,
                   columnspacing=1.6, handlelength=1.8, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _designs(rows: pd.DataFrame) -> list[str]:
    """Return designs in the order of their labels, one's own after them."""
    found = list(dict.fromkeys(rows["design"]))
    return [d for d in DESIGNS if d in found] + [d for d in found if d not in DESIGNS]


def _power_panel(axes: Axes, rows: pd.DataFrame, measures: list[str]) -> None:
    for y in (SIZE, POWER):
        axes.axhline(y, color=look.ROLES["mark"], linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)
    for measure, ink in zip(measures, INKS, strict=False):
        here = rows[rows["measure"] == measure].sort_values("effect_percent")
        axes.plot(here["effect_percent"], here["analytic"], color=ink, linewidth=1.1, zorder=3)
        axes.plot(here["effect_percent"], here["simulated"], color=ink, linestyle="", marker="o", markersize=1.9,
                  markeredgewidth=0, zorder=4)  # fmt: skip
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0.05, 0.5, 0.8, 1.0], labels=["0.05", "0.5", "0.8", "1"])
    axes.xaxis.set_major_locator(MaxNLocator(4, symmetric=True, prune="both"))
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}".replace("-", words.MINUS))
    axes.margins(x=0.02)


def _outcome(measure: str, labels: Labels | None) -> str:
    return HEADS.get(measure) or label_of(measure, labels)


def sign_rows(signs: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `sign_plot`, of the outcomes the figure shows.

    Args:
        signs: frame under the contract ``sign_errors``.
    """
    f = require(signs, SIGNS)
    return f[f["power"].notna() & f["measure"].isin(MAIN)].reset_index(drop=True)


def sign_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw how far significant estimates exaggerate, and how often their sign is wrong, against the true size.

    Args:
        rows: from `sign_rows`.
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: nothing to draw.
    """
    measures = [m for m in MAIN if (rows["measure"] == m).any()]
    if not measures:
        raise StudyError("no sign errors", "designs that have an error", "the headline spec")
    designs = _designs(rows)
    head, axis, panel, gap, left, right, between = 0.56, 0.42, 1.5, 0.32, 0.56, 0.1, 0.62
    below = look.note_height(note)
    height = head + 2 * panel + gap + axis + below
    width = (look.WIDTH - left - right - between * (len(measures) - 1)) / len(measures)
    with look.style():
        fig = look.figure(height)
        for column, measure in enumerate(measures):
            for line, (name, title) in enumerate(
                (("exaggeration", "Exaggeration"), ("sign_error", "Wrong sign"))
            ):
                bottom = below + axis + (1 - line) * (panel + gap)
                x = left + column * (width + between)
                axes = fig.add_axes((x / look.WIDTH, bottom / height, width / look.WIDTH, panel / height))
                for design in designs:
                    here = rows[(rows["measure"] == measure) & (rows["design"] == design)].sort_values(
                        "effect_percent"
                    )
                    ink, stroke = LINES.get(design, (look.ROLES["mark"], "-"))
                    axes.plot(
                        here["effect_percent"],
                        here[name],
                        color=ink,
                        linestyle=stroke,
                        linewidth=1.1,
                        label=design_label(design),
                    )
                _sign_scale(axes, name)
                axes.set_title(f"{title}, {_outcome(measure, labels).lower()}", fontsize=7.2, pad=3)
                axes.tick_params(labelbottom=line == 1)
        fig.text(0.5, (below + 0.06) / height, "True change in reported crime, either way, % of the mean", ha="center",
                 va="bottom", fontsize=7.2)  # fmt: skip
        fig.legend(handles=axes.get_lines(), loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=6.5,
                   columnspacing=1.4, handlelength=2.4, borderaxespad=0.2, labelspacing=0.3)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _sign_scale(axes: Axes, name: str) -> None:
    axes.set_xlim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if name == "sign_error":
        axes.set_ylim(-0.01, 0.5)
        axes.yaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
        return
    axes.set_yscale("log")
    axes.set_ylim(0.95, FARTHEST)
    ticks = np.array([1, 2, 5, 10, 20])
    axes.set_yticks(ticks, labels=[f"{t} times" if t > 1 else "none" for t in ticks])
    axes.minorticks_off()

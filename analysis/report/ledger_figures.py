"""Figure of the synthesis: published and own estimates of reported crime on one scale, by outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.base.errors import StudyError
from analysis.evidence import synthesis as of
from analysis.evidence.ledger import figure_words
from analysis.evidence.verdict import NO_VERDICT, NOT_INFORMATIVE
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import Frame, require

FOREST_FRAME = Frame("forest", of.FOREST)

OUTCOME_WORDS: Mapping[str, str] = {
    "total": "All reported crime",
    "violent": "Violent crime",
    "property": "Property crime",
    "rape": "Rape",
    "homicide": "Homicide",
}
METHOD_WORDS: Mapping[str, str] = {
    "matching": "matching",
    "difference_in_differences": "differences in differences",
    "border_difference_in_differences": "borders",
    "before_after": "before and after",
    "synthetic_control": "synthetic control",
    "regression": "regression",
    "survey": "survey",
    "description": "description",
    "records": "records",
}
"""Family of methods of a published study, in words short enough for a figure."""

# Designs of this study that are drawn; the frame holds the others too.
DRAWN: Mapping[str, str] = {
    "": "across states",
    "without-california": "without California",
    "within-states": "within states",
    "border": "along borders",
    "matched-2015": "matched, 2015",
}
# Of violent crime the designs are drawn without rape, whose definition changed.
LEAD = {"violent": "violent_ex_rape"}
INKS: Mapping[str, str] = {
    "between": look.ROLES["between"],
    "within": look.ROLES["within"],
    "matched": look.ROLES["matched"],
    "border": look.OKABE_ITO["orange"],
}
BESIDE = look.OKABE_ITO["purple"]
# Beyond this many per cent either way a scale would flatten everything else.
WIDEST = 60.0
REACH = 0.9
FAINT = 0.4
HOLLOW = "\N{WHITE DIAMOND}"
DOUBT = "°"
# Characters that fit at the left and at the right.
LABEL, WORDS = 50, 38
ENDS = ("percent", "percent_low", "percent_high")


def forest_rows(forest: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `forest_figure`: headline figures, what stands beside them, and this study's quoted designs.

    Args:
        forest: from `analysis.evidence.synthesis.forest`.
    """
    f = require(forest, FOREST_FRAME)
    lead = np.array(
        [LEAD.get(o, m) == m for o, m in zip(f["outcome"], f["measure"], strict=True)], dtype=bool
    )
    own = f["source"].eq(of.OURS) & f["design"].isin(list(DRAWN)) & lead
    shown = f["headline"].eq(True) & (f["source"].ne(of.OURS) | own)
    return f[shown].reset_index(drop=True)


def forest_figure(forest: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw published and own estimates in per cent of the mean, a panel an outcome.

    Args:
        forest: from `analysis.evidence.synthesis.forest`.
        note: printed below.

    Returns:
        The figure: published figures as diamonds, hollow and without an interval where no error was published; one without a
        number has no place on the scale and stands in words at the right. Below each on its line this study's estimate beside
        it; then this study's own designs. Faint: not informative, or no verdict.

    Raises:
        StudyError: nothing to draw.
    """
    rows = forest_rows(forest)
    if rows.empty:
        raise StudyError("no published figure and no estimate to draw", "a ledger with headline figures")
    blocks = [
        (name, _lines(rows[rows["outcome"] == name]))
        for name in OUTCOME_WORDS
        if rows["outcome"].eq(name).any()
    ]
    line, title, head, axis = 0.142, 0.25, 0.38, 0.42
    below = look.note_height(note)
    height = head + sum(title + line * len(lines) for _, lines in blocks) + axis + below
    left, right = 2.42, 1.5
    width = (look.WIDTH - left - right) / look.WIDTH
    reach = _reach(rows)
    with look.style():
        fig = look.figure(height)
        top = height - head
        for at, (name, lines) in enumerate(blocks):
            bottom = top - title - line * len(lines)
            axes = fig.add_axes((left / look.WIDTH, bottom / height, width, line * len(lines) / height))
            _panel(axes, lines, reach)
            axes.tick_params(labelbottom=at == len(blocks) - 1)
            fig.text(0.008, (top - title + 0.05) / height, OUTCOME_WORDS[name], fontsize=8, fontweight="bold", ha="left",
                     va="bottom")  # fmt: skip
            top = bottom
        fig.text((left + width * look.WIDTH / 2) / look.WIDTH, (below + 0.05) / height,
                 "Change in reported crime, % of the mean", ha="center", va="bottom", fontsize=7.2)  # fmt: skip
        fig.legend(handles=_handles(rows), loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=6.5,
                   columnspacing=1.3, handlelength=1.6, borderaxespad=0.2, labelspacing=0.3)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _lines(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines of a panel: label, published row, own row."""
    published = rows[rows["source"] == of.PUBLISHED]
    beside = rows[rows["source"] == of.OURS_BESIDE].drop_duplicates("figure").set_index("figure")
    crowded = published["study"].value_counts()
    lines = []
    for row in published.to_dict("records"):
        who = _short(str(row["label"]))
        switched = row["policy"] == of.PROGRAMME
        label = f"{who}, {'programme on' if switched else METHOD_WORDS.get(row['family'], row['family'])}"
        if crowded[row["study"]] > 1:
            label = f"{who}: {figure_words(str(row['figure']))}"
        mine = beside.loc[row["figure"]].to_dict() if row["figure"] in beside.index else None
        lines.append({"label": label, "published": row, "ours": mine, "ink": BESIDE})
    for row in rows[rows["source"] == of.OURS].to_dict("records"):
        label = f"This study, {DRAWN[row['design']]}"
        ink = INKS.get(row["family"], look.ROLES["between"])
        lines.append({"label": label, "published": None, "ours": row, "ink": ink})
    return lines


def _short(label: str) -> str:
    """Return authors and year, three authors and more by the first.

    Example:
        >>> _short("One, Two and Three 2019"), _short("One and Two 2019")
        ('One et al. 2019', 'One and Two 2019')
    """
    authors, _, year = label.rpartition(" ")
    return f"{authors.split(',')[0]} et al. {year}" if "," in authors else label


def _panel(axes: Axes, lines: list[dict[str, Any]], reach: float) -> None:
    look.zero_line(axes, vertical=True)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlim(-reach * 1.04, reach * 1.04)
    for at, one in enumerate(lines):
        text = _cut(one["label"], LABEL)
        axes.text(
            -0.02, at, text, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=6.3
        )
        both = one["published"] is not None and one["ours"] is not None
        if one["published"] is not None:
            known = np.isfinite(one["published"]["percent_low"])
            _mark(
                axes,
                at - (0.2 if both else 0.0),
                one["published"],
                look.ROLES["published"],
                reach,
                "D",
                known,
            )
        if one["ours"] is not None:
            _mark(axes, at + (0.2 if both else 0.0), one["ours"], one["ink"], reach, "o", True)
        axes.text(
            1.02, at, _said(one), transform=axes.get_yaxis_transform(), ha="left", va="center", fontsize=6
        )
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.set_xticks([t for t in MaxNLocator(7, symmetric=True).tick_values(-reach, reach) if abs(t) <= reach])
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}".replace("-", words.MINUS))


def _mark(
    axes: Axes, at: float, row: Mapping[Any, Any], ink: str, reach: float, marker: str, filled: bool
) -> None:
    value, low, high = (float(row[name]) for name in ENDS)
    if not np.isfinite(value):
        return
    alpha = FAINT if row["verdict"] in (NOT_INFORMATIVE, NO_VERDICT) else 1.0
    if np.isfinite(low) and np.isfinite(high):
        look.cut_span(axes, at, (low, high), (-reach, reach), ink, alpha=alpha, width=0.9, arrow=2.2)
    if abs(value) <= reach:
        axes.plot([value], [at], marker=marker, markersize=3.2, color=ink, alpha=alpha, zorder=4,
                  markerfacecolor=ink if filled else "white", markeredgewidth=0.8)  # fmt: skip


def _said(one: Mapping[str, Any]) -> str:
    """Return what stands at the right of a line: of a published figure what it lacks, of ours what it says."""
    published, ours = one["published"], one["ours"]
    if published is None:
        return "" if ours is None else str(ours["verdict"])
    lacks = f"{HOLLOW} {published['words']}" if words.is_missing(published["percent"]) else ""
    doubt = "" if published["pass_mark"] else DOUBT
    return f"{_cut(lacks, WORDS)} {doubt}".strip()


def _cut(text: str, longest: int) -> str:
    """Return a text that fits, cut at a word."""
    if len(text) <= longest:
        return text
    return text[: longest - 1].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def _reach(rows: pd.DataFrame) -> float:
    """Return how far the scale runs either way: most interval ends, and every published number."""
    ends = np.abs(rows[list(ENDS)].to_numpy(dtype=float))
    ends = ends[np.isfinite(ends)]
    most = min(float(np.quantile(ends, REACH)), WIDEST) if len(ends) else 20.0
    published = np.abs(rows.loc[rows["source"].eq(of.PUBLISHED), "percent"].to_numpy(dtype=float))
    return 1.05 * max(most, *published[np.isfinite(published)], 0.0)


def _handles(rows: pd.DataFrame) -> list[Line2D]:
    ink = look.ROLES["published"]
    out = [
        Line2D([], [], color=ink, marker="D", markersize=3.2, label="published"),
        Line2D([], [], color=ink, marker="D", markersize=3.2, markerfacecolor="white", linestyle="", label=f"published, no error; {HOLLOW} no number"),
        Line2D([], [], color=BESIDE, marker="o", markersize=3.2, label="this study, beside it"),
    ]  # fmt: skip
    own = rows[rows["source"] == of.OURS]
    there = [family for family in INKS if own["family"].eq(family).any()]
    out += [
        Line2D([], [], color=INKS[f], marker="o", markersize=3.2, label=f"this study, {words.COMPARISONS[f]}") for f in there
    ]  # fmt: skip
    if (rows["source"].eq(of.PUBLISHED) & ~rows["pass_mark"]).any():
        out.append(Line2D([], [], linestyle="", label=f"{DOUBT} from memory or inferred"))
    return out

"""Figures and tables of a list that may be wrong: bounds, labels made anew, and how definitions disagree.

Every figure and table reads a frame of `analysis.evidence.checks.misclassified`; estimates are per cent of the treated
areas' mean before adoption (of the comparison areas' in a cross-section).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.base.errors import StudyError
from analysis.design.treatment import definition_of
from analysis.evidence.checks.misclassified import (
    BOUNDS,
    BREAKDOWNS,
    DISAGREEMENT,
    MISTAKES,
    ON_PURPOSE,
    RANDOM,
    UNVERIFIED,
)
from analysis.evidence.matches import variant_of
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]

BOUNDS_FRAME, BREAKDOWNS_FRAME, RANDOM_FRAME, ON_PURPOSE_FRAME, DISAGREEMENT_FRAME = (
    Frame(name, dict.fromkeys(columns, "see `analysis.evidence.checks.misclassified`"))
    for name, columns in (
        ("misclassification_bounds", BOUNDS), ("misclassification_breakdowns", BREAKDOWNS),
        ("relabelled_at_random", RANDOM), ("relabelled_on_purpose", ON_PURPOSE),
        ("definition_disagreement", DISAGREEMENT),
    )
)  # fmt: skip
DESIGNS = words.HEADLINE_DESIGNS
RELABELLINGS: Mapping[str, str] = {
    "as_listed": "As listed",
    "listed_not_observed": "Listed, not observed: taken off",
    "observed_not_listed": "Observed, not listed: put on",
    "both": "Both",
    "both_and_dates": "Both, with the other's dates",
    "unverified_not_treated": "Without a source of their own: taken off",
    "a_year_earlier": "Every date a year earlier",
    "a_year_later": "Every date a year later",
}
SOURCES: Mapping[tuple[str, str, str], str] = {
    ("declines_share25", "counties", "anywhere"): "records, by counties",
    ("declines_share25", "weight", "anywhere"): "records, by residents",
    ("declines_share25", "counties", "within_states"): "records, moved within states",
    (UNVERIFIED, "counties", "anywhere"): "without a source of their own",
    (MISTAKES, "counties", "anywhere"): "errors of a federal report",
}
"""Rates of error that are drawn, of all that the frame holds."""
INKS = {
    "both": "#CFE3F1",
    "listed": look.ROLES["between"],
    "unlisted": look.ROLES["within"],
    "unrelated": look.OKABE_ITO["black"],
}


def design_words(spec: str) -> str:
    """Return the design of a specification in words; one's own variation keeps its name.

    Example:
        >>> design_words("headline/two-way/measure=property"), design_words("mine/my-way/measure=property")
        ('Two-way', 'My way')
    """
    variant = variant_of(spec)
    text = variant.replace("-", " ")
    return DESIGNS.get(variant, text[:1].upper() + text[1:])


# --------------------------------------------------------------------------------------------------------
# Bounds by the share of the list that is wrong
# --------------------------------------------------------------------------------------------------------


def bounds_rows(bounds: pd.DataFrame, breakdowns: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `bounds_plot`: bounds in per cent by design and share, with each design's breakdown.

    Args:
        bounds: of `misclassification_bounds`.
        breakdowns: of `breakdown_shares`.

    Returns:
        spec, design, measure, assumption, which, share, possible, percent_low, percent_high, then of the listed: counties_to_zero,
        listed, share_to_zero (of residents; of counties where they count alike). Designs without bounds are left out.
    """
    f = require(bounds, BOUNDS_FRAME)
    f = f[f["low"].notna()].assign(design=lambda rows: [design_words(str(s)) for s in rows["spec"]])
    zero = require(breakdowns, BREAKDOWNS_FRAME)
    zero = zero[zero["which"] == "listed"].set_index("spec")
    for name, column in (
        ("counties_to_zero", "counties"),
        ("listed", "open_counties"),
        ("share_to_zero", "share_of_weight"),
    ):
        f[name] = f["spec"].map(zero[column])
    columns = [
        "spec", "design", "measure", "assumption", "which", "share", "possible", "percent_low", "percent_high", "counties_to_zero",
        "listed", "share_to_zero",
    ]  # fmt: skip
    # A design is drawn where bounds are sharp; errors unrelated to outcomes have no bounds of their own.
    sharp = f.loc[f["assumption"] == "arbitrary", "spec"].unique()
    return f.loc[f["spec"].isin(sharp), columns].reset_index(drop=True)


def bounds_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw the bounds of each estimate against the share of the list that is wrong.

    Args:
        rows: from `bounds_rows`.
        labels: measure to words.
        note: printed below.

    Returns:
        The figure: a row an outcome, a column a design; bounds when both sides of the list may be wrong (area), the listed
        alone and the unlisted alone (lines); dotted what errors unrelated to outcomes would mean, as far as such errors are possible; in words how many
        listed counties bring the estimate to zero, with a mark at their share where it is on the scale.

    Raises:
        StudyError: no bounds to draw.
    """
    if rows.empty:
        raise StudyError("no bounds of any design", "designs that have them", "the frame")
    measures, designs = (list(dict.fromkeys(rows[name])) for name in ("measure", "design"))
    left, right, gap, top, between, axis = 0.52, 0.08, 0.1, 0.72, 0.36, 0.42
    below = look.note_height(note)
    panel = 1.55
    width = (look.WIDTH - left - right - gap * (len(designs) - 1)) / len(designs)
    height = top + panel * len(measures) + between * (len(measures) - 1) + axis + below
    with look.style():
        fig = look.figure(height)
        for i, measure in enumerate(measures):
            here = rows[rows["measure"] == measure]
            reach = _reach(here[["percent_low", "percent_high"]].to_numpy(dtype=float))
            bottom = below + axis + (panel + between) * (len(measures) - 1 - i)
            for j, design in enumerate(designs):
                start = (left + j * (width + gap)) / look.WIDTH
                axes = fig.add_axes((start, bottom / height, width / look.WIDTH, panel / height))
                part = here[here["design"] == design]
                _bounds_panel(axes, part)
                axes.set_ylim(*reach)
                if j:
                    axes.set_yticklabels([])
                if i == 0:
                    fig.text(start + width / look.WIDTH / 2, (bottom + panel + 0.26) / height, design, fontsize=7,
                             fontweight="bold", ha="center", va="bottom")  # fmt: skip
                if i < len(measures) - 1:
                    axes.set_xticklabels([])
            fig.text(0.008, (bottom + panel + 0.06) / height, f"{label_of(measure, labels)}, change in %", fontsize=7, va="bottom")  # fmt: skip
        fig.text((left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.06) / height,
                 "Share of the list that is wrong, %", ha="center", va="bottom", fontsize=7.2)  # fmt: skip
        handles: list[Any] = [
            Patch(color=INKS["both"], label="both sides wrong"),
            Line2D([], [], color=INKS["listed"], linewidth=1.2, label="listed not treated"),
            Line2D(
                [], [], color=INKS["unlisted"], linewidth=1.2, linestyle=(0, (4, 1)), label="unlisted treated"
            ),
            Line2D(
                [],
                [],
                color=INKS["unrelated"],
                linewidth=1.0,
                linestyle=":",
                label="errors unrelated to outcomes",
            ),
        ]
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=4, fontsize=6.7,
                   columnspacing=1.6, handlelength=2.0, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _bounds_panel(axes: Axes, rows: pd.DataFrame) -> None:
    look.zero_line(axes)
    for which in ("both", "listed", "unlisted"):
        part = rows[(rows["assumption"] == "arbitrary") & (rows["which"] == which)].sort_values("share")
        x = 100 * part["share"].to_numpy(dtype=float)
        low, high = (part[name].to_numpy(dtype=float) for name in ("percent_low", "percent_high"))
        if which == "both":
            axes.fill_between(x, low, high, color=INKS[which], linewidth=0, zorder=1)
            continue
        for end in (low, high):
            axes.plot(x, end, color=INKS[which], linewidth=1.1,
                      linestyle="-" if which == "listed" else (0, (4, 1)), zorder=3)  # fmt: skip
    part = rows[(rows["assumption"] == "unrelated") & rows["possible"].fillna(False)].sort_values("share")
    axes.plot(
        100 * part["share"],
        part["percent_low"],
        color=INKS["unrelated"],
        linewidth=1.0,
        linestyle=":",
        zorder=4,
    )
    first = rows.iloc[0]
    most = 100 * float(rows["share"].max())
    at = 100 * float(first["share_to_zero"]) if pd.notna(first["share_to_zero"]) else np.nan
    if at <= most:
        axes.plot([at], [0], marker="X", color=INKS["listed"], markersize=4.5, markeredgewidth=0, zorder=5)
    axes.text(0.5, 0.02, _to_zero(first), transform=axes.transAxes, fontsize=5.8, ha="center", va="bottom",
              color="#333333", linespacing=1.15, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
              zorder=6)  # fmt: skip
    axes.set_xlim(0, most)
    # The last tick would meet the first of the panel beside it.
    axes.set_xticks([t for t in MaxNLocator(4, integer=True).tick_values(0, most) if 0 <= t < most])
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
    axes.tick_params(labelsize=6.3)


def _to_zero(row: pd.Series) -> str:
    share = words.number(100 * float(row["share_to_zero"]), 0) if pd.notna(row["share_to_zero"]) else ""
    if pd.notna(row["counties_to_zero"]):
        return f"zero with {words.count(row['counties_to_zero'])} of {words.count(row['listed'])}\nlisted counties"
    return (
        f"zero with {share} % of listed\nresidents of each state" if share else "no share brings it to zero"
    )


def _reach(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low, high = min(float(known.min()), 0.0), max(float(known.max()), 0.0)
    # Room below for what is said of zero.
    return low - 0.26 * (high - low), high + 0.05 * (high - low)


# --------------------------------------------------------------------------------------------------------
# Labels made anew at random
# --------------------------------------------------------------------------------------------------------


def relabelled_rows(random: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `relabelled_plot`: quantiles of relabelled estimates in per cent, beside the estimate.

    Args:
        random: of `relabelled_at_random`.

    Returns:
        spec, design, measure, source (in words), not_treated, missed, percent (the estimate), q2.5 to q97.5 in per cent,
        opposite. Rates that are not drawn, those of zero, and designs without any are left out.
    """
    f = require(random, RANDOM_FRAME)
    f = f[f["failure"].eq("") & f["mean"].notna()]
    known = [SOURCES.get(key, "") for key in zip(f["beside"], f["per"], f["scheme"], strict=True)]
    f = f.assign(design=[design_words(str(s)) for s in f["spec"]], source=known)
    errs = f["not_treated"].gt(0) | f["missed"].gt(0)
    f = f[f["source"].ne("") & errs].reset_index(drop=True)
    quantiles = [name for name in RANDOM if name.startswith("q")]
    for name in ("estimate", *quantiles):
        f[name] = 100 * f[name] / f["baseline"]
    f = f.rename(columns={"estimate": "percent"})
    return f[
        ["spec", "design", "measure", "source", "not_treated", "missed", "percent", *quantiles, "opposite"]
    ]


def relabelled_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw what estimates become when labels are changed at random at the documented rates.

    Args:
        rows: from `relabelled_rows`.
        labels: measure to words.
        note: printed below.

    Returns:
        The figure: a column an outcome, a block a design, a line a rate of error: thick for half of the draws, thin for
        95 %, a dot for the middle one; the estimate of the list is a line down the block.

    Raises:
        StudyError: nothing to draw.
    """
    if rows.empty:
        raise StudyError("no relabelled estimate", "designs that have some", "the frame")
    measures, designs = (list(dict.fromkeys(rows[name])) for name in ("measure", "design"))
    places: dict[tuple[str, str], float] = {}
    titles: list[tuple[float, str]] = []
    at = 0.0
    for design in designs:
        titles.append((at, design))
        for source in dict.fromkeys(rows.loc[rows["design"] == design, "source"]):
            at += 1
            places[design, str(source)] = at
        at += 1.25
    line, head, axis, left, gap, right = 0.128, 0.26, 0.42, 1.75, 0.16, 0.1
    below = look.note_height(note)
    panel = line * (at + 0.2)
    height = head + panel + axis + below
    width = (look.WIDTH - left - right - gap * (len(measures) - 1)) / len(measures)
    with look.style():
        fig = look.figure(height)
        for i, measure in enumerate(measures):
            start = (left + i * (width + gap)) / look.WIDTH
            axes = fig.add_axes((start, (below + axis) / height, width / look.WIDTH, panel / height))
            look.zero_line(axes, vertical=True)
            axes.set_ylim(at - 0.6, -0.6)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            axes.grid(axis="x")
            axes.grid(axis="y", visible=False)
            here = rows[rows["measure"] == measure]
            for row in here.to_dict("records"):
                y = places[str(row["design"]), str(row["source"])]
                ink = look.ROLES["between"]
                axes.hlines(y, row["q2.5"], row["q97.5"], color=ink, linewidth=0.9, zorder=3)
                axes.hlines(y, row["q25"], row["q75"], color=ink, linewidth=2.8, zorder=3)
                axes.plot([row["q50"]], [y], marker="o", markersize=3, color="white", markeredgecolor=ink,
                          markeredgewidth=0.8, zorder=4)  # fmt: skip
            for design in designs:
                part = here[here["design"] == design]
                ends = [places[design, str(source)] for source in part["source"]]
                if ends:
                    axes.vlines(part["percent"].iloc[0], min(ends) - 0.45, max(ends) + 0.45,
                                color=look.ROLES["published"], linewidth=1.1, zorder=5)  # fmt: skip
            axes.xaxis.set_major_locator(MaxNLocator(6))
            axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
            axes.set_title(label_of(measure, labels), fontsize=7.2, pad=4, loc="center")
        side = fig.add_axes((0.0, (below + axis) / height, 1.0, panel / height), zorder=-1)
        side.set_xlim(0, look.WIDTH)
        side.set_ylim(at - 0.6, -0.6)
        side.axis("off")
        for y, title in titles:
            side.text(0.04, y, title, fontsize=6.8, fontweight="bold", va="center")
        for (_, source), y in places.items():
            side.text(0.12, y, source, fontsize=6.2, va="center")
        fig.text((left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.06) / height,
                 "Change in reported crime, % of the mean", ha="center", va="bottom", fontsize=7.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


# --------------------------------------------------------------------------------------------------------
# Tables
# --------------------------------------------------------------------------------------------------------


def disagreement_table(disagreement: pd.DataFrame) -> Table:
    """Return how definitions disagree on the same counties.

    Args:
        disagreement: of `definition_disagreement`.

    Returns:
        A row a pair, both ways; the paper prints the pairs of the main definition, and what the strictest records say.
    """
    f = require(disagreement, DISAGREEMENT_FRAME).reset_index(drop=True)
    shown = f.index[f["definition"].eq("policy_full") | f["beside"].eq("policy_full")]
    dated = [
        f"{words.count(r['same_year'])}, {words.count(r['within_one_year'])} of {words.count(r['dated_both'])}"
        if r["dated_both"]
        else words.MISSING
        for r in f.to_dict("records")
    ]
    columns: list[Any] = [
        ("Treated under", "l", 1.5, _shown_once([_definition(name) for name in f["definition"]])),
        ("Beside", "l", 1.5, [_definition(n) + ("†" if d else "") for n, d in zip(f["beside"], f["descriptive"], strict=True)]),
        ("Treated", "r", 0.6, [words.count(v) for v in f["treated"]]),
        ("both", "r", 0.5, [words.count(v) for v in f["treated_both"]]),
        ("first alone", "r", 0.6, [words.count(v) for v in f["treated_not"]]),
        ("second unclear", "r", 0.6, [words.count(v) for v in f["treated_unknown"]]),
        ("second alone", "r", 0.6, [words.count(v) for v in f["untreated_treated"]]),
        ("first alone, %", "r", 0.9, _two_shares(f, "share_not_treated")),
        ("second alone, %", "r", 0.9, _two_shares(f, "share_missed")),
        ("Same year, within one", "r", 0.9, dated),
    ]  # fmt: skip
    return build(
        "How definitions of treatment disagree on the same counties",
        f,
        columns,
        [
            "Counties above the smallest population. First alone: treated under the first, a comparison under the second; "
            "second alone: the reverse, of the first's comparisons. Shares leave out counties the second leaves out "
            "(unclear), by counties and, in brackets, by residents. † a list drawn up after the outcomes: a description.",
        ],
        selection=[int(i) for i in shown],
    )


def _definition(name: Any) -> str:
    return definition_of(str(name)).label


def _shown_once(values: list[str]) -> list[str]:
    return [v if i == 0 or v != values[i - 1] else "" for i, v in enumerate(values)]


def _two_shares(rows: pd.DataFrame, name: str) -> list[str]:
    return [
        f"{words.number(100 * a, 1)} ({words.number(100 * b, 1)})" if np.isfinite(a) else words.MISSING
        for a, b in zip(rows[name], rows[f"{name}_residents"], strict=True)
    ]


def relabelling_table(on_purpose: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return what every design finds with labels changed where the documents give a reason to.

    Args:
        on_purpose: of `relabelled_on_purpose`.
        labels: measure to words.

    Returns:
        A row a design and relabelling, a column an outcome: per cent of the mean with the interval; counties moved, and
        treated ones behind the first outcome's estimate.
    """
    f = require(on_purpose, ON_PURPOSE_FRAME)
    measures = list(dict.fromkeys(f["measure"]))
    f = f.assign(design=[design_words(str(s)) for s in f["spec"]])
    rank = {name: i for i, name in enumerate(dict.fromkeys(f["design"]))}
    keys = list(dict.fromkeys(zip(f["design"], f["relabelling"], f["beside"], strict=True)))
    keys.sort(key=lambda key: rank[key[0]])
    by = f.set_index(["design", "relabelling", "beside", "measure"])
    rows = [[by.loc[(*key, m)] if (*key, m) in by.index else None for m in measures] for key in keys]
    columns: list[Any] = [
        ("Design", "l", 1.3, _shown_once([design for design, _, _ in keys])),
        ("Labels", "l", 2.2, [_relabelling(how, other) for _, how, other in keys]),
        ("off / on / moved", "r", 0.9, [_moves(found[0]) for found in rows]),
        ("Treated", "r", 0.6, [words.count(found[0]["n_treated"]) if found[0] is not None else words.MISSING for found in rows]),
        *((label_of(m, labels), "r", 1.5, [_percent(found[i]) for found in rows]) for i, m in enumerate(measures)),
    ]  # fmt: skip
    return build(
        "Labels changed where the documents give a reason to",
        f.drop(columns="design"),
        columns,
        [
            "Estimates with intervals of the design, in per cent of the mean before adoption (of the comparison mean in a "
            "cross-section). Off, on, moved: counties of the sample taken off the list, put on it, or given another first "
            "year, and treated counties behind the estimate, both for the first outcome. Observed: at least five recorded "
            "declines in a year and 25 % of resolved detainers. § not informative (fewer than 20 treated counties, or too "
            "few states): not read as a finding; – not estimated.",
        ],
    )


def _relabelling(how: str, other: str) -> str:
    said = RELABELLINGS.get(how, how.replace("_", " "))
    return said if other in ("", "declines_share25") else f"{said} ({_definition(other).lower()})"


def _moves(row: pd.Series | None) -> str:
    if row is None:
        return words.MISSING
    return " / ".join(words.count(row[name]) for name in ("left", "entered", "dates_moved"))


def _percent(row: pd.Series | None) -> str:
    if row is None or words.is_missing(row["percent"]):
        return words.MISSING
    mark = "" if bool(row["informative"]) else " §"
    return words.estimate_text(row["percent"], row["percent_low"], row["percent_high"], 1) + mark

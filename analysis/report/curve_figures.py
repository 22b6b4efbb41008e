"""The grid of specifications on paper: the curve with its choices, what each choice does, and the tables beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.base.errors import StudyError
from analysis.evidence.curve import (
    ALL,
    CHOICE,
    CURVE,
    FEWER,
    IMPORTANCE,
    JOINT,
    MORE,
    PARTIAL,
    PLACES,
    SHARES,
    VERDICTS,
)
from analysis.evidence.verdict import EQUIVALENT, INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]


def _contract(name: str, columns: Sequence[str]) -> Frame:
    return Frame(name, dict.fromkeys(columns, "see `analysis.evidence.curve`"))


CURVE_FRAME = _contract("curve", CURVE)
PARTIAL_FRAME = _contract("partial_dependence", PARTIAL)
SHARES_FRAME = _contract("shares", SHARES)
IMPORTANCE_FRAME = _contract("importance", IMPORTANCE)
JOINT_FRAME = _contract("joint_test", JOINT)
PLACES_FRAME = _contract("published_places", PLACES)

FAMILIES: Mapping[str, str] = {
    "staggered": "staggered adoption",
    "two_way": "two-way regression",
    "border": "county borders",
    "matching": "matched levels",
    ALL: "all, families alike",
}
FAMILY_INKS: Mapping[str, str] = {
    "staggered": look.ROLES["between"],
    "two_way": look.OKABE_ITO["purple"],
    "border": look.OKABE_ITO["orange"],
    "matching": look.ROLES["matched"],
    ALL: look.OKABE_ITO["black"],
}
FAMILY_MARKS: Mapping[str, str] = {"staggered": "o", "two_way": "s", "border": "v", "matching": "^", ALL: "D"}
CHOICES: Mapping[str, str] = {
    "reading": "Interval",
    "family": "Family",
    "definition": "Whose policy counts",
    "california": "California",
    "window": "Years",
    "sample": "Coverage and balance",
    "build": "Rate build",
    "covariates": "Covariates",
    "scale": "Scale",
    "outcome": "Outcome",
    "estimator": "Estimator",
    "weights": "Weights",
}
READINGS: Mapping[str, tuple[str, str]] = {
    NO_VERDICT: ("no verdict", "#E4E4E4"),
    NOT_INFORMATIVE: ("not informative", "#C9C9C9"),
    INCONCLUSIVE: ("inconclusive", "#7F7F7F"),
    EQUIVALENT: ("equivalent to zero", look.OKABE_ITO["green"]),
    FEWER: ("fewer, different from zero", look.OKABE_ITO["vermilion"]),
    MORE: ("more, different from zero", look.OKABE_ITO["blue"]),
}
OWN = ("reading", "family")
"""Blocks of the raster that are no choice: what the interval says, and the family."""
STATISTICS: Mapping[str, str] = {
    "median": "median effect, %",
    "share": "share different from zero",
    "mean_t": "mean t",
}
HOWS: Mapping[str, str] = {"resampled": "states drawn anew", "signs": "signs of states"}
COMPARED: Mapping[str, str] = {ALL: "all", "between": "between states", "within": "within states"}
# Columns of the raster under the curve, at most; share of effects that the scale holds.
BINS, HELD = 220, 0.98
OFF_SIZE = 2.0
"""Monte Carlo errors by which a measured size may differ from 5 % before it is called off."""


def choice_words(choice: str) -> str:
    """Return a choice in words.

    Example:
        >>> choice_words("build"), choice_words("two-way")
        ('Rate build', 'Two-way')
    """
    return CHOICES.get(choice, choice[:1].upper() + choice[1:])


def family_words(family: str) -> str:
    """Return a family in words.

    Example:
        >>> family_words("two_way")
        'two-way regression'
    """
    return FAMILIES.get(family, family.replace("_", " "))


# --- the curve --------------------------------------------------------------------------------------------------


def option_rows(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the lines of the raster: reading and family, then every choice, each with several options, in their order.

    Args:
        rows: from `analysis.evidence.curve.curve`.

    Example:
        >>> option_rows(pd.DataFrame({"family": ["a", "b"], "choice_scale": ["log", "rate"], "choice_build": ["x", "x"]}))
        [('family', 'a'), ('family', 'b'), ('scale', 'log'), ('scale', 'rate')]
    """
    columns = [
        *(name for name in OWN if name in rows),
        *(str(name) for name in rows.columns if str(name).startswith(CHOICE)),
    ]
    order = list(CHOICES)
    columns.sort(
        key=lambda name: order.index(name.removeprefix(CHOICE)) if name.removeprefix(CHOICE) in order else 99
    )
    found = []
    for column in columns:
        options = sorted({str(value) for value in rows[column]} - {""})
        if len(options) > 1:
            found += [(column.removeprefix(CHOICE), option) for option in options]
    return found


def option_raster(rows: pd.DataFrame, options: Sequence[tuple[str, str]], bins: int) -> np.ndarray:
    """Return which share of the specifications at each place of the curve takes each option, (options, bins).

    Args:
        rows: from `analysis.evidence.curve.curve`, in its order.
        options: from `option_rows`.
        bins: of equal length along the curve.

    Example:
        >>> rows = pd.DataFrame({"family": ["a", "a", "b", "b"]})
        >>> option_raster(rows, [("family", "a"), ("family", "b")], 2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    at = np.arange(len(rows)) * bins // len(rows)
    size = np.bincount(at, minlength=bins)
    out = []
    for choice, option in options:
        column = choice if choice in OWN else CHOICE + choice
        out.append(
            np.bincount(at, rows[column].astype(str).eq(option).to_numpy(float), minlength=bins) / size
        )
    return np.array(out)


def curve_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw one outcome's specifications in the order of their effects, and which choices stand where.

    Args:
        rows: from `analysis.evidence.curve.curve`, of one outcome.
        labels: measure to words.
        note: printed below.

    Returns:
        The figure: effects in per cent of the mean, coloured by what the interval says, intervals behind them; below, for
        every reading and option, the share of the specifications at that place that have it, the darker the more, and the median
        effect of the option at the right.

    Raises:
        StudyError: nothing to draw.
    """
    require(rows, CURVE_FRAME)
    if rows.empty:
        raise StudyError("no specification to draw", "rows of one outcome", "the frame curve")
    options = option_rows(rows)
    blocks = list(dict.fromkeys(choice for choice, _ in options))
    line, gap, top, head = 0.118, 0.075, 2.15, 0.62
    matrix = line * len(options) + gap * max(len(blocks) - 1, 0)
    below = look.note_height(note) + 0.1
    height = head + top + 0.16 + matrix + below
    left, right = 1.9, 0.62
    width = look.WIDTH - left - right
    with look.style():
        fig = look.figure(height)
        axes = fig.add_axes(
            (left / look.WIDTH, (below + matrix + 0.16) / height, width / look.WIDTH, top / height)
        )
        _draw_effects(axes, rows)
        _draw_options(fig, rows, options, (left, below, width), (line, gap, height))
        measure = str(rows["measure"].iloc[0])
        fig.text(0.008, 1 - 0.06 / height, f"{label_of(measure, labels)}: {len(rows):,} specifications", ha="left", va="top",
                 fontsize=8.5, fontweight="bold")  # fmt: skip
        found = [name for name in VERDICTS[::-1] if name in READINGS and rows["reading"].eq(name).any()]
        handles = [
            Line2D([], [], marker="o", linestyle="", markersize=3.5, color=READINGS[name][1], markeredgewidth=0,
                   label=f"{READINGS[name][0]} ({int(rows['reading'].eq(name).sum()):,})")
            for name in found
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1 - 0.2 / height), ncols=3, fontsize=6.6,
                   handletextpad=0.2, columnspacing=1.4, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def reach_of(rows: pd.DataFrame) -> tuple[float, float, int]:
    """Return the ends of the scale of effects and how many effects lie beyond it.

    Example:
        >>> reach_of(pd.DataFrame({"percent": [*range(-50, 51), 4000.0]}))[2]
        1
    """
    percent = rows["percent"].to_numpy(dtype=float)
    low, high = np.quantile(percent, [(1 - HELD) / 2, (1 + HELD) / 2])
    room = 0.25 * max(high - low, 1.0)
    low, high = min(low - room, -1.0), max(high + room, 1.0)
    if len(percent) < 100:
        low, high = min(low, float(percent.min())), max(high, float(percent.max()))
    return float(low), float(high), int(((percent < low) | (percent > high)).sum())


def _draw_effects(axes: Axes, rows: pd.DataFrame) -> None:
    low, high, beyond = reach_of(rows)
    rank = rows["rank"].to_numpy(dtype=float)
    axes.vlines(rank, rows["percent_low"].clip(low, high), rows["percent_high"].clip(low, high), color="#E6E6E6",
                linewidth=max(0.25, min(1.2, 300 / len(rows))), zorder=1, rasterized=True)  # fmt: skip
    axes.axhspan(-5, 5, color="#F3EFE2", zorder=0)
    look.zero_line(axes)
    percent = rows["percent"].clip(low, high)
    size = 5.0 if len(rows) < 400 else 2.2
    # The rarer reading lies on top.
    for name in sorted(READINGS, key=lambda one: -int(rows["reading"].eq(one).sum())):
        here = rows["reading"].eq(name).to_numpy()
        axes.scatter(
            rank[here],
            percent[here],
            s=size,
            color=READINGS[name][1],
            linewidths=0,
            zorder=3,
            rasterized=True,
        )
    middle = float(rows["percent"].median())
    axes.axhline(middle, color=look.ROLES["mark"], linewidth=0.6, linestyle=(0, (3, 2)), zorder=2)
    axes.text(len(rows) * 0.006, middle, f"median {words.number(middle, 1, sign=True)} %", fontsize=6.2, va="bottom",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8}, zorder=4)  # fmt: skip
    axes.set_xlim(0.5 - 0.005 * len(rows), len(rows) * 1.005 + 0.5)
    axes.set_ylim(low, high)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel("Change in reported crime, % of the mean")
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
    if beyond:
        axes.text(0.995, 0.02, f"effects beyond the scale, drawn at its edge: {beyond:,}", transform=axes.transAxes, ha="right",
                  fontsize=6, color="#6E6E6E")  # fmt: skip


def _draw_options(
    fig: Figure,
    rows: pd.DataFrame,
    options: Sequence[tuple[str, str]],
    place: tuple[float, float, float],
    sizes: tuple[float, float, float],
) -> None:
    (left, bottom, width), (line, gap, height) = place, sizes
    raster = option_raster(rows, options, min(BINS, len(rows)))
    shade = LinearSegmentedColormap.from_list("shares", ["#FFFFFF", look.OKABE_ITO["blue"], "#00304D"])
    blocks = list(dict.fromkeys(choice for choice, _ in options))
    y = bottom + line * len(options) + gap * max(len(blocks) - 1, 0)
    for block in blocks:
        members = [at for at, (choice, _) in enumerate(options) if choice == block]
        y -= line * len(members)
        axes = fig.add_axes((left / look.WIDTH, y / height, width / look.WIDTH, line * len(members) / height))
        axes.imshow(raster[members], aspect="auto", cmap=shade, vmin=0, vmax=1, interpolation="nearest")
        axes.grid(visible=False)
        axes.set_xticks([])
        names = [_option_words(*options[at]) for at in members]
        axes.set_yticks(range(len(members)), names)
        axes.tick_params(axis="y", length=0, labelsize=5.9, pad=2)
        for spine in axes.spines.values():
            spine.set(visible=True, linewidth=0.4, color="#B5B5B5")
        column = block if block in OWN else CHOICE + block
        for k, at in enumerate(members):
            middle = float(rows.loc[rows[column].astype(str).eq(options[at][1]), "percent"].median())
            axes.text(1.01, 1 - (k + 0.5) / len(members), words.number(middle, 1, sign=True), transform=axes.transAxes,
                      fontsize=5.9, va="center")  # fmt: skip
        fig.text(0.008, (y + line * len(members) - 0.02) / height, _broken(choice_words(block)), fontsize=5.9,
                 fontweight="bold", va="top", linespacing=1.05)  # fmt: skip
        y -= gap
    top = bottom + line * len(options) + gap * max(len(blocks) - 1, 0)
    fig.text(
        (left + width + 0.03) / look.WIDTH, (top + 0.02) / height, "median, %", fontsize=5.9, va="bottom"
    )


def _option_words(block: str, option: str) -> str:
    if block == "reading":
        return READINGS[option][0]
    return family_words(option) if block == "family" else option


def _broken(text: str) -> str:
    """Return words of a block's title on two lines where one is too long."""
    if len(text) <= 13 or " " not in text:
        return text
    at = text.rfind(" ", 0, 14)
    return f"{text[:at]}\n{text[at + 1 :]}" if at > 0 else text


# --- partial dependence -----------------------------------------------------------------------------------------


def partial_rows(found: pd.DataFrame, measure: str = ALL) -> pd.DataFrame:
    """Return what `partial_plot` draws: options over all families where they have pairs, otherwise within their family.

    Args:
        found: from `analysis.evidence.curve.partial_dependence`.
        measure: outcome, or ``all``.

    Returns:
        Its columns and ``drawn`` (``line`` for the one with the bar, ``mark`` for a family beside it), in the order of
        choices; references are left out.
    """
    require(found, PARTIAL_FRAME)
    rows = found[found["measure"].eq(measure) & found["pairs"].gt(0) & found["option"].ne(found["reference"])]
    parts = []
    for choice in [c for c in CHOICES if rows["choice"].eq(c).any()]:
        here = rows[rows["choice"].eq(choice)]
        together = here[here["family"].eq(ALL)]
        apart = here[here["family"].ne(ALL)]
        both = apart.merge(together[["option", "reference"]], on=["option", "reference"])
        only = apart[~apart["option"].isin(together["option"])]
        parts += [together.assign(drawn="line"), both.assign(drawn="mark"), only.assign(drawn="line")]
    if not parts:
        raise StudyError(f"no pair of options to draw for '{measure}'", "a grid with choices", "the frame")
    return pd.concat(parts, ignore_index=True)


def partial_plot(rows: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw how much each option moves the effect against the option it is paired with, everything else held fixed.

    Args:
        rows: from `partial_rows`.
        note: printed below.

    Returns:
        The figure: a line an option; bars from the 10th to the 90th percentile over pairs, the mean on them; families as
        marks beside them; pairs at the right.
    """
    lines: list[tuple[float, Mapping[Any, Any] | None, str]] = []
    at = 0.0
    drawn = rows[rows["drawn"].eq("line")]
    for (choice, reference), part in drawn.groupby(["choice", "reference"], sort=False):
        lines.append((at, None, f"{choice_words(str(choice))}, against {str(reference).replace('_', ' ')}"))
        for row in part.to_dict("records"):
            at += 1
            lines.append((at, row, str(row["option"]).replace("_", " ")))
        at += 1.35
    line, head, axis, below = 0.142, 0.3, 0.42, look.note_height(note)
    height = head + line * at + axis + below
    left, right = 2.15, 0.62
    ends = rows[["low", "high", "difference"]].to_numpy(dtype=float)
    reach = max(float(np.quantile(np.abs(ends), 0.97)) * 1.1, 1.0)
    with look.style():
        fig = look.figure(height)
        axes = fig.add_axes(
            (
                left / look.WIDTH,
                (below + axis) / height,
                (look.WIDTH - left - right) / look.WIDTH,
                line * at / height,
            )
        )
        axes.set_xlim(-reach, reach)
        axes.set_ylim(at - 0.6, -0.7)
        look.zero_line(axes, vertical=True)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
        axes.set_xlabel("Difference of effects, percentage points of the mean")
        transform = axes.get_yaxis_transform()
        for y, row, text in lines:
            if row is None:
                axes.text(-left / (look.WIDTH - left - right) * 0.98, y, text, transform=transform, fontsize=6.7,
                          fontweight="bold", va="center")  # fmt: skip
                continue
            axes.text(-0.015, y, text, transform=transform, fontsize=6.5, va="center", ha="right")
            axes.text(1.015, y, words.count(row["pairs"]), transform=transform, fontsize=6.2, va="center")
            ink = FAMILY_INKS.get(str(row["family"]), look.OKABE_ITO["black"])
            low, high = (float(np.clip(row[name], -reach, reach)) for name in ("low", "high"))
            axes.hlines(y, low, high, color=ink, linewidth=2.6, alpha=0.25, zorder=2)
            _mark_of(axes, y, row, reach, 4.2)
            beside = rows[
                rows["drawn"].eq("mark") & rows["choice"].eq(row["choice"]) & rows["option"].eq(row["option"])
            ]
            if row["family"] == ALL and len(beside) > 1:
                for one in beside.to_dict("records"):
                    _mark_of(axes, y, one, reach, 3.0)
        axes.text(1.015, -0.6, "pairs", transform=transform, fontsize=6.2, va="center")
        families = [name for name in FAMILY_MARKS if rows["family"].eq(name).any()]
        handles = [
            Line2D([], [], marker=FAMILY_MARKS[name], linestyle="", markersize=3.6, color=FAMILY_INKS[name],
                   markeredgewidth=0, label=family_words(name))
            for name in families
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=len(handles), fontsize=6.6,
                   handletextpad=0.2, columnspacing=1.3, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _mark_of(axes: Axes, y: float, row: Mapping[Any, Any], reach: float, size: float) -> None:
    value, family = float(row["difference"]), str(row["family"])
    ink = FAMILY_INKS.get(family, look.OKABE_ITO["black"])
    marker = FAMILY_MARKS.get(family, "o") if abs(value) <= reach else (">" if value > 0 else "<")
    axes.plot([float(np.clip(value, -reach, reach))], [y], marker=marker, color=ink, markersize=size,
              markeredgewidth=0.3, markeredgecolor="white", zorder=4, clip_on=False)  # fmt: skip


# --- tables -----------------------------------------------------------------------------------------------------


def shares_table(found: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return shares of specifications by outcome and family; descriptive, families equal-weighted.

    Args:
        found: from `analysis.evidence.curve.shares`.
        labels: measure to words.
    """
    rows = require(found, SHARES_FRAME)
    wide = rows.pivot_table(
        index=["measure", "family"], columns=["kind", "reading"], values="share", sort=False
    )
    counts = rows.groupby(["measure", "family"], sort=False)["n_specs"].first()
    lines = list(wide.index)
    lines.sort(key=lambda key: (list(dict.fromkeys(m for m, _ in wide.index)).index(key[0]), key[1] != ALL))

    def column(kind: str, reading: str) -> list[str]:
        return [words.percent(wide.loc[key, (kind, reading)], 0) for key in lines]

    measures = [label_of("all outcomes" if m == ALL else m, labels) for m, _ in lines]
    return build(
        "What specifications say: shares by outcome and family",
        found,
        [
            ("Outcome", "l", 2.0, words.once(measures)),
            ("Family", "l", 1.9, [family_words(family) for _, family in lines]),
            ("Specifications", "r", 1.2, [words.count(counts[key]) for key in lines]),
            ("Above zero", "r", 1.0, column("sign", "positive")),
            ("Below zero", "r", 1.0, column("sign", "negative")),
            ("More, different from zero", "r", 1.2, column("verdict", MORE)),
            ("Fewer, different from zero", "r", 1.2, column("verdict", FEWER)),
            ("Equivalent to zero", "r", 1.1, column("verdict", EQUIVALENT)),
            ("Inconclusive", "r", 1.1, column("verdict", INCONCLUSIVE)),
            ("Not informative", "r", 1.1, column("verdict", NOT_INFORMATIVE)),
            ("No verdict", "r", 1.0, column("verdict", NO_VERDICT)),
            ("Failed", "r", 0.8, column("verdict", "failed")),
        ],
        [
            "Shares of all specifications asked for, failed ones too; over all families each family counts the same. "
            "Specifications are no sample: shares describe the grid and are no probabilities.",
        ],
    )


def importance_table(found: pd.DataFrame, labels: Labels | None = None, *, of: str = "rank") -> Table:
    """Return which choice moves the answer, as shares of the variance of effects over the grid.

    Args:
        found: from `analysis.evidence.curve.importance`.
        labels: measure to words.
        of: ``percent`` or ``rank``.
    """
    rows = require(found, IMPORTANCE_FRAME)
    rows = rows[rows["of"].eq(of)]
    keys = list(dict.fromkeys(zip(rows["measure"], rows["family"], strict=True)))
    lines: list[dict[str, Any]] = []
    for measure, family in keys:
        part = rows[rows["measure"].eq(measure) & rows["family"].eq(family)]
        joint = part[part["options"].eq(0)]
        lines += (
            part[part["options"].gt(0)]
            .sort_values("total", ascending=False, kind="stable")
            .to_dict("records")
        )
        lines += joint.to_dict("records")
    together = {"additive": "all choices together", "two-way": "with two-way terms"}
    where = [
        f"{label_of('all outcomes' if r['measure'] == ALL else str(r['measure']), labels)}, {family_words(str(r['family']))}"
        for r in lines
    ]
    return build(
        "Which choice moves the answer: shares of the variance of effects",
        found,
        [
            ("Outcome, family", "l", 2.6, words.once(where)),
            (
                "Choice",
                "l",
                1.8,
                [together.get(str(r["choice"]), choice_words(str(r["choice"]))) for r in lines],
            ),
            ("Options", "r", 0.8, [words.count(r["options"]) if r["options"] else "" for r in lines]),
            ("Alone", "r", 0.9, [_share(r["alone"]) for r in lines]),
            ("Average over orders", "r", 1.1, [_share(r["shapley"]) for r in lines]),
            ("Last", "r", 0.9, [_share(r["last"]) for r in lines]),
            ("With its interactions", "r", 1.1, [_share(r["total"]) for r in lines]),
        ],
        [
            f"Of {'ranks of effects' if of == 'rank' else 'effects in per cent of the mean'}. Alone: its options alone. Average "
            "over orders: its part in a regression on all choices, added in every order; these add up to all choices "
            "together. Last: what that regression loses without it. With its interactions: what the regression with all "
            "two-way terms loses without it and its terms; these overlap. Over all families each family counts the same.",
        ],
    )


def _share(value: Any) -> str:
    return "" if words.is_missing(value) else words.percent(value, 0)


def partial_table(found: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return what each option adds to the effect with everything else held fixed; families alike.

    Args:
        found: from `analysis.evidence.curve.partial_dependence`.
        labels: measure to words.
    """
    f = require(found, PARTIAL_FRAME)
    told = f["family"].eq(ALL) & f["option"].ne(f["reference"]) & f["pairs"].gt(0)
    rows = f[told].to_dict("records")
    outcome = ["All outcomes" if r["measure"] == ALL else label_of(str(r["measure"]), labels) for r in rows]

    def once(values: Sequence[str], apart: Sequence[str]) -> list[str]:
        pairs = list(zip(apart, values, strict=True))
        return [v if i == 0 or pairs[i] != pairs[i - 1] else "" for i, v in enumerate(values)]

    return build(
        "What each option adds to the effect, everything else equal",
        f,
        [
            ("Outcome", "l", 1.3, once(outcome, outcome)),
            ("Choice", "l", 1.1, once([choice_words(str(r["choice"])) for r in rows], outcome)),
            ("Option", "l", 1.6, [str(r["option"]) for r in rows]),
            ("instead of", "l", 1.6, [str(r["reference"]) for r in rows]),
            ("Pairs", "r", 0.5, [words.count(r["pairs"]) for r in rows]),
            ("Points of the mean", "r", 1.4,
             [words.estimate_text(r["difference"], r["low"], r["high"], 1) for r in rows]),
            ("Pairs in which it is higher", "r", 0.8, [words.percent(r["higher"], 0) for r in rows]),
        ],
        [
            "Mean difference of effects over pairs of specifications that differ in that choice alone, in percentage points of "
            "the mean, and in brackets the 10th and 90th percentile of the pairs. Families weigh alike; the csv holds each of them."
        ],
    )  # fmt: skip


def joint_table(found: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return the joint test of the curve, each p-value with the measured size of its test.

    Args:
        found: from `analysis.evidence.curve.joint_test`.
        labels: measure to words.
    """
    rows = require(found, JOINT_FRAME)
    plain = rows[rows["how"].eq("resampled")].set_index(["measure", "compared", "statistic"])
    signs = rows[rows["how"].eq("signs")].set_index(["measure", "compared", "statistic"])
    lines = [{"key": key, **plain.loc[key].to_dict()} for key in plain.index]
    other = [signs.loc[line["key"]].to_dict() for line in lines]
    where = [
        f"{label_of('all outcomes' if r['key'][0] == ALL else r['key'][0], labels)}, {COMPARED[r['key'][1]]} "
        f"({words.count(r['n_specs'])})"
        for r in lines
    ]
    off = [*lines, *other]
    notes = [
        "Null: no specification has an effect. All specifications are refitted in the same draws of whole states. p-values "
        "are two-sided; beside each, how often that test rejects a true null at 5 % on simulated panels with this panel's "
        "geography (Monte Carlo error): a p-value whose test is off size is not to be read alone. States drawn anew: with "
        "replacement, each specification's own estimate taken off first. Signs of states: residuals under the null times "
        "+1 or −1 for a whole state.",
        f"A draw that cannot estimate half of the specifications counts as extreme ({max(int(r['refused']) for r in off)} at "
        f"most of {words.count(lines[0]['draws']) if lines else 0}); specifications without an estimate: "
        f"{max(int(r['n_failed']) for r in off)} at most.",
    ]
    return build(
        "Joint test of the specification curve, with its measured size",
        found,
        [
            ("Outcome, comparison (specifications)", "l", 2.8, words.once(where)),
            ("Statistic", "l", 1.6, [STATISTICS[r["key"][2]] for r in lines]),
            ("Found", "r", 0.9, [_statistic(r["observed"], r["key"][2]) for r in lines]),
            (f"p, {HOWS['resampled']}", "r", 1.0, [_p(r["p_value"]) for r in lines]),
            ("its size", "r", 1.1, [size_words(r) for r in lines]),
            (f"p, {HOWS['signs']}", "r", 1.0, [_p(r["p_value"]) for r in other]),
            ("size of that", "r", 1.1, [size_words(r) for r in other]),
        ],
        notes,
    )


def size_words(row: Mapping[str, Any]) -> str:
    """Return a measured size with its Monte Carlo error, marked where it is off 5 %.

    Example:
        >>> size_words({"size": 0.12, "size_error": 0.02}), size_words({"size": 0.06, "size_error": 0.015})
        ('12 % (2), off', '6 % (2)')
    """
    size, error = float(row["size"]), float(row["size_error"])
    if np.isnan(size):
        return "not measured"
    off = ", off" if abs(size - 0.05) > OFF_SIZE * error else ""
    return f"{words.percent(size, 0)} ({words.number(100 * error, 0)}){off}"


def _statistic(value: float, statistic: str) -> str:
    if statistic == "share":
        return words.percent(value, 0)
    return words.number(value, 1, sign=True)


def _p(value: float) -> str:
    return words.MISSING if words.is_missing(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def places_table(found: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return where published numbers fall among our specifications.

    Args:
        found: from `analysis.evidence.curve.published_places`.
        labels: measure to words.
    """
    rows = require(found, PLACES_FRAME)
    lines = rows.to_dict("records")
    same = {"same": "", "near": ", near", "another": ", another outcome", "": ""}
    return build(
        "Where published numbers fall among our specifications",
        found,
        [
            ("Study", "l", 2.2, words.once([f"{r['study']}: {r['outcome']}" for r in lines])),
            ("Published, %", "r", 0.9, [words.number(r["percent"], 1, sign=True) for r in lines]),
            ("Read beside", "l", 1.7, [
                f"{label_of(str(r['measure']), labels)}{same[str(r['same_outcome'])]}" if r["measure"] else str(r["reason"])
                for r in lines
            ]),
            ("Family", "l", 1.5, [family_words(str(r["family"])) if r["family"] else "" for r in lines]),
            ("Specifications", "r", 1.0, [words.count(r["n_specs"]) for r in lines]),
            ("Estimates below it", "r", 1.0, [words.percent(r["place"], 0) for r in lines]),
            ("Intervals that hold it", "r", 1.0, [words.percent(r["inside"], 0) for r in lines]),
            ("Intervals above it", "r", 1.0, [words.percent(r["above"], 0) for r in lines]),
            ("Intervals below it", "r", 1.0, [words.percent(r["below"], 0) for r in lines]),
        ],
        [
            "Compared in the unit of the published number; in per cent, a rate by the median mean of the specifications. Over "
            "all families each family counts the same. Shares describe the grid; a null in words has no place in it.",
        ],
    )  # fmt: skip

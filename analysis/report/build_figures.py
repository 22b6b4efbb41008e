"""Builds of a county's crime rate: how far each part takes an estimate from one to the next, drawn and tabulated."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.base.errors import StudyError
from analysis.evidence.checks import builds as of
from analysis.evidence.matches import NOT_ESTIMATED
from analysis.evidence.verdict import NO_VERDICT
from analysis.report import style as look
from analysis.report import words
from analysis.report.design_tables import label_of_variant
from analysis.report.frames import Frame, require
from analysis.report.match_tables import MARKS
from analysis.report.tables import Table, build

FRAME = Frame("wong_builds", of.COLUMNS)

# The chain from all agencies to county agencies over everybody: an estimate, or the step to the next one.
A_TO_C, C_TO_B = f"{of.POLICED}_to_{of.OUTSIDE}", f"{of.OUTSIDE}_to_{of.AGENCIES}"
A_TO_B = f"{of.POLICED}_to_{of.AGENCIES}"
CHAIN: Sequence[tuple[str, str, str]] = (
    (of.OF_BUILDS, of.POLICED, "All agencies, over\nresidents they police"),
    (A_TO_C, of.SAMPLE, "counties"),
    (A_TO_C, of.DIVISION, "cities leave offences\nand people"),
    (of.OF_BUILDS, of.OUTSIDE, "County agencies, over\nresidents outside cities"),
    (C_TO_B, of.SAMPLE, "counties"),
    (C_TO_B, of.DENOMINATOR, "city people come back,\ntheir offences do not"),
    (of.OF_BUILDS, of.AGENCIES, "County agencies, over\nthe whole county"),
)
INKS: Mapping[str, str] = {
    of.POLICED: look.OKABE_ITO["blue"],
    of.OUTSIDE: look.OKABE_ITO["green"],
    of.AGENCIES: look.OKABE_ITO["vermilion"],
}
MORE, LESS = look.OKABE_ITO["orange"], look.OKABE_ITO["sky"]
VARIANTS: Mapping[str, str] = {
    "": "Nearest neighbour",
    "entropy": "Entropy balancing",
    "with-arson": "Arson counted",
    "any-coverage": "Any coverage",
}
DRAWN = ("", "entropy")
# Beyond this many times the largest estimate an interval is cut, and says so by an arrow.
REACH = 2.2
CAUTION = (
    "These are builds that give the published sign and size or do not; what the published report itself counted and "
    "divided by is not known."
)


def variant_label(variant: str) -> str:
    """Return a named variation in words; one's own keeps its name.

    Example:
        >>> variant_label("entropy"), variant_label("my-caliper")
        ('Entropy balancing', 'My caliper')
    """
    said = VARIANTS.get(variant) or label_of_variant(variant)
    return said[:1].upper() + said[1:]


def shown_variants(frame: pd.DataFrame) -> list[str]:
    """Return the variations drawn and told one by one: those of ``DRAWN``, or of one's own the first two.

    Args:
        frame: frame under the contract ``wong_builds``.

    Example:
        >>> shown_variants(pd.DataFrame({"variant": ["with-arson", "entropy", "entropy"]}))
        ['entropy']
    """
    held = list(dict.fromkeys(frame["variant"]))
    return [v for v in DRAWN if v in held] or held[: len(DRAWN)]


def builds_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `builds_figure`: one row a link of the chain.

    Args:
        frame: frame under the contract ``wong_builds``.

    Returns:
        spec, variant, definition, link (0 to 6), contrast, part, start and end (offences per 10,000: of a build both its
        estimate, of a step what stands before and after it), conf_low, conf_high (of builds), n_treated, informative,
        published, failure. Variations of `shown_variants`.
    """
    f = require(frame, FRAME)
    rows: list[dict[str, Any]] = []
    for (spec, variant, definition), here in f[f["variant"].isin(shown_variants(f))].groupby(
        ["spec", "variant", "definition"], sort=False
    ):
        keyed = {(r["contrast"], r["part"]): r for r in here.to_dict("records")}
        reached = np.nan
        for link, (contrast, part, _) in enumerate(CHAIN):
            row = keyed.get((contrast, part), {})
            value = float(row.get("estimate", np.nan))
            start = value if contrast == of.OF_BUILDS else reached
            reached = value if contrast == of.OF_BUILDS else reached + value
            about = {name: row.get(name, np.nan) for name in ("conf_low", "conf_high", "n_treated")}
            rows.append(
                {
                    "spec": spec, "variant": variant, "definition": definition, "link": link, "contrast": contrast,
                    "part": part, "start": start, "end": reached, **about,
                    "informative": bool(row.get("informative", False)),
                    "published": here["published"].iloc[0], "failure": row.get("failure", "not run"),
                }
            )  # fmt: skip
    columns = [
        "spec", "variant", "definition", "link", "contrast", "part", "start", "end", "conf_low", "conf_high", "n_treated",
        "informative", "published", "failure",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def builds_figure(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw the estimate from build to build: a panel a definition, a line of panels a method.

    Dots are estimates with their intervals, bars what lies between them; the published difference is a dashed line.

    Args:
        frame: frame under the contract ``wong_builds``.
        note: printed below.

    Raises:
        StudyError: no build was estimated.
    """
    rows = builds_rows(frame)
    if rows["end"].notna().sum() == 0:
        raise StudyError("no estimate under any build", "the spec of builds run", "wong_builds")
    variants = list(dict.fromkeys(rows["variant"]))
    definitions = sorted(dict.fromkeys(rows["definition"]), key=words.definition_rank)
    below = look.note_height(note)
    line, head, title, gap, axis = 0.27, 0.24, 0.34, 0.16, 0.42
    panel = line * len(CHAIN)
    height = head + len(variants) * (title + panel) + (len(variants) - 1) * gap + axis + below
    left, between, right = 1.5, 0.1, 0.08
    width = (look.WIDTH - left - right - between * (len(definitions) - 1)) / len(definitions)
    reach = _reach(rows)
    with look.style():
        fig = look.figure(height)
        for i, variant in enumerate(variants):
            bottom = height - head - (i + 1) * (title + panel) - i * gap
            for j, definition in enumerate(definitions):
                here = rows[(rows["variant"] == variant) & (rows["definition"] == definition)]
                x = (left + j * (width + between)) / look.WIDTH
                axes = fig.add_axes((x, bottom / height, width / look.WIDTH, panel / height))
                _panel(axes, here, reach)
                axes.tick_params(labelbottom=i == len(variants) - 1)
                said = "\n".join(
                    textwrap.wrap(words.definition_label(definition), max(8, int(width * 15)))[:2]
                )
                axes.set_title(said, fontsize=6.4, fontweight="normal", loc="center", pad=3, linespacing=1.1)
                if j == 0:
                    axes.set_yticks(range(len(CHAIN)), [label for *_, label in CHAIN])
                    axes.tick_params(axis="y", length=0, labelsize=6.0)
                    for tick, (contrast, part, _) in zip(axes.get_yticklabels(), CHAIN, strict=True):
                        if contrast == of.OF_BUILDS:
                            tick.set_color(INKS[part])
                            tick.set_fontweight("bold")
            fig.text(0.008, (bottom + panel + 0.08) / height, variant_label(variant), fontsize=7.4, fontweight="bold",
                     ha="left", va="bottom")  # fmt: skip
        middle = (left + (look.WIDTH - left - right) / 2) / look.WIDTH
        fig.text(middle, (below + 0.08) / height, "Treated less comparison counties, reported offences per 10,000",
                 ha="center", va="bottom", fontsize=7.2)  # fmt: skip
        published = words.number(rows["published"].iloc[0], 1)
        handles = [
            Line2D([], [], color=look.ROLES["mark"], marker="o", markersize=3.6, linewidth=1.1, label="estimate, 95 % interval"),
            Patch(color=LESS, label="what takes it down"),
            Patch(color=MORE, label="what takes it up"),
            Line2D([], [], color=look.ROLES["published"], linestyle=(0, (3, 2)), linewidth=1.0, label=f"published, {published}"),
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper right", bbox_to_anchor=(1.0, 1.0), ncols=4, fontsize=6.6, columnspacing=1.5,
                   handlelength=1.6, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _reach(rows: pd.DataFrame) -> tuple[float, float]:
    """Ends of the common scale: all estimates and the published one, and intervals up to a limit."""
    points = rows[["start", "end", "published"]].to_numpy(dtype=float)
    ends = rows[["conf_low", "conf_high"]].to_numpy(dtype=float)
    points, ends = points[np.isfinite(points)], ends[np.isfinite(ends)]
    farthest = REACH * np.abs(points).max()
    ends = ends.clip(-farthest, farthest)
    low, high = min([*points, *ends, 0.0]), max([*points, *ends, 0.0])
    room = 0.04 * (high - low)
    return float(low - room), float(high + room)


def _panel(axes: Axes, rows: pd.DataFrame, reach: tuple[float, float]) -> None:
    axes.set_xlim(*reach)
    axes.set_ylim(len(CHAIN) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    look.zero_line(axes, vertical=True)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}".replace("-", words.MINUS))
    axes.tick_params(axis="x", labelsize=6.0)
    if rows.empty:
        axes.text(0.5, 0.5, NOT_ESTIMATED, transform=axes.transAxes, fontsize=6, ha="center", va="center", color="#6E6E6E")  # fmt: skip
        return
    axes.axvline(rows["published"].iloc[0], color=look.ROLES["published"], linewidth=1.0, linestyle=(0, (3, 2)), zorder=2)  # fmt: skip
    for r in rows.to_dict("records"):
        at = int(r["link"])
        if not np.isfinite(r["end"]):
            if r["contrast"] == of.OF_BUILDS:
                axes.text(0.98, at, NOT_ESTIMATED, transform=axes.get_yaxis_transform(), fontsize=5.6, ha="right",
                          va="center", color="#6E6E6E")  # fmt: skip
            continue
        # Thin lines carry a value from one link of the chain to the next.
        if at + 1 < len(CHAIN):
            axes.vlines(r["end"], at, at + 1, color=look.ROLES["mark"], linewidth=0.5, zorder=2)
        if r["contrast"] != of.OF_BUILDS:
            change = r["end"] - r["start"]
            axes.barh(
                at,
                change,
                left=r["start"],
                height=0.5,
                color=LESS if change < 0 else MORE,
                zorder=3,
                linewidth=0,
            )
            continue
        ink = INKS[r["part"]]
        if np.isfinite(r["conf_low"]) and np.isfinite(r["conf_high"]):
            look.cut_span(axes, at, (r["conf_low"], r["conf_high"]), reach, ink)
        axes.plot([r["end"]], [at], marker="o", markersize=3.8, color=ink, zorder=5, markeredgewidth=0.9,
                  markerfacecolor=ink if r["informative"] else "white")  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Table
# --------------------------------------------------------------------------------------------------------


def builds_table(frame: pd.DataFrame) -> Table:
    """Return every specification under the three builds, what lies between them, and what is the share's.

    Args:
        frame: frame under the contract ``wong_builds``.
    """
    f = require(frame, FRAME)
    cells: list[list[str]] = []
    for (variant, definition, _), here in f.groupby(["variant", "definition", "spec"], sort=False):
        by = {(r["contrast"], r["part"]): r for r in here.to_dict("records")}
        cells.append(
            [
                variant_label(variant),
                words.definition_label(definition),
                *(estimate_cell(by.get((of.OF_BUILDS, b))) for b in (of.POLICED, of.OUTSIDE, of.AGENCIES)),
                parts_cell(by, A_TO_B, of.PARTS),
                parts_cell(by, A_TO_C, (of.SAMPLE, of.DIVISION)),
                parts_cell(by, of.OF_SHARE, (of.RATE, of.SHARE)),
                estimate_cell(by.get((of.SHARE_HELD, of.AGENCIES))),
            ]
        )
    names = [row[0] for row in cells]
    for at in range(1, len(cells)):
        if names[at] == names[at - 1]:
            cells[at][0] = ""
    heads = (
        ("Method", "l", 0.9),
        ("Definition", "l", 1.2),
        ("a: all agencies, residents policed", "r", 1.35),
        ("c: county agencies, outside cities", "r", 1.35),
        ("b: county agencies, whole county", "r", 1.35),
        ("a to b: counties, offences, people", "r", 1.25),
        ("a to c: counties, offences with people", "r", 1.0),
        ("b: by rate, by share", "r", 0.9),
        ("b, share held", "r", 1.3),
    )
    columns = [(*head, [row[at] for row in cells]) for at, head in enumerate(heads)]
    published = words.number(f["published"].iloc[0], 1) if len(f) else words.MISSING
    notes = [
        "Treated less comparison counties, reported offences per 10,000 residents, with 95 % intervals clustered by "
        f"state; the published difference is {published}, arson counted. {CAUTION} Method: nearest neighbour unless said "
        "otherwise. * different from zero; = equivalent to zero; without a mark inconclusive; § not informative and ‡ no "
        "verdict: neither is read as a finding; – not estimated.",
        "a to b, a to c: what takes an estimate from one build to the other. Counties: from those of the first build to "
        "those with both, and from there to those of the second, since a county without a county agency has no offences of "
        "one to put in (missing, not zero). Offences and people: on the counties with both, in both orders, averaged; the "
        "parts add up to the difference. On the way from a to c they are told together: either alone sets the offences of "
        "cities beside people who live outside them.",
        "b by rate and by share: a rate over the whole county is the rate outside cities times the share of residents there. "
        "With the weights of the comparison the difference splits into that of the rates and that of the shares, each at the "
        "mean of the other. They add up to b on the counties that have c as well; where hardly anybody lives outside cities b "
        "is near zero and c has no rate. Share held: the share of residents under county policing among "
        "the covariates.",
    ]
    return build("Builds of a county's crime rate, and what lies between them", f, columns, notes)


def estimate_cell(row: Mapping[Any, Any] | None) -> str:
    """Return an estimate with its interval and mark as printed; a dash where there is none.

    Example:
        >>> estimate_cell({"estimate": -7.73, "conf_low": -27.6, "conf_high": 12.1, "precision": "inconclusive", "failure": ""})
        '−7.7 (−27.6 to 12.1)'
    """
    if row is None or row["failure"] or words.is_missing(row["estimate"]):
        return words.MISSING + MARKS[NOT_ESTIMATED]
    ends = words.interval(row["conf_low"], row["conf_high"], 1)
    return f"{words.number(row['estimate'], 1)} ({ends}){MARKS[str(row['precision'] or NO_VERDICT)]}"


def parts_cell(by: Mapping[tuple[str, str], Mapping[Any, Any]], contrast: str, parts: Sequence[str]) -> str:
    """Return parts with their signs, in one cell.

    Args:
        by: contrast and part to row.
        contrast: of the rows.
        parts: in the order printed.
    """
    values = [by.get((contrast, part), {}).get("estimate", np.nan) for part in parts]
    return ", ".join(words.number(v, 1, sign=True) for v in values)

"""Figures and tables of coverage and of California: what the unreported could hide, and what one state does.

Every number is in per cent of a mean before adoption: of coverage of the sample's own, of California of the one with
California, so that the rows of a design are on one scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.base.errors import StudyError
from analysis.evidence.checks import california as state
from analysis.evidence.checks import coverage_bounds as of
from analysis.evidence.verdict import NOT_INFORMATIVE
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]

BOUNDS = Frame("coverage_bounds", dict.fromkeys(of.COLUMNS, "see `coverage_bounds`"))
BREAKS = Frame("coverage_breaks", dict.fromkeys(of.BREAKS, "see `coverage_breaks`"))
COUNTS = Frame("unreported", dict.fromkeys(of.COUNTS, "see `unreported`"))
CALIFORNIA = Frame("california", dict.fromkeys(state.COLUMNS, "see `california`"))

# Variation of the spec -> the design in words.
DESIGNS: Mapping[str, str] = {
    variant or "group-time": name for variant, name in words.HEADLINE_DESIGNS.items()
}
SAMPLES: Mapping[str, str] = {
    of.COVERED: "agencies of 90 % of residents report",
    of.EVERYBODY: "no coverage rule",
}
ASSUMPTIONS: Mapping[str, str] = {
    of.AS_REPORTED: "as those who reported",
    of.NOTHING: "no offence, up to as reported",
    of.CLASS: "10th to 90th percentile of class",
    of.OWN: "own lowest to highest full year",
    of.TWICE: "half to twice as reported",
}
WINDOWS: Mapping[str, str] = {
    state.FULL_WINDOW: "All years",
    state.TO_2014_ADOPTION: "To 2014, year of adoption treated",
    state.TO_2014: "To 2014, year of adoption dropped",
}
# With and without California are one estimate.
EITHER = "either"
AREAS: Mapping[str, str] = {
    EITHER: "with or without: the same",
    state.IN: "with California",
    state.OUT: "without it",
    state.DIFFERENCE: "difference",
    state.APART: "California against itself",
    state.ALONE: "California alone",
}
# Over a panel of a figure.
SHORT: Mapping[str, str] = {
    of.COVERED: "agencies of 90 % report",
    of.EVERYBODY: "no coverage rule",
    state.FULL_WINDOW: "all years",
    state.TO_2014_ADOPTION: "to 2014",
}
ARMS: Mapping[str, str] = {"treated": "Treated", "comparison": "Comparison"}
INKS: Mapping[str, str] = {of.COVERED: look.ROLES["between"], of.EVERYBODY: look.ROLES["within"]}
AREA_INKS: Mapping[str, str] = {
    EITHER: look.ROLES["matched"],
    state.IN: look.ROLES["between"],
    state.OUT: look.ROLES["within"],
    state.DIFFERENCE: look.OKABE_ITO["black"],
}
AREA_MARKERS: Mapping[str, str] = {EITHER: "^", state.IN: "o", state.OUT: "s", state.DIFFERENCE: "D"}
# Share of interval ends that a scale holds; arrows mark those that go on.
REACH = 0.93
FAINT = 0.4

BOUNDS_NOTE = (
    "Thick: from the smallest to the largest estimate when the rate of residents whose agencies did not report lies anywhere "
    "in the named range, county-year by county-year. Thin: 95 % intervals of Imbens and Manski around those ends. Dots: "
    "unreported residents fared as reported ones; ticks: all of them at the lowest, all at the highest. Covariates are left out, "
    "so that each estimate is a weighted sum of rates. Per cent of the treated areas' mean before adoption; scales differ "
    "between the two samples."
)
CALIFORNIA_NOTE = (
    "95 % intervals; per cent of the mean before adoption with California, so that differences are differences. The error of a "
    "difference is of both estimates' influence taken together. To 2014: the year of adoption counts as "
    "treated. With or without: no county of California enters, for none is left there to compare with. Faint: not "
    "informative."
)


# --------------------------------------------------------------------------------------------------------
# Coverage
# --------------------------------------------------------------------------------------------------------


def bounds_rows(bounds: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `bounds_plot`: one row a design, outcome, sample and assumption.

    Args:
        bounds: frame under the contract ``coverage_bounds``.
    """
    f = require(bounds, BOUNDS)
    columns = [
        "design", "measure", "sample", "assumption", "percent_estimate", "percent_alike_low", "percent_alike_high",
        "percent_after_low", "percent_after_high", "percent_low", "percent_high", "percent_conf_low", "percent_conf_high",
        "n_treated", "n_states", "unreported", "failure", "spec",
    ]  # fmt: skip
    return _in_order(f[f["failure"] == ""])[columns]


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    rank = rows["design"].map({name: i for i, name in enumerate(DESIGNS)}).fillna(len(DESIGNS))
    return rows.iloc[np.argsort(rank.to_numpy(), kind="stable")].reset_index(drop=True)


def bounds_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = BOUNDS_NOTE) -> Figure:
    """Draw what unreported residents could do to each estimate: bounds, their intervals, and the estimate as reported.

    Args:
        rows: from `bounds_rows`.
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: nothing to draw.
    """
    if rows.empty:
        raise StudyError("no bounds to draw", "a specification that is linear in the outcome")
    panels = [
        (m, s) for m in dict.fromkeys(rows["measure"]) for s in SAMPLES if _any(rows, measure=m, sample=s)
    ]
    there = set(zip(rows["design"], rows["assumption"], strict=True))
    keys = [(d, a) for d in dict.fromkeys(rows["design"]) for a in ASSUMPTIONS if (d, a) in there]
    places, titles, end = _lines(keys)
    with look.style():
        fig, axes = _sheet(len(panels), end, note, left=1.86, head=0.42)
        for ax, (measure, sample) in zip(axes, panels, strict=True):
            here = rows[(rows["measure"] == measure) & (rows["sample"] == sample)]
            # Both outcomes of one sample share a scale: it is in per cent of each's own mean.
            reach = _reach(rows[rows["sample"] == sample], ["percent_conf_low", "percent_conf_high"])
            _scale(ax, reach, end)
            for r in here.to_dict("records"):
                _dumbbell(ax, places[(str(r["design"]), str(r["assumption"]))], r, INKS[sample], reach)
        _heads(fig, axes, [(_head(m, labels), SHORT[s]) for m, s in panels])
        _names(fig, axes[0], places, titles, ASSUMPTIONS)
        _axis_title(fig, axes, "Change in reported crime, % of the mean before adoption")
        look.footnote(fig, note)
    return fig


def _dumbbell(axes: Axes, at: float, row: Mapping[Any, Any], ink: str, reach: float) -> None:
    low, high = float(row["percent_conf_low"]), float(row["percent_conf_high"])
    if np.isfinite(low) and np.isfinite(high):
        _span(axes, at, low, high, ink, reach, width=0.7)
    ends = (float(row["percent_low"]), float(row["percent_high"]))
    if ends[1] > ends[0]:
        axes.hlines(
            at, max(ends[0], -reach), min(ends[1], reach), color=ink, linewidth=2.6, alpha=0.55, zorder=3
        )
        for x in (float(row["percent_alike_low"]), float(row["percent_alike_high"])):
            if abs(x) <= reach:
                axes.plot(
                    [x], [at], marker="|", markersize=4.5, markeredgewidth=0.8, color="#1A1A1A", zorder=5
                )
    axes.plot([float(row["percent_estimate"])], [at], marker="o", markersize=2.6, color=ink, zorder=6,
              markeredgecolor="white", markeredgewidth=0.4)  # fmt: skip


def bounds_table(bounds: pd.DataFrame, breaks: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return bounds by design, sample and assumption, with what it would take for the estimate to be zero.

    Args:
        bounds: frame under the contract ``coverage_bounds``.
        breaks: frame under the contract ``coverage_breaks``.
        labels: measure to words.
    """
    f, k = _in_order(require(bounds, BOUNDS)), require(breaks, BREAKS)
    key = ["measure", "sample", "design"]
    order = f.drop_duplicates(key)[key].itertuples(index=False, name=None)
    rank = {m: i for i, m in enumerate(dict.fromkeys(f["measure"]))}
    keys = sorted(order, key=lambda one: (rank[one[0]], list(SAMPLES).index(one[1])))
    parts = [f[(f[key] == list(one)).all(axis=1)].set_index("assumption") for one in keys]
    found = [k[(k[key] == list(one)).all(axis=1)].iloc[0] for one in keys]
    failed = [f"{DESIGNS.get(d, d)}: {part['failure'].iloc[0]}" for (_, _, d), part in zip(keys, parts, strict=True) if part["failure"].iloc[0]]  # fmt: skip

    def ends(assumption: str, low: str, high: str) -> list[str]:
        return [
            words.interval(part.loc[assumption, low], part.loc[assumption, high], 1)
            if assumption in part.index
            else words.MISSING
            for part in parts
        ]

    def as_reported() -> list[str]:
        rows = [part.loc[of.AS_REPORTED] if of.AS_REPORTED in part.index else None for part in parts]
        return [
            words.MISSING
            if r is None
            else words.estimate_text(r["percent_estimate"], r["percent_conf_low"], r["percent_conf_high"], 1)
            for r in rows
        ]

    share = [part["unreported"].iloc[0] for part in parts]
    shared = {a: ends(a, "percent_low", "percent_high") for a in ASSUMPTIONS if a != of.AS_REPORTED}
    return build(
        "Unreported residents: bounds on the change in reported crime",
        f,
        [
            ("Outcome", "l", 0.9, words.once([_head(m, labels) for m, _, _ in keys])),
            ("Sample", "l", 1.1, words.once([SAMPLES[s] for _, s, _ in keys])),
            ("Design", "l", 1.3, [DESIGNS.get(d, d) for _, _, d in keys]),
            ("Unreported", "r", 0.7, [words.percent(v, 1) for v in share]),
            ("As reported", "r", 1.2, as_reported()),
            ("None to as reported", "r", 0.9, shared[of.NOTHING]),
            ("Percentiles", "r", 0.9, shared[of.CLASS]),
            ("Own years", "r", 0.9, shared[of.OWN]),
            ("Half to twice", "r", 0.9, shared[of.TWICE]),
            ("… interval", "r", 0.9, ends(of.TWICE, "percent_conf_low", "percent_conf_high")),
            ("Treated only", "r", 0.6, [_ratio(one["ratio_after"]) for one in found]),
            ("Worst case", "r", 0.6, [_ratio(one["factor"]) for one in found]),
        ],
        [
            "Per cent of the treated areas' mean before adoption. As reported: unreported residents fared as reported ones, with "
            "the 95 % interval. Then the smallest and the largest estimate when each county-year's unreported rate lies anywhere "
            "in the range named (percentiles: 10th to 90th of fully reporting counties of the class and year); … interval: of "
            "Imbens and Manski around the ends of half to twice.",
            "Last two columns, what would make the estimate zero. Treated only: the unreported rate of treated areas after "
            "adoption over the reported one, all else as reported (– where no rate would). Worst case: k, each county-year's "
            "unreported rate lying between 1/k and k times the reported one. Covariates are left out of every design.",
            *dict.fromkeys(failed),
        ],
    )  # fmt: skip


def _ratio(value: Any) -> str:
    if words.is_missing(value) or not np.isfinite(value) or value < 0:
        return words.MISSING
    return words.number(value, 2)


def counts_table(counts: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return unreported county-years and residents by arm, before and after.

    Args:
        counts: frame under the contract ``unreported``.
        labels: measure to words.
    """
    f = require(counts, COUNTS)
    areas = {"in": "", "out": ", without California"}
    return build(
        "Who is not reported: county-years and residents, before and after",
        f,
        [
            ("Outcome", "l", 1.0, words.once([_head(m, labels) for m in f["measure"]])),
            ("Sample", "l", 1.6, words.once([SAMPLES[s] + areas.get(c, "") for s, c in zip(f["sample"], f["california"], strict=True)])),
            ("Areas", "l", 0.9, words.once([ARMS[a] for a in f["arm"]])),
            ("Period", "l", 0.6, [str(p) for p in f["period"]]),
            ("Counties", "r", 0.7, [words.count(v) for v in f["counties"]]),
            ("County-years", "r", 0.8, [words.count(v) for v in f["county_years"]]),
            ("Nobody reports", "r", 0.8, [words.count(v) for v in f["county_years_unknown"]]),
            ("Below the rule", "r", 0.8, [words.count(v) for v in f["county_years_below"]]),
            ("In part", "r", 0.7, [words.count(v) for v in f["county_years_partial"]]),
            ("Resident-years, million", "r", 0.9, [words.number(v / 1e6, 1) for v in f["residents"]]),
            ("Unreported, million", "r", 0.9, [words.number(v / 1e6, 2) for v in f["residents_unreported"]]),
            ("Share", "r", 0.6, [words.percent(v, 1) for v in f["unreported"]]),
        ],
        [
            "Residents policed by an agency that does not report the offence. Treated areas are split at their own adoption, "
            f"comparison areas at {int(f['split_year'].iloc[0])}, the commonest first treated year. Below the rule: somebody "
            "reports, yet for fewer residents than the main sample asks. In part: at least as many, yet not all.",
        ],
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# California
# --------------------------------------------------------------------------------------------------------


def california_rows(found: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `california_plot`: with, without and the difference, where there is an interval.

    Args:
        found: frame under the contract ``california``.
    """
    f = require(found, CALIFORNIA)
    shown = (state.IN, state.OUT, state.DIFFERENCE)
    f = f[f["sample"].isin(shown) & f["measure"].isin(state.WINDOW_MEASURES) & (f["failure"] == "")]
    f = _without_repeats(f)
    windows = [state.FULL_WINDOW, state.TO_2014_ADOPTION]
    columns = [
        "design", "measure", "window", "sample", "percent_in", "percent_in_low", "percent_in_high", "n_treated", "n_states",
        "california_treated", "california_share", "precision", "spec",
    ]  # fmt: skip
    return _in_order(f[f["window"].isin(windows)])[columns]


def _without_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of California's frame with one row left of a design and window that is the same with and without."""
    key = ["spec", "window"]
    gap = rows[(rows["sample"] == state.DIFFERENCE) & (rows["failure"] == "")]
    # Nothing of two estimates differs where the error of their difference is zero.
    same = pd.MultiIndex.from_frame(gap.loc[gap["std_error"].eq(0), key])
    again = pd.MultiIndex.from_frame(rows[key]).isin(same) & rows["sample"].isin(
        [state.OUT, state.DIFFERENCE]
    )
    kept = rows[~again]
    one = pd.MultiIndex.from_frame(kept[key]).isin(same) & kept["sample"].eq(state.IN)
    return kept.assign(sample=kept["sample"].where(~one, EITHER))


def california_plot(
    rows: pd.DataFrame, labels: Labels | None = None, *, note: str = CALIFORNIA_NOTE
) -> Figure:
    """Draw each design with California, without it, and the difference.

    Args:
        rows: from `california_rows`.
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: nothing to draw.
    """
    if rows["percent_in"].notna().sum() == 0:
        raise StudyError("no estimate of any design", "the headline spec run")
    found = set(zip(rows["design"], rows["sample"], strict=True))
    panels = [
        (m, w) for m in dict.fromkeys(rows["measure"]) for w in WINDOWS if _any(rows, measure=m, window=w)
    ]
    places, titles, end = _lines([(d, s) for d in DESIGNS for s in AREA_INKS if (d, s) in found])
    with look.style():
        fig, axes = _sheet(len(panels), end, note, left=1.6, head=0.42)
        for ax, (measure, window) in zip(axes, panels, strict=True):
            here = rows[(rows["measure"] == measure) & (rows["window"] == window)]
            reach = _reach(rows[rows["measure"] == measure], ["percent_in_low", "percent_in_high"])
            _scale(ax, reach, end)
            for r in here.to_dict("records"):
                at = places[(str(r["design"]), str(r["sample"]))]
                ink, marker = AREA_INKS[str(r["sample"])], AREA_MARKERS[str(r["sample"])]
                low, high = float(r["percent_in_low"]), float(r["percent_in_high"])
                alpha = FAINT if r["precision"] == NOT_INFORMATIVE else 1.0
                if np.isfinite(low) and np.isfinite(high):
                    _span(ax, at, low, high, ink, reach, width=1.1, alpha=alpha)
                    if abs(float(r["percent_in"])) <= reach:
                        ax.plot([float(r["percent_in"])], [at], marker=marker, markersize=3.2, color=ink, alpha=alpha,
                                markerfacecolor="white" if r["sample"] == state.OUT else ink, zorder=6)  # fmt: skip
        _heads(fig, axes, [(_head(m, labels), SHORT[w]) for m, w in panels])
        _names(fig, axes[0], places, titles, AREAS)
        _axis_title(fig, axes, "Change in reported crime, % of the mean before adoption with California")
        look.footnote(fig, note)
    return fig


def california_table(found: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return every design with and without California, the difference, and who is left.

    Args:
        found: frame under the contract ``california``.
        labels: measure to words.
    """
    everything = _in_order(require(found, CALIFORNIA))
    f = _without_repeats(everything)
    measures = list(dict.fromkeys(f["measure"]))
    keys = list(dict.fromkeys(zip(f["window"], f["design"], f["sample"], strict=True)))
    keys.sort(key=lambda one: list(WINDOWS).index(one[0]))
    # Rows that came out for no outcome are told once, below.
    parts = [f[(f["window"] == w) & (f["design"] == d) & (f["sample"] == s)] for w, d, s in keys]
    kept = [(key, part) for key, part in zip(keys, parts, strict=True) if part["failure"].eq("").any()]
    refused: dict[str, list[str]] = {}
    for (window, design, sample), part in zip(keys, parts, strict=True):
        # Without either estimate there is no difference, which needs no reason of its own.
        if sample != state.DIFFERENCE and not part["failure"].eq("").any():
            area = AREAS[sample] if sample in (state.APART, state.ALONE) else "with and without California"
            years = WINDOWS[window][:1].lower() + WINDOWS[window][1:]
            why = f"{area}, {years}: {part['failure'].iloc[0].partition(';')[0]}"
            refused.setdefault(why, []).append(DESIGNS.get(design, design))
    first = {str(m): _numbers(f, str(m)) for m in measures}
    counts = [part[part["failure"] == ""] for _, part in kept]
    return build(
        "California in, out and against itself",
        everything,
        [
            ("Years", "l", 1.0, words.once([WINDOWS[w] for (w, _, _), _ in kept])),
            ("Design", "l", 1.3, words.once([DESIGNS.get(d, d) for (_, d, _), _ in kept])),
            ("Sample", "l", 1.1, [AREAS[s] for (_, _, s), _ in kept]),
            *((_head(str(m), labels), "r", 1.4, [first[str(m)].get(key, words.MISSING) for key, _ in kept]) for m in measures),
            ("Treated", "r", 0.6, [words.span(part["n_treated"]) for part in counts]),
            ("… in California", "r", 0.6, [words.span(part["california_treated"]) for part in counts]),
            ("States", "r", 0.5, [words.span(part["n_states"]) for part in counts]),
        ],
        [
            "Per cent of the mean before adoption with California (95 % intervals), so that the difference is the first row less "
            "the second; its error is of both estimates' influence by state taken together. § not informative (fewer than 20 "
            "treated areas, or fewer than six states).",
            *(f"Not estimated, {why} ({'; '.join(dict.fromkeys(designs))})." for why, designs in refused.items()),
        ],
    )  # fmt: skip


def _numbers(found: pd.DataFrame, measure: str) -> dict[tuple[str, str, str], str]:
    out = {}
    for r in found[(found["measure"] == measure) & (found["failure"] == "")].to_dict("records"):
        text = words.estimate_text(r["percent_in"], r["percent_in_low"], r["percent_in_high"], 1)
        mark = " §" if r["precision"] == NOT_INFORMATIVE else ""
        out[(str(r["window"]), str(r["design"]), str(r["sample"]))] = text + mark
    return out


# --------------------------------------------------------------------------------------------------------
# Parts of both
# --------------------------------------------------------------------------------------------------------


def _any(rows: pd.DataFrame, **where: str) -> bool:
    return bool((rows[list(where)] == list(where.values())).all(axis=1).any())


def _head(measure: str, labels: Labels | None) -> str:
    return label_of(measure, labels).replace(" (violent and property)", "")


def _lines(
    keys: Sequence[tuple[str, str]],
) -> tuple[dict[tuple[str, str], float], list[tuple[float, str]], float]:
    """Return the line of each design and row, each design's title line, and how many lines there are."""
    places: dict[tuple[str, str], float] = {}
    titles: list[tuple[float, str]] = []
    at = 0.0
    for i, (design, line) in enumerate(keys):
        if i == 0 or design != keys[i - 1][0]:
            at += 0.35 if i else 0.0
            titles.append((at, DESIGNS.get(design, design)))
            at += 1
        places[(design, line)] = at
        at += 1
    return places, titles, at


def _sheet(number: int, end: float, note: str, *, left: float, head: float) -> tuple[Figure, list[Axes]]:
    line, axis, gap, right = 0.118, 0.42, 0.14, 0.06
    below = look.note_height(note)
    panel = line * end
    height = head + panel + axis + below
    fig = look.figure(height)
    width = (look.WIDTH - left - right - gap * (number - 1)) / number
    return fig, [
        fig.add_axes(
            (
                (left + i * (width + gap)) / look.WIDTH,
                (below + axis) / height,
                width / look.WIDTH,
                panel / height,
            )
        )
        for i in range(number)
    ]


def _reach(rows: pd.DataFrame, ends: list[str]) -> float:
    """Return how far a scale runs either way of zero."""
    found = np.abs(rows[ends].to_numpy(dtype=float))
    found = found[np.isfinite(found)]
    return float(np.quantile(found, REACH)) * 1.05 if len(found) else 50.0


def _scale(axes: Axes, reach: float, end: float) -> None:
    look.zero_line(axes, vertical=True)
    axes.axvspan(-5, 5, color="#EFEFEF", zorder=0)
    axes.set_xlim(-reach * 1.04, reach * 1.04)
    axes.set_ylim(end - 0.4, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.set_xticks(
        [t for t in MaxNLocator(5, symmetric=True).tick_values(-reach, reach) if abs(t) < 0.95 * reach]
    )
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
    axes.tick_params(axis="x", labelsize=6.2)


def _span(
    axes: Axes,
    at: float,
    low: float,
    high: float,
    ink: str,
    reach: float,
    *,
    width: float,
    alpha: float = 1.0,
) -> None:
    look.cut_span(axes, at, (low, high), (-reach, reach), ink, alpha=alpha, width=width, arrow=2.6, zorder=2)


def _names(
    fig: Figure,
    axes: Axes,
    places: Mapping[tuple[str, str], float],
    titles: Sequence[tuple[float, str]],
    lines: Mapping[str, str],
) -> None:
    """Write designs and rows at the left of the first panel."""
    box = axes.get_position()
    low, high = sorted(axes.get_ylim())

    def height(at: float) -> float:
        return float(box.y1 - (at - low) / (high - low) * box.height)

    for at, title in titles:
        fig.text(0.008, height(at), title, fontsize=6.8, fontweight="bold", ha="left", va="center")
    for (_, line), at in places.items():
        fig.text(0.024, height(at), lines[line], fontsize=6.0, ha="left", va="center", color="#333333")


def _heads(fig: Figure, axes: Sequence[Axes], heads: Sequence[tuple[str, str]]) -> None:
    """Write an outcome once over its panels, and what tells them apart over each."""
    for ax, (_, apart) in zip(axes, heads, strict=True):
        ax.set_title(apart, fontsize=6.4, fontweight="normal", pad=3, loc="center")
    for outcome in dict.fromkeys(one for one, _ in heads):
        boxes = [ax.get_position() for ax, (one, _) in zip(axes, heads, strict=True) if one == outcome]
        top = boxes[0].y1 + 0.2 / float(fig.get_size_inches()[1])
        middle = (boxes[0].x0 + boxes[-1].x1) / 2
        fig.text(middle, top, outcome, fontsize=7.4, fontweight="bold", ha="center", va="bottom")


def _axis_title(fig: Figure, axes: Sequence[Axes], text: str) -> None:
    first, last = axes[0].get_position(), axes[-1].get_position()
    low = first.y0 - 0.34 / float(fig.get_size_inches()[1])
    fig.text((first.x0 + last.x1) / 2, low, text, ha="center", va="bottom", fontsize=7.0)

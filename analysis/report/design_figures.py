"""Figures of the panel designs: event studies by estimator, all designs side by side, every offence, single areas."""

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
from analysis.design.design import FEWEST_TREATED
from analysis.estimation.estimate import LEAD
from analysis.evidence.matches import variant_of
from analysis.evidence.verdict import NOT_INFORMATIVE
from analysis.report import design_tables as of
from analysis.report import style as look
from analysis.report import words
from analysis.report.figures import drawn
from analysis.report.frames import require
from analysis.report.tables import label_of

Labels = Mapping[str, str]

# Share of interval ends that a scale holds; arrows mark those that go on.
REACH = 0.96
FAINT = 0.4
INKS: Mapping[str, str] = {
    of.ALONE: look.OKABE_ITO["black"],
    of.ALL: look.ROLES["between"],
    of.ALIKE: look.ROLES["matched"],
    of.CLASSES: look.OKABE_ITO["purple"],
    of.STATES: look.ROLES["within"],
    of.BORDERS: look.OKABE_ITO["orange"],
    of.MIXED: look.OKABE_ITO["sky"],
}
PERCENT = ("percent", "percent_low", "percent_high")


def _mark(
    axes: Axes,
    at: float,
    row: Mapping[Any, Any],
    ink: str,
    reach: float,
    *,
    marker: str,
    filled: bool,
    size: float,
) -> None:
    """Draw one estimate with its interval on a line, cut at the scale's reach; faint where it is not informative."""
    value, low, high = (float(row[name]) for name in PERCENT)
    if not (np.isfinite(value) and np.isfinite(low) and np.isfinite(high)):
        # A point without an interval would look more certain than one with it.
        return
    alpha = FAINT if str(row["verdict"]) == NOT_INFORMATIVE else 1.0
    look.cut_span(axes, at, (low, high), (-reach, reach), ink, alpha=alpha)
    if abs(value) <= reach:
        axes.plot([value], [at], marker=marker, markersize=size, color=ink, alpha=alpha, zorder=4,
                  markerfacecolor=ink if filled else "white", markeredgewidth=0.8)  # fmt: skip


def _reach(rows: pd.DataFrame) -> float:
    """Return how far a scale of percentages runs either way of zero."""
    ends = np.abs(rows[["percent_low", "percent_high"]].to_numpy(dtype=float))
    ends = ends[np.isfinite(ends)]
    return float(np.quantile(ends, REACH)) * 1.05 if len(ends) else 50.0


def _scale(axes: Axes, reach: float, *, size: float, bins: int) -> None:
    look.zero_line(axes, vertical=True)
    axes.axvspan(-5, 5, color="#EFEFEF", zorder=0)
    axes.set_xlim(-reach * 1.04, reach * 1.04)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.set_xticks(
        [t for t in MaxNLocator(bins, symmetric=True).tick_values(-reach, reach) if abs(t) < 0.9 * reach]
    )
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
    axes.tick_params(axis="x", labelsize=size)


def _title(measure: str, labels: Labels | None) -> str:
    return label_of(measure, labels).replace(" (violent and property)", "")


# --------------------------------------------------------------------------------------------------------
# All designs side by side
# --------------------------------------------------------------------------------------------------------


def designs_rows(results: pd.DataFrame, family: str = of.DESIGNS) -> pd.DataFrame:
    """Return the numbers of `designs_plot`: one row a design, outcome and California, averaged by residents.

    Args:
        results: frame under the contract ``designs`` of `analysis.report.design_tables`.
        family: name of the spec.
    """
    rows = of.main_weights(of.design_rows(results, family))
    columns = [
        "group", "variant", "label", "measure", "california", "weights", *PERCENT, "n_treated", "n_comparison", "n_states",
        "states_identifying", "effective_clusters", "vcov", "by", "verdict", "failure", "spec",
    ]  # fmt: skip
    return rows[columns]


def designs_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw one question under every design: dots and intervals, outcomes side by side, who identifies at the margin.

    Args:
        rows: from `designs_rows`.
        labels: measure to words.
        note: printed below.

    Returns:
        The figure: designs by what treated areas are compared with; filled marks with California, hollow ones without;
        treated areas and states with California at the right.

    Raises:
        StudyError: no estimate to draw.
    """
    if rows["percent"].notna().sum() == 0:
        raise StudyError("no estimate of any design", "the spec of designs run")
    measures = list(dict.fromkeys(rows["measure"]))
    places, titles, end = _places(rows)
    line, head, axis = 0.165, 0.56, 0.44
    below = look.note_height(note)
    panel = line * end
    height = head + panel + axis + below
    left, gap, right = 2.0, 0.1, 0.98
    width = (look.WIDTH - left - right - gap * (len(measures) - 1)) / len(measures)
    with look.style():
        fig = look.figure(height)
        bottom = (below + axis) / height
        for i, measure in enumerate(measures):
            here = rows[rows["measure"] == measure]
            axes = fig.add_axes(
                ((left + i * (width + gap)) / look.WIDTH, bottom, width / look.WIDTH, panel / height)
            )
            reach = _reach(here)
            _scale(axes, reach, size=6.3, bins=6)
            axes.set_ylim(end - 0.5, -0.5)
            for r in here.to_dict("records"):
                at = places[(str(r["group"]), str(r["variant"]))]
                inside = str(r["california"]) == "in"
                _mark(axes, at + (-0.17 if inside else 0.17), r, INKS[str(r["group"])], reach, marker="o",
                      filled=inside, size=3.4)  # fmt: skip
            for key, said in _without(here, places).items():
                axes.text(0, places[key], said, fontsize=5.6, ha="center", va="center", color="#6E6E6E",
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
            axes.set_title(_title(measure, labels), fontsize=7.2, pad=4, loc="center")
        side = fig.add_axes((0.0, bottom, 1.0, panel / height), zorder=-1)
        side.set_xlim(0, look.WIDTH)
        side.set_ylim(end - 0.5, -0.5)
        side.axis("off")
        _side(side, rows, places, titles)
        fig.text(
            (left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.1) / height,
            "Change in reported crime, % of the mean before adoption", ha="center", va="bottom", fontsize=7.2,
        )  # fmt: skip
        fig.legend(handles=_california_key("o"), loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=6.7,
                   columnspacing=1.6, handlelength=2.0, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _places(rows: pd.DataFrame) -> tuple[dict[tuple[str, str], float], list[tuple[float, str]], float]:
    """Return each design's line, each group's title line, and how many lines there are."""
    places: dict[tuple[str, str], float] = {}
    titles: list[tuple[float, str]] = []
    at = 0.0
    for group in (g for g in of.GROUPS if (rows["group"] == g).any()):
        at += 0.25 if titles else 0.0
        titles.append((at, group))
        at += 1
        for variant in dict.fromkeys(rows.loc[rows["group"] == group, "variant"]):
            places[(group, str(variant))] = at
            at += 1
    return places, titles, at


def _without(rows: pd.DataFrame, places: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], str]:
    """Return the designs without a mark, and what to say of each."""
    keys = list(zip(rows["group"], rows["variant"], strict=True))
    estimated, bounded = (
        {key for key, there in zip(keys, known, strict=True) if there}
        for known in (rows["percent"].notna(), np.isfinite(rows[list(PERCENT)].to_numpy(float)).all(axis=1))
    )
    return {
        key: "no interval" if key in estimated else of.NOT_ESTIMATED for key in places if key not in bounded
    }


def _side(
    axes: Axes,
    rows: pd.DataFrame,
    places: Mapping[tuple[str, str], float],
    titles: Sequence[tuple[float, str]],
) -> None:
    columns = {"treated\nareas": look.WIDTH - 0.58, "states": look.WIDTH - 0.1}
    for at, title in titles:
        axes.text(0.04, at, title, fontsize=6.8, fontweight="bold", va="center", color=INKS[title])
    for name, x in columns.items():
        axes.text(x, -0.55, name, fontsize=6, ha="right", va="bottom", color="#333333", linespacing=1.0)
    inside = rows[rows["california"] == "in"] if (rows["california"] == "in").any() else rows
    for (group, variant), at in places.items():
        part = rows[(rows["group"] == group) & (rows["variant"] == variant)]
        counted = inside[(inside["group"] == group) & (inside["variant"] == variant)]
        axes.text(0.12, at, str(part["label"].iloc[0]), fontsize=6.5, va="center")
        for (_, x), name in zip(columns.items(), ("n_treated", "n_states"), strict=True):
            said = words.span(counted[name]).replace(" to ", "-")
            axes.text(x, at, said, fontsize=6.2, ha="right", va="center", color="#333333")
        axes.axhline(at, color="#F3F3F3", linewidth=0.5, zorder=0)


def _california_key(marker: str, ink: str = "#4D4D4D") -> list[Any]:
    return [
        Line2D([], [], color=ink, marker=marker, markersize=3.8, linewidth=1.1, label=f"{said} California",
               markerfacecolor=ink if said == "with" else "white", markeredgewidth=0.8)
        for said in ("with", "without")
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Event studies of estimators
# --------------------------------------------------------------------------------------------------------

EVENT_VARIANTS = (
    "two-way-dynamic",
    "",
    "interaction-weighted",
    "imputation",
    "two-stage",
    "stacked",
    "extended",
    "local-projections",
    "adjusted-doubly-robust",
    "group-time-class",
    "group-time-state",
    "imputation-state",
)
EVENT_COLUMNS = ("estimate", "conf_low", "conf_high", "band_low", "band_high")


def event_rows(
    results: pd.DataFrame, family: str = of.DESIGNS, variants: Sequence[str] = EVENT_VARIANTS
) -> pd.DataFrame:
    """Return the numbers of `event_grid`: one row an estimator, outcome and event time; averaged by residents.

    Args:
        results: frame under the contract ``designs`` of `analysis.report.design_tables`.
        family: name of the spec.
        variants: which of its variations, in the order drawn; those without event times are left out.

    Returns:
        variant, group, label, measure, unit, event_time, own_base (True for a lead that has no base period in common
        with the others: rule 13), reference (True for the period that is zero by construction, a row of its own),
        estimate with interval and band, n_treated, baseline, inference, spec.

    Raises:
        StudyError: no event times.
    """
    f = require(results, of.RESULTS)
    f = f[(f["estimand"] == "event_time") & (f["spec"].astype(str).str.split("/").str[0] == family)]
    f = f.assign(variant=[variant_of(str(name)) for name in f["spec"]])
    f = of.main_weights(f[f["variant"].isin(list(variants)) & f["california"].ne("out")])
    if f.empty:
        raise StudyError(f"no event times of '{family}'", "dynamic estimates among the results")
    f["group"] = [of.group_of(r) for r in f.to_dict("records")]
    f["label"] = [of.label_of_variant(str(v)) for v in f["variant"]]
    f["own_base"] = f["term"].astype(str).str.startswith(LEAD)
    columns = ["variant", "group", "label", "measure", "unit", "event_time", "own_base", "reference", *EVENT_COLUMNS,
               "n_treated", "baseline", "inference", "spec"]  # fmt: skip
    parts = []
    for variant in (v for v in variants if (f["variant"] == v).any()):
        for _, part in f[f["variant"] == variant].assign(reference=False).groupby("measure", sort=False):
            rows = part[columns].astype({"event_time": int})
            zero = _reference(rows)
            if zero is not None:
                about = [
                    "variant",
                    "group",
                    "label",
                    "measure",
                    "unit",
                    "own_base",
                    "baseline",
                    "inference",
                    "spec",
                ]
                fixed = {name: rows.iloc[0][name] for name in about} | {"own_base": False}
                fixed |= {"event_time": zero, "reference": True, "estimate": 0.0}
                rows = pd.concat([rows, pd.DataFrame([fixed])], ignore_index=True)
            parts.append(rows.sort_values("event_time", kind="stable"))
    return pd.concat(parts, ignore_index=True)


def _reference(rows: pd.DataFrame) -> int | None:
    """Return the period left out of an event study with leads: zero by construction, hence never a row."""
    times = set(rows["event_time"])
    gaps = [t for t in range(min(times), 0) if t not in times]
    return max(gaps) if gaps and not rows["own_base"].any() else None


def event_grid(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw event studies of estimators as small multiples: a line of panels an estimator, a column an outcome.

    Args:
        rows: from `event_rows`.
        labels: measure to words.
        note: printed below.

    Returns:
        The figure. Panels of a column share both axes, which hold nearly all intervals; what goes on is cut. Hollow
        marks: the reference period; crosses: leads without a base period in common with the rest.
    """
    measures = list(dict.fromkeys(rows["measure"]))
    lines = list(dict.fromkeys(zip(rows["group"], rows["variant"], strict=True)))
    per, gap, head, axis = 0.62, 0.07, 0.42, 0.42
    below = look.note_height(note)
    height = head + len(lines) * (per + gap) + axis + below
    left, middle, right = 1.72, 0.5, 0.06
    width = (look.WIDTH - left - right - middle * (len(measures) - 1)) / len(measures)
    with look.style():
        fig = look.figure(height)
        for j, measure in enumerate(measures):
            here = rows[rows["measure"] == measure]
            shown = here[here["reference"].astype(bool) | drawn(here)]
            low, high = int(shown["event_time"].min()), int(shown["event_time"].max())
            ends = np.abs(shown[["conf_low", "conf_high"]].to_numpy(dtype=float))
            ends = ends[np.isfinite(ends)]
            reach = float(np.quantile(ends, REACH)) * 1.1 if len(ends) else 1.0
            for i, (group, variant) in enumerate(lines):
                y = (height - head - (i + 1) * (per + gap) + gap) / height
                x = (left + j * (width + middle)) / look.WIDTH
                axes = fig.add_axes((x, y, width / look.WIDTH, per / height))
                part = here[(here["group"] == group) & (here["variant"] == variant)]
                _event_panel(axes, part, INKS[group], reach)
                axes.set_xlim(low - 0.5, high + 0.5)
                axes.set_ylim(-reach, reach)
                axes.set_xticks(
                    range(low, high + 1), [str(t).replace("-", words.MINUS) for t in range(low, high + 1)]
                )
                axes.yaxis.set_major_locator(MaxNLocator(3, symmetric=True))
                axes.yaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
                axes.tick_params(axis="both", labelsize=6, length=1.5, pad=1.5)
                if i < len(lines) - 1:
                    axes.tick_params(axis="x", labelbottom=False)
                if i == 0:
                    axes.set_title(_title(measure, labels), fontsize=7.4, pad=5)
        for i, (group, variant) in enumerate(lines):
            part = rows[(rows["group"] == group) & (rows["variant"] == variant)]
            y = (height - head - i * (per + gap) - 0.1) / height
            treated = words.span(part.groupby("measure")["n_treated"].max())
            fig.text(0.008, y, str(part["label"].iloc[0])[:1].upper() + str(part["label"].iloc[0])[1:], fontsize=6.8,
                     fontweight="bold", va="top", color=INKS[group])  # fmt: skip
            fig.text(0.008, y - 0.13 / height, group.lower(), fontsize=6.2, va="top", color="#333333")
            fig.text(
                0.008, y - 0.25 / height, f"{treated} treated areas", fontsize=6.2, va="top", color="#333333"
            )
        fig.text(
            (left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.08) / height,
            "Years since the first full year of the policy (0 = first full year)", ha="center", va="bottom", fontsize=7.2,
        )  # fmt: skip
        units = "; ".join(dict.fromkeys(str(unit) for unit in rows["unit"]))
        fig.text(
            0.008, 1 - 0.05 / height, units[:1].upper() + units[1:], fontsize=6.6, va="top", color="#333333"
        )
        look.footnote(fig, note)
    return fig


def _event_panel(axes: Axes, rows: pd.DataFrame, ink: str, reach: float) -> None:
    look.zero_line(axes)
    axes.axvline(-0.5, color=look.ROLES["mark"], linewidth=0.6, linestyle=(0, (3, 2)), zorder=1)
    shown = rows[~rows["reference"].astype(bool) & drawn(rows)]
    for r in shown.to_dict("records"):
        x, alpha = float(r["event_time"]), 1.0 if r["n_treated"] >= FEWEST_TREATED else FAINT
        ends = [float(np.clip(r[name], -reach, reach)) for name in EVENT_COLUMNS[1:]]
        axes.vlines(x, ends[2], ends[3], color=ink, linewidth=0.7, alpha=0.75 * alpha, zorder=2)
        axes.vlines(x, ends[0], ends[1], color=ink, linewidth=2.2, alpha=0.5 * alpha, zorder=3)
        if abs(float(r["estimate"])) <= reach:
            marker = "x" if r["own_base"] else "o"
            axes.plot([x], [r["estimate"]], marker=marker, linestyle="none", color=ink, markersize=3.0, alpha=alpha,
                      zorder=4, markeredgewidth=0.9 if r["own_base"] else 0)  # fmt: skip
    for at in rows.loc[rows["reference"].astype(bool), "event_time"]:
        axes.plot([at], [0.0], marker="o", linestyle="none", markersize=3.4, markerfacecolor="white",
                  markeredgecolor=ink, markeredgewidth=0.8, zorder=5)  # fmt: skip
    if rows.empty:
        axes.text(0.5, 0.5, "not estimated", transform=axes.transAxes, fontsize=6, ha="center", va="center",
                  color="#6E6E6E")  # fmt: skip


# --------------------------------------------------------------------------------------------------------
# Offences
# --------------------------------------------------------------------------------------------------------

OFFSETS: Mapping[tuple[str, str], float] = {
    ("between", "in"): -0.27,
    ("between", "out"): -0.09,
    ("within", "in"): 0.09,
    ("within", "out"): 0.27,
}


def offences_rows(results: pd.DataFrame, families: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `offences_plot`: every offence, definition, comparison and California, by residents.

    Args:
        results: frame under the contract ``designs`` of `analysis.report.design_tables`.
        families: frame under the contract ``families``; may be empty.
    """
    f = of.main_weights(of.offences_frame(results, families))
    columns = [
        "offence", "measure", "definition", "comparison", "california", "window", *PERCENT, "p_value", "p_holm",
        "p_romano_wolf", "tests", "n_treated", "n_comparison", "n_states", "states_identifying", "verdict", "failure", "spec",
    ]  # fmt: skip
    return f[columns]


def offences_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw every offence under every definition: offences as lines, definitions as columns, four marks each.

    Args:
        rows: from `offences_rows`.
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: no estimate to draw.
    """
    if rows["percent"].notna().sum() == 0:
        raise StudyError("no estimate of any offence", "the spec of offences run")
    offences = [o for o in of.OFFENCE_ORDER if (rows["offence"] == o).any()]
    offences += [o for o in dict.fromkeys(rows["offence"]) if o not in offences]
    definitions = sorted(dict.fromkeys(rows["definition"]), key=words.definition_rank)
    below = look.note_height(note)
    line, head, axis = 0.4, 0.98, 0.42
    panel = line * len(offences)
    height = head + panel + axis + below
    left, gap, right = 1.22, 0.07, 0.06
    width = (look.WIDTH - left - right - gap * (len(definitions) - 1)) / len(definitions)
    reach = _reach(rows)
    with look.style():
        fig = look.figure(height)
        for j, definition in enumerate(definitions):
            here = rows[rows["definition"] == definition]
            x = (left + j * (width + gap)) / look.WIDTH
            axes = fig.add_axes((x, (below + axis) / height, width / look.WIDTH, panel / height))
            _scale(axes, reach, size=5.8, bins=4)
            axes.set_ylim(len(offences) - 0.5, -0.5)
            for at in range(1, len(offences)):
                axes.axhline(at - 0.5, color="#EBEBEB", linewidth=0.6, zorder=0)
            for r in here.to_dict("records"):
                way = (str(r["comparison"]), str(r["california"]))
                if way in OFFSETS:
                    _mark(axes, offences.index(r["offence"]) + OFFSETS[way], r, look.ROLES[way[0]], reach,
                          marker=look.MARKERS[way[0]], filled=way[1] == "in", size=3.0)  # fmt: skip
            treated = words.span(here.loc[here["california"] == "in", "n_treated"]).replace(" to ", "-")
            title = "\n".join(_wrapped(words.definition_label(definition), width))
            axes.set_title(f"{title}\n{treated} treated", fontsize=5.9, fontweight="normal", pad=3, loc="center",
                           linespacing=1.1)  # fmt: skip
            if j == 0:
                axes.set_yticks(
                    range(len(offences)),
                    ["\n".join(_wrapped(of.offence_label(o, labels), 1.3)) for o in offences],
                )
                axes.tick_params(axis="y", length=0, labelsize=6.4)
        fig.text(
            (left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.1) / height,
            "Change in reported crime, % of the mean before adoption", ha="center", va="bottom", fontsize=7.2,
        )  # fmt: skip
        handles = [
            Line2D([], [], color=look.ROLES[c], marker=look.MARKERS[c], markersize=3.8, linewidth=1.1,
                   markerfacecolor=look.ROLES[c] if s == "in" else "white", markeredgewidth=0.8,
                   label=f"{words.COMPARISONS[c]}, {'with' if s == 'in' else 'without'} California")
            for c, s in OFFSETS
        ]  # fmt: skip
        fig.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=2.5,
                   handlelength=1.6, fontsize=6.8)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _wrapped(text: str, width: float) -> list[str]:
    """Return text broken into lines that fit a width in inches."""
    import textwrap

    return textwrap.wrap(text, max(8, int(width * 18)))


# --------------------------------------------------------------------------------------------------------
# Single areas
# --------------------------------------------------------------------------------------------------------

METHOD_INKS: Mapping[str, tuple[str, str]] = {
    of.SYNTHETIC["simplex"]: (look.ROLES["between"], "o"),
    of.SYNTHETIC["augmented"]: (look.ROLES["within"], "s"),
    of.SYNTHETIC["synthetic_did"]: (look.ROLES["matched"], "^"),
}
OTHER_METHOD = ("#4D4D4D", "D")


def gaps_rows(results: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `gaps_plot`: a single area less its mixture of others, by event time.

    Args:
        results: frame under the contract ``designs`` of `analysis.report.design_tables`.

    Returns:
        unit_name, label (the method), measure, unit, event_time, estimate, interval and band, baseline, n_comparison,
        spec; of several samples of one area and method the first.

    Raises:
        StudyError: no event times.
    """
    f = require(results, of.RESULTS)
    f = f[(f["estimand"] == "event_time") & (f["spec"].astype(str).str.split("/").str[0] == of.SINGLE)]
    if f.empty:
        raise StudyError(f"no event times of '{of.SINGLE}'", "the spec of single areas run")
    f = f.assign(
        unit_name=[of.UNITS.get(str(only), str(only)) for only in f["only"]],
        label=[of.synthetic_words(r) for r in f.to_dict("records")],
    )
    # Samples of one area and method differ in their years: a line is of one sample, the first.
    f = f[f["spec"] == f.groupby(["unit_name", "label", "measure"])["spec"].transform("first")]
    columns = [
        "unit_name",
        "label",
        "measure",
        "unit",
        "event_time",
        *EVENT_COLUMNS,
        "baseline",
        "n_comparison",
        "spec",
    ]
    return f[columns].astype({"event_time": int})


def gaps_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw single areas less their mixtures of untreated ones: a line of panels an area, a column an outcome.

    Args:
        rows: from `gaps_rows`.
        labels: measure to words.
        note: printed below.

    Returns:
        The figure: a line a method, thin bars its placebo intervals; before adoption the gap is how well it fits.
    """
    measures, units = (list(dict.fromkeys(rows[name])) for name in ("measure", "unit_name"))
    methods = list(dict.fromkeys(rows["label"]))
    per, gap, head, axis = 1.3, 0.36, 0.68, 0.36
    below = look.note_height(note)
    height = head + len(units) * (per + gap) - gap + axis + below
    left, middle, right = 0.62, 0.55, 0.06
    width = (look.WIDTH - left - right - middle * (len(measures) - 1)) / len(measures)
    with look.style():
        fig = look.figure(height)
        for i, unit in enumerate(units):
            for j, measure in enumerate(measures):
                here = rows[(rows["unit_name"] == unit) & (rows["measure"] == measure)]
                x = (left + j * (width + middle)) / look.WIDTH
                y = (height - head - i * (per + gap) - per) / height
                axes = fig.add_axes((x, y, width / look.WIDTH, per / height))
                _gap_panel(axes, here, methods)
                base = f" (mean before: {words.number(here['baseline'].iloc[0], 0)})" if len(here) else ""
                axes.set_title(f"{unit}{base}", fontsize=6.8, fontweight="normal", pad=3)
                if i == 0:
                    fig.text(
                        x, y + (per + 0.2) / height, _title(measure, labels), fontsize=7.4, fontweight="bold"
                    )
                if i == len(units) - 1:
                    axes.set_xlabel("Years since the first full year of the policy", fontsize=6.8, labelpad=2)
        handles = [
            Line2D([], [], color=ink, marker=marker, markersize=3.5, linewidth=0.9, label=method)
            for method, (ink, marker) in ((m, METHOD_INKS.get(m, OTHER_METHOD)) for m in methods)
        ]
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=3, fontsize=6.8,
                   borderaxespad=0.2)  # fmt: skip
        said = "; ".join(dict.fromkeys(str(unit) for unit in rows["unit"]))
        fig.text(
            0.008,
            1 - 0.22 / height,
            f"Area less its mixture, {said}",
            fontsize=6.6,
            va="top",
            color="#333333",
        )
        look.footnote(fig, note)
    return fig


def _gap_panel(axes: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    look.zero_line(axes)
    axes.axvline(-0.5, color=look.ROLES["mark"], linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
    offsets = np.linspace(-0.16, 0.16, len(methods)) if len(methods) > 1 else np.zeros(1)
    ends = rows[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float)
    reach = float(np.abs(ends[np.isfinite(ends)]).max()) * 1.08 if np.isfinite(ends).any() else 1.0
    for method, offset in zip(methods, offsets, strict=True):
        one = rows[rows["label"] == method].sort_values("event_time")
        ink, marker = METHOD_INKS.get(method, OTHER_METHOD)
        times = one["event_time"].to_numpy(dtype=float) + offset
        # Few donors give intervals without an end; they run to the edge of the panel.
        low, high = (
            one[name].to_numpy(dtype=float).clip(-reach, reach) for name in ("conf_low", "conf_high")
        )
        axes.vlines(times, low, high, color=ink, linewidth=0.8, alpha=0.6, zorder=2)
        axes.plot(times, one["estimate"], marker=marker, color=ink, markersize=3, linewidth=0.9, zorder=3)
    if rows.empty:
        axes.text(0.5, 0.5, of.NOT_ESTIMATED, transform=axes.transAxes, fontsize=6.5, ha="center", va="center",
                  color="#6E6E6E")  # fmt: skip
    axes.set_ylim(-reach, reach)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="both", labelsize=6.3)

"""Figures and tables of the bounds on reporting: how far reporting would have to move, what surveys state, yardsticks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.base.errors import StudyError
from analysis.estimation.panel_inference.reporting import undone
from analysis.evidence.checks.reporting import (
    AS_FOUND,
    BESIDE,
    BREAK_EVEN,
    IMPLIED,
    REVERSED,
    YARDSTICKS,
    design_of,
)
from analysis.evidence.matches import variant_of
from analysis.evidence.reporting_inputs import CHANGE, GROUPS, RATE, Input, Inputs, load_inputs
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]

_MODULE = "see `analysis.evidence.checks.reporting`"
BREAK_EVENS = Frame("reporting_break_even", dict.fromkeys(BREAK_EVEN, _MODULE))
IMPLIEDS = Frame("reporting_implied", dict.fromkeys(IMPLIED, _MODULE))
BESIDES = Frame("reporting_yardsticks", dict.fromkeys(BESIDE, _MODULE))

# Variation of the spec -> the design in words; one's own variation keeps its name.
DESIGNS: Mapping[str, str] = {
    variant: name[0].lower() + name[1:] for variant, name in words.HEADLINE_DESIGNS.items()
}
GROUP_WORDS: Mapping[str, str] = {
    "foreign_born": "foreign-born residents",
    "hispanic": "Hispanic residents",
    "non_citizen": "residents without citizenship",
}
SHORT: Mapping[str, str] = {
    "foreign_born": "Foreign-born",
    "hispanic": "Hispanic",
    "non_citizen": "Non-citizens",
}
INKS: Mapping[str, tuple[str, str]] = {
    "foreign_born": (look.OKABE_ITO["blue"], "o"),
    "hispanic": (look.OKABE_ITO["vermilion"], "s"),
    "non_citizen": (look.OKABE_ITO["green"], "^"),
}
# Id of an input -> who says so, in a few words.
STUDIES: Mapping[str, str] = {
    "wong2018survey.witness": "Wong et al., a crime witnessed",
    "wong2018survey.victim": "Wong et al., a crime suffered",
    "gjw2024.reporting": "Goncalves et al.",
    "gjw2024.victimization": "Goncalves et al., victimisation",
    "martinezschuldt2021.reporting": "Martinez-Schuldt and Martinez",
    "jacome2022.reports": "Jacome",
    "comino2020.reporting": "Comino et al.",
    "baumerxie2023.victimization": "Baumer and Xie, victimisation",
}
KINDS: Mapping[str, str] = {
    "stated_intention": "stated intention",
    "survey_finding": "survey finding",
    "police_records": "police records",
    "assumption": "assumption",
}
QUANTITIES: Mapping[str, str] = {
    "reporting_rate": "share reported",
    "reporting_change": "change in reporting",
    "victimisation_change": "change in victimisation",
    "rate_ratio": "reporting, against others'",
    "risk_ratio": "risk, against others'",
}
MEASURES = ("violent_ex_rape", "property")
IMPOSSIBLE = "#DCDCDC"
FAINT = 0.4
# Share of the interval ends that a scale of changes holds; arrows mark those that go on.
REACH = 0.9
LEAST, MOST = -125.0, 340.0
# Characters of a design's name that fit a line beside a figure.
LINE = 18
CANNOT = "†"
THIN = "§"
OF_MARKS = (
    f"{CANNOT} cannot be: reporting would have to rise beyond everything reported, or fall below nothing; {THIN} not "
    "informative (fewer than 20 treated areas, or fewer than six states)."
)


def design_label(spec: str) -> str:
    """Return the design of a specification in words.

    Example:
        >>> design_label("headline/border/measure=property"), design_label("headline/my-rule/measure=property")
        ('along borders', 'my rule')
    """
    variant = variant_of(spec)
    return DESIGNS.get(variant, variant.replace("-", " "))


# --------------------------------------------------------------------------------------------------------
# How far reporting would have to move
# --------------------------------------------------------------------------------------------------------


def break_even_rows(bounds: pd.DataFrame, measures: Sequence[str] = MEASURES) -> pd.DataFrame:
    """Return the numbers of `break_even_plot`: one row a design, outcome and group, for equal risks and rates.

    Args:
        bounds: from `analysis.evidence.checks.reporting.reporting_break_even`.
        measures: outcomes, in order.

    Returns:
        spec, design, measure, group, share_of_reports, headroom, n_treated, informative, then break_even, possible and
        share_needed of the estimate and, with ``_low`` and ``_high``, of both ends of its interval.
    """
    f = require(bounds, BREAK_EVENS)
    even = (
        f["failure"].eq("")
        & f["risk_ratio"].eq(1.0)
        & f["rate_ratio"].eq(1.0)
        & f["measure"].isin(list(measures))
    )
    keys = ["spec", "group"]
    ends = {"estimate": "", "conf_low": "_low", "conf_high": "_high"}
    out: pd.DataFrame | None = None
    for end, mark in ends.items():
        part = f[even & f["end"].eq(end)]
        if out is None:
            out = part[
                [*keys, "measure", "share_of_reports", "headroom", "n_treated", "informative", "simulated"]
            ]
        told = part[[*keys, "break_even", "possible", "share_needed"]]
        told = told.rename(columns={name: name + mark for name in told.columns if name not in keys})
        out = out.merge(told, on=keys, validate="one_to_one")
    assert out is not None
    out.insert(1, "design", [design_label(str(spec)) for spec in out["spec"]])
    order = {measure: i for i, measure in enumerate(measures)}
    return out.sort_values("measure", key=lambda m: m.map(order), kind="stable").reset_index(drop=True)


def break_even_plot(
    rows: pd.DataFrame, labels: Labels | None = None, inputs: Inputs | None = None, *, note: str = ""
) -> Figure:
    """Draw the change in reporting that equals each estimate, and its interval, beside what surveys state and find.

    Args:
        rows: from `break_even_rows`.
        labels: measure to words.
        inputs: by default those of ``data/reporting.toml``; their changes are the lines, lettered, solid as found and
            dashed the other way round.
        note: printed below, before the key of the letters.

    Raises:
        StudyError: nothing to draw.
    """
    if not rows["break_even"].notna().any():
        raise StudyError("no estimate to break even", "designs run", "the frame reporting_break_even")
    known = inputs or load_inputs()
    changes = known.of(CHANGE)
    letters = {one.id: ascii_lowercase[i] for i, one in enumerate(changes)}
    key = "; ".join(
        f"{letters[one.id]} {STUDIES.get(one.id, one.source)} ({KINDS[one.kind]}, {one.year})"
        for one in changes
    )
    note = f"{note}\nLines, solid as found, dashed the other way round: {key}.".strip()
    measures = list(dict.fromkeys(rows["measure"]))
    designs = list(dict.fromkeys(rows["design"]))
    below = look.note_height(note)
    line, head, axis = 0.44, 0.78, 0.46
    panel = line * len(designs)
    height = head + panel + axis + below
    left, gap, right = 1.28, 0.16, 0.06
    width = (look.WIDTH - left - right - gap * (len(measures) - 1)) / len(measures)
    low, high = _span(rows)
    with look.style():
        fig = look.figure(height)
        for j, measure in enumerate(measures):
            here = rows[rows["measure"] == measure]
            x = (left + j * (width + gap)) / look.WIDTH
            axes = fig.add_axes((x, (below + axis) / height, width / look.WIDTH, panel / height))
            _possible_region(axes, float(here["headroom"].iloc[0]), low, high)
            _input_lines(axes, [one for one in changes if one.holds_for(measure)], letters, high)
            for r in here.to_dict("records"):
                at = designs.index(str(r["design"])) + 0.25 * (list(GROUPS).index(str(r["group"])) - 1)
                _change_mark(axes, at, r, low, high)
            axes.set_ylim(len(designs) - 0.5, -0.5)
            for at in range(1, len(designs)):
                axes.axhline(at - 0.5, color="#EBEBEB", linewidth=0.6, zorder=0.5)
            axes.set_title(label_of(measure, labels), fontsize=7.4, pad=20, loc="center")
            axes.set_yticks(range(len(designs)), [_two_lines(d) for d in designs] if j == 0 else [])
            axes.tick_params(axis="y", length=0, labelsize=6.6)
        fig.text(
            (left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.1) / height,
            "Change in the group's reporting that alone would equal the estimate, %", ha="center", va="bottom", fontsize=7.2,
        )  # fmt: skip
        handles: list[Any] = [
            Line2D([], [], color=ink, marker=marker, markersize=3.8, linewidth=1.1, label=GROUP_WORDS[group])
            for group, (ink, marker) in INKS.items()
        ]
        handles.append(Patch(facecolor=IMPOSSIBLE, label="cannot be"))
        fig.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=6.7,
                   columnspacing=1.6, handlelength=1.6)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _span(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the scale: all that can be is on it, and most interval ends."""
    ends = rows[["break_even_low", "break_even_high"]].to_numpy(dtype=float)
    ends = ends[np.isfinite(ends)]
    reach = float(np.quantile(ends, REACH)) if len(ends) else 0.0
    return LEAST, float(np.clip(reach, 1.15 * rows["headroom"].max(), MOST))


def _possible_region(axes: Axes, headroom: float, low: float, high: float) -> None:
    look.zero_line(axes, vertical=True)
    for start, end in ((low, -100.0), (headroom, high)):
        axes.axvspan(start, end, color=IMPOSSIBLE, linewidth=0, zorder=0)
    axes.set_xlim(low, high)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
    axes.tick_params(axis="x", labelsize=6.3)


def _input_lines(axes: Axes, changes: Sequence[Input], letters: Mapping[str, str], high: float) -> None:
    """Draw a line an input and direction, its letter above; letters that would touch go up a step."""
    lines: list[tuple[float, str, Any]] = []
    for one in changes:
        there = one.under_limits
        lines += [(100 * there, one.id, "-"), (100 * undone(there), one.id, (0, (3, 2)))]
    last, step = -np.inf, 0
    for value, name, dash in sorted((line for line in lines if line[0] <= high), key=lambda line: line[0]):
        axes.axvline(value, color=look.ROLES["mark"], linewidth=0.55, linestyle=dash, alpha=0.65, zorder=1)
        step = (step + 1) % 3 if value - last < 0.045 * (high - LEAST) else 0
        axes.annotate(
            letters[name], (value, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 1.5 + 5.2 * step),
            textcoords="offset points", ha="center", va="bottom", fontsize=5.6, color="#333333",
        )  # fmt: skip
        last = value


def _change_mark(axes: Axes, at: float, row: Mapping[Any, Any], low: float, high: float) -> None:
    ink, marker = INKS[str(row["group"])]
    value, start, end = (float(row[name]) for name in ("break_even", "break_even_low", "break_even_high"))
    alpha = 1.0 if bool(row["informative"]) else FAINT
    if np.isfinite(start) and np.isfinite(end) and start < high and end > low:
        axes.hlines(at, max(start, low), min(end, high), color=ink, linewidth=1.1, alpha=alpha, zorder=3)
    for beyond, arrow, x in ((start < low, "<", low), (end > high, ">", high)):
        if beyond:
            axes.plot(
                [x],
                [at],
                marker=arrow,
                color=ink,
                markersize=2.8,
                alpha=alpha,
                clip_on=False,
                markeredgewidth=0,
            )
    if low <= value <= high:
        axes.plot([value], [at], marker=marker, markersize=3.2, color=ink, alpha=alpha, zorder=4,
                  markerfacecolor=ink if bool(row["possible"]) else "white", markeredgewidth=0.8)  # fmt: skip


def _two_lines(text: str) -> str:
    return text.replace(", ", ",\n", 1) if len(text) > LINE else text


# --------------------------------------------------------------------------------------------------------
# Yardsticks
# --------------------------------------------------------------------------------------------------------

SHOWN = ("", "without-california", "within-states", "counties-alike")
SUMS = ("violent", "violent_ex_rape", "property", "total")


def yardstick_rows(beside: pd.DataFrame, variants: Sequence[str] = SHOWN) -> pd.DataFrame:
    """Return the numbers of `yardstick_plot`: one row a design and single offence, the most completely reported first.

    Args:
        beside: from `analysis.evidence.checks.reporting.reporting_yardsticks`.
        variants: variations of the spec, in order; those that were not run are left out.
    """
    f = require(beside, BESIDES)
    f = f[f["failure"].eq("") & ~f["measure"].isin(SUMS)].drop_duplicates(["design", "measure"])
    rank = {variant: i for i, variant in enumerate(variants)}
    f = f.assign(variant=[variant_of(str(spec)) for spec in f["spec"]])
    f = f[f["variant"].isin(rank)]
    f = f.assign(label=[design_label(str(spec)) for spec in f["spec"]], _order=f["variant"].map(rank))
    f = f.sort_values(["_order", "rate"], ascending=[True, False], kind="stable")
    columns = ["spec", "label", "measure", "rate", "percent", "percent_low", "percent_high",
               *(f"most_{group}" for group in GROUPS), "n_treated", "informative"]  # fmt: skip
    return f[columns].reset_index(drop=True)


def yardstick_plot(rows: pd.DataFrame, labels: Labels | None = None, *, note: str = "") -> Figure:
    """Draw offences by how completely they are reported: estimates beside the most that reporting alone could do.

    Args:
        rows: from `yardstick_rows`.
        labels: measure to words.
        note: printed below.

    Raises:
        StudyError: nothing to draw.
    """
    if not rows["percent"].notna().any():
        raise StudyError("no offence to compare", "designs run", "the frame reporting_yardsticks")
    designs = list(dict.fromkeys(rows["label"]))
    rates = rows.groupby("measure", sort=False)["rate"].first().sort_values(ascending=False, kind="stable")
    offences = list(rates.index)
    below = look.note_height(note)
    line, head, axis = 0.34, 0.62, 0.46
    panel = line * len(offences)
    height = head + panel + axis + below
    left, gap, right = 1.42, 0.12, 0.08
    width = (look.WIDTH - left - right - gap * (len(designs) - 1)) / len(designs)
    most = [f"most_{group}" for group in GROUPS]
    ends = rows[["percent_low", "percent_high"]].abs().to_numpy(dtype=float)
    reach = max(float(np.nanquantile(ends, REACH)), 1.05 * float(rows[most].to_numpy(dtype=float).max()))
    with look.style():
        fig = look.figure(height)
        for j, design in enumerate(designs):
            here = rows[rows["label"] == design]
            x = (left + j * (width + gap)) / look.WIDTH
            axes = fig.add_axes((x, (below + axis) / height, width / look.WIDTH, panel / height))
            look.zero_line(axes, vertical=True)
            for r in here.to_dict("records"):
                at = offences.index(str(r["measure"]))
                low, high = min(r[name] for name in most), max(r[name] for name in most)
                axes.barh(at, high, height=0.62, color="#E4EDF4", linewidth=0, zorder=0.5)
                axes.barh(at, low, height=0.62, color="#BCD4E6", linewidth=0, zorder=0.6)
                _effect_mark(axes, at, r, reach)
            axes.set_xlim(-1.04 * reach, 1.04 * reach)
            axes.set_ylim(len(offences) - 0.5, -0.5)
            axes.grid(axis="y", visible=False)
            axes.grid(axis="x")
            axes.spines["left"].set_visible(False)
            axes.xaxis.set_major_formatter(lambda v, _: f"{v:,g}".replace("-", words.MINUS))
            axes.tick_params(axis="x", labelsize=6.2)
            axes.set_title(_two_lines(design), fontsize=6.9, pad=4, loc="center", linespacing=1.1)
            said = [f"{label_of(m, labels)} ({words.percent(rates[m], 0)})" for m in offences]
            axes.set_yticks(range(len(offences)), said if j == 0 else [])
            axes.tick_params(axis="y", length=0, labelsize=6.5)
        fig.text(
            (left + (look.WIDTH - left - right) / 2) / look.WIDTH, (below + 0.1) / height,
            "Change in reported crime, % of the mean before adoption", ha="center", va="bottom", fontsize=7.2,
        )  # fmt: skip
        handles: list[Any] = [
            Line2D(
                [],
                [],
                color=look.OKABE_ITO["black"],
                marker="o",
                markersize=3.4,
                linewidth=1.1,
                label="estimate",
            ),
            Patch(facecolor="#BCD4E6", label="most from full reporting, smallest group"),
            Patch(facecolor="#E4EDF4", label="largest group"),
        ]
        fig.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=6.7,
                   columnspacing=1.8, handlelength=1.6)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _effect_mark(axes: Axes, at: float, row: Mapping[Any, Any], reach: float) -> None:
    value, low, high = (float(row[name]) for name in ("percent", "percent_low", "percent_high"))
    ink = look.OKABE_ITO["vermilion"] if str(row["measure"]) in YARDSTICKS else look.OKABE_ITO["black"]
    alpha = 1.0 if bool(row["informative"]) else FAINT
    look.cut_span(axes, at, (low, high), (-reach, reach), ink, alpha=alpha)
    if abs(value) <= reach:
        axes.plot(
            [value], [at], marker="o", markersize=3.2, color=ink, alpha=alpha, zorder=4, markeredgewidth=0
        )


# --------------------------------------------------------------------------------------------------------
# Tables
# --------------------------------------------------------------------------------------------------------


def inputs_table(inputs: Inputs | None = None, labels: Labels | None = None) -> Table:
    """Return every input with its source and how sure its reading is.

    Args:
        inputs: by default those of ``data/reporting.toml``.
        labels: measure to words.
    """
    known = inputs or load_inputs()
    f, rows = known.frame(), known.inputs
    about = [
        ", ".join(label_of(m, labels) for m in one.offence) if one.quantity == RATE else one.population
        for one in rows
    ]
    return build(
        "Who reports crime: what is said and found elsewhere",
        f,
        [
            ("Quantity", "l", 1.0, [QUANTITIES[one.quantity] for one in rows]),
            ("Of whom, or of what", "l", 1.7, about),
            ("Value", "r", 0.6, [_value(one.value, one.unit) for one in rows]),
            ("Under", "l", 0.7, [one.contrast or words.MISSING for one in rows]),
            ("Years", "l", 0.65, [one.year for one in rows]),
            ("Kind", "l", 0.8, [KINDS[one.kind] for one in rows]),
            ("Source", "l", 2.0, [one.source for one in rows]),
            ("Reading", "l", 0.95, [_reading(one.confidence, one.seen_in) for one in rows]),
        ],
        [
            "Inputs of bounds, alternatives to each other; none is a result of this study and none a pass mark. Under: what "
            "the change goes with, local police working with federal immigration authorities (enforcement) or limits on "
            "that. Reading: whether the figure itself was read, and where.",
        ],
    )


def _value(value: float, unit: str) -> str:
    if unit == "ratio":
        return words.number(value, 2)
    digits = 0 if value == round(value) else 1
    return f"{words.number(value, digits, sign=unit == 'percent change')} %"


def _reading(confidence: str, seen_in: str) -> str:
    return confidence if seen_in == "nowhere" else f"{confidence}, {seen_in}"


def break_even_table(
    bounds: pd.DataFrame,
    labels: Labels | None = None,
    measures: Sequence[str] = ("violent_ex_rape", "violent", "property"),
) -> Table:
    """Return how far reporting would have to move for each estimate, and for both ends of its interval.

    Args:
        bounds: from `analysis.evidence.checks.reporting.reporting_break_even`.
        labels: measure to words.
        measures: outcomes, in order.
    """
    f = break_even_rows(bounds, measures)
    whole = require(bounds, BREAK_EVENS)
    lines = whole.drop_duplicates("spec").set_index("spec")
    specs = list(dict.fromkeys(f["spec"]))
    parts = {(str(r["spec"]), str(r["group"])): r for r in f.to_dict("records")}
    first = [parts[(spec, GROUPS[0])] for spec in specs]
    names = [label_of(str(r["measure"]), labels) for r in first]
    columns: list[tuple[str, str, float, Iterable[str]]] = [
        ("Outcome", "l", 1.1, [n if i == 0 or n != names[i - 1] else "" for i, n in enumerate(names)]),
        ("Design", "l", 1.6, [f"{r['design']}{'' if r['informative'] else ' ' + THIN}" for r in first]),
        (
            "Estimate, %",
            "r",
            1.2,
            [_interval(lines.loc[s], "percent", "percent_low", "percent_high", 1) for s in specs],
        ),
        ("Room to rise, %", "r", 0.6, [words.number(r["headroom"], 0) for r in first]),
    ]
    for group in GROUPS:
        rows = [parts[(spec, group)] for spec in specs]
        columns.append(
            (f"{SHORT[group]}, share", "r", 0.6, [words.number(r["share_of_reports"], 2) for r in rows])
        )
        columns.append((f"{SHORT[group]}: change in reporting, %", "r", 1.5, [_changes(r) for r in rows]))
    columns.append(("Share needed", "r", 0.6, [words.number(r["share_needed"], 2) for r in first]))
    gone = sorted(set(whole.loc[whole["failure"].ne("") & whole["measure"].isin(list(measures)), "spec"]))
    notes = [
        "Change in the group's reporting that alone, with victimisation unmoved, equals the estimate (both ends of its 95 % "
        "interval), where its members are victims and report as often as others. Share: of reported offences in treated "
        "areas. Room to rise: until everything they suffer is reported, from national shares reported. Share needed: the "
        "smallest share of reports with which reporting could equal the estimate at all.",
        OF_MARKS,
    ]
    if gone:
        notes.append(f"Not estimated: {', '.join(dict.fromkeys(design_label(spec) for spec in gone))}.")
    return build("How far reporting would have to move to be the whole of an estimate", f, columns, notes)


def _changes(row: Mapping[Any, Any]) -> str:
    """Return ``estimate (low to high)``, each that cannot be with its mark."""
    parts = [
        words.number(row[f"break_even{end}"], 0) + ("" if bool(row[f"possible{end}"]) else CANNOT)
        for end in ("", "_low", "_high")
    ]
    return f"{parts[0]} ({parts[1]} to {parts[2]})"


def _interval(row: Mapping[Any, Any] | pd.Series, value: str, low: str, high: str, digits: int) -> str:
    return words.estimate_text(row[value], row[low], row[high], digits)


def implied_table(
    implied: pd.DataFrame, labels: Labels | None = None, measures: Sequence[str] = MEASURES, variant: str = ""
) -> Table:
    """Return what is left of one design's estimates if reporting moved as each survey says, in either direction.

    Args:
        implied: from `analysis.evidence.checks.reporting.reporting_implied`; each input stands for the group nearest to
            its people.
        labels: measure to words.
        measures: outcomes, in order.
        variant: of the spec; "" for its own values.

    Raises:
        StudyError: the variant was not run.
    """
    f = require(implied, IMPLIEDS)
    asked = f["spec"].map(lambda spec: variant_of(str(spec)) == variant) & f["measure"].isin(list(measures))
    f = f[asked & f["nearest"].eq(True)]
    if f.empty:
        raise StudyError(
            f"no row of the design '{variant}'", "a variation that was run", "the frame reporting_implied"
        )
    f = f.sort_values(
        "measure", key=lambda m: m.map({name: i for i, name in enumerate(measures)}), kind="stable"
    )
    way = {AS_FOUND: "as found", REVERSED: "the other way"}
    rows = f.to_dict("records")
    names = [label_of(str(r["measure"]), labels) for r in rows]
    return build(
        f"What is left of an estimate if reporting moved as surveys say: {DESIGNS.get(variant, variant)}",
        f,
        [
            ("Outcome", "l", 1.0, [n if i == 0 or n != names[i - 1] else "" for i, n in enumerate(names)]),
            ("Input", "l", 1.7, [STUDIES.get(str(r["input"]), str(r["input"])) for r in rows]),
            ("Group", "l", 0.8, [SHORT[str(r["group"])] for r in rows]),
            ("Run", "l", 0.8, [way[str(r["direction"])] for r in rows]),
            (
                "Reporting, %",
                "r",
                0.7,
                [words.number(r["reporting"], 0, sign=True) + ("^" if r["capped"] else "") for r in rows],
            ),
            (
                "Victimisation with it, %",
                "r",
                0.7,
                [words.number(r["victimisation"], 0, sign=True) for r in rows],
            ),
            (
                "Reported crime would move, %",
                "r",
                0.8,
                [words.number(r["implied"], 1, sign=True) for r in rows],
            ),
            (
                "Estimate, %",
                "r",
                1.2,
                [_interval(r, "percent", "percent_low", "percent_high", 1) for r in rows],
            ),
            (
                "Left for everybody's victimisation, %",
                "r",
                1.2,
                [_interval(r, "all", "all_low", "all_high", 1) for r in rows],
            ),
        ],
        [
            "As found: a limit on cooperation does what was found under limits, or undoes what was found under enforcement; "
            "the other way: the opposite. Left: the change in what everybody suffers that remains once the group's reporting "
            "alone moved so. ^ held at everything reported. Each input stands for the group nearest to the people it is about.",
        ],
    )


def yardstick_table(
    beside: pd.DataFrame, labels: Labels | None = None, measures: Sequence[str] = MEASURES
) -> Table:
    """Return offences less the well-reported ones, under every design.

    Args:
        beside: from `analysis.evidence.checks.reporting.reporting_yardsticks`.
        labels: measure to words.
        measures: outcomes, in order.
    """
    f = require(beside, BESIDES)
    f = f[f["failure"].eq("") & f["measure"].isin(list(measures))]
    f = f.sort_values(
        "measure", key=lambda m: m.map({name: i for i, name in enumerate(measures)}), kind="stable"
    )
    rows = f.to_dict("records")
    names = [label_of(str(r["measure"]), labels) for r in rows]
    designs = [f"{design_label(str(r['spec']))}{'' if r['informative'] else ' ' + THIN}" for r in rows]
    same = [i > 0 and design_of(str(r["spec"])) == design_of(str(rows[i - 1]["spec"])) and names[i] == names[i - 1]
            for i, r in enumerate(rows)]  # fmt: skip
    return build(
        "Reported crime beside offences that are reported whoever the victim is",
        f,
        [
            ("Outcome", "l", 1.0, [n if i == 0 or n != names[i - 1] else "" for i, n in enumerate(names)]),
            ("Design", "l", 1.6, ["" if again else d for d, again in zip(designs, same, strict=True)]),
            ("Estimate, %", "r", 1.3, ["" if again else _interval(r, "percent", "percent_low", "percent_high", 1)
                                       for r, again in zip(rows, same, strict=True)]),
            ("Beside", "l", 1.1, [label_of(str(r["yardstick"]), labels) for r in rows]),
            ("Its estimate, %", "r", 1.3, [_interval(r, "yardstick_percent", "yardstick_low", "yardstick_high", 1) for r in rows]),
            ("Difference, points", "r", 1.4, [_interval(r, "difference", "difference_low", "difference_high", 1) for r in rows]),
            ("Correlation", "r", 0.6, [words.number(r["correlation"], 2) for r in rows]),
        ],
        [
            "Each in per cent of its own mean before adoption; differences with 95 % intervals from the joint error of both "
            "estimates under one design (a dash where errors come without contributions). Were an estimate reporting alone, "
            f"the yardsticks would not move. {THIN} not informative (fewer than 20 treated areas, or fewer than six states).",
        ],
    )  # fmt: skip

"""The published border study beside its design re-done on annual data: by quartile of the Hispanic share, and cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.base.errors import StudyError
from analysis.evidence.studies.biasi2018 import (
    BESIDE,
    COLUMNS,
    DEFINITIONS,
    MAIN_DEFINITION,
    QUARTILE_DEFINITION,
    QUARTILES,
    beside,
)
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, NOT_INFORMATIVE
from analysis.report import style as look
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build

BORDERS = Frame("borders", BESIDE)

OUTCOMES: Mapping[str, str] = {"total": "All index offences", "property": "Property", "violent": "Violent"}
OFFENCES: Mapping[str, str] = {
    **OUTCOMES,
    "violent_ex_rape": "Violent without rape",
    "murder": "Murder",
    "rape": "Rape",
    "rape_legacy": "Rape, legacy definition",
    "robbery": "Robbery",
    "aggravated_assault": "Aggravated assault",
    "burglary": "Burglary",
    "larceny": "Larceny",
    "motor_vehicle_theft": "Motor-vehicle theft",
}
COLUMN_WORDS: Mapping[str, str] = {
    "c1": "plain",
    "c2": "covariates",
    "c3": "lines off",
    "c4": "covariates, lines off",
}
MODEL_WORDS: Mapping[str, str] = {
    "county_year": "counties and years",
    "group_by_year": "counties, groups by year",
}
PART_WORDS: Mapping[str, str] = {
    "models": "all treated counties",
    "offences": "single offences",
    "quartiles": "Hispanic share, quartile",
}
SERIES: tuple[tuple[str, str, str, str], ...] = (
    ("published", "published, quarterly", look.ROLES["published"], "D"),
    (QUARTILE_DEFINITION, "five declined detainers or more", look.OKABE_ITO["vermilion"], "s"),
    (MAIN_DEFINITION, "full limit by policy", look.OKABE_ITO["blue"], "o"),
)
"""What a quartile shows: column of the frame or definition, its words, colour and marker."""
REACH = 0.25
"""Log points drawn either side; longer intervals end in an arrow."""
PRINTED = (MAIN_DEFINITION, QUARTILE_DEFINITION)
"""Definitions the paper's table holds where covariates stand alone; its other twins hold all."""
MARKS: Mapping[str, str] = {DIFFERENT: "*", EQUIVALENT: "=", NOT_INFORMATIVE: "§"}


def quartile_rows(study_results: pd.DataFrame, published_frame: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of `quartiles_figure`: rows of `beside` by quartile, of the outcomes as published.

    Args:
        study_results: estimates of every study's specifications.
        published_frame: registered figures: id, estimate, se.
    """
    f = beside(study_results, published_frame)
    return f[f["part"].eq("quartiles") & f["measure"].isin(list(OUTCOMES))].reset_index(drop=True)


def quartiles_figure(study_results: pd.DataFrame, published_frame: pd.DataFrame, *, note: str = "") -> Figure:
    """Draw effects by quartile of the Hispanic share, published and re-done: a row an outcome, a column theirs.

    Intervals are at 95 %: published ones 1.96 printed errors either way, ours by state and group. What is not informative is
    hollow.

    Args:
        study_results: estimates of every study's specifications.
        published_frame: registered figures: id, estimate, se.
        note: printed below.

    Raises:
        StudyError: nothing to draw.
    """
    rows = quartile_rows(study_results, published_frame)
    if rows.empty:
        raise StudyError(
            "no estimate by quartile of the Hispanic share", "the runs of biasi2018", "the studies' results"
        )
    head, axis, panel, gap, left, right, between = 0.3, 0.42, 1.5, 0.14, 0.66, 0.1, 0.12
    below = look.note_height(note)
    down, across = len(OUTCOMES), len(COLUMNS)
    height = head + 0.18 + down * panel + (down - 1) * gap + axis + below
    width = (look.WIDTH - left - right - between * (across - 1)) / across
    with look.style():
        fig = look.figure(height)
        for line, (measure, outcome) in enumerate(OUTCOMES.items()):
            bottom = below + axis + (down - 1 - line) * (panel + gap)
            for at, column in enumerate(COLUMNS):
                axes = fig.add_axes(
                    ((left + at * (width + between)) / look.WIDTH, bottom / height, width / look.WIDTH, panel / height)
                )  # fmt: skip
                _quartile_panel(axes, rows[rows["measure"].eq(measure) & rows["column"].eq(column)])
                axes.tick_params(labelleft=at == 0, labelbottom=line == down - 1)
                if line == 0:
                    axes.set_title(COLUMN_WORDS[column].capitalize(), fontsize=7.2, pad=3)
            fig.text(
                0.012,
                (bottom + panel / 2) / height,
                outcome,
                rotation=90,
                ha="left",
                va="center",
                fontsize=7.2,
            )
        fig.text(0.5 + left / look.WIDTH / 2, (below + 0.06) / height, "Change in reported crime, log points (0.05 is about 5 %)",
                 ha="center", va="bottom", fontsize=7.2)  # fmt: skip
        fig.text(
            left / look.WIDTH - 0.004,
            (height - head - 0.13) / height,
            "Hispanic\nshare",
            ha="right",
            va="center",
            fontsize=6.4,
        )
        handles = [
            Line2D([], [], color=ink, marker=marker, markersize=3.2, linewidth=1.0, label=label)
            for _, label, ink, marker in SERIES
        ]
        handles.append(
            Line2D([], [], color=look.ROLES["mark"], marker="o", markersize=3.2, linestyle="", markerfacecolor="white",
                   label="not informative")
        )  # fmt: skip
        fig.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=len(handles), fontsize=6.7,
                   columnspacing=1.6, handlelength=1.8, borderaxespad=0.2)  # fmt: skip
        look.footnote(fig, note)
    return fig


def _quartile_panel(axes: Axes, rows: pd.DataFrame) -> None:
    look.zero_line(axes, vertical=True)
    reach = (-REACH, REACH)
    for quartile in QUARTILES:
        here = rows[rows["quartile"].eq(quartile)]
        for offset, (name, _, ink, marker) in zip((0.24, 0.0, -0.24), SERIES, strict=True):
            if name == "published":
                found = here.head(1)
                names = ("published", "published_low", "published_high")
            else:
                found = here[here["definition"].eq(name)]
                names = ("estimate", "conf_low", "conf_high")
            if found.empty:
                continue
            value, low, high = (float(found.iloc[0][key]) for key in names)
            y = quartile + offset
            if np.isfinite(low):
                look.cut_span(axes, y, (low, high), reach, ink, width=0.9, arrow=2.2)
            firm = name == "published" or bool(found.iloc[0]["informative"])
            if np.isfinite(value) and abs(value) <= REACH:
                axes.plot(
                    [value], [y], marker=marker, markersize=3.2, color=ink, markeredgewidth=0.7, zorder=5,
                    markerfacecolor=ink if firm else "white",
                )  # fmt: skip
    axes.set_xlim(-REACH * 1.04, REACH * 1.04)
    axes.set_xticks([-0.2, 0.0, 0.2], labels=[f"{words.MINUS}0.2", "0", "0.2"])
    axes.set_ylim(0.5, len(QUARTILES) + 0.5)
    axes.set_yticks(list(QUARTILES), labels=["lowest", "second", "third", "highest"])
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")


# --------------------------------------------------------------------------------------------------------
# Cell by cell
# --------------------------------------------------------------------------------------------------------


def borders_table(study_results: pd.DataFrame, published_frame: pd.DataFrame) -> Table:
    """Return every registered effect of the border study beside ours: cell, both intervals, counts.

    Args:
        study_results: estimates of every study's specifications.
        published_frame: registered figures: id, estimate, se.

    Returns:
        A table of all pairs; the paper prints the specification the ledger shows, of models with covariates and of offences,
        and recorded declines beside it.
    """
    f = require(beside(study_results, published_frame), BORDERS)
    rows = f.to_dict("records")
    printed = [
        at
        for at, row in enumerate(rows)
        if (row["part"] == "models" and row["column"] == "c2" and row["definition"] in PRINTED)
        or (
            row["main"] and (row["part"] == "offences" or (row["part"] == "models" and row["column"] == "c4"))
        )
    ]
    return build(
        "The published border study beside its design on annual data",
        f,
        [
            ("Outcome", "l", 1.1, [OFFENCES.get(str(m), str(m)) for m in f["measure"]]),
            ("Effects", "l", 1.3, [_effects(row) for row in rows]),
            ("Column", "l", 1.1, [COLUMN_WORDS[str(c)] for c in f["column"]]),
            ("Published", "r", 1.4, [
                words.estimate_text(r["published"], r["published_low"], r["published_high"], 3) for r in rows
            ]),
            ("Treated here", "l", 1.2, [_definition(str(d)) for d in f["definition"]]),
            ("Ours", "r", 1.5, [_ours(row) for row in rows]),
            ("Published inside", "l", 0.6, [_inside(row) for row in rows]),
            ("Treated, comparison", "r", 0.7, [
                f"{words.count(r['n_treated'])}, {words.count(r['n_comparison'])}" for r in rows
            ]),
            ("States", "r", 0.5, [words.count(r["n_states"]) for r in rows]),
        ],
        [
            "Log points of reported offences per 100,000, with 95 % intervals: published ones are 1.96 printed errors either way, "
            "clustered by county (in two columns of the second model by group and quarter); ours are clustered by state and by "
            "group, degrees of freedom from the fewer. Covariates: shares of Black and Hispanic residents, income and "
            "unemployment by time. Lines off: a county line of the time before adoption is taken off. * different from zero; = "
            "equivalent to zero (within ±5 %); without a mark inconclusive; § not informative, and read as nothing; – not "
            "estimated. Published inside: whether the published size lies in our interval, said only where ours is not inconclusive "
            "(protocol rule 19).",
            "Quarters there, years here: eight quarters before to four after against two years before and the first full year "
            "after (docs/quarterly_loss.md). Along a border an estimate is the effect plus what moved across it (protocol rule "
            "15). Other treatment definitions stand in the table's other twins.",
        ],
        selection=printed or None,
    )  # fmt: skip


def _effects(row: Mapping[Any, Any]) -> str:
    if row["part"] == "quartiles":
        return f"{PART_WORDS['quartiles']} {int(row['quartile'])}"
    return MODEL_WORDS[str(row["model"])]


def _definition(name: str) -> str:
    return words.definition_label(name) if name in DEFINITIONS else name


def _ours(row: Mapping[Any, Any]) -> str:
    if row["failure"] or words.is_missing(row["estimate"]):
        return words.MISSING
    shown = words.estimate_text(row["estimate"], row["conf_low"], row["conf_high"], 3)
    return shown + MARKS.get(str(row["precision"]), "")


def _inside(row: Mapping[Any, Any]) -> str:
    # Protocol rule 19: agreement only where precision allows it.
    if row["failure"] or row["precision"] not in (DIFFERENT, EQUIVALENT):
        return words.MISSING
    return "yes" if row["inside"] else "no"

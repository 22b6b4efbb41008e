"""The other registered studies in one table: what each found, and what stands beside it here, or why nothing does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.evidence.published import FROM_MEMORY, INFERRED
from analysis.evidence.studies import others as of
from analysis.evidence.verdict import NOT_INFORMATIVE
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build

OTHERS = Frame("others", of.OTHERS)

# As registered -> as printed: the registry's words carry remarks that belong under a table.
UNITS: Mapping[str, str] = {
    "percent": " %",
    "percent change": " %",
    "percent change (low end of the printed 52-62 range)": " %",
    "percent change (high end of the printed 52-62 range)": " %",
    "percent (press rounding)": " %",
    "percent (vs 49 for US-born)": " %, against 49 % of residents born in the country",
    "percent of urban counties": " % of urban counties",
    "percentage points (16% of a 0.9 pp base)": " points",
    "percent of declined detainers": " %",
    "counties": "",
    "count": "",
}
# Of these the sign says nothing: shares, levels and counts, and falls that the outcome's words carry.
UNSIGNED = frozenset({"percent", "percent of declined detainers", "counties", "count", "percent of urban counties", "percent (vs 49 for US-born)", "percent (press rounding)"})  # fmt: skip
MEMORY = {FROM_MEMORY: ", from memory", INFERRED: ", inferred"}
# What is counted in one row of the table: a whole study's counts would be a table of their own.
COUNTED = ("counties",)


def found_words(row: Mapping[Any, Any]) -> str:
    """Return what a study found, in the registry's number or in words, and how sure the reading is where it is not.

    Example:
        >>> found_words({"found": "", "estimate": -52.0, "unit": "percent change", "confidence": "verbatim-seen"})
        '−52 %'
        >>> found_words({"found": "- (weaker)", "estimate": float("nan"), "unit": "rate", "confidence": "from memory"})
        'lower (weaker), from memory'
    """
    if row["found"] or words.is_missing(row["estimate"]):
        said = str(row["found"]) or "no size"
        # The registry writes a direction as a sign.
        said = (
            {"-": "lower", "+": "higher"}.get(said[0], said[0]) + said[1:] if said[1:2] in ("", " ") else said
        )
    else:
        value = float(row["estimate"])
        digits = next((n for n in range(3) if round(value, n) == value), 2)
        unit = UNITS.get(str(row["unit"]), f" ({row['unit']})")
        said = words.number(value, digits, sign=row["unit"] not in UNSIGNED) + unit
    return said + MEMORY.get(str(row["confidence"]), "")


def beside_words(row: Mapping[Any, Any]) -> str:
    """Return what stands beside a figure: an estimate in per cent of the mean and its p-value, a count, or the reason.

    Example:
        >>> row = {"value": 68.0, "value_unit": "counties", "beside": "", "failure": "", "reason": "a count"}
        >>> beside_words(row)
        '68'
    """
    if row["value_unit"] in COUNTED and not words.is_missing(row["value"]):
        return words.count(row["value"])
    if not row["beside"]:
        return str(row["reason"])
    if row["failure"]:
        return f"not estimated: {row['failure']}"
    if words.is_missing(row["value"]):
        return "not run"
    p_value = words.MISSING if words.is_missing(row["p_value"]) else _p_value(float(row["p_value"]))
    treated = f"{words.count(row['n_treated'])} treated, {words.count(row['n_comparison'])} compared"
    mark = (
        f"; {NOT_INFORMATIVE}"
        if row["precision"] == NOT_INFORMATIVE
        else f"; {row['precision']}"
        if row["precision"]
        else ""
    )
    measure = str(row["measure"])
    measure = measure[:1].lower() + measure[1:]
    return (
        f"{measure}: {words.number(row['percent'], 1, sign=True)} % of the mean ({p_value}; {treated}{mark})"
    )


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.{3 if value < 0.01 else 2}f}"


def _text(f: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with empty texts where a file held nothing."""
    texts = (
        "found",
        "beside",
        "value_unit",
        "precision",
        "failure",
        "reason",
        "unit",
        "confidence",
        "outcome",
    )
    return f.assign(**{name: f[name].astype(object).where(f[name].notna(), "").astype(str) for name in texts})


def others_table(frame: pd.DataFrame) -> Table:
    """Return what the other studies found, a line a study and answer, with what stands beside it here.

    Args:
        frame: of `analysis.evidence.studies.others.others_frame`. Every figure is a row of it; figures of one study with
            one reason are printed as one line.
    """
    f = _text(require(frame, OTHERS))
    lines: list[tuple[str, str, str, str]] = []
    for study, rows in f.groupby("study", sort=False):
        for place, (beside, group) in enumerate(_by_answer(rows)):
            label, design = (str(group[name].iloc[0]) for name in ("label", "design"))
            lines.append(
                (label if place == 0 else "", _design(design) if place == 0 else "", _found(group), beside)
            )
        del study
    return build(
        "The other published studies: what they found, and what stands beside it here",
        f,
        [
            ("Study", "l", 1.4, [one[0] for one in lines]),
            ("A row of its data, method, years", "l", 1.2, [one[1] for one in lines]),
            ("Found", "l", 2.2, [one[2] for one in lines]),
            ("Here", "l", 2.6, [one[3] for one in lines]),
        ],
        [
            "Found: the registered number or, where none was read, the direction or null in words. No error of any of these figures "
            "was read. Here: the estimate of the specification that comes nearest, in per cent of the mean before adoption (of one "
            "state: of its own), or the count in our frame of counties, or the reason why nothing stands beside it. One state "
            "is not informative and takes no verdict.",
        ],
    )  # fmt: skip


def _by_answer(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the figures of one study by what stands beside them; counts of ours in one line a version."""
    answers = pd.Series([beside_words(row) for row in rows.to_dict("records")], index=rows.index)
    counted = rows["value_unit"].isin(COUNTED) & rows["value"].notna()
    version = rows["figure"].str.split(".").str[0]
    key = answers.where(~counted, version)
    out = []
    for name in dict.fromkeys(key):
        group = rows[key == name]
        said = ", ".join(answers[group.index]) if counted[group.index].all() else str(name)
        out.append((said, group))
    return out


def _found(group: pd.DataFrame) -> str:
    """Return what the figures of one line found, each outcome once; those that say the same together."""
    if group["value_unit"].isin(COUNTED).all():
        name = str(group["figure"].iloc[0]).split(".")[0]
        values = ", ".join(words.count(value) for value in group["estimate"])
        return (
            f"version {name.removeprefix('nchs')}: {values}{MEMORY.get(str(group['confidence'].iloc[0]), '')}"
        )
    said: dict[str, list[str]] = {}
    for row in group.to_dict("records"):
        said.setdefault(found_words(row), []).append(str(row["outcome"]))
    return "; ".join(f"{', '.join(dict.fromkeys(outcomes))}: {what}" for what, outcomes in said.items())


def _design(text: str) -> str:
    return text.replace("_", " ")

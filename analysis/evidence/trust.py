"""How far to trust an interval: each design's coverage on simulated panels beside its estimate on the data.

The simulated panels keep the real places and dates of adoption and shocks as large as those measured on the real
panel; how often a 95 % interval held the known truth there is the *measured coverage*. It shows the order of a
shortfall under this geography and corrects no particular interval (protocol rules 12 and 16).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.base.errors import TableError
from analysis.evidence.results import ONE_EFFECT

OUTCOMES = ("violent_ex_rape", "property")

# Design of the simulation, its name in words, and the specification that asks the same of the data; {m} is the outcome.
DESIGNS: Mapping[str, tuple[str, str]] = {
    "between": ("group-time, between states", "main/measure={m}"),
    "without_california": ("group-time, without California", "main/without-california/measure={m}"),
    "within_states": ("group-time, within states", "main/within-states/measure={m}"),
    "counties_alike": ("group-time, between states, counties alike", "near_nominal/measure={m}"),
    "within_states_alike": (
        "group-time, within states, counties alike",
        "near_nominal/within-states/measure={m}",
    ),
    "two_way": ("two-way, county and year", "two_way/measure={m}"),
    "two_way_wild": ("two-way, wild bootstrap", "near_nominal/wild-bootstrap/measure={m}"),
    "two_way_within_states": ("two-way, state by year", "two_way/within-states/measure={m}"),
    "matched": ("matched 2015, clustered by state", ""),
}
MATCHED = {
    "violent_ex_rape": "cross_section_2015/violent-excluding-rape",
    "property": "cross_section_2015/property/definition=policy_full",
}
NOMINAL = 0.95
COLUMNS = (
    "design", "label", "measure", "coverage", "coverage_mc_error", "ratio", "draws", "near_nominal", "estimate",
    "conf_low", "conf_high", "percent", "percent_low", "percent_high", "n_treated", "n_states", "precision", "spec",
)  # fmt: skip


def trust(results: pd.DataFrame, size: pd.DataFrame) -> pd.DataFrame:
    """Return one row a design and outcome: measured coverage on simulated panels, and this study's estimate.

    Args:
        results: from `analysis.evidence.results.results_frame`.
        size: design, outcome, draws, coverage, coverage_mc_error, ratio: the committed table of the simulation.

    Returns:
        Columns ``COLUMNS``: ``coverage`` is a share of simulated panels, ``ratio`` the mean standard error over the
        spread of estimates there, ``near_nominal`` whether coverage is within two Monte Carlo errors of 95 %;
        ``percent`` is of the mean before adoption. A specification that was not run leaves its numbers missing.

    Raises:
        TableError: the table of the simulation lacks a design.
    """
    one = results[results["estimand"].isin(ONE_EFFECT)].drop_duplicates("spec").set_index("spec")
    measured = size.set_index(["design", "outcome"])
    rows = []
    for design, (label, pattern) in DESIGNS.items():
        for measure in OUTCOMES:
            if (design, measure) not in measured.index:
                raise TableError(
                    f"the table of measured coverage lacks {design}, {measure}", "every design of the study"
                )
            held = measured.loc[(design, measure)]
            spec = pattern.format(m=measure) if pattern else MATCHED[measure]
            found = one.loc[spec] if spec in one.index else None
            rows.append(
                {
                    "design": design,
                    "label": label,
                    "measure": measure,
                    "coverage": float(held["coverage"]),
                    "coverage_mc_error": float(held["coverage_mc_error"]),
                    "ratio": float(held["ratio"]),
                    "draws": int(held["draws"]),
                    "near_nominal": abs(held["coverage"] - NOMINAL) <= 2 * held["coverage_mc_error"],
                    **_numbers(found),
                    "spec": spec,
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _numbers(found: pd.Series | None) -> dict[str, object]:
    if found is None:
        names = (
            "estimate",
            "conf_low",
            "conf_high",
            "percent",
            "percent_low",
            "percent_high",
            "n_treated",
            "n_states",
        )
        return {**dict.fromkeys(names, np.nan), "precision": ""}
    return {
        "estimate": found["estimate"],
        "conf_low": found["conf_low"],
        "conf_high": found["conf_high"],
        "percent": found["percent_of_baseline"],
        "percent_low": found["percent_low"],
        "percent_high": found["percent_high"],
        "n_treated": found["n_treated"],
        "n_states": found["n_states"],
        "precision": found["precision"],
    }


def trust_text(frame: pd.DataFrame) -> str:
    """Return the table as aligned text, with what its columns are.

    Example:
        >>> row = dict(design="between", label="group-time, between states", measure="property", coverage=0.8,
        ...            coverage_mc_error=0.03, ratio=0.7, draws=200, near_nominal=False, percent=4.0, percent_low=1.0,
        ...            percent_high=7.0)
        >>> print(trust_text(pd.DataFrame([row])).splitlines()[-1].split("  ")[0])
        group-time, between states
    """
    lines = [
        (
            "",
            *[
                cell
                for m in frame["measure"].unique()
                for cell in (f"{m.replace('_ex_', ' excluding ').replace('_', ' ')}: held", "% of the mean")
            ],
        )
    ]
    for label, rows in frame.groupby("label", sort=False):
        cells = [str(label)]
        for row in rows.to_dict("records"):
            cells += [f"{100 * row['coverage']:.0f} %", _interval(row)]
        lines.append(tuple(cells))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    body = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    draws = int(frame["draws"].max())
    head = [
        "How far to trust an interval: full limits, each design's estimate and how often its 95 % intervals",
        f"held the truth on {draws} SIMULATED panels with the real places and dates of adoption (docs/size.md)",
    ]
    return "\n".join([*head, *body]) + "\n"


def _interval(row: Mapping[str, object]) -> str:
    values = [float(row[name]) for name in ("percent", "percent_low", "percent_high")]  # type: ignore[arg-type]
    if np.isnan(values).any():
        return "-"
    point, low, high = (f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") for value in values)
    return f"{point} ({low} to {high})"

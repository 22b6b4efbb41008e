"""Sentences of the paper about the registry of published figures and its audit, whatever they hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.evidence import audit as of
from analysis.evidence import published as registered
from analysis.report import words
from analysis.report.frames import Frame, held_frame
from analysis.report.published_tables import AUDIT

REGISTRY = Frame("registry", registered.COLUMNS)
OUTPUT = "table-57"
CRITICAL = 1.96
_NOT_MADE = "The {} was not made."
_OUTCOMES = {"logcrime": "all offences", "logviolent": "violent offences", "logproperty": "property offences"}


def phrases(frames: Mapping[str, pd.DataFrame], labels: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the sentences about the registry and its audit: key to text and the output it stands in.

    Args:
        frames: ``registry`` (`Published.frame`) and ``registry_audit`` (`audit`); one that is missing or has no rows
            is told as not made.
        labels: measure to words; not needed here, taken like everywhere.

    Returns:
        Keys ``audit.registry`` and ``audit.checks``.

    Raises:
        TableError: a frame with rows lacks a column.

    Example:
        >>> phrases({}, {})["audit.checks"]
        ('The audit of the registered figures was not made.', 'table-57')
    """
    registry = _held(frames, REGISTRY)
    checks = _held(frames, AUDIT)
    return {
        "audit.registry": (registry_sentences(registry), OUTPUT),
        "audit.checks": (checks_sentences(checks, registry), OUTPUT),
    }


def registry_sentences(registry: pd.DataFrame) -> str:
    """Say how many figures are registered, how sure their reading is, and what stands with them.

    Args:
        registry: frame under the contract ``registry``.
    """
    if registry.empty:
        return _NOT_MADE.format("registry of published figures")
    held = registry["confidence"].value_counts()
    sized, errors = registry["estimate"].notna(), registry["se"].notna()
    seen = registry["confidence"].eq(registered.SEEN)
    own = int((seen & registry["seen_in"].astype(str).str.startswith("primary")).sum())
    with_error = sorted({str(study).split(" (")[0] for study in registry.loc[errors, "study"]})
    of_whom = f", all of them of {with_error[0]}" if len(with_error) == 1 else ""
    return (
        f"The registry holds {words.counted(len(registry), 'figure')} under {words.counted(registry['study'].nunique(), 'heading')}: "
        f"{words.none_or_count(held.get(registered.SEEN, 0))} were read as numbers or in words ({words.none_or_count(own)} of them in the study's own tables, "
        "abstract or summary, the others in another's account), "
        f"{words.none_or_count(held.get(registered.INFERRED, 0))} are inferred and {words.none_or_count(held.get(registered.FROM_MEMORY, 0))} from "
        f"memory, and the last two are never a pass mark. {words.capital(words.none_or_count(int(sized.sum())))} have a size, the others a direction "
        f"or a null in words; {words.none_or_count(int(errors.sum()))} have a standard error{of_whom}; "
        f"{words.none_or_count(int(registry['n'].notna().sum()))} have a sample size. No error, t or p was made up for the rest."
    )


def checks_sentences(checks: pd.DataFrame, registry: pd.DataFrame) -> str:
    """Say what the audit found: exact checks, checks that hold about, stars, and what is missing.

    Args:
        checks: frame under the contract ``registry_audit``.
        registry: frame under the contract ``registry``; may be empty.
    """
    if checks.empty:
        return _NOT_MADE.format("audit of the registered figures")
    done = checks[checks["status"].ne(of.CANNOT)]
    exact = done["exact"].isin([True, "True"])
    without = checks.groupby("id")["status"].agg(lambda states: states.eq(of.CANNOT).all())
    parts = [
        f"Of {words.counted(len(done), 'check')} that could be made, {words.none_or_count(int(exact.sum()))} allow no exception and "
        f"{words.none_or_count(int((~exact).sum()))} hold only about; {_found(done[exact])} of the first and {_found(done[~exact])} of the "
        f"second do not fit. Nothing could be recomputed for {words.none_or_count(int(without.sum()))} of {words.counted(len(without), 'figure')}.",
        _stars(checks),
        _apart(done[~exact & done["status"].eq(of.INCONSISTENT)]),
        _gradient(registry),
    ]
    return " ".join(part for part in parts if part)


def _stars(checks: pd.DataFrame) -> str:
    rows = checks[checks["check"].eq("stars")]
    if rows.empty:
        return ""
    fit = int(rows["status"].eq(of.CONSISTENT).sum())
    told = "all of them" if fit == len(rows) else f"{words.none_or_count(fit)} of them"
    return (
        f"Significance levels that stars state were recomputed for {words.counted(len(rows), 'figure')} from estimate and error: they "
        f"bear out {told}."
    )


def _apart(rows: pd.DataFrame) -> str:
    """Return which checks that hold about found a misfit, by check."""
    if rows.empty:
        return ""
    counts = rows["check"].value_counts(sort=False)
    said = [f"{check} ({words.none_or_count(int(n))})" for check, n in counts.items()]
    return f"What holds only about and does not fit is a question to its source: {words.listing(said)}."


def _gradient(registry: pd.DataFrame) -> str:
    """Return how far the border study's top quartile stands apart from its lowest, whatever their correlation."""
    if registry.empty:
        return ""
    found = of.quartile_contrasts(registry)
    parts = []
    for outcome, said in _OUTCOMES.items():
        rows = found[found["outcome"].eq(outcome)]
        if len(rows):
            low, high = rows["difference"].min(), rows["difference"].max()
            sure, alone = (int((rows[c].abs() > CRITICAL).sum()) for c in ("t_worst", "t_independent"))
            parts.append(
                f"{said} by {words.number(low, 3, sign=True)} to {words.number(high, 3, sign=True)} (past {CRITICAL} in "
                f"{words.none_or_count(alone)} of {len(rows)} columns if the two are independent, in {words.none_or_count(sure)} for any correlation)"
            )
    if not parts:
        return ""
    return (
        "Along borders the quarter of counties with the highest Hispanic share differs from the quarter with the lowest, in log "
        f"points of reported offences: {words.listing(parts)}; the correlation of the two is not published."
    )


def _held(frames: Mapping[str, pd.DataFrame], contract: Frame) -> pd.DataFrame:
    table = held_frame(frames, contract.name, contract)
    if table.empty:
        return table
    numbers = [
        c for c in ("estimate", "se", "n", "recomputed_low", "recomputed_high") if c in contract.columns
    ]
    return table.assign(**{c: pd.to_numeric(table[c], errors="coerce").replace([np.inf, -np.inf], np.nan) for c in numbers})  # fmt: skip


def _found(rows: pd.DataFrame) -> str:
    return words.none_or_count(int(rows["status"].eq(of.INCONSISTENT).sum()))

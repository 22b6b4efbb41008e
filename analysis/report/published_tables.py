"""Table of what the audit of the registered figures found."""

from __future__ import annotations

import re

import pandas as pd

from analysis.evidence import audit as of
from analysis.report import words
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build

AUDIT = Frame("registry_audit", of.COLUMNS)

STATES = (of.CONSISTENT, of.INCONSISTENT, of.CANNOT)
_EVERY = "every study"


def short_study(study: str) -> str:
    """Return authors and year without the venue.

    Example:
        >>> short_study("Hausman 2020 (PNAS 117(44):27262)"), short_study("context")
        ('Hausman 2020', 'context')
    """
    return study.split(" (")[0]


def summary_of_audit(audit: pd.DataFrame) -> pd.DataFrame:
    """Return how many figures of each study each check found consistent, inconsistent or beyond checking.

    Args:
        audit: frame under the contract ``registry_audit``.

    Returns:
        Columns study, check, exact, consistent, inconsistent, cannot; studies and checks in order of appearance, every study
        together at the end.

    Example:
        >>> summary_of_audit(pd.DataFrame(columns=list(of.COLUMNS))).empty
        True
    """
    f = require(audit, AUDIT)
    keys = ["study", "check", "exact"]
    counts = [
        {**dict(zip(keys, key, strict=True)), **_counts(rows)} for key, rows in f.groupby(keys, sort=False)
    ]
    if counts:
        counts.append({"study": _EVERY, "check": "", "exact": True, **_counts(f)})
    return pd.DataFrame(counts, columns=[*keys, "consistent", "inconsistent", "cannot"])


def audit_table(audit: pd.DataFrame) -> Table:
    """Return the audit: counts by study and check, then every figure that does not fit, by identifier.

    Args:
        audit: frame under the contract ``registry_audit``, as `analysis.evidence.audit.audit` gives it.

    Raises:
        TableError: a column is missing.
    """
    f = require(audit, AUDIT).reset_index(drop=True)
    summary = summary_of_audit(f)
    apart = f[f["status"].eq(of.INCONSISTENT)].sort_values("id", kind="stable")
    heads_of = summary["study"].ne(summary["study"].shift())
    counted = [
        (
            words.capital(short_study(str(r["study"]))) if first else "",
            _check(r), words.count(r["consistent"]), words.count(r["inconsistent"]), words.count(r["cannot"]), "",
        )
        for r, first in zip(summary.to_dict("records"), heads_of, strict=True)
    ]  # fmt: skip
    named = [
        (
            str(r["id"]),
            _check(r),
            "",
            "1",
            "",
            _minus(f"printed {r['printed']}{_implied(r)}{_from(r)}"),
        )
        for r in apart.to_dict("records")
    ]
    cells = [*counted, *named]
    frame = pd.concat(
        [
            summary.assign(row="count", id=""),
            apart.drop(columns=["status"]).assign(row="inconsistent", consistent=0, inconsistent=1, cannot=0),
        ],
        ignore_index=True,
    )
    order = ["row", "study", "id", "check", "exact", "consistent", "inconsistent", "cannot", "given",
             "recomputed_low", "recomputed_high", "printed", "reason"]  # fmt: skip
    heads = [("Study or figure", "l", 2.4), ("Check", "l", 1.9), ("Consistent", "r", 0.8), ("Inconsistent", "r", 0.9),
             ("Cannot be checked", "r", 0.9), ("What does not fit", "l", 3.4)]  # fmt: skip
    return build(
        "Audit of the registered figures: do they agree with themselves and each other?",
        frame.reindex(columns=order),
        [(head, align, width, [row[at] for row in cells]) for at, (head, align, width) in enumerate(heads)],
        [
            "Counts are checks, then one row a figure that does not fit. A printed number stands for every number that rounds to "
            "it; inconsistent: no such number fits. Stars: p recomputed from estimate and error, normal or t with clusters less "
            "one, falls in the level the stars state. Consistent says that the numbers can come from one calculation, not that it "
            "was right; what cannot be checked lacks an error, t, p, interval or count that nobody here has read.",
            "~ The relation holds only about, or under conditions the csv states with each row: such a row is a question to the "
            "source, not an error found in it.",
        ],
    )


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    return {
        name: int(rows["status"].eq(state).sum())
        for name, state in zip(("consistent", "inconsistent", "cannot"), STATES, strict=True)
    }


def _minus(text: str) -> str:
    """Return text with a true minus before numbers; hyphens inside words stay.

    Example:
        >>> _minus("log-scale -0.004")
        'log-scale −0.004'
    """
    return re.sub(r"(?<![\w.])-(?=\d)", words.MINUS, text)


def _check(row: dict[str, object]) -> str:
    return f"{row['check']}{'' if row['exact'] else ' ~'}"


def _from(row: dict[str, object]) -> str:
    return "" if words.is_missing(row["given"]) else f"; from {row['given']}"


def _implied(row: dict[str, object]) -> str:
    """Return the recomputed range in words; "" where the check recomputes no number."""
    low, high = row["recomputed_low"], row["recomputed_high"]
    if words.is_missing(low) or words.is_missing(high):
        return ""
    small = max(abs(float(str(low))), abs(float(str(high)))) < 1
    return f", recomputed {words.interval(low, high, 4 if small else 1)}"

"""Tables of what estimates exclude and could have found, and of tests that they are small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.checks import nulls as of
from analysis.evidence.matches import NOT_ESTIMATED
from analysis.evidence.verdict import NO_VERDICT
from analysis.report import words
from analysis.report.design_tables import HEADS, label_of_variant
from analysis.report.frames import Frame, require
from analysis.report.match_tables import MARKS
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]

NULLS = Frame("nulls", of.NULLS)
CURVES = Frame("power_curves", of.CURVES)
EQUIVALENCE = Frame("equivalence", of.EQUIVALENCE)
SIGNS = Frame("sign_errors", of.SIGNS)

# Named variation of the headline spec -> the design in words; "" is the spec's own values.
# Designs across states stand together, then those within.
ORDER = ("", "without-california", "counties-alike", "two-way", "within-states", "two-way-within-states", "border",
         "matched-2015")  # fmt: skip
DESIGNS: Mapping[str, str] = {variant: words.HEADLINE_DESIGNS[variant] for variant in ORDER}
# Outcomes of figures, and of tables as the paper prints them; their other twins hold every one.
MAIN = ("violent_ex_rape", "property")
SHOWN = "*"


def design_label(variant: str) -> str:
    """Return a design in words; one's own variation keeps its name.

    Example:
        >>> design_label("border"), design_label("my-own-design")
        ('Along borders', 'My own design')
    """
    said = DESIGNS.get(variant) or label_of_variant(variant)
    return said[:1].upper() + said[1:]


def _by_outcome(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows outcome by outcome, in the order in which outcomes and designs come."""
    order = {name: at for at, name in enumerate(dict.fromkeys(rows["measure"]))}
    return rows.iloc[np.argsort(rows["measure"].map(order).to_numpy(), kind="stable")].reset_index(drop=True)


def _outcomes(rows: pd.DataFrame, labels: Labels | None) -> list[str]:
    names = [HEADS.get(m) or label_of(m, labels) for m in rows["measure"]]
    return [name if at == 0 or names[at - 1] != name else "" for at, name in enumerate(names)]


def _main_rows(rows: pd.DataFrame) -> list[int] | None:
    return [at for at, measure in enumerate(rows["measure"]) if measure in MAIN] or None


def _interval(row: Mapping[Any, Any], names: Sequence[str]) -> str:
    value, low, high = (row[name] for name in names)
    if words.is_missing(value):
        return words.MISSING
    digits = _digits(value, low, high)
    ends = f"{words.number(low, digits)} to {words.number(high, digits)}"
    return f"{words.number(value, digits)} ({ends})"


def _digits(*values: float) -> int:
    """Decimals that leave a digit to say something of the largest number."""
    return 1 if any(abs(v) >= 1 for v in values if np.isfinite(v)) else 2


def exclusions_table(found: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return what each estimate excludes and could have found, beside the detainers behind it.

    Args:
        found: frame under the contract ``nulls``.
        labels: measure to words.
    """
    f = _by_outcome(require(found, NULLS))
    rows = f.to_dict("records")
    percents = ("percent", "percent_low", "percent_high")
    ratios = ("offences_per_declined", "offences_per_declined_low", "offences_per_declined_high")

    def marked(row: Mapping[Any, Any]) -> str:
        verdict = NOT_ESTIMATED if row["failure"] else row["precision"] or NO_VERDICT
        return _interval(row, percents) + MARKS[str(verdict)]

    def plain(column: str, digits: int | None = None, scale: float = 1.0) -> list[str]:
        values = [scale * float(v) for v in f[column]]
        return [words.number(v, _digits(v) if digits is None else digits) for v in values]

    return build(
        "What the data exclude, and what they could have found",
        f,
        [
            ("Outcome", "l", 1.1, _outcomes(f, labels)),
            ("Design", "l", 1.4, [design_label(str(v)) for v in f["design"]]),
            ("Changes not excluded, %", "r", 1.6, [marked(r) for r in rows]),
            ("Detectable, %", "r", 0.8, plain("detectable_percent", 1)),
            ("in refits, %", "r", 0.7, plain("detectable_simulated_percent", 1)),
            ("Size in refits, %", "r", 0.7, plain("size_simulated", 1, 100.0)),
            ("Declined per 10,000", "r", 0.8, plain("declined_per_10k", 2)),
            ("Offences per declined", "r", 1.5, [_interval(r, ratios) for r in rows]),
            ("Detectable per declined", "r", 0.9, plain("detectable_per_declined")),
        ],
        [
            "Estimate and 95 % interval in per cent of the mean before adoption (matched: of comparison areas): the data exclude "
            "changes below its lower and above its upper end, if the design's assumption holds and that of its error. "
            "Detectable: the change a test finds four times in five, by the formula (non-central t with the stated error and "
            "degrees of freedom), and in refits on the panel's own residuals, paths of whole states multiplied at random. Size: "
            "how often refits without an effect reject no effect; 5 would be right.",
            "Declined: detainers declined per 10,000 residents of treated areas in 2014, and reported offences a year for each "
            "that the estimate, both ends and the detectable change imply. * different from zero; = equivalent to zero (within "
            "±5 % of the mean); without a mark inconclusive; § not informative and ‡ no verdict: neither is read as a finding; "
            "– not estimated.",
        ],
        selection=_main_rows(f),
    )  # fmt: skip


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.01 else f"{value:.2f}"


def _tested(row: Mapping[Any, Any] | None) -> str:
    """Return the p-value of a test of equivalence with the bound, and a mark where it is shown."""
    if row is None or words.is_missing(row["p_value"]):
        return words.MISSING
    mark = SHOWN if bool(row["equivalent"]) else ""
    digits = 1 if row["bound_percent"] < 9.95 else 0
    return f"{_p_value(float(row['p_value']))}{mark} ({words.number(row['bound_percent'], digits)})"


def equivalence_table(found: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return tests that each effect is smaller than every stated bound, in either direction.

    Args:
        found: frame under the contract ``equivalence``.
        labels: measure to words.
    """
    f = _by_outcome(require(found, EQUIVALENCE))
    bounds = [b for b in dict.fromkeys(zip(f["kind"], f["source"], strict=True)) if isinstance(b[0], str)]
    specs = list(dict.fromkeys(f["spec"]))
    first = f.drop_duplicates("spec").reset_index(drop=True)
    cells = {(r["spec"], r["kind"], r["source"]): r for r in f.to_dict("records")}
    return build(
        "Is the effect smaller than a stated size?",
        f,
        [
            ("Outcome", "l", 1.0, _outcomes(first, labels)),
            ("Design", "l", 1.3, [design_label(str(v)) for v in first["design"]]),
            ("Smallest bound, %", "r", 0.8, [words.number(v, 1) for v in first["smallest_bound_percent"]]),
            *(
                (_bound_head(*b), "r", 0.9, [_tested(cells.get((spec, *b))) for spec in specs])
                for b in bounds
            ),
        ],
        [
            "p-values of two one-sided tests of an effect at least as large as a bound, in either direction, and in brackets the "
            f"bound in per cent of the mean; {SHOWN} shown at 5 %. Smallest bound: from where on it would be shown, the farther "
            "end of the 90 % interval. A large p-value is no sign of an effect. "
            "Published sizes are of all reported crime: −35.5 per 10,000 read as if all of it were property crime, +0.035 log "
            "points as the same proportional change. Custody: declined detainers per 10,000 residents times 0.1 to 5 reported "
            "offences of the outcome a year each, stated, not estimated. –: cannot be put on the outcome's scale.",
        ],
        selection=_main_rows(first),
    )  # fmt: skip


def _bound_head(kind: str, source: str) -> str:
    """Return the heading of a bound.

    Example:
        >>> _bound_head("custody", "0.5"), _bound_head("share_of_mean", "5 %")
        ('Custody, 0.5', '5 % of mean')
    """
    if kind == "published":
        return PUBLISHED.get(source, source)
    return f"Custody, {source}" if kind == "custody" else f"{source} of mean"


PUBLISHED: Mapping[str, str] = {
    "wong2017.crime.all": "35.5 per 10,000",
    "biasi.logcrime_dd1.c2": "0.035 log points",
}

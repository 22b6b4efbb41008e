"""Tables of hidden bias: what an omitted variable would have to be, and every device beside every estimate.

Estimates are per cent of the treated areas' mean before adoption (the matched comparison: of comparison areas' mean), so
that outcomes share one reading. Nothing here is a verdict; where a number may carry one the frame says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.checks import omitted as of
from analysis.report import words
from analysis.report.design_tables import HEADS
from analysis.report.frames import Frame, require
from analysis.report.tables import Table, build, label_of

Labels = Mapping[str, str]

OMITTED = Frame("omitted", dict.fromkeys(of.COLUMNS, "see `analysis.evidence.checks.omitted.omitted`"))
NEEDED = Frame("bias_needed", dict.fromkeys(of.NEEDED, "see `analysis.evidence.checks.omitted.bias_needed`"))

# Line of the spec of headline estimates -> words; "" is the spec's own values.
VARIANTS = words.HEADLINE_DESIGNS
HELD: Mapping[str, str] = {
    of.BARE: "nothing more",
    of.COVARIATES: "covariates",
    of.DIVISIONS: "covariates, divisions",
}
# Kind of a mark: a group that could be held constant, and what it explains.
HELD_KIND = "held"
SHOWN = ("violent_ex_rape", "property")
NOT_INFORMATIVE = " §"


def variant_words(variant: str) -> str:
    """Return a line of the headline spec in words; one's own keeps its name.

    Example:
        >>> variant_words(""), variant_words("my-rule")
        ('Across states', 'My rule')
    """
    return VARIANTS.get(variant, label_of(variant.replace("-", " "), None))


def cell_of(rows: pd.DataFrame, statistic: str, **where: Any) -> float:
    """Return one value of a long frame, missing where it has no such row; ``setting=None`` is a missing setting."""
    rows = rows[rows["statistic"].eq(statistic)]
    for name, wanted in where.items():
        rows = rows[rows[name].isna()] if wanted is None else rows[rows[name].eq(wanted)]
    return float(rows["value"].iloc[0]) if len(rows) else float("nan")


def omitted_table(
    found: pd.DataFrame, labels: Labels | None = None, *, measures: Sequence[str] = SHOWN
) -> Table:
    """Return every headline regression with what an omitted variable would have to be.

    Args:
        found: frame under the contract ``omitted``; the table's twins hold all of it.
        labels: measure to words.
        measures: outcomes printed.
    """
    f = of.filled(require(found, OMITTED)).reset_index(drop=True)
    shown = f[f["measure"].isin(list(measures)) & f["device"].ne("")]
    keys = list(dict.fromkeys(zip(shown["measure"], shown["variant"], shown["adjusted"], strict=True)))
    keys.sort(key=lambda key: list(measures).index(key[0]))
    parts = {key: shown[(shown[["measure", "variant", "adjusted"]] == list(key)).all(axis=1)] for key in keys}

    def column(device: str, statistic: str, digits: int, **where: Any) -> list[str]:
        scale = 100 if device == of.ROBUSTNESS else 1
        return [
            words.number(scale * cell_of(parts[key], statistic, device=device, **where), digits)
            for key in keys
        ]

    def in_percent(key: tuple[Any, ...]) -> str:
        base = cell_of(parts[key], "baseline", device=of.REGRESSION)
        ends = [
            100 * cell_of(parts[key], n, device=of.REGRESSION) / base
            for n in ("estimate", "conf_low", "conf_high")
        ]
        return words.estimate_text(ends[0], ends[1], ends[2], 1)

    def deltas(setting: float | None) -> list[str]:
        kept = [cell_of(parts[key], "direction_kept") == 1 for key in keys]
        raw = column(of.SELECTION, "delta", 2, setting=setting)
        return [one if ok else words.MISSING for one, ok in zip(raw, kept, strict=True)]

    said = list(dict.fromkeys(str(note) for note in shown["note"] if note))
    return build(
        "How strong an omitted variable would have to be: every headline regression",
        f,
        [
            ("Outcome", "l", 1.1, words.once([HEADS.get(m, label_of(m, labels)) for m, _, _ in keys])),
            ("Regression", "l", 1.4, words.once([f"{variant_words(v)}" for _, v, _ in keys])),
            ("Holding constant", "l", 1.3, [HELD[a] for _, _, a in keys]),
            ("Estimate, %", "r", 1.5, [in_percent(key) for key in keys]),
            ("Robustness value, %", "r", 0.8, column(of.ROBUSTNESS, "estimate", 1)),
            ("of the interval", "r", 0.75, column(of.ROBUSTNESS, "interval", 1)),
            ("independent errors ‡", "r", 0.9, column(of.ROBUSTNESS, "interval_classical", 1)),
            ("If all else, %", "r", 0.7, column(of.ROBUSTNESS, "partial_r2", 1)),
            ("Times log population", "r", 0.8, column(of.BENCHMARK, "multiple", 1, about="log_population")),
            ("Times all covariates", "r", 0.8, column(of.BENCHMARK, "multiple", 2, about=of.ALL)),
            ("Times divisions", "r", 0.8, column(of.BENCHMARK, "multiple", 2, about=of.DIVISION)),
            ("δ, R² × 1.3", "r", 0.7, deltas(of.R_MAX)),
            ("δ, R² = 1", "r", 0.6, deltas(None)),
        ],
        [
            "Estimates in per cent of the mean before adoption (matched: of comparison areas), 95 % intervals by state (CR2). "
            "Two-way regressions hold covariates constant year by year, with Secure Communities and 287(g); divisions are "
            "the nine of the census.",
            "Robustness value: an omitted variable that explains less than this share of what is left of treatment, and less "
            "of what is left of the outcome, cannot bring the estimate to zero (Cinelli and Hazlett 2020); of the interval: "
            "cannot make the interval by state hold zero (0: it does already); independent errors: the published formula. "
            "If all else: the share of treatment it must explain if it explains all the rest of the outcome. Times: how many "
            "times as strong, in both, as what is named. δ: how much more strongly treatment must go with what is omitted than "
            "with the covariates, per unit of what either explains of the outcome (Oster 2019), for R² of 1.3 times the one "
            "found and of 1; – where covariates moved the estimate away from zero, and no δ has a meaning.",
            "‡ valid if counties were assigned independently; it carries no verdict.",
            *(f"{label_of(one, None)}." for one in said),
        ],
    )


def needed_table(needed: pd.DataFrame, labels: Labels | None = None) -> Table:
    """Return how strong a bias of each kind would have to be, a row an estimate and a column a device.

    Args:
        needed: frame under the contract ``bias_needed``.
        labels: measure to words.
    """
    f = of.filled(require(needed, NEEDED)).reset_index(drop=True)
    specs = list(dict.fromkeys(f["spec"]))
    parts = [f[f["spec"].eq(spec)] for spec in specs]
    first = [part.iloc[0] for part in parts]

    def column(
        digits: int, scale: float, device: str, statistic: str, mark: str = "", **where: Any
    ) -> list[str]:
        cells = [
            words.number(scale * cell_of(part, statistic, device=device, **where), digits) for part in parts
        ]
        return [cell if cell == words.MISSING else f"{cell}{mark}" for cell in cells]

    def estimate(row: pd.Series) -> str:
        scale = 100 / float(row["baseline"])
        ends = [scale * float(row[name]) for name in ("estimate", "conf_low", "conf_high")]
        return words.estimate_text(ends[0], ends[1], ends[2], 1) + (
            "" if row["informative"] else NOT_INFORMATIVE
        )

    def stands_in(part: pd.DataFrame) -> str:
        value = cell_of(part, "estimate", device=of.REGRESSION)
        return words.number(100 * value / float(part["baseline"].iloc[0]), 1)

    limits = [str(one) for one in dict.fromkeys(f.loc[f["device"].eq(of.SELECTION), "about"]) if one]
    return build(
        "How strong a hidden bias would have to be: every headline estimate, every device",
        f,
        [
            ("Design", "l", 1.4, words.once([variant_words(str(row["variant"])) for row in first])),
            (
                "Outcome",
                "l",
                1.2,
                [HEADS.get(row["measure"], label_of(row["measure"], labels)) for row in first],
            ),
            ("Estimate, %", "r", 1.5, [estimate(row) for row in first]),
            ("Regression, %", "r", 0.7, [stands_in(part) for part in parts]),
            ("Robustness value, %", "r", 0.8, column(1, 100, of.ROBUSTNESS, "estimate")),
            ("of the interval", "r", 0.7, column(1, 100, of.ROBUSTNESS, "interval")),
            ("Times all covariates", "r", 0.8, column(2, 1, of.BENCHMARK, "multiple", about=of.ALL)),
            *(
                (
                    f"δ, {limit.replace('R_max', 'R² of').replace(' of 1.3 times R2', ' × 1.3')}",
                    "r",
                    0.7,
                    column(2, 1, of.SELECTION, "delta", about=limit),
                )
                for limit in limits
            ),
            ("M̄", "r", 0.5, column(2, 1, of.TRENDS, "interval")),
            ("Γ ‡", "r", 0.5, column(2, 1, of.ODDS, "test")),
        ],
        [
            "Estimates in per cent of the mean before adoption (matched: of comparison areas), 95 % intervals of their spec. § "
            "not informative (fewer than 20 treated areas, or fewer than six states). Regression: the one that is, or stands "
            "in for, the estimate (changes of counties' means for group-time effects, levels for the match), and that the "
            "next columns are about: where it lies far from the estimate they say little of it.",
            "Robustness value: share of what is left of treatment and of the outcome that an omitted variable must explain "
            "for the regression to be zero; of the interval: for its interval by state to hold zero. Times all covariates: "
            "so many times as strong as all of them together (here and for δ the regression holds them constant). δ: selection on what is omitted relative to that on the "
            "covariates that would make the effect zero. M̄: trends after adoption may move in a year by at most so many "
            "times their largest yearly move before until the interval of the event study holds zero (Rambachan and Roth "
            "2023). Γ: two counties of a matched pair may differ so many times in their odds of having a policy until the "
            "test of no difference passes 0.05 (Rosenbaum 2002), of pairs made without replacement.",
            "Robustness values, multiples and δ are algebra on the estimate: no error is in them and no verdict follows; ‡ "
            "valid if counties were assigned independently, and never a verdict. The interval's robustness value and M̄ rest "
            "on errors by state. 0 (Γ: 1): zero is inside without any hidden bias. –: the device does not apply, or δ has no "
            "meaning because covariates moved the estimate away from zero.",
        ],
    )


def contour_rows(
    found: pd.DataFrame,
    measure: str = "property",
    variants: Sequence[str] = ("two-way", "two-way-within-states"),
) -> pd.DataFrame:
    """Return the numbers of `analysis.report.bias_figures.contour_plot`.

    Args:
        found: frame under the contract ``omitted``.
        measure: outcome.
        variants: lines of the headline spec, a panel each, adjusted for covariates.

    Returns:
        Columns variant, measure, kind, about, r2dz, r2yz, percent (estimate after the bias, in per cent of the baseline),
        bias_unit (in per cent too). Kinds: regression (no confounder), benchmark (once as strong as ``about``),
        robustness_value and interval (both strengths alike), held (what the census divisions, not held constant here,
        explain in fact, with the estimate that holds them constant).
    """
    f = of.filled(require(found, OMITTED))
    f = f[f["measure"].eq(measure)]
    further, f = f[f["adjusted"].eq(of.DIVISIONS)], f[f["adjusted"].eq(of.COVARIATES)]
    rows: list[dict[str, Any]] = []
    for variant in variants:
        part = f[f["variant"].eq(variant)]
        scale = 100 / cell_of(part, "baseline", device=of.REGRESSION)
        about = {
            "variant": variant, "measure": measure, "bias_unit": scale * cell_of(part, "bias_unit", device=of.REGRESSION)
        }  # fmt: skip
        estimate = scale * cell_of(part, "estimate", device=of.REGRESSION)
        if not np.isfinite(estimate):
            continue
        rows.append(
            about | {"kind": of.REGRESSION, "about": "", "r2dz": 0.0, "r2yz": 0.0, "percent": estimate}
        )
        for statistic, kind in (("estimate", of.ROBUSTNESS), ("interval", "interval")):
            share = cell_of(part, statistic, device=of.ROBUSTNESS)
            moved = estimate - np.sign(estimate) * about["bias_unit"] * share / np.sqrt(1 - share)
            rows.append(about | {"kind": kind, "about": "", "r2dz": share, "r2yz": share, "percent": moved})
        once = part[part["device"].eq(of.BENCHMARK) & part["setting"].eq(1.0)]
        for name in dict.fromkeys(once["about"]):
            mine = once[once["about"].eq(name)]
            strengths = {n: cell_of(mine, n) for n in ("r2dz", "r2yz")}
            rows.append(
                about
                | {
                    "kind": of.BENCHMARK,
                    "about": name,
                    **strengths,
                    "percent": scale * cell_of(mine, "estimate"),
                }
            )
        more = further[further["variant"].eq(variant)]
        explained = more[more["about"].eq(of.DIVISION)]
        if len(explained):
            strengths = {"r2dz": cell_of(explained, "r2d"), "r2yz": cell_of(explained, "r2y")}
            held = scale * cell_of(more, "estimate", device=of.REGRESSION)
            rows.append(about | {"kind": HELD_KIND, "about": of.DIVISION, **strengths, "percent": held})
    return pd.DataFrame(
        rows, columns=["variant", "measure", "kind", "about", "r2dz", "r2yz", "percent", "bias_unit"]
    )

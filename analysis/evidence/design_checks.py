"""Checks of panel designs as tables: trends that may differ, and who is compared with whom in one coefficient.

A row a specification, so that checks stand beside the estimates they are about; one that cannot be made keeps its row
and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.spec import Spec
from analysis.estimation import aggregate, fit
from analysis.estimation.estimate import Estimate
from analysis.evidence.checks.decomposition import bacon, residual_weights
from analysis.evidence.checks.honest import honest_bounds, pretrend_power
from analysis.evidence.checks.pretrends import pretrends

# Violations allowed after adoption, as multiples of the largest yearly move before it.
MULTIPLES = (0.5, 1.0, 2.0)
POWERS = (0.5, 0.8)
# What a comparison of two groups is, by whether it uses counties that are treated already.
BEFORE_ONLY = ("treated_and_untreated", "earlier_and_later_before")
ALREADY = ("later_and_earlier_after", "later_and_always")
TRENDS = (
    "spec", "measure", "within", "weights", "estimator", "estimate", "conf_low", "conf_high", "baseline", "leads",
    "pretrend_p", *(f"slope_{100 * p:.0f}" for p in POWERS), *(f"bias_{100 * p:.0f}" for p in POWERS),
    *(f"{end}_{m:g}" for m in MULTIPLES for end in ("low", "high")), "linear_low", "linear_high", "note",
)  # fmt: skip
WEIGHTS = (
    "spec", "measure", "effects", "weights", "coefficient", "negative", "negative_sum", "clean", "already_treated",
    "clean_estimate", "already_estimate", "note",
)  # fmt: skip


def trend_checks(panel: Panel, specs: Iterable[Spec]) -> pd.DataFrame:
    """Return what each event study can bear if trends differ (protocol rule 13).

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: panels whose estimator gives event times with one universal base, without grids.

    Returns:
        Columns TRENDS, in the outcome's unit: the mean after adoption with its own interval; the number of leads tested
        and the joint p-value of their being zero; the yearly trend that a test of single leads finds with power 0.5 and
        0.8, and the bias such a trend leaves in the mean; intervals of the mean if trends moved after adoption by at
        most 0.5, 1 and 2 times their largest yearly move before it; and if the straight line through the years before
        adoption went on (smoothness, M = 0). What could not be had is missing, and ``note`` says why.
    """
    rows = []
    for spec in specs:
        dynamic = fit(make_design(panel, spec))
        line = aggregate(dynamic, over="post").table.iloc[0]
        rows.append(
            {
                "spec": spec.name, "measure": spec.outcome.measure, "within": spec.within,
                "weights": spec.estimator.weights, "estimator": spec.estimator.name, "baseline": dynamic.baseline,
                **{name: float(line[name]) for name in ("estimate", "conf_low", "conf_high")}, **_trends(dynamic),
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(TRENDS))


def _trends(dynamic: Estimate) -> dict[str, Any]:
    found: dict[str, Any] = {"note": ""}
    notes = []
    try:
        test = pretrends(dynamic)
        found |= {"leads": len(test.event_times), "pretrend_p": test.p_value}
        notes.append(test.note)
        for row in pretrend_power(dynamic, POWERS).to_dict("records"):
            name = f"{100 * row['power']:.0f}"
            found |= {f"slope_{name}": row["slope"], f"bias_{name}": row["bias"]}
        for row in honest_bounds(dynamic, "relative_magnitude", MULTIPLES).to_dict("records"):
            found |= {f"low_{row['bound']:g}": row["conf_low"], f"high_{row['bound']:g}": row["conf_high"]}
        straight = honest_bounds(dynamic, "smoothness", [0.0]).iloc[0]
        found |= {"linear_low": straight["conf_low"], "linear_high": straight["conf_high"]}
        notes.append(str(straight["note"]))
    except StudyError as error:
        notes.append(" ".join(str(error).split()))
    return found | {"note": "; ".join(dict.fromkeys(note for note in notes if note))}


def regression_weights(panel: Panel, specs: Iterable[Spec]) -> pd.DataFrame:
    """Return how treated county-years enter each two-way coefficient, and what it compares (protocol rule 14).

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: two-way regressions with one coefficient, without grids.

    Returns:
        Columns WEIGHTS: the coefficient; the share of treated county-years that enter with a negative weight and the sum
        of those weights; and, where Bacon's decomposition is exact (balanced, unweighted, no controls, county and year
        effects), the weight and mean estimate of comparisons with counties not treated so far and of comparisons with
        counties treated already. Elsewhere those are missing and ``note`` says why.
    """
    rows = []
    for spec in specs:
        design = make_design(panel, spec)
        found = residual_weights(design)
        rows.append(
            {
                "spec": spec.name, "measure": spec.outcome.measure, "effects": spec.estimator.effects,
                "weights": spec.estimator.weights, "coefficient": found.two_way, "negative": found.negative,
                "negative_sum": found.negative_sum,
            }
            | _compared(design)
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(WEIGHTS))


def _compared(design: Design) -> dict[str, Any]:
    try:
        kinds = bacon(design).by_kind().set_index("kind")
    except StudyError as error:
        return {"note": " ".join(str(error).split())}
    out: dict[str, Any] = {"note": ""}
    for name, estimate, wanted in (
        ("clean", "clean_estimate", BEFORE_ONLY),
        ("already_treated", "already_estimate", ALREADY),
    ):
        part = kinds.reindex(wanted).dropna()
        weight = float(part["weight"].sum())
        out[name] = weight
        out[estimate] = float(part["weight"] @ part["estimate"] / weight) if weight > 0 else np.nan
    return out


def named(specs: Iterable[Spec], names: Sequence[str]) -> list[Spec]:
    """Return the specifications of these names, in the order asked for.

    Raises:
        StudyError: a name no specification has.
    """
    known = {spec.name: spec for spec in specs}
    absent = [name for name in names if name not in known]
    if absent:
        raise StudyError(f"no specification {', '.join(absent)}", "names of the spec's grid", "the spec")
    return [known[name] for name in names]

"""How large a bias from what was not measured would have to be to explain a matched difference away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, StudyError
from analysis.design.design import Design
from analysis.estimation import fit
from analysis.estimation.estimate import Estimate
from analysis.estimation.matched import MatchedSets, match
from analysis.estimation.matching.sensitivity import (
    NOTE,
    Bounds,
    critical_gamma,
    deviation_within,
    e_value_difference,
    e_value_logs,
    pair_bounds,
    set_bounds,
    set_p_bounds,
    signed_rank_bounds,
)

Array = NDArray[np.float64]
Index = NDArray[np.intp]
# From gamma to the smallest and largest two-sided p-value.
PValues = Callable[[float], tuple[float, float]]

GAMMAS: tuple[float, ...] = tuple(round(1 + step / 10, 1) for step in range(21))
# Size of the two-sided test at which the critical gamma is read.
SIZE = 0.05
COLUMNS = ("method", "gamma", "statistic", "value", "unit", "n_sets", "n_treated", "n_comparison", "note")
OF_BOUNDS = ("estimate_low", "estimate_high", "conf_low", "conf_high")


def hidden_bias(
    design: Design,
    sets: MatchedSets | None = None,
    estimate: Estimate | None = None,
    gammas: Sequence[float] = GAMMAS,
) -> pd.DataFrame:
    """Return Rosenbaum bounds of matched sets over a range of hidden biases, and E-values of the estimate.

    Gamma is the most by which two counties of one matched set may differ in their odds of treatment. Pairs are
    tested by signed ranks, sets with several comparison (or treated) counties by aligned ranks, each set
    counting as it is: the weights of the estimate and its bias adjustment do not enter.

    Args:
        design: a cross-section.
        sets: from `analysis.estimation.matched.match`; matched here if None.
        estimate: one row, on the same design; estimated here if None.
        gammas: each at least 1.

    Returns:
        One row a number: method (signed_rank | aligned_rank | e_value), gamma (missing where none applies),
        statistic, value, unit, n_sets, n_treated, n_comparison (in the sets), note. Statistics: p_low and
        p_high, the smallest and largest two-sided p-value (twice the smaller of the one-sided) of no effect;
        estimate_low and estimate_high of a constant effect (Hodges and Lehmann); conf_low and conf_high of
        the interval that holds under every bias up to gamma, at the level of the spec; critical_gamma, at
        which p_high reaches 0.05 (1 where it does without bias); risk_ratio, the ratio the estimate stands
        for; e_value and e_value_interval, for the estimate and the end of its interval nearest to no effect.
        The ratio is exp(0.91 d), d the estimate over the standard deviation of the outcome within arms of the
        matched sample; for outcomes in logarithms exp(estimate).

    Raises:
        SampleError: no sets of treated and comparison counties; a comparison county in several sets, as with
            replacement; several counties of both arms in a set; a missing outcome.
        StudyError: an estimate of more than one row.

    Assumption: counties were assigned independently given the covariates and the hidden one. Errors and
        bounds of that kind carry no verdict, and every row says so (protocol rule 12).

    Source: Rosenbaum (2002), Observational Studies, chapter 4; Gastwirth, Krieger and Rosenbaum (2000), JRSS
        B 62(3), for sets; VanderWeele and Ding (2017), Annals of Internal Medicine 167(4), for E-values and
        the ratio 0.91 d stands for.
    """
    sets = match(design) if sets is None else sets
    estimate = fit(design) if estimate is None else estimate
    if len(estimate.table) != 1:
        raise StudyError(f"an estimate of {len(estimate.table)} rows", "one row", design.spec.where)
    y = design.table.set_index("county_fips").loc[sets.counties, "outcome"].to_numpy(dtype=float)
    treated = np.asarray(sets.treated, dtype=bool)
    labels = _labels(sets)
    inside = labels >= 0
    note = NOTE
    if design.spec.estimator.weights not in (None, "none"):
        note += "; sets count alike, whatever the weights of the estimate"
    sizes = np.bincount(np.unique(labels[inside], return_inverse=True)[1])
    level = design.spec.inference.level
    asked = np.asarray(gammas, dtype=float)
    try:
        if (sizes == 2).all():
            method, bounds, p_values = _of_pairs(y, treated, labels, asked, level)
        else:
            method, bounds, p_values = _of_sets(y, treated, labels, asked, level)
    except ValueError as error:
        raise SampleError(str(error), "matched sets on which bounds can be had", "estimator") from error
    lines: list[tuple[str, float, str, float, str]] = []
    for i, gamma in enumerate(asked):
        low, high = p_values(float(gamma))
        lines += [(method, gamma, "p_low", low, "p-value"), (method, gamma, "p_high", high, "p-value")]
        lines += [(method, gamma, name, float(getattr(bounds, name)[i]), design.unit) for name in OF_BOUNDS]
    reached = critical_gamma(lambda gamma: p_values(gamma)[1], SIZE)
    lines.append((method, np.nan, "critical_gamma", reached, "ratio of odds"))
    lines += [("e_value", np.nan, *line, "ratio of risks") for line in _e_values(design, estimate, y, sets)]
    counted = {
        "n_sets": len(sizes),
        "n_treated": int(treated[inside].sum()),
        "n_comparison": int((~treated[inside]).sum()),
        "note": note,
    }
    table = pd.DataFrame(lines, columns=["method", "gamma", "statistic", "value", "unit"])
    return table.assign(**counted)[list(COLUMNS)]


def _labels(sets: MatchedSets) -> Index:
    """Return each county's matched set, (n,), -1 in none; sets that share counties are refused."""
    if not len(sets.pairs):
        raise SampleError(
            "no matched sets: weighting and regression have none",
            "an estimator that matches",
            "estimator.name",
        )
    if sets.sets is None:
        links = sets.pairs[["treated", "comparison"]].drop_duplicates()
        shared = int((links["comparison"].value_counts() > 1).sum())
        raise SampleError(
            f"matched sets share counties ({shared} comparison counties serve several treated ones): they are not "
            "assigned independently of each other, and no bound is known",
            "matching without replacement (replacement = false, optimal_match or full_match)",
            "estimator.replacement",
        )
    return np.asarray(sets.sets, dtype=np.intp)


def _of_pairs(
    y: Array, treated: NDArray[np.bool_], labels: Index, gammas: Array, level: float
) -> tuple[str, Bounds, PValues]:
    first, second = (_by_set(y, labels, arm) for arm in (treated, ~treated))
    if len(first) != len(second):
        raise ValueError("a set of two counties of one arm; wanted one of either")
    gaps = first - second

    def p_values(gamma: float) -> tuple[float, float]:
        return _two_sided(
            [signed_rank_bounds(gaps, gamma, "greater"), signed_rank_bounds(gaps, gamma, "less")]
        )

    return "signed_rank", pair_bounds(gaps, gammas, level=level), p_values


def _by_set(y: Array, labels: Index, arm: NDArray[np.bool_]) -> Array:
    rows = np.flatnonzero(arm & (labels >= 0))
    return np.asarray(y[rows[np.argsort(labels[rows], kind="stable")]], dtype=float)


def _of_sets(
    y: Array, treated: NDArray[np.bool_], labels: Index, gammas: Array, level: float
) -> tuple[str, Bounds, PValues]:
    def p_values(gamma: float) -> tuple[float, float]:
        return _two_sided(
            [
                set_p_bounds(y, treated, labels, gamma, alternative="greater"),
                set_p_bounds(y, treated, labels, gamma, alternative="less"),
            ]
        )

    return "aligned_rank", set_bounds(y, treated, labels, gammas, level=level), p_values


def _two_sided(sides: list[tuple[float, float]]) -> tuple[float, float]:
    low, high = (min(1.0, 2 * min(side[end] for side in sides)) for end in (0, 1))
    return low, high


def _e_values(design: Design, estimate: Estimate, y: Array, sets: MatchedSets) -> list[tuple[str, float]]:
    row = estimate.table.iloc[0]
    values = row[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float)
    if not np.isfinite(values[0]):
        raise SampleError("the estimate is missing", "an estimate", design.spec.where)
    if design.spec.outcome.scale == "log_rate":
        found = e_value_logs(values)
    else:
        treated = np.asarray(sets.treated, dtype=bool)
        found = e_value_difference(values, deviation_within(y, treated, sets.weights > 0))
    return [
        ("risk_ratio", found.ratio),
        ("e_value", found.estimate),
        ("e_value_interval", found.interval),
    ]

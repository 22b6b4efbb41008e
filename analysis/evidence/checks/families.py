"""A declared family of estimates: which p-values stand once the others are counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.estimation.estimate import Estimate, cluster_labels
from analysis.estimation.panel_inference.families import (
    align_influence,
    benjamini_hochberg,
    holm,
    joint_statistics,
    step_down,
)

COLUMNS = (
    "spec", "estimator", "outcome", "unit", "estimate", "std_error", "df", "p", "p_romano_wolf", "p_holm", "q_bh",
)  # fmt: skip
DRAWS = 9_999


def family_table(estimates: Sequence[Estimate], *, draws: int = DRAWS, seed: int) -> pd.DataFrame:
    """Return the p-values of a declared family of estimates, alone and adjusted for each other.

    Estimates of one family share counties and states. Romano and Wolf's step-down uses that: one multiplier a cluster
    for all estimates at once, through their influence on one list of counties, so that the largest statistic is
    compared with the largest of all in each draw.

    Args:
        estimates: one effect each, with influence and errors by cluster of one kind; samples may differ.
        draws: joint draws.
        seed: of the generator.

    Returns:
        A row an estimate, in the order given: spec, estimator, outcome, unit, estimate, std_error, df, p (its own, by
        whatever its inference is), p_romano_wolf (chance of any false rejection in the family), p_holm (the same without
        the dependence), q_bh (share of false ones among rejections). An estimate that is missing or has no error has
        missing p-values and takes no part.

    Raises:
        StudyError: no estimates, one with several rows, one without influence, or clusters of different kinds; the
            offending ones are named.

    Assumption: clusters independent and many; the family was declared before it was looked at. Draws are divided by
    a chi-squared draw with the fewest degrees of freedom of any member, so that tails are not too short.

    Source: Romano and Wolf (2005), Econometrica 73(4); Holm (1979), Scandinavian Journal of Statistics 6(2); Benjamini
    and Hochberg (1995), Journal of the Royal Statistical Society B 57(1).

    Example:
        ``family_table(fit_all(panel, spec.expand()), seed=1)``
    """
    _refuse(estimates)
    by = estimates[0].inference.by
    influence, counties = align_influence(
        [_influence(one) for one in estimates], [one.counties.to_numpy(dtype=str) for one in estimates]
    )
    lines = [one.table.iloc[0] for one in estimates]
    value, error, p = (
        np.array([float(line[name]) for line in lines]) for name in ("estimate", "std_error", "p_value")
    )
    df = np.array([one.inference.df for one in estimates], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, value / error, np.nan)
    labels = cluster_labels(pd.Index(counties), by)
    known = df[np.isfinite(statistic)]
    drawn = joint_statistics(
        influence, labels, draws=draws, seed=seed, df=float(known.min()) if len(known) else np.inf
    )
    statistic = np.where(np.isnan(drawn).all(axis=0), np.nan, statistic)
    p = np.where(np.isnan(statistic), np.nan, p)
    return pd.DataFrame(
        {
            "spec": [one.spec.name for one in estimates],
            "estimator": [one.estimator for one in estimates],
            "outcome": [one.outcome for one in estimates],
            "unit": [one.unit for one in estimates],
            "estimate": value,
            "std_error": error,
            "df": df,
            "p": p,
            "p_romano_wolf": step_down(statistic, drawn),
            "p_holm": holm(p),
            "q_bh": benjamini_hochberg(p),
        }
    )[list(COLUMNS)]


def _influence(one: Estimate) -> np.ndarray:
    assert one.influence is not None
    column = one.influence[:, 0]
    # A missing estimate takes no part; its contributions may hold anything.
    return column if np.isfinite(one.table["estimate"].iloc[0]) else np.full(len(column), np.nan)


def _refuse(estimates: Sequence[Estimate]) -> None:
    if not estimates:
        raise StudyError("a family of no estimates", "at least one", "the call")
    for wanted, wrong in (
        ("estimates of one effect: aggregate(…, over='post')", [e for e in estimates if len(e.table) != 1]),
        ("estimates with influence", [e for e in estimates if e.influence is None]),
        (
            "errors by cluster of state or county",
            [e for e in estimates if e.inference.by not in ("state", "county")],
        ),
    ):
        if wrong:
            raise StudyError(f"in a family: {', '.join(map(_name, wrong))}", wanted, "the call")
    kinds = [(one.inference.kind, one.inference.by) for one in estimates]
    if len(set(kinds)) > 1:
        named = "; ".join(
            f"{kind} by {by}: {', '.join(_name(e) for e, k in zip(estimates, kinds, strict=True) if k == (kind, by))}"
            for kind, by in dict.fromkeys(kinds)
        )
        raise StudyError(
            f"a family of {named}", "one kind of error for all", "inference.vcov and inference.by"
        )


def _name(one: Estimate) -> str:
    return f"{one.spec.name} ({one.estimator}, {one.outcome})"

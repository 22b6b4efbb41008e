"""Whether treated and comparison counties moved alike before adoption: a joint test of the leads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.base.errors import StudyError
from analysis.estimation.estimate import Estimate

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointTest:
    """A joint test of some estimates being zero.

    Args:
        statistic: F.
        df_1: estimates tested, counted by the rank of their variance.
        df_2: denominator degrees of freedom.
        p_value: missing where there are too few clusters for the number of leads.
        event_times: tested.
        note: what must be said beside it, or "".
    """

    statistic: float
    df_1: int
    df_2: float
    p_value: float
    event_times: tuple[int, ...]
    note: str


def wald(estimate: Array, vcov: Array, df: float) -> tuple[float, int, float, float]:
    """Return F, its two degrees of freedom and the p-value of all estimates being zero.

    Args:
        estimate: (k,).
        vcov: (k, k); where its rank is below k, the pseudo-inverse and the rank are used.
        df: of the variance: clusters less one; infinite for chi-squared over k.

    Returns:
        With W = b' V^-1 b of rank q: F = W (df - q + 1) / (df q), on q and df - q + 1 degrees of freedom (Hotelling's
        T-squared). With as many leads as clusters there is nothing left to test with, and the p-value is missing.

    Source: Hotelling (1931); Pustejovsky and Tipton (2018), Journal of Business & Economic Statistics 36(4), on why the
    plain Wald test rejects too often with few clusters.

    Example:
        >>> statistic, q, df_2, p = wald(np.array([2.0]), np.array([[1.0]]), 30.0)
        >>> statistic, q, df_2, bool(round(p, 4) == round(2 * stats.t.sf(2.0, 30), 4))
        (4.0, 1, 30.0, True)
    """
    q = int(np.linalg.matrix_rank(vcov, hermitian=True))
    if q == 0:
        return float("nan"), 0, float("nan"), float("nan")
    w = float(estimate @ np.linalg.pinv(vcov, hermitian=True) @ estimate)
    if np.isinf(df):
        return w / q, q, df, float(stats.chi2.sf(w, q))
    left = df - q + 1
    if left <= 0:
        return float("nan"), q, left, float("nan")
    f = w * left / (df * q)
    return f, q, left, float(stats.f.sf(f, q, left))


def pretrends(estimate: Estimate, *, matched_on: Collection[int] = ()) -> JointTest:
    """Test jointly that the leads of an event study are zero (protocol rule 13).

    Args:
        estimate: of estimand event_time, with one universal base; its reference period is no row.
        matched_on: event times whose outcomes entered the matching or the covariates; they are left out, since a
            match makes them small.

    Returns:
        A `JointTest`; leads that could not be estimated, or have no error, are left out, and the note says so.

    Raises:
        StudyError: the estimate has no event times, or no lead is left.

    Assumption: none beyond the variance. A test that does not reject is weak evidence: a trend too small to be found
    here can still be as large as the effect (Roth 2022, American Economic Review: Insights 4(3)).
    """
    if estimate.estimand != "event_time":
        raise StudyError(
            f"pre-trends of a {estimate.estimand} estimate", "an event_time estimate", "aggregate(…)"
        )
    time = estimate.table["event_time"]
    lead = (time < 0).to_numpy(dtype=bool)
    missing = estimate.table["estimate"].isna().to_numpy()
    # Treated counties in one cluster give a variance that holds comparison counties alone: no error, and no test.
    without = estimate.table["std_error"].isna().to_numpy() & ~missing
    left_out = time.isin(list(matched_on)).to_numpy(dtype=bool)
    use = lead & ~missing & ~without & ~left_out
    if not use.any():
        raise StudyError(
            f"{int(lead.sum())} leads, none to test ({int((lead & missing).sum())} not estimated, "
            f"{int((lead & without).sum())} without an error, {int((lead & left_out).sum())} matched on)",
            "years before adoption that were not matched on", "sample.years",
        )  # fmt: skip
    values = estimate.table.loc[use, "estimate"].to_numpy(dtype=float)
    f, q, df_2, p = wald(values, estimate.vcov[np.ix_(use, use)], estimate.inference.df)
    notes = []
    if (lead & missing).any():
        notes.append(f"{int((lead & missing).sum())} leads could not be estimated")
    if (lead & without).any():
        notes.append(f"{int((lead & without).sum())} leads have no error and are not tested")
    if (lead & left_out).any():
        notes.append(f"{int((lead & left_out).sum())} leads were matched on and are not tested")
    if q < use.sum():
        notes.append(f"{int(use.sum())} leads rest on a variance of rank {q}")
    if np.isnan(p):
        notes.append("as many leads as clusters: no test")
    return JointTest(f, q, df_2, p, tuple(int(t) for t in time[use]), "; ".join(notes))

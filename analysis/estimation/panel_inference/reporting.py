"""What a change in the willingness to report does to reported crime, and the reverse: arrays in, arrays out.

Reported offences of a kind are victimisations times the share of them that is reported, summed over the residents a policy
affects and all others. Write ``s`` for the share of reported offences that affected residents report before the policy.
If their reporting changes by ``c`` (0.1: ten per cent more of what they suffer is reported) and what they suffer by ``v``,
reported offences change by ``s ((1 + c)(1 + v) - 1)``; the others' do not move. So the whole of a change ``b`` is
reporting if ``c = b / s``, and no more than everything can be reported: with ``r`` of their victimisations reported
before, ``c`` lies between -1 and ``1 / r - 1``.

``s`` follows from their share of residents ``p``, how often they are victims (``k`` times as often as others), and how
often they report (``q`` times as often): of victims they are ``pk / (pk + 1 - p)``, and of reports as much again with
``q``. With ``k = q = 1`` it is their share of residents.

All changes and shares are fractions here, not per cent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimation.inference import cluster_sums, t_quantile, two_sided_p

Array = NDArray[np.float64]
Labels = NDArray[np.generic]


def share_of(share: ArrayLike, ratio: ArrayLike) -> Array:
    """Return a group's share when each of its members counts ``ratio`` times as much as everybody else's.

    From the share of residents and a ratio of risks it gives the share of victims; from that and a ratio of reporting
    rates the share of reported offences.

    Args:
        share: of what is counted once, in [0, 1]; missing stays missing.
        ratio: positive, of the same shape or one number.

    Raises:
        ValueError: a share outside [0, 1] or a ratio that is not positive.

    Example:
        >>> share_of([0.2, 0.2, 0.5], [1.0, 2.0, 2.0]).round(4).tolist()
        [0.2, 0.3333, 0.6667]
    """
    p, k = np.asarray(share, dtype=float), np.asarray(ratio, dtype=float)
    if (p < 0).any() or (p > 1).any():
        raise ValueError(f"shares between {np.nanmin(p)} and {np.nanmax(p)}; wanted them in [0, 1]")
    if not (k > 0).all():
        raise ValueError(f"a ratio of {k.min()}; wanted it positive")
    return np.asarray(p * k / (p * k + 1 - p))


def mean_share(share: ArrayLike, weight: ArrayLike) -> tuple[float, float]:
    """Return the weighted mean of counties' shares, and the share of the weight that it rests on.

    If reporting changes by one ``c`` everywhere, an average of effects in per cent of the average rate equals ``c`` times
    the mean of the counties' shares of reports, weighted by the estimate's weight times the county's reported rate.

    Args:
        share: (n,), missing where it is not known.
        weight: (n,), not negative.

    Raises:
        ValueError: lengths that differ, a negative or missing weight, or no weight at all.

    Example:
        >>> mean_share([0.1, 0.3, float("nan")], [1.0, 2.0, 1.0])
        (0.2333333333333333, 0.75)
    """
    s, w = np.asarray(share, dtype=float), np.asarray(weight, dtype=float)
    if s.shape != w.shape:
        raise ValueError(f"{s.shape} shares of {w.shape} weights; wanted as many")
    if not (w >= 0).all() or not w.sum() > 0:
        raise ValueError("weights that are negative, missing or all zero; wanted some weight")
    known = ~np.isnan(s)
    held = float(w[known].sum())
    mean = float(s[known] @ w[known] / held) if held > 0 else float("nan")
    return mean, held / float(w.sum())


def group_rate(rate: ArrayLike, share_of_victims: ArrayLike, ratio: ArrayLike) -> Array:
    """Return the share of affected residents' victimisations that is reported, from that of everybody's.

    Args:
        rate: of everybody's, in (0, 1].
        share_of_victims: affected residents' share of victims.
        ratio: their reporting rate over that of the others, positive.

    Returns:
        ``q r / (q s + 1 - s)``; above 1 where the three cannot hold together.

    Raises:
        ValueError: a rate outside (0, 1].

    Example:
        >>> group_rate(0.4, 0.2, 1.0).item(), round(group_rate(0.4, 0.2, 0.5).item(), 4)
        (0.4, 0.2222)
    """
    r, s, q = (np.asarray(a, dtype=float) for a in (rate, share_of_victims, ratio))
    if not ((r > 0) & (r <= 1)).all():
        raise ValueError("a reporting rate outside (0, 1]; wanted a share of victimisations")
    return np.asarray(q * r / (q * s + 1 - s))


def headroom(rate: ArrayLike) -> Array:
    """Return by how much reporting can rise at most: until everything is reported.

    Args:
        rate: share reported before, positive; of 1 or more it cannot rise.

    Raises:
        ValueError: a rate that is not positive.

    Example:
        >>> headroom([0.5, 0.8, 1.0]).round(4).tolist()
        [1.0, 0.25, 0.0]
    """
    r = np.asarray(rate, dtype=float)
    if not (r > 0).all():
        raise ValueError(f"a reporting rate of {r.min()}; wanted it positive")
    return np.asarray(np.maximum(1 / r - 1, 0.0))


def break_even(reported: ArrayLike, share: ArrayLike) -> Array:
    """Return the change in affected residents' reporting that alone gives a change in reported offences.

    Args:
        reported: change in reported offences.
        share: affected residents' share of reported offences before.

    Returns:
        ``reported / share``; with a share of zero infinite, of the sign of ``reported``, and missing where that is zero.

    Assumption: victimisation does not move, and nobody else's reporting does.

    Example:
        >>> break_even([0.1, -0.05], 0.2).tolist()
        [0.5, -0.25]
    """
    b, s = np.broadcast_arrays(np.asarray(reported, dtype=float), np.asarray(share, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(b / s)


def possible(reporting: ArrayLike, rate: ArrayLike) -> NDArray[np.bool_]:
    """Return whether a change in reporting can be: not below none of it, not above all of it reported.

    Args:
        reporting: change in the reporting rate.
        rate: share reported before.

    Returns:
        True within -1 and `headroom`; False where the change is missing.

    Example:
        >>> possible([0.9, 1.1, -1.1], 0.5).tolist()
        [True, False, False]
    """
    c, most = np.asarray(reporting, dtype=float), headroom(rate)
    # The largest change is itself computed: rounding must not make it impossible.
    slack = 1e-12 * (1 + most)
    return np.asarray((c >= -1 - 1e-12) & (c <= most + slack))


def reported_change(share: ArrayLike, reporting: ArrayLike, victimisation: ArrayLike = 0.0) -> Array:
    """Return the change in reported offences when affected residents report, and suffer, more or less.

    Args:
        share: their share of reported offences before.
        reporting: change in their reporting rate.
        victimisation: change in what they suffer.

    Example:
        >>> round(reported_change(0.2, 0.5).item(), 4), round(reported_change(0.2, -0.3, 0.16).item(), 4)
        (0.1, -0.0376)
    """
    s, c, v = (np.asarray(a, dtype=float) for a in (share, reporting, victimisation))
    return np.asarray(s * ((1 + c) * (1 + v) - 1))


def victimisation_of_all(reported: ArrayLike, share: ArrayLike, reporting: ArrayLike) -> Array:
    """Return the change in what everybody suffers, if reported offences and the affected residents' reporting changed so.

    Args:
        reported: change in reported offences.
        share: affected residents' share of reported offences before.
        reporting: change in their reporting rate.

    Returns:
        ``(1 + b) / (1 + s c) - 1``; missing where nothing would be reported any more.

    Assumption: victimisation moves by one factor for everybody.

    Example:
        >>> round(victimisation_of_all(0.1, 0.2, 0.5).item(), 12), round(victimisation_of_all(0.1, 0.2, -0.3).item(), 4)
        (0.0, 0.1702)
    """
    b, s, c = (np.asarray(a, dtype=float) for a in (reported, share, reporting))
    left = 1 + s * c
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(left > 0, (1 + b) / left - 1, np.nan))


def victimisation_of_affected(reported: ArrayLike, share: ArrayLike, reporting: ArrayLike) -> Array:
    """Return the change in what affected residents suffer, if what others suffer and report stays as it was.

    Args:
        reported: change in reported offences.
        share: affected residents' share of reported offences before.
        reporting: change in their reporting rate.

    Returns:
        ``(1 + b / s) / (1 + c) - 1``; below -1 it cannot be. Missing where they report nothing any more, or their share
        is zero.

    Assumption: the whole change in victimisation is theirs.

    Example:
        >>> round(victimisation_of_affected(0.1, 0.2, 0.5).item(), 12)
        0.0
        >>> round(victimisation_of_affected(0.0, 0.2, -0.3).item(), 4)
        0.4286
    """
    b, s, c = (np.asarray(a, dtype=float) for a in (reported, share, reporting))
    left = 1 + c
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((left > 0) & (s > 0), (1 + b / s) / left - 1, np.nan))


def undone(change: float) -> float:
    """Return the change that takes a change back: of a fall by 30 % the rise from what is left.

    Args:
        change: above -1.

    Raises:
        ValueError: a change of -1 or less, which nothing takes back.

    Example:
        >>> round(undone(-0.3), 4), round(undone(0.25), 4)
        (0.4286, -0.2)
    """
    if not change > -1:
        raise ValueError(f"a change of {change}; wanted one above -1, which leaves something to take back")
    return 1 / (1 + change) - 1


@dataclass(frozen=True, slots=True)
class Difference:
    """One estimate less another of the same design.

    Args:
        estimate: in the unit of both.
        std_error: that of the difference.
        correlation: of the two estimates.
        p_value: two-sided, of no difference.
        low: lower end of the interval.
        high: upper end.
    """

    estimate: float
    std_error: float
    correlation: float
    p_value: float
    low: float
    high: float


def joint_difference(
    estimates: ArrayLike, errors: ArrayLike, influence: Array, clusters: Labels, *, df: float, level: float
) -> Difference:
    """Return the first of two estimates less the second, their errors correlated as their contributions are.

    Args:
        estimates: (2,) in one unit.
        errors: (2,) their standard errors, whatever correction for few clusters these hold.
        influence: (n, 2) contributions on one list of counties, zero where a county is in one sample alone.
        clusters: (n,) labels.
        df: degrees of freedom of t.
        level: of the interval.

    Returns:
        A `Difference`: its variance is ``a^2 + b^2 - 2 rho a b`` with rho the correlation of cluster sums. Where both
        errors are cluster-robust on the same clusters that is the cluster-robust variance of the difference itself.

    Raises:
        ValueError: other than two columns, fewer than two clusters, or an estimate without variance.

    Assumption: clusters are independent; a correction for few clusters scales both errors and leaves their correlation.

    Source: delta method on influence functions, as in Callaway and Sant'Anna (2021), Journal of Econometrics 225(2).

    Example:
        >>> psi = np.array([[0.6, 0.3], [-0.6, -0.3], [0.2, 0.1], [-0.2, -0.1]])
        >>> found = joint_difference([1.0, 0.5], [0.9, 0.45], psi, np.arange(4), df=3.0, level=0.95)
        >>> round(found.estimate, 6), round(found.std_error, 6), round(found.correlation, 6)
        (0.5, 0.45, 1.0)
    """
    value, error = np.asarray(estimates, dtype=float), np.asarray(errors, dtype=float)
    if value.shape != (2,) or error.shape != (2,) or influence.ndim != 2 or influence.shape[1] != 2:
        raise ValueError(f"{value.shape} estimates and {influence.shape} contributions; wanted two of each")
    sums = cluster_sums(influence, clusters)
    if len(sums) < 2:
        raise ValueError(f"{len(sums)} cluster; wanted at least two")
    cross = sums.T @ sums
    if not (np.diag(cross) > 0).all() or not (error > 0).all():
        raise ValueError("an estimate without variance; wanted two with one")
    correlation = float(np.clip(cross[0, 1] / np.sqrt(cross[0, 0] * cross[1, 1]), -1.0, 1.0))
    variance = error[0] ** 2 + error[1] ** 2 - 2 * correlation * error[0] * error[1]
    spread = float(np.sqrt(max(variance, 0.0)))
    gap = float(value[0] - value[1])
    half = t_quantile(level, df) * spread
    p_value = float(two_sided_p(np.array([gap / spread]), df)[0]) if spread > 0 else float("nan")
    return Difference(gap, spread, correlation, p_value, gap - half, gap + half)

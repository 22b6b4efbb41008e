"""How far two groups overlap in their propensity scores, and whom to leave out: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.balance import overlap_coefficient

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Estimand = Literal["att", "atc", "ate"]
Rule = Literal["optimal", "optimal_for_estimand"] | float

# Rosenbaum and Rubin (1985); Austin (2011), Pharmaceutical Statistics 10(2): standard deviations of the linear
# predictor within which a match counts as near.
NEAR = 0.2
# Crump, Hotz, Imbens and Mitnik (2009): a rule of thumb close to the optimum for many distributions of the score.
RULE_OF_THUMB = 0.1


@dataclass(frozen=True, slots=True)
class Support:
    """The interval of scores that both arms reach.

    Args:
        low: the larger of the arms' smallest scores.
        high: the smaller of the arms' largest scores; below ``low`` where the arms do not meet.
        inside: (n,) bool, both ends included.
        treated_outside: share of treated rows outside.
        comparison_outside: share of comparison rows outside.
    """

    low: float
    high: float
    inside: Bool
    treated_outside: float
    comparison_outside: float


@dataclass(frozen=True, slots=True)
class Nearby:
    """Which rows have one of the other arm near.

    Args:
        near: (n,) bool.
        width: the caliper in the unit of the score.
        share_treated: share of treated rows with a comparison row near.
        share_comparison: share of comparison rows with a treated row near.
    """

    near: Bool
    width: float
    share_treated: float
    share_comparison: float


@dataclass(frozen=True, slots=True)
class Trimming:
    """Which rows are kept for their propensity score, and what is estimated on them.

    Args:
        kept: (n,) bool: low <= probability <= high.
        low: lowest probability kept; 0 where none is too low.
        high: highest probability kept; 1 where none is too high.
        alpha: the cut-off, in [0, 1/2); 0 where nothing is trimmed.
        variance_ratio: variance bound of the effect on the rows kept over that on all rows; above 1 where a rule
            made for the ATE leaves out rows that the ATT or ATC loses by.
        estimand: name of what is estimated on the rows kept.
    """

    kept: Bool
    low: float
    high: float
    alpha: float
    variance_ratio: float
    estimand: str


def common_support(score: Array, treated: Bool) -> Support:
    """Return the interval between the larger of the smallest and the smaller of the largest scores.

    Args:
        score: (n,) propensity or linear predictor.
        treated: (n,) bool.

    Raises:
        ValueError: an arm is empty or a score is missing.

    Source: Dehejia and Wahba (1999), Journal of the American Statistical Association 94(448); Caliendo and
        Kopeinig (2008), Journal of Economic Surveys 22(1).

    Example:
        >>> found = common_support(np.array([0.2, 0.6, 0.1, 0.4]), np.array([True, True, False, False]))
        >>> found.low, found.high, found.treated_outside
        (0.2, 0.4, 0.5)
    """
    _check(score, treated)
    low = max(score[treated].min(), score[~treated].min())
    high = min(score[treated].max(), score[~treated].max())
    inside = (score >= low) & (score <= high)
    return Support(
        float(low), float(high), inside, float((~inside[treated]).mean()), float((~inside[~treated]).mean())
    )


def linear_overlap(linear: Array, treated: Bool) -> float:
    """Return the overlap coefficient of the arms' linear predictors; see ``balance.overlap_coefficient``.

    Raises:
        ValueError: an arm is empty or a predictor is missing.

    Example:
        >>> x, d = np.repeat(np.arange(20.0), 2), np.tile([True, False], 20)
        >>> round(linear_overlap(x, d), 6)
        1.0
    """
    _check(linear, treated)
    return overlap_coefficient(linear, treated)


def within_caliper(linear: Array, treated: Bool, caliper: float = NEAR) -> Nearby:
    """Return which rows have a row of the other arm within a caliper of the linear predictor.

    Args:
        linear: (n,) linear predictor of the propensity.
        treated: (n,) bool.
        caliper: in standard deviations of the linear predictor over all rows, as a caliper of matching is.

    Raises:
        ValueError: an arm is empty, a predictor is missing or the caliper is not above 0.

    Source: Rosenbaum and Rubin (1985), American Statistician 39(1); Austin (2011), Pharmaceutical
        Statistics 10(2).

    Example:
        >>> found = within_caliper(np.array([0.0, 3.0, 0.1, 0.2]), np.array([True, True, False, False]))
        >>> found.near.tolist(), found.share_treated
        ([True, False, True, True], 0.5)
    """
    _check(linear, treated)
    if not caliper > 0:
        raise ValueError(f"caliper = {caliper}; wanted one above 0")
    width = caliper * float(linear.std(ddof=1))
    near = np.zeros(len(linear), dtype=bool)
    for arm in (treated, ~treated):
        near[arm] = _nearest(linear[arm], np.sort(linear[~arm])) <= width
    return Nearby(near, width, float(near[treated].mean()), float(near[~treated].mean()))


def variance_bound(probability: Array, estimand: Estimand, kept: Bool | None = None) -> float:
    """Return the efficiency bound of the average effect on the rows kept, for outcome variance 1, times 1 / n.

    With p the propensity and w = 1, p or 1 - p for ATE, ATT and ATC: the sum of w^2 / (p (1 - p)) over the rows
    kept, over the squared sum of their w.

    Args:
        probability: (n,) in (0, 1).
        estimand: whose average effect.
        kept: (n,) bool; None for all.

    Raises:
        ValueError: a probability outside (0, 1), or no row is kept.

    Assumption: outcome variance is the same for all rows and in both arms.

    Source: Crump, Hotz, Imbens and Mitnik (2009), Biometrika 96(1), with weight function w.

    Example:
        >>> variance_bound(np.array([0.5, 0.5]), "ate")
        2.0
    """
    _check_probability(probability)
    share, harm = _parts(probability, estimand)
    inside = np.ones(len(probability), dtype=bool) if kept is None else kept
    if not inside.any():
        raise ValueError("no row is kept; wanted some")
    return float((share * harm)[inside].sum() / share[inside].sum() ** 2)


def trim(
    probability: Array,
    treated: Bool,
    estimand: Estimand = "att",
    rule: Rule = "optimal",
    *,
    units: str = "counties",
) -> Trimming:
    """Return which rows to keep so that the average effect is estimated where both arms are found.

    ``optimal`` keeps alpha <= p <= 1 - alpha, the set whose average effect has the lowest variance bound.
    With g = 1 / (p (1 - p)), keeping the m rows of lowest g costs (their sum) / m^2; the best m is found by
    trying each, and alpha solves 1 / (alpha (1 - alpha)) = 2 (mean of g on the rows kept). It is 0 where
    that holds all rows. ``optimal_for_estimand`` does the same with the bound of ATT (p <= 1 - alpha) or ATC
    (p >= alpha): only one tail makes those imprecise. A number is alpha itself.

    Args:
        probability: (n,) propensity, in (0, 1).
        treated: (n,) bool; outcomes are not looked at.
        estimand: what was to be estimated on all rows.
        rule: how alpha is found, or alpha.
        units: what rows are, for the name.

    Returns:
        The rows kept and the name of what is estimated on them: no longer the effect asked for, but that
        among rows of the stated propensities. The propensity is best fitted anew on them.

    Raises:
        ValueError: a probability outside (0, 1), another rule, alpha outside [0, 1/2), or an arm without a row
            left.

    Assumption: for ``optimal``, equal outcome variance over rows and arms; the choice looks at no outcome, so
        that no bias comes from it.

    Source: Crump, Hotz, Imbens and Mitnik (2009), Biometrika 96(1).

    Example:
        >>> p, d = np.array([0.02, 0.3, 0.5, 0.6, 0.95]), np.array([False, True, False, True, True])
        >>> found = trim(p, d, rule=0.1)
        >>> found.kept.tolist(), found.estimand
        ([False, True, True, True, False], 'att among counties with propensity in [0.1, 0.9]')
    """
    _check(probability, treated)
    _check_probability(probability)
    own: Estimand = estimand if rule == "optimal_for_estimand" else "ate"
    if isinstance(rule, str):
        if rule not in ("optimal", "optimal_for_estimand"):
            raise ValueError(f"rule = {rule!r}; wanted optimal, optimal_for_estimand or a number")
        alpha, kept = _optimal(probability, own)
    else:
        if not 0 <= rule < 0.5:
            raise ValueError(f"alpha = {rule}; wanted one in [0, 0.5)")
        alpha = float(rule)
        kept = (probability >= alpha) & (probability <= 1 - alpha)
    for arm, name in ((treated, "treated"), (~treated, "comparison")):
        if not kept[arm].any():
            raise ValueError(f"no {name} row has a propensity in [{alpha:g}, {1 - alpha:g}]; wanted overlap")
    low = alpha if own in ("ate", "atc") else 0.0
    high = 1 - alpha if own in ("ate", "att") else 1.0
    bound = variance_bound(probability, estimand, kept) / variance_bound(probability, estimand)
    return Trimming(kept, low, high, alpha, bound, _name(estimand, low, high, alpha, units))


def _optimal(probability: Array, estimand: Estimand) -> tuple[float, Bool]:
    share, harm = _parts(probability, estimand)
    order = np.argsort(harm, kind="stable")
    ordered = harm[order]
    weight, cost = np.cumsum(share[order]), np.cumsum((share * harm)[order])
    # Rows of one score stay or go together.
    ends = np.append(ordered[1:] != ordered[:-1], True)
    best = int(np.argmin(np.where(ends, cost / weight**2, np.inf)))
    if best == len(harm) - 1:
        return 0.0, np.ones(len(harm), dtype=bool)
    # At the optimum the worst row kept has harm at most gamma, and the best row left out more.
    gamma = 2 * cost[best] / weight[best]
    alpha = 0.5 - np.sqrt(0.25 - 1 / gamma) if estimand == "ate" else 1 / gamma
    return float(alpha), harm <= ordered[best]


def _parts(probability: Array, estimand: Estimand) -> tuple[Array, Array]:
    """Return each row's part in the estimand, w, and what a unit of it adds to the variance, w / (p (1 - p))."""
    if estimand == "ate":
        return np.ones(len(probability)), 1 / (probability * (1 - probability))
    if estimand == "att":
        return probability, 1 / (1 - probability)
    if estimand == "atc":
        return 1 - probability, 1 / probability
    raise ValueError(f"estimand = {estimand!r}; wanted att, atc or ate")


def _name(estimand: str, low: float, high: float, alpha: float, units: str) -> str:
    if alpha == 0:
        return estimand
    # Two decimals, or as many as it takes for a small cut-off not to read 0.
    places = max(2, -int(np.floor(np.log10(alpha))))
    ends = [f"{end:.{places}f}".rstrip("0").rstrip(".") for end in (low, high)]
    return f"{estimand} among {units} with propensity in [{ends[0]}, {ends[1]}]"


def _nearest(values: Array, ordered: Array) -> Array:
    """Return each value's distance to the nearest of the ordered ones."""
    after = np.searchsorted(ordered, values)
    above = np.abs(ordered[np.minimum(after, len(ordered) - 1)] - values)
    below = np.abs(values - ordered[np.maximum(after - 1, 0)])
    return np.minimum(above, below)


def _check(score: Array, treated: Bool) -> None:
    if score.shape != treated.shape:
        raise ValueError(f"scores {score.shape} for {treated.shape} rows; wanted one a row")
    if not treated.any() or treated.all():
        raise ValueError(f"{int(treated.sum())} of {len(treated)} rows are treated; wanted rows in both arms")
    missing = np.flatnonzero(~np.isfinite(score))
    if len(missing):
        raise ValueError(
            f"{len(missing)} scores are missing (rows {missing.tolist()}); wanted finite numbers"
        )


def _check_probability(probability: Array) -> None:
    out = np.flatnonzero(~((probability > 0) & (probability < 1)))
    if len(out):
        raise ValueError(
            f"{len(out)} probabilities are not between 0 and 1 (rows {out.tolist()}); wanted overlap"
        )

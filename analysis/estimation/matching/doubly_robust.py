"""Augmented inverse-probability weighting: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.propensity import Logit, fit_logit
from analysis.estimation.matching.regression import Effect, Estimand, rows_used, weighted_least_squares

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Augmented:
    """An augmented weighting estimate with what it was built from.

    Args:
        effect: estimate and influence (n,), which counts the estimation of the logit and the regressions.
        score: the fitted logit.
        weights: (n,) of both arms, summing to 1 within each arm: the sample the outcome models' errors are
            averaged over.
        largest: the largest of ``weights`` among rows that stand in for an outcome not seen.
    """

    effect: Effect
    score: Logit
    weights: Array
    largest: float


def augmented_weighting(
    y: Array,
    treated: NDArray[np.bool_],
    covariates: Array,
    *,
    estimand: Estimand = "att",
    score_covariates: Array | None = None,
    weights: Array | None = None,
) -> Augmented:
    """Estimate an average effect from outcome regressions corrected by weighted residuals.

    For each arm whose outcome is not seen everywhere, the mean outcome is that predicted by the arm's own
    regression, averaged over the estimand's rows, plus the weighted mean residual of the arm, weights being
    those that make the arm look like the estimand's rows and summing to one.

    Args:
        y: (n,) outcome.
        treated: (n,) bool.
        covariates: (n, q) of the outcome regressions, without a constant.
        estimand: "att", "atc" or "ate".
        score_covariates: (n, r) of the logit, without a constant; None for ``covariates``.
        weights: (n,) sampling weights; None for ones. Rows with weight 0 do not enter.

    Returns:
        The estimate, with an influence that stays right when only one of the two models is: it is the
        derivative of the estimate with respect to each row's weight.

    Raises:
        ValueError: a separated logit, an empty arm, dependent covariates, a missing value.

    Assumption: no unmeasured confounding, overlap, and the logit or the regressions are right.

    Source: Robins, Rotnitzky and Zhao (1994), JASA 89(427); Bang and Robins (2005), Biometrics 61(4);
        Moodie, Saarela and Stephens (2018), Stat 7(1), for the average over the treated; normalised as in
        Busso, DiNardo and McCrary (2014), Review of Economics and Statistics 96(5).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(500, 1))
        >>> d = rng.random(500) < 1 / (1 + np.exp(-x[:, 0]))
        >>> y = 2 * d + x[:, 0] + rng.normal(size=500)
        >>> abs(augmented_weighting(y, d, x).effect.estimate - 2) < 0.3
        True
    """
    n = len(y)
    w = np.ones(n) if weights is None else weights
    of_score = covariates if score_covariates is None else score_covariates
    used = rows_used(y, treated, w, np.column_stack([covariates, of_score]))
    w = np.where(used, w, 0.0)
    # The zero keeps a missing covariate of a row outside from spreading.
    z = np.column_stack([np.ones(n), np.where(used[:, None], covariates, 0.0)])
    s = np.column_stack([np.ones(n), np.where(used[:, None], of_score, 0.0)])
    y = np.where(used, y, 0.0)
    _refuse_dependent(s, w)
    fit = fit_logit(s, treated, w)
    if not fit.converged:
        raise ValueError("the propensity model separates the arms; wanted overlap or fewer covariates")
    p = fit.probability
    score_influence = (s * (w * (treated - p))[:, None]) @ fit.bread
    over = w * {"att": treated, "atc": ~treated, "ate": np.ones(n, dtype=bool)}[estimand]
    estimate, psi, share = 0.0, np.zeros(n), np.zeros(n)
    largest = 0.0
    for arm, sign in ((treated, 1.0), (~treated, -1.0)):
        if (estimand, sign) in (("att", 1.0), ("atc", -1.0)):
            mean = float(over @ y / over.sum())
            estimate += sign * mean
            psi += sign * over * (y - mean) / over.sum()
            share += over / over.sum()
            continue
        odds, slope = _odds(p, arm, treated_arm=sign > 0, estimand=estimand)
        tilt = w * odds
        mean, of_mean = _augmented_mean(y, z, s, w, arm, over, tilt, w * slope, score_influence)
        estimate += sign * mean
        psi += sign * of_mean
        share += tilt / tilt.sum()
        largest = max(largest, float((tilt / tilt.sum()).max()))
    return Augmented(Effect(estimate, psi, estimand), fit, share, largest)


def _odds(p: Array, arm: NDArray[np.bool_], *, treated_arm: bool, estimand: Estimand) -> tuple[Array, Array]:
    """Return an arm's weights and their derivative with respect to the linear predictor, both (n,)."""
    own = p if treated_arm else 1 - p
    turn = -1.0 if treated_arm else 1.0
    if estimand == "ate":
        weight = arm / own
        return weight, turn * weight * (1 - own)
    weight = arm * (1 - own) / own
    return weight, turn * weight


def _augmented_mean(
    y: Array,
    z: Array,
    s: Array,
    w: Array,
    arm: NDArray[np.bool_],
    over: Array,
    tilt: Array,
    slope: Array,
    score_influence: Array,
) -> tuple[float, Array]:
    """Return an arm's mean outcome over the estimand's rows, and its influence (n,)."""
    inverse, beta, residual = weighted_least_squares(z, y, w * arm)
    predicted = z @ beta
    first = float(over @ predicted / over.sum())
    gap = y - predicted
    second = float(tilt @ gap / tilt.sum())
    of_beta = over @ z / over.sum() - tilt @ z / tilt.sum()
    of_score = (slope * (gap - second)) @ s / tilt.sum()
    psi = over * (predicted - first) / over.sum() + tilt * (gap - second) / tilt.sum()
    psi += (z @ (inverse @ of_beta)) * w * arm * residual + score_influence @ of_score
    return first + second, psi


def _refuse_dependent(s: Array, w: Array) -> None:
    gram = (s * w[:, None]).T @ s
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    if np.linalg.cond(gram / scale / scale[:, None]) > 1e12:
        raise ValueError("the covariates of the propensity model are constant or linearly dependent")

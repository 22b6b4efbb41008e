"""Weights that make two groups alike, and how much they cost: arrays in, arrays out.

Scale: the weights of an arm that stands for itself are its base weights (1 by default); those of an arm that
is weighted to look like another are on the scale each function states. A weighted mean does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import linprog
from scipy.special import chdtrc, expit

from analysis.estimation.matching.propensity import fit_logit

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Estimand = Literal["att", "atc", "ate"]

# A residual share below this says that a column is a combination of those before it.
DEPENDENT = 1e-8


@dataclass(frozen=True, slots=True)
class EffectiveSize:
    """Effective sample sizes.

    Args:
        treated: of treated rows.
        comparison: of comparison rows.
    """

    treated: float
    comparison: float


@dataclass(frozen=True, slots=True)
class Balanced:
    """Weights found by solving moment conditions.

    Args:
        weights: (n,) non-negative.
        coefficients: (c, k) multipliers of the standardised columns, a row for each arm that was weighted:
            for "ate" of entropy balancing treated, then comparison; one row otherwise.
        constants: (c,) their constants.
        worst: largest moment condition left, in standard deviations of its column.
        iterations: Newton steps.
    """

    weights: Array
    coefficients: Array
    constants: Array
    worst: float
    iterations: int


@dataclass(frozen=True, slots=True)
class Overidentified:
    """A score with more conditions than coefficients, and how far the data contradict them.

    Args:
        weights: (n,) of ``inverse_probability_weights`` at the score; means balance nearly, not exactly.
        probability: (n,) score, the fitted probability of treatment.
        coefficients: (1, k) of the standardised columns.
        constants: (1,) constant.
        statistic: J, the number of rows times the criterion at its least.
        df: conditions less coefficients, its degrees of freedom if the score is a logit in the covariates.
        p_value: of J.
        worst: largest difference between the arms' weighted means, in standard deviations of its column.
        iterations: Newton steps.
    """

    weights: Array
    probability: Array
    coefficients: Array
    constants: Array
    statistic: float
    df: int
    p_value: float
    worst: float
    iterations: int


def refuse_estimand(estimand: str) -> None:
    """Raise where an estimand is none of "att", "atc", "ate".

    Raises:
        ValueError: it is another.

    Example:
        >>> refuse_estimand("ato")
        Traceback (most recent call last):
        ...
        ValueError: estimand = "ato"; wanted att, atc or ate
    """
    if estimand not in ("att", "atc", "ate"):
        raise ValueError(f'estimand = "{estimand}"; wanted att, atc or ate')


def refuse_unusable(x: Array, treated: Bool, *, constant: bool = True, dependent: bool = True) -> None:
    """Raise where covariates or arms cannot be worked with, saying what was found.

    Args:
        x: (n, k) covariates.
        treated: (n,) bool.
        constant: whether a column that does not vary is refused.
        dependent: whether a column that follows from those before it is refused.

    Raises:
        ValueError: x and treated differ in length, an arm is empty, values are missing (their count, columns
            and rows), or a column is constant or dependent (its number).

    Example:
        >>> refuse_unusable(np.array([[1.0], [np.nan]]), np.array([True, False]))
        Traceback (most recent call last):
        ...
        ValueError: 1 missing or infinite values in columns [0], rows [1]; wanted finite numbers
    """
    if x.ndim != 2 or x.shape[1] == 0 or treated.shape != (len(x),):
        raise ValueError(f"covariates {x.shape} and treated {treated.shape}; wanted (n, k) and (n,)")
    if not treated.any() or treated.all():
        raise ValueError(f"{int(treated.sum())} of {len(x)} rows are treated; wanted rows in both arms")
    bad = ~np.isfinite(x)
    if bad.any():
        columns, rows = np.flatnonzero(bad.any(axis=0)), np.flatnonzero(bad.any(axis=1))
        raise ValueError(
            f"{int(bad.sum())} missing or infinite values in columns {columns.tolist()}, "
            f"rows {rows.tolist()}; wanted finite numbers"
        )
    still = np.flatnonzero(np.ptp(x, axis=0) == 0)
    if constant and len(still):
        raise ValueError(f"columns {still.tolist()} are constant; wanted columns that vary")
    if dependent:
        follows = dependent_columns(x)
        if follows:
            raise ValueError(f"columns {follows} follow from those before them; wanted none that does")


def dependent_columns(x: Array) -> list[int]:
    """Return the columns that follow from those before them; a constant column is none of them.

    Example:
        >>> dependent_columns(np.array([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [4.0, 8.0, 5.0]]))
        [1]
    """
    moving = np.flatnonzero(np.ptp(x, axis=0) > 0)
    standard = _standardise(x[:, moving])[0]
    left = np.abs(np.diag(np.linalg.qr(standard, mode="r"))) / np.sqrt(len(x))
    left = np.pad(left, (0, len(moving) - len(left)))
    return [int(column) for column in moving[left < DEPENDENT]]


def effective_sample_size(weights: Array, treated: Bool) -> EffectiveSize:
    """Return how many equally weighted rows would tell as much, arm by arm.

    Args:
        weights: (n,) non-negative.
        treated: (n,) bool.

    Raises:
        ValueError: an arm has no positive weight, or a weight is negative or missing.

    Source: Kish (1965), Survey Sampling: squared sum of the weights over the sum of their squares.

    Example:
        >>> effective_sample_size(np.array([1.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]))
        EffectiveSize(treated=2.0, comparison=1.0)
    """
    if not np.all(np.isfinite(weights)) or weights.min() < 0:
        raise ValueError("a weight is negative or missing; wanted weights of 0 or more")
    sizes = []
    for arm, name in ((treated, "treated"), (~treated, "comparison")):
        total = weights[arm].sum()
        if not total > 0:
            raise ValueError(f"no {name} row has a weight above 0; wanted some in both arms")
        sizes.append(float(total**2 / (weights[arm] ** 2).sum()))
    return EffectiveSize(*sizes)


def stratum_weights(stratum: NDArray[np.intp], treated: Bool, estimand: Estimand = "att") -> Array:
    """Return the weights that make both arms spread alike over strata, (n,), 0 outside any stratum.

    In stratum s with t_s treated of n_s rows, "att" gives treated rows 1 and comparison rows t_s / (n_s - t_s);
    "atc" mirrors it; "ate" gives treated n_s / t_s and comparison rows n_s / (n_s - t_s). The weights of a
    weighted arm are scaled to mean 1 over its rows in strata, as MatchIt does.

    Args:
        stratum: (n,) codes from 0; -1 for rows in none. Every stratum holds rows of both arms.
        treated: (n,) bool.
        estimand: whom the strata are averaged over.

    Raises:
        ValueError: no row is in a stratum, or a stratum lacks an arm.

    Example:
        >>> stratum = np.array([0, 0, 0, 1, 1, -1])
        >>> stratum_weights(stratum, np.array([True, False, False, True, False, False])).round(3)
        array([1.  , 0.75, 0.75, 1.  , 1.5 , 0.  ])
    """
    refuse_estimand(estimand)
    inside = stratum >= 0
    if not inside.any():
        raise ValueError("all rows are pruned; wanted a stratum with rows of both arms")
    size = int(stratum.max()) + 1
    of_treated = np.bincount(stratum[inside & treated], minlength=size).astype(float)
    of_comparison = np.bincount(stratum[inside & ~treated], minlength=size).astype(float)
    lacking = np.flatnonzero((of_treated == 0) ^ (of_comparison == 0))
    if len(lacking):
        raise ValueError(f"strata {lacking.tolist()} hold one arm alone; wanted both in each")
    with np.errstate(divide="ignore", invalid="ignore"):
        total = {"att": of_treated, "atc": of_comparison, "ate": of_treated + of_comparison}[estimand]
        by_treated, by_comparison = total / of_treated, total / of_comparison
    out = np.zeros(len(stratum))
    for arm, ratio, own in ((treated, by_treated, "att"), (~treated, by_comparison, "atc")):
        rows = inside & arm
        out[rows] = ratio[stratum[rows]]
        if estimand != own:
            out[rows] *= rows.sum() / out[rows].sum()
    return out


def inverse_probability_weights(
    probability: Array, treated: Bool, estimand: Estimand = "att", *, base: Array | None = None
) -> Array:
    """Return the weights by which each arm stands for the estimand's population, (n,), not normalised.

    With p the probability of treatment: "ate" gives 1 / p and 1 / (1 - p); "att" gives 1 and p / (1 - p); "atc"
    gives (1 - p) / p and 1; each times the base weight.

    Args:
        probability: (n,) probability of treatment given covariates.
        treated: (n,) bool.
        estimand: whom the arms are to stand for.
        base: (n,) sampling weights, above 0; None for ones.

    Raises:
        ValueError: an unknown estimand, a probability that is not between 0 and 1, or a base weight that is not
            above 0.

    Assumption: given covariates adoption is as good as random, and its probability is neither 0 nor 1.

    Source: Horvitz and Thompson (1952); Hirano, Imbens and Ridder (2003), Econometrica 71(4).

    Example:
        >>> p, d = np.array([0.5, 0.25]), np.array([True, False])
        >>> inverse_probability_weights(p, d, "ate").round(4)
        array([2.    , 1.3333])
    """
    refuse_estimand(estimand)
    _check_probability(probability, treated)
    p, base = probability, _base(base, treated)
    if estimand == "ate":
        return base * np.where(treated, 1 / p, 1 / (1 - p))
    if estimand == "att":
        return base * np.where(treated, 1.0, p / (1 - p))
    return base * np.where(treated, (1 - p) / p, 1.0)


def overlap_weights(probability: Array, treated: Bool, *, base: Array | None = None) -> Array:
    """Return 1 - p for treated and p for comparison rows, (n,): both stand for the rows that could be either.

    With p from a logit with a constant fitted by maximum likelihood, both arms' weighted covariate means are
    equal exactly. The estimand is the average effect in the overlap population ("ato"), not that on the treated.

    Args:
        probability: (n,) probability of treatment given covariates.
        treated: (n,) bool.
        base: (n,) sampling weights, above 0; None for ones.

    Raises:
        ValueError: a probability that is not between 0 and 1, or a base weight that is not above 0.

    Assumption: given covariates adoption is as good as random.

    Source: Li, Morgan and Zaslavsky (2018), Journal of the American Statistical Association 113(521).

    Example:
        >>> overlap_weights(np.array([0.5, 0.25]), np.array([True, False]))
        array([0.5 , 0.25])
    """
    _check_probability(probability, treated)
    return np.where(treated, 1 - probability, probability) * _base(base, treated)


def moment_columns(x: Array, powers: int = 1, *, interactions: bool = False) -> Array:
    """Return the columns whose means fix the wanted moments, (n, q).

    Columns are standardised before powers are taken: balancing all powers of the one up to ``powers`` is
    balancing all powers of the other, and the numbers stay of one size. A column with v distinct values gets
    v - 1 powers at most, which is all that it can have.

    Args:
        x: (n, k) covariates.
        powers: highest power; 1 for means, 2 for variances too, 3 for skewness too.
        interactions: whether products of two different columns are added (covariances).

    Raises:
        ValueError: ``powers`` is below 1.

    Example:
        >>> moment_columns(np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 4.0]]), powers=2).shape
        (3, 3)
    """
    if powers < 1:
        raise ValueError(f"powers = {powers}; wanted 1 or more")
    standard = _standardise(x)[0]
    distinct = [len(np.unique(column)) for column in x.T]
    able = [np.array([v > power for v in distinct]) for power in range(2, powers + 1)]
    parts = [x, *(standard[:, may] ** power for power, may in enumerate(able, start=2))]
    if interactions:
        first, second = np.triu_indices(x.shape[1], 1)
        parts.append(standard[:, first] * standard[:, second])
    return np.column_stack(parts)


def entropy_balancing(
    columns: Array,
    treated: Bool,
    estimand: Estimand = "att",
    *,
    base: Array | None = None,
    tolerance: float = 1e-10,
    limit: int = 200,
) -> Balanced:
    """Return the weights nearest to the base weights under which the columns' means are the target's.

    "att" weights comparison rows to the means of treated rows, "atc" treated rows to those of comparison rows,
    "ate" each arm to those of all rows. Nearest is in relative entropy; the dual of the problem is convex and
    is solved by Newton's method. A weighted arm's weights sum to the base weights of its target ("ate": of all
    rows).

    Args:
        columns: (n, q) whose means are balanced; ``moment_columns`` for higher moments.
        treated: (n,) bool.
        estimand: whom the weighted arms are to look like.
        base: (n,) base weights, above 0; None for ones.
        tolerance: largest difference of means allowed, in standard deviations of the column.
        limit: most Newton steps an arm.

    Raises:
        ValueError: missing values, a constant or dependent column, an empty arm; a target mean outside the
            range of the weighted arm (the columns named) or outside its convex hull (no overlap).

    Assumption: given covariates adoption is as good as random, and outcomes without treatment are linear in
        the columns or the log odds of treatment are.

    Source: Hainmueller (2012), Political Analysis 20(1).

    Example:
        >>> x, d = np.array([[2.0], [0.0], [1.0], [3.0]]), np.array([True, False, False, False])
        >>> w = entropy_balancing(x, d).weights
        >>> float((w[1:] @ x[1:, 0] / w[1:].sum()).round(10)), float(w[1:].sum().round(10))
        (2.0, 1.0)
    """
    refuse_estimand(estimand)
    refuse_unusable(columns, treated)
    base = _base(base, treated)
    standard = _standardise(columns)[0]
    everyone = np.ones(len(treated), bool)
    target = {"att": treated, "atc": ~treated, "ate": everyone}[estimand]
    arms = {"att": [~treated], "atc": [treated], "ate": [treated, ~treated]}[estimand]
    mean = base[target] @ standard[target] / base[target].sum()
    weights, slopes, constants, worst, steps = base.copy(), [], [], 0.0, 0
    for arm in arms:
        z, q = standard[arm] - mean, base[arm] / base[arm].sum()
        _refuse_outside(z)

        def dual(beta: Array, z: Array = z, q: Array = q) -> tuple[float, Array, Array]:
            eta = z @ beta
            top = eta.max()
            raw = q * np.exp(eta - top)
            total = raw.sum()
            p = raw / total
            gradient = p @ z
            hessian = (z * p[:, None]).T @ z - np.outer(gradient, gradient)
            return float(np.log(total) + top), gradient, hessian

        beta, gradient, taken = _newton(dual, z.shape[1], tolerance, limit)
        if np.abs(gradient).max() > tolerance:
            _refuse_hull(z)
            raise ValueError(
                f"Newton's method left a moment condition of {np.abs(gradient).max():.1e} standard deviations "
                f"after {taken} steps; wanted {tolerance:.0e}: the target is near the edge of the weighted arm"
            )
        eta = z @ beta
        raw = q * np.exp(eta - eta.max())
        weights[arm] = raw / raw.sum() * base[target].sum()
        slopes.append(beta)
        constants.append(float(np.log(weights[arm] / base[arm])[0] - standard[arm][0] @ beta))
        worst, steps = max(worst, float(np.abs(gradient).max())), steps + taken
    return Balanced(weights, np.array(slopes), np.array(constants), worst, steps)


def covariate_balancing_weights(
    x: Array,
    treated: Bool,
    estimand: Estimand = "att",
    *,
    base: Array | None = None,
    tolerance: float = 1e-10,
    limit: int = 200,
) -> Balanced:
    """Return weights of the logit propensity score whose coefficients are chosen so that means balance.

    Exactly identified: as many moment conditions as coefficients (a constant is added). "att": comparison rows
    at p / (1 - p) have the covariate means and the total of treated rows; "atc" mirrors it; "ate": treated rows
    at 1 / p and comparison rows at 1 / (1 - p) have equal totals and equal covariate means (of one another,
    not of the sample). Each is the gradient of a convex function, minimised by Newton's method.

    Args:
        x: (n, k) covariates, without a constant.
        treated: (n,) bool.
        estimand: whom the arms are to stand for.
        base: (n,) sampling weights, above 0; None for ones.
        tolerance: largest moment condition allowed, in standard deviations of the column and shares of the
            base weight.
        limit: most Newton steps.

    Returns:
        Weights, and the logit's coefficients of the standardised columns with its constant;
        ``probability_of`` gives the score.

    Raises:
        ValueError: as ``entropy_balancing``.

    Assumption: given covariates adoption is as good as random, with a probability that is a logit in x.

    Source: Imai and Ratkovic (2014), Journal of the Royal Statistical Society B 76(1). For "att" the weights
        are those of entropy balancing (Zhao and Percival 2017, Journal of Causal Inference 5(1)).

    Example:
        >>> x, d = np.array([[2.0], [0.0], [1.0], [3.0]]), np.array([True, False, False, False])
        >>> w = covariate_balancing_weights(x, d).weights
        >>> float((w[1:] @ x[1:, 0]).round(10)), float(w[1:].sum().round(10))
        (2.0, 1.0)
    """
    refuse_estimand(estimand)
    refuse_unusable(x, treated)
    base = _base(base, treated)
    total = base.sum()
    z = np.column_stack([np.ones(len(x)), _standardise(x)[0]])
    # "atc" is "att" with the arms exchanged, and the log odds change sign.
    sign = np.where(treated, 1.0, -1.0) * (-1.0 if estimand == "atc" else 1.0)
    own = sign > 0

    def att(beta: Array) -> tuple[float, Array, Array]:
        eta = z @ beta
        odds = base * np.exp(np.minimum(eta, 700)) * ~own
        slope = (odds - base * own) @ z
        return (
            float(odds.sum() - (base * eta)[own].sum()) / total,
            slope / total,
            (z * odds[:, None]).T @ z / total,
        )

    def ate(beta: Array) -> tuple[float, Array, Array]:
        eta = sign * (z @ beta)
        odds = base * np.exp(np.minimum(-eta, 700))
        slope = -(sign * (base + odds)) @ z
        return float((odds - base * eta).sum()) / total, slope / total, (z * odds[:, None]).T @ z / total

    if estimand == "ate":
        _refuse_apart(z[treated, 1:], z[~treated, 1:])
    else:
        _refuse_outside(z[~own, 1:] - base[own] @ z[own, 1:] / base[own].sum())
    beta, gradient, steps = _newton(ate if estimand == "ate" else att, z.shape[1], tolerance, limit)
    worst = float(np.abs(gradient).max())
    if worst > tolerance:
        if estimand == "ate":
            _refuse_separated(sign[:, None] * z)
        else:
            _refuse_hull(z[~own, 1:] - base[own] @ z[own, 1:] / base[own].sum())
        raise ValueError(
            f"Newton's method left a moment condition of {worst:.1e} after {steps} steps; wanted "
            f"{tolerance:.0e}: the arms do not overlap enough"
        )
    eta = z @ beta * (-1.0 if estimand == "atc" else 1.0)
    if estimand == "ate":
        weights = base * (1 + np.exp(-sign * eta))
    else:
        weights = base * np.where(own, 1.0, np.exp(z @ beta))
    slopes = beta[None, 1:] * (-1.0 if estimand == "atc" else 1.0)
    return Balanced(weights, slopes, beta[:1] * (-1.0 if estimand == "atc" else 1.0), worst, steps)


def overidentified_balancing_weights(
    x: Array,
    treated: Bool,
    estimand: Estimand = "att",
    *,
    base: Array | None = None,
    tolerance: float = 1e-9,
    limit: int = 200,
) -> Overidentified:
    """Return weights of the logit propensity score that fits treatment and balances means as well as both can be.

    Over-identified: the score conditions of the likelihood and the balance conditions of
    ``covariate_balancing_weights``, twice as many as coefficients, by the generalised method of moments in two
    steps. The weighting matrix is the inverse of the conditions' variance given the covariates, taken at the
    maximum-likelihood score and then held fixed (no continuous updating). The criterion is not convex: it is
    minimised from the maximum-likelihood score and from the exactly balancing one where there is one, and the
    lower is returned.

    Args:
        x: (n, k) covariates, without a constant.
        treated: (n,) bool.
        estimand: whom the arms are to stand for.
        base: (n,) sampling weights, above 0, of every condition; None for ones. J does not depend on their scale.
        tolerance: largest slope of the criterion allowed.
        limit: most Newton steps from each start.

    Returns:
        Weights, score and J. A large J says that no logit in these columns both fits treatment and balances
        them: the score is misspecified. In samples of hundreds a right logit is rejected less often than the
        level says.

    Raises:
        ValueError: as ``covariate_balancing_weights``; also arms separated by a logit, conditions that say the
            same because the score does not vary, or no minimum found.

    Assumption: given covariates adoption is as good as random, with a probability that is a logit in x; J's
        distribution is for independent rows.

    Source: Imai and Ratkovic (2014), Journal of the Royal Statistical Society B 76(1), section 2.2; Hansen
        (1982), Econometrica 50(4), for J.

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
        >>> d = np.array([False, False, True, False, True, True])
        >>> fit = overidentified_balancing_weights(x, d, "ate")
        >>> fit.df, round(fit.statistic, 4), round(fit.p_value, 4)
        (2, 0.1299, 0.9371)
    """
    refuse_estimand(estimand)
    refuse_unusable(x, treated)
    base = _base(base, treated)
    base = base / base.mean()
    n = len(x)
    z = np.column_stack([np.ones(n), _standardise(x)[0]])
    logit = fit_logit(z, treated, base)
    if not logit.converged:
        _refuse_separated(np.where(treated, 1.0, -1.0)[:, None] * z)
        raise ValueError(
            "the logit of treatment did not settle; wanted covariates that do not separate the arms"
        )
    # "atc" is "att" with the arms exchanged, and the log odds change sign.
    sign = -1.0 if estimand == "atc" else 1.0
    own = ~treated if estimand == "atc" else treated
    share = 1.0 if estimand == "ate" else 1 / np.average(own, weights=base)
    starts = [sign * logit.coefficients]
    try:
        exact = covariate_balancing_weights(x, treated, estimand, base=base)
        starts.append(sign * np.concatenate([exact.constants, exact.coefficients[0]]))
    except ValueError:
        # There need be no exact balance for there to be a best one.
        pass

    def conditions(beta: Array) -> tuple[Array, Array, Array]:
        """Return what multiplies each row's covariates, (2, n), and its first two slopes in the predictor."""
        eta = np.clip(z @ beta, -300, 300)
        p = expit(eta)
        up, down = np.exp(-eta) * own, np.exp(eta) * ~own
        fit = np.stack([own - p, -p * (1 - p), -p * (1 - p) * (1 - 2 * p)])
        if estimand == "ate":
            level = np.stack([own + up - ~own - down, -up - down, up - down])
        else:
            level = share * np.stack([own - down, -down, -down])
        value, slope, curve = np.stack([fit, level], axis=1) * base
        return value, slope, curve

    p = expit(z @ starts[0])
    if estimand == "ate":
        variances = p * (1 - p), np.ones(n), 1 / (p * (1 - p))
    else:
        variances = p * (1 - p), share * p, share**2 * p / (1 - p)
    one, both, two = ((z * (base**2 * v)[:, None]).T @ z / n for v in variances)
    variance = np.block([[one, both], [both, two]])
    scale = np.sqrt(np.diag(variance))
    values, vectors = np.linalg.eigh(variance / np.outer(scale, scale))
    if values[0] < 1e-12 * values[-1]:
        raise ValueError(
            "score and balance conditions say the same, for the score hardly varies; wanted covariates that move "
            "treatment, or covariate_balancing_weights"
        )
    root = vectors / np.sqrt(values) / scale[:, None]

    def criterion(beta: Array) -> tuple[float, Array, Array]:
        value, slope, curve = conditions(beta)
        g = root.T @ (value @ z / n).ravel()
        jacobian = root.T @ np.vstack([(z * row[:, None]).T @ z / n for row in slope])
        pull = (root @ g).reshape(2, -1)
        bend = (z * (curve * (z @ pull.T).T).sum(axis=0)[:, None]).T @ z / n
        hessian = jacobian.T @ jacobian
        # Newton's step where the criterion is convex, Gauss and Newton's elsewhere.
        if np.linalg.eigvalsh(hessian + bend)[0] > 0:
            hessian = hessian + bend
        return float(g @ g) / 2, jacobian.T @ g, hessian

    found = [_newton(criterion, z.shape[1], tolerance, limit, start) for start in starts]
    beta, gradient, steps = min(found, key=lambda each: criterion(each[0])[0])
    if np.abs(gradient).max() > tolerance:
        raise ValueError(
            f"Newton's method left a slope of {np.abs(gradient).max():.1e} after {steps} steps; wanted "
            f"{tolerance:.0e}: the arms do not overlap enough"
        )
    statistic, df = 2 * n * criterion(beta)[0], z.shape[1]
    beta = sign * beta
    probability = expit(z @ beta)
    weights = inverse_probability_weights(probability, treated, estimand, base=base)
    gap = np.average(z[treated], axis=0, weights=weights[treated])
    gap = gap - np.average(z[~treated], axis=0, weights=weights[~treated])
    return Overidentified(
        weights,
        probability,
        beta[None, 1:],
        beta[:1],
        statistic,
        df,
        float(chdtrc(df, statistic)),
        float(np.abs(gap).max()),
        steps,
    )


def probability_of(fit: Balanced, x: Array) -> Array:
    """Return the propensity score of a covariate-balancing fit, (n,), for the covariates it was fitted on.

    Example:
        >>> x, d = np.array([[2.0], [0.0], [1.0], [3.0]]), np.array([True, False, False, False])
        >>> fit = covariate_balancing_weights(x, d)
        >>> p = probability_of(fit, x)
        >>> bool(np.allclose(fit.weights[1:], (p / (1 - p))[1:]))
        True
    """
    eta = fit.constants[0] + _standardise(x)[0] @ fit.coefficients[0]
    return np.asarray(1 / (1 + np.exp(-eta)), dtype=float)


def _standardise(x: Array) -> tuple[Array, Array]:
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0), spread


def _base(base: Array | None, treated: Bool) -> Array:
    if base is None:
        return np.ones(len(treated))
    if base.shape != treated.shape or not np.all(np.isfinite(base)) or base.min() <= 0:
        raise ValueError("a base weight is missing or not above 0; wanted one above 0 for every row")
    return np.array(base, dtype=float)


def _check_probability(probability: Array, treated: Bool) -> None:
    if probability.shape != treated.shape:
        raise ValueError(f"probabilities {probability.shape} for {treated.shape} rows; wanted one a row")
    out = np.flatnonzero(~((probability > 0) & (probability < 1)))
    if len(out):
        raise ValueError(
            f"{len(out)} probabilities are missing or not between 0 and 1 (rows {out.tolist()}); wanted overlap"
        )


def _newton(
    function: Callable[[Array], tuple[float, Array, Array]],
    size: int,
    tolerance: float,
    limit: int,
    start: Array | None = None,
) -> tuple[Array, Array, int]:
    """Return a minimiser of a function (the one, if convex), the gradient there and the steps taken."""
    beta = np.zeros(size) if start is None else start
    value, gradient, hessian = function(beta)
    for step in range(limit):
        if np.abs(gradient).max() <= tolerance * 1e-2:
            return beta, gradient, step
        try:
            # The ridge is far below rounding unless weights have gathered on too few rows for full rank.
            ridge = 1e-14 * np.trace(hessian) / size * np.eye(size)
            direction = -cho_solve(cho_factor(hessian + ridge), gradient)
        except (LinAlgError, ValueError):
            return beta, gradient, step
        slope, length = float(gradient @ direction), 1.0
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                tried = function(beta + length * direction)
            # Near the optimum values differ by less than rounding; there the gradient decides.
            falls = tried[0] <= value + 1e-4 * length * slope
            flat = abs(slope) < 1e-10 * (1 + abs(value)) and np.abs(tried[1]).max() < np.abs(gradient).max()
            if np.isfinite(tried[0]) and (falls or flat):
                break
            length /= 2
            if length < 1e-10:
                return beta, gradient, step
        beta = beta + length * direction
        value, gradient, hessian = tried
        if np.abs(beta).max() > 1e4:
            return beta, gradient, step + 1
    return beta, gradient, limit


def _refuse_outside(z: Array) -> None:
    """Raise if 0 is not inside the range of some column of z."""
    out = np.flatnonzero((z.min(axis=0) >= 0) | (z.max(axis=0) <= 0))
    # A column that is 0 throughout is met whatever the weights.
    out = out[np.abs(z[:, out]).max(axis=0) > 1e-12]
    if len(out):
        raise ValueError(
            f"no overlap: the target mean of columns {out.tolist()} is outside the range of the weighted arm; "
            "wanted it inside"
        )


def _refuse_hull(z: Array) -> None:
    """Raise if no positive weights make the columns of z average 0."""
    # Largest smallest weight: weights above 0 on every row exist if and only if it is above 0.
    n, k = z.shape
    equal = np.column_stack([np.vstack([z.T, np.ones(n)]), np.append(z.sum(axis=0), n)])
    found = linprog(
        np.append(np.zeros(n), -1.0), A_eq=equal, b_eq=np.append(np.zeros(k), 1.0), method="highs"
    )
    if found.status == 2 or (found.status == 0 and -found.fun < 1e-12):
        raise ValueError(
            "no overlap: the target means are outside the convex hull of the weighted arm (no weights reach "
            "them); wanted fewer columns or a wider comparison"
        )


def _refuse_separated(z: Array) -> None:
    """Raise if some combination of the columns of z is 0 or more in every row and above 0 in some."""
    z = z / np.abs(z).max()
    limits, bounds = np.vstack([-z, z]), np.repeat([0.0, 1.0], len(z))
    found = linprog(-z.sum(axis=0), A_ub=limits, b_ub=bounds, bounds=(None, None), method="highs")
    if found.status == 0 and -found.fun > 1e-9:
        raise ValueError(
            "no overlap: a combination of the columns separates the arms; wanted fewer columns or a wider sample"
        )


def _refuse_apart(a: Array, b: Array) -> None:
    """Raise if some column's ranges in the two arms do not meet."""
    apart = (a.min(axis=0) >= b.max(axis=0)) | (b.min(axis=0) >= a.max(axis=0))
    out = np.flatnonzero(apart)
    if len(out):
        raise ValueError(f"no overlap: columns {out.tolist()} separate the arms; wanted ranges that meet")

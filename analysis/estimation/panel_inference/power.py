"""What a test could have found, and what a finding of it would be worth: in closed form, and under a panel's own errors.

The closed forms take an estimate as normal about the truth and its squared error as chi-squared with stated degrees of
freedom. The simulation assumes neither: it moves whole states' residual paths and refits. An estimator that is linear in
its outcome moves by the sum of what each state's path moves it by, and so does every cluster's score, so one pass over
states makes any number of exact refits cheap: a draw is a product of a few small matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.estimation.inference import Multiplier, draw_multipliers, t_quantile
from analysis.estimation.panel_inference.few_clusters import (
    Kind,
    Labels,
    _active,
    _adjust,
    _by_cluster,
    _sweep,
)

Array = NDArray[np.float64]

# Points at which the distribution of an estimated error is held; the integrals below are good to six digits.
POINTS = 400
# Steps of the search for a detectable effect: to a million-millionth of where it begins.
HALVINGS = 40


# --- closed forms -----------------------------------------------------------------------------------------------


def power_of_test(effect: float | Array, std_error: float, df: float = np.inf, level: float = 0.95) -> Array:
    """Return the chance that a two-sided t test rejects no effect.

    Args:
        effect: true effects, of any shape.
        std_error: standard deviation of the estimate, positive.
        df: degrees of freedom of its estimated error and of the test.
        level: one less the size of the test.

    Returns:
        Chances, shaped as ``effect``; at zero the size.

    Raises:
        ValueError: an error or degrees of freedom that are not positive.

    Assumption: the estimate is normal about the effect, df times its squared estimated error over the true one is
        chi-squared and independent of it: the non-central t distribution.

    Source: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions 2, chapter 31.

    Example:
        >>> power_of_test(np.array([0.0, 2.8016]), 1.0).round(3).tolist()
        [0.05, 0.8]
    """
    scale, weight = _error_scales(std_error, df)
    shift = np.asarray(effect, dtype=float)[..., None] / std_error
    reach = t_quantile(level, df) * scale
    return np.asarray((stats.norm.cdf(shift - reach) + stats.norm.cdf(-shift - reach)) @ weight, dtype=float)


def detectable_size(std_error: float, df: float = np.inf, power: float = 0.8, level: float = 0.95) -> float:
    """Return the effect that a two-sided t test finds with the stated chance, `power_of_test` turned round.

    Args:
        std_error: standard deviation of the estimate, positive.
        df: degrees of freedom.
        power: wanted chance, above one less ``level``.
        level: one less the size of the test.

    Raises:
        ValueError: as `power_of_test`, or a power that is not between the size of the test and one.

    Assumption: as `power_of_test`; the sum of two t quantiles times the error (Bloom 1995) differs from it by less than
        one in a hundred from five degrees of freedom on, and is one in twenty too small at two.

    Example:
        >>> round(detectable_size(1.0), 3), round(detectable_size(1.0, df=5), 2)
        (2.802, 3.51)
    """
    if not 1 - level < power < 1:
        raise ValueError(f"power = {power}; wanted one between {1 - level:g} and 1")
    low, high = 0.0, std_error
    while power_of_test(high, std_error, df, level) < power:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if power_of_test(middle, std_error, df, level) < power else (low, middle)
    return high


def equivalence_power(
    effect: float | Array, std_error: float, bound: float, df: float = np.inf, size: float = 0.05
) -> Array:
    """Return the chance that two one-sided tests show an effect to lie inside ± bound.

    Args:
        effect: true effects, of any shape.
        std_error: standard deviation of the estimate, positive.
        bound: positive, in the unit of the effect.
        df: degrees of freedom.
        size: of each of the two tests.

    Returns:
        Chances, shaped as ``effect``; at ± bound no more than ``size``, and zero everywhere where errors are so large
        that no estimate could show it.

    Raises:
        ValueError: an error, a bound or degrees of freedom that are not positive.

    Assumption: as `power_of_test`.

    Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6); Owen (1965), Biometrika 52(3), for
        the integral.

    Example:
        >>> equivalence_power(np.array([0.0, 3.0]), 1.0, 3.0).round(3).tolist()
        [0.825, 0.05]
    """
    if not bound > 0:
        raise ValueError(f"bound = {bound}; wanted a positive one")
    scale, weight = _error_scales(std_error, df)
    shift, edge = np.asarray(effect, dtype=float)[..., None] / std_error, bound / std_error
    room = edge - t_quantile(1 - 2 * size, df) * scale
    inside = stats.norm.cdf(room - shift) - stats.norm.cdf(-room - shift)
    return np.asarray(np.where(room > 0, inside, 0.0) @ weight, dtype=float)


def _error_scales(std_error: float, df: float) -> tuple[Array, Array]:
    """Return points and weights of the estimated error over the true one."""
    if not std_error > 0 or not df > 0:
        raise ValueError(f"std_error = {std_error}, df = {df}; wanted both positive")
    return (np.ones(1), np.ones(1)) if np.isinf(df) else _chi_points(float(df))


@lru_cache(maxsize=256)
def _chi_points(df: float) -> tuple[Array, Array]:
    share, weight = _shares()
    scale = np.sqrt(stats.chi2.ppf(share, df) / df)
    scale.flags.writeable = False  # shared between calls
    return scale, weight


@lru_cache(maxsize=1)
def _shares() -> tuple[Array, Array]:
    """Return shares of a distribution at which it is held, and what each counts: Gauss and Legendre's on 0 to 1."""
    at, weight = np.polynomial.legendre.leggauss(POINTS)
    share, weight = (at + 1) / 2, weight / 2
    share.flags.writeable = weight.flags.writeable = False
    return share, weight


@dataclass(frozen=True, slots=True)
class SignError:
    """What significant estimates of one true effect are worth, (k,) each.

    Args:
        power: chance of a significant estimate.
        sign_error: share of significant estimates with the wrong sign.
        exaggeration: mean absolute size of significant estimates over the true one.
    """

    power: Array
    sign_error: Array
    exaggeration: Array


def sign_error(effect: Array, std_error: float, df: float = np.inf, level: float = 0.95) -> SignError:
    """Return power, the chance of a wrong sign and the exaggeration of significant estimates.

    Args:
        effect: (k,) true effects, none zero.
        std_error: error of the estimate, positive.
        df: degrees of freedom of t; the exaggeration is infinite up to one.
        level: one less the size of the test.

    Returns:
        A `SignError`, in closed form.

    Raises:
        ValueError: an effect of zero, or an error or degrees of freedom that are not positive.

    Assumption: the estimate is the effect plus the error times a t variable, as in the paper's ``retrodesign``; the error
        itself is taken as known. `power_of_test` lets it be estimated, so the two powers differ with few degrees of freedom.

    Source: Gelman and Carlin (2014), Perspectives on Psychological Science 9(6); Lu, Qiu and Deng (2019), British Journal
        of Mathematical and Statistical Psychology 72(1), for the closed form.

    Example:
        >>> found = sign_error(np.array([0.1]), 3.28)
        >>> found.power.round(2).item(), found.sign_error.round(2).item(), found.exaggeration.round().item()
        (0.05, 0.46, 77.0)
    """
    effect = np.asarray(effect, dtype=float)
    if (effect == 0).any() or not std_error > 0 or not df > 0:
        raise ValueError(
            f"effects {effect.tolist()}, error {std_error}, df {df}; wanted effects other than 0, the rest positive"
        )
    t = stats.norm if np.isinf(df) else stats.t(df)
    critical, shift = t_quantile(level, df), np.abs(effect) / std_error
    right, wrong = t.sf(critical - shift), t.sf(critical + shift)
    power = right + wrong
    beyond = _mean_beyond(critical - shift, df) + _mean_beyond(critical + shift, df)
    size = shift * (right - wrong) + beyond
    return SignError(power, wrong / power, size / power / shift)


def _mean_beyond(at: Array, df: float) -> Array:
    """Return the integral of a t variable over what lies above a value."""
    if np.isinf(df):
        return np.asarray(stats.norm.pdf(at), dtype=float)
    if df <= 1:
        return np.full(np.shape(at), np.inf)
    return np.asarray(df / (df - 1) * (1 + at**2 / df) * stats.t.pdf(at, df), dtype=float)


# --- a panel's own errors ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Responses:
    """What each state's residual path does to an estimate that is linear in its outcome.

    Args:
        effect: (H,) what a state's path moves the estimate by.
        scores: for each way of clustering, (H, G) what it moves the scores of clusters by.
        signs: for each way, what its sum of squares counts in the variance: factor times plus or minus one.
        largest: whether the variance is never below that of one of the first two ways (errors clustered two ways).
        fixed: how many of the last rows are no state's path but a fitted part that stays as it is.
    """

    effect: Array
    scores: tuple[Array, ...]
    signs: tuple[float, ...]
    largest: bool = False
    fixed: int = 0

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit.

        Raises:
            ValueError: other numbers of states in effects and scores, or of ways in scores and signs.
        """
        states = {len(self.effect), *(len(one) for one in self.scores)}
        if len(states) != 1 or len(self.scores) != len(self.signs) or not self.scores:
            raise ValueError(
                f"{sorted(states)} states, {len(self.scores)} scores, {len(self.signs)} signs; wanted one each"
            )

    def variance(self, multipliers: Array) -> Array:
        """Return the variance a refit would state when states' paths are multiplied, (draws,).

        Args:
            multipliers: (draws, H); ones throughout give the sample's own variance.
        """
        parts = [
            sign * ((multipliers @ scores) ** 2).sum(axis=1)
            for sign, scores in zip(self.signs, self.scores, strict=True)
        ]
        whole = np.sum(parts, axis=0)
        return np.asarray(np.maximum(whole, np.maximum(parts[0], parts[1])) if self.largest else whole)


@dataclass(frozen=True, slots=True)
class Refits:
    """Estimates and errors of refits without an effect, (draws,) each."""

    estimate: Array
    std_error: Array


def refit(responses: Responses, draws: int, rng: np.random.Generator, kind: Multiplier = "webb") -> Refits:
    """Refit an estimator on outcomes whose residual paths are multiplied state by state.

    Args:
        responses: of the estimator to each state's path.
        draws: number of outcomes.
        rng: generator.
        kind: multipliers. Two points keep every state's path in size; where two or three states carry an estimate they
            leave a handful of outcomes, and Webb's six points more.

    Returns:
        A `Refits`; an effect of d added to every treated county-year adds d to each estimate and changes no error.

    Raises:
        ValueError: no draws.

    Assumption: states' paths are independent and as likely one way as the other; counties of one state move together, and a
        county with itself over the years, just as in the panel. Effects that differ by state count as error.

    Source: Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90(3); Webb (2023), Canadian Journal of
        Economics 56(3).

    Example:
        >>> psi = np.array([1.0, -2.0, 0.5])
        >>> found = refit(Responses(psi, (np.diag(psi),), (1.5,)), 4, np.random.default_rng(1), "rademacher")
        >>> found.std_error.round(6).tolist()  # signs alone do not change squares
        [2.806243, 2.806243, 2.806243, 2.806243]
    """
    if draws < 1:
        raise ValueError(f"draws = {draws}; wanted at least one")
    multipliers = draw_multipliers(draws, len(responses.effect), rng, kind)
    multipliers[:, len(responses.effect) - responses.fixed :] = 1.0
    return Refits(multipliers @ responses.effect, np.sqrt(responses.variance(multipliers)))


def share_rejected(refits: Refits, effects: Array, critical: float) -> Array:
    """Return the share of refits that reject no effect when an effect is added, (k,).

    Args:
        refits: without an effect.
        effects: (k,) added.
        critical: value of t beyond which the test rejects.

    Example:
        >>> share_rejected(Refits(np.array([-1.0, 0.0, 1.0]), np.ones(3)), np.array([0.0, 2.5]), 2.0).round(2).tolist()
        [0.0, 0.67]
    """
    moved = np.abs(np.asarray(effects, dtype=float)[:, None] + refits.estimate)
    return np.asarray((moved > critical * refits.std_error).mean(axis=1), dtype=float)


def share_equivalent(refits: Refits, effects: Array, bound: float, critical: float) -> Array:
    """Return the share of refits that show equivalence when an effect is added, (k,).

    Args:
        refits: without an effect.
        effects: (k,) added.
        bound: positive.
        critical: one-sided value of t of each of the two tests.

    Example:
        >>> share_equivalent(Refits(np.array([-1.0, 0.0, 1.0]), np.ones(3)), np.array([0.0]), 2.5, 1.7).round(2).tolist()
        [0.33]
    """
    moved = np.abs(np.asarray(effects, dtype=float)[:, None] + refits.estimate)
    return np.asarray((moved + critical * refits.std_error < bound).mean(axis=1), dtype=float)


def detectable_by_refits(refits: Refits, critical: float, power: float = 0.8) -> float:
    """Return the size of effect that the stated share of refits finds, the mean of both signs.

    Args:
        refits: without an effect.
        critical: value of t beyond which the test rejects.
        power: wanted share.

    Example:
        >>> round(detectable_by_refits(Refits(np.linspace(-1, 1, 201), np.ones(201)), 2.0), 2)
        2.6
    """

    def share(size: float) -> float:
        return float(share_rejected(refits, np.array([-size, size]), critical).mean())

    low, high = 0.0, float((np.abs(refits.estimate) + critical * refits.std_error).max()) * (1 + 1e-9)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < power else (low, middle)
    return high


def contribution_weights(
    x: Array, weights: Array, clusters: Labels, *, kind: Kind, effects: Sequence[Labels] = ()
) -> Array:
    """Return what a row's residual counts in its cluster's contribution to the first coefficient's error, (n,).

    Args:
        x: (n, k) regressors, the one looked at first.
        weights: (n,) positive.
        clusters: (n,) labels.
        kind: as in `analysis.estimation.panel_inference.few_clusters.cluster_variance_small`, whose contributions are
            these weights times residuals, summed by cluster.
        effects: (n,) labels each: fixed effects.

    Raises:
        ValueError: as that function.

    Assumption: and source: as that function.

    Example:
        >>> g = np.repeat(np.arange(3), 2)
        >>> contribution_weights(np.ones((6, 1)), np.ones(6), g, kind="CR0").round(4).tolist()
        [0.1667, 0.1667, 0.1667, 0.1667, 0.1667, 0.1667]
    """
    s = _sweep(np.zeros(len(x)), x, weights, clusters, effects)
    crossing = _by_cluster(s)
    found = np.empty(len(x))
    for c in range(len(s.labels)):
        rows = slice(s.first[c], s.first[c + 1])
        q, _ = _active(s, crossing[c], rows)
        found[rows] = _adjust(q, s.basis[rows], kind) @ s.to_beta[0]
    out = np.empty(len(x))
    out[np.argsort(np.unique(clusters, return_inverse=True)[1], kind="stable")] = found * np.sqrt(s.weights)
    return out

"""Every estimator of the matched comparisons on simulated cross-sections with a known effect.

Run as a script to write tests/reference/truth/matching_truth.csv (some 20 minutes; it takes up where it stopped):
    python tests/estimation/matching_truth.py
Worlds and estimators are not tuned: each line states the assumption its error rests on and whether the world keeps
it, and the table reports what was found.

Effects vary between counties in one world. The truth is then that of each draw's own counties: the mean effect of
those an estimator averages over (treated, comparison or all; after trimming, and among those matched), for overlap
weights the mean weighted by p (1 - p) with p the true probability of treatment. Errors, however, are those of an
estimate of the average in the population counties are drawn from, and columns ending in ``_population`` hold them
against that; they are missing where trimming or pruning makes the average one of the draw's own.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.paths import ROOT, replacing
from analysis.estimation.inference import t_quantile
from analysis.estimation.matching.bootstrap import cluster_bootstrap
from analysis.estimation.matching.comparison import (
    MATCHES,
    SETS,
    Arms,
    Compared,
    Plan,
    compare,
    effect_of,
    independent_variance,
)
from analysis.estimation.matching.randomisation import (
    assignment,
    randomisation_inference,
    randomisation_test,
    studentised_difference,
)
from analysis.estimation.matching.regression import Effect, matched_regression, matched_variance
from analysis.estimation.matching.sensitivity import signed_rank_bounds

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]

TABLE: Path = Path(__file__).parents[1] / "reference" / "truth" / "matching_truth.csv"
DRAWS = 1000
# Bootstrap and randomisation find everything anew a hundred times a draw, and so does the genetic search: they are run
# in the first draws alone.
COSTLY_DRAWS = 300
RESAMPLES = 99
REASSIGNMENTS = 199
EFFECT = 2.0
COUNTIES, STATES = 360, 20
CONSTANT = -1.3
TREATMENT, OUTCOME = np.array([0.5, -0.4, 0.3]), np.array([1.0, 1.0, -0.5])
BLOCK = 50


@dataclass(frozen=True, slots=True)
class World:
    """How counties come by treatment and outcome.

    Args:
        words: for the table.
        steepness: factor on the slopes of the logit of treatment; the larger, the less overlap.
        curve: weight of the squared first covariate in the outcome.
        lean: standard deviation of states' own log odds of treatment.
        shock: standard deviation of states' own outcome; counties' own is 1.
        slope: change of a county's effect with its first covariate.
    """

    words: str
    steepness: float = 1.0
    curve: float = 0.0
    lean: float = 0.0
    shock: float = 0.0
    slope: float = 0.0


WORLDS: dict[str, World] = {
    "independent": World("counties assigned independently, linear outcome, good overlap"),
    "poor_overlap": World(
        "counties assigned independently, curved outcome, poor overlap", steepness=2.2, curve=0.5
    ),
    "states": World("states lean and share shocks, linear outcome, good overlap", lean=1.0, shock=0.7),
    "varying": World(
        "counties assigned independently, linear outcome, good overlap; effects rise with a covariate that moves "
        "treatment",
        slope=1.0,
    ),
}

# What an estimate takes for granted -> worlds in which it is so. With covariates that are continuous no match is
# exact and no class narrow, so that estimates which need it hold nowhere; how far they are off stands in the table.
LINEAR, ONE_EFFECT = "linear outcome", "linear outcome, one effect"
EXACT, NARROW = "exact matches", "cells or classes within which covariates do not matter"
LOGIT, EITHER = "logit right; overlap", "logit or linear outcome; overlap"
KNOWN = "score known"
BALANCED = "logit right or, for one effect, linear outcome"
EQUAL_MEANS = "linear outcome, means balanced exactly"
PLACES: dict[str, tuple[str, ...]] = {
    LINEAR: ("independent", "states", "varying"),
    ONE_EFFECT: ("independent", "states"),
    EXACT: (),
    NARROW: (),
    KNOWN: (),
    EQUAL_MEANS: (),
    LOGIT: ("independent", "varying"),
    EITHER: ("independent", "states", "varying"),
    BALANCED: ("independent", "states", "varying"),
}
ONE_BY_ONE = ("independent", "poor_overlap", "varying")
# Inference -> (what it takes for granted, worlds in which it is so).
INFERENCE: dict[str, tuple[str, tuple[str, ...]]] = {
    "by state": ("independent states", tuple(WORLDS)),
    "rows independent": ("independent counties", ONE_BY_ONE),
    "abadie_imbens": ("independent counties", ONE_BY_ONE),
    "abadie_imbens_homoskedastic": (
        "independent counties, one outcome variance, one effect",
        ("independent", "poor_overlap"),
    ),
    "score as known": ("independent counties", ONE_BY_ONE),
    "score estimated": ("independent counties", ONE_BY_ONE),
    "by pair": ("independent pairs", ONE_BY_ONE),
    "by set": ("independent sets", ONE_BY_ONE),
    "by pair and state": ("independent states, and pairs across them", tuple(WORLDS)),
    "by pair and state, largest": ("independent states, and pairs across them", tuple(WORLDS)),
    "randomisation": ("independent pairs", ONE_BY_ONE),
    "signed ranks": ("independent pairs", ONE_BY_ONE),
    "state bootstrap": ("independent states", tuple(WORLDS)),
    # Covariates move treatment within states in every world.
    "randomisation within states": ("counties of a state equally likely to be treated; one effect", ()),
}
RESAMPLED = ("state bootstrap", "randomisation within states")
CLUSTERED = ("by state", "rows independent")
CLOSED = ("abadie_imbens", "abadie_imbens_homoskedastic")
PAIRED = ("by pair", "by state", "by pair and state, largest", "rows independent")


@dataclass(frozen=True, slots=True)
class Method:
    """An estimator of the table.

    Args:
        plan: as in the study.
        needs: what the estimate takes for granted.
        inference: kinds of error and test that are put beside it.
        covariates: whether the matched sample is compared by a regression on treatment and covariates, without
            interactions.
    """

    plan: Plan
    needs: str
    inference: tuple[str, ...] = CLUSTERED
    covariates: bool = False


def _weighting(weighting: str, **options: str) -> Plan:
    return Plan("weighting", weighting=weighting, **options)  # type: ignore[arg-type]


NEAREST = Plan("matched_difference")
SCORE = replace(NEAREST, distance="propensity")
PAIRS = replace(NEAREST, replacement=False)
OPTIMAL, FULL = Plan("optimal_match"), Plan("full_match")
GENETIC, CARDINALITY = Plan("genetic_match", population=8, generations=4), Plan("cardinality_match")
COARSENED, CLASSES = Plan("coarsened_match", bins="quantiles_3"), Plan("subclassification")
INVERSE = _weighting("inverse_probability")
SEARCH = "genetic (population 8, generations 4)"
METHODS: dict[str, Method] = {
    "nearest mahalanobis": Method(NEAREST, EXACT, (*CLUSTERED, *CLOSED, "randomisation within states")),
    "nearest mahalanobis adjusted": Method(replace(NEAREST, adjust="bias"), LINEAR, (*CLUSTERED, *CLOSED)),
    "nearest mahalanobis with regression": Method(replace(NEAREST, adjust="regression"), LINEAR),
    "nearest mahalanobis, 3 neighbours, adjusted": Method(
        replace(NEAREST, adjust="bias", neighbours=3), LINEAR, (*CLUSTERED, "abadie_imbens")
    ),
    "nearest robust": Method(
        replace(NEAREST, distance="robust_mahalanobis"), EXACT, (*CLUSTERED, "abadie_imbens")
    ),
    "nearest robust adjusted": Method(
        replace(NEAREST, distance="robust_mahalanobis", adjust="bias"), LINEAR, (*CLUSTERED, "abadie_imbens")
    ),
    "nearest scaled": Method(
        replace(NEAREST, distance="scaled_euclidean"), EXACT, (*CLUSTERED, "abadie_imbens")
    ),
    "nearest scaled adjusted": Method(
        replace(NEAREST, distance="scaled_euclidean", adjust="bias"), LINEAR, (*CLUSTERED, "abadie_imbens")
    ),
    "nearest mahalanobis ate": Method(replace(NEAREST, estimand="ate"), EXACT, (*CLUSTERED, *CLOSED)),
    "nearest mahalanobis ate adjusted": Method(
        replace(NEAREST, estimand="ate", adjust="bias"), LINEAR, (*CLUSTERED, *CLOSED)
    ),
    "nearest mahalanobis atc adjusted": Method(
        replace(NEAREST, estimand="atc", adjust="bias"), LINEAR, (*CLUSTERED, *CLOSED)
    ),
    "nearest score att": Method(SCORE, LOGIT, ("score as known", "score estimated", *CLUSTERED)),
    "nearest score ate": Method(
        replace(SCORE, estimand="ate"), LOGIT, ("score as known", "score estimated", *CLUSTERED)
    ),
    "nearest score caliper 0.2": Method(replace(SCORE, caliper=0.2), LOGIT, ("score as known", *CLUSTERED)),
    "pairs": Method(PAIRS, EXACT, (*PAIRED, "by pair and state", "randomisation", "signed ranks")),
    "pairs with covariates": Method(PAIRS, ONE_EFFECT, (*PAIRED, "by pair and state"), covariates=True),
    "pairs with regression": Method(replace(PAIRS, adjust="regression"), LINEAR, PAIRED),
    "optimal pairs": Method(OPTIMAL, EXACT, PAIRED),
    "optimal pairs adjusted": Method(replace(OPTIMAL, adjust="bias"), LINEAR, PAIRED),
    "optimal pairs with regression": Method(replace(OPTIMAL, adjust="regression"), LINEAR, PAIRED),
    "full att": Method(FULL, EXACT, (*CLUSTERED, "by set")),
    "full att adjusted": Method(replace(FULL, adjust="bias"), LINEAR, (*CLUSTERED, "by set")),
    "full ate": Method(replace(FULL, estimand="ate"), EXACT, (*CLUSTERED, "by set")),
    # The regressions are averaged over the matched sample, whose covariates are near those of all counties, not equal.
    "full ate with regression": Method(
        replace(FULL, estimand="ate", adjust="regression"), ONE_EFFECT, (*CLUSTERED, "by set")
    ),
    SEARCH: Method(GENETIC, EXACT, (*CLUSTERED, "abadie_imbens")),
    f"{SEARCH} adjusted": Method(replace(GENETIC, adjust="bias"), LINEAR, (*CLUSTERED, "abadie_imbens")),
    "cardinality": Method(CARDINALITY, EQUAL_MEANS, PAIRED),
    "cardinality with regression": Method(replace(CARDINALITY, adjust="regression"), LINEAR, PAIRED),
    "coarsened att": Method(COARSENED, NARROW, (*CLUSTERED, "by set", "state bootstrap")),
    "coarsened ate": Method(replace(COARSENED, estimand="ate"), NARROW, (*CLUSTERED, "by set")),
    "coarsened att with regression": Method(replace(COARSENED, adjust="regression"), LINEAR),
    "subclassification att": Method(CLASSES, NARROW, (*CLUSTERED, "state bootstrap")),
    "subclassification ate": Method(replace(CLASSES, estimand="ate"), NARROW),
    "subclassification att with regression": Method(replace(CLASSES, adjust="regression"), LINEAR),
    "inverse probability att": Method(
        INVERSE, LOGIT, (*CLUSTERED, "state bootstrap", "randomisation within states")
    ),
    "inverse probability atc": Method(replace(INVERSE, estimand="atc"), LOGIT),
    "inverse probability ate": Method(replace(INVERSE, estimand="ate"), LOGIT),
    "inverse probability att with regression": Method(replace(INVERSE, adjust="regression"), EITHER),
    "overlap ato": Method(_weighting("overlap", estimand="ato"), BALANCED),
    "entropy att": Method(_weighting("entropy"), LINEAR),
    "entropy ate": Method(_weighting("entropy", estimand="ate"), LINEAR),
    "covariate balancing att": Method(_weighting("covariate_balancing"), LINEAR),
    "covariate balancing ate": Method(_weighting("covariate_balancing", estimand="ate"), BALANCED),
    "covariate balancing overidentified att": Method(_weighting("covariate_balancing_overidentified"), LOGIT),
    "covariate balancing overidentified ate": Method(
        _weighting("covariate_balancing_overidentified", estimand="ate"), LOGIT
    ),
    "augmented att": Method(Plan("doubly_robust"), EITHER, (*CLUSTERED, "state bootstrap")),
    "augmented atc": Method(Plan("doubly_robust", estimand="atc"), EITHER),
    "augmented ate": Method(Plan("doubly_robust", estimand="ate"), EITHER),
    "regression att": Method(Plan("regression_adjustment"), LINEAR, (*CLUSTERED, "state bootstrap")),
    "regression atc": Method(Plan("regression_adjustment", estimand="atc"), LINEAR),
    "regression ate": Method(Plan("regression_adjustment", estimand="ate"), LINEAR),
    "inverse probability ate trimmed tenth": Method(
        replace(INVERSE, estimand="ate", trimming="tenth"), LOGIT
    ),
    "nearest mahalanobis adjusted trimmed optimal": Method(
        replace(NEAREST, adjust="bias", trimming="optimal"), LINEAR, (*CLUSTERED, "abadie_imbens")
    ),
}
# name -> (method, inference)
ESTIMATORS: dict[str, tuple[str, str]] = {
    f"{name}, {how}": (name, how) for name, method in METHODS.items() for how in method.inference
}


# Errors that do not go by matched sets take the two arms of a matched sample for unrelated, and those that take weights
# as given count what balance takes out: where covariates move outcomes both are too large, unless a regression is made.
UNRELATED = "covariates do not move outcomes"
GIVEN = "covariate_balancing_overidentified"
IGNORE_SETS = ("by state", "rows independent", "by pair and state, largest")


def _ignores_balance(estimator: str) -> bool:
    name, how = ESTIMATORS[estimator]
    method = METHODS[name]
    adjusted = bool(method.plan.adjust) or method.covariates
    given = method.plan.method in MATCHES | SETS or method.plan.weighting == GIVEN
    return how in IGNORE_SETS and not adjusted and given


def holds(estimator: str, world: str) -> bool:
    """Return whether a world keeps what an estimator and its inference take for granted."""
    name, how = ESTIMATORS[estimator]
    needs = KNOWN if how == "score as known" else METHODS[name].needs
    return world in PLACES[needs] and world in INFERENCE[how][1] and not _ignores_balance(estimator)


def is_costly(estimator: str) -> bool:
    """Return whether an estimator is run in the first draws alone."""
    name, how = ESTIMATORS[estimator]
    return how in RESAMPLED or METHODS[name].plan.method == "genetic_match"


def assumption(estimator: str) -> str:
    """Return what an estimator and its inference take for granted, in words."""
    name, how = ESTIMATORS[estimator]
    words = [KNOWN if how == "score as known" else METHODS[name].needs, INFERENCE[how][0]]
    return "; ".join([*words, UNRELATED] if _ignores_balance(estimator) else words)


@dataclass(frozen=True, slots=True)
class Counties:
    """One draw: outcome (n,), covariates (n, 3), treated (n,), state codes, effects and true probabilities (n,)."""

    y: Array
    x: Array
    treated: Bool
    state: Index
    effect: Array
    probability: Array


def simulate_counties(world: World, rng: np.random.Generator) -> Counties:
    """Draw counties of a world."""
    # States differ in size, as they do.
    state = np.sort(rng.choice(STATES, size=COUNTIES, p=(s := np.arange(1.0, STATES + 1)) / s.sum()))
    x = rng.normal(size=(COUNTIES, 3))
    odds = CONSTANT + x @ TREATMENT * world.steepness + world.lean * rng.normal(size=STATES)[state]
    probability = 1 / (1 + np.exp(-odds))
    treated = rng.random(COUNTIES) < probability
    effect = EFFECT + world.slope * x[:, 0]
    y = 10 + x @ OUTCOME + world.curve * x[:, 0] ** 2 + effect * treated
    y = y + world.shock * rng.normal(size=STATES)[state] + rng.normal(size=COUNTIES)
    return Counties(y, x, treated, state, effect, probability)


@cache
def population_effect(world: World, estimand: str) -> float:
    """Return the average effect in the population, by quadrature over the logit's predictor."""
    if world.slope == 0:
        return EFFECT
    if world.lean:
        raise ValueError("effects that vary where states lean; wanted one or the other")
    node, weight = np.polynomial.hermite_e.hermegauss(80)
    spread = float(np.linalg.norm(TREATMENT))
    p = 1 / (1 + np.exp(-CONSTANT - world.steepness * spread * node))
    # Mean of the first covariate where the predictor lies ``node`` standard deviations from its middle.
    first = TREATMENT[0] / spread * node
    part = weight * {"att": p, "atc": 1 - p, "ate": np.ones_like(p), "ato": p * (1 - p)}[estimand]
    return EFFECT + world.slope * float(part @ first / part.sum())


def own_effect(c: Counties, plan: Plan, compared: Compared) -> float:
    """Return the average effect of the draw's counties that a plan averages over."""
    averaged = {"att": c.treated, "atc": ~c.treated}.get(plan.estimand, np.ones(len(c.y), dtype=bool))
    weight = (averaged & compared.kept & ~compared.pruned).astype(float)
    if plan.estimand == "ato":
        weight *= c.probability * (1 - c.probability)
    return float(np.average(c.effect, weights=weight))


@dataclass(frozen=True, slots=True)
class Found:
    """What a method finds in a draw."""

    counties: Counties
    arms: Arms
    plan: Plan
    compared: Compared
    effect: Effect
    seed: int

    def sets(self) -> Index:
        """Return labels of matched sets, -1 in none."""
        assert self.compared.sets is not None
        return self.compared.sets


def _clustered(found: Found, how: str) -> tuple[float, float]:
    """Return a cluster-robust variance and its degrees of freedom."""
    psi, state, n = found.effect.influence, found.counties.state, len(found.arms.treated)
    if how == "by state":
        return matched_variance(psi, state), len(np.unique(state)) - 1
    if how == "rows independent":
        return matched_variance(psi, np.arange(n)), np.inf
    sets = found.sets()
    inside = sets >= 0
    if how in ("by pair", "by set"):
        return matched_variance(psi, sets), len(np.unique(sets[inside])) - 1
    combine = "largest" if how.endswith("largest") else "sum"
    variance = matched_variance(psi, np.column_stack([sets, state]), combine)  # type: ignore[arg-type]
    return variance, min(len(np.unique(sets[inside])), len(np.unique(state[inside]))) - 1


def _by_draws(found: Found, how: str, truths: tuple[float, float]) -> tuple[float, list[float]]:
    """Return the error, if there is one, and which truths are not rejected, where everything is found anew."""
    c, plan = found.counties, found.plan
    if how == "state bootstrap":

        def again(rows: Index) -> float:
            arms = found.arms.rows(rows)
            return effect_of(c.y[rows], arms, plan, compare(arms, plan)).estimate

        draws = cluster_bootstrap(again, c.state, plan.method, draws=RESAMPLES, seed=found.seed)  # type: ignore[arg-type]
        low, high = min(draws.conf_low, draws.estimate), max(draws.conf_high, draws.estimate)
        return draws.std_error, [_covers(low, high, truth) for truth in truths]

    def matched(treated: Bool) -> Callable[[Array], tuple[float, float]]:
        arms = replace(found.arms, treated=treated)
        compared = compare(arms, plan)

        def evaluate(y: Array) -> tuple[float, float]:
            effect = effect_of(y, arms, plan, compared)
            return effect.estimate, float(np.sqrt(matched_variance(effect.influence, c.state)))

        return evaluate

    # A test of one effect for all, the draw's own average; where effects vary there is no such thing as the other.
    test = randomisation_inference(
        matched, c.y - truths[0] * c.treated, c.treated, assignment("counties_within_states", c.treated, c.state),
        draws=RESAMPLES, seed=found.seed, interval=False,
    )  # fmt: skip
    kept = float(test.p_value > 0.05)
    return float("nan"), [kept if truth == truths[0] else float("nan") for truth in truths]


def _covers(low: float, high: float, truth: float) -> float:
    return float(low <= truth <= high) if np.isfinite(truth) else float("nan")


def _of_pairs(found: Found, how: str, truth: float) -> float:
    """Return whether a test on pair differences does not reject the truth."""
    c, m = found.counties, found.compared.of_treated
    assert m is not None
    if not np.isfinite(truth):
        return float("nan")
    if how == "signed ranks":
        gap = c.y[m.treated] - c.y[m.comparison] - truth
        tails = [signed_rank_bounds(gap, 1.0, side, "normal")[1] for side in ("greater", "less")]
        return float(2 * min(tails) > 0.05)
    pair = found.sets()
    inside = pair >= 0
    treated, pair, without = c.treated[inside], pair[inside], (c.y - truth * c.treated)[inside]
    test = randomisation_test(
        studentised_difference(without, pair), treated, assignment("pairs", treated, pair),
        draws=REASSIGNMENTS, seed=found.seed,
    )  # fmt: skip
    return float(test.p_value > 0.05)


def _outcome(found: Found, how: str, truths: tuple[float, float]) -> tuple[float, ...]:
    """Return the error (missing for tests and variances that are not positive) and whether each truth is covered."""
    if how in RESAMPLED:
        error, covered = _by_draws(found, how, truths)
        return error, *covered
    if how in ("randomisation", "signed ranks"):
        return float("nan"), *(_of_pairs(found, how, truth) for truth in truths)
    df = float("inf")
    try:
        if how in CLOSED or how.startswith("score"):
            kind = {"score as known": "abadie_imbens", "score estimated": "estimated_score"}.get(how, how)
            variance = independent_variance(found.counties.y, found.arms, found.plan, found.compared, kind)
        else:
            variance, df = _clustered(found, how)
    except ValueError as refused:
        # A sum of variances and covariances may be negative; such a draw has no interval and is counted.
        if "variance is" not in str(refused):
            raise
        return (float("nan"),) * 3
    estimate, error = found.effect.estimate, float(np.sqrt(variance))
    reach = t_quantile(0.95, df) * error
    return error, *(_covers(estimate - reach, estimate + reach, truth) for truth in truths)


# estimate, own truth, population's truth, error, covers the one, covers the other
WIDTH = 6


def one_draw(world: World, seed: int, costly: bool) -> Array:
    """Return what each estimator finds in a draw, (estimators, 6); missing where a method refuses the draw."""
    c = simulate_counties(world, np.random.default_rng(seed))
    arms = Arms(c.x, ("x1", "x2", "x3"), c.treated, np.ones(len(c.y)))
    made: dict[Plan, Compared | ValueError] = {}
    out = np.full((len(ESTIMATORS), WIDTH), np.nan)
    lines = dict(zip(ESTIMATORS, out, strict=True))
    for name, method in METHODS.items():
        plan = method.plan
        if plan.method == "genetic_match" and not costly:
            continue
        # Adjustment comes after the match, which methods share.
        key = replace(plan, adjust="")
        if key not in made:
            try:
                made[key] = compare(arms, key)
            except ValueError as refused:
                made[key] = refused
        compared = made[key]
        if isinstance(compared, ValueError):
            continue
        try:
            if method.covariates:
                effect = matched_regression(c.y, c.treated, compared.weights, c.x)
            else:
                effect = effect_of(c.y, arms, plan, compared)
        except ValueError:
            continue
        truth = own_effect(c, plan, compared)
        whole = bool(compared.kept.all() and not compared.pruned.any())
        population = population_effect(world, plan.estimand) if whole or world.slope == 0 else np.nan
        found = Found(c, arms, plan, compared, effect, seed)
        for how in method.inference:
            if how in RESAMPLED and not costly:
                continue
            try:
                outcome = _outcome(found, how, (truth, population))
            except ValueError:
                if how not in RESAMPLED:
                    raise
                continue
            lines[f"{name}, {how}"][:] = (effect.estimate, truth, population, *outcome)
    return out


def run(world: str, draws: int, first: int = 0, costly: int = COSTLY_DRAWS) -> Array:
    """Return draws, (draws, estimators, 6), of seeds from ``first``; the first ``costly`` of them with everything."""
    return np.array(
        [one_draw(WORLDS[world], seed, seed - first < costly) for seed in range(first, first + draws)]
    )


def summarise(world: str, found: Array, costly: int = COSTLY_DRAWS) -> pd.DataFrame:
    """Return a row an estimator: bias, spread, mean error over spread, coverage of 95 % intervals.

    For tests, which have no interval, coverage is the share of draws that do not reject the true effect at 5 %.
    ``refused`` counts draws in which a method gives no estimate; they are in nothing else. ``no_error`` counts draws
    whose variance is not positive; they are left out of ratio and coverage.
    """
    lines = []
    for at, name in enumerate(ESTIMATORS):
        how = ESTIMATORS[name][1]
        draws = found[:costly, at] if is_costly(name) else found[:, at]
        estimate, truth, population, error, covers, covers_population = draws[np.isfinite(draws[:, 0])].T
        test = how in ("randomisation", "randomisation within states", "signed ranks")
        off, kept = estimate - truth, len(estimate)
        whole = kept > 0 and bool(np.isfinite(population).all())
        spread = off.std(ddof=1)
        around = estimate.std(ddof=1) if whole else np.nan
        lines.append(
            {
                "world": world,
                "estimator": name,
                "assumption": assumption(name),
                "holds": holds(name, world),
                "draws": len(draws),
                "refused": len(draws) - kept,
                "no_error": 0 if test else int(np.isnan(error).sum()),
                "truth": truth.mean(),
                "bias": off.mean(),
                "bias_mc_error": spread / np.sqrt(kept),
                "spread": spread,
                "std_error_over_spread": _mean(error) / spread,
                "coverage": _mean(covers),
                "coverage_mc_error": np.sqrt(0.95 * 0.05 / kept),
                "spread_population": around,
                "std_error_over_spread_population": _mean(error) / around,
                "coverage_population": _mean(covers_population) if whole else np.nan,
            }
        )
    return pd.DataFrame(lines).round(4)


def _mean(values: Array) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def simulate(world: str, draws: int, first: int = 0, costly: int = COSTLY_DRAWS) -> pd.DataFrame:
    """Return the table of a world; see ``summarise``."""
    return summarise(world, run(world, draws, first, costly), costly)


def _kept_under() -> Path:
    """Return a folder for blocks of draws, another for every state of the code they rest on."""
    sources = [Path(__file__), *sorted((ROOT / "analysis" / "estimation" / "matching").glob("*.py"))]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"matching_truth_{state}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--table", type=Path, default=TABLE)
    asked = parser.parse_args(arguments)
    folder = _kept_under()
    folder.mkdir(exist_ok=True)
    parts, start = [], time.monotonic()
    for world in WORLDS:
        blocks = []
        for first in range(0, asked.draws, BLOCK):
            count = min(BLOCK, asked.draws - first)
            stored = folder / f"{world}_{first}_{count}.npy"
            if not stored.exists():
                block = run(world, count, first, max(0, COSTLY_DRAWS - first))
                with replacing(stored) as path, path.open("wb") as file:
                    np.save(file, block)
            blocks.append(np.load(stored))
            print(
                f"{world}: {first + count} of {asked.draws} draws, {time.monotonic() - start:.0f} s",
                flush=True,
            )
        parts.append(summarise(world, np.concatenate(blocks)))
    with replacing(asked.table) as path:
        pd.concat(parts, ignore_index=True).to_csv(path, index=False)


if __name__ == "__main__":
    main()

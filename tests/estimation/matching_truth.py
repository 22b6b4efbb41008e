"""Matched, weighted and adjusted differences on simulated cross-sections with a known effect.

Run as a script to write tests/reference/truth/matching_truth.csv (some minutes):
    python tests/estimation/matching_truth.py
Worlds and estimators are not tuned: each line states the assumption its error rests on and whether the world keeps
it, and the table reports what was found.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.base.paths import replacing
from analysis.estimation.matching.average import average_effect, average_effect_variance
from analysis.estimation.matching.distances import mahalanobis_coordinates, standardised_coordinates
from analysis.estimation.matching.doubly_robust import augmented_weighting
from analysis.estimation.matching.estimated_score import estimated_score_adjustment
from analysis.estimation.matching.nearest import nearest_neighbours
from analysis.estimation.matching.propensity import fit_logit
from analysis.estimation.matching.randomisation import assignment, randomisation_test, studentised_difference
from analysis.estimation.matching.regression import (
    matched_regression,
    matched_variance,
    pair_labels,
    regression_adjustment,
)
from analysis.estimation.matching.sensitivity import signed_rank_bounds
from analysis.estimation.matching.variance import (
    abadie_imbens_variance,
    influence,
    matched_difference,
    within_arm_variance,
)

Array = NDArray[np.float64]

TABLE: Path = Path(__file__).parents[1] / "reference" / "truth" / "matching_truth.csv"
DRAWS = 1000
EFFECT = 2.0
COUNTIES, STATES = 600, 40
REASSIGNMENTS = 199


@dataclass(frozen=True, slots=True)
class World:
    """How counties come by treatment and outcome.

    Args:
        words: for the table.
        steepness: factor on the slopes of the logit of treatment; the larger, the less overlap.
        curve: weight of the squared first covariate in the outcome.
        lean: standard deviation of states' own log odds of treatment.
        shock: standard deviation of states' own outcome; counties' own is 1.
    """

    words: str
    steepness: float = 1.0
    curve: float = 0.0
    lean: float = 0.0
    shock: float = 0.0


WORLDS: dict[str, World] = {
    "independent": World("counties assigned independently, linear outcome, good overlap"),
    "poor_overlap": World(
        "counties assigned independently, curved outcome, poor overlap", steepness=2.2, curve=0.5
    ),
    "states": World("states lean and share shocks, linear outcome, good overlap", lean=1.0, shock=0.7),
}

# name -> (assumption of the estimate and its error, worlds in which it holds)
ESTIMATORS: dict[str, tuple[str, tuple[str, ...]]] = {
    "nearest mahalanobis, abadie_imbens": ("exact matches; independent counties", ()),
    "nearest mahalanobis adjusted, abadie_imbens": ("linear outcome; independent counties", ("independent",)),
    "nearest mahalanobis adjusted, by state": (
        "linear outcome; independent states; matches taken as given",
        ("independent", "states"),
    ),
    "pairs, by pair": ("exact matches; independent pairs", ()),
    "pairs, by state": ("exact matches; independent states", ()),
    "pairs, by pair and state": ("exact matches; independent states, and pairs across them", ()),
    "pairs with covariates, by pair": ("linear outcome; independent pairs", ("independent",)),
    "pairs with covariates, by state": ("linear outcome; independent states", ("independent", "states")),
    "pairs with covariates, by pair and state": (
        "linear outcome; independent states, and pairs across them",
        ("independent", "states"),
    ),
    "pairs with covariates, rows independent": ("linear outcome; independent rows", ("independent",)),
    "pairs, randomisation": ("exact matches; independent pairs", ()),
    "pairs, signed ranks": ("exact matches; independent pairs", ()),
    "nearest score att, score as known": ("score known; independent counties", ()),
    "nearest score att, score estimated": ("logit right; overlap; independent counties", ("independent",)),
    "nearest score ate, score as known": ("score known; independent counties", ()),
    "nearest score ate, score estimated": ("logit right; overlap; independent counties", ("independent",)),
    "augmented att, rows independent": (
        "logit or linear outcome; overlap; independent counties",
        ("independent",),
    ),
    "augmented att, by state": (
        "logit or linear outcome; overlap; independent states",
        ("independent", "states"),
    ),
    "augmented ate, rows independent": (
        "logit or linear outcome; overlap; independent counties",
        ("independent",),
    ),
    "augmented ate, by state": (
        "logit or linear outcome; overlap; independent states",
        ("independent", "states"),
    ),
    "regression att, rows independent": ("linear outcome; independent counties", ("independent",)),
    "regression att, by state": ("linear outcome; independent states", ("independent", "states")),
}


def simulate_counties(
    world: World, rng: np.random.Generator
) -> tuple[Array, Array, NDArray[np.bool_], Array]:
    """Return outcome (n,), covariates (n, 3), treated (n,) and state codes (n,)."""
    # States differ in size, as they do.
    state = np.sort(rng.choice(STATES, size=COUNTIES, p=(s := np.arange(1.0, STATES + 1)) / s.sum()))
    x = rng.normal(size=(COUNTIES, 3))
    index = x @ np.array([0.5, -0.4, 0.3]) * world.steepness
    odds = -1.3 + index + world.lean * rng.normal(size=STATES)[state]
    treated = rng.random(COUNTIES) < 1 / (1 + np.exp(-odds))
    y = 10 + x @ np.array([1.0, 1.0, -0.5]) + world.curve * x[:, 0] ** 2 + EFFECT * treated
    y = y + world.shock * rng.normal(size=STATES)[state] + rng.normal(size=COUNTIES)
    return y, x, treated, state


def one_draw(world: World, seed: int) -> dict[str, tuple[float, float, bool]]:
    """Return estimate, standard error (missing for tests) and whether the truth is not rejected at 5 %."""
    rng = np.random.default_rng(seed)
    y, x, d, state = simulate_counties(world, rng)
    n, ones, row = len(y), np.ones(len(y)), np.arange(len(y))
    out: dict[str, tuple[float, float, bool]] = {}

    def keep(name: str, estimate: float, variance: float, df: float = np.inf) -> None:
        error = float(np.sqrt(variance)) if variance > 0 else float("nan")
        reach = (stats.norm.ppf(0.975) if np.isinf(df) else stats.t.ppf(0.975, df)) * error
        out[name] = (estimate, error, bool(abs(estimate - EFFECT) <= reach))

    states = len(np.unique(state)) - 1
    z = mahalanobis_coordinates(x)
    m = nearest_neighbours(z, d)
    conditional = within_arm_variance(y, z, d, 2)
    for words, adjust in (("", None), (" adjusted", x)):
        found = matched_difference(y, m, ones, adjust)
        name = f"nearest mahalanobis{words}, abadie_imbens"
        keep(name, found.estimate, abadie_imbens_variance(found, m, ones, conditional))
    psi = influence(y, m, ones, x)
    keep("nearest mahalanobis adjusted, by state", found.estimate, matched_variance(psi, state), states)

    m = nearest_neighbours(z, d, replacement=False)
    pair = pair_labels(m, n)
    weight = (pair >= 0) * 1.0
    inside = pair >= 0
    for words, covariates in (("", None), (" with covariates", x)):
        effect = matched_regression(y, d, weight, covariates)
        psi, both = effect.influence[inside], np.column_stack([pair, state])[inside]
        name = f"pairs{words}, by pair and state"
        try:
            keep(name, effect.estimate, matched_variance(psi, both), len(np.unique(both[:, 1])) - 1)
        except ValueError:
            # A two-way sum may be negative; such a draw has no interval and is counted.
            keep(name, effect.estimate, float("nan"))
        for by, labels in (("by pair", pair), ("by state", state), ("rows independent", row)):
            name = f"pairs{words}, {by}"
            if name in ESTIMATORS:
                variance = matched_variance(psi, labels[inside])
                keep(name, effect.estimate, variance, len(np.unique(labels[inside])) - 1)
    gap = y[m.treated] - y[m.comparison]
    without = (y - EFFECT * d)[inside]
    test = randomisation_test(
        studentised_difference(without, pair[inside]),
        d[inside],
        assignment("pairs", d[inside], pair[inside]),
        draws=REASSIGNMENTS,
        seed=seed,
    )
    out["pairs, randomisation"] = (float(gap.mean()), float("nan"), test.p_value > 0.05)
    tails = [signed_rank_bounds(gap - EFFECT, 1.0, side, "normal")[1] for side in ("greater", "less")]
    out["pairs, signed ranks"] = (float(gap.mean()), float("nan"), 2 * min(tails) > 0.05)

    design = np.column_stack([ones, x])
    fit = fit_logit(design, d)
    score = standardised_coordinates(fit.linear[:, None])
    conditional = within_arm_variance(y, score, d, 2)
    up, down = nearest_neighbours(score, d), nearest_neighbours(score, ~d)
    att = matched_difference(y, up, ones)
    ate = average_effect(y, up, down, ones)
    for estimand, estimate, variance in (
        ("att", att.estimate, abadie_imbens_variance(att, up, ones, conditional)),
        ("ate", ate.estimate, average_effect_variance(ate, conditional)),
    ):
        keep(f"nearest score {estimand}, score as known", estimate, variance)
        change = estimated_score_adjustment(y, d, design, fit, estimate, estimand=estimand).change
        keep(f"nearest score {estimand}, score estimated", estimate, variance + change)

    effects = {f"augmented {e}": augmented_weighting(y, d, x, estimand=e).effect for e in ("att", "ate")}
    effects["regression att"] = regression_adjustment(y, d, x)
    for name, effect in effects.items():
        keep(f"{name}, rows independent", effect.estimate, matched_variance(effect.influence, row))
        keep(f"{name}, by state", effect.estimate, matched_variance(effect.influence, state), states)
    return out


def simulate(world: str, draws: int, first: int = 0) -> pd.DataFrame:
    """Return a row an estimator: bias, spread, mean error over spread, coverage of 95 % intervals.

    For tests, which have no interval, coverage is the share of draws that do not reject the true effect at 5 %.
    ``no_error`` counts draws whose variance is not positive; they are left out of ratio and coverage.
    """
    found = [one_draw(WORLDS[world], seed) for seed in range(first, first + draws)]
    lines = []
    for name, (assumption, holds) in ESTIMATORS.items():
        estimate, error, covered = np.array([draw[name] for draw in found], dtype=float).T
        spread = estimate.std(ddof=1)
        test = bool(np.isnan(error).all())
        lines.append(
            {
                "world": world,
                "estimator": name,
                "assumption": assumption,
                "holds": world in holds,
                "draws": draws,
                "no_error": 0 if test else int(np.isnan(error).sum()),
                "bias": (estimate - EFFECT).mean(),
                "bias_mc_error": spread / np.sqrt(draws),
                "spread": spread,
                "std_error_over_spread": np.nan if test else np.nanmean(error) / spread,
                "coverage": covered[test | np.isfinite(error)].mean(),
                "coverage_mc_error": np.sqrt(0.95 * 0.05 / draws),
            }
        )
    return pd.DataFrame(lines).round(4)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    asked = parser.parse_args(arguments)
    table = pd.concat([simulate(world, asked.draws) for world in WORLDS], ignore_index=True)
    with replacing(TABLE) as path:
        table.to_csv(path, index=False)


if __name__ == "__main__":
    main()

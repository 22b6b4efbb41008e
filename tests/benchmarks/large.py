"""Matching 6,000 of 30,000 rows, each method in a process of its own: ``python -m tests.benchmarks.large METHOD``."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analysis.estimation.matching.cardinality import cardinality_matching
from analysis.estimation.matching.coarsened import coarsened_exact_matching
from analysis.estimation.matching.distances import mahalanobis_coordinates
from analysis.estimation.matching.genetic import genetic_matching
from analysis.estimation.matching.nearest import nearest_neighbours
from analysis.estimation.matching.optimal import full_matching, optimal_matching
from analysis.estimation.matching.subclass import subclassify
from analysis.estimation.matching.variance import (
    abadie_imbens_variance,
    matched_difference,
    within_arm_variance,
)
from analysis.estimation.matching.weights import (
    covariate_balancing_weights,
    entropy_balancing,
    moment_columns,
    overidentified_balancing_weights,
)
from tests.benchmarks.worlds import Array, Bool, leaning

ROWS, TREATED = 30_000, 6_000


def nearest(x: Array, treated: Bool) -> float:
    """Return the variance of a matched difference of random outcomes."""
    y = np.random.default_rng(1).normal(size=len(x))
    coordinates, ones = mahalanobis_coordinates(x), np.ones(len(x))
    matches = nearest_neighbours(coordinates, treated)
    found = matched_difference(y, matches, ones)
    return abadie_imbens_variance(found, matches, ones, within_arm_variance(y, coordinates, treated, 1))


def cardinality(x: Array, treated: Bool) -> Any:
    """Return the largest sample within a twentieth of a standard deviation."""
    return cardinality_matching(mahalanobis_coordinates(x), treated, x, 0.05 * x[treated].std(axis=0, ddof=1))


def genetic(x: Array, treated: Bool) -> Any:
    """Return a short search: what a longer one takes in time it does not take in memory."""
    return genetic_matching(x, treated, np.random.default_rng(1), population=4, generations=4)


METHODS: dict[str, Callable[[Array, Bool], Any]] = {
    "nearest neighbour and its error": nearest,
    "coarsened exact": lambda x, d: coarsened_exact_matching(x, d, 3),
    "entropy balancing, means and variances": lambda x, d: entropy_balancing(moment_columns(x, 2), d),
    "covariate balancing": lambda x, d: covariate_balancing_weights(x, d, "ate"),
    "covariate balancing, over-identified": lambda x, d: overidentified_balancing_weights(x, d, "ate"),
    "subclassification": lambda x, d: subclassify(x @ np.linspace(0.4, -0.3, x.shape[1]), d),
    "optimal pairs": lambda x, d: optimal_matching(mahalanobis_coordinates(x), d),
    "full matching": lambda x, d: full_matching(mahalanobis_coordinates(x), d),
    "genetic, 85 weightings": genetic,
    "cardinality": cardinality,
}


def peak() -> float:
    """Return the largest memory this process has held, in MB."""
    if sys.platform == "linux":
        # Not getrusage: on Linux its maximum is that of the process started from, where that held more.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1e3
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    """Print the seconds one call takes and the largest memory the process has held, in MB, as JSON."""
    x, treated = leaning(ROWS, TREATED)
    start = time.perf_counter()
    METHODS[sys.argv[1]](x, treated)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak": peak()}))


if __name__ == "__main__":
    main()

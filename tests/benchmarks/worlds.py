"""National cross-sections to measure matching on: 3,100 counties, 600 of them treated, 8 covariates, all simulated.

``python -m tests.benchmarks.worlds FOLDER`` writes them as tables for another program, such as the R script
tests/reference/matching_weights/genmatch.R.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
World = tuple[Array, Bool]

COUNTIES, TREATED, COVARIATES = 3_100, 600, 8


def even() -> World:
    """Return independent normals, arms that differ by chance alone."""
    rng = np.random.default_rng(20260101)
    return rng.normal(size=(COUNTIES, COVARIATES)), np.arange(COUNTIES) < TREATED


def leaning(counties: int = COUNTIES, treated: int = TREATED) -> World:
    """Return correlated normals whose mix moves the log odds of treatment."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(counties, COVARIATES)) @ _mixing(rng)
    return x, _assigned(x @ np.linspace(0.4, -0.3, COVARIATES), treated, rng)


def skewed() -> World:
    """Return what county tables look like: long tails, shares, a count and two classes; moderate selection."""
    rng = np.random.default_rng(12)
    z = rng.normal(size=(COUNTIES, COVARIATES)) @ _mixing(rng)
    share = 1 / (1 + np.exp(-z[:, 2:4] + 1.5))
    x = np.column_stack(
        [
            np.exp(z[:, 0]),
            z[:, 1],
            share,
            np.floor(np.exp(0.7 * z[:, 4])),
            z[:, 5] > 0.5,
            z[:, 6] > -0.3,
            z[:, 7] ** 2,
        ]
    ).astype(float)
    return x, _assigned(z @ np.array([0.5, -0.3, 0.4, 0.0, 0.3, 0.4, -0.2, 0.1]), TREATED, rng)


def apart() -> World:
    """Return normals and heavy tails with strong selection: for many treated counties few are alike."""
    rng = np.random.default_rng(13)
    x = rng.normal(size=(COUNTIES, COVARIATES)) @ _mixing(rng)
    x[:, 4:] = np.sinh(0.8 * x[:, 4:])
    return x, _assigned(0.5 * x[:, :4].sum(axis=1) + 0.25 * x[:, 4:].sum(axis=1), TREATED, rng)


WORLDS: dict[str, Callable[[], World]] = {"even": even, "leaning": leaning, "skewed": skewed, "apart": apart}


def _mixing(rng: np.random.Generator) -> Array:
    return np.eye(COVARIATES) + 0.3 * rng.normal(size=(COVARIATES, COVARIATES))


def _assigned(score: Array, treated: int, rng: np.random.Generator) -> Bool:
    chosen = np.zeros(len(score), dtype=bool)
    chosen[np.argsort(-(score + rng.logistic(size=len(score))), kind="stable")[:treated]] = True
    return chosen


def main() -> None:
    """Write each world as ``<name>.csv``: treated, then the covariates, to the last digit."""
    folder = Path(sys.argv[1])
    for name, make in WORLDS.items():
        x, treated = make()
        lines = [",".join([str(int(d)), *map(repr, row)]) for d, row in zip(treated, x.tolist(), strict=True)]
        head = ",".join(["treated", *(f"x{j + 1}" for j in range(COVARIATES))])
        (folder / f"{name}.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

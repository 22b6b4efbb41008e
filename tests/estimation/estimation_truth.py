"""Estimators on simulated panels whose effects are known: bias, coverage, and what happens where assumptions
fail.

Run as a script to write tests/reference/truth/coverage.csv (some minutes):
    python tests/estimation/estimation_truth.py
Simulations are not tuned: each line states the assumption it keeps or breaks, and the table reports what was
    found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from estimation_cases import (
    BY_STATE,
    GROUP_TIME,
    MATCHED,
    REFERENCE,
    TWO_WAY,
    make_design_of,
    make_spec,
    simulated_counties,
    simulated_panel,
)

from analysis.base.paths import replacing
from analysis.design.design import Design
from analysis.estimation import aggregate, fit

TABLE: Path = REFERENCE / "truth" / "coverage.csv"
DRAWS = 400
QUIET = replace(BY_STATE, draws=0)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table: what is simulated, what is estimated, and whether its stated assumptions
    hold."""

    make: Callable[[int], tuple[Design, float]]
    holds: bool
    assumption: str


def panel_case(
    estimator: object, covariates: tuple[str, ...] = (), inference: object = QUIET, **simulated: object
):
    """Return a function from seed to design and truth: the mean effect of treated county-years."""

    def make(seed: int) -> tuple[Design, float]:
        table = simulated_panel(seed, counties=600, states=40, **simulated)
        table = table[~table["transition"]]
        truth = float(table.loc[table["treated"], "effect"].mean())
        spec = make_spec(estimator, inference, covariates=covariates, comparison="never_treated")
        return make_design_of(table.drop(columns=["transition", "effect"]), spec), truth

    return make


def county_case(inference: object = QUIET, options: Mapping[str, object] | None = None, **simulated: object):
    """Return a function from seed to a cross-sectional design and its truth."""

    def make(seed: int) -> tuple[Design, float]:
        spec = make_spec(replace(MATCHED, **(options or {})), inference, covariates=("x1", "x2"))
        return make_design_of(simulated_counties(seed, **simulated), spec), float(
            simulated.get("effect", 0.0)
        )

    return make


def method(name: str, within: str = "none"):
    return replace(GROUP_TIME, method=name, within=within)


INDEPENDENT = replace(QUIET, vcov="abadie_imbens", by="none")
STEEPER = {"state_pull": 0.3, "trend_on_covariate": 0.3}
ADJUSTED = {"bias_adjust": True}

CASES: dict[str, Case] = {
    "group_time doubly_robust": Case(
        panel_case(method("doubly_robust"), ("poverty",)), True, "parallel trends given the covariate"
    ),
    "group_time outcome_regression": Case(
        panel_case(method("outcome_regression"), ("poverty",)), True, "parallel trends given the covariate"
    ),
    "group_time inverse_weighting": Case(
        panel_case(method("inverse_weighting"), ("poverty",)), True, "parallel trends given the covariate"
    ),
    "group_time half-year adoption": Case(
        panel_case(method("doubly_robust"), ("poverty",), half_year=True), True, "transition year dropped"
    ),
    "group_time no covariates": Case(
        panel_case(method("doubly_robust")), False, "trends differ by a covariate left out"
    ),
    "group_time within states": Case(
        panel_case(method("doubly_robust", "state"), ("poverty",), **STEEPER),
        True,
        "parallel trends within states",
    ),
    "group_time across, states on steeper trends adopt": Case(
        panel_case(method("doubly_robust"), ("poverty",), **STEEPER), False, "state trends go with adoption"
    ),
    "two_way one effect": Case(
        panel_case(TWO_WAY, growth=0.0, trend_on_covariate=0.0), True, "parallel trends, one effect"
    ),
    "two_way one effect, wild bootstrap": Case(
        panel_case(
            TWO_WAY, (), replace(QUIET, vcov="wild_bootstrap", draws=199), growth=0.0, trend_on_covariate=0.0
        ),
        True,
        "parallel trends, one effect",
    ),
    "two_way growing effects": Case(
        panel_case(TWO_WAY, trend_on_covariate=0.0), False, "effects grow with time since adoption"
    ),
    "two_way state_by_year": Case(
        panel_case(
            replace(TWO_WAY, effects="state_by_year"), growth=0.0, trend_on_covariate=0.0, state_pull=0.3
        ),
        True,
        "parallel trends within states, one effect",
    ),
    "matched, clusters": Case(
        county_case(QUIET, ADJUSTED, state_shock=1.0, by_state=True),
        True,
        "unconfounded; states share shocks",
    ),
    "matched, Abadie-Imbens, counties independent": Case(
        county_case(INDEPENDENT, ADJUSTED), True, "unconfounded; counties assigned independently"
    ),
    "matched, Abadie-Imbens, states lean": Case(
        county_case(INDEPENDENT, ADJUSTED, state_shock=1.0, by_state=True),
        False,
        "states share shocks and lean",
    ),
}


def simulate(case: Case, draws: int, first: int = 0) -> dict[str, float]:
    """Return bias, its Monte Carlo error, the ratio of mean standard error to spread, and coverage of 95 %
    intervals."""
    found = []
    for seed in range(first, first + draws):
        design, truth = case.make(seed)
        line = aggregate(fit(design), over="post").table.iloc[0]
        covered = line["conf_low"] <= truth <= line["conf_high"]
        found.append((line["estimate"] - truth, line["std_error"], float(covered)))
    error, standard, covered = np.array(found).T
    return {
        "draws": draws,
        "bias": float(error.mean()),
        "bias_mc_error": float(error.std(ddof=1) / np.sqrt(draws)),
        "std_error_over_spread": float(standard.mean() / error.std(ddof=1)),
        "coverage": float(covered.mean()),
        "coverage_mc_error": float(np.sqrt(0.95 * 0.05 / draws)),
    }


def main() -> None:
    """Write the table."""
    lines = [
        {"case": name, "assumption": case.assumption, "holds": case.holds, **simulate(case, DRAWS)}
        for name, case in CASES.items()
    ]
    with replacing(TABLE) as path:
        pd.DataFrame(lines).round(4).to_csv(path, index=False)


if __name__ == "__main__":
    main()

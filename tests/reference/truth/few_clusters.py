"""How often tests of a policy that does nothing reject at 5 %, where states are few, uneven or seldom treated.

Worlds and methods were set down before they were run and are not tuned; the table reports what was found. Every
world has county and year effects, shocks that all counties of a state share and that last, and shocks of a
county's own.

Run as a script (some 30 seconds of one core a world; worlds in the table with as many draws are not run again):
    python tests/reference/truth/few_clusters.py --draws 1000
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
from analysis.estimation.panel_inference.few_clusters import cluster_variance_small
from analysis.estimation.panel_inference.resampling import (
    cohort_paths,
    panel_randomisation,
    reassignment,
    wild_bootstrap,
)

Array = NDArray[np.float64]

TABLE = Path(__file__).resolve().parent / "few_clusters.csv"
DRAWS = 1000
YEARS = np.arange(2010, 2016)
COHORTS = (2012.0, 2014.0)
LEVEL = 0.05
BOOTSTRAP, DEALT = 399, 199
COLUMNS = (
    "world", "method", "draws", "failed", "rejects", "rejects_mc_error", "std_error_over_spread", "df", "clusters",
    "treated_clusters", "effective_clusters",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """Who is treated; shocks have a standard deviation of 1 within a county, of 0.7 in a state.

    Args:
        words: for people.
        counties: number of counties of each state.
        treated: states with treated counties, drawn anew for each panel.
        law: whether whole states are treated; otherwise two in five of their counties, with dates of their own.
        noise: standard deviation of shocks in treated counties, in those of others.
    """

    words: str
    counties: tuple[int, ...]
    treated: int
    law: bool
    noise: float = 1.0


EVEN_40, EVEN_12, EVEN_25 = (5,) * 40, (10,) * 12, (6,) * 25
UNEVEN_40 = tuple(int(n) for n in np.round(np.geomspace(2, 24, 40)))
UNEVEN_12 = tuple(int(n) for n in np.round(np.geomspace(2, 40, 12)))

WORLDS: dict[str, World] = {
    "even_40": World("40 states alike, county policies in half of them", EVEN_40, 20, False),
    "uneven_40": World(
        "40 states of 2 to 24 counties, county policies in half of them", UNEVEN_40, 20, False
    ),
    "even_12": World("12 states alike, county policies in half of them", EVEN_12, 6, False),
    "uneven_12": World("12 states of 2 to 40 counties, county policies in half of them", UNEVEN_12, 6, False),
    "laws_5": World("25 states alike, laws in 5", EVEN_25, 5, True),
    "laws_2": World("25 states alike, laws in 2", EVEN_25, 2, True),
    "laws_1": World("25 states alike, a law in 1", EVEN_25, 1, True),
    "laws_2_noisy": World("25 states, laws in 2 whose shocks are twice as large", EVEN_25, 2, True, 2.0),
}

METHODS = (
    "CR1, t(G - 1)",
    "CR2, Satterthwaite",
    "CR3, t(G - 1)",
    "CR3, Satterthwaite",
    "wild, null imposed",
    "wild, unrestricted",
    "wild by county, null imposed",
    "wild by county, unrestricted",
    "randomisation",
)


@dataclass(frozen=True, slots=True)
class _Panel:
    y: Array
    state: NDArray[np.intp]
    cohort: Array


def draw_panel(world: World, rng: np.random.Generator) -> _Panel:
    """Return one panel: outcome (N, T), states and cohorts (N,)."""
    state = np.repeat(np.arange(len(world.counties)), world.counties)
    n, t = len(state), len(YEARS)
    chosen = rng.permutation(len(world.counties))[: world.treated]
    cohort = np.full(n, np.nan)
    for rank, s in enumerate(chosen):
        members = np.flatnonzero(state == s)
        if world.law:
            cohort[members] = COHORTS[rank % 2]
        else:
            adopters = rng.permutation(members)[: max(1, round(0.4 * len(members)))]
            cohort[adopters] = rng.choice(COHORTS, len(adopters))
    scale = np.where(np.isin(state, chosen), world.noise, 1.0)[:, None]
    shocks = 0.7 * _lasting(rng.normal(size=(len(world.counties), t)))[state]
    return _Panel(
        rng.normal(size=(n, 1)) + scale * (shocks + _lasting(rng.normal(size=(n, t)))), state, cohort
    )


def _lasting(innovations: Array, share: float = 0.5) -> Array:
    """Return shocks of variance 1 of which a share is left a year later."""
    out = innovations.copy()
    for t in range(1, out.shape[1]):
        out[:, t] = share * out[:, t - 1] + np.sqrt(1 - share**2) * innovations[:, t]
    return out


def one(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """Return what every method says of one panel: a row a method."""
    panel = draw_panel(world, rng)
    n, t = panel.y.shape
    county, year = np.repeat(np.arange(n), t), np.tile(np.arange(t), n)
    state = panel.state[county]
    paths, code = cohort_paths(panel.cohort, YEARS, transition=False)
    y, x, ones = panel.y.ravel(), paths.exposure[code].ravel(), np.ones(n * t)
    g = len(world.counties)
    rows: dict[str, tuple[float, float, float]] = {}
    found = {
        kind: cluster_variance_small(y, x[:, None], ones, state, kind=kind, effects=(county, year))
        for kind in ("CR1", "CR2", "CR3")
    }
    for kind, line in found.items():
        estimate, error, df = float(line.estimate[0]), float(line.std_error[0]), float(line.df[0])
        usual = 2 * stats.t.sf(abs(estimate / error), g - 1)
        if kind != "CR2":
            rows[f"{kind}, t(G - 1)"] = (usual, error, g - 1)
        if kind != "CR1":
            rows[f"{kind}, Satterthwaite"] = (float(line.p_value[0]), error, df)
    columns = np.column_stack([y, x, np.equal.outer(year, np.arange(1, t))])
    swept = (columns.reshape(n, t, -1) - columns.reshape(n, t, -1).mean(axis=1, keepdims=True)).reshape(
        n * t, -1
    )
    for words, groups in (("wild", None), ("wild by county", county)):
        for how, imposed in (("null imposed", True), ("unrestricted", False)):
            test = wild_bootstrap(
                swept[:, 0], swept[:, 1], swept[:, 2:], ones, state, level=0.95, draws=BOOTSTRAP, seed=rng,
                groups=groups, null_imposed=imposed,
            )  # fmt: skip
            rows[f"{words}, {how}"] = (test.p_value, test.std_error, np.nan)
    plan = reassignment("states" if world.law else "counties_within_states", code, panel.state)
    # Two hundred assignments are too many to list in every panel.
    dealt = panel_randomisation(
        panel.y,
        np.ones((n, t)),
        paths,
        plan,
        panel.state,
        draws=DEALT,
        seed=rng,
        interval=False,
        exact_up_to=DEALT,
    )
    rows["randomisation"] = (dealt.p_value, dealt.std_error, np.nan)
    table = pd.DataFrame(
        [(name, *rows[name]) for name in METHODS], columns=["method", "p_value", "std_error", "df"]
    )
    return table.assign(
        estimate=float(found["CR1"].estimate[0]), effective=float(found["CR1"].report.effective[0])
    )


def simulate(name: str, draws: int, first: int = 0) -> pd.DataFrame:
    """Return a world's rows of the table, from panels ``first`` on; columns ``COLUMNS``.

    ``rejects`` is the share of panels with a p-value of 5 % or less among those with one; ``failed`` counts the
    others. ``std_error_over_spread`` is the mean standard error over the standard deviation of estimates; ``df`` and
    ``effective_clusters`` are means.
    """
    world = WORLDS[name]
    drawn = pd.concat(
        [one(world, np.random.default_rng([list(WORLDS).index(name), first + draw])) for draw in range(draws)]
    )
    lines = []
    for method in METHODS:
        part = drawn[drawn["method"].eq(method)]
        known = part["p_value"].notna()
        rejects = float(part.loc[known, "p_value"].le(LEVEL).mean())
        lines.append(
            {
                "world": name,
                "method": method,
                "draws": draws,
                "failed": int((~known).sum()),
                "rejects": rejects,
                "rejects_mc_error": np.sqrt(rejects * (1 - rejects) / max(known.sum(), 1)),
                "std_error_over_spread": part["std_error"].mean() / part["estimate"].std(ddof=1),
                "df": part["df"].mean(),
                "clusters": len(world.counties),
                "treated_clusters": world.treated,
                "effective_clusters": part["effective"].mean(),
            }
        )
    return pd.DataFrame(lines)[list(COLUMNS)].round(4)


def read_table() -> pd.DataFrame:
    """Return the committed table."""
    return pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=list(COLUMNS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the worlds that are missing, each added to the table when it is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="simulated panels a world")
    asked = parser.parse_args(arguments)
    for name in WORLDS:
        done = read_table()
        if done.loc[done["world"].eq(name), "draws"].eq(asked.draws).sum() == len(METHODS):
            continue
        parts = dict(list(done.groupby("world"))) | {name: simulate(name, asked.draws)}
        with replacing(TABLE) as path:
            pd.concat([parts[world] for world in WORLDS if world in parts]).to_csv(path, index=False)


if __name__ == "__main__":
    main()

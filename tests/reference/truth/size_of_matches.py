"""How often intervals of matched comparisons leave out the truth, on simulated panels with the real geography.

Panels are those of ``size_on_twin.py``: places and dates of adoption are the study's own, everything else is drawn
anew for every seed. Methods, sample and covariates are those of ``analysis/specs/match_methods.toml``: nothing is tuned,
and the table reports what was found. A match compares levels, and adopters differ in level for reasons the covariates
do not hold. So two questions are kept apart: does the interval hold the truth, and does it hold the estimator's own
average over panels, which is the truth plus whatever the design leaves in?

Run as a script (some five seconds of processor a draw, some twenty on every fifth; it takes up where it stopped):
    python tests/reference/truth/size_of_matches.py --draws 200
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.base.paths import ROOT, replacing
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.keys import INDEPENDENT
from analysis.design.spec import Spec, load_spec
from analysis.estimation import Estimate, fit
from analysis.estimation.estimate import cluster_labels
from analysis.evidence.runs import sample_key
from analysis.panel.build import YEARS
from analysis.panel.twin import Simulated, read_parameters, simulate
from analysis.panel.twin_crime import SUMS

HERE = Path(__file__).resolve().parent
DRAWS = HERE / "size_of_matches_draws.csv"
TABLE = HERE / "size_of_matches.csv"
PAGE = ROOT / "docs" / "size_of_matches.md"

OUTCOMES = ("violent_ex_rape", "property")
SHORT = {"violent_ex_rape": "violent", "property": "property"}
STATUS_YEAR, PLACEBO_YEAR = 2015, 2008
LEVEL = 0.95
BY_STATES = ("by state", "by pair and state")
# Slow inference is run on every fifth panel; 99 resamples or assignments are enough for a test at 5 % to be exact.
SELDOM = 5
FEW_DRAWS = 99
PLACEBO_EVERY = 4

BY_COUNTY = {"inference.by": "county"}
BY_STATE = {"inference.vcov": "cluster", "inference.by": "state"}
STATES_DRAWN = {"inference.vcov": "bootstrap", "inference.by": "state", "inference.draws": FEW_DRAWS}


@dataclass(frozen=True, slots=True)
class Case:
    """A method and the inference that goes with it.

    Args:
        method: in words.
        inference: in words.
        spec: one-off of the spec file; empty for the specification it starts from.
        changes: of that specification.
        every: run on one panel in so many.
        placebo: whether also run on outcomes before the policies.
        estimator: cases that share it share every point estimate.
    """

    method: str
    inference: str
    spec: str
    changes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    every: int = 1
    placebo: bool = False
    estimator: str = ""


CASES: dict[str, Case] = {
    "nearest": Case("nearest neighbour", "by state", "", placebo=True),
    "nearest_by_county": Case(
        "nearest neighbour", "by county", "", BY_COUNTY, placebo=True, estimator="nearest"
    ),
    "nearest_abadie_imbens": Case(
        "nearest neighbour", "Abadie-Imbens", "independent-counties", placebo=True, estimator="nearest"
    ),
    "nearest_one_variance": Case(
        "nearest neighbour",
        "Abadie-Imbens, one variance",
        "independent-counties-one-variance",
        placebo=True,
        estimator="nearest",
    ),
    "nearest_randomisation": Case(
        "nearest neighbour",
        "randomisation within states",
        "randomisation",
        {"inference.draws": FEW_DRAWS},
        every=SELDOM,
        estimator="nearest",
    ),
    "nearest_adjusted": Case("nearest neighbour, bias-adjusted", "by state", "bias-adjusted", placebo=True),
    "propensity": Case(
        "nearest on the propensity",
        "by state",
        "independent-counties-estimated-score",
        BY_STATE,
        placebo=True,
    ),
    "propensity_estimated_score": Case(
        "nearest on the propensity",
        "Abadie-Imbens, estimated score",
        "independent-counties-estimated-score",
        placebo=True,
        estimator="propensity",
    ),
    "optimal": Case("optimal pairs", "by state", "optimal-pairs", placebo=True),
    "optimal_by_pair": Case(
        "optimal pairs", "by pair", "optimal-pairs-by-pair", placebo=True, estimator="optimal"
    ),
    "optimal_by_pair_and_state": Case(
        "optimal pairs",
        "by pair and state",
        "optimal-pairs-by-pair-and-state",
        placebo=True,
        estimator="optimal",
    ),
    "full": Case("full matching", "by state", "full", placebo=True),
    "genetic": Case(
        "genetic (20 candidates, 5 generations)",
        "by state",
        "genetic",
        {"estimator.population": 20, "estimator.generations": 5},
        every=SELDOM,
    ),
    "cardinality": Case("cardinality", "by state", "cardinality"),
    "coarsened": Case("coarsened, three covariates", "by state", "coarsened"),
    "subclasses": Case("subclasses", "by state", "subclasses"),
    "subclasses_bootstrap": Case(
        "subclasses", "bootstrap of states", "subclasses", STATES_DRAWN, every=SELDOM, estimator="subclasses"
    ),
    "inverse_probability": Case("inverse probability", "by state", "inverse-probability", placebo=True),
    "overlap": Case("overlap weights", "by state", "overlap-weights", placebo=True),
    "entropy": Case("entropy balancing", "by state", "entropy", placebo=True),
    "entropy_bootstrap": Case(
        "entropy balancing",
        "bootstrap of states",
        "entropy-bootstrap",
        STATES_DRAWN,
        every=SELDOM,
        estimator="entropy",
    ),
    "balancing_score": Case("covariate-balancing score", "by state", "covariate-balancing-score"),
    "doubly_robust": Case("doubly robust", "by state", "doubly-robust", placebo=True),
    "doubly_robust_bootstrap": Case(
        "doubly robust",
        "bootstrap of states",
        "doubly-robust-bootstrap",
        STATES_DRAWN,
        every=SELDOM,
        estimator="doubly_robust",
    ),
    "regression": Case("regression", "by state", "regression", placebo=True),
}

DRAW_COLUMNS = (
    "seed", "year", "design", "outcome", "estimate", "std_error", "conf_low", "conf_high", "truth", "baseline",
    "n_treated", "n_states",
)  # fmt: skip
TABLE_COLUMNS = (
    "year", "design", "outcome", "carries_verdict", "draws", "failed", "panels", "truth", "estimate", "bias_percent",
    "bias_percent_mc_error", "bias_over_spread", "spread", "std_error", "ratio", "coverage", "coverage_mc_error",
    "coverage_of_mean", "coverage_of_mean_mc_error", "coverage_by_state", "coverage_of_mean_by_state", "excludes_zero",
    "n_treated", "n_states",
)  # fmt: skip


def specs() -> dict[tuple[int, str, str], Spec]:
    """Return the specification of every year, case and outcome, by (year, case, outcome)."""
    known = {spec.name: spec for spec in load_spec("match_methods").expand()}
    before = {"design.year": PLACEBO_YEAR, "treatment.status_year": STATUS_YEAR}
    found = {}
    for year, changes in ((STATUS_YEAR, {}), (PLACEBO_YEAR, before)):
        for name, case in CASES.items():
            if year == STATUS_YEAR or case.placebo:
                for outcome in OUTCOMES:
                    parts = ("match_methods", case.spec, f"measure={outcome}")
                    spec = known["/".join(part for part in parts if part)]
                    found[year, name, outcome] = spec.replace({**case.changes, **changes})
    return found


def every(year: int, name: str) -> int:
    """Return on one panel in how many a case is run."""
    return max(CASES[name].every, PLACEBO_EVERY if year == PLACEBO_YEAR else 1)


def modelled() -> frozenset[str]:
    """Return the cases that weigh all counties or fit models, instead of putting counties beside one another."""
    kinds = ("weighting", "doubly_robust", "regression_adjustment")
    return frozenset(name for (_, name, _), spec in specs().items() if spec.estimator.name in kinds)


def carries_verdict(spec: Spec) -> bool:
    """Return whether an error may carry a verdict (protocol rule 12): it reckons with states that move as one."""
    asked = spec.inference
    return asked.vcov not in INDEPENDENT and asked.by in ("state", "pair_and_state")


# --- one draw ---------------------------------------------------------------------------------------------------


def draw(seed: int, wanted: Mapping[tuple[int, str, str], Spec] | None = None) -> pd.DataFrame:
    """Return what every case finds on the simulated panel of one seed: a row a year, case and outcome.

    Columns ``DRAW_COLUMNS``; a case that cannot be estimated keeps its row, with missing values. A case that
    is not run on every panel has rows where the seed is a multiple of ``every``.
    """
    made = simulate(read_parameters(), seed)
    panel = Panel(
        made.panel, made.constant, made.policy_events, made.declines, f"seed {seed}", True, made.reports
    )
    wanted = wanted or specs()
    widest = max((spec.covariates.names for spec in wanted.values()), key=len)
    designs: dict[str, tuple[Design, pd.Series]] = {}
    rows = []
    for (year, name, outcome), spec in wanted.items():
        if seed % every(year, name):
            continue
        row: dict[str, Any] = {"seed": seed, "year": year, "design": name, "outcome": outcome}
        key = sample_key(spec.replace({"covariates.names": widest}))
        try:
            if key not in designs:
                sample = make_design(panel, spec.replace({"covariates.names": widest}))
                designs[key] = sample, true_effect(sample, made, outcome)
            design, effect = designs[key]
            row |= _found(fit(turned(design, spec, seed)), design.baseline, effect)
        except (StudyError, np.linalg.LinAlgError):
            pass
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(DRAW_COLUMNS)).round(3)


def turned(design: Design, spec: Spec, seed: int) -> Design:
    """Return the design under another spec of the same counties, all of which weigh alike in every case.

    No simulated county misses a covariate, so those matched on may be fewer than the design holds.
    """
    # What is drawn within a panel differs between panels too.
    own = spec.replace({"inference.seed": seed})
    return replace(design, spec=own, covariates=spec.covariates.names)


def _found(made: Estimate, baseline: float, effect: pd.Series) -> dict[str, Any]:
    line = made.table.iloc[0]
    weight = np.nan_to_num(made.treated[:, 0])
    return {
        "estimate": float(line["estimate"]),
        "std_error": float(line["std_error"]),
        "conf_low": float(line["conf_low"]),
        "conf_high": float(line["conf_high"]),
        "truth": float(weight @ effect.reindex(made.counties).to_numpy() / weight.sum()),
        "baseline": baseline,
        "n_treated": int(line["n_treated"]),
        "n_states": len(np.unique(cluster_labels(made.counties, "state")[weight > 0])),
    }


def true_effect(design: Design, world: Simulated, outcome: str) -> pd.Series:
    """Return what the policy does to each county's outcome, by county code; 0 in comparison counties.

    Comparison counties carry no effect, so every estimate here averages the effects of treated counties with the
    weights it gives them: with those, this is the truth in the estimate's own estimand.
    """
    table = design.table
    parts = list(SUMS[outcome])
    county = pd.Index(world.frame["county_fips"]).get_indexer(table["county_fips"])
    year = np.searchsorted(np.array(YEARS), table["year"].to_numpy(dtype=int))
    without, observed = (
        rates[:, :, parts].sum(axis=2)[county, year] for rates in (world.rates.without, world.rates.observed)
    )
    # The share of what was recorded that is the policy's doing.
    effect = np.where(table["treated"].to_numpy(dtype=bool), table["outcome"] * (1 - without / observed), 0.0)
    return pd.Series(effect, index=pd.Index(table["county_fips"]))


# --- the table --------------------------------------------------------------------------------------------------


def summarise(draws: pd.DataFrame) -> pd.DataFrame:
    """Return the table: a row a year, design and outcome, columns ``TABLE_COLUMNS``.

    ``draws`` counts panels with an interval, ``failed`` those without; ``coverage`` is of the truth,
    ``coverage_of_mean`` of the truth plus the estimator's mean error, both over ``draws``; those ``by_state`` are what
    errors by state of the same estimates cover on the same panels. ``truth``, ``estimate``,
    ``bias_percent`` (of the mean of comparison counties) and ``spread`` (standard deviation of estimate less truth) are
    over ``panels``: all with an estimate, whatever inference was run on them. ``std_error``, ``n_treated`` and
    ``n_states`` are means, ``ratio`` is mean standard error over spread, ``bias_over_spread`` the mean error over it.
    """
    asked = specs()
    groups = dict(iter(draws.groupby(["year", "design", "outcome"], sort=False)))
    lines = []
    for (year, name, outcome), spec in asked.items():
        own = groups.get((year, name, outcome))
        every_panel = groups.get((year, CASES[name].estimator or name, outcome))
        if own is not None and every_panel is not None:
            line = {
                "year": year,
                "design": name,
                "outcome": outcome,
                "carries_verdict": carries_verdict(spec),
            }
            lines.append(line | _line(own, every_panel))
    return pd.DataFrame(lines)[list(TABLE_COLUMNS)].round(4)


def _line(own: pd.DataFrame, every_panel: pd.DataFrame) -> dict[str, Any]:
    estimated = every_panel[every_panel["estimate"].notna()]
    error = estimated["estimate"] - estimated["truth"]
    spread, scale = float(error.std(ddof=1)), 100 / estimated["baseline"].mean()
    found = own[own["conf_low"].notna() & own["conf_high"].notna()]
    by_state = every_panel[every_panel["seed"].isin(found["seed"])]
    covered, held = _covered(found, 0.0), _covered(found, error.mean())
    return {
        "draws": len(found),
        "failed": len(own) - len(found),
        "panels": len(estimated),
        "truth": estimated["truth"].mean(),
        "estimate": estimated["estimate"].mean(),
        "bias_percent": scale * error.mean(),
        "bias_percent_mc_error": scale * spread / np.sqrt(len(error)),
        "bias_over_spread": error.mean() / spread,
        "spread": spread,
        "std_error": found["std_error"].mean(),
        "ratio": found["std_error"].mean() / spread,
        "coverage": covered.mean(),
        "coverage_mc_error": _binomial_error(covered),
        "coverage_of_mean": held.mean(),
        "coverage_of_mean_mc_error": _binomial_error(held),
        "coverage_by_state": _covered(by_state, 0.0).mean(),
        "coverage_of_mean_by_state": _covered(by_state, error.mean()).mean(),
        "excludes_zero": ((found["conf_low"] > 0) | (found["conf_high"] < 0)).mean(),
        "n_treated": found["n_treated"].mean(),
        "n_states": found["n_states"].mean(),
    }


def _covered(draws: pd.DataFrame, off: float) -> pd.Series:
    """Return whether each interval holds the truth plus a given error."""
    value = draws["truth"] + off
    return (draws["conf_low"] <= value) & (value <= draws["conf_high"])


def _binomial_error(covered: pd.Series) -> float:
    share = covered.mean()
    return float(np.sqrt(share * (1 - share) / len(covered))) if len(covered) else float("nan")


# --- the page ---------------------------------------------------------------------------------------------------


def size_of(row: Mapping[str, Any]) -> str:
    """Return how an error fits its estimator: near nominal, too wide or too narrow.

    Near nominal is holding the estimator's own average within two Monte Carlo errors of 95 % of the time.
    """
    if abs(row["coverage_of_mean"] - LEVEL) <= 2 * np.sqrt(LEVEL * (1 - LEVEL) / row["draws"]):
        return "near nominal"
    return "too wide" if row["coverage_of_mean"] > LEVEL else "too narrow"


def page(table: pd.DataFrame) -> str:
    """Return the page in words."""
    rows = table.assign(size=[size_of(row) for row in table.to_dict("records")])
    now, before = (rows[rows["year"].eq(year)] for year in (STATUS_YEAR, PLACEBO_YEAR))
    lines = [
        "<!-- Generated by `python tests/reference/truth/size_of_matches.py`; a test holds it to the table. -->",
        "",
        "# Do the intervals of matched comparisons cover?",
        "",
        f"{int(now['panels'].max())} simulated panels. Who adopted, where and when is real and the same in each; all else is "
        "drawn anew: county traits and residents, persistent shocks to states and counties, agencies and who reports. Full "
        "limits do nothing to violent crime (excluding rape) and add about 2 % to property crime. Methods, sample and "
        f"covariates are those of `analysis/specs/match_methods.toml` in {STATUS_YEAR}; nothing was tuned. The truth is "
        "stated for the counties each method averages over, in its own weights.",
        "",
        "A match compares levels, and the simulated adopters, like the real ones, differ in level for reasons the "
        "covariates do not hold. Two questions are therefore kept apart:",
        "",
        "- **Is the error right?** How often does the 95 % interval hold the estimator's own average over panels? This is "
        "about inference alone: 95 % is right whatever the design leaves in.",
        "- **Is the answer right?** How often does it hold the truth? Here the bias of the design counts too.",
        "",
        "## What to read first",
        "",
        *(f"- {text}" for text in sentences(now)),
        *(f"- {text}" for text in placebo_sentences(now, before)),
        "- Shocks are as large and as persistent as averages measured on the real panel; the rates show the order of a "
        "shortfall under this geography and are no correction of a particular interval.",
        "",
        f"## Errors that take counties or pairs as independent, {STATUS_YEAR}",
        "",
        "How often a 95 % interval leaves out a true value it should leave out 5 % of the time, beside the same "
        "comparison with errors by state. They carry no verdict (protocol rule 12).",
        "",
        *_independent_table(now),
        "",
        f"## All methods, {STATUS_YEAR}",
        "",
        "Share of intervals that hold the truth and that hold the estimator's own average (Monte Carlo error, points); "
        "mean standard error over the spread of estimates (1 is right); bias in % of the mean of comparison counties (Monte "
        "Carlo error). † carries no verdict.",
        "",
        *_table(now),
    ]
    if len(before):
        lines += [
            "",
            f"## Placebo: outcomes of {PLACEBO_YEAR}, counties by their status in {STATUS_YEAR}",
            "",
            "None of these policies acts yet: the truth is zero.",
            "",
            *_table(before),
        ]
    lines += [
        "",
        "All columns: `tests/reference/truth/size_of_matches.csv`; every draw: `size_of_matches_draws.csv` beside it.",
    ]
    return "\n".join(lines) + "\n"


def _table(rows: pd.DataFrame) -> Iterator[str]:
    yield (
        "| method | inference | panels | treated areas, states | violent: truth | own average | error / spread | bias | "
        "property: truth | own average | error / spread | bias |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    parts = {outcome: rows[rows["outcome"].eq(outcome)].set_index("design") for outcome in OUTCOMES}
    for name in rows["design"].unique():
        one = parts[OUTCOMES[0]].loc[name]
        cells = [
            CASES[name].method,
            CASES[name].inference + ("" if one["carries_verdict"] else " †"),
            f"{one['draws']:.0f}",
            f"{one['n_treated']:.0f}, {one['n_states']:.0f}",
        ]
        for outcome in OUTCOMES:
            row = parts[outcome].loc[name]
            cells += [
                f"{_percent(row['coverage'])} ({100 * row['coverage_mc_error']:.1f})",
                f"{_percent(row['coverage_of_mean'])} ({100 * row['coverage_of_mean_mc_error']:.1f})",
                f"{row['ratio']:.2f}",
                f"{row['bias_percent']:+.1f} ({row['bias_percent_mc_error']:.1f})",
            ]
        yield "| " + " | ".join(cells) + " |"


def _independent_table(rows: pd.DataFrame) -> Iterator[str]:
    yield (
        "| method | inference | violent: leaves out own average | by state | leaves out the truth | by state | property: "
        "leaves out own average | by state | leaves out the truth | by state |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    by = rows.set_index(["design", "outcome"])
    for name in rows.loc[~rows["carries_verdict"].astype(bool), "design"].unique():
        cells = [CASES[name].method, CASES[name].inference]
        for outcome in OUTCOMES:
            one = by.loc[(name, outcome)]
            for column in ("coverage_of_mean", "coverage"):
                cells += [_percent(1 - one[column]), _percent(1 - one[f"{column}_by_state"])]
        yield "| " + " | ".join(cells) + " |"


def sentences(rows: pd.DataFrame) -> Iterator[str]:
    """Yield what was found of one year, in words that hold whatever the numbers are.

    Args:
        rows: the table's rows of the year, with a column ``size``.
    """
    carries = rows["carries_verdict"].astype(bool)
    clustered = rows["design"].map(lambda name: CASES[name].inference in BY_STATES)
    often = rows["design"].map(lambda name: CASES[name].every == 1)
    states, alone = rows[carries & clustered & often], rows[~carries]
    for words, part in (
        ("matches and classes", states[~states["design"].isin(modelled())]),
        ("weights and models", states[states["design"].isin(modelled())]),
    ):
        yield (
            f"**Errors by state, {words}**: intervals hold the estimator's own average in "
            f"{_both(part, 'coverage_of_mean')} of panels, and the truth in {_both(part, 'coverage')}. Standard errors are "
            f"{_range(part['ratio'], '.2f')} times the spread they should measure. {_counted(part)}"
        )
    yield (
        "**Errors that take counties or pairs as independent** (†) leave out the estimator's own average in "
        f"{_both(alone, 'coverage_of_mean', left_out=True)} of panels instead of 5 %, and the truth in "
        f"{_both(alone, 'coverage', left_out=True)}. Their standard errors are {_range(alone['ratio'], '.2f')} times the "
        "spread they should measure: counties of a state move together, and such errors do not see it."
    )
    seldom = rows[~often]
    for name in seldom["design"].unique():
        one = seldom[seldom["design"].eq(name)].set_index("outcome")
        beside = CASES[name].estimator != ""
        each = (
            f"{SHORT[outcome]} {_percent(one.loc[outcome, 'coverage_of_mean'])}"
            + beside
            * f" (by state, on the same panels, {_percent(one.loc[outcome, 'coverage_of_mean_by_state'])})"
            for outcome in OUTCOMES
        )
        monte_carlo = 100 * np.sqrt(LEVEL * (1 - LEVEL) / one["draws"])
        yield (
            f"**{CASES[name].method.capitalize()}, {CASES[name].inference}**, on {_range(one['draws'], '.0f')} panels alone"
            + beside * f", {FEW_DRAWS} draws on each"
            + f" (Monte Carlo error {_range(monte_carlo, '.0f')} points): own average held in {', '.join(each)}."
        )
    off = rows[rows["design"].map(lambda name: CASES[name].estimator == "")]
    far = off[off["bias_percent"].abs() > 3 * off["bias_percent_mc_error"]]
    each = (
        f"{SHORT[outcome]} {_range(part['bias_percent'], '+.1f')} % of the mean of comparison counties"
        for outcome, part in off.groupby("outcome", sort=False)
    )
    yield (
        f"**Bias of the design**: {', '.join(each)}, {_range(off['bias_over_spread'], '+.2f')} spreads. Off centre by more "
        f"than three Monte Carlo errors: {_listed(far)}. A match leaves covariates a little unequal and says nothing of what "
        "they do not hold; reported property crime in the simulated California also rises for reasons of its own. No "
        "standard error repairs a bias, and no interval shows it."
    )
    failed = rows[rows["failed"] > 0]
    if len(failed):
        each = (
            f"{CASES[name].method}, {CASES[name].inference} ({part['failed'].max():.0f} of "
            f"{(part['draws'] + part['failed']).max():.0f} panels)"
            for name, part in failed.groupby("design", sort=False)
        )
        yield (
            f"**No interval**, and not counted: {'; '.join(each)}. The propensity model separates the arms, in the panel or in "
            "more than one resample of states in twenty, or the change for the estimated score is larger than the variance."
        )


def placebo_sentences(now: pd.DataFrame, before: pd.DataFrame) -> Iterator[str]:
    """Yield what the placebo says, in words that hold whatever the numbers are."""
    own = before[before["design"].map(lambda name: CASES[name].estimator == "")]
    if not len(own):
        return
    both = own.merge(now, on=["design", "outcome"], suffixes=("", "_now"))
    each = (
        f"{SHORT[outcome]} {_range(part['bias_percent'], '+.1f')} % in {PLACEBO_YEAR}, "
        f"{_range(part['bias_percent_now'], '+.1f')} % in {STATUS_YEAR}"
        for outcome, part in both.groupby("outcome", sort=False)
    )
    alone = before[~before["carries_verdict"].astype(bool)]
    yield (
        f"**Placebo** ({int(own['panels'].min())} panels): with outcomes of {PLACEBO_YEAR} and status of {STATUS_YEAR} the same "
        f"methods are off by {'; '.join(each)}. Errors by state leave out zero, the truth, in "
        f"{_both(own, 'coverage', left_out=True)} of panels, those that take counties or pairs as independent in "
        f"{_both(alone, 'coverage', left_out=True)}: a placebo that rejects under the latter says little."
    )


def _both(rows: pd.DataFrame, column: str, *, left_out: bool = False) -> str:
    shares = 1 - rows[column] if left_out else rows[column]
    return " and ".join(
        f"{_range(100 * shares[rows['outcome'].eq(outcome)], '.0f')} % ({SHORT[outcome]})"
        for outcome in OUTCOMES
    )


def _counted(rows: pd.DataFrame) -> str:
    parts = []
    for words in ("near nominal", "too narrow", "too wide"):
        found = rows[rows["size"].eq(words)]
        named = f" ({_listed(found)})" if len(found) and words != "near nominal" else ""
        parts.append(f"{words} in {len(found)}{named}")
    return f"Of the {len(rows)} rows, within two Monte Carlo errors of 95 % or not: {'; '.join(parts)}."


def _listed(rows: pd.DataFrame) -> str:
    items = [
        f"{CASES[name].method}, {CASES[name].inference} ({', '.join(SHORT[outcome] for outcome in group['outcome'])})"
        for name, group in rows.groupby("design", sort=False)
    ]
    return "; ".join(items) or "none"


def _range(values: pd.Series, form: str) -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# --- files ------------------------------------------------------------------------------------------------------


def read_draws() -> pd.DataFrame:
    """Return the draws made so far."""
    return pd.read_csv(DRAWS) if DRAWS.exists() else pd.DataFrame(columns=list(DRAW_COLUMNS))


def append(seeds: Iterable[int], stop: float) -> None:
    """Draw the seeds not yet drawn, each added to the file when it is done, until the time ``stop``."""
    wanted, done = specs(), read_draws()
    for seed in seeds:
        if seed in set(done["seed"]):
            continue
        if time.monotonic() > stop:
            return
        begun = time.process_time()
        made = draw(seed, wanted)
        done = made if done.empty else pd.concat([done, made], ignore_index=True)
        with replacing(DRAWS) as path:
            done.sort_values("seed", kind="stable").to_csv(path, index=False)
        print(f"panel {seed}: {time.process_time() - begun:.1f} s of processor", flush=True)


def write(draws: pd.DataFrame) -> None:
    """Write the table and the page."""
    with replacing(TABLE) as path:
        summarise(draws).to_csv(path, index=False)
    with replacing(PAGE) as path:
        path.write_text(page(pd.read_csv(TABLE)), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the draws that are missing, then the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200, help="seeds 1 to this number")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop drawing after so many")
    asked = parser.parse_args(arguments)
    append(range(1, asked.draws + 1), time.monotonic() + 60 * asked.minutes)
    write(read_draws())


if __name__ == "__main__":
    main()

"""How often intervals of the study's designs leave out the truth, on simulated panels with the real geography.

Adoption dates and states are the study's own; everything else of the simulated panel is drawn anew for every seed:
county traits, urban classes, residents, state-year and county-year shocks, agencies and who reports. Parameters are
those of ``analysis/panel/twin.toml`` as committed, and specs those of ``analysis/specs``: nothing is tuned, and the
table reports what was found.

Run as a script (some seven seconds a draw; it takes up where it stopped):
    python tests/reference/truth/size_on_twin.py --draws 200
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.base.paths import ROOT, replacing
from analysis.base.records import Panel
from analysis.design.design import FEWEST_STATES, FEWEST_TREATED, Design, make_design
from analysis.design.spec import Spec, load_spec
from analysis.estimation import Estimate, aggregate, fit
from analysis.estimation.estimate import cluster_labels
from analysis.evidence.checks.pretrends import pretrends
from analysis.evidence.runs import sample_key
from analysis.panel.build import YEARS
from analysis.panel.twin import Simulated, read_parameters, simulate
from analysis.panel.twin_crime import SUMS

HERE = Path(__file__).resolve().parent
DRAWS = HERE / "size_on_twin_draws.csv"
TABLE = HERE / "size_on_twin.csv"
PAGE = ROOT / "docs" / "size.md"

OUTCOMES = ("violent_ex_rape", "property")
SHORT = {"violent_ex_rape": "violent", "property": "property"}
LEVEL = 0.95
REJECTS = 0.05
# A panel is dispersed where no treated area carries more of the estimate than all others together.
HALF = 0.5
SOME_GAIN = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """A design held against the truth.

    Args:
        words: for people.
        file: spec file.
        spec: full name of one of its specifications; its outcome is replaced.
        weights: of counties, where they are not the specification's.
    """

    words: str
    file: str
    spec: str
    weights: str | None = None


CASES: dict[str, Case] = {
    "between": Case("group-time, between states", "main", "main/measure=violent_ex_rape"),
    "without_california": Case(
        "group-time, without California", "main", "main/without-california/measure=violent_ex_rape"
    ),
    "within_states": Case("group-time, within states", "main", "main/within-states/measure=violent_ex_rape"),
    "outcome_regression": Case(
        "group-time, between states, outcome regression", "main", "main/outcome-regression"
    ),
    "counties_alike": Case("group-time, between states, counties alike", "main", "main/counties-alike"),
    "within_states_alike": Case(
        "group-time, within states, counties alike",
        "main",
        "main/within-states/measure=violent_ex_rape",
        weights="none",
    ),
    "any_limit_within_states": Case(
        "group-time, within states, any limit",
        "california",
        "california/within-states-any-limit/measure=violent_ex_rape",
    ),
    "two_way": Case("two-way, county and year", "two_way", "two_way/measure=violent_ex_rape"),
    "two_way_wild": Case("two-way, wild bootstrap", "two_way", "two_way/wild-bootstrap"),
    "two_way_within_states": Case(
        "two-way, state by year", "two_way", "two_way/within-states/measure=violent_ex_rape"
    ),
    "matched": Case(
        "matched 2015, clustered by state", "cross_section_2015", "cross_section_2015/violent-excluding-rape"
    ),
    "matched_abadie_imbens": Case(
        "matched 2015, Abadie-Imbens",
        "cross_section_2015",
        "cross_section_2015/independent-counties/definition=policy_full",
    ),
}

DRAW_COLUMNS = (
    "seed", "design", "outcome", "estimate", "std_error", "conf_low", "conf_high", "truth", "baseline", "pretrend_p",
    "n_treated", "n_states", "largest_state", "largest_area",
)  # fmt: skip
TABLE_COLUMNS = (
    "design", "outcome", "draws", "failed", "truth", "estimate", "bias_percent", "bias_percent_mc_error", "spread",
    "std_error", "ratio", "coverage", "coverage_mc_error", "excludes_zero", "pretrend_rejects",
    "not_rejected_draws", "coverage_not_rejected", "coverage_not_rejected_mc_error", "widen",
    "n_treated", "n_states", "largest_state", "largest_area",
    "informative_draws", "coverage_informative", "coverage_informative_mc_error",
    "dispersed_draws", "coverage_dispersed", "coverage_dispersed_mc_error",
)  # fmt: skip


def specs() -> dict[tuple[str, str], Spec]:
    """Return the specification of every case and outcome, by (case, outcome)."""
    files = {case.file for case in CASES.values()}
    known = {spec.name: spec for file in sorted(files) for spec in load_spec(file).expand()}
    found = {}
    for name, case in CASES.items():
        for outcome in OUTCOMES:
            changes = {"outcome.measure": outcome, "outcome.scale": "rate_100k"}
            if case.weights is not None:
                changes["estimator.weights"] = case.weights
            found[name, outcome] = known[case.spec].replace(changes)
    return found


# --- one draw ---------------------------------------------------------------------------------------------------


def draw(seed: int, wanted: dict[tuple[str, str], Spec] | None = None) -> pd.DataFrame:
    """Return what every case finds on the simulated panel of one seed: a row a case and outcome.

    Columns ``DRAW_COLUMNS``; a case that cannot be estimated keeps its row, with missing values.
    """
    made = simulate(read_parameters(), seed)
    panel = Panel(
        made.panel, made.constant, made.policy_events, made.declines, f"seed {seed}", True, made.reports
    )
    designs: dict[str, Design | None] = {}
    truths: dict[str, float] = {}
    rows = []
    for (name, outcome), spec in (wanted or specs()).items():
        row: dict[str, Any] = {"seed": seed, "design": name, "outcome": outcome}
        key = sample_key(spec)
        if key not in designs:
            try:
                designs[key] = make_design(panel, spec)
            except StudyError:
                designs[key] = None
        design = designs[key]
        if design is not None:
            turned = _turned(design, spec, seed)
            weighing = key + json.dumps(spec.to_dict()["estimator"], sort_keys=True, default=str)
            try:
                row |= _found(turned)
                if weighing not in truths:
                    truths[weighing] = truth_of(turned, made, outcome)
                row["truth"] = truths[weighing]
            except (StudyError, np.linalg.LinAlgError):
                pass
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=list(DRAW_COLUMNS)).round(4)


def _turned(design: Design, spec: Spec, seed: int) -> Design:
    changes = {
        f"{section}.{key}": value
        for section, values in spec.to_dict().items()
        if section in ("estimator", "inference")
        for key, value in values.items()
    }
    # What the bootstrap draws differs between panels too.
    return design.replace({**changes, "inference.seed": seed})


def _found(design: Design) -> dict[str, Any]:
    fitted = fit(design)
    post = aggregate(fitted, over="post")
    line = post.table.iloc[0]
    low, high = float(line["conf_low"]), float(line["conf_high"])
    if design.spec.inference.vcov == "wild_bootstrap" and np.isfinite(line["estimate"]):
        # A set of values not rejected that has no end reaches everywhere.
        low, high = np.nan_to_num([low, high], nan=np.inf) * [-1 if np.isnan(low) else 1, 1]
    weight = np.nan_to_num(post.treated[:, 0])
    _, state = np.unique(cluster_labels(post.counties, "state"), return_inverse=True)
    by_state = np.bincount(state, weight)
    return {
        "estimate": float(line["estimate"]),
        "std_error": float(line["std_error"]),
        "conf_low": low,
        "conf_high": high,
        "baseline": design.baseline,
        "pretrend_p": _pretrend_p(fitted),
        "n_treated": int(line["n_treated"]),
        "n_states": int((by_state > 0).sum()),
        "largest_state": float(by_state.max() / by_state.sum()) if by_state.sum() > 0 else np.nan,
        "largest_area": float(weight.max() / weight.sum()) if weight.sum() > 0 else np.nan,
    }


def _pretrend_p(fitted: Estimate) -> float:
    if fitted.estimand != "event_time":
        return float("nan")
    try:
        return pretrends(fitted).p_value
    except StudyError:
        return float("nan")


def truth_of(design: Design, made: Simulated, outcome: str) -> float:
    """Return the known effect in the estimate's own weights: its number when the outcome is the effect alone.

    Every estimate here is a weighted sum of outcomes whose weights come from who is treated, covariates and
    residents. Put in the true effect of each treated county-year, zero elsewhere, and the same weights give what the
    estimate averages (for two-way effects, with the weights of that regression, negative ones included).
    """
    table = design.table
    parts = list(SUMS[outcome])
    without = made.rates.without[:, :, parts].sum(axis=2)
    share = 1 - without / made.rates.observed[:, :, parts].sum(axis=2)
    county = pd.Index(made.frame["county_fips"]).get_indexer(table["county_fips"])
    year = np.searchsorted(np.array(YEARS), table["year"].to_numpy(dtype=int))
    # The share of what was recorded that is the policy's doing.
    effect = np.where(table["treated"].to_numpy(dtype=bool), table["outcome"] * share[county, year], 0.0)
    if not effect.any():
        return 0.0
    plain = "abadie_imbens" if design.spec.inference.vcov == "abadie_imbens" else "cluster"
    alone = replace(design, table=table.assign(outcome=effect))
    return float(
        aggregate(fit(alone.replace({"inference.vcov": plain})), over="post").table["estimate"].iloc[0]
    )


# --- the table --------------------------------------------------------------------------------------------------


def summarise(draws: pd.DataFrame) -> pd.DataFrame:
    """Return the table: a row a design and outcome, columns ``TABLE_COLUMNS``.

    ``draws`` counts panels with an interval, ``failed`` those without. ``truth``, ``estimate``, ``std_error``,
    ``n_treated``, ``n_states``, ``largest_state`` and ``largest_area`` (shares of treated weight in the state and area
    with most) are means;
    ``spread`` is the standard deviation of estimate less truth, ``ratio`` mean standard error over spread, ``widen``
    the factor by which intervals would have had to be longer, on the side of the truth, for 95 % of them to reach it.
    ``informative_draws`` have as many treated areas and states as the study asks for a verdict (protocol rule 7); in
    ``dispersed_draws`` no area holds more than half of the treated weight.
    """
    lines = []
    for (name, outcome), group in draws.groupby(["design", "outcome"], sort=False):
        found = group[group["conf_low"].notna() & group["conf_high"].notna() & group["truth"].notna()]
        lines.append({"design": name, "outcome": outcome, **_line(found), "failed": len(group) - len(found)})
    table = pd.DataFrame(lines)[list(TABLE_COLUMNS)]
    order = [
        OUTCOMES.index(o) * len(CASES) + list(CASES).index(d)
        for d, o in zip(table["design"], table["outcome"], strict=True)
    ]
    table = table.iloc[np.argsort(order)]
    return table.reset_index(drop=True).round(4)


def _line(found: pd.DataFrame) -> dict[str, Any]:
    error = found["estimate"] - found["truth"]
    low, high, truth = found["conf_low"], found["conf_high"], found["truth"]
    covered = (low <= truth) & (truth <= high)
    reach = np.where(error > 0, found["estimate"] - low, high - found["estimate"])
    n, scale = len(found), 100 / found["baseline"].mean()
    tested = found["pretrend_p"].notna()
    kept = covered[tested & found["pretrend_p"].ge(REJECTS)]
    spread = float(error.std(ddof=1))
    informative = covered[(found["n_treated"] >= FEWEST_TREATED) & (found["n_states"] >= FEWEST_STATES)]
    dispersed = covered[found["largest_area"] <= HALF]
    return {
        "draws": n,
        "truth": truth.mean(),
        "estimate": found["estimate"].mean(),
        "bias_percent": scale * error.mean(),
        "bias_percent_mc_error": scale * spread / np.sqrt(n),
        "spread": spread,
        "std_error": found["std_error"].mean(),
        "ratio": found["std_error"].mean() / spread,
        "coverage": covered.mean(),
        "coverage_mc_error": _binomial_error(covered),
        "excludes_zero": ((low > 0) | (high < 0)).mean(),
        "pretrend_rejects": found.loc[tested, "pretrend_p"].lt(REJECTS).mean(),
        "not_rejected_draws": len(kept) if tested.any() else np.nan,
        "coverage_not_rejected": kept.mean(),
        "coverage_not_rejected_mc_error": _binomial_error(kept),
        "widen": np.quantile(error.abs() / reach, LEVEL),
        "n_treated": found["n_treated"].mean(),
        "n_states": found["n_states"].mean(),
        "largest_state": found["largest_state"].mean(),
        "largest_area": found["largest_area"].mean(),
        "informative_draws": len(informative),
        "coverage_informative": informative.mean(),
        "coverage_informative_mc_error": _binomial_error(informative),
        "dispersed_draws": len(dispersed),
        "coverage_dispersed": dispersed.mean(),
        "coverage_dispersed_mc_error": _binomial_error(dispersed),
    }


def _binomial_error(covered: pd.Series) -> float:
    share = covered.mean()
    return float(np.sqrt(share * (1 - share) / len(covered))) if len(covered) else float("nan")


# --- the page ---------------------------------------------------------------------------------------------------


def verdict(row: Mapping[str, Any]) -> str:
    """Return how an interval behaves: near nominal, too wide or too narrow, and whether its centre is off.

    Near nominal is within two Monte Carlo errors of 95 %; biased is a mean error more than three from zero.
    """
    error = np.sqrt(LEVEL * (1 - LEVEL) / row["draws"])
    if abs(row["coverage"] - LEVEL) <= 2 * error:
        words = "near nominal"
    else:
        words = "too wide" if row["coverage"] > LEVEL else "too narrow"
    return f"{words}, biased" if abs(row["bias_percent"]) > 3 * row["bias_percent_mc_error"] else words


def page(table: pd.DataFrame) -> str:
    """Return the page in words."""
    rows = table.assign(verdict=[verdict(row) for row in table.to_dict("records")])
    violent, stolen = (rows[rows["outcome"].eq(outcome)].set_index("design") for outcome in OUTCOMES)
    panels = int(rows["draws"].add(rows["failed"]).max())
    lines = [
        "<!-- Generated by `python tests/reference/truth/size_on_twin.py`; a test holds it to the table. -->",
        "",
        "# Do the intervals cover?",
        "",
        f"{panels} simulated panels. Who adopted, where and when is real and the same in each; all else is drawn anew: "
        "county traits and residents, persistent state-year and county-year shocks, agencies and who reports. Full "
        "limits do nothing to violent crime (excluding rape) and add about 2 % to property crime. Parameters and "
        "specifications are the committed ones, nothing was tuned, and the truth is stated in each estimate's own "
        "weights. California's property crime rises in the simulation for reasons of its own, as after Proposition 47 "
        "and realignment, so that a comparison of property crime between states is expected to be off; violent crime "
        "has no such shock.",
        "",
        "Per design and outcome: coverage of the 95 % interval (Monte Carlo error, points); mean standard error over "
        "the spread of estimates (1 is right); bias in % of the mean before treatment (Monte Carlo error).",
        "",
        "| design | treated areas, states | largest area's weight | violent: coverage | error / spread | bias | "
        "property: coverage | error / spread | bias |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, case in CASES.items():
        one = violent.loc[name]
        cells = [
            case.words,
            f"{one['n_treated']:.0f}, {one['n_states']:.0f}",
            _percent(one["largest_area"]),
            *(cell for part in (one, stolen.loc[name]) for cell in _cells(part)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *(f"- {text}" for text in sentences(rows)), ""]
    lines += [
        "All columns: `tests/reference/truth/size_on_twin.csv`; every draw: `size_on_twin_draws.csv` beside it.",
    ]
    return "\n".join(lines) + "\n"


def _cells(row: pd.Series) -> list[str]:
    return [
        f"{_percent(row['coverage'])} ({100 * row['coverage_mc_error']:.1f})",
        f"{row['ratio']:.2f}",
        f"{row['bias_percent']:+.1f} ({row['bias_percent_mc_error']:.1f})",
    ]


def sentences(rows: pd.DataFrame) -> Iterator[str]:
    """Yield what was found, in words that hold whatever the numbers are.

    Args:
        rows: the table with a column ``verdict``.
    """
    for start, words in (
        ("near nominal", "Near nominal, within two Monte Carlo errors of 95 %"),
        ("too wide", "Cover more often than they say"),
        ("too narrow", "Cover less often than they say"),
    ):
        yield f"**{words}**: {_listed(rows[rows['verdict'].str.startswith(start)])}."
    yield (
        f"**Off centre** by more than three Monte Carlo errors: {_listed(rows[rows['verdict'].str.endswith('biased')])}. "
        "California's shock pulls property between states up. And trends are common in proportion, not in rates: where "
        "treated areas have higher rates than those they are compared with, falling crime pulls a difference in rates "
        "down, shocks or none. A match on fixed traits leaves what else sets adopters apart in the level of crime."
    )
    zero = rows[rows["outcome"].eq("violent_ex_rape")].set_index("design")
    most, least = zero["excludes_zero"].idxmax(), zero["excludes_zero"].idxmin()
    yield (
        f"A true zero (violent crime) is excluded by {_percent(zero.loc[least, 'excludes_zero'])} "
        f"({CASES[least].words}) to {_percent(zero.loc[most, 'excludes_zero'])} ({CASES[most].words}) of 95 % "
        "intervals instead of 5 %. To hold the truth 95 % of the time they would have to be "
        f"{_times(zero, 'between')}, {_times(zero, 'without_california')} and {_times(zero, 'within_states')} as long."
    )
    by, alike = zero.loc["within_states"], zero.loc["within_states_alike"]
    yield (
        "Weights matter within states: by residents, one area holds "
        f"{_percent(by['largest_area'])} of the treated weight on average and intervals for violent crime cover "
        f"{_percent(by['coverage'])}: {_percent(by['coverage_informative'])} of the {by['informative_draws']:.0f} with "
        f"treated areas and states enough for a verdict (rule 7), {_percent(by['coverage_dispersed'])} of the "
        f"{by['dispersed_draws']:.0f} in which no area holds more than half. With counties alike they cover "
        f"{_percent(alike['coverage'])}. An error clustered by state cannot see the shocks of the one state that "
        "carries the estimate."
    )
    tested = zero[zero["pretrend_rejects"].notna()]
    gain = tested["coverage_not_rejected"] - tested["coverage"]
    low, high = tested["pretrend_rejects"].idxmin(), tested["pretrend_rejects"].idxmax()
    repairs = "passing repairs little" if gain.max() < SOME_GAIN else "passing repairs some of it"
    yield (
        "The joint test of the leads, at 5 %, rejects for violent crime in "
        f"{_percent(zero.loc[low, 'pretrend_rejects'])} ({CASES[low].words}) to "
        f"{_percent(zero.loc[high, 'pretrend_rejects'])} ({CASES[high].words}) of panels, though no change of law "
        "moves violent crime there: errors of the leads are too small, as those of the effect are. Keeping the panels that "
        f"pass moves coverage by {100 * gain.min():+.0f} to {100 * gain.max():+.0f} points: a rejection says less "
        f"than it seems to, and {repairs}."
    )
    failed = rows[rows["failed"] > 0]
    if len(failed):
        yield (
            f"No interval could be given in up to {int(failed['failed'].max())} panels in {len(failed)} of the "
            f"{len(rows)} rows of the table (the propensity model separates the arms, or treated areas of one state "
            "are left); they are not counted."
        )
    yield (
        "Shocks are as large and as persistent as averages measured on the real panel; the rates show the order of a "
        "shortfall under this geography and are no correction of a particular interval."
    )


def _times(zero: pd.DataFrame, name: str) -> str:
    return f"{zero.loc[name, 'widen']:.1f} times ({CASES[name].words})"


def _listed(rows: pd.DataFrame) -> str:
    items = [
        f"{CASES[name].words} ({', '.join(SHORT[outcome] for outcome in group['outcome'])})"
        for name, group in rows.groupby("design", sort=False)
    ]
    return "; ".join(items) or "none"


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
        made = draw(seed, wanted)
        done = made if done.empty else pd.concat([done, made], ignore_index=True)
        with replacing(DRAWS) as path:
            done.sort_values("seed", kind="stable").to_csv(path, index=False)


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

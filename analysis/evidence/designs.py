"""Designs side by side: what a definition can carry, what each step of a walk changes, and who identifies an estimate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import ProtocolError, SpecError, StudyError
from analysis.base.records import Panel
from analysis.design.design import FEWEST_STATES, FEWEST_TREATED, Design, make_design, many
from analysis.design.spec import Spec
from analysis.design.treatment import definition_of, is_descriptive
from analysis.estimation.estimate import STATE_OF_PREFIX, Estimate
from analysis.evidence.checks.families import family_table
from analysis.evidence.results import ONE_EFFECT, unit_of_estimate
from analysis.evidence.runs import Run, run_specs
from analysis.evidence.units import percent_of

IDENTIFIED, DESCRIPTIVE, REFUSED = "identified", "descriptive", "refused"

# Design -> what it changes in a spec of the main kind: a staggered panel that compares between states.
DESIGNS: Mapping[str, Mapping[str, Any]] = {
    "between states": {"estimator.within": "none"},
    "within states": {"estimator.within": "state", "covariates.names": []},
    "within urban classes": {"estimator.within": "urban_class", "covariates.names": []},
    "along borders": {
        "estimator.name": "border_pairs", "estimator.effects": "segment_by_year", "estimator.method": "post",
        "estimator.neighbours": "all", "covariates.names": [],
    },
    "without California": {"sample.drop_states": ["CA"]},
    "whole states": {"design.area": "state", "estimator.within": "none", "covariates.names": []},
}  # fmt: skip
CAPABILITY = (
    "definition", "label", "design", "window", "verdict", "reason", "treated_counties", "treated_identifying",
    "states_identifying", "states", "comparison_counties", "cohorts",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identifying:
    """Who is compared with somebody.

    Args:
        treated: treated counties.
        identifying: of them, those with something to be compared with.
        states: postal codes of their states.
        comparison: comparison counties.
        cohorts: first treated years among the treated.
    """

    treated: int
    identifying: int
    states: tuple[str, ...]
    comparison: int
    cohorts: int


def identifying(design: Design) -> Identifying:
    """Return which treated counties of a design have a comparison: in their stratum, or across the border.

    Within strata a treated county is compared with the comparison counties of its stratum, and where the comparison is
    with those not yet treated also with cohorts that adopt later there. Along borders it is compared with the counties
    it touches, of those that ``estimator.neighbours`` keeps.

    Args:
        design: a panel.

    Raises:
        StudyError: border pairs without a table of neighbours.

    Example:
        ``identifying(make_design(panel, spec)).states``
    """
    table = design.table
    adopts = table["treated"].groupby(table["county_fips"]).any()
    counties = table.drop_duplicates("county_fips").set_index("county_fips")
    treated = adopts.reindex(counties.index).to_numpy(dtype=bool)
    if design.spec.estimator.name == "border_pairs":
        served = _touching(design, counties, treated)
    else:
        served = _in_stratum(counties, treated, design.spec.treatment.comparison)
    states = tuple(sorted(counties["state"][treated & served].astype(str).unique()))
    return Identifying(
        treated=int(treated.sum()),
        identifying=int((treated & served).sum()),
        states=states,
        comparison=int((~treated).sum()),
        cohorts=int(counties["cohort"][treated].nunique()),
    )


def _in_stratum(counties: pd.DataFrame, treated: np.ndarray, comparison: str) -> np.ndarray:
    stratum = counties["stratum"]
    others = pd.Series(~treated, index=counties.index).groupby(stratum).transform("any").to_numpy(dtype=bool)
    if comparison != "not_yet_treated":
        return others
    # Counties that adopt in different years serve each other until the later one adopts; only the last ones of a
    # stratum where everybody adopts have nobody.
    cohorts = counties["cohort"].where(treated).groupby(stratum).transform("nunique").to_numpy(dtype=float)
    return others | (cohorts > 1)


def _touching(design: Design, counties: pd.DataFrame, treated: np.ndarray) -> np.ndarray:
    pairs = design.geography.neighbours
    if pairs.empty:
        raise StudyError(
            "border pairs without a table of neighbours", "a panel with its geography", "load_panel"
        )
    state = counties["state"].astype(str)
    inside = pairs["county_fips"].isin(counties.index) & pairs["neighbour_fips"].isin(counties.index)
    here = pairs[inside]
    # A county that does not adopt in the sample adopts after everybody.
    cohort = counties["cohort"].astype("Float64").where(treated).astype(float).fillna(np.inf)
    own = cohort.reindex(here["county_fips"]).to_numpy()
    other = cohort.reindex(here["neighbour_fips"]).to_numpy()
    later = design.spec.treatment.comparison == "not_yet_treated"
    here = here[np.isfinite(own) & ((other > own) if later else np.isinf(other))]
    asked = design.spec.estimator.neighbours
    if asked in ("same_state", "other_state"):
        same = (
            state.reindex(here["county_fips"]).to_numpy() == state.reindex(here["neighbour_fips"]).to_numpy()
        )
        here = here[same == (asked == "same_state")]
    return counties.index.isin(here["county_fips"])


def capability(
    panel: Panel,
    definitions: Sequence[str],
    designs: Mapping[str, Spec] | Spec,
) -> pd.DataFrame:
    """Return which definition can carry which design, and why (protocol rules 6 and 7).

    Args:
        panel: see `analysis.base.records.Panel`.
        definitions: names of treatment definitions.
        designs: name to spec; or one spec of the main kind, which stands for the designs of ``DESIGNS``.

    Returns:
        A row a definition and design: definition, label, design, window, verdict (identified; descriptive: an
        estimate can be shown and takes no verdict; refused), reason (the rule and the numbers), treated_counties,
        treated_identifying and states_identifying (with something to be compared with), states (their codes),
        comparison_counties, cohorts; numbers are missing where nothing could be counted. Definitions whose records end
        earlier have their window cut to that year. Nothing is estimated and nothing is typed in: verdicts come
        from what the rules refuse and from who is left in the sample.

    Example:
        ``capability(load_panel(), ["policy_full", "state_law"], load_spec("main"))``
    """
    rows = []
    for name in definitions:
        for design, spec, changes in _designs(designs):
            about = {"definition": name, "label": definition_of(name).label, "design": design}
            rows.append(about | _answer(panel, name, spec, changes))
    table = pd.DataFrame(rows, columns=list(CAPABILITY))
    numbers = [
        "treated_counties",
        "treated_identifying",
        "states_identifying",
        "comparison_counties",
        "cohorts",
    ]
    return table.astype(dict.fromkeys(numbers, "Int64"))


def _designs(designs: Mapping[str, Spec] | Spec) -> Iterator[tuple[str, Spec, Mapping[str, Any]]]:
    if isinstance(designs, Spec):
        yield from ((name, designs, changes) for name, changes in DESIGNS.items())
    else:
        yield from ((name, spec, {}) for name, spec in designs.items())


def _answer(panel: Panel, definition: str, base: Spec, design_changes: Mapping[str, Any]) -> dict[str, Any]:
    first, last = base.years[0], base.years[-1]
    until = definition_of(definition).outcomes_until
    window = (first, last if until is None else min(last, until))
    row: dict[str, Any] = {"window": f"{window[0]}-{window[1]}"}
    changes = {**design_changes, "treatment.definition": definition, "sample.years": list(window)}
    try:
        spec = base.base().replace(changes)
    except SpecError as error:
        if not isinstance(error, ProtocolError):
            raise
        return row | {"verdict": REFUSED, "reason": _words(error)}
    try:
        design = make_design(panel, spec)
        found = identifying(design)
    except StudyError as error:
        return row | {"verdict": REFUSED, "reason": _words(error)}
    row |= {
        "treated_counties": found.treated,
        "treated_identifying": found.identifying,
        "states_identifying": len(found.states),
        "states": " ".join(found.states),
        "comparison_counties": found.comparison,
        "cohorts": found.cohorts,
    }
    return row | _verdict(spec, found)


def _verdict(spec: Spec, found: Identifying) -> dict[str, str]:
    areas = "treated state" if spec.design.area == "state" else "treated county"
    stands = (
        f"{many(found.identifying, areas)} of {found.treated} in {many(len(found.states), 'state')}, "
        f"{many(found.cohorts, 'cohort')}"
    )
    if not found.identifying:
        return {"verdict": REFUSED, "reason": f"no {areas} has anything to be compared with: {stands}"}
    if is_descriptive(spec.treatment.definition):
        return {"verdict": DESCRIPTIVE, "reason": f"rule 6: {definition_of(spec.treatment.definition).note}"}
    few = []
    if found.identifying < FEWEST_TREATED:
        few.append(f"{many(found.identifying, areas)}, fewer than {FEWEST_TREATED}")
    if len(found.states) < FEWEST_STATES:
        few.append(f"{many(len(found.states), 'state')}, fewer than {FEWEST_STATES}")
    if few:
        return {"verdict": DESCRIPTIVE, "reason": f"rule 7: not informative, {' and '.join(few)}"}
    if not spec.carries_verdict:
        return {"verdict": DESCRIPTIVE, "reason": "rule 12: errors that carry no verdict"}
    return {"verdict": IDENTIFIED, "reason": stands}


def _words(error: StudyError) -> str:
    words = f"{error.found}; expected {error.wanted}" if error.wanted else error.found
    return " ".join(words.split())


# --- a walk from simple to demanding
# ----------------------------------------------------------------------------------------------------

LADDER = (
    "step", "adds", "outcome", "unit", "estimate", "std_error", "conf_low", "conf_high", "baseline",
    "percent_of_baseline", "percent_low", "percent_high", "n_treated", "n_states", "states", "largest_state",
    "largest_share", "effective_states", "effective_clusters", "n_comparison", "treated_in_sample",
)  # fmt: skip
_NO_STEP = ("name", "title", "status")
_LISTS = (
    "names", "policies", "only", "years", "drop_years", "keep_states", "drop_states", "drop_counties", "urban_classes",
)  # fmt: skip


def ladder(estimates: Mapping[str, Estimate], designs: Mapping[str, Design] | None = None) -> pd.DataFrame:
    """Return a walk through designs, a row a step: what it adds, what it gives and who is left to identify it.

    Args:
        estimates: step to its one effect, from simple to demanding.
        designs: step to the design behind it; with them each row says how many treated counties the sample holds,
            whether or not they identify.

    Returns:
        step, adds (keys of the spec that differ from the previous step's, in words; the first row is empty), outcome,
        unit, estimate, std_error, conf_low, conf_high, baseline, percent_of_baseline, percent_low, percent_high,
        n_treated, n_states, states, largest_state, largest_share, effective_states (see `who_identifies`),
        effective_clusters (missing where the record has none), n_comparison, treated_in_sample (missing
        without designs).

    Raises:
        StudyError: an estimate with several rows.

    Assumption: none on the differences. Steps rest on overlapping counties, so their intervals say nothing about
    whether a change between two of them is chance.

    Example:
        ``ladder({"2x2": small, "two-way": plain, "within states": inner})``
    """
    rows: list[dict[str, Any]] = []
    before: Spec | None = None
    for step, one in estimates.items():
        if len(one.table) != 1:
            raise StudyError(
                f"step '{step}' has {len(one.table)} rows", "one effect: aggregate(…, over='post')"
            )
        line, glance = one.table.iloc[0], one.glance().iloc[0]
        value, low, high = (float(line[name]) for name in ("estimate", "conf_low", "conf_high"))
        percent = [percent_of(v, unit_of_estimate(one), one.baseline) for v in (value, low, high)]
        who = who_identifies(one)
        design = None if designs is None else designs.get(step)
        rows.append(
            {
                "step": step,
                "adds": "" if before is None else added(before, one.spec),
                "outcome": one.outcome,
                "unit": one.unit,
                "estimate": value,
                "std_error": float(line["std_error"]),
                "conf_low": low,
                "conf_high": high,
                "baseline": one.baseline,
                "percent_of_baseline": percent[0],
                "percent_low": percent[1],
                "percent_high": percent[2],
                "n_treated": int(glance["n_treated"]),
                "n_states": int(glance["n_treated_states"]),
                "states": str(glance["treated_states"]),
                "largest_state": who.largest,
                "largest_share": who.largest_share,
                "effective_states": who.effective_states,
                "effective_clusters": float(glance["effective_clusters"]),
                "n_comparison": int(glance["n_comparison"]),
                "treated_in_sample": pd.NA if design is None else identifying(design).treated,
            }
        )
        before = one.spec
    return pd.DataFrame(rows, columns=list(LADDER)).astype({"treated_in_sample": "Int64"})


def added(before: Spec, after: Spec) -> str:
    """Return in words what one spec changes in another; names, titles and status do not count.

    A key that only one of them has, as keys of another estimator are, is named alone.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> main = load_spec("main")
        >>> added(main, main.replace({"sample.drop_states": ["CA"], "estimator.within": "state", "covariates.names": []}))
        'drop states: CA; covariates: none; within: none to state'
    """
    return "; ".join(
        part
        for row in before.diff(after).itertuples()
        if row.key not in _NO_STEP and (part := _change(str(row.key), str(row.left), str(row.right)))
    )


def _change(key: str, left: str, right: str) -> str:
    section, _, name = key.partition(".")
    label = section if name in ("name", "names") else name.replace("_", " ")
    absent = "(none)"
    if left == absent:
        return "" if right == "none" else f"{label}: {right}"
    if right == absent:
        return "" if left == "none" else f"no {label}"
    if name == "vintage" and right == "none":
        return ""  # goes with the covariates, which are named
    # Of a list, what it holds now says enough.
    if name in _LISTS:
        return f"{label}: {right}"
    return f"{label}: {left} to {right}"


# --- who identifies an estimate
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WhoIdentifies:
    """How the treated weight of an estimate lies on states.

    Args:
        table: a row a state with treated counties, largest share first: state, n_treated, weight (treated
            county-years, or their population), share.
        largest: code of the state with the largest share.
        largest_share: its share.
        effective_states: one over the sum of squared shares: as many states of equal weight would be as concentrated.
    """

    table: pd.DataFrame
    largest: str
    largest_share: float
    effective_states: float


def who_identifies(estimate: Estimate) -> WhoIdentifies:
    """Return the share of each state in the treated weight that an estimate averages over.

    Args:
        estimate: any; of several rows the weights are added up.

    Returns:
        `WhoIdentifies`; an empty table and missing numbers where no treated county is in the estimate.

    Assumption: none. The weights are those of treated county-years in the estimate's average; a regression weighs
    effects again by what is left of treatment (`residual_weights`).

    Example:
        ``who_identifies(aggregate(fit(design), over="post")).effective_states``
    """
    weight = np.nan_to_num(estimate.treated).sum(axis=1)
    inside = weight > 0
    prefix = estimate.counties[inside].str[:2]
    states = pd.Series([STATE_OF_PREFIX.get(code, code) for code in prefix], dtype="str")
    parts = pd.DataFrame({"state": states, "weight": weight[inside]})
    table = (
        parts.groupby("state", sort=True)
        .agg(n_treated=("weight", "size"), weight=("weight", "sum"))
        .reset_index()
    )
    table["share"] = table["weight"] / table["weight"].sum()
    table = table.sort_values(["share", "state"], ascending=[False, True], kind="stable").reset_index(
        drop=True
    )
    if table.empty:
        return WhoIdentifies(table, "", float("nan"), float("nan"))
    share = table["share"].to_numpy()
    return WhoIdentifies(table, str(table["state"].iloc[0]), float(share[0]), float(1 / np.sum(share**2)))


# --- one spec, row by row
# ----------------------------------------------------------------------------------------------------


def by_design(panel: Panel, spec: Spec, measure: str, weights: str) -> pd.DataFrame:
    """Run the lines of a spec for one outcome, with every state, and return the one effect of each.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: with its grid; lines that leave a state out are not run.
        measure: outcome measure.
        weights: ``population_baseline`` or ``none``.

    Returns:
        The columns of results, indexed by ``design``: the name of the line, "as declared" for the spec's own values.

    Raises:
        SpecError: the spec has no such line.
    """
    chosen = [
        one
        for one in spec.expand()
        if (one.outcome.measure, one.estimator.weights) == (measure, weights) and not one.sample.drop_states
    ]
    if not chosen:
        raise SpecError(
            f"'{spec.name}' has no line of {measure}, weights {weights}", "an outcome of its grid"
        )
    rows = run_specs(panel, chosen).results
    rows = rows[rows["estimand"].isin(ONE_EFFECT) | rows["failure"].ne("")].copy()
    line = rows["spec"].str.split("/").str[1]
    rows["design"] = line.mask(line.str.contains("="), "as declared")
    return rows.set_index("design")


# --- families of offences
# ----------------------------------------------------------------------------------------------------

# Sums of others are no tests of their own.
SUMS = frozenset({"violent_ex_rape", "violent", "property", "total"})


def offence_families(runs: Iterable[Run], *, draws: int, seed: int) -> pd.DataFrame:
    """Return p-values of single offences, adjusted within each family.

    A family is the single offences under one definition, comparison, sample of states and weights, as declared in one
    spec; sums of offences are no tests of their own.

    Args:
        runs: of one spec with its grid; those that failed take no part.
        draws: joint draws a family.
        seed: of the generator.

    Returns:
        The columns of `family_table` and ``tests``, how many a family holds; in the order of the runs.
    """
    groups: dict[tuple[Any, ...], list[Estimate]] = {}
    for run in runs:
        spec = run.spec
        if run.failure or spec.outcome.measure in SUMS:
            continue
        key = (spec.treatment.definition, spec.within, spec.sample.drop_states, spec.estimator.weights)
        groups.setdefault(key, []).append(run.estimates["post"])
    parts = [
        family_table(group, draws=draws, seed=seed).assign(tests=len(group)) for group in groups.values()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["spec", "p_romano_wolf"])

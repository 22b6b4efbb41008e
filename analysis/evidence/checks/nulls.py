"""What an estimate excludes, what it could have found, and what a finding of it would have been worth.

Power is shown twice: by the formula that takes the stated error and its degrees of freedom at their word, and by refits on
the panel's own residuals, whole states at a time, under the same design and errors. Where the two part the formula is off,
and is shown as off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.spec import Spec
from analysis.estimation import aggregate, fit
from analysis.estimation.border_pairs import EFFECTS as BORDER_EFFECTS
from analysis.estimation.border_pairs import find_pairs, make_borders, without_effects
from analysis.estimation.estimate import OF_STATES, Estimate, cluster_labels
from analysis.estimation.group_time import Nuisance, cell_effect, estimate_cells, prepare_cell
from analysis.estimation.inference import t_quantile
from analysis.estimation.matched import match, plan_of
from analysis.estimation.matching.regression import matched_regression, weighted_least_squares
from analysis.estimation.panel_arrays.effects import make_effects, residuals, without_singletons
from analysis.estimation.panel_arrays.panel import LongPanel, read_design
from analysis.estimation.panel_arrays.regression import absorbed_regression
from analysis.estimation.panel_inference.power import (
    Kind,
    Refits,
    Responses,
    contribution_weights,
    detectable_by_refits,
    detectable_size,
    equivalence_power,
    power_of_test,
    refit,
    share_equivalent,
    share_rejected,
    sign_error,
)
from analysis.evidence.checks.equivalence import two_one_sided
from analysis.evidence.claims import Claims, Fact, load_claims
from analysis.evidence.headline import ASSUMPTIONS, measure_label
from analysis.evidence.matches import variant_of
from analysis.evidence.results import Found, comparison_of, rate_per_10k, results_frame
from analysis.evidence.runs import Run
from analysis.evidence.units import LOG_POINTS, RATES, UNIT_OF_SCALE, percent_of

Array = NDArray[np.float64]
Codes = NDArray[np.intp]

# True effects of power curves and of equivalence, and of sign errors, in per cent of the mean.
EFFECTS: tuple[float, ...] = tuple(float(e) for e in range(-20, 21, 2))
SIZES: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0)
# Bounds of equivalence in per cent of the mean, stated before any was tested.
SHARES: tuple[float, ...] = (5.0, 10.0)
# Reported offences a year per declined detainer: stated, not estimated. One declined detainer is one person who leaves
# custody where he would have been handed over. At 0.1 one in ten of them is behind one reported offence a year, about three
# times a resident's even share of all reported here; at 1 each of them is; at 5 each is behind one every ten weeks that
# somebody reports, year after year, more than is known of any group released from custody. Whether witnesses speak lies
# outside this range.
PER_DETAINER: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0, 5.0)
# Measures most of total crime consists of: a published change in total crime can be read on them as if all of it fell there.
MOST_OF_TOTAL = ("property",)
# A bound from here on, in per cent of the mean, bounds nothing: no fall can reach it.
MORE_THAN_ALL = 100.0
POWER = 0.8
DRAWS, SEED = 20_000, 20260101
# Size of each one-sided test of equivalence.
SIZE = 0.05

NULLS: Mapping[str, str] = {
    "spec": "name of the specification",
    "design": "its named variation; empty for the spec's own values",
    "measure": "outcome measure",
    "comparison": "between, within, classes, border, matched, adopters or synthetic",
    "unit": "unit of estimate, ends, errors, effects and baseline",
    "baseline": "mean of treated areas before adoption (cross-section: of comparison areas)",
    "level": "of the interval",
    "estimate": "in unit",
    "std_error": "in unit",
    "df": "degrees of freedom of t",
    "effective_clusters": "states of equal weight that would carry as much",
    "conf_low": "changes below are excluded",
    "conf_high": "changes above are excluded",
    "percent": "estimate in per cent of the baseline",
    "percent_low": "lower end, likewise",
    "percent_high": "upper end, likewise",
    "detectable": "effect the test finds with power 0.8, by the formula",
    "detectable_percent": "likewise, in per cent",
    "detectable_simulated": "effect that 80 in 100 refits find",
    "detectable_simulated_percent": "likewise, in per cent",
    "size_simulated": "share of refits without an effect that reject no effect",
    "spread_simulated": "standard deviation of refits over std_error",
    "stated_simulated": "root mean square of the errors refits state, over their spread: below one, stated too small",
    "simulated_how": "how refits were made",
    "smallest_bound": "smallest bound against which equivalence would be shown at 5 %",
    "smallest_bound_percent": "likewise, in per cent",
    "declined_per_10k": "declined detainers per 10,000 residents of the treated areas in 2014",
    "offences_per_declined": "estimate over it",
    "offences_per_declined_low": "lower end over it",
    "offences_per_declined_high": "upper end over it",
    "detectable_per_declined": "detectable effect over it",
    "detectable_simulated_per_declined": "simulated one over it",
    "n_treated": "treated areas",
    "n_states": "states that identify",
    "precision": "equivalent to zero, different from zero, inconclusive, not informative, or empty",
    "sentence": "what the interval excludes, and on what conditions",
    "failure": "why there is no estimate, or empty",
}
CURVES: Mapping[str, str] = {
    "spec": "name of the specification",
    "design": "its named variation",
    "measure": "outcome measure",
    "question": "difference: the test of no effect rejects; equivalence: the effect is shown to lie inside the bound",
    "bound_percent": "bound of equivalence; missing for difference",
    "effect_percent": "true effect, in per cent of the baseline",
    "analytic": "chance by the formula",
    "simulated": "share of refits",
    "mc_error": "Monte Carlo error of that share",
    "simulated_how": "how refits were made",
    "failure": "why there are none, or empty",
}
EQUIVALENCE: Mapping[str, str] = {
    "spec": "name of the specification",
    "design": "its named variation",
    "measure": "outcome measure",
    "unit": "unit of estimate and bound",
    "kind": "share_of_mean, published or custody",
    "source": "per cent, name of the published figure, or offences a year per declined detainer",
    "bound": "in unit; missing where it cannot be put on the outcome's scale",
    "bound_percent": "in per cent of the baseline",
    "reading": "how the bound came to the outcome's scale, or why it cannot",
    "estimate": "in unit",
    "p_below": "one-sided, of an effect at or below minus the bound",
    "p_above": "one-sided, of an effect at or above the bound",
    "p_value": "the larger of the two",
    "equivalent": "whether both are at most 0.05",
    "chance_if_zero": "chance of showing it if the effect were zero, by the formula",
    "smallest_bound": "smallest bound against which it would be shown",
    "smallest_bound_percent": "likewise, in per cent",
    "carries_verdict": "whether error and number of areas may carry a verdict",
    "failure": "why there is no estimate, or empty",
}
SIGNS: Mapping[str, str] = {
    "spec": "name of the specification",
    "design": "its named variation",
    "measure": "outcome measure",
    "effect_percent": "true effect, in per cent of the baseline",
    "effect": "in the outcome's unit",
    "power": "chance of a significant estimate",
    "sign_error": "share of significant estimates with the wrong sign",
    "exaggeration": "mean size of significant estimates over the true one",
    "failure": "why there is no estimate, or empty",
}


# ---------------------------------------------------------------------------------------------------------------
# Refits on a panel's own residuals
# ---------------------------------------------------------------------------------------------------------------

SUMMED = ("cluster", "cr2", "cr3")
WILD = "paths of whole states times Webb's six points"
HOW_GROUP_TIME = (
    f"exact refits, {WILD}: residuals of county and year effects, of covariates by year where there are any, and of the "
    "estimate; propensity scores do not depend on outcomes"
)
HOW_TWO_WAY = f"exact refits, {WILD}: residuals of the regression"
HOW_BORDER = (
    f"exact refits, {WILD}: residuals of the regression of segments; what the two sides of a border share does not move "
    "together"
)
HOW_MATCHED = (
    f"exact refits with the matches kept, {WILD}: residuals of a regression of the matched sample on policy, covariates and "
    "class; what covariates leave unbalanced stays in"
)
HOW_FIRST_ORDER = (
    f"to first order, {WILD}: influence rows, the variance of their cluster sums anew in each draw"
)


@dataclass(frozen=True, slots=True)
class SimulatedTest:
    """One specification refitted on its own residuals.

    Args:
        spec: without a grid.
        estimate: one row; None where it failed.
        refits: without an effect; None where there are none.
        how: how they were made.
        failure: why there are none, or "".
    """

    spec: Spec
    estimate: Estimate | None
    refits: Refits | None
    how: str
    failure: str = ""


def simulated_tests(
    panel: Panel, specs: Iterable[Spec], *, draws: int = DRAWS, seed: int = SEED
) -> list[SimulatedTest]:
    """Refit every specification on outcomes made of its fitted part and the panel's residuals, whole states at a time.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids.
        draws: refits a specification.
        seed: of the generator, the same for each specification.

    Returns:
        One `SimulatedTest` a specification, failed ones with the reason.

    Assumption: states' residual paths are independent and as likely one way as the other. A state's path is what the fitted
        part leaves of it: effects that differ between states count as error, and the path of a state that carries much of the
        estimate comes out too small, for the fit follows it. ``spread_simulated`` of `nulls` shows by how much.

    Source: Burlig, Preonas and Woerman (2020), Journal of Development Economics 144, for power on a panel's own errors.

    Example:
        ``simulated_tests(load_panel(), load_spec("headline").expand())``
    """
    found = []
    for spec in specs:
        try:
            design = make_design(panel, spec)
            estimate = aggregate(fit(design), over="post")
            _require_error(estimate)
            responses, how = responses_of(design, estimate)
        except (StudyError, np.linalg.LinAlgError) as error:
            found.append(SimulatedTest(spec, None, None, "", " ".join(str(error).split())))
            continue
        refits = refit(responses, draws, np.random.default_rng(seed))
        found.append(SimulatedTest(spec, estimate, refits, how))
    return found


def _require_error(estimate: Estimate) -> None:
    row = estimate.table.iloc[0]
    if len(estimate.table) != 1 or not (np.isfinite(row["estimate"]) and row["std_error"] > 0):
        raise StudyError("no standard error", "one effect with one", estimate.spec.where)


def responses_of(design: Design, estimate: Estimate) -> tuple[Responses, str]:
    """Return what each state's residual path does to an estimate and its error, and in words how it was found.

    Args:
        design: what was estimated on.
        estimate: of one row, with a standard error.

    Returns:
        Exact responses for group-time effects, two-way regressions with one coefficient and no control policies, border
        regressions without them, and matched differences without a regression; to first order elsewhere. Multipliers of
        one give back the standard error of the estimate.

    Raises:
        StudyError: errors that are not by state (or state and segment), or no influence to go by.
    """
    made, asked = estimate.inference, design.spec.estimator
    if made.by not in OF_STATES or made.kind not in SUMMED:
        raise StudyError(
            f"{made.kind} errors by {made.by}",
            f"{', '.join(SUMMED)} errors by state: others are no sum over states",
            "inference",
        )
    value, error = (float(estimate.table[name].iloc[0]) for name in ("estimate", "std_error"))
    one_way, plain = made.by == "state", not design.controls
    if asked.name == "group_time_att" and one_way:
        return _group_time(design, value, made.clusters), HOW_GROUP_TIME
    if asked.name == "two_way" and one_way and plain and asked.effects in ("county_year", "state_by_year"):
        return _two_way(design, made.kind, error), HOW_TWO_WAY
    if asked.name == "border_pairs" and plain:
        return _border(design, error), HOW_BORDER
    if asked.name == "matched_difference" and one_way and not plan_of(design).adjust:
        return _matched(design, made.clusters), HOW_MATCHED
    return _first_order(estimate), HOW_FIRST_ORDER


def _states(counties: pd.Index) -> tuple[Codes, int]:
    found, at = np.unique(cluster_labels(counties, "state"), return_inverse=True)
    return np.asarray(at, dtype=np.intp), len(found)


def _by_state(values: Array, home: Codes, size: int) -> Array:
    """Return values (n,) as (n, H), a column a state."""
    out = np.zeros((len(values), size))
    out[np.arange(len(values)), home] = values
    return out


def _sums(rows: Array, codes: Codes) -> Array:
    """Return columns (n, H) summed within codes, (H, G)."""
    out = np.zeros((int(codes.max()) + 1, rows.shape[1]))
    np.add.at(out, codes, rows)
    return out.T


def _factor(clusters: int) -> float:
    return clusters / (clusters - 1)


def _group_time(design: Design, value: float, clusters: int) -> Responses:
    panel = read_design(design)
    method = design.spec.estimator.method or ""
    home, states = _states(panel.counties)
    paths = panel.wide(_unexplained(panel, value, covariates=method != "inverse_weighting"))
    controls = panel.wide(panel.controls)
    cells = [
        cell
        for cell in estimate_cells(panel, method, design.spec.treatment.comparison)
        if cell.event_time >= 0 and np.isfinite(cell.effect)
    ]
    known: dict[tuple[bytes, ...], Nuisance] = {}
    effects, scores = np.zeros((len(cells), states)), np.zeros((len(cells), states, states))
    weights = np.zeros((len(cells), states))
    for k, cell in enumerate(cells):
        members = np.flatnonzero(~np.isnan(cell.treated))
        d, size, at = cell.treated[members] > 0, panel.size[members], home[members]
        base, time = np.searchsorted(panel.years, [cell.base, cell.time])
        shifts = controls[members, time] - controls[members, base]
        key = (members.tobytes(), d.tobytes(), shifts.tobytes())
        if key not in known:
            columns = np.hstack([panel.covariates[members], shifts])
            known[key] = prepare_cell(d, size, panel.stratum[members], columns, method)
        change = paths[members, time] - paths[members, base]
        for state in np.unique(at):
            effects[k, state], part = cell_effect(np.where(at == state, change, 0.0), d, size, known[key])
            scores[k, state] = np.bincount(at, part, minlength=states)
        weights[k] = np.bincount(at, cell.treated[members], minlength=states)
    total = weights.sum()
    share = weights.sum(axis=1) / total
    effect = share @ effects
    # As in `aggregate`: the shares of cells are estimated too.
    shares = np.einsum("kg,kh->hg", weights, effects - effect) / total
    return Responses(effect, (np.einsum("k,khg->hg", share, scores) + shares,), (_factor(clusters),))


def _unexplained(panel: LongPanel, value: float, *, covariates: bool) -> Array:
    """Return outcomes less the effect, and less county, stratum-year and covariate-by-year effects, (n,).

    What is taken out moves no cell: a cell's comparison takes out what a year's effects and covariates explain.
    """
    outcome = panel.outcome - value * (panel.event_time >= 0)
    moving = [panel.controls]
    if covariates and panel.covariates.shape[1]:
        spread = panel.covariates.std(axis=0)
        x = (panel.covariates - panel.covariates.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        moving += [x[panel.county] * (panel.year == t)[:, None] for t in range(1, len(panel.years))]
    level = np.unique(panel.levels, return_inverse=True)[1].astype(np.intp)
    effects = make_effects(panel.county, level, panel.weight, len(panel.counties), int(level.max()) + 1)
    return absorbed_regression(outcome, np.hstack(moving), effects).residual


def _two_way(design: Design, kind: str, std_error: float) -> Responses:
    panel = read_design(design)
    home, states = _states(panel.counties)
    block = home[panel.county] if design.spec.estimator.effects == "state_by_year" else 0
    level = np.asarray(block * len(panel.years) + panel.year, dtype=np.intp)
    kept = without_singletons(panel.county, level)
    panel, level = panel.rows(kept), np.unique(level[kept], return_inverse=True)[1].astype(np.intp)
    x = (panel.event_time >= 0).astype(float)[:, None]
    weight, at = panel.weight / panel.weight.mean(), home[panel.county]
    effects = make_effects(panel.county, level, weight, len(panel.counties), int(level.max()) + 1)
    found = absorbed_regression(panel.outcome, x, effects)
    split = _by_state(found.residual, at, states)
    moved = (found.inverse.matrix @ (found.own.T @ (weight[:, None] * split)))[0]
    left = residuals(effects, split) - found.own * moved
    small: Kind = "CR0" if kind == "cluster" else "CR2" if kind == "cr2" else "CR3"
    counts = contribution_weights(x, weight, at, kind=small, effects=(panel.county, level))
    plain = Responses(moved, (_sums(counts[:, None] * left, at),), (1.0,))
    return _held_to(plain, std_error) if kind == "cluster" else plain


def _held_to(responses: Responses, std_error: float) -> Responses:
    """Return responses with the factor for degrees of freedom that the estimate's own error has."""
    own = float(responses.variance(np.ones((1, len(responses.effect))))[0])
    signs = tuple(sign * std_error**2 / own for sign in responses.signs)
    return Responses(responses.effect, responses.scores, signs, responses.largest)


def _border(design: Design, std_error: float) -> Responses:
    spec, panel = design.spec, read_design(design)
    asked = spec.estimator
    by_group = asked.effects in ("county_year", "group_by_year") or asked.repeats == "whole"
    if by_group or asked.span or asked.trends or spec.covariates.names:
        raise StudyError(
            f"refits of the border design '{spec.name}', which compares groups or takes out lines or covariates",
            "effects of segments or pairs, and nothing beside them", spec.where,
        )  # fmt: skip
    alone = spec.treatment.comparison == "never_treated"
    which = str(spec.estimator.neighbours or "all")
    pairs = find_pairs(panel, design.geography.neighbours, which, never_alone=alone)
    borders = make_borders(panel, pairs, BORDER_EFFECTS[spec.estimator.effects or ""], every_year=False)
    home, states = _states(panel.counties)
    at = home[panel.county[borders.row]]
    x = (np.where(borders.own, panel.event_time[borders.row], np.nan) >= 0).astype(float)
    group = (borders.group, borders.member, borders.level, borders.weight)
    y, own = without_effects(np.column_stack([panel.outcome[borders.row], x]), *group).T
    leverage = borders.weight * own / float(borders.weight @ own**2)
    split = _by_state(y - own * float(leverage @ y), at, states)
    moved = leverage @ split
    scores = leverage[:, None] * (without_effects(split, *group) - own[:, None] * moved)
    both = np.unique(at * (int(borders.segment.max()) + 1) + borders.segment, return_inverse=True)[1]
    ways = {"state": [at], "segment": [borders.segment], "state_and_segment": [at, borders.segment, both]}
    codes = ways[spec.inference.by]
    signs = tuple(sign * _factor(len(np.unique(c))) for sign, c in zip((1, 1, -1), codes, strict=False))
    plain = Responses(moved, tuple(_sums(scores, c) for c in codes), signs, largest=len(codes) > 1)
    return _held_to(plain, std_error)


def _matched(design: Design, clusters: int) -> Responses:
    sets = match(design)
    home, states = _states(sets.counties)
    table = design.table.set_index("county_fips").loc[sets.counties]
    y = table["outcome"].to_numpy(dtype=float)
    classes = [
        pd.get_dummies(table[name]).to_numpy(dtype=float) for name in design.spec.estimator.exact or ()
    ]
    weight = np.where(sets.used, sets.weights, 0.0)
    columns = _spanning(np.hstack([np.ones((len(y), 1)), sets.covariates, *classes]), weight)
    z = np.column_stack([sets.treated.astype(float), columns])
    _, beta, left = weighted_least_squares(z, np.where(sets.used, y, 0.0), weight)
    split = _by_state(np.where(sets.used, left, 0.0), home, states)
    # The fitted part less the policy's coefficient: of a mean of no effect the match finds what it leaves unbalanced.
    paths = np.column_stack([split, columns @ beta[1:]])
    found = [matched_regression(path, sets.treated, weight) for path in paths.T]
    scores = np.array([np.bincount(home, one.influence, minlength=states) for one in found])
    effect = np.array([one.estimate for one in found])
    return Responses(effect, (scores,), (_factor(clusters),), fixed=1)


def _spanning(columns: Array, weight: Array) -> Array:
    """Return columns (n, q) that are independent among rows with weight and span the same there; 0 in other rows."""
    root = np.sqrt(weight)[:, None]
    basis, size, _ = np.linalg.svd(columns / np.abs(columns).max(axis=0) * root, full_matrices=False)
    kept = basis[:, size > 1e-9 * size[0]]
    return np.divide(kept, root, out=np.zeros_like(kept), where=root > 0)


def _first_order(estimate: Estimate) -> Responses:
    if estimate.influence is None or estimate.inference.by != "state":
        raise StudyError(f"{estimate.estimator} without influence by state", "errors by state", "inference")
    home, _ = _states(estimate.counties)
    rows = _sums(estimate.influence, home)[0]
    error = float(estimate.table["std_error"].iloc[0])
    return _held_to(Responses(rows, (np.diag(rows),), (1.0,)), error)


# ---------------------------------------------------------------------------------------------------------------
# Frames
# ---------------------------------------------------------------------------------------------------------------


def size_of(percent: float | Array, unit: str, baseline: float) -> Array:
    """Return an effect of so many per cent of the mean in the unit of the outcome; missing without a mean.

    Example:
        >>> size_of(5.0, "per_100k", 300.0).item(), size_of(5.0, "log_points", 5.7).round(4).item()
        (15.0, 0.0488)
    """
    share = np.asarray(percent, dtype=float) / 100
    if unit == LOG_POINTS:
        return np.log1p(share)
    return share * baseline if baseline > 0 else np.full(share.shape, np.nan)


def _unit(spec: Spec) -> str:
    return UNIT_OF_SCALE.get(spec.outcome.scale, spec.outcome.scale)


def _named(spec: Spec) -> dict[str, Any]:
    return {"spec": spec.name, "design": variant_of(spec.name), "measure": spec.outcome.measure}


def nulls(runs: Iterable[Run], tests: Sequence[SimulatedTest] = ()) -> pd.DataFrame:
    """Return what every estimate excludes, and what it could have found, beside the detainers behind it.

    Args:
        runs: of specifications, as in ``run_specs(...).runs``.
        tests: from `simulated_tests`, for the simulated columns; missing without one of the same name.

    Returns:
        Columns NULLS, one row a specification, failed ones with the reason. ``spread_simulated`` is one where the stated
        error is the spread of refits: with few states that carry much it need not be. The simulated detectable effect over
        it is about that of paths as large as the stated error says.

    Raises:
        StudyError: two tests of one specification.

    Assumption: that of each design and of its errors, in ``sentence``; declined detainers of 2014 stand for every year.

    Example:
        ``nulls(run_specs(panel, specs).runs, simulated_tests(panel, specs))``
    """
    known = {test.spec.name: test for test in tests}
    if len(known) < len(tests):
        raise StudyError("two simulated tests of one specification", "one each", "the call")
    runs = list(runs)
    lines = _lines(runs)
    rows = [_null(run, lines.get(run.spec.name, {}), known.get(run.spec.name)) for run in runs]
    return pd.DataFrame(rows, columns=list(NULLS))


def _null(run: Run, line: Mapping[str, Any], test: SimulatedTest | None) -> dict[str, Any]:
    row: dict[str, Any] = _named(run.spec) | {
        "comparison": comparison_of(run.spec), "sentence": _sentence(run, line), "failure": run.failure,
        "simulated_how": "", "unit": "", "precision": "",
    }  # fmt: skip
    if run.failure:
        return row
    estimate = run.estimates["post"]
    row |= {name: line[name] for name in NULLS if name in line and name not in row}
    row |= {"unit": line["unit"], "precision": line["precision"]}
    row |= {"percent": line["percent_of_baseline"], "declined_per_10k": run.declined_per_10k}
    error, df, level = float(line["std_error"]), float(line["df"]), float(line["level"])
    if error > 0:
        row["detectable"] = detectable_size(error, df, POWER, level)
        half = t_quantile(1 - 2 * SIZE, df) * error
        row["smallest_bound"] = abs(float(line["estimate"])) + half
    if test is not None and test.refits is not None:
        critical = t_quantile(level, df)
        row |= {
            "detectable_simulated": detectable_by_refits(test.refits, critical, POWER),
            "size_simulated": float(share_rejected(test.refits, np.zeros(1), critical)[0]),
            "spread_simulated": float(test.refits.estimate.std()) / error,
            "stated_simulated": float(
                np.sqrt((test.refits.std_error**2).mean()) / test.refits.estimate.std()
            ),
        }
    if test is not None:
        row["simulated_how"] = test.how or test.failure
    for name in ("detectable", "detectable_simulated"):
        size = float(row.get(name, np.nan))
        row[f"{name}_percent"] = percent_of(size, _unit(run.spec), estimate.baseline)
        row[f"{name}_per_declined"] = _per_declined(size, run)
    row["smallest_bound_percent"] = percent_of(
        float(row.get("smallest_bound", np.nan)), _unit(run.spec), estimate.baseline
    )
    return row


def _lines(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Return the one effect of each run that has one as a row of results, by the name of its specification."""
    table = results_frame(
        Found(run.spec, run.estimates["post"], run.treated_states, run.declined_per_10k)
        for run in runs
        if not run.failure
    )
    return {str(row["spec"]): {str(k): v for k, v in row.items()} for row in table.to_dict("records")}


def _per_declined(value: float, run: Run) -> float:
    if not run.declined_per_10k > 0:
        return float("nan")
    per_10k = rate_per_10k(value, run.spec.outcome.scale, run.estimates["post"].baseline)
    return per_10k / run.declined_per_10k


def power_curves(
    panel: Panel,
    specs: Sequence[Spec],
    *,
    effects: Sequence[float] = EFFECTS,
    tests: Sequence[SimulatedTest] | None = None,
) -> pd.DataFrame:
    """Return the chance of finding, and of excluding, effects of stated size: by formula and by refits.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids.
        effects: true effects added to every treated county-year, per cent of the mean; at zero the size of the test.
        tests: from `simulated_tests` on the same panel and specifications; made here if None.

    Returns:
        Columns CURVES, a row a specification, question, bound and effect; a failed specification keeps one row.

    Assumption: as `simulated_tests`; the formula's as `analysis.estimation.panel_inference.power.power_of_test`, with the
        stated error as the true one and the degrees of freedom of the estimate.

    Example:
        ``power_curves(panel, load_spec("headline").expand())``
    """
    at = np.asarray(effects, dtype=float)
    parts = []
    for test in simulated_tests(panel, specs) if tests is None else tests:
        if test.estimate is None or test.refits is None:
            parts.append(pd.DataFrame([_named(test.spec) | {"simulated_how": "", "failure": test.failure}]))
            continue
        estimate, made = test.estimate, test.estimate.inference
        unit, error = _unit(test.spec), float(estimate.table["std_error"].iloc[0])
        sizes = size_of(at, unit, estimate.baseline)
        critical = t_quantile(made.level, made.df)
        chances = [
            ("difference", np.nan, power_of_test(sizes, error, made.df, made.level),
             share_rejected(test.refits, sizes, critical)),
        ]  # fmt: skip
        for percent in SHARES:
            bound = float(size_of(percent, unit, estimate.baseline))
            if bound > 0:
                chances.append(
                    ("equivalence", percent, equivalence_power(sizes, error, bound, made.df, SIZE),
                     share_equivalent(test.refits, sizes, bound, t_quantile(1 - 2 * SIZE, made.df)))
                )  # fmt: skip
        draws = len(test.refits.estimate)
        for question, percent, analytic, simulated in chances:
            parts.append(
                pd.DataFrame(
                    _named(test.spec)
                    | {
                        "question": question, "bound_percent": percent, "effect_percent": at, "analytic": analytic,
                        "simulated": simulated, "mc_error": np.sqrt(simulated * (1 - simulated) / draws),
                        "simulated_how": test.how, "failure": "",
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True).reindex(columns=list(CURVES))


def equivalence_tests(runs: Iterable[Run], claims: Claims | None = None) -> pd.DataFrame:
    """Return two one-sided tests of every estimate against every stated bound.

    Args:
        runs: of specifications.
        claims: published figures; by default those of ``data/claims.toml``.

    Returns:
        Columns EQUIVALENCE, a row a specification and bound: 5 and 10 per cent of the mean; every published size; and a
        size through custody, declined detainers per 10,000 residents times stated offences a year per detainer. A bound
        that cannot be put on the outcome's scale keeps its row, and ``reading`` says why.

    Assumption: that of the design and its errors. A published change in log points is read as the same proportional change
        of this outcome; one in offences of all kinds as if all of them were of this outcome, where that is most of them.

    Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6).

    Example:
        ``equivalence_tests(run_specs(panel, specs).runs)``
    """
    facts = [
        fact for claim in (claims or load_claims()).claims for fact in claim.facts if fact.size is not None
    ]
    runs, rows = list(runs), list[dict[str, Any]]()
    lines = _lines(runs)
    for run in runs:
        about = _named(run.spec) | {"failure": run.failure}
        if run.failure:
            rows.append(about | {"equivalent": False, "carries_verdict": False})
            continue
        line = lines[run.spec.name]
        value, error, df = (float(line[name]) for name in ("estimate", "std_error", "df"))
        about |= {
            "unit": line["unit"], "estimate": value,
            "carries_verdict": bool(line["carries_verdict"] and line["informative"]),
        }  # fmt: skip
        if error > 0:
            smallest = abs(value) + t_quantile(1 - 2 * SIZE, df) * error
            about["smallest_bound"] = smallest
            about["smallest_bound_percent"] = percent_of(smallest, _unit(run.spec), float(line["baseline"]))
        for bound in _bounds(run, facts):
            row = about | bound | {"equivalent": False}
            size = float(bound["bound"])
            row["bound_percent"] = percent_of(size, _unit(run.spec), float(line["baseline"]))
            if size > 0 and error > 0:
                test = two_one_sided(value, error, size, df)
                row |= {
                    "p_below": test.p_below, "p_above": test.p_above, "p_value": test.p_value,
                    "equivalent": test.p_value <= SIZE,
                    "chance_if_zero": float(equivalence_power(0.0, error, size, df, SIZE)),
                }  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows, columns=list(EQUIVALENCE))


def _bounds(run: Run, facts: Sequence[Fact]) -> list[dict[str, Any]]:
    unit, baseline = _unit(run.spec), run.estimates["post"].baseline
    found = [
        {"kind": "share_of_mean", "source": f"{share:g} %", "bound": float(size_of(share, unit, baseline)),
         "reading": "of the mean"}
        for share in SHARES
    ]  # fmt: skip
    for fact in facts:
        size, reading = _published(run.spec, fact, unit, baseline)
        found.append({"kind": "published", "source": fact.id, "bound": size, "reading": reading})
    found += [_custody(offences, run.declined_per_10k, unit, baseline) for offences in PER_DETAINER]
    return found


def _custody(offences: float, declined_per_10k: float, unit: str, baseline: float) -> dict[str, Any]:
    """Return the bound of so many offences a year per declined detainer, all of them of this outcome."""
    size = _from_per_10k(offences * declined_per_10k, unit, baseline)
    reading = (
        "declined detainers per 10,000 residents times offences a year each, as if all were of this outcome"
    )
    if not np.isfinite(size):
        reading = "no record of declined detainers, or an outcome that is no rate"
    elif not percent_of(size, unit, baseline) < MORE_THAN_ALL:
        size, reading = np.nan, "more than all there is of this outcome: cannot be put on its scale"
    return {"kind": "custody", "source": f"{offences:g}", "bound": size, "reading": reading}


def _from_per_10k(value: float, unit: str, baseline: float) -> float:
    """Return offences per 10,000 residents in the unit of an outcome; of log points over its own mean."""
    if unit in RATES:
        return value * RATES[unit] / RATES["per_10k"]
    if unit != LOG_POINTS:
        return float("nan")
    return float(np.log1p(value / (np.exp(baseline) * RATES["per_10k"] / RATES["per_100k"])))


def _published(spec: Spec, fact: Fact, unit: str, baseline: float) -> tuple[float, str]:
    assert fact.size is not None
    size, measure = abs(fact.size), spec.outcome.measure
    same = measure in (*fact.measures, *fact.near_measures)
    if fact.unit == LOG_POINTS:
        bound = float(size_of(100 * np.expm1(size), unit, baseline))
        return (
            bound,
            "of this outcome" if same else f"the same proportional change; published for {fact.outcome}",
        )
    if same or measure in MOST_OF_TOTAL:
        bound = _from_per_10k(size * RATES["per_10k"] / RATES[fact.unit], unit, baseline)
        return (
            bound,
            "of this outcome"
            if same
            else f"as if all of it fell on this outcome; published for {fact.outcome}",
        )
    return float(
        "nan"
    ), f"cannot be put on this outcome's scale: published for {fact.outcome}, whose share of it is not stated"


def sign_errors(runs: Iterable[Run], sizes: Sequence[float] = SIZES) -> pd.DataFrame:
    """Return what a significant estimate of each design would be worth if the truth were of a stated size.

    Args:
        runs: of specifications.
        sizes: true effects, per cent of the mean, positive: signs mirror.

    Returns:
        Columns SIGNS, a row a specification and true effect; a failed specification keeps one row.

    Assumption: as `analysis.estimation.panel_inference.power.sign_error`, with the stated error and degrees of freedom. An
        error stated too small makes every design look better here than it is.

    Source: Gelman and Carlin (2014), Perspectives on Psychological Science 9(6).

    Example:
        ``sign_errors(run_specs(panel, specs).runs)``
    """
    parts = []
    for run in runs:
        about = _named(run.spec) | {"failure": run.failure}
        if run.failure:
            parts.append(pd.DataFrame([about]))
            continue
        estimate = run.estimates["post"]
        error, made = float(estimate.table["std_error"].iloc[0]), estimate.inference
        effect = size_of(np.asarray(sizes, dtype=float), _unit(run.spec), estimate.baseline)
        frame = pd.DataFrame(about | {"effect_percent": list(sizes), "effect": effect})
        if error > 0 and np.isfinite(effect).all():
            found = sign_error(effect, error, made.df, made.level)
            frame = frame.assign(
                power=found.power, sign_error=found.sign_error, exaggeration=found.exaggeration
            )
        parts.append(frame)
    return pd.concat(parts, ignore_index=True).reindex(columns=list(SIGNS))


# ---------------------------------------------------------------------------------------------------------------
# Words
# ---------------------------------------------------------------------------------------------------------------

MINUS = "\N{MINUS SIGN}"
DESIGN_ASSUMPTIONS: Mapping[str, str] = ASSUMPTIONS | {
    "classes": "reported crime would have moved alike in counties of one urban-rural class with and without a limit",
    "border": "reported crime would have moved alike on both sides of a border, and a limit moves nothing across it",
    "adopters": "nothing else moved reported crime in the years around adoption",
    "synthetic": "the mixture of other areas would have moved like the adopters",
}


def exclusion_sentence(run: Run) -> str:
    """Return what an estimate excludes, both ends, with the assumptions of its design and of its error (rule 24).

    Args:
        run: of one specification.

    Returns:
        One sentence. Without an interval it says so and why; ends beyond a fall to nothing exclude no fall; an estimate on
        too few areas or states is said to be no finding (rule 7).

    Example:
        ``exclusion_sentence(run_spec(panel, spec))``
    """
    return _sentence(run, _lines([run]).get(run.spec.name, {}))


def _sentence(run: Run, line: Mapping[str, Any]) -> str:
    outcome = f"reported {measure_label(run.spec.outcome.measure)}"
    if run.failure:
        return f"No interval for changes in {outcome}: {run.failure}."
    low, high = float(line["percent_low"]), float(line["percent_high"])
    if not np.isfinite([low, high]).all():
        return f"No interval for changes in {outcome}: the design gives no error."
    mean = "of the mean " + (
        "of comparison areas" if run.spec.design.kind == "cross_section" else "before adoption"
    )
    mean += "".join(f", {word}" for word in _sample_words(run.spec))
    ends = f"changes in {outcome} below {_percent(low)} or above {_percent(high)} {mean}"
    if low <= -MORE_THAN_ALL:
        ends = f"no fall in {outcome}, and rises above {_percent(high)} {mean}"
    few = ""
    if not line["informative"]:
        few = (
            f" It rests on {int(line['n_treated'])} treated areas in {int(line['n_states'])} states: too few to be read as a "
            "finding."
        )
    return (
        f"At {100 * float(line['level']):g} % the data exclude {ends}, if {design_assumption(run.spec)}, and if "
        f"{_error_assumption(run.estimates['post'])}.{few}"
    )


def design_assumption(spec: Spec) -> str:
    """Return what must hold for a design to compare like with like.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> design_assumption(load_spec("headline").expand()[0]).split(" limit, ")[1]
        'whatever their state, once they are alike on the covariates'
    """
    comparison = comparison_of(spec)
    said = DESIGN_ASSUMPTIONS[comparison]
    held = bool(spec.covariates.names) and comparison != "matched"
    return f"{said}, once they are alike on the covariates" if held else said


def _sample_words(spec: Spec) -> list[str]:
    """Return what tells the average of a specification from that over all residents of its sample."""
    words = [f"{' and '.join(spec.sample.drop_states)} left out"] if spec.sample.drop_states else []
    return words + ["every county counted alike"] * (spec.estimator.weights == "none")


def _error_assumption(estimate: Estimate) -> str:
    made = estimate.inference
    if made.by not in OF_STATES:
        unit = {"none": "counties", "county": "counties"}.get(made.by, f"{made.by.replace('_', ' ')}s")
        return f"what else moves it is independent between {unit}"
    between = "states and between border segments" if made.by == "state_and_segment" else "states"
    effective = estimate.effective_clusters()[0]
    worth = f" (worth {effective:.1f} of equal weight)" if np.isfinite(effective) else ""
    entered = ~np.isnan(estimate.treated).all(axis=1)
    count = len(np.unique(cluster_labels(estimate.counties, "state")[entered]))
    return (
        f"what else moves it is independent between {between}, and the {count} states behind the interval{worth} are enough to "
        "learn its size from"
    )


def _percent(value: float) -> str:
    rounded = round(value, 1) + 0.0
    return f"{MINUS if rounded < 0 else '+' if rounded > 0 else ''}{abs(rounded):.1f} %"

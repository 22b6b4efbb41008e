"""The declared grid as a loop: one specification after the other, by pyfixest, statsmodels, scipy and pandas.

What a careful user of those packages would write for each estimator of the grid, with nothing shared between
specifications: the yardstick of the throughput of ``analysis.evidence.multiverse``. Rows of a specification come from
``make_design`` with nothing kept, timed apart. The loop does less than a cell of the grid: no year before adoption, no
test of trends, no account of who was compared with whom, and an error only where a fit gives one, clustered as the
specification says (averages of several fits have none).

``python -m tests.benchmarks.plain_loop`` prints what `measure` returns, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import pyfixest as pf
import statsmodels.api as sm
from scipy.optimize import linear_sum_assignment, root
from scipy.spatial.distance import cdist

from analysis.base.errors import StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, Shared, make_design, treatment_key
from analysis.design.grid import Cell, Grid
from analysis.design.treatment import Treatment
from analysis.evidence.runs import run_spec

# Comparison counties with a higher propensity score have no weight, as in the R package DRDID.
TRIM = 0.995
# A logit whose deviance falls below this fits every county: the arms are separated.
SEPARATED = 1e-6
# Standard deviations left between the means of the arms by weights that balance them.
BALANCED = 1e-8
# On squared distances, as the R package Matching has it.
TIES = 1e-5
SEED = 20260101
# Cells drawn, and how close an estimate comes to the grid's, relative to it.
DRAWN = 66
TOLERANCE = 1e-6

Plain = Callable[[Design], float]


# --- panels -------------------------------------------------------------------------------------------------


def two_way(design: Design) -> float:
    """Return the coefficient of treatment under effects of county and year, or county and state by year."""
    data = design.table[["outcome", "treated", "county_fips", "state", "year", "weight"]]
    data = data.assign(treated=data["treated"].astype(float))
    years = "year" if design.spec.estimator.effects == "county_year" else "state^year"
    # Where the adopters of a state are all its counties, nothing is left of treatment in it.
    fit = pf.feols(
        f"outcome ~ treated | county_fips + {years}", data, vcov={"CRV1": "state"}, weights="weight"
    )
    return float(fit.coef().get("treated", np.nan))


def group_time(design: Design) -> float:
    """Return the mean of cohort, base year and year effects after adoption, by the weight of treated counties."""
    table, spec = design.table, design.spec
    counties = _counties(design)
    outcome = table.pivot(index="county_fips", columns="year", values="outcome").loc[counties.index]
    untreated = ~table.pivot(index="county_fips", columns="year", values="treated").loc[counties.index].eq(
        True
    )
    adopters = counties[counties["adopts"]]
    effects, sizes = [], []
    for (cohort, base), group in adopters.groupby(["cohort", "base"]):
        for year in (year for year in outcome.columns if year >= cohort):
            seen = outcome[year].notna() & outcome[base].notna()
            treated = seen & seen.index.isin(group.index)
            control = seen & untreated[year] & untreated[base] & counties["cohort"].ne(cohort)
            cell = counties[treated | control].assign(treated=treated, change=outcome[year] - outcome[base])
            if spec.within == "state":
                both = cell.groupby("state")["treated"].transform("nunique") == 2
                cell = cell[both]
            if not (cell["treated"].any() and not cell["treated"].all()):
                continue
            effect = _doubly_robust_change(cell, list(design.covariates), within=spec.within == "state")
            if np.isfinite(effect):
                effects.append(effect)
                sizes.append(cell.loc[cell["treated"], "weight"].sum())
    return float(np.average(effects, weights=sizes)) if effects else np.nan


def _counties(design: Design) -> pd.DataFrame:
    """Return one row a county: state, weight, covariates, cohort (0 for never), base year, and whether it adopts."""
    table = design.table
    before = table["event_time"].lt(0).fillna(False)
    after = table["event_time"].ge(0).fillna(False)
    # Years before adoption count back from the last one wholly before it.
    base = (table["year"] - table["event_time"] - 1)[before].groupby(table["county_fips"]).max()
    counties = table.drop_duplicates("county_fips").set_index("county_fips")
    counties = counties[["state", "weight", *design.covariates]].assign(
        cohort=counties["cohort"].fillna(0).astype(int), base=base.astype(float)
    )
    adopts = after.groupby(table["county_fips"]).any()
    return counties.assign(adopts=adopts & counties["base"].notna())


def _doubly_robust_change(cell: pd.DataFrame, covariates: list[str], *, within: bool) -> float:
    """Return a cell's effect on the treated: Sant'Anna and Zhao, weights normalised."""
    d, y, w = cell["treated"].to_numpy(bool), cell["change"].to_numpy(), cell["weight"].to_numpy()
    if within:
        share = (w * d).astype(float)
        by_state = (
            pd.DataFrame({"state": cell["state"].to_numpy(), "w": w, "treated": share}).groupby("state").sum()
        )
        if (by_state["treated"] / by_state["w"] >= TRIM).any():
            return np.nan
        x = pd.get_dummies(cell["state"], dtype=float).to_numpy()
    elif not covariates:
        x = sm.add_constant(d.astype(float))
        fit = sm.WLS(y, x, weights=w).fit(cov_type="cluster", cov_kwds={"groups": _codes(cell["state"])})
        share = w[d].sum() / w.sum()
        return float(fit.params[1]) if share < TRIM else np.nan
    else:
        x = sm.add_constant(_standard(cell[covariates].to_numpy(float)))
    if (~d).sum() < x.shape[1]:
        return np.nan
    residual = y - sm.WLS(y[~d], x[~d], weights=w[~d]).fit().predict(x)
    if within:
        return float(np.average(residual[d], weights=w[d]))
    score = _logit(x, d, w / w.mean())
    if score is None:
        return np.nan
    odds = np.where(score < TRIM, score / (1 - score), 0.0)[~d] * w[~d]
    if not odds.any():
        return np.nan
    return float(np.average(residual[d], weights=w[d]) - np.average(residual[~d], weights=odds))


def imputation(design: Design) -> float:
    """Return the mean gap of treated county-years to what effects fitted on the untreated ones predict."""
    table = design.table
    counties = _counties(design)
    treated = table["treated"].to_numpy(bool)
    adopts = table["county_fips"].isin(counties.index[counties["adopts"]]).to_numpy()
    level = table["year"].astype(str)
    if design.spec.within == "state":
        # Predictions know no interacted effects.
        level = table["state"] + level
    data = table[["outcome", "county_fips", "weight"]].assign(level=level)
    fit = pf.feols(
        "outcome ~ 1 | county_fips + level", data[~treated], vcov="iid", weights="weight", fixef_rm="none"
    )
    target = data[treated & adopts]
    gap = target["outcome"].to_numpy() - fit.predict(target, atol=1e-12, btol=1e-12)
    known = np.isfinite(gap)
    return (
        float(np.average(gap[known], weights=target["weight"].to_numpy()[known])) if known.any() else np.nan
    )


def border(design: Design) -> float:
    """Return the coefficient of treatment in segments: an adopter and its untreated neighbours in one state."""
    table = design.table[["county_fips", "year", "state", "outcome", "weight", "treated"]]
    table = table.assign(treated=table["treated"].astype(float))
    counties = _counties(design)
    pairs = design.geography.neighbours
    pairs = pairs.merge(counties[["cohort", "adopts"]], left_on="county_fips", right_index=True).merge(
        counties[["cohort", "state"]], left_on="neighbour_fips", right_index=True, suffixes=("", "_neighbour")
    )
    never = pairs["cohort_neighbour"].eq(0)
    pairs = pairs[pairs["adopts"] & (never | pairs["cohort_neighbour"].gt(pairs["cohort"]))]
    pairs = pairs.drop_duplicates(["county_fips", "neighbour_fips"])
    pairs = pairs.assign(segment=pairs["county_fips"] + pairs["state"])[
        ["county_fips", "neighbour_fips", "segment"]
    ]
    years = pairs.merge(table[["county_fips", "year", "treated"]], on="county_fips").merge(
        table.loc[table["treated"].eq(0), ["county_fips", "year"]].rename(
            columns={"county_fips": "neighbour_fips"}
        ),
        on=["neighbour_fips", "year"],
    )
    sides = years.groupby(["county_fips", "neighbour_fips"])["treated"].transform("nunique")
    years = years[sides == 2]
    stack = pd.concat(
        [
            years[["segment", "county_fips", "year"]],
            years[["segment", "neighbour_fips", "year"]].rename(columns={"neighbour_fips": "county_fips"}),
        ]
    ).drop_duplicates()
    if stack.empty:
        return np.nan
    stack = stack.merge(table, on=["county_fips", "year"])
    stack["weight"] /= stack.groupby("county_fips")["segment"].transform("nunique")
    # A later adopter that is a neighbour is here in its untreated years alone.
    fit = pf.feols(
        "outcome ~ treated | segment^county_fips + segment^year",
        stack,
        vcov={"CRV1": "state + segment"},
        weights="weight",
    )
    return float(fit.coef().get("treated", np.nan))


# --- cross-sections -----------------------------------------------------------------------------------------


def nearest(design: Design) -> float:
    """Return the difference to the nearest comparison county of the same class, ties shared."""
    d, weights = _treated(design), np.zeros(len(design.table))
    for one, other, distance in _classes(design):
        squared = distance**2
        near = squared <= squared.min(axis=1, keepdims=True) + TIES
        weights[one] = 1.0
        weights[other] += (near / near.sum(axis=1, keepdims=True)).sum(axis=0)
    return _difference(design, d, weights)


def optimal_pairs(design: Design) -> float:
    """Return the difference within pairs of least total distance, inside classes."""
    d, weights = _treated(design), np.zeros(len(design.table))
    for one, other, distance in _classes(design):
        rows, columns = linear_sum_assignment(distance)
        weights[one[rows]] = weights[other[columns]] = 1.0
    return _difference(design, d, weights)


def coarsened(design: Design) -> float:
    """Return the difference within strata of covariates cut at their quarters."""
    table, d = design.table, _treated(design)
    cut = {}
    for name in design.covariates:
        edges = np.unique(table[name].quantile([0.25, 0.5, 0.75]))
        cut[name] = pd.cut(table[name], [-np.inf, *edges, np.inf], right=False, labels=False)
    cells = pd.DataFrame(cut).assign(treated=d)
    groups = cells.groupby(list(design.covariates))["treated"]
    treated, size = groups.transform("sum"), groups.transform("size")
    both = (treated > 0) & (treated < size)
    weights = np.where(both, np.where(d, 1.0, treated / (size - treated).where(both, 1)), 0.0)
    return _difference(design, d, weights)


def entropy(design: Design) -> float:
    """Return the difference to comparison counties weighted to the means of the treated."""
    d, x = _treated(design), _standard(design.table[list(design.covariates)].to_numpy(float))
    gap = x[~d] - x[d].mean(axis=0)

    def share(beta: np.ndarray) -> np.ndarray:
        raw = np.exp(gap @ beta - (gap @ beta).max())
        return np.asarray(raw / raw.sum())

    def imbalance(beta: np.ndarray) -> np.ndarray:
        return np.asarray(share(beta) @ gap)

    def slope(beta: np.ndarray) -> np.ndarray:
        p = share(beta)
        return np.asarray((gap * p[:, None]).T @ gap - np.outer(p @ gap, p @ gap))

    found = root(imbalance, np.zeros(x.shape[1]), jac=slope, tol=1e-12)
    if np.abs(found.fun).max() > BALANCED:
        return np.nan
    weights = np.ones(len(d))
    weights[~d] = share(found.x)
    return _difference(design, d, weights)


def doubly_robust(design: Design) -> float:
    """Return the augmented difference: a regression in the comparison arm, residuals weighted by a logit."""
    d, y = _treated(design), design.table["outcome"].to_numpy(float)
    x = sm.add_constant(_standard(design.table[list(design.covariates)].to_numpy(float)))
    score = _logit(x, d, np.ones(len(d)))
    if score is None:
        return np.nan
    residual = y - sm.OLS(y[~d], x[~d]).fit().predict(x)
    return float(residual[d].mean() - np.average(residual[~d], weights=(score / (1 - score))[~d]))


def _treated(design: Design) -> np.ndarray:
    return design.table["treated"].to_numpy(bool)


def _classes(design: Design) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows of treated and of comparison counties of each class, and Mahalanobis distances between them."""
    table, d = design.table, _treated(design)
    x = table[list(design.covariates)].to_numpy(float)
    inverse = np.linalg.inv(np.cov(x, rowvar=False, ddof=0))
    for rows in table.groupby("urban_class").indices.values():
        one, other = rows[d[rows]], rows[~d[rows]]
        if len(one) and len(other):
            yield one, other, cdist(x[one], x[other], "mahalanobis", VI=inverse)


def _difference(design: Design, d: np.ndarray, weights: np.ndarray) -> float:
    used = weights > 0
    if not (used & d).any() or not (used & ~d).any():
        return np.nan
    rows = design.table[used]
    fit = sm.WLS(
        rows["outcome"].to_numpy(float), sm.add_constant(d[used].astype(float)), weights=weights[used]
    )
    return float(fit.fit(cov_type="cluster", cov_kwds={"groups": _codes(rows["state"])}).params[1])


def _logit(x: np.ndarray, d: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return fitted probabilities, or None where the arms are separated: the likelihood then has no maximum."""
    model = sm.GLM(d.astype(float), x, family=sm.families.Binomial(), freq_weights=weights)
    try:
        fit = model.fit(tol=1e-12)
    except np.linalg.LinAlgError:
        return None
    return np.asarray(fit.fittedvalues) if fit.deviance > SEPARATED else None


def _standard(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _codes(states: pd.Series) -> np.ndarray:
    return np.asarray(pd.factorize(states)[0])


# Estimator of a spec to its plain version; of weights the grid has those by entropy.
ESTIMATORS: dict[str, Plain] = {
    "two_way": two_way,
    "group_time_att": group_time,
    "imputation": imputation,
    "border_pairs": border,
    "matched_difference": nearest,
    "optimal_match": optimal_pairs,
    "coarsened_match": coarsened,
    "weighting": entropy,
    "doubly_robust": doubly_robust,
}


def plain_estimate(design: Design) -> float:
    """Return the estimate of a cell on its rows, missing where it has none."""
    with warnings.catch_warnings():
        # Of separated arms, which are looked at here, and of few clusters.
        warnings.simplefilter("ignore")
        return ESTIMATORS[design.spec.estimator.name](design)


# --- the measurement ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timed:
    """What the loop took for one kind of cell.

    Args:
        family: of the grid.
        kind: its estimator, in the grid's words.
        cells: in the grid.
        timed: of them, drawn.
        rows: mean seconds to make a cell's rows from the panel.
        rows_kept: the same in a loop that keeps who is treated under each definition.
        calls: mean seconds of the estimation itself.
        variance: of the sum of rows and calls over the cells drawn.
        agree: cells whose estimate is the grid's, or missing in both.
    """

    family: str
    kind: str
    cells: int
    timed: int
    rows: float
    rows_kept: float
    calls: float
    variance: float
    agree: int


def kind_of(cell: Cell) -> str:
    """Return what a cell is timed with: its estimator, and its covariates where the grid varies them."""
    covariates = cell.options.get("covariates", "none")
    return cell.options["estimator"] + ("" if covariates == "none" else f", {covariates} covariates")


def draw(grid: Grid, total: int = DRAWN) -> dict[tuple[str, str], tuple[int, list[Cell]]]:
    """Return by family and kind how many cells the grid holds, and a random few in proportion, three at least."""
    held: dict[tuple[str, str], list[Cell]] = {}
    for cell in grid.cells():
        if cell.spec is not None:
            held.setdefault((cell.family, kind_of(cell)), []).append(cell)
    size, rng = sum(map(len, held.values())), np.random.default_rng(SEED)
    found = {}
    for kind, cells in held.items():
        number = min(len(cells), max(3, round(total * len(cells) / size)))
        found[kind] = len(cells), [cells[i] for i in sorted(rng.choice(len(cells), number, replace=False))]
    return found


def measure(panel: Panel, grid: Grid, total: int = DRAWN) -> tuple[list[Timed], list[str]]:
    """Time the loop on a stratified sample of a grid's cells, and hold each estimate against the grid's.

    Args:
        panel: see `analysis.base.records.Panel`.
        grid: see `analysis.design.grid.load_grid`.
        total: about how many cells.

    Returns:
        One line a kind of cell, and the names of cells whose estimates differ.
    """
    lines, differ, treatments = [], [], Shared().treatments
    for (family, kind), (size, cells) in draw(grid, total).items():
        _load(panel, cells[0])
        found = [_one(panel, cell, treatments) for cell in cells]
        seconds = np.array([one[:3] for one in found])
        differ += [
            str(cell.spec and cell.spec.name) for cell, one in zip(cells, found, strict=True) if not one[3]
        ]
        rows, kept, calls = seconds.mean(axis=0).tolist()
        variance = float((seconds[:, 0] + seconds[:, 2]).var(ddof=1))
        agree = sum(one[3] for one in found)
        lines.append(Timed(family, kind, size, len(cells), rows, kept, calls, variance, agree))
    return lines, differ


def _load(panel: Panel, cell: Cell) -> None:
    """Run a cell once: the first call of each kind loads and compiles, which is not what a cell costs."""
    assert cell.spec is not None
    with contextlib.suppress(StudyError):
        plain_estimate(make_design(panel, cell.spec))


def _one(
    panel: Panel, cell: Cell, treatments: dict[tuple[object, ...], Treatment]
) -> tuple[float, float, float, bool]:
    """Return seconds for a cell's rows, for its rows with treatments kept, and for the calls; and whether it agrees."""
    assert cell.spec is not None
    start = time.perf_counter()
    try:
        design = make_design(panel, cell.spec)
    except StudyError:
        # No sample: the loop is done, and so is the grid.
        rows = time.perf_counter() - start
        return rows, rows, 0.0, bool(run_spec(panel, cell.spec).failure)
    made = time.perf_counter()
    value = plain_estimate(design)
    end = time.perf_counter()
    if treatment_key(cell.spec) not in treatments:
        make_design(panel, cell.spec, Shared(treatments))
    again = time.perf_counter()
    make_design(panel, cell.spec, Shared(treatments))
    kept = time.perf_counter() - again
    run = run_spec(panel, cell.spec, design)
    ours = np.nan if run.failure else float(run.estimates["post"].table["estimate"].iloc[0])
    agrees = bool(np.isclose(value, ours, rtol=TOLERANCE, atol=0, equal_nan=True))
    return made - start, kept, end - made, agrees


def main() -> None:
    """Print what `measure` returns for the declared grid."""
    from tests.benchmarks.grids import declared, panel_at_hand

    lines, differ = measure(panel_at_hand(), declared())
    print(json.dumps({"lines": [asdict(line) for line in lines], "differ": differ}))


if __name__ == "__main__":
    main()

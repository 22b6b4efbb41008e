"""Two-way fixed effects: one coefficient for all treated county-years, pyfixest as engine.

Effects are county and year, or county and state-by-year. Errors are clustered with pyfixest's factor, stated
in the
notes: (N - 1) / (N - k) times G / (G - 1), where k counts regressors and those effects that are not nested in
clusters (county effects are never counted; year effects are; state-by-year effects are not where clusters are
states, one constant is then). PanelOLS and estimatr count nested effects too, so their errors are a known
multiple.

k is counted here and held against the engine's: pyfixest 0.60 takes every effect for nested when the cluster
variable is an effect and does not stand first, which is why counties do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError, StudyError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, collecting, make_estimate
from analysis.estimation.inference import wild_cluster_bootstrap

Array = NDArray[np.float64]

EFFECTS = {"county_year": ("county_fips", "year"), "state_by_year": ("county_fips", "state_year")}


def fit(design: Design) -> Estimate:
    """Estimate the coefficient of treatment with county and year (or state-by-year) effects.

    Args:
        design: a panel; ``estimator.effects`` names the effects, ``controls.policies`` time-varying
            regressors.

    Returns:
        An Estimate of estimand ``att`` with one row. With effects that differ by cohort or time it is a
        weighted average of them in which weights may be negative; the notes say so. Under ``vcov =
        "wild_bootstrap"`` p-value and interval come from the wild cluster bootstrap and the standard error
        stays the cluster-robust one.

    Raises:
        SpecError: a key it cannot honour.
        SampleError: treatment does not vary once effects are taken out.

    Assumption: parallel trends (within state and year), effects alike across cohorts and years.

    Source: de Chaisemartin and D'Haultfoeuille (2020); Goodman-Bacon (2021) on what the coefficient averages.
    """
    _refuse(design)
    spec, notes = design.spec, []
    effects = EFFECTS[spec.estimator.effects or ""]
    table = _frame(design)
    data = _without_singletons(table, effects)
    dropped = len(table) - len(data)
    if dropped:
        notes.append(
            f"{dropped} county-years alone in their county or state-year are left out: an effect fits them"
        )
    with collecting(notes, "pyfixest"):
        found = _engine(data, effects, design.controls, spec.inference.by)
    own = found.own
    weight = data["weight"].to_numpy()
    scale = float(weight @ own**2)
    if scale <= 1e-10 * float(weight.sum()):
        raise SampleError(
            "treatment does not vary within the effects", "states or years with both arms", "sample"
        )
    factor = (len(data) - 1) / (len(data) - found.counted)
    counties = pd.Index(sorted(data["county_fips"].unique()), name="county_fips")
    at = counties.get_indexer(data["county_fips"])
    score = np.bincount(at, weight * own * found.residual, minlength=len(counties)) / scale
    # Where treatment never differs between a state's counties, state-by-year effects leave nothing of it:
    # such counties do not enter, or only to hold the controls constant.
    moves, tells = (
        np.bincount(at, np.abs(v) > 1e-8, minlength=len(counties)) > 0 for v in (own, found.plain)
    )
    treated = np.bincount(at, weight * data["treated"].to_numpy(), minlength=len(counties)) * tells
    score[~moves] = 0.0
    estimate = make_estimate(
        design,
        rows=pd.DataFrame(
            {
                "term": ["treated"],
                "cohort": pd.NA,
                "time": pd.NA,
                "event_time": pd.NA,
                "estimate": [found.coefficient],
            }
        ),
        counties=counties,
        influence=(score * np.sqrt(factor))[:, None],
        treated=np.where(moves, treated, np.nan)[:, None],
        estimand="att",
        reference=None,
        notes=[*notes, *_notes(design, len(data), found.counted)],
        dropped=_dropped(data, counties, moves, dropped),
    )
    # The engine counts clusters in which treatment does not vary; here they are none of those behind the
    # number.
    g, every = estimate.inference.clusters, data[_cluster_column(spec.inference.by)].nunique()
    expected = found.error**2 * (every - 1) / every * g / (g - 1)
    if not np.isclose(float(estimate.vcov[0, 0]), expected, rtol=1e-6):
        raise StudyError(
            f"the scores give an error of {estimate.vcov[0, 0] ** 0.5:.6g}, pyfixest {expected**0.5:.6g}",
            "the same number",
            "analysis/estimation/two_way.py",
        )
    return _bootstrapped(estimate, data, design) if spec.inference.vcov == "wild_bootstrap" else estimate


def _refuse(design: Design) -> None:
    spec = design.spec
    if design.kind != "panel" or spec.estimator.effects not in EFFECTS:
        raise SpecError(
            f"two_way on a {design.kind} with effects {spec.estimator.effects!r}",
            f"a panel; one of {', '.join(EFFECTS)}",
        )
    if spec.treatment.anticipation:
        raise SpecError(
            f"treatment.anticipation = {spec.treatment.anticipation} with two_way", "0", "the spec"
        )
    crossing = spec.estimator.effects == "state_by_year" and spec.inference.by != "state"
    if spec.inference.vcov == "wild_bootstrap" and crossing:
        raise SpecError(
            'inference.by = "county" for a wild bootstrap under state-by-year effects, which cross counties',
            '"state"',
            "inference.by",
        )


def _cluster_column(by: str) -> str:
    return "state" if by == "state" else "county_fips"


def _frame(design: Design) -> pd.DataFrame:
    columns = ["county_fips", "year", "outcome", "treated", "weight", *design.controls]
    data = design.table[columns].reset_index(drop=True)
    data["treated"] = data["treated"].astype(float)
    # Weights with mean one: the coefficient does not change and the arithmetic keeps its digits.
    data["weight"] = data["weight"] / data["weight"].mean()
    data["state"] = data["county_fips"].str[:2]
    data["state_year"] = data["state"] + "-" + data["year"].astype(str)
    for name in design.controls:
        data[name] = data[name].astype(float)
    return data


def _without_singletons(data: pd.DataFrame, effects: tuple[str, ...]) -> pd.DataFrame:
    while True:
        counts = [data.groupby(effect, observed=True)["year"].transform("size") for effect in effects]
        keep = np.logical_and.reduce([count.to_numpy() > 1 for count in counts])
        if keep.all():
            return data
        data = data[keep].reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class _Regression:
    """What the engine found.

    Args:
        coefficient: of treatment.
        error: its standard error by the engine.
        residual: (n,) of the regression.
        own: (n,) treatment's variation beyond effects and controls.
        plain: (n,) treatment's variation beyond effects alone.
        counted: k of the error factor.
    """

    coefficient: float
    error: float
    residual: Array
    own: Array
    plain: Array
    counted: int


def _engine(data: pd.DataFrame, effects: tuple[str, ...], controls: tuple[str, ...], by: str) -> _Regression:
    import pyfixest as pf

    absorbed = " + ".join(effects)
    options = _options(data) | {
        "vcov": {"CRV1": _cluster_column(by)},
        "ssc": pf.ssc(k_adj=True, k_fixef="nonnested", G_adj=True, G_df="min"),
    }
    others = [name for name in controls if data[name].std() > 0]
    plain = np.asarray(pf.feols(f"treated ~ 1 | {absorbed}", **options).resid(), dtype=float)
    if not float(data["weight"].to_numpy() @ plain**2) > 1e-10 * len(data):
        return _Regression(np.nan, np.nan, plain, plain, plain, 0)
    own = plain
    if others:
        own = np.asarray(
            pf.feols(f"treated ~ {' + '.join(others)} | {absorbed}", **options).resid(), dtype=float
        )
    main = pf.feols(f"outcome ~ treated{''.join(f' + {name}' for name in others)} | {absorbed}", **options)
    line = main.tidy().loc["treated"]
    # County effects lie within clusters; year effects cross them; state-by-year effects cross counties alone.
    second = effects[1]
    nested = second == "state_year" and by == "state"
    k = len(main.coef()) + (1 if nested else int(data[second].nunique()))
    return _Regression(
        float(line["Estimate"]),
        float(line["Std. Error"]),
        np.asarray(main.resid(), dtype=float),
        own,
        plain,
        k,
    )


def _options(data: pd.DataFrame) -> dict[str, Any]:
    import pyfixest as pf

    return {
        "data": data,
        "weights": "weight",
        "fixef_rm": "none",
        "demeaner": pf.MapDemeaner(fixef_tol=1e-10, fixef_maxiter=100_000),
    }


def _bootstrapped(estimate: Estimate, data: pd.DataFrame, design: Design) -> Estimate:
    spec = design.spec
    columns = np.column_stack([data["outcome"], data["treated"], *(data[name] for name in design.controls)])
    if spec.estimator.effects == "county_year":
        years = pd.get_dummies(data["year"], drop_first=True).to_numpy(dtype=float)
        columns = _demean(np.hstack([columns, years]), data["county_fips"], data["weight"].to_numpy())
    else:
        with collecting([], "pyfixest"):
            columns = np.column_stack([_swept(data, column) for column in columns.T])
    asked = spec.inference
    clusters = data[_cluster_column(asked.by)].to_numpy(dtype=str)
    result = wild_cluster_bootstrap(
        columns[:, 0], columns[:, 1], columns[:, 2:], data["weight"].to_numpy(), clusters,
        level=asked.level, draws=asked.draws, seed=asked.seed,
    )  # fmt: skip
    table = estimate.table.assign(
        p_value=result.p_value,
        conf_low=result.conf_low,
        conf_high=result.conf_high,
        band_low=result.conf_low,
        band_high=result.conf_high,
    )
    note = (
        f"p-value and interval by wild cluster bootstrap, null imposed, {result.multiplier} multipliers, "
        f"{asked.draws} draws; the standard error is the cluster-robust one"
    )
    return replace(
        estimate,
        table=table,
        inference=replace(estimate.inference, kind="wild_bootstrap"),
        notes=(*estimate.notes, note),
    )


def _demean(columns: Array, groups: pd.Series, weights: Array) -> Array:
    codes = pd.factorize(groups)[0]
    total = np.bincount(codes, weights)
    means = np.column_stack([np.bincount(codes, weights * column) / total for column in columns.T])
    return columns - means[codes]


def _swept(data: pd.DataFrame, column: Array) -> Array:
    """Return a column without county and state-by-year effects, which lie within states."""
    import pyfixest as pf

    fitted = pf.feols(
        "column ~ 1 | county_fips + state_year", vcov="iid", **_options(data.assign(column=column))
    )
    return np.asarray(fitted.resid(), dtype=float)


def _dropped(
    data: pd.DataFrame, counties: pd.Index, moves: NDArray[np.bool_], singletons: int
) -> list[tuple[str, int, int, int]]:
    ever = data.groupby("county_fips")["treated"].max().reindex(counties).to_numpy() > 0
    lines = []
    if singletons:
        lines.append(("two-way: not alone in its effects", len(counties), len(data), int(ever.sum())))
    if not moves.all():
        years = int(data["county_fips"].isin(counties[moves]).sum())
        lines.append(
            ("two-way: in a state where treatment differs", int(moves.sum()), years, int(ever[moves].sum()))
        )
    return lines


def _notes(design: Design, n: int, k: int) -> list[str]:
    spec = design.spec
    words = "county and year" if spec.estimator.effects == "county_year" else "county and state-by-year"
    weighted = "unweighted" if spec.estimator.weights == "none" else "weighted by baseline population"
    return [
        f"{words} effects, {weighted}; error factor (N - 1) / (N - k) x G / (G - 1), "
        f"N = {n:,}, k = {k}: regressors, and a constant or the effects not nested in clusters",
        "one coefficient for all years after adoption: where effects differ by cohort or year it is a weighted "
        "average whose weights may be negative",
    ]

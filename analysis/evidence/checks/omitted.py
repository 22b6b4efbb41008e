"""How strong an omitted variable would have to be: for every headline regression, and beside the other hidden biases.

Two frames. `omitted` takes the regressions: robustness values with what measured covariates would do as a yardstick
(Cinelli and Hazlett), and proportional selection (Oster). `bias_needed` gathers, for every estimate, what each kind of
hidden bias would have to be. A two-way design is its own regression. Group-time effects and the matched comparison are
no regressions; the nearest one stands in for them, and says so: changes of counties' means, and levels of one year.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import qr

from analysis.base.codebook import load_codebook
from analysis.base.errors import SampleError, SpecError, StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.spec import Spec
from analysis.estimation import aggregate, fit
from analysis.estimation.estimate import Estimate, treated_states
from analysis.estimation.panel_arrays.effects import make_effects, residuals, without_singletons
from analysis.estimation.panel_inference.few_clusters import cluster_variance_small
from analysis.estimation.panel_inference.omitted import (
    Clustered,
    Partialled,
    benchmark,
    bias_adjusted,
    bias_adjusted_restricted,
    bias_ratio,
    clustered,
    clustered_robustness,
    delta_for,
    direction_kept,
    group_strength,
    highest_r2,
    moved_interval,
    multiple_needed,
    partial_r2,
    partialled,
    robustness_value,
    selection,
)
from analysis.evidence.checks.hidden_bias import hidden_bias
from analysis.evidence.checks.honest import breakdown
from analysis.evidence.matches import variant_of
from analysis.evidence.verdict import INDEPENDENT, informative

Array = NDArray[np.float64]
Index = NDArray[np.intp]

COLUMNS = (
    "spec", "variant", "measure", "regression", "adjusted", "device", "about", "setting", "statistic", "value", "unit",
    "note", "failure",
)  # fmt: skip
NEEDED = (
    "spec", "variant", "measure", "estimator", "estimate", "conf_low", "conf_high", "baseline", "device", "statistic",
    "about", "value", "unit", "informative", "carries_verdict",
    "note", "failure",
)  # fmt: skip

NUMBERS = ("setting", "value", "estimate", "conf_low", "conf_high", "baseline")
FLAGS = ("informative", "carries_verdict")

# Regressions.
TWO_WAY, CHANGES, LEVELS = "two_way", "changes", "levels"
# What a regression holds constant besides its effects.
BARE, COVARIATES, DIVISIONS = "none", "covariates", "covariates_and_divisions"
# Benchmarks that are more than one covariate.
ALL, POLICIES, CLASSES, DIVISION = "all_covariates", "federal_policies", "urban_class", "division"
FEDERAL = ("secure_communities", "agreement_287g")
# Devices: of `omitted`, and those that only `bias_needed` holds.
REGRESSION, ROBUSTNESS, BENCHMARK, SELECTION = "regression", "robustness_value", "benchmark", "selection"
TRENDS, ODDS = "relative_magnitude", "rosenbaum_gamma"
MULTIPLES = (1.0, 2.0, 3.0)
R_MAX = 1.3
SIZE = 0.05
SHARE, RATIO, NUMBER = "share of variance", "multiple", "number"
OF_RESIDUAL = "share of what the effects leave"
STANDS_IN = {
    CHANGES: "a regression of counties' changes stands in for group-time effects",
    LEVELS: "a regression of levels stands in for the match; it weighs counties by how much treatment varies there",
}


NO_DELTA = (
    "covariates moved the estimate away from zero: were the effect zero, they would go with treatment the other way round "
    "than they seem to, and no delta has a meaning"
)


@dataclass(frozen=True, slots=True)
class Arrays:
    """A regression in arrays, rows in any order.

    Args:
        regression: two_way, changes or levels.
        outcome: (n,), in ``unit``.
        treated: (n,).
        weight: (n,) positive.
        county: (n,) codes.
        state: (n,) codes: clusters.
        first: (n,) codes of the effects that stand for areas; all 0 for a constant.
        second: (n,) codes of year effects; all 0 without.
        year: (n,) codes; all 0 in a cross-section.
        groups: benchmark to its columns (n, k).
        unit: of the outcome.
        baseline: mean outcome of treated counties before.
        note: what must be said.
    """

    regression: str
    outcome: Array
    treated: Array
    weight: Array
    county: Index
    state: Index
    first: Index
    second: Index
    year: Index
    groups: Mapping[str, Array]
    unit: str
    baseline: float
    note: str

    def keep(self, rows: NDArray[np.bool_], note: str = "") -> Arrays:
        """Return some rows, codes of effects as they are."""
        picked = {
            name: getattr(self, name)[rows]
            for name in ("outcome", "treated", "weight", "county", "state", "first", "second", "year")
        }
        groups = {name: columns[rows] for name, columns in self.groups.items()}
        said = "; ".join(part for part in (self.note, note) if part)
        return Arrays(
            self.regression, **picked, groups=groups, unit=self.unit, baseline=self.baseline, note=said
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A regression with its effects swept out, and its errors.

    Args:
        found: coefficient and what its bias is made of.
        error: clustered by state, CR2.
        columns: benchmark to columns of ``x``.
        y, d, x, weights: swept arrays.
    """

    found: Partialled
    error: Clustered
    columns: Mapping[str, Index]
    y: Array
    d: Array
    x: Array
    weights: Array


def regression_of(panel: Panel, spec: Spec, covariates: Sequence[str], vintage: str) -> Arrays:
    """Return the regression that is, or stands in for, the estimate of a spec, with everything it may be adjusted for.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: without a grid: two_way, group_time_att, or a matched difference of a cross-section.
        covariates: names of the codebook, for benchmarks.
        vintage: of the covariates.

    Returns:
        `Arrays`. Two-way: county-years under the spec's effects; covariates by year, and federal policies of the year.
        Group-time: each county's mean from its adoption on less its mean before, for the cohort with most counties against
        those not treated by the last year, within states where the spec compares there. Matched: levels of the year, with
        dummies of the urban class.

    Raises:
        SpecError: an estimator no regression is near to.
        SampleError: nobody treated or nobody to compare with.

    Assumption: for group-time effects that changes of one cohort tell what the average over cohorts does.
    """
    name = spec.estimator.name
    if name not in ("two_way", "group_time_att") and spec.design.kind != "cross_section":
        raise SpecError(
            f"no regression is near to {name}: every county would enter it as often as it has neighbours"
            if name == "border_pairs"
            else f"no regression is near to {name}",
            "two_way, group_time_att or a matched difference",
            "estimator.name",
        )
    design = make_design(panel, spec)
    table = design.table
    keep = table["weight"].gt(0).to_numpy() & table["outcome"].notna().to_numpy()
    table = table[keep].reset_index(drop=True)
    codebook = load_codebook()
    wanted = {one: codebook.covariate_column(one, vintage) for one in covariates}
    policies = [one for one in FEDERAL if one in panel.table] if name == "two_way" else []
    source = panel.table[["county_fips", "year", *dict.fromkeys([*wanted.values(), *policies])]]
    held = table[["county_fips", "year"]].merge(
        source, on=["county_fips", "year"], how="left", validate="1:1"
    )
    values = {one: held[column].to_numpy(dtype=float, na_value=np.nan) for one, column in wanted.items()}
    if name == "two_way":
        return _two_way(
            design, table, values, {p: held[p].to_numpy(dtype=float, na_value=np.nan) for p in policies}
        )
    return _changes(design, table, values) if name == "group_time_att" else _levels(design, table, values)


def _two_way(
    design: Design, table: pd.DataFrame, values: Mapping[str, Array], policies: Mapping[str, Array]
) -> Arrays:
    county, year = (_codes(table[name]) for name in ("county_fips", "year"))
    state = _codes(table["state"])
    effects = design.spec.estimator.effects
    if effects not in ("county_year", "state_by_year"):
        raise SpecError(f'effects = "{effects}"', "county_year or state_by_year", "estimator.effects")
    second = year if effects == "county_year" else _codes(state * (year.max() + 1) + year)
    years = (year[:, None] == np.arange(1, year.max() + 1)).astype(float)
    groups = {name: column[:, None] * years for name, column in values.items()}
    groups |= {name: column[:, None] for name, column in policies.items()}
    if effects == "county_year":
        apart = _dummies(table["division"])
        groups[DIVISION] = np.einsum("nj,nt->njt", apart, years).reshape(len(table), -1)
    made = _arrays(TWO_WAY, design, table, county, second, year, groups)
    return made.keep(without_singletons(county, second))


def _changes(design: Design, table: pd.DataFrame, values: Mapping[str, Array]) -> Arrays:
    treated = table.loc[table["treated"]]
    if treated.empty:
        raise SampleError("no county treated in the window", "one", "treatment")
    cohort = int(treated.groupby("cohort")["county_fips"].nunique().idxmax())
    base = int(table.loc[table["cohort"].eq(cohort) & table["event_time"].le(-1), "year"].max())
    last = int(table["year"].max())
    one, never = table["cohort"].eq(cohort), table["cohort"].isna() | table["cohort"].gt(last)
    part = table.assign(**values)[(one | never).to_numpy()]
    after, before = part[part["year"] >= cohort], part[part["year"] <= base]
    means = [half.groupby("county_fips")["outcome"].mean() for half in (after, before)]
    rows = before.drop_duplicates("county_fips").set_index("county_fips")
    rows = rows.assign(outcome=means[0] - means[1]).dropna(subset=["outcome"]).reset_index()
    rows = rows.assign(treated=rows["cohort"].eq(cohort).fillna(False).astype(bool))
    others = treated["county_fips"].nunique() - int(rows["treated"].sum())
    first = int(table["year"].min())
    note = f"mean of {cohort}-{last} less mean of {first}-{base}" + (
        f"; {others} treated counties of other cohorts left out" if others else ""
    )
    groups = {name: rows[name].to_numpy(dtype=float)[:, None] for name in values}
    areas = np.zeros(len(rows), dtype=np.intp)
    if design.spec.estimator.within == "state":
        areas = _codes(rows["state"])
    else:
        groups[DIVISION] = _dummies(rows["division"])
    return _arrays(CHANGES, design, rows, areas, np.zeros_like(areas), np.zeros_like(areas), groups, note)


def _levels(design: Design, table: pd.DataFrame, values: Mapping[str, Array]) -> Arrays:
    groups = {name: column[:, None] for name, column in values.items()}
    groups |= {CLASSES: _dummies(table["urban_class"]), DIVISION: _dummies(table["division"])}
    one = np.zeros(len(table), dtype=np.intp)
    return _arrays(LEVELS, design, table, one, one, one, groups)


def _arrays(
    regression: str, design: Design, rows: pd.DataFrame, first: Index, second: Index, year: Index,
    groups: Mapping[str, Array], note: str = "",
) -> Arrays:  # fmt: skip
    weight = rows["weight"].to_numpy(dtype=float)
    return Arrays(
        regression=regression,
        outcome=rows["outcome"].to_numpy(dtype=float),
        treated=rows["treated"].to_numpy(dtype=float),
        weight=weight / weight.mean(),
        county=_codes(rows["county_fips"]),
        state=_codes(rows["state"]),
        first=first,
        second=second,
        year=year,
        groups=groups,
        unit=design.unit,
        baseline=design.baseline,
        note="; ".join(part for part in (STANDS_IN.get(regression, ""), note) if part),
    )


def _codes(values: Any) -> Index:
    return np.asarray(np.unique(np.asarray(values), return_inverse=True)[1], dtype=np.intp).ravel()


def _dummies(values: pd.Series) -> Array:
    return pd.get_dummies(values.astype(str), drop_first=True).to_numpy(dtype=float)


def adjustments(arrays: Arrays) -> dict[str, tuple[str, ...]]:
    """Return the sets a regression is adjusted for, from none to all, each as names of its groups."""
    without = tuple(name for name in arrays.groups if name != DIVISION)
    sets: dict[str, tuple[str, ...]] = {BARE: ()}
    if without:
        sets[COVARIATES] = without
    if DIVISION in arrays.groups:
        sets[DIVISIONS] = (*without, DIVISION)
    return sets


def fitted(arrays: Arrays, names: Sequence[str]) -> Fitted:
    """Return the regression adjusted for some of its groups, errors clustered by state (CR2).

    Args:
        arrays: from `regression_of`, without missing values in those groups.
        names: of groups.

    Raises:
        SampleError: treatment does not vary beyond the effects and groups, or no clustered variance.
    """
    sizes = [arrays.groups[name].shape[1] for name in names]
    raw = (
        np.column_stack([arrays.groups[name] for name in names])
        if names
        else np.empty((len(arrays.outcome), 0))
    )
    first, second, weight = _codes(arrays.first), _codes(arrays.second), arrays.weight
    effects = make_effects(first, second, weight, int(first.max()) + 1, int(second.max()) + 1)
    swept = residuals(effects, np.column_stack([arrays.outcome, arrays.treated, raw]))
    y, d, x = swept[:, 0], swept[:, 1], swept[:, 2:]
    # What the effects absorb is rounding, and no regressor.
    own = np.sqrt(weight @ x**2) > 1e-8 * np.sqrt(weight @ raw**2)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    position = np.cumsum(own) - 1
    columns = {
        name: position[starts[i] : starts[i + 1]][own[starts[i] : starts[i + 1]]].astype(np.intp)
        for i, name in enumerate(names)
    }
    x, kept = x[:, own], raw[:, own]
    try:
        found = partialled(y, d, x, weight, effects.rank)
        small = cluster_variance_small(
            arrays.outcome,
            np.column_stack([arrays.treated, kept[:, _independent(x, weight)]]),
            weight,
            arrays.state,
            kind="CR2",
            effects=(first, second) if second.any() else (first,),
        )
    except ValueError as error:
        wrong, _, right = str(error).partition("; wanted ")
        raise SampleError(wrong, right or "a regression that can be fitted", "sample") from error
    by_state = _codes(arrays.state)
    errors = clustered(found, by_state, float(small.std_error[0]), float(small.df[0]))
    return Fitted(found, errors, {n: c for n, c in columns.items() if len(c)}, y, d, x, weight)


def _independent(x: Array, weight: Array) -> Index:
    """Return columns that span x, none of which the others stand in for."""
    if not x.shape[1]:
        return np.empty(0, dtype=np.intp)
    scaled = x * np.sqrt(weight)[:, None]
    scaled = scaled / np.sqrt((scaled**2).sum(axis=0))
    r, order = qr(scaled, mode="r", pivoting=True)
    size = np.abs(np.diag(r))
    return np.sort(order[: int((size > 1e-9 * size[0]).sum())]).astype(np.intp)


def strengths(fit: Fitted, groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[float, float]]:
    """Return of each group of benchmarks what it explains of treatment and of the outcome.

    Args:
        fit: from `fitted`.
        groups: benchmark to the names of its columns.
    """
    k = fit.x.shape[1]
    # The same inner products in k + 2 rows: every regression of columns on columns is as before.
    small = qr(np.column_stack([fit.x, fit.d, fit.y]) * np.sqrt(fit.weights)[:, None], mode="r")[0][: k + 2]
    x, d, y, one = small[:, :k], small[:, k], small[:, k + 1], np.ones(len(small))
    out = {}
    for name, members in groups.items():
        chosen = [fit.columns[member] for member in members if member in fit.columns]
        if chosen:
            out[name] = group_strength(y, d, x, one, np.concatenate(chosen))
    return out


def omitted(panel: Panel, specs: Iterable[Spec]) -> pd.DataFrame:
    """Return how strong an omitted variable would have to be, for every specification near to a regression.

    Covariates, where a spec has none of its own, are those of the first spec that names some.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids.

    Returns:
        Columns COLUMNS, a row a number. ``regression``: two_way, changes or levels; ``adjusted``: none, covariates, or
        covariates_and_divisions. By ``device``:

        * regression: estimate, conf_low, conf_high, std_error, df (by state, CR2), std_error_classical, df_classical, bias_unit,
          r2 (of what effects leave), baseline, n_rows, n_counties, n_treated, n_states (with treated counties).
        * robustness_value: estimate (for it to be zero: algebra, no error in it), interval (for the interval by state to hold
          zero), interval_classical (the published formula, independent errors of one variance: no verdict), partial_r2 (of
          treatment that a confounder must explain that explains all the rest of the outcome).
        * benchmark, ``about`` a covariate or group: r2d and r2y, what it explains beyond the others; multiple, how many
          times as strong a confounder must be for the estimate to be zero; and by ``setting`` (so many times as strong) r2dz,
          r2yz, estimate, conf_low, conf_high after its bias.
        * selection, ``setting`` the multiple of the R2 that R_max is (missing for R_max = 1): r_max, delta, beta_star,
          beta_star_restricted (the approximation), set_low and set_high; and short, long, short_r2, long_r2 and
          direction_kept (1 where delta means something: were the effect zero, covariates would still go with treatment in
          the direction they seem to).

        A specification without a regression keeps one row with its ``failure``.

    Assumption: a confounder enters linearly; covariates in a benchmark are a fair yardstick.

    Source: Cinelli and Hazlett (2020), JRSS B 82(1); Oster (2019), Journal of Business & Economic Statistics 37(2).

    Example:
        ``omitted(panel, load_spec("headline").expand())``
    """
    specs = list(specs)
    names, vintage = _yardstick(specs)
    rows: list[dict[str, Any]] = []
    for spec in specs:
        about = {"spec": spec.name, "variant": variant_of(spec.name), "measure": spec.outcome.measure}
        try:
            arrays = regression_of(panel, spec, names, vintage)
        except StudyError as error:
            rows.append(about | {"failure": " ".join(str(error).split())})
            continue
        for adjusted, chosen in adjustments(arrays).items():
            here = about | {"regression": arrays.regression, "adjusted": adjusted, "note": arrays.note}
            try:
                rows += [here | row for row in _of_one(arrays, adjusted, chosen)]
            except StudyError as error:
                rows.append(here | {"failure": " ".join(str(error).split())})
    return filled(pd.DataFrame(rows, columns=list(COLUMNS)))


def filled(table: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of this module with its types, an empty text where a file holds nothing.

    Args:
        table: columns COLUMNS or NEEDED, as made or as read from a file.

    Example:
        >>> one = pd.DataFrame({"variant": [np.nan], "value": ["1.5"], "informative": [np.nan]})
        >>> filled(one).to_dict("records")
        [{'variant': '', 'value': 1.5, 'informative': False}]
    """
    out = {}
    for name in table:
        if name in NUMBERS:
            out[name] = table[name].astype(float)
        elif name in FLAGS:
            out[name] = table[name].eq(True)
        else:
            out[name] = table[name].astype(object).fillna("")
    return pd.DataFrame(out)


def _yardstick(specs: Sequence[Spec]) -> tuple[tuple[str, ...], str]:
    for spec in specs:
        if spec.covariates.names:
            return spec.covariates.names, spec.covariates.vintage
    return (), "none"


def _of_one(arrays: Arrays, adjusted: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    known = np.ones(len(arrays.outcome), dtype=bool)
    for name in names:
        known &= np.isfinite(arrays.groups[name]).all(axis=1)
    said = "" if known.all() else f"{int((~known).sum())} rows without a covariate left out"
    if said:
        arrays = arrays.keep(known, said)
        arrays = (
            arrays.keep(without_singletons(arrays.first, arrays.second)) if arrays.second.any() else arrays
        )
    one = fitted(arrays, names)
    found, error = one.found, one.error
    _, low, high = moved_interval(found, error, 0.0, SIZE)
    moves = np.abs(one.d) > 1e-8
    treated = (arrays.treated > 0) & moves
    numbers = {
        "estimate": found.estimate, "conf_low": low, "conf_high": high, "std_error": error.std_error, "df": error.df,
        "std_error_classical": found.std_error, "df_classical": found.df, "bias_unit": found.bias_unit, "r2": found.r2,
        "baseline": arrays.baseline, "n_rows": len(one.y), "n_counties": len(np.unique(arrays.county[moves])),
        "n_treated": len(np.unique(arrays.county[treated])), "n_states": len(np.unique(arrays.state[treated])),
    }  # fmt: skip
    units = dict.fromkeys(("estimate", "conf_low", "conf_high", "std_error", "std_error_classical", "bias_unit",
                           "baseline"), arrays.unit) | {"r2": OF_RESIDUAL}  # fmt: skip
    more = {"note": arrays.note}
    for name, value in numbers.items():
        yield more | _row(REGRESSION, name, value, units.get(name, NUMBER))
    t = found.estimate / found.std_error
    for name, value in (
        ("estimate", robustness_value(t, found.df)),
        ("interval", clustered_robustness(found, error, SIZE)),
        ("interval_classical", robustness_value(t, found.df, alpha=SIZE)),
        ("partial_r2", partial_r2(t, found.df)),
    ):
        yield more | _row(ROBUSTNESS, name, value, SHARE)
    if names:
        for row in (*_benchmarks(one, names, arrays.unit), *_selected(one, arrays.unit)):
            yield more | row


def _row(
    device: str, statistic: str, value: float, unit: str, about: str = "", setting: float = np.nan
) -> dict[str, Any]:
    return {
        "device": device, "about": about, "setting": setting, "statistic": statistic, "value": float(value), "unit": unit
    }  # fmt: skip


def _benchmarks(one: Fitted, names: Sequence[str], unit: str) -> Iterator[dict[str, Any]]:
    groups: dict[str, Sequence[str]] = {name: (name,) for name in names}
    covariates = [name for name in names if name not in (*FEDERAL, CLASSES, DIVISION)]
    if len(covariates) > 1:
        groups[ALL] = covariates
    if all(name in names for name in FEDERAL):
        groups[POLICIES] = FEDERAL
    ratio = abs(one.found.estimate) / one.found.bias_unit
    for name, (of_d, of_y) in strengths(one, groups).items():
        yield _row(BENCHMARK, "r2d", of_d, SHARE, name)
        yield _row(BENCHMARK, "r2y", of_y, SHARE, name)
        yield _row(BENCHMARK, "multiple", multiple_needed(ratio, of_d, of_y), RATIO, name)
        for times in MULTIPLES:
            strong = benchmark(of_d, of_y, times)
            possible = np.isfinite(strong.r2dz)
            moved = (
                moved_interval(one.found, one.error, float(bias_ratio(strong.r2dz, strong.r2yz)), SIZE)
                if possible
                else (np.nan, np.nan, np.nan)
            )
            for statistic, value, of in (
                ("r2dz", strong.r2dz, SHARE), ("r2yz", strong.r2yz, SHARE), ("estimate", moved[0], unit),
                ("conf_low", moved[1], unit), ("conf_high", moved[2], unit),
            ):  # fmt: skip
                yield _row(BENCHMARK, statistic, value, of, name, times)


def _selected(one: Fitted, unit: str) -> Iterator[dict[str, Any]]:
    found = selection(one.y, one.d, one.x, one.weights)
    for name in ("short", "long", "short_r2", "long_r2"):
        yield _row(SELECTION, name, getattr(found, name), OF_RESIDUAL if name.endswith("r2") else unit)
    yield _row(SELECTION, "direction_kept", float(direction_kept(found)), "1 yes, 0 no")
    for setting, r_max in ((R_MAX, highest_r2(found.long_r2, R_MAX)), (np.nan, 1.0)):
        star = bias_adjusted(found, r_max)
        for statistic, value, of in (
            ("r_max", r_max, OF_RESIDUAL),
            ("delta", delta_for(found, r_max), RATIO),
            ("beta_star", star, unit),
            ("beta_star_restricted", bias_adjusted_restricted(found, r_max), unit),
            ("set_low", min(found.long, star), unit),
            ("set_high", max(found.long, star), unit),
        ):
            yield _row(SELECTION, statistic, value, of, setting=setting)


# --- every device beside every estimate
# ----------------------------------------------------------------------------------------------------


def bias_needed(panel: Panel, specs: Iterable[Spec], found: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return, for every estimate, what each kind of hidden bias would have to be.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids.
        found: from `omitted` on the same specs; made here if None.

    Returns:
        Columns NEEDED, a row a device and number, beside the estimate and its interval. By ``device``:

        * regression (estimate): the coefficient of the regression that is, or stands in for, the spec's, holding constant
          what the spec does.
        * robustness_value: share of what is left of treatment and of the outcome that an omitted variable must explain,
          both alike: for that coefficient to be zero (estimate), for its interval by state to hold it (interval).
        * benchmark (multiple): how many times as strong as ``about`` it must be for the estimate to be zero.
        * selection (delta): how much more strongly treatment must go with what is omitted than with the covariates, at
          R_max of 1.3 times the R2 and of 1; missing where it has no meaning.
        * relative_magnitude (interval): the move in trend after adoption, as a multiple of the largest before, at which
          the interval of the event study holds zero; 0 where it does without one.
        * rosenbaum_gamma (test): ratio of odds of treatment in a matched set at which the test of no difference passes
          0.05, of pairs made without replacement; 1 where it does without hidden bias.

        ``informative`` is rule 7's; ``carries_verdict``: the device rests on an interval by state and the design is informative (rules 7 and 12).
        Where a device does not apply its row is kept, with ``failure``.
    """
    specs = list(specs)
    found = omitted(panel, specs) if found is None else filled(found)
    rows: list[dict[str, Any]] = []
    for spec in specs:
        about: dict[str, Any] = {
            "spec": spec.name, "variant": variant_of(spec.name), "measure": spec.outcome.measure,
            "estimator": spec.estimator.name,
        }  # fmt: skip
        try:
            design = make_design(panel, spec)
            dynamic = fit(design)
            post = aggregate(dynamic, over="post")
        except StudyError as error:
            rows.append(about | {"failure": " ".join(str(error).split())})
            continue
        line = post.table.iloc[0]
        about |= {name: float(line[name]) for name in ("estimate", "conf_low", "conf_high")}
        about["baseline"] = design.baseline
        enough = informative(int(line["n_treated"]), len(treated_states(post)))
        about["informative"] = enough
        for row in (*_from_regressions(spec, found), _trend(dynamic), _odds(panel, spec)):
            carries = bool(row.pop("by_state", False)) and enough and not row.get("failure")
            rows.append(about | row | {"carries_verdict": carries})
    return filled(pd.DataFrame(rows, columns=list(NEEDED)))


def _from_regressions(spec: Spec, found: pd.DataFrame) -> Iterator[dict[str, Any]]:
    mine = found[found["spec"].eq(spec.name)]
    kept_direction = (
        mine.loc[mine["statistic"].eq("direction_kept") & mine["adjusted"].eq(COVARIATES), "value"]
        .eq(1.0)
        .all()
    )
    declared = COVARIATES if spec.covariates.names else BARE
    failed = mine.loc[mine["failure"].ne("") & mine["adjusted"].isin(["", declared]), "failure"]
    if mine.empty or len(failed):
        why = str(failed.iloc[0]) if len(failed) else "no regression was made"
        for device, statistic in ((ROBUSTNESS, "estimate"), (ROBUSTNESS, "interval"), (SELECTION, "delta")):
            yield {"device": device, "statistic": statistic, "failure": why}
        return
    for r in mine.to_dict("records"):
        kept = {name: r[name] for name in ("device", "statistic", "about", "value", "unit", "note")}
        if r["device"] == REGRESSION and r["adjusted"] == declared and r["statistic"] == "estimate":
            yield kept
        if (
            r["device"] == ROBUSTNESS
            and r["adjusted"] == declared
            and r["statistic"] in ("estimate", "interval")
        ):
            yield kept | {"by_state": r["statistic"] == "interval"}
        elif r["adjusted"] == COVARIATES and r["device"] == BENCHMARK and r["statistic"] == "multiple":
            yield kept
        elif r["adjusted"] == COVARIATES and r["device"] == SELECTION and r["statistic"] == "delta":
            limit = "R_max 1" if np.isnan(r["setting"]) else f"R_max {r['setting']:g} times R2"
            yield kept | {"about": limit} | ({} if kept_direction else {"value": np.nan, "failure": NO_DELTA})


def _trend(dynamic: Estimate) -> dict[str, Any]:
    row: dict[str, Any] = {
        "device": TRENDS, "statistic": "interval", "unit": "multiple of the largest yearly move before adoption",
        "by_state": True,
    }  # fmt: skip
    if dynamic.estimand != "event_time":
        return row | {"failure": "one number, no event study"}
    try:
        return row | {"value": breakdown(dynamic, "relative_magnitude")}
    except StudyError as error:
        return row | {"failure": " ".join(str(error).split())}


def _odds(panel: Panel, spec: Spec) -> dict[str, Any]:
    row: dict[str, Any] = {"device": ODDS, "statistic": "test", "unit": "ratio of odds"}
    if spec.design.kind != "cross_section":
        return row | {"failure": "a panel: its counties are in no matched sets"}
    said = INDEPENDENT
    try:
        if spec.estimator.replacement:
            spec = spec.replace({"estimator.replacement": False})
            said += "; pairs made without replacement, where the estimate uses counties again"
        bounds = hidden_bias(make_design(panel, spec), gammas=(1.0,))
    except StudyError as error:
        return row | {"failure": " ".join(str(error).split())}
    value = float(bounds.loc[bounds["statistic"].eq("critical_gamma"), "value"].iloc[0])
    return row | {"value": value, "note": said}

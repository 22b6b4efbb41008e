"""What a two-way coefficient averages: Goodman-Bacon's comparisons where they are exact, and everywhere the exact
weight of each county-year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import ProtocolError, SampleError, SpecError, StudyError
from analysis.design.design import Design
from analysis.estimation.panel_arrays.effects import fit_effects, make_effects, without_singletons
from analysis.estimation.panel_arrays.panel import LongPanel, read_panel
from analysis.estimation.panel_arrays.regression import absorbed_regression

Array = NDArray[np.float64]
# A weight nearer to zero than this is the rounding of none.
SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Goodman-Bacon's decomposition.

    Args:
        table: a row a comparison of two groups: kind (treated_and_untreated, earlier_and_later_before,
            later_and_earlier_after, later_and_always), treated (cohort), comparison (cohort; <NA> for counties
            untreated throughout or treated throughout), weight, estimate.
        two_way: the sum of weight times estimate.
    """

    table: pd.DataFrame
    two_way: float

    def by_kind(self) -> pd.DataFrame:
        """Return weight and weighted mean estimate of each kind of comparison."""
        part = self.table.assign(product=self.table["weight"] * self.table["estimate"])
        sums = part.groupby("kind", sort=True)[["weight", "product"]].sum()
        return pd.DataFrame(
            {"kind": sums.index, "weight": sums["weight"].to_numpy(),
             "estimate": (sums["product"] / sums["weight"]).to_numpy()}
        )  # fmt: skip


def two_by_twos(mean: Array, size: Array, first: NDArray[np.int64]) -> list[tuple[int, int, float, float]]:
    """Return every comparison of two groups of a balanced panel: treated, comparison, weight, estimate.

    Args:
        mean: (G, T) mean outcome of each group in each year.
        size: (G,) counties.
        first: (G,) position of the first treated year; T for untreated throughout, 0 for treated throughout.

    Returns:
        Tuples of group numbers; weights sum to one and weight times estimate to the two-way coefficient.

    Source: Goodman-Bacon (2021), Journal of Econometrics 225(2), theorem 1.

    Example:
        >>> mean = np.array([[1.0, 1, 4], [1, 3, 4], [0, 1, 2]])  # treated from year 2, from year 1, never
        >>> found = two_by_twos(mean, np.ones(3), np.array([2, 1, 3]))
        >>> round(sum(weight for *_, weight, _ in found), 12), len(found)
        (1.0, 4)
    """
    years = mean.shape[1]
    share, treated = size / size.sum(), 1 - first / years

    def change(group: int, late: slice, early: slice) -> float:
        return float(mean[group, late].mean() - mean[group, early].mean())

    found = []
    for k in range(len(first)):
        for other in range(len(first)):
            if first[k] in (0, years) or k == other:
                continue
            both = share[k] * share[other]
            if first[other] in (0, years):
                late, early = slice(first[k], years), slice(0, first[k])
                weight = both * treated[k] * (1 - treated[k])
            elif first[k] < first[other]:
                late, early = slice(first[k], first[other]), slice(0, first[k])
                weight = both * (treated[k] - treated[other]) * (1 - treated[k])
            else:
                late, early = slice(first[k], years), slice(first[other], first[k])
                weight = both * treated[k] * (treated[other] - treated[k])
            found.append((k, other, float(weight), change(k, late, early) - change(other, late, early)))
    total = sum(weight for *_, weight, _ in found)
    if not total > 0:
        raise ValueError("no two groups differ in treatment; wanted groups that adopt at different times")
    return [(k, other, weight / total, estimate) for k, other, weight, estimate in found]


def bacon(design: Design) -> Decomposition:
    """Decompose the two-way coefficient into its comparisons of two groups (protocol rule 14).

    Args:
        design: a panel whose two-way coefficient has county and year effects.

    Returns:
        A `Decomposition` whose sum is the coefficient.

    Raises:
        ProtocolError: an unbalanced panel, weights, covariates, control policies or other effects than county and
            year: there the decomposition is not exact, and `residual_weights` is.
        SampleError: a policy that switches off, or nothing to compare.

    Assumption: none; it is arithmetic. Under parallel trends, comparisons with counties already treated
    (``later_and_earlier_after``, ``later_and_always``) are what can turn weights on effects negative.

    Source: Goodman-Bacon (2021), Journal of Econometrics 225(2).
    """
    where = "residual_weights(design), which is exact"
    if design.kind != "panel":
        raise SpecError(f"a decomposition of a {design.kind}", "a panel", "design.kind")
    panel = read_panel(design.table)
    balanced = len(panel.outcome) == len(np.unique(panel.county)) * len(panel.years)
    for found, wrong in (
        ("an unbalanced panel (a dropped adoption year unbalances it)", not balanced),
        ("weights", float(np.ptp(panel.weight)) > 0),
        ("covariates", bool(design.covariates)),
        ("control policies", bool(design.controls)),
        ("state-by-year effects", design.spec.within == "state"),
        ("urban-class-by-year effects", design.spec.within == "urban_class"),
        ("effects of county and definition", design.spec.estimator.effects == "county_definition_year"),
    ):
        if wrong:
            raise ProtocolError(
                f"rule 14: Goodman-Bacon's decomposition with {found}",
                "a balanced, unweighted, covariate-free panel",
                where,
            )
    wide = panel.wide(panel.outcome)
    seen = np.isfinite(wide).all(axis=1)
    begun = panel.wide((panel.event_time >= 0).astype(float)) == 1
    first = np.where(begun.any(axis=1), begun.argmax(axis=1), len(panel.years))[seen]
    starts, group = np.unique(first, return_inverse=True)
    size = np.bincount(group).astype(float)
    mean = np.zeros((len(starts), len(panel.years)))
    np.add.at(mean, group, wide[seen])
    try:
        pairs = two_by_twos(mean / size[:, None], size, starts)
    except ValueError as error:
        raise SampleError(str(error).split(";")[0], "counties that adopt and others", "sample") from error
    rows = []
    for k, other, weight, estimate in pairs:
        start = int(starts[other])
        if start == len(panel.years):
            kind = "treated_and_untreated"
        elif start == 0:
            kind = "later_and_always"
        else:
            kind = "earlier_and_later_before" if starts[k] < start else "later_and_earlier_after"
        inner = 0 < start < len(panel.years)
        rows.append(
            {
                "kind": kind,
                "treated": int(panel.years[starts[k]]),
                "comparison": int(panel.years[start]) if inner else pd.NA,
                "weight": weight,
                "estimate": estimate,
            }
        )
    table = pd.DataFrame(rows).astype({"comparison": "Int64"})
    return Decomposition(table, float(table["weight"] @ table["estimate"]))


@dataclass(frozen=True, slots=True)
class ResidualWeights:
    """How county-years enter a two-way coefficient.

    Args:
        table: a row a county-year in the regression: county_fips, year, cohort, event_time, treated, weight (its
            outcome's weight in the coefficient; over treated county-years they sum to one), effect (of a treated
            county-year, by imputation from untreated ones; missing where nobody untreated tells it).
        two_way: the coefficient: the sum of weight times outcome, and of weight times effect over treated
            county-years where every one of them has an effect.
        negative: share of treated county-years with a negative weight.
        negative_sum: sum of the negative weights of treated county-years.
        treated_sum: sum of weight times effect over treated county-years; missing where an effect is.
    """

    table: pd.DataFrame
    two_way: float
    negative: float
    negative_sum: float
    treated_sum: float

    def by(self, over: Literal["cohort", "event_time"]) -> pd.DataFrame:
        """Return how the weight of treated county-years lies on cohorts or event times.

        Returns:
            A row a cohort or event time with treated county-years: cohort or event_time, county_years, weight (their
            sum; over the rows one), negative (share of county-years with a negative weight), negative_sum, effect
            (weight times effect over weight; missing where an effect is, or the weights cancel).

        Raises:
            StudyError: another name.
        """
        if over not in ("cohort", "event_time"):
            raise StudyError(f"over = {over!r}", "'cohort' or 'event_time'", "the call")
        inside = self.table[self.table["treated"]]
        below = inside["weight"].where(inside["weight"] < -SMALLEST, 0.0)
        parts = inside.assign(
            below=below,
            negative=below < 0,
            product=np.where(inside["weight"].abs() > SMALLEST, inside["weight"] * inside["effect"], 0.0),
        )
        sums = parts.groupby(over, sort=True).agg(
            county_years=("weight", "size"),
            weight=("weight", "sum"),
            negative=("negative", "mean"),
            negative_sum=("below", "sum"),
            product=("product", lambda column: column.sum(skipna=False)),
        )
        effect = sums["product"] / sums["weight"].where(sums["weight"].abs() > SMALLEST)
        return sums.drop(columns="product").assign(effect=effect).reset_index()


def residual_weights(design: Design) -> ResidualWeights:
    """Return the exact weight of each county-year in the two-way coefficient of a design.

    The coefficient is the weighted sum of outcomes with weights proportional to what is left of treatment once
    effects and control policies are taken out. Over treated county-years the same weights, times what imputation
    finds for each, sum to the same coefficient.

    Args:
        design: any panel: weighted or not, balanced or not, with control policies; effects of county (or county and
            definition) and of year, state and year, or urban class and year.

    Raises:
        SpecError: no panel.
        SampleError: a policy that switches off, or treatment that does not vary within the effects.

    Assumption: none; it is arithmetic. Under parallel trends the weights are those on county-years' effects, and
    negative ones are why the coefficient need not lie among them.

    Source: de Chaisemartin and D'Haultfoeuille (2020), American Economic Review 110(9), theorem 1; Jakiela (2021),
    arXiv 2103.13229, for the residuals; Borusyak, Jaravel and Spiess (2024) for the imputed effects.
    """
    if design.kind != "panel":
        raise SpecError(f"residual weights of a {design.kind}", "a panel", "design.kind")
    panel = read_panel(design.table, controls=design.controls)
    panel = panel.rows(without_singletons(_units(design, panel), panel.levels))
    unit, levels = _units(design, panel), int(panel.levels.max()) + 1
    units = int(unit.max()) + 1
    d = (panel.event_time >= 0).astype(float)
    scaled = panel.weight / panel.weight.mean()
    effects = make_effects(unit, panel.levels, scaled, units, levels)
    on_controls = absorbed_regression(d, panel.controls, effects)
    own = on_controls.residual
    scale = float(scaled @ own**2)
    if scale <= 1e-10 * len(own):
        raise SampleError(
            "treatment does not vary within the effects", "states or years with both arms", "sample"
        )
    weight = scaled * own / scale
    effect = _imputed(panel, scaled, unit, units, levels)
    inside = d == 1
    table = pd.DataFrame(
        {
            "county_fips": panel.counties[panel.county],
            "year": panel.years[panel.year],
            "cohort": pd.array(panel.cohort[panel.county], dtype="Int64"),
            "event_time": pd.array(panel.event_time, dtype="Float64").astype("Int64"),
            "treated": inside,
            "weight": weight,
            "effect": np.where(inside, effect, np.nan),
        }
    )
    never = panel.never[panel.county]
    table.loc[never, ["cohort", "event_time"]] = pd.NA
    below = inside & (weight < -SMALLEST)
    # A county-year without any weight needs no effect.
    counted = inside & (np.abs(weight) > SMALLEST)
    treated_sum = float(weight[counted] @ effect[counted])
    return ResidualWeights(
        table,
        float(weight @ panel.outcome),
        float(below.sum() / inside.sum()),
        float(weight[below].sum()),
        treated_sum,
    )


def _units(design: Design, panel: LongPanel) -> NDArray[np.intp]:
    """Return codes of the effects that stand for counties, (n,): counties, or counties by definition of rape."""
    if design.spec.estimator.effects != "county_definition_year":
        return panel.county
    spell = design.table.set_index(["county_fips", "year"])["definition_spell"]
    here = pd.MultiIndex.from_arrays([panel.counties[panel.county], panel.years[panel.year]])
    code = pd.factorize(spell.reindex(here), sort=True)[0]
    both = panel.county * (int(code.max(initial=0)) + 1) + code
    return np.unique(both, return_inverse=True)[1].astype(np.intp)


def _imputed(panel: LongPanel, weight: Array, unit: NDArray[np.intp], units: int, levels: int) -> Array:
    """Return each row's outcome less its prediction from untreated rows, missing where there is none."""
    fit = ~(panel.event_time >= 0)
    effects = make_effects(unit[fit], panel.levels[fit], weight[fit], units, levels)
    model = absorbed_regression(panel.outcome[fit], panel.controls[fit], effects)
    net = panel.outcome - panel.controls @ model.solution
    county, level = fit_effects(effects, np.column_stack([net, panel.controls])[fit])
    component = effects.county_component[unit]
    known = (component >= 0) & (component == effects.level_component[panel.levels])
    if panel.controls.shape[1]:
        own = panel.controls - county[unit, 1:] - level[panel.levels, 1:]
        known &= model.inverse.tells(own)
    return np.where(known, net - county[unit, 0] - level[panel.levels, 0], np.nan)

"""Regressions with an effect of its own for every cell of cohort and year, stratum by stratum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from analysis.estimation.panel_arrays.effects import (
    make_effects,
    residuals,
    solve_effects,
    without_singletons,
)
from analysis.estimation.panel_arrays.panel import STRATA, Cells, LongPanel
from analysis.estimation.panel_arrays.regression import invert, invert_gram

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Saturated:
    """Effects of cells.

    Args:
        effect: (K,), missing where not identified.
        influence: (C, K), zero for counties outside.
        treated: (C, K) weight of a treated county in a cell, 0 for a comparison county, missing outside.
        rank: cells and controls that were fitted, by stratum.
        levels: year (or state-by-year) effects that were fitted.
        rows: county-years that were fitted.
        singletons: county-years left out because an effect fits them.
    """

    effect: Array
    influence: Array
    treated: Array
    rank: int
    levels: int
    rows: int
    singletons: int

    def factor(self, nested: bool) -> float:
        """Return the degrees-of-freedom factor (N - 1) / (N - k) of a regression with clustered errors.

        Args:
            nested: whether the year effects lie within clusters, so that a constant stands for them; county effects
                always do.
        """
        return (self.rows - 1) / (self.rows - self.rank - (1 if nested else self.levels))


@dataclass(frozen=True, slots=True)
class _Part:
    """One stratum: least squares of outcome and controls on cells and effects.

    Args:
        rows: its rows of the panel.
        counties: (c,) its counties.
        present: (k,) its cells.
        told: (k,) which of them are identified.
        inverse: (k, k).
        solution: (k, 1 + q) for the outcome and each control.
        left: (n, 1 + q) residuals.
        sums: (c, n) sparse indicator of counties.
        cells: (n, k) sparse indicator of cells.
        pull: (L, k) level effects of the indicators, by which scores are made of residuals.
        levels: (n, L) sparse indicator of levels.
        rank: cells identified.
    """

    rows: NDArray[np.intp]
    counties: NDArray[np.intp]
    present: NDArray[np.intp]
    told: Flags
    inverse: Array
    solution: Array
    left: Array
    sums: sparse.csr_matrix
    cells: sparse.csr_matrix
    pull: Array
    levels: sparse.csr_matrix
    rank: int


def factor_note(found: Saturated, nested: bool) -> str:
    """Return the factor of the errors in words."""
    k = found.rank + (1 if nested else found.levels)
    return f"error factor (N - 1) / (N - k) x G / (G - 1), N = {found.rows:,}, k = {k}"


def sample_notes(within: str, controls: Sequence[str]) -> list[str]:
    """Return what cells are compared within, and what is held constant, in words."""
    notes = []
    if within in STRATA:
        arms = STRATA[within]
        notes.append(
            f"compared within {arms}: cells hold {arms} with both arms, by their treated county-years"
        )
    if controls:
        notes.append(f"control policies with one coefficient: {', '.join(controls)}")
    return notes


def singleton_notes(found: Saturated) -> list[str]:
    """Return how many county-years an effect fits, where it fits any."""
    return (
        [f"{found.singletons} county-years alone in their county or year are left out"]
        if found.singletons
        else []
    )


def saturated_effects(panel: LongPanel, cells: Cells) -> Saturated:
    """Regress the outcome on county and year effects and an indicator of every cell, within each stratum.

    Cells of several strata are averaged by the weight of their treated county-years; only strata that identify a
    cell count for it. Controls have one coefficient throughout.

    Args:
        panel: rows to fit.
        cells: on those rows; rows outside every cell are what the effects are compared with.

    Source: Sun and Abraham (2021), Journal of Econometrics 225(2); Wooldridge (2021), SSRN 3906345.

    Example:
        See ``analysis.estimation.interaction_weighted``.
    """
    counties, count = len(panel.counties), len(cells)
    strata = panel.stratum[panel.county]
    keep = without_singletons(panel.county, panel.levels)
    parts = [
        _fit(panel, cells, np.flatnonzero(keep & (strata == s)))
        for s in np.unique(strata[keep & (cells.code >= 0)])
    ]
    coefficient, control_scores = _controls(panel, parts)
    total, sums = np.zeros(count), np.zeros(count)
    influence, treated = np.zeros((counties, count)), np.full((counties, count), np.nan)
    shares: list[tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]] = []
    # With controls every county that holds their coefficient moves every cell.
    everyone = np.unique(panel.county[keep])
    for part in parts:
        weight = panel.weight[part.rows]
        solution = part.solution[:, 0] - part.solution[:, 1:] @ coefficient
        residual = sparse.diags(weight * (part.left[:, 0] - part.left[:, 1:] @ coefficient))
        # A county's residuals sum to zero, so its own effect drops out of its score.
        score = (part.sums @ residual @ part.cells).toarray() - (
            part.sums @ residual @ part.levels
        ) @ part.pull
        own = np.asarray(score @ part.inverse)
        weights = (part.sums @ sparse.diags(weight) @ part.cells).toarray()[:, part.told]
        at, told = part.present[part.told], part.told
        size = weights.sum(axis=0)
        total[at] += size
        sums[at] += size * solution[told]
        influence[np.ix_(part.counties, at)] += own[:, told] * size
        if coefficient.size:
            influence[:, at] -= (control_scores @ part.solution[told, 1:].T) * size
        entered = np.ix_(everyone if coefficient.size else part.counties, at)
        treated[entered] = np.nan_to_num(treated[entered])
        treated[np.ix_(part.counties, at)] += weights
        shares.append((part.counties, at, solution[told], weights))
    effect = np.full(count, np.nan)
    known = total > 0
    effect[known] = sums[known] / total[known]
    influence[:, known] /= total[known]
    if len(parts) > 1:
        for home, at, own_effect, weights in shares:  # the error of the strata's shares
            influence[np.ix_(home, at)] += weights * (own_effect - effect[at]) / total[at]
    influence[:, ~known] = np.nan
    rank = sum(part.rank for part in parts) + len(coefficient)
    fitted = sum(len(part.rows) for part in parts)
    levels = sum(part.pull.shape[0] for part in parts)
    return Saturated(effect, influence, treated, rank, levels, fitted, int((~keep).sum()))


def _fit(panel: LongPanel, cells: Cells, rows: NDArray[np.intp]) -> _Part:
    counties, county = np.unique(panel.county[rows], return_inverse=True)
    _, year = np.unique(panel.year[rows], return_inverse=True)
    weight = panel.weight[rows]
    effects = make_effects(county, year, weight, len(counties), int(year.max()) + 1)
    inside = np.flatnonzero(cells.code[rows] >= 0)
    present, code = np.unique(cells.code[rows][inside], return_inverse=True)
    x = sparse.csr_matrix((np.ones(len(inside)), (inside, code)), shape=(len(rows), len(present)))
    # The indicators without effects are never written out: what they share with effects is enough.
    weighted = sparse.diags(weight) @ x
    by_county, by_level = (effects.by_county @ weighted).toarray(), (effects.by_level @ weighted).toarray()
    on_county, on_level = solve_effects(effects, by_county, by_level)
    size = np.bincount(code, weight[inside], minlength=len(present))
    gram = np.diag(size) - by_county.T @ on_county - by_level.T @ on_level
    inverse = invert_gram((gram + gram.T) / 2, np.sqrt(size))
    y = residuals(effects, np.column_stack([panel.outcome[rows], panel.controls[rows]]))
    solution = inverse.matrix @ (weighted.T @ y)
    left = y - residuals(effects, np.asarray(x @ solution))
    told = inverse.tells()
    rank = len(present) - inverse.null.shape[1]
    return _Part(
        rows, counties, present, told, inverse.matrix, solution, left, effects.by_county, x, on_level,
        effects.by_level.T.tocsr(), rank,
    )  # fmt: skip


def _controls(panel: LongPanel, parts: list[_Part]) -> tuple[Array, Array]:
    """Return the controls' coefficients and each county's contribution to their error, (C, q)."""
    q = panel.controls.shape[1]
    if not q:
        return np.zeros(0), np.zeros((len(panel.counties), 0))
    rows = np.concatenate([part.rows for part in parts])
    left = np.concatenate([part.left for part in parts])
    weight, x = panel.weight[rows], left[:, 1:]
    inverse = invert(x, weight, panel.controls[rows])
    coefficient = inverse.matrix @ (x.T @ (weight * left[:, 0]))
    score = np.zeros((len(panel.counties), q))
    np.add.at(score, panel.county[rows], x * (weight * (left[:, 0] - x @ coefficient))[:, None])
    return coefficient, score @ inverse.matrix

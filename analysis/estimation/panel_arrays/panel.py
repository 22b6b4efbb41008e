"""A staggered panel as arrays, a row a county-year, and the cells whose effects are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError
from analysis.design.design import Design
from analysis.estimation.estimate import LEAD, cell_rows
from analysis.estimation.panel_arrays.effects import Codes

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# What counties are compared within, by ``Spec.within``: in words, and as effects of a regression.
STRATA = {"state": "states", "urban_class": "urban classes"}
BY_YEAR = {"none": "year", "state": "state-by-year", "urban_class": "urban-class-by-year"}


@dataclass(frozen=True, slots=True)
class LongPanel:
    """A panel, a row a county-year with an outcome and a positive weight.

    Args:
        counties: (C,) sorted codes of every county of the design, also of those without rows here.
        years: (T,) sorted.
        county: (n,) codes of ``counties``.
        year: (n,) codes of ``years``.
        outcome: (n,).
        event_time: (n,), missing for never treated.
        weight: (n,) of the row's county.
        controls: (n, q) time-varying policies.
        people: (n,) the exposure of counts, missing where the table has none.
        cohort: (C,) first treated year, 0 for never.
        base: (C,) last year wholly before adoption and anticipation, moved back to a year of the panel; 0 where no
            such year is known.
        size: (C,) weight of a county.
        stratum: (C,) codes from 0.
        covariates: (C, p).
        anticipation: years.
        notes: what must be said of the panel.
    """

    counties: pd.Index
    years: NDArray[np.int64]
    county: Codes
    year: Codes
    outcome: Array
    event_time: Array
    weight: Array
    controls: Array
    people: Array
    cohort: NDArray[np.int64]
    base: NDArray[np.int64]
    size: Array
    stratum: Codes
    covariates: Array
    anticipation: int
    notes: tuple[str, ...]

    @property
    def never(self) -> Flags:
        """Return which counties never adopt, (C,)."""
        return self.cohort == 0

    @property
    def untreated(self) -> Flags:
        """Return which rows lie wholly before adoption and anticipation, or are of a never treated county."""
        return np.isnan(self.event_time) | (self.event_time <= -1 - self.anticipation)

    @property
    def adopters(self) -> Flags:
        """Return which counties have a year before adoption and are observed after it, (C,)."""
        after = np.bincount(self.county, self.event_time >= 0, minlength=len(self.counties)) > 0
        return np.asarray(~self.never & (self.base > 0) & after, dtype=bool)

    def groups(self) -> Iterator[tuple[int, int, Flags]]:
        """Yield cohort, base year and (C,) members of each group observed after adoption, in that order."""
        adopts = self.adopters
        for cohort, base in sorted(
            set(zip(self.cohort[adopts].tolist(), self.base[adopts].tolist(), strict=True))
        ):
            yield cohort, base, ~self.never & (self.cohort == cohort) & (self.base == base)

    @property
    def levels(self) -> Codes:
        """Return codes of stratum and year, (n,); with one stratum those of the year."""
        return np.asarray(self.stratum[self.county] * len(self.years) + self.year, dtype=np.intp)

    def rows(self, keep: Flags) -> LongPanel:
        """Return the panel with some rows."""
        return replace(
            self,
            county=self.county[keep], year=self.year[keep], outcome=self.outcome[keep],
            event_time=self.event_time[keep], weight=self.weight[keep], controls=self.controls[keep],
            people=self.people[keep],
        )  # fmt: skip

    def wide(self, values: Array) -> Array:
        """Return values (n,) as (C, T), or (n, q) as (C, T, q), missing where a county-year has no row."""
        out = np.full((len(self.counties), len(self.years), *values.shape[1:]), np.nan)
        out[self.county, self.year] = values
        return out

    def line(self, rule: str, entered: Flags) -> tuple[str, int, int, int]:
        """Return a line of attrition: the rule, and counties, county-years and treated counties that remain.

        A county that adopts after the last year is none of the treated, as in the lines of a design.
        """
        rows = int(entered[self.county].sum())
        treated = np.bincount(self.county, self.event_time >= 0, minlength=len(self.counties)) > 0
        return rule, int(entered.sum()), rows, int((entered & treated).sum())


def read_design(design: Design, people: str = "population") -> LongPanel:
    """Return a design as arrays; see `read_panel`.

    Args:
        design: a panel.
        people: column of the exposure of counts.
    """
    return read_panel(
        design.table,
        controls=design.controls,
        covariates=design.covariates,
        anticipation=design.spec.treatment.anticipation,
        people=people,
    )


def refuse_rows(table: pd.DataFrame) -> None:
    """Refuse a table that no estimator of panels can read.

    Args:
        table: county_fips, year, treated, weight, in any order.

    Raises:
        SampleError: two rows of a county and year, a treatment that switches off, a negative or missing weight.
    """
    _sorted_rows(table)


def _sorted_rows(table: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.intp], pd.Index]:
    """Return the rows by county and year, the county of each and the counties' codes; refuse as `refuse_rows` says."""
    county, counties = pd.factorize(table["county_fips"], sort=True)
    year, treated = table["year"].to_numpy(dtype=np.int64), table["treated"].to_numpy(dtype=bool)
    order = np.lexsort((year, county))
    if not (order[1:] > order[:-1]).all():
        table = table.iloc[order]
        county, year, treated = county[order], year[order], treated[order]
    same = county[1:] == county[:-1]
    if (same & (year[1:] == year[:-1])).any():
        raise SampleError("two rows of one county and year", "one row a county-year", "the panel")
    off = [str(code) for code in counties[np.unique(county[1:][same & treated[:-1] & ~treated[1:]])]]
    if off:
        raise SampleError(
            f"the policy switches off in {len(off)} counties ({' '.join(off[:10])})",
            "policies that stay once adopted; a repealed one ends the county's rows",
            "treatment or sample.drop_counties",
        )
    weight = table["weight"].to_numpy(dtype=float, na_value=np.nan)
    if not (weight >= 0).all():
        raise SampleError("weights that are negative or missing", "weights from 0", "estimator.weights")
    return table, county.astype(np.intp), pd.Index(counties, name="county_fips")


def read_panel(
    table: pd.DataFrame,
    *,
    controls: Sequence[str] = (),
    covariates: Sequence[str] = (),
    anticipation: int = 0,
    people: str = "population",
) -> LongPanel:
    """Return the table of a design as arrays.

    Args:
        table: a row a county-year: county_fips, year, outcome, event_time, cohort, treated, weight, stratum.
        controls: columns of time-varying policies.
        covariates: columns fixed in time; a county's first row is read.
        anticipation: years before adoption that may already be moved.
        people: column of the exposure of counts; missing throughout where the table has none.

    Returns:
        A `LongPanel` without rows that lack an outcome and counties of weight zero; its notes say how many, and how
        many counties have gaps in their years, no year before adoption, or a base year moved back.

    Raises:
        SampleError: two rows of a county and year, a negative or missing weight, a treatment that switches off, or
            nothing left.
    """
    table, county, counties = _sorted_rows(table)
    of_year = table["year"].to_numpy(dtype=np.int64)
    years = np.unique(of_year)
    event_time = table["event_time"].to_numpy(dtype=float, na_value=np.nan)
    weight = table["weight"].to_numpy(dtype=float, na_value=np.nan)
    outcome = table["outcome"].to_numpy(dtype=float, na_value=np.nan)
    first = np.searchsorted(county, np.arange(len(counties)))
    cohort = table["cohort"].to_numpy(dtype=float, na_value=0)[first]
    # Any row before adoption tells the base year: event time runs without a gap up to -1 there.
    before = event_time <= -1 - anticipation
    implied = np.zeros(len(counties), dtype=np.int64)
    told = (of_year[before] - event_time[before] - 1 - anticipation).astype(np.int64)
    np.maximum.at(implied, county[before], told)
    place = np.searchsorted(years, implied, side="right") - 1
    base = np.where((implied > 0) & (place >= 0), years[np.maximum(place, 0)], 0)
    keep = np.isfinite(outcome) & (weight > 0)
    if not keep.any():
        raise SampleError("no county-year with an outcome and a weight", "a panel with outcomes", "sample")
    exposure = (
        table[people].to_numpy(dtype=float, na_value=np.nan)
        if people in table
        else np.full(len(table), np.nan)
    )
    panel = LongPanel(
        counties=counties,
        years=years,
        county=county,
        year=np.searchsorted(years, of_year).astype(np.intp),
        outcome=outcome,
        event_time=event_time,
        weight=weight,
        controls=table[list(controls)].to_numpy(dtype=float),
        people=exposure,
        cohort=cohort.astype(np.int64),
        base=base,
        size=weight[first],
        stratum=pd.factorize(table["stratum"].to_numpy()[first], sort=True)[0].astype(np.intp),
        covariates=np.column_stack(
            [np.empty((len(first), 0)), *(table[name].to_numpy(dtype=float)[first] for name in covariates)]
        ),
        anticipation=anticipation,
        notes=(),
    ).rows(keep)
    return replace(panel, notes=tuple(_notes(panel, weight, outcome, base != implied)))


def _notes(panel: LongPanel, weight: Array, outcome: Array, elsewhere: Flags) -> list[str]:
    notes = []
    if (weight == 0).any():
        notes.append(f"{int((weight == 0).sum())} county-years of weight zero are left out")
    if np.isnan(outcome).any():
        notes.append(f"{int(np.isnan(outcome).sum())} county-years without an outcome are left out")
    # A transition year has no row, and is no gap.
    gap = np.zeros(len(panel.counties), dtype=bool)
    same = panel.county[1:] == panel.county[:-1]
    apart = panel.years[panel.year[1:]] - panel.years[panel.year[:-1]] > 1
    crossing = (panel.event_time[:-1] <= -1) & (panel.event_time[1:] >= 0)
    steps = panel.event_time[1:] - panel.event_time[:-1] == 1
    gap[panel.county[1:][same & apart & ~(crossing & steps)]] = True
    if gap.any():
        notes.append(f"{int(gap.sum())} counties have gaps in their years: cells rest on the years observed")
    seen = np.bincount(panel.county, minlength=len(panel.counties)) > 0
    moved = elsewhere & (panel.base > 0) & seen
    if moved.any():
        notes.append(
            f"{int(moved.sum())} counties' base year is not in the panel: the nearest earlier one is used"
        )
    always = ~panel.never & (panel.base == 0) & seen
    if always.any():
        notes.append(
            f"{int(always.sum())} counties have no year wholly before adoption: they enter no effect"
        )
    return notes


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of cohort, base year and year; a row of the panel lies in one or none.

    Args:
        cohort: (K,).
        base: (K,) base year of the cohort's counties in the cell.
        time: (K,).
        event_time: (K,).
        code: (n,) the row's cell, -1 for none.
    """

    cohort: NDArray[np.int64]
    base: NDArray[np.int64]
    time: NDArray[np.int64]
    event_time: NDArray[np.int64]
    code: Codes

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cohort)

    def frame(self, estimate: Array, lead: Flags | None = None) -> pd.DataFrame:
        """Return the rows of an estimate, a row a cell; terms name the base where a cohort has several.

        Args:
            estimate: (K,).
            lead: (K,) cells that are marked as leads in their term.
        """
        rows = cell_rows(
            self.cohort.tolist(),
            self.base.tolist(),
            self.time.tolist(),
            self.event_time.tolist(),
            estimate,
        )
        if lead is not None:
            rows["term"] = np.where(lead, LEAD + rows["term"], rows["term"])
        return rows

    def where(self, chosen: Flags) -> str:
        """Return the chosen cells in words, years by cohort and base."""
        years: dict[tuple[int, int], list[int]] = {}
        for k in np.flatnonzero(chosen):
            years.setdefault((int(self.cohort[k]), int(self.base[k])), []).append(int(self.time[k]))
        return "; ".join(f"cohort {g}, base {b}: {' '.join(map(str, t))}" for (g, b), t in years.items())


def make_cells(panel: LongPanel, chosen: Flags) -> Cells:
    """Return the cells of the chosen rows, by cohort, base and year; rows of never treated counties are in none."""
    chosen = chosen & ~panel.never[panel.county]
    rows = np.flatnonzero(chosen)
    home = panel.county[rows]
    key = np.column_stack([panel.cohort[home], panel.base[home], panel.years[panel.year[rows]]])
    found, code = np.unique(key.reshape(-1, 3), axis=0, return_inverse=True)
    event_time = np.full(len(found), -(10**6), dtype=np.int64)
    np.maximum.at(event_time, code.ravel(), panel.event_time[rows].astype(np.int64))
    out = np.full(len(chosen), -1, dtype=np.intp)
    out[rows] = code.ravel()
    return Cells(found[:, 0], found[:, 1], found[:, 2], event_time, out)


def treated_cells(panel: LongPanel) -> tuple[LongPanel, Cells]:
    """Return the panel without adopters that have no year before adoption, and the cells of its treated rows.

    Treated rows are those from adoption (less anticipation) on.

    Raises:
        SampleError: no such row.
    """
    panel = panel.rows((panel.never | (panel.base > 0))[panel.county])
    cells = make_cells(panel, ~panel.untreated)
    if not len(cells):
        raise SampleError(
            "no treated county is observed before and after adoption", "such counties", "sample.years"
        )
    return panel, cells


def cell_weights(panel: LongPanel, cells: Cells) -> Array:
    """Return each county's weight in each cell, (C, K), 0 outside."""
    out = np.zeros((len(panel.counties), len(cells)))
    inside = cells.code >= 0
    np.add.at(out, (panel.county[inside], cells.code[inside]), panel.weight[inside])
    return out

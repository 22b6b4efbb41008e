"""How many counties would have to be on the wrong side of the list: bounds, corrections, and labels made anew.

Lists of counties that limit detainers disagree, and the documents say why: some counties are inferred from statements
about a whole state, some dates are those of a report, a policy on paper need not be one in practice, and an official
list was suspended for its errors. Three answers, from the fewest assumptions to the most:

* bounds of an estimate when a stated share of the list is wrong, whichever counties those are (or, with the errors
  unrelated to outcomes, the one estimate that follows);
* the disagreement of two definitions taken for the rate of error, with simulation and extrapolation;
* labels made anew, at random at the documented rates or exactly where definitions disagree, and every design again.

The first two need one number a county. A design is reduced to it: the change from the base year (or, for two-way
effects, from the mean of all years before) to the mean of the years after, covariates left out. Those are the years of
the cohort and base year that most listed counties share. Another listed county is measured by its own years, and what
comparison counties did otherwise in the common ones is added, so that it stands as far from them as in its own. The
last makes the designs as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError, StudyError
from analysis.base.records import Panel
from analysis.design.design import FEWEST_TREATED, Design, Shared, make_design, treatment_key
from analysis.design.spec import Spec
from analysis.design.treatment import LIMITS, Treatment, assign_treatment, is_descriptive, make_treatment
from analysis.estimation.estimate import cluster_labels
from analysis.estimation.inference import cluster_variance, t_quantile
from analysis.estimation.panel_inference.misclassified import (
    breakdown,
    breakdown_in_strata,
    error_rates,
    label_bounds,
    label_effects,
    label_influence,
    misclassify,
    simex,
    swap_within,
    undiluted,
)
from analysis.evidence.runs import one_effect
from analysis.evidence.units import UNIT_OF_SCALE, percent_of

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Which = Literal["listed", "unlisted", "both"]

MEASURES = ("violent_ex_rape", "property")
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
WHICH: tuple[Which, ...] = ("listed", "unlisted", "both")
DRAWS, SEED = 500, 20260101
DATED = (
    "policy_full", "policy_any", "policy_verified", "declines_share25", "declines_share50", "declines_per_10k",
)  # fmt: skip
LISTS = ("dhs_2025", "doj_2025")
# Other definitions whose disagreement with the list is taken for its errors.
BESIDE = ("declines_share25", "declines_share50", "declines_per_10k")
UNVERIFIED, MISTAKES = "unverified", "report_mistakes"
# Of the 48 rows of the first Declined Detainer Outcome Report that could be had, four counties were listed by mistake
# and one was dropped from the next issue (data/policy).
REPORT_MISTAKES = 5 / 48
SCHEMES = ("anywhere", "within_states")
QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)

BOUNDS = (
    "spec", "measure", "estimator", "arithmetic", "assumption", "which", "share", "possible", "estimate", "low", "high", "conf_low",
    "conf_high", "unit", "baseline", "percent_low", "percent_high", "percent_conf_low", "percent_conf_high", "headline",
    "n_listed", "n_unlisted", "listed_left_out", "failure",
)  # fmt: skip
BREAKDOWNS = (
    "spec", "measure", "estimator", "arithmetic", "which", "estimate", "percent", "counties", "open_counties",
    "share_of_counties", "share_of_weight", "weight_of_counties", "states", "n_listed", "n_unlisted", "failure",
)  # fmt: skip
SIMEX = (
    "spec", "measure", "estimator", "arithmetic", "beside", "not_treated", "missed", "false_positive", "false_negative",
    "estimate", "conf_low", "conf_high", "undiluted", "undiluted_low", "undiluted_high", "quadratic", "quadratic_error",
    "quadratic_left", "log_linear", "log_linear_error", "log_linear_left", "unit", "baseline", "n_listed", "n_unlisted",
    "n_unknown", "failure",
)  # fmt: skip
RANDOM = (
    "spec", "measure", "estimator", "arithmetic", "beside", "per", "scheme", "not_treated", "missed", "movable", "draws", "estimate",
    "mean", "std", *(f"q{100 * q:g}" for q in QUANTILES), "opposite", "unit", "baseline", "n_listed", "n_unlisted", "failure",
)  # fmt: skip
ON_PURPOSE = (
    "spec", "measure", "estimator", "relabelling", "beside", "left", "entered", "dates_moved", "estimate", "conf_low",
    "conf_high", "percent", "percent_low", "percent_high", "n_treated", "n_comparison", "n_states", "informative", "as_listed",
    "unit", "baseline", "failure",
)  # fmt: skip
DISAGREEMENT = (
    "definition", "beside", "descriptive", "treated", "treated_both", "treated_not", "treated_unknown", "untreated",
    "untreated_treated", "share_not_treated", "share_not_treated_residents", "share_missed", "share_missed_residents",
    "jaccard", "same_year", "within_one_year", "dated_both",
)  # fmt: skip
# Columns that a row without an estimate leaves missing.
COUNTS = (
    "n_listed", "n_unlisted", "n_unknown", "listed_left_out", "counties", "open_counties", "states", "left", "entered",
    "dates_moved", "n_treated", "n_comparison", "n_states", "draws",
)  # fmt: skip
FLAGS = ("possible", "informative")


# ---------------------------------------------------------------------------------------------------------------
# A design as one number a county
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reduced:
    """A design as one number a county, and what its difference is taken within.

    Args:
        spec: of the design.
        counties: (n,) codes.
        outcome: (n,) change, or level of a cross-section.
        listed: (n,) treated.
        weights: (n,).
        states: (n,) codes from 0.
        strata: (n,) codes; None where means are compared across the country.
        others: (n, k) other columns of a regression, None for differences in means.
        baseline: mean outcome before, as of the design.
        unit: in words.
        headline: the design's own estimate.
        left_out: listed counties that are not behind the estimate, or lack a year that counts.
        arithmetic: what is compared, in words.
    """

    spec: Spec
    counties: pd.Index
    outcome: Array
    listed: Flags
    weights: Array
    states: NDArray[np.intp]
    strata: NDArray[np.intp] | None
    others: Array | None
    baseline: float
    unit: str
    headline: float
    left_out: int
    arithmetic: str

    def effects(self, labels: Flags) -> Array:
        """Return the effect of labels (m, n): (m,)."""
        return label_effects(self.outcome, labels, self.weights, strata=self.strata, others=self.others)

    def interval(self) -> tuple[float, float, float]:
        """Return the estimate and its interval by state, at the level of the spec."""
        value, influence = label_influence(
            self.outcome, self.listed, self.weights, strata=self.strata, others=self.others
        )
        clusters = cluster_labels(self.counties, "state")
        error = float(np.sqrt(cluster_variance(influence[:, None], clusters)[0, 0]))
        reach = error * t_quantile(self.spec.inference.level, len(np.unique(clusters)) - 1)
        return value, value - reach, value + reach


@dataclass(frozen=True, slots=True)
class Failed:
    """A specification that cannot be reduced, and why."""

    spec: Spec
    failure: str


def reduce_design(design: Design) -> Reduced:
    """Return a design as one number a county.

    Args:
        design: group-time or two-way effects of a panel, or a matched comparison of one year.

    Returns:
        `Reduced`. Of a panel, the listed counties behind the estimate (a model that separates the arms leaves some out)
        are compared with those that do not adopt in the window and have every year needed. Of a cross-section, levels
        are regressed on the label, the covariates and the classes matched exactly, since labels that change would have
        to be matched anew.

    Raises:
        SpecError: another estimator.
        SampleError: one arm alone.

    Assumption: as of the design, without covariates for panels; a county that changes sides keeps its number.
    """
    name = design.spec.estimator.name
    if design.kind == "cross_section" and name == "matched_difference":
        return _of_levels(design)
    if name not in ("group_time_att", "two_way"):
        raise SpecError(
            f"{name.replace('_', ' ')} as one number a county: a county that changes sides changes who is compared",
            "group-time or two-way effects, or a matched comparison",
            "estimator.name",
        )
    table, estimate = design.table, one_effect(design)
    adopts = table.groupby("county_fips")["treated"].any()
    behind = estimate.counties[np.nan_to_num(estimate.treated).sum(axis=1) > 0]
    last = table[table["event_time"].eq(-1 - design.spec.treatment.anticipation).fillna(False)]
    base = last.groupby("county_fips")["year"].max()
    home = table.drop_duplicates("county_fips").set_index("county_fips")
    pairs = pd.DataFrame({"cohort": home["cohort"], "base": base}).loc[behind].dropna().astype(int)
    if pairs.empty:
        raise SampleError("no treated county with a year before adoption", "one at least", "sample.years")
    at = home["stratum"] if design.spec.within == "state" else pd.Series("all", index=home.index)
    wide = table.pivot(index="county_fips", columns="year", values="outcome")
    wide = _while_compared(wide, adopts, at)
    windows = {pair: _window(wide, *pair, whole=name == "two_way") for pair in pairs.value_counts().index}
    changes = pd.DataFrame({pair: _change(wide, *years) for pair, years in windows.items()})
    compared = changes[~adopts.reindex(wide.index)].dropna()
    weight = home.loc[compared.index, "weight"]
    means = (
        compared.mul(weight, axis=0)
        .groupby(at[compared.index])
        .sum()
        .div(weight.groupby(at[compared.index]).sum(), axis=0)
    )
    common = changes.columns[0]
    parts = [compared[common]]
    for pair in changes.columns:
        members = pairs.index[(pairs["cohort"] == pair[0]) & (pairs["base"] == pair[1])]
        own = changes.loc[members, pair].dropna()
        parts.append((own + (means[common] - means[pair]).reindex(at[own.index]).to_numpy()).dropna())
    outcome = pd.concat(parts).sort_index()
    before, after = windows[common]
    words = f"mean of {after[0]}-{after[-1]} less " + (
        f"that of {before[0]}-{before[-1]}" if len(before) > 1 else str(before[0])
    )
    value = float(estimate.table["estimate"].iloc[0])
    return _reduced(design, outcome, adopts.reindex(outcome.index), value, words)


Years = list[int]


def _window(wide: pd.DataFrame, cohort: int, base: int, *, whole: bool) -> tuple[Years, Years]:
    """Return the years before and after that a cohort of this base year is measured by."""
    years = [int(year) for year in wide.columns]
    return [y for y in years if (y <= base if whole else y == base)], [y for y in years if y >= cohort]


def _while_compared(wide: pd.DataFrame, adopts: pd.Series, strata: pd.Series) -> pd.DataFrame:
    """Return outcomes with an infinite one where the stratum has no comparison that year: such years count for none.

    The rows of a state's comparisons end where its own law begins, and those of its adopters go on.
    """
    at = strata.reindex(wide.index)
    free = wide[~adopts.reindex(wide.index)].notna().groupby(at).any().reindex(at.to_numpy()).fillna(False)
    return wide.where(free.astype(bool).to_numpy(), np.inf)


def _change(wide: pd.DataFrame, before: Years, after: Years) -> pd.Series:
    """Return each county's mean after less its mean before, missing where a year that counts is."""
    means = []
    for years in (after, before):
        part = wide[years]
        counts = ~np.isinf(part)
        means.append(
            part.where(counts, 0.0).sum(axis=1, skipna=False) / counts.sum(axis=1).replace(0, np.nan)
        )
    return means[0] - means[1]


def _of_levels(design: Design) -> Reduced:
    table = design.table.set_index("county_fips")
    exact = [name for name in design.spec.estimator.exact or () if name in table]
    dummies = [pd.get_dummies(table[name], dtype=float) for name in exact]
    columns = [pd.Series(1.0, index=table.index), table[list(design.covariates)].astype(float), *dummies]
    words = "regression on the covariates" + (" and urban-rural classes" if exact else "")
    headline = float(one_effect(design).table["estimate"].iloc[0])
    found = _reduced(design, table["outcome"], table["treated"], headline, words)
    return replace(found, others=np.column_stack([part.to_numpy() for part in columns]))


def _reduced(design: Design, outcome: pd.Series, listed: pd.Series, headline: float, words: str) -> Reduced:
    first = design.table.drop_duplicates("county_fips").set_index("county_fips").loc[outcome.index]
    within = design.spec.within == "state"
    listed = listed.astype(bool)
    if within:
        both = listed.groupby(first["state"]).transform("nunique") == 2
        outcome, listed, first = outcome[both], listed[both], first[both]
        words += ", within states"
    if not listed.any() or listed.all():
        raise SampleError("one arm alone", "listed and unlisted counties", design.spec.where)
    states = pd.factorize(first["state"], sort=True)[0].astype(np.intp)
    regression = design.spec.estimator.effects == "state_by_year"
    return Reduced(
        spec=design.spec,
        counties=outcome.index,
        outcome=outcome.to_numpy(dtype=float),
        listed=listed.to_numpy(dtype=bool),
        weights=first["weight"].to_numpy(dtype=float),
        states=states,
        strata=states if within and not regression else None,
        others=(states[:, None] == np.arange(states.max() + 1)).astype(float) if regression else None,
        baseline=design.baseline,
        unit=design.unit,
        headline=headline,
        left_out=int(design.table.groupby("county_fips")["treated"].any().sum() - listed.sum()),
        arithmetic=words,
    )


def reduce_specs(
    panel: Panel, specs: Iterable[Spec], measures: Sequence[str] = MEASURES
) -> list[Reduced | Failed]:
    """Return every specification of these measures as one number a county, or the reason it cannot be.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids.
        measures: of the codebook.
    """
    out: list[Reduced | Failed] = []
    shared = Shared()
    for spec in specs:
        if spec.outcome.measure in measures:
            try:
                out.append(reduce_design(make_design(panel, spec, shared)))
            except (StudyError, np.linalg.LinAlgError) as error:
                out.append(_failed(spec, error))
    return out


def _failed(spec: Spec, error: Exception) -> Failed:
    return Failed(spec, " ".join(str(error).split()))


def _about(one: Reduced | Failed) -> dict[str, Any]:
    spec = one.spec
    about = {"spec": spec.name, "measure": spec.outcome.measure, "estimator": spec.estimator.name}
    if isinstance(one, Failed):
        return about | {"failure": one.failure}
    return about | {
        "arithmetic": one.arithmetic, "unit": one.unit, "baseline": one.baseline, "headline": one.headline,
        "n_listed": int(one.listed.sum()), "n_unlisted": int((~one.listed).sum()), "listed_left_out": one.left_out,
        "failure": "",
    }  # fmt: skip


def _percent(one: Reduced, value: float) -> float:
    scale = one.spec.outcome.scale
    return percent_of(value, UNIT_OF_SCALE.get(scale, scale), one.baseline)


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=list(columns))
    kinds = dict.fromkeys((c for c in columns if c in COUNTS), "Int64")
    return table.astype(kinds | dict.fromkeys((c for c in columns if c in FLAGS), "boolean"))


# ---------------------------------------------------------------------------------------------------------------
# Bounds, zero, errors unrelated to outcomes
# ---------------------------------------------------------------------------------------------------------------


def misclassification_bounds(
    panel: Panel,
    specs: Sequence[Spec],
    *,
    shares: Sequence[float] = SHARES,
    measures: Sequence[str] = MEASURES,
    reduced: Sequence[Reduced | Failed] | None = None,
) -> pd.DataFrame:
    """Return the bounds of each estimate when a share of the list is wrong.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids.
        shares: of residents (of counties where counties count alike), in [0, 0.5).
        measures: of the codebook.
        reduced: from `reduce_specs`, where made before.

    Returns:
        Columns ``BOUNDS``. Assumption ``arbitrary``: low and high are the smallest and largest estimate when at most
        the share of the listed is not treated (which = listed), of the unlisted is treated (unlisted), or both; they
        hold no sampling error. Within states the share holds in every state. Assumption ``unrelated`` (which = both):
        errors unrelated to outcomes; low and high are the one estimate that follows, with an interval by state, the
        share known; possible says whether any labels within the shares give it: where none do, errors of that size were
        not unrelated to outcomes, sampling aside. estimate is the reduced one, headline the design's own. A specification without bounds keeps a row
        with the reason.

    Assumption: see `label_bounds` and `undiluted`.
    """
    rows: list[dict[str, Any]] = []
    for one in reduce_specs(panel, specs, measures) if reduced is None else reduced:
        about = _about(one)
        if isinstance(one, Failed):
            rows.append(about)
            continue
        value, conf_low, conf_high = one.interval()
        about |= {"estimate": value}
        ends: dict[float, tuple[float, float]] = {}
        if one.others is None:
            for which in WHICH:
                for share in shares:
                    found = label_bounds(
                        one.outcome, one.listed, one.weights,
                        share if which != "unlisted" else 0.0, share if which != "listed" else 0.0,
                        strata=one.strata,
                    )  # fmt: skip
                    place = {"assumption": "arbitrary", "which": which, "share": share, "possible": True}
                    rows.append(about | _ends(one, found.low, found.high) | place)
                    if which == "both":
                        ends[share] = (found.low, found.high)
        else:
            rows.append(
                about
                | {
                    "assumption": "arbitrary",
                    "failure": "the weights of a regression move with the labels: no sharp bound is known here, the "
                    "breakdown is exact",
                }
            )
        if one.spec.design.kind == "panel":
            for share in shares:
                at, low, high = (undiluted(end, share, share) for end in (value, conf_low, conf_high))
                place = {"assumption": "unrelated", "which": "both", "share": share}
                if share in ends:
                    slack = 1e-9 * abs(value)
                    place["possible"] = ends[share][0] - slack <= at <= ends[share][1] + slack
                rows.append(about | _ends(one, at, at) | _ends(one, low, high, "conf_") | place)
    return _frame(rows, BOUNDS)


def _ends(one: Reduced, low: float, high: float, kind: str = "") -> dict[str, float]:
    return {
        f"{kind}low": low, f"{kind}high": high, f"percent_{kind}low": _percent(one, low),
        f"percent_{kind}high": _percent(one, high),
    }  # fmt: skip


def breakdown_shares(
    panel: Panel,
    specs: Sequence[Spec],
    *,
    measures: Sequence[str] = MEASURES,
    reduced: Sequence[Reduced | Failed] | None = None,
) -> pd.DataFrame:
    """Return the fewest labels that must be wrong for each estimate to be zero.

    Args:
        panel, specs, measures, reduced: as in `misclassification_bounds`.

    Returns:
        Columns ``BREAKDOWNS``, a row a specification and which labels are open (listed, unlisted, either): the fewest
        counties, of how many, in how many states, and the share of residents they hold; share_of_weight is the smallest
        share of residents, a county counting in part. With strata whose weights move with the labels there is a share
        alone, the same in every state; it is missing where none short of all brings the estimate to zero.

    Assumption: see `breakdown`: the worst counties are mislabelled.
    """
    rows: list[dict[str, Any]] = []
    for one in reduce_specs(panel, specs, measures) if reduced is None else reduced:
        about = _about(one)
        if isinstance(one, Failed):
            rows.append(about)
            continue
        value = float(one.effects(one.listed)[0])
        about |= {"estimate": value, "percent": _percent(one, value)}
        for which, pool in (
            ("listed", one.listed),
            ("unlisted", ~one.listed),
            ("either", np.ones(len(one.listed), dtype=bool)),
        ):
            row = about | {"which": which, "open_counties": int(pool.sum())}
            if one.strata is not None:
                share = breakdown_in_strata(one.outcome, one.listed, one.weights, one.strata, which)  # type: ignore[arg-type]
                rows.append(row | {"share_of_weight": share})
                continue
            found = breakdown(one.outcome, one.listed, one.weights, which, others=one.others)  # type: ignore[arg-type]
            rows.append(
                row
                | {
                    "counties": found.counties, "share_of_counties": found.share_of_counties,
                    "share_of_weight": found.share_of_weight, "weight_of_counties": found.weight_of_counties,
                    "states": len(np.unique(one.states[found.which])),
                }
            )  # fmt: skip
    return _frame(rows, BREAKDOWNS)


# ---------------------------------------------------------------------------------------------------------------
# The disagreement of definitions
# ---------------------------------------------------------------------------------------------------------------


def _treatment(panel: Panel, spec: Spec, definition: str, kind: str) -> Treatment:
    asked = spec.treatment
    year = (spec.design.year or spec.years[-1]) if kind == "cross_section" else None
    return make_treatment(
        panel.table, panel.policies, panel.declines, definition, onset=asked.onset,
        upper_bound_dates=asked.upper_bound_dates, comparison=asked.comparison, kind=kind, year=year,
    )  # fmt: skip


def definition_disagreement(
    panel: Panel, spec: Spec, definitions: Sequence[str] = DATED, lists: Sequence[str] = LISTS
) -> pd.DataFrame:
    """Return how definitions of treatment disagree on the same counties, pair by pair, either way.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: its onset and comparison rules, its first year and its smallest population hold.
        definitions: dated ones; every ordered pair is a row.
        lists: undated ones of 2025; each is set beside the dated ones, as a description.

    Returns:
        Columns ``DISAGREEMENT``, counts of counties. Of those treated under the definition: treated_both, treated_not
        (a comparison under the other) and treated_unknown (the other leaves them out); of its comparisons
        (untreated): untreated_treated. Shares leave out those that the other leaves out, and come by counties and by
        residents. jaccard is over counties that both place; same_year and within_one_year count first treated years
        among dated_both. descriptive marks lists drawn up after the outcomes.

    Assumption: none; nobody is taken for the truth.
    """
    first = spec.years[0]
    people = panel.table[panel.table["year"] == first].set_index("county_fips")["population"].astype(float)
    people = people[people >= spec.sample.min_population]
    tables = {
        name: _treatment(panel, spec, name, "cross_section" if name in lists else "panel")
        .table.set_index("county_fips")
        .reindex(people.index)
        for name in (*definitions, *lists)
    }
    rows = [
        {"definition": one, "beside": other, "descriptive": is_descriptive(other)}
        | _compared(tables[one], tables[other], people)
        for one in definitions
        for other in (*definitions, *lists)
        if one != other
    ]
    return _frame(rows, DISAGREEMENT)


def _compared(one: pd.DataFrame, other: pd.DataFrame, people: pd.Series) -> dict[str, float]:
    a, b = one["status"], other["status"]
    treated, untreated = a.eq("treated"), a.eq("comparison")
    on, off = b.eq("treated"), b.eq("comparison")
    both, gone, come = treated & on, treated & off, untreated & on
    known = (treated | untreated) & (on | off)
    apart = (one["cohort"] - other["cohort"])[both].abs().dropna()

    def share(part: pd.Series, whole: pd.Series, weight: pd.Series | None = None) -> float:
        sizes = people if weight is None else weight
        total = float(sizes[whole].sum())
        return float(sizes[part].sum()) / total if total > 0 else np.nan

    alike = pd.Series(1.0, index=people.index)
    return {
        "treated": int(treated.sum()),
        "treated_both": int(both.sum()),
        "treated_not": int(gone.sum()),
        "treated_unknown": int((treated & ~on & ~off).sum()),
        "untreated": int(untreated.sum()),
        "untreated_treated": int(come.sum()),
        "share_not_treated": share(gone, both | gone, alike),
        "share_not_treated_residents": share(gone, both | gone),
        "share_missed": share(come, untreated & (on | off), alike),
        "share_missed_residents": share(come, untreated & (on | off)),
        "jaccard": share(both, known & (treated | on), alike),
        "same_year": int((apart == 0).sum()),
        "within_one_year": int((apart <= 1).sum()),
        "dated_both": len(apart),
    }


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of a sample's labels that another source has otherwise, by counties and by weight.

    Args:
        not_treated: of the listed that the other places.
        missed: of the unlisted that it places.
        not_treated_weight, missed_weight: the same by weight.
        unknown: counties that it leaves out.
    """

    not_treated: float
    missed: float
    not_treated_weight: float
    missed_weight: float
    unknown: int


def _rates(one: Reduced, other: pd.DataFrame) -> Rates:
    """Return the shares of the labels of a sample that another definition has otherwise."""
    status = other["status"].reindex(one.counties)
    on, off = status.eq("treated").to_numpy(dtype=bool), status.eq("comparison").to_numpy(dtype=bool)
    known = on | off
    alike = np.ones(len(known))
    return Rates(
        not_treated=_share(alike, one.listed & known, off),
        missed=_share(alike, ~one.listed & known, on),
        not_treated_weight=_share(one.weights, one.listed & known, off),
        missed_weight=_share(one.weights, ~one.listed & known, on),
        unknown=int((~known).sum()),
    )


def _share(weights: Array, whole: Flags, part: Flags) -> float:
    total = float(weights[whole].sum())
    return float(weights[whole & part].sum()) / total if total > 0 else np.nan


def _others(panel: Panel, reduced: Iterable[Reduced | Failed]) -> dict[tuple[str, str], pd.DataFrame]:
    """Return who is treated under each definition beside, by kind of design."""
    out: dict[tuple[str, str], pd.DataFrame] = {}
    for one in reduced:
        for name in BESIDE:
            key = (one.spec.design.kind, name)
            if key not in out:
                out[key] = _treatment(panel, one.spec, name, key[0]).table.set_index("county_fips")
    return out


def simex_frame(
    panel: Panel,
    specs: Sequence[Spec],
    *,
    draws: int = 200,
    seed: int = SEED,
    measures: Sequence[str] = MEASURES,
    reduced: Sequence[Reduced | Failed] | None = None,
) -> pd.DataFrame:
    """Return each estimate corrected for the errors that another definition says the list holds.

    Args:
        panel, specs, measures, reduced: as in `misclassification_bounds`.
        draws: simulations at each step.
        seed: of all of them.

    Returns:
        Columns ``SIMEX``, a row a specification and definition beside. not_treated and missed are the shares of the
        weight of listed and unlisted counties of the sample that the other definition has otherwise (large counties
        disagree less); false_positive and false_negative the rates of error they stand for. undiluted (with its interval) divides the difference by what such shares
        leave of it; quadratic and log_linear extrapolate simulated errors, with their Monte Carlo errors, and
        what the shape of each leaves of the effect (quadratic_left, log_linear_left, as a share). n_unknown counties
        are left out by the other definition.

    Assumption: the other definition is the truth, and the list's errors have nothing to do with outcomes. For a
        regression with covariates: nor with those.
    """
    found = reduce_specs(panel, specs, measures) if reduced is None else reduced
    others = _others(panel, found)
    rows: list[dict[str, Any]] = []
    for at, one in enumerate(found):
        about = _about(one)
        if isinstance(one, Failed):
            rows.append(about)
            continue
        value, conf_low, conf_high = one.interval()
        about |= {"estimate": value, "conf_low": conf_low, "conf_high": conf_high}
        for place, name in enumerate(BESIDE):
            rates = _rates(one, others[one.spec.design.kind, name])
            row = about | {
                "beside": name, "not_treated": rates.not_treated_weight, "missed": rates.missed_weight,
                "n_unknown": rates.unknown,
            }  # fmt: skip
            rng = np.random.default_rng([seed, at, place])
            try:
                rows.append(row | _corrected(one, rates, (value, conf_low, conf_high), draws, rng))
            except ValueError as error:
                rows.append(row | {"failure": str(error)})
    return _frame(rows, SIMEX)


def _corrected(
    one: Reduced, rates: Rates, interval: tuple[float, float, float], draws: int, rng: np.random.Generator
) -> dict[str, float]:
    by_weight = (rates.not_treated_weight, rates.missed_weight)
    share = float(one.weights[one.listed].sum() / one.weights.sum())
    false_positive, false_negative = error_rates(*by_weight, share)
    made = simex(
        one.listed, one.effects, false_positive, false_negative, rng, weights=one.weights, draws=draws
    )
    names = ("undiluted", "undiluted_low", "undiluted_high")
    plain = (
        {name: undiluted(end, *by_weight) for name, end in zip(names, interval, strict=True)}
        if one.spec.design.kind == "panel"
        else {}
    )
    columns = (
        "quadratic",
        "quadratic_error",
        "quadratic_left",
        "log_linear",
        "log_linear_error",
        "log_linear_left",
    )
    return (
        {"false_positive": false_positive, "false_negative": false_negative}
        | plain
        | {name: getattr(made, name) for name in columns}
    )


# ---------------------------------------------------------------------------------------------------------------
# Labels made anew
# ---------------------------------------------------------------------------------------------------------------


def relabelled_at_random(
    panel: Panel,
    specs: Sequence[Spec],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    measures: Sequence[str] = MEASURES,
    reduced: Sequence[Reduced | Failed] | None = None,
) -> pd.DataFrame:
    """Return what each estimate becomes when labels are changed at random at the documented rates.

    Args:
        panel, specs, measures, reduced: as in `misclassification_bounds`.
        draws: sets of labels.
        seed: of all of them.

    Returns:
        Columns ``RANDOM``, a row a specification, source of the rates (beside) and scheme: mean, standard deviation
        and quantiles of the estimate, and opposite, the share of draws with the other sign. Sources: the other
        definitions, by the shares of the sample's counties (per = counties) or, where counties do not count alike, of their weight
        (weight; large counties disagree less) they have otherwise; ``unverified``, listed counties without
        a source of their own; ``report_mistakes``, the share of a federal report that was listed in error. Schemes:
        ``anywhere``, county by county; ``within_states``, a label lost goes to another county of the state, so that
        each state keeps its number; movable is the share of listed weight in states that have such a county at all.

    Assumption: none about the truth: errors are added to a list that may hold some, so estimates shrink as they would
        if the list were right and another as different had been used.
    """
    found = reduce_specs(panel, specs, measures) if reduced is None else reduced
    others = _others(panel, found)
    verified: dict[str, pd.Series] = {}
    rows: list[dict[str, Any]] = []
    for at, one in enumerate(found):
        about = _about(one)
        if isinstance(one, Failed):
            rows.append(about)
            continue
        kind = one.spec.design.kind
        if kind not in verified:
            listed = assign_treatment(panel, one.spec).table.set_index("county_fips")
            verified[kind] = listed["verified"].astype(bool)
        about["estimate"] = float(one.effects(one.listed)[0])
        open_states = np.unique(one.states[~one.listed])
        movable = _share(one.weights, one.listed, np.isin(one.states, open_states))
        known = verified[kind].reindex(one.counties).to_numpy(dtype=bool)
        for place, (name, per, leave, enter) in enumerate(_sources(one, known, others)):
            for turn, scheme in enumerate(SCHEMES):
                rng = np.random.default_rng([seed, at, place, turn])
                anywhere = scheme == "anywhere"
                if anywhere:
                    labels = misclassify(one.listed, leave, enter, draws, rng)
                else:
                    labels = swap_within(one.listed, one.states, leave, draws, rng)
                row = {
                    "beside": name, "per": per, "scheme": scheme, "not_treated": leave, "draws": draws,
                    "missed": enter if anywhere else np.nan, "movable": 1.0 if anywhere else movable,
                }  # fmt: skip
                rows.append(about | row | _spread(one.effects(labels), about["estimate"]))
    return _frame(rows, RANDOM)


def _sources(
    one: Reduced, known: Flags, others: Mapping[tuple[str, str], pd.DataFrame]
) -> Iterator[tuple[str, str, float, float]]:
    """Yield source of the rates, per counties or per weight, chance of leaving the list and of entering it."""
    alike = np.ones(len(known))
    uneven = float(np.ptp(one.weights)) > 0
    for name in BESIDE:
        rates = _rates(one, others[one.spec.design.kind, name])
        yield name, "counties", rates.not_treated, rates.missed
        if uneven:
            yield name, "weight", rates.not_treated_weight, rates.missed_weight
    yield UNVERIFIED, "counties", _share(alike, one.listed, ~known), 0.0
    if uneven:
        yield UNVERIFIED, "weight", _share(one.weights, one.listed, ~known), 0.0
    yield MISTAKES, "counties", REPORT_MISTAKES, 0.0


def _spread(values: Array, estimate: float) -> dict[str, float]:
    values = values[np.isfinite(values)]
    quantiles = np.quantile(values, QUANTILES)
    return {
        "mean": float(values.mean()), "std": float(values.std(ddof=1)),
        "opposite": float((np.sign(values) != np.sign(estimate)).mean()),
        **{f"q{100 * q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
    }  # fmt: skip


def relabel(
    listed: Treatment, other: Treatment, *, leave: bool = False, enter: bool = False, dates: bool = False
) -> Treatment:
    """Return a treatment changed exactly where another definition disagrees.

    Args:
        listed: the treatment to change.
        other: of the same panel and kind.
        leave: treated counties that the other has as comparisons become comparisons.
        enter: comparisons that the other has as treated are treated, from its dates on.
        dates: counties treated under both get the other's dates.

    Returns:
        The changed treatment. Counties that either leaves out stay as they are.

    Example:
        ``relabel(listed, recorded, leave=True, enter=True)``: the other's labels wherever it has one.
    """
    table = listed.table.set_index("county_fips")
    beside = other.table.set_index("county_fips").reindex(table.index)
    treated, free = table["status"].eq("treated"), table["status"].eq("comparison")
    on, off = beside["status"].eq("treated"), beside["status"].eq("comparison")
    gone = treated & off if leave else treated & False
    come = free & on if enter else treated & False
    dated = treated & on if dates else treated & False
    dates_of = [
        "adoption_date",
        "adoption_year",
        "transition_year",
        "cohort",
        "drop_from_year",
        "drop_to_year",
    ]
    out = table.copy()
    # The list's own end of a county's rows stays: another's records may end earlier, and that is no repeal.
    out.loc[come | dated, dates_of] = beside.loc[come | dated, dates_of]
    out.loc[gone, dates_of] = pd.NA
    out.loc[gone, "last_year"] = pd.NA
    out.loc[gone, "status"] = "comparison"
    out.loc[gone, "reason"] = "taken off the list"
    out.loc[come, ["status", "reason", "level", "verified"]] = beside.loc[
        come, ["status", "reason", "level", "verified"]
    ]
    out = out.reset_index()[list(listed.table.columns)].astype(listed.table.dtypes.to_dict())
    return replace(listed, table=out)


def without_unverified(listed: Treatment) -> Treatment:
    """Return a treatment whose counties without a source of their own are comparisons."""
    table = listed.table
    bare = table["status"].eq("treated") & ~table["verified"]
    other = replace(listed, table=table.assign(status=table["status"].mask(bare, "comparison")))
    return relabel(listed, other, leave=True)


def move_dates(policies: pd.DataFrame, years: int) -> pd.DataFrame:
    """Return policy events whose documented county limits are dated some years later (earlier if negative).

    Args:
        policies: table ``policy_events``.
        years: whole years.

    Example:
        >>> events = pd.DataFrame({"definition_source": ["D2", "D7"], "direction": ["limit_full", "limit_full"],
        ...     "date": ["2014-04-16", "2014-01-01"], "year": pd.array([2014, 2014], dtype="Int64")})
        >>> move_dates(events, -1)[["date", "year"]].to_numpy().tolist()
        [['2013-04-16', 2013], ['2014-01-01', 2014]]
    """
    moved = (
        policies["definition_source"].eq("D2") & policies["direction"].isin(LIMITS) & policies["year"].notna()
    )
    year = policies["year"].where(~moved, policies["year"] + years)
    date = [f"{y}{str(d)[4:]}" if m else d for d, y, m in zip(policies["date"], year, moved, strict=True)]
    return policies.assign(year=year, date=pd.Series(date, index=policies.index, dtype="object"))


def relabelled_on_purpose(
    panel: Panel,
    specs: Sequence[Spec],
    *,
    beside: Sequence[str] = ("declines_share25",),
    measures: Sequence[str] = MEASURES,
) -> pd.DataFrame:
    """Return every design made again with the labels changed exactly where the documents give a reason to.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids, of one treatment definition.
        beside: definitions whose disagreement is followed.
        measures: of the codebook.

    Returns:
        Columns ``ON_PURPOSE``, a row a specification and relabelling: ``as_listed``; ``listed_not_observed`` (off the
        list), ``observed_not_listed`` (onto it, from the other's dates), ``both`` and ``both_and_dates`` for each
        definition beside; ``unverified_not_treated``; ``a_year_earlier`` and ``a_year_later``, every documented date. The
        full design is run each time, covariates, matches and pairs included. left, entered and dates_moved count
        counties that are in both samples, of the list and of the changed labels; as_listed is the estimate of the list;
        informative is that of protocol rule 7, by the counties behind the estimate.

    Assumption: as of each design.
    """
    asked = [spec for spec in specs if spec.outcome.measure in measures]
    rows: list[dict[str, Any]] = []
    placed: dict[str, pd.Series] = {}
    as_listed: dict[str, float] = {}
    for how, other in (
        ("as_listed", ""),
        *((how, other) for other in beside for how in HOW),
        ("unverified_not_treated", ""),
        *((how, "") for how in YEARS_LATER),
    ):
        given = panel
        if how in YEARS_LATER:
            given = replace(panel, policies=move_dates(panel.policies, YEARS_LATER[how]))
        shared = Shared()
        for spec in asked:
            key = treatment_key(spec)
            if key not in shared.treatments:
                shared.treatments[key] = _made_anew(given, spec, how, other)
            row, cohorts = _again(given, spec, shared)
            if how == "as_listed":
                placed[spec.name], as_listed[spec.name] = cohorts, row.get("estimate", np.nan)
            about = {"relabelling": how, "beside": other, "as_listed": as_listed[spec.name]}
            rows.append(row | about | _moved(placed[spec.name], cohorts))
    return _frame(rows, ON_PURPOSE)


def _made_anew(panel: Panel, spec: Spec, how: str, other: str) -> Treatment:
    listed = assign_treatment(panel, spec)
    if how == "unverified_not_treated":
        return without_unverified(listed)
    if how in HOW:
        return relabel(listed, _treatment(panel, spec, other, spec.design.kind), **HOW[how])
    return listed


def _moved(before: pd.Series, after: pd.Series) -> dict[str, int]:
    """Return how many counties of two samples changed sides, or first treated year; 0 stands for the comparison."""
    both = pd.DataFrame({"before": before, "after": after}).dropna()
    was, now = both["before"] > 0, both["after"] > 0
    return {
        "left": int((was & ~now).sum()),
        "entered": int((~was & now).sum()),
        "dates_moved": int((was & now & (both["before"] != both["after"])).sum()),
    }


YEARS_LATER = {"a_year_earlier": -1, "a_year_later": 1}
HOW: dict[str, dict[str, bool]] = {
    "listed_not_observed": {"leave": True},
    "observed_not_listed": {"enter": True},
    "both": {"leave": True, "enter": True},
    "both_and_dates": {"leave": True, "enter": True, "dates": True},
}


def _again(panel: Panel, spec: Spec, shared: Shared) -> tuple[dict[str, Any], pd.Series]:
    """Return the estimate of a spec under a given treatment, and each county's first treated year, 0 for comparisons."""
    row: dict[str, Any] = {
        "spec": spec.name, "measure": spec.outcome.measure, "estimator": spec.estimator.name, "failure": "",
    }  # fmt: skip
    try:
        design = make_design(panel, spec, shared)
        estimate = one_effect(design)
    except (StudyError, np.linalg.LinAlgError) as error:
        return row | {"failure": " ".join(str(error).split())}, pd.Series(dtype=float)
    line, counts = estimate.table.iloc[0], design.counts().iloc[0]
    unit = UNIT_OF_SCALE.get(spec.outcome.scale, spec.outcome.scale)
    ends = {"percent": "estimate", "percent_low": "conf_low", "percent_high": "conf_high"}
    row |= {
        **{name: float(line[name]) for name in ("estimate", "conf_low", "conf_high")},
        **{name: percent_of(float(line[end]), unit, estimate.baseline) for name, end in ends.items()},
        "n_treated": int(line["n_treated"]), "n_comparison": int(line["n_counties"] - line["n_treated"]),
        "n_states": int(counts["states_identifying"]), "informative": design.informative and int(line["n_treated"]) >= FEWEST_TREATED, "unit": design.unit,
        "baseline": estimate.baseline,
    }  # fmt: skip
    county = design.table.groupby("county_fips")
    return row, county["cohort"].first().where(county["treated"].any(), 0).astype(float)

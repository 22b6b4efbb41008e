"""Reading a grid of specifications: the curve, its joint test, shares, what moves it, and where published numbers fall.

A specification is one point estimate; inference adds columns, not specifications (protocol rule 22). The table read here
has one row a specification: the columns of `analysis.evidence.results.COLUMNS`, ``family``, and one column a choice
(``choice_…``, short texts, empty where a family has no such choice). Everything is in per cent of the mean, so that
scales and outcomes share a unit. Shares over specifications are descriptive: specifications are no sample of anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from analysis.base.errors import SampleError, SpecError, StudyError, TableError
from analysis.base.records import Panel
from analysis.design.design import Design
from analysis.design.spec import Spec
from analysis.estimation.panel_arrays.effects import without_singletons
from analysis.estimation.panel_arrays.panel import read_design, refuse_rows
from analysis.estimation.panel_inference.curve import (
    STATISTICS,
    How,
    StateSums,
    curve_test,
    draw_states,
    group_time_sums,
    level_sums,
    null_curve,
    observed_curve,
    within_state_sums,
)
from analysis.evidence.claims import Claims, Fact, load_claims
from analysis.evidence.results import in_unit
from analysis.evidence.runs import Workshop, sample_key
from analysis.evidence.units import LOG_POINTS, RATES, UNIT_OF_SCALE, level_of, percent_of
from analysis.evidence.verdict import DIFFERENT, EQUIVALENT, INCONCLUSIVE, NO_VERDICT, NOT_INFORMATIVE

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

CHOICE = "choice_"
ALL = "all"
FAILED = "failed"
COVARIATES, NONE = "choice_covariates", "none"
EFFECTS = ("county_year", "urban_class_by_year", "state_by_year")
LINEAR = ("two_way", "group_time_att")
HOWS: tuple[How, ...] = ("resampled", "signs")
DRAWS, SEED = 1999, 20260101

POSITIVE, NEGATIVE = "positive", "negative"
MORE, FEWER = f"{DIFFERENT}, positive", f"{DIFFERENT}, negative"
SIGNS = (POSITIVE, NEGATIVE, FAILED)
VERDICTS = (MORE, FEWER, EQUIVALENT, INCONCLUSIVE, NOT_INFORMATIVE, NO_VERDICT, FAILED)

CURVE = (
    "rank", "spec", "measure", "family", "percent", "percent_low", "percent_high", "reading", "differs", "informative",
)  # fmt: skip
JOINT = (
    "measure", "compared", "how", "statistic", "observed", "p_value", "size", "size_error", "null_low", "null_high",
    "n_specs", "n_failed", "n_states", "draws", "missing", "refused",
)  # fmt: skip
SIZES = ("trend", "measure", "compared", "how", "statistic", "rejects", "error", "panels")
SHARES = ("measure", "family", "kind", "reading", "n", "n_specs", "share")
IMPORTANCE = (
    "measure", "family", "of", "choice", "options", "alone", "shapley", "last", "total", "n_specs",
)  # fmt: skip
PARTIAL = (
    "measure", "family", "choice", "option", "reference", "pairs", "mean", "reference_mean", "difference", "spread", "low", "high",
    "higher", "n_specs",
)  # fmt: skip
PLACES = (
    "fact", "study", "outcome", "published", "unit", "percent", "measure", "same_outcome", "family", "n_specs", "place",
    "inside", "above", "below", "reason",
)  # fmt: skip


def choices_of(results: pd.DataFrame) -> list[str]:
    """Return the columns of choices, in the order of the table.

    Raises:
        TableError: there are none, or a column that every reading needs is missing.

    Example:
        >>> names = ["spec", "measure", "family", "failure", "percent_of_baseline", "choice_scale"]
        >>> choices_of(pd.DataFrame(columns=names))
        ['choice_scale']
    """
    needed = ("spec", "measure", "family", "failure", "percent_of_baseline")
    absent = [name for name in needed if name not in results]
    found = [str(name) for name in results.columns if str(name).startswith(CHOICE)]
    if absent or not found:
        raise TableError(
            f"results without {', '.join(absent) or 'a column of choices'}",
            f"columns {', '.join(needed)} and {CHOICE}…",
            "the table of the grid",
        )
    return found


def _estimated(results: pd.DataFrame) -> pd.DataFrame:
    """Return specifications with a finite effect in per cent, choices as texts."""
    names = choices_of(results)
    out = results[np.isfinite(results["percent_of_baseline"].astype(float))].copy()
    out[names] = out[names].astype("object").fillna("").astype(str)
    return out.reset_index(drop=True)


def readings(results: pd.DataFrame) -> pd.Series:
    """Return what each specification's interval says: one of ``VERDICTS``.

    Args:
        results: columns failure, percent_of_baseline, precision.

    Example:
        >>> rows = pd.DataFrame({"failure": ["", "no rows"], "percent_of_baseline": [-2.0, np.nan],
        ...     "precision": ["different from zero", ""]})
        >>> readings(rows).tolist()
        ['different from zero, negative', 'failed']
    """
    percent = results["percent_of_baseline"].astype(float)
    said = results["precision"].astype("object").fillna("").astype(str).replace("", NO_VERDICT)
    said = said.mask(said.eq(DIFFERENT) & percent.gt(0), MORE).mask(said.eq(DIFFERENT) & percent.lt(0), FEWER)
    return said.mask(~np.isfinite(percent), FAILED)


# --- the curve and its shares ---------------------------------------------------------------------------------------


def curve(results: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one outcome's specifications in the order of their effects, with the choices behind each.

    Args:
        results: one row a specification.
        measure: outcome.

    Returns:
        ``CURVE`` and the columns of choices: rank from 1, effect and interval in per cent of the mean, ``reading`` (of
        ``VERDICTS``), ``differs`` (whether the interval excludes zero). Ties keep the order of the table.

    Raises:
        StudyError: no specification of the outcome has an estimate.

    Source: Simonsohn, Simmons and Nelson (2020), Nature Human Behaviour 4.

    Example:
        ``curve(results, "property")``
    """
    rows = _estimated(results)
    rows = rows[rows["measure"].eq(measure)]
    if rows.empty:
        known = ", ".join(sorted(set(results["measure"].astype(str))))
        raise StudyError(f"no estimate of '{measure}'", f"one of {known}", "the grid")
    rows = rows.sort_values("percent_of_baseline", kind="stable").reset_index(drop=True)
    rows = rows.assign(
        rank=np.arange(1, len(rows) + 1),
        percent=rows["percent_of_baseline"].astype(float),
        reading=readings(rows),
        differs=rows["excludes_zero"].astype(bool),
        informative=rows["informative"].astype(bool),
    )
    return rows[[*CURVE, *choices_of(results)]]


def shares(results: pd.DataFrame) -> pd.DataFrame:
    """Return which share of specifications says what, by outcome and family; descriptive, families equal-weighted.

    Args:
        results: one row a specification, failed ones too.

    Returns:
        ``SHARES``: measure (and ``all``), family (and ``all``: the mean of the families' shares), kind (``sign`` or
        ``verdict``), reading (of ``SIGNS`` or ``VERDICTS``), n, n_specs (all asked, failed ones too), share.

    Assumption: none; specifications are no sample, and a share of them is no probability (protocol rule 22).

    Example:
        ``shares(results).query("family == 'all' and kind == 'verdict'")``
    """
    choices_of(results)
    percent = results["percent_of_baseline"].astype(float)
    signs = pd.Series(np.where(percent > 0, POSITIVE, np.where(percent < 0, NEGATIVE, "zero")), results.index)
    kinds = {
        "sign": (signs.mask(~np.isfinite(percent), FAILED), SIGNS),
        "verdict": (readings(results), VERDICTS),
    }
    families = list(dict.fromkeys(results["family"].astype(str)))
    rows: list[dict[str, Any]] = []
    for measure in (*dict.fromkeys(results["measure"].astype(str)), ALL):
        of_measure = results["measure"].eq(measure) if measure != ALL else pd.Series(True, results.index)
        for kind, (said, known) in kinds.items():
            found: dict[str, list[tuple[int, int]]] = {}
            for family in families:
                inside = said[of_measure & results["family"].eq(family)]
                if inside.empty:
                    continue
                for reading in known:
                    n = int(inside.eq(reading).sum())
                    found.setdefault(reading, []).append((n, len(inside)))
                    rows.append(_share(measure, family, kind, reading, n, len(inside), n / len(inside)))
            for reading, parts in found.items():
                mean = float(np.mean([n / of for n, of in parts]))
                n, of = sum(n for n, _ in parts), sum(of for _, of in parts)
                rows.append(_share(measure, ALL, kind, reading, n, of, mean))
    return pd.DataFrame(rows, columns=list(SHARES))


def _share(
    measure: str, family: str, kind: str, reading: str, n: int, of: int, share: float
) -> dict[str, Any]:
    return dict(zip(SHARES, (measure, family, kind, reading, n, of, share), strict=True))


# --- which choice moves the answer ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decomposition:
    """How much of the variance of an effect over a grid each choice accounts for; shares of the whole variance.

    Args:
        choices: (k,) those with several options.
        options: (k,) how many.
        alone: (k,) a regression on that choice's options alone.
        shapley: (k,) its part in the additive regression on all choices, averaged over all orders of entry; adds up to
            ``additive``.
        last: (k,) what the additive regression loses without it.
        total: (k,) what the regression with all two-way terms loses without it and its terms.
        additive: explained by all choices together, no interactions.
        two_way: with all two-way terms.
    """

    choices: tuple[str, ...]
    options: tuple[int, ...]
    alone: Array
    shapley: Array
    last: Array
    total: Array
    additive: float
    two_way: float


def decompose(effect: Array, choices: pd.DataFrame, weight: Array | None = None) -> Decomposition:
    """Return how the variance of effects over an unbalanced grid divides among choices.

    Args:
        effect: (n,).
        choices: (n, k) texts, a column a choice; one with a single option is left out.
        weight: (n,) of a specification; one each by default.

    Returns:
        A `Decomposition`. In a balanced grid without interactions ``alone``, ``shapley``, ``last`` and ``total`` are the
        same; where choices come together in the grid ``alone`` counts what they share several times, ``last`` never.

    Source: Shapley shares of R squared: Lindeman, Merenda and Gold (1980); Grömping (2007), American Statistician 61(2).

    Example:
        >>> grid = pd.DataFrame([(a, b) for a in "xy" for b in "uvw"], columns=["one", "two"])
        >>> effect = (grid["one"] == "x") * 2.0 + grid["two"].map({"u": 0.0, "v": 1.0, "w": 2.0})
        >>> decompose(effect.to_numpy(), grid).shapley.round(3).tolist()
        [0.6, 0.4]
    """
    names = [name for name in choices.columns if len(set(choices[name])) > 1]
    w = np.ones(len(effect)) if weight is None else np.asarray(weight, dtype=float)
    w = w / w.sum()
    y = effect - w @ effect
    whole = float(w @ y**2)
    if not names or not whole > 0:
        nothing = np.full(len(names), np.nan)
        found = tuple(len(set(choices[name])) for name in names)
        return Decomposition(tuple(names), found, nothing, nothing, nothing, nothing, np.nan, np.nan)
    codes = [pd.factorize(choices[name], sort=True)[0] for name in names]
    sizes = [int(code.max()) + 1 for code in codes]
    plain = [_dummies(code, size) for code, size in zip(codes, sizes, strict=True)]
    explained = _Explained(plain, y, w, whole)
    k = len(names)
    of_sets = np.array([explained([j for j in range(k) if bits >> j & 1]) for bits in range(2**k)])
    additive = float(of_sets[-1])
    alone = np.array([of_sets[1 << j] for j in range(k)])
    last = np.array([additive - of_sets[(2**k - 1) ^ (1 << j)] for j in range(k)])
    size_of = np.array([bits.bit_count() for bits in range(2**k)])
    orders = np.array(
        [factorial(s) * factorial(k - s - 1) / factorial(k) if s < k else 0.0 for s in range(k + 1)]
    )
    shapley = np.zeros(k)
    for j in range(k):
        without = np.flatnonzero(~np.array([bits >> j & 1 for bits in range(2**k)], dtype=bool))
        shapley[j] = orders[size_of[without]] @ (of_sets[without | (1 << j)] - of_sets[without])
    # A pair's own cells span both choices and their interaction.
    pairs = list(combinations(range(k), 2))
    crossed = [_dummies(*_compact(codes[i] * sizes[j] + codes[j])) for i, j in pairs]
    both = _Explained([*plain, *crossed], y, w, whole)
    everything = both(range(len(plain) + len(crossed)))
    total = np.array(
        [
            everything
            - both([i for i in range(k) if i != j] + [k + p for p, pair in enumerate(pairs) if j not in pair])
            for j in range(k)
        ]
    )
    return Decomposition(tuple(names), tuple(sizes), alone, shapley, last, total, additive, float(everything))


def _compact(codes: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
    found, code = np.unique(codes, return_inverse=True)
    return code.astype(np.intp), len(found)


def _dummies(codes: NDArray[np.intp], size: int) -> Array:
    """Return indicators of all options but the first, (n, size - 1)."""
    return (codes[:, None] == np.arange(1, size)).astype(float)


class _Explained:
    """Share of the variance that groups of indicators explain, from one cross-product."""

    def __init__(self, groups: Sequence[Array], effect: Array, weight: Array, whole: float) -> None:
        x = np.hstack(list(groups))
        x = x - weight @ x
        ends = np.cumsum([0, *(group.shape[1] for group in groups)])
        self.columns = [np.arange(a, b) for a, b in pairwise(ends.tolist())]
        self.gram, self.product = (x * weight[:, None]).T @ x, x.T @ (weight * effect)
        self.whole = whole

    def __call__(self, groups: Sequence[int] | range) -> float:
        chosen = [self.columns[j] for j in groups]
        at = np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.intp)
        if not len(at):
            return 0.0
        gram, product = self.gram[np.ix_(at, at)], self.product[at]
        # Options that come with one another leave combinations without variation; those explain nothing more.
        gram = gram + np.eye(len(at)) * (1e-11 * float(gram.diagonal().max()))
        return float(product @ cho_solve(cho_factor(gram, check_finite=False), product) / self.whole)


def importance(results: pd.DataFrame, measures: Sequence[str] = ()) -> pd.DataFrame:
    """Return which single choice moves the answer most: the variance of effects over the grid, divided among choices.

    Args:
        results: one row a specification; failed ones are left out.
        measures: outcomes to divide apart, beside all of them together, of which the outcome is then a choice.

    Returns:
        ``IMPORTANCE``, a row a measure (and ``all``), family (and ``all``: families weigh alike and ``family`` is no
        choice of its own, the estimator tells it), ``of`` (``percent``, or ``rank``, its rank among them, in which no
        outlier rules) and choice: options; shares of the variance of `decompose`. The rows ``additive`` and ``two-way``
        say what all choices explain together, in ``total``.

    Example:
        ``importance(results).query("family == 'all' and of == 'rank'")``
    """
    rows = _estimated(results)
    names = choices_of(results)
    families = list(dict.fromkeys(rows["family"].astype(str)))
    out: list[tuple[Any, ...]] = []
    for measure in (ALL, *measures):
        of_measure = rows if measure == ALL else rows[rows["measure"].eq(measure)]
        for family in (ALL, *families) if len(families) > 1 else (ALL,):
            part = of_measure if family == ALL else of_measure[of_measure["family"].eq(family)]
            if len(part) < 2:
                continue
            weight = 1 / part.groupby("family")["family"].transform("size").to_numpy(dtype=float)
            percent = part["percent_of_baseline"].astype(float)
            for of, effect in (("percent", percent), ("rank", percent.rank())):
                found = decompose(effect.to_numpy(dtype=float), part[names], weight)
                place = (measure, family, of)
                for j, choice in enumerate(found.choices):
                    numbers = (found.alone[j], found.shapley[j], found.last[j], found.total[j])
                    out.append((*place, choice.removeprefix(CHOICE), found.options[j], *numbers, len(part)))
                for words, value in (("additive", found.additive), ("two-way", found.two_way)):
                    out.append((*place, words, 0, np.nan, np.nan, np.nan, value, len(part)))
    return pd.DataFrame(out, columns=list(IMPORTANCE))


def partial_dependence(results: pd.DataFrame, measures: Sequence[str] = ()) -> pd.DataFrame:
    """Return what each option of a choice does to the effect, everything else held fixed.

    Specifications are paired that differ in one choice alone, so that what else is common where an option is common plays
    no part. Families without a choice of covariates take none.

    Args:
        results: one row a specification; failed ones are left out, their pairs with them.
        measures: outcomes to read apart, beside all of them together.

    Returns:
        ``PARTIAL``, a row a measure (and ``all``), family (and ``all``: families weigh alike, pairs within one alike),
        choice and option: the option it is paired with (the first of the table; for itself pairs are all its
        specifications), pairs, the mean effect of both sides over the pairs, their difference, its standard deviation
        over pairs, its 10th and 90th percentile, and the share of pairs in which the option gives the higher effect. An
        option without a pair keeps its row.

    Assumption: none; pairs of one choice are those cells of the grid in which both options stand.

    Source: Friedman (2001), Annals of Statistics 29(5), on partial dependence; here over matched cells.

    Example:
        ``partial_dependence(results).query("choice == 'california' and family == 'all'")``
    """
    rows = _estimated(results)
    names = choices_of(results)
    if COVARIATES in names:
        rows[COVARIATES] = rows[COVARIATES].replace("", NONE)
    families = list(dict.fromkeys(rows["family"].astype(str)))
    known = {choice: [option for option in dict.fromkeys(rows[choice]) if option] for choice in names}
    out: list[tuple[Any, ...]] = []
    for measure in (ALL, *measures):
        of_measure = rows if measure == ALL else rows[rows["measure"].eq(measure)]
        for family in (ALL, *families):
            part = of_measure if family == ALL else of_measure[of_measure["family"].eq(family)]
            for choice in names:
                here = set(part[choice])
                options = [option for option in known[choice] if option in here]
                if len(options) > 1:
                    found = _against(part, choice, [name for name in names if name != choice], options)
                    out += [(measure, family, *one) for one in found]
    return pd.DataFrame(out, columns=list(PARTIAL))


def _against(
    rows: pd.DataFrame, choice: str, others: Sequence[str], options: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    reference = options[0]
    cell = rows.groupby(list(others), sort=False).ngroup()
    plain = rows.assign(cell=cell).groupby([choice, "cell"])
    effect, family = plain["percent_of_baseline"].mean(), plain["family"].first()
    for option in options:
        first, second = effect.loc[option].align(effect.loc[reference], join="inner")
        of = family.loc[option].loc[first.index]
        weight = 1 / of.groupby(of).transform("size").to_numpy(dtype=float)
        numbers = _paired(first.to_numpy(dtype=float), second.to_numpy(dtype=float), weight)
        yield (
            choice.removeprefix(CHOICE),
            option,
            reference,
            len(first),
            *numbers,
            int(rows[choice].eq(option).sum()),
        )


def _paired(first: Array, second: Array, weight: Array) -> tuple[float, ...]:
    if not len(first):
        return (np.nan,) * 7
    weight = weight / weight.sum()
    apart = first - second
    mean = float(weight @ apart)
    spread = float(np.sqrt(weight @ (apart - mean) ** 2)) if len(apart) > 1 else np.nan
    order = np.argsort(apart, kind="stable")
    reached = np.cumsum(weight[order])
    low, high = (float(apart[order][np.searchsorted(reached, q - 1e-12)]) for q in (0.1, 0.9))
    higher = float(weight @ ((apart > 0) + (apart == 0) / 2))
    return float(weight @ first), float(weight @ second), mean, spread, low, high, higher


# --- published numbers ------------------------------------------------------------------------------------------------


def published_places(results: pd.DataFrame, claims: Claims | None = None) -> pd.DataFrame:
    """Return where each published number falls among our specifications, by outcome and family.

    Args:
        results: one row a specification.
        claims: by default those of ``data/claims.toml``.

    Returns:
        ``PLACES``, a row a published number, outcome and family (and ``all``: the mean over families): the number in its
        own unit and, of log points, in per cent; ``same_outcome`` (same | near | another: a change in per cent read
        beside another outcome); ``place``, the share of specifications whose estimate, in the unit of the number, lies
        below it (one equal to it counts half); ``inside``, ``above``, ``below``: shares of specifications whose interval
        holds the number, or lies above or below it. A number that cannot be placed keeps a row with the reason.

    Assumption: the mean that turns a rate into per cent is known without error.

    Example:
        ``published_places(results).query("family == 'all'")``
    """
    rows = _estimated(results)
    measures = list(dict.fromkeys(rows["measure"].astype(str)))
    out: list[dict[str, Any]] = []
    for claim in (claims or load_claims()).claims:
        for fact in claim.facts:
            about = {
                "fact": fact.id,
                "study": f"{claim.study} {claim.year}",
                "outcome": fact.outcome,
                "published": np.nan if fact.size is None else fact.size,
                "unit": fact.unit,
                "percent": np.nan
                if fact.size is None or fact.unit != LOG_POINTS
                else percent_of(fact.size, LOG_POINTS, np.nan),
            }
            found = list(_places_of(fact, rows, measures))
            out += [about | one for one in found] or [about | {"reason": _why_not(fact)}]
    table = pd.DataFrame(out, columns=list(PLACES))
    return table.fillna(dict.fromkeys(("measure", "same_outcome", "family", "reason"), ""))


def _why_not(fact: Fact) -> str:
    if fact.size is None:
        return "no size was published, a null in words"
    wanted = " or ".join((*fact.measures, *fact.near_measures))
    return f"no specification of {wanted}; a size per resident says nothing of another outcome"


def _places_of(fact: Fact, rows: pd.DataFrame, measures: Sequence[str]) -> Iterator[dict[str, Any]]:
    if fact.size is None:
        return
    for measure in measures:
        same = "same" if measure in fact.measures else "near" if measure in fact.near_measures else "another"
        if same == "another" and fact.unit != LOG_POINTS:
            continue
        part = rows[rows["measure"].eq(measure)]
        numbers = {
            name: np.array(
                [
                    in_unit(float(value), str(scale), float(baseline), fact.unit)
                    for value, scale, baseline in zip(
                        part[name], part["scale"], part["baseline"], strict=True
                    )
                ]
            )
            for name in ("estimate", "conf_low", "conf_high")
        }
        known = np.isfinite(numbers["estimate"])
        percent = _percent_published(fact, part)
        found = []
        for family in dict.fromkeys(part["family"].astype(str)):
            use = known & part["family"].eq(family).to_numpy()
            if use.any():
                found.append(
                    {"family": family} | _place(fact.size, *(numbers[name][use] for name in numbers))
                )
        if not found:
            continue
        mean = {
            name: float(np.mean([one[name] for one in found]))
            for name in ("place", "inside", "above", "below")
        }
        together = {"family": ALL, "n_specs": sum(one["n_specs"] for one in found)} | mean
        for one in (*found, together):
            yield {"measure": measure, "same_outcome": same, "reason": "", "percent": percent} | one


def _percent_published(fact: Fact, rows: pd.DataFrame) -> float:
    """Return a published size in per cent: of log points exactly, of rates by the median mean of the specifications."""
    assert fact.size is not None
    if fact.unit == LOG_POINTS:
        return percent_of(fact.size, LOG_POINTS, np.nan)
    means = []
    for scale, baseline in zip(rows["scale"], rows["baseline"], strict=True):
        unit = UNIT_OF_SCALE.get(str(scale), "")
        level = level_of(float(baseline), unit)
        known = unit in RATES or unit == LOG_POINTS
        means.append(level * RATES[fact.unit] / RATES.get(unit, RATES["per_100k"]) if known else np.nan)
    return float(np.nanmedian([percent_of(fact.size, fact.unit, mean) for mean in means]))


def _place(size: float, estimate: Array, low: Array, high: Array) -> dict[str, Any]:
    with_interval = np.isfinite(low) & np.isfinite(high) | np.isinf(low) | np.isinf(high)
    low, high = low[with_interval], high[with_interval]
    n = max(len(low), 1)
    return {
        "n_specs": len(estimate),
        "place": float((estimate < size).mean() + (estimate == size).mean() / 2),
        "inside": float(((low <= size) & (size <= high)).sum() / n),
        "above": float((low > size).sum() / n),
        "below": float((high < size).sum() / n),
    }


# --- the joint test -----------------------------------------------------------------------------------------------------


def is_linear(spec: Spec) -> bool:
    """Return whether a specification belongs to the sub-grid of the joint test: an exact function of sums over states.

    One coefficient with effects of county and year, urban-class-by-year or state-by-year; or group-time effects across
    or within states, without covariates. No control policies, no anticipation, areas are counties.

    Without covariates every method of group-time effects is the same difference of means, and that is what is refitted.
    Under ``doubly_robust`` and ``inverse_weighting`` the estimator leaves out a cell in which one state has hardly a
    comparison county, since no propensity can be fitted there; here, as under ``outcome_regression``, the cell stays.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> main = load_spec("main")
        >>> is_linear(main), is_linear(main.replace({"covariates.names": []}))
        (False, True)
    """
    estimator = spec.estimator
    if spec.design.kind != "panel" or estimator.name not in LINEAR or spec.controls.policies:
        return False
    if spec.treatment.anticipation or spec.design.area == "state":
        return False
    if estimator.name == "two_way":
        return estimator.effects in EFFECTS and estimator.method in (None, "post")
    return not spec.covariates.names and estimator.within in (None, "none", "state")


def state_sums(design: Design, states: Sequence[str]) -> StateSums:
    """Return a design of the linear sub-grid as sums over states.

    Args:
        design: of a specification that `is_linear`.
        states: postal codes common to all specifications.

    Raises:
        SpecError: another specification.
        SampleError: nothing to estimate.
    """
    spec = design.spec
    if not is_linear(spec):
        raise SpecError(
            f"'{spec.name}' in a joint test",
            "a specification that is a function of sums over states",
            "the spec",
        )
    code = {state: at for at, state in enumerate(states)}
    try:
        if spec.estimator.name == "two_way":
            return _two_way_sums(design, code)
        panel = read_design(design)
        home = (
            design.table.drop_duplicates("county_fips").set_index("county_fips")["state"].loc[panel.counties]
        )
        return group_time_sums(
            panel.wide(panel.outcome),
            panel.wide(panel.untreated.astype(float)) == 1,
            panel.cohort,
            panel.base,
            panel.years,
            panel.size,
            home.map(code).to_numpy(dtype=np.intp),
            len(states),
            within=spec.within == "state",
            never_treated=spec.treatment.comparison == "never_treated",
        )
    except ValueError as error:
        found, _, wanted = str(error).partition("; wanted ")
        raise SampleError(found, wanted, "sample") from error


def _two_way_sums(design: Design, code: dict[str, int]) -> StateSums:
    table, effects = design.table, design.spec.estimator.effects
    refuse_rows(table)
    table = table[np.isfinite(table["outcome"].to_numpy(dtype=float)) & table["weight"].gt(0)]
    county = pd.factorize(table["county_fips"])[0]
    year = pd.factorize(table["year"], sort=True)[0]
    own, names = pd.factorize(table["state"])
    state = np.array([code[name] for name in names], dtype=np.intp)[own]
    area = {"county_year": np.zeros_like(year), "state_by_year": state}.get(effects or "")
    if area is None:
        area = pd.factorize(table["urban_class"])[0]
    level = area * (int(year.max(initial=0)) + 1) + year
    keep = without_singletons(county, level)
    outcome, treated, weight = (
        table[name].to_numpy(dtype=float)[keep] for name in ("outcome", "treated", "weight")
    )
    if effects == "state_by_year":
        return within_state_sums(outcome, treated, weight, county[keep], year[keep], state[keep], len(code))
    return level_sums(outcome, treated, weight, county[keep], level[keep], state[keep], len(code))


@dataclass(frozen=True, slots=True)
class Linear:
    """The linear sub-grid of a panel, ready to be refitted.

    Args:
        specs: (n) specifications that can be estimated.
        sums: (n) their sums over states.
        baseline: (n,) mean each effect is a per cent of.
        logs: (n,) effects in log points.
        states: postal codes.
        failures: spec and reason, of those that cannot be estimated.
    """

    specs: tuple[Spec, ...]
    sums: tuple[StateSums, ...]
    baseline: Array
    logs: Flags
    states: tuple[str, ...]
    failures: tuple[tuple[Spec, str], ...]


def linear_grid(panel: Panel, specs: Sequence[Spec]) -> Linear:
    """Return the specifications of the linear sub-grid among some, as sums over states.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids; those that are not linear are left out.

    Raises:
        StudyError: none can be estimated.
    """
    batches: dict[tuple[str, str, str], list[Spec]] = {}
    for spec in specs:
        if is_linear(spec):
            batches.setdefault((sample_key(spec), spec.estimator.weights, spec.within), []).append(spec)
    everyone, shop = sorted(panel.table["state"].unique()), Workshop(panel)
    seen: set[str] = set()
    done: list[tuple[Spec, StateSums, float]] = []
    failures: list[tuple[Spec, str]] = []
    for batch in batches.values():
        try:
            design = shop.design(batch[0])
        except StudyError as error:
            failures += [(spec, str(error)) for spec in batch]
            continue
        seen |= set(design.table["state"])
        for spec in batch:
            try:
                done.append((spec, state_sums(replace(design, spec=spec), everyone), design.baseline))
            except StudyError as error:
                failures.append((spec, str(error)))
    if not done:
        why = failures[0][1] if failures else "no linear specification among those given"
        raise StudyError(f"no specification for the joint test: {why}", "at least one", "the grid")
    order = {spec.name: at for at, spec in enumerate(specs)}
    done.sort(key=lambda one: order[one[0].name])
    some = np.flatnonzero(np.isin(everyone, sorted(seen)))
    return Linear(
        specs=tuple(spec for spec, _, _ in done),
        sums=tuple(sums.take(some) for _, sums, _ in done),
        baseline=np.array([baseline for _, _, baseline in done]),
        logs=np.array([UNIT_OF_SCALE.get(spec.outcome.scale) == LOG_POINTS for spec, _, _ in done]),
        states=tuple(everyone[at] for at in some),
        failures=tuple(failures),
    )


def groups_of(linear: Linear) -> Iterator[tuple[str, str, Flags]]:
    """Yield outcome (and ``all``), what counties are compared with (and ``all``), and which specifications these are."""
    measure = np.array([spec.outcome.measure for spec in linear.specs])
    compared = np.array(["within" if spec.within == "state" else "between" for spec in linear.specs])
    measures = list(dict.fromkeys(measure.tolist()))
    for one in (*measures, *([ALL] if len(measures) > 1 else [])):
        for other in (ALL, "between", "within"):
            chosen = ((measure == one) | (one == ALL)) & ((compared == other) | (other == ALL))
            if chosen.any() and (other == ALL or len(set(compared[(measure == one) | (one == ALL)])) > 1):
                yield one, other, chosen


def joint_test(
    panel: Panel,
    specs: Sequence[Spec],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    sizes: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the joint test of the linear specifications among some: is the curve what no effect at all would give?

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids; those that are not linear are left out.
        draws: of whole states, for all specifications at once.
        seed: of the draws.
        sizes: how often the test rejects a true null at 5 %, columns ``SIZES`` (docs/size_of_curve.csv); without it the sizes are
            missing.

    Returns:
        ``JOINT``, a row an outcome (and ``all``), comparison (between states, within, ``all``), way of drawing
        (``resampled`` or ``signs``, see `analysis.estimation.panel_inference.curve`) and statistic (``median`` effect in
        per cent, ``share`` of specifications that differ from zero at 5 % in the direction in which more do, ``mean_t``):
        the statistic, its two-sided p-value, the measured size of that test with its Monte Carlo error, the middle 95 %
        of the statistic under the null, and counts. n_failed are specifications without an estimate; missing, pairs of
        draw and specification without one; refused, draws that cannot estimate half of them, which count as extreme.

    Raises:
        StudyError: no linear specification can be estimated.

    Assumption: states are independent and many enough; where the measured size is far from 5 %, the p-value is not to be
    read alone.

    Source: Simonsohn, Simmons and Nelson (2020), Nature Human Behaviour 4.
    """
    return grid_test(linear_grid(panel, specs), draws=draws, seed=seed, sizes=sizes)


def grid_test(
    linear: Linear, *, draws: int = DRAWS, seed: int = SEED, sizes: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the joint test of a sub-grid already made; see `joint_test`."""
    size = len(linear.states)
    seen, estimate, _ = observed_curve(linear.sums, linear.baseline, linear.logs, size)
    known = np.isfinite(estimate)
    n_failed = {
        one: sum(one in (ALL, spec.outcome.measure) for spec, _ in linear.failures)
        for one in (ALL, *(spec.outcome.measure for spec in linear.specs))
    }
    rows: list[tuple[Any, ...]] = []
    for how in HOWS:
        numbers = draw_states(size, draws, np.random.default_rng(seed), how)
        null = null_curve(linear.sums, estimate, linear.baseline, linear.logs, numbers, how)
        for measure, compared, chosen in groups_of(linear):
            if not (chosen & known).any():
                continue
            test = curve_test(seen, null, how, chosen & known)
            failed = int((chosen & ~known).sum()) + (n_failed[measure] if compared == ALL else 0)
            low, high = np.nanquantile(test.drawn, [0.025, 0.975], axis=0)
            for j, statistic in enumerate(STATISTICS):
                place = (measure, compared, how, statistic)
                numbers_of = (test.observed[j], test.p_value[j], *_size_of(sizes, place), low[j], high[j])
                counted = (test.specifications, failed, size, test.draws, test.missing, test.refused)
                rows.append((*place, *numbers_of, *counted))
    return pd.DataFrame(rows, columns=list(JOINT))


def _size_of(sizes: pd.DataFrame | None, place: tuple[str, ...]) -> tuple[float, float]:
    """Return the measured size of a test and its error; of outcomes not simulated, the larger of those that were."""
    if sizes is None:
        return float("nan"), float("nan")
    measure, *others = place
    same = sizes[
        ~sizes["trend"].astype(bool) & sizes[["compared", "how", "statistic"]].eq(others).all(axis=1)
    ]
    own = same[same["measure"].eq(measure)]
    if own.empty:
        own = same[same["measure"].ne(ALL)].nlargest(1, "rejects")
    return (
        (float("nan"), float("nan"))
        if own.empty
        else (float(own["rejects"].iloc[0]), float(own["error"].iloc[0]))
    )


def linear_estimates(linear: Linear) -> pd.DataFrame:
    """Return the sub-grid's own estimates, a row a specification: spec, measure, estimate, std_error, failure.

    They are what each specification gives when it is run alone, but for cells without a propensity (`is_linear`).
    """
    _, estimate, error = observed_curve(linear.sums, linear.baseline, linear.logs, len(linear.states))
    rows = [
        (spec.name, spec.outcome.measure, value, spread, "")
        for spec, value, spread in zip(linear.specs, estimate, error, strict=True)
    ]
    rows += [(spec.name, spec.outcome.measure, np.nan, np.nan, why) for spec, why in linear.failures]
    return pd.DataFrame(rows, columns=["spec", "measure", "estimate", "std_error", "failure"])

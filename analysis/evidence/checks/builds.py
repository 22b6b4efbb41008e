"""What sets the builds of a county's crime rate apart: the counties, the offences counted, or the people divided by.

A build is a rule for a county's rate. Two estimates under two builds differ for up to three reasons: other counties have
an outcome (sample), other agencies' offences are counted (numerator), they are divided by other people (denominator).
Here one specification is estimated under every combination and the difference is split into the three parts, averaged
over the orders in which they can be changed. It is arithmetic: it tells which rule moves an estimate, not which is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError, StudyError, TableError
from analysis.base.records import Panel
from analysis.design.design import PER_100K, Design, baseline_mean, scale_rate
from analysis.design.spec import Spec
from analysis.estimation.estimate import Estimate
from analysis.estimation.matched import match
from analysis.evidence.claims import Bound, load_claims
from analysis.evidence.matches import variant_of
from analysis.evidence.results import Found, rate_per_10k, results_frame
from analysis.evidence.runs import Workshop, one_effect
from analysis.evidence.units import RATES, UNIT_OF_SCALE, percent_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Build:
    """What a build counts and what it divides by: columns of the panel, ``{}`` standing for the measure."""

    offences: str
    people: str


POLICED, WHOLE, AGENCIES, OUTSIDE = "policed", "county_population", "county_agencies", "outside_cities"
FILE = "county_file"
BUILDS: Mapping[str, Build] = MappingProxyType(
    {
        POLICED: Build("{}", "policed_{}"),
        WHOLE: Build("{}", "population"),
        AGENCIES: Build("county_agency_{}", "population"),
        OUTSIDE: Build("county_agency_{}", "county_policed_{}"),
    }
)
CONTRASTS = ((POLICED, AGENCIES), (POLICED, OUTSIDE), (OUTSIDE, AGENCIES), (WHOLE, AGENCIES))
# Values of `contrast` that stand for no step from one build to another.
OF_BUILDS, OF_SHARE, OF_OFFENCES, SHARE_HELD = "build", "share", "offence_share", "share_held"
TOTAL, SAMPLE, NUMERATOR, DENOMINATOR = "total", "sample", "numerator", "denominator"
LEFT, ENTERED, DIVISION = "sample_left", "sample_entered", "numerator_and_denominator"
PARTS = (SAMPLE, NUMERATOR, DENOMINATOR)
RATE, SHARE = "rate", "share"
SHARE_GAP, POLICED_SHARE_GAP = "share_gap", "county_policed_share_gap"
POLICED_SHARE = "county_policed_share"
PUBLISHED = "wong2017.crime.all"
# An estimate whose weights give it again up to the rounding of sums.
SAME = 1e-8
# Key under which a row holds its estimate until all are put into one table.
ESTIMATE = "made"

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "spec": "name of the specification; its build is put in place of the spec's own",
        "status": "declared or added",
        "variant": "named variation of the spec, '' for its own values",
        "definition": "treatment definition",
        "estimator": "estimator.name, with its method after a colon where it has one",
        "measure": "outcome measure of the codebook",
        "min_coverage": "least share of residents whose agencies report",
        "contrast": "build (an estimate under one build); first build, '_to_', second build (parts of their difference); "
        "share (county agencies over the whole county as rate outside cities times share of residents there); offence_share "
        "(the same as all agencies' rate times the share of offences county agencies record); share_held (the share of "
        "residents under county policing among the covariates)",
        "part": "of build and share_held: the build; of a step: total, sample, numerator, denominator, which add up to it, "
        "and sample_left + sample_entered = sample, numerator_and_denominator; of share and "
        "offence_share: county_agencies = rate + share, the build of that rate, share_gap (of that share); of share also "
        "county_policed_share_gap",
        "unit": "per_10k (reported offences per 10,000 residents) or share (of residents)",
        "estimate": "of a build: its estimate; of a part: what it adds on the way from the first build to the second; in `unit`",
        "conf_low": "lower end, clustered as the spec says; missing for parts",
        "conf_high": "upper end, likewise",
        "percent": "estimate in per cent of the build's own comparison mean; of a part: what it adds to that",
        "percent_low": "lower end, likewise",
        "percent_high": "upper end, likewise",
        "first": "the part if it is changed before all others, in `unit`",
        "last": "the part if it is changed after all others, in `unit`",
        "orders": "orders averaged over: 6, or 2 where the sample has to be changed by way of the counties common to both",
        "baseline": "mean of comparison counties, in `unit`",
        "n_treated": "treated counties compared; of a step those common to both builds",
        "n_comparison": "comparison counties, likewise",
        "n_states": "states of the treated counties",
        "informative": "whether rule 7 holds",
        "precision": "what the interval alone says (rule 19), '' for parts",
        "published": "published difference per 10,000 residents (arson counted)",
        "published_sign": "whether the estimate has the published sign",
        "published_inside": "whether its interval holds the published size",
        "failure": "why there is no number, or ''",
        "simulated": "whether the panel is simulated",
    }
)
TEXTS = ("spec", "status", "variant", "definition", "estimator", "measure", "contrast", "part", "unit", "precision",
         "failure")  # fmt: skip
FLAGS = ("informative", "published_sign", "published_inside", "simulated")


# ------------------------------------------------------------------------------------------------------------
# Pure parts
# ------------------------------------------------------------------------------------------------------------


def average_orders(values: Array) -> tuple[Array, Array, Array]:
    """Split the difference between two corners into what each of some changes adds, averaged over their orders.

    Args:
        values: shape (2,) * k: what is found with each change made (1) or not (0).

    Returns:
        The k parts averaged over all k! orders, which add up to ``values[1, …] - values[0, …]``; each part if it is
        changed first; each if it is changed last.

    Source: Shapley (1953), A value for n-person games; Shorrocks (2013), Journal of Economic Inequality 11(1).

    Example:
        Two changes that work only together share what they do.

        >>> average, first, last = average_orders(np.array([[0.0, 0.0], [0.0, 6.0]]))
        >>> average.tolist(), first.tolist(), last.tolist()
        ([3.0, 3.0], [0.0, 0.0], [6.0, 6.0])
    """
    k = values.ndim
    average = np.zeros(k)
    orders = list(permutations(range(k)))
    for order in orders:
        at = [0] * k
        for one in order:
            before = values[tuple(at)]
            at[one] = 1
            average[one] += (values[tuple(at)] - before) / len(orders)
    none, every = (0,) * k, (1,) * k
    alone = [tuple(int(i == j) for j in range(k)) for i in range(k)]
    without = [tuple(int(i != j) for j in range(k)) for i in range(k)]
    first = np.array([values[one] - values[none] for one in alone])
    last = np.array([values[every] - values[one] for one in without])
    return average, first, last


@dataclass(frozen=True, slots=True)
class Parts:
    """What lies between two builds.

    Args:
        value: total, sample, numerator, denominator, sample_left, sample_entered, numerator_and_denominator to what
            each adds.
        first: sample, numerator, denominator to the part if changed first.
        last: the same, if changed last.
        orders: number averaged over.
    """

    value: Mapping[str, float]
    first: Mapping[str, float]
    last: Mapping[str, float]
    orders: int


def split(first: Array, common: Array, second: Array) -> Parts:
    """Split the difference between two builds into sample, numerator and denominator.

    Where every combination is defined on both samples, all six orders are averaged. Where one is not (a county without
    a county agency has no offences of one, which is not zero) the sample is changed by way of the counties both builds
    have: from the first build's counties to the common ones under the first build's rate, numerator and denominator
    there in both orders, from the common ones to the second build's counties under the second build's rate. Both steps
    are the sample's.

    Args:
        first: (2, 2) estimates on the counties of the first build, by numerator (0 of the first build, 1 of the second)
            and denominator; missing where a county lacks the combination.
        common: (2, 2) on the counties both builds have, none missing.
        second: (2, 2) on the counties of the second build.

    Returns:
        `Parts`: sample, numerator and denominator add up to ``second[1, 1] - first[0, 0]``.

    Raises:
        ValueError: a combination missing where it has to be known.

    Example:
        >>> of_both = np.array([[10.0, 6.0], [4.0, 1.0]])
        >>> lacking = np.array([[12.0, 7.0], [np.nan, np.nan]])
        >>> found = split(lacking, of_both, of_both)
        >>> found.value["sample"], found.value["numerator"], found.value["denominator"], found.orders
        (-2.0, -5.5, -3.5, 2)
    """
    if np.isnan(common).any() or np.isnan([first[0, 0], second[1, 1]]).any():
        raise ValueError("an estimate of the common counties or of a build is missing; wanted all of them")
    value = {TOTAL: float(second[1, 1] - first[0, 0])}
    if not np.isnan([first, second]).any():
        average, alone, without = average_orders(np.stack([first, second]))
        # The average is linear in the estimates, and so splits where the sample does.
        left = float(average_orders(np.stack([first, common]))[0][0])
        entered = float(average_orders(np.stack([common, second]))[0][0])
        orders = 6
    else:
        average, alone, without = average_orders(common)
        left = float(common[0, 0] - first[0, 0])
        entered = float(second[1, 1] - common[1, 1])
        average, alone, without = (np.append(left + entered, part) for part in (average, alone, without))
        orders = 2
    value |= dict(zip(PARTS, average.tolist(), strict=True))
    value |= {LEFT: left, ENTERED: entered, DIVISION: value[NUMERATOR] + value[DENOMINATOR]}
    alone_by, without_by = (dict(zip(PARTS, part.tolist(), strict=True)) for part in (alone, without))
    return Parts(value, alone_by, without_by, orders)


def rate_and_share(
    rate: Array, share: Array, treated: NDArray[np.bool_], weights: Array
) -> tuple[float, float]:
    """Split a weighted difference of products into the difference of one factor and that of the other.

    Every treated county is set beside every comparison county, a pair with the product of their weights; in a pair the
    difference of the products is the difference of the rates at the mean share and that of the shares at the mean rate.

    Args:
        rate: (n,) offences per resident under county policing.
        share: (n,) share of residents under county policing.
        treated: (n,) flags.
        weights: (n,) weights of the comparison, each arm's of any sum.

    Returns:
        The part of the rates and the part of the shares; they add up to the difference of ``rate * share``.

    Source: Kitagawa (1955), Journal of the American Statistical Association 50(272).

    Example:
        >>> rate, share = np.array([2.0, 4.0]), np.array([0.5, 0.25])
        >>> rate_and_share(rate, share, np.array([True, False]), np.ones(2))
        (-0.75, 0.75)
    """

    def means(values: Array) -> tuple[float, float]:
        return tuple(float(np.average(values[arm], weights=weights[arm])) for arm in (treated, ~treated))  # type: ignore[return-value]

    (r1, r0), (s1, s0), (both1, both0) = means(rate), means(share), means(rate * share)
    return (both1 + r1 * s0 - r0 * s1 - both0) / 2, (both1 - r1 * s0 + r0 * s1 - both0) / 2


# ------------------------------------------------------------------------------------------------------------
# One specification under every build
# ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Bench:
    """One specification, its designs by build, and what was estimated on them so far.

    Args:
        spec: without a grid.
        designs: build to its design; builds that have none are in ``failures``.
        failures: build to the reason.
        source: rows of the panel of the spec's year, by county.
        found: counties, offences and people to estimate and comparison mean, in the spec's unit.
    """

    spec: Spec
    designs: dict[str, Design]
    failures: dict[str, str]
    source: pd.DataFrame
    found: dict[tuple[tuple[str, ...], str, str], tuple[float, float]] = field(default_factory=dict)

    @property
    def measure(self) -> str:
        return self.spec.outcome.measure

    def column(self, name: str) -> pd.Series:
        """Return a column of the panel by county; people outside cities only where their rate is defined."""
        made = self.source[name.format(self.measure)].astype(float)
        if name == BUILDS[OUTSIDE].people:
            return made.where(self.source[f"rate_{OUTSIDE}_{self.measure}"].notna())
        return made

    def outcome(self, offences: str, people: str) -> pd.Series:
        """Return offences per resident in the spec's scale, by county; missing where a part is."""
        divided = self.column(people)
        rate = (self.column(offences) / divided.where(divided > 0) * PER_100K).to_numpy(dtype=float)
        return pd.Series(scale_rate(rate, self.spec.outcome.scale), index=self.source.index)

    def on(self, design: Design, counties: Sequence[str], outcome: pd.Series) -> Design:
        """Return a design on some of its counties with another outcome."""
        table = design.table[design.table["county_fips"].isin(list(counties))].reset_index(drop=True)
        table["outcome"] = table["county_fips"].map(outcome).to_numpy(dtype=float)
        treated = int(table["treated"].sum())
        if not 0 < treated < len(table):
            raise SampleError(
                f"{treated} treated and {len(table) - treated} comparison counties have both builds",
                "some of either",
                "sample",
            )
        return replace(design, table=table, baseline=baseline_mean(table, design.kind))

    def value(
        self, design: Design, counties: tuple[str, ...], offences: str, people: str
    ) -> tuple[float, float]:
        """Return an estimate and its comparison mean; missing where a county lacks the combination."""
        key = (counties, offences, people)
        if key not in self.found:
            outcome = self.outcome(offences, people)
            if outcome.reindex(list(counties)).isna().any():
                self.found[key] = (np.nan, np.nan)
            else:
                made = self.on(design, counties, outcome)
                self.found[key] = (float(one_effect(made).table["estimate"].iloc[0]), made.baseline)
        return self.found[key]


def _bench(shop: Workshop, spec: Spec) -> _Bench:
    panel, designs, failures = shop.panel, {}, {}
    for build in (*BUILDS, FILE):
        if build == FILE and f"rate_{FILE}_{spec.outcome.measure}" not in panel.table:
            continue
        try:
            designs[build] = shop.design(spec.replace({"outcome.build": build}))
        except StudyError as error:
            failures[build] = _said(error)
    held = panel.constant if spec.sample.constant_agencies else panel.table
    wanted = {one.format(spec.outcome.measure) for b in BUILDS.values() for one in (b.offences, b.people)}
    wanted |= {"county_fips", "year", f"rate_{OUTSIDE}_{spec.outcome.measure}", POLICED_SHARE}
    absent = sorted(wanted - set(held.columns))
    if absent:
        raise TableError(
            f"the panel lacks {', '.join(absent)}", "the columns of its codebook entry", "data/codebook.toml"
        )
    source = held.loc[held["year"].eq(spec.years[0]), sorted(wanted)].set_index("county_fips")
    return _Bench(spec, designs, failures, source)


def _counties(design: Design) -> tuple[str, ...]:
    return tuple(design.table["county_fips"])


def _common(one: Design, other: Design) -> tuple[str, ...]:
    both = set(_counties(other))
    return tuple(county for county in _counties(one) if county in both)


def _per_10k(bench: _Bench, value: float) -> float:
    return rate_per_10k(value, bench.spec.outcome.scale, np.nan)


def _percent(bench: _Bench, value: float, mean: float) -> float:
    return percent_of(value, UNIT_OF_SCALE[bench.spec.outcome.scale], mean)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())


# ------------------------------------------------------------------------------------------------------------
# Rows
# ------------------------------------------------------------------------------------------------------------

Row = dict[str, Any]


def wong_builds(panel: Panel, specs: Iterable[Spec]) -> pd.DataFrame:
    """Estimate specifications under every build of a county's rate, and split what lies between the builds.

    Builds: ``policed`` (all agencies that report over the residents they police), ``county_population`` (the same
    offences over the whole county), ``county_agencies`` (sheriffs and county police over the whole county),
    ``outside_cities`` (the same offences over residents outside places with their own police), and ``county_file``
    where the panel carries one. The sample of a build is the counties its design keeps. Weights and matches are found
    anew on every sample and never from an outcome.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: cross-sections of counties in rates, with or without grids; their own build is of no account, and
            specifications that differ in it alone are run once.

    Returns:
        Columns ``COLUMNS``, a row an estimate or part, in the order of the specs. What cannot be estimated is a row with
        its reason.

    Raises:
        SpecError: a specification that is no cross-section of counties in rates.
        TableError: the panel lacks a column.

    Assumption: none for the split, which is arithmetic; each estimate rests on its design's.

    Example:
        ``wong_builds(load_panel(), [load_spec("wong_builds")])``
    """
    shop = Workshop(panel)
    claims = load_claims()
    size = next(fact.size for claim in claims.claims for fact in claim.facts if fact.id == PUBLISHED)
    assert size is not None
    rows: list[Row] = []
    seen: set[str] = set()
    for given in specs:
        for spec in given.expand() if given.vary or given.also else (given,):
            _require(spec)
            same = spec.replace({"outcome.build": POLICED}).content_digest
            if same in seen:
                continue
            seen.add(same)
            about = _about(spec) | {"published": size, "simulated": panel.simulated}
            rows += [about | row for row in _rows(_bench(shop, spec))]
    return _typed(pd.DataFrame(_filled(rows, claims.common_bound, size), columns=list(COLUMNS)))


def _require(spec: Spec) -> None:
    area = spec.design.area or "county"
    if (
        spec.design.kind != "cross_section"
        or area != "county"
        or UNIT_OF_SCALE.get(spec.outcome.scale) not in RATES
    ):
        raise SpecError(
            f"{spec.name}: a {spec.design.kind} of areas '{area}' in {spec.outcome.scale}",
            "a cross_section of counties in rate_10k or rate_100k",
            spec.where,
        )


def _about(spec: Spec) -> Row:
    asked = spec.estimator
    return {
        "spec": spec.name,
        "status": spec.status,
        "variant": variant_of(spec.name),
        "definition": spec.treatment.definition,
        "estimator": f"{asked.name}: {asked.method}" if asked.method else asked.name,
        "measure": spec.outcome.measure,
        "min_coverage": spec.sample.min_coverage,
    }


def _rows(bench: _Bench) -> Iterator[Row]:
    for build in (*bench.designs, *bench.failures):
        yield from _kept(OF_BUILDS, build, lambda build=build: [_build_row(bench, build)])
    for first, second in CONTRASTS:
        yield from _kept(f"{first}_to_{second}", TOTAL, lambda pair=(first, second): _step_rows(bench, *pair))
    yield from _kept(OF_SHARE, AGENCIES, lambda: _share_rows(bench))
    yield from _kept(OF_OFFENCES, AGENCIES, lambda: _offence_share_rows(bench))
    for build in (POLICED, AGENCIES):
        yield from _kept(SHARE_HELD, build, lambda build=build: [_held_row(bench, build)])


def _kept(contrast: str, part: str, make: Any) -> list[Row]:
    """Return rows, or one with the reason why there are none."""
    try:
        made: list[Row] = make()
    except (StudyError, np.linalg.LinAlgError) as error:
        made = [{"part": part, "unit": "per_10k", "failure": _said(error)}]
    return [{"contrast": contrast} | row for row in made]


def _design(bench: _Bench, build: str) -> Design:
    if build not in bench.designs:
        raise SampleError(f"no design under the build {build}: {bench.failures[build]}")
    return bench.designs[build]


def _made(part: str, design: Design, unit: str = "per_10k") -> Row:
    """Return the row of an estimate that `_filled` completes: all of them as one table of results."""
    return {"part": part, "unit": unit, "failure": "", ESTIMATE: one_effect(design)}


def _filled(rows: Sequence[Row], bound: Bound, published: float) -> list[Row]:
    """Return rows with the numbers of their estimates, offences per 10,000 residents."""
    waiting = [row[ESTIMATE] for row in rows if ESTIMATE in row]
    # A name for each, since builds of one specification share theirs.
    found = [
        Found(replace(made.spec, name=f"{made.spec.name}-{at}"), made) for at, made in enumerate(waiting)
    ]
    results = iter(results_frame(found, bound).to_dict("records"))
    return [
        row | _numbers(row, row[ESTIMATE], next(results), published) if ESTIMATE in row else row
        for row in rows
    ]


def _numbers(row: Row, estimate: Estimate, found: Mapping[Any, Any], published: float) -> Row:
    of_rates = row["unit"] == "per_10k"

    def scaled(value: float) -> float:
        return (
            rate_per_10k(value, estimate.spec.outcome.scale, estimate.baseline) if of_rates else float(value)
        )

    numbers = {name: scaled(found[name]) for name in ("estimate", "conf_low", "conf_high", "baseline")}
    copied = ("percent_low", "percent_high", "n_treated", "n_comparison", "n_states", "informative")
    beside = row["contrast"] in (OF_BUILDS, SHARE_HELD)
    return {
        **numbers,
        "percent": found["percent_of_baseline"],
        **{name: found[name] for name in copied},
        "precision": found["precision"] if of_rates else "",
        "published_sign": beside and np.sign(numbers["estimate"]) == np.sign(published),
        "published_inside": beside and numbers["conf_low"] <= published <= numbers["conf_high"],
    }


def _build_row(bench: _Bench, build: str) -> Row:
    return _made(build, _design(bench, build))


def _step_rows(bench: _Bench, first: str, second: str) -> list[Row]:
    one, other = _design(bench, first), _design(bench, second)
    common = _common(one, other)
    offences, people = (
        (getattr(BUILDS[first], what), getattr(BUILDS[second], what)) for what in ("offences", "people")
    )
    values = np.full((3, 2, 2), np.nan)
    percents = values.copy()
    for at, (design, counties) in enumerate(
        ((one, _counties(one)), (one, common), (other, _counties(other)))
    ):
        for n, d in product((0, 1), (0, 1)):
            value, mean = bench.value(design, counties, offences[n], people[d])
            values[at, n, d] = _per_10k(bench, value)
            percents[at, n, d] = _percent(bench, value, mean) if np.isfinite(value) else np.nan
    found, in_percent = split(*values), split(*percents)
    sizes = _sizes(bench.on(one, common, bench.outcome(offences[0], people[0]))) | {"orders": found.orders}
    return [
        {
            "part": part,
            "estimate": found.value[part],
            "percent": in_percent.value[part],
            "first": found.first.get(part, np.nan),
            "last": found.last.get(part, np.nan),
        }
        | sizes
        for part in (TOTAL, *PARTS, LEFT, ENTERED, DIVISION)
    ]


def _share_rows(bench: _Bench) -> list[Row]:
    """County agencies over the whole county are their rate outside cities times the share of residents there."""
    share = bench.column(BUILDS[OUTSIDE].people) / bench.column(BUILDS[AGENCIES].people)
    design = bench.on(
        _design(bench, AGENCIES), _common(_design(bench, AGENCIES), _design(bench, OUTSIDE)), share
    )
    policed = bench.on(design, _counties(design), bench.column(POLICED_SHARE))
    return [*_factor_rows(bench, design, OUTSIDE, share), _made(POLICED_SHARE_GAP, policed, "share")]


def _offence_share_rows(bench: _Bench) -> list[Row]:
    """County agencies over the whole county are all agencies' rate there times the share of offences they record."""
    every = bench.column(BUILDS[WHOLE].offences)
    share = bench.column(BUILDS[AGENCIES].offences) / every.where(every > 0)
    known = set(share.index[share.notna()])
    design = _design(bench, AGENCIES)
    counties = [county for county in _counties(design) if county in known]
    return _factor_rows(bench, bench.on(design, counties, share), WHOLE, share)


def _factor_rows(bench: _Bench, design: Design, of_rate: str, share: pd.Series) -> list[Row]:
    """Return county agencies over the whole county as the rate of a build times a share: estimate, two parts, each
    factor's own difference.

    Args:
        bench: of the specification.
        design: on counties that have both factors, its outcome the share.
        of_rate: build whose rate the share multiplies.
        share: by county.
    """
    counties = _counties(design)
    whole, rate = (bench.outcome(BUILDS[b].offences, BUILDS[b].people) for b in (AGENCIES, of_rate))
    of_whole = bench.on(design, counties, whole)
    total = _made(AGENCIES, of_whole)
    sets = match(of_whole)
    r, s = (values.reindex(list(sets.counties)).to_numpy(dtype=float) for values in (rate, share))
    parts = dict(zip((RATE, SHARE), rate_and_share(r, s, sets.treated, sets.weights), strict=True))
    estimate = float(total[ESTIMATE].table["estimate"].iloc[0])
    if abs(sum(parts.values()) - estimate) <= SAME * max(abs(estimate), of_whole.baseline):
        sizes = _sizes(of_whole, sets.used)
        made = [
            {
                "part": part,
                "estimate": _per_10k(bench, value),
                "percent": _percent(bench, value, of_whole.baseline),
            }
            | sizes
            for part, value in parts.items()
        ]
    else:
        reason = f"the weights of {bench.spec.estimator.name} alone do not give its estimate"
        made = [{"part": part, "unit": "per_10k", "failure": reason} for part in parts]
    return [
        total,
        *made,
        _made(of_rate, bench.on(design, counties, rate)),
        _made(SHARE_GAP, design, "share"),
    ]


def _sizes(design: Design, used: NDArray[np.bool_] | None = None) -> Row:
    """Return how many counties of either arm a design holds, or those of them that are used."""
    table = design.table if used is None else design.table[used]
    arm = table["treated"]
    return {
        "n_treated": int(arm.sum()),
        "n_comparison": int((~arm).sum()),
        "n_states": table.loc[arm, "state"].nunique(),
        "unit": "per_10k",
        "failure": "",
    }


def _held_row(bench: _Bench, build: str) -> Row:
    """The estimate with the share of residents under county policing among the covariates."""
    design = _design(bench, build)
    share = design.table["county_fips"].map(bench.column(POLICED_SHARE)).to_numpy(dtype=float)
    table = design.table.assign(**{POLICED_SHARE: share})
    table = table[table[POLICED_SHARE].notna()].reset_index(drop=True)
    names = (*design.covariates, POLICED_SHARE)
    return _made(
        build, replace(design, table=table, covariates=names, baseline=baseline_mean(table, design.kind))
    )


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    out = {}
    for name in COLUMNS:
        values = frame[name].astype(object)
        if name in TEXTS:
            out[name] = values.where(values.notna(), "").astype(str)
        elif name in FLAGS:
            out[name] = values.eq(True)
        else:
            out[name] = pd.to_numeric(values, errors="coerce").astype(float)
    return pd.DataFrame(out)

"""Every design of the panel on simulated panels shaped like the study's: bias, coverage and size of each estimator
with each of its errors, as found.

Run as a script to write tests/reference/truth/design_truth.csv, the first draws beside it and docs/design_truth.md (it
takes up where it stopped):
    python tests/estimation/design_truth.py
    python tests/estimation/design_truth.py --times
Worlds and methods were set down before they were run and are not tuned; the table reports what was found.

A draw places some 950 counties in 45 states, deals out adoption and draws outcomes of 2010-2017, all anew (a map is
kept for ten draws). One in ten counties adopts, in 13 states of which few have most; three in four adopt in the
course of 2014, and that year is dropped for them. What states share, what neighbours share across state lines and what
is a county's own have variances that add up to one, so effects and errors are in standard deviations of a county-year.

The truth of a line is the mean effect of the treated county-years its estimate rests on, with their weights in it:
estimators that leave out counties or years are held against what they say they estimate.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from estimation_cases import make_spec
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from analysis.base.errors import StudyError
from analysis.base.paths import ROOT, replacing
from analysis.base.provenance import make_stamp
from analysis.base.records import Geography
from analysis.design.design import Design
from analysis.design.keys import URBAN_CLASSES
from analysis.design.spec import EstimatorSection, InferenceSection, OutcomeSection
from analysis.estimation import Estimate, aggregate, fit, recluster
from analysis.estimation.estimate import STATE_OF_PREFIX
from analysis.estimation.inference import t_quantile, two_sided_p
from analysis.estimation.panel_inference.spatial import spatial_variance

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Bool = NDArray[np.bool_]

FOLDER: Path = Path(__file__).parents[1] / "reference" / "truth"
TABLE, FIRST = FOLDER / "design_truth.csv", FOLDER / "design_truth_draws.csv"
PAGE: Path = ROOT / "docs" / "design_truth.md"

DRAWS, COSTLY_DRAWS, BLOCK, SHOWN = 1000, 200, 20, 3
DRAWS_A_MAP = 10
LEVEL, REJECTS = 0.95, 0.05
BAND_DRAWS, RESAMPLES, REASSIGNMENTS = 199, 199, 199
SEED = 20260101
COUNTIES, STATES, TREATED_STATES = 950, 45, 13
YEARS = np.arange(2010, 2018)
MAIN_COHORT, COHORTS = 2015, (2013, 2014, 2016, 2017)
IN_MAIN_COHORT = 0.75
# Of the counties of the largest treated state, the next two, and the two after them; in the others one county adopts,
# or two or three.
SHARES = (0.5, 0.3, 0.3, 0.2, 0.2)
LARGEST = "06"
MANY_STATES = 6
CUTOFF_KM = 200.0


# --- worlds -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """What moves outcomes.

    Args:
        short: for headings.
        words: for people.
        effect: of adoption in the first full year.
        growth: of the effect a year.
        by_cohort: share by which a cohort's effect is larger than the next one's.
        law: what happens to all counties of the largest treated state from 2015 on.
        half: share of the effect that falls in the year of adoption.
        state: standard deviation of what a state's counties share in a year.
        near: standard deviation of what neighbours share.
        reach: km over which that falls to a third.
        treated: number of states with adopters.
        whole: whether whole states adopt.
        counts: whether outcomes are counts, whose log mean the rest describes.
    """

    short: str
    words: str
    effect: float = 0.0
    growth: float = 0.0
    by_cohort: float = 0.0
    law: float = 0.0
    half: float = 0.0
    state: float = 0.4
    near: float = 0.4
    reach: float = 100.0
    treated: int = TREATED_STATES
    whole: bool = False
    counts: bool = False


WORLDS: dict[str, World] = {
    "null": World("no effect", "the policy does nothing"),
    "growing": World(
        "growing effects",
        "effects grow by a half of the first year's each year and are larger in earlier cohorts",
        effect=0.4,
        growth=0.2,
        by_cohort=0.25,
    ),
    "california": World(
        "a law of its own",
        "the policy does nothing, and in 2015 the largest treated state changes a law that raises its outcome by 0.6",
        law=0.6,
    ),
    "spatial": World(
        "neighbours across borders",
        "the policy does nothing; three quarters of the variance is shared by places near each other, within states and "
        "across their lines, and none by states as such",
        state=0.0,
        near=0.85,
        reach=300.0,
    ),
    "few": World("three treated states", "the policy does nothing; all adopters lie in three states", treated=3),
    "half_year": World(
        "half a year first",
        "one effect of 0.5 from the first full year on, and half of it in the year of adoption",
        effect=0.5,
        half=0.5,
    ),
    "whole_states": World("whole states", "the policy does nothing; whole states adopt it", whole=True),
    "counts": World(
        "counts",
        "outcomes are counts; log means move as in growing effects, at a fifth of the size",
        effect=0.08,
        growth=0.04,
        by_cohort=0.25,
        counts=True,
    ),
}  # fmt: skip
# Log means vary over years by this much of what rates do.
LOG = 0.2


@dataclass(frozen=True, slots=True)
class Places:
    """Where counties lie.

    Args:
        latitude, longitude: (n,) degrees.
        state: (n,) code of the nearest of 45 centres.
        neighbours: (m, 2) pairs that touch, once.
        distance: (n, n) km.
    """

    latitude: Array
    longitude: Array
    state: Index
    neighbours: Index
    distance: Array


@lru_cache(maxsize=4)
def places(number: int) -> Places:
    """Draw a map: places at random in a country of 2,000 by 4,000 km, states around centres at random."""
    rng = np.random.default_rng([SEED, 1, number])
    latitude, longitude = rng.uniform(30, 48, COUNTIES), rng.uniform(-122, -75, COUNTIES)
    # A degree of longitude is a good three quarters of one of latitude here.
    point = np.column_stack([latitude * 111.2, longitude * 111.2 * np.cos(np.radians(39))])
    centre = point[rng.choice(COUNTIES, STATES, replace=False)]
    state = ((point[:, None, :] - centre) ** 2).sum(axis=2).argmin(axis=1)
    edges = np.vstack([Delaunay(point).simplices[:, pair] for pair in ([0, 1], [1, 2], [0, 2])])
    distance = np.sqrt(((point[:, None, :] - point) ** 2).sum(axis=2))
    return Places(latitude, longitude, state, np.unique(np.sort(edges, axis=1), axis=0), distance)


@lru_cache(maxsize=4)
def _near(number: int, reach: float) -> Array:
    """Return a root of the correlation exp(-distance / reach) of a map's places."""
    root: Array = np.linalg.cholesky(np.exp(-places(number).distance / reach) + 1e-9 * np.eye(COUNTIES))
    return root


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draw: counties in the order of their codes, sorted.

    Args:
        counties: codes.
        state: (n,) first two digits.
        latitude, longitude: (n,) degrees.
        neighbours: (m, 2) pairs of rows.
        size: (n,) residents.
        poverty: (n,) a trait that moves adoption within states, and nothing else.
        cohort: (n,) first full year; 0 for never.
        effect: (n, T) of the policy, in the year of adoption too.
        outcome: (n, T).
    """

    counties: NDArray[np.str_]
    state: NDArray[np.str_]
    latitude: Array
    longitude: Array
    neighbours: Index
    size: Array
    poverty: Array
    cohort: NDArray[np.int64]
    effect: Array
    outcome: Array


def _persistent(rng: np.random.Generator, rows: int, left: float) -> Array:
    """Draw shocks with standard deviation one of which a share is left a year later, (rows, T)."""
    out = rng.normal(size=(rows, len(YEARS)))
    for t in range(1, len(YEARS)):
        out[:, t] = left * out[:, t - 1] + np.sqrt(1 - left**2) * out[:, t]
    return out


def _adopters(world: World, rng: np.random.Generator, state: Index, lean: Array) -> NDArray[np.int64]:
    """Return first full years, 0 for never: by county within the treated states, or by whole states."""
    sizes = np.bincount(state, minlength=STATES)
    # The largest state is treated; the others are drawn, small ones and all.
    order = np.argsort(-sizes, kind="stable")
    chosen = np.concatenate([order[:1], rng.permutation(order[1:])[: world.treated - 1]])
    chosen = chosen[np.argsort(-sizes[chosen], kind="stable")]
    cohort = np.zeros(len(state), dtype=np.int64)

    def dates(number: int) -> NDArray[np.int64]:
        return np.where(rng.random(number) < IN_MAIN_COHORT, MAIN_COHORT, rng.choice(COHORTS, number))

    if world.whole:
        by_state = np.zeros(STATES, dtype=np.int64)
        by_state[chosen] = dates(len(chosen))
        return by_state[state]
    for rank, one in enumerate(chosen):
        members = np.flatnonzero(state == one)
        share = SHARES[rank] if rank < len(SHARES) else 0.0
        # One county stays untreated, where there is another.
        number = min(
            max(round(share * len(members)), 1 + (rank % 3 if not share else 0)), max(len(members) - 1, 1)
        )
        score = 0.5 * lean[members] + rng.gumbel(size=len(members))
        picked = members[np.argsort(-score, kind="stable")[:number]]
        cohort[picked] = dates(number)
    return cohort


def draw(name: str, seed: int) -> Drawn:
    """Draw one panel of a world."""
    world, rng = WORLDS[name], np.random.default_rng([SEED, 2, list(WORLDS).index(name), seed])
    number = seed // DRAWS_A_MAP
    here = places(number)
    n = COUNTIES
    size = np.round(np.exp(rng.normal(10.2, 1.4, n)))
    poverty = rng.normal(size=n)
    cohort = _adopters(world, rng, here.state, poverty)
    since = np.where(cohort[:, None] > 0, YEARS[None, :] - cohort[:, None], -99)
    scale = world.effect + world.growth * np.maximum(since, 0)
    scale = scale * (1 + world.by_cohort * (MAIN_COHORT - cohort))[:, None]
    effect = np.where(since >= 0, scale, np.where(since == -1, world.half * scale, 0.0))
    # Small counties' own outcomes vary more, as rates of few people do.
    own = (size / np.median(size)) ** -0.25
    own = own / np.sqrt(np.mean(own**2)) * np.sqrt(1 - world.state**2 - world.near**2)
    moved = (
        rng.normal(0, 2, n)[:, None]
        + np.cumsum(rng.normal(0, 0.3, len(YEARS)))
        + world.state * _persistent(rng, STATES, 0.7)[here.state]
        + world.near * (_near(number, world.reach) @ _persistent(rng, n, 0.5))
        + own[:, None] * _persistent(rng, n, 0.3)
    )
    # The largest state is numbered as California is.
    largest = int(np.bincount(here.state).argmax())
    moved = moved + world.law * ((here.state == largest)[:, None] & (YEARS >= MAIN_COHORT))
    if world.counts:
        rate = np.exp(np.log(0.003) + LOG * moved + effect)
        outcome = rng.poisson(rate * size[:, None]).astype(float)
    else:
        outcome = moved + effect
    others = [prefix for prefix in sorted(STATE_OF_PREFIX) if prefix != LARGEST]
    names = np.array([LARGEST if s == largest else others[s] for s in range(STATES)])[here.state]
    codes = np.array([f"{prefix}{i:03d}" for prefix, i in zip(names, range(n), strict=True)])
    order = np.argsort(codes, kind="stable")
    place = np.empty(n, dtype=np.intp)
    place[order] = np.arange(n)
    return Drawn(
        codes[order], names[order], here.latitude[order], here.longitude[order], place[here.neighbours],
        size[order], poverty[order], cohort[order], effect[order], outcome[order],
    )  # fmt: skip


# --- samples ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """A draw as a design has it: a row a county-year, and the true effects.

    Args:
        drawn: the draw.
        table: columns of a `Design`, unweighted, without strata.
        effect: (n, T) what an estimate should find, missing where there is no row or no treatment yet.
        event_time: (n, T) as the design counts, missing where there is no row.
    """

    drawn: Drawn
    table: pd.DataFrame
    effect: Array
    event_time: Array


def make_sample(drawn: Drawn, kind: str) -> Sample:
    """Return a sample of a draw.

    Args:
        drawn: the draw.
        kind: "all"; "without_largest" leaves out the largest state; "adoption_year" counts the year of adoption as
            treated, all other samples drop it; "one_county" keeps one adopter of the main cohort, the largest, and
            those that never adopt; "states" adds counties up to states.
    """
    if kind == "states":
        drawn = added_up(drawn)
    n, years = len(drawn.counties), len(YEARS)
    shift = 1 if kind == "adoption_year" else 0
    cohort = np.where(drawn.cohort > 0, drawn.cohort - shift, 0)
    since = np.where(cohort[:, None] > 0, YEARS[None, :] - cohort[:, None], -99)
    kept = np.ones((n, years), dtype=bool)
    event_time = since.astype(float)
    if kind != "adoption_year":
        kept = since != -1
        event_time = np.where(since < 0, since + 1.0, event_time)
    if kind == "without_largest":
        kept &= (drawn.state != LARGEST)[:, None]
    if kind == "one_county":
        chosen = int(np.argmax(np.where(cohort == MAIN_COHORT, drawn.size, 0.0)))
        kept &= ((cohort == 0) | (np.arange(n) == chosen))[:, None]
    event_time = np.where((cohort > 0)[:, None], event_time, np.nan)
    # Of a year of which part is treated, the effect of a full one is what is asked.
    full = np.where(since >= 0, np.where(shift & (since == 0), drawn.effect[:, -1:], drawn.effect), np.nan)
    rows = kept.ravel()

    def long(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, years)[rows]

    never = long(cohort == 0)
    classes = np.array(URBAN_CLASSES[::-1])[
        np.searchsorted(np.quantile(drawn.size, np.arange(1, 6) / 6), drawn.size)
    ]
    table = pd.DataFrame(
        {
            "county_fips": long(drawn.counties),
            "year": np.tile(YEARS, n)[rows],
            "state": long(drawn.state),
            "urban_class": long(classes),
            "division": "all",
            "population": long(drawn.size),
            "population_baseline": long(drawn.size),
            "cohort": pd.array(long(cohort), dtype="Int64"),
            "event_time": pd.array(np.nan_to_num(event_time).ravel()[rows].astype(int), dtype="Int64"),
            "treated": (since >= 0).ravel()[rows],
            "outcome": drawn.outcome.ravel()[rows],
            "weight": 1.0,
            "stratum": "all",
            "poverty": long(drawn.poverty),
        }
    )
    for name in ("cohort", "event_time"):
        table[name] = table[name].mask(never)
    missing = ~kept | (since < 0)
    return Sample(drawn, table, np.where(missing, np.nan, full), np.where(kept, event_time, np.nan))


def added_up(drawn: Drawn) -> Drawn:
    """Return a draw with a row a state: means by residents, where whole states adopt."""
    state, code = np.unique(drawn.state, return_inverse=True)
    total = np.bincount(code, drawn.size)

    def mean(values: Array) -> Array:
        return np.stack(
            [np.bincount(code, drawn.size * column) / total for column in np.atleast_2d(values.T)], axis=-1
        )

    first = np.searchsorted(drawn.state, state)
    alone = np.array([f"{prefix}000" for prefix in state])
    flat = {name: mean(getattr(drawn, name)).ravel() for name in ("latitude", "longitude", "poverty")}
    return replace(
        drawn, counties=alone, state=state, neighbours=np.zeros((0, 2), dtype=np.intp), size=total,
        cohort=drawn.cohort[first], effect=mean(drawn.effect), outcome=mean(drawn.outcome), **flat,
    )  # fmt: skip


def truth_of(sample: Sample, estimate: Estimate, window: int | None = None) -> Array:
    """Return the true effect behind each row of an estimate: by event time, or over all years after adoption.

    Args:
        sample: what was estimated on.
        estimate: its rows have an event time, or rest on all treated years.
        window: treated years an estimate rests on, where not all.
    """
    at = np.searchsorted(sample.drawn.counties, estimate.counties.to_numpy(dtype=str))
    effect, event_time = sample.effect[at], sample.event_time[at]
    weight = np.nan_to_num(estimate.treated)
    out = np.zeros(weight.shape[1])
    for k, when in enumerate(estimate.table["event_time"]):
        if not pd.isna(when) and when < 0:
            continue
        chosen = np.isfinite(effect) & ((event_time == when) if not pd.isna(when) else True)
        if window is not None:
            chosen &= event_time < window
        count = chosen.sum(axis=1)
        mean = np.where(chosen, effect, 0.0).sum(axis=1) / np.maximum(count, 1)
        used = weight[:, k] * (count > 0)
        out[k] = used @ mean / used.sum() if used.sum() > 0 else np.nan
    return out


# --- methods ----------------------------------------------------------------------------------------------------

CLUSTER = InferenceSection("cluster", "state", LEVEL, BAND_DRAWS, SEED)
BY_STATE, BY_COUNTY, SPATIAL = "by state", "by county", f"spatial, {CUTOFF_KM:g} km"
PLACEBO = "placebo"
COUNTIES_DEALT, STATES_DEALT = "randomisation, counties within states", "randomisation, whole states"
# Errors that are read off one fit, whose clusters are states; the others are fitted anew.
FROM_ONE = (BY_STATE, BY_COUNTY, SPATIAL)
ANEW: dict[str, InferenceSection] = {
    "by state and year": replace(CLUSTER, by="state_and_year", draws=0),
    "CR2 by state": replace(CLUSTER, vcov="cr2", draws=0),
    "CR3 by state": replace(CLUSTER, vcov="cr3", draws=0),
    "wild bootstrap by state": replace(CLUSTER, vcov="wild_bootstrap", draws=RESAMPLES),
    "subcluster bootstrap": replace(CLUSTER, vcov="subcluster_bootstrap", draws=RESAMPLES),
    "by segment": replace(CLUSTER, by="segment", draws=0),
    "by state and segment": replace(CLUSTER, by="state_and_segment", draws=0),
    PLACEBO: InferenceSection("placebo", "none", LEVEL, 0, SEED),
    COUNTIES_DEALT: replace(CLUSTER, vcov="randomisation", draws=REASSIGNMENTS, assignment="counties_within_states"),
    STATES_DEALT: replace(CLUSTER, vcov="randomisation", draws=REASSIGNMENTS, assignment="whole_states"),
}  # fmt: skip
COSTLY = frozenset(
    {
        "wild bootstrap by state",
        "subcluster bootstrap",
        COUNTIES_DEALT,
        STATES_DEALT,
        "CR2 by state",
        "CR3 by state",
    }
)
EVERYWHERE = ("null", "growing", "california", "spatial", "few", "half_year", "whole_states")
WITHIN_STATES = ("null", "growing", "california", "spatial", "few", "half_year")
ERRORS_TESTED = ("null", "spatial", "few", "whole_states")


@dataclass(frozen=True, slots=True)
class Method:
    """An estimator with its options, and the errors put beside it.

    What is read is the average of all years after adoption; of placebos, which test each year by permutation and the
    average by its spread alone, the first.

    Args:
        estimator: its name in specs.
        option: in words; a method is its estimator and this.
        keys: of ``[estimator]``.
        errors: in all worlds of the method.
        more: errors in the worlds where the policy does nothing.
        worlds: it is run in.
        sample: see ``make_sample``.
        weights: of counties.
        comparison: of ``[treatment]``.
        covariate: whether the trait that moves adoption is held constant.
        window: treated years it rests on, where not all.
        costly: whether it is run in the first draws alone.
    """

    estimator: str
    option: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[str, ...] = FROM_ONE
    more: tuple[str, ...] = ()
    worlds: tuple[str, ...] = EVERYWHERE
    sample: str = "all"
    weights: str = "none"
    comparison: str = "not_yet_treated"
    covariate: bool = False
    window: int | None = None
    costly: bool = False

    @property
    def section(self) -> EstimatorSection:
        """Return ``[estimator]``."""
        return EstimatorSection(self.estimator, self.weights, **self.keys)


ALL_WITHIN = {"within": "none"}
IN_STATES, WEIGHTED = {"within": "state"}, "population_baseline"
TWO_WAY_ERRORS = (
    "by state and year",
    "CR2 by state",
    "CR3 by state",
    "wild bootstrap by state",
    "subcluster bootstrap",
    COUNTIES_DEALT,
    STATES_DEALT,
)
BORDERS = (BY_STATE, "by segment", "by state and segment")
AT_BORDERS = ("null", "growing", "california", "spatial", "half_year")
METHODS: tuple[Method, ...] = (
    Method("two_way", "county and year", {"effects": "county_year"}, more=TWO_WAY_ERRORS),
    Method("two_way", "state by year", {"effects": "state_by_year"}, more=TWO_WAY_ERRORS, worlds=WITHIN_STATES),
    Method("two_way", "urban class by year", {"effects": "urban_class_by_year"}),
    Method("two_way", "by event time", {"effects": "county_year", "method": "event_time"}),
    Method("two_way", "county and year, weighted", {"effects": "county_year"}, weights=WEIGHTED),
    Method("two_way", "without the largest state", {"effects": "county_year"}, worlds=("california",), sample="without_largest"),
    Method("two_way", "adoption year as treated", {"effects": "county_year"}, worlds=("half_year",), sample="adoption_year"),
    Method("group_time_att", "no covariate", {"method": "outcome_regression", **ALL_WITHIN}),
    Method("group_time_att", "within states", {"method": "outcome_regression", **IN_STATES}, worlds=WITHIN_STATES),
    Method("group_time_att", "weighted", {"method": "outcome_regression", **ALL_WITHIN}, weights=WEIGHTED),
    Method("group_time_att", "doubly robust", {"method": "doubly_robust", **ALL_WITHIN}, covariate=True),
    Method("group_time_att", "outcome regression", {"method": "outcome_regression", **ALL_WITHIN}, covariate=True),
    Method("group_time_att", "inverse weighting", {"method": "inverse_weighting", **ALL_WITHIN}, covariate=True),
    Method("group_time_att", "without the largest state", {"method": "outcome_regression", **ALL_WITHIN}, worlds=("california",), sample="without_largest"),
    Method("group_time_att", "adoption year as treated", {"method": "outcome_regression", **ALL_WITHIN}, worlds=("half_year",), sample="adoption_year"),
    Method("imputation", "", ALL_WITHIN),
    Method("imputation", "within states", IN_STATES, worlds=WITHIN_STATES, costly=True),
    Method("two_stage", "", ALL_WITHIN),
    Method("interaction_weighted", "", ALL_WITHIN, comparison="never_treated"),
    Method("imputation", "county trends", {"trends": "county", **ALL_WITHIN}, costly=True),
    Method("stacked", "widest window", ALL_WITHIN),
    Method("stacked", "two years", {"window": 2, **ALL_WITHIN}),
    Method("extended_two_way", "linear", {"method": "linear", **ALL_WITHIN}),
    Method("extended_two_way", "poisson", {"method": "poisson", **ALL_WITHIN}, worlds=("counts",)),
    Method("poisson", "one coefficient", {"method": "post", "effects": "county_year"}, worlds=("counts",)),
    Method("poisson", "by event time", {"method": "event_time", "effects": "county_year"}, worlds=("counts",)),
    Method("local_projections", "variance weighted", {"method": "variance_weighted", **ALL_WITHIN}),
    Method("local_projections", "equally weighted", {"method": "equally_weighted", **ALL_WITHIN}),
    Method("matched_did", "outcome, 2 years", {"match_on": ("outcome_lags",), "lag_years": 2, "distance": "scaled_euclidean", "neighbours": 1, "replacement": True, "caliper": 0.0, "exact": ()}),
    Method("two_by_two", "", ALL_WITHIN, comparison="never_treated"),
    Method("before_after", "one year", {"lag_years": 1}, window=1),
    Method("border_pairs", "segment by year", {"effects": "segment_by_year", "method": "post", "neighbours": "all"}, errors=BORDERS, worlds=AT_BORDERS),
    Method("border_pairs", "segment by year, across state lines", {"effects": "segment_by_year", "method": "post", "neighbours": "other_state"}, errors=BORDERS, worlds=AT_BORDERS),
    Method("border_pairs", "pair by year", {"effects": "pair_by_year", "method": "post", "neighbours": "all"}, errors=BORDERS, worlds=AT_BORDERS),
    Method("synthetic_control", "one county, simplex", {"method": "simplex"}, errors=(PLACEBO,), worlds=("null", "growing"), sample="one_county", comparison="never_treated", costly=True),
    Method("synthetic_did", "one county", {}, errors=(PLACEBO,), worlds=("null", "growing"), sample="one_county", comparison="never_treated", costly=True),
    Method("synthetic_control", "states, simplex", {"method": "simplex"}, errors=(PLACEBO,), worlds=("whole_states",), sample="states", comparison="never_treated", costly=True),
    Method("synthetic_control", "states, augmented", {"method": "augmented"}, errors=(PLACEBO,), worlds=("whole_states",), sample="states", comparison="never_treated", costly=True),
    Method("synthetic_did", "states", {}, errors=(PLACEBO,), worlds=("whole_states",), sample="states", comparison="never_treated", costly=True),
)  # fmt: skip


def lines(world: str) -> list[tuple[Method, str]]:
    """Return the methods run in a world, each with each of its errors."""
    out = []
    for method in METHODS:
        if world not in method.worlds:
            continue
        more = method.more if world in ERRORS_TESTED else ()
        unfit = STATES_DEALT if world != "whole_states" else COUNTIES_DEALT
        out += [(method, how) for how in (*method.errors, *more) if how != unfit]
    return out


def is_costly(method: Method, how: str) -> bool:
    """Return whether a line is run in the first draws alone."""
    return method.costly or how in COSTLY


# --- one draw ---------------------------------------------------------------------------------------------------


def design_of(sample: Sample, method: Method, inference: InferenceSection, counts: bool) -> Design:
    """Return the design of a sample under a method."""
    names = ("poverty",) if method.covariate else ()
    spec = make_spec(method.section, inference, names, comparison=method.comparison)
    if counts:
        spec = replace(spec, outcome=OutcomeSection("violent_ex_rape", "count", "policed"))
    table, drawn = sample.table, sample.drawn
    if method.weights != "none":
        table = table.assign(weight=table["population_baseline"])
    if spec.within != "none":
        table = table.assign(stratum=table[spec.within])
    adopters = table.loc[table["cohort"].notna(), "county_fips"].nunique()
    attrition = pd.DataFrame(
        {"rule": ["panel as given"], "counties": [len(drawn.counties)], "county_years": [len(table)], "treated": [adopters], "dropped": [0]}
    )  # fmt: skip
    pairs = drawn.counties[np.vstack([drawn.neighbours, drawn.neighbours[:, ::-1]])]
    return Design(
        table=table, spec=spec, kind="panel", covariates=names, controls=(), unit="standard deviations",
        outcome_label="A simulated outcome", baseline=0.0, attrition=attrition,
        stamp=make_stamp("0" * 16, True, spec.digest), notes=(),
        geography=Geography(
            pd.DataFrame({"county_fips": drawn.counties, "latitude": drawn.latitude, "longitude": drawn.longitude}),
            pd.DataFrame({"county_fips": pairs[:, 0], "neighbour_fips": pairs[:, 1]}),
        ),
    )  # fmt: skip


def _found(post: Estimate, truth: float) -> list[float]:
    row = post.table.iloc[0]
    estimate, error, low, high, p = (
        float(row[name]) for name in ("estimate", "std_error", "conf_low", "conf_high", "p_value")
    )
    if np.isnan(p):
        return [estimate, truth, error, np.nan, np.nan]
    # A test that rejects nothing on a side has an interval without an end there.
    outside = truth < low or truth > high
    return [estimate, truth, error, float(not outside), float(p <= REJECTS)]


def _spatial(sample: Sample, post: Estimate, truth: float) -> list[float]:
    """Return what errors correlated over distance say of an estimate; normal quantiles."""
    assert post.influence is not None
    at = np.searchsorted(sample.drawn.counties, post.counties.to_numpy(dtype=str))
    found = spatial_variance(
        post.influence,
        sample.drawn.latitude[at],
        sample.drawn.longitude[at],
        cutoff=CUTOFF_KM,
        kernel="bartlett",
    )
    estimate, error = float(post.table["estimate"].iloc[0]), float(found.std_error[0])
    if np.isnan(error):
        return [estimate, truth, error, np.nan, np.nan]
    reach = t_quantile(LEVEL, np.inf) * error
    p = float(two_sided_p(np.array([estimate / error]), np.inf)[0])
    return [estimate, truth, error, float(abs(estimate - truth) <= reach), float(p <= REJECTS)]


def _bands(sample: Sample, fitted: Estimate, window: int | None) -> list[float]:
    """Return whether the band holds the truth at every event time, before adoption too, and at every one whose treated
    counties lie in six states or more; missing without a band."""
    if fitted.estimand != "event_time":
        return [np.nan, np.nan]
    low, high = (fitted.table[name].to_numpy(dtype=float) for name in ("band_low", "band_high"))
    truth = truth_of(sample, fitted, window)
    held, known = (low <= truth) & (truth <= high), np.isfinite(low) & np.isfinite(high)
    state = fitted.counties.to_numpy(dtype=str).astype("U2")
    states = np.array([len(np.unique(state[column > 0])) for column in np.nan_to_num(fitted.treated).T])
    return [
        float(held[rows].all()) if rows.any() else np.nan for rows in (known, known & (states >= MANY_STATES))
    ]


def one_method(
    sample: Sample,
    method: Method,
    hows: Sequence[str],
    counts: bool,
    times: dict[tuple[str, ...], list[float]],
) -> dict[str, list[float]]:
    """Return what a method finds with each of the errors asked; nothing where it refuses the draw."""
    out: dict[str, list[float]] = {}
    label = (method.estimator, method.option)

    def timed(how: str, inference: InferenceSection) -> tuple[Estimate, Estimate]:
        design = design_of(sample, method, inference, counts)
        start = time.process_time()
        fitted = fit(design)
        post = aggregate(fitted, over="post")
        times.setdefault((*label, how), []).append(time.process_time() - start)
        return fitted, post

    if one := [how for how in hows if how in FROM_ONE]:
        try:
            fitted, post = timed(BY_STATE, CLUSTER)
            truth = _post_truth(sample, fitted, method.window)
            for how in one:
                if how == SPATIAL:
                    out[how] = [*_spatial(sample, post, truth), np.nan, np.nan]
                elif how == BY_COUNTY:
                    out[how] = [*_found(recluster(post, "county"), truth), *_bands(sample, recluster(fitted, "county"), method.window)]  # fmt: skip
                else:
                    out[how] = [*_found(post, truth), *_bands(sample, fitted, method.window)]
        except StudyError:
            pass
    for how in hows:
        if how not in ANEW:
            continue
        try:
            fitted, post = timed(how, ANEW[how])
        except StudyError:
            continue
        if how == PLACEBO:
            first = np.flatnonzero(fitted.table["event_time"] == 0)
            truth = float(truth_of(sample, fitted)[first[0]])
            post = replace(fitted, table=fitted.table.iloc[first])
        else:
            truth = _post_truth(sample, fitted, method.window)
        out[how] = [*_found(post, truth), *_bands(sample, fitted, method.window)]
    return out


def _post_truth(sample: Sample, fitted: Estimate, window: int | None) -> float:
    """Return the mean effect behind an estimate of all years after adoption, or the average of its event times."""
    if fitted.estimand != "event_time":
        return float(truth_of(sample, fitted, window)[0])
    after = fitted.table["event_time"].to_numpy(dtype=float) >= 0
    after &= fitted.table["estimate"].notna().to_numpy()
    weight = np.nan_to_num(fitted.treated).sum(axis=0)[after]
    return float(weight @ truth_of(sample, fitted, window)[after] / weight.sum())


KEYS = ["estimator", "option", "variance"]
FOUND = ["estimate", "truth", "error", "covered", "rejected", "band", "band_many"]


def one_draw(
    world: str,
    seed: int,
    asked: Sequence[tuple[Method, str]],
    times: dict[tuple[str, ...], list[float]] | None = None,
) -> pd.DataFrame:
    """Return what lines of a world find in a draw: columns seed, ``KEYS``, ``FOUND``; missing where refused."""
    drawn, samples = draw(world, seed), {}
    rows = []
    for method in METHODS:
        hows = [how for other, how in asked if other is method]
        if not hows:
            continue
        if method.sample not in samples:
            samples[method.sample] = make_sample(drawn, method.sample)
        sample = samples[method.sample]
        found = one_method(sample, method, hows, WORLDS[world].counts, {} if times is None else times)
        nothing = [np.nan] * len(FOUND)
        rows += [[seed, method.estimator, method.option, how, *found.get(how, nothing)] for how in hows]
    return pd.DataFrame(rows, columns=["seed", *KEYS, *FOUND])


def run(world: str, seeds: Sequence[int], asked: Sequence[tuple[Method, str]]) -> pd.DataFrame:
    """Return the draws of some seeds, one below the other."""
    return pd.concat([one_draw(world, seed, asked) for seed in seeds], ignore_index=True)


# --- the table --------------------------------------------------------------------------------------------------


def summarise(world: str, found: pd.DataFrame) -> pd.DataFrame:
    """Return a row a line of a world.

    ``failed`` counts draws without an estimate, which are in nothing else, ``no_error`` those of the others without an
    interval. ``sd`` is the spread of the estimate about its truth over draws, ``mean_error`` the mean of what is said
    of it. ``size`` is the share of draws that reject the truth at 5 %: by the p-value where the truth is no effect, by
    the interval elsewhere. ``band_coverage`` is the share in which the band holds the truth at every event time,
    ``band_coverage_many`` at every one whose treated counties lie in six states or more.
    """
    out = []
    groups = dict(iter(found.groupby(KEYS, sort=False)))
    for method, how in lines(world):
        group = groups.get((method.estimator, method.option, how))
        if group is None:
            continue
        kept = group[group["estimate"].notna()]
        known = kept[kept["covered"].notna()]
        off, n = kept["estimate"] - kept["truth"], len(known)
        coverage = known["covered"].mean()
        nothing = WORLDS[world].effect == 0
        out.append(
            {
                "world": world,
                "estimator": method.estimator,
                "option": method.option,
                "variance": how,
                "draws": len(group),
                "failed": len(group) - len(kept),
                "no_error": len(kept) - n,
                "truth": kept["truth"].mean(),
                "bias": off.mean(),
                "bias_mc_error": off.std(ddof=1) / np.sqrt(len(kept)),
                "sd": off.std(ddof=1),
                "mean_error": known["error"].mean(),
                "coverage": coverage,
                "coverage_mc_error": np.sqrt(0.95 * 0.05 / n) if n else np.nan,
                "size": known["rejected"].mean() if nothing else 1 - coverage,
                "band_coverage": _mean(kept["band"]),
                "band_coverage_many": _mean(kept["band_many"]),
            }
        )
    return pd.DataFrame(out).round(4)


# --- the page ---------------------------------------------------------------------------------------------------

NULLS = ("null", "spatial", "few", "whole_states")
BIASED, MANY_ERRORS = 0.02, 3.0
TOO_WIDE = 3.0
WORDS = {
    "two_way": "two-way effects",
    "group_time_att": "group-time effects",
    "imputation": "imputation",
    "two_stage": "two-stage",
    "interaction_weighted": "interaction-weighted",
    "stacked": "stacked",
    "extended_two_way": "extended two-way",
    "local_projections": "local projections",
    "matched_did": "matched",
    "poisson": "Poisson",
    "synthetic_did": "synthetic difference-in-differences",
}


def page(table: pd.DataFrame) -> str:
    """Return the page in words; every number and every name of what fails is read off the table."""
    world = {name: WORLDS[name] for name in WORLDS if table["world"].eq(name).any()}
    draws, fewest = table["draws"].max(), table["draws"].min()
    errors = table["coverage_mc_error"]
    text = [
        "<!-- Generated by `python tests/estimation/design_truth.py`; a test holds it to the table. -->",
        "",
        "# What the designs of the panel find where the truth is known",
        "",
        "Every estimator of panels, with each of its errors, on simulated panels shaped like the study's: "
        f"{COUNTIES} counties in {STATES} states, {YEARS[0]} to {YEARS[-1]}; one in ten adopts, in {TREATED_STATES} states of "
        "which few have most adopters and some a single one; three in four adopt in the course of 2014, a year that is "
        "dropped for them. States share shocks that last, neighbours share shocks across state lines, small counties vary "
        "more. Numbers are in standard deviations of a county-year's shock, of counts in log points. Worlds and methods were set down before they "
        "were run and are not tuned.",
        "",
        f"{_range(fewest, draws)} draws a line; Monte Carlo errors are {_range(100 * errors.min(), 100 * errors.max(), '.1f')} points "
        f"of coverage and {_range(table['bias_mc_error'].min(), table['bias_mc_error'].max(), '.3f')} of bias. The truth is the mean "
        "effect of the treated county-years an estimate rests on. A line *fails* where its bias is beyond "
        f"{MANY_ERRORS:g} Monte Carlo errors and above {BIASED:g}, or its 95 % intervals hold the truth less often than 95 % by "
        f"more than {MANY_ERRORS:g} Monte Carlo errors.",
        "",
        *(f"- **{one.short}** (`{name}`): {one.words}." for name, one in world.items()),
        "",
        "## What fails",
        "",
        *(f"- {sentence}" for sentence in _findings(table)),
        "",
        "## Bias and coverage, errors clustered by state",
        "",
        "Bias, and how many 95 % intervals hold the truth; in bold what fails. Synthetic controls have placebos in place of "
        "clusters, which test each year by permutation: read is the first year after adoption, of one county (the largest "
        "adopter) or of states.",
        "",
        *_grid(
            table[table["variance"].isin([BY_STATE, PLACEBO])],
            tuple(world),
            ["estimator", "option"],
            _bias_cell,
        ),
        "",
        "## Size of each error",
        "",
        "How often a true null is rejected at 5 %; in bold what fails.",
        "",
        *_grid(
            table[table["world"].isin(NULLS)],
            tuple(name for name in world if name in NULLS),
            ["estimator", "option", "variance"],
            _size_cell,
        ),
        "",
        "## Bands",
        "",
        "How often the 95 % band holds the truth at every event time at once, before adoption too; in brackets at every one "
        f"whose treated counties lie in {MANY_STATES} states or more.",
        "",
        *_grid(
            table[table["band_coverage"].notna()],
            tuple(
                name for name in world if table.loc[table["world"].eq(name), "band_coverage"].notna().any()
            ),
            ["estimator", "option", "variance"],
            _band_cell,
        ),
        "",
        *_missing(table),
        "All columns: `tests/reference/truth/design_truth.csv`.",
    ]
    return "\n".join(text) + "\n"


def _range(low: float, high: float, form: str = ",.0f") -> str:
    first, last = format(low, form), format(high, form)
    return first if first == last else f"{first} to {last}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _name(line: pd.Series) -> str:
    words = WORDS.get(line["estimator"], line["estimator"].replace("_", " "))
    return f"{words}, {line['option']}" if line["option"] else words


def biased(table: pd.DataFrame) -> pd.Series:
    """Return which lines miss the truth on average."""
    off = table["bias"].abs()
    return (off > MANY_ERRORS * table["bias_mc_error"]) & (off > BIASED)


def undercovers(table: pd.DataFrame) -> pd.Series:
    """Return which lines' intervals hold the truth too seldom."""
    return table["coverage"] < LEVEL - MANY_ERRORS * table["coverage_mc_error"]


def _bold(text: str, marked: bool) -> str:
    return f"**{text}**" if marked else text


def _bias_cell(line: pd.DataFrame) -> str:
    one = line.iloc[0]
    failed = bool(biased(line).iloc[0] or undercovers(line).iloc[0])
    return _bold(f"{one['bias']:+.2f} ({_percent(one['coverage'])})", failed)


def _size_cell(line: pd.DataFrame) -> str:
    one = line.iloc[0]
    return "" if np.isnan(one["size"]) else _bold(_percent(one["size"]), bool(undercovers(line).iloc[0]))


def _band_cell(line: pd.DataFrame) -> str:
    one = line.iloc[0]
    low = one["band_coverage"] < LEVEL - MANY_ERRORS * one["coverage_mc_error"]
    many = "" if np.isnan(one["band_coverage_many"]) else f" ({_percent(one['band_coverage_many'])})"
    return _bold(_percent(one["band_coverage"]), bool(low)) + many


def _grid(
    table: pd.DataFrame, worlds: Sequence[str], by: list[str], cell: Callable[[pd.DataFrame], str]
) -> Iterator[str]:
    """Yield the lines of a table with a row a method and a column a world."""
    yield f"| {' | '.join(by)} | " + " | ".join(WORLDS[name].short for name in worlds) + " |"
    yield "|---" * (len(by) + len(worlds)) + "|"
    for key, group in table.groupby(by, sort=False):
        cells = []
        for name in worlds:
            line = group[group["world"].eq(name)]
            cells.append(cell(line) if len(line) else "")
        yield f"| {' | '.join(key)} | {' | '.join(cells)} |"


def _missing(table: pd.DataFrame) -> Iterator[str]:
    lost = table[(table["failed"] > 0) | (table["no_error"] > 0)]
    if len(lost):
        yield (
            f"{len(lost)} of {len(table)} lines have draws without an estimate (`failed`, at most "
            f"{int(table['failed'].max())} of {int(table['draws'].max())}) or without an interval (`no_error`, at most "
            f"{int(table['no_error'].max())}); they are left out of the shares above."
        )
        yield ""


def _findings(table: pd.DataFrame) -> Iterator[str]:
    """Yield what fails in plain sentences, worst first within each."""
    state = table[table["variance"].eq(BY_STATE)]
    yield from _of_effects(state)
    yield from _of_law(state)
    yield from _of_half_year(state)
    for how in dict.fromkeys(table["variance"]):
        null = table[table["variance"].eq(how) & table["world"].isin(NULLS) & table["size"].notna()]
        if len(null):
            yield _of_size(null, how)
    wide = table[table["mean_error"] > TOO_WIDE * table["sd"]]
    if len(wide):
        named = "; ".join(
            f"{_name(line)}, {line['variance']} ({WORLDS[line['world']].short}): {line['mean_error']:,.2f} for a spread of "
            f"{line['sd']:.2f}"
            for _, line in wide.iterrows()
        )
        yield f"**Errors too large to say anything**, on average more than {TOO_WIDE:g} times the spread: {named}."
    bands = table[table["band_coverage"].notna() & table["world"].eq("null")]
    for how, group in bands.groupby("variance", sort=False):
        many = group["band_coverage_many"].dropna()
        ended = (
            f"; at the event times whose treated counties lie in {MANY_STATES} states or more, in "
            f"{_range(100 * many.min(), 100 * many.max())} %"
        )
        yield (
            f"**Bands {how}** hold the truth at all event times at once in "
            f"{_range(100 * group['band_coverage'].min(), 100 * group['band_coverage'].max())} % of panels in which the policy "
            f"does nothing, where 95 % are meant{ended if len(many) else ''}."
        )


def _listed(lines: pd.DataFrame, most: int = 6) -> str:
    shown = lines.head(most)
    words = "; ".join(
        f"{_name(line)} {line['bias']:+.3f} ({100 * line['share']:+.0f} %)" for _, line in shown.iterrows()
    )
    more = len(lines) - len(shown)
    return words + (f"; and {more} more" if more > 0 else "")


def _of_effects(state: pd.DataFrame) -> Iterator[str]:
    for name in ("growing", "counts"):
        here = state[state["world"].eq(name)].copy()
        if here.empty:
            continue
        here["share"] = here["bias"] / here["truth"]
        here = here.reindex(here["share"].abs().sort_values(ascending=False, kind="stable").index)
        off, kept = here[biased(here)], here[~biased(here)]
        head = f"**{_capital(WORLDS[name].short)}.** "
        named = (
            f"none of {len(here)} methods misses the truth on average by more than chance"
            if off.empty
            else f"{len(off)} of {len(here)} methods miss the truth on average, in standard deviations (and as a share of the "
            f"truth): {_listed(off)}"
        )
        rest = ""
        if len(kept):
            worst = kept.iloc[0]
            rest = (
                f". Of the other {len(kept)} the farthest off is {_name(worst)} with {100 * worst['share']:+.0f} % (Monte Carlo "
                f"error {100 * worst['bias_mc_error'] / worst['truth']:.0f})"
            )
        yield head + _capital(named) + rest + "."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of_law(state: pd.DataFrame) -> Iterator[str]:
    here = state[state["world"].eq("california")]
    if here.empty:
        return
    borders = here["estimator"].eq("border_pairs")
    guarded = here["option"].isin(["without the largest state", "within states", "state by year"])
    open_to_it, guard, border = here[~guarded & ~borders], here[guarded], here[borders]
    beside = ""
    if len(border):
        shown = "; ".join(f"{one['option']} {one['bias']:+.2f}" for _, one in border.iterrows())
        beside = f". Beside their neighbours ({shown})"
    yield (
        f"**A law of its own in the largest treated state** ({WORLDS['california'].law:g} from 2015) is taken for an effect of "
        f"{_range(open_to_it['bias'].min(), open_to_it['bias'].max(), '+.2f')} by comparisons across the country; without that "
        f"state, or within states, what is left is {_range(guard['bias'].min(), guard['bias'].max(), '+.2f')} (Monte Carlo errors "
        f"up to {here['bias_mc_error'].max():.2f}){beside}."
    )


def _of_half_year(state: pd.DataFrame) -> Iterator[str]:
    here = state[state["world"].eq("half_year")]
    if here.empty:
        return
    counted = here["option"].eq("adoption year as treated")
    full, diluted = here[~counted], here[counted]
    share, off = full["bias"].abs() / full["truth"], full[biased(full)]
    ended = ""
    if len(diluted):
        part = 1 + diluted["bias"] / diluted["truth"]
        ended = (
            "; where the year of adoption counts as treated "
            f"{_range(100 * part.min(), 100 * part.max())} % of a full year's effect is found"
        )
    yield (
        f"**Half a year first.** With the year of adoption dropped, {len(full) - len(off)} of {len(full)} methods find the full "
        f"effect of {WORLDS['half_year'].effect:g}, up to chance: they are off by at most {100 * share.max():.0f} % of it (Monte "
        f"Carlo errors up to {100 * (full['bias_mc_error'] / full['truth']).max():.0f}){ended}."
    )


def _of_size(null: pd.DataFrame, how: str) -> str:
    parts = []
    for name in NULLS:
        here = null[null["world"].eq(name)]
        if len(here):
            low, high = 100 * here["size"].min(), 100 * here["size"].max()
            parts.append(f"{_range(low, high)} % ({WORLDS[name].short})")
    bad = null[undercovers(null)]
    ended = "" if bad.empty else f"; {len(bad)} of {len(null)} lines fail"
    return f"**{_capital(how)}**: a true null is rejected in {', '.join(parts)} of panels{ended}."


# --- running ----------------------------------------------------------------------------------------------------


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if values.notna().any() else np.nan


def _kept_under() -> Path:
    """Return a folder for finished draws, another for every state of the code they rest on."""
    sources = [Path(__file__), *sorted((ROOT / "analysis" / "estimation").rglob("*.py"))]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"design_truth_{state}"


def _block(folder: Path, world: str, seeds: range, costly: int) -> pd.DataFrame:
    """Return the draws of a block, finishing what the folder lacks."""
    stored = folder / f"{world}_{seeds.start}.csv"
    have = pd.read_csv(stored, keep_default_na=False, na_values=[""]) if stored.exists() else None
    if have is not None:
        have["option"] = have["option"].fillna("")
    parts = [] if have is None else [have]
    done = set() if have is None else set(zip(have["seed"], *(have[key] for key in KEYS), strict=True))
    for seed in seeds:
        asked = [
            (method, how)
            for method, how in lines(world)
            if (seed < costly or not is_costly(method, how))
            and (seed, method.estimator, method.option, how) not in done
        ]
        if asked:
            parts.append(one_draw(world, seed, asked))
    found = pd.concat(parts, ignore_index=True)
    if len(parts) > (have is not None):
        with replacing(stored) as path:
            found.to_csv(path, index=False)
    return found[found["seed"].isin(seeds)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write table, first draws and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--costly", type=int, default=COSTLY_DRAWS, help="draws of what takes long")
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument(
        "--keep", type=Path, help="folder for finished draws; by default one for this state of the code"
    )
    parser.add_argument("--finish", action="store_true", help="write the page from the table as it stands")
    parser.add_argument("--times", action="store_true", help="print what a fit takes, and write nothing")
    asked = parser.parse_args(arguments)
    if asked.times:
        print(fit_times(asked.worlds).to_string(index=False))
        return
    if not asked.finish:
        folder = asked.keep or _kept_under()
        folder.mkdir(parents=True, exist_ok=True)
        tables, firsts, start = [], [], time.monotonic()
        for world in asked.worlds:
            blocks = []
            for first in range(0, asked.draws, BLOCK):
                seeds = range(first, min(first + BLOCK, asked.draws))
                blocks.append(_block(folder, world, seeds, asked.costly))
                spent = time.monotonic() - start
                print(
                    f"{world}: {seeds.stop} of {asked.draws} draws, {spent:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
            found = pd.concat(blocks, ignore_index=True)
            tables.append(summarise(world, found))
            firsts.append(found[found["seed"] < SHOWN].assign(world=world))
        with replacing(TABLE) as path:
            pd.concat(tables, ignore_index=True).to_csv(path, index=False)
        with replacing(FIRST) as path:
            pd.concat(firsts, ignore_index=True)[["world", "seed", *KEYS, *FOUND]].round(8).to_csv(
                path, index=False
            )
    with replacing(PAGE) as path:
        path.write_text(page(committed()), encoding="utf-8")


def committed() -> pd.DataFrame:
    """Return the table as it was written."""
    return pd.read_csv(TABLE, keep_default_na=False, na_values=[""]).fillna({"option": ""})


def fit_times(worlds: Sequence[str], draws: int = 3) -> pd.DataFrame:
    """Return the seconds of processor that fits take, the fastest of some draws; the first draw loads libraries."""
    out = []
    for world in worlds:
        times: dict[tuple[str, ...], list[float]] = {}
        for seed in range(draws + 1):
            one_draw(world, seed, lines(world), times)
        out += [(world, *key, min(seconds[1:] or seconds)) for key, seconds in times.items()]
    return pd.DataFrame(out, columns=["world", *KEYS, "seconds"]).round(4)


if __name__ == "__main__":
    main()

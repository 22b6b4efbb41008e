"""Single areas against a mixture of untreated ones: synthetic control, augmented, and synthetic difference-in-differences.

A treated area is compared with the weighted mean of never treated areas (donors) whose weights are fitted on its outcomes
before adoption; see `analysis.estimation.panel_arrays.synthetic_weights` for the three kinds of weights. Synthetic
controls are made for each treated area apart and averaged; synthetic difference-in-differences mixes donors for the mean
of areas treated in the same years, and averages cohorts by their treated areas.

Errors come from placebos: the policy is given to each donor in turn (of several treated areas: to as many donors as there
are areas, each donor once in every seat), the same is estimated with the donors that remain, and the estimate is read
against what comes out. For synthetic controls placebo gaps are first rescaled to the treated area's fit before adoption,
so that p-values are those of the studentised effect. All of ``p_value``, intervals, bands and ``vcov`` rest on these
placebos; ``influence`` holds them, a row a donor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import LEAD, Estimate, Inference, infer_from_placebos, record
from analysis.estimation.panel_arrays.panel import LongPanel, read_design
from analysis.estimation.panel_arrays.synthetic_weights import (
    BEST_FIT,
    Synthetic,
    fit_scales,
    placebo_sets,
    synthetic_gap,
)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.intp]

METHODS = {
    ("synthetic_control", "simplex"): "simplex",
    ("synthetic_control", "augmented"): "augmented",
    ("synthetic_did", None): "did",
}
FEWEST_YEARS = 3
FEWEST_DONORS = 5
# A root mean squared gap before adoption above this share of the area's mean is a poor fit.
POOR_FIT = 0.05
# Donor weights above this are named.
NAMED_WEIGHT = 0.01
# More treated blocks than this are summed up, not described one by one.
DESCRIBED = 5


@dataclass(frozen=True, slots=True)
class Block:
    """Areas that one synthetic area is made for, and the years it is made from.

    Args:
        areas: (N,) codes of the panel's counties.
        years: (K,) codes of its years, every one observed for every area.
        event_time: (K,).
        before: (K,) years weights are fitted on.
    """

    areas: Index
    years: Index
    event_time: NDArray[np.int64]
    before: Flags

    @property
    def after(self) -> Flags:
        """Return the years from adoption on, (K,)."""
        return self.event_time >= 0


def fit(design: Design) -> Estimate:
    """Estimate the gap between treated areas and their synthetic ones by event time.

    Args:
        design: a panel with never treated areas; ``estimator.name`` synthetic_control (``method`` simplex or augmented)
            or synthetic_did; errors by placebo.

    Returns:
        An Estimate of estimand ``event_time`` without a reference: leads of a synthetic control are gaps in the years
        its weights were fitted on, those of synthetic difference-in-differences stand against the weighted mean of the
        years before; both are marked and are no test of trends. ``aggregate(estimate, over="post")`` averages the years
        from adoption on, by treated area-years.

    Raises:
        SpecError: a design it cannot honour (weights, covariates, a comparison with areas treated later, errors other
            than placebo).
        SampleError: no treated area with three years before adoption, or too few donors.

    Assumption: without the policy the area would have gone on as the mixture that was like it before (outcomes follow a
    few common factors); donors are untouched by it; and, for p-values and intervals, the treated area could as well have
    been any of the donors.

    Source: Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association 105(490); Ben-Michael,
    Feller and Rothstein (2021), Journal of the American Statistical Association 116(536); Arkhangelsky, Athey,
    Hirshberg, Imbens and Wager (2021), American Economic Review 111(12).

    Example:
        ``fit(make_design(panel, spec.replace({"treatment.only": ["17031"]})))``: Cook County alone.
    """
    method = _method(design)
    spec = design.spec
    panel = read_design(design)
    outcomes, event_time = panel.wide(panel.outcome), panel.wide(panel.event_time)
    blocks, short = _blocks(panel, outcomes, event_time, together=method == "did")
    if not blocks:
        raise SampleError(
            f"no treated area has {FEWEST_YEARS} years before adoption{_named(short)}",
            f"at least {FEWEST_YEARS} for one",
            "sample.years or treatment.only",
        )
    donors, gaps = _donors(panel, outcomes, blocks)
    areas = sum(len(block.areas) for block in blocks)
    if len(donors) < max(FEWEST_DONORS, areas + 2):
        raise SampleError(
            f"{len(donors)} never treated areas observed in every year used, {areas} treated",
            f"at least {FEWEST_DONORS}, and two more than treated areas",
            "sample.years, sample.min_population or sample.balance",
        )
    made = [
        synthetic_gap(
            outcomes[np.ix_(donors, block.years)], outcomes[np.ix_(block.areas, block.years)],
            block.before, block.after, method,
        )
        for block in blocks
    ]  # fmt: skip
    sets = placebo_sets(len(donors), areas, spec.inference.seed)
    placebos = _placebos(outcomes, blocks, donors, sets, method)
    scales = [
        # An augmented fit is near exact by construction, and a ratio of two such fits says nothing.
        np.ones(len(donors))
        if method != "simplex"
        else fit_scales(one.fit, np.array([placebo.fit for placebo in others]))
        for one, others in zip(made, placebos, strict=True)
    ]
    times = np.unique(np.concatenate([block.event_time for block in blocks]))
    seats = _seats(panel, blocks, donors, times)
    estimate = _by_event_time(blocks, [one.gap[None, :] for one in made], times)[0]
    effects = _by_event_time(
        blocks,
        [
            np.array([placebo.gap for placebo in others]) * scale[:, None]
            for others, scale in zip(placebos, scales, strict=True)
        ],
        times,
    )
    influence = np.zeros(seats.shape)
    influence[donors] = effects
    made_from = Inference(
        "placebo",
        "none",
        len(donors),
        np.inf,
        spec.inference.level,
        spec.inference.draws,
        spec.inference.seed,
    )
    inferred = infer_from_placebos(_rows(estimate, times), influence, seats, made_from)
    entered = np.asarray(~np.isnan(seats).all(axis=1), dtype=bool)
    used = np.zeros((len(panel.counties), len(panel.years)), dtype=bool)
    for block in blocks:
        used[np.ix_(block.areas, block.years)] = used[np.ix_(donors, block.years)] = True
    return record(
        design,
        table=inferred.table,
        vcov=inferred.vcov,
        influence=influence,
        counties=panel.counties,
        treated=seats,
        estimand="event_time",
        reference=None,
        inference=made_from,
        notes=[
            *panel.notes,
            *_notes(design, panel, method, blocks, donors),
            *_sample_notes(panel, short, gaps),
            *_test_notes(bool(inferred.table["conf_low"].notna().all()), len(donors), areas, spec.inference.level, scales),
            *_fit_notes(design, panel, outcomes, method, blocks, donors, made, placebos),
        ],
        dropped=[
            (
                f"{spec.estimator.name}: observed in every year used", int(entered.sum()), int(used.sum()),
                int((entered & ~panel.never).sum()),
            )
        ],
    )  # fmt: skip


def _method(design: Design) -> str:
    """Return the kind of weights a design asks for, or refuse it."""
    spec = design.spec
    asked = spec.estimator
    method = METHODS.get((asked.name, asked.method))
    if design.kind != "panel" or method is None:
        raise SpecError(
            f"a synthetic area on a {design.kind}, estimator {asked.name!r}, method {asked.method!r}",
            "a panel; synthetic_control with method simplex or augmented, or synthetic_did",
            "estimator.name",
        )
    for key, found, wanted in (
        ("estimator.weights", asked.weights, "none"),
        ("treatment.comparison", spec.treatment.comparison, "never_treated"),
        ("inference.vcov", spec.inference.vcov, "placebo"),
        ("inference.by", spec.inference.by, "none"),
    ):
        if found != wanted:
            raise SpecError(f'{key} = "{found}" with {asked.name}', f'"{wanted}"', key)
    for key, names in (("covariates.names", design.covariates), ("controls.policies", design.controls)):
        if names:
            raise SpecError(
                f"{key} = {list(names)} with {asked.name}, whose weights rest on outcomes alone", "[]", key
            )
    return method


def _blocks(
    panel: LongPanel, outcomes: Array, event_time: Array, *, together: bool
) -> tuple[list[Block], list[tuple[str, int]]]:
    """Return the treated areas with enough years before adoption, in blocks, and the others with how many they have.

    Args:
        panel: whose adopters are taken.
        outcomes: (C, T).
        event_time: (C, T), missing where there is no row.
        together: whether areas with the same years and event times share a block.
    """
    blocks: dict[tuple[object, ...], Block] = {}
    short = []
    for area in np.flatnonzero(panel.adopters):
        years = np.flatnonzero(np.isfinite(outcomes[area]))
        times = event_time[area, years].astype(np.int64)
        before = times <= -1 - panel.anticipation
        if before.sum() < FEWEST_YEARS:
            short.append((str(panel.counties[area]), int(before.sum())))
            continue
        key = (tuple(years), tuple(times)) if together else (area,)
        members = [*blocks[key].areas, area] if key in blocks else [area]
        blocks[key] = Block(np.array(members, dtype=np.intp), years.astype(np.intp), times, before)
    for area in np.flatnonzero(~panel.never & ~panel.adopters):
        before = np.isfinite(outcomes[area]) & (event_time[area] <= -1 - panel.anticipation)
        short.append((str(panel.counties[area]), int(before.sum())))
    return list(blocks.values()), sorted(short)


def _donors(panel: LongPanel, outcomes: Array, blocks: Sequence[Block]) -> tuple[Index, list[str]]:
    """Return never treated areas observed in every year of every block, and the codes of those that are not."""
    years = np.unique(np.concatenate([block.years for block in blocks]))
    whole = np.isfinite(outcomes[:, years]).all(axis=1)
    return (
        np.flatnonzero(panel.never & whole).astype(np.intp),
        [str(code) for code in panel.counties[panel.never & ~whole]],
    )


def _placebos(
    outcomes: Array, blocks: Sequence[Block], donors: Index, sets: Index, method: str
) -> list[list[Synthetic]]:
    """Return what is estimated when each set of donors takes the place of the treated areas, block by block.

    Args:
        outcomes: (C, T).
        blocks: of the treated areas.
        donors: (J,) codes.
        sets: (B, areas) positions in ``donors``; a block takes as many as it has areas, in their order.
        method: as in `synthetic_gap`.
    """
    out: list[list[Synthetic]] = []
    start = 0
    for block in blocks:
        stop = start + len(block.areas)
        here = outcomes[np.ix_(donors, block.years)]
        found = []
        for chosen in sets:
            rest = np.ones(len(donors), dtype=bool)
            rest[chosen] = False
            found.append(
                synthetic_gap(here[rest], here[chosen[start:stop]], block.before, block.after, method)
            )
        out.append(found)
        start = stop
    return out


def _seats(panel: LongPanel, blocks: Sequence[Block], donors: Index, times: NDArray[np.int64]) -> Array:
    """Return (counties, event times): 1 for a treated area in the row, 0 for a donor, missing outside."""
    out = np.full((len(panel.counties), len(times)), np.nan)
    out[donors] = 0.0
    for block in blocks:
        out[np.ix_(block.areas, np.searchsorted(times, block.event_time))] = 1.0
    return out


def _by_event_time(blocks: Sequence[Block], gaps: Sequence[Array], times: NDArray[np.int64]) -> Array:
    """Return the mean gap by event time, each treated area once, (B, event times), of gaps (B, years) by block."""
    total = np.zeros((len(gaps[0]), len(times)))
    size = np.zeros(len(times))
    for block, gap in zip(blocks, gaps, strict=True):
        here = np.searchsorted(times, block.event_time)
        total[:, here] += len(block.areas) * gap
        size[here] += len(block.areas)
    return total / size


def _rows(estimate: Array, times: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": [f"{LEAD if time < 0 else ''}event_time={time}" for time in times],
            "cohort": pd.NA, "time": pd.NA, "event_time": times, "estimate": estimate,
        }
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------
# What must be said
# ----------------------------------------------------------------------------------------------------


def _named(short: Sequence[tuple[str, int]]) -> str:
    return f" ({', '.join(f'{code}: {years}' for code, years in short[:10])})" if short else ""


def _notes(
    design: Design, panel: LongPanel, method: str, blocks: Sequence[Block], donors: Index
) -> list[str]:
    kinds = {
        "simplex": "weights from 0 that sum to one; of several with the same fit those with the least sum of squares",
        "augmented": "simplex weights corrected by a ridge regression, some below zero; its penalty the one that best "
        "predicts each year before adoption from the others",
        "did": "unit weights with an intercept and the ridge of Arkhangelsky et al. (2021), year weights with an intercept",
    }
    leads = {
        "did": "leads are gaps against the weighted mean of the years before adoption, the base of all rows; weights were "
        "fitted on them: no test of trends",
    }.get(
        method,
        "leads are gaps in the years weights were fitted on, not normalised: they show the fit and are no test of trends",
    )
    notes = [kinds[method], leads]
    areas = sum(len(block.areas) for block in blocks)
    if areas > 1:
        what = "one synthetic area for the mean of each cohort" if method == "did" else "one for each area"
        notes.append(
            f"{areas} treated areas, {what}; rows average the treated areas observed at the event time"
        )
    if panel.anticipation:
        notes.append(f"weights leave out the last {panel.anticipation} years before adoption (anticipation)")
    for block in blocks[:DESCRIBED]:
        named = " ".join(map(str, panel.counties[block.areas][:10]))
        years = panel.years[block.years]
        notes.append(
            f"{named}: weights from {_span(years[block.before])} ({int(block.before.sum())} years), effects in "
            f"{_span(years[block.after])}"
        )
    return notes


def _span(years: NDArray[np.int64]) -> str:
    whole = len(years) == years[-1] - years[0] + 1
    return f"{years[0]}-{years[-1]}" if whole and len(years) > 1 else " ".join(map(str, years))


def _sample_notes(panel: LongPanel, short: Sequence[tuple[str, int]], gaps: Sequence[str]) -> list[str]:
    notes = []
    if short:
        notes.append(
            f"{len(short)} treated areas without {FEWEST_YEARS} years before adoption, or unobserved after it, are left "
            f"out{_named(short)}"
        )
    if gaps:
        more = " and others" if len(gaps) > 10 else ""
        notes.append(
            f"{len(gaps)} never treated areas with gaps in the years used are no donors ({' '.join(gaps[:10])}{more})"
        )
    return notes


def _test_notes(bounded: bool, donors: int, areas: int, level: float, scales: Sequence[Array]) -> list[str]:
    scaled = (
        f"placebo gaps rescaled to the treated area's fit (a fit under {BEST_FIT:g} of the median counts as that)"
        if any((scale != 1).any() for scale in scales)
        else "placebo gaps as they are"
    )
    each = "each donor in turn" if areas == 1 else f"{areas} donors at a time, each donor once in every seat"
    notes = [
        f"placebos: the policy given to {each}, {donors} in all, estimated with the donors that remain; {scaled}",
        "p-values are permutation p-values and intervals hold the effects the test does not reject; std_error is the "
        "placebos' standard deviation and statistic its ratio, which no p-value here rests on",
    ]
    if not bounded:
        notes.append(
            f"{donors} placebos are too few for intervals at {100 * level:g} %: the smallest p-value is {1 / (donors + 1):.2g}"
        )
    return notes


def _fit_notes(
    design: Design,
    panel: LongPanel,
    outcomes: Array,
    method: str,
    blocks: Sequence[Block],
    donors: Index,
    made: Sequence[Synthetic],
    placebos: Sequence[Sequence[Synthetic]],
) -> list[str]:
    """Return fit, weights and the test of the whole ratio of errors, for each block or for all together."""
    log = design.spec.outcome.scale == "log_rate"
    means = [float(outcomes[np.ix_(block.areas, block.years[block.before])].mean()) for block in blocks]
    shares = [one.fit if log else one.fit / abs(mean) for one, mean in zip(made, means, strict=True)]
    poor = [share > POOR_FIT for share in shares]
    notes = []
    if len(blocks) > DESCRIBED:
        notes.append(
            f"{len(blocks)} synthetic areas: root mean squared gap before adoption {_percent(shares, log)}; "
            f"{sum(poor)} above {100 * POOR_FIT:g} %"
        )
        notes.append("donors are mixed for each; refit with treatment.only for one area's weights")
        return notes
    for block, one, others, share, bad in zip(blocks, made, placebos, shares, poor, strict=True):
        name = " ".join(map(str, panel.counties[block.areas][:10]))
        fits = np.array([placebo.fit for placebo in others])
        worse = int((fits >= one.fit).sum())
        inside = "; inside the donors' hull: fitted exactly" if one.fit == 0 and method == "simplex" else ""
        notes.append(
            f"{name}: root mean squared gap before adoption {one.fit:.4g} ({_percent([share], log)}), no larger than that of "
            f"{worse} of {len(fits)} placebos{inside}"
        )
        if one.fit > 0 and method == "simplex":
            notes.append(
                f"{name}: outside the donors' hull, no mixture of donors shows its outcomes before adoption"
            )
        if bad:
            notes.append(
                f"{name}: poor fit, above {100 * POOR_FIT:g} %: what the synthetic area misses before adoption it misses after it"
            )
        notes.append(f"{name}: {_weights_in_words(panel, donors, one)}")
        if method == "did":
            years = panel.years[block.years[block.before]]
            heavy = [
                f"{year} {weight:.2f}"
                for year, weight in zip(years, one.year_weights, strict=True)
                if weight > NAMED_WEIGHT
            ]
            notes.append(f"{name}: year weights {', '.join(heavy)}; zeta {one.penalty:.4g}")
        if method == "augmented":
            notes.append(
                f"{name}: ridge penalty {one.penalty:.4g}, weights below zero sum to -{-np.minimum(one.weights, 0).sum():.2f}"
            )
        notes.append(f"{name}: {_ratio_in_words(block, one, others)}")
    return notes


def _percent(shares: Sequence[float], log: bool) -> str:
    of = "in log points" if log else "of the mean"
    low, high = 100 * min(shares), 100 * max(shares)
    return f"{low:.2g} % {of}" if len(shares) == 1 else f"{low:.2g} to {high:.2g} % {of}"


def _weights_in_words(panel: LongPanel, donors: Index, made: Synthetic) -> str:
    order = np.argsort(-np.abs(made.weights), kind="stable")
    named = [at for at in order if abs(made.weights[at]) > NAMED_WEIGHT]
    shown = ", ".join(f"{panel.counties[donors[at]]} {made.weights[at]:.2f}" for at in named[:20])
    more = f" and {len(named) - 20} more" if len(named) > 20 else ""
    effective = 1 / float((made.weights**2).sum())
    above = (
        f"donors above {100 * NAMED_WEIGHT:g} %: {shown}{more}"
        if named
        else f"no donor above {100 * NAMED_WEIGHT:g} %"
    )
    return f"{above}; worth {effective:.1f} donors of equal weight"


def _ratio_in_words(block: Block, made: Synthetic, placebos: Sequence[Synthetic]) -> str:
    """Return the rank of the ratio of errors after and before adoption among the placebos', in words."""
    fits = np.array([made.fit, *(placebo.fit for placebo in placebos)])
    if made.fit == 0 or np.median(fits) == 0:
        return "ratio of errors after and before adoption not defined, the fit before is exact"
    after = np.array([np.sqrt((one.gap[block.after] ** 2).mean()) for one in (made, *placebos)])
    with np.errstate(divide="ignore"):
        ratio = after / fits
    rank = int((ratio >= ratio[0]).sum())
    return (
        f"ratio of errors after and before adoption {ratio[0]:.3g}, rank {rank} of {len(ratio)} "
        f"(permutation p = {rank / len(ratio):.3g})"
    )

"""What annual data lose against quarterly ones, where a policy begins within a year.

The published border study observes quarters: eight before enactment to four after, the policy acting from the quarter after
enactment. Years leave out the year of enactment and take the first full year after it. Both are weighted sums of the
quarterly gap between a treated county and its neighbours, so what they expect and how much noise they carry is arithmetic;
a small simulation with effects that are known, which takes logs of annual sums, holds the arithmetic. Every world here is
made up: nothing in it is an estimate from data.

Quarters of a year are counted 0 to 3, a policy enacted in month m lies in quarter (m - 1) // 3 of year 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

QUARTERS = 4
BEFORE, AFTER = 8, 4
"""Quarters of the published window: enactment's own is the last one before."""
YEARS_BEFORE, YEARS_AFTER = 2, 1
"""Years that stand for it."""
FIRST, LAST = -2 * QUARTERS, 3 * QUARTERS - 1
"""Quarters drawn, counted from the first quarter of the year of enactment."""

SEED = 20260101
DRAWS, GROUPS = 4_000, 60
EFFECT = 0.05
"""Size of the effect in simulated worlds, log points; shares of it do not depend on it but for the log of a sum."""

LASTING, FADING, FIRST_YEAR, GROWING, AT_ONCE = (
    "lasting",
    "fading",
    "first year only",
    "growing",
    "from enactment on",
)
EFFECTS: Mapping[str, str] = MappingProxyType(
    {
        LASTING: "the same in every quarter after enactment's",
        FADING: "halved with every year since it began",
        FIRST_YEAR: "the same for four quarters, nothing after",
        GROWING: "reached in equal steps over eight quarters",
        AT_ONCE: "the same in every quarter, enactment's own included",
    }
)
NOISES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "independent quarters": (0.0, 0.0),
        "persistence 0.5": (0.5, 0.0),
        "persistence 0.9": (0.9, 0.0),
        "independent, seasons of a county's own": (0.0, 1.0),
        "persistence 0.5, seasons of a county's own": (0.5, 1.0),
    }
)
"""Noise of the gap: correlation of neighbouring quarters, and the spread of seasonal gaps over that of a quarter."""

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "scenario": "path of the effect, kind of noise, or year of enactment",
        "quantity": "what the value is",
        "unit": "its unit",
        "value": "number",
        "mc_error": "Monte Carlo error of a drawn number; empty for arithmetic",
        "how": "arithmetic or drawn",
        "simulated": "True throughout: these are made-up worlds",
    }
)
QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        "quarterly estimate": "expected estimate over the effect of the first quarter in full force",
        "annual estimate": "likewise, of years",
        "annual over quarterly": "the one over the other",
        "standard error ratio": "annual over quarterly standard error, mean over months of enactment",
        "months to the middle, quarterly": "from enactment to the middle of what is counted as after",
        "months to the middle, annual": "likewise, of years",
        "quarters after, quarterly data to 2016": "observed quarters of the window's four, mean over months",
        "years after, annual data to 2015": "full years after the year of enactment",
        "years before, annual data from 2008": "years before the year of enactment, at most two",
    }
)


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of quarterly gaps in an estimate.

    Args:
        quarter: (q,) quarters from ``FIRST`` to ``LAST``, 0 the first of the year of enactment.
        weight: (q,) adding up to zero, those after enactment to one.
    """

    quarter: NDArray[np.int64]
    weight: Array


def quarter_of(month: int) -> int:
    """Return the quarter of a month, 0 to 3.

    Raises:
        ValueError: no month of 1 to 12.

    Example:
        >>> [quarter_of(m) for m in (1, 3, 4, 12)]
        [0, 0, 1, 3]
    """
    if not 1 <= month <= 12:
        raise ValueError(f"month {month}; wanted 1 to 12")
    return (month - 1) // 3


def quarterly_weights(month: int) -> Weights:
    """Return the weights of the quarterly comparison: mean of four quarters after less mean of nine up to enactment's.

    Args:
        month: of enactment, 1 to 12.

    Example:
        >>> w = quarterly_weights(5)
        >>> [int(w.quarter[w.weight > 0].min()), int((w.weight > 0).sum()), int((w.weight < 0).sum())]
        [2, 4, 9]
    """
    quarter = np.arange(FIRST, LAST + 1)
    own = quarter_of(month)
    after = (quarter > own) & (quarter <= own + AFTER)
    before = (quarter >= own - BEFORE) & (quarter <= own)
    return Weights(quarter, after / after.sum() - before / before.sum())


def annual_weights() -> Weights:
    """Return the weights of the annual comparison: the first full year less the two before enactment's.

    Assumption: the log of a year's sum is the mean of its quarters' logs, which it is to first order.

    Example:
        >>> w = annual_weights()
        >>> w.quarter[w.weight > 0].tolist(), w.quarter[w.weight < 0].tolist() == list(range(-8, 0))
        ([4, 5, 6, 7], True)
    """
    quarter = np.arange(FIRST, LAST + 1)
    year = quarter // QUARTERS
    after, before = (year >= 1) & (year <= YEARS_AFTER), (year < 0) & (year >= -YEARS_BEFORE)
    return Weights(quarter, after / after.sum() - before / before.sum())


def effect_path(path: str, month: int, quarter: NDArray[np.int64]) -> Array:
    """Return an effect by quarter, as a share of its full size.

    Args:
        path: one of `EFFECTS`.
        month: of enactment.
        quarter: (q,) quarters, 0 the first of the year of enactment.

    Raises:
        ValueError: another path.

    Example:
        >>> effect_path("first year only", 2, np.arange(8)).tolist()
        [0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    since = quarter - quarter_of(month) - 1
    on = since >= 0
    if path == LASTING:
        return on.astype(float)
    if path == FADING:
        return np.where(on, 0.5 ** (np.maximum(since, 0) / QUARTERS), 0.0)
    if path == FIRST_YEAR:
        return (on & (since < QUARTERS)).astype(float)
    if path == GROWING:
        return np.clip((since + 1) / (2 * QUARTERS), 0.0, 1.0)
    if path == AT_ONCE:
        return (since >= -1).astype(float)
    raise ValueError(f"effect '{path}'; wanted one of {', '.join(EFFECTS)}")


def noise_covariance(quarter: NDArray[np.int64], persistence: float, seasons: float) -> Array:
    """Return the covariance of a gap's noise over quarters, (q, q).

    Args:
        quarter: (q,).
        persistence: correlation of neighbouring quarters, from 0 to below 1.
        seasons: standard deviation of gaps of the four seasons over that of a quarter's noise.

    Raises:
        ValueError: a persistence outside [0, 1), or negative seasons.

    Example:
        >>> noise_covariance(np.array([0, 1, 4]), 0.5, 0.0).tolist()
        [[1.0, 0.5, 0.0625], [0.5, 1.0, 0.125], [0.0625, 0.125, 1.0]]
    """
    if not 0 <= persistence < 1 or seasons < 0:
        raise ValueError(
            f"persistence {persistence}, seasons {seasons}; wanted a persistence in [0, 1) and seasons from 0"
        )
    apart = np.abs(quarter[:, None] - quarter)
    return np.asarray(persistence**apart + seasons**2 * (apart % QUARTERS == 0), dtype=float)


def standard_error_ratio(month: int, persistence: float, seasons: float) -> float:
    """Return the annual over the quarterly standard error of one group.

    Args:
        month: of enactment.
        persistence: correlation of neighbouring quarters.
        seasons: as in `noise_covariance`.

    Assumption: groups are independent of each other, so that their number cancels.

    Example:
        Independent quarters: four against eight, where quarters have four against nine.

        >>> round(standard_error_ratio(6, 0.0, 0.0) ** 2, 6) == round((1 / 4 + 1 / 8) / (1 / 4 + 1 / 9), 6)
        True
    """
    errors = []
    for weights in (annual_weights(), quarterly_weights(month)):
        covariance = noise_covariance(weights.quarter, persistence, seasons)
        errors.append(float(np.sqrt(weights.weight @ covariance @ weights.weight)))
    return errors[0] / errors[1]


def expected(path: str, month: int) -> tuple[float, float]:
    """Return what quarters and what years estimate of an effect of size one.

    Example:
        A lasting effect: both find it. One of four quarters, begun in July: years keep what falls into the next one.

        >>> expected("lasting", 8), tuple(round(v, 2) for v in expected("first year only", 5))
        ((1.0, 1.0), (1.0, 0.5))
    """
    by_quarter, by_year = quarterly_weights(month), annual_weights()
    size = effect_path(path, month, by_year.quarter)
    return float(by_quarter.weight @ size), float(by_year.weight @ size)


def months_to_the_middle(month: int) -> tuple[float, float]:
    """Return months from enactment to the middle of what counts as after, by quarters and by years.

    Args:
        month: of enactment, in whose middle it falls.

    Example:
        >>> months_to_the_middle(6)
        (6.5, 12.5)
    """
    enacted = month - 0.5
    after = 3 * (quarter_of(month) + 1) + 3 * AFTER / 2
    return after - enacted, 12 + 12 * YEARS_AFTER / 2 - enacted


def draw_estimates(
    path: str, persistence: float, seasons: float, draws: int, groups: int, rng: np.random.Generator
) -> Array:
    """Return quarterly and annual estimates of simulated worlds, (draws, 2).

    Each group is the gap in logs between a treated county and its neighbours, months of enactment are drawn at random, and a
    year's value is the log of its sum over quarters.

    Args:
        path: of the effect, of full size `EFFECT`.
        persistence: of the noise.
        seasons: as in `noise_covariance`.
        draws: worlds.
        groups: in each.
        rng: of the draws.
    """
    quarter = np.arange(FIRST, LAST + 1)
    root = np.linalg.cholesky(noise_covariance(quarter, persistence, seasons))
    month = rng.integers(1, 13, size=(draws, groups))
    # A tenth of a log point a quarter: the spread of a county of some hundred thousand people.
    gap = 0.1 * rng.standard_normal((draws, groups, len(quarter))) @ root.T
    paths = np.array([EFFECT * effect_path(path, m, quarter) for m in range(1, 13)])
    gap = gap + paths[month - 1]
    weights = np.array([quarterly_weights(m).weight for m in range(1, 13)])
    by_quarter = (gap * weights[month - 1]).sum(axis=2)
    yearly = np.log(np.exp(gap).reshape(draws, groups, -1, QUARTERS).mean(axis=3))
    year = quarter[::QUARTERS] // QUARTERS
    by_year = yearly[:, :, (year >= 1) & (year <= YEARS_AFTER)].mean(axis=2)
    by_year = by_year - yearly[:, :, (year < 0) & (year >= -YEARS_BEFORE)].mean(axis=2)
    return np.stack([by_quarter.mean(axis=1), by_year.mean(axis=1)], axis=1)


def left_of(
    year: int, first: int = 2008, last: int = 2015, quarters_to: int = 2016
) -> tuple[float, int, int]:
    """Return what is observed of a policy enacted in a year.

    Args:
        year: of enactment.
        first: first year of annual outcomes.
        last: their last year.
        quarters_to: last year of quarterly outcomes.

    Returns:
        quarters after enactment's of the window's four, by quarterly data, mean over months; full years after, and years
        before (at most two), by annual data.

    Example:
        Enacted in 2014: 2015 alone comes after. Enacted in 2015: no full year does, while quarters see all four.

        >>> left_of(2014), left_of(2015)
        ((4.0, 1, 2), (4.0, 0, 2))
    """
    end = (quarters_to - year + 1) * QUARTERS - 1
    seen = [min(max(end - quarter_of(m), 0), AFTER) for m in range(1, 13)]
    return float(np.mean(seen)), max(last - year, 0), min(max(year - first, 0), YEARS_BEFORE)


def quarterly_loss(draws: int = DRAWS, groups: int = GROUPS, seed: int = SEED) -> pd.DataFrame:
    """Return what annual data lose: attenuation by path of the effect, error ratios, and which adopters fall out.

    Args:
        draws: simulated worlds a scenario.
        groups: adopters with neighbours in each.
        seed: of the draws.

    Returns:
        Columns of `COLUMNS`. Arithmetic rows are means over the twelve months of enactment; drawn rows repeat those they
        check, with their Monte Carlo error.

    Raises:
        ValueError: fewer than two draws, or no group.

    Assumption: months of enactment are spread evenly; a policy of 1 January, which counts from that year, is left out.

    Example:
        >>> found = quarterly_loss(draws=20, groups=5)
        >>> exact = found[(found["scenario"] == "lasting") & (found["how"] == "arithmetic")]
        >>> exact.set_index("quantity")["value"]["annual over quarterly"].round(9)
        np.float64(1.0)
    """
    if draws < 2 or groups < 1:
        raise ValueError(f"{draws} draws of {groups} groups; wanted at least two draws of one group")
    rng = np.random.default_rng(seed)
    months = range(1, 13)
    rows: list[tuple[str, str, str, float, float, str]] = []
    share = "share of the full effect"
    for path in EFFECTS:
        pairs = np.array([expected(path, m) for m in months])
        quarters, years = pairs.mean(axis=0)
        rows += [
            (path, "quarterly estimate", share, quarters, np.nan, "arithmetic"),
            (path, "annual estimate", share, years, np.nan, "arithmetic"),
            (path, "annual over quarterly", "ratio", years / quarters, np.nan, "arithmetic"),
        ]
        drawn = draw_estimates(path, 0.5, 0.0, draws, groups, rng) / EFFECT
        for at, name in enumerate(("quarterly estimate", "annual estimate")):
            error = drawn[:, at].std(ddof=1) / np.sqrt(draws)
            rows.append((path, name, share, drawn[:, at].mean(), error, "drawn"))
    for noise, (persistence, seasons) in NOISES.items():
        ratio = float(np.mean([standard_error_ratio(m, persistence, seasons) for m in months]))
        rows.append((noise, "standard error ratio", "ratio", ratio, np.nan, "arithmetic"))
        drawn = draw_estimates(LASTING, persistence, seasons, draws, groups, rng)
        spread = drawn.std(axis=0, ddof=1)
        # Of two spreads from the same draws; their correlation makes it a little too large.
        error = spread[1] / spread[0] / np.sqrt(draws)
        rows.append((noise, "standard error ratio", "ratio", spread[1] / spread[0], error, "drawn"))
    middles = np.array([months_to_the_middle(m) for m in months]).mean(axis=0)
    for name, value in zip(("quarterly", "annual"), middles, strict=True):
        rows.append(("any", f"months to the middle, {name}", "months", value, np.nan, "arithmetic"))
    for year in range(2008, 2017):
        quarters_after, after, before = left_of(year)
        for name, unit, value in (
            ("quarters after, quarterly data to 2016", "quarters", quarters_after),
            ("years after, annual data to 2015", "years", float(after)),
            ("years before, annual data from 2008", "years", float(before)),
        ):
            rows.append((f"enacted in {year}", name, unit, value, np.nan, "arithmetic"))
    found = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "simulated"])
    return found.assign(simulated=True)

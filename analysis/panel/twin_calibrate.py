"""The simulated panel's parameters, measured on the real panel: aggregates alone, never a county's own value.

A maintenance command, run when the real panel changes: ``python -m analysis.panel.twin_calibrate`` replaces the
measured half of ``twin.toml`` and leaves the stated half (effects, confounders, odd counties) as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtr

from analysis.base.paths import replacing
from analysis.base.records import Panel
from analysis.panel.agencies import PER
from analysis.panel.build import YEARS, load_cities, load_panel
from analysis.panel.twin_frame import (
    BASE,
    CLASSES,
    COVARIATES,
    PARAMETERS,
    SIZES,
    TRAITS,
    exposure,
    spells,
    to_normal,
)

MARKER = "# === MEASURED ==="
WINDOW = (2010, 2017)
FULL = 0.9
FEWEST = 10.0
"""Counts below this carry no usable logarithm: their county-years take no part in moments of log rates."""

MOST = 1.0
"""Changes of log rates beyond this are breaks of recording, not persistence; moments leave them out."""

CITY_AT, COUNTY_AT = 5_000.0, 15_000.0
"""Residents of the agency for which shares reporting are stated."""

LONG_SERIES = ("murder", "rape_legacy", "robbery", "aggravated_assault", "burglary", "larceny", "motor_vehicle_theft")


def calibrate(panel: Panel, cities: pd.DataFrame) -> dict[str, Any]:
    """Return the measured parameters of the simulated panel.

    Args:
        panel: the real panel.
        cities: the real city panel.

    Returns:
        Plain nested values, rounded, as in the measured half of ``twin.toml``: means, deviations, correlations and
        shares by urban class, state, year or size class. No value of a single county.

    Example:
        >>> calibrate(load_panel(), load_cities())["crime"]["persistence"]  # doctest: +SKIP
        {'murder': 0.3, ...}
    """
    table = panel.table
    adopted = exposure(spells(panel.policies), table["county_fips"], table["year"], half=0.5)
    levels = _levels(table)
    fixed = _fixed(table)
    return {
        "classes": _classes(fixed, panel.policies),
        "traits": _traits(fixed, levels, panel.policies),
        "population": _population(table),
        "places": _places(table, cities),
        "crime": _crime(table, levels),
        "agencies": _agencies(table, cities),
        "reporting": _reporting(table, cities),
        "yearly": _yearly(table),
        "federal": _federal(table, panel.policies),
        "declines": _declines(table, panel.declines, adopted),
        "totals": _totals(panel),
    }


# --- helpers on arrays ------------------------------------------------------------------------------------------


def lag_concordance(first: np.ndarray, second: np.ndarray, correlation: float) -> np.ndarray:
    """Return the chance that two standard normals of that correlation lie below two thresholds each.

    Args:
        first, second: thresholds, same shape.
        correlation: in [0, 1).

    Example:
        >>> float(lag_concordance(np.zeros(1), np.zeros(1), 0.5).round(3)[0])
        0.333
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    spread = np.sqrt(1 - correlation)
    shared = np.sqrt(correlation) * nodes
    below = [ndtr((np.asarray(a)[..., None] - shared) / spread) for a in (first, second)]
    return np.asarray((below[0] * below[1]) @ weights)


def _bisect(f: Callable[[float], float], low: float, high: float, steps: int = 50) -> float:
    """Return where an increasing function crosses zero."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return (low + high) / 2


def persistence(moments: Mapping[int, float]) -> tuple[float, float]:
    """Return AR(1) persistence and stationary deviation that reproduce variances of changes over several lags.

    The variance of a change over k years is 2 s^2 (1 - r^k).

    Args:
        moments: variance of k-year changes by k.

    Example:
        >>> r, s = persistence({k: 2 * 0.04 * (1 - 0.6**k) for k in (1, 2, 3, 4)})
        >>> round(r, 2), round(s, 2)
        (0.6, 0.2)
    """
    lags = np.array(sorted(moments))
    values = np.clip([moments[int(k)] for k in lags], 1e-6, None)
    best = (np.inf, 0.0, 0.0)
    for r in np.arange(0.0, 0.96, 0.01):
        shape = 2 * (1 - r**lags)
        variance = float((shape * values).sum() / (shape**2).sum())
        loss = float(((values - variance * shape) ** 2).sum())
        if loss < best[0]:
            best = (loss, float(r), float(np.sqrt(max(variance, 1e-6))))
    return best[1], best[2]


def logistic(y: np.ndarray, x: np.ndarray, steps: int = 30) -> np.ndarray:
    """Return coefficients of a logit fitted by reweighted least squares, with a small ridge against separation."""
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        p = expit(x @ beta)
        w = p * (1 - p)
        hessian = (x * w[:, None]).T @ x + 1e-3 * np.eye(x.shape[1])
        beta = beta + np.linalg.solve(hessian, x.T @ (y - p) - 1e-3 * beta)
    return beta


def _row(values: Any, digits: int) -> list[float]:
    return [round(float(v), digits) + 0.0 for v in values]


def _by_year(series: pd.Series, digits: int) -> list[float]:
    return _row(series.reindex(list(YEARS)).fillna(0.0), digits)


# --- parts ------------------------------------------------------------------------------------------------------


def _fixed(table: pd.DataFrame) -> pd.DataFrame:
    one = table[table["year"].eq(2010)].set_index("county_fips")
    wide = table.pivot(index="county_fips", columns="year", values="population")
    growth = np.log(wide[2019] / wide[2005]) / (2019 - 2005)
    return one.assign(growth=growth)


def _levels(table: pd.DataFrame) -> pd.DataFrame:
    """Offences per 100,000 over all well-covered years together, by county, and the counts behind them."""
    out = {}
    for m in BASE:
        good = table[(table[f"coverage_{m}"] >= FULL) & (table["population"] >= 1_000)]
        sums = good.groupby("county_fips")[[m, f"policed_{m}"]].sum()
        out[f"rate_{m}"] = sums[m] / sums[f"policed_{m}"] * PER
        out[f"people_{m}"] = sums[f"policed_{m}"]
        out[f"log_{m}"] = np.log((sums[m] + 0.5) / sums[f"policed_{m}"] * PER)
    return pd.DataFrame(out)


def _listed(policies: pd.DataFrame) -> set[str]:
    d2 = policies[policies["definition_source"].eq("D2") & policies["direction"].isin(["limit_full", "limit_partial"])]
    return set(d2["county_fips"].dropna())


def _classes(fixed: pd.DataFrame, policies: pd.DataFrame) -> dict[str, Any]:
    counts = pd.crosstab(fixed["state"], fixed["urban_class"]).reindex(columns=list(CLASSES), fill_value=0)
    adopters = fixed[fixed.index.isin(_listed(policies))]["urban_class"].value_counts().reindex(list(CLASSES), fill_value=0)
    overall = fixed["urban_class"].value_counts().reindex(list(CLASSES))
    odds = adopters / overall
    rucc = pd.crosstab(fixed["urban_class"], fixed["rucc_2013"]).reindex(index=list(CLASSES), columns=range(1, 10), fill_value=0)
    return {
        "by_state": {str(s): [int(v) for v in row] for s, row in zip(counts.index, counts.to_numpy(), strict=True)},
        "odds_among_adopters": _row(odds / odds.mean(), 2),
        "rucc": {c: _row(rucc.loc[c] / rucc.loc[c].sum(), 3) for c in CLASSES},
    }


def _traits(fixed: pd.DataFrame, levels: pd.DataFrame, policies: pd.DataFrame) -> dict[str, Any]:
    raw = pd.DataFrame({name: to_normal(name, fixed[name]) for name in COVARIATES}, index=fixed.index)
    for m in BASE:
        raw[f"log_rate_{m}"] = levels[f"log_{m}"].reindex(fixed.index)
    # The city of New York has a size of its own, stated apart.
    inside = ~fixed.index.str.startswith("36998")
    groups = fixed["urban_class"]
    mean = raw[inside].groupby(groups[inside]).mean()
    deviation = raw[inside].groupby(groups[inside]).std()
    for m in BASE:
        # Of rates, the lognormal with the mean and variance rates have beyond that of counting.
        rate = levels[f"rate_{m}"].reindex(fixed.index)
        counting = (rate * PER / levels[f"people_{m}"].reindex(fixed.index)).groupby(groups).mean()
        centre, spread = rate.groupby(groups).mean(), rate.groupby(groups).var()
        square = np.log1p(((spread - counting) / centre**2).clip(lower=0.02))
        deviation[f"log_rate_{m}"] = np.sqrt(square)
        mean[f"log_rate_{m}"] = np.log(centre) - square / 2
    z = pd.DataFrame({c: (raw[c] - groups.map(raw[c].groupby(groups).mean())) / groups.map(raw[c].groupby(groups).std()) for c in TRAITS})
    z = z.clip(-4, 4)
    states = fixed["state"]
    size = z.groupby(states).count()
    between = z.groupby(states).mean()
    share = {}
    for c in TRAITS:
        many = size[c] >= 8
        noise = (1 / size.loc[many, c]).mean()
        share[c] = float(np.clip(between.loc[many, c].var() - noise, 0.02, 0.8))
    who = z.index.isin(_listed(policies))
    correlation = z.corr().to_numpy()
    return {
        "names": list(TRAITS),
        "mean": {c: _row(mean.loc[c, list(TRAITS)], 3) for c in CLASSES},
        "sd": {c: _row(deviation.loc[c, list(TRAITS)], 3) for c in CLASSES},
        "state_share": _row([share[c] for c in TRAITS], 2),
        "shift_of_adopters": _row(z[who].mean(), 2),
        "correlation": [_row(correlation[i, :i], 2) for i in range(1, len(TRAITS))],
        "missing": {
            "democratic_vote_states": sorted(
                str(s) for s, g in fixed.groupby("state") if g["democratic_vote_2008"].isna().all()
            ),
        },
    }


def _population(table: pd.DataFrame) -> dict[str, Any]:
    wide = np.log(table.pivot(index="county_fips", columns="year", values="population"))
    change = wide.diff(axis=1)
    residual = change.sub(change.mean(axis=1), axis=0)
    sizes = pd.cut(np.exp(wide[2010]), [0, *SIZES[1:], np.inf], labels=False, right=False)
    return {
        "national_growth": _by_year(change.sub(change.mean(axis=1), axis=0).mean(), 4),
        "change_sd_by_size": _row(residual.std(axis=1).groupby(sizes).median(), 4),
    }


def _places(table: pd.DataFrame, cities: pd.DataFrame) -> dict[str, Any]:
    one = table[table["year"].eq(2010)].set_index("county_fips")
    printed = cities[cities["source"].eq("table8")]
    named = printed.groupby("county_fips")["agency_id"].nunique().reindex(one.index).fillna(0)
    count = np.log1p(named)
    groups = one["urban_class"]
    size = one["log_population_2010"] - groups.map(one["log_population_2010"].groupby(groups).mean())
    inner = count - groups.map(count.groupby(groups).mean())
    slope = float((size * inner).sum() / (size**2).sum())
    inner = inner - slope * size
    by_state = inner.groupby(one["state"]).mean()
    rest = inner - one["state"].map(by_state)
    share = one["county_policed_share"].clip(0, 1)
    ordinary = share.lt(0.995) & share.gt(0.005)
    centred = share - groups.map(share.groupby(groups).mean())
    share_state = centred.groupby(one["state"]).mean()
    share_rest = (centred - one["state"].map(share_state))[ordinary]
    largest = np.log(printed.groupby("agency_id").agg(county=("county_fips", "first"), people=("population", "max"))["people"].clip(lower=50))
    within = largest - largest.groupby(printed.groupby("agency_id")["county_fips"].first()).transform("mean")
    spanning = printed.groupby("agency_id")["spans_counties"].first()
    agencies = table[table["year"].eq(2015)].set_index("county_fips")
    never = float((agencies["agencies_expected"].sum() - named.sum() - len(agencies)) / named.sum())
    return {
        "log_cities_by_class": _row(count.groupby(groups).mean().reindex(list(CLASSES)), 2),
        "log_cities_per_log_population": round(slope, 2),
        "log_cities_sd": round(float(rest.std()), 2),
        "log_cities_by_state": {str(s): round(float(v), 2) for s, v in by_state.items()},
        "county_share_by_class": _row(share.groupby(groups).mean().reindex(list(CLASSES)), 2),
        "county_share_sd": round(float(share_rest.std()), 2),
        "county_share_by_state": {str(s): round(float(v), 2) for s, v in share_state.items()},
        "city_size_sd": round(float(within.std()), 2),
        "spanning_share": round(float(spanning.mean()), 3),
        "never_printed_per_city": round(max(never, 0.0), 2),
    }


def _crime(table: pd.DataFrame, levels: pd.DataFrame) -> dict[str, Any]:
    good = {m: table[table[f"coverage_{m}"] >= FULL] for m in BASE}
    trend, out = {}, {}
    for m in BASE:
        sums = good[m].groupby("year")[[m, f"policed_{m}"]].sum()
        trend[m] = np.log(sums[m] / sums[f"policed_{m}"].where(sums[f"policed_{m}"] > 0))
    revised = table[table["coverage_rape_revised"] >= FULL].groupby("year")[["rape_revised", "policed_rape_revised"]].sum()
    path = np.log(revised["rape_revised"] / revised["policed_rape_revised"])
    # The legacy series ends with its definition: from 2013 the revised one's growth carries it on.
    legacy = trend["rape_legacy"].copy()
    for year in range(2013, YEARS[-1] + 1):
        legacy[year] = legacy[year - 1] + (path[year] - path[year - 1] if year > 2014 else 0.0)
    trend["rape_legacy"] = legacy
    out["trend"] = {m: _by_year(trend[m] - trend[m][2010], 3) for m in BASE}
    out["rape_revised_over_legacy"] = round(float(np.exp(path[2014] - legacy[2014])), 2)

    people = table[table["year"].eq(2010)].set_index("county_fips")["population"]
    size = pd.cut(people, [0, *SIZES[1:], np.inf], labels=False, right=False)
    state = table.drop_duplicates("county_fips").set_index("county_fips")["state"]
    own: dict[str, list[float]] = {}
    kept, changes = {}, {}
    shock, shock_kept = {}, {}
    for m in BASE:
        upto = 2012 if m == "rape_legacy" else YEARS[-1]
        rows = good[m][good[m]["year"] <= upto]
        rows = rows[rows[m] >= FEWEST]
        log = np.log(rows.assign(rate=rows[m] / rows[f"policed_{m}"]).pivot(index="county_fips", columns="year", values="rate"))
        counting = 1 / rows.pivot(index="county_fips", columns="year", values=m)
        county_moments: dict[int, dict[int, float]] = {}
        pooled, state_moments = {}, {}
        for k in (1, 2, 3, 4, 5):
            d = log.diff(k, axis=1).iloc[:, k:]
            d = d.where(d.abs() <= MOST)
            noise = (counting + counting.shift(k, axis=1)).iloc[:, k:].where(d.notna())
            where = state.reindex(d.index)
            n = d.groupby(where).transform("count")
            mean = d.groupby(where).transform("mean")
            many = n >= 5
            inner = ((d - mean) ** 2 * n / (n - 1)).where(many)
            pooled[k] = float(np.nanmean(inner - noise.where(many)))
            one = d.groupby(where).mean()
            of_states = d.groupby(where).count()
            one = one.sub(np.nanmean(one.where(of_states >= 5), axis=0), axis=1)
            excess = one**2 - inner.groupby(where).mean() / of_states
            state_moments[k] = float(np.nanmean(excess.where(of_states >= 5)))
            for s in range(len(SIZES)):
                inside = size.reindex(d.index).eq(s)
                if int(inner[inside].notna().sum().sum()) >= 300:
                    county_moments.setdefault(s, {})[k] = float(np.nanmean((inner - noise.where(many))[inside]))
            if k == 1:
                changes[m] = (d - mean)[people.reindex(d.index) >= 100_000].stack()
        kept[m], _ = persistence(pooled)
        shock_kept[m], shock[m] = persistence(state_moments)
        lags = np.array([1, 2, 3, 4, 5])
        scale = 2 * (1 - kept[m] ** lags)
        found = {s: float(np.sqrt(max(np.dot(scale, [v[k] for k in (1, 2, 3, 4, 5)]) / (scale**2).sum(), 1e-4))) for s, v in county_moments.items() if len(v) == 5}
        largest = max(found)
        # Counts too small to tell: as in the smallest class that tells.
        own[m] = [found.get(s, found[min(found)] if s < min(found) else found[largest]) for s in range(len(SIZES))]
    together = pd.DataFrame(changes).corr(min_periods=300).fillna(0.0).to_numpy()
    out["persistence"] = {m: round(kept[m], 2) for m in BASE}
    out["county_year_sd_by_size"] = {m: _row(own[m], 3) for m in BASE}
    out["state_year_sd"] = {m: round(shock[m], 3) for m in BASE}
    out["state_year_persistence"] = {m: round(shock_kept[m], 2) for m in BASE}
    out["year_correlation"] = [_row(together[i, :i], 2) for i in range(1, len(BASE))]
    return out


def _agencies(table: pd.DataFrame, cities: pd.DataFrame) -> dict[str, Any]:
    rows = table[table["year"].between(*WINDOW) & table["county_policed_share"].between(0.1, 0.9) & table["coverage_property"].ge(FULL)]
    remainder = (rows["county_policed_share"] * rows["population"]).sum()
    inside = (rows["policed_property"] - rows["county_policed_share"] * rows["population"]).clip(lower=0).sum()
    premium = {}
    for m in BASE:
        own = rows[f"county_agency_{m}"].sum() / remainder
        premium[m] = float(np.log(((rows[m] - rows[f"county_agency_{m}"]).sum() / inside) / own))
    big = cities[cities["source"].eq("table8") & cities["year"].between(*WINDOW) & cities["population"].ge(10_000)]
    mean = big.groupby(["agency_id", "county_fips"])["rate_property"].mean()
    log = np.log(mean[mean > 0])
    inner = log - log.groupby("county_fips").transform("mean")
    long = cities[cities["source"].eq("city_series") & cities["year"].lt(YEARS[0])]
    first = cities[cities["agency_id"].isin(long["agency_id"]) & cities["year"].eq(YEARS[0])]
    series = {}
    for m in LONG_SERIES:
        sums = long[long[m].notna()].groupby("year")[[m, "population"]].sum()
        ends = first[first[m].notna()]
        base = ends[m].sum() / ends["population"].sum()
        series[m] = _row(np.log(sums[m] / sums["population"] / base), 2)
    return {
        "city_premium": {m: round(v, 2) for m, v in premium.items()},
        "agency_sd": round(float(inner.std()), 2),
        "not_comparable_by_year": _by_year(table.groupby("year")["not_comparable"].mean() / table.groupby("year")["agencies_reporting"].mean(), 4),
        "long_series_from_1985": series,
        "long_series_cities_of": 100_000,
    }


def _reporting(table: pd.DataFrame, cities: pd.DataFrame) -> dict[str, Any]:
    printed = cities[cities["source"].eq("table8")]
    who = printed.groupby("agency_id").agg(state=("state", "first"), people=("population", "max"))
    there = printed.assign(there=1.0).pivot(index="agency_id", columns="year", values="there").reindex(columns=list(YEARS)).fillna(0.0)
    city = _thresholds(there, who["state"], who["people"].clip(lower=100).fillna(100), CITY_AT)
    own = table[table["county_policed_share"].gt(0.02)]
    flags = own.pivot(index="county_fips", columns="year", values="county_agency_reports").reindex(columns=list(YEARS)).dropna().astype(float)
    people = (own["county_policed_share"] * own["population"]).groupby(own["county_fips"]).mean().reindex(flags.index)
    state = table.drop_duplicates("county_fips").set_index("county_fips")["state"].reindex(flags.index)
    county = _thresholds(flags, state, people.clip(lower=100), COUNTY_AT)
    weight = table["population"]
    arson = 1 - (table["coverage_arson"] * weight).groupby(table["state"]).sum() / (table["coverage_violent_ex_rape"] * weight).groupby(table["state"]).sum()
    sums = table.assign(a=table["coverage_violent"] * weight, b=table["coverage_violent_ex_rape"] * weight).groupby(["state", "year"])[["a", "b"]].sum()
    blank = (1 - sums["a"] / sums["b"].where(sums["b"] > 0)).clip(lower=0).fillna(0.0).unstack().reindex(columns=list(YEARS))
    both = printed[printed["year"].between(2013, 2019) & (printed["rape_legacy"].notna() | printed["rape_revised"].notna())]
    uptake = both.groupby("year")["rape_revised"].apply(lambda s: float(s.notna().mean()))
    single = {m: round(float((printed[m].isna()).mean()), 4) for m in BASE if not m.startswith("rape") and m != "arson"}
    return {
        "cities": city,
        "county_agencies": county,
        "arson_missing_by_state": {str(s): round(float(max(v, 0.0)), 2) for s, v in arson.items()},
        "rape_blank": {str(s): _row(r, 2) for s, r in zip(blank.index, blank.to_numpy(), strict=True) if r.max() > 0.05},
        "rape_revised_by_year": _by_year(uptake, 2),
        "single_measure_missing": single,
    }


def _thresholds(there: pd.DataFrame, state: pd.Series, people: pd.Series, at: float) -> dict[str, Any]:
    """Shares reporting by state and year at a reference size, the size gradient, and how sticky reporting is.

    An agency reports where a standard normal of its own lies below a threshold of its state, year and size.
    """
    x = np.log(people.reindex(there.index).to_numpy(dtype=float) / at)
    flags = there.to_numpy()
    codes, names = pd.factorize(state.reindex(there.index), sort=True)
    weight = people.reindex(there.index).to_numpy(dtype=float)

    def solve(slope: float) -> np.ndarray:
        low, high = np.full((len(names), flags.shape[1]), -6.0), np.full((len(names), flags.shape[1]), 6.0)
        n = np.bincount(codes, minlength=len(names))[:, None]
        target = np.stack([np.bincount(codes, flags[:, t], minlength=len(names)) for t in range(flags.shape[1])], axis=1)
        for _ in range(40):
            middle = (low + high) / 2
            p = ndtr(middle[codes] + slope * x[:, None])
            made = np.stack([np.bincount(codes, p[:, t], minlength=len(names)) for t in range(flags.shape[1])], axis=1)
            under = made < np.clip(target, 0.001 * n, 0.999 * n)
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2

    def excess(slope: float) -> float:
        p = ndtr(solve(slope)[codes] + slope * x[:, None])
        return float((weight[:, None] * (p - flags)).sum())

    slope = _bisect(excess, 0.0, 0.6, 12)
    index = solve(slope)
    cut = index[codes] + slope * x[:, None]
    correlations = {}
    for k in (1, 2, 4, 7):
        first, second = cut[:, :-k], cut[:, k:]
        seen = float((flags[:, :-k] * flags[:, k:]).mean())
        sample = np.random.default_rng(0).choice(len(cut), min(len(cut), 3000), replace=False)
        seen = float((flags[sample, :-k] * flags[sample, k:]).mean())
        correlations[k] = _bisect(lambda r, a=first[sample], b=second[sample], s=seen: float(lag_concordance(a, b, r).mean()) - s, 0.0, 0.995, 14)  # type: ignore[misc]
    lasting, fading = _two_parts(correlations)
    return {
        "lasting_share": round(lasting, 2),
        "fading_persistence": round(fading, 2),
        "per_log_size": round(slope, 2),
        "share": {str(s): _row(np.where((row > 0.999), 1.0, np.where(row < 0.003, 0.0, row)), 2) for s, row in zip(names, ndtr(index), strict=True)},
    }


def _two_parts(correlations: Mapping[int, float]) -> tuple[float, float]:
    """Split correlation over lags into a lasting share w and a fading one: w + (1 - w) r^k."""
    best = (np.inf, 0.0, 0.0)
    for w in np.arange(0.0, 1.0, 0.01):
        for r in np.arange(0.0, 0.96, 0.02):
            loss = sum((w + (1 - w) * r**k - c) ** 2 for k, c in correlations.items())
            if loss < best[0]:
                best = (loss, float(w), float(r))
    return best[1], best[2]


def _yearly(table: pd.DataFrame) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, change in (
        ("poverty_rate", lambda s: logit((s / 100).clip(0.005, 0.95))),
        ("unemployment_rate", lambda s: logit((s / 100).clip(0.005, 0.95))),
        ("median_household_income", np.log),
    ):
        wide = table.assign(v=change(table[name])).pivot(index="county_fips", columns="year", values="v")
        path = wide.sub(wide[2010], axis=0).mean()
        rest = wide.sub(path, axis=1)
        rest = rest.sub(rest.mean(axis=1), axis=0)
        moments = {k: float(np.nanvar(rest.diff(k, axis=1).iloc[:, k:])) for k in (1, 2, 3, 4, 5)}
        kept, spread = persistence(moments)
        out[name] = {"path": _by_year(path, 3), "persistence": round(kept, 2), "sd": round(spread, 3)}
    rate = (table["snap_recipients"] / table["population"]).clip(0.002, 0.9)
    y, x = logit(rate), logit((table["poverty_rate"] / 100).clip(0.005, 0.95))
    ok = y.notna() & x.notna()
    slope = float(np.cov(x[ok], y[ok])[0, 1] / x[ok].var())
    path = (y - slope * x)[ok].groupby(table["year"]).mean()
    rest = (y - slope * x)[ok] - table["year"].map(path)[ok]
    out["snap"] = {"per_logit_poverty": round(slope, 2), "level": _by_year(path, 2), "sd": round(float(rest.std()), 2)}
    force = (table["labour_force"] / table["population"])[table["year"].eq(2010)]
    out["labour_force_share"] = {"mean": round(float(force.mean()), 2), "sd": round(float(force.std()), 2)}
    out["missing"] = {
        name: round(float(table[name].isna().mean()), 4) for name in ("poverty_rate", "unemployment_rate", "snap_recipients")
    }
    return out


def _federal(table: pd.DataFrame, policies: pd.DataFrame) -> dict[str, Any]:
    wide = table.pivot(index="county_fips", columns="year", values="secure_communities")
    known = wide.dropna()
    started = (known > 0).cummax(axis=1).mean()
    first = (known > 0).idxmax(axis=1)
    hispanic = table[table["year"].eq(2010)].set_index("county_fips")["hispanic_2010"].reindex(first.index)
    rank = float(-first.rank().corr(hispanic.rank()))
    deal = table.pivot(index="county_fips", columns="year", values="agreement_287g")
    before = deal.shift(1, axis=1).fillna(0)
    entry = ((before == 0) & (deal == 1)).sum() / (before == 0).sum()
    exit_ = ((before == 1) & (deal == 0)).sum() / (before == 1).sum().clip(lower=1)
    states = table.drop_duplicates("county_fips").set_index("county_fips")["state"]
    ever = deal.max(axis=1).groupby(states).mean()
    listed = policies[policies["definition_source"].eq("D5")]
    counties = set(listed.loc[listed["level"].eq("county"), "county_fips"])
    d2 = _listed(policies)
    laws = policies[policies["definition_source"].eq("D7") & policies["direction"].eq("limit_full")]
    lawful = set(laws["state"])
    frame = states.to_frame("state")
    named = frame.index.isin(counties)
    documented = frame.index.isin(d2)
    inside = frame["state"].isin(lawful).to_numpy()
    return {
        "secure_communities_started": _by_year(started, 3),
        "secure_communities_rank_hispanic": round(rank, 2),
        "secure_communities_absent": round(float(1 - len(known) / len(wide)), 3),
        "agreement_287g_entry": _by_year(entry, 4),
        "agreement_287g_exit": _by_year(exit_, 2),
        "agreement_287g_by_state": {str(s): round(float(v), 2) for s, v in ever.items() if v > 0},
        "list_2025": {
            "documented": round(float(named[documented].mean()), 2),
            "state_limits": round(float(named[~documented & inside].mean()), 2),
            "elsewhere": round(float(named[~documented & ~inside].mean()), 3),
            "cities": int(listed["level"].eq("city").sum()),
        },
    }


def _declines(table: pd.DataFrame, declines: pd.DataFrame, adopted: np.ndarray) -> dict[str, Any]:
    years = list(range(2007, 2016))
    rows = table.assign(adopted=adopted)
    rows = rows[rows["year"].isin(years)].merge(declines.drop(columns="state"), on=["county_fips", "year"], how="left", suffixes=("", "_d3"))
    size = np.log(rows["population"].to_numpy() / 30_000)
    hispanic = to_normal("hispanic_2010", rows["hispanic_2010"]).to_numpy() + 3.0
    dummies = np.stack([rows["year"].eq(y).to_numpy(dtype=float) for y in years], axis=1)
    on = rows["adopted"].to_numpy()
    x = np.column_stack([dummies, size, hispanic, on])
    y = rows["declined"].notna().to_numpy(dtype=float)
    beta = logistic(y, x)
    got = y > 0
    amount = np.log(rows["declined"].to_numpy(dtype=float)[got])
    z = np.column_stack([np.ones(got.sum()), size[got], hispanic[got], on[got]])
    gamma, *_ = np.linalg.lstsq(z, amount, rcond=None)
    share = logit(rows["decline_share_d3"].to_numpy(dtype=float)[got].clip(0.002, 0.99))
    w = np.column_stack([np.ones(got.sum()), on[got], rows["year"].to_numpy()[got] >= 2014])
    delta, *_ = np.linalg.lstsq(w, share, rcond=None)
    return {
        "first_year": years[0],
        "any_by_year": _row(beta[: len(years)], 2),
        "any_per_log_size": round(float(beta[-3]), 2),
        "any_per_logit_hispanic": round(float(beta[-2]), 2),
        "any_on_adoption": round(float(beta[-1]), 2),
        "log_number": round(float(gamma[0]), 2),
        "log_number_per_log_size": round(float(gamma[1]), 2),
        "log_number_per_logit_hispanic": round(float(gamma[2]), 2),
        "log_number_on_adoption": round(float(gamma[3]), 2),
        "log_number_sd": round(float((amount - z @ gamma).std()), 2),
        "logit_share": round(float(delta[0]), 2),
        "logit_share_on_adoption": round(float(delta[1]), 2),
        "logit_share_from_2014": round(float(delta[2]), 2),
        "logit_share_sd": round(float((share - w @ delta).std()), 2),
        "share_biased_down": round(float(declines["share_biased_down"].mean()), 2),
    }


def _totals(panel: Panel) -> dict[str, Any]:
    national = panel.reports["national_totals"].set_index("year")
    nobody = panel.reports["nobodys_crime"]
    known = nobody.groupby("state")[["share_violent", "share_property"]].mean()
    return {
        "violent_share_by_year": _by_year(national["violent_share"], 3),
        "property_share_by_year": _by_year(national["property_share"], 3),
        "other_agencies_share": {str(s): _row(r, 3) for s, r in zip(known.index, known.to_numpy(), strict=True)},
    }


# --- the file ---------------------------------------------------------------------------------------------------

COMMENTS: Mapping[str, str] = {
    "classes": "Counties by urban-rural class (NCHS 2013; order: " + ", ".join(CLASSES) + ").",
    "traits": "Fixed covariates and log offence rates per 100,000, on scales near the normal (logits of shares), by class;\n"
    "# share of their variance between states; shift of counties with a documented limit, in deviations; correlations.",
    "population": "Yearly log change beyond each county's own growth: national part, and its deviation by size class.",
    "places": "Places with their own police, and the share of residents outside every such place.",
    "crime": "Log trends of the nation against 2010; county-year and state-year deviations with their persistence.",
    "agencies": "Cities against county agencies (log), agencies within a county, and the decades before 2005.",
    "reporting": "Shares of agencies that report twelve months, 2005-2019, at 5,000 residents (cities) and 15,000 (county agencies).\n"
    "# The holes are here: Illinois before 2010, Iowa 2018, Alabama 2019, Hawaii 2011-14, Connecticut and Rhode Island 2007.",
    "yearly": "Paths of yearly covariates against 2010 (logits of shares, log dollars) and counties' own deviations.",
    "federal": "Secure Communities, 287(g) agreements, the federal list of May 2025.",
    "declines": "Recorded declines: whether any (logit), how many (log), which share of resolved detainers (logit), 2007-2015.",
    "totals": "Share of national totals that city and county agencies hold; share of crime other agencies record, by state.",
}


def write_parameters(measured: Mapping[str, Any], path: Path = PARAMETERS) -> None:
    """Replace the measured half of the parameter file; what stands above the marker is kept to the letter.

    Args:
        measured: result of `calibrate`.
        path: the parameter file.
    """
    stated = path.read_text(encoding="utf-8").split(MARKER)[0].rstrip()
    lines = [stated, "", MARKER, "# Written by `python -m analysis.panel.twin_calibrate`: aggregates of the real panel, rounded.", ""]
    for name, values in measured.items():
        lines += [f"# {COMMENTS[name]}", *_section(name, values)]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _section(name: str, values: Mapping[str, Any]) -> list[str]:
    plain = {k: v for k, v in values.items() if not isinstance(v, Mapping)}
    lines = [f"[{name}]"] if plain else []
    lines += [f"{k} = {_value(v)}" for k, v in plain.items()]
    lines.append("") if plain else None
    for k, v in values.items():
        if isinstance(v, Mapping):
            lines += _section(f"{name}.{k}", v)
    return lines


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Sequence):
        if value and isinstance(value[0], list):
            return "[\n" + "".join(f"  {_value(v)},\n" for v in value) + "]"
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    write_parameters(calibrate(load_panel(), load_cities()))

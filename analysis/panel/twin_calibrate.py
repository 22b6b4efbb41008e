"""The simulated panel's parameters, measured on the real panel: aggregates alone, never a county's own value.

A maintenance command, run when the real panel changes: ``python -m analysis.panel.twin_calibrate`` replaces the
measured half of ``twin.toml`` and leaves the stated half (effects, confounders, odd counties) as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
from analysis.panel.twin_measure import (
    FULL,
    by_year,
    documented,
    measure_agencies,
    measure_declines,
    measure_federal,
    measure_later,
    measure_places,
    measure_reporting,
    measure_totals,
    measure_yearly,
    rounded,
)
from analysis.panel.twin_moments import persistence

MARKER = "# === MEASURED ==="
FEWEST = 10.0
"""Counts below this carry no usable logarithm: their county-years take no part in moments of log rates."""

MOST = 1.5
"""Changes of log rates beyond this are breaks of recording, not persistence; moments leave them out."""


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
    adopted = exposure(spells(panel.policies), table["county_fips"], table["year"], half=1.0)
    trend = _trends(table)
    levels = _levels(table, trend)
    fixed = _fixed(table)
    return {
        "classes": _classes(fixed, panel.policies),
        "traits": _traits(fixed, levels, panel.policies),
        "population": _population(table),
        "places": measure_places(table, cities),
        "crime": _crime(table, trend),
        "agencies": measure_agencies(table, cities),
        "reporting": measure_reporting(table, cities),
        "yearly": measure_yearly(table),
        "federal": measure_federal(table, panel.policies),
        "declines": measure_declines(table, panel.declines, adopted),
        "totals": measure_totals(panel),
        "later": measure_later(table),
    }


# --- parts ------------------------------------------------------------------------------------------------------


def _fixed(table: pd.DataFrame) -> pd.DataFrame:
    one = table[table["year"].eq(2010)].set_index("county_fips")
    wide = table.pivot(index="county_fips", columns="year", values="population")
    growth = np.log(wide[2019] / wide[2005]) / (2019 - 2005)
    return one.assign(growth=growth)


def _trends(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Log national rates of well-covered counties by year, against 2010."""
    trend = {}
    for m in BASE:
        sums = table[table[f"coverage_{m}"] >= FULL].groupby("year")[[m, f"policed_{m}"]].sum()
        trend[m] = np.log(sums[m] / sums[f"policed_{m}"].where(sums[f"policed_{m}"] > 0))
    path = _revised(table)
    # The legacy series ends with its definition: from 2014 the revised one's growth carries it on.
    for year in range(2013, YEARS[-1] + 1):
        trend["rape_legacy"][year] = trend["rape_legacy"][year - 1] + (
            path[year] - path[year - 1] if year > 2014 else 0.0
        )
    return trend


def _revised(table: pd.DataFrame) -> pd.Series:
    sums = (
        table[table["coverage_rape_revised"] >= FULL]
        .groupby("year")[["rape_revised", "policed_rape_revised"]]
        .sum()
    )
    return np.log(sums["rape_revised"] / sums["policed_rape_revised"])


def _levels(table: pd.DataFrame, trend: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Offences per 100,000 over all well-covered years together, at the nation's level of 2010, by county."""
    out = {}
    for m in BASE:
        good = table[(table[f"coverage_{m}"] >= FULL) & (table["population"] >= 1_000)]
        good = good[good["year"] <= (2012 if m == "rape_legacy" else YEARS[-1])]
        people = good[f"policed_{m}"] * np.exp(good["year"].map(trend[m] - trend[m][2010]))
        sums = pd.DataFrame({"offences": good[m], "people": people}).groupby(good["county_fips"]).sum()
        out[f"rate_{m}"] = sums["offences"] / sums["people"] * PER
        out[f"people_{m}"] = sums["people"]
        out[f"log_{m}"] = np.log((sums["offences"] + 0.5) / sums["people"] * PER)
    return pd.DataFrame(out)


def _classes(fixed: pd.DataFrame, policies: pd.DataFrame) -> dict[str, Any]:
    counts = pd.crosstab(fixed["state"], fixed["urban_class"]).reindex(columns=list(CLASSES), fill_value=0)
    adopters = (
        fixed[fixed.index.isin(documented(policies))]["urban_class"]
        .value_counts()
        .reindex(list(CLASSES), fill_value=0)
    )
    overall = fixed["urban_class"].value_counts().reindex(list(CLASSES))
    odds = adopters / overall
    rucc = pd.crosstab(fixed["urban_class"], fixed["rucc_2013"]).reindex(
        index=list(CLASSES), columns=range(1, 10), fill_value=0
    )
    return {
        "by_state": {
            str(s): [int(v) for v in row] for s, row in zip(counts.index, counts.to_numpy(), strict=True)
        },
        "odds_among_adopters": rounded(odds / odds.mean(), 2),
        "rucc": {c: rounded(rucc.loc[c] / rucc.loc[c].sum(), 3) for c in CLASSES},
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
    z = pd.DataFrame(
        {
            c: (raw[c] - groups.map(raw[c].groupby(groups).mean())) / groups.map(raw[c].groupby(groups).std())
            for c in TRAITS
        }
    )
    z = z.clip(-4, 4)
    states = fixed["state"]
    by_state = z["log_population_2010"].groupby(states).mean()
    z["log_population_2010"] -= states.map(by_state)
    size = z.groupby(states).count()
    between = z.groupby(states).mean()
    share = {}
    for c in TRAITS:
        many = size[c] >= 8
        noise = (1 / size.loc[many, c]).mean()
        share[c] = float(np.clip(between.loc[many, c].var() - noise, 0.02, 0.8))
    # Size of states' counties is stated, not drawn.
    share["log_population_2010"] = 0.0
    who = z.index.isin(documented(policies))
    correlation = z.corr().to_numpy()
    whole = z["log_population_2010"].std()
    return {
        "names": list(TRAITS),
        "mean": {c: rounded(mean.loc[c, list(TRAITS)], 3) for c in CLASSES},
        "sd": {c: rounded(deviation.loc[c, list(TRAITS)], 3) for c in CLASSES},
        "state_share": rounded([share[c] for c in TRAITS], 2),
        "log_population_by_state": {str(k): round(float(v), 2) for k, v in by_state.items()},
        "log_population_percentiles": {
            c: rounded(np.nanpercentile(raw.loc[groups.eq(c) & inside, "log_population_2010"], [1, 99]), 1)
            for c in CLASSES
        },
        "log_population_sd_within_states": round(float(whole), 2),
        "shift_of_adopters": rounded(z[who].mean(), 2),
        "correlation": [rounded(correlation[i, :i], 2) for i in range(1, len(TRAITS))],
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
        "national_growth": by_year(change.sub(change.mean(axis=1), axis=0).mean(), 4),
        "change_sd_by_size": rounded(residual.std(axis=1).groupby(sizes).median(), 4),
    }


def _crime(table: pd.DataFrame, trend: Mapping[str, pd.Series]) -> dict[str, Any]:
    good = {m: table[table[f"coverage_{m}"] >= FULL] for m in BASE}
    out: dict[str, Any] = {}
    out["trend"] = {m: by_year(trend[m] - trend[m][2010], 3) for m in BASE}
    out["rape_revised_over_legacy"] = round(
        float(np.exp(_revised(table)[2014] - trend["rape_legacy"][2014])), 2
    )

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
        log = np.log(
            rows.assign(rate=rows[m] / rows[f"policed_{m}"]).pivot(
                index="county_fips", columns="year", values="rate"
            )
        )
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
                    county_moments.setdefault(s, {})[k] = float(
                        np.nanmean((inner - noise.where(many))[inside])
                    )
            if k == 1:
                changes[m] = (d - mean)[people.reindex(d.index) >= 100_000].stack()
        kept[m], _ = persistence(pooled)
        shock_kept[m], shock[m] = persistence(state_moments)
        lags = np.array([1, 2, 3, 4, 5])
        scale = 2 * (1 - kept[m] ** lags)
        found = {
            s: float(np.sqrt(max(np.dot(scale, [v[k] for k in (1, 2, 3, 4, 5)]) / (scale**2).sum(), 1e-4)))
            for s, v in county_moments.items()
            if len(v) == 5
        }
        largest = max(found)
        # Counts too small to tell: as in the smallest class that tells.
        own[m] = [
            found.get(s, found[min(found)] if s < min(found) else found[largest]) for s in range(len(SIZES))
        ]
    together = pd.DataFrame(changes).corr(min_periods=300).fillna(0.0).to_numpy()
    out["persistence"] = {m: round(kept[m], 2) for m in BASE}
    out["county_year_sd_by_size"] = {m: rounded(own[m], 3) for m in BASE}
    out["state_year_sd"] = {m: round(shock[m], 3) for m in BASE}
    out["state_year_persistence"] = {m: round(shock_kept[m], 2) for m in BASE}
    out["year_correlation"] = [rounded(together[i, :i], 2) for i in range(1, len(BASE))]
    return out


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
    "later": "Covariates of about 2015 on earlier ones, and the survey's five-year figures on yearly ones (scales near the normal).",
}


def write_parameters(measured: Mapping[str, Any], path: Path = PARAMETERS) -> None:
    """Replace the measured half of the parameter file; what stands above the marker is kept to the letter.

    Args:
        measured: result of `calibrate`.
        path: the parameter file.
    """
    stated = path.read_text(encoding="utf-8").split(MARKER)[0].rstrip()
    lines = [
        stated,
        "",
        MARKER,
        "# Written by `python -m analysis.panel.twin_calibrate`: aggregates of the real panel, rounded.",
        "",
    ]
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

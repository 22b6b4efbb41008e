"""Invented frames under the contracts of the report: no number here was estimated from anything."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

CODES = ("01", "04", "05", "08", "13", "16", "17", "18")  # where the squares of the map lie
STATES = ("AA", "BB", "CC", "DD", "EE", "FF", "GG", "HH")
DEFINITIONS = ("policy_any", "policy_full", "policy_verified", "declines_share25", "declines_5", "state_law")


def event_estimate(
    outcome="violent crime excluding rape",
    within="none",
    reference=-1,
    seed=1,
    estimator="group_time_att",
    measure="violent_ex_rape",
):
    """A dynamic estimate as an object with the fields figures read."""
    rng = np.random.default_rng(seed)
    times = [t for t in range(-4, 4) if t != reference]
    estimate = rng.normal(0, 4, len(times))
    error = 4 + np.abs(np.arange(len(times)) - 3)
    table = pd.DataFrame(
        {
            "term": [f"event_time_{t}" for t in times],
            "cohort": pd.array([pd.NA] * len(times), dtype="Int64"),
            "time": pd.array([pd.NA] * len(times), dtype="Int64"),
            "event_time": pd.array(times, dtype="Int64"),
            "estimate": estimate,
            "std_error": error,
            "statistic": estimate / error,
            "p_value": 0.5,
            "conf_low": estimate - 2 * error,
            "conf_high": estimate + 2 * error,
            "band_low": estimate - 2.8 * error,
            "band_high": estimate + 2.8 * error,
            "n_counties": 900,
            "n_treated": [55, 58, 60, 60, 60, 57, 41][: len(times)],
        }
    )
    return SimpleNamespace(
        table=table, vcov=np.diag(error**2.0), estimand="event_time", outcome=outcome,
        unit="offences per 100,000 residents policed by reporting agencies", baseline=301.4, reference=reference,
        estimator=estimator, spec=SimpleNamespace(within=within, name="main", outcome=SimpleNamespace(measure=measure), treatment=SimpleNamespace(onset="first_full_year")),
        inference=SimpleNamespace(kind="cluster", by="state", clusters=38, df=37, level=0.95, draws=999, seed=1),
        attrition=pd.DataFrame(
            {
                "rule": ["panel as given", "years 2010-2017"], "counties": [3138, 3138],
                "county_years": [47070, 25104], "treated": [180, 180], "dropped": [0, 21966],
            }
        ),
        notes=(),
    )  # fmt: skip


def balance(n=13, seed=2):
    """Standardized mean differences of invented covariates."""
    rng = np.random.default_rng(seed)
    names = [
        "log_population", "log_density", "foreign_born", "hispanic", "black", "age_15_24", "age_65_over",
        "bachelor", "owner_occupied", "poverty", "unemployment", "log_income", "democratic_vote",
    ][:n]  # fmt: skip
    before = rng.normal(0.3, 0.45, n)
    rows = []
    for sample, smd, control in (("before", before, 2411), ("after", before * 0.15, 48)):
        for name, value in zip(names, smd, strict=True):
            rows.append(
                {
                    "covariate": name, "sample": sample, "mean_treated": 0.4, "mean_comparison": 0.4 - 0.1 * value,
                    "standardized_mean_difference": value, "variance_ratio": 1.1, "n_treated": 60, "n_comparison": control,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def headline():
    """The three claims with invented estimates beside them."""
    rows = []

    def ours(
        claim,
        measure,
        definition,
        comparison,
        estimate,
        half,
        unit,
        treated=60,
        states=9,
        precision="inconclusive",
    ):
        rows.append(
            {
                **shared(claim, measure, unit), "published": False, "label": _label(definition), "definition": definition,
                "comparison": comparison, "estimate": estimate, "conf_low": estimate - half,
                "conf_high": estimate + half, "n_treated": treated, "n_comparison": 820, "n_states": states,
                "states_identifying": "AA BB CC", "precision": precision, "verdict": precision, "agreement": "",
                "percent_low": -4.0, "percent_high": 6.0, "spec": "main",
                "comparability": "another list, same unit, same outcome, 2015, another match",
            }
        )  # fmt: skip

    def published(claim, label, measure, estimate, low, high, unit, treated=np.nan):
        rows.append(
            {
                **shared(claim, measure, unit), "published": True, "label": label, "definition": "", "comparison": "",
                "estimate": estimate, "conf_low": low, "conf_high": high, "n_treated": treated,
                "n_comparison": np.nan, "n_states": np.nan, "states_identifying": "", "precision": "", "verdict": "",
                "agreement": "", "comparability": "", "percent_low": np.nan, "percent_high": np.nan, "spec": "",
            }
        )  # fmt: skip

    def shared(claim, measure, unit):
        words = measure.replace("_", " ")
        return {"claim": claim, "measure": measure, "measure_label": words, "unit": unit, "level": 0.95}

    per_100k, per_10k, logs = (
        "reported offences per 100,000 residents",
        "reported offences per 10,000 residents",
        "log points",
    )
    for k, measure in enumerate(("violent_ex_rape", "rape_legacy", "property")):
        published(
            "no_difference",
            "Gonzalez O'Brien et al. 2019 (cities)",
            measure,
            np.nan,
            np.nan,
            np.nan,
            per_100k,
            54,
        )
        for d in ("policy_full", "declines_share25"):
            ours("no_difference", measure, d, "between", 3.1 * k - 2, 12 + 30 * k, per_100k)
    published("fewer", "Wong 2017 (counties)", "total", -35.5, np.nan, np.nan, per_10k, 608)
    for d in DEFINITIONS:
        ours("fewer", "total", d, "matched", 8.3, 31.0, per_10k, treated=14 if d == "policy_verified" else 60,
             precision="not informative" if d == "policy_verified" else "inconclusive")  # fmt: skip
    published("more", "Arellano-Bover and Biasi 2018 (borders)", "total", 0.0348, 0.0109, 0.0587, logs, 100)
    for d in DEFINITIONS[:4]:
        for c in ("between", "within"):
            ours("more", "total", d, c, 0.011, 0.03, logs, precision="equivalent to zero")
    return pd.DataFrame(rows)


def _label(definition):
    from analysis.report.words import definition_label

    return definition_label(definition)


def movement(seed=3):
    """How an invented answer moves."""
    rng = np.random.default_rng(seed)
    rows = []
    for measure in ("violent_ex_rape", "property"):
        for d in DEFINITIONS:
            for build in ("policed", "county_population", "county_agencies"):
                for comparison in ("between", "within"):
                    if d == "state_law" and comparison == "within":
                        continue
                    for california in ("in", "out"):
                        b, half = rng.normal(0, 3), rng.uniform(4, 10)
                        rows.append(
                            {
                                "measure": measure, "definition": d, "build": build, "california": california,
                                "comparison": comparison, "percent": b, "percent_low": b - half, "percent_high": b + half,
                                "n_treated": 60 if california == "in" else 38, "n_states": 9, "spec": f"main/{len(rows)}",
                                "precision": "not informative" if d == "state_law" else "inconclusive",
                            }
                        )  # fmt: skip
    return pd.DataFrame(rows)


def panel(areas=120, first=2005, last=2019, seed=4):
    """A county-year panel with the columns figures and tables read; numbers drawn, names invented."""
    rng = np.random.default_rng(seed)
    fips = [f"{CODES[i % len(STATES)]}{i:03d}" for i in range(areas)]
    rows = []
    for i, f in enumerate(fips):
        size = float(np.exp(rng.normal(11, 1)))
        for year in range(first, last + 1):
            covered = min(1.0, rng.uniform(0.75, 1.1)) if i % 5 == 0 else 1.0
            row = {
                "county_fips": f, "year": year, "state": STATES[i % len(STATES)], "population": size,
                "urban_class": "noncore", "county_name": f"Invented {i}",
            }  # fmt: skip
            for measure, rate in (
                ("violent_ex_rape", 330.0),
                ("property", 2900.0),
                ("rape_legacy", 28.0),
                ("total", 3250.0),
            ):
                there = not (measure == "rape_legacy" and year > 2016)
                level = rate * (1 - 0.02 * (year - first)) * (1.15 if i % 6 == 0 else 1.0)
                row[f"coverage_{measure}"] = covered if there else 0.0
                row[f"policed_{measure}"] = covered * size if there else 0.0
                row[measure] = float(rng.poisson(level * covered * size / 1e5)) if there else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def status(table, definitions=DEFINITIONS):
    """A status per area and definition."""
    areas = table.drop_duplicates("county_fips")[["county_fips", "state"]].reset_index(drop=True)
    parts = []
    for k, d in enumerate(definitions):
        part = areas.copy()
        code = (np.arange(len(areas)) + k) % 6
        part.insert(0, "definition", d)
        part["status"] = np.select([code == 0, code == 1], ["treated", "excluded"], "comparison")
        part["cohort"] = pd.array(np.where(code == 0, 2015, 0), dtype="Int64")
        part.loc[code != 0, "cohort"] = pd.NA
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def totals(first=2005, last=2019):
    """Invented national totals."""
    rows = []
    for year in range(first, last + 1):
        for measure, size in (("violent", 1_200_000.0), ("property", 9_000_000.0)):
            share = 0.88 + 0.002 * (year - first)
            rows.append(
                {
                    "year": year, "measure": measure, "panel": share * size, "published": size, "share": share,
                    "benchmark": "table_5" if year > 2007 else "estimates",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def reporting():
    """Invented estimates of coverage as an outcome."""
    row = {
        "comparison": "between", "california": "in", "weights": "none", "estimate": -0.02, "conf_low": -0.05, "conf_high": 0.01,
        "pretrend_p": 0.4, "n_treated": 40, "n_comparison": 700, "n_states": 9, "precision": "inconclusive",
    }  # fmt: skip
    return pd.DataFrame([row, row | {"comparison": "within", "weights": "population_baseline"}])


def trust(seed=11):
    """Invented coverage on simulated panels beside invented estimates."""
    rng = np.random.default_rng(seed)
    rows = []
    for design, label in (
        ("between", "group-time, between states"),
        ("within_states", "group-time, within states"),
    ):
        for measure in ("violent_ex_rape", "property"):
            point = rng.normal(0, 4)
            rows.append(
                {
                    "design": design, "label": label, "measure": measure, "coverage": 0.95 if design == "between" else 0.6,
                    "coverage_mc_error": 0.02, "ratio": 0.9, "draws": 200, "near_nominal": design == "between",
                    "percent": point, "percent_low": point - 5, "percent_high": point + 5, "n_treated": 40, "n_states": 9,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def first_stage():
    """What adoption did to invented declined detainers."""
    rows = [
        {
            "definition": d, "measure": "declined_detainers", "comparison": c, "california": california,
            "window": "2008-2014", "estimate": 0.7, "conf_low": 0.2, "conf_high": 1.2,
            "unit": "declined detainers per 10,000 residents", "n_treated": 60, "n_comparison": 900, "n_states": 9,
            "informative": c == "between",
        }
        for d in ("policy_full", "policy_any") for c in ("between", "within") for california in ("in", "out")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def attrition():
    """What invented rules leave of two samples."""
    lines = [
        ("panel as given", 3138, 47070, 180),
        ("years 2010-2017", 3138, 25104, 180),
        ("estimated on", 830, 6600, 50),
    ]
    return pd.DataFrame(
        [
            {"spec": spec, "rule": rule, "counties": c, "county_years": cy, "treated": t, "dropped": -1}
            for spec in ("main/measure=property", "main/measure=violent", "first_stage")
            for rule, c, cy, t in lines
        ]
    )


def shapes(table):
    """Squares for the areas of an invented panel, laid out over the conterminous United States."""
    import geopandas as gpd
    from shapely.geometry import box

    codes = sorted(table["county_fips"].unique())
    squares = [
        box(-120 + 2 * (i % 25), 30 + 2 * (i // 25), -118 + 2 * (i % 25), 32 + 2 * (i // 25))
        for i in range(len(codes))
    ]
    return gpd.GeoDataFrame({"GEOID": codes}, geometry=squares, crs="EPSG:4269")


def context(root, *, simulated=False, **changes):
    """An output context of invented ingredients in a folder of its own."""
    from analysis.base.codebook import load_codebook
    from analysis.base.paths import Paths
    from analysis.base.records import Panel
    from analysis.report.outputs import Context

    table = panel()
    empty = pd.DataFrame()
    given = {
        "panel": Panel(table, table, empty, empty, "invented", simulated),
        "estimates": {
            "main": [
                event_estimate("reported violent crime excluding rape"),
                event_estimate("reported violent crime excluding rape", within="state", seed=5),
                event_estimate("reported property crime", measure="property", seed=6),
            ]
        },
        "movement": movement(),
        "headline": headline(),
        "first_stage": first_stage(),
        "balance": balance(),
        "attrition": attrition(),
        "status": status(table),
        "totals": totals(),
        "trust": trust(),
        "reporting": reporting(),
        "geometry": shapes(table),
        "digests": {"estimates": "invented"},
    }
    return Context(
        paths=Paths(root, simulated=simulated), codebook=load_codebook(), data="invented", simulated=simulated,
        specs={"main": "0123456789abcdef"}, **{**given, **changes},
    )  # fmt: skip

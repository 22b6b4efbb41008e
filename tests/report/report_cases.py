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
        ("matched", "matched 2015, clustered by state"),
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


CLASSES = (
    "large_central_metro",
    "large_fringe_metro",
    "medium_metro",
    "small_metro",
    "micropolitan",
    "noncore",
)
METHODS = ("", "propensity", "optimal-pairs", "full", "coarsened", "entropy", "regression")
OUTCOMES = ("violent_ex_rape", "property", "total")


def matched_row(family, measure="property", percent=10.0, half=20.0, **changes):
    """One invented matched comparison under the contract ``matches``."""
    from analysis.evidence.matches import COLUMNS

    row = dict.fromkeys(COLUMNS, "") | {
        "family": family, "measure": measure, "definition": "policy_full", "build": "policed", "window": "2015",
        "status_year": pd.NA, "vintage": "2006_2010", "term": "att", "unit": "offences per 100,000 residents",
        "estimate": 20 * percent, "conf_low": 20 * (percent - half), "conf_high": 20 * (percent + half),
        "percent": percent, "percent_low": percent - half, "percent_high": percent + half, "baseline": 2000.0,
        "n_treated": 60, "n_comparison": 50, "n_states": 9, "vcov": "cluster", "by": "state", "independent": False,
        "verdict": "inconclusive" if abs(percent) < half else "different from zero", "pretrend_p": np.nan,
        "inference": "95 % intervals, clustered by state", "spec": f"{family}/measure={measure}",
    }  # fmt: skip
    missing = changes.get("verdict") == "not estimated"
    numbers = ("estimate", "conf_low", "conf_high", "percent", "percent_low", "percent_high", "n_treated",
               "n_comparison", "n_states")  # fmt: skip
    return row | (dict.fromkeys(numbers, np.nan) | {"term": ""} if missing else {}) | changes


def method_rows():
    """Invented estimates of some methods, one that takes counties as independent, one that failed."""
    from analysis.evidence.matches import method_words

    rows = []
    for k, variant in enumerate((*METHODS, "independent-counties", "doubly-robust-bootstrap")):
        group, label = method_words(variant)
        alone = {"vcov": "abadie_imbens", "by": "none", "independent": True, "verdict": "no verdict"}
        failed = {"verdict": "not estimated", "failure": "75 of 499 resamples gave no estimate"}
        for measure in OUTCOMES:
            changes = {
                "variant": variant,
                "group": group,
                "label": label,
                "spec": f"match_methods/{variant}/measure={measure}",
            }
            changes |= alone if variant == "independent-counties" else {}
            changes |= failed if variant == "doubly-robust-bootstrap" else {}
            rows.append(matched_row("match_methods", measure, 3.0 * k, 15.0, **changes))
    return rows


def matches():
    """Every kind of matched comparison, invented."""
    listed = {"definition": "dhs_2025", "verdict": "no verdict"}
    rows = method_rows()
    for build in ("policed", "county_population", "county_agencies"):
        for measure in ("violent_ex_rape", "violent", "property", "rape_revised", "total"):
            one = {"build": build, "spec": f"match_definitions/{build}/{measure}"}
            rows.append(matched_row("match_definitions", measure, -6.0, 9.0, **one))
            rows.append(matched_row("match_definitions", measure, 5.0, 9.0, **one, **listed))
            few = {"definition": "doj_2025", "verdict": "not informative", "n_treated": 8}
            rows.append(matched_row("match_definitions", measure, 30.0, 9.0, **one, **few))
    for measure in ("violent_ex_rape", "property", "total", "rape_legacy"):
        rows.append(
            matched_row(
                "match_years", measure, window="2012", verdict="not estimated", failure="no treated county"
            )
        )
    for measure in ("violent_ex_rape", "property", "total", "rape_revised"):
        rows.append(matched_row("match_years", measure, 4.0, window="2016"))
    for k, urban in enumerate(CLASSES):
        for measure in OUTCOMES:
            few = {"urban_classes": urban, "verdict": "not informative", "n_treated": 12,
                   "spec": f"match_classes/{urban}/{measure}"}  # fmt: skip
            rows.append(matched_row("match_classes", measure, -5.0 if k % 2 else 5.0, **few))
    for name in ("A", "D"):
        for vintage in ("2006_2010", "2009_2015"):
            for measure in OUTCOMES:
                own = {
                    "covariate_set": name,
                    "vintage": vintage,
                    "spec": f"match_covariates/{name}/{vintage}/{measure}",
                }
                rows.append(
                    matched_row("match_covariates", measure, 9.0 if vintage == "2009_2015" else 7.5, **own)
                )
    for definition in ("policy_full", "dhs_2025"):
        verdict = {"verdict": "no verdict"} if definition == "dhs_2025" else {}
        for measure, unit in (
            ("median_household_income", "dollars of the year"),
            ("poverty_rate", "percent of residents"),
        ):
            for year in ("2012", "2015"):
                rows.append(
                    matched_row(
                        "match_economy",
                        measure,
                        2.0,
                        window=year,
                        unit=unit,
                        build="none",
                        definition=definition,
                        **verdict,
                    )
                )
            rows.append(
                matched_row(
                    "match_placebo",
                    measure,
                    1.0,
                    window="2008",
                    status_year=2015,
                    unit=unit,
                    build="none",
                    definition=definition,
                    **verdict,
                )
            )
        for measure in OUTCOMES:
            rows.append(
                matched_row(
                    "match_placebo",
                    measure,
                    -3.0,
                    window="2008",
                    status_year=2015,
                    definition=definition,
                    **verdict,
                )
            )
    for match_on, p in (("covariates", 0.4), ("outcomes of the last 3 years", 0.01)):
        for measure in ("violent_ex_rape", "property"):
            rows.append(
                matched_row("matched_did", measure, 8.0, 5.0, term="post", match_on=match_on, pretrend_p=p)
            )
    for measure in ("violent_ex_rape", "property"):
        rows.append(matched_row("near_nominal", measure, 7.0, 5.0, term="post", pretrend_p=0.2))
        rows.append(matched_row("near_nominal", measure, 1.0, 5.0, term="post", definition="policy_any"))
    return pd.DataFrame(rows)


def match_balance():
    """Invented balance of the invented methods, sets and classes."""
    from analysis.evidence.matches import method_words

    rows = []
    about = {"mean_treated": 0.4, "mean_comparison": 0.3, "variance_ratio": 1.1, "ks": 0.1, "deviation": 900.0,
             "effective_treated": 60.0, "estimand": "att"}  # fmt: skip
    for k, variant in enumerate(METHODS):
        for measure in OUTCOMES:
            for sample in ("before", "after") if variant != "regression" else ("before",):
                for covariate, size in (("hispanic", 0.7), ("black", -0.4)):
                    rows.append(
                        about
                        | {"family": "match_methods", "variant": variant, "group": method_words(variant)[0],
                           "method": method_words(variant)[1], "measure": measure, "covariate": covariate,
                           "sample": sample, "n_treated": 60, "n_comparison": 900 if sample == "before" else 50,
                           "effective_comparison": 900.0 if sample == "before" else 41.4,
                           "standardized_mean_difference": size if sample == "before" else size * 0.04 * k,
                           "spec": f"match_methods/{variant}/measure={measure}"}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def hidden_bias():
    """Invented bounds of optimal pairs and full matching."""
    from analysis.evidence.matches import GAMMAS

    note = "valid if counties were assigned independently; it carries no verdict"
    rows = []
    for variant in ("optimal-pairs", "full"):
        for measure in OUTCOMES:
            one = {"variant": variant, "measure": measure, "n_sets": 60, "note": note, "method": "signed_rank",
                   "spec": f"match_methods/{variant}/measure={measure}"}  # fmt: skip
            for gamma in GAMMAS:
                for statistic, value in (
                    ("p_high", 0.01 * gamma),
                    ("conf_low", 30 - 40 * gamma),
                    ("conf_high", 90 * gamma),
                ):
                    rows.append(one | {"gamma": gamma, "statistic": statistic, "value": value, "unit": "x"})
            rows.append(
                one | {"gamma": np.nan, "statistic": "critical_gamma", "value": 1.27, "unit": "ratio of odds"}
            )
    return pd.DataFrame(rows)


def match_size():
    """Invented coverage of two errors on simulated panels beside invented estimates."""
    measured = {"draws": 200, "bias_percent": 4.2, "bias_percent_mc_error": 0.5, "ratio": 0.9, "coverage_mc_error": 0.02,
                "coverage_of_mean_mc_error": 0.02, "excludes_zero": 0.1}  # fmt: skip
    found = {"percent": 10.0, "percent_low": -5.0, "percent_high": 25.0}
    cases = (("nearest", "by state", False, 0.93), ("nearest_abadie_imbens", "Abadie-Imbens", True, 0.7))
    return pd.DataFrame(
        [
            measured | found
            | {"design": design, "method": "nearest neighbour", "error": error, "measure": measure, "independent": alone,
               "coverage": held - 0.1, "coverage_of_mean": held, "spec": f"match_methods/{design}",
               "verdict": "no verdict" if alone else "inconclusive"}
            for design, error, alone, held in cases
            for measure in ("violent_ex_rape", "property")
        ]
    )  # fmt: skip


def matched_sample(table, seed=9):
    """Invented scores and pairs of the areas of an invented panel."""
    from analysis.estimation.matching.overlap import trim
    from analysis.evidence.matches import MatchedSample

    rng = np.random.default_rng(seed)
    areas = table.drop_duplicates("county_fips").sort_values("county_fips")[
        ["county_fips", "state", "urban_class"]
    ]
    areas = areas.reset_index(drop=True)
    treated = np.arange(len(areas)) % 6 == 0
    linear = rng.normal(-1.5, 1.0, len(areas)) + treated
    scores = areas.assign(treated=treated, linear=linear, probability=1 / (1 + np.exp(-linear)))
    one, other = areas.loc[treated, "county_fips"].to_numpy(), areas.loc[~treated, "county_fips"].to_numpy()
    pairs = pd.DataFrame({"treated": one, "comparison": other[: len(one)], "share": 1.0, "weight": 1.0,
                          "distance": rng.uniform(0.1, 2.0, len(one)), "of": "treated"})  # fmt: skip
    sets = SimpleNamespace(pairs=pairs, counties=pd.Index(areas["county_fips"]), treated=treated)
    n = {"n_treated": int(treated.sum()), "n_comparison": int((~treated).sum())}
    statistics = {"overlap": 0.4, "treated_outside": 2 / n["n_treated"], "comparison_outside": 0.1, "treated_alone": 1.0,
                  "comparison_alone": 7.0, "treated_kept_optimal_for_estimand": n["n_treated"] - 3.0}  # fmt: skip
    overlap = pd.DataFrame(
        [{"urban_class": "all", "statistic": s, "value": v, **n} for s, v in statistics.items()]
    )
    trimming = trim(scores["probability"].to_numpy(), treated, "att", "optimal_for_estimand")
    return MatchedSample(scores, trimming, overlap, sets, areas)


def context(root, *, simulated=False, **changes):
    """An output context of invented ingredients in a folder of its own."""
    import bearing_cases
    import design_cases

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
        "matches": matches(),
        "match_balance": match_balance(),
        "hidden_bias": hidden_bias(),
        "match_size": match_size(),
        "matched_sample": matched_sample(table),
        "designs": design_cases.few(),
        "families": design_cases.no_families(),
        "capability": design_cases.capability(),
        "left_out": design_cases.left_out(),
        "trend_checks": design_cases.trend_checks(),
        "regression_weights": design_cases.regression_weights(),
        "more": bearing_cases.frames(),
        "digests": {"estimates": "invented", "matched_sample": "invented", **bearing_cases.digests()},
    }
    return Context(
        paths=Paths(root, simulated=simulated), codebook=load_codebook(), data="invented", simulated=simulated,
        specs={"main": "0123456789abcdef"}, **{**given, **changes},
    )  # fmt: skip

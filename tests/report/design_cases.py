"""Invented results of the specs of panel designs: names and settings are the specs' own, every number is drawn."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from analysis.design.spec import load_spec
from analysis.evidence.matches import variant_of
from analysis.evidence.results import Found, results_frame
from analysis.report import design_tables as of

DYNAMIC = ("group_time_att", "interaction_weighted", "imputation", "two_stage", "stacked", "extended_two_way",
           "local_projections", "synthetic_control", "synthetic_did", "matched_did")  # fmt: skip
UNITS = ("CA", "17031", "36998")
METHODS = (
    ("synthetic_control", "method simplex"),
    ("synthetic_control", "method augmented"),
    ("synthetic_did", ""),
)
REFUSED = "0 counties touch an adopter; expected some; change it in estimator.neighbours"


@cache
def _results() -> pd.DataFrame:
    specs = [one for name in of.SPECS if name != of.SINGLE for one in load_spec(name).expand()]
    f = results_frame([Found(spec, None) for spec in specs])
    alone = f[f["spec"] == f["spec"].iloc[0]]
    parts = []
    for unit in UNITS:
        for measure in ("violent_ex_rape", "property"):
            for estimator, method in METHODS:
                name = f"{of.SINGLE}/{unit}/measure={measure}/{estimator} {method}"
                about = {
                    "spec": name,
                    "only": unit,
                    "measure": measure,
                    "estimator": estimator,
                    "method": method,
                }
                parts.append(alone.assign(**about, comparison="synthetic"))
    f = pd.concat([f, *parts], ignore_index=True)
    rng = np.random.default_rng(7)
    one = _numbers(f, rng, estimand="att", term="post")
    refused = one["spec"].str.contains("border-same-state") & one["measure"].eq("property")
    one.loc[
        refused, ["estimate", "percent_of_baseline", "percent_low", "percent_high", "std_error", "p_value"]
    ] = np.nan
    one.loc[refused, "failure"] = REFUSED
    one.loc[refused, ["estimand", "precision"]] = ""
    moving = f["estimator"].isin(DYNAMIC) | f["method"].str.contains("method event_time")
    families = f["spec"].str.split("/").str[0].isin([of.DESIGNS, of.SINGLE])
    times = [t for t in range(-4, 4) if t != -1]
    parts = [one]
    for time in times:
        rows = f[moving & families & ~(f["estimator"].eq("imputation") & (time < -3))]
        made = _numbers(rows, rng, estimand="event_time", term=f"event_time={time}").assign(event_time=time)
        lead = made["estimator"].eq("imputation") & (time < 0)
        parts.append(made.assign(term=np.where(lead, "lead, " + made["term"], made["term"])))
    out = pd.concat(parts, ignore_index=True)
    return out.assign(event_time=out["event_time"].astype("Int64"))


def _numbers(f, rng, *, estimand, term):
    """Fill rows of results with drawn numbers that fit together."""
    n = len(f)
    base = np.where(f["measure"].isin(["property", "larceny", "burglary"]), 2600.0, 320.0)
    base = np.where(f["measure"].eq("declined_detainers"), 0.01, base)
    size = np.where(f["measure"].eq("declined_detainers"), 60.0, 0.04)
    value = rng.normal(0, 1, n) * size * base
    error = base * size * rng.uniform(0.4, 1.6, n)
    low, high = value - 2 * error, value + 2 * error
    treated = rng.integers(8, 70, n)
    states = np.where(f["within"].eq("state"), 5, rng.integers(6, 12, n))
    judged = f["by"].str.startswith("state").to_numpy(dtype=bool)
    enough = (treated >= 20) & (states >= 6)
    verdict = np.where((low > 0) | (high < 0), "different from zero", "inconclusive")
    unit = np.where(
        f["measure"].eq("declined_detainers"),
        "declined detainers per 10,000 residents",
        "offences per 100,000 residents policed by reporting agencies",
    )
    return f.assign(
        estimand=estimand, term=term, estimate=value, std_error=error, conf_low=low, conf_high=high,
        band_low=value - 2.9 * error, band_high=value + 2.9 * error, p_value=rng.uniform(0, 1, n), df=37.0, clusters=38,
        effective_clusters=rng.uniform(4, 20, n), n_counties=900, n_treated=treated, n_comparison=900 - treated,
        n_states=states, states_identifying="CA IA NY", baseline=base, unit=unit, outcome=f["measure"],
        percent_of_baseline=100 * value / base, percent_low=100 * low / base, percent_high=100 * high / base,
        informative=enough, carries_verdict=judged,
        precision=np.where(enough, np.where(judged, verdict, ""), "not informative"),
        inference="95 % intervals, clustered by state (38 clusters), t with 37 df", simulated=False,
    )  # fmt: skip


def results() -> pd.DataFrame:
    """Every specification of the panel designs with an invented estimate, and event times where it has them."""
    return _results().copy()


def few() -> pd.DataFrame:
    """Enough of the results for every output to be made, averaged by residents."""
    f = results()
    variant = [variant_of(name) for name in f["spec"]]
    family = f["spec"].str.split("/").str[0]
    kept = {*of.STEPS, "imputation", "poisson", "border-segment"}
    keep = f["weights"].ne("none") | f["scale"].eq("count")
    keep &= family.ne(of.DESIGNS) | pd.Series(variant, index=f.index).isin(kept)
    return f[keep & (family.ne(of.OFFENCES) | f["definition"].isin(["policy_full", "state_law"]))]


def no_families() -> pd.DataFrame:
    """No family was drawn together."""
    return pd.DataFrame({"spec": pd.Series([], dtype=str), "p_romano_wolf": pd.Series([], dtype=float)})


def capability() -> pd.DataFrame:
    """Which definition carries which design, invented."""
    rows = []
    for definition, label in (("policy_full", "Documented full decline"), ("state_law", "State law")):
        for design, verdict, reason in (
            ("between states", "identified", "60 of 62 treated counties in 9 states, 3 cohorts"),
            ("within states", "descriptive", "rule 7: not informative, 5 states, fewer than 6"),
            ("along borders", "refused", "rule 6: absorbed by state-by-year effects"),
        ):
            gone = verdict == "refused"
            rows.append(
                (definition, label, design, "2010-2017", verdict, reason, None if gone else 62, None if gone else 60,
                 None if gone else 9, "CA IA", None if gone else 840, None if gone else 3)
            )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(of.CAPABILITY.columns))
    numbers = [
        "treated_counties",
        "treated_identifying",
        "states_identifying",
        "comparison_counties",
        "cohorts",
    ]
    return table.astype(dict.fromkeys(numbers, "Int64"))


def left_out() -> pd.DataFrame:
    """Estimates without each state and cohort, invented; one could not be made."""
    rows = []
    for measure in ("violent_ex_rape", "property"):
        for by, names in (("state", ("CA", "IA", "OR")), ("cohort", ("2014", "2015"))):
            for at, name in enumerate(names):
                gone = measure == "property" and name == "IA"
                rows.append(
                    {
                        "spec": f"designs/measure={measure}", "measure": measure, "within": "none",
                        "weights": "population_baseline", "by": by, "left_out": name, "treated_left_out": 5 + at,
                        "n_treated": 40, "estimate": np.nan if gone else 10.0 + 4 * at,
                        "change": np.nan if gone else 4.0 * at - 2, "whole_estimate": 12.0, "whole_std_error": 3.0,
                        "whole_jackknife": 6.0 if by == "state" else np.nan, "baseline": 400.0,
                        "failure": "no comparison county" if gone else "",
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def trend_checks() -> pd.DataFrame:
    """What event studies bear, invented; the second has no bounds."""
    full = {
        "spec": "designs/measure=property", "measure": "property", "within": "none", "weights": "none",
        "estimator": "group_time_att", "estimate": 20.0, "conf_low": 5.0, "conf_high": 35.0, "baseline": 2000.0,
        "leads": 3, "pretrend_p": 0.04, "slope_50": 10.0, "slope_80": 16.0, "bias_50": 20.0, "bias_80": 32.0,
        "low_0.5": 0.0, "high_0.5": 40.0, "low_1": -10.0, "high_1": 50.0, "low_2": -30.0, "high_2": 70.0,
        "linear_low": -15.0, "linear_high": 25.0, "note": "",
    }  # fmt: skip
    bare = dict.fromkeys(full, np.nan) | {
        "spec": "designs/group-time-state/measure=violent_ex_rape", "measure": "violent_ex_rape", "within": "state",
        "weights": "none", "estimator": "group_time_att", "note": "3 leads with a variance of rank 2",
    }  # fmt: skip
    return pd.DataFrame([full, bare], columns=list(of.TREND_CHECKS.columns))


def regression_weights() -> pd.DataFrame:
    """How county-years enter two coefficients, invented; the second cannot be decomposed."""
    rows = [
        ("designs/two-way/measure=property", "property", "county_year", "none", 50.0, 0.02, -0.001, 0.97, 0.03, 51.0,
         18.0, ""),
        ("designs/two-way-state/measure=property", "property", "state_by_year", "none", 20.0, 0.1, -0.05, np.nan,
         np.nan, np.nan, np.nan, "rule 14: state-by-year effects"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(of.REGRESSION_WEIGHTS.columns))


def written(figure):
    """Texts that reach the page: ticks beyond the limits of an axis do not."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high or not axes.axison:
                    hidden |= {tick.label1, tick.label2}
    return [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in hidden]


def assert_legible(figure):
    """No text leaves the page or covers another."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    boxes = []
    for text in written(figure):
        box = text.get_window_extent()
        if box.width <= 1 or box.height <= 1:
            continue
        assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, text.get_text()
        boxes.append((box, text.get_text()))
    for i, (one, said) in enumerate(boxes):
        for other, again in boxes[i + 1 :]:
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            down = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert across <= 1 or down <= 1.5, (said, again)

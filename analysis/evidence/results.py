"""Every estimate of the study as one table, a row an estimate: ``data/results/estimates.csv``.

A specification that cannot be estimated stays in the table as a row without numbers and with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.base.errors import TableError
from analysis.base.paths import replacing
from analysis.design.keys import BY_STATE, INDEPENDENT, show
from analysis.design.spec import Spec
from analysis.estimation.estimate import Estimate, states_of
from analysis.evidence.claims import Bound, load_claims
from analysis.evidence.units import LOG_POINTS, RATES, UNIT_OF_SCALE, convert, level_of, percent_of
from analysis.evidence.verdict import NOT_INFORMATIVE, excludes_zero, informative, precision

# Column -> meaning. The order is that of the file.
COLUMNS: dict[str, str] = {
    "spec": "name of the specification",
    "spec_digest": "digest of its resolved values",
    "status": "declared (committed before it was run) or added",
    "failure": "why it could not be estimated; empty otherwise",
    "design": "panel or cross_section",
    "estimator": "estimator.name",
    "method": "what the estimator was told beside comparison and weights",
    "estimand": "att, difference or event_time",
    "measure": "outcome measure of the codebook",
    "outcome": "outcome in words",
    "build": "rate build: policed, county_population, county_agencies, outside_cities, county_file, none",
    "scale": "scale of the outcome",
    "unit": "unit of estimate, interval and baseline, in words",
    "definition": "treatment definition",
    "onset": "first_full_year or adoption_year",
    "upper_bound_dates": "as_dated or one_year_earlier",
    "comparison": "between (states), within (states), classes (urban-rural), border, adopters alone, synthetic, or matched",
    "comparison_group": "not_yet_treated or never_treated",
    "within": "state or urban_class where counties are compared within theirs, else none",
    "effects": "effects of a two-way regression, else empty",
    "window": "outcome years",
    "only": "treated states or counties the sample is limited to; empty where all stay",
    "exposed": "adopters, or neighbours where those that touch an adopter stand for it",
    "without_neighbours": "comparison counties that touch an adopter are left out",
    "placebo_shift": "years by which adoption is moved back, of a placebo; else empty",
    "area": "county, or state where counties are added up",
    "status_year": "year whose treatment status counts, of a placebo: later than the outcome's; else empty",
    "california": "in, out or only",
    "keep_states": "states the sample is limited to",
    "drop_states": "states left out",
    "urban_classes": "urban-rural classes the sample is limited to",
    "hispanic": "limit of the sample by Hispanic residents, in words; empty where there is none",
    "min_population": "residents in the first year, at least",
    "min_coverage": "share of residents policed by a reporting agency, at least",
    "balance": "balance rule of a panel",
    "constant_agencies": "agencies present in every year of 2010-2017 alone",
    "covariates": "names, with vintage",
    "controls": "time-varying policies held constant",
    "weights": "population_baseline or none",
    "term": "row of the estimate",
    "cohort": "first treated year, for estimates by cohort",
    "time": "calendar year, for estimates by year",
    "event_time": "years since adoption, for estimates by event time",
    "estimate": "in unit",
    "std_error": "in unit",
    "p_value": "two-sided, of no effect",
    "conf_low": "lower end of the interval; empty where it has none",
    "conf_high": "upper end of the interval",
    "band_low": "lower end of the simultaneous band over event times",
    "band_high": "upper end of the simultaneous band",
    "level": "confidence level",
    "vcov": "kind of error",
    "by": "what a cluster is",
    "clusters": "number of clusters",
    "df": "degrees of freedom of t",
    "effective_clusters": "how many clusters of equal weight would carry as much; empty where it is not known",
    "inference": "how the interval was made, in words",
    "n_counties": "areas the row rests on",
    "n_treated": "treated areas the row rests on",
    "n_comparison": "comparison areas the row rests on",
    "n_states": "states that identify the row",
    "states_identifying": "their postal codes",
    "treated_states": "states with treated areas in the sample, whether or not they identify",
    "baseline": "mean outcome of treated areas before adoption (cross-section: of comparison areas)",
    "percent_of_baseline": "estimate in per cent of the baseline; of log points exactly",
    "percent_low": "lower end of the interval, likewise",
    "percent_high": "upper end of the interval, likewise",
    "declined_per_10k": "declined detainers per 10,000 residents of the treated areas in 2014",
    "offences_per_declined": "estimate per 10,000 over declined_per_10k",
    "offences_per_declined_low": "lower end, likewise",
    "offences_per_declined_high": "upper end, likewise",
    "first_stage": "what adoption did to declined detainers per 10,000 under the same definition and comparison",
    "offences_per_caused": "estimate per 10,000 over first_stage, where the first stage is informative and differs from zero",
    "bound": "bound of equivalence in unit: 5 % of the baseline",
    "informative": "False below 20 treated areas or six states: no verdict",
    "carries_verdict": "whether the error may carry a verdict: state-level inference alone does",
    "precision": "equivalent to zero, different from zero, inconclusive, not informative, or empty: no verdict",
    "excludes_zero": "whether the interval excludes zero",
    "pretrend_p": "p-value of the leads being jointly zero (rule 13); empty where there are no leads or too few clusters",
    "simulated": "True where the panel is the simulated one",
    "notes": "everything that must be said beside the numbers",
}
WHOLE = (
    "status_year",
    "placebo_shift",
    "cohort",
    "time",
    "event_time",
    "n_counties",
    "n_treated",
    "n_comparison",
    "n_states",
    "clusters",
)
FLAGS = (
    "constant_agencies",
    "without_neighbours",
    "informative",
    "carries_verdict",
    "excludes_zero",
    "simulated",
)
TEXTS = [
    "spec",
    "spec_digest",
    "status",
    "failure",
    "design",
    "estimator",
    "method",
    "estimand",
    "measure",
    "outcome",
    "build",
    "scale",
    "unit",
    "definition",
    "onset",
    "upper_bound_dates",
    "comparison",
    "comparison_group",
    "within",
    "effects",
    "window",
    "only",
    "exposed",
    "area",
    "california",
    "keep_states",
    "drop_states",
    "urban_classes",
    "hispanic",
    "balance",
    "covariates",
    "controls",
    "weights",
    "term",
    "vcov",
    "by",
    "inference",
    "states_identifying",
    "treated_states",
    "precision",
    "notes",
]
# Eight significant digits: more than any reader uses, and far enough from the last bits, in which the order of sums in
# a threaded linear-algebra library shows, that a rerun writes the same bytes.
FLOAT_FORMAT = "%.8g"
COMPARISONS = ("matched", "between", "classes", "within", "border", "adopters", "synthetic")
SPECIAL_COMPARISONS = {
    "border_pairs": "border",
    "before_after": "adopters",
    "synthetic_control": "synthetic",
    "synthetic_did": "synthetic",
}
ONE_EFFECT = ("att", "difference")
DECLINES = "declined_detainers"


@dataclass(frozen=True, slots=True)
class Found:
    """One estimate of one specification, or why there is none.

    Args:
        spec: one specification, without a grid.
        estimate: what was found; None where it failed.
        treated_states: postal codes of all states with treated areas in the sample.
        declined_per_10k: declined detainers per 10,000 residents of the treated areas in 2014.
        failure: the reason, "" where there is an estimate.
        pretrend_p: of the joint test of the leads, where the estimator has leads.
    """

    spec: Spec
    estimate: Estimate | None
    treated_states: tuple[str, ...] = ()
    declined_per_10k: float = float("nan")
    failure: str = ""
    pretrend_p: float = float("nan")


def comparison_of(spec: Spec) -> str:
    """Return what treated counties are compared with, one of COMPARISONS."""
    if spec.design.kind == "cross_section":
        return "matched"
    if spec.estimator.name in SPECIAL_COMPARISONS:
        return SPECIAL_COMPARISONS[spec.estimator.name]
    return {"state": "within", "urban_class": "classes"}.get(spec.within, "between")


def california_of(spec: Spec) -> str:
    """Return whether California is ``in`` the sample, ``out`` of it, or ``only``."""
    keep, drop = spec.sample.keep_states, spec.sample.drop_states
    if "CA" in drop or (keep and "CA" not in keep):
        return "out"
    return "only" if keep == ("CA",) else "in"


def window_of(spec: Spec) -> str:
    """Return the outcome years as text."""
    out = window_of_years(spec.years[0], spec.years[-1])
    return f"{out} without {show(spec.sample.drop_years)}" if spec.sample.drop_years else out


def window_of_years(first: int, last: int) -> str:
    """Return a span of years as text.

    Example:
        >>> window_of_years(2010, 2017), window_of_years(2015, 2015)
        ('2010-2017', '2015')
    """
    return str(first) if first == last else f"{first}-{last}"


def unit_of_estimate(estimate: Estimate) -> str:
    """Return the unit of an estimate as `analysis.evidence.units` names it; other units stand for themselves.

    A Poisson model of counts gives log points whatever the scale of its outcome.
    """
    scale = estimate.spec.outcome.scale
    if scale == "count" and estimate.unit.startswith("log points"):
        return LOG_POINTS
    return UNIT_OF_SCALE.get(scale, scale)


def inference_words(estimate: Estimate) -> str:
    """Return in words how the intervals of an estimate were made."""
    made = estimate.inference
    level = f"{100 * made.level:g} % intervals"
    if made.kind in INDEPENDENT:
        how = {"abadie_imbens_homoskedastic": ", one variance", "estimated_score": ", estimated score"}
        return f"{level}, Abadie and Imbens{how.get(made.kind, '')}, valid if counties were assigned independently"
    if made.kind == "bootstrap":
        return f"{level}, bootstrap of {made.clusters} whole states, {made.draws} draws"
    if made.kind == "randomisation" and estimate.spec.inference.assignment is not None:
        dealt = {
            "counties_within_states": "dates dealt among a state's counties",
            "whole_states": "whole states dealt",
        }
        return f"{level}, randomisation, {dealt[estimate.spec.inference.assignment]}, studentised, {made.draws} draws"
    if made.kind == "randomisation":
        return f"{level}, randomisation, studentised by state, {made.draws} draws"
    if made.by in ("pair", "pair_and_state"):
        words = {"pair": "matched pair", "pair_and_state": "matched pair and state"}[made.by]
        return f"{level}, clustered by {words}, t with {made.df:g} df"
    if made.kind == "wild_bootstrap":
        return f"{level}, wild cluster bootstrap by {made.by} ({made.clusters} clusters), {made.draws} draws"
    if made.kind == "subcluster_bootstrap":
        return f"{level}, wild bootstrap of counties, errors by {made.by} ({made.clusters} clusters), {made.draws} draws"
    if made.kind == "spatial":
        asked = estimate.spec.inference
        return f"{level}, correlated within {asked.cutoff_km:g} km, {asked.kernel} kernel"
    if made.kind == "placebo":
        return f"{level}, the policy given to each donor in turn"
    by = made.by.replace("_", " ")
    corrected = f"{made.kind.upper()}, " if made.kind in ("cr2", "cr3") else ""
    return f"{level}, {corrected}clustered by {by} ({made.clusters} clusters), t with {made.df:.4g} df"


def results_frame(found: Iterable[Found], bound: Bound | None = None) -> pd.DataFrame:
    """Return estimates as one table, in the order given, then in the order of each estimate's rows.

    Args:
        found: estimates with their specs.
        bound: bound of equivalence; by default the common one of ``data/claims.toml``.

    Returns:
        Columns ``COLUMNS``. A row whose error carries no verdict has an empty ``precision``; one that rests on too few
        treated areas or states has ``not informative`` (rule 7), whatever its error.

    Raises:
        TableError: two rows of one table would be the same specification, estimand and term.
    """
    common = bound or load_claims().common_bound
    rows: list[dict[str, Any]] = []
    for one in found:
        about = _about(one.spec) | {
            "failure": one.failure,
            "treated_states": " ".join(one.treated_states),
            "declined_per_10k": one.declined_per_10k,
            "pretrend_p": one.pretrend_p,
        }
        rows += [about | numbers for numbers in (_numbers(one, common) if one.estimate is not None else [{}])]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table = with_first_stage(_typed(table))
    key = ["spec", "estimand", "term"]
    if table.duplicated(key).any():
        again = table.loc[table.duplicated(key), key].iloc[0].to_dict()
        raise TableError(f"two rows for {again}", "one row a specification, estimand and term", "the specs")
    return table


def with_first_stage(table: pd.DataFrame) -> pd.DataFrame:
    """Return results with ``first_stage`` and ``offences_per_caused`` filled from the first-stage rows among them.

    A crime estimate takes the first one-effect estimate of declined detainers per 10,000 with its own definition,
    comparison and California, in the order of the table. Where that estimate's interval covers zero, or it rests on
    too few areas or states, there is nothing to divide by, and the ratio stays missing.

    Assumption: detainers a policy leaves unhonoured are the only way it acts on reported crime; the windows differ
    (declines end in 2014), so this is a scale to read sizes on and no estimate of its own.
    """
    keys = ["definition", "comparison", "california"]
    stage = table[
        (table["measure"] == DECLINES) & table["estimand"].isin(ONE_EFFECT) & table["estimate"].notna()
    ]
    if stage.empty:
        return table
    out = table.copy()
    stage = stage.drop_duplicates(keys).set_index(keys)
    usable = (table["measure"] != DECLINES).to_numpy() & table["estimand"].isin(ONE_EFFECT).to_numpy()
    for position in np.flatnonzero(usable):
        row = table.iloc[position]
        place = tuple(row[keys])
        if place not in stage.index:
            continue
        first = stage.loc[place]
        out.loc[out.index[position], "first_stage"] = first["estimate"]
        per_10k = rate_per_10k(row["estimate"], str(row["scale"]), row["baseline"])
        if bool(first["excludes_zero"]) and bool(first["informative"]):
            out.loc[out.index[position], "offences_per_caused"] = per_10k / first["estimate"]
    return out


def rate_per_10k(value: float, scale: str, baseline: float) -> float:
    """Return a change as offences per 10,000 residents; missing where the scale is no rate.

    Args:
        value: in the unit of ``scale``.
        scale: ``outcome.scale`` of the spec.
        baseline: as an `Estimate` states it: in ``log_rate`` the mean logarithm of the rate per 100,000.

    Example:
        >>> rate_per_10k(-355.0, "rate_100k", 3000.0), rate_per_10k(-355.0, "count", 3000.0)
        (-35.5, nan)
    """
    return in_unit(value, scale, baseline, "per_10k")


def in_unit(value: float, scale: str, baseline: float, to: str) -> float:
    """Return an estimate, or an end of its interval, in a unit of `analysis.evidence.units`.

    Args:
        value: in the unit of ``scale``.
        scale: ``outcome.scale`` of the spec.
        baseline: as an `Estimate` states it.
        to: ``per_100k``, ``per_10k`` or ``log_points``.

    Example:
        >>> round(in_unit(15.0, "rate_100k", 300.0, "log_points"), 4)
        0.0488
    """
    unit = UNIT_OF_SCALE.get(scale)
    if unit is None or np.isnan(value):
        return float("nan")
    level = level_of(baseline, unit)
    if unit not in RATES and to in RATES:
        level *= RATES[to] / RATES["per_100k"]
    return convert(value, unit, to, level)


def write_results(table: pd.DataFrame, path: Path) -> None:
    """Write results as csv: same values, same bytes."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format=FLOAT_FORMAT, lineterminator="\n", encoding="utf-8")


def read_results(path: Path) -> pd.DataFrame:
    """Read results written by `write_results`, with the kinds of columns they had.

    Raises:
        TableError: a column is missing or unknown.
    """
    table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, "str"), keep_default_na=False, na_values={
        name: [""] for name in COLUMNS if name not in TEXTS
    })  # fmt: skip
    wrong = set(COLUMNS) ^ set(table.columns)
    if wrong:
        raise TableError(
            f"{path.name}: columns {', '.join(sorted(wrong))}", "the columns of results", path.name
        )
    return _typed(table[list(COLUMNS)])


def hispanic_limit(spec: Spec) -> str:
    """Return the limit of a sample by Hispanic residents, in words, or "".

    Example:
        >>> from analysis.design.spec import load_spec
        >>> hispanic_limit(load_spec("main").replace({"sample.largest_hispanic": 200}))
        '200 largest by Hispanic residents'
    """
    parts = []
    if spec.sample.largest_hispanic:
        parts.append(f"{spec.sample.largest_hispanic} largest by Hispanic residents")
    if spec.sample.hispanic_quartile:
        parts.append(f"quartile {spec.sample.hispanic_quartile} of the Hispanic share")
    return ", ".join(parts)


def _about(spec: Spec) -> dict[str, Any]:
    elsewhere = ("name", "within", "effects", "weights")
    options = {
        one.name: getattr(spec.estimator, one.name)
        for one in fields(spec.estimator)
        if one.name not in elsewhere
    }
    covariates = show(list(spec.covariates.names)) if spec.covariates.names else ""
    return {
        "spec": spec.name,
        "spec_digest": spec.digest,
        "status": spec.status,
        "design": spec.design.kind,
        "estimator": spec.estimator.name,
        "method": "; ".join(f"{name} {show(value)}" for name, value in options.items() if value is not None),
        "measure": spec.outcome.measure,
        "build": spec.outcome.build,
        "scale": spec.outcome.scale,
        "definition": spec.treatment.definition,
        "onset": spec.treatment.onset,
        "upper_bound_dates": spec.treatment.upper_bound_dates,
        "comparison": comparison_of(spec),
        "comparison_group": spec.treatment.comparison,
        "within": spec.within,
        "effects": spec.estimator.effects or "",
        "window": window_of(spec),
        "only": " ".join(spec.treatment.only or ()),
        "exposed": spec.treatment.exposed or "adopters",
        "without_neighbours": bool(spec.sample.without_neighbours),
        "placebo_shift": spec.treatment.placebo_shift,
        "area": spec.design.area or "county",
        "status_year": spec.treatment.status_year,
        "california": california_of(spec),
        "keep_states": " ".join(spec.sample.keep_states),
        "drop_states": " ".join(spec.sample.drop_states),
        "urban_classes": " ".join(spec.sample.urban_classes),
        "hispanic": hispanic_limit(spec),
        "min_population": spec.sample.min_population,
        "min_coverage": spec.sample.min_coverage,
        "balance": spec.sample.balance or "",
        "constant_agencies": spec.sample.constant_agencies,
        "covariates": f"{covariates} ({spec.covariates.vintage})" if covariates else "",
        "controls": show(list(spec.controls.policies)) if spec.controls.policies else "",
        "weights": spec.estimator.weights,
        "level": spec.inference.level,
        "vcov": spec.inference.vcov,
        "by": spec.inference.by,
    }


def _numbers(one: Found, common: Bound) -> list[dict[str, Any]]:
    estimate = one.estimate
    assert estimate is not None
    spec, made = one.spec, estimate.inference
    unit = unit_of_estimate(estimate)
    bound = common.value(unit, estimate.baseline)
    carries = spec.carries_verdict and made.kind not in INDEPENDENT and made.by in BY_STATE
    copied = ("term", "cohort", "time", "event_time", "estimate", "std_error", "p_value", "conf_low", "conf_high",
              "band_low", "band_high", "n_counties", "n_treated")  # fmt: skip
    clusters = estimate.effective_clusters()
    effective = np.nan if np.isnan(clusters).all() else float(np.nanmin(clusters))
    rows = []
    for at, row in enumerate(estimate.table.to_dict("records")):
        states = states_of_row(estimate, at)
        enough = informative(int(row["n_treated"]), len(states))
        low, high, value = float(row["conf_low"]), float(row["conf_high"]), float(row["estimate"])
        known = np.isfinite(value) and not (np.isnan(low) and np.isnan(high))
        verdict = "" if not carries or not known else str(precision(low, high, bound))
        per_declined = {
            name: rate_per_10k(v, spec.outcome.scale, estimate.baseline) / one.declined_per_10k
            if one.declined_per_10k > 0
            else np.nan
            for name, v in (("", value), ("_low", low), ("_high", high))
        }
        percents = {
            name: percent_of(v, unit, estimate.baseline)
            for name, v in (("percent_of_baseline", value), ("percent_low", low), ("percent_high", high))
        }
        rows.append(
            {name: row[name] for name in copied}
            | percents
            | {f"offences_per_declined{name}": v for name, v in per_declined.items()}
            | {
                "estimand": estimate.estimand,
                "outcome": estimate.outcome,
                "unit": estimate.unit,
                "level": made.level,
                "vcov": made.kind,
                "by": made.by,
                "clusters": made.clusters,
                "df": made.df,
                "effective_clusters": effective,
                "inference": inference_words(estimate),
                "n_comparison": int(row["n_counties"]) - int(row["n_treated"]),
                "n_states": len(states),
                "states_identifying": " ".join(states),
                "baseline": estimate.baseline,
                "bound": bound,
                "informative": enough,
                "carries_verdict": carries,
                "precision": verdict if enough else NOT_INFORMATIVE,
                "excludes_zero": excludes_zero(low, high),
                "simulated": estimate.stamp.simulated,
                "notes": " | ".join(estimate.notes),
            }
        )
    return rows


def states_of_row(estimate: Estimate, at: int) -> tuple[str, ...]:
    """Return the states whose treated counties one row of an estimate rests on."""
    return states_of(estimate.counties[np.nan_to_num(estimate.treated[:, at]) > 0])


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    out = table.copy()
    for name in TEXTS:
        out[name] = out[name].astype("object").where(out[name].notna(), "").astype("str")
    for name in WHOLE:
        out[name] = pd.array(pd.to_numeric(out[name].astype("object"), errors="coerce"), dtype="Int64")
    for name in FLAGS:
        values: Sequence[Any] = out[name].tolist()
        out[name] = [str(v).lower() == "true" for v in values]
    for name in COLUMNS:
        if name not in TEXTS and name not in WHOLE and name not in FLAGS:
            out[name] = pd.to_numeric(out[name].astype("object"), errors="coerce").astype(float)
    return out[list(COLUMNS)].reset_index(drop=True)

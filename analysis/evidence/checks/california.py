"""With California, without it, and California against itself: what one state with laws of its own does to the answer.

California changed its criminal law in October 2011 and in November 2014, as its counties ended detainers (protocol rule
8). Where an estimate differs with and without it, the two share every other county: the error of the difference is of
their influence taken together, and smaller or larger than either's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as with_fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SpecError, StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.spec import Spec
from analysis.estimation.estimate import Estimate, cluster_labels, treated_states
from analysis.estimation.inference import cluster_variance, effective_clusters, t_quantile
from analysis.estimation.panel_inference.families import align_influence
from analysis.evidence.matches import variant_of
from analysis.evidence.results import california_of, comparison_of, results_frame, unit_of_estimate
from analysis.evidence.runs import Run, run_spec, run_specs
from analysis.evidence.units import UNIT_OF_SCALE, percent_of

Array = NDArray[np.float64]

STATE, PREFIX = "CA", "06"
IN, OUT, APART, ALONE, DIFFERENCE = "in", "out", "apart", "alone", "difference"
SAMPLES = (IN, OUT, DIFFERENCE, APART, ALONE)
"""With California; without it; the first less the second; its counties compared with California's alone, as under
California-by-year effects, and all others as before; California by itself."""
# After the name of a run whose errors are by state, for its influence alone.
BY_STATE = ", by state"
# Of two estimates that are one, nothing but rounding is left between them.
ROUNDING = 1e-12
WINDOW_MEASURES = ("violent_ex_rape", "property")
FULL_WINDOW, TO_2014, TO_2014_ADOPTION = "full", "to_2014", "to_2014_adoption_year"
WINDOWS: Mapping[str, Mapping[str, Any]] = {
    FULL_WINDOW: {},
    TO_2014: {"last": 2014},
    TO_2014_ADOPTION: {"last": 2014, "treatment.onset": "adoption_year"},
}
"""The spec's years; those up to 2014, of which two months lie under Proposition 47; the same with the year of adoption
counted as treated, without which nobody who adopted in 2014 has a treated year."""
COLUMNS = (
    "spec", "design", "comparison", "measure", "window", "sample", "estimate", "std_error", "df", "conf_low", "conf_high",
    "level", "unit", "baseline", "percent", "percent_low", "percent_high", "percent_in", "percent_in_low",
    "percent_in_high", "n_treated", "n_comparison", "n_states",
    "states_identifying", "california_treated", "california_comparison", "california_share", "effective_clusters",
    "informative", "precision", "vcov", "by", "failure",
)  # fmt: skip
COUNTED = ("n_treated", "n_comparison", "n_states", "california_treated", "california_comparison")


def california(panel: Panel, specs: Sequence[Spec]) -> pd.DataFrame:
    """Return every design with California, without it, the difference, and California against itself.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids; those that leave California out are made here from the others, and passed over.

    Returns:
        A row a specification, window (of ``WINDOWS``) and sample (of ``SAMPLES``), columns ``COLUMNS``. Windows to 2014
        are run for ``WINDOW_MEASURES``, and have ``in``, ``out`` and ``difference`` alone. The difference is ``in`` less
        ``out``; its error is of both estimates' influence, summed by state, its t has one less than the number of states
        as degrees of freedom, and it takes no verdict: what it tells of California rests on California alone.
        ``percent`` is of the estimate's own baseline, as everywhere; ``percent_in`` of the baseline with California, so
        that the rows of one design and window are on one scale and differences are differences. ``california_treated``
        and ``california_comparison``: its counties that enter the estimate. ``california_share``: its share of the
        treated weight. ``effective_clusters``: see `analysis.estimation.inference.effective_clusters`. What cannot be
        made keeps a row, the reason in ``failure``.

    Assumption: that of each design. For the difference: states independent and many, although one state makes it.

    Source: protocol rule 8; for the joint error Callaway and Sant'Anna (2021), Journal of Econometrics 225(2), section 4.

    Example:
        ``california(panel, load_spec("headline").expand())``
    """
    asked = [
        (spec, window, *_in_window(spec, window))
        for spec in specs
        if california_of(spec) == IN
        for window in WINDOWS
        if window == FULL_WINDOW or spec.outcome.measure in WINDOW_MEASURES
    ]
    jobs = [job for spec, window, one, _ in asked if one is not None for job in _jobs(spec, window, one)]
    # One sample is made once, whichever designs read it.
    runs = run_specs(panel, jobs)
    lines = runs.results.drop_duplicates("spec").set_index("spec")
    rows: list[dict[str, Any]] = []
    for spec, window, one, failure in asked:
        about = {
            "spec": spec.name, "design": variant_of(spec.name) or "group-time", "comparison": comparison_of(spec),
            "measure": spec.outcome.measure, "window": window,
        }  # fmt: skip
        if one is None:
            rows.append(about | {"sample": IN, "failure": failure})
            continue
        found = {sample: runs[_name(spec, window, sample)] for sample in _samples(window, one)}
        parts = {
            sample: _row(run, lines.loc[run.spec.name]) for sample, run in found.items() if sample in SAMPLES
        }
        joint = [found.get(f"{sample}{BY_STATE}", found[sample]) for sample in (IN, OUT)]
        parts[DIFFERENCE] = _difference(*joint)
        if window == FULL_WINDOW:
            failed = parts[IN]["failure"]
            parts[APART] = {"failure": failed} if failed else _apart(panel, one)
        baseline = float(parts[IN].get("baseline", np.nan))
        rows += [
            about | {"sample": sample} | parts[sample] | _of_in(parts[sample], one, baseline)
            for sample in SAMPLES
            if sample in parts
        ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in COUNTED:
        table[name] = table[name].astype("Int64")
    table["informative"] = table["informative"].astype("boolean")
    for name in ("states_identifying", "precision", "vcov", "by", "failure", "unit"):
        table[name] = table[name].fillna("").astype("str")
    return table


def _samples(window: str, spec: Spec) -> list[str]:
    """Return what is run of a specification; border designs once more by state, where they give their influence."""
    out = [IN, OUT, *([ALONE] if window == FULL_WINDOW else [])]
    if spec.inference.by == "state_and_segment":
        out += [f"{sample}{BY_STATE}" for sample in (IN, OUT)]
    return out


def _jobs(spec: Spec, window: str, one: Spec) -> Iterator[Spec]:
    areas: dict[str, dict[str, Any]] = {
        IN: {},
        OUT: {"sample.drop_states": [*one.sample.drop_states, STATE]},
        ALONE: {"sample.keep_states": [STATE]},
    }
    for sample in _samples(window, one):
        by = {"inference.by": "state"} if sample.endswith(BY_STATE) else {}
        yield one.replace({**areas[sample.removesuffix(BY_STATE)], **by, "name": _name(spec, window, sample)})


def _name(spec: Spec, window: str, sample: str) -> str:
    return f"{spec.name}/california-{window}-{sample}"


def _of_in(part: Mapping[str, Any], spec: Spec, baseline: float) -> dict[str, float]:
    """Return estimate and interval in per cent of the baseline with California."""
    unit = UNIT_OF_SCALE.get(spec.outcome.scale, spec.outcome.scale)
    return {
        f"percent_in{end}": percent_of(float(part.get(name, np.nan)), unit, baseline)
        for end, name in (("", "estimate"), ("_low", "conf_low"), ("_high", "conf_high"))
    }


def difference(whole: Estimate, rest: Estimate) -> dict[str, float]:
    """Return the difference of two estimates that share counties, with the error of their influence taken together.

    Args:
        whole: one row, with influence.
        rest: one row, with influence, in the same unit.

    Returns:
        estimate, std_error, df, conf_low, conf_high, effective_clusters; where the two are one estimate all are zero but
        the last, which is missing.

    Raises:
        StudyError: several rows, no influence, or other units.

    Assumption: states independent and many.

    Example:
        ``difference(one_effect(with_all), one_effect(without_one))["std_error"]``
    """
    for one in (whole, rest):
        if len(one.table) != 1 or one.influence is None:
            raise StudyError(f"{one.spec.name}: no single effect with influence", "one", "the call")
    if whole.unit != rest.unit:
        raise StudyError(f"units {whole.unit} and {rest.unit}", "one unit", "the call")
    # Counties that enter neither estimate are no part of what varies.
    parts = [_entered(one) for one in (whole, rest)]
    influence, counties = align_influence([p[0] for p in parts], [p[1] for p in parts])
    labels = cluster_labels(pd.Index(counties), "state")
    apart = influence[:, [0]] - influence[:, [1]]
    value = float(whole.table["estimate"].iloc[0] - rest.table["estimate"].iloc[0])
    g = len(np.unique(labels))
    if not np.isfinite(value) or g < 2:
        return dict.fromkeys(
            ("estimate", "std_error", "df", "conf_low", "conf_high", "effective_clusters"), np.nan
        )
    error = float(np.sqrt(cluster_variance(apart, labels)[0, 0]))
    if error <= ROUNDING * float(np.abs(influence).sum()):
        value, error = 0.0, 0.0
    critical = t_quantile(whole.inference.level, g - 1)
    return {
        "estimate": value,
        "std_error": error,
        "df": float(g - 1),
        "conf_low": value - critical * error,
        "conf_high": value + critical * error,
        "effective_clusters": float(effective_clusters(apart, labels)[0]) if error > 0 else np.nan,
    }


def _entered(one: Estimate) -> tuple[Array, NDArray[np.str_]]:
    assert one.influence is not None
    inside = ~np.isnan(one.treated[:, 0])
    return one.influence[inside], one.counties.to_numpy(dtype=str)[inside]


def _in_window(spec: Spec, window: str) -> tuple[Spec | None, str]:
    """Return the specification in a window, or None and why there is none."""
    changes = dict(WINDOWS[window])
    last = changes.pop("last", None)
    if last is None:
        return spec, ""
    if spec.design.kind == "cross_section":
        changes["design.year"] = last
    else:
        changes["sample.years"] = [spec.years[0], last]
    try:
        return spec.replace(changes), ""
    except SpecError as error:
        return None, " ".join(str(error).split())


def _row(run: Run, line: pd.Series) -> dict[str, Any]:
    """Return the numbers of one run, read off its row in the table of results."""
    if run.failure:
        return {"failure": run.failure}
    named = {
        name: line[name]
        for name in (
            "estimate", "std_error", "df", "conf_low", "conf_high", "level", "unit", "baseline", "percent_low",
            "percent_high", "n_treated", "n_comparison", "n_states", "states_identifying", "effective_clusters",
            "informative", "precision", "vcov", "by",
        )
    }  # fmt: skip
    return (
        named
        | {"percent": line["percent_of_baseline"], "failure": ""}
        | _of_california(run.estimates["post"])
    )


def _of_california(estimate: Estimate) -> dict[str, float]:
    members = estimate.treated[:, 0]
    inside = np.char.startswith(estimate.counties.to_numpy(dtype=str), PREFIX)
    weight = np.nan_to_num(members)
    total = float(weight.sum())
    return {
        "california_treated": int((inside & (weight > 0)).sum()),
        "california_comparison": int((inside & (members == 0)).sum()),
        "california_share": float(weight[inside].sum()) / total if total > 0 else np.nan,
    }


def _difference(whole: Run, rest: Run) -> dict[str, Any]:
    failure = whole.failure or rest.failure
    if failure:
        return {"failure": failure}
    first, second = whole.estimates["post"], rest.estimates["post"]
    try:
        found = difference(first, second)
    except StudyError as error:
        return {"failure": " ".join(str(error).split())}
    unit = unit_of_estimate(first)
    states = sorted(set(treated_states(first)) | set(treated_states(second)))
    return (
        found
        | {
            "percent": percent_of(found["estimate"], unit, first.baseline),
            "percent_low": percent_of(found["conf_low"], unit, first.baseline),
            "percent_high": percent_of(found["conf_high"], unit, first.baseline),
            "level": first.inference.level,
            "unit": first.unit,
            "baseline": first.baseline,
            "n_states": len(states),
            "states_identifying": " ".join(states),
            "vcov": "cluster",
            "by": "state",
            "failure": "",
        }
        | _of_california(first)
    )


def _apart(panel: Panel, spec: Spec) -> dict[str, Any]:
    """Return the estimate in which California's counties are compared with each other and all others as before."""
    if spec.estimator.name == "group_time_att" and spec.within == "none":
        changes: dict[str, Any] = {}
        column = "stratum"
    elif spec.estimator.name == "two_way" and spec.estimator.effects == "county_year":
        # Urban classes are the one grouping by year that two-way effects read from the table.
        changes, column = {"estimator.effects": "urban_class_by_year"}, "urban_class"
    else:
        return {"failure": "compares within groups, along borders or in one year: nothing to set apart"}
    design = make_design(panel, spec)
    table = design.table.assign(**{column: np.where(design.table["state"].eq(STATE), STATE, "elsewhere")})
    turned: Design = with_fields(design.replace(changes) if changes else design, table=table)
    run = run_spec(panel, turned.spec, turned)
    return _row(run, results_frame(list(run.found())[:1]).iloc[0])

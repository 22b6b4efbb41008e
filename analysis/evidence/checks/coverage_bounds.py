"""What an estimate would be if residents whose agencies did not report had fared otherwise: bounds, errors, breakdowns.

Not reported is not zero (protocol rule 2), and it is not the rate of those who did report either. Every fill here has a
name and both directions, on two samples: the one the study answers with, which asks for nine tenths of residents, and
the same counties without that rule, those of which nobody reports among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError, StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.spec import Spec
from analysis.estimation.estimate import Estimate
from analysis.estimation.group_time import estimate_cells
from analysis.estimation.panel_arrays.panel import read_design
from analysis.estimation.panel_inference.coverage_bounds import (
    change_weights,
    factor_to_zero,
    filled,
    imbens_manski,
    ratio_to_zero,
    sharp_ends,
)
from analysis.evidence.checks.decomposition import residual_weights
from analysis.evidence.matches import variant_of
from analysis.evidence.results import california_of, unit_of_estimate
from analysis.evidence.runs import one_effect, sample_key
from analysis.evidence.units import percent_of

Array = NDArray[np.float64]

MEASURES = ("violent_ex_rape", "property")
LINEAR = ("group_time_att", "two_way")
# A county-year counts as fully reported from this share of residents on: places and their agencies never match quite.
FULL = 0.99
# Fewer than this and a county's own years, or a class's, say too little of what its rate may be.
FEWEST_FULL_YEARS, FEWEST_FULL_COUNTIES = 2, 10
QUANTILES = (0.1, 0.9)
FACTOR = 2.0
# Relative to the largest number in the sum: what rounding may leave between an estimate and its weighted sum.
SAME = 1e-10

COVERED, EVERYBODY = "coverage_rule", "no_coverage_rule"
SAMPLES = (COVERED, EVERYBODY)
AS_REPORTED, NOTHING, CLASS, OWN, TWICE = "as_reported", "nothing", "quantiles", "own_years", "factor"
ASSUMPTIONS = (AS_REPORTED, NOTHING, CLASS, OWN, TWICE)
"""Where the rate of residents not covered lies: at the reported rate; from zero to it; between the 10th and the 90th
percentile of fully reporting counties of the same urban class and year; between the county's own lowest and highest fully
reported year; from half to twice the reported rate."""

ABOUT = (
    "spec",
    "design",
    "measure",
    "sample",
    "california",
    "unit",
    "baseline",
    "n_treated",
    "n_counties",
    "n_states",
)
VALUES = ("estimate", "alike_low", "alike_high", "after_low", "after_high", "low", "high", "conf_low", "conf_high",
          "union_low", "union_high")  # fmt: skip
COLUMNS = (
    *ABOUT, "assumption", "county_years", "unknown_county_years", "unreported", "stand_in", *VALUES,
    "error_low", "error_high", "df", "level", *(f"percent_{name}" for name in VALUES), "bounds_exclude_zero",
    "interval_excludes_zero", "weights_gap", "failure",
)  # fmt: skip
BREAKS = (*ABOUT, "estimate", "unreported_after", "ratio_after", "ratio_others", "factor", "failure")
COUNTS = (
    "spec", "measure", "sample", "california", "arm", "period", "split_year", "counties", "county_years",
    "county_years_unknown", "county_years_below", "county_years_partial", "residents", "residents_unreported",
    "unreported",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Covered:
    """A design with what is known, and not known, of each of its county-years.

    Args:
        design: its outcome is the rate as reported, or what stands in for it where nobody reported.
        weights: (n,) of each county-year in the estimate.
        coverage: (n,) share of residents policed by an agency that reports.
        rate: (n,) reported rate, or what stands in for it.
        lowest: assumption to (n,) smallest rate of residents not covered.
        highest: assumption to (n,) largest rate of them.
        stand_in: assumption to (n,) flags: not covered in part, and what the assumption asks for is not to be had: the
            percentiles of class and year (of the year, where the class is small) stand in.
        estimate: on ``rate``.
    """

    design: Design
    weights: Array
    coverage: Array
    rate: Array
    lowest: dict[str, Array]
    highest: dict[str, Array]
    stand_in: dict[str, NDArray[np.bool_]]
    estimate: Estimate


def design_weights(design: Design) -> Array:
    """Return the weight of each county-year in an estimate that is linear in the outcome.

    Args:
        design: a panel under ``two_way`` with one coefficient, or ``group_time_att`` without covariates and control
            policies.

    Returns:
        (n,) weights, row for row with ``design.table``: their sum over outcomes is the effect averaged over all years
        after adoption. They do not depend on the outcome.

    Raises:
        SpecError: another estimator, covariates, or event times.

    Source: Callaway and Sant'Anna (2021) without covariates; for two-way effects Frisch and Waugh (1933).

    Example:
        ``float(design_weights(design) @ design.table["outcome"])``
    """
    asked = design.spec.estimator
    if design.kind != "panel" or asked.name not in LINEAR:
        raise SpecError(f"weights of {asked.name} on a {design.kind}", f"a panel under {' or '.join(LINEAR)}")
    if asked.name == "two_way":
        if asked.method == "event_time":
            raise SpecError("weights of event times", 'estimator.method = "post"', "estimator.method")
        table = residual_weights(design).table.set_index(["county_fips", "year"])["weight"]
    else:
        if design.covariates or design.controls:
            raise SpecError(
                "weights of group-time effects with covariates, whose models read the outcome",
                "covariates.names = [] and controls.policies = []",
                "covariates.names",
            )
        table = _group_time_weights(design)
    keys = pd.MultiIndex.from_frame(design.table[["county_fips", "year"]])
    return table.reindex(keys).fillna(0.0).to_numpy(dtype=float)


def _group_time_weights(design: Design) -> pd.Series:
    panel = read_design(design)
    method = design.spec.estimator.method
    assert method is not None
    cells = [
        cell
        for cell in estimate_cells(panel, method, design.spec.treatment.comparison)
        if cell.event_time >= 0 and np.isfinite(cell.effect)
    ]
    total = sum(float(np.nansum(cell.treated)) for cell in cells)
    out = np.zeros((len(panel.counties), len(panel.years)))
    for cell in cells:
        members = np.flatnonzero(~np.isnan(cell.treated))
        treated = cell.treated[members] > 0
        of_change = change_weights(treated, panel.size[members], panel.stratum[members])
        part = of_change * float(np.nansum(cell.treated)) / total
        at, before = np.searchsorted(panel.years, [cell.time, cell.base])
        out[members, at] += part
        out[members, before] -= part
    index = pd.MultiIndex.from_product([panel.counties, panel.years], names=["county_fips", "year"])
    return pd.Series(out.ravel(), index=index)


def covered_designs(panel: Panel, spec: Spec, sample: str = COVERED) -> Covered:
    """Return a specification's design with bounds on what its unreported residents may have seen.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: of a panel, rates over policed residents, two-way or group-time; covariates are left out, so that the
            estimate is linear in the outcome.
        sample: ``coverage_rule`` (as the spec says) or ``no_coverage_rule`` (``sample.min_coverage`` 0, and county-years
            of which nobody reports are kept, their rate wholly unknown).

    Returns:
        `Covered`.

    Raises:
        SpecError: an estimate that is not linear in the outcome.
        SampleError: no fully reporting county to tell what rates are like.
        StudyError: the weights do not give the estimate back.
    """
    return _covered(panel, spec, sample, {})


def _covered(panel: Panel, spec: Spec, sample: str, held: dict[str, Design]) -> Covered:
    """Return `covered_designs`; designs made before are taken from ``held``, by sample, and new ones put there."""
    _refuse(spec, sample)
    spec = spec.base().replace({"covariates.names": []})
    if spec.inference.vcov == "cluster":
        # Draws make bands over several rows, and there is one.
        spec = spec.replace({"inference.draws": 0})
    rates = county_rates(panel, spec)
    if sample == EVERYBODY:
        spec = spec.replace({"sample.min_coverage": 0.0})
    name = f"rate_policed_{spec.outcome.measure}"
    keys = ["county_fips", "year"]
    known = rates.set_index(keys)
    source = panel.table
    at = pd.MultiIndex.from_frame(source[keys])
    given = known["rate"].reindex(at).to_numpy(dtype=float)
    own = source[name].to_numpy(dtype=float, na_value=np.nan)
    key = sample_key(spec)
    design = _under(held[key], spec) if key in held else None
    if design is None:
        filled_in = source.assign(**{name: np.where(np.isnan(own), given, own)})
        design = held[key] = make_design(with_fields(panel, table=filled_in), spec)
    here = known.loc[pd.MultiIndex.from_frame(design.table[keys])]
    scale = 1.0 if spec.outcome.scale == "rate_100k" else 0.1
    column = {
        c: here[c].to_numpy(dtype=float) * scale for c in rates if c.startswith(("rate", "low", "high"))
    }
    estimate = one_effect(design)
    found = Covered(
        design=design,
        weights=design_weights(design),
        coverage=here["coverage"].to_numpy(dtype=float),
        rate=column["rate"],
        lowest={a: column[f"low_{a}"] for a in ASSUMPTIONS},
        highest={a: column[f"high_{a}"] for a in ASSUMPTIONS},
        stand_in={
            a: (here[f"stand_in_{a}"] & here["coverage"].lt(1)).to_numpy(dtype=bool) for a in ASSUMPTIONS
        },
        estimate=estimate,
    )
    gap = weights_gap(found)
    if not gap <= SAME:
        raise StudyError(
            f"the weights of {spec.name} give the estimate back to {gap:.1e} only", f"{SAME:g}", spec.where
        )
    return found


def _under(design: Design, spec: Spec) -> Design | None:
    """Return the design under a specification of the same sample, or None where that asks for other columns."""
    if design.spec == spec:
        return design
    plain = spec.to_dict()
    changes = {
        f"{part}.{key}": value for part in ("estimator", "inference") for key, value in plain[part].items()
    }
    try:
        return design.replace(changes | {"name": spec.name, "title": spec.title, "status": spec.status})
    except SpecError:
        return None


def _refuse(spec: Spec, sample: str) -> None:
    if sample not in SAMPLES:
        raise StudyError(f"sample = {sample!r}", f"one of {', '.join(SAMPLES)}", "the call")
    if not is_linear(spec):
        raise SpecError(
            f"bounds on {spec.estimator.name} of {spec.outcome.measure} ({spec.outcome.scale}, {spec.outcome.build})",
            f"a panel under {' or '.join(LINEAR)}, a rate over policed residents",
            spec.where,
        )


def is_linear(spec: Spec) -> bool:
    """Return whether an estimate, its covariates left out, is a weighted sum of rates over policed residents."""
    return (
        spec.design.kind == "panel"
        and (spec.design.area or "county") == "county"
        and spec.estimator.name in LINEAR
        and spec.estimator.method != "event_time"
        and spec.outcome.build == "policed"
        and spec.outcome.scale in ("rate_100k", "rate_10k")
        and not spec.sample.constant_agencies
        and not spec.controls.policies
    )


def weights_gap(found: Covered) -> float:
    """Return how far the weighted sum of outcomes is from the estimate, over the sum of their sizes."""
    outcome = found.design.table["outcome"].to_numpy(dtype=float)
    value = float(found.estimate.table["estimate"].iloc[0])
    parts = found.weights * outcome
    return abs(float(parts.sum()) - value) / float(np.abs(parts).sum())


def county_rates(panel: Panel, spec: Spec) -> pd.DataFrame:
    """Return each county-year's reported rate and coverage, and the values unreported rates are taken between.

    Args:
        panel: see `analysis.base.records.Panel`.
        spec: names the outcome, the years and the smallest population.

    Returns:
        A row a county-year of the spec's years: county_fips, year, coverage, rate (per 100,000 policed residents; where
        nobody reported the county's mean over its other years by residents policed, or the median of fully reporting
        counties of its class and year), and for each of ``ASSUMPTIONS`` low_, high_ and stand_in_ with its name.
    """
    measure, years = spec.outcome.measure, spec.years
    names = {f"rate_policed_{measure}": "rate", f"coverage_{measure}": "coverage"}
    source = panel.table[panel.table["year"].isin(list(years))]
    rows = source[["county_fips", "year", "urban_class", "population", *names]].rename(columns=names)
    rows = rows.reset_index(drop=True).astype({"rate": float, "coverage": float, "population": float})
    # No agency of a county reporting is a coverage of zero, whatever stands in its column.
    rows["coverage"] = rows["coverage"].where(rows["rate"].notna(), 0.0).fillna(0.0)
    full = rows["coverage"].ge(FULL) & rows["rate"].notna()
    typical = full & rows["population"].ge(spec.sample.min_population)
    low, middle, high = _percentiles(rows, typical)
    people = rows["population"] * rows["coverage"]
    county = rows["county_fips"]
    mean = (people * rows["rate"]).groupby(county).transform("sum") / people.groupby(county).transform("sum")
    stood = rows["rate"].isna()
    rate = rows["rate"].fillna(mean).fillna(middle)
    of_full = rows["rate"].where(full).groupby(county)
    enough = of_full.transform("count") >= FEWEST_FULL_YEARS
    ends = {
        AS_REPORTED: (rate, rate, stood),
        NOTHING: (0.0 * rate, rate, stood),
        CLASS: (low, high, stood & False),
        OWN: (
            of_full.transform("min").where(enough, low),
            of_full.transform("max").where(enough, high),
            ~enough,
        ),
        TWICE: (rate / FACTOR, rate * FACTOR, stood),
    }
    columns = {"rate": rate}
    for assumption, (lowest, highest, without) in ends.items():
        columns |= {
            f"low_{assumption}": lowest,
            f"high_{assumption}": highest,
            f"stand_in_{assumption}": without,
        }
    return pd.concat([rows[["county_fips", "year", "coverage"]], pd.DataFrame(columns)], axis=1)


def _percentiles(rows: pd.DataFrame, typical: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return the 10th, 50th and 90th percentile of rates of fully reporting counties, by class and year."""
    known = rows[typical]
    if known.empty:
        raise SampleError(
            f"no county-year with a coverage of {FULL:g} or more", "some that report in full", "sample.years"
        )
    levels = (QUANTILES[0], 0.5, QUANTILES[1])
    by_class, by_year = (
        known.groupby(keys)["rate"].quantile(list(levels)).unstack()
        for keys in (["urban_class", "year"], ["year"])
    )
    number = known.groupby(["urban_class", "year"]).size()
    by_class = by_class[(number >= FEWEST_FULL_COUNTIES).reindex(by_class.index)]
    at = pd.MultiIndex.from_frame(rows[["urban_class", "year"]])
    whole = known["rate"].quantile(list(levels))
    out = []
    for level in levels:
        found = by_class[level].reindex(at).to_numpy(dtype=float)
        of_year = by_year[level].reindex(rows["year"]).to_numpy(dtype=float)
        found = np.where(np.isnan(found), of_year, found)
        out.append(pd.Series(np.where(np.isnan(found), whole[level], found), index=rows.index))
    return out[0], out[1], out[2]


# --- frames ------------------------------------------------------------------------------------------------------


def coverage_bounds(panel: Panel, specs: Sequence[Spec]) -> pd.DataFrame:
    """Return bounds on estimates when residents whose agencies did not report fared as stated, at worst.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids; those that are not linear in the outcome (`is_linear`), or of other offences than
            ``MEASURES``, are passed over. Covariates are left out, so that the estimate is linear.

    Returns:
        A row a specification, sample and assumption, columns ``COLUMNS``. ``estimate``: unreported residents fared as
        reported ones. ``alike_low`` and ``alike_high``: all of them at the lowest, at the highest value. ``after_low``:
        those of treated counties after adoption at the lowest and everybody else at the highest; ``after_high`` the
        reverse. ``low`` and ``high``: the sharp ends, each county-year at the value that its weight's sign asks for.
        ``conf_low`` and ``conf_high``: interval of Imbens and Manski around the sharp ends; ``union_low`` and
        ``union_high``: from the lower limit of one end to the upper of the other, each by the spec's own inference. The
        same in per cent of ``baseline`` with ``percent_`` before. ``unreported``: share of residents of county-years
        whose agencies did not report; ``unknown_county_years`` those of which nobody did; ``stand_in``: county-years
        with unreported residents whose own values are not to be had, the percentiles of class and year standing in.
        ``weights_gap``: weighted sum less estimate, relative. What cannot be made keeps a row with ``failure``.

    Assumption: unreported rates lie between the stated values, and each county-year's is free of every other's. Errors
    take the stated values as known.

    Source: Horowitz and Manski (2000), Journal of the American Statistical Association 95(449); Imbens and Manski (2004),
    Econometrica 72(6).

    Example:
        ``coverage_bounds(panel, load_spec("headline").expand())``
    """
    rows: list[dict[str, Any]] = []
    for spec, sample, found, failure in _each(panel, specs):
        if found is None:
            rows.append(_about(spec, sample) | {"failure": failure})
            continue
        about = _about(spec, sample, found)
        rows += [about | _bounds(found, assumption) for assumption in ASSUMPTIONS]
    return _frame(rows, COLUMNS, ("county_years", "unknown_county_years", "stand_in"))


def coverage_breaks(panel: Panel, specs: Sequence[Spec]) -> pd.DataFrame:
    """Return how differently residents whose agencies did not report must have fared for an estimate to be zero.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: as in `coverage_bounds`.

    Returns:
        A row a specification and sample, columns ``BREAKS``. ``ratio_after``: rate of unreported over reported residents
        in treated counties after adoption, everybody else as reported, at which the estimate is zero; negative where no
        rate would do. ``ratio_others``: the same for everybody else's ratio, treated counties after adoption as
        reported. ``factor``: k at which zero enters the sharp bounds, each county-year's unreported rate lying anywhere
        from 1/k to k times its reported one. ``unreported_after``: share of residents of treated county-years after
        adoption that is unreported.

    Assumption: as in `coverage_bounds`; the point estimate alone, without its error.
    """
    rows: list[dict[str, Any]] = []
    for spec, sample, found, failure in _each(panel, specs):
        if found is None:
            rows.append(_about(spec, sample) | {"failure": failure})
            continue
        after = found.design.table["treated"].to_numpy(dtype=bool)
        given = (found.weights, found.rate, found.coverage)
        rows.append(
            _about(spec, sample, found)
            | {
                "estimate": float(found.weights @ found.rate),
                "unreported_after": _unreported(found, after),
                "ratio_after": ratio_to_zero(*given, after),
                "ratio_others": ratio_to_zero(*given, ~after),
                "factor": factor_to_zero(*given),
                "failure": "",
            }
        )
    return _frame(rows, BREAKS)


def unreported(panel: Panel, specs: Sequence[Spec]) -> pd.DataFrame:
    """Return how many county-years and residents are unreported, by arm, before and after, in both samples.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: as in `coverage_bounds`; of those on one sample the first is shown.

    Returns:
        Columns ``COUNTS``, a row an arm (treated, comparison) and period (before, after). Treated counties are split at
        their own adoption, comparison ones at ``split_year``, the commonest first treated year. county_years_unknown:
        nobody reports; county_years_below: somebody, yet less than the specification's coverage; county_years_partial:
        that much or more, yet not everybody. ``residents`` and ``residents_unreported`` are county-years added up, as
        the shares in ``unreported`` are made.
    """
    rows: list[dict[str, Any]] = []
    samples: dict[tuple[str, tuple[str, ...]], Spec] = {}
    for spec in specs:
        if is_linear(spec):
            samples.setdefault((spec.outcome.measure, spec.sample.drop_states), spec)
    for spec, sample, found, _ in _each(panel, list(samples.values())):
        if found is None:
            continue
        table = found.design.table
        adopter = table["treated"].groupby(table["county_fips"]).transform("any")
        split = int(table.loc[table["treated"]].drop_duplicates("county_fips")["cohort"].mode().iloc[0])
        after = table["treated"].where(adopter, table["year"] >= split)
        about = {name: _about(spec, sample)[name] for name in ("spec", "measure", "sample", "california")}
        residents = table["population"].to_numpy(dtype=float)
        without = residents * (1 - found.coverage)
        for arm, is_arm in (("treated", adopter), ("comparison", ~adopter)):
            for period, is_period in (("before", ~after), ("after", after)):
                rule = (is_arm & is_period).to_numpy(dtype=bool)
                c = found.coverage[rule]
                asked = spec.sample.min_coverage
                rows.append(
                    about
                    | {
                        "arm": arm,
                        "period": period,
                        "split_year": split,
                        "counties": int(table.loc[rule, "county_fips"].nunique()),
                        "county_years": int(rule.sum()),
                        "county_years_unknown": int((c == 0).sum()),
                        "county_years_below": int(((c > 0) & (c < asked)).sum()),
                        "county_years_partial": int(((c >= asked) & (c > 0) & (c < 1)).sum()),
                        "residents": float(residents[rule].sum()),
                        "residents_unreported": float(without[rule].sum()),
                        "unreported": _unreported(found, rule),
                    }
                )
    return pd.DataFrame(rows, columns=list(COUNTS))


def _each(panel: Panel, specs: Sequence[Spec]) -> Iterator[tuple[Spec, str, Covered | None, str]]:
    held: dict[str, Design] = {}
    for spec in specs:
        if spec.outcome.measure not in MEASURES or not is_linear(spec):
            continue
        for sample in SAMPLES:
            try:
                yield spec, sample, _covered(panel, spec, sample, held), ""
            except (SampleError, SpecError, np.linalg.LinAlgError) as error:
                yield spec, sample, None, " ".join(str(error).split())


def _about(spec: Spec, sample: str, found: Covered | None = None) -> dict[str, Any]:
    about: dict[str, Any] = {
        "spec": spec.name,
        "design": variant_of(spec.name) or "group-time",
        "measure": spec.outcome.measure,
        "sample": sample,
        "california": california_of(spec),
    }
    if found is None:
        return about
    line, glance = found.estimate.table.iloc[0], found.estimate.glance().iloc[0]
    return about | {
        "unit": found.estimate.unit,
        "baseline": found.estimate.baseline,
        "n_treated": int(line["n_treated"]),
        "n_counties": int(line["n_counties"]),
        "n_states": int(glance["n_treated_states"]),
    }


def _bounds(found: Covered, assumption: str) -> dict[str, Any]:
    lowest, highest = found.lowest[assumption], found.highest[assumption]
    weights, rate, coverage = found.weights, found.rate, found.coverage
    after = found.design.table["treated"].to_numpy(dtype=bool)

    def at(unknown: Array) -> float:
        return float(weights @ filled(rate, coverage, unknown))

    ends = sharp_ends(weights, rate, coverage, lowest, highest)
    same = np.array_equal(ends.outcome_low, ends.outcome_high)
    of_low = _with_outcome(found, ends.outcome_low)
    of_high = of_low if same else _with_outcome(found, ends.outcome_high)
    error_low, error_high = (float(one.table["std_error"].iloc[0]) for one in (of_low, of_high))
    df = min(of_low.inference.df, of_high.inference.df)
    level = found.estimate.inference.level
    conf_low, conf_high = imbens_manski(ends.low, max(ends.low, ends.high), error_low, error_high, level, df)
    values = {
        "estimate": float(weights @ rate),
        "alike_low": at(lowest),
        "alike_high": at(highest),
        "after_low": at(np.where(after, lowest, highest)),
        "after_high": at(np.where(after, highest, lowest)),
        "low": ends.low,
        "high": ends.high,
        "conf_low": conf_low,
        "conf_high": conf_high,
        "union_low": float(of_low.table["conf_low"].iloc[0]),
        "union_high": float(of_high.table["conf_high"].iloc[0]),
    }
    unit, baseline = unit_of_estimate(found.estimate), found.estimate.baseline
    return {
        "assumption": assumption,
        "county_years": len(rate),
        "unknown_county_years": int((coverage == 0).sum()),
        "unreported": _unreported(found, np.ones(len(rate), dtype=bool)),
        "stand_in": int(found.stand_in[assumption].sum()),
        **values,
        "error_low": error_low,
        "error_high": error_high,
        "df": df,
        "level": level,
        **{f"percent_{name}": percent_of(value, unit, baseline) for name, value in values.items()},
        "bounds_exclude_zero": bool(ends.low > 0 or ends.high < 0),
        "interval_excludes_zero": bool(conf_low > 0 or conf_high < 0),
        "weights_gap": weights_gap(found),
        "failure": "",
    }


def _with_outcome(found: Covered, outcome: Array) -> Estimate:
    table = found.design.table.assign(outcome=outcome)
    return one_effect(with_fields(found.design, table=table))


def _unreported(found: Covered, rows: NDArray[np.bool_]) -> float:
    residents = found.design.table["population"].to_numpy(dtype=float)[rows]
    return float((residents * (1 - found.coverage[rows])).sum() / residents.sum()) if rows.any() else np.nan


def _frame(rows: list[dict[str, Any]], columns: Sequence[str], whole: Sequence[str] = ()) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    for name in (*whole, "n_treated", "n_counties", "n_states"):
        table[name] = table[name].astype("Int64")
    return table

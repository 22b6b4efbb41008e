"""The estimate without each state, or each cohort, in turn: whether one of them is the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.base.errors import SampleError, StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, baseline_mean, make_design
from analysis.design.spec import Spec
from analysis.estimation.estimate import Estimate, treated_states
from analysis.evidence.runs import one_effect

Fit = Callable[[Design], Estimate]
By = Literal["state", "cohort"]
BOTH: tuple[By, By] = ("state", "cohort")

COLUMNS = (
    "left_out", "treated_left_out", "n_treated", "n_states", "n_comparison", "estimate", "std_error", "conf_low",
    "conf_high", "change", "change_in_errors", "failure",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The estimate without each state or cohort.

    Args:
        table: a row a state or cohort, in their order: left_out, treated_left_out (treated counties of it behind the
            whole estimate), n_treated, n_states and n_comparison (what the rest stands on), estimate, std_error,
            conf_low, conf_high, change (less the whole estimate), change_in_errors (over its standard error), failure
            (why there is no estimate without it, or "").
        whole: the estimate on everybody.
        jackknife: standard error from leaving out states, beside that of ``whole``; missing by cohort, and where an
            estimate without some state that enters could not be made.
        reach: smallest and largest estimate without one.
    """

    table: pd.DataFrame
    whole: Estimate
    jackknife: float
    reach: tuple[float, float]


def leave_out(design: Design, by: By = "state", *, fit: Fit | None = None) -> LeftOut:
    """Estimate again without each state, or without each cohort of adopters, in turn.

    Every estimate is made anew on what is left, weights, covariate models and cells included; nothing is read off the
    influence function, which is the same only to first order.

    Args:
        design: a panel or a cross-section.
        by: ``state``: all its counties are left out, treated or not; ``cohort``: treated counties of one first treated
            year are, and comparison counties stay.
        fit: a Design to an Estimate of one row; by default what its spec names, averaged over all years after adoption.

    Returns:
        A `LeftOut`. What cannot be estimated without a state stays a row with the reason. The jackknife error is
        the root of (G - 1) / G times the sum of squared changes over the G states that enter: for a regression that is
        CR3 with this factor.

    Raises:
        StudyError: an unknown ``by``, an estimate of several rows, or one that cannot be made on everybody.
        SampleError: nothing to leave out.

    Assumption: none for the table. For the jackknife: states independent, and effects of fixed size within the weights
    that remain; an estimate that averages over treated states changes what it averages over when one goes.

    Source: Efron and Stein (1981), Annals of Statistics 9(3); MacKinnon, Nielsen and Webb (2023), Journal of Applied
    Econometrics 38(5).

    Example:
        ``leave_out(design).table.sort_values("change")``
    """
    if by not in ("state", "cohort"):
        raise StudyError(f"by = {by!r}", "'state' or 'cohort'", "the call")
    if design.kind != "panel" and by == "cohort":
        raise StudyError(f"cohorts of a {design.kind}", "'state', or a panel", "the call")
    make = fit or one_effect
    whole = make(design)
    _one_row(whole)
    counties = design.table.drop_duplicates("county_fips").set_index("county_fips")
    if by == "state":
        group = counties["state"].astype(str)
    else:
        adopts = design.table["treated"].groupby(design.table["county_fips"]).any()
        group = counties["cohort"].where(adopts.reindex(counties.index)).dropna().astype(int).astype(str)
    names = sorted(group.unique())
    if len(names) < 2:
        raise SampleError(f"{len(names)} {by} to leave out", f"at least two {by}s", "sample")
    members = whole.counties[np.nan_to_num(whole.treated[:, 0]) > 0]
    rows = []
    for name in names:
        gone = group.index[group == name]
        rows.append(
            {"left_out": name, "treated_left_out": int(members.isin(gone).sum())}
            | _without(design, gone, make, whole)
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("n_treated", "n_states", "n_comparison"):
        table[column] = table[column].astype("Int64")
    found = table["estimate"].dropna()
    reach = (float(found.min()), float(found.max())) if len(found) else (float("nan"), float("nan"))
    return LeftOut(table, whole, _jackknife(table, whole, group) if by == "state" else float("nan"), reach)


def _one_row(estimate: Estimate) -> None:
    if len(estimate.table) != 1:
        raise StudyError(
            f"{estimate.estimator} gives {len(estimate.table)} rows", "one effect: aggregate(…, over='post')", "fit"
        )  # fmt: skip


def _without(design: Design, gone: pd.Index, make: Fit, whole: Estimate) -> dict[str, Any]:
    table = design.table[~design.table["county_fips"].isin(gone)].reset_index(drop=True)
    nothing = dict.fromkeys(COLUMNS[2:-1], np.nan) | dict.fromkeys(COLUMNS[2:5], pd.NA)
    try:
        if table.empty or table["treated"].all() or not table["treated"].any():
            raise SampleError("no treated or no comparison county is left", "both", "sample")
        rest = make(replace(design, table=table, baseline=baseline_mean(table, design.kind)))
        _one_row(rest)
    except (StudyError, np.linalg.LinAlgError) as error:
        return nothing | {"failure": " ".join(str(error).split())}
    row, full = rest.table.iloc[0], whole.table.iloc[0]
    if not np.isfinite(row["estimate"]):
        return nothing | {"failure": rest.notes[-1]}
    entered = ~np.isnan(rest.treated[:, 0])
    is_treated = np.nan_to_num(rest.treated[:, 0]) > 0
    change = float(row["estimate"] - full["estimate"])
    scale = float(full["std_error"])
    return {
        "n_treated": int(is_treated.sum()),
        "n_states": len(treated_states(rest)),
        "n_comparison": int((entered & ~is_treated).sum()),
        **{name: float(row[name]) for name in ("estimate", "std_error", "conf_low", "conf_high")},
        "change": change,
        "change_in_errors": change / scale if scale > 0 else np.nan,
        "failure": "",
    }


def _jackknife(table: pd.DataFrame, whole: Estimate, group: pd.Series) -> float:
    """Return the error from leaving out each state with a county in the estimate; missing where one cannot be."""
    entered = whole.counties[~np.isnan(whole.treated[:, 0])]
    states = group.reindex(entered).unique()
    changes = table.set_index("left_out").loc[sorted(states), "change"].to_numpy(dtype=float)
    g = len(changes)
    return float(np.sqrt((g - 1) / g * np.sum(changes**2))) if g > 1 else float("nan")


def left_out_frame(panel: Panel, specs: Sequence[Spec]) -> pd.DataFrame:
    """Return estimates of some specifications without each state and each cohort in turn.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: panels, without grids.

    Returns:
        spec, measure, within, weights, by (state or cohort), the columns of `LeftOut.table`, and of the whole: estimate,
        standard error and jackknife error (missing by cohort), each with ``whole_`` before its name. Where there are not
        two of them to leave out, one row with the reason in ``failure``.
    """
    parts = []
    for spec in specs:
        design = make_design(panel, spec)
        for by in BOTH:
            about = {
                "spec": spec.name, "measure": spec.outcome.measure, "within": spec.within,
                "weights": spec.estimator.weights, "by": by, "baseline": design.baseline,
            }  # fmt: skip
            try:
                found = leave_out(design, by=by)
            except SampleError as error:
                nothing = pd.DataFrame([{"left_out": "", "failure": " ".join(str(error).split())}])
                parts.append(nothing.reindex(columns=list(COLUMNS)).assign(**about))
                continue
            line = found.whole.table.iloc[0]
            of_whole = {
                "whole_estimate": float(line["estimate"]), "whole_std_error": float(line["std_error"]),
                "whole_jackknife": found.jackknife,
            }  # fmt: skip
            parts.append(found.table.assign(**about, **of_whole))
    return pd.concat(parts, ignore_index=True)

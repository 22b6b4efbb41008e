"""Reporting, both ways: what the affected residents' willingness to report would have to do to make an estimate.

Reported offences fall short of those suffered, and a limit on cooperation may move the gap: up, if trust makes victims
report; down, where fear goes on; while what is suffered may move as well (protocol rule 23). `reporting_break_even` asks
how much reporting alone would have to move, and whether it can; `reporting_implied` runs what surveys state and find
through the same arithmetic in either direction; `reporting_yardsticks` holds offences beside two that are reported
nearly whoever the victim is. The algebra is in `analysis.estimation.panel_inference.reporting`.

Affected residents are taken to be the foreign-born, the Hispanic or the residents without citizenship of treated
counties; each is a stand-in, and none is observed among victims. A change in per cent is one of the treated areas' mean
before adoption (cross-section: of the comparison mean), taken as known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import StudyError
from analysis.base.records import Panel
from analysis.design.design import Design, make_design
from analysis.design.spec import Spec
from analysis.estimation.estimate import Estimate, cluster_labels
from analysis.estimation.panel_inference.families import align_influence
from analysis.estimation.panel_inference.reporting import (
    break_even,
    group_rate,
    headroom,
    joint_difference,
    mean_share,
    possible,
    reported_change,
    share_of,
    undone,
    victimisation_of_affected,
    victimisation_of_all,
)
from analysis.evidence.reporting_inputs import (
    CHANGE,
    CHANGES,
    GROUPS,
    RATE_RATIO,
    RISK_RATIO,
    Input,
    Inputs,
    load_inputs,
)
from analysis.evidence.results import states_of_row, unit_of_estimate
from analysis.evidence.runs import one_effect
from analysis.evidence.units import LOG_POINTS, percent_of
from analysis.evidence.verdict import informative

Array = NDArray[np.float64]

# Where each group's share of a county's residents stands in the panel: before the policies, but for citizenship, which no
# earlier vintage of the panel has.
SHARES: Mapping[str, str] = dict(
    zip(GROUPS, ("foreign_born_2006_2010", "hispanic_2010", "non_citizen_2014_2018"), strict=True)
)
ENDS = ("estimate", "conf_low", "conf_high")
YARDSTICKS = ("murder", "motor_vehicle_theft")
"""Offences of which nearly all come to the notice of the police, whoever the victim is."""
OFFENCES = (
    *YARDSTICKS,
    "robbery",
    "aggravated_assault",
    "burglary",
    "larceny",
    "violent_ex_rape",
    "property",
)
PERCENT = "per cent"
AS_FOUND, REVERSED = "as_found", "reversed"
OF_SPEC = ("spec", "measure", "n_treated", "informative", "simulated", "level", "unit")
BREAK_EVEN = (
    *OF_SPEC, "percent", "percent_low", "percent_high", "end", "reported", "group", "share_of_residents", "share_of_reports",
    "share_known", "risk_ratio", "rate_ratio", "rate", "headroom", "break_even", "possible", "share_needed", "failure",
)  # fmt: skip
IMPLIED = (
    *OF_SPEC, "percent", "percent_low", "percent_high", "group", "share_of_reports", "input", "kind", "confidence", "nearest",
    "direction", "stated", "reporting", "capped", "victimisation", "implied", "inside", "all", "all_low", "all_high",
    "affected", "affected_low", "affected_high",
)  # fmt: skip
DIFFERENCE = ("difference", "difference_low", "difference_high", "difference_p", "correlation")
BESIDE = (
    *OF_SPEC, "design", "rate", "percent", "percent_low", "percent_high", *(f"most_{group}" for group in GROUPS),
    "yardstick", "yardstick_percent", "yardstick_low", "yardstick_high", *DIFFERENCE, "note", "failure",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Relative:
    """One effect in per cent of the mean it is a change of.

    Args:
        estimate: the record, of one row.
        values: (3,) estimate and both ends of its interval, per cent.
        error: its standard error, in per cent.
        design: what it was estimated on.
    """

    estimate: Estimate
    values: Array
    error: float
    design: Design


def reporting_break_even(panel: Panel, specs: Iterable[Spec], inputs: Inputs | None = None) -> pd.DataFrame:
    """Return by how much affected residents' reporting would have to move for an estimate to be reporting alone.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids; each gives one effect.
        inputs: by default those of ``data/reporting.toml``: reporting rates by offence, ratios of risks and of rates.

    Returns:
        Columns BREAK_EVEN, a row a specification, end (the estimate, either end of its interval), group and pair of
        ratios: ``reported`` is that end, in per cent of the mean; ``share_of_residents`` the group's share of the
        treated areas' residents, weighted as the estimate is, ``share_of_reports`` of their reported offences, given how
        often its members are victims (``risk_ratio``) and report (``rate_ratio``), both against the others; counties
        weigh there by the estimate's weight times their rate before adoption (cross-section: by the weight alone).
        ``share_known``: of that weight, where the group's share is known. ``rate``: share of its victimisations that is
        reported before; ``headroom``: the most by which that can rise, per cent; ``break_even``: the change in it that
        equals ``reported``, per cent; ``possible``: not below -100 and not above the headroom. ``share_needed``: the
        least share of reports at which reporting could make ``reported``, with this headroom (of a fall: with everything
        of theirs unreported); above 1 none could. Both ratios are one while the other varies. A specification that fails
        keeps a row with the reason.

    Assumption: one relative change of reporting in all treated counties, everybody else's reporting and all
        victimisation unmoved; national reporting rates hold in treated counties. In a cross-section the change is the gap
        to comparison counties.

    Example:
        ``reporting_break_even(panel, load_spec("headline").expand())``
    """
    known = inputs or load_inputs()
    shares = _county_shares(panel)
    rows: list[dict[str, Any]] = []
    for spec in specs:
        made = _told(spec, _relative, panel, spec)
        if isinstance(made, str):
            rows.append(
                {"spec": spec.name, "measure": spec.outcome.measure, "unit": PERCENT, "failure": made}
            )
            continue
        found = _told(spec, _break_even_rows, made, shares, known)
        rows += [{**_about(made), "failure": found}] if isinstance(found, str) else found
    return _typed(pd.DataFrame(rows, columns=list(BREAK_EVEN)), ("informative", "possible", "simulated"))


def reporting_implied(bounds: pd.DataFrame, inputs: Inputs | None = None) -> pd.DataFrame:
    """Return what each survey's change in reporting, run both ways, would do to reported offences, and what is left.

    Args:
        bounds: from `reporting_break_even`.
        inputs: by default those of ``data/reporting.toml``.

    Returns:
        Columns IMPLIED, a row a specification, group, input and direction, for equal risks and rates. ``as_found``: a
        limit on cooperation does what was found under limits, or undoes what was found under enforcement (a fall by 30 %
        becomes the rise of 43 % from what is left); ``reversed``: it does the opposite. ``stated`` is the change in the
        group's reporting so told and ``reporting`` the one used: no more than the headroom (``capped``), per cent; an
        input on victimisation alone leaves reporting as it was. ``victimisation``: what goes with it, 0 where the input
        knows none. ``implied``: the change in reported offences that both would make; ``inside``: within the interval.
        ``all`` with its ends: the change in what everybody suffers that is left if reporting moved so (and victimisation
        by one factor for all); ``affected`` with its ends: the same if others suffer as before; below -100 it cannot be.
        All in per cent. ``nearest``: the group is the one of the input. Specifications that failed have no row.

    Assumption: as in `reporting_break_even`; a stated intention is acted on; what was found elsewhere holds for every
        member of the group here, whichever offence.

    Example:
        ``reporting_implied(reporting_break_even(panel, load_spec("headline").expand()))``
    """
    known = inputs or load_inputs()
    even = bounds["failure"].eq("") & bounds["risk_ratio"].eq(1.0) & bounds["rate_ratio"].eq(1.0)
    rows = []
    for row in bounds[even & bounds["end"].eq(ENDS[0])].to_dict("records"):
        for one in known.of(*CHANGES):
            # A finding on victimisation that was made with one on reporting stands in that one's row.
            paired = one.quantity != CHANGE and one.goes_with
            if one.holds_for(str(row["measure"])) and not paired:
                rows += [_implied_row(row, one, known, direction) for direction in (AS_FOUND, REVERSED)]
    return _typed(
        pd.DataFrame(rows, columns=list(IMPLIED)), ("informative", "capped", "inside", "nearest", "simulated")
    )


def reporting_yardsticks(
    panel: Panel, specs: Iterable[Spec], inputs: Inputs | None = None, offences: Sequence[str] = OFFENCES
) -> pd.DataFrame:
    """Return every offence beside murder and motor-vehicle theft, under one design at a time.

    Were an estimate reporting alone, offences that are reported anyway would not move.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: without grids; of those that differ in the outcome alone one stands for all.
        inputs: by default those of ``data/reporting.toml``.
        offences: measures, each run under every design.

    Returns:
        Columns BESIDE, a row a design, offence and yardstick (another offence than itself): ``rate``, share of
        victimisations reported; ``percent`` with its interval; ``most_foreign_born``, ``most_hispanic``,
        ``most_non_citizen``: the rise in reported offences if that group came to report everything, at equal risks and
        rates, per cent; the yardstick's own estimate; ``difference``: offence less yardstick, in percentage points of
        their means, with its interval, p-value and the ``correlation`` of the two estimates. ``note`` says why a
        difference has no interval. A design that fails keeps a row with the reason.

    Assumption: errors of both estimates are correlated as their contributions by state are; the means are known.

    Example:
        ``reporting_yardsticks(panel, load_spec("headline").expand())``
    """
    known = inputs or load_inputs()
    shares = _county_shares(panel)
    bases: dict[str, Spec] = {}
    for spec in specs:
        bases.setdefault(design_of(spec.name), spec)
    rows: list[dict[str, Any]] = []
    for design, base in bases.items():
        made: dict[str, Relative] = {}
        rises: dict[str, dict[str, Any]] = {}
        for measure in dict.fromkeys((*YARDSTICKS, *offences)):
            name = f"{design}/measure={measure}"
            spec = base.replace({"outcome.measure": measure, "name": name})
            one = _told(spec, _relative, panel, spec)
            most = _told(spec, _most, one, shares, known) if isinstance(one, Relative) else one
            if isinstance(most, str):
                failed = {
                    "spec": name,
                    "design": design,
                    "measure": measure,
                    "unit": PERCENT,
                    "failure": most,
                }
                rows += [{**failed, "yardstick": "", "note": ""}] if measure in offences else []
            else:
                made[measure], rises[measure] = one, most
        for measure in (name for name in offences if name in made):
            about = {**_about(made[measure]), "design": design, **rises[measure]}
            beside = [name for name in YARDSTICKS if name != measure and name in made]
            rows += [{**about, **_beside(made[measure], name, made[name])} for name in beside]
    return _typed(pd.DataFrame(rows, columns=list(BESIDE)), ("informative", "simulated"))


def design_of(name: str) -> str:
    """Return the name of a specification without the outcome's.

    Example:
        >>> design_of("headline/border/measure=property"), design_of("headline/measure=murder")
        ('headline/border', 'headline')
    """
    return "/".join(part for part in name.split("/") if not part.startswith("measure="))


# ---------------------------------------------------------------------------------------------------------------
# One estimate, and who is affected
# ---------------------------------------------------------------------------------------------------------------


def _told(spec: Spec, make: Callable[..., Any], *given: Any) -> Any:
    """Return what is made of what is given, or why it cannot be; a fault of ours says where it happened."""
    try:
        return make(*given)
    except (StudyError, np.linalg.LinAlgError) as error:
        return " ".join(str(error).split())
    except Exception as error:
        error.add_note(f"while bounding the reporting of '{spec.name}'")
        raise


def _relative(panel: Panel, spec: Spec) -> Relative:
    design = make_design(panel, spec)
    estimate = one_effect(design)
    if len(estimate.table) != 1:
        raise StudyError(f"{len(estimate.table)} effects of '{spec.name}'", "one effect", spec.where)
    line, unit = estimate.table.iloc[0], unit_of_estimate(estimate)
    values = np.array([percent_of(float(line[end]), unit, estimate.baseline) for end in ENDS])
    if not np.isfinite(values[0]):
        raise StudyError(
            f"'{spec.name}' has no effect in per cent of a mean",
            "an estimate and a mean above zero",
            spec.where,
        )
    # The slope of the percentage in the estimate.
    slope = 100 / estimate.baseline if unit != LOG_POINTS else 100 + values[0]
    return Relative(estimate, values, float(slope * line["std_error"]), design)


def _about(made: Relative) -> dict[str, Any]:
    estimate = made.estimate
    value, low, high = made.values
    treated = int(estimate.table["n_treated"].iloc[0])
    return {
        "spec": estimate.spec.name, "measure": estimate.spec.outcome.measure, "unit": PERCENT,
        "n_treated": treated, "informative": informative(treated, len(states_of_row(estimate, 0))),
        "simulated": estimate.stamp.simulated, "level": estimate.inference.level, "failure": "",
        "percent": value, "percent_low": low, "percent_high": high,
    }  # fmt: skip


def _county_shares(panel: Panel) -> pd.DataFrame:
    """Return each county's share of residents in each group, by county; a group the panel lacks is missing."""
    counties = panel.table.drop_duplicates("county_fips").set_index("county_fips")
    return pd.DataFrame(
        {group: counties.get(column, np.nan) for group, column in SHARES.items()}, index=counties.index
    )


def _weights(made: Relative) -> tuple[pd.Index, Array, Array]:
    """Return the treated counties, the estimate's weight on each, and that times its rate before adoption."""
    estimate, table = made.estimate, made.design.table
    weight = np.nan_to_num(estimate.treated[:, 0])
    counties, weight = estimate.counties[weight > 0], weight[weight > 0]
    if made.design.kind != "panel":
        return counties, weight, weight
    before = (
        table[~table["treated"]]
        .groupby("county_fips")["outcome"]
        .mean()
        .reindex(counties)
        .to_numpy(dtype=float)
    )
    level = np.exp(before) if estimate.spec.outcome.scale == "log_rate" else before
    seen = np.isfinite(level)
    # A county without a year before adoption counts at the mean rate of the others.
    level = np.where(seen, level, np.average(level[seen], weights=weight[seen]) if seen.any() else 1.0)
    return counties, weight, weight * level


def _shares(made: Relative, shares: pd.DataFrame, group: str, risk: float, rate: float) -> tuple[float, ...]:
    """Return a group's share of residents, of victims and of reports in treated counties, and of the weight known."""
    counties, weight, reports = _weights(made)
    residents = shares[group].reindex(counties).to_numpy(dtype=float)
    if np.isnan(residents).all():
        raise StudyError(
            f"no share of residents {group} in the treated counties",
            f"the column {SHARES[group]}",
            "the panel",
        )
    victims = share_of(residents, risk)
    of_reports, known = mean_share(share_of(victims, rate), reports)
    return mean_share(residents, weight)[0], mean_share(victims, reports)[0], of_reports, known


# ---------------------------------------------------------------------------------------------------------------
# Rows
# ---------------------------------------------------------------------------------------------------------------


def _ratios(known: Inputs) -> list[tuple[float, float]]:
    """Return pairs of a ratio of risks and one of rates: both one, then either varied alone."""
    pairs = [(1.0, 1.0)]
    pairs += [(one.value, 1.0) for one in known.of(RISK_RATIO)]
    pairs += [(1.0, one.value) for one in known.of(RATE_RATIO)]
    return list(dict.fromkeys(pairs))


def _break_even_rows(made: Relative, shares: pd.DataFrame, known: Inputs) -> list[dict[str, Any]]:
    about, everybody = _about(made), known.rate(made.estimate.spec.outcome.measure).fraction
    rows = []
    for group in GROUPS:
        for risk, ratio in _ratios(known):
            residents, victims, reports, held = _shares(made, shares, group, risk, ratio)
            rate = group_rate(everybody, victims, ratio).item()
            most = headroom(rate).item()
            for end, value in zip(ENDS, made.values / 100, strict=True):
                change = break_even(value, reports).item()
                reach = most if value > 0 else 1.0
                rows.append(
                    {
                        **about, "end": end, "reported": 100 * value, "group": group, "share_of_residents": residents,
                        "share_of_reports": reports, "share_known": held, "risk_ratio": risk, "rate_ratio": ratio,
                        "rate": rate, "headroom": 100 * most, "break_even": 100 * change,
                        "possible": bool(possible(change, rate)),
                        "share_needed": abs(value) / reach if reach > 0 else np.inf,
                    }
                )  # fmt: skip
    return rows


def _implied_row(row: Mapping[Any, Any], one: Input, known: Inputs, direction: str) -> dict[str, Any]:
    other = known.input(one.goes_with) if one.goes_with else None
    stated = _under_limits(one, direction) if one.quantity == CHANGE else 0.0
    suffered = other if one.quantity == CHANGE else one
    victims = _under_limits(suffered, direction) if suffered is not None else 0.0
    reporting = min(stated, float(row["headroom"]) / 100)
    share = float(row["share_of_reports"])
    values = np.array([row[name] for name in ("percent", "percent_low", "percent_high")], dtype=float) / 100
    implied = reported_change(share, reporting, victims).item()
    everybody = 100 * victimisation_of_all(values, share, reporting)
    affected = 100 * victimisation_of_affected(values, share, reporting)
    return {
        **{name: row[name] for name in (*OF_SPEC, "percent", "percent_low", "percent_high", "group", "share_of_reports")},
        "input": one.id, "kind": one.kind, "confidence": one.confidence, "nearest": one.group == row["group"],
        "direction": direction, "stated": 100 * stated, "reporting": 100 * reporting, "capped": reporting < stated,
        "victimisation": 100 * victims, "implied": 100 * implied, "inside": bool(values[1] <= implied <= values[2]),
        **dict(zip(("all", "all_low", "all_high"), everybody, strict=True)),
        **dict(zip(("affected", "affected_low", "affected_high"), affected, strict=True)),
    }  # fmt: skip


def _under_limits(one: Input, direction: str) -> float:
    return undone(one.under_limits) if direction == REVERSED else one.under_limits


def _most(made: Relative, shares: pd.DataFrame, known: Inputs) -> dict[str, Any]:
    rate = known.rate(made.estimate.spec.outcome.measure).fraction
    found: dict[str, Any] = {"rate": rate}
    for group in GROUPS:
        reports = _shares(made, shares, group, 1.0, 1.0)[2]
        found[f"most_{group}"] = 100 * reported_change(reports, headroom(rate)).item()
    return found


def _beside(made: Relative, name: str, yardstick: Relative) -> dict[str, Any]:
    value, low, high = yardstick.values
    about: dict[str, Any] = {
        "yardstick": name, "yardstick_percent": value, "yardstick_low": low, "yardstick_high": high, "note": "",
        "difference": made.values[0] - value,
    }  # fmt: skip
    by = made.estimate.inference.by
    both = (made.estimate, yardstick.estimate)
    parts = [one.influence for one in both if one.influence is not None]
    if len(parts) < len(both):
        return about | {
            "note": f"errors by {by.replace('_', ' ')} come without contributions: no joint error"
        }
    # Of contributions the correlation alone is taken: their unit does not matter.
    influence, counties = align_influence(parts, [one.counties.to_numpy(dtype=str) for one in both])
    try:
        found = joint_difference(
            [made.values[0], value], [made.error, yardstick.error], influence,
            cluster_labels(pd.Index(counties), by), level=made.estimate.inference.level,
            df=min(one.inference.df for one in both),
        )  # fmt: skip
    except ValueError as error:
        return about | {"note": str(error)}
    return about | dict(
        zip(
            DIFFERENCE, (found.estimate, found.low, found.high, found.p_value, found.correlation), strict=True
        )
    )


def _typed(table: pd.DataFrame, flags: Sequence[str]) -> pd.DataFrame:
    table = table.astype(dict.fromkeys(flags, "boolean") | {"n_treated": "Int64"})
    return table.assign(**{name: table[name].fillna("") for name in ("failure", "note") if name in table})

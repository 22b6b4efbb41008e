"""Third room: a Design becomes an Estimate.

No files, no panel, no figures; one estimator never imports another.
"""

from __future__ import annotations

from importlib import import_module

from analysis.base.errors import SpecError, nearest
from analysis.design.design import Design
from analysis.design.estimators import ESTIMATORS as RULES
from analysis.estimation.estimate import (
    Estimate,
    Inference,
    aggregate,
    check_estimate,
    recluster,
    treated_states,
)

# Modules are imported when asked for: the engines behind them take a second or more to load.
ESTIMATORS = {
    **{name: "analysis.estimation.matched" for name, rules in RULES.items() if rules.kind == "cross_section"},
    "matched_did": "analysis.estimation.matched_did",
    "two_way": "analysis.estimation.two_way",
    "imputation": "analysis.estimation.imputation",
    "two_stage": "analysis.estimation.imputation",
    "interaction_weighted": "analysis.estimation.interaction_weighted",
    "stacked": "analysis.estimation.stacked",
    "extended_two_way": "analysis.estimation.extended_two_way",
    "local_projections": "analysis.estimation.local_projections",
    "poisson": "analysis.estimation.poisson",
    "group_time_att": "analysis.estimation.group_time",
    "border_pairs": "analysis.estimation.border_pairs",
    "synthetic_control": "analysis.estimation.synthetic",
    "synthetic_did": "analysis.estimation.synthetic",
    "before_after": "analysis.estimation.before_after",
    "two_by_two": "analysis.estimation.two_by_two",
}

__all__ = [
    "ESTIMATORS",
    "Estimate",
    "Inference",
    "aggregate",
    "check_estimate",
    "fit",
    "recluster",
    "treated_states",
]


def fit(design: Design) -> Estimate:
    """Estimate what the design's spec asks for, with the estimator it names.

    Args:
        design: from ``make_design``.

    Returns:
        A row an event time for ``group_time_att`` and ``matched_did``, one row for the others.

    Raises:
        SpecError: no such estimator.
        StudyError: nothing can be estimated on this design.
    """
    name = design.spec.estimator.name
    if name not in ESTIMATORS:
        raise SpecError(
            f'estimator.name = "{name}"{nearest(name, ESTIMATORS)}', f"one of {', '.join(ESTIMATORS)}"
        )
    estimate: Estimate = import_module(ESTIMATORS[name]).fit(design)
    return estimate

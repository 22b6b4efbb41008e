"""Do policies that limit immigration detainers change reported crime? The public names of the study.

A study is a chain of plain tables: raw files, tidy tables, panel, design, estimates, figures. The names below are the
links; each loads its room when it is first used, so that importing the package costs nothing.

Example:
    >>> import analysis
    >>> "make_design" in analysis.__all__
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Panel": "analysis.base.records",
    "load_panel": "analysis.panel.build",
    "load_cities": "analysis.panel.build",
    "city_areas": "analysis.panel.city_areas",
    "add_county_file": "analysis.panel.county_file",
    "load_county_file": "analysis.panel.county_file",
    "make_panel": "analysis.panel.build",
    "make_twin": "analysis.panel.twin",
    "Spec": "analysis.design.spec",
    "load_spec": "analysis.design.spec",
    "Design": "analysis.design.design",
    "make_design": "analysis.design.design",
    "describe": "analysis.design.words",
    "definitions_table": "analysis.design.treatment",
    "treatment_summary": "analysis.design.treatment",
    "Estimate": "analysis.estimation.estimate",
    "fit": "analysis.estimation",
    "aggregate": "analysis.estimation.estimate",
    "check_estimate": "analysis.estimation.estimate",
    "match": "analysis.estimation.matched",
    "group_time": "analysis.estimation.group_time",
    "balance": "analysis.evidence.checks.balance",
    "balance_table": "analysis.evidence.checks.balance",
    "overlap": "analysis.evidence.checks.overlap",
    "score_frame": "analysis.evidence.checks.overlap",
    "hidden_bias": "analysis.evidence.checks.hidden_bias",
    "matches": "analysis.evidence.matches",
    "match_balance": "analysis.evidence.matches",
    "methods_plot": "analysis.report.method_figures",
    "pretrends": "analysis.evidence.checks.pretrends",
    "honest_bounds": "analysis.evidence.checks.honest",
    "breakdown": "analysis.evidence.checks.honest",
    "pretrend_power": "analysis.evidence.checks.honest",
    "bacon": "analysis.evidence.checks.decomposition",
    "residual_weights": "analysis.evidence.checks.decomposition",
    "leave_out": "analysis.evidence.checks.leave_out",
    "placebo_specs": "analysis.evidence.checks.placebo",
    "placebo_table": "analysis.evidence.checks.placebo",
    "family_table": "analysis.evidence.checks.families",
    "capability": "analysis.evidence.designs",
    "ladder": "analysis.evidence.designs",
    "who_identifies": "analysis.evidence.designs",
    "equivalence": "analysis.evidence.checks.equivalence",
    "fit_all": "analysis.evidence.runs",
    "run_specs": "analysis.evidence.runs",
    "one_effect": "analysis.evidence.runs",
    "by_design": "analysis.evidence.designs",
    "load_grid": "analysis.design.grid",
    "plan": "analysis.evidence.multiverse",
    "run_grid": "analysis.evidence.multiverse",
    "fit_grid": "analysis.evidence.multiverse",
    "curve": "analysis.evidence.curve",
    "shares": "analysis.evidence.curve",
    "importance": "analysis.evidence.curve",
    "partial_dependence": "analysis.evidence.curve",
    "published_places": "analysis.evidence.curve",
    "joint_test": "analysis.evidence.curve",
    "nulls": "analysis.evidence.checks.nulls",
    "power_curves": "analysis.evidence.checks.nulls",
    "simulated_tests": "analysis.evidence.checks.nulls",
    "equivalence_tests": "analysis.evidence.checks.nulls",
    "sign_errors": "analysis.evidence.checks.nulls",
    "exclusion_sentence": "analysis.evidence.checks.nulls",
    "omitted": "analysis.evidence.checks.omitted",
    "bias_needed": "analysis.evidence.checks.omitted",
    "misclassification_bounds": "analysis.evidence.checks.misclassified",
    "breakdown_shares": "analysis.evidence.checks.misclassified",
    "definition_disagreement": "analysis.evidence.checks.misclassified",
    "relabelled_at_random": "analysis.evidence.checks.misclassified",
    "relabelled_on_purpose": "analysis.evidence.checks.misclassified",
    "reporting_break_even": "analysis.evidence.checks.reporting",
    "reporting_implied": "analysis.evidence.checks.reporting",
    "reporting_yardsticks": "analysis.evidence.checks.reporting",
    "coverage_bounds": "analysis.evidence.checks.coverage_bounds",
    "unreported": "analysis.evidence.checks.coverage_bounds",
    "california": "analysis.evidence.checks.california",
    "wong_builds": "analysis.evidence.checks.builds",
    "load_published": "analysis.evidence.published",
    "audit": "analysis.evidence.audit",
    "recompute": "analysis.evidence.audit",
    "ledger_specifications": "analysis.evidence.ledger",
    "ledger": "analysis.evidence.ledger",
    "verdict_shares": "analysis.evidence.ledger",
    "class_moves": "analysis.evidence.ledger",
    "forest": "analysis.evidence.synthesis",
    "wong_multiverse_figure": "analysis.report.wong_figures",
    "wong_classes_figure": "analysis.report.wong_figures",
    "curve_plot": "analysis.report.curve_figures",
    "partial_rows": "analysis.report.curve_figures",
    "partial_plot": "analysis.report.curve_figures",
    "power_plot": "analysis.report.null_figures",
    "contour_rows": "analysis.report.bias_tables",
    "contour_plot": "analysis.report.bias_figures",
    "headline": "analysis.evidence.headline",
    "movement": "analysis.evidence.headline",
    "load_shapes": "analysis.study",
    "status_frame": "analysis.report.outputs",
    "coverage_by_state": "analysis.report.figures",
    "coverage_plot": "analysis.report.figures",
    "trend_series": "analysis.report.figures",
    "stamp_simulated": "analysis.report.style",
    "estimate_text": "analysis.report.words",
    "with_intervals": "analysis.report.words",
    "table": "analysis.report.tables",
    "event_plot": "analysis.report.figures",
    "forest_plot": "analysis.report.figures",
    "love_plot": "analysis.report.figures",
    "trend_plot": "analysis.report.figures",
    "map_plot": "analysis.report.maps",
    "ecdf_plot": "analysis.report.match_figures",
    "density_plot": "analysis.report.match_figures",
    "support_plot": "analysis.report.match_figures",
    "love_grid": "analysis.report.match_figures",
    "match_map": "analysis.report.match_figures",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name from its room."""
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return __all__

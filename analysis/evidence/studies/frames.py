"""Names of the frames the published studies give outputs and sentences: what is kept in ``data/results``, and how."""

from __future__ import annotations

LONG = ("study_results", "ledger_specifications")
"""Tables of every specification."""
OF_RESULTS = ("city_lists", "wong_builds", "detainer_records")
"""Frames that the registry has no part in."""
OF_LEDGER = (
    "ledger", "verdict_shares", "class_moves", "forest", "summaries", "registry", "registry_audit", "detainer_weeks",
    "places_counted", "class_counts", "reporting_agreement", "others",
)  # fmt: skip
"""Frames that read the registry, and are made anew where a figure of it changes."""
KEPT = (*OF_RESULTS, *OF_LEDGER)
QUARTERLY = "quarterly_loss"
"""What years lose against quarters: SIMULATED, from ``docs/quarterly_loss.csv``."""
FRAMES = (*LONG, *KEPT, QUARTERLY)

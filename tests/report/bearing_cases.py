"""Frames of what the numbers can bear, as the study's committed results hold them: their shapes are what is tested."""

from __future__ import annotations

import json
from functools import cache

import pandas as pd

from analysis.base.paths import ROOT, Paths
from analysis.evidence.bearing import FRAMES
from analysis.evidence.multiverse import read_multiverse
from analysis.evidence.reporting_inputs import load_inputs
from analysis.evidence.studies import frames as of_studies
from analysis.study import read_kept

RESULTS = Paths(ROOT).results
# Of the grid's cells every so many: enough for every option to be there.
EVERY = 13


@cache
def frames() -> dict[str, pd.DataFrame]:
    kept = {name: read_kept(RESULTS / f"{name}.csv") for name in (*FRAMES, "joint_test", "grid_plan")}
    cells = read_multiverse(RESULTS / "multiverse.parquet").iloc[::EVERY].reset_index(drop=True)
    studies = {name: read_kept(RESULTS / f"{name}.csv") for name in of_studies.KEPT}
    studies["study_results"] = pd.read_parquet(RESULTS / "studies.parquet")
    studies["ledger_specifications"] = pd.read_parquet(RESULTS / "ledger_specifications.parquet")
    studies[of_studies.QUARTERLY] = pd.read_csv(ROOT / "docs" / f"{of_studies.QUARTERLY}.csv")
    return kept | studies | {"multiverse": cells, "reporting_inputs": load_inputs().frame()}


def digests() -> dict[str, str]:
    """Stand-ins, so that no test hashes long tables."""
    facts = json.loads((RESULTS / "multiverse.json").read_text(encoding="utf-8"))
    return dict.fromkeys(frames(), facts["key"])

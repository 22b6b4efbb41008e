"""Two specs side by side: which keys differ, and how the answers move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.base.records import Panel
from analysis.design.spec import Spec
from analysis.evidence.results import ONE_EFFECT
from analysis.evidence.runs import Progress, Runs, run_specs

ANSWER = (
    "estimate",
    "conf_low",
    "conf_high",
    "n_treated",
    "n_comparison",
    "n_states",
    "precision",
    "failure",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two specs compared.

    Args:
        keys: key, left, right: what differs between the specs, grids included.
        answers: variant, outcome, unit, then left_ and right_ estimate, conf_low, conf_high, n_treated, n_comparison,
            n_states, precision, failure; ``difference`` (right less left, where the units are one) and its share of
            the left baseline in per cent.
        left, right: the runs.
    """

    keys: pd.DataFrame
    answers: pd.DataFrame
    left: Runs
    right: Runs


def compare(
    spec_a: Spec, spec_b: Spec, panel: Panel, *, progress: Progress | None = None, jobs: int = 1
) -> Comparison:
    """Return which keys differ between two specs and how their answers differ.

    Specifications of two grids are paired by what they vary (``measure=property`` with ``measure=property``); where
    that leaves none in common and one side is a single specification, by outcome measure. The rest stand alone.

    Args:
        spec_a, spec_b: with or without grids.
        panel: see `analysis.base.records.Panel`.
        progress: see `run_specs`.
        jobs: processes.

    Assumption: none on the difference. The two estimates rest on overlapping counties, so their intervals say nothing
    about whether the difference is chance.
    """
    left = run_specs(panel, [spec_a], progress=progress, jobs=jobs)
    right = run_specs(panel, [spec_b], progress=progress, jobs=jobs)
    return Comparison(spec_a.diff(spec_b), answers(left.results, right.results), left, right)


def answers(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
    """Return two tables of results paired by variant; see `compare`."""
    a, b = _one_effect(left), _one_effect(right)
    if not set(a["variant"]) & set(b["variant"]) and 1 in (len(a), len(b)):
        a, b = a.assign(variant=a["measure"]), b.assign(variant=b["measure"])
        a, b = a.drop_duplicates("variant"), b.drop_duplicates("variant")
    variants = list(dict.fromkeys([*a["variant"], *b["variant"]]))
    a, b = a.set_index("variant").reindex(variants), b.set_index("variant").reindex(variants)
    out = pd.DataFrame({"variant": variants})
    out["outcome"] = a["outcome"].where(a["outcome"].fillna("").ne(""), b["outcome"]).to_numpy()
    out["unit"] = a["unit"].where(a["unit"].fillna("").ne(""), b["unit"]).to_numpy()
    for name in ANSWER:
        for side, table in (("left", a), ("right", b)):
            out[f"{side}_{name}"] = table[name].to_numpy()
    # A difference is of one outcome in one unit; variants of one name may still differ in either.
    same = ((a["unit"] == b["unit"]) & (a["measure"] == b["measure"])).to_numpy()
    difference = b["estimate"].to_numpy(float) - a["estimate"].to_numpy(float)
    out["difference"] = np.where(same, difference, np.nan)
    baseline = a["baseline"].to_numpy(float)
    linear = (a["scale"] != "log_rate").to_numpy() & (baseline > 0)
    share = np.divide(100 * difference, baseline, out=np.full(len(out), np.nan), where=linear & same)
    out["difference_percent"] = share
    return out


def _one_effect(results: pd.DataFrame) -> pd.DataFrame:
    rows = results[results["estimand"].isin(ONE_EFFECT) | results["failure"].ne("")].copy()
    rows["variant"] = [name.split("/", 1)[1] if "/" in name else "" for name in rows["spec"]]
    return rows

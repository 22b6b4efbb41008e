"""What is measured: each step prepares its inputs and returns the call whose time counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.design.design import Design
from analysis.design.spec import EstimatorSection, InferenceSection
from tests.data.trees import copied_tree
from tests.estimation.estimation_cases import (
    BY_STATE,
    GROUP_TIME,
    TWO_WAY,
    make_design_of,
    make_spec,
    simulated_panel,
)

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table.

    Args:
        label: what the line says.
        unit: what one call works on.
        prepare: given a scratch folder, returns the call to time; its imports and inputs are not timed.
        processes: fresh processes.
        calls: timed calls in each, one after the other; a process with several drops its first, which loads libraries.
        simulated: whether it needs no panel made from raw files.
        target: seconds the fastest call is to stay under, where there is one; memory is then to stay under a gigabyte.
    """

    label: str
    unit: str
    prepare: Callable[[Path], Call]
    processes: int = 1
    calls: int = 8
    simulated: bool = False
    target: float | None = None


def _build(folder: Path) -> Call:
    from analysis.panel.build import make_panel

    return partial(make_panel, copied_tree(folder), force=True)


def _unchanged(folder: Path) -> Call:
    from analysis import make_panel

    return make_panel


def _load(folder: Path) -> Call:
    from analysis import load_panel

    return load_panel


def _design(folder: Path) -> Call:
    from analysis import load_panel, load_spec, make_design

    return partial(make_design, load_panel(), load_spec("main"))


def _fit(spec: str, folder: Path) -> Call:
    from analysis import fit, load_panel, load_spec, make_design

    return partial(fit, make_design(load_panel(), load_spec(spec)))


def _all_main(folder: Path) -> Call:
    from analysis import load_panel, load_spec, run_specs

    return partial(run_specs, load_panel(), [load_spec("main")])


def _national(estimator: EstimatorSection, inference: InferenceSection, comparison: str) -> Design:
    """Return a national panel that is made: 3,100 counties in 50 states, 20 years, 449 adopters in 6 cohorts."""
    return make_design_of(_panel(), make_spec(estimator, inference, comparison=comparison))


@cache
def _panel() -> pd.DataFrame:
    return simulated_panel(
        20260101,
        counties=3_100,
        states=50,
        years=range(2000, 2020),
        cohorts=tuple(range(2006, 2018, 2)),
        share=0.1285,
    )


BANDS = replace(BY_STATE, draws=999)
# The designs that are laid side by side by default.
COMPARISON = (
    TWO_WAY,
    GROUP_TIME,
    EstimatorSection("imputation", "none", within="none"),
    EstimatorSection("interaction_weighted", "none", within="none"),
    EstimatorSection("stacked", "none", within="none"),
    EstimatorSection("extended_two_way", "none", method="linear", within="none"),
    EstimatorSection("local_projections", "none", method="variance_weighted", within="none"),
)


def _group_time(folder: Path) -> Call:
    from analysis import fit

    return partial(fit, _national(GROUP_TIME, BANDS, "never_treated"))


def _comparison(folder: Path) -> Call:
    from analysis import fit

    designs = [
        _national(one, BANDS, "never_treated" if one.name == "interaction_weighted" else "not_yet_treated")
        for one in COMPARISON
    ]
    return lambda: [fit(design) for design in designs]


def _resampled(inference: InferenceSection, folder: Path) -> Call:
    from analysis import fit

    return partial(fit, _national(TWO_WAY, inference, "not_yet_treated"))


WILD = replace(BY_STATE, vcov="wild_bootstrap", draws=99_999)
DEALT = replace(BY_STATE, vcov="randomisation", draws=1_000, assignment="counties_within_states")
NATIONAL = "3,100 counties, 20 years, 6 cohorts"

STEPS = {
    "build": Step("panel from raw files", "47,070 county-years, twice, and the city panel", _build, processes=3, calls=1),
    "unchanged": Step("panel, nothing changed", "hashes compared, panel read", _unchanged),
    "load": Step("panel, read from disk", "hashes checked", _load),
    "design": Step("design of the main spec", "47,070 county-years to a sample", _design),
    "group_time": Step("group-time effects", "sample of main.toml, bands by state from 999 draws", partial(_fit, "main")),
    "two_way": Step("two-way fixed effects", "sample of two_way.toml", partial(_fit, "two_way")),
    "matched": Step("matched difference", "sample of cross_section_2015.toml", partial(_fit, "cross_section_2015")),
    "main": Step("every specification of main", "37 specifications, one process", _all_main, processes=3, calls=1),
    "simulated": Step("group-time effects, simulated", f"{NATIONAL}, bands by state from 999 draws", _group_time, simulated=True, target=0.15),
    "comparison": Step("seven estimators, simulated", f"{NATIONAL}, bands by state from 999 draws", _comparison, simulated=True, target=5.0),
    "wild": Step("wild cluster bootstrap, simulated", f"{NATIONAL}, 50 clusters, 99,999 draws", partial(_resampled, WILD), simulated=True, target=0.5),
    "randomisation": Step("randomisation, simulated", f"{NATIONAL}, two-way effects, 1,000 assignments", partial(_resampled, DEALT), simulated=True, target=10.0),
}  # fmt: skip

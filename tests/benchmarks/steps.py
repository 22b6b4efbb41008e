"""What is measured: each step prepares its inputs and returns the call whose time counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.data.trees import copied_tree

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
    """

    label: str
    unit: str
    prepare: Callable[[Path], Call]
    processes: int = 1
    calls: int = 8
    simulated: bool = False


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


def _group_time(folder: Path) -> Call:
    from analysis import fit
    from tests.estimation.estimation_cases import (
        BY_STATE,
        GROUP_TIME,
        make_design_of,
        make_spec,
        simulated_panel,
    )

    table = simulated_panel(
        20260101,
        counties=3_100,
        states=50,
        years=range(2000, 2020),
        cohorts=tuple(range(2006, 2018, 2)),
        share=0.145,
    )
    return partial(fit, make_design_of(table, make_spec(GROUP_TIME, replace(BY_STATE, draws=999))))


STEPS = {
    "build": Step("panel from raw files", "47,070 county-years, twice, and the city panel", _build, processes=3, calls=1),
    "unchanged": Step("panel, nothing changed", "hashes compared, panel read", _unchanged),
    "load": Step("panel, read from disk", "hashes checked", _load),
    "design": Step("design of the main spec", "47,070 county-years to a sample", _design),
    "group_time": Step("group-time effects", "sample of main.toml, bands by state from 999 draws", partial(_fit, "main")),
    "two_way": Step("two-way fixed effects", "sample of two_way.toml", partial(_fit, "two_way")),
    "matched": Step("matched difference", "sample of cross_section_2015.toml", partial(_fit, "cross_section_2015")),
    "main": Step("every specification of main", "37 specifications, one process", _all_main, processes=3, calls=1),
    "simulated": Step("group-time effects, simulated", "3,100 counties, 20 years, 6 cohorts, bands by state from 999 draws", _group_time, simulated=True),
}  # fmt: skip

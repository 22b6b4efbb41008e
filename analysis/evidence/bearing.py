"""What the headline estimates can bear: frames by name, made in groups from the panel and the headline specifications.

A group shares fits and is made in one process; groups are made side by side, since each takes some seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import pandas as pd

from analysis.base.errors import StudyError, nearest
from analysis.base.records import Panel
from analysis.design.spec import Spec
from analysis.evidence.checks.california import california
from analysis.evidence.checks.coverage_bounds import coverage_bounds, coverage_breaks, unreported
from analysis.evidence.checks.misclassified import (
    breakdown_shares,
    definition_disagreement,
    misclassification_bounds,
    reduce_specs,
    relabelled_at_random,
    relabelled_on_purpose,
    simex_frame,
)
from analysis.evidence.checks.nulls import (
    equivalence_tests,
    nulls,
    power_curves,
    sign_errors,
    simulated_tests,
)
from analysis.evidence.checks.omitted import bias_needed, omitted
from analysis.evidence.checks.reporting import reporting_break_even, reporting_implied, reporting_yardsticks
from analysis.evidence.runs import run_specs

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that are made together.

    Args:
        frames: their names.
        make: panel and specifications in, frames by name out.
    """

    frames: tuple[str, ...]
    make: Callable[[Panel, Sequence[Spec]], Frames]


def _coverage(panel: Panel, specs: Sequence[Spec]) -> Frames:
    return {
        "coverage_bounds": coverage_bounds(panel, specs),
        "coverage_breaks": coverage_breaks(panel, specs),
        "unreported": unreported(panel, specs),
    }


def _omitted(panel: Panel, specs: Sequence[Spec]) -> Frames:
    found = omitted(panel, specs)
    return {"omitted": found, "bias_needed": bias_needed(panel, specs, found)}


def _reporting(panel: Panel, specs: Sequence[Spec]) -> Frames:
    bounds = reporting_break_even(panel, specs)
    return {
        "reporting_break_even": bounds,
        "reporting_implied": reporting_implied(bounds),
        "reporting_yardsticks": reporting_yardsticks(panel, specs),
    }


def _misclassified(panel: Panel, specs: Sequence[Spec]) -> Frames:
    reduced = reduce_specs(panel, specs)
    return {
        "misclassification_bounds": misclassification_bounds(panel, specs, reduced=reduced),
        "breakdown_shares": breakdown_shares(panel, specs, reduced=reduced),
        "simex": simex_frame(panel, specs, reduced=reduced),
        "relabelled_at_random": relabelled_at_random(panel, specs, reduced=reduced),
        "relabelled_on_purpose": relabelled_on_purpose(panel, specs),
        "definition_disagreement": definition_disagreement(panel, specs[0]),
    }


def _nulls(panel: Panel, specs: Sequence[Spec]) -> Frames:
    runs = run_specs(panel, specs).runs
    tests = simulated_tests(panel, specs)
    return {
        "nulls": nulls(runs, tests),
        "power_curves": power_curves(panel, specs, tests=tests),
        "equivalence_tests": equivalence_tests(runs),
        "sign_errors": sign_errors(runs),
    }


def _california(panel: Panel, specs: Sequence[Spec]) -> Frames:
    return {"california": california(panel, specs)}


GROUPS: Mapping[str, Group] = {
    "coverage": Group(("coverage_bounds", "coverage_breaks", "unreported"), _coverage),
    "reporting": Group(("reporting_break_even", "reporting_implied", "reporting_yardsticks"), _reporting),
    "omitted": Group(("omitted", "bias_needed"), _omitted),
    "misclassified": Group(
        (
            "misclassification_bounds",
            "breakdown_shares",
            "simex",
            "relabelled_at_random",
            "relabelled_on_purpose",
            "definition_disagreement",
        ),
        _misclassified,
    ),
    "nulls": Group(("nulls", "power_curves", "equivalence_tests", "sign_errors"), _nulls),
    "california": Group(("california",), _california),
}
"""The longest first, so that none is waited for alone."""

FRAMES: tuple[str, ...] = tuple(name for group in GROUPS.values() for name in group.frames)


def bearing_frames(
    panel: Panel,
    specs: Sequence[Spec],
    names: Iterable[str],
    *,
    jobs: int = 1,
    done: Callable[[str], None] = lambda group: None,
) -> Frames:
    """Return frames of what the headline estimates can bear, with the others of their groups.

    Args:
        panel: see `analysis.base.records.Panel`.
        specs: the headline specifications, without grids.
        names: of FRAMES.
        jobs: processes.
        done: told the name of each group when it is made.

    Raises:
        StudyError: no such frame.

    Example:
        ``bearing_frames(panel, load_spec("headline").expand(), ["california"])["california"]``
    """
    asked = set(names)
    unknown = sorted(asked - set(FRAMES))
    if unknown:
        raise StudyError(
            f"no frame '{unknown[0]}'{nearest(unknown[0], FRAMES)}", f"one of {', '.join(FRAMES)}"
        )
    wanted = [name for name, group in GROUPS.items() if asked & set(group.frames)]
    made: Frames = {}
    if jobs <= 1 or len(wanted) < 2:
        for name in wanted:
            made |= GROUPS[name].make(panel, specs)
            done(name)
        return made
    with ProcessPoolExecutor(jobs, initializer=_hold, initargs=(panel, tuple(specs))) as pool:
        waiting = {pool.submit(_make, name): name for name in wanted}
        for future in as_completed(waiting):
            made |= future.result()
            done(waiting[future])
    return made


_HELD: list[tuple[Panel, tuple[Spec, ...]]] = []


def _hold(panel: Panel, specs: tuple[Spec, ...]) -> None:
    _HELD[:] = [(panel, specs)]


def _make(name: str) -> Frames:
    panel, specs = _HELD[0]
    return GROUPS[name].make(panel, specs)

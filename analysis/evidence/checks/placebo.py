"""Estimates that should be zero, beside the real one: adoption moved back, and outcomes a policy cannot move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.base.errors import StudyError
from analysis.design.spec import Spec
from analysis.estimation.estimate import Estimate
from analysis.evidence.checks.families import DRAWS, family_table
from analysis.evidence.results import unit_of_estimate
from analysis.evidence.units import percent_of

SHIFTS = (1, 2, 3)
COLUMNS = (
    "kind", "spec", "shift", "outcome", "unit", "estimate", "std_error", "conf_low", "conf_high", "baseline",
    "percent_of_baseline", "n_treated", "n_states", "p", "p_romano_wolf", "rejects", "rejects_adjusted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placebos:
    """Placebo estimates beside the real one.

    Args:
        table: the real estimate, then each placebo; `placebo_table` says the columns.
        count: placebos with a p-value.
        rejected: of them, those whose own p-value is below one less the level.
        expected: how many would be by chance, if each were exact.
        rejected_adjusted: those that Romano and Wolf's p-values reject.
        joint_p: of all placebos being zero: the smallest adjusted p-value. Missing without placebos that have one.
    """

    table: pd.DataFrame
    count: int
    rejected: int
    expected: float
    rejected_adjusted: int
    joint_p: float

    @property
    def words(self) -> str:
        """Return the answer as a sentence."""
        if not self.count:
            return "no placebo could be tested"
        return (
            f"{self.rejected} of {self.count} placebos reject ({self.expected:.2g} expected by chance), "
            f"{self.rejected_adjusted} once the others are counted; joint p = {self.joint_p:.3g}"
        )


def placebo_specs(spec: Spec, shifts: Sequence[int] = SHIFTS) -> tuple[Spec, ...]:
    """Return a spec with adoption moved back, once for each number of years.

    Years from the true adoption on are dropped, so that nothing of the policy is in them; ``make_design`` does both.

    Args:
        spec: of a panel; its grid is left out.
        shifts: years, from 1.

    Raises:
        SpecError: a shift the spec cannot hold.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> [(s.name, s.treatment.placebo_shift) for s in placebo_specs(load_spec("main"), [1, 2])]
        [('main/placebo-1', 1), ('main/placebo-2', 2)]
    """
    return tuple(
        spec.base().replace({"treatment.placebo_shift": int(shift), "name": f"{spec.name}/placebo-{shift}"})
        for shift in shifts
    )


def placebo_table(
    real: Estimate, placebos: Sequence[Estimate], *, draws: int = DRAWS, seed: int | None = None
) -> Placebos:
    """Lay placebo estimates beside the real one and test them together.

    Args:
        real: one effect.
        placebos: one effect each, with influence and errors like the real one's: of moved dates
            (``treatment.placebo_shift``, see `placebo_specs`), or of another outcome.
        draws: joint draws behind the adjusted p-values.
        seed: of the draws; None for that of the real estimate.

    Returns:
        `Placebos`. Its table has kind (real, date or outcome), spec, shift (years; missing for outcomes), outcome, unit,
        estimate, std_error, conf_low, conf_high, baseline, percent_of_baseline (of log points exactly), n_treated,
        n_states (with treated counties behind the row), p, p_romano_wolf (over placebos alone; missing for the real
        one), rejects and rejects_adjusted (at one less the level of the real estimate).

    Raises:
        StudyError: an estimate that is no placebo of the real one (same dates and outcome), two that are the same, or
            a family that `family_table` refuses.

    Assumption: a placebo should be zero. Of dates: nothing happened in adopting counties in those years that their
    comparisons did not share. Of outcomes: the policy cannot move them. One that rejects speaks against the comparison;
    none that does is weak evidence for it.

    Source: Romano and Wolf (2005), Econometrica 73(4), for the family.

    Example:
        ``placebo_table(real, fit_all(panel, placebo_specs(spec))).words``
    """
    kinds = [_kind(real, one) for one in placebos]
    names = [one.spec.content_digest for one in placebos]
    if len(set(names)) < len(names):
        raise StudyError("one placebo twice", "each once", "the call")
    level = real.inference.level
    start = real.inference.seed if seed is None else seed
    adjusted = (
        family_table(placebos, draws=draws, seed=start)["p_romano_wolf"].to_numpy(dtype=float)
        if len(placebos)
        else np.array([])
    )
    rows = [_row("real", real, np.nan, level)]
    rows += [_row(kind, one, p, level) for kind, one, p in zip(kinds, placebos, adjusted, strict=True)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"shift": "Int64"})
    known = np.isfinite(adjusted)
    tested = table.iloc[1:][known]
    return Placebos(
        table=table,
        count=int(known.sum()),
        rejected=int(tested["rejects"].sum()),
        expected=float((1 - level) * known.sum()),
        rejected_adjusted=int(tested["rejects_adjusted"].sum()),
        joint_p=float(np.min(adjusted[known])) if known.any() else float("nan"),
    )


def _kind(real: Estimate, one: Estimate) -> str:
    if one.spec.treatment.placebo_shift is not None:
        return "date"
    if one.spec.outcome.measure != real.spec.outcome.measure:
        return "outcome"
    raise StudyError(
        f"{one.spec.name} as a placebo of {real.spec.name}",
        "treatment.placebo_shift, or another outcome.measure",
        "the call",
    )


def _row(kind: str, one: Estimate, adjusted: float, level: float) -> dict[str, object]:
    line, glance = one.table.iloc[0], one.glance().iloc[0]
    value, p = float(line["estimate"]), float(line["p_value"])
    shift = one.spec.treatment.placebo_shift
    return {
        "kind": kind,
        "spec": one.spec.name,
        "shift": pd.NA if shift is None else shift,
        "outcome": one.outcome,
        "unit": one.unit,
        **{name: float(line[name]) for name in ("estimate", "std_error", "conf_low", "conf_high")},
        "baseline": one.baseline,
        "percent_of_baseline": percent_of(value, unit_of_estimate(one), one.baseline),
        "n_treated": int(glance["n_treated"]),
        "n_states": int(glance["n_treated_states"]),
        "p": p,
        "p_romano_wolf": adjusted,
        "rejects": bool(p < 1 - level),
        "rejects_adjusted": bool(adjusted < 1 - level),
    }

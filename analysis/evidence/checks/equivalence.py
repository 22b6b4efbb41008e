"""How small an effect the data could have shown, and whether what they show is small: equivalence and power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.base.errors import StudyError
from analysis.estimation.estimate import Estimate
from analysis.evidence.claims import Bound, load_claims
from analysis.evidence.results import rate_per_10k
from analysis.evidence.units import UNIT_OF_SCALE


@dataclass(frozen=True, slots=True)
class TwoOneSided:
    """Two one-sided tests of an effect at least as large as the bound, in either direction.

    Args:
        p_value: the larger of the two; small means the effect is inside ± bound.
        p_below: of an effect at or below minus the bound.
        p_above: of an effect at or above the bound.
    """

    p_value: float
    p_below: float
    p_above: float


def two_one_sided(estimate: float, std_error: float, bound: float, df: float = np.inf) -> TwoOneSided:
    """Test whether an effect lies inside ± bound.

    At size a it rejects exactly when the interval of level 1 - 2a lies inside the bound.

    Args:
        estimate: effect.
        std_error: its error, positive.
        bound: positive, in the unit of the effect.
        df: degrees of freedom of t; infinite for the normal distribution.

    Raises:
        StudyError: an error or a bound that is not positive.

    Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15(6).

    Example:
        >>> round(two_one_sided(0.0, 1.0, 1.6448536269514722).p_value, 6)
        0.05
    """
    if not std_error > 0 or not bound > 0:
        raise StudyError(f"std_error = {std_error}, bound = {bound}", "both positive")
    t = stats.norm if np.isinf(df) else stats.t(df)
    below = float(t.sf((estimate + bound) / std_error))
    above = float(t.sf((bound - estimate) / std_error))
    return TwoOneSided(max(below, above), below, above)


def detectable_effect(std_error: float, df: float = np.inf, power: float = 0.8, level: float = 0.95) -> float:
    """Return the smallest effect a two-sided test would find with the stated power.

    Args:
        std_error: error of the estimate.
        df: degrees of freedom of t.
        power: chance of rejecting no effect.
        level: one less the size of the test.

    Returns:
        (t of the test + t of the power) times the error, with t of ``df`` degrees of freedom; exact for the normal
        distribution but for the far tail, close for t.

    Assumption: the error would be the same under the effect.

    Source: Bloom (1995), Evaluation Review 19(5).

    Example:
        >>> round(detectable_effect(1.0), 3)
        2.802
    """
    t = stats.norm if np.isinf(df) else stats.t(df)
    return float((t.ppf((1 + level) / 2) + t.ppf(power)) * std_error)


def equivalence(
    estimate: Estimate, bound: Bound | None = None, *, power: float = 0.8, declined_per_10k: float = np.nan
) -> pd.DataFrame:
    """Return, for every row of an estimate, the bound, the test against it and the smallest detectable effect.

    Args:
        estimate: any.
        bound: by default the common one of ``data/claims.toml``.
        power: of the detectable effect.
        declined_per_10k: declined detainers per 10,000 residents of the treated areas; with it the detectable effect
            is also given per declined detainer (protocol rule 10).

    Returns:
        term, estimate, std_error, df, bound, p_equivalence, detectable, detectable_percent (of the baseline; missing
        for log points), detectable_per_declined. Only for errors that come with a standard error (all do).
    """
    common = bound or load_claims().common_bound
    scale = estimate.spec.outcome.scale
    unit = UNIT_OF_SCALE.get(scale, scale)
    size = common.value(unit, estimate.baseline)
    df = estimate.inference.df
    rows = []
    for row in estimate.table.to_dict("records"):
        value, error = float(row["estimate"]), float(row["std_error"])
        usable = np.isfinite(value) and error > 0
        detectable = detectable_effect(error, df, power, estimate.inference.level) if usable else np.nan
        per_declined = rate_per_10k(detectable, scale, estimate.baseline) / declined_per_10k
        rows.append(
            {
                "term": row["term"],
                "estimate": value,
                "std_error": error,
                "df": df,
                "bound": size,
                "p_equivalence": two_one_sided(value, error, size, df).p_value
                if usable and size > 0
                else np.nan,
                "detectable": detectable,
                "detectable_percent": 100 * detectable / estimate.baseline if scale != "log_rate" else np.nan,
                "detectable_per_declined": per_declined if declined_per_10k > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)

"""What adoption did to declined detainers, and what a crime estimate implies for each of them (protocol rule 10).

Two scales, both read beside a crime estimate of b offences per 10,000 residents:

* offences per declined detainer, ``b / d``: d is the level, declined detainers per 10,000 residents of the treated
  areas in 2014. It asks how large b is beside all the people whose release a detainer did not delay.
* offences per detainer declined because of the policy, ``b / f``: f is the first stage, what adoption did to d under
  the same definition and comparison. It is larger in size wherever some detainers were declined before adoption.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from analysis.evidence.results import DECLINES, ONE_EFFECT

LEVEL_YEAR = 2014
PER = 10_000
MEASURES = (DECLINES, "decline_share")


def declined_per_10k(table: pd.DataFrame, counties: Collection[str], year: int = LEVEL_YEAR) -> float:
    """Return declined detainers per 10,000 residents of some counties in one year, every resident counting alike.

    Args:
        table: the panel: county_fips, year, population, declined_detainers.
        counties: county codes.
        year: calendar year.

    Returns:
        Missing where no county has a record of that year (the measure is missing before 2008 and after 2014).

    Example:
        >>> panel = pd.DataFrame({"county_fips": ["06037", "06039"], "year": 2014, "population": [90_000, 10_000],
        ...                       "declined_detainers": [20, 0]})
        >>> declined_per_10k(panel, ["06037", "06039"])
        2.0
    """
    rows = recorded_in(table, year)
    rows = rows[rows["county_fips"].isin(list(counties))]
    residents = float(rows["population"].sum())
    return PER * float(rows["declined_detainers"].sum()) / residents if residents > 0 else float("nan")


def recorded_in(table: pd.DataFrame, year: int = LEVEL_YEAR) -> pd.DataFrame:
    """Return the rows of a panel that have a record of detainers in one year: all that `declined_per_10k` reads."""
    return table[table["year"].eq(year) & table["declined_detainers"].notna()]


def first_stage(results: pd.DataFrame) -> pd.DataFrame:
    """Return the first-stage rows of results: one a definition, comparison, California and measure.

    Args:
        results: from `analysis.evidence.results.results_frame`.

    Returns:
        definition, measure, comparison, california, window, onset, estimate, conf_low, conf_high, unit, baseline,
        n_treated, n_comparison, n_states, states_identifying, informative, precision, spec; definitions in the
        order of results, counts before shares. The first specification of each stands, so that the variations of a
        spec do not repeat it.
    """
    rows = results[results["measure"].isin(MEASURES) & results["estimand"].isin(ONE_EFFECT)]
    rows = rows.drop_duplicates(["definition", "measure", "comparison", "california"])
    order = {name: at for at, name in enumerate(dict.fromkeys(rows["definition"]))}
    rows = rows.assign(_d=rows["definition"].map(order), _m=rows["measure"].map(MEASURES.index))
    rows = rows.sort_values(["_m", "_d"], kind="stable")
    columns = [
        "definition", "measure", "comparison", "california", "window", "onset", "estimate", "conf_low", "conf_high",
        "unit", "baseline", "n_treated", "n_comparison", "n_states", "states_identifying", "informative", "precision",
        "spec",
    ]  # fmt: skip
    return rows[columns].reset_index(drop=True)

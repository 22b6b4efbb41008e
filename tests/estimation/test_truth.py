"""Known effects are found, with errors as large as they claim, where the stated assumptions hold."""

from __future__ import annotations

import pandas as pd
import pytest
from estimation_truth import CASES, DRAWS, TABLE, simulate

KEPT = [name for name, case in CASES.items() if case.holds]


def committed():
    return pd.read_csv(TABLE).set_index("case")


@pytest.mark.parametrize("name", KEPT)
def test_short_run_finds_the_effect(name):
    # Twenty draws bound gross mistakes: a wrong sign, base, weight, or an error off by a factor of two.
    found = simulate(CASES[name], 20, first=10_000)
    assert abs(found["bias"]) < 4 * found["bias_mc_error"]
    assert found["coverage"] >= 0.75
    assert 0.5 < found["std_error_over_spread"] < 2


def test_committed_table_holds_every_case_and_covers_where_assumptions_hold():
    table = committed()
    assert list(table.index) == list(CASES)
    assert (table["draws"] == DRAWS).all()
    kept = table[table["holds"]]
    assert (kept["bias"].abs() < 3 * kept["bias_mc_error"]).all()
    # Nominal 0.95; three Monte Carlo errors are 0.033 at 400 draws.
    assert kept["coverage"].between(0.95 - 0.04, 1.0).all()


def test_committed_table_shows_what_broken_assumptions_do():
    broken = committed().query("not holds")
    biased = broken.drop(index=[name for name in broken.index if name.startswith("matched")])
    assert (biased["bias"].abs() > 5 * biased["bias_mc_error"]).all()
    assert (broken["coverage"] < 0.9).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_committed_table_is_what_the_simulation_gives(name):
    found, stored = simulate(CASES[name], DRAWS), committed().loc[name]
    for column in ("bias", "std_error_over_spread", "coverage"):
        assert found[column] == pytest.approx(stored[column], abs=2e-3)

"""Measured coverage stands beside the estimate that asks the same question."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.base.paths import Paths
from analysis.design.spec import load_spec
from analysis.evidence.trust import DESIGNS, MATCHED, OUTCOMES, trust, trust_text


def results(*names):
    rows = [
        {
            "spec": name, "estimand": "att", "estimate": 10.0, "conf_low": 1.0, "conf_high": 19.0, "percent_of_baseline": 2.0,
            "percent_low": 0.2, "percent_high": 3.8, "n_treated": 40, "n_states": 9, "precision": "different from zero",
        }
        for name in names
    ]  # fmt: skip
    return pd.DataFrame(rows)


def size(coverage=0.8):
    rows = [
        {
            "design": d,
            "outcome": m,
            "draws": 200,
            "coverage": coverage,
            "coverage_mc_error": 0.03,
            "ratio": 0.7,
        }
        for d in DESIGNS
        for m in OUTCOMES
    ]
    return pd.DataFrame(rows)


def test_a_design_stands_beside_its_own_specification():
    table = trust(results("main/measure=property"), size()).set_index(["design", "measure"])
    assert table.loc[("between", "property"), "percent"] == 2.0
    assert np.isnan(table.loc[("between", "violent_ex_rape"), "percent"])
    assert not table["near_nominal"].any()
    assert trust(results("main/measure=property"), size(0.93))["near_nominal"].all()


def test_every_specification_named_here_is_one_of_the_study():
    names = {
        spec.name
        for file in ("main", "near_nominal", "two_way", "cross_section_2015")
        for spec in load_spec(file).expand()
    }
    for _, pattern in DESIGNS.values():
        wanted = [pattern.format(m=m) for m in OUTCOMES] if pattern else list(MATCHED.values())
        assert set(wanted) <= names, wanted


def test_the_committed_table_holds_every_design():
    table = trust(results("main/measure=property"), pd.read_csv(Paths().measured_size))
    assert table["coverage"].between(0, 1).all()
    with pytest.raises(TableError, match="lacks between, property"):
        trust(results("main/measure=property"), size().query("design != 'between' or outcome != 'property'"))


def test_text_says_simulated_and_shows_both_ends():
    text = trust_text(trust(results("main/measure=property"), size()))
    assert "SIMULATED" in text and "+2.0 (+0.2 to +3.8)" in text and "80 %" in text

"""Bounds and E-values of a design against the same on arrays, by hand, and refused where none is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, estimate, panel, spec

from analysis.base.errors import SampleError, StudyError
from analysis.design.design import make_design
from analysis.estimation import fit
from analysis.estimation.matched import match
from analysis.estimation.matching.sensitivity import NOTE, pair_bounds, set_bounds, signed_rank_bounds
from analysis.evidence.checks.hidden_bias import COLUMNS, GAMMAS, hidden_bias

PANEL = panel(effect=400.0)
PAIRS = {**CROSS_SECTION, "estimator.replacement": False}


@pytest.fixture(scope="module")
def design():
    return make_design(PANEL, spec(PAIRS))


def made_sets(design, labels):
    """Matched sets by hand, a label a county in the order of their codes."""
    table = design.table.sort_values("county_fips")
    labels, treated = np.asarray(labels), table["treated"].to_numpy(bool)
    pairs = [
        (table["county_fips"].iloc[i], table["county_fips"].iloc[j])
        for i in np.flatnonzero(treated & (labels >= 0))
        for j in np.flatnonzero(~treated & (labels == labels[i]))
    ]
    return SimpleNamespace(
        pairs=pd.DataFrame(pairs, columns=["treated", "comparison"]),
        counties=pd.Index(table["county_fips"]),
        treated=treated,
        weights=(labels >= 0).astype(float),
        sets=labels,
    )


def outcome(design):
    return design.table.sort_values("county_fips")["outcome"].to_numpy(float)


def value(table, statistic, gamma=None):
    rows = table[table["statistic"] == statistic]
    return float(
        rows.loc[np.isclose(rows["gamma"], gamma), "value"].item() if gamma else rows["value"].item()
    )


def shaped(design, sizes_of_comparison):
    """Labels in which the first treated counties take so many comparison counties each."""
    treated = design.table.sort_values("county_fips")["treated"].to_numpy(bool)
    labels = np.full(len(treated), -1)
    ones, others = iter(np.flatnonzero(treated)), iter(np.flatnonzero(~treated))
    for label, size in enumerate(sizes_of_comparison):
        labels[next(ones)] = label
        for _ in range(size):
            labels[next(others)] = label
    return labels


def test_pairs_of_a_design_are_bounded_as_their_differences(design):
    table = hidden_bias(design)
    sets, found = match(design), fit(design)
    y = pd.Series(outcome(design), index=sets.counties)
    gaps = y[sets.pairs["treated"]].to_numpy() - y[sets.pairs["comparison"]].to_numpy()
    assert list(table.columns) == list(COLUMNS)
    assert set(table["note"]) == {NOTE} and "no verdict" in NOTE
    assert set(table["n_sets"]) == set(table["n_treated"]) == set(table["n_comparison"]) == {len(gaps)}
    bounds = pair_bounds(gaps, np.array(GAMMAS))
    for i, gamma in enumerate(GAMMAS):
        sides = [signed_rank_bounds(gaps, gamma, side) for side in ("greater", "less")]
        assert value(table, "p_high", gamma) == min(1.0, 2 * min(s[1] for s in sides))
        assert value(table, "p_low", gamma) == min(1.0, 2 * min(s[0] for s in sides))
        for name in ("estimate_low", "estimate_high", "conf_low", "conf_high"):
            assert value(table, name, gamma) == getattr(bounds, name)[i]
    # An effect of 400 among counties that differ by some 15 a year: found, and lost again at some bias.
    critical = value(table, "critical_gamma")
    assert 1 < critical < 100
    at = hidden_bias(design, sets, found, gammas=[critical])
    assert value(at, "p_high", critical) == pytest.approx(0.05, abs=1e-6)
    assert value(table, "estimate_low", 1.0) == pytest.approx(found.table["estimate"].item(), abs=150)


def test_sets_of_several_use_aligned_ranks(design):
    labels = shaped(design, [2, 1, 3, 1, 2, 2, 1, 2])
    table = hidden_bias(design, made_sets(design, labels), fit(design), gammas=[1.0, 2.0])
    assert set(table["method"]) == {"aligned_rank", "e_value"}
    assert table["n_sets"].iloc[0] == 8 and table["n_comparison"].iloc[0] == 14
    treated = design.table.sort_values("county_fips")["treated"].to_numpy(bool)
    bounds = set_bounds(outcome(design), treated, labels, np.array([1.0, 2.0]))
    for i, gamma in enumerate((1.0, 2.0)):
        assert value(table, "conf_low", gamma) == bounds.conf_low[i]
        assert value(table, "estimate_high", gamma) == bounds.estimate_high[i]
    assert value(table, "p_low", 2.0) < value(table, "p_low", 1.0) == value(table, "p_high", 1.0)
    # Arms exchanged, as full matching may have it: several treated counties on one comparison county.
    one = np.flatnonzero(treated)[:2], np.flatnonzero(~treated)[:1]
    labels = shaped(design, [0, 0, 2, 2, 1, 2])
    labels[np.concatenate(one)] = 0
    both = hidden_bias(design, made_sets(design, labels), fit(design), gammas=[1.5])
    assert both["n_sets"].iloc[0] == 5


def test_e_values_are_those_of_the_stated_conversion(design):
    labels = shaped(design, [1] * 20)
    sets, y = made_sets(design, labels), outcome(design)
    inside, treated = labels >= 0, made_sets(design, labels).treated
    deviation = np.sqrt((y[inside & treated].var() + y[inside & ~treated].var()) / 2 * 40 / 38)
    table = hidden_bias(design, sets, estimate(design.spec, 60.0, 20.0), gammas=[1.0])
    ratio, end = (np.exp(0.91 * v / deviation) for v in (60.0, 20.0))
    assert value(table, "risk_ratio") == pytest.approx(ratio)
    assert value(table, "e_value") == pytest.approx(ratio + np.sqrt(ratio * (ratio - 1)))
    assert value(table, "e_value_interval") == pytest.approx(end + np.sqrt(end * (end - 1)))
    below = hidden_bias(design, sets, estimate(design.spec, -60.0, 20.0), gammas=[1.0])
    assert value(below, "e_value") == pytest.approx(value(table, "e_value"))
    wide = hidden_bias(design, sets, estimate(design.spec, 60.0, 40.0), gammas=[1.0])
    assert value(wide, "e_value_interval") == 1.0


def test_an_outcome_in_logarithms_needs_no_conversion():
    logs = make_design(PANEL, spec({**PAIRS, "outcome.scale": "log_rate"}))
    table = hidden_bias(logs, estimate=estimate(logs.spec, 0.1, 0.02), gammas=[1.0])
    assert value(table, "risk_ratio") == pytest.approx(np.exp(0.1))


def test_weights_of_the_estimate_are_said_not_to_enter():
    weighted = make_design(PANEL, spec({**PAIRS, "estimator.weights": "population_baseline"}))
    table = hidden_bias(weighted, gammas=[1.0, 1.5])
    assert table["note"].str.startswith(NOTE).all() and table["note"].str.contains("sets count alike").all()


def test_what_has_no_bound_is_refused_with_the_reason(design):
    shared = make_design(PANEL, spec(CROSS_SECTION))
    with pytest.raises(SampleError, match=r"comparison counties serve several.*estimator.replacement"):
        hidden_bias(shared)
    mixed = made_sets(design, shaped(design, [1, 1, 2]))
    mixed.sets[np.flatnonzero(mixed.treated)[5]] = 2
    with pytest.raises(SampleError, match="with 2 treated and 2 comparison rows"):
        hidden_bias(design, mixed, fit(design))
    none = made_sets(design, shaped(design, []))
    with pytest.raises(SampleError, match="weighting and regression have none"):
        hidden_bias(design, none, fit(design))
    events = estimate(design.spec, [1.0, 2.0], event_times=[0, 1])
    with pytest.raises(StudyError, match="an estimate of 2 rows"):
        hidden_bias(design, estimate=events)
    with pytest.raises(SampleError, match=r"gamma = 0\.5"):
        hidden_bias(design, gammas=[0.5])

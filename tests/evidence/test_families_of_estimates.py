"""Families of estimates and placebos: against the arrays, by hand, and by simulation of a null."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from evidence_cases import estimate, panel, spec
from scipy import stats

from analysis.base.errors import StudyError
from analysis.design.design import make_design
from analysis.estimation import aggregate, fit
from analysis.estimation.estimate import recluster
from analysis.estimation.panel_inference.families import align_influence, family
from analysis.evidence.checks.families import family_table
from analysis.evidence.checks.placebo import placebo_specs, placebo_table


def fitted(changes=None, seed=1, effect=50.0):
    return aggregate(fit(make_design(panel(seed, effect=effect), spec(changes))), over="post")


@pytest.fixture(scope="module")
def four():
    return [
        fitted(),
        fitted({"outcome.measure": "total"}),
        fitted({"sample.drop_states": ["IL"]}),
        fitted(seed=2, effect=0.0),
    ]


def test_the_table_is_that_of_the_arrays(four):
    table = family_table(four, draws=2999, seed=5)
    influence, counties = align_influence(
        [one.influence for one in four], [one.counties.to_numpy(str) for one in four]
    )
    same = family(
        table["estimate"].to_numpy(), influence, counties.astype("U2"), draws=2999, seed=5,
        df=float(table["df"].min()), std_error=table["std_error"].to_numpy(),
    )  # fmt: skip
    assert table["p_romano_wolf"].to_numpy() == pytest.approx(same.romano_wolf)
    # Its own p-value is the estimate's, by its own degrees of freedom: the third has one state fewer.
    assert table["p"].tolist() == [one.table["p_value"].item() for one in four]
    assert table["df"].tolist() == [7.0, 7.0, 6.0, 7.0]
    order = table["p"].sort_values()
    assert (table.loc[order.index, "p_romano_wolf"].diff().dropna() >= 0).all()
    assert (table["p_holm"] >= table["p"]).all() and (table["q_bh"] <= table["p_holm"] + 1e-15).all()
    ranked = order.to_numpy()
    assert table.loc[order.index, "p_holm"].to_numpy() == pytest.approx(
        np.minimum(np.maximum.accumulate(ranked * np.arange(4, 0, -1)), 1)
    )


def test_one_estimate_told_twice_costs_romano_wolf_nothing(four):
    alone = family_table(four[3:], draws=9999, seed=1).iloc[0]
    twice = family_table([four[3], four[3]], draws=9999, seed=1)
    assert twice["p_romano_wolf"].tolist() == pytest.approx([alone["p_romano_wolf"]] * 2, abs=0.02)
    assert twice["p_holm"].iloc[0] == pytest.approx(min(1.0, 2 * alone["p"]))


def test_a_missing_estimate_takes_no_part(four):
    lost = replace(
        four[0],
        table=four[0].table.assign(estimate=np.nan, std_error=np.nan, p_value=np.nan),
        influence=np.full_like(four[0].influence, np.nan),
    )
    with_it, without = (
        family_table(family_, draws=999, seed=1) for family_ in ([*four[1:], lost], [*four[1:]])
    )
    assert with_it.iloc[3][["p", "p_romano_wolf", "p_holm", "q_bh"]].isna().all()
    assert with_it["p_holm"].iloc[:3].tolist() == without["p_holm"].tolist()


def test_what_is_no_family_is_refused_by_name(four):
    with pytest.raises(StudyError, match="no estimates"):
        family_table([], seed=1)
    bare = replace(four[1], influence=None)
    with pytest.raises(StudyError, match=re.escape(bare.outcome)) as refused:
        family_table([four[0], bare], seed=1)
    assert "influence" in str(refused.value)
    with pytest.raises(StudyError, match=r"cluster by state: case .*; cluster by county: case"):
        family_table([four[0], recluster(four[1], "county")], seed=1)
    dynamic = fit(make_design(panel(), spec()))
    with pytest.raises(StudyError, match="one effect"):
        family_table([dynamic], seed=1)
    with pytest.raises(StudyError, match="state or county"):
        family_table([replace(four[0], inference=replace(four[0].inference, by="none"))], seed=1)


def test_the_family_keeps_its_size():
    rng = np.random.default_rng(3)
    one = fitted()
    rejected, draws = 0, 300
    for _ in range(draws):
        # Four estimates that share half of their noise; influence of 40 clusters, so that the draws are good.
        labels = np.arange(len(one.counties)) % 40
        common, own = rng.normal(size=40), rng.normal(size=(4, 40))
        members = []
        for k in range(4):
            sums = np.sqrt(0.5) * common + np.sqrt(0.5) * own[k]
            influence = np.zeros(len(labels))
            influence[:40] = sums - sums.mean()
            error = np.sqrt(40 / 39 * (influence**2).sum())
            value = sums.sum()
            table = one.table.assign(
                estimate=value, std_error=error, p_value=2 * stats.t.sf(abs(value) / error, 39)
            )
            members.append(
                replace(
                    one,
                    table=table,
                    influence=influence[:, None],
                    inference=replace(one.inference, by="county", df=39.0),
                )
            )
        rejected += (
            family_table(members, draws=199, seed=int(rng.integers(1 << 30)))["p_romano_wolf"].min() < 0.05
        )
    # At most 5 %, within three Monte Carlo errors, and not nothing.
    assert 0.01 < rejected / draws < 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


# --- placebos


def test_specs_of_moved_dates():
    made = placebo_specs(spec(), (1, 3))
    assert [one.treatment.placebo_shift for one in made] == [1, 3]
    assert [one.name for one in made] == ["case/placebo-1", "case/placebo-3"]
    for one in made:
        assert set(one.diff(spec())["key"]) == {"name", "treatment.placebo_shift"}


def moved(one, shift, value):
    """An estimate of the real one's making under a moved date, with another value."""
    made = placebo_specs(one.spec, [shift])[0]
    error = one.table["std_error"].item()
    table = one.table.assign(
        estimate=value, conf_low=value - 2 * error, conf_high=value + 2 * error,
        p_value=2 * stats.t.sf(abs(value) / error, one.inference.df),
    )  # fmt: skip
    return replace(one, spec=made, table=table)


def test_placebos_beside_the_real_one(four):
    real, outcome = four[0], four[1]
    error = real.table["std_error"].item()
    rows = [moved(real, 1, 0.1 * error), moved(real, 2, 8 * error), outcome]
    found = placebo_table(real, rows, draws=1999)
    table = found.table
    assert table["kind"].tolist() == ["real", "date", "date", "outcome"]
    assert table["shift"].tolist()[1:3] == [1, 2] and table["shift"].isna().tolist() == [
        True,
        False,
        False,
        True,
    ]
    assert np.isnan(table.loc[0, "p_romano_wolf"])
    assert (
        table["p_romano_wolf"].iloc[1:].tolist()
        == family_table(rows, draws=1999, seed=1)["p_romano_wolf"].tolist()
    )
    assert table["rejects"].iloc[1:].tolist() == [False, True, bool(outcome.table["p_value"].item() < 0.05)]
    assert found.count == 3 and found.rejected == table["rejects"].iloc[1:].sum()
    assert found.expected == pytest.approx(0.15)
    assert found.joint_p == table["p_romano_wolf"].min()
    assert table.loc[2, "percent_of_baseline"] == pytest.approx(800 * error / real.baseline)
    assert found.words.startswith(f"{found.rejected} of 3 placebos reject (0.15 expected by chance)")


def test_what_is_no_placebo_is_refused(four):
    with pytest.raises(StudyError, match="case as a placebo of case"):
        placebo_table(four[0], [four[2]])
    once = moved(four[0], 1, 0.0)
    with pytest.raises(StudyError, match="twice"):
        placebo_table(four[0], [once, once])
    empty = placebo_table(four[0], [])
    assert empty.count == 0 and np.isnan(empty.joint_p) and "no placebo" in empty.words
    with pytest.raises(StudyError, match="influence"):
        placebo_table(four[0], [estimate(spec({"treatment.placebo_shift": 1}), 1.0)])

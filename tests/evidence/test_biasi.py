"""The border study of 2018: every figure is asked for or set apart, and stands beside the right specification."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import SampleError, TableError
from analysis.design import sample
from analysis.design.spec import load_spec
from analysis.evidence.published import load_published
from analysis.evidence.studies import biasi2018 as biasi
from analysis.evidence.studies.biasi2018 import STUDY, beside

PUBLISHED = load_published().frame()
OWN = [figure for figure in PUBLISHED["id"] if STUDY.owns(figure)]
SPECS = {spec.name: spec for spec in load_spec(biasi.SPEC).expand()}


def invented(**changed):
    """A result for every specification: the number of its place, an interval of one either way."""
    rows = [
        {
            "study": "biasi", "family": "border", "spec": name, "measure": spec.outcome.measure,
            "definition": spec.treatment.definition, "estimand": "att", "estimate": at / 1000, "conf_low": at / 1000 - 1,
            "conf_high": at / 1000 + 1, "level": 0.95, "n_treated": 30, "n_comparison": 60, "n_states": 9,
            "informative": True, "precision": "inconclusive", "failure": "", "simulated": False, "pretrend_p": np.nan,
        }
        for at, (name, spec) in enumerate(SPECS.items())
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changed)


def test_every_registered_figure_is_asked_for_or_set_apart():
    assert len(OWN) == 121
    assert {ask.figure for ask in STUDY.asks} <= set(OWN)
    effects = PUBLISHED[PUBLISHED["id"].isin(OWN)].set_index("id")
    for figure in OWN:
        reason = STUDY.reason(figure)
        # Every effect in log points has an answer; shares cleared and means have none.
        assert (reason == "") == (effects.loc[figure, "unit_code"] == "log_points"), figure
    assert [ask.figure for ask in STUDY.asks if ask.headline] == [
        "biasi.logcrime_dd1.c2",
        "biasi.logcrime_dd2.c2",
    ]


def test_every_specification_named_exists_and_says_what_the_cell_says():
    for ask in STUDY.asks:
        names = ask.only["spec"]
        assert ask.main in names and set(names) <= set(SPECS), ask.figure
        registered = PUBLISHED.set_index("id").loc[ask.figure]
        spec = SPECS[ask.main]
        asked = spec.estimator
        assert spec.outcome.scale == "log_rate" and spec.carries_verdict
        assert asked.repeats == "whole" and asked.span == (2, 1) and asked.weights == "population_baseline"
        assert spec.treatment.comparison == "never_treated"
        # Against the method as registered, in words.
        method = registered["method"]
        if "bytype" in ask.figure:
            assert (asked.effects, asked.trends, bool(spec.covariates.names)) == (
                "group_by_year",
                "county",
                True,
            )
            assert "group-by-quarter FE, controls, pre-trends removed" in method
        else:
            assert (asked.effects == "group_by_year") == ("_dd2." in ask.figure)
            assert (asked.trends == "county") == ("pre-trends removed" in method)
            assert bool(spec.covariates.names) == ("controls" in method)
        quartile = spec.sample.hispanic_quartile
        assert (f"quartile {quartile}" in registered["outcome"]) == (quartile is not None)
        assert ("quartile" in registered["outcome"]) == (quartile is not None)
        words = {"total": "total", "motor_vehicle_theft": "auto theft"}
        assert (
            words.get(spec.outcome.measure, spec.outcome.measure.replace("_", " ")) in registered["outcome"]
        )
        assert spec.outcome.measure in ask.measures


def test_specifications_beside_no_figure_are_leads_alone():
    named = {name for ask in STUDY.asks for name in ask.only["spec"]}
    assert {name.split("/")[1] for name in set(SPECS) - named} == {"leads"}
    rows = invented()
    for ask in STUDY.asks:
        found = ask.rows(rows)
        assert set(found["spec"]) == set(ask.only["spec"]), ask.figure


def test_beside_puts_each_number_where_it_belongs():
    rows = invented()
    found = beside(rows, PUBLISHED)
    assert list(found.columns) == list(biasi.BESIDE)
    by_name = rows.set_index("spec")["estimate"]
    assert found["estimate"].to_numpy() == pytest.approx(by_name[found["spec"]].to_numpy())
    assert found.groupby("figure")["main"].sum().eq(1).all() and found["figure"].nunique() == len(STUDY.asks)
    headline = found[found["figure"].eq("biasi.logcrime_dd1.c2") & found["main"]].iloc[0]
    assert (headline["published"], headline["published_error"]) == (0.0348, 0.0122)
    assert headline["published_low"] == pytest.approx(0.0348 - 1.96 * 0.0122)
    assert (headline["model"], headline["column"], headline["definition"]) == (
        "county_year",
        "c2",
        "policy_full",
    )
    top = found[found["figure"].eq("biasi.logproperty_byhisp_dd1.hispq4.c1")]
    assert top["published"].eq(0.0856).all() and set(top["definition"]) == {"policy_full", "declines_5"}
    assert top.loc[top["main"], "definition"].item() == "declines_5"
    # Other studies' rows and event times are not read.
    other = pd.concat(
        [rows.assign(study="wong2017", estimate=9.0), rows.assign(estimand="event_time", estimate=8.0), rows]
    )
    pd.testing.assert_frame_equal(beside(other, PUBLISHED), found)


def test_beside_keeps_failures_and_takes_texts_from_a_file():
    rows = invented()
    name = STUDY.asks[0].main
    rows.loc[rows["spec"].eq(name), ["failure", "estimate", "conf_low", "conf_high"]] = [
        "nobody",
        np.nan,
        np.nan,
        np.nan,
    ]
    found = beside(rows, PUBLISHED).set_index("spec").loc[name]
    assert found["failure"] == "nobody" and not found["inside"]
    read = rows.assign(
        failure=rows["failure"].replace("", np.nan), informative=rows["informative"].astype(str)
    )
    again = beside(read, PUBLISHED)
    assert again["informative"].all() and (again["failure"] == "nobody").sum() == 1
    assert beside(pd.DataFrame(), PUBLISHED).empty
    with pytest.raises(TableError, match=r"biasi\.logcrime_dd1\.c1 has no registered size"):
        beside(rows, PUBLISHED[PUBLISHED["id"] != "biasi.logcrime_dd1.c1"])


# --- quartiles of the Hispanic share
# ----------------------------------------------------------------------------------------------------


def places(seed=0, counties=60):
    rng = np.random.default_rng(seed)
    adopts = rng.random(counties) < 0.3
    table = pd.DataFrame(
        {
            "county_fips": [f"{n:05d}" for n in range(counties)],
            "adopts": adopts,
            "touches": ~adopts & (rng.random(counties) < 0.5),
            "hispanic": rng.beta(1, 6, counties).round(2),
        }
    )
    return pd.concat([table.assign(year=2010), table.assign(year=2011)], ignore_index=True)


@pytest.mark.parametrize("seed", range(5))
def test_quartiles_are_those_a_loop_finds_and_part_the_treated(seed):
    rows = places(seed)
    one = rows[rows["year"] == 2010]
    shares = sorted(one.loc[one["adopts"] | one["touches"], "hispanic"])
    cuts = [np.percentile(shares, p) for p in (25, 50, 75)]
    treated = set(one.loc[one["adopts"], "county_fips"])
    seen = []
    for quartile in biasi.QUARTILES:
        kept = sample.in_hispanic_quartile(rows, quartile)
        inside = set(kept.table.loc[kept.table["adopts"], "county_fips"])
        expected = {
            row.county_fips
            for row in one.itertuples()
            if row.adopts and 1 + sum(row.hispanic > c for c in cuts) == quartile
        }
        assert inside == expected
        assert set(one.loc[~one["adopts"], "county_fips"]) <= set(kept.table["county_fips"])
        assert kept.line.dropped == 2 * (len(treated) - len(inside))
        seen += sorted(inside)
    assert sorted(seen) == sorted(treated)


def test_an_unknown_share_is_in_no_quartile_and_no_borders_are_refused():
    rows = places()
    first = rows.loc[rows["adopts"], "county_fips"].iloc[0]
    rows.loc[rows["county_fips"] == first, "hispanic"] = np.nan
    for quartile in biasi.QUARTILES:
        assert first not in set(sample.in_hispanic_quartile(rows, quartile).table["county_fips"])
    with pytest.raises(SampleError, match="touches a treated one"):
        sample.in_hispanic_quartile(rows.assign(adopts=False, touches=False), 1)

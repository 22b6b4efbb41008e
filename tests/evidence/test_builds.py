"""Builds of a county's rate: what lies between two of them adds up, and in worlds made for it is known by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from math import factorial

import evidence_cases as cases
import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import SpecError, StudyError, TableError
from analysis.base.paths import Paths
from analysis.design.design import make_design
from analysis.design.spec import load_spec
from analysis.evidence.checks import builds as of
from analysis.evidence.runs import one_effect

RATES = {"outcome.measure": "total", "outcome.scale": "rate_10k"}
NEAREST = {**cases.CROSS_SECTION, **RATES}
REGRESSION = {
    "design.kind": "cross_section", "design.year": 2015, "covariates.names": ["hispanic"],
    "covariates.vintage": "2006_2010", "estimator.name": "regression_adjustment", "estimator.moments": 1, **RATES,
}  # fmt: skip


def with_crime(
    panel,
    *,
    cities=lambda t: (200.0, 160.0),
    outside=lambda t: (150.0, 120.0),
    share=lambda t: (0.25, 0.5),
    lacking=(),
    small=(),
):
    """A panel of counties with cities: rates per 10,000 in and outside them and the share outside, by treatment.

    Each function takes the table and gives the values of treated and of comparison counties.
    """
    table = panel.table.copy()
    adopts = table["county_fips"].isin(panel.policies["county_fips"])
    people = table["population"]

    def by_arm(made):
        one, other = made(table)
        return np.where(adopts, one, other)

    part = by_arm(share)
    out = (people * part).where(~table["county_fips"].isin(small), 500.0)
    sheriff = by_arm(outside) * out / 1e4
    police = by_arm(cities) * (people - out) / 1e4
    sheriff = sheriff.where(~table["county_fips"].isin(lacking))
    reached = out.where(sheriff.notna(), 0.0)
    covered = people - out + reached
    table["total"] = police + sheriff.fillna(0.0)
    table["policed_total"] = covered
    table["county_agency_total"] = sheriff
    table["county_policed_total"] = reached
    table["county_policed_share"] = out / people
    table["coverage_total"] = covered / people
    for build, offences, residents in (
        ("policed", "total", covered),
        ("county_population", "total", people),
        ("county_agencies", "county_agency_total", people),
        ("outside_cities", "county_agency_total", reached.where(reached >= 1000)),
    ):
        table[f"rate_{build}_total"] = table[offences] / residents * 1e5
    return replace(panel, table=table, constant=table)


def noise(seed, low, high):
    rng = np.random.default_rng(seed)
    return lambda table: (rng.uniform(low, high, len(table)), rng.uniform(low, high, len(table)))


@pytest.fixture(scope="module")
def plain():
    """Counties of an arm are alike, so that every estimate is a difference of two numbers."""
    return with_crime(cases.panel())


@pytest.fixture(scope="module")
def uneven():
    """Counties differ, four have no county agency, and three have hardly anybody outside cities."""
    panel = cases.panel()
    codes = sorted(panel.table["county_fips"].unique())
    return with_crime(
        panel,
        cities=noise(1, 100, 300),
        outside=noise(2, 50, 250),
        share=noise(3, 0.2, 0.9),
        lacking=[codes[0], codes[5], codes[20], codes[33]],
        small=[codes[2], codes[40], codes[41]],
    )


def some_specs():
    return [
        cases.spec({**NEAREST, "sample.min_coverage": 0.0}, "near"),
        cases.spec({**REGRESSION, "sample.min_coverage": 0.0}, "regression"),
    ]


def by_part(frame, contrast, column="estimate"):
    return frame[frame["contrast"] == contrast].set_index("part")[column]


# ------------------------------------------------------------------------------------------------------------
# Arithmetic
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_averages_over_orders_are_shapleys(k):
    values = np.random.default_rng(k).normal(size=(2,) * k)
    average, first, last = of.average_orders(values)
    for one in range(k):
        others = [i for i in range(k) if i != one]
        total = 0.0
        for at in np.ndindex(*(2,) * (k - 1)):
            inside = dict(zip(others, at, strict=True))
            here = tuple(inside.get(i, 0) for i in range(k))
            there = tuple(inside.get(i, 1) for i in range(k))
            size = sum(at)
            weight = factorial(size) * factorial(k - size - 1) / factorial(k)
            total += weight * (values[there] - values[here])
        assert average[one] == pytest.approx(total, abs=1e-12)
    assert average.sum() == pytest.approx(values[(1,) * k] - values[(0,) * k], abs=1e-12)
    if k <= 2:
        assert average == pytest.approx((first + last) / 2, abs=1e-12)


def test_every_order_counts_where_every_combination_is_known():
    rng = np.random.default_rng(4)
    first, common, second = rng.normal(size=(3, 2, 2))
    found = of.split(first, common, second)
    assert found.orders == 6
    both = np.stack([first, second])
    paths = []
    for order in permutations(range(3)):
        at, steps = [0, 0, 0], {}
        for one in order:
            before = both[tuple(at)]
            at[one] = 1
            steps[of.PARTS[one]] = both[tuple(at)] - before
        paths.append(steps)
    for part in of.PARTS:
        assert found.value[part] == pytest.approx(np.mean([path[part] for path in paths]), abs=1e-12)
    assert found.value["sample_left"] + found.value["sample_entered"] == pytest.approx(found.value["sample"])
    assert found.first["numerator"] == pytest.approx(first[1, 0] - first[0, 0])
    assert found.last["numerator"] == pytest.approx(second[1, 1] - second[0, 1])


def test_by_way_of_the_common_counties_both_halves_are_the_samples():
    rng = np.random.default_rng(5)
    first, common, second = rng.normal(size=(3, 2, 2))
    first[1, :] = np.nan
    found = of.split(first, common, second)
    assert found.orders == 2
    assert found.value["sample_left"] == common[0, 0] - first[0, 0]
    assert found.value["sample_entered"] == second[1, 1] - common[1, 1]
    assert sum(found.value[p] for p in of.PARTS) == pytest.approx(second[1, 1] - first[0, 0], abs=1e-12)
    assert found.first["denominator"] == pytest.approx(common[0, 1] - common[0, 0])
    assert found.last["denominator"] == pytest.approx(common[1, 1] - common[1, 0])


def test_a_missing_corner_is_refused():
    known = np.ones((2, 2))
    gap = known.copy()
    gap[0, 1] = np.nan
    with pytest.raises(ValueError, match="common counties"):
        of.split(known, gap, known)
    with pytest.raises(ValueError, match="wanted all"):
        of.split(np.full((2, 2), np.nan), known, known)


def test_rate_and_share_average_every_pair():
    rng = np.random.default_rng(6)
    rate, share, weights = rng.uniform(1, 9, 14), rng.uniform(0, 1, 14), rng.uniform(0, 2, 14)
    treated = np.arange(14) < 5
    of_rate = of_share = 0.0
    for i in np.flatnonzero(treated):
        for j in np.flatnonzero(~treated):
            pair = weights[i] / weights[treated].sum() * weights[j] / weights[~treated].sum()
            of_rate += pair * (rate[i] - rate[j]) * (share[i] + share[j]) / 2
            of_share += pair * (share[i] - share[j]) * (rate[i] + rate[j]) / 2
    assert of.rate_and_share(rate, share, treated, weights) == pytest.approx((of_rate, of_share), abs=1e-12)
    product = rate * share
    gap = np.average(product[treated], weights=weights[treated])
    gap -= np.average(product[~treated], weights=weights[~treated])
    assert sum(of.rate_and_share(rate, share, treated, weights)) == pytest.approx(gap, abs=1e-12)


# ------------------------------------------------------------------------------------------------------------
# Worlds known by hand
# ------------------------------------------------------------------------------------------------------------


def test_counties_alike_give_what_a_sheet_of_paper_does(plain):
    """Cities 200 against 160, outside 150 against 120, a quarter against a half of the people outside cities."""
    found = of.wong_builds(plain, [cases.spec(NEAREST)])
    estimates = by_part(found, "build")
    # 150 / 4 + 200 * 3 / 4 = 187.5 against 60 + 80 = 140; sheriffs alone 37.5 against 60; outside 150 against 120.
    assert estimates.to_dict() == pytest.approx(
        {"policed": 47.5, "county_population": 47.5, "county_agencies": -22.5, "outside_cities": 30.0}
    )
    step = by_part(found, "policed_to_county_agencies")
    assert step[list(of.PARTS)].tolist() == pytest.approx([0.0, -70.0, 0.0], abs=1e-9)
    # All offences over people outside cities: 750 against 280.
    step = found[found["contrast"] == "policed_to_outside_cities"].set_index("part")
    assert step.loc["numerator", ["first", "last"]].tolist() == pytest.approx([-70.0, 30.0 - 470.0])
    assert step.loc["denominator", "estimate"] == pytest.approx((422.5 + 52.5) / 2)
    assert step.loc["numerator_and_denominator", "estimate"] == pytest.approx(-17.5)
    assert step["orders"].eq(6).all()
    share = by_part(found, "share")
    # The rates' difference at the mean share, 30 * 0.375, and the shares' at the mean rate, -0.25 * 135.
    assert share[["rate", "share"]].tolist() == pytest.approx([11.25, -33.75])
    assert share["share_gap"] == pytest.approx(-0.25)
    offences = by_part(found, "offence_share")
    # Sheriffs record a fifth (37.5 of 187.5) against three sevenths (60 of 140).
    gap = 0.2 - 3 / 7
    assert offences["share_gap"] == pytest.approx(gap)
    assert offences["rate"] == pytest.approx(47.5 * (0.2 + 3 / 7) / 2)
    assert offences["share"] == pytest.approx(gap * (187.5 + 140) / 2)
    assert offences["county_population"] == pytest.approx(47.5)
    percent = by_part(found, "build", "percent")
    assert percent["county_agencies"] == pytest.approx(100 * -22.5 / 60)


def test_an_even_share_leaves_nothing_to_the_share():
    found = of.wong_builds(with_crime(cases.panel(), share=lambda t: (0.4, 0.4)), [cases.spec(NEAREST)])
    share = by_part(found, "share")
    assert share[["rate", "share", "share_gap"]].tolist() == pytest.approx([12.0, 0.0, 0.0], abs=1e-9)
    assert by_part(found, "build")["county_agencies"] == pytest.approx(12.0)


# ------------------------------------------------------------------------------------------------------------
# Adding up
# ------------------------------------------------------------------------------------------------------------


def assert_adds_up(found):
    assert found["failure"].eq("").all()
    steps = found[found["contrast"].str.contains("_to_")]
    assert len(steps)
    for (spec, contrast), rows in steps.groupby(["spec", "contrast"]):
        builds = found[(found["spec"] == spec) & (found["contrast"] == "build")].set_index("part")
        first, second = contrast.split("_to_")
        for column in ("estimate", "percent"):
            value = rows.set_index("part")[column]
            gap = builds.loc[second, column] - builds.loc[first, column]
            assert value["total"] == pytest.approx(gap, abs=1e-8)
            assert value[list(of.PARTS)].sum() == pytest.approx(gap, abs=1e-8)
            assert value["sample_left"] + value["sample_entered"] == pytest.approx(value["sample"], abs=1e-8)
            joint = value["numerator"] + value["denominator"]
            assert value["numerator_and_denominator"] == pytest.approx(joint, abs=1e-8)
    for _, rows in found[found["contrast"].isin(["share", "offence_share"])].groupby(["spec", "contrast"]):
        value = rows.set_index("part")["estimate"]
        assert value["rate"] + value["share"] == pytest.approx(value["county_agencies"], abs=1e-8)


def test_parts_add_up_where_counties_lack_a_build(uneven):
    found = of.wong_builds(uneven, some_specs()[:1])
    assert_adds_up(found)
    step = found[found["contrast"] == "policed_to_county_agencies"].set_index("part")
    assert step["orders"].eq(2).all()
    assert step.loc["sample_left", "estimate"] != 0 and step.loc["sample_entered", "estimate"] == 0
    back = found[found["contrast"] == "outside_cities_to_county_agencies"].set_index("part")
    assert back.loc["numerator", "estimate"] == 0 and back.loc["sample_entered", "estimate"] != 0
    # Four have no county agency, three more hardly anybody outside cities.
    held = len(make_design(uneven, some_specs()[0]).table)
    for rows, lost in ((step, 4), (back, 7)):
        assert rows.loc["total", ["n_treated", "n_comparison"]].sum() == held - lost


def test_an_estimate_is_that_of_its_design_alone(uneven):
    for spec in some_specs():
        found = by_part(of.wong_builds(uneven, [spec]), "build")
        for build in of.BUILDS:
            design = make_design(uneven, spec.replace({"outcome.build": build}))
            assert found[build] == one_effect(design).table["estimate"].iloc[0]


def test_middle_corners_are_refits_on_the_common_counties(uneven):
    """The numerator alone: all offences against county agencies', over the whole county, where both are known."""
    spec = some_specs()[0]
    found = by_part(of.wong_builds(uneven, [spec]), "county_population_to_county_agencies")
    kept = uneven.table[uneven.table["rate_county_agencies_total"].notna()]
    common = replace(uneven, table=kept)
    one, other = (
        one_effect(make_design(common, spec.replace({"outcome.build": build}))).table["estimate"].iloc[0]
        for build in ("county_population", "county_agencies")
    )
    assert found["numerator"] == pytest.approx(other - one, abs=1e-9)
    assert found["denominator"] == 0.0


def test_on_the_simulated_panel_everything_adds_up():
    from analysis.panel.twin import make_twin

    specs = [spec for spec in load_spec("wong_builds").expand() if spec.treatment.definition == "policy_full"]
    found = of.wong_builds(make_twin(Paths(simulated=True)), specs)
    assert found["spec"].nunique() == 4 and found["simulated"].all()
    assert_adds_up(found)


def test_on_the_real_panel_everything_adds_up():
    from analysis.panel.build import load_panel

    if not (Paths().panel / "stamp.json").exists():
        pytest.skip("no panel is built here")
    specs = [spec for spec in load_spec("wong_builds").expand() if spec.treatment.definition == "policy_any"]
    found = of.wong_builds(load_panel(Paths()), specs)
    assert not found["simulated"].any()
    assert_adds_up(found)


# ------------------------------------------------------------------------------------------------------------
# What cannot be estimated, and the frame
# ------------------------------------------------------------------------------------------------------------


def test_weights_that_do_not_give_the_estimate_are_not_split(uneven):
    found = of.wong_builds(uneven, [some_specs()[1]])
    split = found["contrast"].isin(["share", "offence_share"]) & found["part"].isin(["rate", "share"])
    assert split.sum() == 4
    assert found.loc[split, "failure"].str.contains("alone do not give its estimate").all()
    assert found.loc[split, "estimate"].isna().all()
    assert_adds_up(found[~found["contrast"].isin(["share", "offence_share"])])


def test_a_failure_is_kept_with_its_reason(plain):
    lacking = with_crime(cases.panel(), lacking=set(plain.policies["county_fips"]))
    found = of.wong_builds(lacking, [cases.spec({**NEAREST, "sample.min_coverage": 0.0})])
    failed = found[found["failure"] != ""]
    assert "no treated county is left" in by_part(found, "build", "failure")["county_agencies"]
    assert {"policed_to_county_agencies", "share", "offence_share", "share_held"} <= set(failed["contrast"])
    assert failed["estimate"].isna().all()
    assert np.isfinite(by_part(found, "build")["policed"])


def test_the_frame_keeps_its_contract_and_runs_a_build_once(plain):
    spec = cases.spec(NEAREST)
    twice = [spec, spec.replace({"outcome.build": "county_agencies", "name": "again"})]
    found = of.wong_builds(plain, twice)
    assert list(found.columns) == list(of.COLUMNS)
    assert set(found["spec"]) == {"case"}
    assert not found.duplicated(["spec", "contrast", "part"]).any()
    assert found["published"].eq(-35.5).all()
    builds = found[found["contrast"] == "build"].set_index("part")
    assert builds["published_sign"].to_dict() == {
        "policed": False, "county_population": False, "county_agencies": True, "outside_cities": False,
    }  # fmt: skip
    inside = (builds["conf_low"] <= -35.5) & (builds["conf_high"] >= -35.5)
    assert (builds["published_inside"] == inside).all()
    steps = found[~found["contrast"].isin(["build", "share_held"])]
    assert not steps["published_sign"].any() and not steps["published_inside"].any()
    assert len(of.wong_builds(plain, [])) == 0


def test_rates_per_100000_are_told_per_10000(plain):
    per_10k, per_100k = (
        of.wong_builds(plain, [cases.spec({**NEAREST, "outcome.scale": scale})])
        for scale in ("rate_10k", "rate_100k")
    )
    numbers = ["estimate", "percent", "baseline", "first", "last", "conf_low"]
    pd.testing.assert_frame_equal(per_10k[numbers], per_100k[numbers])


def test_a_county_file_is_estimated_where_the_panel_carries_one(plain):
    table = plain.table.assign(
        county_file_total=plain.table["total"],
        rate_county_file_total=plain.table["rate_policed_total"] * 1.1,
        coverage_county_file_total=1.0,
    )
    found = of.wong_builds(replace(plain, table=table), [cases.spec(NEAREST)])
    assert by_part(found, "build")["county_file"] == pytest.approx(47.5 * 1.1)
    assert "county_file" not in set(by_part(of.wong_builds(plain, [cases.spec(NEAREST)]), "build").index)


@pytest.mark.parametrize("change", [{"outcome.scale": "log_rate"}, {"outcome.scale": "count"}])
def test_only_rates_of_a_cross_section_are_taken(plain, change):
    with pytest.raises(SpecError, match="rate_10k or rate_100k"):
        of.wong_builds(plain, [cases.spec({**NEAREST, **change})])
    with pytest.raises(SpecError, match="cross_section of counties"):
        of.wong_builds(plain, [cases.spec()])


def test_a_panel_without_the_columns_is_refused(plain):
    bare = replace(plain, table=plain.table.drop(columns="county_policed_total"))
    with pytest.raises(TableError, match="county_policed_total"):
        of.wong_builds(bare, [cases.spec(NEAREST)])
    assert issubclass(TableError, StudyError)

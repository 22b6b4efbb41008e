"""The counties with the most Hispanic residents: who is kept, in which order, and what the key leaves alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from fixtures import tiny

from analysis.base.errors import SampleError, SpecError, TableError
from analysis.design import sample
from analysis.design.design import largest_hispanic, make_design
from analysis.design.spec import load_spec
from analysis.design.words import describe

KEY = "sample.largest_hispanic"
# Everything that is not the ranking is let through.
OPEN = {
    "covariates.names": [],
    "sample.min_population": 0,
    "sample.min_coverage": 0.0,
    "sample.balance": "none",
}


def panel(shares: dict[str, float] | None = None):
    """The eleven counties with Hispanic shares of their own; by default a tenth each, so that the populous come first."""
    rows = tiny.table()
    rows["hispanic_2010"] = rows["county_fips"].map(shares).fillna(0.0) if shares else 0.1
    return tiny.panel(rows)


def kept(changes: dict, shares: dict[str, float] | None = None) -> set[str]:
    return set(make_design(panel(shares), tiny.spec(OPEN | changes)).table["county_fips"])


@pytest.mark.parametrize("seed", range(8))
def test_the_largest_are_those_a_plain_sort_finds(seed):
    rng = np.random.default_rng(seed)
    code = np.array([f"{number:05d}" for number in rng.permutation(60)])
    number = rng.integers(0, 12, 60).astype(float)
    number[rng.random(60) < 0.2] = np.nan
    for asked in (1, 7, 30, 60):
        pairs = sorted((-n, c) for n, c in zip(number, code, strict=True) if not np.isnan(n))
        assert sample.most_of(code, number, asked).tolist() == [c for _, c in pairs[:asked]]


def test_residents_times_share_of_2010_rank_the_counties_by_hand():
    # Residents in 2010: 06001 80,000; 27001 70,000; 55005 60,000; 55011 50,000; 55001 20,000.
    assert largest_hispanic(panel().table, 3) == ["06001", "27001", "55005"]
    shares = {"55001": 0.9, "27001": 0.2, "55005": 0.3, "55011": 0.36}
    # 18,000 each of 55001, 55005 and 55011, then 14,000: of those alike the lower code comes first.
    assert largest_hispanic(panel(shares).table, 4) == ["55001", "55005", "55011", "27001"]
    assert largest_hispanic(panel(shares).table, 1) == ["55001"]


def test_another_year_moves_nobody_and_row_order_neither():
    rows = panel().table
    later = rows.assign(population=rows["population"].where(rows["year"] == 2010, 1.0))
    assert largest_hispanic(later, 5) == largest_hispanic(rows, 5)
    assert largest_hispanic(rows.sample(frac=1.0, random_state=3), 5) == largest_hispanic(rows, 5)


def test_the_key_keeps_them_with_a_line_that_says_so():
    design = make_design(panel(), tiny.spec(OPEN | {KEY: 6}))
    ranked = set(largest_hispanic(panel().table, 6))
    assert set(design.table["county_fips"]) == kept({}) & ranked != kept({})
    line = design.attrition.set_index("rule").loc[
        "not among the 6 counties with the most Hispanic residents in 2010"
    ]
    # Five of eleven counties, eight years each.
    assert (line["counties"], line["dropped"]) == (6, 40)
    lines = design.attrition
    assert lines["county_years"].iloc[0] - lines["dropped"].sum() == lines["county_years"].iloc[-1]


def test_each_number_bites_and_larger_samples_hold_smaller_ones():
    sizes = [kept({KEY: asked}) for asked in (4, 6, 8, 11)]
    assert all(a < b for a, b in pairwise(sizes))
    assert sizes[-1] == kept({}) == kept({KEY: 0})


def test_no_other_rule_moves_the_ranking():
    assert kept({KEY: 6, "sample.drop_states": ["MN"]}) == {
        fips for fips in kept({KEY: 6}) if not fips.startswith("27")
    }
    assert kept({KEY: 6, "sample.years": [2011, 2017]}) == kept({KEY: 6})


def test_a_county_without_a_share_is_never_among_them():
    rows = panel().table
    rows = rows.assign(hispanic_2010=rows["hispanic_2010"].mask(rows["county_fips"].eq("27001")))
    assert largest_hispanic(rows, 2) == ["06001", "55005"]


def test_a_cross_section_is_ranked_by_the_same_year():
    base = load_spec("match_years").base().replace(
        {"outcome.measure": "property", "covariates.names": ["hispanic"], "sample.min_population": 0,
         "sample.min_coverage": 0.0, "estimator.exact": []}
    )  # fmt: skip
    everyone = set(make_design(panel(), base).table["county_fips"])
    some = set(make_design(panel(), base.replace({KEY: 6})).table["county_fips"])
    assert some == everyone & set(largest_hispanic(panel().table, 6)) != everyone


@pytest.mark.parametrize("name", ["main", "match_years", "headline", "secure_communities"])
def test_a_spec_without_the_key_keeps_its_digest(name):
    spec = load_spec(name).base()
    assert "largest_hispanic" not in spec.to_dict()["sample"]
    every = spec.replace({KEY: 0})
    assert every.digest == spec.digest and every == spec
    some = spec.replace({KEY: 200})
    assert some.digest != spec.digest and some.content_digest != spec.content_digest
    assert spec.diff(some).to_dict("records") == [{"key": KEY, "left": "(none)", "right": "200"}]


def test_a_spec_in_words_names_them():
    words = " ".join(describe(tiny.spec({KEY: 200})).split())
    assert "the 200 counties with the most Hispanic residents in 2010" in words
    assert "Hispanic residents" not in describe(tiny.spec())


@pytest.mark.parametrize("value", [-1, 200.0, True, "200", 3201])
def test_what_is_no_number_of_counties_is_refused(value):
    with pytest.raises(SpecError, match=r"largest_hispanic.*expected a number of counties from 0 to 3200"):
        tiny.spec({KEY: value})


def test_more_than_there_are_is_refused():
    with pytest.raises(SampleError, match=r"largest_hispanic = 12, and 11 counties of the panel"):
        make_design(panel(), tiny.spec({KEY: 12}))


def test_a_panel_without_shares_is_named():
    rows = tiny.table().drop(columns="hispanic_2010")
    with pytest.raises(TableError, match="the panel lacks hispanic_2010"):
        make_design(tiny.panel(rows), tiny.spec(OPEN | {KEY: 3}))


def test_a_treated_arm_that_is_gone_names_the_rule():
    with pytest.raises(
        SampleError, match="no treated county is left after the rule 'not among the 1 counties"
    ):
        make_design(panel({"55003": 1.0}), tiny.spec(OPEN | {KEY: 1}))


def test_the_specs_of_the_study_ask_for_their_counties():
    asked = {one.name.split("/")[1]: one.sample.largest_hispanic for one in load_spec("hausman2020").expand()}
    variations = {"largest-100": 100, "largest-300": 300, "all-counties": None}
    assert {name: asked.pop(name) for name in variations} == variations
    assert set(asked.values()) == {200}

"""Sample rules: what each keeps, and lines that add up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures import tiny

from analysis.base.errors import SampleError
from analysis.design import sample
from analysis.design.design import make_design

# Worked out by hand from the counties in fixtures/tiny.py: rule, counties, county_years, treated, dropped.
BY_HAND = [
    ("panel as given", 11, 99, 4, 0),
    ("years 2010-2017", 11, 88, 4, 11),
    ("definition: not on record in a state that moved as a whole", 10, 80, 4, 8),
    ("definition: partial limit only", 9, 72, 4, 8),
    ("treated after 2017 only: comparison", 9, 72, 3, 0),
    ("no year wholly before adoption since 2010", 8, 64, 2, 8),
    ("transition years", 8, 62, 2, 2),
    ("status unknown or policy ended", 8, 62, 2, 0),
    ("population 2010 below 10,000", 7, 54, 2, 8),
    ("coverage below 0.9", 7, 53, 2, 1),
    ("outcome missing", 7, 52, 2, 1),
    ("covariate missing", 6, 44, 2, 8),
    ("balance: missing in a year", 4, 30, 2, 14),
    ("treated, with rows on one side of adoption alone", 4, 30, 2, 0),
    ("estimated on", 4, 30, 2, 0),
]


def test_the_attrition_of_a_panel_worked_out_by_hand():
    found = make_design(tiny.panel(), tiny.spec()).attrition
    assert list(found.itertuples(index=False, name=None)) == BY_HAND


VARIANTS = {
    "never treated": {"treatment.comparison": "never_treated"},
    "adoption year": {"treatment.onset": "adoption_year"},
    "all but two": {"sample.balance": "all_but_two"},
    "no balance": {"sample.balance": "none"},
    "no covariates, no coverage": {"covariates.names": [], "sample.min_coverage": 0.0},
    "a gap": {"sample.drop_years": [2015]},
    "named": {
        "sample.drop_states": ["CA"],
        "sample.drop_counties": ["55003"],
        "sample.urban_classes": ["noncore"],
    },
    "one state": {"sample.keep_states": ["WI"]},
    "controls": {"controls.policies": ["secure_communities"]},
    "constant": {"sample.constant_agencies": True},
    "logs": {"outcome.scale": "log_rate"},
    "within": {"estimator.within": "state", "sample.balance": "none"},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=list(VARIANTS))
def test_the_lines_add_up_and_the_last_is_what_is_estimated_on(changes):
    design = make_design(tiny.panel(), tiny.spec(changes))
    lines = design.attrition
    assert lines["county_years"].iloc[0] - lines["dropped"].sum() == lines["county_years"].iloc[-1]
    assert (lines["county_years"].diff().fillna(0) == -lines["dropped"]).all()
    assert (lines[["counties", "treated"]].diff().fillna(0) <= 0).all().all()
    assert lines["rule"].iloc[0].startswith("panel as given") and lines["rule"].iloc[-1] == "estimated on"
    table = design.table
    adopters = table.loc[table["treated"], "county_fips"].nunique()
    assert tuple(lines.iloc[-1][["counties", "county_years", "treated"]]) == (
        table["county_fips"].nunique(),
        len(table),
        adopters,
    )


def kept(changes: dict) -> set[str]:
    return set(make_design(tiny.panel(), tiny.spec(changes)).table["county_fips"])


def test_each_option_keeps_and_drops_the_counties_it_should():
    base = kept({})
    assert base == {"55001", "55003", "55005", "27001"}
    assert kept({"treatment.comparison": "never_treated"}) == base - {"27001"}
    assert kept({"sample.balance": "all_but_two"}) == base | {"55011", "27003"}
    assert kept({"sample.min_coverage": 0.5}) == base | {"27003"}
    assert kept({"covariates.names": []}) == base | {"55009"}
    assert kept({"sample.min_population": 0}) == base | {"27005"}
    assert kept({"sample.drop_counties": ["55003"]}) == base - {"55003"}
    assert kept({"sample.constant_agencies": True}) == base - {"55003"}
    assert kept({"sample.drop_years": [2016]}) == base | {"55011"}
    assert kept({"outcome.build": "county_agencies"}) == base | {"55011"}
    assert kept({"treatment.definition": "policy_any"}) == base | {"27007"}


def test_a_sample_without_an_arm_names_the_rule_that_took_it():
    with pytest.raises(SampleError) as raised:
        make_design(tiny.panel(), tiny.spec({"sample.drop_states": ["WI"]}))
    assert str(raised.value) == (
        "no treated county is left after the rule 'treated after 2017 only: comparison' (1 before it); "
        "expected at least one treated and one comparison county; "
        "change it in [sample] or [treatment] of tiny.toml"
    )
    with pytest.raises(
        SampleError, match=r"no comparison county is left after the rule 'population 2010 below 65,000'"
    ):
        make_design(
            tiny.panel(
                tiny.table().assign(
                    population=lambda t: t["population"].where(t["county_fips"] != "55005", 9e6)
                )
            ),
            tiny.spec({"sample.min_population": 65_000, "treatment.comparison": "never_treated"}),
        )


def test_a_state_or_county_the_panel_lacks_is_refused():
    with pytest.raises(SampleError, match=r"sample.drop_counties holds 99999"):
        make_design(tiny.panel(), tiny.spec({"sample.drop_counties": ["99999"]}))
    with pytest.raises(SampleError, match=r"sample.drop_states holds ZZ"):
        make_design(tiny.panel(), tiny.spec({"sample.drop_states": ["ZZ"]}))


def test_balance_counts_no_year_a_county_could_not_have():
    years = [2010, 2011, 2012, 2013]
    rows = pd.DataFrame(
        {
            "county_fips": ["01001"] * 3 + ["01003"] * 3 + ["01005"] * 2,
            "year": [2010, 2011, 2013, 2010, 2011, 2013, 2010, 2011],
            "adopts": [True] * 3 + [False] * 5,
            "drop_from": pd.array([2012] * 3 + [None] * 5, dtype="Int64"),
            "drop_to": pd.array([2012] * 3 + [None] * 5, dtype="Int64"),
            "known_to": pd.array([None] * 6 + [2011] * 2, dtype="Int64"),
        }
    )
    held = {
        rule: set(sample.balanced(rows, years, rule).table["county_fips"]) for rule in sample.ALLOWED_GAPS
    }
    # 01001 has its transition in 2012, 01003 a gap there, 01005 is known to 2011 alone.
    assert held["every_year"] == {"01001", "01005"}
    assert held["all_but_two"] == {"01001", "01003", "01005"}


def test_attrition_that_does_not_add_up_is_no_attrition():
    lines = [sample.Line("panel as given", 2, 10, 1, 0), sample.Line("years", 2, 8, 1, 1)]
    with pytest.raises(ValueError, match="does not add up at 'years'"):
        sample.attrition(lines)


def test_a_rule_leaves_its_input_alone():
    rows = pd.DataFrame({"county_fips": ["01001", "01003"], "year": [2010, 2011], "adopts": [True, False]})
    before = rows.copy()
    found = sample.keep(rows, np.array([True, False]), "one")
    assert found.line == sample.Line("one", 1, 1, 1, 1)
    pd.testing.assert_frame_equal(rows, before)

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import SourceError
from analysis.panel.sources import acs

S2301 = ["Id2", *(labels[0] for labels in acs.S2301_LABELS.values())]
B15003 = ["Id2", *(labels[0] for labels in acs.B15003_LABELS.values())]


def s2301(*rows, labels=S2301):
    return pd.DataFrame([labels, *rows], columns=list(acs.S2301_COLUMNS))


def value(long, code, variable):
    return long[(long["county_fips"] == code) & (long["variable"] == variable)]["value"].item()


def test_employment_of_a_merged_county_is_weighted_by_who_the_rate_is_of():
    out = acs.tidy_s2301(
        s2301(
            ("51515", "1000", "50.0", "40.0", "20.0", "30", "70"),
            ("51019", "3000", "80.0", "70.0", "10.0", "100", "200"),
        ),
        "2008_2012",
    )
    assert value(out, "51019", "population_16_over") == 4000
    assert value(out, "51019", "population_16_24") == 400
    assert value(out, "51019", "labour_force_participation") == pytest.approx((500 + 2400) / 4000)
    # Unemployment is of the labour force: 100 of 500 and 240 of 2,400.
    assert value(out, "51019", "unemployment") == pytest.approx(340 / 2900)


def test_a_relabelled_or_broken_table_is_refused():
    row = ("01001", "1000", "60.0", "55.0", "8.6", "50", "60")
    with pytest.raises(SourceError, match="is labelled 'In labor force; Estimate; AGE"):
        acs.tidy_s2301(
            s2301(row, labels=[*S2301[:2], "In labor force; Estimate; AGE - 16 to 19 years", *S2301[3:]]),
            "2008_2012",
        )
    with pytest.raises(SourceError, match="labelled"):
        acs.tidy_s2301(s2301(row).iloc[1:], "2008_2012")
    with pytest.raises(SourceError, match="lost its leading zero"):
        acs.tidy_s2301(s2301(("1001", *row[1:])), "2008_2012")
    with pytest.raises(SourceError, match="repeat"):
        acs.tidy_s2301(s2301(row, row), "2008_2012")
    with pytest.raises(SourceError, match="below 0"):
        acs.tidy_s2301(s2301(("01001", "-1000", *row[2:])), "2008_2012")
    with pytest.raises(SourceError, match="exceeds one in 01001"):
        acs.tidy_s2301(s2301(("01001", "1000", "600", *row[3:])), "2008_2012")
    with pytest.raises(SourceError, match="HC04_EST_VC01"):
        acs.tidy_s2301(s2301(row).drop(columns="HC04_EST_VC01"), "2008_2012")


def test_a_figure_that_is_not_published_has_no_row():
    out = acs.tidy_s2301(s2301(("01001", "1000", "60.0", "55.0", "-", "50", "60")), "2008_2012")
    assert sorted(out["variable"]) == [
        "employment_population_ratio",
        "labour_force_participation",
        "population_16_24",
        "population_16_over",
    ]


def test_degrees_are_added_up_over_adults():
    table = pd.DataFrame(
        [B15003, ("51515", "100", "1", "2", "3", "4"), ("51019", "300", "10", "20", "30", "30")],
        columns=list(acs.B15003_COLUMNS),
    )
    assert value(acs.tidy_b15003(table), "51019", "bachelor") == pytest.approx(100 / 400)


def test_extracts_leave_out_kansas_city_and_refuse_repeats():
    row = {"fips": "1001", "total_population": "100"} | dict.fromkeys(acs.CONTEXT_COLUMNS[2:], "30.0")
    blank = dict.fromkeys(acs.CONTEXT_COLUMNS, "NA") | {"fips": "36000"}
    out = acs.tidy_context_2016(pd.DataFrame([row, blank]))
    assert out["county_fips"].unique().tolist() == ["01001"]
    assert value(out, "01001", "bachelor") == pytest.approx(0.7)
    with pytest.raises(SourceError, match="repeat"):
        acs.tidy_context_2016(pd.DataFrame([row, row]))
    with pytest.raises(SourceError, match="CensusId"):
        acs.tidy_extract_2015(pd.DataFrame([row]))


def test_a_comparison_names_the_county_that_differs_most():
    first, second = (
        pd.Series({"a": 0.1, "b": 0.2, "c": 0.4}),
        pd.Series({"b": 0.25, "c": 0.4, "a": 0.1, "d": 9.0}),
    )
    found = acs.compare_series(first, second)
    assert (found["counties"], found["county"]) == (3, "b")
    assert found["max_absolute"] == pytest.approx(0.05)


@pytest.mark.real
def test_vintages_hold_and_repackaged_extracts_agree(raw):
    table = acs.read_acs(raw)
    counts = table.groupby(["vintage", "source"])["county_fips"].nunique()
    assert counts.loc[("2008_2012", "s2301")] == counts.loc[("2011_2015", "b15003")] == 3142
    overlaps = acs.read_overlaps(raw).set_index(["first", "second"])
    same = overlaps.loc[("unemployment_2011_2015__s2301", "unemployment_2011_2015__extract_2015")]
    assert same["max_absolute"] < 1e-9
    assert overlaps.loc[("land_area_sq_miles", "land_area_sq_miles__quickfacts"), "max_absolute"] < 0.01
    # One file's Hispanic share of 2010 is not the Hispanic share; nothing is built on it.
    assert overlaps.loc[("hispanic_2010", "hispanic_2010__oeps"), "max_absolute"] > 0.3
    assert overlaps.loc[("foreign_born_2006_2010", "foreign_born_2009_2013"), "correlation"] > 0.97
    # Estimates of July 2014 against the survey around them.
    hispanic = overlaps.loc[("hispanic_2014", "hispanic_2011_2015__extract_2015")]
    elderly = overlaps.loc[("age_65_over_2014", "age_65_over_2012_2016__context_2016")]
    assert hispanic["correlation"] > 0.99 and elderly["correlation"] > 0.95
    # Ages 16-24 were 12.6 % of residents, people of 16 and over 79.4 %, in 2011-15.
    period = table[table["vintage"].eq("2011_2015")].groupby(["source", "variable"])["value"].sum()
    everyone = period["extract_2015", "population"]
    assert period["s2301", "population_16_24"] / everyone == pytest.approx(0.1256, abs=2e-4)
    assert period["s2301", "population_16_over"] / everyone == pytest.approx(0.794, abs=1e-3)
    people = table[(table["variable"] == "population") & (table["vintage"] == "2014_2018")]
    people = people.set_index("county_fips")["value"]
    noncitizen = table[table["variable"] == "noncitizen"].set_index("county_fips")["value"]
    # ACS 2014-18: 6.8 % of residents are not citizens.
    assert np.average(noncitizen, weights=people.reindex(noncitizen.index)) == pytest.approx(0.068, abs=0.002)

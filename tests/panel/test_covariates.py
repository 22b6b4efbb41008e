"""Covariates on the panel's areas, on invented counties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.panel.build import YEARS, assemble
from analysis.panel.covariates import FIXED, fixed_covariates, one_new_york, yearly_covariates

# Two of the city's five counties, its neighbour, and a county elsewhere.
CODES = ("36005", "36061", "36119", "01001")
PEOPLE = pd.Series([100.0, 300.0, 50.0, 20.0], index=CODES)


def by_year(years, **columns):
    """One row a county and year; a column is given by county and grows by a tenth of itself a year."""
    rows = [
        {
            "county_fips": code,
            "year": year,
            **{k: v[i] * (1 + (year - years[0]) / 10) for k, v in columns.items()},
        }
        for i, code in enumerate(CODES)
        for year in years
    ]
    return pd.DataFrame(rows)


def sources():
    shares = pd.DataFrame({"county_fips": CODES, "census_2010_population": PEOPLE.to_numpy()})
    shares["land_area_sq_miles"] = [1.0, 3.0, 10.0, 40.0]
    for column in FIXED:
        if not column.startswith(("log_", "poverty_2010", "unemployment", "democratic")):
            shares[column] = [0.1, 0.5, 0.2, 0.3]
    people = by_year((2000, 2010), population=(80.0, 240.0, 40.0, 20.0))
    people.loc[people["year"].eq(2010), "population"] = PEOPLE.to_numpy()
    return {
        "shares": shares,
        "population": people,
        "saipe": by_year((2010,), poverty_rate=(20.0, 40.0, 10.0, 30.0), median_household_income=(1e4, 5e4, 9e4, 3e4)),
        "labour": by_year((2000, 2010), labour_force=(40.0, 160.0, 20.0, 10.0), employed=(30.0, 150.0, 19.0, 8.0)),
        "votes": by_year((2000, 2008), democratic=(9.0, 21.0, 4.0, 2.0), republican=(1.0, 9.0, 6.0, 8.0), total=(10.0, 30.0, 10.0, 10.0)),
    }  # fmt: skip


def test_people_add_up_and_rates_are_weighted_by_residents():
    table = pd.DataFrame(
        {
            "county_fips": CODES,
            "year": 2010,
            "population": PEOPLE.to_numpy(),
            "poverty_rate": [20.0, 40.0, 10.0, 30.0],
        }
    )
    before = table.copy()
    out = one_new_york(table, ["county_fips", "year"], PEOPLE).set_index("county_fips")
    assert out.index.tolist() == ["01001", "36119", "36998"]
    assert out.loc["36998", "population"] == 400
    assert out.loc["36998", "poverty_rate"] == (100 * 20 + 300 * 40) / 400
    assert out.loc["36119", "poverty_rate"] == 10
    pd.testing.assert_frame_equal(table, before)


def test_the_city_is_missing_where_one_of_its_counties_is():
    table = pd.DataFrame(
        {
            "county_fips": CODES,
            "year": 2010,
            "population": [100.0, np.nan, 1.0, 1.0],
            "rate": [1.0, np.nan, 1.0, 1.0],
        }
    )
    out = one_new_york(table, ["county_fips", "year"], PEOPLE).set_index("county_fips").loc["36998"]
    assert np.isnan(out["population"]) and np.isnan(out["rate"])
    # A rate without weights has no mean.
    unweighted = one_new_york(table.assign(rate=1.0), ["county_fips", "year"], None).set_index("county_fips")
    assert np.isnan(unweighted.loc["36998", "rate"]) and unweighted.loc["01001", "rate"] == 1


def test_a_table_without_the_city_is_left_alone_and_years_stay_apart():
    rest = by_year((2010, 2011), population=tuple(PEOPLE)).query("county_fips == '01001'")
    pd.testing.assert_frame_equal(one_new_york(rest, ["county_fips", "year"], None), rest)
    both = one_new_york(by_year((2010, 2011), population=tuple(PEOPLE)), ["county_fips", "year"], None)
    assert both[both["county_fips"].eq("36998")][["year", "population"]].to_numpy().tolist() == [[2010, 400.0], [2011, 440.0]]  # fmt: skip
    assert both["year"].dtype == np.int64


def test_fixed_covariates_are_shares_and_logs_of_the_stated_vintage():
    out = fixed_covariates(**sources()).set_index("county_fips")
    assert tuple(out.columns) == FIXED
    city, town = out.loc["36998"], out.loc["01001"]
    assert city["log_population_2000"] == pytest.approx(np.log(320))
    assert city["log_population_2010"] == pytest.approx(np.log(400))
    # Residents over land, not the mean of two densities.
    assert city["log_density_2010"] == pytest.approx(np.log(400 / 4))
    assert city["foreign_born_2006_2010"] == pytest.approx((100 * 0.1 + 300 * 0.5) / 400)
    assert city["poverty_2010"] == pytest.approx(0.35)
    assert city["log_income_2010"] == pytest.approx(np.log(4e4))
    # One rate of the city's labour force and votes, not the mean of its counties' rates.
    assert city["unemployment_2010"] == pytest.approx(1 - 180 / 200)
    assert city["democratic_vote_2008"] == pytest.approx(30 / 40)
    assert town[["poverty_2010", "unemployment_2000", "democratic_vote_2000"]].tolist() == pytest.approx([0.3, 0.2, 0.2])  # fmt: skip
    assert out.notna().all(axis=None)


def test_what_a_source_lacks_stays_missing_and_zero_has_no_logarithm():
    given = sources()
    given["votes"] = given["votes"][given["votes"]["county_fips"].ne("01001")]
    given["labour"].loc[given["labour"]["county_fips"].eq("36119"), ["labour_force", "employed"]] = 0.0
    given["shares"].loc[given["shares"]["county_fips"].eq("01001"), ["census_2010_population", "land_area_sq_miles"]] = 0.0  # fmt: skip
    out = fixed_covariates(**given).set_index("county_fips")
    assert out.loc["01001", ["democratic_vote_2000", "log_population_2010", "log_density_2010"]].isna().all()
    assert out.loc["36119", ["unemployment_2000", "unemployment_2010"]].isna().all()
    assert not np.isinf(out.to_numpy(dtype=float)).any()


def test_yearly_covariates_use_one_years_residents_as_weights():
    given = sources()
    saipe = by_year(
        (2010, 2011), poverty_rate=(20.0, 40.0, 10.0, 30.0), median_household_income=(1e4, 5e4, 9e4, 3e4)
    )
    snap = by_year((2010,), snap_recipients=(5.0, 6.0, 7.0, 8.0))
    out = yearly_covariates(given["population"], saipe, given["labour"], snap)
    assert list(out) == ["saipe", "labour", "snap"]
    rates = out["saipe"].set_index(["county_fips", "year"])["poverty_rate"]
    assert rates["36998", 2010] == pytest.approx(35) and rates["36998", 2011] == pytest.approx(35 * 1.1)
    work = out["labour"].set_index(["county_fips", "year"])
    assert work.loc[("36998", 2010), "unemployment_rate"] == pytest.approx(10)
    assert out["snap"].set_index("county_fips").loc["36998", "snap_recipients"] == 11


# --- the join of everything ---------------------------------------------------------------------------------------


def parts():
    """Frame, population, crime and the rest for two invented areas: what `assemble` joins, without its contract."""
    where = pd.DataFrame({"county_fips": ["01001", "01003"], "state": "AL"})
    grid = where[["county_fips"]].merge(pd.DataFrame({"year": YEARS}), how="cross")
    return {
        "where": where,
        "population": grid.assign(population=1_000.0),
        "crime": grid.assign(murder=1.0),
        "yearly": {"labour": grid.assign(labour_force=1.0)},
        "fixed": where[["county_fips"]].assign(poverty_2010=0.1),
        "policies": {"agreements": grid.assign(agreement_287g=0.0)},
    }


def test_everything_is_joined_before_the_contract_is_held_against_it():
    # The invented panel has none of the codebook's columns but these: the contract is the last thing to object.
    with pytest.raises(TableError, match="table panel lacks county_name"):
        assemble(**parts())


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("population", lambda t: t.iloc[1:], "frame to population: 3.3% of 30 rows found no partner.*at most 0.0%"),
        ("crime", lambda t: t[t["county_fips"].ne("01003")], "panel to crime: 50.0% of 30 rows found no partner"),
        ("crime", lambda t: pd.concat([t, t.tail(1)]), "panel to crime: the right table repeats its key"),
        ("crime", lambda t: t.assign(county_fips=t["county_fips"].str[1:]), "panel to crime.*lost its leading zeros"),
        ("crime", lambda t: t.assign(year=t["year"].astype(str)), "panel to crime: year is int64 on the left"),
        ("crime", lambda t: t.assign(population=2.0), r"panel to crime: both tables hold \['population'\]"),
        ("fixed", lambda t: t.iloc[1:], "panel to fixed covariates: 50.0%"),
        ("where", lambda t: pd.concat([t, t.tail(1)]), "frame to population: the left table repeats its key"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_named(part, change, message):
    given = parts()
    given[part] = change(given[part])
    with pytest.raises(TableError, match=f"join {message}"):
        assemble(**given)


def test_yearly_sources_may_lack_few_rows_and_no_more():
    given = parts()
    given["yearly"]["labour"] = given["yearly"]["labour"].iloc[1:]
    with pytest.raises(TableError, match=r"join panel to labour: 3\.3% of 30 rows.*at most 2\.0%"):
        assemble(**given)
    given = parts()
    given["policies"]["agreements"] = given["policies"]["agreements"].iloc[1:]
    with pytest.raises(TableError, match=r"join panel to agreements: 3\.3%.*at most 0\.0%"):
        assemble(**given)

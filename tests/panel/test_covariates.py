"""Covariates on the panel's areas, on invented counties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.codebook import load_codebook
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
        if not column.startswith(
            ("log_", "poverty_2010", "poverty_2015", "unemployment", "democratic", *FROM_SURVEY)
        ):
            shares[column] = [0.1, 0.5, 0.2, 0.3]
    people = by_year((2000, 2010, 2015), population=(80.0, 240.0, 40.0, 20.0))
    people.loc[people["year"].eq(2010), "population"] = PEOPLE.to_numpy()
    return {
        "shares": shares,
        "population": people,
        "saipe": by_year((2010, 2015), poverty_rate=(20.0, 40.0, 10.0, 30.0), median_household_income=(1e4, 5e4, 9e4, 3e4)),
        "labour": by_year((2000, 2010, 2015), labour_force=(40.0, 160.0, 20.0, 10.0), employed=(30.0, 150.0, 19.0, 8.0)),
        "votes": by_year((2000, 2008, 2012), democratic=(9.0, 21.0, 4.0, 2.0), republican=(1.0, 9.0, 6.0, 8.0), total=(10.0, 30.0, 10.0, 10.0)),
        "acs": survey(),
    }  # fmt: skip


FROM_SURVEY = ("age_16_24", "bachelor_2011_2015", "non_citizen")


def survey():
    """The long table of the survey: adults, ages, degrees and citizenship of each invented county."""
    adults = (80.0, 320.0, 30.0, 10.0)
    parts = [
        (vintage, "s2301", variable, values)
        for vintage in ("2008_2012", "2010_2014", "2011_2015")
        for variable, values in (
            ("population_16_over", adults),
            ("population_16_24", (20.0, 40.0, 5.0, 2.0)),
            ("labour_force_participation", (0.5, 0.75, 0.6, 0.7)),
            ("employment_population_ratio", (0.4, 0.7, 0.5, 0.6)),
        )
    ]
    parts += [
        ("2011_2015", "extract_2015", "population", (100.0, 400.0, 40.0, 16.0)),
        # The same name from another source: never mixed with the one that is asked for.
        ("2011_2015", "extract_2015", "population_16_24", (9.0, 9.0, 9.0, 9.0)),
        ("2011_2015", "b15003", "population_25_over", (50.0, 150.0, 20.0, 8.0)),
        ("2011_2015", "b15003", "bachelor", (0.2, 0.4, 0.3, 0.1)),
        ("2014_2018", "citizenship_2018", "population", (100.0, 300.0, 40.0, 16.0)),
        ("2014_2018", "citizenship_2018", "noncitizen", (0.08, 0.16, 0.02, 0.01)),
    ]
    return pd.concat(
        [
            pd.DataFrame({"county_fips": CODES, "vintage": v, "source": s, "variable": name, "value": values})
            for v, s, name, values in parts
        ],
        ignore_index=True,
    )


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
    # A tenth of the first year's figure is added a year: residents of 2000 become 2.5 times as many.
    assert city["log_population_2015"] == pytest.approx(np.log(320 * 2.5))
    assert city["log_density_2015"] == pytest.approx(np.log(320 * 2.5 / 4))
    assert city["age_16_24_2011_2015"] == pytest.approx(60 / 500)
    assert city["bachelor_2011_2015"] == pytest.approx((50 * 0.2 + 150 * 0.4) / 200)
    assert city["non_citizen_2014_2018"] == pytest.approx((100 * 0.08 + 300 * 0.16) / 400)
    assert city["poverty_2015"] == pytest.approx(0.35 * 1.5)
    assert city["log_income_2015"] == pytest.approx(np.log(4e4 * 1.5))
    assert city["democratic_vote_2012"] == pytest.approx(30 / 40)
    assert town[["age_16_24_2011_2015", "unemployment_2015"]].tolist() == pytest.approx([2 / 16, 0.2])


def test_covariate_sets_stand_in_one_vintage_before_the_policies_and_one_after():
    codebook = load_codebook()
    names = [name for name, vintages in codebook.covariates.items() if "2006_2010" in vintages]
    assert len(names) == 12
    panel = {column.name for column in codebook.table("panel").columns}
    for vintage, asked in (
        ("2006_2010", names), ("2009_2015", names), ("2009_2018", [*names, "non_citizen", "owner_occupied"]),
    ):  # fmt: skip
        columns = [codebook.covariate_column(name, vintage) for name in asked]
        assert set(columns) <= set(FIXED) & panel and len(set(columns)) == len(columns)
    with pytest.raises(TableError, match="covariate 'non_citizen' has no vintage '2009_2015'"):
        codebook.covariate_column("non_citizen", "2009_2015")


def test_what_a_source_lacks_stays_missing_and_zero_has_no_logarithm():
    given = sources()
    given["votes"] = given["votes"][given["votes"]["county_fips"].ne("01001")]
    given["labour"].loc[given["labour"]["county_fips"].eq("36119"), ["labour_force", "employed"]] = 0.0
    given["shares"].loc[given["shares"]["county_fips"].eq("01001"), ["census_2010_population", "land_area_sq_miles"]] = 0.0  # fmt: skip
    lacking = given["acs"]["source"].eq("citizenship_2018") & given["acs"]["county_fips"].isin(
        ["01001", "36061"]
    )
    given["acs"] = given["acs"][~lacking]
    out = fixed_covariates(**given).set_index("county_fips")
    gone = [
        "democratic_vote_2000",
        "democratic_vote_2012",
        "log_population_2010",
        "log_density_2010",
        "log_density_2015",
    ]
    assert out.loc["01001", gone].isna().all()
    assert out.loc["36119", ["unemployment_2000", "unemployment_2010", "unemployment_2015"]].isna().all()
    # A county the extract lacks leaves the city without a share too.
    assert out["non_citizen_2014_2018"].notna().to_dict() == {"01001": False, "36119": True, "36998": False}
    assert not np.isinf(out.to_numpy(dtype=float)).any()


def test_yearly_covariates_use_one_years_residents_as_weights():
    given = sources()
    saipe = by_year(
        (2010, 2011), poverty_rate=(20.0, 40.0, 10.0, 30.0), median_household_income=(1e4, 5e4, 9e4, 3e4)
    )
    snap = by_year((2010,), snap_recipients=(5.0, 6.0, 7.0, 8.0))
    out = yearly_covariates(given["population"], saipe, given["labour"], snap, given["acs"])
    assert list(out) == ["saipe", "labour", "snap", "acs"]
    rates = out["saipe"].set_index(["county_fips", "year"])["poverty_rate"]
    assert rates["36998", 2010] == pytest.approx(35) and rates["36998", 2011] == pytest.approx(35 * 1.1)
    work = out["labour"].set_index(["county_fips", "year"])
    assert work.loc[("36998", 2010), "unemployment_rate"] == pytest.approx(10)
    assert out["snap"].set_index("county_fips").loc["36998", "snap_recipients"] == 11


def test_outcomes_per_resident_divide_sums_of_the_same_year():
    given = sources()
    snap = by_year((2010, 2015), snap_recipients=(5.0, 6.0, 7.0, 8.0))
    # A retired code that no population is of, and a county without residents.
    snap = pd.concat(
        [snap, pd.DataFrame({"county_fips": ["02201"], "year": [2010], "snap_recipients": [4.0]})]
    )
    given["population"].loc[given["population"]["county_fips"].eq("36119"), "population"] = 0.0
    out = yearly_covariates(given["population"], given["saipe"], given["labour"], snap, given["acs"])
    food = out["snap"].set_index(["county_fips", "year"])["snap_share"]
    assert food["36998", 2010] == pytest.approx(100 * 11 / 400)
    assert food["36998", 2015] == pytest.approx(100 * 11 * 1.5 / (320 * 2.5))
    assert food[[("02201", 2010), ("36119", 2010)]].isna().all()
    work = out["labour"].set_index(["county_fips", "year"])
    assert work.loc[("36998", 2010), "labour_force_per_resident"] == pytest.approx(100 * 400 / 400)
    assert work.loc[("36998", 2010), "employed_per_resident"] == pytest.approx(100 * 360 / 400)
    assert work.loc["36119", ["labour_force_per_resident", "employed_per_resident"]].isna().all(axis=None)


def test_five_year_figures_stand_in_the_last_year_of_their_period_and_nowhere_else():
    given = sources()
    given["population"] = by_year(tuple(range(2008, 2017)), population=tuple(PEOPLE))
    out = yearly_covariates(
        given["population"], given["saipe"], given["labour"], by_year((2010,), snap_recipients=(1.0,) * 4), given["acs"]
    )["acs"]  # fmt: skip
    filled = out.dropna(subset=["participation", "employment_population"], how="all")
    assert sorted(filled["year"].unique()) == [2012, 2014, 2015] and len(filled) == 3 * 3
    assert len(out) == 9 * 3, "every county and year has a row"
    city = filled.set_index(["county_fips", "year"]).loc[("36998", 2015)]
    # People in the labour force and at work over people of 16 and over, of the two counties together.
    assert city["participation"] == pytest.approx(100 * (80 * 0.5 + 320 * 0.75) / 400)
    assert city["employment_population"] == pytest.approx(100 * (80 * 0.4 + 320 * 0.7) / 400)


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

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import SourceError
from analysis.panel.sources import census


def county(columns, code, value, **changes):
    row = dict.fromkeys(columns, value)
    row |= {"SUMLEV": "50", "STATE": code[:2].lstrip("0"), "COUNTY": code[2:].lstrip("0")}
    row |= {"REGION": "3", "DIVISION": "5", "CTYNAME": "Elm County"} if "REGION" in row else {}
    return row | changes


def early(*rows):
    return pd.DataFrame([county(census.INTERCENSAL_COLUMNS, *row) for row in rows])


def late(*rows):
    return pd.DataFrame([county(census.VINTAGE_COLUMNS, *row) for row in rows])


def test_population_joins_two_series_and_merges_bedford():
    out = census.tidy_population(
        early(("51515", "6000"), ("51019", "60000"), ("46113", "13000")),
        late(("51019", "75000"), ("46102", "14000")),
    )
    wide = out.pivot_table(index="county_fips", columns="year", values="population")
    assert wide.index.tolist() == ["46102", "51019"]
    assert wide[2009].tolist() == [13_000, 66_000]
    assert wide[2010].tolist() == [14_000, 75_000]
    assert wide.columns.tolist() == list(range(2000, 2020))


def test_population_refuses_what_does_not_add_up():
    state = county(census.VINTAGE_COLUMNS, "01001", "9", SUMLEV="40", COUNTY="0")
    with pytest.raises(SourceError, match="add up to 8"):
        census.tidy_population(
            early(("01001", "7")), pd.concat([late(("01001", "8")), pd.DataFrame([state])])
        )
    with pytest.raises(SourceError, match=r"different counties.*01003"):
        census.tidy_population(early(("01001", "7"), ("01003", "7")), late(("01001", "8")))
    with pytest.raises(SourceError, match="repeat county_fips"):
        census.tidy_population(early(("01001", "7"), ("01001", "7")), late(("01001", "8")))
    with pytest.raises(SourceError, match="-7 is below 0"):
        census.tidy_population(early(("01001", "-7")), late(("01001", "8")))
    with pytest.raises(SourceError, match=r"POPESTIMATE2015 \(did you mean POPESTIMATE\d+\?\)"):
        census.tidy_population(early(("01001", "7")), late(("01001", "8")).drop(columns="POPESTIMATE2015"))
    with pytest.raises(SourceError, match="lies in no state"):
        census.tidy_county_frame(late(("72001", "8")))


def saipe(compiled=(), of_2018=(), of_2019=()):
    return (
        pd.DataFrame(list(compiled), columns=list(census.SAIPE_COLUMNS), dtype=str),
        pd.DataFrame(list(of_2018), columns=list(census.SAIPE_2018_COLUMNS), dtype=str),
        pd.DataFrame(list(of_2019), columns=list(census.SAIPE_2019_COLUMNS), dtype=str),
    )


def test_poverty_of_a_merged_county_is_weighted_and_states_are_left_out():
    out = census.tidy_saipe(
        *saipe(
            [("51515", "2010", "40000", "20"), ("51019", "2010", "60000", "8"), ("2201", "2005", "1", "1")],
            [("51019", "9.5", "61,000"), ("51000", "10.0", "70,000"), ("15005", "", "")],
            [("51", "019", "9.1", "62000.0"), ("00", "000", "12.3", "1"), ("15", "005", ".", ".")],
        )
    )
    table = out.set_index(["county_fips", "year"])
    share = 6222 / (6222 + 68676)
    assert table.loc[("51019", 2010), "poverty_rate"] == pytest.approx(8 + 12 * share)
    assert table.loc[("51019", 2018), "median_household_income"] == 61_000
    assert table.loc[("51019", 2019), "poverty_rate"] == 9.1
    # Kalawao is not estimated; a split area stays under its old code.
    assert set(out["county_fips"]) == {"51019", "02201"}


def test_poverty_refuses_bad_input():
    row = ("1001", "2010", "50000", "12.5")
    with pytest.raises(SourceError, match="repeat county_fips, year"):
        census.tidy_saipe(*saipe([row, row]))
    with pytest.raises(SourceError, match="lost its leading zero"):
        census.tidy_saipe(*saipe([row], [("1001", "9.5", "61,000")]))
    with pytest.raises(SourceError, match="povertyR: -1 is below 0"):
        census.tidy_saipe(*saipe([("1001", "2010", "50000", "-1")]))
    compiled, mid, last = saipe([row])
    with pytest.raises(SourceError, match=r"povertyR \(did you mean povertyRate\?\)"):
        census.tidy_saipe(compiled.rename(columns={"povertyR": "povertyRate"}), mid, last)


def recipients(code, **years):
    row = dict.fromkeys(census.SNAP_COLUMNS, "")
    row |= {"State FIPS code": str(int(code[:2])), "County FIPS code": str(int(code[2:]))}
    return row | {f"Jul-{year[1:]}": value for year, value in years.items()}


def test_recipients_add_up_and_blanks_stay_missing():
    table = pd.DataFrame(
        [
            recipients("46113", y2013="8,514"),
            recipients("46102", y2014="8,445"),
            recipients("01000", y2014="99"),
            recipients("02201", y2007="859"),
            recipients("09110"),
        ]
    )
    out = census.tidy_snap(table).set_index(["county_fips", "year"])["snap_recipients"]
    assert out.loc[("46102", 2013)] == 8514
    assert out.loc[("46102", 2014)] == 8445
    assert np.isnan(out.loc[("46102", 2012)])
    assert out.loc["02201"].to_dict() == {2007: 859.0}
    assert "09110" not in out.index.get_level_values(0)
    with pytest.raises(SourceError, match="repeat county_fips"):
        census.tidy_snap(pd.DataFrame([recipients("01001"), recipients("01001")]))
    with pytest.raises(SourceError, match="below 0"):
        census.tidy_snap(pd.DataFrame([recipients("01001", y2010="-4")]))


def census_row(code, people, hispanic, black, young, old):
    row = dict.fromkeys(census.SF1_COLUMNS, "0") | {
        "Geo_FIPS": code,
        "Geo_AREALAND": str(census.SQUARE_METRES_PER_SQUARE_MILE * 2),
        "SF1_P0050001": str(people),
        "SF1_P0120001": str(people),
        "SF1_P0050010": str(hispanic),
        "SF1_P0050004": str(black),
    }
    # One cell of each sex and age: men of 15-17 and women of 85 and over.
    return row | {"SF1_P0120006": str(young), "SF1_P0120049": str(old)}


def test_census_shares_add_counts_before_they_divide():
    table = pd.DataFrame([census_row("51515", 100, 50, 0, 10, 20), census_row("51019", 300, 0, 30, 30, 0)])
    out = census.tidy_census_2010(table).loc["51019"]
    assert out["census_2010_population"] == 400
    assert out["land_area_sq_miles"] == pytest.approx(4)
    assert out["hispanic_2010"] == pytest.approx(50 / 400)
    assert out["black_2010"] == pytest.approx(30 / 400)
    assert out["age_15_24_2010"] == pytest.approx(40 / 400)
    assert out["age_65_over_2010"] == pytest.approx(20 / 400)


def test_census_shares_refuse_bad_input():
    good = pd.DataFrame([census_row("01001", 100, 50, 0, 10, 20)])
    with pytest.raises(SourceError, match="lost its leading zero"):
        census.tidy_census_2010(good.replace("01001", "1001"))
    with pytest.raises(SourceError, match="one total by race"):
        census.tidy_census_2010(good.assign(SF1_P0120001="101"))
    with pytest.raises(SourceError, match="repeat"):
        census.tidy_census_2010(pd.concat([good, good]))
    with pytest.raises(SourceError, match="SF1_P0050010"):
        census.tidy_census_2010(good.drop(columns="SF1_P0050010"))


def test_percentages_become_shares_or_are_refused():
    table = pd.DataFrame({"p": ["100", "300", "9"], "a": ["10", "20", "90"]})
    codes = pd.Series(["51515", "51019", "51000"])
    out = census.tidy_percentages(table, {"s": ["a"]}, "p", "f.csv", codes, 100)
    assert out["s"].to_dict() == {"51019": pytest.approx((10 + 3 * 20) / 400)}
    with pytest.raises(SourceError, match=r"s is 1\.1 in 51019"):
        census.tidy_percentages(table.replace("20", "110"), {"s": ["a"]}, "p", "f.csv", codes, 100)


@pytest.mark.real
def test_frame_and_population_hold_the_published_totals(raw):
    frame, people = census.read_county_frame(raw), census.read_population(raw)
    assert len(frame) == 3142
    assert frame["state"].nunique() == 51
    assert set(people["county_fips"]) == set(frame["county_fips"])
    assert len(people) == 3142 * 20
    totals = people.groupby("year")["population"].sum()
    assert totals[2000] == 282_162_411
    assert totals[2015] == 320_635_163
    assert people.query("county_fips == '06037' and year == 2015")["population"].item() == 10_085_416
    vintage = census.read_columns(raw.path(census.VINTAGE_2019), ["SUMLEV", "CENSUS2010POP"], "vintage 2019")
    # The column leaves out Bedford city's 6,222 people.
    counties = vintage.loc[vintage["SUMLEV"] == "50", "CENSUS2010POP"].astype(int)
    assert counties.sum() == 308_739_316 == 308_745_538 - 6_222


@pytest.mark.real
def test_poverty_and_food_assistance_hold_the_published_totals(raw):
    poverty, people = census.read_saipe(raw), census.read_population(raw)
    both = poverty.merge(people, on=["county_fips", "year"]).query("year == 2015")
    assert np.average(both["poverty_rate"], weights=both["population"]) == pytest.approx(14.75, abs=0.01)
    frame = set(people["county_fips"])
    assert set(poverty["county_fips"]) - frame == {"02201", "02232", "02280", "30113"}
    assert poverty.query("year >= 2009").groupby("year")["county_fips"].nunique().eq(3141).all()
    snap = census.read_snap(raw)
    assert snap.loc[snap["year"] == 2015, "snap_recipients"].sum() == pytest.approx(44.6e6, rel=0.001)


@pytest.mark.real
def test_shares_hold_the_census_and_agree_between_sources(raw):
    shares = census.read_shares(raw).set_index("county_fips")
    assert shares["census_2010_population"].sum() == 308_745_538
    assert shares.index[shares["poverty_2000"].isna()].tolist() == ["02158", "08014", "46102"]
    national = shares.drop(columns=["census_2010_population", "land_area_sq_miles"]).apply(
        lambda s: np.average(s.dropna(), weights=shares.loc[s.notna(), "census_2010_population"])
    )
    # The 2010 census counted 16.3 % Hispanic, 12.6 % Black alone, 13.0 % of 65 and over; ACS 2006-10 found
    # 12.7 % foreign-born.
    assert national["hispanic_2010"] == pytest.approx(0.163, abs=0.001)
    assert national["black_2010"] == pytest.approx(0.126, abs=0.001)
    assert national["age_65_over_2010"] == pytest.approx(0.130, abs=0.001)
    assert national["foreign_born_2006_2010"] == pytest.approx(0.127, abs=0.001)
    # Estimates of July 2014: 17.4 % Hispanic, 13.2 % Black alone, 14.5 % of 65 and over.
    later = shares[["hispanic_2014", "black_2014", "age_65_over_2014"]]
    people = census.read_population(raw).query("year == 2014").set_index("county_fips")["population"]
    nation = np.average(later, axis=0, weights=people.reindex(later.index))
    assert nation == pytest.approx([0.174, 0.132, 0.145], abs=0.0005)
    others = census.read_share_alternates(raw)
    tolerances = {"black_2010__oeps": 1e-4, "age_65_over_2010__oeps": 1e-4, "hispanic_2010__mobility": 1e-6}
    for name, tolerance in tolerances.items():
        gap = (others[name] - shares[name.split("__")[0]]).drop("51019").abs()
        assert gap.max() < tolerance
    # Education of the 2010 file is of ACS 2006-10: it follows the tracts of that vintage, not 2009-13.
    same = shares["bachelor_2006_2010"].corr(others["bachelor_2006_2010__mobility"])
    later = shares["bachelor_2006_2010"].corr(shares["bachelor_2009_2013"])
    assert same > 0.997 > 0.99 > later

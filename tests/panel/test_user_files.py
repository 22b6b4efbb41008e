import pandas as pd
import pytest

from analysis.base.errors import SourceError, TableError
from analysis.panel.sources import user_files as user

KNOWN = ["01001", "01003", "09001", "46102", "51019"]


def nacjd(*rows):
    base = dict.fromkeys(user.NACJD_COLUMNS, "3") | {
        "COVIND": "100",
        "CPOPCRIM": "1000",
        "VIOL": "12",
        "PROPERTY": "9",
    }
    return pd.DataFrame([base | row for row in rows])


def test_zero_coverage_is_missing_and_zero_under_coverage_is_zero():
    out = user.tidy_nacjd_counties(
        nacjd(
            {"FIPS_ST": "1", "FIPS_CTY": "1", "MURDER": "0"},
            {"FIPS_ST": "1", "FIPS_CTY": "3", "MURDER": "0", "COVIND": "0"},
        ),
        2014,
        KNOWN,
    ).set_index("county_fips")
    assert out.loc["01001", "murder"] == 0
    assert out.loc["01003", ["murder", "arson", "violent"]].isna().all()
    assert out.loc["01003", "coverage"] == 0


def test_merged_counties_add_up_and_old_files_have_no_totals():
    table = nacjd(
        {"FIPS_ST": "51", "FIPS_CTY": "515", "CPOPCRIM": "3000", "COVIND": "50"},
        {"FIPS_ST": "51", "FIPS_CTY": "19"},
    )
    out = user.tidy_nacjd_counties(table, 2008, KNOWN).iloc[0]
    assert (out["county_fips"], out["murder"], out["population"]) == ("51019", 6, 4000)
    assert out["coverage"] == pytest.approx((3 * 50 + 100) / 4)
    old = user.tidy_nacjd_counties(table.drop(columns=["VIOL", "PROPERTY"]), 2008, KNOWN)
    assert old[["violent", "property"]].isna().all(axis=None)


def test_a_bad_nacjd_file_is_refused():
    one = {"FIPS_ST": "1", "FIPS_CTY": "1"}
    with pytest.raises(SourceError, match=r"COVIND \(did you mean"):
        user.tidy_nacjd_counties(nacjd(one).rename(columns={"COVIND": "COVINDX"}), 2014)
    with pytest.raises(SourceError, match="repeat"):
        user.tidy_nacjd_counties(nacjd(one, one), 2014)
    with pytest.raises(SourceError, match="MURDER: -3 is below 0"):
        user.tidy_nacjd_counties(nacjd(one | {"MURDER": "-3"}), 2014)
    with pytest.raises(SourceError, match="holds the year 2013; expected the year 2014"):
        user.tidy_nacjd_counties(nacjd(one).assign(YEAR="2013"), 2014)
    with pytest.raises(SourceError, match="coverage indicator 120"):
        user.tidy_nacjd_counties(nacjd(one | {"COVIND": "120"}), 2014)
    state_wide = nacjd(one, {"FIPS_ST": "1", "FIPS_CTY": "777"})
    with pytest.raises(SourceError, match="01777"):
        user.tidy_nacjd_counties(state_wide, 2014, KNOWN)
    assert len(user.tidy_nacjd_counties(state_wide, 2014, KNOWN, leave_out=["01777"])) == 1
    with pytest.raises(TableError, match="02201"):
        user.tidy_nacjd_counties(nacjd({"FIPS_ST": "2", "FIPS_CTY": "201"}), 2005, KNOWN)


def test_fixed_columns_are_cut_by_the_layout(tmp_path):
    path = tmp_path / "DS0004.txt"
    names = list(user.NACJD_COLUMNS)
    layout = {name: (1 + 6 * i, 6 + 6 * i) for i, name in enumerate(names)}
    cells = ["1", "3", "500", "87.5", *"12345678"]
    path.write_text("".join(f"{cell:>6}" for cell in cells) + "\n")
    out = user.read_nacjd_counties(path, 2014, KNOWN, layout=layout)
    assert out[["county_fips", "coverage", "motor_vehicle_theft", "arson"]].to_numpy().tolist() == [
        ["01003", 87.5, 7.0, 8.0]
    ]
    with pytest.raises(SourceError, match=r"layout .* lacks column ARSON"):
        user.read_nacjd_counties(path, 2014, KNOWN, layout={k: v for k, v in layout.items() if k != "ARSON"})
    with pytest.raises(SourceError, match=r"no file nowhere.csv"):
        user.read_nacjd_counties(tmp_path / "nowhere.csv", 2014)


def kaplan(**changes):
    row = {names[0]: "4" for names in user.KAPLAN_COUNTS.values()}
    row |= {
        "ori": "AL00100", "year": "2014", "state_abb": "AL", "agency_name": "oak", "fips_state_code": "01",
        "fips_county_code": "001", "population": "500", "number_of_months_missing": "0",
    }  # fmt: skip
    return row | changes


def test_agencies_that_reported_nothing_are_missing_not_zero():
    rows = [
        kaplan(),
        kaplan(ori="AL00200", number_of_months_missing="12", actual_murder="0"),
        kaplan(ori="NB00100", state_abb="NB", fips_state_code="31", fips_county_code="999"),
        kaplan(year="2004"),
    ]
    out = user.tidy_kaplan_agencies(pd.DataFrame(rows), years=[2014]).set_index("ori")
    assert out.index.tolist() == ["AL00100", "AL00200", "NB00100"]
    assert out["months_reported"].tolist() == [12, 0, 12]
    assert out["murder"].isna().tolist() == [False, True, False]
    assert pd.isna(out.loc["NB00100", "county_fips"])
    assert out.loc["NB00100", "state"] == "NE"


def test_later_column_names_and_the_last_month_are_understood():
    row = kaplan(last_month_reported="june", actual_burglary_total="7", actual_motor_vehicle_theft_total="8")
    for gone in ("number_of_months_missing", "actual_burg_total", "actual_mtr_veh_theft_total"):
        del row[gone]
    out = user.tidy_kaplan_agencies(pd.DataFrame([row])).iloc[0]
    assert (out["months_reported"], out["months_basis"]) == (6, "last_month_reported")
    assert (out["burglary"], out["motor_vehicle_theft"]) == (7, 8)


def test_a_bad_agency_file_is_refused():
    with pytest.raises(SourceError, match="below 0"):
        user.tidy_kaplan_agencies(pd.DataFrame([kaplan(actual_theft_total="-2")]))
    kept = user.tidy_kaplan_agencies(pd.DataFrame([kaplan(actual_theft_total="-2")]), negative="missing")
    assert kept["larceny"].isna().all()
    with pytest.raises(SourceError, match=r"county code '1' .a lost leading zero"):
        user.tidy_kaplan_agencies(pd.DataFrame([kaplan(fips_state_code="1", fips_county_code="1")]))
    with pytest.raises(SourceError, match="repeat ori, year"):
        user.tidy_kaplan_agencies(pd.DataFrame([kaplan(), kaplan()]))
    with pytest.raises(SourceError, match="-1 months reported"):
        user.tidy_kaplan_agencies(pd.DataFrame([kaplan(number_of_months_missing="13")]))
    with pytest.raises(
        SourceError, match=r"actual_burg_total .*expected actual_burg_total or actual_burglary_total"
    ):
        user.tidy_kaplan_agencies(
            pd.DataFrame([kaplan()]).rename(columns={"actual_burg_total": "actual_burg_tot"})
        )


@pytest.mark.parametrize("kind", ["csv", "parquet", "dta", "rds"])
def test_every_kind_of_agency_file_reads_alike(tmp_path, kind):
    frame = pd.DataFrame([kaplan(actual_murder=4, population=500.0, year=2014, column_of_no_use="x")])
    path = tmp_path / f"offenses_known_yearly.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "dta":
        frame.to_stata(path, write_index=False, version=118)
    else:
        import pyreadr

        pyreadr.write_rds(str(path), frame)
    out = user.read_kaplan_agencies(path)
    assert out[["ori", "year", "county_fips", "population", "murder"]].to_numpy().tolist() == [
        ["AL00100", 2014, "01001", 500.0, 4.0]
    ]
    with pytest.raises(SourceError, match="of no kind known here"):
        (tmp_path / "agencies.xlsx").touch()
        user.read_kaplan_agencies(tmp_path / "agencies.xlsx")

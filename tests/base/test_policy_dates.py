"""A user's csv of policy dates: what its reader makes of it, and what it refuses."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.base.errors import SourceError, TableError
from analysis.base.policy_dates import check_user_policies, read_user_policies

KNOWN = ["01001", "01003", "09001", "36998", "46102", "51019"]


def policies(*rows):
    return pd.DataFrame([{"county_fips": "01001", "date": "2014-04-16"} | row for row in rows])


def test_dates_come_out_as_precise_as_they_are_under_todays_codes():
    given = policies(
        {"level": "county", "upper_bound": "yes"},
        {"county_fips": "46113", "date": "2013", "direction": "limit_partial", "level": "county"},
        {"county_fips": "", "level": "state", "state": "CA"},
    )
    before = given.copy()
    out = check_user_policies(given, KNOWN)  # empty cells of optional columns mean the default
    pd.testing.assert_frame_equal(given, before)
    assert out["direction"].tolist() == ["limit_full", "limit_partial", "limit_full"]
    assert out["county_fips"].tolist()[:2] == ["01001", "46102"]
    assert pd.isna(out["county_fips"].iloc[2])
    assert out["state"].tolist() == ["AL", "SD", "CA"]
    assert out["year"].tolist() == [2014, 2013, 2014]
    assert out["month"].isna().tolist() == [False, True, False]
    assert out["basis"].tolist() == ["reported_by", "stated", "stated"]


def test_the_names_of_the_studys_own_table_are_understood():
    given = pd.DataFrame(
        {
            "county_fips": ["01001", "01003"],
            "policy_date": ["2014-04-16", "2014-07"],
            "policy_type": ["full_decline", "partial_limit"],
            "date_basis": ["enacted", "reported_by"],
            "date_precision": ["day", "month"],
            "individually_verified": ["yes", "no"],
        }
    )
    out = check_user_policies(given, KNOWN)
    assert out["direction"].tolist() == ["limit_full", "limit_partial"]
    assert out["upper_bound"].tolist() == [False, True]
    assert out["verified"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"county_fips": "1001"}, "row 1: county code '1001' lost its leading zero.*'01001'.*as text"),
        ({"county_fips": "09110"}, "planning regions.*do not nest"),
        ({"county_fips": "02201"}, "cannot be told apart"),
        ({"county_fips": "01999"}, "'01999' is no county; expected a county of the 2019 frame"),
        ({"county_fips": "01002"}, r"'01002' is no county \(did you mean 0100[13]\?\)"),
        ({"county_fips": "72001"}, "'72001' is no county"),
        ({"county_fips": "010010"}, "five digits"),
        ({"county_fips": ""}, "row 1: county code ''; expected five digits"),
        ({"date": "1979-12-31"}, "lies before 1980"),
        ({"date": "2027-01-01"}, "lies in the future"),
        ({"date": "2014-02-30"}, "no day of the calendar"),
        ({"date": "4/16/2014"}, "4/16/2014"),
        ({"level": "country"}, r"did you mean county\?"),
        ({"level": "state"}, "a state policy carries the county code '01001'"),
        ({"direction": "limit_ful"}, r"did you mean limit_full\?"),
        ({"direction": "listed"}, "direction 'listed'"),
        ({"state": "TX"}, "state 'TX' beside county code '01001', which is in AL"),
        ({"verified": "maybe"}, "verified 'maybe'; expected yes or no"),
        ({"date_basis": "reported"}, r"row 1: date_basis 'reported' \(did you mean reported_by\?"),
        ({"date_basis": "enacted", "upper_bound": "yes"}, "two columns that agree"),
        ({"juridiction": "Elm"}, r"did you mean jurisdiction\?"),
    ],
)
def test_a_bad_row_says_what_is_wrong(row, message):
    with pytest.raises((SourceError, TableError), match=message) as caught:
        check_user_policies(policies(row), KNOWN, "mine.csv")
    assert str(caught.value).startswith("mine.csv")


def test_an_event_that_stands_twice_is_refused_with_its_rows():
    with pytest.raises(SourceError, match="rows 1 and 3: 'limit_full' of 01001 on 2014-04-16 twice"):
        check_user_policies(policies({}, {"date": "2015"}, {}), KNOWN)
    with pytest.raises(SourceError, match="rows 1 and 2: 'limit_full' of 46102"):
        check_user_policies(policies({"county_fips": "46113"}, {"county_fips": "46102"}), KNOWN)
    with pytest.raises(SourceError, match="rows 1 and 2: 'limit_full' of CA"):
        check_user_policies(policies(*[{"county_fips": "", "level": "state", "state": "CA"}] * 2), KNOWN)
    named = policies({"jurisdiction": "Elm County"}, {"jurisdiction": "County of Elm"})
    with pytest.raises(SourceError, match="twice"):
        check_user_policies(named, KNOWN)
    cities = named.assign(level="city")
    assert len(check_user_policies(cities, KNOWN)) == 2, "two cities of one county are two events"


def test_new_york_may_stand_as_one_area_or_by_its_counties():
    rows = policies(*({"county_fips": code} for code in ("36998", "36005", "36061")))
    for known in (KNOWN, ["36005", "36061"], None):
        assert check_user_policies(rows, known)["county_fips"].tolist() == ["36998", "36005", "36061"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no readable csv"),
        (b"county_fips,date\n01001,2014,1,2\n01001,2,3,4,5,6\n", "no readable csv"),
        ("county_fips,date,note\n35013,2014,Doña Ana\n".encode("latin-1"), "no readable csv.*UTF-8"),
        (b"county_fips;date\n01001;2014\n", "lacks county_fips, date"),
        (b"county_fips,dates\n01001,2014\n", "lacks date"),
        (b"county_fips,date\n", "no rows"),
        (b"county_fips,date,policy_date\n01001,2014,2014\n", "both 'policy_date' and 'date'"),
    ],
)
def test_a_file_that_is_no_such_csv_is_refused(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_user_policies(path, KNOWN)
    with pytest.raises(SourceError, match=r"there is no file 'nowhere.csv'"):
        read_user_policies(tmp_path / "nowhere.csv", KNOWN)


def test_a_spreadsheets_byte_order_mark_and_spaces_do_no_harm(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbfcounty_fips, date\r\n01001 , 2014-04\r\n\r\n")
    assert read_user_policies(path, KNOWN)[["county_fips", "year", "month"]].to_numpy().tolist() == [
        ["01001", 2014, 4]
    ]

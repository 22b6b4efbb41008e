"""The study's own compilations of policy facts: format, counts, and dates that are known from elsewhere."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.base.errors import SourceError, TableError
from analysis.base.fips import NEW_YORK_COUNTIES, STATE_OF_FIPS
from analysis.base.paths import Paths
from analysis.base.policy_dates import PRECISIONS, parse_date
from analysis.panel.sources.detainers import read_hand_list
from analysis.panel.sources.jurisdictions import one_new_york, read_gazetteer
from analysis.panel.sources.policy import (
    DIRECTION_OF,
    FILES,
    UPPER_BOUNDS,
    check_compiled,
    read_compiled,
    read_ddor_2017,
    read_detainer_policies,
    read_state_laws,
)

FOLDER = Paths().compiled_policy
NEW_YORK_DATES = (
    ("2011-11-22", "limit_partial"),
    ("2013-03-18", "limit_partial"),
    ("2014-11-14", "limit_full"),
)


@pytest.mark.parametrize("name", FILES)
def test_files_are_plain_utf8_with_text_codes(name):
    data = (FOLDER / FILES[name]).read_bytes()
    assert b"\r" not in data and not data.startswith(b"\xef\xbb\xbf")
    table = read_compiled(FOLDER, name)
    codes = table["county_fips"].dropna()
    assert codes.str.fullmatch(r"\d{5}").all()
    # A code belongs to the state beside it.
    assert (codes.str[:2].map(STATE_OF_FIPS) == table.loc[codes.index, "state"]).all()
    assert table.loc[table["level"] == "state", "county_fips"].isna().all()
    assert table.loc[table["level"] != "state", "county_fips"].notna().all()
    assert (table["source"] != "").all()


@pytest.mark.parametrize("name", [name for name in FILES if name != "doj_list"])
def test_dates_are_as_precise_as_they_say(name):
    table = read_compiled(FOLDER, name)
    dated = table[table["policy_date"].notna()]
    for date, precision in zip(dated["policy_date"], dated["date_precision"], strict=True):
        assert pd.Series([date]).str.fullmatch(PRECISIONS[precision]).all()
        assert 1980 <= parse_date(date, precision, name)[0] <= 2026
    assert table.loc[table["policy_date"].isna(), "date_precision"].isna().all()


def test_counts_of_the_documented_policies():
    table = read_detainer_policies()
    verified = table[table["verified"]]
    assert (len(table), table["county_fips"].nunique(), table["state"].nunique()) == (199, 184, 19)
    assert verified["county_fips"].nunique() == 120
    inferred = table[~table["county_fips"].isin(verified["county_fips"])]
    assert inferred.drop_duplicates("county_fips")["state"].value_counts().to_dict() == {"CO": 33, "OR": 31}
    assert (inferred.loc[inferred["state"] == "OR", "date_basis"] == "statewide_inference").all()
    assert (table["date_basis"] == "reported_by").sum() == 113
    assert table["date_basis"].isin(UPPER_BOUNDS).sum() == 117
    assert not table.duplicated(["county_fips", "policy_date", "policy_type"]).any()
    early = table[
        table["policy_date"].str[:4].astype(int).lt(2014) & table["policy_type"].str.startswith("detainer")
    ]
    assert early["county_fips"].nunique() == 14


def test_counts_of_the_other_compilations():
    assert (len(read_ddor_2017()), int(read_ddor_2017()["policy_date"].notna().sum())) == (48, 11)
    assert (len(read_state_laws()), int((~read_state_laws()["verified"]).sum())) == (16, 4)
    doj = read_compiled(FOLDER, "doj_list")
    assert (len(doj), one_new_york(doj["county_fips"]).nunique()) == (35, 20)


@pytest.mark.parametrize(
    ("fips", "date", "direction"),
    [
        ("17031", "2011-09-07", "limit_full"), ("06085", "2011-10-18", "limit_partial"),
        ("06075", "2013-09-24", "limit_partial"), ("06075", "2014-05-29", "limit_full"),
        ("41051", "2013-04", "limit_partial"), ("41051", "2014-04", "limit_full"), 
        ("42101", "2014-04-16", "limit_full"),
        ("27053", "2014-06-11", "limit_full"), ("53033", "2013-12-10", "limit_partial"),
        ("53033", "2014-09-05", "limit_full"), ("22071", "2013-08-14", "limit_full"),
        ("55079", "2012-06-04", "limit_partial"), ("12086", "2017-01-26", "repeal"),
        *[(borough, *dated) for borough in NEW_YORK_COUNTIES for dated in NEW_YORK_DATES],
    ],
)  # fmt: skip
def test_known_dates_of_counties(fips, date, direction):
    table = read_detainer_policies()
    own = table[(table["county_fips"] == fips) & (table["policy_date"] == date)]
    assert own["policy_type"].map(dict(DIRECTION_OF)).tolist() == [direction]


def test_san_francisco_1989_is_no_limit_on_detainers():
    table = read_detainer_policies()
    old = table[(table["county_fips"] == "06075") & (table["policy_date"].str[:4] == "1989")]
    assert old["policy_type"].map(dict(DIRECTION_OF)).tolist() == ["ordinance"]


@pytest.mark.parametrize(
    ("state", "date", "direction"),
    [
        ("CA", "2014-01-01", "limit_partial"), ("CT", "2014-01-01", "limit_partial"),
        ("IL", "2017-08-28", "limit_full"),
        ("MA", "2017-07-24", "limit_full"), ("TX", "2017-09-01", "require"), ("FL", "2019-07-01", "require"),
        ("LA", "2024-05", "require"),
    ],
)  # fmt: skip
def test_known_dates_of_states(state, date, direction):
    table = read_state_laws()
    own = table[(table["state"] == state) & (table["policy_date"] == date)]
    assert own["policy_type"].map(dict(DIRECTION_OF)).tolist() == [direction]


def test_facilities_placed_by_hand_say_why():
    hand = read_hand_list()
    assert hand["county_fips"].str.fullmatch(r"\d{5}").all()
    assert (hand["county_fips"].str[:2].map(STATE_OF_FIPS) == hand["state"]).all()
    assert hand["local"].isin(["yes", "no"]).all()
    assert hand["why"].str.len().gt(10).all()


@pytest.mark.real
@pytest.mark.parametrize("name", ["ddor_2017", "detainer_policies", "doj_list"])
def test_codes_are_those_of_the_named_counties(raw, name):
    table = read_compiled(FOLDER, name)
    where = read_gazetteer(raw)
    counties = table[(table["level"] == "county") & (table["state"] != "DC")]
    for jurisdiction, state, fips in counties[["jurisdiction", "state", "county_fips"]].itertuples(
        index=False
    ):
        proper = where.county(state, jurisdiction)
        city = where.county_cities.get((state, jurisdiction.removesuffix(" city").upper()))
        assert fips == (city if jurisdiction.endswith(" city") else proper), jurisdiction
    cities = table[table["level"] == "city"]
    for jurisdiction, state, fips in cities[["jurisdiction", "state", "county_fips"]].itertuples(index=False):
        assert where.place(state, jurisdiction) == one_new_york(pd.Series([fips])).iloc[0], jurisdiction


# --- what the reader refuses --------------------------------------------------------------------------------

GOOD = {
    "jurisdiction": "Elm County", "state": "AL", "level": "county", "county_fips": "01001",
    "policy_date": "2014-04",
    "policy_type": "detainer_partial_limit", "source": "a", "source_url": "", "note": "",
    "date_precision": "month",
    "date_basis": "enacted", "individually_verified": "yes",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"county_fips": "1001"}, "leading zero"),
        ({"county_fips": "99001"}, "no state's code"),
        ({"level": "conty"}, "did you mean county"),
        ({"level": "state"}, "state policy carries the county code"),
        ({"policy_type": "detainer_partial_limt"}, "did you mean detainer_partial_limit"),
        ({"policy_date": "2014-04-16"}, "of precision 'month'"),
        ({"policy_date": "2014-13"}, "no day of the calendar"),
        ({"policy_date": "1914-04"}, "before 1980"),
        ({"policy_date": "2114-04"}, "in the future"),
    ],
)
def test_a_bad_row_is_named(change, words):
    with pytest.raises(TableError, match=rf"mine.csv, row 1 \(Elm County\).*{words}"):
        check_compiled(pd.DataFrame([{**GOOD, **change}]), "mine.csv")


def test_a_missing_file_and_a_missing_column_are_named(tmp_path):
    with pytest.raises(SourceError, match=r"d2_detainer_policies\.csv is missing"):
        read_compiled(tmp_path, "detainer_policies")
    pd.DataFrame([GOOD]).drop(columns="date_basis").to_csv(tmp_path / FILES["detainer_policies"], index=False)
    with pytest.raises(SourceError, match="lacks date_basis"):
        read_compiled(tmp_path, "detainer_policies")

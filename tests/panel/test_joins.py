import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.panel.joins import join

LEFT = pd.DataFrame(
    {"county_fips": ["01001", "01003", "01003"], "year": [2010, 2010, 2011], "x": [1.0, 2.0, 3.0]}
)
RIGHT = pd.DataFrame({"county_fips": ["01001", "01005"], "y": [10.0, 50.0]})


def test_unmatched_rows_are_kept_and_reported():
    table, report = join(LEFT, RIGHT, ["county_fips"], expect="many_to_one", name="x to y", tolerance=0.7)
    assert table["x"].tolist() == [1.0, 2.0, 3.0]
    assert table["y"].isna().tolist() == [False, True, True]
    assert report.matched == 1
    assert report.unmatched_left["county_fips"].tolist() == ["01003"]
    assert report.unused_right["county_fips"].tolist() == ["01005"]


def test_more_unmatched_than_tolerated_is_refused():
    with pytest.raises(TableError, match=r"66.7% of 3 rows found no partner"):
        join(LEFT, RIGHT, ["county_fips"], expect="many_to_one", name="x to y", tolerance=0.5)


@pytest.mark.parametrize("expect", ["one_to_one", "many_to_one"])
def test_a_repeated_right_key_is_refused(expect):
    doubled = pd.concat([RIGHT, RIGHT])
    with pytest.raises(TableError, match="right table repeats its key"):
        join(LEFT, doubled, ["county_fips"], expect=expect, name="x to y", tolerance=1)


def test_a_repeated_left_key_is_refused_only_one_to_one():
    with pytest.raises(TableError, match="left table repeats its key"):
        join(LEFT, RIGHT, ["county_fips"], expect="one_to_one", name="x to y", tolerance=1)


def test_lost_zeros_are_named():
    short = LEFT.assign(county_fips=["1001", "1003", "1003"])
    with pytest.raises(TableError, match="a leading zero was lost"):
        join(short, RIGHT, ["county_fips"], expect="many_to_one", name="x to y", tolerance=0)


def test_numbers_never_join_text():
    with pytest.raises(TableError, match="codes are text"):
        join(
            LEFT.assign(county_fips=[1001, 1003, 1003]),
            RIGHT,
            ["county_fips"],
            expect="many_to_one",
            name="n",
            tolerance=1,
        )


def test_colliding_columns_are_refused():
    with pytest.raises(TableError, match="both tables hold"):
        join(LEFT, RIGHT.assign(x=0.0), ["county_fips"], expect="many_to_one", name="n", tolerance=1)

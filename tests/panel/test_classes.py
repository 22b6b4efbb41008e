import pandas as pd
import pytest

from analysis.base.errors import SourceError
from analysis.panel.sources import classes
from analysis.panel.sources.census import read_county_frame


def nchs(*rows):
    return pd.DataFrame(list(rows), columns=list(classes.NCHS_COLUMNS))


def usda(*rows):
    return pd.DataFrame(
        [(*row, *["0"] * (len(classes.USDA_COLUMNS) - len(row))) for row in rows],
        columns=list(classes.USDA_COLUMNS),
    )


SHEETS = (
    nchs(
        ("1001", "1", "2", "3"), ("8014", "2", "2", "."), ("46102", "6", "6", "6"), ("46113", "6", "6", "6")
    ),
    usda(
        ("01001", "1", "1", "0", "1"),
        ("08014", "1", "1", "5"),
        ("46102", "9", "12", "4"),
        ("02010", "", "", ""),
    ),
)


def test_classes_are_named_and_retired_codes_left_out():
    out = classes.tidy_urban_classes(*SHEETS).set_index("county_fips")
    assert out.index.tolist() == ["01001", "08014", "46102"]
    assert out.loc["01001", ["urban_class_2013", "urban_class_2006", "urban_class_1990"]].tolist() == [
        "large_central_metro", "large_fringe_metro", "medium_metro",
    ]  # fmt: skip
    assert pd.isna(out.loc["08014", "urban_class_1990"])
    assert out.loc["46102", "economic_type_2015"] == "government"
    assert out["low_education_2015"].tolist() == [True, False, False]


def test_bad_classes_are_refused():
    left, right = SHEETS
    with pytest.raises(SourceError, match="class 7; expected a class from 1 to 6"):
        classes.tidy_urban_classes(left.replace({"2013 code": {"1": "7"}}), right)
    with pytest.raises(SourceError, match=r"'.' is not a number"):
        classes.tidy_urban_classes(left.replace({"2013 code": {"1": "."}}), right)
    with pytest.raises(SourceError, match="lost its leading zero"):
        classes.tidy_urban_classes(left, right.replace("01001", "1001"))
    with pytest.raises(SourceError, match="different counties"):
        classes.tidy_urban_classes(left.iloc[1:], right)
    with pytest.raises(SourceError, match="repeat"):
        classes.tidy_urban_classes(pd.concat([left, left]), right)
    with pytest.raises(SourceError, match="successor 46102 is absent"):
        classes.tidy_urban_classes(left[left["FIPS code"] != "46102"], right)
    with pytest.raises(SourceError, match="is not classed"):
        classes.tidy_urban_classes(left, right.assign(Type_2015_Update=["", "5", "4", ""]))
    with pytest.raises(SourceError, match=r"2013 code \(did you mean 2012 code\?\)"):
        classes.tidy_urban_classes(left.rename(columns={"2013 code": "2012 code"}), right)


@pytest.mark.real
def test_classes_have_the_published_counts(raw):
    table = classes.read_urban_classes(raw)
    assert set(table["county_fips"]) == set(read_county_frame(raw)["county_fips"])
    assert table["urban_class_2013"].value_counts().to_dict() == {
        "large_central_metro": 68, "large_fringe_metro": 368, "medium_metro": 372,
        "small_metro": 358, "micropolitan": 641, "noncore": 1335,
    }  # fmt: skip
    # NCHS and USDA draw the metropolitan line in the same place in 2013.
    metro = ~table["urban_class_2013"].isin(["micropolitan", "noncore"])
    assert (metro == (table["rucc_2013"] <= 3)).all()
    assert table["urban_class_1990"].isna().sum() == 6

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import SourceError, TableError
from analysis.panel.sources import geography as geo
from analysis.panel.sources.census import SF1, read_county_frame

CHANGES = geo.load_fips_changes()


def codes(*values):
    return pd.DataFrame({"county_fips": list(values), "n": range(len(values))})


@pytest.mark.parametrize("row", CHANGES.to_dict("records"), ids=lambda row: row["new_fips"])
def test_every_change_does_what_its_row_says(row):
    old = [] if pd.isna(row["old_fips"]) else row["old_fips"].split(";")
    new = [code[:5] for code in row["new_fips"].split(";")]
    if row["type"] in ("rename", "merge"):
        assert geo.apply_fips_changes(codes(*old))["county_fips"].tolist() == new
    elif row["type"] == "split_later":
        assert geo.apply_fips_changes(codes(*new))["county_fips"].tolist() == old * len(new)
    elif row["type"] == "create":
        assert geo.apply_fips_changes(codes(*new))["county_fips"].tolist() == new
    elif row["type"] == "split":
        for code in old:
            with pytest.raises(TableError, match=code):
                geo.apply_fips_changes(codes(code))
            assert geo.apply_fips_changes(codes(code), splits="keep")["county_fips"].tolist() == [code]
    else:
        assert row["type"] == "replace"
        for code in new:
            with pytest.raises(TableError, match="do not nest"):
                geo.apply_fips_changes(codes(code), splits="keep")
        assert geo.apply_fips_changes(codes(*old))["county_fips"].tolist() == old


def test_a_code_is_recoded_or_refused_never_both_and_answers_are_final():
    recoded, refused = geo.recodes(CHANGES), geo.refusals(CHANGES)
    assert not set(recoded) & set(refused)
    assert not set(recoded.values()) & (set(recoded) | set(refused))


def test_recoding_keeps_rows_missing_codes_and_the_input():
    frame = pd.DataFrame({"place": ["46113", None, "51515"], "n": [1, 2, 3]})
    before = frame.copy()
    out = geo.apply_fips_changes(frame, "place")
    assert out["place"].isna().tolist() == [False, True, False]
    assert out["place"].dropna().tolist() == ["46102", "51019"]
    assert out["n"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(frame, before)
    with pytest.raises(TableError, match="splits"):
        geo.apply_fips_changes(frame, "place", splits="drop")


def test_counts_add_up_and_rates_are_weighted_by_census_populations():
    frame = codes("51515", "51019", "06037").assign(rate=[20.0, 10.0, 5.0], count=[1.0, np.nan, 7.0])
    frame["people"] = geo.merge_weights(frame["county_fips"])
    out = geo.combine_counties(
        geo.apply_fips_changes(frame), ["county_fips"], sums=["count"], means=["rate"], weight="people"
    ).set_index("county_fips")
    assert out.loc["51019", "rate"] == pytest.approx((20 * 6222 + 10 * 68676) / (6222 + 68676))
    assert out["count"].to_dict() == {"06037": 7.0, "51019": 1.0}


def test_a_rate_that_no_part_has_stays_missing_and_one_part_alone_carries_it():
    frame = pd.DataFrame(
        {"c": ["a", "a", "b", "b"], "r": [np.nan, np.nan, np.nan, 4.0], "w": [1.0, 2.0, 3.0, 4.0]}
    )
    out = geo.combine_counties(frame, ["c"], means=["r"], weight="w")
    assert out["r"].isna().tolist() == [True, False]
    assert out["r"].iloc[1] == 4.0


def test_bad_codes_and_numbers_say_what_and_where():
    with pytest.raises(
        SourceError, match="row 2: county code '6037' lost its leading zero; expected '06037'"
    ):
        geo.county_codes(pd.Series(["01001", "6037"]), "f.csv", padded=True)
    with pytest.raises(SourceError, match="county code 'abc'"):
        geo.county_codes(pd.Series(["abc"]), "f.csv", padded=False)
    with pytest.raises(SourceError, match="county code '1234'"):
        geo.join_codes(pd.Series(["06"]), pd.Series(["1234"]), "f.csv")
    for text in ("n/a", "inf", "1 200"):
        with pytest.raises(SourceError, match="is not a number"):
            geo.to_numbers(pd.Series([text], name="x"), "f.csv")
    assert geo.to_numbers(pd.Series(["-2"], name="x"), "f.csv", minimum=None).tolist() == [-2.0]


def test_neighbours_are_filled_down_recoded_and_reported():
    lines = pd.DataFrame(
        {
            "county": ["51515", "", "51019", "", "46113", "72001"],
            "neighbour": ["51515", "51019", "51515", "51009", "46007", "72003"],
        }
    )
    pairs = geo.tidy_adjacency(lines)
    assert pairs.to_numpy().tolist() == [["46102", "46007"], ["51019", "51009"]]
    report = geo.adjacency_report(pairs, ["46102", "46007", "51019", "51009", "15001"])
    assert (report["finding"] == "one_way").sum() == 2
    assert report.loc[report["finding"] == "no_neighbour", "county_fips"].tolist() == [
        "15001",
        "46007",
        "51009",
    ]
    with pytest.raises(SourceError, match="first line"):
        geo.tidy_adjacency(lines.iloc[1:])
    with pytest.raises(SourceError, match="lost its leading zero"):
        geo.tidy_adjacency(pd.DataFrame({"county": ["1001"], "neighbour": ["01003"]}))


def allocation(*rows):
    labels = ("County code", "State", "Place", "Name", "Population", "Factor")
    return pd.DataFrame([labels, *rows], columns=list(geo.GEOCORR_COLUMNS))


SPANNING = (
    ("01001", "01", "00100", "Oak city, AL", "30", "0.75 "),
    ("01003", "01", "00100", "Oak city, AL", "10", "0.25 "),
    ("01001", "01", "99999", " ", "5", "1 "),
)


def test_places_are_shared_out_and_the_remainder_is_flagged():
    out = geo.tidy_place_county(allocation(*SPANNING))
    assert out["share_of_place"].tolist() == [0.75, 0.25, 1.0]
    assert out["remainder"].tolist() == [False, False, True]
    assert out["place_name"].tolist()[:2] == ["Oak city", "Oak city"]
    assert pd.isna(out["place_name"].iloc[2])


def test_a_bad_allocation_is_refused():
    with pytest.raises(SourceError, match="no labels"):
        geo.tidy_place_county(allocation(*SPANNING).iloc[1:])
    with pytest.raises(SourceError, match="placefp14"):
        geo.tidy_place_county(allocation(*SPANNING).rename(columns={"placefp14": "placefp"}))
    with pytest.raises(SourceError, match="repeat"):
        geo.tidy_place_county(allocation(*SPANNING, SPANNING[0]))
    with pytest.raises(SourceError, match="its population says"):
        geo.tidy_place_county(allocation(SPANNING[0], ("01003", "01", "00100", "Oak city, AL", "30", "0.25")))
    with pytest.raises(SourceError, match="below 0"):
        geo.tidy_place_county(allocation(("01001", "01", "00100", "Oak city, AL", "-3", "1")))


def agency(**changes):
    row = {
        "ori": "AL00100",
        "fips_state_code": "01",
        "fips_state_county_code": "01001",
        "fips_place_code": "00100",
        "agency_type": "local police department",
        "crosswalk_agency_name": "oak police",
        "census_name": "oak city",
    }
    return row | changes


def test_agencies_in_no_county_or_another_state_have_none():
    table = pd.DataFrame(
        [
            agency(),
            agency(ori="NB00100", fips_state_county_code="31001", fips_place_code="99001"),
            agency(ori="KYTF000", fips_state_county_code="21999"),
            agency(ori="TN00100", fips_state_county_code="48191"),
            agency(ori="KSX0000", fips_state_county_code="20na"),
            agency(ori="VA00100", fips_state_county_code="51515"),
        ]
    )
    out = geo.tidy_agency_crosswalk(table).set_index("ori")
    assert out["county_fips"].dropna().to_dict() == {
        "AL00100": "01001",
        "NB00100": "31001",
        "VA00100": "51019",
    }
    assert out.loc["NB00100", "state"] == "NE"
    assert pd.isna(out.loc["NB00100", "place_fips"])
    assert out.loc["AL00100", "place_fips"] == "00100"


def test_a_bad_crosswalk_is_refused():
    with pytest.raises(SourceError, match="lost its leading zero"):
        geo.tidy_agency_crosswalk(pd.DataFrame([agency(fips_state_county_code="1001")]))
    with pytest.raises(SourceError, match="repeat"):
        geo.tidy_agency_crosswalk(pd.DataFrame([agency(), agency()]))
    with pytest.raises(SourceError, match=r"lacks column ori \(did you mean ori9\?\)"):
        geo.tidy_agency_crosswalk(pd.DataFrame([agency()]).rename(columns={"ori": "ori9"}))


def test_subdivisions_need_their_zeros():
    rows = [
        ["061", "09", "001", "04720", "00000", "Oak town"],
        ["050", "09", "001", "00000", "00000", "Elm County"],
    ]
    table = pd.DataFrame(rows, columns=list(geo.GEOCODE_COLUMNS))
    assert geo.tidy_county_subdivisions(table)["subdivision_name"].tolist() == ["Oak town"]
    with pytest.raises(SourceError, match="state code '9'"):
        geo.tidy_county_subdivisions(table.replace("09", "9"))
    with pytest.raises(SourceError, match="repeat"):
        geo.tidy_county_subdivisions(pd.concat([table, table]))


@pytest.mark.real
def test_every_geography_is_on_the_2019_frame(raw):
    frame = set(read_county_frame(raw)["county_fips"])
    assert not frame & (set(geo.recodes(CHANGES)) | set(geo.refusals(CHANGES)))
    assert set(geo.recodes(CHANGES).values()) <= frame
    boundaries = geo.read_boundaries(raw)
    assert set(boundaries["county_fips"]) == frame
    assert boundaries.geometry.is_valid.all()
    pairs = geo.read_adjacency(raw)
    assert set(pairs["county_fips"]) <= frame
    report = geo.adjacency_report(pairs, frame)
    # Three counties of Hawaii are islands; the file is symmetric.
    assert report["county_fips"].tolist() == ["15001", "15003", "15007"]
    assert report["finding"].unique().tolist() == ["no_neighbour"]


@pytest.mark.real
def test_places_hold_everybody_and_span_counties(raw):
    places = geo.read_place_county(raw)
    assert places["population_2010"].sum() == 308_745_538
    assert places.groupby(["state_fips", "place_fips"])["share_of_place"].sum().to_numpy() == pytest.approx(
        1.0
    )
    assert "La Cañada Flintridge city" in set(places["place_name"])
    new_york = places[(places["state_fips"] == "36") & (places["place_fips"] == "51000")]
    assert sorted(new_york["county_fips"]) == ["36005", "36047", "36061", "36081", "36085"]
    assert places["remainder"].sum() == 3067


@pytest.mark.real
def test_agencies_and_subdivisions(raw):
    frame = set(read_county_frame(raw)["county_fips"])
    agencies = geo.read_agency_crosswalk(raw)
    assert len(agencies) == 23_916
    assert set(agencies["county_fips"].dropna()) <= frame
    # Two placeless agencies (KY, KS), three territories, one Tennessee identifier with a Texas county.
    assert agencies["county_fips"].isna().sum() == 6
    towns = geo.read_county_subdivisions(raw)
    assert len(towns) == 21_143
    assert set(towns["county_fips"]) <= frame
    assert towns["state_fips"].nunique() == 20


@pytest.mark.real
def test_bedford_is_weighted_by_its_people_of_the_2010_census(raw):
    people = geo.read_columns(raw.path(SF1), ["Geo_FIPS", "SF1_P0050001"], SF1, encoding="utf-8")
    counted = people.set_index("Geo_FIPS")["SF1_P0050001"].astype(int)
    merge = CHANGES.set_index("old_fips").loc["51515"]
    assert (merge["population_old"], merge["population_new"]) == (counted["51515"], counted["51019"])

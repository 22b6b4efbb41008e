import pandas as pd
import pytest

from analysis.base.errors import SourceError
from analysis.panel.sources import votes
from analysis.panel.sources.census import read_county_frame


def returns(state, area, fips, democratic, republican, other=0, printed=None, year=2016):
    total = printed if printed is not None else democratic + republican + other
    counts = {"democrat": democratic, "republican": republican, "NA": other}
    return [
        [str(year), state, area, fips, "President", f"candidate {party}", party, str(n), str(total)]
        for party, n in counts.items()
    ]


def table(*areas):
    return pd.DataFrame([row for area in areas for row in area], columns=list(votes.VOTES_COLUMNS))


def test_votes_without_a_county_are_reported_not_placed():
    out, report = votes.tidy_votes(
        table(
            returns("Missouri", "Jackson", "29095", 10, 20, 5),
            returns("Missouri", "Kansas City", "36000", 40, 10),
            # Alaska's District 13 has the code of Aleutians East.
            returns("Alaska", "District 13", "2013", 7, 7),
            returns("Maine", "Maine UOCAVA", "NA", 3, 1),
            returns("South Dakota", "Oglala Lakota", "46113", 9, 1, printed=11),
            returns("Virginia", "Bedford", "51515", 0, 0),
        )
    )
    assert out.set_index("county_fips")[["democratic", "republican", "total"]].to_numpy().tolist() == [
        [50, 30, 85],
        [9, 1, 10],
    ]
    found = report.set_index("area")["votes"].to_dict()
    assert found == {"District 13": 14, "Maine UOCAVA": 4, "Kansas City": 50, "Oglala Lakota": 10}


def test_bad_returns_are_refused():
    good = table(returns("Alabama", "Elm", "1001", 10, 15))
    with pytest.raises(SourceError, match="repeat"):
        votes.tidy_votes(pd.concat([good, good]))
    with pytest.raises(SourceError, match="votes for Senate"):
        votes.tidy_votes(good.assign(office="Senate"))
    with pytest.raises(SourceError, match="below 0"):
        votes.tidy_votes(good.replace("10", "-10"))
    with pytest.raises(SourceError, match="is not a number"):
        votes.tidy_votes(good.replace("10", ""))
    with pytest.raises(SourceError, match="county code '101'"):
        votes.tidy_votes(good.replace("1001", "101"))
    with pytest.raises(SourceError, match="lies in no state"):
        votes.tidy_votes(good.replace("1001", "99001"))
    with pytest.raises(SourceError, match=r"FIPS \(did you mean"):
        votes.tidy_votes(good.rename(columns={"FIPS": "FIP"}))


@pytest.mark.real
def test_every_vote_is_placed_or_reported(raw):
    out, report = votes.read_votes_and_report(raw)
    frame = set(read_county_frame(raw)["county_fips"])
    assert set(out["county_fips"]) <= frame
    # No county of Alaska, not Kalawao; Broomfield from 2004; Bedford city within the county.
    assert {c[:2] for c in frame - set(out["county_fips"])} == {"02", "15"}
    assert out.groupby("year").size().to_dict() == {
        2000: 3111,
        2004: 3112,
        2008: 3112,
        2012: 3112,
        2016: 3112,
    }
    assert (out["democratic"] + out["republican"] <= out["total"]).all()
    lost = report[report["what"].str.contains("Alaska|state-wide")].groupby("year")["votes"].sum()
    placed = out.groupby("year")["total"].sum()
    raw_rows = votes.read_columns(raw.path(votes.VOTES), votes.VOTES_COLUMNS, votes.VOTES)
    everything = raw_rows["candidatevotes"].astype(int).groupby(raw_rows["year"].astype(int)).sum()
    assert (placed + lost == everything).all()
    # Kansas City is two thirds of Jackson County's Democratic vote in 2016.
    assert out.query("county_fips == '29095' and year == 2016")["democratic"].item() == 71_237 + 97_735
    wrong = report[report["what"].str.startswith("printed")]
    assert sorted(wrong["area"]) == ["Gila", "Graham", "Greenlee", "Keya Paha"]

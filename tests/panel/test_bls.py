import pytest

from analysis.base.errors import SourceError
from analysis.panel.sources import bls

HEAD = "          Labor Force Data by County, {year} Annual Averages\n\n LAUS Code   Code   County Name\n\n"
FOOT = "\nSOURCE:  BLS, LAUS\nMarch 18, 2016"


def line(code, year, *figures):
    cells = "".join(f"{figure:>13}" for figure in figures)
    return f"CN{code}00000000   {code[:2]}     {code[2:]}   Elm and Oak County, ZZ           {year}{cells}\n"


def page(year, *lines):
    return HEAD.format(year=year) + "".join(lines) + FOOT


ELM = ("24,000", "23,000", "1,000", "4.2")


def test_lines_are_read_between_title_and_footer():
    out = bls.tidy_labour(
        {
            2005: page(
                2005, line("01001", 2005, *ELM), line("22071", 2005, *["N.A."] * 4), line("72001", 2005, *ELM)
            ),
            2006: page(2006, line("46113", 2006, *ELM)),
        }
    )
    assert out["county_fips"].tolist() == ["01001", "22071", "46102"]
    assert out["labour_force"].tolist()[0] == 24_000
    assert out["unemployment_rate"].isna().tolist() == [False, True, False]


def test_bad_pages_are_refused():
    good = line("01001", 2005, *ELM)
    with pytest.raises(SourceError, match="0 county lines"):
        bls.tidy_labour({2005: page(2005)})
    with pytest.raises(SourceError, match="holds figures of 2006; expected figures of 2005"):
        bls.tidy_labour({2005: page(2006, line("01001", 2006, *ELM))})
    with pytest.raises(SourceError, match="2 county lines, of which 1 can be read"):
        bls.tidy_labour({2005: page(2005, good, line("01003", 2005, *ELM[:3]))})
    with pytest.raises(SourceError, match="stands beside code"):
        bls.tidy_labour({2005: page(2005, good.replace("   001   ", "   003   "))})
    with pytest.raises(SourceError, match="repeat county_fips, year"):
        bls.tidy_labour({2005: page(2005, good, good)})
    with pytest.raises(SourceError, match="below 0"):
        bls.tidy_labour({2005: page(2005, line("01001", 2005, "-24,000", *ELM[1:]))})
    with pytest.raises(SourceError, match="is not a number"):
        bls.tidy_labour({2005: page(2005, line("01001", 2005, "n.a.", *ELM[1:]))})
    # A code that lost its zero no longer lines up with the identifier.
    with pytest.raises(SourceError, match="can be read"):
        bls.tidy_labour({2005: page(2005, good.replace("   01     001", "    1     001"))})


@pytest.mark.real
def test_national_rates_are_the_published_ones(raw):
    table = bls.read_labour(raw)
    sums = table.groupby("year")[["unemployed", "labour_force"]].sum()
    rate = 100 * sums["unemployed"] / sums["labour_force"]
    assert rate[2010] == pytest.approx(9.63, abs=0.005)
    assert rate[2012] == pytest.approx(8.07, abs=0.005)
    assert rate[2016] == pytest.approx(4.87, abs=0.005)
    missing = table[table["labour_force"].isna()]
    assert missing.groupby("year")["county_fips"].nunique().to_dict() == {2005: 7, 2006: 7}
    assert missing["county_fips"].str[:2].unique().tolist() == ["22"]
    assert (table["labour_force"] - table["employed"] - table["unemployed"]).abs().max() <= 1
    assert table.groupby("year")["county_fips"].nunique().loc[2010:].eq(3141).all()

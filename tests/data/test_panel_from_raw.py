"""The panel as it comes out of the raw files, against what was published and what is known of the holes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from trees import copied_tree

from analysis.base.codebook import load_codebook
from analysis.base.errors import SourceError, StudyError
from analysis.base.fips import NEW_YORK_CITY, NEW_YORK_COUNTIES
from analysis.base.paths import Paths
from analysis.base.provenance import sha256_of
from analysis.base.records import Panel
from analysis.design.design import make_design
from analysis.design.spec import load_spec
from analysis.evidence.checks.detainers import detainer_records
from analysis.panel.agencies import MEASURES
from analysis.panel.build import YEARS, load_cities, load_panel, make_panel
from analysis.panel.county_file import add_county_file
from analysis.panel.crosswalk import county_key
from analysis.panel.detainer_tables import detainer_tables

pytestmark = pytest.mark.real


@pytest.fixture(scope="session")
def paths(raw, tmp_path_factory) -> Paths:
    tree = copied_tree(tmp_path_factory.mktemp("built") / "study")
    make_panel(tree)
    return tree


@pytest.fixture(scope="session")
def panel(paths) -> Panel:
    return load_panel(paths)


@pytest.fixture(scope="session")
def cities(paths) -> pd.DataFrame:
    return load_cities(paths)


def tidy(paths: Paths, name: str) -> pd.DataFrame:
    return pd.read_parquet(paths.tidy / f"{name}.parquet")


def coverage(panel: Panel, year: int, measure: str = "violent_ex_rape", **where: str) -> float:
    """Share of residents whose agency reports, in the areas a column names."""
    rows = panel.table[panel.table["year"].eq(year)]
    for column, value in where.items():
        rows = rows[rows[column].eq(value)]
    assert len(rows)
    return float(np.average(rows[f"coverage_{measure}"], weights=rows["population"]))


# --- against what the FBI and the Census print ------------------------------------------------------------------


def test_the_panel_holds_the_crime_of_tables_8_and_10(panel, paths):
    totals = panel.reports["national_totals"].set_index("year")
    assert totals.index.tolist() == list(YEARS)
    printed = tidy(paths, "agencies").groupby("year")[["violent", "property"]].sum()
    counted = panel.table.groupby("year")[["violent", "property"]].sum()
    for m in ("violent", "property"):
        np.testing.assert_allclose(counted[m], printed[m], rtol=1e-4)
        np.testing.assert_allclose(totals[f"{m}_in_panel"], counted[m], rtol=1e-12)
        assert (counted[m] <= printed[m] + 1e-3).all(), "no offence is counted twice"


def test_shares_of_the_national_totals_are_those_measured_before(panel):
    totals = panel.reports["national_totals"].set_index("year")
    percent = 100 * totals[["violent_share", "property_share"]]
    # Against the file of estimates to 2007, against Table 5 from 2008.
    known = {
        2005: (88.5, 89.2),
        2006: (86.8, 88.5),
        2007: (87.1, 88.1),
        2018: (87.7, 89.0),
        2019: (84.0, 83.0),
    }
    for year, shares in known.items():
        assert percent.loc[year].tolist() == pytest.approx(shares, abs=0.06), year
    middle = percent.loc[2008:2017]
    assert middle["violent_share"].agg(["min", "max"]).tolist() == pytest.approx([88.8, 92.3], abs=0.06)
    assert middle["property_share"].agg(["min", "max"]).tolist() == pytest.approx([88.2, 91.7], abs=0.06)
    assert totals["benchmark"].tolist() == ["estimates"] * 3 + ["table_5"] * 12


def test_population_is_the_censuss(panel):
    table = panel.table[panel.table["year"].eq(2015)].set_index("county_fips")
    assert table["population"].sum() == 320_635_163
    assert table.loc["06037", "population"] == 10_085_416
    assert (panel.table.groupby("year")["population"].sum().diff().dropna() > 0).all()


def test_economic_outcomes_hold_the_published_rates(panel):
    def mean(column: str, year: int, weight: str = "population") -> float:
        rows = panel.table[panel.table["year"].eq(year)].dropna(subset=[column])
        return float(np.average(rows[column], weights=rows[weight]))

    # SAIPE; LAUS over its labour force; recipients in July; ACS S2301.
    assert mean("poverty_rate", 2015) == pytest.approx(14.75, abs=0.01)
    for year, rate in {2010: 9.63, 2012: 8.07, 2016: 4.87}.items():
        assert mean("unemployment_rate", year, "labour_force") == pytest.approx(rate, abs=0.005), year
    table = panel.table[panel.table["year"].eq(2015)]
    assert (table["snap_share"] * table["population"]).sum() / 100 == pytest.approx(44.6e6, rel=0.001)
    # 63.7 and 58.0 percent of the people of 16 and over; residents of all ages are near weights.
    assert mean("participation", 2015) == pytest.approx(63.7, abs=0.1)
    assert mean("employment_population", 2015) == pytest.approx(58.0, abs=0.15)
    # 157.1 M in the labour force and 148.8 M at work over 320.6 M residents.
    assert mean("labour_force_per_resident", 2015) == pytest.approx(48.9, abs=0.15)
    assert mean("employed_per_resident", 2015) == pytest.approx(46.3, abs=0.15)
    assert mean("participation", 2012) > mean("participation", 2014) > mean("participation", 2015)


def test_economic_outcomes_are_there_for_every_area_but_one(panel):
    main = panel.table[panel.table["year"].ge(2010)]
    yearly = [
        "median_household_income", "poverty_rate", "unemployment_rate", "snap_share",
        "labour_force_per_resident", "employed_per_resident",
    ]  # fmt: skip
    for column in yearly:
        # Kalawao, of under a hundred residents.
        assert set(main.loc[main[column].isna(), "county_fips"]) == {"15005"}, column
    filled = panel.table.groupby("year")[["participation", "employment_population"]].count()
    assert filled.loc[[2012, 2014, 2015]].eq(3_138).all(axis=None)
    assert filled.drop([2012, 2014, 2015]).eq(0).all(axis=None)
    # Counts of two sources: labour force above residents is rare and stated.
    over = panel.table[panel.table["labour_force_per_resident"].gt(100)]
    assert f"{len(over)} county-years" in load_codebook().measures["labour_force_per_resident"].note


def test_both_vintages_of_every_covariate_set_are_filled(panel):
    """Sets A to C of the matched comparisons, before the policies and about 2015."""
    one = panel.table[panel.table["year"].eq(2015)].set_index("county_fips")
    codebook = load_codebook()
    names = [
        "log_population", "foreign_born", "hispanic", "black", "age_15_24", "age_65_over", "bachelor", "log_density",
        "poverty", "unemployment", "log_income", "democratic_vote",
    ]  # fmt: skip
    lacking = {
        "2006_2010": {"bachelor": 2, "poverty": 1, "unemployment": 1, "log_income": 1, "democratic_vote": 30},
        "2009_2015": {"poverty": 1, "unemployment": 1, "log_income": 1, "democratic_vote": 30},
    }
    lacking["2009_2018"] = lacking["2009_2015"] | {"non_citizen": 32}
    for vintage, missing in lacking.items():
        asked = [*names, "non_citizen"] if vintage == "2009_2018" else names
        found = {n: int(one[codebook.covariate_column(n, vintage)].isna().sum()) for n in asked}
        assert {n: k for n, k in found.items() if k} == missing, vintage
    # Neighbouring vintages of one thing agree on who is high and who is low; unemployment moves with the recession.
    for name in names:
        early, late = (one[codebook.covariate_column(name, v)] for v in ("2006_2010", "2009_2015"))
        assert early.corr(late) > (0.75 if name == "unemployment" else 0.94), name


def test_covariates_of_2015_are_the_outcomes_of_that_year(panel):
    one = panel.table[panel.table["year"].eq(2015)].set_index("county_fips")
    np.testing.assert_allclose(one["log_population_2015"], np.log(one["population"]), rtol=1e-12)
    np.testing.assert_allclose(one["unemployment_2015"], one["unemployment_rate"] / 100, rtol=1e-9)
    # New York City: the census of April 2010 weighs the covariate, the estimate of July 2010 the outcome.
    for covariate, outcome in (
        (one["poverty_2015"], one["poverty_rate"] / 100),
        (np.exp(one["log_income_2015"]), one["median_household_income"]),
    ):
        np.testing.assert_allclose(covariate, outcome, rtol=1e-3)
        rest = covariate.index != NEW_YORK_CITY
        np.testing.assert_allclose(covariate[rest], outcome[rest], rtol=1e-12)


def test_new_york_citys_rates_come_from_its_counts(panel, paths):
    city = panel.table[panel.table["county_fips"].eq(NEW_YORK_CITY)].set_index("year").loc[2015]
    wide = tidy(paths, "acs").query("vintage == '2011_2015'")
    wide = wide[wide["county_fips"].isin(NEW_YORK_COUNTIES)].pivot(
        index="county_fips", columns=["source", "variable"], values="value"
    )
    assert len(wide) == 5
    survey = wide["s2301"]
    adults = survey["population_16_over"]
    active = (adults * survey["labour_force_participation"]).sum() / adults.sum()
    assert city["participation"] == pytest.approx(100 * active, rel=1e-12)
    young = survey["population_16_24"].sum() / wide["extract_2015", "population"].sum()
    assert city["age_16_24_2011_2015"] == pytest.approx(young, rel=1e-12)
    votes = tidy(paths, "votes").query("year == 2012")
    votes = votes[votes["county_fips"].isin(NEW_YORK_COUNTIES)]
    share = votes["democratic"].sum() / votes["total"].sum()
    assert city["democratic_vote_2012"] == pytest.approx(share, rel=1e-12)


def test_merged_and_renamed_counties_have_the_new_columns(panel):
    # Bedford with its city, Oglala Lakota and Kusilvak under their new codes.
    one = panel.table[panel.table["year"].eq(2015)].set_index("county_fips")
    named = [
        "participation",
        "snap_share",
        "hispanic_2014",
        "bachelor_2011_2015",
        "age_16_24_2011_2015",
        "poverty_2015",
    ]
    assert one.loc[["51019", "46102", "02158"], named].notna().all(axis=None)


def test_classes_of_the_frame_before_new_york_is_one_area_and_after(panel, paths):
    order = [
        "large_central_metro",
        "large_fringe_metro",
        "medium_metro",
        "small_metro",
        "micropolitan",
        "noncore",
    ]
    counties = tidy(paths, "urban_classes")["urban_class_2013"].value_counts()
    assert counties[order].tolist() == [68, 368, 372, 358, 641, 1_335]
    areas = panel.table[panel.table["year"].eq(2015)]["urban_class"].value_counts()
    assert areas[order].tolist() == [64, 368, 372, 358, 641, 1_335]


def test_new_york_city_is_one_area(panel, paths):
    frame = tidy(paths, "county_frame")
    codes = set(panel.table["county_fips"])
    assert codes == set(frame["county_fips"]) - set(NEW_YORK_COUNTIES) | {NEW_YORK_CITY}
    assert len(panel.table) == len(codes) * len(YEARS) == 3_138 * 15
    city = panel.table[panel.table["county_fips"].eq(NEW_YORK_CITY)].set_index("year")
    people = tidy(paths, "population")
    five = people[people["county_fips"].isin(NEW_YORK_COUNTIES)].groupby("year")["population"].sum()
    assert city["population"].tolist() == five[list(YEARS)].tolist()
    assert city["agencies_reporting"].eq(1).all()
    for table in (panel.policies, panel.declines):
        assert not table["county_fips"].isin(NEW_YORK_COUNTIES).any()


def test_every_area_has_a_place_and_neighbours_touch_both_ways(panel, paths):
    geography = panel.geography
    assert geography.places["county_fips"].tolist() == sorted(panel.table["county_fips"].unique())
    pairs = set(geography.neighbours.itertuples(index=False, name=None))
    assert pairs == {(b, a) for a, b in pairs}
    # What the Census lists of the five counties is the city's, less what lies inside it.
    listed = tidy(paths, "adjacency")
    city = listed[listed["county_fips"].isin(NEW_YORK_COUNTIES)]
    around = set(city["neighbour_fips"]) - set(NEW_YORK_COUNTIES)
    assert {b for a, b in pairs if a == NEW_YORK_CITY} == around and len(around) > 4
    inside = city["neighbour_fips"].isin(NEW_YORK_COUNTIES).sum()
    assert (panel.reports["neighbours"]["finding"] == "within_area").sum() == inside


# --- where agencies lie -----------------------------------------------------------------------------------------


def test_cities_are_placed_and_the_rest_is_listed(panel, paths, cities):
    share = panel.reports["placed_share"].set_index("year")["share_of_city_population_placed"]
    assert share.index.tolist() == list(YEARS)
    assert share.between(0.99, 1).all()
    agencies = tidy(paths, "agencies")
    key = ["state", "agency_name"]
    printed = agencies[agencies["table"].eq("8")].groupby(key)["population"].max()
    placed = cities[cities["source"].eq("table8")].rename(columns={"city_name": "agency_name"})
    unplaced = panel.reports["unplaced_cities"].set_index(key)["population"]
    assert set(printed.index) == set(placed.set_index(key).index) | set(unplaced.index)
    assert unplaced.sum() < 20_000, "small or without a county: nothing a hand list could settle"
    assert panel.reports["unplaced_county_agencies"].empty


def test_the_hand_lists_are_short_and_every_row_is_used(panel, paths):
    agencies = tidy(paths, "agencies")
    hand = pd.read_csv(paths.compiled_geography / "city_hand_list.csv", dtype=str)
    series = panel.reports["city_series"].rename(columns={"city": "agency_name"})
    names = pd.concat(
        [agencies.loc[agencies["table"].eq("8"), ["state", "agency_name"]], series]
    ).drop_duplicates(["state", "agency_name"])
    found = hand.merge(
        names[["state", "agency_name"]], on=["state", "agency_name"], how="left", indicator=True
    )
    assert found.loc[found["_merge"].ne("both"), ["state", "agency_name"]].to_numpy().tolist() == []
    of_counties = pd.read_csv(paths.compiled_geography / "county_hand_list.csv", dtype=str)
    rows = agencies[agencies["table"].eq("10")]
    asked = set(zip(rows["state"], county_key(rows["county_name"].astype("str")), strict=True))
    unused = set(zip(of_counties["state"], county_key(of_counties["county_name"]), strict=True)) - asked
    assert unused == set()
    assert len(hand) + len(of_counties) < 150


def test_every_row_of_the_long_series_finds_its_city(panel):
    series = panel.reports["city_series"]
    assert series["placed"].all() and series["in_table8"].all()
    # Where both print a city and year they agree but for later revisions.
    assert series["largest_gap"].median() < 1e-4


# --- joins ------------------------------------------------------------------------------------------------------


def test_what_joins_leave_unmatched_is_what_sources_lack(panel):
    joins = panel.reports["joins"].set_index("join")
    assert joins["left_rows"].eq(len(panel.table)).all()
    assert (joins["matched"] + joins["unmatched_left"] == joins["left_rows"]).all()
    lacking = joins.index[joins["unmatched_left"] > 0].tolist()
    assert lacking == ["panel to saipe", "panel to labour"]
    unmatched = panel.reports["unmatched"]
    left = unmatched[unmatched["side"].eq("left")]
    # Kalawao, and boroughs of Alaska before they were parted from the areas on the right.
    assert set(left["county_fips"]) == {"15005", "02105", "02195", "02198", "02230", "02275"}
    assert set(unmatched.loc[unmatched["side"].eq("right"), "county_fips"]) == {"02201", "02232", "02280"}
    assert len(left) == joins["unmatched_left"].sum()


# --- coverage and its holes -------------------------------------------------------------------------------------


def test_coverage_is_a_share_and_nothing_is_counted_where_nobody_reports(panel):
    for table in (panel.table, panel.constant):
        for m in MEASURES:
            assert table[f"coverage_{m}"].between(0, 1).all(), m
            silent = table[f"coverage_{m}"].eq(0) & table[f"policed_{m}"].eq(0)
            assert table.loc[silent, f"rate_policed_{m}"].isna().all(), m
            assert table.loc[table[m].isna(), f"rate_county_population_{m}"].isna().all(), m


@pytest.mark.parametrize(
    ("where", "year", "at_most"),
    [
        ({"state": "IL"}, 2008, 0.35),
        ({"state": "IA"}, 2018, 0.0),
        ({"state": "AL"}, 2019, 0.05),
        ({"state": "GA"}, 2019, 0.35),
        ({"state": "CT"}, 2007, 0.0),
        ({"state": "RI"}, 2007, 0.0),
        ({"state": "HI"}, 2011, 0.0),
        ({"state": "NE"}, 2017, 0.4),
        ({"county_fips": "39049"}, 2012, 0.35),  # Columbus, OH, did not report
        ({"county_fips": "39049"}, 2013, 0.35),
        ({"county_fips": "24031"}, 2010, 0.05),  # nor Montgomery County, MD
        ({"county_fips": "41051"}, 2015, 0.0),  # nor Portland, OR
        ({"county_fips": "48201"}, 2011, 0.65),  # nor the sheriff of Harris County, TX
    ],
)
def test_known_holes_are_visible(panel, where, year, at_most):
    assert coverage(panel, year, **where) <= at_most


def test_holes_close_when_agencies_report_again(panel):
    assert coverage(panel, 2010, state="IL") > 0.75
    assert coverage(panel, 2017, state="IA") > 0.85
    assert coverage(panel, 2011, county_fips="39049") > 0.9
    assert coverage(panel, 2011, county_fips="24031") > 0.99
    assert coverage(panel, 2016, county_fips="41051") > 0.95
    assert coverage(panel, 2012, state="MS") > coverage(panel, 2013, state="MS") + 0.05
    # Chicago's rape figures were not accepted, so its violent total is missing where the rest is not.
    assert coverage(panel, 2009, county_fips="17031") == pytest.approx(0.68, abs=0.01)
    assert coverage(panel, 2009, "violent", county_fips="17031") == 0


def test_rape_is_counted_under_one_definition_at_a_time(panel):
    for table in (panel.table, panel.constant):
        late, early = table[table["year"] > 2016], table[table["year"] < 2013]
        assert late["rape_legacy"].isna().all() and late["coverage_rape_legacy"].eq(0).all()
        assert early["rape_revised"].isna().all() and early["coverage_rape_revised"].eq(0).all()
        both = table["coverage_rape_legacy"] + table["coverage_rape_revised"]
        assert (both <= 1 + 1e-9).all(), "an agency reports under one definition a year"
    people = panel.table.groupby("year").apply(
        lambda t: np.average(t["coverage_rape_revised"], weights=t["population"]), include_groups=False
    )
    assert people[2013] > 0.3 and people[2016] > 0.8 and people[2017] > 0.8


def test_agencies_present_every_year_are_a_part_of_the_panel(panel):
    key = ["county_fips", "year"]
    assert panel.table[key].equals(panel.constant[key])
    for m in MEASURES:
        assert (panel.constant[f"coverage_{m}"] <= panel.table[f"coverage_{m}"] + 1e-12).all(), m
        counted = panel.constant[m].fillna(0) <= panel.table[m].fillna(0) + 1e-6
        assert counted.all(), m
    inside = panel.constant[panel.constant["year"].between(2010, 2017)]
    moved = inside.groupby("county_fips")["agencies_reporting"].nunique()
    assert moved.eq(1).all(), "the same agencies in every year of the window"
    changed = panel.table.groupby("county_fips")["agencies_reporting"].nunique()
    assert changed.gt(1).any()


def test_crime_of_other_agencies_counts_tribes_once(panel, paths):
    # Puerto Rico (kind outlying) is outside the study.
    other = tidy(paths, "other_agencies").query("year == 2013 and state != 'PR'")
    by_kind = other.groupby("kind")["violent"].sum()
    bureau = other.loc[other["unit"].eq("Bureau of Indian Affairs")]
    assert bureau["footnotes"].str.contains("Tribal figures .* are included").all() and len(bureau) == 1
    reported = panel.reports["nobodys_crime"].query("year == 2013")
    assert reported["violent_table11"].sum() == by_kind.sum() - by_kind["tribal"]
    assert reported.set_index("state").loc["US", "violent_table11"] == by_kind["federal"] - by_kind["tribal"]


# --- the build itself -------------------------------------------------------------------------------------------


def hashes(paths: Paths) -> dict[str, str]:
    folders = (paths.tidy, paths.panel)
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(paths.root).as_posix(): sha256_of(file) for file in files}


def test_a_second_build_does_nothing(paths, panel):
    def times() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in (paths.root / "data").rglob("*")}

    before = times()
    said: list[str] = []
    again = make_panel(paths, progress=said.append)
    assert said == [] and times() == before
    assert again.digest == panel.digest
    pd.testing.assert_frame_equal(again.table, panel.table)


def test_what_the_build_reads_decides_whether_it_is_repeated(paths, raw, tmp_path):
    from analysis.panel.build import _inputs

    tree = copied_tree(tmp_path / "study")
    before = _inputs(raw, tree)
    assert before == _inputs(raw, paths), "folders are no part of it"
    (tree.root / "analysis" / "panel" / "twin.py").write_text(
        "# the simulated twin is none of its business\n"
    )
    (tree.root / "analysis" / "design" / "sample.py").write_text("# nor is the design\n")
    assert _inputs(raw, tree) == before
    seen = {before}
    for name in (
        "analysis/panel/sources/bls.py", "analysis/base/fips.py", "data/codebook.toml",
        "data/policy/d2_detainer_policies.csv", "data/geography/city_hand_list.csv",
    ):  # fmt: skip
        with (tree.root / name).open("a") as stream:
            stream.write("\n")
        seen.add(_inputs(raw, tree))
    assert len(seen) == 6


def test_a_built_file_that_was_changed_is_refused_with_the_way_out(paths, tmp_path):
    tree = replace(paths, root=tmp_path)
    shutil.copytree(paths.panel, tree.panel)
    damaged = tree.panel / "panel.parquet"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(
        SourceError, match=r"panel\.parquet .*not the file the build wrote.*reproduce --force"
    ):
        load_panel(tree)
    damaged.unlink()
    with pytest.raises(SourceError, match=r"panel\.parquet .*is missing.*reproduce --force"):
        load_panel(tree)
    shutil.rmtree(tree.panel)
    with pytest.raises(SourceError, match=r"no panel is built here.*reproduce"):
        load_panel(tree)


def test_a_forced_rebuild_elsewhere_gives_the_same_bytes(paths, tmp_path):
    other = copied_tree(tmp_path / "another" / "place")
    make_panel(other, force=True)
    first, second = hashes(paths), hashes(other)
    assert first.keys() == second.keys() and len(first) > 60
    assert [name for name in first if first[name] != second[name]] == []


def test_every_table_written_stands_in_the_codebook(paths):
    codebook = load_codebook(paths.codebook)
    written = sorted([*paths.tidy.glob("*.parquet"), *paths.panel.glob("*.parquet")])
    assert len(written) > 20
    for file in written:
        contract = codebook.table({"constant": "panel", "neighbours": "adjacency"}.get(file.stem, file.stem))
        table = pd.read_parquet(file)
        assert list(table.columns) == [column.name for column in contract.columns], file.stem
        assert not table.duplicated(list(contract.key)).any() or not contract.key, file.stem


# --- a user's own dates, from a spec to a design ----------------------------------------------------------------


def spec_with(folder: Path, dates: str):
    text = (
        (Paths().specs / "main.toml").read_text(encoding="utf-8").replace('"policy_full"', '"my_dates.csv"')
    )
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    (folder / "my_dates.csv").write_text("county_fips,date\n" + dates, encoding="utf-8")
    return load_spec(folder / "mine.toml")


def test_dates_of_ones_own_become_cohorts(panel, tmp_path):
    five = "".join(f"{code},2014-11-14\n" for code in NEW_YORK_COUNTIES)
    made = make_design(
        panel, spec_with(tmp_path, five + "51515,2013-02-01\n42101,2014-01-01\n06037,2014-05\n")
    )
    cohorts = made.table.dropna(subset=["cohort"]).groupby("county_fips")["cohort"].first()
    # Bedford city counts as Bedford County; an adoption on 1 January counts from that year.
    assert cohorts.to_dict() == {"36998": 2015, "51019": 2014, "42101": 2014, "06037": 2015}
    assert any("dates are the user's own" in note for note in made.notes)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("6037,2014", "row 1: county code '6037' lost its leading zero.*'06037'.*my_dates.csv"),
        ("06037,1979-12-31", "row 1: date '1979-12-31' lies before 1980"),
        ("06037,2031", "row 1: date '2031' lies in the future"),
        ("06037,2014\n06037,2014", "rows 1 and 2"),
        ("09110,2014", "planning regions"),
        ("02201,2006", "cannot be told apart"),
        ("01999,2014", "'01999' is no county"),
    ],
)
def test_dates_that_cannot_be_right_stop_the_design(panel, tmp_path, row, message):
    with pytest.raises(StudyError, match=message):
        make_design(panel, spec_with(tmp_path, row + "\n"))


# --- detainers, facility by facility -------------------------------------------------------------------------------


def test_declined_detainers_are_those_of_the_records(paths, panel):
    tables = detainer_tables(paths, panel)
    records = detainer_records(tables.records, tables.facilities)
    since = records[records["year"] >= 2014]
    assert (records["declined"].sum(), since["declined"].sum()) == (20_240, 16_379)
    assert since.loc[since["state"].eq("CA"), "declined"].sum() == 7_634
    # Those placed in a county are the declines the panel counts.
    placed = records[records["place"].eq("county") & records["year"].eq(2014)]["declined"].sum()
    assert placed == panel.declines.loc[panel.declines["year"].eq(2014), "declined"].sum()
    assert tables.months["year_month"].is_unique and tables.classes["county_fips"].is_unique


def test_a_file_of_the_user_is_one_more_build_and_nothing_else(panel):
    file = pd.DataFrame(
        {"county_fips": ["06037"], "year": [2015], "population": [1e7], "coverage": [100.0]}
        | {m: [1.0] for m in ("murder", "rape", "robbery", "aggravated_assault", "burglary", "larceny",
                              "motor_vehicle_theft", "arson")} | {"violent": [4.0], "property": [3.0]}
    )  # fmt: skip
    made = add_county_file(panel, file)
    pd.testing.assert_frame_equal(made.table[panel.table.columns], panel.table)
    row = made.table[made.table["county_fips"].eq("06037") & made.table["year"].eq(2015)].iloc[0]
    assert row["rate_county_file_total_with_arson"] == pytest.approx(8 / 1e7 * 1e5)
    assert made.digest != panel.digest


def test_county_agencies_are_divided_by_those_they_police_or_by_everybody(panel):
    rows = panel.table[panel.table["year"].eq(2015) & panel.table["rate_outside_cities_total"].notna()]
    assert (rows["rate_outside_cities_total"] >= rows["rate_county_agencies_total"] * (1 - 1e-9)).all()
    people = rows["county_policed_total"]
    assert (people >= 1_000).all() and (people <= rows["policed_total"] * (1 + 1e-9)).all()
    # Arson adds to the total of the agencies that report it; where all of them do, it is the county's.
    both = panel.table[panel.table["policed_total_with_arson"].eq(panel.table["policed_total"])]
    both = both[both["total_with_arson"].notna()]
    # A sheriff who polices nobody but prints, or a place without residents, is in neither count of people.
    assert len(both) > 20_000 and (both["total_with_arson"] >= both["total"] - 1e-6).mean() > 0.999

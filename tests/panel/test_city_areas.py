"""Cities as areas: their own offences, their county's policies and covariates, and lists that name them; all invented."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.base.city_names import city_names, read_city_dates, read_city_policies
from analysis.base.errors import ProtocolError, SampleError, SourceError, SpecError, TableError
from analysis.base.records import Panel
from analysis.design.design import make_design
from analysis.design.spec import parse_spec
from analysis.estimation import aggregate, fit
from analysis.panel.agencies import MEASURES
from analysis.panel.city_areas import city_areas, whole_counties

YEARS = range(2008, 2018)
# Key of the county -> state, residents, and its cities with theirs.
COUNTIES = {
    "39035": ("OH", 1_000_000, {"euclid": 40_000, "cleveland": 400_000}),
    "39049": ("OH", 900_000, {"columbus": 800_000, "madison": 20_000}),
    "39055": ("OH", 90_000, {"madison": 30_000}),
    "55025": ("WI", 500_000, {"madison": 240_000}),
    "55079": ("WI", 600_000, {"milwaukee": 595_000}),
    "17031": ("IL", 5_000_000, {"chicago": 2_700_000, "oak-park": 52_000}),
}
NAMES = {"euclid": "Euclid", "oak-park": "Oak Park"}
EFFECT = 40.0

SPEC = """
name = "cities"
title = "Invented"
status = "added"
[design]
area = "city"
[outcome]
measure = "property"
scale = "rate_100k"
build = "policed"
[treatment]
definition = "policy_full"
onset = "first_full_year"
comparison = "not_yet_treated"
[sample]
years = [2010, 2017]
min_population = 10_000
min_coverage = 0.9
balance = "none"
[covariates]
names = []
[estimator]
name = "before_after"
lag_years = 1
weights = "none"
[inference]
vcov = "cluster"
by = "county"
level = 0.95
draws = 0
seed = 1
"""
MATCHED = {
    "design.kind": "cross_section", "design.year": 2015, "covariates.names": ["log_population", "hispanic"],
    "covariates.vintage": "2006_2010", "estimator.name": "matched_difference", "estimator.distance": "mahalanobis",
    "estimator.neighbours": 1, "estimator.replacement": True, "estimator.caliper": 0.0, "estimator.exact": [],
    "estimator.bias_adjust": False, "estimator.weights": "none", "inference.by": "state",
}  # fmt: skip


def event(source, state, level, county, direction, date="", jurisdiction=""):
    year = int(date[:4]) if date else pd.NA
    return {
        "event": f"{source}-{level}-{jurisdiction}{county}{date}", "definition_source": source, "jurisdiction": jurisdiction,
        "state": state, "level": level, "county_fips": county, "direction": direction, "date": date or None, "year": year,
        "month": pd.NA, "precision": "day" if date else None, "basis": "enacted", "upper_bound": False, "verified": True,
        "rows": 1, "source": "", "source_url": "", "note": "",
    }  # fmt: skip


EVENTS = [
    event("D2", "OH", "county", "39035", "limit_full", "2014-05-20", "Ash County"),
    event("D5", "WI", "city", "55025", "listed", jurisdiction="City of Madison"),
    event("D5", "OH", "city", "39035", "listed", jurisdiction="Nowhere"),
    event("D5", "WI", "county", "55079", "listed", jurisdiction="Milwaukee County"),
    event("D5", "IL", "county", "17031", "listed", jurisdiction="Cook County"),
    event("D5", "WI", "state", None, "listed", jurisdiction="Wisconsin"),
]


def county_panel():
    rows = [
        {
            "county_fips": fips, "year": year, "state": state, "population": float(people), "division": "3",
            "urban_class": "large_central_metro", "hispanic_2010": 0.01 * at, "log_population_2010": 99.0,
            "secure_communities": 1.0, "declined_per_10k": 2.0 if year == 2014 else np.nan,
        }
        for at, (fips, (state, people, _)) in enumerate(COUNTIES.items())
        for year in YEARS
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    declines = pd.DataFrame(
        {"county_fips": ["39035"], "year": [2014], "declined": [9], "decline_share": [0.5]}
    )
    return Panel(table, table, pd.DataFrame(EVENTS), declines, "0" * 16, True)


def cities():
    rows = []
    for fips, (state, _, held) in COUNTIES.items():
        for at, (slug, people) in enumerate(held.items()):
            for year in YEARS:
                after = fips == "39035" and year > 2014
                rate = 1000.0 + 10 * at + 5 * (year - 2008) + (EFFECT if after else 0.0)
                counts = dict.fromkeys(MEASURES, rate * people / 100_000)
                if slug == "euclid" and year == 2012:
                    counts["murder"] = np.nan
                rows.append(
                    {
                        "agency_id": f"{state}:{fips}:{slug}", "year": year, "state": state,
                        "city_name": NAMES.get(slug, slug.title()), "county_fips": fips, "spans_counties": False,
                        "source": "table8", "population": float(people), **counts,
                        **{f"rate_{m}": n / people * 100_000 for m, n in counts.items()},
                    }
                )  # fmt: skip
    table = pd.DataFrame(rows)
    return table[~(table["agency_id"].eq("OH:39055:madison") & table["year"].eq(2010))]


@pytest.fixture(scope="module")
def areas():
    return city_areas(county_panel(), cities())


def spec(changes=None, folder=""):
    return parse_spec(SPEC, where="cities.toml", folder=folder).replace(changes or {})


def write(folder, text):
    path = folder / "mine.csv"
    path.write_text(text)
    return path


def test_a_city_has_its_own_offences_and_people(areas):
    given = cities()
    table = areas.table.set_index(["county_fips", "year"])
    assert len(table) == len(given) and table.index.is_unique and table.index.is_monotonic_increasing
    one = table.loc["39035:euclid", 2012]
    assert one["rate_policed_property"] == pytest.approx(one["property"] / one["population"] * 100_000)
    assert one["rate_policed_property"] == pytest.approx(1020.0)
    assert one["policed_property"] == 40_000 and one["coverage_property"] == 1
    # What is not reported is not zero: no rate, nobody policed, no coverage.
    assert np.isnan(one["murder"]) and np.isnan(one["policed_murder"]) and one["coverage_murder"] == 0
    assert areas.area == "city" and areas.constant.empty and areas.declines.empty


def test_covariates_are_the_countys_and_residents_the_citys(areas):
    first = areas.table.drop_duplicates("county_fips").set_index("county_fips")
    assert (first["hispanic_2010"] == first["holding_county"].map(
        county_panel().table.drop_duplicates("county_fips").set_index("county_fips")["hispanic_2010"])).all()  # fmt: skip
    assert first.loc["39035:euclid", "log_population_2010"] == pytest.approx(np.log(40_000))
    # Not printed in 2010: the nearest year stands for it.
    assert first.loc["39055:madison", "log_population_2010"] == pytest.approx(np.log(30_000))
    held = areas.table.query("county_fips == '39035:euclid' and year == 2014").iloc[0]
    assert held["declined_detainers"] == pytest.approx(2.0 * 40_000 / 10_000)


def test_a_countys_policy_is_that_of_each_city_it_holds(areas):
    dated = areas.policies.query("definition_source == 'D2'")
    assert dated["county_fips"].tolist() == ["39035:cleveland", "39035:euclid"]
    assert dated["level"].eq("county").all()


def test_lists_name_cities_and_city_counties_and_what_is_lost_is_told(areas):
    listed = areas.policies.query("definition_source == 'D5'").set_index("county_fips")["level"]
    assert listed["55025:madison"] == "city"
    # The city polices nearly all its county, so the county's entry is its own.
    assert listed["55079:milwaukee"] == "city" and listed["17031:oak-park"] == "county"
    assert whole_counties(areas.table, county_panel().table) == {"55079:milwaukee"}
    lost = areas.reports["unplaced_cities_of_lists"]
    assert lost["jurisdiction"].tolist() == ["Nowhere"] and "no city of OH" in lost["reason"].iloc[0]
    counts = areas.reports["city_lists"].set_index(["definition_source", "level"])
    assert counts.loc[("D5", "city"), ["entries", "placed", "cities"]].tolist() == [2, 1, 1]
    assert counts.loc[("D2", "county"), ["cities", "cities_100k", "limited_by_2010"]].tolist() == [2, 1, 0]
    assert counts.loc[("D5", "state"), "cities"] == 2


def test_the_digest_follows_the_cities(areas):
    moved = cities()
    moved.loc[moved.index[0], "rate_property"] += 1
    assert city_areas(county_panel(), moved).digest != areas.digest
    assert city_areas(county_panel(), cities()).digest == areas.digest


def test_what_is_no_panel_of_counties_and_cities_is_refused(areas):
    with pytest.raises(TableError, match="area 'city'"):
        city_areas(areas, cities())
    twice = pd.concat([cities(), cities().iloc[:1]])
    with pytest.raises(TableError, match=r"39035:euclid.*twice"):
        city_areas(county_panel(), twice)
    with pytest.raises(TableError, match="another state"):
        city_areas(county_panel(), cities().assign(county_fips="55025"))


def test_before_and_after_is_the_mean_change_of_the_cities(areas):
    design = make_design(areas, spec())
    assert set(design.table.loc[design.table["treated"], "county_fips"]) == {
        "39035:cleveland",
        "39035:euclid",
    }
    # 2015 less 2013: two years of the trend and the effect.
    found = aggregate(fit(design), over="post").table.iloc[0]
    assert found["estimate"] == pytest.approx(EFFECT + 10.0) and found["n_treated"] == 2
    assert any("the policy is that of the county that holds the city" in note for note in design.notes)
    assert "treated cities by state: OH 2" in design.notes


def test_on_a_list_the_citys_own_entry_counts(areas):
    design = make_design(areas, spec({**MATCHED, "treatment.definition": "dhs_2025"}))
    treated = set(design.table.loc[design.table["treated"], "county_fips"])
    assert treated == {"55025:madison", "55079:milwaukee"}
    # Cook County's cities are neither: the county is listed, not they.
    assert not design.table["county_fips"].str.startswith("17031").any()
    assert not design.spec.carries_verdict and any("hispanic: of the county" in note for note in design.notes)


def test_specs_and_panels_of_other_areas_are_refused_by_the_key(areas):
    with pytest.raises(SpecError, match=r'design.area = "city" on a panel of counties'):
        make_design(county_panel(), spec())
    with pytest.raises(SpecError, match=r'design.area = "county" on a panel of cities'):
        make_design(areas, spec({"design.area": "county"}))


REFUSED = [
    ({"outcome.build": "county_population"}, ProtocolError, "rule 11: design.area = \"city\" cannot honour outcome.build"),
    ({"treatment.definition": "declines_5", "sample.years": [2010, 2015]}, ProtocolError, "rule 6: design.area = \"city\" under declines_5"),
    ({"sample.constant_agencies": True}, ProtocolError, "sample.constant_agencies"),
    ({"sample.drop_counties": ["39035"]}, ProtocolError, "sample.drop_counties"),
    ({"sample.without_neighbours": True}, ProtocolError, "sample.without_neighbours"),
    ({"treatment.exposed": "neighbours"}, ProtocolError, "treatment.exposed"),
    ({"outcome.measure": "poverty_rate", "outcome.scale": "as_measured", "sample.min_coverage": 0.0}, ProtocolError, "measured in counties"),
    ({"sample.years": [1984, 2010]}, SpecError, "sample.years"),
    ({"design.area": "county", "sample.years": [1999, 2010]}, SpecError, "design.area = \"city\" alone"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "kind", "words"), REFUSED)
def test_what_cities_cannot_honour_is_refused(changes, kind, words):
    with pytest.raises(kind) as raised:
        spec(changes)
    assert words in str(raised.value)


def test_years_before_the_counties_are_open_to_cities():
    assert spec({"sample.years": [1990, 2010]}).years[0] == 1990


# --- a list of the user's own ---------------------------------------------------------------------------


def test_a_list_of_cities_is_matched_by_state_and_name(areas, tmp_path):
    path = write(
        tmp_path, "state,jurisdiction,level,date\nIL,City of Oak Park,city,2013-03-01\nWI,Madison,city,2012\n"
    )
    design = make_design(areas, spec({"treatment.definition": "mine.csv"}, str(tmp_path)))
    cohorts = design.table[design.table["treated"]].groupby("county_fips")["cohort"].first()
    assert cohorts.to_dict() == {"17031:oak-park": 2014, "55025:madison": 2013}
    # The county's documented policy plays no part in it.
    assert not design.table.loc[design.table["county_fips"].eq("39035:euclid"), "treated"].any()
    assert read_city_dates(path)["year"].tolist() == [2013, 2012]


def test_names_that_cannot_be_placed_stop_the_run_and_are_named(areas, tmp_path):
    path = write(
        tmp_path,
        "state,jurisdiction,level,date\nOH,Euclyd,city,2013\nOH,Madison,city,2013\nIL,Chicago,city,2013\n",
    )
    with pytest.raises(SourceError) as raised:
        make_design(areas, spec({"treatment.definition": "mine.csv"}, str(tmp_path)))
    said = str(raised.value)
    assert "mine.csv: 2 of 3 cities cannot be placed" in said
    assert "row 1 'Euclyd': no city of OH is called so (did you mean euclid?)" in said
    assert "row 2 'Madison': 2 cities of OH are called so, in the counties 39049, 39055" in said
    assert path.name in said and "Chicago" not in said


def test_a_county_code_tells_cities_of_one_name_apart(areas, tmp_path):
    path = write(tmp_path, "county_fips,state,jurisdiction,level,date\n39055,OH,Madison,city,2013\n")
    assert read_city_policies(path, areas.table)["county_fips"].tolist() == ["39055:madison"]


def test_a_countys_row_counts_for_its_cities_and_a_states_for_all(areas, tmp_path):
    write(tmp_path, "county_fips,state,level,date\n17031,IL,county,2013-01-01\n,WI,state,2012-01-01\n")
    design = make_design(areas, spec({"treatment.definition": "mine.csv"}, str(tmp_path)))
    cohorts = design.table[design.table["treated"]].groupby("county_fips")["cohort"].first()
    assert cohorts.to_dict() == {
        "17031:chicago": 2013, "17031:oak-park": 2013, "55025:madison": 2012, "55079:milwaukee": 2012,
    }  # fmt: skip


def test_two_spellings_of_one_city_are_one_event_twice(areas, tmp_path):
    rows = "state,jurisdiction,level,date\nIL,Chicago,city,2013\nIL,City of Chicago,city,2013\n"
    with pytest.raises(SourceError, match="rows 1, 2: one city's event more than once"):
        read_city_policies(write(tmp_path, rows), areas.table)


def test_a_list_outside_the_window_leaves_nobody_treated(areas, tmp_path):
    write(tmp_path, "state,jurisdiction,level,date\nIL,Chicago,city,1995\n")
    with pytest.raises(SampleError, match="no treated"):
        make_design(areas, spec({"treatment.definition": "mine.csv"}, str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "words"),
    [("state,jurisdiction,level\nIL,Chicago,city\n", "no column date"), ("state,date\n", "no rows")],
)
def test_dates_that_are_not_there_are_refused(tmp_path, text, words):
    with pytest.raises(SourceError, match=words):
        read_city_dates(write(tmp_path, text))


def test_an_exact_name_goes_before_a_bare_one():
    table = pd.DataFrame(
        [("55025:madison", "Madison"), ("55025:town-of-madison", "Town of Madison")],
        columns=["county_fips", "city_name"],
    ).assign(state="WI", holding_county="55025")
    names = city_names(table)
    assert names.find("WI", "Madison")[0] == "55025:madison"
    assert names.find("WI", "Town of Madison")[0] == "55025:town-of-madison"
    assert names.find("", "Madison") == ("", "no state is given")

"""The press's detainers, trust and the other studies: counts against brute force, bounds at their ends, ids without a gap."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import StudyError, TableError
from analysis.base.paths import ROOT
from analysis.design.spec import load_spec
from analysis.evidence.checks import detainers as of
from analysis.evidence.published import load_published
from analysis.evidence.reporting_inputs import load_inputs
from analysis.evidence.studies import ice_records2016, others, trust
from analysis.evidence.studies.record import study_of

STUDIES = (ice_records2016.STUDY, *trust.STUDIES, *others.STUDIES)
MINE = (
    "context", "wong2020trust", "wong2018survey", "cis2021", "martinezschuldt2021", "gjw2024", "kubrinbartos2020",
    "amuedodeza2022", "amuedoarenas", "lyons2013", "ciancio2019", "boyle2025", "nchs2006", "nchs2013",
)  # fmt: skip
PUBLISHED = load_published().frame()


def published(declined=1_000, places=165):
    return pd.DataFrame(
        {"id": [of.PRESS_DECLINED, of.PRESS_PLACES], "estimate": [float(declined), float(places)]}
    )


def made_records():
    """400 declines of 2014 and 200 of 2015: California 330, the next state 150, 120 without a state."""
    rows = [
        (2013, "CA", "county", 50, 2), (2014, "CA", "county", 200, 4), (2014, "CA", "not local", 30, 1),
        (2014, "NY", "county", 100, 3), (2014, "", "no state", 70, 1), (2015, "CA", "county", 100, 4),
        (2015, "NY", "county", 50, 3), (2015, "", "no state", 50, 1),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(of.RECORDS))


def made_months():
    months = [str(month) for month in pd.period_range("2014-01", "2015-07", freq="M")]
    return pd.DataFrame({"year_month": months, "count": [100] * 18 + [38]})


def made_outcomes():
    rows = [
        (2014, of.DECLINED_OUTCOME, 400),
        (2014, "Lifted", 400),
        (2015, of.DECLINED_OUTCOME, 200),
        (2015, "Lifted", 300),
    ]
    return pd.DataFrame(rows, columns=["year", "lift_reason", "count"])


def weeks(declined=1_000):
    return of.detainer_weeks(made_records(), made_months(), made_outcomes(), published(declined))


def cell(frame, column="declined", **wanted):
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame[column].iloc[0]


# --- the records -----------------------------------------------------------------------------------


def test_every_record_is_counted_once_where_it_stands():
    rng = np.random.default_rng(20260101)
    n = 60
    facilities = pd.DataFrame(
        {"facility": [f"F{i}" for i in range(n)], "city": [None if i % 7 == 0 else "X" for i in range(n)]}
    )
    facilities["state"] = [None if i % 5 == 0 else ("CA", "NY")[i % 2] for i in range(n)]
    facilities["county_fips"] = [None if i % 6 == 0 else "06001" for i in range(n)]
    facilities["runs"] = ["federal" if i % 4 == 0 else "local" for i in range(n)]
    key = ["facility", "city", "state"]
    records = facilities[key].sample(200, replace=True, random_state=1).assign(
        year=rng.integers(2008, 2016, 200), declined=rng.integers(1, 9, 200)
    )  # fmt: skip
    found = of.detainer_records(records, facilities)
    assert list(found.columns) == list(of.RECORDS) and not found.duplicated(["year", "state", "place"]).any()
    assert found["declined"].sum() == records["declined"].sum()
    where = {row.facility: row for row in facilities.itertuples()}

    def place(name):
        row = where[name]
        if not isinstance(row.state, str):
            return of.NO_STATE
        if not isinstance(row.county_fips, str):
            return of.UNMATCHED
        return of.COUNTY if row.runs == "local" else of.NOT_LOCAL

    brute = {}
    for row in records.itertuples():
        at = (row.year, row.state if isinstance(row.state, str) else "", place(row.facility))
        brute[at] = brute.get(at, 0) + row.declined
    assert {(r.year, r.state, r.place): r.declined for r in found.itertuples()} == brute
    assert set(found["place"]) == set(of.PLACES)


def test_a_facility_nobody_looked_up_or_two_of_one_name_are_refused():
    records = pd.DataFrame(
        {"year": [2014], "facility": ["A"], "city": ["X"], "state": ["CA"], "declined": [1]}
    )
    there = records[["facility", "city", "state"]].assign(county_fips="06001", runs="local")
    with pytest.raises(TableError, match="'A' was never looked up"):
        of.detainer_records(records, there.assign(city="Y"))
    with pytest.raises(TableError, match="stands twice"):
        of.detainer_records(records, pd.concat([there, there]))


# --- the weeks after them --------------------------------------------------------------------------


def test_days_are_those_of_the_calendar():
    day, counted = date(2015, 7, 20), 0
    while day <= date(2015, 9, 30):
        day, counted = day + timedelta(days=1), counted + 1
    assert of.days_between(date(2015, 7, 20), date(2015, 9, 30)) == counted == 73
    assert (
        of.days_between(of.PRESS_FIRST, of.RECORDS_LAST) + counted
        == of.days_between(of.PRESS_FIRST, of.PRESS_LAST)
        == 638
    )


def test_the_gap_and_the_paces_by_hand():
    f = weeks()
    assert list(f.columns) == list(of.WEEKS) and set(f["kind"]) == set(of.KINDS)
    assert cell(f, kind=of.RECORDED, area=of.EVERYWHERE, what="records from January 2014") == 600
    assert cell(f, kind=of.GAP, area=of.EVERYWHERE) == cell(f, "high", kind=of.GAP, area=of.EVERYWHERE) == 400
    assert cell(f, "per_week", kind=of.GAP, area=of.EVERYWHERE) == pytest.approx(7 * 400 / 73)
    assert cell(f, kind=of.HELD, what="declines a week of 2014") == pytest.approx(400 / 365 * 73)
    assert cell(f, kind=of.HELD, what="declines a week of 2015") == pytest.approx(200 / 200 * 73)
    # 38 detainers in 19 days of July: two a day.
    to_come = 2 * 73
    assert cell(f, kind=of.HELD, what="declines a detainer of 2014, detainers of July 2015") == pytest.approx(
        400 / 1_200 * to_come
    )
    assert cell(f, kind=of.HELD, what="declines a detainer of 2015, detainers of July 2015") == pytest.approx(
        200 / 638 * to_come
    )
    # Half of those with an outcome in 2014 were declined, two fifths in 2015; 400 and 138 have none.
    assert cell(f, kind=of.LATE) == pytest.approx(400 * 0.5 + 138 * 0.4)
    assert cell(f, "without_outcome", kind=of.LATE) == cell(f, "high", kind=of.LATE) == 538


def test_bounds_of_states_are_those_of_every_way_to_place_what_is_missing():
    f = weeks()
    both = "with none or all of the gap and of the records without a state"
    ours, theirs, california = [], [], []
    for gap_here in range(0, 401, 40):
        for stateless_here in range(0, 121, 12):
            ours.append(330 + gap_here + stateless_here)
            theirs.append(150 + (400 - gap_here) + (120 - stateless_here))
            california.append(ours[-1] / 1_000)
    assert cell(f, "low", area=of.MOST, what=both) == min(ours) and cell(
        f, "high", area=of.MOST, what=both
    ) == max(ours)
    assert cell(f, "high", area=of.NEXT, what=both) == max(theirs)
    assert cell(f, "low", kind=of.SHARE, what="of the published count") == pytest.approx(min(california))
    assert cell(f, "high", kind=of.SHARE, what="of the published count") == pytest.approx(max(california))
    assert cell(f, kind=of.SHARE, what="of records with a state") == pytest.approx(330 / 480)


def test_records_that_hold_more_than_the_press_leave_nothing_to_place():
    f = weeks(declined=500)
    assert cell(f, kind=of.GAP, area=of.EVERYWHERE) == cell(f, "low", kind=of.GAP, area=of.EVERYWHERE) == -100
    assert cell(f, "high", area=of.MOST, what="with none or all of the gap") == 330


def test_what_the_weeks_rest_on_must_be_there():
    records, months, outcomes = made_records(), made_months(), made_outcomes()
    with pytest.raises(TableError, match="no count of 2014-03"):
        of.detainer_weeks(records, months[months["year_month"] != "2014-03"], outcomes, published())
    with pytest.raises(TableError, match="no decline of 2015"):
        of.detainer_weeks(records[records["year"] < 2015], months, outcomes, published())
    with pytest.raises(TableError, match=of.DECLINED_OUTCOME):
        of.detainer_weeks(records, months, outcomes[outcomes["lift_reason"] == "Lifted"], published())
    with pytest.raises(TableError, match="fewer than two states"):
        of.detainer_weeks(records[records["state"] != "NY"], months, outcomes, published())
    with pytest.raises(TableError, match=r"context\.declined_18646 is registered as \[\]"):
        of.detainer_weeks(records, months, outcomes, published().iloc[1:])


def test_places_are_counted_from_2014_and_limits_to_the_last_day():
    declines = pd.DataFrame(
        {"county_fips": ["a", "a", "b", "c"], "year": [2014, 2015, 2013, 2015], "declined": [2, 3, 99, 1]}
    )
    policies = pd.DataFrame(
        [
            ("D2", "county", "a", "limit_full", "2014"), ("D2", "county", "a", "limit_partial", "2014-05-01"),
            ("D2", "county", "b", "limit_full", "2015-09-30"), ("D2", "county", "c", "limit_full", "2015-10"),
            ("D2", "county", "d", "repeal", "2014"), ("D7", "state", None, "limit_full", "2014"),
            ("D2", "county", "e", "limit_full", None),
        ],
        columns=["definition_source", "level", "county_fips", "direction", "date"],
    )  # fmt: skip
    f = of.places_counted(declines, policies, published())
    assert f[f["kind"] == "declines"].set_index("at_least")["places"].to_dict() == {
        1: 2,
        2: 1,
        3: 1,
        5: 1,
        10: 0,
        25: 0,
    }
    assert cell(f, "places", kind="documented") == 2 and cell(f, "difference", kind="documented") == 2 - 165


@pytest.mark.real
def test_the_records_hold_what_the_study_says_of_them(raw):
    from analysis.panel.sources.detainers import read_facility_records

    records = read_facility_records(raw)
    somewhere = (
        records[["facility", "city", "state"]].drop_duplicates().assign(county_fips="00000", runs="local")
    )
    found = of.detainer_records(records, somewhere)
    months = pd.read_csv(raw.path("policy/raw/ice_detainers_by_year_and_month.csv"))
    outcomes = pd.read_csv(raw.path("policy/raw/ice_detainers_by_lift_reason_and_year.csv"))
    f = of.detainer_weeks(found, months, outcomes, PUBLISHED)
    assert found["declined"].sum() == 20_240
    assert cell(f, area=of.EVERYWHERE, what="records from January 2014") == 16_379
    assert cell(f, kind=of.GAP, area=of.EVERYWHERE) == 2_267
    assert cell(f, area=of.MOST, what="records from January 2014") == 7_634
    # The file of outcomes by year counts the same declines; in 2014 one more.
    of_outcome = outcomes[outcomes["lift_reason"] == of.DECLINED_OUTCOME].set_index("year")["count"]
    assert (of_outcome - found.groupby("year")["declined"].sum()).to_dict() == {
        y: int(y == 2014) for y in range(2007, 2016)
    }


# --- classes ---------------------------------------------------------------------------------------


@pytest.mark.real
def test_classes_are_counted_beside_their_registered_numbers(raw):
    from analysis.panel.sources.classes import read_urban_classes

    classes = read_urban_classes(raw)
    f = of.class_counts(classes, PUBLISHED)
    assert f.groupby("version")["counties"].sum().to_dict() == {2006: len(classes), 2013: len(classes)}
    assert f["figure"].ne("").all() and (f["difference"].abs() <= 2).all()
    assert f.loc[f["version"] == 2013, "confidence"].eq("from memory").all()


def test_a_class_without_counties_counts_none_and_a_county_twice_is_refused():
    classes = pd.DataFrame(
        {"county_fips": ["1"], "urban_class_2006": ["noncore"], "urban_class_2013": ["noncore"]}
    )
    f = of.class_counts(classes, PUBLISHED[PUBLISHED["id"] != "nchs2006.n.noncore"])
    assert f["counties"].sum() == 2 and len(f) == 12
    assert (
        f["registered"].isna().tolist() == [one == "" for one in f["figure"]]
        and f["figure"].eq("").sum() == 1
    )
    with pytest.raises(TableError, match="twice"):
        of.class_counts(pd.concat([classes, classes]), PUBLISHED)


# --- the studies' records --------------------------------------------------------------------------


@pytest.mark.parametrize("figure", [name for name in PUBLISHED["id"] if name.split(".")[0] in MINE])
def test_every_figure_has_one_owner_and_an_answer_or_a_reason(figure):
    assert sum(study.owns(figure) for study in STUDIES) == 1
    study = study_of(figure, STUDIES)
    assert (study.ask(figure) is None) == bool(study.reason(figure))


def test_nothing_is_asked_or_excused_that_is_not_registered():
    known = set(PUBLISHED["id"])
    later = {"context.declined_california_share"}
    for study in STUDIES:
        assert {ask.figure for ask in study.asks} <= known
        named = {name for name in study.apart if not name.endswith("*")}
        assert named <= known | later, study.name


def test_what_stands_beside_a_figure_is_a_specification_of_its_study():
    for study in STUDIES:
        names = {one.name: one for name in study.specs for one in load_spec(name).expand()}
        for ask in study.asks:
            measures = {*ask.measures, *(name for name, _ in ask.near)}
            assert names[ask.main].outcome.measure in measures
        assert not study.asks or study.specs


def test_the_synthetic_california_is_one_state_with_one_date():
    specs = load_spec("kubrinbartos2020").expand()
    assert {one.status for one in specs} == {"declared"} and {one.design.area for one in specs} == {"state"}
    assert {one.treatment.definition for one in specs} == {"sb54_2018.csv"} and {
        one.sample.years[-1] for one in specs
    } == {2018}
    dates = pd.read_csv(specs[0].definition_path)
    law = pd.read_csv(ROOT / "data" / "policy" / "d7_state_laws.csv")
    ours = law[(law["state"] == "CA") & law["policy_type"].eq("law_limiting_cooperation")]
    assert dates[["state", "date"]].values.tolist() == ours[["state", "policy_date"]].values.tolist()


# --- the bounds' inputs ----------------------------------------------------------------------------


def test_the_bounds_inputs_agree_with_the_registry():
    f = trust.reporting_agreement(load_inputs().frame(), PUBLISHED).set_index("id")
    assert set(f.index) == {one.id for one in load_inputs().inputs if one.registered}
    assert not f["relation"].eq(trust.APART).any()
    assert f.loc["wong2018survey.witness", ["value", "registered"]].tolist() == [-60.8, 61.0]
    assert f.loc["wong2018survey.victim", ["value", "registered"]].tolist() == [-42.9, 43.0]
    assert f.loc["martinezschuldt2021.reporting", "relation"] == trust.SIGN


@pytest.mark.parametrize(
    ("figure", "value", "relation"),
    [
        ("wong2018survey.witness", -61.0, trust.SAME), ("wong2018survey.witness", -60.4, trust.APART),
        ("wong2018survey.witness", 61.0, trust.APART), ("gjw2024.reporting", 30.0, trust.APART),
        ("gjw2024.victimization", 16.0, trust.DERIVED), ("gjw2024.victimization", 15.0, trust.APART),
        ("cis2021.reporting_rate", 1.33, trust.DERIVED), ("cis2021.reporting_rate", 1.4, trust.APART),
        ("martinezschuldt2021.reporting", -12.0, trust.APART),
    ],
)  # fmt: skip
def test_an_input_that_moves_away_from_the_registry_is_told(figure, value, relation):
    inputs = load_inputs().frame()
    inputs = inputs[inputs["id"] == figure].assign(value=value)
    assert trust.reporting_agreement(inputs, PUBLISHED)["relation"].tolist() == [relation]


def test_an_input_marked_as_registered_must_be():
    inputs = load_inputs().frame()
    inputs = inputs[inputs["id"] == "gjw2024.reporting"].assign(id="gjw2024.reprting")
    with pytest.raises(StudyError, match=r"gjw2024\.reprting is marked as registered"):
        trust.reporting_agreement(inputs, PUBLISHED)


# --- what stands beside them -----------------------------------------------------------------------


def made_results(spec, **more):
    row = {
        "spec": spec, "measure": "violent", "estimand": "att", "failure": "", "outcome": "Reported violent crime", "estimate": 25.0,
        "conf_low": -48.0, "conf_high": 98.0, "unit": "per 100,000", "percent_of_baseline": 5.5, "p_value": 0.2, "n_treated": 1,
        "n_comparison": 24, "precision": "not informative",
    }  # fmt: skip
    return pd.DataFrame([row | more])


def test_each_figure_has_its_estimate_its_count_or_its_reason():
    results = made_results("kubrinbartos2020/measure=violent")
    counts = pd.DataFrame({"figure": ["nchs2013.n.noncore"], "counties": [1_335]})
    f = others.others_frame(PUBLISHED, STUDIES, results, counts).set_index("figure")
    assert list(f.reset_index()[list(others.OTHERS)].columns) == list(others.OTHERS)
    assert set(f.index) == {name for name in PUBLISHED["id"] if name.split(".")[0] in MINE}
    assert f.loc["kubrinbartos2020.violent", ["value", "p_value", "n_comparison"]].tolist() == [25.0, 0.2, 24]
    assert (
        f.loc["kubrinbartos2020.property", "failure"] == "not run"
        and f.loc["kubrinbartos2020.property", "value"] != 0
    )
    assert f.loc["nchs2013.n.noncore", "value"] == 1_335 and np.isnan(
        f.loc["nchs2013.n.micropolitan", "value"]
    )
    assert (f["beside"].eq("") == f["reason"].ne("")).all()
    # A size, or words where none is registered; words are never the registry's own, which say more than a direction.
    assert (f["estimate"].isna() == f["found"].ne("")).all()
    assert f.loc[f["estimate"].isna(), "found"].tolist() == [
        others.FOUND[name] for name in f.index[f["estimate"].isna()]
    ]


def test_a_specification_that_failed_keeps_its_reason():
    results = made_results(
        "kubrinbartos2020/measure=violent", failure="no donor", estimate=np.nan, estimand=""
    )
    f = others.others_frame(PUBLISHED, [others.KUBRIN], results).set_index("figure")
    assert f.loc["kubrinbartos2020.violent", "failure"] == "no donor" and np.isnan(
        f.loc["kubrinbartos2020.violent", "value"]
    )

"""Who is treated, from when, and against whom: every rule on small invented tables."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.base.errors import ProtocolError, SourceError, SpecError, TableError
from analysis.base.fips import STATE_OF_FIPS
from analysis.design.treatment import (
    COMPARISON_MOST_DECLINES,
    DEFINITIONS,
    STATES_THAT_MOVED,
    Treatment,
    carries,
    declines_onset,
    definitions_table,
    is_descriptive,
    make_treatment,
    require_carries,
    treatment_summary,
    with_user_dates,
)

NO_DECLINES = pd.DataFrame(
    {
        "county_fips": pd.Series(dtype="object"),
        "year": pd.Series(dtype="int64"),
        "declined": pd.Series(dtype="int64"),
        "decline_share": pd.Series(dtype="float64"),
    }
)


def event(
    fips: str | None, state: str, date: str | None, direction: str = "limit_full", **more: object
) -> dict:
    year = int(date[:4]) if date else None
    precision = {4: "year", 7: "month", 10: "day"}[len(date)] if date else None
    base = {
        "definition_source": "D2",
        "state": state,
        "level": "county" if fips else "state",
        "county_fips": fips,
        "direction": direction,
        "date": date,
        "year": year,
        "precision": precision,
        "upper_bound": False,
        "verified": True,
    }
    return {**base, **more}


def law(state: str, date: str, direction: str = "limit_full") -> dict:
    return event(None, state, date, direction, definition_source="D7")


def panel_of(
    *counties: tuple[str, str], years: range = range(2010, 2018), population: float = 50_000
) -> pd.DataFrame:
    rows = [
        {"county_fips": fips, "state": state, "year": year, "population": population}
        for fips, state in counties
        for year in years
    ]
    return pd.DataFrame(rows)


def treat(
    counties: list[tuple[str, str]], events: list[dict], definition: str = "policy_any", **more
) -> Treatment:
    options = {
        "onset": "first_full_year",
        "upper_bound_dates": "as_dated",
        "comparison": "never_treated",
        "kind": "panel",
        "declines": NO_DECLINES,
        "panel": panel_of(*counties),
        **more,
    }
    declines, panel = options.pop("declines"), options.pop("panel")
    policies = pd.DataFrame(events or [event("00000", "ZZ", "2014")])
    return make_treatment(panel, policies, declines, definition, **options)


def row(treatment: Treatment, fips: str) -> dict:
    found = treatment.table.set_index("county_fips").loc[fips].to_dict()
    return {name: None if value is pd.NA else value for name, value in found.items()}


WI = [("55001", "WI"), ("55003", "WI")]


# --- onset and transition (rule 5) ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "onset", "cohort", "transition"),
    [
        ("2014-04-16", "first_full_year", 2015, 2014),
        ("2014-01-01", "first_full_year", 2014, None),
        ("2014-01", "first_full_year", 2015, 2014),
        ("2014", "first_full_year", 2015, 2014),
        ("2014-04-16", "adoption_year", 2014, None),
    ],
)
def test_cohort_and_transition_year(date, onset, cohort, transition):
    got = row(treat(WI, [event("55001", "WI", date)], onset=onset), "55001")
    assert (got["status"], got["adoption_year"]) == ("treated", 2014)
    assert (got["cohort"], got["transition_year"]) == (cohort, transition)
    assert (got["drop_from_year"], got["drop_to_year"]) == (transition, transition)


def test_only_dates_of_reports_move_a_year():
    events = [event("55001", "WI", "2014-08-18", upper_bound=True), event("55003", "WI", "2014-08-18")]
    moved = treat(WI, events, upper_bound_dates="one_year_earlier")
    assert (row(moved, "55001")["cohort"], row(moved, "55001")["adoption_date"]) == (2014, "2013-08-18")
    assert row(moved, "55003")["cohort"] == 2015
    assert row(treat(WI, events), "55001")["cohort"] == 2015
    assert any("upper bounds" in note for note in moved.notes)


# --- partial, full, verified, repeal --------------------------------------------------------------


def test_years_of_an_earlier_partial_limit_are_neither_before_nor_after_a_full_one():
    events = [event("55001", "WI", "2011-11-22", "limit_partial"), event("55001", "WI", "2014-11-14")]
    full = row(treat(WI, events, "policy_full"), "55001")
    assert (full["cohort"], full["transition_year"]) == (2015, 2014)
    assert (full["drop_from_year"], full["drop_to_year"]) == (2011, 2014)
    any_limit = row(treat(WI, events, "policy_any"), "55001")
    assert (any_limit["cohort"], any_limit["drop_from_year"], any_limit["drop_to_year"]) == (2012, 2011, 2011)


def test_a_partial_limit_alone_is_neither_treated_nor_a_comparison_under_full_decline():
    got = row(treat(WI, [event("55001", "WI", "2012-06-04", "limit_partial")], "policy_full"), "55001")
    assert (got["status"], got["reason"]) == ("excluded", "partial limit only")


def test_unverified_events_do_not_count_as_verified_nor_as_never():
    events = [event("55001", "WI", "2014-04", verified=False)]
    assert row(treat(WI, events, "policy_verified"), "55001")["status"] == "excluded"
    assert row(treat(WI, events, "policy_any"), "55001")["status"] == "treated"


def test_a_repeal_ends_the_rows_and_one_before_the_first_treated_year_excludes():
    limit = event("55001", "WI", "2013", "limit_partial")
    assert row(treat(WI, [limit, event("55001", "WI", "2017-01-26", "repeal")]), "55001")["last_year"] == 2016
    ended = row(treat(WI, [limit, event("55001", "WI", "2013-12-01", "repeal")]), "55001")
    assert (ended["status"], ended["cohort"]) == ("excluded", None)


def test_a_general_ordinance_is_no_onset():
    events = [
        event("06075", "CA", "1989-10", "ordinance"),
        event("06075", "CA", "2013-09-24", "limit_partial"),
        event("06075", "CA", "2014-05-29"),
    ]
    counties = [("06075", "CA"), *WI]
    assert row(treat(counties, events, "policy_any"), "06075")["cohort"] == 2014
    assert row(treat(counties, events, "policy_full"), "06075")["adoption_year"] == 2014


# --- clean comparisons ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["CA", "CO", "CT", "NM", "OR", "PA", "WA"])
def test_unlisted_counties_of_states_that_moved_are_no_comparisons(state):
    got = row(treat([("99001", state), *WI], [event("55001", "WI", "2014")]), "99001")
    assert got["status"] == "excluded"


def test_unlisted_counties_compare_until_their_state_limits_by_law():
    made = treat([("17001", "IL"), *WI], [event("55001", "WI", "2014"), law("IL", "2017-08-28")])
    assert (row(made, "17001")["status"], row(made, "17001")["last_year"]) == ("comparison", 2016)
    assert row(made, "55003")["last_year"] is None


def test_a_law_that_requires_cooperation_ends_local_limits():
    events = [
        event("12011", "FL", "2014-07-28"),
        event("48453", "TX", "2017-02-01"),
        law("FL", "2019-07-01", "require"),
    ]
    made = treat([("12011", "FL"), ("48453", "TX"), *WI], [*events, law("TX", "2017-09-01", "require")])
    assert row(made, "12011")["last_year"] == 2018
    assert (row(made, "48453")["status"], row(made, "48453")["cohort"]) == ("excluded", None)


def test_a_citys_policy_binds_no_county_jail():
    made = treat(WI, [event("55001", "WI", "2014", level="city"), event("55003", "WI", "2015")])
    assert row(made, "55001")["status"] == "comparison"
    assert any("cities" in note for note in made.notes)


def test_comparisons_with_recorded_declines_are_counted_not_excluded():
    declines = pd.DataFrame(
        {"county_fips": ["55003"], "year": [2014], "declined": [9], "decline_share": [0.1]}
    )
    made = treat(WI, [event("55001", "WI", "2014")], declines=declines)
    assert row(made, "55003")["status"] == "comparison"
    assert any(
        note.startswith("1 comparison counties have five or more recorded declines") for note in made.notes
    )


# --- states ---------------------------------------------------------------------------------------


def test_state_law_treats_every_county_and_excludes_states_that_require_cooperation():
    counties = [("06001", "CA"), ("06003", "CA"), ("48001", "TX"), ("22001", "LA"), *WI]
    laws = [
        law("CA", "2014-01-01", "limit_partial"),
        law("CA", "2018-01-01"),
        law("TX", "2017-09-01", "require"),
    ]
    made = treat(counties, [*laws, law("LA", "2024-05", "require")], "state_law")
    assert [row(made, fips)["cohort"] for fips in ("06001", "06003")] == [2014, 2014]
    assert row(made, "06001")["transition_year"] is None
    assert row(made, "48001")["status"] == "excluded"
    # A law after the panel's last year changes nothing within it.
    assert row(made, "22001")["status"] == "comparison"
    assert row(made, "55001")["status"] == "comparison"


# --- recorded declines ----------------------------------------------------------------------------


def declined(*rows: tuple[str, int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["county_fips", "year", "declined", "decline_share"])


def test_thresholds_on_count_share_and_size():
    table = declined(
        ("55001", 2013, 5, 0.10), ("55001", 2014, 9, 0.30), ("55003", 2014, 4, 0.90), ("55005", 2014, 30,
        0.05)
    )  # fmt: skip
    panel = panel_of(("55001", "WI"), ("55003", "WI"), ("55005", "WI"), population=100_000)
    onsets = {
        name: declines_onset(table, panel, DEFINITIONS[name]).to_dict()
        for name in DEFINITIONS
        if "declines" in name
    }
    assert onsets["declines_5"] == {"55001": 2013, "55005": 2014}
    assert onsets["declines_share25"] == {"55001": 2014}
    assert onsets["declines_share50"] == {}
    assert onsets["declines_per_10k"] == {"55001": 2013, "55005": 2014}
    large = panel.assign(population=200_000.0)
    assert declines_onset(table, large, DEFINITIONS["declines_per_10k"]).to_dict() == {"55005": 2014}


def test_below_the_threshold_is_comparison_only_below_five_a_year():
    table = declined(
        ("55001", 2014, 20, 0.5), ("55003", 2014, 5, 0.05), ("55005", 2014, COMPARISON_MOST_DECLINES, 0.9)
    )
    counties = [("55001", "WI"), ("55003", "WI"), ("55005", "WI"), ("55007", "WI")]
    made = treat(counties, [], "declines_share25", declines=table)
    assert made.table["status"].tolist() == ["treated", "excluded", "comparison", "comparison"]
    assert row(made, "55001")["cohort"] == 2015
    # What happened after the records end is unknown, for both arms.
    assert made.table.loc[made.table["status"] != "excluded", "last_year"].unique().tolist() == [2015]


# --- lists, user's csv ----------------------------------------------------------------------------


def test_lists_treat_listed_counties_and_refuse_panels():
    listed = [
        event("55001", "WI", None, "listed", definition_source="D5"),
        event("55003", "WI", None, "listed", definition_source="D5", level="city"),
        event(None, "IL", None, "listed", definition_source="D5"),
    ]
    counties = [*WI, ("55005", "WI"), ("17001", "IL")]
    made = treat(counties, listed, "dhs_2025", kind="cross_section", year=2015)
    assert [row(made, fips)["status"] for fips in ("55001", "55003", "55005", "17001")] == [
        "treated", "excluded", "comparison", "excluded",
    ]  # fmt: skip
    with pytest.raises(ProtocolError, match=r"rule 6.*undated"):
        treat(counties, listed, "dhs_2025")


def test_a_users_csv_takes_the_place_of_the_studys_dates(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "county_fips,date,direction,level,state\n55003,2015-06,limit_full,county,\n,2014-01-01,limit_full,state,IA\n"
    )
    study = pd.DataFrame([event("55001", "WI", "2014")])
    panel = panel_of(*WI, ("19001", "IA"))
    policies = with_user_dates(study, path, panel["county_fips"].unique())
    made = make_treatment(
        panel, policies, NO_DECLINES, "mine.csv", onset="first_full_year", upper_bound_dates="as_dated",
        comparison="never_treated", kind="panel",
    )  # fmt: skip
    assert row(made, "55001")["status"] == "comparison"
    assert row(made, "55003")["cohort"] == 2016
    assert row(made, "19001")["cohort"] == 2014
    assert len(study) == 1


def test_new_york_citys_counties_in_a_users_csv_are_the_one_area(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("county_fips,date\n36005,2014-11-14\n36061,2014-11-14\n36001,2013\n")
    policies = with_user_dates(pd.DataFrame([event("55001", "WI", "2014")]), path, ["36001", "36998"])
    own = policies.query("definition_source == 'user'")
    assert own["county_fips"].tolist() == ["36998", "36001"]


def test_a_users_dates_hold_the_contract_of_the_studys_own(tmp_path):
    from analysis.base.codebook import load_codebook, validate

    columns = [column.name for column in load_codebook().table("policy_events").columns]
    path = tmp_path / "mine.csv"
    path.write_text(
        "county_fips,date,level,jurisdiction,upper_bound\n"
        "36005,2014-11-14,county,Bronx,no\n36061,2014-11-14,county,Manhattan,no\n"
        "55001,2014,city,Elm,yes\n55001,2014,city,Ash,yes\n"
    )
    own = with_user_dates(pd.DataFrame(columns=columns), path, ["36998", "55001"])
    types = {"year": "Int64", "month": "Int64", "upper_bound": bool, "verified": bool, "rows": "int64"}
    own = validate(own.astype(types), "policy_events")
    assert own[["jurisdiction", "rows"]].to_numpy().tolist() == [["New York City", 2], ["Elm", 1], ["Ash", 1]]


def test_a_users_county_must_stand_in_the_panel(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("county_fips,date\n55002,2014\n")
    with pytest.raises(SourceError, match=r"row 1: county code '55002' is no county \(did you mean 5500\d"):
        with_user_dates(pd.DataFrame([event("55001", "WI", "2014")]), path, ["55001", "55003"])


# --- cross-sections -------------------------------------------------------------------------------


def test_a_cross_section_treats_what_is_in_force_on_1_january():
    dates = {
        "55001": "2014-12-31",
        "55003": "2015-01-01",
        "55005": "2015-03-01",
        "55007": "2016-02-01",
        "55009": None,
    }
    counties = [(fips, "WI") for fips in dates]
    events = [event(fips, "WI", date) for fips, date in dates.items() if date]
    made = treat(counties, events, kind="cross_section", year=2015)
    assert made.table["status"].tolist() == ["treated", "treated", "excluded", "excluded", "comparison"]
    later = treat(counties, events, kind="cross_section", year=2015, comparison="not_yet_treated")
    assert later.table["status"].tolist() == ["treated", "treated", "excluded", "comparison", "comparison"]
    assert later.table["cohort"].notna().tolist() == [True, True, False, False, False]


def test_a_cross_section_leaves_out_what_ended_or_became_unclear():
    events = [
        event("55001", "WI", "2013"),
        event("55001", "WI", "2014-05-01", "repeal"),
        law("IL", "2014-07"),
    ]
    events += [event("55003", "WI", "2012", "limit_partial"), event("55003", "WI", "2016")]
    made = treat(
        [*WI, ("17001", "IL")],
        events,
        "policy_full",
        kind="cross_section",
        year=2015,
        comparison="not_yet_treated",
    )
    assert made.table["status"].tolist() == ["excluded", "excluded", "excluded"]


# --- what a definition can carry (rule 6) ---------------------------------------------------------


def test_designs_each_definition_can_carry():
    table = definitions_table().set_index("name")
    assert table.loc["policy_full", ["cross_section", "between", "within"]].tolist() == ["yes", "yes", "yes"]
    assert table.loc["declines_5", "within"] == "yes (outcomes to 2015)"
    assert table.loc["state_law", ["cross_section", "between", "within"]].tolist() == [
        "yes",
        "yes",
        "refused",
    ]
    for name in ("dhs_2025", "doj_2025"):
        assert table.loc[name, ["cross_section", "between", "within"]].tolist() == [
            "descriptive",
            "refused",
            "refused",
        ]
        assert is_descriptive(name)
    assert "user" in table.index


@pytest.mark.parametrize(
    ("name", "kind", "within", "words"),
    [
        ("state_law", "panel", "state", "rule 6.*absorb"),
        ("state_law", "cross_section", "state", "rule 6.*absorb"),
        ("dhs_2025", "panel", "none", "rule 6.*undated"),
        ("doj_2025", "panel", "state", "rule 6.*undated"),
    ],
)
def test_a_design_a_definition_cannot_carry_is_refused(name, kind, within, words):
    assert not carries(name, kind, within).allowed
    with pytest.raises(ProtocolError, match=words):
        require_carries(name, kind, within)


def test_recorded_declines_carry_outcomes_to_2015():
    require_carries("declines_share25", "panel", "state", last_year=2015)
    with pytest.raises(ProtocolError, match=r"rule 6.*19 July 2015"):
        require_carries("declines_share25", "panel", "state", last_year=2016)


def test_unknown_definitions_and_options_name_the_nearest():
    with pytest.raises(SpecError, match="did you mean policy_full"):
        carries("policy_fulll", "panel", "none")
    with pytest.raises(SpecError, match="did you mean first_full_year"):
        treat(WI, [], onset="first_full")


@pytest.mark.parametrize(("date", "words"), [("1914-04-16", "before 1980"), ("2114-04-16", "in the future")])
def test_impossible_dates_are_refused(date, words):
    with pytest.raises(TableError, match=words):
        treat(WI, [event("55001", "WI", date)])


# --- properties -----------------------------------------------------------------------------------

MANY = [
    event("55001", "WI", "2011-11-22", "limit_partial"), event("55001", "WI", "2014-11-14"),
    event("55003", "WI", "2014-08-18", upper_bound=True), event("17001", "IL", "2013"),
    law("IL", "2017-08-28"), event("12001", "FL", "2013", "limit_partial"),
    event("12001", "FL", "2017-01-26", "repeal"),
]  # fmt: skip
COUNTIES = [*WI, ("17001", "IL"), ("17003", "IL"), ("12001", "FL"), ("06001", "CA"), ("19001", "IA")]


@pytest.mark.parametrize("definition", ["policy_any", "policy_full", "policy_verified", "state_law"])
def test_the_order_of_rows_does_not_matter(definition):
    forward = treat(COUNTIES, MANY, definition)
    backward = treat(COUNTIES[::-1], MANY[::-1], definition)
    pd.testing.assert_frame_equal(forward.table, backward.table)


@pytest.mark.parametrize("definition", ["policy_any", "policy_full", "state_law"])
def test_an_always_treated_county_more_changes_no_other(definition):
    before = treat(COUNTIES, MANY, definition).table
    more = [*MANY, event("55999", "WI", "1985-01-01"), law("ND", "1985-01-01")]
    after = treat([*COUNTIES, ("55999", "WI"), ("38001", "ND")], more, definition).table
    kept = after[after["county_fips"].isin(before["county_fips"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(before, kept)


def test_every_county_of_the_panel_has_one_row_and_the_summary_accounts_for_all():
    made = treat(COUNTIES, MANY, "policy_full")
    assert made.table["county_fips"].tolist() == sorted(fips for fips, _ in COUNTIES)
    summary = treatment_summary(made)
    accounted = summary.loc[summary["what"].isin(["treated", "comparison", "excluded"]), "counties"].sum()
    assert accounted == len(COUNTIES)


def test_inputs_are_not_changed():
    policies, panel = pd.DataFrame(MANY), panel_of(*COUNTIES)
    kept = policies.copy(deep=True), panel.copy(deep=True)
    make_treatment(
        panel, policies, NO_DECLINES, "policy_any", onset="first_full_year",
        upper_bound_dates="one_year_earlier",
        comparison="never_treated", kind="panel",
    )  # fmt: skip
    pd.testing.assert_frame_equal(policies, kept[0])
    pd.testing.assert_frame_equal(panel, kept[1])


# --- the study's own tables ---------------------------------------------------------------------------------


@pytest.mark.real
def test_dated_full_declines_outside_the_states_that_moved(raw):
    from analysis.panel.sources.census import read_population
    from analysis.panel.sources.jurisdictions import one_new_york
    from analysis.panel.sources.policy import (
        make_policy_events,
        read_ddor_2017,
        read_detainer_policies,
        read_state_laws,
    )

    no_lists = pd.DataFrame(
        columns=[
            "definition_source",
            "row",
            "jurisdiction",
            "state",
            "level",
            "county_fips",
            "source",
            "source_url",
            "note",
        ]
    )
    events = make_policy_events(read_detainer_policies(), read_ddor_2017(), no_lists, read_state_laws())
    people = read_population(raw).query("2010 <= year <= 2017")
    people = people.assign(
        county_fips=one_new_york(people["county_fips"]),
        state=people["county_fips"].str[:2].map(STATE_OF_FIPS),
    )
    panel = people.groupby(["county_fips", "state", "year"], as_index=False)["population"].sum()
    made = make_treatment(
        panel, events, NO_DECLINES, "policy_full", onset="first_full_year", upper_bound_dates="as_dated",
        comparison="never_treated", kind="panel",
    )  # fmt: skip
    baseline = panel[panel["year"] == 2010].set_index("county_fips")["population"]
    large = made.table[made.table["county_fips"].map(baseline) > 10_000]
    dated = large[(large["status"] == "treated") & ~large["state"].isin(STATES_THAT_MOVED)]
    # Protocol rule 6: about 44, New York City counted as five counties, and 18 of them in Iowa.
    assert len(dated) + 4 == 44
    assert (dated["state"] == "IA").sum() == 18
    # 184 documented counties are 180 areas: 175 with a full decline, 5 with a partial limit alone.
    assert (made.table["status"] == "treated").sum() == 175
    assert (made.table["reason"] == "partial limit only").sum() == 5
    assert not any("not in the panel" in note for note in made.notes)

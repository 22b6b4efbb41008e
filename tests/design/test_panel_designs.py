"""Keys that change who is treated, when, and what an area is, each recomputed with loops on invented panels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures import tiny

from analysis.base.codebook import load_codebook
from analysis.base.errors import ProtocolError, SampleError, SpecError, TableError
from analysis.base.fips import STATE_OF_FIPS
from analysis.base.records import Geography, Panel
from analysis.design.design import STATE_REFUSALS, STATE_WEIGHTS, add_up_to_states, make_design
from analysis.design.treatment import carries, make_treatment, require_carries, treatment_summary

WINDOW = range(2010, 2018)
STATES = {"55": "WI", "27": "MN", "17": "IL", "48": "TX"}
OPEN = {
    "covariates.names": [], "sample.min_population": 0, "sample.min_coverage": 0.0, "sample.balance": "none",
    "estimator.weights": "none",
}  # fmt: skip
POISSON = {
    "estimator.name": "poisson", "estimator.method": "post", "estimator.effects": "county_year",
    "outcome.scale": "count", "estimator.weights": "none", "covariates.names": [],
}  # fmt: skip
OPTIONS = {
    "onset": "first_full_year", "upper_bound_dates": "as_dated", "comparison": "not_yet_treated", "kind": "panel",
}  # fmt: skip


def both_ways(pairs: list[tuple[str, str]]) -> Geography:
    rows = sorted({*pairs, *((b, a) for a, b in pairs)})
    return Geography(neighbours=pd.DataFrame(rows, columns=["county_fips", "neighbour_fips"]))


def event(fips: str, date: str, direction: str) -> dict:
    return tiny.policies().iloc[0].to_dict() | {
        "event": f"{fips}-{date}", "county_fips": fips, "state": STATES[fips[:2]], "date": date,
        "year": int(date[:4]), "month": int(date[5:7]), "direction": direction,
    }  # fmt: skip


def invented(seed: int, each: int = 12) -> Panel:
    """A panel of four states in which adoption, partial limits, repeals and borders fall at random."""
    rng = np.random.default_rng(seed)
    counties = [f"{state}{2 * n + 1:03d}" for state in STATES for n in range(each)]
    rows = pd.DataFrame(
        [
            {
                "county_fips": fips, "year": year, "state": STATES[fips[:2]], "urban_class": "noncore",
                "division": "3", "population": 20_000.0, "rate_policed_property": float(rng.normal(100, 10)),
                "coverage_property": 1.0, "property": 10.0, "policed_property": 10_000.0,
            }
            for fips in counties
            for year in tiny.YEARS
        ]
    )  # fmt: skip
    events = []
    for fips in counties:
        if rng.random() < 0.45:
            start = int(rng.integers(2009, 2018))
            first = f"{start}-01-01" if rng.random() < 0.3 else f"{start}-0{rng.integers(2, 10)}-15"
            events.append(event(fips, first, "limit_partial" if rng.random() < 0.3 else "limit_full"))
            if events[-1]["direction"] == "limit_partial" and rng.random() < 0.7:
                events.append(event(fips, f"{start + rng.integers(1, 4)}-06-15", "limit_full"))
            if rng.random() < 0.25:
                events.append(event(fips, f"{start + rng.integers(2, 6)}-07-01", "repeal"))
    # Counties of Minnesota without a policy of their own compare until the state's law.
    law = {"definition_source": "D7", "level": "state", "county_fips": None}
    events.append(event("27001", "2016-03-01", "limit_full") | law)
    pairs = [(a, b) for a in counties for b in counties if a < b and rng.random() < 0.05]
    return replace(tiny.panel(rows), policies=pd.DataFrame(events), geography=both_ways(pairs))


def placed(panel: Panel) -> dict[str, dict]:
    """Status, cohort and years of every county, as the definition alone has them."""
    made = make_treatment(panel.table, panel.policies, panel.declines, "policy_full", **OPTIONS)
    return {
        row["county_fips"]: {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in made.table.to_dict("records")
    }


def looped(
    panel: Panel, *, only=(), shift=None, ring=False, apart=False, without=()
) -> dict[tuple[str, int], tuple]:
    """Rows of the design with their cohort and event time, county by county and year by year."""
    counties = placed(panel)
    adopters = {fips for fips, row in counties.items() if row["status"] == "treated"}
    near: dict[str, list[str]] = {fips: [] for fips in counties}
    for a, b in panel.geography.neighbours.itertuples(index=False):
        if b in adopters:
            near[a].append(b)
    named = {fips for fips in adopters if not only or fips in only or counties[fips]["state"] in only}
    named -= {fips for fips in adopters if counties[fips]["state"] in without}

    def start(row: dict) -> int:
        return min(year for year in (row["cohort"], row["drop_from_year"]) if year is not None)

    found = {}
    for fips, own in counties.items():
        row = dict(own)
        if own["state"] in without:
            continue
        if ring:
            if fips in adopters or row["status"] != "comparison":
                continue
            if near[fips]:
                if not named & set(near[fips]):
                    continue
                shown = sorted(near[fips], key=lambda a: (counties[a]["cohort"], start(counties[a])))
                row = counties[shown[0]] | {"last_year": None}
                # In force year after year among those it touches, from the first cohort on.
                year = row["cohort"]
                while year <= 2030 and any(
                    counties[a]["cohort"] <= year <= (counties[a]["last_year"] or 2031) for a in near[fips]
                ):
                    year += 1
                row["last_year"] = min([y for y in (year - 1, own["last_year"]) if y is not None])
                if row["last_year"] < row["cohort"]:
                    continue
        elif row["status"] == "excluded":
            continue
        cohort, before, last = row["cohort"], None, row["last_year"]
        gap: set[int] = set()
        if cohort is not None:
            before = start(row) - 1
            gap = set(range(before + 1, cohort))
            if shift:
                cohort, last, gap = before + 1 - shift, before, set()
                before = cohort - 1
        in_time = cohort is not None and cohort <= WINDOW[-1]
        if in_time and before < WINDOW[0]:
            continue
        if in_time and not ring and only and fips not in named:
            continue
        if apart and not in_time:
            begun = [start(counties[a]) - (shift or 0) for a in near[fips]]
            if any(year <= WINDOW[-1] for year in begun):
                continue
        years = [y for y in WINDOW if y not in gap and not (last is not None and y > last)]
        if in_time and (not any(y >= cohort for y in years) or not any(y < cohort for y in years)):
            continue
        for y in years:
            time = None
            if cohort is not None:
                time = y - cohort if y >= cohort else y - before - 1
            found[(fips, y)] = (cohort, time)
    return found


def rows_of(design) -> dict[tuple[str, int], tuple]:
    shown = design.table[["county_fips", "year", "cohort", "event_time"]].astype(object)
    return {
        (fips, int(year)): tuple(None if pd.isna(v) else int(v) for v in values)
        for fips, year, *values in shown.itertuples(index=False, name=None)
    }


KEYS = {
    "nothing": ({}, {}),
    "only a state": ({"treatment.only": ["WI"]}, {"only": ["WI"]}),
    "moved one year": ({"treatment.placebo_shift": 1}, {"shift": 1}),
    "moved three years": ({"treatment.placebo_shift": 3}, {"shift": 3}),
    "ring": ({"treatment.exposed": "neighbours"}, {"ring": True}),
    "ring of a state": (
        {"treatment.exposed": "neighbours", "treatment.only": ["WI"]}, {"ring": True, "only": ["WI"]},
    ),
    "ring, moved": (
        {"treatment.exposed": "neighbours", "treatment.placebo_shift": 2}, {"ring": True, "shift": 2},
    ),
    "ring without a state": (
        {"treatment.exposed": "neighbours", "sample.drop_states": ["MN"]}, {"ring": True, "without": ["MN"]},
    ),
    "ring in two states": (
        {"treatment.exposed": "neighbours", "sample.keep_states": ["WI", "IL"]},
        {"ring": True, "without": ["MN", "TX"]},
    ),
    "apart": ({"sample.without_neighbours": True}, {"apart": True}),
    "apart, moved": (
        {"sample.without_neighbours": True, "treatment.placebo_shift": 2}, {"apart": True, "shift": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("changes", "said"), KEYS.values(), ids=list(KEYS))
def test_each_key_keeps_the_rows_and_years_that_loops_keep(changes, said, seed):
    panel = invented(seed)
    made = make_design(panel, tiny.spec(OPEN | changes))
    assert rows_of(made) == looped(panel, **said)
    lines = made.attrition
    assert (
        lines["county_years"].iloc[0] - lines["dropped"].sum()
        == lines["county_years"].iloc[-1]
        == len(made.table)
    )
    # -1 is the last year before, 0 the first treated one: no two rows of a county share an event time.
    timed = made.table.dropna(subset=["event_time"])
    assert not timed.duplicated(["county_fips", "event_time"]).any()
    assert (timed["event_time"].ge(0) == timed["treated"]).all()


@pytest.mark.parametrize("changes", [changes for changes, _ in KEYS.values() if changes], ids=list(KEYS)[1:])
def test_each_key_bites(changes):
    assert any(
        rows_of(make_design(invented(seed), tiny.spec(OPEN)))
        != rows_of(make_design(invented(seed), tiny.spec(OPEN | changes)))
        for seed in range(2)
    )


# --- only ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("only", [["WI"], ["MN", "48001"], ["IL", "TX"]])
def test_treated_areas_that_are_left_out_change_no_comparison_county(only):
    panel = invented(1)
    if "48001" in only:
        adopters = [
            f for f, row in placed(panel).items() if row["status"] == "treated" and row["state"] == "TX"
        ]
        in_design = make_design(panel, tiny.spec(OPEN)).table.query("treated")["county_fips"].unique()
        only = ["MN", next(f for f in adopters if f in in_design)]
    whole = make_design(panel, tiny.spec(OPEN)).table
    part = make_design(panel, tiny.spec(OPEN | {"treatment.only": only})).table

    def arms(table):
        treated = table.groupby("county_fips")["treated"].transform("any")
        return table[treated], table[~treated].reset_index(drop=True)

    pd.testing.assert_frame_equal(arms(whole)[1], arms(part)[1])
    kept = set(arms(part)[0]["county_fips"])
    assert kept == {f for f in arms(whole)[0]["county_fips"] if f in only or STATES[f[:2]] in only}


@pytest.mark.parametrize(
    ("only", "named"),
    [
        (["WI", "ZZ"], "ZZ"),
        (["55001", "55003"], "55003"),  # never treated
        (["55001", "27001"], "27001"),  # adopts as the window ends, and compares
        (["WI", "99999", "06001"], "06001, 99999"),
    ],
)
def test_an_area_that_treats_nobody_is_refused_by_name(only, named):
    with pytest.raises(SampleError, match=f"treatment.only holds {named}, where no county"):
        make_design(tiny.panel(), tiny.spec({"treatment.only": only}))
    ring = {"treatment.only": ["WI", "ZZ"], "treatment.exposed": "neighbours"}
    panel = replace(tiny.panel(), geography=both_ways([("55001", "55003")]))
    with pytest.raises(SampleError, match=r"treatment.only holds ZZ, where no county"):
        make_design(panel, tiny.spec(ring))


# --- placebo ------------------------------------------------------------------------------------------------


def test_a_placebo_by_hand():
    made = make_design(tiny.panel(), tiny.spec({"treatment.placebo_shift": 2, "sample.balance": "none"}))
    rows = {
        fips: part.set_index("year")["event_time"].to_dict()
        for fips, part in made.table.groupby("county_fips")
    }
    # June 2014: from 2014 on nothing; 2012 and 2013 count as treated, and there is no transition year.
    assert rows["55001"] == {2010: -2, 2011: -1, 2012: 0, 2013: 1}
    assert rows["55005"] == {2010: -2, 2011: -1, 2012: 0, 2013: 1}
    # August 2017 compares in the true design; moved back it adopts within the window.
    assert rows["27001"] == {y: y - 2015 for y in range(2010, 2017)}
    assert pd.isna(rows["55003"][2017])
    line = made.attrition.set_index("rule").loc["placebo: from the true adoption on"]
    assert line["dropped"] == 4 + 4 + 1
    assert any("placebo: adoption in 4 counties moved back to 2 years before" in note for note in made.notes)


def test_a_placebo_leaves_out_years_of_anticipation_and_adopters_without_years_before():
    anticipated = make_design(
        tiny.panel(),
        tiny.spec({"treatment.placebo_shift": 1, "treatment.anticipation": 1, "sample.balance": "none"}),
    )
    rows = anticipated.table[anticipated.table["county_fips"].eq("55001")]
    assert rows.set_index("year")["event_time"].to_dict() == {2010: -2, 2011: -1, 2012: 0}
    early = make_design(tiny.panel(), tiny.spec({"treatment.placebo_shift": 4, "sample.balance": "none"}))
    line = early.attrition.set_index("rule").loc["no year wholly before adoption since 2010"]
    # 2009 as before, and the two of 2014: moved back four years, 2010 would be treated.
    assert line["dropped"] == 3 * 8 and set(early.table.query("treated")["county_fips"]) == {"27001"}


# --- neighbours ---------------------------------------------------------------------------------------------


TOUCH = [("55001", "55003"), ("55003", "55005"), ("55011", "55001"), ("27001", "27003"), ("55009", "55007")]


def test_a_ring_test_by_hand():
    panel = replace(tiny.panel(), geography=both_ways(TOUCH))
    made = make_design(panel, tiny.spec(OPEN | {"treatment.exposed": "neighbours"}))
    rows = {
        fips: part.set_index("year")["event_time"].to_dict()
        for fips, part in made.table.groupby("county_fips")
    }
    # 55003 touches one of June and one of 1 January 2014: exposed from 2014, 2013 the last year before.
    assert rows["55003"] == {year: year - 2014 for year in WINDOW}
    # 55011 touches the one of June 2014 alone: 2014 is its transition year; its outcome of 2016 is missing.
    assert rows["55011"] == {2010: -4, 2011: -3, 2012: -2, 2013: -1, 2015: 0, 2017: 2}
    # 27003 touches one of August 2017: it compares up to 2016.
    assert rows["27003"] == {year: year - 2017 for year in range(2010, 2017)}
    # 55009 is exposed since 2009; 27005 touches nobody; the adopters are gone.
    assert set(rows) == {"55003", "55011", "27003", "27005"}
    lines = made.attrition.set_index("rule")
    assert lines.loc["definition: adopter, left out of the ring test", "dropped"] == 4 * 8
    assert any(
        "ring test: 4 comparison counties touch one of 4 adopters and stand for them" in n for n in made.notes
    )


def test_an_exposure_ends_with_the_policies_that_made_it():
    rows = tiny.table()
    rows = rows[rows["county_fips"].isin(["55001", "55005", "55003", "55009"])]
    events = pd.DataFrame(
        [
            event("55001", "2012-01-01", "limit_full"), event("55001", "2015-06-01", "repeal"),
            event("55005", "2014-05-01", "limit_full"), event("55005", "2016-06-01", "repeal"),
        ]
    )  # fmt: skip
    for pairs, last in (([("55001", "55003")], 2014), ([("55001", "55003"), ("55005", "55003")], 2015)):
        panel = replace(tiny.panel(rows), policies=events, geography=both_ways(pairs))
        made = make_design(panel, tiny.spec(OPEN | {"treatment.exposed": "neighbours"}))
        exposed = made.table[made.table["county_fips"].eq("55003")]
        assert exposed["year"].tolist() == list(range(2010, last + 1)), pairs
        assert (exposed["cohort"] == 2012).all()


def test_comparisons_that_touch_a_treated_county_leave_with_a_line():
    panel = replace(tiny.panel(), geography=both_ways(TOUCH))
    made = make_design(
        panel, tiny.spec({"sample.without_neighbours": True, "sample.balance": "none", **OPEN})
    )
    # 27003 touches one that adopts in August 2017, within the window; 27005 touches nobody.
    assert set(made.table["county_fips"]) == {"55001", "55005", "27001", "27005"}
    line = made.attrition.set_index("rule").loc["comparison that touches a treated county"]
    assert line["dropped"] == 8 * 4
    shorter = make_design(
        panel, tiny.spec({**OPEN, "sample.without_neighbours": True, "sample.years": [2010, 2016]})
    )
    assert "27003" in set(shorter.table["county_fips"]), "what it touches adopts after the window"


@pytest.mark.parametrize(
    "changes", [{"treatment.exposed": "neighbours"}, {"sample.without_neighbours": True}]
)
def test_neighbours_of_a_panel_without_geography_are_refused(changes):
    with pytest.raises(SampleError, match="the panel carries no neighbours"):
        make_design(tiny.panel(), tiny.spec(OPEN | changes))


# --- states -------------------------------------------------------------------------------------------------


LAWS = {"WI": "2014-06-15", "IL": "2013-01-01", "TX": None, "MN": None}


def states_panel(seed: int = 0) -> Panel:
    panel = invented(seed, each=5)
    rng = np.random.default_rng(seed)
    n = len(panel.table)
    rows = panel.table.assign(
        population=rng.integers(5_000, 90_000, n).astype(float),
        property=rng.integers(0, 400, n).astype(float), county_agency_property=rng.integers(0, 90, n).astype(float),
        county_policed_property=rng.integers(1_000, 40_000, n).astype(float),
        coverage_property=rng.uniform(0.5, 1, n), unemployment_rate=rng.uniform(2, 12, n),
        labour_force=rng.uniform(1e3, 5e4, n), declined_per_10k=rng.uniform(0, 3, n),
        secure_communities=rng.uniform(0, 1, n), policed_rape_legacy=9.0, policed_rape_revised=0.0,
    )  # fmt: skip
    rows["policed_property"] = rows["coverage_property"] * rows["population"]
    silent = rng.random(n) < 0.1
    rows.loc[silent, ["property", "county_agency_property"]] = np.nan
    rows.loc[silent, "county_policed_property"] = 0.0
    rows.loc[silent, ["policed_property", "coverage_property"]] = 0.0
    rows.loc[rows.index[:3], "coverage_property"] = np.nan
    rows.loc[rows.index[5:9], "unemployment_rate"] = np.nan
    law = {"definition_source": "D7", "level": "state", "county_fips": None}
    events = [
        event(next(f for f, s in STATES.items() if s == state) + "001", date, "limit_full") | law
        for state, date in LAWS.items()
        if date
    ]
    return replace(panel, table=rows, constant=rows, policies=pd.DataFrame(events))


def test_states_are_their_counties_added_up():
    panel = states_panel()
    for build in ("policed", "county_population", "county_agencies"):
        made = make_design(
            panel,
            tiny.spec(
                OPEN
                | {
                    "treatment.definition": "state_law", "design.area": "state", "outcome.build": build,
                    "controls.policies": ["secure_communities"], "estimator.name": "two_way",
                    "estimator.effects": "county_year",
                }
            ),
        )  # fmt: skip
        got = made.table.set_index(["state", "year"])
        for (state, year), rows in panel.table.groupby(["state", "year"]):
            if (state, year) not in got.index:
                assert (state, year) == ("WI", 2014) or year == 2009, "the transition year alone has no row"
                continue
            offences = people = residents = active = 0.0
            for row in rows.to_dict("records"):
                count = row["county_agency_property"] if build == "county_agencies" else row["property"]
                offences += 0.0 if math.isnan(count) else count
                people += row["policed_property"] if build == "policed" else row["population"]
                residents += row["population"]
                active += row["secure_communities"] * row["population"]
            made_row = got.loc[(state, year)]
            assert made_row["outcome"] == pytest.approx(offences / people * 1e5, rel=1e-12)
            assert made_row["population"] == residents
            assert made_row["secure_communities"] == pytest.approx(active / residents, rel=1e-12)
            assert made_row["county_fips"] == rows["county_fips"].iloc[0][:2] + "000"
            assert (made_row["urban_class"], made_row["division"]) == ("state", "3")
    by_state = made.table.groupby("state")["cohort"].first()
    assert by_state["WI"] == 2015 and by_state["IL"] == 2013 and pd.isna(by_state["TX"])
    assert "before the sample rules" not in made.notes[0] or any(
        "20 counties added up to 4" in n for n in made.notes
    )
    assert made.attrition["counties"].iloc[0] == 4 and made.geography.neighbours.empty
    assert any("areas are states: 20 counties added up to 4" in note for note in made.notes)


def test_the_coverage_of_a_state_is_that_of_its_residents():
    panel = states_panel()
    states = add_up_to_states(panel.table, load_codebook().measures["property"]).set_index(["state", "year"])
    for (state, year), rows in panel.table.groupby(["state", "year"]):
        covered = sum(
            0.0 if math.isnan(row["coverage_property"]) else row["coverage_property"] * row["population"]
            for row in rows.to_dict("records")
        )
        assert states.loc[(state, year), "coverage_property"] == pytest.approx(
            covered / rows["population"].sum()
        )
    # The threshold then applies to states, whatever their counties' coverage is.
    some = states.loc["WI", "coverage_property"].median()
    changes = OPEN | {
        "treatment.definition": "state_law", "design.area": "state", "estimator.name": "two_way",
        "estimator.effects": "county_year", "sample.min_coverage": round(float(some), 3), "sample.balance": "none",
    }  # fmt: skip
    kept = make_design(panel, tiny.spec(changes)).table
    for row in kept.to_dict("records"):
        assert states.loc[(row["state"], row["year"]), "coverage_property"] >= round(float(some), 3)
    assert len(kept) < 4 * 8 - 1


def test_direct_measures_weigh_counties_by_what_they_are_a_share_of_or_are_refused():
    panel, measures = states_panel(), load_codebook().measures
    rate = add_up_to_states(panel.table, measures["unemployment_rate"]).set_index(["state", "year"])
    declines = add_up_to_states(panel.table, measures["declined_detainers"]).set_index(["state", "year"])
    for (state, year), rows in panel.table.groupby(["state", "year"]):
        known = rows.dropna(subset=["unemployment_rate"])
        unemployed = (known["unemployment_rate"] * known["labour_force"]).sum()
        shown = rate.loc[(state, year), "unemployment_rate"]
        assert shown == pytest.approx(unemployed / known["labour_force"].sum(), rel=1e-12)
        declined = (rows["declined_per_10k"] * rows["population"] / 10_000).sum()
        per_10k = declines.loc[(state, year), "declined_per_10k"]
        assert per_10k == pytest.approx(declined / rows["population"].sum() * 10_000, rel=1e-12)
    direct = {name for name, measure in measures.items() if measure.kind == "direct"}
    assert direct == {*STATE_WEIGHTS, *STATE_REFUSALS}, "every direct measure is added up or refused"
    for name, reason in STATE_REFUSALS.items():
        with pytest.raises(SpecError, match=f"{name}.*{reason}"):
            add_up_to_states(panel.table, measures[name])


def test_a_county_named_in_a_panel_of_states_is_refused():
    changes = OPEN | {
        "treatment.definition": "state_law", "design.area": "state", "estimator.name": "two_way",
        "estimator.effects": "county_year",
    }  # fmt: skip
    with pytest.raises(SampleError, match=r"sample.drop_counties holds 55001"):
        make_design(states_panel(), tiny.spec(changes | {"sample.drop_counties": ["55001"]}))
    kept = make_design(states_panel(), tiny.spec(changes | {"treatment.only": ["WI"]})).table
    assert set(kept.loc[kept["treated"], "state"]) == {"WI"} and "TX" in set(kept["state"])


# --- columns an estimator asks for ---------------------------------------------------------------------------


def test_people_policed_as_exposure():
    rows = tiny.table().assign(policed_property=lambda t: t["population"] * 0.9)
    rows.loc[rows["county_fips"].eq("55003") & rows["year"].eq(2012), "policed_property"] = 0.0
    rows.loc[rows["county_fips"].eq("55009") & rows["year"].isin([2011, 2013]), "policed_property"] = np.nan
    changes = POISSON | {"sample.balance": "none"}
    made = make_design(tiny.panel(rows), tiny.spec(changes | {"estimator.exposure": "policed"}))
    plain = make_design(tiny.panel(rows), tiny.spec(changes))
    assert list(made.table.columns) == [*plain.table.columns, "exposure"]
    line = made.attrition.set_index("rule").loc["nobody policed by an agency that reports"]
    assert line["dropped"] == 3 == len(plain.table) - len(made.table)
    joined = made.table.merge(rows, on=["county_fips", "year"])
    assert (joined["exposure"] == joined["policed_property"]).all() and (joined["exposure"] > 0).all()
    with pytest.raises(TableError, match="the panel lacks policed_property"):
        make_design(tiny.panel(), tiny.spec(changes | {"estimator.exposure": "policed"}))
    for design, wanted in ((plain, "policed"), (made, "population")):
        with pytest.raises(
            SpecError, match=r"design.replace changes estimator.exposure, which needs a new sample"
        ):
            design.replace({"estimator.exposure": wanted})
    assert made.replace({"inference.level": 0.9}).table.equals(made.table)


def test_spells_of_one_definition_of_rape():
    rows = tiny.table().rename(columns={c: c.replace("property", "violent") for c in tiny.table().columns})
    rows = rows.assign(policed_rape_legacy=9_000.0, policed_rape_revised=0.0)
    here = rows["county_fips"].eq("55003")
    rows.loc[here & rows["year"].ge(2013), ["policed_rape_legacy", "policed_rape_revised"]] = [
        4_000.0,
        5_000.0,
    ]
    rows.loc[here & rows["year"].ge(2015), ["policed_rape_legacy", "policed_rape_revised"]] = [0.0, 9_000.0]
    rows.loc[here & rows["year"].eq(2017), "policed_rape_revised"] = 0.0
    changes = {
        **OPEN, "outcome.measure": "violent", "estimator.name": "two_way",
        "estimator.effects": "county_definition_year",
    }  # fmt: skip
    made = make_design(tiny.panel(rows), tiny.spec(changes))
    spells = made.table[made.table["county_fips"].eq("55003")].set_index("year")["definition_spell"]
    assert spells.to_dict() == {
        **dict.fromkeys((2010, 2011, 2012), "legacy"), 2013: "mixed", 2014: "mixed", 2015: "revised", 2016: "revised",
    }  # fmt: skip
    assert made.attrition.set_index("rule").loc["definition of rape unknown", "dropped"] == 1
    assert set(made.table.loc[made.table["county_fips"].ne("55003"), "definition_spell"]) == {"legacy"}
    with pytest.raises(SpecError, match="needs a new sample"):
        made.replace({"estimator.effects": "county_year"})


# --- Secure Communities -------------------------------------------------------------------------------------


SHARES = {
    "55001": {2009: 0.25},  # October 2009
    "55003": {2011: 1.0},  # January 2011
    "55005": {2012: 0.5},  # July 2012
    "55007": {2013: 1.0},  # January 2013
    "55009": None,  # no record
    "27001": {2008: 2 / 12},  # November 2008
    "27003": {2012: 1 / 12},  # December 2012
}


def activation_table() -> pd.DataFrame:
    rows = []
    for fips, first in SHARES.items():
        for year in range(2005, 2020):
            share = np.nan
            if first is not None:
                start, part = next(iter(first.items()))
                share = 0.0 if year < start or year > 2014 else 11 / 12 if year == 2014 else 1.0
                share = part if year == start else share
            rows.append(
                {
                    "county_fips": fips, "state": STATES[fips[:2]], "year": year, "secure_communities": share,
                    "urban_class": "noncore", "division": "3", "population": 20_000.0, "coverage_property": 1.0,
                    "rate_policed_property": 100.0,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_activation_is_read_from_the_share_of_each_years_months():
    table = activation_table()
    made = make_treatment(table, tiny.policies(), tiny.declines(), "secure_communities", **OPTIONS)
    shown = made.table.set_index("county_fips")[["adoption_date", "cohort", "transition_year", "last_year"]]
    assert shown.drop(index="55009").astype(object).apply(
        lambda row: tuple(None if pd.isna(v) else v for v in row), axis=1
    ).to_dict() == {
        "55001": ("2009-10", 2010, 2009, 2013), "55003": ("2011-01", 2011, None, 2013),
        "55005": ("2012-07", 2013, 2012, 2013), "55007": ("2013-01", 2013, None, 2013),
        "27001": ("2008-11", 2009, 2008, 2013), "27003": ("2012-12", 2013, 2012, 2013),
    }  # fmt: skip
    gone = made.table.set_index("county_fips").loc["55009"]
    assert (gone["status"], gone["reason"]) == ("excluded", "no record of its activation")
    year = make_treatment(
        table, tiny.policies(), tiny.declines(), "secure_communities", **OPTIONS | {"onset": "adoption_year"}
    )
    cohorts = year.table.set_index("county_fips")["cohort"].dropna().to_dict()
    assert cohorts == {f: next(iter(first)) for f, first in SHARES.items() if first}
    with pytest.raises(TableError, match="the panel lacks secure_communities"):
        make_treatment(
            table.drop(columns="secure_communities"),
            tiny.policies(),
            tiny.declines(),
            "secure_communities",
            **OPTIONS,
        )


def test_a_window_to_2012_compares_with_those_activated_later_through_their_last_clean_year():
    panel = replace(tiny.panel(), table=activation_table())
    made = make_design(
        panel, tiny.spec(OPEN | {"treatment.definition": "secure_communities", "sample.years": [2007, 2012]})
    )
    years = made.table.groupby("county_fips")["year"].agg(list).to_dict()
    assert years["55007"] == list(range(2007, 2013)), "January 2013: compared in every year"
    assert years["55005"] == years["27003"] == list(range(2007, 2012)), "activated in 2012: compared to 2011"
    assert not made.table.loc[made.table["county_fips"].isin(["55007", "55005", "27003"]), "treated"].any()
    assert years["55001"] == [2007, 2008, 2010, 2011, 2012]
    treated = made.table.loc[made.table["treated"], "county_fips"]
    assert set(treated) == {"55001", "55003", "27001"}
    assert any("opposite" in note and "rule 9" in note for note in made.notes)


def test_designs_that_activation_cannot_carry_are_refused():
    assert carries("secure_communities", "panel", "state", "not_yet_treated").allowed
    for kind, comparison, words in (
        ("cross_section", "not_yet_treated", "early with late"),
        ("panel", "never_treated", "every county was active by January 2013"),
    ):
        with pytest.raises(ProtocolError, match=f"rule 6.*{words}"):
            require_carries("secure_communities", kind, "none", comparison=comparison)
        options = OPTIONS | {"kind": kind, "comparison": comparison, "year": 2011}
        with pytest.raises(ProtocolError, match=words):
            make_treatment(
                activation_table(), tiny.policies(), tiny.declines(), "secure_communities", **options
            )
    require_carries("secure_communities", "panel", "none", last_year=2013)
    with pytest.raises(ProtocolError, match=r"rule 6.*outcomes to 2014.*November 2014"):
        require_carries("secure_communities", "panel", "none", last_year=2014)


# --- repeals ------------------------------------------------------------------------------------------------


def test_rows_after_a_repeal_leave_with_a_line_and_a_note():
    repeal = tiny.policies().iloc[0].to_dict() | {
        "event": "end",
        "date": "2016-05-01",
        "year": 2016,
        "direction": "repeal",
    }
    panel = replace(
        tiny.panel(), policies=pd.concat([tiny.policies(), pd.DataFrame([repeal])], ignore_index=True)
    )
    made = make_design(panel, tiny.spec())
    rows = made.table[made.table["county_fips"].eq("55001")]
    assert rows["year"].tolist() == [2010, 2011, 2012, 2013, 2015], "the year of the repeal is no treated one"
    assert made.attrition.set_index("rule").loc["status unknown or policy ended", "dropped"] == 2
    assert any("rows of 1 treated counties end with a repeal" in note for note in made.notes)


# --- the study's own tables ---------------------------------------------------------------------------------


@pytest.mark.real
def test_activation_of_the_raw_file_by_year(raw):
    from analysis.panel.sources.policy import read_secure_communities, secure_communities_share

    activation = read_secure_communities(raw)
    dates = {row.county_fips: (row.year, row.month) for row in activation.itertuples()}
    shares = secure_communities_share(activation, range(2005, 2020))
    table = shares.assign(state=shares["county_fips"].str[:2].map(STATE_OF_FIPS)).dropna(subset=["state"])
    made = make_treatment(table, tiny.policies(), tiny.declines(), "secure_communities", **OPTIONS)
    # New York City is one area here, and five counties of the 3,101 in the file.
    assert len(dates) + 4 == 3_101
    by_hand: dict[int, int] = {}
    for fips in set(table["county_fips"]):
        year, month = dates[fips]
        cohort = year if month == 1 else year + 1
        by_hand[cohort] = by_hand.get(cohort, 0) + 1
    found = treatment_summary(made).query("what == 'cohort'").set_index("value")["counties"]
    assert {int(cohort): number for cohort, number in found.items()} == by_hand
    assert max(by_hand) == 2013 and sum(by_hand.values()) == table["county_fips"].nunique()
    adopted = made.table.groupby("adoption_year")["county_fips"].nunique().to_dict()
    assert adopted == {2008: 14, 2009: 88, 2010: 779, 2011: 1098, 2012: 1012, 2013: 106}
    assert (made.table["status"] == "treated").all()


@pytest.mark.real
def test_rings_of_documented_policies_over_the_real_borders(raw):
    from analysis.panel.places import neighbours
    from analysis.panel.sources.census import read_population
    from analysis.panel.sources.geography import read_adjacency
    from analysis.panel.sources.jurisdictions import one_new_york
    from analysis.panel.sources.policy import (
        make_policy_events,
        read_ddor_2017,
        read_detainer_policies,
        read_state_laws,
    )

    lists = pd.DataFrame(columns=["definition_source", "row", "jurisdiction", "state", "level", "county_fips", "source", "source_url", "note"])  # fmt: skip
    events = make_policy_events(read_detainer_policies(), read_ddor_2017(), lists, read_state_laws())
    people = read_population(raw).query("2009 <= year <= 2017")
    people = people.assign(county_fips=one_new_york(people["county_fips"]))
    people["state"] = people["county_fips"].str[:2].map(STATE_OF_FIPS)
    table = people.groupby(["county_fips", "state", "year"], as_index=False)["population"].sum()
    table = table.assign(
        urban_class="noncore", division="3", rate_policed_property=1.0, coverage_property=1.0
    )
    borders, _ = neighbours(read_adjacency(raw), table["county_fips"])
    panel = replace(tiny.panel(), table=table, policies=events, geography=Geography(neighbours=borders))
    assert rows_of(make_design(panel, tiny.spec(OPEN))) == looped(panel)
    for changes, said in (KEYS["ring"], KEYS["apart"], KEYS["moved three years"]):
        assert rows_of(make_design(panel, tiny.spec(OPEN | changes))) == looped(panel, **said)
    whole, part = (
        make_design(panel, tiny.spec(OPEN | changes)).table
        for changes in ({}, {"treatment.only": ["CA", "53033"]})
    )
    never = [
        t[~t.groupby("county_fips")["treated"].transform("any")].reset_index(drop=True) for t in (whole, part)
    ]
    pd.testing.assert_frame_equal(*never)
    kept = set(part.loc[part["treated"], "county_fips"])
    assert "53033" in kept and {fips[:2] for fips in kept} == {"06", "53"}

"""Two studies of dated policies: what is asked beside each figure, and that the specifications find what is there."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import evidence_cases as cases
import numpy as np
import pandas as pd
import pytest

from analysis.base.codebook import load_codebook
from analysis.base.records import Panel
from analysis.design.design import largest_hispanic, make_design
from analysis.design.spec import Spec, load_spec
from analysis.evidence.ledger import ledger_specifications
from analysis.evidence.published import load_published
from analysis.evidence.results import ONE_EFFECT, Found, results_frame
from analysis.evidence.runs import one_effect
from analysis.evidence.studies.hausman2020 import STUDY as HAUSMAN
from analysis.evidence.studies.milescox2014 import OFFENCES
from analysis.evidence.studies.milescox2014 import STUDY as MILES_COX
from analysis.evidence.studies.record import study_of
from analysis.evidence.studies.treyger2014 import KANG_SONG
from analysis.evidence.studies.treyger2014 import STUDIES as BESIDE
from analysis.evidence.verdict import NULL_AGREES, NULL_DIFFERS

STUDIES = (HAUSMAN, MILES_COX, *BESIDE)
ASKING = (HAUSMAN, MILES_COX)
POPULATION = "weights=population_baseline"


def registered() -> pd.DataFrame:
    frame = load_published().frame()
    return frame[[any(study.owns(str(one)) for study in STUDIES) for one in frame["id"]]]


# --- what is asked ------------------------------------------------------------------------------------------


def test_every_registered_figure_is_asked_for_or_has_a_reason():
    found = registered()
    assert len(found) == 17
    for figure in found["id"]:
        study = study_of(str(figure), STUDIES)
        asked, reason = study.ask(str(figure)), study.reason(str(figure))
        assert (asked is None) == bool(reason), figure
    asked = {ask.figure for study in STUDIES for ask in study.asks}
    assert asked <= set(found["id"]) and len(asked) == 7


def test_no_reason_stands_for_a_figure_that_is_not_registered():
    ids = [str(one) for one in registered()["id"]]
    for study in STUDIES:
        for key in study.apart:
            assert any(one == key or (key.endswith("*") and one.startswith(key[:-1])) for one in ids), key


def test_each_figure_has_one_owner():
    for figure in registered()["id"]:
        assert sum(study.owns(str(figure)) for study in STUDIES) == 1, figure
    assert not HAUSMAN.owns("hausman2021.crime") and not MILES_COX.owns("kangsong2021")
    assert KANG_SONG.owns("kangsong2021") and KANG_SONG.reason("kangsong2021")


def test_published_nulls_are_nulls_of_the_registry_and_asked_for_as_such():
    found = registered().set_index("id")
    for study in ASKING:
        for ask in study.asks:
            assert ask.null and ask.unit == "percent" and not ask.sign
            # A null in words: no size was read, and none is made up.
            assert bool(found.loc[ask.figure, "null"]) and np.isnan(found.loc[ask.figure, "estimate"]), (
                ask.figure
            )


def test_main_specifications_exist_and_measure_what_is_asked():
    measures = load_codebook().measures
    for study in ASKING:
        specs = {one.name: one for name in study.specs for one in load_spec(name).expand()}
        for ask in study.asks:
            main = specs[ask.main]
            assert (main.outcome.measure,) == ask.measures and main.carries_verdict
            assert main.estimator.name == "two_way" and main.estimator.weights == "population_baseline"
            assert set(ask.measures) | {name for name, _ in ask.near} <= set(measures)
    assert {ask.figure.split(".")[1]: ask.measures[0] for ask in MILES_COX.asks} == dict(OFFENCES)


def test_windows_and_settings_are_those_that_are_described():
    hausman, cox = load_spec("hausman2020"), load_spec("milescox2014")
    crime = [one for one in hausman.expand() if one.outcome.measure != "declined_detainers"]
    assert {one.years[0] for one in crime} == {2010} and {one.years[-1] for one in crime} == {2015}
    assert HAUSMAN.outcome_years == (2010, 2015)
    assert {one.treatment.definition for one in crime} == {
        "policy_full", "policy_any", "policy_verified", "declines_share25", "state_law",
    }  # fmt: skip
    assert {one.treatment.definition for one in cox.expand()} == {"secure_communities"}
    assert {one.years for one in cox.expand()} == {tuple(range(2006, 2012)), tuple(range(2006, 2013))}
    # Rape by the legacy definition never reaches the years of the other one.
    assert all(one.years[-1] <= 2012 for one in cox.expand() if one.outcome.measure == "rape_legacy")
    assert {one.status for one in cox.expand()} == {"added"} and hausman.status == "declared"
    for spec in (hausman, cox):
        assert len(spec.expand()) < 150


# --- what answers -------------------------------------------------------------------------------------------


@cache
def _results() -> pd.DataFrame:
    """Every specification with an invented estimate: one per cent of a mean of 300, the interval ± 2 %."""
    parts = []
    for study in ASKING:
        found = [Found(one, cases.estimate(one, 3.0, 3.0)) for one in load_spec(study.name).expand()]
        parts.append(results_frame(found).assign(study=study.name, family=""))
    return pd.concat(parts, ignore_index=True)


def test_first_stages_and_placebos_answer_no_figure():
    rows = ledger_specifications(_results(), load_published(), STUDIES)
    answers = rows[rows["figure"] != ""]
    # 28 designs of five offences; of the other study 21 designs of six, placebos left out.
    assert len(answers[answers["study"] == "hausman2020"]) == 140
    assert len(answers[answers["study"] == "milescox2014"]) == 126
    silent = rows[rows["figure"] == ""]
    assert silent["spec"].str.contains("first-stage|placebo").all() and len(silent) == 6 + 12
    assert set(answers["unit"]) == {"percent"}


@pytest.mark.parametrize(
    ("value", "error", "agreement"), [(3.0, 3.0, NULL_AGREES), (60.0, 3.0, NULL_DIFFERS), (3.0, 40.0, "")]
)
def test_a_published_null_agrees_through_equivalence_alone(value, error, agreement):
    main = next(one for one in load_spec("hausman2020").expand() if one.name == HAUSMAN.asks[0].main)
    results = results_frame([Found(main, cases.estimate(main, value, error))]).assign(
        study="hausman2020", family=""
    )
    row = ledger_specifications(results, load_published(), STUDIES).iloc[0]
    assert row["agreement"] == agreement and row["bound"] == 5.0
    assert row["estimate"] == pytest.approx(value / 3.0)


def test_rows_of_near_offences_say_how_they_differ():
    ask = HAUSMAN.asks[0]
    rows = ask.rows(_results()[_results()["study"] == "hausman2020"])
    assert set(rows["measure"]) == {"total", "violent", "violent_ex_rape", "property", "murder"}
    assert set(rows["estimand"]) <= set(ONE_EFFECT)
    assert all(why for _, why in ask.near)


# --- that the specifications find what is there ------------------------------------------------------------------


STATES = cases.STATES
EFFECT = 60.0


def world(seed: int = 4, effect: float = EFFECT, *, mirror: bool) -> Panel:
    """Ninety-six counties of eight states, 2005-2015, whose rates differ by county and year, and by the policy."""
    rng = np.random.default_rng(seed)
    of_year = {year: rng.normal(0, 40) for year in range(2005, 2016)}
    rows, events = [], []
    for prefix, state in STATES.items():
        for i in range(12):
            fips = f"{prefix}{2 * i + 1:03d}"
            level, residents = rng.normal(3000, 400), float(rng.integers(12_000, 400_000))
            # Half a year of activation in 2008, 2009 or 2010, or none before 2012.
            begins = 2008 + i % 4 if i % 4 < 3 else 2012
            adopts = i % 3 == 0
            if adopts and not mirror:
                events.append(cases._event(fips, state) | {"date": "2014-06-15", "year": 2014})
            for year in range(2005, 2016):
                treated = year > begins if mirror else adopts and year >= 2015
                rate = level + of_year[year] + rng.normal(0, 8) + effect * treated
                rows.append(
                    {
                        "county_fips": fips, "year": year, "state": state, "urban_class": "noncore", "division": "3",
                        "population": residents, "hispanic_2010": rng.uniform(0, 0.6), "rate_policed_total": rate,
                        "coverage_total": 1.0, "secure_communities": 0.5 if year == begins else float(year > begins),
                        "agreement_287g": 0.0, "declined_detainers": np.nan, "declined_per_10k": np.nan,
                    }
                )  # fmt: skip
    table = pd.DataFrame(rows)
    # One share a county.
    table["hispanic_2010"] = table.groupby("county_fips")["hispanic_2010"].transform("first")
    empty = cases.panel(states=1)
    policies = pd.DataFrame(events) if events else empty.policies.iloc[:0]
    return replace(empty, table=table, constant=table, policies=policies)


def named(study: str, variant: str) -> Spec:
    """A specification of total crime, on the sixty counties with the most Hispanic residents where so many are asked for."""
    parts = "/".join(part for part in (study, variant, "measure=total") if part)
    spec = next(one for one in load_spec(study).expand() if one.name in (parts, f"{parts}/{POPULATION}"))
    return spec.replace({"sample.largest_hispanic": 60}) if spec.sample.largest_hispanic else spec


@pytest.mark.parametrize(
    "variant", ["", "group-time", "imputation", "stacked", "extended", "two-way-state", "group-time-state"]
)
@pytest.mark.parametrize("study", ["hausman2020", "milescox2014"])
def test_a_known_effect_is_found_by_every_estimator(study, variant):
    found = one_effect(make_design(world(mirror=study == "milescox2014"), named(study, variant)))
    row = found.table.iloc[0]
    # Errors of a few units, so that the estimate is told apart from nothing and from half the effect.
    assert abs(row["estimate"] - EFFECT) < 4 * max(row["std_error"], 1.0)
    assert row["std_error"] < EFFECT / 8


@pytest.mark.parametrize("variant", ["placebo", "group-time-placebo"])
def test_a_placebo_finds_nothing_where_only_the_policy_acts(variant):
    row = one_effect(make_design(world(mirror=True), named("milescox2014", variant))).table.iloc[0]
    assert abs(row["estimate"]) < 4 * max(row["std_error"], 1.0)
    assert abs(row["estimate"]) < EFFECT / 4


@pytest.mark.parametrize("study", ["hausman2020", "milescox2014"])
def test_one_effect_is_the_coefficient_of_a_regression_done_by_hand(study):
    spec = named(study, "")
    design = make_design(world(mirror=study == "milescox2014"), spec)
    t = design.table
    weight, outcome = t["weight"].to_numpy(dtype=float), t["outcome"].to_numpy(dtype=float)
    dummies = (
        pd.get_dummies(t["county_fips"]).join(pd.get_dummies(t["year"]).iloc[:, 1:]).to_numpy(dtype=float)
    )
    x = np.column_stack([t["treated"].to_numpy(dtype=float), dummies]) * np.sqrt(weight)[:, None]
    by_hand = np.linalg.lstsq(x, outcome * np.sqrt(weight), rcond=None)[0][0]
    assert one_effect(design).table["estimate"].iloc[0] == pytest.approx(by_hand, rel=1e-8)


def test_adopters_of_2014_lose_that_year_and_have_one_after_it():
    panel = world(mirror=False)
    table = make_design(panel, named("hausman2020", "")).table
    adopters = table[table["cohort"].notna()]
    assert 2014 not in set(adopters["year"]) and set(adopters.loc[adopters["treated"], "year"]) == {2015}
    # Unlisted counties of a state that moved as a whole are among the sixty, and are no comparisons.
    ranked = set(largest_hispanic(panel.table, 60))
    gone = ranked - set(table["county_fips"])
    assert set(table["county_fips"]) < ranked and {fips[:2] for fips in gone} == {"53"}

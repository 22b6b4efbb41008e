"""Panel and spec to design: event time, scale, weight, notes; the same whatever order the rows come in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures import tiny

from analysis.base.errors import SpecError, TableError
from analysis.base.provenance import digest_of_table
from analysis.design.design import make_design
from analysis.design.spec import parse_spec
from analysis.design.words import WIDTH, compare_specs, describe

CROSS_SECTION = {
    "design.kind": "cross_section", "design.year": 2016, "estimator.name": "matched_difference",
    "estimator.distance": "mahalanobis", "estimator.neighbours": 1, "estimator.replacement": True,
    "estimator.caliper": 0.0, "estimator.exact": [], "estimator.bias_adjust": False,
}  # fmt: skip


def design(changes: dict | None = None, **kwargs):
    return make_design(tiny.panel(**kwargs), tiny.spec(changes))


def column(made, fips: str, name: str) -> dict[int, object]:
    rows = made.table[made.table["county_fips"].eq(fips)].set_index("year")[name]
    return {int(year): (None if pd.isna(value) else value) for year, value in rows.items()}


def test_event_time_runs_to_minus_one_in_the_last_year_wholly_before_adoption():
    made = design()
    # June 2014: 2014 has no row, 2013 is -1, 2015 is 0.
    assert column(made, "55001", "event_time") == {
        2010: -4,
        2011: -3,
        2012: -2,
        2013: -1,
        2015: 0,
        2016: 1,
        2017: 2,
    }
    assert set(column(made, "55001", "cohort").values()) == {2015}
    # 1 January 2014: no transition year.
    assert column(made, "55005", "event_time") == {year: year - 2014 for year in range(2010, 2018)}
    # Adopts in August 2017: its first treated year lies after the window, its rows before it compare.
    assert column(made, "27001", "event_time") == {year: year - 2017 for year in range(2010, 2017)}
    assert not any(column(made, "27001", "treated").values())
    assert set(column(made, "55003", "event_time").values()) == {None}
    assert column(made, "55001", "treated") == {
        y: y > 2014 for y in (2010, 2011, 2012, 2013, 2015, 2016, 2017)
    }


def test_event_time_under_adoption_year_has_no_transition():
    made = design({"treatment.onset": "adoption_year"})
    assert column(made, "55001", "event_time") == {year: year - 2014 for year in range(2010, 2018)}


def test_a_limit_that_does_not_count_is_no_year_before(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("county_fips,date,direction\n55001,2013-05-01,limit_full\n55003,2014-01-01,limit_full\n")
    made = make_design(
        tiny.panel(), tiny.spec({}, folder=tmp_path).replace({"treatment.definition": "own.csv"})
    )
    assert column(made, "55001", "event_time") == {
        2010: -3,
        2011: -2,
        2012: -1,
        2014: 0,
        2015: 1,
        2016: 2,
        2017: 3,
    }
    assert column(made, "55003", "event_time")[2013] == -1 and column(made, "55003", "event_time")[2014] == 0
    assert set(column(made, "55005", "event_time").values()) == {None}, "the csv does not name it"


def test_a_cross_section_treats_what_is_in_force_on_its_first_day():
    made = design(CROSS_SECTION)
    treated = made.table.set_index("county_fips")["treated"].to_dict()
    assert treated == {
        "55001": True, "55003": False, "55005": True, "55007": True, "27001": False, "27003": False,
    }  # fmt: skip
    assert "27001" not in set(
        design(CROSS_SECTION | {"treatment.comparison": "never_treated"}).table["county_fips"]
    )
    in_2014 = (
        design(CROSS_SECTION | {"design.year": 2014}).table.set_index("county_fips")["treated"].to_dict()
    )
    assert "55001" not in in_2014 and in_2014["55005"], "adopted in June, and on the first day"


def test_outcome_unit_and_baseline():
    made = design()
    assert column(made, "55001", "outcome") == {
        y: 100.0 + y - 2010 for y in (2010, 2011, 2012, 2013, 2015, 2016, 2017)
    }
    assert made.unit == "offences per 100,000 residents policed by the agencies that report"
    assert made.outcome_label == "Reported property crime"
    # Treated counties before adoption: means 101.5 and 201.5; 20,000 and 60,000 residents; four years each.
    assert made.baseline == pytest.approx((101.5 * 20_000 + 201.5 * 60_000) / 80_000)
    assert design({"estimator.weights": "none"}).baseline == pytest.approx((101.5 + 201.5) / 2)
    tens = design({"outcome.scale": "rate_10k"})
    assert tens.baseline == pytest.approx(made.baseline / 10) and "per 10,000 residents" in tens.unit
    assert design({"outcome.build": "county_population"}).table["outcome"].max() == pytest.approx(100.0)
    assert design({"outcome.scale": "count"}).unit == "offences recorded by reporting agencies"
    assert (
        design({"outcome.scale": "count", "outcome.build": "county_agencies"}).table["outcome"].max() == 600.0
    )
    comparison = design(CROSS_SECTION)
    rows = comparison.table[~comparison.table["treated"]]
    assert comparison.baseline == pytest.approx(
        np.average(rows["outcome"], weights=rows["population_baseline"])
    )


def test_a_direct_measure_is_used_as_it_stands():
    direct = {
        "outcome.measure": "declined_detainers", "outcome.scale": "as_measured", "sample.min_coverage": 0.0,
        "sample.years": [2009, 2014], "treatment.onset": "adoption_year",
    }  # fmt: skip
    made = design(direct)
    assert made.unit == "declined detainers per 10,000 residents" and set(made.table["outcome"]) == {0.5}
    assert made.outcome_label == "Declined detainers"


def test_the_logarithm_of_zero_is_missing_and_has_its_own_line():
    rows = tiny.table()
    rows.loc[rows["county_fips"].eq("55003") & rows["year"].eq(2012), "rate_policed_property"] = 0.0
    logs = design({"outcome.scale": "log_rate"}, rows=rows)
    line = logs.attrition.set_index("rule").loc["log of a zero rate"]
    assert line["dropped"] == 1 and "55003" not in set(logs.table["county_fips"])
    assert np.isfinite(logs.table["outcome"]).all() and logs.unit.startswith(
        "log points of offences per 100,000"
    )
    assert column(logs, "55001", "outcome")[2010] == pytest.approx(np.log(100.0))
    levels = design(rows=rows)
    assert column(levels, "55003", "outcome")[2012] == 0.0, "zero is a rate like any other"


def test_weights_and_strata():
    made = design()
    assert set(column(made, "55001", "weight").values()) == {20_000.0}
    assert set(design({"estimator.weights": "none"}).table["weight"]) == {1.0}
    assert set(made.table["stratum"]) == {"all"}
    within = design({"estimator.within": "state"})
    assert (within.table["stratum"] == within.table["state"]).all()
    assert any("identify nothing within states" in note for note in within.notes), (
        "Minnesota holds comparisons alone"
    )
    assert within.counts().loc[0, "identifying_states"] == "WI"


def test_controls_and_covariates_stand_under_their_names():
    made = design({"controls.policies": ["agreement_287g", "secure_communities"]})
    assert list(made.table.columns[-3:]) == ["hispanic", "agreement_287g", "secure_communities"]
    assert made.covariates == ("hispanic",) and made.controls == ("agreement_287g", "secure_communities")


def test_row_order_changes_nothing_and_nothing_is_mutated():
    rows = tiny.table()
    before = rows.copy()
    made, again = design(rows=rows), design(rows=rows)
    shuffled = design(rows=rows.sample(frac=1, random_state=1).reset_index(drop=True))
    pd.testing.assert_frame_equal(rows, before)
    for other in (again, shuffled):
        assert digest_of_table(other.table) == digest_of_table(made.table)
        assert other.baseline == made.baseline and other.notes == made.notes
        pd.testing.assert_frame_equal(other.attrition, made.attrition)
    key = made.table[["county_fips", "year"]]
    assert key.equals(key.sort_values(["county_fips", "year"])) and not key.duplicated().any()


def test_counts_and_rule_seven():
    made = design()
    found = made.counts().iloc[0]
    assert (found["treated_counties"], found["comparison_counties"], found["cohorts"]) == (2, 2, 2)
    assert found["identifying_states"] == "WI" and not made.informative
    assert (
        "rule 7: not informative, takes no verdict: 2 treated counties, fewer than 20; "
        "treated counties in 1 state, fewer than 6" in made.notes
    )
    assert "treated counties by state: WI 2" in made.notes
    assert any(note.endswith("are dropped in 1 treated county") for note in made.notes), "adopted in June"
    events = tiny.policies().assign(upper_bound=True)
    bound = make_design(replace(tiny.panel(), policies=events), tiny.spec())
    assert "rule 5: the dates of 2 of 2 treated counties are upper bounds" in bound.notes
    earlier = make_design(
        replace(tiny.panel(), policies=events), tiny.spec({"treatment.upper_bound_dates": "one_year_earlier"})
    )
    assert column(earlier, "55001", "event_time")[2012] == -1


def test_informative_needs_twenty_treated_in_six_states():
    def many(states: int, each: int):
        names = [f"S{chr(65 + s)}" for s in range(states)]
        rows, events = [], []
        for s, state in enumerate(names):
            for c in range(2 * each):
                fips = f"{s + 30:02d}{c:03d}"
                rows += [
                    {
                        "county_fips": fips,
                        "year": y,
                        "state": state,
                        "urban_class": "noncore",
                        "division": "1",
                        "population": 20_000.0,
                        "rate_policed_property": 1.0,
                        "coverage_property": 1.0,
                        "hispanic_2010": 0.1,
                    }
                    for y in tiny.YEARS
                ]
                if c < each:
                    events.append(
                        tiny.policies().iloc[0].to_dict()
                        | {"event": fips, "state": state, "county_fips": fips}
                    )
        panel = tiny.panel()
        record = type(panel)(
            pd.DataFrame(rows), pd.DataFrame(rows), pd.DataFrame(events), tiny.declines(), "0" * 16, True
        )
        return make_design(record, tiny.spec())

    assert many(6, 4).informative
    assert not many(5, 4).informative, "twenty counties, five states"
    assert not many(6, 3).informative, "six states, eighteen counties"


def test_replacing_the_estimator_keeps_the_sample():
    made = design({"covariates.names": []})
    two_way = made.replace(
        {"estimator.name": "two_way", "estimator.effects": "state_by_year", "estimator.weights": "none"}
    )
    assert two_way.table["county_fips"].equals(made.table["county_fips"])
    assert set(two_way.table["weight"]) == {1.0} and set(two_way.table["stratum"]) == {"WI", "MN"}
    assert two_way.stamp.spec == two_way.spec.digest != made.stamp.spec
    again = make_design(tiny.panel(), two_way.spec)
    pd.testing.assert_frame_equal(again.table, two_way.table)
    assert again.baseline == two_way.baseline and set(again.notes) == set(two_way.notes)
    assert made.table["weight"].iloc[0] == 70_000.0, "the first design stays as it was"
    with pytest.raises(
        SpecError, match=r"design.replace changes sample.min_coverage, which needs a new sample"
    ):
        made.replace({"sample.min_coverage": 0.5})


def test_a_grid_stands_for_its_own_values_and_a_panel_must_hold_the_columns():
    grid = parse_spec(tiny.SPEC + '[vary]\n"outcome.scale" = ["rate_100k", "rate_10k"]\n')
    made = make_design(tiny.panel(), grid)
    assert made.spec == grid.base() and made.stamp.spec == grid.base().digest != grid.digest
    with pytest.raises(TableError, match="the panel lacks coverage_murder, rate_policed_murder"):
        design({"outcome.measure": "murder", "sample.min_coverage": 0.0})


# --- words ----------------------------------------------------------------------------------------


def test_a_spec_in_words_says_what_is_dropped_and_who_is_left():
    made = design()
    text = describe(made.spec, made)
    assert "policy_full: The county declines detainers" in text
    for rule, counties, county_years, treated, dropped in made.attrition.itertuples(index=False, name=None):
        assert any(
            line.split(rule)[1].split() == [f"{n:,}" for n in (counties, treated, county_years, dropped)]
            for line in text.splitlines()
            if line.strip().startswith(rule)
        ), rule
    assert "2 treated counties in 1 state, 2 comparison counties; 30 county-years" in text
    assert "SIMULATED DATA" in text and "rule 7: not informative" in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "What is left" not in describe(made.spec)


def test_compared_specs_show_the_keys_that_differ():
    spec = tiny.spec()
    text = compare_specs(spec, spec.replace({"sample.min_coverage": 0.8, "sample.drop_states": ["CA"]}))
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["sample.min_coverage", "0.9", "0.8"],
        ["sample.drop_states", "none", "CA"],
    ]
    assert compare_specs(spec, spec) == "tiny and tiny are the same specification"

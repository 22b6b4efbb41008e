"""The table of estimates: what each row says, and that the same values give the same bytes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, DIRECT, INDEPENDENT, estimate, found, spec

from analysis.base.errors import TableError
from analysis.evidence.first_stage import declined_per_10k, first_stage
from analysis.evidence.results import COLUMNS, Found, in_unit, read_results, results_frame, write_results


def one(*args, **more) -> dict:
    return results_frame([found(*args, **more)]).iloc[0].to_dict()


def test_a_row_by_hand():
    row = one(value=-6.0, error=2.0, treated_per_state=4, states=6, comparisons=30, baseline=300.0)
    assert (row["n_treated"], row["n_comparison"], row["n_states"]) == (24, 30, 6)
    assert row["states_identifying"] == "IA IL MN NC WA WI"
    assert (row["conf_low"], row["conf_high"]) == (-10.0, -2.0)
    assert row["percent_of_baseline"] == pytest.approx(-2.0)
    assert row["bound"] == pytest.approx(15.0), "5 % of 300"
    assert row["precision"] == "equivalent to zero" and row["excludes_zero"]
    # -6 per 100,000 are -0.6 per 10,000; over 2 declined per 10,000.
    assert row["offences_per_declined"] == pytest.approx(-0.3)
    assert row["offences_per_declined_low"] == pytest.approx(-0.5)
    assert (row["comparison"], row["california"], row["window"]) == ("between", "in", "2010-2017")
    assert row["inference"] == "95 % intervals, clustered by state (30 clusters), t with 29 df"


def test_log_points_are_read_at_the_mean_of_logs():
    row = one({"outcome.scale": "log_rate"}, value=0.1, error=0.01, baseline=np.log(3000.0))
    assert row["percent_of_baseline"] == pytest.approx(100 * (np.e**0.1 - 1))
    assert row["bound"] == pytest.approx(np.log(1.05))
    assert row["offences_per_declined"] == pytest.approx(300.0 * (np.e**0.1 - 1) / 2.0)
    # A tenth of a log point on a rate of 3,000 per 100,000, in each unit.
    assert in_unit(0.1, "log_rate", np.log(3000.0), "per_100k") == pytest.approx(3000 * (np.e**0.1 - 1))
    assert in_unit(0.1, "log_rate", np.log(3000.0), "per_10k") == pytest.approx(300 * (np.e**0.1 - 1))
    assert in_unit(30.0, "rate_10k", 300.0, "log_points") == pytest.approx(np.log(1.1))


@pytest.mark.parametrize(("per_state", "states"), [(3, 6), (20, 5)])
def test_too_few_areas_or_states_take_no_verdict_however_sharp_the_interval(per_state, states):
    row = one(value=50.0, error=0.1, treated_per_state=per_state, states=states)
    assert row["precision"] == "not informative" and not row["informative"]


def test_errors_that_take_counties_as_independent_carry_no_verdict():
    row = one(CROSS_SECTION | INDEPENDENT, value=50.0, error=0.1)
    assert row["informative"] and not row["carries_verdict"] and row["precision"] == ""
    assert "valid if counties were assigned independently" in row["inference"]
    by_county = one({"inference.by": "county"}, value=50.0, error=0.1)
    assert not by_county["carries_verdict"] and by_county["precision"] == ""
    listed = one(CROSS_SECTION | {"treatment.definition": "dhs_2025"}, value=50.0, error=0.1)
    assert not listed["carries_verdict"], "a list drawn up after the outcomes"


def test_what_cannot_be_estimated_stays_as_a_row_with_its_reason():
    table = results_frame(
        [found(name="a"), Found(spec(name="b"), None, failure="no treated county is left"), found(name="c")]
    )
    assert table["spec"].tolist() == ["a", "b", "c"]
    assert np.isnan(table["estimate"][1]) and table["failure"][1] == "no treated county is left"
    assert table["precision"][1] == "" and not table["carries_verdict"][1]
    missing = results_frame([found(name="a", value=np.nan)]).iloc[0]
    assert missing["precision"] == "" and missing["notes"] == "invented"


def test_columns_order_and_bytes(tmp_path):
    made = spec(name="x")
    items = [
        found(name="b", value=1 / 3),
        Found(made, estimate(made, [1.0, np.nan], event_times=[-2, 0])),
        found(name="a"),
    ]
    table = results_frame(items)
    assert list(table.columns) == list(COLUMNS)
    assert table["spec"].tolist() == ["b", "x", "x", "a"], "as given, then row by row"
    files = [tmp_path / "one.csv", tmp_path / "two.csv", tmp_path / "three.csv"]
    write_results(table, files[0])
    write_results(results_frame(items), files[1])
    again = read_results(files[0])
    write_results(again, files[2])
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()
    assert again.dtypes.equals(table.dtypes)
    pd.testing.assert_frame_equal(again, table, rtol=1e-7)


def test_a_file_with_another_column_is_refused(tmp_path):
    file = tmp_path / "estimates.csv"
    results_frame([found()]).rename(columns={"precision": "precison"}).to_csv(file, index=False)
    with pytest.raises(TableError, match="precision"):
        read_results(file)


def test_the_same_estimate_twice_is_refused():
    with pytest.raises(TableError, match="two rows"):
        results_frame([found(name="a"), found(name="a")])


def test_offences_per_detainer_declined_because_of_the_policy():
    crime = found(name="crime", value=30.0, error=5.0)
    stage = found(DIRECT, name="stage", value=0.75, error=0.1, baseline=0.2)
    out = {"sample.drop_states": ["CA"]}
    other = found(out, name="without-california", value=30.0)
    table = results_frame([crime, stage, other]).set_index("spec")
    # 30 per 100,000 are 3 per 10,000; adoption added 0.75 declined per 10,000.
    assert table.loc["crime", "first_stage"] == 0.75
    assert table.loc["crime", "offences_per_caused"] == pytest.approx(4.0)
    assert np.isnan(table.loc["without-california", "first_stage"]), "no first stage without California"
    weak = results_frame([crime, found(DIRECT, name="stage", value=0.75, error=0.5)]).set_index("spec")
    assert weak.loc["crime", "first_stage"] == 0.75 and np.isnan(weak.loc["crime", "offences_per_caused"])
    thin = results_frame([crime, found(DIRECT, name="stage", value=0.75, error=0.1, states=3)]).set_index(
        "spec"
    )
    assert np.isnan(thin.loc["crime", "offences_per_caused"]), (
        "a first stage that is not informative divides nothing"
    )


def test_declined_detainers_per_resident_not_per_county():
    table = pd.DataFrame(
        {
            "county_fips": ["1", "2", "3", "1"],
            "year": [2014, 2014, 2014, 2013],
            "population": [90_000, 10_000, 10_000, 90_000],
            "declined_detainers": [9.0, 9.0, np.nan, 500.0],
        }
    )
    assert declined_per_10k(table, ["1", "2", "3"]) == pytest.approx(1.8)
    assert np.isnan(declined_per_10k(table, ["3"])) and np.isnan(declined_per_10k(table, []))


def test_the_first_stage_is_one_row_a_definition_and_comparison():
    share = DIRECT | {"outcome.measure": "decline_share"}
    items = [
        found(name="crime"), found(share, name="share"), found(DIRECT, name="count", value=0.5, error=0.1, baseline=0.2),
        found(DIRECT | {"estimator.weights": "population_baseline"}, name="count-weighted", value=9.0),
        found(DIRECT | {"treatment.definition": "policy_any"}, name="any"),
        found(DIRECT | {"estimator.within": "state"}, name="within"),
    ]  # fmt: skip
    table = first_stage(results_frame(items))
    assert table["spec"].tolist() == ["count", "within", "any", "share"], (
        "counts first; variations do not repeat a row"
    )
    assert table.loc[0, "precision"] == "different from zero"

"""How strong a hidden bias would have to be, as frames: each number is what its own function, or a refit, gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, panel, spec

from analysis.base.errors import SampleError, StudyError
from analysis.design.design import make_design
from analysis.estimation import fit
from analysis.estimation.panel_inference.omitted import bias_ratio
from analysis.evidence.checks import omitted as of
from analysis.evidence.checks.hidden_bias import hidden_bias
from analysis.evidence.checks.honest import breakdown
from analysis.report import bias_figures as bf
from analysis.report import bias_tables as bt

BARE = {"covariates.names": [], "estimator.weights": "population_baseline"}
CHANGES = {
    "covariates.names": ["log_population", "hispanic"], "covariates.vintage": "2006_2010",
    "estimator.weights": "population_baseline", "sample.years": [2010, 2016],
}  # fmt: skip
TWO_WAY = BARE | {
    "estimator.name": "two_way", "estimator.effects": "county_year", "inference.vcov": "cr2", "sample.years": [2010, 2016]
}  # fmt: skip
WITHIN = TWO_WAY | {"estimator.effects": "state_by_year"}
LEVELS = CROSS_SECTION | {"covariates.names": ["log_population", "hispanic"], "estimator.weights": "none"}
BORDER = BARE | {
    "estimator.name": "border_pairs", "estimator.effects": "segment_by_year", "estimator.method": "post",
    "estimator.neighbours": "all", "inference.by": "state_and_segment",
}  # fmt: skip


@pytest.fixture(scope="module")
def given():
    made = panel(effect=60.0)
    table = made.table.copy()
    rng = np.random.default_rng(4)
    size = rng.normal(10, 1, table["county_fips"].nunique())
    code = pd.factorize(table["county_fips"])[0]
    late = (table["year"] >= 2014).to_numpy()
    states = pd.factorize(table["state"])[0]
    return replace(
        made,
        table=table.assign(
            log_population_2010=size[code],
            division=np.where(states < 4, "3", "5"),
            urban_class=np.where(code % 3 == 0, "noncore", "micropolitan"),
            secure_communities=(table["year"] + code % 4 >= 2012).astype(float),
            agreement_287g=((code % 5 == 0) & late).astype(float),
            # Covariates and divisions move rates, so that benchmarks explain something.
            rate_policed_property=table["rate_policed_property"]
            + late * (8.0 * size[code] + 30.0 * table["hispanic_2010"] + 5.0 * (states < 4)),
        ),
    )


@pytest.fixture(scope="module")
def specs():
    return [
        spec(CHANGES, "case/measure=property"),
        spec(TWO_WAY, "case/two-way/measure=property"),
        spec(WITHIN, "case/two-way-within/measure=property"),
        spec(LEVELS, "case/matched/measure=property"),
        spec(BORDER, "case/border/measure=property"),
    ]


@pytest.fixture(scope="module")
def found(given, specs):
    return of.omitted(given, specs)


def value(found, statistic, **where):
    rows = found[found["statistic"].eq(statistic)]
    for name, wanted in where.items():
        rows = rows[rows[name].isna()] if wanted is None else rows[rows[name].eq(wanted)]
    assert len(rows) == 1, (statistic, where, len(rows))
    return float(rows["value"].iloc[0])


def test_the_bare_two_way_regression_is_the_estimate_itself(given, specs, found):
    for one in specs[1:3]:
        line = fit(make_design(given, one)).table.iloc[0]
        here = {"spec": one.name, "adjusted": of.BARE, "device": of.REGRESSION}
        for name in ("estimate", "std_error", "conf_low", "conf_high"):
            assert value(found, name, **here) == pytest.approx(float(line[name]), rel=1e-8)


def test_a_change_regression_is_what_numpy_makes_of_the_changes(given, specs, found):
    one = specs[0]
    table = make_design(given, one).table
    wide = (
        table[table["year"].ne(2013)]
        .assign(after=lambda t: t["year"] >= 2014)
        .groupby(["county_fips", "after"])["outcome"]
        .mean()
        .unstack()
    )
    rows = table.drop_duplicates("county_fips").set_index("county_fips")
    x = np.column_stack(
        [np.ones(len(rows)), rows["cohort"].notna(), rows["log_population"], rows["hispanic"]]
    ).astype(float)
    root = np.sqrt(rows["weight"].to_numpy(dtype=float))[:, None]
    beta = np.linalg.lstsq(x * root, (wide[True] - wide[False]).to_numpy() * root[:, 0], rcond=None)[0]
    here = {"spec": one.name, "adjusted": of.COVARIATES, "device": of.REGRESSION}
    assert value(found, "estimate", **here) == pytest.approx(beta[1], rel=1e-9)
    note = found.loc[found["spec"].eq(one.name) & found["adjusted"].eq(of.COVARIATES), "note"].iloc[0]
    assert "mean of 2014-2016 less mean of 2010-2012" in note and "stands in" in note


def test_numbers_of_one_regression_fit_together(specs, found):
    for one in specs[:4]:
        for adjusted in (of.BARE, of.COVARIATES):
            here = {"spec": one.name, "adjusted": adjusted}
            estimate, unit = (
                value(found, n, device=of.REGRESSION, **here) for n in ("estimate", "bias_unit")
            )
            share = value(found, "estimate", device=of.ROBUSTNESS, **here)
            assert abs(estimate) == pytest.approx(float(bias_ratio(share, share)) * unit, rel=1e-9)
            low, high = (value(found, n, device=of.REGRESSION, **here) for n in ("conf_low", "conf_high"))
            by_state = value(found, "interval", device=of.ROBUSTNESS, **here)
            assert (by_state > 0) == (low > 0 or high < 0) and by_state <= share


def test_a_benchmark_moves_the_estimate_by_its_own_strengths(specs, found):
    for one, names in ((specs[0], ("hispanic", of.ALL)), (specs[1], ("log_population", of.POLICIES))):
        for about in names:
            here = {"spec": one.name, "adjusted": of.COVARIATES}
            estimate, unit = (
                value(found, n, device=of.REGRESSION, **here) for n in ("estimate", "bias_unit")
            )
            of_d, of_y = (
                value(found, n, device=of.BENCHMARK, about=about, setting=1.0, **here)
                for n in ("r2dz", "r2yz")
            )
            moved = value(found, "estimate", device=of.BENCHMARK, about=about, setting=1.0, **here)
            assert moved == pytest.approx(
                estimate - np.sign(estimate) * unit * float(bias_ratio(of_d, of_y)), rel=1e-9
            )
            r2d = value(found, "r2d", device=of.BENCHMARK, about=about, **here)
            assert of_d == pytest.approx(r2d / (1 - r2d), rel=1e-9)


def test_strengths_of_a_group_are_those_of_dummy_regressions(given, specs, found):
    """The group's share of treatment, from a regression with every dummy written out."""
    one = specs[1]
    table = make_design(given, one).table
    held = table[["county_fips", "year"]].merge(
        given.table[["county_fips", "year", "log_population_2010", "hispanic_2010", *of.FEDERAL]], how="left"
    )
    years = pd.get_dummies(table["year"], drop_first=True).to_numpy(dtype=float)
    effects = np.hstack([pd.get_dummies(table["county_fips"]).to_numpy(dtype=float), years])
    by_year = {name: held[[name]].to_numpy() * years for name in ("log_population_2010", "hispanic_2010")}
    others = np.hstack([effects, by_year["log_population_2010"], held[list(of.FEDERAL)].to_numpy()])
    root = np.sqrt(table["weight"].to_numpy(dtype=float))[:, None]
    d = table["treated"].to_numpy(dtype=float)[:, None] * root

    def rest(x):
        return float(((d - x * root @ np.linalg.lstsq(x * root, d, rcond=None)[0]) ** 2).sum())

    wanted = 1 - rest(np.hstack([others, by_year["hispanic_2010"]])) / rest(others)
    here = {"spec": one.name, "adjusted": of.COVARIATES, "device": of.BENCHMARK, "about": "hispanic"}
    assert value(found, "r2d", **here) == pytest.approx(wanted, abs=1e-9)


def test_selection_has_both_limits_and_a_direction(specs, found):
    here = {"spec": specs[0].name, "adjusted": of.COVARIATES, "device": of.SELECTION}
    long, long_r2 = value(found, "long", **here), value(found, "long_r2", **here)
    assert value(found, "r_max", setting=of.R_MAX, **here) == pytest.approx(min(1.3 * long_r2, 1.0))
    assert value(found, "r_max", setting=None, **here) == 1.0
    low, high = (value(found, n, setting=of.R_MAX, **here) for n in ("set_low", "set_high"))
    star = value(found, "beta_star", setting=of.R_MAX, **here)
    assert {low, high} == {long, star} and low <= high
    assert value(found, "direction_kept", **here) in (0.0, 1.0)


def test_what_has_no_regression_keeps_its_row_and_within_states_no_division(specs, found):
    border = found[found["spec"].eq(specs[4].name)]
    assert len(border) == 1 and border["failure"].item() and np.isnan(border["value"].item())
    assert of.DIVISIONS in set(found.loc[found["spec"].eq(specs[1].name), "adjusted"])
    assert of.DIVISIONS not in set(found.loc[found["spec"].eq(specs[2].name), "adjusted"])


def test_rows_without_a_covariate_are_left_out_and_counted(given, specs):
    table = given.table.copy()
    table.loc[table["county_fips"].eq(table["county_fips"].iloc[0]), "secure_communities"] = np.nan
    found = of.omitted(replace(given, table=table), specs[:2])
    one = found[found["spec"].eq(specs[1].name) & found["statistic"].eq("n_rows")].set_index("adjusted")
    lost = int(one.loc[of.BARE, "value"] - one.loc[of.COVARIATES, "value"])
    assert lost > 0 and f"{lost} rows without a covariate left out" in one.loc[of.COVARIATES, "note"]


def test_a_treatment_the_covariates_explain_is_refused():
    one = np.zeros(40, dtype=np.intp)
    rng = np.random.default_rng(0)
    d = (np.arange(40) % 2).astype(float)
    arrays = of.Arrays(
        "levels", rng.normal(size=40), d, np.ones(40), np.arange(40), np.arange(40) % 5, one, one, one,
        {"the_same": d[:, None]}, "offences", 1.0, "",
    )  # fmt: skip
    with pytest.raises(SampleError, match="does not vary beyond"):
        of.fitted(arrays, ["the_same"])


def test_every_device_stands_beside_every_estimate(given, specs, found):
    needed = of.bias_needed(given, specs[:4], found)
    changes = needed[needed["spec"].eq(specs[0].name)]
    dynamic = fit(make_design(given, specs[0]))
    assert changes.loc[changes["device"].eq(of.TRENDS), "value"].item() == breakdown(
        dynamic, "relative_magnitude"
    )
    matched = needed[needed["spec"].eq(specs[3].name) & needed["device"].eq(of.ODDS)].iloc[0]
    pairs = make_design(given, specs[3].replace({"estimator.replacement": False}))
    bounds = hidden_bias(pairs, gammas=(1.0,))
    assert matched["value"] == bounds.loc[bounds["statistic"].eq("critical_gamma"), "value"].item()
    assert not matched["carries_verdict"] and "independently" in matched["note"]
    two_way = needed[needed["spec"].eq(specs[1].name)]
    assert two_way.loc[two_way["device"].eq(of.TRENDS), "failure"].item() == "one number, no event study"
    # Algebra without an error and the odds of matched sets never carry a verdict; intervals by state do.
    carrying = needed[needed["carries_verdict"]]
    assert (
        set(carrying["device"]) == {of.ROBUSTNESS, of.TRENDS} and carrying["statistic"].eq("interval").all()
    )
    here = two_way[two_way["device"].eq(of.ROBUSTNESS)].set_index("statistic")["value"]
    assert here["estimate"] == value(
        found, "estimate", spec=specs[1].name, adjusted=of.BARE, device=of.ROBUSTNESS
    )
    assert two_way["estimate"].iloc[0] == pytest.approx(
        two_way.loc[two_way["device"].eq(of.REGRESSION), "value"].item(), rel=1e-9
    )


def test_no_delta_is_given_where_it_means_nothing(given, specs, found):
    turned = found.copy()
    turned.loc[turned["statistic"].eq("direction_kept"), "value"] = 0.0
    needed = of.bias_needed(given, [specs[0]], turned)
    rows = needed[needed["device"].eq(of.SELECTION)]
    assert len(rows) == 2 and rows["value"].isna().all() and rows["failure"].eq(of.NO_DELTA).all()


def test_tables_print_what_the_frames_hold(given, specs, found):
    needed = of.bias_needed(given, specs[:4], found)
    table = bt.omitted_table(found, measures=["property"])
    cells = table.cells
    assert len(table.frame) == len(found) and len(cells) == 3 * 3 + 2
    at = cells["Holding constant"].eq("covariates").to_numpy().nonzero()[0][1]
    here = {"spec": specs[1].name, "adjusted": of.COVARIATES, "device": of.ROBUSTNESS}
    assert cells["Robustness value, %"][at] == f"{100 * value(found, 'estimate', **here):.1f}"
    assert cells["independent errors ‡"][at] == f"{100 * value(found, 'interval_classical', **here):.1f}"
    printed = bt.needed_table(needed).cells
    assert len(printed) == 4 and printed["Γ ‡"].tolist()[:3] == ["–"] * 3 and printed["Γ ‡"][3] != "–"
    trend = needed.loc[needed["device"].eq(of.TRENDS) & needed["spec"].eq(specs[0].name), "value"].item()
    assert printed["M̄"][0] == f"{trend:.2f}" and printed["M̄"][1] == "–"


def test_frames_read_back_from_csv_print_the_same(tmp_path, given, specs, found):
    needed = of.bias_needed(given, specs[:4], found)
    for frame, table in ((found, bt.omitted_table), (needed, bt.needed_table)):
        frame.to_csv(tmp_path / "frame.csv", index=False)
        again = pd.read_csv(tmp_path / "frame.csv")
        assert table(again).cells.equals(table(frame).cells)


def test_the_contour_figure_draws_every_mark_inside_its_scales(found, specs):
    rows = bt.contour_rows(found, variants=("two-way", "two-way-within"))
    figure = bf.contour_plot(rows, note="Invented.")
    assert len(figure.axes) == 2
    for axes, (_, part) in zip(figure.axes, rows.groupby("variant", sort=False), strict=True):
        marks = part[part["kind"].isin([of.BENCHMARK, bt.HELD_KIND]) & part["r2dz"].notna()]
        assert (marks["r2dz"] <= axes.get_xlim()[1]).all() and (marks["r2yz"] <= axes.get_ylim()[1]).all()
        zero = part[part["kind"].eq(of.ROBUSTNESS)]["percent"].item()
        assert zero == pytest.approx(0, abs=1e-9)
    two_way = rows[rows["variant"].eq("two-way")]
    held = two_way[two_way["kind"].eq(bt.HELD_KIND)].iloc[0]
    here = {"spec": specs[1].name, "adjusted": of.DIVISIONS}
    assert held["r2dz"] == value(found, "r2d", device=of.BENCHMARK, about=of.DIVISION, **here)
    with pytest.raises(StudyError, match="no regression to draw"):
        bf.contour_plot(bt.contour_rows(found, variants=("border",)))

"""Coverage bounds and California in invented worlds: the truth is known, and so is what was not reported."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from evidence_cases import panel, spec

from analysis.base.errors import SpecError, StudyError
from analysis.base.records import Panel
from analysis.design.design import make_design
from analysis.estimation.inference import cluster_variance
from analysis.estimation.panel_inference.coverage_bounds import filled
from analysis.evidence.checks import california as state
from analysis.evidence.checks import coverage_bounds as of
from analysis.evidence.checks.leave_out import leave_out
from analysis.evidence.runs import one_effect
from analysis.report import coverage_figures as drawn

RATE, COVERAGE = "rate_policed_property", "coverage_property"
BARE = {"covariates.names": [], "estimator.weights": "none"}
TWO_WAY = BARE | {"estimator.name": "two_way", "estimator.effects": "county_year"}
BY_STATE = {"estimator.name": "two_way", "estimator.effects": "state_by_year", "covariates.names": [],
            "estimator.weights": "population_baseline"}  # fmt: skip
DESIGNS = {
    "group-time": BARE | {"estimator.weights": "population_baseline"},
    "within": BARE | {"estimator.within": "state", "estimator.weights": "population_baseline"},
    "weighting": BARE | {"estimator.method": "inverse_weighting", "estimator.within": "state"},
    "robust": BARE | {"estimator.method": "doubly_robust", "treatment.comparison": "never_treated"},
    "two-way": TWO_WAY,
    "by-state": BY_STATE,
}


def _staggered(given: Panel) -> Panel:
    """Some adopters a year and a half later, so that cohorts serve each other."""
    policies = given.policies.copy()
    late = np.arange(len(policies)) % 3 == 1
    policies.loc[late, ["date", "year", "month"]] = ["2015-01-01", 2015, 1]
    return replace(given, policies=policies)


def _hidden(seed: int = 5, *, share: float = 0.5, silent: float = 0.1) -> tuple[Panel, pd.Series]:
    """A panel in which some agencies do not report, and the rates of all residents.

    Unreported rates lie between none and twice the reported one; in some county-years nobody reports.
    """
    given = _staggered(panel(seed))
    table, rng = given.table.copy(), np.random.default_rng(seed)
    n = len(table)
    coverage = np.where(rng.random(n) < share, 1.0, rng.uniform(0.3, 1.0, n))
    nobody = (rng.random(n) < silent) & (table["year"] > 2010)
    reported = table[RATE].to_numpy()
    truth = filled(reported, coverage, reported * rng.uniform(0.5, 2.0, n))
    table[RATE] = np.where(nobody, np.nan, reported)
    table[COVERAGE] = np.where(nobody, 0.0, coverage)
    return replace(given, table=table, constant=table), pd.Series(truth, index=table.index)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("balance", ["every_year", "none"])
def test_weights_give_the_estimate_back(name, balance):
    given = _staggered(panel(2))
    gaps = np.random.default_rng(1).random(len(given.table)) < (0.08 if balance == "none" else 0.0)
    given = replace(given, table=given.table[~gaps].reset_index(drop=True))
    design = make_design(given, spec(DESIGNS[name] | {"sample.balance": balance}, name))
    weights = of.design_weights(design)
    outcome = design.table["outcome"].to_numpy()
    wanted = one_effect(design).table["estimate"].item()
    assert float(weights @ outcome) == pytest.approx(wanted, rel=1e-10)
    # Nothing that a county keeps, or all share in a year, moves them.
    for by in ("county_fips", "year"):
        assert np.abs(np.bincount(pd.factorize(design.table[by])[0], weights)).max() < 1e-12
    # They are weights of any outcome, not of this one alone.
    other = np.random.default_rng(4).normal(size=len(outcome))
    again = one_effect(replace(design, table=design.table.assign(outcome=other)))
    assert float(weights @ other) == pytest.approx(again.table["estimate"].item(), abs=1e-10)


def test_what_is_not_linear_is_refused_and_passed_over():
    given = panel()
    with pytest.raises(SpecError, match="covariates"):
        of.design_weights(make_design(given, spec(BARE | {"covariates.names": ["hispanic"],
                                                          "covariates.vintage": "2006_2010"})))  # fmt: skip
    logs = spec(BARE | {"outcome.scale": "log_rate"})
    with pytest.raises(SpecError, match="log_rate"):
        of.covered_designs(given, logs)
    with pytest.raises(StudyError, match="one of coverage_rule, no_coverage_rule"):
        of.covered_designs(given, spec(BARE), "all")
    passed = [logs, spec(BARE | {"outcome.measure": "total"}, "other")]
    assert of.coverage_bounds(given, passed).empty and of.coverage_breaks(given, passed).empty


@pytest.mark.parametrize("name", ["group-time", "within", "two-way", "by-state"])
def test_bounds_hold_the_truth_that_was_not_reported(name):
    given, truth = _hidden()
    one = spec(DESIGNS[name], name)
    found = of.covered_designs(given, one, of.EVERYBODY)
    table = found.design.table
    at = pd.MultiIndex.from_frame(table[["county_fips", "year"]])
    # Where nobody reports the truth may lie anywhere: it is put where the stated range reaches.
    true = truth.set_axis(pd.MultiIndex.from_frame(given.table[["county_fips", "year"]])).loc[at].to_numpy()
    nobody = found.coverage == 0
    draws = np.random.default_rng(8)
    # No county goes for want of reports: 16 lose their transition year, 5 unlisted ones of Washington are no comparison.
    assert nobody.any() and len(table) == 8 * (64 - 5) - 16
    rows = of.coverage_bounds(given, [one]).query("sample == 'no_coverage_rule'").set_index("assumption")
    for assumption in (of.TWICE, of.CLASS, of.NOTHING, of.OWN):
        low, high = found.lowest[assumption], found.highest[assumption]
        assert (low <= high).all()
        fate = np.where(found.coverage < 1, draws.uniform(low, high), 0.0)
        inside = filled(found.rate, found.coverage, fate)
        if assumption == of.TWICE:
            inside = np.where(nobody, inside, true)
        effect = one_effect(replace(found.design, table=table.assign(outcome=inside)))
        row = rows.loc[assumption]
        assert row["low"] < effect.table["estimate"].item() < row["high"]
        fates = draws.uniform(low, high, (300, len(table)))
        others = [float(found.weights @ filled(found.rate, found.coverage, fate)) for fate in fates]
        assert row["low"] < min(others) and max(others) < row["high"]
        assert row["low"] <= min(row["alike_low"], row["alike_high"], row["after_low"], row["after_high"])
        assert row["high"] >= max(row["alike_low"], row["alike_high"], row["after_low"], row["after_high"])
        assert row["conf_low"] < row["low"] and row["conf_high"] > row["high"]
        # No wider than both intervals together, which hold every point between the ends at once.
        assert row["union_low"] <= row["conf_low"] + 1e-9 and row["conf_high"] <= row["union_high"] + 1e-9


def test_ends_are_the_extremes_over_every_filling_fitted_anew():
    given, _ = _hidden(share=1.0, silent=0.0)
    table = given.table.copy()
    some = table.index[(table["year"].isin([2012, 2016])) & table["county_fips"].str.endswith(("01", "07"))][
        :7
    ]
    table.loc[some, COVERAGE] = [0.3, 0.9, 0.5, 0.7, 0.2, 0.6, 0.8]
    given = replace(given, table=table)
    one = spec(BARE | {"sample.min_coverage": 0.0}, "few")
    row = (
        of.coverage_bounds(given, [one]).query("sample == 'coverage_rule' and assumption == 'factor'").iloc[0]
    )
    design = make_design(given, one)
    keys = ["county_fips", "year"]
    c = table.loc[some].set_index(keys)[COVERAGE]
    found = []
    for corner in product([0.5, 2.0], repeat=len(some)):
        scale = (
            (c + (1 - c) * np.array(corner)).reindex(pd.MultiIndex.from_frame(design.table[keys])).fillna(1.0)
        )
        changed = design.table.assign(outcome=design.table["outcome"] * scale.to_numpy())
        found.append(one_effect(replace(design, table=changed)).table["estimate"].item())
    assert row["low"] == pytest.approx(min(found), abs=1e-8)
    assert row["high"] == pytest.approx(max(found), abs=1e-8)


def test_ends_have_the_errors_of_a_panel_that_reports_them():
    given, _ = _hidden()
    one = spec(DESIGNS["by-state"], "by-state")
    found = of.covered_designs(given, one, of.EVERYBODY)
    rows = of.coverage_bounds(given, [one]).query("sample == 'no_coverage_rule'").set_index("assumption")
    row = rows.loc[of.CLASS]
    worst = np.where(found.weights > 0, found.lowest[of.CLASS], found.highest[of.CLASS])
    keys = ["county_fips", "year"]
    full = found.design.table[keys].assign(full=filled(found.rate, found.coverage, worst))
    table = given.table.merge(full, on=keys, how="left")
    table[RATE] = table["full"].fillna(table[RATE]).fillna(0.0)
    whole = replace(given, table=table.assign(**{COVERAGE: 1.0}).drop(columns="full"))
    alone = one_effect(make_design(whole, one)).table.iloc[0]
    assert row["low"] == pytest.approx(alone["estimate"], abs=1e-8)
    assert row["error_low"] == pytest.approx(alone["std_error"], rel=1e-8)
    assert row["union_low"] == pytest.approx(alone["conf_low"], abs=1e-8)


def test_bounds_are_in_the_unit_of_the_spec():
    given, _ = _hidden()
    tenth, whole = (
        of.coverage_bounds(given, [spec(BARE | {"outcome.scale": scale})]).query(
            "sample == 'no_coverage_rule'"
        )
        for scale in ("rate_10k", "rate_100k")
    )
    names = ["low", "high", "conf_low", "alike_high", "after_low", "error_high"]
    assert (10 * tenth[names]).to_numpy() == pytest.approx(whole[names].to_numpy())
    assert tenth["percent_low"].to_numpy() == pytest.approx(whole["percent_low"].to_numpy())


def test_breakdowns_make_the_estimate_zero_in_a_panel_that_reports_them():
    given, _ = _hidden(silent=0.0)
    one = spec(BARE | {"sample.min_coverage": 0.0}, "break")
    breaks = of.coverage_breaks(given, [one]).iloc[0]
    table = given.table
    c = table[COVERAGE]
    adopters = given.policies.set_index("county_fips")["year"]
    first = table["county_fips"].map(adopters).map({2013: 2014, 2015: 2015})
    after = table["year"] >= first
    for name, moved in (("ratio_after", after), ("ratio_others", ~after)):
        rates = table[RATE] * np.where(moved, c + (1 - c) * breaks[name], 1.0)
        design = make_design(replace(given, table=table.assign(**{RATE: rates})), one)
        assert one_effect(design).table["estimate"].item() == pytest.approx(0, abs=1e-8)
    assert 1 < breaks["factor"] < np.inf
    assert breaks["unreported_after"] == pytest.approx(
        float(((1 - c) * table["population"])[after & (table["year"] >= 2010)].sum()
              / table["population"][after & (table["year"] >= 2010)].sum())
    )  # fmt: skip


def test_rates_that_stand_in_are_counted_and_come_from_class_and_year():
    given, _ = _hidden(silent=0.0)
    table = given.table.copy()
    lonely, silent = "17001", "17003"
    mine, other = table["county_fips"].eq(lonely), table["county_fips"].eq(silent)
    table.loc[mine, COVERAGE] = 0.5
    table.loc[other, [RATE, COVERAGE]] = [np.nan, 0.0]
    table.loc[other & table["year"].eq(2012), [RATE, COVERAGE]] = [1234.0, 0.8]
    rates = of.county_rates(replace(given, table=table), spec(BARE))
    rates = rates.merge(table[["county_fips", "year", "population"]])
    full = rates[(rates["coverage"] >= of.FULL) & (rates["year"] == 2014)]
    row = rates[rates["county_fips"].eq(lonely) & rates["year"].eq(2014)].iloc[0]
    assert row["stand_in_own_years"] and not row["stand_in_factor"]
    assert (row["low_own_years"], row["high_own_years"]) == pytest.approx(
        full["rate"].quantile([0.1, 0.9]).tolist()
    )
    # Its own mean stands in for a county's silent years, and zero nowhere.
    quiet = rates[rates["county_fips"].eq(silent)]
    assert (quiet["rate"] == 1234.0).all() and quiet["stand_in_nothing"].sum() == len(quiet) - 1
    # A county that never reports is taken for the median of its class and year.
    table.loc[other, [RATE, COVERAGE]] = [np.nan, 0.0]
    never = of.county_rates(replace(given, table=table), spec(BARE))
    at = never["county_fips"].eq(silent) & never["year"].eq(2014)
    assert never.loc[at, "rate"].item() == pytest.approx(full["rate"].median())
    # Classes too small to tell are read over the year.
    small = table.assign(urban_class=np.where(mine, "large_central", "noncore"))
    again = of.county_rates(replace(given, table=small), spec(BARE))
    at = again["county_fips"].eq(lonely) & again["year"].eq(2014)
    assert again.loc[at, "low_quantiles"].item() == pytest.approx(full["rate"].quantile(0.1))


def test_counts_of_the_unreported_add_up_to_the_sample():
    given, _ = _hidden()
    counts = of.unreported(given, [spec(BARE, "one"), spec(TWO_WAY, "same sample")])
    assert set(counts["spec"]) == {"one"}
    everybody = counts[counts["sample"] == of.EVERYBODY]
    found = of.covered_designs(given, spec(BARE, "one"), of.EVERYBODY)
    people = found.design.table["population"].to_numpy()
    assert everybody["county_years"].sum() == len(people)
    assert everybody["county_years_unknown"].sum() == (found.coverage == 0).sum() > 0
    assert everybody["residents"].sum() == pytest.approx(people.sum())
    assert everybody["residents_unreported"].sum() == pytest.approx((people * (1 - found.coverage)).sum())
    parts = everybody[["county_years_unknown", "county_years_below", "county_years_partial"]].sum().sum()
    assert parts == (found.coverage < 1).sum()


def test_a_sample_that_cannot_be_had_keeps_its_row():
    given, _ = _hidden(share=0.0)
    table = of.coverage_bounds(given, [spec(BARE, "thin")])
    covered = table[table["sample"] == of.COVERED]
    assert len(covered) == 1 and covered["failure"].item() and np.isnan(covered["low"].item())


# --- California ---------------------------------------------------------------------------------------------------


def _with_california(seed: int = 3, *, gain: float = 120.0, in_place_of: str = "17") -> Panel:
    """A state of the invented panel becomes California, whose adopters gain more and whose others are unlisted."""
    given = panel(seed)

    def moved(table: pd.DataFrame) -> pd.DataFrame:
        inside = table["county_fips"].str.startswith(in_place_of)
        codes = table["county_fips"].where(~inside, "06" + table["county_fips"].str[2:])
        return table.assign(county_fips=codes, state=table["state"].where(~inside, "CA"))

    table = moved(given.table)
    policies = moved(given.policies)
    policies["jurisdiction"] = policies["county_fips"]
    policies["event"] = "D2-" + policies["county_fips"]
    rises = (
        table["county_fips"].isin(policies["county_fips"]) & table["state"].eq("CA") & table["year"].ge(2014)
    )
    table[RATE] += np.where(rises, gain, 0.0)
    return replace(given, table=table, constant=table, policies=policies)


FAMILIES = [
    spec(BARE, "headline/measure=property"),
    spec(BARE | {"sample.drop_states": ["CA"]}, "headline/without-california/measure=property"),
    spec(BARE | {"estimator.within": "state"}, "headline/within-states/measure=property"),
    spec(TWO_WAY, "headline/two-way/measure=property"),
]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return state.california(_with_california(), FAMILIES)


def _cell(frame: pd.DataFrame, design: str, sample: str, window: str = state.FULL_WINDOW) -> pd.Series:
    return frame[
        (frame["design"] == design) & (frame["sample"] == sample) & (frame["window"] == window)
    ].iloc[0]


def test_with_and_without_are_the_designs_own_and_the_difference_theirs(frame):
    given = _with_california()
    for one in (FAMILIES[0], FAMILIES[3]):
        design = one.name.split("/")[1] if one.name.count("/") > 1 else "group-time"
        whole = one_effect(make_design(given, one))
        rest = one_effect(make_design(given, one.replace({"sample.drop_states": ["CA"]})))
        inside, outside, gap = (_cell(frame, design, s) for s in (state.IN, state.OUT, state.DIFFERENCE))
        assert inside["estimate"] == whole.table["estimate"].item()
        assert outside["std_error"] == rest.table["std_error"].item()
        assert gap["estimate"] == pytest.approx(inside["estimate"] - outside["estimate"], abs=1e-12)
        left = leave_out(make_design(given, one)).table.set_index("left_out")
        assert gap["estimate"] == pytest.approx(-left.loc["CA", "change"], abs=1e-10)
        # By hand: sums of influence by state, of one less of the other.
        psi = pd.Series(whole.influence[:, 0], whole.counties)
        psi = psi.sub(pd.Series(rest.influence[:, 0], rest.counties), fill_value=0.0)
        sums = psi.groupby(psi.index.str[:2]).sum().to_numpy()
        g = len(sums)
        assert gap["std_error"] == pytest.approx(np.sqrt(g / (g - 1) * (sums**2).sum()), rel=1e-10)
        assert gap["df"] == g - 1 and gap["precision"] == ""
        assert gap["percent_in"] == pytest.approx(100 * gap["estimate"] / inside["baseline"])
        assert (inside["california_treated"], outside["california_treated"]) == (3, 0)
        assert 0 < inside["california_share"] < 1


def test_california_against_itself_has_nobody_to_compare_with(frame):
    for design in ("group-time", "two-way"):
        apart, out = _cell(frame, design, state.APART), _cell(frame, design, state.OUT)
        assert apart["estimate"] == pytest.approx(out["estimate"], abs=1e-8)
        assert _cell(frame, design, state.IN)["california_comparison"] == 0
        assert "no comparison county" in _cell(frame, design, state.ALONE)["failure"]
    assert _cell(frame, "within-states", state.APART)["failure"]


def test_within_states_california_is_in_neither_and_the_difference_is_nothing(frame):
    gap = _cell(frame, "within-states", state.DIFFERENCE)
    assert (gap["estimate"], gap["std_error"], gap["conf_high"]) == (0, 0, 0)
    assert _cell(frame, "within-states", state.IN)["states_identifying"].split().count("CA") == 0
    # The design that leaves California out is the pair of another, and has no rows of its own.
    assert "without-california" not in set(frame["design"])


def test_windows_to_2014_are_those_of_the_spec_cut_short(frame):
    given = _with_california()
    short = FAMILIES[0].replace({"sample.years": [2010, 2014], "treatment.onset": "adoption_year"})
    alone = one_effect(make_design(given, short)).table["estimate"].item()
    assert _cell(frame, "group-time", state.IN, state.TO_2014_ADOPTION)["estimate"] == alone


def test_estimates_in_other_units_have_no_difference():
    given = _with_california()
    one, logs = (
        one_effect(make_design(given, spec(BARE | {"outcome.scale": s}))) for s in ("rate_100k", "log_rate")
    )
    with pytest.raises(StudyError, match="units"):
        state.difference(one, logs)


def test_the_error_of_the_difference_is_its_spread_where_states_are_alike():
    """California differs by its own shocks alone; over panels the error and the spread agree on average."""
    given = _with_california(gain=0.0)
    design = make_design(given, FAMILIES[0])
    rest = make_design(given, FAMILIES[1])
    rng = np.random.default_rng(7)
    table = design.table
    keep = ~table["state"].eq("CA").to_numpy()
    areas, years = pd.factorize(table["state"])[0], pd.factorize(table["year"])[0]
    treated = table["treated"].to_numpy()
    gaps, errors = [], []
    for _ in range(80):
        # Each state's adopters gain as much as chance gives them: what differs between states.
        gains = rng.normal(0, 40, areas.max() + 1)
        y = rng.normal(0, 15, len(table)) + treated * gains[areas] + rng.normal(0, 5, years.max() + 1)[years]
        found = state.difference(
            one_effect(replace(design, table=table.assign(outcome=y))),
            one_effect(replace(rest, table=rest.table.assign(outcome=y[keep]))),
        )
        gaps.append(found["estimate"])
        errors.append(found["std_error"])
    ratio = float(np.sqrt(np.mean(np.square(errors))) / np.std(gaps))
    # One state of eight makes the difference: its error is an average over few, and 80 panels tell it to a tenth.
    assert 0.75 < ratio < 1.25


def test_a_difference_adds_up_from_both_variances_and_twice_their_overlap():
    given = _with_california()
    pair = [one_effect(make_design(given, one)) for one in FAMILIES[:2]]
    found = state.difference(*pair)
    counties = pair[0].counties
    inside = pd.Series(pair[1].influence[:, 0], pair[1].counties).reindex(counties).fillna(0.0)
    both = np.column_stack([pair[0].influence[:, 0], inside])
    entered = ~np.isnan(pair[0].treated[:, 0])
    v = cluster_variance(both[entered], counties.to_numpy(dtype=str)[entered].astype("U2"))
    assert found["std_error"] ** 2 == pytest.approx(v[0, 0] + v[1, 1] - 2 * v[0, 1])


# --- figures and tables -------------------------------------------------------------------------------------------


def test_figures_and_tables_show_the_numbers_of_their_frames(frame):
    given, _ = _hidden(share=0.9)
    table = given.table.assign(
        **{COVERAGE: given.table[COVERAGE].where(given.table[COVERAGE].isin([0, 1]), 0.97)}
    )
    given = replace(given, table=table)
    ones = [spec(BARE | {"sample.balance": "none"}, "headline/measure=property")]
    bounds, breaks, counts = (
        make(given, ones) for make in (of.coverage_bounds, of.coverage_breaks, of.unreported)
    )
    rows = drawn.bounds_rows(bounds)
    assert len(rows) == 2 * len(of.ASSUMPTIONS)
    words = {text.get_text() for text in drawn.bounds_plot(rows).texts}
    assert {"Across states", *drawn.ASSUMPTIONS.values(), "Property"} <= words
    printed = drawn.bounds_table(bounds, breaks)
    sharp = bounds.query("assumption == 'factor'").iloc[0]
    assert printed.cells["Half to twice"].iloc[0].split(" to ")[1] == f"{sharp['percent_high']:.1f}"
    assert drawn.counts_table(counts).cells["County-years"].tolist() == [
        f"{n:,}" for n in counts["county_years"]
    ]
    rows = drawn.california_rows(frame)
    assert set(rows.loc[rows["design"] == "within-states", "sample"]) == {drawn.EITHER}
    words = {text.get_text() for text in drawn.california_plot(rows).texts}
    assert {"with California", "difference", "with or without: the same"} <= words
    printed = drawn.california_table(frame)
    inside = _cell(frame, "group-time", state.IN)
    assert printed.cells["Property"].iloc[0].startswith(f"{inside['percent_in']:.1f} (")
    assert any("California alone" in note for note in printed.notes)
    with pytest.raises(StudyError, match="no bounds"):
        drawn.bounds_plot(rows.iloc[:0])

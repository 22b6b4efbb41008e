"""The county comparison of 2017: what its grid asks, where a published number falls, patterns of signs, the economy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import StudyError
from analysis.base.paths import Paths
from analysis.design.design import make_design
from analysis.design.grid import load_grid
from analysis.evidence.multiverse import CHOICE_COLUMNS, fit_grid, plan
from analysis.evidence.published import load_published
from analysis.evidence.runs import run_specs
from analysis.evidence.studies import wong2017 as of
from analysis.panel.twin import make_twin

GRID = load_grid("wong2017")


@cache
def cells():
    return {cell.spec.name: cell for cell in GRID.cells() if cell.spec is not None}


def results(part, seed=1, shift=0.0):
    """Invented estimates for every cell of a part of the grid: noise around ``shift``, errors of 20."""
    rng = np.random.default_rng(seed)
    kept = [cell for cell in part.cells() if cell.spec is not None]
    value = rng.normal(shift, 20.0, len(kept))
    treated = rng.integers(5, 60, len(kept))
    rows = [
        {"study": "wong2017", "family": cell.family}
        | {name: cell.options.get(name.removeprefix("choice_"), "") for name in CHOICE_COLUMNS}
        | {
            "spec": cell.spec.name, "failure": "", "measure": cell.spec.outcome.measure, "scale": cell.spec.outcome.scale,
            "definition": cell.spec.treatment.definition, "unit": "invented", "precision": "inconclusive",
        }
        for cell in kept
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(
        estimate=value, conf_low=value - 40, conf_high=value + 40, baseline=300.0, n_treated=pd.array(treated, dtype="Int64"),
        n_comparison=pd.array(2 * treated, dtype="Int64"), n_states=pd.array(treated // 4, dtype="Int64"),
        informative=(treated >= 20) & (treated // 4 >= 6),
    )  # fmt: skip


# --- the grid and what is asked of it ----------------------------------------------------------------------------------


def test_the_grid_is_what_the_study_says():
    found = plan(GRID)
    assert 4_000 < found.cells < 7_000
    assert all(label and "_" not in label for label in found.families["label"])
    assert {*of.ALL_COUNTIES, *of.OTHER_SAMPLES, of.BY_CLASS, of.HOMICIDE, of.ECONOMY} == set(
        found.families["family"]
    )
    ours = [cell.spec for cell in cells().values()]
    assert {spec.outcome.build for spec in ours if spec.outcome.build != "none"} == {
        "policed", "county_population", "county_agencies", "outside_cities",
    }  # fmt: skip
    assert {spec.status for spec in ours} == {"declared"} and {spec.inference.by for spec in ours} == {
        "state"
    }
    for cell in cells().values():
        of_the_economy = {"poverty", "unemployment", "log_income"} & set(cell.spec.covariates.names)
        assert not (cell.family == of.ECONOMY and of_the_economy), cell.spec.name
        later = cell.spec.covariates.vintage != "2006_2010"
        assert later == (cell.family == "later_covariates"), cell.spec.name
    # What a definition cannot carry is left out with the words of the rule.
    refused = found.left_out.loc[found.left_out["reason"].str.startswith("rule 6"), "cells"]
    assert len(refused) == 2 and refused.eq(32).all()


def test_every_option_is_of_a_list_or_class_the_module_knows():
    options = {cell.options["definition"] for cell in cells().values()}
    assert len(options) == 7
    assert list(GRID.only(["classes"]).families[0].options["urban_class"]) == list(of.CLASS_SIGNS)
    assert list(GRID.only(["economy"]).families[0].options["outcome"]) == list(of.ECONOMY_OPTIONS.values())


def test_every_registered_figure_has_a_specification_or_a_reason_why_not():
    registered = [name for name in load_published().frame()["id"] if name.startswith("wong2017.")]
    assert len(registered) == 20
    assert {name for name in registered if of.STUDY.reason(name) == ""} == {
        one.figure for one in of.STUDY.asks
    }
    assert len(of.STUDY.asks) + len(of.STUDY.apart) == len(registered)


@pytest.mark.parametrize("ask", of.STUDY.asks, ids=lambda ask: ask.figure)
def test_the_specification_beside_a_figure_answers_it(ask):
    cell = cells()[ask.main]
    assert cell.spec.outcome.measure in [*ask.measures, *(name for name, _ in ask.near)]
    assert cell.spec.years == (2015,) and cell.options["definition"] == "full decline"
    about = {"family": cell.family} | {f"choice_{name}": option for name, option in cell.options.items()}
    assert all(about[column] in values for column, values in ask.only.items())
    # In grids with one cell beside a figure another class's or outcome's cell must not answer it.
    others = [one.figure for one in of.STUDY.asks if one.main == ask.main]
    assert others == [ask.figure]


def test_published_numbers_are_those_of_the_registry():
    f = load_published().frame().set_index("id")
    for figure, size in of.SIZES.items():
        assert f.at[figure, "estimate"] == size  # noqa: PD008
    signs = {of.CLASS_FIGURES[name]: sign for name, sign in of.CLASS_SIGNS.items()} | dict(of.ECONOMY_SIGNS)
    for figure, sign in signs.items():
        assert f.at[figure, "direction"] == sign, figure  # noqa: PD008
        assert (figure in of.SIZES) == bool(np.isfinite(f.at[figure, "estimate"])), figure  # noqa: PD008


# --- cells run for real on the simulated panel -------------------------------------------------------------------------


def test_the_main_cell_is_what_counting_by_hand_gives():
    panel = make_twin(Paths(simulated=True))
    spec = cells()[of.MAIN].spec
    row = fit_grid(
        panel,
        GRID.only(
            ["nearest"], definition=["full decline"], coverage=["95 %"], outcome=["with arson"], covariates=["A"],
            estimator=["nearest"], build=["all agencies, residents policed"],
        ),
    )  # fmt: skip
    assert row["spec"].tolist() == [of.MAIN]
    table = make_design(panel, spec).table.reset_index(drop=True)
    x = table[list(spec.covariates.names)].to_numpy(dtype=float)
    y, treated = table["outcome"].to_numpy(dtype=float), table["treated"].to_numpy(dtype=bool)
    inverse = np.linalg.inv(np.cov(x.T))
    differences = []
    for i in np.flatnonzero(treated):
        near = np.flatnonzero(~treated & table["urban_class"].eq(table["urban_class"][i]).to_numpy())
        if len(near):
            apart = x[near] - x[i]
            differences.append(y[i] - y[near[np.einsum("ij,jk,ik->i", apart, inverse, apart).argmin()]])
    assert row["estimate"].item() == pytest.approx(np.mean(differences), abs=1e-8)
    assert row["n_treated"].item() == len(differences)
    # The same specification by itself is the same estimate.
    alone = run_specs(panel, [spec]).results.iloc[0]
    assert alone["estimate"] == row["estimate"].item() and alone["conf_low"] == row["conf_low"].item()


# --- where the published number falls ----------------------------------------------------------------------------------


def test_shares_weigh_families_alike_and_are_counts_within_one():
    part = GRID.only(["nearest", "regression"], coverage=["95 %"], covariates=["A", "B"])
    r = results(part, shift=-30.0)
    f = of.placed(r)
    dated = r[r["definition"].ne("dhs_2025")]
    by_family = [g for _, g in dated.groupby("family", sort=False)]
    assert len({len(g) for g in by_family}) > 1
    whole = f[f["by"].eq("all")].iloc[0]
    for column, share in {
        "share_below": [(g["estimate"] < -35.5).mean() for g in by_family],
        "share_holds": [((g["conf_low"] <= -35.5) & (g["conf_high"] >= -35.5)).mean() for g in by_family],
        "share_sign": [(g["estimate"] < 0).mean() for g in by_family],
        "share_clear": [(g["conf_high"] < 0).mean() for g in by_family],
        "share_opposite": [(g["conf_low"] > 0).mean() for g in by_family],
    }.items():
        assert whole[column] == pytest.approx(np.mean(share), abs=1e-12), column
    assert whole["n"] == len(dated) == whole["n_estimated"]
    one = f[f["by"].eq("family") & f["family"].eq("nearest")].iloc[0]
    assert one["median"] == pytest.approx(
        np.quantile(by_family[0]["estimate"], 0.5, method="inverted_cdf"), abs=1e-12
    )
    both = f[f["by"].eq("build, definition")]
    assert len(both) == 28 and both["n"].sum() == len(r)


def test_a_list_later_than_the_outcomes_stands_alone():
    part = GRID.only(["regression"], covariates=["A"], coverage=["95 %"])
    r = results(part)
    r.loc[r["definition"].eq("dhs_2025"), ["estimate", "conf_low", "conf_high"]] = -1e6
    f = of.placed(r)
    alone = f[f["descriptive"].astype(bool)]
    assert set(alone["definition"]) == {"homeland security list 2025"} and alone["median"].eq(-1e6).all()
    assert f.loc[~f["descriptive"].astype(bool), "low"].min() > -1e3


def test_what_failed_is_counted_and_moves_no_share():
    part = GRID.only(["regression"], covariates=["A"], coverage=["95 %"])
    r = results(part, shift=-100.0)
    r.loc[r.index[::2], ["estimate", "conf_low", "conf_high"]] = np.nan
    whole = of.placed(r)[lambda f: f["by"].eq("all")].iloc[0]
    assert (whole["n"], whole["n_estimated"]) == (48, 24)
    assert whole["share_sign"] == 1.0
    nothing = of.placed(r.assign(estimate=np.nan))
    assert nothing["median"].isna().all() and nothing["n_estimated"].eq(0).all()


def test_another_scale_and_other_studies_do_not_slip_in():
    r = results(GRID.only(["regression"], covariates=["A"], coverage=["95 %"]))
    with pytest.raises(StudyError, match="rate_100k"):
        of.placed(r.assign(scale="rate_100k"))
    with_others = pd.concat([r, r.assign(study="another", estimate=1e9)])
    pd.testing.assert_frame_equal(of.placed(r), of.placed(with_others))


def test_weighted_quantiles_are_plain_ones_of_repeated_values():
    rng = np.random.default_rng(3)
    values, times = rng.normal(size=40), rng.integers(1, 6, 40)
    shares = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    plain = np.quantile(np.repeat(values, times), shares, method="inverted_cdf")
    found = of.weighted_quantiles(np.append(values, np.nan), np.append(times, 50).astype(float), shares)
    assert found == pytest.approx(list(plain), abs=1e-12)
    assert np.isnan(of.weighted_quantiles(np.array([np.nan]), np.array([1.0]), (0.5,))).all()


# --- patterns of classes ---------------------------------------------------------------------------------------------


def with_signs(signs):
    """Every class's estimate of the grid's settings set to a sign, an interval clear of zero."""
    r = results(GRID.only(["classes"], definition=["full decline", "any limit"]))
    value = r["choice_urban_class"].map(signs).astype(float) * 50
    return r.assign(estimate=value, conf_low=value - 10, conf_high=value + 10)


def test_the_published_pattern_is_recognised_and_its_mirror_is_not():
    same = of.class_pattern(with_signs(of.CLASS_SIGNS))
    assert same["full"].all() and same["n_agree"].eq(6).all() and same["n_agree_clear"].eq(6).all()
    assert len(same) == 2 * 4 * 2 * 3
    mirror = of.class_pattern(with_signs({name: -sign for name, sign in of.CLASS_SIGNS.items()}))
    assert not mirror["full"].any() and mirror["n_agree"].eq(0).all()
    assert of.pattern_shares(same)["share_full"].eq(1.0).all()
    assert of.pattern_shares(mirror)["margins_full"].eq(0.0).all()


def test_a_class_that_is_missing_makes_a_setting_incomplete_and_none_full():
    r = with_signs(of.CLASS_SIGNS)
    gone = r["choice_urban_class"].eq("noncore") & r["choice_estimator"].eq("entropy")
    r.loc[gone, ["estimate", "conf_low", "conf_high"]] = np.nan
    f = of.class_pattern(r)
    without = f["estimator"].eq("entropy")
    assert f.loc[without, "n_classes"].eq(5).all() and not f.loc[without, ["complete", "full"]].any().any()
    assert f.loc[without, "sign_noncore"].isna().all()
    # A class without any row at all is missing too.
    assert not of.class_pattern(r[r["choice_urban_class"].ne("noncore")])["complete"].any()
    whole = of.pattern_shares(f).iloc[0]
    assert (whole["n_settings"], whole["n_complete"], whole["share_full"]) == (48, 32, 1.0)


def test_signs_of_fair_coins_show_the_pattern_as_often_as_said():
    rng = np.random.default_rng(11)
    n = 40_000
    columns = [f"sign_{name.replace(' ', '_')}" for name in of.CLASS_SIGNS]
    coins = pd.DataFrame(rng.choice([-1.0, 1.0], (n, 6)), columns=columns)
    coins = coins.assign(**dict.fromkeys(of.SETTING, "x"), descriptive=False, complete=True)
    found = of.pattern_shares(coins).iloc[0]
    for share, said in (("share_full", "chance_full"), ("share_five", "chance_five")):
        error = np.sqrt(found[said] * (1 - found[said]) / n)
        assert abs(found[share] - found[said]) < 4 * error, share
    assert found["mean_agree"] == pytest.approx(found["chance_agree"], abs=4 * np.sqrt(1.5 / n))
    assert found["margins_full"] == pytest.approx(found["chance_full"], rel=0.1)


def test_by_class_holds_published_sizes_where_there_are_any():
    f = of.by_class(with_signs(of.CLASS_SIGNS))
    assert list(dict.fromkeys(f["urban_class"])) == list(of.CLASS_SIGNS)
    assert set(f.loc[f["published"].notna(), "urban_class"]) == {"large central metro"}
    assert f["share_sign"].eq(1.0).all() and f["share_clear"].eq(1.0).all()
    assert f.loc[f["urban_class"].eq("noncore"), ["share_holds", "share_below"]].isna().all().all()
    assert len(f) == 6 * 2 * (1 + 4)


# --- the economy -----------------------------------------------------------------------------------------------------


def test_the_economy_stands_beside_its_figures():
    r = results(GRID.only(["economy"]))
    f = of.economy(r)
    assert list(dict.fromkeys(f["figure"])) == list(of.ECONOMY_FIGURES) and len(f) == 42
    for row in f.itertuples():
        cell = r[r["spec"] == row.spec].iloc[0]
        assert (cell["estimate"], cell["measure"]) == (row.estimate, row.measure)
        part = r[r["measure"].eq(row.measure) & r["choice_definition"].eq(row.definition)]
        assert (row.n, row.lowest, row.highest) == (12, part["estimate"].min(), part["estimate"].max())
        assert row.share_sign == pytest.approx((np.sign(part["estimate"]) == row.sign).mean())
        ours = part.loc[part["choice_covariates"].eq("B"), "estimate"]
        assert row.median_b == ours.median()
    assert f.loc[f["figure"].eq("wong2017.emp_pop"), "share_holds"].isna().all()
    with pytest.raises(StudyError, match="nearest neighbour"):
        of.economy(r[r["choice_covariates"].ne("A")])

"""Balance and overlap of a design as tidy tables: what each row says, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, panel, spec

from analysis.base.errors import SampleError, SpecError, StudyError
from analysis.design.design import make_design
from analysis.estimation.matched import match
from analysis.estimation.matching.overlap import trim
from analysis.evidence.checks.balance import balance, balance_table
from analysis.evidence.checks.overlap import overlap, score_frame


@pytest.fixture(scope="module")
def design():
    return make_design(panel(), spec(CROSS_SECTION))


def with_classes(design):
    """The design with urban classes: one of both arms, one without treated counties."""
    table = design.table
    second = ~table["treated"] & (np.arange(len(table)) % 2 == 0)
    return replaced(design, table.assign(urban_class=np.where(second, "noncore", "small_metro")))


def replaced(design, table):
    return replace(design, table=table)


def test_table_agrees_with_the_wide_form_and_counts_its_limits(design):
    wide = balance(design).set_index(["covariate", "sample"])
    table = balance_table(design)
    by = table.set_index(["covariate", "sample", "statistic"])
    assert by.index.is_unique and table["sample"].unique().tolist() == ["all", "matched"]
    for tidy_name, name in (("all", "before"), ("matched", "after")):
        for statistic in ("mean_treated", "standardized_mean_difference", "variance_ratio", "ks"):
            assert (
                by.loc[("hispanic", tidy_name, statistic), "value"] == wide.loc[("hispanic", name), statistic]
            )
        for count in ("n_treated", "n_comparison"):
            assert by.loc[("(all)", tidy_name, count), "value"] == wide.loc[("hispanic", name), count]
    smd = by.loc[("hispanic", "all", "standardized_mean_difference")]
    assert smd["within"] == (abs(smd["value"]) <= 0.1)
    assert table["within"].dtype == "boolean" and table["within"].isna().any()
    assert len(table.query("within == False")) == (~table["within"]).sum()


def test_table_takes_the_match_and_the_denominator_it_is_given(design):
    sets = match(design)
    pd.testing.assert_frame_equal(balance_table(design), balance_table(design, sets=sets))
    x, d = sets.covariates[:, 0], sets.treated
    found = balance_table(design, "comparison", sets=sets).set_index(["covariate", "sample", "statistic"])
    assert found.loc[("hispanic", "all", "standardized_mean_difference"), "value"] == pytest.approx(
        (x[d].mean() - x[~d].mean()) / x[~d].std(ddof=1)
    )
    more = balance_table(design, products=True, quantiles=True, sets=sets)
    assert {"hispanic", "hispanic²", "(all)"} == set(more["covariate"])
    assert {"eqq_mean", "eqq_median", "eqq_max"} <= set(more["statistic"])


def test_a_panel_has_one_sample_and_no_covariates_are_refused():
    changes = {"covariates.names": ["hispanic"], "covariates.vintage": "2006_2010"}
    table = balance_table(make_design(panel(), spec(changes)))
    assert table["sample"].unique().tolist() == ["all"]
    with pytest.raises(StudyError, match="without covariates"):
        balance_table(make_design(panel(), spec()))


def test_scores_are_those_of_the_likelihood(design):
    scores = score_frame(design)
    assert len(scores) == len(design.table) and scores["county_fips"].is_unique
    # At the maximum, fitted and observed treatment agree in total and along the covariate.
    gap = scores["treated"] - scores["probability"]
    x = design.table.set_index("county_fips").loc[scores["county_fips"], "hispanic"].to_numpy()
    assert gap.sum() == pytest.approx(0, abs=1e-6) and gap @ x == pytest.approx(0, abs=1e-6)
    odds = np.exp(scores["linear"].to_numpy())
    assert scores["probability"].to_numpy() == pytest.approx(odds / (1 + odds))


def test_overlap_reads_all_counties_and_each_class(design):
    made = with_classes(design)
    scores = score_frame(made)
    table = overlap(made, scores=scores)
    assert table["urban_class"].unique().tolist() == ["all", "noncore", "small_metro"]
    everyone = table[table["urban_class"] == "all"].set_index("statistic")
    assert everyone["n_treated"].eq(scores["treated"].sum()).all()
    p, d = scores["probability"].to_numpy(), scores["treated"].to_numpy()
    assert everyone.loc["support_low", "value"] == max(p[d].min(), p[~d].min())
    kept = trim(p, d, "att", "optimal")
    assert everyone.loc["alpha_optimal", "value"] == kept.alpha
    assert everyone.loc["alpha_optimal", "estimand"] == kept.estimand
    assert everyone.loc["treated_kept_optimal", "value"] == (kept.kept & d).sum()
    lone = table[table["urban_class"] == "noncore"]
    assert lone["note"].tolist() == ["no treated county"] and lone["value"].isna().all()
    pd.testing.assert_frame_equal(table, overlap(made))


def test_what_has_no_score_is_named(design):
    with pytest.raises(SpecError, match="overlap of a panel with 0 covariates"):
        overlap(make_design(panel(), spec()))
    table = design.table
    with pytest.raises(SampleError, match="hispanic does not vary"):
        overlap(replaced(design, table.assign(hispanic=0.1)))
    with pytest.raises(SampleError, match="separate"):
        overlap(replaced(design, table.assign(hispanic=table["treated"].astype(float))))
    first = table["county_fips"].iloc[0]
    with pytest.raises(SampleError, match=rf"1 counties without every covariate \({first}\)"):
        overlap(
            replaced(design, table.assign(hispanic=table["hispanic"].mask(table["county_fips"] == first)))
        )

"""What estimates exclude and could have found: refits against the estimators themselves, numbers against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evidence_cases import CROSS_SECTION, DIRECT, INDEPENDENT, STATES, estimate, panel, spec
from scipy import stats

from analysis.base.errors import StudyError
from analysis.base.records import Geography
from analysis.design.design import make_design
from analysis.estimation import aggregate, fit
from analysis.estimation.matched import match
from analysis.estimation.panel_inference.power import (
    detectable_by_refits,
    detectable_size,
    equivalence_power,
    power_of_test,
    share_rejected,
    sign_error,
)
from analysis.evidence.checks.nulls import (
    CURVES,
    EQUIVALENCE,
    NULLS,
    PER_DETAINER,
    SIGNS,
    design_assumption,
    equivalence_tests,
    exclusion_sentence,
    nulls,
    power_curves,
    responses_of,
    sign_errors,
    simulated_tests,
)
from analysis.evidence.claims import load_claims
from analysis.evidence.runs import Run, run_spec
from analysis.report.null_figures import power_plot, power_rows, sign_plot, sign_rows
from analysis.report.null_tables import equivalence_table, exclusions_table

COVARIATE = {"covariates.names": ["hispanic"], "covariates.vintage": "2006_2010"}
WEIGHTED = {"estimator.weights": "population_baseline"}
TWO_WAY = {"estimator.name": "two_way", "estimator.effects": "county_year"}
BORDER = {
    "estimator.name": "border_pairs", "estimator.effects": "segment_by_year", "estimator.method": "post",
    "estimator.neighbours": "all", "inference.by": "state_and_segment",
}  # fmt: skip


def bordered(seed=1):
    """The invented panel, its first adopters each touching two counties of the next state that touch nobody else."""
    given, codes = panel(seed), list(STATES)
    pairs = []
    for i, code in enumerate(codes):
        for at in range(2):
            pairs += [(f"{code}001", f"{codes[(i + 1) % len(codes)]}{2 * (3 + at) + 1:03d}")]
    both = [*pairs, *((b, a) for a, b in pairs)]
    neighbours = pd.DataFrame(both, columns=["county_fips", "neighbour_fips"])
    return replace(given, geography=Geography(neighbours=neighbours))


def staggered(seed=1):
    """The invented panel, adopters of some states two years later: cells weigh differently."""
    made = panel(seed)
    later = made.policies["state"].isin(["IL", "IA", "NC"])
    return replace(
        made,
        policies=made.policies.assign(
            date=made.policies["date"].where(~later, "2015-06-15"),
            year=made.policies["year"].where(~later, 2015),
        ),
    )


def taken_out(table, y, columns, weight):
    """Residuals of a weighted regression by brute force."""
    root = np.sqrt(weight)
    fitted = columns @ np.linalg.lstsq(columns * root[:, None], y * root, rcond=None)[0]
    return y - fitted


def dummies(*codes):
    return np.hstack([pd.get_dummies(code).to_numpy(dtype=float) for code in codes])


def unexplained(design, value):
    """What county, year (within strata) and covariate-by-year effects and the estimate leave of an outcome."""
    t = design.table
    weight, treated = t["weight"].to_numpy(float), t["treated"].to_numpy(float)
    columns = [dummies(t["county_fips"], t["stratum"].astype(str) + t["year"].astype(str))]
    fixed = t.groupby("county_fips")[list(design.covariates)].transform("first")
    columns += [dummies(t["year"]) * fixed[[name]].to_numpy(float) for name in design.covariates]
    return taken_out(t, t["outcome"].to_numpy(float) - value * treated, np.hstack(columns), weight)


def refitted(design, outcome):
    again = aggregate(fit(replace(design, table=design.table.assign(outcome=outcome))), over="post")
    return again.table["estimate"].item(), again.table["std_error"].item()


def compared(design, made, rest, *, centre):
    """Refits by the responses beside the estimator's own on the same outcomes, an effect added."""
    found, how = responses_of(design, made)
    t, added = design.table, 17.0
    states = np.unique(t["state"].map({name: code for code, name in STATES.items()}), return_inverse=True)[1]
    y, treated = t["outcome"].to_numpy(float), t["treated"].to_numpy(float)
    rng = np.random.default_rng(8)
    for multipliers in (np.ones(states.max() + 1), *rng.normal(size=(3, states.max() + 1))):
        value, error = refitted(design, y + (multipliers[states] - 1) * rest + added * treated)
        v = np.concatenate([multipliers, np.ones(found.fixed)])
        assert value == pytest.approx(centre + added + v @ found.effect, rel=1e-7)
        assert error == pytest.approx(np.sqrt(found.variance(v[None])[0]), rel=1e-7)
    return how


@pytest.mark.parametrize(
    "changes",
    [{}, COVARIATE | WEIGHTED | {"estimator.method": "doubly_robust"}, WEIGHTED | {"estimator.within": "state"},
     COVARIATE | {"estimator.method": "inverse_weighting"}],
)  # fmt: skip
def test_refits_of_group_time_effects_are_the_estimators_own(changes):
    design = make_design(staggered(), spec(changes))
    made = aggregate(fit(design), over="post")
    value = made.table["estimate"].item()
    inverse = changes.get("estimator.method") == "inverse_weighting"
    plain = make_design(staggered(), spec()) if inverse else design
    assert "exact" in compared(design, made, unexplained(plain, value), centre=value)


@pytest.mark.parametrize("vcov", ["cluster", "cr2", "cr3"])
@pytest.mark.parametrize("effects", ["county_year", "state_by_year"])
def test_refits_of_two_way_regressions_are_the_estimators_own(vcov, effects):
    design = make_design(
        panel(), spec(TWO_WAY | WEIGHTED | {"inference.vcov": vcov, "estimator.effects": effects})
    )
    made, t = fit(design), design.table
    year = t["year"].astype(str) if effects == "county_year" else t["state"] + t["year"].astype(str)
    columns = np.hstack([t[["treated"]].to_numpy(float), dummies(t["county_fips"], year)])
    rest = taken_out(t, t["outcome"].to_numpy(float), columns, t["weight"].to_numpy(float))
    assert "exact" in compared(design, made, rest, centre=made.table["estimate"].item())


@pytest.mark.parametrize("by", ["state", "segment", "state_and_segment"])
def test_refits_along_borders_are_the_estimators_own(by):
    design = make_design(bordered(), spec(BORDER | {"inference.by": by}))
    made = fit(design)
    if by == "segment":
        with pytest.raises(StudyError, match="errors by segment"):
            responses_of(design, made)
        return
    t = design.table
    # Every county lies in one segment, so the regression of segments is one of counties and segment-years.
    listed = design.geography.neighbours
    segment = {b: a for a, b in listed.itertuples(index=False) if a.endswith("001")}
    home = t["county_fips"].map(segment).fillna(t["county_fips"])
    inside = home.isin(segment.values()).to_numpy()
    columns = np.hstack(
        [t[["treated"]].to_numpy(float), dummies(t["county_fips"], home + t["year"].astype(str))]
    )
    rest = np.zeros(len(t))
    rest[inside] = taken_out(
        t[inside], t["outcome"].to_numpy(float)[inside], columns[inside], np.ones(inside.sum())
    )
    assert "share" in compared(design, made, rest, centre=made.table["estimate"].item())


def test_refits_of_matched_differences_are_the_estimators_own():
    design = make_design(panel(), spec(CROSS_SECTION))
    made = fit(design)
    found, how = responses_of(design, made)
    assert "matches kept" in how and found.fixed == 1
    assert np.sqrt(found.variance(np.ones((1, len(found.effect)))))[0] == pytest.approx(
        made.table["std_error"].item()
    )
    # The matches do not look at outcomes: an outcome moved in one state moves estimate and error as they say.
    sets, t = match(design), design.table
    weight = np.where(sets.used, sets.weights, 0.0)
    columns = np.column_stack([sets.treated.astype(float), np.ones(len(t)), sets.covariates])
    y = t["outcome"].to_numpy(float)
    root = np.sqrt(weight)[:, None]
    beta = np.linalg.lstsq(columns * root, y * root[:, 0], rcond=None)[0]
    rest = np.where(sets.used, y - columns @ beta, 0.0)
    compared(design, made, rest, centre=float(beta[0]))


def test_other_estimators_are_refitted_to_first_order_and_say_so():
    design = make_design(panel(), spec({"estimator.name": "imputation"}))
    made = aggregate(fit(design), over="post")
    found, how = responses_of(design, made)
    assert how.startswith("to first order")
    ones = np.ones((1, len(found.effect)))
    assert np.sqrt(found.variance(ones))[0] == pytest.approx(made.table["std_error"].item())
    with pytest.raises(StudyError, match="errors by none"):
        responses_of(design, estimate(spec(CROSS_SECTION | INDEPENDENT), 1.0))


# Noise of 60 keeps power between its ends.
def noisy(seed=2):
    given = panel(seed, effect=0.0)
    noise = np.random.default_rng(seed).normal(0, 60.0, len(given.table))
    column = "rate_policed_property"
    return replace(given, table=given.table.assign(**{column: given.table[column] + noise}))


def test_frames_hold_the_numbers_of_their_functions_and_failures_keep_their_row():
    given = noisy()
    good, bad = spec(name="case/measure=property"), spec({"sample.keep_states": ["IL"]}, "case/bad")
    runs = [run_spec(given, one) for one in (good, bad)]
    tests = simulated_tests(given, [good, bad], draws=2_000)
    table = nulls(runs, tests)
    assert tuple(table.columns) == tuple(NULLS)
    row, line = table.iloc[0], runs[0].estimates["post"]
    made = line.table.iloc[0]
    error, df, base = float(made["std_error"]), line.inference.df, line.baseline
    assert (row["design"], row["comparison"]) == ("", "between") and table["design"].iloc[1] == "bad"
    assert row["detectable"] == pytest.approx(detectable_size(error, df))
    critical = stats.t.ppf(0.975, df)
    assert row["detectable_simulated"] == pytest.approx(detectable_by_refits(tests[0].refits, critical))
    assert row["size_simulated"] == share_rejected(tests[0].refits, np.zeros(1), critical)[0]
    refits = tests[0].refits
    assert row["spread_simulated"] == pytest.approx(np.std(refits.estimate) / error)
    assert row["stated_simulated"] * row["spread_simulated"] == pytest.approx(
        np.sqrt(np.mean(refits.std_error**2)) / error
    )
    assert row["detectable_percent"] == pytest.approx(100 * row["detectable"] / base)
    assert row["smallest_bound"] == pytest.approx(abs(made["estimate"]) + stats.t.ppf(0.95, df) * error)
    per = 10 * runs[0].declined_per_10k
    assert row["detectable_per_declined"] == pytest.approx(row["detectable"] / per)
    for end in ("low", "high"):
        assert row[f"offences_per_declined_{end}"] == pytest.approx(made[f"conf_{end}"] / per)
    assert table.iloc[1]["failure"] and np.isnan(table.iloc[1]["detectable"])
    assert table.iloc[1]["sentence"].startswith("No interval for changes in reported property crime: ")
    # Deterministic, and the same whatever else is asked for.
    assert np.array_equal(
        simulated_tests(given, [good], draws=2_000)[0].refits.estimate, tests[0].refits.estimate
    )
    with pytest.raises(StudyError, match="two simulated tests"):
        nulls(runs, [tests[0], tests[0]])

    curves = power_curves(given, [good, bad], effects=[-4.0, 0.0, 4.0], tests=tests)
    assert tuple(curves.columns) == tuple(CURVES)
    one = curves[curves["question"].eq("difference")].set_index("effect_percent")
    assert one["analytic"].tolist() == power_of_test(np.array([-0.04, 0.0, 0.04]) * base, error, df).tolist()
    assert one.loc[0.0, "simulated"] == row["size_simulated"]
    inside = curves[curves["bound_percent"].eq(10.0) & curves["effect_percent"].eq(4.0)].iloc[0]
    assert inside["analytic"] == pytest.approx(
        equivalence_power(0.04 * base, error, 0.1 * base, df), rel=1e-6
    )
    assert curves["failure"].iloc[-1] == table.iloc[1]["failure"]

    signs = sign_errors(runs, [2.0, 5.0])
    assert tuple(signs.columns) == tuple(SIGNS) and len(signs) == 3
    known = sign_error(np.array([0.02, 0.05]) * base, error, df)
    assert signs["exaggeration"].tolist()[:2] == known.exaggeration.tolist()


def case(value=-6.0, error=2.0, changes=None, declined=2.0, name="case", **more):
    one = spec(changes, name)
    return Run(one, {"post": estimate(one, value, error, **more)}, pd.DataFrame(), ("IA",), declined, "")


def test_every_stated_bound_is_tested_or_says_why_not():
    table = equivalence_tests([case(baseline=3000.0, error=20.0)])
    assert tuple(table.columns) == tuple(EQUIVALENCE)
    by = table.set_index(["kind", "source"])
    assert by.loc[("share_of_mean", "5 %"), "bound"] == 150.0
    assert by.loc[("published", "wong2017.crime.all"), "bound"] == pytest.approx(355.0)
    assert "as if all of it" in by.loc[("published", "wong2017.crime.all"), "reading"]
    ratio = by.loc[("published", "biasi.logcrime_dd1.c2")]
    assert ratio["bound_percent"] == pytest.approx(100 * np.expm1(0.0348))
    assert by.loc["custody"]["bound"].tolist() == pytest.approx([20.0 * k for k in PER_DETAINER])
    five = by.loc[("share_of_mean", "5 %")]
    assert five["p_below"] == pytest.approx(stats.t.sf(144 / 20, 29))
    assert five["p_above"] == pytest.approx(stats.t.sf(156 / 20, 29)) and five["p_value"] == five["p_below"]
    # Equivalence is shown exactly from the smallest bound on.
    smallest = table["smallest_bound"].iloc[0]
    assert (table["equivalent"] == (table["bound"] >= smallest)).all()
    few = equivalence_tests([case(baseline=60.0)]).set_index(["kind", "source"])
    assert few.loc[("custody", "2"), "bound"] == 40.0 and np.isnan(few.loc[("custody", "5"), "bound"])
    assert few.loc[("custody", "5"), "reading"].startswith("more than all")
    assert table["carries_verdict"].all()


def test_a_bound_of_all_crime_is_not_guessed_for_a_part_of_it_nor_custody_without_a_record():
    violent = equivalence_tests([case(changes={"outcome.measure": "violent"}, declined=np.nan)])
    wong = violent[violent["source"] == "wong2017.crime.all"].iloc[0]
    assert np.isnan(wong["bound"]) and np.isnan(wong["p_value"]) and not wong["equivalent"]
    assert wong["reading"].startswith("cannot be put on this outcome's scale")
    custody = violent[violent["kind"] == "custody"]
    assert custody["bound"].isna().all() and custody["reading"].str.contains("no record").all()
    total = equivalence_tests([case(changes={"outcome.measure": "total"})])
    assert (total.loc[total["kind"].eq("published"), "reading"] == "of this outcome").all()
    direct = equivalence_tests([case(changes=DIRECT)])
    assert direct.loc[direct["kind"].eq("custody"), "bound"].isna().all()
    logs = equivalence_tests([case(0.01, 0.01, {"outcome.scale": "log_rate"}, baseline=np.log(300.0))])
    five = logs[logs["source"].eq("5 %")].iloc[0]
    assert five["bound"] == pytest.approx(np.log(1.05)) and five["bound_percent"] == pytest.approx(5.0)
    # Two per 10,000 are 20 per 100,000, a fifteenth of 300.
    one = logs[logs["kind"].eq("custody") & logs["source"].eq("1")].iloc[0]
    assert one["bound"] == pytest.approx(np.log1p(20 / 300))
    assert [fact.id for fact in load_claims().claim("fewer").facts] == ["wong2017.crime.all"]


def test_sentences_name_both_ends_and_what_they_rest_on():
    assert exclusion_sentence(case(changes={"estimator.weights": "population_baseline"})) == (
        "At 95 % the data exclude changes in reported property crime below −3.3 % or above −0.7 % of the mean before "
        "adoption, if reported crime would have moved alike in counties with and without a limit, whatever their state, and "
        "if what else moves it is independent between states, and the 8 states behind the interval are enough to learn its "
        "size from."
    )
    wide = exclusion_sentence(case(0.0, 200.0, {"sample.drop_states": ["CA"]}))
    assert (
        "exclude no fall in reported property crime, and rises above +133.3 % of the mean before adoption, CA left out, "
        "every county counted alike, if " in wide
    )
    few = exclusion_sentence(case(treated_per_state=1))
    assert few.endswith("It rests on 6 treated areas in 6 states: too few to be read as a finding.")
    matched = exclusion_sentence(case(changes=CROSS_SECTION | INDEPENDENT))
    assert "of the mean of comparison areas, every county counted alike, if counties of one class" in matched
    assert "independent between counties" in matched
    none = exclusion_sentence(case(error=np.nan))
    assert none == "No interval for changes in reported property crime: the design gives no error."
    assert "both sides of a border" in design_assumption(spec(BORDER))
    assert design_assumption(spec(COVARIATE)).endswith("once they are alike on the covariates")


def headline_like(designs=("", "within-states", "my-own")):
    """Two outcomes under some designs, and one failure."""
    runs = []
    for measure in ("violent_ex_rape", "property"):
        for at, name in enumerate(designs):
            full = "/".join(part for part in ("case", name, f"measure={measure}") if part)
            runs.append(case(3.0 * at, 6.0, {"outcome.measure": measure}, name=full))
    failed = Run(
        spec(name="case/border/measure=property"), {}, pd.DataFrame(), (), float("nan"), "no neighbours"
    )
    return [*runs, failed]


def test_tables_print_the_frames_and_keep_what_failed():
    runs = headline_like()
    found = nulls(runs)
    printed = exclusions_table(found)
    assert printed.cells["Design"].tolist()[:3] == ["Across states", "Within states", "My own"]
    assert printed.cells["Outcome"].tolist() == ["Violent excl. rape", "", "", "Property", "", "", ""]
    # Detectable: (t of 0.975 with 29 degrees of freedom and power) times 6, of a mean of 300.
    assert printed.cells["Detectable, %"].tolist()[0] == f"{100 * detectable_size(6.0, 29) / 300:.1f}"
    assert printed.cells["Changes not excluded, %"].tolist()[0] == "0.0 (−4.0 to 4.0) ="
    assert printed.cells["in refits, %"].eq("–").all()
    assert printed.cells.iloc[-1].tolist()[2:] == ["–"] * 7
    tested = equivalence_table(equivalence_tests(runs))
    row = tested.cells.iloc[0]
    assert row["5 % of mean"] == f"{stats.t.sf(15 / 6, 29):.3f}* (5.0)"
    assert (
        row["35.5 per 10,000"] == "–" and row["Smallest bound, %"] == f"{stats.t.ppf(0.95, 29) * 6 / 3:.1f}"
    )
    assert tested.cells.shape == (7, 3 + 2 + 2 + len(PER_DETAINER))


def test_figures_draw_the_rows_they_are_given():
    given = noisy()
    specs = [spec(name="case/measure=property"), spec(BORDER, "case/border/measure=property")]
    curves = power_curves(given, specs, tests=simulated_tests(given, specs, draws=500))
    rows = power_rows(curves)
    assert rows["design"].unique().tolist() == [""] and rows["question"].eq("difference").all()
    drawn = [a for a in power_plot(rows).axes if a.get_title(loc="left")]
    assert [a.get_title(loc="left") for a in drawn] == ["Across states"]
    line, dots = drawn[0].get_lines()[-2:]
    assert line.get_ydata().tolist() == rows["analytic"].tolist()
    assert dots.get_ydata().tolist() == rows["simulated"].tolist()
    signs = sign_rows(sign_errors(headline_like()))
    panels = sign_plot(signs).axes
    assert len(panels) == 4 and all(len(a.get_lines()) == 3 for a in panels)
    own = signs[signs["measure"].eq("violent_ex_rape") & signs["design"].eq("")]
    assert panels[0].get_lines()[0].get_ydata().tolist() == own["exaggeration"].tolist()
    for plot, frame in ((power_plot, rows), (sign_plot, signs)):
        with pytest.raises(StudyError, match="no "):
            plot(frame.iloc[:0])

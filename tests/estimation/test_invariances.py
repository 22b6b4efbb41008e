"""Eight things that must not move an estimate, and which of them each panel estimator owes.

What an estimator does not owe stands beside it with the reason, and is seen to move it: a declaration that no longer
holds fails as one that never did.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from estimation_cases import BY_STATE, make_design_of, make_spec, simulated_panel

from analysis.base.records import Geography
from analysis.design.estimators import ESTIMATORS
from analysis.design.spec import EstimatorSection, InferenceSection
from analysis.estimation import fit

PANEL = simulated_panel(1, counties=144, states=12)
COUNTS = PANEL.assign(
    population=PANEL["weight"],
    outcome=np.random.default_rng(0)
    .poisson(PANEL["weight"] / 500 * np.exp(0.02 * (PANEL["outcome"] - 40) - 0.3 * PANEL["treated"]))
    .astype(float),
)
# One adopter and counties that never do; the adopter from the middle of the others, so that weights can reach it.
ADOPTER = PANEL.loc[PANEL["cohort"] == 2014, "county_fips"].iloc[0]
ALONE = PANEL[PANEL["cohort"].isna() | PANEL["county_fips"].eq(ADOPTER)]
PLACEBO = InferenceSection("placebo", "none", 0.95, 0, 1)

INVARIANCES = (
    "row_order", "county_names", "county_shifts", "year_shifts", "scale", "weights_times_a_constant",
    "years_renamed", "always_treated",
)  # fmt: skip
RATIO = "effects are ratios: a shift of levels is none of logarithms"
LEVELS = "weights are fitted on levels, which another level of one county changes"
PENALTY = "the penalty on weights follows the spread of yearly changes, which a shift of a year widens"
BEFORE = "adopters alone: what happens to all counties is in the estimate"
COMPARED = "one coefficient compares with counties treated throughout as well"
UNWEIGHTED = "takes no weights"

# name -> (spec keys, comparison, panel, what it does not owe and why)
OWES = {
    "two_way": ({"effects": "county_year"}, "not_yet_treated", PANEL, {"always_treated": COMPARED}),
    "two_way, event times": (
        {"effects": "county_year", "method": "event_time"}, "not_yet_treated", PANEL, {},
    ),
    "group_time_att": ({"method": "doubly_robust", "within": "none"}, "not_yet_treated", PANEL, {}),
    "imputation": ({"within": "none"}, "not_yet_treated", PANEL, {}),
    "imputation, trends": ({"within": "none", "trends": "county"}, "not_yet_treated", PANEL, {}),
    "two_stage": ({"within": "none"}, "not_yet_treated", PANEL, {}),
    "interaction_weighted": ({"within": "none"}, "never_treated", PANEL, {}),
    "stacked": ({"within": "none", "window": 2}, "not_yet_treated", PANEL, {}),
    "extended_two_way": ({"within": "none", "method": "linear"}, "not_yet_treated", PANEL, {}),
    "extended_two_way, counts": (
        {"within": "none", "method": "poisson"}, "not_yet_treated", COUNTS,
        {"county_shifts": RATIO, "year_shifts": RATIO, "weights_times_a_constant": UNWEIGHTED},
    ),
    "local_projections": ({"within": "none", "method": "variance_weighted"}, "not_yet_treated", PANEL, {}),
    "poisson": (
        {"effects": "county_year", "method": "event_time"}, "not_yet_treated", COUNTS,
        {"county_shifts": RATIO, "year_shifts": RATIO, "weights_times_a_constant": UNWEIGHTED},
    ),
    "matched_did": (
        {"match_on": ("covariates",), "distance": "mahalanobis", "neighbours": 2, "replacement": True,
         "caliper": 0.0, "exact": ()},
        "never_treated", PANEL, {},
    ),
    "border_pairs": ({"effects": "pair_by_year", "method": "post"}, "never_treated", PANEL, {}),
    "synthetic_control": (
        {"method": "simplex"}, "never_treated", ALONE,
        {"county_shifts": LEVELS, "weights_times_a_constant": UNWEIGHTED},
    ),
    "synthetic_did": (
        {}, "never_treated", ALONE, {"year_shifts": PENALTY, "weights_times_a_constant": UNWEIGHTED},
    ),
    "before_after": ({"lag_years": 1}, "never_treated", PANEL, {"year_shifts": BEFORE}),
    "two_by_two": ({"within": "none"}, "never_treated", PANEL, {}),
}  # fmt: skip


def renamed(codes):
    return codes.map(lambda f: f[:2] + f"{999 - int(f[2:]):03d}")


def neighbours_of(table, names=lambda codes: codes):
    codes = names(pd.Series(sorted(PANEL["county_fips"].unique())))
    pairs = [pair for a, b in pairwise(codes) for pair in ((a, b), (b, a))]
    return Geography(neighbours=pd.DataFrame(pairs, columns=["county_fips", "neighbour_fips"]).astype("str"))


def found(name, table, geography=None):
    keys, comparison, _, without = OWES[name]
    estimator = name.split(", ")[0]
    weights = "none" if "weights_times_a_constant" in without else "population_baseline"
    matched = estimator == "matched_did"
    spec = make_spec(
        EstimatorSection(estimator, weights, **keys),
        PLACEBO if estimator.startswith("synthetic") else BY_STATE,
        covariates=("poverty",) if matched or estimator == "group_time_att" else (),
        comparison=comparison,
    )
    if table is COUNTS or "counts" in name or estimator == "poisson":
        spec = replace(spec, outcome=replace(spec.outcome, scale="count"))
    design = replace(make_design_of(table, spec), geography=geography or neighbours_of(table))
    columns = (
        ["estimate", "conf_low", "conf_high"]
        if estimator.startswith("synthetic")
        else ["estimate", "std_error"]
    )
    return fit(design).table[columns].to_numpy(dtype=float)


def moved(name, which, table):
    """Return what the estimator gives on the changed panel, and the factor its numbers are to be multiplied by."""
    code = table["county_fips"].str[2:].astype(int)
    if which == "row_order":
        return found(name, table.sample(frac=1, random_state=1)), 1.0
    if which == "county_names":
        return found(
            name, table.assign(county_fips=renamed(table["county_fips"])), neighbours_of(table, renamed)
        ), 1.0
    if which == "county_shifts":
        return found(name, table.assign(outcome=table["outcome"] + 3.0 * (code % 7))), 1.0
    if which == "year_shifts":
        return found(name, table.assign(outcome=table["outcome"] + 5.0 * (table["year"] - 2010) ** 2)), 1.0
    if which == "scale":
        # Ten times the offences are the same relative change.
        factor = 1.0 if OWES[name][2] is COUNTS else 10.0
        return found(name, table.assign(outcome=table["outcome"] * 10)), factor
    if which == "weights_times_a_constant":
        return found(name, table.assign(weight=table["weight"] * 1e4)), 1.0
    if which == "years_renamed":
        return found(name, table.assign(year=table["year"] - 3, cohort=table["cohort"] - 3)), 1.0
    old = table[table["county_fips"] == table["county_fips"].iloc[0]].assign(
        county_fips="06998", cohort=2005, event_time=lambda t: t["year"] - 2005, treated=True,
        outcome=lambda t: t["outcome"] * np.linspace(1.0, 9.0, len(t)).round(1),
    )  # fmt: skip
    return found(name, pd.concat([table, old.astype({"cohort": "Int64", "event_time": "Int64"})])), 1.0


def test_every_panel_estimator_declares_what_it_owes():
    panels = {name for name, rules in ESTIMATORS.items() if rules.kind == "panel"}
    assert {name.split(", ")[0] for name in OWES} == panels
    for _, _, _, without in OWES.values():
        assert set(without) <= set(INVARIANCES)


@pytest.mark.parametrize("which", INVARIANCES)
@pytest.mark.parametrize("name", list(OWES))
def test_what_is_owed_holds_and_what_is_not_does_not(name, which):
    table, without = OWES[name][2:]
    base = found(name, table)
    assert np.isfinite(base).any()
    if which == "weights_times_a_constant" and without.get(which) == UNWEIGHTED:
        assert np.array_equal(moved(name, which, table)[0], base, equal_nan=True)
        return
    after, factor = moved(name, which, table)
    # Iterated fits stop within 1e-8 of their end; the others differ by rounding.
    same = after == pytest.approx(base * factor, rel=1e-6, abs=1e-8 * factor, nan_ok=True)
    assert same != (which in without), f"{name} {'moves' if not same else 'does not move'}"

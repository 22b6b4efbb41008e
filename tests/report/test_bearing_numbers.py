"""Sentences of what the numbers can bear, on small invented frames: what they count, both ends, signs, what is missing."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest

from analysis.base.errors import TableError
from analysis.report import bearing_numbers as say
from analysis.report.outputs import OUTPUTS

LABELS = {
    "violent_ex_rape": "violent crime excluding rape",
    "property": "property crime",
    "murder": "murder",
    "motor_vehicle_theft": "motor-vehicle theft",
    "total": "total crime (violent and property)",
}
DESIGNS = ("", "without-california", "border")


def spec(design, measure="property"):
    return "/".join(part for part in ("headline", design, f"measure={measure}") if part)


def frame(name, *rows, **every):
    """A frame under its contract: named cells, nothing elsewhere."""
    return pd.DataFrame([every | row for row in rows], columns=list(say.CONTRACTS[name].columns))


def null(design, percent, low, high, **more):
    row = {
        "spec": spec(design, more.pop("measure", "property")), "design": design, "measure": "property", "comparison": "between",
        "level": 0.95, "percent": percent, "percent_low": low, "percent_high": high, "precision": "inconclusive",
        "detectable_percent": 8.0, "detectable_simulated_percent": 7.0, "size_simulated": 0.1, "declined_per_10k": 1.0,
        "offences_per_declined": 2.0 * percent, "offences_per_declined_low": 2.0 * low, "offences_per_declined_high": 2.0 * high,
        "detectable_per_declined": 16.0, "sentence": f"At 95 % the data exclude what {design or 'all'} says.",
    }  # fmt: skip
    return row | {"measure": row["spec"].split("measure=")[1]} | more


@cache
def _world():
    """Every frame, with one outcome and few designs; numbers are invented."""
    of = {"measure": "property"}
    nulls = frame(
        "nulls",
        null("", 10.0, 4.0, 16.0, precision="different from zero"),
        null("without-california", -2.0, -9.0, 5.0, detectable_percent=20.0, size_simulated=0.02),
        null("border", 30.0, 20.0, 40.0, precision="not informative", comparison="border"),
    )
    shares = [
        {"family": family, "kind": kind, "reading": reading, "n": 1, "n_specs": 40, "share": share}
        for family, above in (("all", 0.7), ("border", 0.6), ("staggered", 0.8))
        for kind, reading, share in (
            ("sign", "positive", above), ("sign", "negative", 0.95 - above), ("sign", "failed", 0.05),
            ("verdict", "different from zero, positive", 0.3), ("verdict", "different from zero, negative", 0.001),
            ("verdict", "equivalent to zero", 0.1), ("verdict", "inconclusive", 0.5), ("verdict", "not informative", 0.049),
            ("verdict", "no verdict", 0.0), ("verdict", "failed", 0.05),
        )
    ]  # fmt: skip
    weights = [
        {"choice": choice, "options": n, "alone": 0.1, "shapley": part, "last": 0.1, "total": total}
        for choice, n, part, total in (
            ("estimator", 5, 0.2, 0.3), ("california", 2, 0.02, 0.04), ("weights", 2, 0.1, 0.5), ("scale", 2, 0.05, 0.06),
            ("additive", 0, np.nan, 0.9),
        )
    ]  # fmt: skip
    pairs = [
        {"choice": choice, "option": option, "reference": reference, "pairs": 9, "difference": gap, "low": gap - 2, "high": gap + 2}
        for choice, option, reference, gap in (
            ("weights", "residents", "residents", 0.0), ("weights", "counties", "residents", -3.0),
            ("scale", "log", "rate", 2.0), ("estimator", "two-way", "group-time", 1.0), ("build", "whole", "policed", 0.9),
            ("california", "without", "with", -0.5),
        )
    ]  # fmt: skip
    joint = [
        {"compared": compared, "how": how, "statistic": statistic, "observed": 6.0, "p_value": p, "size": size, "size_error": 0.01}
        for compared, p in (("all", 0.02), ("within", 0.3))
        for how, statistic, size in (("signs", "median", 0.05), ("signs", "share", 0.06), ("resampled", "median", 0.12))
    ]  # fmt: skip
    places = [
        {"fact": "one", "study": "Somebody 2017", "published": -35.5, "unit": "per_10k", "percent": -11.9, "measure": "total",
         "same_outcome": "near", "family": "all", "n_specs": 40, "place": 0.0, "inside": 0.1, "above": 0.9, "below": 0.0, "reason": ""},
        {"fact": "two", "study": "Another 2019", "measure": "", "same_outcome": "", "family": "", "reason": "a null in words"},
    ]  # fmt: skip
    tests = [
        {"kind": kind, "source": source, "p_value": p, "equivalent": p < 0.05, "chance_if_zero": 0.4, "smallest_bound_percent": bound}
        | {"spec": spec(design), "carries_verdict": design != "border", "failure": ""}
        for design, bound in (("", 15.0), ("without-california", 8.0), ("border", 1.0))
        for kind, source, p in (
            ("share_of_mean", "10 %", 0.01 if bound < 10 else 0.5), ("published", "wong2017.crime.all", np.nan),
            ("custody", "0.1", 0.9), ("custody", "5", 0.9),
        )
    ]  # fmt: skip
    signs = [
        {"spec": spec(design), "effect_percent": effect, "power": 0.1, "sign_error": wrong, "exaggeration": times}
        for design, effect, wrong, times in (
            ("", 2.0, 0.1, 4.0), ("border", 2.0, 0.3, 12.0), ("", 5.0, 0.001, 1.5), ("", 7.5, 0.0, 1.1)
        )
    ]  # fmt: skip
    omitted = [
        {"spec": spec(design), "variant": design, "adjusted": adjusted, "device": device, "about": about, "statistic": statistic,
         "value": value}
        for design, adjusted, strength in (("", "covariates", 0.3), ("", "covariates_and_divisions", 0.1), ("two-way", "covariates", 0.2))
        for device, about, statistic, value in (
            ("regression", "", "estimate", 100 * strength), ("regression", "", "conf_low", 100 * strength - 20),
            ("regression", "", "conf_high", 100 * strength + 20), ("regression", "", "baseline", 200.0),
            ("robustness_value", "", "estimate", strength), ("robustness_value", "", "interval", max(strength - 0.2, 0)),
            ("benchmark", "all_covariates", "multiple", 4 * strength),
        )
    ]  # fmt: skip
    needed = [
        {"spec": spec(design), "variant": design, "device": device, "about": about, "statistic": statistic, "value": value,
         "informative": True}
        for design, device, about, statistic, value in (
            ("", "robustness_value", "", "estimate", 0.3), ("", "robustness_value", "", "interval", 0.1),
            ("", "benchmark", "all_covariates", "multiple", 0.5), ("", "relative_magnitude", "", "interval", 0.4),
            ("matched-2015", "rosenbaum_gamma", "", "test", 1.25),
        )
    ]  # fmt: skip
    zero = [
        {"spec": spec(""), "which": which, "percent": 9.0, "counties": n, "open_counties": of_, "share_of_counties": n / of_,
         "weight_of_counties": 0.4, "share_of_weight": 0.3, "states": 1}
        for which, n, of_ in (("listed", 1, 45), ("either", 2, 800))
    ]  # fmt: skip
    zero.append(
        {
            "spec": spec("within-states"),
            "which": "listed",
            "percent": 8.0,
            "open_counties": 22,
            "share_of_weight": 0.19,
        }
    )
    bounds = [
        {"spec": spec(""), "assumption": "arbitrary", "which": "both", "share": share, "percent_low": 9 - 100 * share,
         "percent_high": 9 + 50 * share}
        for share in (0.0, 0.05, 0.1)
    ]  # fmt: skip
    disagree = [
        {"definition": "policy_full", "beside": beside, "descriptive": later, "treated": 50, "treated_both": 20, "treated_not": 25,
         "treated_unknown": 5, "untreated": 900, "untreated_treated": 1, "share_not_treated": 0.55,
         "share_not_treated_residents": 0.1, "jaccard": overlap, "same_year": 12, "within_one_year": 18, "dated_both": 20}
        for beside, later, overlap in (("policy_any", False, 1.0), ("declines_share25", False, 0.4), ("dhs_2025", True, 0.3))
    ]  # fmt: skip
    again = [
        {"spec": spec(design), "relabelling": how, "percent": value, "percent_low": value - 5, "percent_high": value + 5,
         "informative": enough, "failure": ""}
        for design, how, value, enough in (
            ("", "as_listed", 10.0, True), ("", "both", 7.0, True), ("", "a_year_later", 4.0, True), ("", "a_year_earlier", 90.0, False),
            ("border", "as_listed", 3.0, False),
        )
    ]  # fmt: skip
    again.append(
        {"spec": spec("two-way"), "relabelling": "both", "informative": False, "failure": "one arm alone"}
    )
    even = [
        {"spec": spec("", measure), "measure": measure, "percent": 10.0, "end": end, "group": "hispanic", "share_of_reports": 0.25,
         "risk_ratio": risk, "rate_ratio": 1.0, "break_even": change / risk, "possible": measure == "property", "informative": True,
         "failure": ""}
        for measure in ("property", "murder")
        for risk in (1.0, 2.0)
        for end, change in (("estimate", 40.0), ("conf_low", -16.0), ("conf_high", 64.0))
    ]  # fmt: skip
    implied = [
        {"spec": spec(""), "percent": 10.0, "group": "hispanic", "input": name, "nearest": True, "direction": way, "reporting": moved,
         "all": left}
        for name, way, moved, left in (
            ("gjw2024.reporting", "as_found", 40.0, -2.0), ("jacome2022.reports", "as_found", 4.0, 8.0),
            ("gjw2024.reporting", "reversed", -30.0, 20.0), ("baumerxie2023.victimization", "as_found", 0.0, 99.0),
        )
    ]  # fmt: skip
    beside = [
        {"spec": spec(""), "percent": 10.0, "yardstick": yard, "yardstick_percent": 1.0, "yardstick_low": -3.0, "yardstick_high": 5.0,
         "difference": 9.0, "difference_low": low, "difference_high": high, "informative": True}
        for yard, low, high in (("murder", 2.0, 16.0), ("motor_vehicle_theft", np.nan, np.nan))
    ]  # fmt: skip
    # Far from zero, and not informative.
    beside.append(beside[0] | {"spec": spec("border"), "informative": False})
    covered = [
        {"spec": spec(""), "sample": sample, "assumption": fill, "percent_estimate": 8.0, "percent_low": 8.0 - reach,
         "percent_high": 8.0 + reach, "percent_conf_low": 7.0 - reach, "percent_conf_high": 9.0 + reach,
         "bounds_exclude_zero": reach < 8}
        for sample, wide in (("coverage_rule", 1.0), ("no_coverage_rule", 10.0))
        for fill, reach in (("as_reported", 0.0), ("nothing", wide), ("factor", 2 * wide))
    ]  # fmt: skip
    silent = [
        {"spec": spec(""), "sample": sample, "california": where, "arm": arm, "period": period, "county_years": 100,
         "county_years_unknown": 1, "unreported": share}
        for where in ("in", "out")
        for sample in ("coverage_rule", "no_coverage_rule")
        for arm, period, share in (
            ("treated", "before", 0.02), ("treated", "after", 0.01), ("comparison", "before", 0.04), ("comparison", "after", 0.03)
        )
    ]  # fmt: skip
    state = [
        {"spec": spec(design), "window": "full", "sample": sample, "percent_in": value, "percent_in_low": value - 3,
         "percent_in_high": value + 3, "california_treated": 1, "california_share": 0.6, "failure": ""}
        for design, sample, value in (
            ("", "in", 10.0), ("", "out", 6.0), ("", "difference", 4.0), ("two-way", "difference", 1.0), ("border", "difference", 0.0)
        )
    ]  # fmt: skip
    return {
        "grid_plan": frame(
            "grid_plan", {"kind": "family", "label": "staggered", "cells": 30}, {"kind": "family", "label": "borders", "cells": 10},
            {"kind": "left_out", "label": "rule 6: no", "cells": 3}, {"kind": "left_out", "label": "too few", "cells": 5},
        ),
        "shares": frame("shares", *shares, **of),
        "importance": frame("importance", *weights, **of, family="all", of="rank"),
        "partial_dependence": frame("partial_dependence", *pairs, **of, family="all"),
        "joint_test": frame("joint_test", *joint, **of, n_specs=16),
        "published_places": frame("published_places", *places),
        "nulls": nulls,
        "equivalence_tests": frame("equivalence_tests", *tests, **of),
        "sign_errors": frame("sign_errors", *signs, **of),
        "omitted": frame("omitted", *omitted, **of),
        "bias_needed": frame("bias_needed", *needed, **of),
        "misclassification_bounds": frame("misclassification_bounds", *bounds, **of),
        "breakdown_shares": frame("breakdown_shares", *zero, **of),
        "definition_disagreement": frame("definition_disagreement", *disagree),
        "relabelled_on_purpose": frame("relabelled_on_purpose", *again, **of),
        "reporting_break_even": frame("reporting_break_even", *even),
        "reporting_implied": frame("reporting_implied", *implied, **of),
        "reporting_yardsticks": frame("reporting_yardsticks", *beside, **of),
        "coverage_bounds": frame("coverage_bounds", *covered, **of),
        "unreported": frame("unreported", *silent, **of),
        "california": frame("california", *state, **of),
    }  # fmt: skip


def world():
    """The invented frames, to be changed by replacing whole ones."""
    return dict(_world())


@cache
def _told():
    return say.phrases(_world(), LABELS)


def said(frames, key):
    same = all(frames.get(name) is f for name, f in _world().items())
    return (_told() if same else say.phrases(frames, LABELS))[key][0]


def last(frames, key):
    return said(frames, key).split("\n")[-1]


def changed(name, column, make, **where):
    """The world with one column of one frame changed, in all rows or in those named."""
    frames = world()
    f = frames[name].copy()
    rows = np.logical_and.reduce([f[c].eq(v) for c, v in where.items()]) if where else np.full(len(f), True)
    f.loc[rows, column] = make(f.loc[rows, column])
    return frames | {name: f}


SENTENCES = {
    "grid": "The grid holds 40 specifications in 2 families: staggered 30 (75 %) and borders 10 (25 %). 8 further combinations were "
    "left out before anything was estimated, each by a stated rule: 3 by rules of the protocol, 5 by rules of the grid. The "
    "commonest (5): too few.",
    "shares": "Reported property crime (40 specifications, families alike): 70 % of estimates lie above zero and 25 % below, above "
    "zero by family 60 % (county borders) to 80 % (staggered adoption); informative intervals lie wholly above zero in 30 % and "
    "wholly below in under 1 %, are equivalent to zero in 10 % and inconclusive in 50 %; 5 % are not informative and 5 % could not "
    "be estimated.",
    "moves": "Reported property crime: weights 50 % (10 %), estimator 30 % (20 %) and scale 6 % (5 %). In points: −3.0 for "
    "'counties' instead of 'residents' (−5.0 to −1.0); +2.0 for 'log' instead of 'rate' (0.0 to 4.0); +1.0 for 'two-way' instead of "
    "'group-time' (−1.0 to 3.0); −0.5 without California (−2.5 to 1.5).",
    "joint": "Reported property crime (16 linear specifications): median effect +6.0 %; p 0.020, below 0.05 in 2 of 2 tests of their "
    "size; within states p 0.300, below 0.05 in 0 of 2 tests of their size.",
    "places": "Somebody 2017 (−35.5 per 10,000 residents, −11.9 %), among 40 specifications of reported total crime, the nearest "
    "outcome here: 0 % of estimates lie below it; 10 % of intervals hold it, 90 % lie above it and 0 % below it.",
    "exclusions": "Without California: at 95 % the data exclude what without-california says.",
    "found": "Reported property crime: across states 8.0 % (7.0), without California 20.0 % (7.0) and along borders 8.0 % (7.0; not "
    "informative).",
    "custody": "Reported property crime: across states +20.0 (8.0 to 32.0), detectable 16.0; without California −4.0 (−18.0 to 10.0), "
    "detectable 16.0; along borders +60.0 (40.0 to 80.0; not informative), detectable 16.0; none of 2 informative designs could "
    "detect 5, the upper end of the range of 0.1 to 5 that is stated, not estimated.",
    "equivalence": "Reported property crime, 2 designs that may carry a verdict: shown within ±10 % of the mean by 1 (without "
    "California) (were there no effect, the best design would show it with a chance of 40 %); within 5 reported offences a year per "
    "declined detainer by none; the smallest bound that would be shown runs from 8.0 % (without California) to 15.0 % (across states).",
    "signs": "If reported property crime truly moved by 2 %, such an estimate would on average be 4.0 (across states) to 12.0 (along "
    "borders) times as large, and of the wrong sign in 10 % to 30 % of cases; by 5 %, 1.5 (across states) times as large, and of the "
    "wrong sign in under 1 % of cases.",
    "omitted": "Reported property crime, 2 regressions: to bring the estimate to zero an omitted variable must explain 20.0 % "
    "(two-way) to 30.0 % (across states) of what is left of both policy and outcome; 1 of 2 intervals by state holds zero already, "
    "and 10.0 % would do for the rest; one as strong as all covariates together would do for 1 of 2. Holding the census divisions "
    "constant as well takes the regression across states from +15.0 % (5.0 to 25.0) to +5.0 % (−5.0 to 15.0).",
    "needed": "Reported property crime: across states 30.0 % (10.0 %), 0.50 times the covariates, trends 0.40 times; the 2015 match "
    "odds 1.25 times.",
    "labels": "Reported property crime, across states (+9.0 %): 1 of 45 listed counties in 1 state with 40 % of listed residents, or "
    "2 of 800 labels on either side; with 10 % of either side labelled wrongly it lies between −1.0 % and +14.0 % at worst.",
    "disagreement": "Of 50 counties under 'Documented full decline', 20 are treated under 'Recorded declines, 25 %' too, 25 are "
    "comparison counties there and 5 neither: of those that both place, 55 %, with 10 % of their residents, are not treated. Of 900 "
    "comparison counties, 1 is treated there. Of 20 dated by both, 12 have the same first treated year and 18 one at most a year "
    "apart. Of counties that it and another dated definition both place and either treats, 40 % ('Recorded declines, 25 %') to 100 % "
    "('Documented limit, any') are treated under both. Of its counties that lists drawn up after the outcomes place, 55 % "
    "('Homeland Security list, May 2025') are not on them.",
    "relabelled": "Reported property crime: across states +10.0 % (5.0 to 15.0) as listed, +4.0 % (every date a year later) to +7.0 % "
    "(both) under 2 other sets of labels, of whose intervals 1 excludes zero (1 more not informative).",
    "reporting": "Reported property crime, across states (+10.0 %): Hispanic residents (25 %) +40 % (−16 to 64); over all stated risks "
    "and rates of reporting +20 % to +40 %.",
    "implied": "Reported property crime, across states, of +10.0 %: as found −2.0 % (Goncalves et al.) to +8.0 % (Jacome), below zero "
    "by 1 of 2 inputs; the other way round +20.0 % (Goncalves et al.), below zero by 0 of 1 input.",
    "yardsticks": "Across states: reported murder +1.0 % (−3.0 to 5.0) and reported motor-vehicle theft +1.0 % (−3.0 to 5.0); in points, "
    "reported property crime less murder +9.0 (2.0 to 16.0); reported property crime less motor-vehicle theft +9.0 (without a joint "
    "error).",
    "coverage": "Reported property crime, across states: under the coverage rule +8.0 %, and at the worst +6.0 % to +10.0 % (intervals "
    "5.0 to 11.0); without the coverage rule +8.0 %, and at the worst −12.0 % to +28.0 % (intervals −13.0 to 29.0).",
    "unreported": "Share of residents whose agencies did not report property crime: under the coverage rule treated areas 2.0 % before "
    "and 1.0 % after and comparison areas 4.0 % before and 3.0 % after (nobody reports in 4 of 400 county-years); without the coverage "
    "rule treated areas 2.0 % before and 1.0 % after and comparison areas 4.0 % before and 3.0 % after (nobody reports in 4 of 400 "
    "county-years).",
    "california": "Reported property crime: across states +10.0 % (7.0 to 13.0) with California and +6.0 % (3.0 to 9.0) without it, in "
    "per cent of the mean with it, a difference of +4.0 points (1.0 to 7.0); California's 1 treated county holds 60 % of the treated "
    "weight; over 2 designs that hold California the difference runs, in points, from +1.0 (two-way) to +4.0 (across states), and 1 of "
    "2 intervals excludes zero.",
}  # fmt: skip


@pytest.mark.parametrize("key", list(SENTENCES))
def test_each_sentence_says_what_its_frame_holds(key):
    assert SENTENCES[key] in said(world(), key).split("\n")


def test_the_summary_says_agreement_both_ends_what_turns_it_and_how_little_would_do():
    assert said(world(), "summary").split("\n") == [
        "Among informative designs, 1 of 2 estimates of reported property crime lies above zero (−2.0 % to +10.0 % of the mean), and 1 "
        "has an interval that excludes zero.",
        "At 95 % the data exclude, whichever of the designs in brackets holds, if it does: in reported property crime, changes below "
        "−9.0 % or above +16.0 % (across states or without California).",
        "Over 40 specifications of the grid, families weighing alike, 70 % of estimates of reported property crime lie above zero, 30 % "
        "of intervals wholly above and under 1 % wholly below it, and 2 of 2 joint tests of a linear part reject that there is no effect (within states 0 of 2): shares "
        "describe the grid and are no probabilities.",
        "By what areas are compared with: reported property crime +10.0 % (4.0 to 16.0) across states and −2.0 % (−9.0 to 5.0) without "
        "California (over the grid, most by: weights).",
        "Any one of these could by itself bring the estimate across states, or the simpler one that stands in for it, to zero: for "
        "reported property crime, an omitted variable that explains 30 % of what is left of both policy and outcome, 1 of 45 counties "
        "listed in error (those that matter most) or a change of +40 % in how much Hispanic residents report.",
        "The smallest change the informative designs find with a chance of 80 %: reported property crime 8 % (across states) to 20 % "
        "(without California); smaller ones, in either direction, can go unseen, and in refits without an effect the tests reject in "
        "2 % to 10 % of cases where 5 % would be right.",
        "Areas that adopted declined about 1.0 detainers per 10,000 residents in 2014: read through them alone, the estimates across "
        "states would mean so many reported offences more, or fewer, a year for each: +20.0 (8.0 to 32.0) for reported property crime.",
    ]  # fmt: skip


MOVED = (
    ("grid_plan", "cells", "grid"), ("shares", "share", "shares"),
    ("importance", "total", "moves"), ("partial_dependence", "difference", "moves"), ("joint_test", "p_value", "joint"),
    ("joint_test", "size", "joint"), ("published_places", "above", "places"), ("nulls", "detectable_percent", "found"),
    ("nulls", "size_simulated", "found"), ("nulls", "offences_per_declined_low", "custody"),
    ("nulls", "declined_per_10k", "custody"), ("equivalence_tests", "smallest_bound_percent", "equivalence"),
    ("sign_errors", "exaggeration", "signs"), ("omitted", "value", "omitted"), ("bias_needed", "value", "needed"),
    ("misclassification_bounds", "percent_low", "labels"), ("breakdown_shares", "counties", "labels"),
    ("definition_disagreement", "treated_not", "disagreement"), ("relabelled_on_purpose", "percent", "relabelled"),
    ("reporting_break_even", "break_even", "reporting"), ("reporting_implied", "all", "implied"),
    ("reporting_yardsticks", "difference_high", "yardsticks"), ("coverage_bounds", "percent_conf_low", "coverage"),
    ("unreported", "unreported", "unreported"), ("california", "percent_in_high", "california"),
    ("nulls", "percent_low", "summary"), ("nulls", "percent_high", "summary"), ("bias_needed", "value", "summary"),
    ("breakdown_shares", "counties", "summary"), ("shares", "share", "summary"), ("joint_test", "p_value", "summary"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "column", "key"), MOVED)
def test_another_number_makes_another_sentence(name, column, key):
    moved = changed(name, column, lambda values: values.astype(float) * 3)
    assert said(moved, key) != said(world(), key)


def test_every_design_is_told_with_its_own_conditions_in_the_order_of_the_spec():
    lines = said(changed("nulls", "sentence", lambda s: s), "exclusions").split("\n")
    assert [line.split(":")[0] for line in lines] == ["Across states", "Without California", "Along borders"]
    gone = changed("nulls", "sentence", lambda s: "No interval for changes: no rows.", design="border")
    assert said(gone, "exclusions").split("\n")[-1] == "Along borders: no interval for changes: no rows."


def test_what_is_not_informative_counts_in_no_range_and_no_verdict():
    """The border design has the largest estimate and an interval far above zero, and moves nothing."""
    text = said(world(), "summary")
    assert "30.0" not in text and "40.0" not in text
    judged = changed("nulls", "precision", lambda p: "different from zero")
    assert "2 of 3 estimates of reported property crime lie above zero (−2.0 % to +30.0 %" in said(
        judged, "summary"
    )
    assert "above +40.0 %" in said(judged, "summary")


def test_an_interval_beyond_a_fall_to_nothing_excludes_no_fall():
    deep = changed("nulls", "percent_low", lambda low: -140.0, design="")
    assert "no fall, and rises above +16.0 %" in said(deep, "summary")


def test_tests_off_size_are_counted_and_left_out_of_rejections():
    head = said(world(), "joint").split("\n")[0]
    assert head.endswith(
        "these tests at 5 % reject in 5 % to 12 % of cases; 2 of 6 tests are off size, and their p-values are not to be read alone."
    )
    unmeasured = changed("joint_test", "size", lambda s: np.nan)
    assert "no test known to be of its size" in said(unmeasured, "joint")
    assert "The size of these tests was not measured." in said(unmeasured, "joint")
    assert "joint test" not in said(unmeasured, "summary")


def test_falls_keep_their_sign_and_what_cannot_be_is_said():
    fall = changed("reporting_break_even", "break_even", lambda v: -v.astype(float))
    assert "Hispanic residents (25 %) −40 % (−64 to 16)" in said(fall, "reporting")
    never = changed("reporting_break_even", "possible", lambda v: False)
    assert "+40 % (−16 to 64; cannot be: beyond reporting everything or nothing)" in said(never, "reporting")
    assert last(world(), "reporting").startswith(
        "Of 1 pair of a group and an informative estimate of reported murder"
    )
    assert last(world(), "reporting").endswith("1 cannot be reporting alone.")
    # What cannot be reporting alone is not offered as a bias that would do.
    assert "Hispanic" not in said(never, "summary")


def test_one_and_many_agree_with_their_verbs():
    assert "1 of 2 estimates of reported property crime lies above zero" in said(world(), "summary")
    up = changed("nulls", "percent", lambda p: abs(p.astype(float)))
    assert "2 of 2 estimates of reported property crime lie above zero" in said(up, "summary")
    assert last(world(), "yardsticks") == "Over informative designs 1 of 1 such difference excludes zero."
    wide = changed("reporting_yardsticks", "difference_low", lambda low: -1.0, yardstick="murder")
    assert last(wide, "yardsticks") == "Over informative designs 0 of 1 such difference exclude zero."
    assert "holds 60 %" in said(world(), "california")
    seven = changed("california", "california_treated", lambda n: 7)
    assert "California's 7 treated counties hold 60 %" in said(seven, "california")
    single = world()
    single["grid_plan"] = single["grid_plan"].iloc[[0, 2]].assign(cells=1)
    assert said(single, "grid").startswith(
        "The grid holds 1 specification in 1 family: staggered 1 (100 %). 1 further combination was"
    )


def test_states_that_move_together_have_a_share_alone():
    assert last(world(), "labels") == (
        "Reported property crime, within states (+8.0 %): 19.0 % of listed residents in every state."
    )
    none = changed("breakdown_shares", "share_of_weight", lambda s: np.nan)
    assert last(none, "labels").endswith("no share of the listed short of all.")


def test_failed_rows_are_counted_and_otherwise_passed_over():
    assert last(world(), "relabelled") == "1 estimate could not be made anew."
    assert "two-way" not in said(world(), "relabelled")


@pytest.mark.parametrize("measure", ["murder", "my_own"])
def test_a_study_without_the_main_outcomes_tells_its_own(measure):
    other = frame("nulls", null("", 10.0, 4.0, 16.0, measure=measure))
    text = said({"nulls": other}, "found")
    assert f"Reported {LABELS.get(measure, 'my own')}: across states 8.0 % (7.0)." in text


def _plain(text):
    return text and not re.search(r"\bnan\b|None|<NA>|\binf\b|  |: \.|: ;", text)


def test_what_was_not_made_is_said_and_nothing_else():
    nothing = say.phrases({}, LABELS)
    for key, (text, output) in nothing.items():
        assert output in OUTPUTS, key
        assert _plain(text) and not re.search(r"\d", text), key
        assert re.search(r"\bNo\b|Nothing", text), key
    empty = {name: f.iloc[:0] for name, f in world().items()}
    assert say.phrases(empty, LABELS) == nothing
    assert say.phrases(dict.fromkeys(world(), pd.DataFrame()), LABELS) == nothing


@pytest.mark.parametrize("name", list(say.CONTRACTS))
def test_a_frame_without_numbers_leaves_sentences(name):
    whole = world()
    numbers = whole[name].select_dtypes("number").columns
    bare = whole | {name: whole[name].assign(**dict.fromkeys(numbers, np.nan))}
    assert all(_plain(text) for text, _ in say.phrases(bare, LABELS).values())


@pytest.mark.parametrize(
    "name", ["shares", "joint_test", "importance", "bias_needed", "breakdown_shares", "reporting_break_even"]
)
def test_the_summary_leaves_out_what_was_not_made_and_keeps_the_rest(name):
    whole = said(world(), "summary").split("\n")
    text = said({key: f for key, f in world().items() if key != name}, "summary").split("\n")
    assert all(_plain(line) for line in text) and whole[0] == text[0]
    assert len(text) == (6 if name == "shares" else 7) and text != whole


def test_a_frame_read_from_a_file_gives_the_same_sentences(tmp_path):
    """An empty text comes back as a missing number, and a flag beside one as an object."""
    back = {}
    for name, f in world().items():
        f.to_csv(tmp_path / f"{name}.csv", index=False)
        back[name] = pd.read_csv(tmp_path / f"{name}.csv")
    assert say.phrases(back, LABELS) == say.phrases(world(), LABELS)


def test_a_column_that_is_missing_is_named_and_inputs_stay_as_they_are():
    with pytest.raises(TableError, match="frame nulls lacks sentence"):
        say.phrases({"nulls": world()["nulls"].drop(columns="sentence")}, LABELS)
    frames, copies = world(), {name: f.copy() for name, f in world().items()}
    say.phrases(frames, LABELS)
    for name, f in frames.items():
        pd.testing.assert_frame_equal(f, copies[name])


def test_words_follow_the_protocol():
    text = " ".join(text for text, _ in say.phrases(world(), LABELS).values()).lower()
    for word in ("sanctuary", "naive", "surviv", "confirmatory", "significant", "proves"):
        assert word not in text
    # Crime is reported crime wherever an outcome is named.
    for found in re.finditer(r"property crime", text):
        before = text[: found.start()]
        assert before.endswith(("reported ", "did not report "))

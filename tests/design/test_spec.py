"""A spec reads strictly, keeps its identity, and refuses what the protocol refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.base.errors import ProtocolError, SpecError
from analysis.design.estimators import ESTIMATORS
from analysis.design.keys import SECTIONS
from analysis.design.spec import load_spec, parse_spec, spec_names
from analysis.design.words import describe

PANEL = """
name = "rule"
title = "A rule of our own"
status = "added"
[outcome]
measure = "violent_ex_rape"
scale = "rate_100k"
build = "policed"
[treatment]
definition = "policy_full"
onset = "first_full_year"
comparison = "not_yet_treated"
[sample]
years = [2010, 2017]
min_population = 10_000
min_coverage = 0.90
balance = "every_year"
drop_states = ["CA", "OR"]
drop_counties = ["06037"]
[covariates]
names = ["log_population", "hispanic"]
vintage = "2006_2010"
[estimator]
name = "group_time_att"
method = "doubly_robust"
within = "none"
weights = "population_baseline"
[inference]
vcov = "cluster"
by = "state"
level = 0.95
draws = 999
seed = 1
"""

MATCHED = """
name = "year"
title = "One year"
status = "added"
[design]
kind = "cross_section"
year = 2015
[outcome]
measure = "total"
scale = "rate_10k"
[treatment]
definition = "policy_full"
onset = "first_full_year"
comparison = "never_treated"
[sample]
min_population = 0
min_coverage = 0
[covariates]
names = ["hispanic"]
vintage = "2000"
[estimator]
name = "matched_difference"
distance = "mahalanobis"
neighbours = 1
replacement = true
caliper = 0.0
exact = ["urban_class"]
bias_adjust = false
weights = "none"
[inference]
vcov = "cluster"
by = "state"
level = 0.95
draws = 0
seed = 1
"""

TWO_WAY = PANEL.replace(
    'name = "group_time_att"\nmethod = "doubly_robust"\nwithin = "none"',
    'name = "two_way"\neffects = "county_year"',
).replace('names = ["log_population", "hispanic"]\nvintage = "2006_2010"', "names = []")


def read(text: str, old: str = "", new: str = "", folder: str | Path = ""):
    assert old in text, f"the test replaces {old!r}, which is not there"
    return parse_spec(text.replace(old, new, 1), where="my_rule.toml", folder=folder)


# --- messages -------------------------------------------------------------------------------------

MESSAGES = [
    (
        PANEL,
        "min_population",
        "min_populaton",
        "unknown key sample.min_populaton (did you mean min_population?); expected one of "
        "years, drop_years, min_population, min_coverage, balance, constant_agencies, "
        "keep_states, drop_states, drop_counties, urban_classes, without_neighbours, "
        "largest_hispanic, hispanic_quartile; change it in my_rule.toml",
    ),
    (
        PANEL,
        "0.90",
        "80",
        "sample.min_coverage = 80; expected a share in [0, 1]; change it in my_rule.toml",
    ),
    (
        PANEL,
        "0.90",
        '"90 %"',
        'sample.min_coverage = "90 %"; expected a share in [0, 1]; change it in my_rule.toml',
    ),
    (
        PANEL,
        "0.90",
        "true",
        "sample.min_coverage = true; expected a share in [0, 1]; change it in my_rule.toml",
    ),
    (
        PANEL,
        "10_000",
        "1e4",
        "sample.min_population = 10000.0; expected a number of residents; change it in my_rule.toml",
    ),
    (
        PANEL,
        '"06037"',
        "17031",
        "sample.drop_counties holds 17031, a number; expected FIPS codes as quoted text of "
        'five digits, ["06037"]; change it in my_rule.toml',
    ),
    (
        PANEL,
        '"06037"',
        '"6037"',
        "sample.drop_counties holds '6037'; expected FIPS codes as quoted text of five digits, "
        '["06037"]; change it in my_rule.toml',
    ),
    (
        PANEL,
        '"06037"',
        '"36061"',
        'sample.drop_counties holds "36061", a county of New York City, which is one area '
        'here, "36998"; expected FIPS codes as quoted text of five digits, ["06037"]; change '
        "it in my_rule.toml",
    ),
    (
        PANEL,
        '["CA", "OR"]',
        '["CA", "CA"]',
        'sample.drop_states holds CA twice; expected a list of postal codes, ["CA", "OR"]; '
        "change it in my_rule.toml",
    ),
    (
        PANEL,
        "2010, 2017",
        "2017, 2010",
        "sample.years = [2017, 2010]; expected [first, last], both between 2005 and 2019, "
        "first before last; change it in my_rule.toml",
    ),
    (
        PANEL,
        "seed = 1",
        "",
        "inference.seed is missing; expected a whole number from 0; change it in my_rule.toml",
    ),
    (
        PANEL,
        'by = "state"',
        "",
        "inference.by is missing; expected one of state, county, pair, pair_and_state, none, "
        "state_and_year, county_and_year, segment, state_and_segment; "
        "change it in my_rule.toml",
    ),
    (
        PANEL,
        'vcov = "cluster"',
        "",
        "inference.vcov is missing; expected one of cluster, wild_bootstrap, bootstrap, randomisation, "
        "abadie_imbens, abadie_imbens_homoskedastic, estimated_score, cr2, cr3, subcluster_bootstrap, "
        "spatial, placebo; "
        "change it in my_rule.toml",
    ),
    (
        PANEL,
        "level = 0.95",
        "",
        "inference.level is missing; expected a share between 0.5 and 1, such as 0.95; change "
        "it in my_rule.toml",
    ),
    (
        PANEL,
        "draws = 999",
        "",
        "inference.draws is missing; expected a whole number of draws, 0 for none; change it in my_rule.toml",
    ),
    (
        PANEL,
        'comparison = "not_yet_treated"',
        "",
        "treatment.comparison is missing; expected one of not_yet_treated, never_treated; "
        "change it in my_rule.toml",
    ),
    (
        PANEL,
        'weights = "population_baseline"',
        "",
        "estimator.weights is missing; expected one of population_baseline, none; change it in my_rule.toml",
    ),
    (
        PANEL,
        '"doubly_robust"',
        '"doubly_robst"',
        'estimator.method = "doubly_robst" (did you mean doubly_robust?); expected one of '
        "doubly_robust, outcome_regression, inverse_weighting; change it in my_rule.toml",
    ),
    (
        PANEL,
        '"hispanic"]',
        '"hispanics"]',
        "covariates.names holds 'hispanics' (did you mean hispanic?); expected one of "
        "log_population, log_density, foreign_born, hispanic, non_citizen, black, age_15_24, age_65_over, "
        "bachelor, owner_occupied, poverty, unemployment, log_income, democratic_vote; change "
        "it in my_rule.toml",
    ),
    (
        PANEL,
        '"2006_2010"',
        '"2009_2013"',
        'covariates.vintage = "2009_2013", in which there is no log_population; expected for '
        "log_population one of 2000, 2006_2010, 2009_2015, 2009_2018; change it in my_rule.toml",
    ),
    (
        PANEL,
        'scale = "rate_100k"',
        'scale = "as_measured"',
        'outcome.scale = "as_measured" for violent_ex_rape, a count of offences; expected one '
        "of rate_100k, rate_10k, log_rate, count; change it in my_rule.toml",
    ),
    (
        PANEL,
        '"violent_ex_rape"',
        '"declined_detainers"',
        'outcome.scale = "rate_100k" for declined_detainers, which is declined detainers per '
        '10,000 residents; expected "as_measured"; change it in my_rule.toml',
    ),
    (
        PANEL,
        "[inference]",
        "[inferences]",
        "unknown key 'inferences' (did you mean inference?); expected one of name, title, "
        "status, design, outcome, treatment, sample, covariates, controls, estimator, "
        "inference, vary, also; change it in my_rule.toml",
    ),
    (
        PANEL,
        'status = "added"',
        "",
        "status is missing; expected one of declared, added; change it in my_rule.toml",
    ),
    (
        MATCHED,
        "min_population = 0",
        "years = [2010, 2015]\nmin_population = 0",
        "sample.years = [2010, 2015] in a cross-section; expected design.year alone; change it "
        "in my_rule.toml",
    ),
    (
        PANEL,
        'names = ["log_population", "hispanic"]',
        "names = []",
        'covariates.vintage = "2006_2010" without covariates; expected covariates.names to '
        "hold some, or no vintage; change it in my_rule.toml",
    ),
    (
        MATCHED,
        'names = ["hispanic"]\nvintage = "2000"',
        "names = []",
        "covariates.names = [] for matched_difference; expected at least one covariate to "
        "match on; change it in my_rule.toml",
    ),
    (
        MATCHED,
        'vcov = "cluster"',
        'vcov = "abadie_imbens"',
        'inference.by = "state" with vcov = "abadie_imbens"; expected "none": that error takes '
        "counties as independent; change it in my_rule.toml",
    ),
]


@pytest.mark.parametrize(("text", "old", "new", "message"), MESSAGES)
def test_a_bad_spec_says_what_was_found_wanted_and_where(text, old, new, message):
    with pytest.raises(SpecError) as raised:
        read(text, old, new)
    assert str(raised.value) == message


def test_an_unquoted_code_with_a_leading_zero_is_named_although_toml_cannot_read_it():
    with pytest.raises(
        SpecError, match=r'FIPS codes as quoted text: "06037", not 06037; change it in my_rule.toml'
    ):
        read(PANEL, '"06037"', "06037")


def test_an_unknown_definition_names_the_nearest():
    with pytest.raises(
        SpecError, match=r'treatment.definition = "policy_ful" \(did you mean policy_full\?\)'
    ):
        read(PANEL, '"policy_full"', '"policy_ful"')


def test_an_unknown_spec_names_the_nearest(tmp_path):
    with pytest.raises(SpecError, match=r"no spec 'mian' \(did you mean main\?\)"):
        load_spec("mian")
    with pytest.raises(SpecError, match="no spec"):
        load_spec(tmp_path / "absent.toml")


# --- protocol -------------------------------------------------------------------------------------

REFUSED = [
    (
        PANEL,
        '"violent_ex_rape"',
        '"rape_legacy"',
        "rule 3: rape_legacy in 2010-2017: the FBI prints no legacy rape after 2016",
    ),
    (
        PANEL,
        '"violent_ex_rape"',
        '"rape_revised"',
        "rule 3: rape_revised in 2010-2017: the definition exists from 2013",
    ),
    (
        PANEL,
        '"policy_full"',
        '"declines_share25"',
        "rule 6: declines_share25 with outcomes in 2010-2017",
    ),
    (
        PANEL,
        '"policy_full"',
        '"dhs_2025"',
        "rule 6: ",
    ),
    (
        PANEL.replace('within = "none"', 'within = "state"'),
        '"policy_full"',
        '"state_law"',
        "rule 6: ",
    ),
    (
        TWO_WAY.replace('"county_year"', '"state_by_year"'),
        '"policy_full"',
        '"state_law"',
        "rule 6: ",
    ),
    (
        MATCHED.replace('["urban_class"]', '["state"]'),
        '"policy_full"',
        '"state_law"',
        "rule 6: ",
    ),
    (
        PANEL,
        'method = "doubly_robust"',
        'effects = "state_by_year"',
        "rule 11: estimator.effects cannot be honoured by group_time_att; it belongs to two_way",
    ),
    (
        TWO_WAY,
        'effects = "county_year"',
        'within = "state"',
        "rule 11: estimator.within cannot be honoured by two_way",
    ),
    (
        TWO_WAY,
        "names = []",
        'names = ["hispanic"]\nvintage = "2000"',
        'rule 11: two_way cannot honour covariates.names = ["hispanic"]: covariates fixed in '
        "time are absorbed",
    ),
    (
        TWO_WAY,
        "not_yet_treated",
        "never_treated",
        'rule 11: two_way cannot honour treatment.comparison = "never_treated"',
    ),
    (
        TWO_WAY,
        "comparison =",
        "anticipation = 1\ncomparison =",
        "rule 11: two_way cannot honour treatment.anticipation = 1",
    ),
    (
        PANEL,
        '"cluster"',
        '"wild_bootstrap"',
        'rule 11: group_time_att cannot honour inference.vcov = "wild_bootstrap"',
    ),
    (
        MATCHED,
        "[estimator]",
        '[controls]\npolicies = ["agreement_287g"]\n[estimator]',
        "rule 11: matched_difference cannot honour controls.policies",
    ),
]


@pytest.mark.parametrize(("text", "old", "new", "message"), REFUSED)
def test_what_the_protocol_refuses_is_refused_with_the_rule(text, old, new, message):
    with pytest.raises(ProtocolError) as raised:
        read(text, old, new)
    assert str(raised.value).startswith(message)
    assert raised.value.wanted, "a refusal says what would be right"


def test_what_the_protocol_wants_said_is_said():
    legacy = read(PANEL, "2010, 2017", "2010, 2014").replace({"outcome.measure": "rape_legacy"})
    assert any(
        note.startswith("rule 3: from 2013 agencies leave the legacy definition") for note in legacy.notes
    )
    assert not any("rule 3" in note for note in legacy.replace({"sample.years": [2007, 2012]}).notes)
    assert any("read it beside" in note for note in read(PANEL, "violent_ex_rape", "violent").notes)
    early = read(PANEL).replace({"sample.years": [2010, 2012], "outcome.measure": "violent"})
    assert not any("rule 3" in note for note in early.notes)
    assert any(
        "overlap early policies" in n
        for n in read(
            MATCHED, '["hispanic"]\nvintage = "2000"', '["foreign_born"]\nvintage = "2009_2013"'
        ).notes
    )
    assert any("part of a year" in note for note in read(PANEL, "first_full_year", "adoption_year").notes)


def test_only_state_level_inference_carries_a_verdict():
    matched = read(MATCHED)
    assert matched.carries_verdict
    assert not matched.replace({"inference.by": "county"}).carries_verdict
    assert not matched.replace({"inference.vcov": "abadie_imbens", "inference.by": "none"}).carries_verdict
    assert not matched.replace({"treatment.definition": "dhs_2025"}).carries_verdict


# --- identity -------------------------------------------------------------------------------------


def test_formatting_comments_and_order_do_not_change_the_digest():
    plain = read(PANEL)
    sections = PANEL.strip().split("\n[")
    shuffled = "\n".join([sections[0], *("[" + s for s in reversed(sections[1:]))])
    reformatted = (
        shuffled.replace("10_000", "10000   # residents").replace("0.90", "0.9").replace(
            '["CA", "OR"]', '[\n  "OR",  # a state\n  "CA",\n]'
        )
    )  # fmt: skip
    assert read(reformatted) == read(shuffled).replace({"sample.drop_states": ["OR", "CA"]})
    assert read(reformatted).digest == plain.digest
    assert read(PANEL, "[covariates]", "[controls]\npolicies = []\n[covariates]").digest == plain.digest


CHANGES = {
    "name": "other",
    "title": "Another",
    "status": "declared",
    "design.kind": {"panel": "cross_section", "cross_section": "panel"},
    "design.year": 2014,
    "design.area": "county",
    "outcome.measure": "murder",
    "outcome.scale": {
        "panel": "count",
        "cross_section": "count",
        "extended_two_way": "rate_10k",
        "poisson": "rate_10k",
    },
    "outcome.build": "county_agencies",
    "treatment.definition": "policy_any",
    "treatment.onset": "adoption_year",
    "treatment.upper_bound_dates": "one_year_earlier",
    "treatment.anticipation": 1,
    "treatment.comparison": {
        "panel": "never_treated",
        "cross_section": "not_yet_treated",
        "interaction_weighted": "not_yet_treated",
        "synthetic_control": "not_yet_treated",
        "synthetic_did": "not_yet_treated",
        "two_by_two": "not_yet_treated",
    },
    "treatment.status_year": 2016,
    "treatment.only": ["CA", "17031"],
    "treatment.placebo_shift": 2,
    "treatment.exposed": "neighbours",
    "sample.years": [2009, 2017],
    "sample.drop_years": [2014],
    "sample.min_population": 5,
    "sample.min_coverage": 0.5,
    "sample.balance": "none",
    "sample.constant_agencies": True,
    "sample.keep_states": ["NY"],
    "sample.drop_states": ["TX"],
    "sample.drop_counties": ["01001"],
    "sample.urban_classes": ["noncore"],
    "sample.without_neighbours": True,
    "sample.largest_hispanic": 100,
    "sample.hispanic_quartile": 4,
    "covariates.names": ["poverty"],
    "covariates.vintage": {"panel": "2000", "cross_section": "2006_2010"},
    "controls.policies": ["secure_communities"],
    "estimator.name": {"panel": "matched_difference", "cross_section": "two_way"},
    "estimator.method": {
        "panel": "inverse_weighting",
        "cross_section": "entropy",
        "extended_two_way": "poisson",
        "local_projections": "equally_weighted",
        "poisson": "event_time",
        "two_way": "event_time",
        "border_pairs": "event_time",
        "synthetic_control": "augmented",
    },
    "estimator.within": "state",
    "estimator.effects": {
        "panel": "state_by_year",
        "cross_section": "state_by_year",
        "border_pairs": "pair_by_year",
    },
    "estimator.distance": "propensity",
    "estimator.neighbours": {"panel": 2, "cross_section": 2, "border_pairs": "other_state"},
    "estimator.trends": "county",
    "estimator.window": 2,
    "estimator.span": [2, 1],
    "estimator.repeats": "whole",
    "estimator.exposure": "policed",
    "estimator.replacement": False,
    "estimator.caliper": 0.2,
    "estimator.exact": [],
    "estimator.bias_adjust": True,
    "estimator.calipers": [["hispanic", 0.5]],
    "estimator.order": "data",
    "estimator.estimand": "atc",
    "estimator.trim": "optimal",
    "estimator.regression_adjust": True,
    "estimator.short": "drop",
    "estimator.max_controls": 4,
    "estimator.loss": "worst_p_value",
    "estimator.population": 12,
    "estimator.generations": 7,
    "estimator.tolerance": 0.2,
    "estimator.fine": ["division"],
    "estimator.bins": "scott",
    "estimator.cut_points": [["hispanic", [0.1, 0.2]]],
    "estimator.classes": 6,
    "estimator.moments": 2,
    "estimator.match_on": ["covariates", "outcome_trend"],
    "estimator.lag_years": 3,
    "estimator.weights": {
        "panel": "none",
        "cross_section": "population_baseline",
        "extended_two_way": "population_baseline",
        "poisson": "population_baseline",
        "synthetic_control": "population_baseline",
        "synthetic_did": "population_baseline",
    },
    "inference.vcov": {"panel": "wild_bootstrap", "cross_section": "abadie_imbens"},
    "inference.by": {"panel": "county", "cross_section": "county", "border_pairs": "segment"},
    "inference.level": 0.9,
    "inference.draws": 499,
    "inference.seed": 2,
    "inference.assignment": "whole_states",
    "inference.cutoff_km": 200,
    "inference.kernel": "bartlett",
}
ALL_KEYS = {
    *("name", "title", "status"),
    *(f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys),
    "estimator.name",
    *(f"estimator.{key}" for rules in ESTIMATORS.values() for key in rules.keys),
}


def test_every_key_is_among_the_changes():
    assert set(CHANGES) == ALL_KEYS


def bare(text: str) -> str:
    return text.replace('names = ["log_population", "hispanic"]\nvintage = "2006_2010"', "names = []")


def with_estimator(text: str, section: str) -> str:
    start, end = text.index("[estimator]"), text.index("[inference]")
    return f"{text[:start]}[estimator]\n{section}\n{text[end:]}"


MATCH = 'caliper = 0.0\nexact = ["urban_class"]\nbias_adjust = false\nweights = "none"'
TEXTS = {
    "group_time_att": PANEL,
    "two_way": TWO_WAY,
    "matched_did": with_estimator(
        PANEL,
        'name = "matched_did"\nmatch_on = ["covariates", "outcome_lags"]\nlag_years = 2\ndistance = "mahalanobis"\nneighbours = 1\n'
        'replacement = true\ncaliper = 0.0\nexact = ["urban_class"]\nweights = "population_baseline"',
    ),
    **{
        name: with_estimator(PANEL, f'name = "{name}"\nwithin = "none"\nweights = "population_baseline"')
        for name in ("imputation", "two_stage")
    },
    "interaction_weighted": with_estimator(
        bare(PANEL), 'name = "interaction_weighted"\nwithin = "none"\nweights = "population_baseline"'
    ).replace('"not_yet_treated"', '"never_treated"'),
    "stacked": with_estimator(
        bare(PANEL), 'name = "stacked"\nwithin = "none"\nweights = "population_baseline"'
    ),
    "local_projections": with_estimator(
        bare(PANEL),
        'name = "local_projections"\nmethod = "variance_weighted"\nwithin = "none"\nweights = "population_baseline"',
    ),
    "extended_two_way": with_estimator(
        bare(PANEL).replace('scale = "rate_100k"', 'scale = "count"'),
        'name = "extended_two_way"\nmethod = "linear"\nwithin = "none"\nweights = "none"',
    ),
    "poisson": with_estimator(
        bare(PANEL).replace('scale = "rate_100k"', 'scale = "count"'),
        'name = "poisson"\nmethod = "post"\neffects = "county_year"\nweights = "none"',
    ),
    "border_pairs": with_estimator(
        bare(PANEL),
        'name = "border_pairs"\neffects = "segment_by_year"\nmethod = "post"\nweights = "population_baseline"',
    ),
    **{
        name: with_estimator(bare(PANEL), f'name = "{name}"\n{keys}\nweights = "none"')
        .replace('"not_yet_treated"', '"never_treated"')
        .replace('vcov = "cluster"\nby = "state"', 'vcov = "placebo"\nby = "none"')
        .replace("draws = 999", "draws = 0")
        for name, keys in {"synthetic_control": 'method = "simplex"', "synthetic_did": ""}.items()
    },
    "before_after": with_estimator(
        bare(PANEL), 'name = "before_after"\nlag_years = 1\nweights = "population_baseline"'
    ),
    "two_by_two": with_estimator(
        bare(PANEL), 'name = "two_by_two"\nwithin = "none"\nweights = "population_baseline"'
    ).replace('"not_yet_treated"', '"never_treated"'),
    "matched_difference": MATCHED,
    **{
        name: with_estimator(MATCHED, f'name = "{name}"\n{section}')
        for name, section in {
            "optimal_match": f'distance = "mahalanobis"\nneighbours = 1\n{MATCH}',
            "full_match": f'distance = "mahalanobis"\nmax_controls = 0\n{MATCH}',
            "genetic_match": f'neighbours = 1\nreplacement = true\nloss = "p_values"\npopulation = 10\ngenerations = 5\n{MATCH}',
            "cardinality_match": (
                'distance = "mahalanobis"\nneighbours = 1\ntolerance = 0.1\nfine = []\nexact = ["urban_class"]\n'
                'bias_adjust = false\nweights = "none"'
            ),
            "coarsened_match": 'bins = "sturges"\nexact = ["urban_class"]\nbias_adjust = false\nweights = "none"',
            "subclassification": 'classes = 5\nexact = ["urban_class"]\nbias_adjust = false\nweights = "none"',
            "weighting": 'method = "inverse_probability"\nmoments = 1\nweights = "none"',
            "doubly_robust": 'moments = 1\nweights = "none"',
            "regression_adjustment": 'moments = 1\nweights = "none"',
        }.items()
    },
}
# What no estimator of a kind can honour, beside the keys of other estimators.
REFUSED_BY_KIND = {
    "panel": {
        *("design.kind", "design.year", "estimator.name", "inference.vcov", "treatment.status_year"),
        # Each belongs to one kind of error, and is asked for here without it.
        *("inference.assignment", "inference.cutoff_km", "inference.kernel"),
    },
    "cross_section": {
        *("inference.assignment", "inference.cutoff_km", "inference.kernel"),
        *("design.area", "treatment.only", "treatment.placebo_shift", "treatment.exposed"),
        *("design.kind", "estimator.name", "controls.policies", "treatment.anticipation"),
        *("sample.years", "sample.balance", "sample.drop_years"),
    },
}
# What one estimator refuses, and what it honours although others of its kind do not.
REFUSED_ALONE = {
    "two_way": {"covariates.names", "covariates.vintage", "treatment.anticipation", "treatment.comparison"},
    # Its text has no covariates, and neither names nor a vintage alone make one.
    "border_pairs": {"covariates.names", "covariates.vintage", "sample.without_neighbours"},
    **{
        name: {
            *("covariates.names", "covariates.vintage", "controls.policies", "treatment.comparison"),
            *("estimator.weights", "inference.by", "inference.draws"),
        }
        for name in ("synthetic_control", "synthetic_did")
    },
    "before_after": {"covariates.names", "covariates.vintage", "controls.policies"},
    "two_by_two": {"covariates.names", "covariates.vintage", "controls.policies", "treatment.comparison"},
    "matched_did": {"controls.policies"},
    "imputation": {"treatment.comparison"},
    "two_stage": {"treatment.comparison"},
    "interaction_weighted": {"covariates.names", "covariates.vintage", "treatment.comparison"},
    "stacked": {"covariates.names", "covariates.vintage", "controls.policies"},
    "local_projections": {"covariates.names", "covariates.vintage"},
    # Its text has no covariates and so no vintage, so that the Poisson form can be asked for.
    "extended_two_way": {"covariates.names", "covariates.vintage", "treatment.comparison"},
    "poisson": {
        *("covariates.names", "covariates.vintage", "treatment.comparison", "treatment.anticipation"),
        *("outcome.scale", "estimator.weights"),
    },
    # With replacement nobody chooses first, and the errors asked for here go with by = "none".
    "matched_difference": {"estimator.order", "inference.vcov"},
    **{
        key: {"inference.vcov"}
        for key, text in TEXTS.items()
        if "cross_section" in text and key != "matched_difference"
    },
}
HONOURED_ALONE = {"two_way": {"inference.vcov"}}


def test_every_estimator_is_among_the_texts():
    assert set(TEXTS) == set(ESTIMATORS)


@pytest.mark.parametrize("name", list(TEXTS))
def test_every_key_changes_the_digest_or_is_refused(name):
    spec = read(TEXTS[name])
    refused = set()
    for key in sorted(ALL_KEYS):
        value = CHANGES[key]
        if isinstance(value, dict):
            value = value.get(name, value[spec.design.kind])
        assert spec.flat().get(key) != value, f"the test changes {key} to the value it has"
        try:
            changed = spec.replace({key: value})
        except SpecError:
            refused.add(key)
            continue
        assert changed.digest != spec.digest, key
        assert (changed.content_digest != spec.content_digest) == (key not in {"name", "title", "status"}), (
            key
        )
        assert key in set(spec.diff(changed)["key"])
    others = {key for key in ALL_KEYS if key.startswith("estimator.")} - {"estimator.name"}
    others -= {f"estimator.{key}" for key in ESTIMATORS[name].keys}
    expected = REFUSED_BY_KIND[spec.design.kind] | REFUSED_ALONE.get(name, set()) | others
    assert refused == expected - HONOURED_ALONE.get(name, set())


MATCH_RULES = [
    ("matched_difference", {"estimator.estimand": "ate", "estimator.replacement": False}, "rule 11"),
    ("optimal_match", {"estimator.estimand": "ate"}, "rule 11"),
    ("weighting", {"estimator.estimand": "ato"}, "rule 11"),
    ("weighting", {"estimator.method": "overlap"}, "rule 11"),
    ("matched_difference", {"inference.by": "pair"}, "rule 12"),
    ("weighting", {"inference.by": "pair"}, "rule 12"),
    (
        "optimal_match",
        {"inference.by": "pair", "inference.vcov": "randomisation", "inference.draws": 199},
        "rule 12",
    ),
    ("matched_difference", {"inference.vcov": "bootstrap", "inference.draws": 199}, "rule 12"),
    ("full_match", {"inference.vcov": "bootstrap", "inference.draws": 199}, "rule 12"),
    ("full_match", {"inference.vcov": "abadie_imbens", "inference.by": "none"}, "rule 11"),
    ("matched_difference", {"inference.vcov": "estimated_score", "inference.by": "none"}, "rule 11"),
    ("group_time_att", {"inference.vcov": "randomisation", "inference.draws": 199}, "rule 11"),
    ("matched_did", {"estimator.match_on": ["covariates"]}, "rule 11"),
    ("matched_did", {"covariates.names": []}, "rule 11"),
    ("matched_did", {"estimator.match_on": ["outcome_lags"]}, "rule 11"),
]


PANEL_RULES = [
    ("two_way", {"inference.vcov": "cr2", "estimator.method": "event_time", "treatment.anticipation": 1}, None),
    ("two_way", {"treatment.anticipation": 1}, "rule 11"),
    ("two_way", {"inference.by": "state_and_year"}, None),
    ("group_time_att", {"inference.by": "state_and_year"}, "rule 11"),
    ("two_way", {"inference.by": "state_and_year", "inference.vcov": "cr3"}, "rule 11"),
    ("two_way", {"inference.by": "segment"}, "rule 11"),
    ("border_pairs", {"inference.by": "county"}, "rule 15"),
    ("border_pairs", {"inference.by": "state_and_segment"}, None),
    (
        "two_way",
        {"inference.vcov": "subcluster_bootstrap", "inference.draws": 199, "estimator.method": "event_time"},
        "rule 11",
    ),
    ("two_way", {"estimator.effects": "county_definition_year"}, "rule 11"),
    ("two_way", {"estimator.effects": "county_definition_year", "outcome.measure": "violent"}, None),
    ("imputation", {"estimator.trends": "county", "estimator.within": "state"}, "rule 11"),
    ("poisson", {"estimator.exposure": "policed", "outcome.build": "county_agencies"}, "rule 11"),
    ("group_time_att", {"treatment.definition": "secure_communities"}, "rule 6"),
    (
        "two_by_two",
        {"treatment.definition": "secure_communities", "sample.years": [2006, 2012]},
        "rule 6",
    ),
    ("imputation", {"estimator.trends": "county"}, None),
    ("two_by_two", {"design.area": "state"}, "rule 6"),
    ("two_by_two", {"design.area": "state", "treatment.definition": "state_law"}, None),
    (
        "two_by_two",
        {"design.area": "state", "treatment.definition": "state_law", "estimator.within": "urban_class"},
        "rule 11",
    ),
    (
        "two_way",
        {
            "treatment.definition": "state_law", "inference.vcov": "randomisation", "inference.draws": 199,
            "inference.assignment": "counties_within_states",
        },
        "rule 12",
    ),
    (
        "two_way",
        {"inference.vcov": "randomisation", "inference.draws": 199, "inference.assignment": "whole_states"},
        None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "rule"), PANEL_RULES)
def test_what_a_panel_design_cannot_honour_is_refused(name, changes, rule):
    spec = read(TEXTS[name])
    if rule is None:
        assert spec.replace(changes).digest != spec.digest
        return
    with pytest.raises(ProtocolError, match=f"{rule}: "):
        spec.replace(changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inference.vcov": "randomisation", "inference.draws": 199}, "inference.assignment is missing"),
        ({"inference.vcov": "spatial", "inference.by": "none", "inference.kernel": "uniform"}, "cutoff_km is missing"),
        ({"inference.vcov": "spatial"}, "errors are correlated over distance"),
        ({"inference.vcov": "subcluster_bootstrap", "inference.draws": 9}, "at least 99 draws"),
        ({"treatment.only": ["California"]}, "holds 'California'"),
        ({"treatment.only": ["36061"]}, "a county of New York City"),
        ({"treatment.exposed": "neighbours", "sample.without_neighbours": True}, "which leaves them out"),
        (
            {"treatment.definition": "secure_communities", "sample.years": [2006, 2012],
             "controls.policies": ["secure_communities"]},
            "the treatment itself",
        ),
    ],
)  # fmt: skip
def test_keys_of_panel_errors_go_with_their_error(changes, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        read(TWO_WAY).replace(changes)


@pytest.mark.parametrize(("name", "changes", "rule"), MATCH_RULES)
def test_what_a_matched_comparison_cannot_honour_is_refused(name, changes, rule):
    with pytest.raises(ProtocolError, match=f"{rule}: "):
        read(TEXTS[name]).replace(changes)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("matched_difference", {"estimator.calipers": [["income", 1.0]]}, "names 'income'"),
        ("matched_difference", {"estimator.calipers": [["hispanic", 0.0]]}, "holds"),
        ("matched_difference", {"estimator.calipers": [["hispanic", 1.0], ["hispanic", 2.0]]}, "twice"),
        ("coarsened_match", {"estimator.cut_points": [["hispanic", [0.2, 0.1]]]}, "holds"),
        (
            "matched_difference",
            {"estimator.bias_adjust": True, "estimator.regression_adjust": True},
            "expected one of the two",
        ),
        ("weighting", {"inference.vcov": "bootstrap", "inference.draws": 10}, "at least 99 draws"),
        (
            "weighting",
            {"inference.vcov": "bootstrap", "inference.draws": 199, "inference.by": "county"},
            '"state"',
        ),
        ("matched_difference", {"treatment.status_year": 2014}, "a later year"),
    ],
)
def test_keys_of_a_match_that_contradict_each_other_are_refused(name, changes, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        read(TEXTS[name]).replace(changes)


def test_errors_by_pair_carry_no_verdict_and_a_placebo_says_what_it_is():
    pairs = read(TEXTS["optimal_match"]).replace({"inference.by": "pair"})
    assert not pairs.carries_verdict
    assert any("pairs are independent" in note for note in pairs.notes)
    assert pairs.replace({"inference.by": "pair_and_state"}).carries_verdict
    placebo = read(MATCHED).replace({"design.year": 2008, "treatment.status_year": 2015})
    assert any(note.startswith("placebo: counties by their status in 2015") for note in placebo.notes)


def test_a_csv_counts_by_its_bytes_and_is_found_beside_the_spec(tmp_path):
    text = PANEL.replace('"policy_full"', '"mine.csv"')
    with pytest.raises(SpecError, match="there is no such file beside the spec"):
        read(text, folder=tmp_path)
    (tmp_path / "mine.csv").write_text("county_fips\n01001\n")
    first = read(text, folder=tmp_path)
    assert first.definition_path == tmp_path / "mine.csv"
    before = first.digest
    (tmp_path / "mine.csv").write_text("county_fips\n01003\n")
    assert first.digest != before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.csv").write_text("county_fips\n01001\n")
    assert read(text, folder=tmp_path / "elsewhere").digest == before, "the folder is no part of the identity"


def test_a_spec_survives_its_own_dictionary():
    for name in spec_names():
        for spec in load_spec(name).expand():
            assert spec.replace({}).digest == spec.digest
            assert hash(spec) == hash(spec.replace({}))


# --- the grid -------------------------------------------------------------------------------------

GRID = """
[vary]
"outcome.measure" = ["violent_ex_rape", "property", "murder"]
"estimator.method" = ["doubly_robust", "inverse_weighting"]
[[also]]
name = "bare"
"covariates.names" = []
[[also]]
name = "north"
crossed_with = ["outcome.measure"]
"sample.keep_states" = ["NY"]
"""


def test_the_grid_is_crossed_and_the_one_offs_are_not():
    specs = read(PANEL + GRID).expand()
    assert len(specs) == 3 * 2 + 1 + 3
    assert len({spec.digest for spec in specs}) == len(specs)
    assert specs[1].name == "rule/measure=violent_ex_rape/method=inverse_weighting"
    assert specs[6].name == "rule/bare" and specs[6].outcome.measure == "violent_ex_rape"
    assert specs[6].covariates.names == () and specs[6].covariates.vintage == "none"
    assert [spec.outcome.measure for spec in specs[7:]] == ["violent_ex_rape", "property", "murder"]
    assert all(spec.sample.keep_states == ("NY",) for spec in specs[7:])
    assert all(not spec.vary and not spec.also for spec in specs)
    assert read(PANEL).expand() == (read(PANEL),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"estimator.method"',
            '"estimator.metod"',
            "vary: unknown key 'estimator.metod' (did you mean estimator.method?)",
        ),
        ('"covariates.names" = []', "", "also 'bare' changes nothing"),
        ('name = "north"', 'name = "bare"', "two [[also]] are named 'bare'"),
        (
            'crossed_with = ["outcome.measure"]',
            'crossed_with = ["outcome.scale"]',
            "also 'north': crossed_with = ",
        ),
        (
            '["doubly_robust", "inverse_weighting"]',
            '["doubly_robust"]',
            'vary."estimator.method" = ["doubly_robust"]',
        ),
    ],
)
def test_a_bad_grid_is_refused(old, new, message):
    with pytest.raises(SpecError) as raised:
        read(PANEL + GRID, old, new)
    assert str(raised.value).startswith(message)


def test_a_bad_variant_is_named_and_of_two_alike_one_is_run():
    with pytest.raises(ProtocolError, match=r"rule/measure=rape_revised/method=doubly_robust: rule 3"):
        read(PANEL + GRID, '"murder"', '"rape_revised"').expand()
    twice = read(
        PANEL + GRID, '"covariates.names" = []', '"covariates.names" = ["hispanic", "log_population"]'
    )
    assert twice.repeated() == (("rule/bare", "rule/measure=violent_ex_rape/method=doubly_robust"),)
    assert "rule/bare" not in {one.name for one in twice.expand()}
    assert "lines that say what an earlier one says: bare" in describe(twice)


def test_replacing_the_estimator_lets_go_of_keys_it_does_not_take():
    spec = read(PANEL, 'names = ["log_population", "hispanic"]\nvintage = "2006_2010"', "names = []")
    two_way = spec.replace({"estimator.name": "two_way", "estimator.effects": "state_by_year"})
    assert two_way.estimator.method is None and two_way.within == "state"
    with pytest.raises(SpecError, match=r"estimator.effects is missing"):
        spec.replace({"estimator.name": "two_way"})
    with pytest.raises(
        SpecError, match=r'estimator.method = "doubly_robust"; expected one of post, event_time'
    ):
        spec.replace(
            {
                "estimator.name": "two_way",
                "estimator.effects": "county_year",
                "estimator.method": "doubly_robust",
            }
        )
    with pytest.raises(ProtocolError, match=r"rule 11: estimator.within cannot be honoured by two_way"):
        two_way.replace({"estimator.within": "state"})


# --- the specs that come with the study -----------------------------------------------------------


ADDED_FILES = {
    *(
        "claims",
        "coverage",
        "matched_did",
        "near_nominal",
        "secure_communities",
        "designs",
        "errors",
        "offences",
    ),
    *("regimes", "rings", "placebo", "rape_break", "first_stage_designs", "headline", "single_units"),
    "milescox2014",
}


@pytest.mark.parametrize("name", spec_names())
def test_every_spec_of_the_study_loads_and_expands(name):
    spec = load_spec(name)
    assert spec.name == name
    # Whole files and one-offs that came later say so; what they are added to keeps its status (rule 18).
    assert spec.status == ("added" if name in ADDED_FILES else "declared")
    if name in ADDED_FILES:
        assert {one.status for one in spec.expand()} == {"added"}
        return
    added = {one.name for one in spec.also if dict(one.changes).get("status") == "added"}
    for one in spec.expand():
        assert (one.status == "added") == (one.name.removeprefix(f"{name}/").split("/")[0] in added), one.name
    assert len({one.name for one in spec.expand()}) == len(spec.expand())


def test_the_specs_of_the_study_cover_what_the_protocol_asks():
    every = [spec for name in spec_names() for spec in load_spec(name).expand()]
    assert len({spec.digest for spec in every}) == len(every)
    panels = [name for name in spec_names() if load_spec(name).design.kind == "panel"]
    # Single areas are each in one state, and California is one of them; a grid's cells are held by its own test.
    for name in sorted(set(panels) - {"single_units", "kubrinbartos2020", "multiverse"}):  # rule 8
        specs = [spec for spec in load_spec(name).expand() if spec.design.kind == "panel"]
        assert any("CA" in spec.sample.drop_states for spec in specs), name
        assert any(spec.within == "state" for spec in specs), name
        assert any(not spec.sample.drop_states and spec.within == "none" for spec in specs), name
    measures = {spec.outcome.measure for spec in load_spec("main").expand()}
    assert {"violent", "violent_ex_rape"} <= measures  # rule 3
    builds = {spec.outcome.build for spec in load_spec("main").expand()}
    assert builds == {"policed", "county_population", "county_agencies"}  # rule 1
    assert any(
        spec.treatment.upper_bound_dates == "one_year_earlier" for spec in load_spec("main").expand()
    )  # rule 5
    federal = load_spec("federal").expand()
    assert {year for spec in federal for year in (spec.years[-1],)} >= {2014, 2016, 2017}  # rule 9
    assert any(spec.controls.policies == ("secure_communities", "agreement_287g") for spec in federal)
    assert all(
        spec.covariates.vintage in {"none", "2000", "2006_2010"}
        for n in panels
        for spec in load_spec(n).expand()
    )

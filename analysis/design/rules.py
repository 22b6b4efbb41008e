"""What the protocol refuses in a spec, and what it wants said beside its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from analysis.base.codebook import load_codebook
from analysis.base.errors import ProtocolError, SpecError, nearest
from analysis.base.policy_dates import read_user_policies
from analysis.design.estimators import ESTIMATORS, EstimatorRules
from analysis.design.keys import (
    BUILDS,
    DIRECT_SCALE,
    FIRST_YEAR,
    HOLDS_RAPE,
    INDEPENDENT,
    MAIN_WINDOW,
    OFFENCE_SCALES,
    RAPE_BREAK,
    SECTIONS,
    plain_value,
    show,
    toml,
)
from analysis.design.treatment import carries, definition_of

# Errors without clusters, and why.
NO_CLUSTERS = {
    **dict.fromkeys(INDEPENDENT, "that error takes counties as independent"),
    "spatial": "errors are correlated over distance, not within clusters",
    "placebo": "the policy is given to each comparison area in turn",
}
# Of one coefficient at a time.
ONE_COEFFICIENT = frozenset({"wild_bootstrap", "subcluster_bootstrap", "randomisation"})
# Vintages whose tables print no ages 15-24.
LATER_AGES = ("2009_2015", "2009_2018")

if TYPE_CHECKING:
    from analysis.design.spec import Spec


def check(spec: Spec) -> None:
    """Refuse a spec whose parts do not go together, or that breaks a rule of the protocol.

    Raises:
        SpecError: values that contradict each other.
        ProtocolError: what a rule refuses, with its number.
    """
    _check_kind(spec)
    _check_years(spec)
    _check_status_year(spec)
    _check_panel_keys(spec)
    _check_cities(spec)
    _check_outcome(spec)
    _check_sample(spec)
    _check_covariates(spec)
    _check_estimator(spec)
    _check_match(spec)
    _check_inference(spec)
    _check_definition(spec)
    _check_rape(spec)


def _check_kind(spec: Spec) -> None:
    if spec.design.kind == "panel":
        if spec.design.year is not None:
            raise SpecError(
                f"design.year = {spec.design.year} in a panel", "sample.years instead", spec.where
            )
        for key in ("years", "balance"):
            if getattr(spec.sample, key) is None:
                raise SpecError(f"sample.{key} is missing", SECTIONS["sample"][key].wanted, spec.where)
        return
    if spec.design.year is None:
        raise SpecError("design.year is missing", SECTIONS["design"]["year"].wanted, spec.where)
    for key in ("years", "balance", "drop_years"):
        value = getattr(spec.sample, key)
        if value:
            raise SpecError(
                f"sample.{key} = {toml(plain_value(value))} in a cross-section",
                "design.year alone",
                spec.where,
            )


def _check_years(spec: Spec) -> None:
    """Refuse years before those of the counties, unless areas are cities, whose long series begins earlier."""
    if spec.design.area == "city" or spec.years[0] >= FIRST_YEAR:
        return
    panel = spec.design.kind == "panel"
    key = "sample.years" if panel else "design.year"
    section, part = key.split(".")
    asked = spec.sample.years if panel else spec.design.year
    raise SpecError(
        f"{key} = {toml(plain_value(asked))}",
        f'{SECTIONS[section][part].wanted}; earlier ones for design.area = "city" alone',
        spec.where,
    )


def _check_cities(spec: Spec) -> None:
    """Refuse what a panel of cities does not hold."""
    if spec.design.area != "city":
        return
    kind = definition_of(spec.treatment.definition).kind
    if kind == "declines":
        raise ProtocolError(
            f'rule 6: design.area = "city" under {spec.treatment.definition}: recorded declines are of county jails',
            "a definition by documented policies, by a state's law, a list, or a csv",
            spec.where,
        )
    measure = load_codebook().measures[spec.outcome.measure]
    for found, wanted in (
        (
            measure.kind == "direct"
            and f"outcome.measure = {toml(measure.name)}, which is measured in counties",
            "an offence",
        ),
        (
            spec.outcome.build not in ("policed", "none") and f'outcome.build = "{spec.outcome.build}"',
            '"policed"',
        ),
        (spec.treatment.exposed == "neighbours" and 'treatment.exposed = "neighbours"', '"adopters"'),
        (spec.sample.without_neighbours and "sample.without_neighbours = true", "false"),
        (spec.sample.constant_agencies and "sample.constant_agencies = true", "false: a city is one agency"),
        (spec.sample.drop_counties and "sample.drop_counties", "[]"),
        (spec.sample.largest_hispanic and "sample.largest_hispanic", "0"),
        (spec.sample.hispanic_quartile is not None and "sample.hispanic_quartile", "no such key"),
        (spec.inference.vcov == "spatial" and 'vcov = "spatial"', '"cluster"'),
        (spec.estimator.name == "border_pairs" and "border_pairs", "another estimator"),
    ):
        if found:
            raise ProtocolError(f'rule 11: design.area = "city" cannot honour {found}', wanted, spec.where)


def _check_status_year(spec: Spec) -> None:
    asked = spec.treatment.status_year
    if asked is None:
        return
    if spec.design.kind != "cross_section":
        raise ProtocolError(
            f"rule 11: treatment.status_year = {asked} in a panel, which follows each county's own dates",
            "no status_year",
            spec.where,
        )
    if asked <= spec.years[0]:
        raise SpecError(
            f"treatment.status_year = {asked} with outcomes of {spec.years[0]}",
            "a later year: the status a county was to have, for an outcome before it",
            spec.where,
        )


def _check_panel_keys(spec: Spec) -> None:
    """Refuse keys of dated panels elsewhere, and those that do not go together."""
    panel = spec.design.kind == "panel"
    for key in ("treatment.placebo_shift", "treatment.exposed", "treatment.only", "design.area"):
        section, part = key.split(".")
        value = getattr(getattr(spec, section), part)
        if value and not panel and value != "city":
            raise ProtocolError(
                f"rule 11: {key} = {toml(plain_value(value))} in a cross-section, which has no years before adoption",
                "a panel, or the key left out",
                spec.where,
            )
    neighbours = spec.treatment.exposed == "neighbours"
    if spec.estimator.name == "border_pairs" and spec.sample.without_neighbours:
        raise SpecError(
            "sample.without_neighbours = true for border_pairs, which compares with them", "false", spec.where
        )
    if neighbours and spec.sample.without_neighbours:
        raise SpecError(
            'treatment.exposed = "neighbours" and sample.without_neighbours = true, which leaves them out',
            "one of the two",
            spec.where,
        )
    if spec.design.area != "state":
        return
    if spec.treatment.definition != "state_law" and not _dates_states(spec):
        raise ProtocolError(
            f'rule 6: design.area = "state" under {spec.treatment.definition}: a county\'s policy does not treat its state',
            'treatment.definition = "state_law", or a csv whose rows are all of level state',
            spec.where,
        )
    for found, wanted in (
        (spec.within != "none" and f"a comparison within {spec.within}", "no strata"),
        (spec.covariates.names and "covariates.names", "[]"),
        (neighbours and 'treatment.exposed = "neighbours"', '"adopters"'),
        (spec.sample.without_neighbours and "sample.without_neighbours = true", "false"),
        (spec.sample.largest_hispanic and "sample.largest_hispanic", "0"),
        (spec.sample.hispanic_quartile and "sample.hispanic_quartile", "the key left out"),
        (spec.sample.urban_classes and "sample.urban_classes", "[]"),
        (spec.inference.vcov == "spatial" and 'vcov = "spatial"', '"cluster"'),
        (spec.estimator.name == "border_pairs" and "border_pairs", "another estimator"),
    ):
        if found:
            raise ProtocolError(f'rule 11: design.area = "state" cannot honour {found}', wanted, spec.where)


def _dates_states(spec: Spec) -> bool:
    """Return whether the definition is a user's csv that dates states alone."""
    path = spec.definition_path
    return path is not None and bool(read_user_policies(path)["level"].eq("state").all())


def _check_outcome(spec: Spec) -> None:
    measure = load_codebook().measures[spec.outcome.measure]
    if measure.kind == "direct":
        if spec.outcome.scale != DIRECT_SCALE:
            raise SpecError(
                f'outcome.scale = "{spec.outcome.scale}" for {measure.name}, which is {measure.unit}',
                f'"{DIRECT_SCALE}"',
                spec.where,
            )
        if spec.outcome.build != "none":
            raise SpecError(
                f'outcome.build = "{spec.outcome.build}" for {measure.name}, which is no rate of offences',
                '"none"',
                spec.where,
            )
        if spec.sample.min_coverage > 0:
            raise SpecError(
                f"sample.min_coverage = {spec.sample.min_coverage:g} for {measure.name}, "
                "which has no coverage",
                "0.0",
                spec.where,
            )
    else:
        if spec.outcome.scale == DIRECT_SCALE:
            raise SpecError(
                f'outcome.scale = "{DIRECT_SCALE}" for {measure.name}, a count of offences',
                f"one of {', '.join(OFFENCE_SCALES)}",
                spec.where,
            )
        if spec.outcome.build == "none":
            raise SpecError(
                f'outcome.build = "none" for {measure.name}, a count of offences',
                f"one of {', '.join(BUILDS)}",
                spec.where,
            )
    if measure.years is not None and not measure.name.startswith("rape_"):
        first, last = measure.years
        if spec.years[0] < first or spec.years[-1] > last:
            raise SpecError(
                f"{measure.name} in {span(spec)}",
                f"years within {first}-{last}, where it is measured",
                spec.where,
            )


def _check_sample(spec: Spec) -> None:
    sample = spec.sample
    both = sorted(set(sample.keep_states) & set(sample.drop_states))
    if both:
        raise SpecError(
            f"{show(both)} stands in sample.keep_states and in sample.drop_states",
            "one of the two",
            spec.where,
        )
    if sample.years is not None:
        outside = [year for year in sample.drop_years if not sample.years[0] < year < sample.years[1]]
        if outside:
            raise SpecError(
                f"sample.drop_years holds {show(outside)}",
                f"years inside the window {sample.years[0]}-{sample.years[1]}, not its ends",
                spec.where,
            )


def _check_covariates(spec: Spec) -> None:
    codebook = load_codebook()
    for name in spec.covariates.names:
        if name not in codebook.covariates:
            raise SpecError(
                f"covariates.names holds '{name}'{nearest(name, codebook.covariates)}",
                f"one of {', '.join(codebook.covariates)}",
                spec.where,
            )
        vintages = codebook.covariates[name]
        if spec.covariates.vintage not in vintages:
            raise SpecError(
                f'covariates.vintage = "{spec.covariates.vintage}", in which there is no {name}',
                f"for {name} one of {', '.join(vintages)}",
                spec.where,
            )


def _check_estimator(spec: Spec) -> None:
    name, rules = spec.estimator.name, ESTIMATORS[spec.estimator.name]
    if spec.design.kind != rules.kind:
        raise ProtocolError(
            f'rule 11: {name} cannot honour design.kind = "{spec.design.kind}"', f'"{rules.kind}"', spec.where
        )
    if spec.treatment.comparison not in rules.comparisons:
        raise ProtocolError(
            f'rule 11: {name} cannot honour treatment.comparison = "{spec.treatment.comparison}": '
            "it compares each county with all others",
            " or ".join(f'"{c}"' for c in rules.comparisons),
            spec.where,
        )
    for key, reason in rules.refuses.items():
        section, part = key.split(".")
        value = getattr(getattr(spec, section), part)
        if value:
            raise ProtocolError(
                f"rule 11: {name} cannot honour {key} = {toml(plain_value(value))}: {reason}",
                "[]" if isinstance(value, tuple) else "0",
                spec.where,
            )
    if rules.needs_covariates and not spec.covariates.names:
        raise SpecError(f"covariates.names = [] for {name}", "at least one covariate to match on", spec.where)


def _check_match(spec: Spec) -> None:
    """Refuse keys of an estimator that do not go together."""
    asked, where = spec.estimator, spec.where
    if asked.name == "matched_did":
        _check_matched_did(spec)
    if asked.method == "poisson" or asked.name == "poisson":
        _check_counts(spec)
    if asked.name == "two_way" and asked.method != "event_time" and spec.treatment.anticipation:
        raise ProtocolError(
            f"rule 11: two_way cannot honour treatment.anticipation = {spec.treatment.anticipation}: "
            "one coefficient for all years after adoption leaves no year out",
            '0, or method = "event_time"',
            where,
        )
    if asked.effects == "county_definition_year" and spec.outcome.measure not in (*HOLDS_RAPE, "rape"):
        raise ProtocolError(
            f'rule 11: effects = "county_definition_year" for {spec.outcome.measure}, which holds no rape',
            f"one of {', '.join(sorted((*HOLDS_RAPE, 'rape')))}",
            where,
        )
    if asked.trends == "county" and asked.within not in (None, "none"):
        raise ProtocolError(
            f'rule 11: estimator.trends = "county" with within = "{asked.within}"', '"none"', where
        )
    if spec.design.kind != "cross_section":
        return
    for key, pairs in (("calipers", asked.calipers), ("cut_points", asked.cut_points)):
        known = [*spec.covariates.names, *(["propensity"] if key == "calipers" else [])]
        for name, _ in pairs or ():
            if name not in known:
                raise SpecError(
                    f"estimator.{key} names '{name}'{nearest(name, known)}",
                    f"one of {', '.join(known)}",
                    where,
                )
    if asked.bias_adjust and asked.regression_adjust:
        raise SpecError("estimator.bias_adjust and estimator.regression_adjust", "one of the two", where)
    if asked.replacement and asked.order is not None:
        raise ProtocolError(
            f'rule 11: estimator.order = "{asked.order}" with replacement = true, where nobody chooses first',
            "replacement = false, or no order",
            where,
        )
    pairs_alone = asked.replacement is False or asked.name == "optimal_match"
    if asked.estimand == "ate" and pairs_alone:
        raise ProtocolError(
            'rule 11: estimand = "ate" without replacement: each county is in one pair, so pairs average over one arm',
            'estimand = "att" or "atc", replacement = true, or full_match',
            where,
        )
    if asked.name == "weighting" and (asked.estimand == "ato") != (asked.method == "overlap"):
        raise ProtocolError(
            f'rule 11: method = "{asked.method}" with estimand = "{asked.estimand or "att"}"',
            'estimand = "ato" with method = "overlap", which average over counties as they overlap',
            where,
        )


def _check_counts(spec: Spec) -> None:
    """Refuse what a Poisson model of counts with exposure cannot honour."""
    asked = spec.estimator
    name = asked.name if asked.name == "poisson" else f'{asked.name} with method = "poisson"'
    for found, wanted in (
        (spec.outcome.scale != "count" and f'outcome.scale = "{spec.outcome.scale}"', '"count"'),
        (asked.weights != "none" and f'estimator.weights = "{asked.weights}"', '"none": exposure does the weighing'),
        (asked.name != "poisson" and asked.within != "none" and f'estimator.within = "{asked.within}"', '"none"'),
        (asked.name != "poisson" and spec.covariates.names and "covariates.names", "[]"),
        (asked.name == "poisson" and asked.method == "post" and spec.treatment.anticipation > 0
         and f"treatment.anticipation = {spec.treatment.anticipation}", '0, or method = "event_time"'),
        (asked.exposure == "policed" and spec.outcome.build != "policed"
         and f'exposure = "policed" with outcome.build = "{spec.outcome.build}"', '"policed"'),
    ):  # fmt: skip
        if found:
            raise ProtocolError(f"rule 11: {name} cannot honour {found}", wanted, spec.where)


def _check_matched_did(spec: Spec) -> None:
    asked, where = spec.estimator, spec.where
    match_on = asked.match_on or ()
    if not match_on:
        raise SpecError("estimator.match_on = []", "covariates, outcome_lags or outcome_trend", where)
    of_outcomes = [name for name in match_on if name.startswith("outcome_")]
    if bool(of_outcomes) != (asked.lag_years is not None):
        found = "without lag_years" if of_outcomes else f"with lag_years = {asked.lag_years}"
        raise ProtocolError(
            f"rule 11: estimator.match_on = {toml(plain_value(match_on))} {found}",
            "lag_years where outcomes are matched on, and there alone",
            where,
        )
    if ("covariates" in match_on) != bool(spec.covariates.names):
        raise ProtocolError(
            f"rule 11: estimator.match_on = {toml(plain_value(match_on))} with covariates.names = "
            f"{toml(plain_value(spec.covariates.names))}",
            "covariates.names where covariates are matched on, and there alone",
            where,
        )


def _check_inference(spec: Spec) -> None:
    inference, rules = spec.inference, ESTIMATORS[spec.estimator.name]
    vcov, by = inference.vcov, inference.by
    if vcov == "bootstrap" and rules.no_bootstrap:
        raise ProtocolError(
            f"rule 12: a bootstrap of states for {spec.estimator.name}: {rules.no_bootstrap}",
            " or ".join(f'"{v}"' for v in rules.vcov),
            spec.where,
        )
    if vcov not in rules.vcov:
        raise ProtocolError(
            f'rule 11: {spec.estimator.name} cannot honour inference.vcov = "{vcov}"',
            " or ".join(f'"{v}"' for v in rules.vcov),
            spec.where,
        )
    if (vcov in NO_CLUSTERS) != (by == "none"):
        raise SpecError(
            f'inference.by = "{by}" with vcov = "{vcov}"',
            f'"none": {NO_CLUSTERS[vcov]}' if vcov in NO_CLUSTERS else '"state" or "county"',
            spec.where,
        )
    _check_panel_errors(spec)
    if by in ("pair", "pair_and_state"):
        _check_pairs(spec, rules)
    if vcov in ("bootstrap", "randomisation", "subcluster_bootstrap") and by != "state":
        raise SpecError(f'inference.by = "{by}" with vcov = "{vcov}"', '"state"', spec.where)
    if vcov == "wild_bootstrap" and by == "county" and spec.within != "none":
        raise SpecError(
            f'inference.by = "county" with a wild bootstrap under {spec.within}-by-year effects, which cross counties',
            '"state"',
            spec.where,
        )
    drawn = ("wild_bootstrap", "bootstrap", "randomisation", "subcluster_bootstrap")
    if vcov in drawn and inference.draws < 99:
        raise SpecError(
            f'inference.draws = {inference.draws} with vcov = "{vcov}"', "at least 99 draws", spec.where
        )
    if vcov in INDEPENDENT and inference.draws:
        raise SpecError(
            f'inference.draws = {inference.draws} with vcov = "{vcov}", a closed form', "0", spec.where
        )
    if vcov in INDEPENDENT:
        _check_closed_form(spec)


def _check_panel_errors(spec: Spec) -> None:
    """Refuse clusters and keys of ``[inference]`` that belong to other errors."""
    asked, name, where = spec.inference, spec.estimator.name, spec.where
    if asked.by in ("state_and_year", "county_and_year") and (name != "two_way" or asked.vcov != "cluster"):
        raise ProtocolError(
            f'rule 11: {name} with vcov = "{asked.vcov}" cannot honour inference.by = "{asked.by}"',
            'two_way with vcov = "cluster", whose scores are known by year; or "state"',
            where,
        )
    of_segments = ("state", "segment", "state_and_segment")
    if asked.by in of_segments[1:] and name != "border_pairs":
        raise ProtocolError(
            f'rule 11: {name} cannot honour inference.by = "{asked.by}": it has no borders', '"state"', where
        )
    if name == "border_pairs" and asked.by not in of_segments:
        raise ProtocolError(
            f'rule 15: inference.by = "{asked.by}" for border_pairs, whose counties repeat along a border',
            " or ".join(f'"{by}"' for by in of_segments),
            where,
        )
    if name == "two_way" and spec.estimator.method == "event_time" and asked.vcov in ONE_COEFFICIENT:
        raise ProtocolError(
            f'rule 11: vcov = "{asked.vcov}" tests one coefficient, not event times',
            'method = "post", or vcov = "cluster"',
            where,
        )
    for key, of in (("cutoff_km", "spatial"), ("kernel", "spatial"), ("assignment", "randomisation")):
        given, wanted = getattr(asked, key) is not None, asked.vcov == of and spec.design.kind == "panel"
        if given != wanted:
            raise SpecError(
                f"inference.{key} is missing" if wanted else f'inference.{key} with vcov = "{asked.vcov}"',
                SECTIONS["inference"][key].wanted if wanted else f'a panel with vcov = "{of}"',
                where,
            )
    if asked.assignment == "counties_within_states" and spec.treatment.definition == "state_law":
        raise ProtocolError(
            'rule 12: assignment = "counties_within_states" under state_law, which treats whole states',
            '"whole_states"',
            where,
        )
    if asked.vcov == "placebo" and asked.draws:
        raise SpecError(f'inference.draws = {asked.draws} with vcov = "placebo", every donor', "0", where)


def _check_pairs(spec: Spec, rules: EstimatorRules) -> None:
    """Refuse clusters by pair where counties are in several pairs, or in none (protocol rule 12)."""
    vcov, by = spec.inference.vcov, spec.inference.by
    shares = spec.estimator.replacement is True
    if vcov != "cluster" or not rules.by_pair or shares:
        why = "with replacement a comparison county is in several" if shares else "there are no pairs"
        raise ProtocolError(
            f'rule 12: inference.by = "{by}" for {spec.estimator.name} with vcov = "{vcov}": {why}',
            'vcov = "cluster" and a match without replacement (Abadie and Spiess 2022), or by = "state"',
            spec.where,
        )


def _check_closed_form(spec: Spec) -> None:
    asked, vcov = spec.estimator, spec.inference.vcov
    if asked.regression_adjust:
        raise ProtocolError(
            f'rule 11: vcov = "{vcov}" with regression_adjust = true: the formula is of a difference of matches',
            'bias_adjust, or vcov = "cluster"',
            spec.where,
        )
    if vcov != "estimated_score":
        return
    plain_score = (
        asked.distance in ("propensity", "propensity_score")
        and asked.replacement
        and not asked.caliper
        and not asked.calipers
        and not asked.exact
        and not asked.bias_adjust
        and asked.weights == "none"
        and asked.estimand != "atc"
    )
    if not plain_score:
        raise ProtocolError(
            'rule 11: vcov = "estimated_score" for a match it was not derived for',
            "a propensity distance with replacement, without caliper, exact groups, adjustment and weights, for att or ate",
            spec.where,
        )


def _check_definition(spec: Spec) -> None:
    path = spec.definition_path
    if path is not None and not path.is_file():
        raise SpecError(
            f'treatment.definition = "{spec.treatment.definition}", '
            "and there is no such file beside the spec",
            "the path of a csv of policy dates, from the folder the spec is in",
            spec.where,
        )
    carried = carries(spec.treatment.definition, spec.design.kind, spec.within, spec.treatment.comparison)
    if not carried.allowed:
        raise ProtocolError(f"rule 6: {carried.reason}", carried.wanted, spec.where)
    until = definition_of(spec.treatment.definition).outcomes_until
    last = max(spec.years[-1], spec.treatment.status_year or 0)
    status = spec.treatment.status_year
    spoken = f"status in {status}" if status else f"outcomes in {span(spec)}"
    if until is not None and last > until:
        raise ProtocolError(
            f"rule 6: {spec.treatment.definition} with {spoken}: "
            f"{definition_of(spec.treatment.definition).why_until}",
            f"years up to {until}",
            spec.where,
        )
    if spec.treatment.definition in spec.controls.policies:
        raise SpecError(
            f"controls.policies holds {spec.treatment.definition}, the treatment itself",
            "the others",
            spec.where,
        )


def _check_rape(spec: Spec) -> None:
    if spec.outcome.measure == "rape_legacy" and spec.years[-1] > 2016:
        raise ProtocolError(
            f"rule 3: rape_legacy in {span(spec)}: the FBI prints no legacy rape after 2016",
            "years up to 2016, and up to 2012 for a main analysis",
            spec.where,
        )
    if spec.outcome.measure == "rape_revised" and spec.years[0] < RAPE_BREAK:
        raise ProtocolError(
            f"rule 3: rape_revised in {span(spec)}: the definition exists from {RAPE_BREAK}",
            f"years from {RAPE_BREAK}, or rape_legacy up to 2012",
            spec.where,
        )


def notes(spec: Spec) -> Iterator[str]:
    """Yield what the protocol wants said beside every number of a spec."""
    measure, last = spec.outcome.measure, spec.years[-1]
    if spec.outcome.build == "county_agencies":
        yield (
            "rule 1: offences of sheriffs and county police over all county residents: the two cover different people, "
            "so the rate falls with the share of residents under city police; read it beside build policed"
        )
    if spec.outcome.build == "outside_cities":
        yield (
            "rule 1: offences of sheriffs and county police over the residents of places without police of their own: cities "
            "are in neither part; counties with fewer than 1,000 such residents have no rate"
        )
    if spec.outcome.build == "county_file":
        yield "rule 1: offences and residents of the county file brought by the user, with whatever it imputes"
    if spec.outcome.build == "county_population":
        yield "rule 1: offences of the agencies that report over all county residents: unreported places count as free of crime"
    if measure == "rape_legacy" and last >= RAPE_BREAK:
        yield (
            "rule 3: from 2013 agencies leave the legacy definition of rape one by one; "
            "not a main rape analysis"
        )
    if measure == "rape" and last >= RAPE_BREAK:
        yield (
            "rule 3: from 2013 rape is legacy for some agencies and revised for others; read it beside rape_legacy and "
            'rape_revised, or with effects = "county_definition_year"; not a main rape analysis'
        )
    if measure == "rape_revised":
        yield "rule 3: the revised definition of rape covers only the agencies that had adopted it"
    if measure in HOLDS_RAPE and last >= RAPE_BREAK:
        yield (
            f"rule 3: from 2013 {load_codebook().measures[measure].label} holds legacy rape for some "
            "agencies and revised rape for others; read it beside the measure that excludes rape"
        )
    if spec.sample.years is not None and spec.sample.years != MAIN_WINDOW:
        yield f"rule 4: the main window is {MAIN_WINDOW[0]}-{MAIN_WINDOW[1]}; {span(spec)} is a variation"
    if spec.design.area == "city":
        yield from _city_notes(spec)
    elif spec.years[0] < 2010:
        yield "rule 4: Illinois is hardly published before 2010"
    if last > 2017:
        yield "rule 4: Iowa is missing in 2018, most of Alabama, Georgia, Pennsylvania and Missouri in 2019"
    if spec.covariates.names and int(spec.covariates.vintage[-4:]) > 2010:
        yield f"rule 4: covariates of {spec.covariates.vintage.replace('_', '-')} overlap early policies"
    if spec.treatment.onset == "adoption_year":
        yield (
            "rule 5: the adoption year counts as treated though most policies begin in April-October: "
            "its effect is that of part of a year"
        )
    yield from _definition_notes(spec)
    if spec.treatment.placebo_shift is not None:
        yield (
            f"placebo: adoption is moved {spec.treatment.placebo_shift} years back and later years are dropped; "
            "an effect here is none of the policy"
        )
    if spec.treatment.exposed == "neighbours":
        yield (
            "ring test: counties that touch an adopter stand for it, adopters are left out; "
            "an effect here is spillover, or a difference between border and other counties"
        )
    if spec.sample.hispanic_quartile is not None:
        yield (
            f"treated counties of quartile {spec.sample.hispanic_quartile} of the Hispanic share of 2010, cut over treated "
            "counties and those that touch them; comparison counties of any share"
        )
    if spec.estimator.name == "border_pairs":
        if spec.covariates.names:
            yield "covariates of border_pairs are fixed in time: each has its own effect in every year"
        yield "rule 15: along a border the estimate is the effect plus what moved across it; read it beside the ring test"
    named = load_codebook().measures[measure]
    if named.kind == "direct" and named.note:
        yield f"{named.label}: {named.note.rstrip('.')}"
    if "age_15_24" in spec.covariates.names and spec.covariates.vintage in LATER_AGES:
        yield f"age_15_24 of vintage {spec.covariates.vintage.replace('_', '-')} counts ages 16-24"
    if spec.treatment.status_year is not None:
        yield (
            f"placebo: counties by their status in {spec.treatment.status_year}, outcomes of {span(spec)}; "
            "a difference here is none of a policy adopted between the two"
        )
    if spec.inference.vcov in INDEPENDENT:
        yield (
            "rule 12: Abadie-Imbens errors are valid if counties were assigned independently; "
            "they carry no verdict"
        )
    elif spec.inference.by == "pair":
        yield (
            "rule 12: errors clustered by matched pair are valid if pairs are independent of each other; "
            "they carry no verdict"
        )
    elif spec.inference.vcov == "spatial":
        yield (
            f"rule 12: errors correlated within {spec.inference.cutoff_km:g} km ({spec.inference.kernel} kernel) miss what a "
            "state's counties share beyond that; they carry no verdict"
        )
    elif spec.inference.vcov == "placebo":
        yield "placebo p-values take the treated area as one drawn from the donors at random"
    elif spec.inference.by == "segment":
        yield "rule 15: errors clustered by border segment alone carry no verdict"
    elif spec.inference.by in ("county", "county_and_year"):
        yield "rule 12: policies cluster in states; errors clustered by county carry no verdict"


def _city_notes(spec: Spec) -> Iterator[str]:
    kind = definition_of(spec.treatment.definition).kind
    if kind == "user":
        yield "areas are cities, with the dates of the csv; a county's or a state's row counts for all its cities"
    elif kind == "list":
        yield "areas are cities; treated are those the list names, or whose county it names where the city is its county"
    elif kind == "activation":
        yield "areas are cities; the programme is that of the county that holds the city"
    elif kind == "state":
        yield "areas are cities; the policy is that of their state"
    else:
        yield (
            "areas are cities; the policy is that of the county that holds the city, since no list at hand dates those of "
            "cities: this asks about another treatment than an ordinance of the city's own"
        )
    others = [name for name in spec.covariates.names if name != "log_population"]
    if others:
        yield f"{', '.join(others).replace('_', ' ')}: of the county that holds the city"
    if spec.years[0] < FIRST_YEAR:
        yield f"before {FIRST_YEAR} the series holds cities of about 100,000 residents and more"


def _definition_notes(spec: Spec) -> Iterator[str]:
    note = carries(spec.treatment.definition, spec.design.kind, spec.within).note
    if note:
        yield f"rule 6: {note}"


def span(spec: Spec) -> str:
    """Return the years of a spec as text."""
    years = spec.years
    return str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}"

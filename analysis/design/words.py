"""A spec and its design in words, for people who decide whether to run it."""

from __future__ import annotations

import textwrap

from analysis.base.codebook import load_codebook
from analysis.design.design import Design, label_of, many, unit_of
from analysis.design.keys import is_csv, show
from analysis.design.spec import EstimatorSection, Spec
from analysis.design.treatment import definition_of

WIDTH = 110
LEAD = 14
CELL = 60
ESTIMATOR_WORDS = {
    "matched_difference": "matched difference",
    "optimal_match": "optimal pairs",
    "full_match": "optimal full matching",
    "genetic_match": "genetic matching",
    "cardinality_match": "cardinality matching, the largest sample within balance limits",
    "coarsened_match": "coarsened exact matching",
    "subclassification": "subclassification on the fitted probability",
    "weighting": "weighting",
    "doubly_robust": "augmented weighting (doubly robust)",
    "regression_adjustment": "regression adjustment",
    "matched_did": "matched difference-in-differences",
    "imputation": "imputation (Borusyak, Jaravel and Spiess)",
    "two_stage": "two-stage (Gardner)",
    "interaction_weighted": "interaction-weighted (Sun and Abraham)",
    "stacked": "stacked by cohort with corrected weights",
    "extended_two_way": "extended two-way (Wooldridge)",
    "local_projections": "local projections",
    "poisson": "Poisson of counts with people as exposure",
    "two_way": "two-way fixed effects",
    "group_time_att": "group-time effects (Callaway and Sant'Anna)",
    "border_pairs": "treated counties against their untreated neighbours",
    "synthetic_control": "synthetic control (Abadie, Diamond and Hainmueller)",
    "synthetic_did": "synthetic difference-in-differences (Arkhangelsky and others)",
    "before_after": "after less before, in adopters alone",
    "two_by_two": "difference of four means",
}
EFFECTS_WORDS = {
    "county_year": "county and year",
    "state_by_year": "county and state-by-year",
    "urban_class_by_year": "county and urban-class-by-year",
    "county_definition_year": "county by definition of rape, and year",
    "segment_by_year": "county in its border segment, and segment-by-year",
    "pair_by_year": "county in its pair, and pair-by-year",
    "group_by_year": "county, and year of an adopter with all its neighbours",
}
REPEATS_WORDS = {
    "shared": "a county in several groups shares its weight out",
    "whole": "a county in several groups has its whole weight in each",
}
WITHIN_WORDS = {
    "none": "anywhere in the sample",
    "state": "within the same state",
    "urban_class": "within the same urban class",
}
ONSET_WORDS = {
    (
        "panel",
        "first_full_year",
    ): "treated from the first full year; the adoption year is dropped for that county",
    ("panel", "adoption_year"): "treated from the adoption year, though most policies begin within it",
    (
        "cross_section",
        "first_full_year",
    ): "in force on 1 January; counties that adopt during the year are left out",
    ("cross_section", "adoption_year"): "adopted by the end of the year",
}
COMPARISON_WORDS = {
    "not_yet_treated": "counties not treated so far",
    "never_treated": "counties never treated",
}
BALANCE_WORDS = {
    "every_year": "present in every year",
    "all_but_two": "missing in at most two years",
    "none": "no balance asked",
}
WEIGHT_WORDS = {
    "population_baseline": "weighted by residents in the first year",
    "none": "every county alike",
}
VCOV_WORDS = {
    "cluster": "errors clustered by {by}",
    "wild_bootstrap": "wild bootstrap by {by}",
    "bootstrap": "bootstrap of whole states, the estimate made anew in each draw",
    "randomisation": "randomisation of the policy, studentised, the match made anew in each draw",
    "abadie_imbens": "Abadie-Imbens errors, valid if counties were assigned independently",
    "abadie_imbens_homoskedastic": "Abadie-Imbens errors of one variance, valid if counties were assigned independently",
    "estimated_score": "Abadie-Imbens errors for an estimated score, valid if counties were assigned independently",
    "cr2": "errors clustered by {by}, CR2 with Satterthwaite degrees of freedom",
    "cr3": "errors clustered by {by}, CR3 (jackknife) with Satterthwaite degrees of freedom",
    "subcluster_bootstrap": "wild bootstrap of counties, errors by {by}",
    "spatial": "errors correlated within {cutoff:g} km",
    "placebo": "the policy given to each comparison area in turn",
}
ASSIGNMENT_WORDS = {
    "counties_within_states": "randomisation of dates among the counties of a state, studentised",
    "whole_states": "randomisation of dates among whole states, studentised",
}
ESTIMAND_WORDS = {
    "att": "average over treated counties (att)",
    "atc": "average over comparison counties (atc)",
    "ate": "average over all counties (ate)",
    "ato": "average over counties as far as they overlap (ato)",
}
TRIM_WORDS = {
    "optimal_for_estimand": "trimmed where the fitted probability makes this average imprecise",
    "optimal": "trimmed where the fitted probability makes the average over all counties imprecise",
    "tenth": "trimmed to fitted probabilities between 0.1 and 0.9",
}


def describe(spec: Spec, design: Design | None = None) -> str:
    """Return what a spec would estimate, and with a design on how many counties, as plain text.

    Args:
        spec: as loaded, with its grid.
        design: of the spec's own values, from ``make_design(panel, spec)``; without one nothing is counted.

    Returns:
        Lines of at most 110 characters, aligned, with units.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> print(describe(load_spec("main")).splitlines()[0])
        main: Full limits on detainers and reported county crime, 2010-2017
    """
    blocks = [_head(spec), _statement(spec)]
    if design is not None:
        blocks += [_attrition(design), _result_of_rules(design)]
    notes = design.notes if design is not None else spec.notes
    if notes:
        blocks.append("To be said beside every number\n" + "\n".join(_bullet(note) for note in notes))
    return "\n\n".join(blocks) + "\n"


def compare_specs(left: Spec, right: Spec) -> str:
    """Return the keys in which two specs differ, as an aligned text table.

    Example:
        >>> from analysis.design.spec import load_spec
        >>> main = load_spec("main")
        >>> print(compare_specs(main, main.replace({"sample.min_coverage": 0.8})))
        key                  main  main
        sample.min_coverage  0.9   0.8
    """
    found = left.diff(right)
    if found.empty:
        return f"{left.name} and {right.name} are the same specification"
    cells = [
        [textwrap.shorten(str(cell), CELL, placeholder=" ...") for cell in row] for row in found.to_numpy()
    ]
    rows = [["key", left.name, right.name], *cells]
    key, first = (max(len(row[i]) for row in rows) for i in (0, 1))
    return "\n".join(f"{row[0]:<{key}}  {row[1]:<{first}}  {row[2]}".rstrip() for row in rows)


def _head(spec: Spec) -> str:
    crossed = 1
    for _, values in spec.vary:
        crossed *= len(values)
    total = len(spec.expand())
    lines = [f"{spec.name}: {spec.title}"]
    if total == 1:
        lines.append(_entry("stands for", "one specification"))
    else:
        varied = " x ".join(f"{len(values)} {key}" for key, values in spec.vary) or "its own values"
        more = f"; {total - crossed} one-offs" if total > crossed else ""
        lines.append(_entry("stands for", f"{total} specifications: {varied}{more}"))
    if again := spec.repeated():
        named = ", ".join(f"{name.split('/', 1)[1]} (= {before.split('/', 1)[1]})" for name, before in again)
        lines.append(_entry("run once", f"lines that say what an earlier one says: {named}"))
    lines.append(_entry("status", spec.status))
    lines.append(_entry("digest", spec.digest))
    return "\n".join(lines)


def _statement(spec: Spec) -> str:
    measure = load_codebook().measures[spec.outcome.measure]
    outcome = (
        f"{label_of(measure, spec.outcome.scale)}, {unit_of(measure, spec.outcome.scale, spec.outcome.build)}"
    )
    treatment, sample = spec.treatment, spec.sample
    lines = [_entry("outcome", outcome)]
    what = (
        "dates of your own"
        if is_csv(treatment.definition)
        else definition_of(treatment.definition).description
    )
    lines.append(_entry("treatment", f"{treatment.definition}: {what}"))
    lines.append(_entry("", ONSET_WORDS[spec.design.kind, treatment.onset]))
    if treatment.upper_bound_dates == "one_year_earlier":
        lines.append(_entry("", "dates that are upper bounds count one year earlier"))
    if treatment.anticipation:
        lines.append(
            _entry("", f"{treatment.anticipation} year(s) before adoption are left out as anticipation")
        )
    lines += [_entry("", words) for words in _treatment_words(spec)]
    where = f", {WITHIN_WORDS[spec.within]}"
    lines.append(_entry("comparison", COMPARISON_WORDS[treatment.comparison] + where))
    lines.append(_entry("sample", _sample_words(spec)))
    if spec.covariates.names:
        vintage = spec.covariates.vintage.replace("_", "-")
        lines.append(_entry("covariates", f"{show(spec.covariates.names)}, vintage {vintage}"))
    if spec.controls.policies:
        lines.append(_entry("held constant", show(spec.controls.policies).replace("_", " ")))
    lines.append(_entry("estimator", _estimator_words(spec)))
    inference = spec.inference
    error = ASSIGNMENT_WORDS.get(inference.assignment or "") or VCOV_WORDS[inference.vcov].format(
        by=inference.by.replace("_", " "), cutoff=inference.cutoff_km or 0.0
    )
    draws = f", {inference.draws:,} draws, seed {inference.seed}" if inference.draws else ""
    lines.append(_entry("inference", f"{error}; {100 * inference.level:g} % intervals{draws}"))
    if not spec.carries_verdict:
        lines.append(_entry("", "carries no verdict (protocol rules 6 and 12)"))
    if sample.constant_agencies:
        lines.append(_entry("", "agencies present in every year of 2010-2017 alone"))
    return "What would be estimated\n" + "\n".join(lines)


def _treatment_words(spec: Spec) -> list[str]:
    asked = spec.treatment
    words = []
    if asked.only:
        words.append(f"of the treated only {show(asked.only)}")
    if asked.placebo_shift is not None:
        words.append(f"placebo: adoption moved {asked.placebo_shift} year(s) back, later years dropped")
    if asked.exposed == "neighbours":
        words.append("ring test: untreated neighbours of adopters stand for them, adopters are left out")
    if spec.design.area == "state":
        words.append("counties added up to their states")
    if spec.design.area == "city":
        words.append("areas are cities: the counties counted below are cities")
    return words


def _sample_words(spec: Spec) -> str:
    sample = spec.sample
    years = spec.years
    parts = [f"{years[0]}-{years[-1]}" if len(years) > 1 else str(years[0])]
    if sample.drop_years:
        parts.append(f"without {show(sample.drop_years)}")
    parts.append(f"{sample.min_population:,} residents or more in {years[0]}")
    if sample.min_coverage > 0:
        parts.append(f"coverage {100 * sample.min_coverage:g} % or more")
    if sample.balance:
        parts.append(BALANCE_WORDS[sample.balance])
    for words, values in (
        ("only", sample.keep_states),
        ("without", sample.drop_states),
        ("without counties", sample.drop_counties),
        ("only", sample.urban_classes),
    ):
        if values:
            parts.append(f"{words} {show(values)}")
    if sample.without_neighbours:
        parts.append("without comparison counties that touch a treated one")
    if sample.largest_hispanic:
        parts.append(f"the {sample.largest_hispanic:,} counties with the most Hispanic residents in 2010")
    if sample.hispanic_quartile is not None:
        parts.append(f"treated counties of quartile {sample.hispanic_quartile} of the Hispanic share of 2010")
    return "; ".join(parts)


def _estimator_words(spec: Spec) -> str:
    estimator = spec.estimator
    parts = [ESTIMATOR_WORDS.get(estimator.name, estimator.name)]
    if estimator.method:
        parts.append(estimator.method.replace("_", " "))
    if estimator.effects:
        parts.append(EFFECTS_WORDS[estimator.effects])
    if estimator.trends == "county":
        parts.append("county trends from the years before adoption")
    if estimator.span:
        parts.append(f"from {estimator.span[0]} years before adoption to {estimator.span[1]} after")
    if estimator.repeats:
        parts.append(REPEATS_WORDS[estimator.repeats])
    if estimator.window:
        parts.append(f"{estimator.window} years either side of adoption")
    if estimator.exposure == "policed":
        parts.append("residents policed as exposure")
    if estimator.lag_years and not estimator.match_on:
        parts.append(f"means over {estimator.lag_years} years either side")
    parts += _match_words(estimator)
    if spec.design.kind == "cross_section":
        parts.append(ESTIMAND_WORDS[estimator.estimand or "att"])
    parts.append(WEIGHT_WORDS[estimator.weights])
    return "; ".join(parts)


def _match_words(estimator: EstimatorSection) -> list[str]:
    parts = []
    if estimator.match_on:
        parts.append(
            f"matched on {show(estimator.match_on).replace('_', ' ')} over {estimator.lag_years} years"
        )
    near = f" by {estimator.distance.replace('_', ' ')} distance" if estimator.distance else ""
    if estimator.neighbours:
        parts.append(f"{estimator.neighbours} nearest{near}" if near else f"{estimator.neighbours} to one")
    elif near:
        parts.append(near.strip())
    if estimator.replacement is not None:
        parts.append("with replacement" if estimator.replacement else "without replacement")
    if estimator.order:
        parts.append(f"who chooses first: {estimator.order.replace('_', ' ')}")
    if estimator.max_controls:
        parts.append(f"at most {estimator.max_controls} comparison counties a treated one")
    if estimator.tolerance is not None:
        parts.append(f"means within {estimator.tolerance:g} standard deviations")
    if estimator.fine:
        parts.append(f"counts balanced on {show(estimator.fine).replace('_', ' ')}")
    if estimator.bins:
        parts.append(f"bins by {estimator.bins.replace('_', ' ')}")
    for name, cuts in estimator.cut_points or ():
        parts.append(f"{name} cut at {show(cuts)}")
    if estimator.classes:
        parts.append(f"{estimator.classes} classes of the fitted probability")
    if estimator.moments and estimator.moments > 1:
        parts.append(f"covariates to the power {estimator.moments}")
    if estimator.loss:
        parts.append(
            f"search of {estimator.generations} generations of {estimator.population} by {estimator.loss.replace('_', ' ')}"
        )
    if estimator.exact:
        parts.append(f"exact on {show(estimator.exact).replace('_', ' ')}")
    if estimator.caliper:
        parts.append(f"caliper {estimator.caliper:g} standard deviations")
    for name, width in estimator.calipers or ():
        parts.append(f"caliper {width:g} standard deviations of {name}")
    if estimator.trim:
        parts.append(TRIM_WORDS[estimator.trim])
    if estimator.bias_adjust:
        parts.append("bias-adjusted")
    if estimator.regression_adjust:
        parts.append("regression on the matched sample")
    return parts


def _attrition(design: Design) -> str:
    table = design.attrition
    width = max(len("rule"), table["rule"].str.len().max())
    width = min(width, WIDTH - 48)
    lines = [f"  {'rule':<{width}}  {'counties':>9}  {'treated':>8}  {'county-years':>13}  {'dropped':>9}"]
    for row in table.to_dict("records"):
        rule = textwrap.shorten(row["rule"], width, placeholder=" ...")
        lines.append(
            f"  {rule:<{width}}  {row['counties']:>9,}  {row['treated']:>8,}  {row['county_years']:>13,}"
            f"  {row['dropped']:>9,}"
        )
    return "What is left after each rule (dropped: county-years)\n" + "\n".join(lines)


def _result_of_rules(design: Design) -> str:
    found = design.counts().iloc[0]
    within = design.spec.within == "state"
    who = (
        f"{many(found['treated_counties'], 'treated county')} in {many(found['states_treated'], 'state')}, "
        f"{many(found['comparison_counties'], 'comparison county')}; {found['county_years']:,} county-years"
    )
    states = found["identifying_states"] or "no state"
    identified = f"{many(found['identifying_treated'], 'treated county')} in {states}"
    lines = [_entry("estimated on", who), _entry("identified by", identified)]
    if within:
        lines.append(_entry("", "(within states: those with treated and comparison counties)"))
    if design.kind == "panel":
        lines.append(_entry("cohorts", str(found["cohorts"])))
    before = "treated counties before adoption" if design.kind == "panel" else "comparison counties"
    lines.append(_entry("baseline", f"{design.baseline:,.4g} {design.unit} ({before})"))
    if design.stamp.simulated:
        lines.append(_entry("", "SIMULATED DATA"))
    return "\n".join(lines)


def _entry(word: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {word:<{LEAD}}",
        subsequent_indent=" " * (LEAD + 2),
        break_on_hyphens=False,
        break_long_words=False,
    )


def _bullet(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)

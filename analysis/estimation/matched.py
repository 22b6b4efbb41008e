"""Matched comparisons of counties in one year: every method on one design and one record.

Whom a method compares is found on arrays, in `analysis.estimation.matching.comparison`; here a spec becomes a plan, a
design the arms it compares, and what comes out an Estimate with its inference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.design.treatment import definition_of
from analysis.estimation.estimate import Estimate, Inference, make_estimate, record, tabulate
from analysis.estimation.inference import cluster_variance, t_quantile
from analysis.estimation.matching.balance import Denominator, tidy_balance
from analysis.estimation.matching.bootstrap import cluster_bootstrap
from analysis.estimation.matching.comparison import (
    VARIANCE_NEIGHBOURS,
    Arms,
    Compared,
    Plan,
    compare,
    effect_of,
    independent_variance,
)
from analysis.estimation.matching.nearest import Matches
from analysis.estimation.matching.randomisation import assignment, randomisation_inference
from analysis.estimation.matching.regression import Effect, matched_variance

Array = NDArray[np.float64]
T = TypeVar("T")
# Counties an attrition line names; `match(design).pruned` lists all.
MOST_NAMED = 100
ESTIMANDS = {
    "att": "average over treated counties",
    "atc": "average over comparison counties",
    "ate": "average over all counties",
    "ato": "average over counties weighted by their overlap",
}

MATCHED_ON = {
    "propensity": "the linear predictor of a logit",
    "propensity_score": "the fitted probability of a logit",
}


@dataclass(frozen=True, slots=True)
class MatchedSets:
    """Who was compared with whom, and what that makes of each county.

    Args:
        pairs: treated, comparison (county codes), share (of the other county in the match), weight (of the county
            matched), distance (squared, in the coordinates matched on), of (the arm averaged over: treated or
            comparison); empty for weights and regressions.
        counties: every county of the design, sorted.
        treated: (n,) bool.
        weights: (n,) in the sample compared: for the average over treated counties, a treated county's own and the sum
            of shares times treated weights for a comparison county; 0 for one not used.
        covariates: (n, k) as matched on.
        names: of the k covariates.
        coordinates: (n, c) in which distance was measured; missing for counties trimmed.
        matches: the matches of the arm averaged over as row numbers; None for weights and regressions, or where both
            arms are averaged over (then see ``compared``).
        dropped: counties of an arm averaged over without a match of their own.
        notes: warnings of the matching.
        sets: (n,) label of the county's set where sets share no county, -1 in none; None otherwise.
        score: (n,) fitted probability of treatment, missing where none was fitted.
        estimand: what is averaged over, after trimming and pruning.
        pruned: county_fips, treated, reason (trimmed, no match, not used as a match): everybody with weight 0.
        compared: the same on arrays.
    """

    pairs: pd.DataFrame
    counties: pd.Index
    treated: NDArray[np.bool_]
    weights: Array
    covariates: Array
    names: tuple[str, ...]
    coordinates: Array
    matches: Matches | None
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    sets: NDArray[np.intp] | None
    score: Array
    estimand: str
    pruned: pd.DataFrame
    compared: Compared

    @property
    def used(self) -> NDArray[np.bool_]:
        """Return which counties are in the sample compared, (n,)."""
        return np.asarray(self.weights > 0)


def match(design: Design) -> MatchedSets:
    """Match or weigh treated and comparison counties as the spec's ``[estimator]`` says; outcomes are not looked at.

    Weights decide how counties are averaged, not who is matched to whom. A caliper of c keeps pairs apart by at most c
    standard deviations in every covariate (in the linear predictor for propensity matching); a county with fewer
    allowed matches than ``neighbours`` is dropped, counted and named.

    Args:
        design: a cross-section.

    Returns:
        See `MatchedSets`.

    Raises:
        SpecError: a design that is no cross-section, or without covariates.
        SampleError: covariates are constant or dependent, arms are separated, or no county can be matched.

    Assumption: given the covariates adoption is as good as random, and both kinds of county occur everywhere.

    Source: Stuart (2010), Statistical Science 25(1), and the paper named beside each method.

    Example:
        ``match(make_design(panel, load_spec("cross_section_2015"))).pairs``
    """
    arms, counties = _arms(design)
    compared = _named(lambda: compare(arms, plan_of(design)), "estimator")
    return _sets(design, arms, counties, compared)


def plan_of(design: Design) -> Plan:
    """Return how the spec of a design says its arms are compared; keys it leaves out are those of `Plan`."""
    asked = design.spec.estimator
    given = {
        "estimand": asked.estimand,
        "distance": asked.distance,
        "neighbours": asked.neighbours,
        "replacement": asked.replacement,
        "caliper": asked.caliper,
        "calipers": asked.calipers,
        "exact": asked.exact,
        "fine": asked.fine,
        "order": asked.order,
        "short": asked.short,
        "max_controls": asked.max_controls,
        "loss": asked.loss,
        "population": asked.population,
        "generations": asked.generations,
        "tolerance": asked.tolerance,
        "bins": asked.bins,
        "cut_points": asked.cut_points,
        "classes": asked.classes,
        "moments": asked.moments,
        "weighting": asked.method if asked.name == "weighting" else None,
        "trimming": asked.trim,
        "adjust": "bias" if asked.bias_adjust else "regression" if asked.regression_adjust else None,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    return Plan(asked.name, seed=design.spec.inference.seed, **chosen)  # type: ignore[arg-type]


def fit(design: Design) -> Estimate:
    """Estimate the average difference between treated counties and those they are compared with.

    Args:
        design: a cross-section.

    Returns:
        An Estimate of estimand ``difference`` with one row; its term names whom it averages over (att, atc, ate, ato).
        ``vcov = "cluster"``: by state or county, or by matched pair (set) and by pair and state, factor (N - 1) /
        (N - 2) times G / (G - 1), t with G - 1 degrees of freedom; matches are taken as given, estimated weights are
        not. ``bootstrap``: whole states are drawn and everything is found anew. ``randomisation``: the policy is
        assigned anew, counties within their state, or whole states where the definition is of states; everything is
        found anew, the interval holds the constant effects not rejected. ``abadie_imbens`` and its kin: closed forms
        with normal quantiles, valid if counties were assigned independently; no influence.

    Raises:
        SpecError, SampleError: see `match`; also a sample that cannot carry the regressions or the inference.

    Assumption: no unmeasured difference between the counties compared that moves the outcome.

    Source: Abadie and Imbens (2006, 2011); Abadie and Spiess (2022); Wu and Ding (2021) for randomisation.
    """
    spec, plan = design.spec, plan_of(design)
    arms, counties = _arms(design)
    compared = _named(lambda: compare(arms, plan), "estimator")
    sets = _sets(design, arms, counties, compared)
    used = sets.used
    if used.sum() <= 2:
        raise SampleError(
            f"{int((used & sets.treated).sum())} treated and {int((used & ~sets.treated).sum())} comparison county are "
            "left, and no error can be given",
            "more treated counties, or a wider caliper",
            "sample",
        )
    y = design.table.set_index("county_fips").loc[counties, "outcome"].to_numpy(dtype=float)
    effect = _named(lambda: effect_of(y, arms, plan, compared), "estimator")
    rows = pd.DataFrame(
        {
            "term": [plan.estimand],
            "cohort": pd.NA,
            "time": pd.NA,
            "event_time": pd.NA,
            "estimate": [effect.estimate],
        }
    )
    members = np.where(used, np.where(sets.treated, sets.weights, 0.0), np.nan)
    part = _Part(design, arms, plan, compared, sets, y, effect, rows, members, _attrition(sets))
    asked = spec.inference
    if asked.vcov == "cluster":
        return _by_sets(part) if asked.by in ("pair", "pair_and_state") else _by_cluster(part)
    if asked.vcov == "bootstrap":
        return _resampled(part)
    if asked.vcov == "randomisation":
        return _reassigned(part)
    return _independent(part)


@dataclass(frozen=True, slots=True)
class _Part:
    """What every kind of inference starts from."""

    design: Design
    arms: Arms
    plan: Plan
    compared: Compared
    sets: MatchedSets
    y: Array
    effect: Effect
    rows: pd.DataFrame
    members: Array
    dropped: list[tuple[str, int, int, int]]


def _by_cluster(part: _Part) -> Estimate:
    notes = [
        *part.sets.notes,
        f"{int(part.sets.used.sum())} counties in the sample compared; error factor (N - 1) / (N - 2) x G / (G - 1)",
    ]
    if not part.sets.pairs.empty:
        notes.append("errors take the matches as given")
    return make_estimate(
        part.design,
        rows=part.rows,
        counties=part.sets.counties,
        influence=part.effect.influence[:, None],
        treated=part.members[:, None],
        estimand="difference",
        reference=None,
        notes=notes,
        dropped=part.dropped,
    )


def _by_sets(part: _Part) -> Estimate:
    """Return the record with errors clustered by matched set, or by set and state."""
    asked, sets = part.design.spec.inference, part.compared.sets
    if sets is None:
        raise SpecError(f'inference.by = "{asked.by}" where sets share counties', '"state"', "inference.by")
    states = np.unique(_states(part), return_inverse=True)[1]
    labels = sets if asked.by == "pair" else np.column_stack([sets, states])
    variance = _named(lambda: matched_variance(part.effect.influence, labels, "largest"), "inference.by")
    clusters = len(np.unique(sets[sets >= 0]))
    if asked.by == "pair_and_state":
        clusters = min(clusters, len(np.unique(states[sets >= 0])))
    words = (
        "set"
        if asked.by == "pair"
        else "set and by state, the largest of the two and of both together; degrees of freedom from the fewer clusters"
    )
    return _recorded(
        part,
        variance=variance,
        inference=_inference(part, "cluster", asked.by, clusters, clusters - 1.0),
        notes=[f"errors clustered by matched {words} (Abadie and Spiess 2022); matches are taken as given"],
        with_influence=True,
    )


def _independent(part: _Part) -> Estimate:
    """Return the record with a closed-form error: no clusters, no influence."""
    asked = part.design.spec.inference
    variance = _named(
        lambda: independent_variance(part.y, part.arms, part.plan, part.compared, asked.vcov),
        "inference.vcov",
    )
    how = {
        "abadie_imbens": f"outcome variance from {VARIANCE_NEIGHBOURS} neighbours within the arm",
        "abadie_imbens_homoskedastic": "one outcome variance for all",
        "estimated_score": "changed for the score having been estimated",
    }[asked.vcov]
    label = (
        f"Abadie-Imbens error: valid if counties were assigned independently; it carries no verdict ({how})"
    )
    return _recorded(
        part,
        variance=variance,
        inference=_inference(part, asked.vcov, "none", int(part.sets.used.sum()), np.inf),
        notes=[label],
        with_influence=False,
    )


def _resampled(part: _Part) -> Estimate:
    """Return the record with errors from drawing whole states, everything found anew in each draw."""
    asked = part.design.spec.inference

    def again(rows: NDArray[np.intp]) -> float:
        arms = part.arms.rows(rows)
        return effect_of(part.y[rows], arms, part.plan, compare(arms, part.plan)).estimate

    found = _named(
        lambda: cluster_bootstrap(
            again,
            _states(part),
            part.plan.method,  # type: ignore[arg-type]
            draws=asked.draws,
            seed=asked.seed,
            level=asked.level,
        ),
        "inference.vcov",
    )
    notes = [
        f"error from {asked.draws} draws of {found.clusters} whole states, everything found anew in each; "
        f"the interval holds the middle {100 * asked.level:g} % of draws"
    ]
    if found.failed:
        why = "; ".join(f"{count} {reason}" for reason, count in found.reasons)
        notes.append(f"{found.failed} draws without an estimate: {why}")
    estimate = _recorded(
        part,
        variance=found.std_error**2,
        inference=_inference(part, "bootstrap", "state", found.clusters, found.clusters - 1.0),
        notes=notes,
        with_influence=True,
    )
    # Percentiles need not hold the estimate where draws are skewed; the record's interval does.
    low, high = min(found.conf_low, found.estimate), max(found.conf_high, found.estimate)
    return _with_interval(estimate, None, low, high)


def _reassigned(part: _Part) -> Estimate:
    """Return the record with p-value and interval from assigning the policy anew."""
    asked = part.design.spec.inference
    states = _states(part)
    of_states = definition_of(part.design.spec.treatment.definition).kind == "state"
    codes = np.unique(states, return_inverse=True)[1]

    def matched(treated: NDArray[np.bool_]) -> Callable[[Array], tuple[float, float]]:
        arms = replace(part.arms, treated=treated)
        compared = compare(arms, part.plan)

        def evaluate(y: Array) -> tuple[float, float]:
            effect = effect_of(y, arms, part.plan, compared)
            return effect.estimate, float(np.sqrt(cluster_variance(effect.influence[:, None], codes)[0, 0]))

        return evaluate

    plan = _named(
        lambda: assignment("states" if of_states else "counties_within_states", part.arms.treated, states),
        "inference.vcov",
    )
    found = _named(
        lambda: randomisation_inference(
            matched,
            part.y,
            part.arms.treated,
            plan,
            draws=asked.draws,
            seed=asked.seed,
            level=asked.level,
        ),
        "inference.vcov",
    )
    notes = [
        f"p-value and interval by randomisation, studentised by state: {found.mechanism}; {found.used:,} of "
        f"{found.assignments:.3g} assignments, the match made anew in each; the standard error is the cluster-robust one"
    ]
    if found.idle:
        notes.append(
            f"{len(found.idle)} states could not have fallen otherwise and contribute nothing to the test: "
            f"{', '.join(found.idle)}"
        )
    if found.failed:
        why = "; ".join(f"{count} {reason}" for reason, count in found.reasons)
        notes.append(f"{found.failed} assignments without an estimate count as extreme: {why}")
    estimate = _recorded(
        part,
        variance=found.std_error**2,
        inference=_inference(part, "randomisation", "state", len(np.unique(codes)), np.inf),
        notes=notes,
        with_influence=True,
    )
    return _with_interval(estimate, found.p_value, found.conf_low, found.conf_high)


def _inference(part: _Part, kind: str, by: str, clusters: int, df: float) -> Inference:
    asked = part.design.spec.inference
    return Inference(kind, by, clusters, df, asked.level, asked.draws, asked.seed)


def _recorded(
    part: _Part, *, variance: float, inference: Inference, notes: list[str], with_influence: bool
) -> Estimate:
    critical = t_quantile(inference.level, inference.df)
    table = tabulate(
        part.rows, np.array([np.sqrt(variance)]), part.members[:, None], inference.df, critical, critical
    )
    return record(
        part.design,
        table=table,
        vcov=np.array([[variance]]),
        influence=part.effect.influence[:, None] if with_influence else None,
        counties=part.sets.counties,
        treated=part.members[:, None],
        estimand="difference",
        reference=None,
        inference=inference,
        notes=[*part.sets.notes, *notes],
        dropped=part.dropped,
    )


def _with_interval(estimate: Estimate, p_value: float | None, low: float, high: float) -> Estimate:
    changes = {"conf_low": low, "conf_high": high, "band_low": low, "band_high": high}
    if p_value is not None:
        changes["p_value"] = p_value
    return replace(estimate, table=estimate.table.assign(**changes))


def _states(part: _Part) -> NDArray[np.str_]:
    return part.sets.counties.to_numpy(dtype=str).astype("U2")


# ------------------------------------------------------------------------------------------------------------
# Design to arrays and back
# ------------------------------------------------------------------------------------------------------------


def _arms(design: Design) -> tuple[Arms, pd.Index]:
    if design.kind != "cross_section" or not design.covariates:
        raise SpecError(
            f"matching on a {design.kind} with {len(design.covariates)} covariates",
            "a cross_section with some",
        )
    table = design.table.sort_values("county_fips", kind="stable").reset_index(drop=True)
    treated = table["treated"].to_numpy(dtype=bool)
    weight = table["weight"].to_numpy(dtype=float)
    asked = design.spec.estimator
    groups = {
        name: np.unique(table[name].to_numpy(dtype=str), return_inverse=True)[1].astype(np.intp)
        for name in {*(asked.exact or ()), *(asked.fine or ())}
    }
    mean = weight[treated].mean() if treated.any() else 1.0
    x = table[list(design.covariates)].to_numpy(dtype=float)
    return Arms(x, design.covariates, treated, weight / mean, groups), pd.Index(
        table["county_fips"], name="county_fips"
    )


def _named(run: Callable[[], T], where: str) -> T:
    """Run array code; what it refuses is said as the study says it."""
    try:
        return run()
    except ValueError as error:
        found, _, wanted = str(error).partition("; wanted ")
        place = "covariates.names" if "covariates" in wanted else where
        raise SampleError(found, wanted or "a sample that can carry it", place) from error


def _sets(design: Design, arms: Arms, counties: pd.Index, compared: Compared) -> MatchedSets:
    pairs = []
    for m, of in ((compared.of_treated, "treated"), (compared.of_comparison, "comparison")):
        if m is not None:
            one, other = counties[m.treated], counties[m.comparison]
            pairs.append(
                pd.DataFrame(
                    {
                        "treated": one if of == "treated" else other,
                        "comparison": other if of == "treated" else one,
                        "share": m.share,
                        "weight": arms.weights[m.treated],
                        "distance": m.distance,
                        "of": of,
                    }
                )
            )
    columns = ["treated", "comparison", "share", "weight", "distance", "of"]
    unused = compared.weights == 0
    reason = np.where(~compared.kept, "trimmed", np.where(compared.pruned, "no match", "not used as a match"))
    single = [m for m in (compared.of_treated, compared.of_comparison) if m is not None]
    score = np.full(len(counties), np.nan)
    if compared.score is not None:
        score[compared.kept] = compared.score.probability
    asked = design.spec.estimator
    notes = [_estimand_note(compared, arms), *compared.notes]
    if asked.distance in MATCHED_ON and design.spec.inference.vcov != "estimated_score":
        notes.append(f"matched on {MATCHED_ON[asked.distance]}; its estimation is not in the error")
    if asked.weights != "none":
        notes.append("counties are averaged by baseline population; matches within a county count alike")
    return MatchedSets(
        pairs=pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(columns=columns),
        counties=counties,
        treated=arms.treated,
        weights=compared.weights,
        covariates=arms.x,
        names=arms.names,
        coordinates=compared.coordinates,
        matches=single[0] if len(single) == 1 else None,
        dropped=tuple(counties[compared.pruned]),
        notes=tuple(notes),
        sets=compared.sets,
        score=score,
        estimand=compared.estimand,
        pruned=pd.DataFrame(
            {"county_fips": counties[unused], "treated": arms.treated[unused], "reason": reason[unused]}
        ),
        compared=compared,
    )


def _estimand_note(compared: Compared, arms: Arms) -> str:
    name, _, trimmed = compared.estimand.partition(" among ")
    words = f"estimand: {ESTIMANDS[name]} ({name})"
    if trimmed:
        words += f", among {trimmed}"
    averaged = {"att": arms.treated, "atc": ~arms.treated}.get(name, np.ones(len(arms.treated), dtype=bool))
    within = averaged & compared.kept
    if compared.pruned.any():
        words += f", those with a match: {int((within & ~compared.pruned).sum())} of {int(within.sum())}"
    return words


def _attrition(sets: MatchedSets) -> list[tuple[str, int, int, int]]:
    """Return the lines of attrition: rule, counties, county-years, treated left. Who was left out is named where it
    changes what is estimated."""
    lines = []
    left = np.ones(len(sets.counties), dtype=bool)
    out_at = np.flatnonzero(sets.weights == 0)
    reasons = sets.pruned["reason"].to_numpy(dtype=str)
    codes, treated = sets.pruned["county_fips"].to_numpy(dtype=str), sets.treated[out_at]
    for reason, rule in (
        ("trimmed", "within the trimmed range of the fitted probability"),
        ("no match", "matched within caliper, bins and exact groups"),
        ("not used as a match", "used as a match"),
    ):
        here = reasons == reason
        if not here.any():
            continue
        left[out_at[here]] = False
        named = codes[here if reason == "no match" else here & treated]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        text = f"{rule}; without {', '.join(named[:MOST_NAMED])}{more}" if len(named) else rule
        lines.append((text, int(left.sum()), int(left.sum()), int((left & sets.treated).sum())))
    return lines


def balance_table(
    design: Design, sets: MatchedSets | None = None, denominator: Denominator = "treated"
) -> pd.DataFrame:
    """Return how alike treated and comparison counties are, before and after matching or weighting.

    Args:
        design: a cross-section.
        sets: from `match`; matched here if None.
        denominator: standard deviation of the standardized mean difference, always that of the unmatched
            sample: of treated counties, of comparison counties, pooled over both arms, or of all.

    Returns:
        Long table: covariate, sample (all | matched | weighted), statistic, value, denominator, threshold_low,
        threshold_high, within; see `analysis.estimation.matching.balance.tidy_balance`.

    Source: Stuart (2010), Statistical Science 25(1).
    """
    sets = match(design) if sets is None else sets
    weight = design.table.set_index("county_fips").loc[sets.counties, "weight"].to_numpy(dtype=float)
    label = "weighted" if sets.pairs.empty else "matched"
    samples = {"all": weight, label: sets.weights}
    return pd.DataFrame(tidy_balance(sets.covariates, sets.treated, samples, sets.names, denominator))

"""The matched difference: treated counties against their nearest comparison counties in one year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError
from analysis.design.design import Design
from analysis.estimation.estimate import Estimate, Inference, make_estimate, record, tabulate
from analysis.estimation.inference import t_quantile
from analysis.estimation.matching.balance import Balance, Denominator, balance, denominators
from analysis.estimation.matching.distances import (
    mahalanobis_coordinates,
    standard_deviations,
    standardised_coordinates,
)
from analysis.estimation.matching.nearest import Matches, nearest_neighbours
from analysis.estimation.matching.propensity import fit_logit
from analysis.estimation.matching.variance import (
    abadie_imbens_variance,
    influence,
    matched_difference,
    within_arm_variance,
)

Array = NDArray[np.float64]

# Neighbours in a row's own arm from which its outcome variance is read (Abadie and Imbens 2006, section 4.1).
VARIANCE_NEIGHBOURS = 2


@dataclass(frozen=True, slots=True)
class MatchedSets:
    """Who was matched to whom, and what that makes of each county.

    Args:
        pairs: treated, comparison (county codes), share (of the comparison county in the match), weight (of
            the treated county), distance (squared, in the coordinates matched on).
        counties: every county of the design, sorted.
        treated: (n,) bool.
        weights: (n,) in the matched sample: the treated county's own, the sum of shares times treated weights
            for a comparison county, 0 for one not used.
        covariates: (n, k) as matched on.
        names: of the k covariates.
        coordinates: (n, c) in which distance was measured.
        matches: the same pairs as row numbers.
        dropped: treated counties without enough comparison counties within the caliper and exact groups.
        notes: warnings of the matching.
    """

    pairs: pd.DataFrame
    counties: pd.Index
    treated: NDArray[np.bool_]
    weights: Array
    covariates: Array
    names: tuple[str, ...]
    coordinates: Array
    matches: Matches
    dropped: tuple[str, ...]
    notes: tuple[str, ...]


def match(design: Design) -> MatchedSets:
    """Match treated to comparison counties as the spec's ``[estimator]`` says; outcomes are not looked at.

    Weights decide how treated counties are averaged, not who is matched to whom. A caliper of c keeps pairs
    apart by at most c standard deviations in every covariate (in the linear predictor for propensity
    matching); a treated county with fewer allowed comparison counties than ``neighbours`` is dropped and
    counted.

    Raises:
        SpecError: a design that is no cross-section, or without covariates.
        SampleError: covariates are constant or dependent, arms are separated, or no county can be matched.

    Assumption: given the covariates adoption is as good as random, and both kinds of county occur everywhere.

    Source: Abadie and Imbens (2006); Rubin (1980) for the distance; Rosenbaum and Rubin (1985) for the score.
    """
    options = design.spec.estimator
    if design.kind != "cross_section" or not design.covariates:
        raise SpecError(
            f"matching on a {design.kind} with {len(design.covariates)} covariates",
            "a cross_section with some",
        )
    table = design.table.sort_values("county_fips", kind="stable").reset_index(drop=True)
    x = table[list(design.covariates)].to_numpy(dtype=float)
    treated = table["treated"].to_numpy(dtype=bool)
    counties = pd.Index(table["county_fips"], name="county_fips")
    coordinates, measured = _coordinates(x, treated, options.distance or "", design.covariates)
    exact = list(options.exact or ())
    strata = None
    if exact:
        strata = np.asarray(table.groupby(exact, sort=True, observed=True).ngroup(), dtype=np.intp)
    caliper = options.caliper or 0.0
    matches = nearest_neighbours(
        coordinates,
        treated,
        neighbours=options.neighbours or 1,
        replacement=bool(options.replacement),
        strata=strata,
        calipers=(measured, caliper * standard_deviations(measured)) if caliper > 0 else None,
    )
    if not len(matches.treated):
        raise SampleError(
            "no treated county has enough comparison counties",
            "a wider caliper or fewer exact groups",
            "estimator",
        )
    weight = table["weight"].to_numpy(dtype=float)
    weight = weight / weight[treated].mean()
    matched = np.isin(np.arange(len(table)), matches.treated)
    pairs = pd.DataFrame(
        {
            "treated": counties[matches.treated],
            "comparison": counties[matches.comparison],
            "share": matches.share,
            "weight": weight[matches.treated],
            "distance": matches.distance,
        }
    )
    return MatchedSets(
        pairs=pairs,
        counties=counties,
        treated=treated,
        weights=np.where(matched, weight, matches.comparison_weights(weight)),
        covariates=x,
        names=design.covariates,
        coordinates=coordinates,
        matches=matches,
        dropped=tuple(counties[matches.dropped]),
        notes=_notes(design, matches, treated),
    )


def fit(design: Design) -> Estimate:
    """Estimate the average difference between treated counties and their matches.

    Args:
        design: a cross-section.

    Returns:
        An Estimate of estimand ``difference`` with one row. ``vcov = "cluster"``: the coefficient of
        treatment in a regression on the matched sample with its weights, clustered, factor (N - 1) / (N - 2)
        times G / (G - 1), t with G - 1 degrees of freedom; matches are taken as given. ``vcov =
        "abadie_imbens"``: their variance with outcome variances from within arms, normal quantiles, valid if
        counties were assigned independently; no influence.

    Raises:
        SpecError, SampleError: see `match`; also too few matched counties for the bias adjustment.

    Assumption: no unmeasured difference between matched counties that moves the outcome.

    Source: Abadie and Imbens (2006, 2011).
    """
    spec, sets = design.spec, match(design)
    table = design.table.set_index("county_fips").loc[sets.counties]
    y = table["outcome"].to_numpy(dtype=float)
    weight = np.where(sets.treated, table["weight"].to_numpy(dtype=float), 1.0)
    weight = weight / weight[sets.treated].mean()
    adjust = (
        (sets.covariates - sets.covariates.mean(axis=0)) / standard_deviations(sets.covariates)
        if spec.estimator.bias_adjust
        else None
    )
    try:
        difference = matched_difference(y, sets.matches, weight, adjust)
        rows_of_influence = influence(y, sets.matches, weight, adjust)
    except ValueError as error:
        raise SampleError(str(error), "fewer covariates or bias_adjust = false", "estimator") from error
    entered = sets.weights > 0
    n = int(entered.sum())
    members = np.where(entered, np.where(sets.treated, sets.weights, 0.0), np.nan)
    rows = pd.DataFrame(
        {
            "term": ["treated"],
            "cohort": pd.NA,
            "time": pd.NA,
            "event_time": pd.NA,
            "estimate": [difference.estimate],
        }
    )
    notes = [*sets.notes, f"{n} counties in the matched sample; error factor (N - 1) / (N - 2) x G / (G - 1)"]
    dropped = [
        (
            "matched: within caliper and exact groups, or used as a match",
            n,
            n,
            int((entered & sets.treated).sum()),
        )
    ]
    if spec.inference.vcov == "cluster":
        return make_estimate(
            design,
            rows=rows,
            counties=sets.counties,
            influence=(rows_of_influence * np.sqrt((n - 1) / (n - 2)))[:, None],
            treated=members[:, None],
            estimand="difference",
            reference=None,
            notes=[*notes, "errors take the matches as given"],
            dropped=dropped,
        )
    conditional = within_arm_variance(y, sets.coordinates, sets.treated, VARIANCE_NEIGHBOURS)
    variance = abadie_imbens_variance(difference, sets.matches, weight, conditional)
    return _independent(design, sets, rows, members, variance, dropped)


def _independent(
    design: Design,
    sets: MatchedSets,
    rows: pd.DataFrame,
    members: Array,
    variance: float,
    dropped: list[tuple[str, int, int, int]],
) -> Estimate:
    """Return the record with an Abadie-Imbens error: no clusters, no influence."""
    asked = design.spec.inference
    critical = t_quantile(asked.level, np.inf)
    label = (
        "Abadie-Imbens error: valid if counties were assigned independently; it carries no verdict "
        f"(outcome variance from {VARIANCE_NEIGHBOURS} neighbours within the arm)"
    )
    counted = int((sets.weights > 0).sum())
    return record(
        design,
        table=tabulate(rows, np.array([np.sqrt(variance)]), members[:, None], np.inf, critical, critical),
        vcov=np.array([[variance]]),
        influence=None,
        counties=sets.counties,
        treated=members[:, None],
        estimand="difference",
        reference=None,
        inference=Inference("abadie_imbens", "none", counted, np.inf, asked.level, asked.draws, asked.seed),
        notes=[*sets.notes, label],
        dropped=dropped,
    )


def balance_table(
    design: Design, sets: MatchedSets | None = None, denominator: Denominator = "treated"
) -> pd.DataFrame:
    """Return how alike treated and comparison counties are, before and after matching.

    Args:
        design: a cross-section.
        sets: from `match`; matched here if None.
        denominator: standard deviation of the standardized mean difference, always that of the unmatched
            sample: of treated counties, or pooled over both arms.

    Returns:
        Long table: covariate, sample (all | matched), statistic (mean_treated, mean_comparison,
        standardized_mean_difference, variance_ratio, ks), value, denominator.

    Source: Stuart (2010), Statistical Science 25(1).
    """
    sets = match(design) if sets is None else sets
    deviation = denominators(sets.covariates, sets.treated, denominator)
    weight = design.table.set_index("county_fips").loc[sets.counties, "weight"].to_numpy(dtype=float)
    samples = {
        "all": balance(sets.covariates, sets.treated, weight, deviation),
        "matched": balance(sets.covariates, sets.treated, sets.weights, deviation),
    }
    parts = [_long(sets.names, name, found) for name, found in samples.items()]
    return pd.concat(parts, ignore_index=True).assign(denominator=denominator)


def _long(names: tuple[str, ...], sample: str, found: Balance) -> pd.DataFrame:
    statistics = ("mean_treated", "mean_comparison", "standardized_mean_difference", "variance_ratio", "ks")
    return pd.DataFrame(
        [
            {
                "covariate": name,
                "sample": sample,
                "statistic": statistic,
                "value": float(getattr(found, statistic)[i]),
            }
            for i, name in enumerate(names)
            for statistic in statistics
        ]
    )


def _coordinates(
    x: Array, treated: NDArray[np.bool_], distance: str, names: tuple[str, ...]
) -> tuple[Array, Array]:
    """Return coordinates of the distance, and the columns a caliper applies to."""
    constant = [name for name, spread in zip(names, x.std(axis=0), strict=True) if not spread > 0]
    if constant:
        raise SampleError(
            f"{', '.join(constant)} does not vary in the sample", "covariates that vary", "covariates.names"
        )
    try:
        if distance == "mahalanobis":
            return mahalanobis_coordinates(x), x
    except ValueError as error:
        raise SampleError(
            str(error), "covariates none of which follows from the others", "covariates.names"
        ) from error
    if distance != "propensity":
        raise SpecError(
            f'estimator.distance = "{distance}"', "mahalanobis or propensity", "estimator.distance"
        )
    fit = fit_logit(np.column_stack([np.ones(len(x)), standardised_coordinates(x)]), treated)
    if not fit.converged:
        raise SampleError(
            "the propensity model separates the arms",
            "fewer covariates or a wider sample",
            "covariates.names",
        )
    linear = fit.linear[:, None]
    return standardised_coordinates(linear), linear


def _notes(design: Design, matches: Matches, treated: NDArray[np.bool_]) -> tuple[str, ...]:
    options = design.spec.estimator
    rows = np.unique(matches.treated)
    used = len(np.unique(matches.comparison))
    notes = [f"{len(rows)} treated counties matched to {used} of {int((~treated).sum())} comparison counties"]
    if len(matches.dropped):
        notes.append(
            f"{len(matches.dropped)} treated counties with fewer than {options.neighbours} allowed matches dropped"
        )
    ties = len(matches.treated) - len(rows) * (options.neighbours or 1)
    if ties > 0:
        notes.append(f"{ties} further comparisons tie with the last neighbour and share its place")
    if options.distance == "propensity":
        notes.append("matched on the linear predictor of a logit; its estimation is not in the error")
    if not options.replacement:
        notes.append("without replacement, greedily, the county hardest to match first")
    if options.weights != "none":
        notes.append(
            "treated counties are averaged by baseline population; matches within a county count alike"
        )
    return tuple(notes)

"""A comparison of two arms from beginning to end: a plan, whom it compares, and the effect; arrays in, arrays out.

Whom a plan compares is found without outcomes (`compare`), the effect with them (`effect_of`). Both can be run again on
any rows and under any treatment, which is what resampling and randomisation need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimation.matching.average import (
    average_effect,
    average_effect_variance,
    average_homoskedastic_variance,
    set_matches,
)
from analysis.estimation.matching.cardinality import cardinality_matching
from analysis.estimation.matching.coarsened import coarsened_exact_matching
from analysis.estimation.matching.distances import (
    COORDINATES,
    standard_deviations,
    standardised_coordinates,
)
from analysis.estimation.matching.doubly_robust import augmented_weighting
from analysis.estimation.matching.estimated_score import estimated_score_adjustment
from analysis.estimation.matching.genetic import genetic_coordinates, genetic_matching
from analysis.estimation.matching.nearest import Matches, Order, nearest_neighbours
from analysis.estimation.matching.optimal import full_matching, optimal_matching
from analysis.estimation.matching.overlap import Rule, trim
from analysis.estimation.matching.propensity import Logit, fit_logit
from analysis.estimation.matching.regression import (
    Effect,
    matched_regression,
    pair_labels,
    regression_adjustment,
)
from analysis.estimation.matching.subclass import subclassify
from analysis.estimation.matching.variance import (
    abadie_imbens_variance,
    homoskedastic_variance,
    influence,
    matched_difference,
    within_arm_variance,
)
from analysis.estimation.matching.weights import (
    covariate_balancing_weights,
    dependent_columns,
    entropy_balancing,
    inverse_probability_weights,
    moment_columns,
    overidentified_balancing_weights,
    overlap_weights,
    probability_of,
)

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]
Estimand = Literal["att", "atc", "ate", "ato"]

# Neighbours in a row's own arm from which its outcome variance is read (Abadie and Imbens 2006, section 4.1).
VARIANCE_NEIGHBOURS = 2
TENTH = 0.1
MATCHES = frozenset({"matched_difference", "optimal_match", "genetic_match", "cardinality_match"})
SETS = frozenset({"full_match", "coarsened_match", "subclassification"})


@dataclass(frozen=True, slots=True)
class Arms:
    """The rows that are compared, without their outcomes.

    Args:
        x: (n, k) covariates, none missing.
        names: (k,) of the covariates, for messages.
        treated: (n,) bool.
        weights: (n,) weight of a row in the average, above 0.
        groups: name to (n,) codes of what can be matched exactly or balanced finely.
    """

    x: Array
    names: tuple[str, ...]
    treated: Bool
    weights: Array
    groups: Mapping[str, Index] = field(default_factory=lambda: MappingProxyType({}))

    def rows(self, at: Index | Bool) -> Arms:
        """Return the arms of some rows; a row may occur several times."""
        groups = {name: codes[at] for name, codes in self.groups.items()}
        return Arms(self.x[at], self.names, self.treated[at], self.weights[at], groups)


@dataclass(frozen=True, slots=True)
class Plan:
    """How two arms are compared.

    Args:
        method: name of the estimator.
        estimand: whose average effect: of treated rows (att), comparison rows (atc), all (ate), or all as far as they
            overlap (ato, overlap weights alone).
        distance: in which matches are near.
        neighbours: comparison rows a treated row.
        replacement: whether a row may be several rows' match.
        caliper: widest gap in every column matched on, in standard deviations; 0 for none.
        calipers: name of a covariate, or ``propensity``, to the widest gap in it, in standard deviations.
        exact: groups that a match never crosses.
        fine: groups whose counts agree between the arms of a cardinality match.
        order: who chooses first without replacement.
        short: what an optimal match does with too few comparison rows.
        max_controls: most comparison rows of a treated one in a full match; 0 for no limit.
        loss, population, generations: of the genetic search.
        tolerance: largest standardized mean difference of a cardinality match.
        bins: rule by which covariates are coarsened.
        cut_points: name of a covariate to its own cut-points.
        classes: of a subclassification.
        weighting: kind of weights.
        moments: powers of the covariates that are modelled or balanced.
        trimming: rows left out by their score: "" (none), optimal_for_estimand, optimal, tenth.
        adjust: "" (none), bias (Abadie and Imbens 2011) or regression.
        seed: of the genetic search and of a random order.
    """

    method: str
    estimand: Estimand = "att"
    distance: str = "mahalanobis"
    neighbours: int = 1
    replacement: bool = True
    caliper: float = 0.0
    calipers: tuple[tuple[str, float], ...] = ()
    exact: tuple[str, ...] = ()
    fine: tuple[str, ...] = ()
    order: Order = "hardest_first"
    short: Literal["refuse", "drop"] = "refuse"
    max_controls: int = 0
    loss: Literal["p_values", "worst_p_value", "standardized_mean_difference"] = "p_values"
    population: int = 40
    generations: int = 40
    tolerance: float = 0.1
    bins: str = "sturges"
    cut_points: tuple[tuple[str, tuple[float, ...]], ...] = ()
    classes: int = 5
    weighting: str = ""
    moments: int = 1
    trimming: str = ""
    adjust: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """Whom a plan compares with whom.

    Args:
        weights: (n,) in the sample compared: each arm's stand for those averaged over; 0 for rows not used.
        of_treated: matches of treated rows; None where treated rows are not averaged over, or nothing is matched.
        of_comparison: matches of comparison rows among treated ones; None likewise.
        sets: (n,) label of the row's set where sets share no row, -1 in none; None where they do, or there are none.
        coordinates: (n, c) in which distance was measured; no columns where it was not.
        score: the fitted logit of the rows kept, None where none was fitted; its rows follow ``kept``.
        probability: of treatment, behind weights from a logit or its balancing form, likewise; None without.
        kept: (n,) bool, rows left by the trimming.
        pruned: (n,) bool, rows of an arm averaged over without a match of their own; where both arms are averaged
            over they may still be others' match, and have weight as such.
        estimand: what is averaged over, with the trimming in it.
        notes: what must be said of it.
    """

    weights: Array
    of_treated: Matches | None
    of_comparison: Matches | None
    sets: Index | None
    coordinates: Array
    score: Logit | None
    probability: Array | None
    kept: Bool
    pruned: Bool
    estimand: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a method finds on the rows kept; fields as in `Compared`."""

    of_treated: Matches | None = None
    of_comparison: Matches | None = None
    sets: Index | None = None
    coordinates: Array | None = None
    weights: Array | None = None
    score: Logit | None = None
    probability: Array | None = None
    notes: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------------------
# Whom
# ------------------------------------------------------------------------------------------------------------


def compare(arms: Arms, plan: Plan) -> Compared:
    """Find whom a plan compares with whom; outcomes are not looked at.

    Args:
        arms: the rows.
        plan: the method and its options.

    Returns:
        See `Compared`. Rows trimmed have weight 0.

    Raises:
        ValueError: an empty arm, a missing value, a constant or dependent covariate (its name), arms that the score
            separates, nobody left after trimming, calipers or exact groups, fewer comparison rows than a match without
            replacement needs.

    Assumption: given the covariates treatment is as good as random, and both arms occur everywhere averaged over.

    Source: Stuart (2010), Statistical Science 25(1), for the methods beside one another.

    Example:
        >>> x = np.array([[0.0], [1.0], [0.1], [5.0]])
        >>> arms = Arms(x, ("income",), np.array([True, True, False, False]), np.ones(4))
        >>> compare(arms, Plan("matched_difference")).weights.tolist()
        [1.0, 1.0, 2.0, 0.0]
    """
    _refuse_plan(plan)
    _refuse(arms)
    kept, notes = np.ones(len(arms.treated), dtype=bool), []
    estimand: str = plan.estimand
    if plan.trimming:
        score = _score(arms, plan)
        rule: Rule = TENTH if plan.trimming == "tenth" else plan.trimming  # type: ignore[assignment]
        own: Literal["att", "atc", "ate"] = "ate" if plan.estimand == "ato" else plan.estimand
        found = trim(score.probability, arms.treated, own, rule)
        kept, estimand = found.kept, found.estimand.replace(own, plan.estimand, 1)
        out = int((arms.treated & ~kept).sum()), int((~arms.treated & ~kept).sum())
        notes.append(
            f"trimmed to fitted probabilities in [{found.low:.3f}, {found.high:.3f}]: {out[0]} treated and {out[1]} "
            "comparison counties left out; the score is fitted again on the rest"
        )
    rest = arms.rows(kept)
    if plan.trimming:
        _refuse(rest)
    part = _FINDERS[plan.method](rest, plan)
    return _spread(part, _weights(part, rest), kept, estimand, (*notes, *part.notes))


def _refuse_plan(plan: Plan) -> None:
    """Raise where a method has no such average."""
    able: tuple[str, ...] = ("att", "atc", "ate")
    if plan.method == "cardinality_match":
        able = ("att",)
    elif plan.method == "optimal_match" or (
        plan.method in ("matched_difference", "genetic_match") and not plan.replacement
    ):
        able = ("att", "atc")
    elif plan.method == "weighting" and plan.weighting == "overlap":
        able = ("ato",)
    if plan.estimand not in able:
        raise ValueError(f"estimand {plan.estimand} under {plan.method}; wanted {' or '.join(able)}")


def _refuse(arms: Arms) -> None:
    """Raise where arms cannot be compared, naming the covariate."""
    treated = arms.treated
    if not treated.any() or treated.all():
        raise ValueError(f"{int(treated.sum())} of {len(treated)} counties are treated; wanted both arms")
    missing = ~np.isfinite(arms.x)
    if missing.any():
        names = [arms.names[i] for i in np.flatnonzero(missing.any(axis=0))]
        raise ValueError(
            f"{int(missing.any(axis=1).sum())} counties miss {', '.join(names)} (rows "
            f"{np.flatnonzero(missing.any(axis=1))[:10].tolist()}); wanted a value for each"
        )
    constant = [
        name for name, spread in zip(arms.names, np.ptp(arms.x, axis=0), strict=True) if not spread > 0
    ]
    if constant:
        raise ValueError(f"{', '.join(constant)} does not vary in the sample; wanted covariates that vary")
    follows = [arms.names[i] for i in dependent_columns(arms.x)]
    if follows:
        raise ValueError(
            f"{', '.join(follows)} follows from the covariates before; wanted covariates none of which does"
        )


def _score(arms: Arms, plan: Plan) -> Logit:
    design = np.column_stack([np.ones(len(arms.x)), _columns(arms, plan)])
    weighted = plan.method == "weighting" and bool((arms.weights != 1).any())
    fit = fit_logit(design, arms.treated, arms.weights if weighted else None)
    if not fit.converged:
        raise ValueError(
            "no overlap: the propensity model separates the arms; wanted fewer covariates or a wider sample"
        )
    return fit


def _coordinates(arms: Arms, plan: Plan) -> tuple[Array, Array, Logit | None]:
    """Return coordinates of the distance, the columns the common caliper applies to, and the score if one was fitted."""
    wants_score = plan.distance.startswith("propensity") or any(
        name == "propensity" for name, _ in plan.calipers
    )
    score = _score(arms, plan) if wants_score else None
    if plan.distance.startswith("propensity"):
        assert score is not None
        column = (score.linear if plan.distance == "propensity" else score.probability)[:, None]
        return standardised_coordinates(column), column, score
    return COORDINATES[plan.distance](arms.x), arms.x, score


def _calipers(arms: Arms, plan: Plan, measured: Array, score: Logit | None) -> tuple[Array, Array] | None:
    columns, widths = [], []
    if plan.caliper > 0:
        columns.append(measured)
        widths.append(plan.caliper * standard_deviations(measured))
    for name, width in plan.calipers:
        if name == "propensity":
            assert score is not None
            column = score.linear[:, None]
        else:
            column = arms.x[:, [arms.names.index(name)]]
        columns.append(column)
        widths.append(width * standard_deviations(column))
    return (np.column_stack(columns), np.concatenate(widths)) if columns else None


def _strata(arms: Arms, names: tuple[str, ...]) -> Index | None:
    if not names:
        return None
    codes = np.column_stack([arms.groups[name] for name in names])
    return np.unique(codes, axis=0, return_inverse=True)[1].ravel().astype(np.intp)


def _directions(plan: Plan) -> tuple[bool, ...]:
    """Return the arms averaged over: True for treated rows, False for comparison rows."""
    return {"att": (True,), "atc": (False,), "ate": (True, False)}[plan.estimand]


def _nearest(arms: Arms, plan: Plan) -> _Found:
    coordinates, measured, score = _coordinates(arms, plan)
    found: dict[bool, Matches] = {}
    rng = np.random.default_rng(plan.seed) if plan.order == "random" else None
    chooses = None
    if plan.order in ("largest", "smallest") and not plan.replacement:
        chooses = (score or _score(arms, plan)).linear
    strata, calipers = _strata(arms, plan.exact), _calipers(arms, plan, measured, score)
    for of_treated in _directions(plan):
        found[of_treated] = nearest_neighbours(
            coordinates,
            arms.treated if of_treated else ~arms.treated,
            neighbours=plan.neighbours,
            replacement=plan.replacement,
            strata=strata,
            calipers=calipers,
            order=plan.order if not plan.replacement else "hardest_first",
            score=chooses,
            rng=rng,
        )
        _refuse_none(found[of_treated])
    notes = []
    for of_treated, m in found.items():
        notes += _match_notes(arms, m, plan, of_treated)
    if not plan.replacement:
        notes.append(f"without replacement, greedily, {ORDER_WORDS[plan.order]}")
    sets = None
    if not plan.replacement:
        sets = pair_labels(next(iter(found.values())), len(arms.treated))
    return _Found(found.get(True), found.get(False), sets, coordinates, score=score, notes=tuple(notes))


ORDER_WORDS = {
    "hardest_first": "the county hardest to match first",
    "closest": "the nearest pair still free first",
    "data": "in the order of county codes",
    "largest": "the county of largest fitted probability first",
    "smallest": "the county of smallest fitted probability first",
    "random": "in a random order",
}


def _optimal(arms: Arms, plan: Plan) -> _Found:
    coordinates, measured, score = _coordinates(arms, plan)
    of_treated = _directions(plan)[0]
    m = optimal_matching(
        coordinates,
        arms.treated if of_treated else ~arms.treated,
        neighbours=plan.neighbours,
        strata=_strata(arms, plan.exact),
        calipers=_calipers(arms, plan, measured, score),
        short=plan.short,
    )
    notes = (*_match_notes(arms, m, plan, of_treated), "without replacement, of least total distance")
    sets = pair_labels(m, len(arms.treated))
    return _Found(
        m if of_treated else None, None if of_treated else m, sets, coordinates, score=score, notes=notes
    )


def _genetic(arms: Arms, plan: Plan) -> _Found:
    strata = _strata(arms, plan.exact)
    calipers = _calipers(arms, plan, arms.x, _score(arms, plan) if plan.calipers else None)
    best = genetic_matching(
        arms.x,
        arms.treated,
        np.random.default_rng(plan.seed),
        estimand=_three(plan),
        neighbours=plan.neighbours,
        replacement=plan.replacement,
        strata=strata,
        calipers=calipers,
        loss=plan.loss,
        population=plan.population,
        generations=plan.generations,
    )
    of_comparison = (
        best.reverse if plan.estimand == "ate" else best.matches if plan.estimand == "atc" else None
    )
    found = {True: None if plan.estimand == "atc" else best.matches, False: of_comparison}
    notes = [
        note
        for of_treated, m in found.items()
        if m is not None
        for note in _match_notes(arms, m, plan, of_treated)
    ]
    notes.append(
        f"weights found by a search of {best.evaluations:,} weightings, seed {plan.seed}: "
        f"{LOSS_WORDS[plan.loss]} {abs(best.objective[0]):.3g}, at equal weights {abs(best.at_start[0]):.3g}; "
        "another seed may find others"
    )
    if not plan.replacement:
        notes.append(f"without replacement, greedily, {ORDER_WORDS['data']}")
    sets = None if plan.replacement else pair_labels(best.matches, len(arms.treated))
    coordinates = genetic_coordinates(arms.x, best.weights)
    return _Found(found[True], found[False], sets, coordinates, notes=tuple(notes))


LOSS_WORDS = {
    "p_values": "smallest p value of the balance tests",
    "worst_p_value": "smallest p value of the balance tests",
    "standardized_mean_difference": "largest standardized mean difference",
}


def _cardinality(arms: Arms, plan: Plan) -> _Found:
    coordinates, _, score = _coordinates(arms, plan)
    spread = arms.x[arms.treated].std(axis=0, ddof=1)
    fine = np.column_stack([arms.groups[name] for name in plan.fine]) if plan.fine else None
    found = cardinality_matching(
        coordinates,
        arms.treated,
        arms.x,
        plan.tolerance * spread,
        ratio=plan.neighbours,
        fine=fine,
        strata=_strata(arms, plan.exact),
    )
    notes = list(_match_notes(arms, found.matches, plan, True))
    proved = (
        "the largest sample there is" if found.status == "optimal" else f"at most {found.bound} are possible"
    )
    notes.append(
        f"{found.size} treated counties kept with means within {plan.tolerance:g} standard deviations: {proved}"
    )
    sets = pair_labels(found.matches, len(arms.treated))
    return _Found(found.matches, None, sets, coordinates, score=score, notes=tuple(notes))


def _full(arms: Arms, plan: Plan) -> _Found:
    coordinates, measured, score = _coordinates(arms, plan)
    found = full_matching(
        coordinates,
        arms.treated,
        max_controls=plan.max_controls or np.inf,
        strata=_strata(arms, plan.exact),
        calipers=_calipers(arms, plan, measured, score),
    )
    notes = [f"{int(found.sets.max()) + 1} sets of one treated and some comparison counties, or the reverse"]
    return with_fields(_of_sets(arms, plan, found.sets, notes, coordinates), score=score)


def _coarsened(arms: Arms, plan: Plan) -> _Found:
    own = dict(plan.cut_points)
    rules = [list(own[name]) if name in own else plan.bins for name in arms.names]
    groups = np.column_stack([arms.groups[name] for name in plan.exact]).astype(float) if plan.exact else None
    found = coarsened_exact_matching(arms.x, arms.treated, rules, estimand=_three(plan), groups=groups)
    before, after = found.imbalance
    notes = [
        f"{int(found.stratum.max()) + 1} cells with both arms; L1 imbalance {before:.3f} before, {after:.3f} after"
    ]
    return _of_sets(arms, plan, found.stratum, notes)


def _subclasses(arms: Arms, plan: Plan) -> _Found:
    score = _score(arms, plan)
    found = subclassify(score.linear, arms.treated, plan.classes, estimand=_three(plan))
    sets = found.stratum
    if plan.exact:
        strata = _strata(arms, plan.exact)
        assert strata is not None
        cell = np.unique(np.column_stack([sets, strata]), axis=0, return_inverse=True)[1].ravel()
        both = (np.bincount(cell, arms.treated) > 0) & (np.bincount(cell, ~arms.treated) > 0)
        if not both.any():
            raise ValueError("no class holds both arms within an exact group; wanted fewer classes or groups")
        sets = np.where(both, both.cumsum() - 1, -1)[cell]
    notes = [f"{int(sets.max()) + 1} classes of the fitted probability with both arms"]
    return with_fields(_of_sets(arms, plan, sets.astype(np.intp), notes), score=score)


def _of_sets(
    arms: Arms, plan: Plan, sets: Index, notes: list[str], coordinates: Array | None = None
) -> _Found:
    found = {}
    for of_treated in _directions(plan):
        found[of_treated] = set_matches(sets, arms.treated if of_treated else ~arms.treated, coordinates)
        notes = [*notes, *_match_notes(arms, found[of_treated], plan, of_treated)]
    return _Found(found.get(True), found.get(False), sets, coordinates, notes=tuple(notes))


def _weighted(arms: Arms, plan: Plan) -> _Found:
    columns = _moments(arms, plan)
    base, treated = arms.weights, arms.treated
    score, probability = None, None
    if plan.weighting in ("inverse_probability", "overlap"):
        score = _score(arms, plan)
        probability = score.probability
        weights = (
            overlap_weights(score.probability, treated, base=base)
            if plan.weighting == "overlap"
            else inverse_probability_weights(score.probability, treated, _three(plan), base=base)
        )
        counted = "taken as given in errors" if plan.adjust else "whose estimation is in errors by cluster"
        notes = (f"weights from a logit, {counted}",)
    elif plan.weighting == "covariate_balancing_overidentified":
        fitted = overidentified_balancing_weights(columns, treated, _three(plan), base=base)
        weights = fitted.weights
        notes = (
            f"score and balance conditions together, J = {fitted.statistic:.3g} on {fitted.df} degrees of freedom, "
            f"p = {fitted.p_value:.3g}; errors take the weights as given",
        )
    else:
        solve = entropy_balancing if plan.weighting == "entropy" else covariate_balancing_weights
        found = solve(columns, treated, _three(plan), base=base)
        weights = found.weights
        if plan.weighting == "covariate_balancing":
            probability = probability_of(found, columns)
        notes = (f"largest moment left out of balance: {found.worst:.1e} standard deviations",)
    return _Found(weights=weights, score=score, probability=probability, notes=notes)


def _models(arms: Arms, plan: Plan) -> _Found:
    """Return plain arms: a regression or two models do the comparing."""
    return _Found(weights=arms.weights.astype(float))


_FINDERS = {
    "matched_difference": _nearest,
    "optimal_match": _optimal,
    "full_match": _full,
    "genetic_match": _genetic,
    "cardinality_match": _cardinality,
    "coarsened_match": _coarsened,
    "subclassification": _subclasses,
    "weighting": _weighted,
    "doubly_robust": _models,
    "regression_adjustment": _models,
}


def _refuse_none(m: Matches) -> None:
    if not len(m.treated):
        raise ValueError(
            "nobody has enough comparisons: all are pruned; wanted a wider caliper, wider bins or fewer exact groups"
        )


def _match_notes(arms: Arms, m: Matches, plan: Plan, of_treated: bool) -> list[str]:
    own, other = ("treated", "comparison") if of_treated else ("comparison", "treated")
    opposite = ~arms.treated if of_treated else arms.treated
    rows, used = np.unique(m.treated), len(np.unique(m.comparison))
    notes = [f"{len(rows)} {own} counties matched to {used} of {int(opposite.sum())} {other} counties"]
    if len(m.dropped):
        notes.append(f"{len(m.dropped)} {own} counties without enough allowed matches dropped")
    if plan.method in ("matched_difference", "genetic_match"):
        ties = len(m.treated) - len(rows) * plan.neighbours
        if ties > 0:
            notes.append(f"{ties} further comparisons tie with the last neighbour and share its place")
    return notes


def _weights(found: _Found, arms: Arms) -> Array:
    if found.weights is not None:
        return found.weights
    out = np.zeros(len(arms.treated))
    for m in (found.of_treated, found.of_comparison):
        if m is not None:
            out += m.comparison_weights(arms.weights)
            matched = np.unique(m.treated)
            out[matched] += arms.weights[matched]
    return out


def _spread(found: _Found, weights: Array, kept: Bool, estimand: str, notes: tuple[str, ...]) -> Compared:
    """Return what was found on the rows kept as rows of the whole."""
    at = np.flatnonzero(kept)

    def place(m: Matches | None) -> Matches | None:
        if m is None:
            return None
        return Matches(at[m.treated], at[m.comparison], m.share, m.distance, at[m.dropped])

    whole, pruned = np.zeros(len(kept)), np.zeros(len(kept), dtype=bool)
    whole[at] = weights
    for m in (found.of_treated, found.of_comparison):
        if m is not None:
            pruned[at[m.dropped]] = True
    sets = None
    if found.sets is not None:
        sets = np.full(len(kept), -1, dtype=np.intp)
        sets[at] = found.sets
    made = np.zeros((len(at), 0)) if found.coordinates is None else found.coordinates
    coordinates = np.full((len(kept), made.shape[1]), np.nan)
    coordinates[at] = made
    return Compared(
        whole, place(found.of_treated), place(found.of_comparison), sets, coordinates, found.score,
        found.probability, kept, pruned, estimand, notes,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------
# How much
# ------------------------------------------------------------------------------------------------------------


def effect_of(y: Array, arms: Arms, plan: Plan, compared: Compared) -> Effect:
    """Estimate the average effect of a plan, with each row's contribution to its error.

    Matches and sets are taken as given. Weights from a logit or from balancing are not: what their estimation adds is
    in the contributions. Contributions carry the root of (N - 1) / (N - 2), N rows with weight.

    Args:
        y: (n,) outcome.
        arms, plan, compared: see `compare`.

    Returns:
        The effect; its influence is (n,), 0 for rows that do not enter.

    Raises:
        ValueError: the rows compared cannot carry the regressions asked for; a missing outcome.

    Source: Abadie and Spiess (2022) for regression on a matched sample; Abadie and Imbens (2011) for the bias
        adjustment; Lunceford and Davidian (2004), Statistics in Medicine 23(19), for estimated weights.

    Example:
        >>> x = np.array([[0.0], [1.0], [0.1], [0.9]])
        >>> arms = Arms(x, ("income",), np.array([True, True, False, False]), np.ones(4))
        >>> plan = Plan("matched_difference")
        >>> round(effect_of(np.array([4.0, 5.0, 1.0, 2.0]), arms, plan, compare(arms, plan)).estimate, 9)
        3.0
    """
    kept = compared.kept
    inner = arms.rows(kept)
    weights = compared.weights[kept]
    if plan.method == "doubly_robust":
        columns = _columns(inner, plan)
        made = augmented_weighting(
            y[kept], inner.treated, columns, estimand=_three(plan), weights=inner.weights
        )
        found = made.effect
    elif plan.method == "regression_adjustment":
        found = regression_adjustment(
            y[kept], inner.treated, _columns(inner, plan), inner.weights, _three(plan)
        )
    elif plan.adjust == "regression":
        arm: Literal["att", "atc", "ate"] = "ate" if plan.estimand == "ato" else _three(plan)
        found = regression_adjustment(
            y[kept], inner.treated, _columns(inner, plan), weights, arm, _averaged(arms, plan, compared)[kept]
        )
    elif plan.method == "weighting":
        found = _weighted_effect(y[kept], inner, plan, compared, weights)
    elif plan.adjust == "bias":
        return _scaled(_adjusted(y, arms, plan, compared), compared.weights)
    else:
        return matched_regression(y, arms.treated, compared.weights)
    whole = np.zeros(len(kept))
    whole[kept] = found.influence
    return _scaled(Effect(found.estimate, whole, found.estimand), compared.weights)


def _averaged(arms: Arms, plan: Plan, compared: Compared) -> Array:
    """Return each row's weight in the average, (n,): its own, 0 for rows trimmed or without a match."""
    own = np.where(compared.kept & ~compared.pruned, arms.weights, 0.0)
    if plan.estimand == "ato":
        assert compared.probability is not None
        own[compared.kept] *= compared.probability * (1 - compared.probability)
    return own


def _three(plan: Plan) -> Literal["att", "atc", "ate"]:
    if plan.estimand == "ato":
        raise ValueError("estimand ato goes with overlap weights; wanted att, atc or ate")
    return plan.estimand


def _moments(arms: Arms, plan: Plan) -> Array:
    """Return the covariates and their powers, as modelled or balanced."""
    return moment_columns(arms.x, plan.moments) if plan.moments > 1 else arms.x


def _columns(arms: Arms, plan: Plan) -> Array:
    return standardised_coordinates(_moments(arms, plan))


def _scaled(effect: Effect, weights: Array) -> Effect:
    n = int((weights > 0).sum())
    return Effect(effect.estimate, effect.influence * np.sqrt((n - 1) / (n - 2)), effect.estimand)


def _adjustment(arms: Arms, compared: Compared) -> Array:
    """Return the covariates of the bias adjustment, (n, k): standardised over the rows kept, 0 for the others."""
    adjust = np.zeros_like(arms.x)
    adjust[compared.kept] = standardised_coordinates(arms.x[compared.kept])
    return adjust


def _adjusted(y: Array, arms: Arms, plan: Plan, compared: Compared) -> Effect:
    """Return the bias-adjusted effect; of both directions, their average by weight."""
    adjust = _adjustment(arms, compared)
    parts = []
    for m, sign in ((compared.of_treated, 1.0), (compared.of_comparison, -1.0)):
        if m is not None:
            one = matched_difference(y, m, arms.weights, adjust)
            parts.append((sign * one.estimate, sign * influence(y, m, arms.weights, adjust), one))
    total = sum(float(one.weight.sum()) for *_, one in parts)
    estimate = sum(effect * float(one.weight.sum()) for effect, _, one in parts) / total
    psi = np.zeros(len(y))
    for effect, own, one in parts:
        psi += own * float(one.weight.sum()) / total
        # Where effects differ between the directions, drawing more rows of one of them moves the average.
        psi[one.rows] += one.weight * (effect - estimate) / total
    return Effect(estimate, psi, _three(plan))


def _weighted_effect(y: Array, arms: Arms, plan: Plan, compared: Compared, weights: Array) -> Effect:
    treated = arms.treated
    if plan.weighting == "entropy":
        # Weights that balance the columns leave a linear outcome model nothing to correct: the estimate is the
        # difference of means, and the regression's contributions count what balancing takes out of the error.
        return regression_adjustment(y, treated, _columns(arms, plan), weights, _three(plan), arms.weights)
    sign = np.where(treated, 1.0, -1.0)
    total = np.where(treated, weights[treated].sum(), weights[~treated].sum())
    mean = np.where(treated, weights[treated] @ y[treated], weights[~treated] @ y[~treated]) / total
    psi = sign * weights * (y - mean) / total
    estimate = float(mean[treated][0] - mean[~treated][0])
    if plan.weighting == "covariate_balancing_overidentified":
        return Effect(estimate, psi, _three(plan))
    assert compared.probability is not None
    base, p = arms.weights, compared.probability
    z = np.column_stack([np.ones(len(y)), _columns(arms, plan)])
    slope = base * _slope(p, treated, plan.estimand)
    if plan.weighting == "covariate_balancing":
        # The moments set to 0: the weighted columns of one arm less those of the other.
        moments = z * (sign * weights)[:, None]
        jacobian = (z * (sign * slope)[:, None]).T @ z
        of_score = -moments @ np.linalg.inv(jacobian).T
    else:
        assert compared.score is not None
        of_score = (z * (base * (treated - p))[:, None]) @ compared.score.bread
    psi = psi + of_score @ (z.T @ (sign * slope * (y - mean) / total))
    averaged: Literal["att", "atc", "ate"] = "ate" if plan.estimand == "ato" else _three(plan)
    return Effect(estimate, psi, averaged)


def _slope(p: Array, treated: Bool, estimand: Estimand) -> Array:
    """Return the derivative of a weight by the linear predictor, (n,)."""
    odds = p / (1 - p)
    of_treated = {"att": 0 * p, "atc": -1 / odds, "ate": -1 / odds, "ato": -p * (1 - p)}[estimand]
    of_comparison = {"att": odds, "atc": 0 * p, "ate": odds, "ato": p * (1 - p)}[estimand]
    return np.where(treated, of_treated, of_comparison)


def independent_variance(y: Array, arms: Arms, plan: Plan, compared: Compared, kind: str) -> float:
    """Return the Abadie-Imbens variance of a matched difference: valid if counties were assigned independently.

    Args:
        y: (n,) outcome.
        arms, plan, compared: see `compare`.
        kind: ``abadie_imbens`` (outcome variances from within arms), ``abadie_imbens_homoskedastic`` (one variance),
            or ``estimated_score`` (the first, changed for the score having been estimated).

    Raises:
        ValueError: nothing was matched, or the formula does not hold for the plan.

    Source: Abadie and Imbens (2006), Econometrica 74(1); (2016), Econometrica 84(2).
    """
    up, down = compared.of_treated, compared.of_comparison
    if up is None and down is None:
        raise ValueError(f"no matches under {plan.method}; wanted vcov = cluster")
    adjust = _adjustment(arms, compared) if plan.adjust == "bias" else None
    estimate = effect_of(y, arms, plan, compared).estimate
    conditional: Array | float
    if kind == "abadie_imbens_homoskedastic":
        if up is not None and down is not None:
            conditional = average_homoskedastic_variance(y, up, down, arms.weights, estimate, adjust)
        else:
            one = up if up is not None else down
            assert one is not None
            found = matched_difference(y, one, arms.weights, adjust)
            conditional = homoskedastic_variance(y, one, arms.weights, found, adjust)
    else:
        conditional = np.zeros(len(y))
        kept = compared.kept
        conditional[kept] = within_arm_variance(
            y[kept], compared.coordinates[kept], arms.treated[kept], VARIANCE_NEIGHBOURS
        )
    if up is not None and down is not None:
        variance = average_effect_variance(average_effect(y, up, down, arms.weights, adjust), conditional)
    else:
        one = up if up is not None else down
        assert one is not None
        variance = abadie_imbens_variance(
            matched_difference(y, one, arms.weights, adjust), one, arms.weights, conditional
        )
    if kind != "estimated_score":
        return variance
    if plan.estimand not in ("att", "ate") or compared.score is None:
        raise ValueError("the estimated-score adjustment is for att or ate on a fitted score")
    kept = compared.kept
    inner = arms.rows(kept)
    design = np.column_stack([np.ones(int(kept.sum())), standardised_coordinates(inner.x)])
    change = estimated_score_adjustment(
        y[kept],
        inner.treated,
        design,
        compared.score,
        estimate,
        estimand=plan.estimand,
        neighbours=plan.neighbours,
    ).change
    if not variance + change > 0:
        raise ValueError(f"the adjusted variance is {variance + change:.3g}; wanted vcov = abadie_imbens")
    return variance + change

"""The record every estimator returns, what must hold of it, and its aggregation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.base.errors import SampleError, SpecError, StudyError
from analysis.base.provenance import Stamp
from analysis.design.design import Design
from analysis.design.spec import InferenceSection, Spec
from analysis.estimation.inference import (
    cluster_variance,
    effective_clusters,
    joint_critical_value,
    simultaneous_critical_value,
    t_quantile,
    two_sided_p,
)
from analysis.estimation.panel_arrays.synthetic_weights import placebo_test
from analysis.estimation.panel_inference.spatial import Kernel, SpatialVariance, spatial_variance

Array = NDArray[np.float64]
Over = Literal["post", "event_time", "cohort", "calendar"]

COLUMNS = (
    "term", "cohort", "time", "event_time", "estimate", "std_error", "statistic", "p_value",
    "conf_low", "conf_high", "band_low", "band_high", "n_counties", "n_treated",
)  # fmt: skip
# Before the term of a lead that comes from another regression than the effects do (protocol rule 13).
LEAD = "lead, "
ESTIMANDS = ("group_time", "event_time", "att", "difference")
# Fewer treated clusters than this and the cluster-robust variance is not to be read alone (protocol rule 12).
FEW_TREATED_CLUSTERS = 6
# Clusters of which one way is states.
OF_STATES = ("state", "state_and_year", "state_and_segment")
# Errors whose matrix is that of cluster sums of influence.
BY_INFLUENCE = ("cluster", "wild_bootstrap", "subcluster_bootstrap")
STATE_OF_PREFIX = {
    "01": "AL", "02": "AK", "04": "AZ", "05": "AR", "06": "CA", "08": "CO", "09": "CT", "10": "DE",
    "11": "DC", "12": "FL", "13": "GA", "15": "HI", "16": "ID", "17": "IL", "18": "IN", "19": "IA",
    "20": "KS", "21": "KY", "22": "LA", "23": "ME", "24": "MD", "25": "MA", "26": "MI", "27": "MN",
    "28": "MS", "29": "MO", "30": "MT", "31": "NE", "32": "NV", "33": "NH", "34": "NJ", "35": "NM",
    "36": "NY", "37": "NC", "38": "ND", "39": "OH", "40": "OK", "41": "OR", "42": "PA", "44": "RI",
    "45": "SC", "46": "SD", "47": "TN", "48": "TX", "49": "UT", "50": "VT", "51": "VA", "53": "WA",
    "54": "WV", "55": "WI", "56": "WY",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inference:
    """How errors were computed.

    Args:
        kind: cluster | cr2 | cr3 | wild_bootstrap | subcluster_bootstrap | bootstrap | randomisation | spatial |
            placebo | abadie_imbens | abadie_imbens_homoskedastic | estimated_score.
        by: what a cluster is: state | county | state_and_year | county_and_year | pair | pair_and_state | segment |
            state_and_segment | none.
        clusters: number of clusters; of two ways the fewer.
        df: degrees of freedom of t statistics; infinite for normal ones. Under cr2 and cr3 the fewest of any row.
        level: of intervals and bands.
        draws: bootstrap draws of bands, or of the wild bootstrap.
        seed: of the generator.
    """

    kind: str
    by: str
    clusters: int
    df: float
    level: float
    draws: int
    seed: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an estimator found, with everything needed to re-cluster, re-aggregate and trace it.

    Args:
        table: one row an estimate; columns ``COLUMNS``. An estimate that could not be made has missing
            values.
        vcov: (k, k), row for row with ``table``.
        influence: (counties, k) contributions to the error, or None: their cluster sums squared, times G / (G
            - 1), are ``vcov`` where inference is by cluster. A regression's degrees-of-freedom factor is
            inside. Of placebo errors a donor's row holds what it shows as if it had been treated.
        counties: county codes, row for row with ``influence`` and ``treated``.
        treated: (counties, k) which counties a row rests on: a treated county's weight in it (summed over
            years), 0 for a comparison county, missing for a county that does not enter. Aggregation averages
            by its sums.
        estimand: group_time | event_time | att | difference.
        outcome: in words.
        unit: in words.
        baseline: treated mean before treatment (of comparison counties for a cross-section).
        reference: event time that is zero by construction; never a row.
        estimator: its name in specs.
        inference: how errors were computed.
        attrition: rule, counties, county_years, treated, dropped.
        spec: the specification.
        stamp: digests and versions.
        notes: every warning raised on the way, and what must be said beside the numbers.
        coordinates: (counties, 2) latitude and longitude in degrees, where errors are spatial; missing for counties
            that do not enter.
    """

    table: pd.DataFrame
    vcov: Array
    influence: Array | None
    counties: pd.Index
    treated: Array
    estimand: str
    outcome: str
    unit: str
    baseline: float
    reference: int | None
    estimator: str
    inference: Inference
    attrition: pd.DataFrame
    spec: Spec
    stamp: Stamp
    notes: tuple[str, ...]
    coordinates: Array | None = None

    def tidy(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def effective_clusters(self) -> Array:
        """Return the effective number of clusters of each row, (k,).

        Missing where clusters are not states, or a row has no error. See
        `analysis.estimation.inference.effective_clusters`.
        """
        known = np.isfinite(self.table["std_error"].to_numpy(dtype=float))
        found = np.full(len(self.table), np.nan)
        if self.influence is None or self.inference.by not in OF_STATES:
            return found
        entered = ~np.isnan(self.treated).all(axis=1)
        labels = cluster_labels(self.counties, self.inference.by)[entered]
        found[known] = effective_clusters(self.influence[entered][:, known], labels)
        return found

    def glance(self) -> pd.DataFrame:
        """Return one row on the whole estimate; the estimate itself only where there is one, the effective number of
        clusters that of the row with fewest."""
        entered = ~np.isnan(self.treated).all(axis=1)
        is_treated = np.nan_to_num(self.treated).sum(axis=1) > 0
        states = treated_states(self)
        labels = cluster_labels(self.counties, self.inference.by)
        one = self.table.iloc[0] if len(self.table) == 1 else None
        effective = self.effective_clusters()
        numbers = {
            name: float(one[name]) if one is not None else np.nan
            for name in ("estimate", "std_error", "conf_low", "conf_high", "p_value")
        }
        return pd.DataFrame(
            {
                "estimator": [self.estimator],
                "estimand": self.estimand,
                "outcome": self.outcome,
                "unit": self.unit,
                **numbers,
                "n_counties": int(entered.sum()),
                "n_treated": int(is_treated.sum()),
                "n_comparison": int((entered & ~is_treated).sum()),
                "treated_states": " ".join(states),
                "n_treated_states": len(states),
                "inference": self.inference.kind,
                "by": self.inference.by,
                "clusters": self.inference.clusters,
                "treated_clusters": len(np.unique(labels[is_treated])),
                "effective_clusters": np.nan if np.isnan(effective).all() else float(np.nanmin(effective)),
                "df": self.inference.df,
                "baseline": self.baseline,
                "spec": self.stamp.spec,
                "simulated": self.stamp.simulated,
            }
        )

    def summary(self) -> str:
        """Return the estimate as text for people."""
        line, level = self.glance().iloc[0], f"{100 * self.inference.level:g} %"
        by = (
            ""
            if self.inference.by == "none"
            else f" by {self.inference.by} ({self.inference.clusters} clusters)"
        )
        parts = [
            *(["SIMULATED DATA"] if self.stamp.simulated else []),
            f"{self.estimator}: {self.outcome}",
            f"in {self.unit}; mean before treatment {self.baseline:.4g}",
            f"{line['n_treated']} treated and {line['n_comparison']} comparison counties; "
            f"treated in {line['treated_states'] or 'no state'}",
            f"errors: {self.inference.kind}{by}; intervals at {level}",
            *self._effective_words(),
            "",
        ]
        width = max((len(str(term)) for term in self.table["term"]), default=4)
        parts.append(f"{'term':<{width}}  estimate  std.error  interval")
        parts += [
            f"{row['term']:<{width}}  {row['estimate']:8.4g}  {row['std_error']:9.4g}  "
            f"[{row['conf_low']:.4g}, {row['conf_high']:.4g}]"
            for _, row in self.table.iterrows()
        ]
        parts += ["", *(f"note: {note}" for note in self.notes)]
        return "\n".join(parts).rstrip() + "\n"

    def _effective_words(self) -> list[str]:
        found = self.effective_clusters()
        found = found[~np.isnan(found)]
        if not len(found):
            return []
        low, high = (f"{value:.1f}" for value in (found.min(), found.max()))
        labels = cluster_labels(self.counties, self.inference.by)[~np.isnan(self.treated).all(axis=1)]
        span = low if low == high else f"{low} to {high}"
        return [f"effective number of clusters: {span} of {len(np.unique(labels))}"]


def treated_states(estimate: Estimate) -> tuple[str, ...]:
    """Return the postal codes of the states whose treated counties the estimate rests on, sorted."""
    return states_of(estimate.counties[np.nan_to_num(estimate.treated).sum(axis=1) > 0])


def states_of(counties: Iterable[str]) -> tuple[str, ...]:
    """Return the postal codes of the states some counties lie in, sorted.

    Example:
        >>> states_of(["06037", "36998", "06001"])
        ('CA', 'NY')
    """
    codes = (
        counties.to_numpy(dtype=str)
        if isinstance(counties, pd.Index)
        else np.array(list(counties), dtype=str)
    )
    prefixes = np.unique(codes.astype("U2")).tolist()
    return tuple(sorted(STATE_OF_PREFIX.get(prefix, prefix) for prefix in prefixes))


def cluster_labels(counties: pd.Index, by: str) -> NDArray[np.str_]:
    """Return each county's cluster: its state's two digits, or itself; of two ways that of places.

    Example:
        >>> cluster_labels(pd.Index(["06037", "36998"]), "state").tolist()
        ['06', '36']
    """
    # One estimate is inferred several times in a row, each on the same counties.
    for held, how, labels in _LABELS:
        if held is counties and how == by:
            return labels
    codes = counties.to_numpy(dtype=str)
    labels = codes.astype("U2") if by in OF_STATES else codes
    labels.flags.writeable = False
    _LABELS[:] = [(counties, by, labels), *_LABELS[:1]]
    return labels


_LABELS: list[tuple[pd.Index, str, NDArray[np.str_]]] = []


def cell_rows(
    cohort: Sequence[int],
    base: Sequence[int],
    time: Sequence[int],
    event_time: Sequence[int],
    estimate: Sequence[float] | Array,
) -> pd.DataFrame:
    """Return the rows of an estimate, a row a cell of cohort, base year and year.

    Terms name the base year where a cohort has several.

    Args:
        cohort: (k,) first treated year.
        base: (k,) last year wholly before adoption.
        time: (k,).
        event_time: (k,).
        estimate: (k,), missing where it could not be made.

    Example:
        >>> cell_rows([2014, 2014], [2012, 2013], [2015, 2015], [1, 1], [0.5, 0.6])["term"].tolist()
        ['cohort=2014, base=2012, time=2015', 'cohort=2014, base=2013, time=2015']
    """
    several = len(set(zip(cohort, base, strict=True))) > len(set(cohort))
    cells = zip(cohort, base, time, strict=True)
    return pd.DataFrame(
        {
            "term": [f"cohort={c}, {f'base={b}, ' if several else ''}time={t}" for c, b, t in cells],
            "cohort": list(cohort),
            "time": list(time),
            "event_time": list(event_time),
            "estimate": np.asarray(estimate, dtype=float),
        }
    )


def make_estimate(
    design: Design,
    *,
    rows: pd.DataFrame,
    counties: pd.Index,
    influence: Array,
    treated: Array,
    estimand: str,
    reference: int | None,
    notes: Sequence[str],
    dropped: Iterable[tuple[str, int, int, int]] = (),
) -> Estimate:
    """Return the record of estimates whose errors are cluster-robust, or spatial where the spec says so.

    Args:
        design: what was estimated on; unit, label, baseline, attrition, spec, stamp and notes are copied from
            it, and under ``vcov = "spatial"`` places are looked up in its geography.
        rows: term, cohort, time, event_time, estimate; a missing estimate stays a row.
        counties: county codes, sorted.
        influence: (counties, k).
        treated: (counties, k), see `Estimate`.
        estimand: of the rows.
        reference: normalised event time.
        notes: beside the design's.
        dropped: lines of attrition that the estimator adds: rule, counties, county_years, treated that
            remain.
    """
    asked = design.spec.inference
    spatial = asked.vcov == "spatial"
    coordinates = _coordinates(design, counties, treated) if spatial else None
    labels = cluster_labels(counties, asked.by)
    inference = Inference(
        "spatial" if spatial else "cluster", asked.by, 0, np.nan, asked.level, asked.draws, asked.seed
    )
    inferred = _infer(rows, influence, treated, labels, inference, asked, coordinates)
    return record(
        design,
        table=inferred.table,
        vcov=inferred.vcov,
        influence=influence,
        counties=counties,
        treated=treated,
        estimand=estimand,
        reference=reference,
        inference=inferred.inference,
        notes=[*notes, *_cluster_notes(treated, labels, asked.by), *inferred.notes],
        dropped=dropped,
        coordinates=coordinates,
    )


def _coordinates(design: Design, counties: pd.Index, treated: Array) -> Array:
    """Return latitude and longitude of the counties that enter, (counties, 2)."""
    places = design.geography.places.set_index("county_fips")[["latitude", "longitude"]]
    found = places.reindex(counties).to_numpy(dtype=float)
    entered = np.asarray(~np.isnan(treated).all(axis=1), dtype=bool)
    lost = counties[entered & np.isnan(found).any(axis=1)]
    if len(lost):
        more = f" and {len(lost) - 10} more" if len(lost) > 10 else ""
        raise SampleError(
            f"{len(lost)} counties without a place ({' '.join(map(str, lost[:10]))}{more}) under spatial errors",
            "latitude and longitude of every county",
            "the panel's geography",
        )
    return np.where(entered[:, None], found, np.nan)


def record(
    design: Design,
    *,
    table: pd.DataFrame,
    vcov: Array,
    influence: Array | None,
    counties: pd.Index,
    treated: Array,
    estimand: str,
    reference: int | None,
    inference: Inference,
    notes: Sequence[str],
    dropped: Iterable[tuple[str, int, int, int]] = (),
    coordinates: Array | None = None,
) -> Estimate:
    """Return the record of numbers already inferred; what they were estimated on is copied from the
    design."""
    return Estimate(
        table=table,
        vcov=vcov,
        influence=influence,
        counties=counties,
        treated=treated,
        estimand=estimand,
        outcome=design.outcome_label,
        unit=design.unit,
        baseline=design.baseline,
        reference=reference,
        estimator=design.spec.estimator.name,
        inference=inference,
        attrition=_extend(design.attrition, dropped),
        spec=design.spec,
        stamp=design.stamp,
        notes=tuple(dict.fromkeys([*design.notes, *notes])),
        coordinates=coordinates,
    )


def _cluster_notes(treated: Array, labels: NDArray[np.str_], by: str) -> list[str]:
    count = len(np.unique(labels[np.nan_to_num(treated).sum(axis=1) > 0]))
    notes = []
    if by in OF_STATES and count < FEW_TREATED_CLUSTERS:
        notes.append(
            f"treated counties lie in {count} states: cluster-robust errors are too small with so few"
        )
    alone = int((_treated_clusters(treated, labels) == 1).sum())
    if alone:
        one = {"none": "county", **dict.fromkeys(OF_STATES, "state"), "county_and_year": "county"}.get(by, by)
        notes.append(
            f"{alone} estimates have their treated counties in one {one}: no error can be given for them"
        )
    return notes


@dataclass(frozen=True, slots=True)
class Inferred:
    """The full table, its variance matrix, how it was made and what must be said of it."""

    table: pd.DataFrame
    vcov: Array
    inference: Inference
    notes: tuple[str, ...] = ()


def _infer(
    rows: pd.DataFrame,
    influence: Array,
    treated: Array,
    labels: NDArray[np.str_],
    inference: Inference,
    asked: InferenceSection,
    coordinates: Array | None,
) -> Inferred:
    """Return errors from influence, by cluster or by distance; counties that do not enter are not counted."""
    if coordinates is not None:
        return _infer_spatial(rows, influence, treated, labels, inference, asked, coordinates)
    entered = ~np.isnan(treated).all(axis=1)
    g = len(np.unique(labels[entered]))
    if g < 2:
        raise StudyError(
            f"{g} cluster(s) remain, clustered by {inference.by}",
            "at least two clusters",
            "sample or inference.by",
        )
    inference = replace(inference, clusters=g, df=float(g - 1))
    vcov = cluster_variance(influence[entered], labels[entered])
    estimate = rows["estimate"].to_numpy(dtype=float)
    missing = np.isnan(estimate)
    vcov[missing, :] = vcov[:, missing] = np.nan
    critical = t_quantile(inference.level, inference.df)
    alone = _treated_clusters(treated, labels) < 2
    band = simultaneous_critical_value(
        influence[entered][:, ~missing & ~alone],
        labels[entered],
        inference.level,
        inference.draws,
        inference.seed,
        inference.df,
    )
    # Treated counties of one cluster: nothing varies on their side between clusters, and the formula would print an
    # error of the comparison side alone, often zero.
    error = np.where(alone, np.nan, np.sqrt(np.diag(vcov)))
    return Inferred(tabulate(rows, error, treated, inference.df, critical, band), vcov, inference)


def _infer_spatial(
    rows: pd.DataFrame,
    influence: Array,
    treated: Array,
    labels: NDArray[np.str_],
    inference: Inference,
    asked: InferenceSection,
    coordinates: Array,
) -> Inferred:
    entered = ~np.isnan(treated).all(axis=1)
    told = ~rows["estimate"].isna().to_numpy()
    found = _spatial(influence[entered][:, told], coordinates[entered], asked)
    vcov = np.full((len(rows), len(rows)), np.nan)
    vcov[np.ix_(told, told)] = found.vcov
    variance = np.diag(vcov)
    scale = np.nanmax(np.abs(variance), initial=0.0)
    # What rounding leaves of a variance of zero is none.
    positive = variance > 1e-13 * scale
    use = positive & (_treated_clusters(treated, labels) >= 2)
    error = np.sqrt(np.where(use, variance, np.nan))
    band = joint_critical_value(vcov[np.ix_(use, use)], asked.level, asked.draws, asked.seed, np.inf)
    notes = [
        f"errors correlated up to {asked.cutoff_km:g} km ({asked.kernel} kernel), {found.neighbours:.1f} other counties "
        "within it on average; normal quantiles, no factor for few counties"
    ]
    without = int((told & ~positive).sum())
    if without:
        notes.append(
            f"{without} of {len(rows)} estimates have a spatial variance that is not positive: no error can be given "
            "for them"
        )
    if not found.positive:
        notes.append(
            "the spatial variance matrix is not positive semidefinite: tests of several rows together are not to be read"
        )
    made = replace(inference, clusters=int(entered.sum()), df=np.inf)
    table = tabulate(rows, error, treated, np.inf, t_quantile(asked.level, np.inf), band)
    return Inferred(table, vcov, made, tuple(notes))


def _spatial(influence: Array, coordinates: Array, asked: InferenceSection) -> SpatialVariance:
    assert asked.cutoff_km is not None and asked.kernel is not None
    kernel: Kernel = "bartlett" if asked.kernel == "bartlett" else "uniform"
    return spatial_variance(
        influence, coordinates[:, 0], coordinates[:, 1], cutoff=asked.cutoff_km, kernel=kernel
    )


def _treated_clusters(treated: Array, labels: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return how many clusters hold the treated counties of each row."""
    code = np.unique(labels, return_inverse=True)[1]
    return np.array([len(np.unique(code[column > 0])) for column in treated.T])


def tabulate(
    rows: pd.DataFrame,
    error: Array,
    treated: Array,
    df: float | Array,
    critical: float | Array,
    band: float | Array,
) -> pd.DataFrame:
    """Return the table of an estimate from estimates, standard errors and critical values, one for all rows or (k,)."""
    estimate = rows["estimate"].to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(error > 0, estimate / error, np.nan)
    return pd.DataFrame(
        {
            "term": rows["term"].astype("str").array,
            "cohort": _whole(rows["cohort"]),
            "time": _whole(rows["time"]),
            "event_time": _whole(rows["event_time"]),
            "estimate": estimate,
            "std_error": error,
            "statistic": statistic,
            "p_value": two_sided_p(statistic, df),
            "conf_low": estimate - critical * error,
            "conf_high": estimate + critical * error,
            "band_low": estimate - band * error,
            "band_high": estimate + band * error,
            "n_counties": (~np.isnan(treated)).sum(axis=0),
            "n_treated": (treated > 0).sum(axis=0),
        },
        columns=list(COLUMNS),
    )


def _whole(values: pd.Series) -> pd.arrays.IntegerArray:
    """Return whole numbers, some of them missing."""
    missing = values.isna().to_numpy()
    return pd.arrays.IntegerArray(
        np.where(missing, 0, values.to_numpy(dtype=object)).astype(np.int64), missing
    )


def _extend(attrition: pd.DataFrame, dropped: Iterable[tuple[str, int, int, int]]) -> pd.DataFrame:
    lines = list(dropped)
    if not lines:
        return attrition
    columns: dict[str, list[Any]] = {
        name: attrition[name].tolist() if name in attrition else []
        for name in ("rule", "counties", "county_years", "treated", "dropped")
    }
    for rule, counties, county_years, treated in lines:
        before = int(columns["county_years"][-1]) if columns["county_years"] else county_years
        for name, value in zip(
            columns, (rule, counties, county_years, treated, before - county_years), strict=True
        ):
            columns[name].append(value)
    return pd.DataFrame(columns)


def aggregate(estimate: Estimate, over: Over = "post") -> Estimate:
    """Average effects over event times, cohorts, calendar years, or all years after adoption.

    Every average weighs its parts by the treated county-years they rest on (by their baseline population
    where ``estimator.weights`` says so), so each treated county-year counts once. In a balanced panel these
    are the cohort shares of Callaway and Sant'Anna, and "post" is their simple average. The error allows for
    the shares being estimated.

    Args:
        estimate: of estimand group_time, or event_time for ``over="post"``.
        over: "event_time" (a row an event time), "post" (one row, event times from 0), "cohort" or "calendar"
            (a row each, years from adoption on).

    Returns:
        An Estimate of estimand event_time or att. One that is already so aggregated, or that has a single
        effect (two-way, matched), comes back as it is for ``over="post"``. Parts that could not be estimated
        are left out, with a note.

    Raises:
        SpecError: event times cannot be turned into cohorts or calendar years.

    Source: Callaway and Sant'Anna (2021), Journal of Econometrics 225(2), section 3.2.
    """
    if estimate.estimand == over or (over == "post" and estimate.estimand in ("att", "difference")):
        return estimate
    if estimate.influence is None or estimate.estimand not in ("group_time", "event_time"):
        raise SpecError(
            f"aggregate(over={over!r}) of a {estimate.estimand} estimate", "a group_time or event_time one"
        )
    if estimate.estimand == "event_time" and over != "post":
        raise SpecError(
            f"aggregate(over={over!r}) of event times",
            "the group-time effects of group_time(design)",
            "the call",
        )
    table = estimate.table
    after = (table["event_time"] >= 0).to_numpy(dtype=bool)
    if over == "event_time":
        keys = table["event_time"]
    elif over == "post":
        keys = pd.Series(np.where(after, 0, -1))
    else:
        keys = (table["cohort"] if over == "cohort" else table["time"]).where(after, -1)
    wanted = sorted(int(k) for k in keys.unique() if over == "event_time" or k != -1)
    if not wanted:
        raise StudyError(
            "no effect after adoption to average", "treated counties observed after adoption", "sample.years"
        )
    parts = [_average(estimate, (keys == key).to_numpy(dtype=bool)) for key in wanted]
    names = {"event_time": "event_time", "cohort": "cohort", "calendar": "time"}
    apart = table["term"].str.startswith(LEAD).to_numpy(dtype=bool)
    marks = [LEAD if apart[keys == key].all() else "" for key in wanted]
    rows = pd.DataFrame(
        {
            "term": ["post"]
            if over == "post"
            else [f"{mark}{names[over]}={key}" for mark, key in zip(marks, wanted, strict=True)],
            "cohort": wanted if over == "cohort" else pd.NA,
            "time": wanted if over == "calendar" else pd.NA,
            "event_time": wanted if over == "event_time" else pd.NA,
            "estimate": [part[0] for part in parts],
        }
    )
    influence = np.column_stack([part[1] for part in parts])
    treated = np.column_stack([part[2] for part in parts])
    labels = cluster_labels(estimate.counties, estimate.inference.by)
    made = estimate.inference
    of_matrix = made.kind not in ("spatial", "placebo") and not (
        made.kind == "cluster" and made.by in ("state", "county")
    )
    if made.kind == "placebo":
        inferred = infer_from_placebos(rows, influence, treated, made)
    elif of_matrix:
        inferred = _infer_from_matrix(estimate, rows, treated, labels, np.array([part[3] for part in parts]))
    else:
        inferred = _infer(
            rows, influence, treated, labels, made, estimate.spec.inference, estimate.coordinates
        )
    noted = _aggregation_notes(estimate, after, over, of_matrix)
    return replace(
        estimate,
        table=inferred.table,
        vcov=inferred.vcov,
        influence=influence,
        treated=treated,
        inference=inferred.inference,
        estimand="event_time" if over == "event_time" else "att",
        reference=estimate.reference if over == "event_time" else None,
        notes=tuple(dict.fromkeys([*estimate.notes, *noted, *inferred.notes])),
    )


def _infer_from_matrix(
    estimate: Estimate, rows: pd.DataFrame, treated: Array, labels: NDArray[np.str_], shares: Array
) -> Inferred:
    """Return errors of averages from the variance matrix of their parts, shares (rows, parts) taken as given."""
    made = estimate.inference
    errors = estimate.table["std_error"].to_numpy(dtype=float)
    parts = np.where(np.isnan(estimate.vcov), 0.0, estimate.vcov)
    vcov = shares @ parts @ shares.T
    missing = rows["estimate"].isna().to_numpy()
    vcov[missing, :] = vcov[:, missing] = np.nan
    unknown = ((shares != 0) & np.isnan(errors)).any(axis=1) | (_treated_clusters(treated, labels) < 2)
    variance = np.diag(vcov)
    use = ~missing & ~unknown & (variance > 0)
    error = np.sqrt(np.where(use, variance, np.nan))
    band = joint_critical_value(vcov[np.ix_(use, use)], made.level, made.draws, made.seed, made.df)
    table = tabulate(rows, error, treated, made.df, t_quantile(made.level, made.df), band)
    return Inferred(table, vcov, made)


def infer_from_placebos(rows: pd.DataFrame, influence: Array, treated: Array, made: Inference) -> Inferred:
    """Return tests and intervals of rows from what each donor shows as if it had been treated.

    Args:
        rows: term, cohort, time, event_time, estimate.
        influence: (counties, k), a donor's row its placebo estimates.
        treated: (counties, k), 0 for donors; see `Estimate`.
        made: of kind placebo.
    """
    donors = (treated == 0).all(axis=1)
    estimate = rows["estimate"].to_numpy(dtype=float)
    test = placebo_test(estimate, influence[donors], made.level)
    nothing = np.full(len(rows), np.nan)
    table = tabulate(rows, np.sqrt(np.diag(test.vcov)), treated, made.df, nothing, nothing)
    table = table.assign(
        p_value=test.p_value,
        conf_low=estimate - test.half_width,
        conf_high=estimate + test.half_width,
        band_low=estimate - test.band_half_width,
        band_high=estimate + test.band_half_width,
    )
    return Inferred(table, test.vcov, made)


def _average(estimate: Estimate, chosen: NDArray[np.bool_]) -> tuple[float, Array, Array, Array]:
    """Return the average of the chosen rows, its influence and treated weights, (counties,) each, and the rows'
    shares in it."""
    assert estimate.influence is not None
    effects = estimate.table["estimate"].to_numpy(dtype=float)
    use = chosen & ~np.isnan(effects)
    if not use.any():
        nothing = np.full(len(estimate.counties), np.nan)
        return np.nan, nothing, nothing, np.zeros(len(effects))
    members = estimate.treated[:, use]
    weight = np.nan_to_num(members)
    sizes = weight.sum(axis=0)
    total = sizes.sum()
    average = float(effects[use] @ sizes / total)
    # The second term is the error of the shares: a county that is treated where effects are large pulls the
    # average up.
    influence = estimate.influence[:, use] @ (sizes / total) + weight @ (effects[use] - average) / total
    entered = ~np.isnan(members).all(axis=1)
    shares = np.zeros(len(effects))
    shares[use] = sizes / total
    return average, influence, np.where(entered, weight.sum(axis=1), np.nan), shares


def _aggregation_notes(estimate: Estimate, after: NDArray[np.bool_], over: str, of_matrix: bool) -> list[str]:
    missing = estimate.table["estimate"].isna().to_numpy()
    if over != "event_time":
        missing = missing & after
    counted = (
        "their population in the baseline year" if estimate.spec.estimator.weights != "none" else "one each"
    )
    shares = "take their shares as given" if of_matrix else "allow for estimated shares"
    if estimate.inference.kind == "placebo":
        shares = "come from the same averages of the donors"
    notes = [f"averages weigh treated county-years ({counted}); errors {shares}"]
    if of_matrix and estimate.inference.kind in ("cr2", "cr3"):
        notes.append("degrees of freedom of averages are the fewest of any of their parts")
    if missing.any():
        notes.append(
            f"{int(missing.sum())} of {len(missing)} {estimate.estimand} effects are missing, in no average"
        )
    return notes


def recluster(estimate: Estimate, by: Literal["state", "county"]) -> Estimate:
    """Return the estimate with errors clustered by another unit, from its influence.

    Raises:
        SpecError: the estimate carries no influence, or its errors are not by cluster.
    """
    if estimate.influence is None or estimate.inference.kind != "cluster":
        raise SpecError(
            f"recluster of {estimate.inference.kind} errors",
            "an estimate with errors by cluster",
            "inference",
        )
    labels = cluster_labels(estimate.counties, by)
    asked = replace(estimate.inference, by=by)
    found = _infer(
        estimate.table, estimate.influence, estimate.treated, labels, asked, estimate.spec.inference, None
    )
    return replace(estimate, table=found.table, vcov=found.vcov, inference=found.inference)


def check_estimate(estimate: Estimate, tolerance: float = 1e-9) -> None:
    """Raise StudyError unless everything that must hold of an Estimate does.

    Columns and their order; ``vcov`` square, symmetric, positive semidefinite on estimated rows, its diagonal
    the squared standard errors where one can be given; ``influence`` and ``treated`` shaped (counties, k) and reproducing ``vcov``
    and the counts where errors are by cluster; the reference never a row; intervals around estimates and
    bands around intervals; missing rows missing throughout, with a note.
    """
    table, k = estimate.table, len(estimate.table)

    def hold(condition: object, claim: str) -> None:
        if not bool(condition):
            raise StudyError(f"estimate of {estimate.estimator}: not true that {claim}")

    hold(tuple(table.columns) == COLUMNS, f"columns are {', '.join(COLUMNS)}")
    hold(k > 0, "there is a row")
    hold(table["term"].is_unique, "terms are unique")
    hold(estimate.estimand in ESTIMANDS, f"the estimand is one of {', '.join(ESTIMANDS)}")
    hold(estimate.vcov.shape == (k, k), "vcov is square and as long as the table")
    hold(estimate.treated.shape == (len(estimate.counties), k), "treated is (counties, rows)")
    hold(
        estimate.counties.is_unique and estimate.counties.is_monotonic_increasing,
        "counties are unique and sorted",
    )
    missing = table["estimate"].isna().to_numpy()
    numbers = table[list(COLUMNS[4:12])].to_numpy(dtype=float)
    hold(np.isnan(numbers[missing]).all(), "a missing estimate has a missing error")
    hold(not missing.any() or estimate.notes, "a missing estimate has a note")
    present = estimate.vcov[np.ix_(~missing, ~missing)]
    hold(np.isfinite(present).all(), "vcov is finite for estimated rows")
    scale = max(float(np.abs(present).max(initial=0)), 1e-300)
    hold(np.abs(present - present.T).max(initial=0) <= tolerance * scale, "vcov is symmetric")
    # Errors by distance need not give one; the notes say where they do not.
    if present.size and estimate.inference.kind != "spatial":
        hold(np.linalg.eigvalsh(present).min() >= -1e-8 * scale * k, "vcov is positive semidefinite")
    errors = table["std_error"].to_numpy(dtype=float)[~missing]
    known = ~np.isnan(errors)
    hold(
        np.allclose(errors[known] ** 2, np.diag(present)[known], rtol=1e-8, atol=0),
        "standard errors are the root of vcov's diagonal",
    )
    hold(known.all() or estimate.notes, "an error that cannot be given has a note")
    hold(
        (table["n_counties"] == (~np.isnan(estimate.treated)).sum(axis=0)).all(), "n_counties counts counties"
    )
    hold(
        (table["n_treated"] == (np.nan_to_num(estimate.treated) > 0).sum(axis=0)).all(),
        "n_treated counts treated",
    )
    if estimate.reference is not None:
        hold(
            not (table["event_time"] == estimate.reference).fillna(False).any(), "the reference is not a row"
        )
    sure = table[~missing]
    hold((sure["conf_low"].fillna(-np.inf) <= sure["estimate"]).all(), "the interval's low end is below")
    hold((sure["conf_high"].fillna(np.inf) >= sure["estimate"]).all(), "the interval's high end is above")
    wide = tolerance * (1 + sure["estimate"].abs())
    hold(
        (sure["band_low"].fillna(-np.inf) <= sure["conf_low"].fillna(np.inf) + wide).all(),
        "the band holds the interval",
    )
    hold(
        (sure["band_high"].fillna(np.inf) >= sure["conf_high"].fillna(-np.inf) - wide).all(),
        "the band holds it",
    )
    if estimate.influence is not None:
        hold(estimate.influence.shape == (len(estimate.counties), k), "influence is (counties, rows)")
        hold(np.isfinite(estimate.influence[:, ~missing]).all(), "influence is finite")
        outside = np.isnan(estimate.treated[:, ~missing])
        hold((estimate.influence[:, ~missing][outside] == 0).all(), "counties outside a row do not move it")
    if estimate.inference.kind == "spatial":
        hold(
            estimate.influence is not None and estimate.coordinates is not None,
            "spatial errors come with influence and coordinates",
        )
        assert estimate.influence is not None and estimate.coordinates is not None
        entered = ~np.isnan(estimate.treated).all(axis=1)
        near = _spatial(
            estimate.influence[entered][:, ~missing], estimate.coordinates[entered], estimate.spec.inference
        )
        hold(np.allclose(near.vcov, present, rtol=1e-8, atol=1e-12 * scale), "influence reproduces vcov")
        hold(estimate.inference.clusters == entered.sum(), "counties are counted")
    if estimate.inference.kind in BY_INFLUENCE and estimate.inference.by in ("state", "county"):
        hold(estimate.influence is not None, "errors by cluster come with influence")
        assert estimate.influence is not None
        entered = ~np.isnan(estimate.treated).all(axis=1)
        labels = cluster_labels(estimate.counties, estimate.inference.by)[entered]
        again = cluster_variance(estimate.influence[entered][:, ~missing], labels)
        hold(np.allclose(again, present, rtol=1e-8, atol=1e-12 * scale), "influence reproduces vcov")
        hold(estimate.inference.clusters == len(np.unique(labels)), "clusters are counted")
        hold(estimate.inference.df == estimate.inference.clusters - 1, "df is clusters less one")
    hold(0 < estimate.inference.level < 1, "the level is a share")
    hold(estimate.stamp.spec in ("", estimate.spec.digest), "the stamp is that of the spec")

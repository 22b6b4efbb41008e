"""Cluster-robust variances and degrees of freedom for few or uneven clusters: arrays in, arrays out.

Regressions are by weighted least squares with fixed effects. The effect with most levels inside clusters
(counties in states) is swept out by its means, the others (years, state-years) are held as an orthonormal basis
of the rows they connect, and every adjustment matrix is the identity plus a matrix of low rank: a cluster of n
rows needs no n x n matrix unless it has fewer rows than columns.

How the adjustments treat absorbed effects: as if all dummies stood in the regression. Under the working model
in which weights are inverse variances, effects that lie within clusters drop out of the adjustment exactly
(Pustejovsky and Tipton 2018, theorem 2), so only those that cross clusters enter. Under the working model of
equal variances with unequal weights they do not drop out, and enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.stats import t as student

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Labels = NDArray[np.generic]
Kind = Literal["CR0", "CR1", "CR2", "CR3"]
Working = Literal["inverse_weights", "equal"]

# A direction whose leverage is within this of 1 is fitted by one cluster alone.
ALONE = 1e-10
# Singular values below this share of the largest are rounding.
RANK = 1e-9
# Entries of a basis of crossing effects that are held in memory (400 MB).
LARGEST_BASIS = 50_000_000
# Clusters and cells up to which the degrees of freedom of a two-way variance are computed.
LARGEST_TWO_WAY = 5_000


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """How much each cluster weighs in a regression.

    Args:
        labels: (G,) clusters, sorted.
        rows: (G,) rows in each.
        leverage: (G,) trace of the cluster's block of the hat matrix; they sum to the number of parameters.
        partial_leverage: (G, k) share of each regressor's own variation that lies in the cluster; columns sum
            to 1, and 1 / G each is even.
        effective: (k,) effective number of clusters of each coefficient, for errors independent within
            clusters.
        effective_correlated: (k,) the same for errors perfectly correlated within clusters, the worst case;
            missing where every regressor sums to zero within clusters, as with effects of the clusters.
    """

    labels: Labels
    rows: Index
    leverage: Array
    partial_leverage: Array
    effective: Array
    effective_correlated: Array


@dataclass(frozen=True, slots=True)
class ClusterVariance:
    """Coefficients, their cluster-robust variance and degrees of freedom.

    Args:
        coefficients: (k,).
        vcov: (k, k).
        contributions: (G, k) each cluster's part; ``vcov`` is ``factor`` times the sum of their products.
        factor: G / (G - 1) for CR1, else 1.
        contrasts: (m, k) the combinations tested, the coefficients themselves unless others were asked for.
        estimate: (m,) of the contrasts.
        std_error: (m,); missing under CR2 and CR3 where one cluster alone identifies a contrast.
        df: (m,) Satterthwaite degrees of freedom under the working model.
        p_value: (m,) two-sided, by Student's t with ``df``.
        kind: CR0 | CR1 | CR2 | CR3.
        working: the working model.
        report: leverage by cluster.
        alone: labels of clusters without which a tested contrast is not identified.
    """

    coefficients: Array
    vcov: Array
    contributions: Array
    factor: float
    contrasts: Array
    estimate: Array
    std_error: Array
    df: Array
    p_value: Array
    kind: Kind
    working: Working
    report: ClusterReport
    alone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Swept:
    """A regression with its effects swept out, rows in the order of clusters, scaled by the root of weights.

    Args:
        y: (n,) outcome, residual of everything.
        basis: (n, k) orthonormal basis of the regressors beyond effects.
        crossing: one (rows, columns, orthonormal basis) a set of connected rows: effects held explicitly.
        columns: number of columns of all crossing bases together.
        beta: (k,).
        to_beta: (k, k) from the basis' coefficients to those of x.
        weights: (n,).
        swept: (n,) codes of the levels swept out by means, or None.
        cluster: (n,) codes, ascending.
        first: (G + 1,) first row of each cluster.
        labels: (G,).
    """

    y: Array
    basis: Array
    crossing: tuple[tuple[Index, slice, Array], ...]
    columns: int
    beta: Array
    to_beta: Array
    weights: Array
    swept: Index | None
    cluster: Index
    first: Index
    labels: Labels


def cluster_variance_small(
    y: Array,
    x: Array,
    weights: Array,
    clusters: Labels,
    *,
    kind: Kind,
    effects: Sequence[Labels] = (),
    working: Working = "inverse_weights",
    contrasts: Array | None = None,
) -> ClusterVariance:
    """Estimate weighted least squares coefficients with a variance made for few or uneven clusters.

    CR2 multiplies each cluster's residuals by the inverse root of what the working model says their variance
    is, so that the variance is unbiased under it; CR3 by the inverse, which makes it the jackknife that
    leaves out whole clusters, every effect estimated anew: the sum of squared changes of the coefficients.
    CR0 and CR1 (G / (G - 1) times CR0) leave residuals as they are. Degrees of freedom match the first two
    moments of the variance estimate under the working model, for each contrast its own.

    Args:
        y: (n,) outcome.
        x: (n, k) regressors whose coefficients are wanted, with a column of ones if there are no effects.
        weights: (n,) positive.
        clusters: (n,) labels.
        kind: CR0, CR1, CR2 or CR3.
        effects: (n,) labels each: fixed effects, as many as wanted.
        working: errors independent with variance one over the weight ("inverse_weights": the regression on
            rows scaled by the root of the weight, taken as homoskedastic) or with one variance ("equal":
            what clubSandwich takes by default for weighted lm). Without weights they are the same. CR3 does
            not depend on it, its degrees of freedom do. Under "equal" with unequal weights and effects that
            lie within clusters no adjustment is exactly unbiased; "inverse_weights" has no such gap.
        contrasts: (m, k) combinations of coefficients to test; None for each coefficient.

    Returns:
        A ``ClusterVariance``. Directions fitted by one cluster alone (its own effects above all) are left out
        of the adjustments. Where one of them touches a contrast, which is then identified by that cluster
        only, as with a single treated state, CR2 and CR3 have no meaning and are missing; ``alone`` names
        the cluster, under CR0 and CR1 too, whose errors are then far too small.

    Raises:
        ValueError: fewer than two clusters; weights that are not positive; a regressor without variation of
            its own; crossing effects too many to hold.

    Assumption: errors independent between clusters; the working model for exact unbiasedness and degrees of
        freedom, which matter less the more clusters there are.

    Source: Bell and McCaffrey (2002), Survey Methodology 28(2); Pustejovsky and Tipton (2018), Journal of
        Business and Economic Statistics 36(4); Imbens and Kolesar (2016), Review of Economics and Statistics
        98(4); MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38(5), for CR3.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> g = np.repeat(np.arange(8), 12)
        >>> x = (g < 3) + rng.normal(size=96)
        >>> y = x + rng.normal(size=8)[g] + rng.normal(size=96)
        >>> found = cluster_variance_small(
        ...     y, np.column_stack([np.ones(96), x]), np.ones(96), g, kind="CR2"
        ... )
        >>> bool(found.std_error[1] > 0), bool(found.df[1] < 7)
        (True, True)
    """
    if kind not in ("CR0", "CR1", "CR2", "CR3"):
        raise ValueError(f"kind = {kind!r}; wanted CR0, CR1, CR2 or CR3")
    if working not in ("inverse_weights", "equal"):
        raise ValueError(f'working = {working!r}; wanted "inverse_weights" or "equal"')
    s = _sweep(y, x, weights, clusters, effects)
    k, g = len(s.beta), len(s.labels)
    wanted = np.eye(k) if contrasts is None else np.atleast_2d(np.asarray(contrasts, dtype=float))
    if wanted.shape[1] != k:
        raise ValueError(f"contrasts of {wanted.shape[1]} coefficients; wanted {k}")
    # With equal weights the two working models are one, and the first needs less.
    equal = working == "equal" and bool(np.ptp(s.weights) > 1e-12 * s.weights.max())
    moments = _equal_moments(s) if equal else None
    contributions = np.zeros((g, k))
    # What each cluster's adjusted regressors share with the crossing effects and regressors.
    along = np.zeros((len(wanted), g, s.columns + k))
    over = np.zeros_like(along)
    inner = np.zeros_like(along)
    own = np.zeros((len(wanted), g))
    alone: set[int] = set()
    lost = np.zeros(len(wanted), dtype=bool)
    to_contrasts = s.to_beta.T @ wanted.T
    crossing = _by_cluster(s)
    for c in range(g):
        rows = slice(s.first[c], s.first[c + 1])
        q, columns = _active(s, crossing[c], rows)
        adjusted: Array
        only = _lost(q, s.basis[rows] @ to_contrasts, (to_contrasts**2).sum(axis=0))
        if only.any():
            alone.add(c)
            lost |= only
        if moments is None:
            adjusted = _adjust(q, s.basis[rows], kind)
            u = adjusted @ to_contrasts
            shared = q.T @ u
            along[:, c, columns] = shared.T
            own[:, c] = (u**2).sum(axis=0)
            contributions[c] = s.to_beta @ (adjusted.T @ s.y[rows])
            continue
        piece = moments.cluster(s, c, rows, q, columns)
        root = np.sqrt(s.weights[rows])
        scores = root[:, None] * s.basis[rows]
        adjusted = piece.adjust(scores) if kind == "CR2" else scores
        if kind == "CR3":
            # The jackknife is one number whatever the working model.
            adjusted = _adjust(q, s.basis[rows], kind) * root[:, None]
        contributions[c] = s.to_beta @ (adjusted.T @ (s.y[rows] / root))
        u = adjusted @ to_contrasts
        own[:, c], along[:, c], over[:, c], inner[:, c] = piece.parts(u, s.columns + k)
    factor = g / (g - 1) if kind == "CR1" else 1.0
    vcov = factor * contributions.T @ contributions
    error = np.sqrt(np.einsum("mi,ij,mj->m", wanted, vcov, wanted))
    if kind in ("CR2", "CR3"):
        error[lost] = np.nan
        if contrasts is None:
            vcov = np.where(lost[:, None] | lost[None, :], np.nan, vcov)
    df = np.array([_satterthwaite(own[m], along[m], over[m], inner[m], moments) for m in range(len(wanted))])
    df[np.isnan(error)] = np.nan
    estimate = wanted @ s.beta
    with np.errstate(invalid="ignore", divide="ignore"):
        p_value = 2 * student.sf(np.abs(estimate / error), df)
    return ClusterVariance(
        coefficients=s.beta,
        vcov=vcov,
        contributions=contributions,
        factor=factor,
        contrasts=wanted,
        estimate=estimate,
        std_error=error,
        df=df,
        p_value=p_value,
        kind=kind,
        working=working,
        report=_report(s),
        alone=tuple(str(s.labels[c]) for c in sorted(alone)),
    )


def cluster_report(
    x: Array, weights: Array, clusters: Labels, effects: Sequence[Labels] = ()
) -> ClusterReport:
    """Return leverage, partial leverage and the effective number of clusters of a regression.

    Args:
        x: (n, k) regressors, with a column of ones if there are no effects.
        weights: (n,) positive.
        clusters: (n,) labels.
        effects: (n,) labels each: fixed effects.

    Raises:
        ValueError: as ``cluster_variance_small``.

    Assumption: errors alike in all clusters; it says how uneven the regressors are, not the errors.

    Source: Carter, Schnepel and Steigerwald (2017), Review of Economics and Statistics 99(4); MacKinnon,
        Nielsen and Webb (2023), Stata Journal 23(4), for leverage by cluster.

    Example:
        >>> g = np.repeat(np.arange(10), 4)
        >>> x = np.column_stack([np.ones(40), np.tile([0.0, 0.0, 1.0, 1.0], 10)])
        >>> cluster_report(x, np.ones(40), g).effective.round(6)
        array([10., 10.])
    """
    return _report(_sweep(np.zeros(len(x)), x, weights, clusters, effects))


@dataclass(frozen=True, slots=True)
class TwoWayVariance:
    """A variance clustered in two ways.

    Args:
        coefficients: (k,).
        vcov: (k, k) by the first way, plus the second, less their intersection.
        std_error: (k,); missing where the variance is negative.
        df: (k,) Satterthwaite degrees of freedom under errors with variance one over the weight; missing
            where clusters and cells together are more than 5,000.
        df_fewest: clusters of the way with fewer, less 1.
        clusters: number in each way and of cells of both.
        positive: whether ``vcov`` is positive semidefinite; it need not be.
    """

    coefficients: Array
    vcov: Array
    std_error: Array
    df: Array
    df_fewest: int
    clusters: tuple[int, int, int]
    positive: bool


def two_way_variance(
    y: Array,
    x: Array,
    weights: Array,
    first: Labels,
    second: Labels,
    *,
    effects: Sequence[Labels] = (),
) -> TwoWayVariance:
    """Estimate weighted least squares coefficients with a variance clustered in two ways.

    Each of the three parts carries its own G / (G - 1). The degrees of freedom match the mean and variance of
    the variance estimate under the working model, as for one way; ``df_fewest`` is the usual rule.

    Args:
        y: (n,) outcome.
        x: (n, k) regressors, with a column of ones if there are no effects.
        weights: (n,) positive.
        first: (n,) labels, states for instance.
        second: (n,) labels, border segments for instance.
        effects: (n,) labels each: fixed effects. The one with most levels is swept by means.

    Raises:
        ValueError: as ``cluster_variance_small``.

    Assumption: rows that share neither cluster are independent; clusters many in both ways.

    Source: Cameron, Gelbach and Miller (2011), Journal of Business and Economic Statistics 29(2); Imbens and
        Kolesar (2016) for the degrees of freedom.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> a, b = np.repeat(np.arange(12), 10), np.tile(np.arange(10), 12)
        >>> x = np.column_stack([np.ones(120), rng.normal(size=120)])
        >>> found = two_way_variance(x[:, 1] + rng.normal(size=120), x, np.ones(120), a, b)
        >>> found.df_fewest, found.clusters
        (9, (12, 10, 120))
    """
    codes = [np.unique(labels, return_inverse=True)[1].astype(np.intp) for labels in (first, second)]
    codes.append(np.unique(codes[0] * (codes[1].max() + 1) + codes[1], return_inverse=True)[1])
    # Every row its own cluster: effects are swept the same way whoever is clustered.
    s = _sweep(y, x, weights, np.arange(len(y)), effects, nested=False)
    counts = [int(code.max()) + 1 for code in codes]
    if min(counts[:2]) < 2:
        raise ValueError(f"{counts[0]} and {counts[1]} clusters; wanted at least two each way")
    k = len(s.beta)
    signs = np.concatenate(
        [
            np.full(g, sign * g / (g - 1) if g > 1 else sign)
            for g, sign in zip(counts, (1, 1, -1), strict=True)
        ]
    )
    sums = [
        _sums(code, s.basis * s.y[:, None], g) @ s.to_beta.T for code, g in zip(codes, counts, strict=True)
    ]
    stacked = np.concatenate(sums)
    vcov = stacked.T @ (signs[:, None] * stacked)
    values = np.linalg.eigvalsh(vcov)
    diagonal = np.diag(vcov)
    df = np.full(k, np.nan)
    if len(signs) <= LARGEST_TWO_WAY:
        membership = sparse.vstack(
            [
                sparse.csr_array((np.ones(len(code)), (code, np.arange(len(code)))), shape=(g, len(code)))
                for code, g in zip(codes, counts, strict=True)
            ]
        ).tocsr()
        spread = _crossing_matrix(s)
        for j in range(k):
            u = s.basis @ s.to_beta[j]
            scores = membership * u[None, :]
            between = (scores @ scores.T).toarray()
            for part in (spread, sparse.csr_array(s.basis)):
                seen = scores @ part
                between -= (seen @ seen.T).toarray()
            mean = float(signs @ np.diag(between))
            df[j] = mean**2 / float(signs @ between**2 @ signs)
    return TwoWayVariance(
        coefficients=s.beta,
        vcov=vcov,
        std_error=np.sqrt(np.where(diagonal >= 0, diagonal, np.nan)),
        df=df,
        df_fewest=min(counts[:2]) - 1,
        clusters=(counts[0], counts[1], counts[2]),
        positive=bool(values.min() >= -1e-12 * max(float(values.max()), 1e-300)),
    )


# --- sweeping ---------------------------------------------------------------------------------------------------


def _sweep(
    y: Array,
    x: Array,
    weights: Array,
    clusters: Labels,
    effects: Sequence[Labels],
    *,
    nested: bool = True,
) -> _Swept:
    y, x, weights = (np.asarray(v, dtype=float) for v in (y, x, weights))
    if x.ndim != 2 or not len(y) == len(x) == len(weights) == len(clusters):
        raise ValueError(
            f"outcome {y.shape}, regressors {x.shape}, weights {weights.shape}, {len(clusters)} clusters; "
            "wanted (n,), (n, k), (n,) and n"
        )
    if not (np.isfinite(y).all() and np.isfinite(x).all()):
        raise ValueError("missing values in outcome or regressors; wanted rows without them")
    bad = int(np.count_nonzero(~(weights > 0)))
    if bad:
        raise ValueError(f"{bad} weights are not positive; wanted those rows left out")
    labels, cluster = np.unique(clusters, return_inverse=True)
    if len(labels) < 2:
        raise ValueError("a cluster-robust variance needs at least two clusters")
    order = np.argsort(cluster, kind="stable")
    cluster = cluster[order].astype(np.intp)
    y, x, weights = y[order], x[order], weights[order]
    codes = [np.unique(np.asarray(e)[order], return_inverse=True)[1].astype(np.intp) for e in effects]
    inside = [e for e, code in enumerate(codes) if not nested or _lies_within(code, cluster)]
    by_means = max(inside, key=lambda e: int(codes[e].max()), default=None)
    root = np.sqrt(weights)
    together = np.column_stack([x, y]) * root[:, None]
    size = np.sqrt((together**2).sum(axis=0))
    swept = None if by_means is None else codes[by_means]
    others = [code for e, code in enumerate(codes) if e != by_means]
    if swept is not None:
        together = _without_means(together, swept, root)
    bases, columns = _crossing_bases(others, swept, cluster if nested else None, root)
    for rows, _, basis in bases:
        together[rows] -= basis @ (basis.T @ together[rows])
    kept = together[:, :-1]
    k = kept.shape[1]
    own = np.sqrt((kept**2).sum(axis=0))
    q, r = np.linalg.qr(kept / np.where(own > 0, own, 1.0)) if k else (kept, np.zeros((0, 0)))
    lacking = (own <= 1e-7 * size[:-1]) | (np.abs(np.diag(r)) <= 1e-7)
    if lacking.any():
        raise ValueError(
            f"regressors {np.flatnonzero(lacking).tolist()} have no variation beyond effects and the columns "
            "before them; wanted them left out"
        )
    to_beta = np.linalg.inv(r) / own[:, None]
    in_basis = q.T @ together[:, -1]
    return _Swept(
        y=together[:, -1] - q @ in_basis,
        basis=q,
        crossing=bases,
        columns=columns,
        beta=to_beta @ in_basis,
        to_beta=to_beta,
        weights=weights,
        swept=swept,
        cluster=cluster,
        first=np.concatenate([[0], np.cumsum(np.bincount(cluster))]).astype(np.intp),
        labels=labels,
    )


def _lies_within(code: Index, cluster: Index) -> bool:
    at = np.zeros(int(code.max()) + 1, dtype=np.intp)
    at[code] = cluster
    return bool((at[code] == cluster).all())


def _sums(code: Index, columns: Array, groups: int) -> Array:
    return np.column_stack([np.bincount(code, column, minlength=groups) for column in columns.T]).astype(
        float
    )


def _without_means(columns: Array, code: Index, root: Array) -> Array:
    """Return scaled columns less the weighted means of their level."""
    groups = int(code.max()) + 1
    total = np.bincount(code, root**2, minlength=groups)
    means = _sums(code, columns * root[:, None], groups) / total[:, None]
    return np.asarray(columns - means[code] * root[:, None], dtype=float)


def _crossing_bases(
    others: list[Index], swept: Index | None, cluster: Index | None, root: Array
) -> tuple[tuple[tuple[Index, slice, Array], ...], int]:
    """Return an orthonormal basis of the other effects for each set of rows that effects or clusters connect."""
    n = len(root)
    if not others:
        return (), 0
    links = [*others, *(link for link in (swept, cluster) if link is not None)]
    starts = np.cumsum([n, *(int(link.max()) + 1 for link in links)])
    edges = np.concatenate([link + start for link, start in zip(links, starts, strict=False)])
    rows = np.tile(np.arange(n), len(links))
    graph = sparse.coo_array((np.ones(len(edges)), (rows, edges)), shape=(starts[-1], starts[-1]))
    part = connected_components(graph, directed=False)[1][:n]
    order = np.argsort(part, kind="stable")
    bases: list[tuple[Index, slice, Array]] = []
    entries = taken = 0
    for member in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        member = np.sort(member)
        levels = [np.unique(code[member], return_inverse=True)[1] for code in others]
        width = sum(int(level.max()) + 1 for level in levels)
        entries += len(member) * width
        if entries > LARGEST_BASIS:
            raise ValueError(
                f"effects that cross clusters need a basis of more than {LARGEST_BASIS:,} numbers; wanted "
                "an effect with many levels to lie within clusters"
            )
        dummies = np.zeros((len(member), width))
        start = 0
        for level in levels:
            dummies[np.arange(len(member)), start + level] = root[member]
            start += int(level.max()) + 1
        if swept is not None:
            local = np.unique(swept[member], return_inverse=True)[1]
            dummies = _without_means(dummies, local, root[member])
        basis = _orthonormal(dummies)
        if basis.shape[1]:
            bases.append((member.astype(np.intp), slice(taken, taken + basis.shape[1]), basis))
            taken += basis.shape[1]
    return tuple(bases), taken


def _orthonormal(columns: Array) -> Array:
    """Return an orthonormal basis of columns, dependent ones left out."""
    q, r = np.linalg.qr(columns)
    u, s, _ = np.linalg.svd(r, full_matrices=False)
    return np.asarray(q @ u[:, s > RANK * s.max(initial=1e-300)], dtype=float)


def _by_cluster(s: _Swept) -> list[tuple[int, slice] | None]:
    """Return for each cluster which basis holds its crossing effects, and its rows there."""
    found: list[tuple[int, slice] | None] = [None] * len(s.labels)
    for at, (rows, _, _) in enumerate(s.crossing):
        # Rows of a connected set are ascending and hold whole clusters.
        clusters = s.cluster[rows]
        change = np.concatenate([[0], np.flatnonzero(np.diff(clusters)) + 1, [len(rows)]])
        for start, end in pairwise(change.tolist()):
            found[int(clusters[start])] = (at, slice(start, end))
    return found


def _active(s: _Swept, crossing: tuple[int, slice] | None, rows: slice) -> tuple[Array, Index]:
    """Return a cluster's rows of the orthonormal design, without its own effects, and their columns."""
    k = s.basis.shape[1]
    columns = np.arange(s.columns, s.columns + k)
    if crossing is None:
        return s.basis[rows], columns
    at, inside = crossing
    _, taken, basis = s.crossing[at]
    return np.hstack([basis[inside], s.basis[rows]]), np.concatenate(
        [np.arange(taken.start, taken.stop), columns]
    )


def _crossing_matrix(s: _Swept) -> sparse.csr_array:
    """Return the orthonormal basis of all effects, (n, columns), sparse."""
    n = len(s.weights)
    parts = [sparse.csr_array((n, 0))]
    if s.swept is not None:
        root = np.sqrt(s.weights)
        total = np.sqrt(np.bincount(s.swept, s.weights))
        parts.append(sparse.csr_array((root / total[s.swept], (np.arange(n), s.swept))))
    for rows, _, basis in s.crossing:
        row = np.repeat(rows, basis.shape[1])
        column = np.tile(np.arange(basis.shape[1]), len(rows))
        parts.append(sparse.csr_array((basis.ravel(), (row, column)), shape=(n, basis.shape[1])))
    return sparse.hstack(parts).tocsr()


# --- adjustments ------------------------------------------------------------------------------------------------


def _leverages(q: Array) -> tuple[Array, Array]:
    """Return eigenvalues in [0, 1] of q q' that are not zero, and their eigenvectors, (n, r)."""
    small = q.T @ q if q.shape[1] <= q.shape[0] else q @ q.T
    values, vectors = np.linalg.eigh(small)
    keep = values > 1e-14
    values, vectors = np.minimum(values[keep], 1.0), vectors[:, keep]
    if q.shape[1] <= q.shape[0]:
        vectors = q @ (vectors / np.sqrt(values))
    return values, vectors


def _adjust(q: Array, columns: Array, kind: Kind) -> Array:
    """Return (I - q q')^(-1/2) or its square times columns; directions of leverage 1 are left out."""
    if kind in ("CR0", "CR1"):
        return columns
    values, vectors = _leverages(q)
    power = -0.5 if kind == "CR2" else -1.0
    gone = values > 1 - ALONE
    change = np.where(gone, -1.0, np.expm1(power * np.log1p(-np.where(gone, 0.0, values))))
    return np.asarray(columns + vectors @ (change[:, None] * (vectors.T @ columns)), dtype=float)


def _lost(q: Array, columns: Array, size: Array) -> NDArray[np.bool_]:
    """Return which columns lie partly in directions that the cluster alone fits, (m,).

    ``size`` is their squared length over all clusters: what is small beside it is rounding.
    """
    # The largest leverage is no larger than the trace.
    if (q**2).sum() <= 1 - ALONE:
        return np.zeros(columns.shape[1], dtype=bool)
    values, vectors = _leverages(q)
    only = vectors[:, values > 1 - ALONE]
    share = ((only.T @ columns) ** 2).sum(axis=0)
    return np.asarray(share > 1e-10 * np.maximum((columns**2).sum(axis=0), ALONE * size), dtype=bool)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Products of the orthonormal design under one variance for all rows.

    Args:
        inner: (columns + k, columns + k) Q'WQ of crossing effects and regressors.
    """

    inner: Array

    def cluster(self, s: _Swept, c: int, rows: slice, q: Array, columns: Index) -> _Piece:
        """Return one cluster's part; its own effects stand before the other columns."""
        weights = s.weights[rows]
        root = np.sqrt(weights)
        if s.swept is None:
            own = np.zeros((len(weights), 0))
        else:
            local = np.unique(s.swept[rows], return_inverse=True)[1]
            own = np.zeros((len(weights), int(local.max()) + 1))
            own[np.arange(len(weights)), local] = root / np.sqrt(np.bincount(local, weights))[local]
        full = np.hstack([own, q])
        m = own.shape[1]
        inner = np.empty((m + len(columns), m + len(columns)))
        inner[:m] = (own * weights[:, None]).T @ full
        inner[m:, :m] = inner[:m, m:].T
        inner[m:, m:] = self.inner[np.ix_(columns, columns)]
        return _Piece(full / root[:, None], full * root[:, None], inner, m, columns)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One cluster under the working model of equal variances.

    Args:
        down: (n, r) W^(-1/2) Q.
        up: (n, r) W^(1/2) Q.
        inner: (r, r) Q'WQ.
        own: number of first columns that are the cluster's own effects.
        columns: (r - own,) places of the others among all.
    """

    down: Array
    up: Array
    inner: Array
    own: int
    columns: Index

    def adjust(self, scores: Array) -> Array:
        """Return the inverse root of the residuals' working variance times scores."""
        n, r = self.down.shape
        if 2 * r >= n:
            crossed = self.down @ self.up.T
            variance = np.eye(n) - crossed - crossed.T + self.down @ self.inner @ self.down.T
            values, vectors = np.linalg.eigh((variance + variance.T) / 2)
            change = np.where(values > ALONE, 1.0, 0.0) / np.sqrt(np.where(values > ALONE, values, 1.0))
            return np.asarray(vectors @ (change[:, None] * (vectors.T @ scores)), dtype=float)
        q, t = np.linalg.qr(np.hstack([self.down, self.up]))
        eye, nought = np.eye(r), np.zeros((r, r))
        middle = t @ np.block([[self.inner, -eye], [-eye, nought]]) @ t.T
        values, vectors = np.linalg.eigh((middle + middle.T) / 2)
        values = values + 1.0
        kept = values > ALONE
        change = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0) - 1.0
        directions = q @ vectors
        return np.asarray(scores + directions @ (change[:, None] * (directions.T @ scores)), dtype=float)

    def parts(self, u: Array, width: int) -> tuple[Array, Array, Array, Array]:
        """Return what the degrees of freedom need of a cluster's adjusted scores, (n, m)."""
        m = u.shape[1]
        low, high = self.down.T @ u, self.up.T @ u
        spread = [np.zeros((m, width)) for _ in range(3)]
        from_own = self.inner[self.own :, : self.own] @ low[: self.own]
        for out, part in zip(spread, (low[self.own :], high[self.own :], from_own), strict=True):
            out[:, self.columns] = part.T
        # The cluster's own effects meet no other cluster's.
        alone = (u**2).sum(axis=0) - 2 * (low[: self.own] * high[: self.own]).sum(axis=0)
        alone += (low[: self.own] * (self.inner[: self.own, : self.own] @ low[: self.own])).sum(axis=0)
        return alone, spread[0], spread[1], spread[2]


def _equal_moments(s: _Swept) -> _Moments:
    width = s.columns + s.basis.shape[1]
    inner = np.zeros((width, width))
    weighted = s.basis * s.weights[:, None]
    inner[s.columns :, s.columns :] = s.basis.T @ weighted
    for rows, taken, basis in s.crossing:
        inner[taken, taken] = (basis * s.weights[rows, None]).T @ basis
        inner[taken, s.columns :] = basis.T @ weighted[rows]
        inner[s.columns :, taken] = inner[taken, s.columns :].T
    return _Moments(inner)


def _satterthwaite(own: Array, along: Array, over: Array, inner: Array, moments: _Moments | None) -> float:
    """Return twice the squared mean of the variance estimate over its variance, under the working model."""
    if moments is None:
        between = np.diag(own) - along @ along.T
    else:
        # u'(I - H)(I - H)'u between clusters, the products of own effects with the others among them.
        crossed = along @ over.T
        met = inner @ along.T
        between = np.diag(own) - crossed - crossed.T + met + met.T + along @ moments.inner @ along.T
    return float(np.trace(between) ** 2 / (between**2).sum())


def _report(s: _Swept) -> ClusterReport:
    g, k = len(s.labels), s.basis.shape[1]
    leverage = np.bincount(s.cluster, (s.basis**2).sum(axis=1), minlength=g).astype(float)
    for rows, _, basis in s.crossing:
        leverage += np.bincount(s.cluster[rows], (basis**2).sum(axis=1), minlength=g)
    if s.swept is not None:
        leverage += np.bincount(s.cluster, s.weights / np.bincount(s.swept, s.weights)[s.swept], minlength=g)
    # Each regressor beyond effects and all others: its weight in the coefficient.
    alone = s.basis @ s.to_beta.T
    alone /= (alone**2).sum(axis=0)
    squares = _sums(s.cluster, alone**2, g)
    totals = _sums(s.cluster, alone * np.sqrt(s.weights)[:, None], g)
    level = _sums(s.cluster, np.abs(alone) * np.sqrt(s.weights)[:, None], g)
    nothing = np.all(np.abs(totals) <= 1e-9 * np.maximum(level, 1e-300), axis=0)
    return ClusterReport(
        labels=s.labels,
        rows=np.diff(s.first),
        leverage=leverage,
        partial_leverage=squares / squares.sum(axis=0),
        effective=np.array([_effective(squares[:, j]) for j in range(k)]),
        effective_correlated=np.array(
            [np.nan if nothing[j] else _effective(totals[:, j] ** 2) for j in range(k)]
        ),
    )


def _effective(shares: Array) -> float:
    """Return G over 1 plus the squared coefficient of variation."""
    mean = shares.mean()
    return float(len(shares) / (1 + ((shares - mean) ** 2).mean() / mean**2))

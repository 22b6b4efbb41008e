"""Differences in mean changes within strata, with each county's part in their error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def mean_changes(
    outcome: Array, base: Array, treated: Flags, weights: Array, strata: NDArray[np.intp]
) -> tuple[Array, Array]:
    """Return the difference in mean changes since a base, and each row's contribution to its error.

    Args:
        outcome: (n, m).
        base: (n,) what changes are counted from: the outcome in a base year, or its mean before adoption.
        treated: (n,); every stratum holds both arms.
        weights: (n,).
        strata: (n,) codes; differences are taken within them and averaged by treated weight.

    Returns:
        (m,) and (n, m). The errors of the strata's shares are in the second.

    Example:
        >>> after, before = np.array([[5.0], [4], [2], [3]]), np.array([1.0, 2, 1, 3])
        >>> treated, one = np.array([True, True, False, False]), np.zeros(4, dtype=np.intp)
        >>> mean_changes(after, before, treated, np.ones(4), one)[0].tolist()  # changes 4, 2 against 1, 0
        [2.5]
    """
    _, at = np.unique(strata, return_inverse=True)
    change, size = outcome - base[:, None], int(at.max()) + 1
    on, off = (np.bincount(at, weights * arm, minlength=size) for arm in (treated, ~treated))
    mean = np.zeros((size, change.shape[1]))
    np.add.at(mean, at[~treated], weights[~treated, None] * change[~treated])
    gap = change - (mean / off[:, None])[at]
    effect = weights[treated] @ gap[treated] / on.sum()
    share = np.where(treated, weights, -weights * (on / off)[at]) / on.sum()
    return effect, share[:, None] * (gap - treated[:, None] * effect)

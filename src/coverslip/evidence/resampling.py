"""Bootstrap resampling over groups: resampling weights in blocks of bounded size, and influence values.

A resample draws whole groups, so that images of one leaf or patient stay together. If each group has images of one
class only, groups are drawn within each class, and no class can be missing from a resample. Otherwise a class can be
missing: its own scores are undefined in that resample, which is excluded from their intervals, and macro averages are
over the remaining classes, as they are for the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BLOCK_CELLS = 2_000_000  # elements of one (rows, resamples) array: 16 MB, about the size of a processor's cache


def group_ids(groups: NDArray[np.integer[Any]] | None, number: int) -> IntArray:
    """Return group ids 0..G-1, each of which occurs, shape (N,).

    Args:
        groups: integer group ids of any value, shape (N,); None if each image is its own group.
        number: number of images N.

    >>> group_ids(np.array([7, 3, 7]), 3).tolist(), group_ids(None, 2).tolist()
    ([1, 0, 1], [0, 1])
    """
    return np.arange(number) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]


def strata_of_groups(images: FloatArray) -> IntArray | None:
    """Return the class of each group as its stratum, or None if groups must be drawn from a single stratum.

    Args:
        images: number of images per group and class, shape (G, K).

    Returns:
        Class ids, shape (G,). None if some group has images of two classes, or if some class has a single group: alone
        in its stratum it would be part of every resample, and its score would appear certain.

    >>> strata_of_groups(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 2.0]]))
    array([0, 1, 0, 1])
    >>> strata_of_groups(np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 2.0]])) is None
    True
    """
    present = images > 0
    groups_per_class = present.sum(axis=0)
    if (present.sum(axis=1) != 1).any() or (groups_per_class == 1).any():
        return None
    return np.asarray(present.argmax(axis=1))


def weight_blocks(strata: IntArray, resamples: int, seed: int, rows: int) -> Iterator[FloatArray]:
    """Yield the weights of the groups in the resamples, one block of resamples at a time.

    From a stratum of n groups, n - 1 are drawn with replacement, each with weight n / (n - 1). Drawing n of n would
    underestimate the variance of a mean by the factor (n - 1) / n, which matters for classes with few groups.

    Args:
        strata: stratum of each group, shape (G,), each with at least two groups.
        resamples: total number of resamples.
        seed: random seed; the same seed gives the same weights.
        rows: number of rows of the largest (rows, resamples) array that the caller computes; bounds the memory.

    Yields:
        Weights, shape (G, B). The B of all blocks sum to ``resamples``; the weights of each stratum sum to its number
        of groups.

    Reference: Rao & Wu, Journal of the American Statistical Association 83(401), 1988.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    if any(len(stratum) < 2 for stratum in members):
        raise ValueError("a stratum of one group cannot be resampled")
    block = max(1, min(resamples, BLOCK_CELLS // max(rows, len(strata))))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        weights = np.empty((len(strata), size))
        for stratum in members:
            number = len(stratum)
            drawn = generator.integers(0, number, (number - 1, size), dtype=np.int64)
            counts = np.bincount((drawn * size + np.arange(size)).ravel(), minlength=number * size)
            weights[stratum] = counts.reshape(number, size) * (number / (number - 1))
        yield weights


def influence(
    sums: FloatArray, strata: IntArray, scores: Callable[[FloatArray], FloatArray], *, lowest: float = 0.0
) -> FloatArray:
    """Return the jackknife influence of each group on each score, within strata.

    Each group in turn is left out, and the other groups of its stratum are reweighted to the same total.

    Args:
        sums: sums per group, shape (G, C).
        strata: stratum of each group, shape (G,), each with at least two groups.
        scores: function from sums, shape (..., C), to scores, shape (..., S).
        lowest: smallest possible sum; minus infinity if sums can be negative, as those of values can.

    Returns:
        Shape (G, S), mean 0 within each stratum; NaN if a score is undefined without one of the groups.
    """
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    totals = np.zeros((len(sizes), sums.shape[1]))
    np.add.at(totals, stratum, sums)
    number = sizes[stratum][:, None].astype(np.float64)
    without = totals.sum(axis=0) + (totals[stratum] - number * sums) / (number - 1)
    left_out = scores(np.maximum(without, lowest))  # rounding can turn a sum of 0 into -1e-17
    return np.asarray(-centered(left_out, strata) * (number - 1) / number)


def centered(values: FloatArray, strata: IntArray) -> FloatArray:
    """Return ``values``, shape (G, S), minus their mean within each stratum."""
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    totals = np.zeros((len(sizes), values.shape[1]))
    np.add.at(totals, stratum, values)
    return np.asarray(values - (totals / sizes[:, None])[stratum])

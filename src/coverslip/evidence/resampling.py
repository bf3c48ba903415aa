"""Resampling over groups: weights in blocks of bounded size, and the influence of each group.

A resample draws whole groups, so that images of one leaf or patient stay together. Where every group has images
of one class only, it draws within each class, and no class can vanish. Elsewhere a class may vanish from a resample:
its own scores are then missing there (the resample is left out of their intervals), and a macro average is over the
classes that are left, as it is for the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BLOCK_CELLS = 2_000_000  # of one (rows, resamples) array: 16 MB, near the size of a processor's cache


def strata_of_groups(images: FloatArray) -> IntArray | None:
    """The class of each group, within which groups are drawn; None where groups must be drawn from all.

    Args:
        images: (G, K) images of each group and class.

    Returns:
        (G,) class numbers. None where some group has images of two classes, or where some class has one group
        only: alone in its stratum it would be drawn every time and look certain.

    >>> strata_of_groups(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 2.0]]))
    array([0, 1, 0, 1])
    >>> strata_of_groups(np.array([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 2.0]])) is None
    True
    """
    has = images > 0
    groups_of_class = has.sum(axis=0)
    if (has.sum(axis=1) != 1).any() or (groups_of_class == 1).any():
        return None
    return np.asarray(has.argmax(axis=1))


def weight_blocks(strata: IntArray, resamples: int, seed: int, rows: int) -> Iterator[FloatArray]:
    """Weights of the groups in each resample, a block of resamples at a time.

    From a stratum of n groups n - 1 are drawn with replacement, each counting n / (n - 1): drawing n of n would give
    the variance of a mean too small by that factor, which matters where a class has few groups.

    Args:
        strata: (G,) stratum of each group, each of at least two groups.
        resamples: how many in all.
        seed: the same seed gives the same weights.
        rows: of the largest (rows, resamples) array that the caller makes from a block; bounds the memory.

    Yields:
        (G, B) weights; the blocks' B add up to ``resamples``, and each stratum's weights to its number of groups.

    Reference: Rao & Wu, Journal of the American Statistical Association 83(401), 1988.
    """
    chance = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    if any(len(group) < 2 for group in members):
        raise ValueError("a stratum of one group cannot be resampled")
    block = max(1, min(resamples, BLOCK_CELLS // max(rows, len(strata))))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        weights = np.empty((len(strata), size))
        for group in members:
            number = len(group)
            drawn = chance.integers(0, number, (number - 1, size), dtype=np.int64)
            cells = np.bincount((drawn * size + np.arange(size)).ravel(), minlength=number * size)
            weights[group] = cells.reshape(number, size) * (number / (number - 1))
        yield weights


def influence(sums: FloatArray, strata: IntArray, scores: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """How scores move with the weight of each group: the jackknife, within strata.

    Each group in turn is left out and the others of its stratum stand in for it.

    Args:
        sums: (G, C) sums of each group.
        strata: (G,) stratum of each group, each of at least two groups.
        scores: (..., C) sums -> (..., S) scores.

    Returns:
        (G, S), mean 0 within each stratum; NaN where a score vanishes with one group.
    """
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    totals = np.zeros((len(sizes), sums.shape[1]))
    np.add.at(totals, stratum, sums)
    number = sizes[stratum][:, None].astype(np.float64)
    without = totals.sum(axis=0) + (totals[stratum] - number * sums) / (number - 1)
    left_out = scores(np.maximum(without, 0.0))  # a sum that is 0 may come out as -1e-17
    return np.asarray(-centered(left_out, strata) * (number - 1) / number)


def centered(values: FloatArray, strata: IntArray) -> FloatArray:
    """(G, S) values less their mean within each stratum."""
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    totals = np.zeros((len(sizes), values.shape[1]))
    np.add.at(totals, stratum, values)
    return np.asarray(values - (totals / sizes[:, None])[stratum])

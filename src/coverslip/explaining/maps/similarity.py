"""How alike two heat maps of one image are: structural similarity of what is drawn, and correlation of ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage, stats
from torch.nn.functional import adaptive_avg_pool2d

from coverslip.explaining.maps.heatmap import FLAT, resize_maps

Maps = npt.NDArray[np.floating[Any]]
FloatArray = npt.NDArray[np.float64]
WINDOW = 1.5  # standard deviation of the window, in cells of the map
FAINT_MEAN, FAINT_SPREAD = 0.01**2, 0.03**2  # differences under which two values of 0 to 1 count as equal


def as_drawn(maps: Maps) -> FloatArray:
    """(N, h, w), 0 or more -> the same from 0 to 1, each map by its own largest value; a flat one is 0 everywhere.

    >>> as_drawn(np.array([[[2.0, 4.0]], [[5.0, 5.0]]])).tolist()
    [[[0.5, 1.0]], [[0.0, 0.0]]]
    """
    values = np.asarray(maps, np.float64)
    known = ~flat(maps)[:, None, None]
    return np.asarray(np.divide(values, values.max(axis=(1, 2), keepdims=True), out=np.zeros_like(values), where=known))


def flat(maps: Maps) -> npt.NDArray[np.bool_]:
    """(N, h, w), 0 or more -> (N,) whether a map has one value everywhere but for rounding, and so says nothing."""
    return np.asarray(np.ptp(maps, axis=(1, 2)) <= FLAT * np.max(maps, axis=(1, 2)))


def stretched(maps: Maps, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(N, h, w) on the grid of a layer -> float32 (N, H, W) over the image, as it is drawn."""
    return resize_maps(np.asarray(maps, np.float32), size)


def structural_similarity(first: Maps, second: Maps) -> FloatArray:
    """Structural similarity of maps that hold values from 0 to 1, such as `as_drawn` gives.

    Each place is seen through a Gaussian window of 1.5 cells, mirrored at the edge so that a map of a few cells has a
    similarity too; level, spread and pattern are compared there, and the mean over all places is given.

    Args:
        first: (N, h, w).
        second: (N, h, w), of the same grid.

    Returns:
        (N,), 1 for equal maps, about 0 for unrelated ones, below 0 where one is the reverse of the other.

    Raises:
        ValueError: the grids differ.

    Reference: Wang, Bovik, Sheikh & Simoncelli, IEEE Transactions on Image Processing 13(4), 2004.

    >>> ramp = np.linspace(0, 1, 64).reshape(1, 8, 8)
    >>> structural_similarity(ramp, ramp).tolist(), bool(structural_similarity(ramp, 1 - ramp)[0] < 0)
    ([1.0], True)
    """
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(f"maps must be (N, h, w) of one grid, not {first.shape} and {second.shape}")
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    level_one, level_two = _seen(one), _seen(two)
    spread_one, spread_two = _seen(one**2) - level_one**2, _seen(two**2) - level_two**2
    common = _seen(one * two) - level_one * level_two
    level = (2 * level_one * level_two + FAINT_MEAN) / (level_one**2 + level_two**2 + FAINT_MEAN)
    pattern = (2 * common + FAINT_SPREAD) / (spread_one + spread_two + FAINT_SPREAD)
    return np.asarray((level * pattern).mean(axis=(1, 2)))


def _seen(values: FloatArray) -> FloatArray:
    return np.asarray(ndimage.gaussian_filter(values, (0, WINDOW, WINDOW), truncate=3.5, mode="reflect"))


def rank_correlation(first: Maps, second: Maps) -> FloatArray:
    """Spearman's correlation of two maps of each image, on the coarser of the two grids.

    Args:
        first: (N, h, w).
        second: (N, h', w'); the finer grid is averaged down.

    Returns:
        (N,), -1 to 1; NaN where a map is flat.

    >>> fine = np.kron(np.arange(4.0).reshape(1, 2, 2), np.ones((2, 2)))
    >>> rank_correlation(np.arange(4.0).reshape(1, 2, 2) ** 3, fine).tolist()
    [1.0]
    """
    grid = (min(first.shape[1], second.shape[1]), min(first.shape[2], second.shape[2]))
    ranks = [stats.rankdata(_averaged(maps, grid).reshape(len(maps), -1), axis=1) for maps in (first, second)]
    one, two = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    size = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    result = np.full(len(size), np.nan)
    np.divide((one * two).sum(axis=1), size, out=result, where=size > 0)
    return result


def _averaged(maps: Maps, grid: tuple[int, int]) -> FloatArray:
    """(N, h, w) -> (N, *grid), means over the cells' areas."""
    return np.asarray(adaptive_avg_pool2d(torch.from_numpy(np.array(maps, np.float64)), grid).numpy())


def agreement(maps: Mapping[str, Maps]) -> FloatArray:
    """How far M methods agree on N images: rank correlations (M, M, N), in the order of the mapping.

    Methods that agree may all be wrong; methods that do not cannot all be right.
    """
    methods = list(maps.values())
    return np.array([[rank_correlation(one, two) for two in methods] for one in methods])

"""Similarity of two heat maps of one image: structural similarity and rank correlation."""

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
WINDOW = 1.5  # standard deviation of the Gaussian window, in cells of the map
C1, C2 = 0.01**2, 0.03**2  # stabilizing constants of the original paper, for values from 0 to 1


def as_drawn(maps: Maps) -> FloatArray:
    """Scale maps (N, h, w), >= 0, to 0..1 by the maximum of each map; a flat map becomes 0 everywhere.

    >>> as_drawn(np.array([[[2.0, 4.0]], [[5.0, 5.0]]])).tolist()
    [[[0.5, 1.0]], [[0.0, 0.0]]]
    """
    values = np.asarray(maps, np.float64)
    known = ~flat(maps)[:, None, None]
    return np.asarray(np.divide(values, values.max(axis=(1, 2), keepdims=True), out=np.zeros_like(values), where=known))


def flat(maps: Maps) -> npt.NDArray[np.bool_]:
    """Return whether each map (N, h, w), >= 0, is constant up to rounding, and so has no information; bool (N,)."""
    return np.asarray(np.ptp(maps, axis=(1, 2)) <= FLAT * np.max(maps, axis=(1, 2)))


def upsampled(maps: Maps, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Resize maps (N, h, w) from the grid of a layer to the image, float32 (N, H, W), as they are drawn."""
    return resize_maps(np.asarray(maps, np.float32), size)


def structural_similarity(first: Maps, second: Maps) -> FloatArray:
    """Return the structural similarity (SSIM) of maps with values from 0 to 1, such as those of `as_drawn`.

    Local mean, variance and covariance are computed with a Gaussian window of 1.5 cells, mirrored at the edge so that
    it is defined for maps of a few cells too.

    Args:
        first: maps, (N, h, w).
        second: maps with the same grid, (N, h, w).

    Returns:
        Mean SSIM per image, shape (N,): 1 for equal maps, about 0 for unrelated maps, negative for inverted maps.

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
    mean_one, mean_two = _local_mean(one), _local_mean(two)
    variance_one, variance_two = _local_mean(one**2) - mean_one**2, _local_mean(two**2) - mean_two**2
    covariance = _local_mean(one * two) - mean_one * mean_two
    luminance = (2 * mean_one * mean_two + C1) / (mean_one**2 + mean_two**2 + C1)
    structure = (2 * covariance + C2) / (variance_one + variance_two + C2)
    return np.asarray((luminance * structure).mean(axis=(1, 2)))


def _local_mean(values: FloatArray) -> FloatArray:
    return np.asarray(ndimage.gaussian_filter(values, (0, WINDOW, WINDOW), truncate=3.5, mode="reflect"))


def rank_correlation(first: Maps, second: Maps) -> FloatArray:
    """Return Spearman's correlation of two maps of each image, on the coarser of the two grids.

    Args:
        first: maps, (N, h, w).
        second: maps, (N, h', w'); the finer of the two grids is averaged down.

    Returns:
        Correlations, shape (N,), -1 to 1; NaN if a map is flat.

    >>> fine = np.kron(np.arange(4.0).reshape(1, 2, 2), np.ones((2, 2)))
    >>> rank_correlation(np.arange(4.0).reshape(1, 2, 2) ** 3, fine).tolist()
    [1.0]
    """
    grid = (min(first.shape[1], second.shape[1]), min(first.shape[2], second.shape[2]))
    ranks = [stats.rankdata(_averaged(maps, grid).reshape(len(maps), -1), axis=1) for maps in (first, second)]
    one, two = (values - values.mean(axis=1, keepdims=True) for values in ranks)
    norm = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    result = np.full(len(norm), np.nan)
    np.divide((one * two).sum(axis=1), norm, out=result, where=norm > 0)
    return result


def _averaged(maps: Maps, grid: tuple[int, int]) -> FloatArray:
    """Average maps (N, h, w) over the cells of a coarser grid, (N, *grid)."""
    return np.asarray(adaptive_avg_pool2d(torch.from_numpy(np.array(maps, np.float64)), grid).numpy())


def agreement(maps: Mapping[str, Maps]) -> FloatArray:
    """Return the rank correlations between M methods on N images, shape (M, M, N), in the order of the mapping.

    Methods that agree may all be wrong; methods that disagree cannot all be right.
    """
    methods = list(maps.values())
    return np.array([[rank_correlation(one, two) for two in methods] for one in methods])

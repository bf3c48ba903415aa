"""Where the heat lies: in a lesion, on the leaf, on the border; beside what the share of area would give by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from coverslip.data.inputs import content_box
from coverslip.explaining.maps.similarity import FloatArray, Maps, flat, stretched

Masks = npt.NDArray[np.bool_]
TOLERANCE = 0.03  # of the shorter side; those who invented the game took 15 of about 500 pixels
FRAME = 1 / 16  # thickness of the border, as a share of the shorter side: a thinner one is lost between a map's cells


def fit_masks(masks: npt.NDArray[Any], size: tuple[int, int], fit: str) -> npt.NDArray[Any]:
    """Bring masks to the network's frame as `coverslip.data.inputs.fit_batch` brings the images.

    Args:
        masks: (N, h, w) numbers of areas, or booleans; 0 is background, which also fills what ``pad`` adds.
        size: (H, W) of the network's input.
        fit: ``pad``, ``squash`` or ``crop``.

    Returns:
        (N, H, W), the same dtype, each pixel that of the nearest place.

    >>> fit_masks(np.array([[[1, 2]]]), (4, 4), "pad")[0].tolist()
    [[0, 0, 0, 0], [1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 0, 0]]
    """
    height, width = masks.shape[1:]
    if fit == "crop":
        scale = max(size[0] / height, size[1] / width)
        cut = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
        top, left = (height - cut[0]) // 2, (width - cut[1]) // 2
        masks, (height, width) = masks[:, top : top + cut[0], left : left + cut[1]], cut
    top, left, inner_height, inner_width = content_box(width, height, size, fit)
    rows = ((np.arange(inner_height) + 0.5) * height / inner_height).astype(int)
    columns = ((np.arange(inner_width) + 0.5) * width / inner_width).astype(int)
    result = np.zeros((len(masks), *size), masks.dtype)
    result[:, top : top + inner_height, left : left + inner_width] = masks[:, rows[:, None], columns]
    return result


def frame(size: tuple[int, int]) -> Masks:
    """(H, W), true on a frame along the border, where no subject is expected."""
    inside = np.zeros(size, bool)
    thick = max(1, round(FRAME * min(size)))
    inside[thick : size[0] - thick, thick : size[1] - thick] = True
    return ~inside


def point(maps: Maps, masks: Masks, *, tolerance: float = TOLERANCE) -> tuple[FloatArray, FloatArray]:
    """The pointing game: does the hottest place of the map lie in the mask, or close to it?

    Args:
        maps: (N, h, w), stretched to the masks.
        masks: bool (N, H, W).
        tolerance: how far from the mask the hottest place may lie, as a share of the shorter side.

    Returns:
        hits (N,), 1 or 0, and chance (N,): the share of the image in which the hottest place would have been a hit.
        A flat map has no hottest place and misses; an empty mask gives NaN for both.

    Reference: Zhang et al., Top-down neural attention by excitation backprop, IJCV 126, 2018.
    """
    _need_alike(maps, masks)
    reach = tolerance * min(masks.shape[1:])
    wide = np.stack([ndimage.distance_transform_edt(~mask) <= reach for mask in masks]) if len(masks) else masks
    hottest = stretched(maps, (masks.shape[1], masks.shape[2])).reshape(len(maps), -1).argmax(axis=1)
    hits = wide.reshape(len(masks), -1)[np.arange(len(masks)), hottest] & ~flat(maps)
    empty = ~masks.any(axis=(1, 2))
    chance = np.where(empty, np.nan, wide.mean(axis=(1, 2)))
    return np.where(empty, np.nan, hits.astype(np.float64)), chance


def heat_inside(maps: Maps, masks: Masks) -> tuple[FloatArray, FloatArray]:
    """The share of a map's heat that lies in the mask.

    Args:
        maps: (N, h, w), 0 or more, stretched to the masks.
        masks: bool (N, H, W).

    Returns:
        shares (N,), 0 to 1, and areas (N,): the share of the image that the mask covers, which evenly spread heat
        would have. NaN for both where the mask is empty or the map has no heat at all.

    >>> heat_inside(np.array([[[3.0, 1.0]]]), np.array([[[True, False]]]))
    (array([0.75]), array([0.5]))
    """
    _need_alike(maps, masks)
    heat = stretched(maps, (masks.shape[1], masks.shape[2])).astype(np.float64)
    total = heat.sum(axis=(1, 2))
    known = (total > 0) & masks.any(axis=(1, 2))
    share = np.full(len(maps), np.nan)
    np.divide((heat * masks).sum(axis=(1, 2)), total, out=share, where=known)
    return share, np.where(known, masks.mean(axis=(1, 2)), np.nan)


def _need_alike(maps: Maps, masks: Masks) -> None:
    if maps.ndim != 3 or masks.ndim != 3 or len(maps) != len(masks) or masks.dtype != bool:
        raise ValueError(f"maps (N, h, w) and bool masks (N, H, W), not {maps.shape} and {masks.dtype} {masks.shape}")

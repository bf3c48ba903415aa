"""Location of the heat: in a lesion, on the leaf or on the border, compared with the area as the chance level."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from coverslip.data.inputs import content_box
from coverslip.explaining.maps.similarity import FloatArray, Maps, flat, upsampled

Masks = npt.NDArray[np.bool_]
TOLERANCE = 0.03  # of the shorter side; the original pointing game allows 15 of about 500 pixels
FRAME = 1 / 16  # thickness of the border, as a fraction of the shorter side; a thinner one is finer than a map's cells


def fit_masks(masks: npt.NDArray[Any], size: tuple[int, int], fit: str) -> npt.NDArray[Any]:
    """Resize masks to the input of the network in the same way as `coverslip.data.inputs.fit_batch` resizes images.

    Args:
        masks: area numbers or booleans, (N, h, w); 0 is background, and also fills the padding.
        size: (H, W) of the input of the network.
        fit: ``pad``, ``squash`` or ``crop``.

    Returns:
        Masks (N, H, W) with the same dtype, by nearest-neighbor interpolation.

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


def border_frame(size: tuple[int, int]) -> Masks:
    """Return a mask (H, W) of the frame along the border, where no subject is expected."""
    inside = np.zeros(size, bool)
    thickness = max(1, round(FRAME * min(size)))
    inside[thickness : size[0] - thickness, thickness : size[1] - thickness] = True
    return ~inside


def pointing_game(maps: Maps, masks: Masks, *, tolerance: float = TOLERANCE) -> tuple[FloatArray, FloatArray]:
    """Play the pointing game: is the hottest pixel of each map in the mask, or close to it?

    Args:
        maps: heat maps, (N, h, w); resized to the masks.
        masks: bool (N, H, W).
        tolerance: largest distance of a hit from the mask, as a fraction of the shorter side.

    Returns:
        hits: 1 or 0, shape (N,); a flat map has no hottest pixel and misses; NaN for an empty mask.
        chance: fraction of the image in which the hottest pixel would be a hit, shape (N,); NaN for an empty mask.

    Reference: Zhang et al., Top-down neural attention by excitation backprop, IJCV 126, 2018.
    """
    _check_shapes(maps, masks)
    distance = tolerance * min(masks.shape[1:])
    dilated = np.stack([ndimage.distance_transform_edt(~mask) <= distance for mask in masks]) if len(masks) else masks
    hottest = upsampled(maps, (masks.shape[1], masks.shape[2])).reshape(len(maps), -1).argmax(axis=1)
    hits = dilated.reshape(len(masks), -1)[np.arange(len(masks)), hottest] & ~flat(maps)
    empty = ~masks.any(axis=(1, 2))
    chance = np.where(empty, np.nan, dilated.mean(axis=(1, 2)))
    return np.where(empty, np.nan, hits.astype(np.float64)), chance


def heat_in_mask(maps: Maps, masks: Masks) -> tuple[FloatArray, FloatArray]:
    """Return the fraction of each map's heat that is in the mask.

    Args:
        maps: heat maps, (N, h, w), >= 0; resized to the masks.
        masks: bool (N, H, W).

    Returns:
        shares: fraction of the heat, shape (N,), 0 to 1; NaN for an empty mask or a map without heat.
        areas: fraction of the image that the mask covers, shape (N,), which is the share of evenly distributed heat;
            NaN as above.

    >>> heat_in_mask(np.array([[[3.0, 1.0]]]), np.array([[[True, False]]]))
    (array([0.75]), array([0.5]))
    """
    _check_shapes(maps, masks)
    heat = upsampled(maps, (masks.shape[1], masks.shape[2])).astype(np.float64)
    total = heat.sum(axis=(1, 2))
    known = (total > 0) & masks.any(axis=(1, 2))
    share = np.full(len(maps), np.nan)
    np.divide((heat * masks).sum(axis=(1, 2)), total, out=share, where=known)
    return share, np.where(known, masks.mean(axis=(1, 2)), np.nan)


def _check_shapes(maps: Maps, masks: Masks) -> None:
    if maps.ndim != 3 or masks.ndim != 3 or len(maps) != len(masks) or masks.dtype != bool:
        raise ValueError(
            f"maps must be (N, h, w) and masks bool (N, H, W), not {maps.shape} and {masks.dtype} {masks.shape}"
        )

"""Heat over an image: what is hot stays visible in print and to every eye, and the image is seen through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.figures.contact import as_rgb

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
SIDE = 256  # pixels of the longer side: smaller images are enlarged, so that the map over them is smooth
COVER = 0.82  # how much of the image the greatest heat hides
HALF = 0.5  # of the scale, where the line is drawn


def overlay(image: npt.NDArray[Any], heat: Floats, *, scale: float | None = None, line: bool = True) -> Pixels:
    """One image in grey with a map over it, from dark violet to yellow; a white line goes round half of the scale.

    Args:
        image: (H, W, C), uint8 or 0 to 1.
        heat: (h, w), 0 or more, on any grid; it is stretched over the image.
        scale: the heat that is drawn as the greatest; None for the map's own largest. A map without heat, or one of
            the same heat everywhere, is drawn as the image in grey alone.
        line: whether to draw the line, which needs no color to be seen.

    Returns:
        uint8 (H', W', 3), the longer side 256 pixels or the image's own where that is more.
    """
    shown = enlarged(as_rgb(image))
    values = spread(relative(heat, scale), (shown.shape[0], shown.shape[1]))
    grey = shown @ np.array([0.299, 0.587, 0.114], np.float32)
    base = np.repeat((55 + 0.76 * grey)[:, :, None], 3, axis=2)
    cover = (COVER * values**0.7)[:, :, None]
    mixed = base * (1 - cover) + heat_colors(values) * cover
    if line:
        mixed[outline(values >= HALF)] = 255
    return np.asarray(np.clip(mixed, 0, 255) + 0.5, np.uint8)


def heat_colors(values: Floats) -> npt.NDArray[np.float32]:
    """(..., ) 0 to 1 -> float32 (..., 3), 0 to 255: the colors of the heat alone, each brighter than the last."""
    from matplotlib import colormaps

    return np.asarray(colormaps["inferno"](0.15 + 0.83 * values)[..., :3] * 255, np.float32)


def relative(heat: Floats, scale: float | None = None) -> npt.NDArray[np.float32]:
    """Heat as a share of the scale, 0 to 1; zeros where there is none, or the same everywhere.

    >>> relative(np.array([[1.0, 2.0]])).tolist(), relative(np.array([[2.0, 2.0]])).tolist()
    ([[0.5, 1.0]], [[0.0, 0.0]])
    """
    values = np.asarray(heat, np.float32)
    most = float(values.max(initial=0.0))
    top = most if scale is None else scale
    if top <= 0 or float(np.ptp(values)) <= 1e-6 * most:
        return np.zeros_like(values)
    return np.asarray(np.clip(values / np.float32(top), 0, 1), np.float32)


def scale_of(heats: Sequence[Floats], image: npt.NDArray[Any]) -> float:
    """The heat that is drawn as the greatest in maps that share a scale.

    Of maps as fine as the image itself it is the 99.5th percentile: a few single pixels are far above all others
    there, and nothing else would be seen.
    """
    fine = [np.percentile(heat, 99.5) for heat in heats if heat.shape == image.shape[:2]]
    found = max((float(each) for each in fine), default=0.0) if len(fine) == len(heats) else 0.0
    return found or max(float(np.max(heat, initial=0)) for heat in heats)


def spread(heat: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(h, w) -> (H, W), linear between the middles of the places."""
    way = Image.Resampling.BILINEAR
    return np.clip(np.asarray(Image.fromarray(heat).resize((size[1], size[0]), way), np.float32), 0, 1)


def enlarged(image: Pixels, side: int = SIDE) -> Pixels:
    """An image of at least ``side`` pixels along its longer side; a larger one stays as it is."""
    factor = side / max(image.shape[:2])
    if factor <= 1:
        return image
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC))


def outline(area: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels of an area that touch what is outside of it; the image's own edge counts as inside."""
    padded = np.pad(area, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(area & ~inside)


def with_outlines(image: npt.NDArray[Any], masks: dict[str, npt.NDArray[np.bool_]]) -> Pixels:
    """An image in its own colors with a line round each area, black and white so that it shows on any ground."""
    shown = enlarged(as_rgb(image)).copy()
    for mask in masks.values():
        large = np.asarray(Image.fromarray(mask).resize((shown.shape[1], shown.shape[0]), Image.Resampling.NEAREST))
        edge = outline(large)
        wide = np.pad(edge, 1)
        near = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
        shown[near & large] = 0
        shown[edge] = 255
    return shown

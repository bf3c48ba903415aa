"""Heat maps over images, readable in grey print and with color vision deficiency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from coverslip.figures.contact import as_rgb

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
SIDE = 256  # pixels of the longer side; smaller images are enlarged, so that the map over them is smooth
COVER = 0.82  # opacity of the maximum
HALF = 0.5  # value, relative to the scale, at which the outline is drawn


def overlay(image: npt.NDArray[Any], heat: Floats, *, scale: float | None = None, line: bool = True) -> Pixels:
    """Draw a map over an image in grey, from dark violet to yellow, with a white outline at half of the scale.

    Args:
        image: shape (H, W, C), uint8 or float in 0..1.
        heat: values >= 0 on any grid, shape (h, w); resized to the image.
        scale: value drawn as the maximum; None: maximum of the map. An empty or constant map is drawn as the image in
            grey.
        line: whether to draw the outline.

    Returns:
        uint8, shape (H', W', 3); the longer side is at least 256 pixels.
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
    """Return the colors of values in 0..1, float32 in 0..255, shape (..., 3); brightness increases with the value."""
    from matplotlib import colormaps

    return np.asarray(colormaps["inferno"](0.15 + 0.83 * values)[..., :3] * 255, np.float32)


def relative(heat: Floats, scale: float | None = None) -> npt.NDArray[np.float32]:
    """Divide heat by the scale and clip to 0..1; an empty or constant map becomes zeros.

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
    """Return the value drawn as the maximum of maps that share a scale.

    For maps at pixel resolution it is the 99.5th percentile, since a few single pixels are far above all others and
    nothing else would be visible.
    """
    fine = [np.percentile(heat, 99.5) for heat in heats if heat.shape == image.shape[:2]]
    scale = max((float(value) for value in fine), default=0.0) if len(fine) == len(heats) else 0.0
    return scale or max(float(np.max(heat, initial=0)) for heat in heats)


def spread(heat: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Resize a map of shape (h, w) to (H, W) by bilinear interpolation."""
    method = Image.Resampling.BILINEAR
    return np.clip(np.asarray(Image.fromarray(heat).resize((size[1], size[0]), method), np.float32), 0, 1)


def enlarged(image: Pixels, side: int = SIDE) -> Pixels:
    """Enlarge an image to ``side`` pixels along its longer side; a larger one is returned unchanged."""
    factor = side / max(image.shape[:2])
    if factor <= 1:
        return image
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC))


def outline(area: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels of an area that touch its outside; the border of the image counts as inside."""
    padded = np.pad(area, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(area & ~inside)


def with_outlines(image: npt.NDArray[Any], masks: dict[str, npt.NDArray[np.bool_]]) -> Pixels:
    """Outline areas in a color image, in black and white, so that the outline is visible on any background."""
    shown = enlarged(as_rgb(image)).copy()
    for mask in masks.values():
        large = np.asarray(Image.fromarray(mask).resize((shown.shape[1], shown.shape[0]), Image.Resampling.NEAREST))
        edge = outline(large)
        wide = np.pad(edge, 1)
        near = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
        shown[near & large] = 0
        shown[edge] = 255
    return shown

"""What an image looks like in a few numbers, and a thumbnail: taken from the resized pixels in the decoding pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.data.image import Pixels
from coverslip.data.inputs import resize

Floats = npt.NDArray[np.float32]

THUMBNAIL = 32  # side, pixels
BANDS = 16  # rows of an image that contrast and sharpness are measured on; more rows hardly change either
SMALL_RANGE = 0.25  # a 16-bit image that uses less of the range than this gets a stretched thumbnail


@dataclass(frozen=True, slots=True)
class Looks:
    """Of n images.

    Attributes:
        brightness: float32 (n,), mean grey value, 0 to 1. Grey is the mean of all channels.
        contrast: float32 (n,), standard deviation of the grey values, 0 to 0.5.
        sharpness: float32 (n,), mean absolute Laplacian divided by the contrast: about 0.1 for a blurred photograph,
            above 3 for noise; 0 for an image of one color.
        means: float32 (n, C), mean of each channel, 0 to 1.
        thumbnails: uint8 (n, 32, 32), grey.
    """

    brightness: Floats
    contrast: Floats
    sharpness: Floats
    means: Floats
    thumbnails: npt.NDArray[np.uint8]


def look_at(pixels: Pixels) -> Looks:
    """Measure images of one size.

    All values are shares of the depth's full range, so that a dark image is dark, whatever its depth. Only the
    thumbnails of 16-bit images that use a small part of that range (a camera of 12 bits) are stretched from their own
    darkest to their own brightest value, since 8 bits would leave them a few levels.

    Args:
        pixels: uint8 or uint16, (n, h, w, C): content, without padding.
    """
    top = float(np.iinfo(pixels.dtype).max)
    small = resize(pixels, (THUMBNAIL, THUMBNAIL))
    grey = _grey(small) * np.float32(1 / (top * pixels.shape[3]))
    # Sums as a product with ones: NumPy's own mean over the middle axes takes longer than the resize.
    cells = small.reshape(len(small), -1, small.shape[3]).astype(np.float32)
    means = (np.ones(cells.shape[1], np.float32) @ cells) / np.float32(top * cells.shape[1])
    contrast, sharpness = _texture(pixels, top)
    if pixels.dtype != np.uint8:
        grey = _stretched(grey)
    return Looks(
        brightness=means.mean(axis=1),
        contrast=contrast,
        sharpness=sharpness,
        means=means,
        thumbnails=np.rint(grey * 255).astype(np.uint8),
    )


def _texture(pixels: Pixels, top: float) -> tuple[Floats, Floats]:
    """Contrast and sharpness, from bands of three neighboring rows spread over the image."""
    height, width, channels = pixels.shape[1:]
    middles = np.unique(np.linspace(min(1, height - 1), max(height - 2, 0), min(BANDS, height)).round().astype(int))
    above, here, below = (_grey(pixels[:, np.clip(middles + step, 0, height - 1)]) for step in (-1, 0, 1))
    scale = channels * top
    mean = here.mean(axis=(1, 2), keepdims=True)
    contrast = np.sqrt(np.square(here - mean).mean(axis=(1, 2))) / scale
    if width < 3:
        return contrast.astype(np.float32), np.zeros(len(pixels), np.float32)
    laplacian = 4 * here[:, :, 1:-1] - here[:, :, :-2] - here[:, :, 2:] - above[:, :, 1:-1] - below[:, :, 1:-1]
    edges = np.abs(laplacian).mean(axis=(1, 2)) / scale
    flat = contrast < 0.5 / top  # less than half a level: nothing there that could be sharp
    sharpness = np.where(flat, 0, edges / np.where(flat, 1, contrast))
    return contrast.astype(np.float32), sharpness.astype(np.float32)


def _grey(rows: Pixels) -> Floats:
    """(n, k, w, C) -> float32 (n, k, w): the sum of the channels, which is cheaper than their mean."""
    values = rows.astype(np.float32)
    total = values[..., 0]
    for channel in range(1, rows.shape[3]):
        total = total + values[..., channel]
    return total


def _stretched(grey: Floats) -> Floats:
    low, high = grey.min(axis=(1, 2), keepdims=True), grey.max(axis=(1, 2), keepdims=True)
    narrow = (high - low < SMALL_RANGE) & (high > low)
    return np.where(narrow, (grey - low) / np.where(narrow, high - low, 1), grey).astype(np.float32)


def looks_of(pixels: Pixels, boxes: Sequence[tuple[int, int, int, int] | None]) -> list[dict[str, object]]:
    """The columns ``brightness``, ``contrast``, ``sharpness``, ``means`` and ``thumbnail`` of some resized images.

    Args:
        pixels: (n, H, W, C), resized.
        boxes: of each image where its content lies: (top, left, height, width); None for one that was not read.

    Returns:
        A dict an image; empty where it was not read.
    """
    result: list[dict[str, object]] = [{} for _ in boxes]
    for box in set(boxes) - {None}:
        assert box is not None
        rows = [row for row, own in enumerate(boxes) if own == box]
        top, left, height, width = box
        some = pixels if len(rows) == len(pixels) else pixels[rows]
        looks = look_at(some[:, top : top + height, left : left + width])
        for at, row in enumerate(rows):
            result[row] = {
                "brightness": float(looks.brightness[at]),
                "contrast": float(looks.contrast[at]),
                "sharpness": float(looks.sharpness[at]),
                "means": looks.means[at].tolist(),
                "thumbnail": looks.thumbnails[at].tobytes(),
            }
    return result

"""Image statistics (brightness, contrast, sharpness, channel means) and thumbnails, computed while decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.data.image import Pixels
from coverslip.data.inputs import resize, white_value

Floats = npt.NDArray[np.float32]

THUMBNAIL = 32  # side of a thumbnail, pixels
BANDS = 16  # image rows from which contrast and sharpness are computed; more rows hardly change either
SMALL_RANGE = 0.25  # the thumbnail of a 16-bit image that uses a smaller fraction of the range is stretched


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """Statistics of n images.

    Attributes:
        brightness: mean grey value, float32 (n,), 0..1. Grey is the mean of all channels.
        contrast: standard deviation of the grey values, float32 (n,), 0..0.5.
        sharpness: mean absolute Laplacian divided by the contrast, float32 (n,): about 0.1 for a blurred photograph,
            above 3 for noise, 0 for an image of one color.
        means: mean of each channel, float32 (n, C), 0..1.
        thumbnails: grey thumbnails, uint8 (n, 32, 32).
    """

    brightness: Floats
    contrast: Floats
    sharpness: Floats
    means: Floats
    thumbnails: npt.NDArray[np.uint8]


def image_statistics(pixels: Pixels) -> ImageStatistics:
    """Return the statistics of images of equal size.

    All values are relative to the full range of the depth; float32 has no such range, and its values are raw and its
    thumbnails stretched. Otherwise, only thumbnails of 16-bit images that use a small fraction
    of that range (12-bit cameras) are stretched from their minimum to their maximum, since with 8 bits only a few grey
    levels would be left of them.

    Args:
        pixels: uint8, uint16 or float32, shape (n, h, w, C), without padding.
    """
    top = white_value(pixels.dtype.name)
    small = resize(pixels, (THUMBNAIL, THUMBNAIL))
    grey = _grey(small) * np.float32(1 / (top * pixels.shape[3]))
    # The sum is a product with ones: NumPy's mean over the middle axes takes longer than the resize.
    cells = small.reshape(len(small), -1, small.shape[3]).astype(np.float32)
    means = (np.ones(cells.shape[1], np.float32) @ cells) / np.float32(top * cells.shape[1])
    contrast, sharpness = _texture(pixels, top)
    if pixels.dtype != np.uint8:
        grey = _stretched(grey, always=pixels.dtype == np.float32)
    return ImageStatistics(
        brightness=means.mean(axis=1),
        contrast=contrast,
        sharpness=sharpness,
        means=means,
        thumbnails=np.rint(grey * 255).astype(np.uint8),
    )


def _texture(pixels: Pixels, top: float) -> tuple[Floats, Floats]:
    """Return contrast and sharpness from bands of three adjacent rows spread over the image."""
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
    # less than half a grey level: there is no structure; floating-point values have no levels
    flat = contrast < (0.5 / top if pixels.dtype != np.float32 else 1e-12)
    sharpness = np.where(flat, 0, edges / np.where(flat, 1, contrast))
    return contrast.astype(np.float32), sharpness.astype(np.float32)


def _grey(rows: Pixels) -> Floats:
    """Return the sum of the channels, float32 (n, k, w), of images (n, k, w, C); it is cheaper than the mean."""
    values = rows.astype(np.float32)
    total = values[..., 0]
    for channel in range(1, rows.shape[3]):
        total = total + values[..., channel]
    return total


def _stretched(grey: Floats, *, always: bool) -> Floats:
    low, high = grey.min(axis=(1, 2), keepdims=True), grey.max(axis=(1, 2), keepdims=True)
    narrow = ((high - low < SMALL_RANGE) | always) & (high > low)
    stretched = np.where(narrow, (grey - low) / np.where(narrow, high - low, 1), grey)
    return np.clip(stretched, 0, 1).astype(np.float32) if always else stretched.astype(np.float32)


def statistics_rows(pixels: Pixels, boxes: Sequence[tuple[int, int, int, int] | None]) -> list[dict[str, object]]:
    """Return the statistics of resized images as rows of a table.

    Args:
        pixels: resized images, shape (n, H, W, C).
        boxes: box of the content of each image, (top, left, height, width); None for an image that was not read.

    Returns:
        A dict per image with ``brightness``, ``contrast``, ``sharpness``, ``means`` and ``thumbnail``; empty for an
        image that was not read.
    """
    result: list[dict[str, object]] = [{} for _ in boxes]
    for box in set(boxes) - {None}:
        assert box is not None
        rows = [row for row, candidate in enumerate(boxes) if candidate == box]
        top, left, height, width = box
        same_box = pixels if len(rows) == len(pixels) else pixels[rows]
        statistics = image_statistics(same_box[:, top : top + height, left : left + width])
        for index, row in enumerate(rows):
            result[row] = {
                "brightness": float(statistics.brightness[index]),
                "contrast": float(statistics.contrast[index]),
                "sharpness": float(statistics.sharpness[index]),
                "means": statistics.means[index].tolist(),
                "thumbnail": statistics.thumbnails[index].tobytes(),
            }
    return result

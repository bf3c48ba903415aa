"""The eight rotations and reflections of a square image, which change no pixel's value."""

from __future__ import annotations

import numpy as np

from coverslip.data.image import Pixels

VIEWS = 8


def view(pixels: Pixels, number: int) -> Pixels:
    """Return one view of a batch of square images, with the same shape and depth.

    Args:
        pixels: square images, shape (N, H, W, C).
        number: 0 is the image, 1 its mirror image; 2 to 7 are these two rotated by 90, 180 and 270 degrees.

    >>> view(np.arange(4).reshape(1, 2, 2, 1), 1)[0, :, :, 0].tolist()
    [[1, 0], [3, 2]]
    """
    if not 0 <= number < VIEWS:
        raise ValueError(f"view {number} is not in 0..{VIEWS - 1}")
    quarter_turns, mirrored = divmod(number, 2)
    if mirrored:
        pixels = pixels[:, :, ::-1]
    rotated = np.rot90(pixels, quarter_turns, axes=(1, 2)) if quarter_turns else pixels
    return np.ascontiguousarray(rotated)

"""Views of an image for training: the eight ways to turn and mirror a square, which change no pixel's value."""

from __future__ import annotations

import numpy as np

from coverslip.data.image import Pixels

VIEWS = 8


def view(pixels: Pixels, number: int) -> Pixels:
    """View ``number`` of a batch of square images: (N, H, W, C) -> the same shape and depth.

    0 is the image itself, 1 its mirror image, 2 to 7 the two turned by 90, 180 and 270 degrees.

    >>> view(np.arange(4).reshape(1, 2, 2, 1), 1)[0, :, :, 0].tolist()
    [[1, 0], [3, 2]]
    """
    if not 0 <= number < VIEWS:
        raise ValueError(f"view {number} is not in 0..{VIEWS - 1}")
    turns, mirrored = divmod(number, 2)
    if mirrored:
        pixels = pixels[:, :, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, turns, axes=(1, 2))) if turns else np.ascontiguousarray(pixels)

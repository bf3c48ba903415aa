"""Arrays of images: position of the channel axis, and range of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

LAYOUTS = ("NHWC", "NCHW")
FEW = 4  # images often have at most this many channels, but rarely so few rows or columns


def find_layout(shape: Sequence[int], layout: str | None = None) -> str:
    """Return whether channels are the last or the second axis: the one that is smaller than height and width.

    Args:
        shape: shape of an array of images, four numbers.
        layout: the layout given by the user, which has priority; None: infer it from the shape.

    Returns:
        ``"NHWC"`` or ``"NCHW"``.

    Raises:
        UserError: the shape is ambiguous or does not have four numbers, or ``layout`` is unknown.

    >>> find_layout((420, 64, 64, 3)), find_layout((420, 3, 224, 224))
    ('NHWC', 'NCHW')
    """
    if layout is not None and layout not in LAYOUTS:
        raise UserError(f"unknown layout {layout!r}", nearest(layout, LAYOUTS))
    if len(shape) != 4:
        raise UserError(
            f"images of shape {tuple(shape)} are not four-dimensional",
            "use (N, height, width, channels), (N, channels, height, width), or (N, height, width) for grey images",
        )
    if layout is not None:
        return layout
    _, first, middle, last = shape
    ambiguous = first == last or max(first, last) <= FEW or min(first, last) >= middle
    if ambiguous:
        raise UserError(
            f"the channel axis of shape {tuple(shape)} is ambiguous",
            "give layout='NHWC' (channels last) or layout='NCHW' (channels second)",
        )
    return "NHWC" if last < first else "NCHW"


def need_scale(least: float, most: float, name: str = "x") -> None:
    """Check that float images are in the range 0 to 1.

    Args:
        least: minimum of the array.
        most: maximum of the array.
        name: name of the array in the error.

    Raises:
        UserError: a value is below 0, above 1, NaN or infinite; or none is above 1/255, as after two divisions by 255.

    >>> need_scale(0.0, 255.0)
    Traceback (most recent call last):
    coverslip.core.errors.UserError: x has floats from 0 to 255; float images must be in the range 0 to 1
      fix: divide by 255, or use uint8 images
    """
    if not np.isfinite([least, most]).all():
        raise UserError(f"{name} has NaN or infinite values", "find them with numpy.isfinite(x).all(axis=(1, 2, 3))")
    if least >= 0 and 0 < most <= (1 + 1e-3) / 255:
        raise UserError(
            f"{name} has floats from {least:g} to {most:.2g}, so the images are black: divided by 255 twice?",
            "divide by 255 once; float images must be in the range 0 to 1",
        )
    if least >= 0 and most <= 1 + 1e-6:
        return
    fix = f"divide by {most:g}"
    if least < 0:
        fix = "use the images before normalization, and make normalization the first layer of the network"
    elif most <= 255:
        fix = "divide by 255, or use uint8 images"
    elif most <= 65535:
        fix = "divide by the largest possible value, such as 4095 or 65535"
    raise UserError(f"{name} has floats from {least:g} to {most:g}; float images must be in the range 0 to 1", fix)


def shown_pixels(x: Any, layout: str | None = None) -> npt.NDArray[Any]:
    """Convert images to the layout of matplotlib.

    Args:
        x: NumPy array or torch tensor, shape (N, H, W, C), (N, C, H, W) or (N, H, W), uint8 or float in 0..1.
        layout: see `find_layout`.

    Returns:
        uint8 or float, shape (N, H, W, 3): one channel as grey, two as red and green, else the first three.

    Raises:
        UserError: the shape, type or range is another one.
    """
    pixels = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
    if pixels.ndim == 3:
        pixels, layout = pixels[..., None], "NHWC"
    if find_layout(pixels.shape, layout) == "NCHW":
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.dtype != np.uint8:
        if not np.issubdtype(pixels.dtype, np.floating):
            raise UserError(f"x has type {pixels.dtype}", "use uint8 images, or float images from 0 to 1")
        need_scale(float(pixels.min(initial=0)), float(pixels.max(initial=0)))
    if pixels.shape[-1] == 1:
        return pixels.repeat(3, axis=-1)
    if pixels.shape[-1] == 2:
        return np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=-1)
    return pixels[..., :3]

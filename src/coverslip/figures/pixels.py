"""Arrays of images as people have them: which axis holds the channels, and on what scale the values are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.core.registry import nearest

LAYOUTS = ("NHWC", "NCHW")
FEW = 4  # so many channels or fewer are usual; so many rows or columns are not


def find_layout(shape: Sequence[int], layout: str | None = None) -> str:
    """Whether channels come last or second: they are the axis that is smaller than height and width.

    Args:
        shape: of an array of images, four numbers.
        layout: what the user says of it, which is believed; None to go by the shape.

    Returns:
        ``"NHWC"`` or ``"NCHW"``.

    Raises:
        UserError: the shape does not tell, has not four numbers, or ``layout`` is neither of the two.

    >>> find_layout((420, 64, 64, 3)), find_layout((420, 3, 224, 224))
    ('NHWC', 'NCHW')
    """
    if layout is not None and layout not in LAYOUTS:
        raise UserError(f"layout={layout!r} is not known", nearest(layout, LAYOUTS))
    if len(shape) != 4:
        raise UserError(
            f"images of shape {tuple(shape)} are not four-dimensional",
            "give (N, height, width, channels) or (N, channels, height, width); (N, height, width) for grey ones",
        )
    if layout is not None:
        return layout
    _, first, middle, last = shape
    unclear = first == last or max(first, last) <= FEW or min(first, last) >= middle
    if unclear:
        raise UserError(
            f"the shape {tuple(shape)} does not tell which axis holds the channels",
            "say it: layout='NHWC' (channels last) or layout='NCHW' (channels second)",
        )
    return "NHWC" if last < first else "NCHW"


def need_scale(least: float, most: float, name: str = "x") -> None:
    """Refuse floats that are no images on the scale 0 to 1.

    Raises:
        UserError: a value below 0 or above 1, NaN or infinite, with what to do about it.

    >>> need_scale(0.0, 255.0)
    Traceback (most recent call last):
    coverslip.core.errors.UserError: x holds floats from 0 to 255; images as floats are on the scale 0 to 1
      fix: divide by 255, or give the images as uint8
    """
    if not np.isfinite([least, most]).all():
        raise UserError(f"{name} holds NaN or infinite values", "look for them: numpy.isfinite(x).all(axis=(1, 2, 3))")
    if least >= 0 and most <= 1 + 1e-6:
        return
    fix = f"divide by {most:g}"
    if least < 0:
        fix = "give the images as they were before they were normalized, and make that the network's first layer"
    elif most <= 255:
        fix = "divide by 255, or give the images as uint8"
    elif most <= 65535:
        fix = "divide by the largest value that they can have, such as 4095 or 65535"
    raise UserError(f"{name} holds floats from {least:g} to {most:g}; images as floats are on the scale 0 to 1", fix)


def shown_pixels(x: Any, layout: str | None = None) -> npt.NDArray[Any]:
    """Images as matplotlib draws them.

    Args:
        x: NumPy array or torch tensor, (N, H, W, C), (N, C, H, W) or (N, H, W); uint8, or float 0 to 1.
        layout: see `find_layout`.

    Returns:
        uint8 or float, (N, H, W, 3); one channel is shown as grey, two as red and green, of more the first three.

    Raises:
        UserError: another shape, type or scale.
    """
    pixels = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
    if pixels.ndim == 3:
        pixels, layout = pixels[..., None], "NHWC"
    if find_layout(pixels.shape, layout) == "NCHW":
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.dtype != np.uint8:
        if not np.issubdtype(pixels.dtype, np.floating):
            raise UserError(f"x is {pixels.dtype}", "give images as uint8, or as floats from 0 to 1")
        need_scale(float(pixels.min(initial=0)), float(pixels.max(initial=0)))
    if pixels.shape[-1] == 1:
        return pixels.repeat(3, axis=-1)
    if pixels.shape[-1] == 2:
        return np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=-1)
    return pixels[..., :3]

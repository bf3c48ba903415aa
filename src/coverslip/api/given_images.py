"""Images given to `predict`: paths in any form, or arrays and images of Pillow."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from coverslip.core.errors import UserError
from coverslip.data.image import Pixels
from coverslip.figures.pixels import need_scale

FIX = "give paths, arrays of shape (height, width, channels), or images of Pillow"
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


class ImagesInMemory:
    """A source of decoded images, with paths ``image 1``, ``image 2``, ...

    Args:
        images: images of Pillow, or arrays of shape (H, W, C), (C, H, W) or (H, W), uint8, uint16, or floats from 0 to
            1.
    """

    def __init__(self, images: Sequence[Any]) -> None:
        self.root = Path.cwd()
        self.paths = [f"image {number}" for number in range(1, len(images) + 1)]
        self._images = dict(zip(self.paths, images, strict=True))

    def prepare(self, channels: int) -> None:
        """Convert the arrays to pixels; call it before `read`.

        Args:
            channels: number of channels of the model's images.

        Raises:
            UserError: an array has another shape, type or range of values.
        """
        for path, image in self._images.items():
            if not isinstance(image, Image.Image):
                self._images[path] = _pixels(_array(image), path, channels)

    def read(self, path: str) -> bytes | Pixels:
        """See `Source.read`."""
        image = self._images[path]
        return _png(image) if isinstance(image, Image.Image) else image

    def stamp(self, path: str) -> tuple[int, int]:
        """See `Source.stamp`; images in memory have no file."""
        return (-1, 0)


def given_images(paths: Any) -> list[str | Path] | ImagesInMemory:
    """Return the images that a user gave, as a list of paths or as a source of images in memory.

    Args:
        paths: one path, array or image of Pillow, or any number of them: a list, a generator, an array (N, H, W, C).
            Arrays are uint8, uint16 or floats from 0 to 1, channels last or, if that is unambiguous, first.

    Raises:
        UserError: ``paths`` is something else, empty, or a mixture of paths and images.
    """
    items = _items(paths)
    if not items:
        raise UserError("no image was given", FIX)
    are_paths = [isinstance(item, str | os.PathLike) for item in items]
    if all(are_paths):
        return items
    if any(are_paths):
        raise UserError("paths and images in memory were given together", "predict them in two calls")
    for number, item in enumerate(items, 1):
        if not hasattr(item, "__array__") and not isinstance(item, Image.Image):
            raise UserError(f"image {number} is of type {type(item).__name__}", FIX)
    return ImagesInMemory(items)


def _items(paths: Any) -> list[Any]:
    """Return single paths and images as a list of one, and everything that can be iterated as a list."""
    if isinstance(paths, str | os.PathLike | Image.Image):
        return [paths]
    if hasattr(paths, "columns"):
        raise UserError(
            f"a {type(paths).__name__} was given, not paths", "give its column of paths, such as table['path']"
        )
    if isinstance(paths, bytes | bytearray | Mapping) or not isinstance(paths, Iterable):
        raise UserError(f"a value of type {type(paths).__name__} was given, not paths or images", FIX)
    if not hasattr(paths, "__array__") or not hasattr(paths, "ndim"):  # a column of a table has no dimensions
        return list(paths)
    array = _array(paths)
    if array.dtype.kind in "OUS":
        return [item.decode() if isinstance(item, bytes) else item for item in array.reshape(-1).tolist()]
    return list(array) if array.ndim == 4 else [array]


def _array(image: Any) -> Any:
    """Return an array or tensor as a NumPy array."""
    return np.asarray(image.detach().cpu() if hasattr(image, "detach") else image)


def _pixels(array: Any, name: str, channels: int) -> Any:
    """Return one image as pixels (H, W, C), or as an image of Pillow if it has transparency.

    Raises:
        UserError: another shape, type or range of values.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    known = {1, 2, 3, 4, channels}
    if array.ndim == 3 and array.shape[2] not in known and array.shape[0] in known:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] not in known or 0 in array.shape:
        raise UserError(f"{name} has shape {array.shape}", "give arrays of shape (height, width, channels)")
    if array.dtype.kind == "f":
        need_scale(float(array.min()), float(array.max()), name)
        array = (array.astype(np.float32) * 255).round().astype(np.uint8)
    if array.dtype not in (np.uint8, np.uint16):
        raise UserError(f"{name} has dtype {array.dtype}", "give uint8, uint16, or floats from 0 to 1")
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.dtype == np.uint8 and array.shape[2] in (2, 4) and array.shape[2] != channels:
        return Image.fromarray(array, "LA" if array.shape[2] == 2 else "RGBA")
    return array


def _png(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG file, upright, to be decoded like a file."""
    upright = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    (upright if upright.mode in PNG_MODES else upright.convert("RGB")).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()

"""Chance that does not depend on order, and smooth random fields that do not depend on resolution."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def rgb(red: float, green: float, blue: float) -> Field:
    """A color 0..1 as float32 (3,)."""
    return np.array((red, green, blue), np.float32)


def stream(seed: int, *keys: str | int) -> np.random.Generator:
    """The random numbers of one purpose, named by ``keys``; other purposes never shift them.

    >>> bool(stream(0, "leaf", 3).random() == stream(0, "leaf", 3).random())
    True
    """
    words = tuple(zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys)
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=words))


def fraction(image: Image.Image) -> Field:
    """Levels 0..255 of an image of one or more channels -> float32 0..1."""
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def resize(field: Field, rows: int, columns: int) -> Field:
    """(h, w) -> (rows, columns) by a cubic filter, which antialiases when it shrinks."""
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC))


def smooth(rng: np.random.Generator, cells: int | tuple[int, int], side: int) -> Field:
    """(side, side) of blobs about ``side / cells`` wide: mean 0, standard deviation near 0.7.

    The grid of numbers is drawn first, so that every ``side`` shows the same field. A pair (rows, columns) of cells
    gives stretched blobs.
    """
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    return resize(rng.standard_normal((rows + 1, columns + 1), dtype=np.float32), side, side)


def fractal(rng: np.random.Generator, cells: int, side: int, octaves: int = 3, fall: float = 0.55) -> Field:
    """(side, side): smooth noise on ever finer grids; mean 0, standard deviation near 0.7."""
    total = np.zeros((side, side), np.float32)
    power = 0.0
    for octave in range(octaves):
        weight = fall**octave
        total += np.float32(weight) * smooth(rng, cells * 2**octave, side)
        power += weight**2
    return total / np.float32(np.sqrt(power))


def ramp(values: Field, low: float, high: float) -> Field:
    """0 up to ``low``, 1 from ``high``, a smooth step between; ``low > high`` falls instead of rising.

    >>> ramp(np.float32([0, 1, 2]), 0, 2).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    result: Field = t * t * (3 - 2 * t)
    return result


def grid(side: int) -> tuple[Field, Field]:
    """x (1, side) and y (side, 1) of the pixel centers, as fractions 0..1 of the square; y points down."""
    axis = ((np.arange(side) + 0.5) / side).astype(np.float32)
    return axis[None, :], axis[:, None]

"""Random numbers that do not depend on the order of calls, and smooth random fields independent of resolution."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


def rgb(red: float, green: float, blue: float) -> Field:
    """Return a color 0..1 as float32 (3,)."""
    return np.array((red, green, blue), np.float32)


def stream(seed: int, *keys: str | int) -> np.random.Generator:
    """Return the random generator of one purpose, identified by ``keys``; other purposes do not affect it.

    >>> bool(stream(0, "leaf", 3).random() == stream(0, "leaf", 3).random())
    True
    """
    words = tuple(zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys)
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=words))


def fraction(image: Image.Image) -> Field:
    """Convert the levels 0..255 of an image to float32 0..1."""
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def resize(field: Field, rows: int, columns: int) -> Field:
    """Resize (h, w) to (rows, columns) with a bicubic filter and antialiasing."""
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC))


def smooth(rng: np.random.Generator, cells: int | tuple[int, int], side: int) -> Field:
    """Return smooth noise, (side, side), with blobs of ``side / cells`` pixels; mean 0, standard deviation about 0.7.

    The grid of random numbers does not depend on ``side``, so that every size shows the same field. A pair (rows,
    columns) of cells gives elongated blobs.
    """
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    return resize(rng.standard_normal((rows + 1, columns + 1), dtype=np.float32), side, side)


def fractal(rng: np.random.Generator, cells: int, side: int, octaves: int = 3, fall: float = 0.55) -> Field:
    """Return the sum of smooth noise on increasingly fine grids, (side, side): mean 0, standard deviation about 0.7."""
    total = np.zeros((side, side), np.float32)
    power = 0.0
    for octave in range(octaves):
        weight = fall**octave
        total += np.float32(weight) * smooth(rng, cells * 2**octave, side)
        power += weight**2
    return total / np.float32(np.sqrt(power))


def ramp(values: Field, low: float, high: float) -> Field:
    """Return a smooth step: 0 up to ``low``, 1 from ``high``; with ``low > high`` it decreases instead.

    >>> ramp(np.float32([0, 1, 2]), 0, 2).tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    result: Field = t * t * (3 - 2 * t)
    return result


def grid(side: int) -> tuple[Field, Field]:
    """Return x (1, side) and y (side, 1) of the pixel centers, as fractions 0..1 of the square; y points down."""
    axis = ((np.arange(side) + 0.5) / side).astype(np.float32)
    return axis[None, :], axis[:, None]

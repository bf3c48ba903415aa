"""Is one image a copy of the other? Lay them over each other, then compare what is left of every detail.

Two leaves of one species on one bench have the same coarse forms and colors, and a network takes them for relatives;
but only copies agree in fine detail once they lie on each other. So a pair is turned, shifted and zoomed into place,
and judged by the correlation of its details.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

WAVES = 8  # of a thumbnail's cosine transform, a side: enough to tell which way up it is
# How far zoom and shift, across and down, are searched: 7 % of the side may be cropped at every edge.
NEAREST = np.array([0.86, -0.16, 0.86, -0.16], np.float32)
FARTHEST = np.array([1.16, 0.16, 1.16, 0.16], np.float32)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well pairs of images agree when they lie on each other.

    Attributes:
        detail: (n,), correlation of what a blur takes away, -1 to 1.
        place: (n, 4), zoom and shift of the second image across, then down, as shares of half a side.
    """

    detail: Floats
    place: Floats


def turned(images: npt.NDArray[np.generic], way: int) -> npt.NDArray[np.generic]:
    """One of the eight ways to mirror and turn square images (n, S, S, ...): 0 leaves them as they are."""
    images = images.swapaxes(1, 2) if way & 4 else images
    images = images[:, ::-1] if way & 2 else images
    return images[:, :, ::-1] if way & 1 else images


def coarse_forms(thumbnails: npt.NDArray[np.uint8]) -> Floats:
    """(n, 32, 32) -> (n, 8, 8): low frequencies of a cosine transform, evened out, of length 1."""
    side = thumbnails.shape[1]
    u = np.arange(WAVES)[:, None]
    basis = np.cos(np.pi * u * (2 * np.arange(side) + 1) / (2 * side)).astype(np.float32)
    waves = basis @ thumbnails.astype(np.float32) @ basis.T
    both = u + u.T
    waves *= np.where((both > 0) & (both <= WAVES), np.sqrt(u**2 + u.T**2), 0).astype(np.float32)
    return np.asarray(waves / np.maximum(np.linalg.norm(waves, axis=(1, 2), keepdims=True), 1e-6), np.float32)


def best_ways(first: Floats, second: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Which way (see `turned`) brings each second image closest to the first, and how close, from coarse forms."""
    alternating = np.where(np.arange(WAVES) % 2, -1, 1).astype(np.float32)
    product = np.stack([first * second, first * second.swapaxes(1, 2)])  # as it is, transposed
    # A mirrored image has the same waves, and every other one upside down.
    signs = np.stack([np.ones_like(alternating), alternating])
    close = np.einsum("tnyx,ry,cx->ntrc", product, signs, signs, optimize=True).reshape(len(first), 8)
    return close.argmax(axis=1).astype(np.int8), close.max(axis=1)


def agreement(
    first: Floats, second: Floats, *, start: Floats | None = None, blur: float = 0.0, steps: int = 5
) -> Agreement:
    """Zoom and shift the second images onto the first ones, and compare them there.

    The best zoom and shift are found by Gauss and Newton's method, together with a gain and an offset of the grey
    values (Lucas and Kanade, IJCAI 1981).

    Args:
        first: float32 (n, S, S), grey.
        second: likewise, already turned the right way.
        start: (n, 4), where the search starts; without it, with the images as they are.
        blur: standard deviation in pixels of a blur for the search: coarse forms are found from farther away.
        steps: of the search; it gains about a digit a step.
    """
    count, side = len(first), first.shape[1]
    place = _where_they_are(count) if start is None else start
    ours, theirs = (_blurred(first, blur), _blurred(second, blur)) if blur else (first, second)
    down, across = (np.asarray(each, np.float32) for each in np.gradient(theirs, axis=(1, 2)))
    at = _centers(side)[None]
    for _ in range(steps):
        moved, seen = laid_over(theirs, place)
        slope_x, slope_y = (laid_over(each, place)[0] for each in (across, down))
        columns = np.stack(
            [slope_x * at[:, None, :], slope_x, slope_y * at[:, :, None], slope_y, moved, np.ones_like(moved)], axis=1
        )
        columns = (columns * seen[:, None]).reshape(count, 6, side * side)
        square = columns @ columns.swapaxes(1, 2)
        weight = np.trace(square, axis1=1, axis2=2)[:, None, None]  # keeps the equations solvable for plain images
        wanted = columns @ (ours * seen).reshape(count, side * side, 1)
        solved = np.linalg.solve(square + np.eye(6, dtype=np.float32) * (1e-6 * weight + 1e-9), wanted)[..., 0]
        gain = np.maximum(solved[:, 4:5], 0.1)
        place = place + np.clip(solved[:, :4] / gain * np.float32(2 / side), -0.06, 0.06)
        place = np.asarray(np.clip(place, NEAREST, FARTHEST), np.float32)
    moved, seen = laid_over(second, place)
    wide = side / 32 + 1  # pixels: what is coarser than a thirtieth of the side is no detail
    details = [_blurred(each, 0.7) - _blurred(each, wide) for each in (first, moved)]
    return Agreement(_correlation(details[0], details[1], seen), place)


def laid_over(images: Floats, place: Floats) -> tuple[Floats, Floats]:
    """Images (n, S, S) zoomed and shifted by ``place`` (n, 4); and (n, S, S) 1 where there is something, else 0."""
    side = images.shape[1]
    at = _centers(side)[None]
    across, across_seen = _sampling(place[:, 0:1] * at + place[:, 1:2], side)
    down, down_seen = _sampling(place[:, 2:3] * at + place[:, 3:4], side)
    return _product(down, images, across.swapaxes(1, 2)), down_seen[:, :, None] * across_seen[:, None, :]


def _where_they_are(count: int) -> Floats:
    return np.tile(np.array([1, 0, 1, 0], np.float32), (count, 1))


def _centers(side: int) -> Floats:
    """Where the pixels of a line are, -1 to 1."""
    return ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)


def _blurred(images: Floats, width: float) -> Floats:
    matrix = _gauss(images.shape[1], width)
    return _product(matrix, images, matrix.T)


def _product(left: Floats, middle: Floats, right: Floats) -> Floats:
    """Products of many small matrices; NumPy takes twenty times as long where one does not lie in one piece."""
    one, other, last = (np.ascontiguousarray(each) for each in (left, middle, right))
    return np.asarray(one @ other @ last, np.float32)


@cache
def _gauss(side: int, width: float) -> Floats:
    """(side, side): a Gaussian blur of a line, as a matrix."""
    apart = np.arange(side)[:, None] - np.arange(side)[None]
    weights = np.exp(-0.5 * (apart / width) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _sampling(places: Floats, side: int) -> tuple[Floats, Floats]:
    """Matrices (n, S, S) that read a line of S pixels at other places (n, S), -1 to 1; and where those exist (n, S)."""
    pixels = (places + 1) * np.float32(side / 2) - np.float32(0.5)
    seen = ((pixels > -0.51) & (pixels < side - 0.49)).astype(np.float32)
    pixels = np.clip(pixels, 0, side - 1)
    weights = 1 - np.abs(pixels[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(weights, 0, out=weights), seen


def _correlation(first: Floats, second: Floats, seen: Floats) -> Floats:
    total = seen.sum(axis=(1, 2), keepdims=True) + 1e-6
    one, other = ((each - (each * seen).sum(axis=(1, 2), keepdims=True) / total) * seen for each in (first, second))
    power = np.square(one).sum(axis=(1, 2)) * np.square(other).sum(axis=(1, 2))
    return np.asarray((one * other).sum(axis=(1, 2)) / np.sqrt(power + 1e-9), np.float32)

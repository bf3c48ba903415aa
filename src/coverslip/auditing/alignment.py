"""Alignment of two images and comparison of their fine detail, which distinguishes copies from similar images.

Two leaves of one species on one bench have similar coarse shapes and colors, but only copies agree in fine detail once
they are aligned. Each pair is therefore reoriented, shifted and scaled, and the correlation of detail is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

FREQUENCIES = 8  # of the cosine transform of a thumbnail, per axis: enough to find its orientation
# Bounds of scale and shift, horizontal then vertical: up to 7 % of the side may be cropped at every edge.
LOWEST = np.array([0.86, -0.16, 0.86, -0.16], np.float32)
HIGHEST = np.array([1.16, 0.16, 1.16, 0.16], np.float32)


@dataclass(frozen=True, slots=True)
class Alignment:
    """Agreement of pairs of images after alignment.

    Attributes:
        detail: correlation of fine detail (the image minus a blurred copy), shape (n,), -1 to 1.
        transform: scale and shift of the second image, horizontal then vertical, as fractions of half a side, (n, 4).
    """

    detail: Floats
    transform: Floats


def reoriented(images: npt.NDArray[np.generic], orientation: int) -> npt.NDArray[np.generic]:
    """Return square images (n, S, S, ...) in one of eight orientations (rotations, reflections); 0 is unchanged."""
    images = images.swapaxes(1, 2) if orientation & 4 else images
    images = images[:, ::-1] if orientation & 2 else images
    return images[:, :, ::-1] if orientation & 1 else images


def coarse_spectra(thumbnails: npt.NDArray[np.uint8]) -> Floats:
    """Return low frequencies of the cosine transform, weighted by frequency, unit norm: (n, 32, 32) -> (n, 8, 8)."""
    side = thumbnails.shape[1]
    u = np.arange(FREQUENCIES)[:, None]
    basis = np.cos(np.pi * u * (2 * np.arange(side) + 1) / (2 * side)).astype(np.float32)
    waves = basis @ thumbnails.astype(np.float32) @ basis.T
    order = u + u.T
    waves *= np.where((order > 0) & (order <= FREQUENCIES), np.sqrt(u**2 + u.T**2), 0).astype(np.float32)
    return np.asarray(waves / np.maximum(np.linalg.norm(waves, axis=(1, 2), keepdims=True), 1e-6), np.float32)


def best_orientations(first: Floats, second: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Find the orientation of each second image that matches the first best.

    Args:
        first: coarse spectra of the first images, see `coarse_spectra`.
        second: coarse spectra of the second images.

    Returns:
        Orientations as `reoriented` takes them, int8 (n,), and the similarity in that orientation, -1 to 1.
    """
    alternating = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    product = np.stack([first * second, first * second.swapaxes(1, 2)])  # unchanged, transposed
    # Mirroring an image flips the sign of every odd frequency of its cosine transform.
    signs = np.stack([np.ones_like(alternating), alternating])
    similarity = np.einsum("tnyx,ry,cx->ntrc", product, signs, signs, optimize=True).reshape(len(first), 8)
    return similarity.argmax(axis=1).astype(np.int8), similarity.max(axis=1)


def align_pairs(
    first: Floats, second: Floats, *, start: Floats | None = None, blur: float = 0.0, steps: int = 5
) -> Alignment:
    """Scale and shift the second images onto the first ones, and correlate their fine detail.

    Scale and shift are estimated with Gauss-Newton steps, together with a gain and an offset of the grey values
    (Lucas and Kanade, IJCAI 1981).

    Args:
        first: grey images, float32 (n, S, S).
        second: grey images in the orientation of the first ones, float32 (n, S, S).
        start: initial transforms, (n, 4); None starts from the unchanged images.
        blur: standard deviation in pixels of a blur during estimation; it widens the range of convergence.
        steps: number of Gauss-Newton steps; each gains about one digit.
    """
    count, side = len(first), first.shape[1]
    transform = _identity(count) if start is None else start
    target, moving = (_blurred(first, blur), _blurred(second, blur)) if blur else (first, second)
    down, across = (np.asarray(slope, np.float32) for slope in np.gradient(moving, axis=(1, 2)))
    at = _centers(side)[None]
    for _ in range(steps):
        warped, valid = warp(moving, transform)
        slope_x, slope_y = (warp(slope, transform)[0] for slope in (across, down))
        columns = np.stack(
            [slope_x * at[:, None, :], slope_x, slope_y * at[:, :, None], slope_y, warped, np.ones_like(warped)], axis=1
        )
        columns = (columns * valid[:, None]).reshape(count, 6, side * side)
        square = columns @ columns.swapaxes(1, 2)
        weight = np.trace(square, axis1=1, axis2=2)[
            :, None, None
        ]  # scales the ridge that keeps the equations solvable for uniform images
        projected = columns @ (target * valid).reshape(count, side * side, 1)
        solved = np.linalg.solve(square + np.eye(6, dtype=np.float32) * (1e-6 * weight + 1e-9), projected)[..., 0]
        gain = np.maximum(solved[:, 4:5], 0.1)
        transform = transform + np.clip(solved[:, :4] / gain * np.float32(2 / side), -0.06, 0.06)
        transform = np.asarray(np.clip(transform, LOWEST, HIGHEST), np.float32)
    warped, valid = warp(second, transform)
    wide = side / 32 + 1  # pixels: structures coarser than about a thirtieth of the side are not detail
    details = [_blurred(images, 0.7) - _blurred(images, wide) for images in (first, warped)]
    return Alignment(_correlation(details[0], details[1], valid), transform)


def warp(images: Floats, transform: Floats) -> tuple[Floats, Floats]:
    """Scale and shift images (n, S, S) by transforms (n, 4).

    Returns:
        The warped images, and a mask of the same shape: 1 where a pixel lies inside the original image, else 0.
    """
    side = images.shape[1]
    at = _centers(side)[None]
    across, across_valid = _sampling(transform[:, 0:1] * at + transform[:, 1:2], side)
    down, down_valid = _sampling(transform[:, 2:3] * at + transform[:, 3:4], side)
    return _product(down, images, across.swapaxes(1, 2)), down_valid[:, :, None] * across_valid[:, None, :]


def _identity(count: int) -> Floats:
    return np.tile(np.array([1, 0, 1, 0], np.float32), (count, 1))


def _centers(side: int) -> Floats:
    """Return the coordinates of the pixels of a line, -1 to 1."""
    return ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)


def _blurred(images: Floats, width: float) -> Floats:
    matrix = _gaussian(images.shape[1], width)
    return _product(matrix, images, matrix.T)


def _product(left: Floats, middle: Floats, right: Floats) -> Floats:
    """Return products of many small matrices; NumPy takes twenty times as long if one is not contiguous."""
    left, middle, right = (np.ascontiguousarray(matrix) for matrix in (left, middle, right))
    return np.asarray(left @ middle @ right, np.float32)


@cache
def _gaussian(side: int, width: float) -> Floats:
    """Return a Gaussian blur of a line as a matrix (side, side)."""
    distance = np.arange(side)[:, None] - np.arange(side)[None]
    weights = np.exp(-0.5 * (distance / width) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _sampling(places: Floats, side: int) -> tuple[Floats, Floats]:
    """Return matrices (n, S, S) that sample lines of S pixels at ``places`` (n, S), -1 to 1, and a validity mask."""
    pixels = (places + 1) * np.float32(side / 2) - np.float32(0.5)
    valid = ((pixels > -0.51) & (pixels < side - 0.49)).astype(np.float32)
    pixels = np.clip(pixels, 0, side - 1)
    weights = 1 - np.abs(pixels[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(weights, 0, out=weights), valid


def _correlation(first: Floats, second: Floats, valid: Floats) -> Floats:
    """Return the correlation of pairs of images (n, S, S) over their valid pixels, (n,)."""
    total = valid.sum(axis=(1, 2), keepdims=True) + 1e-6
    one, other = (
        (values - (values * valid).sum(axis=(1, 2), keepdims=True) / total) * valid for values in (first, second)
    )
    power = np.square(one).sum(axis=(1, 2)) * np.square(other).sum(axis=(1, 2))
    return np.asarray((one * other).sum(axis=(1, 2)) / np.sqrt(power + 1e-9), np.float32)

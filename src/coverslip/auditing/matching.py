"""Confirmation of duplicate candidates: cheap comparisons first, the aligned images last."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.alignment import align_pairs, best_orientations, coarse_spectra, reoriented, warp
from coverslip.core.progress import SILENT, Progress
from coverslip.data.image import Pixels
from coverslip.data.inputs import content_box, resize, white_value

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MAX_COLOR_DIFFERENCE = 0.08  # between the means of a channel, 0 to 1; copies differ by less
MIN_COARSE = 0.5  # similarity of coarse spectra in the best orientation, before alignment
MIN_ROUGH = 0.8  # correlation of detail in aligned thumbnails of half the side
MIN_FINE = 0.85  # correlation of detail in aligned thumbnails
MIN_DETAIL = {96: 0.94, 64: 0.92, 32: 0.92}  # the same for images of this side, see `ImageMatcher._sides`
MAX_RMS = 0.025  # root mean square color difference over aligned patches of an eighth of the side, 0 to 1
MAX_ALIGNED = 20_000  # pairs to align, plus one per image; those closest to each image come first


class ImageMatcher:
    """Compares distinct images by their numbers.

    Args:
        facts: one row per image, columns of `coverslip.data.decoding.FACTS`.
        pixels: cached images, shape (N, H, W, C).
        fit: how the images were fitted into H x W.
        rows: rows of the n compared images in ``facts`` and ``pixels``, shape (n,).
        thumbnails: uint8, shape (n, 32, 32).
    """

    def __init__(
        self, facts: pl.DataFrame, pixels: Pixels, fit: str, rows: Integers, thumbnails: npt.NDArray[np.uint8]
    ) -> None:
        compared = facts[rows]
        self.pixels, self.fit, self.rows, self.thumbnails = pixels, fit, rows, thumbnails
        self.sizes = compared.select("width", "height").to_numpy()
        self.unit = white_value(pixels.dtype.name)
        if pixels.dtype == np.float32 and len(rows):  # the range that the images use
            self.unit = float(np.ptp(compared.select("lowest", "highest").to_numpy())) or 1.0
        self.means = np.array(compared["means"].to_list(), np.float32).reshape(len(rows), pixels.shape[3])
        if pixels.dtype == np.float32:
            self.means /= np.float32(self.unit)
        self.spectra = coarse_spectra(thumbnails)
        wide = thumbnails[:, ::2].astype(np.float32) + thumbnails[:, 1::2]
        self.halves = np.asarray((wide[:, :, ::2] + wide[:, :, 1::2]) / 4, np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def confirm_copies(self, pairs: Integers, progress: Progress = SILENT) -> tuple[Integers, Floats]:
        """Return those of the pairs, int64 (m, 2), that are copies, and their similarity, 0 to 1."""
        color_difference = np.abs(self.means[pairs[:, 0]] - self.means[pairs[:, 1]]).max(axis=1, initial=0)
        pairs = pairs[color_difference < MAX_COLOR_DIFFERENCE]
        orientations, coarse = self._orientations(pairs)
        kept = np.flatnonzero(coarse >= MIN_COARSE)
        kept = kept[_closest_first(pairs[kept], coarse[kept], len(self), MAX_ALIGNED + len(self))]
        pairs, orientations = pairs[kept], orientations[kept]
        transform = np.zeros((len(pairs), 4), np.float32)
        similar = np.zeros(len(pairs), bool)
        with progress.stage("comparing near-duplicates", len(pairs), "pairs") as stage:
            for batch in _batches(len(pairs), 256):
                similar[batch], transform[batch] = self._roughly_similar(pairs[batch], orientations[batch])
                stage.advance(batch.stop - batch.start)
        pairs, orientations, transform = pairs[similar], orientations[similar], transform[similar]
        copies, detail = np.zeros(len(pairs), bool), np.zeros(len(pairs), np.float32)
        for batch in _batches(len(pairs), 64):
            copies[batch], detail[batch] = self._confirm(pairs[batch], orientations[batch], transform[batch])
        return pairs[copies], np.clip(detail[copies], 0, 1)

    def _orientations(self, pairs: Integers) -> tuple[npt.NDArray[np.int8], Floats]:
        orientations, coarse = np.zeros(len(pairs), np.int8), np.zeros(len(pairs), np.float32)
        for batch in _batches(len(pairs), 1 << 14):
            orientations[batch], coarse[batch] = best_orientations(
                self.spectra[pairs[batch, 0]], self.spectra[pairs[batch, 1]]
            )
        return orientations, coarse

    def _roughly_similar(
        self, pairs: Integers, orientations: npt.NDArray[np.int8]
    ) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Return whether thumbnails of half the side might be copies, and the transforms that align the second."""
        second = _reorient(self.halves[pairs[:, 1]], orientations)
        aligned = align_pairs(self.halves[pairs[:, 0]], second, blur=0.7, steps=3)
        return aligned.detail >= MIN_ROUGH, aligned.transform

    def _confirm(
        self, pairs: Integers, orientations: npt.NDArray[np.int8], transform: Floats
    ) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Return whether each pair are copies, and the correlation of detail at the largest size compared."""
        first, second = (self.thumbnails[pairs[:, end]].astype(np.float32) for end in (0, 1))
        aligned = align_pairs(first, _reorient(second, orientations), start=transform, blur=0.7, steps=3)
        detail, transform = aligned.detail, aligned.transform
        copies = detail >= MIN_FINE
        chosen = np.flatnonzero(copies)
        copies[chosen] = self._color_rms(pairs[chosen], orientations[chosen], transform[chosen]) <= MAX_RMS
        sides = self._sides(pairs)
        for side, least in MIN_DETAIL.items():
            chosen = np.flatnonzero(copies & (sides == side))
            if side > 32 and len(chosen):
                one, other = self._contents(pairs[chosen], orientations[chosen], side)
                grey_one, grey_other = one.mean(axis=3), other.mean(axis=3)
                detail[chosen] = align_pairs(grey_one, grey_other, start=transform[chosen], steps=2).detail
            copies[chosen] = detail[chosen] >= least
        return copies, detail

    def _color_rms(self, pairs: Integers, orientations: npt.NDArray[np.int8], transform: Floats) -> Floats:
        """Return the root mean square color difference of aligned patches of an eighth of the side, 0 to 1."""
        one, other = self._contents(pairs, orientations, 32)
        total = np.zeros(len(pairs), np.float32)
        for channel in range(one.shape[3]):
            warped, valid = warp(other[..., channel], transform)
            difference = ((one[..., channel] - warped) * valid).reshape(-1, 8, 4, 8, 4).sum(axis=(2, 4))
            weight = valid.reshape(-1, 8, 4, 8, 4).sum(axis=(2, 4))
            total += np.square(difference / 16).sum(axis=(1, 2)) / np.square(weight / 16).sum(axis=(1, 2))
        return np.asarray(np.sqrt(total / one.shape[3]) / self.unit, np.float32)

    def _contents(self, pairs: Integers, orientations: npt.NDArray[np.int8], side: int) -> tuple[Floats, Floats]:
        """Return both images of each pair without padding, float32 (n, side, side, C); the second is reoriented."""
        numbers, places = np.unique(pairs, return_inverse=True)
        content = np.stack([self._content(number, side) for number in numbers]) if len(pairs) else self._empty(side)
        one, other = (content[places.reshape(-1, 2)[:, end]].astype(np.float32) for end in (0, 1))
        return one, _reorient(other, orientations)

    def _empty(self, side: int) -> Pixels:
        return np.zeros((0, side, side, self.pixels.shape[3]), self.pixels.dtype)

    def _sides(self, pairs: Integers) -> Integers:
        """Return the side at which to compare each pair: the smaller file has no detail finer than its pixels."""
        smaller = self.sizes[pairs].min(axis=(1, 2))
        return np.asarray(np.select([smaller >= 160, smaller >= 96], [96, 64], 32), np.int64)

    def _content(self, number: int, side: int) -> Pixels:
        """Return one image without its padding, (side, side, C)."""
        width, height = self.sizes[number].tolist()
        top, left, tall, wide = content_box(width, height, self.pixels.shape[1:3], self.fit)
        content = np.ascontiguousarray(self.pixels[self.rows[number], top : top + tall, left : left + wide])
        result: Pixels = resize(content[None], (side, side))[0]
        return result


def _batches(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _reorient(images: Any, orientations: npt.NDArray[np.int8]) -> Any:
    result = np.empty_like(images)
    for orientation in range(8):
        result[orientations == orientation] = reoriented(images[orientations == orientation], orientation)
    return result


def _closest_first(pairs: Integers, similarity: Floats, images: int, bound: int) -> npt.NDArray[np.bool_]:
    """Select at most ``bound`` pairs: of every image the closest, then of every image the second closest, and so on."""
    if len(pairs) <= bound:
        return np.ones(len(pairs), bool)
    one, at = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.tile(np.arange(len(pairs)), 2)
    order = np.lexsort((at, -similarity[at], one))
    place = np.empty(len(one), np.int64)
    place[order] = np.arange(len(one)) - np.searchsorted(one[order], np.arange(images))[one[order]]
    rank = np.minimum(place[: len(pairs)], place[len(pairs) :])
    result = np.zeros(len(pairs), bool)
    result[np.lexsort((-similarity, rank))[:bound]] = True
    return result

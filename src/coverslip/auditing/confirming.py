"""From candidates to copies: cheap looks first, the images themselves last."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.auditing.alignment import agreement, best_ways, coarse_forms, laid_over, turned
from coverslip.core.progress import SILENT, Progress
from coverslip.data.image import Pixels
from coverslip.data.inputs import content_box, resize

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

COLOR = 0.08  # of the mean of a channel, 0 to 1: more differs only between different images
COARSE = 0.5  # least agreement of coarse forms, the right way up but not yet in place
ROUGH = 0.8  # least correlation of details of thumbnails of half the side, in place
CLOSER = 0.85  # least correlation of details of thumbnails in place
COPY = {96: 0.94, 64: 0.92, 32: 0.92}  # the same, of images of that side: see `Album._sides`
DIFFERENCE = 0.025  # most of colors in place, root mean square over patches of an eighth of the side, 0 to 1
LOOKED_AT = 20_000  # pairs compared in place, and one more an image; those closest to each image first


class Album:
    """Different images that can be compared, by number.

    Args:
        facts: a row an image, columns of `coverslip.data.decoding.FACTS`.
        pixels: (N, H, W, C), the cached images.
        fit: how they were fitted into H x W.
        rows: of the images in facts and pixels, (n,).
        thumbnails: uint8 (n, 32, 32).
    """

    def __init__(
        self, facts: pl.DataFrame, pixels: Pixels, fit: str, rows: Integers, thumbnails: npt.NDArray[np.uint8]
    ) -> None:
        own = facts[rows]
        self.pixels, self.fit, self.rows, self.thumbnails = pixels, fit, rows, thumbnails
        self.sizes = own.select("width", "height").to_numpy()
        self.means = np.array(own["means"].to_list(), np.float32).reshape(len(rows), pixels.shape[3])
        self.forms = coarse_forms(thumbnails)
        wide = thumbnails[:, ::2].astype(np.float32) + thumbnails[:, 1::2]
        self.halves = np.asarray((wide[:, :, ::2] + wide[:, :, 1::2]) / 4, np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def copies_among(self, pairs: Integers, progress: Progress = SILENT) -> tuple[Integers, Floats]:
        """Those of the pairs (m, 2) that are copies, with their similarity, 0 to 1."""
        pairs = pairs[np.abs(self.means[pairs[:, 0]] - self.means[pairs[:, 1]]).max(axis=1, initial=0) < COLOR]
        ways, close = self._ways(pairs)
        stays = np.flatnonzero(close >= COARSE)
        stays = stays[_closest_first(pairs[stays], close[stays], len(self), LOOKED_AT + len(self))]
        pairs, ways = pairs[stays], ways[stays]
        place = np.zeros((len(pairs), 4), np.float32)
        alike = np.zeros(len(pairs), bool)
        with progress.stage("comparing look-alikes", len(pairs), "pairs") as stage:
            for part in _parts(len(pairs), 256):
                alike[part], place[part] = self._roughly_alike(pairs[part], ways[part])
                stage.advance(part.stop - part.start)
        pairs, ways, place = pairs[alike], ways[alike], place[alike]
        copies, detail = np.zeros(len(pairs), bool), np.zeros(len(pairs), np.float32)
        for part in _parts(len(pairs), 64):
            copies[part], detail[part] = self._confirmed(pairs[part], ways[part], place[part])
        return pairs[copies], np.clip(detail[copies], 0, 1)

    def _ways(self, pairs: Integers) -> tuple[npt.NDArray[np.int8], Floats]:
        ways, close = np.zeros(len(pairs), np.int8), np.zeros(len(pairs), np.float32)
        for part in _parts(len(pairs), 1 << 14):
            ways[part], close[part] = best_ways(self.forms[pairs[part, 0]], self.forms[pairs[part, 1]])
        return ways, close

    def _roughly_alike(self, pairs: Integers, ways: npt.NDArray[np.int8]) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Whether the thumbnails of each pair might be copies, and how the second has to be zoomed and shifted."""
        found = agreement(self.halves[pairs[:, 0]], _turned(self.halves[pairs[:, 1]], ways), blur=0.7, steps=3)
        return found.detail >= ROUGH, found.place

    def _confirmed(
        self, pairs: Integers, ways: npt.NDArray[np.int8], place: Floats
    ) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Whether each pair is copies; and the correlation of their details, where that had to be looked at."""
        first, second = (self.thumbnails[pairs[:, end]].astype(np.float32) for end in (0, 1))
        found = agreement(first, _turned(second, ways), start=place, blur=0.7, steps=3)
        detail, place = found.detail, found.place
        copies = detail >= CLOSER
        some = np.flatnonzero(copies)
        copies[some] = self._difference(pairs[some], ways[some], place[some]) <= DIFFERENCE
        sides = self._sides(pairs)
        for side, least in COPY.items():
            some = np.flatnonzero(copies & (sides == side))
            if side > 32 and len(some):
                one, other = self._both(pairs[some], ways[some], side)
                detail[some] = agreement(one.mean(axis=3), other.mean(axis=3), start=place[some], steps=2).detail
            copies[some] = detail[some] >= least
        return copies, detail

    def _difference(self, pairs: Integers, ways: npt.NDArray[np.int8], place: Floats) -> Floats:
        """How far colors are apart, in place, in patches of an eighth of the side: root mean square, 0 to 1."""
        one, other = self._both(pairs, ways, 32)
        total = np.zeros(len(pairs), np.float32)
        for channel in range(one.shape[3]):
            moved, seen = laid_over(other[..., channel], place)
            apart = ((one[..., channel] - moved) * seen).reshape(-1, 8, 4, 8, 4).sum(axis=(2, 4))
            weight = seen.reshape(-1, 8, 4, 8, 4).sum(axis=(2, 4))
            total += np.square(apart / 16).sum(axis=(1, 2)) / np.square(weight / 16).sum(axis=(1, 2))
        return np.asarray(np.sqrt(total / one.shape[3]) / np.iinfo(self.pixels.dtype).max, np.float32)

    def _both(self, pairs: Integers, ways: npt.NDArray[np.int8], side: int) -> tuple[Floats, Floats]:
        """Content of both images of each pair, float32 (n, side, side, C); the second is turned the right way."""
        numbers, places = np.unique(pairs, return_inverse=True)
        content = np.stack([self._content(number, side) for number in numbers]) if len(pairs) else self._nothing(side)
        one, other = (content[places.reshape(-1, 2)[:, end]].astype(np.float32) for end in (0, 1))
        return one, _turned(other, ways)

    def _nothing(self, side: int) -> Pixels:
        return np.zeros((0, side, side, self.pixels.shape[3]), self.pixels.dtype)

    def _sides(self, pairs: Integers) -> Integers:
        """At what size to compare: details finer than the smaller file's pixels are not there."""
        smaller = self.sizes[pairs].min(axis=(1, 2))
        return np.asarray(np.select([smaller >= 160, smaller >= 96], [96, 64], 32), np.int64)

    def _content(self, number: int, side: int) -> Pixels:
        """One image without its padding, (side, side, C)."""
        width, height = self.sizes[number].tolist()
        top, left, tall, wide = content_box(width, height, self.pixels.shape[1:3], self.fit)
        content = np.ascontiguousarray(self.pixels[self.rows[number], top : top + tall, left : left + wide])
        result: Pixels = resize(content[None], (side, side))[0]
        return result


def _parts(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def _turned(images: Any, ways: npt.NDArray[np.int8]) -> Any:
    result = np.empty_like(images)
    for way in range(8):
        result[ways == way] = turned(images[ways == way], way)
    return result


def _closest_first(pairs: Integers, close: Floats, images: int, bound: int) -> npt.NDArray[np.bool_]:
    """Which pairs to look at where there are too many: of each image the closest, then the second closest ..."""
    if len(pairs) <= bound:
        return np.ones(len(pairs), bool)
    one, at = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.tile(np.arange(len(pairs)), 2)
    order = np.lexsort((at, -close[at], one))
    place = np.empty(len(one), np.int64)
    place[order] = np.arange(len(one)) - np.searchsorted(one[order], np.arange(images))[one[order]]
    rank = np.minimum(place[: len(pairs)], place[len(pairs) :])
    result = np.zeros(len(pairs), bool)
    result[np.lexsort((-close, rank))[:bound]] = True
    return result

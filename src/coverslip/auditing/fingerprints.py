"""Fingerprints of thumbnails, and search for the closest pairs among many images: candidates for duplicates.

A fingerprint is invariant to mirroring and to rotation by multiples of 90 degrees, and changes little when an image is
shifted, cropped, resized or recompressed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from coverslip.core.devices import cores
from coverslip.core.progress import Stage

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

RADIUS = 5.1  # highest frequency kept, in cycles per image: coarse structure survives compression and resizing
POWER = 0.7  # exponent that reduces the dominance of the strongest frequencies
PRIOR = 200  # weight of the typical spectrum, in images
ROWS, COLUMNS = 1024, 2048  # of one block of similarities: 8 MiB, which fits in the cache of a processor
MAX_PENDING = 1_000_000  # new pairs to collect before all but the closest are discarded
NEVER = -2.0  # below any similarity
CHUNK = 4096  # images per batch when spectra are computed


def fingerprints(thumbnails: npt.NDArray[np.uint8]) -> Floats:
    """Return a vector of unit norm per image; similarity is the dot product.

    Magnitudes of the Fourier transform do not depend on position, so a small shift or crop changes little; a window
    suppresses the edge of the image, which a crop does change. The eight orientations of an image only exchange
    frequencies of equal magnitude, so sums and absolute differences over these are the same for all eight.

    Args:
        thumbnails: uint8 (n, 32, 32).

    Returns:
        Fingerprints, float32 (n, 44).
    """
    chunks = [_spectra(thumbnails[start : start + CHUNK]) for start in range(0, len(thumbnails), CHUNK)]
    spectra = np.concatenate(chunks or [_typical()[:0]])
    typical = _typical()
    weight = len(spectra) / (len(spectra) + PRIOR)  # mean and spread of few images are not reliable
    mean = weight * spectra.mean(axis=0) + (1 - weight) * typical.mean(axis=0) if len(spectra) else typical.mean(axis=0)
    spread = weight * np.square(spectra - mean).sum(axis=0) / max(len(spectra), 1)
    spread = np.sqrt(spread + (1 - weight) * np.square(typical - mean).mean(axis=0))
    result = (spectra - mean) / spread
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    return np.ascontiguousarray(result, np.float32)


def closest_pairs(prints: Floats, min_similarity: float, max_pairs: int, stage: Stage | None = None) -> Integers:
    """Find all pairs above a similarity, but only the closest ones of each image.

    Every image is compared with every other, block by block; memory is bounded even if all images look alike.

    Args:
        prints: fingerprints of unit norm, float32 (n, d).
        min_similarity: less similar pairs are ignored, -1 to 1.
        max_pairs: maximum number of pairs per image; a pair is kept if it is among the closest of either image.
        stage: is advanced by the number of images compared.

    Returns:
        Numbers of the images of each pair, the smaller first, sorted, int64 (m, 2).
    """
    import torch

    best = _ClosestPairs(len(prints), min_similarity, max_pairs)
    threads, before = cores(), torch.get_num_threads()
    # One thread per block: PyTorch's own threads wait for each other, very long on a busy machine.
    with ThreadPoolExecutor(threads, "duplicates", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for top in range(0, len(prints), ROWS):
            lefts = range(top, len(prints), COLUMNS)
            floors = [min(best.floors[top : top + ROWS].min(), best.floors[at : at + COLUMNS].min()) for at in lefts]
            blocks = pool.map(
                lambda left, floor, top=top: _block(prints, top, left, float(floor), max_pairs), lefts, floors
            )
            for first, second, similarity in blocks:
                best.add(first, second, similarity)
            if stage is not None:
                stage.advance(min(ROWS, len(prints) - top))
    torch.set_num_threads(before)
    return best.pairs()


def _block(prints: Floats, top: int, left: int, floor: float, max_pairs: int) -> tuple[Integers, Integers, Floats]:
    """Return the pairs of a block of rows and a block of columns that are more similar than ``floor``."""
    import torch

    rows, columns = (torch.from_numpy(prints[at : at + size]) for at, size in ((top, ROWS), (left, COLUMNS)))
    block = rows @ columns.T
    if left < top + ROWS:  # on the diagonal: omit pairs of an image with itself, and duplicates of a pair
        block.masked_fill_(torch.ones_like(block, dtype=torch.bool).tril(top - left), NEVER)
    hits = (block > floor).numpy()
    if np.count_nonzero(hits) > 2 * max_pairs * sum(block.shape):  # very many: only the closest can be kept anyway
        hits &= (_among_best(block, max_pairs, 1) | _among_best(block, max_pairs, 0)).numpy()
    places = np.flatnonzero(hits)
    first, second = np.divmod(places, hits.shape[1])
    return first + top, second + left, block.numpy().reshape(-1)[places]


class _ClosestPairs:
    """The closest pairs so far, each stored for both of its images.

    Attributes:
        floors: similarity that a new pair must exceed to be among the closest of an image, float32 (n,).
    """

    def __init__(self, images: int, min_similarity: float, max_pairs: int) -> None:
        self.max_pairs, self.floors = max_pairs, np.full(images, min_similarity, np.float32)
        empty = np.zeros(0, np.int64)
        self.collected = [(empty, empty, np.zeros(0, np.float32))]
        self.pending = 0

    def add(self, first: Integers, second: Integers, similarity: Floats) -> None:
        for one, other in ((first, second), (second, first)):
            closer = similarity > self.floors[one]
            self.collected.append((one[closer], other[closer], similarity[closer]))
            self.pending += len(self.collected[-1][0])
        if self.pending > MAX_PENDING:
            self.prune()

    def prune(self) -> None:
        """Discard all but the closest pairs of each image."""
        one, other, similarity = (np.concatenate(arrays) for arrays in zip(*self.collected, strict=True))
        # One sort key: the image, then descending similarity. (Bit patterns of positive floats sort like the floats.)
        order = np.argsort((one + 1 << 32) - similarity.view(np.uint32).astype(np.int64), kind="stable")
        one, other, similarity = one[order], other[order], similarity[order]
        place = np.arange(len(one)) - np.searchsorted(one, np.arange(len(self.floors)))[one]
        last, kept = place == self.max_pairs - 1, place < self.max_pairs
        self.floors[one[last]] = similarity[last]
        self.collected, self.pending = [(one[kept], other[kept], similarity[kept])], 0

    def pairs(self) -> Integers:
        self.prune()
        one, other, _ = self.collected[0]
        numbers = np.unique(np.minimum(one, other) * len(self.floors) + np.maximum(one, other))
        return np.stack(np.divmod(numbers, max(len(self.floors), 1)), axis=1)


def _among_best(block: torch.Tensor, count: int, axis: int) -> torch.Tensor:
    import torch

    best = block.topk(min(count, block.shape[axis]), dim=axis)
    return torch.zeros_like(block, dtype=torch.bool).scatter_(axis, best.indices, best.values > NEVER)


def _spectra(thumbnails: npt.NDArray[np.generic]) -> Floats:
    side = thumbnails.shape[1]
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    window = np.outer(window, window)
    values = thumbnails.astype(np.float32)
    values = (values - (values * window).sum(axis=(1, 2), keepdims=True) / window.sum()) * window
    transform = _fourier_rows(side).conj()
    magnitude = np.abs(transform @ values @ transform.T)  # (n, 2r + 1, 2r + 1), frequencies -r to r
    reach = int(RADIUS)
    columns = []
    for u in range(1, reach + 1):
        for v in range(u + 1):
            if np.hypot(u, v) > RADIUS:
                continue
            a, b, c, d = (magnitude[:, reach + y, reach + x] for y, x in ((u, v), (u, -v), (v, u), (v, -u)))
            if 0 < v < u:
                columns += [a + b + c + d, abs(a + b - c - d), abs(a - b + c - d), abs(a - b - c + d)]
            else:  # on an axis or the diagonal, only two frequencies have this magnitude
                columns += [a + (b if v else c), abs(a - (b if v else c))]
    result = np.stack(columns, axis=1)
    length = np.linalg.norm(result, axis=1, keepdims=True)
    return np.asarray((result / np.maximum(length, 1e-6)) ** POWER, np.float32)


@cache
def _fourier_rows(side: int) -> npt.NDArray[np.complex64]:
    """Return the rows of the Fourier matrix for the low frequencies -r to r, (2r + 1, side)."""
    reach = int(RADIUS)
    phase = np.outer(np.arange(-reach, reach + 1), np.arange(side)) / side
    return np.asarray(np.exp(2j * np.pi * phase), np.complex64)


@cache
def _typical() -> Floats:
    """Return spectra of noise with the power law of photographs (Field, J. Opt. Soc. Am. A 4, 1987)."""
    rng, side = np.random.default_rng(0), 32
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    noise = np.fft.fft2(rng.standard_normal((500, side, side))) / frequency**1.5
    return _spectra(np.fft.ifft2(noise).real.astype(np.float32))

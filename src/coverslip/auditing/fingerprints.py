"""Images that might be copies of one another: fingerprints of thumbnails, and the closest pairs among very many.

A fingerprint does not change when an image is mirrored or turned by a quarter, and little when it is shifted, cropped,
resized or saved again.
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

RADIUS = 5.1  # waves an image, up to which its spectrum is kept: coarse forms, which survive compression and resizing
POWER = 0.7  # evens out strong and weak waves
PRIOR = 200  # images that the typical spectrum counts for, beside those of the folder
ROWS, COLUMNS = 1024, 2048  # of one block of similarities: 8 MiB, which a processor's cache can hold
HELD = 1_000_000  # new pairs held before all but the closest are let go
NEVER = -2.0  # less than any similarity
CHUNK = 4096  # images whose spectra are computed at once


def fingerprints(thumbnails: npt.NDArray[np.uint8]) -> Floats:
    """What is common to an image and its copies, as a vector of length 1; similarity is the scalar product.

    The absolute values of the Fourier transform do not know where things are, so a small shift or crop changes little;
    a window takes the image's edge away, which a crop does change. The eight mirrorings and quarter turns only
    exchange waves of one length, so sums and absolute differences over those are the same for all eight.

    Args:
        thumbnails: uint8 (n, 32, 32).

    Returns:
        float32 (n, 44).
    """
    chunks = [_spectra(thumbnails[start : start + CHUNK]) for start in range(0, len(thumbnails), CHUNK)]
    own = np.concatenate(chunks or [_typical()[:0]])
    typical = _typical()
    share = len(own) / (len(own) + PRIOR)  # a folder of ten images says little of what is common in it
    mean = share * own.mean(axis=0) + (1 - share) * typical.mean(axis=0) if len(own) else typical.mean(axis=0)
    spread = share * np.square(own - mean).sum(axis=0) / max(len(own), 1)
    spread = np.sqrt(spread + (1 - share) * np.square(typical - mean).mean(axis=0))
    result = (own - mean) / spread
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    return np.ascontiguousarray(result, np.float32)


def closest_pairs(prints: Floats, least: float, keep: int, stage: Stage | None = None) -> Integers:
    """All pairs that are at least so similar, but of each image only the closest ones.

    Every image is compared with every other, block by block; memory does not grow with the number of pairs, also
    where all images look alike.

    Args:
        prints: float32 (n, d), of length 1.
        least: similarity below which a pair is not looked at, -1 to 1.
        keep: pairs kept for an image; one pair counts for both, and is kept if it is among the closest of either.
        stage: is advanced image by image.

    Returns:
        int64 (m, 2), the smaller number first, sorted.
    """
    import torch

    held = _Held(len(prints), least, keep)
    threads, before = cores(), torch.get_num_threads()
    # A core a block: PyTorch's own threads wait for each other, for very long where the machine has other work.
    with ThreadPoolExecutor(threads, "twins", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for top in range(0, len(prints), ROWS):
            lefts = range(top, len(prints), COLUMNS)
            floors = [min(held.floors[top : top + ROWS].min(), held.floors[at : at + COLUMNS].min()) for at in lefts]
            blocks = pool.map(lambda left, floor, top=top: _block(prints, top, left, float(floor), keep), lefts, floors)
            for first, second, similarity in blocks:
                held.add(first, second, similarity)
            if stage is not None:
                stage.advance(min(ROWS, len(prints) - top))
    torch.set_num_threads(before)
    return held.pairs()


def _block(prints: Floats, top: int, left: int, floor: float, keep: int) -> tuple[Integers, Integers, Floats]:
    """Pairs of one block of rows with one block of columns that are more similar than ``floor``."""
    import torch

    rows, columns = (torch.from_numpy(prints[at : at + size]) for at, size in ((top, ROWS), (left, COLUMNS)))
    block = rows @ columns.T
    if left < top + ROWS:  # at the diagonal: no image with itself, no pair twice
        block.masked_fill_(torch.ones_like(block, dtype=torch.bool).tril(top - left), NEVER)
    hits = (block > floor).numpy()
    if np.count_nonzero(hits) > 2 * keep * sum(block.shape):  # all look alike: the closest will do
        hits &= (_among_best(block, keep, 1) | _among_best(block, keep, 0)).numpy()
    places = np.flatnonzero(hits)
    first, second = np.divmod(places, hits.shape[1])
    return first + top, second + left, block.numpy().reshape(-1)[places]


class _Held:
    """The closest pairs found so far; each is held from both sides.

    Attributes:
        floors: float32 (n,), what the similarity of a new pair has to exceed to be among the closest of an image.
    """

    def __init__(self, images: int, least: float, keep: int) -> None:
        self.keep, self.floors = keep, np.full(images, least, np.float32)
        nothing = np.zeros(0, np.int64)
        self.found = [(nothing, nothing, np.zeros(0, np.float32))]
        self.waiting = 0

    def add(self, first: Integers, second: Integers, similarity: Floats) -> None:
        for one, other in ((first, second), (second, first)):
            stays = similarity > self.floors[one]
            self.found.append((one[stays], other[stays], similarity[stays]))
            self.waiting += len(self.found[-1][0])
        if self.waiting > HELD:
            self.prune()

    def prune(self) -> None:
        """Let all go but the closest of each image."""
        one, other, similarity = (np.concatenate(each) for each in zip(*self.found, strict=True))
        # One key to sort by: the image, then similarity from above. (Bits of floats above 0 sort as the floats do.)
        order = np.argsort((one + 1 << 32) - similarity.view(np.uint32).astype(np.int64), kind="stable")
        one, other, similarity = one[order], other[order], similarity[order]
        place = np.arange(len(one)) - np.searchsorted(one, np.arange(len(self.floors)))[one]
        last, stays = place == self.keep - 1, place < self.keep
        self.floors[one[last]] = similarity[last]
        self.found, self.waiting = [(one[stays], other[stays], similarity[stays])], 0

    def pairs(self) -> Integers:
        self.prune()
        one, other, _ = self.found[0]
        numbers = np.unique(np.minimum(one, other) * len(self.floors) + np.maximum(one, other))
        return np.stack(np.divmod(numbers, max(len(self.floors), 1)), axis=1)


def _among_best(block: torch.Tensor, keep: int, axis: int) -> torch.Tensor:
    import torch

    best = block.topk(min(keep, block.shape[axis]), dim=axis)
    return torch.zeros_like(block, dtype=torch.bool).scatter_(axis, best.indices, best.values > NEVER)


def _spectra(thumbnails: npt.NDArray[np.generic]) -> Floats:
    side = thumbnails.shape[1]
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    window = np.outer(window, window)
    values = thumbnails.astype(np.float32)
    values = (values - (values * window).sum(axis=(1, 2), keepdims=True) / window.sum()) * window
    transform = _waves(side).conj()
    waves = np.abs(transform @ values @ transform.T)  # (n, 2r + 1, 2r + 1), frequencies -r to r
    reach = int(RADIUS)
    columns = []
    for u in range(1, reach + 1):
        for v in range(u + 1):
            if np.hypot(u, v) > RADIUS:
                continue
            a, b, c, d = (waves[:, reach + y, reach + x] for y, x in ((u, v), (u, -v), (v, u), (v, -u)))
            if 0 < v < u:
                columns += [a + b + c + d, abs(a + b - c - d), abs(a - b + c - d), abs(a - b - c + d)]
            else:  # on an axis or the diagonal there are only two waves of this length
                columns += [a + (b if v else c), abs(a - (b if v else c))]
    result = np.stack(columns, axis=1)
    length = np.linalg.norm(result, axis=1, keepdims=True)
    return np.asarray((result / np.maximum(length, 1e-6)) ** POWER, np.float32)


@cache
def _waves(side: int) -> npt.NDArray[np.complex64]:
    """(2r + 1, side): what the few low frequencies of a Fourier transform multiply with."""
    reach = int(RADIUS)
    turns = np.outer(np.arange(-reach, reach + 1), np.arange(side)) / side
    return np.asarray(np.exp(2j * np.pi * turns), np.complex64)


@cache
def _typical() -> Floats:
    """Spectra of noise that falls with frequency as those of photographs do (Field, J. Opt. Soc. Am. A 4, 1987)."""
    rng, side = np.random.default_rng(0), 32
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1
    noise = np.fft.fft2(rng.standard_normal((500, side, side))) / frequency**1.5
    return _spectra(np.fft.ifft2(noise).real.astype(np.float32))

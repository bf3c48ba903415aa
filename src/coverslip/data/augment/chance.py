"""Chance as a function: hashes of (seed, what it is for, count), so that nothing random need be stored or replayed.

The numbers of one image depend on its own seed alone: not on the batch it is in, its place there, the order of calls,
the machine or the device.
"""

from __future__ import annotations

import math
import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Words = npt.NDArray[np.uint64]

GOLDEN = 0x9E3779B97F4A7C15
STRIP = 2**20  # numbers of the strip that noise is cut from


def scramble(words: Words) -> Words:
    """Every bit of the result depends on every bit of the word (the finalizer of splitmix64).

    Reference: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def image_seeds(seed: int, epoch: int, rows: npt.NDArray[np.int64]) -> Tensor:
    """The seed of each image in an epoch: int64 (n,), a hash of the three.

    >>> seeds = image_seeds(0, epoch=3, rows=np.array([7, 8]))
    >>> bool(seeds[1] == image_seeds(0, 3, np.array([8]))[0]), bool(seeds[1] == image_seeds(0, 4, np.array([8]))[0])
    (True, False)
    """
    start = np.array([(seed * GOLDEN + 1) % 2**64], np.uint64)
    words = scramble(scramble(start) + np.uint64(epoch % 2**64))
    return torch.from_numpy(scramble(words + np.asarray(rows, np.int64).view(np.uint64)).view(np.int64))


def uniform(seeds: Tensor, stream: str, count: int) -> Tensor:
    """Numbers of 0 to less than 1 for each image: float32 (N, count), on the CPU.

    Args:
        seeds: int64 (N,), one an image.
        stream: what they are for; another stream gives other numbers.
        count: how many an image.
    """
    words = seeds.detach().cpu().numpy().astype(np.int64, copy=False).view(np.uint64)
    steps = (np.arange(1, count + 1, dtype=np.uint64) + (np.uint64(zlib.crc32(stream.encode())) << np.uint64(32))) * (
        np.uint64(GOLDEN)
    )
    mixed = scramble(scramble(words)[:, None] + steps)
    return torch.from_numpy((mixed >> np.uint64(40)).astype(np.float32) * np.float32(2**-24))


def factors(chance: Tensor, strength: float) -> Tensor:
    """Numbers of 0..1 -> factors, evenly on a logarithmic scale from 1 / (1 + strength) to 1 + strength."""
    return torch.exp((2 * chance - 1) * math.log1p(strength))


@lru_cache(maxsize=2)
def normal_strip(length: int) -> Tensor:
    """The same standard normal numbers for ever, from which ``length`` can be cut at any of STRIP places.

    By Box and Muller's method; the strip repeats after STRIP numbers.
    """
    pairs = uniform(torch.arange(STRIP // 2), "normal strip", 2).to(torch.float64)
    radius, angle = torch.sqrt(-2 * torch.log1p(-pairs[:, 0])), 2 * torch.pi * pairs[:, 1]
    strip = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)]).to(torch.float32)
    return strip.repeat(1 + -(-length // STRIP))

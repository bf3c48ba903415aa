"""Counter-based random numbers: hashes of (seed, purpose, counter), so that no generator state is stored or replayed.

The numbers of an image depend on its own seed only: not on the batch, its position there, the order of calls, the
machine or the device.
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

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: the increment of splitmix64
POOL_SIZE = 2**20  # standard normal numbers from which noise is cut


def splitmix64(words: Words) -> Words:
    """Return the finalizer of splitmix64: every bit of the result depends on every bit of the word.

    Reference: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def image_seeds(seed: int, epoch: int, rows: npt.NDArray[np.int64]) -> Tensor:
    """Return the seed of each image in an epoch, a hash of the three arguments: int64, shape (N,).

    Args:
        seed: seed of the training.
        epoch: number of the epoch.
        rows: row numbers of the images, shape (N,).

    >>> seeds = image_seeds(0, epoch=3, rows=np.array([7, 8]))
    >>> bool(seeds[1] == image_seeds(0, 3, np.array([8]))[0]), bool(seeds[1] == image_seeds(0, 4, np.array([8]))[0])
    (True, False)
    """
    start = np.array([(seed * GOLDEN + 1) % 2**64], np.uint64)
    words = splitmix64(splitmix64(start) + np.uint64(epoch % 2**64))
    return torch.from_numpy(splitmix64(words + np.asarray(rows, np.int64).view(np.uint64)).view(np.int64))


def uniform(seeds: Tensor, stream: str, count: int) -> Tensor:
    """Return uniform numbers in [0, 1) for each image: float32, shape (N, count), on the CPU.

    Args:
        seeds: one seed per image, int64, shape (N,).
        stream: what the numbers are used for; another stream gives independent numbers.
        count: numbers per image.
    """
    words = seeds.detach().cpu().numpy().astype(np.int64, copy=False).view(np.uint64)
    steps = (np.arange(1, count + 1, dtype=np.uint64) + (np.uint64(zlib.crc32(stream.encode())) << np.uint64(32))) * (
        np.uint64(GOLDEN)
    )
    mixed = splitmix64(splitmix64(words)[:, None] + steps)
    # The upper 24 bits are what a float32 in [0, 1) can represent exactly.
    return torch.from_numpy((mixed >> np.uint64(40)).astype(np.float32) * np.float32(2**-24))


def log_uniform(uniforms: Tensor, amount: float) -> Tensor:
    """Map uniform numbers in 0..1 to factors that are log-uniform between 1 / (1 + amount) and 1 + amount."""
    return torch.exp((2 * uniforms - 1) * math.log1p(amount))


@lru_cache(maxsize=2)
def normal_pool(length: int) -> Tensor:
    """Return fixed standard normal numbers, from which ``length`` can be cut at any of POOL_SIZE positions.

    They are computed by the Box-Muller transform and repeat after POOL_SIZE numbers.
    """
    pairs = uniform(torch.arange(POOL_SIZE // 2), "normal strip", 2).to(torch.float64)
    radius, angle = torch.sqrt(-2 * torch.log1p(-pairs[:, 0])), 2 * torch.pi * pairs[:, 1]
    pool = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)]).to(torch.float32)
    return pool.repeat(1 + -(-length // POOL_SIZE))

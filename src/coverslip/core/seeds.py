"""Random generators that are named by a seed and a purpose.

There are two seeds: one for the split (which images are in the test set) and one for training (initialization, order,
augmentation). Changing one does not change what is drawn from the other.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a generator for one purpose; it draws the same numbers on every platform.

    Args:
        seed: the seed that the user sets, 0 or more.
        purpose: what the numbers are used for; another purpose gives an independent stream.

    >>> bool(generator(0, "split").integers(1000) == generator(0, "split").integers(1000))
    True
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])

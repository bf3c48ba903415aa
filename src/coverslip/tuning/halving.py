"""Hyperband: which trials leave, and after how many epochs.

Successive halving lets many trials begin and, after a ninth and after a third of the epochs, only the best third go
on. It is wrong where a trial that is slow at first would win; so some trials, chosen by their number, are first
compared after a third of the epochs, and some never (the brackets of Hyperband).

Trials advance side by side here, an epoch of each at a time. So all that reach an epoch together are compared together,
whatever their bracket, and also with those that reached it earlier; the bracket says only where a trial may be made to
leave. The published asynchronous form has to judge each on arrival, and so lets the first ones through.

Reference: Li et al., Hyperband, JMLR 18(185), 2018; Li et al., A system for massively parallel hyperparameter tuning,
MLSys 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

FACTOR = 3  # one of so many goes on
LEVELS = 2  # comparisons at most
GOLDEN = 0.618034  # its multiples, modulo 1, fill the unit interval evenly from the first on


def comparisons(epochs: int) -> tuple[int, ...]:
    """After which epochs trials are compared, in the bracket that is compared most often.

    >>> comparisons(25), comparisons(6), comparisons(2)
    ((3, 8), (1, 2), (1,))
    """
    found = {round(epochs / FACTOR**level) for level in range(1, LEVELS + 1)}
    return tuple(sorted(epoch for epoch in found if 1 <= epoch < epochs))


def bracket(number: int, epochs: int) -> tuple[int, ...]:
    """After which epochs this trial is compared; () where it never is.

    The shares of the brackets are those of the paper: for two comparisons 9 of 17 trials are compared twice, 5 once
    and 3 never.
    """
    every = comparisons(epochs)
    count = len(every) + 1
    shares = [math.ceil(count * FACTOR**left / (left + 1)) for left in range(count - 1, -1, -1)]
    place = (number * GOLDEN) % 1 * sum(shares)
    for skipped, share in enumerate(shares):
        place -= share
        if place < 0:
            return every[skipped:]
    return ()


def keepers(losses: Mapping[int, float]) -> set[int]:
    """The best third, rounded up, by the lowest loss; what is no number comes last.

    >>> sorted(keepers({1: 0.4, 2: 0.2, 3: 0.3, 4: 0.9}))
    [2, 3]
    """
    ranked = sorted(losses, key=lambda number: (math.isnan(losses[number]), losses[number], number))
    return set(ranked[: math.ceil(len(ranked) / FACTOR)])

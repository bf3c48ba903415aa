"""Hyperband: which trials are pruned, and after how many epochs.

Successive halving starts many trials and continues only the best third of them after a ninth and after a third of the
epochs. It fails where a trial that learns slowly at first would win; so some trials, chosen by their number, are first
compared after a third of the epochs, and some never (the brackets of Hyperband).

Trials advance in step here, one epoch each at a time. All trials that reach an epoch together are compared with each
other, whatever their bracket, and with those that reached it earlier; the bracket only decides where a trial may be
pruned. The published asynchronous form has to decide on each arrival, and so lets the first trials pass.

Reference: Li et al., Hyperband, JMLR 18(185), 2018; Li et al., A system for massively parallel hyperparameter tuning,
MLSys 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

FACTOR = 3  # one in FACTOR trials continues
LEVELS = 2  # maximum number of comparisons
GOLDEN = 0.618034  # multiples of the golden ratio, modulo 1, fill the unit interval evenly from the start


def comparisons(epochs: int) -> tuple[int, ...]:
    """Return the epochs after which trials of the most aggressive bracket are compared.

    >>> comparisons(25), comparisons(6), comparisons(2)
    ((3, 8), (1, 2), (1,))
    """
    candidates = {round(epochs / FACTOR**level) for level in range(1, LEVELS + 1)}
    return tuple(sorted(epoch for epoch in candidates if 1 <= epoch < epochs))


def bracket(number: int, epochs: int) -> tuple[int, ...]:
    """Return the epochs after which a trial is compared; empty if never.

    The sizes of the brackets follow the paper: with two comparisons, 9 of 17 trials are compared twice, 5 once and
    3 never.

    Args:
        number: number of the trial.
        epochs: epochs of a complete trial.
    """
    all_comparisons = comparisons(epochs)
    count = len(all_comparisons) + 1
    sizes = [math.ceil(count * FACTOR**left / (left + 1)) for left in range(count - 1, -1, -1)]
    position = (number * GOLDEN) % 1 * sum(sizes)
    for skipped, size in enumerate(sizes):
        position -= size
        if position < 0:
            return all_comparisons[skipped:]
    return ()


def keepers(losses: Mapping[int, float]) -> set[int]:
    """Return the numbers of the best third of the trials, rounded up; NaN ranks last.

    Args:
        losses: trial number -> lowest validation loss so far.

    >>> sorted(keepers({1: 0.4, 2: 0.2, 3: 0.3, 4: 0.9}))
    [2, 3]
    """
    ranked = sorted(losses, key=lambda number: (math.isnan(losses[number]), losses[number], number))
    return set(ranked[: math.ceil(len(ranked) / FACTOR)])

"""Learning rates as pure functions of the step, so that any step of any training can be looked up."""

from __future__ import annotations

import math
from collections.abc import Callable

from coverslip.core.registry import Registry

Schedule = Callable[[int, int, float], float]
SCHEDULES: Registry[Schedule] = Registry("schedule")

START, END = 1 / 25, 1e-4  # of the peak, where one-cycle begins and ends


@SCHEDULES.register("constant")
def constant(step: int, steps: int, warmup: float) -> float:
    """The peak rate at every step."""
    return 1.0


@SCHEDULES.register("cosine")
def cosine(step: int, steps: int, warmup: float) -> float:
    """From the peak at the first step down half a cosine to nearly 0 at the last; no warm-up.

    Reference: Loshchilov and Hutter, SGDR, ICLR 2017, without restarts.

    >>> [round(cosine(step, 4, 0.25), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps))


@SCHEDULES.register("one-cycle")
def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Up from 1/25 of the peak in the first part of the steps, then down to nearly 0, both along half a cosine.

    Args:
        step: 0 to ``steps`` - 1.
        steps: of the whole training.
        warmup: share of the steps that climb.

    Returns:
        A factor of the peak rate, above 0 to 1.

    Reference: Smith and Topin, Super-convergence, 2018; the momentum stays as it is.

    >>> [round(one_cycle(step, 8, 0.25), 3) for step in range(8)]
    [0.04, 0.52, 1.0, 0.933, 0.75, 0.5, 0.25, 0.067]
    """
    climb = warmup * steps
    if step < climb:
        return _between(START, 1.0, step / climb)
    return _between(1.0, END, (step - climb) / (steps - climb))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))

"""Learning-rate schedules as pure functions of the step, so that resuming needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Callable

from coverslip.core.registry import Registry

Schedule = Callable[[int, int, float], float]
SCHEDULES: Registry[Schedule] = Registry("schedule")

START, END = 1 / 25, 1e-4  # initial and final learning rate of one-cycle, as a fraction of the peak


@SCHEDULES.register("constant")
def constant(step: int, steps: int, warmup: float) -> float:
    """Return 1 at every step."""
    return 1.0


@SCHEDULES.register("cosine")
def cosine(step: int, steps: int, warmup: float) -> float:
    """Return the factor of cosine annealing: half a cosine from 1 at the first step to nearly 0, without warm-up.

    Reference: Loshchilov and Hutter, SGDR, ICLR 2017, without restarts.

    >>> [round(cosine(step, 4, 0.25), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps))


@SCHEDULES.register("one-cycle")
def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Return the factor of the one-cycle schedule: up from 1/25 to 1, then down to nearly 0, both along half a cosine.

    Args:
        step: index of the step, 0 to ``steps`` - 1.
        steps: steps of the whole training.
        warmup: fraction of the steps with increasing learning rate.

    Returns:
        Factor of the peak learning rate, above 0 and at most 1.

    Reference: Smith and Topin, Super-convergence, 2018. Unlike there, the momentum is constant.

    >>> [round(one_cycle(step, 8, 0.25), 3) for step in range(8)]
    [0.04, 0.52, 1.0, 0.933, 0.75, 0.5, 0.25, 0.067]
    """
    warmup_steps = warmup * steps
    if step < warmup_steps:
        return _cosine_interpolation(START, 1.0, step / warmup_steps)
    return _cosine_interpolation(1.0, END, (step - warmup_steps) / (steps - warmup_steps))


def _cosine_interpolation(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * fraction))

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import numpy as np

from coverslip.course.surface import Surface, Walk

HINTS = (
    "Try 0.01, then 0.1, then 1: at which does the walk hardly move, at which does it jump from side to side?",
    "Half of the edge does it: surface.limit / 2.",
)


def judge(walk: Walk, surface: Surface):
    """A walk of 12 steps of all images that goes down 95 % of the height."""
    if walk.steps > 12:
        return f"That took {walk.steps} steps; 12 are allowed."
    if walk.batch_size:
        return "Take all images for each step here (batch_size=0); smaller batches come next."
    low = surface.loss(surface.bottom)
    done = (walk.losses[0] - walk.losses[-1]) / (walk.losses[0] - low)
    if done >= 0.95:
        return Passed(
            f"With the rate {walk.rate:g}: {100 * done:.0f} % of the way down, to a loss of {walk.losses[-1]:.3f} "
            f"(lowest: {low:.3f})."
        )
    ways = np.diff(walk.points, axis=0)
    turned = int(((ways[1:] * ways[:-1]).sum(axis=1) < 0).sum())
    if turned > walk.steps / 2 or walk.losses[-1] > walk.losses[0]:
        return (
            f"Rate {walk.rate:g} is too large: {turned} times it turned round, since it jumps across the valley from "
            "side to side."
        )
    return f"Rate {walk.rate:g} gets {100 * done:.0f} % of the way down in {walk.steps} steps: too small."

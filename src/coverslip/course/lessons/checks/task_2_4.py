# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import numpy as np

from coverslip.course.surface import Surface, Walk

HINTS = (
    "Try 0.01, then 0.1, then 1: with which does the walk hardly move, with which does it jump from side to side?",
    "Half of the limit is good: surface.lr_limit / 2.",
)


def grade(walk: Walk, surface: Surface):
    """A walk of 12 steps with all images that goes down 95 % of the height."""
    if walk.steps > 12:
        return f"This walk has {walk.steps} steps; 12 are allowed."
    if walk.batch_size:
        return "Use all images for each step here (batch_size=0); smaller batches come next."
    lowest = surface.loss(surface.bottom)
    progress = (walk.losses[0] - walk.losses[-1]) / (walk.losses[0] - lowest)
    if progress >= 0.95:
        return Passed(
            f"With the learning rate {walk.lr:g} the walk goes down {100 * progress:.0f} % of the height, to a loss of "
            f"{walk.losses[-1]:.3f} (minimum: {lowest:.3f})."
        )
    moves = np.diff(walk.points, axis=0)
    turns = int(((moves[1:] * moves[:-1]).sum(axis=1) < 0).sum())
    if turns > walk.steps / 2 or walk.losses[-1] > walk.losses[0]:
        return (
            f"The learning rate {walk.lr:g} is too large: the walk reversed its direction {turns} times, as it jumps "
            "from one side of the valley to the other."
        )
    return (
        f"The learning rate {walk.lr:g} is too small: the walk goes down {100 * progress:.0f} % of the height in "
        f"{walk.steps} steps."
    )

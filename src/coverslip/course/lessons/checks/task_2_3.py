# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from collections.abc import Callable

import numpy as np

HINTS = ("Go against the slope, but only lr times the slope.", "return weights - lr * slope")


def grade(one_step: Callable):
    """A function that moves the weights against the slope, by lr times the slope."""
    weights, slope, lr = np.array([1.0, -2.0]), np.array([0.5, 4.0]), 0.1
    result = one_step(weights, slope, lr)
    if result is ...:
        return ""
    if result is None:
        return "The function has no result: add the word return."
    result = np.asarray(result, float)
    if result.shape != (2,):
        return "It should return two numbers, the new weights."
    for value, message in (
        (weights + lr * slope, "This goes uphill: the slope points to where the loss increases. Go against it."),
        (weights - slope, "The learning rate is missing: the step is lr times the slope."),
        (weights + slope, "This goes uphill, and the learning rate is missing."),
        (-lr * slope, "This is the step alone. Add it to where you were."),
        (lr * slope, "This is the step alone, and uphill. Subtract it from where you were."),
        (weights, "This stays where you were."),
    ):
        if np.allclose(result, value):
            return message
    if not np.allclose(result, weights - lr * slope):
        expected = (weights - lr * slope).tolist()
        return f"From (1, -2) with slope (0.5, 4) and lr 0.1 it goes to {result.tolist()}; it should go to {expected}."
    return Passed("This is all. Every optimizer is a variation of this line.")

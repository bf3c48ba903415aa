# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from collections.abc import Callable

import numpy as np

HINTS = ("Against the slope, and not the whole slope: rate times it.", "return weights - rate * slope")


def judge(one_step: Callable):
    """A function that goes from the weights, against the slope, rate times as far."""
    weights, slope, rate = np.array([1.0, -2.0]), np.array([0.5, 4.0]), 0.1
    told = one_step(weights, slope, rate)
    if told is ...:
        return ""
    if told is None:
        return "The function gives nothing back: it needs the word return."
    told = np.asarray(told, float)
    if told.shape != (2,):
        return "It should give back two numbers, the new weights."
    for value, word in (
        (weights + rate * slope, "That goes uphill: the slope points to where the loss grows. Go against it."),
        (weights - slope, "The learning rate is missing: the step is rate times the slope."),
        (weights + slope, "That goes uphill, and the learning rate is missing."),
        (-rate * slope, "That is the step alone. Add it to where you were."),
        (rate * slope, "That is the step alone, and uphill. Take it away from where you were."),
        (weights, "That stays where you were."),
    ):
        if np.allclose(told, value):
            return word
    if not np.allclose(told, weights - rate * slope):
        wanted = (weights - rate * slope).tolist()
        return f"From (1, -2) with slope (0.5, 4) and rate 0.1 it goes to {told.tolist()}; it should go to {wanted}."
    return Passed("That is all. Every optimizer there is, is a variation of this line.")

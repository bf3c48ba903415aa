# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import math

HINTS = (
    "Which of the two probabilities belongs to the true class?",
    "-math.log(0.8): the leaf is diseased, and the probability of this class is 0.8.",
)


def grade(loss: float):
    """Minus the natural logarithm of the probability of the true class."""
    mistakes = (
        (-math.log(0.2), "This uses 0.2, the probability of the other class. The leaf has early blight."),
        (math.log(0.8), "The number is right, the sign is not: a loss is never below zero. Put a minus before it."),
        (0.2, "This is the distance to 1. The loss is minus the logarithm of the probability of the true class."),
        (-math.log10(0.8), "This is the logarithm to base 10; math.log is the natural logarithm."),
        (-math.log(0.2) - math.log(0.8), "Only the probability of the true class counts; the other one does not."),
    )
    if abs(loss + math.log(0.8)) < 0.006:
        return Passed(
            f"{-math.log(0.8):.3f}. For a healthy leaf the same prediction would have a loss of {-math.log(0.2):.3f}."
        )
    for value, message in mistakes:
        if abs(loss - value) < 1e-3:
            return message
    return f"{loss:.3f} is not correct."

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import math

HINTS = (
    "Which of the two probabilities is that of the truth?",
    "-math.log(0.8): the leaf is diseased, and that got 0.8.",
)


def judge(loss: float):
    """Minus the natural logarithm of the probability that the truth was given."""
    slips = (
        (-math.log(0.2), "That takes the 0.2, which went to the other class. The leaf has early blight."),
        (math.log(0.8), "The number is right, the sign is not: a loss is never below zero. Put a minus before it."),
        (0.2, "That is how much is missing to 1. The loss is minus the logarithm of what the truth was given."),
        (-math.log10(0.8), "That is the logarithm to base 10; math.log is the natural one."),
        (-math.log(0.2) - math.log(0.8), "Only the probability of the true class counts; the other one does not."),
    )
    if abs(loss + math.log(0.8)) < 0.006:
        return Passed(
            f"{-math.log(0.8):.3f}. Had the leaf been healthy, the same answer would have cost {-math.log(0.2):.3f}."
        )
    for value, word in slips:
        if abs(loss - value) < 1e-3:
            return word
    return f"{loss:.3f} it is not."

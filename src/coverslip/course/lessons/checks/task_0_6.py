# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = ("interval(10, 10) returns two numbers, the lower end first.", "interval(10, 10)[0] is the first of the two.")


def grade(lower_end):
    """The lower end of the exact 95 % interval for 10 correct predictions of 10."""
    if isinstance(lower_end, tuple | list):
        return "These are two numbers, the lower end and the upper end. Write [0] after the call to take the first."
    value = float(lower_end)
    if abs(value - 0.6915) < 0.006 or abs(value - 69.15) < 0.6:
        return Passed("0.69. With ten of ten correct, the network may still be wrong on almost every third slide.")
    if abs(value - 1) < 1e-9:
        return "This is the upper end. How low could the true accuracy be?"
    if abs(value - 0.555) < 0.001:
        return "This is for nine of ten; your colleague had ten of ten."
    return f"{value:.3f} is not correct."

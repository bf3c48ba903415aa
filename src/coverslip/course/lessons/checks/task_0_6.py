# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = ("interval(10, 10) gives two numbers, the lower end first.", "interval(10, 10)[0] is the first of the two.")


def judge(lower_end):
    """The lower end of the exact 95 % interval of 10 right answers of 10."""
    if isinstance(lower_end, tuple | list):
        return "These are two numbers, the lower end and the upper end. [0] behind it takes the first."
    value = float(lower_end)
    if abs(value - 0.6915) < 0.006 or abs(value - 69.15) < 0.6:
        return Passed("0.69. Ten right answers of ten: and it may still be wrong on nearly every third slide.")
    if abs(value - 1) < 1e-9:
        return "That is the upper end. How bad could it still be?"
    if abs(value - 0.555) < 0.001:
        return "That is for nine of ten; your colleague had ten of ten."
    return f"{value:.3f} it is not."

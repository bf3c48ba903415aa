# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/04_improving.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "A dense layer has a weight from each input to each output, and a bias for each output. Frozen ones do not count.",
    "1280 * classes weights and classes biases.",
)


def judge(count: int, classes: int):
    """Weights and biases of the one layer that is trained."""
    if count > 1_000_000:
        return "The frozen numbers are there, but they are frozen: nothing trains them."
    if count == 1280 * classes:
        return "Close: an output has a bias, too."
    if count == 1281 and classes > 1:
        return "That is one output; there is one for each class."
    if count != 1281 * classes:
        return f"{count:,} it is not: one dense layer from 1,280 numbers to {classes}."
    return Passed(f"{count:,}: fewer than the dense layer of lesson 1 by a long way, and so they need fewer images.")

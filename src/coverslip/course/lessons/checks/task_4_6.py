# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/04_improving.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "A dense layer has a weight from each input to each output, and a bias for each output. Ignore frozen weights.",
    "1280 * classes weights and classes biases.",
)


def grade(count: int, classes: int):
    """The weights and biases of the trained layer."""
    if count > 1_000_000:
        return "The weights of the frozen network are not trained: they are frozen."
    if count == 1280 * classes:
        return "Close: each output has a bias, too."
    if count == 1281 and classes > 1:
        return "This is one output; there is one for each class."
    if count != 1281 * classes:
        return f"{count:,} is not correct: it is one dense layer from 1,280 features to {classes} outputs."
    return Passed(f"{count:,}: far fewer than in the dense layer of lesson 1, and so they need fewer images.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/01_your_first_network.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "There is a weight from every input to every class, and each class has a bias.",
    "49,152 weights for each of 2 classes, and 2 biases.",
)


def grade(parameters: int):
    """Weights and biases of one linear layer from 49,152 inputs to 2 classes."""
    if parameters == 98_304:
        return "These are the weights. The biases are missing."
    if parameters == 98_305:
        return "Almost: each class has one bias."
    if parameters in (49_152, 49_153):
        return "This is enough for one class only. There are two logits, and each needs its own weights."
    if parameters == 147_458:
        return "Center stores a mean image of 49,152 numbers, but they are fixed: it itself has no parameters to learn."
    if parameters != 98_306:
        return f"{parameters:,} is not correct."
    return Passed("98,306: 49,152 weights for each of two classes, and two biases.")

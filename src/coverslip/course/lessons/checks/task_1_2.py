# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/01_your_first_network.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "From every input a weight goes to every class; and each class has a bias.",
    "49,152 weights for each of 2 classes, and 2 biases.",
)


def judge(parameters: int):
    """Weights and biases of one linear layer from 49,152 inputs to 2 classes."""
    if parameters == 98_304:
        return "These are the weights. The biases are still to come."
    if parameters == 98_305:
        return "Nearly: each class has one bias."
    if parameters in (49_152, 49_153):
        return "That is enough for one class only. There are two scores, and each needs its own weights."
    if parameters == 147_458:
        return "Center has an average of 49,152 numbers, but they are fixed: it itself has no parameters to learn."
    if parameters != 98_306:
        return f"{parameters:,} it is not."
    return Passed("98,306: 49,152 weights for each of two classes, and two biases.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from collections.abc import Callable

import torch

HINTS = (
    "torch.where(x > 0, ..., ...): first the value above zero, then the value below zero.",
    "return torch.where(x > 0, x, 0.1 * x)",
)


def grade(leaky: Callable):
    """A function of a tensor: x above zero, 0.1 x below."""
    x = torch.tensor([-10.0, -1.0, 0.0, 1.0, 10.0])
    try:
        result = leaky(x)
    except RuntimeError as error:
        if "ambiguous" not in str(error):
            raise
        return "x contains many numbers at once, and 'if' can test only one. torch.where decides for each of them."
    if result is ...:
        return ""
    if result is None:
        return "The function has no result: add the word return."
    result = torch.as_tensor(result).float()
    if result.shape != x.shape:
        return f"For five numbers it should return five numbers; it returns {result.numel()}."
    if torch.allclose(result, torch.relu(x)):
        return "This is the plain ReLU: below zero its output and its slope are 0."
    if torch.allclose(result, torch.where(x > 0, 0.1 * x, x)):
        return "This is the wrong way round: use the tenth below zero."
    if (result[:2] > 0).any():
        return f"For -10 it returns {float(result[0]):g}; below zero it should stay below zero."
    if not torch.allclose(result, torch.where(x > 0, x, 0.1 * x), atol=1e-5):
        values = [round(value, 2) for value in result.tolist()]
        return f"For -10, -1, 0, 1, 10 it returns {values}; it should return -1, -0.1, 0, 1, 10."
    return Passed("Right. A leaky unit can be pushed below zero and still recover.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from collections.abc import Callable

import torch

HINTS = (
    "torch.where(x > 0, ..., ...): first what holds above zero, then what holds below.",
    "return torch.where(x > 0, x, 0.1 * x)",
)


def judge(leaky: Callable):
    """A function of a tensor: x above zero, 0.1 x below."""
    x = torch.tensor([-10.0, -1.0, 0.0, 1.0, 10.0])
    try:
        told = leaky(x)
    except RuntimeError as wrong:
        if "ambiguous" not in str(wrong):
            raise
        return "x holds many numbers at once, and if can ask about one only. torch.where decides for each of them."
    if told is ...:
        return ""
    if told is None:
        return "The function gives nothing back: it needs the word return."
    told = torch.as_tensor(told).float()
    if told.shape != x.shape:
        return f"For five numbers it gives {told.numel()}; it should give five."
    if torch.allclose(told, torch.relu(x)):
        return "That is the plain ReLU: below zero it gives 0, and its slope is 0 there."
    if torch.allclose(told, torch.where(x > 0, 0.1 * x, x)):
        return "That is the wrong way round: the tenth belongs below zero."
    if (told[:2] > 0).any():
        return f"To -10 it answers {float(told[0]):g}; below zero it should stay below zero."
    if not torch.allclose(told, torch.where(x > 0, x, 0.1 * x), atol=1e-5):
        return (
            f"For -10, -1, 0, 1, 10 it gives {[round(each, 2) for each in told.tolist()]}; wanted are -1, -0.1, 0, "
            "1, 10."
        )
    return Passed("Right. A leaky unit can be pushed below zero and still find its way back.")

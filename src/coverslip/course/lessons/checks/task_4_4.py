# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/04_improving.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import torch
from torch import nn

HINTS = (
    "It belongs behind the hidden layer: those are the units that should not rely on one another.",
    "nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 2))",
)


def judge(small: nn.Module):
    """A network of 100 numbers, 50 units with dropout of a half, and two outputs."""
    layers = [layer for layer in small.modules() if isinstance(layer, nn.Linear | nn.Dropout | nn.ReLU)]
    kinds = [type(layer).__name__ for layer in layers]
    if "Dropout" not in kinds:
        return "There is no dropout in it yet."
    if kinds[-1] == "Dropout":
        return "The dropout is behind the last layer: it switches off its answers, half of the time, at random."
    if kinds[0] == "Dropout":
        return "The dropout stands before anything was learned: it hides half of the input. Put it behind the ReLU."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in small.modules()):
        return "Leave the softmax away, as in lesson 3: two scores are wanted."
    share = next(layer.p for layer in layers if isinstance(layer, nn.Dropout))
    if share != 0.5:
        return f"It drops {share:g} of the units; one half is wanted."
    given = torch.ones(4, 100)
    with torch.no_grad():
        answer = small.eval()(given)
        again = small(given)
        small.train()
        noisy = [small(given) for _ in range(4)]
    if tuple(answer.shape) != (4, 2):
        return f"It answers with shape {tuple(answer.shape)}; two outputs a row are wanted."
    if not torch.equal(answer, again) or all(torch.equal(each, noisy[0]) for each in noisy):
        return "In training its answers to the same input should differ, and in use they should not."
    return Passed("In training it answers differently each time, in use always the same: that is dropout.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/04_improving.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import torch
from torch import nn

HINTS = (
    "Put it after the hidden layer: these are the units that should not rely on each other.",
    "nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, 2))",
)


def grade(small: nn.Module):
    """A network with 100 inputs, 50 units with dropout of one half, and two outputs."""
    layers = [layer for layer in small.modules() if isinstance(layer, nn.Linear | nn.Dropout | nn.ReLU)]
    kinds = [type(layer).__name__ for layer in layers]
    if "Dropout" not in kinds:
        return "There is no dropout in this network."
    if kinds[-1] == "Dropout":
        return "The dropout is after the last layer: it switches off its outputs, half of the time, at random."
    if kinds[0] == "Dropout":
        return "The dropout is before anything was learned: it hides half of the inputs. Put it after the ReLU."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in small.modules()):
        return "Omit the softmax, as in lesson 3: the outputs should be two logits."
    rate = next(layer.p for layer in layers if isinstance(layer, nn.Dropout))
    if rate != 0.5:
        return f"It drops {rate:g} of the units; the task asks for one half."
    inputs = torch.ones(4, 100)
    with torch.no_grad():
        first = small.eval()(inputs)
        second = small(inputs)
        small.train()
        in_training = [small(inputs) for _ in range(4)]
    if tuple(first.shape) != (4, 2):
        return f"Its output has the shape {tuple(first.shape)}; it should have two outputs per row."
    if not torch.equal(first, second) or all(torch.equal(output, in_training[0]) for output in in_training):
        return "In training mode its outputs for the same input should differ; in evaluation mode they should not."
    return Passed("In training mode its output differs each time, in evaluation mode it is always the same.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/03_convolutions.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import re

import torch
from torch import nn

HINTS = (
    "Look at one_block: put three blocks one after the other; the maps of one block are the channels of the next.",
    "After three halvings the output is 6 x 6 with 64 maps: nn.Flatten() then gives 6 * 6 * 64 numbers.",
)


def grade(network: nn.Module, classes: int):
    """A network of three blocks with 16, 32 and 64 filters, 64 units, and one output per class."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    try:
        with torch.no_grad():
            logits = network.eval()(torch.rand(2, 3, 48, 48))
    except RuntimeError as error:
        if "channels" in str(error):
            return "Two blocks do not match: the number of maps of a block must be the number of channels of the next."
        shapes = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error))
        if shapes:
            given, expected = (f"{int(size):,}" for size in shapes.groups())
            size = " Three halvings of 48 give 6 x 6 positions with 64 maps." if given == "2,304" else ""
            return f"nn.Flatten() gives {given} numbers, but the dense layer after it expects {expected}.{size}"
        return f"It does not accept an image of 3 x 48 x 48: {error}"
    if len(convolutions) != 3:
        return f"It has {len(convolutions)} convolutions; the task asks for three blocks."
    filters = [layer.out_channels for layer in convolutions]
    if filters != [16, 32, 64]:
        return f"Its blocks have {', '.join(map(str, filters))} filters; the task asks for 16, 32 and 64."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in network.modules()):
        return "Omit the softmax: coverslip.fit expects logits, and applies softmax itself."
    if tuple(logits.shape) != (2, classes):
        return (
            f"Its output for one image has the shape {tuple(logits.shape[1:])}; it needs one logit for each of "
            f"{classes} classes."
        )
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if len(dense) != 2 or dense[0].out_features != 64:
        return "End it like the other two networks, for a fair comparison: a dense layer of 64 units, then the classes."
    activations = sum(isinstance(layer, nn.ReLU) for layer in network.modules())
    if activations < 4:
        return "A ReLU is missing after the layer of 64 units: without it two dense layers are no more than one."
    count = sum(parameter.numel() for parameter in network.parameters())
    return Passed(f"Three blocks, {count:,} parameters, most of them in the first dense layer.")

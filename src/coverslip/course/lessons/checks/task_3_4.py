# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/03_convolutions.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import re

import torch
from torch import nn

HINTS = (
    "Look at one_block: three blocks stand one after the other, and the number of maps of one is what the next takes.",
    "After three halvings the image is 6 x 6 with 64 maps: nn.Flatten() then gives 6 * 6 * 64 numbers.",
)


def judge(network: nn.Module, classes: int):
    """Three blocks of 16, 32 and 64 filters, 64 units, one output a class."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    try:
        with torch.no_grad():
            scores = network.eval()(torch.rand(2, 3, 48, 48))
    except RuntimeError as error:
        if "channels" in str(error):
            return "Two blocks do not fit on one another: the maps that one gives are the channels that the next takes."
        found = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error))
        if found:
            given, wanted = (f"{int(each):,}" for each in found.groups())
            shape = " Three halvings of 48 leave 6 x 6 places with 64 maps." if given == "2,304" else ""
            return f"nn.Flatten() gives {given} numbers, and the dense layer after it takes {wanted}.{shape}"
        return f"It does not take an image of 3 x 48 x 48: {error}"
    if len(convolutions) != 3:
        return f"It has {len(convolutions)} convolutions; three blocks are wanted."
    filters = [layer.out_channels for layer in convolutions]
    if filters != [16, 32, 64]:
        return f"Its blocks have {', '.join(map(str, filters))} filters; 16, 32 and 64 are wanted."
    if any(isinstance(layer, nn.Softmax | nn.LogSoftmax) for layer in network.modules()):
        return "Leave the softmax away: coverslip.fit takes scores, and applies it itself."
    if tuple(scores.shape) != (2, classes):
        return (
            f"It answers an image with {tuple(scores.shape[1:])} numbers; one for each of {classes} classes is wanted."
        )
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if len(dense) != 2 or dense[0].out_features != 64:
        return (
            "Let it end as the other two do, so that they can be compared: a dense layer of 64 units, then the classes."
        )
    activations = sum(isinstance(layer, nn.ReLU) for layer in network.modules())
    if activations < 4:
        return "A ReLU is missing behind the layer of 64 units: without it two dense layers are worth no more than one."
    numbers = sum(each.numel() for each in network.parameters())
    return Passed(f"Three blocks, {numbers:,} parameters, most of them in the first dense layer.")

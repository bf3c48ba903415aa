# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/03_convolutions.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import torch
from torch import nn

HINTS = (
    "Up to the third block it is the network of task 3.4; no nn.Linear follows.",
    "Then nn.Conv2d(64, 64, 6), nn.ReLU(), nn.Conv2d(64, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()",
)


def grade(network: nn.Module, classes: int):
    """A network without dense layers that returns one logit per class for images of any size."""
    if any(isinstance(layer, nn.Linear) for layer in network.modules()):
        return "It contains a dense layer, which accepts images of one size only. Replace it with a convolution."
    shapes = {}
    for side in (48, 96):
        try:
            with torch.no_grad():
                shapes[side] = tuple(network.eval()(torch.rand(2, 3, side, side)).shape)
        except RuntimeError as error:
            return f"It does not accept images of {side} x {side}: {error}"
    if not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in network.modules()):
        small, large = shapes[48][1:], shapes[96][1:]
        return f"Its output is {small} for 48 pixels and {large} for 96: the average over positions is missing."
    if len(shapes[48]) != 2:
        return f"Its output has the shape {shapes[48][1:]}: add nn.Flatten() at the end to get a row of logits."
    if shapes[48] != (2, classes):
        return f"Its output has {shapes[48][1]} numbers; it needs one for each of {classes} classes."
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    kernels = [layer.kernel_size[0] for layer in convolutions]
    if kernels != [3, 3, 3, 6, 1]:
        found = ", ".join(map(str, kernels))
        return (
            f"It accepts any size. But its kernels are {found}; to have the weights of task 3.4, they must be "
            "3, 3, 3, 6, 1."
        )
    if sum(isinstance(layer, nn.ReLU) for layer in network.modules()) < 4:
        return "A ReLU is missing after the convolution with the kernel of 6."
    if any(layer.padding != (0, 0) or layer.stride != (1, 1) for layer in convolutions[-2:]):
        return "Use the last two convolutions without padding and with stride 1: 6 then has one position on 6 x 6."
    order = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.AdaptiveAvgPool2d)]
    if not isinstance(order[-1], nn.AdaptiveAvgPool2d):
        return "The average comes last: first compute the logits at each position, since we want to see them."
    count = sum(parameter.numel() for parameter in network.parameters())
    return Passed(f"{count:,} parameters, as many as the three blocks with dense layers, and it accepts any size.")

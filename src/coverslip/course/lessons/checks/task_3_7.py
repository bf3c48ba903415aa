# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/03_convolutions.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import torch
from torch import nn

HINTS = (
    "Up to the third block it is the network of task 3.4; no nn.Linear follows.",
    "Then nn.Conv2d(64, 64, 6), nn.ReLU(), nn.Conv2d(64, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()",
)


def judge(network: nn.Module, classes: int):
    """A network without dense layers that answers images of any size with one score a class."""
    if any(isinstance(layer, nn.Linear) for layer in network.modules()):
        return "There is a dense layer in it, which wants images of one size. A convolution takes its place."
    shapes = {}
    for side in (48, 96):
        try:
            with torch.no_grad():
                shapes[side] = tuple(network.eval()(torch.rand(2, 3, side, side)).shape)
        except RuntimeError as error:
            return f"It does not take images of {side} x {side}: {error}"
    if not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in network.modules()):
        small, large = shapes[48][1:], shapes[96][1:]
        return f"It gives {small} numbers at 48 pixels and {large} at 96: the average over places is missing."
    if len(shapes[48]) != 2:
        return f"It answers with shape {shapes[48][1:]}: an nn.Flatten() at the end makes a row of scores of it."
    if shapes[48] != (2, classes):
        return f"It answers with {shapes[48][1]} numbers; {classes} classes are wanted."
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    kernels = [layer.kernel_size[0] for layer in convolutions]
    if kernels != [3, 3, 3, 6, 1]:
        said = ", ".join(map(str, kernels))
        return f"It takes any size. Its kernels are {said}; to be the twin of task 3.4, they have to be 3, 3, 3, 6, 1."
    if sum(isinstance(layer, nn.ReLU) for layer in network.modules()) < 4:
        return "A ReLU is missing behind the convolution with the kernel of 6."
    if any(layer.padding != (0, 0) or layer.stride != (1, 1) for layer in convolutions[-2:]):
        return "The last two convolutions stand without padding and move by 1: 6 then finds one place on 6 x 6."
    order = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.AdaptiveAvgPool2d)]
    if not isinstance(order[-1], nn.AdaptiveAvgPool2d):
        return "The average comes last: first the classes at each place, since we want to see those, then the average."
    numbers = sum(each.numel() for each in network.parameters())
    return Passed(f"{numbers:,} parameters, as many as the three blocks with dense layers, and it takes any size.")

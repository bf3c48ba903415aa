"""The networks of a first course, trained from scratch: one layer, dense layers, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.design import Design
from coverslip.models.entry import NETWORKS, NetworkEntry
from coverslip.models.stages import CLASSIFIER, Staged

HIDDEN = (128,)
NEVER_FALL = ("relu", "leaky-relu", "elu", "tanh", "sigmoid")  # a larger input never gives a smaller output
FILTERS = (32, 64, 128)
MAKERS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),  # what stands before it does not need its output again
    "leaky-relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


@NETWORKS.register("linear")
def linear() -> NetworkEntry:
    """One layer: a weight for each pixel and class (softmax regression)."""
    return NetworkEntry(
        build=lambda design, classes: Staged(
            {"flatten": nn.Flatten(), CLASSIFIER: nn.Linear(_pixels(design), classes)}
        ),
        stages=lambda design: ("flatten", CLASSIFIER),
        size=(64, 64),
        suits="what pixels alone tell",
    )


@NETWORKS.register("mlp")
def mlp() -> NetworkEntry:
    """Dense layers: each is linear - [batch norm] - activation - [dropout]."""
    return NetworkEntry(
        build=_build_mlp,
        stages=lambda design: ("flatten", *_numbered("hidden", design.hidden or HIDDEN), CLASSIFIER),
        size=(64, 64),
        options=("hidden", "batch_norm", "dropout", "activation"),
        suits="lessons; images cut alike",
    )


@NETWORKS.register("cnn")
def cnn() -> NetworkEntry:
    """Blocks of convolution - [batch norm] - activation - max pool 2 - [dropout], then flattened to dense layers."""
    return NetworkEntry(
        build=_build_cnn,
        stages=lambda design: (*_numbered("block", design.filters or FILTERS), "dense", CLASSIFIER),
        size=(64, 64),
        options=("hidden", "filters", "batch_norm", "dropout", "activation"),
        suits="small images, from scratch",
    )


@NETWORKS.register("cnn-full")
def cnn_full() -> NetworkEntry:
    """The same blocks, then the average of each filter over the image: fully convolutional, takes any size.

    Averaging and then one linear layer gives the same scores as a 1 x 1 convolution to the classes and then averaging,
    since both are linear; Lin, Chen and Yan, Network in network, 2014.
    """
    return NetworkEntry(
        build=_build_cnn_full,
        stages=lambda design: (*_numbered("block", design.filters or FILTERS), "pool", CLASSIFIER),
        size=(64, 64),
        options=("filters", "batch_norm", "dropout", "activation"),
        suits="the same, few parameters",
    )


def _build_mlp(design: Design, classes: int) -> Staged:
    stages: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    units = [_pixels(design), *(design.hidden or HIDDEN)]
    for number, (inputs, outputs) in enumerate(pairwise(units), 1):
        stages[f"hidden{number}"] = nn.Sequential(*_dense(design, inputs, outputs))
    return _drawn(design, Staged({**stages, CLASSIFIER: nn.Linear(units[-1], classes)}))


def _build_cnn(design: Design, classes: int) -> Staged:
    stages = _blocks(design)
    filters = design.filters or FILTERS
    height, width = (side >> len(filters) for side in design.size)
    units = [height * width * filters[-1], *(design.hidden or HIDDEN)]
    layers = [layer for inputs, outputs in pairwise(units) for layer in _dense(design, inputs, outputs)]
    stages["dense"] = nn.Sequential(nn.Flatten(), *layers)
    return _drawn(design, Staged({**stages, CLASSIFIER: nn.Linear(units[-1], classes)}))


def _build_cnn_full(design: Design, classes: int) -> Staged:
    stages = _blocks(design)
    stages["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *_dropout(design))
    return _drawn(design, Staged({**stages, CLASSIFIER: nn.Linear((design.filters or FILTERS)[-1], classes)}))


def _blocks(design: Design) -> dict[str, nn.Module]:
    filters = design.filters or FILTERS
    if min(design.size) >> len(filters) < 1:
        raise UserError(
            f"images of {design.size[0]} x {design.size[1]} pixels are too small to be halved {len(filters)} times",
            f"give at least {1 << len(filters)} pixels a side, or fewer blocks of filters",
        )
    stages: dict[str, nn.Module] = {}
    last = len(filters)
    for number, (inputs, outputs) in enumerate(pairwise([design.channels, *filters]), 1):
        activation, pool = MAKERS[design.activation](), nn.MaxPool2d(2)
        # The largest of four goes through an activation that never falls as the largest: pooling first gives the same
        # numbers and leaves a quarter of them to activate (a step takes 6 to 11 % less).
        ending = [pool, activation] if design.activation in NEVER_FALL else [activation, pool]
        stages[f"block{number}"] = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=not design.batch_norm),  # the norm has its own shift
            *([nn.BatchNorm2d(outputs)] if design.batch_norm else []),
            *ending,
            *(_dropout(design) if number < last else []),  # the last block's stands before the classifier
        )
    return stages


def _dense(design: Design, inputs: int, outputs: int) -> list[nn.Module]:
    norm = [nn.BatchNorm1d(outputs)] if design.batch_norm else []
    return [
        nn.Linear(inputs, outputs, bias=not design.batch_norm),
        *norm,
        MAKERS[design.activation](),
        *_dropout(design),
    ]


def _dropout(design: Design) -> list[nn.Module]:
    return [nn.Dropout(design.dropout)] if design.dropout else []


def _pixels(design: Design) -> int:
    return design.channels * design.size[0] * design.size[1]


def _numbered(name: str, layers: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in range(1, len(layers) + 1))


def _drawn(design: Design, network: Staged) -> Staged:
    """Weights drawn so that signals keep their size from layer to layer (He et al., ICCV 2015); biases 0."""
    straight = design.activation in ("tanh", "sigmoid")  # they do not cut off a half as the others do
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            linear = straight or name == CLASSIFIER
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if linear else "relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network

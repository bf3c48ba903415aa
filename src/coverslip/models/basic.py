"""Basic networks, trained from scratch: softmax regression, multilayer perceptron, convolutional networks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.design import Design
from coverslip.models.entry import NETWORKS, NetworkEntry
from coverslip.models.stages import CLASSIFIER, Staged

DEFAULT_HIDDEN = (128,)
MONOTONIC = ("relu", "leaky-relu", "elu", "tanh", "sigmoid")  # non-decreasing activations
DEFAULT_FILTERS = (32, 64, 128)
ACTIVATION_MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),  # the layer before it does not need its output for the gradient
    "leaky-relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


@NETWORKS.register("linear")
def linear() -> NetworkEntry:
    """Softmax regression: a single linear layer with one weight per pixel and class."""
    return NetworkEntry(
        build=lambda design, classes: Staged(
            {"flatten": nn.Flatten(), CLASSIFIER: nn.Linear(_num_inputs(design), classes)}
        ),
        stages=lambda design: ("flatten", CLASSIFIER),
        size=(64, 64),
        suited_for="baseline on raw pixels",
    )


@NETWORKS.register("mlp")
def mlp() -> NetworkEntry:
    """Multilayer perceptron: each hidden layer is linear - [batch norm] - activation - [dropout]."""
    return NetworkEntry(
        build=_build_mlp,
        stages=lambda design: ("flatten", *_numbered("hidden", design.hidden or DEFAULT_HIDDEN), CLASSIFIER),
        size=(64, 64),
        options=("hidden", "batch_norm", "dropout", "activation"),
        suited_for="lessons; aligned images",
    )


@NETWORKS.register("cnn")
def cnn() -> NetworkEntry:
    """Blocks of convolution - [batch norm] - activation - max pool 2 - [dropout], flattened, then dense layers."""
    return NetworkEntry(
        build=_build_cnn,
        stages=lambda design: (*_numbered("block", design.filters or DEFAULT_FILTERS), "dense", CLASSIFIER),
        size=(64, 64),
        options=("hidden", "filters", "batch_norm", "dropout", "activation"),
        suited_for="small images, from scratch",
    )


@NETWORKS.register("cnn-full")
def cnn_full() -> NetworkEntry:
    """The same blocks, then global average pooling: fully convolutional, accepts images of any size.

    Averaging followed by a linear layer gives the same logits as a 1 x 1 convolution to the classes followed by
    averaging, because both are linear; Lin, Chen and Yan, Network in network, 2014.
    """
    return NetworkEntry(
        build=_build_cnn_full,
        stages=lambda design: (*_numbered("block", design.filters or DEFAULT_FILTERS), "pool", CLASSIFIER),
        size=(64, 64),
        options=("filters", "batch_norm", "dropout", "activation"),
        suited_for="as cnn, fewer parameters",
    )


def _build_mlp(design: Design, classes: int) -> Staged:
    stages: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    units = [_num_inputs(design), *(design.hidden or DEFAULT_HIDDEN)]
    for number, (inputs, outputs) in enumerate(pairwise(units), 1):
        stages[f"hidden{number}"] = nn.Sequential(*_dense(design, inputs, outputs))
    return _initialize(design, Staged({**stages, CLASSIFIER: nn.Linear(units[-1], classes)}))


def _build_cnn(design: Design, classes: int) -> Staged:
    stages = _blocks(design)
    filters = design.filters or DEFAULT_FILTERS
    height, width = (side >> len(filters) for side in design.size)
    units = [height * width * filters[-1], *(design.hidden or DEFAULT_HIDDEN)]
    layers = [layer for inputs, outputs in pairwise(units) for layer in _dense(design, inputs, outputs)]
    stages["dense"] = nn.Sequential(nn.Flatten(), *layers)
    return _initialize(design, Staged({**stages, CLASSIFIER: nn.Linear(units[-1], classes)}))


def _build_cnn_full(design: Design, classes: int) -> Staged:
    stages = _blocks(design)
    stages["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *_dropout(design))
    classifier = nn.Linear((design.filters or DEFAULT_FILTERS)[-1], classes)
    return _initialize(design, Staged({**stages, CLASSIFIER: classifier}))


def _blocks(design: Design) -> dict[str, nn.Module]:
    filters = design.filters or DEFAULT_FILTERS
    if min(design.size) >> len(filters) < 1:
        raise UserError(
            f"images of {design.size[0]} x {design.size[1]} pixels are too small to be halved {len(filters)} times",
            f"use at least {1 << len(filters)} pixels per side, or fewer convolution blocks (filters)",
        )
    stages: dict[str, nn.Module] = {}
    last = len(filters)
    for number, (inputs, outputs) in enumerate(pairwise([design.channels, *filters]), 1):
        activation, pool = ACTIVATION_MODULES[design.activation](), nn.MaxPool2d(2)
        # A monotonic activation commutes with the maximum: pooling first gives the same result and leaves a quarter of
        # the values to activate (6 to 11 % less time per step).
        ending = [pool, activation] if design.activation in MONOTONIC else [activation, pool]
        stages[f"block{number}"] = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=not design.batch_norm),  # batch norm has its own shift
            *([nn.BatchNorm2d(outputs)] if design.batch_norm else []),
            *ending,
            *(_dropout(design) if number < last else []),  # after the last block it precedes the classifier
        )
    return stages


def _dense(design: Design, inputs: int, outputs: int) -> list[nn.Module]:
    norm = [nn.BatchNorm1d(outputs)] if design.batch_norm else []
    return [
        nn.Linear(inputs, outputs, bias=not design.batch_norm),
        *norm,
        ACTIVATION_MODULES[design.activation](),
        *_dropout(design),
    ]


def _dropout(design: Design) -> list[nn.Module]:
    return [nn.Dropout(design.dropout)] if design.dropout else []


def _num_inputs(design: Design) -> int:
    return design.channels * design.size[0] * design.size[1]


def _numbered(name: str, layers: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in range(1, len(layers) + 1))


def _initialize(design: Design, network: Staged) -> Staged:
    """Initialize weights so that the variance of activations is preserved (He et al., ICCV 2015); biases are 0."""
    symmetric = design.activation in ("tanh", "sigmoid")  # the gain of 2 is for activations that cut off one half
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            is_linear = symmetric or name == CLASSIFIER
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if is_linear else "relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network

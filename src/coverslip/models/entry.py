"""Catalog entry of a network, and the registry of built-in networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coverslip.core.registry import Registry
from coverslip.models.design import Design
from coverslip.models.stages import Staged

OPTIONS = ("hidden", "filters", "batch_norm", "dropout", "activation")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkEntry:
    """Properties of a network that are known before it is built.

    Attributes:
        build: function (design, number of classes) -> network with random weights from PyTorch's global generator. If
            ``first_conv`` is set, it is called with 3 channels.
        stages: function design -> names of the stages in order, without building the network.
        size: recommended input (height, width) in pixels; for pretrained weights the size of their training.
        mean: mean for normalization, the same for all channels, on the scale 0 to 1.
        std: standard deviation for normalization, likewise.
        options: supported options out of `OPTIONS`.
        load: function design -> network with pretrained weights for 3 channels; None if there are none.
        has_weights: function that returns whether these weights are on disk.
        tail: first stage that ``--depth tail`` trains; "" if the network can only be trained as a whole.
        first_conv: dotted name of the first convolution, which is adapted to the number of channels; "" if ``build``
            does this.
        size_dependent: whether the weights depend on the input size.
        origin: source of the weights, for the report.
        licence: licence of the weights; "" if there are none.
        packages: packages whose versions determine the result of ``build`` and ``load``.
        suited_for: typical use, in a few words.
    """

    build: Callable[[Design, int], Staged]
    stages: Callable[[Design], tuple[str, ...]]
    size: tuple[int, int]
    mean: float = 0.5
    std: float = 0.25
    options: tuple[str, ...] = ()
    load: Callable[[Design], Staged] | None = None
    has_weights: Callable[[], bool] = lambda: False
    tail: str = ""
    first_conv: str = ""
    size_dependent: bool = False
    origin: str = ""
    licence: str = ""
    packages: tuple[str, ...] = ("torch",)
    suited_for: str = ""


NETWORKS: Registry[Callable[[], NetworkEntry]] = Registry("network")

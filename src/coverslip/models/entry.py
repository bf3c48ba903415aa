"""The entry of a network in the catalog, and the registry of the project's own networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coverslip.core.registry import Registry
from coverslip.models.design import Design
from coverslip.models.stages import Staged

OPTIONS = ("hidden", "filters", "batch_norm", "dropout", "activation")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkEntry:
    """What the rest of the program needs to know of a network before it is built.

    Attributes:
        build: (design, classes) -> the network with random weights; torch's seed is the caller's. With ``first`` it
            is built for 3 channels.
        stages: design -> names of the stages in order, without building it.
        size: (height, width) that suits it; for pretrained weights what they were trained at, pixels.
        mean: of the input, one number for all channels, on the scale 0 to 1.
        std: likewise.
        options: which of hidden, filters, batch_norm, dropout, activation the network knows.
        load: design -> the network with its pretrained weights, for 3 channels; None where it is trained from scratch.
        has_weights: whether those weights are on disk now.
        tail: the stage from which ``--depth tail`` trains; "" where only everything can be trained.
        first: dotted name of the first convolution, which is adapted to the channels; "" where build does that.
        by_size: whether weights depend on the images' size.
        origin: where the weights come from, for the report.
        licence: of the weights; "" where there are none.
        packages: whose versions decide what ``build`` and ``load`` give.
        suits: what it is good for, in a few words.
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
    first: str = ""
    by_size: bool = False
    origin: str = ""
    licence: str = ""
    packages: tuple[str, ...] = ("torch",)
    suits: str = ""


NETWORKS: Registry[Callable[[], NetworkEntry]] = Registry("network")

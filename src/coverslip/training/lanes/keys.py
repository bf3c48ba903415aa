"""Which networks can be trained in one pass, and where that is worth it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from torch import nn

from coverslip.core.devices import pick_device
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes.crew import crew_size
from coverslip.training.lanes.layers import Layer, describe, read_layers


def can_stack(network: nn.Module, config: TrainingConfig | None = None) -> bool:
    """Whether a network can be a lane: a chain of layers that are known, each of which is trained in float32.

    Linear layers, convolutions and batch norm with the usual activations, pools and dropout can; a frozen layer, a
    branch, or a layer of the user's own cannot.

    Args:
        network: as it would be given to `coverslip.training.loop.train_network`.
        recipe: None does not look at it. Accumulated batches, averaged weights and bfloat16 are not for lanes.
    """
    if config is not None and (config.accumulate > 1 or config.ema or config.precision != "float32"):
        return False
    return read_layers(network) is not None


def stack_key(network: nn.Module, config: TrainingConfig) -> Hashable:
    """Lanes of equal key can be in one `Stack`, and are alike enough in width that it pays.

    Rate, schedule, epochs, weight decay, L2, momentum, smoothing, class weights, dropout, seed and rows may differ, and
    so may the width of a hidden layer, up to the next power of two. A network that cannot be stacked has a key of its
    own at each call.
    """
    layers = read_layers(network)
    if layers is None or not can_stack(network, config):
        return object()
    widths = tuple((layer.width - 1).bit_length() for layer in layers if isinstance(layer.module, nn.Linear))
    return (*needed(layers, config).items(), widths)


def needed(layers: list[Layer], config: TrainingConfig) -> dict[str, Hashable]:
    """What must be equal of two lanes, by what a reader would call it."""
    config = config.filled()
    linear = [layer.module for layer in layers if isinstance(layer.module, nn.Linear)]
    return {
        "layers": tuple(describe(layer) for layer in layers),
        "inputs": linear[0].in_features if linear else 0,
        "outputs": linear[-1].out_features if linear else 0,
        "batch size": config.batch_size,
        "optimizer": "sgd" if config.optimizer == "sgd" else "adam",
        "Nesterov's momentum": config.nesterov,
        "loss": "focal" if config.loss == "focal" and config.gamma else "cross-entropy",
        "clipping": bool(config.clip),
    }


def pays(network: nn.Module, lanes: int) -> bool:
    """Whether so many lanes are faster in one pass than one after another, as measured on a CPU of two cores.

    Heads and dense networks gain by one wide product for all lanes, and by steps that Python asks for once.
    Convolutions gain nothing from being wide; but a core a lane is faster than all cores within one convolution, so
    that they need two cores. On other devices they were not measured. See ``benchmarks/tuning_lanes.py``.
    """
    layers = read_layers(network)
    if layers is None or lanes < 2:
        return False
    return crew_size(pick_device()) > 1 or not any(isinstance(layer.module, nn.Conv2d) for layer in layers)


def passes(
    networks: Sequence[nn.Module], recipes: Sequence[TrainingConfig], data: Sequence[Hashable] = ()
) -> list[list[int]]:
    """Which networks are trained in one pass: their places, together where that pays, else each by itself.

    Args:
        networks: L.
        recipes: L.
        data: L names of what each is trained on; without them all are trained on the same.
    """
    alike: dict[Hashable, list[int]] = {}
    for place, (network, config) in enumerate(zip(networks, recipes, strict=True)):
        alike.setdefault((data[place] if data else None, stack_key(network, config)), []).append(place)
    found = []
    for places in alike.values():
        found += [places] if pays(networks[places[0]], len(places)) else [[place] for place in places]
    return found

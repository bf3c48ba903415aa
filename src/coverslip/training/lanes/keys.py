"""Which networks can be trained in one stack, and when that is faster."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from torch import nn

from coverslip.core.devices import pick_device
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes.layers import LayerSpec, layer_signature, read_layers
from coverslip.training.lanes.workers import num_workers


def can_stack(network: nn.Module, config: TrainingConfig | None = None) -> bool:
    """Return whether a network can be a lane: a chain of supported layers, all trained in float32.

    Supported are linear layers, convolutions and batch norm with the usual activations, pooling layers and dropout.
    Frozen layers, branches and custom layers are not.

    Args:
        network: the network, as for `coverslip.training.loop.train_network`.
        config: training config; None to check the network only. Accumulated batches, averaged weights (EMA) and
            bfloat16 are not supported in lanes.
    """
    if config is not None and (config.accumulate > 1 or config.ema or config.precision != "float32"):
        return False
    return read_layers(network) is not None


def stack_key(network: nn.Module, config: TrainingConfig) -> Hashable:
    """Return a key that is equal for networks and configs that can share a `Stack` efficiently.

    Learning rate, schedule, epochs, weight decay, L2, momentum, label smoothing, class weights, dropout, seed and rows
    may differ, and so may the width of a hidden layer, up to the next power of two. A network that cannot be stacked
    gets a unique key at each call.
    """
    layers = read_layers(network)
    if layers is None or not can_stack(network, config):
        return object()
    widths = tuple((layer.width - 1).bit_length() for layer in layers if isinstance(layer.module, nn.Linear))
    return (*stack_requirements(layers, config).items(), widths)


def stack_requirements(layers: list[LayerSpec], config: TrainingConfig) -> dict[str, Hashable]:
    """Return what all lanes of a stack must have in common, under names for error messages."""
    config = config.filled()
    linear = [layer.module for layer in layers if isinstance(layer.module, nn.Linear)]
    return {
        "layers": tuple(layer_signature(layer) for layer in layers),
        "inputs": linear[0].in_features if linear else 0,
        "outputs": linear[-1].out_features if linear else 0,
        "batch sizes": config.batch_size,
        "optimizers": "sgd" if config.optimizer == "sgd" else "adam",
        "Nesterov settings": config.nesterov,
        "losses": "focal" if config.loss == "focal" and config.gamma else "cross-entropy",
        "clipping settings": bool(config.clip),
    }


def stacking_is_faster(network: nn.Module, lanes: int) -> bool:
    """Return whether training lanes in one pass is faster than one after another, as measured on a CPU with two cores.

    Heads and dense networks gain from one wide matrix product for all lanes, and from fewer Python calls. Convolutions
    do not gain from being wide, but one core per lane is faster than all cores within one convolution, so they need at
    least two cores. Other devices were not measured. See ``benchmarks/tuning_lanes.py``.
    """
    layers = read_layers(network)
    if layers is None or lanes < 2:
        return False
    return num_workers(pick_device()) > 1 or not any(isinstance(layer.module, nn.Conv2d) for layer in layers)


def group_into_passes(
    networks: Sequence[nn.Module], configs: Sequence[TrainingConfig], data: Sequence[Hashable] = ()
) -> list[list[int]]:
    """Group networks into passes: together where that is possible and faster, else one network per pass.

    Args:
        networks: L networks.
        configs: L training configs.
        data: L keys of the training data; empty if all networks are trained on the same data.

    Returns:
        Indices of the networks in each pass.
    """
    compatible: dict[Hashable, list[int]] = {}
    for index, (network, config) in enumerate(zip(networks, configs, strict=True)):
        compatible.setdefault((data[index] if data else None, stack_key(network, config)), []).append(index)
    result = []
    for indices in compatible.values():
        together = stacking_is_faster(networks[indices[0]], len(indices))
        result += [indices] if together else [[index] for index in indices]
    return result

"""One lane of a stack: its own settings, checked as in a separate training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.errors import UserError
from coverslip.training.balance import choose_balance
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.checks import check_batch_norm, check_output
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes.keys import can_stack, stack_requirements
from coverslip.training.lanes.layers import LayerSpec, layer_tensors, read_layers
from coverslip.training.lanes.orders import BatchOrder
from coverslip.training.schedules import SCHEDULES


@dataclass(slots=True)
class Lane:
    """The settings of one lane; its weights are in the tensors of the stack.

    Attributes:
        number: index of its network.
        config: its training config, without None.
        order: the order of its images.
        names: name of a stacked tensor -> name in the state dict of its network, and shape there.
        dropout: index of a layer -> dropout rate of its outputs, and their width (0: the same in all lanes).
        class_weights: class weights in its loss, float32 (K,).
        merge_last: whether a last batch of one image is merged with the previous batch.
        length: steps per epoch.
        steps: completed steps.
    """

    number: int
    config: TrainingConfig
    order: BatchOrder
    names: dict[str, tuple[str, tuple[int, ...]]]
    dropout: dict[int, tuple[float, int]]
    class_weights: Tensor
    merge_last: bool
    length: int = 0
    steps: int = 0

    @property
    def epochs(self) -> int:
        """Planned epochs."""
        return self.config.epochs or 0

    def lrs(self, epoch: int) -> npt.NDArray[np.float64]:
        """Return the learning rate of each step of an epoch (from 0)."""
        config = self.config
        return (config.lr or 0.0) * _lr_factors(config.schedule, self.length, self.epochs, config.warmup, epoch)


@lru_cache(16)
def _lr_factors(schedule: str, length: int, epochs: int, warmup: float, epoch: int) -> npt.NDArray[np.float64]:
    """Return the factor of the peak learning rate at each step of an epoch; usually the same for all lanes."""
    factor = SCHEDULES[schedule]
    return np.array([factor(step, length * epochs, warmup) for step in range(epoch * length, (epoch + 1) * length)])


def make_lanes(
    networks: Sequence[nn.Module],
    configs: Sequence[TrainingConfig],
    inputs: Inputs,
    labels: IntArray,
    classes: int,
    rows: Sequence[IntArray] | None,
    device: torch.device,
) -> tuple[list[Lane], list[list[LayerSpec]]]:
    """Return the lanes, and the layers of each network.

    Raises:
        UserError: a network cannot be stacked, or not with the first one; or see `coverslip.training.checks`.
    """
    if not networks or len(networks) != len(configs) or (rows is not None and len(rows) != len(networks)):
        given = f"{len(networks)} networks and {len(configs)} configs"
        given += "" if rows is None else f" and {len(rows)} arrays of rows"
        raise UserError(f"a stack got {given}", "give at least one network, and one config (and rows) per network")
    all_rows = np.arange(len(labels), dtype=np.int64)
    lanes: list[Lane] = []
    all_layers: list[list[LayerSpec]] = []
    for number, (network, given_config) in enumerate(zip(networks, configs, strict=True)):
        layers = read_layers(network)
        if layers is None or not can_stack(network, given_config):
            raise UserError(
                f"network {number} cannot be trained in a stack",
                "train it separately; coverslip.training.lanes.can_stack tells which networks can be stacked",
            )
        all_layers.append(layers)
        _check_compatible(number, layers, given_config, all_layers[0], configs[0])
        lane_rows = all_rows if rows is None else _check_rows(rows[number], len(labels), number)
        config = given_config.filled()
        balance = choose_balance(np.bincount(labels[lane_rows], minlength=classes).tolist(), config)
        weights = np.ones(classes, np.float32) if balance.weights is None else balance.weights
        lane = Lane(
            number=number,
            config=config,
            order=BatchOrder(config.seed, lane_rows, labels[lane_rows], balance.resampled),
            names=_names(layers),
            dropout={
                index: (layer.dropout, layer.width if isinstance(layer.module, nn.Linear) or layer.width else 0)
                for index, layer in enumerate(layers)
                if layer.dropout
            },
            class_weights=torch.from_numpy(weights),
            merge_last=check_batch_norm(network, config, len(lane_rows)),
        )
        lane.length = len(lane.order.steps(0, config.batch_size or 0, lane.merge_last))
        lanes.append(lane)
    check_output(copy.deepcopy(networks[0]).to(device), inputs, classes, device)
    return lanes, all_layers


def _names(layers: Sequence[LayerSpec]) -> dict[str, tuple[str, tuple[int, ...]]]:
    names = {}
    for index, layer in enumerate(layers):
        for name, tensor in layer_tensors(layer).items():
            names[f"{index}.{name}"] = (f"{layer.name}.{name}" if layer.name else name, tuple(tensor.shape))
    return names


def _check_compatible(
    number: int,
    layers: list[LayerSpec],
    config: TrainingConfig,
    first_layers: list[LayerSpec],
    first_config: TrainingConfig,
) -> None:
    requirements, first = stack_requirements(layers, config), stack_requirements(first_layers, first_config)
    for name, value in requirements.items():
        if value != first[name]:
            raise UserError(
                f"networks 0 and {number} cannot be in one stack: their {name} differ ({first[name]} and {value})",
                "stack only networks with equal coverslip.training.lanes.stack_key",
            )


def _check_rows(rows: IntArray, count: int, number: int) -> IntArray:
    array = np.asarray(rows)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            f"the rows of lane {number} are {array.dtype} of shape {array.shape}", "give a 1-D array of row indices"
        )
    if array.min() < 0 or array.max() >= count:
        raise UserError(
            f"the rows of lane {number} range from {array.min()} to {array.max()}, but there are {count} images",
            f"give rows from 0 to {count - 1}",
        )
    return array.astype(np.int64)

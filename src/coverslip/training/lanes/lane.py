"""One lane of a stack: what is its own, checked as its own training would check it."""

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
from coverslip.training.checks import check_answer, check_batch_norm
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes.keys import can_stack, needed
from coverslip.training.lanes.layers import Layer, own_tensors, read_layers
from coverslip.training.lanes.orders import Order
from coverslip.training.schedules import SCHEDULES


@dataclass(slots=True)
class Lane:
    """What a lane has of its own, but its weights.

    Attributes:
        number: place of its network among those that were given.
        recipe: with a number for every None.
        order: of its images.
        names: name in the pile -> name in its network's state dict, and shape there.
        drops: place of a layer -> the share that is dropped of its outputs, and its width (0: as wide as in all lanes).
        factors: float32 (K,), of the classes in its loss.
        joined: a last batch of one image joins the one before.
        length: steps of an epoch.
        steps: finished ones.
    """

    number: int
    config: TrainingConfig
    order: Order
    names: dict[str, tuple[str, tuple[int, ...]]]
    drops: dict[int, tuple[float, int]]
    factors: Tensor
    joined: bool
    length: int = 0
    steps: int = 0

    @property
    def epochs(self) -> int:
        """Of its whole training, by its training."""
        return self.config.epochs or 0

    def rates(self, epoch: int) -> npt.NDArray[np.float64]:
        """The learning rate of each step of an epoch (from 0)."""
        config = self.config
        return (config.lr or 0.0) * _factors(config.schedule, self.length, self.epochs, config.warmup, epoch)


@lru_cache(16)
def _factors(schedule: str, length: int, epochs: int, warmup: float, epoch: int) -> npt.NDArray[np.float64]:
    """Of the peak rate, at each step of an epoch; usually the same for all lanes."""
    factor = SCHEDULES[schedule]
    return np.array([factor(step, length * epochs, warmup) for step in range(epoch * length, (epoch + 1) * length)])


def make_lanes(
    networks: Sequence[nn.Module],
    recipes: Sequence[TrainingConfig],
    inputs: Inputs,
    labels: IntArray,
    classes: int,
    rows: Sequence[IntArray] | None,
    device: torch.device,
) -> tuple[list[Lane], list[list[Layer]]]:
    """The lanes and the layers of their networks.

    Raises:
        UserError: a network that cannot be stacked, or not with the first one; see `coverslip.training.checks`.
    """
    if not networks or len(networks) != len(recipes) or (rows is not None and len(rows) != len(networks)):
        given = f"{len(networks)} networks, {len(recipes)} recipes"
        given += "" if rows is None else f", rows for {len(rows)}"
        raise UserError(f"a stack got {given}", "give one recipe (and one array of rows) a network, and one network")
    every = np.arange(len(labels), dtype=np.int64)
    lanes: list[Lane] = []
    read: list[list[Layer]] = []
    for number, (network, given_recipe) in enumerate(zip(networks, recipes, strict=True)):
        layers = read_layers(network)
        if layers is None or not can_stack(network, given_recipe):
            raise UserError(
                f"network {number} cannot be trained in a stack",
                "train it alone; coverslip.training.lanes.can_stack tells which can",
            )
        read.append(layers)
        _need_alike(number, layers, given_recipe, read[0], recipes[0])
        own = every if rows is None else _checked(rows[number], len(labels), number)
        config = given_recipe.filled()
        balance = choose_balance(np.bincount(labels[own], minlength=classes).tolist(), config)
        weights = np.ones(classes, np.float32) if balance.weights is None else balance.weights
        lane = Lane(
            number=number,
            config=config,
            order=Order(config.seed, own, labels[own], balance.sampled),
            names=_names(layers),
            drops={
                place: (layer.dropout, layer.width if isinstance(layer.module, nn.Linear) or layer.width else 0)
                for place, layer in enumerate(layers)
                if layer.dropout
            },
            factors=torch.from_numpy(weights),
            joined=check_batch_norm(network, config, len(own)),
        )
        lane.length = len(lane.order.steps(0, config.batch_size or 0, lane.joined))
        lanes.append(lane)
    check_answer(copy.deepcopy(networks[0]).to(device), inputs, classes, device)
    return lanes, read


def _names(layers: Sequence[Layer]) -> dict[str, tuple[str, tuple[int, ...]]]:
    found = {}
    for place, layer in enumerate(layers):
        for name, each in own_tensors(layer).items():
            found[f"{place}.{name}"] = (f"{layer.name}.{name}" if layer.name else name, tuple(each.shape))
    return found


def _need_alike(
    number: int, layers: list[Layer], config: TrainingConfig, first: list[Layer], first_recipe: TrainingConfig
) -> None:
    own, others = needed(layers, config), needed(first, first_recipe)
    for name, value in own.items():
        if value != others[name]:
            raise UserError(
                f"networks 0 and {number} cannot be in one stack: their {name} differ ({others[name]} and {value})",
                "stack those whose coverslip.training.lanes.stack_key is equal",
            )


def _checked(rows: IntArray, count: int, number: int) -> IntArray:
    found = np.asarray(rows)
    if found.ndim != 1 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        raise UserError(f"the rows of lane {number} are {found.dtype} of shape {found.shape}", "give row numbers")
    if found.min() < 0 or found.max() >= count:
        raise UserError(
            f"the rows of lane {number} go from {found.min()} to {found.max()}, and there are {count} images",
            f"give rows from 0 to {count - 1}",
        )
    return found.astype(np.int64)

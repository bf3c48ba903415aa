"""Training of the networks of a sweep: networks of one shape in one vectorized pass, others one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from torch import nn

from coverslip.core.errors import UserError
from coverslip.training.array_data import Subset
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes import Stack, group_into_passes
from coverslip.training.loop import train_network

IntArray = npt.NDArray[np.int64]
COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def train_all(
    networks: Sequence[nn.Module],
    configs: Sequence[TrainingConfig],
    inputs: Subset,
    labels: IntArray,
    classes: int,
    validation: tuple[Subset, IntArray],
) -> tuple[list[pl.DataFrame], list[str]]:
    """Train all networks in place; each keeps the weights of its last epoch.

    Args:
        networks: the L networks.
        configs: the L training configurations.
        inputs: training images, shared by all networks.
        labels: integer class ids of the training images, shape (N,), values in 0..K-1.
        classes: number of classes K.
        validation: images and labels that are evaluated after each epoch.

    Returns:
        L tables with one row per epoch, and L reasons why a training diverged (its loss became NaN or infinite); "" for
        a training that did not.

    Raises:
        UserError: a configuration or the data is invalid.
    """
    frames, diverged = [pl.DataFrame() for _ in networks], [""] * len(networks)
    for places in group_into_passes(networks, configs):
        group, group_configs = [networks[place] for place in places], [configs[place] for place in places]
        if len(places) > 1:
            results = _train_stacked(group, group_configs, inputs, labels, classes, validation)
        else:
            results = [_train_alone(group[0], group_configs[0], inputs, labels, classes, validation)]
        for place, (frame, reason) in zip(places, results, strict=True):
            frames[place], diverged[place] = frame, reason
    return frames, diverged


def _train_alone(
    network: nn.Module,
    config: TrainingConfig,
    inputs: Subset,
    labels: IntArray,
    classes: int,
    validation: tuple[Subset, IntArray],
) -> tuple[pl.DataFrame, str]:
    try:
        return train_network(network, inputs, labels, classes, config, validation=validation).history, ""
    except UserError as error:
        if "loss became" not in error.problem:  # any other error is a mistake of the caller, not a result of training
            raise
        return pl.DataFrame(), error.problem


def _train_stacked(
    networks: list[nn.Module],
    configs: list[TrainingConfig],
    inputs: Subset,
    labels: IntArray,
    classes: int,
    validation: tuple[Subset, IntArray],
) -> list[tuple[pl.DataFrame, str]]:
    stack = Stack(networks, configs, inputs, labels, classes, validation=validation)
    rows: list[list[dict[str, Any]]] = [[] for _ in networks]
    diverged = [""] * len(networks)
    while epoch_results := stack.run_epoch():
        for result in epoch_results:
            rows[result.lane].append({name: getattr(result, name) for name in COLUMNS})
            diverged[result.lane] = result.failure
            if not result.failure and result.epoch == configs[result.lane].filled().epochs:
                networks[result.lane].load_state_dict(stack.weights(result.lane))
    frames = [pl.DataFrame(lane_rows, infer_schema_length=None) for lane_rows in rows]
    return list(zip(frames, diverged, strict=True))

"""The networks of a sweep, trained: those of one shape side by side in one pass, the others one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from torch import nn

from coverslip.core.errors import UserError
from coverslip.training.array_data import Part
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes import Stack, passes
from coverslip.training.loop import train_network

IntArray = npt.NDArray[np.int64]
COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def train_all(
    networks: Sequence[nn.Module],
    recipes: Sequence[TrainingConfig],
    inputs: Part,
    labels: IntArray,
    classes: int,
    validation: tuple[Part, IntArray],
) -> tuple[list[pl.DataFrame], list[str]]:
    """Train all of them in place; each has the weights of its last epoch.

    Args:
        networks: L.
        recipes: L.
        inputs: images to learn from, for all.
        labels: of them, 0 to K - 1.
        classes: K.
        validation: images and labels that are scored after each epoch.

    Returns:
        L frames with a row an epoch, and L sentences: "", or why a training broke (its loss was no number).

    Raises:
        UserError: what the loop refuses.
    """
    frames, broken = [pl.DataFrame() for _ in networks], [""] * len(networks)
    for places in passes(networks, recipes):
        some, plans = [networks[place] for place in places], [recipes[place] for place in places]
        if len(places) > 1:
            found = _stacked(some, plans, inputs, labels, classes, validation)
        else:
            found = [_alone(some[0], plans[0], inputs, labels, classes, validation)]
        for place, (frame, why) in zip(places, found, strict=True):
            frames[place], broken[place] = frame, why
    return frames, broken


def _alone(
    network: nn.Module,
    config: TrainingConfig,
    inputs: Part,
    labels: IntArray,
    classes: int,
    validation: tuple[Part, IntArray],
) -> tuple[pl.DataFrame, str]:
    try:
        return train_network(network, inputs, labels, classes, config, validation=validation).history, ""
    except UserError as error:
        if "loss became" not in error.problem:  # anything else is a mistake of whoever called, not a result
            raise
        return pl.DataFrame(), error.problem


def _stacked(
    networks: list[nn.Module],
    recipes: list[TrainingConfig],
    inputs: Part,
    labels: IntArray,
    classes: int,
    validation: tuple[Part, IntArray],
) -> list[tuple[pl.DataFrame, str]]:
    stack = Stack(networks, recipes, inputs, labels, classes, validation=validation)
    rows: list[list[dict[str, Any]]] = [[] for _ in networks]
    broken = [""] * len(networks)
    while told := stack.run_epoch():
        for each in told:
            rows[each.lane].append({name: getattr(each, name) for name in COLUMNS})
            broken[each.lane] = each.broken
            if not each.broken and each.epoch == recipes[each.lane].filled().epochs:
                networks[each.lane].load_state_dict(stack.weights(each.lane))
    frames = [pl.DataFrame(own, infer_schema_length=None) for own in rows]
    return list(zip(frames, broken, strict=True))

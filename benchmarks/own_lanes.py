"""Run trainings in one pass and one after another; run by `tuning_lanes.py`, which sends requests."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.training.batches import ArrayInputs
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes import Stack
from coverslip.training.loop import train_network
from workers import serve

EPOCHS, FEATURES = 3, 1280
# kind: classes, training images, side in pixels (0: features of a frozen network), the network's settings
KINDS: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "head": (15, 2000, 0, {}),
    "mlp-16": (10, 640, 64, {"network": "mlp", "hidden": (16,)}),
    "mlp-128-128": (10, 640, 64, {"network": "mlp", "hidden": (128, 128)}),
    "cnn-8-16": (10, 320, 32, {"network": "cnn-full", "filters": (8, 16)}),
    "cnn-32-64-128": (10, 128, 64, {"network": "cnn-full"}),
}


@cache
def images(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return noise images that predict the class weakly; a fifth more than are trained on, for validation."""
    classes, count, side, _ = KINDS[kind]
    rng = np.random.default_rng(0)
    labels = np.arange(count + count // 5) % classes
    if not side:
        return (rng.normal(size=(len(labels), FEATURES)) + labels[:, None] / 10).astype(np.float32), labels
    values = rng.integers(0, 200, (len(labels), 3, side, side)) + 5 * labels[:, None, None, None]
    return values.astype(np.uint8), labels


def network(kind: str, seed: int) -> nn.Module:
    """Return a network with weights drawn from the seed."""
    classes, _, side, options = KINDS[kind]
    torch.manual_seed(seed)
    if not side:
        return nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, classes))
    return build_network(Design(size=(side, side), **options), classes)


def answer(kind: str, lanes: int, how: str, seeds: str) -> dict[str, Any]:
    """Return the seconds of whole trainings (with preparation and validation), and the final validation loss of each.

    Args:
        kind: key of `KINDS`.
        lanes: number of trainings.
        how: ``stack`` or ``alone``.
        seeds: ``same`` or ``own``: whether all lanes see the same batches.
    """
    classes, count, _, _ = KINDS[kind]
    x, y = images(kind)
    validation = ArrayInputs(x[count:]), y[count:]
    inputs = ArrayInputs(x[:count])
    plans = [
        TrainingConfig(epochs=EPOCHS, batch_size=32, lr=1e-3 * 1.05**lane, seed=0 if seeds == "same" else lane)
        for lane in range(lanes)
    ]
    networks = [network(kind, lane) for lane in range(lanes)]
    start = time.perf_counter()
    if how == "stack":
        stack = Stack(networks, plans, inputs, y[:count], classes, validation=validation)
        last = [stack.run_epoch() for _ in range(EPOCHS)][-1]
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "losses": [each.validation_loss for each in last]}
    losses = []
    for each, plan in zip(networks, plans, strict=True):
        done = train_network(each, inputs, y[:count], classes, plan, validation=validation)
        losses.append(done.history["validation_loss"][-1])
    return {"seconds": time.perf_counter() - start, "losses": losses}


if __name__ == "__main__":
    serve(answer)

"""Estimate the training time on this machine by timing a few steps on random inputs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from coverslip.core.devices import pick_device, tune_allocator
from coverslip.models.design import Design
from coverslip.models.folding import fold_batch_norm
from coverslip.models.shapes import output_shape
from coverslip.training.fine_tuning import new_network

REPEATS = 3  # timed steps, after one warm-up step


def step_seconds(
    design: Design, weights: Mapping[str, Tensor], stage: str, classes: int, batch_size: int, *, fold: bool = True
) -> float:
    """Return the seconds per image of a training step from ``stage`` on, the median of a few steps.

    Args:
        design: name and shape parameters of the network.
        weights: pretrained weights, or empty.
        stage: first trained stage.
        classes: number of classes K.
        batch_size: images per step.
        fold: whether batch norm is folded, as in `coverslip.training.fine_tuning.train_from_stage`.
    """
    tune_allocator()
    device = pick_device()
    network = new_network(design, weights, classes, 0)
    shape = output_shape(network.before(stage), (design.channels, *design.size))
    trained = fold_batch_norm(network.starting_at(stage), shape)[0] if fold and weights else network.starting_at(stage)
    trained.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6)
    images = torch.rand(batch_size, *shape, device=device)
    if len(shape) == 3:
        images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.arange(batch_size, device=device) % classes
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(trained(images), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the GPU
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]) / batch_size

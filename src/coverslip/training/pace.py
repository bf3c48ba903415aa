"""How long training would take on this machine, measured on a few batches of noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from coverslip.core.devices import keep_big_blocks, pick_device
from coverslip.models.design import Design
from coverslip.models.folding import fold_batch_norm
from coverslip.models.trial import output_shape
from coverslip.training.part import new_network

TIMES = 3


def step_seconds(
    design: Design, weights: Mapping[str, Tensor], stage: str, classes: int, batch_size: int, *, fold: bool = True
) -> float:
    """Seconds that a step of training from ``stage`` on takes for one image: the median of a few, after a warm-up.

    Args:
        design: of the network.
        weights: pretrained, or empty.
        stage: the first that is trained.
        classes: K.
        batch_size: images a step.
        fold: whether batch norm is folded, as in `coverslip.training.part.train_part`.
    """
    keep_big_blocks()
    device = pick_device()
    network = new_network(design, weights, classes, 0)
    shape = output_shape(network.before(stage), (design.channels, *design.size))
    part = fold_batch_norm(network.since(stage), shape)[0] if fold and weights else network.since(stage)
    part.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(part.parameters(), lr=1e-6)
    images = torch.rand(batch_size, *shape, device=device)
    if len(shape) == 3:
        images = images.contiguous(memory_format=torch.channels_last)
    truth = torch.arange(batch_size, device=device) % classes
    took = []
    for _ in range(TIMES + 1):
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(part(images), truth)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for a GPU to be done
        took.append(time.perf_counter() - start)
    return statistics.median(took[1:]) / batch_size

"""Scores of every image, by a network as it will be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.devices import pick_device
from coverslip.training.batches import Inputs, IntArray

SCORED = 64  # images a batch: at 224 px the widest layer of a ResNet then takes 200 MB


def score_network(
    network: nn.Module,
    inputs: Inputs,
    rows: IntArray | None = None,
    batch_size: int = SCORED,
    device: torch.device | None = None,
) -> npt.NDArray[np.float32]:
    """Scores before softmax, float32 (N, K): a row for each of ``rows`` (all without), in their order.

    The network scores in evaluation mode and is left in the mode it was in.
    """
    device = device or pick_device()
    rows = np.arange(len(inputs), dtype=np.int64) if rows is None else np.asarray(rows, np.int64)
    network.to(device)
    convolved, found = convolves(network), []
    with evaluating(network), torch.inference_mode():
        for start in range(0, max(len(rows), 1), batch_size):
            images = inputs.take(rows[start : start + batch_size], None, device)
            found.append(network(arranged(images, convolved)))
    return np.asarray(torch.cat(found).float().cpu().numpy())


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for the length of the block; each module then has its own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def convolves(network: nn.Module) -> bool:
    """Whether a network has weights of four dimensions, which are convolutions'."""
    return any(each.ndim == 4 for each in network.parameters())


def arranged(images: Tensor, convolved: bool) -> Tensor:
    """Images in the order in memory in which convolutions are fastest; anything else as it is.

    Where the network begins by flattening them, that order would cost two copies.
    """
    return images.contiguous(memory_format=torch.channels_last) if convolved and images.ndim == 4 else images

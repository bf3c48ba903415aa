"""Forward passes in evaluation mode: logits of every image, and helpers shared with the training loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from coverslip.core.devices import pick_device
from coverslip.models.shapes import eval_mode
from coverslip.training.batches import Inputs, IntArray

EVAL_BATCH = 64  # images per batch; at 224 px, the largest activation of a ResNet then takes 200 MB


def compute_logits(
    network: nn.Module,
    inputs: Inputs,
    rows: IntArray | None = None,
    batch_size: int = EVAL_BATCH,
    device: torch.device | None = None,
) -> npt.NDArray[np.float32]:
    """Return the logits of images in evaluation mode; the mode of the network is restored.

    Args:
        network: maps images, float32 (n, ...), to logits (n, K); moved to the device.
        inputs: N images.
        rows: indices of the images, int64 (M,); None for all.
        batch_size: images per batch.
        device: device to use; None for the fastest one.

    Returns:
        float32 (M, K), in the order of ``rows``.
    """
    device = device or pick_device()
    rows = np.arange(len(inputs), dtype=np.int64) if rows is None else np.asarray(rows, np.int64)
    network.to(device)
    channels_last, logits = has_conv(network), []
    with eval_mode(network), torch.inference_mode():
        for start in range(0, max(len(rows), 1), batch_size):
            images = inputs.take(rows[start : start + batch_size], None, device)
            logits.append(network(to_channels_last(images, channels_last)))
    return np.asarray(torch.cat(logits).float().cpu().numpy())


def has_conv(network: nn.Module) -> bool:
    """Return whether a network has 4-dimensional weights, that is, 2-D convolutions."""
    return any(parameter.ndim == 4 for parameter in network.parameters())


def to_channels_last(images: Tensor, enabled: bool) -> Tensor:
    """Return images in channels-last memory format, in which convolutions are fastest, if ``enabled``.

    Networks without convolutions usually start by flattening, for which the format would cost two copies.
    """
    return images.contiguous(memory_format=torch.channels_last) if enabled and images.ndim == 4 else images

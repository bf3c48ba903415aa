"""What a network that learned from a million photographs makes of an image: numbers to put a small network on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from coverslip.core.devices import pick_device
from coverslip.core.errors import UserError
from coverslip.models.catalog import network_entry
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.models.freeze import frozen_part
from coverslip.models.weights import pretrained_weights

TOGETHER = 32  # images a step


def frozen_features(
    x: npt.NDArray[np.uint8], *, side: int = 128, network: str = DEFAULT_NETWORK
) -> npt.NDArray[np.float32]:
    """Images through a pretrained network without its last layer. Nothing is trained, nothing is downloaded.

    Args:
        x: uint8 (N, H, W, 3).
        side: pixels to which images are scaled before.
        network: one with pretrained weights.

    Returns:
        float32 (N, D): of the default network 1,280 numbers an image.

    Raises:
        UserError: other pixels than 8-bit color, or a network without pretrained weights.

    >>> frozen_features(np.zeros((2, 48, 48, 3), np.uint8), side=64).shape
    (2, 1280)
    """
    if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != np.uint8:
        raise UserError(f"x is {x.dtype} of shape {x.shape}", "give uint8 images (N, height, width, 3)")
    design = Design(network=network, size=(side, side))
    entry = network_entry(network)
    device = pick_device()
    body = frozen_part(design, pretrained_weights(design)).module().to(device)
    found = []
    with torch.inference_mode():
        for start in range(0, len(x), TOGETHER):
            pixels = torch.from_numpy(x[start : start + TOGETHER]).to(device).permute(0, 3, 1, 2).float() / 255
            scaled = functional.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)
            found.append(body((scaled - entry.mean) / entry.std).cpu())
    return np.asarray(torch.cat(found).numpy(), np.float32)

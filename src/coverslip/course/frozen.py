"""Features of images from a frozen pretrained network, as inputs of a small network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from coverslip.core.devices import pick_device
from coverslip.core.errors import UserError
from coverslip.models.catalog import network_entry
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.models.freeze import frozen_stages
from coverslip.models.weights import pretrained_weights

BATCH_SIZE = 32


def frozen_features(
    x: npt.NDArray[np.uint8], *, side: int = 128, network: str = DEFAULT_NETWORK
) -> npt.NDArray[np.float32]:
    """Return the features of a pretrained network without its last layer.

    Nothing is trained and nothing is downloaded.

    Args:
        x: images, uint8 (N, H, W, 3).
        side: size in pixels to which images are resized first.
        network: name of a network with pretrained weights.

    Returns:
        Features, float32 (N, D); D is 1,280 for the default network.

    Raises:
        UserError: the images are not 8-bit color, or the network has no pretrained weights.

    >>> frozen_features(np.zeros((2, 48, 48, 3), np.uint8), side=64).shape
    (2, 1280)
    """
    if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != np.uint8:
        raise UserError(f"x is {x.dtype} of shape {x.shape}", "give uint8 images (N, height, width, 3)")
    design = Design(network=network, size=(side, side))
    entry = network_entry(network)
    device = pick_device()
    body = frozen_stages(design, pretrained_weights(design)).module().to(device)
    features = []
    with torch.inference_mode():
        for start in range(0, len(x), BATCH_SIZE):
            pixels = torch.from_numpy(x[start : start + BATCH_SIZE]).to(device).permute(0, 3, 1, 2).float() / 255
            scaled = functional.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)
            features.append(body((scaled - entry.mean) / entry.std).cpu())
    return np.asarray(torch.cat(features).numpy(), np.float32)

"""A first layer without weights that subtracts the mean image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from coverslip.core.errors import UserError


class Center(nn.Module):
    """Subtract the mean of the training images, so that the inputs are centered at zero.

    The mean image is stored with the network and never trained: the layer has no parameters.

    Args:
        x: training images, uint8 (N, H, W, C); never the test images.

    Raises:
        UserError: `x` is not a non-empty array of 8-bit images.

    >>> center = Center(np.full((3, 2, 2, 3), 51, np.uint8))
    >>> center(torch.full((1, 3, 2, 2), 0.5)).flatten()[:2].tolist(), len(list(center.parameters()))
    ([0.30000001192092896, 0.30000001192092896], 0)
    """

    average: torch.Tensor

    def __init__(self, x: Any) -> None:
        super().__init__()
        pixels = np.asarray(x)
        if pixels.ndim != 4 or pixels.dtype != np.uint8 or len(pixels) == 0:
            raise UserError(
                f"x is an array of {pixels.dtype} with shape {pixels.shape}, not 8-bit images",
                "give the training images: Center(train.x)",
            )
        average = pixels.mean(axis=0, dtype=np.float64) / 255
        self.register_buffer("average", torch.tensor(average.transpose(2, 0, 1), dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), 0 to 1 -> the same shape, about -1 to 1."""
        return images - self.average

    def extra_repr(self) -> str:
        """Return the shape of the mean image, in the axis order of the notebooks' arrays."""
        channels, height, width = self.average.shape
        return f"average of {height} x {width} x {channels}"

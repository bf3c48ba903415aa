"""A first layer without weights: the average image is taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from coverslip.core.errors import UserError


class Center(nn.Module):
    """Take the average of some images away from each image, so that its numbers lie around zero.

    The average is remembered with the network and never trained: it has no parameters.

    Args:
        x: uint8 (N, H, W, C), the images to learn from; never those to test on.

    Raises:
        UserError: anything but 8-bit images.

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
                f"an average of {pixels.dtype} numbers of shape {pixels.shape} is not that of images",
                "give the images to learn from: Center(train.x)",
            )
        average = pixels.mean(axis=0, dtype=np.float64) / 255
        self.register_buffer("average", torch.tensor(average.transpose(2, 0, 1), dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), 0 to 1 -> the same shape, about -1 to 1."""
        return images - self.average

    def extra_repr(self) -> str:
        """The shape, in the order of the arrays of a notebook."""
        channels, height, width = self.average.shape
        return f"average of {height} x {width} x {channels}"

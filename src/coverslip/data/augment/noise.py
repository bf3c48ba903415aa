"""What is lost on the way: blur, noise, JPEG compression, and squares that are painted over."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from coverslip.data.augment.chance import STRIP, normal_strip, uniform
from coverslip.data.augment.settings import Augmentation

Levels = npt.NDArray[np.uint8]

REACH = 3  # standard deviations of a Gaussian that are computed


def blur(images: Tensor, how: Augmentation, seeds: Tensor) -> Tensor:
    """A Gaussian of 0 to ``how.blur`` pixels, each image its own; the image is mirrored at its edges."""
    count, channels, height, width = images.shape
    sigma = (uniform(seeds, "blur", 1) * how.blur).clamp_(min=1e-3)  # below this nothing is left of the neighbors
    radius = max(1, math.ceil(REACH * how.blur))
    reach = min(radius, height - 1), min(radius, width - 1)
    planes = images.reshape(1, count * channels, height, width)
    for axis, most in enumerate(reach):
        places = torch.arange(-most, most + 1)
        kernel = torch.exp(-((places / sigma) ** 2) / 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0).to(images)
        shape = (1, 2 * most + 1) if axis else (2 * most + 1, 1)
        edges = (most, most, 0, 0) if axis else (0, 0, most, most)
        planes = conv2d(pad(planes, edges, "reflect"), kernel.reshape(-1, 1, *shape), groups=count * channels)
    return planes.reshape(images.shape)


def add_noise(images: Tensor, how: Augmentation, seeds: Tensor) -> Tensor:
    """Gaussian noise, another number for each value, its standard deviation 0 to ``how.noise``.

    Each image's noise is a piece of one fixed strip, cut out anywhere and with either sign, so that it costs hardly
    more than adding it.
    """
    chance = uniform(seeds, "noise", 3)
    length = images[0].numel()
    strip = normal_strip(length)
    starts = (chance[:, 0] * STRIP).long().tolist()
    noise = torch.stack([strip[start : start + length] for start in starts]).to(images)
    sign = torch.where(chance[:, 1] < 0.5, -1.0, 1.0)
    noise.mul_((chance[:, 2] * how.noise * sign).to(images.device)[:, None])
    return noise.reshape(images.shape).add_(images)


def compress(images: Tensor, how: Augmentation, seeds: Tensor) -> Tensor:
    """Through JPEG and back, at a quality of ``how.jpeg`` to 100; other than 3 channels each as a grey image."""
    quality = (how.jpeg + uniform(seeds, "jpeg", 1)[:, 0] * (101 - how.jpeg)).long().clamp_(max=100).tolist()
    levels = (images.clamp(0, 1) * 255 + 0.5).to("cpu", torch.uint8)
    if images.shape[1] == 3:
        rows = levels.permute(0, 2, 3, 1).contiguous().numpy()
        back = np.stack([_through_jpeg(row, q) for row, q in zip(rows, quality, strict=True)]).transpose(0, 3, 1, 2)
    else:
        rows = levels.contiguous().numpy()
        back = np.stack([[_through_jpeg(plane, q) for plane in row] for row, q in zip(rows, quality, strict=True)])
    return torch.from_numpy(back).to(images.device, images.dtype).mul_(1 / 255)


def _through_jpeg(pixels: Levels, quality: int) -> Levels:
    """uint8 (H, W) or (H, W, 3); imagecodecs takes half of Pillow's time at 224 pixels, a fifth at 32."""
    import imagecodecs

    back: Levels = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(pixels, level=quality))
    return back


def cut_out(images: Tensor, how: Augmentation, seeds: Tensor) -> Tensor:
    """Paint a square over in the image's mean color: its middle anywhere, its side that share of the shorter side.

    Masks and boxes stay: what is hidden is still there.

    Reference: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
    """
    height, width = images.shape[2:]
    half = how.cutout * min(height, width) / 2
    chance = uniform(seeds, "cutout", 2).to(images.device)
    down, across = (
        (torch.arange(length, device=images.device) + 0.5 - chance[:, axis : axis + 1] * length).abs() < half
        for axis, length in enumerate((height, width))
    )
    inside = down[:, None, :, None] & across[:, None, None]
    return torch.where(inside, images.mean((2, 3), keepdim=True), images)

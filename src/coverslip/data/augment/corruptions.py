"""Image corruptions: blur, noise, JPEG compression and cutout."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from coverslip.data.augment.random import POOL_SIZE, normal_pool, uniform
from coverslip.data.augment.settings import Augmentation

Levels = npt.NDArray[np.uint8]

TRUNCATE = 3  # radius of the Gaussian kernel, standard deviations


def blur(images: Tensor, config: Augmentation, seeds: Tensor) -> Tensor:
    """Blur each image with a Gaussian of a standard deviation of 0 to ``config.blur`` pixels; edges are reflected."""
    count, channels, height, width = images.shape
    sigma = (uniform(seeds, "blur", 1) * config.blur).clamp_(min=1e-3)  # below this the kernel is the identity
    radius = max(1, math.ceil(TRUNCATE * config.blur))
    radii = min(radius, height - 1), min(radius, width - 1)
    planes = images.reshape(1, count * channels, height, width)
    for axis, reach in enumerate(radii):
        offsets = torch.arange(-reach, reach + 1)
        kernel = torch.exp(-((offsets / sigma) ** 2) / 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0).to(images)
        shape = (1, 2 * reach + 1) if axis else (2 * reach + 1, 1)
        edges = (reach, reach, 0, 0) if axis else (0, 0, reach, reach)
        planes = conv2d(pad(planes, edges, "reflect"), kernel.reshape(-1, 1, *shape), groups=count * channels)
    return planes.reshape(images.shape)


def add_noise(images: Tensor, config: Augmentation, seeds: Tensor) -> Tensor:
    """Add Gaussian noise, independent for each value, with a standard deviation of 0 to ``config.noise``.

    The noise of an image is cut from a fixed pool of normal numbers at a random position and with a random sign, so
    that drawing it costs hardly more than adding it.
    """
    uniforms = uniform(seeds, "noise", 3)
    length = images[0].numel()
    pool = normal_pool(length)
    starts = (uniforms[:, 0] * POOL_SIZE).long().tolist()
    noise = torch.stack([pool[start : start + length] for start in starts]).to(images)
    sign = torch.where(uniforms[:, 1] < 0.5, -1.0, 1.0)
    noise.mul_((uniforms[:, 2] * config.noise * sign).to(images.device)[:, None])
    return noise.reshape(images.shape).add_(images)


def compress_jpeg(images: Tensor, config: Augmentation, seeds: Tensor) -> Tensor:
    """Compress each image as JPEG with a quality of ``config.jpeg`` to 100 and decompress it.

    If there are not 3 channels, each channel is compressed as a grey image.
    """
    quality = (config.jpeg + uniform(seeds, "jpeg", 1)[:, 0] * (101 - config.jpeg)).long().clamp_(max=100).tolist()
    levels = (images.clamp(0, 1) * 255 + 0.5).to("cpu", torch.uint8)
    if images.shape[1] == 3:
        rows = levels.permute(0, 2, 3, 1).contiguous().numpy()
        decoded = np.stack([_through_jpeg(row, q) for row, q in zip(rows, quality, strict=True)]).transpose(0, 3, 1, 2)
    else:
        rows = levels.contiguous().numpy()
        decoded = np.stack([[_through_jpeg(plane, q) for plane in row] for row, q in zip(rows, quality, strict=True)])
    return torch.from_numpy(decoded).to(images.device, images.dtype).mul_(1 / 255)


def _through_jpeg(pixels: Levels, quality: int) -> Levels:
    """Encode and decode uint8 (H, W) or (H, W, 3); imagecodecs is 2 (224 pixels) to 5 times (32) as fast as Pillow."""
    import imagecodecs

    decoded: Levels = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(pixels, level=quality))
    return decoded


def cutout_square(images: Tensor, config: Augmentation, seeds: Tensor) -> Tensor:
    """Fill a square of each image with its mean color; the center is random, the side a fraction of the shorter side.

    Masks and boxes are unchanged, since a hidden object is still there.

    Reference: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
    """
    height, width = images.shape[2:]
    half = config.cutout * min(height, width) / 2
    uniforms = uniform(seeds, "cutout", 2).to(images.device)
    down, across = (
        (torch.arange(length, device=images.device) + 0.5 - uniforms[:, axis : axis + 1] * length).abs() < half
        for axis, length in enumerate((height, width))
    )
    inside = down[:, None, :, None] & across[:, None, None]
    return torch.where(inside, images.mean((2, 3), keepdim=True), images)

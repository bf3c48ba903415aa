"""Color transforms: brightness, contrast, saturation, hue and gamma."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from coverslip.data.augment.random import log_uniform, uniform
from coverslip.data.augment.settings import Augmentation

LUMA = torch.tensor([0.299, 0.587, 0.114])  # weights of red, green and blue in the luma (ITU-R BT.601)
# Red, green, blue -> luma and two chroma axes (YIQ), in which a change of hue is a rotation.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def jitter_color(images: Tensor, config: Augmentation, seeds: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue as one linear map of the channels of each image.

    Brightness and contrast act on any number of channels; contrast scales around the mean luma of the image.
    Saturation and hue preserve the luma of every pixel. The pipeline clips the result.
    """
    uniforms = uniform(seeds, "color", 4)
    gain = log_uniform(uniforms[:, 0], config.brightness)
    spread = log_uniform(uniforms[:, 1], config.contrast)
    gain, offset = (gain * spread).to(images.device), (gain * (1 - spread)).to(images.device)
    offset = offset * mean_luma(images) if config.uses("contrast") else torch.zeros_like(offset)
    if images.shape[1] != 3 or not config.uses("saturation", "hue"):
        return (images * gain[:, None, None, None]).add_(offset[:, None, None, None])
    matrices = color_matrices(log_uniform(uniforms[:, 2], config.saturation), (2 * uniforms[:, 3] - 1) * config.hue)
    matrices = matrices.to(images.device) * gain[:, None, None]
    # The matrices preserve grey, so the offset, which is grey, can be added after them.
    return torch.baddbmm(offset[:, None, None], matrices, images.flatten(2)).reshape(images.shape)


def mean_luma(images: Tensor) -> Tensor:
    """Return the mean luma of each image, shape (N,); if there are not 3 channels, the mean of all of them."""
    means = images.mean((2, 3))
    return means @ LUMA.to(images.device) if images.shape[1] == 3 else means.mean(1)


def color_matrices(saturation: Tensor, hue: Tensor) -> Tensor:
    """Return matrices, shape (N, 3, 3), that change the saturation and hue of RGB and preserve grey.

    Args:
        saturation: factors, shape (N,); 0 removes the color, 1 changes nothing.
        hue: shifts of the hue as fractions of the color circle, shape (N,).
    """
    angle = 2 * math.pi * hue
    cos, sin, zero = saturation * torch.cos(angle), saturation * torch.sin(angle), torch.zeros_like(hue)
    luma = torch.stack([torch.ones_like(hue), zero, zero], 1)
    rotation = torch.stack([luma, torch.stack([zero, cos, -sin], 1), torch.stack([zero, sin, cos], 1)], 1)
    matrices: Tensor = torch.linalg.inv(YIQ) @ rotation @ YIQ
    return matrices


def adjust_gamma(images: Tensor, config: Augmentation, seeds: Tensor) -> Tensor:
    """Raise the values of each image to a random power, which changes midtones and preserves black and white."""
    exponent = log_uniform(uniform(seeds, "gamma", 1), config.gamma).to(images.device)
    return images.clamp(0, 1).pow_(exponent[:, :, None, None])

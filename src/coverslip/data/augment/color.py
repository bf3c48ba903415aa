"""What light and camera do: brightness, contrast, saturation, hue and gamma."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from coverslip.data.augment.chance import factors, uniform
from coverslip.data.augment.settings import Augmentation

LUMA = torch.tensor([0.299, 0.587, 0.114])  # what each of red, green and blue adds to grey (ITU-R BT.601)
# Red, green, blue -> luma and two axes of color (YIQ), in which a hue is an angle.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def recolor(images: Tensor, how: Augmentation, seeds: Tensor) -> Tensor:
    """All four as ONE linear change of each image's channels, in a fixed order, clipped by the pipeline at the end.

    Brightness and contrast act alike on every channel, of which there may be any number; contrast spreads values around
    the image's mean grey. Saturation and hue keep each pixel's luma.
    """
    chance = uniform(seeds, "color", 4)
    gain = factors(chance[:, 0], how.brightness)
    spread = factors(chance[:, 1], how.contrast)
    gain, offset = (gain * spread).to(images.device), (gain * (1 - spread)).to(images.device)
    offset = offset * mean_grey(images) if how.uses("contrast") else torch.zeros_like(offset)
    if images.shape[1] != 3 or not how.uses("saturation", "hue"):
        return (images * gain[:, None, None, None]).add_(offset[:, None, None, None])
    mixing = color_mixing(factors(chance[:, 2], how.saturation), (2 * chance[:, 3] - 1) * how.hue)
    mixing = mixing.to(images.device) * gain[:, None, None]
    # A grey offset stays as it is under the mixing, so that it can be added at the end.
    return torch.baddbmm(offset[:, None, None], mixing, images.flatten(2)).reshape(images.shape)


def mean_grey(images: Tensor) -> Tensor:
    """Mean luma of each image (N,); of other than 3 channels, the mean of all."""
    means = images.mean((2, 3))
    return means @ LUMA.to(images.device) if images.shape[1] == 3 else means.mean(1)


def color_mixing(saturation: Tensor, hue: Tensor) -> Tensor:
    """Matrices (N, 3, 3) that act on red, green and blue; grey stays as it is.

    Args:
        saturation: factors (N,); 0 is grey, 1 nothing.
        hue: (N,), shares of the color circle.
    """
    angle = 2 * math.pi * hue
    cos, sin, zero = saturation * torch.cos(angle), saturation * torch.sin(angle), torch.zeros_like(hue)
    luma = torch.stack([torch.ones_like(hue), zero, zero], 1)
    turned = torch.stack([luma, torch.stack([zero, cos, -sin], 1), torch.stack([zero, sin, cos], 1)], 1)
    mixing: Tensor = torch.linalg.inv(YIQ) @ turned @ YIQ
    return mixing


def bend(images: Tensor, how: Augmentation, seeds: Tensor) -> Tensor:
    """Values to the power of a factor: darker or brighter middle tones, black and white as they are."""
    exponent = factors(uniform(seeds, "gamma", 1), how.gamma).to(images.device)
    return images.clamp(0, 1).pow_(exponent[:, :, None, None])

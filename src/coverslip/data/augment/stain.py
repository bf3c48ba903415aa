"""Stain augmentation: random amounts of hematoxylin, eosin and DAB."""

from __future__ import annotations

import torch
from torch import Tensor

from coverslip.data.augment.random import uniform
from coverslip.data.augment.settings import Augmentation

# Optical density of red, green and blue per unit of each stain (Ruifrok and Johnston 2001).
STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
DARKEST = 1 / 255  # avoids log(0)


def jitter_stain(images: Tensor, config: Augmentation, seeds: Tensor) -> Tensor:
    """Scale the amount of each stain by a factor between 1 - stain and 1 + stain; white is preserved.

    Color deconvolution, scaling and recomposition are one linear map of the optical densities. Unlike Tellez et al., no
    constant is added to the stains, since it would color the empty glass.

    Reference: Tellez et al., "Whole-slide mitosis detection in H&E breast histology", IEEE TMI 37(9), 2018.
    """
    factor = 1 + config.stain * (2 * uniform(seeds, "stain", 3) - 1)
    # densities = amounts @ STAINS with one row per pixel; here pixels are columns
    change = (STAINS.T * factor[:, None, :]) @ torch.linalg.inv(STAINS.T)
    densities = images.clamp(DARKEST, 1).log_()  # negative densities: the sign does not matter for a linear map
    return torch.bmm(change.to(images.device), densities.flatten(2)).exp_().reshape(images.shape)

"""How strongly tissue is stained: hematoxylin, eosin and DAB, each weaker or stronger on its own."""

from __future__ import annotations

import torch
from torch import Tensor

from coverslip.data.augment.chance import uniform
from coverslip.data.augment.settings import Augmentation

# Optical density of red, green and blue for one unit of each stain (Ruifrok and Johnston 2001).
STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
DARKEST = 1 / 255


def restain(images: Tensor, how: Augmentation, seeds: Tensor) -> Tensor:
    """Each image's stains by a factor of 1 - strength to 1 + strength; what is white stays white.

    An image is taken apart into the light that each of three stains absorbs and put together again, as one linear
    change of its optical densities. Without the constant that Tellez adds to each stain, which would color the empty
    glass.

    Reference: Tellez et al., "Whole-slide mitosis detection in H&E breast histology", IEEE TMI 37(9), 2018.
    """
    factor = 1 + how.stain * (2 * uniform(seeds, "stain", 3) - 1)
    # densities = amounts @ STAINS, a row a pixel; here pixels are columns
    change = (STAINS.T * factor[:, None, :]) @ torch.linalg.inv(STAINS.T)
    densities = images.clamp(DARKEST, 1).log_()  # with the sign of the logarithm, which a linear change keeps
    return torch.bmm(change.to(images.device), densities.flatten(2)).exp_().reshape(images.shape)

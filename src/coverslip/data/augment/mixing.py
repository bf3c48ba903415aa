"""Images made of two: blended, or a part of one in the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coverslip.core.errors import UserError
from coverslip.core.seeds import generator
from coverslip.data.augment.settings import Augmentation


def mix(images: Tensor, targets: Tensor, how: Augmentation, seed: int) -> tuple[Tensor, Tensor]:
    """Blend each image of a batch, or a box of it, with another one; the targets in the same proportion.

    Where both mixup and cutmix are on, a batch gets one of the two. A batch of one stays as it is.

    Args:
        images: (N, ...) of any floating type; for cutmix (N, C, H, W), images or a network's maps.
        targets: float (N, K), a row of probabilities an image.
        how: its mixup and cutmix, the alphas of Beta distributions; the larger, the more is mixed.
        seed: of this batch. The same seed and number of images give the same partners and shares.

    Raises:
        UserError: cutmix for what has no height and width.

    References: Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; Yun et al., "CutMix", ICCV 2019.
    """
    count = len(images)
    if count < 2 or not how.uses("mixup", "cutmix"):
        return images, targets
    rng = generator(seed, "mix")
    other = torch.from_numpy(partners(count, rng)).to(images.device)
    cut = how.uses("cutmix") and not (how.uses("mixup") and rng.random() < 0.5)
    alpha = how.cutmix if cut else how.mixup
    kept = rng.beta(alpha, alpha, count)
    if cut:
        if images.dim() != 4:
            raise UserError(f"cutmix cannot cut {tuple(images.shape)}, which has no height and width", "use mixup")
        height, width = images.shape[2:]
        inside, taken = _boxes(kept, height, width, rng)
        mixed = torch.where(torch.from_numpy(inside).to(images.device)[:, None], images[other], images)
        kept = 1 - taken
    else:
        share = torch.from_numpy(kept).to(images).reshape(-1, *[1] * (images.dim() - 1))
        mixed = torch.lerp(images[other], images, share)
    return mixed, torch.lerp(targets[other], targets, torch.from_numpy(kept).to(targets)[:, None])


def partners(count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """For each of ``count`` images another one, never itself; each is partner once."""
    order = rng.permutation(count)
    other = np.empty(count, np.int64)
    other[order] = np.roll(order, 1)
    return other


def _boxes(
    kept: npt.NDArray[np.float64], height: int, width: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Boxes of about ``1 - kept`` of the area: bool (N, H, W), and the share that each really takes, (N,)."""
    side = np.sqrt(1 - kept)
    inside = []
    for length in (height, width):
        center, half = rng.uniform(0, length, len(kept)), side * length / 2
        places = np.arange(length) + 0.5
        inside.append(np.abs(places - center[:, None]) < half[:, None])
    return inside[0][:, :, None] & inside[1][:, None], inside[0].mean(1) * inside[1].mean(1)

"""Mixup and CutMix: images made from two images of a batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coverslip.core.errors import UserError
from coverslip.core.seeds import generator
from coverslip.data.augment.settings import Augmentation


def mix(images: Tensor, targets: Tensor, config: Augmentation, seed: int) -> tuple[Tensor, Tensor]:
    """Blend each image of a batch (mixup) or a box of it (cutmix) with another one, and the targets accordingly.

    If both mixup and cutmix are on, a batch gets one of the two at random. A batch of one image is returned unchanged.

    Args:
        images: shape (N, ...), any floating dtype; for cutmix (N, C, H, W), images or feature maps.
        targets: class probabilities, float, shape (N, K).
        config: its ``mixup`` and ``cutmix`` are the alphas of Beta distributions; a larger alpha mixes more.
        seed: seed of the batch. The same seed and N give the same partners and weights.

    Returns:
        Mixed images and targets of the same shapes.

    Raises:
        UserError: cutmix is on, but the input has no height and width.

    References: Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; Yun et al., "CutMix", ICCV 2019.
    """
    count = len(images)
    if count < 2 or not config.uses("mixup", "cutmix"):
        return images, targets
    rng = generator(seed, "mix")
    partner = torch.from_numpy(partners(count, rng)).to(images.device)
    use_cutmix = config.uses("cutmix") and not (config.uses("mixup") and rng.random() < 0.5)
    alpha = config.cutmix if use_cutmix else config.mixup
    weights = rng.beta(alpha, alpha, count)  # of the image itself; its partner gets 1 - weight
    if use_cutmix:
        if images.dim() != 4:
            raise UserError(
                f"cutmix needs height and width, but the input has shape {tuple(images.shape)}", "use mixup"
            )
        height, width = images.shape[2:]
        inside, area = _boxes(weights, height, width, rng)
        mixed = torch.where(torch.from_numpy(inside).to(images.device)[:, None], images[partner], images)
        weights = 1 - area
    else:
        weight = torch.from_numpy(weights).to(images).reshape(-1, *[1] * (images.dim() - 1))
        mixed = torch.lerp(images[partner], images, weight)
    return mixed, torch.lerp(targets[partner], targets, torch.from_numpy(weights).to(targets)[:, None])


def partners(count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return for each of ``count`` images the index of another one, shape (count,); each index occurs once."""
    order = rng.permutation(count)
    partner = np.empty(count, np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def _boxes(
    weights: npt.NDArray[np.float64], height: int, width: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return random boxes of about ``1 - weights`` of the area: bool (N, H, W), and their actual fraction, (N,)."""
    side = np.sqrt(1 - weights)
    inside = []
    for length in (height, width):
        center, half = rng.uniform(0, length, len(weights)), side * length / 2
        positions = np.arange(length) + 0.5
        inside.append(np.abs(positions - center[:, None]) < half[:, None])
    return inside[0][:, :, None] & inside[1][:, None], inside[0].mean(1) * inside[1].mean(1)

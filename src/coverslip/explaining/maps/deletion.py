"""Deletion and insertion test: does the probability change faster in the order of the map than in a random order?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor, nn

from coverslip.core.seeds import generator
from coverslip.explaining.maps.similarity import FloatArray, Maps, upsampled
from coverslip.models.shapes import eval_mode

BLUR = 1 / 8  # standard deviation of the blur that removes content, as a fraction of the shorter side
BATCH_SIZE = 64  # images per forward pass


@dataclass(frozen=True)
class Curves:
    """Class probabilities while an image is blurred or restored, the hottest pixels first.

    Attributes:
        shares: fraction of the image that is blurred (deletion) or sharp (insertion), shape (S + 1,), 0 to 1.
        deletion: probabilities, shape (N, S + 1); the faster they fall, the more the hot pixels matter.
        insertion: probabilities, shape (N, S + 1); the faster they rise, the more the hot pixels matter.
        chance_deletion: the same as ``deletion``, in the order of a random map with the same grid.
        chance_insertion: the same as ``insertion``, in the order of a random map with the same grid.
    """

    shares: FloatArray
    deletion: FloatArray
    insertion: FloatArray
    chance_deletion: FloatArray
    chance_insertion: FloatArray

    def area(self, name: str) -> FloatArray:
        """Return the area under one of the curves, shape (N,), 0 to 1: its mean probability."""
        return np.asarray(np.trapezoid(getattr(self, name), self.shares, axis=1))

    @property
    def gain(self) -> FloatArray:
        """Advantage over a random order, mean of both curves, shape (N,), -1 to 1; 0 is no advantage."""
        falls = self.area("chance_deletion") - self.area("deletion")
        return np.asarray((falls + self.area("insertion") - self.area("chance_insertion")) / 2)


def delete_and_insert(
    network: nn.Module, images: Tensor, classes: Sequence[int], maps: Maps, *, steps: int = 10, seed: int = 0
) -> Curves:
    """Blur images and restore them in the order of their maps, and record the class probabilities.

    Deleted pixels are replaced by the strongly blurred image, so that no artificial edges appear. The random order for
    comparison is as coarse as the map; single random pixels would be a different test.

    Args:
        network: maps prepared images to logits (N, K).
        images: prepared images, float32 (N, C, H, W).
        classes: class id whose probability is recorded, one per image.
        maps: heat maps on their own grid, (N, h, w).
        steps: number of steps S of equal size.
        seed: seed of the random maps and of the order of equal pixels.

    Reference: Petsiuk, Das & Saenko, RISE, BMVC 2018.
    """
    number, size = len(images), (int(images.shape[2]), int(images.shape[3]))
    blurred = blur(images)
    rng = generator(seed, "deletion")
    random = rng.standard_normal(maps.shape).astype(np.float32)
    shares = np.linspace(0, 1, steps + 1)
    curves = []
    for order in (maps, random):
        rank = _ranks(upsampled(order, size), rng)  # 0 for the hottest pixel
        for first, second in ((images, blurred), (blurred, images)):
            curve = np.empty((number, steps + 1))
            for step, share in enumerate(shares):
                replaced = torch.from_numpy(rank < round(share * rank[0].size)).to(images.device)[:, None]
                curve[:, step] = probability(network, torch.where(replaced, second, first), classes)
            curves.append(curve)
    return Curves(shares, *curves)


def blur(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) blurred until only large patches of color remain."""
    sigma = BLUR * min(images.shape[2:])
    blurred = ndimage.gaussian_filter(images.detach().cpu().numpy(), (0, 0, sigma, sigma), mode="nearest")
    return torch.from_numpy(blurred).to(images.device)


def probability(network: nn.Module, images: Tensor, classes: Sequence[int]) -> FloatArray:
    """Return the softmax probability of one class per image, shape (N,)."""
    class_ids, batches = torch.tensor(list(classes)), [np.empty(0)]
    with eval_mode(network), torch.inference_mode():
        for start in range(0, len(images), BATCH_SIZE):
            probabilities = network(images[start : start + BATCH_SIZE]).cpu().double().softmax(dim=1)
            batches.append(probabilities.gather(1, class_ids[start : start + BATCH_SIZE, None])[:, 0].numpy())
    return np.concatenate(batches)


def _ranks(maps: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the rank of every pixel of maps (N, H, W), 0 for the hottest; ties are broken at random."""
    rows = maps.reshape(len(maps), -1)
    tie_break = rng.permutation(rows.shape[1])
    order = np.stack([np.lexsort((tie_break, -row)) for row in rows]) if len(rows) else np.empty(rows.shape, np.int64)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(rows.shape[1])[None], axis=1)
    return np.asarray(rank.reshape(maps.shape))

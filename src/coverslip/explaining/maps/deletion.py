"""Do the hot places of a map matter to the network? Blur them away and watch its probability; or bring them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor, nn

from coverslip.core.seeds import generator
from coverslip.explaining.maps.similarity import FloatArray, Maps, stretched
from coverslip.models.trial import still

BLUR = 1 / 8  # standard deviation of the blur that stands for "nothing there", as a share of the shorter side
TOGETHER = 64  # images in one pass: bounds the memory


@dataclass(frozen=True)
class Curves:
    """Probability of a class while an image is blurred or brought back, the hottest places first.

    Attributes:
        shares: (S + 1,) of the image that is blurred (deletion) or sharp (insertion), 0 to 1.
        deletion: (N, S + 1) probability; the faster it falls, the more the hot places matter.
        insertion: (N, S + 1) probability; the faster it rises, likewise.
        chance_deletion: (N, S + 1), places in the order of a random map of the same grid.
        chance_insertion: (N, S + 1), likewise.
    """

    shares: FloatArray
    deletion: FloatArray
    insertion: FloatArray
    chance_deletion: FloatArray
    chance_insertion: FloatArray

    def area(self, name: str) -> FloatArray:
        """(N,) area under one of the curves, 0 to 1: the mean probability along it."""
        return np.asarray(np.trapezoid(getattr(self, name), self.shares, axis=1))

    @property
    def gain(self) -> FloatArray:
        """(N,) how much better the map's order is than chance, -1 to 1, mean of both curves; about 0: no better."""
        falls = self.area("chance_deletion") - self.area("deletion")
        return np.asarray((falls + self.area("insertion") - self.area("chance_insertion")) / 2)


def delete_and_insert(
    network: nn.Module, images: Tensor, classes: Sequence[int], maps: Maps, *, steps: int = 10, seed: int = 0
) -> Curves:
    """Blur images away and bring them back in the order of their maps.

    What is taken away is replaced by the image itself, strongly blurred, so that no edges come in that were never
    there. The random order that stands for chance is as coarse as the map: single random pixels would be another test.

    Args:
        network: prepared images -> scores (N, K).
        images: float32 (N, C, H, W), prepared.
        classes: whose probability is watched, one an image.
        maps: (N, h, w), on their own grid.
        steps: S, equal shares of the image.
        seed: of the order of equal places and of the random maps.

    Reference: Petsiuk, Das & Saenko, RISE, BMVC 2018.
    """
    number, size = len(images), (int(images.shape[2]), int(images.shape[3]))
    blurred = blur(images)
    chance = generator(seed, "deletion")
    random = chance.standard_normal(maps.shape).astype(np.float32)
    shares = np.linspace(0, 1, steps + 1)
    curves = []
    for order in (maps, random):
        place = _places(stretched(order, size), chance)  # 0 for the hottest pixel
        for first, second in ((images, blurred), (blurred, images)):
            curve = np.empty((number, steps + 1))
            for step, share in enumerate(shares):
                taken = torch.from_numpy(place < round(share * place[0].size)).to(images.device)[:, None]
                curve[:, step] = probability(network, torch.where(taken, second, first), classes)
            curves.append(curve)
    return Curves(shares, *curves)


def blur(images: Tensor) -> Tensor:
    """(N, C, H, W) -> the same so blurred that only the large patches of color are left."""
    sigma = BLUR * min(images.shape[2:])
    soft = ndimage.gaussian_filter(images.detach().cpu().numpy(), (0, 0, sigma, sigma), mode="nearest")
    return torch.from_numpy(soft).to(images.device)


def probability(network: nn.Module, images: Tensor, classes: Sequence[int]) -> FloatArray:
    """(N,) softmax probability of one class an image."""
    wanted, parts = torch.tensor(list(classes)), [np.empty(0)]
    with still(network), torch.inference_mode():
        for start in range(0, len(images), TOGETHER):
            scores = network(images[start : start + TOGETHER]).cpu().double().softmax(dim=1)
            parts.append(scores.gather(1, wanted[start : start + TOGETHER, None])[:, 0].numpy())
    return np.concatenate(parts)


def _places(maps: npt.NDArray[np.float32], chance: np.random.Generator) -> npt.NDArray[np.int64]:
    """(N, H, W) -> the place of each pixel from the hottest (0) on; equal ones in random order."""
    rows = maps.reshape(len(maps), -1)
    tie = chance.permutation(rows.shape[1])
    order = np.stack([np.lexsort((tie, -row)) for row in rows]) if len(rows) else np.empty(rows.shape, np.int64)
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(rows.shape[1])[None], axis=1)
    return np.asarray(place.reshape(maps.shape))

"""Inputs of a run: images from the pixel cache, and what a frozen part made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coverslip.core.seeds import generator
from coverslip.data.augment import Augmentation
from coverslip.data.augment.pipeline import augment, image_seeds
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec
from coverslip.inference.features import Rows
from coverslip.models.freeze import unflatten

IntArray = npt.NDArray[np.int64]


class ImageInputs:
    """Some rows of the decoded images, augmented anew in each epoch: `coverslip.training.batches.Inputs`.

    Args:
        pixels: (M, H, W, C), memory-mapped.
        rows: N of them.
        spec: how they are prepared.
        how: augmentation in training; None is none.
        seed: of the augmentation.
    """

    def __init__(
        self, pixels: Pixels, rows: Sequence[int], spec: InputSpec, how: Augmentation | None = None, seed: int = 0
    ) -> None:
        self.pixels, self.rows, self.spec = pixels, np.asarray(rows, np.int64), spec
        self.how, self.seed = how, seed

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `coverslip.training.batches.Inputs.take`."""
        some = self.pixels[self.rows[rows]]
        if some.dtype == np.uint8:  # a quarter of the bytes to move
            images = torch.from_numpy(some).to(device).permute(0, 3, 1, 2).float().mul_(1 / 255)
        else:
            images = torch.from_numpy(self.spec.scaled(some)).to(device)
        if self.how is not None and epoch is not None:
            images = augment(images, self.how, image_seeds(self.seed, epoch, rows).to(device)).images
        return self.spec.normalized(images)


class ActivationInputs:
    """What a frozen part made of every view of some images; each epoch takes another view of each.

    Args:
        rows: of the cache, (views * N): all images in view 0, then all in view 1, and so on.
        views: of each image.
        shape: of one image's activations, (c, h, w) or (D,).
        seed: decides which view an image begins with; the others follow in turn.
    """

    def __init__(self, rows: Rows, views: int, shape: tuple[int, ...], seed: int = 0) -> None:
        self.rows, self.views, self.shape = rows, views, shape
        self.first = generator(seed, "first view").integers(views, size=len(self))

    def __len__(self) -> int:
        return len(self.rows) // self.views

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `coverslip.training.batches.Inputs.take`; epoch None takes view 0, the image itself."""
        view = np.zeros(len(rows), np.int64) if epoch is None else (self.first[rows] + epoch) % self.views
        flat = torch.from_numpy(self.rows.take(view * len(self) + rows))
        return unflatten(flat.to(device).float(), self.shape)

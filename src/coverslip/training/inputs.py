"""Inputs of a run: images from the pixel cache, and cached activations of frozen layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coverslip.core.seeds import generator
from coverslip.data.augment import Augmentation
from coverslip.data.augment.pipeline import augment, image_seeds
from coverslip.data.image import Pixels
from coverslip.data.inputs import InputSpec
from coverslip.models.freeze import unflatten

IntArray = npt.NDArray[np.int64]


class ImageInputs:
    """Decoded images, augmented differently in each epoch; implements `coverslip.training.batches.Inputs`.

    Args:
        pixels: decoded images, shape (M, H, W, C), memory-mapped.
        rows: indices of the N images to use.
        spec: input specification of the network.
        augmentation: augmentation in training; None for no augmentation.
        seed: random seed of the augmentation.
    """

    def __init__(
        self,
        pixels: Pixels,
        rows: Sequence[int],
        spec: InputSpec,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.pixels, self.rows, self.spec = pixels, np.asarray(rows, np.int64), spec
        self.augmentation, self.seed = augmentation, seed

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `coverslip.training.batches.Inputs.take`."""
        selected = self.pixels[self.rows[rows]]
        if selected.dtype == np.uint8:  # convert on the device: a quarter of the bytes to transfer
            images = torch.from_numpy(selected).to(device).permute(0, 3, 1, 2).float().mul_(1 / 255)
        else:
            images = torch.from_numpy(self.spec.scaled(selected)).to(device)
        if self.augmentation is not None and epoch is not None:
            images = augment(images, self.augmentation, image_seeds(self.seed, epoch, rows).to(device)).images
        return self.spec.normalized(images)


class FeatureRows(Protocol):
    """N rows of features on disk; see `coverslip.inference.features.FeatureRows`."""

    def __len__(self) -> int: ...

    def take(self, numbers: IntArray) -> npt.NDArray[np.float16]:
        """Return the features of the given rows, float16 (n, D), in their order."""
        ...


class ActivationInputs:
    """Activations of the frozen layers for every view of the images; each epoch uses the next view of each image.

    Args:
        rows: rows of the feature cache, (views * N): all images in view 0, then all in view 1, and so on.
        views: number of views per image.
        shape: shape of the activations of one image, (c, h, w) or (D,).
        seed: random seed of the first view of each image.
    """

    def __init__(self, rows: FeatureRows, views: int, shape: tuple[int, ...], seed: int = 0) -> None:
        self.rows, self.views, self.shape = rows, views, shape
        self.first = generator(seed, "first view").integers(views, size=len(self))

    def __len__(self) -> int:
        return len(self.rows) // self.views

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `coverslip.training.batches.Inputs.take`; epoch None uses view 0, the unchanged image."""
        view = np.zeros(len(rows), np.int64) if epoch is None else (self.first[rows] + epoch) % self.views
        flat = torch.from_numpy(self.rows.take(view * len(self) + rows))
        return unflatten(flat.to(device).float(), self.shape)

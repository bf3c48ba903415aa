"""Inputs of the training loop, and the order and batches of an epoch."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from coverslip.core.seeds import generator

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation

IntArray = npt.NDArray[np.int64]


class Inputs(Protocol):
    """Images, or activations of frozen layers, as input of the trained layers."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """Return the inputs of some images, float32 (n, ...), in the order of ``rows``.

        Args:
            rows: indices of the images, int64 (n,).
            epoch: epoch (from 0) whose augmentation is applied; None for no augmentation. The result is a function of
                rows and epoch.
            device: device of the returned tensor.
        """
        ...


def input_shape(inputs: Inputs) -> tuple[int, ...]:
    """Return the shape of one input without the batch axis, that of the first."""
    return tuple(inputs.take(np.zeros(1, np.int64), None, torch.device("cpu")).shape[1:])


class ArrayInputs:
    """`Inputs` from an array, in memory or memory-mapped.

    Args:
        array: shape (N, ...); float32 as the network expects it, or uint8, which is scaled to 0 to 1. Images have shape
            (N, C, H, W); a transposed view of a contiguous (N, H, W, C) array is fastest.
        augmentation: augmentation of images scaled to 0 to 1; None for no augmentation.
        seed: random seed of the augmentation.
    """

    def __init__(
        self, array: npt.NDArray[Any] | Tensor, augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        tensor = array if isinstance(array, Tensor) else _from_numpy(array)
        self.channels_last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
        self.tensor = tensor.permute(0, 2, 3, 1) if self.channels_last else tensor
        self.augmentation, self.seed = augmentation, seed

    def __len__(self) -> int:
        return len(self.tensor)

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `Inputs.take`."""
        selected = self.tensor.index_select(0, torch.from_numpy(rows).to(self.tensor.device)).to(device)
        selected = selected.permute(0, 3, 1, 2) if self.channels_last else selected
        if selected.dtype == torch.uint8:
            selected = selected.float().mul_(1 / 255)
        elif selected.dtype != torch.float32:
            selected = selected.float()
        if self.augmentation is None or epoch is None:
            return selected
        from coverslip.data.augment.pipeline import augment, image_seeds

        return augment(selected, self.augmentation, image_seeds(self.seed, epoch, rows).to(device)).images


def epoch_order(count: int, seed: int, epoch: int) -> IntArray:
    """Return the order of the images in an epoch, int64 (count,), as a function of seed and epoch."""
    return generator(seed, f"order of epoch {epoch}").permutation(count)


def balanced_order(labels: IntArray, seed: int, epoch: int) -> IntArray:
    """Draw as many images as there are, with (nearly) equal numbers from each class that is present.

    Images of a class are drawn without replacement, round by round: none is drawn a third time before all were drawn
    twice.
    """
    rng = generator(seed, f"draws of epoch {epoch}")
    present = np.unique(labels)
    counts = np.full(len(present), len(labels) // len(present))
    counts[rng.permutation(len(present))[: len(labels) % len(present)]] += 1
    drawn = []
    for label, count in zip(present, counts.tolist(), strict=True):
        rows = np.flatnonzero(labels == label)
        rounds = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
        drawn.append(np.concatenate([*rounds, rows[:0]])[:count])
    return np.asarray(rng.permutation(np.concatenate(drawn)), np.int64)


def split_batches(rows: IntArray, size: int, merge_last: bool) -> list[IntArray]:
    """Split rows into batches of ``size``; the last one may be smaller.

    Args:
        rows: int64 (n,), n at least 1.
        size: batch size; 0 for all rows.
        merge_last: merge a last batch of a single row with the previous one, since batch norm needs two images.

    >>> [batch.tolist() for batch in split_batches(np.arange(5), 2, True)]
    [[0, 1], [2, 3, 4]]
    """
    size = size or len(rows)
    starts = list(range(0, len(rows), size))
    if merge_last and len(starts) > 1 and len(rows) - starts[-1] == 1:
        starts.pop()
    return [rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]


def _from_numpy(array: npt.NDArray[Any]) -> Tensor:
    """Return a tensor that shares memory with the array; it is never written to, so read-only maps are fine."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)

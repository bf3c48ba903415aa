"""Which images make up each step, and where their numbers come from."""

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
    """Images, or what a frozen network made of them, as the trained network takes them."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """These rows as float32 (n, ...), in this order.

        Args:
            rows: int64 (n,).
            epoch: None gives them as they are, a number that epoch's augmented view. The same rows and epoch always
                give the same numbers.
            device: where the tensor is to lie.
        """
        ...


class ArrayInputs:
    """`Inputs` from an array in memory, or a memory-mapped one.

    Args:
        array: (N, ...), float32 as the network takes it, or uint8, which becomes 0 to 1. An array of images is
            (N, C, H, W); one that lies in memory as (N, H, W, C) and was transposed is gathered fastest.
        how: augmentation of images on the scale 0 to 1; None gives every epoch the images as they are.
        seed: of the augmentation.
    """

    def __init__(self, array: npt.NDArray[Any] | Tensor, how: Augmentation | None = None, seed: int = 0) -> None:
        tensor = array if isinstance(array, Tensor) else _shared(array)
        self.lasts = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
        self.tensor = tensor.permute(0, 2, 3, 1) if self.lasts else tensor
        self.how, self.seed = how, seed

    def __len__(self) -> int:
        return len(self.tensor)

    def take(self, rows: IntArray, epoch: int | None, device: torch.device) -> Tensor:
        """See `Inputs.take`."""
        found = self.tensor.index_select(0, torch.from_numpy(rows).to(self.tensor.device)).to(device)
        found = found.permute(0, 3, 1, 2) if self.lasts else found
        if found.dtype == torch.uint8:
            found = found.float().mul_(1 / 255)
        elif found.dtype != torch.float32:
            found = found.float()
        if self.how is None or epoch is None:
            return found
        from coverslip.data.augment.pipeline import augment, image_seeds

        return augment(found, self.how, image_seeds(self.seed, epoch, rows).to(device)).images


def epoch_order(count: int, seed: int, epoch: int) -> IntArray:
    """The order of all images in an epoch: int64 (count,), a function of seed and epoch and nothing else."""
    return generator(seed, f"order of epoch {epoch}").permutation(count)


def balanced_order(labels: IntArray, seed: int, epoch: int) -> IntArray:
    """An epoch of as many draws as there are images, (nearly) the same number from each class that is present.

    No image of a class comes a third time before all of the class came twice.
    """
    chance = generator(seed, f"draws of epoch {epoch}")
    present = np.unique(labels)
    shares = np.full(len(present), len(labels) // len(present))
    shares[chance.permutation(len(present))[: len(labels) % len(present)]] += 1
    drawn = []
    for label, share in zip(present, shares.tolist(), strict=True):
        own = np.flatnonzero(labels == label)
        rounds = [chance.permutation(own) for _ in range(-(-share // len(own)))]
        drawn.append(np.concatenate([*rounds, own[:0]])[:share])
    return np.asarray(chance.permutation(np.concatenate(drawn)), np.int64)


def divide(rows: IntArray, size: int, join_last: bool) -> list[IntArray]:
    """Rows in batches of ``size``, the last one shorter.

    Args:
        rows: (n,), n at least 1.
        size: of a batch; 0 is all rows.
        join_last: a last batch of a single row joins the one before, since batch norm cannot see one image.

    >>> [batch.tolist() for batch in divide(np.arange(5), 2, True)]
    [[0, 1], [2, 3, 4]]
    """
    size = size or len(rows)
    starts = list(range(0, len(rows), size))
    if join_last and len(starts) > 1 and len(rows) - starts[-1] == 1:
        starts.pop()
    return [rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]


def _shared(array: npt.NDArray[Any]) -> Tensor:
    """A tensor on the same memory, which is only read: a map of a file may refuse to be written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)

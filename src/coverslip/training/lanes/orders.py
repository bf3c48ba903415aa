"""The batches of each lane, the same as in a separate training; lanes with equal batches share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from coverslip.training.batches import Inputs, IntArray, balanced_order, epoch_order, split_batches
from coverslip.training.forward import to_channels_last
from coverslip.training.losses import soft_targets
from coverslip.training.rng import step_seed

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """What determines the batches of a lane.

    Attributes:
        seed: random seed of the order.
        rows: training rows of the lane, int64 (n,).
        labels: class ids of these rows, int64 (n,).
        resampled: whether each epoch draws equally from every class.
    """

    seed: int
    rows: IntArray
    labels: IntArray
    resampled: bool

    @property
    def key(self) -> tuple[object, ...]:
        """A key that is equal for equal orders."""
        return self.seed, self.resampled, self.rows.tobytes()

    def steps(self, epoch: int, size: int, merge_last: bool) -> list[IntArray]:
        """Return the rows of each step of an epoch (from 0); see `coverslip.training.job.TrainingJob.steps`."""
        count, seed = len(self.rows), self.seed
        order = balanced_order(self.labels, seed, epoch) if self.resampled else epoch_order(count, seed, epoch)
        return split_batches(self.rows[order], size, merge_last)


@dataclass(frozen=True, slots=True)
class LaneBatch:
    """The images of one step of some lanes; G is 1 if all lanes have the same images, else the number of lanes.

    Attributes:
        lanes: indices of the lanes in the stack.
        images: float32 (G, B, ...).
        labels: class ids, int64 (G, B).
        fractions: fraction of each class in mixed images, float32 (G, B, K); None if images are not mixed.
    """

    lanes: list[int]
    images: Tensor
    labels: Tensor
    fractions: Tensor | None


class EpochBatches:
    """The batches of one epoch of all lanes.

    Args:
        orders: order of each lane.
        steps: completed steps of each lane, which determine the seeds of mixup and cutmix.
        epoch: epoch, from 0.
        size: batch size; 0 for all images.
        merge_last: whether a last batch of one image is merged with the previous batch.
    """

    def __init__(
        self, orders: Sequence[BatchOrder], steps: Sequence[int], epoch: int, size: int, merge_last: bool
    ) -> None:
        keys = [order.key for order in orders]
        self.groups = [keys.index(key) for key in keys]  # for each lane, the first lane with the same batches
        self.batches = {first: orders[first].steps(epoch, size, merge_last) for first in dict.fromkeys(self.groups)}
        self.seeds = {first: (orders[first].seed, steps[first]) for first in self.batches}
        self.epoch = epoch
        self.equal_sizes = len({sum(map(len, batches)) for batches in self.batches.values()}) == 1

    def __len__(self) -> int:
        return max(map(len, self.batches.values()))

    def counts(self, lane: int) -> list[int]:
        """Return the number of images of each step of a lane."""
        return [len(rows) for rows in self.batches[self.groups[lane]]]

    def lanes_by_size(self, step: int) -> list[list[int]]:
        """Return the lanes grouped by the size of their batch at a step of the epoch; usually one group of all."""
        if self.equal_sizes:
            return [list(range(len(self.groups)))]
        by_size: dict[int, list[int]] = {}
        for lane, first in enumerate(self.groups):
            if step < len(self.batches[first]):
                by_size.setdefault(len(self.batches[first][step]), []).append(lane)
        return list(by_size.values())

    def batch(
        self,
        step: int,
        lanes: list[int],
        inputs: Inputs,
        targets: Tensor,
        mix: Augmentation | None,
        classes: int,
        channels_last: bool,
    ) -> LaneBatch:
        """Return the images of one step of a group of `lanes_by_size`; lanes with equal batches share the images.

        Args:
            step: index of the step in the epoch.
            lanes: indices of the lanes.
            inputs: N training images.
            targets: class ids of all images, int64 (N,), on the device.
            mix: mixup and cutmix; None if not used.
            classes: number of classes K.
            channels_last: whether images are converted to channels-last memory format.
        """
        firsts = list(dict.fromkeys(self.groups[lane] for lane in lanes))
        rows = np.concatenate([self.batches[first][step] for first in firsts])
        images = to_channels_last(inputs.take(rows, self.epoch, targets.device), channels_last)
        labels = targets.index_select(0, torch.from_numpy(rows).to(targets.device)).view(len(firsts), -1)
        images = images.view(len(firsts), -1, *images.shape[1:])
        fractions = None
        if mix is not None:
            images, fractions = self._mixed(step, firsts, images, soft_targets(labels.flatten(), classes), mix)
        if 1 < len(firsts) < len(lanes):  # some lanes share a batch and others do not: copy it for each lane
            index = torch.tensor([firsts.index(self.groups[lane]) for lane in lanes], device=targets.device)
            images, labels = images.index_select(0, index), labels.index_select(0, index)
            fractions = None if fractions is None else fractions.index_select(0, index)
        return LaneBatch(lanes, images, labels, fractions)

    def _mixed(
        self, step: int, firsts: list[int], images: Tensor, fractions: Tensor, mix: Augmentation
    ) -> tuple[Tensor, Tensor]:
        from coverslip.data.augment.pipeline import mix as mix_images

        by_lane = fractions.view(len(firsts), -1, fractions.shape[1])
        mixed = []
        for index, first in enumerate(firsts):
            seed, completed = self.seeds[first]
            mixed.append(mix_images(images[index], by_lane[index], mix, step_seed(seed, completed + step)))
        return torch.stack([pair[0] for pair in mixed]), torch.stack([pair[1] for pair in mixed])

"""Which images each lane sees at each step, as its own training would; lanes that see the same share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from coverslip.training.batches import Inputs, IntArray, balanced_order, divide, epoch_order
from coverslip.training.chance import number_at
from coverslip.training.losses import soft_targets
from coverslip.training.scoring import arranged

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation


@dataclass(frozen=True, slots=True)
class Order:
    """What decides a lane's batches.

    Attributes:
        seed: of the order.
        rows: int64 (n,), training rows of the lane.
        labels: int64 (n,), theirs.
        sampled: each epoch draws equally from every class.
    """

    seed: int
    rows: IntArray
    labels: IntArray
    sampled: bool

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for orders that are equal."""
        return self.seed, self.sampled, self.rows.tobytes()

    def steps(self, epoch: int, size: int, joined: bool) -> list[IntArray]:
        """The rows of each step of an epoch (from 0); see `coverslip.training.job.Job.steps`."""
        count = len(self.rows)
        order = balanced_order(self.labels, self.seed, epoch) if self.sampled else epoch_order(count, self.seed, epoch)
        return divide(self.rows[order], size, joined)


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of one step of some lanes; G is 1 where all of them see the same, else the number of lanes.

    Attributes:
        lanes: places of the lanes in the stack.
        images: float32 (G, B, ...).
        labels: int64 (G, B).
        shares: float32 (G, B, K), of each class in an image, where images are mixed.
    """

    lanes: list[int]
    images: Tensor
    labels: Tensor
    shares: Tensor | None


class Epoch:
    """The batches of one epoch.

    Args:
        orders: of the lanes.
        steps: finished steps of each lane, which chance in mixing depends on.
        epoch: from 0.
        size: images a batch, 0 is all.
        joined: a last batch of one image joins the one before.
    """

    def __init__(self, orders: Sequence[Order], steps: Sequence[int], epoch: int, size: int, joined: bool) -> None:
        keys = [order.key for order in orders]
        self.groups = [keys.index(key) for key in keys]  # of each lane: the first lane with the same batches
        self.made = {first: orders[first].steps(epoch, size, joined) for first in dict.fromkeys(self.groups)}
        self.seeds = {first: (orders[first].seed, steps[first]) for first in self.made}
        self.epoch = epoch
        self.alike = len({sum(map(len, made)) for made in self.made.values()}) == 1

    def __len__(self) -> int:
        return max(map(len, self.made.values()))

    def counts(self, lane: int) -> list[int]:
        """Images of each step of a lane."""
        return [len(rows) for rows in self.made[self.groups[lane]]]

    def parts(self, step: int) -> list[list[int]]:
        """Lanes whose batches at this step (of the epoch) are equally large; usually one list of all."""
        if self.alike:
            return [list(range(len(self.groups)))]
        lengths: dict[int, list[int]] = {}
        for lane, first in enumerate(self.groups):
            if step < len(self.made[first]):
                lengths.setdefault(len(self.made[first][step]), []).append(lane)
        return list(lengths.values())

    def batch(
        self,
        step: int,
        lanes: list[int],
        inputs: Inputs,
        truth: Tensor,
        mix: Augmentation | None,
        classes: int,
        convolved: bool,
    ) -> Batch:
        """The images of one step of some lanes, which `parts` gave; each image is read once for all of them."""
        firsts = list(dict.fromkeys(self.groups[lane] for lane in lanes))
        rows = np.concatenate([self.made[first][step] for first in firsts])
        images = arranged(inputs.take(rows, self.epoch, truth.device), convolved)
        labels = truth.index_select(0, torch.from_numpy(rows).to(truth.device)).view(len(firsts), -1)
        images = images.view(len(firsts), -1, *images.shape[1:])
        shares = None
        if mix is not None:
            images, shares = self._mixed(step, firsts, images, soft_targets(labels.flatten(), classes), mix)
        if 1 < len(firsts) < len(lanes):  # some lanes share a batch, others do not: each has a copy of its own
            own = torch.tensor([firsts.index(self.groups[lane]) for lane in lanes], device=truth.device)
            images, labels = images.index_select(0, own), labels.index_select(0, own)
            shares = None if shares is None else shares.index_select(0, own)
        return Batch(lanes, images, labels, shares)

    def _mixed(
        self, step: int, firsts: list[int], images: Tensor, shares: Tensor, mix: Augmentation
    ) -> tuple[Tensor, Tensor]:
        from coverslip.data.augment.pipeline import mix as mix_images

        own = shares.view(len(firsts), -1, shares.shape[1])
        mixed = []
        for place, first in enumerate(firsts):
            seed, before = self.seeds[first]
            mixed.append(mix_images(images[place], own[place], mix, number_at(seed, before + step)))
        return torch.stack([each for each, _ in mixed]), torch.stack([each for _, each in mixed])

"""One training, made ready: its images, its order, its loss, and what a step does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coverslip.core.storage import digest
from coverslip.training.balance import Balance, choose_balance
from coverslip.training.batches import Inputs, IntArray, balanced_order, divide, epoch_order
from coverslip.training.checks import check_answer, check_batch_norm, check_labels
from coverslip.training.config import TrainingConfig
from coverslip.training.losses import Loss, build_loss, soft_targets
from coverslip.training.optimizers import add_l2, build_optimizer, decay_groups
from coverslip.training.schedules import SCHEDULES
from coverslip.training.scoring import arranged, convolves

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation


@dataclass(slots=True)
class Job:
    """A network, its training images and a recipe; `prepare_job` makes one.

    Attributes:
        recipe: with a number for every None.
        labels: int64 (N,), and ``truth`` the same on the device.
        balance: what is done about rare classes.
        joined: a last batch of one image joins the one before.
        convolved: images are brought in the order that convolutions like.
        precision: ``float32`` or ``bfloat16``.
        length: steps of an epoch.
    """

    network: nn.Module
    inputs: Inputs
    labels: IntArray
    truth: Tensor
    classes: int
    config: TrainingConfig
    mix: Augmentation | None
    device: torch.device
    balance: Balance
    joined: bool
    convolved: bool
    loss: Loss
    optimizer: Optimizer
    trained: list[nn.Parameter]
    decayed: list[nn.Parameter]
    precision: str = "float32"
    length: int = field(default=0)

    def steps(self, epoch: int) -> list[IntArray]:
        """The rows of each step of an epoch (from 0), a function of the seed and the epoch."""
        seed, size = self.config.seed, (self.config.batch_size or 0) * self.config.accumulate
        drawn = self.balance.sampled
        order = balanced_order(self.labels, seed, epoch) if drawn else epoch_order(len(self.labels), seed, epoch)
        return divide(order, size, self.joined)

    def lr(self, step: int) -> float:
        """The learning rate of a step (from 0)."""
        config = self.config
        assert config.lr is not None and config.epochs is not None
        return config.lr * SCHEDULES[config.schedule](step, self.length * config.epochs, config.warmup)

    def gradients(self, rows: IntArray, epoch: int, chance: int) -> tuple[Tensor, Tensor | None]:
        """Forward and backward; the gradients are added to the parameters'.

        Args:
            rows: of one step, in one batch or as many as are accumulated.
            epoch: from 0, of the augmentation.
            chance: a number for this step, of mixup and cutmix.

        Returns:
            The mean loss over the rows, and how many were told rightly (None where images are mixed), both left on
            the device.
        """
        losses: list[Tensor] = []
        rights: list[Tensor] = []
        for part in divide(rows, self.config.batch_size or 0, self.joined):
            images = arranged(self.inputs.take(part, epoch, self.device), self.convolved)
            targets = self.truth.index_select(0, torch.from_numpy(part).to(self.device))
            if self.mix is not None:
                images, targets = self._mixed(images, targets, chance + len(losses))
            with self._precision():
                scores = self.network(images)
            loss = self.loss(scores.float(), targets) / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            if self.mix is None:
                rights.append((scores.detach().argmax(1) == targets).sum())
        if len(losses) == 1:
            return losses[0], rights[0] if rights else None
        return torch.stack(losses).sum(), torch.stack(rights).sum() if rights else None

    def update(self, rate: float) -> None:
        """One step of the optimizer; the gradients are forgotten."""
        if self.config.l2:
            add_l2(self.decayed, self.config.l2)
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.trained, self.config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def fingerprint(self) -> dict[str, str]:
        """What makes this training another one, beside its recipe: labels, first images, classes, shapes."""
        rows = np.arange(min(4, len(self.inputs)), dtype=np.int64)
        first = self.inputs.take(rows, None, torch.device("cpu")).contiguous().numpy()
        shapes = [(name, tuple(each.shape)) for name, each in self.network.state_dict().items()]
        trained = [name for name, each in self.network.named_parameters() if each.requires_grad]
        return {
            "images": str(len(self.inputs)),
            "classes": str(self.classes),
            "labels": digest(self.labels.tobytes()),
            "first images": digest(str(first.shape), first.tobytes()),
            "shapes of the network": digest(shapes),
            "trained layers": digest(trained),
            "mixing": repr(self.mix),
            "device": self.device.type,
        }

    def _mixed(self, images: Tensor, targets: Tensor, chance: int) -> tuple[Tensor, Tensor]:
        from coverslip.data.augment.pipeline import mix

        assert self.mix is not None
        return mix(images, soft_targets(targets, self.classes), self.mix, chance)

    def _precision(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def prepare_job(
    network: nn.Module,
    inputs: Inputs,
    labels: IntArray,
    classes: int,
    config: TrainingConfig,
    mix: Augmentation | None,
    device: torch.device,
) -> Job:
    """Check everything that can be checked before the first step, and move the network to the device.

    Raises:
        UserError: see `coverslip.training.checks`.
    """
    config = config.filled()
    truth = check_labels(inputs, labels, classes, "training")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    check_answer(network, inputs, classes, device)
    network.zero_grad(set_to_none=True)  # what a caller left there would be added to the first step
    joined = check_batch_norm(network, config, len(inputs))
    balance = choose_balance(np.bincount(truth, minlength=classes).tolist(), config)
    weights = None if balance.weights is None else torch.from_numpy(balance.weights).to(device)
    optimizer = build_optimizer(
        network,
        config.optimizer,
        lr=config.lr or 0.0,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        nesterov=config.nesterov,
    )
    decayed, others = decay_groups(network)
    job = Job(
        network=network,
        inputs=inputs,
        labels=truth,
        truth=torch.from_numpy(truth).to(device),
        classes=classes,
        config=config,
        mix=mix if mix is not None and (mix.mixup or mix.cutmix) else None,
        device=device,
        balance=balance,
        joined=joined,
        convolved=convolves(network),
        loss=build_loss(config.loss, class_weights=weights, label_smoothing=config.label_smoothing, gamma=config.gamma),
        optimizer=optimizer,
        trained=decayed + others,
        decayed=decayed,
    )
    job.length = len(job.steps(0))
    return job

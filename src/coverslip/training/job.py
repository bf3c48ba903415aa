"""A prepared training: inputs, batch order, loss and optimizer, and what one step computes."""

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
from coverslip.training.batches import Inputs, IntArray, balanced_order, epoch_order, split_batches
from coverslip.training.checks import check_batch_norm, check_labels, check_output
from coverslip.training.config import TrainingConfig
from coverslip.training.forward import has_conv, to_channels_last
from coverslip.training.losses import Loss, build_loss, soft_targets
from coverslip.training.optimizers import add_l2, build_optimizer, decay_groups
from coverslip.training.schedules import SCHEDULES

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation


@dataclass(slots=True)
class TrainingJob:
    """A network with its training images and config; created by `prepare_job`.

    Attributes:
        network: the network, on the device.
        inputs: N training images.
        labels: class ids, int64 (N,).
        targets: the labels as a tensor on the device.
        classes: number of classes K.
        config: the training config, without None.
        mix: mixup and cutmix; None if not used.
        device: the device.
        balance: the treatment of class imbalance.
        merge_last: whether a last batch of one image is merged with the previous batch.
        channels_last: whether images are converted to channels-last memory format.
        loss: (logits, targets) -> the loss summed over a batch.
        optimizer: the optimizer.
        parameters: all trained parameters.
        decayed: the parameters with weight decay and L2 penalty.
        precision: ``float32`` or ``bfloat16``.
        length: steps per epoch.
    """

    network: nn.Module
    inputs: Inputs
    labels: IntArray
    targets: Tensor
    classes: int
    config: TrainingConfig
    mix: Augmentation | None
    device: torch.device
    balance: Balance
    merge_last: bool
    channels_last: bool
    loss: Loss
    optimizer: Optimizer
    parameters: list[nn.Parameter]
    decayed: list[nn.Parameter]
    precision: str = "float32"
    length: int = field(default=0)

    def steps(self, epoch: int) -> list[IntArray]:
        """Return the rows of each step of an epoch (from 0), a function of the seed and the epoch."""
        seed, size = self.config.seed, (self.config.batch_size or 0) * self.config.accumulate
        resampled = self.balance.resampled
        order = balanced_order(self.labels, seed, epoch) if resampled else epoch_order(len(self.labels), seed, epoch)
        return split_batches(order, size, self.merge_last)

    def lr(self, step: int) -> float:
        """Return the learning rate of a step (from 0)."""
        config = self.config
        assert config.lr is not None and config.epochs is not None
        return config.lr * SCHEDULES[config.schedule](step, self.length * config.epochs, config.warmup)

    def gradients(self, rows: IntArray, epoch: int, seed: int) -> tuple[Tensor, Tensor | None]:
        """Run forward and backward passes; gradients are added to those of the parameters.

        Args:
            rows: rows of one step; they are split into several batches if gradients are accumulated.
            epoch: epoch (from 0), for the augmentation.
            seed: random seed of this step, for mixup and cutmix.

        Returns:
            The mean loss over the rows and the number of correctly classified images (None if images are mixed), both
            on the device.
        """
        losses: list[Tensor] = []
        corrects: list[Tensor] = []
        for batch in split_batches(rows, self.config.batch_size or 0, self.merge_last):
            images = to_channels_last(self.inputs.take(batch, epoch, self.device), self.channels_last)
            targets = self.targets.index_select(0, torch.from_numpy(batch).to(self.device))
            if self.mix is not None:
                images, targets = self._mixed(images, targets, seed + len(losses))
            with self._precision():
                logits = self.network(images)
            loss = self.loss(logits.float(), targets) / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            if self.mix is None:
                corrects.append((logits.detach().argmax(1) == targets).sum())
        if len(losses) == 1:
            return losses[0], corrects[0] if corrects else None
        return torch.stack(losses).sum(), torch.stack(corrects).sum() if corrects else None

    def update(self, lr: float) -> None:
        """Update the weights with a learning rate, and clear the gradients."""
        if self.config.l2:
            add_l2(self.decayed, self.config.l2)
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def fingerprint(self) -> dict[str, str]:
        """Return what identifies this training apart from its config: labels, first images, classes, shapes."""
        rows = np.arange(min(4, len(self.inputs)), dtype=np.int64)
        first = self.inputs.take(rows, None, torch.device("cpu")).contiguous().numpy()
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.network.state_dict().items()]
        trained = [name for name, parameter in self.network.named_parameters() if parameter.requires_grad]
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

    def _mixed(self, images: Tensor, targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        from coverslip.data.augment.pipeline import mix

        assert self.mix is not None
        return mix(images, soft_targets(targets, self.classes), self.mix, seed)

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
) -> TrainingJob:
    """Check everything that can be checked before the first step, and move the network to the device.

    Raises:
        UserError: network, images, labels and config do not fit together; see `coverslip.training.checks`.
    """
    config = config.filled()
    checked_labels = check_labels(inputs, labels, classes, "training")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    check_output(network, inputs, classes, device)
    network.zero_grad(set_to_none=True)  # gradients left by the caller would be added to the first step
    merge_last = check_batch_norm(network, config, len(inputs))
    balance = choose_balance(np.bincount(checked_labels, minlength=classes).tolist(), config)
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
    job = TrainingJob(
        network=network,
        inputs=inputs,
        labels=checked_labels,
        targets=torch.from_numpy(checked_labels).to(device),
        classes=classes,
        config=config,
        mix=mix if mix is not None and (mix.mixup or mix.cutmix) else None,
        device=device,
        balance=balance,
        merge_last=merge_last,
        channels_last=has_conv(network),
        loss=build_loss(config.loss, class_weights=weights, label_smoothing=config.label_smoothing, gamma=config.gamma),
        optimizer=optimizer,
        parameters=decayed + others,
        decayed=decayed,
    )
    job.length = len(job.steps(0))
    return job

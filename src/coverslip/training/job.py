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
from coverslip.training.balance import Balance
from coverslip.training.batches import Inputs, IntArray, balanced_order, epoch_order, split_batches
from coverslip.training.checks import check_batch_norm, check_output
from coverslip.training.config import TrainingConfig
from coverslip.training.ema import Ema
from coverslip.training.forward import has_conv, to_channels_last
from coverslip.training.losses import Loss
from coverslip.training.objectives import Objective, Targets, as_objective
from coverslip.training.optimizers import add_l2, build_optimizer, decay_groups
from coverslip.training.schedules import SCHEDULES
from coverslip.training.state import TrainState

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation


@dataclass(slots=True)
class TrainingJob:
    """A network with its training images and config; created by `prepare_job`.

    Attributes:
        network: the network, on the device.
        inputs: N training images.
        labels: targets as `Objective.check` returns them; class ids, int64 (N,), for a classification.
        targets: the same as a tensor on the device.
        objective: what is minimized.
        config: the training config, without None.
        mix: mixup and cutmix; None if not used.
        device: the device.
        balance: the treatment of class imbalance.
        merge_last: whether a last batch of one image is merged with the previous batch.
        channels_last: whether images are converted to channels-last memory format.
        loss: (outputs, targets) -> the loss summed over a batch.
        optimizer: the optimizer.
        parameters: all trained parameters.
        decayed: the parameters with weight decay and L2 penalty.
        precision: ``float32`` or ``bfloat16``.
        length: steps per epoch.
    """

    network: nn.Module
    inputs: Inputs
    labels: Targets
    targets: Tensor
    objective: Objective
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
            The mean loss over the rows and the number of correct images (None if images are mixed, or if the objective
            counts none), both on the device.
        """
        losses: list[Tensor] = []
        corrects: list[Tensor] = []
        for batch in split_batches(rows, self.config.batch_size or 0, self.merge_last):
            images = to_channels_last(self.inputs.take(batch, epoch, self.device), self.channels_last)
            targets = self.targets.index_select(0, torch.from_numpy(batch).to(self.device))
            if self.mix is not None:
                images, targets = self._mixed(images, targets, seed + len(losses))
            with self._precision():
                outputs = self.network(images)
            loss = self.loss(outputs.float(), targets) / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            if self.mix is None and self.objective.counts_correct:
                corrects.append(self.objective.correct(outputs.detach(), targets).sum())
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
            "classes": str(self.objective.num_outputs),
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
        return mix(images, self.objective.soft(targets), self.mix, seed)

    def _precision(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def prepare_job(
    network: nn.Module,
    inputs: Inputs,
    targets: Targets,
    objective: Objective | int,
    config: TrainingConfig,
    mix: Augmentation | None,
    device: torch.device,
) -> TrainingJob:
    """Check everything that can be checked before the first step, and move the network to the device.

    Raises:
        UserError: network, images, targets and config do not fit together; see `Objective.check` and
            `coverslip.training.checks`.
    """
    config, objective = config.filled(), as_objective(objective)
    checked = objective.check(inputs, targets, "training")
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    check_output(network, inputs, objective.num_outputs, device)
    network.zero_grad(set_to_none=True)  # gradients left by the caller would be added to the first step
    merge_last = check_batch_norm(network, config, len(inputs))
    balance = objective.balance(checked, config)
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
        labels=checked,
        targets=torch.from_numpy(checked).to(device),
        objective=objective,
        config=config,
        mix=mix if mix is not None and (mix.mixup or mix.cutmix) else None,
        device=device,
        balance=balance,
        merge_last=merge_last,
        channels_last=has_conv(network),
        loss=objective.loss(config, weights),
        optimizer=optimizer,
        parameters=decayed + others,
        decayed=decayed,
    )
    job.length = len(job.steps(0))
    return job


def initial_state(job: TrainingJob, *, validated: bool) -> TrainState:
    """Return the state before the first step of a training.

    Args:
        job: the prepared training.
        validated: whether there is a validation set.
    """
    counted = job.objective.counts_correct
    measured = ["train_loss", *(["train_accuracy"] if counted and job.mix is None else [])]
    measured += ["validation_loss", *(["validation_accuracy"] if counted else [])] if validated else []
    config = job.config
    ema = Ema(job.network, config.ema) if config.ema else None
    steps = job.length * (config.epochs or 0)
    return TrainState(job.network, job.optimizer, config, config.precision, steps, tuple(measured), ema)

"""The training loop. Start reading at `train_network`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import nn

from coverslip.core.devices import pick_device, tune_allocator
from coverslip.core.progress import SILENT, Progress
from coverslip.training.batches import Inputs
from coverslip.training.callbacks import (
    Callback,
    CallbackList,
    CheckpointCallback,
    EarlyStopping,
    NanGuard,
    ProgressCallback,
    ValidationCallback,
)
from coverslip.training.checks import check_validation, high_loss_note, non_finite_loss_error, training_mode
from coverslip.training.config import TrainingConfig
from coverslip.training.interrupt import defer_interrupt
from coverslip.training.job import initial_state, prepare_job
from coverslip.training.objectives import Objective, Targets
from coverslip.training.precision import decide_precision
from coverslip.training.rng import isolated_rng, seed_all, step_seed
from coverslip.training.state import NonFiniteLoss

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        network: the network in evaluation mode, with the weights of the best epoch, else the averaged or the last ones.
        history: one row per epoch: epoch (from 1), step, lr, train_loss, train_accuracy, validation_loss,
            validation_accuracy, seconds (since the start); null if not measured.
        best_epoch: the epoch of these weights.
        stopped: why training ended.
        precision: ``float32`` or ``bfloat16``, as configured or measured.
    """

    network: nn.Module
    history: pl.DataFrame
    best_epoch: int
    stopped: str
    precision: str = "float32"


def train_network(
    network: nn.Module,
    inputs: Inputs,
    targets: Targets,
    objective: Objective | int,
    config: TrainingConfig,
    *,
    validation: tuple[Inputs, Targets] | None = None,
    mix: Augmentation | None = None,
    checkpoint: Path | None = None,
    identity: Mapping[str, str] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
    device: torch.device | None = None,
) -> TrainingResult:
    """Train the parameters of a network that require gradients.

    A step is one update of the weights, from one batch or from ``config.accumulate`` batches.

    Args:
        network: maps float32 (n, ...) to outputs (n, num_outputs); trained in place and moved to the device.
        inputs: N training images.
        targets: what is to be predicted, as the objective takes it; class ids, int (N,), for a classification.
        objective: what is minimized; a number is that of the classes of a classification.
        config: training config; None becomes the default of the loop.
        validation: images and targets that are scored after each epoch, to select the best epoch.
        mix: mixup and cutmix, applied on the device.
        checkpoint: folder for the state, which is saved after an epoch or 60 s; an existing state is resumed.
        identity: further values, by name, that must be equal to resume (data, split, weights).
        callbacks: called after the built-in callbacks; see `Callback`.
        progress: receives the steps and notes.
        device: device to use; None for the fastest one.

    Raises:
        UserError: targets are out of range; the network has another number of outputs; the loss became NaN or infinite
            (with the step and the likely cause); the checkpoint belongs to another training (with the difference); or
            the disk is full (the last complete checkpoint remains).
        KeyboardInterrupt: Ctrl+C; the step was completed and the checkpoint saved.
    """
    tune_allocator()
    device = device or pick_device()
    job = prepare_job(network, inputs, targets, objective, config, mix, device)
    config, objective = job.config, job.objective
    checked = None if validation is None else check_validation(network, *validation, objective, device)
    state = initial_state(job, validated=checked is not None)
    saving = [CheckpointCallback(checkpoint, job.fingerprint() | dict(identity or {}), progress)] if checkpoint else []
    # The order matters: losses are checked first, and the history row of an epoch exists before it is compared.
    all_callbacks = CallbackList(
        [
            NanGuard(),
            ValidationCallback(checked, objective, device),
            EarlyStopping(),
            *saving,
            ProgressCallback(progress),
            *callbacks,
        ]
    )
    if job.balance.message:
        progress.note(job.balance.message)

    with isolated_rng(device) as generators, defer_interrupt() as interrupt:
        try:
            all_callbacks.fit_start(state)
            job.precision = state.precision = decide_precision(job, state.precision, progress)
            start, state.consistent = monotonic() - state.seconds, True
            while state.epoch < state.epochs and not state.stopped:
                state.begin_epoch()
                all_callbacks.epoch_start(state)
                training_mode(network)
                for rows in job.steps(state.epoch)[state.batch :]:  # a resumed epoch skips its completed steps
                    state.consistent = False
                    seed = step_seed(config.seed, state.step)
                    seed_all(generators, seed)
                    loss, correct = job.gradients(rows, state.epoch, seed)
                    state.lr = job.lr(state.step)
                    job.update(state.lr)
                    state.end_step(loss, correct, len(rows))
                    state.seconds, state.consistent = monotonic() - start, True
                    all_callbacks.step_end(state)
                    interrupt.raise_if_requested()
                    if state.stopped:
                        break
                state.consistent = False
                state.end_epoch()
                all_callbacks.epoch_end(state)
                state.consistent = True
                interrupt.raise_if_requested()
        except NonFiniteLoss as error:
            state.consistent = False
            images = inputs.take(job.steps(state.epoch)[error.batch], state.epoch, device)
            raise non_finite_loss_error(error, images, config, state.precision) from None
        finally:
            all_callbacks.fit_end(state)
    best = state.restore_best()
    history = state.frame()
    note = high_loss_note(history, objective.uninformed_loss, config)
    if note:
        progress.note(note)
    stopped = state.stopped or f"completed all {state.epochs} epochs"
    return TrainingResult(network.eval(), history, best, stopped, job.precision)

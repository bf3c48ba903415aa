"""The training loop. Read `train_network` first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import polars as pl
import torch
from torch import nn

from coverslip.core.devices import keep_big_blocks, pick_device
from coverslip.core.progress import SILENT, Progress
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.callbacks import Callback, History, Moments, Saving, Showing, StopAtNan, Stopping
from coverslip.training.chance import number_at, own_chance, seed_all
from coverslip.training.checks import check_validation, explain_broken, explain_grown, training_mode
from coverslip.training.config import TrainingConfig
from coverslip.training.interrupt import waiting_interrupt
from coverslip.training.job import prepare_job
from coverslip.training.precision import decide_precision
from coverslip.training.scoring import score_network
from coverslip.training.state import BrokenLoss, begin_state

if TYPE_CHECKING:
    from coverslip.data.augment import Augmentation

__all__ = ["Trained", "score_network", "train_network"]


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training.

    Attributes:
        network: in evaluation mode, with the best epoch's weights, else the averaged or the last ones.
        history: epoch (from 1), step, lr, train_loss, train_accuracy, validation_loss, validation_accuracy,
            seconds (since the beginning); null where nothing was measured.
        best_epoch: whose weights these are.
        stopped: why it ended.
        precision: ``float32`` or ``bfloat16``, as it was given or measured.
    """

    network: nn.Module
    history: pl.DataFrame
    best_epoch: int
    stopped: str
    precision: str = "float32"


def train_network(
    network: nn.Module,
    inputs: Inputs,
    labels: IntArray,
    classes: int,
    config: TrainingConfig,
    *,
    validation: tuple[Inputs, IntArray] | None = None,
    mix: Augmentation | None = None,
    checkpoint: Path | None = None,
    identity: Mapping[str, str] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
    device: torch.device | None = None,
) -> Trained:
    """Train a network's parameters that want a gradient.

    A step is one update of the weights: a batch, or ``training.accumulate`` of them.

    Args:
        network: float32 (n, ...) -> scores (n, K); trained in place, and moved to the device.
        inputs: N training images.
        labels: int (N,), 0 to K - 1.
        classes: K.
        recipe: every setting; a None in it becomes the loop's own number.
        validation: images and labels that are scored after each epoch; they choose the epoch, and nothing else.
        mix: mixup and cutmix, on the device.
        checkpoint: a folder. The state lies there after an epoch, or 60 s; if one is there, training goes on from it.
        identity: what else must be equal to go on (data, split, weights), by name.
        callbacks: called after our own; see `Callback`.
        progress: told of the steps.
        device: the fastest one without.

    Raises:
        UserError: labels outside the classes, a network of another shape, a loss that is no number (with the step and
            the likely cause), a checkpoint of another training (with the difference), a full disk (the last good
            checkpoint stays) ...
        KeyboardInterrupt: Ctrl+C; the step was finished and the checkpoint written.
    """
    keep_big_blocks()
    device = device or pick_device()
    job = prepare_job(network, inputs, labels, classes, config, mix, device)
    config = job.config
    watched = None if validation is None else check_validation(network, *validation, classes, device)
    state = begin_state(network, job.optimizer, config, job.length, watched is not None, job.mix is not None)
    saving = [Saving(checkpoint, job.fingerprint() | dict(identity or {}), progress)] if checkpoint else []
    moments = Moments([StopAtNan(), History(watched, device), Stopping(), *saving, Showing(progress), *callbacks])
    if job.balance.sentence:
        progress.note(job.balance.sentence)

    with own_chance(device) as generators, waiting_interrupt() as interrupt:
        try:
            moments.fit_start(state)
            job.precision = state.precision = decide_precision(job, state.precision, progress)
            began, state.whole = monotonic() - state.seconds, True
            while state.epoch < state.epochs and not state.stopped:
                state.begin_epoch()
                moments.epoch_start(state)
                training_mode(network)
                for rows in job.steps(state.epoch)[state.batch :]:
                    state.whole = False
                    chance = number_at(config.seed, state.step)
                    seed_all(generators, chance)
                    loss, right = job.gradients(rows, state.epoch, chance)
                    state.lr = job.lr(state.step)
                    job.update(state.lr)
                    state.end_step(loss, right, len(rows))
                    state.seconds, state.whole = monotonic() - began, True
                    moments.step_end(state)
                    interrupt.act()
                    if state.stopped:
                        break
                state.whole = False
                state.end_epoch()
                moments.epoch_end(state)
                state.whole = True
                interrupt.act()
        except BrokenLoss as broken:
            state.whole = False
            images = inputs.take(job.steps(state.epoch)[broken.place], state.epoch, device)
            raise explain_broken(broken, images, config, state.precision) from None
        finally:
            moments.fit_end(state)
    best = state.put_best()
    history = state.frame()
    grown = explain_grown(history, classes, config)
    if grown:
        progress.note(grown)
    why = state.stopped or f"all {state.epochs} epochs are done"
    return Trained(network.eval(), history, best, why, job.precision)

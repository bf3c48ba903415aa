"""The state of a training at any moment, all of which goes into a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coverslip.core.errors import UserError
from coverslip.training.config import TrainingConfig
from coverslip.training.ema import Ema

Row = dict[str, float | int | None]

COLUMNS = {
    "epoch": pl.Int64,
    "step": pl.Int64,
    "lr": pl.Float64,
    "train_loss": pl.Float64,
    "train_accuracy": pl.Float64,
    "validation_loss": pl.Float64,
    "validation_accuracy": pl.Float64,
    "seconds": pl.Float64,
}


@dataclass(slots=True)
class Best:
    """The best epoch so far: its number (from 1), its value of the monitor, and its weights by name."""

    epoch: int
    value: float
    weights: dict[str, Tensor]


@dataclass(slots=True)
class TrainState:
    """The state of a running training. Callbacks read it, and stop training by setting `stopped`.

    Attributes:
        network: the network being trained.
        optimizer: its optimizer.
        config: the training config, without None.
        precision: ``float32`` or ``bfloat16`` (``auto`` has been resolved).
        steps: planned steps of the whole training.
        measured: columns of the history that will contain numbers.
        ema: moving average of the weights; None if not used.
        epoch: completed epochs.
        batch: completed steps of the current epoch.
        step: completed steps in total.
        lr: learning rate of the last step.
        losses: mean loss of each completed step of this epoch, scalar tensors that may still be computing on the GPU.
        correct: number of correct images of each step, likewise; empty if images are mixed or never correct.
        counts: number of images of each step.
        history: one row per epoch.
        best: the best epoch; None if nothing is monitored.
        seconds: duration of the training, including the time before a resume.
        stopped: why training is about to end or has ended early; "" otherwise.
        consistent: whether the state can be saved: training has started and no step is half done.
    """

    network: nn.Module
    optimizer: Optimizer
    config: TrainingConfig
    precision: str
    steps: int
    measured: tuple[str, ...]
    ema: Ema | None = None
    epoch: int = 0
    batch: int = 0
    step: int = 0
    lr: float = 0.0
    losses: list[Tensor] = field(default_factory=list)
    correct: list[Tensor] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    best: Best | None = None
    seconds: float = 0.0
    stopped: str = ""
    consistent: bool = False
    checked: int = 0  # steps of this epoch whose loss is known to be finite

    @property
    def epochs(self) -> int:
        """Planned epochs of the whole training."""
        return self.config.epochs or 0

    def begin_epoch(self) -> None:
        """Discard the losses of the previous epoch; keep those of an epoch that is being resumed."""
        if self.batch == 0:
            self.losses, self.correct, self.counts, self.checked = [], [], [], 0

    def end_step(self, loss: Tensor, correct: Tensor | None, count: int) -> None:
        """Record a step, without waiting for the device."""
        self.losses.append(loss)
        if correct is not None:
            self.correct.append(correct)
        self.counts.append(count)
        self.batch += 1
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.step)

    def end_epoch(self) -> None:
        """Add a row to the history and advance to the next epoch."""
        self.check_losses()
        counts = torch.tensor(self.counts, dtype=torch.float64)
        losses = torch.stack(self.losses).cpu().double()
        accuracy = int(torch.stack(self.correct).sum()) / int(counts.sum()) if self.correct else None
        row: Row = dict.fromkeys(COLUMNS)
        row |= {"epoch": self.epoch + 1, "step": self.step, "lr": self.lr, "seconds": self.seconds}
        row |= {"train_loss": float((losses * counts).sum() / counts.sum()), "train_accuracy": accuracy}
        self.history.append(row)
        self.epoch, self.batch = self.epoch + 1, 0

    def check_losses(self) -> None:
        """Check that all losses since the last call are finite; this waits for the device.

        Raises:
            NonFiniteLoss: a loss is NaN or infinite.
        """
        new = self.losses[self.checked :]
        if new and not bool((finite := torch.isfinite(torch.stack(new))).all()):
            batch = self.checked + int(finite.int().argmin())
            raise NonFiniteLoss(batch, self.step - self.batch + batch + 1, float(self.losses[batch]))
        self.checked = len(self.losses)

    def restore_best(self) -> int:
        """Load the weights of the best epoch into the network, else the averaged weights, else keep the last ones.

        Returns:
            The epoch of these weights.
        """
        if self.config.keep_best and self.best is not None:
            self.network.load_state_dict(self.best.weights)
            return self.best.epoch
        if self.ema is not None:
            self.ema.apply()
        return self.epoch

    def frame(self) -> pl.DataFrame:
        """Return the history as a table with the columns `COLUMNS`."""
        return pl.DataFrame(self.history, schema=COLUMNS)


class NonFiniteLoss(Exception):
    """A loss became NaN or infinite.

    Args:
        batch: index of the step in its epoch, from 0.
        step: number of the step in the training, from 1.
        loss: the loss.
    """

    def __init__(self, batch: int, step: int, loss: float) -> None:
        super().__init__(f"the loss became {loss} at step {step}")
        self.batch, self.step, self.loss = batch, step, loss


def is_better(monitor: str, value: float, other: float) -> bool:
    """Return whether ``value`` is strictly better than ``other``: losses are minimized, accuracies maximized.

    >>> is_better("validation_loss", 0.4, 0.5), is_better("validation_accuracy", 0.9, 0.9)
    (True, False)
    """
    return value < other if monitor.endswith("loss") else value > other


def check_monitor(config: TrainingConfig, measured: tuple[str, ...]) -> None:
    """Check that early stopping monitors a quantity that is measured.

    Raises:
        UserError: the monitored column of the history stays empty.
    """
    if config.patience and config.monitor not in measured:
        raise UserError(
            f"early stopping monitors {config.monitor!r}, which is not measured (measured: {', '.join(measured)})",
            "add a validation set, choose another monitor, or set patience=0",
        )

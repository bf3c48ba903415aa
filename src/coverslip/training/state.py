"""What a training knows of itself at any moment: all of it goes into a checkpoint."""

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
COLUMNS: dict[str, type[pl.DataType]] = {
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
    """One training under way; callbacks read it, and stop it by setting `stopped`.

    Attributes:
        network: being trained.
        optimizer: of it.
        recipe: with a number for every None.
        precision: ``float32`` or ``bfloat16``, what ``auto`` became.
        steps: of the whole training, by the training.
        measured: the columns of a row of history that will hold numbers.
        ema: the moving average of the weights, where there is one.
        epoch: finished epochs.
        batch: finished steps of the epoch under way.
        step: finished steps.
        rate: learning rate of the last step.
        losses: of each finished step of this epoch, mean over its images, tensors of one number that were not
            waited for.
        right: images of each step that were told rightly; empty where images are mixed.
        counts: images of each step.
        history: a row an epoch.
        best: where something is watched.
        seconds: of training, also before a resume.
        stopped: why training is to end, or ended; empty as long as it goes on.
        whole: training has begun and no step is half done, so that this state can be saved.
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
    right: list[Tensor] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    best: Best | None = None
    seconds: float = 0.0
    stopped: str = ""
    whole: bool = False
    checked: int = 0  # steps of this epoch whose loss is known to be a number

    @property
    def epochs(self) -> int:
        """Of the whole training, by the training."""
        return self.config.epochs or 0

    def begin_epoch(self) -> None:
        """Forget the steps of the epoch before; those of one that is taken up again stay."""
        if self.batch == 0:
            self.losses, self.right, self.counts, self.checked = [], [], [], 0

    def end_step(self, loss: Tensor, right: Tensor | None, count: int) -> None:
        """Note a step; nothing is read from the device."""
        self.losses.append(loss)
        if right is not None:
            self.right.append(right)
        self.counts.append(count)
        self.batch += 1
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.step)

    def end_epoch(self) -> None:
        """Add a row to the history and stand at the beginning of the next epoch."""
        self.check_losses()
        counts = torch.tensor(self.counts, dtype=torch.float64)
        losses = torch.stack(self.losses).cpu().double()
        right = int(torch.stack(self.right).sum()) / int(counts.sum()) if self.right else None
        row: Row = dict.fromkeys(COLUMNS)
        row |= {"epoch": self.epoch + 1, "step": self.step, "lr": self.lr, "seconds": self.seconds}
        row |= {"train_loss": float((losses * counts).sum() / counts.sum()), "train_accuracy": right}
        self.history.append(row)
        self.epoch, self.batch = self.epoch + 1, 0

    def check_losses(self) -> None:
        """Read the losses that were not looked at yet.

        Raises:
            BrokenLoss: one is not a number; it says which.
        """
        new = self.losses[self.checked :]
        if new and not bool((fine := torch.isfinite(torch.stack(new))).all()):
            place = self.checked + int(fine.int().argmin())
            raise BrokenLoss(place, self.step - self.batch + place + 1, float(self.losses[place]))
        self.checked = len(self.losses)

    def put_best(self) -> int:
        """Put the best epoch's weights into the network, else the averaged ones, else leave the last.

        Returns:
            The epoch whose weights these are.
        """
        if self.config.keep_best and self.best is not None:
            self.network.load_state_dict(self.best.weights)
            return self.best.epoch
        if self.ema is not None:
            self.ema.keep()
        return self.epoch

    def frame(self) -> pl.DataFrame:
        """The history as a table."""
        return pl.DataFrame(self.history, schema=COLUMNS)


def begin_state(
    network: nn.Module, optimizer: Optimizer, config: TrainingConfig, length: int, watched: bool, mixed: bool
) -> TrainState:
    """The state before the first step.

    Args:
        network: to be trained.
        optimizer: of it.
        recipe: with a number for every None.
        length: steps of an epoch.
        watched: there is a validation set.
        mixed: images are mixed, so that training has no accuracy.
    """
    measured = ["train_loss", *([] if mixed else ["train_accuracy"])]
    measured += ["validation_loss", "validation_accuracy"] if watched else []
    ema = Ema(network, config.ema) if config.ema else None
    steps = length * (config.epochs or 0)
    return TrainState(network, optimizer, config, config.precision, steps, tuple(measured), ema)


class BrokenLoss(Exception):
    """A loss that is not a number: place of the step in its epoch (from 0), number of the step (from 1), the loss."""

    def __init__(self, place: int, step: int, loss: float) -> None:
        super().__init__(f"the loss became {loss} at step {step}")
        self.place, self.step, self.loss = place, step, loss


def better(monitor: str, value: float, other: float) -> bool:
    """Whether a value of the monitor beats another: losses fall, accuracies rise; an equal one does not.

    >>> better("validation_loss", 0.4, 0.5), better("validation_accuracy", 0.9, 0.9)
    (True, False)
    """
    return value < other if monitor.endswith("loss") else value > other


def need_measured(config: TrainingConfig, measured: tuple[str, ...]) -> None:
    """Refuse to wait for what is never measured.

    Raises:
        UserError: early stopping on a column that stays empty; it lists those that do not.
    """
    if config.patience and config.monitor not in measured:
        raise UserError(
            f"early stopping watches {config.monitor!r}, which is not measured here (measured: {', '.join(measured)})",
            "give a validation set, or another monitor, or patience=0",
        )

"""The trials of a study as tables: ``trials.csv``, a row per trial, and ``curves.csv``, a row per epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from coverslip.core.runs import Study
from coverslip.core.storage import atomic_write
from coverslip.core.tables import write_csv
from coverslip.tuning.keys import Plain

STATES = ("running", "finished", "pruned", "failed")
Epoch = tuple[int, float, float, float, float]  # epoch from 1, lr, train loss, validation loss, validation accuracy

TRIAL = {
    "number": pl.Int64,
    "state": pl.String,
    "epochs": pl.Int64,
    "validation_loss": pl.Float64,
    "validation_accuracy": pl.Float64,
    "best_epoch": pl.Int64,
    "seconds": pl.Float64,
    "stack": pl.Int64,
    "why": pl.String,
    "role": pl.String,
}
CURVE = {
    "number": pl.Int64,
    "epoch": pl.Int64,
    "lr": pl.Float64,
    "train_loss": pl.Float64,
    "validation_loss": pl.Float64,
    "validation_accuracy": pl.Float64,
}


@dataclass(slots=True)
class Trial:
    """One trial with its results so far.

    Attributes:
        number: from 0, in the order in which trials were proposed; 0 is the default.
        values: setting key -> value.
        role: ``default``, ``search``, ``sweep``, ``step`` or ``repeat`` (the values of an earlier trial with another
            seed).
        state: one of `STATES`.
        seconds: training time; of a stack, the trial's share.
        stack: number of the stack that the trial is trained in.
        why: reason why the trial was pruned or failed; empty otherwise.
        curve: a row per epoch.
    """

    number: int
    values: Mapping[str, Plain]
    role: str = "search"
    state: str = "running"
    seconds: float = 0.0
    stack: int = 0
    why: str = ""
    curve: list[Epoch] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Number of epochs trained so far."""
        return self.curve[-1][0] if self.curve else 0

    @property
    def best(self) -> Epoch | None:
        """The epoch of the lowest validation loss; None if no loss is finite."""
        return best_epoch(self.curve)

    def loss_after(self, epoch: int) -> float:
        """Return the lowest validation loss up to an epoch; infinite if no loss is finite."""
        best = best_epoch([row for row in self.curve if row[0] <= epoch])
        return math.inf if best is None else best[3]


def best_epoch(curve: Sequence[Epoch]) -> Epoch | None:
    """Return the epoch of the lowest validation loss, of equal ones the first; None if no loss is finite."""
    finite = [row for row in curve if math.isfinite(row[3])]
    return min(finite, key=lambda row: row[3]) if finite else None


def trials_frame(trials: Sequence[Trial], keys: Sequence[str]) -> pl.DataFrame:
    """Return a table with a row per trial: the columns of `TRIAL`, then a column per key of the space."""
    rows = []
    for trial in trials:
        best = trial.best
        scores = (best[3], best[4], best[0]) if best else (None, None, None)
        seconds = round(trial.seconds, 3)
        rows.append((trial.number, trial.state, trial.epochs, *scores, seconds, trial.stack, trial.why, trial.role))
    frame = pl.DataFrame(rows, schema=TRIAL, orient="row")
    values = [pl.Series(key, [trial.values.get(key) for trial in trials], strict=False) for key in keys]
    return frame.with_columns(pl.col("validation_accuracy").fill_nan(None)).hstack(values)


def curves_frame(trials: Sequence[Trial]) -> pl.DataFrame:
    """Return a table with a row per epoch of a trial: the columns of `CURVE`; values that are not finite are null."""
    rows = [(trial.number, *row) for trial in trials for row in trial.curve]
    numbers = pl.col("lr", "train_loss", "validation_loss", "validation_accuracy")
    finite = pl.when(numbers.is_finite()).then(numbers)
    return pl.DataFrame(rows, schema=CURVE, orient="row").with_columns(finite.name.keep())


def write_tables(study: Study, trials: Sequence[Trial], keys: Sequence[str]) -> pl.DataFrame:
    """Write both tables of a study atomically, and return the table of the trials."""
    frame = trials_frame(trials, keys)
    with atomic_write(study.curves_file) as temporary:
        write_csv(curves_frame(trials), temporary)
    with atomic_write(study.trials_file) as temporary:
        write_csv(frame, temporary)
    return frame

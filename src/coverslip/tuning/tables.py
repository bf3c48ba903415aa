"""A study's trials as tables: ``trials.csv``, a row a trial, and ``curves.csv``, a row an epoch of a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from coverslip.core.runs import Study
from coverslip.core.storage import writing
from coverslip.core.tables import write_csv
from coverslip.tuning.keys import Plain

STATES = ("running", "finished", "pruned", "failed")
Epoch = tuple[int, float, float, float, float]  # epoch from 1, rate, train loss, validation loss, validation accuracy

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
    """What is known of one trial.

    Attributes:
        number: from 0, in the order in which they were asked for; 0 is the default.
        values: by key.
        role: ``default``, ``search``, ``repeat`` (the values of another trial, with another seed) ...
        state: one of `STATES`.
        seconds: of training; of a stack, its share.
        stack: number of the stack it is trained in.
        why: it was pruned or failed.
        curve: a row an epoch.
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
        """Trained so far."""
        return self.curve[-1][0] if self.curve else 0

    @property
    def best(self) -> Epoch | None:
        """The epoch of the lowest validation loss; None where none is a number."""
        return best_of(self.curve)

    def loss_after(self, epoch: int) -> float:
        """The lowest validation loss up to this epoch; infinite where none is a number."""
        best = best_of([row for row in self.curve if row[0] <= epoch])
        return math.inf if best is None else best[3]


def best_of(curve: Sequence[Epoch]) -> Epoch | None:
    """The epoch of the lowest validation loss, the first of equals; None where none is a number."""
    told = [row for row in curve if math.isfinite(row[3])]
    return min(told, key=lambda row: row[3]) if told else None


def trials_frame(trials: Sequence[Trial], keys: Sequence[str]) -> pl.DataFrame:
    """A row a trial: `TRIAL`, then a column a key of the space, named by it."""
    rows = []
    for each in trials:
        best = each.best
        known = (best[3], best[4], best[0]) if best else (None, None, None)
        rows.append(
            (each.number, each.state, each.epochs, *known, round(each.seconds, 3), each.stack, each.why, each.role)
        )
    frame = pl.DataFrame(rows, schema=TRIAL, orient="row")
    values = [pl.Series(key, [each.values.get(key) for each in trials], strict=False) for key in keys]
    return frame.with_columns(pl.col("validation_accuracy").fill_nan(None)).hstack(values)


def curves_frame(trials: Sequence[Trial]) -> pl.DataFrame:
    """A row an epoch of a trial: `CURVE`; what is no number is null."""
    rows = [(each.number, *row) for each in trials for row in each.curve]
    numbers = pl.col("lr", "train_loss", "validation_loss", "validation_accuracy")
    finite = pl.when(numbers.is_finite()).then(numbers)
    return pl.DataFrame(rows, schema=CURVE, orient="row").with_columns(finite.name.keep())


def write_tables(study: Study, trials: Sequence[Trial], keys: Sequence[str]) -> pl.DataFrame:
    """Write both tables of a study, each whole or not at all; returns the rows of the trials."""
    frame = trials_frame(trials, keys)
    with writing(study.curves_file) as temporary:
        write_csv(curves_frame(trials), temporary)
    with writing(study.trials_file) as temporary:
        write_csv(frame, temporary)
    return frame

"""Trials that somebody listed: all values of a sweep, and grids of several."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Study
from coverslip.pipeline.config import RunConfig
from coverslip.tuning.keys import Plain, plain
from coverslip.tuning.search import Batch, OpenBatch, Rounds, Tables, Told, facts, run_rounds
from coverslip.tuning.space import Space, Sweep
from coverslip.tuning.storage import open_book
from coverslip.tuning.tables import Trial

Row = tuple[dict[str, Plain], str]  # values by key, and the trial's role
MOST = 1000  # trials of a grid
PRUNED = 100  # trials from which on the hopeless leave early; the curves of fewer are to be seen whole


def sweep_space(sweeps: Sequence[Sweep]) -> Space:
    """The space that sweeps run through.

    Raises:
        UserError: one setting is swept twice; or together they are too many trials.
    """
    count = math.prod(len(each.values) for each in sweeps)
    if count > MOST:
        fix = f"give fewer values (at most {MOST} in all), or search: coverslip tune FOLDER --trials 50"
        raise UserError(f"these sweeps make {count:,} trials", fix)
    return Space(tuple(each.dimension for each in sweeps))


def grid(sweeps: Sequence[Sweep], default: Mapping[str, Plain]) -> list[Row]:
    """The default, then every combination of the values that is another.

    >>> rows = grid([Sweep("training.lr", (0.01, 0.1)), Sweep("training.batch_size", (32, 64))],
    ...             {"training.lr": 0.01, "training.batch_size": 32})
    >>> len(rows), rows[0][1], rows[1]
    (4, 'default', ({'training.lr': 0.01, 'training.batch_size': 64}, 'sweep'))
    """
    keys, rows = [each.key for each in sweeps], [(dict(default), "default")]
    for combination in itertools.product(*(each.values for each in sweeps)):
        values = {key: plain(value) for key, value in zip(keys, combination, strict=True)}
        rows += [(values, "sweep")] if values != rows[0][0] else []
    return rows


class Listed(Rounds):
    """Rounds of trials that are listed instead of proposed; the list may grow."""

    rows: list[Row]
    prune = False

    def _propose(self, together: int) -> list[Trial]:
        due = self.rows[self.book.count :][:together]
        return [self.book.begin(values, role) for values, role in due]

    def _judge(self, batch: Batch, told: Mapping[int, int]) -> None:
        if self.prune:
            super()._judge(batch, told)


@contextmanager
def open_list(
    study: Study,
    space: Space,
    config: RunConfig,
    open_batch: OpenBatch,
    trials: int,
    *,
    together: int = 64,
    prune: bool | None = None,
    minutes: float | None = None,
    data: Mapping[str, Any] | None = None,
    shared: bool = False,
    epoch_ended: Callable[[Batch], None] = lambda batch: None,
    tables_written: Told = lambda frame, left: None,
    progress: Progress = SILENT,
) -> Iterator[Callable[[Sequence[Row]], pl.DataFrame]]:
    """A study of listed trials, for as long as the block lasts; arguments as for `coverslip.tuning.search.search`.

    Args:
        trials: how many there will be, for the progress.
        prune: let the hopeless leave early; by default where there are many trials.

    Yields:
        A function that trains a list of further trials and gives the table of all so far. Those that an earlier call
        trained are not trained again, as long as the same lists come in the same order.
    """
    with (
        open_book(study, space, facts(space, config, data or {}), shared) as book,
        progress.stage("training", trials, "trials") as stage,
    ):
        rounds = Listed(book, config, open_batch, trials, minutes, stage, progress)
        rounds.rows, rounds.prune = [], trials > PRUNED if prune is None else prune
        tables = Tables(study, book, tables_written)

        def train(rows: Sequence[Row]) -> pl.DataFrame:
            rounds.rows += rows
            return run_rounds(rounds, together, epoch_ended, tables)

        yield train

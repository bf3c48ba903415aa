"""Sweeps: all values of a setting, and grids of several settings."""

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
from coverslip.tuning.search import Batch, OpenBatch, Tables, TablesCallback, TrialRounds, run_rounds, study_facts
from coverslip.tuning.space import Space, Sweep
from coverslip.tuning.storage import open_store
from coverslip.tuning.tables import Trial

Row = tuple[dict[str, Plain], str]  # setting key -> value, and the role of the trial
MAX_TRIALS = 1000  # of a grid
PRUNING_FROM = 100  # larger grids are pruned; in smaller ones all curves are shown to the end


def sweep_space(sweeps: Sequence[Sweep]) -> Space:
    """Return the space of a grid.

    Raises:
        UserError: one setting is swept twice, or the grid has too many trials.
    """
    count = math.prod(len(sweep.values) for sweep in sweeps)
    if count > MAX_TRIALS:
        fix = f"give fewer values (at most {MAX_TRIALS} in all), or search: coverslip tune FOLDER --trials 50"
        raise UserError(f"the grid of these sweeps has {count:,} trials", fix)
    return Space(tuple(sweep.dimension for sweep in sweeps))


def grid(sweeps: Sequence[Sweep], default: Mapping[str, Plain]) -> list[Row]:
    """Return the trials of a grid: the default, then every other combination of the values.

    >>> rows = grid([Sweep("training.lr", (0.01, 0.1)), Sweep("training.batch_size", (32, 64))],
    ...             {"training.lr": 0.01, "training.batch_size": 32})
    >>> len(rows), rows[0][1], rows[1]
    (4, 'default', ({'training.lr': 0.01, 'training.batch_size': 64}, 'sweep'))
    """
    keys, rows = [sweep.key for sweep in sweeps], [(dict(default), "default")]
    for combination in itertools.product(*(sweep.values for sweep in sweeps)):
        values = {key: plain(value) for key, value in zip(keys, combination, strict=True)}
        rows += [(values, "sweep")] if values != rows[0][0] else []
    return rows


class ListedRounds(TrialRounds):
    """Rounds of trials from a list instead of proposals; the list may grow."""

    rows: list[Row]
    prune = False

    def _propose(self, together: int) -> list[Trial]:
        rows = self.rows[self.store.count :][:together]
        return [self.store.add_trial(values, role) for values, role in rows]

    def _prune_losing(self, batch: Batch, epochs: Mapping[int, int]) -> None:
        if self.prune:
            super()._prune_losing(batch, epochs)


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
    tables_written: TablesCallback = lambda frame, left: None,
    progress: Progress = SILENT,
) -> Iterator[Callable[[Sequence[Row]], pl.DataFrame]]:
    """Open a study of listed trials for the duration of a ``with`` block.

    The other arguments are those of `coverslip.tuning.search.search`.

    Args:
        trials: expected number of trials, for the progress.
        prune: whether to prune by Hyperband; None prunes only large grids.

    Yields:
        A function that trains a list of further trials and returns the table of all trials so far. Trials of an
        interrupted call are not trained again if the same lists are given in the same order.
    """
    with (
        open_store(study, space, study_facts(space, config, data or {}), shared) as store,
        progress.stage("training", trials, "trials") as stage,
    ):
        rounds = ListedRounds(store, config, open_batch, trials, minutes, stage, progress)
        rounds.rows, rounds.prune = [], trials > PRUNING_FROM if prune is None else prune
        tables = Tables(study, store, tables_written)

        def train(rows: Sequence[Row]) -> pl.DataFrame:
            rounds.rows += rows
            return run_rounds(rounds, together, epoch_ended, tables)

        yield train

"""Hyperparameter search: TPE proposes trials, which are trained in step and pruned by Hyperband."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from coverslip.core.config import to_mapping
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.runs import Study
from coverslip.pipeline.config import RunConfig
from coverslip.pipeline.resolve import uses_exact_head
from coverslip.training.interrupt import defer_interrupt
from coverslip.tuning.rounds import Batch, OpenBatch, TrialRounds
from coverslip.tuning.space import Space
from coverslip.tuning.storage import TrialStore, open_store
from coverslip.tuning.tables import write_tables

__all__ = ["Batch", "OpenBatch", "Tables", "TablesCallback", "TrialRounds", "check", "search", "study_facts"]

TABLES_EVERY = 2.0  # minimum seconds between two writes of the tables
TABLES_SHARE = 30  # minimum interval as a multiple of the time that a write takes
MUTABLE = ("data", "audit", "repeats", "tuned")  # sections of a config that may change when a study is resumed
TablesCallback = Callable[[pl.DataFrame, "float | None"], None]


def search(
    study: Study,
    space: Space,
    config: RunConfig,
    open_batch: OpenBatch,
    *,
    trials: int = 50,
    minutes: float | None = None,
    together: int = 16,
    data: Mapping[str, Any] | None = None,
    shared: bool = False,
    epoch_ended: Callable[[Batch], None] = lambda batch: None,
    tables_written: TablesCallback = lambda frame, left: None,
    progress: Progress = SILENT,
) -> pl.DataFrame:
    """Search a space for the lowest validation loss; the config itself is trial 0.

    Every epoch is stored before the next one starts. To resume an interrupted or killed search, call this function
    again: unfinished trials are given to ``open_batch`` again, and epochs that are reported twice are ignored.

    Args:
        study: the study's folder.
        space: the search space; the config's values are added to its choices.
        config: resolved config; its ``training.epochs`` are the epochs of a trial that is not pruned.
        open_batch: returns the trials of a mapping trial number -> config, ready to train or resumed from checkpoints.
        trials: total number of trials, including those of earlier calls.
        minutes: time limit from now, after which no epoch starts. Unfinished trials can be resumed by another call. If
            no trial has finished by then, the default and the best trial are completed.
        together: number of trials that are proposed at once and advance in step.
        data: digests of the images; a study of other images is refused.
        shared: whether other processes may search in the same study.
        epoch_ended: called after every epoch, before it is stored; may take outcomes out of the batch.
        tables_written: called with a table of the trials and the estimated seconds left (or None) after
            ``trials.csv`` and ``curves.csv`` were written: every few seconds, and at the end.
        progress: receives one event per trial that ended.

    Returns:
        A row per trial, as in ``trials.csv``; after a time limit some may still be ``running``.

    Raises:
        UserError: the space is invalid for the config or its network, every trial failed, or as
            `coverslip.tuning.storage.open_store`.
        KeyboardInterrupt: Ctrl+C; the epoch was finished and stored.

    Reference: Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011 (TPE); Falkner, Klein and
    Hutter, BOHB, ICML 2018 (TPE with Hyperband).
    """
    space = space.around(config)
    check(space, config, trials, together, minutes)
    with open_store(study, space, study_facts(space, config, data or {}), shared) as store:
        tables = Tables(study, store, tables_written)
        with progress.stage("searching", trials, "trials") as stage:
            rounds = TrialRounds(store, config, open_batch, trials, minutes, stage, progress)
            return run_rounds(rounds, together, epoch_ended, tables)


def run_rounds(
    rounds: TrialRounds, together: int, epoch_ended: Callable[[Batch], None], tables: Tables
) -> pl.DataFrame:
    """Train until the rounds have ended, storing every epoch, and return a row per trial.

    Raises:
        KeyboardInterrupt: Ctrl+C; the epoch was finished and stored.
    """
    with defer_interrupt() as interrupt:
        try:
            while rounds.begin(together):
                tables.write(rounds.seconds_left)
                while rounds.advance(epoch_ended):
                    tables.write(rounds.seconds_left)
                    interrupt.raise_if_requested()
        finally:
            rounds.store.write()
            tables.write(rounds.seconds_left, now=True)
    return tables.frame


def check(space: Space, config: RunConfig, trials: int, together: int, minutes: float | None) -> None:
    """Validate the arguments of a search before anything is written.

    Raises:
        UserError: an argument is out of range, or the config or a setting of the space cannot be searched.
    """
    if trials < 2 or together < 1 or (minutes is not None and not 0 < minutes < math.inf):
        problem = f"a search with trials={trials}, together={together}, minutes={minutes} is not possible"
        raise UserError(problem, "give trials of 2 or more, together of 1 or more, and minutes above 0")
    if "training.epochs" in space.keys:
        fix = "fix them with --epochs, or compare a few values: --sweep epochs=10,20,40"
        raise UserError("training.epochs cannot be searched: pruning decides how many epochs a trial gets", fix)
    if uses_exact_head(config):
        fix = "train the head with the training loop: --set head.solver=loop"
        raise UserError("the exact solver of a head has no hyperparameters to search", fix)
    space.check(config)


def study_facts(space: Space, config: RunConfig, data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what identifies a study: its images, its space, and all settings that are not varied.

    They are stored in the study's file (sections ``data``, ``space`` and ``plan``) and must be the same on resuming.
    """
    flat: dict[str, Any] = {}
    for section, values in to_mapping(config).items():
        if section not in MUTABLE and isinstance(values, dict):
            flat |= {f"{section}.{key}": value for key, value in values.items()}
    prefixes = tuple(f"{key}." for key in space.keys if key == "augment")
    fixed = {key: value for key, value in flat.items() if key not in space.keys and not key.startswith(prefixes)}
    return {
        "data": dict(data),
        "space": {dimension.key: dimension.as_json() for dimension in space.dimensions},
        "plan": fixed,
    }


class Tables:
    """Writes ``trials.csv`` and ``curves.csv`` of an open study, every few seconds and at the end.

    Args:
        study: the study's folder.
        store: the open study.
        written: called after each write with the table of the trials and the estimated seconds left.
    """

    def __init__(self, study: Study, store: TrialStore, written: TablesCallback) -> None:
        self.study, self.store, self.written = study, store, written
        self.frame = pl.DataFrame()
        self.due = 0.0

    def write(self, seconds_left: float | None, now: bool = False) -> None:
        """Write the tables if they are due; writing takes at most a small fraction of the total time.

        Args:
            seconds_left: estimated seconds until the search ends; None if unknown.
            now: write even if not due.
        """
        start = time.monotonic()
        if start < self.due and not now:
            return
        self.frame = write_tables(self.study, self.store.trials, self.store.space.keys)
        self.written(self.frame, seconds_left)
        end = time.monotonic()
        self.due = end + max(TABLES_EVERY, TABLES_SHARE * (end - start))

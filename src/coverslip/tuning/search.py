"""Search: trials are proposed by TPE, trained side by side, and leave early where they cannot win (Hyperband)."""

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
from coverslip.training.interrupt import waiting_interrupt
from coverslip.tuning.rounds import Batch, OpenBatch, Rounds
from coverslip.tuning.space import Space
from coverslip.tuning.storage import Book, open_book
from coverslip.tuning.tables import write_tables

__all__ = ["Batch", "OpenBatch", "Rounds", "Tables", "Told", "check", "facts", "search"]

TABLES_EVERY = 2.0  # seconds, at least, between two writings of the tables
TABLES_SHARE = 30  # times what a writing takes, likewise
OPEN = ("data", "audit", "repeats", "tuned")  # sections of a plan that may change when a study is gone on with
Told = Callable[[pl.DataFrame, "float | None"], None]


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
    tables_written: Told = lambda frame, left: None,
    progress: Progress = SILENT,
) -> pl.DataFrame:
    """Search a space for the lowest validation loss; the plan itself is trial 0.

    Every epoch is written to the study's file before the next one begins. A search that was interrupted or killed is
    gone on with by calling this again: trials under way are handed to ``open_batch`` once more, and what it tells
    again is passed over.

    Args:
        study: its folder.
        space: what is varied; the plan's own values are added to its choices.
        plan: settled; its ``training.epochs`` are what a trial gets that is never pruned.
        open_batch: experiments by number -> these trials, ready to train, or to go on where a checkpoint was left.
        trials: in all, with those of earlier calls.
        minutes: from now, after which no epoch begins; trials under way stay so, for another call to go on with. But
            where nothing is finished by then, the default and the best trial are trained to their end.
        together: trials that are proposed at once and advance side by side.
        data: what the images are, by name; a study of other images is refused.
        shared: other processes may search in the same study.
        epoch_ended: called after every epoch, before it is written; may take results out of the batch.
        tables_written: called with a row a trial and the seconds left, where they can be told, after
            ``trials.csv`` and ``curves.csv`` were written: every few seconds, and at the end.
        progress: told how many trials are over.

    Returns:
        A row a trial, as ``trials.csv`` has them; where time ran out, some are still ``running``.

    Raises:
        UserError: a space that the plan or its network refuses; every trial failed; or what
            `coverslip.tuning.storage.open_book` refuses.
        KeyboardInterrupt: Ctrl+C; the epoch was finished and written.

    Reference: Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011 (TPE); Falkner, Klein and
    Hutter, BOHB, ICML 2018 (TPE with Hyperband).
    """
    space = space.around(config)
    check(space, config, trials, together, minutes)
    with open_book(study, space, facts(space, config, data or {}), shared) as book:
        tables = Tables(study, book, tables_written)
        with progress.stage("searching", trials, "trials") as stage:
            rounds = Rounds(book, config, open_batch, trials, minutes, stage, progress)
            return run_rounds(rounds, together, epoch_ended, tables)


def run_rounds(rounds: Rounds, together: int, epoch_ended: Callable[[Batch], None], tables: Tables) -> pl.DataFrame:
    """Train until the rounds are over, written epoch by epoch; a row a trial.

    Raises:
        KeyboardInterrupt: Ctrl+C; the epoch was finished and written.
    """
    with waiting_interrupt() as interrupt:
        try:
            while rounds.begin(together):
                tables.write(rounds.seconds_left)
                while rounds.advance(epoch_ended):
                    tables.write(rounds.seconds_left)
                    interrupt.act()
        finally:
            rounds.book.write()
            tables.write(rounds.seconds_left, now=True)
    return tables.frame


def check(space: Space, config: RunConfig, trials: int, together: int, minutes: float | None) -> None:
    """Refuse what cannot be searched, before anything is written.

    Raises:
        UserError: it cannot.
    """
    if trials < 2 or together < 1 or (minutes is not None and not 0 < minutes < math.inf):
        problem = f"trials={trials}, together={together}, minutes={minutes} cannot be a search"
        raise UserError(problem, "give 2 trials or more, 1 or more of them together, and minutes above 0")
    if "training.epochs" in space.keys:
        fix = "set them once, with --epochs; or draw them: --sweep epochs=10,20,40"
        raise UserError(
            "training.epochs are what trials are given as they prove themselves, and cannot be searched", fix
        )
    if uses_exact_head(config):
        fix = "let the loop train it: --set head.solver=loop"
        raise UserError("a head that is fitted exactly has nothing to search", fix)
    space.check(config)


def facts(space: Space, config: RunConfig, data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a study is of: its images, its space, and every setting that is not varied."""
    flat: dict[str, Any] = {}
    for section, values in to_mapping(config).items():
        if section not in OPEN:
            flat |= {f"{section}.{key}": value for key, value in values.items()}
    parts = [f"{key}." for key in space.keys if key == "augment"]
    fixed = {key: each for key, each in flat.items() if key not in space.keys and not key.startswith(tuple(parts))}
    if "training.seed" in space.keys:
        del fixed["training.seed"]
    return {
        "data": dict(data),
        "space": {each.key: each.as_json() for each in space.dimensions},
        "plan": fixed,
    }


class Tables:
    """``trials.csv`` and ``curves.csv`` of an open study, written every few seconds and at the end."""

    def __init__(self, study: Study, book: Book, written: Told) -> None:
        self.study, self.book, self.written = study, book, written
        self.frame = pl.DataFrame()
        self.due = 0.0

    def write(self, seconds_left: float | None, now: bool = False) -> None:
        """Write them, if it is time; what that takes stays a small part of the whole."""
        start = time.monotonic()
        if start < self.due and not now:
            return
        self.frame = write_tables(self.study, self.book.trials, self.book.space.keys)
        self.written(self.frame, seconds_left)
        end = time.monotonic()
        self.due = end + max(TABLES_EVERY, TABLES_SHARE * (end - start))

"""Rounds of trials: trials that are proposed together advance in step, and those that are losing are pruned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress, Stage
from coverslip.pipeline.config import RunConfig
from coverslip.training.config import EPOCHS
from coverslip.tuning.halving import bracket, keepers
from coverslip.tuning.keys import with_value
from coverslip.tuning.storage import TrialStore
from coverslip.tuning.tables import Trial

if TYPE_CHECKING:
    from coverslip.tuning.batch import EpochReport

MAX_FAILED = 10  # a search gives up after this many trials if all of them failed


class Batch(Protocol):
    """Trials in training, see `coverslip.tuning.batch.Batch`."""

    @property
    def running(self) -> Sequence[int]:
        """Numbers of the trials that are still in training."""
        ...

    @property
    def stacks(self) -> Mapping[int, int]:
        """Trial number -> number of the stack it is trained in."""
        ...

    def advance(self) -> Sequence[EpochReport]:
        """Train one epoch of every running trial; after resuming, epochs may be reported a second time."""
        ...

    def stop(self, numbers: Sequence[int]) -> None:
        """Remove pruned trials."""
        ...


OpenBatch = Callable[[dict[int, RunConfig]], Batch]


class TrialRounds:
    """Trains trials in rounds: the trials of a round advance in step until all have ended, then the next follow.

    Args:
        store: the open study.
        config: config of trial 0.
        open_batch: see `coverslip.tuning.search.search`.
        trials: total number of trials.
        minutes: time limit from now; None for no limit.
        stage: advances with each trial that ends.
        progress: receives notes for the user.
    """

    def __init__(
        self,
        store: TrialStore,
        config: RunConfig,
        open_batch: OpenBatch,
        trials: int,
        minutes: float | None,
        stage: Stage,
        progress: Progress,
    ) -> None:
        self.store, self.config, self.open_batch, self.total = store, config, open_batch, trials
        self.stage, self.progress = stage, progress
        self.epochs = config.training.epochs or EPOCHS
        self.start = time.monotonic()
        self.deadline = math.inf if minutes is None else self.start + 60 * minutes
        self.batch: Batch | None = None
        self.rounds, self.ended, self.before = 0, 0, self._ended_count()
        stage.advance(self.before)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the search ends; None before the first trial has ended."""
        now = time.monotonic()
        left = self.deadline - now
        if self.ended:
            left = min(left, (now - self.start) / self.ended * (self.total - self.before - self.ended))
        return max(0.0, left) if left < math.inf else None

    def begin(self, together: int) -> bool:
        """Open the next round: unfinished trials of an earlier call, else new ones.

        Args:
            together: maximum number of new trials.

        Returns:
            False if the search has ended.
        """
        self.batch = None  # frees its networks before new ones are created
        if time.monotonic() > self.deadline and self._ended_count("finished"):
            return False
        trials = list(self.store.running.values())
        if not trials:
            trials = self._propose(together)
        if not trials:
            return False
        configs: dict[int, RunConfig] = {}
        for trial in trials:
            try:
                configs[trial.number] = self._config_of(trial)
            except UserError as error:
                self._end(trial, "failed", error.problem)
        self.store.write()
        self.batch = self.open_batch(configs)
        for number in set(configs) - set(self.batch.running):
            self._end(self.store.running[number], "failed", "its process ended, and it cannot be resumed")
        self.rounds += 1
        return True

    def advance(self, epoch_ended: Callable[[Batch], None]) -> bool:
        """Train and record one epoch of each trial; return False if none is left, or the time is up."""
        batch = self.batch
        if batch is None or not batch.running or (time.monotonic() > self.deadline and self._time_is_up(batch)):
            return False
        start = time.monotonic()
        reports = batch.advance()
        epoch_ended(batch)
        epochs = self._record(batch, reports, time.monotonic() - start)
        self._prune_losing(batch, epochs)
        self.store.write()
        return True

    def _propose(self, together: int) -> list[Trial]:
        """Return the next trials; empty at the end of the search."""
        default = self.store.space.values_of(self.config)
        return [self.store.ask(self.config.training.seed, default) for _ in range(self._round_size(together))]

    def _round_size(self, together: int) -> int:
        """Return the number of trials of the next round, 0 at the end.

        Rounds have equal sizes: TPE learns from a round only when it has ended, so a short last round would waste one.
        """
        trials = self.store.trials
        failed = [trial for trial in trials if trial.state == "failed"]
        left = self.total - self.store.count
        if trials and len(failed) == len(trials) and (left <= 0 or len(trials) >= MAX_FAILED):
            problem = f"all {len(trials)} trials failed; the first: {failed[0].why}"
            raise UserError(problem, "change the space, such as to lower learning rates, and start a new study")
        if len({tuple(trial.values.items()) for trial in trials}) >= self.store.space.combinations:
            self.progress.note(f"all {self.store.space.combinations:.0f} combinations have been tried")
            return 0
        spent = time.monotonic() - self.start
        if self.rounds and self.deadline - time.monotonic() < spent / self.rounds and self._ended_count("finished"):
            self.progress.note(f"not enough time is left for further trials; {self.store.count} were tried")
            return 0
        return math.ceil(left / math.ceil(left / together)) if left > 0 else 0

    def _config_of(self, trial: Trial) -> RunConfig:
        config = self.store.space.with_values(self.config, trial.values)
        if trial.role == "repeat" and "training.seed" not in trial.values:
            same = [
                other for other in self.store.trials if other.values == trial.values and other.number < trial.number
            ]
            config = with_value(config, "training.seed", config.training.seed + len(same))
        return config

    def _record(self, batch: Batch, reports: Sequence[EpochReport], seconds: float) -> dict[int, int]:
        """Store reports, and return trial number -> new epoch of the trials that are still in training."""
        epochs: dict[int, int] = {}
        running = set(batch.running)
        share = seconds / max(1, len({report.number for report in reports}))
        for report in reports:
            trial = self.store.running.get(report.number)
            if trial is None:
                continue
            trial.stack = batch.stacks.get(report.number, 0)
            if report.epoch > trial.epochs:  # epochs that were stored before the process was killed are skipped
                row = (report.epoch, report.lr, report.train_loss, report.validation_loss, report.validation_accuracy)
                self.store.tell(trial, row)
                epochs[report.number] = report.epoch
            if report.broken:
                self._end(trial, "failed", report.broken)
        for number in {report.number for report in reports} & self.store.running.keys():
            trial = self.store.running[number]
            trial.seconds += share
            if number not in running:
                finite = trial.best is not None
                self._end(trial, "finished" if finite else "failed", "" if finite else "its loss was never finite")
        return {number: epoch for number, epoch in epochs.items() if number in self.store.running}

    def _prune_losing(self, batch: Batch, epochs: Mapping[int, int]) -> None:
        """Prune by Hyperband.

        Of the trials that reach an epoch together, those whose bracket is compared there continue if they are among
        the best third of these, and among the best third of all trials that ever reached it. The default is never
        pruned.

        Args:
            batch: trials in training.
            epochs: trial number -> the epoch it has just reached.
        """
        for epoch in set(epochs.values()):
            arrived = {number for number, reached in epochs.items() if reached == epoch and number != 0}
            compared = [number for number in sorted(arrived) if epoch in bracket(number, self.epochs)]
            if not compared:
                continue
            losses = {trial.number: trial.loss_after(epoch) for trial in self.store.trials if trial.epochs >= epoch}
            best = keepers(losses) & keepers({number: losses[number] for number in arrived})
            count = f"{epoch} epoch" if epoch == 1 else f"{epoch} epochs"
            losing = [number for number in compared if number not in best]
            self._prune(batch, losing, f"not among the best third after {count}")

    def _time_is_up(self, batch: Batch) -> bool:
        """Return whether to stop now: if a trial has finished; else only the default and the best trial continue."""
        if self._ended_count("finished"):
            return True
        running = [trial for trial in self.store.running.values() if trial.number in set(batch.running)]
        best = min(running, key=lambda trial: (trial.best or (0, 0, 0, math.inf, 0))[3])
        others = [trial.number for trial in running if trial.number not in (0, best.number)]
        if others:
            self.progress.note("time is up and no trial has finished: the default and the best trial are completed")
            self._prune(batch, others, "time was up")
            self.store.write()
        return False

    def _prune(self, batch: Batch, numbers: Sequence[int], why: str) -> None:
        if numbers:
            batch.stop(numbers)
        for number in numbers:
            self._end(self.store.running[number], "pruned", why)

    def _end(self, trial: Trial, state: str, why: str = "") -> None:
        self.store.end(trial, state, why)
        self.stage.advance()
        self.ended += 1

    def _ended_count(self, *states: str) -> int:
        return sum(trial.state in (states or ("finished", "pruned", "failed")) for trial in self.store.trials)

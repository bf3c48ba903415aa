"""Trials that were proposed together advance together; those that cannot win leave early."""

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
from coverslip.tuning.storage import Book
from coverslip.tuning.tables import Trial

if TYPE_CHECKING:
    from coverslip.tuning.batch import Report

HOPELESS = 10  # trials that all failed, after which a search gives up


class Batch(Protocol):
    """Trials under way, as `coverslip.tuning.batch.Batch` trains them."""

    @property
    def running(self) -> Sequence[int]:
        """Their numbers."""
        ...

    @property
    def stacks(self) -> Mapping[int, int]:
        """For each trial the number of the stack it is trained in."""
        ...

    def advance(self) -> Sequence[Report]:
        """One epoch of every trial under way; those that end or break leave. Epochs may be told again."""
        ...

    def stop(self, numbers: Sequence[int]) -> None:
        """These were pruned: they leave."""
        ...


OpenBatch = Callable[[dict[int, RunConfig]], Batch]


class Rounds:
    """Trials that were proposed together advance together, until all are over; then come the next.

    Args:
        book: the open study.
        plan: of trial 0.
        open_batch: see `search`.
        trials: in all.
        minutes: from now; None is without end.
        stage: told of each trial that is over.
        progress: told what a user should know.
    """

    def __init__(
        self,
        book: Book,
        config: RunConfig,
        open_batch: OpenBatch,
        trials: int,
        minutes: float | None,
        stage: Stage,
        progress: Progress,
    ) -> None:
        self.book, self.config, self.open_batch, self.total = book, config, open_batch, trials
        self.stage, self.progress = stage, progress
        self.epochs = config.training.epochs or EPOCHS
        self.began = time.monotonic()
        self.deadline = math.inf if minutes is None else self.began + 60 * minutes
        self.batch: Batch | None = None
        self.rounds, self.ended, self.before = 0, 0, self._over()
        stage.advance(self.before)

    @property
    def seconds_left(self) -> float | None:
        """Until the search ends; None where it cannot be told yet."""
        now = time.monotonic()
        left = self.deadline - now
        if self.ended:
            left = min(left, (now - self.began) / self.ended * (self.total - self.before - self.ended))
        return max(0.0, left) if left < math.inf else None

    def begin(self, together: int) -> bool:
        """Open the next trials: those under way since an earlier call, else new ones; False when all is done."""
        self.batch = None  # its networks are let go before others are made
        if time.monotonic() > self.deadline and self._over("finished"):
            return False
        trials = list(self.book.running.values())
        if not trials:
            trials = self._propose(together)
        if not trials:
            return False
        plans: dict[int, RunConfig] = {}
        for trial in trials:
            try:
                plans[trial.number] = self._plan_of(trial)
            except UserError as error:
                self._end(trial, "failed", error.problem)
        self.book.write()
        self.batch = self.open_batch(plans)
        for number in set(plans) - set(self.batch.running):
            self._end(self.book.running[number], "failed", "its process ended, and it cannot be gone on with")
        self.rounds += 1
        return True

    def advance(self, epoch_ended: Callable[[Batch], None]) -> bool:
        """One epoch of each, written; False when none is left, or time is up."""
        batch = self.batch
        if batch is None or not batch.running or (time.monotonic() > self.deadline and self._time_is_up(batch)):
            return False
        start = time.monotonic()
        reports = batch.advance()
        epoch_ended(batch)
        judged = self._tell(batch, reports, time.monotonic() - start)
        self._judge(batch, judged)
        self.book.write()
        return True

    def _propose(self, together: int) -> list[Trial]:
        """The next trials; none at the end."""
        default = self.book.space.values_of(self.config)
        return [self.book.ask(self.config.training.seed, default) for _ in range(self._next(together))]

    def _next(self, together: int) -> int:
        """How many trials come next: rounds of equal size, so that TPE hears as often as it can; 0 at the end."""
        known = self.book.trials
        failed = [each for each in known if each.state == "failed"]
        left = self.total - self.book.count
        if known and len(failed) == len(known) and (left <= 0 or len(known) >= HOPELESS):
            why = f"all {len(known)} trials failed; the first: {failed[0].why}"
            raise UserError(why, "mend the space, such as lower learning rates, and begin another study")
        if len({tuple(each.values.items()) for each in known}) >= self.book.space.combinations:
            self.progress.note(f"all {self.book.space.combinations:.0f} combinations have been tried")
            return 0
        spent = time.monotonic() - self.began
        if self.rounds and self.deadline - time.monotonic() < spent / self.rounds and self._over("finished"):
            self.progress.note(f"the time left would not be enough for the next trials; {self.book.count} were tried")
            return 0
        return math.ceil(left / math.ceil(left / together)) if left > 0 else 0

    def _plan_of(self, trial: Trial) -> RunConfig:
        config = self.book.space.with_values(self.config, trial.values)
        if trial.role == "repeat" and "training.seed" not in trial.values:
            same = [each for each in self.book.trials if each.values == trial.values and each.number < trial.number]
            config = with_value(config, "training.seed", config.training.seed + len(same))
        return config

    def _tell(self, batch: Batch, reports: Sequence[Report], seconds: float) -> dict[int, int]:
        """Put reports into the book; returns the new epoch of those that go on."""
        told: dict[int, int] = {}
        running = set(batch.running)
        share = seconds / max(1, len({each.number for each in reports}))
        for each in reports:
            trial = self.book.running.get(each.number)
            if trial is None:
                continue
            trial.stack = batch.stacks.get(each.number, 0)
            if each.epoch > trial.epochs:  # what was told before the process was killed is passed over
                row = (each.epoch, each.lr, each.train_loss, each.validation_loss, each.validation_accuracy)
                self.book.tell(trial, row)
                told[each.number] = each.epoch
            if each.broken:
                self._end(trial, "failed", each.broken)
        for number in {each.number for each in reports} & self.book.running.keys():
            trial = self.book.running[number]
            trial.seconds += share
            if number not in running:
                good = trial.best is not None
                self._end(trial, "finished" if good else "failed", "" if good else "its loss was never a number")
        return {number: epoch for number, epoch in told.items() if number in self.book.running}

    def _judge(self, batch: Batch, told: Mapping[int, int]) -> None:
        """Hyperband: of the trials that come to an epoch together, those whose bracket is compared there go on if they
        are among the best third, and also among the best third of all that ever came so far. The default always does.
        """
        for epoch in set(told.values()):
            arrived = {number for number, each in told.items() if each == epoch and number != 0}
            judged = [number for number in sorted(arrived) if epoch in bracket(number, self.epochs)]
            if not judged:
                continue
            losses = {each.number: each.loss_after(epoch) for each in self.book.trials if each.epochs >= epoch}
            best = keepers(losses) & keepers({number: losses[number] for number in arrived})
            count = f"{epoch} epoch" if epoch == 1 else f"{epoch} epochs"
            leaving = [number for number in judged if number not in best]
            self._prune(batch, leaving, f"after {count} not among the best third")

    def _time_is_up(self, batch: Batch) -> bool:
        """Whether to stop now: yes, if anything is finished; else only the default and the best go on, to their end."""
        if self._over("finished"):
            return True
        running = [each for each in self.book.running.values() if each.number in set(batch.running)]
        best = min(running, key=lambda each: (each.best or (0, 0, 0, math.inf, 0))[3])
        leaving = [each.number for each in running if each.number not in (0, best.number)]
        if leaving:
            self.progress.note("time is up, and nothing is finished: the default and the best go on to their end")
            self._prune(batch, leaving, "time was up")
            self.book.write()
        return False

    def _prune(self, batch: Batch, numbers: Sequence[int], why: str) -> None:
        if numbers:
            batch.stop(numbers)
        for number in numbers:
            self._end(self.book.running[number], "pruned", why)

    def _end(self, trial: Trial, state: str, why: str = "") -> None:
        self.book.end(trial, state, why)
        self.stage.advance()
        self.ended += 1

    def _over(self, *states: str) -> int:
        return sum(each.state in (states or ("finished", "pruned", "failed")) for each in self.book.trials)

"""Trials under way: those of one shape in one pass, the others one after another, an epoch at a time."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from coverslip.core.config import from_mapping, to_mapping
from coverslip.core.errors import UserError
from coverslip.core.progress import SILENT, Progress
from coverslip.core.storage import ensure_folder, write_text
from coverslip.pipeline.config import RunConfig
from coverslip.training.callbacks import Callback
from coverslip.training.lanes import Stack, can_stack, passes
from coverslip.training.loop import train_network
from coverslip.training.scoring import score_network
from coverslip.training.state import TrainState
from coverslip.tuning.desk import Desk, Start

FloatArray = npt.NDArray[np.float32]
TRIALS, BEST = "trials.json", "best.npz"  # in the folder of a checkpoint: its plans; the best epochs so far


@dataclass(frozen=True, slots=True)
class Report:
    """One epoch of one trial; ``broken`` says why its loss is no number, and is empty otherwise."""

    number: int
    epoch: int
    lr: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    broken: str = ""


@dataclass(slots=True)
class Outcome:
    """What a trial's best epoch said of the choose half: its log loss image by image, (M,), and what was right."""

    epoch: int
    loss: float
    losses: FloatArray
    right: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of the images that were told rightly."""
        return float(self.right.mean())


class Member(Protocol):
    """Trials that go on together."""

    @property
    def numbers(self) -> list[int]:
        """Of those that go on."""
        ...

    def advance(self) -> list[Report]:
        """One epoch of each; those that end, or break, leave."""
        ...

    def stop(self, number: int) -> None:
        """One leaves."""
        ...


class Batch:
    """Trials under way; ``running`` are their numbers.

    Args:
        desk: their data.
        trials: plan by number.
        folder: of the checkpoints; None keeps none. What is there already is gone on with.
        progress: told how they are trained.

    Attributes:
        outcomes: of trials that were trained to the end, by number; the caller takes them out.
        stacks: for each trial, the number of the pass it is trained in (that of its first trial).
    """

    def __init__(
        self, desk: Desk, trials: Mapping[int, RunConfig], folder: Path | None = None, progress: Progress = SILENT
    ) -> None:
        self.desk, self.folder, self.outcomes = desk, folder, dict[int, Outcome]()
        self.stacks: dict[int, int] = {}
        self.members: list[Member] = []
        self.failed: list[Report] = []
        self.temporary: tempfile.TemporaryDirectory[str] | None = None
        new = dict(trials)
        for path, saved in _saved_stacks(folder):
            going = sorted(saved.keys() & new.keys())
            if going:  # made again as it was, since a stack is known by all of its lanes; then the others leave
                stacked = _Stacked(
                    desk, {number: desk.start(config) for number, config in saved.items()}, path, self._keep
                )
                stacked.leave(set(stacked.numbers) - set(going))
                self.members.append(stacked)
                self.stacks |= dict.fromkeys(going, min(saved))
                new = {number: config for number, config in new.items() if number not in saved}
        starts: dict[int, Start] = {}
        for number, config in new.items():
            try:
                starts[number] = desk.start(config)
            except UserError as error:  # settings that cannot work are a trial that failed, not the end of a study
                self.failed.append(_broken(number, str(error)))
        for numbers in _grouped(starts):
            self.members.append(self._member({number: starts[number] for number in numbers}, progress))
            self.stacks |= dict.fromkeys(numbers, numbers[0])

    @property
    def running(self) -> list[int]:
        """Numbers of the trials that go on."""
        return [*(each.number for each in self.failed), *(number for each in self.members for number in each.numbers)]

    def advance(self) -> list[Report]:
        """One epoch of every trial under way."""
        reports, self.failed = self.failed, []
        for member in self.members:
            reports += member.advance()
        self.members = [member for member in self.members if member.numbers]
        return reports

    def stop(self, numbers: Sequence[int]) -> None:
        """These were pruned: they leave, and the stack shrinks."""
        for member in self.members:
            for number in set(numbers) & set(member.numbers):
                member.stop(number)
        self.members = [member for member in self.members if member.numbers]

    def _member(self, starts: dict[int, Start], progress: Progress) -> Member:
        first = next(iter(starts.values()))
        # One lane too: it stands ready in memory, where the loop would take its checkpoint up anew.
        if can_stack(first.network, first.config.training):
            folder = self._place("stack", min(starts))
            if folder is not None:  # whatever is there was never trained for an epoch
                shutil.rmtree(folder)
            return _Stacked(self.desk, starts, folder, self._keep)
        (number,) = starts
        folder = self._place("trial", number)
        if folder is None:
            self.temporary = self.temporary or tempfile.TemporaryDirectory(prefix="coverslip-")
            folder = Path(self.temporary.name) / f"trial-{number}"
        return _Alone(self.desk, number, starts[number].config, folder, self._keep, progress)

    def _place(self, kind: str, number: int) -> Path | None:
        return None if self.folder is None else ensure_folder(self.folder / f"{kind}-{number}")

    def _keep(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome


def _saved_stacks(folder: Path | None) -> Iterator[tuple[Path, dict[int, RunConfig]]]:
    """Folders of stacks that were trained for an epoch or more, and the plans of all that ever were in them."""
    for file in sorted(folder.glob(f"stack-*/{TRIALS}")) if folder is not None else []:
        if (file.parent / BEST).exists():
            content = json.loads(file.read_text(encoding="utf-8"))
            yield file.parent, {int(each): from_mapping(RunConfig, config, TRIALS) for each, config in content.items()}


def _grouped(starts: Mapping[int, Start]) -> list[list[int]]:
    numbers, told = list(starts), list(starts.values())
    networks, recipes = [start.network for start in told], [start.config.training for start in told]
    groups = passes(networks, recipes, [start.key for start in told])
    return [[numbers[place] for place in places] for places in groups]


class _Stacked:
    """Trials of one shape, in one pass."""

    def __init__(
        self, desk: Desk, starts: dict[int, Start], folder: Path | None, keep: Callable[[int, Outcome], None]
    ) -> None:
        self.all, self.folder, self.keep = list(starts), folder, keep
        first = next(iter(starts.values())).ready
        self.truth = desk.labels(first.choose)
        self.epochs = {number: start.config.training.epochs or 0 for number, start in starts.items()}
        self.best: dict[int, Outcome] = {}
        self.stack = Stack(
            [start.network for start in starts.values()],
            [start.config.training for start in starts.values()],
            first.inputs,
            desk.labels(first.train),
            desk.classes,
            validation=(first.watched, self.truth),
            mix=first.mix,
        )
        if folder is not None:
            _write_trials(folder, {number: start.config for number, start in starts.items()})
            if (folder / BEST).exists():
                self.stack.load(folder)
                self._load_best(folder)

    @property
    def numbers(self) -> list[int]:
        return [self.all[lane] for lane in self.stack.lanes]

    def advance(self) -> list[Report]:
        if self.folder is not None and self.stack.epoch:
            self._save(self.folder)  # what the reports of the epoch before said is known by now
        reports = []
        for told in self.stack.run_epoch():
            number = self.all[told.lane]
            reports.append(
                Report(
                    number,
                    told.epoch,
                    told.lr,
                    _number(told.train_loss),
                    _number(told.validation_loss),
                    _number(told.validation_accuracy),
                    told.broken,
                )
            )
        for each in reports:
            if not each.broken and self._improves(each):
                losses, right = score_images(self.stack.watched[self.all.index(each.number)], self.truth)
                self.best[each.number] = Outcome(each.epoch, each.validation_loss, losses, right)
        ended = [number for number in self.numbers if self.stack.epoch >= self.epochs[number]]
        for number in ended:
            if number in self.best:
                self.keep(number, self.best[number])
        self.leave(ended)
        return reports

    def stop(self, number: int) -> None:
        self.leave([number])

    def _improves(self, report: Report) -> bool:
        before = self.best.get(report.number)
        return before is None or report.validation_loss < before.loss

    def leave(self, numbers: Collection[int]) -> None:
        """These go no further; with the last of them the checkpoint goes."""
        for number in numbers:
            self.best.pop(number, None)
        if numbers:
            gone = set(numbers)
            self.stack.keep([lane for lane in self.stack.lanes if self.all[lane] not in gone])
        if self.folder is not None and not self.stack.lanes:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self, folder: Path) -> None:
        self.stack.save(folder)
        numbers = sorted(self.best)
        with (folder / "best.part").open("wb") as file:
            np.savez(
                file,
                numbers=np.array(numbers, np.int64),
                epochs=np.array([self.best[each].epoch for each in numbers], np.int64),
                loss=np.array([self.best[each].loss for each in numbers], np.float64),
                losses=np.array([self.best[each].losses for each in numbers], np.float32),
                right=np.array([self.best[each].right for each in numbers], np.bool_),
            )
        (folder / "best.part").replace(folder / BEST)

    def _load_best(self, folder: Path) -> None:
        with np.load(folder / BEST) as found:
            rows = zip(*(found[name] for name in ("numbers", "epochs", "loss", "losses", "right")), strict=True)
            for number, epoch, loss, losses, right in rows:
                self.best[int(number)] = Outcome(int(epoch), float(loss), losses, right)


class _Paused(Exception):
    """A training stands still at the end of an epoch, saved."""


class _PauseAfter(Callback):
    """Ends the process's work on a training once it has so many epochs; its checkpoint is where it goes on."""

    def __init__(self) -> None:
        self.history: list[dict[str, float | int | None]] = []
        self.begun = 0

    def fit_start(self, state: TrainState) -> None:
        self.begun = state.epoch

    def epoch_start(self, state: TrainState) -> None:
        if state.epoch > self.begun:
            self.history = list(state.history)
            raise _Paused


class _Alone:
    """A trial of its own, by the loop; it stands still in its checkpoint between two epochs, so that memory is flat."""

    def __init__(
        self,
        desk: Desk,
        number: int,
        config: RunConfig,
        folder: Path,
        keep: Callable[[int, Outcome], None],
        progress: Progress,
    ) -> None:
        self.desk, self.number, self.config, self.folder, self.keep = desk, number, config, folder, keep
        self.progress, self.numbers, self.told = progress, [number], 0
        _write_trials(folder, {number: config})

    def advance(self) -> list[Report]:
        start, pause = self.desk.start(self.config), _PauseAfter()
        truth = self.desk.labels(start.ready.choose)
        try:
            trained = train_network(
                start.network,
                start.ready.inputs,
                self.desk.labels(start.ready.train),
                self.desk.classes,
                start.config.training,
                validation=(start.ready.watched, truth),
                mix=start.ready.mix,
                checkpoint=self.folder,
                callbacks=[pause],
            )
        except _Paused:
            return self._reports(pause.history)
        except UserError as error:
            self.stop(self.number)
            return [_broken(self.number, error.problem)]
        reports = self._reports(trained.history.to_dicts())
        losses, right = score_images(score_network(trained.network, start.ready.watched), truth)
        self.keep(self.number, Outcome(trained.best_epoch, float(losses.mean()), losses, right))
        self.stop(self.number)
        return reports

    def stop(self, number: int) -> None:
        self.numbers = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def _reports(self, history: Sequence[Mapping[str, float | int | None]]) -> list[Report]:
        """Of the epochs that were not told yet."""
        new, self.told = history[self.told :], len(history)
        return [
            Report(
                self.number,
                int(row["epoch"] or 0),
                _number(row["lr"]),
                _number(row["train_loss"]),
                _number(row["validation_loss"]),
                _number(row["validation_accuracy"]),
            )
            for row in new
        ]


def score_images(scores: FloatArray, truth: npt.NDArray[np.int64]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Scores (M, K) of M labelled images -> their log loss, float32 (M,), and which were told rightly."""
    shifted = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(truth)), truth]
    losses = np.log(np.exp(shifted).sum(axis=1)) - own
    return losses.astype(np.float32), scores.argmax(axis=1) == truth


def _broken(number: int, why: str) -> Report:
    return Report(number, 0, math.nan, math.nan, math.nan, math.nan, why)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _write_trials(folder: Path, plans: Mapping[int, RunConfig]) -> None:
    """The plans beside their checkpoint, so that a study whose process was killed knows what is under way."""
    file = ensure_folder(folder) / TRIALS
    if not file.exists():
        write_text(file, json.dumps({str(number): to_mapping(config) for number, config in plans.items()}))

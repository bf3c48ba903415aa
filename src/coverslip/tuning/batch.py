"""Training of trials: those with the same architecture together, the others one after another, one epoch at a time."""

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
from coverslip.training.forward import compute_logits
from coverslip.training.lanes import Stack, can_stack, group_into_passes
from coverslip.training.loop import train_network
from coverslip.training.state import TrainState
from coverslip.tuning.data import PreparedTrial, StudyData

FloatArray = npt.NDArray[np.float32]
TRIALS, BEST = "trials.json", "best.npz"  # files of a checkpoint: the trials' configs; their best epochs so far


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch of one trial.

    Attributes:
        number: number of the trial.
        epoch: from 1.
        lr: learning rate at the end of the epoch.
        train_loss: mean training loss of the epoch.
        validation_loss: mean log loss on the selection half of the validation set.
        validation_accuracy: accuracy on the same images.
        broken: why the loss is not finite; empty otherwise.
    """

    number: int
    epoch: int
    lr: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    broken: str = ""


@dataclass(slots=True)
class Outcome:
    """Predictions of a trial's best epoch on the M images of the selection half.

    Attributes:
        epoch: the best epoch, from 1.
        loss: mean log loss of that epoch.
        losses: log loss of each image, float32, shape (M,).
        correct: whether each image was classified correctly, shape (M,).
    """

    epoch: int
    loss: float
    losses: FloatArray
    correct: npt.NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Fraction of the images that were classified correctly."""
        return float(self.correct.mean())


class TrialGroup(Protocol):
    """Trials that are trained together."""

    @property
    def numbers(self) -> list[int]:
        """Numbers of the trials that are still in training."""
        ...

    def advance(self) -> list[EpochReport]:
        """Train one epoch of each trial; trials that finish or diverge are removed."""
        ...

    def stop(self, number: int) -> None:
        """Remove a trial."""
        ...


class Batch:
    """Trials in training.

    Args:
        study_data: the data of the study.
        trials: trial number -> config.
        folder: folder of the checkpoints, which are resumed; None writes none.
        progress: receives the stages of the training.

    Attributes:
        outcomes: trial number -> outcome of trials that were trained to the end; the caller removes them.
        stacks: trial number -> number of the pass it is trained in (that of its first trial).
    """

    def __init__(
        self,
        study_data: StudyData,
        trials: Mapping[int, RunConfig],
        folder: Path | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.study_data, self.folder, self.outcomes = study_data, folder, dict[int, Outcome]()
        self.stacks: dict[int, int] = {}
        self.groups: list[TrialGroup] = []
        self.failed: list[EpochReport] = []
        self.temporary: tempfile.TemporaryDirectory[str] | None = None
        new = dict(trials)
        for path, saved in _saved_stacks(folder):
            resumed = sorted(saved.keys() & new.keys())
            if resumed:  # a checkpoint can only be loaded with all lanes of its stack; then the others are removed
                stacked = _StackedTrials(
                    study_data,
                    {number: study_data.prepare_trial(config) for number, config in saved.items()},
                    path,
                    self._add_outcome,
                )
                stacked.remove(set(stacked.numbers) - set(resumed))
                self.groups.append(stacked)
                self.stacks |= dict.fromkeys(resumed, min(saved))
                new = {number: config for number, config in new.items() if number not in saved}
        prepared: dict[int, PreparedTrial] = {}
        for number, config in new.items():
            try:
                prepared[number] = study_data.prepare_trial(config)
            except UserError as error:  # settings that cannot be trained fail one trial, not the study
                self.failed.append(_broken(number, str(error)))
        for numbers in _grouped(prepared):
            self.groups.append(self._group({number: prepared[number] for number in numbers}, progress))
            self.stacks |= dict.fromkeys(numbers, numbers[0])

    @property
    def running(self) -> list[int]:
        """Numbers of the trials that are still in training."""
        return [
            *(report.number for report in self.failed),
            *(number for group in self.groups for number in group.numbers),
        ]

    def advance(self) -> list[EpochReport]:
        """Train one epoch of every running trial."""
        reports, self.failed = self.failed, []
        for group in self.groups:
            reports += group.advance()
        self.groups = [group for group in self.groups if group.numbers]
        return reports

    def stop(self, numbers: Sequence[int]) -> None:
        """Remove pruned trials; their stack shrinks."""
        for group in self.groups:
            for number in set(numbers) & set(group.numbers):
                group.stop(number)
        self.groups = [group for group in self.groups if group.numbers]

    def _group(self, trials: dict[int, PreparedTrial], progress: Progress) -> TrialGroup:
        first = next(iter(trials.values()))
        # A single trial is stacked too: a stack stays in memory, while the loop would reload its checkpoint each epoch.
        if can_stack(first.network, first.config.training):
            folder = self._place("stack", min(trials))
            if folder is not None:  # left by a process that ended before the first epoch
                shutil.rmtree(folder)
            return _StackedTrials(self.study_data, trials, folder, self._add_outcome)
        (number,) = trials
        folder = self._place("trial", number)
        if folder is None:
            self.temporary = self.temporary or tempfile.TemporaryDirectory(prefix="coverslip-")
            folder = Path(self.temporary.name) / f"trial-{number}"
        return _SingleTrial(self.study_data, number, trials[number].config, folder, self._add_outcome, progress)

    def _place(self, kind: str, number: int) -> Path | None:
        return None if self.folder is None else ensure_folder(self.folder / f"{kind}-{number}")

    def _add_outcome(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome


def _saved_stacks(folder: Path | None) -> Iterator[tuple[Path, dict[int, RunConfig]]]:
    """Yield the folders of stacks that were trained for at least one epoch, and the configs of all their trials."""
    for file in sorted(folder.glob(f"stack-*/{TRIALS}")) if folder is not None else []:
        if (file.parent / BEST).exists():
            content = json.loads(file.read_text(encoding="utf-8"))
            yield (
                file.parent,
                {int(number): from_mapping(RunConfig, config, TRIALS) for number, config in content.items()},
            )


def _grouped(trials: Mapping[int, PreparedTrial]) -> list[list[int]]:
    numbers, prepared = list(trials), list(trials.values())
    networks, configs = [trial.network for trial in prepared], [trial.config.training for trial in prepared]
    groups = group_into_passes(networks, configs, [trial.key for trial in prepared])
    return [[numbers[position] for position in positions] for positions in groups]


class _StackedTrials:
    """Trials of one architecture, trained in one pass."""

    def __init__(
        self,
        study_data: StudyData,
        trials: dict[int, PreparedTrial],
        folder: Path | None,
        add_outcome: Callable[[int, Outcome], None],
    ) -> None:
        self.all, self.folder, self.add_outcome = list(trials), folder, add_outcome
        first = next(iter(trials.values())).prepared
        self.labels = study_data.labels(first.selection)
        self.epochs = {number: trial.config.training.epochs or 0 for number, trial in trials.items()}
        self.best: dict[int, Outcome] = {}
        self.stack = Stack(
            [trial.network for trial in trials.values()],
            [trial.config.training for trial in trials.values()],
            first.inputs,
            study_data.labels(first.train),
            study_data.classes,
            validation=(first.selection_inputs, self.labels),
            mix=first.mix,
        )
        if folder is not None:
            _write_trials(folder, {number: trial.config for number, trial in trials.items()})
            if (folder / BEST).exists():
                self.stack.load(folder)
                self._load_best(folder)

    @property
    def numbers(self) -> list[int]:
        return [self.all[lane] for lane in self.stack.lanes]

    def advance(self) -> list[EpochReport]:
        if self.folder is not None and self.stack.epoch:
            self._save(self.folder)  # the reports of the previous epoch are in the study's file by now
        reports = []
        for lane in self.stack.run_epoch():
            number = self.all[lane.lane]
            reports.append(
                EpochReport(
                    number,
                    lane.epoch,
                    lane.lr,
                    _number(lane.train_loss),
                    _number(lane.validation_loss),
                    _number(lane.validation_accuracy),
                    lane.failure,
                )
            )
        for report in reports:
            if not report.broken and self._improves(report):
                losses, correct = score_images(self.stack.validation_logits[self.all.index(report.number)], self.labels)
                self.best[report.number] = Outcome(report.epoch, report.validation_loss, losses, correct)
        finished = [number for number in self.numbers if self.stack.epoch >= self.epochs[number]]
        for number in finished:
            if number in self.best:
                self.add_outcome(number, self.best[number])
        self.remove(finished)
        return reports

    def stop(self, number: int) -> None:
        self.remove([number])

    def _improves(self, report: EpochReport) -> bool:
        before = self.best.get(report.number)
        return before is None or report.validation_loss < before.loss

    def remove(self, numbers: Collection[int]) -> None:
        """Remove trials; the checkpoint is deleted with the last of them."""
        for number in numbers:
            self.best.pop(number, None)
        if numbers:
            removed = set(numbers)
            self.stack.keep([lane for lane in self.stack.lanes if self.all[lane] not in removed])
        if self.folder is not None and not self.stack.lanes:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self, folder: Path) -> None:
        self.stack.save(folder)
        numbers = sorted(self.best)
        with (folder / "best.part").open("wb") as file:
            np.savez(
                file,
                numbers=np.array(numbers, np.int64),
                epochs=np.array([self.best[number].epoch for number in numbers], np.int64),
                loss=np.array([self.best[number].loss for number in numbers], np.float64),
                losses=np.array([self.best[number].losses for number in numbers], np.float32),
                right=np.array([self.best[number].correct for number in numbers], np.bool_),
            )
        (folder / "best.part").replace(folder / BEST)

    def _load_best(self, folder: Path) -> None:
        with np.load(folder / BEST) as arrays:
            rows = zip(*(arrays[name] for name in ("numbers", "epochs", "loss", "losses", "right")), strict=True)
            for number, epoch, loss, losses, correct in rows:
                self.best[int(number)] = Outcome(int(epoch), float(loss), losses, correct)


class _Paused(Exception):
    """Training is paused at the end of an epoch, with a checkpoint."""


class _PauseAfter(Callback):
    """Pause training after one epoch of this call; the checkpoint is where the next call resumes."""

    def __init__(self) -> None:
        self.history: list[dict[str, float | int | None]] = []
        self.first_epoch = 0

    def fit_start(self, state: TrainState) -> None:
        self.first_epoch = state.epoch

    def epoch_start(self, state: TrainState) -> None:
        if state.epoch > self.first_epoch:
            self.history = list(state.history)
            raise _Paused


class _SingleTrial:
    """A trial that the training loop trains; between two epochs it exists only as a checkpoint, to keep memory flat."""

    def __init__(
        self,
        study_data: StudyData,
        number: int,
        config: RunConfig,
        folder: Path,
        add_outcome: Callable[[int, Outcome], None],
        progress: Progress,
    ) -> None:
        self.study_data, self.number, self.config = study_data, number, config
        self.folder, self.add_outcome = folder, add_outcome
        self.progress, self.numbers, self.reported = progress, [number], 0
        _write_trials(folder, {number: config})

    def advance(self) -> list[EpochReport]:
        trial, pause = self.study_data.prepare_trial(self.config), _PauseAfter()
        prepared = trial.prepared
        labels = self.study_data.labels(prepared.selection)
        try:
            trained = train_network(
                trial.network,
                prepared.inputs,
                self.study_data.labels(prepared.train),
                self.study_data.classes,
                trial.config.training,
                validation=(prepared.selection_inputs, labels),
                mix=prepared.mix,
                checkpoint=self.folder,
                callbacks=[pause],
            )
        except _Paused:
            return self._reports(pause.history)
        except UserError as error:
            self.stop(self.number)
            return [_broken(self.number, error.problem)]
        reports = self._reports(trained.history.to_dicts())
        losses, correct = score_images(compute_logits(trained.network, prepared.selection_inputs), labels)
        self.add_outcome(self.number, Outcome(trained.best_epoch, float(losses.mean()), losses, correct))
        self.stop(self.number)
        return reports

    def stop(self, number: int) -> None:
        self.numbers = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def _reports(self, history: Sequence[Mapping[str, float | int | None]]) -> list[EpochReport]:
        """Return the epochs that were not reported yet."""
        new, self.reported = history[self.reported :], len(history)
        return [
            EpochReport(
                self.number,
                int(row["epoch"] or 0),
                _number(row["lr"]),
                _number(row["train_loss"]),
                _number(row["validation_loss"]),
                _number(row["validation_accuracy"]),
            )
            for row in new
        ]


def score_images(logits: FloatArray, labels: npt.NDArray[np.int64]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the log loss of each image, float32, shape (M,), and whether it was classified correctly, shape (M,).

    Args:
        logits: shape (M, K).
        labels: class ids, shape (M,), values in 0..K-1.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    of_label = shifted[np.arange(len(labels)), labels]
    losses = np.log(np.exp(shifted).sum(axis=1)) - of_label
    return losses.astype(np.float32), logits.argmax(axis=1) == labels


def _broken(number: int, why: str) -> EpochReport:
    return EpochReport(number, 0, math.nan, math.nan, math.nan, math.nan, why)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _write_trials(folder: Path, configs: Mapping[int, RunConfig]) -> None:
    """Write the configs next to their checkpoint, so that a killed study can be resumed."""
    file = ensure_folder(folder) / TRIALS
    if not file.exists():
        write_text(file, json.dumps({str(number): to_mapping(config) for number, config in configs.items()}))

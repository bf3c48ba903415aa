"""Run a study: a search, a sweep, or one setting at a time. Read `run_study` first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.progress import EventLog, Progress
from coverslip.core.runs import Study
from coverslip.pipeline.config import RunConfig, write_config
from coverslip.pipeline.resolve import resolve_config, uses_exact_head
from coverslip.reporting.tune_page import write_tune_page
from coverslip.training.lanes import can_stack, stacking_is_faster
from coverslip.tuning.batch import Batch
from coverslip.tuning.data import StudyData
from coverslip.tuning.keys import plain
from coverslip.tuning.nested import nested_search
from coverslip.tuning.one_at_a_time import Step, decide, rules_of_thumb, steps
from coverslip.tuning.repeats import check_repeats, repeat_best
from coverslip.tuning.results import Outcomes, Tuned
from coverslip.tuning.search import search
from coverslip.tuning.space import Space, Sweep, default_space, parse_sweep, read_space, write_space
from coverslip.tuning.summary import StudySummary
from coverslip.tuning.sweep import grid, open_list, sweep_space

PAGE_SHARE = 0.05  # maximum fraction of the time spent on writing the page
TOGETHER = 16  # trials of a search that advance in step
# In simulations 0.005 to 0.011, see benchmarks/results/winner.md
EPOCH_BIAS = (
    "the best epoch of each trial was selected on the same images, so the corrected accuracy may still be too high by "
    "about 0.01"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """The kind and the size of a study.

    Attributes:
        sweeps: sweeps as text, see `coverslip.tuning.space.parse_sweep`; several form a grid.
        one_at_a_time: tune one setting after another instead.
        trials: number of trials of a search.
        nested: folds of nested cross-validation; 0: none.
        repeats: repetitions of the best trial with other seeds; 0: none.
        together: trials of a search that advance in step.

    Raises:
        UserError: the options contradict each other, or a number is out of range.
    """

    sweeps: tuple[str, ...] = ()
    one_at_a_time: bool = False
    trials: int = 50
    nested: int = 0
    repeats: int = 0
    together: int = TOGETHER

    def __post_init__(self) -> None:
        check_repeats(self.repeats)
        if self.sweeps and self.one_at_a_time:
            raise UserError("--sweep and --one-at-a-time are two kinds of study", "omit one of the two")
        if self.nested and (self.sweeps or self.one_at_a_time or self.nested < 2):
            raise UserError(f"--nested {self.nested} needs a search, and 2 folds or more", "give 5 folds, for example")

    @property
    def kind(self) -> str:
        """``search``, ``sweep`` or ``one-at-a-time``."""
        return "sweep" if self.sweeps else "one-at-a-time" if self.one_at_a_time else "search"


def run_study(
    config: RunConfig,
    study: Study,
    study_config: StudyConfig,
    space: Space | None = None,
    *,
    minutes: float | None = None,
    shared: bool = False,
    progress: Progress,
) -> Tuned:
    """Train the trials of a study and write its results; an interrupted study is resumed.

    Args:
        config: the default trial; a head is trained by the training loop, since the exact solver has no learning rate.
        study: the study's folder.
        study_config: kind and size of the study.
        space: space of a search; None: that of the study's folder, or the default for the network and the depth.
        minutes: time limit from now, after which no epoch starts.
        shared: whether other processes may work on the same study.
        progress: receives stages and notes.

    Raises:
        UserError: the settings cannot be trained, or as `coverslip.tuning.search.search`.
        KeyboardInterrupt: Ctrl+C; the epoch was finished and stored, and the study can be resumed.
    """
    config = trainable(config)
    config = rules_of_thumb(config) if study_config.one_at_a_time else config
    log = EventLog(study.events_file, progress)
    sweeps: list[Sweep] = []
    if study_config.kind == "search":
        space = space or (read_space(study.space_file) if study.space_file.exists() else default_space(config))
    else:
        texts = study_config.sweeps
        sweeps = [parse_sweep(text) for text in texts] if study_config.kind == "sweep" else steps(config)
        space = sweep_space(sweeps).around(config)
    space.check(config)
    study_data = StudyData(config, log)
    config = _with_precision(config, study_data)
    write_config(config, study.experiment_file)
    write_space(space, study.space_file)
    summary = _study_summary(config, study, study_config, space, study_data)
    writer = StudyWriter(summary)
    context = StudyContext(config, study, study_config, sweeps, space, study_data, writer, minutes, shared, log)
    try:
        {"search": _search, "sweep": _sweep, "one-at-a-time": _one_at_a_time}[study_config.kind](context)
        if study_config.nested:
            folds, trials = study_config.nested, study_config.trials
            summary.nested = nested_search(study_data, space, config, folds, trials, study_config.together, log)
        if study_config.repeats and (best := writer.best()) is not None:
            best_config = space.with_values(config, best["values"])
            summary.repeats = repeat_best(
                study_data, best_config, summary.outcomes, best["number"], study_config.repeats, log
            )
    except KeyboardInterrupt:
        writer.end("interrupted")
        raise
    writer.end("finished")
    return Tuned(study.folder)


def trainable(config: RunConfig) -> RunConfig:
    """Return the resolved config, with a head that is trained by the training loop.

    Raises:
        UserError: depth is ``auto``, or the validation set is used for training.
    """
    if config.model.depth == "auto":
        raise UserError("all trials of a study need the same depth", "give --depth head, tail, all or a stage")
    if config.split.refit:
        raise UserError(
            "a study selects on the validation set, which --refit trains on", "use --refit only for the final run"
        )
    if uses_exact_head(resolve_config(config)):
        config = replace(config, head=replace(config.head, solver="loop"))
    return resolve_config(config)


class StudyWriter:
    """Writes summary and page of a running study, taking only a small part of its time.

    Args:
        summary: the study with its results so far.
    """

    def __init__(self, summary: StudySummary) -> None:
        self.summary, self.start, self.due = summary, time.monotonic(), 0.0
        self.before = 0.0  # seconds of earlier calls
        if summary.study.summary_file.exists():
            self.before = float(Tuned(summary.study.folder).summary["seconds"])
        self.frame: pl.DataFrame | None = None

    def epoch_ended(self, batch: Any) -> None:
        """Take the outcomes of finished trials out of the batch, and write them."""
        if batch.outcomes:
            for number, outcome in batch.outcomes.items():
                self.summary.outcomes.add(number, outcome)
            batch.outcomes.clear()
            self.summary.outcomes.write()

    def tables_written(self, frame: pl.DataFrame, left: float | None) -> None:
        """Update summary and page if they are due.

        Args:
            frame: a row per trial.
            left: estimated seconds left; None if unknown.
        """
        self.frame = frame
        start = time.monotonic()
        if start < self.due:
            return
        self.summary.write(frame, "running", self.seconds, left)
        write_tune_page(self.summary.study.folder)
        end = time.monotonic()
        self.due = end + (end - start) / PAGE_SHARE

    def best(self) -> dict[str, Any] | None:
        """Return the best trial so far, with its number and values."""
        return None if self.frame is None else self.summary.write(self.frame, "running", self.seconds)["best"]

    def end(self, state: str) -> None:
        """Write summary and page a last time, including slow statistics."""
        if self.frame is not None:
            self.summary.write(self.frame, state, self.seconds)
            write_tune_page(self.summary.study.folder)

    @property
    def seconds(self) -> float:
        """Duration of the study so far, including earlier calls."""
        return self.before + time.monotonic() - self.start


@dataclass(frozen=True, slots=True)
class StudyContext:
    """Everything that a kind of study needs.

    Attributes:
        config: the default trial.
        study: the study's folder.
        study_config: kind and size of the study.
        sweeps: the sweeps of a grid, or of the steps of a one-at-a-time study; empty for a search.
        space: the search space.
        study_data: data shared by all trials.
        writer: writes summary and page.
        minutes: time limit; None for no limit.
        shared: whether other processes may work on the same study.
        log: receives stages and notes.
    """

    config: RunConfig
    study: Study
    study_config: StudyConfig
    sweeps: Sequence[Sweep]
    space: Space
    study_data: StudyData
    writer: StudyWriter
    minutes: float | None
    shared: bool
    log: EventLog

    def open_batch(self, trials: Mapping[int, RunConfig]) -> Batch:
        """Return the trials ready for training, with checkpoints in the study's folder."""
        return Batch(self.study_data, trials, self.study.checkpoints_folder, self.log)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments that all kinds of study pass on."""
        return {
            "minutes": self.minutes,
            "shared": self.shared,
            "data": self.study_data.digests,
            "epoch_ended": self.writer.epoch_ended,
            "tables_written": self.writer.tables_written,
            "progress": self.log,
        }


def _search(context: StudyContext) -> None:
    trials, together = context.study_config.trials, context.study_config.together
    study, space, config = context.study, context.space, context.config
    search(study, space, config, context.open_batch, trials=trials, together=together, **context.options)


def _sweep(context: StudyContext) -> None:
    study, space, config = context.study, context.space, context.config
    rows = grid(context.sweeps, space.values_of(config))
    context.writer.summary.planned = len(rows)
    with open_list(study, space, config, context.open_batch, len(rows), **context.options) as train:
        train(rows)


def _one_at_a_time(context: StudyContext) -> None:
    """Run the steps: each is a sweep of one setting, with the values chosen by the steps before it."""
    study, space, config, summary = context.study, context.space, context.config, context.writer.summary
    values = space.values_of(config)
    planned = 1 + sum(len(sweep.values) - 1 for sweep in context.sweeps)
    summary.planned, known = planned, {tuple(values.items()): 0}  # values -> number of their trial
    with open_list(study, space, config, context.open_batch, planned, prune=False, **context.options) as train:
        train([(dict(values), "default")])
        for sweep in context.sweeps:
            candidates = [values | {sweep.key: plain(value)} for value in sweep.values]
            new = [row for row in candidates if tuple(row.items()) not in known]
            train([(row, "step") for row in new])
            known |= {tuple(row.items()): len(known) + position for position, row in enumerate(new)}
            numbers = [known[tuple(row.items())] for row in candidates]
            step = _decide(summary.outcomes, sweep, numbers, values)
            values[sweep.key] = plain(step.chosen)
            summary.chosen = known[tuple(values.items())]
            summary.steps.append(step.as_json())
            context.log.note(step.sentence)


def _decide(outcomes: Outcomes, sweep: Sweep, numbers: list[int], values: Mapping[str, Any]) -> Step:
    finished = {
        number: (outcomes.losses[row], outcomes.correct[row])
        for row, number in enumerate(outcomes.numbers)
        if number in numbers
    }
    current = next(value for value in sweep.values if plain(value) == values[sweep.key])
    return decide(sweep.key, sweep.values, numbers, current, finished, outcomes.groups)


def _study_summary(
    config: RunConfig, study: Study, study_config: StudyConfig, space: Space, study_data: StudyData
) -> StudySummary:
    groups = len(set(study_data.groups.tolist()))
    about = {
        "name": study_data.table.name,
        "network": config.model.network,
        "depth": config.model.depth,
        "images": {"train": len(study_data.train), "choose": len(study_data.selection), "groups": groups},
        "classes": list(study_data.table.classes),
    }
    config_of: Callable[[Mapping[str, Any]], RunConfig] = lambda values: space.with_values(config, values)  # noqa: E731
    return StudySummary(
        study,
        study_config.kind,
        about,
        {dimension.key: dimension.as_json() for dimension in space.dimensions},
        config_of,
        Outcomes(study, study_data.groups),
        study_config.trials,
        requested={
            "sweeps": list(study_config.sweeps),
            "one_at_a_time": study_config.one_at_a_time,
            "trials": study_config.trials,
            "nested": study_config.nested,
            "repeats": study_config.repeats,
            "together": study_config.together,
        },
        notes=[] if study_config.one_at_a_time else [EPOCH_BIAS],
    )


def _with_precision(config: RunConfig, study_data: StudyData) -> RunConfig:
    """Use float32 for all trials if they are trained in stacks, so that each equals the run of its settings."""
    network = study_data.prepare_trial(config).network
    if config.training.precision == "auto" and can_stack(network) and stacking_is_faster(network, TOGETHER):
        return replace(config, training=replace(config.training, precision="float32"))
    return config

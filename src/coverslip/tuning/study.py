"""A study from beginning to end: a search, a sweep, or one setting after another. Read `run_study` first."""

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
from coverslip.training.lanes import can_stack, pays
from coverslip.tuning.batch import Batch
from coverslip.tuning.desk import Desk
from coverslip.tuning.keys import plain
from coverslip.tuning.nested import nested_search
from coverslip.tuning.one_at_a_time import Step, decide, rules_of_thumb, steps
from coverslip.tuning.repeating import check_repeats, repeat_best
from coverslip.tuning.results import Outcomes, Tuned
from coverslip.tuning.search import search
from coverslip.tuning.space import Space, Sweep, default_space, parse_sweep, read_space, write_space
from coverslip.tuning.summary import Account
from coverslip.tuning.sweep import grid, open_list, sweep_space

PAGE_SHARE = 0.05  # of the time that writing the page may take
TOGETHER = 16  # trials of a search that advance side by side
# In simulations 0.005 to 0.011, see benchmarks/results/winner.md
EPOCHS_TOO = "the same images chose each trial's epoch, so what is to be expected may still be too high by about 0.01"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be tried.

    Attributes:
        sweeps: texts that `coverslip.tuning.space.parse_sweep` reads; several make a grid.
        one_at_a_time: change one setting after another instead.
        trials: of a search.
        nested: folds of a nested search; 0 is none.
        repeats: trainings of the best trial's settings with other seeds; 0 is none.
        together: trials of a search that advance side by side.
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
            raise UserError("--sweep and --one-at-a-time are two kinds of study", "leave one of them out")
        if self.nested and (self.sweeps or self.one_at_a_time or self.nested < 2):
            raise UserError(f"--nested {self.nested} needs a search, and 2 folds or more", "5 is usual")

    @property
    def kind(self) -> str:
        """``search``, ``sweep`` or ``one-at-a-time``."""
        return "sweep" if self.sweeps else "one-at-a-time" if self.one_at_a_time else "search"


def run_study(
    config: RunConfig,
    study: Study,
    wish: Wish,
    space: Space | None = None,
    *,
    minutes: float | None = None,
    shared: bool = False,
    progress: Progress,
) -> Tuned:
    """Train what was wished for, and write what came of it; goes on where an earlier call was interrupted.

    Args:
        plan: the default trial; a head is trained by the loop, since only that has a learning rate.
        study: its folder.
        wish: what is tried.
        space: of a search; by default what suits the network and the depth.
        minutes: from now, after which no epoch begins.
        shared: other processes may work on the same study.
        progress: told what happens.

    Raises:
        UserError: see `search`; settings that cannot be trained.
        KeyboardInterrupt: Ctrl+C; the epoch was finished and written, and the study can be gone on with.
    """
    config = trainable(config)
    config = rules_of_thumb(config) if wish.one_at_a_time else config
    ways = {"search": _search, "sweep": _sweep, "one-at-a-time": _one_at_a_time}
    log = EventLog(study.events_file, progress)
    sweeps = [parse_sweep(each) for each in wish.sweeps] if wish.sweeps else steps(config) if wish.one_at_a_time else []
    if wish.kind == "search":
        space = space or (read_space(study.space_file) if study.space_file.exists() else default_space(config))
    else:
        space = sweep_space(sweeps).around(config)
    space.check(config)
    desk = Desk(config, log)
    config = _with_precision(config, desk)
    write_config(config, study.experiment_file)
    write_space(space, study.space_file)
    show = Show(_account(config, study, wish, space, desk), log)
    try:
        ways[wish.kind](Work(config, study, wish, sweeps, space, desk, show, minutes, shared, log))
        if wish.nested:
            show.account.nested = nested_search(desk, space, config, wish.nested, wish.trials, wish.together, log)
        if wish.repeats and (best := show.best()) is not None:
            settings = space.with_values(config, best["values"])
            outcomes = show.account.outcomes
            show.account.repeats = repeat_best(desk, settings, outcomes, best["number"], wish.repeats, log)
    except KeyboardInterrupt:
        show.end("interrupted")
        raise
    show.end("finished")
    return Tuned(study.folder)


def trainable(config: RunConfig) -> RunConfig:
    """The settled plan, with a head that is trained step by step.

    Raises:
        UserError: depth ``auto``, or what only `coverslip.train` does.
    """
    if config.model.depth == "auto":
        raise UserError("a study needs one depth for all its trials", "give --depth head, tail, all or a stage")
    if config.split.refit:
        raise UserError("a study chooses on validation, which --refit trains on", "leave --refit to the final run")
    if uses_exact_head(resolve_config(config)):
        config = replace(config, head=replace(config.head, solver="loop"))
    return resolve_config(config)


class Show:
    """What is written while a study runs: its summary and its page, without taking much of its time."""

    def __init__(self, account: Account, log: EventLog) -> None:
        self.account, self.log, self.began, self.due = account, log, time.monotonic(), 0.0
        self.before = 0.0  # seconds of earlier calls
        if account.study.summary_file.exists():
            self.before = float(Tuned(account.study.folder).summary["seconds"])
        self.frame: pl.DataFrame | None = None

    def epoch_ended(self, batch: Any) -> None:
        """Keep what finished trials said of each image."""
        if batch.outcomes:
            for number, outcome in batch.outcomes.items():
                self.account.outcomes.add(number, outcome)
            batch.outcomes.clear()
            self.account.outcomes.write()

    def tables_written(self, frame: pl.DataFrame, left: float | None) -> None:
        """Write the page anew, if it is time."""
        self.frame = frame
        start = time.monotonic()
        if start < self.due:
            return
        self.account.write(frame, "running", self.seconds, left)
        write_tune_page(self.account.study.folder)
        end = time.monotonic()
        self.due = end + (end - start) / PAGE_SHARE

    def best(self) -> dict[str, Any] | None:
        """The best trial so far, with its number and values."""
        return None if self.frame is None else self.account.write(self.frame, "running", self.seconds)["best"]

    def end(self, state: str) -> None:
        """Write everything, also what takes a while."""
        if self.frame is not None:
            self.account.write(self.frame, state, self.seconds)
            write_tune_page(self.account.study.folder)

    @property
    def seconds(self) -> float:
        """Of the study so far, earlier calls included."""
        return self.before + time.monotonic() - self.began


@dataclass(frozen=True, slots=True)
class Work:
    """All that a kind of study needs."""

    config: RunConfig
    study: Study
    wish: Wish
    sweeps: Sequence[Sweep]  # of a sweep all at once, of one-at-a-time one after another
    space: Space
    desk: Desk
    show: Show
    minutes: float | None
    shared: bool
    log: EventLog

    def open_batch(self, trials: Mapping[int, RunConfig]) -> Batch:
        """Trials under way, with checkpoints in the study's folder."""
        return Batch(self.desk, trials, self.study.checkpoints_folder, self.log)

    @property
    def options(self) -> dict[str, Any]:
        """What all kinds of study pass on."""
        return {
            "minutes": self.minutes,
            "shared": self.shared,
            "data": self.desk.identity,
            "epoch_ended": self.show.epoch_ended,
            "tables_written": self.show.tables_written,
            "progress": self.log,
        }


def _search(work: Work) -> None:
    wish = work.wish
    search(
        work.study, work.space, work.config, work.open_batch, trials=wish.trials, together=wish.together, **work.options
    )


def _sweep(work: Work) -> None:
    rows = grid(work.sweeps, work.space.values_of(work.config))
    work.show.account.planned = len(rows)
    with open_list(work.study, work.space, work.config, work.open_batch, len(rows), **work.options) as train:
        train(rows)


def _one_at_a_time(work: Work) -> None:
    """Each step is a sweep of one setting, with what the steps before it chose."""
    values = work.space.values_of(work.config)
    planned = 1 + sum(len(each.values) - 1 for each in work.sweeps)
    work.show.account.planned, known = planned, {tuple(values.items()): 0}
    with open_list(work.study, work.space, work.config, work.open_batch, planned, prune=False, **work.options) as train:
        train([(dict(values), "default")])
        for each in work.sweeps:
            tried = [values | {each.key: plain(value)} for value in each.values]
            new = [row for row in tried if tuple(row.items()) not in known]
            train([(row, "step") for row in new])
            known |= {tuple(row.items()): len(known) + place for place, row in enumerate(new)}
            step = _decided(work, each.key, each.values, [known[tuple(row.items())] for row in tried], values)
            values[each.key] = plain(step.chosen)
            work.show.account.chosen = known[tuple(values.items())]
            work.show.account.steps.append(step.as_json())
            work.log.note(step.sentence)


def _decided(work: Work, key: str, values: tuple[Any, ...], numbers: list[int], present: Mapping[str, Any]) -> Step:
    outcomes = work.show.account.outcomes
    told = {
        number: (outcomes.losses[place], outcomes.right[place])
        for place, number in enumerate(outcomes.numbers)
        if number in numbers
    }
    now = next(value for value in values if plain(value) == present[key])
    return decide(key, values, numbers, now, told, outcomes.groups)


def _account(config: RunConfig, study: Study, wish: Wish, space: Space, desk: Desk) -> Account:
    about = {
        "name": desk.table.name,
        "network": config.model.network,
        "depth": config.model.depth,
        "images": {"train": len(desk.train), "choose": len(desk.choose), "groups": len(set(desk.groups.tolist()))},
        "classes": list(desk.table.classes),
    }
    keys = {each.key: each.as_json() for each in space.dimensions}
    plan_of: Callable[[Mapping[str, Any]], RunConfig] = lambda values: space.with_values(config, values)  # noqa: E731
    asked = {"sweeps": list(wish.sweeps), "one_at_a_time": wish.one_at_a_time}
    asked |= {"trials": wish.trials, "nested": wish.nested, "repeats": wish.repeats, "together": wish.together}
    notes = [] if wish.one_at_a_time else [EPOCHS_TOO]
    return Account(
        study, wish.kind, about, keys, plan_of, Outcomes(study, desk.groups), wish.trials, asked=asked, notes=notes
    )


def _with_precision(config: RunConfig, desk: Desk) -> RunConfig:
    """Where trials of one shape are trained in one pass, they all are in float32, so that each equals its own run."""
    network = desk.start(config).network
    if config.training.precision == "auto" and can_stack(network) and pays(network, TOGETHER):
        return replace(config, training=replace(config.training, precision="float32"))
    return config

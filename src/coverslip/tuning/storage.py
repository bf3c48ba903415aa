"""The file of a study: Optuna's own format, so that its dashboard opens it, and none of its price.

Optuna writes SQLite one value at a time, which takes longer than an epoch of a head. So a study of one process lives
in memory, and `Book.write` brings what is new to ``study.db`` in one transaction an epoch; a killed process loses
nothing that was written. Where several processes share a study, Optuna's journal, ``study.journal``, is its file.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from coverslip.core.errors import UserError
from coverslip.core.runs import Study
from coverslip.core.storage import ensure_folder
from coverslip.tuning.database import Database, locked
from coverslip.tuning.journal import is_alive, open_journal, owner_file
from coverslip.tuning.keys import Plain, plain
from coverslip.tuning.space import Dimension, Space
from coverslip.tuning.tables import Epoch, Trial

NAME = "coverslip"  # of the one study in the file, and of what it is of
CURVE = "coverslip:curve"
PATIENCE = 2.0  # seconds to wait for another program's lock, before the next epoch's writing tries again
EVERY = 2.0  # seconds between two writings of a journal
STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
Facts = Mapping[str, Mapping[str, Any]]


class Book:
    """An open study: trials are asked for, told about, and written.

    Attributes:
        study: Optuna's.
        running: trials of this process that are under way, by number.
    """

    def __init__(self, study: Study, space: Space, facts: Facts, shared: bool) -> None:
        self.folder, self.space, self.shared = study, space, shared
        self.distributions = {each.key: distribution(each) for each in space.dimensions}
        self.owner, self.running = uuid.uuid4().hex[:12], dict[int, Trial]()
        self._ended: dict[int, Trial] = {}
        self._new: set[int] = set()
        self._written = -math.inf
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.database = None if shared else Database(study.database_file, NAME)
        self.storage = open_journal(study.journal_file) if shared else optuna.storages.InMemoryStorage()
        self.study = optuna.create_study(storage=self.storage, study_name=NAME, load_if_exists=True)
        self._id = self.storage.get_study_id_from_name(NAME)
        try:
            self._read(facts)
        except BaseException:
            if self.database is not None:
                self.database.close()
            raise

    @property
    def count(self) -> int:
        """Trials so far, of all processes."""
        return len(self._frozen())

    @property
    def trials(self) -> list[Trial]:
        """Every trial, by number."""
        found = []
        for frozen in self._frozen():
            known = self.running.get(frozen.number) or self._ended.get(frozen.number)
            if known is None and frozen.state in STATES:
                known = record(frozen)
                if frozen.state.is_finished():
                    self._ended[frozen.number] = known
            found += [known] if known is not None else []
        return found

    def ask(self, seed: int, default: Mapping[str, Plain]) -> Trial:
        """The next trial: the default first, then what TPE proposes; the same for the same seed and history."""
        number = self.count
        self.study.sampler = optuna.samplers.TPESampler(seed=(seed * 1_000_003 + number) % 2**32)
        if number == 0:
            return self.begin(default, "default")
        asked = self.study.ask()
        for key, own in self.distributions.items():
            suggest(asked, key, own)
        return self._under_way(asked.number, "search")

    def begin(self, values: Mapping[str, Plain], role: str) -> Trial:
        """A trial of these values, which may lie outside their ranges."""
        number = self.study.ask().number
        for key, value in values.items():
            own = self.distributions[key]
            self.storage.set_trial_param(self._trial_id(number), key, own.to_internal_repr(value), own)
        return self._under_way(number, role)

    def _under_way(self, number: int, role: str) -> Trial:
        frozen = self.storage.get_trial(self._trial_id(number))
        trial = Trial(number, dict(frozen.params), role)
        if any(each.values == trial.values for each in self.trials if each.number < trial.number):
            trial.role = "repeat"
        self._attribute(trial.number, "role", trial.role)
        if self.shared:
            self._attribute(trial.number, "owner", self.owner)
        self.running[trial.number] = trial
        self._new.add(trial.number)
        return trial

    def tell(self, trial: Trial, row: Epoch) -> None:
        """One more epoch of a running trial."""
        trial.curve.append(row)
        self.storage.set_trial_intermediate_value(self._trial_id(trial.number), row[0], row[3])
        self._new.add(trial.number)

    def end(self, trial: Trial, state: str, why: str = "") -> None:
        """A trial is over: ``finished``, ``pruned`` or ``failed``.

        A trial that failed is told to Optuna as pruned: it would forget failures, and propose the like again.
        """
        trial.state, trial.why = state, why
        self._write_attributes(trial)
        best = trial.best
        if state == "finished" and best is not None:
            self.study.tell(trial.number, best[3])
        else:
            self.study.tell(trial.number, state=TrialState.PRUNED)
        self._ended[trial.number] = self.running.pop(trial.number)
        self._new.add(trial.number)

    def write(self, last: bool = False) -> None:
        """Bring what is new to the file; a file that another program has locked is tried again at the next epoch."""
        if self.shared and time.monotonic() - self._written < EVERY and not last:
            return  # a journal waits for the disk at each line
        for number in self._new & self.running.keys():
            self._write_attributes(self.running[number])
        self._written = time.monotonic()
        if self.database is not None:
            frozen = [self.storage.get_trial(self._trial_id(number)) for number in sorted(self._new)]
            if not self.database.write(frozen, 10 * PATIENCE if last else PATIENCE):
                return
        self._new.clear()

    def close(self) -> None:
        """Write what is left.

        Raises:
            UserError: another program still has the file locked.
        """
        self.write(last=True)
        if self.database is not None:
            self.database.close()
            if self._new:
                raise locked(self.folder.database_file)

    def adopt(self) -> None:
        """Take over what was under way in a process that is gone: in ``running`` afterwards."""
        for frozen in self._frozen():
            if frozen.state != TrialState.RUNNING or frozen.number in self.running:
                continue
            if self.shared and is_alive(self.folder, frozen.user_attrs.get("owner", "")):
                continue
            self.running[frozen.number] = record(frozen)
            if self.shared:
                self._attribute(frozen.number, "owner", self.owner)

    def _read(self, facts: Facts) -> None:
        attributes = self.study.user_attrs
        if self.database is not None:
            attributes = self.database.attributes
            for trial in self.database.trials():
                self.storage.create_new_trial(self._id, trial)
        if NAME in attributes:
            need_same(attributes[NAME], facts, self.folder.folder)
        else:
            (self.database or self.study).set_user_attr(NAME, facts)

    def _frozen(self) -> list[FrozenTrial]:
        return self.storage.get_all_trials(self._id, deepcopy=False)

    def _trial_id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _attribute(self, number: int, key: str, value: Any) -> None:
        self.storage.set_trial_user_attr(self._trial_id(number), key, value)

    def _write_attributes(self, trial: Trial) -> None:
        told = {"stack": trial.stack, "seconds": round(trial.seconds, 3), "why": trial.why}
        for key, value in told.items():
            self._attribute(trial.number, key, value)
        if trial.state == "failed":
            self._attribute(trial.number, "state", trial.state)
        curve = [
            [None if isinstance(each, float) and not math.isfinite(each) else each for each in row]
            for row in trial.curve
        ]
        self.storage.set_trial_system_attr(self._trial_id(trial.number), CURVE, curve)


@contextmanager
def open_book(study: Study, space: Space, facts: Facts, shared: bool = False) -> Iterator[Book]:
    """The file of a study, for as long as the block lasts.

    Args:
        study: its folder.
        space: what is varied.
        facts: what the study is of, by section and name; must be the same whenever it is gone on with.
        shared: other processes may work on it at the same time.

    Raises:
        UserError: another process works on it; it is a study of something else; its file is damaged or locked.
    """
    if shared and study.database_file.exists():
        raise UserError(
            f"{str(study.folder)!r} is a study of one process", "leave out --shared, or begin another study"
        )
    shared = shared or study.journal_file.exists()
    file = study.journal_file if shared else study.database_file
    if study.trials_file.exists() and (not file.exists() or not file.stat().st_size):
        raise UserError(
            f"{str(file)!r} is lost, though trials.csv holds its trials", "restore it, or begin another study"
        )
    ensure_folder(study.folder)
    with ExitStack() as stack:
        lock = FileLock(study.database_file.with_suffix(".lock"))
        if not shared:
            try:
                stack.enter_context(lock.acquire(timeout=0))
            except Timeout:
                raise UserError(
                    f"another process works on the study {str(study.folder)!r}",
                    "wait until it ends, or give another --out; a study begun with --shared takes several",
                ) from None
        book = Book(study, space, facts, shared)
        try:
            if shared:
                stack.enter_context(FileLock(owner_file(study, book.owner)))
                stack.callback(owner_file(study, book.owner).unlink, missing_ok=True)
                with lock:  # one process at a time takes over
                    book.adopt()
            else:
                book.adopt()
            yield book
        finally:
            book.close()


def need_same(before: Facts, now: Facts, folder: Path) -> None:
    """Refuse to go on with a study of something else.

    Raises:
        UserError: the facts differ; the first difference is named.
    """
    now = json.loads(json.dumps(now))
    for section in {**before, **now}:
        old, new = before.get(section, {}), now.get(section, {})
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                values = f"{key} = {_shown(old.get(key))}, and now it is {_shown(new.get(key))}"
                said = f"other {key}" if section == "data" else values
                raise UserError(
                    f"the study {str(folder)!r} was begun with {said}",
                    "go on with what it was begun with, or give another --out",
                )


def record(frozen: FrozenTrial) -> Trial:
    """A trial as Optuna keeps it -> ours."""
    told = frozen.user_attrs
    rows = frozen.system_attrs.get(CURVE, [])
    curve = [cast(Epoch, tuple(math.nan if each is None else each for each in row)) for row in rows]
    return Trial(
        frozen.number,
        dict(frozen.params),
        told.get("role", "search"),
        told.get("state", STATES.get(frozen.state, "failed")),
        told.get("seconds", 0.0),
        told.get("stack", 0),
        told.get("why", ""),
        curve,
    )


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna has it."""
    if dimension.kind == "choice":
        return CategoricalDistribution([plain(each) for each in dimension.choices])
    assert dimension.low is not None and dimension.high is not None
    if dimension.kind == "int":
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def suggest(trial: optuna.Trial, key: str, own: BaseDistribution) -> None:
    """Let the sampler choose."""
    if isinstance(own, CategoricalDistribution):
        trial.suggest_categorical(key, own.choices)
    elif isinstance(own, IntDistribution):
        trial.suggest_int(key, own.low, own.high, log=own.log)
    else:
        assert isinstance(own, FloatDistribution)
        trial.suggest_float(key, own.low, own.high, log=own.log)


def _shown(value: Any) -> str:
    text = json.dumps(value) if value is not None else "nothing"
    return text if len(text) < 80 else f"{text[:77]}..."

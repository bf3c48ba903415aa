"""The storage of a study, in Optuna's format, so that its dashboard can open it.

Optuna writes SQLite one value at a time, which takes longer than an epoch of a head. So a study of one process is
kept in memory, and `TrialStore.write` writes the changes to ``study.db`` in one transaction per epoch; a killed
process loses nothing that was written. A study that several processes share is stored in Optuna's journal,
``study.journal``.
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
from coverslip.core.renamed import upgrade_study_facts, with_study_keys
from coverslip.core.runs import Study
from coverslip.core.storage import ensure_folder
from coverslip.tuning.database import Database, locked
from coverslip.tuning.journal import is_alive, open_journal, owner_file
from coverslip.tuning.keys import Plain, plain
from coverslip.tuning.space import Dimension, Space
from coverslip.tuning.tables import Epoch, Trial

NAME = "coverslip"  # name of the study in the file, and of the attribute that identifies it
CURVE = "coverslip:curve"
PATIENCE = 2.0  # seconds to wait for another program's lock; the write is repeated after the next epoch
JOURNAL_EVERY = 2.0  # seconds between two writes of a journal
STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
StudyFacts = Mapping[str, Mapping[str, Any]]
DATA_NAMES = {"images, in their parts": "images or splits"}  # stored name of a digest -> name in messages


class TrialStore:
    """The trials of an open study: proposes them, records their epochs, and writes them to the study's file.

    The words ask and tell are Optuna's: ``ask`` proposes a trial, ``tell`` records a result.

    Args:
        study: the study's folder.
        space: the search space.
        facts: what identifies the study, see `coverslip.tuning.search.study_facts`.
        shared: whether several processes work on the study.

    Attributes:
        study: Optuna's study.
        running: trial number -> trial, of the unfinished trials of this process.
    """

    def __init__(self, study: Study, space: Space, facts: StudyFacts, shared: bool) -> None:
        self.folder, self.space, self.shared = study, space, shared
        self.distributions = {dimension.key: distribution(dimension) for dimension in space.dimensions}
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
        """Number of trials so far, of all processes."""
        return len(self._frozen())

    @property
    def trials(self) -> list[Trial]:
        """All trials in order of their number."""
        trials = []
        for frozen in self._frozen():
            trial = self.running.get(frozen.number) or self._ended.get(frozen.number)
            if trial is None and frozen.state in STATES:
                trial = trial_of(frozen)
                if frozen.state.is_finished():
                    self._ended[frozen.number] = trial
            trials += [trial] if trial is not None else []
        return trials

    def ask(self, seed: int, default: Mapping[str, Plain]) -> Trial:
        """Return the next trial: the default first, then proposals of TPE.

        The proposals depend only on the seed and on the trials so far.

        Args:
            seed: random seed of the study.
            default: values of trial 0.
        """
        number = self.count
        self.study.sampler = optuna.samplers.TPESampler(seed=(seed * 1_000_003 + number) % 2**32)
        if number == 0:
            return self.add_trial(default, "default")
        proposal = self.study.ask()
        for key, values in self.distributions.items():
            suggest(proposal, key, values)
        return self._start(proposal.number, "search")

    def add_trial(self, values: Mapping[str, Plain], role: str) -> Trial:
        """Return a new trial with these values, which may lie outside their ranges."""
        number = self.study.ask().number
        for key, value in values.items():
            target = self.distributions[key]
            self.storage.set_trial_param(self._trial_id(number), key, target.to_internal_repr(value), target)
        return self._start(number, role)

    def _start(self, number: int, role: str) -> Trial:
        frozen = self.storage.get_trial(self._trial_id(number))
        trial = Trial(number, dict(frozen.params), role)
        if any(other.values == trial.values for other in self.trials if other.number < trial.number):
            trial.role = "repeat"
        self._attribute(trial.number, "role", trial.role)
        if self.shared:
            self._attribute(trial.number, "owner", self.owner)
        self.running[trial.number] = trial
        self._new.add(trial.number)
        return trial

    def tell(self, trial: Trial, row: Epoch) -> None:
        """Record an epoch of a running trial."""
        trial.curve.append(row)
        self.storage.set_trial_intermediate_value(self._trial_id(trial.number), row[0], row[3])
        self._new.add(trial.number)

    def end(self, trial: Trial, state: str, why: str = "") -> None:
        """End a trial with the state ``finished``, ``pruned`` or ``failed``.

        Failed trials are reported to Optuna as pruned: TPE ignores failures, and would propose similar values again.
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
        """Write the changes to the file; if another program keeps it locked, the next call repeats the write.

        Args:
            last: wait longer for the lock, and write a journal even if it is not due.
        """
        if self.shared and time.monotonic() - self._written < JOURNAL_EVERY and not last:
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
        """Write the last changes and close the file.

        Raises:
            UserError: another program keeps the file locked.
        """
        self.write(last=True)
        if self.database is not None:
            self.database.close()
            if self._new:
                raise locked(self.folder.database_file)

    def adopt(self) -> None:
        """Take over the unfinished trials of processes that have ended, into ``running``."""
        for frozen in self._frozen():
            if frozen.state != TrialState.RUNNING or frozen.number in self.running:
                continue
            if self.shared and is_alive(self.folder, frozen.user_attrs.get("owner", "")):
                continue
            self.running[frozen.number] = trial_of(frozen)
            if self.shared:
                self._attribute(frozen.number, "owner", self.owner)

    def _read(self, facts: StudyFacts) -> None:
        attributes = self.study.user_attrs
        if self.database is not None:
            attributes = self.database.attributes
            for trial in self.database.trials():
                self.storage.create_new_trial(self._id, with_current_names(trial))
        if NAME in attributes:
            require_same(upgrade_study_facts(attributes[NAME]), facts, self.folder.folder)
        else:
            (self.database or self.study).set_user_attr(NAME, facts)

    def _frozen(self) -> list[FrozenTrial]:
        return self.storage.get_all_trials(self._id, deepcopy=False)

    def _trial_id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._id, number)

    def _attribute(self, number: int, key: str, value: Any) -> None:
        self.storage.set_trial_user_attr(self._trial_id(number), key, value)

    def _write_attributes(self, trial: Trial) -> None:
        attributes = {"stack": trial.stack, "seconds": round(trial.seconds, 3), "why": trial.why}
        for key, value in attributes.items():
            self._attribute(trial.number, key, value)
        if trial.state == "failed":
            self._attribute(trial.number, "state", trial.state)
        curve = [
            [None if isinstance(value, float) and not math.isfinite(value) else value for value in row]
            for row in trial.curve
        ]
        self.storage.set_trial_system_attr(self._trial_id(trial.number), CURVE, curve)


@contextmanager
def open_store(study: Study, space: Space, facts: StudyFacts, shared: bool = False) -> Iterator[TrialStore]:
    """Open the file of a study for the duration of a ``with`` block.

    Args:
        study: the study's folder.
        space: the search space.
        facts: what identifies the study, by section and name; must be the same when it is resumed.
        shared: whether other processes may work on the study at the same time.

    Raises:
        UserError: another process works on the study, its facts differ, or its file is damaged or locked.
    """
    if shared and study.database_file.exists():
        raise UserError(f"{str(study.folder)!r} is a study of one process", "omit --shared, or start a new study")
    shared = shared or study.journal_file.exists()
    file = study.journal_file if shared else study.database_file
    if study.trials_file.exists() and (not file.exists() or not file.stat().st_size):
        raise UserError(
            f"{str(file)!r} is missing, but trials.csv contains its trials", "restore it, or start a new study"
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
                    "wait until it ends, or give another --out; only a study started with --shared allows several",
                ) from None
        store = TrialStore(study, space, facts, shared)
        try:
            if shared:
                stack.enter_context(FileLock(owner_file(study, store.owner)))
                stack.callback(owner_file(study, store.owner).unlink, missing_ok=True)
                with lock:  # only one process at a time may adopt trials
                    store.adopt()
            else:
                store.adopt()
            yield store
        finally:
            store.close()


def require_same(before: StudyFacts, now: StudyFacts, folder: Path) -> None:
    """Refuse to resume a study with other images, another space or other settings.

    Raises:
        UserError: the facts differ; the message names the first difference.
    """
    now = json.loads(json.dumps(now))
    for section in {**before, **now}:
        old, new = before.get(section, {}), now.get(section, {})
        for key in {**old, **new}:
            if old.get(key) != new.get(key):
                values = f"{key} = {_text(old.get(key))}, now it is {_text(new.get(key))}"
                difference = f"other {DATA_NAMES.get(key, key)}" if section == "data" else values
                raise UserError(
                    f"the study {str(folder)!r} was started with {difference}",
                    "resume it with the original data and settings, or give another --out",
                )


def with_current_names(trial: FrozenTrial) -> FrozenTrial:
    """Rename the parameters of a trial of version 0.1 to the current names of settings."""
    distributions = with_study_keys(trial.distributions)
    if list(distributions) != list(trial.distributions):
        trial.params, trial.distributions = with_study_keys(trial.params), distributions
    return trial


def trial_of(frozen: FrozenTrial) -> Trial:
    """Return a trial from Optuna's record of it."""
    attributes = frozen.user_attrs
    rows = frozen.system_attrs.get(CURVE, [])
    curve = [cast(Epoch, tuple(math.nan if value is None else value for value in row)) for row in rows]
    return Trial(
        frozen.number,
        with_study_keys(frozen.params),
        attributes.get("role", "search"),
        attributes.get("state", STATES.get(frozen.state, "failed")),
        attributes.get("seconds", 0.0),
        attributes.get("stack", 0),
        attributes.get("why", ""),
        curve,
    )


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return a dimension as a distribution of Optuna."""
    if dimension.kind == "choice":
        return CategoricalDistribution([plain(choice) for choice in dimension.choices])
    assert dimension.low is not None and dimension.high is not None
    if dimension.kind == "int":
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def suggest(trial: optuna.Trial, key: str, values: BaseDistribution) -> None:
    """Let the sampler choose the value of a setting."""
    if isinstance(values, CategoricalDistribution):
        trial.suggest_categorical(key, values.choices)
    elif isinstance(values, IntDistribution):
        trial.suggest_int(key, values.low, values.high, log=values.log)
    else:
        assert isinstance(values, FloatDistribution)
        trial.suggest_float(key, values.low, values.high, log=values.log)


def _text(value: Any) -> str:
    text = json.dumps(value) if value is not None else "nothing"
    return text if len(text) < 80 else f"{text[:77]}..."

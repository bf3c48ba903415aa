"""Optuna's SQLite file, read by Optuna and written in bulk: what is new of many trials in one transaction."""

from __future__ import annotations

import datetime
import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial

from coverslip.core.errors import UserError
from coverslip.core.storage import is_full_disk

# Values and parameters are never changed once they are there; attributes are.
TRIALS = """INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (trial_id)
    DO UPDATE SET state = excluded.state, datetime_complete = excluded.datetime_complete"""
PARAMS = "INSERT OR IGNORE INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)"
VALUES = "INSERT OR IGNORE INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, ?)"
STEPS = """INSERT OR IGNORE INTO trial_intermediate_values
    (trial_id, step, intermediate_value, intermediate_value_type) VALUES (?, ?, ?, ?)"""
ATTRIBUTES = """INSERT INTO trial_{kind}_attributes (trial_id, key, value_json) VALUES (?, ?, ?)
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"""


class Database:
    """A file of one study, ``name``, made where there is none.

    Raises:
        UserError: it is damaged, locked by another program, or cannot be written.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        with explained(path):
            if path.exists() and not path.stat().st_size:
                path.unlink()  # made and never written
            self.connection = sqlite3.connect(path, isolation_level=None)
            try:
                self._prepare(name)
            except BaseException:
                self.connection.close()
                raise

    def trials(self) -> list[FrozenTrial]:
        """Every trial, by number."""
        with explained(self.path):
            return self.storage.get_all_trials(self.id, deepcopy=False)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Note something about the study."""
        with explained(self.path):
            self.storage.set_study_user_attr(self.id, key, value)

    def write(self, trials: Sequence[FrozenTrial], patience: float) -> bool:
        """Bring trials up to date; False where another program has the file locked for more than so many seconds."""
        rows = [_rows(self.id, trial) for trial in trials]
        statements = [TRIALS, PARAMS, VALUES, STEPS, *(ATTRIBUTES.format(kind=kind) for kind in ("user", "system"))]
        with explained(self.path):
            self.connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    return False
                raise
            try:
                for place, statement in enumerate(statements):
                    self.connection.executemany(statement, [row for each in rows for row in each[place]])
                self.connection.execute("COMMIT")
            except BaseException:
                self.connection.rollback()
                raise
        return True

    def _prepare(self, name: str) -> None:
        (found,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        # No waiting for the disk at each transaction; what a power cut may cost is the last seconds, not the file.
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        # In an address, "?" would end the path and braces would be filled in; so it is opened here, by its exact path.
        path = self.path.absolute()
        opened = {"creator": lambda: sqlite3.connect(path, check_same_thread=False)}
        self.storage = optuna.storages.RDBStorage("sqlite:///study.db", opened)
        study = optuna.create_study(storage=self.storage, study_name=name, load_if_exists=True)
        self.attributes: dict[str, Any] = study.user_attrs
        self.id = self.storage.get_study_id_from_name(name)

    def close(self) -> None:
        """One plain file again, which can be copied."""
        self.storage.remove_session()
        self.storage.engine.dispose()
        with suppress(sqlite3.OperationalError):  # a reader, such as optuna-dashboard, still has it open
            self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of the file in words."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (sqlite3.Error, SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, OSError) as error:
        text = str(error.__cause__ or error).partition("\n")[0]
        if "locked" in text:
            raise locked(path) from error
        if is_full_disk(error) or "disk is full" in text:
            fix = "free some space, then go on with --resume"
            raise UserError(f"the disk that holds {str(path)!r} became full", fix) from error
        if isinstance(error, RuntimeError) and "optuna" in text:
            fix = "go on with the version of Optuna that wrote it, or give another --out"
            raise UserError(f"{str(path)!r} is of another version of Optuna", fix) from error
        if "readonly" in text or "unable to open" in text or isinstance(error, OSError):
            raise UserError(
                f"{str(path)!r} cannot be written: {text}", "give a folder that can: --out FOLDER"
            ) from error
        fix = "restore it, or begin another study; trials.csv beside it holds what was found so far"
        raise UserError(f"{str(path)!r} is damaged: {text}", fix) from error


def locked(path: Path) -> UserError:
    """Another program has the file."""
    fix = "close what has it open (a database browser?), then go on with --resume"
    return UserError(f"{str(path)!r} is locked by another program", fix)


def _rows(study: int, trial: FrozenTrial) -> list[list[tuple[Any, ...]]]:
    """The rows of one trial for each of the tables."""
    own = trial.number + 1
    times = (_utc(trial.datetime_start), _utc(trial.datetime_complete))
    params = [
        (own, name, trial.distributions[name].to_internal_repr(value), distribution_to_json(trial.distributions[name]))
        for name, value in trial.params.items()
    ]
    attributes = [[(own, *each) for each in _texts(found)] for found in (trial.user_attrs, trial.system_attrs)]
    return [
        [(own, trial.number, study, trial.state.name, *times)],
        params,
        [] if trial.values is None else [(own, *_number(trial.values[0]))],
        [(own, step, *_number(value)) for step, value in trial.intermediate_values.items()],
        *attributes,
    ]


def _texts(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, json.dumps(value)) for key, value in attributes.items()]


def _number(value: float) -> tuple[float | None, str]:
    """As Optuna stores a number: SQLite has no word for infinity."""
    if math.isfinite(value):
        return value, "FINITE"
    return None, "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"


def _utc(moment: datetime.datetime | None) -> str | None:
    """Local time -> what SQLAlchemy writes for it, in UTC."""
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

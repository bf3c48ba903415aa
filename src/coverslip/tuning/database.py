"""Optuna's SQLite file, read by Optuna and written in bulk: the updates of many trials in one transaction."""

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

# Values and parameters are written once; attributes change.
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
    """The SQLite file of one study; created if it does not exist.

    Args:
        path: path of the file.
        name: name of the study in it.

    Raises:
        UserError: the file is damaged, locked by another program, or cannot be written.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        with explained(path):
            if path.exists() and not path.stat().st_size:
                path.unlink()  # created and never written
            self.connection = sqlite3.connect(path, isolation_level=None)
            try:
                self._prepare(name)
            except BaseException:
                self.connection.close()
                raise

    def trials(self) -> list[FrozenTrial]:
        """Return all trials in order of their number."""
        with explained(self.path):
            return self.storage.get_all_trials(self.id, deepcopy=False)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Store an attribute of the study."""
        with explained(self.path):
            self.storage.set_study_user_attr(self.id, key, value)

    def write(self, trials: Sequence[FrozenTrial], patience: float) -> bool:
        """Write the current state of trials.

        Args:
            trials: the trials to insert or update.
            patience: seconds to wait for another program's lock.

        Returns:
            False if the file stayed locked and nothing was written.
        """
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
                for table, statement in enumerate(statements):
                    self.connection.executemany(statement, [row for tables in rows for row in tables[table]])
                self.connection.execute("COMMIT")
            except BaseException:
                self.connection.rollback()
                raise
        return True

    def _prepare(self, name: str) -> None:
        (result,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(result)
        # Do not wait for the disk at each transaction: a power failure may lose the last seconds, never the file.
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        # In a URL, "?" would end the path and braces would be substituted; so the file is opened here by its path.
        path = self.path.absolute()
        opened = {"creator": lambda: sqlite3.connect(path, check_same_thread=False)}
        self.storage = optuna.storages.RDBStorage("sqlite:///study.db", opened)
        study = optuna.create_study(storage=self.storage, study_name=name, load_if_exists=True)
        self.attributes: dict[str, Any] = study.user_attrs
        self.id = self.storage.get_study_id_from_name(name)

    def close(self) -> None:
        """Close the file and merge its write-ahead log, so that the single file can be copied."""
        self.storage.remove_session()
        self.storage.engine.dispose()
        with suppress(sqlite3.OperationalError):  # a reader such as optuna-dashboard still has it open
            self.connection.execute("PRAGMA journal_mode = DELETE")
        self.connection.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and Optuna into a `UserError`."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (sqlite3.Error, SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, OSError) as error:
        text = str(error.__cause__ or error).partition("\n")[0]
        if "locked" in text:
            raise locked(path) from error
        if is_full_disk(error) or "disk is full" in text:
            fix = "free some space, then resume with --resume"
            raise UserError(f"the disk is full: cannot write {str(path)!r}", fix) from error
        if isinstance(error, RuntimeError) and "optuna" in text:
            fix = "use the version of Optuna that wrote it, or give another --out"
            raise UserError(f"{str(path)!r} was written by another version of Optuna", fix) from error
        if "readonly" in text or "unable to open" in text or isinstance(error, OSError):
            raise UserError(f"cannot write {str(path)!r}: {text}", "give a writable folder: --out FOLDER") from error
        fix = "restore the file, or start a new study; trials.csv next to it contains the results so far"
        raise UserError(f"{str(path)!r} is damaged: {text}", fix) from error


def locked(path: Path) -> UserError:
    """Return the error for a file that another program keeps locked."""
    fix = "close the program that has it open (a database browser?), then resume with --resume"
    return UserError(f"{str(path)!r} is locked by another program", fix)


def _rows(study: int, trial: FrozenTrial) -> list[list[tuple[Any, ...]]]:
    """Return the rows of one trial for each of the six statements."""
    trial_id = trial.number + 1
    times = (_utc(trial.datetime_start), _utc(trial.datetime_complete))
    params = [
        (
            trial_id,
            name,
            trial.distributions[name].to_internal_repr(value),
            distribution_to_json(trial.distributions[name]),
        )
        for name, value in trial.params.items()
    ]
    attributes = [
        [(trial_id, *pair) for pair in _json_pairs(values)] for values in (trial.user_attrs, trial.system_attrs)
    ]
    return [
        [(trial_id, trial.number, study, trial.state.name, *times)],
        params,
        [] if trial.values is None else [(trial_id, *_number(trial.values[0]))],
        [(trial_id, step, *_number(value)) for step, value in trial.intermediate_values.items()],
        *attributes,
    ]


def _json_pairs(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key, json.dumps(value)) for key, value in attributes.items()]


def _number(value: float) -> tuple[float | None, str]:
    """Return a number as Optuna stores it, since SQLite has no infinity."""
    if math.isfinite(value):
        return value, "FINITE"
    return None, "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"


def _utc(moment: datetime.datetime | None) -> str | None:
    """Return a local time in UTC, in the format of SQLAlchemy."""
    if moment is None:
        return None
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

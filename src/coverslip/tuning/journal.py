"""Optuna's journal, the storage of a study that several processes share."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock, JournalStorage

from coverslip.core.errors import UserError
from coverslip.core.runs import Study


def open_journal(path: Path) -> JournalStorage:
    """Open the journal, or create it; an incomplete last line, left by a killed process, is removed.

    Raises:
        UserError: the file is damaged elsewhere.
    """
    backend = JournalFileBackend(str(path))
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()
    try:
        return JournalStorage(backend)
    except (ValueError, KeyError) as error:
        fix = "restore the file, or start a new study; trials.csv next to it contains the results so far"
        raise UserError(f"{str(path)!r} is damaged: {error}", fix) from error


def owner_file(study: Study, owner: str) -> Path:
    """Return the file that the process ``owner`` keeps locked while it runs."""
    return study.journal_file.with_suffix(f".{owner}.lock")


def is_alive(study: Study, owner: str) -> bool:
    """Return whether the process ``owner`` still holds its lock."""
    file = owner_file(study, owner)
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True

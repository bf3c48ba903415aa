"""Optuna's journal: the file of a study that several processes share."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock, JournalStorage

from coverslip.core.errors import UserError
from coverslip.core.runs import Study


def open_journal(path: Path) -> JournalStorage:
    """The journal, made where there is none; half a line, which a killed process left at its end, is cut off.

    Raises:
        UserError: it is damaged otherwise.
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
        fix = "restore it, or begin another study; trials.csv beside it holds what was found so far"
        raise UserError(f"{str(path)!r} is damaged: {error}", fix) from error


def owner_file(study: Study, owner: str) -> Path:
    """Locked for as long as the process that trains under this name lives."""
    return study.journal_file.with_suffix(f".{owner}.lock")


def is_alive(study: Study, owner: str) -> bool:
    """Whether the process that trains under this name still holds its lock."""
    file = owner_file(study, owner)
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True

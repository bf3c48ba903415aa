"""The notebooks shipped with the package, and copies of them that never overwrite a learner's work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.storage import ensure_folder, write_text
from coverslip.course.notebooks import ANSWERS, edition
from coverslip.course.tasks import FOLDER, course_folder


@dataclass(frozen=True)
class Entry:
    """One lesson as it is shipped.

    Attributes:
        path: notebook in the package.
        number: number of the lesson.
        title: title of the lesson.
        minutes: planned duration.
        needs: extras required in addition to ``course``.
        tasks: task number -> goal of the task in one line.
    """

    path: Path
    number: int
    title: str
    minutes: int
    needs: tuple[str, ...]
    tasks: dict[str, str]


@dataclass(frozen=True)
class Copy:
    """Outcome of copying one notebook.

    Attributes:
        path: the copy.
        status: ``new``, ``same``, ``updated``, ``kept`` (it contains a learner's work) or ``beside`` (a newer edition
            was written next to a learner's work).
    """

    path: Path
    status: str


def lessons() -> list[Entry]:
    """Return all shipped lessons, sorted by number.

    Raises:
        UserError: the course folder contains no lesson.
    """
    entries = []
    for path in course_folder().glob("[0-9]*_*.ipynb"):
        about = json.loads(path.read_text(encoding="utf-8"))["metadata"]["coverslip"]
        entries.append(
            Entry(path, about["lesson"], about["title"], about["minutes"], tuple(about["needs"]), dict(about["tasks"]))
        )
    if not entries:
        raise UserError(f"no lesson in {str(course_folder())!r}", f"set {FOLDER} to a folder of lessons, or unset it")
    return sorted(entries, key=lambda entry: entry.number)


def lesson(number: int) -> Entry:
    """Return the lesson with this number.

    Raises:
        UserError: there is no lesson with this number.
    """
    by_number = {entry.number: entry for entry in lessons()}
    if number not in by_number:
        raise UserError(f"there is no lesson {number}", f"choose from {min(by_number)} to {max(by_number)}")
    return by_number[number]


def copy_lessons(folder: Path) -> list[Copy]:
    """Copy all learners' notebooks into a folder without overwriting a learner's work.

    An unchanged copy is replaced by a newer edition. A changed copy is kept, and the newer edition is written next to
    it as ``...-new.ipynb``.

    Raises:
        UserError: the folder is a file or cannot be written to.
    """
    _make_folder(folder)
    return [copy_notebook(entry.path, folder / entry.path.name) for entry in lessons()]


def copy_answers(number: int, folder: Path) -> Copy:
    """Copy the notebook with the answers of a lesson into a folder as ``...-answers.ipynb``.

    Raises:
        UserError: the lesson does not exist, or the folder cannot be written to.
    """
    entry = lesson(number)
    _make_folder(folder)
    source = entry.path.parent / ANSWERS / entry.path.name
    return copy_notebook(source, folder / f"{entry.path.stem}-answers.ipynb")


def copy_notebook(source: Path, target: Path) -> Copy:
    """Copy one notebook; a learner's work is kept as described in `copy_lessons`."""
    text = source.read_text(encoding="utf-8")
    newest = json.loads(text)["metadata"]["coverslip"]["edition"]
    for path in _candidate_paths(target):
        status = _status(path, newest)
        if status in ("new", "updated"):
            _write(path, text)
        if path != target and status == "new":
            return Copy(path, "beside")
        if status != "other":
            return Copy(path, status)
    raise AssertionError("the candidate paths are endless, so that one of them is free")


def has_lessons(folder: Path) -> bool:
    """Return whether a folder contains copies of lessons."""
    return any((folder / entry.path.name).is_file() for entry in lessons())


def _status(path: Path, newest: str) -> str:
    """Return what is at a path.

    ``new``: nothing; ``same``: the newest edition, unchanged; ``kept``: the newest edition with a learner's work;
    ``updated``: an older edition, unchanged, which may be replaced; ``other``: anything else, such as a learner's work
    on an older edition.
    """
    if not path.exists() and not path.is_symlink():
        return "new"
    try:
        notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        recorded = notebook["metadata"]["coverslip"]["edition"]
        changed = edition(notebook["cells"]) != recorded or any(cell.get("outputs") for cell in notebook["cells"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "other"
    if recorded == newest:
        return "kept" if changed else "same"
    return "other" if changed else "updated"


def _candidate_paths(target: Path) -> Iterator[Path]:
    yield target
    yield target.with_name(f"{target.stem}-new{target.suffix}")
    number = 2
    while True:
        yield target.with_name(f"{target.stem}-new-{number}{target.suffix}")
        number += 1


def _make_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{str(folder)!r} is a file", "give a folder for the course; it may be new or existing")
    ensure_folder(folder)


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(
            f"cannot write {str(path)!r}: {error.strerror}", "choose another folder: coverslip course FOLDER"
        ) from error

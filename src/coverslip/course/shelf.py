"""The notebooks that came with the package: what lessons there are, and copies of them that spare a learner's work."""

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
        path: of its notebook in the package.
        number: of the lesson.
        title: of the lesson.
        minutes: it takes a class.
        needs: extras beyond ``course``.
        tasks: number -> what is wanted, in one line.
    """

    path: Path
    number: int
    title: str
    minutes: int
    needs: tuple[str, ...]
    tasks: dict[str, str]


@dataclass(frozen=True)
class Copy:
    """What became of one notebook: ``new``, ``same``, ``updated``, ``kept`` (a learner's work), ``beside``."""

    path: Path
    what: str


def lessons() -> list[Entry]:
    """All lessons that came with the package, by number."""
    found = []
    for path in course_folder().glob("[0-9]*_*.ipynb"):
        told = json.loads(path.read_text(encoding="utf-8"))["metadata"]["coverslip"]
        found.append(
            Entry(path, told["lesson"], told["title"], told["minutes"], tuple(told["needs"]), dict(told["tasks"]))
        )
    if not found:
        raise UserError(f"no lesson lies in {str(course_folder())!r}", f"name a folder of lessons, or unset {FOLDER}")
    return sorted(found, key=lambda entry: entry.number)


def lesson(number: int) -> Entry:
    """One lesson.

    Raises:
        UserError: there is none of this number.
    """
    known = {entry.number: entry for entry in lessons()}
    if number not in known:
        raise UserError(f"there is no lesson {number}", f"choose from {min(known)} to {max(known)}")
    return known[number]


def copy_lessons(folder: Path) -> list[Copy]:
    """Copy all learners' notebooks into a folder, and never over what a learner wrote.

    A copy that nobody changed is replaced by a newer edition; a changed one is kept, and the newer edition is put
    beside it under the name ``...-new.ipynb``.

    Raises:
        UserError: the folder is a file or cannot be written to.
    """
    _make(folder)
    return [copy_notebook(entry.path, folder / entry.path.name) for entry in lessons()]


def copy_answers(number: int, folder: Path) -> Copy:
    """Put the notebook with the answers of a lesson beside the learner's: ``...-answers.ipynb``.

    Raises:
        UserError: no such lesson, or a folder that cannot be written to.
    """
    entry = lesson(number)
    _make(folder)
    source = entry.path.parent / ANSWERS / entry.path.name
    return copy_notebook(source, folder / f"{entry.path.stem}-answers.ipynb")


def copy_notebook(source: Path, target: Path) -> Copy:
    """Copy one notebook by the rule of `copy_lessons`."""
    text = source.read_text(encoding="utf-8")
    newest = json.loads(text)["metadata"]["coverslip"]["edition"]
    for place in _places(target):
        state = _state(place, newest)
        if state in ("new", "updated"):
            _write(place, text)
        if place != target and state == "new":
            return Copy(place, "beside")
        if state != "other":
            return Copy(place, state)
    raise AssertionError("there is always a name that is free")


def has_lessons(folder: Path) -> bool:
    """Whether a folder holds copies of lessons."""
    return any((folder / entry.path.name).is_file() for entry in lessons())


def _state(path: Path, newest: str) -> str:
    """What is at a place: nothing (new), this edition, untouched (same) or worked on (kept), an older one that nobody
    touched (updated), or a learner's work on another edition (other)."""
    if not path.exists() and not path.is_symlink():
        return "new"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        own = found["metadata"]["coverslip"]["edition"]
        touched = edition(found["cells"]) != own or any(cell.get("outputs") for cell in found["cells"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "other"
    if own == newest:
        return "kept" if touched else "same"
    return "other" if touched else "updated"


def _places(target: Path) -> Iterator[Path]:
    yield target
    yield target.with_name(f"{target.stem}-new{target.suffix}")
    number = 2
    while True:
        yield target.with_name(f"{target.stem}-new-{number}{target.suffix}")
        number += 1


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{str(folder)!r} is a file", "name a folder for the course, new or old")
    ensure_folder(folder)


def _write(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(
            f"cannot write {str(path)!r}: {error.strerror}", "choose another folder: coverslip course FOLDER"
        ) from error

"""A learner's progress, kept in a file next to the notebooks."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.storage import digest, locked, write_text

FILE = ".coverslip-course.json"


@dataclass
class CourseProgress:
    """Progress in the tasks of the course.

    Attributes:
        tries: task number -> tries since the task was last solved.
        solved: numbers of the solved tasks; a solved task stays solved.
    """

    tries: dict[str, int] = field(default_factory=dict)
    solved: list[str] = field(default_factory=list)


def read_progress(folder: Path) -> CourseProgress:
    """Read the progress of a folder; a missing or damaged file counts as no progress."""
    try:
        stored: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        tries = {str(task): int(count) for task, count in stored["tries"].items()}
        return CourseProgress(tries, [str(task) for task in stored["solved"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return CourseProgress()


def note_try(folder: Path, task: str, passed: bool) -> int:
    """Record one try of a task and return the number of tries since the task was last solved, counted from 1.

    Two notebooks may record at the same time. In a read-only folder nothing is stored, and the check still works.
    """
    with suppress(OSError, UserError), locked("course", digest(str(folder.absolute()))):
        return _note(folder, task, passed)
    return _note(folder, task, passed)


def _note(folder: Path, task: str, passed: bool) -> int:
    progress = read_progress(folder)
    count = progress.tries.get(task, 0) + 1
    progress.tries[task] = 0 if passed else count  # later tries of a solved task start with the first hint again
    if passed and task not in progress.solved:
        progress.solved.append(task)
    stored = {"tries": progress.tries, "solved": progress.solved}
    with suppress(OSError, UserError):
        write_text(folder / FILE, json.dumps(stored, indent=1) + "\n")
    return count

"""What a learner has solved, in a file beside the notebooks that survives whatever happens to it."""

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
    """How often each task was tried since it was last solved, and which are solved: once solved they stay so."""

    tries: dict[str, int] = field(default_factory=dict)
    solved: list[str] = field(default_factory=list)


def read_progress(folder: Path) -> CourseProgress:
    """What the file says; nothing tried and nothing solved where there is none, or where it is broken."""
    try:
        told: Any = json.loads((folder / FILE).read_text(encoding="utf-8"))
        tries = {str(task): int(count) for task, count in told["tries"].items()}
        return CourseProgress(tries, [str(task) for task in told["solved"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return CourseProgress()


def note_try(folder: Path, task: str, passed: bool) -> int:
    """Count one try of a task; returns which one it is since the task was last solved, from 1.

    Two notebooks may do so at once. In a folder that cannot be written to nothing is kept, and learning goes on.
    """
    with suppress(OSError, UserError), locked("course", digest(str(folder.absolute()))):
        return _note(folder, task, passed)
    return _note(folder, task, passed)


def _note(folder: Path, task: str, passed: bool) -> int:
    progress = read_progress(folder)
    count = progress.tries.get(task, 0) + 1
    progress.tries[task] = 0 if passed else count  # who solved it and tries on begins with the first hint again
    if passed and task not in progress.solved:
        progress.solved.append(task)
    told = {"tries": progress.tries, "solved": progress.solved}
    with suppress(OSError, UserError):
        write_text(folder / FILE, json.dumps(told, indent=1) + "\n")
    return count

"""The tasks of the lessons and the modules that grade them."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.registry import nearest

FOLDER = "COVERSLIP_COURSE"  # environment variable: another folder of lessons, for authors
CHECKS = "checks"  # folder of the modules that grade tasks, inside the course folder


@dataclass(frozen=True)
class Task:
    """One task of a lesson.

    Attributes:
        number: number of the lesson and of the task in it, such as "1.2".
        grade: function of the learner's answers; returns a message on what is not right yet, or `Passed`, or None if
            the answer is correct.
        hints: hints, from the gentlest to the strongest.
    """

    number: str
    grade: Callable[..., Any]
    hints: tuple[str, ...]

    @property
    def goal(self) -> str:
        """Goal of the task in one line."""
        return (self.grade.__doc__ or "").strip().partition("\n")[0]


def course_folder() -> Path:
    """Return the folder of the course's notebooks and checks."""
    return expand(os.environ.get(FOLDER) or Path(__file__).with_name("lessons"))


def task_file(number: str) -> str:
    """Return the file name of the module that grades a task.

    >>> task_file("1.2")
    'task_1_2.py'
    """
    return f"task_{number.replace('.', '_')}.py"


def task_numbers() -> list[str]:
    """Return the numbers of all tasks, in order."""
    matches = [re.fullmatch(r"task_(\d+)_(\d+)\.py", path.name) for path in (course_folder() / CHECKS).glob("*.py")]
    return [f"{lesson}.{task}" for lesson, task in sorted((int(found[1]), int(found[2])) for found in matches if found)]


def load_task(number: str, folder: Path | None = None) -> Task:
    """Load a task with its hints.

    Args:
        number: number of the task, such as "1.2".
        folder: folder of the lessons; by default `course_folder`.

    Raises:
        UserError: there is no task with this number.
    """
    path = (folder or course_folder()) / CHECKS / task_file(number)
    if not re.fullmatch(r"\d+\.\d+", number) or not path.is_file():
        raise UserError(f"there is no task {number!r}", nearest(number, task_numbers()))
    spec = importlib.util.spec_from_file_location(f"coverslip_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Task(number, module.grade, tuple(module.HINTS))

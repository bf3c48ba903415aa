"""The checks of the lessons: where they lie, and what each holds."""

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

FOLDER = "COVERSLIP_COURSE"  # an environment variable: another folder of lessons, for who writes them
CHECKS = "checks"  # below that folder


@dataclass(frozen=True)
class Task:
    """One task of a lesson.

    Attributes:
        number: lesson and place, such as "1.2".
        judge: takes the learner's answers; returns a sentence on what is not right yet, or `Passed`, or None.
        hints: from the gentlest to the one that nearly gives it away.
    """

    number: str
    judge: Callable[..., Any]
    hints: tuple[str, ...]

    @property
    def wanted(self) -> str:
        """What is asked for, in one line."""
        return (self.judge.__doc__ or "").strip().partition("\n")[0]


def course_folder() -> Path:
    """Where the notebooks and checks of the course lie."""
    return expand(os.environ.get(FOLDER) or Path(__file__).with_name("lessons"))


def task_file(number: str) -> str:
    """The name of the module that checks a task.

    >>> task_file("1.2")
    'task_1_2.py'
    """
    return f"task_{number.replace('.', '_')}.py"


def task_numbers() -> list[str]:
    """The numbers of all tasks, in order."""
    names = [re.fullmatch(r"task_(\d+)_(\d+)\.py", path.name) for path in (course_folder() / CHECKS).glob("*.py")]
    return [f"{lesson}.{place}" for lesson, place in sorted((int(name[1]), int(name[2])) for name in names if name)]


def load_task(number: str, folder: Path | None = None) -> Task:
    """The check of a task.

    Args:
        number: of the task, such as "1.2".
        folder: of the lessons; `course_folder` without.

    Raises:
        UserError: there is no such task.
    """
    path = (folder or course_folder()) / CHECKS / task_file(number)
    if not re.fullmatch(r"\d+\.\d+", number) or not path.is_file():
        raise UserError(f"there is no task {number!r}", nearest(number, task_numbers()))
    spec = importlib.util.spec_from_file_location(f"coverslip_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Task(number, module.judge, tuple(module.HINTS))

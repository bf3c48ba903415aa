"""Reader of lesson sources: one Python file per lesson in jupytext's percent format, with a role for each cell.

After the front matter (title, number, minutes, needs) come the cells. A cell without a role is in both notebooks::

    # %% [markdown] task="1.2"      the task in words
    # %% task="1.2"                 the cell as learners get it: `...` where the answer goes, then check("1.2", answer)
    # %% solution="1.2"             replaces the task's code cell in the notebook with answers
    # %% wrong="1.2" says="biases"  a plausible mistake, in no notebook: the check must fail with this in its message
    # %% check="1.2"                HINTS, and grade(answer), which returns what is wrong, Passed(...) or None
    # %% check="shared"             code that precedes every check of the lesson
    # %% [markdown] teacher="1.2"   for TEACHING.md only; without a number it is about the whole lesson
    # %% [markdown] slide           a key sentence, also for the slides, with the figure of the code cell after it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError, optional
from coverslip.core.registry import nearest

ROLES = ("task", "solution", "wrong", "check", "teacher", "slide")
HIDDEN = ("wrong", "check", "teacher")  # roles of cells that are in no notebook
SHARED = "shared"  # a check cell of this name precedes every check of the lesson


@dataclass(frozen=True)
class Cell:
    """One cell of a lesson.

    Attributes:
        source: text of the cell; markdown without its comment signs.
        code: True for code, False for markdown.
        role: one of `ROLES`, or "" for a cell of every notebook.
        task: number of the task the cell belongs to, or "".
        says: for a wrong answer, text that the message of the check must contain.
        line: first line of the cell in the lesson's file, counted from 1.
    """

    source: str
    code: bool
    role: str = ""
    task: str = ""
    says: str = ""
    line: int = 0


@dataclass(frozen=True)
class Lesson:
    """A lesson: its front matter and its cells in order."""

    path: Path
    number: int
    title: str
    minutes: int
    needs: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Numbers of the lesson's tasks, in order."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells if cell.role == "check" and cell.task != SHARED))

    def of(self, role: str, task: str = "") -> tuple[Cell, ...]:
        """Return the cells of a role, for one task or for all ("")."""
        return tuple(cell for cell in self.cells if cell.role == role and task in ("", cell.task))


def read_lesson(path: Path) -> Lesson:
    """Read a lesson and validate its format.

    Raises:
        UserError: a role is unknown, a task lacks its check, solution or hints, or the front matter is incomplete; the
            message contains the place in the file.
    """
    jupytext = optional("jupytext", "dev")
    yaml = optional("yaml", "dev")
    text = path.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    cells = notebook.cells
    if not cells or cells[0].cell_type != "raw":
        raise UserError(f"{path.name} has no front matter", "start with '# ---', '# title: ...', '# number: ...'")
    front = yaml.safe_load(cells[0].source.strip().strip("-"))
    for key in ("title", "number", "minutes"):
        if key not in front:
            raise UserError(f"the front matter of {path.name} lacks {key!r}", f"add '# {key}: ...'")
    lines = _first_lines(text)
    parsed = tuple(_parse_cell(path, cell, line) for cell, line in zip(cells[1:], lines, strict=True))
    lesson = Lesson(
        path=path,
        number=int(front["number"]),
        title=str(front["title"]),
        minutes=int(front["minutes"]),
        needs=tuple(front.get("needs") or ()),
        cells=tuple(cell for cell in parsed if cell.source.strip()),
    )
    _validate(lesson)
    return lesson


def read_lessons(folder: Path) -> list[Lesson]:
    """Read all lessons of a folder, sorted by number.

    Raises:
        UserError: the folder contains no lesson, or a lesson is invalid.
    """
    lessons = sorted((read_lesson(path) for path in sorted(folder.glob("[0-9]*_*.py"))), key=lambda item: item.number)
    if not lessons:
        raise UserError(f"no lesson in {str(folder)!r}", "name the lessons NN_name.py")
    return lessons


def _first_lines(text: str) -> Iterator[int]:
    return (number for number, line in enumerate(text.splitlines(), 1) if re.match(r"# %%(\s|$)", line))


def _parse_cell(path: Path, cell: Any, line: int) -> Cell:
    metadata = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
    if metadata.get("title") in ROLES:  # jupytext reads a role without a value as the cell's title
        metadata[metadata.pop("title")] = ""
    says = metadata.pop("says", "")
    if not metadata:
        return Cell(cell.source, cell.cell_type == "code", line=line)
    role, task = next(iter(metadata.items()))
    if len(metadata) > 1 or role not in ROLES:
        raise UserError(f"{path.name}, line {line}: a cell cannot have the role {metadata}", nearest(role, ROLES))
    if role in ("task", "solution", "wrong", "check") and not task:
        raise UserError(f"{path.name}, line {line}: {role} has no task number", f'write {role}="1.2"')
    if role == "wrong" and not says:
        raise UserError(f"{path.name}, line {line}: this wrong answer has no 'says'", 'add says="..."')
    return Cell(cell.source, cell.cell_type == "code", role, str(task), str(says), line)


def _validate(lesson: Lesson) -> None:
    """Check that each task is complete and that every cell belongs to a task of this lesson."""
    name = lesson.path.name
    for cell in lesson.cells:
        known = cell.task in (*lesson.tasks, SHARED)
        if cell.role in ("task", "solution", "wrong") and not known:
            fix = nearest(cell.task, lesson.tasks) if lesson.tasks else f'add a cell # %% check="{cell.task}"'
            raise UserError(f"{name}, line {cell.line}: task {cell.task!r} has no check", fix)
    for task in lesson.tasks:
        if not re.fullmatch(rf"{lesson.number}\.\d+", task):
            raise UserError(
                f"{name}: task {task!r} does not belong to lesson {lesson.number}", f"number it {lesson.number}.N"
            )
        if not any(cell.code for cell in lesson.of("task", task)):
            raise UserError(f"{name}: task {task} has no code cell for the learner", f'add # %% task="{task}"')
        if not lesson.of("solution", task):
            raise UserError(f"{name}: task {task} has no solution", f'add # %% solution="{task}"')
        source = "\n".join(cell.source for cell in lesson.of("check", task))
        if "HINTS" not in source or "def grade(" not in source:
            raise UserError(f"{name}: the check of task {task} lacks HINTS or grade", "define both in its check cell")

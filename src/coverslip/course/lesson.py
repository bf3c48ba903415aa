"""A lesson as it is written: one Python file in jupytext's percent format, read into cells with their roles.

After the front matter (title, number, minutes, needs) come cells; one without a role is in both notebooks::

    # %% [markdown] task="1.2"      what to do, in words
    # %% task="1.2"                 the cell as learners get it: `...` where the answer goes, then check("1.2", answer)
    # %% solution="1.2"             stands in its place in the notebook with answers
    # %% wrong="1.2" says="biases"  a plausible mistake, in no notebook: the check must fail and say this
    # %% check="1.2"                HINTS, and judge(answer): a sentence on what is not right yet, Passed(...) or None
    # %% check="shared"             what all checks of the lesson begin with
    # %% [markdown] teacher="1.2"   for TEACHING.md only; without a number, of the lesson as a whole
    # %% [markdown] slide           a key sentence, for the slides too, with the figure of the code cell right behind it
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
HIDDEN = ("wrong", "check", "teacher")  # in no notebook
SHARED = "shared"  # a check cell of this name stands at the front of every check of the lesson


@dataclass(frozen=True)
class Cell:
    """One cell of a lesson.

    Attributes:
        source: its text, without the comment signs of markdown.
        code: whether it is code; else it is markdown.
        role: one of `ROLES`, or empty for what every notebook has.
        task: the number of its task, where it belongs to one.
        says: of a wrong answer: what the check must say.
        line: where in the lesson's file it begins.
    """

    source: str
    code: bool
    role: str = ""
    task: str = ""
    says: str = ""
    line: int = 0


@dataclass(frozen=True)
class Lesson:
    """A lesson: its front matter, and its cells in order."""

    path: Path
    number: int
    title: str
    minutes: int
    needs: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The numbers of its tasks, in order."""
        return tuple(dict.fromkeys(cell.task for cell in self.cells if cell.role == "check" and cell.task != SHARED))

    def of(self, role: str, task: str = "") -> tuple[Cell, ...]:
        """The cells of a role, of one task or of all."""
        return tuple(cell for cell in self.cells if cell.role == role and task in ("", cell.task))


def read_lesson(path: Path) -> Lesson:
    """Read a lesson and hold it to the format.

    Raises:
        UserError: a role that does not exist, a task without check, solution or hints, a front matter that lacks
            something; each says where.
    """
    jupytext = optional("jupytext", "dev")
    yaml = optional("yaml", "dev")
    text = path.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    cells = notebook.cells
    if not cells or cells[0].cell_type != "raw":
        raise UserError(f"{path.name} has no front matter", "begin with '# ---', '# title: ...', '# number: ...'")
    front = yaml.safe_load(cells[0].source.strip().strip("-"))
    for key in ("title", "number", "minutes"):
        if key not in front:
            raise UserError(f"the front matter of {path.name} lacks {key!r}", f"add '# {key}: ...'")
    lines = _starts(text)
    read = tuple(_cell(path, cell, line) for cell, line in zip(cells[1:], lines, strict=True))
    lesson = Lesson(
        path=path,
        number=int(front["number"]),
        title=str(front["title"]),
        minutes=int(front["minutes"]),
        needs=tuple(front.get("needs") or ()),
        cells=tuple(cell for cell in read if cell.source.strip()),
    )
    _hold(lesson)
    return lesson


def read_lessons(folder: Path) -> list[Lesson]:
    """All lessons of a folder, by number."""
    found = sorted((read_lesson(path) for path in sorted(folder.glob("[0-9]*_*.py"))), key=lambda each: each.number)
    if not found:
        raise UserError(f"there is no lesson in {str(folder)!r}", "lessons are called NN_name.py")
    return found


def _starts(text: str) -> Iterator[int]:
    return (number for number, line in enumerate(text.splitlines(), 1) if re.match(r"# %%(\s|$)", line))


def _cell(path: Path, cell: Any, line: int) -> Cell:
    told = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
    if told.get("title") in ROLES:  # a role without a value
        told[told.pop("title")] = ""
    says = told.pop("says", "")
    if not told:
        return Cell(cell.source, cell.cell_type == "code", line=line)
    role, task = next(iter(told.items()))
    if len(told) > 1 or role not in ROLES:
        raise UserError(f"{path.name}, line {line}: a cell cannot be {told}", nearest(role, ROLES))
    if role in ("task", "solution", "wrong", "check") and not task:
        raise UserError(f"{path.name}, line {line}: {role} of which task?", f'write {role}="1.2"')
    if role == "wrong" and not says:
        raise UserError(f"{path.name}, line {line}: what must the check say?", 'add says="..."')
    return Cell(cell.source, cell.cell_type == "code", role, str(task), str(says), line)


def _hold(lesson: Lesson) -> None:
    """Each task has what a task needs, and everything belongs to a task of this lesson."""
    name = lesson.path.name
    for cell in lesson.cells:
        known = cell.task in (*lesson.tasks, SHARED)
        if cell.role in ("task", "solution", "wrong") and not known:
            fix = nearest(cell.task, lesson.tasks) if lesson.tasks else f'add a cell # %% check="{cell.task}"'
            raise UserError(f"{name}, line {cell.line}: task {cell.task!r} has no check", fix)
    for task in lesson.tasks:
        if not re.fullmatch(rf"{lesson.number}\.\d+", task):
            raise UserError(f"{name}: task {task!r} is not of lesson {lesson.number}", f"call it {lesson.number}.N")
        if not any(cell.code for cell in lesson.of("task", task)):
            raise UserError(f"{name}: task {task} has no cell for the learner", f'add # %% task="{task}"')
        if not lesson.of("solution", task):
            raise UserError(f"{name}: task {task} has no solution", f'add # %% solution="{task}"')
        source = "\n".join(cell.source for cell in lesson.of("check", task))
        if "HINTS" not in source or "def judge(" not in source:
            raise UserError(f"{name}: the check of task {task} lacks HINTS or judge", "see another lesson")

"""Notebooks and checks, made of a lesson: for learners, with answers, and the module that checks."""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coverslip.core.storage import digest, write_text
from coverslip.course.lesson import HIDDEN, SHARED, Cell, Lesson
from coverslip.course.tasks import CHECKS, task_file

ANSWERS = "answers"
ANSWERED = " (answers)"
HEAD = """# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/{file} by coverslip.course.build: change it there.
from coverslip.course.result import Passed

"""


def lesson_files(lesson: Lesson) -> dict[str, str]:
    """All files made of a lesson: their paths below the course folder, and their text."""
    name = f"{lesson.path.stem}.ipynb"
    made = {
        name: notebook_text(lesson, learner_cells(lesson), lesson.title),
        f"{ANSWERS}/{name}": notebook_text(lesson, answer_cells(lesson), lesson.title + ANSWERED),
    }
    shared = [cell.source for cell in lesson.of("check", SHARED)]
    for task in lesson.tasks:
        own = [cell.source for cell in lesson.of("check", task)]
        text = HEAD.format(file=lesson.path.name) + "\n\n\n".join([*shared, *own]) + "\n"
        made[f"{CHECKS}/{task_file(task)}"] = text
    return made


def write_lesson(lesson: Lesson, folder: Path) -> None:
    """Write what is made of a lesson below a folder, and remove what an earlier edition of it left there."""
    made = lesson_files(lesson)
    old = [*(folder / CHECKS).glob(f"task_{lesson.number}_*.py"), *folder.rglob(f"{lesson.number:02d}_*.ipynb")]
    for path in old:
        if path.relative_to(folder).as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        write_text(folder / name, text)


def learner_cells(lesson: Lesson) -> list[Cell]:
    """Without solutions and whatever is hidden."""
    return [cell for cell in lesson.cells if cell.role not in (*HIDDEN, "solution")]


def answer_cells(lesson: Lesson) -> list[Cell]:
    """With the solutions in place of the cells that learners fill in."""
    return [cell for cell in lesson.cells if cell.role not in HIDDEN and not (cell.role == "task" and cell.code)]


def notebook_text(lesson: Lesson, cells: Iterable[Cell], title: str) -> str:
    """A notebook of these cells as JSON; the same cells give the same text."""
    return json.dumps(notebook_of(lesson, cells, title), indent=1, ensure_ascii=False) + "\n"


def notebook_of(lesson: Lesson, cells: Iterable[Cell], title: str) -> dict[str, Any]:
    """A notebook of these cells (format 4.5), without outputs."""
    made = [_head(lesson, title), *(_made(number, cell) for number, cell in enumerate(cells, 1))]
    about = {
        "lesson": lesson.number,
        "title": title,
        "minutes": lesson.minutes,
        "needs": list(lesson.needs),
        "tasks": {task: wanted(lesson, task) for task in lesson.tasks},
        "edition": edition(made),
    }
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"coverslip": about, "kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _head(lesson: Lesson, title: str) -> dict[str, Any]:
    """The line above the title: the mark, which lesson this is, and how long it takes."""
    mark = Path(__file__).with_name("templates").joinpath("mark.png").read_bytes()  # JupyterLab attaches no SVG
    which = f"lesson {lesson.number}{', with answers' if title.endswith(ANSWERED) else ''}"
    source = (
        f'<img src="attachment:mark.png" alt="" width="36"> Coverslip, the course: {which}, {lesson.minutes} minutes'
    )
    attached = {"mark.png": {"image/png": base64.b64encode(mark).decode()}}
    return {"cell_type": "markdown", "attachments": attached, "id": "head", "metadata": {}, "source": [source]}


def _made(number: int, cell: Cell) -> dict[str, Any]:
    source = remark(cell.source) if cell.role == "slide" and not cell.code else cell.source
    lines = {"id": f"cell-{number:03d}", "metadata": {}, "source": source.splitlines(keepends=True)}
    if cell.code:
        return {"cell_type": "code", "execution_count": None, **lines, "outputs": []}
    return {"cell_type": "markdown", **lines}


def wanted(lesson: Lesson, task: str) -> str:
    """What a task asks for, in one line: the first of its judge's docstring."""
    tree = ast.parse("\n".join(cell.source for cell in lesson.of("check", task)))
    judges = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "judge"]
    return (ast.get_docstring(judges[0]) or "").partition("\n")[0]


def remark(text: str) -> str:
    """A key sentence as notebooks show it: set apart.

    >>> remark("A network is a function.")
    '> A network is a function.'
    """
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def edition(cells: Iterable[dict[str, Any]]) -> str:
    """A name for what these cells say, whatever was run: the kinds and texts of all, in order."""
    return digest(*((cell["cell_type"], "".join(cell["source"])) for cell in cells))

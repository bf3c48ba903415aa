"""Generator of a lesson's files: the notebook for learners, the notebook with answers, and the checks."""

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
# Generated from lessons/{file} by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

"""


def lesson_files(lesson: Lesson) -> dict[str, str]:
    """Return the files generated from a lesson: path below the course folder -> text."""
    name = f"{lesson.path.stem}.ipynb"
    files = {
        name: notebook_text(lesson, learner_cells(lesson), lesson.title),
        f"{ANSWERS}/{name}": notebook_text(lesson, answer_cells(lesson), lesson.title + ANSWERED),
    }
    shared = [cell.source for cell in lesson.of("check", SHARED)]
    for task in lesson.tasks:
        own = [cell.source for cell in lesson.of("check", task)]
        text = HEAD.format(file=lesson.path.name) + "\n\n\n".join([*shared, *own]) + "\n"
        files[f"{CHECKS}/{task_file(task)}"] = text
    return files


def write_lesson(lesson: Lesson, folder: Path) -> None:
    """Write the files generated from a lesson into a folder, and delete those that are no longer generated."""
    files = lesson_files(lesson)
    old = [*(folder / CHECKS).glob(f"task_{lesson.number}_*.py"), *folder.rglob(f"{lesson.number:02d}_*.ipynb")]
    for path in old:
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, text in files.items():
        write_text(folder / name, text)


def learner_cells(lesson: Lesson) -> list[Cell]:
    """Return the cells of the learners' notebook: all except solutions and hidden cells."""
    return [cell for cell in lesson.cells if cell.role not in (*HIDDEN, "solution")]


def answer_cells(lesson: Lesson) -> list[Cell]:
    """Return the cells of the notebook with answers: solutions replace the cells that learners fill in."""
    return [cell for cell in lesson.cells if cell.role not in HIDDEN and not (cell.role == "task" and cell.code)]


def notebook_text(lesson: Lesson, cells: Iterable[Cell], title: str) -> str:
    """Return a notebook of the cells as JSON; the same cells give the same text."""
    return json.dumps(notebook_of(lesson, cells, title), indent=1, ensure_ascii=False) + "\n"


def notebook_of(lesson: Lesson, cells: Iterable[Cell], title: str) -> dict[str, Any]:
    """Return a notebook of the cells (format 4.5), without outputs."""
    notebook_cells = [_head(lesson, title), *(_notebook_cell(number, cell) for number, cell in enumerate(cells, 1))]
    about = {
        "lesson": lesson.number,
        "title": title,
        "minutes": lesson.minutes,
        "needs": list(lesson.needs),
        "tasks": {task: goal(lesson, task) for task in lesson.tasks},
        "edition": edition(notebook_cells),
    }
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"coverslip": about, "kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": notebook_cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _head(lesson: Lesson, title: str) -> dict[str, Any]:
    """Return the line above the title: logo, number of the lesson and duration."""
    logo = Path(__file__).with_name("templates").joinpath("mark.png").read_bytes()  # JupyterLab attaches no SVG
    label = f"lesson {lesson.number}{', with answers' if title.endswith(ANSWERED) else ''}"
    source = f'<img src="attachment:mark.png" alt="" width="36"> Coverslip course, {label}, {lesson.minutes} minutes'
    attached = {"mark.png": {"image/png": base64.b64encode(logo).decode()}}
    return {"cell_type": "markdown", "attachments": attached, "id": "head", "metadata": {}, "source": [source]}


def _notebook_cell(number: int, cell: Cell) -> dict[str, Any]:
    source = quoted(cell.source) if cell.role == "slide" and not cell.code else cell.source
    lines = {"id": f"cell-{number:03d}", "metadata": {}, "source": source.splitlines(keepends=True)}
    if cell.code:
        return {"cell_type": "code", "execution_count": None, **lines, "outputs": []}
    return {"cell_type": "markdown", **lines}


def goal(lesson: Lesson, task: str) -> str:
    """Return the goal of a task in one line: the first line of the docstring of its ``grade``."""
    tree = ast.parse("\n".join(cell.source for cell in lesson.of("check", task)))
    graders = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "grade"]
    return (ast.get_docstring(graders[0]) or "").partition("\n")[0]


def quoted(text: str) -> str:
    """Return a key sentence as a markdown quotation, as the notebooks show it.

    >>> quoted("A network is a function.")
    '> A network is a function.'
    """
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def edition(cells: Iterable[dict[str, Any]]) -> str:
    """Return a digest of the types and sources of all cells, independent of their outputs."""
    return digest(*((cell["cell_type"], "".join(cell["source"])) for cell in cells))

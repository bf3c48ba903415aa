"""Run of a lesson in a real kernel: every unsolved task, every wrong answer and every solution, with running times.

All cells run in one kernel in the order of the file, so that no network is trained twice. Before the solution of a task
come the cell as learners get it, which must fail with the first hint, and the wrong answers, which must fail with the
message that their ``says`` demands.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coverslip.core.errors import optional
from coverslip.course.lesson import HIDDEN, Cell, Lesson
from coverslip.course.notebooks import learner_cells, write_lesson
from coverslip.course.result import CHECK_TYPE
from coverslip.course.tasks import FOLDER, load_task

CELL_SECONDS = 60.0  # the limit for one cell, on two cores
TIMEOUT_SECONDS = 240.0  # a cell that takes longer is stopped
HIGH_RESOLUTION = "import matplotlib; matplotlib.rcParams['savefig.dpi'] = 192"  # the figures are used on slides, too


@dataclass(frozen=True)
class Step:
    """One cell that was run.

    Attributes:
        cell: the cell of the lesson.
        seconds: running time.
        outputs: outputs in the notebook format.
        problem: what is wrong with the lesson at this cell, or "".
    """

    cell: Cell
    seconds: float
    outputs: list[dict[str, Any]] = field(repr=False)
    problem: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """Record of a lesson that was run from start to end."""

    lesson: Lesson
    steps: tuple[Step, ...]
    seconds: float

    @property
    def problems(self) -> list[str]:
        """All problems, each with its file and line."""
        return [
            f"{self.lesson.path.name}, line {step.cell.line}: {step.problem}" for step in self.steps if step.problem
        ]


def rehearse(lesson: Lesson, *, limit: float = CELL_SECONDS, unsolved: bool = False) -> Rehearsal:
    """Run all cells of a lesson and check their results; stop at the first cell that raises an exception.

    Args:
        lesson: the lesson to run; its notebooks and checks are generated anew in a temporary folder.
        limit: seconds one cell may take.
        unsolved: run the notebook like a learner who runs all cells and solves no task; exceptions are recorded, and
            the run continues.
    """
    start, steps = time.monotonic(), []
    with TemporaryDirectory() as scratch:
        course = Path(scratch) / "course"
        write_lesson(lesson, course)
        hints = {task: (load_task(task, course).hints or ("",))[0] for task in lesson.tasks}
        with _kernel(Path(scratch), course) as run:
            for cell in in_order(lesson, unsolved):
                cell_start = time.monotonic()
                outputs = run(cell.source)
                seconds = time.monotonic() - cell_start
                problem = problem_of(cell, outputs, hints) or too_slow(seconds, limit)
                steps.append(Step(cell, seconds, outputs, problem))
                if error_in(outputs) and not unsolved:
                    break
    return Rehearsal(lesson, tuple(steps), time.monotonic() - start)


def in_order(lesson: Lesson, unsolved: bool = False) -> list[Cell]:
    """Return the code cells in running order: for each task the unsolved cells, the wrong answers, the solution."""
    if unsolved:
        return [cell for cell in learner_cells(lesson) if cell.code]
    order: list[Cell] = []
    seen_tasks: set[str] = set()
    for cell in lesson.cells:
        if not cell.code or cell.role in (*HIDDEN, "task"):
            continue
        if cell.role == "solution" and cell.task not in seen_tasks:
            seen_tasks.add(cell.task)
            order += [task_cell for task_cell in lesson.of("task", cell.task) if task_cell.code]
            order += lesson.of("wrong", cell.task)
        order.append(cell)
    return order


def problem_of(cell: Cell, outputs: list[dict[str, Any]], hints: dict[str, str]) -> str:
    """Return what is wrong with the outputs of a cell, or "".

    Args:
        cell: the cell that was run.
        outputs: its outputs in the notebook format.
        hints: task number -> first hint of the task.
    """
    error = error_in(outputs)
    if error:
        return f"the cell raises\n{error}"
    if cell.role not in ("task", "wrong", "solution"):
        return ""
    results = [result for result in checks_in(outputs) if result["task"] == cell.task]
    if not results:  # a task may have several cells: the check is in one of them
        return "" if "check(" not in cell.source else f"task {cell.task} was not checked"
    return _check_problem(cell, hints[cell.task], results[-1])


def _check_problem(cell: Cell, hint: str, result: dict[str, Any]) -> str:
    """Return how the result of a check differs from what its cell requires, or ""."""
    text = f"{result['message']} {result['hint']}".strip()
    if result["passed"] != (cell.role == "solution"):
        problems = {"task": "passes unsolved", "wrong": "passes with a wrong answer"}
        return f"task {cell.task} {problems.get(cell.role) or f'does not pass with its solution: {text}'}"
    if cell.role == "task" and hint not in text:
        return f"the unsolved task {cell.task} does not show its first hint; it shows: {text}"
    if cell.role == "wrong" and cell.says.lower() not in text.lower():
        return f"the message for a wrong answer to task {cell.task} does not contain {cell.says!r}: {text}"
    return ""


def too_slow(seconds: float, limit: float) -> str:
    """Return a problem if a cell took longer than the limit, else ""."""
    return "" if seconds <= limit else f"the cell takes {seconds:.0f} s; the limit is {limit:.0f} s"


def error_in(outputs: list[dict[str, Any]]) -> str:
    """Return the exception of a cell with the end of its traceback, or ""."""
    for output in outputs:
        if output["output_type"] == "error":
            trace = "\n".join(output["traceback"][-3:])
            return f"{output['ename']}: {output['evalue']}\n{_without_colors(trace)}"
    return ""


def checks_in(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the results of the checks in a cell's outputs."""
    return [output["data"][CHECK_TYPE] for output in outputs if CHECK_TYPE in output.get("data", {})]


def text_of(outputs: list[dict[str, Any]]) -> str:
    """Return the printed and displayed output of a cell as plain text."""
    return "".join(
        "".join(output.get("text", output.get("data", {}).get("text/plain", ""))).rstrip() + "\n" for output in outputs
    ).strip()


def images_of(outputs: list[dict[str, Any]]) -> list[bytes]:
    """Return the figures of a cell as PNG data."""
    figures = [output.get("data", {}).get("image/png") for output in outputs]
    return [base64.b64decode(data) for data in figures if data]


@contextmanager
def _kernel(folder: Path, course: Path) -> Iterator[Any]:
    """Start a kernel in ``folder`` and yield a function that runs source code and returns the outputs."""
    nbclient, nbformat = optional("nbclient", "dev"), optional("nbformat", "dev")
    notebook = nbformat.v4.new_notebook()
    client = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT_SECONDS, kernel_name="python3", allow_errors=True, resources={}
    )
    environment = {**os.environ, FOLDER: str(course)}
    with client.setup_kernel(cwd=str(folder), env=environment):

        def run(source: str) -> list[dict[str, Any]]:
            cell = nbformat.v4.new_code_cell(source)
            notebook.cells.append(cell)
            try:
                client.execute_cell(cell, len(notebook.cells) - 1)
            except nbclient.exceptions.CellTimeoutError:
                reason = f"the cell was stopped after {TIMEOUT_SECONDS:.0f} s"
                return [{"output_type": "error", "ename": "Timeout", "evalue": reason, "traceback": []}]
            return list(cell.outputs)

        run(HIGH_RESOLUTION)
        yield run


def _without_colors(text: str) -> str:
    """Remove the terminal's color codes."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)

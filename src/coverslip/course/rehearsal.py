"""A lesson gone through in a real kernel: every empty task, every wrong answer, every solution, with a stopwatch.

All in one kernel, in the order of the file, so that nothing is trained twice: before the solution of a task come the
cell as learners get it, which must fail with the first hint, and the wrong answers, which must fail with their word.
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

CELL_SECONDS = 60.0  # no cell may take longer on two cores
GIVE_UP_SECONDS = 240.0
SHARP = "import matplotlib; matplotlib.rcParams['savefig.dpi'] = 192"  # figures go on slides too


@dataclass(frozen=True)
class Step:
    """One cell that was run.

    Attributes:
        cell: of the lesson.
        seconds: it took.
        outputs: of the notebook format.
        problem: why the lesson does not stand; empty where all is well.
    """

    cell: Cell
    seconds: float
    outputs: list[dict[str, Any]] = field(repr=False)
    problem: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """A lesson that was gone through."""

    lesson: Lesson
    steps: tuple[Step, ...]
    seconds: float

    @property
    def problems(self) -> list[str]:
        """All that has to be mended, each with its place in the file."""
        return [
            f"{self.lesson.path.name}, line {step.cell.line}: {step.problem}" for step in self.steps if step.problem
        ]


def rehearse(lesson: Lesson, *, limit: float = CELL_SECONDS, unsolved: bool = False) -> Rehearsal:
    """Go through a lesson; it ends early where a cell raises, since what follows would only repeat it.

    Args:
        lesson: to go through, from its file: nothing that was made of it before is used.
        limit: seconds a cell may take.
        unsolved: go through it as somebody who runs all cells and solves no task; cells that raise are noted, and it
            goes on.
    """
    start, steps = time.monotonic(), []
    with TemporaryDirectory() as scratch:
        course = Path(scratch) / "course"
        write_lesson(lesson, course)
        hints = {task: (load_task(task, course).hints or ("",))[0] for task in lesson.tasks}
        with _kernel(Path(scratch), course) as run:
            for cell in in_order(lesson, unsolved):
                before = time.monotonic()
                outputs = run(cell.source)
                seconds = time.monotonic() - before
                problem = verdict(cell, outputs, hints) or slow(seconds, limit)
                steps.append(Step(cell, seconds, outputs, problem))
                if error_in(outputs) and not unsolved:
                    break
    return Rehearsal(lesson, tuple(steps), time.monotonic() - start)


def in_order(lesson: Lesson, unsolved: bool = False) -> list[Cell]:
    """Code cells as they are run: of each task the empty cells, the wrong answers, then the solution."""
    if unsolved:
        return [cell for cell in learner_cells(lesson) if cell.code]
    order: list[Cell] = []
    told: set[str] = set()
    for cell in lesson.cells:
        if not cell.code or cell.role in (*HIDDEN, "task"):
            continue
        if cell.role == "solution" and cell.task not in told:
            told.add(cell.task)
            order += [each for each in lesson.of("task", cell.task) if each.code]
            order += lesson.of("wrong", cell.task)
        order.append(cell)
    return order


def verdict(cell: Cell, outputs: list[dict[str, Any]], hints: dict[str, str]) -> str:
    """What is wrong with how a cell went; empty where it went as it should."""
    error = error_in(outputs)
    if error:
        return f"the cell raises\n{error}"
    if cell.role not in ("task", "wrong", "solution"):
        return ""
    checks = [told for told in checks_in(outputs) if told["task"] == cell.task]
    if not checks:  # a task may have several cells: the check is in one of them
        return "" if "check(" not in cell.source else f"task {cell.task} was not checked"
    return _wish(cell, hints[cell.task], checks[-1])


def _wish(cell: Cell, hint: str, told: dict[str, Any]) -> str:
    """What a check should have said of this cell; empty where it did."""
    words = f"{told['message']} {told['hint']}".strip()
    if told["passed"] != (cell.role == "solution"):
        does = {"task": "passes unsolved", "wrong": "passes with a wrong answer"}
        return f"task {cell.task} {does.get(cell.role) or f'does not pass with its solution: {words}'}"
    if cell.role == "task" and hint not in words:
        return f"task {cell.task}, unsolved, does not give its first hint, but: {words}"
    if cell.role == "wrong" and cell.says.lower() not in words.lower():
        return f"a wrong answer to task {cell.task} does not say {cell.says!r}, but: {words}"
    return ""


def slow(seconds: float, limit: float) -> str:
    """A word where a cell took longer than learners should wait."""
    return "" if seconds <= limit else f"the cell takes {seconds:.0f} s, and {limit:.0f} s are the limit"


def error_in(outputs: list[dict[str, Any]]) -> str:
    """The exception of a cell with the line it came from; empty where there was none."""
    for output in outputs:
        if output["output_type"] == "error":
            trace = "\n".join(output["traceback"][-3:])
            return f"{output['ename']}: {output['evalue']}\n{_plain(trace)}"
    return ""


def checks_in(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What checks said in a cell's outputs."""
    return [output["data"][CHECK_TYPE] for output in outputs if CHECK_TYPE in output.get("data", {})]


def text_of(outputs: list[dict[str, Any]]) -> str:
    """What a cell printed and showed, as plain text."""
    return "".join(
        "".join(output.get("text", output.get("data", {}).get("text/plain", ""))).rstrip() + "\n" for output in outputs
    ).strip()


def images_of(outputs: list[dict[str, Any]]) -> list[bytes]:
    """The figures of a cell, as PNG."""
    found = [output.get("data", {}).get("image/png") for output in outputs]
    return [base64.b64decode(data) for data in found if data]


@contextmanager
def _kernel(folder: Path, course: Path) -> Iterator[Any]:
    """A kernel that runs in ``folder``: a function of source that gives the outputs."""
    nbclient, nbformat = optional("nbclient", "dev"), optional("nbformat", "dev")
    notebook = nbformat.v4.new_notebook()
    client = nbclient.NotebookClient(
        notebook, timeout=GIVE_UP_SECONDS, kernel_name="python3", allow_errors=True, resources={}
    )
    environment = {**os.environ, FOLDER: str(course)}
    with client.setup_kernel(cwd=str(folder), env=environment):

        def run(source: str) -> list[dict[str, Any]]:
            cell = nbformat.v4.new_code_cell(source)
            notebook.cells.append(cell)
            try:
                client.execute_cell(cell, len(notebook.cells) - 1)
            except nbclient.exceptions.CellTimeoutError:
                told = f"the cell was stopped after {GIVE_UP_SECONDS:.0f} s"
                return [{"output_type": "error", "ename": "Timeout", "evalue": told, "traceback": []}]
            return list(cell.outputs)

        run(SHARP)
        yield run


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)

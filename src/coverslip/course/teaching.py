"""TEACHING.md, made of the lessons' teacher cells around what is written by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.course.lesson import Lesson
from coverslip.course.notebooks import wanted
from coverslip.course.timetable import timetable

FRAME = "teaching.md"  # beside the lessons: the words that belong to no lesson
MARKS = ("{timetable}", "{lessons}")


def teaching_text(lessons: Sequence[Lesson], frame: str) -> str:
    """The whole of TEACHING.md.

    Args:
        lessons: by number.
        frame: the text by hand, with the marks ``{timetable}`` and ``{lessons}`` where the made parts go.
    """
    for mark in MARKS:
        if mark not in frame:
            raise UserError(f"{FRAME} lacks {mark}", "put it where that part goes")
    made = frame.replace("{timetable}", _table(lessons)).replace("{lessons}", "\n\n".join(map(_lesson, lessons)))
    return made.rstrip() + "\n"


def read_frame(folder: Path) -> str:
    """The text by hand."""
    try:
        return (folder / FRAME).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot read {str(folder / FRAME)!r}: {error.strerror}", "it lies beside the lessons"
        ) from error


def _table(lessons: Sequence[Lesson]) -> str:
    slots = timetable([(f"{lesson.number}. {lesson.title}", lesson.minutes) for lesson in lessons])
    return "\n".join(["| time | what |", "| --- | --- |", *(f"| {slot.clock} | {slot.what} |" for slot in slots)])


def _lesson(lesson: Lesson) -> str:
    needs = f" Needs `coverslip[{','.join(lesson.needs)}]`." if lesson.needs else ""
    count = len(lesson.tasks)
    about = f"{lesson.minutes} minutes, {count} {'task' if count == 1 else 'tasks'}: `{lesson.path.stem}.ipynb`.{needs}"
    parts = [f"## {lesson.number}. {lesson.title}", about]
    parts += [_lowered(cell.source) for cell in lesson.of("teacher") if not cell.task]
    for task in lesson.tasks:
        parts.append(f"### Task {task}: {_plain(wanted(lesson, task))}")
        parts += [_lowered(cell.source) for cell in lesson.of("teacher", task)]
        parts.append(_wrong(lesson, task))
    return "\n\n".join(part for part in parts if part)


def _wrong(lesson: Lesson, task: str) -> str:
    """The wrong answers that the check knows by name, as `make lessons` tries them."""
    said = [f"“{cell.says}”" for cell in lesson.of("wrong", task)]
    return f"*The check has a word for:* {', '.join(said)}." if said else ""


def _plain(text: str) -> str:
    return text.rstrip(".")


def _lowered(text: str) -> str:
    """Headings inside a cell go below those of its task."""
    return re.sub(r"^(#+) ", lambda found: f"{'#' * min(len(found[1]) + 3, 6)} ", text, flags=re.MULTILINE)

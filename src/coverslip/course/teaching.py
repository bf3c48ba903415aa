"""Generator of TEACHING.md from the lessons' teacher cells and a hand-written frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from coverslip.core.errors import UserError
from coverslip.course.lesson import Lesson
from coverslip.course.notebooks import goal
from coverslip.course.timetable import timetable

FRAME = "teaching.md"  # next to the lessons: the text that belongs to no lesson
PLACEHOLDERS = ("{timetable}", "{lessons}")


def teaching_text(lessons: Sequence[Lesson], frame: str) -> str:
    """Return the full text of TEACHING.md.

    Args:
        lessons: the lessons, sorted by number.
        frame: hand-written text with the placeholders ``{timetable}`` and ``{lessons}``.

    Raises:
        UserError: the frame lacks a placeholder.
    """
    for placeholder in PLACEHOLDERS:
        if placeholder not in frame:
            raise UserError(f"{FRAME} lacks {placeholder}", "add this placeholder where the generated text should go")
    text = frame.replace("{timetable}", _table(lessons)).replace("{lessons}", "\n\n".join(map(_lesson, lessons)))
    return text.rstrip() + "\n"


def read_frame(folder: Path) -> str:
    """Read the hand-written frame.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return (folder / FRAME).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot read {str(folder / FRAME)!r}: {error.strerror}", "put it next to the lessons"
        ) from error


def _table(lessons: Sequence[Lesson]) -> str:
    slots = timetable([(f"{lesson.number}. {lesson.title}", lesson.minutes) for lesson in lessons])
    rows = [f"| {slot.clock} | {slot.title} |" for slot in slots]
    return "\n".join(["| time | topic |", "| --- | --- |", *rows])


def _lesson(lesson: Lesson) -> str:
    needs = f" Needs `coverslip[{','.join(lesson.needs)}]`." if lesson.needs else ""
    count = len(lesson.tasks)
    about = f"{lesson.minutes} minutes, {count} {'task' if count == 1 else 'tasks'}: `{lesson.path.stem}.ipynb`.{needs}"
    blocks = [f"## {lesson.number}. {lesson.title}", about]
    blocks += [_demote_headings(cell.source) for cell in lesson.of("teacher") if not cell.task]
    for task in lesson.tasks:
        blocks.append(f"### Task {task}: {goal(lesson, task).rstrip('.')}")
        blocks += [_demote_headings(cell.source) for cell in lesson.of("teacher", task)]
        blocks.append(_wrong_answers(lesson, task))
    return "\n\n".join(block for block in blocks if block)


def _wrong_answers(lesson: Lesson, task: str) -> str:
    """Return a line on the wrong answers that the check recognizes; `make lessons` tries each of them."""
    messages = [f"“{cell.says}”" for cell in lesson.of("wrong", task)]
    return f"*The check recognizes these mistakes:* {', '.join(messages)}." if messages else ""


def _demote_headings(text: str) -> str:
    """Move the headings of a cell below the heading of its task."""
    return re.sub(r"^(#+) ", lambda match: f"{'#' * min(len(match[1]) + 3, 6)} ", text, flags=re.MULTILINE)

"""`check`: grade the answers to a task. It depends on the answers only, and never raises for a learner's mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.course.answer_types import convert_answers, describe
from coverslip.course.progress import note_try, read_progress
from coverslip.course.result import Passed, Result
from coverslip.course.tasks import Task, load_task, task_numbers


def check(number: str, *answers: Any) -> Result:
    """Grade the answers to a task, show the result and record it in the progress file.

    Cells can be moved, copied, deleted and run in any order, any number of times: only the answers count. An unsolved
    task gets a hint, and a stronger one from the second try on.

    Args:
        number: number of the task as in the notebook, such as "1.2".
        answers: the answers the task asks for; ``...`` or None stands for a missing answer.

    >>> result = check("99.1", 4)  # doctest: +ELLIPSIS
    → Task 99.1: not yet
      There is no task '99.1'...
    >>> result.passed
    False
    """
    task_number = str(number)
    try:
        task = load_task(task_number)
    except UserError as error:
        result = Result(task_number, False, _sentence(error.problem), error.fix)
        result.show()
        return result
    verdict = grade_answers(task, answers)
    passed = isinstance(verdict, Passed)
    tries = note_try(Path.cwd(), task_number, passed)
    next_hint = "" if passed else hint(task, tries, str(verdict))
    result = Result(task_number, passed, str(verdict), next_hint, lesson_progress(task_number) if passed else "")
    result.show()
    return result


def grade_answers(task: Task, answers: tuple[Any, ...]) -> str:
    """Return `Passed`, a message on what is not right yet, or "" if an answer is missing."""
    if not answers or any(is_missing(answer) for answer in answers):
        return ""
    try:
        converted, mismatch = convert_answers(task.grade, answers)
        verdict = mismatch or task.grade(*converted)
    except UserError as error:
        return f"{_sentence(error.problem)} {_sentence(error.fix)}"
    except Exception as error:  # no task can foresee every answer
        description = " and ".join(describe(answer) for answer in answers)
        return (
            f"This is {description}; the check cannot use it ({type(error).__name__}: {error}). "
            f"The task asks for: {task.goal}"
        )
    return Passed("Correct.") if verdict is None else verdict


def is_missing(answer: Any) -> bool:
    """Return whether an answer is missing: ``...``, None, or a list or tuple that contains one of them."""
    return answer is ... or answer is None or (isinstance(answer, list | tuple) and any(map(is_missing, answer)))


def lesson_progress(number: str) -> str:
    """Return a sentence on how many tasks of the task's lesson are solved."""
    lesson = number.partition(".")[0]
    tasks = [task for task in task_numbers() if task.partition(".")[0] == lesson]
    solved = read_progress(Path.cwd()).solved
    unsolved = [task for task in tasks if task not in solved]
    if not unsolved:
        return f"All {len(tasks)} tasks of this lesson are solved."
    count = len(tasks) - len(unsolved)
    return f"{count} of {len(tasks)} tasks of this lesson are solved; still open: {', '.join(unsolved)}."


def hint(task: Task, tries: int, message: str) -> str:
    """Return the hint for the n-th try; with a message about the answer itself, hints start one try later."""
    index = tries - 1 if not message else tries - 2
    return task.hints[min(index, len(task.hints) - 1)] if task.hints and index >= 0 else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"

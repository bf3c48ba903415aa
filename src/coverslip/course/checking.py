"""`check`: looks at what a learner did, never at where in the notebook it stands, and never raises for a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coverslip.core.errors import UserError
from coverslip.course.kinds import fit_kinds, said
from coverslip.course.progress import note_try, read_progress
from coverslip.course.result import Passed, Result
from coverslip.course.tasks import Task, load_task, task_numbers


def check(number: str, *answers: Any) -> Result:
    """Look at the answers to a task, say what is right or not yet, and keep it in the file of progress.

    Cells can be moved, copied, deleted and run in any order, any number of times: only the answers count. A task that
    is still open gets a hint, from the second try on a stronger one.

    Args:
        number: of the task, as the notebook says it: "1.2".
        answers: what the task asks for; ``...`` or None is an answer that is still to come.

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
    verdict = judged(task, answers)
    passed = isinstance(verdict, Passed)
    tried = note_try(Path.cwd(), task_number, passed)
    more = "" if passed else hint(task, tried, str(verdict))
    result = Result(task_number, passed, str(verdict), more, standing(task_number) if passed else "")
    result.show()
    return result


def judged(task: Task, answers: tuple[Any, ...]) -> str:
    """What a task's judge says of these answers: `Passed`, or what is not right yet; "" where an answer is to come."""
    if not answers or any(is_open(answer) for answer in answers):
        return ""
    try:
        given, mismatch = fit_kinds(task.judge, answers)
        verdict = mismatch or task.judge(*given)
    except UserError as error:
        return f"{_sentence(error.problem)} {_sentence(error.fix)}"
    except Exception as error:  # a judge cannot foresee every answer
        what = " and ".join(said(answer) for answer in answers)
        return f"That is {what}, and this check cannot work with it ({type(error).__name__}: {error}). {task.wanted}"
    return Passed("That is right.") if verdict is None else verdict


def is_open(answer: Any) -> bool:
    """Whether an answer is still to come: ``...``, None, or a list or tuple that holds one of them."""
    return answer is ... or answer is None or (isinstance(answer, list | tuple) and any(map(is_open, answer)))


def standing(number: str) -> str:
    """How far a learner is in the lesson of a task, in a sentence."""
    lesson = number.partition(".")[0]
    tasks = [task for task in task_numbers() if task.partition(".")[0] == lesson]
    solved = read_progress(Path.cwd()).solved
    left = [task for task in tasks if task not in solved]
    if not left:
        return f"All {len(tasks)} tasks of this lesson are solved."
    return f"{len(tasks) - len(left)} of {len(tasks)} tasks of this lesson are solved; open: {', '.join(left)}."


def hint(task: Task, tried: int, message: str) -> str:
    """The hint for the n-th try; an answer that got a word of its own has the first hint one try later."""
    place = tried - 1 if not message else tried - 2
    return task.hints[min(place, len(task.hints) - 1)] if task.hints and place >= 0 else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"

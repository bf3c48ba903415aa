"""`check`: its messages, and that no answer makes it raise an exception."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.course import check
from coverslip.course.answer_types import convert_answers, describe
from coverslip.course.progress import FILE, read_progress
from coverslip.course.result import CHECK_TYPE, Passed, Result


@pytest.fixture(autouse=True)
def _course(tiny_course):
    return tiny_course


def test_an_unsolved_task_gets_a_hint_and_then_a_stronger_one():
    hints = [check("1.1", ...).hint for _ in range(3)]
    assert hints[0].startswith("Height times width")
    assert hints[1] == hints[2] == "It is 32 times 32 times 3."


def test_a_wrong_answer_gets_its_own_message_and_a_hint_later():
    first, second = check("1.1", 1024), check("1.1", 1024)
    assert first.message == second.message == "This counts one color of three."
    assert first.hint == "" and second.hint.startswith("Height times width")


@pytest.mark.parametrize("answer", [3072, 3072.0, np.int64(3072), np.array(3072), torch.tensor(3072)])
def test_numbers_of_all_types_are_accepted(answer):
    assert check("1.1", answer).passed


def test_a_grade_that_returns_none_passes():
    result = check("1.2", nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)))
    assert result.passed and bool(result) and result.message == "Correct."


@pytest.mark.parametrize("answers", [(), (None,), (...,), ([1, ...],)])
def test_a_missing_answer_is_not_a_mistake(answers):
    result = check("1.1", *answers)
    assert not result.passed and result.message == "" and result.hint


def test_a_history_instead_of_a_network_is_named():
    from coverslip.training.arrays import fit_arrays

    x, y = np.zeros((8, 4), np.float32), np.arange(8) % 2
    history = fit_arrays(nn.Linear(4, 2), x, y, epochs=1, verbose=0)
    message = check("1.2", history).message
    assert "This is a history" in message and "expected a network" in message and "history.network" in message


def test_a_network_instead_of_a_history_is_named():
    from coverslip.training.outcome import History

    def grade(history: History):
        """A history."""

    assert convert_answers(grade, (nn.Linear(2, 2),))[1] == (
        "This is a network (Linear); expected a history, as returned by coverslip.fit."
    )


def test_a_wrong_type_and_a_missing_argument_are_described():
    def grade(softmax: Callable, scores):
        """A function and its input."""

    assert convert_answers(grade, (0.5, 1))[1] == (
        "This is the number 0.5; expected a function (its name without parentheses)."
    )
    assert (
        convert_answers(grade, (len,))[1]
        == "This check needs 2 answers (softmax, scores) after the task number; it was given 1."
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (nn.Linear, "the class Linear itself"),
        ("a network", "the text 'a network'"),
        (lambda x: x, "a function"),
        (np.zeros((2, 3)), "an array of shape (2, 3)"),
        (True, "the value True"),
        ({"a": 1}, "a dict of 1"),
        (object(), "an object of type object"),
    ],
)
def test_any_other_type_is_described(answer, words):
    result = check("1.2", answer)
    assert not result.passed and words in result.message


def test_too_many_answers_and_an_unknown_task_are_reported(capsys):
    assert "1 answer (numbers)" in check("1.1", 1, 2).message
    unknown = check("1.11", 1)
    assert not unknown.passed and unknown.hint == "did you mean '1.1'?"
    assert "Task 1.11: not yet" in capsys.readouterr().out
    assert not check("../../etc", 1).passed


def test_an_exception_in_grade_becomes_a_message(monkeypatch):
    from coverslip.core.errors import UserError
    from coverslip.course import checking
    from coverslip.course.tasks import Task

    def failing(answer):
        """A number other than 0."""
        return 1 / answer

    monkeypatch.setattr(checking, "load_task", lambda number: Task(number, failing, ("one", "two")))
    message = check("1.1", 0).message
    assert message.startswith("This is the number 0") and "A number other than 0." in message

    def refusing(answer):
        raise UserError("x has no images", "give one")

    monkeypatch.setattr(checking, "load_task", lambda number: Task(number, refusing, ("one", "two")))
    assert check("1.1", 0).message == "X has no images. Give one."


def test_a_solved_task_stays_solved():
    check("1.1", 3072)
    assert check("1.1", 5).passed is False
    assert json.loads(Path(FILE).read_text(encoding="utf-8"))["solved"] == ["1.1"]
    last = check("1.2", nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)))
    assert last.further == "All 2 tasks of this lesson are solved."


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tries": 3, "solved": []}', '{"solved": ["1.1"]}', "\x00\xff"])
def test_a_damaged_progress_file_does_not_matter(tmp_path, text):
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    assert check("1.1", 3072).passed
    assert read_progress(tmp_path).solved == ["1.1"]


def test_an_unwritable_progress_file_does_not_matter(tmp_path):
    (tmp_path / FILE).mkdir()
    assert check("1.1", 3072).passed


def test_in_a_notebook_the_result_is_a_box_that_screen_readers_announce(monkeypatch):
    display = pytest.importorskip("IPython.display")
    from IPython.core import getipython

    displayed = []
    monkeypatch.setattr(getipython, "get_ipython", object)
    monkeypatch.setattr(display, "display", lambda data, raw: displayed.append(data))
    Result("1.1", False, "<b>7</b> is not correct.", "Count again.").show()
    html = displayed[0]["text/html"]
    assert 'role="status"' in html and "Task 1.1: not yet" in html and "&lt;b&gt;7" in html and "Hint: Count" in html
    assert displayed[0][CHECK_TYPE]["passed"] is False
    assert "→ Task 1.1: not yet" in displayed[0]["text/plain"]


def test_answers_are_converted_to_the_annotated_types():
    def grade(share: float, name: str, anything, maybe: int | None = None):
        return Passed("")

    assert convert_answers(grade, (np.float32(0.5), "a", 3, 4))[0] == [0.5, "a", 3, 4]
    assert convert_answers(grade, ("0.5", "a", 3))[1] == "This is the text '0.5'; expected a number."
    assert convert_answers(grade, (True, "a", 3))[1] == "This is the value True; expected a number."
    assert describe(np.float64(0.25)) == "the number 0.25"

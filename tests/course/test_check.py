"""`check`: what learners are told, and that nothing they do makes it raise."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.course import check
from coverslip.course.kinds import fit_kinds, said
from coverslip.course.progress import FILE, read_progress
from coverslip.course.result import CHECK_TYPE, Passed, Result


@pytest.fixture(autouse=True)
def _course(tiny_course):
    return tiny_course


def test_an_open_task_gets_a_hint_and_then_a_stronger_one():
    hints = [check("1.1", ...).hint for _ in range(3)]
    assert hints[0].startswith("Height times width")
    assert hints[1] == hints[2] == "It is 32 times 32 times 3."


def test_a_wrong_answer_is_answered_with_its_own_word_and_a_hint_later():
    first, second = check("1.1", 1024), check("1.1", 1024)
    assert first.message == second.message == "That counts one color of three."
    assert first.hint == "" and second.hint.startswith("Height times width")


@pytest.mark.parametrize("answer", [3072, 3072.0, np.int64(3072), np.array(3072), torch.tensor(3072)])
def test_a_number_counts_whatever_it_was_kept_in(answer):
    assert check("1.1", answer).passed


def test_a_judge_without_a_word_of_praise_passes_too():
    result = check("1.2", nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)))
    assert result.passed and bool(result) and result.message == "That is right."


@pytest.mark.parametrize("answers", [(), (None,), (...,), ([1, ...],)])
def test_an_answer_that_is_still_to_come_is_no_mistake(answers):
    result = check("1.1", *answers)
    assert not result.passed and result.message == "" and result.hint


def test_a_history_in_place_of_a_network_is_named():
    from coverslip.training.arrays import fit_arrays

    x, y = np.zeros((8, 4), np.float32), np.arange(8) % 2
    history = fit_arrays(nn.Linear(4, 2), x, y, epochs=1, verbose=0)
    message = check("1.2", history).message
    assert "That is a history" in message and "a network is wanted" in message and "history.network" in message


def test_a_network_in_place_of_a_history_is_named():
    from coverslip.training.outcome import History

    def judge(history: History):
        """A history."""

    assert fit_kinds(judge, (nn.Linear(2, 2),))[1] == (
        "That is a network (Linear); a history is wanted here, what coverslip.fit gives back."
    )


def test_a_function_and_a_missing_answer_are_asked_for_in_words():
    def judge(softmax: Callable, scores):
        """A function and what it is given."""

    assert fit_kinds(judge, (0.5, 1))[1] == (
        "That is the number 0.5; a function is wanted here, its name without parentheses."
    )
    assert fit_kinds(judge, (len,))[1] == "This check wants 2 (softmax, scores) behind the number of the task; 1 came."


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (nn.Linear, "the class Linear itself"),
        ("a network", "the text 'a network'"),
        (lambda x: x, "a function"),
        (np.zeros((2, 3)), "an array of shape (2, 3)"),
        (True, "the word True"),
        ({"a": 1}, "a dict of 1"),
        (object(), "something of the kind object"),
    ],
)
def test_any_other_kind_is_said_in_words(answer, words):
    result = check("1.2", answer)
    assert not result.passed and words in result.message


def test_too_many_answers_and_an_unknown_task_are_said(capsys):
    assert "1 (numbers)" in check("1.1", 1, 2).message
    unknown = check("1.11", 1)
    assert not unknown.passed and unknown.hint == "did you mean '1.1'?"
    assert "Task 1.11: not yet" in capsys.readouterr().out
    assert not check("../../etc", 1).passed


def test_a_judge_that_breaks_becomes_a_sentence(monkeypatch):
    from coverslip.core.errors import UserError
    from coverslip.course import checking
    from coverslip.course.tasks import Task

    def breaks(answer):
        """A number that can be divided by."""
        return 1 / answer

    monkeypatch.setattr(checking, "load_task", lambda number: Task(number, breaks, ("one", "two")))
    message = check("1.1", 0).message
    assert message.startswith("That is the number 0") and "A number that can be divided by." in message

    def refuses(answer):
        raise UserError("x has no images", "give one")

    monkeypatch.setattr(checking, "load_task", lambda number: Task(number, refuses, ("one", "two")))
    assert check("1.1", 0).message == "X has no images. Give one."


def test_what_is_solved_stays_solved_and_survives_a_restart():
    check("1.1", 3072)
    assert check("1.1", 5).passed is False
    assert json.loads(Path(FILE).read_text(encoding="utf-8"))["solved"] == ["1.1"]
    last = check("1.2", nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)))
    assert last.further == "All 2 tasks of this lesson are solved."


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tries": 3, "solved": []}', '{"solved": ["1.1"]}', "\x00\xff"])
def test_a_broken_file_of_progress_stops_nobody(tmp_path, text):
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    assert check("1.1", 3072).passed
    assert read_progress(tmp_path).solved == ["1.1"]


def test_progress_that_cannot_be_written_stops_nobody(tmp_path):
    (tmp_path / FILE).mkdir()
    assert check("1.1", 3072).passed


def test_in_a_notebook_there_is_a_box_that_a_screen_reader_announces(monkeypatch):
    display = pytest.importorskip("IPython.display")
    from IPython.core import getipython

    shown = []
    monkeypatch.setattr(getipython, "get_ipython", object)
    monkeypatch.setattr(display, "display", lambda data, raw: shown.append(data))
    Result("1.1", False, "<b>7</b> it is not.", "Count again.").show()
    html = shown[0]["text/html"]
    assert 'role="status"' in html and "Task 1.1: not yet" in html and "&lt;b&gt;7" in html and "Hint: Count" in html
    assert shown[0][CHECK_TYPE]["passed"] is False
    assert "→ Task 1.1: not yet" in shown[0]["text/plain"]


def test_annotations_decide_what_a_judge_is_given():
    def judge(share: float, name: str, anything, maybe: int | None = None):
        return Passed("")

    assert fit_kinds(judge, (np.float32(0.5), "a", 3, 4))[0] == [0.5, "a", 3, 4]
    assert fit_kinds(judge, ("0.5", "a", 3))[1] == "That is the text '0.5'; a number is wanted here."
    assert fit_kinds(judge, (True, "a", 3))[1] == "That is the word True; a number is wanted here."
    assert said(np.float64(0.25)) == "the number 0.25"

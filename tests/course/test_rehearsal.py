"""`make lessons`: a lesson in a real kernel, and every way in which one can fail to stand."""

import sys

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")
from coverslip.course import build as building
from coverslip.course.lesson import Cell
from coverslip.course.rehearsal import in_order, rehearse, slow, verdict
from coverslip.course.result import CHECK_TYPE
from coverslip.course.slides import deck, slides_of

HINTS = {"1.1": "Count again."}


def said(passed, message="", hint="", task="1.1"):
    told = {"task": task, "passed": passed, "message": message, "hint": hint}
    return [{"output_type": "display_data", "data": {CHECK_TYPE: told}}]


def cell(role, says=""):
    return Cell('check("1.1", answer)', True, role, "1.1", says)


@pytest.mark.parametrize(
    ("one", "outputs", "words"),
    [
        (cell("task"), said(True), "passes unsolved"),
        (cell("task"), said(False, "No."), "does not give its first hint, but: No."),
        (cell("wrong", "one color"), said(True), "passes with a wrong answer"),
        (cell("wrong", "one color"), said(False, "It is not."), "does not say 'one color', but: It is not."),
        (cell("solution"), said(False, "It is not."), "does not pass with its solution: It is not."),
        (cell("solution"), [], "was not checked"),
        (cell("solution"), said(True, task="1.2"), "was not checked"),
        (cell(""), [{"output_type": "error", "ename": "KeyError", "evalue": "x", "traceback": []}], "KeyError: x"),
    ],
)
def test_what_does_not_stand_is_named(one, outputs, words):
    assert words in verdict(one, outputs, HINTS)


@pytest.mark.parametrize(
    ("one", "outputs"),
    [
        (cell("task"), said(False, "", "Count again.")),
        (cell("wrong", "one color"), said(False, "That counts One Color.")),
        (cell("solution"), [*said(False), *said(True)]),
        (cell(""), []),
    ],
)
def test_what_stands_is_silent(one, outputs):
    assert verdict(one, outputs, HINTS) == ""


def test_a_cell_that_learners_would_wait_for_is_named():
    assert slow(59, 60) == "" and "61 s" in slow(61, 60)


def test_open_and_wrong_cells_come_before_the_solution(tiny_lesson):
    roles = [(each.role, each.task) for each in in_order(tiny_lesson) if each.role != ""]
    assert roles[:4] == [("task", "1.1"), ("wrong", "1.1"), ("wrong", "1.1"), ("solution", "1.1")]
    assert len(roles) == 8
    assert [each.role for each in in_order(tiny_lesson, unsolved=True)] == ["", "", "task", "task"]


@pytest.fixture(scope="session")
def rehearsed(tiny_lesson):
    """The tiny lesson, gone through in a kernel once for all tests of this file."""
    return rehearse(tiny_lesson)


def test_a_good_lesson_stands_in_a_real_kernel(rehearsed):
    assert rehearsed.problems == []
    assert len(rehearsed.steps) == 10


def test_its_slides_carry_the_key_sentences_and_figures(rehearsed):
    opening, image = slides_of(rehearsed)
    assert opening.title and image.text.startswith("An image is a block of numbers")
    assert image.figure.startswith(b"\x89PNG")
    page = deck([rehearsed])
    assert page.count("<section") == 3 and "data:image/png;base64," in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_kernel_tells_what_broke_and_where(write_lesson_file, tmp_path, monkeypatch, capsys):
    path = write_lesson_file('numbers = 32 * 32 * 3\ncheck("1.1", numbers)', "numbers = 3 / 0")
    text = path.read_text(encoding="utf-8").replace("import numpy as np\nfrom torch import nn\n", "")
    text = text.replace("shown = images(folder, leaves=2, shots=1, size=32)\nshown", "")
    path.write_text(text.replace("figures.examples(shown.x, shown.y, shown.names)", ""), encoding="utf-8")
    arguments = ["build", str(path), "--run", "--out", str(tmp_path / "made"), "--look", str(tmp_path / "look")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        building.main()
    told = capsys.readouterr()
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "solution=" in each)
    assert ended.value.code == 1
    assert f"01_changed.py, line {line}: the cell raises" in told.err and "ZeroDivisionError" in told.err
    assert (tmp_path / "made" / "answers" / "01_changed.ipynb").is_file()
    assert "ZeroDivisionError" in (tmp_path / "look" / "01_changed" / "transcript.md").read_text(encoding="utf-8")


def test_lessons_that_take_too_long_together_do_not_pass(tiny_lesson, monkeypatch, capsys):
    import typer

    from coverslip.course.rehearsal import Rehearsal

    monkeypatch.setattr(building, "rehearse", lambda lesson, **_: Rehearsal(lesson, (), 0.0))
    with pytest.raises(typer.Exit):
        building._run([tiny_lesson], -1.0, False, None, None)
    assert "are the limit" in capsys.readouterr().err


def test_an_unreadable_lesson_ends_with_a_users_error(tmp_path, monkeypatch, capsys):
    (tmp_path / "01_bare.py").write_text("# %%\nx = 1\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["build", str(tmp_path / "01_bare.py")])
    with pytest.raises(SystemExit) as ended:
        building.main()
    assert ended.value.code == 2 and "front matter" in capsys.readouterr().err

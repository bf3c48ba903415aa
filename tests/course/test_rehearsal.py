"""`make lessons`: a lesson in a real kernel, and all problems that it can have."""

import sys

import pytest

pytest.importorskip("jupytext")
pytest.importorskip("nbclient")
from coverslip.course import build as building
from coverslip.course.lesson import Cell
from coverslip.course.rehearsal import in_order, problem_of, rehearse, too_slow
from coverslip.course.result import CHECK_TYPE
from coverslip.course.slides import deck, slides_of

HINTS = {"1.1": "Count again."}


def shown(passed, message="", hint="", task="1.1"):
    result = {"task": task, "passed": passed, "message": message, "hint": hint}
    return [{"output_type": "display_data", "data": {CHECK_TYPE: result}}]


def cell(role, says=""):
    return Cell('check("1.1", answer)', True, role, "1.1", says)


@pytest.mark.parametrize(
    ("lesson_cell", "outputs", "problem"),
    [
        (cell("task"), shown(True), "passes unsolved"),
        (cell("task"), shown(False, "No."), "does not show its first hint; it shows: No."),
        (cell("wrong", "one color"), shown(True), "passes with a wrong answer"),
        (cell("wrong", "one color"), shown(False, "It is not."), "does not contain 'one color': It is not."),
        (cell("solution"), shown(False, "It is not."), "does not pass with its solution: It is not."),
        (cell("solution"), [], "was not checked"),
        (cell("solution"), shown(True, task="1.2"), "was not checked"),
        (cell(""), [{"output_type": "error", "ename": "KeyError", "evalue": "x", "traceback": []}], "KeyError: x"),
    ],
)
def test_a_problem_of_a_cell_is_named(lesson_cell, outputs, problem):
    assert problem in problem_of(lesson_cell, outputs, HINTS)


@pytest.mark.parametrize(
    ("lesson_cell", "outputs"),
    [
        (cell("task"), shown(False, "", "Count again.")),
        (cell("wrong", "one color"), shown(False, "This counts One Color.")),
        (cell("solution"), [*shown(False), *shown(True)]),
        (cell(""), []),
    ],
)
def test_a_correct_cell_has_no_problem(lesson_cell, outputs):
    assert problem_of(lesson_cell, outputs, HINTS) == ""


def test_a_slow_cell_is_a_problem():
    assert too_slow(59, 60) == "" and "61 s" in too_slow(61, 60)


def test_unsolved_and_wrong_cells_come_before_the_solution(tiny_lesson):
    roles = [(cell.role, cell.task) for cell in in_order(tiny_lesson) if cell.role != ""]
    assert roles[:4] == [("task", "1.1"), ("wrong", "1.1"), ("wrong", "1.1"), ("solution", "1.1")]
    assert len(roles) == 8
    assert [cell.role for cell in in_order(tiny_lesson, unsolved=True)] == ["", "", "task", "task"]


@pytest.fixture(scope="session")
def rehearsed(tiny_lesson):
    """Return the rehearsal of the tiny lesson, run once for all tests of this file."""
    return rehearse(tiny_lesson)


def test_a_good_lesson_has_no_problems_in_a_real_kernel(rehearsed):
    assert rehearsed.problems == []
    assert len(rehearsed.steps) == 10


def test_its_slides_contain_the_key_sentences_and_figures(rehearsed):
    opening, image = slides_of(rehearsed)
    assert opening.title and image.text.startswith("An image is a block of numbers")
    assert image.figure.startswith(b"\x89PNG")
    page = deck([rehearsed])
    assert page.count("<section") == 3 and "data:image/png;base64," in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_an_exception_is_reported_with_its_place(write_lesson_file, tmp_path, monkeypatch, capsys):
    path = write_lesson_file('numbers = 32 * 32 * 3\ncheck("1.1", numbers)', "numbers = 3 / 0")
    text = path.read_text(encoding="utf-8").replace("import numpy as np\nfrom torch import nn\n", "")
    text = text.replace("leaves = images(folder, leaves=2, shots=1, size=32)\nleaves", "")
    path.write_text(text.replace("figures.examples(leaves.x, leaves.y, leaves.names)", ""), encoding="utf-8")
    arguments = ["build", str(path), "--run", "--out", str(tmp_path / "built"), "--look", str(tmp_path / "look")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        building.main()
    output = capsys.readouterr()
    line = next(number for number, text_line in enumerate(text.splitlines(), 1) if "solution=" in text_line)
    assert ended.value.code == 1
    assert f"01_changed.py, line {line}: the cell raises" in output.err and "ZeroDivisionError" in output.err
    assert (tmp_path / "built" / "answers" / "01_changed.ipynb").is_file()
    assert "ZeroDivisionError" in (tmp_path / "look" / "01_changed" / "transcript.md").read_text(encoding="utf-8")


def test_a_total_time_above_the_limit_is_a_problem(tiny_lesson, monkeypatch, capsys):
    import typer

    from coverslip.course.rehearsal import Rehearsal

    monkeypatch.setattr(building, "rehearse", lambda lesson, **_: Rehearsal(lesson, (), 0.0))
    with pytest.raises(typer.Exit):
        building._run([tiny_lesson], -1.0, False, None, None)
    assert "the limit is" in capsys.readouterr().err


def test_an_invalid_lesson_ends_with_exit_code_2(tmp_path, monkeypatch, capsys):
    (tmp_path / "01_bare.py").write_text("# %%\nx = 1\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["build", str(tmp_path / "01_bare.py")])
    with pytest.raises(SystemExit) as ended:
        building.main()
    assert ended.value.code == 2 and "front matter" in capsys.readouterr().err

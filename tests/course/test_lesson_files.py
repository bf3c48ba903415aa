"""Lesson sources: parsing, and the error messages for their authors."""

import pytest

pytest.importorskip("jupytext")
from coverslip.core.errors import UserError
from coverslip.course.lesson import read_lesson


def test_a_lesson_has_its_tasks_and_the_lines_of_its_cells(tiny_lesson):
    assert (tiny_lesson.number, tiny_lesson.title, tiny_lesson.minutes) == (1, "A tiny lesson", 5)
    assert tiny_lesson.tasks == ("1.1", "1.2")
    lines = tiny_lesson.path.read_text(encoding="utf-8").splitlines()
    assert all(lines[cell.line - 1].startswith("# %%") for cell in tiny_lesson.cells)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('# %% wrong="1.1" says="one color"', '# %% wrong="1.1"', "has no 'says'"),
        ('# %% solution="1.1"', '# %% solutoin="1.1"', "did you mean 'solution'"),
        ('# %% solution="1.1"\nnumbers = 32 * 32 * 3\ncheck("1.1", numbers)\n', "", "task 1.1 has no solution"),
        ('# %% wrong="1.1" says="one color"', '# %% wrong="1.3" says="one color"', "task '1.3' has no check"),
        ("# minutes: 5\n", "", "lacks 'minutes'"),
        ("HINTS = (", "NO = (", "lacks HINTS or grade"),
        ("# number: 1", "# number: 2", "does not belong to lesson 2"),
    ],
)
def test_a_mistake_in_a_lesson_is_named(write_lesson_file, old, new, message):
    with pytest.raises(UserError, match=message):
        read_lesson(write_lesson_file(old, new))


def test_a_lesson_without_front_matter_is_refused(tmp_path):
    path = tmp_path / "01_bare.py"
    path.write_text("# %%\nx = 1\n", encoding="utf-8")
    with pytest.raises(UserError, match="front matter"):
        read_lesson(path)

"""TEACHING.md says what the lessons say, and the day fits into the day."""

from itertools import pairwise
from pathlib import Path

import pytest

from coverslip.core.errors import UserError
from coverslip.course.slides import words
from coverslip.course.timetable import BREAKS, END, START, timetable

REPOSITORY = Path(__file__).parents[2]


def minutes(slots, name):
    return sum(slot.end - slot.start for slot in slots if slot.what.startswith(name))


@pytest.mark.parametrize("lengths", [(45, 75, 75, 75, 65, 40), (375,), (10, 10), (90, 90, 80, 115), (30,) * 12])
def test_the_day_is_full_from_its_start_to_its_end_and_every_lesson_has_its_minutes(lengths):
    slots = timetable([(f"<{number}>", length) for number, length in enumerate(lengths)])
    assert slots[0].start == START and slots[-1].end == END
    assert all(one.end == other.start for one, other in pairwise(slots))
    assert [minutes(slots, f"<{number}>") for number in range(len(lengths))] == list(lengths)
    assert [slot.what for slot in slots if slot.what in ("Coffee", "Lunch")] == [what for _, _, what in BREAKS]


def test_more_lessons_than_day_are_refused():
    with pytest.raises(UserError, match="25 minutes too long"):
        timetable([("one", 400)])


def test_the_teachers_page_has_each_task_with_its_words_and_what_the_check_knows(tiny_lesson):
    from coverslip.course.teaching import teaching_text

    text = teaching_text([tiny_lesson], "# Day\n{timetable}\n\n{lessons}\n")
    assert "| 9:15–9:20 | 1. A tiny lesson |" in text
    assert "### Task 1.1: The count of numbers in one image of 32 x 32 pixels\n\n**What it is for.**" in text
    assert "“one color”, “four images”" in text
    with pytest.raises(UserError, match=r"lacks \{lessons\}"):
        teaching_text([tiny_lesson], "{timetable}")


def test_the_teachers_page_is_in_step_with_the_lessons():
    pytest.importorskip("jupytext")
    if not list((REPOSITORY / "lessons").glob("[0-9]*_*.py")):
        pytest.skip("there is no lesson yet")
    from coverslip.course.lesson import read_lessons
    from coverslip.course.teaching import read_frame, teaching_text

    lessons = read_lessons(REPOSITORY / "lessons")
    text = teaching_text(lessons, read_frame(REPOSITORY / "lessons"))
    shown = (REPOSITORY / "TEACHING.md").read_text(encoding="utf-8")
    assert shown == text, "make it anew: python -m coverslip.course.build --teaching TEACHING.md"


def test_a_key_sentence_keeps_its_emphasis_and_nothing_else():
    assert words("One **layer**,\n*many* `x < 1`.") == (
        "<p>One <strong>layer</strong>, <em>many</em> <code>x &lt; 1</code>.</p>"
    )
    assert words("- a\n- b") == "<ul><li>a</li><li>b</li></ul>"
    assert "<script>" not in words("<script>alert(1)</script>")

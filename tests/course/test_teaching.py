"""TEACHING.md matches the lessons, and the timetable fits into the day."""

from itertools import pairwise
from pathlib import Path

import pytest

from coverslip.core.errors import UserError
from coverslip.course.slides import markdown_to_html
from coverslip.course.timetable import BREAKS, END, START, timetable

REPOSITORY = Path(__file__).parents[2]


def minutes(slots, name):
    return sum(slot.end - slot.start for slot in slots if slot.title.startswith(name))


@pytest.mark.parametrize("lengths", [(45, 75, 75, 75, 65, 40), (375,), (10, 10), (90, 90, 80, 115), (30,) * 12])
def test_the_timetable_fills_the_day_and_every_lesson_has_its_minutes(lengths):
    slots = timetable([(f"<{number}>", length) for number, length in enumerate(lengths)])
    assert slots[0].start == START and slots[-1].end == END
    assert all(one.end == other.start for one, other in pairwise(slots))
    assert [minutes(slots, f"<{number}>") for number in range(len(lengths))] == list(lengths)
    assert [slot.title for slot in slots if slot.title in ("Coffee", "Lunch")] == [name for _, _, name in BREAKS]


def test_too_many_lessons_for_one_day_are_refused():
    with pytest.raises(UserError, match="25 minutes too long"):
        timetable([("one", 400)])


def test_the_teachers_page_lists_each_task_with_its_purpose_and_known_mistakes(tiny_lesson):
    from coverslip.course.teaching import teaching_text

    text = teaching_text([tiny_lesson], "# Day\n{timetable}\n\n{lessons}\n")
    assert "| 9:15–9:20 | 1. A tiny lesson |" in text
    assert "### Task 1.1: The count of numbers in one image of 32 x 32 pixels\n\n**Purpose.**" in text
    assert "“one color”, “four images”" in text
    with pytest.raises(UserError, match=r"lacks \{lessons\}"):
        teaching_text([tiny_lesson], "{timetable}")


def test_the_teachers_page_is_up_to_date():
    pytest.importorskip("jupytext")
    if not list((REPOSITORY / "lessons").glob("[0-9]*_*.py")):
        pytest.skip("there is no lesson yet")
    from coverslip.course.lesson import read_lessons
    from coverslip.course.teaching import read_frame, teaching_text

    lessons = read_lessons(REPOSITORY / "lessons")
    text = teaching_text(lessons, read_frame(REPOSITORY / "lessons"))
    shown = (REPOSITORY / "TEACHING.md").read_text(encoding="utf-8")
    assert shown == text, "rebuild it: python -m coverslip.course.build --teaching TEACHING.md"


def test_the_markdown_of_a_key_sentence_becomes_safe_html():
    assert markdown_to_html("One **layer**,\n*many* `x < 1`.") == (
        "<p>One <strong>layer</strong>, <em>many</em> <code>x &lt; 1</code>.</p>"
    )
    assert markdown_to_html("- a\n- b") == "<ul><li>a</li><li>b</li></ul>"
    assert "<script>" not in markdown_to_html("<script>alert(1)</script>")

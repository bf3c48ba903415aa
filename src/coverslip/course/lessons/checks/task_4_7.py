# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/04_improving.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Twice as many slides make an interval narrower by the square root of two. Here it must be three times narrower.",
    "For an interval that is three times narrower you need 3 * 3 times as many slides.",
)


def grade(slides: float):
    """The number of slides."""
    if 290 <= slides <= 310:
        return "300 slides make it narrower only by the square root of 3, to about 0.035."
    if slides < 100:
        return f"{slides:g} slides make the interval wider: more slides make it narrower."
    if slides == 100:
        return "With 100 slides the interval stays the same, even with more photographs of the same slides."
    if not 850 <= slides <= 950:
        return f"{slides:,.0f} is not correct: for a third of the width you need three times three as many slides."
    return Passed("900: nine times as many slides for an interval a third as wide. Good to know before the study.")

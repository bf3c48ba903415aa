# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/04_improving.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Twice as many slides make an interval narrower by the square root of two. Here: three times narrower.",
    "Three times narrower takes 3 * 3 times as many slides.",
)


def judge(slides: float):
    """The number of slides."""
    if 290 <= slides <= 310:
        return "300 would make it narrower by the square root of 3 only, to about 0.035."
    if slides < 100:
        return f"{slides:g} would make the interval wider: more slides make it narrower."
    if slides == 100:
        return "With as many the interval stays as it is, even if the same slides are photographed more often."
    if not 850 <= slides <= 950:
        return f"{slides:,.0f} it is not: three times narrower takes three times three as many."
    return Passed("900: nine times as many slides for an interval a third as wide. Good to know before the study.")

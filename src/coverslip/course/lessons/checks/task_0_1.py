# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Replace the three dots, and run the cell again with Shift + Enter. * multiplies.",
    "discs = 5 * rows_of_discs * discs_in_a_row",
)


def grade(discs: int):
    """The number of discs on five trays."""
    if discs == 96:
        return "This is one tray; there are five."
    if discs == 25:
        return "This is a sum. Each row has 8 discs and each tray has 12 rows, so multiply; the sign is *."
    if discs != 480:
        return f"{discs:,} is not correct. There are five trays with twelve rows of eight discs."
    return Passed("480 discs. All tasks work like this one; now come the interesting ones.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Replace the three dots, and run the cell again with Shift + Enter. * multiplies.",
    "discs = 5 * rows_of_discs * discs_in_a_row",
)


def judge(discs: int):
    """The number of discs on five trays."""
    if discs == 96:
        return "That is one tray; there are five."
    if discs == 25:
        return "That adds them up. Every row holds 8 discs and every tray 12 rows, so multiply: the sign is *."
    if discs != 480:
        return f"{discs:,} it is not. Five trays of twelve rows of eight discs."
    return Passed("480 discs. This is how all tasks work; now for the interesting ones.")

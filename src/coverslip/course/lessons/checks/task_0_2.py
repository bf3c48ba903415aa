# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from coverslip.course.image_set import Images

HINTS = (
    "Write four numbers in the brackets: image, row, column, color. The first image is number 0.",
    "leaves.x[0, 10, 20, ...]: red is 0, green is 1, blue is 2.",
)


def grade(green: int, leaves: Images):
    """The green value of the pixel in row 10, column 20 of the first image."""
    x = leaves.x
    if green == int(x[0, 10, 20, 1]):
        return Passed(f"{green} is correct. Every number of every image has such an address.")
    mistakes = {
        (0, 20, 10, 1): "This is row 20, column 10: the row comes first, then the column.",
        (0, 10, 20, 2): "This is the blue value. Counting starts at 0: red 0, green 1, blue 2.",
        (0, 10, 20, 0): "This is the red value: red is 0, green is 1.",
        (1, 10, 20, 1): "This is the second image; the first one is number 0.",
        (0, 9, 19, 1): "This is row 9, column 19. The task already counts from 0, so row 10 is simply 10.",
    }
    for address, message in mistakes.items():
        if green == int(x[address]):
            return message
    return f"The value at this address is not {green}."

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = ("Rows times columns is the number of pixels; each pixel is three numbers.", "224 * 224 * 3")


def grade(numbers: int):
    """The count of numbers in a color image of 224 x 224 pixels."""
    if numbers == 224 * 224:
        return "This is the number of pixels: one number each, as if there were only one color."
    if numbers == 224 * 3:
        return "This is one side of the image. An image has 224 rows of 224 pixels."
    if numbers == 224 + 224 + 3:
        return "Multiply the three sizes of the box; do not add them."
    if numbers != 150_528:
        return f"{numbers:,} is not correct."
    return Passed("150,528 numbers for an image the size of a stamp. Networks are large because images are large.")

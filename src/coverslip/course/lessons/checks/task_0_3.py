# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = ("Rows times columns gives the pixels; each pixel is three numbers.", "224 * 224 * 3")


def judge(numbers: int):
    """The count of numbers in a color image of 224 x 224 pixels."""
    if numbers == 224 * 224:
        return "That counts the pixels: one number each, as if there were one color only."
    if numbers == 224 * 3:
        return "That is one side of the image. An image has 224 rows of 224 pixels."
    if numbers == 224 + 224 + 3:
        return "The three sizes of a box are multiplied, not added."
    if numbers != 150_528:
        return f"{numbers:,} it is not."
    return Passed("150,528 numbers, for an image the size of a stamp. Networks are large because images are.")

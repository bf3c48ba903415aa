# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from coverslip.course.image_set import Images

HINTS = (
    "Four numbers go into the brackets: image, row, column, color. The first image is 0.",
    "leaves.x[0, 10, 20, ...]: red is 0, green is 1, blue is 2.",
)


def judge(green: int, leaves: Images):
    """The green value of the pixel in row 10, column 20 of the first image."""
    x = leaves.x
    if green == int(x[0, 10, 20, 1]):
        return Passed(f"{green} it is. Every number of every image has such an address.")
    slips = {
        (0, 20, 10, 1): "That is row 20, column 10: the row comes first, then the column.",
        (0, 10, 20, 2): "That is the blue value. Counting begins at 0: red 0, green 1, blue 2.",
        (0, 10, 20, 0): "That is the red value: red is 0, green is 1.",
        (1, 10, 20, 1): "That is the second image; the first one is number 0.",
        (0, 9, 19, 1): "That is row 9, column 19. Rows and columns are counted from 0 here, too, so row 10 is just 10.",
    }
    for address, word in slips.items():
        if green == int(x[address]):
            return word
    return f"{green} is not at that address."

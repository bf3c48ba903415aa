# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/03_convolutions.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "A filter has 3 x 3 weights for each input map (or color), and one bias. Count one filter, then multiply.",
    "first is (3 * 3 * 3 + 1) * 16. The filters of the second block have 16 input maps instead of 3 colors.",
)


def grade(first: int, second: int, dense: int):
    """Three counts of weights and biases."""
    if (first, second) == (432, 4_608):
        return "Close: one bias is missing for each filter (and for each unit)."
    if first == (9 + 1) * 16:
        return "first: this is a filter for a grey image. It needs weights for all three colors."
    if first == 48 * 48 * 3 * 16 + 16:
        return "first: this is a dense layer of 16 units. A filter's weights do not depend on the size of the image."
    if first != 448:
        return f"first: {first:,} is not correct. One filter has 3 x 3 x 3 weights and a bias, and there are 16."
    if second in ((9 + 1) * 32, (27 + 1) * 32):
        return "second: each of its filters has weights for all 16 maps of the first block."
    if second != 4_640:
        return f"second: {second:,} is not correct. One filter has 3 x 3 x 16 weights and a bias, and there are 32."
    if dense == 48 * 48 * 3 * 64:
        return "dense: each of the 64 units has a bias, too."
    if dense != 442_432:
        return f"dense: {dense:,} is not correct. Every unit has a weight for each of the 48 x 48 x 3 numbers."
    return Passed(
        "448, 4,640 and 442,432: the first block has about a thousandth of the parameters of the dense layer."
    )

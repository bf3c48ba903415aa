# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/03_convolutions.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "A filter has 3 x 3 weights for each map (or color) below it, and one bias. Count one filter, then times filters.",
    "first is (3 * 3 * 3 + 1) * 16. The second block's filters reach through 16 maps instead of 3 colors.",
)


def judge(first: int, second: int, dense: int):
    """Three counts of weights and biases."""
    if (first, second) == (432, 4_608):
        return "Close: one bias is missing for each filter (and for each unit)."
    if first == (9 + 1) * 16:
        return "first: that is a filter for a grey image. It reaches through all three colors."
    if first == 48 * 48 * 3 * 16 + 16:
        return "first: that is a dense layer of 16 units. A filter's weights do not depend on the size of the image."
    if first != 448:
        return f"first: {first:,} it is not. One filter has 3 x 3 x 3 weights and a bias, and there are 16."
    if second in ((9 + 1) * 32, (27 + 1) * 32):
        return "second: each of its filters reaches through all 16 maps of the first block."
    if second != 4_640:
        return f"second: {second:,} it is not. One filter has 3 x 3 x 16 weights and a bias, and there are 32."
    if dense == 48 * 48 * 3 * 64:
        return "dense: each of the 64 units has a bias too."
    if dense != 442_432:
        return f"dense: {dense:,} it is not. Every unit has a weight for each of the 48 x 48 x 3 numbers."
    return Passed("448, 4,640 and 442,432: the first block costs about a thousandth of the dense layer.")

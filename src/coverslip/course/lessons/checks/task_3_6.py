# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/03_convolutions.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Each block halves the image, and there are three. For `sees`, look at the last pooling layer in the summary.",
    "48 pixels on 6 places are 8 each. The row of the last MaxPool2d says in its last column what a place sees.",
)


def judge(apart: int, sees: int):
    """Pixels between two places of the last map, and pixels that one of them sees."""
    if apart in (6, 3, 2):
        return f"apart: {apart} it is not. The image was halved three times: 2 x 2 x 2 pixels."
    if apart != 8:
        return f"apart: {apart} it is not: 6 places share 48 pixels."
    if sees == 8:
        return "sees: neighboring places see pieces that overlap, so each sees more than the distance between them."
    if sees == 48:
        return "sees: only the dense layers after the last block see the whole image."
    if sees == 18:
        return "sees: that is before the last pooling, which takes in its neighbors too."
    if sees != 22:
        return f"sees: {sees} it is not; look at the row of the last MaxPool2d."
    return Passed("8 apart, and 22 pixels wide: what is finer than 8 pixels no map of the last block can point at.")

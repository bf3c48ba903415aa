# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/03_convolutions.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "There are three blocks, and each halves the image. Find the last pooling layer in the summary.",
    "48 pixels divided by 6 positions are 8. The receptive field is in the last column of the last MaxPool2d.",
)


def grade(distance: int, receptive_field: int):
    """The distance of two positions of the last map in pixels, and their receptive field."""
    if distance in (6, 3, 2):
        return f"distance: {distance} is not correct. The image was halved three times: 2 x 2 x 2 pixels."
    if distance != 8:
        return f"distance: {distance} is not correct: 6 positions share 48 pixels."
    if receptive_field == 8:
        return "receptive_field: the receptive fields of neighboring positions overlap, so they are wider than 8."
    if receptive_field == 48:
        return "receptive_field: only the dense layers after the last block see the whole image."
    if receptive_field == 18:
        return "receptive_field: this is before the last pooling, which includes its neighbors, too."
    if receptive_field != 22:
        return f"receptive_field: {receptive_field} is not correct; look at the row of the last MaxPool2d."
    return Passed("A distance of 8 and a receptive field of 22 pixels: the last block cannot locate finer details.")

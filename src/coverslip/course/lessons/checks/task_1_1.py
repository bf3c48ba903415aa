# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/01_your_first_network.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from coverslip.course.image_set import Images

HINTS = ("Flattening loses nothing: count rows, columns and colors.", "128 * 128 * 3")


def grade(inputs: int, train: Images):
    """The count of numbers in one image of the lesson."""
    _, height, width, colors = train.x.shape
    if inputs == height * width:
        return "This is the number of pixels. Each pixel has three colors."
    if inputs == train.x.size:
        return "This is the number for all images together. The question is about one image."
    if inputs != height * width * colors:
        return f"{inputs:,} is not correct."
    return Passed(f"The network has {inputs:,} inputs.")

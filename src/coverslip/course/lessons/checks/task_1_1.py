# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/01_your_first_network.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from coverslip.course.image_set import Images

HINTS = ("Flattening loses nothing: count rows, columns and colors.", "128 * 128 * 3")


def judge(inputs: int, train: Images):
    """The count of numbers in one image of the lesson."""
    _, height, width, colors = train.x.shape
    if inputs == height * width:
        return "That is the number of pixels. Each pixel has three colors."
    if inputs == train.x.size:
        return "That is all images together. Only one image goes through the network at a time."
    if inputs != height * width * colors:
        return f"{inputs:,} it is not."
    return Passed(f"{inputs:,} numbers go in.")

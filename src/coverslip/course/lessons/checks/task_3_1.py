# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/03_convolutions.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from collections.abc import Callable

import numpy as np

from coverslip.course.kernels import LIGHT_AND_DARK, VERTICAL_EDGE, slide

HINTS = (
    "A kernel of 3 on a side of 6 can begin at pixel 0, 1, 2 or 3: that is 6 - 3 + 1 places.",
    "rows = image.shape[0] - h + 1, columns likewise; answer[r, c] = (image[r : r + h, c : c + w] * kernel).sum()",
)


def judge(convolve: Callable):
    """A function of an image and a kernel that gives the table of sums."""
    try:
        got = convolve(LIGHT_AND_DARK, VERTICAL_EDGE)
    except ValueError as error:
        if "sequence" in str(error):
            return "At one place the answer has room for one number, and you put all nine products there: add them up."
        raise
    if got is ... or got is None:
        return ""
    got = np.asarray(got, float)
    wanted = slide(LIGHT_AND_DARK, VERTICAL_EDGE)
    if got.shape == (3, 3):
        return "The answer is 3 x 3: one row and one column are missing. Where can a kernel of 3 begin on a side of 6?"
    if got.shape != wanted.shape:
        size = " x ".join(map(str, got.shape))
        return f"The answer to the 6 x 6 image is {size or 'a single number'}; it has room for 4 x 4 sums."
    if not got.any():
        return "The answer is the table of zeros, as it was given: put the sum of the products in its place."
    if np.allclose(got, -wanted):
        return "The signs are turned round: lay the kernel on as it is, without turning it over."
    if np.allclose(got, wanted / 9):
        return "That is the mean of the nine products; the sum is wanted."
    chance = np.random.default_rng(3)
    image, kernel = chance.integers(0, 9, (7, 5)), chance.integers(-2, 3, (3, 2))
    other = slide(image, kernel)
    try:
        tried = np.asarray(convolve(image, kernel), float)
    except (ValueError, IndexError):
        tried = np.zeros(0)
    if np.allclose(got, wanted) and tried.shape != other.shape:
        return (
            "It is right for the 6 x 6 image, but not for one of 7 x 5 and a kernel of 3 x 2: there are fixed "
            "numbers in it, or rows and columns are mixed up. Compute rows from image.shape[0] and h, columns from "
            "image.shape[1] and w."
        )
    if not np.allclose(got, wanted) or not np.allclose(tried, other):
        if tried.shape == other.shape and np.allclose(tried, slide(image, kernel[::-1, ::-1])):
            return "The kernel is turned round before it is laid on; here it is used as it is."
        return "Some sums are not right yet. Tried with an image of 7 x 5 and a kernel of 3 x 2 too: mind h and w."
    return Passed(
        "0, 30, 30, 0 in each of four rows: your function finds the edge, and works for any image and kernel."
    )

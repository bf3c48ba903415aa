# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/03_convolutions.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from collections.abc import Callable

import numpy as np

from coverslip.course.kernels import LIGHT_AND_DARK, VERTICAL_EDGE, slide_kernel

HINTS = (
    "A kernel of 3 on a side of 6 can start at pixel 0, 1, 2 or 3: these are 6 - 3 + 1 positions.",
    "rows = image.shape[0] - h + 1, columns likewise; output[r, c] = (image[r : r + h, c : c + w] * kernel).sum()",
)


def grade(convolve: Callable):
    """A function of an image and a kernel that returns the table of sums."""
    try:
        output = convolve(LIGHT_AND_DARK, VERTICAL_EDGE)
    except ValueError as error:
        if "sequence" in str(error):
            return "One position of the output is one number, but you assign all nine products to it: add them up."
        raise
    if output is ... or output is None:
        return ""
    output = np.asarray(output, float)
    expected = slide_kernel(LIGHT_AND_DARK, VERTICAL_EDGE)
    if output.shape == (3, 3):
        return "The output is 3 x 3: one row and one column are missing. Where can a kernel of 3 start on a side of 6?"
    if output.shape != expected.shape:
        size = " x ".join(map(str, output.shape))
        return f"The output for the 6 x 6 image is {size or 'a single number'}; it should be 4 x 4."
    if not output.any():
        return "The output is the table of zeros, as it was given: replace the zeros with the sums of the products."
    if np.allclose(output, -expected):
        return "The signs are reversed: the kernel was flipped. Use it as it is."
    if np.allclose(output, expected / 9):
        return "This is the mean of the nine products; the task asks for the sum."
    rng = np.random.default_rng(3)
    image, kernel = rng.integers(0, 9, (7, 5)), rng.integers(-2, 3, (3, 2))
    other_expected = slide_kernel(image, kernel)
    try:
        other_output = np.asarray(convolve(image, kernel), float)
    except (ValueError, IndexError):
        other_output = np.zeros(0)
    if np.allclose(output, expected) and other_output.shape != other_expected.shape:
        return (
            "It is right for the 6 x 6 image, but not for an image of 7 x 5 and a kernel of 3 x 2: it contains fixed "
            "numbers, or rows and columns are exchanged. Compute rows from image.shape[0] and h, and columns from "
            "image.shape[1] and w."
        )
    if not np.allclose(output, expected) or not np.allclose(other_output, other_expected):
        flipped = slide_kernel(image, kernel[::-1, ::-1])
        if other_output.shape == flipped.shape and np.allclose(other_output, flipped):
            return "The kernel is flipped before it is used; here it is used as it is."
        return "Some sums are not right yet. The check also tries a 7 x 5 image and a 3 x 2 kernel: check h and w."
    return Passed(
        "0, 30, 30, 0 in each of four rows: your function detects the edge, and works for any image and kernel."
    )

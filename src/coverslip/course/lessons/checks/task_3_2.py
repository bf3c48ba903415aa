# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/03_convolutions.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from collections.abc import Callable

from coverslip.course.kernels import output_size as correct_size

HINTS = (
    "Count the first position, and then how often the kernel can move before it leaves the image.",
    "The padded side is side + 2 * padding. The kernel moves (padded side - kernel) // stride times; add 1.",
)
CASES = [
    (6, 3, 1, 0, "6 pixels, a kernel of 3"),
    (6, 3, 1, 1, "6 pixels, a kernel of 3, padding 1"),
    (6, 3, 2, 1, "6 pixels, a kernel of 3, stride 2, padding 1"),
    (48, 5, 1, 2, "48 pixels, a kernel of 5, padding 2"),
    (224, 11, 4, 2, "224 pixels, a kernel of 11, stride 4, padding 2"),
]


def grade(output_size: Callable):
    """A function of side, kernel, stride and padding that returns the size of the output."""
    for side, kernel, stride, padding, case in CASES:
        size = output_size(side, kernel, stride, padding)
        if size is ... or size is None:
            return ""
        expected = correct_size(side, kernel, stride=stride, padding=padding)
        if size == expected and isinstance(size, float):
            return "The number is right, but a size is a whole number: divide with // instead of /."
        if isinstance(size, float) and int(size) == expected:
            return f"For {case} it returns {size:g}: a size is a whole number. Divide with // instead of /."
        if padding and stride == 1 and size != expected and size == (side + padding - kernel) // stride + 1:
            return f"For {case} it returns {size}: the padding is added at both ends."
        if size == expected - 1:
            return f"For {case} it returns {size}: the first position is not counted. Add 1 *after* dividing."
        if size != expected:
            return f"For {case} it returns {size}, but the kernel has {expected} positions."
    return Passed(
        "Right, also for the first layer of AlexNet: 224 pixels, a kernel of 11, stride 4 and padding 2 give 55."
    )

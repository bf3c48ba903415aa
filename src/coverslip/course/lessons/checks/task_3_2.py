# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/03_convolutions.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from collections.abc import Callable

from coverslip.course.kernels import side_after

HINTS = (
    "Count the first place, and then how often the kernel can move on before it leaves the image.",
    "The padded side is side + 2 * padding. The kernel moves on (padded side - kernel) // stride times: and 1.",
)
CASES = [
    (6, 3, 1, 0, "6 pixels, a kernel of 3"),
    (6, 3, 1, 1, "6 pixels, a kernel of 3, padding 1"),
    (6, 3, 2, 1, "6 pixels, a kernel of 3, stride 2, padding 1"),
    (48, 5, 1, 2, "48 pixels, a kernel of 5, padding 2"),
    (224, 11, 4, 2, "224 pixels, a kernel of 11, stride 4, padding 2"),
]


def judge(places: Callable):
    """A function of side, kernel, stride and padding that gives the side of the answer."""
    for side, kernel, stride, padding, said in CASES:
        got = places(side, kernel, stride, padding)
        if got is ... or got is None:
            return ""
        wanted = side_after(side, kernel, stride=stride, padding=padding)
        if got == wanted and isinstance(got, float):
            return "The number is right, but a size is a whole number: divide with // instead of /."
        if isinstance(got, float) and int(got) == wanted:
            return f"For {said} it gives {got:g}: only a whole number of places counts. Divide with // instead of /."
        if padding and stride == 1 and got != wanted and got == (side + padding - kernel) // stride + 1:
            return f"For {said} it gives {got}: the border is added at both ends."
        if got == wanted - 1:
            return f"For {said} it gives {got}: the first place is not counted yet. It is 1 more, *after* dividing."
        if got != wanted:
            return f"For {said} it gives {got}, and the kernel finds {wanted} places."
    return Passed(
        "Right, also for the first layer of AlexNet: 224 pixels, a kernel of 11, stride 4 and padding 2 give 55."
    )

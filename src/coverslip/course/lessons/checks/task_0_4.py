# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/00_what_deep_learning_can_do.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from coverslip.course.image_set import Images

HINTS = (
    "Look at the figure: move the line so that most images of the first class are to its right and most images of "
    "the second class to its left.",
    "max(red, key=accuracy) tries the number of every image as a threshold and returns the best one.",
)


def grade(threshold: float, red, train: Images):
    """A threshold whose accuracy on the training images is within 0.01 of the best."""
    first = train.y == 0

    def accuracy(value):
        return float(((red >= value) == first).mean())

    best = max(accuracy(value) for value in red)
    reached = accuracy(threshold)
    if reached >= best - 0.01:
        return Passed(
            f"Accuracy {reached:.3f}, and no threshold reaches more than {best:.3f}. You have just trained a "
            "classifier: you turned one knob until as many examples as possible were correct."
        )
    if abs(threshold - best) < 1e-9:
        return (
            f"{threshold:.3f}: this is an accuracy, not a threshold. The threshold is the position on the horizontal "
            "axis at which this accuracy is reached."
        )
    return (
        f"A threshold of {threshold:.1f} has an accuracy of {reached:.3f}; there are better thresholds "
        f"(up to {best:.3f})."
    )

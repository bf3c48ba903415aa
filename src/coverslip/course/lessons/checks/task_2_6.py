# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from coverslip.course.sweeps import Sweep

HINTS = (
    "The first answer is in the column 'training', the second in the column 'loss'.",
    "Go down the column 'training' to the first number of 0.95 or more. Then look for the smallest number in the "
    "column 'loss'.",
)


def grade(enough_units: int, lowest_loss: int, by_units: Sweep):
    """The smallest number of units with a training accuracy of 0.95, and the one with the lowest held-out loss."""
    accuracies = {result.value: result.train["value"] for result in by_units.trained}
    losses = {result.value: result.loss["value"] for result in by_units.trained}
    for units in (enough_units, lowest_loss):
        if units not in accuracies:
            return f"{units} units are not in this sweep; choose from {', '.join(map(str, accuracies))}."
    enough = next((units for units, accuracy in accuracies.items() if accuracy >= 0.95), max(accuracies))
    best = min(losses, key=losses.get)
    if enough_units != enough:
        if enough_units > enough:
            return f"{enough_units} units are enough, but a smaller number is enough, too."
        return (
            f"With {enough_units} units the accuracy on the training images is {accuracies[enough_units]:.2f}; the "
            "task asks for 0.95."
        )
    if lowest_loss != best:
        return (
            f"With {lowest_loss} units the loss on the held-out leaves is {losses[lowest_loss]:.2f}. The task asks for "
            "the lowest loss; there is a lower one."
        )
    return Passed(
        f"{enough} units are enough to memorize the training images; {best} units have the lowest loss on other leaves "
        f"({losses[best]:.2f})."
    )

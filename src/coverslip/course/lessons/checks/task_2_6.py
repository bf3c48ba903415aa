# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from coverslip.course.sweeps import Sweep

HINTS = (
    "The first is in the column 'learned from', the second in the column 'loss'.",
    "Go down the column 'learned from' to the first number of 0.95 or more. Then look for the smallest number in the "
    "column 'loss'.",
)


def judge(enough_to_hold: int, lowest_loss: int, by_units: Sweep):
    """The smallest number of units that reaches 0.95 on what it learned from, and the one with the lowest loss held "
    "out."""
    shares = {each.value: each.train["value"] for each in by_units.trained}
    losses = {each.value: each.loss["value"] for each in by_units.trained}
    for given in (enough_to_hold, lowest_loss):
        if given not in shares:
            return f"{given} units were not tried; choose from {', '.join(map(str, shares))}."
    enough = next((units for units, share in shares.items() if share >= 0.95), max(shares))
    best = min(losses, key=losses.get)
    if enough_to_hold != enough:
        if enough_to_hold > enough:
            return f"{enough_to_hold} units do it; but a smaller number does it, too."
        return (
            f"{enough_to_hold} units are right on {shares[enough_to_hold]:.2f} of what they learned from; 0.95 is "
            "wanted."
        )
    if lowest_loss != best:
        return (
            f"{lowest_loss} units have a loss of {losses[lowest_loss]:.2f} held out; there is a lower one. The "
            "lowest loss is what is asked for."
        )
    return Passed(
        f"{enough} units hold the examples; {best} have the lowest loss on other leaves ({losses[best]:.2f})."
    )

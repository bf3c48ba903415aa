# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import math

from coverslip.course.sweeps import Sweep

HINTS = (
    "Look in the table: which values have a high accuracy held out, and a loss below that of guessing?",
    "0.001 is the rule of thumb for Adam, and it is good here.",
)


def grade(good_lr: float, with_center: Sweep):
    """A learning rate whose accuracy reaches the interval of the best, and whose loss is below guessing."""
    if good_lr not in with_center.values:
        return (
            f"{good_lr:g} is not in this sweep; choose one of "
            f"{', '.join(f'{value:g}' for value in with_center.values)}."
        )
    chosen, best = with_center[good_lr], with_center[with_center.best]
    if chosen.held_out is None:
        return f"With {good_lr:g} the training diverged."
    guessing, accuracy = math.log(with_center.classes), chosen.held_out["value"]
    if chosen.loss["value"] >= guessing:
        return (
            f"With {good_lr:g} the loss is {chosen.loss['value']:.2f}, above that of guessing ({guessing:.2f}): the "
            "network is confidently wrong."
        )
    low = best.held_out["low"] if best.held_out["low"] is not None else best.held_out["value"]
    high = chosen.held_out["high"] if chosen.held_out["high"] is not None else accuracy
    if high < low or accuracy < low - 0.05:
        started = " After these epochs it has hardly started to learn." if good_lr < with_center.best else ""
        return (
            f"With {good_lr:g} the accuracy on the held-out leaves is {accuracy:.2f}; {with_center.best:g} reaches "
            f"{best.held_out['value']:.2f}.{started}"
        )
    return Passed(
        f"{good_lr:g}: an accuracy of {accuracy:.2f} on the held-out leaves, with a loss of {chosen.loss['value']:.2f}."
    )

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import math

from coverslip.course.sweeps import Sweep

HINTS = (
    "In the table: whose accuracy held out is high, with a loss below that of guessing?",
    "0.001 is the rule of thumb for Adam, and it holds here.",
)


def judge(good_rate: float, with_center: Sweep):
    """A rate whose accuracy reaches into the interval of the best, and whose loss is below guessing."""
    if good_rate not in with_center.values:
        return (
            f"{good_rate:g} was not tried in this sweep; choose one of "
            f"{', '.join(f'{each:g}' for each in with_center.values)}."
        )
    one, best = with_center[good_rate], with_center[with_center.best]
    if one.held_out is None:
        return f"With {good_rate:g} the training broke."
    guessing = math.log(with_center.classes)
    if one.loss["value"] >= guessing:
        return (
            f"With {good_rate:g} the loss is {one.loss['value']:.2f}, above that of guessing ({guessing:.2f}): it is "
            "confidently wrong."
        )
    low = best.held_out["low"] if best.held_out["low"] is not None else best.held_out["value"]
    high = one.held_out["high"] if one.held_out["high"] is not None else one.held_out["value"]
    if high < low or one.held_out["value"] < low - 0.05:
        begun = " It has hardly begun after these epochs." if good_rate < with_center.best else ""
        return (
            f"With {good_rate:g} it is right on {one.held_out['value']:.2f} held out, and {with_center.best:g} "
            f"reaches {best.held_out['value']:.2f}.{begun}"
        )
    return Passed(
        f"{good_rate:g}: right on {one.held_out['value']:.2f} of the leaves held out, with a loss of "
        f"{one.loss['value']:.2f}."
    )

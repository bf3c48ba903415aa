# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import numpy as np

from coverslip.training.outcome import History

HINTS = (
    "Look at the validation loss in the left figure: where is it lowest?",
    "history.frame['validation_loss'].to_numpy().argmin() + 1",
)


def grade(stop_after: int, history: History):
    """The epoch with the lowest validation loss, or one that is equally good."""
    losses = history.frame["validation_loss"].to_numpy()
    if not 1 <= stop_after <= len(losses):
        return f"The epochs are 1 to {len(losses)}."
    best = int(losses.argmin()) + 1
    loss = float(losses[stop_after - 1])
    if abs(stop_after - best) <= 1 or loss <= losses.min() * 1.01:
        return Passed(
            f"After epoch {stop_after} the validation loss is {loss:.3f}; at the end it is {losses[-1]:.3f}. The "
            "setting patience=... stops training in this way."
        )
    if stop_after == int(history.frame["train_loss"].to_numpy().argmin()) + 1 or stop_after > best:
        return (
            f"At this epoch the network has already been overfitting for {stop_after - best} epochs: the validation "
            "loss was lowest before. The training loss does not show this."
        )
    return f"At epoch {stop_after} the validation loss is still falling ({loss:.3f}): the network underfits."

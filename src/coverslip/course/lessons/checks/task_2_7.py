# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import numpy as np

from coverslip.training.outcome import History

HINTS = (
    "Look at the validation line in the left panel, the loss: where is it lowest?",
    "patient.frame['validation_loss'].to_numpy().argmin() + 1",
)


def judge(stop_after: int, patient: History):
    """The epoch with the lowest validation loss, or one as good."""
    losses = patient.frame["validation_loss"].to_numpy()
    if not 1 <= stop_after <= len(losses):
        return f"There are epochs from 1 to {len(losses)}."
    best = int(losses.argmin()) + 1
    own = float(losses[stop_after - 1])
    if abs(stop_after - best) <= 1 or own <= losses.min() * 1.01:
        return Passed(
            f"After epoch {stop_after} its loss held out is {own:.3f}; at the end it is {losses[-1]:.3f}. That is "
            "what patience=... does for you."
        )
    if stop_after == int(patient.frame["train_loss"].to_numpy().argmin()) + 1 or stop_after > best:
        return (
            f"By then it has learned by heart for {stop_after - best} epochs: the validation loss was lowest long "
            "before. The training loss says nothing about that."
        )
    return f"At epoch {stop_after} the validation loss is still falling ({own:.3f}): it underfits there."

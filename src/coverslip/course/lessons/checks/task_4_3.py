# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/04_improving.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

HINTS = (
    "Go through the list and note each new minimum. When was there none for three epochs in a row?",
    "0.47 in epoch 5 is a new minimum; there is none in epochs 6, 7 and 8.",
)


def grade(stopped: int, kept: int):
    """The epoch after which training stops, and the epoch whose weights are kept."""
    if (stopped, kept) == (7, 4):
        return "You counted epochs from 0; here they are counted from 1."
    if kept == 9 or stopped > 8:
        return "Epoch 9 would have been the best, but with a patience of 3 training never gets there."
    if kept == 3:
        return "Within three epochs after epoch 3 there is a new best: the count starts again at epoch 5."
    if kept == 8 and stopped == 8:
        return "It stops after epoch 8, but the weights that are kept are not the last ones."
    if (stopped, kept) != (8, 5):
        return f"Stopping after epoch {stopped} and keeping epoch {kept} is not correct."
    return Passed("Stopped after epoch 8, kept epoch 5. Epoch 9 was never reached: patience is a heuristic.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/04_improving.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

HINTS = (
    "Go along the list and note each new best. When has there been none for three epochs in a row?",
    "0.47 in epoch 5 is a new best; epochs 6, 7 and 8 bring none.",
)


def judge(stopped: int, kept: int):
    """The epoch after which training stops, and the epoch whose weights are kept."""
    if (stopped, kept) == (7, 4):
        return "You count epochs from 0; here they count from 1."
    if kept == 9 or stopped > 8:
        return "Epoch 9 would have been the best, but training never gets there. That is the price of patience 3."
    if kept == 3:
        return "After epoch 3 there comes a new best within three epochs: the count begins again at epoch 5."
    if kept == 8 and stopped == 8:
        return "It stops after epoch 8, but the weights that are kept are not the last ones."
    if (stopped, kept) != (8, 5):
        return f"Stopping after {stopped} and keeping {kept} it is not."
    return Passed("Stopped after 8, kept 5. And it never saw epoch 9: patience is a bet.")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import numpy as np

HINTS = ("Ask each column: is any answer in it above 0? Then count the columns.", "(answers > 0).any(axis=0).sum()")


def judge(alive: int, answers):
    """How many hidden units answer any training picture."""
    table = np.asarray(answers)
    right, units = int((table > 0).any(axis=0).sum()), table.shape[1]
    if alive == right:
        if right == 0:
            return Passed(
                "None. Every unit answers 0 to every picture: no picture can make a difference, and nothing can be "
                "learned any more."
            )
        return Passed(f"{right} of {units}. The others are silent for every picture.")
    if alive == units - right:
        return "Those are the silent ones; the others are asked for."
    if alive == int((table > 0).any(axis=1).sum()):
        return "That counts pictures (rows). axis=0 goes down the columns, the units."
    if alive == int((table > 0).sum()):
        return "That counts all answers above 0, picture by picture. Here each unit counts once at most."
    return f"{alive} it is not."

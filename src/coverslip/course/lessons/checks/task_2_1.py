# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/02_knobs_and_dials.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import numpy as np

HINTS = ("Ask each column: are all answers in it 0? Then count the columns.", "(answers == 0).all(axis=0).sum()")


def judge(silent: int, answers):
    """How many hidden units answer no training image."""
    table = np.asarray(answers)
    right, units = int((table == 0).all(axis=0).sum()), table.shape[1]
    if silent == right:
        if right == units:
            return Passed(
                f"All {units}. Every unit answers 0 to every image: no image can make a difference, and nothing "
                "can be learned any more."
            )
        return Passed(f"{right} of {units}. They answer 0 whatever they are shown.")
    if silent == units - right:
        return "Those are the units that do answer; the silent ones are asked for."
    if silent == int((table == 0).all(axis=1).sum()):
        return "That counts images (rows). axis=0 goes down the columns, the units."
    if silent == int((table == 0).sum()):
        return "That counts all zeros, image by image. Here each unit counts once at most."
    return f"{silent} it is not."

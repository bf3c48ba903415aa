# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/02_knobs_and_dials.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import numpy as np

HINTS = ("Ask for each column: are all values in it 0? Then count the columns.", "(outputs == 0).all(axis=0).sum()")


def grade(silent: int, outputs):
    """The number of hidden units whose output is 0 for every training image."""
    table = np.asarray(outputs)
    correct, units = int((table == 0).all(axis=0).sum()), table.shape[1]
    if silent == correct:
        if correct == units:
            return Passed(
                f"All {units}. The output of every unit is 0 for every image: no image makes a difference, so the "
                "network cannot learn any more."
            )
        return Passed(f"{correct} of {units}. Their output is 0 for every image.")
    if silent == units - correct:
        return "These are the units that are not silent; the task asks for the silent ones."
    if silent == int((table == 0).all(axis=1).sum()):
        return "This counts images (rows). axis=0 goes along the columns, the units."
    if silent == int((table == 0).sum()):
        return "This counts all zeros, image by image. Here each unit counts once at most."
    return f"{silent} is not correct."

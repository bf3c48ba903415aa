# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/01_your_first_network.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

import math

from coverslip.training.outcome import History

HINTS = (
    "Images to learn from, divided by 32, and round up: that is one epoch.",
    "np.ceil(240 / 32) is 8 steps an epoch (if you have 240 images to learn from); times 25 epochs.",
)


def judge(steps: int, history: History):
    """Steps of the whole training: batches of an epoch, the last one too, times epochs."""
    right, epochs = int(history.frame["step"][-1]), history.frame.height
    learned, held = len(history.train_rows), len(history.validation_rows)
    if steps == right:
        return Passed(f"{right} steps: {right // epochs} batches in each of {epochs} epochs.")
    slips = {
        epochs: "That is the number of epochs. In each of them there are many steps, one a batch.",
        right // epochs: "That is one epoch.",
        math.ceil((learned + held) / 32) * epochs: (
            "That counts the images held out too, but the network does not learn from them."
        ),
        learned // 32 * epochs: "The last, shorter batch of an epoch is a step too: round up.",
        learned * epochs: "That would be a step for every image. Here 32 of them make one step.",
    }
    return slips.get(steps, f"{steps:,} it is not.")

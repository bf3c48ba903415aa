# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/01_your_first_network.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

import math

from coverslip.training.outcome import History

HINTS = (
    "Divide the number of images to learn from by 32 and round up: this is one epoch.",
    "np.ceil(240 / 32) is 8 steps per epoch (if you have 240 images to learn from); multiply by 25 epochs.",
)


def grade(steps: int, history: History):
    """The steps of the whole training: batches per epoch, including the last one, times epochs."""
    correct, epochs = int(history.frame["step"][-1]), history.frame.height
    learned, held_out = len(history.train_rows), len(history.validation_rows)
    if steps == correct:
        return Passed(f"{correct} steps: {correct // epochs} batches in each of {epochs} epochs.")
    mistakes = {
        epochs: "This is the number of epochs. Each epoch has many steps, one per batch.",
        correct // epochs: "This is one epoch.",
        math.ceil((learned + held_out) / 32) * epochs: (
            "This includes the images that were held out, but the network does not learn from them."
        ),
        learned // 32 * epochs: "The last, shorter batch of an epoch is a step, too: round up.",
        learned * epochs: "This would be one step per image. Here one step uses 32 images.",
    }
    return mistakes.get(steps, f"{steps:,} is not correct.")

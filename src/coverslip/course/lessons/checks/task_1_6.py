# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/01_your_first_network.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from torch import nn

import coverslip
from coverslip.course.image_set import Images
from coverslip.training.outcome import History

HINTS = (
    "More epochs help most reliably. Watch the column accuracy in the output, not val_accuracy.",
    "units = 32 and epochs = 40 are enough for the built-in leaves; for other images try more epochs or lr=3e-4.",
)
TARGET, MAX_UNITS = 0.97, 256


def grade(learned: History, train: Images):
    """A history of a network with fewer than 256 hidden units and an accuracy of 0.97 on its training images."""
    layers = [layer for layer in learned.network.modules() if isinstance(layer, nn.Linear)]
    units = sum(layer.out_features for layer in layers[:-1])
    if len(layers) < 2:
        return (
            "This network has no hidden layer: add one more nn.Linear, followed by nn.ReLU(), between nn.Flatten() "
            "and the layer that computes the logits."
        )
    if units >= MAX_UNITS:
        return f"It has {units} hidden units; the task asks for fewer than {MAX_UNITS}. Fewer are enough."
    if max(learned.train_rows.tolist(), default=0) >= len(train):
        return "These are not the training images of this lesson."
    seen = train.take(learned.train_rows)
    scores = coverslip.evaluate(learned.network, seen.x, seen.y, groups=seen.groups, classes=seen.names)
    accuracy = scores.accuracy["value"]
    if accuracy < TARGET:
        if learned.best_epoch < learned.frame.height and (learned.frame["train_accuracy"].max() or 0) >= TARGET:
            return (
                f"Its accuracy on the images it learned from is {accuracy:.3f}: it has the weights of epoch "
                f"{learned.best_epoch}, which was best on the held-out images. Use keep_best=False to keep the weights "
                "of the last epoch."
            )
        return f"Its accuracy on the images it learned from is {accuracy:.3f}. Use more epochs or more units."
    return Passed(
        f"An accuracy of {accuracy:.3f} on the images it learned from, with {units} hidden units. What is that worth?"
    )

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Made from lessons/01_your_first_network.py by coverslip.course.build: change it there.
from coverslip.course.result import Passed

from torch import nn

import coverslip
from coverslip.course.image_set import Images
from coverslip.training.outcome import History

HINTS = (
    "More epochs is the surest knob. Watch the column accuracy in the output, not val_accuracy.",
    "units = 32 and epochs = 40 will do on the built-in leaves; on other images try more epochs or lr=3e-4.",
)
WANTED, MOST = 0.97, 256


def judge(learned: History, train: Images):
    """A history of a network with a hidden layer of fewer than 256 units, right on 0.97 of what it learned from."""
    layers = [layer for layer in learned.network.modules() if isinstance(layer, nn.Linear)]
    units = sum(layer.out_features for layer in layers[:-1])
    if len(layers) < 2:
        return (
            "This network has no hidden layer: between flatten and the scores belongs one nn.Linear more, and "
            "nn.ReLU()."
        )
    if units >= MOST:
        return f"It has {units} hidden units; fewer than {MOST} are wanted. Fewer are enough."
    if max(learned.train_rows.tolist(), default=0) >= len(train):
        return "These are not the training images of this lesson."
    own = train.take(learned.train_rows)
    share = coverslip.evaluate(learned.network, own.x, own.y, groups=own.groups, classes=own.names).accuracy["value"]
    if share < WANTED:
        if learned.best_epoch < learned.frame.height and (learned.frame["train_accuracy"].max() or 0) >= WANTED:
            return (
                f"It is right on {share:.3f} of what it learned from: it has the weights of epoch "
                f"{learned.best_epoch}, the best on "
                "the images held out. With keep_best=False it keeps those of the last epoch."
            )
        return f"It is right on {share:.3f} of what it learned from. Give it more epochs, or more units."
    return Passed(f"{share:.3f} of the images it learned from, with {units} hidden units. Now: what is that worth?")

# fmt: off
# ruff: noqa
# mypy: ignore-errors
# Generated from lessons/04_improving.py by coverslip.course.build: edit the lesson, not this file.
from coverslip.course.result import Passed

from coverslip.training.outcome import History

HINTS = (
    "Use more epochs, until the training accuracy is 1, and keep the held-out images.",
    'history = coverslip.fit(network(Normalize(mean, spread)), train.x, train.y, **{**settings, "epochs": 40})',
)


def grade(history: History):
    """A history of a training with held-out images whose last training accuracy is 0.98 or more."""
    frame = history.frame
    if not len(history.validation_rows):
        return "No images were held out, so one cannot see other images. Leave validation_split at 0.25."
    accuracy = frame["train_accuracy"][-1]
    if accuracy < 0.98:
        rising = frame["train_accuracy"][-1] > frame["train_accuracy"][0]
        advice = "Use more epochs." if rising else "Use a smaller learning rate."
        return f"The training accuracy is {accuracy:.2f} after {frame.height} epochs. {advice}"
    losses = frame["validation_loss"].to_list()
    best = losses.index(min(losses)) + 1
    rise = losses[-1] / max(min(losses), 1e-9)
    change = f"The validation loss was lowest after epoch {best} and has risen to {rise:.1f} times this value."
    if best == frame.height:
        change = "The validation loss is lowest after the last epoch, so it has not risen yet."
    return Passed(f"The network memorized {accuracy:.2f} of its training images. {change}")

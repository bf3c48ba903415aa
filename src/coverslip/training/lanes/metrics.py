"""The metrics of one lane after an epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from coverslip.training.batches import IntArray
from coverslip.training.lanes.lane import Lane


@dataclass(frozen=True, slots=True)
class LaneMetrics:
    """The metrics of one epoch of one lane.

    Attributes:
        lane: index of its network.
        epoch: epoch, from 1.
        lr: learning rate of the last step.
        train_loss: mean training loss while the weights changed; None if it is not finite.
        train_accuracy: training accuracy while the weights changed; None also if images are mixed.
        validation_loss: mean log loss on the validation set; None without one.
        validation_accuracy: accuracy on the validation set; None without one.
        failure: why the lane has left the stack (its loss is not finite); "" otherwise.
    """

    lane: int
    epoch: int
    lr: float
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    failure: str = ""


def lane_metrics(
    lane: Lane,
    epoch: int,
    losses: npt.NDArray[np.float64],
    counts: list[int],
    correct: int | None,
    logits: npt.NDArray[np.float32] | None,
    labels: IntArray | None,
) -> LaneMetrics:
    """Return the metrics of an epoch of a lane.

    Args:
        lane: the lane, after the epoch.
        epoch: epoch, from 1.
        losses: loss of each step.
        counts: number of images of each step.
        correct: number of correctly classified training images; None if images are mixed.
        logits: logits of the validation set, (M, K).
        labels: class ids of the validation set, (M,).
    """
    lr = float(lane.lrs(epoch - 1)[-1])
    failure = _non_finite_loss(losses, lane)
    loss, accuracy = None, None
    if not failure and logits is not None and labels is not None:
        loss, accuracy = log_loss_and_accuracy(logits, labels)
        failure = "" if math.isfinite(loss) else f"the validation loss became {loss} in epoch {epoch}"
    if failure:
        return LaneMetrics(lane.number, epoch, lr, None, None, None, None, failure)
    train_accuracy = None if correct is None else correct / sum(counts)
    train_loss = float((losses * counts).sum() / sum(counts))
    return LaneMetrics(lane.number, epoch, lr, train_loss, train_accuracy, loss, accuracy)


def log_loss_and_accuracy(logits: npt.NDArray[np.float32], labels: IntArray) -> tuple[float, float]:
    """Return mean log loss and accuracy, computed as in `coverslip.training.callbacks.ValidationCallback`.

    Args:
        logits: float32 (M, K).
        labels: class ids, int64 (M,).
    """
    values, targets = torch.from_numpy(logits), torch.from_numpy(labels)
    loss = float(cross_entropy(values.double(), targets))
    return loss, float((values.argmax(1) == targets).double().mean())


def _non_finite_loss(losses: npt.NDArray[np.float64], lane: Lane) -> str:
    finite = np.isfinite(losses)
    if finite.all():
        return ""
    batch = int(finite.argmin())
    step = lane.steps - len(losses) + batch + 1
    return f"the loss became {losses[batch]} at step {step}: the learning rate {lane.config.lr:g} is probably too high"

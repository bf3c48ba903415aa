"""What an epoch of a lane is told as."""

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
class LaneEpoch:
    """One epoch of one lane.

    Attributes:
        lane: place of its network among those that were given.
        epoch: from 1.
        rate: learning rate of its last step.
        train_loss: what was made small, mean over its images, while the weights changed; None where it broke.
        train_accuracy: likewise; None also where images are mixed.
        validation_loss: mean log loss of the validation set; None without one.
        validation_accuracy: likewise.
        broken: "", or why its loss is no number; it has then left the stack.
    """

    lane: int
    epoch: int
    lr: float
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    broken: str = ""


def report_lane(
    lane: Lane,
    epoch: int,
    losses: npt.NDArray[np.float64],
    counts: list[int],
    right: int | None,
    scores: npt.NDArray[np.float32] | None,
    truth: IntArray | None,
) -> LaneEpoch:
    """An epoch (from 1) of a lane.

    Args:
        lane: after it.
        epoch: from 1.
        losses: of each step.
        counts: images of each step.
        right: images that were told rightly; None where they were mixed.
        scores: (M, K), of the validation set.
        truth: (M,), its labels.
    """
    rate = float(lane.rates(epoch - 1)[-1])
    broken = _why_broken(losses, lane)
    loss, accuracy = None, None
    if not broken and scores is not None and truth is not None:
        loss, accuracy = log_loss(scores, truth)
        broken = "" if math.isfinite(loss) else f"the validation loss became {loss} in epoch {epoch}"
    if broken:
        return LaneEpoch(lane.number, epoch, rate, None, None, None, None, broken)
    share = None if right is None else right / sum(counts)
    train = float((losses * counts).sum() / sum(counts))
    return LaneEpoch(lane.number, epoch, rate, train, share, loss, accuracy)


def log_loss(scores: npt.NDArray[np.float32], labels: IntArray) -> tuple[float, float]:
    """Mean log loss and accuracy, as `coverslip.training.callbacks.History` computes them: (M, K), (M,)."""
    found, truth = torch.from_numpy(scores), torch.from_numpy(labels)
    loss = float(cross_entropy(found.double(), truth))
    return loss, float((found.argmax(1) == truth).double().mean())


def _why_broken(losses: npt.NDArray[np.float64], lane: Lane) -> str:
    fine = np.isfinite(losses)
    if fine.all():
        return ""
    place = int(fine.argmin())
    step = lane.steps - len(losses) + place + 1
    return (
        f"the loss became {losses[place]} at step {step}: most likely the learning rate of {lane.config.lr:g} "
        "is too high"
    )

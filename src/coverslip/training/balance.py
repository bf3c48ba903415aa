"""What is done about rare classes, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.training.config import TrainingConfig

EVEN, SKEWED = 1.5, 10.0  # largest class over smallest: nothing to balance below, sampling above


@dataclass(frozen=True, slots=True)
class Balance:
    """What was chosen.

    Attributes:
        weights: float32 (K,), factors in the loss, 1 on average over the training images; None without.
        sampled: each epoch draws the same number of images from each class.
        sentence: what was chosen and why, for the user; empty where nothing was asked for.
    """

    weights: npt.NDArray[np.float32] | None
    sampled: bool
    sentence: str


def choose_balance(counts: Sequence[int], config: TrainingConfig) -> Balance:
    """From the training images of each class.

    ``auto`` leaves counts alone whose largest is at most 1.5 times the smallest, weighs the loss up to 10 times, and
    samples above: a single rare image with a weight of 50 throws a step off its way, while one that comes more often
    does not.

    Args:
        counts: K numbers of training images.
        recipe: its ``balance`` and ``class_weights``.

    Raises:
        UserError: weights for more or fewer classes than there are, or for one without an image.
    """
    if config.class_weights:
        return Balance(given_weights(counts, config.class_weights), False, "the loss is weighted by the given weights")
    present = [count for count in counts if count]
    ratio = max(present) / min(present)
    text = f"the largest class has {ratio:.1f} times the images of the smallest"
    chosen, why = config.balance, ""
    if chosen == "auto":
        chosen = "none" if ratio <= EVEN else "weights" if ratio <= SKEWED else "sampling"
        why = "balance: "
    if chosen == "weights":
        return Balance(even_weights(counts), False, f"{why}{text}: rare classes weigh more in the loss")
    if chosen == "sampling":
        return Balance(None, True, f"{why}{text}: each epoch draws equally from every class")
    return Balance(None, False, f"{why}{text}: nothing to balance" if why else "")


def even_weights(counts: Sequence[int]) -> npt.NDArray[np.float32]:
    """Weights with which each class counts alike in the loss, 1 on average over the images.

    >>> even_weights([30, 10]).round(3).tolist()
    [0.6669999957084656, 2.0]
    """
    numbers = np.asarray(counts, np.float64)
    present = numbers > 0
    weights = np.where(present, numbers.sum() / (present.sum() * np.maximum(numbers, 1)), 1.0)
    return weights.astype(np.float32)


def given_weights(counts: Sequence[int], weights: Sequence[float]) -> npt.NDArray[np.float32]:
    """The user's weights, scaled to 1 on average over the images, so that the learning rate keeps its meaning."""
    if len(weights) != len(counts):
        raise UserError(
            f"class_weights has {len(weights)} numbers, but there are {len(counts)} classes", "give one a class"
        )
    missing = [index for index, count in enumerate(counts) if not count and weights[index] not in (0, 1)]
    if missing:
        raise UserError(
            f"class_weights weighs class {missing[0]} by {weights[missing[0]]:g}, but no training image is of it",
            f"give 1 at place {missing[0]}, or add images of that class",
        )
    numbers, factors = np.asarray(counts, np.float64), np.asarray(weights, np.float64)
    mean = (numbers * factors).sum() / numbers.sum()
    if mean == 0:
        raise UserError("class_weights is 0 for every class that has images", "give numbers above 0")
    return np.asarray(factors / mean, np.float32)

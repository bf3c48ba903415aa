"""Class imbalance: weights in the loss, or resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import UserError
from coverslip.training.config import TrainingConfig

EVEN, SKEWED = 1.5, 10.0  # ratio of the largest to the smallest class up to which `auto` chooses none or weights


@dataclass(frozen=True, slots=True)
class Balance:
    """The treatment of class imbalance.

    Attributes:
        weights: class weights in the loss, float32 (K,), 1 on average over the training images; None if not used.
        resampled: whether each epoch draws the same number of images from each class.
        message: the choice and its reason, for the user; "" if nothing was requested.
    """

    weights: npt.NDArray[np.float32] | None
    resampled: bool
    message: str


def choose_balance(counts: Sequence[int], config: TrainingConfig) -> Balance:
    """Return how to treat the imbalance of the training set.

    ``auto`` does nothing if the largest class is at most 1.5 times the smallest, weights the loss up to a factor of 10,
    and resamples above: a single rare image with a weight of 50 would dominate its step, while drawing it more often
    spreads its effect over many steps.

    Args:
        counts: number of training images of each of the K classes.
        config: the training config; ``balance`` and ``class_weights`` are used.

    Raises:
        UserError: ``class_weights`` does not have one weight per class, or has one for a class without images.
    """
    if config.class_weights:
        weights = normalize_weights(counts, config.class_weights)
        return Balance(weights, False, "the loss is weighted by class_weights")
    present = [count for count in counts if count]
    ratio = max(present) / min(present)
    text = f"the largest class has {ratio:.1f} times the images of the smallest"
    chosen, prefix = config.balance, ""
    if chosen == "auto":
        chosen = "none" if ratio <= EVEN else "weights" if ratio <= SKEWED else "sampling"
        prefix = "balance: "
    if chosen == "weights":
        return Balance(balanced_weights(counts), False, f"{prefix}{text}: rare classes get larger weights in the loss")
    if chosen == "sampling":
        return Balance(None, True, f"{prefix}{text}: each epoch draws equally from every class")
    return Balance(None, False, f"{prefix}{text}: no balancing needed" if prefix else "")


def balanced_weights(counts: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return weights that give each class the same total weight in the loss, 1 on average over the images.

    Equal to ``class_weight="balanced"`` of scikit-learn for the classes that have images.

    >>> balanced_weights([30, 10]).round(3).tolist()
    [0.6669999957084656, 2.0]
    """
    numbers = np.asarray(counts, np.float64)
    present = numbers > 0
    weights = np.where(present, numbers.sum() / (present.sum() * np.maximum(numbers, 1)), 1.0)
    return weights.astype(np.float32)


def normalize_weights(counts: Sequence[int], weights: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the user's weights scaled to 1 on average over the images, so that the learning rate keeps its meaning."""
    if len(weights) != len(counts):
        raise UserError(
            f"class_weights has {len(weights)} values for {len(counts)} classes", "give one weight per class"
        )
    missing = [index for index, count in enumerate(counts) if not count and weights[index] not in (0, 1)]
    if missing:
        raise UserError(
            f"class_weights[{missing[0]}] is {weights[missing[0]]:g}, but class {missing[0]} has no training images",
            f"set class_weights[{missing[0]}] to 1, or add images of that class",
        )
    numbers, factors = np.asarray(counts, np.float64), np.asarray(weights, np.float64)
    mean = (numbers * factors).sum() / numbers.sum()
    if mean == 0:
        raise UserError("class_weights is 0 for every class that has images", "give weights above 0")
    return np.asarray(factors / mean, np.float32)

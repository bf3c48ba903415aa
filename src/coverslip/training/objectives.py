"""What the training loop minimizes: the targets of a task, the loss of outputs, and what counts as correct.

The loop itself knows no classes. An objective is immutable and holds no data, so that one serves training and
validation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from coverslip.core.errors import UserError
from coverslip.training.balance import Balance, choose_balance
from coverslip.training.batches import Inputs, IntArray
from coverslip.training.config import TrainingConfig
from coverslip.training.losses import Loss, binary_loss, build_loss, soft_targets, value_loss

Targets = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
UNBALANCED = Balance(None, False, "")


class Objective(Protocol):
    """What is minimized. `check` converts targets to the array that all other methods take."""

    @property
    def num_outputs(self) -> int:
        """Number of outputs that the network must have."""
        ...

    @property
    def counts_correct(self) -> bool:
        """Whether an output can be correct, so that there is an accuracy."""
        ...

    @property
    def uninformed_loss(self) -> float:
        """Loss of outputs that say nothing about an image, such as uniform probabilities."""
        ...

    def check(self, inputs: Inputs, targets: Targets, split: str) -> Targets:
        """Return the targets of N images, validated, with the dtype that `loss` takes.

        Raises:
            UserError: shapes, dtypes or values do not fit.
        """
        ...

    def balance(self, targets: Targets, config: TrainingConfig) -> Balance:
        """Return how to treat class imbalance of the training targets."""
        ...

    def loss(self, config: TrainingConfig, weights: Tensor | None) -> Loss:
        """Return the loss: (outputs, targets) -> the sum over images. ``weights`` are those of `balance`."""
        ...

    def soft(self, targets: Tensor) -> Tensor:
        """Return targets that can be averaged, float (n, ...), for mixed images."""
        ...

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether each output is correct, bool (n,)."""
        ...

    def plain_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss without smoothing and weights, which can be compared between configs."""
        ...

    def to_target_scale(
        self, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return a trained last layer whose outputs are on the scale of the targets."""
        ...


@dataclass(frozen=True, slots=True)
class ClassObjective:
    """One of several classes: cross-entropy or focal loss; targets are class ids.

    Attributes:
        classes: number of classes K.
    """

    classes: int

    @property
    def num_outputs(self) -> int:
        """K logits."""
        return self.classes

    @property
    def counts_correct(self) -> bool:
        """The most probable class is right or wrong."""
        return True

    @property
    def uninformed_loss(self) -> float:
        """The log loss of uniform probabilities."""
        return math.log(max(self.classes, 2))

    def check(self, inputs: Inputs, targets: Targets, split: str) -> Targets:
        """See `Objective.check`."""
        return check_labels(inputs, targets, self.classes, split)

    def balance(self, targets: Targets, config: TrainingConfig) -> Balance:
        """See `Objective.balance`."""
        return choose_balance(np.bincount(targets, minlength=self.classes).tolist(), config)

    def loss(self, config: TrainingConfig, weights: Tensor | None) -> Loss:
        """See `Objective.loss`."""
        return build_loss(
            config.loss, class_weights=weights, label_smoothing=config.label_smoothing, gamma=config.gamma
        )

    def soft(self, targets: Tensor) -> Tensor:
        """See `Objective.soft`."""
        return soft_targets(targets, self.classes)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.correct`."""
        return outputs.argmax(1) == targets

    def plain_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.plain_loss`."""
        return cross_entropy(outputs, targets)

    def to_target_scale(
        self, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the layer as it is."""
        return weight, bias


@dataclass(frozen=True, slots=True)
class BinaryObjective:
    """Several decisions of yes or no, such as labels, or levels above each threshold: binary cross-entropy or focal.

    Targets are 0 or 1 (N, L). An image is correct if all of its decisions are. The loss of an image is the mean over
    its decisions, so that the learning rate keeps its meaning.

    Attributes:
        decisions: number of decisions L.
    """

    decisions: int

    @property
    def num_outputs(self) -> int:
        """L logits."""
        return self.decisions

    @property
    def counts_correct(self) -> bool:
        """All decisions of an image are right, or not."""
        return True

    @property
    def uninformed_loss(self) -> float:
        """The log loss of a probability of 0.5."""
        return math.log(2)

    def check(self, inputs: Inputs, targets: Targets, split: str) -> Targets:
        """See `Objective.check`."""
        array = _matrix(inputs, targets, self.decisions, split).astype(np.float32)
        if ((array < 0) | (array > 1)).any():
            raise UserError(f"the {split} targets are not between 0 and 1", "give 0 or 1 for each label")
        return array

    def balance(self, targets: Targets, config: TrainingConfig) -> Balance:
        """Return that nothing is balanced."""
        return UNBALANCED

    def loss(self, config: TrainingConfig, weights: Tensor | None) -> Loss:
        """See `Objective.loss`."""
        return binary_loss(config.loss, label_smoothing=config.label_smoothing, gamma=config.gamma)

    def soft(self, targets: Tensor) -> Tensor:
        """Return the targets as they are."""
        return targets

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.correct`."""
        return ((outputs > 0) == (targets > 0.5)).all(1)

    def plain_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Objective.plain_loss`."""
        return binary_loss("cross-entropy")(outputs, targets.to(outputs.dtype)) / len(outputs)

    def to_target_scale(
        self, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the layer as it is."""
        return weight, bias


@dataclass(frozen=True, slots=True)
class ValueObjective:
    """One or several values: squared, Huber or absolute error of values standardized with the training set.

    Attributes:
        center: mean of each target in the training set, length T.
        spread: standard deviation of each target in the training set, above 0, length T.
    """

    center: tuple[float, ...]
    spread: tuple[float, ...]

    @classmethod
    def of(cls, values: FloatArray) -> ValueObjective:
        """Return the objective for training values (N, T)."""
        spread = values.std(axis=0)
        return cls(tuple(values.mean(axis=0).tolist()), tuple(np.where(spread > 0, spread, 1.0).tolist()))

    @property
    def num_outputs(self) -> int:
        """T values."""
        return len(self.center)

    @property
    def counts_correct(self) -> bool:
        """A value is never right or wrong."""
        return False

    @property
    def uninformed_loss(self) -> float:
        """The variance of standardized values."""
        return 1.0

    def check(self, inputs: Inputs, targets: Targets, split: str) -> Targets:
        """Return the standardized values, float32 (N, T)."""
        array = _matrix(inputs, targets, len(self.center), split)
        return np.asarray((array - np.asarray(self.center)) / np.asarray(self.spread), np.float32)

    def balance(self, targets: Targets, config: TrainingConfig) -> Balance:
        """Return that nothing is balanced."""
        return UNBALANCED

    def loss(self, config: TrainingConfig, weights: Tensor | None) -> Loss:
        """See `Objective.loss`."""
        return value_loss(config.loss)

    def soft(self, targets: Tensor) -> Tensor:
        """Return the targets as they are."""
        return targets

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return that no output is correct; not called, see `counts_correct`."""
        return torch.zeros(len(outputs), dtype=torch.bool)

    def plain_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of the standardized values."""
        return (outputs - targets).square().mean()

    def to_target_scale(
        self, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the last layer for values in the unit of the targets."""
        center, spread = np.asarray(self.center), np.asarray(self.spread)
        return (weight * spread[:, None]).astype(np.float32), (bias * spread + center).astype(np.float32)


def as_objective(objective: Objective | int) -> Objective:
    """Return an objective; a number is that of the classes of a classification."""
    return ClassObjective(objective) if isinstance(objective, int) else objective


def check_labels(inputs: Inputs, labels: IntArray, classes: int, split: str) -> IntArray:
    """Return the labels as int64 (N,).

    Raises:
        UserError: there are no images, not exactly one integer label per image, or labels out of range.
    """
    array = np.asarray(labels)
    if len(inputs) == 0:
        raise UserError(f"there are no {split} images", "give at least one image")
    if array.ndim != 1 or len(array) != len(inputs):
        raise UserError(
            f"the labels of {len(inputs)} {split} images have shape {array.shape}",
            f"give one label per image, an array of shape ({len(inputs)},)",
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"the {split} labels are {array.dtype}, not integers", "give class ids 0, 1, 2, ...")
    invalid = array[(array < 0) | (array >= classes)]
    if len(invalid):
        raise UserError(
            f"label {invalid[0]} of the {split} images is out of range for {classes} classes (0 to {classes - 1})",
            "number the classes from 0, and give the network one output per class",
        )
    return array.astype(np.int64)


def _matrix(inputs: Inputs, targets: Targets, width: int, split: str) -> FloatArray:
    array = np.asarray(targets)
    if len(inputs) == 0:
        raise UserError(f"there are no {split} images", "give at least one image")
    if array.shape != (len(inputs), width):
        raise UserError(
            f"the targets of {len(inputs)} {split} images have shape {array.shape}",
            f"give one row per image, an array of shape ({len(inputs)}, {width})",
        )
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise UserError(f"target {row} of the {split} images is NaN or infinite", "remove these images")
    return numbers

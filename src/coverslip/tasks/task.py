"""The contract of a task: what the outputs of a network mean.

A task is immutable. It belongs to a model and is stored with it: names, temperature, thresholds, conformal quantiles.
Everything that a run does with outputs goes through it, so the pipeline, the predictor and the training loop know no
classes. `TASKS` lists all tasks by name; packages above keep registries by that name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.core.registry import Registry
from coverslip.tasks.config import ThresholdConfig
from coverslip.training.fitted_head import FittedHead
from coverslip.training.objectives import Objective

if TYPE_CHECKING:
    from coverslip.data.target import Target

FloatArray = npt.NDArray[np.float64]
Outputs = npt.NDArray[np.floating[Any]]
Codes = npt.NDArray[np.int64]
SEPARATOR = " | "  # between names in one cell of a table of predictions
Baselines = Mapping[str, FloatArray]  # values (N, T) by name of the baseline


@dataclass(frozen=True, slots=True)
class HeadData:
    """What a head is fitted to.

    Attributes:
        features: float (views * N, D): all images in view 0, then all in view 1, and so on.
        target: targets of the N images.
        groups: group name of each image.
        views: number of views per image.
        validation: features (M, D) and targets that are scored after each step; None without validation set.
        l2_values: L2 penalties to choose from.
        folds: folds of the cross-fitting.
        seed: random seed of the folds.
    """

    features: Outputs
    target: Target
    groups: Sequence[str]
    views: int
    validation: tuple[Outputs, Target] | None
    l2_values: Sequence[float]
    folds: int
    seed: int


@dataclass(frozen=True, slots=True)
class Suspects:
    """Images in the order of how suspect their labels are.

    Attributes:
        rows: positions of the images, the most suspect first, int64 (N,).
        suggested: what the model suggests instead, length N.
        score: the lower, the more suspect, float64 (N,).
        suspect: whether the label is probably wrong, bool (N,).
    """

    rows: Codes
    suggested: list[str]
    score: FloatArray
    suspect: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LastLayer:
    """The linear layer that turns features into outputs.

    Attributes:
        weight: float32 (num_outputs, D).
        bias: float32 (num_outputs,).
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def outputs(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return outputs (N, num_outputs) of features (N, D)."""
        return np.asarray(features.astype(np.float32) @ self.weight.T + self.bias)


@dataclass(frozen=True, slots=True)
class SelectionData:
    """The selection half of the validation set, and the training targets.

    Attributes:
        features: features of N images, float (N, D); N is 0 if there are too few groups for two halves.
        target: their targets.
        groups: group name of each image.
        training: targets of the training images.
    """

    features: Outputs
    target: Target
    groups: Sequence[str]
    training: Target


@dataclass(frozen=True, slots=True)
class HeldOutData:
    """Outputs of images by models that were fitted without them and without their groups.

    Attributes:
        outputs: float (N, num_outputs).
        target: N targets.
        groups: int (N,); None if each image is its own group.
    """

    outputs: Outputs
    target: Target
    groups: Codes | None


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """What a task is calibrated on.

    Attributes:
        images: the calibration half of the validation set.
        out_of_fold: out-of-fold outputs of the training images, for tasks that use them where the calibration half has
            few groups; None if there are none.
    """

    images: HeldOutData
    out_of_fold: HeldOutData | None = None


class Prediction(Protocol):
    """Predictions for N images, in their order. Unreadable images have nulls."""

    def __len__(self) -> int: ...

    def columns(self) -> dict[str, pl.Series]:
        """Return the columns of a table of predictions, such as ``predicted`` and ``confidence``."""
        ...

    def trailing_columns(self) -> dict[str, pl.Series]:
        """Return the columns that follow ``error`` in a table of predictions, such as ``set``."""
        ...


class Task(Protocol):
    """What the outputs of a network mean. Immutable; `fit_head`, `finish` and `calibrate` return a new task."""

    name: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]
    """The scores that are shown first, such as by fold; the first is the headline."""

    @classmethod
    def new(cls, names: tuple[str, ...], scale: str = "") -> Self:
        """Return an untrained task.

        Args:
            names: names of classes, labels or target columns.
            scale: scale on which values are fitted: "", "log" or "logit"; for regression.
        """
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of classes, labels or target columns."""
        ...

    @property
    def num_outputs(self) -> int:
        """Number of outputs of the model."""
        ...

    @property
    def identity(self) -> tuple[object, ...]:
        """Everything that predictions depend on, for digests."""
        ...

    @property
    def rule(self) -> str:
        """The rule of prediction in words, where it is not the default; else empty."""
        ...

    def fit_head(self, data: HeadData, progress: Progress) -> tuple[Self, FittedHead]:
        """Fit a linear head exactly, and return it with the task that reads its outputs."""
        ...

    def objective(self, target: Target) -> Objective:
        """Return what the training loop minimizes, for the training targets."""
        ...

    def loop_targets(self, target: Target) -> npt.NDArray[Any]:
        """Return targets as the objective takes them, such as class ids or values on the scale of the fit."""
        ...

    def finish(self, layer: LastLayer, selection: SelectionData) -> tuple[Self, LastLayer]:
        """Return the task and the last layer of a network that the loop trained, fitted to the selection half.

        Such as the temperature, thresholds, or outputs that the loop does not train.

        Args:
            layer: the trained last layer, on the scale of the targets.
            selection: images that training did not see, apart from the choice of the epoch.
        """
        ...

    def calibrate(
        self, data: CalibrationData | None, coverage: float, threshold: ThresholdConfig, progress: Progress
    ) -> Self:
        """Return the task with prediction sets or intervals, and with decision thresholds.

        Args:
            data: the calibration half; None if no images are left for calibration.
            coverage: nominal coverage of sets or intervals, between 0 and 1.
            threshold: criteria of the decision threshold.
            progress: receives what was chosen and why.
        """
        ...

    def predict(self, outputs: Outputs) -> Prediction:
        """Return predictions from outputs, float (N, num_outputs); rows of NaN for unreadable images."""
        ...

    def tally(self, predictions: pl.DataFrame) -> dict[str, int]:
        """Return numbers of images by prediction, for a summary; "" counts the unreadable ones."""
        ...

    def labels(self, texts: Sequence[str | None]) -> dict[str, pl.Series]:
        """Return the columns of a table of predictions with the truth, from the column ``label`` of a table."""
        ...

    def facts(self, target: Target) -> dict[str, Any]:
        """Return what ``model.json`` says about the training targets, such as the fraction of each class."""
        ...

    def evaluate(
        self, outputs: Outputs, target: Target, groups: Codes | None, model: Mapping[str, Any], baselines: Baselines
    ) -> dict[str, Any]:
        """Return the task's content of ``test.json``: scores with confidence intervals, calibration, sets.

        Args:
            outputs: outputs of the test images, float (N, num_outputs).
            target: their targets.
            groups: their groups, int (N,); None if each image is its own group.
            model: further content of ``model.json``, such as the result of `facts`.
            baselines: outputs of simple rules for the same images, by name, float (N, T); empty for tasks without.
        """
        ...

    def score(
        self, prediction: Any, target: Target, groups: Codes | None, baselines: Baselines | None = None
    ) -> dict[str, Any]:
        """Return the scores of predictions with their intervals, as `evaluate` does for outputs.

        Args:
            prediction: predictions of this task for N images, also by several models.
            target: their targets.
            groups: their groups, int (N,); None if each image is its own group.
            baselines: outputs of simple rules for the same images, by name, float (N, T); None for none.
        """
        ...

    def subgroups(
        self, outputs: Outputs, target: Target, groups: Codes | None, values: Sequence[str | float | None]
    ) -> dict[str, Any]:
        """Return scores by the value of a column of the table, as in ``test.json``."""
        ...

    def suspects(self, outputs: Outputs, target: Target, groups: Codes | None) -> Suspects:
        """Return the images with their labels ranked by suspicion, from outputs of held-out images."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``model.json`` from which `from_json` restores the task."""
        ...

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read the values written by `to_json`.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or invalid.
        """
        ...


TASKS: Registry[type[Task]] = Registry("task")


def join_predictions(parts: Sequence[Prediction], places: Sequence[Codes]) -> Any:
    """Return the predictions of disjoint parts of N images as those of all images, in their order.

    An array that one of the parts lacks is missing in the result.

    Args:
        parts: predictions of one class, a dataclass.
        places: positions of the images of each part; together 0..N-1.
    """
    order = np.argsort(np.concatenate(list(places)), kind="stable")
    joined = {}
    for field in fields(parts[0]):  # type: ignore[arg-type]
        values = [getattr(part, field.name) for part in parts]
        if any(isinstance(value, np.ndarray) for value in values):
            missing = any(value is None for value in values)
            joined[field.name] = None if missing else np.concatenate(values)[order]
    return replace(parts[0], **joined)  # type: ignore[type-var]


def unsupported_task(task: Task, purpose: str) -> UserError:
    """Return the error for what does not exist for a task."""
    return UserError(
        f"{purpose} does not support models of the task {task.name!r}",
        "use a classification model; 'coverslip predict' and 'coverslip evaluate' work for every task",
    )

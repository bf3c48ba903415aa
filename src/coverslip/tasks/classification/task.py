"""Single-label classification: logits become probabilities, predicted classes and prediction sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from coverslip.core.progress import Progress
from coverslip.data.target import Target
from coverslip.evidence.conformal import ConformalThresholds, fit_prediction_sets
from coverslip.evidence.recalibration import fit_temperature, softmax
from coverslip.evidence.threshold import DEFAULT, Threshold, fit_threshold, unmeasured_threshold
from coverslip.tasks.class_task import ClassTask, read_sets, read_temperature
from coverslip.tasks.config import ThresholdConfig
from coverslip.tasks.fields import read_field, read_names
from coverslip.tasks.task import (
    TASKS,
    Baselines,
    CalibrationData,
    Codes,
    HeadData,
    LastLayer,
    Outputs,
    SelectionData,
    Task,
    unsupported_task,
)
from coverslip.training.fitted_head import FittedHead
from coverslip.training.heads import fit_head
from coverslip.training.objectives import ClassObjective, Objective


@TASKS.register("classification")
@dataclass(frozen=True, slots=True)
class Classification(ClassTask):
    """The conversion of logits into probabilities, predicted classes and prediction sets.

    Attributes:
        classes: class names, in the order of the network's outputs.
        temperature: value that the logits are divided by before the softmax (temperature scaling).
        threshold: decision threshold for two classes; None predicts the most probable class.
        sets: thresholds of the prediction sets; None without calibration images.
    """

    name: ClassVar[str] = "classification"
    shown: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy")

    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: Threshold | None = None
    sets: ConformalThresholds | None = None

    @classmethod
    def new(cls, names: tuple[str, ...], scale: str = "") -> Self:
        """See `Task.new`."""
        return cls(names)

    @property
    def num_outputs(self) -> int:
        """See `Task.num_outputs`."""
        return len(self.classes)

    @property
    def identity(self) -> tuple[object, ...]:
        """See `Task.identity`."""
        threshold = None if self.threshold is None else (self.threshold.class_name, float(self.threshold.value))
        return float(self.temperature), self.classes, threshold

    @property
    def rule(self) -> str:
        """The decision threshold, unless the more probable class is predicted."""
        if self.threshold is None or self.threshold.chosen == DEFAULT:
            return ""
        return f"decision threshold for {self.threshold.class_name!r}: {self.threshold.value:.3g}"

    def probabilities(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return softmax(logits / temperature), shape (N, K), rows sum to 1, for logits of shape (N, K)."""
        return softmax(logits, self.temperature)

    def predicted_classes(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """Return predicted class ids, shape (N,), for probabilities of shape (N, K). Every entry point uses this rule.

        >>> Classification(("healthy", "rust")).predicted_classes(np.array([[0.4, 0.6]])).tolist()
        [1]
        """
        if self.threshold is None:
            return np.asarray(probabilities.argmax(axis=1))
        return self.threshold.predicted_classes(probabilities, self.classes)

    def fit_head(self, data: HeadData, progress: Progress) -> tuple[Self, FittedHead]:
        """See `Task.fit_head`."""
        validation = None if data.validation is None else (data.validation[0], data.validation[1].array.tolist())
        head = fit_head(
            data.features,
            data.target.array.tolist(),
            data.groups,
            len(self.classes),
            views=data.views,
            validation=validation,
            l2_values=data.l2_values,
            folds=data.folds,
            seed=data.seed,
            progress=progress,
        )
        fitted = FittedHead(head.weight, head.bias, head.l2, head.history, head.penalties, head.held_out_logits)
        return replace(self, temperature=head.temperature), fitted

    def objective(self, target: Target) -> Objective:
        """See `Task.objective`."""
        return ClassObjective(len(self.classes))

    def loop_targets(self, target: Target) -> npt.NDArray[Any]:
        """See `Task.loop_targets`."""
        return target.array

    def finish(self, layer: LastLayer, selection: SelectionData) -> tuple[Self, LastLayer]:
        """Fit the temperature."""
        if not len(selection.features):
            return self, layer
        return self.select(layer.outputs(selection.features), selection.target, selection.groups), layer

    def select(self, outputs: Outputs, target: Target, groups: Sequence[str]) -> Self:
        """Return the task with a temperature fitted to the selection half."""
        return replace(self, temperature=fit_temperature(outputs, target.array, groups))

    def calibrate(
        self, data: CalibrationData | None, coverage: float, threshold: ThresholdConfig, progress: Progress
    ) -> Self:
        """Return the task with prediction sets and, for two classes, a decision threshold."""
        sets, probabilities = None, None
        if data is not None:
            probabilities = self.probabilities(data.images.outputs)
            sets = fit_prediction_sets(data.images.target.array, probabilities, data.images.groups, coverage=coverage)
        task = replace(self, sets=sets)
        if len(self.classes) != 2:
            return task
        positive, why = threshold.positive_of(self.classes)
        if data is None or probabilities is None:
            fitted = unmeasured_threshold(positive, threshold.value, why)
        else:
            fitted = fit_threshold(
                data.images.target.array,
                probabilities,
                data.images.groups,
                self.classes,
                positive,
                value=threshold.value,
                sensitivity=threshold.sensitivity,
                specificity=threshold.specificity,
                balanced=threshold.balanced,
                why=why,
            )
        progress.note(f"decision threshold for {positive!r}: {fitted.value:.3g} (positive class: {why})")
        if fitted.note:
            progress.note(f"note: {fitted.note}")
        return replace(task, threshold=fitted)

    def evaluate(
        self, outputs: Outputs, target: Target, groups: Codes | None, model: Mapping[str, Any], baselines: Baselines
    ) -> dict[str, Any]:
        """See `Task.evaluate`."""
        uncalibrated = replace(self, temperature=1.0).probabilities(outputs)
        evidence = self.score(self.predict(outputs), target, groups, uncalibrated=uncalibrated)
        evidence["calibration"] |= {"temperature": self.temperature, "assumes": model.get("assumes")}
        return evidence

    def to_json(self) -> dict[str, Any]:
        """See `Task.to_json`."""
        return {
            "classes": list(self.classes),
            "temperature": self.temperature,
            "sets": None if self.sets is None else self.sets.to_json(),
            **({} if self.threshold is None else {"threshold": self.threshold.to_json()}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """See `Task.from_json`."""
        classes = read_field(content, "classes", read_names)
        temperature = read_field(content, "temperature", read_temperature)
        threshold = None
        if "threshold" in content:
            threshold = read_field(content, "threshold", lambda value: Threshold.from_json(value, classes))
        return cls(
            classes, temperature, threshold, read_field(content, "sets", lambda value: read_sets(value, classes))
        )


def require_classification(task: Task, purpose: str) -> Classification:
    """Return a task as a classification, for what exists for classification only.

    Args:
        task: the task of a model.
        purpose: what is done, such as "export"; for the message.

    Raises:
        UserError: it is another task.
    """
    if not isinstance(task, Classification):
        raise unsupported_task(task, purpose)
    return task

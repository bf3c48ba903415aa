"""Single-label classification: logits become probabilities, predicted classes and prediction sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.data.target import Target
from coverslip.evidence.conformal import ConformalThresholds, fit_prediction_sets, prediction_sets
from coverslip.evidence.label_errors import rank_label_errors
from coverslip.evidence.recalibration import fit_temperature, softmax
from coverslip.evidence.subgroups import subgroup_scores
from coverslip.evidence.threshold import DEFAULT, Threshold, fit_threshold, unmeasured_threshold
from coverslip.tasks.classification.evaluation import evaluate_classes
from coverslip.tasks.classification.prediction import ClassPrediction
from coverslip.tasks.config import ThresholdConfig
from coverslip.tasks.fields import read_field, read_names
from coverslip.tasks.task import TASKS, Baselines, CalibrationData, Codes, HeadData, Outputs, Suspects, Task
from coverslip.training.fitted_head import FittedHead
from coverslip.training.heads import fit_head


@TASKS.register("classification")
@dataclass(frozen=True, slots=True)
class Classification:
    """The conversion of logits into probabilities, predicted classes and prediction sets.

    Attributes:
        classes: class names, in the order of the network's outputs.
        temperature: value that the logits are divided by before the softmax (temperature scaling).
        threshold: decision threshold for two classes; None predicts the most probable class.
        sets: thresholds of the prediction sets; None without calibration images.
    """

    name: ClassVar[str] = "classification"

    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: Threshold | None = None
    sets: ConformalThresholds | None = None

    @classmethod
    def new(cls, names: tuple[str, ...], scale: str = "") -> Self:
        """See `Task.new`."""
        return cls(names)

    @property
    def names(self) -> tuple[str, ...]:
        """See `Task.names`."""
        return self.classes

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

    def set_members(self, probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_] | None:
        """Return the classes in each prediction set, bool (N, K), for probabilities (N, K); None without `sets`."""
        return None if self.sets is None else prediction_sets(probabilities, self.sets)

    def predict(self, outputs: Outputs) -> ClassPrediction:
        """See `Task.predict`."""
        probabilities = self.probabilities(outputs)
        return ClassPrediction(
            self.classes, probabilities, self.predicted_classes(probabilities), self.set_members(probabilities)
        )

    def tally(self, predictions: pl.DataFrame) -> dict[str, int]:
        """Return the number of images of each predicted class; no class has an empty name."""
        return dict(Counter(str(name or "") for name in predictions["predicted"]))

    def labels(self, texts: Sequence[str | None]) -> dict[str, pl.Series]:
        """See `Task.labels`."""
        return {"label": pl.Series(list(texts), dtype=pl.String)}

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

    def facts(self, target: Target) -> dict[str, Any]:
        """Return ``assumes``: the fraction of each class in the training set, the prior of the probabilities."""
        counts = np.bincount(target.array, minlength=len(self.classes))
        fractions = zip(self.classes, counts / counts.sum(), strict=True)
        return {"assumes": {name: round(float(fraction), 6) for name, fraction in fractions}}

    def evaluate(
        self, outputs: Outputs, target: Target, groups: Codes | None, model: Mapping[str, Any], baselines: Baselines
    ) -> dict[str, Any]:
        """See `Task.evaluate`."""
        uncalibrated = replace(self, temperature=1.0).probabilities(outputs)
        evidence = evaluate_classes(
            self.predict(outputs), uncalibrated, target.array, groups, threshold=self.threshold, sets=self.sets
        )
        evidence["calibration"] |= {"temperature": self.temperature, "assumes": model.get("assumes")}
        return evidence

    def subgroups(
        self, outputs: Outputs, target: Target, groups: Codes | None, values: Sequence[str | float | None]
    ) -> dict[str, Any]:
        """See `Task.subgroups`."""
        prediction = self.predict(outputs)
        return subgroup_scores(
            target.array, prediction.probabilities, groups, values, self.classes, predicted=prediction.predicted
        )

    def suspects(self, outputs: Outputs, target: Target, groups: Codes | None) -> Suspects:
        """Return the images ranked by confident learning; see `rank_label_errors`."""
        ranked = rank_label_errors(target.array, self.probabilities(outputs), groups)
        return Suspects(ranked.rows, [self.classes[label] for label in ranked.suggested], ranked.score, ranked.suspect)

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
        temperature = read_field(content, "temperature", _temperature)
        threshold = None
        if "threshold" in content:
            threshold = read_field(content, "threshold", lambda value: Threshold.from_json(value, classes))
        return cls(classes, temperature, threshold, read_field(content, "sets", lambda value: _sets(value, classes)))


def _temperature(value: Any) -> float:
    temperature = float(value)
    if not 0 < temperature < np.inf:
        raise ValueError("a temperature is positive and finite")
    return temperature


def _sets(value: Any, classes: tuple[str, ...]) -> ConformalThresholds | None:
    sets = None if value is None else ConformalThresholds.from_json(value)
    if sets is not None and len(sets.least) != len(classes):
        raise ValueError("the thresholds of the prediction sets do not match the classes")
    return sets


def require_classification(task: Task, purpose: str) -> Classification:
    """Return a task as a classification, for what exists for classification only.

    Args:
        task: the task of a model.
        purpose: what is done, such as "export"; for the message.

    Raises:
        UserError: it is another task.
    """
    if not isinstance(task, Classification):
        raise UserError(
            f"{purpose} does not support models of the task {task.name!r}",
            "use a classification model; 'coverslip predict' and 'coverslip evaluate' work for every task",
        )
    return task

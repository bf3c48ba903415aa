"""What tasks with one class per image share: names, predictions, sets, subgroups and suspect labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.data.target import Target
from coverslip.evidence.conformal import ConformalThresholds, prediction_sets
from coverslip.evidence.label_errors import rank_label_errors
from coverslip.evidence.subgroups import subgroup_scores
from coverslip.evidence.threshold import Threshold
from coverslip.tasks.class_evaluation import evaluate_classes
from coverslip.tasks.class_prediction import ClassPrediction
from coverslip.tasks.task import Baselines, Codes, FloatArray, Outputs, Suspects, Task, unsupported_task


class ClassTask(ABC):
    """A task with one class per image.

    Attributes:
        classes: class names; of ordered classes, the lowest first.
        temperature: value that outputs are divided by (temperature scaling).
        sets: thresholds of the prediction sets; None without calibration images.
        threshold: decision threshold for two classes; None predicts by the rule of the task.
    """

    __slots__ = ()
    classes: tuple[str, ...]
    temperature: float
    sets: ConformalThresholds | None
    threshold: Threshold | None

    @classmethod
    @abstractmethod
    def new(cls, names: tuple[str, ...], scale: str = "") -> Self:
        """See `Task.new`."""

    @abstractmethod
    def probabilities(self, outputs: npt.NDArray[np.floating]) -> FloatArray:
        """Return calibrated probabilities, float64 (N, K), rows sum to 1, of outputs (N, num_outputs)."""

    @abstractmethod
    def predicted_classes(self, probabilities: npt.NDArray[np.floating]) -> Codes:
        """Return predicted class ids, shape (N,), for probabilities of shape (N, K). Every entry point uses this."""

    @property
    def names(self) -> tuple[str, ...]:
        """See `Task.names`."""
        return self.classes

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

    def facts(self, target: Target) -> dict[str, Any]:
        """Return ``assumes``: the fraction of each class in the training set, the prior of the probabilities."""
        counts = np.bincount(target.array, minlength=len(self.classes))
        fractions = zip(self.classes, counts / counts.sum(), strict=True)
        return {"assumes": {name: round(float(fraction), 6) for name, fraction in fractions}}

    def score(
        self,
        prediction: ClassPrediction,
        target: Target,
        groups: Codes | None,
        baselines: Baselines | None = None,
        *,
        uncalibrated: FloatArray | None = None,
    ) -> dict[str, Any]:
        """See `Task.score`; ``uncalibrated`` are the probabilities before temperature scaling, (N, K)."""
        before = prediction.probabilities if uncalibrated is None else uncalibrated
        return evaluate_classes(prediction, before, target.array, groups, threshold=self.threshold, sets=self.sets)

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


def read_temperature(value: Any) -> float:
    """Return a temperature of ``model.json``.

    Raises:
        ValueError: it is not positive and finite.
    """
    temperature = float(value)
    if not 0 < temperature < np.inf:
        raise ValueError("a temperature is positive and finite")
    return temperature


def read_sets(value: Any, classes: tuple[str, ...]) -> ConformalThresholds | None:
    """Return the thresholds of prediction sets of ``model.json``.

    Raises:
        ValueError: they do not match the classes.
    """
    sets = None if value is None else ConformalThresholds.from_json(value)
    if sets is not None and len(sets.least) != len(classes):
        raise ValueError("the thresholds of the prediction sets do not match the classes")
    return sets


def require_classes(task: Task, purpose: str) -> ClassTask:
    """Return a task with one class per image, for what exists for such tasks only.

    Args:
        task: the task of a model.
        purpose: what is done, such as "serve"; for the message.

    Raises:
        UserError: it is another task.
    """
    if not isinstance(task, ClassTask):
        raise unsupported_task(task, purpose)
    return task

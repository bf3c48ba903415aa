"""Ordered classes: cumulative logits become probabilities, predicted levels and contiguous prediction sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from coverslip.core.progress import Progress
from coverslip.data.target import Target
from coverslip.evidence.conformal import ConformalThresholds, fit_prediction_sets
from coverslip.evidence.ordinal import (
    contiguous,
    fit_level_temperature,
    level_probabilities,
    level_scores,
    median_levels,
)
from coverslip.evidence.threshold import Threshold
from coverslip.tasks.class_prediction import ClassPrediction
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
)
from coverslip.training.cumulative_head import fit_cumulative_head
from coverslip.training.fitted_head import FittedHead
from coverslip.training.objectives import BinaryObjective, Objective


@TASKS.register("ordinal")
@dataclass(frozen=True, slots=True)
class Ordinal(ClassTask):
    """The conversion of cumulative logits into probabilities of levels, predicted levels and prediction sets.

    The median level is predicted, which minimizes the expected number of levels between prediction and truth; the most
    probable level can be far from the others. Prediction sets contain no gaps.

    Attributes:
        classes: names of the levels, the lowest first.
        temperature: value that the cumulative logits are divided by.
        sets: thresholds of the prediction sets; None without calibration images.
        threshold: None; the rule of the median needs no threshold.
    """

    name: ClassVar[str] = "ordinal"
    shown: ClassVar[tuple[str, ...]] = ("quadratic_kappa", "level_error")

    classes: tuple[str, ...]
    temperature: float = 1.0
    sets: ConformalThresholds | None = None
    threshold: Threshold | None = field(default=None, init=False)

    @classmethod
    def new(cls, names: tuple[str, ...], scale: str = "") -> Self:
        """See `Task.new`."""
        return cls(names)

    @property
    def num_outputs(self) -> int:
        """One less than the number of levels: the logits of a level above the lowest, the second and so on."""
        return len(self.classes) - 1

    @property
    def identity(self) -> tuple[object, ...]:
        """See `Task.identity`."""
        return "ordinal", float(self.temperature), self.classes

    @property
    def rule(self) -> str:
        """The order of the classes."""
        return f"the median of the ordered classes is predicted: {' < '.join(self.classes)}"

    def probabilities(self, outputs: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return probabilities of the levels, float64 (N, K), of cumulative logits (N, K - 1)."""
        return level_probabilities(outputs, self.temperature)

    def predicted_classes(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """Return the median level of each row of probabilities."""
        return median_levels(probabilities)

    def set_members(self, probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_] | None:
        """Return the levels in each prediction set, without gaps."""
        members = ClassTask.set_members(self, probabilities)
        return None if members is None else contiguous(members)

    def fit_head(self, data: HeadData, progress: Progress) -> tuple[Self, FittedHead]:
        """Fit a proportional-odds model, and the temperature to its held-out logits."""
        validation = None if data.validation is None else (data.validation[0], data.validation[1].array)
        levels = data.target.array
        head = fit_cumulative_head(
            data.features,
            levels,
            data.groups,
            len(self.classes),
            views=data.views,
            validation=validation,
            l2_values=data.l2_values,
            folds=data.folds,
            seed=data.seed,
            progress=progress,
        )
        return self.select(head.held_out, data.target, data.groups), head

    def objective(self, target: Target) -> Objective:
        """See `Task.objective`."""
        return BinaryObjective(self.num_outputs)

    def loop_targets(self, target: Target) -> npt.NDArray[Any]:
        """See `Task.loop_targets`."""
        return np.asarray(target.array[:, None] > np.arange(self.num_outputs), np.float32)

    def finish(self, layer: LastLayer, selection: SelectionData) -> tuple[Self, LastLayer]:
        """Fit the temperature."""
        if not len(selection.features):
            return self, layer
        return self.select(layer.outputs(selection.features), selection.target, selection.groups), layer

    def select(self, outputs: Outputs, target: Target, groups: Sequence[str]) -> Self:
        """Return the task with a temperature fitted to held-out outputs."""
        codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
        return replace(self, temperature=fit_level_temperature(outputs, target.array, codes))

    def calibrate(
        self, data: CalibrationData | None, coverage: float, threshold: ThresholdConfig, progress: Progress
    ) -> Self:
        """Return the task with prediction sets."""
        if data is None:
            return replace(self, sets=None)
        probabilities = self.probabilities(data.images.outputs)
        sets = fit_prediction_sets(data.images.target.array, probabilities, data.images.groups, coverage=coverage)
        return replace(self, sets=sets)

    def evaluate(
        self, outputs: Outputs, target: Target, groups: Codes | None, model: Mapping[str, Any], baselines: Baselines
    ) -> dict[str, Any]:
        """See `Task.evaluate`."""
        uncalibrated = replace(self, temperature=1.0).probabilities(outputs)
        evidence = self.score(self.predict(outputs), target, groups, uncalibrated=uncalibrated)
        evidence["calibration"] |= {"temperature": self.temperature, "assumes": model.get("assumes")}
        return evidence

    def score(
        self,
        prediction: ClassPrediction,
        target: Target,
        groups: Codes | None,
        baselines: Baselines | None = None,
        *,
        uncalibrated: npt.NDArray[np.float64] | None = None,
    ) -> dict[str, Any]:
        """Return the scores of classes, and those of the distance between levels; see `ClassTask.score`."""
        evidence = ClassTask.score(self, prediction, target, groups, uncalibrated=uncalibrated)
        evidence["scores"] = level_scores(target.array, prediction.predicted, groups) | evidence["scores"]
        return evidence

    def to_json(self) -> dict[str, Any]:
        """See `Task.to_json`."""
        return {
            "classes": list(self.classes),
            "temperature": self.temperature,
            "sets": None if self.sets is None else self.sets.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """See `Task.from_json`."""
        classes = read_field(content, "classes", read_names)
        temperature = read_field(content, "temperature", read_temperature)
        return cls(classes, temperature, read_field(content, "sets", lambda value: read_sets(value, classes)))

"""Several labels: logits become probabilities, predicted labels and sets of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.progress import Progress
from coverslip.data.target import SEPARATOR, LabelTarget, Target
from coverslip.evidence.label_errors import rank_label_errors
from coverslip.evidence.label_sets import LabelSetThreshold, fit_label_sets
from coverslip.tasks.config import ThresholdConfig
from coverslip.tasks.fields import read_field, read_names
from coverslip.tasks.multilabel.evaluation import evaluate_labels, label_subgroups
from coverslip.tasks.multilabel.prediction import LabelPrediction
from coverslip.tasks.multilabel.thresholds import DEFAULT, fit_temperatures, fit_thresholds
from coverslip.tasks.task import (
    TASKS,
    Baselines,
    CalibrationData,
    Codes,
    FloatArray,
    HeadData,
    LastLayer,
    Outputs,
    SelectionData,
    Suspects,
)
from coverslip.training.fitted_head import FittedHead
from coverslip.training.label_heads import fit_label_heads, label_probabilities
from coverslip.training.objectives import BinaryObjective, Objective


@TASKS.register("multilabel")
@dataclass(frozen=True, slots=True)
class Multilabel:
    """The conversion of logits into probabilities of labels, predicted labels and sets of labels.

    Attributes:
        classes: names of the L labels.
        temperatures: value that the logits of each label are divided by, length L.
        thresholds: probability from which each label is predicted, length L.
        sets: probability from which a label is in the set; None without calibration images.
    """

    name: ClassVar[str] = "multilabel"
    shown: ClassVar[tuple[str, ...]] = ("macro_f1", "exact_match")

    classes: tuple[str, ...]
    temperatures: tuple[float, ...]
    thresholds: tuple[float, ...]
    sets: LabelSetThreshold | None = None

    @classmethod
    def new(cls, names: tuple[str, ...], scale: str = "") -> Self:
        """See `Task.new`."""
        return cls(names, (1.0,) * len(names), (DEFAULT,) * len(names))

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
        return "multilabel", self.classes, self.temperatures, self.thresholds

    @property
    def rule(self) -> str:
        """The thresholds, unless all are 0.5."""
        if all(threshold == DEFAULT for threshold in self.thresholds):
            return ""
        texts = (f"{name} {value:.2g}" for name, value in zip(self.classes, self.thresholds, strict=True))
        return f"a label is predicted from its own probability on: {', '.join(texts)}"

    def probabilities(self, outputs: Outputs) -> FloatArray:
        """Return calibrated probabilities, float64 (N, L), of logits (N, L)."""
        return label_probabilities(outputs, np.asarray(self.temperatures))

    def predict(self, outputs: Outputs) -> LabelPrediction:
        """See `Task.predict`."""
        probabilities = self.probabilities(outputs)
        members = None if self.sets is None else probabilities >= self.sets.least
        return LabelPrediction(self.classes, probabilities, probabilities >= np.asarray(self.thresholds), members)

    def tally(self, predictions: pl.DataFrame) -> dict[str, int]:
        """Return the number of images with each predicted label; an image counts for each of its labels."""
        cells = [str(text or "").split(SEPARATOR) for text in predictions["predicted"]]
        return dict(Counter(name for names in cells for name in names))

    def labels(self, texts: Sequence[str | None]) -> dict[str, pl.Series]:
        """See `Task.labels`."""
        return {"label": pl.Series(list(texts), dtype=pl.String)}

    def fit_head(self, data: HeadData, progress: Progress) -> tuple[Self, FittedHead]:
        """Fit a logistic regression for each label; temperatures and thresholds follow from its held-out logits."""
        head = fit_label_heads(
            data.features,
            data.target.array,
            data.target.strata(),
            data.groups,
            self.classes,
            views=data.views,
            validation=None if data.validation is None else (data.validation[0], data.validation[1].array),
            l2_values=data.l2_values,
            folds=data.folds,
            seed=data.seed,
            progress=progress,
        )
        return self.select(head.held_out, data.target, data.groups), head

    def objective(self, target: Target) -> Objective:
        """See `Task.objective`."""
        return BinaryObjective(len(self.classes))

    def loop_targets(self, target: Target) -> npt.NDArray[Any]:
        """See `Task.loop_targets`."""
        return target.array.astype(np.float32)

    def finish(self, layer: LastLayer, selection: SelectionData) -> tuple[Self, LastLayer]:
        """Fit the temperatures and thresholds of the labels."""
        if not len(selection.features):
            return self, layer
        return self.select(layer.outputs(selection.features), selection.target, selection.groups), layer

    def select(self, outputs: Outputs, target: Target, groups: Sequence[str]) -> Self:
        """Return the task with temperatures and thresholds fitted to held-out outputs."""
        codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]
        fitted = replace(self, temperatures=fit_temperatures(outputs, target.array, codes))
        return replace(fitted, thresholds=fit_thresholds(fitted.probabilities(outputs), target.array, codes))

    def calibrate(
        self, data: CalibrationData | None, coverage: float, threshold: ThresholdConfig, progress: Progress
    ) -> Self:
        """Return the task with sets of labels, and with one threshold for all labels if it is configured."""
        task = self if threshold.value is None else replace(self, thresholds=(threshold.value,) * len(self.classes))
        if task.rule:
            progress.note(task.rule)
        if data is None:
            return replace(task, sets=None)
        images = data.images
        return replace(
            task,
            sets=fit_label_sets(
                images.target.array, self.probabilities(images.outputs), images.groups, coverage=coverage
            ),
        )

    def facts(self, target: Target) -> dict[str, Any]:
        """Return ``assumes``: the share of the training images with each label."""
        shares = target.array.mean(axis=0).tolist()
        return {"assumes": {name: round(float(share), 6) for name, share in zip(self.classes, shares, strict=True)}}

    def evaluate(
        self, outputs: Outputs, target: Target, groups: Codes | None, model: Mapping[str, Any], baselines: Baselines
    ) -> dict[str, Any]:
        """See `Task.evaluate`."""
        uncalibrated = label_probabilities(outputs, np.ones(len(self.classes)))
        evidence = self.score(self.predict(outputs), target, groups, uncalibrated=uncalibrated)
        evidence["calibration"] |= {"temperature": None, "assumes": model.get("assumes")}
        return evidence

    def score(
        self,
        prediction: LabelPrediction,
        target: Target,
        groups: Codes | None,
        baselines: Baselines | None = None,
        *,
        uncalibrated: FloatArray | None = None,
    ) -> dict[str, Any]:
        """See `Task.score`; ``uncalibrated`` are the probabilities before temperature scaling, (N, L)."""
        before = prediction.probabilities if uncalibrated is None else uncalibrated
        evidence = evaluate_labels(prediction, before, target.array, groups, self.sets)
        evidence["thresholds"] = dict(zip(self.classes, self.thresholds, strict=True))
        return evidence

    def subgroups(
        self, outputs: Outputs, target: Target, groups: Codes | None, values: Sequence[str | float | None]
    ) -> dict[str, Any]:
        """See `Task.subgroups`."""
        return label_subgroups(self.predict(outputs), target.array, groups, values)

    def suspects(self, outputs: Outputs, target: Target, groups: Codes | None) -> Suspects:
        """Return the images ranked by confident learning, label by label; see `rank_label_errors`."""
        members, probabilities = target.array, self.probabilities(outputs)
        suggested, score = members.copy(), np.zeros(len(members))
        for label in range(members.shape[1]):
            own = probabilities[:, label]
            both = np.stack([1 - own, own], axis=1)
            ranked = rank_label_errors(members[:, label].astype(np.int64), both, groups)
            wrong = ranked.rows[ranked.suspect]
            suggested[wrong, label] = ~members[wrong, label]
            score[ranked.rows] = np.maximum(score[ranked.rows], ranked.score)
        suspect = (suggested != members).any(axis=1)
        rows = np.lexsort((-score, ~suspect)).astype(np.int64)
        texts = LabelTarget(suggested[rows], self.classes).texts()
        return Suspects(rows, texts, score[rows], suspect[rows])

    def to_json(self) -> dict[str, Any]:
        """See `Task.to_json`."""
        return {
            "classes": list(self.classes),
            "temperatures": list(self.temperatures),
            "thresholds": list(self.thresholds),
            "sets": None if self.sets is None else self.sets.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """See `Task.from_json`."""
        classes = read_field(content, "classes", read_names)

        def positive(value: Any) -> tuple[float, ...]:
            numbers = tuple(map(float, value))
            if len(numbers) != len(classes) or not all(0 < number < np.inf for number in numbers):
                raise ValueError("a positive number for each label is expected")
            return numbers

        temperatures = read_field(content, "temperatures", positive)
        thresholds = read_field(content, "thresholds", positive)
        sets = read_field(content, "sets", lambda value: None if value is None else LabelSetThreshold.from_json(value))
        return cls(classes, temperatures, thresholds, sets)

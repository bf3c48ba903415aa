"""Regression: outputs become values with prediction intervals.

The outputs of a model are T values, on the scale of the fit, and T logarithms of the expected size of the residual. The
latter come from a second ridge regression, of the logarithm of the out-of-fold residuals: images that are hard to
predict get wider intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.core.progress import Progress
from coverslip.data.target import SEPARATOR, Target, ValueTarget
from coverslip.evidence.prediction_intervals import IntervalThreshold, Residuals, fit_interval
from coverslip.evidence.regression import regression_evidence, value_subgroups
from coverslip.tasks.config import ThresholdConfig
from coverslip.tasks.fields import read_field, read_names
from coverslip.tasks.regression.prediction import ValuePrediction, suffix_of
from coverslip.tasks.regression.scale import SCALES, from_scale, to_scale
from coverslip.tasks.task import (
    TASKS,
    Baselines,
    CalibrationData,
    Codes,
    FloatArray,
    HeadData,
    HeldOutData,
    LastLayer,
    Outputs,
    SelectionData,
    Suspects,
)
from coverslip.training.fitted_head import FittedHead
from coverslip.training.heads import L2_VALUES
from coverslip.training.objectives import Objective, ValueObjective
from coverslip.training.ridge import RIDGE_VALUES, fit_ridge

SCALE_LIMIT = 4.0  # an interval is at most this many times as wide, or as narrow, as the median one
FLOOR = 0.05  # smallest residual, relative to the median, whose logarithm is fitted
MIN_SELECTION = 10  # groups from which the size of residuals is estimated for each image
SUSPECT = 3.0  # half-widths of the interval from which a value is suspect


@TASKS.register("regression")
@dataclass(frozen=True, slots=True)
class Regression:
    """The conversion of outputs into values with prediction intervals.

    Attributes:
        targets: names of the T target columns.
        scale: scale on which values are fitted: "", "log" or "logit".
        spread: median of the expected size of the residual of each target, on the scale of the fit; 1 before training.
        intervals: half-width of the interval of each target; empty without calibration images.
        seen: smallest and largest value of each target in the training set; empty before training.
    """

    name: ClassVar[str] = "regression"
    shown: ClassVar[tuple[str, ...]] = ("mae", "concordance")

    targets: tuple[str, ...]
    scale: str = ""
    spread: tuple[float, ...] = ()
    intervals: tuple[IntervalThreshold | None, ...] = ()
    seen: tuple[tuple[float, float], ...] = ()

    @classmethod
    def new(cls, names: tuple[str, ...], scale: str = "") -> Self:
        """See `Task.new`."""
        return cls(names, scale, (1.0,) * len(names))

    @property
    def names(self) -> tuple[str, ...]:
        """See `Task.names`."""
        return self.targets

    @property
    def num_outputs(self) -> int:
        """Twice the number of targets: values, and logarithms of the expected size of their residuals."""
        return 2 * len(self.targets)

    @property
    def identity(self) -> tuple[object, ...]:
        """See `Task.identity`."""
        widths = tuple(None if each is None else each.half_width for each in self.intervals)
        return self.targets, self.scale, self.spread, widths

    @property
    def rule(self) -> str:
        """No rule is needed."""
        return ""

    def fit_head(self, data: HeadData, progress: Progress) -> tuple[Self, FittedHead]:
        """Fit a ridge regression of the values, and one of the logarithm of their out-of-fold residuals."""
        values, strata = to_scale(data.target.array, self.scale), data.target.strata()
        validation = data.validation
        l2_values = RIDGE_VALUES if tuple(data.l2_values) == L2_VALUES else data.l2_values  # the classifier's default
        ridge = fit_ridge(
            data.features,
            values,
            data.groups,
            strata,
            views=data.views,
            validation=None if validation is None else (validation[0], to_scale(validation[1].array, self.scale)),
            l2_values=l2_values,
            folds=data.folds,
            seed=data.seed,
            progress=progress,
        )
        sizes = log_sizes(values - ridge.held_out)
        difficulty = fit_ridge(
            data.features,
            sizes,
            data.groups,
            strata,
            views=data.views,
            l2_values=l2_values,
            folds=data.folds,
            seed=data.seed,
            progress=progress,
        )
        head = FittedHead(
            np.concatenate([ridge.weight, difficulty.weight]),
            np.concatenate([ridge.bias, difficulty.bias]),
            ridge.l2,
            ridge.history,
            ridge.penalties,
            np.concatenate([ridge.held_out, difficulty.held_out], axis=1),
        )
        return self._trained(data.target, np.exp(np.median(difficulty.held_out, axis=0))), head

    def objective(self, target: Target) -> Objective:
        """See `Task.objective`."""
        return ValueObjective.of(self.loop_targets(target))

    def loop_targets(self, target: Target) -> npt.NDArray[Any]:
        """Return the values on the scale of the fit."""
        return to_scale(target.array, self.scale)

    def finish(self, layer: LastLayer, selection: SelectionData) -> tuple[Self, LastLayer]:
        """Fit the size of the residuals: a ridge regression of their logarithm on the features of the selection half.

        With fewer than `MIN_SELECTION` groups the size is the same for all images.
        """
        number = len(self.targets)
        if not len(selection.features):
            zeros = np.zeros_like(layer.weight)
            return self._trained(selection.training, np.ones(number)), _with_sizes(layer, zeros, layer.bias * 0)
        residuals = self.loop_targets(selection.target) - layer.outputs(selection.features)
        spread = np.maximum(np.median(np.abs(residuals), axis=0), 1e-12)
        weight, bias = np.zeros_like(layer.weight), np.log(spread).astype(np.float32)
        if len(set(selection.groups)) >= MIN_SELECTION:
            fitted = fit_ridge(selection.features, log_sizes(residuals), selection.groups, selection.target.strata())
            weight, bias = fitted.weight, fitted.bias
            spread = np.exp(np.median(fitted.held_out, axis=0))
        return self._trained(selection.training, spread), _with_sizes(layer, weight, bias)

    def calibrate(
        self, data: CalibrationData | None, coverage: float, threshold: ThresholdConfig, progress: Progress
    ) -> Self:
        """Return the task with prediction intervals."""
        if data is None:
            return replace(self, intervals=())
        intervals = tuple(
            fit_interval(
                self._residuals(data.images, index),
                None if data.out_of_fold is None else self._residuals(data.out_of_fold, index),
                coverage=coverage,
            )
            for index in range(len(self.targets))
        )
        for name, interval in zip(self.targets, intervals, strict=True):
            if interval is None:
                progress.note(f"note: too few groups to calibrate prediction intervals of {name!r}: there are none")
        return replace(self, intervals=intervals)

    def facts(self, target: Target) -> dict[str, Any]:
        """Return nothing: the range of the training targets is part of the task."""
        return {}

    def predict(self, outputs: Outputs) -> ValuePrediction:
        """See `Task.predict`."""
        number = len(self.targets)
        values = outputs[:, :number].astype(np.float64)
        predicted = from_scale(values, self.scale)
        if not any(interval is not None for interval in self.intervals):
            return ValuePrediction(self.targets, predicted)
        widths = np.array([np.nan if each is None else each.half_width for each in self.intervals])
        half = self.sizes(outputs) * widths
        low, high = from_scale(values - half, self.scale), from_scale(values + half, self.scale)
        return ValuePrediction(self.targets, predicted, low, high)

    def sizes(self, outputs: Outputs) -> FloatArray:
        """Return the expected size of the residuals, float64 (N, T), on the scale of the fit, within limits."""
        spread = np.asarray(self.spread)
        with np.errstate(over="ignore"):
            sizes = np.exp(outputs[:, len(self.targets) :].astype(np.float64))
        return np.asarray(np.clip(sizes, spread / SCALE_LIMIT, spread * SCALE_LIMIT))

    def tally(self, predictions: pl.DataFrame) -> dict[str, int]:
        """Return the numbers of images below, within and above the range of the training targets."""
        below, above = (np.zeros(predictions.height, bool) for _ in range(2))
        unread = np.zeros(predictions.height, bool)
        for name, (low, high) in zip(self.targets, self.seen or [(-np.inf, np.inf)] * len(self.targets), strict=True):
            values = predictions[f"predicted{suffix_of(self.targets, name)}"].cast(pl.Float64).to_numpy()
            unread |= np.isnan(values)
            below |= values < low
            above |= values > high
        counts = {
            "": int(unread.sum()),
            "within the range of the training targets": int((~unread & ~below & ~above).sum()),
            "below it": int(below.sum()),
            "above it": int((above & ~below).sum()),
        }
        return {name: count for name, count in counts.items() if count}

    def labels(self, texts: Sequence[str | None]) -> dict[str, pl.Series]:
        """Return ``target``; of several targets ``target:NAME`` for each."""
        columns: dict[str, pl.Series] = {}
        cells = [[None] * len(self.targets) if text is None else text.split(SEPARATOR) for text in texts]
        for index, name in enumerate(self.targets):
            values = [None if row[index] is None else float(str(row[index])) for row in cells]
            columns[f"target{suffix_of(self.targets, name)}"] = pl.Series(values, dtype=pl.Float64)
        return columns

    def evaluate(
        self, outputs: Outputs, target: Target, groups: Codes | None, model: Mapping[str, Any], baselines: Baselines
    ) -> dict[str, Any]:
        """See `Task.evaluate`."""
        return self.score(self.predict(outputs), target, groups, baselines)

    def score(
        self, prediction: ValuePrediction, target: Target, groups: Codes | None, baselines: Baselines | None = None
    ) -> dict[str, Any]:
        """See `Task.score`."""
        whole = prediction.low is not None and bool(np.isfinite(prediction.low).all())
        evidence = regression_evidence(
            target.array,
            prediction.values,
            groups,
            self.targets,
            low=prediction.low if whole else None,
            high=prediction.high if whole else None,
            baselines=baselines,
        )
        evidence["intervals"] = None
        if whole:
            evidence["intervals"] = {
                "asked": next(each.coverage for each in self.intervals if each is not None),
                "methods": {
                    name: each.method
                    for name, each in zip(self.targets, self.intervals, strict=True)
                    if each is not None
                },
            }
        outside = self.outside(target.array)
        if outside:
            evidence["warnings"].append(f"{outside:,} true values lie outside the range of the training set")
        return evidence

    def outside(self, values: npt.NDArray[np.float64]) -> int:
        """Return the number of rows of values (N, T) of which one lies outside the range of the training set."""
        if not self.seen:
            return 0
        low, high = np.asarray(self.seen).T
        return int(((values < low) | (values > high)).any(axis=1).sum())

    def subgroups(
        self, outputs: Outputs, target: Target, groups: Codes | None, values: Sequence[str | float | None]
    ) -> dict[str, Any]:
        """See `Task.subgroups`."""
        return value_subgroups(target.array, self.predict(outputs).values, groups, values, self.targets)

    def suspects(self, outputs: Outputs, target: Target, groups: Codes | None) -> Suspects:
        """Return the images ranked by their residual relative to its expected size."""
        prediction = self.predict(outputs)
        relative = np.abs(to_scale(target.array, self.scale) - outputs[:, : len(self.targets)]) / self.sizes(outputs)
        largest = relative.max(axis=1)
        rows = np.argsort(-largest, kind="stable")
        suggested = ValueTarget(prediction.values, self.targets).take(rows).texts()
        limit = SUSPECT * np.median(largest) if len(largest) else 0.0
        half_width = max((each.half_width for each in self.intervals if each is not None), default=limit)
        suspect = largest[rows] > max(limit, 2 * half_width)
        return Suspects(rows.astype(np.int64), suggested, 1 / (1 + largest[rows]), suspect)

    def to_json(self) -> dict[str, Any]:
        """See `Task.to_json`."""
        return {
            "targets": list(self.targets),
            "scale": self.scale,
            "spread": list(self.spread),
            "intervals": [None if each is None else each.to_json() for each in self.intervals],
            "seen": [list(each) for each in self.seen],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """See `Task.from_json`."""
        targets = read_field(content, "targets", read_names)
        number = len(targets)

        def floats(value: Any) -> tuple[float, ...]:
            return tuple(map(float, _listed(value, (number,))))

        scale = read_field(content, "scale", lambda value: SCALES[SCALES.index(value)])
        spread = read_field(content, "spread", floats)
        intervals = read_field(content, "intervals", lambda value: tuple(map(_interval, _listed(value, (0, number)))))
        seen = read_field(content, "seen", lambda value: tuple(map(_range, _listed(value, (0, number)))))
        return cls(targets, scale, spread, intervals, seen)

    def _trained(self, target: Target, spread: FloatArray) -> Self:
        array = target.array
        seen = tuple(zip(array.min(axis=0).tolist(), array.max(axis=0).tolist(), strict=True))
        return replace(self, spread=tuple(np.maximum(spread, 1e-12).tolist()), seen=seen)

    def _residuals(self, data: HeldOutData, index: int) -> Residuals:
        values = to_scale(data.target.array, self.scale)[:, index] - data.outputs[:, index]
        return Residuals(values.astype(np.float64), self.sizes(data.outputs)[:, index], data.groups)


def _with_sizes(layer: LastLayer, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> LastLayer:
    """Return a layer of values followed by the logarithms of the expected size of their residuals."""
    return LastLayer(
        np.concatenate([layer.weight, weight.astype(np.float32)]), np.concatenate([layer.bias, bias.astype(np.float32)])
    )


def log_sizes(residuals: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Return the logarithm of the sizes of residuals, (N, T); tiny ones are raised to a floor."""
    sizes = np.abs(residuals.astype(np.float64))
    floor = np.maximum(FLOOR * np.median(sizes, axis=0), 1e-12)
    return np.asarray(np.log(np.maximum(sizes, floor)))


def _listed(value: Any, lengths: tuple[int, ...]) -> list[Any]:
    if not isinstance(value, list) or len(value) not in lengths:
        raise ValueError(f"a list of length {lengths} is expected")
    return value


def _interval(value: Any) -> IntervalThreshold | None:
    return None if value is None else IntervalThreshold.from_json(value)


def _range(value: Any) -> tuple[float, float]:
    low, high = map(float, value)
    return low, high

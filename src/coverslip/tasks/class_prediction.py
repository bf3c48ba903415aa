"""Predicted classes of images with probabilities and prediction sets, as columns of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.tasks.task import SEPARATOR


@dataclass(frozen=True, slots=True)
class ClassPrediction:
    """Predictions of a classifier for N images.

    Attributes:
        classes: names of the K classes.
        probabilities: float64 (N, K), rows sum to 1; rows of NaN for unreadable images.
        predicted: predicted class ids, int64 (N,); meaningless for unreadable images.
        members: classes in the prediction sets, bool (N, K); None if the model has no prediction sets.
    """

    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]
    members: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """Whether there is a prediction, bool (N,)."""
        return np.asarray(~np.isnan(self.probabilities).any(axis=1))

    def columns(self) -> dict[str, pl.Series]:
        """Return ``predicted``, ``confidence`` (probability of the predicted class), and ``p:CLASS`` for each class."""
        names = [
            self.classes[class_id] if readable else None
            for class_id, readable in zip(self.predicted.tolist(), self.readable.tolist(), strict=True)
        ]
        confidence = self.probabilities[np.arange(len(self)), self.predicted]
        columns = {
            "predicted": pl.Series(names, dtype=pl.String),
            "confidence": pl.Series(confidence, dtype=pl.Float64).fill_nan(None),
        }
        for class_id, name in enumerate(self.classes):
            columns[f"p:{name}"] = pl.Series(self.probabilities[:, class_id], dtype=pl.Float64).fill_nan(None)
        return columns

    def trailing_columns(self) -> dict[str, pl.Series]:
        """Return ``set``: the classes in the prediction set; null if the model has no prediction sets."""
        if self.members is None:
            return {"set": pl.Series([None] * len(self), dtype=pl.String)}
        sets = [
            SEPARATOR.join(name for name, member in zip(self.classes, row, strict=True) if member) if readable else None
            for row, readable in zip(self.members.tolist(), self.readable.tolist(), strict=True)
        ]
        return {"set": pl.Series(sets, dtype=pl.String)}

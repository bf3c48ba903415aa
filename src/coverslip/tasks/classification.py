"""Single-label classification: logits become probabilities, predicted classes and a table of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.evidence.threshold import Threshold


@dataclass(frozen=True, slots=True)
class Classification:
    """The conversion of logits into probabilities and predicted classes.

    Attributes:
        classes: class names, in the order of the network's outputs.
        temperature: value that the logits are divided by before the softmax (temperature scaling).
        threshold: decision threshold for two classes; None predicts the most probable class.
    """

    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: Threshold | None = None

    def probabilities(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return softmax(logits / temperature), shape (N, K), rows sum to 1, for logits of shape (N, K)."""
        scaled = logits.astype(np.float64) / self.temperature
        scaled -= scaled.max(axis=1, keepdims=True)  # avoids overflow of exp
        powers = np.exp(scaled)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def predicted_classes(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """Return predicted class ids, shape (N,), for probabilities of shape (N, K). Every entry point uses this rule.

        >>> Classification(("healthy", "rust")).predicted_classes(np.array([[0.4, 0.6]])).tolist()
        [1]
        """
        if self.threshold is None:
            return np.asarray(probabilities.argmax(axis=1))
        return self.threshold.predicted_classes(probabilities, self.classes)

    def decode(
        self,
        probabilities: npt.NDArray[np.float64],
        paths: Sequence[str],
        labels: Sequence[str | None],
        groups: Sequence[str | None],
        errors: Sequence[str | None],
    ) -> pl.DataFrame:
        """Return the table of predictions that `predict`, `evaluate` and `train` write, one row per image.

        Args:
            probabilities: shape (N, K); rows of NaN for unreadable images.
            paths: paths of the images, length N.
            labels: name of the true class of each image; None if unknown.
            groups: group of each image; None if unknown.
            errors: why an image is unreadable; None for readable images.

        Returns:
            Columns path, label, group, predicted, confidence (probability of the predicted class), ``p:CLASS`` for
            each class, error. Unreadable images have nulls in place of predictions.
        """
        readable = [error is None for error in errors]
        predicted = np.where(readable, self.predicted_classes(probabilities), -1)
        confidence = probabilities[np.arange(len(predicted)), predicted]
        columns: dict[str, pl.Series] = {
            "path": pl.Series(list(paths), dtype=pl.String),
            "label": pl.Series(list(labels), dtype=pl.String),
            "group": pl.Series(list(groups), dtype=pl.String),
            "predicted": pl.Series([self.classes[i] if i >= 0 else None for i in predicted], dtype=pl.String),
            "confidence": pl.Series(confidence).fill_nan(None),
        }
        for class_id, name in enumerate(self.classes):
            columns[f"p:{name}"] = pl.Series(probabilities[:, class_id]).fill_nan(None)
        columns["error"] = pl.Series(list(errors), dtype=pl.String)
        return pl.DataFrame(columns)

"""One label a picture: scores (N, K) become probabilities, a label, a confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl


@dataclass(frozen=True, slots=True)
class Classification:
    """The classes by name, in the order of the network's outputs, and the temperature of its scores."""

    classes: tuple[str, ...]
    temperature: float = 1.0

    def probabilities(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(N, K) scores -> (N, K) probabilities, rows sum to 1: softmax of scores / temperature."""
        scaled = scores.astype(np.float64) / self.temperature
        scaled -= scaled.max(axis=1, keepdims=True)  # else exp overflows
        powers = np.exp(scaled)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def decode(
        self,
        probabilities: npt.NDArray[np.float64],
        paths: Sequence[str],
        labels: Sequence[str | None],
        groups: Sequence[str | None],
        errors: Sequence[str | None],
    ) -> pl.DataFrame:
        """The table that `predict`, `evaluate` and `train` write: a row a picture.

        Args:
            probabilities: (N, K); rows of NaN for pictures that cannot be read.
            paths: of the pictures.
            labels: the true class, where it is known.
            groups: of the pictures, where they are known.
            errors: why a picture cannot be read; None where it can.

        Returns:
            path, label, group, predicted, confidence, one column ``p:CLASS`` a class, error.
        """
        readable = [error is None for error in errors]
        best = np.where(readable, probabilities.argmax(axis=1), -1)
        columns: dict[str, pl.Series] = {
            "path": pl.Series(list(paths), dtype=pl.String),
            "label": pl.Series(list(labels), dtype=pl.String),
            "group": pl.Series(list(groups), dtype=pl.String),
            "predicted": pl.Series([self.classes[i] if i >= 0 else None for i in best], dtype=pl.String),
            "confidence": pl.Series(probabilities.max(axis=1)).fill_nan(None),
        }
        for number, name in enumerate(self.classes):
            columns[f"p:{name}"] = pl.Series(probabilities[:, number]).fill_nan(None)
        columns["error"] = pl.Series(list(errors), dtype=pl.String)
        return pl.DataFrame(columns)

"""One label an image: scores (N, K) become probabilities, a label, a confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from coverslip.evidence.threshold import Threshold


@dataclass(frozen=True, slots=True)
class Classification:
    """What scores mean.

    Attributes:
        classes: by name, in the order of the network's outputs.
        temperature: of its scores.
        threshold: for two classes, from which probability on an image is named as the one that is looked for; None
            names the most probable, as with more classes.
    """

    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: Threshold | None = None

    def probabilities(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(N, K) scores -> (N, K) probabilities, rows sum to 1: softmax of scores / temperature."""
        scaled = scores.astype(np.float64) / self.temperature
        scaled -= scaled.max(axis=1, keepdims=True)  # else exp overflows
        powers = np.exp(scaled)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def named(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """(N, K) probabilities -> (N,) the number of the class that each image is named as, at every door alike.

        >>> Classification(("healthy", "rust")).named(np.array([[0.4, 0.6]])).tolist()
        [1]
        """
        if self.threshold is None:
            return np.asarray(probabilities.argmax(axis=1))
        return self.threshold.named(probabilities, self.classes)

    def decode(
        self,
        probabilities: npt.NDArray[np.float64],
        paths: Sequence[str],
        labels: Sequence[str | None],
        groups: Sequence[str | None],
        errors: Sequence[str | None],
    ) -> pl.DataFrame:
        """The table that `predict`, `evaluate` and `train` write: a row an image.

        Args:
            probabilities: (N, K); rows of NaN for images that cannot be read.
            paths: of the images.
            labels: the true class, where it is known.
            groups: of the images, where they are known.
            errors: why an image cannot be read; None where it can.

        Returns:
            path, label, group, predicted, confidence (the probability of the class named), one column ``p:CLASS`` a
            class, error.
        """
        readable = [error is None for error in errors]
        best = np.where(readable, self.named(probabilities), -1)
        columns: dict[str, pl.Series] = {
            "path": pl.Series(list(paths), dtype=pl.String),
            "label": pl.Series(list(labels), dtype=pl.String),
            "group": pl.Series(list(groups), dtype=pl.String),
            "predicted": pl.Series([self.classes[i] if i >= 0 else None for i in best], dtype=pl.String),
            "confidence": pl.Series(probabilities[np.arange(len(best)), best]).fill_nan(None),
        }
        for number, name in enumerate(self.classes):
            columns[f"p:{name}"] = pl.Series(probabilities[:, number]).fill_nan(None)
        columns["error"] = pl.Series(list(errors), dtype=pl.String)
        return pl.DataFrame(columns)
